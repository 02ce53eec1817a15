"""``routing``: each rule alone, in their order; turnarounds from few and many. Laws: ``properties/test_routing_laws``."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lowtide.money import Nanos
from lowtide.routing import (
    PRIOR,
    Choice,
    Lot,
    Offer,
    Route,
    RouteRules,
    TurnaroundBasis,
    TurnaroundRange,
    TurnaroundSeen,
    Wish,
    batch_count,
    batch_size,
    choose,
    closed_with,
    corrected,
    drained_at,
    hasten_at,
    misses,
    part_of,
    turnaround,
    window_turnaround,
)

RULES = RouteRules()
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
CENTS = {Route.REALTIME: 100, Route.WINDOW_2H: 70, Route.WINDOW_8H: 60, Route.BATCH: 50}
BOTH = (Route.REALTIME, Route.BATCH)
EVERY = tuple(CENTS)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def lot(requests: int = 500, *, sold: Sequence[Route] = BOTH, seconds: int = 300, waves: int = 1) -> Lot:
    """A request costs a dollar in real time and less elsewhere, at most twice that."""
    return Lot(
        requests=requests,
        offers={
            route: Offer(
                likely=Nanos(requests * CENTS[route] * 10**7), ceiling=Nanos(requests * CENTS[route] * 2 * 10**7)
            )
            for route in sold
        },
        realtime_seconds=seconds,
        waves=waves,
    )


def seen(
    took: timedelta, *, provider: str = "p", model: str = "m", requests: int = 100, hour: int = 6, ended: bool = True
) -> TurnaroundSeen:
    return TurnaroundSeen(provider=provider, model=model, requests=requests, hour=hour, took=took, ended=ended)


def usual(*earlier: TurnaroundSeen, requests: int = 100) -> TurnaroundRange:
    return turnaround(earlier, provider="p", model="m", requests=requests, hour=6)


def chosen(
    *lots: Lot,
    route: Route = Route.AUTO,
    urgent: bool = False,
    within: timedelta | None = None,
    took: timedelta | None = None,
    headroom: int | None = None,
    run_requests: int | None = None,
    rules: RouteRules = RULES,
) -> Choice:
    """Choose; ``took`` is how long fifty earlier batches took, ``headroom`` is in dollars."""
    earlier = () if took is None else (seen(took),) * 50
    return choose(
        Wish(route=route, urgent=urgent, deadline_at=None if within is None else NOW + within),
        lots or (lot(),),
        {Route.BATCH: usual(*earlier)},
        rules,
        None if headroom is None else Nanos(headroom * 10**9),
        NOW,
        run_requests=run_requests,
    )


# How long a batch takes


def test_without_history_the_prior_is_stated() -> None:
    found = usual()
    assert (found.basis, found.batches) == (TurnaroundBasis.PRIOR, 0)
    assert (found.half, found.nine_in_ten, found.worst) == (minutes(24), minutes(180), minutes(1440))
    assert found.steps == PRIOR


def test_much_history_outweighs_the_prior_and_few_batches_do_not() -> None:
    many = usual(*[seen(minutes(300))] * 50)
    assert (many.half, many.basis, many.batches) == (minutes(300), TurnaroundBasis.MEASURED, 50)
    one = usual(seen(minutes(300)))
    assert one.basis is TurnaroundBasis.PRIOR
    assert minutes(24) < one.half < minutes(60)


def test_another_provider_tells_nothing() -> None:
    assert usual(*[seen(minutes(300), provider="other")] * 50) == usual()


@pytest.mark.parametrize(
    "far", [{"model": "other"}, {"hour": 18}, {"requests": 100_000}], ids=["model", "hour", "size"]
)
def test_what_is_nearer_weighs_more(far: dict[str, str]) -> None:
    near, other = seen(minutes(10)), seen(minutes(100), **far)  # type: ignore[arg-type]
    assert usual(*[near, other] * 20).half == minutes(10)
    assert usual(*[seen(minutes(10), **far), seen(minutes(100))] * 20).half == minutes(100)  # type: ignore[arg-type]


def test_hours_are_near_across_midnight() -> None:
    late = [seen(minutes(10), hour=23), seen(minutes(100), hour=12)] * 20
    assert turnaround(late, provider="p", model="m", requests=100, hour=0).half == minutes(10)


def test_newer_batches_weigh_more() -> None:
    assert usual(*[seen(minutes(10))] * 60, *[seen(minutes(100))] * 60).half == minutes(10)
    assert usual(*[seen(minutes(100))] * 60, *[seen(minutes(10))] * 60).half == minutes(100)


def test_size_does_not_decide() -> None:
    """294 requests were seen to finish before 10 (V9): what was seen of the many holds for the few."""
    assert usual(*[seen(minutes(5), requests=294)] * 30, requests=10).half == minutes(5)


def test_a_batch_that_is_still_out_lengthens_the_range() -> None:
    ended = [seen(minutes(10))] * 10
    assert usual(*[seen(minutes(10), ended=False)] * 10, *ended).half > usual(*ended).half
    stuck = usual(*[seen(timedelta(days=2), ended=False)] * 30)
    assert stuck.half > timedelta(days=2)


def test_windows_may_be_missed() -> None:
    for route, hours in ((Route.WINDOW_2H, 2), (Route.WINDOW_8H, 8)):
        found = window_turnaround(route)
        assert found.half < timedelta(hours=hours) < found.worst == timedelta(hours=2 * hours)
        assert found.basis is TurnaroundBasis.PRIOR


# What the user forces


@pytest.mark.parametrize("route", [Route.REALTIME, Route.BATCH])
def test_what_is_forced_stands(route: Route) -> None:
    choice = chosen(lot(10_000 if route is Route.REALTIME else 1), route=route, urgent=True, headroom=0)
    assert (choice.route, choice.hasten_at, choice.blocked) == (route, None, "")
    assert choice.reason.endswith("as asked.")


def test_a_forced_batch_never_moves_and_says_that_the_deadline_may_be_missed() -> None:
    choice = chosen(route=Route.BATCH, within=minutes(600))
    assert (choice.route, choice.hasten_at, choice.sure) == (Route.BATCH, None, False)
    assert "may be missed" in choice.reason


def test_a_forced_lane_that_is_not_sold_is_blocked_and_has_no_cost() -> None:
    choice = chosen(lot(), lot(sold=EVERY), route=Route.WINDOW_2H)
    assert choice.blocked.startswith(
        "the 2 h window is not sold for every request of this run: it takes OpenAI's Responses"
    )
    assert (choice.likely, choice.ceiling) == (None, None)


def test_waves_that_share_no_lane_are_blocked() -> None:
    assert chosen(lot(sold=[Route.BATCH]), lot(sold=[Route.REALTIME])).blocked


def test_urgent_work_goes_in_real_time_where_that_is_sold() -> None:
    assert chosen(lot(10_000), urgent=True, within=minutes(6000)).route is Route.REALTIME
    assert chosen(lot(10_000, sold=[Route.BATCH]), urgent=True).route is Route.BATCH


# What the size says (B10)


@pytest.mark.parametrize(
    ("requests", "route", "batches"),
    [
        (1, Route.REALTIME, 0),
        (49, Route.REALTIME, 0),
        (50, Route.BATCH, 1),
        (1000, Route.BATCH, 1),
        (1001, Route.BATCH, 2),
        (5000, Route.BATCH, 5),
        (10**6, Route.BATCH, 10),
    ],
)
def test_size_is_the_default_without_a_deadline(requests: int, route: Route, batches: int) -> None:
    choice = chosen(lot(requests))
    assert (choice.route, choice.batches) == (route, batches)
    assert choice.sure
    assert batch_count(requests, RULES) == max(1, batches)


def test_size_looks_at_the_whole_run_and_never_at_one_wave() -> None:
    assert chosen(lot(30), lot(30)).route is Route.BATCH
    assert chosen(lot(10), run_requests=60).route is Route.BATCH
    assert chosen(lot(10), run_requests=49).route is Route.REALTIME


def test_size_does_not_count_against_a_deadline() -> None:
    assert chosen(lot(10, seconds=5), within=minutes(600), took=minutes(5)).route is Route.BATCH


def test_sizes_are_settings() -> None:
    rules = RouteRules(realtime_below=5, one_batch_through=10)
    assert chosen(lot(5), rules=rules).route is Route.BATCH
    assert chosen(lot(95), rules=rules).batches == 10


@pytest.mark.parametrize(
    ("sold", "expected"),
    [
        ([Route.REALTIME], Route.REALTIME),
        ([Route.REALTIME, Route.WINDOW_2H], Route.WINDOW_2H),
        (EVERY, Route.BATCH),
        ([Route.BATCH], Route.BATCH),
    ],
)
def test_the_cheapest_lane_that_is_sold(sold: list[Route], expected: Route) -> None:
    assert chosen(lot(500, sold=sold)).route is expected


# What the budget covers


def test_the_budget_turns_a_small_run_into_a_batch() -> None:
    assert chosen(lot(40), headroom=40).route is Route.REALTIME
    choice = chosen(lot(40), headroom=39)
    assert choice.route is Route.BATCH
    assert choice.reason == "A batch: the budget does not cover real time."


def test_where_the_budget_covers_nothing_the_route_stays() -> None:
    assert chosen(lot(40), headroom=1).route is Route.REALTIME
    assert chosen(lot(500), headroom=1).route is Route.BATCH
    nothing = chosen(lot(500), within=minutes(16), headroom=1)
    assert (nothing.route, nothing.sure) == (Route.REALTIME, False)
    assert nothing.reason.endswith("; the budget covers no lane.")


def test_a_deadline_that_needs_real_time_and_a_budget_that_does_not_cover_it() -> None:
    choice = chosen(lot(40), within=minutes(10), headroom=30)
    assert (choice.route, choice.hasten_at, choice.sure) == (Route.BATCH, None, False)
    assert choice.reason == "A batch: the budget does not cover real time, so the deadline may be missed."


def test_moves_that_the_budget_does_not_cover_are_not_promised() -> None:
    assert chosen(within=minutes(600), headroom=500).sure
    choice = chosen(within=minutes(600), headroom=499)
    assert choice.route is Route.BATCH
    assert choice.hasten_at is not None
    assert not choice.sure
    assert choice.reason.endswith("as far as the budget covers it.")


# What the deadline allows


def test_a_batch_is_waited_for_until_the_last_safe_moment() -> None:
    choice = chosen(within=minutes(120), took=minutes(20))
    # 2 h less 10 min of draining, 31 s of collecting, 5 min in real time and three quarters more, 30 s a wave, 5 min.
    assert choice.hasten_at == NOW + minutes(120) - timedelta(seconds=600 + 31 + 525 + 30 + 300)
    assert (choice.route, choice.hasten_to, choice.sure, choice.misses) == (Route.BATCH, Route.REALTIME, True, False)
    assert choice.reason == (
        "A batch: half come back within 20 min, and what is not back by 2026-11-22 07:35 UTC moves to real time."
    )
    assert choice.likely is not None
    assert 250 * 10**9 < choice.likely < 300 * 10**9
    assert choice.ceiling == 1000 * 10**9
    assert choice.expected_at.half_at == NOW + minutes(20)
    assert choice.expected_at.nine_in_ten_at <= NOW + minutes(120)


def test_a_prior_says_that_it_is_one() -> None:
    assert "half come back within 24 min, we suppose, and" in chosen(within=minutes(120)).reason


def test_no_time_to_change_lanes_means_real_time() -> None:
    choice = chosen(within=minutes(16))
    assert (choice.route, choice.hasten_at, choice.sure, choice.misses) == (Route.REALTIME, None, True, False)
    assert choice.likely == 500 * 10**9


def test_a_batch_that_hardly_ever_makes_it_is_not_tried() -> None:
    assert chosen(within=minutes(60), took=minutes(300)).route is Route.REALTIME
    assert chosen(within=minutes(60), took=minutes(30)).route is Route.BATCH


def test_less_than_the_margin_is_not_promised() -> None:
    choice = chosen(within=minutes(6))
    assert (choice.route, choice.sure, choice.misses) == (Route.REALTIME, False, False)


def test_a_deadline_that_even_real_time_misses_is_said_before_a_cent_is_spent() -> None:
    choice = chosen(within=minutes(3))
    assert (choice.route, choice.sure, choice.misses) == (Route.REALTIME, False, True)
    assert choice.reason == "In real time: even so the deadline is missed by about 2 min."
    assert misses([lot(seconds=301)], deadline_at=NOW + minutes(5), now=NOW)
    assert not misses([lot(seconds=100, waves=2), lot(seconds=200)], deadline_at=NOW + minutes(5), now=NOW)


def test_a_passed_deadline_is_missed() -> None:
    assert chosen(within=-minutes(100)).misses
    assert chosen(within=-minutes(100)).reason.endswith("missed by about 105 min.")


def test_without_real_time_nothing_can_be_hastened() -> None:
    choice = chosen(lot(sold=[Route.BATCH]), within=minutes(600))
    assert (choice.route, choice.hasten_at, choice.sure) == (Route.BATCH, None, False)


def test_several_batches_take_as_long_as_their_slowest() -> None:
    one, ten = chosen(lot(1000)), chosen(lot(10_000))
    assert one.expected_at.half_at == NOW + minutes(24)
    assert ten.expected_at.half_at > one.expected_at.half_at


# Waves


def test_waves_take_one_turnaround_each() -> None:
    assert chosen(lot(waves=3)).expected_at.half_at == NOW + 3 * minutes(24)


def test_time_is_spent_on_the_wave_that_saves_most() -> None:
    large, small = lot(1000, seconds=60), lot(5, seconds=20)
    within, took = minutes(65), minutes(35)
    first = chosen(large, small, within=within, took=took)
    assert first.route is Route.BATCH
    later = chosen(small, large, within=within, took=took)
    assert later.route is Route.REALTIME
    assert later.reason == "In real time: that leaves later waves the time for a cheaper lane."
    assert later.likely is not None
    assert later.likely < 1005 * 10**9
    assert later.hasten_at is None
    assert later.sure


def test_an_early_wave_leaves_time_for_the_later_ones() -> None:
    alone = chosen(lot(), within=minutes(240), took=minutes(60))
    of_three = chosen(lot(waves=3, requests=1500, seconds=900), within=minutes(240), took=minutes(60))
    assert alone.hasten_at is not None
    assert of_three.hasten_at is not None
    assert of_three.hasten_at < alone.hasten_at


def test_a_lot_of_three_waves_is_three_lots() -> None:
    each = chosen(lot(), lot(), lot(), within=minutes(240))
    assert chosen(lot(requests=1500, seconds=900, waves=3), within=minutes(240)) == each


def test_the_cost_that_is_said_is_the_cost_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair of turnarounds of two waves, lived through: the range's own steps are the truth here.

    Cut as coarsely as in earnest, what is said is up to 7 % dearer: times are rounded against us.
    """
    monkeypatch.setattr("lowtide.routing.spread.CELLS", 192)
    rules = RouteRules(poll_seconds_max=0)
    told = usual(*[seen(minutes(number)) for number in range(5, 125, 3)])
    lanes = {Route.BATCH: told}

    def expected(wish: Wish, lots: Sequence[Lot], now: datetime) -> float:
        if not lots:
            return 0.0
        choice = choose(wish, lots, lanes, rules, None, now)
        realtime, batch = lots[0].offers[Route.REALTIME].likely, lots[0].offers[Route.BATCH].likely
        in_realtime = timedelta(seconds=lots[0].realtime_seconds)
        if choice.hasten_at is None:
            return realtime + expected(wish, lots[1:], now + in_realtime)
        total = 0.0
        for took in told.steps:
            back_at = now + took + timedelta(seconds=31)
            if back_at <= choice.hasten_at:
                total += batch + expected(wish, lots[1:], back_at)
            else:
                moved_at = choice.hasten_at + timedelta(seconds=rules.cancel_seconds + 31)
                total += realtime + expected(wish, lots[1:], moved_at + in_realtime)
        return total / len(told.steps)

    for within in (90, 150, 210):
        wish = Wish(deadline_at=NOW + minutes(within))
        for lots in ([lot()], [lot(200), lot(900)], [lot(900, seconds=900), lot(200)]):
            said = choose(wish, lots, lanes, rules, None, NOW).likely
            assert said is not None
            assert said == pytest.approx(expected(wish, lots, NOW), rel=0.025)


def test_more_batches_leave_less_time_to_later_waves() -> None:
    one, ten = RouteRules(one_batch_through=10_000), RouteRules(one_batch_through=1000)
    with_one = chosen(lot(10_000), lot(10_000), within=minutes(150), took=minutes(45), rules=one)
    with_ten = chosen(lot(10_000), lot(10_000), within=minutes(150), took=minutes(45), rules=ten)
    assert with_one.likely is not None
    assert with_ten.likely is not None
    assert with_one.likely < with_ten.likely


def test_a_lane_that_was_tried_for_this_wave_is_still_there_for_the_next() -> None:
    moved, later = lot(sold=[Route.REALTIME]), lot()
    choice = chosen(moved, later, within=minutes(240), took=minutes(20))
    assert (choice.route, choice.hasten_at) == (Route.REALTIME, None)
    assert choice.reason == "In real time: that leaves later waves the time for a cheaper lane."
    assert choice.likely is not None
    assert choice.likely < 800 * 10**9
    assert choice.expected_at.half_at > NOW + minutes(20)
    covered = chosen(moved, later, within=minutes(240), took=minutes(20), headroom=800)
    assert (covered.route, covered.sure) == (Route.REALTIME, False)
    assert covered.reason.endswith("for a cheaper lane, which the budget needs.")


# OpenAI's windows


def test_what_is_stuck_falls_back_to_a_window_first() -> None:
    choice = chosen(lot(sold=EVERY), within=timedelta(hours=20), took=minutes(30))
    assert (choice.route, choice.hasten_to) == (Route.BATCH, Route.WINDOW_8H)
    assert choice.hasten_at is not None
    assert NOW + minutes(40) < choice.hasten_at < NOW + timedelta(hours=16)
    assert "moves to the 8 h window" in choice.reason
    plain = chosen(lot(), within=timedelta(hours=20), took=minutes(30))
    assert choice.likely is not None
    assert plain.likely is not None
    assert choice.likely < plain.likely


def test_a_window_alone_is_left_in_time() -> None:
    choice = chosen(lot(sold=[Route.REALTIME, Route.WINDOW_2H]), within=minutes(100))
    assert (choice.route, choice.hasten_to, choice.sure) == (Route.WINDOW_2H, Route.REALTIME, True)
    assert choice.hasten_at is not None
    assert choice.hasten_at < NOW + minutes(90)


def test_every_lane_has_a_turnaround_of_its_own_where_none_is_told() -> None:
    wish = Wish(deadline_at=NOW + minutes(120))
    told = choose(wish, [lot()], {Route.BATCH: usual()}, RULES, None, NOW)
    assert choose(wish, [lot()], {}, RULES, None, NOW) == told


# The last safe moment


def test_the_last_safe_moment_counts_all_that_comes_after_it() -> None:
    def last(requests: int = 500, waves: int = 1, seconds: int = 300, cancel: int = 600) -> timedelta:
        return NOW - hasten_at(
            deadline_at=NOW,
            remaining_requests=requests,
            remaining_waves=waves,
            realtime_seconds=seconds,
            cancel_seconds=cancel,
            rules=RULES,
        )

    assert last() == timedelta(seconds=600 + 31 + 525 + 30 + 300)
    assert last(cancel=0) == last() - timedelta(seconds=600)
    assert last(waves=3) == last() + timedelta(seconds=60)
    assert last(requests=10_000) == last() + timedelta(seconds=19)
    assert last(seconds=304) == last() + timedelta(seconds=7)


def test_what_is_called_back_is_here_after_the_drain_and_the_download() -> None:
    assert drained_at(NOW, 500, RULES) == NOW + timedelta(seconds=600 + 31)


# What is left


@pytest.mark.parametrize(("requests", "size"), [(1, 1), (1000, 1000), (1001, 501), (2500, 834), (100_000, 10_000)])
def test_the_batches_of_a_run_are_about_equal(requests: int, size: int) -> None:
    assert batch_size(requests, RULES) == size
    assert -(-requests // size) == batch_count(requests, RULES)


def test_a_part_of_a_lot_is_never_counted_too_small() -> None:
    whole = lot(3, seconds=100)
    part = part_of(whole, 2)
    assert part.requests == 2
    assert part.offers[Route.BATCH] == Offer(likely=Nanos(10**9), ceiling=Nanos(2 * 10**9))
    assert part.realtime_seconds == 67
    assert part_of(whole, 3) == whole
    assert part_of(whole, 0).realtime_seconds == 0


@pytest.mark.parametrize(
    ("told", "took", "seconds"),
    [(0, 0, 300), (600, 600, 300), (600, 1260, 600), (600, 270, 150), (600, 10**6, 1200), (10**6, 0, 75)],
)
def test_seconds_are_corrected_by_what_was_seen_within_bounds(told: int, took: int, seconds: int) -> None:
    assert corrected(lot(seconds=300), told_seconds=told, took_seconds=took).realtime_seconds == seconds


def test_a_lane_closes_with_all_that_are_slower() -> None:
    assert closed_with(Route.BATCH) == {Route.BATCH}
    assert closed_with(Route.WINDOW_8H) == {Route.BATCH, Route.WINDOW_8H}
    assert closed_with(Route.WINDOW_2H) == {Route.BATCH, Route.WINDOW_8H, Route.WINDOW_2H}
