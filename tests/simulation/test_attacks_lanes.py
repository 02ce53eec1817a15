"""Attacks on the promises where calls fly, lanes change and providers are several: each test here once broke one.

As in ``test_attacks``: small lives stepped by hand, judged by the simulator's bill.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from life import GPT, MODEL, Life
from sqlalchemy import select
from test_attacks import Tampered, batch_states, begin, live, rows, tamper, until

from lowtide.dispatch import DropShard, Fly
from lowtide.engine import Engine
from lowtide.errors import StoreUnusable, TransportFailed
from lowtide.store import calls, runs
from lowtide.store.schema import ATTEMPTS, CALLS, REQUESTS, SHARDS
from lowtide.wire import HttpCall, HttpReply
from lowtide.worker import Hands, realtime, sending
from lowtide_simulator.faults import FaultKind, Rule

Go = Callable[[], Awaitable[HttpReply]]
BUSY = HttpReply(status=429, headers={"retry-after": "1"}, body=b'{"error":{"type":"rate_limit_error","message":"x"}}')
NO_KEY = HttpReply(
    status=401, headers={}, body=b'{"type":"error","error":{"type":"authentication_error","message":"revoked"}}'
)


class Fickle:
    """A door that loses the first reply to one request, and does not open for another."""

    def __init__(self, *, loses: str = "", shut: str = "") -> None:
        self.loses, self.shut = loses, shut
        self.asked: Counter[str] = Counter()

    async def __call__(self, call: HttpCall, go: Go) -> HttpReply:
        if call.path not in ("/v1/messages", "/v1/responses") or call.body is None:
            return await go()
        key = json.dumps(json.loads(call.body)).partition("node ")[2].partition(":")[0]
        if key == self.shut:
            raise TransportFailed("no connection", sent=False)
        self.asked[key] += 1
        reply = await go()
        if key == self.loses and self.asked[key] == 1:
            raise TransportFailed("no answer: cut", sent=True)
        return reply


def doubts(engine: Engine) -> int:
    with engine.store.read() as tx:
        return len(calls.doubts(tx))


def next_process(life: Life, engine: Engine, door: object) -> Engine:
    """Another process takes over."""
    engine.store.close()
    after = life.engine()
    tamper(after, Tampered(life, door))
    life.current = after
    return after


@pytest.mark.parametrize(("route", "model"), [("realtime", MODEL), ("2h", GPT)])
def test_a_doubt_that_is_settled_while_its_block_is_open_is_not_made_again(route, model):
    """The block forgot a call whose doubt was settled, and the next process made it once more beside the resent one."""
    life = Life(seed=41, widths=(5,), models=(model,), settings={"route": route, "doubts": "resend"})
    door = Fickle(loses="0.2", shut="0.4")

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, door))
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: door.asked["0.2"] == 2)
        assert await engine.settle_doubts(run_id, ["w0-2"], billed=None) == 1
        engine = next_process(life, engine, door)
        door.shut = ""
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        engine.store.close()
        assert report.answered == 5
        assert door.asked["0.2"] == 2, "the lost one, and the one that was sent again"
        assert report.spent >= life.world.bill.nanos, "the settled doubt was booked at the most it can have cost"

    live(body)
    life.bury()


def test_a_block_that_is_given_up_leaves_alone_what_is_out_in_another():
    """What a block has lost goes out in another one; giving the first up once moved it there, to be bought again."""
    life = Life(seed=42, widths=(5,), settings={"route": "realtime", "doubts": "resend"})
    door = Fickle(loses="0.2", shut="0.4")

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, door))
        run_id = await begin(life, engine)
        first = select(REQUESTS.c.state).where(REQUESTS.c.key == "w0-2")
        await until(engine, run_id, lambda: rows(engine, first)[0].state == "trying" and doubts(engine) == 1)
        with engine.store.read() as tx:
            (lost,) = calls.doubts(tx)
            run = runs.find_run(tx, run_id)
        await sending.drop_shard(engine.hands("anthropic"), run, DropShard(run_id=run_id, shard_id=lost.call.shard_id))
        assert rows(engine, first)[0].state == "trying"
        door.shut = ""
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        engine.store.close()
        assert report.answered == 5
        assert door.asked["0.2"] == 2
        life.judge(report)

    live(body)
    life.bury()


def test_a_process_that_had_its_run_taken_over_reads_its_blocks_again():
    """A laptop that slept: another process worked on meanwhile, and what this one remembers of its blocks is old."""
    life = Life(seed=43, widths=(6,), settings={"route": "realtime", "doubts": "resend"})
    door = Fickle(shut="0.5")
    stalled = asyncio.Event()

    async def sleepy(call: HttpCall, go: Go) -> HttpReply:
        if call.body is not None and b"node 0.3:" in call.body and not stalled.is_set():
            stalled.set()
            raise TransportFailed("no connection", sent=False)
        return await door(call, go)

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, sleepy))
        run_id = await begin(life, engine)
        await until(engine, run_id, stalled.is_set)
        assert engine.hands("anthropic").flight.blocks, "it remembers what is left of the block"
        other = life.engine()
        tamper(other, Tampered(life, door))
        await until(other, run_id, lambda: len(rows(other, select(ATTEMPTS.c.seq))) == 5)
        with other.store.write() as tx:
            runs.let_go(tx, other._worker_name)
        other.store.close()
        door.shut = ""
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        engine.store.close()
        assert report.answered == 6
        assert set(door.asked.values()) == {1}
        life.judge(report)

    live(body)
    life.bury()


def test_a_reply_that_comes_after_its_call_became_a_doubt_lets_the_next_one_go(monkeypatch):
    """It is not settled twice, and the pacer learns all the same that its call is over."""
    life = Life(seed=44, widths=(4,), settings={"route": "realtime", "doubts": "resend"})
    held, let_go = asyncio.Event(), asyncio.Event()

    async def slow(call: HttpCall, go: Go) -> HttpReply:
        reply = await go()
        if call.body is not None and b"node 0.2:" in call.body and not held.is_set():
            held.set()
            await let_go.wait()
        return reply

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, slow))
        run_id = await begin(life, engine)
        monkeypatch.setattr(runs, "worker_is_dead", lambda name: name == engine._worker_name)
        worker = engine.worker([run_id])
        turns = asyncio.create_task(worker.work())
        await held.wait()
        other = life.engine()
        tamper(other, Tampered(life, Fickle(shut="0.3")))
        again = select(ATTEMPTS.c.seq).where(ATTEMPTS.c.outcome == "succeeded")
        await until(other, run_id, lambda: len(rows(other, again)) == 3)
        with other.store.write() as tx:
            runs.let_go(tx, other._worker_name)
        other.store.close()
        let_go.set()
        await asyncio.wait_for(turns, 20)
        report = await engine.run_report(run_id)
        pacers = list(worker.doors["anthropic"].flight.pacers.values())
        engine.store.close()
        assert report.answered == 4
        assert sum(pacer.in_flight for pacer in pacers) == 0
        life.judge(report)

    live(body)
    life.bury()


def test_what_breaks_in_one_flight_is_what_is_told(monkeypatch):
    """A full disk at one provider's replies while the other's are in the air: told as such, and not as a riddle."""
    life = Life(seed=45, widths=(2,), models=(MODEL, GPT), settings={"route": "realtime"})

    async def fly(hands: Hands, *_: object) -> None:
        if hands.codec.provider == "openai":
            raise StoreUnusable("the disk is full", hint="make room")
        await asyncio.Event().wait()

    monkeypatch.setattr(realtime, "fly", fly)

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        worker = engine.worker([run_id])
        worker._prepare()
        worker._claim(await engine.clock.now())
        flights = [Fly(run_id=run_id, provider=provider, shards=()) for provider in ("anthropic", "openai")]
        with pytest.raises(StoreUnusable):
            await asyncio.wait_for(worker._fly(flights), 20)
        engine.store.close()

    live(body)
    life.bury()


def test_a_failed_batch_whose_bad_lines_are_none_of_ours_is_not_sent_for_ever():
    """Validation that names line 99 of 3: taking that line out changes nothing, so the requests count a try."""
    life = Life(seed=46, widths=(4,), models=(GPT,))
    made: list[dict] = []

    async def strict(call: HttpCall, go: Go) -> HttpReply:
        if (call.method, call.path) != ("POST", "/v1/batches") or call.body is None:
            return await go()
        problem = {"code": "invalid_json_line", "message": "not a line", "line": 99}
        said = json.loads(call.body)
        made.append(
            {
                "id": f"batch_{len(made)}",
                "object": "batch",
                "status": "failed",
                "created_at": 1_790_000_000,
                "endpoint": said["endpoint"],
                "input_file_id": said["input_file_id"],
                "errors": {"object": "list", "data": [problem]},
                "request_counts": {"total": 0, "completed": 0, "failed": 0},
                "metadata": said["metadata"],
            }
        )
        return HttpReply(status=200, headers={}, body=json.dumps(made[-1]).encode())

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, strict))
        run_id = await begin(life, engine)
        await asyncio.wait_for(engine.worker([run_id], on_turn=few_turns(200)).work(), 20)
        report = await engine.run_report(run_id)
        engine.store.close()
        assert report.over
        assert report.failed == 3
        assert len(made) <= 4

    live(body)
    life.bury()


def few_turns(most: int) -> Callable[[object], None]:
    turns = iter(range(most))

    def count(_turn: object) -> None:
        assert next(turns, None) is not None, "turns without end"

    return count


@pytest.mark.parametrize(
    ("route", "model", "path"), [("batch", MODEL, "/v1/messages/batches/"), ("2h", GPT, "/v1/responses/")]
)
def test_a_cancel_that_the_key_may_not_ask_for_is_asked_again(route, model, path):
    """A revoked key's 401 was taken for "it is over already": the batch went on to its end, and was paid for."""
    life = Life(seed=47, widths=(4,), models=(model,), settings={"route": route})
    refused: list[str] = []
    canceled: list[str] = []

    async def locked(call: HttpCall, go: Go) -> HttpReply:
        if call.path.startswith(path) and call.path.endswith("/cancel"):
            if len(refused) < 2:
                refused.append(call.path)
                return NO_KEY
            canceled.append(call.path)
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, locked))
        run_id = await begin(life, engine)
        out = {"batch": lambda: batch_states(engine) == ["running"]}
        queued = select(CALLS.c.ordinal).where(CALLS.c.state == "queued")
        await until(engine, run_id, out.get(route, lambda: len(rows(engine, queued)) == 3))
        await engine.cancel(run_id)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        engine.store.close()
        assert report.state == "canceled"
        assert canceled
        life.judge(report)

    live(body)
    life.bury()


def test_a_background_response_that_never_ends_is_called_back():
    """Nothing like a batch's window ended it: the run stayed open for ever, and said nothing."""
    stuck = Rule(on="POST /v1/responses", fault=FaultKind.BACKGROUND_STUCK, times=3)
    life = Life(seed=51, widths=(6,), models=(GPT,), settings={"route": "2h"}, rules=(stuck,))
    report = life.live()
    assert (report.state, report.answered) == ("done", 6)
    life.judge(report)
    life.bury()


def test_all_doubts_are_settled_however_many_there_are():
    """Only the first thousand were, and the rest of the money stayed held behind a word that said all."""
    life = Life(seed=48, widths=(3,), settings={"route": "realtime"})

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        (shard, plan) = rows(engine, select(SHARDS.c.shard_id, SHARDS.c.plan_id))[0]
        now = await engine.clock.now()
        with engine.store.write() as tx:
            calls.begin(engine.store, tx, plan, [(shard, 1000 + at, 0) for at in range(1200)], now)
            tx.execute(CALLS.update().values(state="doubtful"))
        assert await engine.settle_doubts(run_id, [], billed=0) == 1200
        assert doubts(engine) == 0
        engine.store.close()

    live(body)
    life.bury()


def test_a_retry_after_of_years_in_real_time_is_obeyed_for_an_hour():
    """One strange header must not put a request off until the next decade."""
    life = Life(seed=49, widths=(3,), settings={"route": "realtime"})
    met: list[str] = []

    async def strange(call: HttpCall, go: Go) -> HttpReply:
        if call.path == "/v1/messages" and len(met) < 2 and (met.append(call.path) or len(met) == 2):
            return HttpReply(status=429, headers={"retry-after": "999999999"}, body=BUSY.body)
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, strange))
        run_id = await begin(life, engine)
        before = await engine.clock.now()
        await engine.worker([run_id]).work()
        after = await engine.clock.now()
        report = await engine.run_report(run_id)
        engine.store.close()
        assert report.answered == 3
        assert timedelta(minutes=59) < after - before < timedelta(hours=3)
        life.judge(report)

    live(body)
    life.bury()


def test_a_request_that_is_larger_than_a_minutes_limit_fails_and_holds_nobody_up():
    """OpenAI says so with a 429, which was taken for load: asked again for ever, and the others behind it."""
    life = Life(seed=50, widths=(5,), models=(GPT,), settings={"route": "realtime"})
    said = {"message": "Request too large for gpt-6-luna on tokens per min (TPM)", "type": "tokens"}
    refusal = json.dumps({"error": {**said, "code": "rate_limit_exceeded", "param": None}}).encode()
    met: list[str] = []

    async def narrow(call: HttpCall, go: Go) -> HttpReply:
        if call.body is not None and b"node 0.1:" in call.body:
            met.append(call.path)
            return HttpReply(status=429, headers={}, body=refusal)
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, narrow))
        run_id = await begin(life, engine)
        await asyncio.wait_for(engine.worker([run_id], on_turn=few_turns(200)).work(), 20)
        report = await engine.run_report(run_id)
        engine.store.close()
        assert (report.answered, report.failed, len(met)) == (4, 1, 1)
        life.judge(report)

    live(body)
    life.bury()
