"""Laws of prices, for any sheet and any usage: one rounding, parts make the whole, a ceiling is never passed."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from lowtide import money
from lowtide.catalog import PACKAGED, Lane, Price, PriceSheet, TokenKind
from lowtide.catalog.parse import parse
from lowtide.usage import Usage

DAY = date(2026, 11, 22)
CATALOG, _ = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
TOKENS = [kind for kind in TokenKind if kind is not TokenKind.WEB_SEARCH]

amounts = st.decimals(min_value=0, max_value=200, places=6, allow_nan=False, allow_infinity=False)


@st.composite
def made_up_sheets(draw: st.DrawFn) -> PriceSheet:
    """Make up any prices, any tiers, dearer or cheaper above them."""
    rows = []
    for over in (0, *draw(st.lists(st.integers(1, 3_000), max_size=2, unique=True))):
        kinds = TOKENS if over == 0 else draw(st.lists(st.sampled_from(TOKENS), min_size=1, unique=True))
        rows += [
            Price(
                provider="p",
                model="m",
                lane=Lane.BATCH,
                kind=kind,
                prompt_tokens_over=over,
                dollars_per_million=draw(amounts),
                effective_from=DAY,
                effective_to=None,
                recorded_on=None,
                source="",
                checked_on=None,
                file="",
            )
            for kind in kinds
        ]
    factor = draw(st.sampled_from(["1", "1.1", "1.25", "0.9"]))
    return PriceSheet(provider="p", model="m", lane=Lane.BATCH, day=DAY, rows=tuple(rows), us_factor=Decimal(factor))


@st.composite
def packaged_sheets(draw: st.DrawFn) -> PriceSheet:
    """Choose a real sheet with every kind of token priced, on a real day."""
    model = draw(st.sampled_from([model for model in CATALOG.models if model.batch]))
    last = model.retires_on or DAY
    assert model.launched_on is not None
    first = max(model.launched_on, date(2025, 5, 22))
    day = draw(st.dates(first, max(first, date.fromordinal(last.toordinal() - 1))))
    return CATALOG.sheet("anthropic", model.name, draw(st.sampled_from(Lane)), day)


sheets = made_up_sheets() | packaged_sheets()


@st.composite
def usages(draw: st.DrawFn, *, input_max: int, output_max: int, writes: tuple[int, int] = (1, 1)) -> Usage:
    """Draw any usage within bounds; ``writes`` switches 5-minute and 1-hour cache writes on or off."""
    total = draw(st.integers(0, input_max))
    cuts = sorted(draw(st.lists(st.integers(0, total), min_size=3, max_size=3)))
    read, short, long = cuts[0], (cuts[1] - cuts[0]) * writes[0], (cuts[2] - cuts[1]) * writes[1]
    return Usage(
        input_tokens=total,
        output_tokens=draw(st.integers(0, output_max)),
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        inference_geo=draw(st.sampled_from([None, "us", "global", "not_available"])),
    )


bounds = st.one_of(st.integers(0, 4_000), st.integers(0, 1_000_000))


@given(sheet=sheets, usage=usages(input_max=400_000, output_max=200_000))
def test_the_fast_cost_is_the_exact_cost_rounded_once(sheet: PriceSheet, usage: Usage) -> None:
    assert sheet.cost_nanos(usage) == money.cost_nanos(sheet.cost(usage))


@given(sheet=made_up_sheets(), usage=usages(input_max=4_000, output_max=4_000))
def test_the_exact_cost_is_tokens_times_the_prices_as_printed(sheet: PriceSheet, usage: Usage) -> None:
    """The same figure worked out from the rows, the slow and obvious way."""
    counts = {
        TokenKind.INPUT: usage.uncached_tokens,
        TokenKind.CACHE_WRITE_5M: usage.cache_write_5m_tokens,
        TokenKind.CACHE_WRITE_1H: usage.cache_write_1h_tokens,
        TokenKind.CACHE_READ: usage.cache_read_tokens,
        TokenKind.OUTPUT: usage.output_tokens,
    }
    total = Fraction(0)
    for kind, count in counts.items():
        reached = [
            row for row in sheet.rows if row.kind is kind and row.prompt_tokens_over <= max(0, usage.input_tokens - 1)
        ]
        row = max(reached, key=lambda row: row.prompt_tokens_over)
        total += count * Fraction(row.dollars_per_million) / 1_000_000
    assert sheet.cost(usage) == total * (Fraction(sheet.us_factor) if usage.inference_geo == "us" else 1)


@given(sheet=sheets, usage=usages(input_max=400_000, output_max=200_000))
def test_the_parts_are_the_whole(sheet: PriceSheet, usage: Usage) -> None:
    assert sum(sheet.parts(usage).values()) == sheet.cost(usage)


@given(sheet=sheets, input_max=bounds, output_max=bounds, data=st.data())
def test_no_usage_within_the_bounds_passes_the_ceiling(
    sheet: PriceSheet, input_max: int, output_max: int, data: st.DataObject
) -> None:
    usage = data.draw(usages(input_max=input_max, output_max=output_max))
    assert sheet.cost_nanos(usage) <= sheet.ceiling_nanos(input_max, output_max)


@given(
    sheet=sheets,
    input_max=bounds,
    output_max=bounds,
    write=st.sampled_from([("", (0, 0)), ("5m", (1, 0)), ("1h", (1, 1))]),
    data=st.data(),
)
def test_nor_does_one_that_writes_no_dearer_cache_than_the_body_said(
    sheet: PriceSheet, input_max: int, output_max: int, write: tuple[str, tuple[int, int]], data: st.DataObject
) -> None:
    name, writes = write
    usage = data.draw(usages(input_max=input_max, output_max=output_max, writes=writes))
    us_only = usage.inference_geo == "us"
    ceiling = sheet.ceiling_nanos(input_max, output_max, dearest_write=name, us_only=us_only)
    assert sheet.cost_nanos(usage) <= ceiling


@given(sheet=sheets, counts=st.tuples(bounds, bounds), more=st.tuples(bounds, bounds))
def test_a_larger_request_has_no_smaller_ceiling(
    sheet: PriceSheet, counts: tuple[int, int], more: tuple[int, int]
) -> None:
    larger = sheet.ceiling_nanos(counts[0] + more[0], counts[1] + more[1])
    assert sheet.ceiling_nanos(*counts) <= larger
