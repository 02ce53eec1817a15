"""Whole runs with deadlines, beside the model of ``deadlines.py``: the same seeded worlds, lived by the real worker.

Each world's batches take as long in the simulator as in the model; waves are cut down to ``REQUESTS_MAX`` requests and
the limit of real time with them, so that it takes as long as before. Windows are left out, and so is real time that is
slower than its limits say. Nothing is sent anywhere: simulator and worker share this process and a virtual clock.

python bench/deadlines_live.py           6 worlds of each kind
python bench/deadlines_live.py 20        so many
"""

import random
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from deadlines import KINDS, Sent, TrueWave, TrueWorld, all_realtime, routed, world
from measure import table
from sqlalchemy import func, select

from lowtide.errors import DeadlineMissed
from lowtide.routing import Route, RouteRules
from lowtide.store.schema import ATTEMPTS, SHARDS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "simulation"))
from test_routes import Errand

REQUESTS_MAX = 30
WAVES_MAX = 3
HEAD = ["batches are", "worlds", "met %", "model met %", "paid %", "model paid %", "moved %", "refused"]


@dataclass(kw_only=True)
class Told:
    """A turnaround of the simulator that is told beforehand, batch by batch, in microseconds."""

    seconds: list[int]
    drawn: int = 0

    def draw(self, _chance: random.Random) -> int:
        """Give the next one; where more batches are made than waves, the last again."""
        self.drawn += 1
        return self.seconds[min(self.drawn, len(self.seconds)) - 1] * 1_000_000


def cut(drawn: TrueWorld) -> TrueWorld:
    """Cut a world down to what is quickly lived, its times as they are: one batch a wave, whose rows finish evenly."""
    waves: list[TrueWave] = []
    told = min(wave.told_seconds for wave in drawn.waves[:WAVES_MAX])
    requests = min(REQUESTS_MAX, *(wave.requests for wave in drawn.waves[:WAVES_MAX]))
    for wave in drawn.waves[:WAVES_MAX]:
        sent = Sent(requests=requests, took=wave.sent[Route.BATCH][0].took, even=True)
        waves.append(
            replace(
                wave,
                requests=requests,
                told_seconds=told,
                true_seconds=told,
                sent={Route.BATCH: (sent,)},
                notice_parts=50,
            )
        )
    return replace(drawn, waves=tuple(waves), past=())


@dataclass(slots=True, kw_only=True)
class Sums:
    """What came of some worlds; shares of all-real-time money are of those that were lived in both."""

    worlds: int = 0
    met: int = 0
    model_met: int = 0
    paid: list[float] = field(default_factory=list)
    model_paid: list[float] = field(default_factory=list)
    moved: int = 0
    refused: int = 0

    def row(self, name: str) -> list[str]:
        lived = max(len(self.paid), 1)
        return [
            name,
            f"{self.worlds}",
            f"{100 * self.met / lived:.0f}",
            f"{100 * self.model_met / lived:.0f}",
            f"{100 * sum(self.paid) / lived:.1f}",
            f"{100 * sum(self.model_paid) / lived:.1f}",
            f"{100 * self.moved / lived:.0f}",
            f"{self.refused}",
        ]


def live(drawn: TrueWorld, sums: Sums) -> None:
    """Live one world, and let the model run beside it."""
    first = drawn.waves[0]
    limit = max(1, first.requests * 60 // first.told_seconds)
    errand = Errand(
        seed=drawn.seed,
        widths=tuple(wave.requests for wave in drawn.waves),
        within=timedelta(seconds=drawn.given_seconds),
        limits={"anthropic": f"requests_per_minute = {limit}"},
        settings={"realtime_below": 1, "poll_seconds_min": 60, "poll_seconds_max": 300},
        options={
            "turnaround": Told(seconds=[wave.sent[Route.BATCH][0].took for wave in drawn.waves]),
            "cancel_seconds": first.drain_seconds,
            "cancel_finish_share": 0.0,
        },
    )
    sums.worlds += 1
    try:
        report = errand.live()
    except DeadlineMissed:
        sums.refused += 1
        errand.bury()
        return
    errand.judge_errand(report, met=False)
    spent = select(SHARDS.c.route, func.sum(ATTEMPTS.c.cost_nanos)).join_from(
        ATTEMPTS, SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id
    )
    by_route = {route: int(amount) for route, amount in errand.rows(spent.group_by(SHARDS.c.route))}
    batch, realtime = by_route.get("batch", 0), by_route.get("realtime", 0)
    sums.paid.append((batch + realtime) / (2 * batch + realtime))
    assert report.deadline_at is not None
    assert report.ended_at is not None
    if report.ended_at <= report.deadline_at:
        sums.met += 1
    else:
        print(f"  late: {drawn.kind} {drawn.seed}, by {report.ended_at - report.deadline_at}")
    sums.moved += report.hastened
    model = routed(drawn, 0, RouteRules())
    sums.model_met += model.seconds <= drawn.given_seconds
    sums.model_paid.append(model.nanos / all_realtime(drawn).nanos)
    errand.bury()


def run(count: int = 6) -> dict[str, object]:
    """Live so many worlds of each kind."""
    rows: list[list[str]] = []
    results: dict[str, object] = {}
    whole = Sums()
    for kind in KINDS:
        sums = Sums()
        for seed in range(count):
            live(cut(world(kind, seed)), sums)
        rows.append(sums.row(kind))
        results[kind] = {"worlds": sums.worlds, "met": sums.met, "refused": sums.refused}
        for name in ("worlds", "met", "model_met", "moved", "refused"):
            setattr(whole, name, getattr(whole, name) + getattr(sums, name))
        whole.paid += sums.paid
        whole.model_paid += sums.model_paid
    table("Deadlines, lived by the whole program", HEAD, [*rows, whole.row("all")])
    return results


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
