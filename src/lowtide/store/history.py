"""What earlier batches and answers tell about the next ones. One statement a function."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select

from lowtide.batch import BatchState
from lowtide.caching import HitsSeen
from lowtide.catalog import Lane
from lowtide.dispatch import Role
from lowtide.routing import TurnaroundSeen
from lowtide.store import Transaction
from lowtide.store.schema import ATTEMPTS, BATCHES, LOTS, PLANS, REQUESTS, RUNS, SHARDS, WAVES

BATCHES_MAX = 200
NEVER_WORKED_ON = (BatchState.FAILED, BatchState.LOST)  # refused as a whole, or gone: neither tells how long one takes
HITS_SHARDS_MAX = 20
RUNS_MAX = 10
ANSWERS_MAX = 2_000  # of one run
CUT = "max_tokens"  # why an answer ended, where its limit was the reason


def durations(tx: Transaction, providers: Sequence[str]) -> list[timedelta]:
    """How long the newest batches of some providers took, by their own clocks, unordered."""
    rows = tx.execute(
        select(BATCHES.c.created_at, BATCHES.c.ended_at)
        .where(
            BATCHES.c.provider.in_(providers),
            BATCHES.c.role == Role.OURS,
            BATCHES.c.created_at.is_not(None),
            BATCHES.c.ended_at.is_not(None),
            BATCHES.c.state.not_in(NEVER_WORKED_ON),
            ~BATCHES.c.cancel_asked,
        )
        .order_by(BATCHES.c.batch_id.desc())
        .limit(BATCHES_MAX)
    )
    return [row.ended_at - row.created_at for row in rows]


def turnarounds(tx: Transaction, provider: str, now: datetime) -> list[TurnaroundSeen]:
    """How long the newest batches of a provider took, newest first, and how long those that are out have taken so far.

    One that was canceled has not ended by itself: all it tells is that it takes longer than its age.
    """
    rows = tx.execute(
        select(
            BATCHES.c.created_at,
            BATCHES.c.ended_at,
            BATCHES.c.total,
            BATCHES.c.canceled,
            BATCHES.c.cancel_asked,
            LOTS.c.model.label("lot_model"),
            PLANS.c.model,
        )
        .join_from(BATCHES, SHARDS, SHARDS.c.shard_id == BATCHES.c.shard_id)
        .join(PLANS, PLANS.c.plan_id == SHARDS.c.plan_id)
        .outerjoin(LOTS, (LOTS.c.plan_id == SHARDS.c.plan_id) & (LOTS.c.lot == SHARDS.c.lot))
        .where(
            BATCHES.c.provider == provider,
            BATCHES.c.role == Role.OURS,
            BATCHES.c.created_at.is_not(None),
            BATCHES.c.state.not_in(NEVER_WORKED_ON),
        )
        .order_by(BATCHES.c.batch_id.desc())
        .limit(BATCHES_MAX)
    )
    return [
        TurnaroundSeen(
            provider=provider,
            model=row.lot_model or row.model,
            requests=row.total,
            hour=row.created_at.hour,
            took=max(timedelta(0), (row.ended_at or now) - row.created_at),
            ended=row.ended_at is not None and not (row.cancel_asked and row.canceled),
        )
        for row in rows
    ]


@dataclass(slots=True, kw_only=True)
class AnswersSeen:
    """Answers of one plan to one kind of request of one model: their lengths in tokens, and how many a limit cut off."""

    plan_id: str
    lengths: list[int] = field(default_factory=list)
    cut: int = 0


@dataclass(slots=True, kw_only=True)
class RequestsSeen:
    """What became of the requests of earlier plans: answers by (kind, model), a value a plan, newest plan first.

    ``asked`` are those that came to an end, ``lost`` those of them that ended without an answer and cost nothing.
    """

    answers: dict[tuple[str, str], list[AnswersSeen]] = field(default_factory=dict)
    asked: int = 0
    lost: int = 0


def newest_runs(tx: Transaction, *, workload: str, source: str) -> list[str]:
    """Name the plans of the newest runs of a workload; an empty ``source`` takes every input's, else of that alone."""
    query = select(PLANS.c.plan_id).join(RUNS, RUNS.c.plan_id == PLANS.c.plan_id).where(PLANS.c.workload == workload)
    if source:
        query = query.where(PLANS.c.source == source)
    return list(tx.execute(query.order_by(RUNS.c.created_at.desc(), PLANS.c.plan_id).limit(RUNS_MAX)).scalars())


def requests_seen(tx: Transaction, plan_ids: Sequence[str]) -> RequestsSeen:
    """Read what became of the requests of some plans; of a large one, a sample that is evenly spread over it."""
    seen = RequestsSeen()
    for plan_id in plan_ids:
        last = tx.execute(select(func.max(WAVES.c.last_seq)).where(WAVES.c.plan_id == plan_id)).scalar()
        count = 0 if last is None else last + 1
        step = max(1, -(-count // ANSWERS_MAX))
        query = (
            select(REQUESTS.c.kind, REQUESTS.c.model, REQUESTS.c.state, ATTEMPTS.c.output_tokens, ATTEMPTS.c.code)
            .add_columns(ATTEMPTS.c.cost_nanos)
            .outerjoin_from(
                REQUESTS,
                ATTEMPTS,
                (ATTEMPTS.c.shard_id == REQUESTS.c.shard_id) & (ATTEMPTS.c.ordinal == REQUESTS.c.ordinal),
            )
            .where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.state.in_(["succeeded", "failed"]))
        )
        if step > 1:  # by name: reading one in a hundred of a million would still walk through all
            query = query.where(REQUESTS.c.seq.in_(range(0, count, step)))
        for row in tx.execute(query):
            _take(seen, plan_id, row)
    return seen


def _take(seen: RequestsSeen, plan_id: str, row: Any) -> None:  # noqa: ANN401 a row of several columns
    seen.asked += 1
    if row.state == "failed":
        seen.lost += not row.cost_nanos
        return
    plans_seen = seen.answers.setdefault((row.kind, row.model), [])
    if not plans_seen or plans_seen[-1].plan_id != plan_id:
        plans_seen.append(AnswersSeen(plan_id=plan_id))
    plans_seen[-1].lengths.append(row.output_tokens)
    plans_seen[-1].cut += row.code == CUT


def hits_seen(tx: Transaction, provider: str, lane: Lane, *, warmed: bool) -> HitsSeen | None:
    """Count what the newest shards read from a cache, of those answers that met one; ``None`` where none did.

    ``warmed``: others had gone first to write it. Those themselves, and the first of their kind, are left out. An answer
    met a cache when it wrote or read there; it hit when it read.
    """
    later = LOTS.alias()
    waited = select(later.c.lot).where(later.c.plan_id == LOTS.c.plan_id, later.c.turn > 0).exists()
    newest = (
        select(SHARDS.c.shard_id)
        .join_from(SHARDS, LOTS, (LOTS.c.plan_id == SHARDS.c.plan_id) & (LOTS.c.lot == SHARDS.c.lot))
        .where(
            SHARDS.c.provider == provider,
            SHARDS.c.route == lane.value,
            SHARDS.c.kind == "",
            SHARDS.c.landed_at.is_not(None),
            LOTS.c.turn > 0 if warmed else (LOTS.c.turn == 0) & ~waited,
        )
        .order_by(SHARDS.c.landed_at.desc())
        .limit(HITS_SHARDS_MAX)
    )
    read = ATTEMPTS.c.cache_read_tokens > 0
    written = (
        ATTEMPTS.c.cache_write_5m_tokens
        + ATTEMPTS.c.cache_write_1h_tokens
        + ATTEMPTS.c.cache_write_30m_tokens
        + ATTEMPTS.c.cache_write_12h_tokens
    )
    query = select(func.count(), func.coalesce(func.sum(case((read, 1), else_=0)), 0)).where(read | (written > 0))
    rows = tx.execute(query.where(ATTEMPTS.c.shard_id.in_(newest)).group_by(ATTEMPTS.c.shard_id)).all()
    if not rows:
        return None
    return HitsSeen(batches=len(rows), requests=sum(row[0] for row in rows), hits=sum(int(row[1]) for row in rows))
