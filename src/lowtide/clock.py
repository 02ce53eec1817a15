"""Now, sleep, new ids and chance: the only file that asks the world for any of them (promise 7).

Everything else takes them as arguments, so that the same seed gives the same life.
"""

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from lowtide.errors import TransportFailed
from lowtide.transport import Transport
from lowtide.wire import HttpCall

AWAKE_SECONDS = 1.0  # that a wait for a reply lasts before it is looked around again, with a simulator's clock
ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # 32 letters and digits that are not mistaken for one another


class Clock(Protocol):
    """Time and chance, as arguments."""

    async def now(self) -> datetime:
        """Give the present instant, in UTC."""
        ...

    async def sleep_until(self, until: datetime) -> datetime:
        """Wait until ``until`` at the latest; gives the instant of waking."""
        ...

    async def wait_for(self, event: asyncio.Event, until: datetime) -> None:
        """Wait until something happens, or until ``until``."""
        ...

    def new_id(self, length: int) -> str:
        """Draw a new id of that many letters and digits (5 bits each)."""
        ...

    def chance(self) -> float:
        """Draw a number in [0, 1), for jitter."""
        ...


class Chance:
    """New ids and chance, from the system's own randomness or from a seed."""

    def __init__(self, seed: int | None = None) -> None:
        self._random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)

    def new_id(self, length: int) -> str:
        """Draw a new id of that many letters and digits (5 bits each)."""
        return "".join(self._random.choice(ID_ALPHABET) for _ in range(length))

    def chance(self) -> float:
        """Draw a number in [0, 1), for jitter."""
        return self._random.random()


class SystemClock(Chance):
    """The machine's own clock."""

    async def now(self) -> datetime:
        """Give the present instant, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, until: datetime) -> datetime:
        """Wait until ``until``, at most a minute at a time: a laptop that slept looks at the clock again."""
        seconds = (until - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(min(max(seconds, 0.0), 60.0))
        return datetime.now(UTC)

    async def wait_for(self, event: asyncio.Event, until: datetime) -> None:
        """Wait until something happens, or until ``until``, whichever is first; a minute at most."""
        seconds = (until - datetime.now(UTC)).total_seconds()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), min(max(seconds, 0.0), 60.0))


class _ClockReply(msgspec.Struct):
    now: datetime


class SimulatorClock(Chance):
    """The simulator's clock: when we sleep, it may leap to the next thing that anyone waits for."""

    def __init__(self, transport: Transport, client: str, seed: int | None = None) -> None:
        super().__init__(seed)
        self._transport = transport
        self._client = client

    async def now(self) -> datetime:
        """Ask the simulator for the present instant."""
        return await self._ask(HttpCall(method="GET", path=f"/_simulator/clock?client={self._client}"))

    async def sleep_until(self, until: datetime) -> datetime:
        """Tell the simulator that nothing is to be done here before ``until``."""
        wish = {"client": self._client, "until": until.isoformat().replace("+00:00", "Z"), "lease_seconds": 5}
        return await self._ask(
            HttpCall(
                method="POST",
                path="/_simulator/clock/sleep",
                headers={"content-type": "application/json"},
                body=msgspec.json.encode(wish),
                timeout_seconds=300,
            )
        )

    async def wait_for(self, event: asyncio.Event, until: datetime) -> None:
        """Wait until something happens. Meanwhile we are awake, so this clock does not leap to ``until``."""
        assert until.tzinfo is not None, "naive datetimes never exist"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), AWAKE_SECONDS)

    async def close(self) -> None:
        """Take leave of the simulator, so that nobody's clock waits for us, and close the connection."""
        if self._client:
            with contextlib.suppress(TransportFailed):
                await self._transport.send(
                    HttpCall(method="DELETE", path=f"/_simulator/clock/clients/{self._client}", timeout_seconds=5)
                )
        await self._transport.close()

    async def _ask(self, call: HttpCall) -> datetime:
        reply = await self._transport.send(call)
        if reply.status != 200:
            raise TransportFailed(
                f"the clock at {call.path} answered {reply.status}",
                sent=True,
                hint="is the address a lowtide simulator? Start one with: lowtide simulator",
            )
        return msgspec.json.decode(reply.body, type=_ClockReply).now.astimezone(UTC)


def local_today_offset(now: datetime) -> timedelta:
    """Give the machine's offset from UTC, for showing times to people."""
    offset = now.astimezone().utcoffset()
    return offset if offset is not None else timedelta()
