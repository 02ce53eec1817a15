"""Every provider's own words for the same things: what the contract suite asks each codec to write and to read.

Adding a provider is adding one ``Dialect`` here. Bodies and replies are written as the provider writes them, by hand, from
its documents; nothing here is made by the codec that is tested.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lowtide.batch import BatchEvent
from lowtide.providers import Codec
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.providers.openai import OpenAICodec
from lowtide.providers.openai_profiles import PROFILES
from lowtide.providers.registry import codec_for
from lowtide.request import Endpoint

NO_HEADERS: Mapping[str, str] = {}
# (retry, billed)
NEVER, LATER, LATER_MAYBE, DOUBT = ("never", "no"), ("later", "no"), ("later", "maybe"), ("after_reconcile", "maybe")


def dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Tokens of one answer, inclusive: what every provider must be brought to."""

    input_tokens: int
    output_tokens: int
    read: int = 0
    written: int = 0
    written_long: int = 0
    reasoning: int = 0


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One reply that says no, and what it means."""

    name: str
    status: int
    body: bytes
    means: tuple[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    spend_limit: bool = False
    retry_after: int | None = None


class Dialect:
    """What one provider, on one endpoint, is told and tells."""

    name: str
    model: str
    codec: Codec
    endpoint: Endpoint
    cheap, long = "", ""  # the cache lifetimes it has
    stop_reasons: dict[str, str]
    problems: list[tuple[dict[str, Any], str]]  # what is added to a good body, and what is said then
    free_refusals: tuple[str, ...]  # codes of lines that failed for good
    refusals: list[Refused]

    def native(self, text: str, limit: int | None = 100, **more: object) -> dict[str, Any]:
        """A body with one user's text, as a client writes it."""
        raise NotImplementedError

    def answer(self, text: str, counts: Counts, stop: str = "") -> dict[str, Any]:
        """An answer with usage. ``stop`` is a key of ``stop_reasons``."""
        raise NotImplementedError

    def line(self, custom_id: str, answer: object) -> bytes:
        """A line of results that holds an answer."""
        raise NotImplementedError

    def failed_line(self, custom_id: str, code: str) -> bytes:
        """A line of results whose request was refused for good."""
        raise NotImplementedError

    def other_lines(self, custom_id: str) -> dict[str, bytes]:
        """Lines of requests that were not worked on: expired, canceled."""
        raise NotImplementedError

    def batches(self) -> list[tuple[dict[str, Any], BatchEvent, int]]:
        """Batch objects, what is found in each, and how many paths of results it has."""
        raise NotImplementedError

    def page(self, batches: list[Any], *, more: bool) -> dict[str, Any]:
        return {"data": batches, "has_more": more, "first_id": None, "last_id": None, "object": "list"}


# ------------------------------------------------------------------ Anthropic


class AnthropicDialect(Dialect):
    name, model = "anthropic", "claude-haiku-5-5"
    endpoint = Endpoint.MESSAGES
    cheap, long = "5m", "1h"
    free_refusals = ("invalid_request_error",)

    def __init__(self) -> None:
        self.codec = AnthropicCodec()
        words = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal")
        self.stop_reasons = {word: word for word in words}
        self.problems = [
            ({"model": None}, "model is missing"),
            ({"max_tokens": None}, "max_tokens is missing"),
            ({"stream": True}, "stream is refused"),
            ({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, "unbounded server tools"),
            ({"mcp_servers": [{"type": "url"}]}, "unbounded server tools"),
            ({"max_tokens": 0}, "max_tokens must be"),
        ]
        say = lambda kind, words="no": dumped({"type": "error", "error": {"type": kind, "message": words}})  # noqa: E731
        table = [
            (400, "invalid_request_error", NEVER),
            (401, "authentication_error", NEVER),
            (403, "permission_error", NEVER),
            (404, "not_found_error", NEVER),
            (409, "conflict_error", LATER),
            (413, "request_too_large", NEVER),
            (429, "rate_limit_error", LATER),
            (500, "api_error", LATER),
            (504, "timeout_error", LATER),
            (529, "overloaded_error", LATER),
        ]
        self.refusals = [
            Refused(name=kind, status=status, body=say(kind), means=means, code=kind) for status, kind, means in table
        ]
        quota = "You have reached your specified API usage limits."
        self.refusals += [
            Refused(name="spend", status=400, body=say("invalid_request_error", quota), means=NEVER, spend_limit=True),
            Refused(name="unpaid", status=402, body=say("billing_error"), means=NEVER, spend_limit=True),
            Refused(name="edge", status=502, body=b"<html>", means=DOUBT),
        ]

    def native(self, text: str, limit: int | None = 100, **more: object) -> dict[str, Any]:
        body = {
            "model": "claude-haiku-5-5",
            "max_tokens": limit,
            "messages": [{"role": "user", "content": text}],
        } | more
        return {name: value for name, value in body.items() if value is not None}

    def answer(self, text: str, counts: Counts, stop: str = "end_turn") -> dict[str, Any]:
        short = counts.written
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-5-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": counts.input_tokens - counts.read - counts.written - counts.written_long,
                "cache_read_input_tokens": counts.read,
                "cache_creation_input_tokens": counts.written + counts.written_long,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": short,
                    "ephemeral_1h_input_tokens": counts.written_long,
                },
                "output_tokens": counts.output_tokens,
                "output_tokens_details": {"thinking_tokens": counts.reasoning},
                "service_tier": "standard",
            },
        }

    def line(self, custom_id: str, answer: object) -> bytes:
        return dumped({"custom_id": custom_id, "result": {"type": "succeeded", "message": answer}})

    def failed_line(self, custom_id: str, code: str) -> bytes:
        error = {"type": "error", "error": {"type": code, "message": "no"}, "request_id": None}
        return dumped({"custom_id": custom_id, "result": {"type": "errored", "error": error}})

    def other_lines(self, custom_id: str) -> dict[str, bytes]:
        return {name: dumped({"custom_id": custom_id, "result": {"type": name}}) for name in ("expired", "canceled")}

    def batches(self) -> list[tuple[dict[str, Any], BatchEvent, int]]:
        base = {
            "id": "msgbatch_1",
            "processing_status": "in_progress",
            "request_counts": {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
            "created_at": "2026-11-20T00:00:00Z",
            "expires_at": "2026-11-21T00:00:00Z",
            "ended_at": None,
            "cancel_initiated_at": None,
            "results_url": None,
        }
        counts = {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}
        ended = {
            "processing_status": "ended",
            "ended_at": "2026-11-20T01:00:00Z",
            "results_url": "https://elsewhere/results",
            "request_counts": counts,
        }
        canceled = {"cancel_initiated_at": "2026-11-20T00:30:00Z"}
        return [
            (base, BatchEvent.FOUND_RUNNING, 0),
            (base | {"processing_status": "canceling"} | canceled, BatchEvent.FOUND_CANCELING, 0),
            (base | ended, BatchEvent.FOUND_ENDED, 1),
            (base | ended | canceled, BatchEvent.FOUND_CANCELED, 1),
        ]


# ------------------------------------------------------------------ OpenAI and its like


def say(code: object, kind: object = "invalid_request_error", message: str = "no") -> bytes:
    return dumped({"error": {"message": message, "type": kind, "param": None, "code": code}})


REFUSALS = [
    Refused(name="invalid", status=400, body=say("empty_array"), means=NEVER, code="empty_array"),
    Refused(name="context", status=400, body=say("context_length_exceeded"), means=NEVER, code="context_length_exceeded"),
    Refused(name="key", status=401, body=say("invalid_api_key"), means=NEVER, code="invalid_api_key"),
    Refused(name="forbidden", status=403, body=say("unsupported_country_region_territory"), means=NEVER),
    Refused(name="model", status=404, body=say("model_not_found"), means=NEVER, code="model_not_found"),
    Refused(name="conflict", status=409, body=say(None, "conflict_error"), means=LATER),
    Refused(name="entity", status=422, body=say(None), means=NEVER),
    Refused(name="large", status=413, body=b"<html>too large</html>", means=NEVER),
    Refused(name="rate", status=429, body=say("rate_limit_exceeded", "tokens"), means=LATER, headers={"retry-after": "7"}, retry_after=7),
    Refused(name="rate_ms", status=429, body=say("rate_limit_exceeded"), means=LATER, headers={"retry-after-ms": "1200"}, retry_after=2),
    Refused(name="rate_type", status=429, body=say(None), means=LATER),
    Refused(name="quota", status=429, body=say("insufficient_quota", "insufficient_quota"), means=NEVER, spend_limit=True),
    Refused(name="flex", status=429, body=say("resource_unavailable", "resource_unavailable", "Resource Unavailable"), means=LATER),
    Refused(name="capacity", status=498, body=say("capacity_exceeded"), means=LATER),
    Refused(name="told_no", status=429, body=say("rate_limit_exceeded"), means=NEVER, headers={"x-should-retry": "false"}),
    Refused(name="told_yes", status=400, body=say("odd"), means=LATER, headers={"x-should-retry": "true"}),
    Refused(name="server", status=500, body=say(None, "server_error"), means=LATER, code="server_error"),
    Refused(name="overloaded", status=503, body=say(None, "server_error"), means=LATER),
    Refused(name="gateway", status=504, body=say(None, "server_error"), means=DOUBT),
    Refused(name="edge", status=502, body=b"<html>", means=DOUBT),
    Refused(name="cloud", status=520, body=b"", means=DOUBT),
    Refused(name="balance", status=402, body=say("x", "unknown_error", "Insufficient Balance"), means=NEVER, spend_limit=True),
    # how compatible servers say it
    Refused(name="number", status=400, body=say(400, "exceed_context_size_error"), means=NEVER, code="exceed_context_size_error"),
    Refused(name="loading", status=503, body=say(503, "unavailable_error"), means=LATER, code="unavailable_error"),
    Refused(name="digits", status=429, body=say("429", "throttling_error"), means=LATER, code="throttling_error"),
    Refused(name="flat", status=400, body=dumped({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}), means=NEVER, code="BadRequestError"),
    Refused(name="string", status=404, body=dumped({"error": "model not found"}), means=NEVER, code="not_found_error"),
    Refused(name="detail", status=422, body=dumped({"detail": [{"loc": ["body"]}]}), means=NEVER, code="unprocessable_entity"),
]  # fmt: skip


class OpenAIDialect(Dialect):
    model = "gpt-6-luna"
    cheap, long = "30m", "12h"
    free_refusals = ("context_length_exceeded", "invalid_request_error")
    refusals = REFUSALS

    def __init__(self, profile: str, endpoint: Endpoint) -> None:
        self.name = f"{profile}-{endpoint}"
        self.codec = codec_for(profile, protocol="openai", profile=profile, base_url="http://127.0.0.1:8008")
        self.endpoint = endpoint
        self.profile = PROFILES[profile]
        if endpoint is Endpoint.CHAT:
            self.long = ""
            self.stop_reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
            self.stop_reasons |= {"content_filter": "refusal", "function_call": "tool_use", "": ""}
        else:
            self.stop_reasons = {
                "completed": "end_turn",
                "max_output_tokens": "max_tokens",
                "content_filter": "refusal",
            }
            self.stop_reasons |= {"function_call": "tool_use", "refusal": "refusal"}
        chat = endpoint is Endpoint.CHAT
        limit = "max_tokens" if chat else "max_output_tokens"
        self.problems = [
            ({"model": None}, "model is missing"),
            ({limit: None}, "is missing, and the most that the model can write is not known"),
            ({limit: 0}, f"{limit} must be"),
            ({"stream": True}, "stream is refused"),
            ({"tools": [{"type": "web_search"}]}, "unbounded server tools"),
            ({"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "unbounded server tools"),
            *(({"tools": [{"type": kind}]}, "unbounded server tools") for kind in SERVER_TOOLS),
            ({"background": True}, "background is refused"),
            ({"model": "gpt-5-search-api"}, "unbounded server tools"),
        ]
        if chat:
            self.problems += [
                ({"messages": []}, "messages must be"),
                ({"n": 0}, "n must be"),
                ({"n": 129}, "n must be"),
                ({"max_completion_tokens": 5}, "are both there"),
                ({"web_search_options": {}}, "unbounded server tools"),
                ({"modalities": ["text", "audio"]}, "audio is refused"),
                ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "audio is refused"),
                ({"prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options.ttl 12h"),
            ]
        else:
            self.problems += [
                ({"input": None}, "input is missing"),
                ({"prompt": {"id": "pmpt_1"}}, "prompt is refused"),
                ({"context_management": [{"type": "compaction"}]}, "context_management is refused"),
            ]
        if self.profile.tiers:
            self.problems.append(({"service_tier": "ultrafast"}, "service_tier ultrafast"))

    def native(self, text: str, limit: int | None = 100, **more: object) -> dict[str, Any]:
        if self.endpoint is Endpoint.CHAT:
            body = {"model": "gpt-6-luna", "max_tokens": limit, "messages": [{"role": "user", "content": text}]}
        else:
            body = {"model": "gpt-6-luna", "max_output_tokens": limit, "input": text}
        return {name: value for name, value in (body | more).items() if value is not None}

    def answer(self, text: str, counts: Counts, stop: str = "") -> dict[str, Any]:
        read, write = counts.read, counts.written + counts.written_long
        if self.endpoint is Endpoint.CHAT:
            return {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-6-luna",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text, "refusal": None},
                        "finish_reason": stop or None,
                    }
                ],
                "usage": {
                    "prompt_tokens": counts.input_tokens,
                    "completion_tokens": counts.output_tokens,
                    "total_tokens": counts.input_tokens + counts.output_tokens,
                    "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
                    "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
                },
                "service_tier": "default",
            }
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
        items = [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}]
        if stop == "function_call":
            items.append({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"})
        if stop == "refusal":
            items[0]["content"].append({"type": "refusal", "refusal": "no"})  # type: ignore[union-attr]
        incomplete = stop in ("max_output_tokens", "content_filter")
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": "gpt-6-luna",
            "status": "incomplete" if incomplete else "completed",
            "incomplete_details": {"reason": stop} if incomplete else None,
            "error": None,
            "output": items,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": counts.input_tokens,
                "input_tokens_details": {
                    "cached_tokens": read,
                    "cache_write_tokens": write,
                    "cache_write_tokens_details": {
                        "ttl_30m_tokens": counts.written,
                        "ttl_12h_tokens": counts.written_long,
                    },
                },
                "output_tokens": counts.output_tokens,
                "output_tokens_details": {"reasoning_tokens": counts.reasoning},
                "total_tokens": counts.input_tokens + counts.output_tokens,
            },
            "service_tier": "default",
        }

    def line(self, custom_id: str, answer: object) -> bytes:
        response = {"status_code": 200, "request_id": "r", "body": answer}
        return dumped({"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None})

    def failed_line(self, custom_id: str, code: str) -> bytes:
        response = {"status_code": 400, "request_id": "r", "body": json.loads(say(code))}
        return dumped({"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None})

    def other_lines(self, custom_id: str) -> dict[str, bytes]:
        codes = {"expired": "batch_expired", "canceled": "batch_cancelled"}
        return {
            name: dumped(
                {"id": "b", "custom_id": custom_id, "response": None, "error": {"code": code, "message": "late"}}
            )
            for name, code in codes.items()
        }

    def batches(self) -> list[tuple[dict[str, Any], BatchEvent, int]]:
        zero, done = {"total": 0, "completed": 0, "failed": 0}, {"total": 3, "completed": 2, "failed": 1}
        base = {
            "id": "batch_1",
            "object": "batch",
            "endpoint": "/v1/responses",
            "errors": None,
            "input_file_id": "file-1",
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": 1_790_000_000,
            "in_progress_at": None,
            "expires_at": 1_790_086_400,
            "request_counts": zero,
            "metadata": {"lowtide": "token-1"},
        }
        both = {"output_file_id": "file-o", "error_file_id": "file/e"}
        completed = {"status": "completed", "completed_at": 1_790_000_100, "request_counts": done}
        failed = {"status": "failed", "failed_at": 1_790_000_100}
        failed["errors"] = {
            "object": "list",
            "data": [{"code": "invalid_json_line", "line": 2, "message": "bad", "param": None}],
        }
        ended, finalizing = BatchEvent.FOUND_ENDED, BatchEvent.FOUND_FINALIZING
        return [
            (base, BatchEvent.FOUND_VALIDATING, 0),
            (base | {"status": "in_progress", "request_counts": done}, BatchEvent.FOUND_RUNNING, 0),
            (base | {"status": "finalizing", "request_counts": done}, finalizing, 0),
            (base | completed | both, ended, 2),
            (base | completed | {"output_file_id": "file-o"}, ended, 1),
            (base | completed, finalizing, 0),
            (base | completed | {"error_file_id": "file-e"}, finalizing, 0),
            (base | completed | {"error_file_id": "file-e", "request_counts": done | {"completed": 0, "failed": 3}}, ended, 1),
            (base | {"status": "expired", "expired_at": 1_790_086_400, "request_counts": done} | both, BatchEvent.FOUND_EXPIRED, 2),
            (base | {"status": "expired", "expired_at": 1_790_086_400}, BatchEvent.FOUND_EXPIRED, 0),
            (base | {"status": "cancelling"}, BatchEvent.FOUND_CANCELING, 0),
            (base | {"status": "cancelled", "request_counts": done} | both, BatchEvent.FOUND_CANCELED, 2),
            (base | failed, BatchEvent.FOUND_FAILED, 0),
            # Azure: no counts, and a zero-byte error file beside the results
            (base | completed | both | {"request_counts": {"total": 3, "completed": None, "failed": None}}, ended, 2),
            # Together: upper case, dates as text, the object inside another
            ({"job": {"id": "b", "status": "IN_PROGRESS", "created_at": "2026-11-20T00:00:00Z"}}, BatchEvent.FOUND_RUNNING, 0),
        ]  # fmt: skip


SERVER_TOOLS = (
    "file_search", "code_interpreter", "mcp", "computer", "computer_use_preview", "image_generation", "tool_search", "shell",
    "programmatic_tool_calling", "web_search_preview", "of_tomorrow",
)  # fmt: skip

DIALECTS: list[Dialect] = [
    AnthropicDialect(),
    *(OpenAIDialect(profile.name, endpoint) for profile in PROFILES.values() for endpoint in profile.endpoints),
]
BATCHING = [dialect for dialect in DIALECTS if dialect.codec.batch_limits is not None]
assert isinstance(DIALECTS[1].codec, OpenAICodec)
