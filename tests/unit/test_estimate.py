"""Estimates: bounds that are bounds, figures that say what they rest on, ranges of sums."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.catalog import Model, TokenizerFamily
from lowtide.estimate import (
    Basis,
    Error,
    HitRate,
    Losses,
    OutputHistory,
    Part,
    Reason,
    Sight,
    SumRange,
    TokenRange,
    cached_part,
    counted_input,
    estimate_input,
    estimate_output,
    history_of_runs,
    input_part,
    likely_tokens,
    output_error,
    output_history,
    output_part,
    pilot_sizes,
    range_of_parts,
    student,
    text_tokens,
    worth_counting,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    content_bytes: int
    non_ascii_bytes: int = 0
    images: int = 0
    input_unbounded: bool = False


def model(**facts: object) -> Model:
    known: dict[str, object] = {
        "context_tokens": 200_000,
        "output_tokens_max": 64_000,
        "tokenizer": TokenizerFamily.CLAUDE_3,
        "image_tokens_max": 1_600,
    }
    return Model(provider="anthropic", name="m", **(known | facts))  # type: ignore[arg-type]


# ------------------------------------------------------------------ input


@pytest.mark.parametrize(
    ("tokenizer", "content", "other", "likely"),
    [
        (TokenizerFamily.CLAUDE_3, 3_800, 0, 1_001),
        (TokenizerFamily.CLAUDE_4_7, 3_800, 0, 1_302),
        (TokenizerFamily.UNKNOWN, 3_800, 0, 1_152),
        (TokenizerFamily.CLAUDE_3, 2_600, 2_600, 1_001),
        (TokenizerFamily.CLAUDE_3, 6_400, 2_600, 2_001),
        (TokenizerFamily.CLAUDE_3, 1, 0, 1),
        (TokenizerFamily.CLAUDE_3, 0, 0, 0),
    ],
)
def test_tokens_by_family_and_script(tokenizer: TokenizerFamily, content: int, other: int, likely: int) -> None:
    assert likely_tokens(content, non_ascii_bytes=other, tokenizer=tokenizer) == likely


FAMILY = TokenizerFamily.O200K


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("", 0),
        ("x", 1_000),  # one token at least
        ("a" * 100, 17_700),
        ("1" * 10, 8_500),
        ("a a a a a ", 5 * 177 + 5 * 288),
        ("    " * 10, 20 * 77),
        ("()[]{}<>;:", 4_670),
        ("\n" * 10, 10_510),
        ("привет мир", 9 * 342 + 288),
        ("中文字字", 4 * 813),
        ("カタカナ", 4 * 598),
        ("한국어", 3 * 625),
        ("שלום العربية", 11 * 368 + 288),
        ("नमस्ते", 6 * 405),
        ("γειά", 4 * 375),
        ("éééé", 4 * 1_186),
        ("—“”…", 4_000),
        ("，！", 2_000),
        ("😀😀", 3_000),
        ("\ud800" * 4, 4 * 625),  # half a character is no reason to fall over
    ],
)
def test_a_text_weighs_what_its_letters_weigh(text: str, thousandths: int) -> None:
    assert text_tokens(text, FAMILY) == thousandths // 1_000


@pytest.mark.parametrize("family", TokenizerFamily)
@given(text=st.text(max_size=400))
def test_a_text_is_never_judged_longer_than_its_bytes(family: TokenizerFamily, text: str) -> None:
    """The ceiling is the bytes; what is judged never passes it, nor is it ever negative."""
    found = estimate_input(Facts(content_bytes=len(text.encode())), model(tokenizer=family), text=text)
    assert 0 <= found.floor <= found.likely <= found.ceiling == len(text.encode())


def test_letters_say_more_than_bytes_and_the_frame_counts_beside_them() -> None:
    text = "word " * 100
    found = estimate_input(Facts(content_bytes=500 + 90), model(tokenizer=FAMILY), text=text)
    assert found == TokenRange(floor=65, likely=99 + 10, ceiling=590, basis=Basis.LOCAL)


def test_an_exact_count_is_taken_where_the_vocabulary_is_there() -> None:
    def counter(text: str, tokenizer: TokenizerFamily) -> int | None:
        return 100 if tokenizer is FAMILY and text else None

    facts = Facts(content_bytes=500 + 90)
    found = estimate_input(facts, model(tokenizer=FAMILY), text="word " * 100, counter=counter)
    assert found == TokenRange(floor=90, likely=110, ceiling=590, basis=Basis.LOCAL)
    other = estimate_input(facts, model(), text="word " * 100, counter=counter)
    assert other == estimate_input(facts, model(), text="word " * 100)


def test_the_newer_family_counts_about_a_third_more() -> None:
    old = likely_tokens(1_000_000, tokenizer=TokenizerFamily.CLAUDE_3)
    new = likely_tokens(1_000_000, tokenizer=TokenizerFamily.CLAUDE_4_7)
    assert 1.28 < new / old < 1.32


def test_text_is_bounded_by_its_bytes() -> None:
    assert estimate_input(Facts(content_bytes=3_800), model()) == TokenRange(
        floor=600, likely=1_001, ceiling=3_800, basis=Basis.LOCAL
    )


def test_pictures_are_bounded_by_the_formula() -> None:
    found = estimate_input(Facts(content_bytes=100, images=2), model())
    assert (found.likely, found.ceiling, found.basis) == (27 + 1_600, 3_300, Basis.LOCAL)
    unknown = estimate_input(Facts(content_bytes=100, images=1), model(image_tokens_max=None))
    assert unknown.ceiling == 100 + 4_784


def test_what_cannot_be_seen_is_bounded_by_the_window() -> None:
    found = estimate_input(Facts(content_bytes=100, input_unbounded=True), model())
    assert (found.ceiling, found.basis) == (200_000, Basis.LIMIT)
    assert found.likely == 27 + 4_500
    tiny = estimate_input(Facts(content_bytes=100, input_unbounded=True), model(context_tokens=1_000))
    assert tiny == TokenRange(floor=16, likely=1_000, ceiling=1_000, basis=Basis.LIMIT)


def test_nothing_is_longer_than_the_largest_window_ever_sold() -> None:
    huge = Facts(content_bytes=50_000_000)
    assert estimate_input(huge, model()) == TokenRange(
        floor=200_000, likely=200_000, ceiling=200_000, basis=Basis.LOCAL
    )
    assert estimate_input(huge, model(context_beta_tokens=1_000_000)).ceiling == 1_000_000


@given(
    content=st.integers(0, 10**7),
    share=st.integers(0, 100),
    images=st.integers(0, 600),
    unbounded=st.booleans(),
    window=st.integers(1, 10**6),
    tokenizer=st.sampled_from(TokenizerFamily),
)
def test_a_range_is_in_order(
    *,
    content: int,
    share: int,
    images: int,
    unbounded: bool,
    window: int,
    tokenizer: TokenizerFamily,
) -> None:
    facts = Facts(
        content_bytes=content, non_ascii_bytes=content * share // 100, images=images, input_unbounded=unbounded
    )
    found = estimate_input(facts, model(context_tokens=window, tokenizer=tokenizer))
    assert 0 <= found.floor <= found.likely <= found.ceiling <= window


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(1_000, (950, 1_000, 1_114)), (0, (0, 0, 64)), (199_990, (189_991, 199_990, 200_000)), (300_000, (200_000,) * 3)],
)
def test_a_count_by_the_provider_has_a_margin(tokens: int, expected: tuple[int, int, int]) -> None:
    found = counted_input(tokens, model())
    assert (found.floor, found.likely, found.ceiling) == expected
    assert found.basis is Basis.COUNTED


# ------------------------------------------------------------------ output


@pytest.mark.parametrize(
    ("limit", "likely"), [(1, 1), (2, 1), (1_800, 900), (6_000, 3_000), (8_000, 4_000), (64_000, 4_000)]
)
def test_without_history_an_answer_is_a_stated_share_of_its_limit(limit: int, likely: int) -> None:
    assert estimate_output(limit, None) == TokenRange(floor=1, likely=likely, ceiling=limit, basis=Basis.LIMIT)
    empty = OutputHistory(answers=0, mean_tokens=7, low_tokens=7, high_tokens=7)
    assert estimate_output(limit, empty).basis is Basis.LIMIT


def test_with_history_it_is_the_mean_and_the_ceiling_stays_the_limit() -> None:
    history = OutputHistory(answers=40, mean_tokens=700, low_tokens=500, high_tokens=900)
    assert estimate_output(1_800, history) == TokenRange(floor=250, likely=700, ceiling=1_800, basis=Basis.LEARNED)
    assert estimate_output(600, history) == TokenRange(floor=250, likely=600, ceiling=600, basis=Basis.LEARNED)
    assert estimate_output(100, history) == TokenRange(floor=100, likely=100, ceiling=100, basis=Basis.LEARNED)


# ------------------------------------------------------------------ sums


def test_sums_add_and_the_least_sure_basis_stays() -> None:
    one = SumRange(floor=10, low=90, likely=100, high=110, ceiling=1_000, basis=Basis.COUNTED)
    two = SumRange(floor=1, low=1, likely=50, high=90, ceiling=90, basis=Basis.LIMIT)
    whole = one.plus(two)
    assert (whole.floor, whole.likely, whole.ceiling) == (11, 150, 1_090)
    assert (whole.low, whole.high) == (one.low + 1, one.high + 90)
    assert whole.basis is two.plus(one).basis is Basis.LIMIT


def test_history_sums_up_earlier_answers():
    history = output_history([100, 10, 30, 20, 40])

    assert (history.answers, history.mean_tokens, history.low_tokens, history.high_tokens) == (5, 40, 10, 100)
    assert (history.deviation_tokens, history.runs, history.drift_permille) == (35, 1, 0)
    assert history.step_means == (10, 20, 30, 40, 100)


def test_no_earlier_answers_are_no_history():
    assert output_history([]).answers == 0


# ------------------------------------------------------------------ histories


def test_a_history_tells_what_is_one_answers_own_from_what_is_a_whole_runs() -> None:
    steady = history_of_runs([[90, 110], [90, 110], [90, 110]])
    assert (steady.mean_tokens, steady.deviation_tokens, steady.runs, steady.drift_permille) == (100, 14, 3, 0)
    drifting = history_of_runs([[50, 50], [100, 100], [150, 150], []])
    assert (drifting.mean_tokens, drifting.deviation_tokens, drifting.runs) == (100, 0, 3)
    assert drifting.drift_permille == 500


def test_chance_is_no_drift() -> None:
    """Runs of a few very different answers have different means without having drifted."""
    assert history_of_runs([[10, 190], [60, 160], [20, 130]]).drift_permille == 0


def test_a_history_keeps_twenty_steps_of_any_number_of_answers() -> None:
    history = output_history(range(1, 1_001))
    assert len(history.step_means) == 20
    assert history.mean_tokens == 501
    assert (history.step_means[0], history.step_means[-1]) == (26, 976)


@pytest.mark.parametrize(("limit", "likely"), [(2_000, 300), (100, 100), (200, 150), (500, 300)])
def test_a_smaller_limit_cuts_the_long_answers_alone(limit: int, likely: int) -> None:
    history = output_history([100] * 10 + [500] * 10)
    assert estimate_output(limit, history).likely == likely


def test_answers_that_a_limit_cut_would_have_gone_on() -> None:
    cut = output_history([100] * 20, cut_answers=10)
    assert estimate_output(100, cut).likely == 100
    assert estimate_output(1_000, cut).likely == 150
    assert output_error(cut, 1_000).rare_ppm > output_error(output_history([100] * 20), 1_000).rare_ppm


def test_a_few_answers_are_no_knowledge_yet() -> None:
    assert estimate_output(1_000, output_history([100] * 4)) == estimate_output(1_000, None)
    known = estimate_output(1_000, output_history([100] * 5))
    assert (known.likely, known.basis) == (100, Basis.LEARNED)


@pytest.mark.parametrize(
    ("counts", "requests", "sizes"),
    [
        ({"a": 100}, 10, {"a": 10}),
        ({"a": 900, "b": 100}, 30, {"a": 27, "b": 5}),
        ({"a": 900, "b": 3}, 10, {"a": 9, "b": 3}),
        ({"a": 7}, 30, {"a": 7}),
        ({}, 10, {}),
    ],
)
def test_a_pilot_learns_of_every_kind(counts: dict[str, int], requests: int, sizes: dict[str, int]) -> None:
    assert pilot_sizes(counts, requests) == sizes


# ------------------------------------------------------------------ sums of parts


def known_part(history: OutputHistory, *, requests: int = 1_000, limit: int = 2_000) -> Part:
    single = estimate_output(limit, history)
    return output_part(
        requests=requests,
        floor=single.floor * requests,
        likely=single.likely * requests,
        ceiling=limit * requests,
        history=history,
        max_output_tokens=limit,
    )


def width(found: SumRange) -> float:
    return (found.high - found.low) / found.likely


def test_more_answers_and_a_pilot_make_a_range_narrower() -> None:
    few, some, many = (output_history([400, 600] * half) for half in (3, 10, 200))
    pilot = output_history([400, 600] * 10, same_run=True)
    widths = [width(range_of_parts([known_part(history)])) for history in (few, some, many, pilot)]
    assert widths[0] > widths[1] > widths[2] > widths[3] > 0.05


def test_more_requests_make_a_range_narrower_but_not_what_they_share() -> None:
    history = output_history([100, 900] * 100)
    one, some, all_of_them = (
        width(range_of_parts([known_part(history, requests=count)])) for count in (1, 100, 10_000)
    )
    assert one > some > all_of_them > 0.3


def test_runs_that_differed_make_a_range_wider() -> None:
    alike = history_of_runs([[480, 520] * 5] * 4)
    apart = history_of_runs([[240, 260] * 5, [480, 520] * 5, [480, 520] * 5, [720, 780] * 5])
    assert width(range_of_parts([known_part(apart)])) > 1.4 * width(range_of_parts([known_part(alike)]))


def test_without_history_a_range_is_all_there_is_and_says_so() -> None:
    part = output_part(requests=10, floor=10, likely=500, ceiling=1_000, history=None, max_output_tokens=100)
    assert range_of_parts([part], Losses(asked=0)).basis is Basis.LIMIT
    found = range_of_parts([part])
    assert (found.high, found.ceiling, found.likely) == (1_000, 1_000, 500)
    assert found.low <= 10


def test_one_kind_without_history_leaves_the_others_their_range() -> None:
    known = known_part(output_history([400, 600] * 20))
    unknown = output_part(requests=10, floor=10, likely=500, ceiling=1_000, history=None, max_output_tokens=100)
    alone, both = range_of_parts([known]), range_of_parts([known, unknown])
    assert both.basis is Basis.LIMIT
    assert abs(both.high - alone.high - 1_000) <= 1


def test_what_errs_together_is_added_plainly_and_the_rest_by_squares() -> None:
    def found(first: str, second: str) -> float:
        error = Error(common_ppm=100_000)
        parts = [
            Part(requests=1, floor=0, likely=1_000, ceiling=9_000, basis=Basis.LOCAL, error=error, cause=cause)
            for cause in (first, second)
        ]
        return width(range_of_parts(parts, Losses(asked=1_000_000, same_run=True)))

    assert found("a", "b") == pytest.approx(found("a", "a") / 2**0.5, rel=0.1)


def test_what_fails_costs_nothing() -> None:
    part = known_part(output_history([500] * 200, same_run=True))
    none = range_of_parts([part], Losses(asked=1_000, lost=0))
    some = range_of_parts([part], Losses(asked=1_000, lost=100))
    assert (none.likely, some.likely) == (500_000, 450_000)
    assert some.low < none.low * 0.9


def test_a_range_never_passes_the_ceiling() -> None:
    part = known_part(output_history([100, 1_900] * 5), requests=2)
    assert range_of_parts([part]).high == range_of_parts([part]).ceiling == 4_000


@pytest.mark.parametrize(
    ("sight", "family", "least", "most"),
    [
        (Sight.COUNTED, TokenizerFamily.O200K, 0.03, 0.08),
        (Sight.VOCABULARY, TokenizerFamily.O200K, 0.15, 0.25),
        (Sight.LETTERS, TokenizerFamily.O200K, 0.4, 0.6),
        (Sight.LETTERS, TokenizerFamily.CLAUDE_4_7, 0.6, 0.8),
        (Sight.BYTES, TokenizerFamily.CLAUDE_3, 0.9, 1.2),
    ],
)
def test_the_better_the_input_was_seen_the_narrower(
    sight: Sight, family: TokenizerFamily, least: float, most: float
) -> None:
    part = input_part(requests=1_000, floor=0, likely=1_000_000, ceiling=4_000_000, tokenizer=family, sight=sight)
    assert part.basis is (Basis.COUNTED if sight is Sight.COUNTED else Basis.LOCAL)
    assert least < width(range_of_parts([part], Losses(asked=10**9, same_run=True))) < most


def test_a_cache_that_nobody_knows_widens_the_range_to_both_ends() -> None:
    part = cached_part(requests=100, plain=1_000_000, hits=HitRate(), read_permille=100, write_permille=1_250)
    assert (part.floor, part.likely, part.ceiling) == (100_000, 675_000, 1_250_000)
    found = range_of_parts([part], Losses(asked=10**9, same_run=True))
    assert found.low < 300_000
    assert found.high == 1_250_000
    sure = HitRate(low_permille=900, likely_permille=900, high_permille=900)
    certain = cached_part(requests=100, plain=1_000_000, hits=sure, read_permille=100, write_permille=1_250)
    assert range_of_parts([certain], Losses(asked=10**9, same_run=True)).high == 215_000


def test_no_parts_sum_to_nothing() -> None:
    assert range_of_parts([]) == SumRange(floor=0, low=0, likely=0, high=0, ceiling=0, basis=Basis.COUNTED)


@pytest.mark.parametrize(("freedom", "point"), [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1_000, 1.962)])
def test_students_point_is_the_tables_within_a_hundredth(freedom: int, point: float) -> None:
    assert student(freedom) == pytest.approx(point, rel=0.01)


# ------------------------------------------------------------------ asking


COUNTABLE = TokenRange(floor=60_000, likely=100_000, ceiling=400_000, basis=Basis.LOCAL)
COST = SumRange(floor=1, low=50, likely=100, high=200, ceiling=900, basis=Basis.LEARNED)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"requests": 50}, Reason.FEW),
        ({"requests": 51}, None),
        ({"requests": 100_000, "thresholds": [120_000]}, Reason.THRESHOLD),
        ({"requests": 100_000, "thresholds": [80_000]}, Reason.THRESHOLD),
        ({"requests": 100_000, "thresholds": [200_000]}, None),
        ({"requests": 100_000, "window": 110_000}, Reason.THRESHOLD),
        ({"requests": 1_000, "cap": 150, "total": COST}, Reason.CAP),
        ({"requests": 1_000, "cap": 300, "total": COST}, None),
        ({"requests": 100_000, "cap": 150, "total": COST}, None),
        ({"requests": 1_000, "cap": 150}, None),
    ],
)
def test_a_count_is_asked_for_where_it_decides_something(facts: dict[str, object], reason: Reason | None) -> None:
    assert worth_counting(COUNTABLE, **facts) is reason  # type: ignore[arg-type]


def test_what_was_counted_is_not_counted_again_and_what_cannot_be_seen_is() -> None:
    counted = TokenRange(floor=1, likely=1, ceiling=1, basis=Basis.COUNTED)
    unseen = TokenRange(floor=1, likely=1, ceiling=1, basis=Basis.LIMIT)
    assert worth_counting(counted, requests=1) is None
    assert worth_counting(unseen, requests=1_000_000) is Reason.UNSEEN
