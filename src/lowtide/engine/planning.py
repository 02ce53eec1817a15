"""Plans: the input read, weighed and priced, kept with a digest; and a plan made a run, if it still holds.

Nothing here sends or spends. What the plan showed as known holds, or the run does not begin (promise 5).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from lowtide import plan as planning
from lowtide import reports
from lowtide.catalog import Lane
from lowtide.dispatch import PlanId, RunId
from lowtide.engine.desk import Desk
from lowtide.errors import (
    BudgetRefused,
    InputRefused,
    NotFound,
    PlanChanged,
    Problem,
)
from lowtide.estimate import FLOOR_PERCENT, Basis, OutputHistory, likely_tokens, output_history, spread_percent
from lowtide.ledger import AccountId
from lowtide.money import Nanos, show_dollars
from lowtide.plan import Costs, Draft, Head, Plan
from lowtide.spool import Scales, Weighed, seal, spool
from lowtide.store import books, history, plans, runs
from lowtide.store.plans import PlanRow
from lowtide.worker.waves import pack_scope, scope_of
from lowtide.workload import LaterWave, Reading, Workload, WorkloadOptions

UNSEALED_AFTER = timedelta(hours=1)
HISTORY_MIN = 5  # answers of a kind before their length counts as known


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and what was wrong in the input beside it (files that were left out; never silently)."""

    plan: Plan
    problems: tuple[Problem, ...]


class Planning(Desk):
    """Makes plans, and runs of them."""

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
        learned = self._learned(row)
        scales = Scales(self.codec, self.catalog, day, learned)
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
                self._add_later(draft, number, line, options.model, day, learned.get(line.kind))
        plan_row = replace(
            row,
            title=scope.title or row.title,
            scope=pack_scope(scope),
            waves=scope.waves,
            source_digest=reading.digest(),
        )
        plan = self._close(draft, plan_row, scope.facts, made.problems_count, now, learned)
        plan_row = replace(plan_row, digest=plan.digest, figures=planning.encode(plan))
        with self.store.write() as tx:
            seal(tx, row.plan_id, 0, made)
            plans.seal_plan(tx, plan_row)
        return Planned(plan=plan, problems=tuple(made.problems))

    def _learned(self, row: PlanRow) -> dict[str, OutputHistory]:
        """Look up how long earlier answers were, by kind: of any folder for documents, else of this very input."""
        source = "" if row.workload == "bpmn" else row.source
        with self.store.read() as tx:
            found = history.answer_lengths(tx, workload=row.workload, model=row.model, source=source)
        return {kind: output_history(lengths) for kind, lengths in found.items() if len(lengths) >= HISTORY_MIN}

    def _close(
        self,
        draft: Draft,
        row: PlanRow,
        facts: Mapping[str, str],
        problems: int,
        now: datetime,
        learned: Mapping[str, OutputHistory],
    ) -> Plan:
        known = all(kind in learned for kind, _ in draft.kinds)
        basis = Basis.LEARNED if known else Basis.LIMIT
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
            basis_output=basis,
            blocked=blocked,
            # Prompts are estimated from their bytes, which is the least sure part once answers are learned.
            spread=spread_percent(sum(draft_sum.requests for draft_sum in draft.sums.values()), Basis.LOCAL)
            if basis is Basis.LEARNED
            else None,
        )
        return draft.plan(head, wave_exact=1, warnings=warnings)

    def _add_later(
        self, draft: Draft, wave: int, line: LaterWave, model: str, day: date, lengths: OutputHistory | None
    ) -> None:
        """Price a later wave from its totals: the sums cost what their parts cost, but for price tiers."""
        found = self.catalog.model(self.codec.provider, model)
        batch = self.catalog.sheet(self.codec.provider, model, Lane.BATCH, day)
        realtime = self.catalog.sheet(self.codec.provider, model, Lane.REALTIME, day)
        count = max(line.requests, 1)
        assert found is not None, "the first wave knew this model"
        each_in = likely_tokens(line.input_bytes_likely // count, tokenizer=found.tokenizer)
        least_in = each_in * FLOOR_PERCENT // 100
        most_in, most_out = -(-line.input_bytes_ceiling // count), -(-line.output_tokens_ceiling // count)
        most_in = min(most_in, found.largest_context_tokens)
        each_out = max(1, most_out // 2) if lengths is None else max(1, min(lengths.mean_tokens, most_out))
        draft.add_later(
            wave=wave,
            kind=line.kind,
            model=model,
            requests=line.requests,
            tokens=(each_in * line.requests, each_out * line.requests),
            costs=Costs(
                floor=batch.likely_nanos(least_in, 1) * line.requests,
                likely=batch.likely_nanos(each_in, each_out) * line.requests,
                ceiling=batch.ceiling_nanos(most_in, most_out, dearest_write="", us_only=True) * line.requests,
                realtime_floor=realtime.likely_nanos(least_in, 1) * line.requests,
                realtime_likely=realtime.likely_nanos(each_in, each_out) * line.requests,
                realtime_ceiling=realtime.ceiling_nanos(most_in, most_out, dearest_write="", us_only=True)
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

    def find_plan(self, plan_id: str) -> Plan:
        """Read a kept plan. Raises: NotFound."""
        with self.store.read() as tx:
            row = plans.find_plan(tx, plan_id)
        if row is None:
            raise NotFound(f"there is no plan {plan_id}", hint="lowtide status lists plans and runs")
        return planning.decode(row.figures)

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
