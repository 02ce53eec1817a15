"""The token buckets and their headers."""

import pytest

from lowtide_simulator.clock import SECOND, Instant, parse_instant
from lowtide_simulator.errors import ApiError
from lowtide_simulator.limits import TIERS, Limits, Rate, Tier, TierLimits

START = parse_instant("2026-11-21T10:00:00Z")
SMALL = TierLimits(
    messages=Rate(50, 30_000, 8_000),
    batch_requests_per_minute=5,
    batch_queued_requests=100,
    count_requests_per_minute=5,
)


def after(seconds: float) -> Instant:
    return Instant(START + int(seconds * SECOND))


def refusal(limits: Limits, tokens: int, now: Instant) -> ApiError:
    with pytest.raises(ApiError) as caught:
        limits.admit("sonnet-5", tokens, now)
    assert caught.value.status == 429
    return caught.value


def test_fifty_requests_a_minute_and_not_one_more() -> None:
    limits = Limits(SMALL, START)
    for _ in range(50):
        limits.admit("sonnet-5", 0, START)
    error = refusal(limits, 0, START)
    assert "50 requests per minute" in error.message
    assert dict(error.headers)["retry-after"] == "2", "1.2 seconds, rounded up"
    limits.admit("sonnet-5", 0, after(1.2))
    refusal(limits, 0, after(1.2))


def test_input_tokens_refill_evenly_and_are_never_taken_by_a_refusal() -> None:
    limits = Limits(SMALL, START)
    limits.admit("sonnet-5", 30_000, START)
    for _ in range(10):
        error = refusal(limits, 15_000, START)
    assert dict(error.headers)["retry-after"] == "30"
    refusal(limits, 15_000, after(29.9))
    limits.admit("sonnet-5", 15_000, after(30))


def test_a_request_larger_than_the_bucket_goes_when_the_bucket_is_full() -> None:
    limits = Limits(SMALL, START)
    limits.admit("sonnet-5", 90_000, START)
    refusal(limits, 1, after(60))
    limits.admit("sonnet-5", 1, after(121))


def test_output_is_charged_after_the_fact() -> None:
    limits = Limits(SMALL, START)
    limits.admit("sonnet-5", 1, START)
    limits.charge_output("sonnet-5", 16_000)
    assert "8,000 output tokens per minute" in refusal(limits, 1, after(30)).message
    limits.admit("sonnet-5", 1, after(61))


def test_groups_do_not_share() -> None:
    limits = Limits(SMALL, START)
    limits.admit("sonnet-5", 30_000, START)
    limits.admit("opus-5", 30_000, START)


def test_headers_say_what_is_left_in_thousands() -> None:
    limits = Limits(SMALL, START)
    limits.admit("sonnet-5", 12_345, START)
    headers = dict(limits.headers("sonnet-5", START))
    assert headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert headers["anthropic-ratelimit-input-tokens-limit"] == "30000"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "17000"
    assert headers["anthropic-ratelimit-output-tokens-remaining"] == "8000"
    assert headers["anthropic-ratelimit-tokens-limit"] == "38000"
    assert headers["anthropic-ratelimit-input-tokens-reset"] == "2026-11-21T10:00:25Z"


def test_the_batch_pool_has_calls_and_a_queue_of_its_own() -> None:
    limits = Limits(SMALL, START)
    for _ in range(5):
        limits.admit_batch_call(START)
    with pytest.raises(ApiError):
        limits.admit_batch_call(START)
    limits.admit("sonnet-5", 1, START)
    limits.admit_queue(60, 40)
    with pytest.raises(ApiError, match="processing queue"):
        limits.admit_queue(60, 41)


def test_the_tiers_are_the_published_ones() -> None:
    start, scale, first = TIERS[Tier.START], TIERS[Tier.SCALE], TIERS[Tier.TIER_1]
    assert (start.messages, start.groups["fable-5"]) == (Rate(1_000, 2_000_000, 400_000), Rate(1_000, 500_000, 100_000))
    assert (start.batch_requests_per_minute, start.batch_queued_requests) == (1_000, 200_000)
    assert (scale.batch_requests_per_minute, scale.batch_queued_requests) == (4_000, 500_000)
    assert (first.messages, first.groups["haiku-4-5"]) == (Rate(50, 30_000, 8_000), Rate(50, 50_000, 10_000))
