"""What a template sees of a node: its place, its flows, its events, its calls, in words and bounded lists.

Every list that a model can make long has a limit and says how many more there are, so that one gateway with a thousand
ways out cannot fill a prompt. Indices become titles here; nothing below a template knows an index.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, Generic, TypeVar

from lowtide.workloads.bpmn.hierarchy import CALLING_KINDS, Forest
from lowtide.workloads.bpmn.model import NOWHERE, Flow, Message, Node
from lowtide.workloads.bpmn.words import Words

LIST_MAX: Final = 200
"""Most flows, messages, callers or events that one prompt lists."""

PATH_HEAD: Final = 4
PATH_TAIL: Final = 8
"""How many levels from the top and from the bottom a path shows when it is longer than both."""

INDENT_MAX: Final = 12
CONDITION_CHARS_MAX: Final = 300
OVERVIEW_FLOWS_MAX: Final = 30

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """The first of a list, and how many more there are."""

    shown: Sequence[T] = ()
    more: int = 0


def listing(items: Iterable[T], *, limit: int = LIST_MAX) -> Listing[T]:
    """Cut a list at its limit."""
    whole = list(items)
    return Listing(whole[:limit], max(0, len(whole) - limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowView:
    """A flow as seen from one of its ends; ``title`` and ``kind`` are of the other end."""

    title: str
    kind: str
    name: str
    condition: str
    default: bool
    link: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """An event at the boundary of an activity, and where it leads."""

    title: str
    triggers: Sequence[str]
    traits: Sequence[str]
    leads_to: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """A message between two pools or their nodes."""

    name: str
    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledView:
    """What a call activity calls; ``file`` is empty when it is in none of the files."""

    id: str
    title: str = ""
    kind: str = ""
    file: str = ""
    at_run_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerView:
    """A node that calls this process."""

    title: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """One line of an overview. ``indent`` stops growing where ``level`` goes on."""

    id: str
    title: str
    kind: str
    level: int
    indent: int
    lane: str
    triggers: Sequence[str]
    attached_to: str
    calls: str
    leads_to: Listing[FlowView]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteView:
    """A finished document of a part. ``text`` may be written once or more; the document is put in its place later."""

    title: str
    kind: str
    document: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """All that the templates of one node may use, in words."""

    id: str
    title: str
    name: str
    kind: str
    file: str
    path: Sequence[str]
    pool: str
    lane: str
    traits: Sequence[str]
    triggers: Sequence[str]
    details: Sequence[tuple[str, str]]
    documentation: Sequence[str]
    annotations: Sequence[str]
    reads: Listing[str]
    writes: Listing[str]
    incoming: Listing[FlowView]
    outgoing: Listing[FlowView]
    attached: Listing[EventView]
    attached_to: str
    messages: Listing[MessageView]
    called: CalledView | None
    callers: Listing[CallerView]
    cycle: Listing[str]
    contents: Listing[EntryView]
    quotes: Listing[QuoteView]


VIEW_FIELDS: Final[Mapping[type, frozenset[str]]] = {
    view: frozenset(field.name for field in fields(view))
    for view in (Listing, FlowView, EventView, MessageView, CalledView, CallerView, EntryView, QuoteView, NodeView)
}
"""What templates may ask of each view: its fields, all plain values."""


class Views:
    """Makes the views of a forest; flows and messages of a file are indexed once, when the file is first asked for."""

    __slots__ = ("_forest", "_surroundings", "_words")

    def __init__(self, forest: Forest, words: Words) -> None:
        self._forest = forest
        self._words = words
        self._surroundings: dict[int, _Surroundings] = {}

    def title(self, index: int) -> str:
        """Name a node: its own name, or its kind and id."""
        node = self._forest.nodes[index]
        return node.name or f"({self._words.kind_of(node.kind)} {self._words.unnamed}, {node.id})"

    def kind(self, index: int) -> str:
        """Name the kind of a node."""
        return self._words.kind_of(self._forest.nodes[index].kind)

    def node(self, index: int, *, quotes: Listing[QuoteView], with_contents: bool) -> NodeView:
        """Show one node. ``with_contents`` lists its direct parts, for files whose overview had to leave some out."""
        forest, words = self._forest, self._words
        node = forest.nodes[index]
        file = forest.file_of[index]
        around = self._around(file)
        local = index - forest.start_of(file)
        start = forest.start_of(file)
        contents: Iterable[int] = forest.children[index] if with_contents and node.kind not in CALLING_KINDS else ()
        return NodeView(
            id=node.id,
            title=self.title(index),
            name=node.name,
            kind=self.kind(index),
            file=forest.models[file].file,
            path=self._path(index),
            pool=node.pool,
            lane=node.lane,
            traits=[words.traits.get(trait, trait) for trait in node.traits],
            triggers=self._triggers(node),
            details=node.details[:LIST_MAX],
            documentation=node.documentation[:LIST_MAX],
            annotations=node.annotations[:LIST_MAX],
            reads=listing(node.reads),
            writes=listing(node.writes),
            incoming=listing(self._flow(flow, start + flow.source) for flow in around.incoming[local]),
            outgoing=listing(self._flow(flow, start + flow.target) for flow in around.outgoing[local]),
            attached=listing(self._event(start, event) for event in around.attached[local]),
            attached_to=self.title(start + node.attached_to) if node.attached_to != NOWHERE else "",
            messages=listing(_message(message) for message in around.messages[local]),
            called=self._called(index, node),
            callers=listing(self._caller(caller) for caller in forest.callers.get(index, ())),
            cycle=listing((self.title(member) for member in forest.cycles.get(index, ())), limit=20),
            contents=listing(self.entry(child) for child in contents),
            quotes=quotes,
        )

    def entry(self, index: int) -> EntryView:
        """Show one node as a line of an overview."""
        forest = self._forest
        node = forest.nodes[index]
        start = forest.start_of(forest.file_of[index])
        around = self._around(forest.file_of[index])
        level = len(forest.path_of(index)) if node.parent != NOWHERE else 0
        leads_to = (self._flow(flow, start + flow.target) for flow in around.outgoing[index - start])
        target = forest.targets.get(index)
        return EntryView(
            id=node.id,
            title=self.title(index),
            kind=self.kind(index),
            level=level,
            indent=min(level, INDENT_MAX),
            lane=node.lane,
            triggers=self._triggers(node),
            attached_to=self.title(start + node.attached_to) if node.attached_to != NOWHERE else "",
            calls=self.title(target) if target is not None else node.calls,
            leads_to=listing(leads_to, limit=OVERVIEW_FLOWS_MAX),
        )

    def messages(self, file: int) -> Listing[MessageView]:
        """Show the messages of a file."""
        return listing(_message(message) for message in self._forest.models[file].messages)

    def pools(self, file: int) -> Sequence[str]:
        """Name the pools of a file, each once."""
        names = dict.fromkeys(pool.name for pool in self._forest.models[file].pools if pool.name)
        return list(names)[:LIST_MAX]

    def _around(self, file: int) -> "_Surroundings":
        if file not in self._surroundings:
            self._surroundings[file] = _Surroundings(self._forest, file)
        return self._surroundings[file]

    def _path(self, index: int) -> Sequence[str]:
        steps = self._forest.path_of(index)
        between = len(steps) - PATH_HEAD - PATH_TAIL
        if between <= 1:
            return [self.title(step) for step in steps]
        head = [self.title(step) for step in steps[:PATH_HEAD]]
        tail = [self.title(step) for step in steps[-PATH_TAIL:]]
        return [*head, self._words.levels_between.replace("{count}", str(between)), *tail]

    def _triggers(self, node: Node) -> Sequence[str]:
        named = ((self._words.triggers.get(kind, kind), _line(value)) for kind, value in node.triggers)
        return [f"{kind}: {value}" if value else kind for kind, value in named][:LIST_MAX]

    def _flow(self, flow: Flow, other: int) -> FlowView:
        return FlowView(
            title=self.title(other),
            kind=self.kind(other),
            name=flow.name,
            condition=_line(flow.condition),
            default=flow.default,
            link=flow.link,
        )

    def _event(self, start: int, local: int) -> EventView:
        node = self._forest.nodes[start + local]
        around = self._around(self._forest.file_of[start + local])
        return EventView(
            title=self.title(start + local),
            triggers=self._triggers(node),
            traits=[self._words.traits.get(trait, trait) for trait in node.traits],
            leads_to=[self.title(start + flow.target) for flow in around.outgoing[local][:OVERVIEW_FLOWS_MAX]],
        )

    def _called(self, index: int, node: Node) -> CalledView | None:
        if node.kind not in CALLING_KINDS:
            return None
        target = self._forest.targets.get(index)
        if target is None:
            return CalledView(id=node.calls, at_run_time=node.calls_at_run_time)
        return CalledView(
            id=self._forest.nodes[target].id,
            title=self.title(target),
            kind=self.kind(target),
            file=self._forest.models[self._forest.file_of[target]].file,
        )

    def _caller(self, index: int) -> CallerView:
        return CallerView(title=self.title(index), file=self._forest.models[self._forest.file_of[index]].file)


def _line(text: str) -> str:
    """Bring a condition or a time onto one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= CONDITION_CHARS_MAX else line[: CONDITION_CHARS_MAX - 1] + "…"


def _message(message: Message) -> MessageView:
    return MessageView(name=message.name, source=message.source_name, target=message.target_name)


class _Surroundings:
    """Flows, events and messages of one file by the node they touch."""

    __slots__ = ("attached", "incoming", "messages", "outgoing")

    def __init__(self, forest: Forest, file: int) -> None:
        model = forest.models[file]
        self.incoming: dict[int, list[Flow]] = defaultdict(list)
        self.outgoing: dict[int, list[Flow]] = defaultdict(list)
        self.attached: dict[int, list[int]] = defaultdict(list)
        self.messages: dict[int, list[Message]] = defaultdict(list)
        for flow in model.flows:
            self.outgoing[flow.source].append(flow)
            self.incoming[flow.target].append(flow)
        for index, node in enumerate(model.nodes):
            if node.attached_to != NOWHERE:
                self.attached[node.attached_to].append(index)
        for message in model.messages:
            for end in {message.source, message.target} - {NOWHERE}:
                self.messages[end].append(message)
