"""What earlier batches and answers tell about the next ones. One statement a function."""

from datetime import timedelta

from sqlalchemy import select

from lowtide.dispatch import Role
from lowtide.store import Transaction
from lowtide.store.schema import ATTEMPTS, BATCHES, PLANS, REQUESTS

BATCHES_MAX = 200
ANSWERS_MAX = 20_000


def durations(tx: Transaction, provider: str) -> list[timedelta]:
    """How long the newest batches of a provider took, by its own clock, unordered."""
    rows = tx.execute(
        select(BATCHES.c.created_at, BATCHES.c.ended_at)
        .where(
            BATCHES.c.provider == provider,
            BATCHES.c.role == Role.OURS,
            BATCHES.c.created_at.is_not(None),
            BATCHES.c.ended_at.is_not(None),
            ~BATCHES.c.cancel_asked,
        )
        .order_by(BATCHES.c.batch_id.desc())
        .limit(BATCHES_MAX)
    )
    return [row.ended_at - row.created_at for row in rows]


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
