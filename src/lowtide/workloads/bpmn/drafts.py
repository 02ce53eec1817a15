"""A node while its file is being read: what its element says of itself, with references still as ids.

Which attributes and extension elements are kept is written in the tables at the top; all others are a vendor's drawing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element

from lowtide.workloads.bpmn.model import CONTAINER_KINDS, NodeKind
from lowtide.workloads.bpmn.text import NAME_CHARS_MAX, clean, split, text_of

_DETAIL_ATTRIBUTES = frozenset(
    {
        *("implementation", "operationRef", "scriptFormat", "method", "ordering", "eventGatewayType", "instantiate"),
        *("class", "delegateExpression", "expression", "type", "topic", "resultVariable", "decisionRef", "caseRef"),
        *("assignee", "candidateUsers", "candidateGroups", "formKey", "formRef", "dueDate", "followUpDate", "priority"),
        *("ruleFlowGroup", "taskName", "calledElementBinding", "calledElementVersion", "mapDecisionResult"),
    }
)
_DETAIL_ELEMENTS = frozenset(
    {"taskDefinition", "calledDecision", "formDefinition", "assignmentDefinition", "taskSchedule", "script"}
)
_TRIGGERS = {
    "messageEventDefinition": ("message", "messageRef"),
    "signalEventDefinition": ("signal", "signalRef"),
    "errorEventDefinition": ("error", "errorRef"),
    "escalationEventDefinition": ("escalation", "escalationRef"),
    "compensateEventDefinition": ("compensation", "activityRef"),
    "timerEventDefinition": ("timer", ""),
    "conditionalEventDefinition": ("condition", ""),
    "linkEventDefinition": ("link", ""),
    "cancelEventDefinition": ("cancel", ""),
    "terminateEventDefinition": ("terminate", ""),
}
_OWN_PARTS = frozenset({"extensionElements", "completionCondition", "standardLoopCharacteristics"}) | {
    "multiInstanceLoopCharacteristics"
}
DATA_ELEMENTS: Final = frozenset(
    {"dataObject", "dataObjectReference", "dataStoreReference", "dataInput", "dataOutput", "property"}
)


BpmnName = Callable[[Element], str | None]
"""Gives an element's name where it belongs to BPMN, ``None`` where it is a vendor's."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """One node being read. ``id`` is made unique later; ``*_ref`` and ``*_refs`` are ids as they were written."""

    kind: NodeKind
    given_id: str
    id: str
    name: str
    parent: int
    attached_ref: str = ""
    default_ref: str = ""
    calls: str = ""
    run_time: bool = False
    lane: str = ""
    pool: str = ""
    documentation: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    triggers: list[tuple[str, str]] = field(default_factory=list)
    trigger_refs: list[tuple[str, str]] = field(default_factory=list)
    traits: list[str] = field(default_factory=list)
    details: list[tuple[str, str]] = field(default_factory=list)
    read_refs: list[str] = field(default_factory=list)
    write_refs: list[str] = field(default_factory=list)

    def document(self, element: Element) -> None:
        """Add a documentation text, where it has one."""
        text = text_of(element)
        if text:
            self.documentation.append(text)


def kind_of(name: str, element: Element) -> NodeKind | None:
    """Give the kind of node that a BPMN element is, ``None`` for one that is no node."""
    if name == "subProcess" and element.get("triggeredByEvent") == "true":
        return NodeKind.EVENT_SUB_PROCESS
    if name == NodeKind.EVENT_SUB_PROCESS:
        return None
    try:
        return NodeKind(name)
    except ValueError:
        return None


def draft_node(element: Element, kind: NodeKind, parent: int, bpmn_name: BpmnName, names: dict[str, str]) -> Draft:
    """Read a node's own attributes and parts. ``names`` gains the names of data that are declared inside it."""
    given = clean(element.get("id"))
    draft = Draft(kind=kind, given_id=given, id=given, name=clean(element.get("name")), parent=parent)
    draft.attached_ref = element.get("attachedToRef", "")
    draft.default_ref = element.get("default", "")
    _read_attributes(draft, element)
    for child in element:
        name = bpmn_name(child)
        # What a container contains is walked by the reader; only what says something of the container is read here.
        if name is not None and (kind not in CONTAINER_KINDS or name in _OWN_PARTS):
            _read_part(draft, name, child, bpmn_name, names)
    return draft


def reference_name(element: Element) -> str:
    """Name a message, error, data object or the like: its name and code, or its id."""
    name = clean(element.get("name"))
    code = clean(element.get("errorCode") or element.get("escalationCode"))
    if name and code and name != code:
        return f"{name} ({code})"
    return name or code or clean(element.get("id"))


def _read_attributes(draft: Draft, element: Element) -> None:
    for attribute, value in element.attrib.items():
        _, name = split(attribute)
        if name in _DETAIL_ATTRIBUTES and value and not value.startswith("##"):
            draft.details.append((name, clean(value)))
    called = element.get("calledElement") or element.get("calledChoreographyRef")
    if called:
        _set_called(draft, called)
    if "false" in (element.get("cancelActivity"), element.get("isInterrupting")):
        draft.traits.append("non-interrupting")
    if element.get("isForCompensation") == "true":
        draft.traits.append("for-compensation")
    message = element.get("messageRef")
    if message:
        draft.trigger_refs.append(("message", message))


def _read_part(draft: Draft, name: str, child: Element, bpmn_name: BpmnName, names: dict[str, str]) -> None:
    match name:
        case "documentation":
            draft.document(child)
        case "extensionElements":
            _read_extensions(draft, child)
        case "multiInstanceLoopCharacteristics":
            sequential = child.get("isSequential") == "true"
            draft.traits.append("sequential-multi-instance" if sequential else "parallel-multi-instance")
        case "standardLoopCharacteristics":
            draft.traits.append("loop")
        case "dataInputAssociation":
            draft.read_refs.extend(clean(part.text) for part in child if bpmn_name(part) == "sourceRef")
        case "dataOutputAssociation":
            draft.write_refs.extend(clean(part.text) for part in child if bpmn_name(part) == "targetRef")
        case "ioSpecification":
            names.update((part.get("id", ""), reference_name(part)) for part in child if part.get("name"))
        case "script" | "completionCondition" | "activationCondition" | "condition":
            _detail(draft, name, text_of(child))
        case "potentialOwner" | "humanPerformer" | "performer":
            _detail(draft, name, clean("".join(child.itertext())))
        case _ if name in _TRIGGERS:
            _read_trigger(draft, name, child, bpmn_name)
        case _ if name in DATA_ELEMENTS:
            names[child.get("id", "")] = reference_name(child)
        case _:
            pass


def _detail(draft: Draft, name: str, text: str) -> None:
    if text:
        draft.details.append((name, text))


def _read_trigger(draft: Draft, name: str, element: Element, bpmn_name: BpmnName) -> None:
    kind, attribute = _TRIGGERS[name]
    reference = element.get(attribute, "") if attribute else ""
    if reference:
        draft.trigger_refs.append((kind, reference))
    elif kind == "link":
        draft.triggers.append((kind, clean(element.get("name")) or draft.name))
    else:
        parts = (text_of(part) for part in element if bpmn_name(part) not in (None, "extensionElements"))
        draft.triggers.append((kind, "; ".join(part for part in parts if part)))


def _set_called(draft: Draft, called: str) -> None:
    draft.calls = clean(called)
    draft.run_time = draft.calls.startswith(("=", "${", "#{"))


def _read_extensions(draft: Draft, extensions: Element) -> None:
    """Read what engines keep in extension elements: Zeebe's task types, decisions, forms and called processes."""
    for element in extensions:
        _, name = split(element.tag)
        if name == "calledElement" and not draft.calls:
            _set_called(draft, element.get("processId", ""))
        elif name in _DETAIL_ELEMENTS:
            for attribute, value in element.attrib.items():
                if value and len(value) <= NAME_CHARS_MAX:
                    draft.details.append((f"{name} {split(attribute)[1]}", clean(value)))
