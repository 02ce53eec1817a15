"""One OpenAI generation, from a body that passed validation to an answer in no dialect yet.

Here: what a chat or response body amounts to. Not here: the objects around the answer (``chat``, ``responses``), cache
stores, limits, the bill. Law: a body has one digest however it is delivered: ``stream``, the tier and the lane are left
out of it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lowtide_simulator.answers import Answer, Chances, Writer
from lowtide_simulator.caching import Cut
from lowtide_simulator.messages import encode
from lowtide_simulator.openai import validation
from lowtide_simulator.openai.caching import Served, cuts_of
from lowtide_simulator.openai.models import CacheWrites, Model
from lowtide_simulator.openai.tokens import chat_parts, response_parts, total
from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.validation import CHAT, Context

DELIVERY: Final = frozenset({"stream", "stream_options", "service_tier", "store", "background", "background_options"})
_canonical: Final = msgspec.json.Encoder(order="deterministic").encode
ANY_OBJECT: Final = {"type": "object", "properties": {"answer": {"type": "string"}}}


def prompt_digest(body: dict[str, Any]) -> bytes:
    """SHA-256 of the body without what only says how it is delivered: keys sorted, no white space, UTF-8."""
    bare = {name: body[name] for name in sorted(body) if name not in DELIVERY}
    return hashlib.sha256(_canonical(bare)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a body asks for, before any cache is looked at. ``answers`` has one for each of ``n`` choices."""

    endpoint: str
    model: Model
    name: str
    digest: bytes
    prompt_tokens: int
    limit: int
    cuts: tuple[Cut, ...]
    answers: tuple[Answer, ...]

    @property
    def output_tokens(self) -> int:
        """Tokens of all choices."""
        return sum(answer.output_tokens for answer in self.answers)

    @property
    def snapshot(self) -> str:
        """What the answer calls the model."""
        return self.model.snapshot if self.name in (self.model.id, *self.model.aliases) else self.name

    def usage(self, served: Served) -> Usage:
        """The counts, given what a cache did."""
        return Usage(
            prompt=self.prompt_tokens,
            cached=served.cached,
            write_30m=served.write_30m,
            write_12h=served.write_12h,
            output=self.output_tokens,
            reasoning=sum(answer.thinking_tokens for answer in self.answers),
            paid_writes=self.model.cache is CacheWrites.PAID,
        )


def work_of(
    endpoint: str, body: dict[str, Any], context: Context, seed: int, chances: Chances, *, before: int = 0
) -> Work:
    """Check a body and do its work; ``before`` is the tokens of an earlier conversation. Raises Refusal."""
    if endpoint == CHAT:
        model = validation.check_chat(body, context)
        parts = chat_parts(body)
    else:
        model = validation.check_response(body, context)
        parts = response_parts(body)
    prompt_tokens = total(parts) + before
    validation.check_length(prompt_tokens, body, model)
    digest = prompt_digest(body)
    return Work(
        endpoint=endpoint,
        model=model,
        name=body["model"],
        digest=digest,
        prompt_tokens=prompt_tokens,
        limit=limit_of(body, model),
        cuts=cuts_of(body, parts, prompt_tokens, model),
        answers=answers_of(endpoint, body, digest, model, seed, chances),
    )


def limit_of(body: dict[str, Any], model: Model) -> int:
    """Most tokens that one choice may have."""
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        if body.get(name) is not None:
            return int(body[name])
    return model.output_tokens_max


def answers_of(
    endpoint: str, body: dict[str, Any], digest: bytes, model: Model, seed: int, chances: Chances
) -> tuple[Answer, ...]:
    """The choices, always the same for one body and seed."""
    params = _chat_params(body, model) if endpoint == CHAT else _response_params(body, model)
    found = []
    for number in range(body.get("n") or 1):
        own = digest if number == 0 else hashlib.sha256(digest + bytes([number])).digest()
        found.append(Writer(params, own, model, seed, chances).write())
    return tuple(found)


def _chat_params(body: dict[str, Any], model: Model) -> dict[str, Any]:
    stop = body.get("stop")
    effort = body.get("reasoning_effort")
    form = body.get("response_format") or {}
    tools = [tool["function"] for tool in body.get("tools") or () if tool["type"] == "function"]
    choice = body.get("tool_choice")
    forced = choice["function"]["name"] if isinstance(choice, dict) and choice.get("type") == "function" else None
    return _params(
        body,
        model,
        stop=[stop] if isinstance(stop, str) else stop,
        effort=effort,
        schema=_schema_of(form, form.get("json_schema")),
        tools=tools,
        choice=choice if isinstance(choice, str) else "auto",
        forced=forced,
        answered=body["messages"][-1]["role"] == "tool",
    )


def _response_params(body: dict[str, Any], model: Model) -> dict[str, Any]:
    form = (body.get("text") or {}).get("format") or {}
    items = body.get("input")
    choice = body.get("tool_choice")
    forced = choice.get("name") if isinstance(choice, dict) and choice.get("type") == "function" else None
    return _params(
        body,
        model,
        stop=None,
        effort=(body.get("reasoning") or {}).get("effort"),
        schema=_schema_of(form, form),
        tools=[tool for tool in body.get("tools") or () if tool["type"] == "function"],
        choice=choice if isinstance(choice, str) else "auto",
        forced=forced,
        answered=isinstance(items, list) and bool(items) and items[-1].get("type") == "function_call_output",
    )


def _schema_of(form: dict[str, Any], named: dict[str, Any] | None) -> dict[str, Any] | None:
    if form.get("type") == "json_object":
        return ANY_OBJECT
    return (named or {}).get("schema") if form.get("type") == "json_schema" else None


CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}


def _params(
    body: dict[str, Any],
    model: Model,
    *,
    stop: list[str] | None,
    effort: str | None,
    schema: dict[str, Any] | None,
    tools: list[dict[str, Any]],
    choice: str,
    forced: str | None,
    answered: bool,
) -> dict[str, Any]:
    """What the writer reads, in the words that it knows."""
    thinks = model.reasoning and (effort or ("none" if "none" in model.efforts else "medium")) != "none"
    return {
        "max_tokens": limit_of(body, model),
        "stop_sequences": stop or [],
        "thinking": {"type": "adaptive"} if thinks else None,
        "output_config": {"format": {"schema": schema}} if schema else None,
        "tools": [{"name": tool["name"], "input_schema": tool.get("parameters") or {}} for tool in tools],
        "tool_choice": {"type": "tool", "name": forced} if forced else {"type": CHOICES.get(choice, "auto")},
        "messages": [{"content": [{"type": "tool_result"}] if answered else ""}],
    }


def text_of(answer: Answer) -> str | None:
    """The text of an answer, None when it has none."""
    texts = [block["text"] for block in answer.blocks if block["type"] == "text"]
    return "".join(texts) if texts else None


def calls_of(answer: Answer) -> list[tuple[str, str, str]]:
    """Tool calls: a stem for ids, the name, the arguments as JSON text."""
    return [
        (block["id"].removeprefix("toolu_01"), block["name"], encode(block["input"]).decode())
        for block in answer.blocks
        if block["type"] == "tool_use"
    ]
