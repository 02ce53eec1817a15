"""Caching through lowtide itself: what the plan says of it, what is sent, what is paid, and dying in between.

The simulator's caches are the judge: a batch's entries can be read only after it has ended, and its bill counts every
write and read. What the judgement decides is under test in ``unit/test_caching.py``.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from life import Life, Tree
from sqlalchemy import select

from lowtide import plan as planning
from lowtide.plan import Plan
from lowtide.reports import RunReport
from lowtide.request import Neutral, Request
from lowtide.routing import Route, TurnaroundBasis, TurnaroundRange
from lowtide.store import Store, plans
from lowtide.store.schema import EVENTS, LOTS, REQUESTS, SHARDS
from lowtide.worker import marking
from lowtide.workload import Answers, Scope, WorkloadOptions
from lowtide_simulator.bill import Line
from lowtide_simulator.openai.usage import Usage as OpenAIUsage

WORDS = ["tide", "low", "water", "moon", "shore", "sand", "boat", "harbour", "net", "line", "rope", "anchor", "buoy"]
HAIKU, LUNA, SOL = "claude-haiku-4-5", "gpt-6-luna", "gpt-6-sol"


def prose(seed: int, count: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


class Library(Tree):
    """A tree whose requests all begin alike: a system text, and one of some parts."""

    def __init__(
        self, widths: tuple[int, ...], *, model: str, words: int, parts: int, part_words: int, room_percent: int
    ) -> None:
        super().__init__(widths)
        self.room_percent = room_percent
        self.model, self.system = model, prose(1, words)
        self.parts = [prose(100 + number, part_words) for number in range(parts)]

    def scope(self) -> Scope:
        """Bound later waves by what their bodies really have."""
        scope = super().scope()
        shared = len(self.system) + max((len(part) for part in self.parts), default=0)
        later = tuple(
            tuple(
                replace(
                    line,
                    input_bytes_likely=line.requests * shared,
                    input_bytes_ceiling=line.requests * (shared * self.room_percent // 100 + 2_000),
                )
                for line in lines
            )
            for lines in scope.later
        )
        return replace(scope, later=later)

    def _wave(self, wave: int, answers: Answers | None) -> Iterator[Request]:
        for number, request in enumerate(super()._wave(wave, answers)):
            assert isinstance(request.body, Neutral)
            shared = (self.parts[number % len(self.parts)],) if self.parts else ()
            body = replace(request.body, system=self.system, shared=shared)
            yield replace(request, model=self.model, body=body)


def lived(
    widths: tuple[int, ...],
    *,
    caching: str = "auto",
    model: str = HAIKU,
    words: int = 6_000,
    parts: int = 0,
    part_words: int = 0,
    crash_at: dict[str, int] | None = None,
    route: str = "batch",
    room_percent: int = 300,
) -> tuple[Life, RunReport, Plan]:
    """Live a life whose requests share their beginnings, and judge it: the ledger equals the bill."""
    settings = {"caching": caching, "poll_seconds_min": 30, "poll_seconds_max": 60, "model": model, "route": route}
    life = Life(seed=8, widths=widths, settings=settings, crash_at=crash_at or {})
    life.tree = Library(widths, model=model, words=words, parts=parts, part_words=part_words, room_percent=room_percent)
    report = life.live()
    assert report.state == "done"
    if model == HAIKU:
        life.judge(report)
    else:
        assert report.spent == life.world.bill.nanos
    with opened(life) as store, store.read() as tx:
        row = plans.find_plan(tx, report.plan_id)
    assert row is not None
    return life, report, planning.decode(row.figures)


class opened:  # noqa: N801 used as a verb
    """A life's store, for a look."""

    def __init__(self, life: Life) -> None:
        self.store = Store(life.folder / "store", durable=False)

    def __enter__(self) -> Store:
        return self.store.open()

    def __exit__(self, *_: object) -> None:
        self.store.close()


def usages(life: Life) -> Counter[str]:
    """Sum the bill's tokens by kind."""
    found: Counter[str] = Counter()
    for line in life.world.bill.lines():
        found.update(tokens_of(line))
    return found


def tokens_of(line: Line) -> Counter[str]:
    """Give what one billed answer wrote and read."""
    used = line.usage
    if isinstance(used, OpenAIUsage):
        return Counter(read=used.cached, written=used.write_30m + used.write_12h)
    return Counter(read=used.read, written=used.write_5m + used.write_1h)


def batches_of(life: Life) -> list[int]:
    """How many requests each batch has, in the order in which they were created."""
    return [len(batch.columns.custom_ids) for batch in life.world.batches.values()]


def test_one_request_goes_first_and_the_rest_reads_what_it_wrote() -> None:
    plain, paid_plain, _ = lived((40,), caching="off")
    life, report, plan = lived((40,))
    (line,) = plan.caching
    assert (line.rounds, line.firsts, line.breakpoints, line.lifetime) == (1, 1, 1, "1h")
    # One in real time for its kind, one that writes, and all others.
    assert batches_of(life) == [1, 38]
    assert batches_of(plain) == [39]
    found = usages(life)
    assert found["read"] == 38 * found["written"]
    assert usages(plain) == Counter(read=0, written=0)
    assert report.spent * 3 < paid_plain.spent
    assert plan.cost_floor <= plan.cost_low <= plan.cost_likely <= plan.cost_high <= plan.cost_ceiling
    assert plan.cost_likely + line.saves == pytest.approx(paid_plain.plan_likely, abs=3)


def test_nothing_is_marked_where_nobody_waits_or_caching_is_off() -> None:
    """A cold batch read nothing, as far as anyone has measured: a breakpoint alone would cost, and pays nothing."""
    for caching in ("at-once", "off"):
        life, report, plan = lived((12,), caching=caching)
        assert batches_of(life) == [11]
        assert usages(life) == Counter(read=0, written=0)
        assert [line.lifetime for line in plan.caching] == ([""] if caching == "at-once" else [])
        assert report.spent <= plan.cost_ceiling


def test_nested_prefixes_have_one_first_request_each_and_later_waves_are_judged_anew() -> None:
    _, paid_plain, plan_plain = lived((32, 16, 2), caching="off", parts=2, part_words=5_000)
    life, report, plan = lived((32, 16, 2), parts=2, part_words=5_000)
    (line,) = plan.caching
    assert (line.rounds, line.firsts) == (1, 2)
    # Wave by wave: those of a new kind alone, then the first ones together, then the rest; two requests are too few.
    assert batches_of(life) == [2, 29, 2, 13, 2]
    assert report.spent * 2 < paid_plain.spent
    assert plan.cost_ceiling < plan_plain.cost_ceiling * 2
    bound = paid_plain.spent + sum(each.worst - each.none for each in plan.caching)
    assert report.spent < bound


def test_a_later_wave_is_not_marked_where_that_could_cost_more_than_the_plan_said() -> None:
    life, report, plan = lived((24, 12), room_percent=102)
    assert batches_of(life) == [1, 22, 11]
    assert report.spent <= plan.cost_ceiling
    with opened(life) as store, store.read() as tx:
        told = [row.text for row in tx.execute(select(EVENTS.c.text)) if "nothing is cached" in row.text]
    assert told == ["wave 2: nothing is cached, for the most it can cost would pass the plan's"]


def test_every_turn_is_kept_whatever_dies_between_the_first_batch_and_the_rest() -> None:
    """Killed around the first batch, its results and the second batch: all is bought once, and in that order."""
    names = ("pack.after_commit", "submit.after_reply", "collect.after_block")
    quiet, paid, _ = lived((9,), words=7_000)
    assert batches_of(quiet) == [1, 7]
    for name in names:
        assert quiet.hit[name] >= 2
        for time in range(1, quiet.hit[name] + 1):
            life, report, _ = lived((9,), words=7_000, crash_at={name: time})
            assert life.crashes == 1
            assert batches_of(life) == [1, 7], f"{name} {time}"
            assert report.spent == paid.spent
            life.bury()


def test_a_small_run_in_real_time_is_judged_for_real_time() -> None:
    """Nothing is marked for a lane that it does not go by: thirty at once would all write and none would read."""
    life, report, plan = lived((30,), route="auto")
    assert plan.route == "realtime"
    assert [line.lane for line in plan.caching] == ["realtime"]
    assert usages(life) == Counter(read=0, written=0)
    assert report.spent <= plan.cost_ceiling


def test_openai_writes_nothing_that_is_not_marked_and_is_billed_for_nothing_written() -> None:
    """One-shot prompts beyond the length at which these models cache by themselves, for a fee."""
    life, report, plan = lived((20,), model=LUNA, words=3_000, caching="off")
    assert usages(life) == Counter(read=0, written=0)
    assert plan.cost_floor <= report.spent <= plan.cost_ceiling


def test_what_was_seen_in_this_store_is_what_the_next_plan_expects() -> None:
    life, _, plan = lived((40,))
    assert {line.hits_basis for line in plan.caching} == {"published"}
    again = asyncio.run(life.plan_again()).plan
    (line,) = again.caching
    assert line.hits_basis == "measured"
    # One batch in which all of them hit, beside a prior of 98 % that weighs as much as two.
    assert line.hits_percent == 99


def test_the_first_of_a_kind_is_no_first_of_a_prefix() -> None:
    """It is tried in real time, whose cache no batch reads: it is not marked, and another one writes."""
    life, report, _ = lived((40,))
    with opened(life) as store, store.read() as tx:
        turns = dict(tx.execute(select(LOTS.c.lot, LOTS.c.turn).where(LOTS.c.plan_id == report.plan_id)).all())
        rows = tx.execute(select(REQUESTS.c.seq, REQUESTS.c.lot).order_by(REQUESTS.c.seq)).all()
        routes = [row.route for row in tx.execute(select(SHARDS.c.route).order_by(SHARDS.c.created_at))]
    assert [turns[lot] for _, lot in rows] == [1, 0, *[1] * 38]
    assert routes == ["realtime", "batch", "batch"]


def test_openai_s_breakpoints_are_written_and_read_by_the_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where batches are known to come back within half an hour, a mark for that long is expected to pay."""
    quick = TurnaroundRange(
        half=timedelta(minutes=5),
        nine_in_ten=timedelta(minutes=10),
        worst=timedelta(minutes=20),
        steps=(timedelta(minutes=5),) * 20,
        batches=9,
        basis=TurnaroundBasis.MEASURED,
    )
    monkeypatch.setattr(marking, "usual_turnarounds", lambda *_: {Route.BATCH: quick})
    _, paid_plain, _ = lived((40,), model=SOL, words=4_000, caching="off")
    life, report, plan = lived((40,), model=SOL, words=4_000)
    (line,) = plan.caching
    assert (line.lifetime, line.rounds, line.firsts, line.hits_basis) == ("30m", 1, 1, "assumed")
    found = usages(life)
    assert found["written"] > 0
    assert found["read"] > 10 * found["written"]
    assert report.spent * 2 < paid_plain.spent
    assert report.spent <= plan.cost_ceiling


def test_what_a_pilot_bought_is_taken_over_whether_it_was_marked_or_not() -> None:
    """A pilot's bodies are byte for byte those of the plan it is a sample of; the plan after it must not change them."""
    for caching in ("auto", "off"):
        settings = {"caching": caching, "poll_seconds_min": 30, "poll_seconds_max": 60, "model": HAIKU}
        life = Life(seed=8, widths=(60,), settings=settings)
        life.tree = Library((60,), model=HAIKU, words=4_000, parts=0, part_words=0, room_percent=300)
        spent, bill, reused, lifetime = asyncio.run(piloted(life))
        assert (reused, spent, lifetime) == (12, bill, "1h")
        life.bury()


async def piloted(life: Life) -> tuple[int, int, int, str]:
    """Plan, run a pilot of twelve, plan again with caching and run: what both runs paid, the bill, what was taken over."""
    engine = life.engine()
    source, options = life.folder / "in.tree", WorkloadOptions(model=HAIKU)
    sample = await engine.pilot((await engine.plan(source, options=options)).plan.plan_id, requests=12)
    engine.settings = replace(engine.settings, caching="auto")
    spent = 0
    plan = sample
    for _ in range(2):
        run_id = await engine.start_run(plan.plan_id, cap=None, out=None)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.state == "done"
        spent += report.spent
        if plan is sample:
            plan = (await engine.plan(source, options=options, pilot=sample.plan_id)).plan
    engine.store.close()
    return spent, life.world.bill.nanos, plan.reused, plan.caching[0].lifetime
