"""What OpenAI's half of the simulated provider accepts, and the 400 it answers otherwise.

Here: the shape of chat and response bodies as tables, then the rules that look at the model and the lane. Not here: the
lines of a batch file (``batch_lines``). Law: unknown fields are refused (unless the profile is loose); whatever passes
here can be counted and answered without another check.

Source: openai-python 3.54.0's parameter types; reference sheet of OpenAI's API, sections 2.2 and 2.4; recorded
refusals. Checked 2026-11-21.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lowtide_simulator.clock import Instant
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.openai.models import BY_NAME, CacheWrites, Model, find_model, stand_in
from lowtide_simulator.openai.shapes import (
    Checker,
    any_object,
    anything,
    bad,
    listing,
    many,
    maybe,
    missing,
    number,
    one_of,
    record,
    tagged,
    text,
    text_or,
    truth,
    whole,
    wrong_type,
)

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
WINDOWS: Final = ("soonest", "2h", "8h")
DISCOUNTED: Final = ("2h", "8h")
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
RESPONSE_TOKENS_MIN: Final = 16
METADATA_PAIRS: Final = 16

# ------------------------------------------------------------------ shapes


def metadata(value: object, path: str) -> None:
    """At most 16 pairs of strings, 64 and 512 characters."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    if len(value) > METADATA_PAIRS:
        message = (
            f"Invalid '{path}': too many properties. Expected an object with at most {METADATA_PAIRS} properties, but "
            f"got an object with {len(value)} properties instead."
        )
        raise bad("object_above_max_properties", path, message)
    for name, entry in value.items():
        if len(name) > 64:
            message = (
                f"Invalid property name in '{path}': '{name}' is too long. Expected a string with maximum length 64, "
                f"but got a string with length {len(name)} instead."
            )
            raise bad("property_name_above_max_length", path, message)
        text(longest=512)(entry, f"{path}.{name}")


def mapped(inner: Checker) -> Checker:
    """An object whose values all have one shape."""

    def check(value: object, path: str) -> None:
        any_object(value, path)
        assert isinstance(value, dict)
        for name, entry in value.items():
            inner(entry, f"{path}.{name}")

    return check


breakpoint_: Final = record({"mode": one_of("explicit")}, {"ttl": one_of("30m", "12h")})
MARK: Final[dict[str, Checker]] = {"prompt_cache_breakpoint": breakpoint_}
json_schema: Final[dict[str, Checker]] = {
    "name": text(shortest=1, longest=64),
    "description": maybe(text()),
    "schema": any_object,
    "strict": maybe(truth),
}
moderation: Final = any_object
text_part: Final = record({"type": anything, "text": text()}, MARK)
image_part: Final = record(
    {
        "type": anything,
        # Documented as an object; a plain address was taken in a recorded call of 2024-09.
        "image_url": text_or(
            record({"url": text()}, {"detail": one_of("auto", "low", "high", "original")}), expected="an object"
        ),
    },
    MARK,
)
refusal_part: Final = record({"type": anything, "refusal": text()})
user_content: Final = text_or(
    many(
        tagged(
            {
                "text": text_part,
                "image_url": image_part,
                "input_audio": record({"type": anything, "input_audio": any_object}, MARK),
                "file": record({"type": anything, "file": any_object}, MARK),
            }
        ),
        shortest=1,
    ),
    expected="an array of objects",
)
plain_content: Final = text_or(many(tagged({"text": text_part}), shortest=1), expected="an array of objects")
tool_call: Final = tagged(
    {
        "function": record({"id": text(), "type": anything, "function": record({"name": text(), "arguments": text()})}),
        "custom": record({"id": text(), "type": anything, "custom": any_object}),
    }
)
chat_message: Final = tagged(
    {
        "system": record({"role": anything, "content": plain_content}, {"name": text()}),
        "developer": record({"role": anything, "content": plain_content}, {"name": text()}),
        "user": record({"role": anything, "content": user_content}, {"name": text()}),
        "assistant": record(
            {"role": anything},
            {
                "content": maybe(
                    text_or(many(tagged({"text": text_part, "refusal": refusal_part})), expected="an array of objects")
                ),
                "refusal": maybe(text()),
                "name": text(),
                "audio": maybe(any_object),
                "tool_calls": maybe(many(tool_call, shortest=1)),
                "function_call": maybe(any_object),
                "annotations": maybe(many(any_object)),
                "reasoning_content": maybe(text()),
            },
        ),
        "tool": record({"role": anything, "content": user_content, "tool_call_id": text()}, {"name": text()}),
        "function": record({"role": anything, "content": maybe(text()), "name": text()}),
    },
    by="role",
)
chat_function: Final = record(
    {"name": text(shortest=1, longest=64)},
    {"description": maybe(text()), "parameters": maybe(any_object), "strict": maybe(truth)},
)
chat_tool: Final = tagged(
    {
        "function": record({"type": anything, "function": chat_function}),
        "custom": record({"type": anything, "custom": any_object}),
    }
)
cache_options: Final[dict[str, Checker]] = {"mode": one_of("implicit", "explicit")}
SAMPLED: Final[dict[str, Checker]] = {
    "temperature": maybe(number(lowest=0, highest=2)),
    "top_p": maybe(number(lowest=0, highest=1)),
    "top_logprobs": maybe(whole(lowest=0, highest=20)),
}
COMMON: Final[dict[str, Checker]] = {
    **SAMPLED,
    "metadata": maybe(metadata),
    "moderation": maybe(moderation),
    "parallel_tool_calls": maybe(truth),
    "prompt_cache_key": maybe(text()),
    "prompt_cache_retention": maybe(one_of("in_memory", "24h")),
    "safety_identifier": maybe(text(longest=128)),
    "service_tier": maybe(one_of("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")),
    "store": maybe(truth),
    "stream": maybe(truth),
    "user": maybe(text()),
}
chat_body: Final[dict[str, Checker]] = {
    **COMMON,
    "audio": maybe(any_object),
    "frequency_penalty": maybe(number(lowest=-2, highest=2)),
    "function_call": text_or(any_object, expected="an object"),
    "functions": many(chat_function),
    "logit_bias": maybe(any_object),
    "logprobs": maybe(truth),
    "max_completion_tokens": maybe(whole(lowest=1)),
    "max_tokens": maybe(whole(lowest=1)),
    "modalities": maybe(many(one_of("text", "audio"), of="strings")),
    "n": maybe(whole(lowest=1, highest=128)),
    "prediction": maybe(any_object),
    "presence_penalty": maybe(number(lowest=-2, highest=2)),
    "prompt_cache_options": record({}, {**cache_options, "ttl": one_of("30m")}),
    "reasoning_effort": maybe(one_of(*EFFORTS)),
    "response_format": tagged(
        {
            "text": record({"type": anything}),
            "json_object": record({"type": anything}),
            "json_schema": record(
                {"type": anything, "json_schema": record({"name": json_schema["name"]}, json_schema)}
            ),
        }
    ),
    "seed": maybe(whole()),
    "stop": maybe(text_or(many(text(), longest=4, of="strings"), expected="an array of strings")),
    "stream_options": maybe(record({}, {"include_usage": truth, "include_obfuscation": truth})),
    "tool_choice": text_or(any_object, expected="an object"),
    "tools": many(chat_tool, longest=128),
    "verbosity": maybe(one_of("low", "medium", "high")),
    "web_search_options": any_object,
}
chat: Final = record({"model": text(shortest=1), "messages": many(chat_message, shortest=1)}, chat_body)

input_part: Final = tagged(
    {
        "input_text": text_part,
        "output_text": record(
            {"type": anything, "text": text()}, {"annotations": anything, "logprobs": anything, **MARK}
        ),
        "refusal": refusal_part,
        "input_image": record(
            {"type": anything},
            {"image_url": maybe(text()), "file_id": maybe(text()), "detail": maybe(text()), **MARK},
        ),
        "input_file": record(
            {"type": anything},
            {
                "file_id": maybe(text()),
                "file_url": maybe(text()),
                "file_data": maybe(text()),
                "filename": maybe(text()),
                "detail": maybe(text()),
                **MARK,
            },
        ),
        "input_audio": record({"type": anything, "input_audio": any_object}, MARK),
    }
)
message_item: Final = record(
    {
        "role": one_of("user", "system", "developer", "assistant"),
        "content": text_or(many(input_part), expected="an array of objects"),
    },
    {"type": one_of("message"), "id": maybe(text()), "status": maybe(text()), "phase": maybe(text())},
)


def input_item(value: object, path: str) -> None:
    """A message, a function call with its output, or an item that the provider made and takes back as it is."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    kind = value.get("type", "message" if "role" in value else None)
    if kind is None:
        raise missing(f"{path}.type")
    match kind:
        case "message":
            message_item(value, path)
        case "function_call":
            for name in ("call_id", "name", "arguments"):
                if name not in value:
                    raise missing(f"{path}.{name}")
        case "function_call_output":
            for name in ("call_id", "output"):
                if name not in value:
                    raise missing(f"{path}.{name}")
        case _:
            if not isinstance(kind, str) or not kind.replace("_", "").isalpha():
                raise bad("invalid_value", f"{path}.type", f"Invalid value: '{kind}'.")


response_tool: Final = tagged(
    {
        "function": record(
            {"type": anything, "name": text(shortest=1, longest=64)},
            {
                "description": maybe(text()),
                "parameters": maybe(any_object),
                "strict": maybe(truth),
                "output_schema": anything,
                "defer_loading": anything,
            },
        ),
        **dict.fromkeys(
            (
                "custom", "web_search", "web_search_preview", "file_search", "code_interpreter", "computer",
                "computer_use_preview", "image_generation", "mcp", "local_shell", "shell", "apply_patch", "tool_search",
                "namespace",
            ),
            any_object,
        ),
    }
)  # fmt: skip
reasoning: Final = record(
    {},
    {
        "effort": maybe(one_of(*EFFORTS)),
        "summary": maybe(one_of("auto", "concise", "detailed")),
        "generate_summary": maybe(text()),
        "context": maybe(text()),
        "mode": maybe(text()),
    },
)
text_config: Final = record(
    {},
    {
        "format": tagged(
            {
                "text": record({"type": anything}),
                "json_object": record({"type": anything}),
                "json_schema": record(
                    {"type": anything, "name": json_schema["name"], "schema": any_object}, json_schema
                ),
            }
        ),
        "verbosity": maybe(one_of("low", "medium", "high")),
    },
)
counted: Final[dict[str, Checker]] = {
    "conversation": maybe(text_or(any_object, expected="an object")),
    "input": maybe(text_or(many(input_item), expected="an array of objects")),
    "instructions": maybe(text_or(many(input_item), expected="an array of objects")),
    "parallel_tool_calls": maybe(truth),
    "personality": text(),
    "previous_response_id": maybe(text()),
    "reasoning": maybe(reasoning),
    "text": maybe(text_config),
    "tool_choice": maybe(text_or(any_object, expected="an object")),
    "tools": maybe(many(response_tool)),
    "truncation": maybe(one_of("auto", "disabled")),
}
response_body: Final[dict[str, Checker]] = {
    **COMMON,
    **counted,
    "access_programs": any_object,
    "background": maybe(truth),
    "background_options": record({}, {"completion_window": one_of(*WINDOWS), "continuation_id": text(shortest=1)}),
    "context_management": maybe(many(any_object)),
    "image": any_object,
    "include": maybe(many(text(), of="strings")),
    "max_output_tokens": maybe(whole(lowest=RESPONSE_TOKENS_MIN)),
    "max_tool_calls": maybe(whole(lowest=1)),
    "prompt": maybe(any_object),
    "prompt_cache_options": record(
        {}, {**cache_options, "ttl": one_of("30m", "12h"), "prewarm": truth, "comparison_response_id": maybe(text())}
    ),
    "stream_options": maybe(record({}, {"include_obfuscation": truth})),
}
del response_body["personality"]
response: Final = record({"model": text(shortest=1)}, response_body)
count: Final = record({"model": text(shortest=1)}, counted)


# ------------------------------------------------------------------ rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a body is judged under: the lane, the instant, and how strict the profile is."""

    now: Instant
    batch: bool = False
    strict: bool = True
    any_model: bool = False
    """Whether every model name is taken and answered by the same stand-in (compatible servers)."""


def known_only(body: dict[str, Any], fields: Mapping[str, Checker]) -> dict[str, Any]:
    """What a loose server reads of a body: the fields it knows."""
    return {name: value for name, value in body.items() if name in fields or name in ("model", "messages", "input")}


def check_chat(body: dict[str, Any], context: Context) -> Model:
    """Check a chat body. Raises Refusal."""
    chat(body if context.strict else known_only(body, chat_body), "")
    model = _model(body["model"], context, responses=False)
    _lane_rules(body, context)
    _chat_limits(body, model)
    _chat_tools(body)
    _sampling_rules(body, model, body.get("reasoning_effort"))
    _schema_rules((body.get("response_format") or {}).get("json_schema"), "response_format", model)
    _cache_rules(body, model, marks(body["messages"], "messages"))
    if body.get("web_search_options") is not None:
        message = "Web search options not supported with this model."
        raise Refusal(400, message, param="web_search_options")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise bad(
            "invalid_value",
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )
    return model


def check_response(body: dict[str, Any], context: Context) -> Model:
    """Check a response body. Raises Refusal."""
    response(body if context.strict else known_only(body, response_body), "")
    if not any(body.get(name) for name in ("input", "previous_response_id", "prompt", "conversation")):
        message = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
        raise bad("missing_required_parameter", "input", message)
    model = _model(body["model"], context, responses=True)
    _lane_rules(body, context)
    _background_rules(body, context)
    asked = body.get("max_output_tokens")
    if asked is not None and asked > model.output_tokens_max:
        message = (
            f"Invalid 'max_output_tokens': integer above maximum value. Expected a value <= {model.output_tokens_max}, "
            f"but got {asked} instead."
        )
        raise bad("integer_above_max_value", "max_output_tokens", message)
    _sampling_rules(body, model, (body.get("reasoning") or {}).get("effort"), "reasoning.effort")
    _response_tools(body)
    _schema_rules((body.get("text") or {}).get("format"), "text.format", model)
    items = body.get("input")
    _cache_rules(body, model, marks(items if isinstance(items, list) else [], "input"))
    return model


def check_count(body: dict[str, Any], context: Context) -> Model:
    """Check a body whose input tokens are to be counted. Raises Refusal."""
    count(body if context.strict else known_only(body, counted), "")
    return _model(body["model"], context, responses=True)


def check_length(prompt_tokens: int, body: dict[str, Any], model: Model) -> None:
    """Refuse a prompt that does not fit the model's context window."""
    if prompt_tokens <= model.context_tokens or body.get("truncation") == "auto":
        return
    if "messages" in body:
        message = (
            f"This model's maximum context length is {model.context_tokens} tokens. However, your messages resulted in "
            f"{prompt_tokens} tokens. Please reduce the length of the messages."
        )
        raise bad("context_length_exceeded", "messages", message)
    message = "Your input exceeds the context window of this model. Please adjust your input and try again."
    raise bad("context_length_exceeded", "input", message)


def _model(name: str, context: Context, *, responses: bool) -> Model:
    model = find_model(name, context.now)
    if model is not None:
        return model
    if context.any_model:
        return stand_in(name)
    raise model_not_found(name, responses=responses)


def model_not_found(name: str, *, responses: bool) -> Refusal:
    """Recorded 2025 and 2026: the two endpoints say it differently. A model that was shut down says so."""
    if name in BY_NAME:
        message = (
            f"The model `{name}` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations"
        )
        return Refusal(404, message, code="model_not_found")
    if responses:
        return Refusal(400, f"The requested model '{name}' does not exist.", param="model", code="model_not_found")
    return Refusal(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")


def _lane_rules(body: dict[str, Any], context: Context) -> None:
    if context.batch and body.get("stream"):
        raise bad("invalid_value", "stream", "Streaming is not supported in the Batch API.")
    if body.get("service_tier") == "ultrafast":
        message = "The 'ultrafast' service tier is not available for this organization."
        raise Refusal(403, message, param="service_tier", code="unsupported_value")


def _background_rules(body: dict[str, Any], context: Context) -> None:
    options = body.get("background_options") or {}
    if context.batch and body.get("background"):
        raise bad("unsupported_parameter", "background", "Background mode is not supported in the Batch API.")
    if options and not body.get("background"):
        message = "'background_options' requires 'background' to be true."
        raise bad("invalid_value", "background_options", message)
    window = options.get("completion_window", "soonest")
    if window not in DISCOUNTED:
        return
    if body.get("stream"):
        message = f"completion_window '{window}' cannot be used with streaming."
        raise bad("invalid_value", "background_options.completion_window", message)
    if body.get("service_tier") not in (None, "auto", "default"):
        message = (
            f"completion_window '{window}' requires Standard processing; got service_tier '{body['service_tier']}'."
        )
        raise bad("invalid_value", "background_options.completion_window", message)


def _chat_limits(body: dict[str, Any], model: Model) -> None:
    old, new = body.get("max_tokens"), body.get("max_completion_tokens")
    if old is not None and model.reasoning:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise bad("unsupported_parameter", "max_tokens", message)
    if old is not None and new is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise bad("invalid_parameter_combination", "max_tokens", message)
    name = "max_tokens" if old is not None else "max_completion_tokens"
    asked = old if old is not None else new
    if asked is not None and asked > model.output_tokens_max:
        message = (
            f"{name} is too large: {asked}. This model supports at most {model.output_tokens_max} completion tokens, "
            f"whereas you provided {asked}."
        )
        raise bad("invalid_value", name, message)


def _sampling_rules(body: dict[str, Any], model: Model, effort: str | None, where: str = "reasoning_effort") -> None:
    if effort is not None and not model.reasoning:
        message = f"Unsupported parameter: '{where}' is not supported with this model."
        raise bad("unsupported_parameter", where, message)
    if effort is not None and effort not in model.efforts:
        message = (
            f"Unsupported value: '{effort}' is not supported with the '{body['model']}' model. Supported values are: "
            f"{listing(model.efforts)}."
        )
        raise bad("unsupported_value", where, message)
    if not model.reasoning or effort == "none":
        return
    for name, default in (("temperature", 1), ("top_p", 1)):
        value = body.get(name)
        # From 5.4 on the default effort of a request without tools is none, and sampling is taken (recorded 2026-08).
        if value not in (None, default) and "none" not in model.efforts:
            if "messages" in body:
                message = (
                    f"Unsupported value: '{name}' does not support {value} with this model. Only the default "
                    f"({default}) value is supported."
                )
                raise bad("unsupported_value", name, message)
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            raise Refusal(400, message, param=name)


def _chat_tools(body: dict[str, Any]) -> None:
    choice = body.get("tool_choice")
    tools = body.get("tools") or []
    if choice is not None and not tools:
        raise bad("invalid_value", "tool_choice", "'tool_choice' is only allowed when 'tools' are specified.")
    if isinstance(choice, str):
        one_of("none", "auto", "required")(choice, "tool_choice")
    elif isinstance(choice, dict) and choice.get("type") == "function":
        name = (choice.get("function") or {}).get("name")
        if name not in [tool["function"]["name"] for tool in tools if tool["type"] == "function"]:
            message = (
                f"Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter."
            )
            raise bad("invalid_value", "tool_choice", message)
    open_calls: dict[str, int] = {}
    for index, turn in enumerate(body["messages"]):
        if turn["role"] == "tool":
            if turn["tool_call_id"] not in open_calls:
                message = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "  # codespell:ignore preceeding
                    "'tool_calls'."
                )
                raise Refusal(400, message, param=f"messages.[{index}].role")
            del open_calls[turn["tool_call_id"]]
        elif open_calls:
            raise unanswered(list(open_calls), index)
        else:
            open_calls = {call["id"]: index for call in turn.get("tool_calls") or ()}
    if open_calls:
        raise unanswered(list(open_calls), len(body["messages"]))


def unanswered(names: list[str], index: int) -> Refusal:
    """Tool calls without their answers."""
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The "
        f"following tool_call_ids did not have response messages: {', '.join(names)}"
    )
    return Refusal(400, message, param=f"messages.[{index}].role")


def _response_tools(body: dict[str, Any]) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        one_of("none", "auto", "required")(choice, "tool_choice")
    elif isinstance(choice, dict) and choice.get("type") == "function":
        names = [tool.get("name") for tool in body.get("tools") or ()]
        if choice.get("name") not in names:
            message = f"Tool choice 'function' not found in 'tools' parameter: {choice.get('name')}."
            raise bad("invalid_value", "tool_choice", message)
    items = body.get("input")
    calls = set()
    for item in items if isinstance(items, list) else ():
        if item.get("type") == "function_call":
            calls.add(item["call_id"])
        if item.get("type") == "function_call_output":
            if item["call_id"] not in calls and not body.get("previous_response_id"):
                message = f"No tool call found for function call output with call_id {item['call_id']}."
                raise Refusal(400, message, param="input")
            calls.discard(item["call_id"])
    if calls:
        message = f"No tool output found for function call {min(calls)}."
        raise Refusal(400, message, param="input")


def _schema_rules(given: dict[str, Any] | None, path: str, model: Model) -> None:
    """Structured outputs: strict schemas are closed and require every property."""
    if not given or "schema" not in given:
        return
    if not model.structured_outputs:
        message = f"Invalid parameter: '{path}' of type 'json_schema' is not supported with this model."
        raise Refusal(400, message, param=path)
    if given.get("strict"):
        _closed(given["schema"], given["name"], path, (), 0)


def _closed(schema: object, name: str, path: str, at: tuple[str, ...], depth: int) -> None:
    if not isinstance(schema, dict) or depth > 10:
        return
    place = f"In context={at!r}"
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            reason = "'additionalProperties' is required to be supplied and to be false."
            raise _bad_schema(name, path, f"{place}, {reason}")
        properties = list(schema.get("properties") or {})
        absent = [key for key in properties if key not in (schema.get("required") or [])]
        if absent:
            reason = (
                "'required' is required to be supplied and to be an array including every key in properties. Missing "
                f"'{absent[0]}'."
            )
            raise _bad_schema(name, path, f"{place}, {reason}")
    for key in ("properties", "$defs", "definitions"):
        for inner_name, inner in (schema.get(key) or {}).items():
            _closed(inner, name, path, (*at, key, inner_name), depth + 1)
    _closed(schema.get("items"), name, path, (*at, "items"), depth + 1)
    for index, inner in enumerate(schema.get("anyOf") or ()):
        _closed(inner, name, path, (*at, "anyOf", str(index)), depth + 1)


def _bad_schema(name: str, path: str, reason: str) -> Refusal:
    where = path if path == "response_format" else f"{path}.schema"
    return bad("invalid_json_schema", where, f"Invalid schema for response_format '{name}': {reason}")


def marks(turns: list[Any], path: str) -> Iterator[str]:
    """Paths of the explicit cache breakpoints."""
    for index, turn in enumerate(turns):
        content = turn.get("content") if isinstance(turn, dict) else None
        for position, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("prompt_cache_breakpoint"):
                yield f"{path}[{index}].content[{position}].prompt_cache_breakpoint"


def _cache_rules(body: dict[str, Any], model: Model, marked: Iterator[str]) -> None:
    options = body.get("prompt_cache_options")
    if model.cache is CacheWrites.PAID:
        return
    if options is not None:
        raise _unsupported("prompt_cache_options")
    for path in marked:
        raise _unsupported(path)


def _unsupported(path: str) -> Refusal:
    return bad("unsupported_parameter", path, f"Unsupported parameter: '{path}' is not supported with this model.")
