"""Signed events as they are kept, and the one wish that each may write: look now. One statement a function.

Law: nothing of how a batch or a call stands is written here, only when it is looked at next, and never later than before.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from lowtide.attempt import CallState
from lowtide.batch import AT_PROVIDER
from lowtide.store import Transaction, insert_missing
from lowtide.store.schema import BATCHES, CALLS, WEBHOOKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an event says: its delivery's id (the same when it is delivered again), its type, and what it is about."""

    webhook_id: str
    type: str
    object_id: str


class Heard(StrEnum):
    """What became of an event that was signed for us."""

    LOOK_NOW = "look_now"  # what it is about is looked at as soon as the worker sees it
    NOTHING_DUE = "nothing_due"  # we know what it is about, and it is over here or is looked at anyway
    UNKNOWN_OBJECT = "unknown_object"  # it is about somebody else's batch or response, or one that has landed
    UNKNOWN_TYPE = "unknown_type"  # it is about neither batches nor responses
    DUPLICATE = "duplicate"  # it was delivered before


def hear(tx: Transaction, event: Event, now: datetime) -> Heard:
    """Keep an event, and write that what it is about is due now. The second delivery of one changes nothing."""
    row = {
        "webhook_id": event.webhook_id,
        "received_at": now,
        "type": event.type,
        "object_id": event.object_id,
    }
    if not insert_missing(tx, WEBHOOKS, row):
        return Heard.DUPLICATE
    match event.type.partition(".")[0]:
        case "batch":
            return _look_at_batch(tx, event.object_id, now)
        case "response":
            return _look_at_call(tx, event.object_id, now)
        case _:
            return Heard.UNKNOWN_TYPE


def _look_at_batch(tx: Transaction, provider_batch_id: str, now: datetime) -> Heard:
    """Make a batch due that is at the provider. What is being read already keeps its own patience."""
    named = BATCHES.c.provider_batch_id == provider_batch_id
    waits = BATCHES.c.state.in_([*AT_PROVIDER]) & (BATCHES.c.next_at > now)
    # Locked: whoever writes about it just now either sees this event, or has put off the next look before we look.
    if tx.execute(select(BATCHES.c.batch_id).where(named).with_for_update()).first() is None:
        return Heard.UNKNOWN_OBJECT
    moved = tx.execute(BATCHES.update().where(named & waits).values(next_at=now)).rowcount
    return Heard.LOOK_NOW if moved else Heard.NOTHING_DUE


def _look_at_call(tx: Transaction, response_id: str, now: datetime) -> Heard:
    """Make a call due that is made in the background."""
    named = CALLS.c.response_id == response_id
    waits = (CALLS.c.state == CallState.QUEUED) & (CALLS.c.next_at > now)
    if tx.execute(CALLS.update().where(named & waits).values(next_at=now)).rowcount:
        return Heard.LOOK_NOW
    known = tx.execute(select(CALLS.c.seq).where(named)).first() is not None
    return Heard.NOTHING_DUE if known else Heard.UNKNOWN_OBJECT


def heard_since(tx: Transaction, since: datetime) -> dict[str, datetime]:
    """Name what events came about after a moment, and when the last of each did, by the clock of whoever received it."""
    query = select(WEBHOOKS.c.object_id, WEBHOOKS.c.received_at).where(WEBHOOKS.c.received_at > since)
    return {row.object_id: row.received_at for row in tx.execute(query.order_by(WEBHOOKS.c.received_at))}


def forget(tx: Transaction, before: datetime) -> int:
    """Delete events received before a moment; gives their number."""
    return int(tx.execute(WEBHOOKS.delete().where(WEBHOOKS.c.received_at < before)).rowcount)
