"""What time it is in the simulated world, and who is waiting for it.

Here: the three clocks (virtual, system, scaled), RFC 3339 and HTTP dates, and the bench on which clients sleep. Not
here: what happens as time passes (``world``). Law: time only goes forwards, and a virtual clock moves only when someone
moves it or when every known client is asleep.

An ``Instant`` is an integer of microseconds since 1970-01-01 UTC, so that nothing drifts and nothing is naive.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import NewType

Instant = NewType("Instant", int)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


class ClockMode(StrEnum):
    """How time passes: by command, as on this machine, or as on this machine but N times as fast."""

    VIRTUAL = "virtual"
    SYSTEM = "system"
    SCALED = "scaled"


def to_instant(moment: datetime) -> Instant:
    """An aware datetime as microseconds. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        message = f"a time needs an offset: {moment.isoformat()}"
        raise ValueError(message)
    return Instant((moment - EPOCH) // timedelta(microseconds=1))


def to_datetime(instant: Instant) -> datetime:
    """The instant as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=instant)


def parse_instant(text: str) -> Instant:
    """RFC 3339 text to an instant. Raises ValueError when it is no such text or has no offset."""
    return to_instant(datetime.fromisoformat(text))


def rfc3339(instant: Instant) -> str:
    """As the provider writes times in bodies: ``2026-08-19T14:44:51.493319+00:00`` (recorded 2026-08-19)."""
    return to_datetime(instant).isoformat(timespec="microseconds")


def zulu(instant: Instant, *, whole: bool = False) -> str:
    """The same instant with a ``Z``; ``whole`` drops the microseconds, as rate-limit headers do."""
    text = to_datetime(instant).isoformat(timespec="seconds" if whole else "microseconds")
    return text.removesuffix("+00:00") + "Z"


def http_date(instant: Instant) -> str:
    """The ``Date`` header."""
    return format_datetime(to_datetime(instant), usegmt=True)


class Clock:
    """The one source of time; reads the machine's clock only in the system and scaled modes."""

    def __init__(self, mode: ClockMode, start: Instant, speed: float = 1.0) -> None:
        self.mode = mode
        self.speed = speed
        self._base = start
        self._real_base = time.monotonic()

    def now(self) -> Instant:
        """The current instant."""
        match self.mode:
            case ClockMode.VIRTUAL:
                return self._base
            case ClockMode.SYSTEM:
                return Instant(time.time_ns() // 1000)
            case ClockMode.SCALED:
                passed = (time.monotonic() - self._real_base) * self.speed
                return Instant(self._base + int(passed * SECOND))

    def advance_to(self, instant: Instant) -> Instant:
        """Move forwards to ``instant``; an instant in the past changes nothing. Raises ValueError on a system clock."""
        match self.mode:
            case ClockMode.VIRTUAL:
                self._base = max(self._base, instant)
            case ClockMode.SCALED:
                self._base = Instant(self._base + max(0, instant - self.now()))
            case ClockMode.SYSTEM:
                message = "a system clock cannot be advanced"
                raise ValueError(message)
        return self.now()

    def real_seconds_until(self, instant: Instant) -> float:
        """Seconds of this machine's time until ``instant``; 0 on a virtual clock, which nobody can wait for."""
        match self.mode:
            case ClockMode.VIRTUAL:
                return 0.0
            case ClockMode.SYSTEM:
                return max(0.0, (instant - self.now()) / SECOND)
            case ClockMode.SCALED:
                return max(0.0, (instant - self.now()) / SECOND / self.speed)


@dataclass(slots=True)
class Client:
    """One known client: asleep until an instant with its poll open, or awake and last heard at a monotonic time."""

    lease_seconds: float
    heard_at: float
    until: Instant | None = None
    wakes: list[asyncio.Event] = field(default_factory=list)


class Sleepers:
    """Who sleeps until when. The clock jumps to the earliest ``until`` as soon as all known clients are asleep.

    A client is known from its first sign of life. A client that is awake and silent for its lease (real seconds) is
    taken for dead and forgotten. A sleeping client's open poll is its sign of life, so it is never forgotten.
    """

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}

    def hear(self, name: str, lease_seconds: float = 5.0) -> Client:
        """Note a sign of life."""
        client = self.clients.get(name)
        if client is None:
            client = self.clients[name] = Client(lease_seconds=lease_seconds, heard_at=time.monotonic())
        client.heard_at = time.monotonic()
        return client

    def lay_down(self, name: str, until: Instant, lease_seconds: float) -> asyncio.Event:
        """Put a client to sleep; the event is set when the clock has reached ``until``."""
        client = self.hear(name)
        client.lease_seconds = lease_seconds
        client.until = until if client.until is None else min(client.until, until)
        wake = asyncio.Event()
        client.wakes.append(wake)
        return wake

    def get_up(self, name: str, wake: asyncio.Event, *, gone: bool = False) -> None:
        """A poll has ended: woken, timed out, or (``gone``) its connection closed, which ends the client too."""
        client = self.clients.get(name)
        if client is None:
            return
        if wake in client.wakes:
            client.wakes.remove(wake)
        client.heard_at = time.monotonic()
        if not client.wakes:
            client.until = None
            if gone:
                del self.clients[name]

    def forget_the_dead(self) -> float | None:
        """Drop the clients whose lease has ended; the real seconds until the next lease ends, or None."""
        now = time.monotonic()
        awake = {name: client for name, client in self.clients.items() if client.until is None}
        for name, client in awake.items():
            if now - client.heard_at >= client.lease_seconds:
                del self.clients[name]
        ends = [c.heard_at + c.lease_seconds - now for n, c in awake.items() if n in self.clients]
        return min(ends, default=None)

    def earliest(self) -> Instant | None:
        """Where the clock may jump to: the earliest ``until``, or None while anyone known is awake."""
        untils = [client.until for client in self.clients.values()]
        if not untils or None in untils:
            return None
        return min(until for until in untils if until is not None)

    def wake(self, now: Instant) -> None:
        """Wake everyone whose time has come."""
        for client in self.clients.values():
            if client.until is not None and client.until <= now:
                client.until = None
                client.heard_at = time.monotonic()
                for event in client.wakes:
                    event.set()
