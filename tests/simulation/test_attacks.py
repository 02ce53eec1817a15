"""Attacks on the promises: each test here once broke one, or shows that it holds where breaking it seemed easy.

The lives are small and stepped by hand: what a user, another process or a strange reply does between two turns.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import msgspec
import pytest
from life import GPT, MODEL, Crash, Life, Tree
from sqlalchemy import select

from lowtide import points
from lowtide.attempt import AttemptState
from lowtide.batch import BatchState
from lowtide.dispatch import (
    BatchId,
    DispatchRules,
    KnownBatch,
    KnownDoor,
    KnownRun,
    KnownShard,
    Pause,
    Role,
    RunId,
    RunState,
    next_commands,
)
from lowtide.engine import Engine
from lowtide.errors import LowtideError, StoreUnusable, TransportFailed
from lowtide.ledger import Account, AccountId
from lowtide.money import Nanos
from lowtide.packing import ShardId
from lowtide.request import Neutral, Request, RequestKey
from lowtide.store import Store, runs
from lowtide.store.schema import BATCHES, EVENTS, PLANS, RUNS
from lowtide.testing import LoopbackTransport
from lowtide.wire import HttpCall, HttpReply, HttpStream
from lowtide.workload import Answers, Document, WorkloadOptions
from lowtide_simulator.faults import ConnectionCut, Rule
from lowtide_simulator.world import Turnaround

BATCH = "/v1/messages/batches/{id}"
CREATE = "POST /v1/messages/batches"
Tamper = Callable[[HttpCall, Callable[[], Awaitable[HttpReply]]], Awaitable[HttpReply]]


def tamper(engine: Engine, transport: LoopbackTransport) -> None:
    """Put a door of ours before every provider."""
    engine.transports = dict.fromkeys(engine.transports, transport)


class Tampered(LoopbackTransport):
    """A door at which somebody meddles with calls and replies."""

    def __init__(self, life: Life, tamper: Tamper) -> None:
        super().__init__(life.app, cut=ConnectionCut)
        self._tamper = tamper

    async def send(self, call: HttpCall, upload: object = None) -> HttpReply:
        return await self._tamper(call, lambda: super(Tampered, self).send(call, upload))


def rules(*said: dict) -> tuple[Rule, ...]:
    return msgspec.convert(list(said), tuple[Rule, ...])


async def begin(life: Life, engine: Engine, **said: object) -> str:
    """Plan and start the life's run."""
    life.current = engine
    planned = await engine.plan(life.folder / "in.tree", options=WorkloadOptions(model=MODEL))
    life.run_id = await engine.start_run(planned.plan.plan_id, cap=said.get("cap"), out=life.folder / "out", fresh=True)
    return life.run_id


async def until(engine: Engine, run_id: str, done: Callable[[], bool], turns: int = 500) -> None:
    """Take turns, sleeping as the worker does, until something is so."""
    worker = engine.worker([run_id])
    worker._prepare()
    for _ in range(turns):
        if done():
            return
        turn = await worker.turn()
        if not turn.commands:
            now = await engine.clock.now()
            await engine.clock.sleep_until(min(turn.wake_at or now, now + timedelta(minutes=5)))
    raise AssertionError("it never came to that")


def rows(engine: Engine, query: object) -> list:
    with engine.store.read() as tx:
        return list(tx.execute(query).all())


def batch_states(engine: Engine) -> list[str]:
    return [row.state for row in rows(engine, select(BATCHES).order_by(BATCHES.c.batch_id))]


def posts(life: Life, path: str) -> int:
    return sum(1 for line in life.world.log if line.method == "POST" and line.path == path)


def live(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())


# --- the door ---


def test_a_shard_given_up_before_it_was_sent_leaves_the_queue():
    """A canceled run's unsent shard once counted as queued for ever: the runs after it starved in silence."""
    life = Life(seed=31, widths=(6,), settings={"queued_requests_max": 5})

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: batch_states(engine) == ["planned"])
        await engine.cancel(run_id)
        await engine.worker([run_id]).work()
        assert (await engine.run_report(run_id)).state == "canceled"
        with engine.store.read() as tx:
            assert runs.known_door(tx, engine.hands("anthropic").door).queued_requests == 0
        engine.store.close()

    live(body)
    life.bury()


# --- real-time calls ---


def test_a_reply_that_no_api_wrote_is_a_doubt():
    """A proxy's 502 to a real-time call: the API behind it did the work and bills it, so its hold stays, by name."""
    life = Life(seed=32, widths=(4,))
    met = []

    async def proxy(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        reply = await go()
        if call.path == "/v1/messages" and not met:
            met.append(call)
            return HttpReply(status=502, headers={}, body=b"<html>Bad Gateway</html>")
        return reply

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, proxy))
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.answered == 4
        assert set(report.nothing_bought) == {"doubt"}
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


def test_an_answer_that_cannot_be_read_is_a_doubt():
    """A 200 with a garbled body was bought: it must not vanish from the books."""
    life = Life(seed=33, widths=(4,))
    met = []

    async def garbler(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        reply = await go()
        if call.path == "/v1/messages" and not met:
            met.append(call)
            return HttpReply(status=200, headers=reply.headers, body=reply.body.replace(b'"usage"', b'"usaqe"'))
        return reply

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, garbler))
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.answered == 4
        assert set(report.nothing_bought) == {"doubt"}
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


def test_real_time_replies_that_are_always_lost_stop_the_run():
    """A proxy that cuts every long call: each try may be billed, so the run pauses after a few, and says why."""
    life = Life(seed=34, widths=(4,))

    async def cutter(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        reply = await go()
        if call.path == "/v1/messages":
            raise TransportFailed("no answer to POST /v1/messages: cut", sent=True)
        return reply

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, cutter))
        run_id = await begin(life, engine)
        await asyncio.wait_for(engine.worker([run_id], on_turn=_stop_after(200)).work(), 30)
        report = await engine.run_report(run_id)
        assert report.state == "paused"
        assert posts(life, "/v1/messages") <= 3
        engine.store.close()

    live(body)
    life.bury()


def _stop_after(most: int) -> Callable[[object], None]:
    turns = 0

    def count(_turn: object) -> None:
        nonlocal turns
        turns += 1
        assert turns < most, "turns without end"

    return count


# --- results ---


class Garbled(Tampered):
    """A door at which the results of batches are changed on their way."""

    def __init__(self, life: Life, change: Callable[[bytes], bytes]) -> None:
        async def untouched(_call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
            return await go()

        super().__init__(life, untouched)
        self._change = change

    @asynccontextmanager
    async def stream(self, call: HttpCall) -> AsyncIterator[HttpStream]:
        async with super().stream(call) as reply:
            body = b"".join([chunk async for chunk in reply.chunks])

            async def chunks() -> AsyncIterator[bytes]:
                yield self._change(body)

            yield HttpStream(status=reply.status, headers=reply.headers, chunks=chunks())


def test_an_answer_in_a_batch_without_usage_stays_held_by_name():
    """The provider counts it as succeeded and bills it; we cannot say how much: its ceiling stays held."""
    life = Life(seed=35, widths=(6,))
    changed = []

    def change(body: bytes) -> bytes:
        if changed:
            return body
        changed.append(1)
        return body.replace(b'"usage"', b'"usaqe"', 2)

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Garbled(life, change))
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.answered == 6
        assert set(report.nothing_bought) == {"row_missing"}
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


# --- waves ---


def test_a_wave_that_was_broken_off_is_not_bought_after_cancel_and_retry():
    """Rows of a half made wave are not there: cancel and retry once sent them, and made the wave once more after that."""
    life = Life(seed=36, widths=(6, 4))

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        life.crash_at = {"wave.before_seal": 1}
        points.stop_with(life._maybe)
        try:
            await engine.worker([run_id]).work()
        except Crash:
            pass
        finally:
            points.stop_with(None)
        assert life.crashes == 1
        engine.store.close()

        engine = life.current = life.engine()
        await engine.cancel(run_id)
        await engine.worker([run_id]).work()
        assert (await engine.run_report(run_id)).state == "canceled"
        await engine.retry(run_id)
        await engine.resume(run_id)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        engine.store.close()
        bought = [name for batch in life.world.batches.values() for name in batch.columns.custom_ids]
        assert len(bought) + posts(life, "/v1/messages") <= 10
        life.judge(report)

    live(body)
    life.bury()


# --- keys ---


def test_a_worker_with_another_key_leaves_the_run_alone():
    """To another account's key every batch of ours is a 404: it once counted as lost, and was bought a second time."""
    life = Life(seed=37, widths=(6,), options={"turnaround": Turnaround.parse("9000-9000")})

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: batch_states(engine) == ["running"])
        engine.store.close()

        life.settings = {"credential": "other"}
        other = life.current = life.engine()
        turn = await other.worker(None).work()
        assert turn.open_runs == ()
        assert batch_states(other) == ["running"]
        with pytest.raises(LowtideError, match="default"):
            other.worker([run_id])
        other.store.close()

    live(body)
    life.bury()


def test_a_batch_that_is_not_found_any_more_is_never_bought_again_unasked():
    """The wrong key under the right name: the run pauses and says so; with the right key it goes on as if nothing was."""
    life = Life(seed=38, widths=(6,), options={"turnaround": Turnaround.parse("9000-9000")})
    wrong = []

    async def stranger(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        if wrong and "/batches/" in call.path:
            body = b'{"type":"error","error":{"type":"not_found_error","message":"no such batch"}}'
            return HttpReply(status=404, headers={}, body=body)
        if wrong and call.method == "GET" and "/batches?" in call.path:
            return HttpReply(status=200, headers={}, body=b'{"data":[],"has_more":false}')
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, stranger))
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: batch_states(engine) == ["running"])
        wrong.append(1)
        state = lambda: rows(engine, select(RUNS.c.state))[0].state  # noqa: E731
        await until(engine, run_id, lambda: state() == "paused")
        assert batch_states(engine) == ["running"]
        wrong.clear()
        await engine.resume(run_id)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.answered == 6
        assert len(life.world.batches) == 1
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


def test_a_batch_that_is_gone_is_given_up_when_its_run_is_canceled():
    """What was deleted at the provider ends with its run: held by name, nothing waits for ever."""
    life = Life(seed=39, widths=(6,), options={"turnaround": Turnaround.parse("9000-9000")})
    gone = []

    async def deleted(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        if gone and "/batches/" in call.path:
            body = b'{"type":"error","error":{"type":"not_found_error","message":"no such batch"}}'
            return HttpReply(status=404, headers={}, body=body)
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, deleted))
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: batch_states(engine) == ["running"])
        gone.append(1)
        state = lambda: rows(engine, select(RUNS.c.state))[0].state  # noqa: E731
        await until(engine, run_id, lambda: state() == "paused")
        await engine.cancel(run_id)
        await engine.worker([run_id], on_turn=_stop_after(500)).work()
        report = await engine.run_report(run_id)
        assert report.state == "canceled"
        assert set(report.nothing_bought) == {"row_missing"}
        engine.store.close()

    live(body)
    life.bury()


# --- prices ---


def test_a_shard_packed_before_a_price_change_is_not_sent_after_it():
    """Promise 5: the hold was made at yesterday's price, so it is no bound of what today's create would cost."""
    packed = KnownShard(
        shard_id=ShardId("lt00000000000000"),
        route="batch",
        state=AttemptState.OUT,
        delivered=False,
        batches=(
            KnownBatch(
                batch_id=BatchId(1),
                role=Role.OURS,
                state=BatchState.PLANNED,
                provider_batch_id=None,
                creates=0,
                verified=False,
                cancel_asked=False,
                landed=False,
                next_at=None,
            ),
        ),
    )
    calls = KnownShard(
        shard_id=ShardId("lt00000000000001"),
        route="realtime",
        state=AttemptState.RESERVED,
        delivered=False,
        unstarted=7,
    )
    known = KnownRun(
        run_id=RunId("r_1"),
        state=RunState.ACTIVE,
        wave=0,
        waves=1,
        lots=(),
        untested=(),
        account=Account(account_id=AccountId("run:r_1"), limit=None, held=Nanos(5)),
        prices_hold=False,
        shards=(packed, calls),
    )
    door = KnownDoor(unconfirmed_batch=None, backoff_until=None, queued_requests=0)
    limits = DispatchRules(queued_requests_max=100, shard_requests_max=100)
    decision = next_commands([known], {"anthropic": door}, limits, datetime(2026, 11, 22, tzinfo=UTC))
    assert [type(command) for command in decision.commands] == [Pause]


class Turncoat(Tree):
    """A workload whose later wave asks a model that its first did not."""

    def _wave(self, wave: int, answers: Answers | None) -> Iterator[Request]:
        for request in super()._wave(wave, answers):
            yield replace(request, model=GPT if wave else MODEL)


def test_a_later_wave_asks_nobody_whom_the_plan_does_not_name():
    """Promise 5. The worker had no hands at that provider, and ended with an error of its own."""
    life = Life(seed=44, widths=(3, 1))
    life.tree = Turncoat(life.widths)

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        await engine.worker([run_id], on_turn=_stop_after(500)).work()
        report = await engine.run_report(run_id)
        assert (report.state, report.answered) == ("paused", 3)
        assert "it asks openai, which the plan does not name" in report.reason
        assert not list(life.world.openai.batches)
        engine.store.close()

    live(body)
    life.bury()


# --- the create ---


def test_another_accounts_listing_does_not_prove_that_a_create_never_arrived():
    """Doubtful, and the key under our name is another workspace's now: its listing is empty. Sent again, it was bought twice."""
    life = Life(seed=40, widths=(6,), rules=rules({"on": CREATE, "fault": "lost_reply_after_commit", "nth": 2}))
    wrong = []

    async def stranger(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        if wrong and call.method == "GET" and "/batches?" in call.path:
            return HttpReply(status=200, headers={}, body=b'{"data":[],"has_more":false}')
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, stranger))
        await asyncio.to_thread(life._be_a_stranger)
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: "doubtful" in batch_states(engine))
        wrong.append(1)
        state = lambda: rows(engine, select(RUNS.c.state))[0].state  # noqa: E731
        await until(engine, run_id, lambda: state() == "paused")
        assert batch_states(engine) == ["doubtful"]
        wrong.clear()
        await engine.resume(run_id)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.answered == 6
        assert len(life.world.batches) == 2, "the stranger's and ours"
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


@pytest.mark.parametrize("status", [408, 409, 499])
def test_a_create_answered_with_a_408_or_a_409_is_a_doubt(status):
    """A proxy that gave up waiting says 408; the batch behind it is there."""
    life = Life(seed=41, widths=(6,))
    met = []

    async def proxy(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        reply = await go()
        if call.method == "POST" and call.path.endswith("/batches") and not met:
            met.append(call)
            return HttpReply(status=status, headers={}, body=b"")
        return reply

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, proxy))
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.answered == 6
        assert len(life.world.batches) == 1
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


def test_a_slow_upload_of_few_large_bodies_keeps_its_claim():
    """A claim was renewed every 5,000 requests: 256 MB of large bodies over a slow line outlived it, and were sent twice."""
    life = Life(seed=42, widths=(60,))
    life.tree._wave = lambda wave, _answers: (  # type: ignore[method-assign]
        Request(
            key=RequestKey(f"w{wave}-{number}"),
            model=MODEL,
            kind="kind0",
            body=Neutral(text="word " * 40_000, max_output_tokens=9),
        )
        for number in range(60)
    )
    renewed = []

    async def watch(call: HttpCall, go: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        if call.method == "POST" and call.path.endswith("/batches"):
            before = rows(life.current, select(RUNS.c.leased_until))[0].leased_until
            await life.current.clock.sleep_until(await life.current.clock.now() + timedelta(minutes=1))
            reply = await go()
            renewed.append(rows(life.current, select(RUNS.c.leased_until))[0].leased_until > before)
            return reply
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, watch))
        run_id = await begin(life, engine)
        await until(engine, run_id, lambda: bool(renewed))
        assert renewed == [True]
        engine.store.close()

    live(body)
    life.bury()


# --- documents ---


def test_an_edited_index_is_not_overwritten():
    """An index page that its reader wrote notes on is left, and said so, when the run ends a second time."""
    life = Life(
        seed=43,
        widths=(6,),
        rules=rules(
            {"on": CREATE, "fault": "items_errored", "rows": 2, "times": 4, "error_type": "api_error", "share": 0.5}
        ),
        settings={"tries_max": 1},
    )

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        assert (await engine.run_report(run_id)).failed
        index = life.folder / "out" / "index.md"
        edited = index.read_text() + "\nmy notes"
        index.write_text(edited)
        await engine.retry(run_id)
        await engine.worker([run_id]).work()
        assert index.read_text() == edited
        assert any("left as it is" in row.text for row in rows(engine, select(EVENTS)))
        engine.store.close()

    live(body)
    life.bury()


def test_an_index_that_nobody_touched_is_brought_up_to_date():
    life = Life(
        seed=43,
        widths=(6,),
        rules=rules({"on": CREATE, "fault": "items_errored", "times": 1, "error_type": "api_error", "share": 0.5}),
        settings={"tries_max": 1},
    )

    async def body() -> None:
        engine = life.engine()
        life.tree.indexes = lambda _scope, finished: [  # type: ignore[method-assign]
            Document(path=PurePosixPath("index.md"), text=f"lowtide\n{sorted(finished.items())}")
        ]
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        index = life.folder / "out" / "index.md"
        assert "errored" in index.read_text()
        await engine.retry(run_id)
        await engine.worker([run_id]).work()
        assert "errored" not in index.read_text()
        engine.store.close()

    live(body)
    life.bury()


def test_what_is_retried_while_the_run_ends_is_not_left_behind():
    """The user's retry falls between the last document and the mark: the run once ended with requests that waited."""
    life = Life(
        seed=44,
        widths=(6,),
        rules=rules({"on": CREATE, "fault": "items_errored", "times": 1, "error_type": "api_error", "share": 0.5}),
        settings={"tries_max": 1},
    )
    met = []

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)

        def meddle(name: str) -> None:
            if name == "finish.before_mark" and not met:
                met.append(name)
                thread = threading.Thread(target=lambda: asyncio.run(engine.retry(run_id)))
                thread.start()
                thread.join()

        points.stop_with(meddle)
        try:
            await engine.worker([run_id]).work()
        finally:
            points.stop_with(None)
        report = await engine.run_report(run_id)
        assert met
        assert report.state == "done"
        assert report.answered == 6
        engine.store.close()
        life.judge(report)

    live(body)
    life.bury()


# --- the world's words ---


def test_a_retry_after_of_years_is_obeyed_for_an_hour():
    """And one beyond the calendar is no traceback."""
    life = Life(seed=45, widths=(6,))
    for said in ("999999999", "Fri, 31 Dec 9999 23:59:59 GMT"):
        met = []

        async def later(
            call: HttpCall, go: Callable[[], Awaitable[HttpReply]], met: list = met, said: str = said
        ) -> HttpReply:
            if call.method == "POST" and call.path.endswith("/batches") and not met:
                met.append(call)
                body = b'{"type":"error","error":{"type":"rate_limit_error","message":"later"}}'
                date = "Sat, 21 Nov 2026 10:00:00 GMT"
                return HttpReply(status=429, headers={"retry-after": said, "date": date}, body=body)
            return await go()

        async def body(later: Tamper = later) -> None:
            engine = life.engine()
            tamper(engine, Tampered(life, later))
            start = await engine.clock.now()
            run_id = await begin(life, engine)
            await engine.worker([run_id]).work()
            report = await engine.run_report(run_id)
            assert report.answered == 6
            assert report.ended_at - start < timedelta(days=2)
            engine.store.close()

        live(body)
    life.bury()


def test_a_provider_that_does_not_answer_is_told_of_once():
    """Nothing but polls that fail: the run's history once said nothing at all."""
    life = Life(
        seed=46,
        widths=(6,),
        rules=rules({"on": "GET /v1/messages/batches/{id}", "fault": "status", "status": 503, "times": 6}),
    )

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        await engine.worker([run_id]).work()
        told = [row.text for row in rows(engine, select(EVENTS)) if "asked again" in row.text]
        assert len(told) == 1
        engine.store.close()

    live(body)
    life.bury()


def test_an_address_with_a_password_is_never_printed(tmp_path):
    for url in (
        "postgres//me:hunter2@host/db",
        "nonsense://me:hunter2@host/db",
        "postgresql+nope://me:hunter2@127.0.0.1:1/db",
    ):
        with pytest.raises(StoreUnusable) as error:
            Store(tmp_path, url=url).open()
        assert "hunter2" not in f"{error.value} {error.value.hint}"


def test_a_late_twin_of_another_shard_of_the_same_size_is_booked():
    """Two shards of equal size, both sent twice: whose twin a late batch is, only its results tell."""
    life = Life(
        seed=47,
        widths=(9,),
        rules=rules(
            {"on": CREATE, "fault": "lost_reply_after_commit", "times": 2},
            {"on": CREATE, "fault": "delay", "seconds": 200, "times": 2},
        ),
        options={"turnaround": Turnaround.parse("1500-1500")},
        settings={"batch_requests_max": 4},
        twins_expected=True,
    )

    report = life.live()
    life.judge(report)
    assert report.answered == 9
    life.bury()


# --- one run's trouble is not another's ---


def test_a_workload_that_is_not_installed_here_stops_its_own_run_only():
    """One run that cannot go on here once ended the worker of every run, at each start again."""
    life = Life(seed=48, widths=(6, 2))

    async def body() -> None:
        engine = life.engine()
        first = await begin(life, engine)
        planned = await engine.plan(life.folder / "in.tree", options=WorkloadOptions(model=MODEL))
        second = await engine.start_run(planned.plan.plan_id, cap=None, out=None, fresh=True)
        with engine.store.write() as tx:
            tx.execute(PLANS.update().where(PLANS.c.plan_id == first.replace("r_", "p_")).values(workload="elsewhere"))
        await engine.worker(None, on_turn=_stop_after(500)).work()
        report = await engine.run_report(first)
        assert "elsewhere" in report.reason
        assert report.state == "paused"
        assert (await engine.run_report(second)).state == "done"
        engine.store.close()

    live(body)
    life.bury()


def test_an_archived_batch_is_not_adopted():
    """Its results are gone: it was once asked for them for ever, and every run of the account waited with it."""
    life = Life(seed=49, widths=(6,))

    async def body() -> None:
        await asyncio.to_thread(life._be_a_stranger)
        engine = life.engine()
        now = await engine.clock.now()
        await engine.clock.sleep_until(now + timedelta(days=31))
        batch = next(iter(await engine.unknown_batches()))
        with pytest.raises(LowtideError, match="gone"):
            await engine.adopt(batch.provider_batch_id)
        engine.store.close()

    live(body)
    life.bury()


def test_an_adopted_batch_whose_results_never_come_ends():
    life = Life(seed=50, widths=(6,), rules=rules({"on": f"GET {BATCH}/results", "fault": "results_vanish"}))

    async def body() -> None:
        await asyncio.to_thread(life._be_a_stranger)
        engine = life.engine()
        batch = next(iter(await engine.unknown_batches()))
        run_id = await engine.adopt(batch.provider_batch_id)
        await engine.worker([run_id], on_turn=_stop_after(500)).work()
        assert (await engine.run_report(run_id)).state == "done"
        assert any("never came" in row.text for row in rows(engine, select(EVENTS)))
        engine.store.close()

    live(body)
    life.bury()
