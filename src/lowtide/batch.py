"""The life of a batch, as one table of (state, event) -> state. Nothing here knows a provider's dialect or a clock.

A batch row is made when a shard is about to be sent and lives through every doubt about whether it arrived. Two facts
are kept apart: the provider says it has *ended*; its results have *landed* here (the shard's ``landed_at``).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from lowtide.errors import ImpossibleEvent


class BatchState(StrEnum):
    """Where a batch stands, as far as we know."""

    PLANNED = "planned"  # the shard is reserved for; nothing was sent
    SUBMITTING = "submitting"  # intent written; the create call may be on its way
    DOUBTFUL = "doubtful"  # the reply was lost: it may or may not exist at the provider
    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    FINALIZING = "finalizing"
    CANCELING = "canceling"
    ENDED = "ended"  # over at the provider, with a result per request
    FAILED = "failed"  # refused as a whole; nothing in it was bought
    EXPIRED = "expired"  # over at the provider because its time ran out; finished rows are paid
    CANCELED = "canceled"  # over at the provider because somebody canceled it; finished rows are paid
    LOST = "lost"  # the provider no longer knows it and its results are gone


class BatchEvent(StrEnum):
    """What can happen to a batch."""

    INTENT_WRITTEN = "intent_written"
    REPLY_LOST = "reply_lost"
    REFUSED = "refused"  # the create was answered with a refusal that is final
    SEND_AGAIN = "send_again"  # the create was answered with a refusal that passes (429, 529), or never arrived
    FOUND_VALIDATING = "found_validating"
    FOUND_QUEUED = "found_queued"
    FOUND_RUNNING = "found_running"
    FOUND_FINALIZING = "found_finalizing"
    FOUND_CANCELING = "found_canceling"
    FOUND_ENDED = "found_ended"
    FOUND_FAILED = "found_failed"
    FOUND_EXPIRED = "found_expired"
    FOUND_CANCELED = "found_canceled"
    PROVED_FOREIGN = "proved_foreign"  # its results carry somebody else's ids: it was never ours
    GONE = "gone"  # the provider does not know it any more


FOUND: dict[BatchEvent, BatchState] = {
    BatchEvent.FOUND_VALIDATING: BatchState.VALIDATING,
    BatchEvent.FOUND_QUEUED: BatchState.QUEUED,
    BatchEvent.FOUND_RUNNING: BatchState.RUNNING,
    BatchEvent.FOUND_FINALIZING: BatchState.FINALIZING,
    BatchEvent.FOUND_CANCELING: BatchState.CANCELING,
    BatchEvent.FOUND_ENDED: BatchState.ENDED,
    BatchEvent.FOUND_FAILED: BatchState.FAILED,
    BatchEvent.FOUND_EXPIRED: BatchState.EXPIRED,
    BatchEvent.FOUND_CANCELED: BatchState.CANCELED,
}
UNCONFIRMED = frozenset({BatchState.SUBMITTING, BatchState.DOUBTFUL})
AT_PROVIDER = frozenset(
    {BatchState.VALIDATING, BatchState.QUEUED, BatchState.RUNNING, BatchState.FINALIZING, BatchState.CANCELING}
)
OVER = frozenset({BatchState.ENDED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELED, BatchState.LOST})
READABLE = frozenset({BatchState.ENDED, BatchState.EXPIRED, BatchState.CANCELED})

TRANSITIONS: dict[tuple[BatchState, BatchEvent], BatchState] = {
    (BatchState.PLANNED, BatchEvent.INTENT_WRITTEN): BatchState.SUBMITTING,
    (BatchState.SUBMITTING, BatchEvent.REPLY_LOST): BatchState.DOUBTFUL,
    (BatchState.SUBMITTING, BatchEvent.REFUSED): BatchState.FAILED,
    (BatchState.SUBMITTING, BatchEvent.SEND_AGAIN): BatchState.PLANNED,
    (BatchState.DOUBTFUL, BatchEvent.SEND_AGAIN): BatchState.PLANNED,
    **{(start, event): end for start in UNCONFIRMED for event, end in FOUND.items()},
    **{(start, event): end for start in AT_PROVIDER for event, end in FOUND.items()},
    **{(start, BatchEvent.GONE): BatchState.LOST for start in AT_PROVIDER | READABLE},
    **{(start, BatchEvent.PROVED_FOREIGN): BatchState.DOUBTFUL for start in READABLE},
}


def next_state(state: BatchState, event: BatchEvent) -> BatchState:
    """Look up the next state. Raises: ImpossibleEvent when the table has no such row."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleEvent(f"a batch that is {state} cannot meet {event}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A batch's own counts, as the provider gives them. Anthropic's stay 0 until the end (checked 2026-11-21)."""

    total: int
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProblem:
    """Why a batch failed as a whole: one line of it (counted from 1, ``None`` for the batch itself), and what is wrong."""

    line: int | None
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch as the provider shows it, in our words. Times are the provider's.

    ``results_paths`` are the paths that hold its results, all of which are read; empty where there are none. ``token`` is
    ours, where the provider lets a batch carry one. ``problems`` say why it failed as a whole.
    """

    provider_batch_id: str
    event: Literal[
        BatchEvent.FOUND_VALIDATING,
        BatchEvent.FOUND_QUEUED,
        BatchEvent.FOUND_RUNNING,
        BatchEvent.FOUND_FINALIZING,
        BatchEvent.FOUND_CANCELING,
        BatchEvent.FOUND_ENDED,
        BatchEvent.FOUND_FAILED,
        BatchEvent.FOUND_EXPIRED,
        BatchEvent.FOUND_CANCELED,
    ]
    counts: Counts
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    results_paths: tuple[str, ...] = ()
    archived: bool = False
    token: str | None = None
    problems: tuple[LineProblem, ...] = ()
