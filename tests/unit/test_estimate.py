"""Estimates: bounds that are bounds, figures that say what they rest on, ranges of sums."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.catalog import Model, TokenizerFamily
from lowtide.estimate import (
    Basis,
    OutputHistory,
    SumRange,
    TokenRange,
    counted_input,
    estimate_input,
    estimate_output,
    likely_tokens,
    output_history,
    range_of_sum,
    spread_percent,
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
    assert estimate_output(1_800, history) == TokenRange(floor=500, likely=700, ceiling=1_800, basis=Basis.LEARNED)
    assert estimate_output(600, history) == TokenRange(floor=500, likely=600, ceiling=600, basis=Basis.LEARNED)
    assert estimate_output(100, history) == TokenRange(floor=100, likely=100, ceiling=100, basis=Basis.LEARNED)


# ------------------------------------------------------------------ sums


def test_the_range_of_a_sum_narrows_with_its_number_but_never_below_what_all_share() -> None:
    def width(count: int) -> float:
        found = range_of_sum(count=count, floor=0, likely=1_000 * count, ceiling=10_000 * count, basis=Basis.LOCAL)
        assert found.high - found.likely == found.likely - found.low
        return (found.high - found.likely) / found.likely

    assert [round(width(count), 4) for count in (1, 4, 100, 1_000_000)] == [0.9, 0.65, 0.45, 0.4005]


@pytest.mark.parametrize("count", [0, 1, 1_000])
def test_where_only_a_limit_is_known_the_range_is_all_there_is(count: int) -> None:
    found = range_of_sum(count=count, floor=5, likely=50, ceiling=100, basis=Basis.LIMIT)
    assert found == SumRange(floor=5, low=5, likely=50, high=100, ceiling=100, basis=Basis.LIMIT)


def test_nothing_sums_to_nothing() -> None:
    found = range_of_sum(count=0, floor=0, likely=0, ceiling=0, basis=Basis.LOCAL)
    assert (found.low, found.high) == (0, 0)


def test_sums_add_and_the_least_sure_basis_stays() -> None:
    one = range_of_sum(count=10, floor=10, likely=100, ceiling=1_000, basis=Basis.COUNTED)
    two = range_of_sum(count=10, floor=1, likely=50, ceiling=90, basis=Basis.LIMIT)
    whole = one.plus(two)
    assert (whole.floor, whole.likely, whole.ceiling) == (11, 150, 1_090)
    assert (whole.low, whole.high) == (one.low + 1, one.high + 90)
    assert whole.basis is two.plus(one).basis is Basis.LIMIT


@given(
    count=st.integers(0, 10**7),
    parts=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)),
    basis=st.sampled_from(Basis),
)
def test_a_range_of_a_sum_is_in_order(count: int, parts: tuple[int, int, int], basis: Basis) -> None:
    floor, likely, ceiling = parts[0], parts[0] + parts[1], sum(parts)
    found = range_of_sum(count=count, floor=floor, likely=likely, ceiling=ceiling, basis=basis)
    assert floor <= found.low <= likely <= found.high <= ceiling


def test_history_sums_up_earlier_answers():
    history = output_history([100, 10, 30, 20, 40])

    assert (history.answers, history.mean_tokens, history.low_tokens, history.high_tokens) == (5, 40, 10, 100)


def test_no_earlier_answers_are_no_history():
    assert output_history([]).answers == 0


@pytest.mark.parametrize(
    ("count", "basis", "percent"),
    [(1, Basis.LOCAL, 90), (10_000, Basis.LOCAL, 41), (0, Basis.LOCAL, None), (5, Basis.LIMIT, None)],
)
def test_the_spread_of_a_sum_shrinks_with_its_count(count, basis, percent):
    assert spread_percent(count, basis) == percent
