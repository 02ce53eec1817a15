"""The life of one real-time attempt, as a table of (state, event) -> state; ``batch.py`` has the life of a batch.

The states are those of its shard. A reply that was lost cannot be asked about: the attempt stays doubtful, its hold
counts as spent, until somebody settles it (promise 3).
"""

from enum import StrEnum

from lowtide.errors import ImpossibleEvent


class AttemptState(StrEnum):
    """Where an attempt stands. ``OUT`` is a batch shard's: its batch tells the rest."""

    RESERVED = "reserved"
    SENDING = "sending"
    DOUBTFUL = "doubtful"
    OUT = "out"
    LANDED = "landed"
    DROPPED = "dropped"


class AttemptEvent(StrEnum):
    """What can happen to an attempt."""

    INTENT_WRITTEN = "intent_written"
    REPLIED = "replied"
    REPLY_LOST = "reply_lost"
    NEVER_SENT = "never_sent"  # no connection was made, or the provider said "later": may be tried again
    GIVEN_UP = "given_up"  # the run was canceled before it was sent


TRANSITIONS: dict[tuple[AttemptState, AttemptEvent], AttemptState] = {
    (AttemptState.RESERVED, AttemptEvent.INTENT_WRITTEN): AttemptState.SENDING,
    (AttemptState.RESERVED, AttemptEvent.GIVEN_UP): AttemptState.DROPPED,
    (AttemptState.SENDING, AttemptEvent.REPLIED): AttemptState.LANDED,
    (AttemptState.SENDING, AttemptEvent.REPLY_LOST): AttemptState.DOUBTFUL,
    (AttemptState.SENDING, AttemptEvent.NEVER_SENT): AttemptState.RESERVED,
}


def next_state(state: AttemptState, event: AttemptEvent) -> AttemptState:
    """Look up the next state. Raises: ImpossibleEvent when the table has no such row."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleEvent(f"an attempt that is {state} cannot meet {event}") from None
