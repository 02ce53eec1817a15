"""Answers in OpenAI's dialect: chat completions, responses and lines of batches, brought to our outcomes and counts.

The laws: a whole line always gives an outcome, an answer whose usage cannot be read is an error that may be billed and
never free, and nothing here raises whatever the bytes are.

Sources: openai SDK 3.54.0, the published OpenAPI document of 2026-08-21 and recorded traffic, checked 2026-11-21.
"""

import re
from typing import Any, Final

import msgspec

from lowtide.providers import Queued, ResultLine
from lowtide.providers.openai_errors import complaint_of, read_complaint
from lowtide.providers.replies import UNREADABLE, Count, name_of
from lowtide.result import REFUSALS, Canceled, Errored, Expired, Outcome, Retry, Succeeded
from lowtide.usage import Usage

LINE_HEAD: Final = re.compile(rb'\s*\{(?:\s*"id"\s*:\s*"[^"\\]{0,200}"\s*,)?\s*"custom_id"\s*:\s*"([^"\\]{1,512})"')

# ---------------------------------------------------------------- usage


class _Writes(msgspec.Struct, gc=False):
    ttl_30m_tokens: Count = 0
    ttl_12h_tokens: Count = 0


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_write_tokens_details: _Writes | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class _Usage(msgspec.Struct, gc=False):
    """Usage of either endpoint: ``prompt`` and ``completion`` in Chat, ``input`` and ``output`` in Responses."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


def _inclusive(
    *,
    input_tokens: int,
    output_tokens: int,
    details: _InputDetails | None,
    reasoning: _OutputDetails | None,
    tier: str | None,
    ttl: str,
) -> Usage:
    """Bring counts to ours. They are inclusive already; writes without their lifetime have the body's own, ``ttl``."""
    read = written = long = 0
    if details is not None:
        read = min(details.cached_tokens or 0, input_tokens)
        written = min(details.cache_write_tokens or 0, input_tokens - read)
        split = details.cache_write_tokens_details
        if split is not None:
            long = min(split.ttl_12h_tokens, written)
        elif ttl == "12h":
            long = written
    thought = (reasoning.reasoning_tokens or 0) if reasoning is not None else 0
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=read,
        cache_write_30m_tokens=written - long,
        cache_write_12h_tokens=long,
        reasoning_tokens=min(thought, output_tokens),
        service_tier=tier,
    )


# ---------------------------------------------------------------- answers


class _ChatMessage(msgspec.Struct, gc=False):
    content: Any = None
    refusal: Any = None


class _Choice(msgspec.Struct, gc=False):
    message: _ChatMessage
    finish_reason: str | None = None


class _Item(msgspec.Struct, gc=False):
    """One item of a response's output. Kinds we do not know pass; only messages and calls are looked at."""

    type: str = ""
    content: Any = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _CacheOptions(msgspec.Struct, gc=False):
    ttl: Any = None


class _Answer(msgspec.Struct):
    """What either endpoint answers, in one shape, so that each answer is read once."""

    id: str = ""
    object: str | None = None
    model: str = ""
    usage: _Usage | None = None
    service_tier: str | None = None
    # Chat
    choices: list[_Choice] = []
    # Responses
    status: str = ""
    output: list[_Item] = []
    error: Any = None
    incomplete_details: _Incomplete | None = None
    prompt_cache_options: _CacheOptions | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
NO_USAGE: Final = Errored(code="row_unreadable", message="the answer has no usage")
FINISH_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
UNDER_WAY: Final = frozenset({"queued", "in_progress"})
INCOMPLETE: Final = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
CLIENT_CALLS: Final = frozenset({"function_call", "custom_tool_call", "local_shell_call", "apply_patch_call"})


def read_message(message: bytes) -> Outcome:
    """Read an answer of either endpoint; one that cannot be read, or has no usage, may have been billed."""
    found = _read_answer(message)
    if isinstance(found, Queued):  # nobody who asks here asked for it in the background
        return Errored(code="response_unfinished", message=f"{found.response_id} is still under way")
    return found


def read_response(message: bytes) -> Queued | Outcome:
    """Read a response that is made in the background: still under way, or what became of it."""
    return _read_answer(message)


def _read_answer(message: bytes) -> Queued | Outcome:
    try:
        found = _decode_answer(message)
    except UNREADABLE as error:
        return Errored(code="row_unreadable", message=str(error))
    if found.choices:
        return _chat_outcome(message, found)
    if found.object == "response" or found.status:
        return _response_outcome(message, found)
    return Errored(code="row_unreadable", message="neither a chat completion nor a response")


def _chat_outcome(message: bytes, found: _Answer) -> Outcome:
    """Read a chat completion. Of several choices the first is the text; all of them are in ``message``, and billed."""
    choice, usage = found.choices[0], found.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return NO_USAGE
    reason = FINISH_REASONS.get(choice.finish_reason or "", choice.finish_reason or "")
    return Succeeded(
        message=message,
        text=_text_of(choice.message.content),
        stop_reason="refusal" if isinstance(choice.message.refusal, str) and choice.message.refusal else reason,
        model=found.model,
        usage=_inclusive(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            details=usage.prompt_tokens_details,
            reasoning=usage.completion_tokens_details,
            tier=found.service_tier,
            ttl="30m",  # Chat Completions has no other (checked 2026-11-21)
        ),
    )


def _text_of(content: object) -> str:
    """Give a text, or that of a list of parts, as some servers write it."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _response_outcome(message: bytes, found: _Answer) -> Queued | Outcome:
    """Read a response by its status. One that was cut short is an answer, and billed as one."""
    if found.status in UNDER_WAY and found.id:
        return Queued(response_id=found.id)
    usage = found.usage
    billed = usage is not None and (usage.input_tokens or 0) + (usage.output_tokens or 0) > 0
    if found.status == "failed":
        return _failed(found.error, billed=billed)
    if found.status == "cancelled":
        what = f"{found.id} was canceled after it had begun"
        return Errored(code="response_failed", message=what) if billed else Canceled()
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return NO_USAGE
    text, reason = _output(found.output)
    if found.status == "incomplete":
        why = found.incomplete_details.reason if found.incomplete_details is not None else None
        reason = INCOMPLETE.get(why or "", why or "incomplete")
    ttl = found.prompt_cache_options.ttl if found.prompt_cache_options is not None else ""
    return Succeeded(
        message=message,
        text=text,
        stop_reason=reason,
        model=found.model,
        usage=_inclusive(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            details=usage.input_tokens_details,
            reasoning=usage.output_tokens_details,
            tier=found.service_tier,
            ttl=ttl if isinstance(ttl, str) else "",
        ),
    )


def _failed(error: object, *, billed: bool) -> Errored:
    """Name why a response failed. What was made before it did may be billed, unless it was the request's own fault."""
    said = error if isinstance(error, dict) else {}
    complaint = complaint_of(code=said.get("code"), kind=said.get("type"), message=said.get("message"), status=0)
    known = REFUSALS.get(complaint.known)
    free = known is not None and (known.retry is Retry.NEVER or complaint.known == "rate_limit_exceeded")
    if free and not billed:
        return Errored(code=complaint.known, message=complaint.message)
    return Errored(code="response_failed", message=f"{complaint.code}: {complaint.message}")


def _output(items: list[_Item]) -> tuple[str, str]:
    """Give the text of all messages and, in our words, why the answer ended."""
    texts: list[str] = []
    reason = "end_turn"
    for item in items:
        if item.type in CLIENT_CALLS and reason == "end_turn":
            reason = "tool_use"
        if item.type != "message" or not isinstance(item.content, list):
            continue
        for part in item.content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                texts.append(part["text"])
            elif isinstance(part, dict) and part.get("type") == "refusal":
                reason = "refusal"
    return "".join(texts), reason


# ---------------------------------------------------------------- lines of results


class _Reply(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")
    request_id: str | None = None


class _LineError(msgspec.Struct):
    code: Any = None
    message: Any = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Reply | None = None
    error: _LineError | None = None


_decode_line = msgspec.json.Decoder(_Line).decode


def read_result_line(line: bytes) -> ResultLine:
    """Read one line of an output or error file; see ``Codec.decode_result_line``."""
    try:
        found = _decode_line(line)
    except UNREADABLE as error:
        custom_id = name_of(line, error, LINE_HEAD)
        if custom_id is None:
            raise ValueError(f"not a result line: {error}") from error
        return ResultLine(custom_id=custom_id, outcome=Errored(code="row_unreadable", message=str(error)))
    return ResultLine(custom_id=found.custom_id, outcome=_line_outcome(found))


def _line_outcome(found: _Line) -> Outcome:
    """Judge a line by its status first, then by its error: a 400 comes with ``error: null``."""
    reply = found.response
    if reply is not None:
        if 200 <= reply.status_code < 300:
            return read_message(bytes(reply.body))
        return _refused(bytes(reply.body), reply.status_code, reply.request_id or "")
    if found.error is None:
        return Errored(code="row_unreadable", message="the line has neither a response nor an error")
    code = found.error.code
    if code == "batch_expired":
        return Expired()
    if code in ("batch_cancelled", "batch_canceled"):
        return Canceled()
    complaint = complaint_of(code=code, kind=None, message=found.error.message, status=0)
    return Errored(code=complaint.code, message=complaint.message)


def _refused(body: bytes, status: int, request_id: str) -> Errored:
    """Read a refusal of one line. Its code is one that our table has; the provider's own goes before its words."""
    found = read_complaint(body, status)
    if found is None:
        found = complaint_of(code=None, kind=None, message=body.decode(errors="replace")[:300], status=status)
    known = found.known if found.known in REFUSALS else "invalid_request_error" if status < 500 else "server_error"
    words = found.message if found.code == known else f"{found.code}: {found.message}"
    return Errored(code=known, message=words, request_id=request_id)
