"""The simulated provider itself: everything it knows, and what happens as its time passes.

Here: options, the batches, the caches, the limits, the bill, and the queue of things that are due. Not here: HTTP. Law:
everything due by ``now`` has happened before anyone is told ``now``; the same options and the same order of calls give
the same world.
"""

import asyncio
import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from lowtide_simulator.answers import Chances
from lowtide_simulator.batches import Batch, Status, Twist
from lowtide_simulator.bill import Bill, Line
from lowtide_simulator.caching import CacheStore
from lowtide_simulator.clock import SECOND, Clock, ClockMode, Instant, Sleepers, to_instant
from lowtide_simulator.faults import Rule, Script
from lowtide_simulator.ids import Ids
from lowtide_simulator.items import Columns, Terms
from lowtide_simulator.limits import TIERS, UNLIMITED, Limits, Tier, TierLimits
from lowtide_simulator.openai.provider import OpenAIOptions, OpenAIState
from lowtide_simulator.validation import Context
from lowtide_simulator.webhooks import Webhooks

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LOG_LINES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnaround:
    """How long batches take, in seconds: lognormal around a median, within bounds. Equal bounds give a fixed time."""

    median_seconds: float = 600.0
    spread: float = 0.7
    shortest_seconds: float = 20.0
    longest_seconds: float = 23 * 3600.0

    def draw(self, chance: random.Random) -> int:
        """One turnaround in microseconds."""
        seconds = chance.lognormvariate(math.log(self.median_seconds), self.spread)
        return int(min(self.longest_seconds, max(self.shortest_seconds, seconds)) * SECOND)

    @classmethod
    def parse(cls, text: str) -> "Turnaround":
        """``90`` (always), ``60-3600`` (between), or ``600~0.8`` (median and spread). Raises ValueError."""
        if "~" in text:
            median, spread = map(float, text.split("~"))
            return cls(median_seconds=median, spread=spread)
        low, _, high = text.partition("-")
        shortest = float(low)
        longest = float(high or low)
        return cls(
            median_seconds=max(0.001, math.sqrt(max(shortest, 0.001) * max(longest, 0.001))),
            spread=0.5 if longest > shortest else 0.0,
            shortest_seconds=shortest,
            longest_seconds=longest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknowns:
    """Answers of the real provider that no source tells; change them to try both ways."""

    duplicate_custom_id_status: int = 400
    empty_requests_status: int = 400
    cancel_ended_status: int = 400
    delete_running_status: int = 400
    results_early_status: int = 404
    """Known, in fact: recorded 2025-01-29 as 404 ``has no available results``."""
    unsupported_in_batch_at_create: bool = False
    """Whether ``stream: true`` and the like are refused at creation instead of in the results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """Everything that can be chosen about a world."""

    seed: int = 7
    start: datetime = START
    clock: ClockMode = ClockMode.VIRTUAL
    speed: float = 60.0
    api_keys: frozenset[str] | None = None
    """Accepted keys; None accepts any that is not empty and does not begin with ``sk-bad``."""
    tier: Tier | None = None
    """None is no limits at all."""
    tier_limits: TierLimits | None = None
    turnaround: Turnaround = field(default_factory=Turnaround)
    chances: Chances = field(default_factory=Chances)
    errored_share: float = 0.0
    expired_share: float = 0.0
    cancel_finish_share: float = 0.1
    cancel_seconds: float = 10.0
    latency_seconds: float = 0.0
    """How long a real-time answer takes, on a system or scaled clock."""
    strict: bool = True
    """Also refuse bodies that are not declared as JSON."""
    batch_requests_max: int = 100_000
    batch_bytes_max: int = 256_000_000
    message_bytes_max: int = 32_000_000
    unknowns: Unknowns = field(default_factory=Unknowns)
    openai: OpenAIOptions = field(default_factory=OpenAIOptions)
    webhook_url: str | None = None
    """Where events of OpenAI's half are posted; None is nowhere."""
    webhook_secret: str | None = None
    faults: tuple[Rule, ...] = ()

    def limits(self) -> TierLimits:
        """The limits in force."""
        if self.tier_limits is not None:
            return self.tier_limits
        return UNLIMITED if self.tier is None else TIERS[self.tier]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One request as it was answered; ``status`` is 0 when the connection was cut."""

    method: str
    path: str
    status: int
    bytes: int
    faults: tuple[str, ...]
    at: Instant
    request_id: str


@dataclass(order=True, slots=True)
class Due:
    """Something that happens at an instant."""

    at: Instant
    order: int
    act: Callable[[Instant], None] = field(compare=False)


class World:
    """One simulated provider. Cheap to make: tests make hundreds."""

    def __init__(self, options: WorldOptions | None = None) -> None:
        self.options = options or WorldOptions()
        start = to_instant(self.options.start)
        self.clock = Clock(self.options.clock, start, self.options.speed)
        self.sleepers = Sleepers()
        self.ids = Ids(self.options.seed)
        self.chance = random.Random(self.options.seed)
        self.bill = Bill()
        self.limits = Limits(self.options.limits(), self.clock.now())
        self.script = Script(self.options.seed, self.options.faults)
        self.realtime_cache = CacheStore()
        self.batch_cache = CacheStore()
        self.batches: dict[str, Batch] = {}
        self.requests: Counter[str] = Counter()
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.queued = 0
        self._due: list[Due] = []
        self._order = 0
        self._passing: Instant | None = None
        self.terms = Terms(
            seed=self.options.seed,
            chances=self.options.chances,
            errored_share=self.options.errored_share,
            expired_share=self.options.expired_share,
            cancel_finish_share=self.options.cancel_finish_share,
            cancel_seconds=self.options.cancel_seconds,
        )
        self.webhooks = Webhooks(self, self.options.webhook_url, self.options.webhook_secret)
        self.openai = OpenAIState(self, self.options.openai)

    # -------------------------------------------------------------- time

    def now(self) -> Instant:
        """The current instant, once everything due by then has happened."""
        if self._passing is not None:
            return self._passing
        now = self.clock.now()
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            # What happens at an instant sees that instant, and nothing later happens inside it.
            self._passing = due.at
            try:
                due.act(due.at)
            finally:
                self._passing = None
        return now

    def later(self, at: Instant, act: Callable[[Instant], None]) -> None:
        """Let something happen at an instant."""
        self._order += 1
        heapq.heappush(self._due, Due(at, self._order, act))

    def advance_to(self, instant: Instant) -> Instant:
        """Move the clock forwards and wake who was waiting. Raises ValueError on a system clock."""
        self.clock.advance_to(instant)
        now = self.now()
        self.sleepers.wake(now)
        return now

    def jump_if_all_asleep(self) -> float | None:
        """Let the clock jump if every known client is asleep; the real seconds until the next lease ends, or None."""
        lease = self.sleepers.forget_the_dead()
        target = self.sleepers.earliest()
        if target is not None:
            self.advance_to(target)
        return lease

    async def sleep(self, client: str, until: Instant, lease_seconds: float, wait_seconds: float) -> bool:
        """Wait until the simulated ``until``, at most ``wait_seconds`` of real time. True when it has been reached."""
        if until <= self.now():
            self.sleepers.hear(client).lease_seconds = lease_seconds
            return True
        if self.clock.mode is not ClockMode.VIRTUAL:
            await asyncio.sleep(min(wait_seconds, self.clock.real_seconds_until(until)))
            return until <= self.now()
        wake = self.sleepers.lay_down(client, until, lease_seconds)
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_seconds
        gone = True
        try:
            while not wake.is_set():
                lease = self.jump_if_all_asleep()
                left = ends - loop.time()
                if wake.is_set() or left <= 0:
                    break
                try:
                    await asyncio.wait_for(wake.wait(), min(left, 3600.0 if lease is None else max(lease, 0.001)))
                except TimeoutError:
                    continue
            gone = False
        finally:
            self.sleepers.get_up(client, wake, gone=gone)
            if gone:
                self.jump_if_all_asleep()
        return until <= self.now()

    # -------------------------------------------------------------- batches

    def create_batch(
        self, columns: Columns, context: Context, twist: Twist, *, late_seconds: float = 0.0, list_seconds: float = 0.0
    ) -> Batch | None:
        """Commit a batch now, or (``late_seconds``) later, in which case there is none yet and None comes back."""
        turnaround = self.options.turnaround.draw(self.chance)

        def commit(at: Instant) -> Batch:
            batch = Batch(
                id=self.ids.next("msgbatch"),
                created_at=at,
                turnaround=turnaround,
                context=context,
                columns=columns,
                terms=self.terms,
                twist=twist,
                listed_at=Instant(at + int(list_seconds * SECOND)),
            )
            batch.due = batch.natural_end()
            self.batches[batch.id] = batch
            self.queued += len(columns)
            self.later(batch.due, lambda at: self._end(batch, at))
            return batch

        now = self.now()
        if late_seconds:
            self.later(Instant(now + int(late_seconds * SECOND)), lambda at: void(commit(at)))
            return None
        return commit(now)

    def _end(self, batch: Batch, at: Instant) -> None:
        if batch.ended_at is None and at >= batch.due:
            batch.end(at, self.bill, self.batch_cache)
            self.queued -= len(batch.columns)
            self.batch_cache.sweep(at)

    def cancel_batch(self, batch: Batch, at: Instant) -> None:
        """Begin canceling; a second call changes nothing."""
        if batch.status is Status.IN_PROGRESS:
            batch.cancel(at)
            self.later(batch.due, lambda at: self._end(batch, at))

    def listed(self) -> list[Batch]:
        """The batches that the list shows, newest first."""
        now = self.now()
        return [batch for batch in reversed(self.batches.values()) if batch.listed_at <= now]

    # -------------------------------------------------------------- looking in

    def bill_lines(self, after: int, limit: int) -> list[Line]:
        """Lines of the bill from number ``after`` on."""
        self.now()
        return list(islice(self.bill.lines(), after, after + limit))

    def state(self) -> dict[str, Any]:
        """Counts, for ``GET /_simulator/state``."""
        self.now()
        states = Counter(batch.status.value for batch in self.batches.values())
        return {
            "batches": {status.value: states[status.value] for status in Status},
            "openai": self.openai.state(),
            "queued_requests": self.queued,
            "requests": dict(self.requests),
            "cache_entries": {"realtime": len(self.realtime_cache.entries), "batch": len(self.batch_cache.entries)},
            "clients": {
                name: None if client.until is None else client.until for name, client in self.sleepers.clients.items()
            },
        }


def void(_value: object) -> None:
    """Drop a value where none is wanted."""
