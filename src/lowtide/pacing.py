"""When the next real-time call may start: full use of a provider's limits, and no refusal of our own making. Pure.

Here: one ``Pacer`` for each account of a provider and pool of models that shares limits. Not here: what a reply's
headers look like (codecs give ``Seen``), whether a request is tried again (``retry``), spend limits (they end a run).
The law: a call is let go only when every limit has room for it by all we know, so that a limit slows us and never
refuses us; and what is left of a limit is never believed on one reading of a header where two are possible.

Each limit of a minute is followed in two levels, both refilled continuously:

- ``level``: what we believe the provider has left. It is drained to a cushion and not to nothing: the cushion is lost
  once and not every minute, and it is where a second program on the same key shows before anyone is refused.
- ``pace``: at most ``burst_seconds`` of the limit, because providers enforce a minute's limit on shorter bursts too.

Output that counts when it is written (Anthropic) is taken from ``pace`` when the call starts and from ``level`` when it
ends: holding it back in both would stop us below the limit wherever an answer takes as long as a minute's refill.

What remains and when it is whole again say together how much a provider's bucket holds; bursts and cushion keep to that.

A reply's header was written somewhere between the call's start and its end. Both readings are kept, and only what is
outside both of them is news. News that keep coming in one direction are somebody else's use: it is learned as a rate,
taken off the refill, and given back when it stops. Against a program that repeats refused calls at once nothing polite
helps: it gets what there is, and we try a few times a minute.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil, sqrt
from typing import Final

from lowtide.usage import Usage


class Measure(StrEnum):
    """What a provider counts a minute."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOKENS = "tokens"  # input and output under one limit (OpenAI's TPM)


class OutputCounted(StrEnum):
    """When output counts."""

    WRITTEN = "written"  # as many tokens as were written, when they are (Anthropic since 2026)
    LIMIT = "limit"  # the output limit, at the start and for good; in TOKENS the larger of it and the input (OpenAI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a call may count, in tokens: its estimated input, and its output limit or likely output."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a reply's headers said of one measure. ``None``: not said. ``reset_at`` is when the limit is whole again."""

    measure: Measure
    limit: int | None
    remaining: int | None
    reset_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingRules:
    """A provider's limits and habits, and our own carefulness.

    ``limits`` are a minute's, by measure; what is not in it is unknown until a header says it. Source of the defaults:
    Anthropic's rate limits page and recorded headers, checked 2026-11-21; OpenAI differs in ``output_counted``,
    ``cache_reads_count``, ``refusals_count`` and ``token_step`` (1), checked 2026-10-04.
    """

    in_flight_max: int
    limits: Mapping[Measure, int] = field(default_factory=dict)
    output_counted: OutputCounted = OutputCounted.WRITTEN
    cache_reads_count: bool = False
    refusals_count: bool = False  # a refused call counts against the limits too
    token_step: int = 1000  # remaining tokens are rounded down to this
    burst_seconds: int = 10  # of each limit, at most, at once
    cushion_percent: int = 5  # of each limit, left untouched
    in_flight_start: int = 4  # at first, where no limit is known
    pause_min: timedelta = timedelta(seconds=1)  # after a refusal that names no time; doubles
    pause_max: timedelta = timedelta(seconds=20)


class Pacer:
    """Says when the next call may start. Memory only: after a restart it starts empty-handed and careful.

    Every call that ``started`` must come to ``finished`` or ``refused`` with an equal weight. A call whose reply was
    lost is ``finished`` with no usage and nothing seen. Instants may come late or out of order; they never go naive.
    """

    def __init__(self, rules: PacingRules) -> None:
        assert rules.in_flight_max >= 1, "somebody must be let through"
        self.rules = rules
        self.in_flight = 0
        self._limits: dict[Measure, _Limit] = {}
        self._calls: dict[Weight, deque[_Call]] = {}
        self._input, self._output = _Ratio(), _Ratio()
        self._written = rules.output_counted is OutputCounted.WRITTEN
        self._window = rules.in_flight_max if rules.limits else min(rules.in_flight_start, rules.in_flight_max)
        self._window_goal = rules.in_flight_max  # up to here it widens quickly
        self._window_credit = 0  # quarters of a call
        self._latency = 0  # microseconds, of a typical call
        self._failures = 0  # rounds in a row that were refused
        self._overload = 0  # millionths of the last calls, refused for overload without a time
        self._before = 0  # how many were out when the last round was refused
        self._pause_until = 0
        self._at = 0  # the latest instant that was told
        self._slowed_at = -1

    def earliest(self, weight: Weight, now: datetime) -> datetime | None:
        """Give the earliest instant, now or later, at which such a call may start, if nothing else happens before.

        ``None``: only a finished call can make room.
        """
        if self.in_flight >= self._window:
            return None
        at = self._present(now)
        self._meet(at)
        wait = max(0, self._pause_until - at)
        for measure, limit in self._limits.items():
            limit.flow(at)
            amount, spread = self._amount(measure, weight), self._spread(measure, limit)
            wait = max(wait, limit.wait(amount, spread, self._latency))
        return now + timedelta(microseconds=wait)

    def started(self, weight: Weight, now: datetime) -> None:
        """Note that a call starts now."""
        at = self._present(now)
        self._meet(at)
        call = _Call(at)
        for measure, limit in self._limits.items():
            limit.flow(at)
            call.parts[measure] = limit.start(self._amount(measure, weight))
        self._calls.setdefault(weight, deque()).append(call)
        self.in_flight += 1

    def finished(self, weight: Weight, usage: Usage | None, seen: Sequence[Seen], now: datetime) -> None:
        """Note that a call has ended, what it used (``None``: unknown, it counts as estimated) and what its headers said."""
        at = self._present(now)
        call = self._take(weight)
        self._latency += (max(0, at - call.at) - self._latency) // LATENCY_MEMORY
        for measure, limit in self._limits.items():
            limit.flow(at)
            if part := call.parts.get(measure):
                limit.finish(part, self._counted(measure, weight, usage, part))
        if usage is not None:
            self._learn(weight, usage)
        self._look(seen, call, at)
        self._overload -= self._overload // OVERLOAD_MEMORY
        self._recover(slowed=call.at <= self._slowed_at)

    def refused(
        self,
        weight: Weight,
        retry_after_seconds: int | None,
        now: datetime,
        chance: float,
        seen: Sequence[Seen] = (),
        *,
        overloaded: bool = False,
    ) -> None:
        """Note that the provider refused a call, and what its headers said: give back, slow down.

        ``overloaded``: because of everybody's calls (529, 503), not of ours (429). ``chance`` in [0, 1) spreads the next
        tries of many programs. A ``retry_after_seconds`` is obeyed at any length.
        """
        at = self._present(now)
        call = self._take(weight)
        for measure, limit in self._limits.items():
            limit.flow(at)
            if part := call.parts.get(measure):
                limit.finish(part, part.amount if self.rules.refusals_count else 0)
        self._look(seen, call, at)
        first = call.at > self._slowed_at
        if first:
            self._failures += 1
            self._slowed_at = at
            self._before = min(self._window, self.in_flight + 1)
        if retry_after_seconds is None:
            if overloaded:
                self._overload += (MILLION - self._overload) // OVERLOAD_MEMORY
            self._slow_down(at, chance, overloaded=overloaded)
            return
        if first and (not self._limits or self._failures > 1):
            self._narrow(MILLION)
        self._empty(weight, retry_after_seconds, {one.measure: one for one in seen if one.remaining is not None})
        self._pause(at + round(retry_after_seconds * SECOND * (1 + chance / 20)))

    def _present(self, now: datetime) -> int:
        """Read the instant; where the clock was set back by minutes, what is waited for moves with it."""
        at = _micros(now)
        if at < self._at - SET_BACK:
            self._pause_until -= self._at - at
            self._slowed_at -= self._at - at
            self._at = at
        self._at = max(self._at, at)
        return at

    # What a call counts.

    def _amount(self, measure: Measure, weight: Weight) -> int:
        written = self._written
        match measure:
            case Measure.REQUESTS:
                return 1
            case Measure.INPUT_TOKENS:
                return self._input.apply(weight.input_tokens)
            case Measure.OUTPUT_TOKENS:
                return self._output.apply(weight.output_tokens) if written else weight.output_tokens
            case Measure.TOKENS if written:
                return self._input.apply(weight.input_tokens) + self._output.apply(weight.output_tokens)
            case Measure.TOKENS:
                return max(weight.input_tokens, weight.output_tokens)

    def _counted(self, measure: Measure, weight: Weight, usage: Usage | None, part: "_Part") -> int:
        written = self._written
        match measure:
            case Measure.INPUT_TOKENS if usage is not None:
                return self._input_counted(usage)
            case Measure.OUTPUT_TOKENS if usage is not None and written:
                return usage.output_tokens
            case Measure.TOKENS if usage is not None and written:
                return self._input_counted(usage) + usage.output_tokens
            case _:
                return part.amount

    def _input_counted(self, usage: Usage) -> int:
        return usage.input_tokens - (0 if self.rules.cache_reads_count else usage.cache_read_tokens)

    def _learn(self, weight: Weight, usage: Usage) -> None:
        self._input.learn(weight.input_tokens, self._input_counted(usage))
        self._output.learn(weight.output_tokens, usage.output_tokens)

    def _spread(self, measure: Measure, limit: "_Limit") -> int:
        match measure:
            case Measure.REQUESTS:
                return 0
            case Measure.OUTPUT_TOKENS:
                return limit.spread(self._output.error)
            case Measure.INPUT_TOKENS:
                return limit.spread(self._input.error)
            case Measure.TOKENS:
                return limit.spread(max(self._input.error, self._output.error))

    # What is known of the limits.

    def _meet(self, at: int) -> None:
        """Begin to follow the limits that the rules name: empty but for the cushion that an earlier life has left."""
        if not self._limits:
            for measure, limit in self.rules.limits.items():
                self._limits[measure] = self._new_limit(measure, limit, at)

    def _new_limit(self, measure: Measure, limit: int, at: int) -> "_Limit":
        return _Limit(limit, measure=measure, rules=self.rules, at=at)

    def _look(self, seen: Sequence[Seen], call: "_Call", at: int) -> None:
        """Take in what headers said."""
        for one in seen:
            if one.limit is None or one.limit <= 0:
                continue
            limit = self._limits.get(one.measure)
            if limit is None:
                limit = self._discover(one, one.limit, at)
            elif limit.limit != one.limit:
                limit.resize(one.limit, self.rules)
            if one.remaining is None:
                continue
            remaining = one.remaining
            if one.reset_at is not None:
                limit.measure(remaining, _micros(one.reset_at) - at, self.rules)
                remaining = limit.below_zero(one, at)
            if part := call.parts.get(one.measure):
                limit.look(remaining, part, self._spread(one.measure, limit), at)

    def _discover(self, seen: Seen, number: int, at: int) -> "_Limit":
        """Follow a limit that nobody had named before. Calls in flight are taken as not yet counted in what remains."""
        limit = self._limits[seen.measure] = self._new_limit(seen.measure, number, at)
        if seen.remaining is not None:
            limit.level = min(seen.remaining, limit.capacity) * MINUTE
        for weight, calls in self._calls.items():
            for call in calls:
                call.parts[seen.measure] = limit.start(self._amount(seen.measure, weight))
        limit.pace = 0
        self._window = max(self._window, self._window_goal)
        return limit

    def _empty(self, weight: Weight, retry_after_seconds: int, seen: Mapping[Measure, Seen]) -> None:
        """After a refusal that says when: the limit it met holds exactly this call by then. Unsaid, it may be any."""
        short = False
        for measure, limit in self._limits.items():
            need = 1 if limit.late else self._amount(measure, weight)
            one = seen.get(measure)
            if one is None or one.remaining is None or one.remaining < max(2 * need, limit.cushion):
                limit.lower(need - retry_after_seconds * limit.limit // 60)
                short = True
        if not short:  # a burst was refused, not a minute's use
            for limit in self._limits.values():
                limit.shorten()

    def _take(self, weight: Weight) -> "_Call":
        """Give the call of this weight that started first."""
        calls = self._calls[weight]
        call = calls.popleft()
        if not calls:
            del self._calls[weight]
        self.in_flight -= 1
        return call

    # Slower and faster.

    def _pause(self, until: int) -> None:
        self._pause_until = max(self._pause_until, until)

    def _slow_down(self, at: int, chance: float, *, overloaded: bool) -> None:
        """After a refusal that names no time: fewer at once, and a pause that doubles with each round in a row.

        Overload slows nobody while no more of the last calls were refused than is borne, and pauses us from the second
        round in a row on.
        """
        depth, rounds = MILLION, max(self._failures, 1)
        if overloaded:
            rounds -= 1
            if not rounds or self.in_flight:  # others may go through
                more = max(0, self._overload - OVERLOAD_BORNE)
                depth = min(more * MILLION // (OVERLOAD_FULL - OVERLOAD_BORNE), MILLION)
        if not depth:
            return
        self._narrow(depth)
        if rounds:
            pause = min(self.rules.pause_min * (1 << min(rounds - 1, 20)), self.rules.pause_max)
            self._pause(at + round(pause / MICROSECOND * (1 - chance / 2) * depth / MILLION))

    def _narrow(self, depth: int) -> None:
        """Allow less than was in flight: half where ``depth`` is a million, and once for all that was out together.

        How far it may widen quickly afterwards is what the first of a row says.
        """
        least = min(self.rules.in_flight_start, self.rules.in_flight_max)
        self._window = max(min(self._window, self._before - self._before * depth // (2 * MILLION)), least)
        if self._failures == 1:
            self._window_goal = self._window

    def _recover(self, *, slowed: bool) -> None:
        """A call went well: a quarter more a round, three times as many below the goal once calls of before are all back."""
        self._failures = 0
        if not slowed:
            for limit in self._limits.values():
                limit.lengthen()
        self._window_credit += 8 if self._window < self._window_goal and not slowed else 1
        self._window = min(self._window + self._window_credit // 4, self.rules.in_flight_max)
        self._window_credit %= 4


MICROSECOND: Final = timedelta(microseconds=1)
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DRAIN_SECONDS: Final = 5  # over which news are gathered before they change the learned use of others
DRAIN_QUIET_SECONDS: Final = 10  # without headers, after which the learned use of others is halved again and again
DRAIN_TRIED: Final = 16  # that part of a limit is given back to us after each time that brought no news
SET_BACK: Final = 5 * MINUTE  # at least, of a clock: less is late, and costs no more than that
FULL_SECONDS: Final = 3  # what may be missing in a bucket that we take for full
DRAIN_PERCENT_MAX: Final = 90  # of a limit; the rest finds out when they stop
LATENCY_MEMORY: Final = 16  # calls
# Of the last calls, how many (in millionths) may be refused for overload and nobody is slower for it: a provider that
# is overloaded refuses a few whoever asks. From OVERLOAD_FULL on what is in flight is halved each round.
OVERLOAD_MEMORY: Final = 32  # calls
OVERLOAD_BORNE: Final = 100_000
OVERLOAD_FULL: Final = 430_000
MILLION: Final = 1_000_000
RATIO_FIRST: Final = 5  # calls
RATIO_MEMORY: Final = 0.98  # the weight of a call after the next one


@dataclass(slots=True)
class _Part:
    """What one call in flight holds of one limit, and what was believed of it when it started.

    ``uncounted``: how much of it the headers of its own reply may not contain yet.
    """

    amount: int
    level: int
    corrected: int
    covered: bool
    uncounted: int = 0


@dataclass(slots=True)
class _Call:
    """One call in flight."""

    at: int
    parts: dict[Measure, _Part] = field(default_factory=dict)


class _Ratio:
    """How estimates have erred: what was counted for one estimated token, and how much single calls stray from that."""

    __slots__ = ("counted", "error", "estimated", "squares", "strayed")

    def __init__(self) -> None:
        self.counted = self.estimated = self.squares = 1.0
        self.strayed = 0.1
        # Of one call (root of the mean square), as a share of what it will likely count.
        self.error = sqrt(self.strayed)

    def apply(self, estimate: int) -> int:
        """Give what such an estimate will likely count."""
        return ceil(estimate * self.counted / self.estimated)

    def learn(self, estimate: int, counted: int) -> None:
        """Take one answer in. The first answers are the short ones: beside them a few are taken to be as estimated."""
        if self.estimated == 1.0:
            self.counted = self.estimated = float(estimate * RATIO_FIRST + 1)
        likely = estimate * self.counted / self.estimated
        self.counted = self.counted * RATIO_MEMORY + counted
        self.estimated = self.estimated * RATIO_MEMORY + estimate
        self.squares = self.squares * RATIO_MEMORY + likely * likely
        self.strayed = self.strayed * RATIO_MEMORY + (counted - likely) ** 2
        self.error = sqrt(self.strayed / self.squares)


class _Limit:
    """One limit of a minute. Levels are in tokens times microseconds of a minute, so that refilling is exact."""

    __slots__ = (
        "at", "burst", "burst_full", "capacity", "corrected", "cushion", "drain", "guess", "heard_at", "held", "late", "level", "limit",
        "news", "news_at", "pace", "partly_late", "quiet_at", "squares", "step",
    )  # fmt: skip

    def __init__(self, limit: int, *, measure: Measure, rules: PacingRules, at: int) -> None:
        written = rules.output_counted is OutputCounted.WRITTEN
        self.step = 1 if measure is Measure.REQUESTS else rules.token_step
        self.late = written and measure is Measure.OUTPUT_TOKENS  # counted when the call ends
        self.partly_late = written and measure is Measure.TOKENS  # counted here at the start, there partly at the end
        self.at = at
        self.held = self.squares = 0  # of calls in flight: the sum of their amounts, and of the squares
        self.drain = 0  # a minute, by others
        self.heard_at: int | None = None
        self.news = self.news_at = self.corrected = self.quiet_at = 0
        self.level = self.pace = self.guess = 0
        self.burst = self.burst_full = 1
        self.resize(limit, rules)
        self.level = self.cushion * MINUTE

    def resize(self, limit: int, rules: PacingRules) -> None:
        """Take a limit that the provider names now."""
        self.limit = limit
        self.capacity = min(limit, self.guess) if self.guess else limit
        self.cushion = min(max(limit * rules.cushion_percent // 100, self.step), self.capacity // 4)
        shortened = self.burst_full // max(1, self.burst)
        self.burst_full = max(1, min(limit * rules.burst_seconds // 60, self.capacity // 2))
        self.burst = max(1, self.burst_full // shortened)
        self.level = min(self.level, self.capacity * MINUTE)
        self.pace = min(self.pace, self.burst * MINUTE)
        self.drain = min(self.drain, limit * DRAIN_PERCENT_MAX // 100)

    def measure(self, remaining: int, refilled_in: int, rules: PacingRules) -> None:
        """Learn from what remains, and the microseconds until it is whole, how much the bucket holds.

        A provider that enforces shorter bursts has smaller ones. The largest guess counts; a second is granted. One
        that is empty may be below zero, and says nothing.
        """
        guess = remaining + self.step + self.limit * (max(0, refilled_in) + SECOND) // MINUTE
        if guess > self.guess and remaining > 0:
            self.guess = guess
            if min(guess, self.limit) != self.capacity:
                self.resize(self.limit, rules)

    def flow(self, at: int) -> None:
        """Refill up to this instant. A clock that was set back starts anew from there."""
        if at == self.at and not self.drain:
            return  # calls start and end many at a time
        if at < self.at:
            self.at = at
            self.quiet_at = min(self.quiet_at, at + DRAIN_QUIET_SECONDS * SECOND)
        while self.drain and self.quiet_at <= at:
            self._refill(self.quiet_at)
            self.drain //= 2
            self.quiet_at += DRAIN_SECONDS * SECOND
        self._refill(at)

    def _refill(self, at: int) -> None:
        passed = max(0, at - self.at)
        self.at = max(self.at, at)
        pace_rate = self._pace_rate(self.drain)
        self.level = min(self.level + passed * (self.limit - self.drain), self.capacity * MINUTE)
        self.pace = min(self.pace + passed * pace_rate, self.burst * MINUTE)

    def _pace_rate(self, drain: int) -> int:
        """While there is plenty left the whole limit may be used, whatever others seem to take: it ends with the plenty."""
        plenty = min(self.cushion + 2 * self.burst_full, self.capacity * 2 // 3) + (self.held if self.late else 0)
        return self.limit if self.level >= plenty * MINUTE else self.limit - drain

    def _covers(self, amount: int) -> bool:
        """Whether this call and all in flight may end at once and leave half of the limit: then output needs no pace."""
        return self.late and self.level >= (self.held + amount + self.capacity // 2) * MINUTE

    def wait(self, amount: int, spread: int, latency_micros: int) -> int:
        """Give the microseconds until a call of that amount may start."""
        if self.late:
            need = self.cushion + min(self.held, self.burst) // 2 + self._excess(latency_micros)
        else:
            need = amount + self.cushion + spread
        level_missing = min(need, self.capacity) * MINUTE - self.level
        pace_missing = 0 if self._covers(amount) else min(amount, self.burst) * MINUTE - self.pace
        passed, drain, quiet_at = 0, self.drain, self.quiet_at
        while level_missing > 0 or pace_missing > 0:
            level_rate, pace_rate = self.limit - drain, self._pace_rate(drain)
            more = max(-(-level_missing // level_rate), -(-pace_missing // pace_rate))
            if not drain or self.at + passed + more <= quiet_at:
                return passed + more
            step = max(0, quiet_at - self.at - passed)
            level_missing -= step * level_rate
            pace_missing -= step * pace_rate
            passed, drain, quiet_at = passed + step, drain // 2, quiet_at + DRAIN_SECONDS * SECOND
        return passed

    def _excess(self, latency_micros: int) -> int:
        """What calls in flight will write beyond what is refilled meanwhile, where others take a part of that."""
        refilled = (self.limit - self.drain) * latency_micros // MINUTE
        return max(0, self.held - refilled) if self.drain else 0

    def spread(self, error: float) -> int:
        """How far calls in flight may count more than they hold, twice over; at most a quarter of the limit."""
        return min(int(2 * error * sqrt(self.squares)), self.capacity // 4)

    def start(self, amount: int) -> _Part:
        """Take the amount of a call that starts."""
        covered = self._covers(amount)
        self.held += amount
        self.squares += amount * amount
        if not covered:
            self.pace -= amount * MINUTE
        if not self.late:
            self.level -= amount * MINUTE
        return _Part(amount, self.level, self.corrected, covered)

    def finish(self, part: _Part, counted: int) -> None:
        """Put what was counted in the place of what was held."""
        self.held -= part.amount
        self.squares -= part.amount * part.amount
        surplus = (part.amount - counted) * MINUTE
        if not part.covered:
            self.pace = min(self.pace + surplus, self.burst * MINUTE)
        if self.late:
            self.level -= counted * MINUTE
            part.level -= counted * MINUTE
            part.uncounted = counted
            return
        self.level = min(self.level + surplus, self.capacity * MINUTE)
        part.level += surplus
        part.uncounted = counted if self.partly_late else 0

    def below_zero(self, seen: Seen, at: int) -> int:
        """Give what remains, below zero where nothing does and the time of refilling says how much is missing.

        Two seconds are granted for clocks that differ and for rounding.
        """
        assert seen.remaining is not None
        if seen.remaining > 0 or seen.reset_at is None:
            return max(0, seen.remaining)
        missing_seconds = (_micros(seen.reset_at) - at) // SECOND - 62
        return -min(max(0, missing_seconds * self.limit // 60), self.limit)

    def look(self, remaining: int, part: _Part, spread: int, at: int) -> None:
        """Compare what a header says with the readings it can have, and correct the level by what is outside them all."""
        readings = (part.level, part.level + self.corrected - part.corrected, self.level)
        low = min(readings) - spread * MINUTE
        high = max(readings) + (spread + part.uncounted + (self.held if self.partly_late else 0)) * MINUTE
        said, said_max = remaining * MINUTE, (remaining + self.step) * MINUTE
        news = said_max - low if said_max < low else max(0, said - high)
        full = said_max >= (self.capacity - self.limit * FULL_SECONDS // 60) * MINUTE
        if self.heard_at is None:
            self.news_at = at
        elif not full:
            self.news += news
        self.heard_at = at
        self.quiet_at = at + DRAIN_QUIET_SECONDS * SECOND
        self.level = min(self.level + news, self.capacity * MINUTE)
        self.corrected += news
        self._learn_drain(at, full=full)

    def _learn_drain(self, at: int, *, full: bool) -> None:
        passed = at - self.news_at
        if passed < DRAIN_SECONDS * SECOND:
            return
        if full:  # which shows nobody's use, so that what was learned is forgotten
            self.drain //= 2
        elif not self.news:  # it may have stopped: where headers are old that does not show until we try
            self.drain = max(0, self.drain - self.limit // DRAIN_TRIED)
        else:
            faster = -self.news // (2 * passed)  # half of it a minute: the other half comes next time if it stays
            self.drain = min(max(0, self.drain + faster), self.limit * DRAIN_PERCENT_MAX // 100)
        self.news = 0
        self.news_at = at

    def lower(self, most: int) -> None:
        """Believe in no more than that; as far below zero as a minute's refill."""
        self.level = min(self.level, max(most, -self.limit) * MINUTE)

    def shorten(self) -> None:
        """Allow bursts of half the length, one second at least, or all that the bucket allows where that is less."""
        self.burst = max(self.burst // 2, min(self.limit // 60, self.burst_full), 1)
        self.pace = min(self.pace, 0)

    def lengthen(self) -> None:
        """Allow longer bursts again, a little with each call that went well."""
        if self.burst < self.burst_full:
            self.burst = min(self.burst_full, self.burst + self.burst_full // 256 + 1)


def _micros(moment: datetime) -> int:
    assert moment.tzinfo is not None, "an instant has an offset"
    return (moment - EPOCH) // MICROSECOND
