"""The chat completion around an answer, whole and in chunks.

Law: streamed and not streamed, the completion is the same; usage comes in a chunk of its own, last, and only when asked.

Source: recorded completions and streams of 2024-06 to 2026-08; reference sheet of OpenAI's API, section 2.4. Checked
2026-11-21.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lowtide_simulator.answers import Answer
from lowtide_simulator.messages import encode
from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.work import Work, calls_of, text_of

DELTA_CHARACTERS: Final = 48
REFUSAL: Final = "[simulated] I'm sorry, but I can't assist with that request."
FINISHES: Final = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, and the share (0 to 1) of the output that has been generated once it is sent."""

    raw: bytes
    share: float


def completion(completion_id: str, created: int, work: Work, usage: Usage, *, tier: str) -> dict[str, Any]:
    """The ``chat.completion`` object, fields in the order of recorded answers; ``created`` is in whole seconds."""
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": work.snapshot,
        "choices": [
            {"index": index, "message": _message(answer), "logprobs": None, "finish_reason": finish_of(answer)}
            for index, answer in enumerate(work.answers)
        ],
        "usage": usage.chat(),
        "service_tier": tier,
        "system_fingerprint": None,
    }


def finish_of(answer: Answer) -> str:
    """Why it stopped. A refusal before any output is an answer; one in the middle is the content filter's."""
    if answer.stop_reason == "refusal":
        return "content_filter" if answer.blocks else "stop"
    return FINISHES[answer.stop_reason]


def refused(answer: Answer) -> bool:
    """Whether the model declined before it wrote anything."""
    return answer.stop_reason == "refusal" and not answer.blocks


def _message(answer: Answer) -> dict[str, Any]:
    calls = calls_of(answer)
    content = text_of(answer)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls or refused(answer) else content or "",
        "refusal": REFUSAL if refused(answer) else None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{stem}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for stem, name, arguments in calls
        ]
    return message


def events(whole: dict[str, Any], *, include_usage: bool, obfuscated: bool) -> Iterator[Event]:
    """The chunks of a completion; ``usage: null`` in all but the last when usage was asked for."""
    head = {name: whole[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head = {"id": head.pop("id"), "object": "chat.completion.chunk", **head}

    def chunk(choices: list[dict[str, Any]], share: float, usage: Any = None) -> Event:  # noqa: ANN401 - a usage or None
        body = {**head, "choices": choices}
        if include_usage:
            body["usage"] = usage
        if obfuscated:
            body["obfuscation"] = "x" * (1 + len(encode(choices)) % 11)
        return Event(b"data: " + encode(body) + b"\n\n", share)

    deltas = [(choice, list(_deltas(choice["message"]))) for choice in whole["choices"]]
    total = sum(len(found) for _, found in deltas) or 1
    sent = 0
    for choice, found in deltas:
        for delta in found:
            sent += 1
            yield chunk([_choice(choice["index"], delta, None)], sent / total)
        yield chunk([_choice(choice["index"], {}, choice["finish_reason"])], sent / total)
    if include_usage:
        yield chunk([], 1.0, whole["usage"])
    yield Event(DONE, 1.0)


def _choice(index: int, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    calls = message.get("tool_calls") or []
    yield {"role": "assistant", "content": None if calls else "", "refusal": None}
    for piece in pieces(message["content"] or ""):
        yield {"content": piece}
    for piece in pieces(message["refusal"] or ""):
        yield {"refusal": piece}
    for index, call in enumerate(calls):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]}
        for piece in pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def pieces(value: str) -> Iterator[str]:
    """A text in the pieces that a stream brings."""
    for start in range(0, len(value), DELTA_CHARACTERS):
        yield value[start : start + DELTA_CHARACTERS]
