"""Bytes of one BPMN 2.0 file become a ``Model`` or one ``Problem`` that says why not. Nothing is opened here.

The reader is our own: ``parsing`` decides what is XML at all, and the rest
is lenient, because real files come from fifty tools. What is mended (an id
used twice, a reference to nothing) becomes a warning. Depth costs no stack: every walk is a loop.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element

from lowtide.errors import Problem
from lowtide.workloads.bpmn.drafts import DATA_ELEMENTS, Draft, draft_node, kind_of, reference_name
from lowtide.workloads.bpmn.model import (
    CONTAINER_KINDS,
    NOWHERE,
    ROOT_KINDS,
    Flow,
    Message,
    Model,
    Node,
    NodeKind,
    Pool,
)
from lowtide.workloads.bpmn.parsing import parse
from lowtide.workloads.bpmn.text import clean, split, text_of

BPMN_NAMESPACE: Final = "http://www.omg.org/spec/BPMN/20100524/MODEL"

_SPACED_NAMESPACE = re.compile(rb"""\sxmlns(?::([^\s=]+))?\s*=\s*(?:"([^"]*\s[^"]*)"|'([^']*\s[^']*)')""")
_NAMED_ROOTS = frozenset({"message", "signal", "error", "escalation", "dataStore", "resource", "interface"})


def read_model(content: bytes, *, file: str) -> Model | Problem:
    """Read one file, given its bytes and the name it is known by.

    UTF-8, UTF-16 and single-byte encodings are read as they are; declared multi-byte ones are transcoded first. A
    namespace that is no valid URI (a space in it) is a warning only: expat and the names inside do not mind.
    """
    root = parse(content, file=file)
    if isinstance(root, Problem):
        return root
    namespace, name = split(root.tag)
    if name != "definitions":
        hint = "a BPMN file's first element is `definitions`"
        return Problem(where=file, what=f"not a BPMN file: its first element is `{name[:80]}`", hint=hint)
    if namespace and "bpmn" not in namespace.lower():
        what = f"not a BPMN 2.0 file: `definitions` belongs to {namespace[:120]}"
        return Problem(where=file, what=what, hint=f"BPMN 2.0 elements belong to {BPMN_NAMESPACE}")
    model = _Assembly(file=file, namespace=namespace).model(root)
    if not model.nodes:
        return Problem(where=file, what=_nothing(model), hint="the file is left out; the others go on")
    spaced = _SPACED_NAMESPACE.search(content)
    if spaced is None:
        return model
    prefix = (spaced[1] or b"").decode(errors="replace")
    warning = f"the namespace of prefix {prefix!r} has a space in it and is no valid URI; read all the same"
    return replace(model, warnings=(warning, *model.warnings))


def _nothing(model: Model) -> str:
    if not model.pools:
        return "nothing to document: the file holds no process"
    names = ", ".join(pool.name or "(no name)" for pool in model.pools[:5])
    return f"nothing to document: a collaboration without a process (pools: {names})"


class _Assembly:
    """One file being read: what was collected in the walk, then joined by ``model``."""

    def __init__(self, *, file: str, namespace: str) -> None:
        self._file = file
        self._namespaces = {BPMN_NAMESPACE, namespace}
        self._drafts: list[Draft] = []
        self._flows: list[tuple[int, Element]] = []
        self._messages: list[Element] = []
        self._participants: list[Element] = []
        self._associations: list[tuple[str, str]] = []
        self._annotations: dict[str, str] = {}
        self._lanes: list[tuple[str, str]] = []
        self._names: dict[str, str] = {}
        self._indices: dict[str, list[int]] = defaultdict(list)
        self._warnings: list[str] = []

    def model(self, root: Element) -> Model:
        """Collect every element, then join what refers to what."""
        self._walk(root)
        self._name_ids()
        pools = self._pools()
        self._assign_lanes()
        self._annotate()
        flows = [*self._sequence_flows(), *self._links()]
        nodes = tuple(self._node(draft) for draft in self._drafts)
        messages = tuple(self._message_flows(pools))
        visible = tuple(Pool(name=name, process=process) for name, process in pools.values())
        return Model(
            file=self._file,
            nodes=nodes,
            flows=tuple(flows),
            messages=messages,
            pools=visible,
            warnings=tuple(self._warnings),
        )

    # Collecting.

    def _walk(self, root: Element) -> None:
        stack: list[tuple[Element, int]] = [(child, NOWHERE) for child in reversed(root)]
        while stack:
            element, parent = stack.pop()
            name = self._bpmn_name(element)
            if name is None:
                continue
            kind = kind_of(name, element)
            if kind is not None and (kind in ROOT_KINDS) == (parent == NOWHERE):
                index = len(self._drafts)
                self._drafts.append(draft_node(element, kind, parent, self._bpmn_name, self._names))
                if kind in CONTAINER_KINDS:
                    stack.extend((child, index) for child in reversed(element))
            elif name == "collaboration":
                stack.extend((child, parent) for child in reversed(element))
            else:
                self._collect(name, element, parent)

    def _bpmn_name(self, element: Element) -> str | None:
        namespace, name = split(element.tag)
        return name if namespace in self._namespaces else None

    def _collect(self, name: str, element: Element, parent: int) -> None:
        match name:
            case "sequenceFlow":
                self._flows.append((parent, element))
            case "messageFlow":
                self._messages.append(element)
            case "participant":
                self._participants.append(element)
            case "laneSet":
                self._collect_lanes(element)
            case "association":
                self._associations.append((element.get("sourceRef", ""), element.get("targetRef", "")))
            case "textAnnotation":
                texts = [text_of(child) for child in element if self._bpmn_name(child) == "text"]
                self._annotations[element.get("id", "")] = "\n".join(text for text in texts if text)
            case "documentation" if parent != NOWHERE:
                self._drafts[parent].document(element)
            case _ if name in _NAMED_ROOTS or name in DATA_ELEMENTS:
                self._names[element.get("id", "")] = reference_name(element)
            case _:
                pass

    def _collect_lanes(self, lane_set: Element) -> None:
        stack: list[tuple[Element, str]] = [(lane_set, "")]
        while stack:
            element, path = stack.pop()
            for child in element:
                match self._bpmn_name(child):
                    case "lane":
                        name = clean(child.get("name"))
                        stack.append((child, f"{path} / {name}" if path and name else path or name))
                    case "childLaneSet":
                        stack.append((child, path))
                    case "flowNodeRef":
                        self._lanes.append((clean(child.text), path))
                    case _:
                        pass

    # Joining.

    def _name_ids(self) -> None:
        """Make ids unique in the file: a missing one from kind and ordinal, a repeated one with ``~2``, ``~3``, ..."""
        ordinals: dict[str, int] = defaultdict(int)
        given = {draft.given_id for draft in self._drafts if draft.given_id}
        seen: set[str] = set()
        for index, draft in enumerate(self._drafts):
            if draft.given_id:
                self._indices[draft.given_id].append(index)
            wanted = draft.given_id
            if not wanted:
                ordinals[draft.kind] += 1
                wanted = f"{draft.kind}-{ordinals[draft.kind]}"
                self._warnings.append(f"a {draft.kind} has no id; it is called {wanted} here")
            unique, number = wanted, 1
            while unique in seen or (number > 1 and unique in given):
                number += 1
                unique = f"{wanted}~{number}"
            if number > 1 and draft.given_id:
                self._warnings.append(f"the id {wanted} is used more than once; a {draft.kind} is called {unique} here")
            seen.add(unique)
            draft.id = unique

    def _find(self, reference: str, *, container: int = NOWHERE) -> int:
        """Find the node that a reference names: by id, or by what follows its prefix; the same container first."""
        reference = clean(reference)
        found = self._indices.get(reference) or self._indices.get(reference.rpartition(":")[2])
        if not found:
            return NOWHERE
        if len(found) > 1:
            return next((index for index in found if self._drafts[index].parent == container), found[0])
        return found[0]

    def _pools(self) -> Mapping[str, tuple[str, int]]:
        """Give pools by participant id, and write each pool's name on all nodes of its process."""
        pools: dict[str, tuple[str, int]] = {}
        names: dict[int, str] = {}
        for element in self._participants:
            name = clean(element.get("name"))
            process = self._find(element.get("processRef", ""))
            if process != NOWHERE and self._drafts[process].kind not in ROOT_KINDS:
                process = NOWHERE
            identity = element.get("id", "")
            pools[identity if identity and identity not in pools else f"{identity}~{len(pools) + 1}"] = (name, process)
            if process != NOWHERE and name:
                names.setdefault(process, name)
        for index, draft in enumerate(self._drafts):
            pool = names.get(index, "") if draft.parent == NOWHERE else self._drafts[draft.parent].pool
            draft.pool = pool
        return pools

    def _assign_lanes(self) -> None:
        for reference, lane in self._lanes:
            index = self._find(reference)
            # The innermost lane is named last; child lanes come with the path of their parents.
            if index != NOWHERE and len(lane) > len(self._drafts[index].lane):
                self._drafts[index].lane = lane
        for draft in self._drafts:
            if not draft.lane and draft.parent != NOWHERE:
                draft.lane = self._drafts[draft.parent].lane

    def _annotate(self) -> None:
        for source, target in self._associations:
            for one, other in ((source, target), (target, source)):
                text = self._annotations.get(one, "")
                index = self._find(other) if text else NOWHERE
                if index != NOWHERE:
                    self._drafts[index].annotations.append(text)

    def _sequence_flows(self) -> Iterator[Flow]:
        defaults = {draft.default_ref for draft in self._drafts if draft.default_ref}
        for container, element in self._flows:
            identity = element.get("id", "")
            source = self._find(element.get("sourceRef", ""), container=container)
            target = self._find(element.get("targetRef", ""), container=container)
            if NOWHERE in (source, target):
                end = "source" if source == NOWHERE else "target"
                self._warnings.append(
                    f"the sequence flow {identity or '(no id)'} names a {end} that is not in the file"
                )
                continue
            conditions = [text_of(part) for part in element if self._bpmn_name(part) == "conditionExpression"]
            yield Flow(
                source=source,
                target=target,
                name=clean(element.get("name")),
                condition=" ".join(text for text in conditions if text),
                default=bool(identity) and identity in defaults,
            )

    def _links(self) -> Iterator[Flow]:
        """Join link events: each throwing one jumps to the catching ones of its name in the same container."""
        catching: dict[tuple[int, str], list[int]] = defaultdict(list)
        throwing: list[tuple[int, tuple[int, str]]] = []
        for index, draft in enumerate(self._drafts):
            for kind, value in draft.triggers:
                if kind == "link" and draft.kind is NodeKind.INTERMEDIATE_CATCH_EVENT:
                    catching[draft.parent, value].append(index)
                elif kind == "link":
                    throwing.append((index, (draft.parent, value)))
        for index, place in throwing:
            for target in catching.get(place, ()):
                yield Flow(source=index, target=target, name=place[1], link=True)

    def _message_flows(self, pools: Mapping[str, tuple[str, int]]) -> Iterator[Message]:
        for element in self._messages:
            source, source_name = self._message_end(element.get("sourceRef", ""), pools)
            target, target_name = self._message_end(element.get("targetRef", ""), pools)
            name = clean(element.get("name")) or self._names.get(element.get("messageRef", ""), "")
            if source_name or target_name:
                yield Message(name=name, source=source, source_name=source_name, target=target, target_name=target_name)

    def _message_end(self, reference: str, pools: Mapping[str, tuple[str, int]]) -> tuple[int, str]:
        pool = pools.get(reference) or pools.get(reference.rpartition(":")[2])
        if pool is not None:
            name, process = pool
            return process, name or "(a pool without a name)"
        index = self._find(reference)
        if index == NOWHERE:
            return NOWHERE, ""
        return index, self._drafts[index].name or self._drafts[index].id

    def _node(self, draft: Draft) -> Node:
        attached = NOWHERE
        if draft.attached_ref:
            attached = self._find(draft.attached_ref, container=draft.parent)
            if attached == NOWHERE:
                self._warnings.append(f"the boundary event {draft.id} is attached to nothing in the file")
        referred = ((kind, self._named(reference)) for kind, reference in draft.trigger_refs)
        return Node(
            id=draft.id,
            kind=draft.kind,
            name=draft.name,
            parent=draft.parent,
            attached_to=attached,
            lane=draft.lane,
            pool=draft.pool,
            documentation=tuple(draft.documentation),
            annotations=tuple(draft.annotations),
            triggers=(*draft.triggers, *referred),
            traits=tuple(draft.traits),
            details=tuple(dict.fromkeys(draft.details)),
            reads=tuple(dict.fromkeys(self._named(reference) for reference in draft.read_refs if reference)),
            writes=tuple(dict.fromkeys(self._named(reference) for reference in draft.write_refs if reference)),
            calls=draft.calls,
            calls_at_run_time=draft.run_time,
        )

    def _named(self, reference: str) -> str:
        local = reference.rpartition(":")[2]
        return self._names.get(reference) or self._names.get(local) or local or reference
