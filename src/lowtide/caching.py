"""Caching that pays: which shared beginnings of a run's prompts get a breakpoint, for how long, and what that is worth.

A judgement from counts, prices and hit rates; nothing is sent, marked or looked up here (codecs mark, the catalog knows
prices, the store knows earlier hits). The law: a hit is a probability with a stated basis, a breakpoint stands only
where it is expected to save money, and every figure is compared with no caching and with caching everywhere.

The prompts of a run are a tree of prefixes: system, then what a file shares, then what a node shares. Each boundary may
carry a breakpoint, at most four on the way of one request. A request reads the longest prefix that is readable, writes on
to its last breakpoint, and pays the plain price for the rest. So every token is paid by the breakpoint nearest below it.

Source: prompt caching and batch pages and the measurements in anthropics/skills#1475 and Bike4Mind/bike4mind#2741, checked
2026-11-21: real-time and batch caches do not see each other; a cold batch with breakpoints read nothing and cost more than
one without; after a batch of one item with the prefix about all of the rest read it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from math import lcm
from typing import Final, NewType

from lowtide.catalog import Lane, PriceSheet
from lowtide.money import TOKENS_PER_PRICE, ZERO, Nanos, cost_nanos, show_dollars
from lowtide.request import Neutral
from lowtide.usage import Usage

PrefixId = NewType("PrefixId", str)

BREAKPOINTS_MAX: Final = 4
NESTED_MAX: Final = 6
"""Boundaries on the way of one prompt at which others go another way; deeper ones get no breakpoint."""

BOUNDARIES_MAX: Final = 32
"""Boundaries of one prompt that are counted; of more, the first ones and the last."""

WARM_SAVING_MIN: Final = Nanos(10_000_000)
"""What waiting for a first batch must save at least: a cent."""

MINIMUM_UNKNOWN_TOKENS: Final = 4_096
"""The longest minimum that any model is known to have, taken where a model's own is not known."""

ONE: Final = 10_000
"""Hit rates are counted in ten-thousandths."""

LIFETIMES: Final = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "12h": timedelta(hours=12),
}
"""How long an entry stays readable after its last use. 5m and 1h are Anthropic's, 30m and 12h OpenAI's."""


# what is known


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
    # About 15 requests a minute and prefix reach one machine, the rest others; no hit rates are published.
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
class Terms:
    """Where and under which terms the requests are bought: one model, one lane, one wave.

    ``minimum_tokens`` is the shortest prefix that is cached, ``None`` when unknown. ``cold`` and ``warmed`` are the hit
    rates when all go at once, and when one request of each prefix goes first. ``warm_allowed`` says whether there is time
    for that: a batch more, or in real time a first answer. ``spread`` is how long the requests take from first to last (a
    batch: the turnaround that nine in ten keep), ``delay`` what passes between the end of a first batch and the creation
    of the next. ``in_flight`` are the calls at once in real time: so many write before the first can be read.
    ``warm_saving_min`` is what waiting for a first batch must save.
    """

    lane: Lane
    style: CacheStyle
    rates: Rates
    minimum_tokens: int | None
    cold: HitRate
    warmed: HitRate
    warm_allowed: bool = True
    spread: timedelta = timedelta(hours=1)
    delay: timedelta = timedelta(minutes=2)
    in_flight: int = 1
    warm_saving_min: Nanos = WARM_SAVING_MIN


# what is decided


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
    """What caching does for these requests. Amounts are what their whole input is expected to cost, in nano-dollars."""

    decisions: tuple[Decision, ...]
    mode: CacheMode
    lifetime: str
    warm: bool
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


def judge(prefixes: Sequence[Prefix], terms: Terms, *, requests: int, tail_tokens: int = 0) -> Judgement:
    """Decide for every prefix of a run, so that the whole input is expected to cost least.

    ``prefixes`` come parents first. ``requests`` are all of them; ``tail_tokens`` belong to those without any prefix.
    """
    tree = _Tree.grow(prefixes, terms, requests=requests, tail_tokens=tail_tokens)
    choice = _choose(tree)
    everywhere = _everywhere(tree)
    nothing = _Choice(lifetime="", warm=False, marks=frozenset())
    settled = tree.sums(choice)
    before = tree.sums(everywhere)
    plain = tree.sums(nothing)
    decisions = tuple(
        _decide(tree, number, choice, (plain.of(number), before.of(number), settled.of(number)))
        for number in range(1, len(tree.nodes))
    )
    none, every, chosen = (sums.total() for sums in (plain, before, settled))
    return Judgement(
        decisions=decisions,
        mode=choice.mode,
        lifetime=choice.lifetime,
        warm=choice.warm,
        sharing=_sharing(tree),
        tokens=settled.split(),
        none=none,
        everywhere=every,
        chosen=chosen,
        why=_summary(tree, choice, none=none, everywhere=every, chosen=chosen),
    )


# the arithmetic


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """One way to cache a whole tree: a lifetime, whether to warm, and the numbers of the nodes with a breakpoint."""

    lifetime: str
    warm: bool
    marks: frozenset[int]
    mode: CacheMode = CacheMode.ALONE
    writes_tails: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class _Counts:
    """Requests by what they do with a token at some place, in ten-thousandths of a request."""

    plain: int = 0
    written: int = 0
    read: int = 0

    def plus(self, other: "_Counts") -> "_Counts":
        return _Counts(self.plain + other.plain, self.written + other.written, self.read + other.read)

    def times(self, tokens: int) -> "_Counts":
        return _Counts(self.plain * tokens, self.written * tokens, self.read * tokens)


@dataclass(frozen=True, slots=True)
class _Prices:
    """Integer prices of one token in ``1 / scale`` dollars."""

    plain: int
    written: int
    read: int
    scale: int

    @classmethod
    def make(cls, rates: Rates, lifetime: str) -> "_Prices":
        exact = [
            Fraction(price) / TOKENS_PER_PRICE
            for price in (
                rates.plain,
                rates.writes.get(lifetime, rates.plain),
                rates.plain if rates.read is None else rates.read,
            )
        ]
        scale = lcm(*(price.denominator for price in exact))
        plain, written, read = (int(price * scale) for price in exact)
        return cls(plain, written, read, scale)

    def units(self, counts: _Counts) -> int:
        return counts.plain * self.plain + counts.written * self.written + counts.read * self.read

    def nanos(self, counts: _Counts) -> Nanos:
        return cost_nanos(Fraction(self.units(counts), self.scale * ONE))


@dataclass(frozen=True, slots=True)
class _Sums:
    """What each node's own tokens cost, and what all the tails cost."""

    prices: _Prices
    nodes: tuple[_Counts, ...]
    tails: _Counts

    def of(self, number: int) -> Nanos:
        return self.prices.nanos(self.nodes[number])

    def whole(self) -> _Counts:
        counts = self.tails
        for node in self.nodes:
            counts = counts.plus(node)
        return counts

    def total(self) -> Nanos:
        return self.prices.nanos(self.whole())

    def split(self) -> TokenSplit:
        whole = self.whole()
        return TokenSplit(plain=whole.plain // ONE, written=whole.written // ONE, read=whole.read // ONE)


@dataclass(frozen=True, slots=True)
class _Tree:
    """Prefixes by number, parents before their children; number 0 is the empty prefix of all requests."""

    terms: Terms
    nodes: tuple[Prefix, ...]
    parents: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...]

    @classmethod
    def grow(cls, prefixes: Sequence[Prefix], terms: Terms, *, requests: int, tail_tokens: int) -> "_Tree":
        direct = requests - sum(prefix.requests for prefix in prefixes if prefix.parent == ROOT)
        assert direct >= 0, "no more requests begin with a prefix than there are"
        root = Prefix(id=ROOT, parent=ROOT, tokens=0, requests=requests, ending=direct, tail_tokens=tail_tokens)
        numbers: dict[PrefixId, int] = {ROOT: 0}
        children: list[list[int]] = [[]]
        parents = [0]
        for number, prefix in enumerate(prefixes, start=1):
            parent = numbers[prefix.parent]
            assert prefix.id not in numbers, "a prefix is named once"
            numbers[prefix.id] = number
            parents.append(parent)
            children[parent].append(number)
            children.append([])
        nodes = (root, *prefixes)
        for node, below in zip(nodes, children, strict=True):
            assert node.ending + sum(nodes[child].requests for child in below) == node.requests, (
                "all requests are counted"
            )
        levels = [0] * len(nodes)
        for number in range(1, len(nodes)):
            levels[number] = levels[parents[number]] + (not _goes_on(nodes, children, number))
        return cls(terms, nodes, tuple(parents), tuple(map(tuple, children)), tuple(levels))

    @property
    def minimum(self) -> int:
        known = self.terms.minimum_tokens
        return MINIMUM_UNKNOWN_TOKENS if known is None else known

    def own_tokens(self, number: int) -> int:
        """Tokens between the boundary before and this one."""
        return max(0, self.nodes[number].tokens - self.nodes[self.parents[number]].tokens)

    def share(self, number: int, *, lifetime: str, warm: bool) -> int:
        """How many ten-thousandths of the requests that could read this prefix do."""
        base = self.terms.warmed if warm or self.nodes[number].readable else self.terms.cold
        alive = alive_share(
            self.nodes[number].requests,
            lifetime=LIFETIMES.get(lifetime, LIFETIMES["5m"]),
            spread=self.spread(number),
            delay=self.terms.delay if warm and self.terms.lane is Lane.BATCH else timedelta(0),
            recovers=self.terms.lane is not Lane.BATCH,
        )
        return int(base.share * ONE) * alive // ONE

    def spread(self, number: int) -> timedelta:
        """How long the requests of this prefix take: a batch spreads them out; in real time they go one after another."""
        if self.terms.lane is Lane.BATCH:
            return self.terms.spread
        return self.terms.spread * self.nodes[number].requests // max(1, self.nodes[0].requests)

    def writers(self, number: int, choice: _Choice) -> int:
        """How many requests write this prefix for certain because none could have been there before them."""
        node = self.nodes[number]
        if node.readable:
            return 0
        if self.terms.lane is Lane.BATCH:
            return self.warmers(number, choice) if choice.warm else 1
        return 1 if choice.warm else min(node.requests, max(1, self.terms.in_flight))

    def warmers(self, number: int, choice: _Choice) -> int:
        """Requests of the first batch that pass here: one for each innermost breakpoint. They all go at once."""
        below = sum(self.warmers(child, choice) for child in self.children[number])
        return below or (number in choice.marks and not self.nodes[number].readable)

    def sums(self, choice: _Choice) -> _Sums:
        """Count what every node's own tokens meet: each is paid by the nearest breakpoint at or below it."""
        at: list[_Counts] = [_Counts()] * len(self.nodes)
        for number in reversed(range(len(self.nodes))):
            node = self.nodes[number]
            if number in choice.marks:
                at[number] = self.met(number, choice)
            else:
                written = choice.writes_tails and self.tail_is_written(number)
                at[number] = _Counts(written=node.ending * ONE) if written else _Counts(plain=node.ending * ONE)
                for child in self.children[number]:
                    at[number] = at[number].plus(at[child])
        own = tuple(at[number].times(self.own_tokens(number)) for number in range(len(self.nodes)))
        tails = _Counts()
        for number, node in enumerate(self.nodes):
            writes = choice.writes_tails and self.tail_is_written(number)
            tails = tails.plus(_Counts(0 if writes else ONE, ONE if writes else 0, 0).times(node.tail_tokens))
        return _Sums(_Prices.make(self.terms.rates, choice.lifetime), own, tails)

    def met(self, number: int, choice: _Choice) -> _Counts:
        """What the requests of a node with a breakpoint do with its tokens."""
        requests = self.nodes[number].requests
        writers = min(requests, self.writers(number, choice))
        hits = (requests - writers) * self.share(number, lifetime=choice.lifetime, warm=choice.warm)
        missed = requests * ONE - hits
        return _Counts(plain=missed, read=hits) if choice.automatic else _Counts(written=missed, read=hits)

    def tail_is_written(self, number: int) -> bool:
        """Whether a provider that writes by default writes what stands after this prefix: if the prompt is long enough."""
        node = self.nodes[number]
        return node.tokens + node.tail_tokens // max(1, node.ending) >= self.minimum

    def cacheable(self, number: int) -> bool:
        """Whether a breakpoint here can do anything."""
        return number > 0 and self.nodes[number].tokens >= self.minimum

    def candidate(self, number: int) -> bool:
        """Whether a breakpoint here could be the best: not where the next boundary is the same for all who come here."""
        node = self.nodes[number]
        if not self.cacheable(number) or self.levels[number] > NESTED_MAX:
            return False
        return node.readable or (node.requests > 1 and not self.goes_on(number))

    def goes_on(self, number: int) -> bool:
        """Whether all who begin with this prefix have the same next boundary, so that a breakpoint there covers this one."""
        return _goes_on(self.nodes, self.children, number)


def _goes_on(nodes: Sequence[Prefix], children: Sequence[Sequence[int]], number: int) -> bool:
    below = children[number]
    if len(below) != 1:
        return False
    one, next_one = nodes[number], nodes[below[0]]
    return (one.requests, one.readable) == (next_one.requests, next_one.readable)


def alive_share(
    requests: int, *, lifetime: timedelta, spread: timedelta, delay: timedelta = timedelta(0), recovers: bool = False
) -> int:
    """Give how many ten-thousandths of the reads come before the entry has lapsed.

    The requests are taken to fall evenly over ``spread``, the first at the earliest ``delay`` after the write; each read
    starts the lifetime anew. ``recovers``: after a lapse the next request's write can be read by those after it (in real
    time); in a batch what lapsed is gone for the rest of it. How a provider really spreads a batch is not known.
    """
    if requests < 1 or lifetime <= delay:
        return 0
    if spread + delay <= lifetime:
        return ONE
    with localcontext() as context:
        context.prec = 30
        late = [max(Decimal(0), 1 - Decimal(room // timedelta(seconds=1)) / max(1, spread // timedelta(seconds=1)))
                for room in (lifetime - delay, lifetime)]  # fmt: skip
        first, later = (1 - share**requests for share in late)
        if recovers:
            kept = later
        else:
            # The n-th read needs every gap before it to be short: first * (1 + later + later ** 2 ...) / n.
            total = Decimal(requests) if later == 1 else (1 - later**requests) / (1 - later)
            kept = first * total / requests
        return max(0, min(ONE, int(kept * ONE)))


# choosing


def _choose(tree: _Tree) -> _Choice:
    terms = tree.terms
    match terms.style:
        case CacheStyle.NONE:
            return _Choice(lifetime="", warm=False, marks=frozenset())
        case CacheStyle.AUTOMATIC:
            return _Choice(lifetime="", warm=False, marks=_all_marks(tree), automatic=True)
        case CacheStyle.MARKED | CacheStyle.IMPLICIT:
            return _choose_marks(tree)


def _choose_marks(tree: _Tree) -> _Choice:
    """Take the cheapest of: nothing, breakpoints at once, breakpoints after a first batch, over the lifetimes allowed."""
    terms = tree.terms
    written = terms.style is CacheStyle.IMPLICIT and any(
        tree.tail_is_written(number) for number, node in enumerate(tree.nodes) if node.ending
    )
    mode = CacheMode.EXPLICIT if written else CacheMode.ALONE
    best = _Choice(lifetime="", warm=False, marks=frozenset(), mode=mode)
    cost = tree.sums(best).total()
    waiting = terms.warm_saving_min if terms.lane is Lane.BATCH else ZERO
    for choice in _marked_ways(tree, mode):
        # What waits for a first batch has to be cheaper by what the waiting is worth.
        amount = Nanos(tree.sums(choice).total() + (waiting if choice.warm else 0))
        if choice.marks and amount < cost:
            best, cost = choice, amount
    return best


def _marked_ways(tree: _Tree, mode: CacheMode) -> Iterable[_Choice]:
    """Give the cheapest breakpoints for each way to send and each lifetime."""
    for warm in (False, True) if tree.terms.warm_allowed else (False,):
        for lifetime in lifetimes_allowed(tree.terms, warm=warm):
            marks = _cheapest_marks(tree, lifetime=lifetime, warm=warm)
            yield _Choice(lifetime=lifetime, warm=warm, marks=marks, mode=mode)


def lifetimes_allowed(terms: Terms, *, warm: bool) -> tuple[str, ...]:
    """List lifetimes worth a look, shortest first.

    In a batch only those that outlast the wait and the turnaround, or the longest there is: a batch may stand still for
    most of its time, and an entry that lapses takes every later hit with it.
    """
    known = sorted((name for name in terms.rates.writes), key=LIFETIMES.__getitem__)
    if terms.lane is not Lane.BATCH:
        return tuple(known)
    waited = terms.spread + (terms.delay if warm else timedelta(0))
    lasting = [name for name in known if LIFETIMES[name] >= waited]
    return tuple(lasting or known[-1:])


def _all_marks(tree: _Tree) -> frozenset[int]:
    """Mark every boundary that is long enough; on the way of each request the deepest four."""
    depth: dict[int, int] = {}  # breakpoints below and at a node, on the longest way
    marks = set()
    for number in reversed(range(1, len(tree.nodes))):
        below = max((depth[child] for child in tree.children[number]), default=0)
        marked = tree.cacheable(number) and below < BREAKPOINTS_MAX
        depth[number] = below + marked
        if marked:
            marks.add(number)
    return frozenset(marks)


def _everywhere(tree: _Tree) -> _Choice:
    """What one does who caches without arithmetic: every boundary marked, all sent at once, the lifetime the manuals name."""
    match tree.terms.style:
        case CacheStyle.NONE:
            return _Choice(lifetime="", warm=False, marks=frozenset())
        case CacheStyle.AUTOMATIC:
            return _choose(tree)
        case CacheStyle.MARKED | CacheStyle.IMPLICIT as style:
            known = sorted(tree.terms.rates.writes, key=LIFETIMES.__getitem__)
            long = tree.terms.lane is Lane.BATCH and style is CacheStyle.MARKED
            tails = style is CacheStyle.IMPLICIT
            lifetime = known[-1 if long else 0]
            return _Choice(lifetime=lifetime, warm=False, marks=_all_marks(tree), writes_tails=tails)


@dataclass(frozen=True, slots=True)
class _Found:
    """The cost of a subtree in the prices' units, and its breakpoints."""

    units: int
    marks: tuple[int, ...] = ()

    def plus(self, other: "_Found") -> "_Found":
        return _Found(self.units + other.units, self.marks + other.marks)


@dataclass(frozen=True, slots=True)
class _Ways:
    """The best of a subtree without any warmer in it, and with one or more (``None`` where that cannot be)."""

    calm: _Found
    warmed: _Found | None = None

    def plus(self, found: _Found) -> "_Ways":
        return _Ways(self.calm.plus(found), self.warmed and self.warmed.plus(found))

    def cheaper(self, other: "_Ways") -> "_Ways":
        either = self.warmed or other.warmed
        return _Ways(_least(self.calm, other.calm), either and _least(self.warmed, other.warmed))

    def best(self) -> _Found:
        return _least(self.calm, self.warmed)


def _least(*ways: _Found | None) -> _Found:
    """Give the cheapest of those that can be; the first of equals."""
    return min((way for way in ways if way is not None), key=lambda way: way.units)


def _joined(found: Iterable[_Found]) -> _Found:
    parts = tuple(found)
    return _Found(sum(part.units for part in parts), tuple(mark for part in parts for mark in part.marks))


@dataclass(slots=True)
class _Search:
    """The cheapest breakpoints of one tree, for one lifetime and way. Exact: every node is tried with and without."""

    tree: _Tree
    lifetime: str
    warm: bool
    prices: _Prices
    staged: bool  # a first batch, in which all warmers go at once and none reads another's prefix

    def ways(self, number: int, above: int, left: int, extra: int) -> _Ways:
        """Find the cheapest breakpoints of a subtree.

        ``above`` is the token count of the last breakpoint before it, ``left`` how many more a request may carry, ``extra``
        what one more warmer pays for the breakpoints before it.
        """
        tree, node = self.tree, self.tree.nodes[number]
        open_tokens = max(0, node.tokens - above)
        without = self._below(number, above, left, extra).plus(
            _Found(node.ending * open_tokens * self.prices.plain * ONE)
        )
        if not left or not tree.candidate(number):
            return without
        blend, writers, warming = self._paid(number)
        own = _Found(open_tokens * ((node.requests - writers) * blend + writers * self.prices.written * ONE), (number,))
        more = extra + (open_tokens * (self.prices.written * ONE - blend) if warming else 0)
        inner = self._below(number, node.tokens, left - 1, more).plus(own)
        if not warming:
            return without.cheaper(inner)
        # Where nothing further in is warmed, the first batch has one request for this very prefix.
        alone = inner.calm.plus(_Found(more))
        return _Ways(without.calm, _least(without.warmed, _least(alone, inner.warmed)))

    def _below(self, number: int, above: int, left: int, extra: int) -> _Ways:
        ways = [self.ways(child, above, left, extra) for child in self.tree.children[number]]
        able = [at for at, way in enumerate(ways) if way.warmed]
        calm = _joined(way.calm for way in ways)
        if not able:
            return _Ways(calm)
        chosen = [way.best() for way in ways]
        if not any(chosen[at] is ways[at].warmed for at in able):
            # At least one has to be warmed: the one that this costs least.
            first = min(able, key=lambda at: _least(ways[at].warmed).units - ways[at].calm.units)
            chosen[first] = _least(ways[first].warmed)
        return _Ways(calm, _joined(chosen))

    def _paid(self, number: int) -> tuple[int, int, bool]:
        """What a reader pays for one token, how many write for certain, and whether warmers are counted one by one."""
        node = self.tree.nodes[number]
        share = self.tree.share(number, lifetime=self.lifetime, warm=self.warm)
        blend = share * self.prices.read + (ONE - share) * self.prices.written
        if self.staged:
            return blend, 0, not node.readable
        choice = _Choice(lifetime=self.lifetime, warm=self.warm, marks=frozenset({number}))
        return blend, min(node.requests, self.tree.writers(number, choice)), False


def _cheapest_marks(tree: _Tree, *, lifetime: str, warm: bool) -> frozenset[int]:
    search = _Search(
        tree=tree,
        lifetime=lifetime,
        warm=warm,
        prices=_Prices.make(tree.terms.rates, lifetime),
        staged=warm and tree.terms.lane is Lane.BATCH,
    )
    return frozenset(search.ways(0, 0, BREAKPOINTS_MAX, 0).best().marks)


# saying it


def _decide(tree: _Tree, number: int, choice: _Choice, amounts: tuple[Nanos, Nanos, Nanos]) -> Decision:
    none, everywhere, chosen = amounts
    terms, node = tree.terms, tree.nodes[number]
    marked = number in choice.marks and not choice.automatic
    # Where nothing is chosen the reason speaks of the best way there was.
    way = choice.warm or (terms.warm_allowed and not choice.lifetime)
    looked = choice.lifetime or next(iter(lifetimes_allowed(terms, warm=way)), "")
    base = terms.warmed if way or node.readable else terms.cold
    hits = HitRate(
        share=Fraction(tree.share(number, lifetime=looked, warm=way), ONE), basis=base.basis, source=base.source
    )
    even = break_even(terms.rates, looked)
    warm = marked and choice.warm and not node.readable
    saved = Nanos(none - chosen)
    return Decision(
        prefix=node,
        lifetime=choice.lifetime if marked else "",
        warm=warm,
        hits=hits,
        break_even=even,
        none=none,
        everywhere=everywhere,
        chosen=chosen,
        why=_why_marked(looked, hits, saved, warm=warm)
        if marked
        else _why_not(tree, number, looked, hits, even, saved),
    )


def _why_marked(lifetime: str, hits: HitRate, saved: Nanos, *, warm: bool) -> str:
    """Say in one plain sentence why this prefix ends in a breakpoint."""
    first = "after one request has gone first, " if warm else ""
    money = f"saves {show_dollars(saved)}" if saved >= 0 else "it serves the prefixes around it"
    return f"Breakpoint for {lifetime}: {first}{_found(hits)}; {money}."


def _why_not(tree: _Tree, number: int, looked: str, hits: HitRate, even: Fraction | None, saved: Nanos) -> str:
    """Say in one plain sentence why this prefix ends in none; the first reason that holds."""
    node, terms = tree.nodes[number], tree.terms
    if terms.style is CacheStyle.NONE or even is None:
        return "No breakpoint: no cache with a price is known for this model on this lane."
    if terms.style is CacheStyle.AUTOMATIC:
        return "No breakpoint: this provider caches by itself and takes nothing for writing."
    if saved:
        return "No breakpoint of its own: longer prefixes that begin with it have theirs."
    if node.requests < 2:
        return "No breakpoint: only one request begins with it."
    if not tree.cacheable(number):
        unknown = ", taken where a model's own is not known" if terms.minimum_tokens is None else ""
        return f"No breakpoint: {node.tokens:,} tokens are below the minimum of {tree.minimum:,}{unknown}."
    if hits.share <= even:
        late = "" if terms.warm_allowed else "; there is no time for one request to go first"
        return f"No breakpoint: {_found(hits)}, and a write for {looked} pays from {_percent(even)} on{late}."
    return f"No breakpoint: {node.requests:,} requests are too few to earn back a write for {looked}."


def _found(hits: HitRate) -> str:
    return f"{_percent(hits.share)} of the others are expected to find it ({hits.basis})"


def _summary(tree: _Tree, choice: _Choice, *, none: Nanos, everywhere: Nanos, chosen: Nanos) -> str:
    style = tree.terms.style
    if style is CacheStyle.NONE:
        return "No cache with a price is known for this model on this lane."
    if style is CacheStyle.AUTOMATIC:
        return f"The provider caches by itself, free of charge; expected to save {show_dollars(none - chosen)}."
    if not choice.marks:
        saved = f"; writing everything would cost {show_dollars(everywhere - none)} more" if everywhere > none else ""
        return f"No breakpoint pays here{saved}."
    first = ", after one request of each has gone first" if choice.warm else ""
    return (
        f"{len(choice.marks):,} prefixes are cached for {choice.lifetime}{first}; saves {show_dollars(none - chosen)}."
    )


def _percent(share: Fraction) -> str:
    return f"{round(share * 100)} %"


def _sharing(tree: _Tree) -> Sharing:
    shared = cacheable = repeated = whole = 0
    for number, node in enumerate(tree.nodes):
        tokens = tree.own_tokens(number)
        whole += tokens * node.requests + node.tail_tokens
        if number and node.requests > 1:
            shared += tokens * node.requests
            if tree.cacheable(number) or any(
                tree.cacheable(below) and tree.nodes[below].requests > 1 for below in _all_below(tree, number)
            ):
                cacheable += tokens * node.requests
                repeated += tokens * (node.requests - 1)
    return Sharing(
        requests=tree.nodes[0].requests,
        input_tokens=whole,
        shared_tokens=shared,
        cacheable_tokens=cacheable,
        repeated_tokens=repeated,
    )


def _all_below(tree: _Tree, number: int) -> Iterable[int]:
    for child in tree.children[number]:
        yield child
        yield from _all_below(tree, child)


# the saving of each technique


@dataclass(frozen=True, slots=True, kw_only=True)
class Techniques:
    """What the same tokens cost with no technique, with each alone, and with both (V5), in exact dollars."""

    none: Fraction = Fraction(0)
    caching: Fraction = Fraction(0)
    batch: Fraction = Fraction(0)
    both: Fraction = Fraction(0)

    def plus(self, other: "Techniques") -> "Techniques":
        """Add another request's."""
        return Techniques(
            none=self.none + other.none,
            caching=self.caching + other.caching,
            batch=self.batch + other.batch,
            both=self.both + other.both,
        )


def techniques(usage: Usage, *, realtime: PriceSheet, batch: PriceSheet) -> Techniques:
    """Price one request's tokens four times. Sum these, never usages: a sum would reach a tier that no request did.

    Raises: PriceUnknown when a kind of token has no price on either lane.
    """
    bare = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        web_searches=usage.web_searches,
        inference_geo=usage.inference_geo,
    )
    return Techniques(
        none=realtime.cost(bare), caching=realtime.cost(usage), batch=batch.cost(bare), both=batch.cost(usage)
    )


# counting prefixes, grouping requests


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts the prefixes of neutral bodies as they come by; of bodies only the last one's shared texts are kept.

    ``count`` guesses the tokens of a text. ``prefixes_max`` bounds the memory: when it is reached, what is new counts as
    part of the tail, and ``overflowed`` counts the requests that this befell.
    """

    count: Callable[[str], int]
    prefixes_max: int = 200_000
    requests: int = 0
    tail_tokens: int = 0
    overflowed: int = 0
    _nodes: dict[PrefixId, "_Node"] = field(default_factory=dict)
    _recent: list["_Boundary"] = field(default_factory=list)

    def add(self, body: Neutral, *, prompt_tokens: int) -> PrefixId:
        """Count one request of so many likely tokens; give its innermost prefix, ``ROOT`` for none."""
        self.requests += 1
        innermost, begun = ROOT, 0
        for boundary in self._boundaries(body):
            node = self._nodes.get(boundary.prefix)
            if node is None:
                if len(self._nodes) >= self.prefixes_max:
                    self.overflowed += 1
                    break
                node = self._nodes[boundary.prefix] = _Node(parent=innermost, tokens=boundary.tokens)
            node.requests += 1
            innermost, begun = boundary.prefix, boundary.tokens
        tail = max(0, prompt_tokens - begun)
        if innermost == ROOT:
            self.tail_tokens += tail
        else:
            self._nodes[innermost].ending += 1
            self._nodes[innermost].tail_tokens += tail
        return innermost

    def prefixes(self) -> tuple[Prefix, ...]:
        """Give what was counted, in order of first sight: parents before their children."""
        return tuple(
            Prefix(
                id=name,
                parent=node.parent,
                tokens=node.tokens,
                requests=node.requests,
                ending=node.ending,
                tail_tokens=node.tail_tokens,
            )
            for name, node in self._nodes.items()
        )

    def judge(self, terms: Terms) -> Judgement:
        """Decide for all that was counted."""
        return judge(self.prefixes(), terms, requests=self.requests, tail_tokens=self.tail_tokens)

    def _boundaries(self, body: Neutral) -> list["_Boundary"]:
        """List the boundaries of a body. What it has in common with the body before is neither hashed nor counted again."""
        found: list[_Boundary] = []
        same = True
        before = _Boundary(("", ""), ROOT, 0)
        texts = [("system", body.system), *(("shared", text) for text in body.shared)]
        for position, place in enumerate(place for place in texts if place[1]):
            same = same and position < len(self._recent) and self._recent[position].place == place
            before = self._recent[position] if same else before.then(place, self.count(place[1]))
            found.append(before)
        self._recent = found
        # However many were left out, the last one has the same parent: it has more than BOUNDARIES_MAX before it.
        return found if len(found) <= BOUNDARIES_MAX else [*found[: BOUNDARIES_MAX - 1], found[-1]]


@dataclass(frozen=True, slots=True)
class _Boundary:
    """Where a shared text ends: its place in the body and that text, the prefix up to here, and its tokens."""

    place: tuple[str, str]
    prefix: PrefixId
    tokens: int

    def then(self, place: tuple[str, str], tokens: int) -> "_Boundary":
        hasher = hashlib.sha256("\0".join((self.prefix, place[0], "")).encode())
        hasher.update(place[1].encode("utf-8", "surrogatepass"))
        return _Boundary(place, PrefixId(hasher.hexdigest()[:32]), self.tokens + tokens)


@dataclass(slots=True, kw_only=True)
class _Node:
    parent: PrefixId
    tokens: int
    requests: int = 0
    ending: int = 0
    tail_tokens: int = 0


def ranks(prefixes: Sequence[Prefix]) -> dict[PrefixId, int]:
    """Rank the prefixes so that requests sorted by (rank of their innermost prefix, place in the plan) share longest.

    A prefix comes right before everything that begins with it; otherwise first sight decides, so the order is stable.
    ``ROOT`` comes first.
    """
    children: dict[PrefixId, list[PrefixId]] = {}
    for prefix in prefixes:
        children.setdefault(prefix.parent, []).append(prefix.id)
    order: dict[PrefixId, int] = {}
    waiting = [ROOT]
    while waiting:
        name = waiting.pop()
        order[name] = len(order)
        waiting += reversed(children.get(name, []))
    return order


def first_of_each(judgement: Judgement, requests: Iterable[tuple[int, PrefixId]]) -> tuple[int, ...]:
    """Choose the requests that go first: (place in the plan, innermost prefix), one for each innermost warmed prefix.

    What is chosen is one of the run's own requests, bought anyway; nothing is asked only to warm. Empty without warming.
    """
    parents = {decision.prefix.id: decision.prefix.parent for decision in judgement.decisions}
    warmed = judgement.warmed()
    inner = warmed - _ancestors(warmed, parents)
    found: dict[PrefixId, int] = {}
    for seq, prefix in requests:
        name = prefix
        while name != ROOT and name not in inner:
            name = parents[name]
        if name != ROOT:
            found[name] = min(seq, found.get(name, seq))
    return tuple(sorted(found.values()))


def _ancestors(names: Iterable[PrefixId], parents: Mapping[PrefixId, PrefixId]) -> frozenset[PrefixId]:
    above: set[PrefixId] = set()
    for start in names:
        name = parents[start]
        while name != ROOT and name not in above:
            above.add(name)
            name = parents[name]
    return frozenset(above)
