"""The rules in order: what the user forces, urgency, deadline, size, budget, price; each with its sentence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lowtide.money import Nanos
from lowtide.routing.moments import misses
from lowtide.routing.spread import Spread, spread_time
from lowtide.routing.terms import (
    Choice,
    Lot,
    Offer,
    Ready,
    Route,
    RouteRules,
    TurnaroundBasis,
    TurnaroundRange,
    Wish,
    batch_count,
)
from lowtide.routing.turnarounds import WINDOWS, independent, slowest, turnaround, window_turnaround


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
    ``headroom`` is what the budget still covers with this run's own holds given back, ``None`` for no limit.
    ``run_requests`` counts the whole run, sent parts included: the size rule never looks at less (B10). Once a wave is
    out its ``hasten_at`` stands: asking again for it would take what is out for something not yet sent. After the move,
    ask again with what is left of the wave, its offers without the lanes that were tried.
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

    def spread(self) -> Spread | None:
        assert self.deadline_at is not None
        lanes: set[Route] = {route for wave in self.waves for route in wave.offers if route is not Route.REALTIME}
        usual = {route: self.usual(route) for route in lanes}
        return spread_time(self.waves, usual, self.rules, deadline_at=self.deadline_at, now=self.now)

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

    def ready(self, route: Route, *, spread: bool) -> Ready:
        """When all is done: halves of the waves added up, and their nine in ten as if they came together.

        Where time is ``spread`` over the waves, later ones go by their cheapest lane, and the deadline ends it all.
        """
        half = late = timedelta(0)
        for number, wave in enumerate(self.waves):
            lane = min(wave.offers, key=lambda each: wave.offers[each].likely) if spread and number else route
            if lane is Route.REALTIME:
                half += timedelta(seconds=wave.realtime_seconds)
                late += timedelta(seconds=wave.realtime_seconds)
                continue
            power = independent(lane, wave.requests, self.rules)
            half += slowest(self.usual(lane), 0.5, power)
            late += slowest(self.usual(lane), 0.9, power)
        if spread and self.deadline_at is not None:
            end = self.deadline_at - self.now
            half, late = min(half, end), min(late, end)
        return Ready(half_at=self.now + half, nine_in_ten_at=self.now + late)

    def misses(self) -> bool:
        if self.deadline_at is None or Route.REALTIME not in self.sold:
            return False
        return misses(self.waves, deadline_at=self.deadline_at, now=self.now)

    def choice(
        self,
        route: Route,
        reason: str,
        *,
        spread: Spread | None = None,
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
            expected_at=self.ready(route, spread=spread is not None),
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
        blocked = f"{lane.lower()} is not sold for every request of this run"
        if route in (Route.WINDOW_2H, Route.WINDOW_8H):
            blocked += ': it takes OpenAI\'s Responses, in a batch file those that say "service_tier": "default"'
        return case.choice(route, f"{lane}, as asked", blocked=blocked)
    if case.deadline_at is not None and route is not Route.REALTIME:
        late = f"{lane}, as asked: nothing moves to real time, so the deadline may be missed"
        return case.choice(route, late, sure=False)
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
    return case.choice(wanted, "In batches: the cheapest lane, and no deadline")


def _by_deadline(case: _Case, headroom: Nanos | None) -> Choice:
    """The cheapest lane from which the deadline can still be met, should nothing come back in time."""
    assert case.deadline_at is not None
    if Route.REALTIME not in case.sold:
        best = min(sorted(case.sold), key=lambda route: (case.span(route), case.likely(route)))
        return case.choice(best, f"{_NAMES[best]}: real time is not sold, so the deadline may be missed", sure=False)
    if case.misses():
        over = case.now + case.span(Route.REALTIME) - case.deadline_at
        return _covered(case, headroom, f"In real time: even so the deadline is missed by about {_show(over)}")
    found = case.spread()
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
    case: _Case, headroom: Nanos | None, reason: str, *, spread: Spread | None = None, sure: bool | None = None
) -> Choice:
    """Real time, unless the budget covers only slower lanes: then the quickest, and the deadline may be missed."""
    covered = case.affordable(headroom)
    if headroom is None or Route.REALTIME in covered:
        return case.choice(Route.REALTIME, reason, spread=spread, sure=sure)
    if spread is not None and case.likely(Route.REALTIME) - spread.saved <= headroom:
        return case.choice(Route.REALTIME, f"{reason}, which the budget needs", spread=spread, sure=False)
    if not covered:
        return case.choice(Route.REALTIME, f"{reason}; the budget covers no lane", spread=spread, sure=False)
    best = min(covered, key=case.span)
    short = f"{_NAMES[best]}: the budget does not cover real time, so the deadline may be missed"
    return case.choice(best, short, sure=False)


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


def _show(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


_NAMES = {
    Route.REALTIME: "Real time",
    Route.BATCH: "A batch",
    Route.WINDOW_2H: "The 2 h window",
    Route.WINDOW_8H: "The 8 h window",
}
