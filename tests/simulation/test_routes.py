"""Runs with a deadline, whole: the lane of each wave, the last safe moment, what is moved, and what is paid for it.

The provider is the simulator in this process, whose batches may be stuck for ever; its bill judges our books. Limits of
real time are set where a test needs it to take long. Nothing here sleeps.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from life import Life, Tree
from sqlalchemy import select

from lowtide import points
from lowtide.errors import DeadlineMissed
from lowtide.money import Nanos
from lowtide.plan import Plan
from lowtide.reports import RunReport
from lowtide.request import Request
from lowtide.routing import Route, Wish
from lowtide.store import Store, books, runs
from lowtide.store.schema import ATTEMPTS, HOLDS, REQUESTS, SHARDS
from lowtide.workload import Answers, WorkloadOptions
from lowtide_simulator.faults import Rule

CLAUDE, GPT = "claude-haiku-4-5", "gpt-5.4-mini"
CREATE = "POST /v1/messages/batches"
OPENAI_CREATE = "POST /v1/batches"
RESPONSES = "POST /v1/responses"
STUCK = {"on": CREATE, "fault": "stuck"}
OPENAI_STUCK = {"on": OPENAI_CREATE, "fault": "stuck"}
NEVER_OVER = {"on": RESPONSES, "fault": "background_stuck"}


class Models(Tree):
    """A tree whose requests are asked of several models in turn."""

    def __init__(self, widths: tuple[int, ...], models: tuple[str, ...]) -> None:
        super().__init__(widths)
        self.models = models

    def _wave(self, wave: int, answers: Answers | None) -> Iterator[Request]:
        for number, request in enumerate(super()._wave(wave, answers)):
            yield replace(request, model=self.models[number % len(self.models)])


@dataclass(kw_only=True)
class Errand(Life):
    """A life with a deadline. ``limits`` are of real time, by provider; ``cap`` is in thousandths of the plan's likely cost."""

    within: timedelta | None = timedelta(hours=4)
    models: tuple[str, ...] = (CLAUDE,)
    route: Route = Route.AUTO
    limits: dict[str, str] = field(default_factory=dict)
    cap_parts: int | None = None
    late: bool = False
    raises: bool = True
    plan: Plan | None = None
    reports: list[RunReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = {"route": "auto", "poll_seconds_min": 5, "poll_seconds_max": 300, **self.settings}
        super().__post_init__()
        self.tree = Models(self.widths, self.models)
        tables = "".join(f"[providers.{name}]\n{text}\n" for name, text in self.limits.items())
        (self.folder / "lowtide.toml").write_text(tables)

    async def _live(self) -> RunReport:
        self.run_id = None
        for _ in range(100):
            chance, self.crash_chance = self.crash_chance, 0.0
            engine = self.current = self.engine()
            self.crash_chance = chance
            try:
                if self.plan is None:
                    now = await engine.clock.now()
                    deadline_at = None if self.within is None else now + self.within
                    wish = Wish(route=self.route, deadline_at=deadline_at)
                    options = WorkloadOptions(model=self.models[0])
                    planned = await engine.plan(self.folder / "in.tree", options=options, wish=wish, cap=self._cap(None))
                    self.plan = planned.plan
                cap = self._cap(self.plan)
                self.run_id = await engine.start_run(
                    self.plan.plan_id, cap=cap, out=self.folder / "out", fresh=True, late=self.late
                )
                await engine.resume(self.run_id)
                report = await self._work(engine)
                self.reports.append(report)
                if report.state == "paused" and report.reason == "at its cap" and self.raises:
                    await engine.raise_cap(self.run_id, None)
                    self.cap_parts = None
                    continue
                return report
            except Killed:
                continue
            finally:
                engine.store.close()
        raise AssertionError("an errand without end")

    def _cap(self, plan: Plan | None) -> Nanos | None:
        return None if plan is None or self.cap_parts is None else Nanos(plan.cost_likely * self.cap_parts // 1000)

    # what is asked of it afterwards

    def rows(self, query: object) -> list:
        store = Store(self.folder / "store", durable=False).open()
        try:
            with store.read() as tx:
                return tx.execute(query).all()
        finally:
            store.close()

    def notes(self) -> list[str]:
        store = Store(self.folder / "store", durable=False).open()
        try:
            with store.read() as tx:
                return [text for _, _, _, text in runs.events_after(tx, str(self.run_id), 0)]
        finally:
            store.close()

    def routes(self) -> Counter:
        """Count answers by the lane that they were bought in."""
        query = select(SHARDS.c.route).join_from(ATTEMPTS, SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id)
        return Counter(row.route for row in self.rows(query.where(ATTEMPTS.c.outcome == "succeeded")))

    def judge_errand(self, report: RunReport, *, met: bool = True) -> None:
        """Everything is answered once and in time, and the books equal the bill."""
        assert report.state == "done", f"{report.state}: {report.reason}: {self.notes()}"
        assert report.answered == sum(self.widths)
        store = Store(self.folder / "store", durable=False).open()
        try:
            with store.read() as tx:
                assert books.imbalances(tx) == []
                held = {row.reason for row in tx.execute(select(HOLDS).where(HOLDS.c.remaining_nanos > 0))}
        finally:
            store.close()
        assert held <= {"doubt"}
        doubts = sum(hold.amount for hold in report.holds if hold.reason == "doubt")
        lost = self.world.bill.nanos - report.spent
        assert 0 <= lost <= doubts, f"billed {self.world.bill.nanos}, booked {report.spent}, in doubt {doubts}"
        bought = Counter(row.seq for row in self.rows(select(ATTEMPTS.c.seq).where(ATTEMPTS.c.outcome == "succeeded")))
        assert set(bought.values()) == {1}, "an answer was bought twice"
        if report.deadline_at is not None and met:
            assert report.ended_at <= report.deadline_at, f"late: {self.notes()}"


Killed = __import__("life").Crash


def errand(*rules: dict, **more: object) -> Errand:
    return Errand(**{"seed": 3, "widths": (12,), "rules": msgspec.convert(list(rules), tuple[Rule, ...]), **more})


def test_a_batch_that_is_stuck_moves_to_real_time_and_meets_the_deadline():
    life = errand(STUCK)
    report = life.live()
    life.judge_errand(report)

    assert life.plan.route == "batch"
    assert life.plan.moves
    assert life.routes() == {"realtime": 12}
    assert report.hastened
    assert report.deadline_at - report.ended_at < timedelta(hours=1), "it was waited for as long as was safe"
    assert report.spent <= report.plan_ceiling
    life.bury()
