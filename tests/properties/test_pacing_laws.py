"""Pacing keeps every limit whatever comes: the simulator's limiter is the referee, calls and latencies are drawn."""

import heapq
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.pacing import Measure, Pacer, PacingRules, Seen, Weight
from lowtide.providers.anthropic import read_rates
from lowtide.usage import Usage
from lowtide_simulator.clock import Instant, to_instant
from lowtide_simulator.errors import ApiError
from lowtide_simulator.limits import MINUTE, UNLIMITED, Limits, Rate

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SIX_MINUTES = timedelta(minutes=6)
LIMITS = Rate(300, 600_000, 120_000), Rate(500, 90_000, 30_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a call is, and what its sender believes of it."""

    weight: Weight
    input_tokens: int
    output_tokens: int
    latency_seconds: float


class Life:
    """Pacers on one key that are never short of calls, and the referee. Time leaps from one event to the next.

    Overload, too, refuses calls, a tenth of a second after they came and without naming a time: ``scattered`` of them by
    chance, whatever is more than ``served_at_once``, and all until ``down_until``.
    """

    def __init__(
        self,
        rate: Rate,
        calls: list[Call],
        *,
        known: bool = True,
        pacers: int = 1,
        full: float = 1,
        scattered: float = 0,
        served_at_once: int = 10_000,
        down_until: datetime = NOW,
    ) -> None:
        self.limits = {
            Measure.REQUESTS: rate.requests,
            Measure.INPUT_TOKENS: rate.input_tokens,
            Measure.OUTPUT_TOKENS: rate.output_tokens,
        }
        rules = PacingRules(in_flight_max=200, limits=self.limits if known else {})
        self.pacers = [Pacer(rules) for _ in range(pacers)]
        self.referee = Limits(replace(UNLIMITED, messages=rate), Instant(to_instant(NOW)))
        group = self.referee.group("any")
        for bucket in (group.requests, group.input_tokens, group.output_tokens):
            bucket.level = int(bucket.limit * MINUTE * full)
        self.calls = calls
        self.used = [dict.fromkeys(Measure, 0) for _ in self.pacers]
        self.started = self.refused = self.overloaded = self.inside = 0
        self.replies: list[tuple[datetime, int, int, bool]] = []
        self.scattered, self.served_at_once, self.down_until = scattered, served_at_once, down_until
        self.chance = random.Random(1)

    def run(self, duration: timedelta, starts_max: int = 500) -> "Life":
        now, end = NOW, NOW + duration
        while now < end and self.started < starts_max:
            call = self.calls[self.started % len(self.calls)]
            instants = [pacer.earliest(call.weight, now) for pacer in self.pacers]
            assert all(at is None or now <= at <= now + timedelta(minutes=3) for at in instants), (
                "a call waits for ever"
            )
            at, turn = min((at, turn) for turn, at in enumerate([*instants, end]) if at is not None)
            if self.replies and self.replies[0][0] <= at:
                now, turn, number, served = heapq.heappop(self.replies)
                call = self.calls[number % len(self.calls)]
                if served:
                    self._reply(turn, call, now)
                else:
                    self.pacers[turn].refused(call.weight, None, now, self.chance.random(), overloaded=True)
                continue
            now = at
            if turn == len(self.pacers):
                assert now == end, "nobody is in flight and nobody may start"
                break
            assert self.pacers[turn].earliest(call.weight, now) == now, "the instant was promised"
            self._start(turn, call, now)
        self.minutes = (now - NOW) / timedelta(minutes=1)
        return self

    def _start(self, turn: int, call: Call, now: datetime) -> None:
        crowded = self.inside >= self.served_at_once or now < self.down_until
        if crowded or self.chance.random() < self.scattered:
            self.overloaded += 1
            self.pacers[turn].started(call.weight, now)
            heapq.heappush(self.replies, (now + timedelta(seconds=0.1), turn, self.started, False))
            self.started += 1
            return
        self.inside += 1
        try:
            self.referee.admit("any", call.input_tokens, Instant(to_instant(now)))
        except ApiError:
            self.refused += 1
        self.pacers[turn].started(call.weight, now)
        heapq.heappush(self.replies, (now + timedelta(seconds=call.latency_seconds), turn, self.started, True))
        self.started += 1
        self.used[turn][Measure.REQUESTS] += 1
        self.used[turn][Measure.INPUT_TOKENS] += call.input_tokens

    def _reply(self, turn: int, call: Call, now: datetime) -> None:
        self.inside -= 1
        seen = read_rates(dict(self.referee.headers("any", Instant(to_instant(now)))))
        self.referee.charge_output("any", call.output_tokens)
        self.used[turn][Measure.OUTPUT_TOKENS] += call.output_tokens
        usage = Usage(input_tokens=call.input_tokens, output_tokens=call.output_tokens)
        self.pacers[turn].finished(call.weight, usage, seen, now)

    def shares(self) -> list[float]:
        """Of the limit that binds, what each has used."""
        totals = {measure: sum(used[measure] for used in self.used) for measure in self.limits}
        binding = max(self.limits, key=lambda measure: totals[measure] / self.limits[measure])
        return [used[binding] / (self.limits[binding] * self.minutes) for used in self.used]


RATES = st.builds(Rate, st.integers(20, 5_000), st.integers(2_000, 2_000_000), st.integers(1_000, 400_000))
# Shares of a minute's input and output, and seconds.
SHAPES = st.lists(
    st.tuples(st.floats(0.0005, 0.2), st.floats(0.0005, 0.1), st.floats(0.1, 50)), min_size=1, max_size=12
)
FULL = st.floats(0.06, 1)  # an earlier life leaves the cushion


def shaped(rate: Rate, shapes: list[tuple[float, float, float]], *, scale: float = 1, error: float = 1) -> list[Call]:
    calls = []
    for inputs, outputs, latency in shapes:
        tokens = max(1, int(rate.input_tokens * inputs * scale))
        written = max(1, int(rate.output_tokens * outputs * scale))
        weight = Weight(input_tokens=max(1, int(tokens / error)), output_tokens=written)
        calls.append(Call(weight=weight, input_tokens=tokens, output_tokens=written, latency_seconds=latency))
    return calls


@settings(max_examples=30, deadline=None)
@given(RATES, SHAPES, FULL)
def test_known_limits_never_refuse_us(rate: Rate, shapes: list[tuple[float, float, float]], full: float) -> None:
    assert Life(rate, shaped(rate, shapes), full=full).run(SIX_MINUTES).refused == 0


@settings(max_examples=15, deadline=None)
@given(RATES, SHAPES)
def test_limits_that_are_learned_never_refuse_us(rate: Rate, shapes: list[tuple[float, float, float]]) -> None:
    light = shaped(rate, shapes, scale=0.25)  # four start unasked
    assert Life(rate, light, known=False).run(SIX_MINUTES).refused == 0


@settings(max_examples=15, deadline=None)
@given(RATES, SHAPES, st.floats(0.4, 2.5))
def test_estimates_that_err_alike_never_refuse_us(
    rate: Rate, shapes: list[tuple[float, float, float]], error: float
) -> None:
    assert Life(rate, shaped(rate, shapes, scale=0.1, error=error)).run(SIX_MINUTES).refused == 0


@settings(max_examples=10, deadline=None)
@given(RATES, st.floats(0.001, 0.02), st.floats(0.001, 0.02), st.floats(0.1, 10))
def test_nearly_all_of_a_known_limit_is_used(rate: Rate, inputs: float, outputs: float, latency: float) -> None:
    life = Life(rate, shaped(rate, [(inputs, outputs, latency)])).run(timedelta(minutes=20))
    # Less what was still being written at the end; or the door of 200 was the limit.
    door = 200 / latency * 60 * life.minutes / max(1, life.started)
    assert life.shares()[0] >= 0.98 - latency / 60 / life.minutes or door < 1.1


def drawn(rate: Rate, seed: int, *, inputs: float, outputs: float) -> list[Call]:
    """Calls of lengths that stray, of estimates that err, and of outputs believed to be as long as their limit."""
    chance = random.Random(seed)
    calls = []
    for _ in range(500):
        tokens = max(1, int(chance.lognormvariate(0, 0.6) * inputs * rate.input_tokens))
        written = max(1, min(int(chance.lognormvariate(0, 0.6) * outputs * rate.output_tokens), rate.output_tokens))
        believed = max(1, int(tokens * chance.lognormvariate(-0.2, 0.25)))
        calls.append(
            Call(
                weight=Weight(input_tokens=believed, output_tokens=int(rate.output_tokens * outputs * 3) + 1),
                input_tokens=tokens,
                output_tokens=written,
                latency_seconds=0.5 + chance.uniform(0.5, 1.5) * outputs * 2_000,
            )
        )
    return calls


LOADS = {
    "requests": {"inputs": 0.0001, "outputs": 0.0001},
    "input": {"inputs": 0.004, "outputs": 0.001},
    "output": {"inputs": 0.001, "outputs": 0.004},
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("rate", LIMITS)
def test_lengths_that_stray_and_estimates_that_err_cost_nothing(rate: Rate, load: str) -> None:
    life = Life(rate, drawn(rate, 1, **LOADS[load])).run(timedelta(minutes=8), starts_max=20_000)
    assert life.refused == 0
    assert life.shares()[0] >= 0.98


@pytest.mark.parametrize("load", LOADS)
def test_two_who_do_not_know_of_each_other_are_not_refused_and_share(load: str) -> None:
    life = Life(LIMITS[0], drawn(LIMITS[0], 2, **LOADS[load]), pacers=2).run(timedelta(minutes=8), starts_max=20_000)
    assert life.refused == 0
    assert sum(life.shares()) >= 0.95
    assert min(life.shares()) >= 0.25


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("scattered", [0.01, 0.05])
def test_a_few_calls_refused_by_chance_slow_nobody(load: str, scattered: float) -> None:
    life = Life(LIMITS[0], drawn(LIMITS[0], 3, **LOADS[load]), scattered=scattered)
    life.run(timedelta(minutes=8), starts_max=20_000)
    assert life.overloaded < 2 * scattered * life.started
    assert life.shares()[0] >= 0.95


def test_where_fewer_are_served_at_once_that_many_are_nearly_always_out() -> None:
    """A call takes two seconds: without the door 10 would be out at a time, by the limit."""
    calls = [Call(weight=Weight(input_tokens=9, output_tokens=9), input_tokens=9, output_tokens=9, latency_seconds=2)]
    life = Life(LIMITS[0], calls, served_at_once=5).run(timedelta(minutes=8), starts_max=20_000)
    assert life.shares()[0] >= 0.9 * (5 / 2 * 60 / 300)
    assert life.overloaded < life.started / 4


def test_a_provider_that_is_down_is_tried_a_few_times_a_minute_and_used_at_once_when_it_is_back() -> None:
    calls = drawn(LIMITS[0], 4, **LOADS["requests"])
    down = Life(LIMITS[0], calls, down_until=NOW + timedelta(minutes=10)).run(timedelta(minutes=10))
    assert down.overloaded < 200
    back = Life(LIMITS[0], calls, down_until=NOW + timedelta(minutes=2)).run(timedelta(minutes=10), starts_max=20_000)
    assert back.shares()[0] >= 0.75


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "end", "lost", "refuse", "wait"]),
        st.integers(0, 5_000),
        st.integers(-2_000, 70_000),
        st.floats(0, 0.999),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.booleans())
def test_whatever_headers_say_a_call_may_start(steps: list[tuple[str, int, int, float]], known: bool) -> None:
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
                    asked = number % 40 if number > 0 else None
                    pacer.refused(one, asked, now, chance, seen, overloaded=number % 3 == 0)
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
