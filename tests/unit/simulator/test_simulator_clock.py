"""The clocks, and who sleeps on them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from lowtide_simulator.clock import (
    SECOND,
    Clock,
    ClockMode,
    Instant,
    http_date,
    parse_instant,
    rfc3339,
    to_instant,
    zulu,
)
from lowtide_simulator.world import World, WorldOptions

START = parse_instant("2026-11-21T10:00:00Z")


def after(seconds: float) -> Instant:
    return Instant(START + int(seconds * SECOND))


def test_instants_are_written_as_the_provider_writes_them() -> None:
    moment = parse_instant("2026-08-19T14:44:51.493319+00:00")
    assert rfc3339(moment) == "2026-08-19T14:44:51.493319+00:00"
    assert zulu(moment) == "2026-08-19T14:44:51.493319Z"
    assert zulu(moment, whole=True) == "2026-08-19T14:44:51Z"
    assert http_date(moment) == "Wed, 19 Aug 2026 14:44:51 GMT"


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        parse_instant("2026-08-19T14:44:51")


def test_a_virtual_clock_moves_only_when_told_and_only_forwards() -> None:
    clock = Clock(ClockMode.VIRTUAL, START)
    assert clock.advance_to(after(10)) == clock.now() == after(10)
    assert clock.advance_to(START) == after(10)


def test_a_scaled_clock_runs_fast_and_can_be_pushed() -> None:
    clock = Clock(ClockMode.SCALED, START, speed=1e6)
    first = clock.now()
    assert START <= first <= clock.now()
    far = Instant(clock.now() + 10**6 * 86_400 * SECOND)
    assert clock.advance_to(far) >= far
    assert Clock(ClockMode.SCALED, START, speed=100).real_seconds_until(after(100)) == pytest.approx(1, abs=0.2)


def test_a_system_clock_cannot_be_pushed() -> None:
    clock = Clock(ClockMode.SYSTEM, START)
    assert clock.now() > to_instant(datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="system"):
        clock.advance_to(after(1))


def test_one_client_that_sleeps_wakes_at_once_at_its_time() -> None:
    world = World()
    assert asyncio.run(world.sleep("a", after(3600), 5, 30))
    assert world.now() == after(3600)
    assert asyncio.run(world.sleep("a", after(60), 5, 30)), "a time in the past is over at once"
    assert world.now() == after(3600)


def test_the_clock_goes_to_the_earliest_of_all_sleepers() -> None:
    world = World()
    woken: list[tuple[str, Instant]] = []

    async def sleeper(name: str, seconds: float) -> None:
        assert await world.sleep(name, after(seconds), 5, 30)
        woken.append((name, world.now()))
        world.sleepers.clients.pop(name, None)
        world.jump_if_all_asleep()

    async def all_of_them() -> None:
        for name in ("late", "early", "middle"):
            world.sleepers.hear(name)
        await asyncio.gather(sleeper("late", 300), sleeper("early", 100), sleeper("middle", 200))

    asyncio.run(all_of_them())
    assert woken == [("early", after(100)), ("middle", after(200)), ("late", after(300))]


def test_an_awake_client_holds_the_clock_until_its_lease_ends() -> None:
    world = World()
    world.sleepers.hear("busy", lease_seconds=0.2)

    async def sleep() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await world.sleep("a", after(60), 5, 30)
        return loop.time() - began

    assert 0.1 < asyncio.run(sleep()) < 5
    assert "busy" not in world.sleepers.clients


def test_a_poll_gives_up_after_its_real_time_and_the_clock_has_not_moved() -> None:
    world = World()
    world.sleepers.hear("busy", lease_seconds=60)
    assert not asyncio.run(world.sleep("a", after(60), 5, 0.05))
    assert world.now() == START


def test_a_client_whose_poll_is_dropped_is_forgotten() -> None:
    world = World()
    world.sleepers.hear("busy", lease_seconds=60)

    async def drop() -> None:
        task = asyncio.create_task(world.sleep("a", after(60), 5, 30))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(drop())
    assert list(world.sleepers.clients) == ["busy"]


def test_on_a_scaled_clock_sleeping_takes_a_part_of_the_time() -> None:
    world = World(WorldOptions(clock=ClockMode.SCALED, speed=1000, start=datetime(2026, 11, 21, tzinfo=UTC)))
    until = Instant(world.now() + 20 * SECOND)
    assert asyncio.run(world.sleep("a", until, 5, 30))
    assert timedelta(microseconds=world.now() - until) < timedelta(minutes=30)


def test_everything_due_has_happened_when_the_time_is_told() -> None:
    world = World()
    happened: list[Instant] = []
    for seconds in (30, 10, 20, 40):
        world.later(after(seconds), happened.append)
    world.advance_to(after(30))
    assert happened == [after(10), after(20), after(30)]
