"""What may be forgotten: payloads of runs long over, plans that never ran, segments that no row points at."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import literal_column, select

from lowtide.dispatch import OPEN_RUNS
from lowtide.store import Store, plans, worker_is_dead
from lowtide.store.schema import ATTEMPTS, CALLS, PLANS, REQUESTS, RUNS, SEGMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted. ``bytes`` is the disk space of the segments."""

    runs: int
    plans: int
    segments: int
    bytes: int


def prune(store: Store, *, before: datetime) -> Pruned:
    """Delete requests and answers of runs that ended before a moment; the runs, their attempts and transfers stay.

    So do requests of which a call is in doubt: what it may have cost is held, and somebody is to settle it by its name.
    Plans that never ran go whole. One that is not whole may be at work still; where it was broken off the next plan clears it.
    """
    with store.write() as tx:
        over = tx.execute(
            select(RUNS.c.run_id, RUNS.c.plan_id).where(
                RUNS.c.state.not_in([*OPEN_RUNS]), RUNS.c.ended_at.is_not(None), RUNS.c.ended_at < before
            )
        ).all()
        touched = 0
        for row in over:
            doubted = select(CALLS.c.seq).where(CALLS.c.plan_id == row.plan_id)
            where = (REQUESTS.c.plan_id == row.plan_id) & REQUESTS.c.seq.not_in(doubted)
            touched += bool(tx.execute(REQUESTS.delete().where(where)).rowcount)
            tx.execute(ATTEMPTS.update().where(ATTEMPTS.c.plan_id == row.plan_id).values(answer_at=None, message=""))
        unused = list(
            tx.execute(
                select(PLANS.c.plan_id).where(
                    PLANS.c.sealed, PLANS.c.created_at < before, PLANS.c.plan_id.not_in(select(RUNS.c.plan_id))
                )
            ).scalars()
        )
        for plan_id in unused:
            plans.drop_plan(tx, plan_id)
    segments, freed = sweep(store)
    return Pruned(runs=touched, plans=len(unused), segments=segments, bytes=freed)


def sweep(store: Store) -> tuple[int, int]:
    """Delete segments that no row points at: their number and bytes. One that a living writer has open stays."""
    with store.write() as tx:
        # Asked before the rows are: on PostgreSQL others write meanwhile, and whoever seals a segment has its rows written.
        whole = [
            row.segment
            for row in tx.execute(select(SEGMENTS).where(~SEGMENTS.c.pruned))
            if row.sealed or worker_is_dead(row.writer)
        ]
        used: set[int] = set()
        for column in (REQUESTS.c.body_at, ATTEMPTS.c.answer_at):
            number = column.bitwise_rshift(literal_column("40"))
            used.update(tx.execute(select(number).where(column.is_not(None)).distinct()).scalars())
        stray = [segment for segment in whole if segment not in used]
        for segment in stray:
            tx.execute(SEGMENTS.update().where(SEGMENTS.c.segment == segment).values(pruned=True))
    freed = 0
    for segment in stray:
        path = store.segment_path(segment)
        if path.exists():
            freed += path.stat().st_size
            path.unlink()
    return len(stray), freed
