"""The front desk: plan, run, status, results, cancel, retry, raise, adopt, doctor, prune. All that a face may use.

Faces parse and show; decisions are made below. An engine holds one store, one provider account and one clock. Nothing is
sent by planning, and nothing is bought but by a worker's turn.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from lowtide import plan as planning
from lowtide import points, reports
from lowtide.attempt import AttemptState
from lowtide.batch import FOUND, BatchState, BatchView
from lowtide.catalog import Catalog, Lane
from lowtide.clock import Clock, SimulatorClock, SystemClock
from lowtide.dispatch import OPEN_RUNS, PlanId, Role, RunId, RunState
from lowtide.errors import (
    BudgetRefused,
    CredentialMissing,
    InputRefused,
    LowtideError,
    NotFound,
    PlanChanged,
    PriceUnknown,
    Problem,
    ProviderRefused,
)
from lowtide.estimate import Basis, likely_tokens
from lowtide.ledger import AccountId, Reason, raise_limit
from lowtide.money import ZERO, Nanos, show_dollars
from lowtide.packing import ShardId, pack_members, unpack_members
from lowtide.plan import Costs, Draft, Head, Plan
from lowtide.providers import ApiError, Codec
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.reports import BatchReport, Check, FailureReport, HoldReport, PriceLine, ResultRow, RunReport, UnknownBatch
from lowtide.result import Retry, Succeeded, refusal
from lowtide.settings import Settings, credential, load_catalog
from lowtide.spool import Scales, Weighed, seal, spool
from lowtide.store import Store, answers, books, history, plans, prunes, runs, shards, worker_is_dead, worker_name
from lowtide.store.plans import PlanRow
from lowtide.store.runs import RunRow
from lowtide.transport import HttpTransport, Transport
from lowtide.worker import Hands, Turn, Worker
from lowtide.worker.waves import pack_scope, scope_of
from lowtide.workload import LaterWave, Reading, Workload, WorkloadOptions

UNSEALED_AFTER = timedelta(hours=1)
REPORTED_HOLDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and what was wrong in the input beside it (files that were left out; never silently)."""

    plan: Plan
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a run's history."""

    event_id: int
    at: datetime
    level: str
    text: str


class Engine:
    """The front desk. Make one with ``Engine.start`` and close it with ``close``."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        transport: Transport,
        clock: Clock,
        catalog: Catalog,
        workloads: Mapping[str, Workload],
        environment: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.store = store
        self.transport = transport
        self.clock = clock
        self.catalog = catalog
        self.workloads = workloads
        self.codec: Codec = AnthropicCodec()
        self._environment = environment
        self._worker_name = worker_name(clock.new_id(5))

    @classmethod
    def start(cls, settings: Settings, workloads: Mapping[str, Workload], environment: Mapping[str, str]) -> "Engine":
        """Open the store and the door. Nothing is called yet.

        Raises: StoreUnusable, SettingsInvalid, InputRefused for price files.
        """
        points.arm_from_environment(environment)
        catalog = load_catalog(settings)
        store = Store(settings.store_folder, url=settings.database).open()
        store.set_money(simulated=settings.simulated)
        transport = HttpTransport(settings.provider_url, loopback_only=bool(environment.get("LOWTIDE_ONLY_LOOPBACK")))
        clock: Clock
        if settings.simulated:
            name = SystemClock().new_id(8)
            clock = SimulatorClock(
                HttpTransport(settings.simulator, loopback_only=True), f"lowtide-{os.getpid()}-{name}"
            )
        else:
            clock = SystemClock()
        return cls(
            settings=settings,
            store=store,
            transport=transport,
            clock=clock,
            catalog=catalog,
            workloads=workloads,
            environment=environment,
        )

    async def close(self) -> None:
        """Let go of everything."""
        await self.transport.close()
        if isinstance(self.clock, SimulatorClock):
            await self.clock.close()
        self.store.close()

    # plan

    async def plan(
        self,
        source: Path,
        *,
        workload: str = "",
        options: WorkloadOptions,
        prices_on: date | None = None,
        skip_problems: bool = False,
    ) -> Planned:
        """Read the input, weigh and price every request, and keep the plan. Nothing is sent or spent.

        A broken file in a folder is reported and the rest goes on; a bad line of a file refuses the whole file, unless
        ``skip_problems``. Raises: InputRefused with every problem, NotFound, PriceUnknown.
        """
        chosen = self._choose(source, workload)
        now = await self.clock.now()
        day = prices_on or now.date()
        options = replace(options, model=options.model or self.settings.model)
        with self.store.write() as tx:
            for stale in plans.unsealed_plans(tx, now - UNSEALED_AFTER):
                plans.drop_plan(tx, stale)
        plan_id = PlanId(f"p_{self.clock.new_id(7)}")
        reading = chosen.read(source, options)
        row = self._plan_row(plan_id, source, chosen.name, options, now)
        with self.store.write() as tx:
            plans.insert_plan(tx, row, sealed=False)
        planned: Planned | None = None
        try:
            planned = await self._spool_plan(chosen, reading, row, day, now, options, skip_problems)
        finally:
            if planned is None:  # nothing half done stays
                with self.store.write() as tx:
                    plans.drop_plan(tx, plan_id)
        return planned

    async def _spool_plan(
        self,
        chosen: Workload,
        reading: Reading,
        row: PlanRow,
        day: date,
        now: datetime,
        options: WorkloadOptions,
        skip_problems: bool,
    ) -> Planned:
        scales = Scales(self.codec, self.catalog, day)
        draft = Draft(
            catalog=self.catalog,
            provider=self.codec.provider,
            day=day,
            batch_requests_max=min(self.codec.batch_limits.requests_max, self.settings.batch_requests_max),
            batch_bytes_max=self.codec.batch_limits.bytes_max,
        )

        def listen(weighed: Weighed) -> None:
            draft.add(
                key=weighed.request.key,
                kind=weighed.request.kind,
                model=weighed.facts.model,
                tokens_in=weighed.tokens_in,
                tokens_out=weighed.tokens_out,
                costs=weighed.costs,
                body_bytes=len(weighed.params),
            )

        made = spool(
            self.store,
            scales,
            reading.requests(),
            plan_id=row.plan_id,
            wave=0,
            first_seq=0,
            writer=self._worker_name,
            now=now,
            listener=listen,
        )
        if made.problems and not (skip_problems or chosen.goes_on):
            raise InputRefused(
                made.problems, hint="nothing was sent; mend the input, or leave them out: --skip-problems"
            )
        if made.next_seq == 0 and not made.problems:
            raise InputRefused([Problem(where=row.source, what="there is nothing to ask for in it")])
        if made.next_seq == 0:
            raise InputRefused(made.problems, hint="nothing is left of the input")
        scope = reading.scope()
        scope = replace(scope, facts={**scope.facts, **_said(options)})
        for number, later in enumerate(scope.later, start=1):
            for line in later:
                self._add_later(draft, number, line, options.model, day)
        plan_row = replace(
            row,
            title=scope.title or row.title,
            scope=pack_scope(scope),
            waves=scope.waves,
            source_digest=reading.digest(),
        )
        plan = self._close(draft, plan_row, scope.facts, made.problems_count, now)
        plan_row = replace(plan_row, digest=plan.digest, figures=planning.encode(plan))
        with self.store.write() as tx:
            seal(tx, row.plan_id, 0, made)
            plans.seal_plan(tx, plan_row)
        return Planned(plan=plan, problems=tuple(made.problems))

    def _close(self, draft: Draft, row: PlanRow, facts: Mapping[str, str], problems: int, now: datetime) -> Plan:
        warnings = msgspec.json.decode(facts.get("warnings", "[]"), type=list[str])
        if problems:
            parts = (
                "1 part of the input has a problem and is"
                if problems == 1
                else f"{problems} parts of the input have problems and are"
            )
            warnings.append(f"{parts} left out")
        with self.store.read() as tx:
            usual = reports.turnaround(history.durations(tx, self.codec.provider))
        blocked = ""
        models = sorted({model for _, model in draft.sums})
        for model in models:
            if not self.catalog.sold(self.codec.provider, model, now.date()):
                blocked = f"{model} is not sold on {now.date()}: this plan is a quotation and cannot be run"
        head = Head(
            plan_id=row.plan_id,
            title=row.title,
            workload=row.workload,
            source=row.source,
            source_digest=row.source_digest,
            created_at=now,
            simulated=self.settings.simulated,
            turnaround=usual,
            basis_input=Basis.LOCAL,
            basis_output=Basis.LIMIT,
            blocked=blocked,
        )
        return draft.plan(head, wave_exact=1, warnings=warnings)

    def _add_later(self, draft: Draft, wave: int, line: LaterWave, model: str, day: date) -> None:
        """Price a later wave from its totals: the sums cost what their parts cost, but for price tiers."""
        found = self.catalog.model(self.codec.provider, model)
        batch = self.catalog.sheet(self.codec.provider, model, Lane.BATCH, day)
        realtime = self.catalog.sheet(self.codec.provider, model, Lane.REALTIME, day)
        count = max(line.requests, 1)
        tokenizer = found.tokenizer if found is not None else None
        assert tokenizer is not None, "the first wave knew this model"
        each_in = likely_tokens(line.input_bytes_likely // count, tokenizer=tokenizer)
        most_in, most_out = -(-line.input_bytes_ceiling // count), -(-line.output_tokens_ceiling // count)
        window = found.largest_context_tokens if found is not None else most_in
        most_in = min(most_in, window)
        each_out = max(1, most_out // 2)
        draft.add_later(
            wave=wave,
            kind=line.kind,
            model=model,
            requests=line.requests,
            tokens=(each_in * line.requests, each_out * line.requests),
            costs=Costs(
                floor=batch.likely_nanos(each_in * 6 // 10, 1) * line.requests,
                likely=batch.likely_nanos(each_in, each_out) * line.requests,
                ceiling=batch.ceiling_nanos(most_in, most_out, dearest_write="", us_only=False) * line.requests,
                realtime_floor=realtime.likely_nanos(each_in * 6 // 10, 1) * line.requests,
                realtime_likely=realtime.likely_nanos(each_in, each_out) * line.requests,
                realtime_ceiling=realtime.ceiling_nanos(most_in, most_out, dearest_write="", us_only=False)
                * line.requests,
            ),
        )

    def _choose(self, source: Path, workload: str) -> Workload:
        if not source.exists():
            raise NotFound(f"there is no {source}", hint="name a folder of BPMN files, a batch file or a table")
        if workload:
            if workload not in self.workloads:
                raise NotFound(
                    f"no workload is called {workload!r}", hint=f"installed: {', '.join(sorted(self.workloads))}"
                )
            return self.workloads[workload]
        for name in sorted(self.workloads):
            if self.workloads[name].accepts(source):
                return self.workloads[name]
        raise NotFound(
            f"{source} is no input that is known by its looks",
            hint=f"say what it is: --workload {'|'.join(sorted(self.workloads))}",
        )

    def _plan_row(
        self, plan_id: PlanId, source: Path, workload: str, options: WorkloadOptions, now: datetime
    ) -> PlanRow:
        return PlanRow(
            plan_id=plan_id,
            title=source.resolve().name,
            workload=workload,
            source=str(source.resolve()),
            source_digest="",
            model=options.model,
            provider=self.codec.provider,
            digest="",
            figures=b"",
            scope=b"",
            waves=1,
            created_at=now,
        )

    def find_plan(self, plan_id: str) -> Plan:
        """Read a kept plan. Raises: NotFound."""
        with self.store.read() as tx:
            row = plans.find_plan(tx, plan_id)
        if row is None:
            raise NotFound(f"there is no plan {plan_id}", hint="lowtide status lists plans and runs")
        return planning.decode(row.figures)

    # run

    async def start_run(self, plan_id: str, *, cap: Nanos | None, out: Path | None, fresh: bool = False) -> RunId:
        """Make a plan a run, after checking that it still holds. Sends nothing: a worker does.

        ``fresh``: the plan was made by this very command, so its input is not read again. A plan that is a run already
        gives that run. Raises: NotFound, PlanChanged, BudgetRefused.
        """
        plan = self.find_plan(plan_id)
        with self.store.read() as tx:
            found = runs.find_run(tx, plan_id)
        if found is not None:
            return found.run_id
        now = await self.clock.now()
        self._check(plan, now.date(), cap, fresh=fresh)
        run_id = RunId(plan_id.replace("p_", "r_", 1))
        account_id = AccountId(f"run:{run_id}")
        with self.store.write() as tx:
            if runs.find_run(tx, plan_id) is None:
                books.open_account(tx, account_id, cap)
                books.open_account(tx, AccountId(f"provider:{self.codec.provider}"), None)
                runs.insert_run(
                    tx,
                    run_id=run_id,
                    plan_id=PlanId(plan_id),
                    out="" if out is None else str(out.resolve()),  # noqa: ASYNC240 one look at a path
                    credential=self.settings.credential,
                    created_at=now,
                )
                limit = "no cap" if cap is None else f"cap {show_dollars(cap)}"
                runs.note(tx, run_id, now, f"run begun: {plan.requests} requests, {limit}")
        return run_id

    def _check(self, plan: Plan, today: date, cap: Nanos | None, *, fresh: bool) -> None:
        if plan.blocked:
            raise PlanChanged(plan.blocked, hint="plan again without --prices-on and with a model that is sold")
        changes = list(planning.price_changes(plan, self.catalog, today))
        if not fresh:
            changes.extend(self._input_changes(plan))
        if changes:
            raise PlanChanged("the plan no longer holds", changes=changes, hint="plan again and look at the difference")
        if cap is not None and plan.cost_likely > cap:
            raise BudgetRefused(
                f"the likely cost {show_dollars(plan.cost_likely)} is over the cap {show_dollars(cap)};"
                " nothing was sent or spent",
                hint=f"raise the cap (at most {show_dollars(plan.cost_ceiling)} can be needed) or plan less",
            )

    def _input_changes(self, plan: Plan) -> Iterator[str]:
        """Compare the input with what was planned. An input that is gone is no change: the plan has all of it."""
        source = Path(plan.source)
        if not source.exists():
            return
        with self.store.read() as tx:
            row = plans.find_plan(tx, plan.plan_id)
        assert row is not None
        options = replace(_options_of(scope_of(row).facts), model=row.model)
        reading = self.workloads[plan.workload].read(source, options)
        for _ in reading.requests():
            pass
        if reading.digest() != plan.source_digest:
            yield f"the input {plan.source} changed since the plan was made"

    def hands(self) -> Hands:
        """Give a worker's hands. Raises: CredentialMissing."""
        return Hands(
            store=self.store,
            transport=self.transport,
            clock=self.clock,
            codec=self.codec,
            catalog=self.catalog,
            workloads=self.workloads,
            dispatch_rules=self.settings.dispatch_rules(),
            retry_rules=self.settings.retry_rules(),
            worker=self._worker_name,
            door=f"{self.codec.provider}:{self.settings.credential}",
            credential=credential(self.settings, self._environment),
            simulated=self.settings.simulated,
        )

    def worker(self, run_ids: Iterable[str] | None, on_turn: Callable[[Turn], None] | None = None) -> Worker:
        """Make a worker for some runs, or for every open one. Raises: CredentialMissing, NotFound."""
        focus = None if run_ids is None else frozenset(RunId(run_id) for run_id in run_ids)
        for run in map(self._run, focus or ()):
            if run.credential != self.settings.credential:
                raise CredentialMissing(
                    f"run {run.run_id} was begun with the key called {run.credential!r}, and this is another",
                    hint=f"LOWTIDE_CREDENTIAL={run.credential}, with LOWTIDE_API_KEY where that key is",
                )
        return Worker(hands=self.hands(), focus=focus, on_turn=on_turn)

    async def resume(self, run_id: str) -> None:
        """Let a paused run go on: its reason may be gone."""
        run = self._run(run_id)
        now = await self.clock.now()
        with self.store.write() as tx:
            if not runs.set_state(tx, run.run_id, RunState.ACTIVE, only_from=frozenset({RunState.PAUSED})):
                return
            runs.forget_refusals(tx, run.plan_id)
            runs.welcome_back(tx, f"{self.codec.provider}:{self.settings.credential}")
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

    # look

    def _run(self, name: str) -> RunRow:
        with self.store.read() as tx:
            found = runs.find_run(tx, name)
        if found is None:
            raise NotFound(f"there is no run {name}", hint="lowtide status lists the runs")
        return found

    async def run_reports(self, limit: int = 20) -> list[RunReport]:
        """Report on the newest runs, newest first."""
        now = await self.clock.now()
        with self.store.read() as tx:
            found = runs.all_runs(tx, limit)
        return [self._report(run, now) for run in found]

    async def run_report(self, run_id: str) -> RunReport:
        """Report on one run. Raises: NotFound."""
        run = self._run(run_id)
        return self._report(run, await self.clock.now())

    def plans_without_run(self, limit: int = 20) -> list[Plan]:
        """List the newest plans that are no run yet."""
        with self.store.read() as tx:
            found = [row for row in plans.newest_plans(tx, limit) if runs.find_run(tx, row.plan_id) is None]
        return [planning.decode(row.figures) for row in found if row.figures]

    def events(self, run_id: str, after: int = 0) -> list[Event]:
        """Read a run's history after an event."""
        run = self._run(run_id)
        with self.store.read() as tx:
            rows = runs.events_after(tx, run.run_id, after)
        return [Event(event_id=row[0], at=row[1], level=row[2], text=row[3]) for row in rows]

    def _report(self, run: RunRow, now: datetime) -> RunReport:
        with self.store.read() as tx:
            plan_row = plans.find_plan(tx, run.plan_id)
            assert plan_row is not None
            plan = planning.decode(plan_row.figures) if plan_row.figures else None
            counts = {count.state: count for count in answers.states(tx, run.plan_id)}
            account_id = AccountId(f"run:{run.run_id}")
            account = books.find_account(tx, account_id)
            assert account is not None
            holds = books.holds_of(tx, account_id)
            spent = books.spent_by_reason(tx, account_id)
            batch_rows = shards.batches_of_run(tx, run.run_id)
            out = shards.out_count(tx, run.run_id)
            landed = shards.landed_counts(tx, run.run_id)
            usual = reports.turnaround(history.durations(tx, run.provider))
            failures = answers.failures(tx, run.plan_id)
            stop_reasons = answers.stop_reasons(tx, run.plan_id)
            next_look = shards.next_look(tx, run.run_id)
            batch_spent = shards.batch_spent(tx, run.run_id)
        made = sum(count.requests for count in counts.values())
        planned = max(plan.requests if plan is not None else 0, made)
        final = {
            state: counts[state].requests if state in counts else 0 for state in ("succeeded", "failed", "canceled")
        }
        retrying = counts["retry"].requests if "retry" in counts else 0
        over = run.state not in OPEN_RUNS
        waiting = 0 if over else max(0, planned - sum(final.values()) - retrying - out)
        open_batches = [row.created_at for row in batch_rows if row.created_at and not row.ended_at]
        ready_from, ready_to = (None, None)
        if not over:
            ready_from, ready_to = reports.ready(
                usual,
                oldest_open=min(open_batches, default=None),
                waves_left=max(0, run.waves - run.wave - 1),
                now=now,
            )
        nothing = {
            reason.value: spent[reason]
            for reason in (Reason.DUPLICATE, Reason.CANCELED_BUT_FINISHED)
            if spent.get(reason, ZERO)
        }
        for hold in holds:
            if hold.reason in (Reason.DOUBT, Reason.ROW_MISSING):
                nothing[hold.reason.value] = Nanos(nothing.get(hold.reason.value, ZERO) + hold.hold.remaining)
        return RunReport(
            run_id=run.run_id,
            plan_id=run.plan_id,
            title=run.title,
            workload=run.workload,
            source=plan_row.source,
            model=run.model,
            simulated=self.settings.simulated,
            state=run.state,
            reason=run.reason,
            wave=run.wave,
            waves=run.waves,
            planned=made if over else planned,
            answered=final["succeeded"],
            failed=final["failed"],
            canceled=final["canceled"],
            retrying=retrying,
            out=out,
            waiting=waiting,
            stop_reasons=stop_reasons,
            input_tokens=sum(count.input_tokens for count in counts.values()),
            output_tokens=sum(count.output_tokens for count in counts.values()),
            spent=account.spent,
            held=account.held,
            cap=account.limit,
            plan_likely=plan.cost_likely if plan is not None else ZERO,
            plan_ceiling=plan.cost_ceiling if plan is not None else ZERO,
            saved=self._saved(batch_spent, now.date()),
            nothing_bought=nothing,
            holds=tuple(
                HoldReport(reason=hold.reason, shard_id=hold.shard_id, amount=hold.hold.remaining)
                for hold in holds[:REPORTED_HOLDS]
            ),
            batches=tuple(_batch_report(row, landed.get(row.shard_id, 0), now) for row in batch_rows),
            failures=tuple(
                FailureReport(state=row.state, code=row.code, requests=row.requests, example=row.example)
                for row in failures
            ),
            turnaround=usual,
            ready_from=ready_from,
            ready_to=ready_to,
            next_look_at=next_look,
            delivered_to=run.out,
            created_at=run.created_at,
            ended_at=run.ended_at,
            now=now,
            worked_on=bool(
                run.leased_by and run.leased_until and run.leased_until > now and not worker_is_dead(run.leased_by)
            ),
        )

    def _saved(self, batch_spent: Mapping[str, Nanos], day: date) -> Nanos:
        """Say what the batch price saved: the same answers at the real-time price, less what they cost."""
        saved = 0
        for model, spent in batch_spent.items():
            try:
                batch = self.catalog.sheet(self.codec.provider, model, Lane.BATCH, day)
                realtime = self.catalog.sheet(self.codec.provider, model, Lane.REALTIME, day)
            except PriceUnknown:
                continue
            ratio = (realtime.likely_nanos(1_000_000, 1_000_000), batch.likely_nanos(1_000_000, 1_000_000))
            saved += spent * ratio[0] // ratio[1] - spent
        return Nanos(saved)

    def results(self, run_id: str, *, states: Iterable[str] = ()) -> Iterator[ResultRow]:
        """Stream what a run has so far, in the order of its requests. Partial results are results."""
        run = self._run(run_id)
        for row in answers.in_order(self.store, run.plan_id, states=list(states)):
            message = None if row.answer_at is None else self.store.body(row.answer_at)
            text = None
            if message is not None:
                outcome = self.codec.decode_message(status=200, headers={}, body=message)
                text = outcome.text if isinstance(outcome, Succeeded) else None
            yield ResultRow(
                key=row.key,
                state=row.state,
                outcome=row.outcome,
                code=row.code,
                error=row.message,
                model=row.model,
                text=text,
                message=message,
                input_tokens=row.usage.input_tokens,
                output_tokens=row.usage.output_tokens,
                cache_read_tokens=row.usage.cache_read_tokens,
                cache_write_tokens=row.usage.cache_write_5m_tokens + row.usage.cache_write_1h_tokens,
                cost=row.cost,
                route=row.route,
                wave=row.wave,
            )

    def prices(self, model: str, day: date) -> list[PriceLine]:
        """List what a model costs on a day, with sources; every model for an empty name. Raises: PriceUnknown."""
        provider = self.codec.provider
        names = [model] if model else [known.name for known in self.catalog.models if known.provider == provider]
        lines: list[PriceLine] = []
        for name in names:
            for lane in Lane:
                try:
                    sheet = self.catalog.sheet(provider, name, lane, day)
                except PriceUnknown:
                    if model and lane is Lane.REALTIME:
                        raise
                    continue
                lines.extend(
                    PriceLine(
                        provider=provider,
                        model=row.model,
                        lane=row.lane,
                        kind=row.kind,
                        prompt_tokens_over=row.prompt_tokens_over,
                        dollars_per_million=row.dollars_per_million,
                        effective_from=row.effective_from,
                        effective_to=row.effective_to,
                        source=row.source,
                        checked_on=row.checked_on,
                        recorded_on=row.recorded_on,
                    )
                    for row in sheet.rows
                )
        return lines

    # adopt

    async def unknown_batches(self) -> list[UnknownBatch]:
        """List batches at the provider that this store knows nothing of; they are never canceled unasked."""
        hands = self.hands()
        found: list[UnknownBatch] = []
        after: str | None = None
        while True:
            reply = await hands.ask(self.codec.list_call(after=after, limit=1000))
            page = self.codec.decode_page(status=reply.status, headers=reply.headers, body=reply.body)
            if isinstance(page, ApiError):
                raise _refused(page)
            ids = [view.provider_batch_id for view in page.batches]
            with self.store.read() as tx:
                known = shards.known_provider_ids(tx, self.codec.provider, ids)
            found.extend(_unknown(view) for view in page.batches if view.provider_batch_id not in known)
            after = page.next_after
            if after is None:
                return found

    async def adopt(self, provider_batch_id: str) -> RunId:
        """Take over a batch that another program submitted: a run of its own, collected and booked by a worker.

        Raises: NotFound, ProviderRefused.
        """
        hands = self.hands()
        reply = await hands.ask(self.codec.retrieve_call(provider_batch_id))
        view = self.codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
        if isinstance(view, ApiError):
            if view.status == 404:
                raise NotFound(
                    f"{self.codec.provider} knows no batch {provider_batch_id}", hint="lowtide adopt lists them"
                )
            raise _refused(view)
        now = await self.clock.now()
        suffix = self.clock.new_id(7)
        plan_id, run_id = PlanId(f"p_{suffix}"), RunId(f"r_{suffix}")
        shard_id = ShardId(f"lt{self.clock.new_id(14)}")
        members = pack_members(range(view.counts.total))
        account_id = AccountId(f"run:{run_id}")
        with self.store.write() as tx:
            if shards.known_provider_ids(tx, self.codec.provider, [provider_batch_id]):
                raise LowtideError(
                    f"{provider_batch_id} is in this store already", hint="lowtide status lists the runs"
                )
            row = replace(
                self._plan_row(plan_id, Path(provider_batch_id), "adopted", WorkloadOptions(model="unknown"), now),
                title=f"adopted {provider_batch_id}",
                source=provider_batch_id,
            )
            plans.insert_plan(tx, row, sealed=True)
            plans.insert_wave(tx, plan_id, 0, first_seq=0, last_seq=view.counts.total - 1)
            books.open_account(tx, account_id, None)
            books.open_account(tx, hands.payee, None)
            runs.insert_run(
                tx, run_id=run_id, plan_id=plan_id, out="", credential=self.settings.credential, created_at=now
            )
            runs.set_packed(tx, run_id, view.counts.total)
            hold_id = books.reserve(
                tx, payer=account_id, payee=hands.payee, amount=ZERO, reason=Reason.ADOPTED, shard_id=shard_id, at=now
            )
            assert hold_id is not None
            shard = shards.ShardRow(
                shard_id=shard_id,
                run_id=run_id,
                plan_id=plan_id,
                wave=0,
                route="batch",
                kind="adopted",
                members=unpack_members(members),
                requests=view.counts.total,
                bytes=0,
                hold_id=hold_id,
                state=AttemptState.OUT,
                tries=0,
            )
            shards.insert_shard(tx, shard, members=members, created_at=now, state=AttemptState.OUT)
            shards.insert_batch(
                tx,
                shard_id=shard_id,
                provider=self.codec.provider,
                total=view.counts.total,
                role=Role.ADOPTED,
                state=FOUND[view.event],
                values={
                    "provider_batch_id": provider_batch_id,
                    "verified": True,
                    "created_at": view.created_at,
                    "ended_at": view.ended_at,
                    "expires_at": view.expires_at,
                    "submitting_at": now,
                    **shards.counts_values(view.counts),
                },
            )
            runs.note(tx, run_id, now, f"adopted {provider_batch_id}: {view.counts.total} requests")
        return run_id

    # care

    async def doctor(self) -> list[Check]:
        """Look at key, reachability, clock, disk, prices, books and store. Nothing is spent."""
        now = await self.clock.now()
        checks = [self._check_disk(), *self._check_books(), self._check_prices(now.date())]
        try:
            hands = self.hands()
        except LowtideError as error:
            return [Check(name="key", state="bad", finding=error.message, hint=error.hint), *checks]
        try:
            reply = await hands.ask(self.codec.models_call())
        except LowtideError as error:
            return [Check(name="provider", state="bad", finding=error.message, hint=error.hint), *checks]
        if reply.status != 200:
            said = self.codec.decode_error(status=reply.status, headers=reply.headers, body=reply.body)
            key = Check(name="key", state="bad", finding=f"{said.message} ({said.status} {said.code})")
        else:
            key = Check(name="key", state="ok", finding=f"{self.settings.provider_url} accepts it")
        limits = {
            name.removeprefix("anthropic-ratelimit-"): value
            for name, value in reply.headers.items()
            if name.startswith("anthropic-ratelimit-") and name.endswith("-limit")
        }
        shown = ", ".join(f"{name} {value}" for name, value in sorted(limits.items())) or "the provider names none here"
        return [key, Check(name="limits", state="ok", finding=shown), self._check_clock(reply.headers, now), *checks]

    def _check_clock(self, headers: Mapping[str, str], now: datetime) -> Check:
        theirs = self.codec.provider_time(headers)
        if theirs is None:
            return Check(name="clock", state="warning", finding="the provider did not say its time")
        seconds = abs((theirs - now).total_seconds())
        if seconds > 120:
            return Check(
                name="clock",
                state="warning",
                finding=f"this machine's clock differs from the provider's by {seconds:.0f} s",
                hint="set the clock; lowtide compares the provider's times only with each other",
            )
        return Check(name="clock", state="ok", finding=f"within {seconds:.0f} s of the provider's")

    def _check_disk(self) -> Check:
        free = shutil.disk_usage(self.store.folder).free
        state = "ok" if free > 2 << 30 else "warning" if free > 200 << 20 else "bad"
        return Check(
            name="disk",
            state=state,
            finding=f"{free / (1 << 30):.1f} GiB free for {self.store.folder}",
            hint="" if state == "ok" else "a million answers of 2 KB take about 1 GiB",
        )

    def _check_prices(self, today: date) -> Check:
        newest = max((row.checked_on for row in self.catalog.prices if row.checked_on), default=None)
        if newest is None:
            return Check(name="prices", state="warning", finding="no price says when it was checked")
        age = (today - newest).days
        return Check(
            name="prices",
            state="ok" if age <= 60 else "warning",
            finding=f"{len(self.catalog.prices)} prices, newest checked {newest} ({max(age, 0)} days ago)",
            hint="" if age <= 60 else "compare them with the provider's page; add what changed in a price file",
        )

    def _check_books(self) -> Iterator[Check]:
        with self.store.read() as tx:
            broken = books.imbalances(tx)
        if not broken:
            yield Check(name="books", state="ok", finding="debits equal credits, holds and settlements add up")
        for law in broken:
            yield Check(name="books", state="bad", finding=law.what, hint="restore a backup and report this")

    def backup(self, target: Path) -> None:
        """Copy the store, consistent although work goes on. Raises: StoreUnusable."""
        self.store.backup(target)

    async def prune(self, older_than: timedelta) -> prunes.Pruned:
        """Delete bodies and answers of runs that ended long ago, plans that never ran, and segments nothing points at.

        Transfers stay (promise 4).
        """
        now = await self.clock.now()
        return prunes.prune(self.store, before=now - older_than, now=now)


def _said(options: WorkloadOptions) -> dict[str, str]:
    """Keep what was said about reading an input beside the workload's own facts, paths absolute."""
    return {
        "option.language": options.language,
        "option.templates": "" if options.templates is None else str(options.templates.resolve()),
        "option.documents": "" if options.documents is None else str(options.documents.resolve()),
        "option.key_column": options.key_column,
        "option.strict": "true" if options.strict else "",
        "option.max_output_tokens": "" if options.max_output_tokens is None else str(options.max_output_tokens),
    }


def _options_of(facts: Mapping[str, str]) -> WorkloadOptions:
    """Give back what was said, so that the same input can be read the same way again."""
    templates, documents, limit = (
        facts.get(f"option.{name}", "") for name in ("templates", "documents", "max_output_tokens")
    )
    return WorkloadOptions(
        language=facts.get("option.language", "en"),
        templates=Path(templates) if templates else None,
        documents=Path(documents) if documents else None,
        key_column=facts.get("option.key_column", ""),
        strict=facts.get("option.strict", "") == "true",
        max_output_tokens=int(limit) if limit else None,
    )


def _batch_report(row: shards.BatchRow, landed: int, now: datetime) -> BatchReport:
    age = None if row.created_at is None else (row.ended_at or now) - row.created_at
    return BatchReport(
        shard_id=row.shard_id,
        provider_batch_id=row.provider_batch_id,
        role=row.role,
        state=row.state if row.state is not BatchState.ENDED or landed < row.total else "landed",
        requests=row.total,
        landed=min(landed, row.total) if row.role is not Role.SUSPECT else 0,
        created_at=row.created_at,
        ended_at=row.ended_at,
        age=age,
        next_look_at=None,
        error=row.rejected and f"not ours: {row.rejected}",
    )


def _unknown(view: BatchView) -> UnknownBatch:
    return UnknownBatch(
        provider_batch_id=view.provider_batch_id,
        state=FOUND[view.event],
        requests=view.counts.total,
        created_at=view.created_at,
        ended_at=view.ended_at,
    )


def _refused(error: ApiError) -> ProviderRefused:
    return ProviderRefused(f"Anthropic refuses: {error.message} ({error.status} {error.code})")
