"""Results in: each answer synced in a segment, then outcomes, settlements and states in one transaction a block.

Results come in any order and are matched by id. A cut download is read again and what landed is passed over; a row that
comes twice counts once; a row that never comes is given up after several whole downloads, and where the provider counts
it as finished, its ceiling stays held by name. A shard has landed when every request of it has an outcome.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from lowtide import points
from lowtide.attempt import AttemptState
from lowtide.batch import BatchState, LineProblem
from lowtide.catalog import Lane
from lowtide.dispatch import Collect, GiveUp, Role, RunState
from lowtide.errors import TransportFailed, counted
from lowtide.ledger import Reason, alarm
from lowtide.money import ZERO, Nanos
from lowtide.packing import ordinal_of
from lowtide.providers import ApiError
from lowtide.result import Canceled, Errored, Expired, Outcome, Succeeded
from lowtide.retry import again, wait
from lowtide.store import Transaction, books, runs, shards
from lowtide.store.books import Settlement
from lowtide.store.runs import RunRow
from lowtide.store.segments import SegmentWriter
from lowtide.store.shards import BatchRow, Landed, ShardRow
from lowtide.worker import adopting, sending
from lowtide.worker.hands import Hands, pause, payer
from lowtide.worker.reading import result_lines
from lowtide.worker.settling import hold_unpriced, landed_row, price, price_or_hold, request_state

BLOCK = 2000  # results come in any order: the more of them at once, the fewer times one page of the database is written
BLOCK_BYTES_MAX = 8 << 20  # of answers; a block of long ones is written early, so that memory stays flat
QUEUE_FULL = frozenset({"token_limit_exceeded"})  # the provider's queue of batches has no room (OpenAI)
FULL_WAIT = timedelta(minutes=5)
LANDED_BEFORE, SEEN_NOW = 1, 2  # what a byte of ``_Collection.seen`` says; 0 is not seen


@dataclass(slots=True, kw_only=True)
class _Collection:
    """One download in progress. ``seen`` has a byte per ordinal: 0 until its row came."""

    run: RunRow
    shard: ShardRow
    batch: BatchRow
    day: date
    tries: dict[int, int]
    seen: bytearray
    canceling: bool
    models: list[str] = field(default_factory=list)
    block: list[tuple[int, Outcome]] = field(default_factory=list)
    block_bytes: int = 0
    twice: int = 0
    strange: int = 0
    notes: set[str] = field(default_factory=set)
    segment: SegmentWriter | None = None


async def collect(hands: Hands, run: RunRow, command: Collect) -> None:
    """Read the results of a batch that is over, as far as they come."""
    now = await hands.clock.now()
    with hands.store.read() as tx:
        batch = shards.batch(tx, command.batch_id)
        row = shards.shard(tx, command.shard_id)
    if batch.role is Role.DUPLICATE:
        await _collect_duplicate(hands, run, row, batch)
        return
    if batch.role is Role.ADOPTED:
        await adopting.collect_adopted(hands, run, row, batch)
        return
    with hands.store.read() as tx:
        this = _begin(tx, run, row, batch, now)
    this.models = shards.models_of(hands.store, row.plan_id, row.members)
    try:
        await _download(hands, this)
    finally:
        if this.segment is not None:
            hands.store.seal_segment(this.segment)


def _begin(tx: Transaction, run: RunRow, row: ShardRow, batch: BatchRow, now: datetime) -> _Collection:
    """Read what has landed of a shard already."""
    this = _Collection(
        run=run,
        shard=row,
        batch=batch,
        day=(batch.created_at or now).date(),
        tries=shards.tries_of(tx, row.plan_id, row.members),
        seen=bytearray(row.requests),
        canceling=run.state is RunState.CANCELING,
    )
    for ordinal in shards.landed_ordinals(tx, row.shard_id):
        this.seen[ordinal] = LANDED_BEFORE
    return this


async def _download(hands: Hands, this: _Collection) -> None:
    """One pass over the results. Whatever landed stays landed, however it ends."""
    if 0 not in this.seen:
        await _landed(hands, this)
        return
    try:
        async for line in result_lines(hands, this.batch.results_paths):
            if isinstance(line, ApiError):
                await _no_results(hands, this, line)
                return
            ordinal = ordinal_of(line.custom_id, this.shard.shard_id)
            if ordinal is None or ordinal >= this.shard.requests:
                if not this.batch.verified and not any(this.seen):
                    await _foreign(hands, this)
                    return
                this.strange += 1
            elif this.seen[ordinal] == LANDED_BEFORE:
                this.seen[ordinal] = SEEN_NOW  # of an earlier download that was cut
            elif this.seen[ordinal]:
                this.twice += 1
            else:
                this.seen[ordinal] = SEEN_NOW
                this.block.append((ordinal, line.outcome))
                this.block_bytes += len(line.outcome.message) if isinstance(line.outcome, Succeeded) else 0
                if len(this.block) >= BLOCK or this.block_bytes >= BLOCK_BYTES_MAX:
                    await _write_block(hands, this)
    except TransportFailed as error:
        await _write_block(hands, this)
        await _cut(hands, this, error)
        return
    await _write_block(hands, this)
    if 0 in this.seen:
        await _rows_missing(hands, this)
    else:
        await _landed(hands, this)


async def _write_block(hands: Hands, this: _Collection) -> None:
    """Sync the answers, then commit outcomes, settlement and states together (promise 2)."""
    if not this.block:
        return
    now = await hands.clock.now()
    if this.segment is None or this.segment.full:
        if this.segment is not None:
            hands.store.seal_segment(this.segment)
        this.segment = hands.store.new_segment("answers", hands.worker, now)
    landed, settlements, unpriced = _priced(hands, this, this.segment)
    this.segment.sync()
    points.reached("collect.after_sync")
    with hands.store.write() as tx:
        hands.renew_in(tx, this.run, now)
        verdict = books.settle(hands.store, tx, this.shard.hold_id, settlements, shard_id=this.shard.shard_id, at=now)
        if unpriced:
            ceilings = shards.ceilings_of(tx, this.shard.plan_id, unpriced)
            hold_unpriced(hands, tx, this.run, this.shard, [Nanos(ceiling) for ceiling in ceilings], now)
        shards.land(hands.store, tx, shard_id=this.shard.shard_id, plan_id=this.shard.plan_id, rows=landed, at=now)
        if not this.batch.verified:
            shards.set_batch(tx, this.batch.batch_id, verified=True)
        if alarm(verdict):
            reason = f"shard {this.shard.shard_id} cost more than its ceiling: its models are stopped"
            pause(tx, this.run, reason)
            runs.note(tx, this.run.run_id, now, reason, level="alarm")
        for note in sorted(this.notes):
            runs.note(tx, this.run.run_id, now, note, level="alarm")
    this.notes.clear()
    this.block.clear()
    this.block_bytes = 0
    points.reached("collect.after_block")


def _priced(
    hands: Hands, this: _Collection, segment: SegmentWriter
) -> tuple[list[Landed], list[Settlement], list[int]]:
    """Price a block of results: their rows, their settlements, and the requests whose price is not known."""
    unpriced: list[int] = []
    landed: list[Landed] = []
    settlements: list[Settlement] = []
    reason = Reason.CANCELED_BUT_FINISHED if this.canceling else Reason.BATCH
    for ordinal, outcome in this.block:
        seq = this.shard.members[ordinal]
        tries = this.tries.get(seq, 0) + 1
        state = request_state(outcome, retry=again(hands.retry_rules, outcome, tries), canceling=this.canceling)
        answer_at, cost = None, ZERO
        if isinstance(outcome, Succeeded):
            known, note = price_or_hold(hands, outcome, this.models[ordinal], Lane.BATCH, this.day)
            if note:
                this.notes.add(note)
            if known is None:
                unpriced.append(seq)
            else:
                cost = known
                settlements.append(Settlement(ordinal=ordinal, amount=cost, reason=reason))
            answer_at = segment.append(outcome.message)
        landed.append(landed_row(outcome, ordinal=ordinal, seq=seq, state=state, answer_at=answer_at, cost=cost))
    return landed, settlements, unpriced


async def _landed(hands: Hands, this: _Collection) -> None:
    points.reached("collect.before_landed")
    now = await hands.clock.now()
    with hands.store.write() as tx:
        keep, bought = _unseen(tx, this, [])
        _mark_landed(hands, tx, this, now, keep=keep)
        if bought:
            text = f"{bought} rows of shard {this.shard.shard_id} were bought and cannot be read: they stay held"
            runs.note(tx, this.run.run_id, now, text, level="alarm")
    points.reached("collect.after_landed")


def _unseen(tx: Transaction, this: _Collection, missing: list[int]) -> tuple[Nanos, int]:
    """Say what must stay held: the provider counts more answers as finished than we could read. Gives how many, too.

    Which of the ``missing`` and unreadable rows they are is not known: the dearest are taken.
    """
    finished = shards.batch(tx, this.batch.batch_id).succeeded - shards.landed_succeeded(tx, this.shard.shard_id)
    if finished <= 0:
        return ZERO, 0
    ordinals = {*missing, *shards.unreadable_ordinals(tx, this.shard.shard_id)}
    ceilings = shards.ceilings_of(tx, this.shard.plan_id, [this.shard.members[at] for at in sorted(ordinals)])
    bought = min(finished, len(ceilings))
    return Nanos(sum(sorted(ceilings, reverse=True)[:bought])), bought


def _mark_landed(hands: Hands, tx: Transaction, this: _Collection, now: datetime, *, keep: Nanos) -> None:
    """Release what the shard did not use, but for ``keep``: rows that were bought and never came."""
    books.release(tx, this.shard.hold_id, at=now, keep=keep, keep_reason=Reason.ROW_MISSING if keep else None)
    shards.set_shard(tx, this.shard.shard_id, state=AttemptState.LANDED, landed_at=now)
    shards.set_batch(tx, this.batch.batch_id, landed_at=now)
    runs.welcome_back(tx, hands.door)
    if this.twice:
        runs.note(tx, this.run.run_id, now, f"{this.twice} rows came twice and count once", level="warning")
    if this.strange:
        runs.note(tx, this.run.run_id, now, f"{this.strange} rows carry ids that are not ours", level="alarm")
    runs.note(
        tx, this.run.run_id, now, f"shard {this.shard.shard_id} landed: {counted(this.shard.requests, 'outcome')}"
    )


async def _cut(hands: Hands, this: _Collection, error: TransportFailed) -> None:
    """The download was cut: again, from the start, passing over what landed."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, this.batch.batch_id)
        delay = wait(hands.retry_rules, batch.not_found + 1, hands.clock.chance())
        shards.set_batch(tx, this.batch.batch_id, next_at=now + delay, not_found=batch.not_found + 1)
        runs.note(tx, this.run.run_id, now, f"{error.message}: the results are read again", level="warning")


async def _no_results(hands: Hands, this: _Collection, error: ApiError) -> None:
    """The batch is over and its results do not come: again later, and given up only after many times."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, this.batch.batch_id)
        count = batch.not_found + 1
        delay = wait(hands.retry_rules, count, hands.clock.chance(), error.retry_after_seconds)
        shards.set_batch(tx, this.batch.batch_id, next_at=now + delay, not_found=count)
        runs.note(
            tx,
            this.run.run_id,
            now,
            f"results of {batch.provider_batch_id} answered {error.status}: {error.message}",
            level="warning",
        )
        if error.status not in (404, 410) or count < hands.retry_rules.downloads_cut_max:
            return
        _give_up_rows(hands, tx, this, now)


async def _foreign(hands: Hands, this: _Collection) -> None:
    now = await hands.clock.now()
    with hands.store.write() as tx:
        sending.foreign(tx, shards.batch(tx, this.batch.batch_id), now)
        runs.note(tx, this.run.run_id, now, f"{this.batch.provider_batch_id} is not ours after all", level="warning")


async def _rows_missing(hands: Hands, this: _Collection) -> None:
    """A whole download without every row: read it again some times, then account for the rows without it."""
    now = await hands.clock.now()
    missing = this.seen.count(0)
    with hands.store.write() as tx:
        downloads = shards.batch(tx, this.batch.batch_id).downloads + 1
        _, bought = _unseen(tx, this, [at for at, seen in enumerate(this.seen) if not seen])
        over = this.batch.state in (BatchState.EXPIRED, BatchState.CANCELED) and not bought
        if downloads < hands.retry_rules.downloads_max and not over:
            delay = wait(hands.retry_rules, downloads + 1, hands.clock.chance())
            shards.set_batch(tx, this.batch.batch_id, downloads=downloads, next_at=now + delay)
            runs.note(
                tx, this.run.run_id, now, f"{missing} rows did not come: the results are read again", level="warning"
            )
            return
        _give_up_rows(hands, tx, this, now)


def _give_up_rows(hands: Hands, tx: Transaction, this: _Collection, now: datetime) -> None:
    """Account for rows that never came. What the provider counts as finished was bought: its ceiling stays held."""
    missing = [ordinal for ordinal in range(this.shard.requests) if not this.seen[ordinal]]
    keep, bought = _unseen(tx, this, missing)
    rows = [_missing_row(hands, this, ordinal, bought=bought) for ordinal in missing]
    for start in range(0, len(rows), BLOCK):
        shards.land(
            hands.store,
            tx,
            shard_id=this.shard.shard_id,
            plan_id=this.shard.plan_id,
            rows=rows[start : start + BLOCK],
            at=now,
        )
    _mark_landed(hands, tx, this, now, keep=keep)
    if bought or this.batch.state not in (BatchState.EXPIRED, BatchState.CANCELED):
        text = f"{len(missing)} rows never came; {bought} that we have not seen were bought and stay held"
        runs.note(tx, this.run.run_id, now, text, level="alarm")


def _missing_row(hands: Hands, this: _Collection, ordinal: int, *, bought: int) -> Landed:
    """Make the row of a request that the batch ended without: never worked on, unless the provider counts otherwise."""
    seq = this.shard.members[ordinal]
    outcome: Outcome = Errored(code="row_missing", message="the batch ended without a result for this request")
    if not bought and this.batch.state is BatchState.EXPIRED:
        outcome = Expired()
    elif not bought and this.batch.state is BatchState.CANCELED:
        outcome = Canceled()
    retry = again(hands.retry_rules, outcome, this.tries.get(seq, 0) + 1)
    state = request_state(outcome, retry=retry, canceling=this.canceling)
    return landed_row(outcome, ordinal=ordinal, seq=seq, state=state)


async def give_up(hands: Hands, run: RunRow, command: GiveUp) -> None:
    """A batch failed as a whole, or the provider lost it."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, command.batch_id)
        row = shards.shard(tx, command.shard_id)
        shards.set_batch(tx, command.batch_id, landed_at=now)
        if batch.role is not Role.OURS:
            return
        if batch.state is BatchState.FAILED:
            _failed(hands, tx, _begin(tx, run, row, batch, now), now)
            return
        shards.set_batch(tx, command.batch_id, succeeded=batch.total)  # unknown: held as if all were bought
        _give_up_rows(hands, tx, _begin(tx, run, row, batch, now), now)


def _failed(hands: Hands, tx: Transaction, this: _Collection, now: datetime) -> None:
    """A batch was refused as a whole and nothing of it was bought: its bad lines are named, the good ones go out again.

    Where the provider's queue had no room, less is sent at a time; where it names no line, all of them failed alike.
    """
    row, batch, run = this.shard, this.batch, this.run
    if not batch.problems:  # refused when it was created: the run says why
        sending.drop(hands, tx, run, row, now)
        return
    first = batch.problems[0]
    books.release(tx, row.hold_id, at=now)
    if any(problem.code in QUEUE_FULL for problem in batch.problems):
        shards.set_shard(tx, row.shard_id, state=AttemptState.DROPPED, landed_at=now)
        sending.wait_again(hands, tx, row, row.members.tolist())
        _send_less(hands, tx, run, row, first, now)
        return
    # A line that is none of ours names nobody: nothing would ever get better.
    named = [problem for problem in batch.problems if problem.line is not None and 1 <= problem.line <= row.requests]
    by_line = {problem.line - 1: problem for problem in named if problem.line is not None}
    everyone = None if by_line else first
    rows: list[Landed] = []
    for ordinal, seq in enumerate(row.members):
        problem = by_line.get(ordinal, everyone)
        if problem is not None:
            outcome = Errored(code=problem.code, message=problem.message)
            retry = everyone is not None and again(hands.retry_rules, outcome, this.tries.get(seq, 0) + 1)
            state = request_state(outcome, retry=retry, canceling=this.canceling)
            rows.append(landed_row(outcome, ordinal=ordinal, seq=seq, state=state))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        shards.land(hands.store, tx, shard_id=row.shard_id, plan_id=row.plan_id, rows=block, at=now)
    sending.wait_again(hands, tx, row, row.members.tolist())
    shards.set_shard(tx, row.shard_id, state=AttemptState.LANDED, landed_at=now)
    good = row.requests - len(rows)
    text = f"batch {batch.provider_batch_id} failed: {first.message}; {len(rows)} of its lines are bad, {good} go out again"
    runs.note(tx, run.run_id, now, text, level="warning")


def _send_less(hands: Hands, tx: Transaction, run: RunRow, row: ShardRow, problem: LineProblem, now: datetime) -> None:
    """The queue of the provider is full: wait for what is in it, and make smaller batches."""
    others = shards.open_batches(tx, hands.codec.provider, but=row.shard_id)
    if row.requests == 1 and not others:
        pause(tx, run, f"{hands.codec.provider} takes no batch of even one request: {problem.message}")
    elif not others:
        shards.set_lot(tx, row.plan_id, row.lot, requests_max=max(1, row.requests // 2))
    runs.say_full(tx, hands.door, now + (FULL_WAIT if others else hands.retry_rules.poll_min))
    text = f"{hands.codec.provider}'s queue had no room for {counted(row.requests, 'request')}: {problem.message}"
    runs.note(tx, run.run_id, now, text, level="warning")


async def _collect_duplicate(hands: Hands, run: RunRow, row: ShardRow, batch: BatchRow) -> None:
    """Book what a duplicate cost, all at once and by its name; its answers are not used."""
    now = await hands.clock.now()
    models = shards.models_of(hands.store, row.plan_id, row.members)
    settlements: dict[int, Settlement] = {}
    day = (batch.created_at or now).date()
    try:
        async for line in result_lines(hands, batch.results_paths):
            if isinstance(line, ApiError):
                await adopting.never_come(hands, run, batch, line)
                return
            ordinal = ordinal_of(line.custom_id, row.shard_id)
            if ordinal is not None and ordinal < row.requests and isinstance(line.outcome, Succeeded):
                cost, _ = price(hands, line.outcome, models[ordinal], Lane.BATCH, day)
                settlements[ordinal] = Settlement(ordinal=ordinal, amount=cost, reason=Reason.DUPLICATE)
    except TransportFailed as error:
        await hands.stumble(run, error)
        return
    with hands.store.write() as tx:
        books.book_bought(
            hands.store,
            tx,
            list(settlements.values()),
            payer=payer(run),
            payee=hands.payee,
            reason=Reason.DUPLICATE,
            shard_id=row.shard_id,
            at=now,
        )
        shards.set_batch(tx, batch.batch_id, landed_at=now)
        runs.note(tx, run.run_id, now, f"duplicate {batch.provider_batch_id} booked", level="alarm")
