"""What earlier batches and answers tell about the next ones. One statement a function."""

from datetime import timedelta

from sqlalchemy import select

from lowtide.dispatch import Role
from lowtide.store import Transaction
from lowtide.store.schema import BATCHES

BATCHES_MAX = 200


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
