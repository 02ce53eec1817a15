"""Which lane buys what is left of a run, and until when it may be waited for. One judgement, pure.

Costs, limits and earlier turnarounds are told; nothing here prices, packs, paces or looks at a clock. The law: what the
user forces stands; a deadline is missed only where even real time could not meet it, or where the budget does not cover
it, and then the choice says so. Rules in order: force, urgency, deadline, size (B10), budget, price.

Waiting in a cheap lane is nearly free: a row that was canceled is not billed, and one that finished is kept. So a
deadline does not ask "will the batch be back in time" but "until when can we still change our mind": that is the
moment of hastening. Where later waves wait for earlier ones, the time that can be spared is spread over the waves by
what each would save, and counted anew at each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import log10

from lowtide.money import Nanos

STEPS = 20  # quantiles that describe a turnaround, at 2.5 %, 7.5 % ... 97.5 %
CELLS = 48  # parts into which the time that can be spared is cut
PARTS = 1_000_000  # a chance is a whole number of these


class Route(StrEnum):
    """How requests are bought, dearest first; the windows are OpenAI's for Responses bodies. ``auto`` is only a wish."""

    REALTIME = "realtime"
    WINDOW_2H = "2h"
    WINDOW_8H = "8h"
    BATCH = "batch"
    AUTO = "auto"


class TurnaroundBasis(StrEnum):
    """What a range of turnarounds mostly rests on."""

    MEASURED = "measured"
    PRIOR = "prior"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnaroundSeen:
    """One earlier batch (V9). ``hour`` is the UTC hour of its creation, ``took`` from creation to end by its provider.

    ``ended`` is False for one that is still out: ``took`` is its age, and all that is known is that it takes longer.
    """

    provider: str
    model: str
    requests: int
    hour: int
    took: timedelta
    ended: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnaroundRange:
    """How long one batch will take: half of them, nine in ten, 99 in 100 take no longer.

    ``steps`` are evenly spaced quantiles, growing. ``batches`` is how many earlier ones went in; where they are few,
    ``basis`` is the stated prior.
    """

    half: timedelta
    nine_in_ten: timedelta
    worst: timedelta
    steps: tuple[timedelta, ...]
    batches: int
    basis: TurnaroundBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for: a lane or ``auto``, urgency, a deadline (UTC)."""

    route: Route = Route.AUTO
    urgent: bool = False
    deadline_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a lot costs in one lane, in nano-dollars."""

    likely: Nanos
    ceiling: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What is left to buy of one wave, or of ``waves`` alike ones in a row, all models together.

    ``offers`` has the lanes that are sold and allowed, and no other. ``requests``, offers and ``realtime_seconds`` (how long
    all of it takes in real time inside the provider's limits) are of all its waves together.
    """

    requests: int
    offers: Mapping[Route, Offer]
    realtime_seconds: int
    waves: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRules:
    """Numbers of the judgement; every one is a setting.

    ``realtime_below`` and ``one_batch_through`` are B10's: fewer requests go in real time, up to the second one batch is
    made, above it several, ``batches_max`` at most unless the provider's limits ask for more. The rest is time kept
    back: a provider drains a canceled batch for up to ten minutes (OpenAI's batch guide, Oct 2026, checked 2026-11-21; Anthropic names no
    figure), answers are collected, a wave is rendered, real time may be slower than the limits say by
    ``margin_percent``: measured, 75 and five minutes cost half a percent of the real-time price more than 25 and two, and
    missed none of 956 deadlines instead of 4, in worlds where real time is up to 2.5 times too slow (bench/deadlines.py).
    ``chance_min_percent`` is how likely a cheap lane must be in time for it to be tried.
    """

    realtime_below: int = 50
    one_batch_through: int = 1000
    batches_max: int = 10
    cancel_seconds: int = 600
    collect_seconds: int = 30
    collect_requests_per_second: int = 500
    wave_seconds: int = 30
    margin_seconds: int = 300
    margin_percent: int = 75
    chance_min_percent: int = 15
    poll_seconds_max: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """When a run is done: by ``half_at`` in half of all cases, by ``nine_in_ten_at`` in nine of ten."""

    half_at: datetime
    nine_in_ten_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The lane of the first lot's next wave, and what follows from it.

    ``hasten_at`` is when what is still out of this wave moves to ``hasten_to``; ``None`` when it never does. That is real time,
    or a window that still leaves time for it: then choose again, without the lanes that were tried. ``likely`` is the
    expected cost of all lots, moves included; ``ceiling`` the most. ``sure`` says that the deadline (if any) holds even if
    nothing comes back from a cheap lane; ``misses`` that even real time cannot meet it. ``blocked`` says why it cannot
    be bought this way at all, empty when it can; a lane
    that is not sold has no cost (``None``). ``batches`` is how many batches this wave makes.
    """

    route: Route
    reason: str
    expected_at: Ready
    hasten_at: datetime | None
    hasten_to: Route
    likely: Nanos | None
    ceiling: Nanos | None
    batches: int
    sure: bool
    misses: bool
    blocked: str = ""


def _minutes(*figures: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=figure) for figure in figures)


PRIOR_WEIGHT = 4  # the prior counts as so many batches
PRIOR = _minutes(2, 3, 4, 5, 7, 8, 10, 13, 16, 20, 24, 29, 35, 42, 52, 65, 90, 180, 480, 1440)
"""How long a batch takes when nothing was measured: half within 22 minutes, nine in ten within 3 hours, one in forty a day.

Providers promise 24 hours; "most end in under an hour" (Anthropic's guide, 2026-08); a reseller reports a median of 7
minutes and a ninetieth percentile of one hour over 230,000 batches (OpenRouter, 2026); multi-day stalls are reported for
one provider. The tail is longer than those say, because a deadline rests on it.
"""
WINDOWS = {Route.WINDOW_2H: timedelta(hours=2), Route.WINDOW_8H: timedelta(hours=8)}
"""OpenAI's background windows (its background guide, checked 2026-11-21). What happens when one is missed is not known."""


def turnaround(
    seen: Sequence[TurnaroundSeen], *, provider: str, model: str, requests: int, hour: int
) -> TurnaroundRange:
    """Say how long the next batch will take, from earlier ones of the same provider (newest first) and the prior.

    The nearer in model, hour, age and size, the more one weighs; none weighs nothing, and size weighs least: the
    documents saw 294 requests finish before 10 (V9).
    """
    known = [each for each in seen if each.provider == provider]
    pool = [(took, PRIOR_WEIGHT / len(PRIOR), True) for took in PRIOR]
    measured = 0.0
    for rank, each in enumerate(known):
        weight = _nearness(each, model=model, requests=requests, hour=hour) * 0.5 ** (rank / 50)
        pool.append((each.took, weight, each.ended))
        measured += weight
    basis = TurnaroundBasis.MEASURED if measured >= PRIOR_WEIGHT / 2 else TurnaroundBasis.PRIOR
    return _range(pool, batches=len(known), basis=basis)


def window_turnaround(route: Route) -> TurnaroundRange:
    """Say how long a background window takes: spread evenly over it, one in ten up to twice as long.

    Nothing is measured or documented beyond the window's name; a missed window is planned for.
    """
    window = WINDOWS[route]
    pool = [(window * part / 18, 1.0, True) for part in range(1, 19)]
    pool += [(window * 3 / 2, 1.0, True), (window * 2, 1.0, True)]
    return _range(pool, batches=0, basis=TurnaroundBasis.PRIOR)


def batch_count(requests: int, rules: RouteRules) -> int:
    """Say into how many batches a wave is cut (B10). A provider's limits may ask for more; ``packing`` knows them."""
    return max(1, min(rules.batches_max, -(-requests // rules.one_batch_through)))


def hasten_at(
    *,
    deadline_at: datetime,
    remaining_requests: int,
    remaining_waves: int,
    realtime_seconds: int,
    cancel_seconds: int,
    rules: RouteRules,
) -> datetime:
    """Give the last safe moment to cancel what is out and buy the rest in real time.

    ``remaining_waves`` includes the one that is out, ``realtime_seconds`` is for everything that is left. Before it come: the
    provider's drain, collecting what was paid for, the rest in real time, a margin. The more
    has landed, the later it is.
    """
    kept = cancel_seconds + _collect_seconds(remaining_requests, rules)
    kept += _reserve(realtime_seconds, remaining_waves, rules) + rules.margin_seconds
    return deadline_at - timedelta(seconds=kept)


def misses(lots: Sequence[Lot], *, deadline_at: datetime, now: datetime) -> bool:
    """Say whether even real time cannot meet the deadline: the plan says so before a cent is spent. No margin is kept."""
    return now + timedelta(seconds=sum(lot.realtime_seconds for lot in lots)) > deadline_at


def choose(
    wish: Wish,
    lots: Sequence[Lot],
    turnarounds: Mapping[Route, TurnaroundRange],
    rules: RouteRules,
    headroom: Nanos | None,
    now: datetime,
    *,
    run_requests: int | None = None,
) -> Choice:
    """Choose the lane of the next wave, given all that is left, in order of waves. Ask again at each wave.

    ``turnarounds`` are of one batch (or window) by lane, of the slowest model; a lane without one gets its prior.
    ``headroom`` is what the budget still covers with this run's own holds given back, ``None`` for no limit. ``run_requests`` counts the whole run, sent parts
    included: the size rule never looks at less (B10). Once a wave is out its ``hasten_at`` stands: asking again for it
    would take what is out for something not yet sent.
    """
    assert lots, "nothing is left to route"
    assert now.tzinfo is not None, "now is an instant"
    waves = _waves(lots)
    sold = [route for route in Route if all(route in lot.offers for lot in lots)]
    sums = {
        route: Offer(
            likely=Nanos(sum(lot.offers[route].likely for lot in lots)),
            ceiling=Nanos(sum(lot.offers[route].ceiling for lot in lots)),
        )
        for route in sold
    }
    case = _Case(waves=waves, sums=sums, turnarounds=turnarounds, rules=rules, now=now, deadline_at=wish.deadline_at)
    if wish.route is not Route.AUTO:
        return _forced(case, wish.route)
    if not sold:
        return case.choice(Route.REALTIME, "No lane", blocked="no lane sells every wave of this run")
    if wish.urgent and Route.REALTIME in sold:
        return case.choice(Route.REALTIME, "In real time: it is urgent")
    if wish.deadline_at is not None:
        return _by_deadline(case, headroom)
    requests = run_requests if run_requests is not None else sum(lot.requests for lot in lots)
    return _by_size(case, requests, headroom)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """All that a choice is made from."""

    waves: tuple[Lot, ...]
    sums: Mapping[Route, Offer]
    turnarounds: Mapping[Route, TurnaroundRange]
    rules: RouteRules
    now: datetime
    deadline_at: datetime | None

    @property
    def sold(self) -> frozenset[Route]:
        """The lanes in which every wave is sold."""
        return frozenset(self.sums)

    def likely(self, route: Route) -> Nanos:
        return self.sums[route].likely

    def usual(self, route: Route) -> TurnaroundRange:
        found = self.turnarounds.get(route)
        if found is not None:
            return found
        if route in WINDOWS:
            return window_turnaround(route)
        return turnaround((), provider="", model="", requests=0, hour=0)

    def cheapest(self) -> Route:
        return min(sorted(self.sold), key=lambda route: (self.likely(route), self.span(route)))

    def affordable(self, headroom: Nanos | None) -> list[Route]:
        return [route for route in Route if route in self.sold and (headroom is None or self.likely(route) <= headroom)]

    def span(self, route: Route) -> timedelta:
        """How long all waves take in that lane, in nine of ten cases each."""
        if route is Route.REALTIME:
            return timedelta(seconds=sum(wave.realtime_seconds for wave in self.waves))
        return self.usual(route).nine_in_ten * len(self.waves)

    def ready(self, route: Route, *, moves: bool) -> Ready:
        """When all is done: halves of the waves added up, and their nine in ten as if they came together."""
        if route is Route.REALTIME:
            half = late = self.span(route)
        else:
            usual, half, late = self.usual(route), timedelta(0), timedelta(0)
            for wave in self.waves:
                power = _power(route, wave.requests, self.rules)
                half += _slowest(usual, 0.5, power)
                late += _slowest(usual, 0.9, power)
        if moves and self.deadline_at is not None:
            end = self.deadline_at - self.now
            half, late = min(half, end), min(late, end)
        return Ready(half_at=self.now + half, nine_in_ten_at=self.now + late)

    def misses(self) -> bool:
        if self.deadline_at is None:
            return False
        if Route.REALTIME not in self.sold:
            return False
        return misses(self.waves, deadline_at=self.deadline_at, now=self.now)

    def choice(
        self,
        route: Route,
        reason: str,
        *,
        spread: "_Spread | None" = None,
        sure: bool | None = None,
        blocked: str = "",
    ) -> Choice:
        """Close. Where lanes may be changed, the expected cost is real time less what is expected to be saved."""
        missed = self.misses()
        moves = spread is not None and spread.route is not Route.REALTIME
        likely, ceiling = None, None
        if spread is not None:
            likely = Nanos(self.likely(Route.REALTIME) - spread.saved)
            ceiling = max(offer.ceiling for offer in self.sums.values())
        elif route in self.sold:
            likely, ceiling = self.sums[route].likely, self.sums[route].ceiling
        if sure is None:
            sure = self.deadline_at is None or (not missed and (route is Route.REALTIME or moves))
        return Choice(
            route=route,
            reason=f"{reason}.",
            expected_at=self.ready(route, moves=spread is not None),
            hasten_at=spread.hasten_at if spread is not None and moves else None,
            hasten_to=spread.then if spread is not None else Route.REALTIME,
            likely=likely,
            ceiling=ceiling,
            batches=batch_count(self.waves[0].requests, self.rules) if route is Route.BATCH else 0,
            sure=sure,
            misses=missed,
            blocked=blocked,
        )


def _forced(case: _Case, route: Route) -> Choice:
    """What the user forces, stands: it is never moved to another lane."""
    lane = _NAMES[route]
    if route not in case.sold:
        return case.choice(
            route, f"{lane}, as asked", blocked=f"{lane.lower()} is not sold for every request of this run"
        )
    if case.deadline_at is not None and route is not Route.REALTIME:
        sure = False
        late = f"{lane}, as asked: nothing moves to real time, so the deadline may be missed"
        return case.choice(route, late, sure=sure)
    return case.choice(route, f"{lane}, as asked")


def _by_size(case: _Case, requests: int, headroom: Nanos | None) -> Choice:
    """Without a deadline: B10's default, unless the budget covers only another lane."""
    rules = case.rules
    small = requests < rules.realtime_below and Route.REALTIME in case.sold
    wanted = Route.REALTIME if small else case.cheapest()
    covered = case.affordable(headroom)
    if wanted not in covered and covered:
        cheapest = min(covered, key=case.likely)
        return case.choice(cheapest, f"{_NAMES[cheapest]}: the budget does not cover {_NAMES[wanted].lower()}")
    if small:
        return case.choice(wanted, f"In real time: fewer than {rules.realtime_below} requests and no deadline")
    if wanted is not Route.BATCH:
        return case.choice(wanted, f"{_NAMES[wanted]}: the cheapest lane that is sold, and no deadline")
    parts = batch_count(case.waves[0].requests, rules)
    number = "One batch" if parts == 1 else f"{parts} batches"
    return case.choice(wanted, f"{number}: the cheapest lane, and no deadline")


def _by_deadline(case: _Case, headroom: Nanos | None) -> Choice:
    """The cheapest lane from which the deadline can still be met, should nothing come back in time."""
    assert case.deadline_at is not None
    if Route.REALTIME not in case.sold:
        best = min(sorted(case.sold), key=lambda route: (case.span(route), case.likely(route)))
        return case.choice(best, f"{_NAMES[best]}: real time is not sold, so the deadline may be missed", sure=False)
    if case.misses():
        over = case.now + case.span(Route.REALTIME) - case.deadline_at
        return _covered(case, headroom, f"In real time: even so the deadline is missed by about {_show(over)}")
    found = _spread(case)
    if found is None:
        return _covered(case, headroom, "In real time, with less than the usual margin before the deadline", sure=False)
    if found.route is Route.REALTIME and found.saved:
        reason = "In real time: that leaves later waves the time for a cheaper lane"
        return _covered(case, headroom, reason, spread=found)
    if found.route is Route.REALTIME:
        return _covered(case, headroom, "In real time: no cheaper lane leaves time to change lanes before the deadline")
    usual = case.usual(found.route)
    basis = f"half come back within {_show(usual.half)}"
    if usual.basis is TurnaroundBasis.PRIOR:
        basis += ", we suppose"
    moves = f"{_NAMES[found.route]}: {basis}, and what is not back by {found.hasten_at:%Y-%m-%d %H:%M} UTC moves to"
    reason = f"{moves} {_NAMES[found.then].lower()}"
    if headroom is not None and case.likely(Route.REALTIME) > headroom:
        return case.choice(found.route, f"{reason}, as far as the budget covers it", spread=found, sure=False)
    return case.choice(found.route, reason, spread=found)


def _covered(
    case: _Case, headroom: Nanos | None, reason: str, *, spread: "_Spread | None" = None, sure: bool | None = None
) -> Choice:
    """Real time, unless the budget covers only slower lanes: then the quickest of those, and the deadline may be missed."""
    covered = case.affordable(headroom)
    if Route.REALTIME in covered or not covered:
        return case.choice(Route.REALTIME, reason, spread=spread, sure=sure)
    best = min(covered, key=case.span)
    short = f"{_NAMES[best]}: the budget does not cover real time, so the deadline may be missed"
    return case.choice(best, short, sure=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
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


def _spread(case: _Case) -> _Spread | None:
    """Spread the time that can be spared over the waves, so that the expected saving is largest.

    From the last wave back: with so much time to spare, each lane may be waited for so long; what comes early leaves its
    time, and the time kept for its own real-time run, to the waves after it. Times are rounded against us. ``None`` where
    real time itself leaves no margin.
    """
    assert case.deadline_at is not None
    rules, waves = case.rules, case.waves
    total = int((case.deadline_at - case.now).total_seconds())
    cell = max(1, -(-total // CELLS))
    reserves = [_reserve(wave.realtime_seconds, 1, rules) for wave in waves]
    spare = total - rules.margin_seconds - sum(reserves)
    if spare < 0:
        return None
    last = hasten_at(
        deadline_at=case.deadline_at,
        remaining_requests=waves[0].requests,
        remaining_waves=len(waves),
        realtime_seconds=sum(wave.realtime_seconds for wave in waves),
        cancel_seconds=rules.cancel_seconds,
        rules=rules,
    )
    later = [0] * (CELLS + 1)
    for number in reversed(range(len(waves))):
        collect = _collect_seconds(waves[number].requests, rules)
        lost = -(-(rules.cancel_seconds + collect) // cell)
        gained = (reserves[number] - collect) // cell  # negative where collecting takes longer
        bests = _best_waits(later, _lanes(case, waves[number], cell), lost, gained, rules)
        later = [best.worth for best in bests]
    best = bests[spare // cell]
    if best.route is Route.REALTIME or last <= case.now:
        return _Spread(route=Route.REALTIME, hasten_at=case.now, then=Route.REALTIME, saved=Nanos(best.worth))
    until = last if best.longest else min(last, case.now + timedelta(seconds=best.wait * cell))
    return _Spread(route=best.route, hasten_at=until, then=best.then, saved=Nanos(best.worth))


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


def _lanes(case: _Case, wave: Lot, cell: int) -> list[_Lane]:
    """The lanes that save something on this wave, dearest first."""
    realtime = wave.offers[Route.REALTIME].likely
    made: list[_Lane] = []
    savings = {route: realtime - wave.offers[route].likely for route in case.sold}
    for route, saving in sorted(savings.items(), key=lambda each: (each[1], each[0])):
        if saving <= 0:
            continue
        steps = [_noticed(step, case.rules) for step in case.usual(route).steps]
        arrived = [_share(steps, edge * cell) for edge in range(CELLS + 1)]
        power = _power(route, wave.requests, case.rules)
        all_here = [parts**power // PARTS ** (power - 1) for parts in arrived]
        closed = [0] + [all_here[edge] - all_here[edge - 1] for edge in range(1, CELLS + 1)]
        made.append(_Lane(route=route, saving=saving, arrived=tuple(arrived), closed=tuple(closed)))
    return made


def _power(route: Route, requests: int, rules: RouteRules) -> int:
    """As how many independent ones the batches of a wave count: 2, 4, 8 of one minute are alike, and count as 2, 3, 4."""
    return batch_count(requests, rules).bit_length() if route is Route.BATCH else 1


def _slowest(usual: TurnaroundRange, share: float, power: int) -> timedelta:
    """How long the slowest of so many independent ones takes, in that share of all cases."""
    if power == 1 and share in (0.5, 0.9):
        return usual.half if share == 0.5 else usual.nine_in_ten
    return usual.steps[min(STEPS - 1, int(share ** (1 / power) * STEPS))]


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


def _waves(lots: Iterable[Lot]) -> tuple[Lot, ...]:
    """One lot a wave."""
    made: list[Lot] = []
    for lot in lots:
        assert lot.waves >= 1, "a lot has at least one wave"
        if lot.waves == 1:
            made.append(lot)
            continue
        share = Lot(
            requests=-(-lot.requests // lot.waves),
            offers={
                route: Offer(likely=Nanos(-(-offer.likely // lot.waves)), ceiling=Nanos(-(-offer.ceiling // lot.waves)))
                for route, offer in lot.offers.items()
            },
            realtime_seconds=-(-lot.realtime_seconds // lot.waves),
        )
        made.extend([share] * lot.waves)
    return tuple(made)


def _reserve(realtime_seconds: int, waves: int, rules: RouteRules) -> int:
    """Seconds kept for real time: what the limits say and a margin for retries, and the rendering of each wave."""
    return realtime_seconds + -(-realtime_seconds * rules.margin_percent // 100) + waves * rules.wave_seconds


def _collect_seconds(requests: int, rules: RouteRules) -> int:
    return rules.collect_seconds + -(-requests // rules.collect_requests_per_second)


def _nearness(each: TurnaroundSeen, *, model: str, requests: int, hour: int) -> float:
    """How much one earlier batch tells about the next: 1 for its like, never nothing."""
    of_model = 1.0 if each.model == model else 0.5
    apart = abs(each.hour - hour) % 24
    of_hour = 1 / (1 + min(apart, 24 - apart) / 8)
    of_size = 1 / (1 + abs(log10(max(each.requests, 1) / max(requests, 1))) / 4)
    return of_model * of_hour * of_size


def _range(pool: Sequence[tuple[timedelta, float, bool]], *, batches: int, basis: TurnaroundBasis) -> TurnaroundRange:
    """Weighted quantiles of (time, weight, ended). What has not ended gives its weight to all that took longer."""
    ordered = sorted(pool, key=lambda each: (each[0], not each[2]))
    longest = max((took for took, _, ended in ordered if ended), default=timedelta(0))
    total = left = sum(weight for _, weight, _ in ordered)
    factor = 1.0
    points: list[tuple[timedelta, float]] = []
    for took, weight, ended in ordered:
        left -= weight
        if ended:
            points.append((took, weight * factor))
        elif took < longest:
            factor *= (left + weight) / left
        else:
            points.append((took * 2, weight * factor))  # nothing known took longer: it may take its age again
    return TurnaroundRange(
        half=_quantile(points, total * 0.5),
        nine_in_ten=_quantile(points, total * 0.9),
        worst=_quantile(points, total * 0.99),
        steps=tuple(_quantile(points, total * (step + 0.5) / STEPS) for step in range(STEPS)),
        batches=batches,
        basis=basis,
    )


def _quantile(points: Sequence[tuple[timedelta, float]], mass: float) -> timedelta:
    passed = 0.0
    for took, weight in points:
        passed += weight
        if passed >= mass:
            return took
    return points[-1][0]


def _show(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


_NAMES = {
    Route.REALTIME: "Real time",
    Route.BATCH: "A batch",
    Route.WINDOW_2H: "The 2 h window",
    Route.WINDOW_8H: "The 8 h window",
}
