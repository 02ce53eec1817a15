"""A run that is under way: let it go on, stop it for good, send again what failed, give it another cap."""

from lowtide.dispatch import RunState
from lowtide.engine.desk import Desk
from lowtide.errors import (
    BudgetRefused,
    LowtideError,
)
from lowtide.ledger import AccountId, raise_limit
from lowtide.money import Nanos, show_dollars
from lowtide.result import Retry, refusal
from lowtide.store import answers, books, runs, shards
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
            runs.note(tx, run.run_id, now, f"{again} requests go out again, {hopeless} can never succeed")
        return again, hopeless

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
                raise BudgetRefused(
                    f"{show_dollars(account.committed)} are spent or committed already,"
                    f" more than a cap of {show_dollars(cap or 0)}",
                    hint="name a higher cap",
                )
            books.write_account(tx, after)
            if run.state is RunState.PAUSED and run.reason == "at its cap":
                runs.set_state(tx, run.run_id, RunState.ACTIVE)
            runs.note(tx, run.run_id, now, "no cap any more" if cap is None else f"cap is now {show_dollars(cap)}")
