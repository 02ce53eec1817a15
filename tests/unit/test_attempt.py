"""``attempt``: the table of a real-time call is whole."""

from itertools import product

import pytest

from lowtide.attempt import TRANSITIONS, CallEvent, CallState, next_state
from lowtide.errors import ImpossibleEvent


@pytest.mark.parametrize(("state", "event"), list(product(CallState, CallEvent)))
def test_every_state_meets_every_event_or_says_that_it_cannot(state: CallState, event: CallEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(ImpossibleEvent, match=f"a call that is {state} cannot meet {event}"):
            next_state(state, event)


def test_every_state_is_reached_and_every_event_used() -> None:
    reached, ahead = set(), {CallState.SENDING}
    while ahead:
        reached |= ahead
        ahead = {end for (state, _), end in TRANSITIONS.items() if state in ahead and end is not None} - reached
    assert reached == set(CallState)
    assert {event for _, event in TRANSITIONS} == set(CallEvent)


@pytest.mark.parametrize("state", CallState)
def test_every_state_can_end(state: CallState) -> None:
    assert None in [end for (start, _), end in TRANSITIONS.items() if start is state]


def test_a_lost_reply_is_never_forgotten_by_itself() -> None:
    """Promise 3: what may be bought is a doubt, and only a person or a bill ends a doubt."""
    assert next_state(CallState.SENDING, CallEvent.REPLY_LOST) is CallState.DOUBTFUL
    assert next_state(CallState.QUEUED, CallEvent.REPLY_LOST) is CallState.DOUBTFUL
    assert {event for state, event in TRANSITIONS if state is CallState.DOUBTFUL} == {CallEvent.SETTLED}


def test_what_the_provider_has_taken_cannot_be_unsent() -> None:
    """Only a call that certainly bought nothing is made again as if it had not been."""
    assert next_state(CallState.SENDING, CallEvent.NEVER_SENT) is None
    assert (CallState.QUEUED, CallEvent.NEVER_SENT) not in TRANSITIONS
