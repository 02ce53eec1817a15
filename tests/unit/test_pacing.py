"""``pacing``: one step at a time, with instants and headers made up here; whole lives are in ``properties``."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from lowtide.pacing import Measure, OutputCounted, Pacer, PacingRules, Seen, Weight
from lowtide.usage import Usage

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CALL = Weight(input_tokens=1_000, output_tokens=200)
USED = Usage(input_tokens=1_000, output_tokens=200)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def pacer(in_flight_max: int = 1_000, **limits: int) -> Pacer:
    return Pacer(PacingRules(in_flight_max=in_flight_max, limits={Measure(name): of for name, of in limits.items()}))


def said(
    measure: Measure, remaining: int | None, limit: int | None = 600, reset_at: datetime | None = None
) -> list[Seen]:
    return [Seen(measure=measure, limit=limit, remaining=remaining, reset_at=reset_at)]


def burst(subject: Pacer, now: datetime, weight: Weight = CALL, most: int = 10_000) -> int:
    """Start calls while one may start now; how many."""
    for number in range(most):
        if subject.earliest(weight, now) != now:
            return number
        subject.started(weight, now)
    return most


def end_all(subject: Pacer, now: datetime, seen: Iterable[Seen] = (), weight: Weight = CALL) -> None:
    while subject.in_flight:
        subject.finished(weight, USED, list(seen), now)


def idle(subject: Pacer, now: datetime, remaining: int, measure: Measure = Measure.REQUESTS, limit: int = 600) -> None:
    """One call alone, whose answer says what remains."""
    at = subject.earliest(CALL, now)
    assert at is not None
    subject.started(CALL, at)
    subject.finished(CALL, USED, said(measure, remaining, limit), at)


def waits(subject: Pacer, now: datetime, weight: Weight = CALL) -> float:
    at = subject.earliest(weight, now)
    assert at is not None
    return (at - now).total_seconds()


def left(subject: Pacer, measure: Measure) -> float:
    """What is believed to remain."""
    return subject._limits[measure].level / 60_000_000


# ---------------------------------------------------------------- limits that are known


def test_it_starts_empty_handed_and_at_the_limits_own_rate() -> None:
    subject = pacer(requests=600)
    now = NOW
    for _ in range(20):
        assert waits(subject, now) == pytest.approx(0.1, abs=1e-5)
        now += seconds(0.1)
        subject.started(CALL, now)


def test_the_slowest_limit_decides() -> None:
    assert waits(pacer(requests=600, input_tokens=60_000), NOW) == pytest.approx(1.0, abs=0.01)
    assert waits(pacer(requests=30, input_tokens=60_000), NOW) == pytest.approx(2.0, abs=0.01)


def test_a_full_bucket_is_used_in_bursts_of_ten_seconds() -> None:
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=599)
    assert burst(subject, NOW + seconds(60)) == 100
    assert waits(subject, NOW + seconds(60)) == pytest.approx(0.1, abs=1e-5)


def test_a_header_is_believed_when_more_remains_than_we_knew() -> None:
    subject = pacer(requests=600)
    now = NOW + seconds(0.1)
    assert waits(subject, NOW) > 0
    idle(subject, NOW, remaining=599)
    later = now + seconds(5)
    assert burst(subject, later) >= 50, "the pace of five seconds, and no level in the way"


def test_a_call_above_the_burst_waits_for_the_whole_of_it_and_one_above_the_limit_for_a_full_bucket() -> None:
    subject = pacer(input_tokens=60_000)
    assert waits(subject, NOW, Weight(input_tokens=30_000, output_tokens=1)) == pytest.approx(30, abs=3)
    huge = Weight(input_tokens=500_000, output_tokens=1)
    at = subject.earliest(huge, NOW)
    assert at is not None
    assert seconds(50) < at - NOW <= seconds(60)
    subject.started(huge, at)
    assert waits(subject, at) > 60, "and is paid back"


def test_in_flight_has_a_limit_and_only_an_end_makes_room() -> None:
    subject = pacer(in_flight_max=3, requests=60_000)
    idle(subject, NOW, remaining=59_999, limit=60_000)
    now = NOW + seconds(10)
    assert burst(subject, now, most=3) == 3
    assert subject.in_flight == 3
    assert subject.earliest(CALL, now) is None
    subject.finished(CALL, USED, (), now)
    assert subject.earliest(CALL, now) == now


# ---------------------------------------------------------------- limits that are not


def test_where_no_limit_is_known_a_few_go_first_and_answers_open_the_door() -> None:
    subject = pacer()
    assert burst(subject, NOW) == 4
    assert subject.earliest(CALL, NOW) is None
    subject.finished(CALL, USED, (), NOW)
    assert burst(subject, NOW) == 3
    end_all(subject, NOW)
    assert burst(subject, NOW) > 12


def test_the_first_answer_tells_the_limits_and_what_is_in_flight_counts() -> None:
    subject = pacer()
    assert burst(subject, NOW) == 4
    subject.finished(CALL, USED, said(Measure.REQUESTS, 6, limit=60), NOW)
    assert left(subject, Measure.REQUESTS) == 3
    # Six remain; three in flight may not be counted yet, three are the cushion, and the pace begins empty.
    assert waits(subject, NOW) == pytest.approx(1.0, abs=0.01)
    assert burst(subject, NOW + seconds(1)) == 1


def test_a_header_without_a_limit_says_nothing() -> None:
    subject = pacer()
    burst(subject, NOW)
    subject.finished(CALL, USED, said(Measure.REQUESTS, 0, limit=None), NOW)
    assert subject.earliest(CALL, NOW) == NOW


@pytest.mark.parametrize(("limit", "least", "most"), [(1_200, 195, 201), (60, 9, 10)])
def test_a_limit_that_changes_is_followed(limit: int, least: int, most: int) -> None:
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=599)
    idle(subject, NOW + seconds(1), remaining=limit - 1, limit=limit)
    assert least <= burst(subject, NOW + seconds(120)) <= most


@pytest.mark.parametrize(("refilled_in", "holds"), [(1, 121), (20, 311), (58, 600), (-5, 111)])
def test_how_much_a_bucket_holds_is_read_from_when_it_is_whole_again(refilled_in: int, holds: int) -> None:
    subject = pacer(requests=600)
    subject.started(CALL, NOW)
    subject.finished(CALL, USED, said(Measure.REQUESTS, 100, reset_at=NOW + seconds(refilled_in)), NOW)
    assert waits(subject, NOW + seconds(300)) == 0
    assert left(subject, Measure.REQUESTS) == holds
    assert burst(subject, NOW + seconds(300)) == min(100, holds // 2)


def test_an_empty_bucket_does_not_say_what_it_holds() -> None:
    subject = pacer(requests=600)
    subject.started(CALL, NOW)
    subject.finished(CALL, USED, said(Measure.REQUESTS, 100, reset_at=NOW + seconds(1)), NOW)
    subject.started(CALL, NOW)
    subject.finished(CALL, USED, said(Measure.REQUESTS, 0, reset_at=NOW + seconds(50)), NOW)
    waits(subject, NOW + seconds(300))
    assert left(subject, Measure.REQUESTS) == 121


def small_bucket() -> Pacer:
    """A limit of 600 whose bucket holds 101, taken for 121."""
    subject = pacer(requests=600)
    for number in range(6):
        now = NOW + seconds(6 * number)
        waits(subject, now)
        subject.started(CALL, now)
        subject.finished(CALL, USED, said(Measure.REQUESTS, 100, reset_at=now + seconds(1)), now)
    return subject


def test_a_small_bucket_that_is_full_is_not_taken_for_one_that_others_drain() -> None:
    limit = small_bucket()._limits[Measure.REQUESTS]
    assert limit.capacity == 121
    assert limit.drain == 0
    assert limit.cushion == 30
    limit.flow(limit.at + 60_000_000)
    assert limit._pace_rate(300) == 600, "and while it is full, others do not matter"


def test_the_cushion_of_a_small_bucket_is_a_quarter_of_it() -> None:
    subject = pacer(requests=600)
    subject.started(CALL, NOW)
    subject.finished(CALL, USED, said(Measure.REQUESTS, 10, reset_at=NOW), NOW)
    assert subject._limits[Measure.REQUESTS].cushion == 5


def test_a_refused_burst_of_a_bucket_smaller_than_two_seconds_is_not_lengthened() -> None:
    subject = pacer(requests=600)
    subject.started(CALL, NOW)
    subject.refused(CALL, 1, NOW, 0.0, said(Measure.REQUESTS, 3, reset_at=NOW))
    limit = subject._limits[Measure.REQUESTS]
    assert (limit.capacity, limit.burst) == (14, 7), "ten would be a second's"
    subject.started(CALL, NOW + seconds(2))
    subject.finished(CALL, USED, said(Measure.REQUESTS, 30, reset_at=NOW + seconds(2)), NOW + seconds(2))
    assert limit.capacity == 41, "and it is followed when it turns out to hold more"


# ---------------------------------------------------------------- what counts


def learned(rules: PacingRules, usage: Usage, weight: Weight = CALL) -> Pacer:
    """A pacer that has seen two hundred such answers, one every ten seconds."""
    subject = Pacer(rules)
    for number in range(200):
        now = NOW + seconds(10 * number)
        subject.started(weight, now)
        subject.finished(weight, usage, (), now)
    return subject


LONG_AFTER = NOW + timedelta(hours=2)


def test_estimates_are_corrected_by_what_answers_counted() -> None:
    limits = {Measure.INPUT_TOKENS: 600_000}
    rules = PacingRules(in_flight_max=1_000, limits=limits)
    exact = burst(learned(rules, USED), LONG_AFTER)
    double = burst(learned(rules, Usage(input_tokens=2_000, output_tokens=1)), LONG_AFTER)
    assert exact == pytest.approx(100, abs=3)
    assert double == pytest.approx(50, abs=3)


def test_the_first_short_answers_are_not_taken_for_all() -> None:
    subject = pacer(output_tokens=600_000)
    long = Weight(input_tokens=1, output_tokens=1_000)
    subject.started(long, NOW)
    subject.started(long, NOW)
    subject.finished(long, Usage(input_tokens=1, output_tokens=10), (), NOW + seconds(1))
    subject.started(long, NOW + seconds(1))
    held = subject._limits[Measure.OUTPUT_TOKENS].held - 1_000
    assert 800 < held < 900


def test_cache_reads_are_not_counted_unless_the_provider_does() -> None:
    limits = {Measure.INPUT_TOKENS: 600_000}
    cached = Usage(input_tokens=1_000, output_tokens=1, cache_read_tokens=900)
    without = PacingRules(in_flight_max=5_000, limits=limits)
    with_them = PacingRules(in_flight_max=5_000, limits=limits, cache_reads_count=True)
    assert burst(learned(without, cached), LONG_AFTER) == pytest.approx(1_000, rel=0.1)
    assert burst(learned(with_them, cached), LONG_AFTER) == pytest.approx(100, abs=3)


def test_written_output_is_learned_and_an_output_limit_that_counts_is_not() -> None:
    limits = {Measure.OUTPUT_TOKENS: 120_000}
    short = Usage(input_tokens=1_000, output_tokens=20)
    written = learned(PacingRules(in_flight_max=5_000, limits=limits), short)
    by_limit = learned(PacingRules(in_flight_max=5_000, limits=limits, output_counted=OutputCounted.LIMIT), short)
    assert burst(by_limit, LONG_AFTER) == 100
    assert burst(written, LONG_AFTER) > 1_000


@pytest.mark.parametrize(
    ("weight", "calls"),
    [
        (Weight(input_tokens=1_000, output_tokens=200), 100),
        (Weight(input_tokens=10, output_tokens=2_000), 50),
        (Weight(input_tokens=1_000, output_tokens=1_000), 100),
    ],
)
def test_tokens_together_count_the_larger_of_input_and_output_limit(weight: Weight, calls: int) -> None:
    rules = PacingRules(
        in_flight_max=1_000,
        limits={Measure.TOKENS: 600_000},
        output_counted=OutputCounted.LIMIT,
        cache_reads_count=True,
        refusals_count=True,
        token_step=1,
    )
    subject = Pacer(rules)
    subject.earliest(weight, NOW)
    assert burst(subject, NOW + seconds(120), weight) == calls


def test_tokens_together_count_both_where_output_counts_as_written() -> None:
    subject = learned(PacingRules(in_flight_max=1_000, limits={Measure.TOKENS: 720_000}), USED)
    assert burst(subject, LONG_AFTER) == pytest.approx(100, abs=3)


def test_an_answer_that_was_lost_counts_as_estimated() -> None:
    known, lost = pacer(input_tokens=60_000), pacer(input_tokens=60_000)
    for subject in (known, lost):
        at = subject.earliest(CALL, NOW)
        assert at is not None
        subject.started(CALL, at)
    little = Usage(input_tokens=10, output_tokens=1)
    known.finished(CALL, little, (), NOW + seconds(1))
    lost.finished(CALL, None, (), NOW + seconds(1))
    assert waits(known, NOW + seconds(1)) < waits(lost, NOW + seconds(1)) == pytest.approx(1, abs=0.1)


def test_long_answers_do_not_stop_us_below_the_limit() -> None:
    """Answers of two minutes: more output in flight than a minute's limit holds, and still as many start as end."""
    weight, usage = Weight(input_tokens=10, output_tokens=1_000), Usage(input_tokens=10, output_tokens=1_000)
    subject = pacer(output_tokens=60_000)
    ends: list[datetime] = []
    now, started = NOW, 0
    while now < NOW + timedelta(minutes=12):
        at = subject.earliest(weight, now)
        assert at is not None
        if ends and ends[0] <= at:
            now = ends.pop(0)
            subject.finished(weight, usage, (), now)
            continue
        now = at
        subject.started(weight, now)
        ends.append(now + seconds(120))
        started += now >= NOW + timedelta(minutes=4)
    assert started == pytest.approx(8 * 60, rel=0.02)


def test_input_is_taken_at_the_start_and_corrected_at_the_end() -> None:
    subject = pacer(input_tokens=60_000)
    idle(subject, NOW, 50_000, Measure.INPUT_TOKENS, 60_000)
    now = NOW + seconds(1)
    waits(subject, now)
    before = left(subject, Measure.INPUT_TOKENS)
    for used in (1_500, 300):
        subject.started(CALL, now)
        held = before - left(subject, Measure.INPUT_TOKENS)
        assert held == pytest.approx(1_000, abs=300)
        remaining = said(Measure.INPUT_TOKENS, int(before - used) // 1_000 * 1_000, limit=60_000)
        subject.finished(CALL, Usage(input_tokens=used, output_tokens=1), remaining, now)
        assert before - left(subject, Measure.INPUT_TOKENS) == used
        before = left(subject, Measure.INPUT_TOKENS)


def test_output_is_taken_at_the_end_and_a_header_of_just_before_does_not_give_it_back() -> None:
    subject = pacer(output_tokens=60_000)
    idle(subject, NOW, 60_000, Measure.OUTPUT_TOKENS, 60_000)
    now = NOW + seconds(60)
    waits(subject, now)
    assert left(subject, Measure.OUTPUT_TOKENS) == 60_000
    long = Weight(input_tokens=1, output_tokens=20_000)
    subject.started(long, now)
    assert left(subject, Measure.OUTPUT_TOKENS) == 60_000
    used = Usage(input_tokens=1, output_tokens=20_000)
    subject.finished(long, used, said(Measure.OUTPUT_TOKENS, 60_000, limit=60_000), now)
    assert left(subject, Measure.OUTPUT_TOKENS) == 40_000


def test_a_full_limit_of_output_is_used_down_to_half_at_once() -> None:
    subject = pacer(output_tokens=60_000)
    idle(subject, NOW, 60_000, Measure.OUTPUT_TOKENS, 60_000)
    call = Weight(input_tokens=1, output_tokens=1_000)
    assert waits(subject, NOW, call) == 0, "though the pace has not begun"
    assert burst(subject, NOW + seconds(60), call) == 30 + 10


def test_output_that_is_still_being_written_is_left_room_for() -> None:
    """Ten seconds' worth remains and answers take a minute: what is out may use it up, so no more go."""
    subject = pacer(output_tokens=60_000)
    call = Weight(input_tokens=1, output_tokens=1_000)
    idle(subject, NOW, 60_000, Measure.OUTPUT_TOKENS, 60_000)
    for number in range(50):
        subject.started(call, NOW + seconds(number))
    used = Usage(input_tokens=1, output_tokens=1_000)
    for number in range(10):
        now = NOW + seconds(60 + number)
        subject.finished(call, used, said(Measure.OUTPUT_TOKENS, 10_000, limit=60_000), now)
    assert left(subject, Measure.OUTPUT_TOKENS) == pytest.approx(9_000, abs=2_000)
    assert waits(subject, now, call) > 0
    few = pacer(output_tokens=60_000)
    idle(few, NOW, 10_000, Measure.OUTPUT_TOKENS, 60_000)
    assert waits(few, NOW + seconds(2), call) == 0


def test_where_others_take_a_part_what_is_out_may_not_pass_what_is_refilled_meanwhile() -> None:
    subject = pacer(output_tokens=60_000)
    call = Weight(input_tokens=1, output_tokens=1_000)
    idle(subject, NOW, 60_000, Measure.OUTPUT_TOKENS, 60_000)
    now = NOW + seconds(60)
    assert burst(subject, now, call, most=20) == 20
    limit = subject._limits[Measure.OUTPUT_TOKENS]
    limit.lower(20_000)
    assert waits(subject, now, call) == 0
    limit.drain = 30_000
    limit.quiet_at = limit.at + 10_000_000
    assert waits(subject, now, call) > 5


def test_estimates_that_stray_need_more_room() -> None:
    steady, straying = pacer(input_tokens=60_000), pacer(input_tokens=60_000)
    for number in range(100):
        now = NOW + seconds(10 * number)
        for subject, used in ((steady, 1_000), (straying, 100 if number % 2 else 1_900)):
            subject.started(CALL, now)
            subject.finished(CALL, Usage(input_tokens=used, output_tokens=1), (), now)
    now += seconds(600)
    for subject in (steady, straying):
        for _ in range(5):
            subject.started(CALL, now)
        subject._limits[Measure.INPUT_TOKENS].lower(5_000)
    assert waits(steady, now) == 0
    assert waits(straying, now) > 2


def test_a_call_that_counted_less_does_not_hide_what_others_took() -> None:
    subject = pacer(input_tokens=60_000)
    idle(subject, NOW, 50_000, Measure.INPUT_TOKENS, 60_000)
    waits(subject, NOW)
    cached = Weight(input_tokens=10_000, output_tokens=1)
    subject.started(cached, NOW)
    usage = Usage(input_tokens=10_000, output_tokens=1, cache_read_tokens=10_000)
    subject.finished(cached, usage, said(Measure.INPUT_TOKENS, 42_000, limit=60_000), NOW)
    assert left(subject, Measure.INPUT_TOKENS) == 43_000


# ---------------------------------------------------------------- others on the same key


def drained(per_second: float, until: int = 60) -> tuple[Pacer, datetime, float]:
    """A second client takes so many requests a second of ten; we start what we may. Gives our own rate at the end."""
    subject = pacer(requests=600)
    now, true, started, last = NOW, 600.0, 0, 0
    while now < NOW + seconds(until):
        now += seconds(0.1)
        true = min(600.0, true + 1 - per_second / 10)
        while subject.earliest(CALL, now) == now:
            subject.started(CALL, now)
            true -= 1
            assert true >= 0, "we were refused"
            started += 1
            last += now > NOW + seconds(until - 20)
            subject.finished(CALL, USED, said(Measure.REQUESTS, int(true)), now)
    return subject, now, last / 20


@pytest.mark.parametrize("others", [0, 3, 5, 8])
def test_what_others_take_is_left_to_them(others: int) -> None:
    _, _, rate = drained(others, until=150)
    assert rate == pytest.approx(10 - others, abs=0.6)


def test_what_others_took_is_forgotten_when_nothing_is_heard_any_more() -> None:
    subject, now, _ = drained(8, until=150)
    learned = subject._limits[Measure.REQUESTS]
    assert learned.drain == pytest.approx(480, rel=0.2)
    assert burst(subject, now + seconds(4)) <= 15, "of forty"
    end_all(subject, now + seconds(4))
    assert burst(subject, now + seconds(90)) == 100
    assert learned.drain == 0


def learned_drain(remaining: int, reset_at: datetime | None = None, tries: int = 8) -> list[int]:
    """What is believed of others while each of so many headers, six seconds apart, says the same."""
    subject, now, _ = drained(8, until=150)
    limit, seen = subject._limits[Measure.REQUESTS], []
    for _ in range(tries):
        now += seconds(6)
        waits(subject, now)
        subject.started(CALL, now)
        believed = remaining if remaining >= 0 else limit.level // 60_000_000
        subject.finished(CALL, USED, said(Measure.REQUESTS, int(believed), reset_at=reset_at), now)
        seen.append(limit.drain)
    return seen


def test_a_full_bucket_shows_that_others_have_stopped() -> None:
    assert learned_drain(599)[-1] < 10


def test_what_others_took_is_tried_again_bit_by_bit_where_headers_bring_no_news() -> None:
    learned = learned_drain(-1)
    steps = [before - after for before, after in pairwise(learned) if after]
    assert steps
    assert set(steps[1:]) == {600 // 16}


def test_while_plenty_remains_it_is_used_whatever_others_take() -> None:
    _, _, rate = drained(5, until=60)
    assert rate == pytest.approx(10, abs=0.6)


def test_what_one_header_has_told_is_not_taken_off_again_for_a_later_one() -> None:
    """Others took two hundred; the next answer says so too, when as much has been refilled."""
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=400)
    waits(subject, NOW)
    first = Weight(input_tokens=1, output_tokens=1)
    subject.started(first, NOW)
    idle(subject, NOW + seconds(1), remaining=200)
    assert left(subject, Measure.REQUESTS) == pytest.approx(200, abs=12)
    waits(subject, NOW + seconds(21))
    subject.finished(first, USED, said(Measure.REQUESTS, 200), NOW + seconds(21))
    assert left(subject, Measure.REQUESTS) == pytest.approx(400, abs=15)


def test_a_late_header_from_before_changes_nothing() -> None:
    """Two hundred calls, and then the answer of the first: it was full when that one came in."""
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=599)
    first = Weight(input_tokens=1, output_tokens=1)
    now = NOW + seconds(60)
    subject.started(first, now)
    for number in range(400):
        at = subject.earliest(CALL, now)
        assert at is not None
        now = at
        subject.started(CALL, now)
        subject.finished(
            CALL, USED, said(Measure.REQUESTS, max(0, 598 - number + int((now - NOW).seconds - 60) * 10)), now
        )
    before = subject.earliest(CALL, now)
    subject.finished(first, USED, said(Measure.REQUESTS, 599), now)
    assert subject.earliest(CALL, now) == before
    assert burst(subject, now + seconds(10)) <= 101


def test_a_header_rounded_down_to_thousands_is_no_news() -> None:
    subject = pacer(input_tokens=60_000)
    now = NOW
    for _ in range(300):
        now += seconds(waits(subject, now))
        subject.started(CALL, now)
        subject.finished(CALL, USED, said(Measure.INPUT_TOKENS, 2_000, limit=60_000), now)
    assert waits(subject, now) == pytest.approx(1.0, abs=0.05)


def test_output_below_zero_is_seen_in_the_time_of_refilling() -> None:
    subject = pacer(output_tokens=60_000)
    subject.started(CALL, NOW)
    seen = said(Measure.OUTPUT_TOKENS, 0, limit=60_000, reset_at=NOW + seconds(92))  # half a limit is missing
    subject.finished(CALL, USED, seen, NOW)
    assert waits(subject, NOW) == pytest.approx(33, abs=3)


# ---------------------------------------------------------------- refusals


def test_a_time_to_wait_is_obeyed_and_spread_by_chance() -> None:
    for chance, expected in ((0.0, 30.0), (0.5, 30.75), (0.999, 31.5)):
        subject = pacer()
        burst(subject, NOW)
        subject.refused(CALL, 30, NOW, chance)
        subject.refused(CALL, 1, NOW, chance)
        assert waits(subject, NOW) == pytest.approx(expected, abs=0.01)
        assert subject.in_flight == 2


def test_a_refusal_by_a_known_limit_means_that_it_holds_this_call_by_then_and_no_more() -> None:
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=599)
    subject.started(CALL, NOW + seconds(60))
    subject.refused(CALL, 30, NOW + seconds(60), 0.0)
    assert left(subject, Measure.REQUESTS) == 1 - 300
    assert waits(subject, NOW + seconds(60)) == pytest.approx(33, abs=0.1), "and the cushion is filled first"


def test_a_second_round_of_refusals_in_a_row_halves_what_may_be_out() -> None:
    subject = pacer(requests=60_000)
    idle(subject, NOW, remaining=59_999, limit=60_000)
    now, sizes = NOW + seconds(10), []
    for _ in range(3):
        sizes.append(burst(subject, now, most=100))
        while subject.in_flight:
            subject.refused(CALL, 1, now, 0.0, said(Measure.REQUESTS, 50_000, limit=60_000))
        now += seconds(60)
    assert sizes == [100, 100, 50]


def test_a_limit_that_the_refusal_does_not_name_is_not_taken_for_empty() -> None:
    subject = pacer(requests=600, input_tokens=600_000)
    idle(subject, NOW, remaining=599)
    now = NOW + seconds(60)
    subject.started(CALL, now)
    seen = said(Measure.REQUESTS, 400) + said(Measure.INPUT_TOKENS, 0, limit=600_000)
    subject.refused(CALL, 5, now, 0.0, seen)
    tiny = Weight(input_tokens=1, output_tokens=1)
    requests_only = burst(subject, now + seconds(65), tiny)
    assert requests_only == 100
    assert waits(subject, now) >= 5


@pytest.mark.parametrize(
    ("overloaded", "expected"), [(False, [1, 2, 4, 8, 16, 20, 20]), (True, [0, 1, 2, 4, 8, 16, 20])]
)
def test_a_refusal_without_a_time_pauses_doubling_with_jitter(overloaded: bool, expected: list[float]) -> None:
    """Of overload one alone is borne."""
    subject = pacer(requests=60_000)
    now, pauses = NOW + seconds(10), []
    for _ in expected:
        now += seconds(0.1 + waits(subject, now))
        subject.started(CALL, now)
        subject.refused(CALL, None, now, 0.0, overloaded=overloaded)
        pauses.append(round(waits(subject, now), 2))
    assert pauses == expected
    later = now + seconds(30)
    subject.started(CALL, later)
    subject.finished(CALL, USED, (), later)
    for pause in expected[:2]:
        later += seconds(3)
        subject.started(CALL, later)
        subject.refused(CALL, None, later, 0.999, overloaded=overloaded)
        assert waits(subject, later) == pytest.approx(pause / 2, abs=0.01), "an answer begins it anew"


def test_a_late_refusal_after_an_answer_pauses_as_the_first_one() -> None:
    subject = pacer()
    burst(subject, NOW)
    subject.refused(CALL, None, NOW, 0.0)
    fresh = Weight(input_tokens=1, output_tokens=1)
    subject.started(fresh, NOW + seconds(5))
    subject.finished(fresh, USED, (), NOW + seconds(6))
    subject.refused(CALL, None, NOW + seconds(7), 0.0)
    assert waits(subject, NOW + seconds(7)) == 1


@pytest.mark.parametrize(("every", "may_be_out"), [(50, [400]), (12, [400]), (3, range(4, 60))])
def test_refusals_for_overload_slow_us_where_they_are_many(every: int, may_be_out: Sequence[int]) -> None:
    """One in 50 or 12 is borne; one in three makes fewer of what may be out, again and again."""
    subject = pacer(in_flight_max=400, requests=60_000)
    idle(subject, NOW, remaining=59_999, limit=60_000)
    now = NOW + seconds(10)
    for number in range(2_000):
        if not subject.in_flight:
            now += seconds(1 + waits(subject, now))
            burst(subject, now, most=400)
        if number % every:
            subject.finished(CALL, USED, (), now)
        else:
            subject.refused(CALL, None, now, 0.0, overloaded=True)
    end_all(subject, now)
    assert burst(subject, now + seconds(30), most=1_000) in may_be_out


def test_refusals_of_calls_that_were_out_together_count_once() -> None:
    subject = pacer(requests=60_000)
    idle(subject, NOW, remaining=59_999, limit=60_000)
    now = NOW + seconds(10)
    assert burst(subject, now, most=100) == 100
    for number in range(50):
        subject.refused(CALL, None, now + seconds(0.001 * number), 0.0)
    end_all(subject, now + seconds(0.1))
    assert waits(subject, now) <= 1.05
    assert burst(subject, now + seconds(2), most=1_000) == 62, (
        "half of what was out, and a quarter for each that was answered"
    )


def test_after_an_overload_the_door_opens_again() -> None:
    subject = pacer(requests=60_000)
    idle(subject, NOW, remaining=59_999, limit=60_000)
    now = NOW + seconds(10)
    burst(subject, now, most=400)
    for _ in range(4):
        while subject.in_flight:
            subject.refused(CALL, None, now, 0.0)
        now += seconds(30)
        burst(subject, now, most=400)
    sizes = []
    for _ in range(8):
        end_all(subject, now, said(Measure.REQUESTS, 50_000, limit=60_000))
        now += seconds(5)
        sizes.append(burst(subject, now, most=400))
    assert sizes[0] < 80
    assert sizes == sorted(sizes)
    assert sizes[-1] == 400


def test_a_burst_that_is_refused_while_much_remains_is_made_shorter_and_longer_again() -> None:
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=599)
    now = NOW + seconds(60)
    assert burst(subject, now) == 100
    subject.refused(CALL, 1, now, 0.0, said(Measure.REQUESTS, 500))
    end_all(subject, now, said(Measure.REQUESTS, 500))
    assert burst(subject, now + seconds(60)) == 50
    for number in range(400):
        subject.started(CALL, now + seconds(60 + number))
        subject.finished(CALL, USED, said(Measure.REQUESTS, 500), now + seconds(60 + number))
    end_all(subject, now + seconds(500), said(Measure.REQUESTS, 500))
    assert burst(subject, now + seconds(600)) == 100


@pytest.mark.parametrize(("counts", "left"), [(False, 49), (True, 9)])
def test_a_refused_call_is_given_back_unless_it_counts(counts: bool, left: int) -> None:
    subject = Pacer(PacingRules(in_flight_max=1_000, limits={Measure.REQUESTS: 600}, refusals_count=counts))
    idle(subject, NOW, remaining=599)
    now = NOW + seconds(60)
    assert burst(subject, now) == 100
    while subject.in_flight:
        subject.refused(CALL, None, now, 0.0)
    assert burst(subject, now + seconds(1)) == pytest.approx(left, abs=1)


# ---------------------------------------------------------------- clocks


def test_a_pause_does_not_grow_with_a_clock_that_was_set_back() -> None:
    """A refusal asked for half a minute, the clock was put right by a day, and nothing started for a day."""
    subject = pacer(requests=600)
    at = subject.earliest(CALL, NOW)
    assert at is not None
    subject.started(CALL, at)
    subject.refused(CALL, 30, at, 0.0)
    before = at - timedelta(days=1)
    assert 29 < waits(subject, before) < 36
    assert waits(subject, before + seconds(40)) == 0
    burst(subject, before + seconds(40), most=1)
    subject.refused(CALL, 20, before + seconds(41), 0.0)
    assert 0 < waits(subject, before + seconds(41)) < 25, "and a refusal after it slows us as before"


def test_a_clock_that_was_set_back_does_not_stop_us() -> None:
    subject = pacer(requests=600)
    idle(subject, NOW, remaining=599)
    burst(subject, NOW + seconds(60))
    back = NOW - timedelta(hours=1)
    assert waits(subject, back) <= 0.1001
    end_all(subject, back)
    assert burst(subject, back + seconds(60)) == 100


def test_a_naive_instant_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="offset"):
        pacer(requests=600).earliest(CALL, datetime(2026, 11, 22))


def test_an_end_without_a_start_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        pacer(requests=600).finished(CALL, USED, (), NOW)
