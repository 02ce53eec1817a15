"""A pilot buys a few requests, teaches the plan, and is not bought again; the bill of both runs is what their books say."""

import asyncio
from collections import Counter

import pytest
from life import MODEL, Life
from sqlalchemy import select

from lowtide.engine import Engine
from lowtide.errors import LowtideError, PlanChanged
from lowtide.reports import RunReport
from lowtide.store import answers, books, plans
from lowtide.store.schema import ATTEMPTS, PLANS, REQUESTS
from lowtide.workload import WorkloadOptions


async def carry_out(engine: Engine, run_id: str) -> RunReport:
    await engine.worker([run_id]).work()
    report = await engine.run_report(run_id)
    assert report.over, report.reason
    return report


async def piloted(life: Life, requests: int = 8) -> dict:
    """Plan, pilot, plan again, run; every step as a face would take it."""
    engine = life.engine()
    source = life.folder / "in.tree"
    options = WorkloadOptions(model=MODEL)
    first = (await engine.plan(source, options=options)).plan
    sample = await engine.pilot(first.plan_id, requests=requests)
    pilot_id = await engine.start_run(sample.plan_id, cap=sample.cost_ceiling, out=None, fresh=True)
    pilot = await carry_out(engine, pilot_id)
    plan = (await engine.plan(source, options=options, pilot=sample.plan_id)).plan
    await engine.forget_plan(first.plan_id)
    return {"engine": engine, "first": first, "sample": sample, "pilot": pilot, "plan": plan}


def test_a_pilot_teaches_and_its_answers_are_used() -> None:
    life = Life(seed=31, widths=(40, 6))

    async def live() -> dict:
        found = await piloted(life)
        engine = found["engine"]
        try:
            run_id = await engine.start_run(
                found["plan"].plan_id, cap=found["plan"].cost_ceiling, out=life.folder / "out", fresh=True
            )
            found["events"] = [event.text for event in engine.events(run_id)]
            found["report"] = await carry_out(engine, run_id)
            with engine.store.read() as tx:
                assert books.imbalances(tx) == []
                found["tries"] = Counter(tx.execute(select(ATTEMPTS.c.plan_id)).scalars())
                found["plans"] = set(tx.execute(select(PLANS.c.plan_id)).scalars())
            found["rows"] = list(answers.in_order(engine.store, found["plan"].plan_id))
        finally:
            engine.store.close()
        return found

    found = asyncio.run(live())
    sample, pilot, plan, report = found["sample"], found["pilot"], found["plan"], found["report"]
    # The sample: of every kind, spread over the plan, in real time, of one wave; nothing is delivered.
    assert sample.requests == 8
    assert [line.route for line in sample.lines] == ["realtime"]
    assert (pilot.state, len(sample.waves)) == ("done", 1)
    assert sample.title.startswith("pilot of ")
    assert (sample.sample_of, plan.sample_of) == (found["first"].plan_id, "")
    # The plan learned from it: a range that is not floor to ceiling, kinds that were not piloted named.
    assert (plan.reused, plan.requests) == (8, found["first"].requests)
    assert (plan.kinds_unknown, plan.answers_seen) == (("kind1",), 8)
    assert [line.route for line in plan.lines] == ["batch", "realtime", "pilot"]
    assert plan.lines[-1].cost_ceiling == 0
    assert plan.cost_ceiling < found["first"].cost_ceiling
    # The run: every answer there, nothing bought twice, what was planned as free is free.
    assert report.state == "done"
    assert {row.state for row in found["rows"]} == {"succeeded"}
    assert sum(row.cost == 0 for row in found["rows"]) == 8
    assert found["tries"] == {sample.plan_id: 8, plan.plan_id: 46}
    assert found["plans"] == {sample.plan_id, plan.plan_id}
    assert report.spent + pilot.spent == life.world.bill.nanos
    digests = Counter(line.digest for line in life.world.bill.lines())
    assert max(digests.values()) == 1
    assert any(plan.pilot in event for event in found["events"])
    assert len(list((life.folder / "out").rglob("text.md"))) == 46
    life.bury()


def test_a_pilot_whose_answers_are_gone_stops_the_run() -> None:
    life = Life(seed=32, widths=(40,))

    async def live() -> None:
        found = await piloted(life)
        engine = found["engine"]
        try:
            with engine.store.write() as tx:
                tx.execute(ATTEMPTS.update().values(answer_at=None))
            with pytest.raises(PlanChanged, match="8 answers of the pilot were planned with, 0 are there"):
                await engine.start_run(found["plan"].plan_id, cap=None, out=None, fresh=True)
            with engine.store.read() as tx:
                states = Counter(
                    tx.execute(select(REQUESTS.c.state).where(REQUESTS.c.plan_id == found["plan"].plan_id)).scalars()
                )
            assert states == {"pending": 40}
        finally:
            engine.store.close()

    asyncio.run(live())
    life.bury()


def test_a_body_that_is_another_is_bought() -> None:
    life = Life(seed=33, widths=(40,))

    async def live() -> None:
        engine = life.engine()
        try:
            source = life.folder / "in.tree"
            options = WorkloadOptions(model=MODEL)
            first = (await engine.plan(source, options=options)).plan
            sample = await engine.pilot(first.plan_id, requests=8)
            await carry_out(engine, await engine.start_run(sample.plan_id, cap=None, out=None, fresh=True))
            with engine.store.write() as tx:
                (key, place), (_, other), *_ = plans.request_sources(tx, sample.plan_id, 0)
                swapped = REQUESTS.update().where(REQUESTS.c.plan_id == sample.plan_id, REQUESTS.c.key == key)
                assert place != other
                tx.execute(swapped.values(body_at=other))
            plan = (await engine.plan(source, options=options, pilot=sample.plan_id)).plan
            assert plan.reused == 7
            await engine.start_run(plan.plan_id, cap=None, out=None, fresh=True)
            with engine.store.read() as tx:
                query = select(REQUESTS.c.state).where(REQUESTS.c.plan_id == plan.plan_id, REQUESTS.c.key == key)
                assert tx.execute(query).scalar_one() == "pending"
        finally:
            engine.store.close()

    asyncio.run(live())
    life.bury()


def test_a_pilot_of_everything_is_refused() -> None:
    life = Life(seed=34, widths=(5,))

    async def live() -> None:
        engine = life.engine()
        try:
            first = (await engine.plan(life.folder / "in.tree", options=WorkloadOptions(model=MODEL))).plan
            with pytest.raises(LowtideError, match="would buy all 5 requests"):
                await engine.pilot(first.plan_id, requests=3)
        finally:
            engine.store.close()

    asyncio.run(live())
    life.bury()
