"""``store/prunes``: what may be forgotten is, and what somebody needs stays; on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select
from world import (
    NOW,
    PAYER,
    PLAN,
    RUN,
    SHARD,
    Home,
    add_plan,
    add_run,
    add_shard,
    land,
    landed,
    new_request,
    plan_row,
    run,
)

from lowtide.attempt import CallState
from lowtide.dispatch import RunState
from lowtide.packing import ShardId
from lowtide.store import Store, answers, books, calls, plans, prunes, runs, worker_name
from lowtide.store.schema import ATTEMPTS, PLANS, REQUESTS, SEGMENTS, TRANSFERS
from lowtide.store.segments import Place, SegmentWriter

DAY = timedelta(days=1)
DEAD = f"{worker_name('aaaaa').split(':')[0]}:999999999:1:ccccc"


@pytest.fixture
def writers() -> Iterator[list[SegmentWriter]]:
    """Writers that are left open as by a dead process, closed at the end."""
    writers: list[SegmentWriter] = []
    yield writers
    for writer in writers:
        writer.close()


def segment(store: Store, record: bytes, *, writer: str = "", sealed: bool = True) -> Place:
    made = store.new_segment("bodies", writer or worker_name("aaaaa"), NOW)
    place = made.append(record)
    made.sync()
    if sealed:
        store.seal_segment(made)
    else:
        made.close()
    return place


def over(store: Store, plan_id: str = PLAN, run_id: str = RUN) -> tuple[Place, Place]:
    """A run that is done, with a body and an answer."""
    body, answer = segment(store, b"body of " + plan_id.encode()), segment(store, b"answer of " + plan_id.encode())
    add_run(store, 0, plan_id=plan_id, run_id=run_id)
    with store.write() as tx:
        plans.insert_requests(store, tx, plan_id, [new_request(0, body_at=body)])
    add_shard(store, [0], shard_id=f"lt{run_id}", plan_id=plan_id, run_id=run_id)
    land(store, [landed(0, answer_at=answer, message="said")], shard_id=f"lt{run_id}", plan_id=plan_id)
    with store.write() as tx:
        runs.set_state(tx, run(store, run_id).run_id, RunState.DONE, ended_at=NOW)
    return body, answer


def prune(store: Store, before: timedelta) -> prunes.Pruned:
    return prunes.prune(store, before=NOW + before)


def test_what_ended_long_ago_is_forgotten_but_for_the_books(store: Store) -> None:
    body, answer = over(store)
    paths = [store.segment_path(place >> 40) for place in (body, answer)]
    sizes = sum(path.stat().st_size for path in paths)
    with store.read() as tx:
        transfers = tx.execute(select(TRANSFERS)).all()
    assert prune(store, DAY) == prunes.Pruned(runs=1, plans=0, segments=2, bytes=sizes)
    assert [path.exists() for path in paths] == [False, False]
    with store.read() as tx:
        assert tx.execute(select(TRANSFERS)).all() == transfers
        assert books.imbalances(tx) == []
        assert books.find_account(tx, PAYER) is not None
        assert tx.execute(select(func.count()).select_from(REQUESTS)).scalar_one() == 0
        attempt = tx.execute(select(ATTEMPTS)).one()
        assert runs.find_run(tx, RUN) is not None
        assert plans.find_plan(tx, PLAN) is not None
    assert (attempt.answer_at, attempt.message, attempt.cost_nanos) == (None, "", 40)


def test_what_is_in_doubt_is_not_forgotten(store: Store) -> None:
    """Its hold counts as spent until somebody settles it, and they find it by its request's name."""
    body, _ = over(store)
    with store.write() as tx:
        plans.insert_requests(store, tx, PLAN, [new_request(1)])
        calls.begin(store, tx, PLAN, [(ShardId(f"lt{RUN}"), 1, 0)], NOW)
        calls.set_call(tx, f"lt{RUN}", 1, state=CallState.DOUBTFUL)
    assert prune(store, DAY).runs == 1
    assert prune(store, DAY).runs == 0
    with store.write() as tx:
        assert [doubt.key for doubt in calls.doubts(tx)] == ["key 0"]
        assert store.body(body) == b"body of p_1"
        calls.end(store, tx, [(ShardId(f"lt{RUN}"), 1)])
    assert prune(store, DAY).runs == 1, "settled, so forgotten"


def test_again_is_nothing(store: Store) -> None:
    over(store)
    prune(store, DAY)
    assert prune(store, DAY) == prunes.Pruned(runs=0, plans=0, segments=0, bytes=0)


def test_what_ended_since_stays(store: Store) -> None:
    _, answer = over(store)
    assert prune(store, timedelta()) == prunes.Pruned(runs=0, plans=0, segments=0, bytes=0)
    assert store.body(answer) == b"answer of p_1"


@pytest.mark.parametrize("state", [RunState.ACTIVE, RunState.PAUSED, RunState.CANCELING])
def test_what_is_open_stays_however_old(store: Store, state: RunState) -> None:
    body, answer = over(store)
    with store.write() as tx:
        runs.set_state(tx, run(store).run_id, state, ended_at=NOW, only_from=frozenset(RunState))
    assert prune(store, 999 * DAY) == prunes.Pruned(runs=0, plans=0, segments=0, bytes=0)
    assert store.body(body) == b"body of p_1"
    assert store.body(answer) == b"answer of p_1"


def test_a_plan_that_is_still_being_made_stays_and_one_that_never_ran_goes(store: Store) -> None:
    for name, sealed in (("p_making", False), ("p_whole", True)):
        with store.write() as tx:
            plans.insert_plan(tx, plan_row(name, created_at=NOW), sealed=sealed)
    assert prune(store, DAY).plans == 1
    with store.read() as tx:
        assert tx.execute(select(PLANS.c.plan_id)).scalars().all() == ["p_making"]


def test_a_segment_that_another_run_needs_stays(store: Store) -> None:
    body, _ = over(store)
    add_plan(store, 1, "p_2", body_at=body)
    with store.write() as tx:
        plans.seal_plan(tx, _young("p_2"), NOW + 2 * DAY)
    pruned = prune(store, DAY)
    assert (pruned.runs, pruned.plans, pruned.segments) == (1, 0, 1)
    assert store.body(body) == b"body of p_1"


def _young(plan_id: str) -> plans.PlanRow:
    from world import plan_row  # noqa: PLC0415 one use

    return plan_row(plan_id, created_at=NOW + 2 * DAY)


def test_plans_that_never_ran_are_forgotten(store: Store) -> None:
    add_plan(store)
    assert prune(store, timedelta()).plans == 0
    assert prune(store, DAY).plans == 1
    with store.read() as tx:
        assert plans.find_plan(tx, PLAN) is None
        assert list(answers.in_order(store, PLAN)) == []


# sweeping


def test_strays_are_swept(store: Store) -> None:
    stray = segment(store, b"nobody needs it")
    size = store.segment_path(stray >> 40).stat().st_size
    assert prunes.sweep(store) == (1, size)
    assert not store.segment_path(stray >> 40).exists()
    with store.read() as tx:
        assert tx.execute(select(SEGMENTS.c.pruned)).scalar_one() is True
    assert prunes.sweep(store) == (0, 0)


def test_what_a_living_writer_has_open_stays_and_a_dead_one_s_goes(store: Store) -> None:
    living, gone = segment(store, b"growing", sealed=False), segment(store, b"broken off", writer=DEAD, sealed=False)
    assert prunes.sweep(store)[0] == 1
    assert store.segment_path(living >> 40).exists()
    assert not store.segment_path(gone >> 40).exists()


def test_a_dead_writer_s_segment_that_a_row_needs_stays(store: Store) -> None:
    add_run(store, 1)
    add_shard(store, [0])
    answer = segment(store, b"paid for", writer=DEAD, sealed=False)
    land(store, [landed(0, answer_at=answer)])
    with store.write() as tx:
        tx.execute(REQUESTS.update().values(body_at=answer))
    assert prunes.sweep(store) == (0, 0)
    assert store.body(answer) == b"paid for"


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_an_answer_that_lands_between_two_looks_of_a_sweep_stays(migrated: Home, statement: int) -> None:
    """On PostgreSQL nobody waits for a sweep; on SQLite everybody does."""
    store, other = migrated.open(), migrated.open()
    if store.is_sqlite:
        return
    add_run(store, 1)
    add_shard(store, [0])
    segment(store, b"what rows of this world point at")
    growing = other.new_segment("answers", worker_name("aaaaa"), NOW)
    answer = growing.append(b"paid for")
    growing.sync()
    looks = 0

    @event.listens_for(store._writing, "before_cursor_execute")
    def _meanwhile(*_of: object) -> None:
        nonlocal looks
        looks += 1
        if looks == statement:
            land(other, [landed(0, answer_at=answer)])
            other.seal_segment(growing)

    assert prunes.sweep(store) == (0, 0)
    assert looks == 3
    assert store.body(answer) == b"paid for"


def test_a_stray_row_without_its_file_is_swept_too(store: Store) -> None:
    """The process died between the row and the file."""
    stray = segment(store, b"x", writer=DEAD, sealed=False)
    store.segment_path(stray >> 40).unlink()
    assert prunes.sweep(store) == (1, 0)


def test_a_number_is_never_used_again(store: Store, writers: list[SegmentWriter]) -> None:
    first = segment(store, b"x") >> 40
    prunes.sweep(store)
    writers.append(store.new_segment("answers", "w", NOW))
    assert writers[-1].number > first
    assert writers[-1].path == store.segment_path(first + 1)
    assert SHARD
