"""Real-time calls under way: the intent before each, and the doubts that are left. One statement a function."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select

from lowtide.attempt import CallState
from lowtide.dispatch import PlanId
from lowtide.packing import ShardId
from lowtide.store import Store, Transaction
from lowtide.store.schema import CALLS, REQUESTS, SHARDS, instant_text

ASKED_MAX = 200  # of what is made in the background, at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as it is kept; ``hold_id`` is a doubt's own."""

    shard_id: ShardId
    ordinal: int
    plan_id: PlanId
    seq: int
    state: CallState
    response_id: str | None
    hold_id: int | None
    cancel_asked: bool
    next_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtRow:
    """A doubt with what names it: its run, its provider, its request's key and model, and how the request stands now."""

    call: CallRow
    run_id: str
    provider: str
    route: str
    key: str
    model: str
    request_state: str


def begin(
    store: Store, tx: Transaction, plan_id: PlanId, intents: Sequence[tuple[ShardId, int, int]], at: datetime
) -> None:
    """Promise 2: write the intent of calls, each (shard, ordinal, sequence number), before they are made."""
    moment = instant_text(at)
    store.bulk(
        tx,
        "insert into calls (shard_id, ordinal, plan_id, seq, state, cancel_asked, at)"
        " values (?, ?, ?, ?, 'sending', ?, ?)",
        [(shard_id, ordinal, plan_id, seq, False, moment) for shard_id, ordinal, seq in intents],
    )


def end(store: Store, tx: Transaction, ended: Sequence[tuple[ShardId, int]]) -> None:
    """Forget calls whose outcome is written, or that certainly bought nothing."""
    store.bulk(tx, "delete from calls where shard_id = ? and ordinal = ?", list(ended))


def find(tx: Transaction, shard_id: str, ordinal: int) -> CallRow | None:
    """Read one call."""
    row = tx.execute(select(CALLS).where(CALLS.c.shard_id == shard_id, CALLS.c.ordinal == ordinal)).one_or_none()
    return None if row is None else _call(row)


def of_shard(tx: Transaction, shard_id: str) -> list[CallRow]:
    """Read every call of a shard whose outcome is not written, doubts too."""
    rows = tx.execute(select(CALLS).where(CALLS.c.shard_id == shard_id).order_by(CALLS.c.ordinal))
    return [_call(row) for row in rows]


def set_call(tx: Transaction, shard_id: str, ordinal: int, **values: object) -> None:
    """Write columns of a call."""
    where = (CALLS.c.shard_id == shard_id) & (CALLS.c.ordinal == ordinal)
    tx.execute(CALLS.update().where(where).values(**values))


def doubts(tx: Transaction, run_id: str = "") -> list[DoubtRow]:
    """List doubts, oldest first: of one run, or of every one, however many there are: they are summed up and settled."""
    query = (
        select(
            CALLS,
            SHARDS.c.run_id,
            SHARDS.c.provider,
            SHARDS.c.route,
            REQUESTS.c.key,
            REQUESTS.c.model,
            REQUESTS.c.state.label("request_state"),
        )
        .join_from(CALLS, SHARDS, SHARDS.c.shard_id == CALLS.c.shard_id)
        .join(REQUESTS, (REQUESTS.c.plan_id == CALLS.c.plan_id) & (REQUESTS.c.seq == CALLS.c.seq))
        .where(CALLS.c.state == CallState.DOUBTFUL)
        .order_by(CALLS.c.at, CALLS.c.shard_id, CALLS.c.ordinal)
    )
    if run_id:
        query = query.where(SHARDS.c.run_id == run_id)
    return [
        DoubtRow(
            call=_call(row),
            run_id=row.run_id,
            provider=row.provider,
            route=row.route,
            key=row.key,
            model=row.model,
            request_state=row.request_state,
        )
        for row in tx.execute(query)
    ]


def due(tx: Transaction, run_id: str, provider: str, now: datetime) -> list[CallRow]:
    """List calls of a run that are made in the background and are to be asked about now."""
    query = (
        select(CALLS)
        .join_from(CALLS, SHARDS, SHARDS.c.shard_id == CALLS.c.shard_id)
        .where(
            SHARDS.c.run_id == run_id,
            SHARDS.c.provider == provider,
            CALLS.c.state == CallState.QUEUED,
            CALLS.c.next_at <= now,
        )
        .order_by(CALLS.c.next_at, CALLS.c.shard_id, CALLS.c.ordinal)
        .limit(ASKED_MAX)
    )
    return [_call(row) for row in tx.execute(query)]


def doubted(tx: Transaction, plan_id: PlanId, seq: int) -> bool:
    """Say whether an earlier call for a request may have been bought."""
    where = (CALLS.c.plan_id == plan_id) & (CALLS.c.seq == seq) & (CALLS.c.state == CallState.DOUBTFUL)
    return tx.execute(select(CALLS.c.seq).where(where)).first() is not None


def doubted_runs(tx: Transaction) -> set[str]:
    """Name the runs that have doubts."""
    query = select(SHARDS.c.run_id).join_from(CALLS, SHARDS, SHARDS.c.shard_id == CALLS.c.shard_id)
    return set(tx.execute(query.where(CALLS.c.state == CallState.DOUBTFUL).distinct()).scalars())


def doubt_count(tx: Transaction, run_id: str) -> int:
    """Count the doubts of a run."""
    query = select(func.count()).select_from(CALLS).join(SHARDS, SHARDS.c.shard_id == CALLS.c.shard_id)
    where = (SHARDS.c.run_id == run_id) & (CALLS.c.state == CallState.DOUBTFUL)
    return int(tx.execute(query.where(where)).scalar_one())


def _call(row: Row[Any]) -> CallRow:
    values = {name: getattr(row, name) for name in CallRow.__slots__ if name != "state"}
    return CallRow(state=CallState(row.state), **values)
