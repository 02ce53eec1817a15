"""What is known, and now, give commands: the one place that decides what happens next. Pure, and the heart of lowtide.

The worker reads what is known, asks here, carries the commands out in order, and asks again. States are rows, so
startup, every later turn and every other worker run this same code; a restart is nothing special. A call that is still
``sending`` although nobody waits for it, or a batch that is still ``submitting`` when a turn begins, lost its process in
between: that is a doubt, and a doubt is asked about before anything is bought again (promise 3).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from lowtide.attempt import AttemptState, CallState
from lowtide.batch import AT_PROVIDER, READABLE, BatchState
from lowtide.ledger import Account
from lowtide.money import Nanos
from lowtide.packing import ShardId
from lowtide.routing import WINDOWS, Route

RunId = NewType("RunId", str)
PlanId = NewType("PlanId", str)
BatchId = NewType("BatchId", int)

PRICES_CHANGED = "prices changed since the plan was made: plan again"
AT_CAP = "at its cap"


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
    looked_at: datetime | None = None  # when we last asked how it stands
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """A real-time call that this process does not wait for. ``lost``: nobody does. ``next_at``: when it is asked about."""

    ordinal: int
    state: CallState
    lost: bool = False
    cancel_asked: bool = False
    next_at: datetime | None = None
    at: datetime | None = None  # when its intent was written


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownShard:
    """A shard that is not over, or not delivered, with its batches or its calls.

    ``unstarted`` counts requests of a block of real-time calls that have neither a call nor an outcome, ``flying`` those
    whose replies this process waits for; ``calls`` are the others, lost or queued. ``first`` says that it is one request,
    tried alone because it is the first of its kind.
    """

    shard_id: ShardId
    route: str
    state: AttemptState
    delivered: bool
    provider: str = "anthropic"
    batches: tuple[KnownBatch, ...] = ()
    calls: tuple[KnownCall, ...] = ()
    unstarted: int = 0
    flying: int = 0
    first: bool = False

    @property
    def open(self) -> bool:
        """Say whether something may still come of it. A doubt stays, but nothing more will come."""
        if any(batch.role in (Role.SUSPECT, Role.DUPLICATE) and not batch.landed for batch in self.batches):
            return True
        return self.state not in (AttemptState.LANDED, AttemptState.DROPPED)

    @property
    def unsent(self) -> bool:
        """Say whether it is reserved for and still to be sent, as a whole or in part."""
        planned = any(batch.state is BatchState.PLANNED for batch in self.batches)
        return self.open and (planned or self.unstarted > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UntestedKind:
    """A kind of body of which no request was answered yet, and the next one to try (its ceiling is for real time)."""

    kind: str
    provider: str
    model: str
    seq: int
    refusals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLot:
    """Requests that may share a batch and of which some wait, with the ceilings of the first that would go out.

    ``pending`` says whether some were in no shard yet; ``retrying`` counts those that go out again. ``behind`` says that
    others go first, to fill a cache that these read, and are not all back: batches of these wait for that.
    """

    lot: int
    provider: str
    route: str
    pending: bool
    retrying: int
    batch_ceiling: Nanos
    realtime_ceiling: Nanos
    behind: bool = False

    @property
    def next_ceiling(self) -> Nanos:
        """What the first that would go out can cost at most, on its lane."""
        return self.batch_ceiling if self.route == "batch" else self.realtime_ceiling


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run that we hold the lease of.

    ``lots`` are those of which something waits. ``waves`` is how many there will be, ``wave`` the newest that is made.
    ``prices_hold`` is False when today's prices differ from the plan's. ``routed`` is False until the lane of the newest
    wave was chosen by the time that is left. ``hasten_at`` is the last safe moment to move what is out of it to a quicker
    lane; ``called_back`` are the lanes that it was moved from.
    """

    run_id: RunId
    state: RunState
    wave: int
    waves: int
    lots: tuple[KnownLot, ...]
    untested: tuple[UntestedKind, ...]
    account: Account
    shards: tuple[KnownShard, ...]
    prices_hold: bool = True
    delivers: bool = False
    routed: bool = True
    hasten_at: datetime | None = None
    called_back: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDoor:
    """The provider account: the one create that may be unconfirmed, and how long it asked us to stay away.

    ``full_until``: its queue of batches had no room, so nothing is created before.
    """

    unconfirmed_batch: BatchId | None
    backoff_until: datetime | None
    queued_requests: int
    full_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRules:
    """Limits of what is sent at a time. ``shard_requests_max`` is ours or the provider's, whichever is smaller.

    ``look_again`` is how soon is looked whether another process's create is confirmed, or the queue has room again. More
    real-time calls are reserved for when fewer than ``block_requests`` wait to be made. ``overdue_after`` its window a batch
    counts as stuck.
    """

    queued_requests_max: int
    shard_requests_max: int
    block_requests: int = 500
    overdue_after: timedelta = timedelta(hours=2)  # the provider's clock and ours may differ
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
class Fly:
    """Make reserved real-time calls, take their replies, and ask about what is made in the background."""

    run_id: RunId
    provider: str
    shards: tuple[ShardId, ...]  # of which new calls may be started
    more: bool = False  # more can be reserved for when these run low
    asks: bool = False  # some of it is made in the background
    until: datetime | None = None  # something else is due then


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Real-time calls were under way when their process died: their replies are lost."""

    run_id: RunId
    shard_id: ShardId
    ordinals: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallCalls:
    """Ask the provider to cancel what is made in the background: the run is canceled, or in a hurry."""

    run_id: RunId
    shard_id: ShardId
    ordinals: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseRoute:
    """Choose the lane of the newest wave, by the time that is left until the deadline."""

    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Hasten:
    """Move what is out to a quicker lane, if it must be: the deadline would be missed otherwise."""

    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class PackShard:
    """Reserve for the next requests of a lot and make them a shard."""

    run_id: RunId
    lot: int
    route: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropShard:
    """Give a shard up, or what is left of it, that was never sent; its hold is released."""

    run_id: RunId
    shard_id: ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Create the batch of a shard."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """Ask the provider whether a create arrived; ``resend`` says whether it is sent again if it did not."""

    run_id: RunId
    shard_id: ShardId
    batch_id: BatchId
    resend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Ask how batches of one provider stand."""

    run_id: RunId
    provider: str
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
    | Fly
    | Doubt
    | RecallCalls
    | ChooseRoute
    | Hasten
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
    doors: Mapping[str, KnownDoor]
    rules: DispatchRules
    commands: list[Command] = field(default_factory=list)
    wake_at: datetime | None = None

    def due(self, when: datetime | None) -> bool:
        if when is None or when <= self.now:
            return True
        self.wake_at = when if self.wake_at is None else min(self.wake_at, when)
        return False

    def at_the_door(self, provider: str) -> bool:
        """Say whether the provider may be asked something now."""
        return self.due(self.doors[provider].backoff_until)


def next_commands(
    runs: Iterable[KnownRun], doors: Mapping[str, KnownDoor], rules: DispatchRules, now: datetime
) -> Decision:
    """Decide what happens next for every run that we hold. The same knowledge gives the same commands."""
    this = _Round(now=now, doors=doors, rules=rules)
    flights: list[Fly] = []
    for run in runs:
        before = len(this.commands)
        if run.state is RunState.ACTIVE and not run.prices_hold and any(shard.unsent for shard in run.shards):
            this.commands.append(Pause(run_id=run.run_id, reason=PRICES_CHANGED))
        hastens = run.state is RunState.ACTIVE and run.hasten_at is not None and this.due(run.hasten_at)
        if hastens and not _comes_in(run, this):
            this.commands.append(Hasten(run_id=run.run_id))
            continue  # what else there is to do depends on it
        for shard in run.shards:
            this.commands.extend(_for_shard(run, shard, this))
        this.commands.extend(_poll(run, this))
        if len(this.commands) == before:
            this.commands.extend(_onward(run, this))
        flights.extend(_flights(run, this))
    # Last, and all at once: they go on until something else is due.
    this.commands.extend(replace(flight, until=this.wake_at) for flight in flights)
    return Decision(commands=tuple(this.commands), wake_at=None if this.commands else this.wake_at)


def _for_shard(run: KnownRun, shard: KnownShard, this: _Round) -> Iterator[Command]:
    """What one shard needs."""
    if shard.route != "batch":
        yield from _for_calls(run, shard, this)
    for batch in shard.batches:
        yield from _for_batch(run, shard, batch, this)
    if run.delivers and shard.state is AttemptState.LANDED and not shard.delivered:
        yield Deliver(run_id=run.run_id, shard_id=shard.shard_id)


def _leaves(run: KnownRun, shard: KnownShard) -> bool:
    """Say whether a shard is to come back: its run is canceled, or must be done sooner than its lane allows."""
    return run.state is RunState.CANCELING or shard.route in run.called_back


def _comes_in(run: KnownRun, this: _Round) -> bool:
    """Say whether a last look, or the results of what is over, come before anything is called back."""
    for shard in run.shards:
        for batch in shard.batches:
            over = batch.state in READABLE and not batch.landed and this.due(batch.next_at)
            if (over or _unseen(run, batch, this)) and this.at_the_door(shard.provider):
                return True
    return False


def _unseen(run: KnownRun, batch: KnownBatch, this: _Round) -> bool:
    """Say whether a batch is looked at once more because its run is about to call it back."""
    if run.hasten_at is None or run.hasten_at > this.now or run.state is not RunState.ACTIVE:
        return False
    return batch.state in AT_PROVIDER and (batch.looked_at is None or batch.looked_at < run.hasten_at)


def _for_calls(run: KnownRun, shard: KnownShard, this: _Round) -> Iterator[Command]:
    """What a block of real-time calls needs, but for being made.

    What goes on in the background long beyond its window is canceled; if it does not end even so, it is a doubt.
    """
    stuck = [call for call in shard.calls if _overdue(shard, call, this, graces=2) and call.cancel_asked]
    lost = tuple(call.ordinal for call in shard.calls if call.lost or call in stuck)
    if lost:
        yield Doubt(run_id=run.run_id, shard_id=shard.shard_id, ordinals=lost)
        if stuck:
            return
    if shard.state is AttemptState.OUT and not (shard.unstarted or shard.flying or shard.calls):
        yield DropShard(run_id=run.run_id, shard_id=shard.shard_id)  # every call of it is over, or a doubt
        return
    leaves = _leaves(run, shard)
    if not shard.open:
        return
    if not leaves:
        overdue = tuple(call.ordinal for call in shard.calls if _overdue(shard, call, this) and not call.cancel_asked)
        if overdue:
            yield RecallCalls(run_id=run.run_id, shard_id=shard.shard_id, ordinals=overdue)
        return
    queued = tuple(call.ordinal for call in shard.calls if call.state is CallState.QUEUED and not call.cancel_asked)
    if queued:
        yield RecallCalls(run_id=run.run_id, shard_id=shard.shard_id, ordinals=queued)
    elif not shard.calls and not shard.flying:
        yield DropShard(run_id=run.run_id, shard_id=shard.shard_id)


def _overdue(shard: KnownShard, call: KnownCall, this: _Round, graces: int = 1) -> bool:
    """Say whether what is made in the background should have ended long ago."""
    window = WINDOWS.get(Route(shard.route))
    if window is None or call.state is not CallState.QUEUED or call.at is None:
        return False
    return this.now > call.at + window + this.rules.overdue_after * graces


def _flights(run: KnownRun, this: _Round) -> Iterator[Fly]:
    """Every provider of which calls are to be made, waited for or asked about."""
    starts = run.state is RunState.ACTIVE and run.prices_hold
    blocks: dict[str, list[KnownShard]] = {}
    for shard in run.shards:
        if shard.route != "batch" and shard.open:
            blocks.setdefault(shard.provider, []).append(shard)
    for provider, found in blocks.items():
        may_start = tuple(
            shard.shard_id for shard in found if starts and not _leaves(run, shard) and shard.unstarted > 0
        )
        calls = [call for shard in found for call in shard.calls]
        asks = [this.due(call.next_at) for call in calls if call.state is CallState.QUEUED]
        if may_start or any(shard.flying for shard in found) or any(asks):
            headroom = run.account.headroom
            more = starts and any(
                lot.provider == provider
                and lot.route != "batch"
                and (headroom is None or lot.realtime_ceiling <= headroom)
                for lot in run.lots
            )
            yield Fly(
                run_id=run.run_id,
                provider=provider,
                shards=may_start,
                more=more and not run.untested,
                asks=any(shard.route != "realtime" for shard in found),
            )


def _for_batch(run: KnownRun, shard: KnownShard, batch: KnownBatch, this: _Round) -> Iterator[Command]:
    """What a batch needs, but for being polled."""
    run_id, shard_id, batch_id = run.run_id, shard.shard_id, batch.batch_id
    match batch.state:
        case BatchState.PLANNED if _leaves(run, shard):
            if shard.state is AttemptState.OUT:
                yield DropShard(run_id=run_id, shard_id=shard_id)
        case BatchState.PLANNED if run.state is RunState.ACTIVE and shard.state is AttemptState.OUT:
            if run.prices_hold:  # what was held yesterday is no bound of today's price
                yield from _submit(run, shard, batch, this)
        case BatchState.SUBMITTING | BatchState.DOUBTFUL:
            if batch.state is BatchState.SUBMITTING or (this.at_the_door(shard.provider) and this.due(batch.next_at)):
                resend = not _leaves(run, shard)
                yield Reconcile(run_id=run_id, shard_id=shard_id, batch_id=batch_id, resend=resend)
        case BatchState.FAILED | BatchState.LOST if not batch.landed:
            yield GiveUp(run_id=run_id, shard_id=shard_id, batch_id=batch_id)
        case state if state in READABLE and not batch.landed:
            if this.due(batch.next_at) and this.at_the_door(shard.provider):
                look = LookInside if batch.role is Role.SUSPECT else Collect
                yield look(run_id=run_id, shard_id=shard_id, batch_id=batch_id)
        case state if state in AT_PROVIDER and _unwanted(run, shard, batch, this) and not batch.cancel_asked:
            # Only what is certainly ours is canceled: an unverified id may be somebody else's batch.
            if batch.verified and batch.role is not Role.SUSPECT and this.at_the_door(shard.provider):
                yield CancelBatch(run_id=run_id, batch_id=batch_id)
        case state if state in AT_PROVIDER and run.state is RunState.ACTIVE and _beyond(batch, this, graces=2):
            # Promise 3: it may have been bought. Nothing of it is bought again unless a person says so.
            named = batch.provider_batch_id
            yield Pause(run_id=run_id, reason=f"{named} goes on long beyond its window: what does the provider say?")
        case _:
            pass


def _beyond(batch: KnownBatch, this: _Round, graces: int = 1) -> bool:
    """Say whether a batch should have ended long ago."""
    return batch.expires_at is not None and this.now > batch.expires_at + this.rules.overdue_after * graces


def _unwanted(run: KnownRun, shard: KnownShard, batch: KnownBatch, this: _Round) -> bool:
    """Say whether a batch at the provider is to be canceled: its shard comes back, it is a second one, or it is stuck.

    A batch that should have expired and goes on is canceled: what finished is read, the rest goes out again.
    """
    ours = batch.role is Role.OURS and run.state is not RunState.PAUSED
    return _leaves(run, shard) or batch.role is Role.DUPLICATE or (ours and _beyond(batch, this))


def _submit(run: KnownRun, shard: KnownShard, batch: KnownBatch, this: _Round) -> Iterator[Command]:
    """Send a batch, when its turn has come: one unconfirmed create an account, and a queue that is not full."""
    door = this.doors[shard.provider]
    blocked = door.unconfirmed_batch not in (None, batch.batch_id)
    sending = any(isinstance(command, Submit) and command.provider == shard.provider for command in this.commands)
    if blocked:
        this.due(this.now + this.rules.look_again)  # nothing of ours will wake us: another process may hold the door
    elif not sending and this.at_the_door(shard.provider) and this.due(door.full_until) and this.due(batch.next_at):
        yield Submit(run_id=run.run_id, shard_id=shard.shard_id, batch_id=batch.batch_id, provider=shard.provider)


def _poll(run: KnownRun, this: _Round) -> Iterator[Command]:
    """One look at everything that is due, and at what soon will be: one poller an account, not one a batch."""
    due: set[str] = set()
    looked_at: dict[str, list[BatchId]] = {}
    for shard in run.shards:
        for batch in shard.batches:
            if batch.state not in AT_PROVIDER:
                continue
            if this.due(batch.next_at) or _unseen(run, batch, this):
                due.add(shard.provider)
            elif not _soon_due(batch, this.now):
                continue
            looked_at.setdefault(shard.provider, []).append(batch.batch_id)
    for provider, batches in looked_at.items():
        if provider in due and this.at_the_door(provider):
            yield Poll(run_id=run.run_id, provider=provider, batches=tuple(batches))


def _soon_due(batch: KnownBatch, now: datetime) -> bool:
    """Say whether three quarters of the wait for a look are over: with another's, one look serves for both from then on."""
    if batch.looked_at is None or batch.next_at is None:
        return False
    return (batch.next_at - now) * 4 <= batch.next_at - batch.looked_at


def _onward(run: KnownRun, this: _Round) -> Iterator[Command]:
    """With nothing else to do: send more, go on to the next wave, or come to an end."""
    still_open = [shard for shard in run.shards if shard.open]
    match run.state:
        case RunState.CANCELING:
            if not still_open:
                yield Finish(run_id=run.run_id, state=RunState.CANCELED)
        case RunState.ACTIVE if any(_goes_out(lot, still_open) for lot in run.lots):
            yield from _send_more(run, still_open, this)
        case RunState.ACTIVE if not still_open and not run.lots:
            if run.wave + 1 < run.waves:
                yield MakeWave(run_id=run.run_id, wave=run.wave + 1)
            else:
                yield Finish(run_id=run.run_id, state=RunState.DONE)
        case _:
            pass


def _goes_out(lot: KnownLot, still_open: list[KnownShard]) -> bool:
    """Say whether what waits of a lot goes out now. In batches, retries wait for the rest, to go out together.

    What waits for others to fill a cache does so in batches alone: in real time nobody reads what a batch wrote.
    """
    return lot.route != "batch" or ((lot.pending or not still_open) and not lot.behind)


def _send_more(run: KnownRun, still_open: list[KnownShard], this: _Round) -> Iterator[Command]:
    """Reserve for what waits: one request of each untested kind first, then shards, as far as the budget covers."""
    if not run.prices_hold:
        yield Pause(run_id=run.run_id, reason=PRICES_CHANGED)
    elif run.untested:
        refused = next((kind for kind in run.untested if kind.refusals >= this.rules.refusals_max), None)
        if refused is not None:
            said = f"the first {refused.refusals} requests of kind {refused.kind} were refused or lost"
            yield Pause(run_id=run.run_id, reason=said)
        elif not any(shard.first for shard in still_open):
            yield TryFirst(run_id=run.run_id, kind=run.untested[0])
    elif not run.routed:
        yield ChooseRoute(run_id=run.run_id)
    else:
        headroom = run.account.headroom
        going = [lot for lot in run.lots if _goes_out(lot, still_open)]
        fitting = [lot for lot in going if headroom is None or lot.next_ceiling <= headroom]
        if not fitting and not still_open:
            yield Pause(run_id=run.run_id, reason=AT_CAP)
        for lot in fitting:
            packed = list(_pack(run, lot, still_open, this))
            yield from packed
            if packed:
                return  # the next one is decided with the headroom that this one leaves


def _pack(run: KnownRun, lot: KnownLot, still_open: list[KnownShard], this: _Round) -> Iterator[Command]:
    """Reserve for more of one lot, as far as the provider's queue, or the pace of real time, asks for more."""
    if lot.route != "batch":
        waiting = sum(shard.unstarted for shard in still_open if shard.provider == lot.provider)
        if waiting < this.rules.block_requests:
            yield PackShard(run_id=run.run_id, lot=lot.lot, route=lot.route)
        return
    door = this.doors[lot.provider]
    if door.queued_requests >= this.rules.queued_requests_max:
        this.due(this.now + this.rules.look_again)
    elif this.due(door.full_until):
        yield PackShard(run_id=run.run_id, lot=lot.lot, route=lot.route)
