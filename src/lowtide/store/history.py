"""What earlier batches and answers tell about the next ones. One statement a function."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from lowtide.batch import BatchState
from lowtide.dispatch import Role
from lowtide.routing import TurnaroundSeen
from lowtide.store import Transaction
from lowtide.store.schema import ATTEMPTS, BATCHES, LOTS, PLANS, REQUESTS, SHARDS

BATCHES_MAX = 200
ANSWERS_MAX = 20_000


def durations(tx: Transaction, providers: Sequence[str]) -> list[timedelta]:
    """How long the newest batches of some providers took, by their own clocks, unordered."""
    rows = tx.execute(
        select(BATCHES.c.created_at, BATCHES.c.ended_at)
        .where(
            BATCHES.c.provider.in_(providers),
            BATCHES.c.role == Role.OURS,
            BATCHES.c.created_at.is_not(None),
            BATCHES.c.ended_at.is_not(None),
            ~BATCHES.c.cancel_asked,
        )
        .order_by(BATCHES.c.batch_id.desc())
        .limit(BATCHES_MAX)
    )
    return [row.ended_at - row.created_at for row in rows]


def turnarounds(tx: Transaction, provider: str, now: datetime) -> list[TurnaroundSeen]:
    """How long the newest batches of a provider took, newest first, and how long those that are out have taken so far."""
    rows = tx.execute(
        select(
            BATCHES.c.created_at, BATCHES.c.ended_at, BATCHES.c.total, LOTS.c.model.label("lot_model"), PLANS.c.model
        )
        .join_from(BATCHES, SHARDS, SHARDS.c.shard_id == BATCHES.c.shard_id)
        .join(PLANS, PLANS.c.plan_id == SHARDS.c.plan_id)
        .outerjoin(LOTS, (LOTS.c.plan_id == SHARDS.c.plan_id) & (LOTS.c.lot == SHARDS.c.lot))
        .where(
            BATCHES.c.provider == provider,
            BATCHES.c.role == Role.OURS,
            BATCHES.c.created_at.is_not(None),
            ~BATCHES.c.cancel_asked,
            BATCHES.c.state.not_in([BatchState.FAILED, BatchState.LOST]),
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
            ended=row.ended_at is not None,
        )
        for row in rows
    ]


def answer_lengths(tx: Transaction, *, workload: str, model: str, source: str) -> dict[str, list[int]]:
    """Output tokens of the newest answers by kind of request, unordered.

    Of the same workload and model; an empty ``source`` takes every input's, else only those of that very input.
    """
    query = (
        select(REQUESTS.c.kind, ATTEMPTS.c.output_tokens)
        .select_from(ATTEMPTS)
        .join(REQUESTS, (REQUESTS.c.plan_id == ATTEMPTS.c.plan_id) & (REQUESTS.c.seq == ATTEMPTS.c.seq))
        .join(PLANS, PLANS.c.plan_id == ATTEMPTS.c.plan_id)
        .where(PLANS.c.workload == workload, PLANS.c.model == model, ATTEMPTS.c.outcome == "succeeded")
        .order_by(ATTEMPTS.c.at.desc())
        .limit(ANSWERS_MAX)
    )
    if source:
        query = query.where(PLANS.c.source == source)
    found: dict[str, list[int]] = {}
    for row in tx.execute(query):
        found.setdefault(row.kind, []).append(row.output_tokens)
    return found
