"""``dispatch``: small known worlds and the commands they give. The heart, so every branch has its world.

``world(...)`` is one run with one thing special about it; ``check(known, commands)`` is the table's row.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lowtide.attempt import AttemptState
from lowtide.batch import AT_PROVIDER, OVER, READABLE, BatchState
from lowtide.dispatch import (
    BatchId,
    Call,
    CancelBatch,
    Collect,
    Command,
    Decision,
    Deliver,
    DispatchRules,
    Doubt,
    DropShard,
    Finish,
    GiveUp,
    KnownBatch,
    KnownDoor,
    KnownRun,
    KnownShard,
    LookInside,
    MakeWave,
    PackShard,
    Pause,
    Poll,
    Reconcile,
    Role,
    RunId,
    RunState,
    Submit,
    TryFirst,
    UntestedKind,
    next_commands,
)
from lowtide.ledger import Account, AccountId
from lowtide.money import Nanos
from lowtide.packing import ShardId

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)
PAST = NOW - timedelta(seconds=30)
RUN = RunId("r_1")
SHARD = ShardId("lt1")
BATCH = BatchId(1)
RULES = DispatchRules(queued_requests_max=1000, shard_requests_max=100)
OPEN_DOOR = KnownDoor(unconfirmed_batch=None, backoff_until=None, queued_requests=0)
KIND = UntestedKind(kind="line", model="m", seq=0, refusals=0)


def batch(state: BatchState, **values: Any) -> KnownBatch:
    made = KnownBatch(
        batch_id=BATCH,
        role=Role.OURS,
        state=state,
        provider_batch_id="msgbatch_1",
        creates=1,
        verified=True,
        cancel_asked=False,
        landed=False,
        next_at=None,
    )
    return replace(made, **values)


def shard(*batches: KnownBatch, **values: Any) -> KnownShard:
    made = KnownShard(
        shard_id=SHARD, route="batch", state=AttemptState.OUT, delivered=False, next_at=None, batches=batches
    )
    return replace(made, **values)


def realtime(state: AttemptState, **values: Any) -> KnownShard:
    return shard(route="realtime", state=state, **values)


def run(*shards: KnownShard, limit: int | None = None, held: int = 0, **values: Any) -> KnownRun:
    made = KnownRun(
        run_id=RUN,
        state=RunState.ACTIVE,
        wave=0,
        waves=1,
        pending=0,
        retrying=0,
        next_ceiling=Nanos(0),
        untested=(),
        account=Account(
            account_id=AccountId("run:r_1"), limit=None if limit is None else Nanos(limit), held=Nanos(held)
        ),
        shards=shards,
    )
    return replace(made, **values)


def waiting(*shards: KnownShard, **values: Any) -> KnownRun:
    """A run with five requests that cost at most 10 each."""
    return run(*shards, **({"pending": 5, "next_ceiling": Nanos(10)} | values))


def decide(*runs: KnownRun, door: KnownDoor = OPEN_DOOR, rules: DispatchRules = RULES) -> Decision:
    return next_commands(runs, door, rules, NOW)


def door(**values: Any) -> KnownDoor:
    return replace(OPEN_DOOR, **values)


SUBMIT = Submit(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
POLL = Poll(run_id=RUN, batches=(BATCH,))
COLLECT = Collect(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
LOOK = LookInside(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
GIVE_UP = GiveUp(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
CANCEL = CancelBatch(run_id=RUN, batch_id=BATCH)
PACK = PackShard(run_id=RUN)
DROP = DropShard(run_id=RUN, shard_id=SHARD)
CALL = Call(run_id=RUN, shard_id=SHARD)
DOUBT = Doubt(run_id=RUN, shard_id=SHARD)
DELIVER = Deliver(run_id=RUN, shard_id=SHARD)
TRY = TryFirst(run_id=RUN, kind=KIND)


def reconcile(*, resend: bool = True) -> Reconcile:
    return Reconcile(run_id=RUN, shard_id=SHARD, batch_id=BATCH, resend=resend)


def finish(state: RunState) -> Finish:
    return Finish(run_id=RUN, state=state)


def pause(reason: str) -> Pause:
    return Pause(run_id=RUN, reason=reason)


CANCELING: dict[str, Any] = {"state": RunState.CANCELING}
PAUSED: dict[str, Any] = {"state": RunState.PAUSED}

WORLDS: dict[str, tuple[KnownRun, tuple[Command, ...]]] = {
    # with nothing else to do
    "nothing is left": (run(), (finish(RunState.DONE),)),
    "another wave is to be made": (run(waves=3, wave=1), (MakeWave(run_id=RUN, wave=2),)),
    "the last wave is made": (run(waves=3, wave=2), (finish(RunState.DONE),)),
    "requests wait": (waiting(), (PACK,)),
    "requests wait while a batch is out": (
        waiting(shard(batch(BatchState.RUNNING, next_at=LATER))),
        (PACK,),
    ),
    "only retries wait": (run(retrying=3, next_ceiling=Nanos(10)), (PACK,)),
    "retries wait until everything else is back": (
        run(shard(batch(BatchState.RUNNING, next_at=LATER)), retrying=3),
        (),
    ),
    "another wave waits until this one is back": (
        run(shard(batch(BatchState.RUNNING, next_at=LATER)), waves=2),
        (),
    ),
    "retries come before the next wave": (run(retrying=1, waves=2), (PACK,)),
    "a doubt alone does not keep a run open": (run(realtime(AttemptState.DOUBTFUL)), (finish(RunState.DONE),)),
    "a late twin keeps a run open": (
        run(shard(batch(BatchState.RUNNING, role=Role.SUSPECT, next_at=LATER), state=AttemptState.LANDED)),
        (),
    ),
    "a duplicate that landed does not": (
        run(shard(batch(BatchState.ENDED, role=Role.DUPLICATE, landed=True), state=AttemptState.LANDED)),
        (finish(RunState.DONE),),
    ),
    # the first of each kind
    "a kind is tried first": (waiting(untested=(KIND,)), (TRY,)),
    "one at a time": (waiting(realtime(AttemptState.RESERVED, next_at=LATER), untested=(KIND,)), ()),
    "beside a batch": (
        waiting(shard(batch(BatchState.RUNNING, next_at=LATER)), untested=(KIND,)),
        (TRY,),
    ),
    "after a doubt": (waiting(realtime(AttemptState.DOUBTFUL), untested=(KIND,)), (TRY,)),
    "refused twice is tried again": (
        waiting(untested=(replace(KIND, refusals=2),)),
        (TryFirst(run_id=RUN, kind=replace(KIND, refusals=2)),),
    ),
    "refused three times pauses": (
        waiting(untested=(KIND, replace(KIND, kind="summary", refusals=3))),
        (pause("the first 3 requests of kind summary were refused or lost"),),
    ),
    # the budget
    "the next fits to the nano": (waiting(limit=20, held=10), (PACK,)),
    "the next does not fit": (waiting(limit=19, held=10), (pause("at its cap"),)),
    "the next does not fit yet": (
        waiting(shard(batch(BatchState.RUNNING, next_at=LATER)), limit=19, held=10),
        (),
    ),
    "prices changed": (
        waiting(prices_hold=False),
        (pause("prices changed since the plan was made: plan again"),),
    ),
    "prices changed when nothing is to be bought": (run(prices_hold=False), (finish(RunState.DONE),)),
    # real-time attempts
    "reserved is called": (run(realtime(AttemptState.RESERVED)), (CALL,)),
    "reserved waits for its time": (run(realtime(AttemptState.RESERVED, next_at=LATER)), ()),
    "its time has come": (run(realtime(AttemptState.RESERVED, next_at=NOW)), (CALL,)),
    "reserved of a paused run": (run(realtime(AttemptState.RESERVED), **PAUSED), ()),
    "reserved of a canceled run": (run(realtime(AttemptState.RESERVED), **CANCELING), (DROP,)),
    "sending lost its process": (run(realtime(AttemptState.SENDING)), (DOUBT,)),
    "also when paused": (run(realtime(AttemptState.SENDING), **PAUSED), (DOUBT,)),
    "also when canceling": (run(realtime(AttemptState.SENDING), **CANCELING), (DOUBT,)),
    # a batch that is to be sent
    "planned is sent": (run(shard(batch(BatchState.PLANNED))), (SUBMIT,)),
    "planned waits for its time": (run(shard(batch(BatchState.PLANNED, next_at=LATER))), ()),
    "planned of a paused run": (run(shard(batch(BatchState.PLANNED)), **PAUSED), ()),
    "planned of a canceled run": (run(shard(batch(BatchState.PLANNED)), **CANCELING), (DROP,)),
    # a batch that may have been sent
    "submitting lost its process": (run(shard(batch(BatchState.SUBMITTING))), (reconcile(),)),
    "and is asked about at once": (run(shard(batch(BatchState.SUBMITTING, next_at=LATER))), (reconcile(),)),
    "doubtful is asked about": (run(shard(batch(BatchState.DOUBTFUL))), (reconcile(),)),
    "doubtful waits for its time": (run(shard(batch(BatchState.DOUBTFUL, next_at=LATER))), ()),
    "doubtful of a paused run": (run(shard(batch(BatchState.DOUBTFUL)), **PAUSED), (reconcile(),)),
    "doubtful of a canceled run is not sent again": (
        run(shard(batch(BatchState.DOUBTFUL)), **CANCELING),
        (reconcile(resend=False),),
    ),
    "submitting of a canceled run is not sent again": (
        run(shard(batch(BatchState.SUBMITTING)), **CANCELING),
        (reconcile(resend=False),),
    ),
    # a batch that is over
    "ended is collected": (run(shard(batch(BatchState.ENDED))), (COLLECT,)),
    "expired is collected: finished rows are paid": (run(shard(batch(BatchState.EXPIRED))), (COLLECT,)),
    "canceled is collected too": (run(shard(batch(BatchState.CANCELED))), (COLLECT,)),
    "ended waits for its time": (run(shard(batch(BatchState.ENDED, next_at=LATER))), ()),
    "ended of a paused run": (run(shard(batch(BatchState.ENDED)), **PAUSED), (COLLECT,)),
    "ended of a canceled run": (run(shard(batch(BatchState.ENDED)), **CANCELING), (COLLECT,)),
    "a duplicate is collected": (run(shard(batch(BatchState.ENDED, role=Role.DUPLICATE))), (COLLECT,)),
    "an adopted one is collected": (run(shard(batch(BatchState.ENDED, role=Role.ADOPTED))), (COLLECT,)),
    "a suspect is looked into": (run(shard(batch(BatchState.ENDED, role=Role.SUSPECT))), (LOOK,)),
    "failed is given up": (run(shard(batch(BatchState.FAILED))), (GIVE_UP,)),
    "lost is given up": (run(shard(batch(BatchState.LOST))), (GIVE_UP,)),
    "lost of a paused run": (run(shard(batch(BatchState.LOST)), **PAUSED), (GIVE_UP,)),
    # documents
    "landed is delivered": (run(shard(state=AttemptState.LANDED), delivers=True), (DELIVER,)),
    "landed real-time answers too": (run(realtime(AttemptState.LANDED), delivers=True), (DELIVER,)),
    "delivered is enough": (
        run(shard(state=AttemptState.LANDED, delivered=True), delivers=True),
        (finish(RunState.DONE),),
    ),
    "there is no place to deliver to": (run(shard(state=AttemptState.LANDED)), (finish(RunState.DONE),)),
    "a paused run delivers": (run(shard(state=AttemptState.LANDED), delivers=True, **PAUSED), (DELIVER,)),
    # canceling and pausing
    "canceled when nothing is open": (run(**CANCELING), (finish(RunState.CANCELED),)),
    "canceling sends nothing": (
        waiting(retrying=2, untested=(KIND,), waves=2, **CANCELING),
        (finish(RunState.CANCELED),),
    ),
    "canceling waits for what is out": (
        run(shard(batch(BatchState.CANCELING, cancel_asked=True, next_at=LATER)), **CANCELING),
        (),
    ),
    "paused sends nothing": (waiting(retrying=2, untested=(KIND,), waves=2, **PAUSED), ()),
    "paused does not end": (run(**PAUSED), ()),
}


@pytest.mark.parametrize(("known", "commands"), WORLDS.values(), ids=WORLDS)
def test_the_world_gives_its_commands(known: KnownRun, commands: tuple[Command, ...]) -> None:
    assert decide(known).commands == commands


# a batch at the provider


@pytest.mark.parametrize("state", sorted(AT_PROVIDER))
@pytest.mark.parametrize("run_state", [RunState.ACTIVE, RunState.PAUSED])
def test_what_is_at_the_provider_is_looked_at_when_due(state: BatchState, run_state: RunState) -> None:
    for next_at in (None, NOW, PAST):
        assert decide(run(shard(batch(state, next_at=next_at)), state=run_state)).commands == (POLL,)
    later = decide(run(shard(batch(state, next_at=LATER)), state=run_state))
    assert later == Decision(commands=(), wake_at=LATER)


def test_one_look_at_everything_that_is_due() -> None:
    batches = [
        batch(BatchState.RUNNING, batch_id=BatchId(number), next_at=LATER if number == 3 else None)
        for number in range(1, 5)
    ]
    known = run(shard(*batches[:2]), shard(*batches[2:], shard_id=ShardId("lt2")))
    assert decide(known).commands == (Poll(run_id=RUN, batches=(BatchId(1), BatchId(2), BatchId(4))),)


@pytest.mark.parametrize("role", list(Role))
def test_every_role_is_looked_at(role: Role) -> None:
    assert decide(run(shard(batch(BatchState.RUNNING, role=role)))).commands == (POLL,)


@pytest.mark.parametrize("state", sorted(AT_PROVIDER))
def test_canceling_cancels_what_is_certainly_ours_once(state: BatchState) -> None:
    due_later = {"next_at": LATER}
    assert decide(run(shard(batch(state, **due_later)), **CANCELING)).commands == (CANCEL,)
    assert decide(run(shard(batch(state)), **CANCELING)).commands == (CANCEL, POLL)
    assert decide(run(shard(batch(state, cancel_asked=True, **due_later)), **CANCELING)).commands == ()


@pytest.mark.parametrize("state", sorted(AT_PROVIDER))
def test_canceling_never_cancels_what_may_be_somebody_else_s(state: BatchState) -> None:
    assert decide(run(shard(batch(state, verified=False, next_at=LATER)), **CANCELING)).commands == ()


@pytest.mark.parametrize("state", sorted(OVER))
def test_what_landed_is_left_alone(state: BatchState) -> None:
    done = shard(batch(state, landed=True), state=AttemptState.LANDED, delivered=True)
    assert decide(run(done)).commands == (finish(RunState.DONE),)


def test_every_state_of_a_batch_has_somebody_who_cares() -> None:
    """Nothing stands still for ever: each state gives a command or waits for an instant."""
    for state in BatchState:
        assert decide(run(shard(batch(state)))).commands != (), state


# the door


def test_one_create_at_most_over_all_runs() -> None:
    """Design 3: at most one unconfirmed create an account."""
    runs = [
        run(
            shard(batch(BatchState.PLANNED, batch_id=BatchId(number)), shard_id=ShardId(f"lt{number}")),
            shard(batch(BatchState.PLANNED, batch_id=BatchId(10 + number)), shard_id=ShardId(f"lt1{number}")),
            run_id=RunId(f"r_{number}"),
        )
        for number in range(1, 4)
    ]
    submits = [command for command in decide(*runs).commands if isinstance(command, Submit)]
    assert [command.batch_id for command in submits] == [1]


def test_another_s_unconfirmed_create_blocks_and_is_looked_at_again() -> None:
    """Nothing of our own would wake us: the other may be another process."""
    decision = decide(run(shard(batch(BatchState.PLANNED))), door=door(unconfirmed_batch=BatchId(2)))
    assert decision == Decision(commands=(), wake_at=NOW + RULES.look_again)


def test_our_own_unconfirmed_create_does_not_block_itself() -> None:
    assert decide(run(shard(batch(BatchState.PLANNED))), door=door(unconfirmed_batch=BATCH)).commands == (SUBMIT,)


def test_a_full_queue_waits_and_is_looked_at_again() -> None:
    assert decide(waiting(), door=door(queued_requests=999)).commands == (PACK,)
    decision = decide(waiting(), door=door(queued_requests=1000))
    assert decision == Decision(commands=(), wake_at=NOW + RULES.look_again)


ASKING = [
    run(realtime(AttemptState.RESERVED)),
    run(shard(batch(BatchState.PLANNED))),
    run(shard(batch(BatchState.DOUBTFUL))),
    run(shard(batch(BatchState.RUNNING))),
    run(shard(batch(BatchState.ENDED))),
    run(shard(batch(BatchState.ENDED, role=Role.SUSPECT))),
    run(shard(batch(BatchState.RUNNING)), **CANCELING),
]


@pytest.mark.parametrize("known", ASKING)
def test_nothing_is_asked_of_a_provider_that_wants_us_away(known: KnownRun) -> None:
    assert decide(known, door=door(backoff_until=LATER)) == Decision(commands=(), wake_at=LATER)
    assert decide(known, door=door(backoff_until=NOW)).commands == decide(known).commands != ()


NOT_ASKING = [
    run(realtime(AttemptState.SENDING)),
    run(shard(batch(BatchState.SUBMITTING))),
    run(shard(batch(BatchState.FAILED))),
    run(shard(state=AttemptState.LANDED), delivers=True),
    run(shard(batch(BatchState.PLANNED)), **CANCELING),
    waiting(),
    run(),
]


@pytest.mark.parametrize("known", NOT_ASKING)
def test_what_is_ours_to_do_does_not_wait_for_the_provider(known: KnownRun) -> None:
    assert decide(known, door=door(backoff_until=LATER)).commands == decide(known).commands != ()


# order and waking


def test_what_is_under_way_comes_before_anything_new() -> None:
    known = waiting(
        realtime(AttemptState.SENDING, shard_id=ShardId("lt0")), shard(batch(BatchState.ENDED)), delivers=True
    )
    assert decide(known).commands == (Doubt(run_id=RUN, shard_id=ShardId("lt0")), COLLECT)


def test_each_run_goes_on_by_itself() -> None:
    busy = run(shard(batch(BatchState.ENDED)))
    idle = waiting(run_id=RunId("r_2"))
    assert decide(busy, idle).commands == (COLLECT, PackShard(run_id=RunId("r_2")))


def test_the_worker_wakes_for_the_earliest_thing_due() -> None:
    batches = [
        batch(BatchState.RUNNING, batch_id=BatchId(number), next_at=NOW + timedelta(seconds=number))
        for number in (9, 4, 7)
    ]
    waits = realtime(AttemptState.RESERVED, shard_id=ShardId("lt2"), next_at=NOW + timedelta(seconds=6))
    assert decide(run(shard(*batches), waits)) == Decision(commands=(), wake_at=NOW + timedelta(seconds=4))


def test_with_something_to_do_there_is_no_waking() -> None:
    known = run(shard(batch(BatchState.RUNNING, next_at=LATER)), shard(batch(BatchState.ENDED, batch_id=BatchId(2))))
    assert decide(known).wake_at is None


def test_when_only_a_person_can_help_there_is_no_waking() -> None:
    assert decide(run(**PAUSED)) == Decision(commands=(), wake_at=None)


def test_the_same_knowledge_gives_the_same_commands() -> None:
    """Promise 7."""
    for known, _ in WORLDS.values():
        assert decide(known) == decide(known)


@pytest.mark.parametrize(
    ("known", "is_open"),
    [
        (shard(state=AttemptState.RESERVED), True),
        (shard(state=AttemptState.SENDING), True),
        (shard(state=AttemptState.OUT), True),
        (shard(state=AttemptState.LANDED), False),
        (shard(state=AttemptState.DROPPED), False),
        (shard(state=AttemptState.DOUBTFUL), False),
        (shard(batch(BatchState.RUNNING, role=Role.SUSPECT), state=AttemptState.DROPPED), True),
        (shard(batch(BatchState.RUNNING, role=Role.DUPLICATE), state=AttemptState.LANDED), True),
        (shard(batch(BatchState.RUNNING, role=Role.SUSPECT, landed=True), state=AttemptState.LANDED), False),
    ],
)
def test_a_shard_is_open_while_something_may_come_of_it(known: KnownShard, is_open: bool) -> None:
    assert known.open is is_open


def test_every_command_is_in_a_world() -> None:
    given = {type(command) for _, commands in WORLDS.values() for command in commands}
    given |= {Poll, CancelBatch}
    assert given == set(Command.__args__)
    assert READABLE < OVER
