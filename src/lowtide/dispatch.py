"""What is known, and now, give commands: the one place that decides what happens next. Pure, and the heart of lowtide.

The worker reads what is known, asks here, carries the commands out in order, and asks again. States are rows, so
startup, every later turn and every other worker run this same code; a restart is nothing special. A shard whose attempt
is still ``sending`` when a turn begins, or a batch that is still ``submitting``, lost its process in between: that is a
doubt, and a doubt is asked about before anything is bought again (promise 3).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from lowtide.attempt import AttemptState
from lowtide.batch import AT_PROVIDER, READABLE, BatchState
from lowtide.ledger import Account
from lowtide.money import Nanos
from lowtide.packing import ShardId

RunId = NewType("RunId", str)
PlanId = NewType("PlanId", str)
BatchId = NewType("BatchId", int)

PRICES_CHANGED = "prices changed since the plan was made: plan again"


class RunState(StrEnum):
    """Where a run stands."""

    ACTIVE = "active"
    PAUSED = "paused"  # at its cap, or because the provider refuses us; nothing new is sent
    CANCELING = "canceling"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


OPEN_RUNS = frozenset({RunState.ACTIVE, RunState.PAUSED, RunState.CANCELING})


class Role(StrEnum):
    """Why a batch row is there."""

    OURS = "ours"
    SUSPECT = "suspect"  # may be a late twin of a create whose reply was lost
    DUPLICATE = "duplicate"  # proved to be one
    ADOPTED = "adopted"  # submitted by another program, taken over on request


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBatch:
    """A batch as our rows know it."""

    batch_id: BatchId
    role: Role
    state: BatchState
    provider_batch_id: str | None
    creates: int
    verified: bool
    cancel_asked: bool
    landed: bool
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownShard:
    """A shard that is not over, or not delivered, with its batches."""

    shard_id: ShardId
    route: str
    state: AttemptState
    delivered: bool
    next_at: datetime | None
    batches: tuple[KnownBatch, ...] = ()

    @property
    def open(self) -> bool:
        """Say whether something may still come of it. A doubt stays, but nothing more will come."""
        if any(batch.role in (Role.SUSPECT, Role.DUPLICATE) and not batch.landed for batch in self.batches):
            return True
        return self.state not in (AttemptState.LANDED, AttemptState.DROPPED, AttemptState.DOUBTFUL)

    @property
    def unsent(self) -> bool:
        """Say whether it is reserved for and still to be sent."""
        planned = any(batch.state is BatchState.PLANNED for batch in self.batches)
        return self.state is AttemptState.RESERVED or (self.state is AttemptState.OUT and planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class UntestedKind:
    """A kind of body of which no request was answered yet, and the next one to try (its ceiling is for real time)."""

    kind: str
    model: str
    seq: int
    refusals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run that we hold the lease of.

    ``pending`` counts requests of made waves that were in no shard yet, ``retrying`` those that go out again;
    ``next_ceiling`` is the ceiling of the first of either.
    ``waves`` is how many there will be, ``wave`` the newest that is made. ``prices_hold`` is False when today's prices
    differ from the plan's.
    """

    run_id: RunId
    state: RunState
    wave: int
    waves: int
    pending: int
    retrying: int
    next_ceiling: Nanos
    untested: tuple[UntestedKind, ...]
    account: Account
    shards: tuple[KnownShard, ...]
    prices_hold: bool = True
    delivers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDoor:
    """The provider account: the one create that may be unconfirmed, and how long it asked us to stay away."""

    unconfirmed_batch: BatchId | None
    backoff_until: datetime | None
    queued_requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRules:
    """Limits of what is sent at a time. ``shard_requests_max`` is ours or the provider's, whichever is smaller.

    ``look_again`` is how soon is looked whether another process's create is confirmed, or the queue has room again.
    """

    queued_requests_max: int
    shard_requests_max: int
    refusals_max: int = 3
    look_again: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeWave:
    """Make the requests of a later wave."""

    run_id: RunId
    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TryFirst:
    """Reserve for one request of an untested kind, to be tried in real time."""

    run_id: RunId
    kind: UntestedKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Make a reserved real-time call."""

    run_id: RunId
    shard_id: ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A real-time call was under way when its process died: its reply is lost."""

    run_id: RunId
    shard_id: ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class PackShard:
    """Reserve for the next requests and make them a shard."""

    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class DropShard:
    """Give a shard up that was never sent; its hold is released."""

    run_id: RunId
    shard_id: ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Create the batch of a shard."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """Ask the provider whether a create arrived; ``resend`` says whether it is sent again if it did not."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId
    resend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Ask how batches stand."""

    run_id: RunId
    batches: tuple[BatchId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookInside:
    """Read the first result of an ended suspect, to see whose it is."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """Read the results of a batch that is over, and settle them."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """A batch failed as a whole or is gone: account for its requests without results."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBatch:
    """Ask the provider to cancel a batch of ours."""

    run_id: RunId
    batch_id: BatchId


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Write the documents of a landed shard."""

    run_id: RunId
    shard_id: ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Stop sending, with the reason."""

    run_id: RunId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Nothing is left to do."""

    run_id: RunId
    state: RunState


Command = (
    MakeWave
    | TryFirst
    | Call
    | Doubt
    | PackShard
    | DropShard
    | Submit
    | Reconcile
    | Poll
    | LookInside
    | Collect
    | GiveUp
    | CancelBatch
    | Deliver
    | Pause
    | Finish
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now, in order; with nothing to do, ``wake_at`` says when something is due (``None``: never)."""

    commands: tuple[Command, ...]
    wake_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class _Round:
    """One round of deciding: commands so far, and when the next thing is due."""

    now: datetime
    door: KnownDoor
    rules: DispatchRules
    commands: list[Command] = field(default_factory=list)
    wake_at: datetime | None = None

    def due(self, when: datetime | None) -> bool:
        if when is None or when <= self.now:
            return True
        self.wake_at = when if self.wake_at is None else min(self.wake_at, when)
        return False


def next_commands(runs: Iterable[KnownRun], door: KnownDoor, rules: DispatchRules, now: datetime) -> Decision:
    """Decide what happens next for every run that we hold. The same knowledge gives the same commands."""
    this = _Round(now=now, door=door, rules=rules)
    for run in runs:
        before = len(this.commands)
        if run.state is RunState.ACTIVE and not run.prices_hold and any(shard.unsent for shard in run.shards):
            this.commands.append(Pause(run_id=run.run_id, reason=PRICES_CHANGED))
        for shard in run.shards:
            this.commands.extend(_for_shard(run, shard, this))
        this.commands.extend(_poll(run, this))
        if len(this.commands) == before:
            this.commands.extend(_onward(run, this))
    return Decision(commands=tuple(this.commands), wake_at=None if this.commands else this.wake_at)


def _for_shard(run: KnownRun, shard: KnownShard, this: _Round) -> Iterator[Command]:
    """What one shard needs."""
    if shard.route == "realtime":
        yield from _for_attempt(run, shard, this)
    for batch in shard.batches:
        yield from _for_batch(run, shard, batch, this)
    if run.delivers and shard.state is AttemptState.LANDED and not shard.delivered:
        yield Deliver(run_id=run.run_id, shard_id=shard.shard_id)


def _for_attempt(run: KnownRun, shard: KnownShard, this: _Round) -> Iterator[Command]:
    """What a real-time attempt needs."""
    match shard.state:
        case AttemptState.SENDING:
            yield Doubt(run_id=run.run_id, shard_id=shard.shard_id)
        case AttemptState.RESERVED if run.state is RunState.CANCELING:
            yield DropShard(run_id=run.run_id, shard_id=shard.shard_id)
        case AttemptState.RESERVED if run.state is RunState.ACTIVE and run.prices_hold:
            if this.due(this.door.backoff_until) and this.due(shard.next_at):
                yield Call(run_id=run.run_id, shard_id=shard.shard_id)
        case _:
            pass


def _for_batch(run: KnownRun, shard: KnownShard, batch: KnownBatch, this: _Round) -> Iterator[Command]:
    """What a batch needs, but for being polled."""
    run_id, shard_id, batch_id = run.run_id, shard.shard_id, batch.batch_id
    match batch.state:
        case BatchState.PLANNED if run.state is RunState.CANCELING:
            yield DropShard(run_id=run_id, shard_id=shard_id)
        case BatchState.PLANNED if run.state is RunState.ACTIVE and shard.state is AttemptState.OUT:
            if run.prices_hold:  # what was held yesterday is no bound of today's price
                yield from _submit(run, shard, batch, this)
        case BatchState.SUBMITTING | BatchState.DOUBTFUL:
            if batch.state is BatchState.SUBMITTING or (this.due(this.door.backoff_until) and this.due(batch.next_at)):
                resend = run.state is not RunState.CANCELING
                yield Reconcile(run_id=run_id, shard_id=shard_id, batch_id=batch_id, resend=resend)
        case BatchState.FAILED | BatchState.LOST if not batch.landed:
            yield GiveUp(run_id=run_id, shard_id=shard_id, batch_id=batch_id)
        case state if state in READABLE and not batch.landed:
            if this.due(batch.next_at) and this.due(this.door.backoff_until):
                look = LookInside if batch.role is Role.SUSPECT else Collect
                yield look(run_id=run_id, shard_id=shard_id, batch_id=batch_id)
        case state if state in AT_PROVIDER and run.state is RunState.CANCELING and not batch.cancel_asked:
            # Only what is certainly ours is canceled: an unverified id may be somebody else's batch.
            if batch.verified and this.due(this.door.backoff_until):
                yield CancelBatch(run_id=run_id, batch_id=batch_id)
        case _:
            pass


def _submit(run: KnownRun, shard: KnownShard, batch: KnownBatch, this: _Round) -> Iterator[Command]:
    """Send a batch, when its turn has come: one unconfirmed create an account, and a queue that is not full."""
    blocked = this.door.unconfirmed_batch not in (None, batch.batch_id)
    sending = any(isinstance(command, Submit) for command in this.commands)
    if blocked:
        this.due(this.now + this.rules.look_again)  # nothing of ours will wake us: another process may hold the door
    elif not sending and this.due(this.door.backoff_until) and this.due(batch.next_at):
        yield Submit(run_id=run.run_id, shard_id=shard.shard_id, batch_id=batch.batch_id)


def _poll(run: KnownRun, this: _Round) -> Iterator[Command]:
    """One look at everything that is due: one poller an account, not one a batch."""
    at_provider = [batch for shard in run.shards for batch in shard.batches if batch.state in AT_PROVIDER]
    due = tuple(batch.batch_id for batch in at_provider if this.due(batch.next_at))
    if due and this.due(this.door.backoff_until):
        yield Poll(run_id=run.run_id, batches=due)


def _onward(run: KnownRun, this: _Round) -> Iterator[Command]:
    """With nothing else to do: send more, go on to the next wave, or come to an end."""
    still_open = [shard for shard in run.shards if shard.open]
    match run.state:
        case RunState.CANCELING:
            if not still_open:
                yield Finish(run_id=run.run_id, state=RunState.CANCELED)
        # Retries wait until everything else is back, so that they go out together.
        case RunState.ACTIVE if run.pending or (run.retrying and not still_open):
            yield from _send_more(run, still_open, this)
        case RunState.ACTIVE if not still_open:
            if run.wave + 1 < run.waves:
                yield MakeWave(run_id=run.run_id, wave=run.wave + 1)
            else:
                yield Finish(run_id=run.run_id, state=RunState.DONE)
        case _:
            pass


def _send_more(run: KnownRun, still_open: list[KnownShard], this: _Round) -> Iterator[Command]:
    """Reserve for what waits: one request of each untested kind first, then shards, as far as the budget covers."""
    if not run.prices_hold:
        yield Pause(run_id=run.run_id, reason=PRICES_CHANGED)
    elif run.untested:
        refused = next((kind for kind in run.untested if kind.refusals >= this.rules.refusals_max), None)
        if refused is not None:
            said = f"the first {refused.refusals} requests of kind {refused.kind} were refused or lost"
            yield Pause(run_id=run.run_id, reason=said)
        elif not any(shard.route == "realtime" for shard in still_open):
            yield TryFirst(run_id=run.run_id, kind=run.untested[0])
    elif run.account.headroom is not None and run.next_ceiling > run.account.headroom:
        if not still_open:
            yield Pause(run_id=run.run_id, reason="at its cap")
    elif this.door.queued_requests < this.rules.queued_requests_max:
        yield PackShard(run_id=run.run_id)
    else:
        this.due(this.now + this.rules.look_again)
