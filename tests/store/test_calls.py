"""``store/calls``: the intent of each real-time call, and the doubts that are left; on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError
from world import MODEL, NOW, PLAN, RUN, SECOND, SHARD, add_calls, add_run, add_shard

from lowtide.attempt import CallState
from lowtide.packing import ShardId
from lowtide.store import Store, calls, shards
from lowtide.store.calls import CallRow, DoubtRow


def block(store: Store) -> None:
    add_run(store, 6)
    add_shard(store, [1, 3, 5], route="realtime")


def row(ordinal: int, seq: int, **values: object) -> CallRow:
    made = CallRow(
        shard_id=SHARD,
        ordinal=ordinal,
        plan_id=PLAN,
        seq=seq,
        state=CallState.SENDING,
        response_id=None,
        hold_id=None,
        cancel_asked=False,
        next_at=None,
        at=NOW,
    )
    return replace(made, **values)  # type: ignore[arg-type]


def of_shard(store: Store) -> list[CallRow]:
    with store.read() as tx:
        return calls.of_shard(tx, SHARD)


def test_an_intent_is_written_and_ends(store: Store) -> None:
    block(store)
    add_calls(store, [2, 0])
    assert of_shard(store) == [row(0, 1), row(2, 5)]
    with store.write() as tx:
        calls.end(store, tx, [(SHARD, 0), (SHARD, 1), (ShardId("another"), 2)])
    assert of_shard(store) == [row(2, 5)]
    with store.read() as tx:
        assert calls.find(tx, SHARD, 2) == row(2, 5)
        assert calls.find(tx, SHARD, 0) is None


def test_one_call_is_never_begun_twice(store: Store) -> None:
    """Promise 2: two processes that take the same request cannot both write its intent."""
    block(store)
    add_calls(store, [0])
    with pytest.raises(IntegrityError):
        add_calls(store, [1, 0])
    assert of_shard(store) == [row(0, 1)], "nor is anything else of that moment kept"


def test_what_is_made_in_the_background_is_asked_about_when_due(store: Store) -> None:
    block(store)
    add_calls(store, [0], state=CallState.QUEUED, response_id="resp_1", next_at=NOW + SECOND)
    add_calls(store, [1], state=CallState.QUEUED, response_id="resp_2", next_at=NOW)
    add_calls(store, [2])
    first = row(0, 1, state=CallState.QUEUED, response_id="resp_1", next_at=NOW + SECOND)
    second = row(1, 3, state=CallState.QUEUED, response_id="resp_2", next_at=NOW)
    with store.read() as tx:
        assert calls.due(tx, RUN, "anthropic", NOW - SECOND) == []
        assert calls.due(tx, RUN, "anthropic", NOW) == [second]
        assert calls.due(tx, RUN, "anthropic", NOW + SECOND) == [second, first]
        assert calls.due(tx, RUN, "openai", NOW + SECOND) == []
        assert calls.due(tx, "r_2", "anthropic", NOW + SECOND) == []


def test_doubts_are_listed_by_name_and_counted(store: Store) -> None:
    block(store)
    add_calls(store, [0, 1])
    add_calls(store, [2], state=CallState.DOUBTFUL, hold_id=77)
    add_run(store, 3, plan_id="p_2", run_id="r_2")
    add_shard(store, [2], shard_id="lt2", run_id="r_2", plan_id="p_2", route="8h", provider="openai")
    add_calls(store, [0], "lt2", state=CallState.DOUBTFUL, hold_id=78, at=NOW - SECOND)
    with store.write() as tx:
        shards.set_requests(store, tx, PLAN, [5], state="failed", was="pending")
    ours = DoubtRow(
        call=row(2, 5, state=CallState.DOUBTFUL, hold_id=77),
        run_id=RUN,
        provider="anthropic",
        route="realtime",
        key="key 5",
        model=MODEL,
        request_state="failed",
    )
    with store.read() as tx:
        assert calls.doubts(tx, RUN) == [ours]
        other, same = calls.doubts(tx)
        assert same == ours, "the oldest comes first"
        assert (other.run_id, other.provider, other.route, other.key) == ("r_2", "openai", "8h", "key 2")
        assert calls.doubted_runs(tx) == {RUN, "r_2"}
        assert (calls.doubt_count(tx, RUN), calls.doubt_count(tx, "r_2"), calls.doubt_count(tx, "r_3")) == (1, 1, 0)
        assert [calls.doubted(tx, PLAN, seq) for seq in (1, 3, 5)] == [False, False, True]
