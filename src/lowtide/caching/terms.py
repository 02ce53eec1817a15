"""The words of caching: hit rates with their basis, input prices, prefixes, and what is decided about them.

Nothing is decided here (``choice``) and nothing counted (``tree``). The law: a hit is a probability that says what it
rests on, and an amount is expected money in nano-dollars, compared with no caching and with caching everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final, NewType

from lowtide.catalog import Lane, PriceSheet
from lowtide.money import Nanos

PrefixId = NewType("PrefixId", str)

WARM_SAVING_MIN: Final = Nanos(10_000_000)
"""What waiting for a first batch must save at least: a cent."""

LIFETIMES: Final = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "12h": timedelta(hours=12),
}
"""How long an entry stays readable after its last use. 5m and 1h are Anthropic's, 30m and 12h OpenAI's."""


class CacheStyle(StrEnum):
    """Who decides what is written into a provider's cache."""

    MARKED = "marked"  # only what a breakpoint ends is written (Anthropic)
    IMPLICIT = "implicit"  # every long prompt is written for a fee unless the body says otherwise (OpenAI from 5.6 on)
    AUTOMATIC = "automatic"  # every long prompt is written, free of charge (OpenAI before 5.6)
    NONE = "none"  # no cache, or none whose prices are known


class HitBasis(StrEnum):
    """What a hit rate rests on, surest first."""

    MEASURED = "measured"  # answers in this store
    PUBLISHED = "published"  # measurements that others published
    ASSUMED = "assumed"  # nobody is known to have measured it


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRate:
    """The share of requests that find a prefix which another one wrote before them; the writer itself is not counted."""

    share: Fraction
    basis: HitBasis
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitsSeen:
    """Hits in this store, of one provider, lane and way (cold or warmed): batches, their requests, those that read.

    In real time a run counts as one batch. Requests that wrote a prefix first are left out.
    """

    batches: int
    requests: int
    hits: int


PRIOR_BATCHES: Final = 2
"""Hits of one batch go together, so a batch is one observation; the prior weighs as much as so many."""

PRIORS: Final[Mapping[tuple[str, Lane, bool], HitRate]] = {
    ("anthropic", Lane.BATCH, False): HitRate(
        share=Fraction(0), basis=HitBasis.PUBLISHED, source="Bike4Mind/bike4mind#2741: a cold batch of 138 read nothing"
    ),
    ("anthropic", Lane.BATCH, True): HitRate(
        share=Fraction(98, 100), basis=HitBasis.PUBLISHED, source="Bike4Mind/bike4mind#2741: about 100 % after one item"
    ),
    ("anthropic", Lane.REALTIME, False): HitRate(
        share=Fraction(99, 100), basis=HitBasis.PUBLISHED, source="an entry is readable once the first answer has begun"
    ),
    ("anthropic", Lane.REALTIME, True): HitRate(
        share=Fraction(99, 100), basis=HitBasis.PUBLISHED, source="an entry is readable once the first answer has begun"
    ),
    # Cached tokens are cheaper in batches, too, and a hit rate there was compared with that of flex; neither is stated.
    # About 15 requests a minute and prefix reach one machine, the rest others.
    ("openai", Lane.BATCH, True): HitRate(share=Fraction(1, 2), basis=HitBasis.ASSUMED),
    ("openai", Lane.REALTIME, False): HitRate(share=Fraction(1, 2), basis=HitBasis.ASSUMED),
    ("openai", Lane.REALTIME, True): HitRate(share=Fraction(1, 2), basis=HitBasis.ASSUMED),
}
"""Hit rates before anything was measured, by provider, lane and whether the prefix was warmed. Checked 2026-11-22."""

UNMEASURED: Final = HitRate(share=Fraction(0), basis=HitBasis.ASSUMED)


def prior(provider: str, lane: Lane, *, warmed: bool) -> HitRate:
    """Give the stated prior; zero where nobody is known to have measured it."""
    return PRIORS.get((provider, lane, warmed), UNMEASURED)


def expected_hits(seen: HitsSeen | None, before: HitRate) -> HitRate:
    """Weigh what this store has seen against the prior, which counts as ``PRIOR_BATCHES`` batches."""
    if seen is None or not seen.batches or not seen.requests:
        return before
    measured = Fraction(seen.hits, seen.requests) * seen.batches
    share = (measured + before.share * PRIOR_BATCHES) / (seen.batches + PRIOR_BATCHES)
    return HitRate(share=share, basis=HitBasis.MEASURED, source=f"{seen.batches} batches in this store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Dollars per million input tokens on one lane: plain, written (by lifetime), read.

    ``writes`` is empty where writing costs no more than the plain price. ``read`` is ``None`` where no discount is known.
    """

    plain: Decimal
    writes: Mapping[str, Decimal] = field(default_factory=dict)
    read: Decimal | None = None


def rates_of(sheet: PriceSheet, *, prompt_tokens: int = 0) -> Rates:
    """Read the input prices of a sheet that hold for a prompt of so many tokens."""
    prices: dict[str, Decimal] = {}
    for row in sorted(sheet.rows, key=lambda row: row.prompt_tokens_over):
        if row.prompt_tokens_over == 0 or row.prompt_tokens_over < prompt_tokens:
            prices[row.kind.value] = row.dollars_per_million
    writes = {name: prices[f"cache_write_{name}"] for name in LIFETIMES if f"cache_write_{name}" in prices}
    return Rates(plain=prices["input"], writes=writes, read=prices.get("cache_read"))


def style_of(provider: str, rates: Rates) -> CacheStyle:
    """Say how a model is cached, from its provider and from which of its cache prices exist."""
    if rates.read is None:
        return CacheStyle.NONE
    if provider == "openai":
        return CacheStyle.IMPLICIT if rates.writes else CacheStyle.AUTOMATIC
    return CacheStyle.MARKED if rates.writes else CacheStyle.AUTOMATIC


def break_even(rates: Rates, lifetime: str) -> Fraction | None:
    """Give the hit rate from which a write of this lifetime pays: (write - 1) / (write - read), in the plain price.

    0 where writing is free; ``None`` where no hit rate pays.
    """
    if rates.read is None or rates.read >= rates.plain:
        return None
    write = rates.writes.get(lifetime, rates.plain)
    return Fraction(write - rates.plain) / Fraction(write - rates.read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """One boundary in a run's prompts. ``parent`` is the boundary before it, empty for the first of a prompt.

    ``tokens`` are likely and count from the start of the prompt. ``requests`` begin with it; ``ending`` of them have no
    further boundary, and ``tail_tokens`` is what those say after it, all together. ``readable`` is True where a batch of
    ours (a real-time call, for that lane) wrote it and it is still alive: nobody has to write it again.
    """

    id: PrefixId
    parent: PrefixId
    tokens: int
    requests: int
    ending: int
    tail_tokens: int = 0
    readable: bool = False


ROOT: Final = PrefixId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The prefixes of some requests, parents before their children; how many requests there are in all.

    ``tail_tokens`` is what those requests say that begin with no prefix. Requests of one model, lane and wave.
    """

    prefixes: tuple[Prefix, ...] = ()
    requests: int
    tail_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Where and under which terms the requests are bought: one model, one lane, one wave.

    ``minimum_tokens`` is the shortest prefix that is cached, ``None`` when unknown. ``cold`` and ``warmed`` are the hit
    rates when all go at once, and when one request of each prefix goes first. ``rounds_max`` says how often there is time
    to wait for that: a batch more each, in real time a first answer; 0 for never. ``spread`` is how long the requests take
    from first to last (a batch: the turnaround that nine in ten keep), ``delay`` what passes between the end of a first
    batch and the creation of the next. ``in_flight`` are the calls at once in real time: so many write before the first
    can be read.
    ``warm_saving_min`` is what waiting for a first batch must save.
    """

    lane: Lane
    style: CacheStyle
    rates: Rates
    minimum_tokens: int | None
    cold: HitRate
    warmed: HitRate
    rounds_max: int = 1
    spread: timedelta = timedelta(hours=1)
    delay: timedelta = timedelta(minutes=2)
    in_flight: int = 1
    warm_saving_min: Nanos = WARM_SAVING_MIN


class CacheMode(StrEnum):
    """What a body says to a provider that writes unless told otherwise (``CacheStyle.IMPLICIT``)."""

    ALONE = "alone"  # nothing is said: the provider's own way
    EXPLICIT = "explicit"  # only what a breakpoint ends is written; without one, nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSplit:
    """Expected input tokens by what they meet."""

    plain: int
    written: int
    read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one prefix, and why.

    ``lifetime`` is empty for no breakpoint. ``warm``: one request with it goes first, in a batch of its own (in real
    time: alone). The three amounts are expected, for the tokens between the boundary before and this one, over all
    requests that begin with it. ``break_even`` is the hit rate from which the write pays, ``hits`` what is expected.
    """

    prefix: Prefix
    lifetime: str
    warm: bool
    hits: HitRate
    break_even: Fraction | None
    none: Nanos
    everywhere: Nanos
    chosen: Nanos
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How much of the input is shared at all (V6), in likely tokens.

    ``shared_tokens`` stand in prefixes that two or more requests begin with; ``cacheable_tokens`` are those of them that
    are long enough to be cached; ``repeated_tokens`` is what could be read at the very best: each prefix written once.
    """

    requests: int
    input_tokens: int
    shared_tokens: int
    cacheable_tokens: int
    repeated_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What caching does for these requests. Amounts are what their whole input is expected to cost, in nano-dollars.

    ``rounds`` is how often first requests are waited for before the rest goes out (``first_of_each``).
    """

    decisions: tuple[Decision, ...]
    mode: CacheMode
    lifetime: str
    rounds: int
    sharing: Sharing
    tokens: TokenSplit
    none: Nanos
    everywhere: Nanos
    chosen: Nanos
    why: str

    def marked(self) -> frozenset[PrefixId]:
        """Give the prefixes that end in a breakpoint."""
        return frozenset(decision.prefix.id for decision in self.decisions if decision.lifetime)

    def warmed(self) -> frozenset[PrefixId]:
        """Give the prefixes of which one request has to go first."""
        return frozenset(decision.prefix.id for decision in self.decisions if decision.warm)
