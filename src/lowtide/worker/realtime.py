"""Real-time calls: reserved in blocks, each with its intent written before it is made, paced, and settled as it comes back.

One request of each kind goes first and alone: a bad body is found in a second, not in a day. It is a purchase like any
other. Intents and outcomes are written for many calls at once, and an answer is synced before anyone is told of it. A
reply that is lost cannot be asked about: its part of the hold becomes a hold of its own, named ``doubt``, which counts as
spent; whether the request goes out again (under a second hold) is the run's policy (promise 3). After kill -9 exactly the
calls in flight are doubts.

Calls in flight outlive a turn, in this process's memory (``Flight``); what the store knows is enough to go on without it.
What is made in the background (OpenAI's windows) differs in one thing: its reply is an id, and it can be asked about.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lowtide import points
from lowtide.attempt import AttemptState, CallEvent, next_state
from lowtide.catalog import Lane
from lowtide.dispatch import Doubt, Fly, RecallCalls, RunState, TryFirst
from lowtide.errors import TransportFailed
from lowtide.ledger import Reason, alarm
from lowtide.money import ZERO
from lowtide.pacing import Pacer, Weight
from lowtide.packing import Packed, ShardId, pack_members, unpack_members
from lowtide.providers import ApiError, CallParts, Queued
from lowtide.request import Endpoint
from lowtide.result import Billed, Errored, Outcome, Retry, Succeeded, refusal
from lowtide.retry import again, next_question, wait
from lowtide.store import Transaction, books, calls, runs, shards, webhooks
from lowtide.store.books import Settlement
from lowtide.store.runs import RunRow
from lowtide.store.segments import SegmentWriter
from lowtide.store.shards import Body, Landed, ShardRow
from lowtide.wire import HttpReply
from lowtide.worker.hands import ASKED_SECONDS_MAX, Block, Flight, Hands, Ticket, pause, payer
from lowtide.worker.sending import reserve_shard
from lowtide.worker.settling import hold_unpriced, landed_row, price_or_hold, request_state

ROUND = timedelta(milliseconds=250)  # between two rounds of starting
START_MAX = 256  # calls whose intents are written at once
LAND_MAX = 512  # replies that are settled at once
LOST_IN_ROW_MAX = 20  # replies lost without one that came, before the run pauses
NOT_FOUND_MAX = 8  # times that a response made in the background may be unknown before it is a doubt
TOO_MANY = 429  # calls of ours
LOAD = frozenset({TOO_MANY, 503, 529})
TELL_AGAIN = timedelta(minutes=10)  # between two notes that a provider is overloaded
LOOK_AGAIN = timedelta(seconds=5)  # at what other processes may have said meanwhile (cancel, pause)


async def try_first(hands: Hands, run: RunRow, command: TryFirst) -> None:
    """Reserve for one request of an untested kind, at its real-time ceiling."""
    now = await hands.clock.now()
    kind = command.kind
    body = next(shards.bodies(hands.store, run.plan_id, unpack_members(pack_members([kind.seq]))))
    shard_id = ShardId(f"lt{hands.clock.new_id(14)}")
    with hands.store.write() as tx:
        sent_before = body.tries > 0 or calls.doubted(tx, run.plan_id, kind.seq)
        packed = Packed(
            members=(kind.seq,),
            again=(kind.seq,),
            fresh_through=None,
            bytes=body.body_bytes,
            ceiling=body.realtime,
            short_of=None,
            doubted=sent_before,
        )
        lot = shards.lot_row(tx, run.plan_id, body.lot)
        row = reserve_shard(hands, tx, run, lot, packed, shard_id=shard_id, route="realtime", now=now, kind=kind.kind)
        if row is None:
            pause(tx, run, "at its cap")
            runs.note(tx, run.run_id, now, "paused at its cap: the first request does not fit")
            return
        shards.set_requests(hands.store, tx, run.plan_id, [kind.seq], state="trying", was="pending")
    points.reached("pack.after_commit")


@dataclass(slots=True, kw_only=True)
class _Came:
    """One reply that came back, or did not, and what it means."""

    ticket: Ticket
    reply: HttpReply | TransportFailed
    outcome: Queued | Outcome | ApiError | TransportFailed


@dataclass(slots=True, kw_only=True)
class _Flown:
    """One flight of one run: what it starts, and what it must tell its turn."""

    hands: Hands
    run: RunRow
    command: Fly
    flight: Flight
    closed: bool = False
    stop: bool = False


async def fly(
    hands: Hands, run: RunRow, command: Fly, stopping: Callable[[], bool], again: Callable[[], bool]
) -> datetime | None:
    """Make calls and take replies until something else is to be done: by this turn, or at the instant that is given.

    ``stopping``: nothing more is started; ``again``: another flight ended, and it is decided again. ``None``: decide again
    at once. An instant: nothing is in flight, and nothing can be started before.
    """
    this = _Flown(hands=hands, run=run, command=command, flight=hands.flight)
    _load(this)
    try:
        while True:
            now = await hands.clock.now()
            put_off = None if this.stop or stopping() else await _start(this, now)
            if command.asks and not stopping():
                _ask_after(this, now)
            mine = this.flight.done[run.run_id]
            if not mine and not _in_flight(this):
                if put_off is None and any(block.ready for block in _blocks(this)):
                    put_off = now + timedelta(seconds=1)  # another run's calls fill the window
                return None if this.closed or this.stop else put_off
            if not mine:
                await _wait(this, put_off, now)
            await _land(this)
            if this.stop or again() or _others_wait(this, await hands.clock.now()):
                return None
    finally:
        if not _in_flight(this):  # or the next flight goes on writing to it
            _seal(this)


def _others_wait(this: _Flown, now: datetime) -> bool:
    """Say whether the turn has something else to do: what is due, more to reserve for, or a closed block to deliver.

    A closed block alone can wait where more is reserved for in a moment: a turn reads all there is to know of a run.
    """
    if this.closed and not this.command.more:
        return True
    until = this.command.until
    if (until is not None and until <= now) or abs(now - this.flight.looked_at) >= LOOK_AGAIN:
        this.flight.looked_at = now
        return True
    low = this.hands.dispatch_rules.block_requests // 2
    return this.command.more and sum(len(block.ready) for block in _blocks(this)) < low


def _load(this: _Flown) -> None:
    """Read the blocks of which calls may be started, unless they are in memory from an earlier flight."""
    for shard_id in this.command.shards:
        _block_of(this, shard_id)


def _block_of(this: _Flown, shard_id: ShardId) -> Block:
    """Give a block, read from the store where this process has not got it in memory."""
    found = this.flight.blocks.get(shard_id)
    if found is None:
        hands = this.hands
        with hands.store.read() as tx:
            row = shards.shard(tx, shard_id)
            lot = shards.lot_row(tx, row.plan_id, row.lot)
            landed = {*shards.landed_ordinals(tx, shard_id)}
            under_way = {call.ordinal for call in calls.of_shard(tx, shard_id)}
        left = [ordinal for ordinal in range(row.requests) if ordinal not in landed]
        found = this.flight.blocks[shard_id] = Block(
            row=row,
            endpoint=lot.endpoint,
            bodies=list(shards.bodies(hands.store, row.plan_id, row.members)),
            open=set(left),  # a doubt has landed: it is not among them
            ready=deque(ordinal for ordinal in left if ordinal not in under_way),
            begun=row.state is AttemptState.OUT,
        )
    return found


def _blocks(this: _Flown) -> Iterator[Block]:
    for shard_id in this.command.shards:
        block = this.flight.blocks.get(shard_id)
        if block is not None:
            yield block


def _in_flight(this: _Flown) -> bool:
    return any(ticket.run_id == this.run.run_id for ticket in this.flight.calls)


async def _wait(this: _Flown, put_off: datetime | None, now: datetime) -> None:
    """Wait for a reply, or until more may be started, or something else is due."""
    until = min(filter(None, (put_off, this.command.until, now + LOOK_AGAIN)))
    came = this.flight.came[this.run.run_id]
    await this.hands.clock.wait_for(came, until)
    came.clear()
    await asyncio.sleep(0)  # whatever came at the same moment is settled with it
    for task in this.flight.calls.values():
        if task.done():
            task.result()  # raises: a call whose reply came, or was lost, is no longer among them


# starting


async def _start(this: _Flown, now: datetime) -> datetime | None:
    """Start what the limits let go now; gives when the next may start, ``None`` when none waits or only a reply helps."""
    while True:
        chosen, put_off = _choose(this, now)
        if not chosen:
            return put_off
        if not _write_intents(this, chosen, now):
            this.stop = True
            return None
        points.reached("call.after_intent")
        for ticket, body, block in chosen:
            params = this.hands.store.body(body.body_at)
            _send(this, ticket, _parts(this.hands, block.row.route, params, block.endpoint))
        if len(chosen) < START_MAX:
            return put_off


def _choose(this: _Flown, now: datetime) -> tuple[list[tuple[Ticket, Body, Block]], datetime | None]:
    """Take what may start now from the blocks in order, as far as the limits of its model go."""
    chosen: list[tuple[Ticket, Body, Block]] = []
    put_off: datetime | None = None
    # One limit for all models: what has no connection would wait for one with its intent written, and be a doubt in the end.
    room = this.hands.in_flight_max - sum(not ticket.asks for ticket in this.flight.calls)
    for block in _blocks(this):
        for _ in range(len(block.ready)):
            if len(chosen) >= min(START_MAX, room):
                return chosen, put_off
            ordinal = block.ready[0]
            later = block.later.get(ordinal)
            if later is not None and later > now:
                put_off = later if put_off is None else min(put_off, later)
                block.ready.rotate(-1)
                continue
            body = block.bodies[ordinal]
            weight = Weight(input_tokens=body.input_tokens, output_tokens=body.output_tokens)
            pacer = pacer_of(this.hands, body.model, now)
            at = pacer.earliest(weight, now)
            if at is None:
                return chosen, put_off
            if at > now:  # what may start one by one starts a few at a time: the limit is used all the same
                put_off = max(at, now + ROUND) if put_off is None else min(put_off, max(at, now + ROUND))
                break
            pacer.started(weight, now)
            block.ready.popleft()
            block.later.pop(ordinal, None)
            ticket = Ticket(run_id=this.run.run_id, shard_id=block.row.shard_id, ordinal=ordinal, weight=weight)
            chosen.append((ticket, body, block))
    return chosen, put_off


def pacer_of(hands: Hands, model: str, now: datetime) -> Pacer:
    """Give the pacer of the models that share limits with this one."""
    pool = hands.pool_of(model)
    found = hands.flight.pacers.get(pool)
    if found is None:
        found = hands.flight.pacers[pool] = Pacer(hands.pacing(hands.codec.provider, model, now.date()))
    return found


def _write_intents(this: _Flown, chosen: Sequence[tuple[Ticket, Body, Block]], now: datetime) -> bool:
    """Promise 2: intent before the call. False when another process has the lease, or the run may not send any more."""
    hands, run = this.hands, this.run
    with hands.store.write() as tx:
        allowed = runs.holds_lease(tx, run.run_id, hands.worker, state=RunState.ACTIVE)
        if allowed:
            intents = [(ticket.shard_id, ticket.ordinal, body.seq) for ticket, body, _ in chosen]
            calls.begin(hands.store, tx, run.plan_id, intents, now)
            for block in {id(block): block for _, _, block in chosen if not block.begun}.values():
                shards.set_shard(tx, block.row.shard_id, state=AttemptState.OUT)
    for ticket, body, block in reversed(chosen):
        if allowed:
            block.begun = True
        else:
            block.ready.appendleft(ticket.ordinal)
            assert ticket.weight is not None, "it was paced"
            pacer_of(hands, body.model, now).finished(ticket.weight, None, (), now)
    return allowed


def _parts(hands: Hands, route: str, params: bytes, endpoint: Endpoint) -> CallParts:
    if route == "realtime":
        return hands.codec.message_call(params, endpoint)
    return hands.codec.window_call(params, Lane(route))


def _send(this: _Flown, ticket: Ticket, parts: CallParts) -> None:
    """Let a call go; its reply is kept in memory until this run takes it."""
    flight, hands = this.flight, this.hands
    done, came = flight.done[ticket.run_id], flight.came[ticket.run_id]

    async def one() -> None:
        try:
            reply: HttpReply | TransportFailed = await hands.ask(parts)
        except TransportFailed as error:
            reply = error
        finally:
            came.set()  # also where it broke, so that the flight ends with it
        flight.calls.pop(ticket, None)
        done.append((ticket, reply))

    flight.calls[ticket] = asyncio.create_task(one())


def _ask_after(this: _Flown, now: datetime) -> None:
    """Ask about what is made in the background and is due."""
    with this.hands.store.read() as tx:
        due = calls.due(tx, this.run.run_id, this.hands.codec.provider, now)
    answered = {ticket for ticket, _ in this.flight.done[this.run.run_id]}
    for call in due:
        ticket = Ticket(run_id=this.run.run_id, shard_id=call.shard_id, ordinal=call.ordinal, asks=True)
        if ticket not in this.flight.calls and ticket not in answered:
            assert call.response_id is not None, "what is queued has an id"
            _send(this, ticket, this.hands.codec.response_call(call.response_id))


# landing


@dataclass(slots=True, kw_only=True)
class _Sorted:
    """Replies sorted by what is written about them, of one shard."""

    block: Block
    landed: list[Landed] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    doubts: list[tuple[Ticket, str]] = field(default_factory=list)
    queued: list[tuple[Ticket, Queued]] = field(default_factory=list)
    put_off: list[tuple[int, timedelta, bool]] = field(default_factory=list)  # ordinal, how long, whether it counts
    asked_again: list[tuple[int, timedelta]] = field(default_factory=list)
    passed: bool = False
    unpriced: list[Body] = field(default_factory=list)
    refused: list[tuple[Body, str]] = field(default_factory=list)


async def _land(this: _Flown) -> None:
    """Settle what came back: answers synced first, then outcomes, settlements and states in one transaction."""
    done = this.flight.done[this.run.run_id]
    if not done:
        return
    hands, flight = this.hands, this.flight
    now = await hands.clock.now()
    groups: dict[ShardId, _Sorted] = {}
    notes: dict[str, str] = {}
    refused: ApiError | None = None
    for _ in range(min(len(done), LAND_MAX)):
        ticket, reply = done.popleft()
        block = _block_of(this, ticket.shard_id)
        came = _Came(ticket=ticket, reply=reply, outcome=_decoded(hands, block, reply))
        if not ticket.asks:
            _tell_pacer(this, block.bodies[ticket.ordinal], came, now)
        if ticket.ordinal not in block.open:
            continue  # it has its outcome, or is a doubt that holds what this reply cost
        group = groups.setdefault(ticket.shard_id, _Sorted(block=block))
        refused = _sort(this, group, came, now, notes) or refused
    segment = flight.segments.get(this.run.run_id)
    if segment is not None:
        segment.sync()
    points.reached("call.after_reply")
    with hands.store.write() as tx:
        hands.renew_in(tx, this.run, now)
        for group in groups.values():
            _write(this, tx, group, now, notes)
        if flight.lost_in_row >= LOST_IN_ROW_MAX:
            reason = f"the last {flight.lost_in_row} replies of {hands.codec.provider} were lost"
            flight.lost_in_row = 0
            if pause(tx, this.run, reason):
                notes[reason] = "warning"
        for note, level in notes.items():
            runs.note(tx, this.run.run_id, now, note, level=level)
    points.reached("call.after_outcome")
    if segment is not None and segment.full:  # only here: what is not synced yet would be lost with the file
        _seal(this)
    for group in groups.values():
        _remember(this, group, now)
    if refused is not None:
        this.stop = True
        await hands.stumble(this.run, refused)


def _decoded(
    hands: Hands, block: Block, reply: HttpReply | TransportFailed
) -> Queued | Outcome | ApiError | TransportFailed:
    if isinstance(reply, TransportFailed):
        return reply
    decode = hands.codec.decode_message if block.row.route == "realtime" else hands.codec.decode_response
    return decode(status=reply.status, headers=reply.headers, body=reply.body)


def _sort(this: _Flown, group: _Sorted, came: _Came, now: datetime, notes: dict[str, str]) -> ApiError | None:
    """Decide what is written about one reply. Gives a refusal that is about us and stops the run."""
    hands, ticket, outcome = this.hands, came.ticket, came.outcome
    body = group.block.bodies[ticket.ordinal]
    match outcome:
        case TransportFailed():
            notes[outcome.message] = "warning"
            if ticket.asks:
                group.asked_again.append((ticket.ordinal, hands.retry_rules.poll_max / 4))
            elif outcome.sent:
                group.doubts.append((ticket, outcome.message))
            else:
                group.put_off.append((ticket.ordinal, _patience(this), False))
        case Queued():
            group.queued.append((ticket, outcome))
        case ApiError():
            return _sort_refusal(this, group, ticket, body, outcome, now, notes)
        case _:
            if _may_be_bought(outcome):
                group.doubts.append((ticket, f"the reply to {body.key} cannot be read"))
            else:
                this.flight.lost_in_row = 0
                _sort_outcome(this, group, ticket, body, outcome, now, notes)
    return None


def _tell_pacer(this: _Flown, body: Body, came: _Came, now: datetime) -> None:
    """Let the pacer know how a call ended."""
    pacer = pacer_of(this.hands, body.model, now)
    weight = came.ticket.weight
    assert weight is not None, "a call that was paced has a weight"
    if isinstance(came.reply, TransportFailed):
        pacer.finished(weight, None, (), now)
        return
    outcome, seen = came.outcome, this.hands.codec.rates(came.reply.headers)
    if isinstance(outcome, ApiError) and _is_load(outcome) and not outcome.about_us:
        this.flight.failures += 1
        overloaded = outcome.status != TOO_MANY
        pacer.refused(weight, _asked(outcome), now, this.hands.clock.chance(), seen, overloaded=overloaded)
    else:
        this.flight.failures = 0
        pacer.finished(weight, outcome.usage if isinstance(outcome, Succeeded) else None, seen, now)


def _is_load(error: ApiError) -> bool:
    """Say whether a refusal passes when less is asked; one that is about what was asked (too large) does not."""
    return error.status in LOAD and refusal(error.code).retry is not Retry.NEVER


def _asked(error: ApiError) -> int | None:
    """Give how long the provider asks us to wait: obeyed, with a deadline of our own."""
    return None if error.retry_after_seconds is None else min(error.retry_after_seconds, ASKED_SECONDS_MAX)


def _patience(this: _Flown, asked: int | None = None) -> timedelta:
    """Give how long one call is put off: longer with every failure in a row, as long as the provider asks."""
    this.flight.failures += asked is None
    return wait(this.hands.retry_rules, this.flight.failures, this.hands.clock.chance(), asked)


def _sort_refusal(
    this: _Flown,
    group: _Sorted,
    ticket: Ticket,
    body: Body,
    error: ApiError,
    now: datetime,
    notes: dict[str, str],
) -> ApiError | None:
    rules = this.hands.retry_rules
    if ticket.asks and error.status == 404:
        missed = group.block.tries[ticket.ordinal] = group.block.tries.get(ticket.ordinal, 0) + 1
        if missed < NOT_FOUND_MAX:
            group.asked_again.append((ticket.ordinal, rules.poll_max / 10 * missed))
        else:
            group.doubts.append((ticket, f"{this.hands.codec.provider} no longer knows the response"))
        return None
    if ticket.asks:
        group.asked_again.append((ticket.ordinal, wait(rules, 1, this.hands.clock.chance(), _asked(error))))
        return error if error.about_us else None
    if error.about_us:
        group.put_off.append((ticket.ordinal, timedelta(), False))
        return error
    if error.refusal.retry is Retry.AFTER_RECONCILE:
        group.doubts.append((ticket, f"{error.message} ({error.status})"))
    elif _is_load(error):
        if now - this.flight.told_at >= TELL_AGAIN:  # once for each time of trouble, not once a refusal
            this.flight.told_at = now
            notes[f"{error.message} ({error.status}): what was refused is sent again, slower where much is"] = "info"
        group.put_off.append((ticket.ordinal, wait(rules, 1, this.hands.clock.chance(), _asked(error)), False))
    elif (
        error.refusal.retry is not Retry.NEVER
        and body.tries + group.block.tries.get(ticket.ordinal, 0) + 1 < rules.tries_max
    ):
        group.put_off.append((ticket.ordinal, _patience(this), True))
    else:
        outcome = Errored(code=error.code, message=error.message, request_id=error.request_id)
        _sort_outcome(this, group, ticket, body, outcome, now, notes)
    return None


def _sort_outcome(
    this: _Flown,
    group: _Sorted,
    ticket: Ticket,
    body: Body,
    outcome: Outcome,
    now: datetime,
    notes: dict[str, str],
) -> None:
    """Price an answer and keep it; make the row of anything else."""
    hands, row = this.hands, group.block.row
    tries = body.tries + group.block.tries.get(ticket.ordinal, 0) + 1
    retry = again(hands.retry_rules, outcome, tries)
    state = request_state(outcome, retry=retry, canceling=this.run.state is RunState.CANCELING)
    answer_at, cost = None, ZERO
    if isinstance(outcome, Succeeded):
        known, note = price_or_hold(hands, outcome, body.model, Lane(row.route), now.date())
        if note:
            notes[note] = "alarm"
        if known is None:
            group.unpriced.append(body)
        else:
            cost = known
            reason = Reason.FIRST_REQUEST if row.kind else Reason.REALTIME
            group.settlements.append(Settlement(ordinal=ticket.ordinal, amount=cost, reason=reason))
        answer_at = _segment(this, now).append(outcome.message)
        group.passed = True
    elif isinstance(outcome, Errored):
        group.refused.append((body, outcome.message))
    group.landed.append(
        landed_row(outcome, ordinal=ticket.ordinal, seq=body.seq, state=state, answer_at=answer_at, cost=cost)
    )


def _segment(this: _Flown, now: datetime) -> SegmentWriter:
    """Give where answers of this run are kept: one file over many flights."""
    segments = this.flight.segments
    found = segments.get(this.run.run_id)
    if found is None:
        found = segments[this.run.run_id] = this.hands.store.new_segment("answers", this.hands.worker, now)
    return found


def _seal(this: _Flown) -> None:
    segment = this.flight.segments.pop(this.run.run_id, None)
    if segment is not None:
        this.hands.store.seal_segment(segment)


def _may_be_bought(outcome: Outcome) -> bool:
    """Say whether a reply leaves open if the answer was made and billed: it cannot be read."""
    return isinstance(outcome, Errored) and refusal(outcome.code).billed is not Billed.NO


def _write(this: _Flown, tx: Transaction, group: _Sorted, now: datetime, notes: dict[str, str]) -> None:
    """Write what came back of one shard, in the caller's transaction (promise 2)."""
    hands, run, block = this.hands, this.run, group.block
    row = block.row
    verdict = books.settle(hands.store, tx, row.hold_id, group.settlements, shard_id=row.shard_id, at=now)
    if alarm(verdict):
        reason = f"block {row.shard_id} cost more than its ceiling: its models are stopped"
        notes[reason] = "alarm"
        pause(tx, run, reason)
    hold_unpriced(hands, tx, run, row, [body.realtime for body in group.unpriced], now)
    shards.land(hands.store, tx, shard_id=row.shard_id, plan_id=row.plan_id, rows=group.landed, at=now)
    ended = [(row.shard_id, landed.ordinal) for landed in group.landed]
    calls.end(hands.store, tx, ended + [(row.shard_id, ordinal) for ordinal, _, _ in group.put_off])
    for ordinal, _, counts in group.put_off:
        if counts:
            shards.count_try(tx, row.plan_id, row.members[ordinal])
    for ticket, queued in group.queued:
        _write_queued(hands, tx, row, ticket, queued, now)
    for ordinal, delay in group.asked_again:
        calls.set_call(tx, row.shard_id, ordinal, next_at=now + delay)
    for ticket, why in group.doubts:
        this.flight.lost_in_row += 1
        notes[f"{why}: the hold of {block.bodies[ticket.ordinal].key} counts as spent"] = "warning"
        write_doubt(hands, tx, run, row, ticket.ordinal, block.bodies[ticket.ordinal], now)
    if row.kind and group.passed:
        runs.pass_kind(tx, run.plan_id, row.kind, row.provider, block.bodies[0].model)
    for body, message in group.refused:
        if row.kind:
            runs.refuse_kind(tx, run.plan_id, row.kind, row.provider, body.model)
            notes[f"the first request of kind {row.kind} ({body.key}) was refused: {message}"] = "warning"
    gone = {landed.ordinal for landed in group.landed} | {ticket.ordinal for ticket, _ in group.doubts}
    if block.open <= gone:
        _close(tx, row, now)


def _close(tx: Transaction, row: ShardRow, now: datetime) -> None:
    """Every request of a block has its outcome, or is a doubt with a hold of its own: what is left is given back."""
    books.release(tx, row.hold_id, at=now)
    shards.set_shard(tx, row.shard_id, state=AttemptState.LANDED, landed_at=now)


def _write_queued(hands: Hands, tx: Transaction, row: ShardRow, ticket: Ticket, queued: Queued, now: datetime) -> None:
    call = calls.find(tx, row.shard_id, ticket.ordinal)
    assert call is not None, "its intent was written"
    next_at = next_question(hands.retry_rules, now, now - call.at)
    # An event that came since it was due may tell of more than this reply could know.
    heard_at = webhooks.heard_since(tx, call.next_at or call.at).get(queued.response_id)
    calls.set_call(
        tx,
        row.shard_id,
        ticket.ordinal,
        state=next_state(call.state, CallEvent.TAKEN),
        response_id=queued.response_id,
        next_at=next_at if heard_at is None else min(next_at, max(now, heard_at)),
    )


def _remember(this: _Flown, group: _Sorted, now: datetime) -> None:
    """Bring what is in memory to what was written."""
    block = group.block
    block.open -= {landed.ordinal for landed in group.landed} | {ticket.ordinal for ticket, _ in group.doubts}
    for ordinal, delay, counts in group.put_off:
        block.ready.append(ordinal)
        block.later[ordinal] = now + delay
        block.tries[ordinal] = block.tries.get(ordinal, 0) + counts
    if not block.open:
        this.flight.blocks.pop(block.row.shard_id, None)
        this.closed = True


# doubts


async def doubt(hands: Hands, run: RunRow, command: Doubt) -> None:
    """The process died while calls were under way."""
    now = await hands.clock.now()
    hands.flight.blocks.pop(command.shard_id, None)
    with hands.store.write() as tx:
        row = shards.shard(tx, command.shard_id)
        under_way = {call.ordinal for call in calls.of_shard(tx, command.shard_id)}
    bodies = list(shards.bodies(hands.store, row.plan_id, row.members))
    with hands.store.write() as tx:
        hands.renew_in(tx, run, now)
        lost = [ordinal for ordinal in command.ordinals if ordinal in under_way]
        for ordinal in lost:
            write_doubt(hands, tx, run, row, ordinal, bodies[ordinal], now)
        text = f"{len(lost)} replies of {row.shard_id} were lost with their process: their holds count as spent"
        runs.note(tx, run.run_id, now, text, level="warning")
        if len(shards.landed_ordinals(tx, row.shard_id)) == row.requests:
            _close(tx, row, now)


def write_doubt(
    hands: Hands, tx: Transaction, run: RunRow, row: ShardRow, ordinal: int, body: Body, now: datetime
) -> None:
    """Promise 3: give a lost call a hold of its own, and let its request go out again, or wait for a person."""
    call = calls.find(tx, row.shard_id, ordinal)
    assert call is not None, "its intent was written"
    hold_id = books.split(
        tx,
        row.hold_id,
        body.realtime,
        payer=payer(run),
        payee=hands.payee,
        reason=Reason.DOUBT,
        shard_id=row.shard_id,
        at=now,
    )
    calls.set_call(
        tx,
        row.shard_id,
        ordinal,
        state=next_state(call.state, CallEvent.REPLY_LOST),
        hold_id=hold_id,
        next_at=None,
    )
    if row.kind:  # each doubt may be money: where replies are always lost, the run pauses after as many as refusals
        runs.refuse_kind(tx, run.plan_id, row.kind, row.provider, body.model)
    # Here it is over, whatever becomes of its request: when the doubt is settled, only this row says so.
    resend = run.doubts == "resend" and body.tries + 1 < hands.retry_rules.tries_max
    outcome = Errored(code="reply_lost", message="the reply was lost; what it may have cost is held: lowtide doubt")
    landed = landed_row(outcome, ordinal=ordinal, seq=body.seq, state="retry" if resend else "failed")
    shards.land(hands.store, tx, shard_id=row.shard_id, plan_id=row.plan_id, rows=[landed], at=now)


async def recall_calls(hands: Hands, run: RunRow, command: RecallCalls) -> None:
    """Ask the provider to cancel what is made in the background; what finishes all the same is paid, and taken."""
    for ordinal in command.ordinals:
        with hands.store.read() as tx:
            call = calls.find(tx, command.shard_id, ordinal)
        if call is None or call.response_id is None:
            continue
        try:
            reply = await hands.ask(hands.codec.cancel_response_call(call.response_id))
        except TransportFailed as error:
            await hands.stumble(run, error)
            return
        found = hands.codec.decode_response(status=reply.status, headers=reply.headers, body=reply.body)
        now = await hands.clock.now()
        if isinstance(found, ApiError) and found.undecided:
            await hands.stumble(run, found)
            return
        with hands.store.write() as tx:
            # A refusal means that it is over already; asking about it tells.
            calls.set_call(tx, command.shard_id, ordinal, cancel_asked=True, next_at=now)
