"""OpenAI's dialect alone: what the suite of all codecs does not ask, because no other provider has it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from lowtide.batch import BatchEvent, BatchView, Counts, LineProblem
from lowtide.catalog import Lane
from lowtide.pacing import Measure, Seen
from lowtide.providers import ApiError, BatchPage, CallParts
from lowtide.providers.openai import OpenAICodec
from lowtide.providers.openai_errors import duration
from lowtide.providers.openai_profiles import AZURE, COMPATIBLE, GROQ, PROFILES
from lowtide.providers.registry import PROTOCOLS, codec_for
from lowtide.providers.replies import TOKENS_MAX
from lowtide.request import Endpoint
from lowtide.result import Billed, Canceled, Errored, Outcome, Retry, Succeeded, refusal
from lowtide.usage import Usage

CODEC = OpenAICodec()
NOW = "Sat, 21 Nov 2026 10:00:00 GMT"
AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-6-luna",
    "output": [],
    "usage": {"input_tokens": 100, "output_tokens": 20},
}
CHAT: dict[str, Any] = {
    "object": "chat.completion",
    "model": "m",
    "choices": [{"message": {"content": "hej"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20},
}


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def outcome(message: object) -> Outcome:
    found = CODEC.decode_message(status=200, headers={}, body=encode(message))
    assert not isinstance(found, ApiError)
    return found


def usage(message: dict[str, Any], **counts: object) -> Usage:
    found = outcome(message | {"usage": message["usage"] | counts})
    assert isinstance(found, Succeeded), found
    return found.usage


# ------------------------------------------------------------------ usage


def test_counts_are_inclusive_already_and_details_may_be_missing() -> None:
    assert usage(CHAT) == Usage(input_tokens=100, output_tokens=20)
    assert usage(RESPONSE, input_tokens_details=None, output_tokens_details=None) == Usage(
        input_tokens=100, output_tokens=20
    )


@pytest.mark.parametrize(
    ("details", "options", "short", "long"),
    [
        (
            {"cache_write_tokens": 60, "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 40}},
            {},
            20,
            40,
        ),
        ({"cache_write_tokens": 60}, {}, 60, 0),
        ({"cache_write_tokens": 60}, {"ttl": "12h"}, 0, 60),
        ({"cache_write_tokens": 60}, {"ttl": "30m"}, 60, 0),
        ({"cache_write_tokens": 60, "cache_write_tokens_details": {"ttl_12h_tokens": 70}}, {}, 0, 60),
        ({"cached_tokens": 80, "cache_write_tokens": 60}, {}, 20, 0),
    ],
)
def test_writes_are_counted_by_their_lifetime(
    details: dict[str, object], options: dict[str, str], short: int, long: int
) -> None:
    """Where a reply does not split them, the response's own lifetime decides; never more than the input."""
    found = outcome(
        RESPONSE | {"usage": RESPONSE["usage"] | {"input_tokens_details": details}, "prompt_cache_options": options}
    )
    assert isinstance(found, Succeeded)
    assert (found.usage.cache_write_30m_tokens, found.usage.cache_write_12h_tokens) == (short, long)


@pytest.mark.parametrize(
    "broken", [{"input_tokens": -1}, {"input_tokens": None}, {"output_tokens": "7"}, {"output_tokens": TOKENS_MAX + 1}]
)
def test_usage_that_cannot_be_read_is_never_free(broken: dict[str, object]) -> None:
    found = outcome(RESPONSE | {"usage": RESPONSE["usage"] | broken})
    assert isinstance(found, Errored)
    assert refusal(found.code).billed is Billed.MAYBE


# ------------------------------------------------------------------ answers


def test_text_of_all_messages_is_joined_and_of_several_choices_the_first_is_taken() -> None:
    parts = [{"type": "output_text", "text": "a"}, {"type": "of_tomorrow"}, {"type": "output_text", "text": "b"}]
    items = [
        {"type": "reasoning", "content": None},
        {"type": "message", "content": parts},
        {"type": "message", "content": [{"text": "c"}]},
    ]
    found = outcome(RESPONSE | {"output": items})
    assert isinstance(found, Succeeded)
    assert (found.text, found.stop_reason) == ("abc", "end_turn")
    several = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("one", "two")]
    found = outcome(CHAT | {"choices": several})
    assert isinstance(found, Succeeded)
    assert found.text == "one"
    found = outcome(
        CHAT | {"choices": [{"message": {"content": [{"type": "text", "text": "p"}]}, "finish_reason": "eos"}]}
    )
    assert isinstance(found, Succeeded)
    assert (found.text, found.stop_reason) == ("p", "eos")


def test_a_chat_that_refuses_is_an_answer() -> None:
    choice = {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}
    found = outcome(CHAT | {"choices": [choice]})
    assert isinstance(found, Succeeded)
    assert (found.text, found.stop_reason) == ("", "refusal")


@pytest.mark.parametrize(
    ("changes", "code", "billed"),
    [
        ({"error": {"code": "server_error", "message": "broke"}}, "response_failed", Billed.MAYBE),
        ({"error": None}, "response_failed", Billed.MAYBE),
        (
            {"error": {"code": "rate_limit_exceeded", "message": "later"}, "usage": None},
            "rate_limit_exceeded",
            Billed.NO,
        ),
        ({"error": {"code": "invalid_prompt", "message": "no"}, "usage": None}, "invalid_prompt", Billed.NO),
        # Something was made before it failed: whatever the code says, it may be on the bill.
        ({"error": {"code": "invalid_prompt", "message": "no"}}, "response_failed", Billed.MAYBE),
    ],
)
def test_a_failed_response_says_whether_it_may_be_billed(changes: dict[str, object], code: str, billed: Billed) -> None:
    found = outcome(RESPONSE | {"status": "failed"} | changes)
    assert isinstance(found, Errored)
    assert (found.code, refusal(found.code).billed) == (code, billed)


def test_a_canceled_response_is_free_only_when_nothing_was_made() -> None:
    assert outcome(RESPONSE | {"status": "cancelled", "usage": None}) == Canceled()
    found = outcome(RESPONSE | {"status": "cancelled"})
    assert isinstance(found, Errored)
    assert refusal(found.code).billed is Billed.MAYBE


@pytest.mark.parametrize("reason", ["max_messages", None])
def test_an_incomplete_response_is_an_answer_with_its_reason(reason: str | None) -> None:
    found = outcome(RESPONSE | {"status": "incomplete", "incomplete_details": {"reason": reason}})
    assert isinstance(found, Succeeded)
    assert found.stop_reason == (reason or "incomplete")


def test_a_response_made_in_the_background_is_no_answer_yet() -> None:
    found = outcome({"id": "resp_1", "object": "response", "status": "in_progress"})
    assert isinstance(found, Errored)
    assert refusal(found.code).retry is Retry.AFTER_RECONCILE


# ------------------------------------------------------------------ lines


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        # Judged by its status first: a 400 with ``error: null`` is no success.
        ({"response": {"status_code": 400, "body": {"error": {"message": "m", "code": "odd"}}}, "error": None}, "invalid_request_error", "odd: m"),
        ({"response": {"status_code": 500, "body": {"error": {"message": "m", "type": "server_error"}}}}, "server_error", "m"),
        ({"response": {"status_code": 503, "body": None}}, "server_overloaded", "null"),
        ({"response": {"status_code": 429, "body": {"error": {"message": "m", "code": "rate_limit_exceeded"}}}}, "rate_limit_exceeded", "m"),
        ({"response": {"status_code": 418, "body": {}}}, "invalid_request_error", "http_418: {}"),
        ({"response": None, "error": {"code": "server_error", "message": "m"}}, "server_error", "m"),
        ({"response": None, "error": {"code": None, "message": None}}, "unknown_error", None),
        ({"response": None, "error": None}, "row_unreadable", None),
        ({"response": {"status_code": "200"}}, "row_unreadable", None),
    ],
)  # fmt: skip
def test_a_line_that_failed_has_a_code_that_the_table_knows(
    line: dict[str, Any], code: str, message: str | None
) -> None:
    found = CODEC.decode_result_line(encode({"id": "b", "custom_id": "a"} | line))
    assert isinstance(found.outcome, Errored)
    assert found.outcome.code == code
    assert message is None or found.outcome.message == message


def test_a_success_whose_error_is_set_too_is_an_answer() -> None:
    """It was made and billed."""
    line = {"custom_id": "a", "response": {"status_code": 200, "body": CHAT}, "error": {"code": "odd", "message": "m"}}
    assert isinstance(CODEC.decode_result_line(encode(line)).outcome, Succeeded)


# ------------------------------------------------------------------ batches

BATCH: dict[str, Any] = {"id": "batch_1", "status": "completed", "created_at": 1_790_000_000}


def view(**changes: object) -> BatchView:
    found = CODEC.decode_batch(status=200, headers={}, body=encode(BATCH | changes))
    assert isinstance(found, BatchView), found
    return found


def test_rows_that_were_not_worked_on_are_counted_by_how_it_ended() -> None:
    counts = {"total": 5, "completed": 2, "failed": 1}
    expired = view(status="expired", request_counts=counts, output_file_id="o", error_file_id="e")
    assert expired.counts == Counts(total=5, succeeded=2, errored=1, expired=2)
    canceled = view(status="cancelled", request_counts=counts, output_file_id="o", error_file_id="e")
    assert canceled.counts == Counts(total=5, succeeded=2, errored=1, canceled=2)
    assert view(status="in_progress", request_counts=counts).counts == Counts(total=5, succeeded=2, errored=1)


def test_paths_of_both_files_are_read_and_ids_quoted() -> None:
    found = view(output_file_id="file-o", error_file_id="a/../b")
    assert found.results_paths == ("/v1/files/file-o/content", "/v1/files/a%2F..%2Fb/content")
    azure = codec_for("az", protocol="openai", profile="azure", base_url="https://x.openai.azure.com")
    there = azure.decode_batch(status=200, headers={}, body=encode(BATCH | {"output_file_id": "o"}))
    assert isinstance(there, BatchView)
    assert there.results_paths == ("/openai/v1/files/o/content",)


def test_why_a_batch_failed_is_told_with_its_lines() -> None:
    errors = {
        "data": [
            {"code": "missing_required_parameter", "line": 3, "message": "Missing", "param": "body.messages"},
            {"code": "token_limit_exceeded", "line": None, "message": "Enqueued", "param": None},
            {},
        ]
    }
    found = view(status="failed", failed_at=1_790_000_060, errors=errors)
    assert found.event is BatchEvent.FOUND_FAILED
    assert found.problems == (
        LineProblem(line=3, code="missing_required_parameter", message="Missing (body.messages)"),
        LineProblem(line=None, code="token_limit_exceeded", message="Enqueued"),
        LineProblem(line=None, code="unknown_error", message=""),
    )
    assert found.ended_at == found.created_at + timedelta(minutes=1)
    assert view(status="FAILED", error="bad file").problems == (
        LineProblem(line=None, code="unknown_error", message="bad file"),
    )


@pytest.mark.parametrize("metadata", [None, {}, {"lowtide": 7}, {"other": "x"}])
def test_a_batch_of_somebody_else_has_no_token(metadata: object) -> None:
    assert view(metadata=metadata).token is None


@pytest.mark.parametrize("when", [-1, 10**12, "yesterday", None, 1.5])
def test_a_batch_without_a_time_is_no_batch(when: object) -> None:
    assert isinstance(CODEC.decode_batch(status=200, headers={}, body=encode(BATCH | {"created_at": when})), ApiError)


def test_a_date_as_text_is_read_as_utc() -> None:
    assert view(created_at="2026-11-21T10:00:00").created_at == AT
    assert view(created_at="2026-11-21T12:00:00+02:00").created_at == AT


def test_a_bare_list_is_a_page() -> None:
    found = CODEC.decode_page(status=200, headers={}, body=encode([BATCH]))
    assert isinstance(found, BatchPage)
    assert (len(found.batches), found.next_after) == (1, None)


# ------------------------------------------------------------------ limits and tiers


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("6m0s", 360_000), ("1s", 1_000), ("120ms", 120), ("1m4.296s", 64_296), ("1h2m", 3_720_000), ("2d", 172_800_000)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert duration(text) == timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "1x", "-1s", "1s ", "999d", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    assert duration(text) is None


def limits(limit: int, remaining: int, reset: str) -> dict[str, str]:
    name = "x-ratelimit-{}-requests"
    told = {"limit": str(limit), "remaining": str(remaining), "reset": reset}
    return {"date": NOW} | {name.format(word): value for word, value in told.items()}


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "told"),
    [
        (500, 499, "120ms", 500),
        (500, 400, "12s", 500),
        (60, 59, "1s", 60),
        (10_000, 9_999, "8.64s", None),  # a day's
        (10_000, 9_992, "1m4.296s", None),
        (100, 98, "14m24s", None),
        (10**9, 10**9 - 1, "1ms", 10**9),  # rounded up
        (500, 500, "0s", 500),
    ],
)
def test_a_limit_of_a_day_is_not_taken_for_a_minutes(limit: int, remaining: int, reset: str, told: int | None) -> None:
    (found,) = CODEC.rates(limits(limit, remaining, reset))
    expected = duration(reset)
    assert expected is not None
    assert found == Seen(measure=Measure.REQUESTS, limit=told, remaining=remaining, reset_at=AT + expected)
    assert OpenAICodec(profile=GROQ).rates(limits(limit, remaining, reset)) == ()


def test_without_a_date_or_a_reset_the_rest_is_told() -> None:
    (found,) = CODEC.rates({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "1s"})
    assert found == Seen(measure=Measure.TOKENS, limit=None, remaining=7, reset_at=None)


@pytest.mark.parametrize(
    ("asked", "tier", "lane", "noted"),
    [
        (Lane.BATCH, "default", Lane.BATCH, False),
        (Lane.BATCH, "priority", Lane.FAST, True),
        (Lane.WINDOW_2H, "default", Lane.WINDOW_2H, False),
        (Lane.WINDOW_8H, "priority", Lane.FAST, True),
        (Lane.FAST, "priority", Lane.FAST, False),
        (Lane.FAST, "default", Lane.REALTIME, True),
        (Lane.REALTIME, "default", Lane.REALTIME, False),
        (Lane.REALTIME, "priority", Lane.FAST, True),
        (Lane.FLEX, "flex", Lane.FLEX, False),
        (Lane.FLEX, "default", Lane.REALTIME, True),
        (Lane.REALTIME, "ultrafast", Lane.REALTIME, True),
        (Lane.REALTIME, None, Lane.REALTIME, False),
    ],
)
def test_an_answer_is_billed_on_the_lane_it_was_served_on(
    asked: Lane, tier: str | None, lane: Lane, noted: bool
) -> None:
    found, note = CODEC.served(asked, Usage(input_tokens=1, output_tokens=1, service_tier=tier))
    assert (found, bool(note)) == (lane, noted)
    assert OpenAICodec(profile=COMPATIBLE).served(asked, Usage(input_tokens=1, output_tokens=1, service_tier=tier)) == (
        asked,
        "",
    )


# ------------------------------------------------------------------ who it is spoken to


@pytest.mark.parametrize(
    ("base_url", "profile", "host", "path"),
    [
        ("", "openai", "https://api.openai.com", "/v1/chat/completions"),
        ("http://127.0.0.1:8008", "openai", "http://127.0.0.1:8008", "/v1/chat/completions"),
        ("http://127.0.0.1:8008/", "compatible", "http://127.0.0.1:8008", "/v1/chat/completions"),
        ("http://127.0.0.1:8008/v1/", "compatible", "http://127.0.0.1:8008", "/v1/chat/completions"),
        ("https://x.example/api/paas/v4", "compatible", "https://x.example", "/api/paas/v4/chat/completions"),
        ("https://x.openai.azure.com", "azure", "https://x.openai.azure.com", "/openai/v1/chat/completions"),
        ("", "groq", "https://api.groq.com", "/openai/v1/chat/completions"),
    ],
)
def test_a_base_url_is_taken_with_or_without_its_path(base_url: str, profile: str, host: str, path: str) -> None:
    codec = codec_for("p", protocol="openai", profile=profile, base_url=base_url)
    assert (codec.provider, codec.base_url) == ("p", host)
    assert codec.message_call(b"{}", Endpoint.CHAT).path == path


def test_a_name_alone_chooses_the_profile() -> None:
    def chosen(name: str, **more: str) -> str:
        codec = codec_for(name, protocol="openai", **more)
        assert isinstance(codec, OpenAICodec)
        return codec.profile.name

    assert chosen("groq") == "groq"
    assert chosen("mine", base_url="http://127.0.0.1:1") == "compatible"
    assert chosen("mine") == "openai"
    assert chosen("groq", profile="compatible", base_url="http://127.0.0.1:1") == "compatible"
    assert codec_for("a", protocol="anthropic", base_url="http://127.0.0.1:1").base_url == "http://127.0.0.1:1"
    assert codec_for("a", protocol="anthropic").base_url == "https://api.anthropic.com"
    assert set(PROTOCOLS["openai"]) == set(PROFILES)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"protocol": "soap"}, "no protocol 'soap'"),
        ({"protocol": "openai", "profile": "x"}, "no profile 'x'"),
        ({"protocol": "anthropic", "profile": "azure"}, "no profile 'azure'"),
        ({"protocol": "openai", "profile": "azure"}, "needs a base_url"),
    ],
)
def test_what_is_not_there_is_said_with_the_choices(more: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        codec_for("p", **more)  # type: ignore[arg-type]


def test_keys_go_where_the_server_wants_them() -> None:
    assert CODEC.headers("k")["authorization"] == "Bearer k"
    assert OpenAICodec(profile=AZURE).headers("k") == {"api-key": "k", "content-type": "application/json"}
    assert "authorization" not in CODEC.headers("")


def test_the_upload_is_multipart_whatever_the_lines_say() -> None:
    """A part ends at CR LF and the boundary; a line can hold neither."""
    call: CallParts = CODEC.lines_call()
    boundary = call.headers["content-type"].partition("boundary=")[2].encode()
    params = b'{\r\n"a":"\\r\\n--' + boundary + b'"\r\n}'
    line = CODEC.batch_line(custom_id="a", params=params, endpoint=Endpoint.CHAT, first=False)
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert b"expires_after[seconds]" in CODEC.batch_open()
    assert b"expires_after" not in OpenAICodec(profile=GROQ).batch_open()
    create = CODEC.create_call(file_id="f", endpoint=Endpoint.CHAT, token="t")
    assert create.body is not None
    assert msgspec.json.decode(create.body) == {
        "input_file_id": "f",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"lowtide": "t"},
        "output_expires_after": {"anchor": "created_at", "seconds": 2_592_000},
    }
