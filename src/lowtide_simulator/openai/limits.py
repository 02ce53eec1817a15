"""How much OpenAI's half of the simulated provider lets a customer ask for at a time.

Here: the buckets of requests and tokens by model, their headers, the queue of batch tokens, batches an hour. Not here: the
clock. Law: a request that is refused still counts as a request; tokens are charged before the answer, on the larger of
what may be written and what was asked, and are not given back.

Source: reference sheet of OpenAI's API, sections 2.2 and 2.4; recorded headers (limit 500, remaining 499, reset 120ms).
Checked 2026-11-21.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.limits import Bucket
from lowtide_simulator.openai.errors import Refusal

HOUR: Final = 3_600 * SECOND
ORGANIZATION: Final = "org-simulated00000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """Limits of one model."""

    requests_per_minute: int = 10**9
    tokens_per_minute: int = 10**12
    batch_queue_tokens: int = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAILimits:
    """Every limit of a customer; ``models`` overrides ``each`` for single models. A bucket holds ``burst_seconds``."""

    each: ModelLimits = field(default_factory=ModelLimits)
    models: dict[str, ModelLimits] = field(default_factory=dict)
    batches_per_hour: int = 2_000
    burst_seconds: float = 60.0

    def of(self, model: str) -> ModelLimits:
        """The limits of a model."""
        return self.models.get(model, self.each)


UNLIMITED: Final = OpenAILimits(batches_per_hour=2_000)


@dataclass(slots=True)
class ModelBuckets:
    """The two buckets of one model."""

    requests: Bucket
    tokens: Bucket


class Limits:
    """All buckets of one customer."""

    def __init__(self, limits: OpenAILimits, now: Instant) -> None:
        self.limits = limits
        self.models: dict[str, ModelBuckets] = {}
        self.creates: deque[Instant] = deque()
        self._start = now

    def of(self, model: str) -> ModelBuckets:
        """The buckets of a model."""
        buckets = self.models.get(model)
        if buckets is None:
            limit, burst = self.limits.of(model), self.limits.burst_seconds
            buckets = self.models[model] = ModelBuckets(
                Bucket(limit.requests_per_minute, self._start, burst),
                Bucket(limit.tokens_per_minute, self._start, burst),
            )
        return buckets

    def admit(self, model: str, tokens: int, now: Instant) -> None:
        """Let one request in, or raise the 429 that names the limit it met."""
        buckets = self.of(model)
        wait = buckets.requests.wait(1, now)
        if wait:
            buckets.requests.drain()
            wait = buckets.requests.wait(1, now)
            raise self._refused(model, buckets.requests, 1, wait, now, "requests", "requests per min (RPM)")
        buckets.requests.take(1)
        if tokens > buckets.tokens.capacity:
            message = (
                f"Request too large for {model} in organization {ORGANIZATION} on tokens per min (TPM): Limit "
                f"{buckets.tokens.limit}, Requested {tokens}. The input or output tokens must be reduced in order to run "
                "successfully. Visit https://platform.openai.com/account/rate-limits to learn more."
            )
            raise Refusal(429, message, kind="tokens", code="rate_limit_exceeded", headers=self.headers(model, now))
        wait = buckets.tokens.wait(tokens, now)
        if wait:
            raise self._refused(model, buckets.tokens, tokens, wait, now, "tokens", "tokens per min (TPM)")
        buckets.tokens.take(tokens)

    def _refused(
        self, model: str, bucket: Bucket, asked: int, wait: int, now: Instant, kind: str, unit: str
    ) -> Refusal:
        used = max(0, bucket.limit - bucket.remaining())
        message = (
            f"Rate limit reached for {model} in organization {ORGANIZATION} on {unit}: Limit {bucket.limit}, Used {used}, "
            f"Requested {asked}. Please try again in {duration(wait)}. Visit "
            "https://platform.openai.com/account/rate-limits to learn more."
        )
        seconds = max(1, -(-wait // SECOND))
        retry = (("retry-after", str(seconds)), ("retry-after-ms", str(-(-wait // 1000))))
        return Refusal(429, message, kind=kind, code="rate_limit_exceeded", headers=(*retry, *self.headers(model, now)))

    def headers(self, model: str, now: Instant) -> tuple[tuple[str, str], ...]:
        """The ``x-ratelimit-*`` headers; a reset is how long until the bucket is full."""
        buckets = self.of(model)
        found: list[tuple[str, str]] = []
        for kind, bucket in (("requests", buckets.requests), ("tokens", buckets.tokens)):
            bucket.refill(now)
            found += [
                (f"x-ratelimit-limit-{kind}", str(bucket.limit)),
                (f"x-ratelimit-remaining-{kind}", str(bucket.remaining())),
                (f"x-ratelimit-reset-{kind}", duration(bucket.full_at(now) - now)),
            ]
        return tuple(found)

    def admit_create(self, now: Instant) -> None:
        """Let one batch be created, or raise the 429: so many an hour."""
        while self.creates and self.creates[0] <= now - HOUR:
            self.creates.popleft()
        limit = self.limits.batches_per_hour
        if len(self.creates) >= limit:
            wait = self.creates[0] + HOUR - now
            message = (
                f"Rate limit reached for batch creation in organization {ORGANIZATION}: Limit {limit} / hour. Please try "
                f"again in {duration(wait)}."
            )
            seconds = max(1, -(-wait // SECOND))
            headers = (("retry-after", str(seconds)), ("retry-after-ms", str(-(-wait // 1000))))
            raise Refusal(429, message, kind="requests", code="rate_limit_exceeded", headers=headers)
        self.creates.append(now)


def duration(micros: int) -> str:
    """A span as the headers write it: ``0s``, ``120ms``, ``18.862s``, ``6m0s``."""
    if micros <= 0:
        return "0s"
    millis = -(-micros // 1000)
    if millis < 1000:
        return f"{millis}ms"
    seconds, rest = divmod(millis, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    tail = f"{seconds}.{rest:03d}".rstrip("0").rstrip(".") if rest else str(seconds)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{tail}s"
