"""The tree of nodes over all files, the calls between them, and the waves: what must be finished before what.

Nodes of all files get one index each, in file and document order. A node's children are what it contains; a call
activity's child is the process that it calls. Calls may run in a circle: such a circle is one wave, whose members are
documented without each other's texts. Every walk here is a loop, whatever the depth, and touches a node a fixed number
of times.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lowtide.workloads.bpmn.documents import DocumentTable
from lowtide.workloads.bpmn.model import NOWHERE, ROOT_KINDS, Model, Node, NodeKind

Slices = Mapping[tuple[int, int], Sequence[tuple[int, int]]]
"""By (node, row): where each part of a divided document begins and ends among what the document would quote."""

UNDIVIDED: Slices = {}
CALLING_KINDS = frozenset({NodeKind.CALL_ACTIVITY, NodeKind.CALL_CHOREOGRAPHY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One document to make: a node, the row of the table, and the wave in which all it quotes is finished.

    A document that is divided has ``parts``, and quotes them instead; ``part`` (1, 2, ...) is the number of one, which quotes
    its children's documents from ``first`` up to ``last``, the last one not counted.
    """

    node: int
    row: int
    wave: int
    parts: int = 0
    part: int = 0
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Where each calling node leads: ``targets`` by index of the caller, and what could not be followed, in words."""

    targets: Mapping[int, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Forest:
    """All nodes of all files by one index, with their children. Built once, read many times."""

    __slots__ = ("_starts", "callers", "children", "cycles", "file_of", "models", "nodes", "targets", "ways_out")

    def __init__(self, models: Sequence[Model], targets: Mapping[int, int]) -> None:
        self.models = models
        self.nodes: list[Node] = [node for model in models for node in model.nodes]
        self.file_of: list[int] = [number for number, model in enumerate(models) for _ in model.nodes]
        self._starts = starts_of(models)
        self.targets = targets
        self.callers: dict[int, list[int]] = defaultdict(list)
        self.children: list[list[int]] = [[] for _ in self.nodes]
        self.ways_out: list[int] = [0] * len(self.nodes)
        for start, model in zip(self._starts, models, strict=True):
            for index, node in enumerate(model.nodes):
                if node.parent != NOWHERE:
                    self.children[start + node.parent].append(start + index)
            for flow in model.flows:
                self.ways_out[start + flow.source] += not flow.link
        for caller, target in targets.items():
            self.children[caller].append(target)
            self.callers[target].append(caller)
        self.cycles: dict[int, tuple[int, ...]] = {}

    def start_of(self, file: int) -> int:
        """Give the index of a file's first node."""
        return self._starts[file]

    def parent_of(self, index: int) -> int:
        """Give the index of the container, ``NOWHERE`` for a root."""
        parent = self.nodes[index].parent
        return parent if parent == NOWHERE else self._starts[self.file_of[index]] + parent

    def path_of(self, index: int) -> list[int]:
        """Give the containers of a node, the outermost first; the node itself is not among them."""
        path = []
        parent = self.parent_of(index)
        while parent != NOWHERE:
            path.append(parent)
            parent = self.parent_of(parent)
        return path[::-1]

    def roots_of(self, file: int) -> Iterator[int]:
        """Give the indices of a file's processes and other roots."""
        start = self._starts[file]
        return (start + index for index, node in enumerate(self.models[file].nodes) if node.parent == NOWHERE)


def starts_of(models: Sequence[Model]) -> list[int]:
    """Give the global index of each file's first node."""
    starts, total = [], 0
    for model in models:
        starts.append(total)
        total += len(model.nodes)
    return starts


def follow_calls(models: Sequence[Model]) -> Calls:
    """Find what each call activity calls: by id, by the id after a prefix, or by name; its own file first.

    The same process in two other files: one in the caller's folder is taken before others, then the first by path, and
    the choice is reported. A call that leads nowhere is reported and stays without a target.
    """
    starts = starts_of(models)
    by_id: dict[str, list[tuple[int, int]]] = defaultdict(list)
    by_name: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, model in enumerate(models):
        for index, node in enumerate(model.nodes):
            if node.kind in ROOT_KINDS:
                by_id[node.id].append((number, starts[number] + index))
                if node.name:
                    by_name[node.name].append((number, starts[number] + index))
    targets: dict[int, int] = {}
    warnings = _twins(by_id, models)
    for number, model in enumerate(models):
        for index, node in enumerate(model.nodes):
            if node.kind not in CALLING_KINDS:
                continue
            where = f"{model.file}: {node.kind} {node.id}"
            if not node.calls:
                warnings.append(f"{where} names no called process")
                continue
            if node.calls_at_run_time:
                warnings.append(f"{where} calls what {node.calls} says at run time")
                continue
            local = node.calls.rpartition(":")[2]
            found = by_id.get(node.calls) or by_id.get(local) or by_name.get(node.calls) or by_name.get(local)
            if not found:
                warnings.append(f"{where} calls {node.calls}, which is in none of the files")
                continue
            targets[starts[number] + index] = _nearest(found, caller=number, models=models)
    return Calls(targets=targets, warnings=tuple(warnings))


def _nearest(found: Sequence[tuple[int, int]], *, caller: int, models: Sequence[Model]) -> int:
    folder = PurePosixPath(models[caller].file).parent

    def rank(place: tuple[int, int]) -> tuple[bool, bool, str, int]:
        file = models[place[0]].file
        return place[0] != caller, PurePosixPath(file).parent != folder, file, place[1]

    return min(found, key=rank)[1]


def _twins(by_id: Mapping[str, Sequence[tuple[int, int]]], models: Sequence[Model]) -> list[str]:
    warnings = []
    for identity, places in by_id.items():
        files = sorted({models[number].file for number, _ in places})
        if len(files) > 1:
            shown = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
            warnings.append(f"{shown}: each has a process {identity}; a call takes the one nearest to its own file")
    return warnings


def plan_waves(forest: Forest, table: DocumentTable, slices: Slices = UNDIVIDED) -> list[Planned]:
    """Say which documents are made and in which wave, in file and document order.

    A document's wave is one more than the latest wave of what it quotes, 0 when it quotes nothing. One that ``slices``
    divides comes a wave after its parts, which stand before it. ``forest.cycles`` is filled: for each node of a circle of
    calls, all of its members.
    """
    rows: list[list[int]] = [
        [number for number, kind in enumerate(table.types) if kind.is_for(node.kind, ways_out=forest.ways_out[index])]
        for index, node in enumerate(forest.nodes)
    ]
    waves: dict[tuple[int, int], int] = {}
    ready: dict[tuple[int, int], int] = {}  # when all that a document's node has below it is finished
    components = list(_components(forest.children))
    for members in components:
        if len(members) > 1 or members[0] in forest.children[members[0]]:
            cycle = _in_call_order(forest, members)
            forest.cycles.update(dict.fromkeys(cycle, cycle))
    for members in components:
        found = {
            (index, row): _wave_after(forest, table, rows, waves, index=index, row=row)
            for index in members
            for row in rows[index]
        }
        ready.update(found)
        wanted = {place: wave + (place in slices) for place, wave in found.items()}
        if members[0] in forest.cycles and wanted:
            # A circle of calls is one wave: the latest that any of its members needs.
            latest = max(wanted.values())
            wanted = dict.fromkeys(wanted, latest)
        waves.update(wanted)
    return [
        planned
        for index in range(len(forest.nodes))
        for row in rows[index]
        for planned in _planned(index, row, waves[index, row], ready[index, row], slices.get((index, row), ()))
    ]


def _planned(index: int, row: int, wave: int, ready: int, slices: Sequence[tuple[int, int]]) -> Iterator[Planned]:
    """Plan one document: its parts, where it is divided, and the whole."""
    for part, (first, last) in enumerate(slices, start=1):
        yield Planned(node=index, row=row, wave=ready, parts=len(slices), part=part, first=first, last=last)
    yield Planned(node=index, row=row, wave=wave, parts=len(slices))


def _in_call_order(forest: Forest, members: Sequence[int]) -> tuple[int, ...]:
    """Order the members of a circle as they call one another, from the first in the files; side branches come last."""
    within = set(members)
    order: dict[int, None] = {}
    step: int | None = min(members)
    while step is not None:
        order[step] = None
        step = next((child for child in forest.children[step] if child in within and child not in order), None)
    order.update(dict.fromkeys(sorted(within)))
    return tuple(order)


def _wave_after(
    forest: Forest,
    table: DocumentTable,
    rows: Sequence[Sequence[int]],
    waves: Mapping[tuple[int, int], int],
    *,
    index: int,
    row: int,
) -> int:
    kind = table.types[row]
    needed = (
        waves[child, other]
        for child in documented_below(forest, rows, index)
        for other in rows[child]
        if kind.is_quoting(table.types[other].slug)
    )
    return 1 + max(needed, default=-1)


def documented_below(forest: Forest, rows: Sequence[Sequence[int]], index: int) -> list[int]:
    """Give the nearest nodes below that get documents, in order; a child without any is looked through.

    Members of the node's own circle of calls are left out (and looked through where they have no documents).
    """
    own = forest.cycles.get(index, ())
    found: dict[int, None] = {}
    seen = {index}
    stack = forest.children[index][::-1]
    while stack:
        child = stack.pop()
        if child in seen:
            continue
        seen.add(child)
        is_own = bool(own) and forest.cycles.get(child, ()) == own
        if rows[child]:
            if not is_own:
                found[child] = None
        else:
            stack.extend(forest.children[child][::-1])
    return list(found)


def _components(children: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Give the strongly connected components, what is called before what calls it (Tarjan, as a loop)."""
    order: dict[int, int] = {}
    lowest: list[int] = [0] * len(children)
    waiting: list[int] = []
    on_waiting: set[int] = set()
    for root in range(len(children)):
        if root in order:
            continue
        work: list[tuple[int, int]] = [(root, 0)]
        while work:
            index, position = work.pop()
            if position == 0:
                order[index] = lowest[index] = len(order)
                waiting.append(index)
                on_waiting.add(index)
            else:
                lowest[index] = min(lowest[index], lowest[children[index][position - 1]])
            for following in range(position, len(children[index])):
                child = children[index][following]
                if child not in order:
                    work.append((index, following + 1))
                    work.append((child, 0))
                    break
                if child in on_waiting:
                    lowest[index] = min(lowest[index], order[child])
            else:
                if lowest[index] == order[index]:
                    member = NOWHERE
                    component = []
                    while member != index:
                        member = waiting.pop()
                        on_waiting.discard(member)
                        component.append(member)
                    yield component
