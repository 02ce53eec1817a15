"""What the simulated provider charges, typed by hand from its published table and from nothing of ours.

Here: dollars per million tokens by model, day, prompt length and token kind, and the factors for lane, geography and
speed. Not here: who used what (``bill``). Law: these figures share no source with any other table in this project, so
that one wrong price on either side is seen when two bills are compared.

A tier applies to the whole request when its prompt (input + cache writes + cache reads) is *longer* than
``over_tokens``.

Source: reference sheet of the provider's API, sections 3.1 to 3.3, checked 2026-11-21. Models retired before 2026 are
not in that sheet: Haiku 3, Opus 3, Sonnet 3 to 3.7, and Haiku 3.5 at launch are from the provider's pricing page of
their time.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Final

NANOS_PER_DOLLAR: Final = 1_000_000_000
TOKENS_PER_PRICE: Final = 1_000_000
BATCH: Final = Fraction(1, 2)
US_GEO: Final = Fraction(11, 10)
FAST: Final = Fraction(2)

KINDS: Final = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million tokens, as printed, from a day (inclusive) to a day (exclusive)."""

    model: str
    input: str
    output: str
    write_5m: str
    write_1h: str
    read: str
    since: date = date(2024, 1, 1)
    until: date = date(9999, 1, 1)
    over_tokens: int = 0


def _row(model: str, *dollars: str, since: date | None = None, until: date | None = None, over: int = 0) -> Price:
    """A row in the order of the provider's page: in, out, 5m write, 1h write, read."""
    input_, output, write_5m, write_1h, read = dollars
    return Price(
        model=model, input=input_, output=output, write_5m=write_5m, write_1h=write_1h, read=read,
        since=since or date(2024, 1, 1), until=until or date(9999, 1, 1), over_tokens=over,
    )  # fmt: skip


PRICES: Final[tuple[Price, ...]] = (
    _row("fable-5-2", "8", "40", "10", "16", "0.20"),
    _row("fable-5-1", "10", "50", "12.50", "20", "0.25"),
    _row("fable-5", "10", "50", "12.50", "20", "1.00"),
    _row("opus-5-5", "4", "20", "5", "8", "0.20"),
    _row("opus-5", "5", "25", "6.25", "10", "0.50"),
    _row("opus-4-8", "5", "25", "6.25", "10", "0.50"),
    _row("opus-4-7", "5", "25", "6.25", "10", "0.50"),
    _row("opus-4-6", "5", "25", "6.25", "10", "0.50"),
    _row("opus-4-6", "10", "37.50", "12.50", "20", "1.00", until=date(2026, 3, 13), over=200_000),
    _row("opus-4-5", "5", "25", "6.25", "10", "0.50"),
    _row("sonnet-5-5", "2", "10", "2.50", "4", "0.20", until=date(2026, 10, 7)),
    _row("sonnet-5-5", "2", "10", "2.50", "4", "0.10", since=date(2026, 10, 7)),
    _row("sonnet-5", "2", "10", "2.50", "4", "0.20"),
    _row("sonnet-4-6", "3", "15", "3.75", "6", "0.30"),
    _row("sonnet-4-6", "6", "22.50", "7.50", "12", "0.60", until=date(2026, 3, 13), over=200_000),
    _row("sonnet-4-5", "3", "15", "3.75", "6", "0.30"),
    _row("sonnet-4-5", "6", "22.50", "7.50", "12", "0.60", until=date(2026, 4, 30), over=200_000),
    _row("sonnet-4", "3", "15", "3.75", "6", "0.30"),
    _row(
        "sonnet-4", "6", "22.50", "7.50", "12", "0.60", since=date(2025, 8, 12), until=date(2026, 4, 30), over=200_000
    ),
    _row("haiku-5-5", "0.10", "0.50", "0.125", "0.20", "0.01"),
    _row("haiku-5-5", "0.50", "2.50", "0.625", "1.00", "0.05", over=100_000),
    _row("haiku-4-5", "1", "5", "1.25", "2", "0.10"),
    _row("opus-4-1", "15", "75", "18.75", "30", "1.50"),
    _row("opus-4", "15", "75", "18.75", "30", "1.50"),
    _row("sonnet-3", "3", "15", "3.75", "6", "0.30"),
    _row("haiku-3-5", "1", "5", "1.25", "2", "0.10", until=date(2024, 12, 3)),
    _row("haiku-3-5", "0.80", "4", "1", "1.60", "0.08", since=date(2024, 12, 3)),
    _row("haiku-3", "0.25", "1.25", "0.30", "0.50", "0.03"),
    _row("opus-3", "15", "75", "18.75", "30", "1.50"),
)


@dataclass(frozen=True, slots=True)
class Rates:
    """Whole numbers over one denominator: ``sum(tokens * rate) / denominator`` is nano-dollars, exactly."""

    input: int
    write_5m: int
    write_1h: int
    read: int
    output: int
    denominator: int

    @property
    def each(self) -> tuple[int, int, int, int, int]:
        """The five rates in the order of ``KINDS``."""
        return (self.input, self.write_5m, self.write_1h, self.read, self.output)


class UnknownPriceError(LookupError):
    """The table has no row for this model on this day: the table is wrong, because the model was sold."""


def find_price(model: str, day: date, prompt_tokens: int) -> Price:
    """The row in force: the longest tier that the prompt passes. Raises UnknownPriceError when there is none."""
    sold = [row for row in PRICES if row.model == model and row.since <= day < row.until]
    rows = [row for row in sold if row.over_tokens == 0 or prompt_tokens > row.over_tokens]
    if not rows:
        message = f"no price for {model} on {day}"
        raise UnknownPriceError(message)
    return max(rows, key=lambda row: row.over_tokens)


def find_rates(
    model: str, day: date, prompt_tokens: int, *, batch: bool, us_geo: bool = False, fast: bool = False
) -> Rates:
    """The rates of one request, all factors applied (batch halves cache writes and reads too)."""
    return _rates(find_price(model, day, prompt_tokens), batch, us_geo, fast)


@lru_cache(maxsize=1024)
def _rates(price: Price, batch: bool, us_geo: bool, fast: bool) -> Rates:
    factor = (BATCH if batch else 1) * (US_GEO if us_geo else 1) * (FAST if fast else 1)
    dollars = (price.input, price.write_5m, price.write_1h, price.read, price.output)
    nanos = [Fraction(text) * factor * NANOS_PER_DOLLAR / TOKENS_PER_PRICE for text in dollars]
    denominator = lcm(*(rate.denominator for rate in nanos))
    whole = [int(rate * denominator) for rate in nanos]
    return Rates(whole[0], whole[1], whole[2], whole[3], whole[4], denominator)
