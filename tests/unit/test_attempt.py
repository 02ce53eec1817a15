"""``attempt``: the table of a real-time attempt is whole."""

from itertools import product

import pytest

from lowtide.attempt import TRANSITIONS, AttemptEvent, AttemptState, next_state
from lowtide.batch import ImpossibleEvent


@pytest.mark.parametrize(("state", "event"), list(product(AttemptState, AttemptEvent)))
def test_every_state_meets_every_event_or_says_that_it_cannot(state: AttemptState, event: AttemptEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(ImpossibleEvent, match=f"an attempt that is {state} cannot meet {event}"):
            next_state(state, event)


def test_every_state_of_a_real_time_attempt_is_reached_and_every_event_used() -> None:
    reached = {AttemptState.RESERVED, *TRANSITIONS.values()}
    assert reached == set(AttemptState) - {AttemptState.OUT}, "out is a batch shard's"
    assert {event for _, event in TRANSITIONS} == set(AttemptEvent)


@pytest.mark.parametrize("state", [AttemptState.LANDED, AttemptState.DROPPED, AttemptState.DOUBTFUL, AttemptState.OUT])
def test_ends_have_no_way_out(state: AttemptState) -> None:
    assert not [key for key in TRANSITIONS if key[0] is state]


def test_a_lost_reply_is_never_sent_again_by_itself() -> None:
    assert next_state(AttemptState.SENDING, AttemptEvent.REPLY_LOST) is AttemptState.DOUBTFUL
    assert next_state(AttemptState.SENDING, AttemptEvent.NEVER_SENT) is AttemptState.RESERVED
