"""Marks for the requests of one wave: counted model by model, judged once, then asked for body by body.

What a breakpoint looks like on a wire is not known here, nor who reads the requests or keeps the plan. The law: what is
sent is what was judged, and a request that is not bought beside the others (the first of its kind) is never marked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from lowtide.caching.tally import Firsts, Tally, marks_of
from lowtide.caching.terms import ROOT, Counted, Judgement, PrefixId, Terms
from lowtide.caching.tree import MINIMUM_UNKNOWN_TOKENS
from lowtide.catalog import Lane
from lowtide.money import TOKENS_PER_PRICE, Nanos, cost_nanos
from lowtide.request import Neutral

WAIT_WORTH_PERCENT: Final = 5
"""What a first batch must save at least, of the wave's input: it makes the wave wait for one more batch."""

LOOK_FIRST: Final = 1000
"""Requests after which a wave is no longer counted, when none of them shares enough for any cache."""

REASONS_SHOWN: Final = 5

Way = tuple[str, str]
"""A provider and its model."""

Judging = Callable[[Counted, Terms], Judgement]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachingLine:
    """What a plan says of caching for one model: its first wave's sharing, what is done, and what that is worth.

    Tokens are likely, money in nano-dollars for the whole input: ``none`` without any cache, ``everywhere`` with every
    shared text marked, ``chosen`` as expected, ``best`` and ``worst`` if every marked token is read, or none is.
    ``breakpoints`` counts prefixes, ``firsts`` the requests that go before the rest in ``rounds`` batches of their own.
    ``reasons`` are those of the largest prefixes.
    """

    provider: str
    model: str
    lane: str
    requests: int
    input_tokens: int
    shared_tokens: int
    cacheable_tokens: int
    lifetime: str
    breakpoints: int
    rounds: int
    firsts: int
    none: Nanos
    everywhere: Nanos
    chosen: Nanos
    best: Nanos
    worst: Nanos
    hits_percent: int
    hits_basis: str
    hits_source: str
    why: str
    reasons: tuple[str, ...] = ()

    @property
    def saves(self) -> Nanos:
        """What it is expected to save, in nano-dollars."""
        return Nanos(self.none - self.chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What one body carries: a lifetime (empty for none) and the places of its breakpoints; its prefix, to be judged by."""

    lifetime: str = ""
    places: tuple[int, ...] = ()
    prefix: PrefixId = ROOT
    alone: bool = False


@dataclass(slots=True, kw_only=True)
class _Judged:
    tally: Tally
    judgement: Judgement
    marks: Mapping[PrefixId, tuple[int, ...]]
    firsts: Firsts


@dataclass(slots=True)
class Marks:
    """Where the bodies of a wave have breakpoints, and in which turn each goes out. ``rounds`` turns go before the rest.

    ``tested``: kinds of which one was bought before; of any other the first one goes alone, and unmarked.
    """

    lines: tuple[CachingLine, ...] = ()
    rounds: int = 0
    tested: set[tuple[str, str, str]] = field(default_factory=set)
    judged: dict[Way, _Judged] = field(default_factory=dict)

    def of(self, body: Neutral, *, kind: str, provider: str, model: str) -> Mark:
        """Give the marks of a body that was counted."""
        found = self.judged.get((provider, model))
        if found is None:
            return Mark()
        if (kind, provider, model) not in self.tested:
            return Mark(alone=True)
        prefix = found.tally.find(body)
        places = found.marks[prefix]
        return Mark(lifetime=found.judgement.lifetime if places else "", places=places, prefix=prefix)

    def turn(self, mark: Mark | None, *, kind: str, provider: str, model: str) -> int:
        """Give the turn in which a request that was taken goes out: 0 is the first. Asked once for each, in order.

        ``mark`` is ``None`` for a body that is not ours.
        """
        if not self.judged:
            return 0
        self.tested.add((kind, provider, model))
        found = self.judged.get((provider, model))
        turn = None if found is None or mark is None or mark.alone else found.firsts.turn(mark.prefix)
        return self.rounds if turn is None else turn


@dataclass(slots=True, kw_only=True)
class Marking:
    """Counts what the neutral requests of a wave share; ``count_of`` gives how a model's tokens are guessed."""

    count_of: Callable[[str, str], Callable[[str], int]]
    tallies: dict[Way, Tally] = field(default_factory=dict)
    seen: int = 0
    longest: int = 0

    def add(self, body: Neutral | None, *, provider: str, model: str) -> bool:
        """Count a request, ``None`` for one that is not ours to mark; False when no more need to be counted."""
        self.seen += 1
        if body is not None:
            tally = self.tallies.get((provider, model))
            if tally is None:
                tally = self.tallies[provider, model] = Tally(count=self.count_of(provider, model))
            tally.add(body)
            self.longest = max(self.longest, tally.longest)
        return self.longest >= MINIMUM_UNKNOWN_TOKENS or self.seen < LOOK_FIRST

    def judge(
        self,
        terms_of: Callable[[Way, Tally], Terms | None],
        judging: Judging,
        *,
        tested: set[tuple[str, str, str]] | None = None,
    ) -> Marks:
        """Judge each model's requests; ``terms_of`` gives the terms, ``None`` where nothing is known to judge by."""
        marks = Marks(tested=tested or set())
        lines: list[CachingLine] = []
        for way, tally in sorted(self.tallies.items()):
            terms = terms_of(way, tally) if self.longest >= MINIMUM_UNKNOWN_TOKENS else None
            if terms is None:
                continue
            counted = tally.counted()
            judgement = _worth_waiting(counted, terms, judging)
            firsts = Firsts(judgement)
            lines.append(_line(way, judgement, terms, firsts.wanted))
            if judgement.marked():
                marks.rounds = max(marks.rounds, judgement.rounds)
                marks.judged[way] = _Judged(tally=tally, judgement=judgement, marks=marks_of(judgement), firsts=firsts)
        marks.lines = tuple(lines)
        return marks


def _worth_waiting(counted: Counted, terms: Terms, judging: Judging) -> Judgement:
    """Judge; where a first batch is waited for, only if that saves a part of the input that is worth a batch's time."""
    found = judging(counted, terms)
    if not found.rounds or terms.lane is not Lane.BATCH:
        return found
    at_once = judging(counted, replace(terms, rounds_max=0))
    saved = at_once.chosen - found.chosen
    return found if saved * 100 >= found.none * WAIT_WORTH_PERCENT else at_once


def _line(way: Way, found: Judgement, terms: Terms, firsts: int) -> CachingLine:
    rates, split = terms.rates, found.tokens
    read = rates.plain if rates.read is None else rates.read
    write = rates.writes.get(found.lifetime, rates.plain)
    cached = split.written + split.read
    best, worst = (_nanos(split.plain, rates.plain) + _nanos(cached, price) for price in (read, write))
    hits = terms.warmed if found.rounds else terms.cold
    largest = sorted(found.decisions, key=lambda each: -each.prefix.tokens * each.prefix.requests)[:REASONS_SHOWN]
    return CachingLine(
        provider=way[0],
        model=way[1],
        lane=terms.lane.value,
        requests=found.sharing.requests,
        input_tokens=found.sharing.input_tokens,
        shared_tokens=found.sharing.shared_tokens,
        cacheable_tokens=found.sharing.cacheable_tokens,
        lifetime=found.lifetime,
        breakpoints=len(found.marked()),
        rounds=found.rounds if found.marked() else 0,
        firsts=firsts,
        none=found.none,
        everywhere=found.everywhere,
        chosen=found.chosen,
        best=Nanos(min(best, found.chosen)),
        worst=Nanos(max(worst, found.chosen)),
        hits_percent=round(hits.share * 100),
        hits_basis=hits.basis.value,
        hits_source=hits.source,
        why=found.why,
        reasons=tuple(f"{one.prefix.requests:,} begin with {one.prefix.tokens:,} tokens: {one.why}" for one in largest),
    )


def _nanos(tokens: int, dollars_per_million: Decimal) -> Nanos:
    return cost_nanos(tokens * Fraction(dollars_per_million) / TOKENS_PER_PRICE)
