"""The provider's own bill, in exact fractions, apart from anybody else's books.

Here: every billed generation and their sum. Not here: what a generation used (``usage``), what a token costs
(``prices``). Law: nothing leaves the bill, not even when a batch is deleted; a sum is never rounded.

A line costs ``sum(tokens * rate) / denominator`` nano-dollars. Two sums are kept: the exact one, and the sum of lines
each rounded to a whole nano-dollar, half to even, which is what a ledger of integers can be compared with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from operator import mul
from typing import Any, Protocol

from lowtide_simulator.clock import Instant, rfc3339, to_datetime
from lowtide_simulator.prices import NANOS_PER_DOLLAR, Rates, find_rates
from lowtide_simulator.usage import Usage


class Used(Protocol):
    """What a generation used, by the kinds that are priced apart: both halves' usages are such."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds."""
        ...

    @property
    def each(self) -> tuple[int, ...]:
        """Tokens, in the order of ``kinds``."""
        ...

    def to_json(self, service_tier: str) -> dict[str, Any]:
        """The provider's own ``usage`` object."""
        ...


class Charged(Protocol):
    """What each kind costs: whole numbers over one denominator."""

    @property
    def each(self) -> tuple[int, ...]:
        """In the order of a usage's ``kinds``."""
        ...

    @property
    def denominator(self) -> int:
        """``sum(tokens * rate) / denominator`` is nano-dollars."""
        ...


def half_even(numerator: int, denominator: int) -> int:
    """A whole number from a fraction, half to even."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (1 if twice > denominator or (twice == denominator and quotient % 2) else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One billed generation. ``digest`` is the hexadecimal SHA-256 of the canonical request body.

    ``rates`` is None where the price table of Anthropic's half decides. ``metadata`` is what the customer wrote on the
    batch or the request, where the provider has such a thing.
    """

    at: Instant
    model: str
    price: str
    lane: str
    usage: Used
    digest: str
    request_id: str
    batch_id: str | None = None
    custom_id: str | None = None
    provider: str = "anthropic"
    rates: Charged | None = None
    metadata: dict[str, str] | None = None


class Lines(Protocol):
    """A source of lines that keeps them in its own compact way (a batch does)."""

    def billed(self) -> Iterator[Line]:
        """Its lines, in a fixed order."""
        ...


def line_rates(line: Line) -> Charged:
    """The rates that this line is charged at, on the day it was made."""
    if line.rates is not None:
        return line.rates
    assert isinstance(line.usage, Usage)
    return rates_of(line.price, line.usage, to_datetime(line.at).date(), batch=line.lane == "batch")


def rates_of(price: str, usage: Usage, day: date, *, batch: bool) -> Rates:
    """The rates for a usage: its prompt's length tier, geography and speed."""
    return find_rates(price, day, usage.prompt, batch=batch, us_geo=usage.geo == "us", fast=usage.fast)


def cost(usage: Used, rates: Charged) -> int:
    """Nano-dollars times ``rates.denominator``."""
    return sum(map(mul, usage.each, rates.each))


class Bill:
    """All billed generations: single ones kept here, those of batches by reference to their batch."""

    def __init__(self) -> None:
        self.count = 0
        self.nanos = 0
        self.exact = Fraction(0)
        self._sources: list[Line | Lines] = []
        self._by: dict[tuple[str, str, str], list[Any]] = {}
        self._provider: dict[str, str] = {}

    def add(self, line: Line) -> None:
        """Bill one real-time generation."""
        self._sources.append(line)
        self.tally(line.model, line.lane, line.usage, line_rates(line), provider=line.provider)

    def add_batch(self, batch: Lines) -> None:
        """Keep a batch as a source of lines; it has called ``tally`` for each of them."""
        self._sources.append(batch)

    def tally(self, model: str, lane: str, usage: Used, rates: Charged, *, provider: str = "anthropic") -> None:
        """Add one generation to the sums."""
        self.count += 1
        numerator = cost(usage, rates)
        self.nanos += half_even(numerator, rates.denominator)
        self._provider[model] = provider
        for kind, amount, rate in zip(usage.kinds, usage.each, rates.each, strict=True):
            if amount:
                row = self._by.get((model, lane, kind))
                if row is None:
                    row = self._by[model, lane, kind] = [0, {}]
                row[0] += amount
                row[1][rates.denominator] = row[1].get(rates.denominator, 0) + amount * rate

    def rows(self) -> list[tuple[str, str, str, int, Fraction]]:
        """Model, lane, token kind, tokens, exact nano-dollars."""
        return [
            (model, lane, kind, tokens, sum((Fraction(n, d) for d, n in parts.items()), Fraction(0)))
            for (model, lane, kind), (tokens, parts) in sorted(self._by.items())
        ]

    def total(self) -> Fraction:
        """The whole bill in dollars, exact."""
        return sum((row[4] for row in self.rows()), Fraction(0)) / NANOS_PER_DOLLAR

    def lines(self) -> Iterator[Line]:
        """Every billed generation in the order of billing."""
        for source in self._sources:
            if isinstance(source, Line):
                yield source
            else:
                yield from source.billed()

    def to_json(self) -> dict[str, Any]:
        """The body of ``GET /_simulator/bill``."""
        total = self.total()
        return {
            "simulated": True,
            "total": {"numerator": total.numerator, "denominator": total.denominator, "dollars": decimal_text(total)},
            "nanos": self.nanos,
            "lines": self.count,
            "by": [
                {
                    "provider": self._provider[model], "model": model, "lane": lane, "kind": kind, "tokens": tokens,
                    "numerator": nanos.numerator, "denominator": nanos.denominator * NANOS_PER_DOLLAR,
                    "dollars": decimal_text(nanos / NANOS_PER_DOLLAR),
                }
                for model, lane, kind, tokens, nanos in self.rows()
            ],
        }  # fmt: skip


def line_json(line: Line) -> dict[str, Any]:
    """One line of ``GET /_simulator/bill/lines``; numerator / denominator is dollars, in lowest terms."""
    rates = line_rates(line)
    numerator = cost(line.usage, rates)
    dollars = Fraction(numerator, rates.denominator * NANOS_PER_DOLLAR)
    return {
        "at": rfc3339(line.at),
        "request_id": line.request_id,
        "batch_id": line.batch_id,
        "custom_id": line.custom_id,
        "provider": line.provider,
        "metadata": line.metadata,
        "model": line.model,
        "lane": line.lane,
        "usage": line.usage.to_json(line.lane),
        "numerator": dollars.numerator,
        "denominator": dollars.denominator,
        "nanos": half_even(numerator, rates.denominator),
        "prompt_digest": line.digest,
    }


def decimal_text(amount: Fraction) -> str:
    """A fraction whose denominator divides a power of ten as a decimal, exactly; all prices here are such.

    Raises ValueError for any other.
    """
    if 10**60 % amount.denominator:
        message = f"{amount} has no finite decimal"
        raise ValueError(message)
    places = 0
    while amount.denominator != 1 and (amount * 10**places).denominator != 1:
        places += 1
    digits = str(abs((amount * 10**places).numerator)).rjust(places + 1, "0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{digits[: len(digits) - places]}.{digits[len(digits) - places :] or '0'}"
