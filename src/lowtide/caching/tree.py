"""A run's prompts as a tree of prefixes, and what its tokens meet when some of them end in breakpoints.

Which ones should is decided in ``choice``. The law: every token is paid by the nearest breakpoint at or below it, counts
are integers in ten-thousandths of a request, and money is rounded once, at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Final

from lowtide.caching.terms import (
    LIFETIMES,
    ROOT,
    CacheMode,
    Counted,
    Prefix,
    PrefixId,
    Rates,
    Sharing,
    Terms,
    TokenSplit,
)
from lowtide.catalog import Lane
from lowtide.money import TOKENS_PER_PRICE, Nanos, cost_nanos

ONE: Final = 10_000
"""Hit rates are counted in ten-thousandths."""

NESTED_MAX: Final = 6
"""Boundaries on the way of one prompt at which others go another way; deeper ones get no breakpoint."""

MINIMUM_UNKNOWN_TOKENS: Final = 512
"""The shortest minimum that any model is known to have, taken where a model's own is not known: a breakpoint after too
short a prefix is passed over and costs nothing (prompt caching page, checked 2026-11-21)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to cache a whole tree: a lifetime, how often first requests are waited for, and the nodes with a breakpoint.

    ``rounds``: 0 for all at once. ``writes_tails``: a provider left alone, which writes all of every long prompt.
    """

    lifetime: str = ""
    rounds: int = 0
    marks: frozenset[int] = frozenset()
    mode: CacheMode = CacheMode.ALONE
    writes_tails: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests by what they do with a token at some place, in ten-thousandths of a request."""

    plain: int = 0
    written: int = 0
    read: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Add another place's."""
        return Counts(self.plain + other.plain, self.written + other.written, self.read + other.read)

    def times(self, tokens: int) -> "Counts":
        """Count tokens instead of requests."""
        return Counts(self.plain * tokens, self.written * tokens, self.read * tokens)


@dataclass(frozen=True, slots=True)
class Prices:
    """Integer prices of one token in ``1 / scale`` dollars."""

    plain: int
    written: int
    read: int
    scale: int

    @classmethod
    def make(cls, rates: Rates, lifetime: str) -> "Prices":
        """Compile the prices for writes of one lifetime, empty for none."""
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

    def nanos(self, counts: Counts) -> Nanos:
        """Price counts of tokens."""
        units = counts.plain * self.plain + counts.written * self.written + counts.read * self.read
        return cost_nanos(Fraction(units, self.scale * ONE))


@dataclass(frozen=True, slots=True)
class Sums:
    """What each node's own tokens cost, and what all the tails cost."""

    prices: Prices
    nodes: tuple[Counts, ...]
    tails: Counts

    def of(self, number: int) -> Nanos:
        """Price the tokens of one node."""
        return self.prices.nanos(self.nodes[number])

    def whole(self) -> Counts:
        """Count all tokens."""
        counts = self.tails
        for node in self.nodes:
            counts = counts.plus(node)
        return counts

    def total(self) -> Nanos:
        """Price all tokens."""
        return self.prices.nanos(self.whole())

    def split(self) -> TokenSplit:
        """Count whole tokens by what they meet."""
        whole = self.whole()
        return TokenSplit(plain=whole.plain // ONE, written=whole.written // ONE, read=whole.read // ONE)


@dataclass(frozen=True, slots=True)
class Tree:
    """Prefixes by number, parents before their children; number 0 is the empty prefix of all requests."""

    terms: Terms
    nodes: tuple[Prefix, ...]
    parents: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...]

    @classmethod
    def grow(cls, counted: Counted, terms: Terms) -> "Tree":
        """Number the prefixes in the order they were counted in."""
        prefixes, requests = counted.prefixes, counted.requests
        direct = requests - sum(prefix.requests for prefix in prefixes if prefix.parent == ROOT)
        assert direct >= 0, "no more requests begin with a prefix than there are"
        root = Prefix(id=ROOT, parent=ROOT, tokens=0, requests=requests, ending=direct, tail_tokens=counted.tail_tokens)
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
        """Give the shortest prefix that is cached, in tokens."""
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
        return _in_ten_thousand(base.share) * alive // ONE

    def spread(self, number: int) -> timedelta:
        """How long the requests of this prefix take: a batch spreads them out; in real time they go one after another."""
        if self.terms.lane is Lane.BATCH:
            return self.terms.spread
        return self.terms.spread * self.nodes[number].requests // max(1, self.nodes[0].requests)

    def writers(self, number: int, choice: Choice) -> int:
        """How many requests write this prefix for certain because none could have been there before them."""
        node = self.nodes[number]
        if node.readable:
            return 0
        if self.terms.lane is Lane.BATCH:
            return self.warmers(number, choice) if choice.rounds and not self.goes_ahead(number, choice) else 1
        return 1 if choice.rounds else min(node.requests, max(1, self.terms.in_flight))

    def goes_ahead(self, number: int, choice: Choice) -> bool:
        """Whether it is written in a round of its own: in the first of two, where nothing before it has to be written."""
        if choice.rounds < 2:
            return False
        above = self.parents[number]
        while above and (above not in choice.marks or self.nodes[above].readable):
            above = self.parents[above]
        return not above

    def warmers(self, number: int, choice: Choice) -> int:
        """Requests of one round that pass here: one for each innermost breakpoint. They all go at once."""
        below = sum(self.warmers(child, choice) for child in self.children[number])
        return below or (number in choice.marks and not self.nodes[number].readable)

    def sums(self, choice: Choice) -> Sums:
        """Count what every node's own tokens meet: each is paid by the nearest breakpoint at or below it."""
        at: list[Counts] = [Counts()] * len(self.nodes)
        for number in reversed(range(len(self.nodes))):
            node = self.nodes[number]
            if number in choice.marks:
                at[number] = self.met(number, choice)
            else:
                written = choice.writes_tails and self.tail_is_written(number)
                at[number] = Counts(written=node.ending * ONE) if written else Counts(plain=node.ending * ONE)
                for child in self.children[number]:
                    at[number] = at[number].plus(at[child])
        own = tuple(at[number].times(self.own_tokens(number)) for number in range(len(self.nodes)))
        tails = Counts()
        for number, node in enumerate(self.nodes):
            writes = choice.writes_tails and self.tail_is_written(number)
            tails = tails.plus(Counts(0 if writes else ONE, ONE if writes else 0, 0).times(node.tail_tokens))
        return Sums(Prices.make(self.terms.rates, choice.lifetime), own, tails)

    def met(self, number: int, choice: Choice) -> Counts:
        """What the requests of a node with a breakpoint do with its tokens."""
        requests = self.nodes[number].requests
        writers = min(requests, self.writers(number, choice))
        hits = (requests - writers) * self.share(number, lifetime=choice.lifetime, warm=choice.rounds > 0)
        missed = requests * ONE - hits
        return Counts(plain=missed, read=hits) if choice.automatic else Counts(written=missed, read=hits)

    def saves_alone(self, number: int, lifetime: str) -> bool:
        """Whether its reads would earn back one write, nothing else being marked and one request going first."""
        prices = Prices.make(self.terms.rates, lifetime)
        met = self.met(number, Choice(lifetime=lifetime, rounds=1, marks=frozenset({number})))
        return met.written * prices.written + met.read * prices.read < self.nodes[number].requests * ONE * prices.plain

    def tail_is_written(self, number: int) -> bool:
        """Whether a provider that writes by default writes what stands after this prefix: if the prompt is long enough."""
        node = self.nodes[number]
        return node.tokens + node.tail_tokens // max(1, node.ending) >= self.minimum

    def cacheable(self, number: int) -> bool:
        """Whether a breakpoint here can do anything."""
        return number > 0 and self.nodes[number].tokens >= self.minimum

    def sharing(self) -> Sharing:
        """Count how much of the input is shared at all, and how much of that could be cached."""
        shared = cacheable = repeated = whole = 0
        long_below = [False] * len(self.nodes)  # a shared prefix that is long enough stands here or further in
        for number in reversed(range(len(self.nodes))):
            node, tokens = self.nodes[number], self.own_tokens(number)
            whole += tokens * node.requests + node.tail_tokens
            if not number or node.requests < 2:
                continue
            shared += tokens * node.requests
            long_below[number] |= self.cacheable(number)
            long_below[self.parents[number]] |= long_below[number]
            if long_below[number]:
                cacheable += tokens * node.requests
                repeated += tokens * (node.requests - 1)
        return Sharing(
            requests=self.nodes[0].requests,
            input_tokens=whole,
            shared_tokens=shared,
            cacheable_tokens=cacheable,
            repeated_tokens=repeated,
        )

    def candidate(self, number: int) -> bool:
        """Whether a breakpoint here could be the best: not where the next boundary is the same for all who come here."""
        node = self.nodes[number]
        if not self.cacheable(number) or self.levels[number] > NESTED_MAX:
            return False
        return node.readable or (node.requests > 1 and not self.goes_on(number))

    def goes_on(self, number: int) -> bool:
        """Whether all who begin with this prefix have the same next boundary, so that a breakpoint there covers this one."""
        return _goes_on(self.nodes, self.children, number)


@lru_cache(maxsize=100)
def _in_ten_thousand(share: Fraction) -> int:
    """Round down: a hit that is not expected is not counted on."""
    return int(share * ONE)


def _goes_on(nodes: Sequence[Prefix], children: Sequence[Sequence[int]], number: int) -> bool:
    below = children[number]
    if len(below) != 1:
        return False
    one, next_one = nodes[number], nodes[below[0]]
    return (one.requests, one.readable) == (next_one.requests, next_one.readable)


@lru_cache(maxsize=10_000)
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
