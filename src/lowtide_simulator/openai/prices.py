"""What OpenAI's half of the simulated provider charges, typed by hand from its published table and from nothing of ours.

Here: dollars per million tokens by model and day, fast rates, the long-context tier, and the factors of the lanes. Not
here: who used what (``bill``). Law: these figures share no source with any other table in this project.

Source: reference sheet of OpenAI's API, sections 1, 2.6 and 2.9, checked 2026-11-21. Not in that sheet and chosen here:
the cache prices of gpt-6.2-astra (a tenth, and 1.25 times the input); cached and written tokens on the fast lane (the
same ratio as its input); 12-hour writes at 2.5 times the input on every model that has them; gpt-4.1-mini,
gpt-4.1-nano, o4-mini, o3-mini and gpt-4 are from the provider's page of their time; gpt-5.6 before its present prices has its cache prices at the
present ratios.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Final

NANOS_PER_DOLLAR: Final = 1_000_000_000
TOKENS_PER_PRICE: Final = 1_000_000
LONG_CONTEXT_OVER: Final = 272_000
LONG_INPUT: Final = Fraction(2)
LONG_OUTPUT: Final = Fraction(3, 2)
WRITE_12H: Final = Fraction(5, 2)
EVER, NEVER = date(2020, 1, 1), date(9999, 1, 1)
LANES: Final[dict[str, Fraction]] = {
    "standard": Fraction(1),
    "batch": Fraction(1, 2),
    "flex": Fraction(1, 2),
    "fast": Fraction(1),
    "2h": Fraction(7, 10),
    "8h": Fraction(6, 10),
}
"""``fast`` has rates of its own below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million tokens, as printed, from a day (inclusive) to a day (exclusive). An absent one is None."""

    model: str
    input: str
    cached: str | None
    write: str | None
    output: str
    since: date = EVER
    until: date = NEVER


def _row(
    model: str, input_: str, cached: str | None, write: str | None, output: str, since: date = EVER, until: date = NEVER
) -> Price:
    return Price(model=model, input=input_, cached=cached, write=write, output=output, since=since, until=until)


AUGUST_21, JULY_30 = date(2026, 8, 21), date(2026, 7, 30)
PRICES: Final[tuple[Price, ...]] = (
    _row("gpt-6.2-astra", "8", "0.80", "10", "40"),
    _row("gpt-6.2-sol", "2", "0.10", "2.50", "10"),
    _row("gpt-6.1-sol", "2", "0.10", "2.50", "10"),
    _row("gpt-6.1-terra", "1", "0.05", "1.25", "5"),
    _row("gpt-6-astra", "10", "1", "12.50", "50"),
    _row("gpt-6-sol", "2", "0.20", "2.50", "10"),
    _row("gpt-6-luna", "0.10", "0.01", "0.125", "0.50"),
    _row("gpt-5.6-sol", "5", "0.50", "6.25", "30", until=AUGUST_21),
    _row("gpt-5.6-sol", "4", "0.40", "5", "20", since=AUGUST_21),
    _row("gpt-5.6-terra", "2.50", "0.25", "3.125", "15", until=JULY_30),
    _row("gpt-5.6-terra", "2", "0.20", "2.50", "12", since=JULY_30),
    _row("gpt-5.6-luna", "1", "0.10", "1.25", "6", until=JULY_30),
    _row("gpt-5.6-luna", "0.20", "0.02", "0.25", "1.20", since=JULY_30),
    _row("gpt-5.5", "5", "0.50", None, "30"),
    _row("gpt-5.4", "2.50", "0.25", None, "15"),
    _row("gpt-5.4-mini", "0.75", "0.075", None, "4.50"),
    _row("gpt-5.4-nano", "0.20", "0.02", None, "1.25"),
    _row("gpt-5.2", "1.75", "0.175", None, "14"),
    _row("gpt-5.1", "1.25", "0.125", None, "10"),
    _row("gpt-5", "1.25", "0.125", None, "10"),
    _row("gpt-5-mini", "0.25", "0.025", None, "2"),
    _row("gpt-5-nano", "0.05", "0.005", None, "0.40"),
    _row("gpt-4.1", "2", "0.50", None, "8"),
    _row("gpt-4.1-mini", "0.40", "0.10", None, "1.60"),
    _row("gpt-4.1-nano", "0.10", "0.025", None, "0.40"),
    _row("gpt-4o", "2.50", "1.25", None, "10"),
    _row("gpt-4o-mini", "0.15", "0.075", None, "0.60"),
    _row("o3", "10", "2.50", None, "40", until=date(2025, 6, 10)),
    _row("o3", "2", "0.50", None, "8", since=date(2025, 6, 10)),
    _row("o4-mini", "1.10", "0.275", None, "4.40"),
    _row("o3-mini", "1.10", "0.55", None, "4.40"),
    _row("gpt-4-turbo", "10", None, None, "30"),
    _row("gpt-4", "30", None, None, "60"),
    _row("gpt-3.5-turbo", "0.50", None, None, "1.50"),
)
FAST: Final[dict[str, tuple[str, str]]] = {
    "gpt-6.2-sol": ("4", "20"),
    "gpt-6.1-sol": ("4", "20"),
    "gpt-6.1-terra": ("2", "10"),
    "gpt-6-astra": ("20", "100"),
    "gpt-6-sol": ("4", "20"),
    "gpt-6-luna": ("0.20", "1"),
    "gpt-5.6-sol": ("8", "40"),
    "gpt-5.6-terra": ("4", "24"),
    "gpt-5.6-luna": ("0.40", "2.40"),
    "gpt-5.5": ("12.50", "75"),
    "gpt-5.4": ("5", "30"),
    "gpt-5.4-mini": ("1.50", "9"),
    "gpt-5.2": ("3.50", "28"),
    "gpt-5.1": ("2.50", "20"),
    "gpt-5": ("2.50", "20"),
    "gpt-5-mini": ("0.45", "3.60"),
    "gpt-4.1": ("3.50", "14"),
    "gpt-4o": ("4.25", "17"),
    "gpt-4o-mini": ("0.25", "1"),
    "o3": ("3.50", "14"),
}
"""Input and output on the fast lane: rates, not a factor. A model that is not here is served on the standard lane."""
BATCH_CACHED: Final[dict[str, str]] = {"gpt-5.4": "0.13"}
"""Cached tokens in a batch where the page does not print half of the standard rate."""
LONG_CONTEXT: Final = ("gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6")
SHORT_CONTEXT_ONLY: Final = ("gpt-5.4-mini", "gpt-5.4-nano")
FAST_SHORT_ONLY: Final = ("gpt-5.4", "gpt-5.5")


@dataclass(frozen=True, slots=True)
class Rates:
    """Whole numbers over one denominator: ``sum(tokens * rate) / denominator`` is nano-dollars, exactly."""

    each: tuple[int, ...]
    denominator: int


class UnknownPriceError(LookupError):
    """The table has no row for this model on this day: the table is wrong, because the model was sold."""


def find_price(model: str, day: date) -> Price:
    """The row in force. Raises UnknownPriceError when there is none."""
    for row in PRICES:
        if row.model == model and row.since <= day < row.until:
            return row
    message = f"no price for {model} on {day}"
    raise UnknownPriceError(message)


def is_long(model: str, prompt_tokens: int) -> bool:
    """Whether the whole request is priced as long context."""
    return (
        prompt_tokens > LONG_CONTEXT_OVER
        and model.startswith(LONG_CONTEXT)
        and not model.startswith(SHORT_CONTEXT_ONLY)
    )


def has_fast(model: str, prompt_tokens: int) -> bool:
    """Whether the fast lane has a rate for this request."""
    return model in FAST and not (model in FAST_SHORT_ONLY and is_long(model, prompt_tokens))


def find_rates(model: str, day: date, prompt_tokens: int, *, lane: str, cached_rate: bool = True) -> Rates:
    """The rates of one request, in the order of ``usage.KINDS``.

    ``cached_rate`` is False where cached tokens cost what others do (batches of models before GPT-5).
    """
    return _rates(find_price(model, day), is_long(model, prompt_tokens), lane, cached_rate)


@lru_cache(maxsize=1024)
def _rates(price: Price, long: bool, lane: str, cached_rate: bool) -> Rates:
    fresh, output = Fraction(price.input), Fraction(price.output)
    fast = FAST[price.model] if lane == "fast" else None
    pace = Fraction(fast[0]) / fresh if fast else Fraction(1)
    lengthened = LONG_INPUT if long else Fraction(1)
    factor = LANES[lane] * lengthened * pace
    cached = Fraction(price.cached) if price.cached is not None and cached_rate else fresh
    if lane == "batch" and cached_rate and price.model in BATCH_CACHED:
        cached = Fraction(BATCH_CACHED[price.model]) / LANES["batch"]
    write = Fraction(price.write) if price.write is not None else fresh
    write_12h = fresh * WRITE_12H if price.write is not None else fresh
    spoken = (Fraction(fast[1]) if fast else output) * LANES[lane] * (LONG_OUTPUT if long else 1)
    dollars = [fresh * factor, cached * factor, write * factor, write_12h * factor, spoken]
    nanos = [amount * NANOS_PER_DOLLAR / TOKENS_PER_PRICE for amount in dollars]
    denominator = lcm(*(rate.denominator for rate in nanos))
    return Rates(tuple(int(rate * denominator) for rate in nanos), denominator)
