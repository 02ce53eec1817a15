"""The time that can be spared, spread over waves and lanes so that the expected saving is largest. Money stays whole.

Waiting is nearly free: a row that was canceled is not billed, and one that finished is kept. What waiting costs is
time, which later waves could have used. The law: times are rounded against us, so that real time is always still
possible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lowtide.money import Nanos
from lowtide.routing.moments import collect_seconds, hasten_at, reserve
from lowtide.routing.terms import Lot, Route, RouteRules, TurnaroundRange
from lowtide.routing.turnarounds import independent

CELLS = 48  # parts into which the time until the deadline is cut; twice as many route no better
PARTS = 1_000_000  # a chance is a whole number of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The best lane for the next wave, until when it may wait, and what is expected to be saved over all waves."""

    route: Route
    hasten_at: datetime
    then: Route
    saved: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """A cheap lane of one wave on the grid of cells: chances in parts, times in cells.

    ``arrived[c]``: that a given answer is here after c cells. ``closed[c]``: that the slowest batch comes in cell c.
    """

    route: Route
    saving: int
    arrived: tuple[int, ...]
    closed: tuple[int, ...]


def spread_time(
    waves: Sequence[Lot],
    usual: Mapping[Route, TurnaroundRange],
    rules: RouteRules,
    *,
    deadline_at: datetime,
    now: datetime,
) -> Spread | None:
    """Spread the time that can be spared over the waves, so that the expected saving is largest.

    From the last wave back: with so much time to spare, each lane may be waited for so long; what comes early leaves
    its time, and the time kept for its own real-time run, to the waves after it. Times are rounded against us. ``None``
    where real time itself leaves no margin. ``usual`` has every cheap lane that is offered, each wave is offered in
    real time.
    """
    total = int((deadline_at - now).total_seconds())
    cell = max(1, -(-total // CELLS))
    reserves = [reserve(wave.realtime_seconds, 1, rules) for wave in waves]
    spare = total - rules.margin_seconds - sum(reserves)
    if spare < 0:
        return None
    last = hasten_at(
        deadline_at=deadline_at,
        remaining_requests=waves[0].requests,
        remaining_waves=len(waves),
        realtime_seconds=sum(wave.realtime_seconds for wave in waves),
        cancel_seconds=rules.cancel_seconds,
        rules=rules,
    )
    later = [0] * (CELLS + 1)
    for number in reversed(range(len(waves))):
        collect = collect_seconds(waves[number].requests, rules)
        lost = -(-(rules.cancel_seconds + collect) // cell)
        gained = (reserves[number] - collect) // cell  # negative where collecting takes longer
        bests = _best_waits(later, _lanes(waves[number], usual, rules, cell), lost, gained, rules)
        later = [best.worth for best in bests]
    best = bests[spare // cell]
    if best.route is Route.REALTIME or last <= now:
        return Spread(route=Route.REALTIME, hasten_at=now, then=Route.REALTIME, saved=Nanos(best.worth))
    until = last if best.longest else min(last, now + timedelta(seconds=best.wait * cell))
    return Spread(route=best.route, hasten_at=until, then=best.then, saved=Nanos(best.worth))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """The best way to spend time on a wave. ``longest``: waiting any longer would not leave time to change lanes."""

    worth: int
    route: Route = Route.REALTIME
    wait: int = 0
    then: Route = Route.REALTIME
    longest: bool = False


def _best_waits(later: Sequence[int], lanes: Sequence[_Lane], lost: int, gained: int, rules: RouteRules) -> list[_Best]:
    """For each amount of time to spare, in cells: lane, wait and what to fall back to, with the largest saving.

    ``later`` is what the waves after this one save, by the time left to them. Lanes are taken dearest first, and each
    falls back to the best of those before it. In doubt the longer wait.
    """
    found = [_Best(worth=worth) for worth in later]
    early = [later[min(max(left + gained, 0), CELLS)] for left in range(CELLS + 1)]
    for lane in lanes:
        found = [_best_wait(spare, found, later, early, lane, lost, rules) for spare in range(CELLS + 1)]
    return found


def _best_wait(
    spare: int,
    found: Sequence[_Best],
    later: Sequence[int],
    early: Sequence[int],
    lane: _Lane,
    lost: int,
    rules: RouteRules,
) -> _Best:
    """The best for one amount of time: without this lane, or waiting in it for as long as pays.

    ``early`` is what the later waves save when this one closes with so much time left.
    """
    least = rules.chance_min_percent * PARTS
    best, most = None, found[spare].worth
    done = 0  # parts times the worth of what follows, summed over the cells in which the wave closes
    open_parts = PARTS
    for wait in range(1, spare - lost + 1):
        closed, arrived, left = lane.closed[wait], lane.arrived[wait], spare - wait
        done += closed * early[left]
        open_parts -= closed
        # What has not arrived saves in the lane it falls back to; ``found`` counts that for the whole wave.
        rest, back = found[left - lost].worth, later[left - lost]
        worth = lane.saving * arrived + done + (PARTS - arrived) * (rest - back) + open_parts * back
        if arrived * 100 >= least and worth >= most * PARTS:
            best, most = wait, worth // PARTS
    if best is None:
        return found[spare]
    then = found[spare - best - lost].route
    return _Best(worth=most, route=lane.route, wait=best, then=then, longest=best == spare - lost)


def _lanes(wave: Lot, usual: Mapping[Route, TurnaroundRange], rules: RouteRules, cell: int) -> list[_Lane]:
    """The lanes that save something on this wave, dearest first."""
    realtime = wave.offers[Route.REALTIME].likely
    made: list[_Lane] = []
    savings = {route: realtime - offer.likely for route, offer in wave.offers.items()}
    for route, saving in sorted(savings.items(), key=lambda each: (each[1], each[0])):
        if saving <= 0:
            continue
        steps = [_noticed(step, rules) for step in usual[route].steps]
        arrived = [_share(steps, edge * cell) for edge in range(CELLS + 1)]
        power = independent(route, wave.requests, rules)
        all_here = [parts**power // PARTS ** (power - 1) for parts in arrived]
        closed = [0] + [all_here[edge] - all_here[edge - 1] for edge in range(1, CELLS + 1)]
        made.append(_Lane(route=route, saving=saving, arrived=tuple(arrived), closed=tuple(closed)))
    return made


def _share(steps: Sequence[float], seconds: float) -> int:
    """The chance, in parts, that it takes no longer; straight lines between the quantiles, never the last half step."""
    if seconds < steps[0]:
        return int(PARTS * seconds / steps[0] / (2 * len(steps)))
    for at in range(1, len(steps)):
        if seconds < steps[at]:
            within = (seconds - steps[at - 1]) / (steps[at] - steps[at - 1])
            return int(PARTS * (at - 0.5 + within) / len(steps))
    return int(PARTS * (len(steps) - 0.5) / len(steps))


def _noticed(took: timedelta, rules: RouteRules) -> float:
    """Seconds until an end is seen: an old batch is looked at less often (B8)."""
    seconds = took.total_seconds()
    return seconds + min(seconds / 12, rules.poll_seconds_max)
