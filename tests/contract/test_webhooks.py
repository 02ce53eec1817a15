"""The receiver of webhooks before its judges: OpenAI's client and the ``standardwebhooks`` package read the same bytes.

The deliveries come from the simulator, with its faults. A whole desk is here too: what would be looked at in five minutes
is looked at when an event says so, and not when a forged one does.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import openai.lib._webhooks
import pytest
import standardwebhooks.webhooks
from sqlalchemy import select
from standardwebhooks import Webhook, WebhookVerificationError

from lowtide.clock import SimulatorClock, SystemClock
from lowtide.dispatch import RunId
from lowtide.engine import Engine
from lowtide.errors import CredentialMissing, SettingsInvalid, StoreUnusable
from lowtide.settings import load_catalog, read_settings
from lowtide.store import Store
from lowtide.store.schema import BATCHES, CALLS, WEBHOOKS
from lowtide.store.webhooks import Event, Heard, hear
from lowtide.testing import LoopbackTransport
from lowtide.webhooks import BODY_BYTES_MAX, KEEP, Arrival, Receiver, Refused, listen, refusal, secret_from
from lowtide.wire import HttpCall
from lowtide.worker import Turn, Worker
from lowtide.workload import WorkloadOptions
from lowtide.workloads.batch_file import WORKLOAD
from lowtide_simulator.app import create_app
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.in_process import OPENAI_HEADERS, InProcess
from lowtide_simulator.webhooks import SECRET
from lowtide_simulator.world import Turnaround, World, WorldOptions

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp())
OTHER = "whsec_" + base64.b64encode(b"another secret, thirty-two bytes").decode()
PACKAGED = load_catalog(read_settings({}, {}, Path("/")))
BODY = json.dumps(
    {"id": "evt_1", "object": "event", "created_at": STAMP, "type": "batch.completed", "data": {"id": "batch_a"}}
).encode()
FULL_TURN = timedelta(minutes=5)


def signed(
    body: bytes = BODY, *, webhook_id: str = "wh_1", at: int = STAMP, secret: str = SECRET, **changes: str
) -> dict[str, str]:
    """Headers as the judge's own package makes them."""
    made = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": Webhook(secret).sign(webhook_id, datetime.fromtimestamp(at, UTC), body.decode()),
    }
    return made | {name.replace("_", "-"): value for name, value in changes.items()}


@dataclass
class Judges:
    """Two that others wrote, with their clocks at our ``now``."""

    patch: pytest.MonkeyPatch

    def believe(self, headers: dict[str, str], body: bytes, *, at: datetime = NOW, secret: str = SECRET) -> list[bool]:
        class Clock(standardwebhooks.webhooks.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return at

        self.patch.setattr(standardwebhooks.webhooks, "datetime", Clock)
        self.patch.setattr(openai.lib._webhooks.time, "time", at.timestamp)
        return [self._package(headers, body, secret), self._client(headers, body, secret)]

    def _package(self, headers: dict[str, str], body: bytes, secret: str) -> bool:
        try:
            Webhook(secret).verify(body, headers)
        except (WebhookVerificationError, ValueError):  # ValueError: it does not read such a header at all
            return False
        return True

    def _client(self, headers: dict[str, str], body: bytes, secret: str) -> bool:
        with openai.OpenAI(api_key="sk-x", webhook_secret=secret) as client:
            try:
                client.webhooks.unwrap(body, headers)
            except (openai.InvalidWebhookSignatureError, ValueError):
                return False
        return True


@pytest.fixture
def judges() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield Judges(patch)


# signatures

CASES: dict[str, tuple[dict[str, str], bytes, bool]] = {
    "whole": (signed(), BODY, True),
    "as old as allowed": (signed(at=STAMP - 300), BODY, True),
    "too old": (signed(at=STAMP - 301), BODY, False),
    "as new as allowed": (signed(at=STAMP + 300), BODY, True),
    "too new": (signed(at=STAMP + 301), BODY, False),
    "another secret's": (signed(secret=OTHER), BODY, False),
    "another body": (signed(), BODY.replace(b"batch_a", b"batch_b"), False),
    "another id": (signed(webhook_id="wh_2") | {"webhook-id": "wh_1"}, BODY, False),
    "another time": (signed(at=STAMP - 1) | {"webhook-timestamp": str(STAMP)}, BODY, False),
    "several signatures, ours last": (
        signed(webhook_signature=f"{signed(secret=OTHER)['webhook-signature']} {signed()['webhook-signature']}"),
        BODY,
        True,
    ),
    "of another kind before it": (signed(webhook_signature=f"v1a,AAAA {signed()['webhook-signature']}"), BODY, True),
    "of another kind": (signed(webhook_signature=signed()["webhook-signature"].replace("v1,", "v2,")), BODY, False),
    "cut short": (signed(webhook_signature=signed()["webhook-signature"][:-5] + "="), BODY, False),
    "nothing behind v1": (signed(webhook_signature="v1,"), BODY, False),
    "no signature": (signed(webhook_signature=""), BODY, False),
    "no id": (signed(webhook_id=""), BODY, False),
    "no time": (signed(webhook_timestamp=""), BODY, False),
    "a time in words": (signed(webhook_timestamp="now"), BODY, False),
    "a time without end": (signed(webhook_timestamp="9" * 30), BODY, False),
    "letters beyond ASCII": (signed(webhook_signature="v1,ÅÄÖ="), BODY, False),
}


@pytest.mark.parametrize("name", CASES)
def test_we_believe_what_both_judges_believe(judges: Judges, name: str) -> None:
    headers, body, believed = CASES[name]
    assert (refusal([secret_from(SECRET)], headers, body, NOW) is None) is believed
    if name not in ("letters beyond ASCII", "a time without end"):  # where a judge ends in an error of its own
        assert all(judges.believe(headers, body)) is believed


def test_both_secrets_hold_while_one_is_replaced() -> None:
    secrets = [secret_from(SECRET), secret_from(OTHER)]
    assert refusal(secrets, signed(), BODY, NOW) is None
    assert refusal(secrets, signed(secret=OTHER), BODY, NOW) is None
    assert refusal(secrets[1:], signed(), BODY, NOW) is Refused.SIGNATURE


def test_the_simulators_deliveries_are_believed_by_all(judges: Judges) -> None:
    deliveries = deliver(World(WorldOptions(turnaround=Turnaround.parse("60"))))
    assert len(deliveries) == 1
    for headers, body in deliveries:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert refusal([secret_from(SECRET)], headers, body, at) is None
        assert judges.believe(headers, body, at=at) == [True, True]
        assert refusal([secret_from(OTHER)], headers, body, at) is Refused.SIGNATURE


def deliver(world: World, *faults: str) -> list[tuple[dict[str, str], bytes]]:
    """What the simulator delivers for one batch."""
    it = InProcess(world, OPENAI_HEADERS)
    got: list[tuple[dict[str, str], bytes]] = []
    world.webhooks.sink = lambda headers, body: got.append((headers, body)) or 200
    for fault in faults:
        it.ask("POST", "/_simulator/faults", {"on": "WEBHOOK batch.completed", "fault": fault, "times": 1})
    file = it.upload(json.dumps(LINE).encode()).json()["id"]
    it.ask("POST", "/v1/batches", {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"})
    it.advance(200)
    return got


LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/responses",
    "body": {
        "model": "gpt-6-luna",
        "max_output_tokens": 20,
        "input": "Hello",
        "service_tier": "default",
        "store": True,
    },
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not begin with whsec_"),
        ("sk-proj-1234567890", "does not begin with whsec_"),
        ("whsec_", "has 0 bytes"),
        ("whsec_AAAA", "has 3 bytes"),
        ("whsec_not base64 at all, this", "is not base64"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_shown(text: str, said: str) -> None:
    with pytest.raises(CredentialMissing, match=said) as refused:
        secret_from(text)
    assert "1234567890" not in str(refused.value)


def test_a_secret_without_padding_is_the_same() -> None:
    assert secret_from(OTHER.rstrip("=")) == secret_from(OTHER)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_only_this_machine_is_listened_to_unless_somebody_says_so(host: str) -> None:
    with pytest.raises(SettingsInvalid, match="can be reached from other machines"):
        listen(host, 0, public=False)


def test_public_is_said_explicitly() -> None:
    with listen("0.0.0.0", 0, public=True) as bound, pytest.raises(SettingsInvalid, match="cannot listen"):
        listen("0.0.0.0", bound.getsockname()[1], public=True)
    with listen("localhost", 0, public=False):
        pass


# the receiver alone


class Still(SystemClock):
    """A clock that a test moves."""

    at = NOW

    async def now(self) -> datetime:
        return self.at


@dataclass
class Ear:
    """A receiver over an empty store, and its door."""

    store: Store
    clock: Still
    receiver: Receiver
    door: LoopbackTransport
    arrivals: list[Arrival] = field(default_factory=list)

    async def post(self, headers: dict[str, str], body: bytes = BODY, path: str = "/", method: str = "POST") -> int:
        return (await self.door.send(HttpCall(method=method, path=path, headers=headers, body=body))).status

    def kept(self) -> list[str]:
        with self.store.read() as tx:
            return list(tx.execute(select(WEBHOOKS.c.webhook_id).order_by(WEBHOOKS.c.webhook_id)).scalars())


Scene = Callable[[Ear], Awaitable[None]]


@asynccontextmanager
async def ear_at(folder: Path) -> AsyncIterator[Ear]:
    store = Store(folder / "store", durable=False).open()
    clock = Still()
    arrivals: list[Arrival] = []
    receiver = Receiver(store=store, clock=clock, secrets=[secret_from(SECRET)], on_arrival=arrivals.append)
    try:
        door = LoopbackTransport(receiver.application(), cut=ConnectionCut)
        yield Ear(store, clock, receiver, door, arrivals)
    finally:
        receiver.close()
        store.close()


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        async def whole() -> None:
            async with ear_at(tmp_path) as ear:
                await asyncio.wait_for(scene(ear), 30)

        asyncio.run(whole())

    return run


def test_what_is_signed_is_answered_2xx_and_counted(play: Callable[[Scene], None]) -> None:
    async def scene(ear: Ear) -> None:
        assert await ear.post(signed()) == 204
        assert await ear.post(signed()) == 204
        other = BODY.replace(b"batch.completed", b"video.completed")
        assert await ear.post(signed(other, webhook_id="wh_2"), other) == 204
        for number, unreadable in enumerate(
            (b"", b"[]", b"{", b'{"type": "batch.completed"}', b'{"type":1,"data":{}}')
        ):
            assert await ear.post(signed(unreadable, webhook_id=f"wh_u{number}"), unreadable) == 204
        assert ear.receiver.counts == {
            Heard.UNKNOWN_OBJECT: 1,
            Heard.DUPLICATE: 1,
            Heard.UNKNOWN_TYPE: 1,
            Refused.UNREADABLE: 5,
        }
        assert ear.kept() == ["wh_1", "wh_2"]
        assert [arrival.verdict for arrival in ear.arrivals][:3] == [
            Heard.UNKNOWN_OBJECT,
            Heard.DUPLICATE,
            Heard.UNKNOWN_TYPE,
        ]

    play(scene)


def test_what_is_not_signed_is_refused_and_nothing_is_written(play: Callable[[Scene], None]) -> None:
    async def scene(ear: Ear) -> None:
        assert await ear.post({}) == 400
        assert await ear.post(signed(secret=OTHER)) == 400
        assert await ear.post(signed(at=STAMP - 301)) == 400
        assert await ear.post(signed(), BODY + b" ") == 400
        ear.clock.at = NOW + timedelta(minutes=6)
        assert await ear.post(signed()) == 400
        assert ear.receiver.counts == {Refused.HEADERS: 1, Refused.SIGNATURE: 2, Refused.TIMESTAMP: 2}
        assert ear.kept() == []
        assert await ear.post(signed(), method="GET") == 405
        assert await ear.post(signed(), path="/elsewhere") == 404

    play(scene)


def test_a_body_larger_than_any_event_is_not_read(play: Callable[[Scene], None]) -> None:
    async def scene(ear: Ear) -> None:
        most = b" " * (BODY_BYTES_MAX - len(BODY)) + BODY
        assert await ear.post(signed(most), most) == 204
        large = b" " + most
        assert await ear.post(signed(large, webhook_id="wh_2"), large) == 413
        assert ear.kept() == ["wh_1"]

    play(scene)


def test_a_body_that_is_announced_as_large_is_not_waited_for(play: Callable[[Scene], None]) -> None:
    async def scene(ear: Ear) -> None:
        class Untouched:
            length = BODY_BYTES_MAX + 1

            @property
            async def chunks(self) -> AsyncIterator[bytes]:
                raise AssertionError("it is read")
                yield b""

        call = HttpCall(method="POST", path="/", headers=signed())
        assert (await ear.door.send(call, Untouched())).status == 413  # type: ignore[arg-type]

    play(scene)


def test_a_body_that_hides_its_length_is_cut_off(play: Callable[[Scene], None]) -> None:
    """No content-length: pieces without end."""

    async def scene(ear: Ear) -> None:
        sent = 0
        replies: list[Any] = []

        async def receive() -> dict[str, Any]:
            nonlocal sent
            sent += 1
            assert sent < 100, "it is read on and on"
            return {"type": "http.request", "body": b" " * 10_000, "more_body": True}

        async def send(message: Any) -> None:
            replies.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [],
        }
        await ear.receiver.application()(scope, receive, send)
        assert replies[0]["status"] == 413

    play(scene)


def test_a_body_that_does_not_come_is_not_waited_for(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowtide.webhooks.READ_SECONDS", 0.01)

    async def scene(ear: Ear) -> None:
        class Never:
            length = 10

            @property
            async def chunks(self) -> AsyncIterator[bytes]:
                await asyncio.Event().wait()
                yield b""

        call = HttpCall(method="POST", path="/", headers=signed())
        assert (await ear.door.send(call, Never())).status == 408  # type: ignore[arg-type]
        assert ear.kept() == []

    play(scene)


def test_a_store_that_is_kept_busy_has_it_delivered_again(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowtide.webhooks.STORE_SECONDS", 0.05)

    async def scene(ear: Ear) -> None:
        with ear.store.write():  # another process at work
            assert await ear.post(signed()) == 503
            assert await ear.post(signed(webhook_id="wh_2")) == 503
            assert await ear.post(signed(webhook_id="wh_2")) == 503
            assert ear.receiver._threads._work_queue.empty()  # what comes again does not queue up behind the first
        monkeypatch.setattr("lowtide.webhooks.STORE_SECONDS", 10.0)
        assert await ear.post(signed()) == 204
        assert await ear.post(signed(webhook_id="wh_2")) == 204
        assert ear.kept() == ["wh_1", "wh_2"]
        assert ear.receiver.counts[Refused.STORE_BUSY] == 3

    play(scene)


def test_a_store_that_is_full_has_it_delivered_again(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(ear: Ear) -> None:
        def full(*_words: object) -> None:
            raise StoreUnusable("the disk is full", hint="")

        with monkeypatch.context() as patch:
            patch.setattr(ear.store, "write", full)
            assert await ear.post(signed()) == 503
        assert await ear.post(signed()) == 204

    play(scene)


def test_old_events_are_forgotten_at_the_start_and_later(play: Callable[[Scene], None]) -> None:
    async def scene(ear: Ear) -> None:
        assert await ear.post(signed()) == 204
        ear.clock.at = NOW + KEEP
        assert await ear.receiver.forget_old() == 0
        ear.clock.at += timedelta(seconds=1)
        assert await ear.receiver.forget_old() == 1
        at = int(ear.clock.at.timestamp())
        assert await ear.post(signed(at=at, webhook_id="wh_2")) == 204
        ear.clock.at += KEEP * 2
        assert await ear.post(signed(at=int(ear.clock.at.timestamp()), webhook_id="wh_3")) == 204
        assert ear.kept() == ["wh_3"]

    play(scene)


# a whole desk


@dataclass
class Desk:
    """A run at OpenAI whose next look is five minutes away, a receiver, and what the simulator delivered."""

    world: World
    engine: Engine
    receiver: Receiver
    door: LoopbackTransport
    worker: Worker
    run_id: RunId
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def settle(self) -> Turn:
        """Take turns until nothing is due."""
        for _ in range(60):
            turn = await self.worker.turn()
            if not turn.commands:
                return turn
        raise AssertionError("turns without end")

    async def pass_time(self, seconds: float) -> None:
        await self._ask("POST", "/_simulator/clock/advance", {"seconds": seconds})

    async def fault(self, fault: str, on: str = "WEBHOOK batch.completed", **more: Any) -> None:
        await self._ask("POST", "/_simulator/faults", {"on": on, "fault": fault, "times": 1, **more})

    async def _ask(self, method: str, path: str, body: Any) -> None:
        call = HttpCall(
            method=method, path=path, headers={"content-type": "application/json"}, body=json.dumps(body).encode()
        )
        assert (await self.engine.transports["openai"].send(call)).status == 200

    async def hear(self) -> list[int]:
        """Give what was delivered to the receiver, in its order; gives the answers."""
        answers: list[int] = []
        while self.got:
            headers, body = self.got.pop(0)
            answers.append((await self.door.send(HttpCall(method="POST", path="/", headers=headers, body=body))).status)
        return answers

    def looks(self) -> dict[str, datetime]:
        """When each response that is made in the background is looked at."""
        with self.engine.store.read() as tx:
            found = tx.execute(select(CALLS.c.response_id, CALLS.c.next_at).where(CALLS.c.response_id.is_not(None)))
            return {row.response_id: row.next_at for row in found}

    def rows(self) -> list[list[Any]]:
        with self.engine.store.read() as tx:
            return [[tuple(row) for row in tx.execute(select(table))] for table in (BATCHES, CALLS, WEBHOOKS)]


@pytest.fixture
def live(tmp_path: Path) -> Callable[..., None]:
    """Live a scene at a desk where ``count`` requests are out at the provider, to be over after 120 seconds."""

    def run(scene: Callable[[Desk], Awaitable[None]], *, route: str = "batch", count: int = 5) -> None:
        async def whole() -> None:
            options = WorldOptions(seed=3, turnaround=Turnaround.parse("120"))
            world = World(options)
            got: list[tuple[dict[str, str], bytes]] = []
            world.webhooks.sink = lambda headers, body: got.append((headers, body)) or 200
            flags: dict[str, str | int | None] = {
                "simulator": "http://127.0.0.1:1",
                "store": str(tmp_path / "store"),
                "route": route,
                "poll_seconds_min": 300,
                "poll_seconds_max": 300,
            }
            transport = LoopbackTransport(create_app(world), cut=ConnectionCut)
            store = Store(tmp_path / "store", durable=False).open()
            store.set_money(simulated=True)
            engine = Engine(
                settings=read_settings(flags, {}, tmp_path),
                store=store,
                transports={"anthropic": transport, "openai": transport},
                clock=SimulatorClock(transport, "", seed=1),
                catalog=PACKAGED,
                workloads={"batch": WORKLOAD},
                environment={},
            )
            receiver = Receiver(store=store, clock=engine.clock, secrets=[secret_from(SECRET)])
            try:
                source = tmp_path / "in.jsonl"
                source.write_text("".join(json.dumps({**LINE, "custom_id": f"k{at}"}) + "\n" for at in range(count)))
                planned = await engine.plan(source, options=WorkloadOptions())
                run_id = await engine.start_run(planned.plan.plan_id, cap=None, out=None, fresh=True)
                worker = engine.worker([run_id])
                worker._prepare()
                door = LoopbackTransport(receiver.application(), cut=ConnectionCut)
                desk = Desk(world, engine, receiver, door, worker, run_id, got)
                await asyncio.wait_for(scene(desk), 60)
            finally:
                receiver.close()
                await engine.close()

        asyncio.run(whole())

    return run


async def out(desk: Desk) -> datetime:
    """Send what there is; gives when it is looked at next, which is long after it is over."""
    wake_at = (await desk.settle()).wake_at
    now = await desk.engine.clock.now()
    assert wake_at is not None
    assert FULL_TURN * 0.89 <= wake_at - now <= FULL_TURN
    await desk.pass_time(150)
    assert await desk.settle() == Turn(commands=0, open_runs=(desk.run_id,), taken_elsewhere=(), wake_at=wake_at)
    return wake_at


async def over(desk: Desk) -> bool:
    return (await desk.engine.run_report(desk.run_id)).over


def test_a_batch_is_looked_at_when_its_event_comes(live: Callable[..., None]) -> None:
    async def scene(desk: Desk) -> None:
        wake_at = await out(desk)
        assert await desk.hear() == [204]
        await desk.settle()
        assert await over(desk)
        assert await desk.engine.clock.now() < wake_at - timedelta(minutes=1)
        assert desk.receiver.counts == {Heard.LOOK_NOW: 1}

    live(scene)


def test_an_event_that_comes_between_a_look_and_its_writing_is_not_lost(
    live: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply was made before the batch was over; the event tells that it is by now."""

    async def scene(desk: Desk) -> None:
        wake_at = (await desk.settle()).wake_at
        assert wake_at is not None
        send, heard = LoopbackTransport.send, list[int]()

        async def slow(self: LoopbackTransport, call: HttpCall, upload: Any = None) -> Any:
            reply = await send(self, call, upload)
            if call.method == "GET" and "/batches/" in call.path and not heard:
                heard.append(0)
                await desk.pass_time(200)  # while the reply is on its way
                heard.extend(await desk.hear())
            return reply

        monkeypatch.setattr(LoopbackTransport, "send", slow)
        with desk.engine.store.write() as tx:
            tx.execute(BATCHES.update().values(next_at=await desk.engine.clock.now()))
        await desk.settle()
        assert heard == [0, 204]
        assert await over(desk)
        assert await desk.engine.clock.now() < wake_at

    live(scene)


def test_a_background_response_is_looked_at_when_its_event_comes(live: Callable[..., None]) -> None:
    async def scene(desk: Desk) -> None:
        for _ in range(60):  # a few are started at a time
            await desk.settle()
            asked = desk.looks()
            if len(asked) == 4:  # the first of its kind goes in real time
                break
            await desk.pass_time(1)
        for _ in range(300):
            await desk.settle()
            desk.got.clear()
            await desk.pass_time(60)
            told = {json.loads(body)["data"]["id"] for _, body in desk.got}
            waiting, now = desk.looks(), await desk.engine.clock.now()
            if told and all(waiting[name] > now + timedelta(seconds=30) for name in told):
                break  # and not one that is due by itself
        assert set(await desk.hear()) == {204}
        assert desk.receiver.counts == {Heard.LOOK_NOW: len(told)}
        await desk.settle()
        assert told.isdisjoint(desk.looks())
        assert desk.looks() == {name: at for name, at in waiting.items() if name not in told}

    live(scene, route="2h")


def test_an_event_that_comes_between_a_question_and_its_answer_is_not_lost(
    live: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response was under way when we asked; the event tells that it is over by now."""

    async def scene(desk: Desk) -> None:
        for _ in range(60):  # a few are started at a time
            await desk.settle()
            if len(desk.looks()) == 4:  # the first of its kind goes in real time
                break
            await desk.pass_time(1)
        send, told = LoopbackTransport.send, list[str]()

        async def slow(self: LoopbackTransport, call: HttpCall, upload: Any = None) -> Any:
            reply = await send(self, call, upload)
            name = call.path.rpartition("/")[2]
            if call.method == "GET" and name.startswith("resp_") and not told:
                assert json.loads(reply.body)["status"] in ("queued", "in_progress")
                told.append(name)
                while name not in {json.loads(body)["data"]["id"] for _, body in desk.got}:
                    desk.got.clear()
                    await desk.pass_time(60)  # while the reply is on its way
                assert set(await desk.hear()) == {204}
            return reply

        monkeypatch.setattr(LoopbackTransport, "send", slow)
        await desk.pass_time((min(desk.looks().values()) - await desk.engine.clock.now()).total_seconds())
        await desk.settle()
        assert len(told) == 1
        assert told[0] not in desk.looks(), "it was asked about again, and is answered"

    live(scene, route="2h")


def test_a_forged_event_changes_nothing(live: Callable[..., None]) -> None:
    async def scene(desk: Desk) -> None:
        await desk.fault("webhook_forged")
        wake_at = await out(desk)
        before = desk.rows()
        assert await desk.hear() == [400]
        assert desk.rows() == before
        assert (await desk.settle()).wake_at == wake_at
        assert not await over(desk)
        assert desk.receiver.counts == {Refused.SIGNATURE: 1}

    live(scene)


def test_one_that_is_delivered_twice_counts_once(live: Callable[..., None]) -> None:
    async def scene(desk: Desk) -> None:
        await desk.fault("webhook_twice")
        await out(desk)
        assert await desk.hear() == [204, 204]
        assert desk.receiver.counts == {Heard.LOOK_NOW: 1, Heard.DUPLICATE: 1}
        await desk.settle()
        assert await over(desk)

    live(scene)


def test_one_that_is_late_finds_nothing_to_do(live: Callable[..., None]) -> None:
    async def scene(desk: Desk) -> None:
        await desk.fault("webhook_delayed", seconds=900)
        wake_at = await out(desk)
        assert desk.got == []
        await desk.pass_time((wake_at - await desk.engine.clock.now()).total_seconds())
        await desk.settle()
        assert await over(desk)
        await desk.pass_time(900)
        before = desk.rows()[:2]
        assert await desk.hear() == [204]
        assert desk.receiver.counts == {Heard.NOTHING_DUE: 1}
        assert desk.rows()[:2] == before

    live(scene)


def test_one_of_a_machine_whose_clock_is_ahead_is_looked_after_once_and_not_all_the_while(
    live: Callable[..., None],
) -> None:
    async def scene(desk: Desk) -> None:
        due = (await desk.settle()).wake_at
        now = await desk.engine.clock.now()
        assert due is not None
        ahead = now + timedelta(seconds=60)
        with desk.engine.store.write() as tx:
            batch_id = tx.execute(select(BATCHES.c.provider_batch_id)).scalar_one()
            tx.execute(BATCHES.update().values(next_at=now))
            hear(tx, Event(webhook_id="wh_1", type="batch.in_progress", object_id=batch_id), ahead)
        assert (await desk.settle()).wake_at == ahead
        await desk.pass_time(60)
        wake_at = (await desk.settle()).wake_at
        assert wake_at is not None
        assert wake_at > ahead + FULL_TURN / 2

    live(scene)


@pytest.mark.parametrize("fault", ["webhook_lost", "webhook_reordered"])
def test_one_that_never_comes_is_not_missed(live: Callable[..., None], fault: str) -> None:
    """Polling is the safety net: the run ends as if there were no webhooks. A reordered one waits for one after it."""

    async def scene(desk: Desk) -> None:
        await desk.fault(fault)
        wake_at = await out(desk)
        assert desk.got == []
        await desk.pass_time((wake_at - await desk.engine.clock.now()).total_seconds())
        await desk.settle()
        assert await over(desk)

    live(scene)
