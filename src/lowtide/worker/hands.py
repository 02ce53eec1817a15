"""What every step of the worker holds: the store, the door to the provider, the clock, the rules.

Here too is the one way to ask the provider something: a refusal that passes by itself makes the worker stay away for a
while, one that no waiting lifts pauses the run, and everything else goes back to the step that asked.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from lowtide.catalog import Catalog
from lowtide.clock import Clock
from lowtide.dispatch import DispatchRules, RunId, RunState
from lowtide.errors import LeaseLost, TransportFailed
from lowtide.ledger import AccountId
from lowtide.pacing import Pacer, PacingRules, Weight
from lowtide.packing import ShardId
from lowtide.providers import ApiError, CallParts, Codec
from lowtide.request import Endpoint
from lowtide.result import Retry
from lowtide.retry import RetryRules, wait
from lowtide.routing import RouteRules
from lowtide.store import Store, Transaction, runs
from lowtide.store.runs import RunRow
from lowtide.store.segments import SegmentWriter
from lowtide.store.shards import Body, ShardRow
from lowtide.transport import Transport, Upload
from lowtide.wire import HttpCall, HttpReply
from lowtide.workload import Workload

LEASE = timedelta(minutes=20)  # longer than any one wait for a reply; renewed while bodies or results stream

ASKED_SECONDS_MAX = 3600
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One call in flight: whose it is. ``asks`` is a question about what is made in the background; it weighs nothing."""

    run_id: RunId
    shard_id: ShardId
    ordinal: int
    weight: Weight | None = field(default=None, compare=False)
    asks: bool = False


@dataclass(slots=True, kw_only=True)
class Block:
    """A shard of real-time calls in memory: what may be started, in order, and what still has no outcome.

    ``later`` says when one that was put off may be made again, ``tries`` how often it was since the block was read.
    """

    row: ShardRow
    endpoint: Endpoint
    bodies: list[Body]
    open: set[int]
    begun: bool = False
    ready: deque[int] = field(default_factory=deque)
    later: dict[int, datetime] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Flight:
    """The real-time calls of one provider account that this process waits for: memory, and lost with it.

    ``done`` are replies that came and are not settled yet, by run; ``came`` says that there are some. ``segments`` are where
    answers are written, by run.
    """

    calls: dict[Ticket, asyncio.Task[None]] = field(default_factory=dict)
    done: defaultdict[RunId, deque[tuple[Ticket, HttpReply | TransportFailed]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    came: defaultdict[RunId, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    blocks: dict[ShardId, Block] = field(default_factory=dict)
    pacers: dict[str, Pacer] = field(default_factory=dict)
    segments: dict[RunId, SegmentWriter] = field(default_factory=dict)
    failures: int = 0  # in a row
    lost_in_row: int = 0
    told_at: datetime = LONG_AGO
    looked_at: datetime = LONG_AGO

    def waits_for(self, run_ids: Container[RunId]) -> bool:
        """Say whether something of one of these runs is in flight, or came and is not settled."""
        waiting = any(ticket.run_id in run_ids for ticket in self.calls)
        return waiting or any(done and run_id in run_ids for run_id, done in self.done.items())

    def holds(self) -> frozenset[tuple[str, int]]:
        """List the calls that this process waits for, or has a reply of, by shard and ordinal."""
        waiting = {(ticket.shard_id, ticket.ordinal) for ticket in self.calls}
        came = {(ticket.shard_id, ticket.ordinal) for done in self.done.values() for ticket, _ in done}
        return frozenset(waiting | came)

    def wake(self) -> None:
        """Let every flight of this account look around."""
        for came in self.came.values():
            came.set()

    def forget(self, run_id: RunId) -> None:
        """Forget what was read of a run's blocks: somebody else may have worked on them since."""
        for shard_id in [shard_id for shard_id, block in self.blocks.items() if block.row.run_id == run_id]:
            del self.blocks[shard_id]

    def drop(self) -> None:
        """Let everything go: the process ends, and what is in flight is lost."""
        if self.calls or self.done:
            self.pacers.clear()  # they would wait for these calls to end
        for task in self.calls.values():
            task.cancel()
        self.calls.clear()
        self.done.clear()
        self.blocks.clear()
        for segment in self.segments.values():
            segment.close()
        self.segments.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Everything a step needs, at one provider account.

    ``door`` names the account; ``credential`` is the secret itself, never kept. ``codecs`` has every provider's, by name,
    for reading answers that were kept.
    """

    store: Store
    transport: Transport
    clock: Clock
    codec: Codec
    codecs: Mapping[str, Codec]
    catalog: Catalog
    workloads: Mapping[str, Workload]
    dispatch_rules: DispatchRules
    retry_rules: RetryRules
    route_rules: RouteRules
    worker: str
    door: str
    credential: str = field(repr=False)
    simulated: bool
    pacing: Callable[[str, str, date], PacingRules]  # of a provider's model on a day
    in_flight_max: int = 256  # real-time calls at once
    pool_of: Callable[[str], str] = lambda model: model  # names the models that share limits with one
    flight: Flight = field(default_factory=Flight)

    @property
    def payee(self) -> AccountId:
        """The provider's account in the books."""
        return AccountId(f"provider:{self.codec.provider}")

    def http(self, parts: CallParts) -> HttpCall:
        """Make a call of a codec's parts, with the key in its headers and nowhere else."""
        return HttpCall(
            method=parts.method,
            path=parts.path,
            headers={**self.codec.headers(self.credential), **parts.headers},
            body=parts.body,
            timeout_seconds=parts.timeout_seconds,
        )

    async def ask(self, parts: CallParts, upload: Upload | None = None) -> HttpReply:
        """Make a call. Raises: TransportFailed."""
        return await self.transport.send(self.http(parts), upload)

    async def stumble(self, run: RunRow, error: ApiError | TransportFailed) -> None:
        """React to an answer that is not about one request: stay away for a while, or pause the run with the reason."""
        now = await self.clock.now()
        final = isinstance(error, ApiError) and (error.about_us or error.refusal.retry is Retry.NEVER)
        with self.store.write() as tx:
            if isinstance(error, ApiError) and final and error.status != 404:
                reason = f"{self.codec.provider} refuses: {error.message} ({error.status} {error.code})"
                pause(tx, run, reason)
                runs.note(tx, run.run_id, now, reason, level="warning")
            elif runs.door_failures(tx, self.door) == 0:  # once for each time of trouble, not once a try
                told = f"{error.message} ({error.status})" if isinstance(error, ApiError) else error.message
                runs.note(tx, run.run_id, now, f"{told}: asked again, with longer and longer waits", level="warning")
            self.stay_away(tx, now, error.retry_after_seconds if isinstance(error, ApiError) else None)

    async def renew(self, run: RunRow) -> None:
        """Renew the claim on a run while something long is under way. Raises: LeaseLost."""
        now = await self.clock.now()
        with self.store.write() as tx:
            self.renew_in(tx, run, now)

    def renew_in(self, tx: Transaction, run: RunRow, now: datetime) -> None:
        """Renew the claim in the caller's transaction. Raises: LeaseLost, and nothing of the transaction is written."""
        if not runs.renew(tx, run.run_id, self.worker, now + LEASE):
            raise LeaseLost(
                f"another process has taken run {run.run_id} over", hint="lowtide status tells how it stands"
            )

    def stay_away(self, tx: Transaction, now: datetime, asked: int | None = None) -> None:
        """Note a failure of the provider and when to come back."""
        failures = runs.door_failures(tx, self.door) + 1
        asked = None if asked is None else min(asked, ASKED_SECONDS_MAX)  # obeyed, with a deadline of our own
        runs.stay_away(tx, self.door, now + wait(self.retry_rules, failures, self.clock.chance(), asked))


def payer(run: RunRow) -> AccountId:
    """Name the account that pays for a run."""
    return AccountId(f"run:{run.run_id}")


def pause(tx: Transaction, run: RunRow, reason: str) -> bool:
    """Pause a run that is active; one that its user cancels stays so."""
    active = frozenset({RunState.ACTIVE})
    return runs.set_state(tx, run.run_id, RunState.PAUSED, reason=reason, only_from=active)
