"""A run that is under way: let it go on, stop it for good, send again what failed, give it another cap."""

from collections.abc import Sequence
from datetime import datetime

from lowtide.attempt import CallEvent, next_state
from lowtide.dispatch import RunState
from lowtide.engine.desk import Desk
from lowtide.errors import BudgetRefused, LowtideError, NotFound, counted
from lowtide.ledger import AccountId, Reason, alarm, raise_limit
from lowtide.money import Nanos, show_apart, show_dollars
from lowtide.result import Retry, refusal
from lowtide.store import Transaction, answers, books, calls, runs, shards
from lowtide.store.books import Settlement
from lowtide.store.calls import DoubtRow
from lowtide.store.runs import RunRow


class Steering(Desk):
    """Steers runs; a worker carries out what is decided here."""

    async def resume(self, run_id: str) -> None:
        """Let a paused run go on: its reason may be gone."""
        run = self._run(run_id)
        now = await self.clock.now()
        with self.store.write() as tx:
            if not runs.set_state(tx, run.run_id, RunState.ACTIVE, only_from=frozenset({RunState.PAUSED})):
                return
            runs.forget_refusals(tx, run.plan_id)
            for provider in run.provider.split():
                runs.welcome_back(tx, f"{provider}:{run.credential}")
            runs.note(tx, run.run_id, now, "resumed")

    async def cancel(self, run_id: str) -> RunState:
        """Ask a run to stop for good: what is at the provider is canceled, what was bought is kept and booked."""
        run = self._run(run_id)
        now = await self.clock.now()
        with self.store.write() as tx:
            if runs.set_state(tx, run.run_id, RunState.CANCELING, reason="canceled by its user"):
                runs.note(tx, run.run_id, now, "canceling")
                return RunState.CANCELING
        return self._run(run_id).state

    async def retry(self, run_id: str) -> tuple[int, int]:
        """Send again what failed and can succeed. Gives how many go out again, and how many can never succeed."""
        run = self._run(run_id)
        if run.state is RunState.CANCELING:
            raise LowtideError(f"run {run_id} is being canceled", hint="wait until it is over: lowtide status")
        now = await self.clock.now()
        never = [code for code in self._failure_codes(run) if refusal(code).retry is Retry.NEVER]
        with self.store.write() as tx:
            again, hopeless = shards.send_again(tx, run.plan_id, never)
            if again:
                anywhere = frozenset(RunState) - {RunState.CANCELING}
                runs.set_state(tx, run.run_id, RunState.ACTIVE, only_from=anywhere)
                runs.forget_refusals(tx, run.plan_id)
            sent = counted(again, "request goes", "requests go")
            runs.note(tx, run.run_id, now, f"{sent} out again, {hopeless:,} can never succeed")
        return again, hopeless

    async def settle_doubts(self, run_id: str, keys: Sequence[str], *, billed: Nanos | None) -> int:
        """Say what became of lost replies, for these keys of a run, or for all of them. Gives how many.

        ``billed`` is what each cost by the provider's own bill: 0 releases its hold, an amount is spent out of it, ``None``
        means that it was bought at the most it can have cost. The request itself stays as it is. Raises: NotFound.
        """
        run = self._run(run_id)
        now = await self.clock.now()
        with self.store.write() as tx:
            found = [row for row in calls.doubts(tx, run.run_id) if not keys or row.key in keys]
            unknown = sorted(set(keys) - {row.key for row in found})
            if unknown:
                raise NotFound(
                    f"run {run_id} has no doubt about {', '.join(unknown[:5])}",
                    hint=f"lowtide doubt {run_id} lists them",
                )
            for row in found:
                self._settle_doubt(tx, run, row, billed, now)
        return len(found)

    def _settle_doubt(self, tx: Transaction, run: RunRow, row: DoubtRow, billed: Nanos | None, now: datetime) -> None:
        hold = None if row.call.hold_id is None else books.find_hold(tx, row.call.hold_id)
        amount = billed
        if hold is not None:
            amount = hold.hold.remaining if billed is None else billed
            if amount:
                settlement = Settlement(ordinal=row.call.ordinal, amount=amount, reason=Reason.DOUBT)
                shard_id = row.call.shard_id
                verdict = books.settle(self.store, tx, hold.hold.hold_id, [settlement], shard_id=shard_id, at=now)
                if alarm(verdict):
                    text = f"{row.key} was billed more than its ceiling: {show_dollars(amount)}"
                    runs.note(tx, run.run_id, now, text, level="alarm")
                    runs.set_state(tx, run.run_id, RunState.PAUSED, reason=text, only_from=frozenset({RunState.ACTIVE}))
            books.release(tx, hold.hold.hold_id, at=now)
        ended = next_state(row.call.state, CallEvent.SETTLED)
        assert ended is None, "a doubt that is settled is over"
        calls.end(self.store, tx, [(row.call.shard_id, row.call.ordinal)])
        text = f"the doubt about {row.key} is settled: {show_dollars(amount or Nanos(0))}"
        runs.note(tx, run.run_id, now, text)

    def _failure_codes(self, run: RunRow) -> set[str]:
        with self.store.read() as tx:
            return {failure.code for failure in answers.failures(tx, run.plan_id)}

    async def raise_cap(self, run_id: str, cap: Nanos | None) -> None:
        """Set another cap (``None``: no cap). Raises: BudgetRefused when less than what is committed already."""
        run = self._run(run_id)
        now = await self.clock.now()
        with self.store.write() as tx:
            account = books.find_account(tx, AccountId(f"run:{run.run_id}"), lock=True)
            assert account is not None
            after = raise_limit(account, cap)
            if after is None:
                committed, most = show_apart(account.committed, cap or 0)
                raise BudgetRefused(
                    f"{committed} are spent or committed already, more than a cap of {most}",
                    hint="name a higher cap",
                )
            books.write_account(tx, after)
            if run.state is RunState.PAUSED and run.reason == "at its cap":
                runs.set_state(tx, run.run_id, RunState.ACTIVE, only_from=frozenset({RunState.PAUSED}))
            runs.note(tx, run.run_id, now, "no cap any more" if cap is None else f"cap is now {show_dollars(cap)}")
