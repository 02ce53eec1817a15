"""Deadlines met and money paid by ``routing``, over seeded worlds: batches that are fast, usual, slow, stuck, or turned slow.

A small exact model of a run lives here, in whole seconds and nano-dollars; nothing is sent. ``choose`` sees only what a
user would have: the limits' word for real time, and a history of earlier batches. Beside it: all in real time, a batch
sent when nine in ten of the earlier ones would have made it (and then waited for), and the cheapest possible with
perfect knowledge of every batch.

python bench/deadlines.py            300 worlds of each kind
python bench/deadlines.py 50         so many
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import exp, log

from measure import table

from lowtide.money import Nanos
from lowtide.routing import (
    Lot,
    Offer,
    Route,
    RouteRules,
    TurnaroundRange,
    TurnaroundSeen,
    Wish,
    batch_count,
    choose,
    turnaround,
    window_turnaround,
)

Turnarounds = dict[Route, TurnaroundRange]
START = datetime(2026, 11, 22, 6, tzinfo=UTC)
DAY = 86_400
NEVER = 30 * DAY
KINDS = ("fast", "usual", "slow", "stuck", "turned slow")
HISTORIES = (0, 5, 50)
PRICES = {Route.REALTIME: 100, Route.WINDOW_2H: 70, Route.WINDOW_8H: 60, Route.BATCH: 50}
EACH = 10_000_000  # nano-dollars of one request in real time
ORACLE_CELLS = 144
GIVEN_TIME = (30 * 60, DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One batch (or a window's requests) as it truly goes: its share of the wave, and when it ends."""

    requests: int
    took: int
    even: bool
    """Rows finish evenly over the time; otherwise all of them at its end."""

    def done(self, seconds: int) -> int:
        """Rows that are finished after so many seconds."""
        if seconds >= self.took:
            return self.requests
        return self.requests * seconds // self.took if self.even else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueWave:
    """One wave: what real time truly takes, and what each cheap lane would truly do."""

    requests: int
    told_seconds: int
    true_seconds: int
    sent: dict[Route, tuple[Sent, ...]]
    drain_seconds: int
    notice_parts: int
    """Where in the poll's interval a batch ends, in hundredths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueWorld:
    """A seeded world: waves, a deadline, and how batches were before."""

    kind: str
    seed: int
    waves: tuple[TrueWave, ...]
    given_seconds: int
    past: tuple[TurnaroundSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """How a run ended; ``moved`` counts requests that changed lanes, ``said`` is the cost that the first choice expected."""

    seconds: int
    nanos: int
    moved: int = 0
    said: int = 0


def world(kind: str, seed: int) -> TrueWorld:
    """Draw one world. Everything is drawn whether it is used or not, so that policies meet the same fate."""
    chance = random.Random(f"{kind}/{seed}")
    median = {"fast": 180, "usual": 1800, "slow": 5 * 3600, "stuck": 1800, "turned slow": 1800}[kind]
    median *= exp(chance.gauss(0, 0.5))
    spread = chance.uniform(0.3, 1.1)
    draw = partial(_draw, chance, median, spread)
    past = tuple(
        TurnaroundSeen(
            provider="provider",
            model=chance.choice(["model", "other"]),
            requests=int(exp(chance.uniform(log(10), log(20_000)))),
            hour=chance.randrange(24),
            took=timedelta(seconds=min(draw(), DAY)),
        )
        for _ in range(max(HISTORIES))
    )
    if kind == "turned slow":
        draw = partial(_draw, chance, median * 15, spread)
    stuck = chance.uniform(0.2, 1.0) if kind == "stuck" else 0.0
    depth = 1 if chance.random() < 0.5 else chance.randint(2, 6)
    requests = exp(chance.uniform(log(20), log(20_000)))
    shares = [chance.uniform(0.1, 1.0) for _ in range(depth)]
    per_minute = chance.choice([50, 200, 1000, 4000])
    # What the limits promise is not always there, least of all when batches are late too.
    troubled = chance.random() < (0.05 if kind in ("fast", "usual") else 0.2)
    slow = exp(chance.gauss(0, 0.1)) * (chance.uniform(1.2, 2.5) if troubled else 1.0)
    windows = chance.random() < 0.3
    waves: list[TrueWave] = []
    for share in shares:
        count = max(1, int(requests * share / sum(shares)))
        told = 15 + count * 60 // per_minute
        parts = batch_count(count, RouteRules())
        base = NEVER if chance.random() < stuck else draw()
        even = chance.random() < 0.5
        sizes = [count // parts + (number < count % parts) for number in range(parts)]
        sent = {
            Route.BATCH: tuple(
                Sent(requests=size, took=max(20, int(base * exp(chance.gauss(0, 0.25)))), even=even and base < NEVER)
                for size in sizes
            )
        }
        for route, window in ((Route.WINDOW_2H, 7200), (Route.WINDOW_8H, 28_800)):
            took = int(window * chance.uniform(0.05, 1.0) * (2 if chance.random() < 0.05 else 1))
            if windows:
                sent[route] = (Sent(requests=count, took=took, even=True),)
        drain = chance.choice([5, 30, 120, 600, 600])
        noticed = chance.randrange(100)
        true = int(told * slow) + 1
        waves.append(
            TrueWave(
                requests=count,
                told_seconds=told,
                true_seconds=true,
                sent=sent,
                drain_seconds=drain,
                notice_parts=noticed,
            )
        )
    given = int(exp(chance.uniform(*map(log, GIVEN_TIME))))
    return TrueWorld(kind=kind, seed=seed, waves=tuple(waves), given_seconds=given, past=past)


def _draw(chance: random.Random, median: float, spread: float) -> int:
    return max(20, int(chance.lognormvariate(log(median), spread)))


def realtime(wave: TrueWave, requests: int | None = None) -> int:
    """Seconds that so many of a wave's requests truly take in real time."""
    count = wave.requests if requests is None else requests
    return -(-wave.true_seconds * count // wave.requests) if count else 0


def price(route: Route, requests: int) -> int:
    """What so many requests cost in a lane, in nano-dollars."""
    return EACH * requests * PRICES[route] // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What came of waiting in a cheap lane: time and money so far, and the requests that still are to be bought."""

    seconds: int
    nanos: int
    rest: int


def wait(wave: TrueWave, route: Route, requests: int, until: int | None) -> Waited:
    """Send requests of a wave by a cheap lane, wait for at most ``until`` seconds, then cancel and collect."""
    sent = wave.sent[route]
    ends = [_noticed(each.took, wave.notice_parts) for each in sent]
    collect = 5 + requests // 1000
    if until is None or max(ends) <= until:
        return Waited(seconds=max(ends) + collect, nanos=price(route, requests), rest=0)
    # One more look before canceling: what has ended by now is not canceled.
    kept = sum(each.done(until) for each in sent) * requests // wave.requests
    rest = requests - kept
    drain = wave.drain_seconds if rest else 0
    return Waited(seconds=until + drain + collect, nanos=price(route, kept), rest=rest)


def _noticed(took: int, parts: int) -> int:
    return took + min(took // 12, 300) * parts // 100


def lot(wave: TrueWave, requests: int | None = None, tried: frozenset[Route] = frozenset()) -> Lot:
    """What a planner sees of a wave, or of what is left of it after some lanes were tried."""
    count = wave.requests if requests is None else requests
    lanes = [route for route in (Route.REALTIME, *wave.sent) if route not in tried]
    return Lot(
        requests=count,
        offers={
            route: Offer(likely=Nanos(price(route, count)), ceiling=Nanos(2 * price(route, count))) for route in lanes
        },
        realtime_seconds=-(-wave.told_seconds * count // wave.requests),
    )


def ranges(wave: TrueWave, seen: Sequence[TurnaroundSeen], now: datetime) -> Turnarounds:
    """What a planner believes of each lane."""
    size = wave.requests // batch_count(wave.requests, RouteRules())
    batch = turnaround(seen, provider="provider", model="model", requests=size, hour=now.hour)
    return {Route.BATCH: batch} | {route: window_turnaround(route) for route in wave.sent if route is not Route.BATCH}


def routed(world: TrueWorld, history: int, rules: RouteRules) -> Paid:
    """Let ``choose`` decide, wave by wave, and again for what is left when lanes are changed."""
    deadline = Wish(deadline_at=START + timedelta(seconds=world.given_seconds))
    seen = list(world.past[:history])
    seconds = nanos = moved = said = 0
    for number, wave in enumerate(world.waves):
        left, tried = wave.requests, frozenset[Route]()
        while left:
            now = START + timedelta(seconds=seconds)
            lots = [lot(wave, left, tried), *(lot(each) for each in world.waves[number + 1 :])]
            choice = choose(deadline, lots, ranges(wave, seen, now), rules, None, now)
            moved += left if tried else 0
            said = said or choice.likely or 0
            if choice.route is Route.REALTIME:
                seconds, nanos = seconds + realtime(wave, left), nanos + price(Route.REALTIME, left)
                break
            assert choice.hasten_at is not None
            until = int((choice.hasten_at - now).total_seconds())
            waited = wait(wave, choice.route, left, until)
            if choice.route is Route.BATCH:
                seen[:0] = [_seen(each, until, now) for each in wave.sent[Route.BATCH]]
            seconds, nanos, left = seconds + waited.seconds, nanos + waited.nanos, waited.rest
            tried |= {route for route in Route if PRICES.get(route, 0) <= PRICES[choice.route]}
    return Paid(seconds=seconds, nanos=nanos, moved=moved, said=said)


def _seen(sent: Sent, until: int, now: datetime) -> TurnaroundSeen:
    return TurnaroundSeen(
        provider="provider",
        model="model",
        requests=sent.requests,
        hour=now.hour,
        took=timedelta(seconds=min(sent.took, until)),
        ended=sent.took <= until,
    )


def all_realtime(world: TrueWorld, *_: object) -> Paid:
    """Buy everything in real time."""
    return Paid(
        seconds=sum(realtime(wave) for wave in world.waves),
        nanos=sum(price(Route.REALTIME, wave.requests) for wave in world.waves),
    )


def hopeful(world: TrueWorld, history: int, *_: object) -> Paid:
    """Send a batch when nine in ten earlier ones would have made it, and wait for it: what a simple client does."""
    usual = ranges(world.waves[0], world.past[:history], START)[Route.BATCH]
    if usual.nine_in_ten.total_seconds() * len(world.waves) > world.given_seconds:
        return all_realtime(world)
    paid = [wait(wave, Route.BATCH, wave.requests, None) for wave in world.waves]
    return Paid(seconds=sum(each.seconds for each in paid), nanos=sum(each.nanos for each in paid))


def cheapest(world: TrueWorld) -> int | None:
    """The least that can be paid knowing everything; ``None`` when the deadline cannot be met. Rounded in its favour."""
    cell = -(-world.given_seconds // ORACLE_CELLS)
    least: dict[int, int] = {0: 0}
    for wave in world.waves:
        ways = [(realtime(wave), price(Route.REALTIME, wave.requests))]
        moments = {world.given_seconds * part // 24 for part in range(1, 24)}
        # Every lane alone, and every dearer one after it.
        for route, then in _PAIRS:
            if route not in wave.sent or (then is not None and then not in wave.sent):
                continue
            ends = {_noticed(each.took, wave.notice_parts) for each in wave.sent[route]}
            for moment in moments | ends:
                first = wait(wave, route, wave.requests, moment)
                ways.append(_finish(wave, first.seconds, first.nanos, first.rest))
                if then is not None and first.rest:
                    second = wait(wave, then, first.rest, None)
                    ways.append((first.seconds + second.seconds, first.nanos + second.nanos))
        following: dict[int, int] = {}
        for spent, nanos in least.items():
            for took, cost in ways:
                cells = spent + took // cell
                if cells <= ORACLE_CELLS:
                    following[cells] = min(following.get(cells, nanos + cost), nanos + cost)
        least = following
    return min(least.values(), default=None)


_PAIRS: tuple[tuple[Route, Route | None], ...] = (
    (Route.BATCH, None),
    (Route.BATCH, Route.WINDOW_2H),
    (Route.BATCH, Route.WINDOW_8H),
    (Route.WINDOW_8H, Route.WINDOW_2H),
    (Route.WINDOW_2H, None),
)


def _finish(wave: TrueWave, seconds: int, nanos: int, rest: int) -> tuple[int, int]:
    return seconds + realtime(wave, rest), nanos + price(Route.REALTIME, rest)


@dataclass(slots=True, kw_only=True)
class Tally:
    """Sums over worlds. ``avoidable``: missed though all in real time would have met it. Money only where it would."""

    worlds: int = 0
    met: int = 0
    avoidable: int = 0
    late_max: int = 0
    paid_share: float = 0.0
    over_cheapest: float = 0.0
    said_share: float = 0.0
    moved: int = 0

    def add(self, world: TrueWorld, paid: Paid, least: int) -> None:
        self.worlds += 1
        full = all_realtime(world).nanos
        self.met += paid.seconds <= world.given_seconds
        if paid.seconds > world.given_seconds:
            self.avoidable += 1
            self.late_max = max(self.late_max, paid.seconds - world.given_seconds)
        self.paid_share += paid.nanos / full
        self.over_cheapest += least / full
        self.said_share += (paid.said or paid.nanos) / full
        self.moved += paid.moved > 0

    def row(self, name: str) -> list[str]:
        paid, least = self.paid_share / self.worlds, self.over_cheapest / self.worlds
        return [
            name,
            f"{self.worlds}",
            f"{100 * self.met / self.worlds:.1f}",
            f"{self.avoidable}",
            f"{self.late_max // 60}",
            f"{100 * paid:.1f}",
            f"{100 * self.said_share / self.worlds:.1f}",
            f"{100 * least:.1f}",
            f"{100 * (1 - paid) / (1 - least):.0f}" if least < 1 else "-",
            f"{100 * self.moved / self.worlds:.0f}",
        ]

    def figures(self) -> dict[str, object]:
        return {
            "worlds": self.worlds,
            "met_percent": 100 * self.met / self.worlds,
            "missed_though_realtime_could": self.avoidable,
            "late_minutes_max": self.late_max / 60,
            "paid_percent_of_realtime": 100 * self.paid_share / self.worlds,
            "said_percent_of_realtime": 100 * self.said_share / self.worlds,
            "cheapest_percent_of_realtime": 100 * self.over_cheapest / self.worlds,
            "worlds_moved_percent": 100 * self.moved / self.worlds,
        }


Policy = Callable[[TrueWorld, int, RouteRules], Paid]
POLICIES: tuple[tuple[str, Policy, tuple[int, ...]], ...] = (
    ("all in real time", all_realtime, (0,)),
    ("hopeful batch", hopeful, HISTORIES),
    ("lowtide", routed, HISTORIES),
)
HEAD = ["", "worlds", "met %", "missed", "late min", "paid %", "said %", "cheapest %", "of saving %", "moved %"]


def run(count: int = 300, rules: RouteRules | None = None, kinds: Sequence[str] = KINDS) -> dict[str, object]:
    """Every policy in every world. Deadlines that even real time cannot meet are counted apart."""
    rules = rules or RouteRules()
    results: dict[str, object] = {"worlds_of_each_kind": count}
    totals: dict[str, Tally] = {}
    hopeless = hopeless_known = 0
    for kind in kinds:
        tallies: dict[str, Tally] = {}
        for seed in range(count):
            drawn = world(kind, seed)
            if all_realtime(drawn).seconds > drawn.given_seconds:
                hopeless += 1
                now, lots = START, [lot(wave) for wave in drawn.waves]
                deadline = Wish(deadline_at=START + timedelta(seconds=drawn.given_seconds))
                hopeless_known += choose(deadline, lots, {}, rules, None, now).misses
                continue
            least = cheapest(drawn)
            assert least is not None, f"{kind} {seed}"
            for name, policy, histories in POLICIES:
                for history in histories:
                    label = name if len(histories) == 1 else f"{name}, {history} earlier"
                    paid = policy(drawn, history, rules)
                    tallies.setdefault(label, Tally()).add(drawn, paid, least)
                    totals.setdefault(label, Tally()).add(drawn, paid, least)
        table(f"Batches that are {kind}", HEAD, [tally.row(name) for name, tally in tallies.items()])
        results[kind] = {name: tally.figures() for name, tally in tallies.items()}
    table("All worlds", HEAD, [tally.row(name) for name, tally in totals.items()])
    print(f"  deadlines that even real time cannot meet: {hopeless}, of which the plan says so for {hopeless_known}")
    results["all"] = {name: tally.figures() for name, tally in totals.items()}
    results["hopeless"] = {"worlds": hopeless, "said_so": hopeless_known}
    return results


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
