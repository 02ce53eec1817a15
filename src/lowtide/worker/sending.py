"""Shards out: reserve and pack, submit with the intent written first, reconcile what became doubtful, drop the unsent.

The crash protocol (design 3). Before the POST the row says ``submitting`` and remembers the newest batch that the provider
listed; at most one create an account is unconfirmed, over all processes. A reply that does not come is a doubt: list what
is newer, unknown to us and of the same count; one that is over is looked into; none after a settle delay means that it
never arrived, and only then it is sent again. No create is ever repeated blindly.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from lowtide import points
from lowtide.attempt import AttemptState
from lowtide.batch import FOUND, OVER, READABLE, BatchEvent, BatchState, BatchView, next_state
from lowtide.dispatch import BatchId, DropShard, PackShard, Reconcile, Role, Submit
from lowtide.errors import TransportFailed, counted
from lowtide.ledger import Reason
from lowtide.money import Nanos
from lowtide.packing import (
    CUSTOM_ID_LENGTH,
    Packed,
    ShardId,
    ShardLimits,
    custom_id,
    ordinal_of,
    pack,
    pack_members,
    unpack_members,
)
from lowtide.providers import ApiError
from lowtide.result import Retry
from lowtide.retry import believed_lost
from lowtide.store import Transaction, books, runs, shards
from lowtide.store.runs import RunRow
from lowtide.store.shards import BatchRow, LotRow, ShardRow
from lowtide.transport import Upload
from lowtide.worker.hands import Hands, pause, payer
from lowtide.worker.reading import listing, result_lines

CHUNK_BYTES = 1 << 18
BLOCK_BYTES_MAX = 64 << 20  # of the bodies of one block of real-time calls
RECONCILE_SECONDS = 10
RENEW_BYTES = 4 << 20  # of an upload; a line of 30 kbit/s takes 18 minutes for them
# The answers to a create after which there is certainly no batch: refused by what was sent, by who we are, or by load.
REFUSED_UNSEEN = frozenset({400, 401, 402, 403, 404, 413, 429, 529})


# packing


async def pack_shard(hands: Hands, run: RunRow, command: PackShard) -> None:
    """Reserve for the next requests of a lot and make them a shard, all in one transaction (promise 1)."""
    assert command.run_id == run.run_id
    now = await hands.clock.now()
    shard_id = ShardId(f"lt{hands.clock.new_id(14)}")
    batch = command.route == "batch"
    with hands.store.write() as tx:
        account = books.find_account(tx, payer(run), lock=True)
        assert account is not None
        lot = shards.lot_row(tx, run.plan_id, command.lot)
        if lot.route != command.route:
            return  # called back in the meantime
        limits = _batch_limits(hands, tx, lot, account.headroom) if batch else _block_limits(hands, account.headroom)
        packed = pack(shards.candidates(tx, run, lot, realtime=not batch), limits)
        if not packed.members:
            return
        row = reserve_shard(hands, tx, run, lot, packed, shard_id=shard_id, route=command.route, now=now)
        assert row is not None, "pack stays under the headroom"
        if batch:
            shards.insert_batch(
                tx,
                shard_id=shard_id,
                provider=hands.codec.provider,
                total=len(packed.members),
                role=Role.OURS,
                state=BatchState.PLANNED,
            )
            runs.note(tx, run.run_id, now, f"shard {shard_id}: reserved for {counted(len(packed.members), 'request')}")
        if packed.fresh_through is not None:
            runs.set_packed(tx, run.plan_id, lot.lot, packed.fresh_through)
    points.reached("pack.after_commit")


def _batch_limits(hands: Hands, tx: Transaction, lot: LotRow, headroom: Nanos | None) -> ShardLimits:
    codec, rules = hands.codec, hands.dispatch_rules
    assert codec.batch_limits is not None, f"{codec.provider} has no batches"
    room = rules.queued_requests_max - runs.known_door(tx, hands.door).queued_requests
    own = lot.requests_max or codec.batch_limits.requests_max
    return ShardLimits(
        requests_max=max(0, min(codec.batch_limits.requests_max, rules.shard_requests_max, room, own)),
        bytes_max=codec.batch_limits.bytes_max - len(codec.batch_open()) - len(codec.batch_close()),
        line_overhead_bytes=codec.batch_line_length(
            custom_id_length=CUSTOM_ID_LENGTH, params_length=0, endpoint=lot.endpoint, first=False
        ),
        headroom=headroom,
    )


def _block_limits(hands: Hands, headroom: Nanos | None) -> ShardLimits:
    """A block of real-time calls has no limit of the provider's; its size bounds what one transaction touches."""
    return ShardLimits(
        requests_max=hands.dispatch_rules.block_requests,
        bytes_max=BLOCK_BYTES_MAX,
        line_overhead_bytes=0,
        headroom=headroom,
    )


def reserve_shard(
    hands: Hands,
    tx: Transaction,
    run: RunRow,
    lot: LotRow,
    packed: Packed,
    *,
    shard_id: ShardId,
    route: str,
    now: datetime,
    kind: str = "",
) -> ShardRow | None:
    """Reserve for a shard and write it; ``None`` when the budget does not cover it. ``kind``: the first of its kind."""
    reason = Reason.BATCH if route == "batch" else Reason.REALTIME
    if kind:
        reason = Reason.FIRST_REQUEST
    if packed.doubted:
        reason = Reason.POSSIBLE_DUPLICATE
    hold_id = books.reserve(
        tx, payer=payer(run), payee=hands.payee, amount=packed.ceiling, reason=reason, shard_id=shard_id, at=now
    )
    if hold_id is None:
        return None
    members = pack_members(packed.members)
    state = AttemptState.OUT if route == "batch" else AttemptState.RESERVED
    row = ShardRow(
        shard_id=shard_id,
        run_id=run.run_id,
        plan_id=run.plan_id,
        wave=run.wave,
        provider=hands.codec.provider,
        lot=lot.lot,
        route=route,
        kind=kind,
        members=unpack_members(members),
        requests=len(packed.members),
        bytes=packed.bytes,
        hold_id=hold_id,
        state=state,
    )
    shards.insert_shard(tx, row, members=members, created_at=now, state=state)
    shards.set_requests(hands.store, tx, run.plan_id, packed.again, state="trying", was="retry")
    return row


async def drop_shard(hands: Hands, run: RunRow, command: DropShard) -> None:
    """Give up a shard that was never sent: its hold is released, its requests wait again (or are canceled)."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        row = shards.shard(tx, command.shard_id)
        drop(hands, tx, run, row, now)
    hands.flight.blocks.pop(command.shard_id, None)


def drop(hands: Hands, tx: Transaction, run: RunRow, row: ShardRow, now: datetime) -> None:
    """Release a shard, or what is left of one, that bought nothing, in the caller's transaction."""
    books.release(tx, row.hold_id, at=now)
    landed = {*shards.landed_ordinals(tx, row.shard_id)}
    state = AttemptState.LANDED if landed else AttemptState.DROPPED
    shards.set_shard(tx, row.shard_id, state=state, landed_at=now)
    # What has an outcome here may be out again in another shard: that is not ours to move.
    wait_again(hands, tx, row, [seq for ordinal, seq in enumerate(row.members) if ordinal not in landed])
    runs.note(tx, run.run_id, now, f"shard {row.shard_id} was given up before it was bought")


def wait_again(hands: Hands, tx: Transaction, row: ShardRow, seqs: Sequence[int]) -> None:
    """Let those of these requests that have no outcome go out again."""
    for was in ("pending", "trying"):
        shards.set_requests(hands.store, tx, row.plan_id, seqs, state="retry", was=was)


# submitting


async def submit(hands: Hands, run: RunRow, command: Submit) -> None:
    """Create the batch of a shard: newest batch seen, intent, POST, outcome.

    Where lines are uploaded first, the file is there before the intent: it costs nothing and may be made twice.
    """
    with hands.store.read() as tx:
        row = shards.shard(tx, command.shard_id)
        lot = shards.lot_row(tx, row.plan_id, row.lot)
    file_id = ""
    try:
        if hands.codec.uploads:
            uploaded = await _file(hands, run, row, lot, command.batch_id)
            if isinstance(uploaded, ApiError):
                await _no_file(hands, run, command, uploaded)
                return
            file_id = uploaded
        newest = await _newest(hands)
    except TransportFailed as error:
        await hands.stumble(run, error)
        return
    if isinstance(newest, ApiError):
        await hands.stumble(run, newest)
        return
    points.reached("submit.before_intent")
    if not await _write_intent(hands, run, command, newest):
        return
    points.reached("submit.after_intent")
    try:
        if hands.codec.uploads:
            create = hands.codec.create_call(file_id=file_id, endpoint=lot.endpoint, token=row.shard_id)
            reply = await hands.ask(create)
        else:
            reply = await hands.ask(hands.codec.lines_call(), _upload(hands, run, row, lot))
    except TransportFailed as error:
        await _no_reply(hands, run, command, error)
        return
    points.reached("submit.after_reply")
    found = hands.codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
    if isinstance(found, ApiError):
        await _refused(hands, run, command, found)
    else:
        await confirm(hands, run, command.batch_id, found, verified=True)
    points.reached("submit.after_outcome")


async def _file(hands: Hands, run: RunRow, row: ShardRow, lot: LotRow, batch_id: BatchId) -> str | ApiError:
    """Upload a shard's lines, unless they are there. Raises: TransportFailed."""
    with hands.store.read() as tx:
        known = shards.batch(tx, batch_id).input_file_id
    if known is not None:
        return known
    reply = await hands.ask(hands.codec.lines_call(), _upload(hands, run, row, lot))
    points.reached("upload.after_reply")
    found = hands.codec.decode_file(status=reply.status, headers=reply.headers, body=reply.body)
    if isinstance(found, str):
        with hands.store.write() as tx:
            shards.set_batch(tx, batch_id, input_file_id=found)
    return found


async def _no_file(hands: Hands, run: RunRow, command: Submit, error: ApiError) -> None:
    """The upload was refused: nothing was created, so nothing is in doubt."""
    if error.refusal.retry is Retry.NEVER and not error.about_us:
        with hands.store.write() as tx:
            batch = shards.batch(tx, command.batch_id)
            state = next_state(next_state(batch.state, BatchEvent.INTENT_WRITTEN), BatchEvent.REFUSED)
            shards.set_batch(tx, command.batch_id, state=state, error=error.message)
    await hands.stumble(run, error)


async def _newest(hands: Hands) -> BatchView | ApiError | None:
    """Ask for the newest batch of the account, ``None`` when it has none."""
    reply = await hands.ask(hands.codec.list_call(after=None, limit=1))
    page = hands.codec.decode_page(status=reply.status, headers=reply.headers, body=reply.body)
    if isinstance(page, ApiError):
        return page
    return page.batches[0] if page.batches else None


async def _write_intent(hands: Hands, run: RunRow, command: Submit, newest: BatchView | None) -> bool:
    """Promise 2: intent before the call. False when another process has the lease or an unconfirmed create."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        if not runs.holds_lease(tx, run.run_id, hands.worker):
            return False
        if not runs.take_door(tx, hands.door, command.batch_id):
            return False
        batch = shards.batch(tx, command.batch_id)
        if batch.creates == 0:
            # Kept when it is sent again: what the first create may still turn into is newer than this.
            seen = (None, None) if newest is None else (newest.provider_batch_id, newest.created_at)
            shards.set_batch(tx, command.batch_id, newest_before=seen[0], newest_before_at=seen[1])
        shards.set_batch(
            tx,
            command.batch_id,
            state=next_state(batch.state, BatchEvent.INTENT_WRITTEN),
            submitting_at=now,
            creates=batch.creates + 1,
        )
    return True


def _upload(hands: Hands, run: RunRow, row: ShardRow, lot: LotRow) -> Upload:
    """Stream a shard from its segments, with its exact length known beforehand."""
    codec = hands.codec
    length = len(codec.batch_open()) + len(codec.batch_close()) + row.bytes
    first, later = (
        codec.batch_line_length(
            custom_id_length=CUSTOM_ID_LENGTH, params_length=0, endpoint=lot.endpoint, first=is_first
        )
        for is_first in (True, False)
    )
    return Upload(chunks=_lines(hands, run, row, lot), length=length + first - later)


async def _lines(hands: Hands, run: RunRow, row: ShardRow, lot: LotRow) -> AsyncIterator[bytes]:
    codec, store = hands.codec, hands.store
    pieces: list[bytes] = [codec.batch_open()]
    size = since = 0
    for ordinal, body_at in enumerate(shards.body_places(store, row.plan_id, row.members)):
        line = codec.batch_line(
            custom_id=custom_id(row.shard_id, ordinal),
            params=store.body(body_at),
            endpoint=lot.endpoint,
            first=ordinal == 0,
        )
        pieces.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"".join(pieces)
            since += size
            pieces, size = [], 0
        if since >= RENEW_BYTES:
            await hands.renew(run)  # a slow line must not look like a dead process: that would buy twice
            since = 0
        if ordinal == row.requests // 2:
            points.reached("submit.half_sent")
    pieces.append(codec.batch_close())
    yield b"".join(pieces)


async def confirm(hands: Hands, run: RunRow, batch_id: BatchId, found: BatchView, *, verified: bool) -> None:
    """Write which provider batch it is, and free the door. ``verified``: the id came with the create's own reply."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, batch_id)
        state = next_state(batch.state, found.event)
        shards.drop_suspect(tx, batch.provider, found.provider_batch_id)
        shards.set_batch(
            tx,
            batch_id,
            state=state,
            provider_batch_id=found.provider_batch_id,
            verified=verified,
            next_at=now if state in READABLE else now + hands.retry_rules.poll_min,
            not_found=0,
            accepted_at=now,
            over_at=now if state in OVER else None,
            **shards.view_values(found),
        )
        runs.free_door(tx, hands.door, batch_id)
        runs.welcome_back(tx, hands.door)
        how = "accepted" if verified else "found again"
        runs.note(tx, run.run_id, now, f"batch {found.provider_batch_id} {how}: {counted(batch.total, 'request')}")


async def _no_reply(hands: Hands, run: RunRow, command: Submit, error: TransportFailed) -> None:
    """The create was not answered: never sent, or a doubt."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, command.batch_id)
        if error.sent:
            _doubt(tx, batch, now)
            runs.note(tx, run.run_id, now, f"{error.message}: asking what arrived", level="warning")
            return
        shards.set_batch(tx, command.batch_id, state=next_state(batch.state, BatchEvent.SEND_AGAIN))
        runs.free_door(tx, hands.door, command.batch_id)
        hands.stay_away(tx, now)
        runs.note(tx, run.run_id, now, error.message, level="warning")


def _doubt(tx: Transaction, batch: BatchRow, now: datetime) -> None:
    """Promise 3: a lost reply is a doubt, not a failure."""
    shards.set_batch(
        tx,
        batch.batch_id,
        state=next_state(batch.state, BatchEvent.REPLY_LOST),
        doubtful_at=now,
        next_at=now + timedelta(seconds=RECONCILE_SECONDS),
    )


async def _refused(hands: Hands, run: RunRow, command: Submit, error: ApiError) -> None:
    """The create was answered with a refusal. Any that does not say that nothing was made is a doubt."""
    now = await hands.clock.now()
    broken = error.status not in REFUSED_UNSEEN
    with hands.store.write() as tx:
        batch = shards.batch(tx, command.batch_id)
        if broken or error.refusal.retry is Retry.AFTER_RECONCILE:
            _doubt(tx, batch, now)
            runs.note(tx, run.run_id, now, f"create answered {error.status}: asking what arrived", level="warning")
            return
        runs.free_door(tx, hands.door, command.batch_id)
        if error.refusal.retry is Retry.NEVER and not error.about_us:
            # The batch as a whole is refused and nothing of it was bought; the run pauses with the provider's words.
            shards.set_batch(
                tx, command.batch_id, state=next_state(batch.state, BatchEvent.REFUSED), error=error.message
            )
        else:
            shards.set_batch(tx, command.batch_id, state=next_state(batch.state, BatchEvent.SEND_AGAIN))
    await hands.stumble(run, error)


# reconciling


async def reconcile(hands: Hands, run: RunRow, command: Reconcile) -> None:
    """Ask whether a create arrived, and decide: found, wait, or send again."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, command.batch_id)
        if batch.state is BatchState.SUBMITTING:
            _doubt(tx, batch, now)
            batch = shards.batch(tx, command.batch_id)
        if not runs.take_door(tx, hands.door, batch.batch_id):
            # Another create is unconfirmed; this doubt came back (its batch proved foreign) and waits for its turn.
            shards.set_batch(tx, batch.batch_id, next_at=now + timedelta(seconds=RECONCILE_SECONDS))
            return
    try:
        candidates = await _candidates(hands, batch)
        if candidates is None:
            await _elsewhere(hands, run, command)
            return
        if not isinstance(candidates, ApiError):
            points.reached("reconcile.after_list")
            await _decide(hands, run, command, batch, candidates)
            points.reached("reconcile.after_outcome")
            return
    except TransportFailed as error:
        await hands.stumble(run, error)
        return
    await hands.stumble(run, candidates)


async def _elsewhere(hands: Hands, run: RunRow, command: Reconcile) -> None:
    """Another account's listing proves nothing about our create: wait for the right key, and say so."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        shards.set_batch(tx, command.batch_id, next_at=now + hands.retry_rules.poll_max)
        reason = f"{hands.codec.provider} lists none of the batches seen before: is the key of the same workspace?"
        if pause(tx, run, reason):
            runs.note(tx, run.run_id, now, reason, level="alarm")


async def _candidates(hands: Hands, batch: BatchRow) -> list[BatchView] | ApiError | None:
    """List what may be ours: newer than the newest we saw before, of our count, unknown to us, not proved foreign.

    Newest first. Times are the provider's own: ours is never compared with them. ``None`` when the listing does not
    reach back to what was seen before the create: it is another account's.
    """
    found: list[BatchView] = []
    reached_back, past = batch.newest_before is None, False
    async for page in listing(hands):
        if isinstance(page, ApiError):
            return page
        for view in page.batches:  # the whole page: nothing promises that it is in order to the second
            older = batch.newest_before_at is not None and view.created_at < batch.newest_before_at
            past = past or older
            if older or view.provider_batch_id == batch.newest_before:
                reached_back = True
            elif _may_be(hands, batch, view):
                found.append(view)
        if past:
            break
    return await _unknown(hands, batch, found) if reached_back or found else None


def _may_be(hands: Hands, batch: BatchRow, view: BatchView) -> bool:
    """Say whether a listed batch may be the answer to a doubt: it carries our token, or it could by its count."""
    if hands.codec.uploads:
        return view.token == batch.shard_id
    return view.counts.total == batch.total and view.provider_batch_id not in batch.rejected.split()


async def _unknown(hands: Hands, batch: BatchRow, found: list[BatchView]) -> list[BatchView]:
    with hands.store.read() as tx:
        # A mere suspect is no answer to anyone's doubt: it may be the very batch that is looked for.
        ids = [view.provider_batch_id for view in found]
        known = shards.known_provider_ids(tx, batch.provider, ids, suspects=False)
    return [view for view in found if view.provider_batch_id not in known]


async def _decide(hands: Hands, run: RunRow, command: Reconcile, batch: BatchRow, candidates: list[BatchView]) -> None:
    """Look into what is over; take what is left; with nothing left, wait or send again."""
    if hands.codec.uploads and candidates:
        # The token proves whose it is. Of two (a create that was sent again after all) the older is taken here, and the
        # other is found by looking for late twins.
        await confirm(hands, run, command.batch_id, candidates[-1], verified=True)
        return
    left: list[BatchView] = []
    for view in candidates:
        if FOUND[view.event] not in READABLE or view.archived:
            left.append(view)
            continue
        whose = await look_inside(hands, view.results_paths, command.shard_id)
        if whose is True:
            await confirm(hands, run, command.batch_id, view, verified=True)
            return
        if whose is False:
            await _reject(hands, batch, view.provider_batch_id)
        else:
            left.append(view)
    if left:
        # Not over yet, so nothing tells whose it is: take the oldest, and look inside when it has ended.
        await confirm(hands, run, command.batch_id, left[-1], verified=False)
        return
    await _none_found(hands, run, command)


async def look_inside(hands: Hands, results_paths: Sequence[str], shard_id: ShardId) -> bool | None:
    """Say whether a batch that is over carries our shard's ids; ``None`` when its results cannot be read now."""
    name = await first_name(hands, results_paths)
    return None if name is None else ordinal_of(name, shard_id) is not None


async def first_name(hands: Hands, results_paths: Sequence[str]) -> str | None:
    """Read the first ``custom_id`` in the results of a batch that is over; ``None`` when they cannot be read now."""
    try:
        async for line in result_lines(hands, results_paths):
            return None if isinstance(line, ApiError) else line.custom_id
    except TransportFailed:
        return None
    return None


async def _reject(hands: Hands, batch: BatchRow, provider_batch_id: str) -> None:
    with hands.store.write() as tx:
        rejected = shards.batch(tx, batch.batch_id).rejected
        shards.set_batch(tx, batch.batch_id, rejected=f"{rejected} {provider_batch_id}".strip())


async def _none_found(hands: Hands, run: RunRow, command: Reconcile) -> None:
    now = await hands.clock.now()
    with hands.store.write() as tx:
        batch = shards.batch(tx, command.batch_id)
        assert batch.doubtful_at is not None
        if not believed_lost(hands.retry_rules, doubtful_at=batch.doubtful_at, now=now):
            shards.set_batch(tx, command.batch_id, next_at=now + timedelta(seconds=RECONCILE_SECONDS))
            return
        shards.set_batch(
            tx, command.batch_id, state=next_state(batch.state, BatchEvent.SEND_AGAIN), doubtful_at=None, next_at=None
        )
        runs.free_door(tx, hands.door, command.batch_id)
        runs.note(tx, run.run_id, now, f"shard {batch.shard_id} never arrived: it may be sent again")
        if not command.resend:
            drop(hands, tx, run, shards.shard(tx, batch.shard_id), now)


def foreign(tx: Transaction, batch: BatchRow, now: datetime) -> None:
    """A batch that we took for ours carries other ids: back into doubt, and not that one again."""
    assert not batch.verified
    shards.set_batch(
        tx,
        batch.batch_id,
        state=next_state(batch.state, BatchEvent.PROVED_FOREIGN),
        provider_batch_id=None,
        rejected=f"{batch.rejected} {batch.provider_batch_id}".strip(),
        created_at=None,
        ended_at=None,
        expires_at=None,
        next_at=now,
        doubtful_at=batch.doubtful_at or now,
    )
