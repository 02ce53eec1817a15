"""One turn: read what is known, decide, write intent, act, write outcome. Everything it knows is in the store.

Startup and every later turn run the same code, so a restart is nothing special. A turn takes the runs that are free to
take, asks ``dispatch`` what to do, and carries the commands out one after another. An error of the disk or of our own
ends the process; an error of the world is written down and waited for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import assert_never

from lowtide import dispatch, plan
from lowtide.dispatch import Command, KnownRun, RunId, UntestedKind
from lowtide.errors import LeaseLost, LowtideError, NotFound, PriceUnknown
from lowtide.store import Transaction, plans, runs, shards
from lowtide.store.books import find_account, open_account
from lowtide.store.runs import RunRow
from lowtide.worker import collecting, delivering, polling, realtime, sending, waves
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
    """Carries runs out. ``focus`` names the runs to work on, ``None`` for every open one."""

    hands: Hands
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
                if self.stopping or not (turn.open_runs or turn.taken_elsewhere):
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
            with self.hands.store.write() as tx:
                runs.let_go(tx, self.hands.worker)

    async def turn(self) -> Turn:
        """Do what is due now, once."""
        now = await self.hands.clock.now()
        held, elsewhere = self._claim(now)
        with self.hands.store.read() as tx:
            known = [self._known(tx, run, now.date()) for run in held]
            door = runs.known_door(tx, self.hands.door)
        decision = dispatch.next_commands(known, door, self.hands.dispatch_rules, now)
        for command in decision.commands:
            with self.hands.store.read() as tx:
                run = runs.find_run(tx, command.run_id)
            assert run is not None
            if run.leased_by != self.hands.worker or run.run_id in self._aside:
                continue  # an earlier command took so long that another process has it now, or it cannot go on here
            try:
                await self._carry_out(run, command)
            except LeaseLost:
                continue
            except (NotFound, PriceUnknown) as error:
                await self._set_aside(run, error)
            if self.stopping:
                break
        return Turn(
            commands=len(decision.commands),
            open_runs=tuple(run.run_id for run in held),
            taken_elsewhere=tuple(elsewhere),
            wake_at=decision.wake_at,
        )

    def _prepare(self) -> None:
        with self.hands.store.write() as tx:
            runs.open_door(tx, self.hands.door)
            open_account(tx, self.hands.payee, None)

    def _claim(self, now: datetime) -> tuple[list[RunRow], list[RunId]]:
        """Claim what we may work on, and the run whose unconfirmed create blocks the door if nobody else cares for it."""
        with self.hands.store.read() as tx:
            candidates = runs.open_runs(tx)
            blocker = runs.blocking_run(tx, self.hands.door)
        wanted = [
            run
            for run in candidates
            if (self.focus is None or run.run_id in self.focus or run.run_id == blocker)
            and f"{run.provider}:{run.credential}" == self.hands.door  # another key does not see its batches
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
                held.append(replace(run, leased_by=self.hands.worker))
            elif run.run_id != blocker or (self.focus is not None and run.run_id in self.focus):
                elsewhere.append(run.run_id)
        return held, elsewhere

    def _known(self, tx: Transaction, run: RunRow, today: date) -> KnownRun:
        """Read what dispatch must know of a run."""
        account = find_account(tx, payer(run))
        assert account is not None, f"run {run.run_id} has no account"
        untested = [
            UntestedKind(kind=kind, model=model, seq=seq, refusals=refusals)
            for kind, model, refusals in runs.untested_kinds(tx, run.plan_id)
            if (seq := shards.first_of_kind(tx, run, kind, model)) is not None
        ]
        return KnownRun(
            run_id=run.run_id,
            state=run.state,
            wave=run.wave,
            waves=run.waves,
            pending=runs.pending_count(tx, run),
            retrying=runs.retrying_count(tx, run),
            next_ceiling=shards.next_ceiling(tx, run),
            untested=tuple(untested),
            account=account,
            shards=runs.known_shards(tx, run),
            prices_hold=self._prices_hold(tx, run, today),
            delivers=bool(run.out),
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
        """Carry one command out."""
        hands = self.hands
        match command:
            case dispatch.MakeWave():
                await waves.make_wave(hands, run, command)
            case dispatch.TryFirst():
                await realtime.try_first(hands, run, command)
            case dispatch.Call():
                await realtime.call(hands, run, command)
            case dispatch.Doubt():
                await realtime.doubt(hands, run, command)
            case dispatch.PackShard():
                await sending.pack_shard(hands, run, command)
            case dispatch.DropShard():
                await sending.drop_shard(hands, run, command)
            case dispatch.Submit():
                await sending.submit(hands, run, command)
            case dispatch.Reconcile():
                await sending.reconcile(hands, run, command)
            case dispatch.Poll():
                await polling.poll(hands, run, command)
            case dispatch.LookInside():
                await polling.look_inside_suspect(hands, run, command)
            case dispatch.Collect():
                await collecting.collect(hands, run, command)
            case dispatch.GiveUp():
                await collecting.give_up(hands, run, command)
            case dispatch.CancelBatch():
                await polling.cancel_batch(hands, run, command)
            case dispatch.Deliver():
                await delivering.deliver(hands, run, command)
            case dispatch.Pause():
                await self._pause(run, command)
            case dispatch.Finish():
                await delivering.finish(hands, run, command)
            case _:
                assert_never(command)

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
