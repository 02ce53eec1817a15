"""What a pilot bought, and how a run takes it over: the same answers under the same keys, at no cost of its own.

An answer goes to a request of the same key, model and provider whose body is the pilot's byte for byte; any other is
bought. The law: nothing is settled here. The pilot's own run has paid, and its books say so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from lowtide.attempt import AttemptState
from lowtide.dispatch import PlanId, RunId
from lowtide.money import ZERO
from lowtide.packing import ShardId, pack_members, unpack_members
from lowtide.store import Store, Transaction, answers, plans, runs, shards
from lowtide.store.answers import Finished
from lowtide.store.schema import LOTS, REQUESTS
from lowtide.store.shards import Landed, ShardRow

KIND = "pilot"  # of the shard that holds what was taken over: it took no time, and is no measure of speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """A request that a pilot has an answer to, and the body that it was asked with."""

    request: Finished
    body: bytes


def bought(store: Store, pilot: PlanId) -> dict[str, Bought]:
    """Read the answers of a pilot by key: some dozens. One whose answer was pruned is none."""
    with store.read() as tx:
        bodies = dict(plans.request_sources(tx, pilot, 0))
    return {
        row.key: Bought(request=row, body=store.body(bodies[row.key]))
        for row in answers.in_order(store, pilot, states=["succeeded"])
        if row.answer_at is not None
    }


def take_over(
    store: Store,
    tx: Transaction,
    found: Mapping[str, Bought],
    *,
    plan_id: PlanId,
    run_id: RunId,
    new_shard: Callable[[], ShardId],
    at: datetime,
) -> int:
    """Let a run that begins have the answers; gives how many. Their kinds need no first request any more."""
    query = select(REQUESTS, LOTS.c.provider).join(
        LOTS, (LOTS.c.plan_id == REQUESTS.c.plan_id) & (LOTS.c.lot == REQUESTS.c.lot)
    )
    query = query.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.key.in_(found), REQUESTS.c.state == "pending")
    lots: dict[tuple[int, str], list[Row[Any]]] = {}
    for row in tx.execute(query.order_by(REQUESTS.c.seq)):
        earlier = found[row.key]
        theirs = (earlier.request.model, earlier.request.provider, earlier.body)
        if theirs == (row.model, row.provider, store.body(row.body_at)):
            lots.setdefault((row.lot, row.provider), []).append(row)
    for (lot, provider), rows in lots.items():
        members = pack_members([row.seq for row in rows])
        shard = ShardRow(
            shard_id=new_shard(),
            run_id=run_id,
            plan_id=plan_id,
            wave=0,
            provider=provider,
            lot=lot,
            route="realtime",
            kind=KIND,
            members=unpack_members(members),
            requests=len(rows),
            bytes=sum(row.body_bytes for row in rows),
            hold_id=0,  # nothing is held: nothing is bought
            state=AttemptState.LANDED,
        )
        shards.insert_shard(tx, shard, members=members, created_at=at, state=AttemptState.LANDED)
        shards.set_shard(tx, shard.shard_id, landed_at=at)
        landed = [_landed(place, row, found[row.key].request) for place, row in enumerate(rows)]
        shards.land(store, tx, shard_id=shard.shard_id, plan_id=plan_id, rows=landed, at=at)
        for row in rows:
            runs.pass_kind(tx, plan_id, row.kind, provider, row.model)
    return sum(map(len, lots.values()))


def _landed(ordinal: int, row: Row[Any], earlier: Finished) -> Landed:
    return Landed(
        ordinal=ordinal,
        seq=row.seq,
        outcome=earlier.outcome,
        code=earlier.code,
        message=earlier.message,
        answer_at=earlier.answer_at,
        usage=earlier.usage,
        cost=ZERO,
        state="succeeded",
    )
