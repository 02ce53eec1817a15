"""Runs, their leases, the door to the provider, and what dispatch must know of them. One statement a function."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, literal_column, or_, select

from lowtide.attempt import AttemptState, CallState
from lowtide.batch import UNCONFIRMED, BatchState
from lowtide.dispatch import (
    OPEN_RUNS,
    BatchId,
    KnownBatch,
    KnownCall,
    KnownDoor,
    KnownShard,
    PlanId,
    Role,
    RunId,
    RunState,
)
from lowtide.packing import ShardId
from lowtide.store import Transaction, insert_missing, worker_is_dead
from lowtide.store.schema import (
    ATTEMPTS,
    BATCHES,
    CALLS,
    DOORS,
    EVENTS,
    KINDS,
    LOTS,
    PLANS,
    REQUESTS,
    RUNS,
    SHARDS,
    WAVES,
    foreign_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as it is kept, with the little of its plan that every look needs."""

    run_id: RunId
    plan_id: PlanId
    state: RunState
    reason: str
    wave: int
    waves: int
    sealed_seq: int
    route: str
    deadline_at: datetime | None
    hasten_at: datetime | None
    hastened: bool
    routed_wave: int | None
    spared_seconds: int
    called_back: str
    doubts: str
    out: str
    credential: str
    title: str
    workload: str
    provider: str
    model: str
    created_at: datetime
    ended_at: datetime | None
    leased_by: str | None
    leased_until: datetime | None


NOTE_CHARACTERS_MAX = 2000
# Written out, not bound: only so can the database see that its index of these few rows serves.
RETRYING = REQUESTS.c.state == literal_column("'retry'")
# Rows beyond the last whole wave are of one that was broken off: they are not there yet.
_SEALED = (
    select(func.coalesce(func.max(WAVES.c.last_seq), -1))
    .where(WAVES.c.plan_id == RUNS.c.plan_id)
    .scalar_subquery()
    .label("sealed_seq")
)
_RUN = select(_SEALED, RUNS, PLANS.c.waves, PLANS.c.title, PLANS.c.workload, PLANS.c.provider, PLANS.c.model).join_from(
    RUNS, PLANS, RUNS.c.plan_id == PLANS.c.plan_id
)

# What every turn asks, made once: making a statement takes longer than asking a small one.
_OPEN_RUNS = _RUN.where(RUNS.c.state.in_([*OPEN_RUNS])).order_by(RUNS.c.created_at, RUNS.c.run_id)
_DONE = and_(
    SHARDS.c.state.in_([AttemptState.LANDED, AttemptState.DROPPED]),
    or_(SHARDS.c.delivered_at.is_not(None), SHARDS.c.state != AttemptState.LANDED),
)
_SUSPECTED = (
    select(BATCHES.c.shard_id)
    .where(BATCHES.c.role != Role.OURS, BATCHES.c.landed_at.is_(None), BATCHES.c.shard_id == SHARDS.c.shard_id)
    .exists()
)
_OPEN_SHARDS = (
    select(
        SHARDS.c.shard_id,
        SHARDS.c.provider,
        SHARDS.c.route,
        SHARDS.c.kind,
        SHARDS.c.requests,
        SHARDS.c.state,
        SHARDS.c.delivered_at,
    )
    .where(SHARDS.c.run_id == bindparam("run_id"), or_(~_DONE, _SUSPECTED))
    .order_by(SHARDS.c.created_at, SHARDS.c.shard_id)
)
_BATCHES_OF = (
    select(BATCHES).where(BATCHES.c.shard_id.in_(bindparam("ids", expanding=True))).order_by(BATCHES.c.batch_id)
)
_CALLS_OF = (
    select(CALLS.c.shard_id, CALLS.c.ordinal, CALLS.c.state, CALLS.c.cancel_asked, CALLS.c.next_at, CALLS.c.at)
    .where(CALLS.c.shard_id.in_(bindparam("ids", expanding=True)))
    .order_by(CALLS.c.shard_id, CALLS.c.ordinal)
)
_QUEUED = (
    select(func.coalesce(func.sum(BATCHES.c.total), 0))
    .select_from(BATCHES)
    .join(SHARDS, SHARDS.c.shard_id == BATCHES.c.shard_id)
    .join(RUNS, RUNS.c.run_id == SHARDS.c.run_id)
    .where(
        BATCHES.c.provider + ":" + RUNS.c.credential == bindparam("door"),  # a door is a provider's account
        BATCHES.c.role != Role.SUSPECT,
        SHARDS.c.state != AttemptState.DROPPED,  # the batch of a shard that was given up stays planned for ever
        BATCHES.c.state.in_(
            [
                BatchState.PLANNED,
                *UNCONFIRMED,
                BatchState.VALIDATING,
                BatchState.QUEUED,
                BatchState.RUNNING,
                BatchState.FINALIZING,
            ]
        ),
    )
)


def insert_run(
    tx: Transaction,
    *,
    run_id: RunId,
    plan_id: PlanId,
    out: str,
    credential: str,
    created_at: datetime,
    route: str = "batch",
    deadline_at: datetime | None = None,
    moves: bool = False,
    doubts: str = "resend",
) -> None:
    """Begin a run of a plan, whose first wave is whole. ``moves``: the lane of each wave is chosen anew."""
    tx.execute(
        RUNS.insert().values(
            run_id=run_id,
            plan_id=plan_id,
            state=RunState.ACTIVE,
            wave=0,
            route=route,
            deadline_at=deadline_at,
            hastened=False,
            routed_wave=-1 if moves else None,
            doubts=doubts,
            out=out,
            credential=credential,
            created_at=created_at,
        )
    )


def find_run(tx: Transaction, name: str) -> RunRow | None:
    """Read a run by its id or its plan's."""
    row = tx.execute(_RUN.where(or_(RUNS.c.run_id == name, RUNS.c.plan_id == name))).one_or_none()
    return None if row is None else _run(row)


def all_runs(tx: Transaction, limit: int) -> list[RunRow]:
    """Read the newest runs, newest first."""
    return [_run(row) for row in tx.execute(_RUN.order_by(RUNS.c.created_at.desc(), RUNS.c.run_id).limit(limit))]


def open_runs(tx: Transaction) -> list[RunRow]:
    """Read the runs that are not over, oldest first."""
    return [_run(row) for row in tx.execute(_OPEN_RUNS)]


def _run(row: Row[Any]) -> RunRow:
    values = {name: getattr(row, name) for name in RunRow.__slots__ if name != "state"}
    return RunRow(state=RunState(row.state), **values)


def set_state(
    tx: Transaction,
    run_id: RunId,
    state: RunState,
    *,
    reason: str = "",
    ended_at: datetime | None = None,
    only_from: frozenset[RunState] = OPEN_RUNS,
) -> bool:
    """Move a run to another state, with the reason; False when it is in none of ``only_from`` by now."""
    where = (RUNS.c.run_id == run_id) & RUNS.c.state.in_([*only_from])
    values = {"state": state, "reason": foreign_text(reason, NOTE_CHARACTERS_MAX), "ended_at": ended_at}
    moved = tx.execute(RUNS.update().where(where).values(**values))
    return bool(moved.rowcount == 1)


def set_wave(tx: Transaction, run_id: RunId, wave: int) -> None:
    """Say which wave is the newest that is made: nothing of it was called back, or has to be."""
    tx.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(wave=wave, hasten_at=None, called_back=""))


def set_packed(tx: Transaction, plan_id: PlanId, lot: int, packed_seq: int) -> None:
    """Say up to where every pending request of a lot is in a shard."""
    where = (LOTS.c.plan_id == plan_id) & (LOTS.c.lot == lot)
    tx.execute(LOTS.update().where(where).values(packed_seq=packed_seq))


def set_run(tx: Transaction, run_id: RunId, **values: object) -> None:
    """Write columns of a run."""
    tx.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(**values))


def claim(tx: Transaction, run: RunRow, *, worker: str, now: datetime, lease: timedelta) -> bool:
    """Claim a run, or renew the claim. A claim ends by itself, or at once when its process is known to be dead."""
    free = or_(RUNS.c.leased_by.is_(None), RUNS.c.leased_by == worker, RUNS.c.leased_until < now)
    if run.leased_by is not None and worker_is_dead(run.leased_by):
        free = or_(free, RUNS.c.leased_by == run.leased_by)
    changed = tx.execute(
        RUNS.update().where(RUNS.c.run_id == run.run_id, free).values(leased_by=worker, leased_until=now + lease)
    ).rowcount
    return bool(changed == 1)


def renew(tx: Transaction, run_id: RunId, worker: str, until: datetime) -> bool:
    """Renew a claim that is still ours; False when it is not."""
    where = (RUNS.c.run_id == run_id) & (RUNS.c.leased_by == worker)
    return bool(tx.execute(RUNS.update().where(where).values(leased_until=until)).rowcount == 1)


def let_go(tx: Transaction, worker: str) -> None:
    """End every claim of a worker."""
    tx.execute(RUNS.update().where(RUNS.c.leased_by == worker).values(leased_by=None, leased_until=None))


def holds_lease(tx: Transaction, run_id: RunId, worker: str, state: RunState | None = None) -> bool:
    """Say whether the worker still holds the claim, and (if asked) whether the run is in that state."""
    row = tx.execute(select(RUNS.c.leased_by, RUNS.c.state).where(RUNS.c.run_id == run_id)).one_or_none()
    return row is not None and row.leased_by == worker and (state is None or row.state == state)


def known_shards(tx: Transaction, run: RunRow, flying: Container[tuple[str, int]] = ()) -> tuple[KnownShard, ...]:
    """Read the shards that are not over or not delivered, with their batches and calls.

    ``flying`` are the calls, by shard and ordinal, that this very process waits for: any other that is still ``sending``
    lost its process.
    """
    shard_rows = tx.execute(_OPEN_SHARDS, {"run_id": run.run_id}).all()
    if not shard_rows:
        return ()
    ids = [row.shard_id for row in shard_rows]
    batches: dict[str, list[KnownBatch]] = {}
    for row in tx.execute(_BATCHES_OF, {"ids": ids}):
        batches.setdefault(row.shard_id, []).append(
            KnownBatch(
                batch_id=BatchId(row.batch_id),
                role=Role(row.role),
                state=BatchState(row.state),
                provider_batch_id=row.provider_batch_id,
                creates=row.creates,
                verified=row.verified,
                cancel_asked=row.cancel_asked,
                landed=row.landed_at is not None,
                next_at=row.next_at,
                looked_at=row.looked_at,
                expires_at=row.expires_at,
            )
        )
    calls: dict[str, list[KnownCall]] = {}
    started: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    under_way = tx.execute(_CALLS_OF, {"ids": ids})
    for shard_id, ordinal, state, cancel_asked, next_at, at in under_way:  # thousands of them: most need no object
        if state == "doubtful":
            continue  # it has landed
        started[shard_id] = started.get(shard_id, 0) + 1
        if state == "sending" and (shard_id, ordinal) in flying:
            in_flight[shard_id] = in_flight.get(shard_id, 0) + 1
        else:
            calls.setdefault(shard_id, []).append(
                KnownCall(
                    ordinal=ordinal,
                    state=CallState(state),
                    lost=state == "sending",
                    cancel_asked=cancel_asked,
                    next_at=next_at,
                    at=at,
                )
            )
    blocks = [row.shard_id for row in shard_rows if row.route != "batch"]
    counted = select(ATTEMPTS.c.shard_id, func.count()).where(ATTEMPTS.c.shard_id.in_(blocks))
    landed: dict[str, int] = dict(tx.execute(counted.group_by(ATTEMPTS.c.shard_id)).all()) if blocks else {}
    return tuple(
        KnownShard(
            shard_id=ShardId(row.shard_id),
            provider=row.provider,
            route=row.route,
            state=AttemptState(row.state),
            delivered=row.delivered_at is not None,
            batches=tuple(batches.get(row.shard_id, ())),
            calls=tuple(calls.get(row.shard_id, ())),
            flying=in_flight.get(row.shard_id, 0),
            unstarted=(
                0 if row.route == "batch" else row.requests - landed.get(row.shard_id, 0) - started.get(row.shard_id, 0)
            ),
            first=bool(row.kind) and row.route != "batch",
        )
        for row in shard_rows
    )


def retrying_count(tx: Transaction, run: RunRow) -> int:
    """Count requests that go out again."""
    query = select(func.count()).where(REQUESTS.c.plan_id == run.plan_id, RETRYING)
    return int(tx.execute(query).scalar_one())


def untested_kinds(tx: Transaction, plan_id: PlanId) -> list[tuple[str, str, str, int]]:
    """List (kind, provider, model, refusals) of kinds that no real-time answer has passed."""
    query = select(KINDS.c.kind, KINDS.c.provider, KINDS.c.model, KINDS.c.refusals)
    query = query.where(KINDS.c.plan_id == plan_id, ~KINDS.c.passed)
    return list(tx.execute(query.order_by(KINDS.c.kind, KINDS.c.provider, KINDS.c.model)))


def pass_kind(tx: Transaction, plan_id: PlanId, kind: str, provider: str, model: str) -> None:
    """Say that a kind of body was answered."""
    tx.execute(KINDS.update().where(_kind(plan_id, kind, provider, model)).values(passed=True))


def refuse_kind(tx: Transaction, plan_id: PlanId, kind: str, provider: str, model: str) -> None:
    """Count one more refusal of a kind of body."""
    where = _kind(plan_id, kind, provider, model)
    tx.execute(KINDS.update().where(where).values(refusals=KINDS.c.refusals + 1))


def forget_refusals(tx: Transaction, plan_id: PlanId) -> None:
    """Let a paused run try its kinds again."""
    tx.execute(KINDS.update().where(KINDS.c.plan_id == plan_id, ~KINDS.c.passed).values(refusals=0))


def _kind(plan_id: PlanId, kind: str, provider: str, model: str) -> ColumnElement[bool]:
    return and_(KINDS.c.plan_id == plan_id, KINDS.c.kind == kind, KINDS.c.provider == provider, KINDS.c.model == model)


def wave_span(tx: Transaction, plan_id: PlanId, wave: int) -> tuple[int, int] | None:
    """Give the first and last sequence number of a made wave."""
    query = select(WAVES.c.first_seq, WAVES.c.last_seq).where(WAVES.c.plan_id == plan_id, WAVES.c.wave == wave)
    row = tx.execute(query).one_or_none()
    return None if row is None else (row.first_seq, row.last_seq)


# the door to a provider account


def open_door(tx: Transaction, provider: str) -> None:
    """Make the row of a provider account, unless it is there."""
    insert_missing(tx, DOORS, {"provider": provider, "failures": 0})


def known_door(tx: Transaction, provider: str) -> KnownDoor:
    """Read how the door stands: who has an unconfirmed create, how long to stay away, how much is queued."""
    row = tx.execute(select(DOORS).where(DOORS.c.provider == provider)).one_or_none()
    queued = tx.execute(_QUEUED, {"door": provider}).scalar_one()
    return KnownDoor(
        unconfirmed_batch=None if row is None or row.unconfirmed_batch is None else BatchId(row.unconfirmed_batch),
        backoff_until=None if row is None else row.backoff_until,
        full_until=None if row is None else row.full_until,
        queued_requests=int(queued),
    )


def take_door(tx: Transaction, provider: str, batch_id: BatchId) -> bool:
    """Claim the one unconfirmed create of the account, over all processes (design 3)."""
    changed = tx.execute(
        DOORS.update()
        .where(
            DOORS.c.provider == provider,
            or_(DOORS.c.unconfirmed_batch.is_(None), DOORS.c.unconfirmed_batch == batch_id),
        )
        .values(unconfirmed_batch=batch_id)
    ).rowcount
    return bool(changed == 1)


def free_door(tx: Transaction, provider: str, batch_id: BatchId) -> None:
    """Give the claim back: the create is confirmed, refused, or known never to have arrived."""
    tx.execute(
        DOORS.update()
        .where(DOORS.c.provider == provider, DOORS.c.unconfirmed_batch == batch_id)
        .values(unconfirmed_batch=None)
    )


def stay_away(tx: Transaction, provider: str, until: datetime) -> None:
    """Note one more failure of the provider, and until when nothing is asked of it."""
    tx.execute(
        DOORS.update().where(DOORS.c.provider == provider).values(backoff_until=until, failures=DOORS.c.failures + 1)
    )


def say_full(tx: Transaction, provider: str, until: datetime) -> None:
    """Note that the provider's queue of batches is full: nothing is created before ``until``."""
    tx.execute(DOORS.update().where(DOORS.c.provider == provider).values(full_until=until))


def door_failures(tx: Transaction, provider: str) -> int:
    """Count the failures in a row."""
    return int(tx.execute(select(DOORS.c.failures).where(DOORS.c.provider == provider)).scalar() or 0)


def welcome_back(tx: Transaction, provider: str) -> None:
    """Note that the provider answers again."""
    tx.execute(
        DOORS.update().where(DOORS.c.provider == provider, DOORS.c.failures > 0).values(backoff_until=None, failures=0)
    )


def blocking_run(tx: Transaction, provider: str) -> str | None:
    """Name the run whose create is the unconfirmed one of the account, ``None`` when there is none."""
    found = tx.execute(select(DOORS.c.unconfirmed_batch).where(DOORS.c.provider == provider)).scalar()
    return None if found is None else run_of_batch(tx, BatchId(found))


def run_of_batch(tx: Transaction, batch_id: BatchId) -> str | None:
    """Name the run that a batch belongs to."""
    query = select(SHARDS.c.run_id).join_from(SHARDS, BATCHES, SHARDS.c.shard_id == BATCHES.c.shard_id)
    found: str | None = tx.execute(query.where(BATCHES.c.batch_id == batch_id)).scalar()
    return found


# events


def note(tx: Transaction, run_id: str, at: datetime, text: str, *, level: str = "info") -> None:
    """Write one line of a run's history. Levels: ``info``, ``warning``, ``alarm``."""
    assert level in ("info", "warning", "alarm")
    text = foreign_text(text, NOTE_CHARACTERS_MAX)
    tx.execute(EVENTS.insert().values(run_id=run_id, at=at, level=level, text=text))


def events_after(
    tx: Transaction, run_id: str, after: int, newest: int | None = None
) -> Sequence[tuple[int, datetime, str, str]]:
    """Read (id, instant, level, text) of a run's history after an id, oldest first; of it only so many of the ``newest``."""
    query = select(EVENTS.c.event_id, EVENTS.c.at, EVENTS.c.level, EVENTS.c.text)
    query = query.where(EVENTS.c.run_id == run_id, EVENTS.c.event_id > after).order_by(EVENTS.c.event_id.desc())
    rows = tx.execute(query.limit(newest)).all()
    return [(row.event_id, row.at, row.level, row.text) for row in reversed(rows)]
