"""One request of each kind tried in real time before the first batch of it: a bad body is found in a second, not in a day.

It is a real purchase: its answer is the request's answer, at the real-time price. A reply that is lost cannot be asked
about, so its hold stays as spent under the name ``doubt`` and the request is sent again under a second hold (promise 3).
"""

from lowtide import points
from lowtide.attempt import AttemptEvent, AttemptState, next_state
from lowtide.catalog import Lane
from lowtide.dispatch import Call, Doubt, TryFirst
from lowtide.errors import TransportFailed
from lowtide.estimate import estimate_input, estimate_output
from lowtide.ledger import Reason, alarm
from lowtide.money import ZERO, Nanos
from lowtide.packing import ShardId, pack_members, unpack_members
from lowtide.providers import ApiError, BodyFacts
from lowtide.result import Billed, Errored, Outcome, Retry, Succeeded, refusal
from lowtide.retry import again, wait
from lowtide.spool import Scales
from lowtide.store import Transaction, books, runs, shards
from lowtide.store.books import Settlement
from lowtide.store.runs import RunRow
from lowtide.store.segments import SegmentWriter
from lowtide.store.shards import Body, ShardRow
from lowtide.worker.hands import Hands, pause, payer
from lowtide.worker.settling import landed_row, price, request_state


async def try_first(hands: Hands, run: RunRow, command: TryFirst) -> None:
    """Reserve for one request of an untested kind, at its real-time ceiling."""
    now = await hands.clock.now()
    kind = command.kind
    members = unpack_members(pack_members([kind.seq]))
    body = next(shards.bodies(hands.store, run.plan_id, members))
    params = hands.store.body(body.body_at)
    facts = hands.codec.read_body(params)
    model = hands.catalog.model(hands.codec.provider, kind.model)
    assert isinstance(facts, BodyFacts), "the plan read this body"
    assert model is not None, "the plan knew this model"
    scales = Scales(hands.codec, hands.catalog, now.date())
    costs = scales.costs(facts, estimate_input(facts, model), estimate_output(facts.max_output_tokens, None))
    ceiling = Nanos(costs.realtime_ceiling)
    shard_id = ShardId(f"lt{hands.clock.new_id(14)}")
    with hands.store.write() as tx:
        sent_before = body.tries > 0 or runs.doubts_about(tx, run.run_id, pack_members([kind.seq]))
        hold_id = books.reserve(
            tx,
            payer=payer(run),
            payee=hands.payee,
            amount=ceiling,
            reason=Reason.POSSIBLE_DUPLICATE if sent_before else Reason.FIRST_REQUEST,
            shard_id=shard_id,
            at=now,
        )
        if hold_id is None:
            pause(tx, run, "at its cap")
            runs.note(tx, run.run_id, now, "paused at its cap: the first request does not fit")
            return
        row = ShardRow(
            shard_id=shard_id,
            run_id=run.run_id,
            plan_id=run.plan_id,
            wave=run.wave,
            route="realtime",
            kind=kind.kind,
            members=members,
            requests=1,
            bytes=body.body_bytes,
            hold_id=hold_id,
            state=AttemptState.RESERVED,
            tries=0,
        )
        shards.insert_shard(tx, row, members=pack_members([kind.seq]), created_at=now, state=AttemptState.RESERVED)
        for was in ("pending", "retry"):
            shards.set_requests(hands.store, tx, run.plan_id, [kind.seq], state="trying", was=was)
    points.reached("pack.after_commit")


async def call(hands: Hands, run: RunRow, command: Call) -> None:
    """Make a reserved call: intent, call, outcome."""
    with hands.store.write() as tx:
        row = shards.shard(tx, command.shard_id)
        if not runs.holds_lease(tx, run.run_id, hands.worker):
            return
        # Promise 2: intent before the call.
        shards.set_shard(
            tx, row.shard_id, state=next_state(row.state, AttemptEvent.INTENT_WRITTEN), tries=row.tries + 1
        )
    points.reached("try.after_intent")
    body = next(shards.bodies(hands.store, row.plan_id, row.members))
    params = hands.store.body(body.body_at)
    try:
        reply = await hands.ask(hands.codec.message_call(params))
    except TransportFailed as error:
        await _no_reply(hands, run, row, error)
        return
    points.reached("try.after_reply")
    outcome = hands.codec.decode_message(status=reply.status, headers=reply.headers, body=reply.body)
    if _may_be_bought(outcome):
        await _unread(hands, run, row, f"the reply to {row.shard_id} cannot be read (HTTP {reply.status})")
    elif isinstance(outcome, ApiError):
        await _refused(hands, run, row, body, outcome)
    else:
        await _answered(hands, run, row, body, outcome)
    points.reached("try.after_outcome")


async def doubt(hands: Hands, run: RunRow, command: Doubt) -> None:
    """The process died while the call was under way."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        row = shards.shard(tx, command.shard_id)
        _write_doubt(hands, tx, run, row)
        runs.note(
            tx, run.run_id, now, f"the reply to {row.shard_id} was lost: its hold counts as spent", level="warning"
        )


def _write_doubt(hands: Hands, tx: Transaction, run: RunRow, row: ShardRow) -> None:
    row = shards.shard(tx, row.shard_id)
    shards.set_shard(tx, row.shard_id, state=next_state(row.state, AttemptEvent.REPLY_LOST))
    books.rename_hold(tx, row.hold_id, Reason.DOUBT)
    shards.set_requests(hands.store, tx, run.plan_id, row.members.tolist(), state="retry", was="trying")
    shards.count_try(tx, run.plan_id, row.members[0])
    # Each doubt may be money: where replies are always lost, the run pauses after as many as refusals.
    body = next(shards.bodies(hands.store, row.plan_id, row.members))
    runs.refuse_kind(tx, run.plan_id, body.kind, body.model)


def _may_be_bought(outcome: Outcome | ApiError) -> bool:
    """Say whether a reply leaves open if the answer was made and billed: it came from a proxy, or cannot be read."""
    if isinstance(outcome, ApiError):
        return outcome.refusal.retry is Retry.AFTER_RECONCILE
    return isinstance(outcome, Errored) and refusal(outcome.code).billed is not Billed.NO


async def _unread(hands: Hands, run: RunRow, row: ShardRow, text: str) -> None:
    """A reply that tells nothing is as good as lost (promise 3)."""
    now = await hands.clock.now()
    with hands.store.write() as tx:
        runs.note(tx, run.run_id, now, f"{text}: its hold counts as spent", level="warning")
        hands.stay_away(tx, now)
        _write_doubt(hands, tx, run, row)


async def _no_reply(hands: Hands, run: RunRow, row: ShardRow, error: TransportFailed) -> None:
    now = await hands.clock.now()
    with hands.store.write() as tx:
        runs.note(tx, run.run_id, now, error.message, level="warning")
        hands.stay_away(tx, now)
        if error.sent:
            _write_doubt(hands, tx, run, row)
        else:
            shards.set_shard(tx, row.shard_id, state=next_state(AttemptState.SENDING, AttemptEvent.NEVER_SENT))


async def _refused(hands: Hands, run: RunRow, row: ShardRow, body: Body, error: ApiError) -> None:
    """A refusal about this body ends it; one about us, or about now, leaves it reserved."""
    passes = error.about_us or error.status in (429, 529)
    if passes or (error.refusal.retry is not Retry.NEVER and row.tries + 1 < hands.retry_rules.tries_max):
        now = await hands.clock.now()
        delay = wait(hands.retry_rules, row.tries + 1, hands.clock.chance(), error.retry_after_seconds)
        with hands.store.write() as tx:
            shards.set_shard(
                tx,
                row.shard_id,
                state=next_state(AttemptState.SENDING, AttemptEvent.NEVER_SENT),
                next_at=now + delay,
            )
        await hands.stumble(run, error)
        return
    outcome = Errored(code=error.code, message=error.message, request_id=error.request_id)
    await _answered(hands, run, row, body, outcome)


async def _answered(hands: Hands, run: RunRow, row: ShardRow, body: Body, outcome: Outcome) -> None:
    """Write answer, outcome, settlement and state together (promise 2)."""
    now = await hands.clock.now()
    answer_at: int | None = None
    segment: SegmentWriter | None = None
    cost, verdict_note = ZERO, ""
    if isinstance(outcome, Succeeded):
        segment = hands.store.new_segment("answers", hands.worker, now)
        answer_at = segment.append(outcome.message)
        segment.sync()
        cost, verdict_note = price(hands, outcome, body.model, Lane.REALTIME, now.date())
    state = request_state(outcome, retry=again(hands.retry_rules, outcome, body.tries + 1), canceling=False)
    with hands.store.write() as tx:
        if isinstance(outcome, Succeeded):
            verdict = books.settle(
                hands.store,
                tx,
                row.hold_id,
                [Settlement(ordinal=0, amount=Nanos(cost), reason=Reason.FIRST_REQUEST)],
                shard_id=row.shard_id,
                at=now,
            )
            if alarm(verdict):
                verdict_note = f"the first request cost more than its ceiling: {body.model} is stopped"
                pause(tx, run, verdict_note)
            runs.pass_kind(tx, run.plan_id, row.kind, body.model)
        else:
            runs.refuse_kind(tx, run.plan_id, row.kind, body.model)
            assert isinstance(outcome, Errored)
            runs.note(
                tx,
                run.run_id,
                now,
                f"the first request of kind {row.kind} ({body.key}) was refused: {outcome.message}",
                level="warning",
            )
        if verdict_note:
            runs.note(tx, run.run_id, now, verdict_note, level="alarm")
        books.release(tx, row.hold_id, at=now)
        landed = landed_row(outcome, ordinal=0, seq=body.seq, state=state, answer_at=answer_at, cost=cost)
        shards.land(hands.store, tx, shard_id=row.shard_id, plan_id=row.plan_id, rows=[landed], at=now)
        shards.set_shard(tx, row.shard_id, state=next_state(AttemptState.SENDING, AttemptEvent.REPLIED), landed_at=now)
        runs.welcome_back(tx, hands.door)
    if segment is not None:
        hands.store.seal_segment(segment)  # not before a row points at it: a sealed one without a row is swept
