"""The price sheet: every price of one model on one lane on one day, compiled for exact and fast arithmetic.

Nothing here looks up a model or a day (``Catalog.sheet`` does). The law: integers and fractions only, one rounding
(half to even for a cost, up for a ceiling), and a kind of token without a price raises; it never counts as free.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from math import lcm
from typing import Protocol

from lowtide.catalog.rows import Lane, Price, TokenKind
from lowtide.errors import PriceUnknown
from lowtide.money import NANOS_PER_DOLLAR, TOKENS_PER_PRICE, Nanos
from lowtide.usage import Usage

NANOS_PER_PRICE = NANOS_PER_DOLLAR // TOKENS_PER_PRICE
# Every kind of token and where a usage counts it; plain input is what is left of the input without the others.
COUNTS = {
    TokenKind.INPUT: "uncached_tokens",
    TokenKind.CACHE_WRITE_5M: "cache_write_5m_tokens",
    TokenKind.CACHE_WRITE_1H: "cache_write_1h_tokens",
    TokenKind.CACHE_WRITE_30M: "cache_write_30m_tokens",
    TokenKind.CACHE_WRITE_12H: "cache_write_12h_tokens",
    TokenKind.CACHE_READ: "cache_read_tokens",
    TokenKind.OUTPUT: "output_tokens",
}
TOKEN_KINDS = tuple(COUNTS)
TOKENS_MAX = 2**65  # no usage counts so many: what is kept has 63 bits
# What a body may write when the dearest write it can cause is known; no provider sells all four lifetimes.
WRITES = {
    "": (),
    "5m": (TokenKind.CACHE_WRITE_5M,),
    "1h": (TokenKind.CACHE_WRITE_5M, TokenKind.CACHE_WRITE_1H),
    "30m": (TokenKind.CACHE_WRITE_30M,),
    "12h": (TokenKind.CACHE_WRITE_30M, TokenKind.CACHE_WRITE_12H),
    None: (
        TokenKind.CACHE_WRITE_5M,
        TokenKind.CACHE_WRITE_1H,
        TokenKind.CACHE_WRITE_30M,
        TokenKind.CACHE_WRITE_12H,
    ),
}

# One tier: prompts over so many tokens, then the price of each kind in TOKEN_KINDS, in 1/scale nano-dollars a token.
Tier = tuple[int, int, int, int, int, int, int, int]
# One tier of a ceiling: prompts over so many tokens, then the dearest input and the dearest output up to there.
Bound = tuple[int, int, int]


class Tokens(Protocol):
    """Tokens of a prompt or an answer: hardly fewer than ``floor``, probably ``likely``, never more than ``ceiling``."""

    @property
    def floor(self) -> int:
        """Hardly fewer."""
        ...

    @property
    def likely(self) -> int:
        """Probably."""
        ...

    @property
    def ceiling(self) -> int:
        """Never more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSheet:
    """All prices of one model on one lane on one day.

    ``rows`` are the dated rows it was made of: show them with their sources. ``us_factor`` multiplies token prices (not
    searches) where ``Usage.inference_geo`` is ``us``. A tier says only what differs from the tier below it.
    """

    provider: str
    model: str
    lane: Lane
    day: date
    rows: tuple[Price, ...]
    us_factor: Decimal = Decimal(1)
    _scale: int = field(init=False, repr=False, compare=False)
    _world: tuple[Tier, ...] = field(init=False, repr=False, compare=False)  # highest tier first
    _us: tuple[Tier, ...] = field(init=False, repr=False, compare=False)
    _dearest_world: tuple[Tier, ...] = field(init=False, repr=False, compare=False)  # with what is open at its most
    _dearest_us: tuple[Tier, ...] = field(init=False, repr=False, compare=False)
    _bounds: dict[tuple[str | None, bool], tuple[Bound, ...]] = field(init=False, repr=False, compare=False)  # a memo
    _search: int | None = field(init=False, repr=False, compare=False)
    _unpriced: frozenset[TokenKind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tiers = _tiers(self.rows)
        dearest = _tiers(self.rows, dearest=True)
        search = [row.dollars_per_million for row in self.rows if row.kind is TokenKind.WEB_SEARCH]
        factors = (Fraction(1), Fraction(self.us_factor))
        exact = [Fraction(price) for _, prices in (*tiers, *dearest) for price in prices.values()]
        nanos = [price * factor * NANOS_PER_PRICE for price in exact for factor in factors]
        nanos += [Fraction(price) * NANOS_PER_PRICE for price in search]
        scale = lcm(*(amount.denominator for amount in nanos))
        known = {kind for _, prices in tiers for kind in prices}
        compiled = {
            "_scale": scale,
            "_world": tuple(_compiled(over, prices, factors[0], scale) for over, prices in tiers),
            "_us": tuple(_compiled(over, prices, factors[1], scale) for over, prices in tiers),
            "_dearest_world": tuple(_compiled(over, prices, factors[0], scale) for over, prices in dearest),
            "_dearest_us": tuple(_compiled(over, prices, factors[1], scale) for over, prices in dearest),
            "_bounds": {},
            "_search": int(Fraction(search[0]) * NANOS_PER_PRICE * scale) if search else None,
            "_unpriced": frozenset(TOKEN_KINDS) - known,
        }
        for name, content in compiled.items():
            object.__setattr__(self, name, content)

    @property
    def thresholds(self) -> tuple[int, ...]:
        """Prompt lengths in tokens above which the price of the whole request changes, shortest first."""
        return tuple(sorted({row.prompt_tokens_over for row in self.rows} - {0}))

    def cost(self, usage: Usage) -> Fraction:
        """Give the exact dollars that this usage of one request costs.

        Sum costs, never usages: a sum of requests would reach a long-prompt tier that none of them did.

        Raises: PriceUnknown when the usage has a kind of token, or a speed, that has no price here.
        """
        return Fraction(self._units(usage), self._scale * NANOS_PER_DOLLAR)

    def cost_nanos(self, usage: Usage) -> Nanos:
        """Give what this usage costs in nano-dollars: ``money.cost_nanos(self.cost(usage))`` by integers alone.

        Called once per settled request. Raises: PriceUnknown as ``cost`` does.
        """
        return _half_even(self._units(usage), self._scale)

    def parts(self, usage: Usage) -> dict[TokenKind, Fraction]:
        """Give the exact dollars of this usage by kind, kinds with nothing left out; they sum to ``cost``.

        Raises: PriceUnknown as ``cost`` does.
        """
        total = self._units(usage)
        _, *prices = self._tier(usage)
        counts = [
            (kind, getattr(usage, name), price) for (kind, name), price in zip(COUNTS.items(), prices, strict=True)
        ]
        units = {kind: count * price for kind, count, price in counts if count}
        if usage.web_searches:
            units[TokenKind.WEB_SEARCH] = usage.web_searches * (self._search or 0)
        assert sum(units.values()) == total, "the parts are the whole"
        return {kind: Fraction(amount, self._scale * NANOS_PER_DOLLAR) for kind, amount in units.items()}

    def likely_nanos(self, input_tokens: int, output_tokens: int) -> Nanos:
        """Give what plain tokens cost, none of them cached, in nano-dollars."""
        return self.likely_parts(input_tokens, output_tokens)[0]

    def likely_parts(self, input_tokens: int, output_tokens: int) -> tuple[Nanos, Nanos]:
        """Give what plain tokens cost, and what of it the prompt alone costs, each rounded, in nano-dollars."""
        for tier in self._world:  # a loop: four times a request, where a generator costs more than the sum
            if input_tokens > tier[0]:
                break
        prompt = input_tokens * tier[1]
        whole, scale = prompt + output_tokens * tier[7], self._scale
        if scale == 1:  # nearly every sheet has whole nano-dollars a token: there is nothing to round
            return Nanos(whole), Nanos(prompt)
        return _half_even(whole, scale), _half_even(prompt, scale)

    def quote(
        self, prompt: Tokens, answer: Tokens, *, dearest_write: str | None = None, us_only: bool = True
    ) -> tuple[int, int, int, int, int, int]:
        """Give floor, likely cost and ceiling of a request, then the same of its answer alone: all by ``*_parts``.

        The answer's share is what is left without the prompt's, for its price may hang on the prompt's length. Raises:
        PriceUnknown as ``ceiling_nanos`` does.
        """
        bounds = self._bounds.get((dearest_write, us_only)) or self._make_bounds(dearest_write, us_only=us_only)
        if self._scale == 1 and len(self._world) == 1:  # one tier in whole nano-dollars: six products are all there is
            plain, written = self._world[0][1], self._world[0][7]
            _, dearest_input, dearest_output = bounds[0]
            floor, likely, most = answer.floor * written, answer.likely * written, answer.ceiling * dearest_output
            prompt_floor, prompt_likely, prompt_most = (
                prompt.floor * plain,
                prompt.likely * plain,
                prompt.ceiling * dearest_input,
            )
            return prompt_floor + floor, prompt_likely + likely, prompt_most + most, floor, likely, most
        floor, prompt_floor = self.likely_parts(prompt.floor, answer.floor)
        likely, prompt_likely = self.likely_parts(prompt.likely, answer.likely)
        most, prompt_most = self.ceiling_parts(
            prompt.ceiling, answer.ceiling, dearest_write=dearest_write, us_only=us_only
        )
        return floor, likely, most, floor - prompt_floor, likely - prompt_likely, most - prompt_most

    def ceiling_nanos(
        self, input_tokens: int, output_tokens: int, *, dearest_write: str | None = None, us_only: bool = True
    ) -> Nanos:
        """Give the most that a request within these counts can be billed, in nano-dollars, rounded up.

        Where the source of a price leaves something open, the most it can be (``Price.at_most``) is counted.

        Every input token at the dearest price it may meet, in any tier that so many tokens can reach, and all of the
        output. ``dearest_write`` is the dearest cache write its body may cause (``BodyFacts``): ``""`` for none,
        ``5m``, ``1h``, ``30m``, ``12h``; ``None`` means any that has a price. ``us_only`` is False only where the body
        cannot be served, and so priced, as US-only. Never below ``cost_nanos`` of any usage within these bounds
        without a web search.

        Raises: PriceUnknown when the body asks for a cache write that has no price.
        """
        return self.ceiling_parts(input_tokens, output_tokens, dearest_write=dearest_write, us_only=us_only)[0]

    def ceiling_parts(
        self, input_tokens: int, output_tokens: int, *, dearest_write: str | None = None, us_only: bool = True
    ) -> tuple[Nanos, Nanos]:
        """Give ``ceiling_nanos``, and what of it the prompt alone can be billed, each rounded up.

        Raises: PriceUnknown as ``ceiling_nanos`` does.
        """
        bounds = self._bounds.get((dearest_write, us_only)) or self._make_bounds(dearest_write, us_only=us_only)
        for over, dearest_input, dearest_output in bounds:  # noqa: B007 what it stops at is used
            if input_tokens > over:
                break
        prompt = input_tokens * dearest_input
        return (
            Nanos(-(-(prompt + output_tokens * dearest_output) // self._scale)),
            Nanos(-(-prompt // self._scale)),
        )

    def _make_bounds(self, dearest_write: str | None, *, us_only: bool) -> tuple[Bound, ...]:
        """Find the dearest prices that a request can meet in each tier and all below it, highest tier first."""
        kinds = WRITES[dearest_write]
        if dearest_write and self._unpriced.intersection(kinds):
            raise self._no_price(f"cache writes ({dearest_write})")
        # Only what may come is looked at: without a breakpoint nothing is written, though something may be read.
        inputs = [1 + TOKEN_KINDS.index(kind) for kind in (TokenKind.INPUT, TokenKind.CACHE_READ, *kinds)]
        tables = (*self._dearest_world, *self._dearest_us) if us_only else self._dearest_world
        bounds: list[Bound] = []
        for over, *_ in self._world:
            reached = [tier for tier in tables if tier[0] <= over]
            bounds.append((over, max(tier[index] for tier in reached for index in inputs), max(t[-1] for t in reached)))
        self._bounds[dearest_write, us_only] = tuple(bounds)
        return tuple(bounds)

    def digest(self) -> str:
        """Give the SHA-256 (hex) of what things cost here: a plan keeps it to see whether its prices still hold.

        Days and sources are left out: a price that only got an end date, or a better source, is the same price.
        """
        lines = [f"{self.provider} {self.model} {self.lane} us {_plain(self.us_factor)}"]
        lines += sorted(f"{row.kind} {row.prompt_tokens_over} {_plain(row.dollars_per_million)}" for row in self.rows)
        lines += sorted(
            f"{row.kind} {row.prompt_tokens_over} at most {_plain(row.at_most)}" for row in self.rows if row.at_most
        )
        return sha256("\n".join(lines).encode()).hexdigest()

    def _tier(self, usage: Usage) -> Tier:
        table = self._us if usage.inference_geo == "us" else self._world
        prompt = usage.input_tokens
        return next(tier for tier in table if prompt > tier[0])

    def _units(self, usage: Usage) -> int:
        """Count the cost in 1/scale nano-dollars. Written out flat: this is the settlement's inner line."""
        prompt = usage.input_tokens
        read = usage.cache_read_tokens
        short, long = usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
        half, day = usage.cache_write_30m_tokens, usage.cache_write_12h_tokens
        for tier in self._us if usage.inference_geo == "us" else self._world:
            if prompt > tier[0]:
                break
        _, plain_price, short_price, long_price, half_price, day_price, read_price, output_price = tier
        units = usage.output_tokens * output_price
        cached = read + short + long + half + day
        if cached:
            units += (prompt - cached) * plain_price + read * read_price
            units += short * short_price + long * long_price + half * half_price + day * day_price
            if units < 0:
                unknown = [kind for kind, price in zip(TOKEN_KINDS, tier[1:], strict=True) if price < 0]
                raise self._no_price(next(kind for kind in unknown if getattr(usage, COUNTS[kind])))
        else:
            units += prompt * plain_price
        if usage.web_searches or usage.speed is not None:
            units += self._rare_units(usage)
        return units

    def _rare_units(self, usage: Usage) -> int:
        """Count what few requests have: searches, a speed."""
        if usage.speed not in (None, "standard"):
            raise self._no_price(f"speed {usage.speed}")
        if not usage.web_searches:
            return 0
        if self._search is None:
            raise self._no_price(TokenKind.WEB_SEARCH)
        return usage.web_searches * self._search

    def _no_price(self, what: str) -> PriceUnknown:
        return PriceUnknown(
            f"no price for {what} of {self.model} on the {self.lane} lane on {self.day}",
            hint="add a dated price of your own to a price file",
        )


def _half_even(units: int, scale: int) -> Nanos:
    """Round units of 1/scale nano-dollars, by integers alone: this runs for every request and every answer."""
    if scale == 1:
        return Nanos(units)
    whole, rest = divmod(units, scale)
    rest += rest
    if rest > scale or (rest == scale and whole & 1):
        whole += 1
    return Nanos(whole)


def _tiers(rows: tuple[Price, ...], *, dearest: bool = False) -> list[tuple[int, dict[TokenKind, Decimal]]]:
    """List tiers with all their token prices, highest first; the base is over -1, so that it takes an empty prompt.

    ``dearest`` takes the most that a price can be where its source leaves something open.
    """
    overs = sorted({row.prompt_tokens_over for row in rows if row.kind is not TokenKind.WEB_SEARCH})
    assert overs, "a sheet has at least one token price"
    assert overs[0] == 0, "a sheet has base prices"
    tiers: list[tuple[int, dict[TokenKind, Decimal]]] = []
    prices: dict[TokenKind, Decimal] = {}
    for over in overs:
        own = {
            row.kind: row.dearest if dearest else row.dollars_per_million
            for row in rows
            if row.prompt_tokens_over == over
        }
        own.pop(TokenKind.WEB_SEARCH, None)
        prices = {**prices, **own}
        tiers.insert(0, (over or -1, prices))
    return tiers


def _compiled(over: int, prices: dict[TokenKind, Decimal], factor: Fraction, scale: int) -> Tier:
    exact = {kind: Fraction(price) * factor * NANOS_PER_PRICE * scale for kind, price in prices.items()}
    assert all(amount.denominator == 1 for amount in exact.values()), "the scale takes every price"
    # One token without a price outweighs all others there can be: the sum is below zero, which one look finds.
    unknown = -TOKENS_MAX * (1 + max(int(amount) for amount in exact.values()))
    plain, short, long, half, day, read, output = (int(exact.get(kind, unknown)) for kind in TOKEN_KINDS)
    return (over, plain, short, long, half, day, read, output)


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f")
