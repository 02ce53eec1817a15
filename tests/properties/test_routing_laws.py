"""Whatever batches do, a deadline that was promised is met, and a cheap lane is never dearer than real time.

The adversary here says how long each batch takes, when rows finish, how long a provider drains, and how slow real time
is inside its margin. What it may not do is what no promise covers: real time slower than the margin allows.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lowtide.money import Nanos
from lowtide.routing import (
    PRIOR,
    Choice,
    Lot,
    Offer,
    Route,
    RouteRules,
    TurnaroundSeen,
    Wish,
    choose,
    hasten_at,
    turnaround,
)

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
PARTS = {Route.REALTIME: 100, Route.WINDOW_2H: 70, Route.WINDOW_8H: 60, Route.BATCH: 50}
CHEAP = (Route.WINDOW_2H, Route.WINDOW_8H, Route.BATCH)
DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What truly becomes of one wave. ``slow`` is in percent of the margin, ``done`` the percent finished by then."""

    requests: int
    seconds: int
    took: dict[Route, int]
    drain: int
    slow: int
    done: int


FATES = st.builds(
    Fate,
    requests=st.integers(1, 5_000),
    seconds=st.integers(1, 3_000),
    took=st.dictionaries(st.sampled_from(CHEAP), st.integers(1, 4 * 3600) | st.integers(1, 3 * DAY)),
    drain=st.integers(0, RouteRules().cancel_seconds) | st.just(RouteRules().cancel_seconds),
    slow=st.integers(0, 100) | st.just(100),
    done=st.integers(0, 100) | st.just(0),
)
SEEN = st.lists(
    st.builds(
        TurnaroundSeen,
        provider=st.sampled_from(["p", "q"]),
        model=st.sampled_from(["m", "n"]),
        requests=st.integers(0, 100_000),
        hour=st.integers(0, 23),
        took=st.integers(0, 2 * DAY).map(lambda seconds: timedelta(seconds=seconds)),
        ended=st.booleans(),
    ),
    max_size=30,
)
RULES = st.builds(
    RouteRules,
    margin_percent=st.integers(0, 60),
    margin_seconds=st.integers(0, 600),
    wave_seconds=st.integers(0, 60),
    chance_min_percent=st.integers(0, 50),
)


def lot(fate: Fate, requests: int, lanes: frozenset[Route]) -> Lot:
    return Lot(
        requests=requests,
        offers={
            route: Offer(likely=Nanos(requests * PARTS[route]), ceiling=Nanos(3 * requests * PARTS[route]))
            for route in lanes
        },
        realtime_seconds=-(-fate.seconds * requests // fate.requests),
    )


def decide(
    fates: list[Fate], requests: int, lanes: frozenset[Route], seen: list[TurnaroundSeen], rules: RouteRules,
    *, deadline_at: datetime, now: datetime,
) -> Choice:  # fmt: skip
    lots = [lot(fates[0], requests, lanes)]
    lots += [lot(fate, fate.requests, frozenset({Route.REALTIME, *fate.took})) for fate in fates[1:]]
    batch = turnaround(seen, provider="p", model="m", requests=requests, hour=now.hour)
    return choose(Wish(deadline_at=deadline_at), lots, {Route.BATCH: batch}, rules, None, now)


def carried_out(
    fates: list[Fate], seen: list[TurnaroundSeen], rules: RouteRules, deadline_at: datetime
) -> tuple[datetime, int]:
    """Live through it; when it was over and what it cost."""
    now, paid = NOW, 0
    for number, fate in enumerate(fates):
        left, lanes = fate.requests, frozenset({Route.REALTIME, *fate.took})
        while left:
            choice = decide(fates[number:], left, lanes, seen, rules, deadline_at=deadline_at, now=now)
            collect = timedelta(seconds=rules.collect_seconds + left // rules.collect_requests_per_second)
            if choice.route is Route.REALTIME:
                seconds = -(-fate.seconds * left // fate.requests) * (100 * 100 + rules.margin_percent * fate.slow)
                now += timedelta(seconds=seconds // 10_000 + rules.wave_seconds)
                paid += left * PARTS[Route.REALTIME]
                break
            assert choice.hasten_at is not None
            assert choice.hasten_at > now, "a lane is entered only when there is time in it"
            back_at = now + timedelta(seconds=fate.took[choice.route])
            # Whatever has ended by the last look is kept, canceled or not.
            in_time = back_at <= choice.hasten_at
            kept = left if in_time else left * fate.done // 100
            now = (back_at if in_time else choice.hasten_at + timedelta(seconds=fate.drain)) + collect
            now += timedelta(seconds=rules.wave_seconds if kept == left else 0)
            paid += kept * PARTS[choice.route]
            left -= kept
            lanes = frozenset(route for route in lanes if PARTS[route] > PARTS[choice.route])
    return now, paid


@given(st.lists(FATES, min_size=1, max_size=3), SEEN, RULES, st.integers(60, DAY) | st.integers(60, 7200))
def test_a_deadline_that_was_promised_is_met_whatever_batches_do(
    fates: list[Fate], seen: list[TurnaroundSeen], rules: RouteRules, given_seconds: int
) -> None:
    deadline_at = NOW + timedelta(seconds=given_seconds)
    lanes = frozenset({Route.REALTIME, *fates[0].took})
    first = decide(fates, fates[0].requests, lanes, seen, rules, deadline_at=deadline_at, now=NOW)
    assert first.misses is (sum(fate.seconds for fate in fates) > given_seconds)
    over_at, paid = carried_out(fates, seen, rules, deadline_at)
    assert paid <= sum(fate.requests for fate in fates) * PARTS[Route.REALTIME]
    if first.sure:
        assert not first.misses
        assert over_at <= deadline_at, f"promised for {deadline_at}, over at {over_at}"


@given(st.lists(FATES, min_size=1, max_size=3), SEEN, RULES, st.integers(60, DAY))
def test_what_a_choice_says_of_money_is_between_the_cheapest_lane_and_real_time(
    fates: list[Fate], seen: list[TurnaroundSeen], rules: RouteRules, given_seconds: int
) -> None:
    lanes = frozenset({Route.REALTIME, *fates[0].took})
    deadline_at = NOW + timedelta(seconds=given_seconds)
    choice = decide(fates, fates[0].requests, lanes, seen, rules, deadline_at=deadline_at, now=NOW)
    requests = sum(fate.requests for fate in fates)
    assert choice.likely is not None
    assert choice.ceiling is not None
    assert requests * PARTS[Route.BATCH] <= choice.likely <= requests * PARTS[Route.REALTIME] <= choice.ceiling
    assert NOW <= choice.expected_at.half_at <= choice.expected_at.nine_in_ten_at
    assert choice.reason.endswith(".")
    assert choice.reason.count(".") == 1


@given(st.lists(FATES, min_size=1, max_size=2), SEEN, st.integers(60, DAY), st.integers(-(10**7), 10**7))
def test_only_the_time_between_counts_not_the_day(
    fates: list[Fate], seen: list[TurnaroundSeen], given_seconds: int, later: int
) -> None:
    shift = timedelta(seconds=later)
    seen = [replace(each, hour=0) for each in seen]  # the hour may count; it is the same here
    lots = [lot(fate, fate.requests, frozenset({Route.REALTIME, *fate.took})) for fate in fates]
    lane = {Route.BATCH: turnaround(seen, provider="p", model="m", requests=9, hour=0)}
    wish = Wish(deadline_at=NOW + timedelta(seconds=given_seconds))
    moved = Wish(deadline_at=NOW + shift + timedelta(seconds=given_seconds))
    here = choose(wish, lots, lane, RouteRules(), None, NOW)
    there = choose(moved, lots, lane, RouteRules(), None, NOW + shift)
    assert (here.route, here.hasten_to, here.likely, here.sure) == (
        there.route,
        there.hasten_to,
        there.likely,
        there.sure,
    )
    assert (here.hasten_at and here.hasten_at + shift) == there.hasten_at


@given(st.lists(FATES, min_size=1, max_size=3), st.integers(0, 10**6) | st.none(), st.booleans())
def test_a_forced_lane_is_never_changed(fates: list[Fate], headroom: int | None, urgent: bool) -> None:
    lots = [lot(fate, fate.requests, frozenset({Route.REALTIME, *fate.took})) for fate in fates]
    for route in PARTS:
        wish = Wish(route=route, urgent=urgent, deadline_at=NOW + timedelta(hours=1))
        choice = choose(wish, lots, {}, RouteRules(), None if headroom is None else Nanos(headroom), NOW)
        sold = all(route in each.offers for each in lots)
        assert (choice.route, choice.hasten_at, bool(choice.blocked)) == (route, None, not sold)


@given(SEEN, st.integers(0, 100_000), st.integers(0, 23))
def test_a_range_of_turnarounds_grows_and_lies_within_what_was_seen(
    seen: list[TurnaroundSeen], requests: int, hour: int
) -> None:
    found = turnaround(seen, provider="p", model="m", requests=requests, hour=hour)
    assert list(found.steps) == sorted(found.steps)
    assert len(found.steps) == len(PRIOR)
    assert found.steps[0] <= found.half <= found.nine_in_ten <= found.worst
    ours = [each for each in seen if each.provider == "p"]
    assert found.batches == len(ours)
    longest = max([PRIOR[-1], *(each.took * (1 if each.ended else 2) for each in ours)])
    assert min([PRIOR[0], *(each.took for each in ours)]) <= found.steps[0]
    assert found.worst <= longest


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(0, 10**5), st.integers(0, 10**6), RULES)
def test_the_last_safe_moment_is_later_the_less_is_left(
    requests: int, waves: int, seconds: int, landed: int, rules: RouteRules
) -> None:
    def last(requests: int, waves: int, seconds: int) -> datetime:
        return hasten_at(
            deadline_at=NOW,
            remaining_requests=requests,
            remaining_waves=waves,
            realtime_seconds=seconds,
            cancel_seconds=rules.cancel_seconds,
            rules=rules,
        )

    before = last(requests, waves, seconds)
    assert before < NOW - timedelta(seconds=rules.cancel_seconds + seconds)
    assert before <= last(max(0, requests - landed), waves, seconds)
    assert before <= last(requests, waves - 1, max(0, seconds - landed))
