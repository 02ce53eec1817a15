"""Counting which prefixes the requests of a run begin with, and the order in which they stand together.

Bodies come by one at a time and are not kept. The law: memory has a limit with a name, and what is past it counts as not
shared, so that nothing is marked by mistake.
"""

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lowtide.caching.terms import ROOT, Counted, Judgement, Prefix, PrefixId
from lowtide.request import Neutral

BOUNDARIES_MAX: Final = 32
"""Boundaries of one prompt that are counted; what comes after them is its tail."""

PREFIXES_MAX: Final = 50_000
"""Prefixes of one run that are counted."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts the prefixes of neutral bodies as they come by; of bodies only the last one's shared texts are kept.

    ``count`` guesses the tokens of a text. ``prefixes_max`` bounds the memory: when it is reached, what is new counts as
    part of the tail, and ``overflowed`` counts the requests that this befell. ``longest`` is the longest prefix, in tokens.
    """

    count: Callable[[str], int]
    prefixes_max: int = PREFIXES_MAX
    requests: int = 0
    tail_tokens: int = 0
    overflowed: int = 0
    longest: int = 0
    _nodes: dict[PrefixId, "_Node"] = field(default_factory=dict)
    _recent: list["_Boundary"] = field(default_factory=list)

    def add(self, body: Neutral, *, prompt_tokens: int | None = None) -> PrefixId:
        """Count one request of so many likely tokens; give its innermost prefix, ``ROOT`` for none.

        Without ``prompt_tokens`` it has as many as its texts are guessed to have.
        """
        self.requests += 1
        innermost, begun = ROOT, 0
        boundaries = self._boundaries(body)
        if prompt_tokens is None:
            prompt_tokens = (self._recent[-1].tokens if self._recent else 0) + self.count(body.text)
        for boundary in boundaries:
            node = self._nodes.get(boundary.prefix)
            if node is None:
                if len(self._nodes) >= self.prefixes_max:
                    self.overflowed += 1
                    break
                node = self._nodes[boundary.prefix] = _Node(parent=innermost, tokens=boundary.tokens)
                self.longest = max(self.longest, boundary.tokens)
            node.requests += 1
            innermost, begun = boundary.prefix, boundary.tokens
        tail = max(0, prompt_tokens - begun)
        if innermost == ROOT:
            self.tail_tokens += tail
        else:
            self._nodes[innermost].ending += 1
            self._nodes[innermost].tail_tokens += tail
        return innermost

    def find(self, body: Neutral) -> PrefixId:
        """Give the innermost prefix of a body that was counted, ``ROOT`` for none."""
        innermost = ROOT
        for boundary in self._boundaries(body):
            if boundary.prefix not in self._nodes:
                break
            innermost = boundary.prefix
        return innermost

    def counted(self) -> Counted:
        """Give what was counted, prefixes in order of first sight: parents before their children."""
        prefixes = tuple(
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
        return Counted(prefixes=prefixes, requests=self.requests, tail_tokens=self.tail_tokens)

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
        return found[:BOUNDARIES_MAX]


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


def marks_of(judgement: Judgement) -> dict[PrefixId, tuple[int, ...]]:
    """Say where a body carries breakpoints, by its innermost prefix: places among its texts that are not empty.

    Place 0 is the system text or, without one, the first shared block; requests without a prefix (``ROOT``) have none.
    """
    marks: dict[PrefixId, tuple[int, ...]] = {ROOT: ()}
    place = {ROOT: -1}
    for decision in judgement.decisions:
        prefix = decision.prefix
        place[prefix.id] = place[prefix.parent] + 1
        own = (place[prefix.id],) if decision.lifetime else ()
        marks[prefix.id] = marks[prefix.parent] + own
    return marks


@dataclass(slots=True)
class Firsts:
    """Chooses the requests that go before the rest, as they come by in the order of the plan.

    One for each innermost prefix that has to be written; with more than one round, those that write outer prefixes go
    ahead of the others that only read them. What is chosen is bought anyway: nothing is asked only to warm.
    """

    judgement: Judgement
    _parents: dict[PrefixId, PrefixId] = field(init=False)
    _lines: dict[PrefixId, tuple[PrefixId, ...]] = field(init=False)
    _wanted: set[PrefixId] = field(init=False)  # innermost ones of which none came by yet
    _written: dict[PrefixId, int] = field(init=False)  # by the round in which it is

    def __post_init__(self) -> None:
        self._parents = {decision.prefix.id: decision.prefix.parent for decision in self.judgement.decisions}
        warmed = self.judgement.warmed()
        self._lines = {name: _line(name, self._parents, warmed) for name in warmed}
        self._wanted = set(warmed) - {above for line in self._lines.values() for above in line[:-1]}
        self._written = {}

    @property
    def wanted(self) -> int:
        """Count the requests that are still to be chosen."""
        return len(self._wanted)

    def turn(self, prefix: PrefixId) -> int | None:
        """Give the round in which the next request of this innermost prefix goes, ``None`` for after them all."""
        name = prefix
        while name != ROOT and name not in self._wanted:
            name = self._parents[name]
        if name == ROOT:
            return None
        self._wanted.remove(name)
        line = self._lines[name]
        # What stands at depth n and was written by round n can be read in the next; who finds it unwritten writes it.
        unwritten = next(depth for depth, above in enumerate(line) if self._written.get(above, depth + 1) > depth)
        turn = min(unwritten, self.judgement.rounds - 1)
        for above in line:
            self._written.setdefault(above, turn)
        return turn


def first_of_each(judgement: Judgement, requests: Iterable[tuple[int, PrefixId]]) -> tuple[tuple[int, ...], ...]:
    """Choose the requests that go before the rest, round by round, from (place in the plan, innermost prefix).

    See ``Firsts``. Empty where all go at once.
    """
    firsts = Firsts(judgement)
    rounds: list[list[int]] = [[] for _ in range(judgement.rounds)]
    for seq, prefix in sorted(requests):
        turn = firsts.turn(prefix)
        if turn is not None:
            rounds[turn].append(seq)
    return tuple(tuple(one) for one in rounds if one)


def _line(name: PrefixId, parents: Mapping[PrefixId, PrefixId], warmed: Container[PrefixId]) -> tuple[PrefixId, ...]:
    """List the warmed prefixes on the way to one, the outermost first."""
    line: list[PrefixId] = []
    while name != ROOT:
        if name in warmed:
            line.insert(0, name)
        name = parents[name]
    return tuple(line)
