"""One generation, from a body that passed validation to the message object and its events.

Here: what a body amounts to (``Work``), the message around an answer, and the server-sent events of the same message.
Not here: HTTP, limits, cache stores, the bill. Law: streamed and not streamed, the message is the same.

Source: recorded answers and streams of 2026-03 to 2026-08; reference sheet sections 2.2 and 2.3. Checked 2026-11-21.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

from lowtide_simulator import tokens
from lowtide_simulator.answers import Answer, Chances, Writer
from lowtide_simulator.caching import Cut, Served, cuts_of
from lowtide_simulator.clock import Instant, to_datetime
from lowtide_simulator.models import Model
from lowtide_simulator.usage import Usage
from lowtide_simulator.validation import Context, check_messages, check_prompt_length

DELTA_CHARACTERS: Final = 48
FREE_REFUSALS_SINCE: Final = date(2026, 6, 2)
BILLED_AGAIN_SINCE: Final = date(2026, 9, 24)
BILLED_CATEGORIES: Final = frozenset({"bio", "frontier_llm", "reasoning_extraction"})

encode: Final = msgspec.json.Encoder().encode
_canonical: Final = msgspec.json.Encoder(order="deterministic").encode


def prompt_digest(params: dict[str, Any]) -> bytes:
    """SHA-256 of the body without ``stream``: keys sorted, no white space, UTF-8."""
    if "stream" in params:
        params = {name: value for name, value in params.items() if name != "stream"}
    return hashlib.sha256(_canonical(params)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a body asks for, before any cache is looked at."""

    model: Model
    digest: bytes
    prompt_tokens: int
    cuts: tuple[Cut, ...]
    answer: Answer
    geo: str
    fast: bool

    def usage(self, served: Served) -> Usage:
        """The counts, given what a cache did."""
        return Usage(
            input=self.prompt_tokens - served.read - served.write_5m - served.write_1h,
            write_5m=served.write_5m,
            write_1h=served.write_1h,
            read=served.read,
            output=self.answer.output_tokens,
            thinking=self.answer.thinking_tokens,
            geo=self.geo,
            fast=self.fast,
        )


def work_of(params: dict[str, Any], context: Context, seed: int, chances: Chances) -> Work:
    """Check a body and do its work. Raises ShapeError or UnknownModelError."""
    model = check_messages(params, context)
    prompt_tokens = tokens.request_tokens(params, model)
    check_prompt_length(prompt_tokens, context, model)
    digest = prompt_digest(params)
    return Work(
        model=model,
        digest=digest,
        prompt_tokens=prompt_tokens,
        cuts=cuts_of(params, model),
        answer=Writer(params, digest, model, seed, chances).write(),
        geo=(params.get("inference_geo") or "global") if model.geo else "not_available",
        fast=params.get("speed") == "fast",
    )


def is_billed(answer: Answer, at: Instant) -> bool:
    """Refusals before any output were free from 2026-06-02, and since 2026-09-24 some categories are billed again."""
    if answer.refusal_category is None or answer.blocks:
        return True
    day = to_datetime(at).date()
    if day < FREE_REFUSALS_SINCE:
        return True
    return day >= BILLED_AGAIN_SINCE and answer.refusal_category in BILLED_CATEGORIES


def message(message_id: str, model: Model, answer: Answer, usage: Usage, *, tier: str) -> dict[str, Any]:
    """The message object, fields in the order of recorded answers."""
    return {
        "model": model.id,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": answer.blocks,
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": _stop_details(answer),
        "usage": usage.to_json(tier),
    }


def _stop_details(answer: Answer) -> dict[str, Any] | None:
    if answer.refusal_category is None:
        return None
    explanation = "This request was declined by the simulated provider."
    return {"type": "refusal", "category": answer.refusal_category, "explanation": explanation}


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, and the share (0 to 1) of the output that has been generated once it is sent."""

    raw: bytes
    share: float


def event(name: str, body: dict[str, Any]) -> bytes:
    """An SSE frame: an ``event:`` line and the same name as ``type`` in the data."""
    return b"event: " + name.encode() + b"\ndata: " + encode({"type": name, **body}) + b"\n\n"


def events(whole: dict[str, Any]) -> Iterator[Event]:
    """The events of a message, in the provider's order."""
    usage = whole["usage"]
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    start["usage"] = {**usage, "output_tokens": min(1, usage["output_tokens"])}
    start["usage"].pop("output_tokens_details")
    yield Event(event("message_start", {"message": start}), 0.0)
    deltas = [list(_deltas(block)) for block in whole["content"]]
    total = sum(map(len, deltas)) or 1
    sent = 0
    for index, block in enumerate(whole["content"]):
        frame = event("content_block_start", {"index": index, "content_block": _empty(block)})
        yield Event(frame, sent / total)
        if index == 0:
            yield Event(event("ping", {}), sent / total)
        for delta in deltas[index]:
            sent += 1
            yield Event(event("content_block_delta", {"index": index, "delta": delta}), sent / total)
        yield Event(event("content_block_stop", {"index": index}), sent / total)
    final = {name: usage[name] for name in DELTA_USAGE}
    stop = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield Event(event("message_delta", {"delta": stop, "usage": final}), 1.0)
    yield Event(event("message_stop", {}), 1.0)


DELTA_USAGE: Final = (
    "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens", "output_tokens_details",
)  # fmt: skip


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    """A block as it stands in ``content_block_start``."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            for piece in _pieces(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in _pieces(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in _pieces(encode(block["input"]).decode()):
                yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(value: str) -> Iterator[str]:
    for start in range(0, len(value), DELTA_CHARACTERS):
        yield value[start : start + DELTA_CHARACTERS]


def error_event(kind: str, text: str) -> bytes:
    """An error in the middle of a stream that began with 200."""
    return event("error", {"error": {"type": kind, "message": text}})
