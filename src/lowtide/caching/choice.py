"""Which prefixes end in a breakpoint, for how long, and whether one request of each goes first: what costs least.

What a choice costs is counted in ``tree``. The law: the search finds the cheapest of all choices that the terms allow,
and no caching is one of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

from lowtide.caching.terms import LIFETIMES, CacheMode, CacheStyle, Terms
from lowtide.caching.tree import ONE, Choice, Prices, Tree
from lowtide.catalog import Lane
from lowtide.money import ZERO, Nanos

BREAKPOINTS_MAX: Final = 4
"""What one request may carry, at both providers (prompt caching pages, checked 2026-11-21)."""

ROUNDS_MAX: Final = 2
"""How often a batch may wait for first requests: the outermost prefixes, then the rest."""


def choose(tree: Tree) -> Choice:
    """Give the cheapest way to cache these prefixes; what a provider does by itself is no choice of ours."""
    terms = tree.terms
    match terms.style:
        case CacheStyle.NONE:
            return Choice()
        case CacheStyle.AUTOMATIC:
            return Choice(marks=_all_marks(tree), automatic=True)
        case CacheStyle.MARKED | CacheStyle.IMPLICIT:
            return _choose_marks(tree)
    assert_never(terms.style)


def _choose_marks(tree: Tree) -> Choice:
    """Take the cheapest of: nothing, breakpoints at once, breakpoints after a first batch, over the lifetimes allowed."""
    terms = tree.terms
    written = terms.style is CacheStyle.IMPLICIT and any(
        tree.tail_is_written(number) for number, node in enumerate(tree.nodes) if node.ending
    )
    mode = CacheMode.EXPLICIT if written else CacheMode.ALONE
    best = Choice(mode=mode)
    cost = tree.sums(best).total()
    waiting = terms.warm_saving_min if terms.lane is Lane.BATCH else ZERO
    for choice in _marked_ways(tree, mode):
        # What waits for first requests has to be cheaper by what the waiting is worth.
        amount = Nanos(tree.sums(choice).total() + waiting * choice.rounds)
        if choice.marks and amount < cost:
            best, cost = choice, amount
    return best


def _marked_ways(tree: Tree, mode: CacheMode) -> Iterable[Choice]:
    """Give the cheapest breakpoints for each way to send and each lifetime."""
    for rounds in rounds_allowed(tree.terms):
        for lifetime in lifetimes_allowed(tree.terms, warm=rounds > 0):
            marks = _cheapest_marks(tree, lifetime=lifetime, rounds=rounds)
            yield Choice(lifetime=lifetime, rounds=rounds, marks=marks, mode=mode)


def rounds_allowed(terms: Terms) -> tuple[int, ...]:
    """List how often one may wait: in real time, where it takes seconds, once for each breakpoint of a request."""
    if terms.lane is Lane.BATCH:
        return tuple(range(min(terms.rounds_max, ROUNDS_MAX) + 1))
    return (0, BREAKPOINTS_MAX) if terms.rounds_max else (0,)


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


def _all_marks(tree: Tree) -> frozenset[int]:
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


def everywhere_of(tree: Tree) -> Choice:
    """What one does who caches without arithmetic: every boundary marked, all sent at once, the lifetime the manuals name."""
    style = tree.terms.style
    match style:
        case CacheStyle.NONE:
            return Choice()
        case CacheStyle.AUTOMATIC:
            return choose(tree)
        case CacheStyle.MARKED | CacheStyle.IMPLICIT:
            known = sorted(tree.terms.rates.writes, key=LIFETIMES.__getitem__)
            long = tree.terms.lane is Lane.BATCH and style is CacheStyle.MARKED
            tails = style is CacheStyle.IMPLICIT
            lifetime = known[-1 if long else 0]
            return Choice(lifetime=lifetime, marks=_all_marks(tree), writes_tails=tails)
    assert_never(style)


@dataclass(slots=True)  # not frozen: made for every node and way, where freezing takes half of the time
class _Found:
    """The cost of a subtree in the prices' units, and its breakpoints."""

    units: int
    marks: tuple[int, ...] = ()

    def plus(self, other: "_Found") -> "_Found":
        return _Found(self.units + other.units, self.marks + other.marks)


@dataclass(slots=True)
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


NO_WAYS: Final = _Ways(_Found(0))


def _least(*ways: _Found | None) -> _Found:
    """Give the cheapest of those that can be; the first of equals."""
    return min((way for way in ways if way is not None), key=lambda way: way.units)


def _joined(found: Iterable[_Found]) -> _Found:
    parts = tuple(found)
    return _Found(sum(part.units for part in parts), tuple(mark for part in parts for mark in part.marks))


@dataclass(slots=True)
class _Search:
    """The cheapest breakpoints of one tree, for one lifetime and way. Exact: every node is tried with and without."""

    tree: Tree
    lifetime: str
    rounds: int
    prices: Prices

    def ways(self, number: int, above: int = 0, left: int = BREAKPOINTS_MAX, extra: int = 0, depth: int = 0) -> _Ways:
        """Find the cheapest breakpoints of a subtree.

        ``above`` is the token count of the last breakpoint before it, ``left`` how many more a request may carry, ``extra``
        what one more warmer pays for the breakpoints before it, ``depth`` how many of those have to be written.
        """
        tree, node = self.tree, self.tree.nodes[number]
        open_tokens = max(0, node.tokens - above)
        without = self._below(number, above, left, extra, depth).plus(
            _Found(node.ending * open_tokens * self.prices.plain * ONE)
        )
        if not left or not tree.candidate(number):
            return without
        blend, writers, warming = self._paid(number, depth)
        if blend == self.prices.written * ONE:
            return without  # Nobody reads it: every token it covers would cost the most that a token can.
        own = _Found(open_tokens * ((node.requests - writers) * blend + writers * self.prices.written * ONE), (number,))
        more = extra + (open_tokens * (self.prices.written * ONE - blend) if warming else 0)
        inner = self._below(number, node.tokens, left - 1, more, depth + (not node.readable)).plus(own)
        if not warming:
            return without.cheaper(inner)
        # Where nothing further in is warmed, the first batch has one request for this very prefix.
        alone = inner.calm.plus(_Found(more))
        return _Ways(without.calm, _least(without.warmed, _least(alone, inner.warmed)))

    def _below(self, number: int, above: int, left: int, extra: int, depth: int) -> _Ways:
        if not self.tree.children[number]:
            return NO_WAYS
        ways = [self.ways(child, above, left, extra, depth) for child in self.tree.children[number]]
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

    def _paid(self, number: int, depth: int) -> tuple[int, int, bool]:
        """What a reader pays for one token, how many write for certain, and whether warmers are counted one by one."""
        node = self.tree.nodes[number]
        share = self.tree.share(number, lifetime=self.lifetime, warm=self.rounds > 0)
        blend = share * self.prices.read + (ONE - share) * self.prices.written
        if self.tree.terms.lane is Lane.BATCH and (self.rounds == 1 or (self.rounds and depth)):
            # All warmers of a round go at once, and none reads another's prefix.
            return blend, 0, not node.readable
        choice = Choice(lifetime=self.lifetime, rounds=self.rounds, marks=frozenset({number}))
        return blend, min(node.requests, self.tree.writers(number, choice)), False


def _cheapest_marks(tree: Tree, *, lifetime: str, rounds: int) -> frozenset[int]:
    prices = Prices.make(tree.terms.rates, lifetime)
    search = _Search(tree=tree, lifetime=lifetime, rounds=rounds, prices=prices)
    return frozenset(search.ways(0).best().marks)
