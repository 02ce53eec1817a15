"""``dispatch``: small known worlds and the commands they give. The heart, so every branch has its world.

``world(...)`` is one run with one thing special about it; ``check(known, commands)`` is the table's row.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lowtide.attempt import AttemptState, CallState
from lowtide.batch import AT_PROVIDER, OVER, READABLE, BatchState
from lowtide.dispatch import (
    BatchId,
    CancelBatch,
    ChooseRoute,
    Collect,
    Command,
    Decision,
    Deliver,
    DispatchRules,
    Doubt,
    DropShard,
    Finish,
    Fly,
    GiveUp,
    Hasten,
    KnownBatch,
    KnownCall,
    KnownDoor,
    KnownLot,
    KnownRun,
    KnownShard,
    LookInside,
    MakeWave,
    PackShard,
    Pause,
    Poll,
    RecallCalls,
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
RULES = DispatchRules(queued_requests_max=1000, shard_requests_max=100, block_requests=20)
OPEN_DOOR = KnownDoor(unconfirmed_batch=None, backoff_until=None, queued_requests=0)
KIND = UntestedKind(kind="line", provider="anthropic", model="m", seq=0, refusals=0)
LOT = KnownLot(
    lot=0,
    provider="anthropic",
    route="batch",
    pending=True,
    retrying=0,
    batch_ceiling=Nanos(10),
    realtime_ceiling=Nanos(20),
)
RETRIES = replace(LOT, pending=False, retrying=3)
LIVE = replace(LOT, route="realtime")
ELSEWHERE = replace(LOT, lot=1, provider="openai")


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
    made = KnownShard(shard_id=SHARD, route="batch", state=AttemptState.OUT, delivered=False, batches=batches)
    return replace(made, **values)


def call(state: CallState = CallState.SENDING, **values: Any) -> KnownCall:
    return replace(KnownCall(ordinal=0, state=state), **values)


def block(*calls: KnownCall, **values: Any) -> KnownShard:
    """A shard of real-time calls, of which some wait to be made unless something else is said."""
    return shard(**{"route": "realtime", "calls": calls, "unstarted": 0 if calls else 5, **values})


def run(*shards: KnownShard, limit: int | None = None, held: int = 0, **values: Any) -> KnownRun:
    made = KnownRun(
        run_id=RUN,
        state=RunState.ACTIVE,
        wave=0,
        waves=1,
        lots=(),
        untested=(),
        account=Account(
            account_id=AccountId("run:r_1"), limit=None if limit is None else Nanos(limit), held=Nanos(held)
        ),
        shards=shards,
    )
    return replace(made, **values)


def waiting(*shards: KnownShard, **values: Any) -> KnownRun:
    """A run of which a lot waits, whose next request costs at most 10 in a batch and 20 in real time."""
    return run(*shards, **({"lots": (LOT,)} | values))


def decide(
    *runs: KnownRun, door: KnownDoor = OPEN_DOOR, openai: KnownDoor = OPEN_DOOR, rules: DispatchRules = RULES
) -> Decision:
    return next_commands(runs, {"anthropic": door, "openai": openai}, rules, NOW)


def door(**values: Any) -> KnownDoor:
    return replace(OPEN_DOOR, **values)


SUBMIT = Submit(run_id=RUN, shard_id=SHARD, batch_id=BATCH, provider="anthropic")
POLL = Poll(run_id=RUN, provider="anthropic", batches=(BATCH,))
COLLECT = Collect(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
LOOK = LookInside(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
GIVE_UP = GiveUp(run_id=RUN, shard_id=SHARD, batch_id=BATCH)
CANCEL = CancelBatch(run_id=RUN, batch_id=BATCH)
PACK = PackShard(run_id=RUN, lot=0, route="batch")
DROP = DropShard(run_id=RUN, shard_id=SHARD)
DELIVER = Deliver(run_id=RUN, shard_id=SHARD)
TRY = TryFirst(run_id=RUN, kind=KIND)
HASTEN = Hasten(run_id=RUN)
BLOCK = PackShard(run_id=RUN, lot=0, route="realtime")


def fly(*shards: str, **values: Any) -> Fly:
    made = Fly(run_id=RUN, provider="anthropic", shards=tuple(ShardId(name) for name in shards))
    return replace(made, **values)


def doubt(*ordinals: int) -> Doubt:
    return Doubt(run_id=RUN, shard_id=SHARD, ordinals=ordinals)


def recall(*ordinals: int) -> RecallCalls:
    return RecallCalls(run_id=RUN, shard_id=SHARD, ordinals=ordinals)


def reconcile(*, resend: bool = True) -> Reconcile:
    return Reconcile(run_id=RUN, shard_id=SHARD, batch_id=BATCH, resend=resend)


def finish(state: RunState) -> Finish:
    return Finish(run_id=RUN, state=state)


def pause(reason: str) -> Pause:
    return Pause(run_id=RUN, reason=reason)


CANCELING: dict[str, Any] = {"state": RunState.CANCELING}
PAUSED: dict[str, Any] = {"state": RunState.PAUSED}

OUT = shard(batch(BatchState.RUNNING, next_at=LATER))
LANDED = AttemptState.LANDED
QUEUED = call(CallState.QUEUED, ordinal=3, next_at=LATER)
DUE = call(CallState.QUEUED, ordinal=3)

WORLDS: dict[str, tuple[KnownRun, tuple[Command, ...]]] = {
    # with nothing else to do
    "nothing is left": (run(), (finish(RunState.DONE),)),
    "another wave is to be made": (run(waves=3, wave=1), (MakeWave(run_id=RUN, wave=2),)),
    "the last wave is made": (run(waves=3, wave=2), (finish(RunState.DONE),)),
    "requests wait": (waiting(), (PACK,)),
    "requests wait while a batch is out": (waiting(OUT), (PACK,)),
    "only retries wait": (run(lots=(RETRIES,)), (PACK,)),
    "retries wait until everything else is back": (run(OUT, lots=(RETRIES,)), ()),
    "retries in real time do not": (
        run(OUT, lots=(replace(RETRIES, route="realtime"),)),
        (BLOCK,),
    ),
    "another wave waits until this one is back": (run(OUT, waves=2), ()),
    "retries come before the next wave": (run(lots=(RETRIES,), waves=2), (PACK,)),
    "doubts alone do not keep a run open": (run(block(state=LANDED, unstarted=0)), (finish(RunState.DONE),)),
    "a late twin keeps a run open": (
        run(shard(batch(BatchState.RUNNING, role=Role.SUSPECT, next_at=LATER), state=LANDED)),
        (),
    ),
    "a duplicate that landed does not": (
        run(shard(batch(BatchState.ENDED, role=Role.DUPLICATE, landed=True), state=LANDED)),
        (finish(RunState.DONE),),
    ),
    # the first of each kind
    "a kind is tried first": (waiting(untested=(KIND,)), (TRY,)),
    "one at a time": (waiting(block(first=True, flying=1, unstarted=0), untested=(KIND,)), (fly(),)),
    "until its call is made": (
        waiting(block(first=True, state=AttemptState.RESERVED, unstarted=1), untested=(KIND,)),
        (fly("lt1"),),
    ),
    "beside a batch": (waiting(OUT, untested=(KIND,)), (TRY,)),
    "after a doubt": (waiting(block(state=LANDED, unstarted=0, first=True), untested=(KIND,)), (TRY,)),
    "refused twice is tried again": (
        waiting(untested=(replace(KIND, refusals=2),)),
        (TryFirst(run_id=RUN, kind=replace(KIND, refusals=2)),),
    ),
    "refused three times pauses": (
        waiting(untested=(KIND, replace(KIND, kind="summary", refusals=3))),
        (pause("the first 3 requests of kind summary were refused or lost"),),
    ),
    # lots
    "each lot is packed by itself": (run(lots=(LOT, ELSEWHERE)), (PACK,)),
    "behind one that fills a cache the next lot goes out": (
        run(lots=(replace(LOT, behind=True), ELSEWHERE)),
        (PackShard(run_id=RUN, lot=1, route="batch"),),
    ),
    "behind one that fills a cache there may be nothing to do": (waiting(OUT, lots=(replace(LOT, behind=True),)), ()),
    "in real time nothing waits for a cache": (run(lots=(replace(LIVE, behind=True),)), (BLOCK,)),
    "of two lots the one that still has no retries alone goes out": (
        run(OUT, lots=(RETRIES, ELSEWHERE)),
        (PackShard(run_id=RUN, lot=1, route="batch"),),
    ),
    # the budget
    "the next fits to the nano": (waiting(limit=20, held=10), (PACK,)),
    "the next does not fit": (waiting(limit=19, held=10), (pause("at its cap"),)),
    "the next does not fit yet": (waiting(OUT, limit=19, held=10), ()),
    "in real time the next fits to the nano": (run(lots=(LIVE,), limit=30, held=10), (BLOCK,)),
    "in real time the next does not fit": (run(lots=(LIVE,), limit=29, held=10), (pause("at its cap"),)),
    "another lot still fits": (
        run(lots=(replace(LOT, batch_ceiling=Nanos(11)), ELSEWHERE), limit=20, held=10),
        (PackShard(run_id=RUN, lot=1, route="batch"),),
    ),
    "prices changed": (waiting(prices_hold=False), (pause("prices changed since the plan was made: plan again"),)),
    "prices changed when nothing is to be bought": (run(prices_hold=False), (finish(RunState.DONE),)),
    "prices changed when something is reserved": (
        run(shard(batch(BatchState.PLANNED)), prices_hold=False),
        (pause("prices changed since the plan was made: plan again"),),
    ),
    "prices changed when calls are reserved": (
        run(block(), prices_hold=False),
        (pause("prices changed since the plan was made: plan again"),),
    ),
    # real-time calls
    "reserved calls are made": (run(block(state=AttemptState.RESERVED)), (fly("lt1"),)),
    "those of a block begun too": (run(block()), (fly("lt1"),)),
    "calls in flight are waited for": (run(block(flying=2, unstarted=0)), (fly(),)),
    "unstarted calls of a paused run": (run(block(), **PAUSED), ()),
    "a paused run waits for its calls": (run(block(flying=2), **PAUSED), (fly(),)),
    "unstarted calls of a canceled run": (run(block(), **CANCELING), (DROP,)),
    "a canceled run waits for its calls": (run(block(flying=2, unstarted=9), **CANCELING), (fly(),)),
    "calls lost their process": (
        run(block(call(lost=True), call(ordinal=4, lost=True))),
        (doubt(0, 4),),
    ),
    "also when paused": (run(block(call(lost=True)), **PAUSED), (doubt(0),)),
    "also when canceling": (run(block(call(lost=True)), **CANCELING), (doubt(0),)),
    "what is made in the background is asked about": (run(block(DUE, route="2h")), (fly(asks=True),)),
    "when it is due": (run(block(QUEUED, route="2h")), ()),
    "also when paused, for it is bought": (run(block(DUE, route="2h"), **PAUSED), (fly(asks=True),)),
    "and called back when canceled": (run(block(QUEUED, route="2h"), **CANCELING), (recall(3),)),
    "once": (
        run(block(replace(QUEUED, cancel_asked=True), route="2h"), **CANCELING),
        (),
    ),
    "in the background beyond its window, and its grace": (
        run(block(replace(QUEUED, at=NOW - timedelta(hours=4, seconds=1)), route="2h")),
        (recall(3),),
    ),
    "not within them": (run(block(replace(QUEUED, at=NOW - timedelta(hours=4)), route="2h")), ()),
    "an eight-hour window has more time": (
        run(block(replace(QUEUED, at=NOW - timedelta(hours=9)), route="8h")),
        (),
    ),
    "called back and still going on": (
        run(block(replace(QUEUED, cancel_asked=True, at=NOW - timedelta(hours=5)), route="2h")),
        (),
    ),
    "for ever: then it is a doubt": (
        run(block(replace(QUEUED, cancel_asked=True, at=NOW - timedelta(hours=6, seconds=1)), route="2h")),
        (doubt(3),),
    ),
    "more is reserved for while few wait": (
        run(block(unstarted=19), lots=(LIVE,)),
        (BLOCK, fly("lt1", more=True)),
    ),
    "and no more than can be made soon": (run(block(unstarted=20), lots=(LIVE,)), (fly("lt1", more=True),)),
    "more is said only where the budget covers it": (
        run(block(unstarted=20), lots=(LIVE,), limit=29, held=10),
        (fly("lt1"),),
    ),
    "more of another provider is no more of this one": (
        run(block(unstarted=20), lots=(replace(LIVE, provider="openai"),)),
        (PackShard(run_id=RUN, lot=0, route="realtime"), fly("lt1")),
    ),
    "nothing more flies before its kind is tried": (
        run(block(unstarted=20, first=True), lots=(LIVE,), untested=(KIND,)),
        (fly("lt1"),),
    ),
    # lanes and deadlines
    "the lane of a wave is chosen before it is packed": (waiting(routed=False), (ChooseRoute(run_id=RUN),)),
    "after its kinds are tried": (waiting(routed=False, untested=(KIND,)), (TRY,)),
    "the last safe moment has come": (run(OUT, hasten_at=NOW, lots=(LOT,)), (POLL,)),
    "and what is out was just looked at": (
        run(shard(batch(BatchState.RUNNING, next_at=LATER, looked_at=NOW)), hasten_at=NOW, lots=(LOT,)),
        (HASTEN,),
    ),
    "what is back is read before anything is called back": (
        run(shard(batch(BatchState.ENDED)), hasten_at=NOW),
        (COLLECT,),
    ),
    "the last safe moment is to come": (run(OUT, hasten_at=LATER), ()),
    "of a paused run nothing is called back": (
        run(shard(batch(BatchState.RUNNING, next_at=LATER, looked_at=NOW)), hasten_at=NOW, **PAUSED),
        (),
    ),
    "what was called back comes back": (run(OUT, called_back=frozenset({"batch"})), (CANCEL,)),
    "what was not sent yet is given up": (
        run(shard(batch(BatchState.PLANNED)), called_back=frozenset({"batch"})),
        (DROP,),
    ),
    "a window is called back": (
        run(block(QUEUED, route="8h"), called_back=frozenset({"8h", "batch"})),
        (recall(3),),
    ),
    "a quicker lane goes on": (
        run(block(QUEUED, route="2h"), block(shard_id=ShardId("lt2")), called_back=frozenset({"8h", "batch"})),
        (fly("lt2", asks=True, until=LATER),),
    ),
    "a doubt of what was called back is not sent again": (
        run(shard(batch(BatchState.DOUBTFUL)), called_back=frozenset({"batch"})),
        (reconcile(resend=False),),
    ),
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
    "a duplicate that is not over is canceled": (
        run(shard(batch(BatchState.RUNNING, role=Role.DUPLICATE, next_at=LATER))),
        (CANCEL,),
    ),
    "an adopted one is collected": (run(shard(batch(BatchState.ENDED, role=Role.ADOPTED))), (COLLECT,)),
    "a suspect is looked into": (run(shard(batch(BatchState.ENDED, role=Role.SUSPECT))), (LOOK,)),
    "a suspect that is not over is left alone": (
        run(shard(batch(BatchState.RUNNING, role=Role.SUSPECT, next_at=LATER))),
        (),
    ),
    "failed is given up": (run(shard(batch(BatchState.FAILED))), (GIVE_UP,)),
    "lost is given up": (run(shard(batch(BatchState.LOST))), (GIVE_UP,)),
    "lost of a paused run": (run(shard(batch(BatchState.LOST)), **PAUSED), (GIVE_UP,)),
    # documents
    "landed is delivered": (run(shard(state=LANDED), delivers=True), (DELIVER,)),
    "landed real-time answers too": (run(block(state=LANDED, unstarted=0), delivers=True), (DELIVER,)),
    "delivered is enough": (run(shard(state=LANDED, delivered=True), delivers=True), (finish(RunState.DONE),)),
    "there is no place to deliver to": (run(shard(state=LANDED)), (finish(RunState.DONE),)),
    "a paused run delivers": (run(shard(state=LANDED), delivers=True, **PAUSED), (DELIVER,)),
    # canceling and pausing
    "canceled when nothing is open": (run(**CANCELING), (finish(RunState.CANCELED),)),
    "canceling sends nothing": (
        waiting(lots=(LOT, RETRIES), untested=(KIND,), waves=2, **CANCELING),
        (finish(RunState.CANCELED),),
    ),
    "canceling waits for what is out": (
        run(shard(batch(BatchState.CANCELING, cancel_asked=True, next_at=LATER)), **CANCELING),
        (),
    ),
    "paused sends nothing": (waiting(lots=(LOT, LIVE), untested=(KIND,), waves=2, **PAUSED), ()),
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
    assert decide(known).commands == (replace(POLL, batches=(BatchId(1), BatchId(2), BatchId(4))),)


@pytest.mark.parametrize("role", list(Role))
def test_every_role_is_looked_at(role: Role) -> None:
    asked = decide(run(shard(batch(BatchState.RUNNING, role=role, cancel_asked=True)))).commands
    assert asked == (POLL,)


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


def test_one_create_at_most_an_account_over_all_runs() -> None:
    """Design 3: at most one unconfirmed create an account; another provider's is another account."""
    runs = [
        run(
            shard(batch(BatchState.PLANNED, batch_id=BatchId(number)), shard_id=ShardId(f"lt{number}")),
            shard(batch(BatchState.PLANNED, batch_id=BatchId(10 + number)), shard_id=ShardId(f"lt1{number}")),
            shard(
                batch(BatchState.PLANNED, batch_id=BatchId(20 + number)),
                shard_id=ShardId(f"lt2{number}"),
                provider="openai",
            ),
            run_id=RunId(f"r_{number}"),
        )
        for number in range(1, 4)
    ]
    submits = [command for command in decide(*runs).commands if isinstance(command, Submit)]
    assert [(command.batch_id, command.provider) for command in submits] == [(1, "anthropic"), (21, "openai")]


def test_another_s_unconfirmed_create_blocks_and_is_looked_at_again() -> None:
    """Nothing of our own would wake us: the other may be another process."""
    known = run(shard(batch(BatchState.PLANNED)))
    decision = decide(known, door=door(unconfirmed_batch=BatchId(2)))
    assert decision == Decision(commands=(), wake_at=NOW + RULES.look_again)
    assert decide(known, openai=door(unconfirmed_batch=BatchId(2))).commands == (SUBMIT,), "another account's"


def test_our_own_unconfirmed_create_does_not_block_itself() -> None:
    assert decide(run(shard(batch(BatchState.PLANNED))), door=door(unconfirmed_batch=BATCH)).commands == (SUBMIT,)


def test_a_full_queue_waits_and_is_looked_at_again() -> None:
    assert decide(waiting(), door=door(queued_requests=999)).commands == (PACK,)
    decision = decide(waiting(), door=door(queued_requests=1000))
    assert decision == Decision(commands=(), wake_at=NOW + RULES.look_again)
    assert decide(waiting(), openai=door(queued_requests=1000)).commands == (PACK,), "another account's"
    assert decide(waiting(lots=(LIVE,)), door=door(queued_requests=1000)).commands == (BLOCK,), "no batch, no queue"


def test_a_queue_that_the_provider_calls_full_is_left_alone_until_then() -> None:
    """OpenAI's queue counts tokens, so only the provider knows when it is full."""
    for known in (waiting(), run(shard(batch(BatchState.PLANNED)))):
        assert decide(known, door=door(full_until=LATER)) == Decision(commands=(), wake_at=LATER)
        assert decide(known, door=door(full_until=NOW)).commands != ()
    assert decide(waiting(lots=(LIVE,)), door=door(full_until=LATER)).commands == (BLOCK,)


def test_where_one_provider_is_full_another_s_lot_goes_out() -> None:
    known = waiting(lots=(LOT, ELSEWHERE))
    for full in (door(queued_requests=1000), door(full_until=LATER)):
        assert decide(known, door=full).commands == (PackShard(run_id=RUN, lot=1, route="batch"),)


ASKING = [
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
    assert decide(known, openai=door(backoff_until=LATER)).commands == decide(known).commands, "another one does"


NOT_ASKING = [
    run(block(call(lost=True))),
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


def test_one_look_a_provider_at_everything_that_is_due() -> None:
    theirs = shard(batch(BatchState.RUNNING, batch_id=BatchId(5)), shard_id=ShardId("lt3"), provider="openai")
    assert decide(run(shard(batch(BatchState.RUNNING)), theirs)).commands == (
        POLL,
        Poll(run_id=RUN, provider="openai", batches=(BatchId(5),)),
    )


def test_what_is_soon_due_is_looked_at_with_what_is_due() -> None:
    """Only with it: nothing is looked at early for its own sake, and a batch that was never looked at keeps its time."""

    def looked(minutes_ago: int, due_in: int, number: int) -> KnownShard:
        minute = timedelta(minutes=1)
        times = {"looked_at": NOW - minutes_ago * minute, "next_at": NOW + due_in * minute}
        return shard(batch(BatchState.RUNNING, batch_id=BatchId(number), **times), shard_id=ShardId(f"lt{number}"))

    early, soon = looked(2, 1, number=2), looked(3, 1, number=3)
    unseen = shard(batch(BatchState.RUNNING, batch_id=BatchId(4), next_at=LATER), shard_id=ShardId("lt4"))
    due = replace(POLL, batches=(BATCH, BatchId(3)))
    assert decide(run(shard(batch(BatchState.RUNNING)), early, soon, unseen)).commands == (due,)
    assert decide(run(early, soon, unseen)) == Decision(commands=(), wake_at=min(LATER, NOW + timedelta(minutes=1)))


# order and waking


def test_what_is_under_way_comes_before_anything_new() -> None:
    known = waiting(block(call(lost=True), shard_id=ShardId("lt0")), shard(batch(BatchState.ENDED)), delivers=True)
    assert decide(known).commands == (Doubt(run_id=RUN, shard_id=ShardId("lt0"), ordinals=(0,)), COLLECT)


def test_each_run_goes_on_by_itself() -> None:
    busy = run(shard(batch(BatchState.ENDED)))
    idle = waiting(run_id=RunId("r_2"))
    assert decide(busy, idle).commands == (COLLECT, replace(PACK, run_id=RunId("r_2")))


def test_the_worker_wakes_for_the_earliest_thing_due() -> None:
    batches = [
        batch(BatchState.RUNNING, batch_id=BatchId(number), next_at=NOW + timedelta(seconds=number))
        for number in (9, 4, 7)
    ]
    waits = block(call(CallState.QUEUED, next_at=NOW + timedelta(seconds=6)), route="2h", shard_id=ShardId("lt2"))
    assert decide(run(shard(*batches), waits)) == Decision(commands=(), wake_at=NOW + timedelta(seconds=4))
    assert decide(run(waits, hasten_at=LATER)) == Decision(commands=(), wake_at=NOW + timedelta(seconds=6))


def test_with_something_to_do_there_is_no_waking() -> None:
    known = run(shard(batch(BatchState.RUNNING, next_at=LATER)), shard(batch(BatchState.ENDED, batch_id=BatchId(2))))
    assert decide(known).wake_at is None


def test_when_only_a_person_can_help_there_is_no_waking() -> None:
    assert decide(run(**PAUSED)) == Decision(commands=(), wake_at=None)


def test_the_same_knowledge_gives_the_same_commands() -> None:
    """Promise 7."""
    for known, _ in WORLDS.values():
        assert decide(known) == decide(known)


# flights


def test_calls_fly_last_and_until_something_else_is_due() -> None:
    """A flight goes on for minutes: whatever else is due in between must end it."""
    theirs = block(shard_id=ShardId("lt3"), provider="openai")
    known = run(shard(batch(BatchState.RUNNING, next_at=LATER)), block(shard_id=ShardId("lt2")), theirs)
    over = run(shard(batch(BatchState.ENDED)), run_id=RunId("r_2"))
    collect, *flights = decide(known, over).commands
    assert collect == replace(COLLECT, run_id=RunId("r_2"))
    assert flights == [
        fly("lt2", until=LATER),
        fly("lt3", provider="openai", until=LATER),
    ]


def test_a_flight_of_one_run_ends_when_another_s_batch_is_due() -> None:
    other = run(shard(batch(BatchState.RUNNING, next_at=LATER)), run_id=RunId("r_2"))
    assert decide(run(block()), other).commands == (fly("lt1", until=LATER),)


def test_with_a_flight_alone_there_is_still_something_due() -> None:
    assert decide(run(block())).commands == (fly("lt1"),)
    queued = block(call(CallState.QUEUED, next_at=LATER), unstarted=1, route="2h")
    assert decide(run(queued)).commands == (fly("lt1", asks=True, until=LATER),)


def test_blocks_of_one_provider_fly_together() -> None:
    blocks = [block(shard_id=ShardId(f"lt{number}"), unstarted=number) for number in range(3)]
    blocks[0] = replace(blocks[0], flying=1)
    assert decide(run(*blocks)).commands == (fly("lt1", "lt2"),)


def test_no_call_starts_while_prices_differ_and_those_in_flight_are_waited_for() -> None:
    """Promise 5: what was held at yesterday's price is no bound of today's."""
    known = run(block(flying=1), prices_hold=False)
    assert decide(known).commands == (pause("prices changed since the plan was made: plan again"), fly())


def test_a_block_of_which_every_call_is_over_or_a_doubt_is_closed() -> None:
    assert decide(run(block(unstarted=0))).commands == (DROP,)
    assert decide(run(block(unstarted=0, state=AttemptState.LANDED))).commands == (finish(RunState.DONE),)


def test_a_batch_that_outlives_its_window_is_canceled_and_read() -> None:
    """It is stuck: what finished is paid and read, the rest goes out again."""
    stuck = batch(BatchState.RUNNING, next_at=LATER, expires_at=NOW - RULES.overdue_after - timedelta(seconds=1))
    late = replace(stuck, expires_at=NOW - RULES.overdue_after)
    assert decide(run(shard(stuck))).commands == (CANCEL,)
    assert decide(run(shard(late))).commands == ()
    assert decide(run(shard(replace(stuck, role=Role.SUSPECT)))).commands == ()
    assert decide(run(shard(replace(stuck, verified=False)))).commands == ()
    assert decide(run(shard(stuck), **PAUSED)).commands == ()


def test_a_batch_that_does_not_end_even_so_stops_its_run():
    """It may have been bought, and asking for ever says nothing to anyone."""
    asked = batch(BatchState.FINALIZING, next_at=LATER, cancel_asked=True, provider_batch_id="batch_1")
    ever = replace(asked, expires_at=NOW - 2 * RULES.overdue_after - timedelta(seconds=1))
    (said,) = decide(run(shard(ever))).commands
    assert isinstance(said, Pause)
    assert "batch_1" in said.reason
    assert decide(run(shard(replace(ever, expires_at=NOW - 2 * RULES.overdue_after)))).commands == ()
    assert decide(run(shard(ever), **PAUSED)).commands == ()


@pytest.mark.parametrize(
    ("known", "is_open"),
    [
        (shard(state=AttemptState.RESERVED), True),
        (shard(state=AttemptState.OUT), True),
        (shard(state=AttemptState.LANDED), False),
        (shard(state=AttemptState.DROPPED), False),
        (shard(batch(BatchState.RUNNING, role=Role.SUSPECT), state=AttemptState.DROPPED), True),
        (shard(batch(BatchState.RUNNING, role=Role.DUPLICATE), state=AttemptState.LANDED), True),
        (shard(batch(BatchState.RUNNING, role=Role.SUSPECT, landed=True), state=AttemptState.LANDED), False),
    ],
)
def test_a_shard_is_open_while_something_may_come_of_it(known: KnownShard, is_open: bool) -> None:
    assert known.open is is_open


@pytest.mark.parametrize(
    ("known", "unsent"),
    [
        (shard(batch(BatchState.PLANNED)), True),
        (shard(batch(BatchState.SUBMITTING)), False),
        (shard(batch(BatchState.PLANNED), state=AttemptState.DROPPED), False),
        (block(unstarted=1), True),
        (block(unstarted=0, flying=1), False),
    ],
)
def test_a_shard_is_unsent_while_some_of_it_is_still_to_be_bought(known: KnownShard, unsent: bool) -> None:
    assert known.unsent is unsent


def test_every_command_is_in_a_world() -> None:
    given = {type(command) for _, commands in WORLDS.values() for command in commands}
    assert given == set(Command.__args__)
    assert READABLE < OVER
