"""How batches stand: one look at everything that is due. Also canceling, and looking for late twins.

A batch that the provider does not know is only gone after a grace: a 404 soon after the create passes by itself. When
a create was sent twice because the first never showed up, the listing is searched for what may be the first after all;
that suspect is looked into once it is over, and never canceled, for until then nothing proves that it is ours.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from lowtide import points
from lowtide.batch import AT_PROVIDER, FOUND, OVER, READABLE, BatchEvent, BatchView, next_state
from lowtide.dispatch import CancelBatch, LookInside, Poll, Role, RunState
from lowtide.errors import TransportFailed
from lowtide.providers import ApiError
from lowtide.retry import next_poll
from lowtide.store import Transaction, runs, shards, webhooks
from lowtide.store.runs import RunRow
from lowtide.store.shards import BatchRow
from lowtide.worker.hands import Hands, pause
from lowtide.worker.reading import listing
from lowtide.worker.sending import first_name

ONE_BY_ONE_MAX = 4
NOT_FOUND_MIN = 3
GONE_HINT = "is the key of the same workspace? If it was deleted there, cancel the run, then retry it"
SUSPECT_SECONDS = 30
DRAIN_WAIT = timedelta(seconds=20)  # between two looks at a batch that is being canceled


async def poll(hands: Hands, run: RunRow, command: Poll) -> None:
    """Ask how batches stand and write it."""
    with hands.store.read() as tx:
        wanted = shards.batches(tx, command.batches)
    asked_at = await hands.clock.now()
    one_by_one = len(wanted) <= ONE_BY_ONE_MAX and all(batch.creates <= 1 for batch in wanted)
    try:
        left = wanted if one_by_one else await _poll_by_list(hands, run, wanted, asked_at)
        refused = left if isinstance(left, ApiError) else await _poll_each(hands, run, left, asked_at)
    except TransportFailed as error:
        await hands.stumble(run, error)
        return
    if refused is not None:
        await hands.stumble(run, refused)


async def _poll_by_list(
    hands: Hands, run: RunRow, wanted: list[BatchRow], asked_at: datetime
) -> list[BatchRow] | ApiError:
    """Find batches in the listing, newest first; gives those that were not in it."""
    missing = {batch.provider_batch_id: batch for batch in wanted}
    oldest = min((batch.created_at for batch in wanted if batch.created_at is not None), default=None)
    since = [batch.newest_before_at for batch in wanted if batch.creates > 1 and batch.newest_before_at is not None]
    oldest = min([oldest, *since]) if oldest is not None else None
    async for page in listing(hands):
        if isinstance(page, ApiError):
            return page
        points.reached("poll.after_reply")
        found: list[tuple[BatchRow, BatchView]] = []
        for view in page.batches:
            batch = missing.pop(view.provider_batch_id, None)
            if batch is not None:
                found.append((batch, view))
            else:
                await _suspect(hands, run, wanted, view)
        await _write(hands, run, found, asked_at)
        if oldest is not None and any(view.created_at < oldest for view in page.batches):
            break
    return list(missing.values())


async def _suspect(hands: Hands, run: RunRow, wanted: list[BatchRow], view: BatchView) -> None:
    """Note a batch that may be the late twin of a create that we sent twice."""
    twins = [
        batch
        for batch in wanted
        if batch.creates > 1
        and (view.token == batch.shard_id if hands.codec.uploads else batch.total == view.counts.total)
        and view.provider_batch_id not in batch.rejected.split()
        and view.provider_batch_id != batch.newest_before
        and (batch.newest_before_at is None or view.created_at >= batch.newest_before_at)
        and (batch.created_at is None or view.created_at <= batch.created_at + timedelta(hours=1))
    ]
    if not twins:
        return
    now = await hands.clock.now()
    batch = twins[0]
    with hands.store.write() as tx:
        if shards.known_provider_ids(tx, batch.provider, [view.provider_batch_id]):
            return
        if runs.known_door(tx, hands.door).unconfirmed_batch is not None:
            return  # it may be the answer to that create
        shards.insert_batch(
            tx,
            shard_id=batch.shard_id,
            provider=batch.provider,
            total=batch.total,
            # Our token proves that it is ours: it need not be looked into, and may be canceled.
            role=Role.DUPLICATE if hands.codec.uploads else Role.SUSPECT,
            state=FOUND[view.event],
            values={
                "provider_batch_id": view.provider_batch_id,
                "verified": hands.codec.uploads,
                **shards.view_values(view),
                "next_at": now + timedelta(seconds=SUSPECT_SECONDS),
            },
        )
        runs.note(
            tx, run.run_id, now, f"{view.provider_batch_id} may be a late twin of {batch.shard_id}", level="warning"
        )


async def _poll_each(hands: Hands, run: RunRow, wanted: list[BatchRow], asked_at: datetime) -> ApiError | None:
    """Ask for batches one by one; stops at the first refusal that is not about the batch."""
    for batch in wanted:
        refused = await _poll_one(hands, run, batch, asked_at)
        if refused is not None:
            return refused
    return None


async def _poll_one(hands: Hands, run: RunRow, batch: BatchRow, asked_at: datetime) -> ApiError | None:
    assert batch.provider_batch_id is not None
    reply = await hands.ask(hands.codec.retrieve_call(batch.provider_batch_id))
    points.reached("poll.after_reply")
    found = hands.codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
    if not isinstance(found, ApiError):
        await _write(hands, run, [(batch, found)], asked_at)
    elif found.status == 404:
        await _not_found(hands, run, batch)
    else:
        return found
    return None


async def _write(hands: Hands, run: RunRow, found: Sequence[tuple[BatchRow, BatchView]], asked_at: datetime) -> None:
    """Write how batches stand that were seen at once, after ``asked_at``."""
    if not found:
        return
    now = await hands.clock.now()
    views = {batch.batch_id: view for batch, view in found}
    with hands.store.write() as tx:
        by_now = shards.batches(tx, list(views), lock=True)  # an event that comes from here on is written after us
        # An event that came while we asked may tell of more than a reply could know.
        heard = webhooks.heard_since(tx, asked_at)
        for batch in by_now:
            view = views[batch.batch_id]
            write_view(hands, tx, run, batch, view, now, heard_at=heard.get(view.provider_batch_id))
        runs.welcome_back(tx, hands.door)
    points.reached("poll.after_outcome")


def write_view(
    hands: Hands,
    tx: Transaction,
    run: RunRow,
    batch: BatchRow,
    view: BatchView,
    now: datetime,
    *,
    heard_at: datetime | None = None,
) -> None:
    """Write how a batch stands, and when it is looked at again: at once after an event that the view may not know.

    ``batch`` was read in this transaction. ``heard_at`` may be ahead of us, by the clock of another machine: then it is
    looked at by that time, and not over and over until then.
    """
    if batch.state not in AT_PROVIDER or batch.provider_batch_id != view.provider_batch_id:
        return  # another process was faster
    state = next_state(batch.state, view.event)
    born = batch.created_at or now
    over = state in READABLE
    patience = next_poll(hands.retry_rules, now - born, hands.clock.chance())
    if batch.cancel_asked:  # it drains, and somebody waits for what is left
        patience = min(patience, DRAIN_WAIT)
    next_at = now + patience if heard_at is None else min(now + patience, max(now, heard_at))
    shards.set_batch(
        tx,
        batch.batch_id,
        state=state,
        over_at=now if state in OVER else None,
        not_found=0,
        next_at=now if over else next_at,
        looked_at=now,
        **shards.view_values(view),
    )
    if over and not view.archived:
        counts = view.counts
        runs.note(
            tx,
            run.run_id,
            now,
            f"batch {view.provider_batch_id} ended: {counts.succeeded} succeeded, {counts.errored} errored,"
            f" {counts.expired} expired, {counts.canceled} canceled",
        )


async def _not_found(hands: Hands, run: RunRow, batch: BatchRow) -> None:
    """A 404: wait through the grace, then believe it."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        count = batch.not_found + 1
        age = now - (batch.submitting_at or now)
        believed = count >= NOT_FOUND_MIN and age > hands.retry_rules.not_found_grace
        ours = batch.role in (Role.OURS, Role.ADOPTED)
        if believed and ours and run.state is RunState.ACTIVE:
            # Promise 3: a key of another workspace gets the same 404. Nothing is bought again unless a person says so.
            reason = f"{hands.codec.provider} does not know {batch.provider_batch_id}: {GONE_HINT}"
            pause(tx, run, reason)
            runs.note(tx, run.run_id, now, reason, level="alarm")
        elif believed and (run.state is RunState.CANCELING or not ours):
            shards.set_batch(tx, batch.batch_id, state=next_state(batch.state, BatchEvent.GONE), not_found=count)
            runs.note(tx, run.run_id, now, f"the provider no longer knows {batch.provider_batch_id}", level="alarm")
            return
        shards.set_batch(
            tx,
            batch.batch_id,
            not_found=count,
            next_at=now + next_poll(hands.retry_rules, age, hands.clock.chance()),
            looked_at=now,
        )


async def look_inside_suspect(hands: Hands, run: RunRow, command: LookInside) -> None:
    """Read the first result of a suspect that is over: a duplicate of ours, or somebody else's batch."""
    with hands.store.read() as tx:
        batch = shards.batch(tx, command.batch_id)
    name = await first_name(hands, batch.results_paths)
    now = await hands.clock.now()
    with hands.store.write() as tx:
        # Of several shards of one size it may be the twin of another one than was suspected.
        shard_id = None if name is None else shards.shard_of_name(tx, name)
        if name is None:
            shards.set_batch(tx, command.batch_id, next_at=now + timedelta(seconds=SUSPECT_SECONDS))
        elif shard_id is not None:
            shards.set_batch(tx, command.batch_id, shard_id=shard_id, role=Role.DUPLICATE, verified=True, next_at=now)
            runs.note(tx, run.run_id, now, f"{batch.provider_batch_id} is a duplicate of ours", level="alarm")
        else:
            shards.set_batch(tx, command.batch_id, landed_at=now, error="somebody else's batch")


async def cancel_batch(hands: Hands, run: RunRow, command: CancelBatch) -> None:
    """Ask the provider to cancel; what finishes all the same is paid, and read."""
    with hands.store.read() as tx:
        batch = shards.batch(tx, command.batch_id)
    assert batch.provider_batch_id is not None
    try:
        reply = await hands.ask(hands.codec.cancel_call(batch.provider_batch_id))
    except TransportFailed as error:
        await hands.stumble(run, error)
        return
    found = hands.codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
    now = await hands.clock.now()
    if isinstance(found, ApiError) and found.undecided:
        await hands.stumble(run, found)
        return
    with hands.store.write() as tx:
        # A refusal means that it is over already; the next look tells.
        shards.set_batch(tx, command.batch_id, cancel_asked=True, next_at=now)
        if not isinstance(found, ApiError):
            write_view(hands, tx, run, shards.batch(tx, command.batch_id), found, now)
