"""``store/runs``: leases, the door to a provider account, and what dispatch must know; on SQLite and on PostgreSQL."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from world import (
    DOOR,
    LOT,
    MODEL,
    NOW,
    PLAN,
    RUN,
    SECOND,
    SHARD,
    Home,
    add_batch,
    add_calls,
    add_plan,
    add_run,
    add_shard,
    land,
    landed,
    run,
)

from lowtide.attempt import AttemptState, CallState
from lowtide.batch import BatchState
from lowtide.dispatch import BatchId, KnownBatch, KnownCall, KnownDoor, KnownShard, Role, RunId, RunState
from lowtide.store import Store, plans, runs, shards, worker_name
from lowtide.store.schema import DOORS, RUNS

LEASE = timedelta(minutes=10)
LIVING = worker_name("aaaaa")
OTHER = worker_name("bbbbb")


def dead() -> str:
    host, _, started, _ = LIVING.split(":")
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    return f"{host}:{gone.pid}:{started}:ccccc"


def claim(store: Store, worker: str, after: timedelta = timedelta()) -> bool:
    """Claim as a worker does: look first, then write."""
    row = run(store)
    with store.write() as tx:
        return runs.claim(tx, row, worker=worker, now=NOW + after, lease=LEASE)


# runs


def test_a_run_reads_back_with_its_plan(store: Store) -> None:
    row = add_run(store)
    assert (row.run_id, row.plan_id, row.state, row.wave, row.waves) == (RUN, PLAN, RunState.ACTIVE, 0, 1)
    assert (row.title, row.workload, row.provider, row.model) == ("folder", "batch", "anthropic", "claude-sonnet-5-5")
    assert (row.created_at, row.ended_at, row.sealed_seq, row.out) == (NOW, None, 2, "/out")
    assert (row.route, row.deadline_at, row.hasten_at, row.hastened, row.doubts) == (
        "batch", None, None, False, "resend",
    )  # fmt: skip
    assert (row.leased_by, row.leased_until, row.reason, row.credential) == (None, None, "", "default")
    with store.read() as tx:
        assert runs.find_run(tx, PLAN) == row
        assert runs.find_run(tx, "r_none") is None


def test_runs_are_listed_newest_first_and_open_ones_oldest_first(store: Store) -> None:
    add_run(store)
    add_run(store, plan_id="p_2", run_id="r_2")
    add_run(store, plan_id="p_3", run_id="r_3")
    with store.write() as tx:
        for name, state in (("r_2", RunState.PAUSED), ("r_3", RunState.DONE)):
            runs.set_state(tx, name, state, reason="why", ended_at=NOW + SECOND)  # type: ignore[arg-type]
        assert [row.run_id for row in runs.all_runs(tx, 2)] == ["r_1", "r_2"]
        assert [(row.run_id, row.state, row.reason) for row in runs.open_runs(tx)] == [
            ("r_1", "active", ""),
            ("r_2", "paused", "why"),
        ]
    assert run(store, "r_3").ended_at == NOW + SECOND


def test_waves_and_packing_are_remembered(store: Store) -> None:
    add_run(store)
    with store.write() as tx:
        runs.set_wave(tx, RUN, 1)
        runs.set_packed(tx, PLAN, 0, 2)
        assert runs.wave_span(tx, PLAN, 0) == (0, 2)
        assert runs.wave_span(tx, PLAN, 1) is None
        assert shards.lot_row(tx, PLAN, 0).packed_seq == 2
    assert (run(store).wave, run(store).sealed_seq) == (1, 2)
    with store.write() as tx:
        plans.insert_wave(tx, PLAN, 1, first_seq=3, last_seq=5)
    assert run(store).sealed_seq == 5


def test_a_deadline_and_a_lane_are_kept(store: Store) -> None:
    add_plan(store)
    with store.write() as tx:
        runs.insert_run(
            tx,
            run_id=RUN,
            plan_id=PLAN,
            out="",
            credential="",
            created_at=NOW,
            route="realtime",
            deadline_at=NOW + SECOND,
            doubts="wait",
        )
    row = run(store)
    assert (row.route, row.deadline_at, row.doubts) == ("realtime", NOW + SECOND, "wait")


@pytest.mark.parametrize("values", [{"route": "pigeon"}, {"doubts": "forget"}, {"state": "sold"}])
def test_unknown_words_are_refused_by_the_schema(store: Store, values: dict[str, str]) -> None:
    add_run(store)
    with pytest.raises(IntegrityError), store.write() as tx:
        tx.execute(RUNS.update().values(**values))


# leases


def test_a_claim_keeps_others_out_until_it_ends(store: Store) -> None:
    add_run(store)
    assert claim(store, LIVING)
    assert not claim(store, OTHER)
    assert not claim(store, OTHER, LEASE)
    assert claim(store, OTHER, LEASE + SECOND)
    assert run(store).leased_by == OTHER
    assert run(store).leased_until == NOW + LEASE + SECOND + LEASE


def test_a_claim_is_renewed_by_its_holder(store: Store) -> None:
    add_run(store)
    claim(store, LIVING)
    assert claim(store, LIVING, LEASE - SECOND)
    assert run(store).leased_until == NOW + LEASE - SECOND + LEASE
    assert not claim(store, OTHER, LEASE + SECOND)


def test_the_claim_of_a_dead_process_is_taken_over_at_once(store: Store) -> None:
    add_run(store)
    gone = dead()
    assert claim(store, gone)
    assert claim(store, LIVING)
    assert run(store).leased_by == LIVING


def test_a_worker_elsewhere_is_not_taken_for_dead(store: Store) -> None:
    add_run(store)
    claim(store, "elsewhere:1:5:abcde")
    assert not claim(store, LIVING)
    assert claim(store, LIVING, LEASE + SECOND)


def test_of_two_who_see_a_dead_claim_one_gets_it(store: Store) -> None:
    """The second looked before the first wrote."""
    add_run(store)
    claim(store, dead())
    seen = run(store)
    taken = []
    for worker in (LIVING, OTHER):
        with store.write() as tx:
            taken.append(runs.claim(tx, seen, worker=worker, now=NOW, lease=LEASE))
    assert taken == [True, False]


def test_claims_are_let_go(store: Store) -> None:
    add_run(store)
    claim(store, LIVING)
    with store.write() as tx:
        assert runs.holds_lease(tx, RUN, LIVING)
        assert not runs.holds_lease(tx, RUN, OTHER)
        runs.let_go(tx, OTHER)
        assert runs.holds_lease(tx, RUN, LIVING)
        runs.let_go(tx, LIVING)
        assert not runs.holds_lease(tx, RUN, LIVING)
    assert claim(store, OTHER)


def test_whoever_sends_asks_for_the_claim_and_the_state_at_once(store: Store) -> None:
    """A run that was paused or canceled a moment ago starts no further call."""
    add_run(store)
    claim(store, LIVING)
    with store.write() as tx:
        assert runs.holds_lease(tx, RUN, LIVING, state=RunState.ACTIVE)
        assert not runs.holds_lease(tx, RUN, OTHER, state=RunState.ACTIVE)
        runs.set_state(tx, RUN, RunState.PAUSED)
        assert not runs.holds_lease(tx, RUN, LIVING, state=RunState.ACTIVE)
        assert runs.holds_lease(tx, RUN, LIVING)
        assert not runs.holds_lease(tx, RunId("r_none"), LIVING)


def test_a_state_is_left_only_from_where_it_may_be(store: Store) -> None:
    """A run that its user cancels is not paused by the worker's next error."""
    add_run(store)
    active = frozenset({RunState.ACTIVE})
    with store.write() as tx:
        assert runs.set_state(tx, RUN, RunState.CANCELING)
        assert not runs.set_state(tx, RUN, RunState.PAUSED, only_from=active)
        assert runs.set_state(tx, RUN, RunState.CANCELED, ended_at=NOW)
        assert not runs.set_state(tx, RUN, RunState.ACTIVE), "what is over stays so"
    assert run(store).state is RunState.CANCELED


PROCESS = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from lowtide.store import Store, runs, worker_name
store = Store(Path(sys.argv[1]), url=sys.argv[2], durable=False).open()
now = datetime(2026, 11, 22, 10, tzinfo=UTC)
me = worker_name(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
held = 0
while held < 15:  # a starving process never gets there, and the test's timeout says so
    with store.read() as tx:
        run = runs.find_run(tx, "r_1")
    with store.write() as tx:
        mine = runs.claim(tx, run, worker=me, now=now, lease=timedelta(minutes=10))
    if not mine:
        continue
    alone = Path(sys.argv[1]) / "alone"
    os.close(os.open(alone, os.O_CREAT | os.O_EXCL))  # fails when two hold the lease
    with store.write() as tx:
        runs.note(tx, "r_1", now, me)
        assert runs.take_door(tx, "anthropic:default", 1)
    alone.unlink()
    with store.write() as tx:
        runs.free_door(tx, "anthropic:default", 1)
        runs.let_go(tx, me)
    held += 1
store.close()
"""


def test_two_processes_share_a_store_and_neither_doubles_nor_starves(store: Store, migrated: Home) -> None:
    add_run(store)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(migrated.folder), migrated.url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("aaaaa", "bbbbb")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert said == ["", ""]
    with store.read() as tx:
        assert len(runs.events_after(tx, RUN, 0)) == 30
        assert runs.known_door(tx, DOOR).unconfirmed_batch is None


# the door


def test_a_door_is_open_at_first(store: Store) -> None:
    with store.read() as tx:
        assert runs.known_door(tx, "never:seen") == KnownDoor(
            unconfirmed_batch=None, backoff_until=None, queued_requests=0
        )
        assert runs.door_failures(tx, "never:seen") == 0


def test_one_create_an_account_is_unconfirmed(store: Store) -> None:
    add_run(store)
    with store.write() as tx:
        assert runs.take_door(tx, DOOR, BatchId(7))
        assert not runs.take_door(tx, DOOR, BatchId(8))
        assert runs.take_door(tx, DOOR, BatchId(7)), "again, after a crash"
        runs.free_door(tx, DOOR, BatchId(8))
        assert runs.known_door(tx, DOOR).unconfirmed_batch == 7
        runs.free_door(tx, DOOR, BatchId(7))
        assert runs.take_door(tx, DOOR, BatchId(8))
        assert not runs.take_door(tx, "no:row", BatchId(8)), "no row, no door"


def test_of_many_threads_one_takes_the_door(store: Store, reopened: Callable[[], Store]) -> None:
    add_run(store)
    taken: list[int] = []
    gate = threading.Barrier(6)

    def take(number: int) -> None:
        own = reopened()
        gate.wait()
        with own.write() as tx:
            if runs.take_door(tx, DOOR, BatchId(number)):
                taken.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert [runs.known_door(tx, DOOR).unconfirmed_batch] == taken


def test_many_may_open_one_door_at_once(store: Store, reopened: Callable[[], Store]) -> None:
    problems: list[BaseException] = []
    gate = threading.Barrier(6)

    def open_door() -> None:
        own = reopened()
        gate.wait()
        try:
            with own.write() as tx:
                runs.open_door(tx, DOOR)
        except BaseException as error:  # noqa: BLE001 what a thread raised is looked at below
            problems.append(error)

    threads = [threading.Thread(target=open_door) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with store.read() as tx:
        assert len(tx.execute(select(DOORS)).all()) == 1


def test_failures_are_counted_until_the_provider_answers(store: Store) -> None:
    add_run(store)
    with store.write() as tx:
        runs.stay_away(tx, DOOR, NOW + SECOND)
        runs.stay_away(tx, DOOR, NOW + 2 * SECOND)
        assert runs.door_failures(tx, DOOR) == 2
        assert runs.known_door(tx, DOOR).backoff_until == NOW + 2 * SECOND
        runs.welcome_back(tx, DOOR)
        assert runs.door_failures(tx, DOOR) == 0
        assert runs.known_door(tx, DOOR).backoff_until is None


def test_a_full_queue_is_remembered_until_when(store: Store) -> None:
    add_run(store)
    with store.write() as tx:
        runs.say_full(tx, DOOR, NOW + SECOND)
        door = runs.known_door(tx, DOOR)
    assert (door.full_until, door.backoff_until) == (NOW + SECOND, None)


QUEUED = {
    BatchState.PLANNED,
    BatchState.SUBMITTING,
    BatchState.DOUBTFUL,
    BatchState.VALIDATING,
    BatchState.QUEUED,
    BatchState.RUNNING,
    BatchState.FINALIZING,
}


@pytest.mark.parametrize("state", list(BatchState))
def test_what_is_queued_is_what_is_not_over_and_not_a_suspect(store: Store, state: BatchState) -> None:
    add_run(store)
    add_shard(store)
    add_batch(store, state=state, total=30)
    add_batch(store, state=BatchState.RUNNING, role=Role.SUSPECT, total=500, provider_batch_id="b")
    with store.read() as tx:
        assert runs.known_door(tx, DOOR).queued_requests == (30 if state in QUEUED else 0)
        assert runs.known_door(tx, "anthropic:team").queued_requests == 0, "another key's queue"
        assert runs.known_door(tx, "openai:default").queued_requests == 0, "another provider's"
    with store.write() as tx:
        shards.set_shard(tx, SHARD, state=AttemptState.DROPPED)
        assert runs.known_door(tx, DOOR).queued_requests == 0, "given up: its batch stays planned for ever"


def test_the_run_of_a_batch_is_known(store: Store) -> None:
    add_run(store)
    add_shard(store)
    batch_id = add_batch(store)
    with store.read() as tx:
        assert runs.run_of_batch(tx, batch_id) == RUN
        assert runs.run_of_batch(tx, BatchId(999)) is None


# what dispatch must know


def known(store: Store, flying: frozenset[tuple[str, int]] = frozenset()) -> tuple[KnownShard, ...]:
    with store.read() as tx:
        return runs.known_shards(tx, run(store), flying)


def test_a_shard_is_known_with_its_batches(store: Store) -> None:
    add_run(store)
    add_shard(store)
    first = add_batch(store, state=BatchState.RUNNING, provider_batch_id="b1", verified=True, next_at=NOW)
    second = add_batch(store, state=BatchState.ENDED, role=Role.SUSPECT, provider_batch_id="b2", landed_at=NOW)
    assert known(store) == (
        KnownShard(
            shard_id=SHARD,  # type: ignore[arg-type]
            route="batch",
            state=AttemptState.OUT,
            delivered=False,
            batches=(
                KnownBatch(
                    batch_id=first,
                    role=Role.OURS,
                    state=BatchState.RUNNING,
                    provider_batch_id="b1",
                    creates=0,
                    verified=True,
                    cancel_asked=False,
                    landed=False,
                    next_at=NOW,
                ),
                KnownBatch(
                    batch_id=second,
                    role=Role.SUSPECT,
                    state=BatchState.ENDED,
                    provider_batch_id="b2",
                    creates=0,
                    verified=False,
                    cancel_asked=False,
                    landed=True,
                    next_at=None,
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("state", "delivered", "seen"),
    [
        (AttemptState.RESERVED, False, True),
        (AttemptState.OUT, False, True),
        (AttemptState.LANDED, False, True),
        (AttemptState.LANDED, True, False),
        (AttemptState.DROPPED, False, False),
    ],
)
def test_shards_that_need_nothing_are_left_out(store: Store, state: AttemptState, delivered: bool, seen: bool) -> None:
    add_run(store)
    add_shard(store, state=state)
    with store.write() as tx:
        shards.set_shard(tx, SHARD, delivered_at=NOW if delivered else None)
    assert bool(known(store)) is seen


@pytest.mark.parametrize("role", [Role.SUSPECT, Role.DUPLICATE, Role.OURS])
def test_a_late_twin_keeps_its_shard_in_sight(store: Store, role: Role) -> None:
    add_run(store)
    add_shard(store, state=AttemptState.LANDED)
    batch_id = add_batch(store, state=BatchState.RUNNING, role=role, provider_batch_id="b")
    with store.write() as tx:
        shards.set_shard(tx, SHARD, delivered_at=NOW)
    assert bool(known(store)) is (role is not Role.OURS)
    with store.write() as tx:
        shards.set_batch(tx, batch_id, landed_at=NOW)
    assert known(store) == ()


def calls_of(store: Store, *flying: int) -> tuple[KnownCall, ...]:
    (shard,) = known(store, frozenset((SHARD, ordinal) for ordinal in flying))
    return shard.calls


def block(store: Store, count: int = 6, **values: object) -> None:
    add_run(store, count)
    add_shard(store, range(count), route="realtime", **values)  # type: ignore[arg-type]


def test_of_a_block_the_calls_that_are_lost_are_known_and_those_in_flight_are_counted(store: Store) -> None:
    """What this process waits for lost nothing; any other call that is still being made lost its process."""
    block(store)
    add_calls(store, [0, 1, 2])
    add_calls(store, [3], state=CallState.QUEUED, response_id="resp_1", next_at=NOW, cancel_asked=True)
    add_calls(store, [4], state=CallState.DOUBTFUL)
    queued = KnownCall(ordinal=3, state=CallState.QUEUED, cancel_asked=True, next_at=NOW, at=NOW)
    lost = [KnownCall(ordinal=ordinal, state=CallState.SENDING, lost=True, at=NOW) for ordinal in range(3)]
    assert calls_of(store) == (*lost, queued), "a doubt needs nothing more from dispatch"
    assert calls_of(store, 0, 2) == (lost[1], queued)
    assert calls_of(store, 0, 1, 2, 3) == (queued,)
    assert [shard.flying for shard in known(store, frozenset({(SHARD, 0), ("another", 1)}))] == [1]


def test_what_of_a_block_is_unstarted_has_neither_a_call_nor_an_outcome(store: Store) -> None:
    block(store)
    assert [shard.unstarted for shard in known(store)] == [6]
    add_calls(store, [0, 1])
    add_calls(store, [2], state=CallState.DOUBTFUL)
    land(store, [landed(3), landed(4)])
    land(store, [landed(2, outcome="errored", code="reply_lost", usage=None)])  # a doubt whose request was given up
    (shard,) = known(store)
    assert (shard.unstarted, shard.first) == (1, False)
    assert (shard.route, shard.provider) == ("realtime", "anthropic")


def test_a_block_of_one_that_is_the_first_of_its_kind_says_so(store: Store) -> None:
    block(store, 1, kind="line", provider="openai")
    (shard,) = known(store)
    assert (shard.first, shard.unstarted, shard.provider) == (True, 1, "openai")


def test_members_of_a_batch_are_not_unstarted(store: Store) -> None:
    """Else its shard looked as if it had something to send for ever."""
    add_run(store)
    add_shard(store)
    add_batch(store, state=BatchState.RUNNING)
    (shard,) = known(store)
    assert (shard.unstarted, shard.unsent) == (0, False)


def test_what_goes_out_again_is_counted(store: Store) -> None:
    add_run(store, 5)
    with store.write() as tx:
        shards.set_requests(store, tx, PLAN, [0, 4], state="retry", was="pending")
    with store.read() as tx:
        assert runs.retrying_count(tx, run(store)) == 2


def test_kinds_are_tried_refused_and_passed(store: Store) -> None:
    """By whom they are answered, too: that one provider takes a body does not say that another does."""
    add_run(store)
    with store.write() as tx:
        plans.add_kinds(tx, PLAN, [("line", "anthropic", MODEL), ("line", "openai", MODEL), ("summary", "openai", "m")])
        runs.refuse_kind(tx, PLAN, "line", "anthropic", MODEL)
        runs.refuse_kind(tx, PLAN, "line", "anthropic", MODEL)
        assert runs.untested_kinds(tx, PLAN) == [
            ("line", "anthropic", MODEL, 2),
            ("line", "openai", MODEL, 0),
            ("summary", "openai", "m", 0),
        ]
        runs.forget_refusals(tx, PLAN)
        runs.pass_kind(tx, PLAN, "line", "openai", MODEL)
        assert runs.untested_kinds(tx, PLAN) == [("line", "anthropic", MODEL, 0), ("summary", "openai", "m", 0)]


def test_each_wave_and_lot_is_packed_from_its_own_first(store: Store) -> None:
    """A lot that comes with a later wave has nothing before it."""
    add_run(store)
    with store.write() as tx:
        plans.add_lots(tx, PLAN, {LOT: 0, replace(LOT, turn=1): 1}, packed_seq=2)
        assert [shards.lot_row(tx, PLAN, lot).packed_seq for lot in (0, 1)] == [-1, 2]


# events


def test_a_history_is_read_from_where_one_was(store: Store) -> None:
    add_run(store)
    with store.write() as tx:
        for number in range(5):
            runs.note(tx, RUN, NOW + number * SECOND, f"event {number}", level="warning" if number == 3 else "info")
        runs.note(tx, "r_2", NOW, "another's")
    with store.read() as tx:
        everything = runs.events_after(tx, RUN, 0)
        assert [event[3] for event in everything] == [f"event {number}" for number in range(5)]
        assert everything[3][1:] == (NOW + 3 * SECOND, "warning", "event 3")
        assert [event[3] for event in runs.events_after(tx, RUN, everything[2][0])] == ["event 3", "event 4"]
        assert [event[3] for event in runs.events_after(tx, RUN, 0, 2)] == ["event 3", "event 4"]
        assert runs.events_after(tx, RUN, 0, 0) == []
    with store.write() as tx, pytest.raises(AssertionError):
        runs.note(tx, RUN, NOW, "x", level="loud")


def test_nothing_of_the_process_is_left_in_the_folder(migrated: Home) -> None:
    migrated.open().close()
    left = {path.name for path in Path(migrated.folder).iterdir()}
    assert left - {"store.db", "segments", "migration.lock"} == set()
