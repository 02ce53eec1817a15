"""Anthropic's dialect: Messages and Message Batches, as bytes in and values out. No socket, no clock, no price.

Everything the provider says becomes our words here and nowhere else; a native body is read, never changed (promise 9).
The law: a whole line always gives an outcome, and an answer whose usage cannot be read is an error, never free.

Sources: platform.claude.com/docs/en/api (messages, message batches, errors, rate limits), the published SDK 2.12.0 and
recorded traffic, checked 2026-11-21. Not documented, and so not relied on: the code for a duplicate ``custom_id``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, assert_never
from urllib.parse import quote

import msgspec

from lowtide.batch import BatchEvent, BatchView, Counts
from lowtide.catalog import Lane
from lowtide.pacing import Measure, Seen
from lowtide.providers import ApiError, BatchLimits, BatchPage, BodyFacts, CallParts, Codec, Queued, ResultLine
from lowtide.providers.anthropic_bodies import countable, encode_body, read_body
from lowtide.providers.headers import http_date, retry_after, whole_number
from lowtide.providers.replies import (
    DOUBT,
    FINAL,
    MESSAGE_LENGTH_MAX,
    UNREADABLE,
    Count,
    attempt,
    name_of,
    shown,
    unreadable,
)
from lowtide.request import Endpoint, Neutral
from lowtide.result import Canceled, Errored, Expired, Outcome, Refusal, Succeeded, refusal
from lowtide.usage import Usage

# The oldest version still takes every body the newest takes, and sampling parameters besides (checked 2026-11-21).
API_VERSION: Final = "2023-06-01"
CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
LINE_HEAD: Final = re.compile(rb'\s*\{\s*"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"')
BATCHES: Final = "/v1/messages/batches"
OPEN, CLOSE = b'{"requests":[', b"]}"
LINE_START, LINE_MIDDLE, LINE_END = b'{"custom_id":"', b'","params":', b"}"
# platform.claude.com/docs/en/build-with-claude/batch-processing, checked 2026-11-21. MB is read as decimal.
LIMITS: Final = BatchLimits(requests_max=100_000, bytes_max=256_000_000, expires_after_seconds=86_400)
CREATE_TIMEOUT_SECONDS: Final = 600
MESSAGE_TIMEOUT_SECONDS: Final = 600


@dataclass(slots=True, kw_only=True)
class AnthropicCodec:
    """The codec of Anthropic's own API. ``version`` and ``betas`` go into headers, for all items of a batch."""

    provider: str = "anthropic"
    base_url: str = "https://api.anthropic.com"
    version: str = API_VERSION
    betas: tuple[str, ...] = ()
    batch_limits: BatchLimits | None = LIMITS
    uploads: bool = False
    windows: tuple[Lane, ...] = ()
    neutral_endpoint: Endpoint = Endpoint.MESSAGES

    def encode(self, *, model: str, body: Neutral, cache: str = "", cache_at: tuple[int, ...] = ()) -> bytes:
        """Write a neutral body as Messages ``params``: JSON bytes, the same for the same body.

        ``cache`` is ``5m``, ``1h``, or ``""`` for no mark.
        """
        assert cache in ("", "5m", "1h"), f"no cache here lives for {cache}"
        return encode_body(model, body, cache=cache, cache_at=cache_at)

    def read_body(self, params: bytes, endpoint: Endpoint = Endpoint.MESSAGES) -> BodyFacts | tuple[str, ...]:
        """Read what must be known of ``params``, or say all that is wrong with it as an item of a batch."""
        if endpoint is not Endpoint.MESSAGES:
            return (f"{self.provider} has no {endpoint} endpoint",)
        return read_body(params)

    def headers(self, credential: str) -> Mapping[str, str]:
        """Give the headers every call carries."""
        headers = {"x-api-key": credential, "anthropic-version": self.version, "content-type": "application/json"}
        return headers | {"anthropic-beta": ",".join(self.betas)} if self.betas else headers

    def message_call(self, params: bytes, endpoint: Endpoint = Endpoint.MESSAGES) -> CallParts:
        """Ask for one generation in real time."""
        assert endpoint is Endpoint.MESSAGES, f"no {endpoint} here"
        return CallParts(method="POST", path="/v1/messages", body=params, timeout_seconds=MESSAGE_TIMEOUT_SECONDS)

    def decode_message(self, *, status: int, headers: Mapping[str, str], body: bytes) -> Outcome | ApiError:
        """Read the reply of a real-time generation."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        return read_message(body)

    def rates(self, headers: Mapping[str, str]) -> tuple[Seen, ...]:
        """Read the rate limits in force; remaining tokens are rounded to thousands (checked 2026-11-21)."""
        return read_rates(headers)

    def served(self, asked: Lane, usage: Usage) -> tuple[Lane, str]:
        """Say on which lane an answer is billed: a batch's item that was not served as one costs the real-time price."""
        tier = usage.service_tier
        if asked is Lane.BATCH and tier is not None and tier != "batch":
            return Lane.REALTIME, f"was served on tier {tier} though it was in a batch"
        return asked, ""

    def window_call(self, params: bytes, window: Lane) -> CallParts:
        """Never asked for: there are no background windows here."""
        raise NotImplementedError(f"no window {window} for {len(params)} bytes")

    def response_call(self, response_id: str) -> CallParts:
        """Never asked for: there are no background windows here."""
        raise NotImplementedError(response_id)

    def cancel_response_call(self, response_id: str) -> CallParts:
        """Never asked for: there are no background windows here."""
        raise NotImplementedError(response_id)

    def decode_response(self, *, status: int, headers: Mapping[str, str], body: bytes) -> Queued | Outcome | ApiError:
        """Never asked for: there are no background windows here."""
        raise NotImplementedError(f"{status} {len(headers)} {len(body)}")

    def count_call(self, params: bytes, endpoint: Endpoint = Endpoint.MESSAGES) -> CallParts | None:
        """Ask for the input tokens: free, with requests a minute of its own (token counting page, checked 2026-11-21)."""
        assert endpoint is Endpoint.MESSAGES, f"no {endpoint} here"
        return CallParts(method="POST", path="/v1/messages/count_tokens", body=countable(params))

    def decode_count(self, *, status: int, headers: Mapping[str, str], body: bytes) -> int | ApiError:
        """Read the number of input tokens."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        found = attempt(_decode_count, body)
        return unreadable(body, headers.get("request-id", "")) if found is None else found.input_tokens

    def batch_open(self) -> bytes:
        """Bytes before the first line of a create body."""
        return OPEN

    def batch_line(
        self, *, custom_id: str, params: bytes, endpoint: Endpoint = Endpoint.MESSAGES, first: bool
    ) -> bytes:
        """Bytes of one request in a create body, separator included."""
        assert endpoint is Endpoint.MESSAGES, f"no {endpoint} here"
        assert CUSTOM_ID.fullmatch(custom_id), f"{custom_id!r} does not fit on the wire"
        return b"".join((b"" if first else b",", LINE_START, custom_id.encode(), LINE_MIDDLE, params, LINE_END))

    def batch_line_length(
        self, *, custom_id_length: int, params_length: int, endpoint: Endpoint = Endpoint.MESSAGES, first: bool
    ) -> int:
        """Length in bytes of what ``batch_line`` gives, without making it."""
        assert endpoint is Endpoint.MESSAGES, f"no {endpoint} here"
        frame = len(LINE_START) + len(LINE_MIDDLE) + len(LINE_END)
        return frame + custom_id_length + params_length + (not first)

    def batch_close(self) -> bytes:
        """Bytes after the last line of a create body."""
        return CLOSE

    def lines_call(self) -> CallParts:
        """Create a batch of the lines. Never repeated blindly: there is no idempotency key (checked 2026-11-21)."""
        return CallParts(method="POST", path=BATCHES, timeout_seconds=CREATE_TIMEOUT_SECONDS)

    def decode_file(self, *, status: int, headers: Mapping[str, str], body: bytes) -> str | ApiError:
        """Never asked for: lines are sent with the create call."""
        raise NotImplementedError(f"{status} {len(headers)} {len(body)}")

    def create_call(self, *, file_id: str, endpoint: Endpoint, token: str) -> CallParts:
        """Never asked for: lines are sent with the create call."""
        raise NotImplementedError(f"{file_id} {endpoint} {token}")

    def retrieve_call(self, provider_batch_id: str) -> CallParts:
        """Ask for one batch."""
        return CallParts(method="GET", path=_batch_path(provider_batch_id))

    def list_call(self, *, after: str | None, limit: int) -> CallParts:
        """Ask for a page of batches, newest first; the provider gives at most 1000."""
        assert limit >= 1, "a page has at least one"
        limit = min(limit, 1000)
        follow = f"&after_id={quote(after, safe='')}" if after is not None else ""
        return CallParts(method="GET", path=f"{BATCHES}?limit={limit}{follow}")

    def results_call(self, path: str) -> CallParts:
        """Ask for the results by our own path: a host in ``results_url`` never gets our key."""
        assert path.startswith(BATCHES), f"{path} holds no results"
        return CallParts(method="GET", path=path, timeout_seconds=CREATE_TIMEOUT_SECONDS)

    def cancel_call(self, provider_batch_id: str) -> CallParts:
        """Ask to cancel a batch."""
        return CallParts(method="POST", path=f"{_batch_path(provider_batch_id)}/cancel", body=b"")

    def models_call(self) -> CallParts:
        """Ask for one model: the cheapest call that proves a key."""
        return CallParts(method="GET", path="/v1/models?limit=1", timeout_seconds=30)

    def decode_batch(self, *, status: int, headers: Mapping[str, str], body: bytes) -> BatchView | ApiError:
        """Read a batch object. A 200 that cannot be read is a refusal to be cleared up by asking again."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        batch = attempt(_decode_batch, body)
        return unreadable(body, headers.get("request-id", "")) if batch is None else _view(batch)

    def decode_page(self, *, status: int, headers: Mapping[str, str], body: bytes) -> BatchPage | ApiError:
        """Read a page of a listing."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        page = attempt(_decode_page, body)
        if page is None:
            return unreadable(body, headers.get("request-id", ""))
        oldest = page.last_id or (page.data[-1].id if page.data else None)
        return BatchPage(
            batches=tuple(_view(batch) for batch in page.data), next_after=oldest if page.has_more else None
        )

    def decode_error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """Read any refusal, also one without JSON (an edge's 413, a proxy's 502)."""
        return read_error(status=status, headers=headers, body=body, now=self.provider_time(headers))

    def decode_result_line(self, line: bytes) -> ResultLine:
        """Read one whole line of results.

        Raises: ValueError when the line is no result line at all; a line that names its request but cannot be read
        otherwise gives ``Errored(code="row_unreadable")``.
        """
        return read_result_line(line)

    def provider_time(self, headers: Mapping[str, str]) -> datetime | None:
        """Read the provider's own clock from a reply's ``date`` header, ``None`` when it gave none."""
        return http_date(headers.get("date", ""))


# ---------------------------------------------------------------- answers


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: Count = 0


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: Count = 0


class _Usage(msgspec.Struct, gc=False):
    """Anthropic's counts, which are disjoint: ``input_tokens`` is only what met no cache."""

    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


class _Block(msgspec.Struct, gc=False):
    """A content block. Kinds we do not know pass; only ``text`` is read."""

    type: str
    text: Any = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]
    model: str
    usage: _Usage
    stop_reason: str | None = None


class _Succeeded(msgspec.Struct, tag="succeeded"):
    message: msgspec.Raw


class _Errored(msgspec.Struct, tag="errored"):
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Canceled(msgspec.Struct, tag="canceled"):
    pass


class _Expired(msgspec.Struct, tag="expired"):
    pass


class _Line(msgspec.Struct):
    custom_id: str
    result: _Succeeded | _Errored | _Canceled | _Expired


class _ErrorDetails(msgspec.Struct):
    error_code: Any = None


class _Error(msgspec.Struct):
    type: str
    message: str = ""
    details: _ErrorDetails | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error
    request_id: str | None = None


class _CountReply(msgspec.Struct):
    input_tokens: Count


_decode_count = msgspec.json.Decoder(_CountReply).decode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_error_body = msgspec.json.Decoder(_ErrorBody).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def read_result_line(line: bytes) -> ResultLine:
    """Read one line of a results file; see ``Codec.decode_result_line``."""
    try:
        found = _decode_line(line)
    except UNREADABLE as error:
        custom_id = name_of(line, error, LINE_HEAD)
        if custom_id is None:
            raise ValueError(f"not a result line: {error}") from error
        return ResultLine(custom_id=custom_id, outcome=Errored(code="row_unreadable", message=str(error)))
    return ResultLine(custom_id=found.custom_id, outcome=_read_result(found.result))


def _read_result(result: _Succeeded | _Errored | _Canceled | _Expired) -> Outcome:
    match result:
        case _Succeeded():
            return read_message(bytes(result.message))
        case _Errored():
            return _read_errored(bytes(result.error))
        case _Canceled():
            return Canceled()
        case _Expired():
            return Expired()
    assert_never(result)


def read_message(message: bytes) -> Outcome:
    """Read a message object; one that cannot be read, or has no usage, is ``Errored(code="row_unreadable")``."""
    try:
        found = _decode_message(message)
    except UNREADABLE as error:
        return Errored(code="row_unreadable", message=str(error))
    blocks = found.content
    if len(blocks) == 1 and blocks[0].type == "text":
        text = blocks[0].text
    else:
        text = "".join(block.text for block in blocks if block.type == "text" and isinstance(block.text, str))
    return Succeeded(
        message=message,
        text=text if isinstance(text, str) else "",
        stop_reason=found.stop_reason or "",
        model=found.model,
        usage=_inclusive(found.usage),
    )


def _inclusive(usage: _Usage) -> Usage:
    """Bring disjoint counts to inclusive ones. Without the split by lifetime, all writes are 5-minute ones."""
    read = usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    split = usage.cache_creation
    if split is None:
        short, long = written, 0
    else:
        long = split.ephemeral_1h_input_tokens
        short = max(split.ephemeral_5m_input_tokens, written - long)
    details, tools = usage.output_tokens_details, usage.server_tool_use
    output = usage.output_tokens
    return Usage(
        input_tokens=usage.input_tokens + read + short + long,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        reasoning_tokens=min(details.thinking_tokens, output) if details is not None else 0,
        web_searches=tools.web_search_requests if tools is not None else 0,
        service_tier=usage.service_tier,
        inference_geo=usage.inference_geo,
        speed=usage.speed,
    )


def _read_errored(error: bytes) -> Errored:
    """Read the error of a result line: an error body inside ``error``; the flat shape of old samples is taken too."""
    if (nested := attempt(_decode_error_body, error)) is not None:
        return Errored(code=nested.error.type, message=nested.error.message, request_id=nested.request_id or "")
    flat = attempt(_decode_error, error)
    if flat is None:
        return Errored(code="unknown_error", message=error.decode(errors="replace")[:MESSAGE_LENGTH_MAX])
    return Errored(code=flat.type, message=flat.message)


# ---------------------------------------------------------------- refusals

# platform.claude.com/docs/en/api/errors, checked 2026-11-21. For replies that carry no error type of their own.
CODES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
SPEND_CODES: Final = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})
SPEND_MESSAGES: Final = ("You have reached your specified API usage limits", "Your credit balance is too low")


def read_error(*, status: int, headers: Mapping[str, str], body: bytes, now: datetime | None) -> ApiError:
    """Read a refusal. ``now`` is the provider's time, for a ``retry-after`` that is a date."""
    found = attempt(_decode_error_body, body)
    if found is None:
        code = CODES.get(status, f"http_{status}")
        message = shown(body) or f"HTTP {status} without a body"
        meaning, detail, request_id = _bare_refusal(status, code), None, ""
    else:
        code, request_id = found.error.type, found.request_id or ""
        message = found.error.message or f"HTTP {status} without a message"
        detail = found.error.details.error_code if found.error.details is not None else None
        meaning = refusal(code)
    spend_limit = detail in SPEND_CODES or code == "billing_error" or message.startswith(SPEND_MESSAGES)
    return ApiError(
        status=status,
        code=code,
        message=message,
        refusal=FINAL if spend_limit else meaning,
        retry_after_seconds=retry_after(headers, now),
        spend_limit=spend_limit,
        request_id=request_id or headers.get("request-id", ""),
    )


def _bare_refusal(status: int, code: str) -> Refusal:
    """Say what a reply without Anthropic's error body means: it is the word of an edge or a proxy, not of the API."""
    if status >= 500 and status != 529:
        return DOUBT  # Promise 3: the API behind it may have done the work.
    if code in CODES.values():
        return refusal(code)
    return FINAL if 400 <= status < 500 else DOUBT


# ---------------------------------------------------------------- rate limits

# platform.claude.com/docs/en/api/rate-limits, checked 2026-11-21. ``tokens-*`` repeats the tightest of the other two.
RATE_HEADERS: Final = tuple(
    (
        measure,
        f"anthropic-ratelimit-{name}-limit",
        f"anthropic-ratelimit-{name}-remaining",
        f"anthropic-ratelimit-{name}-reset",
    )
    for measure, name in (
        (Measure.REQUESTS, "requests"),
        (Measure.INPUT_TOKENS, "input-tokens"),
        (Measure.OUTPUT_TOKENS, "output-tokens"),
    )
)


def read_rates(headers: Mapping[str, str]) -> tuple[Seen, ...]:
    """Read the rate limits that a reply tells; a measure that it does not tell is left out."""
    found: list[Seen] = []
    for measure, limit_name, remaining_name, reset_name in RATE_HEADERS:
        limit, remaining = whole_number(headers.get(limit_name)), whole_number(headers.get(remaining_name))
        if limit is not None or remaining is not None:
            reset_at = _instant(headers.get(reset_name, ""))
            found.append(Seen(measure=measure, limit=limit, remaining=remaining, reset_at=reset_at))
    return tuple(found)


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


# ---------------------------------------------------------------- batches

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Counts(msgspec.Struct):
    processing: Count = 0
    succeeded: Count = 0
    errored: Count = 0
    canceled: Count = 0
    expired: Count = 0


class _Batch(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    processing_status: str
    request_counts: _Counts
    created_at: Instant
    expires_at: Instant | None = None
    ended_at: Instant | None = None
    cancel_initiated_at: Instant | None = None
    archived_at: Instant | None = None
    results_url: str | None = None


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False
    last_id: str | None = None


_batch_decoder = msgspec.json.Decoder(_Batch)
_page_decoder = msgspec.json.Decoder(_Page)
STATUSES: Final = frozenset({"in_progress", "canceling", "ended"})


def _decode_batch(body: bytes) -> _Batch:
    batch = _batch_decoder.decode(body)
    _check_status(batch)
    return batch


def _decode_page(body: bytes) -> _Page:
    page = _page_decoder.decode(body)
    for batch in page.data:
        _check_status(batch)
    return page


def _check_status(batch: _Batch) -> None:
    if batch.processing_status not in STATUSES:
        raise msgspec.ValidationError(f"processing_status {batch.processing_status!r} is not known")


def _view(batch: _Batch) -> BatchView:
    counts = batch.request_counts
    total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return BatchView(
        provider_batch_id=batch.id,
        event=_event(batch),
        counts=Counts(
            total=total,
            succeeded=counts.succeeded,
            errored=counts.errored,
            canceled=counts.canceled,
            expired=counts.expired,
        ),
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        ended_at=batch.ended_at,
        results_paths=(f"{_batch_path(batch.id)}/results",) if batch.results_url is not None else (),
        archived=batch.archived_at is not None,
    )


Found = Literal[BatchEvent.FOUND_RUNNING, BatchEvent.FOUND_CANCELING, BatchEvent.FOUND_ENDED, BatchEvent.FOUND_CANCELED]


def _event(batch: _Batch) -> Found:
    """Say what was found. ``ended`` after a cancel is our ``canceled``: finished rows are paid and are read."""
    if batch.processing_status == "in_progress":
        return BatchEvent.FOUND_RUNNING
    if batch.processing_status == "canceling":
        return BatchEvent.FOUND_CANCELING
    return BatchEvent.FOUND_ENDED if batch.cancel_initiated_at is None else BatchEvent.FOUND_CANCELED


def _batch_path(provider_batch_id: str) -> str:
    return f"{BATCHES}/{quote(provider_batch_id, safe='')}"


CODEC: Codec = AnthropicCodec()
