"""The nouns of a BPMN file: nodes, flows, messages, pools. Plain values; how a file is read or quoted is not known here.

Nodes of one file stand in document order; a container always comes before what it contains, so that every walk up or
down is a loop over indices and no depth of nesting can exhaust a stack.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class NodeKind(StrEnum):
    """Element names of BPMN 2.0 (OMG formal/2011-01-03), plus ``eventSubProcess`` for one triggered by an event."""

    PROCESS = "process"
    CHOREOGRAPHY = "choreography"
    GLOBAL_TASK = "globalTask"
    GLOBAL_USER_TASK = "globalUserTask"
    GLOBAL_MANUAL_TASK = "globalManualTask"
    GLOBAL_SCRIPT_TASK = "globalScriptTask"
    GLOBAL_BUSINESS_RULE_TASK = "globalBusinessRuleTask"
    SUB_PROCESS = "subProcess"
    EVENT_SUB_PROCESS = "eventSubProcess"
    TRANSACTION = "transaction"
    AD_HOC_SUB_PROCESS = "adHocSubProcess"
    SUB_CHOREOGRAPHY = "subChoreography"
    CALL_ACTIVITY = "callActivity"
    CALL_CHOREOGRAPHY = "callChoreography"
    TASK = "task"
    USER_TASK = "userTask"
    SERVICE_TASK = "serviceTask"
    MANUAL_TASK = "manualTask"
    SCRIPT_TASK = "scriptTask"
    SEND_TASK = "sendTask"
    RECEIVE_TASK = "receiveTask"
    BUSINESS_RULE_TASK = "businessRuleTask"
    CHOREOGRAPHY_TASK = "choreographyTask"
    START_EVENT = "startEvent"
    END_EVENT = "endEvent"
    INTERMEDIATE_CATCH_EVENT = "intermediateCatchEvent"
    INTERMEDIATE_THROW_EVENT = "intermediateThrowEvent"
    IMPLICIT_THROW_EVENT = "implicitThrowEvent"
    BOUNDARY_EVENT = "boundaryEvent"
    EXCLUSIVE_GATEWAY = "exclusiveGateway"
    INCLUSIVE_GATEWAY = "inclusiveGateway"
    PARALLEL_GATEWAY = "parallelGateway"
    COMPLEX_GATEWAY = "complexGateway"
    EVENT_BASED_GATEWAY = "eventBasedGateway"


ROOT_KINDS: Final = frozenset(
    {
        NodeKind.PROCESS,
        NodeKind.CHOREOGRAPHY,
        NodeKind.GLOBAL_TASK,
        NodeKind.GLOBAL_USER_TASK,
        NodeKind.GLOBAL_MANUAL_TASK,
        NodeKind.GLOBAL_SCRIPT_TASK,
        NodeKind.GLOBAL_BUSINESS_RULE_TASK,
    }
)
"""Kinds that stand directly below ``definitions``: what a call activity can call, and choreographies."""

CONTAINER_KINDS: Final = frozenset(
    {
        NodeKind.PROCESS,
        NodeKind.CHOREOGRAPHY,
        NodeKind.SUB_PROCESS,
        NodeKind.EVENT_SUB_PROCESS,
        NodeKind.TRANSACTION,
        NodeKind.AD_HOC_SUB_PROCESS,
        NodeKind.SUB_CHOREOGRAPHY,
    }
)

NOWHERE: Final = -1
"""The index that means: no node (no parent, not attached, a partner that is a pool without nodes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One element of a file that can be documented or stands in a flow.

    ``id`` is unique in its file (see ``reader``); ``parent`` and ``attached_to`` are indices into ``Model.nodes``.
    ``lane`` and ``pool`` are names, empty for none. ``triggers`` are (kind, value) of event definitions, ``traits`` are
    slugs such as ``sequential-multi-instance``, ``details`` are (name, value) of what an engine needs to run it.
    ``calls`` is the called element as it was written; ``calls_at_run_time`` says that it is an expression.
    """

    id: str
    kind: NodeKind
    name: str
    parent: int = NOWHERE
    attached_to: int = NOWHERE
    lane: str = ""
    pool: str = ""
    documentation: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    triggers: tuple[tuple[str, str], ...] = ()
    traits: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    calls: str = ""
    calls_at_run_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A sequence flow between two nodes of one file, or a jump between link events (``link`` is then True)."""

    source: int
    target: int
    name: str = ""
    condition: str = ""
    default: bool = False
    link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message flow. An end that is a pool has no node of its own: its index is ``NOWHERE`` and its name is given."""

    name: str
    source: int
    source_name: str
    target: int
    target_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A participant; ``process`` is the index of its process, ``NOWHERE`` for a pool that shows nothing inside."""

    name: str
    process: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One file as read. ``file`` is its path below the input folder, with forward slashes.

    ``warnings`` are sentences about what was mended or left out; they name no file.
    """

    file: str
    nodes: tuple[Node, ...]
    flows: tuple[Flow, ...] = ()
    messages: tuple[Message, ...] = ()
    pools: tuple[Pool, ...] = ()
    warnings: tuple[str, ...] = ()
