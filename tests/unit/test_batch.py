"""``batch``: the table is whole. Every state meets every event, or says that it cannot."""

from itertools import product

import pytest

from lowtide.batch import (
    AT_PROVIDER,
    FOUND,
    OVER,
    READABLE,
    TRANSITIONS,
    UNCONFIRMED,
    BatchEvent,
    BatchState,
    ImpossibleEvent,
    next_state,
)


@pytest.mark.parametrize(("state", "event"), list(product(BatchState, BatchEvent)))
def test_every_state_meets_every_event_or_says_that_it_cannot(state: BatchState, event: BatchEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(ImpossibleEvent, match=f"a batch that is {state} cannot meet {event}"):
            next_state(state, event)


def reachable(start: BatchState) -> set[BatchState]:
    seen, ahead = set(), {start}
    while ahead:
        seen |= ahead
        ahead = {end for (state, _), end in TRANSITIONS.items() if state in ahead} - seen
    return seen


def test_every_state_is_reached_from_the_first() -> None:
    assert reachable(BatchState.PLANNED) == set(BatchState)


@pytest.mark.parametrize("state", sorted(OVER))
def test_what_is_over_stays_so_but_for_two_findings(state: BatchState) -> None:
    events = {event for (start, event) in TRANSITIONS if start is state}
    assert events <= {BatchEvent.GONE, BatchEvent.PROVED_FOREIGN}
    assert events == ({BatchEvent.GONE, BatchEvent.PROVED_FOREIGN} if state in READABLE else set())


@pytest.mark.parametrize("state", sorted(UNCONFIRMED | AT_PROVIDER))
@pytest.mark.parametrize(("event", "end"), FOUND.items())
def test_what_the_provider_shows_is_believed(state: BatchState, event: BatchEvent, end: BatchState) -> None:
    assert next_state(state, event) is end


def test_a_lost_reply_is_a_doubt_and_never_a_failure() -> None:
    """Promise 3: nothing goes back to ``planned`` from ``submitting`` by a lost reply, only by knowing."""
    assert next_state(BatchState.SUBMITTING, BatchEvent.REPLY_LOST) is BatchState.DOUBTFUL
    to_planned = {key for key, end in TRANSITIONS.items() if end is BatchState.PLANNED}
    assert to_planned == {
        (BatchState.SUBMITTING, BatchEvent.SEND_AGAIN),
        (BatchState.DOUBTFUL, BatchEvent.SEND_AGAIN),
    }


def test_only_an_intent_begins_a_submission() -> None:
    assert {key for key, end in TRANSITIONS.items() if end is BatchState.SUBMITTING} == {
        (BatchState.PLANNED, BatchEvent.INTENT_WRITTEN)
    }


def test_the_sets_divide_the_states() -> None:
    parts = [frozenset({BatchState.PLANNED}), UNCONFIRMED, AT_PROVIDER, OVER]
    assert sum(len(part) for part in parts) == len(BatchState)
    assert frozenset().union(*parts) == set(BatchState)
    assert READABLE < OVER
    assert set(FOUND.values()) == AT_PROVIDER | OVER - {BatchState.LOST}


def test_an_impossible_event_is_ours() -> None:
    assert issubclass(ImpossibleEvent, AssertionError)
