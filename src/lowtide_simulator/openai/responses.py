"""The response object around an answer, whole and as typed events.

Law: streamed, fetched again or out of a batch, the response is the same; its usage stands in the terminal event only.

Source: recorded responses and streams of 2025-07 to 2026-08; openai-python 3.54.0; reference sheet of OpenAI's API, section
2.4. Checked 2026-11-21.
"""

from collections.abc import Iterator
from typing import Any, Final

from lowtide_simulator.answers import Answer
from lowtide_simulator.ids import Ids
from lowtide_simulator.messages import encode
from lowtide_simulator.openai.chat import REFUSAL, Event, pieces, refused
from lowtide_simulator.openai.models import CacheWrites
from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.work import Work, calls_of, text_of

TOOL_USAGE: Final = {
    "image_gen": {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "total_tokens": 0,
    },
    "web_search": {"num_requests": 0},
}
TERMINAL: Final = ("completed", "failed", "incomplete", "cancelled")


def skeleton(response_id: str, created: int, body: dict[str, Any], work: Work, *, status: str) -> dict[str, Any]:
    """A response before it has any output: ``queued`` or ``in_progress``; ``created`` is in whole seconds."""
    form = body.get("text") or {}
    asked = body.get("reasoning") or {}
    model = work.model
    effort = asked.get("effort") or ("none" if "none" in model.efforts else "medium" if model.reasoning else None)
    options = body.get("prompt_cache_options") or {}
    caching = (
        {"prompt_cache_options": {"mode": options.get("mode", "implicit"), "ttl": options.get("ttl", "30m")}}
        if model.cache is CacheWrites.PAID
        else {}
    )
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": status,
        "background": bool(body.get("background")),
        "billing": {"payer": "developer"},
        "completed_at": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": work.snapshot,
        "moderation": None,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True) is not False,
        "presence_penalty": 0.0,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        **caching,
        "prompt_cache_retention": body.get("prompt_cache_retention"),
        "reasoning": {
            "context": asked.get("context", "current_turn"),
            "effort": effort,
            "mode": asked.get("mode", "standard"),
            "summary": asked.get("summary"),
        },
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": body.get("service_tier") or "auto",
        "store": body.get("store") is not False,
        "temperature": 1.0 if body.get("temperature") is None else float(body["temperature"]),
        "text": {"format": _form(form.get("format")), "verbosity": form.get("verbosity") or "medium"},
        "tool_choice": body.get("tool_choice") or "auto",
        "tool_usage": TOOL_USAGE,
        "tools": [_tool(tool) for tool in body.get("tools") or ()],
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": 1.0 if body.get("top_p") is None else float(body["top_p"]),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _form(given: dict[str, Any] | None) -> dict[str, Any]:
    if not given:
        return {"type": "text"}
    if given["type"] != "json_schema":
        return {"type": given["type"]}
    return {
        "type": "json_schema",
        "description": given.get("description"),
        "name": given["name"],
        "schema": given["schema"],
        "strict": bool(given.get("strict")),
    }


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool["type"] != "function":
        return tool
    return {
        "type": "function",
        "description": tool.get("description"),
        "name": tool["name"],
        "output_schema": tool.get("output_schema"),
        "parameters": tool.get("parameters"),
        "strict": tool.get("strict") is not False,
    }


def response(base: dict[str, Any], work: Work, usage: Usage, ids: Ids, *, tier: str, completed: int) -> dict[str, Any]:
    """The finished response: completed, or incomplete when the output was cut off."""
    answer = work.answers[0]
    incomplete = _incomplete(answer)
    return {
        **base,
        "status": "incomplete" if incomplete else "completed",
        "completed_at": None if incomplete else completed,
        "incomplete_details": incomplete,
        "output": list(_output(base["id"], answer, ids, incomplete=bool(incomplete), reasons=work.model.reasoning)),
        "service_tier": tier,
        "usage": usage.responses(),
    }


def failed(base: dict[str, Any], code: str, message: str) -> dict[str, Any]:
    """A response that came to nothing."""
    return {**base, "status": "failed", "error": {"code": code, "message": message}}


def _incomplete(answer: Answer) -> dict[str, str] | None:
    if answer.stop_reason == "max_tokens":
        return {"reason": "max_output_tokens"}
    if answer.stop_reason == "refusal" and answer.blocks:
        return {"reason": "content_filter"}
    return None


def _output(response_id: str, answer: Answer, ids: Ids, *, incomplete: bool, reasons: bool) -> Iterator[dict[str, Any]]:
    if reasons and answer.thinking_tokens:
        yield {"id": ids.hex("rs_", response_id, 50), "type": "reasoning", "content": [], "summary": []}
    status = "incomplete" if incomplete else "completed"
    content = text_of(answer)
    if content is not None or refused(answer):
        part: dict[str, Any] = (
            {"type": "refusal", "refusal": REFUSAL}
            if content is None
            else {"type": "output_text", "annotations": [], "logprobs": [], "text": content}
        )
        message = {"id": ids.hex("msg_", response_id, 50), "type": "message", "status": status, "content": [part]}
        yield {**message, "phase": "final_answer", "role": "assistant"}
    for stem, name, arguments in calls_of(answer):
        yield {
            "id": ids.hex("fc_", f"{response_id} {name}", 50),
            "type": "function_call",
            "status": status,
            "arguments": arguments,
            "call_id": f"call_{stem}",
            "name": name,
        }


def events(base: dict[str, Any], whole: dict[str, Any], *, obfuscated: bool = True) -> Iterator[Event]:
    """The typed events, numbered from 0: created, (queued,) in progress, the items, and the terminal one."""
    number = -1

    def event(name: str, share: float, body: dict[str, Any]) -> Event:
        nonlocal number
        number += 1
        data = encode({"type": name, "sequence_number": number, **body})
        return Event(b"event: " + name.encode() + b"\ndata: " + data + b"\n\n", share)

    yield event("response.created", 0.0, {"response": base})
    if base["status"] == "queued":
        yield event("response.queued", 0.0, {"response": base})
    yield event("response.in_progress", 0.0, {"response": {**base, "status": "in_progress"}})
    planned = [(index, item, list(_steps(item))) for index, item in enumerate(whole["output"])]
    total = sum(len(steps) for _, _, steps in planned) or 1
    sent = 0
    for index, item, steps in planned:
        opening = {**item, "status": "in_progress"} if item["type"] != "reasoning" else item
        opening |= {"content": []} if item["type"] == "message" else {}
        opening |= {"arguments": ""} if item["type"] == "function_call" else {}
        yield event("response.output_item.added", sent / total, {"output_index": index, "item": opening})
        for name, body in steps:
            sent += 1
            padded = obfuscated and name.endswith(".delta")
            padding = {"obfuscation": "x" * (1 + len(body["delta"]) % 11)} if padded else {}
            yield event(name, sent / total, {**body, "output_index": index, **padding})
        yield event("response.output_item.done", sent / total, {"output_index": index, "item": item})
    yield event(f"response.{whole['status']}", 1.0, {"response": whole})


def _steps(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What happens inside one item."""
    place = {"item_id": item["id"], "content_index": 0}
    match item["type"]:
        case "message":
            part = item["content"][0]
            kind = "refusal" if part["type"] == "refusal" else "output_text"
            field = "refusal" if kind == "refusal" else "text"
            more: dict[str, Any] = {} if kind == "refusal" else {"logprobs": []}
            yield "response.content_part.added", {**place, "part": {**part, field: ""}}
            for piece in pieces(part[field]):
                yield f"response.{kind}.delta", {**place, "delta": piece, **more}
            yield f"response.{kind}.done", {**place, field: part[field], **more}
            yield "response.content_part.done", {**place, "part": part}
        case "function_call":
            only = {"item_id": item["id"]}
            for piece in pieces(item["arguments"]):
                yield "response.function_call_arguments.delta", {**only, "delta": piece}
            done = {**only, "arguments": item["arguments"], "name": item["name"]}
            yield "response.function_call_arguments.done", done
        case _:
            return


def error_event(number: int, code: str, message: str) -> bytes:
    """An error in the middle of a stream that began with 200."""
    body = {"type": "error", "sequence_number": number, "code": code, "message": message, "param": None}
    return b"event: error\ndata: " + encode(body) + b"\n\n"
