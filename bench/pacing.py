"""How much of a provider's limits the pacer uses, and how often it is refused, beside a semaphore and retries.

python bench/pacing.py             every case, two seeds each (a minute or two)
python bench/pacing.py --seeds 10  surer

All in virtual time, in this process. The limiter and its headers are the simulator's (``limits``, ``openai.limits``), the headers
are read by the codecs; calls, latencies and the network between are drawn here by a seed. Clients:

- *paced*: ``lowtide.pacing.Pacer``, told nothing but what a worker would tell it;
- *plain*: what most people write. A semaphore of a fixed width, and on a refusal a sleep of ``retry-after``, as the
  official SDKs do, and again until it goes through;
- *other*: for six minutes a second program on the same key, which the first knows nothing of.

Overload is drawn here, too: a 529 that names no time, for calls by chance or for whatever passes what the provider can serve.

Share: of the limit that binds, what was counted over the limit times the minutes. Buckets are full at first, so that a
run of ten minutes can reach 110 %, one of four 125 %; "later" is the second half of it. A refusal is a 429 that a client got; a call can be refused many times.
"""

import heapq
import json
import math
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from measure import table

from lowtide.pacing import Measure, OutputCounted, Pacer, PacingRules, Seen, Weight
from lowtide.providers.anthropic import read_rates as anthropic_rates
from lowtide.providers.openai_errors import read_rates as openai_rates
from lowtide.usage import Usage
from lowtide_simulator.clock import Instant
from lowtide_simulator.errors import ApiError
from lowtide_simulator.limits import TIERS, UNLIMITED, Limits, Rate, Tier
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.openai.limits import Limits as OpenAILimiter
from lowtide_simulator.openai.limits import ModelLimits, OpenAILimits

SECOND = 1_000_000
MINUTE = 60 * SECOND
START = datetime(2026, 11, 22, tzinfo=UTC)
START_AT = int(START.timestamp()) * SECOND
GROUP = "any"
IN_FLIGHT_MAX = 512
PLAIN_WIDTHS = (32, 256)
PLAIN_CASES = ("requests", "output tokens", "all sorts", "requests (OpenAI)")
HAMMER_WIDTH = 100
OUTPUT_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call will be, and what its sender believes of it."""

    weight: Weight
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls of one sort: typical lengths, how far they stray, and how estimates err."""

    input_tokens: int
    output_tokens: int
    stray: float = 0.6
    error: float = 0.25  # of one estimate
    bias: float = 1.2  # counted for one estimated
    cached: float = 0.0  # chance that nine tenths of the input are read from a cache

    def draw(self, chance: random.Random) -> Call:
        """Draw one call. Its output is believed to be as long as its limit."""
        inputs = max(8, round(chance.lognormvariate(math.log(self.input_tokens), self.stray)))
        outputs = max(1, round(chance.lognormvariate(math.log(self.output_tokens), self.stray)))
        estimate = max(1, round(inputs / self.bias * chance.lognormvariate(0, self.error)))
        return Call(
            weight=Weight(input_tokens=estimate, output_tokens=OUTPUT_LIMIT),
            input_tokens=inputs,
            cache_read_tokens=inputs * 9 // 10 if chance.random() < self.cached else 0,
            output_tokens=min(outputs, OUTPUT_LIMIT),
        )


SHORT = Load(input_tokens=300, output_tokens=80)
READING = Load(input_tokens=9_000, output_tokens=120)
WRITING = Load(input_tokens=600, output_tokens=1_500)
CACHED = Load(input_tokens=12_000, output_tokens=150, cached=0.9)
SMALL = Load(input_tokens=900, output_tokens=150)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the tables. ``known``: whether the client is told the limits beforehand."""

    name: str
    rate: Rate
    loads: tuple[Load, ...]
    known: bool = True
    headers_at_end: bool = True  # headers are written when the reply is; or else when the call is let in
    minutes: int = 10
    burst_seconds: float = 60  # of each limit, in the provider's buckets
    tokens: int | None = None  # an OpenAI model with so many tokens a minute, input and output together
    trouble: Callable[["World"], bool] | None = None  # whether a call that comes in now is refused for overload
    other: str = ""  # who else comes, from minute 3 to minute 9: "half", "pacer" or "hammer"
    other_minutes: tuple[int, int] = (3, 9)


def start_tier(tier: Tier = Tier.START) -> Rate:
    """A tier's limits."""
    return TIERS[tier].messages


SORTS = (SHORT, READING, WRITING, CACHED)
CASES = [
    Case(name="requests", rate=start_tier(), loads=(SHORT,)),
    Case(name="input tokens", rate=start_tier(), loads=(READING,)),
    Case(name="output tokens", rate=start_tier(), loads=(WRITING,)),
    Case(name="all sorts", rate=start_tier(), loads=SORTS),
    Case(name="all sorts, headers of the start", rate=start_tier(), loads=SORTS, headers_at_end=False),
    Case(name="cached input", rate=start_tier(Tier.TIER_2), loads=(CACHED,)),
    Case(name="small limits (50, 30k, 8k)", rate=start_tier(Tier.TIER_1), loads=(SMALL,)),
    Case(name="all sorts, buckets of 20 s", rate=start_tier(), loads=SORTS, burst_seconds=20),
    Case(name="tokens (OpenAI)", rate=Rate(5_000, 0, 0), tokens=2_000_000, loads=SORTS),
    Case(name="requests (OpenAI)", rate=Rate(500, 0, 0), tokens=10_000_000, loads=(SHORT,)),
    Case(name="large limits (10k, 10M, 2M)", rate=start_tier(Tier.SCALE), loads=(SHORT,), minutes=2),
]
UNKNOWN = [replace(case, known=False) for case in CASES]
OTHERS = {
    "half": "asks for half of it, at random times",
    "pacer": "is paced too",
    "hammer": f"plain, {HAMMER_WIDTH} wide, never satisfied",
}
SHARED = [
    replace(case, name=f"{case.name}; the other {words}", other=other, minutes=12)
    for other, words in OTHERS.items()
    for case in (CASES[:4] if other == "half" else CASES[:4:2])
]


def by_chance(share: float) -> Callable[["World"], bool]:
    """Overload that refuses a share of calls, whoever asks and however much."""
    return lambda world: world.chance.random() < share


def down(first: int, last: int) -> Callable[["World"], bool]:
    """Overload that refuses every call from one minute to another."""
    return lambda world: first * MINUTE <= world.now - START_AT < last * MINUTE


def serves(calls_per_minute: int) -> Callable[["World"], bool]:
    """Overload that refuses whatever passes so many calls a minute, counted over ten seconds."""

    def refuses(world: "World") -> bool:
        recent = sum(1 for at in world.let_in if at > world.now - 10 * SECOND)
        return recent >= calls_per_minute // 6

    return refuses


def at_once(calls: int) -> Callable[["World"], bool]:
    """Overload that refuses whatever passes so many calls at once."""
    return lambda world: world.inside >= calls


OVERLOADED = [
    Case(name="1 % of calls by chance", rate=start_tier(), loads=(SHORT,), trouble=by_chance(0.01)),
    Case(name="2 % of calls by chance", rate=start_tier(), loads=(SHORT,), trouble=by_chance(0.02)),
    Case(name="2 %, answers of half a minute", rate=start_tier(), loads=(WRITING,), trouble=by_chance(0.02)),
    Case(name="10 % of calls by chance", rate=start_tier(), loads=(SHORT,), trouble=by_chance(0.1)),
    Case(name="half of calls by chance", rate=start_tier(), loads=(SHORT,), trouble=by_chance(0.5)),
    Case(name="half of the limit served", rate=start_tier(), loads=(SHORT,), trouble=serves(500)),
    Case(name="16 served at once (half)", rate=start_tier(), loads=(SHORT,), trouble=at_once(16)),
    Case(name="40 served at once, long", rate=start_tier(), loads=(WRITING,), trouble=at_once(40)),
    Case(name="down in minutes 2 to 4", rate=start_tier(), loads=(SHORT,), trouble=down(2, 4)),
    Case(name="2 %, large limits", rate=start_tier(Tier.SCALE), loads=(SHORT,), minutes=2, trouble=by_chance(0.02)),
]


class AnthropicGate:
    """The simulator's limiter of the Messages API."""

    def __init__(self, case: Case) -> None:
        tier = replace(UNLIMITED, messages=case.rate, burst_seconds=case.burst_seconds)
        self.limits = Limits(tier, Instant(START_AT))
        self.each = {
            Measure.REQUESTS: case.rate.requests,
            Measure.INPUT_TOKENS: case.rate.input_tokens,
            Measure.OUTPUT_TOKENS: case.rate.output_tokens,
        }
        self.rules = PacingRules(in_flight_max=IN_FLIGHT_MAX, limits=self.each)

    def amounts(self, call: Call) -> dict[Measure, int]:
        """What a call counts."""
        inputs = call.input_tokens - call.cache_read_tokens
        return {Measure.REQUESTS: 1, Measure.INPUT_TOKENS: inputs, Measure.OUTPUT_TOKENS: call.output_tokens}

    def admit(self, call: Call, now: int) -> None:
        """Let it in. Raises ApiError."""
        self.limits.admit(GROUP, self.amounts(call)[Measure.INPUT_TOKENS], Instant(now))

    def end(self, call: Call) -> None:
        """Charge what was written."""
        self.limits.charge_output(GROUP, call.output_tokens)

    def headers(self, now: int) -> dict[str, str]:
        """Headers of this instant."""
        return dict(self.limits.headers(GROUP, Instant(now)))

    def read(self, headers: dict[str, str], _now: datetime) -> Sequence[Seen]:
        """What a codec reads of them."""
        return anthropic_rates(headers)


class OpenAIGate:
    """The simulator's limiter of OpenAI's real-time calls."""

    def __init__(self, case: Case) -> None:
        assert case.tokens is not None
        each = ModelLimits(requests_per_minute=case.rate.requests, tokens_per_minute=case.tokens)
        self.limits = OpenAILimiter(OpenAILimits(each=each, burst_seconds=case.burst_seconds), Instant(START_AT))
        self.each = {Measure.REQUESTS: case.rate.requests, Measure.TOKENS: case.tokens}
        self.rules = PacingRules(
            in_flight_max=IN_FLIGHT_MAX,
            limits=self.each,
            output_counted=OutputCounted.LIMIT,
            cache_reads_count=True,
            refusals_count=True,
            token_step=1,
        )

    def amounts(self, call: Call) -> dict[Measure, int]:
        """What a call counts."""
        return {Measure.REQUESTS: 1, Measure.TOKENS: max(call.input_tokens, OUTPUT_LIMIT)}

    def admit(self, call: Call, now: int) -> None:
        """Let it in. Raises Refusal."""
        self.limits.admit(GROUP, self.amounts(call)[Measure.TOKENS], Instant(now))

    def end(self, call: Call) -> None:
        """All is charged already."""

    def headers(self, now: int) -> dict[str, str]:
        """Headers of this instant."""
        return dict(self.limits.headers(GROUP, Instant(now)))

    def read(self, headers: dict[str, str], now: datetime) -> Sequence[Seen]:
        """What a codec reads of them."""
        return openai_rates(headers, now.replace(microsecond=0), requests=True)


class World:
    """Virtual time, and a provider with the simulator's limiter behind a network that takes its time."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.chance = random.Random(seed)
        self.now = START_AT
        self.gate = AnthropicGate(case) if case.tokens is None else OpenAIGate(case)
        self.counted: list[tuple[int, str, Measure, int]] = []
        self.refusals: list[tuple[int, str]] = []
        self.let_in: deque[int] = deque(maxlen=2_000)
        self.inside = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, instant: int, act: Callable[[], None]) -> None:
        """Do something at an instant."""
        self._number += 1
        heapq.heappush(self._events, (max(instant, self.now), self._number, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now + round(seconds * SECOND), act)

    def run(self, until: int) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def moment(self) -> datetime:
        """Now, as a client's clock says it."""
        return START + timedelta(microseconds=self.now - START_AT)

    def transit(self) -> float:
        """Seconds of one way."""
        return self.chance.uniform(0.02, 0.12)

    def send(self, who: str, call: Call, answer: Callable[[int, dict[str, str]], None]) -> None:
        """Carry a call to the provider and its answer back."""
        self.after(self.transit(), lambda: self._admit(who, call, answer))

    def _admit(self, who: str, call: Call, answer: Callable[[int, dict[str, str]], None]) -> None:
        if self.case.trouble is not None and self.case.trouble(self):
            self.refusals.append((self.now, who))
            self.after(self.transit(), lambda: answer(529, {}))
            return
        try:
            self.gate.admit(call, self.now)
        except (ApiError, Refusal) as refused:
            self.refusals.append((self.now, who))
            headers = dict(refused.headers)
            self.after(self.transit(), lambda: answer(429, headers))
            return
        self.let_in.append(self.now)
        self.inside += 1
        self._count(
            who, {of: amount for of, amount in self.gate.amounts(call).items() if of is not Measure.OUTPUT_TOKENS}
        )
        early = self.gate.headers(self.now)
        seconds = 0.4 + call.input_tokens / 20_000 + call.output_tokens / self.chance.uniform(50, 90)
        self.after(seconds, lambda: self._reply(who, call, early, answer))

    def _reply(
        self, who: str, call: Call, early: dict[str, str], answer: Callable[[int, dict[str, str]], None]
    ) -> None:
        late = self.gate.headers(self.now)
        self.inside -= 1
        self.gate.end(call)
        self._count(who, {of: amount for of, amount in self.gate.amounts(call).items() if of is Measure.OUTPUT_TOKENS})
        self.after(self.transit(), lambda: answer(200, late if self.case.headers_at_end else early))

    def _count(self, who: str, amounts: dict[Measure, int]) -> None:
        self.counted += [(self.now, who, measure, amount) for measure, amount in amounts.items()]


class Paced:
    """Starts each call when the pacer says so."""

    def __init__(self, world: World, calls: Iterator[Call], rules: PacingRules, who: str = "us") -> None:
        self.world = world
        self.who = who
        self.until = math.inf
        self.calls = calls
        self.pacer = Pacer(rules)
        self.waiting: deque[Call] = deque()
        self.timer: int | None = None

    def go(self) -> None:
        """Start what may start; otherwise come back when it may, or with the next reply."""
        while self.world.now < self.until:
            if not self.waiting:
                self.waiting.append(next(self.calls))
            at = self.pacer.earliest(self.waiting[0].weight, self.world.moment())
            if at is None:
                return
            if at > self.world.moment():
                self._set_timer(START_AT + (at - START) // timedelta(microseconds=1))
                return
            self._start(self.waiting.popleft())

    def _set_timer(self, instant: int) -> None:
        if self.timer is not None and self.world.now < self.timer <= instant:
            return
        self.timer = instant
        self.world.at(instant, self.go)

    def _start(self, call: Call) -> None:
        self.pacer.started(call.weight, self.world.moment())
        self.world.send(self.who, call, lambda status, headers: self._answered(call, status, headers))

    def _answered(self, call: Call, status: int, headers: dict[str, str]) -> None:
        now = self.world.moment()
        if status == 200:
            usage = Usage(
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
                cache_read_tokens=call.cache_read_tokens,
            )
            self.pacer.finished(call.weight, usage, self.world.gate.read(headers, now), now)
        else:
            after = int(headers["retry-after"]) if "retry-after" in headers else None
            seen = self.world.gate.read(headers, now)
            overloaded = status == 529
            self.pacer.refused(call.weight, after, now, self.world.chance.random(), seen, overloaded=overloaded)
            if after is None:
                self.world.after(self.world.chance.uniform(0.5, 1), lambda: self._again(call))
            else:
                self.waiting.appendleft(call)
        self.go()

    def _again(self, call: Call) -> None:
        self.waiting.appendleft(call)
        self.go()


class Plain:
    """A semaphore, and retries."""

    def __init__(self, world: World, calls: Iterator[Call], width: int, who: str = "us") -> None:
        self.world = world
        self.calls = calls
        self.width = width
        self.who = who
        self.until = math.inf

    def go(self) -> None:
        """Fill the semaphore."""
        for _ in range(self.width):
            self._start(next(self.calls), 0)

    def _start(self, call: Call, tries: int) -> None:
        if self.world.now < self.until:
            self.world.send(self.who, call, lambda status, headers: self._answered(call, tries, status, headers))

    def _answered(self, call: Call, tries: int, status: int, headers: dict[str, str]) -> None:
        if status == 200:
            self._start(next(self.calls), 0)
            return
        self.world.after(sdk_wait(self.world, tries, headers), lambda: self._start(call, tries + 1))


class Steady:
    """Calls at random times, a given number a minute, each until it goes through."""

    def __init__(self, world: World, calls: Iterator[Call], per_minute: float) -> None:
        self.world = world
        self.calls = calls
        self.per_minute = per_minute
        self.until = math.inf

    def go(self) -> None:
        """Make one call, and come back for the next."""
        if self.world.now < self.until:
            self._start(next(self.calls), 0)
            self.world.after(self.world.chance.expovariate(self.per_minute / 60), self.go)

    def _start(self, call: Call, tries: int) -> None:
        def answered(status: int, headers: dict[str, str]) -> None:
            if status != 200 and self.world.now < self.until:
                self.world.after(sdk_wait(self.world, tries, headers), lambda: self._start(call, tries + 1))

        self.world.send("other", call, answered)


def sdk_wait(world: World, tries: int, headers: dict[str, str]) -> float:
    """Seconds: ``retry-after``, or 0.5 s doubled up to 8 s less up to a quarter."""
    if "retry-after" in headers:
        return float(headers["retry-after"])
    return min(0.5 * 2 ** min(tries, 10), 8.0) * (1 - 0.25 * world.chance.random())


def loads_of(case: Case, seed: int) -> Iterator[Call]:
    chance = random.Random(seed)
    while True:
        yield chance.choice(case.loads).draw(chance)


def binding(case: Case, gate: AnthropicGate | OpenAIGate) -> tuple[Measure, float]:
    """Which limit such calls meet first, and how many calls a minute that is."""
    calls = loads_of(case, 0)
    drawn = [gate.amounts(next(calls)) for _ in range(4_000)]
    rates = {of: limit * len(drawn) / sum(amounts[of] for amounts in drawn) for of, limit in gate.each.items()}
    measure = min(rates, key=rates.__getitem__)
    return measure, rates[measure]


def play(case: Case, width: int | None, seed: int) -> dict[str, float]:
    """One run of the paced client (``width`` None) or of a plain one."""
    world = World(case, seed)
    calls, others = loads_of(case, seed), loads_of(case, seed + 1_000_000)
    rules = world.gate.rules if case.known else replace(world.gate.rules, limits={})
    world.at(START_AT, (Paced(world, calls, rules) if width is None else Plain(world, calls, width)).go)
    measure, calls_per_minute = binding(case, world.gate)
    if case.other:
        other = {
            "half": lambda: Steady(world, others, calls_per_minute / 2),
            "pacer": lambda: Paced(world, others, world.gate.rules, "other"),
            "hammer": lambda: Plain(world, others, HAMMER_WIDTH, "other"),
        }[case.other]()
        first, last = case.other_minutes
        other.until = START_AT + last * MINUTE
        world.at(START_AT + first * MINUTE, other.go)
    world.run(START_AT + case.minutes * MINUTE)
    return judge(world, measure, world.gate.each[measure])


def judge(world: World, measure: Measure, limit: int) -> dict[str, float]:
    """Add up what was counted and refused."""
    case = world.case
    uses = [(at - START_AT, who, amount) for at, who, of, amount in world.counted if of is measure]
    refusals = [(at - START_AT, who) for at, who in world.refusals]
    last = case.other_minutes[1] * MINUTE
    end = case.minutes * MINUTE

    def used(start: int, until: int, *whose: str) -> float:
        total = sum(amount for at, who, amount in uses if start <= at < until and who in whose)
        return 100 * total / (limit * (until - start) / MINUTE)

    found = {
        "share_percent": used(0, end, "us"),
        "share_later_percent": used(end // 2, end, "us"),
        "refusals": sum(who == "us" for _, who in refusals),
        "calls": sum(1 for _, who, of, _ in world.counted if of is Measure.REQUESTS and who == "us"),
    }
    if case.other:
        windows = range(last, end - 20 * SECOND, SECOND)
        back = next((at for at in windows if used(at, at + 20 * SECOND, "us") >= 95), None)
        found |= {
            "together_percent": used(last - 3 * MINUTE, last, "us", "other"),
            "ours_percent": used(last - 3 * MINUTE, last, "us"),
            "refusals_other": sum(who == "other" for _, who in refusals),
            "recovered_seconds": end / SECOND if back is None else (back - last) / SECOND,
        }
    return found


WORST = {"share_percent": min, "share_later_percent": min, "together_percent": min, "ours_percent": min}


def rounds(case: Case, width: int | None, seeds: int) -> dict[str, float]:
    """Of every figure the worst that any seed gave."""
    results = [play(case, width, seed) for seed in range(seeds)]
    return {name: round(WORST.get(name, max)(result[name] for result in results), 2) for name in results[0]}


def pacer_cost() -> float:
    """Microseconds of CPU that the pacer takes for one call: asked twice, started, finished with three limits seen."""
    pacer = Pacer(PacingRules(in_flight_max=8, limits={Measure.REQUESTS: 10**6, Measure.INPUT_TOKENS: 10**9,
                                                       Measure.OUTPUT_TOKENS: 10**9}))  # fmt: skip
    limits = Limits(replace(UNLIMITED, messages=Rate(10**6, 10**9, 10**9)), Instant(START_AT))
    seen = anthropic_rates(dict(limits.headers(GROUP, Instant(START_AT))))
    weight, usage = Weight(input_tokens=1_000, output_tokens=500), Usage(input_tokens=1_000, output_tokens=200)
    start = time.process_time()
    for number in range(20_000):
        now = START + timedelta(milliseconds=number)
        pacer.earliest(weight, now)
        pacer.earliest(weight, now)
        pacer.started(weight, now)
        pacer.finished(weight, usage, seen, now)
    return (time.process_time() - start) / 20_000 * 1e6


KNOWN_TITLE, UNKNOWN_TITLE, SHARED_TITLE = "limits known, nobody else", "limits unknown at first", "a second client"
OVERLOADED_TITLE = "an overloaded provider"


def show(results: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """Print the tables."""
    wide = [f"plain {width}" for width in PLAIN_WIDTHS]
    for title, clients in (
        (KNOWN_TITLE, ["paced", *wide]),
        (UNKNOWN_TITLE, ["paced"]),
        (OVERLOADED_TITLE, ["paced", wide[0]]),
    ):
        rows = []
        for name, found in results[title].items():
            cells = []
            for client in clients:
                one = found.get(client)
                if one is None:
                    cells += ["", "", ""]
                    continue
                cells += [f"{one['share_percent']:.1f}", f"{one['share_later_percent']:.1f}", f"{one['refusals']:,.0f}"]
            rows.append([name, *cells])
        head = [cell for client in clients for cell in (f"{client}: %", "later %", "refused")]
        table(f"Pacing, {title}", ["bound by", *head], rows)
    rows = [
        [
            f"{name} [{client}]",
            f"{one['together_percent']:.0f}",
            f"{one['ours_percent']:.0f}",
            f"{one['refusals']:,.0f}",
            f"{one['refusals_other']:,.0f}",
            f"{one['recovered_seconds']:.0f}",
        ]
        for name, found in results[SHARED_TITLE].items()
        for client, one in found.items()
    ]
    head = ["bound by", "both %", "we %", "we refused", "other refused", "back after s"]
    table(f"Pacing, {SHARED_TITLE} for six minutes", head, rows)


def run(seeds: int = 2) -> dict[str, object]:
    """Every case."""
    titles = (KNOWN_TITLE, UNKNOWN_TITLE, OVERLOADED_TITLE, SHARED_TITLE)
    results: dict[str, dict[str, dict[str, dict[str, float]]]] = {title: {} for title in titles}
    for case in CASES:
        # Shorter, and not in every case: refusals by the hundred thousand take their time.
        short = replace(case, minutes=min(case.minutes, 4))
        widths = PLAIN_WIDTHS if case.name in PLAIN_CASES else ()
        plain = {f"plain {width}": rounds(short, width, 1) for width in widths}
        results[KNOWN_TITLE][case.name] = {"paced": rounds(case, None, seeds), **plain}
    for case in UNKNOWN:
        results[UNKNOWN_TITLE][case.name] = {"paced": rounds(case, None, seeds)}
    for case in OVERLOADED:
        width = PLAIN_WIDTHS[0]
        plain = {f"plain {width}": rounds(case, width, 1)}
        results[OVERLOADED_TITLE][case.name] = {"paced": rounds(case, None, seeds), **plain}
    for case in SHARED:
        results[SHARED_TITLE][case.name] = {"paced": rounds(case, None, seeds)}
        if case is SHARED[0]:
            width = PLAIN_WIDTHS[-1]
            results[SHARED_TITLE][case.name][f"plain {width}"] = rounds(case, width, 1)
    show(results)
    cost = pacer_cost()
    print(f"\nThe pacer's own CPU: {cost:.0f} us a call")
    return {**results, "pacer_us_a_call": cost}


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--seeds") + 1] if "--seeds" in sys.argv else "2"
    print(json.dumps(run(int(given))))
