"""``clock``: now, sleep, ids and chance; a simulator's clock over a loopback without a socket."""

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from lowtide import clock
from lowtide.clock import ID_ALPHABET, Chance, SimulatorClock, SystemClock, local_today_offset
from lowtide.errors import TransportFailed
from lowtide.testing import LoopbackTransport

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_the_same_seed_gives_the_same_life() -> None:
    """Promise 7."""
    first, second, other = Chance(5), Chance(5), Chance(6)
    assert [first.new_id(7), first.chance()] == [second.new_id(7), second.chance()]
    assert Chance(5).new_id(20) != other.new_id(20)
    assert Chance().new_id(20) != Chance().new_id(20)


def test_ids_have_their_length_and_no_letters_that_are_mistaken() -> None:
    drawn = Chance(1).new_id(2000)
    assert len(drawn) == 2000
    assert set(drawn) == set(ID_ALPHABET)
    assert not set(ID_ALPHABET) & set("ilou")
    assert len(ID_ALPHABET) == 32


def test_chance_is_in_its_range() -> None:
    chance = Chance(1)
    assert all(0 <= chance.chance() < 1 for _ in range(1000))


def test_the_machine_s_clock_is_in_utc() -> None:
    now = asyncio.run(SystemClock().now())
    assert now.tzinfo is UTC


def test_the_machine_s_clock_sleeps_and_at_most_a_minute_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(clock.asyncio, "sleep", sleep)

    async def life() -> None:
        now = await SystemClock().now()
        for ahead in (-5, 10, 3600):
            woke = await SystemClock().sleep_until(now + timedelta(seconds=ahead))
            assert woke >= now

    asyncio.run(life())
    assert slept[0] == 0
    assert 9 < slept[1] <= 10
    assert slept[2] == 60


class Cut(Exception):
    """A connection that was cut."""


class FakeSimulator:
    """What a simulator says about time, and what it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.now = START
        self.asked: list[tuple[str, str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        wish = msgspec.json.decode(body) if body else None
        query = scope["query_string"].decode()
        self.asked.append((scope["method"], scope["path"] + ("?" + query if query else ""), wish))
        if wish:
            self.now = max(self.now, datetime.fromisoformat(wish["until"]))
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": msgspec.json.encode({"now": self.now, "more": 1})})


def test_the_simulator_is_asked_for_now_and_told_of_sleep() -> None:
    simulator = FakeSimulator()
    time = SimulatorClock(LoopbackTransport(simulator, cut=Cut), "me", seed=1)

    async def life() -> tuple[datetime, datetime]:
        seen = await time.now(), await time.sleep_until(START + timedelta(hours=3))
        await time.close()
        return seen

    assert asyncio.run(life()) == (START, START + timedelta(hours=3))
    assert simulator.asked == [
        ("GET", "/_simulator/clock?client=me", None),
        (
            "POST",
            "/_simulator/clock/sleep",
            {"client": "me", "until": "2026-11-22T13:00:00Z", "lease_seconds": 5},
        ),
        ("DELETE", "/_simulator/clock/clients/me", None),  # nobody's clock waits for us any more
    ]


def test_a_simulator_that_is_gone_does_not_keep_us_from_leaving() -> None:
    async def cut(_scope: Any, _receive: Any, _send: Any) -> None:
        raise Cut

    asyncio.run(SimulatorClock(LoopbackTransport(cut, cut=Cut), "me").close())


def test_what_is_no_simulator_is_said_to_be_none() -> None:
    time = SimulatorClock(LoopbackTransport(FakeSimulator(status=404), cut=Cut), "me")
    with pytest.raises(TransportFailed, match=r"the clock at .* answered 404") as failed:
        asyncio.run(time.now())
    assert "lowtide simulator" in failed.value.hint


def test_the_machine_s_offset_is_that_of_the_place() -> None:
    assert abs(local_today_offset(START)) <= timedelta(hours=14)


def test_both_clocks_are_clocks() -> None:
    wanted = {name for name, _ in inspect.getmembers(clock.Clock, inspect.isfunction) if not name.startswith("_")}
    for kind in (SystemClock, SimulatorClock):
        assert wanted <= set(dir(kind))
