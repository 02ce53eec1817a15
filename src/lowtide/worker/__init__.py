"""One turn: read what is known, decide, write intent, act, write outcome. Everything it knows is in the store.

Startup and every later turn run the same code, so a restart is nothing special. A turn takes the runs that are free to
take, asks ``dispatch`` what to do, and carries the commands out one after another. An error of the disk or of our own
ends the process; an error of the world is written down and waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import assert_never

from lowtide import dispatch, plan
from lowtide.dispatch import BatchId, Command, KnownRun, RunId, UntestedKind
from lowtide.errors import LeaseLost, LowtideError, NotFound, PriceUnknown
from lowtide.packing import ShardId
from lowtide.store import Transaction, plans, runs, shards
from lowtide.store.books import find_account, open_account
from lowtide.store.runs import RunRow
from lowtide.worker import collecting, delivering, lanes, polling, realtime, sending, waves
from lowtide.worker.hands import LEASE, Hands, pause, payer

__all__ = ["Hands", "Turn", "Worker"]

IDLE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn did: how many commands, the runs still open that we hold, and when something is due next."""

    commands: int
    open_runs: tuple[RunId, ...]
    taken_elsewhere: tuple[RunId, ...]
    wake_at: datetime | None


@dataclass(slots=True, kw_only=True)
class Worker:
    """Carries runs out. ``focus`` names the runs to work on, ``None`` for every open one.

    ``doors`` has the hands for each provider by its name; a run is worked on where all of its providers are.
    """

    doors: Mapping[str, Hands]
    focus: frozenset[RunId] | None = None
    stopping: bool = False
    on_turn: Callable[[Turn], None] | None = None
    _aside: set[RunId] = field(default_factory=set)
    _prices: dict[tuple[str, date], bool] = field(default_factory=dict)

    async def work(self) -> Turn:
        """Take turns until nothing that we may work on is open, everything waits for a person, or we are told to stop."""
        self._prepare()
        try:
            while True:
                turn = await self.turn()
                if self.on_turn is not None:
                    self.on_turn(turn)
                if self.stopping and not any(hands.flight.waits_for(turn.open_runs) for hands in self.doors.values()):
                    return turn  # what is in flight, or came and is not settled, would be a doubt otherwise
                if not (turn.open_runs or turn.taken_elsewhere):
                    return turn
                if turn.commands:
                    continue
                if turn.wake_at is None and not turn.taken_elsewhere:
                    return turn
                now = await self.hands.clock.now()
                wake_at = min(turn.wake_at or now + IDLE, now + IDLE)
                if turn.taken_elsewhere:
                    wake_at = min(wake_at, now + timedelta(seconds=5))
                await self.hands.clock.sleep_until(wake_at)
        finally:
            for hands in self.doors.values():
                hands.flight.drop()
            with self.hands.store.write() as tx:
                runs.let_go(tx, self.hands.worker)

    @property
    def hands(self) -> Hands:
        """Some hands, for what all have in common: the store, the clock, the rules."""
        return next(iter(self.doors.values()))

    async def turn(self) -> Turn:
        """Do what is due now, once."""
        now = await self.hands.clock.now()
        held, elsewhere = self._claim(now)
        with self.hands.store.read() as tx:
            known = [self._known(tx, run, now.date()) for run in held]
            doors = {name: runs.known_door(tx, hands.door) for name, hands in self.doors.items()}
        decision = dispatch.next_commands(known, doors, self.hands.dispatch_rules, now)
        flights = [command for command in decision.commands if isinstance(command, dispatch.Fly)]
        others = [command for command in decision.commands if not isinstance(command, dispatch.Fly)]
        for command in others:
            if self.stopping:
                break
            with self.hands.store.read() as tx:
                run = runs.find_run(tx, command.run_id)
            assert run is not None
            if run.leased_by != self.hands.worker or run.run_id in self._aside:
                continue  # an earlier command took so long that another process has it now, or it cannot go on here
            await self._try(run, self._carry_out(run, command))
        put_off = await self._fly(flights)
        waits = bool(flights) and not others and put_off is not None
        wake_at = min((at for at in (put_off, *(flight.until for flight in flights)) if at is not None), default=None)
        return Turn(
            commands=0 if waits else len(decision.commands),
            open_runs=tuple(run.run_id for run in held),
            taken_elsewhere=tuple(elsewhere),
            wake_at=wake_at if waits else decision.wake_at,
        )

    async def _try(self, run: RunRow, step: Awaitable[datetime | None]) -> datetime | None:
        """Carry one step out; what one run lacks is not another's trouble."""
        try:
            return await step
        except LeaseLost:
            return None
        except (NotFound, PriceUnknown) as error:
            await self._set_aside(run, error)
            return None

    async def _fly(self, flights: Sequence[dispatch.Fly]) -> datetime | None:
        """Make the calls of every run and provider at once; gives when to go on, ``None`` for at once."""
        with self.hands.store.read() as tx:
            found = [(flight, runs.find_run(tx, flight.run_id)) for flight in flights]
        again = asyncio.Event()

        async def one(flight: dispatch.Fly, run: RunRow) -> datetime | None:
            """Fly; with something to decide, let the others come to an end, too."""
            hands = self.doors[flight.provider]
            ended = await self._try(run, realtime.fly(hands, run, flight, lambda: self.stopping, again.is_set))
            if ended is None:
                again.set()
                for door in self.doors.values():
                    door.flight.wake()
            return ended

        steps = [
            asyncio.ensure_future(one(flight, run))
            for flight, run in found
            if run is not None and run.leased_by == self.hands.worker and run.run_id not in self._aside
        ]
        if not steps:
            return None
        try:
            done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for step in steps:
                step.cancel()
        for failed in (step for step in done if step.exception() is not None):
            failed.result()  # raises: the others were still in the air, and end with this process
        ended = [step.result() for step in steps]
        return None if None in ended else min(at for at in ended if at is not None)

    def _prepare(self) -> None:
        with self.hands.store.write() as tx:
            for hands in self.doors.values():
                runs.open_door(tx, hands.door)
                open_account(tx, hands.payee, None)

    def _claim(self, now: datetime) -> tuple[list[RunRow], list[RunId]]:
        """Claim what we may work on, and the runs whose unconfirmed creates block a door if nobody else cares for them."""
        with self.hands.store.read() as tx:
            candidates = runs.open_runs(tx)
            blockers = {runs.blocking_run(tx, hands.door) for hands in self.doors.values()}
        wanted = [
            run
            for run in candidates
            if (self.focus is None or run.run_id in self.focus or run.run_id in blockers)
            and self._reaches(run)
            and run.run_id not in self._aside
        ]
        held: list[RunRow] = []
        elsewhere: list[RunId] = []
        for run in wanted:
            if run.leased_by == self.hands.worker and run.leased_until and run.leased_until - now > LEASE / 2:
                held.append(run)
                continue
            with self.hands.store.write() as tx:
                mine = runs.claim(tx, run, worker=self.hands.worker, now=now, lease=LEASE)
            if mine:
                if run.leased_by != self.hands.worker:
                    for hands in self.doors.values():
                        hands.flight.forget(run.run_id)
                held.append(replace(run, leased_by=self.hands.worker))
            elif run.run_id not in blockers or (self.focus is not None and run.run_id in self.focus):
                elsewhere.append(run.run_id)
        return held, elsewhere

    def _reaches(self, run: RunRow) -> bool:
        """Say whether we are at every door of a run: another key does not see its batches."""
        wanted = {f"{provider}:{run.credential}" for provider in run.provider.split()}
        return wanted <= {hands.door for hands in self.doors.values()}

    def _known(self, tx: Transaction, run: RunRow, today: date) -> KnownRun:
        """Read what dispatch must know of a run."""
        account = find_account(tx, payer(run))
        assert account is not None, f"run {run.run_id} has no account"
        untested = [
            UntestedKind(kind=kind, provider=provider, model=model, seq=seq, refusals=refusals)
            for kind, provider, model, refusals in runs.untested_kinds(tx, run.plan_id)
            if (seq := shards.first_of_kind(tx, run, kind, provider, model)) is not None
        ]
        flying = frozenset().union(*(hands.flight.holds() for hands in self.doors.values()))
        return KnownRun(
            run_id=run.run_id,
            state=run.state,
            wave=run.wave,
            waves=run.waves,
            lots=shards.waiting_lots(tx, run),
            untested=tuple(untested),
            account=account,
            shards=runs.known_shards(tx, run, flying),
            prices_hold=self._prices_hold(tx, run, today),
            delivers=bool(run.out),
            routed=run.routed_wave is None or run.routed_wave >= run.wave,
            hasten_at=run.hasten_at,
            called_back=frozenset(run.called_back.split()),
        )

    def _prices_hold(self, tx: Transaction, run: RunRow, today: date) -> bool:
        """Promise 5: prices that the plan showed still hold today."""
        known = self._prices.get((run.plan_id, today))
        if known is None:
            row = plans.find_plan(tx, run.plan_id)
            assert row is not None
            # An adopted batch was planned by nobody: no price was promised.
            known = not row.figures or not plan.price_changes(plan.decode(row.figures), self.hands.catalog, today)
            self._prices[run.plan_id, today] = known
        return known

    async def _carry_out(self, run: RunRow, command: Command) -> None:  # noqa: C901 one line a command
        """Carry one command out, at the provider that it is about."""
        doors = self.doors
        match command:
            case dispatch.MakeWave():
                await waves.make_wave(self.hands, run, command)
            case dispatch.TryFirst():
                await realtime.try_first(doors[command.kind.provider], run, command)
            case dispatch.Fly():
                raise AssertionError("flights go on beside everything else")
            case dispatch.Doubt():
                await realtime.doubt(self._at(command.shard_id), run, command)
            case dispatch.RecallCalls():
                await realtime.recall_calls(self._at(command.shard_id), run, command)
            case dispatch.ChooseRoute():
                await lanes.choose_route(self.hands, run, command)
            case dispatch.Hasten():
                await lanes.hasten(self.hands, run, command)
            case dispatch.PackShard():
                await sending.pack_shard(self._of_lot(run, command.lot), run, command)
            case dispatch.DropShard():
                await sending.drop_shard(self._at(command.shard_id), run, command)
            case dispatch.Submit():
                await sending.submit(doors[command.provider], run, command)
            case dispatch.Reconcile():
                await sending.reconcile(self._at(command.shard_id), run, command)
            case dispatch.Poll():
                await polling.poll(doors[command.provider], run, command)
            case dispatch.LookInside():
                await polling.look_inside_suspect(self._at(command.shard_id), run, command)
            case dispatch.Collect():
                await collecting.collect(self._at(command.shard_id), run, command)
            case dispatch.GiveUp():
                await collecting.give_up(self._at(command.shard_id), run, command)
            case dispatch.CancelBatch():
                await polling.cancel_batch(self._of_batch(command.batch_id), run, command)
            case dispatch.Deliver():
                await delivering.deliver(self.hands, run, command)
            case dispatch.Pause():
                await self._pause(run, command)
            case dispatch.Finish():
                await delivering.finish(self.hands, run, command)
            case _:
                assert_never(command)

    def _at(self, shard_id: ShardId) -> Hands:
        """Give the hands at the provider of a shard."""
        with self.hands.store.read() as tx:
            return self.doors[shards.provider_of(tx, shard_id)]

    def _of_batch(self, batch_id: BatchId) -> Hands:
        with self.hands.store.read() as tx:
            return self.doors[shards.batch(tx, batch_id).provider]

    def _of_lot(self, run: RunRow, lot: int) -> Hands:
        with self.hands.store.read() as tx:
            return self.doors[shards.lot_row(tx, run.plan_id, lot).provider]

    async def _set_aside(self, run: RunRow, error: LowtideError) -> None:
        """What one run lacks here (its workload, a price) is not another's trouble: it pauses, and the others go on."""
        now = await self.hands.clock.now()
        self._aside.add(run.run_id)
        with self.hands.store.write() as tx:
            pause(tx, run, error.message)
            runs.note(tx, run.run_id, now, f"{error.message}; {error.hint}", level="alarm")

    async def _pause(self, run: RunRow, command: dispatch.Pause) -> None:
        now = await self.hands.clock.now()
        with self.hands.store.write() as tx:
            pause(tx, run, command.reason)
            runs.note(tx, run.run_id, now, f"paused: {command.reason}", level="warning")
            if run.called_back and command.reason == dispatch.AT_CAP:
                left = shards.unanswered(tx, run.plan_id, run.wave)
                text = f"the cap does not cover real time for the {left} that are left: the deadline is missed for them"
                runs.note(tx, run.run_id, now, text, level="warning")
