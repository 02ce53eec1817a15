"""Anthropic's dialect: calls, answers, refusals and batches, as bytes in and values out."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from lowtide.batch import BatchEvent, BatchView, Counts
from lowtide.providers import ApiError, BatchPage
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.providers.replies import TOKENS_MAX
from lowtide.result import Billed, Canceled, Errored, Expired, Outcome, Retry, Succeeded
from lowtide.usage import Usage

CODEC = AnthropicCodec()
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "Hej"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": 5},
}


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def outcome(message: object) -> Outcome:
    line = encode({"custom_id": "a", "result": {"type": "succeeded", "message": message}})
    found = CODEC.decode_result_line(line)
    assert found.custom_id == "a"
    return found.outcome


def usage(**counts: object) -> Usage:
    found = outcome(MESSAGE | {"usage": {"input_tokens": 20, "output_tokens": 5} | counts})
    assert isinstance(found, Succeeded), found
    return found.usage


# ------------------------------------------------------------------ answers


def test_an_answer_keeps_its_bytes_and_gives_its_text() -> None:
    found = outcome(MESSAGE)
    assert found == Succeeded(
        message=encode(MESSAGE),
        text="Hej",
        stop_reason="end_turn",
        model="claude-haiku-4-5-20251001",
        usage=Usage(input_tokens=20, output_tokens=5),
    )


def test_spaces_and_order_inside_the_message_are_untouched() -> None:
    raw = b'{"usage": {"output_tokens":1,"input_tokens":2 },  "content":[], "model":"m"}'
    found = CODEC.decode_result_line(b'{"custom_id":"a","result":{"message":' + raw + b',"type":"succeeded"}}')
    assert isinstance(found.outcome, Succeeded)
    assert found.outcome.message == raw


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], ""),
        ([{"type": "tool_use", "id": "t", "name": "n", "input": {"text": "no"}}], ""),
        ([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "yes"}], "yes"),
        ([{"type": "text", "text": "one "}, {"type": "text", "text": "two", "citations": []}], "one two"),
        ([{"type": "hologram", "text": {"a": 1}, "depth": 3}, {"type": "text", "text": "flat"}], "flat"),
        ([{"type": "text", "text": None}], ""),
    ],
)
def test_text_is_the_text_blocks_and_unknown_blocks_pass(content: list[object], text: str) -> None:
    found = outcome(MESSAGE | {"content": content})
    assert isinstance(found, Succeeded)
    assert found.text == text


@pytest.mark.parametrize("stop_reason", ["refusal", "max_tokens", "model_context_window_exceeded", "something new"])
def test_refusals_and_truncations_are_answers(stop_reason: str) -> None:
    found = outcome(MESSAGE | {"stop_reason": stop_reason, "stop_details": {"type": "refusal", "category": "bio"}})
    assert isinstance(found, Succeeded)
    assert found.stop_reason == stop_reason


def test_counts_become_inclusive() -> None:
    found = usage(
        cache_creation_input_tokens=700,
        cache_read_input_tokens=3_000,
        cache_creation={"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 500},
        output_tokens_details={"thinking_tokens": 4},
        server_tool_use={"web_search_requests": 2, "web_fetch_requests": 1},
        service_tier="batch",
        inference_geo="us",
        speed="standard",
        something_new=True,
    )
    assert found == Usage(
        input_tokens=3_720,
        output_tokens=5,
        cache_read_tokens=3_000,
        cache_write_5m_tokens=200,
        cache_write_1h_tokens=500,
        reasoning_tokens=4,
        web_searches=2,
        service_tier="batch",
        inference_geo="us",
        speed="standard",
    )
    assert found.uncached_tokens == 20


@pytest.mark.parametrize(
    ("counts", "short", "long"),
    [
        ({"cache_creation_input_tokens": 7}, 7, 0),
        ({"cache_creation_input_tokens": 7, "cache_creation": None}, 7, 0),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}, 3, 4),
        ({"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 4}}, 5, 4),
        ({"cache_creation_input_tokens": None, "cache_read_input_tokens": None}, 0, 0),
    ],
)
def test_cache_writes_by_lifetime(counts: dict[str, object], short: int, long: int) -> None:
    found = usage(**counts)
    assert (found.cache_write_5m_tokens, found.cache_write_1h_tokens) == (short, long)
    assert found.input_tokens == 20 + short + long


@pytest.mark.parametrize(
    "broken",
    [
        {key: value for key, value in MESSAGE.items() if key != "usage"},
        MESSAGE | {"usage": None},
        MESSAGE | {"usage": {"output_tokens": 5}},
        MESSAGE | {"usage": {"input_tokens": -1, "output_tokens": 5}},
        MESSAGE | {"usage": {"input_tokens": "20", "output_tokens": 5}},
        MESSAGE | {"usage": {"input_tokens": 20, "output_tokens": TOKENS_MAX + 1}},
        MESSAGE | {"content": "text"},
        {"type": "error"},
        None,
    ],
)
def test_an_answer_without_readable_usage_is_never_free(broken: object) -> None:
    found = outcome(broken)
    assert isinstance(found, Errored)
    assert found.code == "row_unreadable"
    reply = CODEC.decode_message(status=200, headers={}, body=encode(broken))
    assert isinstance(reply, Errored)
    assert reply.code == "row_unreadable"


# ------------------------------------------------------------------ result lines


def test_canceled_and_expired() -> None:
    assert CODEC.decode_result_line(b'{"custom_id":"c","result":{"type":"canceled"}}').outcome == Canceled()
    assert CODEC.decode_result_line(b'{"custom_id":"d","result":{"type":"expired"}}').outcome == Expired()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}, "request_id": "req_1"},
            Errored(code="invalid_request_error", message="no", request_id="req_1"),
        ),
        (
            {"type": "error", "error": {"type": "api_error", "message": "oh"}, "request_id": None},
            Errored(code="api_error", message="oh"),
        ),
        (
            {"type": "overloaded_error", "message": "Overloaded"},
            Errored(code="overloaded_error", message="Overloaded"),
        ),
        ({"what": 1}, Errored(code="unknown_error", message='{"what":1}')),
    ],
)
def test_an_errored_line_gives_the_inner_error(error: object, expected: Errored) -> None:
    line = encode({"custom_id": "b", "result": {"type": "errored", "error": error}})
    assert CODEC.decode_result_line(line).outcome == expected


@pytest.mark.parametrize(
    "line",
    [
        b'{"custom_id":"x","result":{"type":"postponed"}}',
        b'{"custom_id":"x","result":{"type":"succeeded"}}',
        b'{"custom_id":"x","result":null}',
        b'{"custom_id":"x"}',
    ],
)
def test_a_line_that_only_names_its_request_is_unreadable(line: bytes) -> None:
    found = CODEC.decode_result_line(line)
    assert found.custom_id == "x"
    assert isinstance(found.outcome, Errored)
    assert found.outcome.code == "row_unreadable"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"<html>",
        b"[]",
        b'{"custom_id":1,"result":{"type":"expired"}}',
        b'{"result":{"type":"expired"}}',
        b'{"custom_id":"x","result":{"type":"exp',
        b'{"custom_id":"\xff","result":{"type":"expired"}}',
    ],
)
def test_what_is_no_result_line_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a result line"):
        CODEC.decode_result_line(line)


def test_an_answer_nested_without_bottom_is_unreadable_not_a_crash() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    line = b'{"custom_id":"a","result":{"type":"succeeded","message":{"content":' + deep + b"}}}"
    found = CODEC.decode_result_line(line)
    assert found.custom_id == "a"
    assert isinstance(found.outcome, Errored)
    with pytest.raises(ValueError, match="not a result line"):
        CODEC.decode_result_line(b"[" + line + b"]")
    assert isinstance(CODEC.decode_message(status=200, headers={}, body=deep), Errored)
    assert refused(502, deep).refusal.retry is Retry.AFTER_RECONCILE


def test_line_separators_inside_strings_are_text() -> None:
    message = MESSAGE | {"content": [{"type": "text", "text": "a\u2028b\u0085c"}]}
    line = encode({"custom_id": "a", "result": {"type": "succeeded", "message": message}}) + b"\r\n"
    found = CODEC.decode_result_line(line).outcome
    assert isinstance(found, Succeeded)
    assert found.text == "a\u2028b\u0085c"


# ------------------------------------------------------------------ refusals


def refused(status: int, body: bytes, **headers: str) -> ApiError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    found = CODEC.decode_batch(status=status, headers=names, body=body)
    assert isinstance(found, ApiError)
    assert CODEC.decode_page(status=status, headers=names, body=body) == found
    assert CODEC.decode_error(status=status, headers=names, body=body) == found
    return found


def error(kind: str, message: str = "words", **more: object) -> bytes:
    return encode({"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_9"})


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (400, "invalid_request_error", Retry.NEVER),
        (401, "authentication_error", Retry.NEVER),
        (403, "permission_error", Retry.NEVER),
        (404, "not_found_error", Retry.NEVER),
        (409, "conflict_error", Retry.LATER),
        (413, "request_too_large", Retry.NEVER),
        (429, "rate_limit_error", Retry.LATER),
        (500, "api_error", Retry.LATER),
        (504, "timeout_error", Retry.LATER),
        (529, "overloaded_error", Retry.LATER),
        (418, "teapot_error", Retry.LATER),
    ],
)
def test_the_apis_own_refusals(status: int, kind: str, retry: Retry) -> None:
    found = refused(status, error(kind))
    assert (found.status, found.code, found.message, found.request_id) == (status, kind, "words", "req_9")
    assert (found.refusal.retry, found.refusal.billed) == (retry, Billed.NO)
    assert not found.spend_limit


@pytest.mark.parametrize(
    ("status", "body", "code", "retry"),
    [
        (413, b"<html><h1>413 Request Entity Too Large</h1></html>", "request_too_large", Retry.NEVER),
        (429, b"", "rate_limit_error", Retry.LATER),
        (529, b"", "overloaded_error", Retry.LATER),
        (502, b"<html>Bad gateway</html>", "api_error", Retry.AFTER_RECONCILE),
        (500, b"", "api_error", Retry.AFTER_RECONCILE),
        (504, b"upstream", "timeout_error", Retry.AFTER_RECONCILE),
        (524, b"a timeout occurred", "http_524", Retry.AFTER_RECONCILE),
        (407, b"proxy", "http_407", Retry.NEVER),
        (302, b"", "http_302", Retry.AFTER_RECONCILE),
        (403, b'{"error":"blocked"}', "permission_error", Retry.NEVER),
        (404, b'[{"error":{"type":1}}]', "not_found_error", Retry.NEVER),
    ],
)
def test_the_word_of_an_edge_or_a_proxy(status: int, body: bytes, code: str, retry: Retry) -> None:
    found = refused(status, body, request_id="req_edge")
    assert (found.code, found.refusal.retry, found.request_id) == (code, retry, "req_edge")
    assert found.message == (body.decode() or f"HTTP {status} without a body")
    assert (found.refusal.billed is Billed.MAYBE) == (retry is Retry.AFTER_RECONCILE)


def test_a_long_page_is_cut() -> None:
    assert len(refused(502, b"x" * 5_000).message) == 300


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})),
        (429, error("rate_limit_error", details={"error_code": "contract_spend_limit_reached"})),
        (400, error("invalid_request_error", "You have reached your specified API usage limits. You will regain ...")),
        (400, error("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),
        (402, error("billing_error")),
        (402, b""),
    ],
)
def test_a_limit_on_money_is_never_tried_again(status: int, body: bytes) -> None:
    found = refused(status, body)
    assert found.spend_limit
    assert (found.refusal.retry, found.refusal.billed) == (Retry.NEVER, Billed.NO)


def test_a_ramp_limit_passes() -> None:
    body = error("rate_limit_error", details={"error_code": "ramp_limit_exceeded"})
    found = refused(429, body, retry_after="30")
    assert not found.spend_limit
    assert (found.refusal.retry, found.retry_after_seconds) == (Retry.LATER, 30)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "24"}, 24),
        ({"retry_after": " 0 "}, 0),
        ({"retry_after": "1.2"}, 2),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 2),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30),
        ({"retry_after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0),
        ({"retry_after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_by_the_providers_own_clock(headers: dict[str, str], seconds: int | None) -> None:
    assert refused(429, error("rate_limit_error"), **headers).retry_after_seconds == seconds


def test_the_providers_time() -> None:
    assert CODEC.provider_time({"date": "Wed, 29 Jan 2025 14:25:41 GMT"}) == datetime(
        2025, 1, 29, 14, 25, 41, tzinfo=UTC
    )
    assert CODEC.provider_time({}) is None
    assert CODEC.provider_time({"date": "yesterday"}) is None
    assert CODEC.provider_time({"date": "Wed, 29 Jan 2025 14:25:41 -0000"}) is None  # says it knows no zone


# ------------------------------------------------------------------ batches


BATCH: dict[str, Any] = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-11-21T10:00:00.123456+00:00",
    "expires_at": "2026-11-22T10:00:00Z",
    "ended_at": None,
    "cancel_initiated_at": None,
    "archived_at": None,
    "results_url": None,
}
ENDED = BATCH | {
    "processing_status": "ended",
    "ended_at": "2026-11-21T11:00:00Z",
    "results_url": "https://elsewhere.example/v1/messages/batches/msgbatch_1/results",
    "request_counts": {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 1},
}


def view(batch: object) -> BatchView:
    found = CODEC.decode_batch(status=200, headers={}, body=encode(batch))
    assert isinstance(found, BatchView), found
    return found


def test_a_running_batch() -> None:
    assert view(BATCH) == BatchView(
        provider_batch_id="msgbatch_1",
        event=BatchEvent.FOUND_RUNNING,
        counts=Counts(total=3),
        created_at=datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC),
        expires_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        ended_at=None,
        results_paths=(),
    )


def test_an_ended_batch_is_read_by_our_own_path() -> None:
    found = view(ENDED)
    assert found.event is BatchEvent.FOUND_ENDED
    assert found.counts == Counts(total=3, succeeded=1, errored=1, expired=1)
    assert found.results_paths == ("/v1/messages/batches/msgbatch_1/results",)
    assert not found.archived


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ({"processing_status": "canceling"}, BatchEvent.FOUND_CANCELING),
        ({"processing_status": "ended"}, BatchEvent.FOUND_ENDED),
        (
            {"processing_status": "ended", "cancel_initiated_at": "2026-11-21T10:30:00Z"},
            BatchEvent.FOUND_CANCELED,
        ),
        (
            {"processing_status": "canceling", "cancel_initiated_at": "2026-11-21T10:30:00Z"},
            BatchEvent.FOUND_CANCELING,
        ),
    ],
)
def test_states_of_a_batch(changes: dict[str, str], event: BatchEvent) -> None:
    assert view(BATCH | changes).event is event


def test_an_archived_batch_has_no_results() -> None:
    found = view(ENDED | {"archived_at": "2026-12-20T10:00:00Z", "results_url": None})
    assert found.archived
    assert found.results_paths == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        encode(BATCH | {"processing_status": "pondering"}),
        encode(BATCH | {"created_at": "2026-11-21T10:00:00"}),  # no zone
        encode(BATCH | {"id": ""}),
        encode({key: value for key, value in BATCH.items() if key != "request_counts"}),
    ],
)
def test_a_reply_that_is_no_batch_is_a_doubt(body: bytes) -> None:
    found = CODEC.decode_batch(status=200, headers={"request-id": "req_3"}, body=body)
    assert isinstance(found, ApiError)
    assert (found.code, found.request_id) == ("reply_unreadable", "req_3")
    assert (found.refusal.retry, found.refusal.billed) == (Retry.AFTER_RECONCILE, Billed.MAYBE)
    page = CODEC.decode_page(status=200, headers={}, body=b'{"data":[' + body + b"]}")
    assert isinstance(page, ApiError) or body == b""


def test_pages() -> None:
    def page(**fields: object) -> BatchPage:
        found = CODEC.decode_page(status=200, headers={}, body=encode(fields))
        assert isinstance(found, BatchPage)
        return found

    two = [BATCH, ENDED | {"id": "msgbatch_0"}]
    first = page(data=two, has_more=True, first_id="msgbatch_1", last_id="msgbatch_0")
    assert [batch.provider_batch_id for batch in first.batches] == ["msgbatch_1", "msgbatch_0"]
    assert first.next_after == "msgbatch_0"
    assert page(data=two, has_more=True, last_id=None).next_after == "msgbatch_0"
    assert page(data=two, has_more=False, last_id="msgbatch_0").next_after is None
    assert page(data=[], has_more=False, first_id=None, last_id=None) == BatchPage(batches=(), next_after=None)


# ------------------------------------------------------------------ calls


def test_calls() -> None:
    calls = {
        "create": CODEC.lines_call(),
        "retrieve": CODEC.retrieve_call("msgbatch_1"),
        "results": CODEC.results_call("/v1/messages/batches/msgbatch_1/results"),
        "cancel": CODEC.cancel_call("msgbatch_1"),
        "list": CODEC.list_call(after=None, limit=20),
        "older": CODEC.list_call(after="msgbatch_1", limit=1_000),
        "models": CODEC.models_call(),
        "message": CODEC.message_call(b"{}"),
    }
    assert {name: (call.method, call.path, call.body) for name, call in calls.items()} == {
        "create": ("POST", "/v1/messages/batches", None),
        "retrieve": ("GET", "/v1/messages/batches/msgbatch_1", None),
        "results": ("GET", "/v1/messages/batches/msgbatch_1/results", None),
        "cancel": ("POST", "/v1/messages/batches/msgbatch_1/cancel", b""),
        "list": ("GET", "/v1/messages/batches?limit=20", None),
        "older": ("GET", "/v1/messages/batches?limit=1000&after_id=msgbatch_1", None),
        "models": ("GET", "/v1/models?limit=1", None),
        "message": ("POST", "/v1/messages", b"{}"),
    }


def test_an_id_cannot_leave_its_path() -> None:
    assert CODEC.retrieve_call("../keys?x").path == "/v1/messages/batches/..%2Fkeys%3Fx"
    assert CODEC.list_call(after="a&limit=1", limit=5).path == "/v1/messages/batches?limit=5&after_id=a%26limit%3D1"


def test_headers() -> None:
    plain = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    assert CODEC.headers("sk-test") == plain
    newer = AnthropicCodec(version="2026-10-21", betas=("a-2026-01-01", "b-2026-01-01"))
    assert newer.headers("sk-test") == plain | {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a-2026-01-01,b-2026-01-01",
    }


def test_limits_of_a_batch() -> None:
    limits = CODEC.batch_limits
    assert (limits.requests_max, limits.bytes_max, limits.expires_after_seconds) == (100_000, 256_000_000, 86_400)


@pytest.mark.parametrize("custom_id", ["", "a" * 65, 'a"b', "a:b", "å", "a\n"])
def test_an_id_that_does_not_fit_on_the_wire_never_gets_there(custom_id: str) -> None:
    with pytest.raises(AssertionError):
        CODEC.batch_line(custom_id=custom_id, params=b"{}", first=True)
