"""``engine``: each verb of the front desk, over a store in a folder and a simulated provider in this process.

Whole lives with faults are in ``simulation/``; here each verb is asked alone, with the least around it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from lowtide.batch import BatchState
from lowtide.catalog import Catalog
from lowtide.clock import SimulatorClock, SystemClock
from lowtide.dispatch import RunId, RunState
from lowtide.engine import Engine
from lowtide.errors import (
    BudgetRefused,
    InputRefused,
    LowtideError,
    NotFound,
    PlanBlocked,
    PlanChanged,
    PriceUnknown,
    ProviderRefused,
    StoreUnusable,
    TransportFailed,
)
from lowtide.money import Nanos, decimal_dollars
from lowtide.settings import load_catalog, read_settings
from lowtide.store import Store, runs
from lowtide.store.schema import BATCHES, PLANS, RUNS
from lowtide.testing import LoopbackTransport
from lowtide.wire import HttpCall
from lowtide.workload import WorkloadOptions
from lowtide.workloads.batch_file import WORKLOAD
from lowtide_simulator.app import create_app
from lowtide_simulator.faults import ConnectionCut, FaultKind, Rule
from lowtide_simulator.world import Turnaround, World, WorldOptions

MODEL = "claude-sonnet-5-5"
CREATE = "POST /v1/messages/batches"
ENDPOINT = "POST /v1/messages"
PACKAGED = load_catalog(read_settings({}, {}, Path("/")))
OPTIONS = WorkloadOptions()


class Desk:
    """An engine at its desk, the provider behind it, and an input file."""

    def __init__(self, folder: Path, *, rules: tuple[Rule, ...] = (), **flags: str | int) -> None:
        self.folder = folder
        self.world = World(
            WorldOptions(
                seed=3,
                turnaround=Turnaround.parse("600"),
                faults=rules,
            )
        )
        flags = {"simulator": "http://127.0.0.1:1", "store": str(folder / "store"), "route": "batch"} | flags
        settings = read_settings(flags, {}, folder)
        self.transport = LoopbackTransport(create_app(self.world), cut=ConnectionCut)
        store = Store(folder / "store", durable=False).open()
        store.set_money(simulated=True)
        self.engine = Engine(
            settings=settings,
            store=store,
            transports={"anthropic": self.transport, "openai": self.transport},
            clock=SimulatorClock(self.transport, "me", seed=1),
            catalog=PACKAGED,
            workloads={"batch": WORKLOAD},
            environment={},
        )
        self.source = folder / "in.jsonl"

    def write(self, count: int = 5, **params: Any) -> Path:
        lines = [
            {
                "custom_id": f"key {number}",
                "params": {
                    "model": MODEL,
                    "max_tokens": 50,
                    "messages": [{"role": "user", "content": f"Question {number}?"}],
                }
                | params,
            }
            for number in range(count)
        ]
        self.source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return self.source

    async def begin(self, count: int = 5, *, cap: int | None = None) -> RunId:
        planned = await self.engine.plan(self.write(count), options=OPTIONS)
        return await self.engine.start_run(
            planned.plan.plan_id, cap=None if cap is None else Nanos(cap), out=None, fresh=True
        )

    async def work(self, *run_ids: str) -> None:
        await asyncio.wait_for(self.engine.worker(run_ids or None).work(), 30)

    async def until(self, run_id: str, done: Callable[[], bool]) -> None:
        """Take turns until something is so."""
        worker = self.engine.worker([run_id])
        worker._prepare()
        for _ in range(200):
            if done():
                return
            turn = await worker.turn()
            if not turn.commands and turn.wake_at is not None:
                await self.engine.clock.sleep_until(turn.wake_at)
        raise AssertionError("it never was")

    def counts(self, run_id: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.engine.results(run_id):
            found[row.state] = found.get(row.state, 0) + 1
        return found


Life = Callable[[Desk], Awaitable[None]]


@pytest.fixture
def live(tmp_path: Path) -> Callable[..., None]:
    """Live a life at a desk, and close it."""

    def run(life: Life, **values: Any) -> None:
        async def whole() -> None:
            desk = Desk(tmp_path, **values)
            try:
                await asyncio.wait_for(life(desk), 60)
            finally:
                await desk.engine.close()

        asyncio.run(whole())

    return run


def rule(**values: Any) -> Rule:
    return Rule(**({"on": CREATE, "fault": FaultKind.STATUS} | values))


# plan


def test_a_plan_is_kept_and_sends_nothing(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        planned = await desk.engine.plan(desk.write(), options=OPTIONS)
        plan = planned.plan
        assert planned.problems == ()
        assert (plan.requests, plan.workload, plan.simulated, plan.title) == (5, "batch", True, "in.jsonl")
        assert 0 < plan.cost_floor < plan.cost_likely < plan.cost_ceiling
        assert desk.engine.find_plan(plan.plan_id) == plan
        assert desk.engine.plans_without_run() == [plan]
        assert await desk.engine.run_reports() == []
        assert desk.world.bill.nanos == 0

    live(life)


def test_every_problem_of_the_input_is_told_and_nothing_is_kept(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        source = desk.write(3)
        lines = source.read_text().splitlines()
        lines.insert(1, "no json")
        lines.append(lines[0])
        source.write_text("\n".join(lines))
        with pytest.raises(InputRefused) as refused:
            await desk.engine.plan(source, options=OPTIONS)
        where = [problem.where for problem in refused.value.problems]
        assert where == ["in.jsonl:2", "in.jsonl:5"]
        assert desk.engine.plans_without_run() == []
        planned = await desk.engine.plan(source, options=OPTIONS, skip_problems=True)
        assert (planned.plan.requests, len(planned.problems)) == (3, 2)
        assert any("2 problems in the input" in warning for warning in planned.plan.warnings)

    live(life)


def test_a_key_that_not_every_store_can_keep_is_a_problem(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        source = desk.write(2)
        first, second = source.read_text().splitlines()
        line = json.loads(second) | {"custom_id": "a\0b"}
        source.write_text(f"{first}\n{json.dumps(line)}\n")
        with pytest.raises(InputRefused) as refused:
            await desk.engine.plan(source, options=OPTIONS)
        assert [(one.where, one.what) for one in refused.value.problems] == [
            ("in.jsonl:2", "the key has a NUL character")
        ]

    live(life)


def test_an_input_of_nothing_but_problems_is_refused_however_skipped(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        source = desk.write(1, model="claude-unheard-of")
        with pytest.raises(InputRefused) as refused:
            await desk.engine.plan(source, options=OPTIONS, skip_problems=True)
        assert "claude-unheard-of" in refused.value.problems[0].what
        assert refused.value.hint == "nothing is left of the input"

    live(life)


def test_what_cannot_be_read_as_anything_is_not_found(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        (desk.folder / "in.txt").write_text("hello")
        for source, workload in (("none.jsonl", ""), ("in.txt", ""), ("in.txt", "dance")):
            with pytest.raises(NotFound) as missing:
                await desk.engine.plan(desk.folder / source, workload=workload, options=OPTIONS)
            assert missing.value.hint
        with pytest.raises(NotFound):
            desk.engine.find_plan("p_none")

    live(life)


def test_a_plan_of_another_day_is_a_quotation(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        source = desk.write(2, model="claude-3-5-sonnet-20241022")
        planned = await desk.engine.plan(source, options=OPTIONS, prices_on=date(2025, 1, 15))
        assert "cannot be run" in planned.plan.blocked
        with pytest.raises(PlanBlocked, match="is not sold"):
            await desk.engine.start_run(planned.plan.plan_id, cap=None, out=None)

    live(life)


# run


def test_a_run_is_worked_on_until_it_is_done_and_the_books_are_the_bill(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.work()
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.over, report.planned, report.answered) == (RunState.DONE, True, 5, 5)
        assert (report.held, report.failed, report.out, report.waiting) == (0, 0, 0, 0)
        assert report.spent == desk.world.bill.nanos > 0
        assert report.spent <= report.plan_ceiling
        assert report.saved > 0
        assert [batch.state for batch in report.batches] == ["landed"]
        assert [event.level for event in desk.engine.events(run_id)] == ["info"] * len(desk.engine.events(run_id))
        assert desk.engine.events(run_id)[-1].text == "run done"
        assert desk.engine.events(run_id, desk.engine.events(run_id)[-2].event_id)[0].text == "run done"
        assert [row.key for row in desk.engine.results(run_id)] == [f"key {number}" for number in range(5)]
        assert all(row.text and row.message for row in desk.engine.results(run_id))
        assert sum(row.cost for row in desk.engine.results(run_id)) == report.spent
        assert list(desk.engine.results(run_id, states=["failed"])) == []

    live(life)


def test_what_a_run_saved_stays_when_its_model_is_sold_no_more(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.work()
        report = await desk.engine.run_report(run_id)
        over = report.now.date() + timedelta(days=30)
        ending = tuple(replace(row, effective_to=row.effective_to or over) for row in PACKAGED.prices)
        desk.engine.catalog = replace(PACKAGED, prices=ending)
        await desk.engine.clock.sleep_until(report.now + timedelta(days=40))
        later = await desk.engine.run_report(run_id)
        assert (later.now - report.now, later.saved) == (timedelta(days=40), report.saved)

    live(life)


def test_a_plan_becomes_one_run_however_often_it_is_run(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        assert await desk.engine.start_run(run_id.replace("r_", "p_"), cap=None, out=None) == run_id
        assert len(await desk.engine.run_reports()) == 1

    live(life)


def test_an_old_run_is_found_however_many_came_after_it(live: Callable[..., None]) -> None:
    """The worker takes the runs that are open and a plan is held against the last of its input, of all there ever were."""

    async def life(desk: Desk) -> None:
        run_id = await desk.begin(40)
        plan = desk.engine.find_plan(run_id.replace("r_", "p_"))
        pilot = await desk.engine.pilot(plan.plan_id, requests=10)
        with desk.engine.store.write() as tx:
            old = {name: tx.execute(select(table)).mappings().first() for name, table in (("p", PLANS), ("r", RUNS))}
            later = plan.created_at + timedelta(days=1)
            others = [f"{number:04}" for number in range(1_100)]
            tx.execute(
                PLANS.insert(), [{**old["p"], "plan_id": f"p_{n}", "source": n, "created_at": later} for n in others]
            )
            ended = {"state": RunState.DONE, "created_at": later}
            tx.execute(RUNS.insert(), [{**old["r"], **ended, "run_id": f"r_{n}", "plan_id": f"p_{n}"} for n in others])
            assert run_id not in [run.run_id for run in runs.all_runs(tx, 1_000)]
        assert desk.engine.open_runs() == [run_id]
        assert desk.engine.last_plan(plan.source) == plan, "the newest is a pilot's, of a few requests"
        assert pilot.sample_of == plan.plan_id

    live(life)


def test_an_input_that_changed_stops_a_plan(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        planned = await desk.engine.plan(desk.write(3), options=OPTIONS)
        desk.write(4)
        with pytest.raises(PlanChanged) as changed:
            await desk.engine.start_run(planned.plan.plan_id, cap=None, out=None)
        assert changed.value.changes == (
            f"the input {desk.source}, or what it is asked with, changed since the plan was made",
        )
        desk.source.unlink()  # gone is no change: the plan has all of it
        assert await desk.engine.start_run(planned.plan.plan_id, cap=None, out=None)

    live(life)


def test_a_price_that_changed_stops_a_plan(live: Callable[..., None]) -> None:
    def dearer(catalog: Catalog) -> Catalog:
        rows = (
            replace(row, dollars_per_million=row.dollars_per_million * 2) if row.model == MODEL else row
            for row in catalog.prices
        )
        return replace(catalog, prices=tuple(rows))

    async def life(desk: Desk) -> None:
        planned = await desk.engine.plan(desk.write(3), options=OPTIONS)
        desk.engine.catalog = dearer(PACKAGED)
        with pytest.raises(PlanChanged) as changed:
            await desk.engine.start_run(planned.plan.plan_id, cap=None, out=None)
        assert len(changed.value.changes) == 2
        assert MODEL in changed.value.changes[0]

    live(life)


def test_a_cap_below_the_likely_cost_is_refused(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        plan = (await desk.engine.plan(desk.write(), options=OPTIONS)).plan
        with pytest.raises(BudgetRefused, match="nothing was sent or spent") as refused:
            await desk.engine.start_run(plan.plan_id, cap=Nanos(plan.cost_likely - 1), out=None)
        assert "raise the cap" in refused.value.hint
        one, other = decimal_dollars(plan.cost_likely), decimal_dollars(plan.cost_likely - 1)
        assert f"the likely cost ${one} is over the cap ${other};" in refused.value.message, "not alike, as rounded"
        assert await desk.engine.start_run(plan.plan_id, cap=plan.cost_likely, out=None)

    live(life)


def test_a_cap_is_never_passed_and_may_be_raised(live: Callable[..., None]) -> None:
    """Promise 1, and what a person does about it."""

    async def life(desk: Desk) -> None:
        plan = (await desk.engine.plan(desk.write(8), options=OPTIONS)).plan
        cap = max(plan.cost_likely, plan.largest_ceiling)
        run_id = await desk.engine.start_run(plan.plan_id, cap=cap, out=None, fresh=True)
        await desk.work(run_id)
        report = await desk.engine.run_report(run_id)
        assert report.spent + report.held <= cap
        assert (report.state, report.reason) == (RunState.PAUSED, "at its cap")
        with pytest.raises(BudgetRefused, match="spent or committed already"):
            await desk.engine.raise_cap(run_id, Nanos(report.spent - 1))
        await desk.engine.raise_cap(run_id, Nanos(2 * plan.cost_ceiling))
        await desk.work(run_id)
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.answered, report.cap) == (RunState.DONE, 8, 2 * plan.cost_ceiling)
        assert report.spent == desk.world.bill.nanos
        await desk.engine.raise_cap(run_id, None)
        assert (await desk.engine.run_report(run_id)).cap is None

    live(life)


# look


def test_a_run_under_way_is_shown_as_it_is(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        report = await desk.engine.run_report(run_id)
        assert (report.waiting, report.out, report.worked_on, report.over) == (5, 0, False, False)
        await desk.until(run_id, lambda: bool(desk.world.batches))
        await desk.until(run_id, lambda: _out(desk, run_id) == 4)
        report = await desk.engine.run_report(run_id)
        assert (report.answered, report.out, report.waiting, report.worked_on) == (1, 4, 0, True)
        assert report.held > 0
        assert [hold.reason for hold in report.holds] == ["batch"]
        assert report.next_look_at is not None
        assert (report.ready_from, report.turnaround) == (None, None), "there is no history"
        assert [batch.requests for batch in report.batches] == [4]
        with pytest.raises(NotFound):
            await desk.engine.run_report("r_none")

    live(life)


def _out(desk: Desk, run_id: str) -> int:
    from lowtide.store import shards  # noqa: PLC0415 one use

    with desk.engine.store.read() as tx:
        return shards.out_count(tx, run_id)


def test_with_history_readiness_is_known(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        await desk.begin()
        await desk.work()
        run_id = await desk.begin(4)
        await desk.until(run_id, lambda: _out(desk, run_id) == 3)
        report = await desk.engine.run_report(run_id)
        assert report.turnaround is not None
        assert report.turnaround.half == timedelta(minutes=10)
        assert report.ready_from is not None
        assert report.ready_to is not None
        assert report.now < report.ready_from <= report.ready_to
        reports = await desk.engine.run_reports()
        assert [found.state for found in reports] == [RunState.ACTIVE, RunState.DONE]

    live(life)


def test_a_batch_that_is_gone_is_not_waited_for(live: Callable[..., None]) -> None:
    """Nobody knows when it ended: it grows no older, and readiness counts from what is still open."""

    async def life(desk: Desk) -> None:
        await desk.begin()
        await desk.work()
        run_id = await desk.begin(4)
        await desk.until(run_id, lambda: len(desk.world.batches) == 2)
        with desk.engine.store.write() as tx:
            gone = {"state": BatchState.LOST, "created_at": (await desk.engine.run_report(run_id)).now}
            tx.execute(BATCHES.update().where(BATCHES.c.ended_at.is_(None)).values(**gone))
        await desk.engine.clock.sleep_until(gone["created_at"] + timedelta(hours=1))
        report = await desk.engine.run_report(run_id)
        assert [(batch.state, batch.age) for batch in report.batches] == [("lost", None)]
        assert report.ready_from == report.now + timedelta(minutes=10)

    live(life)


# cancel, retry, resume


def test_a_canceled_run_keeps_what_was_bought(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin(40)
        await desk.until(run_id, lambda: bool(desk.world.batches))
        assert await desk.engine.cancel(run_id) is RunState.CANCELING
        with pytest.raises(LowtideError, match="being canceled"):
            await desk.engine.retry(run_id)
        await desk.work()
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.held) == (RunState.CANCELED, 0)
        assert report.answered + report.canceled == 40
        assert report.answered > 1
        assert report.spent == desk.world.bill.nanos
        assert (report.nothing_bought, sum(row.cost or 0 for row in desk.engine.results(run_id))) == ({}, report.spent)
        assert await desk.engine.cancel(run_id) is RunState.CANCELED, "again is nothing"

    live(life)


def test_another_cap_takes_no_cancel_back(live: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands at once: the run is canceled after ``raise`` looked at it, and stays so."""

    async def life(desk: Desk) -> None:
        run_id = await desk.begin(5)
        with desk.engine.store.write() as tx:
            runs.set_state(tx, run_id, RunState.PAUSED, reason="at its cap")
        seen = desk.engine._run(run_id)
        await desk.engine.cancel(run_id)
        with monkeypatch.context() as patch:
            patch.setattr(desk.engine, "_run", lambda _name: seen)
            await desk.engine.raise_cap(run_id, None)
        assert (await desk.engine.run_report(run_id)).state is RunState.CANCELING

    live(life)


def test_a_run_that_never_began_is_canceled_for_nothing(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.engine.cancel(run_id)
        await desk.work()
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.canceled, report.spent, desk.world.bill.nanos) == (RunState.CANCELED, 5, 0, 0)
        assert await desk.engine.retry(run_id) == (report.can_succeed, 0) == (5, 0)

    live(life)


def test_what_failed_and_can_succeed_goes_out_again(live: Callable[..., None]) -> None:
    errored = rule(fault=FaultKind.ITEMS_ERRORED, indexes=[0], error_type="api_error", times=1)
    hopeless = rule(fault=FaultKind.ITEMS_ERRORED, indexes=[1], error_type="invalid_request_error", times=1)

    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.work()
        assert desk.counts(run_id) == {"succeeded": 3, "failed": 2}
        report = await desk.engine.run_report(run_id)
        assert {failure.code: failure.requests for failure in report.failures} == {
            "api_error": 1,
            "invalid_request_error": 1,
        }
        assert await desk.engine.retry(run_id) == (1, 1)
        await desk.work()
        assert desk.counts(run_id) == {"succeeded": 4, "failed": 1}
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.spent) == (RunState.DONE, desk.world.bill.nanos)
        assert await desk.engine.retry(run_id) == (0, 1)
        assert (await desk.engine.run_report(run_id)).state is RunState.DONE

    live(life, rules=(errored, hopeless), tries_max=1)


def test_a_run_that_the_provider_refuses_pauses_and_is_resumed(live: Callable[..., None]) -> None:
    refused = rule(fault=FaultKind.STATUS, status=401, error_type="authentication_error", message="invalid x-api-key")

    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.work()
        report = await desk.engine.run_report(run_id)
        assert report.state is RunState.PAUSED
        assert "invalid x-api-key" in report.reason
        assert [event.level for event in desk.engine.events(run_id)].count("warning") >= 1
        desk.world.script.remove()
        await desk.engine.resume(run_id)
        await desk.engine.resume(run_id)  # again is nothing
        await desk.work()
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.answered, report.spent) == (RunState.DONE, 5, desk.world.bill.nanos)

    live(life, rules=(refused,))


# prices


def test_prices_are_listed_with_their_sources(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        day = date(2026, 11, 22)
        lines = desk.engine.prices(MODEL, day)
        assert {(line.lane, line.kind) for line in lines} >= {("batch", "input"), ("realtime", "output")}
        assert all(line.source and line.model == MODEL for line in lines)
        assert len(desk.engine.prices("", day)) > len(lines)
        with pytest.raises(PriceUnknown):
            desk.engine.prices("claude-unheard-of", day)

    live(life)


# adopt


async def foreign_batch(desk: Desk, count: int = 3) -> str:
    """A batch that another program submitted."""
    requests = [
        {
            "custom_id": f"theirs-{number}",
            "params": {"model": MODEL, "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]},
        }
        for number in range(count)
    ]
    headers = {"x-api-key": "sk-simulated", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    call = HttpCall(
        method="POST",
        path="/v1/messages/batches",
        headers=headers,
        body=json.dumps({"requests": requests}).encode(),
    )
    reply = await desk.transport.send(call)
    assert reply.status == 200, reply.body
    return str(json.loads(reply.body)["id"])


def test_a_batch_of_another_program_is_found_taken_over_and_booked(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        provider_batch_id = await foreign_batch(desk)
        (unknown,) = await desk.engine.unknown_batches()
        assert (unknown.provider_batch_id, unknown.requests, unknown.ended_at) == (provider_batch_id, 3, None)
        run_id = await desk.engine.adopt(provider_batch_id)
        assert await desk.engine.unknown_batches() == []
        with pytest.raises(LowtideError, match="in this store already"):
            await desk.engine.adopt(provider_batch_id)
        report = await desk.engine.run_report(run_id)
        assert (report.planned, report.answered, report.out, report.waiting) == (3, 0, 3, 0)
        await desk.work(run_id)
        report = await desk.engine.run_report(run_id)
        assert (report.state, report.answered, report.spent) == (RunState.DONE, 3, desk.world.bill.nanos)
        assert (report.planned, report.out, report.unasked) == (3, 0, 0)
        assert sorted(row.key for row in desk.engine.results(run_id)) == ["theirs-0", "theirs-1", "theirs-2"]

    live(life)


def test_what_the_provider_does_not_know_is_not_adopted(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        with pytest.raises(NotFound, match="knows no batch"):
            await desk.engine.adopt("msgbatch_none")
        for path, ask in (
            ("GET /v1/messages/batches", desk.engine.unknown_batches),
            ("GET /v1/messages/batches/{id}", lambda: desk.engine.adopt("msgbatch_1")),
        ):
            desk.world.script.add((rule(on=path, status=403, error_type="permission_error", message="not you"),))
            with pytest.raises(ProviderRefused, match="not you"):
                await ask()

    live(life)


# care


def states(checks: list[Any]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_the_doctor_finds_all_well(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        found = states(await desk.engine.doctor())
        assert found.pop("disk") in ("ok", "warning")  # it is this machine's
        parts = ("key", "limits", "clock", "pace")
        asked = {f"{name} {what}": "ok" for name in ("anthropic", "openai") for what in parts}
        assert found == {**asked, "books": "ok", "prices": "ok"}

    live(life)


def test_the_doctor_finds_what_is_wrong(live: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    refused = rule(on="GET /v1/models", status=401, error_type="authentication_error", message="invalid x-api-key")

    async def life(desk: Desk) -> None:
        found = {check.name: check for check in await desk.engine.doctor()}
        assert found["anthropic key"].state == "bad"
        assert "invalid x-api-key (401 authentication_error)" in found["anthropic key"].finding
        desk.world.script.remove()
        desk.world.script.add((rule(on="GET /v1/models", fault=FaultKind.CUT_BEFORE_COMMIT),))
        assert states(await desk.engine.doctor())["anthropic"] == "bad"
        desk.world.script.remove()
        with desk.engine.store.write() as tx:
            tx.exec_driver_sql(
                "insert into accounts (account_id, held_nanos, spent_nanos) values ('run:r_ghost', 7, 0)"
            )
        assert "bad" in [check.state for check in await desk.engine.doctor() if check.name == "books"]
        for free, state in ((1 << 40, "ok"), (1 << 30, "warning"), (1 << 20, "bad")):
            usage = type("Usage", (), {"free": free})()
            monkeypatch.setattr("lowtide.engine.caring.shutil.disk_usage", lambda _folder, usage=usage: usage)
            assert states(await desk.engine.doctor())["disk"] == state
        desk.engine.catalog = replace(PACKAGED, prices=())
        assert states(await desk.engine.doctor())["prices"] == "warning"

    live(life, rules=(refused,))


def test_of_keys_one_is_enough(live: Callable[..., None]) -> None:
    """A provider that nobody uses needs none; without any key nothing can be bought."""

    async def life(desk: Desk) -> None:
        desk.engine.settings = read_settings({}, {}, desk.folder)
        desk.engine._environment = {"OPENAI_API_KEY": "sk-1"}
        found = states(await desk.engine.doctor())
        assert (found["anthropic key"], found["openai key"]) == ("warning", "ok")
        desk.engine._environment = {}
        desk.engine.doors.clear()
        found = states(await desk.engine.doctor())
        assert (found["anthropic key"], found["openai key"]) == ("bad", "bad")

    live(life)


def test_the_doctor_compares_clocks(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        now = await desk.engine.clock.now()
        said = {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}
        for codec in desk.engine.codecs.values():
            assert desk.engine._check_clock(codec, said, now).state == "ok"
            assert desk.engine._check_clock(codec, said, now + timedelta(minutes=3)).state == "warning"
            assert desk.engine._check_clock(codec, {}, now).state == "warning"

    live(life)


def test_a_backup_is_a_store(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.work()
        desk.engine.backup(desk.folder / "copy")
        copy = Store(desk.folder / "copy").open()
        desk.engine.store.close()
        desk.engine.store = copy
        assert desk.counts(run_id) == {"succeeded": 5}
        assert all(row.text for row in desk.engine.results(run_id))
        with pytest.raises(StoreUnusable):
            desk.engine.backup(desk.folder / "copy")

    live(life)


def test_pruning_keeps_the_books(live: Callable[..., None]) -> None:
    async def life(desk: Desk) -> None:
        run_id = await desk.begin()
        await desk.work()
        before = await desk.engine.run_report(run_id)
        assert (await desk.engine.prune(timedelta(days=30))).runs == 0
        await desk.engine.clock.sleep_until(before.now + timedelta(days=31))
        pruned = await desk.engine.prune(timedelta(days=30))
        assert pruned.runs == 1
        assert pruned.bytes > 0
        after = await desk.engine.run_report(run_id)
        assert (after.spent, after.state, list(desk.engine.results(run_id))) == (before.spent, RunState.DONE, [])

    live(life)


# starting


def test_an_engine_starts_with_real_money_and_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    async def life() -> None:
        settings = read_settings({"base_url": "http://127.0.0.1:9"}, {}, tmp_path)
        engine = Engine.start(settings, {"batch": WORKLOAD}, {"LOWTIDE_ONLY_LOOPBACK": "1"})
        assert isinstance(engine.clock, SystemClock)
        assert (tmp_path / "state" / "lowtide" / "store" / "store.db").exists()
        await engine.close()
        simulated = read_settings({"simulator": "http://127.0.0.1:9"}, {}, tmp_path)
        engine = Engine.start(simulated, {}, {})
        assert isinstance(engine.clock, SimulatorClock)
        await engine.close()
        mixed = read_settings(
            {"simulator": "http://127.0.0.1:9", "store": settings.store_folder.as_posix()}, {}, tmp_path
        )
        with pytest.raises(StoreUnusable, match="holds real money"):
            Engine.start(mixed, {}, {})

    asyncio.run(life())


def test_under_test_no_other_host_is_called(tmp_path: Path) -> None:
    keys = {"ANTHROPIC_API_KEY": "sk-1", "OPENAI_API_KEY": "sk-2"}
    settings = read_settings({"store": str(tmp_path / "store")}, {}, tmp_path)

    async def life() -> None:
        engine = Engine.start(settings, {}, {"LOWTIDE_ONLY_LOOPBACK": "1", **keys})
        for provider in engine.codecs:
            with pytest.raises(TransportFailed, match="only loopback hosts"):
                engine.hands(provider)
        assert {check.state for check in await engine.doctor() if check.name in engine.codecs} == {"bad"}
        await engine.close()

    asyncio.run(life())
