"""Pacing keeps every limit whatever comes: the simulator's limiter is the referee, calls and latencies are drawn."""

import heapq
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.pacing import Measure, Pacer, PacingRules, Seen, Weight
from lowtide.providers.anthropic import read_rates
from lowtide.usage import Usage
from lowtide_simulator.clock import Instant, to_instant
from lowtide_simulator.errors import ApiError
from lowtide_simulator.limits import UNLIMITED, Limits, Rate, TierLimits

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = timedelta(minutes=6)

RATES = st.builds(Rate, st.integers(20, 5_000), st.integers(2_000, 2_000_000), st.integers(1_000, 400_000))
# Input, output, seconds: a call that weighs up to a fifth of a limit, as most do.
CALLS = st.lists(st.tuples(st.floats(0.0005, 0.2), st.floats(0.0005, 0.1), st.floats(0.1, 50)), min_size=1, max_size=12)


def tier(rate: Rate) -> TierLimits:
    return TierLimits(
        messages=rate,
        batch_requests_per_minute=UNLIMITED.batch_requests_per_minute,
        batch_queued_requests=UNLIMITED.batch_queued_requests,
        count_requests_per_minute=UNLIMITED.count_requests_per_minute,
    )


class Life:
    """A pacer that is never short of calls, and the referee. Time leaps from one event to the next."""

    def __init__(self, rate: Rate, calls: list[tuple[float, float, float]], *, known: bool, error: float = 1.0) -> None:
        limits = {
            Measure.REQUESTS: rate.requests,
            Measure.INPUT_TOKENS: rate.input_tokens,
            Measure.OUTPUT_TOKENS: rate.output_tokens,
        }
        self.limits = limits
        self.pacer = Pacer(PacingRules(in_flight_max=200, limits=limits if known else {}))
        self.referee = Limits(tier(rate), Instant(to_instant(NOW)))
        self.calls = [
            (
                Weight(
                    input_tokens=max(1, int(rate.input_tokens * inputs / error)),
                    output_tokens=max(1, int(rate.output_tokens * outputs)),
                ),
                max(1, int(rate.input_tokens * inputs)),
                latency,
            )
            for inputs, outputs, latency in calls
        ]
        self.used = dict.fromkeys(Measure, 0)
        self.started = 0
        self.refused = 0

    def run(self, duration: timedelta) -> "Life":
        now, end = NOW, NOW + duration
        replies: list[tuple[datetime, int]] = []
        while now < end and self.started < 700:
            weight, inputs, latency = self.calls[self.started % len(self.calls)]
            at = self.pacer.earliest(weight, now)
            assert at is not None or replies, "nobody is in flight and nobody may start"
            assert at is None or now <= at <= now + timedelta(minutes=3), "a call waits for ever"
            if at is None or (replies and replies[0][0] <= at):
                now, number = heapq.heappop(replies)
                self._reply(number, now)
                continue
            now = at
            assert self.pacer.earliest(weight, now) == now, "the instant was promised"
            try:
                self.referee.admit("any", inputs, Instant(to_instant(now)))
            except ApiError:
                self.refused += 1
            self.pacer.started(weight, now)
            heapq.heappush(replies, (now + timedelta(seconds=latency), self.started))
            self.started += 1
            self.used[Measure.REQUESTS] += 1
            self.used[Measure.INPUT_TOKENS] += inputs
        self.minutes = (now - NOW) / timedelta(minutes=1)
        return self

    def _reply(self, number: int, now: datetime) -> None:
        weight, inputs, _ = self.calls[number % len(self.calls)]
        seen = read_rates(dict(self.referee.headers("any", Instant(to_instant(now)))))
        self.referee.charge_output("any", weight.output_tokens)
        self.used[Measure.OUTPUT_TOKENS] += weight.output_tokens
        self.pacer.finished(weight, Usage(input_tokens=inputs, output_tokens=weight.output_tokens), seen, now)

    def share(self) -> float:
        return max(self.used[measure] / (limit * self.minutes) for measure, limit in self.limits.items())


@settings(max_examples=25, deadline=None)
@given(RATES, CALLS)
def test_known_limits_never_refuse_us(rate: Rate, calls: list[tuple[float, float, float]]) -> None:
    assert Life(rate, calls, known=True).run(LATER).refused == 0


@settings(max_examples=15, deadline=None)
@given(RATES, CALLS)
def test_limits_that_are_learned_never_refuse_us(rate: Rate, calls: list[tuple[float, float, float]]) -> None:
    light = [(inputs / 4, outputs / 4, latency) for inputs, outputs, latency in calls]  # four start unasked
    assert Life(rate, light, known=False).run(LATER).refused == 0


@settings(max_examples=15, deadline=None)
@given(RATES, CALLS, st.floats(0.4, 2.5))
def test_estimates_that_err_alike_never_refuse_us(
    rate: Rate, calls: list[tuple[float, float, float]], error: float
) -> None:
    light = [(inputs / 10, outputs, latency) for inputs, outputs, latency in calls]
    assert Life(rate, light, known=True, error=error).run(LATER).refused == 0


@settings(max_examples=10, deadline=None)
@given(RATES, st.floats(0.001, 0.02), st.floats(0.001, 0.02), st.floats(0.1, 10))
def test_nearly_all_of_a_known_limit_is_used(rate: Rate, inputs: float, outputs: float, latency: float) -> None:
    life = Life(rate, [(inputs, outputs, latency)], known=True).run(timedelta(minutes=20))
    # What was still being written at the end, and what a door of 200 lets through.
    door = 200 / latency * 60 * life.minutes / max(1, life.started)
    assert life.share() >= 0.98 - latency / 60 / life.minutes or door < 1.1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "end", "lost", "refuse", "wait"]),
        st.integers(0, 5_000),
        st.integers(-2_000, 70_000),
        st.floats(0, 0.999),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.booleans())
def test_whatever_headers_say_a_call_may_start_within_minutes(
    steps: list[tuple[str, int, int, float]], known: bool
) -> None:
    """Headers that lie, clocks that jump, refusals without end: nothing breaks, and nothing stands still."""
    limits = {Measure.REQUESTS: 600, Measure.INPUT_TOKENS: 60_000, Measure.OUTPUT_TOKENS: 6_000}
    pacer = Pacer(PacingRules(in_flight_max=5, limits=limits if known else {}))
    now, out = NOW, []
    for word, size, number, chance in steps:
        weight = Weight(input_tokens=size, output_tokens=size // 10)
        match word:
            case "wait":
                now += timedelta(milliseconds=number)
            case "start":
                pacer.started(weight, now)
                out.append(weight)
            case _ if out:
                one = out.pop(size % len(out))
                seen = [
                    Seen(measure=measure, limit=1 + size * 7, remaining=max(0, number), reset_at=now)
                    for measure in list(Measure)[: size % 5]
                ]
                usage = Usage(input_tokens=size, output_tokens=max(0, number)) if word == "end" else None
                if word == "refuse":
                    pacer.refused(one, number % 40 if number > 0 else None, now, chance, seen)
                else:
                    pacer.finished(one, usage, seen, now)
    assert pacer.in_flight == len(out)
    for weight in out:
        pacer.finished(weight, None, (), now)
    assert pacer.in_flight == 0
    weight = Weight(input_tokens=100, output_tokens=10)
    at = pacer.earliest(weight, now)
    assert at is not None
    assert now <= at
    assert pacer.earliest(weight, at) == at
