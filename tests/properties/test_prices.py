"""Laws of prices, for any sheet and any usage: one rounding, parts make the whole, a ceiling is never passed."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from lowtide import money
from lowtide.catalog import PACKAGED, Lane, Price, PriceSheet, TokenKind
from lowtide.catalog.parse import parse
from lowtide.estimate import Basis, TokenRange
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
                at_most=draw(st.none() | amounts),
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
    """Choose a real sheet, on any lane that its model is sold on, on a real day."""
    model = draw(st.sampled_from([model for model in CATALOG.models if model.batch]))
    last = model.retires_on or date(2026, 12, 31)
    assert model.launched_on is not None
    first = max(model.launched_on, date(2025, 5, 22))
    day = draw(st.dates(first, max(first, date.fromordinal(last.toordinal() - 1))))
    return CATALOG.sheet(
        model.provider, model.name, draw(st.sampled_from(CATALOG.lanes(model.provider, model.name, day))), day
    )


sheets = made_up_sheets() | packaged_sheets()


LIFETIMES = ("5m", "1h", "30m", "12h")


def sold(sheet: PriceSheet) -> frozenset[str]:
    """Name the lifetimes of a cache that a sheet has a price for."""
    return frozenset(life for life in LIFETIMES for row in sheet.rows if row.kind == f"cache_write_{life}")


@st.composite
def usages(draw: st.DrawFn, *, input_max: int, output_max: int, writes: frozenset[str], read: bool = True) -> Usage:
    """Draw any usage within bounds; ``writes`` are the lifetimes that may be written."""
    total = draw(st.integers(0, input_max))
    cuts = [0, *sorted(draw(st.lists(st.integers(0, total), min_size=5, max_size=5)))]
    parts = [later - earlier for earlier, later in pairwise(cuts)]
    written = {life: part if life in writes else 0 for life, part in zip(LIFETIMES, parts, strict=False)}
    return Usage(
        input_tokens=total,
        output_tokens=draw(st.integers(0, output_max)),
        cache_read_tokens=parts[4] if read else 0,
        cache_write_5m_tokens=written["5m"],
        cache_write_1h_tokens=written["1h"],
        cache_write_30m_tokens=written["30m"],
        cache_write_12h_tokens=written["12h"],
        inference_geo=draw(st.sampled_from([None, "us", "global", "not_available"])),
    )


bounds = st.one_of(st.integers(0, 4_000), st.integers(0, 1_000_000))


def any_usage(data: st.DataObject, sheet: PriceSheet, *, input_max: int, output_max: int) -> Usage:
    """Draw a usage of nothing but what the sheet has a price for."""
    return data.draw(usages(input_max=input_max, output_max=output_max, writes=sold(sheet), read=reads(sheet)))


def reads(sheet: PriceSheet) -> bool:
    return any(row.kind is TokenKind.CACHE_READ for row in sheet.rows)


@given(sheet=sheets, data=st.data())
def test_the_fast_cost_is_the_exact_cost_rounded_once(sheet: PriceSheet, data: st.DataObject) -> None:
    usage = any_usage(data, sheet, input_max=400_000, output_max=200_000)
    assert sheet.cost_nanos(usage) == money.cost_nanos(sheet.cost(usage))


@given(sheet=sheets, data=st.data())
def test_the_exact_cost_is_tokens_times_the_prices_as_printed(sheet: PriceSheet, data: st.DataObject) -> None:
    """The same figure worked out from the rows, the slow and obvious way."""
    longest = 4_000 if sheet.provider == "p" else 400_000
    usage = any_usage(data, sheet, input_max=longest, output_max=4_000)
    counts = {
        TokenKind.INPUT: usage.uncached_tokens,
        TokenKind.CACHE_WRITE_5M: usage.cache_write_5m_tokens,
        TokenKind.CACHE_WRITE_1H: usage.cache_write_1h_tokens,
        TokenKind.CACHE_WRITE_30M: usage.cache_write_30m_tokens,
        TokenKind.CACHE_WRITE_12H: usage.cache_write_12h_tokens,
        TokenKind.CACHE_READ: usage.cache_read_tokens,
        TokenKind.OUTPUT: usage.output_tokens,
    }
    total = Fraction(0)
    for kind, count in counts.items():
        reached = [
            row for row in sheet.rows if row.kind is kind and row.prompt_tokens_over <= max(0, usage.input_tokens - 1)
        ]
        if count:
            row = max(reached, key=lambda row: row.prompt_tokens_over)
            total += count * Fraction(row.dollars_per_million) / 1_000_000
    assert sheet.cost(usage) == total * (Fraction(sheet.us_factor) if usage.inference_geo == "us" else 1)


@given(sheet=sheets, data=st.data())
def test_the_parts_are_the_whole(sheet: PriceSheet, data: st.DataObject) -> None:
    usage = any_usage(data, sheet, input_max=400_000, output_max=200_000)
    assert sum(sheet.parts(usage).values()) == sheet.cost(usage)


@given(sheet=sheets, input_max=bounds, output_max=bounds, data=st.data())
def test_no_usage_within_the_bounds_passes_the_ceiling(
    sheet: PriceSheet, input_max: int, output_max: int, data: st.DataObject
) -> None:
    usage = any_usage(data, sheet, input_max=input_max, output_max=output_max)
    assert sheet.cost_nanos(usage) <= sheet.ceiling_nanos(input_max, output_max)


@given(
    sheet=sheets,
    input_max=bounds,
    output_max=bounds,
    write=st.sampled_from([("", ""), ("5m", "5m"), ("1h", "5m 1h"), ("30m", "30m"), ("12h", "30m 12h")]),
    data=st.data(),
)
def test_nor_does_one_that_writes_no_dearer_cache_than_the_body_said(
    sheet: PriceSheet, input_max: int, output_max: int, write: tuple[str, str], data: st.DataObject
) -> None:
    name, lifetimes = write
    writes = frozenset(lifetimes.split())
    assume(writes <= sold(sheet))
    usage = data.draw(usages(input_max=input_max, output_max=output_max, writes=writes, read=reads(sheet)))
    us_only = usage.inference_geo == "us"
    ceiling = sheet.ceiling_nanos(input_max, output_max, dearest_write=name, us_only=us_only)
    assert sheet.cost_nanos(usage) <= ceiling


@given(sheet=sheets, counts=st.tuples(bounds, bounds), more=st.tuples(bounds, bounds))
def test_a_larger_request_has_no_smaller_ceiling(
    sheet: PriceSheet, counts: tuple[int, int], more: tuple[int, int]
) -> None:
    larger = sheet.ceiling_nanos(counts[0] + more[0], counts[1] + more[1])
    assert sheet.ceiling_nanos(*counts) <= larger


@given(
    sheets,
    st.lists(st.integers(0, 5_000), min_size=6, max_size=6),
    st.sampled_from(["", None, *LIFETIMES]),
    st.booleans(),
)
def test_a_quote_is_what_its_parts_are(
    sheet: PriceSheet, counts: list[int], dearest_write: str | None, us_only: bool
) -> None:
    prompt, answer = (
        TokenRange(floor=low, likely=middle, ceiling=high, basis=Basis.LOCAL)
        for low, middle, high in (sorted(counts[:3]), sorted(counts[3:]))
    )
    write = dearest_write if dearest_write is None or dearest_write in sold(sheet) else ""
    parts = [sheet.likely_parts(prompt.floor, answer.floor), sheet.likely_parts(prompt.likely, answer.likely)]
    parts.append(sheet.ceiling_parts(prompt.ceiling, answer.ceiling, dearest_write=write, us_only=us_only))
    wholes, answers = [whole for whole, _ in parts], [whole - alone for whole, alone in parts]
    assert sheet.quote(prompt, answer, dearest_write=write, us_only=us_only) == (*wholes, *answers)
