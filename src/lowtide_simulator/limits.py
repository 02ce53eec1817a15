"""How much the simulated provider lets a customer ask for at a time.

Here: the token buckets of the Messages API and of the batch endpoints, by tier, and their headers. Not here: the clock
(every call is told ``now``). Law: a bucket holds one minute's limit, refills evenly, and is never asked twice for one
request; cache reads cost no input tokens; output is charged after the fact and is not reserved from ``max_tokens``.

Source: reference sheet of the provider's API, sections 1.5, 2.6, 2.7, 2.8, checked 2026-11-21. That a bucket holds a
whole minute is read from recorded headers (limit 20000, remaining 19999 right after one request, 2026-03-17).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from lowtide_simulator.clock import SECOND, Instant, zulu
from lowtide_simulator.errors import ApiError

MINUTE: Final = 60 * SECOND


class Tier(StrEnum):
    """The provider's usage tiers: now (start, build, scale) and as of December 2025 (tier_1 to tier_4)."""

    START = "start"
    BUILD = "build"
    SCALE = "scale"
    TIER_1 = "tier_1"
    TIER_2 = "tier_2"
    TIER_3 = "tier_3"
    TIER_4 = "tier_4"


@dataclass(frozen=True, slots=True)
class Rate:
    """Limits of one model group, a minute."""

    requests: int = 10**9
    input_tokens: int = 10**12
    output_tokens: int = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class TierLimits:
    """Every limit of a tier. ``groups`` overrides ``messages`` for single model groups.

    A bucket holds what flows in within ``burst_seconds``: less than a minute is how the provider says it enforces.
    """

    messages: Rate = Rate()
    batch_requests_per_minute: int = 10**9
    batch_queued_requests: int = 10**12
    count_requests_per_minute: int = 10**9
    groups: dict[str, Rate] = field(default_factory=dict)
    burst_seconds: float = 60.0


UNLIMITED: Final = TierLimits()

FABLES: Final = ("fable-5", "fable-5-1", "fable-5-2", "mythos-5", "mythos-5-1", "mythos-5-2")
"""The sheet gives Fable 5 only; its relatives are our guess."""


def _fables(rate: Rate) -> dict[str, Rate]:
    return dict.fromkeys(FABLES, rate)


TIERS: Final[dict[Tier, TierLimits]] = {
    Tier.START: TierLimits(
        messages=Rate(1_000, 2_000_000, 400_000),
        groups=_fables(Rate(1_000, 500_000, 100_000)),
        batch_requests_per_minute=1_000,
        batch_queued_requests=200_000,
        count_requests_per_minute=2_000,
    ),
    Tier.BUILD: TierLimits(
        messages=Rate(5_000, 5_000_000, 1_000_000),
        groups=_fables(Rate(2_000, 1_500_000, 300_000)),
        batch_requests_per_minute=2_000,
        batch_queued_requests=300_000,
        count_requests_per_minute=4_000,
    ),
    Tier.SCALE: TierLimits(
        messages=Rate(10_000, 10_000_000, 2_000_000),
        groups=_fables(Rate(4_000, 4_000_000, 800_000)),
        batch_requests_per_minute=4_000,
        batch_queued_requests=500_000,
        count_requests_per_minute=8_000,
    ),
    Tier.TIER_1: TierLimits(
        messages=Rate(50, 30_000, 8_000),
        groups={"haiku-4-5": Rate(50, 50_000, 10_000)},
        batch_requests_per_minute=50,
        batch_queued_requests=100_000,
        count_requests_per_minute=100,
    ),
    Tier.TIER_2: TierLimits(
        messages=Rate(1_000, 450_000, 90_000),
        batch_requests_per_minute=1_000,
        batch_queued_requests=200_000,
        count_requests_per_minute=2_000,
    ),
    Tier.TIER_3: TierLimits(
        messages=Rate(2_000, 800_000, 160_000),
        groups={"haiku-4-5": Rate(2_000, 1_000_000, 200_000)},
        batch_requests_per_minute=2_000,
        batch_queued_requests=300_000,
        count_requests_per_minute=4_000,
    ),
    Tier.TIER_4: TierLimits(
        messages=Rate(4_000, 2_000_000, 400_000),
        groups={"haiku-4-5": Rate(4_000, 4_000_000, 800_000)},
        batch_requests_per_minute=4_000,
        batch_queued_requests=500_000,
        count_requests_per_minute=8_000,
    ),
}


class Bucket:
    """A token bucket; levels are in micro-tokens so that refilling is exact.

    It refills by ``limit`` a minute and holds what flows in within ``burst_seconds``, at least one.
    """

    __slots__ = ("at", "capacity", "level", "limit")

    def __init__(self, limit: int, now: Instant, burst_seconds: float = 60.0) -> None:
        self.limit = limit
        self.capacity = max(1, int(limit * burst_seconds / 60))
        self.level = self.capacity * MINUTE
        self.at = now

    def refill(self, now: Instant) -> None:
        """Add what has flowed in since the last look."""
        if now > self.at:
            self.level = min(self.capacity * MINUTE, self.level + (now - self.at) * self.limit)
            self.at = now

    def wait(self, amount: int, now: Instant) -> int:
        """Microseconds until ``amount`` (at most a whole bucket) is there; 0 when it is there now."""
        self.refill(now)
        missing = min(amount, self.capacity) * MINUTE - self.level
        return -(-missing // self.limit) if missing > 0 else 0

    def take(self, amount: int) -> None:
        """Take it, below zero if need be (output tokens are charged after the fact)."""
        self.level -= amount * MINUTE

    def drain(self) -> None:
        """Take what is left, as a refused request does where those count: to zero and no further."""
        self.level = min(self.level, 0)

    def remaining(self) -> int:
        """Whole tokens left, never below 0."""
        return max(0, self.level // MINUTE)

    def full_at(self, now: Instant) -> Instant:
        """When it will be full again."""
        return Instant(now + -(-(self.capacity * MINUTE - self.level) // self.limit))


@dataclass(slots=True)
class GroupBuckets:
    """The three buckets of one model group."""

    requests: Bucket
    input_tokens: Bucket
    output_tokens: Bucket


class Limits:
    """All buckets of one customer."""

    def __init__(self, tier: TierLimits, now: Instant) -> None:
        self.tier = tier
        self.groups: dict[str, GroupBuckets] = {}
        self.batch_requests = Bucket(tier.batch_requests_per_minute, now)
        self.count_requests = Bucket(tier.count_requests_per_minute, now)
        self._start = now

    def group(self, name: str) -> GroupBuckets:
        """The buckets of a model group."""
        buckets = self.groups.get(name)
        if buckets is None:
            rate = self.tier.groups.get(name, self.tier.messages)
            burst = self.tier.burst_seconds
            buckets = self.groups[name] = GroupBuckets(
                Bucket(rate.requests, self._start, burst),
                Bucket(rate.input_tokens, self._start, burst),
                Bucket(rate.output_tokens, self._start, burst),
            )
        return buckets

    def admit(self, name: str, input_tokens: int, now: Instant) -> None:
        """Let one request in, or raise the 429 that names the limit it met. ``input_tokens`` leaves cache reads out."""
        buckets = self.group(name)
        needs = (
            (buckets.requests, 1, "requests"),
            (buckets.input_tokens, input_tokens, "input tokens"),
            (buckets.output_tokens, 1, "output tokens"),
        )
        for bucket, amount, unit in needs:
            wait = bucket.wait(amount, now)
            if wait:
                raise refused(bucket.limit, unit, wait, headers=self.headers(name, now))
        buckets.requests.take(1)
        buckets.input_tokens.take(input_tokens)

    def charge_output(self, name: str, tokens: int) -> None:
        """Charge what was generated."""
        self.group(name).output_tokens.take(tokens)

    def admit_batch_call(self, now: Instant) -> None:
        """Let one call to any batch endpoint in, or raise the 429."""
        _admit_call(self.batch_requests, "batch requests", now)

    def admit_count(self, now: Instant) -> None:
        """Let one count_tokens call in, or raise the 429."""
        _admit_call(self.count_requests, "token counting requests", now)

    def admit_queue(self, queued: int, more: int) -> None:
        """Refuse a batch that would pass the limit of queued requests."""
        if queued + more > self.tier.batch_queued_requests:
            message = (
                "This request would exceed your organization's limit of "
                f"{self.tier.batch_queued_requests:,} batch requests in the processing queue. "
                f"There are {queued:,} in the queue and this batch has {more:,}."
            )
            raise ApiError(429, message)

    def headers(self, name: str, now: Instant) -> tuple[tuple[str, str], ...]:
        """The ``anthropic-ratelimit-*`` headers; remaining tokens are rounded to thousands, resets are RFC 3339."""
        buckets = self.group(name)
        both_limit = buckets.input_tokens.limit + buckets.output_tokens.limit
        found: list[tuple[str, str]] = []
        both_remaining = 0
        latest = now
        for kind, bucket in (("input-tokens", buckets.input_tokens), ("output-tokens", buckets.output_tokens)):
            bucket.refill(now)
            remaining = _thousands(bucket.remaining(), bucket.limit)
            both_remaining += remaining
            full_at = bucket.full_at(now)
            latest = max(latest, full_at)
            found += _header(kind, bucket.limit, remaining, full_at)
        requests = buckets.requests
        requests.refill(now)
        found += _header("requests", requests.limit, requests.remaining(), requests.full_at(now))
        return (*found, *_header("tokens", both_limit, both_remaining, latest))


def _thousands(remaining: int, limit: int) -> int:
    return remaining if remaining == limit else remaining // 1000 * 1000


def _header(kind: str, limit: int, remaining: int, reset: Instant) -> list[tuple[str, str]]:
    name = f"anthropic-ratelimit-{kind}"
    whole = Instant(-(-reset // SECOND) * SECOND)
    return [
        (f"{name}-limit", str(limit)),
        (f"{name}-remaining", str(remaining)),
        (f"{name}-reset", zulu(whole, whole=True)),
    ]


def _admit_call(bucket: Bucket, unit: str, now: Instant) -> None:
    wait = bucket.wait(1, now)
    if wait:
        raise refused(bucket.limit, unit, wait)
    bucket.take(1)


def refused(limit: int, unit: str, wait: int, *, headers: tuple[tuple[str, str], ...] = ()) -> ApiError:
    """The 429 in the provider's words (recorded 2024-12-15), with ``retry-after`` in whole seconds, rounded up."""
    message = (
        f"This request would exceed your organization's rate limit of {limit:,} {unit} per minute. For details, refer "
        "to: https://docs.anthropic.com/en/api/rate-limits; see the response headers for current usage. Please reduce "
        "the prompt length or the maximum tokens requested, or try again later."
    )
    seconds = max(1, -(-wait // SECOND))
    return ApiError(429, message, headers=(("retry-after", str(seconds)), ("x-should-retry", "true"), *headers))
