"""What faces show of runs: reports, results, events, prices. Looks and changes nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lowtide import plan as planning
from lowtide import reports
from lowtide.batch import OVER, BatchState
from lowtide.catalog import Lane, TokenKind
from lowtide.dispatch import OPEN_RUNS, Role, RunId, RunState
from lowtide.engine.desk import Desk
from lowtide.errors import (
    PriceUnknown,
)
from lowtide.ledger import AccountId, Reason
from lowtide.money import ZERO, Nanos
from lowtide.plan import Plan
from lowtide.providers import kept_answer
from lowtide.reports import (
    BatchReport,
    DoubtReport,
    FailureReport,
    HoldReport,
    ModelPrices,
    PriceLine,
    ResultRow,
    RunReport,
    Span,
    Stage,
)
from lowtide.store import answers, books, calls, history, plans, runs, shards, worker_is_dead
from lowtide.store.plans import PlanRow
from lowtide.store.runs import RunRow
from lowtide.store.shards import Moments

REPORTED_HOLDS = 50
# Blocks of calls are thousands; their holds are added up, and a batch's stands alone.
SUMMED_HOLDS = frozenset({Reason.REALTIME, Reason.FIRST_REQUEST, Reason.DOUBT, Reason.POSSIBLE_DUPLICATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a run's history."""

    event_id: int
    at: datetime
    level: str
    text: str


class Looking(Desk):
    """Reports on what is there."""

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
            found = plans.newest_without_run(tx, limit)
        return [planning.decode(row.figures) for row in found if row.figures]

    def last_plan(self, source: str) -> Plan | None:
        """Find the newest plan of all that an input holds, run or not; a pilot's is of a few requests and does not count."""
        with self.store.read() as tx:
            kept = (planning.decode(row.figures) for row in plans.plans_of_source(tx, source) if row.figures)
            return next((plan for plan in kept if not plan.sample_of), None)

    def open_runs(self) -> list[RunId]:
        """Name the runs that are not over, oldest first."""
        with self.store.read() as tx:
            return [run.run_id for run in runs.open_runs(tx)]

    def waiting_runs(self) -> list[str]:
        """Name the runs that are not over, oldest first, then those that are over but for lost replies to be settled."""
        opened = self.open_runs()
        with self.store.read() as tx:
            return [*opened, *sorted(calls.doubted_runs(tx).difference(opened))]

    def events(self, run_id: str, after: int = 0, newest: int | None = None) -> list[Event]:
        """Read a run's history after an event, oldest first; of it only so many of the ``newest``."""
        run = self._run(run_id)
        with self.store.read() as tx:
            rows = runs.events_after(tx, run.run_id, after, newest)
        return [Event(event_id=row[0], at=row[1], level=row[2], text=row[3]) for row in rows]

    def _report(self, run: RunRow, now: datetime) -> RunReport:
        with self.store.read() as tx:
            plan_row = plans.find_plan(tx, run.plan_id)
            assert plan_row is not None
            plan = planning.decode(plan_row.figures) if plan_row.figures else None
            counts = {count.state: count for count in answers.states(tx, run.plan_id)}
            over = run.state not in OPEN_RUNS
            left = sum(count.requests for count in counts.values())
            pruned = False
            if over and (not left or (plan is not None and left < plan.requests)):
                tried = answers.attempted(tx, run.plan_id, canceled=run.state is RunState.CANCELED)
                pruned = sum(count.requests for count in tried) > left  # requests are gone, what became of them is not
                counts = {count.state: count for count in tried} if pruned else counts
            account_id = AccountId(f"run:{run.run_id}")
            account = books.find_account(tx, account_id)
            assert account is not None
            holds = books.holds_of(tx, account_id)
            spent = books.spent_by_reason(tx, account_id)
            batch_rows = shards.batches_of_run(tx, run.run_id)
            out = shards.out_count(tx, run.run_id)
            landed = shards.landed_counts(tx, run.run_id)
            usual = reports.turnaround(history.durations(tx, run.provider.split()))
            failures = answers.failures(tx, run.plan_id)
            stop_reasons = answers.stop_reasons(tx, run.plan_id, pruned=pruned)
            next_look = shards.next_look(tx, run.run_id)
            moments = shards.moments(tx, run.run_id)
            doubts = calls.doubt_count(tx, run.run_id)
            cheap_spent = shards.cheap_spent(tx, run.run_id)
        made = sum(count.requests for count in counts.values())
        # What was adopted has no plan: a request of it is made when it lands.
        planned = made + out if plan is None else max(plan.requests, made)
        final = {
            state: counts[state].requests if state in counts else 0 for state in ("succeeded", "failed", "canceled")
        }
        retrying = counts["retry"].requests if "retry" in counts else 0
        waiting = 0 if over else max(0, planned - sum(final.values()) - retrying - out)
        open_batches = [row.created_at for row in batch_rows if row.created_at and row.state not in OVER]
        ready_from, ready_to = (None, None)
        if not over:
            ready_from, ready_to = reports.ready(
                usual,
                oldest_open=min(open_batches, default=None),
                waves_left=max(0, run.waves - run.wave - 1),
                now=now,
            )
        nothing = {Reason.DUPLICATE.value: spent[Reason.DUPLICATE]} if spent.get(Reason.DUPLICATE, ZERO) else {}
        if spent.get(Reason.DOUBT, ZERO):
            nothing["doubt_billed"] = spent[Reason.DOUBT]  # settled: no answer of ours came with it
        for hold in holds:
            if hold.reason in (Reason.DOUBT, Reason.ROW_MISSING):
                nothing[hold.reason.value] = Nanos(nothing.get(hold.reason.value, ZERO) + hold.hold.remaining)
        return RunReport(
            run_id=run.run_id,
            plan_id=run.plan_id,
            title=run.title,
            workload=run.workload,
            source=plan_row.source,
            model=run.model if plan is None else " ".join(sorted({line.model for line in plan.lines})) or run.model,
            simulated=self.settings.simulated,
            state=run.state,
            reason=run.reason,
            wave=run.wave,
            waves=run.waves,
            planned=made if over else planned,
            unasked=planned - made if over and not pruned else 0,
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
            saved=None if pruned else self._saved(cheap_spent, run.created_at.date()),
            nothing_bought=nothing,
            holds=_holds(holds),
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
            provider=run.provider,
            route=run.route,
            deadline_at=run.deadline_at,
            hasten_at=run.hasten_at,
            hastened=run.hastened,
            doubts=doubts,
            stages=_stages(plan_row, moments, now),
            pruned=pruned,
            has_plan=plan is not None,
        )

    def doubts(self, run_id: str = "") -> list[DoubtReport]:
        """List real-time calls whose replies were lost, oldest first: of one run, or of every one. Raises: NotFound."""
        wanted = self._run(run_id).run_id if run_id else ""
        with self.store.read() as tx:
            found = calls.doubts(tx, wanted)
            holds = [None if row.call.hold_id is None else books.find_hold(tx, row.call.hold_id) for row in found]
        return [
            DoubtReport(
                run_id=row.run_id,
                shard_id=row.call.shard_id,
                ordinal=row.call.ordinal,
                key=row.key,
                provider=row.provider,
                model=row.model,
                held=ZERO if hold is None else hold.hold.remaining,
                at=row.call.at,
                request_state=row.request_state,
            )
            for row, hold in zip(found, holds, strict=True)
        ]

    def _saved(self, cheap_spent: Sequence[tuple[str, str, str, Nanos]], day: date) -> Nanos:
        """Say what cheaper lanes saved: the same answers at the real-time price, less what they cost."""
        saved = 0
        for provider, model, route, spent in cheap_spent:
            try:
                batch = self.catalog.sheet(provider, model, Lane(route), day)
                realtime = self.catalog.sheet(provider, model, Lane.REALTIME, day)
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
            text = None if message is None else kept_answer(self.codecs[row.provider], message).text
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
                cache_write_tokens=row.usage.cache_write_tokens,
                cost=row.cost,
                route=row.route,
                wave=row.wave,
                provider=row.provider,
                protocol=self._protocol(row.provider),
                simulated=self.settings.simulated,
            )

    def _protocol(self, provider: str) -> str:
        """Name the protocol of a provider; the first of all for a request that was never asked."""
        return next((each.protocol for each in self.settings.providers if each.name == provider), "anthropic")

    def models(self, day: date) -> list[ModelPrices]:
        """List the models that are sold on a day, by provider in the order of the settings, newest first, in short."""
        order = list(self.codecs)
        known = [each for each in self.catalog.models if each.provider in order and each.sold_on(day)]
        known.sort(key=lambda each: (each.launched_on or date.min, each.name), reverse=True)
        known.sort(key=lambda each: order.index(each.provider))
        found: list[ModelPrices] = []
        for model in known:
            sheets = [
                self.catalog.sheet(model.provider, model.name, lane, day)
                for lane in self.catalog.lanes(model.provider, model.name, day)
            ]
            if not sheets:
                continue
            over = [row.prompt_tokens_over for sheet in sheets for row in sheet.rows if row.prompt_tokens_over]
            base = [{row.kind: row for row in sheet.rows if not row.prompt_tokens_over} for sheet in sheets]
            found.append(
                ModelPrices(
                    provider=model.provider,
                    model=model.name,
                    lanes={
                        sheet.lane.value: (
                            rows[TokenKind.INPUT].dollars_per_million,
                            rows[TokenKind.OUTPUT].dollars_per_million,
                        )
                        for sheet, rows in zip(sheets, base, strict=True)
                    },
                    dearer_over=min(over, default=None),
                )
            )
        return found

    def prices(self, model: str, day: date) -> list[PriceLine]:
        """List what a model costs on a day, with sources; every model for an empty name. Raises: PriceUnknown."""
        names = [(known.provider, known.name) for known in self.catalog.models if known.provider in self.codecs]
        if model:
            sellers = [name for name in self.codecs if self.catalog.model(name, model) is not None]
            names = [(name, model) for name in sellers or ["anthropic"]]
        lines: list[PriceLine] = []
        for provider, name in names:
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


def _holds(holds: Sequence[books.OpenHold]) -> tuple[HoldReport, ...]:
    """List what is held: batches alone, as far as they are not too many, and everything else summed up by its reason."""
    alone: list[HoldReport] = []
    sums: dict[Reason, list[Nanos]] = {}
    for hold in holds:
        if hold.reason in SUMMED_HOLDS or len(alone) >= REPORTED_HOLDS:
            sums.setdefault(hold.reason, []).append(hold.hold.remaining)
        else:
            alone.append(HoldReport(reason=hold.reason, shard_id=hold.shard_id, amount=hold.hold.remaining))
    summed = (
        HoldReport(reason=reason, shard_id="", amount=Nanos(sum(amounts)), holds=len(amounts))
        for reason, amounts in sums.items()
    )
    return (*alone, *summed)


def _stages(plan: PlanRow, moments: Sequence[Moments], now: datetime) -> dict[Stage, timedelta]:
    """Say how long each stage lasted; one that is under way lasts until now."""
    spans: dict[Stage, list[Span]] = {stage: [] for stage in Stage}
    if plan.sealed_at is not None:
        spans[Stage.PACKAGING].append((plan.created_at, plan.sealed_at))
    for each in moments:
        sent = each.created_at if each.route != "batch" else each.accepted_at
        over = each.landed_at if each.route != "batch" else each.over_at
        if each.route == "batch":
            spans[Stage.SUBMITTING].append((each.created_at, each.accepted_at or each.landed_at or now))
        if sent is not None:
            spans[Stage.WAITING].append((sent, over or each.landed_at or now))
        if each.over_at is not None:
            spans[Stage.RETRIEVING].append((each.over_at, each.landed_at or now))
        if each.landed_at is not None and each.delivered_at is not None:
            spans[Stage.DELIVERING].append((each.landed_at, each.delivered_at))
    return {stage: reports.covered(found) for stage, found in spans.items() if found}


def _batch_report(row: shards.BatchRow, landed: int, now: datetime) -> BatchReport:
    until = row.ended_at or (None if row.state in OVER else now)  # of one that is gone nobody knows until when
    age = None if row.created_at is None or until is None else until - row.created_at
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
        error=_batch_error(row),
        provider=row.provider,
    )


def _batch_error(row: shards.BatchRow) -> str:
    """Say what is wrong with a batch: it is not ours, or the first of the reasons why it failed as a whole."""
    if row.rejected:
        return f"not ours: {row.rejected}"
    if not row.problems:
        return ""
    first = row.problems[0]
    where = "" if first.line is None else f"line {first.line}: "
    more = f", and {len(row.problems) - 1:,} more" if len(row.problems) > 1 else ""
    return f"{where}{first.message or first.code}{more}"
