"""Both limiters on the virtual clock: who obeys can use all of a limit, who does not is refused and told when to come back.

Also: the figures can be chosen on the command line.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide_simulator.__main__ import main, options_of, parser
from lowtide_simulator.clock import SECOND, Instant, parse_instant
from lowtide_simulator.errors import ApiError
from lowtide_simulator.in_process import HEADERS, OPENAI_HEADERS, Answered, InProcess
from lowtide_simulator.limits import TIERS, Limits, Rate, Tier, TierLimits
from lowtide_simulator.openai.limits import Limits as OpenAIBuckets
from lowtide_simulator.openai.limits import ModelLimits, OpenAILimits, duration
from lowtide_simulator.openai.provider import OpenAIOptions
from lowtide_simulator.world import World, WorldOptions

START = parse_instant("2026-11-21T10:00:00Z")
MINUTES = 10
MESSAGE = {"model": "claude-sonnet-5", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}]}
CHAT = {"model": "gpt-6-luna", "max_completion_tokens": 20, "messages": [{"role": "user", "content": "Hello"}]}


def anthropic(rate: Rate, burst: float = 60.0) -> InProcess:
    limits = TierLimits(messages=rate, burst_seconds=burst)
    return InProcess(World(WorldOptions(tier_limits=limits)), HEADERS)


def openai(each: ModelLimits, burst: float = 60.0) -> InProcess:
    limits = OpenAILimits(each=each, burst_seconds=burst)
    return InProcess(World(WorldOptions(openai=OpenAIOptions(limits=limits))), OPENAI_HEADERS)


def drive(limits: Any, admit: Callable[[Any, Instant], None], retry: str, scale: int) -> tuple[int, int]:
    """Ask as fast as one is let for ``MINUTES``; returns admitted and refused. A refusal is obeyed exactly."""
    now, end = START, START + MINUTES * 60 * SECOND
    admitted = refused = 0
    while now < end:
        try:
            admit(limits, now)
            admitted += 1
        except ApiError as error:
            refused += 1
            now = Instant(now + int(dict(error.headers)[retry]) * scale)
    return admitted, refused


@pytest.mark.parametrize("burst", [60.0, 5.0])
def test_who_obeys_anthropics_limiter_uses_all_of_it(burst: float) -> None:
    tier = TierLimits(messages=Rate(60, 10**9, 10**9), burst_seconds=burst)
    admitted, refused = drive(
        Limits(tier, START), lambda limits, now: limits.admit("sonnet-5", 10, now), "retry-after", SECOND
    )
    assert admitted == 60 * MINUTES + burst - 1, "the bucket it began with and all that flowed in before the end"
    assert refused <= 60 * MINUTES, "one refusal for each second, because retry-after is in whole seconds"


@pytest.mark.parametrize("tokens", [7, 1_000, 30_000])
def test_who_obeys_the_input_token_limit_uses_all_of_it(tokens: int) -> None:
    limits = Limits(TierLimits(messages=Rate(10**9, 30_000, 10**9)), START)
    admitted, _ = drive(limits, lambda it, now: it.admit("sonnet-5", tokens, now), "retry-after", SECOND)
    used = admitted * tokens
    assert used >= 30_000 * MINUTES
    assert used <= 30_000 * (MINUTES + 1) + tokens


@pytest.mark.parametrize("burst", [60.0, 5.0])
def test_who_obeys_openais_limiter_to_the_millisecond_uses_all_of_it(burst: float) -> None:
    each = ModelLimits(requests_per_minute=60, tokens_per_minute=10**9)
    buckets = OpenAIBuckets(OpenAILimits(each=each, burst_seconds=burst), START)
    admitted, refused = drive(
        buckets, lambda it, now: it.admit("gpt-6-luna", 10, now), "retry-after-ms", SECOND // 1000
    )
    assert admitted == 60 * MINUTES + burst - 1
    assert refused == 60 * MINUTES


def test_who_hammers_openai_never_gets_in_again() -> None:
    buckets = OpenAIBuckets(OpenAILimits(each=ModelLimits(requests_per_minute=60)), START)
    now = START
    admitted = 0
    for _ in range(6_000):
        try:
            buckets.admit("gpt-6-luna", 1, now)
            admitted += 1
        except ApiError:
            now = Instant(now + SECOND // 2)
    assert admitted == 60, "a refused request counts, so twice a second is never let in at one a second"


def test_the_token_limit_counts_the_larger_of_what_may_be_written_and_what_was_asked() -> None:
    it = openai(ModelLimits(tokens_per_minute=1_000))
    first = it.ask("POST", "/v1/chat/completions", {**CHAT, "max_completion_tokens": 600})
    assert first.status == 200
    assert first.headers["x-ratelimit-remaining-tokens"] == "400"
    assert first.headers["x-ratelimit-reset-tokens"] == "36s"
    long = {**CHAT, "messages": [{"role": "user", "content": "x" * 2_000}], "max_completion_tokens": 1}
    refused = it.ask("POST", "/v1/chat/completions", long)
    assert (refused.status, refused.json()["error"]["type"]) == (429, "tokens")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "tokens per min (TPM): Limit 1000, Used 600, Requested 506" in refused.json()["error"]["message"]
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("7", "6360")
    it.advance(6.36)
    assert it.ask("POST", "/v1/chat/completions", long).status == 200
    never = it.ask("POST", "/v1/chat/completions", {**CHAT, "max_completion_tokens": 1_001})
    assert "Request too large" in never.json()["error"]["message"]
    assert "retry-after" not in never.headers
    assert it.ask("POST", "/v1/chat/completions", {**CHAT, "model": "gpt-6-sol"}).status == 200, "models do not share"


def test_refused_requests_are_free_and_answers_come_after_the_named_wait() -> None:
    it = openai(ModelLimits(requests_per_minute=2))
    answers = [it.ask("POST", "/v1/chat/completions", CHAT) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
    assert answers[0].headers["x-ratelimit-reset-requests"] == "30s"
    it.advance(int(answers[-1].headers["retry-after-ms"]) / 1000)
    assert it.ask("POST", "/v1/chat/completions", CHAT).status == 200
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 3


def test_a_background_response_counts_and_a_malformed_one_does_not_reach_the_limiter() -> None:
    it = openai(ModelLimits(requests_per_minute=1))
    assert it.ask("POST", "/v1/responses", {"model": "gpt-6-luna", "input": "x", "colour": 1}).status == 400
    assert it.ask("POST", "/v1/responses", {"model": "gpt-6-luna", "input": "x", "background": True}).status == 200
    assert it.ask("POST", "/v1/responses", {"model": "gpt-6-luna", "input": "x"}).status == 429


def test_anthropics_input_limit_leaves_cache_reads_out_and_counts_writes() -> None:
    it = anthropic(Rate(1_000, 5_000, 10**6))
    system = [{"type": "text", "text": "long " * 1_500, "cache_control": {"type": "ephemeral"}}]
    first = it.ask("POST", "/v1/messages", {**MESSAGE, "system": system})
    used = first.json()["usage"]
    assert used["cache_creation_input_tokens"] > 2_500
    for _ in range(20):
        answer = it.ask("POST", "/v1/messages", {**MESSAGE, "system": system})
        assert answer.json()["usage"]["cache_read_input_tokens"] == used["cache_creation_input_tokens"]
    fresh = {**MESSAGE, "system": [{"type": "text", "text": "other " * 1_500}]}
    refused = it.ask("POST", "/v1/messages", fresh)
    assert (refused.status, refused.headers["x-should-retry"]) == (429, "true")
    assert "5,000 input tokens per minute" in refused.json()["error"]["message"]
    it.advance(int(refused.headers["retry-after"]))
    assert it.ask("POST", "/v1/messages", fresh).status == 200


def test_anthropics_output_limit_counts_what_was_written_and_not_max_tokens() -> None:
    it = anthropic(Rate(1_000, 10**6, 1_000))
    body = {**MESSAGE, "max_tokens": 100_000}
    written = 0
    for _ in range(50):
        answer = it.ask("POST", "/v1/messages", body)
        if answer.status == 429:
            break
        written += answer.json()["usage"]["output_tokens"]
        body = {**body, "messages": [{"role": "user", "content": f"Hello {written}"}]}
    assert written >= 1_000, "it was let in until the limit was really written"
    assert "1,000 output tokens per minute" in answer.json()["error"]["message"]
    wait = int(answer.headers["retry-after"])
    assert wait - 1 <= (written - 1_000 + 1) * 60 / 1_000 <= wait, "as long as the excess takes to flow in"
    reset = parse_instant(answer.headers["anthropic-ratelimit-output-tokens-reset"])
    assert reset - START <= (written * 60 / 1_000 + 1) * SECOND


def test_a_bucket_of_a_few_seconds_refuses_a_burst_that_a_minute_would_allow() -> None:
    def burst(it: InProcess) -> list[Answered]:
        return [it.ask("POST", "/v1/messages", MESSAGE) for _ in range(60)]

    assert [answer.status for answer in burst(anthropic(Rate(60, 10**9, 10**9)))] == [200] * 60
    small = burst(anthropic(Rate(60, 10**9, 10**9), burst=5.0))
    assert [answer.status for answer in small].count(200) == 5
    assert small[0].headers["anthropic-ratelimit-requests-limit"] == "60"
    assert small[0].headers["anthropic-ratelimit-requests-remaining"] == "4"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.006, "6ms"), (0.12, "120ms"), (1, "1s"), (18.862, "18.862s"), (360, "6m0s"), (3_725.5, "1h2m5.5s")],
)
def test_durations_are_written_as_recorded(seconds: float, text: str) -> None:
    assert duration(round(seconds * SECOND)) == text


def test_batches_an_hour() -> None:
    limits = OpenAILimits(batches_per_hour=3)
    it = InProcess(World(WorldOptions(openai=OpenAIOptions(limits=limits))), OPENAI_HEADERS)
    body = {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert [it.ask("POST", "/v1/batches", body).status for _ in range(4)] == [200, 200, 200, 429]
    it.advance(3_600)
    assert it.ask("POST", "/v1/batches", body).status == 200


# ------------------------------------------------------------------ the command line


def options(*flags: str) -> WorldOptions:
    return options_of(parser().parse_args(list(flags)))


def test_no_flag_is_no_limit() -> None:
    chosen = options()
    assert chosen.limits().messages.requests == 10**9
    assert chosen.openai.limits == OpenAILimits()


def test_single_flags_change_single_figures_of_a_tier_and_of_both_halves() -> None:
    chosen = options(
        "--tier", "start", "--requests-per-minute", "7", "--tokens-per-minute", "900", "--burst-seconds", "4"
    )
    assert chosen.limits().messages == Rate(7, 2_000_000, 400_000)
    assert chosen.limits().groups["fable-5"] == Rate(7, 500_000, 100_000)
    assert chosen.limits().batch_queued_requests == TIERS[Tier.START].batch_queued_requests
    assert chosen.limits().burst_seconds == chosen.openai.limits.burst_seconds == 4
    assert chosen.openai.limits.each == ModelLimits(requests_per_minute=7, tokens_per_minute=900)
    more = options("--input-tokens-per-minute", "5", "--output-tokens-per-minute", "6", "--batch-queue-tokens", "8")
    assert more.limits().messages == Rate(10**9, 5, 6)
    assert more.openai.limits.each.batch_queue_tokens == 8
    assert options("--batches-per-hour", "3").openai.limits.batches_per_hour == 3


def test_a_file_says_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "limits.json"
    given = {
        "anthropic": {
            "messages": {"requests": 50, "input_tokens": 30_000, "output_tokens": 8_000},
            "burst_seconds": 10,
        },
        "openai": {
            "each": {"requests_per_minute": 500},
            "models": {"gpt-6-luna": {"tokens_per_minute": 200_000, "batch_queue_tokens": 2_000_000}},
        },
    }
    path.write_text(json.dumps(given))
    chosen = options("--limits", str(path))
    assert chosen.limits().messages == Rate(50, 30_000, 8_000)
    assert chosen.limits().burst_seconds == 10
    assert chosen.openai.limits.of("gpt-6-luna").batch_queue_tokens == 2_000_000
    assert chosen.openai.limits.of("gpt-6-sol").requests_per_minute == 500


def test_a_wrong_limits_file_is_told_with_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "limits.json"
    path.write_text('{"openai": {"each": {"requests_per_minute": "many"}}}')
    with pytest.raises(SystemExit):
        main(["--limits", str(path)])
    assert "$.openai.each.requests_per_minute" in capsys.readouterr().err


def test_a_profile_is_chosen_by_name() -> None:
    assert options("--profile", "azure").openai.profile.base_path == "/openai/v1"
    assert options().openai.profile.name == "openai"
