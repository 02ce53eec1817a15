"""What the simulated provider accepts as a request, and the 400 it answers otherwise.

Here: the shape of Messages and count_tokens bodies as a table, then the rules that look at the model, the API version
and the lane. Not here: the envelope of a batch (``envelope``). Law: unknown fields are refused; whatever passes here
can be counted and answered without another check.

Source: reference sheet of the provider's API, sections 0, 1.6, 2.1, 2.9, 2.10; the published OpenAPI document of
2026-05; recorded refusals. Checked 2026-11-21. Wordings that no recording shows follow pydantic's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lowtide_simulator.caching import BREAKPOINTS_MAX
from lowtide_simulator.clock import Instant
from lowtide_simulator.models import BY_NAME, EFFORTS, Model, find_model
from lowtide_simulator.shapes import (
    Checker,
    ShapeError,
    any_object,
    anything,
    join,
    many,
    maybe,
    number,
    one_of,
    record,
    tagged,
    text,
    text_or,
    truth,
    whole,
)

OLD_VERSION: Final = "2023-06-01"
NEW_VERSION: Final = "2026-10-21"
VERSIONS: Final = (OLD_VERSION, NEW_VERSION)
SAMPLING: Final = {"temperature": 1, "top_p": None, "top_k": None}
LONG_CONTEXT_BETA: Final = "context-1m-2025-08-07"
LONG_OUTPUT_BETA: Final = "output-300k-2026-03-24"
BETA_FIELDS: Final = ("betas", "fallbacks", "billing_policy", "context_management", "mcp_servers")
UNSUPPORTED_IN_BATCH: Final = ("speed", "store", "previous_thread_event_id", "fallbacks")
IMAGE_BASE64_MAX: Final = 10 * 1024 * 1024

# ------------------------------------------------------------------ shapes

cache_control: Final = maybe(record({"type": one_of("ephemeral")}, {"ttl": one_of("5m", "1h")}))
name_id: Final = text(pattern=r"^[a-zA-Z0-9_-]+$")
citations: Final = maybe(many(any_object))


def block(required: dict[str, Checker], optional: dict[str, Checker] | None = None) -> Checker:
    """A content block: a type, its fields, and perhaps a cache mark."""
    return record({"type": anything, **required}, {"cache_control": cache_control, **(optional or {})})


def loose(value: object, path: str) -> None:
    """A block that only the provider's own tools make: it is taken back as it is."""
    any_object(value, path)


def nonblank(value: object, path: str) -> None:
    """Text that is not empty."""
    if not isinstance(value, str):
        raise ShapeError(path, "Input should be a valid string")
    if not value:
        raise ShapeError(
            path.rsplit(".", 3)[0] if path.count(".") > 2 else path, "text content blocks must be non-empty"
        )


def image_data(value: object, path: str) -> None:
    """Base64 of an image within the size limit."""
    if not isinstance(value, str):
        raise ShapeError(path, "Input should be a valid string")
    if len(value) > IMAGE_BASE64_MAX:
        message = f"image exceeds 10 MB maximum: {len(value)} bytes > {IMAGE_BASE64_MAX} bytes"
        raise ShapeError(path, message)


text_block: Final = block({"text": nonblank}, {"citations": citations})
image_block: Final = block(
    {
        "source": tagged(
            {
                "base64": record(
                    {
                        "type": anything,
                        "media_type": one_of("image/jpeg", "image/png", "image/gif", "image/webp"),
                        "data": image_data,
                    }
                ),
                "url": record({"type": anything, "url": text(shortest=1)}),
                "file": record({"type": anything, "file_id": text(shortest=1)}),
            }
        )
    }
)
document_block: Final = block(
    {
        "source": tagged(
            {
                "base64": record({"type": anything, "media_type": one_of("application/pdf"), "data": text(shortest=1)}),
                "text": record({"type": anything, "media_type": one_of("text/plain"), "data": text()}),
                "content": record(
                    {"type": anything, "content": text_or(many(tagged({"text": text_block, "image": image_block})))}
                ),
                "url": record({"type": anything, "url": text(shortest=1)}),
                "file": record({"type": anything, "file_id": text(shortest=1)}),
            }
        )
    },
    {
        "title": maybe(text(shortest=1, longest=500)),
        "context": maybe(text(shortest=1)),
        "citations": maybe(record({}, {"enabled": truth})),
    },
)
search_result_block: Final = block(
    {"source": text(), "title": text(), "content": many(tagged({"text": text_block}))}, {"citations": anything}
)
tool_result_block: Final = block(
    {"tool_use_id": name_id},
    {
        "content": text_or(
            many(
                tagged(
                    {
                        "text": text_block,
                        "image": image_block,
                        "document": document_block,
                        "search_result": search_result_block,
                        "tool_reference": loose,
                    }
                )
            )
        ),
        "is_error": truth,
    },
)
tool_use_block: Final = block(
    {"id": name_id, "name": text(shortest=1, longest=200), "input": any_object}, {"caller": any_object}
)
content_block: Final = tagged(
    {
        "text": text_block,
        "image": image_block,
        "document": document_block,
        "search_result": search_result_block,
        "tool_use": tool_use_block,
        "tool_result": tool_result_block,
        "thinking": block({"thinking": text(), "signature": text()}),
        "redacted_thinking": block({"data": text()}),
        "server_tool_use": loose,
        "web_search_tool_result": loose,
        "web_fetch_tool_result": loose,
        "code_execution_tool_result": loose,
        "bash_code_execution_tool_result": loose,
        "text_editor_code_execution_tool_result": loose,
        "tool_search_tool_result": loose,
        "container_upload": block({"file_id": text(shortest=1)}),
        "mcp_tool_use": loose,
        "mcp_tool_result": loose,
        "compaction": loose,
    }
)
message: Final = record({"role": one_of("user", "assistant", "system"), "content": text_or(many(content_block))})

custom_tool: Final = record(
    {"name": text(pattern=r"^[a-zA-Z0-9_-]{1,128}$"), "input_schema": any_object},
    {
        "type": maybe(one_of("custom")),
        "description": text(),
        "cache_control": cache_control,
        "strict": truth,
        "eager_input_streaming": maybe(truth),
        "allowed_callers": many(text()),
        "defer_loading": truth,
        "input_examples": many(any_object),
    },
)
SERVER_TOOLS: Final = (
    "bash_", "code_execution_", "memory_", "text_editor_", "web_search_", "web_fetch_", "tool_search_tool_",
    "computer_", "browser_", "mcp_toolset",
)  # fmt: skip


def tool(value: object, path: str) -> None:
    """A tool of the user's, fully checked, or one of the provider's own, whose fields are taken as they are."""
    any_object(value, path)
    assert isinstance(value, dict)
    kind = value.get("type")
    if kind is None or kind == "custom":
        custom_tool(value, join(path, "custom"))
    elif not (isinstance(kind, str) and kind.startswith(SERVER_TOOLS)):
        message = f"Input tag '{kind}' found using 'type' does not match any of the expected tags"
        raise ShapeError(path, message)


SHARED: Final[dict[str, Checker]] = {
    "system": text_or(many(tagged({"text": text_block}))),
    "tools": many(tool),
    "tool_choice": tagged(
        {
            "auto": record({"type": anything}, {"disable_parallel_tool_use": truth}),
            "any": record({"type": anything}, {"disable_parallel_tool_use": truth}),
            "tool": record({"type": anything, "name": text()}, {"disable_parallel_tool_use": truth}),
            "none": record({"type": anything}),
        }
    ),
    "thinking": tagged(
        {
            "enabled": record(
                {"type": anything, "budget_tokens": whole(lowest=1024)},
                {"display": maybe(one_of("summarized", "omitted"))},
            ),
            "adaptive": record({"type": anything}, {"display": maybe(one_of("summarized", "omitted"))}),
            "disabled": record({"type": anything}),
            "between_tools": record({"type": anything}),
        }
    ),
    "output_config": record(
        {},
        {
            "effort": maybe(one_of(*EFFORTS)),
            "format": maybe(record({"type": one_of("json_schema"), "schema": any_object})),
            "task_budget": any_object,
        },
    ),
    "cache_control": cache_control,
}
ANSWERED: Final[dict[str, Checker]] = {
    "stop_sequences": many(text(shortest=1)),
    "stream": truth,
    "temperature": number(lowest=0, highest=1),
    "top_p": number(lowest=0, highest=1),
    "top_k": whole(lowest=0),
    "metadata": record({}, {"user_id": maybe(text(longest=512))}),
    "service_tier": one_of("auto", "standard_only"),
    "container": maybe(text_or(any_object)),
    "inference_geo": maybe(text()),
    "diagnostics": maybe(any_object),
    "speed": maybe(one_of("standard", "fast")),
}
REQUIRED: Final[dict[str, Checker]] = {
    "model": text(shortest=1, longest=256),
    "messages": many(message, longest=100_000),
}
BETA: Final[dict[str, Checker]] = dict.fromkeys(BETA_FIELDS, anything)

messages_body: Final = record({**REQUIRED, "max_tokens": whole(lowest=0)}, {**SHARED, **ANSWERED})
messages_beta_body: Final = record({**REQUIRED, "max_tokens": whole(lowest=0)}, {**SHARED, **ANSWERED, **BETA})
count_body: Final = record(REQUIRED, SHARED)
count_beta_body: Final = record(REQUIRED, {**SHARED, **BETA, "speed": anything})

# ------------------------------------------------------------------ rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a body is judged under: the API version, the betas of the call, the lane and the day."""

    version: str
    betas: frozenset[str] = frozenset()
    beta_path: bool = False
    batch: bool = False
    now: Instant

    @property
    def beta(self) -> bool:
        """Whether beta fields are let through."""
        return self.beta_path or bool(self.betas)


class UnknownModelError(LookupError):
    """No such model is sold now; ``str()`` is the provider's message (recorded 2025-05: 404, ``model: NAME``)."""


def check_messages(body: dict[str, Any], context: Context) -> Model:
    """Check a Messages body. Raises ShapeError (a 400) or UnknownModelError (a 404)."""
    (messages_beta_body if context.beta else messages_body)(body, "")
    model = _model(body, context)
    _version_rules(body, context, model)
    _lane_rules(body, context)
    _max_tokens_rules(body, context, model)
    _shared_rules(body, model)
    return model


def check_count(body: dict[str, Any], context: Context) -> Model:
    """Check a count_tokens body. Raises as ``check_messages``."""
    (count_beta_body if context.beta else count_body)(body, "")
    model = _model(body, context)
    _version_rules(body, context, model)
    _shared_rules(body, model)
    return model


def check_prompt_length(prompt_tokens: int, context: Context, model: Model) -> None:
    """Refuse a prompt that does not fit the model's context window."""
    limit = model.context_tokens
    if LONG_CONTEXT_BETA in context.betas and model.id.startswith("claude-sonnet-4-"):
        limit = 1_000_000
    if prompt_tokens > limit:
        raise ShapeError("", f"prompt is too long: {prompt_tokens} tokens > {limit} maximum")


def _model(body: dict[str, Any], context: Context) -> Model:
    model = find_model(body["model"], context.now)
    if model is None:
        message = f"model: {body['model']}"
        raise UnknownModelError(message)
    return model


def _version_rules(body: dict[str, Any], context: Context, model: Model) -> None:
    """The 400s that differ by API version (section 0, point 1)."""
    given = [name for name in SAMPLING if name in body]
    if context.version == NEW_VERSION:
        for name in given:
            raise ShapeError(name, "Extra inputs are not permitted")
        for index, turn in enumerate(body["messages"]):
            _new_version_blocks(turn, join("messages", index))
    elif not model.sampling:
        for name in given:
            if body[name] != SAMPLING[name]:
                message = f"`{name}` is not supported on this model; only the default value is accepted"
                raise ShapeError("", message)


def _new_version_blocks(turn: dict[str, Any], path: str) -> None:
    if isinstance(turn["content"], str):
        return
    for index, item in enumerate(turn["content"]):
        where = join(join(path, "content"), index)
        if turn["role"] == "assistant" and item["type"] == "document":
            raise ShapeError(where, "document blocks are not permitted in assistant turns")
        if turn["role"] == "user" and item["type"] == "text" and item.get("citations"):
            raise ShapeError(join(where, "text.citations"), "citations are not permitted in user turns")


class UnsupportedInBatchError(ShapeError):
    """Good on the Messages API and not in a batch (section 1.6); when it is refused is not known."""


def _lane_rules(body: dict[str, Any], context: Context) -> None:
    if not context.batch:
        if body.get("speed") == "fast" and not BY_NAME[body["model"]].fast:
            raise ShapeError("speed", "fast mode is not supported on this model")
        return
    if body.get("stream"):
        raise UnsupportedInBatchError("stream", "streaming is not supported in message batches")
    if body["max_tokens"] == 0:
        raise UnsupportedInBatchError("max_tokens", "max_tokens 0 is not supported in message batches")
    for name in UNSUPPORTED_IN_BATCH:
        if body.get(name) not in (None, "standard"):
            raise UnsupportedInBatchError(name, f"{name} is not supported in message batches")
    if "betas" in body:
        raise ShapeError("betas", "Extra inputs are not permitted")


def _max_tokens_rules(body: dict[str, Any], context: Context, model: Model) -> None:
    limit = model.output_tokens_max
    if context.batch and LONG_OUTPUT_BETA in context.betas:
        limit = model.output_tokens_max_batch_beta or limit
    if body["max_tokens"] > limit:
        message = (
            f"{body['max_tokens']} > {limit}, which is the maximum allowed number of output tokens for {body['model']}"
        )
        raise ShapeError("max_tokens", message)
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and thinking["budget_tokens"] >= body["max_tokens"]:
        raise ShapeError("", "`max_tokens` must be greater than `thinking.budget_tokens`")


def _shared_rules(body: dict[str, Any], model: Model) -> None:
    """Rules of Messages and count_tokens that look at more than one field or at the model."""
    _turn_rules(body["messages"], model)
    _thinking_rules(body, model)
    _tool_rules(body, model)
    _output_rules(body, model)
    _cache_rules(body)
    geo = body.get("inference_geo")
    if geo is not None and (not model.geo or geo not in ("global", "us")):
        raise ShapeError("", f"inference_geo '{geo}' is not supported for this model")


def _turn_rules(turns: list[dict[str, Any]], model: Model) -> None:
    if not turns:
        raise ShapeError("messages", "at least one message is required")
    if turns[0]["role"] != "user":
        raise ShapeError("", 'messages: first message must use the "user" role')
    offered: set[str] = set()
    for index, turn in enumerate(turns):
        last_assistant = index == len(turns) - 1 and turn["role"] == "assistant"
        if not turn["content"] and not last_assistant:
            message = "all messages must have non-empty content except for the optional final assistant message"
            raise ShapeError("", f"messages.{index}: {message}")
        used = set(_named(turn, "tool_result", "tool_use_id"))
        for name in sorted(used - offered):
            message = (
                f"unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each `tool_result` block must have "
                "a corresponding `tool_use` block in the previous message."
            )
            raise ShapeError(join(join("messages", index), "content"), message)
        if offered - used:
            message = (
                "`tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(sorted(offered - used))}. Each `tool_use` block must have a corresponding `tool_result` "
                "block in the next message."
            )
            raise ShapeError(join("messages", index - 1), message)
        offered = set(_named(turn, "tool_use", "id"))
    if turns[-1]["role"] == "assistant" and not model.prefill:
        message = (
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
        raise ShapeError("", message)


def _named(turn: dict[str, Any], kind: str, field: str) -> Iterator[str]:
    if isinstance(turn["content"], list):
        yield from (item[field] for item in turn["content"] if item["type"] == kind)


def _thinking_rules(body: dict[str, Any], model: Model) -> None:
    kind = (body.get("thinking") or {}).get("type")
    if kind == "enabled" and not model.thinking_enabled:
        message = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
        raise ShapeError("", message)
    if kind == "adaptive" and not model.thinking_adaptive:
        raise ShapeError("", "adaptive thinking is not supported on this model")
    if kind == "between_tools" and not (model.thinking_adaptive and not model.thinking_enabled):
        raise ShapeError("", '"thinking.type.between_tools" is not supported for this model.')
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if kind in ("enabled", "adaptive") and forced:
        raise ShapeError("", "Thinking may not be enabled when tool_choice forces tool use.")


def _tool_rules(body: dict[str, Any], model: Model) -> None:
    names = [item.get("name") for item in body.get("tools") or ()]
    if len(set(names)) != len(names):
        raise ShapeError("tools", "Tool names must be unique.")
    choice = body.get("tool_choice") or {}
    if choice.get("type") in ("any", "tool", "auto") and not names:
        raise ShapeError("tool_choice", "tool_choice may only be specified while providing tools.")
    if choice.get("type") == "tool" and choice["name"] not in names:
        raise ShapeError("", f"Tool '{choice['name']}' not found in provided tools")
    if choice.get("type") in ("any", "tool") and not model.forced_tools:
        raise ShapeError("", f"tool_choice type '{choice['type']}' is not supported on this model")


def _output_rules(body: dict[str, Any], model: Model) -> None:
    config = body.get("output_config") or {}
    effort = config.get("effort")
    if effort is not None and not model.efforts:
        raise ShapeError("", "This model does not support the effort parameter.")
    if effort is not None and effort not in model.efforts:
        levels = ", ".join(sorted(model.efforts))
        raise ShapeError("", f"This model does not support effort level '{effort}'. Supported levels: {levels}.")
    output_format = config.get("format")
    if output_format is None:
        return
    if not model.structured_outputs:
        raise ShapeError("", "output_config.format: structured outputs are not supported on this model")
    _schema_rules(output_format["schema"], "output_config.format.schema", depth=0)


FORBIDDEN_KEYWORDS: Final = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
)  # fmt: skip


def _schema_rules(schema: object, path: str, *, depth: int) -> None:
    """Section 2.9: objects are closed; no recursion, no numeric or length limits."""
    if not isinstance(schema, dict):
        return
    for name in FORBIDDEN_KEYWORDS:
        if name in schema:
            kind = schema.get("type", "schema")
            raise ShapeError(path, f"For '{kind}' type, property '{name}' is not supported")
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise ShapeError(path, "For 'object' type, 'additionalProperties' must be explicitly set to false")
    if depth > 30:
        raise ShapeError(path, "Recursive schemas are not supported")
    for key in ("properties", "$defs", "definitions"):
        for name, inner in (schema.get(key) or {}).items():
            _schema_rules(inner, f"{path}.{key}.{name}", depth=depth + 1)
    _schema_rules(schema.get("items"), f"{path}.items", depth=depth + 1)
    for key in ("anyOf", "allOf"):
        for index, inner in enumerate(schema.get(key) or ()):
            _schema_rules(inner, f"{path}.{key}.{index}", depth=depth + 1)


def _cache_rules(body: dict[str, Any]) -> None:
    """At most four breakpoints, longer lifetimes first."""
    ttls = list(_marks(body))
    if body.get("cache_control"):
        ttls.append(body["cache_control"].get("ttl") or "5m")
    if len(ttls) > BREAKPOINTS_MAX:
        message = f"A maximum of 4 blocks with cache_control may be provided. Found {len(ttls)}."
        raise ShapeError("", message)
    if "1h" in ttls and "5m" in ttls and ttls.index("5m") < len(ttls) - 1 - ttls[::-1].index("1h"):
        message = (
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are "
            "processed in the following order: `tools`, `system`, `messages`."
        )
        raise ShapeError("", message)


def _marks(body: dict[str, Any]) -> Iterator[str]:
    holders: list[dict[str, Any]] = list(body.get("tools") or ())
    if isinstance(body.get("system"), list):
        holders += body["system"]
    for turn in body["messages"]:
        if isinstance(turn["content"], list):
            holders += turn["content"]
    for holder in holders:
        mark = holder.get("cache_control")
        if mark:
            yield mark.get("ttl") or "5m"
