"""Runs with a deadline, whole: the lane of each wave, the last safe moment, what is moved, and what is paid for it.

The provider is the simulator in this process, whose batches may be stuck for ever; its bill judges our books. Limits of
real time are set where a test needs it to take long. Nothing here sleeps.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
import pytest
from life import Crash, Life, Tree
from sqlalchemy import select

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
from lowtide_simulator.world import Turnaround

pytestmark = pytest.mark.no_cover  # what they cover, unit tests cover alone; measuring would cost a third more
CLAUDE, GPT = "claude-haiku-4-5", "gpt-6.1-terra"
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
    starts_after: timedelta = timedelta(0)
    cap_planned: bool = False
    crash_again: dict[str, int] = field(default_factory=dict)
    plan: Plan | None = None
    reports: list[RunReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = {"route": "auto", "poll_seconds_min": 1200, "poll_seconds_max": 20_000, **self.settings}
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
                    chosen = self.route is not Route.AUTO or deadline_at is not None
                    wish = Wish(route=self.route, deadline_at=deadline_at) if chosen else None
                    options = WorkloadOptions(model=self.models[0])
                    planned = await engine.plan(self.folder / "in.tree", options=options, wish=wish)
                    if self.cap_planned:  # planned again, knowing the cap
                        cap = self._cap(planned.plan)
                        planned = await engine.plan(self.folder / "in.tree", options=options, wish=wish, cap=cap)
                    self.plan = planned.plan
                    await engine.clock.sleep_until(now + self.starts_after)
                cap = self._cap(self.plan)
                self.run_id = await engine.start_run(
                    self.plan.plan_id, cap=cap, out=self.folder / "out", fresh=True, late=self.late
                )
                await engine.resume(self.run_id)
                report = await self._work(engine)
                self.reports.append(report)
                if report.state == "paused" and report.reason == "at its cap":
                    await engine.raise_cap(self.run_id, None)
                    self.cap_parts = None
                    continue
                return report
            except Crash:
                continue
            finally:
                engine.store.close()
        raise AssertionError("an errand without end")

    def _maybe(self, name: str) -> None:
        if self.crashes == 1 and self.crash_again:
            self.crash_at, self.crash_again = self.crash_again, {}
        super()._maybe(name)

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

    def noted(self) -> list[tuple[datetime, str]]:
        """List what was noted, and when."""
        store = Store(self.folder / "store", durable=False).open()
        try:
            with store.read() as tx:
                return [(at, text) for _, at, _, text in runs.events_after(tx, str(self.run_id), 0)]
        finally:
            store.close()

    def notes(self) -> list[str]:
        """List what was noted."""
        return [text for _, text in self.noted()]

    def routes(self) -> Counter:
        """Count answers by the lane that they were bought in."""
        query = select(SHARDS.c.route).join_from(ATTEMPTS, SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id)
        return Counter(row.route for row in self.rows(query.where(ATTEMPTS.c.outcome == "succeeded")))

    def routes_by_wave(self) -> dict[int, Counter]:
        """Count answers by wave and lane."""
        query = select(SHARDS.c.wave, SHARDS.c.route).join_from(
            ATTEMPTS, SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id
        )
        found: dict[int, Counter] = {}
        for row in self.rows(query.where(ATTEMPTS.c.outcome == "succeeded")):
            found.setdefault(row.wave, Counter())[row.route] += 1
        return found

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
        # Where a create's reply was lost, nothing proves that the batch is ours until it ends: it is not called back.
        unproved = any("cannot be called back" in note for note in self.notes())
        if report.deadline_at is not None and met and not unproved:
            assert report.ended_at <= report.deadline_at, f"late: {self.notes()}"


def errand(*rules: dict, **more: object) -> Errand:
    return Errand(**{"seed": 3, "widths": (12,), "rules": msgspec.convert(list(rules), tuple[Rule, ...]), **more})


def test_a_batch_that_is_stuck_moves_to_real_time_and_meets_the_deadline():
    life = errand(STUCK)
    report = life.live()
    life.judge_errand(report)

    assert (life.plan.route, life.plan.moves, life.plan.sure) == ("batch", True, True)
    assert life.routes() == {"realtime": 12}
    assert report.hastened
    assert report.deadline_at - report.ended_at < timedelta(hours=1), "it was waited for as long as was safe"
    assert report.spent <= report.plan_ceiling
    life.bury()


def test_a_batch_that_comes_in_time_moves_nothing():
    life = errand(options={"turnaround": Turnaround.parse("1800")})
    report = life.live()
    life.judge_errand(report)

    assert life.routes() == {"batch": 11, "realtime": 1}, "but for the first of its kind"
    assert not report.hastened
    life.bury()


def test_rows_that_finished_before_the_move_are_kept_and_paid_once():
    """Rows finish evenly over ten hours; what is there when the batch is canceled is billed, and not bought again."""
    life = errand(widths=(60,), options={"turnaround": Turnaround.parse("36000"), "cancel_finish_share": 0.5})
    report = life.live()
    life.judge_errand(report)

    routes = life.routes()
    assert routes["batch"] > 20
    assert routes["realtime"] > 10
    assert len(life.world.batches) == 1
    assert report.spent <= report.plan_ceiling
    life.bury()


def test_only_the_batch_that_is_stuck_is_called_back():
    life = errand({**STUCK, "nth": 2}, settings={"batch_requests_max": 4})
    report = life.live()
    life.judge_errand(report)

    assert life.routes() == {"batch": 7, "realtime": 5}
    assert Counter(batch.status.value for batch in life.world.batches.values()) == {"ended": 3}
    life.bury()


def test_what_has_landed_lets_the_rest_wait_longer():
    """Real time takes ten minutes for all; with two thirds here it takes less, so the stuck rest has longer."""
    life = errand(
        {**STUCK, "nth": 3},
        widths=(90,),
        limits={"anthropic": "requests_per_minute = 9"},
        settings={"batch_requests_max": 30},
    )
    report = life.live()
    life.judge_errand(report)

    assert any("may wait until" in note for note in life.notes()), life.notes()
    assert life.routes()["batch"] == 60
    life.bury()


def test_a_batch_that_ended_since_it_was_last_looked_at_is_read_before_anything_moves():
    """It ends a minute before the move, between two looks that are hours apart."""
    first = errand(STUCK)
    hastened_at = next(at for at, text in times(first) if "is called back" in text)
    sent_at = next(at for at, text in times(first, again=False) if "accepted" in text)
    seconds = int((hastened_at - sent_at).total_seconds()) - 60
    first.bury()
    life = errand(
        options={"turnaround": Turnaround.parse(str(seconds))},
        settings={"poll_seconds_min": 9000, "poll_seconds_max": 20_000},
    )
    report = life.live()
    life.judge_errand(report)

    assert life.routes() == {"batch": 11, "realtime": 1}
    assert not report.hastened
    life.bury()


def times(life: Errand, *, again: bool = True) -> list[tuple[datetime, str]]:
    """Live, and list what was noted when."""
    if again:
        life.live()
    return life.noted()


@pytest.mark.parametrize("seed", range(2))
def test_killed_on_the_way(seed):
    """Killed again and again, most of all while it moves: nothing is lost, nothing paid twice, the deadline is met."""
    life = errand(STUCK, seed=seed, widths=(8, 3), crash_chance=0.02, within=timedelta(hours=5))
    report = life.live()
    life.judge_errand(report)

    assert life.crashes
    life.bury()


@pytest.mark.parametrize("point", ["pack.after_commit", "poll.after_reply", "call.after_reply", "collect.after_sync"])
def test_killed_twice_at_a_point(point):
    """With rows that finish although they are canceled, so that there is something to collect while it moves."""
    options = {"turnaround": Turnaround.parse("36000"), "cancel_finish_share": 0.5}
    life = errand(widths=(30,), options=options, crash_at={point: 1})
    life.crash_again = {point: 2}
    report = life.live()
    life.judge_errand(report)

    assert life.crashes == 2, life.hit[point]
    assert report.hastened
    life.bury()


def test_two_providers_of_which_one_is_stuck():
    life = errand(STUCK, widths=(20,), models=(CLAUDE, GPT))
    report = life.live()
    life.judge_errand(report)

    assert life.routes() == {"batch": 9, "realtime": 11}, "OpenAI's came back; ten of Anthropic's and two first ones"
    assert report.hastened
    life.bury()


def test_two_providers_both_stuck_and_killed():
    life = errand(STUCK, OPENAI_STUCK, widths=(8, 4), models=(CLAUDE, GPT), crash_chance=0.01, seed=5)
    report = life.live()
    life.judge_errand(report)

    assert life.crashes
    assert report.hastened
    life.bury()


def test_a_wave_that_moved_does_not_move_the_next_ones():
    """Waves of which the first is stuck: the second goes in a batch again, because there is still time for it."""
    life = errand({**STUCK, "nth": 1}, widths=(9, 6, 3), within=timedelta(hours=12))
    report = life.live()
    life.judge_errand(report)

    by_wave = life.routes_by_wave()
    assert by_wave[0] == {"realtime": 9}
    assert by_wave[1]["batch"] >= 5
    assert by_wave[2]["batch"] >= 2
    life.bury()


def test_the_lane_is_chosen_again_when_the_run_begins_late():
    """A plan for a batch, begun when only real time is left."""
    life = errand(STUCK, within=timedelta(hours=4), starts_after=timedelta(hours=3, minutes=40))
    report = life.live()
    life.judge_errand(report)

    assert life.plan.route == "batch"
    assert len(life.world.batches) == 0
    assert life.routes() == {"realtime": 12}
    life.bury()


def test_a_deadline_that_nothing_can_meet_is_refused_unless_late_is_good_enough():
    """Sixty requests at two a minute take half an hour."""
    hurried = {"widths": (60,), "limits": {"anthropic": "requests_per_minute = 2"}, "within": timedelta(minutes=10)}
    life = errand(**hurried)
    with pytest.raises(DeadlineMissed, match="nothing was sent or spent"):
        life.live()
    assert life.plan.misses
    assert any("even in real time" in warning for warning in life.plan.warnings)
    assert life.world.bill.nanos == 0
    life.bury()

    late = errand(**hurried, late=True)
    report = late.live()
    late.judge_errand(report, met=False)
    assert late.routes() == {"realtime": 60}
    late.bury()


def test_a_deadline_that_passed_since_the_plan_was_made_is_refused():
    life = errand(
        limits={"anthropic": "requests_per_minute = 2"}, within=timedelta(hours=1), starts_after=timedelta(minutes=58)
    )
    with pytest.raises(DeadlineMissed, match="can no longer meet"):
        life.live()
    life.bury()


def test_a_cap_that_does_not_cover_real_time_is_said_and_then_keeps():
    """It moves what it can, pauses at its cap, and goes on when the cap is raised."""
    life = errand(STUCK, widths=(40,), cap_parts=1050)
    report = life.live()
    life.judge_errand(report, met=False)

    paused = life.reports[0]
    assert (paused.state, paused.reason) == ("paused", "at its cap")
    assert paused.spent <= paused.cap
    assert 0 < paused.answered < 40
    assert any("does not cover" in note for note in life.notes()), life.notes()
    life.bury()


def test_the_plan_says_when_the_cap_does_not_cover_the_move():
    life = errand(STUCK, widths=(40,), cap_planned=True, cap_parts=1050)
    life.live()
    assert not life.plan.sure
    assert any("more than the cap" in warning for warning in life.plan.warnings), life.plan.warnings
    life.bury()


def test_a_cap_that_covers_real_time_is_not_used_up_by_what_is_out():
    """What is held for the batch comes back when it is called back: it counts as covered."""
    life = errand(STUCK, widths=(40,), cap_parts=3000)
    report = life.live()
    life.judge_errand(report)

    assert not any("budget" in note for note in life.notes()), life.notes()
    life.bury()


def test_real_time_that_is_slower_than_its_limits_say_makes_the_next_wave_hurry():
    """The second wave's last safe moment is earlier when the first one's real time took longer than it should."""
    kept = []
    for seconds in (0, 1500):
        slow = {"on": "POST /v1/messages", "fault": "status", "status": 429, "retry_after": seconds, "nth": 8}
        rules = [{**STUCK, "nth": 1}, *([slow] if seconds else [])]
        life = errand(
            *rules, widths=(20, 12), within=timedelta(hours=9), limits={"anthropic": "requests_per_minute = 10"}
        )
        report = life.live()
        life.judge_errand(report)
        assert report.hasten_at is not None, "the second wave came back in time"
        kept.append(report.deadline_at - report.hasten_at)
        life.bury()
    assert kept[1] > kept[0] + timedelta(minutes=1)


@pytest.mark.parametrize(("requests", "batches"), [(12, 3), (5, 1)])
def test_a_large_run_makes_several_batches(requests, batches):
    """B10, with its thousand set to five."""
    life = errand(widths=(requests,), within=None, route=Route.BATCH, settings={"one_batch_through": 5})
    report = life.live()
    life.judge_errand(report)

    assert len(life.world.batches) == batches
    assert sum(line.parts for line in life.plan.lines) == batches
    sizes = [len(batch.columns.custom_ids) for batch in life.world.batches.values()]
    assert max(sizes) - min(sizes) <= 1
    life.bury()


# OpenAI's windows


@pytest.mark.parametrize("route", [Route.WINDOW_2H, Route.WINDOW_8H])
def test_a_window_that_is_asked_for(route):
    """Background responses, billed at the window's price; the first of its kind in real time."""
    life = errand(models=(GPT,), within=None, route=route, widths=(10, 3))
    report = life.live()
    life.judge_errand(report)

    assert life.plan.route == route.value
    assert life.routes() == {route.value: 11, "realtime": 2}
    assert report.spent < life.plan.realtime_likely * 3
    life.bury()


def test_a_window_by_the_setting():
    life = errand(models=(GPT,), within=None, settings={"route": "2h"})
    report = life.live()
    life.judge_errand(report)

    assert life.routes() == {"2h": 11, "realtime": 1}
    life.bury()


def test_a_window_of_which_some_are_never_over_moves_to_real_time():
    """First from a batch that is stuck to a window, then what is left of that to real time."""
    life = errand(
        {**NEVER_OVER, "probability": 0.4}, OPENAI_STUCK, models=(GPT,), widths=(20,), within=timedelta(hours=11)
    )
    report = life.live()
    life.judge_errand(report)

    routes = life.routes()
    assert routes["2h"] + routes["8h"] > 0, f"{routes}: {life.notes()}"
    assert routes["realtime"] > 0
    assert len([note for note in life.notes() if "is called back" in note]) > 1
    tries = {row.tries for row in life.rows(select(REQUESTS.c.tries))}
    assert tries <= {1, 2}, f"what we call back ourselves is no failed try: {tries}"
    life.bury()


@pytest.mark.parametrize("seed", range(2))
def test_windows_killed_in_between_and_with_lost_replies(seed):
    life = errand(
        {"on": RESPONSES, "fault": "lost_reply_after_commit", "nth": 5},
        {**NEVER_OVER, "probability": 0.2},
        OPENAI_STUCK,
        models=(GPT,),
        widths=(8, 4),
        seed=seed,
        crash_chance=0.01,
        within=timedelta(hours=14),
    )
    report = life.live()
    life.judge_errand(report)
    life.bury()
