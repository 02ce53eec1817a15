"""Later waves: a row that sums requests up never costs less at most than they would one by one, whatever thresholds they pass."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.catalog import Lane, TokenizerFamily
from lowtide.engine.desk import codecs_of
from lowtide.engine.later_waves import add_later, prompt_threshold
from lowtide.estimate import likely_tokens
from lowtide.plan import Draft
from lowtide.request import Neutral, Request, RequestKey
from lowtide.settings import load_catalog, read_settings
from lowtide.spool import Scales, Weighed
from lowtide.workload import LaterWave, Quotes

SETTINGS = read_settings({}, {}, Path("/"))
CATALOG = load_catalog(SETTINGS)
CODECS = codecs_of(SETTINGS, CATALOG)
DAY = date(2026, 11, 22)
HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"  # the first has a threshold at 100,000 tokens, the second none
TOKENIZER = found.tokenizer if (found := CATALOG.model("anthropic", HAIKU)) else TokenizerFamily.UNKNOWN
SIZES = st.lists(st.integers(1, 1_500_000), min_size=1, max_size=6)


def row(sizes: list[int], key: str = "") -> LaterWave:
    """Prompts of so many bytes at most, and half as many likely; a third of those are quoted."""
    likely = [size // 2 for size in sizes]
    quoted = sum(size // 3 for size in likely)
    return LaterWave(
        kind="goal",
        requests=len(sizes),
        input_bytes_likely=sum(likely),
        input_bytes_ceiling=sum(sizes),
        output_tokens_ceiling=1_000 * len(sizes),
        quoted_bytes_likely=quoted,
        quotes=(Quotes(kind="epic", answers=len(sizes), tokens_ceiling=max(1, quoted // 4)),),
        input_bytes_longest=max(sizes),
        key=key,
    )


def draft_of(rows: list[LaterWave], model: str) -> Draft:
    draft = Draft(catalog=CATALOG, day=DAY, batch_limits={"anthropic": (1000, 10**9), "openai": (1000, 10**9)})
    scales = Scales(CODECS, CATALOG, DAY)
    for each in rows:
        add_later(draft, scales, 1, each, model)
    return draft


@given(SIZES, st.sampled_from((HAIKU, SONNET)), st.sampled_from((Lane.REALTIME, Lane.BATCH)))
def test_a_row_costs_at_most_no_less_than_its_requests_one_by_one(sizes: list[int], model: str, lane: Lane) -> None:
    whole = draft_of([row(sizes)], model)
    alone = draft_of([row([size], key=f"k{number}") for number, size in enumerate(sizes)], model)
    assert whole.total(lane).ceiling >= alone.total(lane).ceiling
    assert whole.largest[lane] == max(alone.largest[lane], whole.largest[lane])
    assert whole.total(lane).floor <= whole.total(lane).likely <= whole.total(lane).ceiling


@given(SIZES, st.sampled_from((Lane.REALTIME, Lane.BATCH)))
def test_without_a_threshold_the_sum_costs_what_its_requests_do(sizes: list[int], lane: Lane) -> None:
    """But for rounding, and for which of them is tried in real time: nothing is added where there is no reason."""
    whole, alone = (draft_of(rows, SONNET) for rows in ([row(sizes)], [row([size]) for size in sizes]))
    price = CATALOG.sheet("anthropic", SONNET, lane, DAY).ceiling_nanos(1, 0)
    first = CATALOG.sheet("anthropic", SONNET, Lane.REALTIME, DAY).ceiling_nanos(max(sizes), 0)
    assert 0 <= whole.total(lane).ceiling - alone.total(lane).ceiling <= len(sizes) * (price + 2) + first


def test_one_long_request_among_short_ones_is_not_hidden_by_their_average() -> None:
    """Nine prompts of 20,000 bytes and one of 400,000: on average far below the threshold."""
    sizes = [20_000] * 9 + [400_000]
    sheet = CATALOG.sheet("anthropic", HAIKU, Lane.BATCH, DAY)
    most = sum(sheet.ceiling_nanos(size, 1_000, dearest_write="", us_only=True) for size in sizes)
    assert draft_of([row(sizes)], HAIKU).total(Lane.BATCH).ceiling >= most


@given(st.integers(1, 5_000), st.integers(1, 50_000), st.integers(0, 4_000_000), st.integers(1, 100_000))
def test_what_is_cut_off_of_the_quoted_answers_is_not_counted(answers: int, limit: int, shown: int, own: int) -> None:
    """A table says how many bytes of answers one prompt quotes; they may be far more, and are longer than any window."""
    cut = min(shown, answers * limit * 12)
    line = LaterWave(
        kind="goal",
        requests=1,
        input_bytes_likely=own + min(cut, answers * limit * 2),
        input_bytes_ceiling=own + cut,
        output_tokens_ceiling=1_000,
        quoted_bytes_likely=min(cut, answers * limit * 2),
        quotes=(Quotes(kind="epic", answers=answers, tokens_ceiling=answers * limit),),
        input_bytes_longest=own + cut,
    )
    (total,) = (total for way, total in draft_of([line], HAIKU).sums.items() if way.wave == 1)
    assert total.input_tokens <= likely_tokens(own, tokenizer=TOKENIZER) + likely_tokens(cut, tokenizer=TOKENIZER)
    for lane in (Lane.BATCH, Lane.REALTIME):
        floor, likely, ceiling, *_ = total.lanes[lane]
        assert 0 <= floor <= likely <= ceiling


@given(st.text(max_size=40), st.text(max_size=200), st.text(min_size=1, max_size=200))
@pytest.mark.parametrize("model", [HAIKU, SONNET, "gpt-5.6"])
def test_a_later_request_costs_at_most_no_more_when_it_is_made(model: str, system: str, shared: str, text: str) -> None:
    """Its texts are as long as they may be; the provider also counts what stands around them."""
    body = Neutral(system=system, shared=(shared,), text=text, max_output_tokens=1_000)
    size = sum(len(each.encode()) for each in (system, shared, text))
    planned = draft_of([row([size], key="k")], model)
    made = Scales(CODECS, CATALOG, DAY).weigh(Request(key=RequestKey("k"), model=model, body=body, kind="goal"))
    assert isinstance(made, Weighed)
    assert made.costs.realtime.ceiling <= planned.largest[Lane.REALTIME]
    assert made.costs.cheapest.ceiling <= planned.largest[Lane.BATCH]


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("anthropic", HAIKU, 100_000),
        ("openai", "gpt-5.6", 272_000),
        ("anthropic", SONNET, None),
        ("anthropic", "no-such-model", None),
    ],
)
def test_the_threshold_of_a_model_is_its_first(provider: str, model: str, tokens: int | None) -> None:
    found = prompt_threshold(CATALOG, provider, model, DAY)
    assert (found and found.tokens) == tokens


def test_a_threshold_is_that_of_the_day_of_the_prices() -> None:
    """Sonnet 4.6 lost its dearer long prompts; a quotation of an older day still has them."""
    days = {day: prompt_threshold(CATALOG, "anthropic", "claude-sonnet-4-6", day) for day in (date(2026, 3, 1), DAY)}
    assert days[date(2026, 3, 1)] is not None
    assert days[DAY] is None
