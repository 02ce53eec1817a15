"""How many tokens an OpenAI request has, by an estimate of our own that never changes.

Here: the parts of a prompt in order, each with its tokens and the bytes that a cache looks at. Not here: what a cache
serves of it. Law: the same body always has the same count, and

    tokens of a request  <=  UTF-8 bytes of its body + IMAGE tokens + FILE tokens

Source: reference sheet of OpenAI's API, section 2.7, checked 2026-11-21. A text is its UTF-8 bytes over 4, rounded up; 3 a
message and 3 a request. It meets recorded counts (11, 9, 18) within two tokens; it is plausible, no more.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lowtide_simulator.models import Tokenizer
from lowtide_simulator.tokens import image_size, json_tokens, text_tokens

REQUEST_TOKENS: Final = 3
MESSAGE_TOKENS: Final = 3
TOOL_TOKENS: Final = 8
SCHEMA_TOKENS: Final = 10
IMAGE_TOKENS_MAX: Final = 1_536
IMAGE_TOKENS_LOW: Final = 85
IMAGE_PATCH_PIXELS: Final = 32
FILE_TOKENS: Final = 3_000
BYTES_PER_TOKEN: Final = 4

KIND: Final = Tokenizer.O200K
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a prompt: its canonical bytes, its tokens, and the lifetime if a breakpoint stands behind it.

    ``ends_turn`` is True for the last part of a message. A lifetime of ``""`` is the request's own.
    """

    raw: bytes
    tokens: int
    ttl: str | None = None
    ends_turn: bool = False


def chat_parts(body: dict[str, Any]) -> list[Part]:
    """The prompt of a chat body: tools, schema, messages."""
    found = list(_tools(body.get("tools") or body.get("functions") or ()))
    found += _schema((body.get("response_format") or {}).get("json_schema"))
    for turn in body["messages"]:
        found += _turn(turn, turn.get("content"), MESSAGE_TOKENS)
    return found


def response_parts(body: dict[str, Any]) -> list[Part]:
    """The prompt of a response body: tools, schema, instructions, input."""
    found = list(_tools(body.get("tools") or ()))
    found += _schema((body.get("text") or {}).get("format"))
    for name in ("instructions", "input"):
        given = body.get(name) or ()
        if isinstance(given, str):
            found += _turn({"role": name}, given, MESSAGE_TOKENS)
            continue
        for item in given:
            if "content" in item and item.get("type", "message") == "message":
                found += _turn(item, item["content"], MESSAGE_TOKENS)
            else:
                bare = {key: value for key, value in item.items() if key != "encrypted_content"}
                found.append(Part(_encode(bare), json_tokens(bare, KIND), None, ends_turn=True))
    return found


def total(parts: list[Part]) -> int:
    """Tokens of the whole prompt."""
    return REQUEST_TOKENS + sum(part.tokens for part in parts)


def _tools(tools: Any) -> Iterator[Part]:  # noqa: ANN401 - a list of tools, already checked
    for tool in tools:
        yield Part(_encode(tool), TOOL_TOKENS + json_tokens(tool, KIND), None, ends_turn=True)


def _schema(given: dict[str, Any] | None) -> list[Part]:
    if not given or not given.get("schema"):
        return []
    return [Part(_encode(given["schema"]), SCHEMA_TOKENS + json_tokens(given["schema"], KIND), None, ends_turn=True)]


def _turn(turn: dict[str, Any], content: Any, start: int) -> Iterator[Part]:  # noqa: ANN401 - text or parts
    role = str(turn.get("role", "")).encode()
    calls = turn.get("tool_calls")
    if isinstance(content, str) and not calls:
        yield Part(
            role + b" " + content.encode("utf-8", "surrogatepass"), start + text_tokens(content, KIND), None, True
        )
        return
    pieces = [content] if isinstance(content, str) else list(content or ())
    if calls:
        pieces.append({"type": "tool_calls", "tool_calls": calls})
    if not pieces:
        yield Part(role, start, None, ends_turn=True)
    for position, piece in enumerate(pieces):
        mark = piece.get("prompt_cache_breakpoint") if isinstance(piece, dict) else None
        yield Part(
            role + b" " + _bare(piece),
            (start if position == 0 else 0) + piece_tokens(piece),
            (mark.get("ttl") or "") if mark else None,
            ends_turn=position == len(pieces) - 1,
        )


def _bare(piece: Any) -> bytes:  # noqa: ANN401 - text or a part
    """Canonical bytes without the mark, so that moving a breakpoint changes no prefix."""
    if isinstance(piece, str):
        return piece.encode("utf-8", "surrogatepass")
    if set(piece) <= {"type", "text", "prompt_cache_breakpoint"} and isinstance(piece.get("text"), str):
        return bytes(piece["text"].encode("utf-8", "surrogatepass"))
    return _encode({key: value for key, value in piece.items() if key != "prompt_cache_breakpoint"})


def piece_tokens(piece: Any) -> int:  # noqa: ANN401 - text or a part
    """Tokens of one content part."""
    if isinstance(piece, str):
        return text_tokens(piece, KIND)
    match piece.get("type"):
        case "text" | "input_text" | "output_text":
            return text_tokens(piece["text"], KIND)
        case "refusal":
            return text_tokens(piece["refusal"], KIND)
        case "image_url":
            shown = piece["image_url"]
            return (
                image_tokens(shown, None) if isinstance(shown, str) else image_tokens(shown["url"], shown.get("detail"))
            )
        case "input_image":
            return image_tokens(piece.get("image_url") or "", piece.get("detail"))
        case "input_file" | "file":
            return FILE_TOKENS
        case "input_audio":
            return FILE_TOKENS
        case _:
            return json_tokens(piece, KIND)


def image_tokens(url: str, detail: str | None) -> int:
    """Patches of 32 pixels, at most 1,536; an image that is not read counts as the largest."""
    if detail == "low":
        return IMAGE_TOKENS_LOW
    head, _, encoded = url.partition(";base64,")
    size = image_size(encoded) if head.startswith("data:image/") else None
    if size is None:
        return IMAGE_TOKENS_MAX
    width, height = size
    return min(IMAGE_TOKENS_MAX, math.ceil(width / IMAGE_PATCH_PIXELS) * math.ceil(height / IMAGE_PATCH_PIXELS))
