"""Bodies in Anthropic's dialect: a neutral one written as ``params``, a native one read for what must be known of it.

Replies are read in ``anthropic``. The law: a native body is never altered (promise 9), and one whose cost has no bound
(server tools) is refused here; whatever else may be wrong with it is the provider's to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import msgspec

from lowtide.providers import BodyFacts
from lowtide.providers.walking import Walked, lengths, only
from lowtide.request import Neutral

# What the provider adds around our content, counted as content bytes. The figures are generous: they keep the bound a
# bound for bodies of many tiny messages, and cost a large body nothing to speak of.
# Source: pricing page of 2025-12-23: 264 to 530 tokens for any tools, 700 for the text editor, 735 for computer
# use. How far recorded calls bear the bound out stands in tests/contract/test_anthropic_recordings.py.
BODY_BYTES: Final = 24
MESSAGE_BYTES: Final = 16
TOOLS_BYTES: Final = 1_200
CLIENT_TOOL_BYTES: Final = 3_200
SCHEMA_BYTES: Final = 320  # a schema brings a short system prompt of the provider's, of unstated length
SETTING_BYTES: Final = 160  # recorded: 41 tokens for a task budget
THINKING_BYTES: Final = 112  # recorded: 29 tokens more with thinking "enabled"; none with "adaptive"

# Tools that run where the client runs: their definitions are the provider's, their use ends the answer.
CLIENT_TOOLS: Final = ("bash_", "text_editor_", "computer_", "memory_")
# Fields that a batch item may not have. Source: batch processing page of 2026-08-14, section "not supported".
REFUSED_FIELDS: Final = {
    "speed": "fast mode is refused in a batch: take speed out",
    "fallbacks": "fallbacks are refused in a batch: take them out",
    "store": "threads are refused in a batch: take store out",
    "previous_thread_event_id": "threads are refused in a batch: take previous_thread_event_id out",
    "betas": "betas inside a body are refused: they go in the anthropic-beta header, for the whole batch",
    "mcp_servers": "unbounded server tools are refused: mcp_servers",
}

_encode: Final = msgspec.json.Encoder().encode


def encode_body(model: str, body: Neutral, *, cache: str, cache_at: tuple[int, ...] = ()) -> bytes:
    """Write a neutral body: shared blocks first, then what only this request says. Empty blocks are not written.

    With ``cache`` (``5m`` or ``1h``) the texts at these places end prefixes for that cache, see ``Codec.encode``.
    """
    shared = [_text(block) for block in body.shared if block]
    own = [_text(body.text)] if body.text or not shared else []
    system = [_text(body.system)] if body.system else []
    if cache:
        prefix = system + shared
        for text in [prefix[place] for place in cache_at] or prefix[-1:]:
            text["cache_control"] = {"type": "ephemeral", "ttl": cache}
    params: dict[str, Any] = {"model": model, "max_tokens": body.max_output_tokens}
    if system:
        params["system"] = system
    params["messages"] = [{"role": "user", "content": shared + own}]
    return _encode(params)


# What the token counter takes of a body (token counting page, checked 2026-11-21); anything else it refuses.
COUNTED_FIELDS: Final = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "mcp_servers",
)


def countable(params: bytes) -> bytes:
    """Give what the token counter takes of a body."""
    return only(params, COUNTED_FIELDS)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


class _Params(msgspec.Struct):
    """The fields of a body that are looked at; all others pass. Whatever is wrong in kind is said, not raised."""

    model: Any = None
    max_tokens: Any = None
    messages: Any = None
    system: Any = None
    tools: Any = None
    stream: Any = None
    inference_geo: Any = None
    cache_control: Any = None
    output_config: Any = None
    output_format: Any = None
    thinking: Any = None
    speed: Any = None
    fallbacks: Any = None
    store: Any = None
    previous_thread_event_id: Any = None
    betas: Any = None
    mcp_servers: Any = None


_decode_params: Final = msgspec.json.Decoder(_Params).decode
_refused: Final = attrgetter(*REFUSED_FIELDS)
_NOTHING_REFUSED: Final = (None,) * len(REFUSED_FIELDS)


@dataclass(slots=True)
class _Seen(Walked):
    """What walking through a body has found."""

    allowance_bytes: int = BODY_BYTES
    dearest_write: str = ""

    def add_mark(self, mark: object) -> None:
        if mark is not None:
            self.breakpoints += 1
            hour = isinstance(mark, dict) and mark.get("ttl") == "1h"
            self.dearest_write = "1h" if hour else self.dearest_write or "5m"


def read_body(params: bytes) -> BodyFacts | tuple[str, ...]:
    """Read what must be known of ``params``, or say all that is wrong with it; see ``Codec.read_body``."""
    try:
        body = _decode_params(params)
        return _problems(body) or _facts(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return (f"not a JSON object: {error}",)
    except RecursionError:
        return ("nested too deeply to be read",)


def _facts(body: _Params) -> BodyFacts:
    """Walk through a body that has no problem of ours."""
    seen = _Seen()
    seen.add_mark(body.cache_control)
    _walk(seen, body.system)
    for message in body.messages:
        seen.allowance_bytes += MESSAGE_BYTES
        _walk(seen, message.get("content") if isinstance(message, dict) else message)
    if body.tools:
        _add_tools(seen, body.tools)
    _add_settings(seen, body)
    text = "".join(seen.texts)
    content_bytes, non_ascii_bytes = lengths(text)
    return BodyFacts(
        model=body.model,
        max_output_tokens=body.max_tokens,
        content_bytes=content_bytes + seen.allowance_bytes,
        non_ascii_bytes=non_ascii_bytes,
        images=seen.images,
        text=text,
        input_unbounded=seen.unbounded,
        cache_breakpoints=seen.breakpoints,
        dearest_write=seen.dearest_write,
        # A body that names no place is served where its workspace says, and that may be the US alone (1.1 times the price).
        us_only=body.inference_geo in (None, "us"),
    )


def _problems(body: _Params) -> tuple[str, ...]:
    found = []
    if not (isinstance(body.model, str) and body.model):
        found.append("model is missing" if body.model is None else "model must be a string")
    limit = body.max_tokens
    if limit is None:
        found.append("max_tokens is missing")
    elif not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        found.append("max_tokens must be a whole number of at least 1")
    if not (isinstance(body.messages, list) and body.messages):
        found.append("messages is missing" if body.messages is None else "messages must be a list with a message in it")
    if body.stream not in (None, False):
        found.append("stream is refused in a batch: take stream out or set it to false")
    refused = _refused(body)
    if refused != _NOTHING_REFUSED:  # one look instead of seven: nearly no body has any of them
        found += [why for why, said in zip(REFUSED_FIELDS.values(), refused, strict=True) if said is not None]
    found += [f"unbounded server tools are refused: {kind}" for kind in _server_tools(body.tools)]
    return tuple(found)


def _server_tools(tools: object) -> list[str]:
    """List kinds of tools that run at the provider, or are unknown: their turns add input without a bound."""
    if not isinstance(tools, list):
        return []
    kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)]
    named = [str(kind) for kind in kinds if kind is not None and kind != "custom"]
    return [kind for kind in named if not kind.startswith(CLIENT_TOOLS)]


def _add_tools(seen: _Seen, tools: object) -> None:
    seen.allowance_bytes += TOOLS_BYTES
    if not isinstance(tools, list):
        seen.add_json(tools)
        return
    for tool in tools:
        seen.add_json(tool)
        if isinstance(tool, dict):
            seen.add_mark(tool.get("cache_control"))
            seen.allowance_bytes += CLIENT_TOOL_BYTES if tool.get("type", "custom") != "custom" else MESSAGE_BYTES


def _add_settings(seen: _Seen, body: _Params) -> None:
    """Count what thinking, a schema and other output settings bring into the prompt. Effort brings nothing."""
    if isinstance(body.thinking, dict) and body.thinking.get("type") == "enabled":
        seen.allowance_bytes += THINKING_BYTES
    if body.output_config is None and body.output_format is None:
        return
    settings = body.output_config if isinstance(body.output_config, dict) else {}
    for schema in (settings.get("format"), body.output_format):
        if schema is not None:
            seen.allowance_bytes += SCHEMA_BYTES
            seen.add_json(schema)
    for name in settings.keys() - {"effort", "format"}:
        seen.allowance_bytes += SETTING_BYTES
        seen.add_json(settings[name])


def _walk(seen: _Seen, content: object) -> None:
    """Look at a text, a block or a list of blocks; kinds we do not know count with all their JSON."""
    if isinstance(content, str):
        seen.texts.append(content)
    elif isinstance(content, list):
        for block in content:
            _walk(seen, block)
    elif isinstance(content, dict):
        seen.add_mark(content.get("cache_control"))
        READERS.get(str(content.get("type")), _walk_unknown)(seen, content)
    elif content is not None:
        seen.add_json(content)


def _walk_text(seen: _Seen, block: dict[str, Any]) -> None:
    _walk(seen, block.get("text"))
    if block.get("citations") is not None:
        seen.add_json(block["citations"])


def _walk_image(seen: _Seen, block: dict[str, Any]) -> None:
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") in ("base64", "url"):
        seen.images += 1
    else:
        seen.unbounded = True


def _walk_document(seen: _Seen, block: dict[str, Any]) -> None:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if isinstance(source, dict) and kind == "text":
        _walk(seen, source.get("data"))
    elif isinstance(source, dict) and kind == "content":
        _walk(seen, source.get("content"))
    else:
        seen.unbounded = True  # A PDF's pages, or what a URL or a file id holds, cannot be seen from here.
    for name in ("title", "context"):
        _walk(seen, block.get(name))
    seen.allowance_bytes += MESSAGE_BYTES


def _walk_tool_result(seen: _Seen, block: dict[str, Any]) -> None:
    _walk(seen, block.get("tool_use_id"))
    _walk(seen, block.get("content"))
    seen.allowance_bytes += MESSAGE_BYTES


def _walk_upload(seen: _Seen, _block: dict[str, Any]) -> None:
    seen.unbounded = True


def _walk_unknown(seen: _Seen, block: dict[str, Any]) -> None:
    """Count tool calls, thinking and kinds yet to come: all their JSON; a source inside may hold anything."""
    seen.add_json(block)
    seen.unbounded = seen.unbounded or isinstance(block.get("source"), dict)


READERS: Final[dict[str, Callable[[_Seen, dict[str, Any]], None]]] = {
    "text": _walk_text,
    "image": _walk_image,
    "document": _walk_document,
    "tool_result": _walk_tool_result,
    "container_upload": _walk_upload,
}
