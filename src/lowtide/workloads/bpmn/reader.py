"""Bytes of one BPMN 2.0 file become a ``Model`` or one ``Problem`` that says why not. Nothing is opened here.

The reader is our own, over ``defusedxml`` and expat: expat decides what is well-formed, ``defusedxml`` refuses entity
bombs and external entities, and the rest is lenient, because real files come from fifty tools. What is mended (an id
used twice, a reference to nothing) becomes a warning. Depth costs no stack: every walk is a loop.
"""

import codecs
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml  # type: ignore[import-untyped]  # it ships no types; what comes out of it is typed where it is used
from defusedxml import ElementTree

from lowtide.errors import Problem
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

FILE_BYTES_MAX: Final = 64_000_000
"""Largest BPMN file that is read; the largest of 668 real ones has 0.5 MB."""

NAME_CHARS_MAX: Final = 500
TEXT_CHARS_MAX: Final = 20_000
"""Longest name and longest documentation, annotation, condition or script that is kept; the rest is cut and said so."""

BPMN_NAMESPACE: Final = "http://www.omg.org/spec/BPMN/20100524/MODEL"

_MULTI_BYTE = {
    # Declared encoding, as Python calls it -> what to try. Windows' larger sets are what many programs mean by the name.
    "shift_jis": ("shift_jis", "cp932"),
    "euc_kr": ("euc_kr", "cp949"),
    "gb2312": ("gb2312", "gb18030"),
    "gbk": ("gbk", "gb18030"),
    "big5": ("big5", "cp950", "big5hkscs"),
    **{
        name: (name,)
        for name in (
            *("gb18030", "hz", "cp932", "cp949", "cp950", "big5hkscs", "johab", "euc_jp", "euc_jis_2004"),
            *("euc_jisx0213", "shift_jis_2004", "shift_jisx0213", "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2"),
            *("iso2022_jp_2004", "iso2022_jp_3", "iso2022_jp_ext", "iso2022_kr", "utf_32", "utf_32_be", "utf_32_le"),
        )
    },
}
_EXPAT_READS = frozenset({"utf-8", "utf-16", "utf-16-be", "utf-16-le", "iso8859-1", "ascii"})
_NOT_FOR_FILES = frozenset({"unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "utf-7"})
_DECLARATION = re.compile(rb"""^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_SPACED_NAMESPACE = re.compile(rb"""\sxmlns(?::([^\s=]+))?\s*=\s*(?:"([^"]*\s[^"]*)"|'([^']*\s[^']*)')""")
_POSITION = re.compile(r":? *line \d+, column \d+$")

# XML forbids most of these; U+FDD0 and U+FDD1 are kept free for marking places in prompts.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SPACE = re.compile(r"\s+")

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
_NAMED_ROOTS = frozenset({"message", "signal", "error", "escalation", "dataStore", "resource", "interface"})
_DATA_ELEMENTS = frozenset(
    {"dataObject", "dataObjectReference", "dataStoreReference", "dataInput", "dataOutput", "property"}
)


def read_model(content: bytes, *, file: str) -> Model | Problem:
    """Read one file, given its bytes and the name it is known by.

    UTF-8, UTF-16 and single-byte encodings are read as they are; declared multi-byte ones are transcoded first. A
    namespace that is no valid URI (a space in it) is a warning only: expat and the names inside do not mind.
    """
    root = _parse(content, file=file)
    if isinstance(root, Problem):
        return root
    namespace, name = _split(root.tag)
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
    return _with_warning(model, warning)


def _with_warning(model: Model, warning: str) -> Model:
    return Model(
        file=model.file,
        nodes=model.nodes,
        flows=model.flows,
        messages=model.messages,
        pools=model.pools,
        warnings=(warning, *model.warnings),
    )


def _nothing(model: Model) -> str:
    if not model.pools:
        return "nothing to document: the file holds no process"
    names = ", ".join(pool.name or "(no name)" for pool in model.pools[:5])
    return f"nothing to document: a collaboration without a process (pools: {names})"


# --- From bytes to elements -------------------------------------------------------------------------------------------


def _parse(content: bytes, *, file: str) -> Element | Problem:
    if not content.strip(b" \t\r\n\xef\xbb\xbf"):
        return Problem(where=file, what="the file is empty")
    if len(content) > FILE_BYTES_MAX:
        return Problem(where=file, what=f"{len(content):,} bytes; {FILE_BYTES_MAX:,} are the most that is read")
    source = _transcoded(content, file=file)
    if isinstance(source, Problem):
        return source
    try:
        root: Element = ElementTree.fromstring(source)
    except ParseError as error:
        return _malformed(error, content, file=file)
    except defusedxml.EntitiesForbidden as error:
        hint = "write the text itself in place of the entity"
        return Problem(where=file, what=f"declares the entity {error.name!r}; entities are refused", hint=hint)
    except defusedxml.DefusedXmlException:
        return Problem(where=file, what="refers to an external entity or DTD; these are refused")
    except (ValueError, LookupError) as error:
        return Problem(where=file, what=f"cannot be read as XML: {error}")
    return root


def _transcoded(content: bytes, *, file: str) -> bytes | str | Problem:
    """Decode what expat cannot: declared multi-byte encodings and UTF-32. All else passes as it is."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return _decoded(content, encodings=("utf_32",), declared="UTF-32", file=file)
    found = _DECLARATION.match(content)
    if found is None:
        return content
    declared = found[1].decode()
    hint = "save it as UTF-8 and say so in its first line"
    try:
        codec = codecs.lookup(declared)
    except LookupError:
        return Problem(where=f"{file}:1", what=f"declares the encoding {declared!r}, which is not known", hint=hint)
    if codec.name in _EXPAT_READS:
        return content
    if codec.name in _MULTI_BYTE:
        return _decoded(content, encodings=_MULTI_BYTE[codec.name], declared=declared, file=file)
    if codec.name in _NOT_FOR_FILES or not _is_single_byte(codec):
        return Problem(where=f"{file}:1", what=f"declares the encoding {declared!r}, which is not for files", hint=hint)
    return content


def _is_single_byte(codec: codecs.CodecInfo) -> bool:
    if not getattr(codec, "_is_text_encoding", True):
        return False
    try:
        return len(bytes(range(256)).decode(codec.name, errors="replace")) == 256
    except UnicodeError:
        return False


def _decoded(content: bytes, *, encodings: Iterable[str], declared: str, file: str) -> str | Problem:
    worst: UnicodeDecodeError | None = None
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as error:
            worst = error if worst is None or error.start > worst.start else worst
    assert worst is not None, "there is at least one encoding to try"
    line = content.count(b"\n", 0, worst.start) + 1
    return Problem(where=f"{file}:{line}", what=f"bytes that are not valid in the declared encoding {declared}")


def _malformed(error: ParseError, content: bytes, *, file: str) -> Problem:
    line, column = error.position
    cause = _POSITION.sub("", str(error))
    if cause == "no element found":
        cause = "it ends before its first element is closed"
    elif "invalid token" in cause:
        cause = _wrong_bytes(content, line=line) or cause
    near = _excerpt(content, line=line, column=column)
    return Problem(where=f"{file}:{line}", what=f"not well-formed XML: {cause} (column {column + 1}{near})")


def _excerpt(content: bytes, *, line: int, column: int) -> str:
    lines = content.split(b"\n", line)
    if line > len(lines) or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ""
    found = _clean(lines[line - 1].decode(errors="replace")[column : column + 40])
    return f", at `{found}`" if found else ""


def _wrong_bytes(content: bytes, *, line: int) -> str:
    """Say that the bytes of ``line`` do not fit the declared encoding, or nothing when they do."""
    found = _DECLARATION.match(content)
    declared = found[1].decode() if found else "UTF-8"
    lines = content.split(b"\n")
    if line > len(lines):
        return ""
    try:
        lines[line - 1].decode(declared)
    except UnicodeDecodeError:
        return f"bytes that are not valid in its encoding {declared}"
    except LookupError:
        return ""
    return ""


# --- From elements to a model -----------------------------------------------------------------------------------------


def _split(tag: str) -> tuple[str, str]:
    if tag.startswith("{"):
        namespace, _, name = tag[1:].partition("}")
        return namespace, name
    return "", tag


def _clean(text: str | None) -> str:
    """Make one line of a name, without control characters, at most ``NAME_CHARS_MAX`` long."""
    if not text:
        return ""
    line = _SPACE.sub(" ", _UNWANTED.sub("", text)).strip()
    return line if len(line) <= NAME_CHARS_MAX else line[: NAME_CHARS_MAX - 1] + "…"


def _block(text: str) -> str:
    """Keep a longer text with its lines, without control characters, at most ``TEXT_CHARS_MAX`` long."""
    lines = (line.rstrip() for line in _UNWANTED.sub("", text).replace("\r\n", "\n").strip().split("\n"))
    whole = "\n".join(lines)
    return whole if len(whole) <= TEXT_CHARS_MAX else whole[: TEXT_CHARS_MAX - 1] + "…"


def _text_of(element: Element) -> str:
    return _block("".join(element.itertext()))


class _Draft:
    """A node while its file is being read; references are still ids."""

    __slots__ = (
        *("annotations", "attached_ref", "calls", "default_ref", "details", "documentation", "given_id", "id", "kind"),
        *(
            "lane",
            "name",
            "parent",
            "pool",
            "read_refs",
            "run_time",
            "traits",
            "trigger_refs",
            "triggers",
            "write_refs",
        ),
    )

    def __init__(self, *, kind: NodeKind, given_id: str, name: str, parent: int) -> None:
        self.kind = kind
        self.given_id = given_id
        self.id = given_id
        self.name = name
        self.parent = parent
        self.attached_ref = ""
        self.default_ref = ""
        self.calls = ""
        self.run_time = False
        self.lane = ""
        self.pool = ""
        self.documentation: list[str] = []
        self.annotations: list[str] = []
        self.triggers: list[tuple[str, str]] = []
        self.trigger_refs: list[tuple[str, str]] = []
        self.traits: list[str] = []
        self.details: list[tuple[str, str]] = []
        self.read_refs: list[str] = []
        self.write_refs: list[str] = []


class _Assembly:
    """One file being read: what was collected in the walk, then joined by ``model``."""

    def __init__(self, *, file: str, namespace: str) -> None:
        self._file = file
        self._namespaces = {BPMN_NAMESPACE, namespace}
        self._drafts: list[_Draft] = []
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
            kind = _kind(name, element)
            if kind is not None and (kind in ROOT_KINDS) == (parent == NOWHERE):
                index = self._begin(element, kind, parent)
                if kind in CONTAINER_KINDS:
                    stack.extend((child, index) for child in reversed(element))
            elif name == "collaboration":
                stack.extend((child, parent) for child in reversed(element))
            else:
                self._collect(name, element, parent)

    def _bpmn_name(self, element: Element) -> str | None:
        if not isinstance(element.tag, str):
            return None
        namespace, name = _split(element.tag)
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
                texts = [_text_of(child) for child in element if self._bpmn_name(child) == "text"]
                self._annotations[element.get("id", "")] = "\n".join(text for text in texts if text)
            case "documentation" if parent != NOWHERE:
                self._document(self._drafts[parent], element)
            case _ if name in _NAMED_ROOTS or name in _DATA_ELEMENTS:
                self._names[element.get("id", "")] = _reference_name(element)
            case _:
                pass

    def _collect_lanes(self, lane_set: Element) -> None:
        stack: list[tuple[Element, str]] = [(lane_set, "")]
        while stack:
            element, path = stack.pop()
            for child in element:
                match self._bpmn_name(child):
                    case "lane":
                        name = _clean(child.get("name"))
                        stack.append((child, f"{path} / {name}" if path and name else path or name))
                    case "childLaneSet":
                        stack.append((child, path))
                    case "flowNodeRef":
                        self._lanes.append((_clean(child.text), path))
                    case _:
                        pass

    def _document(self, draft: _Draft, element: Element) -> None:
        text = _text_of(element)
        if text:
            draft.documentation.append(text)

    def _begin(self, element: Element, kind: NodeKind, parent: int) -> int:
        index = len(self._drafts)
        draft = _Draft(kind=kind, given_id=_clean(element.get("id")), name=_clean(element.get("name")), parent=parent)
        self._drafts.append(draft)
        draft.attached_ref = element.get("attachedToRef", "")
        draft.default_ref = element.get("default", "")
        self._read_attributes(draft, element)
        if kind in CONTAINER_KINDS:
            children: Iterable[Element] = (child for child in element if self._own_part(child))
        else:
            children = element
        for child in children:
            self._read_part(draft, child)
        return index

    def _own_part(self, child: Element) -> bool:
        name = self._bpmn_name(child)
        return (
            name is not None
            and name != "documentation"
            and (name.endswith("LoopCharacteristics") or name in ("extensionElements", "ioSpecification"))
        )

    def _read_attributes(self, draft: _Draft, element: Element) -> None:
        for attribute, value in element.attrib.items():
            _, name = _split(attribute)
            if name in _DETAIL_ATTRIBUTES and value and not value.startswith("##"):
                draft.details.append((name, _clean(value)))
        called = element.get("calledElement") or element.get("calledChoreographyRef") or ""
        if called:
            _set_called(draft, called)
        if element.get("cancelActivity") == "false" or element.get("isInterrupting") == "false":
            draft.traits.append("non-interrupting")
        if element.get("isForCompensation") == "true":
            draft.traits.append("for-compensation")
        for reference in (element.get("messageRef"),):
            if reference:
                draft.trigger_refs.append(("message", reference))

    def _read_part(self, draft: _Draft, child: Element) -> None:
        name = self._bpmn_name(child)
        match name:
            case None:
                return
            case "documentation":
                self._document(draft, child)
            case "extensionElements":
                _read_extensions(draft, child)
            case "multiInstanceLoopCharacteristics":
                sequential = child.get("isSequential") == "true"
                draft.traits.append("sequential-multi-instance" if sequential else "parallel-multi-instance")
            case "standardLoopCharacteristics":
                draft.traits.append("loop")
            case "dataInputAssociation":
                draft.read_refs.extend(_clean(part.text) for part in child if self._bpmn_name(part) == "sourceRef")
            case "dataOutputAssociation":
                draft.write_refs.extend(_clean(part.text) for part in child if self._bpmn_name(part) == "targetRef")
            case "script" | "completionCondition" | "activationCondition" | "condition":
                text = _text_of(child)
                if text:
                    draft.details.append((name, text))
            case "potentialOwner" | "humanPerformer" | "performer":
                text = _clean("".join(child.itertext()))
                if text:
                    draft.details.append((name, text))
            case _ if name in _TRIGGERS:
                self._read_trigger(draft, name, child)
            case _ if name in _DATA_ELEMENTS:
                self._names[child.get("id", "")] = _reference_name(child)
            case _:
                pass

    def _read_trigger(self, draft: _Draft, name: str, element: Element) -> None:
        kind, attribute = _TRIGGERS[name]
        reference = element.get(attribute, "") if attribute else ""
        if reference:
            draft.trigger_refs.append((kind, reference))
        elif kind == "link":
            draft.triggers.append((kind, _clean(element.get("name")) or draft.name))
        else:
            parts = (_text_of(part) for part in element if self._bpmn_name(part) not in (None, "extensionElements"))
            draft.triggers.append((kind, "; ".join(part for part in parts if part)))

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
        reference = _clean(reference)
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
            name = _clean(element.get("name"))
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
            if source == NOWHERE or target == NOWHERE:
                end = "source" if source == NOWHERE else "target"
                self._warnings.append(
                    f"the sequence flow {identity or '(no id)'} names a {end} that is not in the file"
                )
                continue
            conditions = [_text_of(part) for part in element if self._bpmn_name(part) == "conditionExpression"]
            yield Flow(
                source=source,
                target=target,
                name=_clean(element.get("name")),
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
            name = _clean(element.get("name")) or self._names.get(element.get("messageRef", ""), "")
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

    def _node(self, draft: _Draft) -> Node:
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


def _kind(name: str, element: Element) -> NodeKind | None:
    if name == "subProcess" and element.get("triggeredByEvent") == "true":
        return NodeKind.EVENT_SUB_PROCESS
    if name == "eventSubProcess":
        return None
    try:
        return NodeKind(name)
    except ValueError:
        return None


def _reference_name(element: Element) -> str:
    name = _clean(element.get("name"))
    code = _clean(element.get("errorCode") or element.get("escalationCode"))
    if name and code and name != code:
        return f"{name} ({code})"
    return name or code or _clean(element.get("id"))


def _set_called(draft: _Draft, called: str) -> None:
    draft.calls = _clean(called)
    draft.run_time = draft.calls.startswith(("=", "${", "#{"))


def _read_extensions(draft: _Draft, extensions: Element) -> None:
    """Read what engines keep in extension elements: Zeebe's task types, decisions, forms and called processes."""
    for element in extensions:
        if not isinstance(element.tag, str):
            continue
        _, name = _split(element.tag)
        if name == "calledElement" and not draft.calls:
            _set_called(draft, element.get("processId", ""))
        elif name in _DETAIL_ELEMENTS:
            for attribute, value in element.attrib.items():
                if value and len(value) <= NAME_CHARS_MAX:
                    draft.details.append((f"{name} {_split(attribute)[1]}", _clean(value)))
