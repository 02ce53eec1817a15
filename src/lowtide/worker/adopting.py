"""Results of a batch that another program submitted: its rows become requests of ours, booked by the name ``adopted``.

Nothing is known of it but its id and its results: keys are the custom ids that come back, bodies stay unknown. What it
cost was spent before we knew of it, so it is booked whatever the cap says.
"""

from datetime import datetime

from lowtide.attempt import AttemptState
from lowtide.catalog import Lane
from lowtide.errors import TransportFailed, counted
from lowtide.ledger import Reason
from lowtide.providers import ApiError, ResultLine
from lowtide.result import Succeeded
from lowtide.retry import wait
from lowtide.store import Transaction, books, plans, runs, shards
from lowtide.store.books import Settlement
from lowtide.store.plans import NewRequest
from lowtide.store.runs import RunRow
from lowtide.store.segments import SegmentWriter
from lowtide.store.shards import BatchRow, Landed, ShardRow
from lowtide.worker.hands import Hands, payer
from lowtide.worker.reading import result_lines
from lowtide.worker.settling import landed_row, price

BLOCK = 500


async def collect_adopted(hands: Hands, run: RunRow, row: ShardRow, batch: BatchRow) -> None:
    """Read the results, block by block; what is here already is passed over, so a cut only costs time."""
    now = await hands.clock.now()
    with hands.store.read() as tx:
        known = shards.keys_of(tx, row.plan_id)
    segment = hands.store.new_segment("answers", hands.worker, now)
    block: list[ResultLine] = []
    taken = len(known)
    try:
        async for line in result_lines(hands, batch.results_paths):
            if isinstance(line, ApiError):
                if await never_come(hands, run, batch, line):
                    with hands.store.write() as tx:
                        books.release(tx, row.hold_id, at=now)
                        shards.set_shard(tx, row.shard_id, state=AttemptState.LANDED, landed_at=now)
                return
            if line.custom_id in known:
                continue
            known.add(line.custom_id)
            block.append(line)
            if len(block) == BLOCK:
                taken += _write(hands, run, row, batch, block, taken, segment, now)
                block = []
        _write(hands, run, row, batch, block, taken, segment, now)
    except TransportFailed as error:
        await hands.stumble(run, error)
        return
    finally:
        hands.store.seal_segment(segment)
    with hands.store.write() as tx:
        books.release(tx, row.hold_id, at=now)
        shards.set_shard(tx, row.shard_id, state=AttemptState.LANDED, landed_at=now)
        shards.set_batch(tx, batch.batch_id, landed_at=now)
        runs.note(
            tx, run.run_id, now, f"adopted batch {batch.provider_batch_id} landed: {counted(len(known), 'outcome')}"
        )


async def never_come(hands: Hands, run: RunRow, batch: BatchRow, error: ApiError) -> bool:
    """Results that are not there (archived, deleted) are asked for some times, not for ever. True when given up."""
    if error.status not in (404, 410):
        await hands.stumble(run, error)
        return False
    now = await hands.clock.now()
    count = batch.not_found + 1
    with hands.store.write() as tx:
        delay = wait(hands.retry_rules, count, hands.clock.chance(), error.retry_after_seconds)
        shards.set_batch(tx, batch.batch_id, not_found=count, next_at=now + delay)
        if count < hands.retry_rules.downloads_cut_max:
            return False
        shards.set_batch(tx, batch.batch_id, landed_at=now, error=error.message)
        text = (
            f"the results of {batch.provider_batch_id} never came ({error.message}): what it cost is not in the books"
        )
        runs.note(tx, run.run_id, now, text, level="alarm")
    return True


def _write(
    hands: Hands,
    run: RunRow,
    row: ShardRow,
    batch: BatchRow,
    block: list[ResultLine],
    first: int,
    segment: SegmentWriter,
    now: datetime,
) -> int:
    """Write one block: requests, outcomes and settlements in one transaction. Gives how many."""
    landed = [_landed(hands, line, first + at, segment, batch, now) for at, line in enumerate(block)]
    segment.sync()
    with hands.store.write() as tx:
        hands.renew_in(tx, run, now)
        plans.insert_requests(
            hands.store, tx, row.plan_id, [_request(line, first + at) for at, line in enumerate(block)]
        )
        _book(hands, tx, run, row, landed, now)
        shards.land(hands.store, tx, shard_id=row.shard_id, plan_id=row.plan_id, rows=landed, at=now)
    return len(block)


def _request(line: ResultLine, seq: int) -> NewRequest:
    model = line.outcome.model if isinstance(line.outcome, Succeeded) else "unknown"
    return NewRequest(
        seq=seq,
        wave=0,
        key=line.custom_id,
        kind="adopted",
        model=model,
        body_at=0,
        body_bytes=0,
        likely=0,
        ceiling=0,
    )


def _landed(hands: Hands, line: ResultLine, seq: int, segment: SegmentWriter, batch: BatchRow, now: datetime) -> Landed:
    outcome = line.outcome
    if not isinstance(outcome, Succeeded):
        return landed_row(outcome, ordinal=seq, seq=seq, state="failed")
    cost, _ = price(hands, outcome, outcome.model, Lane.BATCH, (batch.created_at or now).date())
    answer_at = segment.append(outcome.message)
    return landed_row(outcome, ordinal=seq, seq=seq, state="succeeded", answer_at=answer_at, cost=cost)


def _book(hands: Hands, tx: Transaction, run: RunRow, row: ShardRow, landed: list[Landed], now: datetime) -> None:
    books.book_bought(
        hands.store,
        tx,
        [
            Settlement(ordinal=one.ordinal, amount=one.cost, reason=Reason.ADOPTED)
            for one in landed
            if one.outcome == "succeeded"
        ],
        payer=payer(run),
        payee=hands.payee,
        reason=Reason.ADOPTED,
        shard_id=row.shard_id,
        at=now,
    )
