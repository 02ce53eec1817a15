"""Plans: the input read, weighed and priced, kept with a digest; and a plan made a run, if it still holds.

Nothing here sends or spends. What the plan showed as known holds, or the run does not begin (promise 5).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from lowtide import plan as planning
from lowtide.caching import Marks
from lowtide.catalog import Lane
from lowtide.counting import installed_counter
from lowtide.dispatch import PlanId, RunId
from lowtide.engine.asking import CALLS_MAX, Asking
from lowtide.engine.desk import Desk
from lowtide.engine.later_waves import add_later, prompt_threshold
from lowtide.errors import (
    DeadlineMissed,
    InputRefused,
    NotFound,
    PlanBlocked,
    PlanChanged,
    Problem,
    counted,
)
from lowtide.estimate import (
    Losses,
    history_of_runs,
)
from lowtide.ledger import AccountId
from lowtide.money import Nanos, show_dollars
from lowtide.pacing import Measure
from lowtide.packing import ShardId
from lowtide.plan import Draft, Head, Learned, Plan, Turnaround
from lowtide.routing import Choice, Route, TurnaroundBasis, TurnaroundRange, Wish, batch_size, choose, misses
from lowtide.spool import Scales, Weighed, seal, spool
from lowtide.store import Transaction, books, history, pilots, plans, runs
from lowtide.store.plans import PlanRow
from lowtide.worker.lanes import batch_requests_max, lot_routes, usual_turnarounds
from lowtide.worker.marking import WaveTerms
from lowtide.worker.waves import pack_scope, scope_of
from lowtide.workload import PromptThreshold, Reading, Workload, WorkloadOptions

UNSEALED_AFTER = timedelta(hours=1)
CALL_SECONDS = 30  # that one real-time call is taken to last


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a plan is made for: the day of its prices, what was said of the input, of the route and of the budget."""

    day: date
    now: datetime
    options: WorkloadOptions
    skip_problems: bool
    wish: Wish
    cap: Nanos | None
    pilot: str = ""
    count: bool = False
    calls_max: int = CALLS_MAX
    sample_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What earlier runs teach: how long answers were by (kind, model), and how many requests were lost."""

    learned: Learned
    losses: Losses


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
        wish: Wish | None = None,
        cap: Nanos | None = None,
        pilot: str = "",
        count: bool = False,
    ) -> Planned:
        """Read the input, weigh and price every request, and keep the plan. Nothing is sent or spent.

        ``wish`` is what was asked of the route: a lane, urgency, a deadline; the settings' lane without one. What ``cap``
        covers has a say in it, too. A broken file in a folder is reported and the rest goes on; a bad line of a file
        refuses the whole file, unless ``skip_problems``. ``pilot`` is the plan of a pilot that was run for this input: its
        answers teach this plan before all others, and are not bought again. ``count``: ask the provider's free counter where a
        count decides something. Raises: InputRefused with every problem, NotFound, PriceUnknown.
        """
        wish = wish or Wish(route=Route(self.settings.route))
        if options.provider and options.provider not in self.codecs:
            known = f"there are {', '.join(self.codecs)}; more come from [providers.NAME] in lowtide.toml"
            raise NotFound(f"no provider is called {options.provider!r}", hint=known)
        chosen = self._choose(source, workload)
        now = await self.clock.now()
        day = prices_on or now.date()
        if not options.model:
            options = replace(options, model=self.settings.model, model_said=False)
        with self.store.write() as tx:
            for stale in plans.unsealed_plans(tx, now - UNSEALED_AFTER):
                plans.drop_plan(tx, stale)
        options = replace(options, threshold=self._threshold(options, day))
        plan_id = PlanId(f"p_{self.clock.new_id(7)}")
        reading = chosen.read(source, options)
        row = self._plan_row(plan_id, source, chosen.name, options, now)
        asked = Asked(
            day=day,
            now=now,
            options=options,
            skip_problems=skip_problems,
            wish=wish,
            cap=cap,
            pilot=pilot,
            count=count or self.settings.tokens == "counted",
        )
        return await self.keep_plan(chosen, reading, row, asked)

    async def keep_plan(
        self, chosen: Workload, reading: Reading, row: PlanRow, asked: Asked, *, marked: bool = True
    ) -> Planned:
        """Make a plan of what is read, and keep it under the row's id. Raises: InputRefused, PriceUnknown.

        ``marked``: whether caches may be written for what its requests share.
        """
        with self.store.write() as tx:
            plans.insert_plan(tx, row, sealed=False)
        planned: Planned | None = None
        try:
            lane = _lane_wished(asked.wish) if marked else None
            planned = await self._spool_plan(chosen, reading, row, asked, lane)
        finally:
            if planned is None:  # nothing half done stays
                with self.store.write() as tx:
                    plans.drop_plan(tx, row.plan_id)
        return planned

    async def _spool_plan(
        self,
        chosen: Workload,
        reading: Reading,
        row: PlanRow,
        asked: Asked,
        lane: Lane | None,
    ) -> Planned:
        day, now, options = asked.day, asked.now, asked.options
        past = self._past(row, asked.pilot)
        bought = pilots.bought(self.store, PlanId(asked.pilot)) if asked.pilot else {}
        counter = None if self.settings.tokens == "local" else installed_counter()
        scales = Scales(self.codecs, self.catalog, day, past.learned, counter, options.provider)
        self._mark(
            scales,
            chosen.read(Path(row.source), options),
            asked,
            lane,
            {key: each.body for key, each in bought.items()},
        )
        draft = Draft(
            catalog=self.catalog,
            day=day,
            batch_limits={
                name: (min(limits.requests_max, self.settings.batch_requests_max), limits.bytes_max)
                for name, codec in self.codecs.items()
                if (limits := codec.batch_limits) is not None
            },
            windows=tuple({lane: None for codec in self.codecs.values() for lane in codec.windows}),
        )

        def listen(weighed: Weighed) -> None:
            earlier = bought.get(weighed.request.key)
            if earlier is not None and earlier.body == weighed.params:
                draft.add_bought(kind=weighed.request.kind, provider=weighed.lot.provider, model=weighed.facts.model)
            elif asked.count:
                asking.take(weighed)
            else:
                add(weighed)

        def add(weighed: Weighed) -> None:
            draft.add(
                key=weighed.request.key,
                kind=weighed.request.kind,
                provider=weighed.lot.provider,
                model=weighed.facts.model,
                tokens_in=weighed.tokens_in,
                tokens_out=weighed.tokens_out,
                costs=weighed.costs,
                body_bytes=len(weighed.params),
                sight=weighed.sight,
            )

        asking = Asking(catalog=self.catalog, scales=scales, give=add, cap=asked.cap, calls_max=asked.calls_max)
        made = spool(
            self.store,
            scales,
            reading.requests(),
            plan_id=row.plan_id,
            wave=0,
            first_seq=0,
            writer=self._worker_name,
            now=now,
            listener=listen if bought or asked.count else add,
        )
        if made.problems and not (asked.skip_problems or chosen.goes_on):
            raise InputRefused(
                made.problems,
                hint="nothing was sent; mend the input, or leave them out: --skip-problems",
                count=made.problems_count,
            )
        if made.next_seq == 0 and not made.problems:
            raise InputRefused([Problem(where=row.source, what="there is nothing to ask for in it")])
        if made.next_seq == 0:
            raise InputRefused(made.problems, hint="nothing is left of the input", count=made.problems_count)
        await asking.count(self.hands)
        scope = reading.scope()
        scope = replace(scope, facts={**scope.facts, **_said(options)})
        for number, later in enumerate(scope.later, start=1):
            for line in later:
                add_later(draft, scales, number, line, options.model)
        plan_row = replace(
            row,
            title=scope.title or row.title,
            scope=pack_scope(scope),
            waves=scope.waves,
            source_digest=reading.digest(),
        )
        plan = self._close(
            draft, plan_row, scope.facts, made.problems_count, asked, past, scales.marks, uncounted=asking.failed
        )
        if lane is not None and scales.marks.lines and plan.route != lane.value:
            # What was judged for one lane is not sent by another: once more, for the lane that was chosen.
            with self.store.write() as tx:
                plans.drop_wave(tx, row.plan_id, 0)
            other = Lane.REALTIME if lane is Lane.BATCH and plan.route == Lane.REALTIME.value else None
            asked = replace(asked, calls_max=asked.calls_max - asking.calls)
            return await self._spool_plan(chosen, chosen.read(Path(row.source), options), row, asked, other)
        plan_row = replace(plan_row, provider=plan.provider, digest=plan.digest, figures=planning.encode(plan))
        sealed_at = await self.clock.now()
        with self.store.write() as tx:
            for each in asking.counted:
                plans.reweigh(
                    tx,
                    row.plan_id,
                    each.request.key,
                    input_tokens=each.tokens_in.likely,
                    likely_nanos=each.costs.cheapest.likely,
                    ceiling_nanos=each.costs.cheapest.ceiling,
                    realtime_nanos=each.costs.dearest_ceiling,
                )
            seal(tx, row.plan_id, 0, made)
            plans.set_routes(tx, row.plan_id, lot_routes(made.lots, self.codecs, Route(plan.route)))
            plans.set_requests_max(tx, row.plan_id, batch_requests_max(plan.requests, self.settings.route_rules()))
            plans.seal_plan(tx, plan_row, sealed_at)
        return Planned(plan=plan, problems=tuple(made.problems))

    def _mark(
        self, scales: Scales, reading: Reading, asked: Asked, lane: Lane | None, bought: Mapping[str, bytes]
    ) -> None:
        """Read the input once before it is spooled, and judge what its requests share, but for those a pilot bought."""
        if lane is None or self.settings.caching == "off":
            return
        # With a deadline nothing waits for a first batch.
        waits = self.settings.caching == "auto" and asked.wish.deadline_at is None
        terms = WaveTerms(
            store=self.store,
            catalog=self.catalog,
            codecs=self.codecs,
            lane=lane,
            day=asked.day,
            now=asked.now,
            rounds_max=1 if waits else 0,
            delay=self.settings.retry_rules().poll_max,
            in_flight=self.settings.in_flight_max,
        )
        scales.mark(reading.requests(), terms.of, apart=bought)

    def _past(self, row: PlanRow, pilot: str) -> Past:
        """Look up what earlier runs teach: of any folder for documents, else of this very input.

        A kind that a pilot was made of is known by it alone: nothing has drifted since.
        """
        source = "" if row.workload == "bpmn" else row.source
        with self.store.read() as tx:
            newest = history.newest_runs(tx, workload=row.workload, source=source)
            seen = history.requests_seen(tx, [plan_id for plan_id in newest if plan_id != pilot])
            tried = history.requests_seen(tx, [pilot] if pilot else [])
        learned = {**_histories(seen, same_run=False), **_histories(tried, same_run=True)}
        losses = Losses(asked=seen.asked + tried.asked, lost=seen.lost + tried.lost, same_run=not seen.asked)
        return Past(learned=learned, losses=losses)

    def _close(
        self,
        draft: Draft,
        row: PlanRow,
        facts: Mapping[str, str],
        problems: int,
        asked: Asked,
        past: Past,
        marks: Marks,
        *,
        uncounted: str,
    ) -> Plan:
        now = asked.now
        warnings = msgspec.json.decode(facts.get("warnings", "[]"), type=list[str])
        if not asked.sample_of:
            warnings[:0] = _split_warnings(draft, asked.options, divides=self.workloads[row.workload].divides)
        if problems:
            parts = (
                "1 part of the input has a problem and is"
                if problems == 1
                else f"{problems:,} problems in the input: what has them is"
            )
            warnings.append(f"{parts} left out")
        if uncounted:
            warnings.append(f"not all prompts were counted that should be: {uncounted}")
        if self.settings.tokens == "exact" and installed_counter() is None:
            warnings.append("tokens = exact, but nothing here counts: install lowtide[tokens]; prompts are estimated")
        models = sorted({(way.provider, way.model) for way in draft.sums})
        rules = self.settings.route_rules()
        size = batch_size(draft.requests, rules)
        draft.batch_limits = {name: (min(size, most), limit) for name, (most, limit) in draft.batch_limits.items()}
        seconds = partial(self._realtime_seconds, day=now.date())
        lots = planning.route_lots(draft.wave_lines(1, seconds))
        with self.store.read() as tx:
            usual = usual_turnarounds(tx, models, min(size, lots[0].requests), now)
        choice = choose(asked.wish, lots, usual, rules, asked.cap, now, run_requests=draft.requests)
        moves = asked.wish.route is Route.AUTO and asked.wish.deadline_at is not None and not asked.wish.urgent
        expected = Nanos(0)
        if moves and choice.likely is not None:
            expected = Nanos(choice.likely - sum(lot.offers[choice.route].likely for lot in lots))
        warnings.extend(_deadline_warnings(draft, asked, choice, moves=moves))
        warnings.extend(self.limits_to_learn(models, choice, now.date()))
        blocked = choice.blocked
        for provider, model in models:
            if not self.catalog.sold(provider, model, now.date()):
                blocked = f"{model} is not sold on {now.date()}: this plan is a quotation and cannot be run"
        usually = usual.get(choice.route)
        firsts = (timedelta(0), timedelta(0)) if usually is None else (usually.half, usually.nine_in_ten)
        firsts = (firsts[0] * marks.rounds, firsts[1] * marks.rounds)  # batches that go before the rest
        head = Head(
            plan_id=row.plan_id,
            title=row.title,
            workload=row.workload,
            source=row.source,
            source_digest=row.source_digest,
            created_at=now,
            simulated=self.settings.simulated,
            turnaround=_turnaround(usual.get(Route.BATCH)),
            route=choice.route.value,
            route_reason=choice.reason,
            deadline_at=asked.wish.deadline_at,
            hasten_at=choice.hasten_at,
            hasten_to=choice.hasten_to.value,
            moves=moves,
            moves_likely=expected,
            sure=choice.sure,
            ready_half=choice.expected_at.half_at - now + firsts[0],
            ready_nine_in_ten=choice.expected_at.nine_in_ten_at - now + firsts[1],
            ready_basis=usual[choice.route].basis if choice.route in usual else TurnaroundBasis.PRIOR,
            misses=choice.misses,
            caching=marks.lines,
            blocked=blocked,
            pilot=asked.pilot,
            sample_of=asked.sample_of,
        )
        return draft.plan(
            head,
            wave_exact=1,
            warnings=warnings,
            realtime_seconds=seconds,
            learned=past.learned,
            losses=past.losses,
        )

    def _realtime_seconds(
        self, provider: str, model: str, requests: int, input_tokens: int, output_tokens: int, *, day: date
    ) -> int:
        """Say how long so many requests take in real time, inside the limits of the account: the tightest decides.

        Without a known limit a call is taken to last ``CALL_SECONDS``, ``in_flight_max`` of them at once.
        """
        rules = self.settings.pacing_rules(self.catalog, provider, model, day)
        amounts = {
            Measure.REQUESTS: requests,
            Measure.INPUT_TOKENS: input_tokens,
            Measure.OUTPUT_TOKENS: output_tokens,
            Measure.TOKENS: input_tokens + output_tokens,
        }
        minutes = max((-(-amounts[measure] * 60 // limit) for measure, limit in rules.limits.items()), default=0)
        rounds = -(-requests // rules.in_flight_max)
        return max(minutes, rounds * CALL_SECONDS)

    def _threshold(self, options: WorkloadOptions, day: date) -> PromptThreshold | None:
        """Look up where the price of the chosen model's prompts changes."""
        provider = Scales(self.codecs, self.catalog, day, asked=options.provider).seller(options.model)
        return prompt_threshold(self.catalog, provider, options.model, day)

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
            f"{source} is no input that is known by its looks: .bpmn files in a folder, batch lines (.jsonl), rows (.csv, .jsonl)",
            hint=f"say what it is: --workload {'|'.join(sorted(self.workloads))}",
        )

    def find_plan(self, plan_id: str) -> Plan:
        """Read a kept plan. Raises: NotFound."""
        with self.store.read() as tx:
            row = plans.find_plan(tx, plan_id)
        if row is None:
            raise NotFound(f"there is no plan {plan_id}", hint="lowtide status lists plans and runs")
        return planning.decode(row.figures)

    async def start_run(
        self, plan_id: str, *, cap: Nanos | None, out: Path | None, fresh: bool = False, late: bool = False
    ) -> RunId:
        """Make a plan a run, after checking that it still holds. Sends nothing: a worker does.

        ``fresh``: the plan was made by this very command, so its input is not read again. ``late``: it runs although even
        real time cannot meet its deadline. A plan that is a run already gives that run. Raises: NotFound, PlanChanged,
        PlanBlocked, DeadlineMissed, BudgetRefused.
        """
        plan = self.find_plan(plan_id)
        with self.store.read() as tx:
            found = runs.find_run(tx, plan_id)
        if found is not None:
            return found.run_id
        now = await self.clock.now()
        self._check(plan, now.date(), cap, fresh=fresh)
        bought = pilots.bought(self.store, PlanId(plan.pilot)) if plan.reused else {}
        if not late:
            _check_deadline(plan, now)
        run_id = RunId(plan_id.replace("p_", "r_", 1))
        account_id = AccountId(f"run:{run_id}")
        with self.store.write() as tx:
            if runs.find_run(tx, plan_id) is None:
                books.open_account(tx, account_id, cap)
                for provider in plan.provider.split():
                    books.open_account(tx, AccountId(f"provider:{provider}"), None)
                runs.insert_run(
                    tx,
                    run_id=run_id,
                    plan_id=PlanId(plan_id),
                    out="" if out is None else str(out.resolve()),  # noqa: ASYNC240 one look at a path
                    credential=self.settings.credential,
                    created_at=now,
                    route=plan.route,
                    deadline_at=plan.deadline_at,
                    moves=plan.moves,
                    doubts=self.settings.doubts,
                )
                limit = "no cap" if cap is None else f"cap {show_dollars(cap)}"
                runs.note(tx, run_id, now, f"run begun: {counted(plan.requests, 'request')}, {limit}")
                if plan.reused:
                    self._take_over(tx, plan, run_id, bought, now)
        return run_id

    def _take_over(
        self, tx: Transaction, plan: Plan, run_id: RunId, bought: Mapping[str, pilots.Bought], now: datetime
    ) -> None:
        """Promise 5: what a pilot bought is taken over as it was planned, or the run does not begin."""
        taken = pilots.take_over(
            self.store,
            tx,
            bought,
            plan_id=PlanId(plan.plan_id),
            run_id=run_id,
            new_shard=lambda: ShardId(f"lt{self.clock.new_id(14)}"),
            at=now,
        )
        if taken != plan.reused:
            raise PlanChanged(
                f"{plan.reused} answers of the pilot were planned with, {taken} are there", hint="plan again"
            )
        runs.note(
            tx,
            run_id,
            now,
            f"taken over from the pilot {plan.pilot}: {counted(taken, 'answer')}, which its own run paid for",
        )

    def _check(self, plan: Plan, today: date, cap: Nanos | None, *, fresh: bool) -> None:
        if plan.blocked:
            raise PlanBlocked(plan.blocked)
        changes = list(planning.price_changes(plan, self.catalog, today))
        if not fresh:
            changes.extend(self._input_changes(plan))
        if changes:
            raise PlanChanged("the plan no longer holds", changes=changes, hint="plan again and look at the difference")
        planning.refuse_low_cap(plan, cap)

    def _input_changes(self, plan: Plan) -> Iterator[str]:
        """Compare the input with what was planned. An input that is gone is no change: the plan has all of it."""
        source = Path(plan.source)
        if not source.exists():
            return
        with self.store.read() as tx:
            row = plans.find_plan(tx, plan.plan_id)
        assert row is not None
        options = replace(options_of(scope_of(row).facts), model=row.model)
        reading = self.workloads[plan.workload].read(source, options)
        for _ in reading.requests():
            pass
        if reading.digest() != plan.source_digest:
            yield f"the input {plan.source}, or what it is asked with, changed since the plan was made"


def _lane_wished(wish: Wish) -> Lane | None:
    """Give the lane that caching is judged for at first, ``None`` where it is not: background windows."""
    if wish.urgent or wish.route is Route.REALTIME:
        return Lane.REALTIME
    return Lane.BATCH if wish.route in (Route.AUTO, Route.BATCH) else None


def _split_warnings(draft: Draft, options: WorkloadOptions, *, divides: bool) -> Iterator[str]:
    """Say where dividing would help and was not asked for, and where it was asked for and does nothing."""
    if options.split and not divides:
        yield "--split divides documents by node; here each row is one request, and stays one"
    elif options.split and options.threshold is None:
        yield "--split divides nothing: no prompt length is known at which this model's price changes"
    elif divides and draft.long_prompts_count and not options.split:
        yield "--split divides by node what passes the length where a higher price begins"


def _deadline_warnings(draft: Draft, asked: Asked, choice: Choice, *, moves: bool) -> Iterator[str]:
    """Say what may come of the deadline: everything here is to be agreed to before a cent is spent."""
    deadline_at = asked.wish.deadline_at
    if deadline_at is None:
        return
    if choice.misses:
        yield f"even in real time the deadline is missed; by then a part may be done: {choice.reason}"
    elif not choice.sure:
        yield f"the deadline may be missed: {choice.reason}"
    most = draft.total(Lane.REALTIME).ceiling
    if moves and choice.hasten_at is not None and asked.cap is not None and asked.cap < most:
        yield (
            f"what moves to real time may cost up to {show_dollars(Nanos(most))} in all, more than the cap of"
            f" {show_dollars(asked.cap)}: then it moves as far as the cap goes, and the run pauses"
        )


def _check_deadline(plan: Plan, now: datetime) -> None:
    """Promise 5: a deadline that nothing can meet is said before a cent is spent."""
    if plan.deadline_at is None:
        return
    lots = planning.route_lots(plan.waves)
    if any(Route.REALTIME not in lot.offers for lot in lots) or not misses(lots, deadline_at=plan.deadline_at, now=now):
        return
    told = "even real time cannot meet the deadline" if plan.misses else "real time can no longer meet the deadline"
    raise DeadlineMissed(
        f"{told} {plan.deadline_at:%Y-%m-%d %H:%M} UTC; nothing was sent or spent",
        hint="give it more time, plan less, or say that late is good enough",
    )


def _turnaround(usual: TurnaroundRange | None) -> Turnaround | None:
    """Give what a plan shows of earlier batches; ``None`` without history."""
    if usual is None or not usual.batches:
        return None
    return Turnaround(batches=usual.batches, half=usual.half, nine_in_ten=usual.nine_in_ten)


def _said(options: WorkloadOptions) -> dict[str, str]:
    """Keep what was said about reading an input beside the workload's own facts, paths absolute."""
    return {
        "option.language": options.language,
        "option.provider": options.provider,
        "option.templates": "" if options.templates is None else str(options.templates.resolve()),
        "option.documents": "" if options.documents is None else str(options.documents.resolve()),
        "option.key_column": options.key_column,
        "option.strict": "true" if options.strict else "",
        "option.split": "true" if options.split else "",
        "option.threshold": _threshold_said(options.threshold),
        "option.max_output_tokens": "" if options.max_output_tokens is None else str(options.max_output_tokens),
    }


def _histories(seen: history.RequestsSeen, *, same_run: bool) -> Learned:
    """Sum up the lengths of answers by (kind, model)."""
    return {
        kind: history_of_runs(
            [each.lengths for each in found], cut_answers=sum(each.cut for each in found), same_run=same_run
        )
        for kind, found in seen.answers.items()
    }


def _threshold_said(threshold: PromptThreshold | None) -> str:
    return "" if threshold is None else msgspec.json.encode(threshold).decode()


def _threshold_of(said: str) -> PromptThreshold | None:
    return msgspec.json.decode(said, type=PromptThreshold) if said else None


def options_of(facts: Mapping[str, str]) -> WorkloadOptions:
    """Give back what was said, so that the same input can be read the same way again."""
    templates, documents, limit = (
        facts.get(f"option.{name}", "") for name in ("templates", "documents", "max_output_tokens")
    )
    return WorkloadOptions(
        language=facts.get("option.language", "en"),
        provider=facts.get("option.provider", ""),
        templates=Path(templates) if templates else None,
        documents=Path(documents) if documents else None,
        key_column=facts.get("option.key_column", ""),
        strict=facts.get("option.strict", "") == "true",
        split=facts.get("option.split", "") == "true",
        threshold=_threshold_of(facts.get("option.threshold", "")),
        max_output_tokens=int(limit) if limit else None,
    )
