"""The life of one real-time call, as a table of (state, event) -> state; ``batch.py`` has the life of a batch.

A block of real-time calls is a shard; each call has its own life while it is under way, and none afterwards: its outcome
tells the rest. A reply that was lost cannot be asked about: the call stays doubtful and its hold counts as spent, until
somebody settles it (promise 3).
"""

from enum import StrEnum

from lowtide.errors import ImpossibleEvent


class AttemptState(StrEnum):
    """Where a shard stands: one attempt at each of its requests."""

    RESERVED = "reserved"  # nothing of it was sent
    OUT = "out"  # its batch, or its calls, tell the rest
    LANDED = "landed"  # every request of it has an outcome, or is a doubt
    DROPPED = "dropped"  # given up before it was bought


class CallState(StrEnum):
    """Where a real-time call stands whose outcome is not known."""

    SENDING = "sending"  # intent written; it may be on its way
    QUEUED = "queued"  # taken, to be made in the background; it can be asked for
    DOUBTFUL = "doubtful"  # the reply was lost


class CallEvent(StrEnum):
    """What can happen to a call. ``None`` as the next state ends it."""

    REPLIED = "replied"
    TAKEN = "taken"  # the reply says that it is made in the background
    REPLY_LOST = "reply_lost"
    NEVER_SENT = "never_sent"  # no connection was made, or the provider said "later": it is tried again
    SETTLED = "settled"  # a person, or an imported bill, said what became of a doubt


TRANSITIONS: dict[tuple[CallState, CallEvent], CallState | None] = {
    (CallState.SENDING, CallEvent.REPLIED): None,
    (CallState.SENDING, CallEvent.NEVER_SENT): None,
    (CallState.SENDING, CallEvent.TAKEN): CallState.QUEUED,
    (CallState.SENDING, CallEvent.REPLY_LOST): CallState.DOUBTFUL,
    (CallState.QUEUED, CallEvent.REPLIED): None,
    (CallState.QUEUED, CallEvent.TAKEN): CallState.QUEUED,
    (CallState.QUEUED, CallEvent.REPLY_LOST): CallState.DOUBTFUL,  # the provider no longer knows it
    (CallState.DOUBTFUL, CallEvent.SETTLED): None,
}


def next_state(state: CallState, event: CallEvent) -> CallState | None:
    """Look up the next state. Raises: ImpossibleEvent when the table has no such row."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleEvent(f"a call that is {state} cannot meet {event}") from None
