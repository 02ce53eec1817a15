"""How many tokens a request has, by an estimate of our own that never changes.

Here: counts of text, images and documents, and of a whole request body. Not here: what a cache serves of it. Law: the
same body always has the same count, and

    tokens of a request  <=  UTF-8 bytes of its body + IMAGE tokens + PDF tokens + 64 (+ 346 when it has tools)

because a text never counts more tokens than it has bytes, and each message, tool and schema adds fewer tokens than
the bytes of JSON that it takes. Images count by the provider's 28-pixel formula, whatever their bytes.

Source: reference sheet of the provider's API, sections 2.8 and 2.10, checked 2026-11-21. It meets two recorded
counts (14, and 43 with thinking) and misses a third (8, where it gives 6); it is plausible, no more.
"""

import base64
import binascii
import math
import re
import struct
from typing import Any, Final

import msgspec

from lowtide_simulator.models import Model, Tokenizer

BYTES_PER_TOKEN: Final = {Tokenizer.OLD: 3.5, Tokenizer.NEW: 2.7, Tokenizer.O200K: 4.0}
REQUEST_TOKENS: Final = 1
MESSAGE_TOKENS: Final = 4
THINKING_TOKENS: Final = 29
TOOLS_TOKENS: Final = 346
TOOL_TOKENS: Final = 8
SCHEMA_TOKENS: Final = 20
PATCH_PIXELS: Final = 28
URL_IMAGE_TOKENS: Final = 1_568
URL_DOCUMENT_PAGES: Final = 3
PAGE_TEXT_TOKENS: Final = 1_500
PAGE_WIDTH, PAGE_HEIGHT = 816, 1_056

_encode: Final = msgspec.json.Encoder().encode


def text_tokens(text: str, tokenizer: Tokenizer) -> int:
    """Tokens of a text: its UTF-8 bytes over a constant of the tokenizer, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return math.ceil(size / BYTES_PER_TOKEN[tokenizer])


def json_tokens(value: object, tokenizer: Tokenizer) -> int:
    """Tokens of a JSON value, from its compact encoding."""
    return math.ceil(len(_encode(value)) / BYTES_PER_TOKEN[tokenizer])


def request_tokens(params: dict[str, Any], model: Model) -> int:
    """Tokens of a whole request body that has passed validation."""
    kind = model.tokenizer
    total = REQUEST_TOKENS + tools_tokens(params, kind) + schema_tokens(params, kind) + thinking_tokens(params)
    total += content_tokens(params.get("system") or "", model)
    for message in params["messages"]:
        total += MESSAGE_TOKENS + content_tokens(message["content"], model)
    return total


def tools_tokens(params: dict[str, Any], kind: Tokenizer) -> int:
    """What the tools add: a system prompt of the provider's, and each tool's own JSON."""
    tools = params.get("tools")
    if not tools:
        return 0
    return TOOLS_TOKENS + sum(tool_tokens(tool, kind) for tool in tools)


def tool_tokens(tool: dict[str, Any], kind: Tokenizer) -> int:
    """Tokens of one tool, cache marks left out."""
    return TOOL_TOKENS + json_tokens({k: v for k, v in tool.items() if k != "cache_control"}, kind)


def thinking_tokens(params: dict[str, Any]) -> int:
    """What asking the model to think adds to the prompt."""
    thinking = params.get("thinking")
    return THINKING_TOKENS if thinking and thinking["type"] in ("enabled", "adaptive") else 0


def schema_tokens(params: dict[str, Any], kind: Tokenizer) -> int:
    """What a schema for the answer adds to the prompt."""
    output_format = (params.get("output_config") or {}).get("format")
    return SCHEMA_TOKENS + json_tokens(output_format["schema"], kind) if output_format else 0


def content_tokens(content: str | list[dict[str, Any]], model: Model) -> int:
    """Tokens of a ``content`` or ``system`` value."""
    if isinstance(content, str):
        return text_tokens(content, model.tokenizer)
    return sum(block_tokens(block, model) for block in content)


def block_tokens(block: dict[str, Any], model: Model) -> int:
    """Tokens of one content block."""
    match block["type"]:
        case "text":
            return text_tokens(block["text"], model.tokenizer)
        case "image":
            return image_tokens(block["source"], model)
        case "document":
            return document_tokens(block, model)
        case "tool_result":
            return TOOL_TOKENS + content_tokens(block.get("content") or "", model)
        case "thinking" | "redacted_thinking":
            return 0  # Earlier turns' thinking is dropped from the prompt.
        case _:
            return json_tokens({k: v for k, v in block.items() if k != "cache_control"}, model.tokenizer)


def image_tokens(source: dict[str, Any], model: Model) -> int:
    """Tokens of an image: ceil(w/28) * ceil(h/28) after scaling down; an unread image counts as the largest."""
    largest = 4_784 if model.sharp_images else 1_568
    if source.get("type") != "base64":
        return min(URL_IMAGE_TOKENS, largest)
    size = image_size(source["data"])
    if size is None:
        return largest
    return pixel_tokens(*size, sharp=model.sharp_images)


def pixel_tokens(width: int, height: int, *, sharp: bool) -> int:
    """The 28-pixel formula with the provider's caps on edge and tokens."""
    edge, largest = (2_576, 4_784) if sharp else (1_568, 1_568)
    scale = min(1.0, edge / max(width, height, 1))
    patches = _patches(width * scale) * _patches(height * scale)
    return min(patches, largest)


def _patches(pixels: float) -> int:
    return max(1, math.ceil(round(pixels, 6) / PATCH_PIXELS))


def document_tokens(block: dict[str, Any], model: Model) -> int:
    """Tokens of a document, roughly: text by its bytes; PDF by page, a page as text and as an image."""
    source = block["source"]
    extra = sum(text_tokens(block.get(name) or "", model.tokenizer) for name in ("title", "context"))
    match source["type"]:
        case "text":
            return extra + text_tokens(source["data"], model.tokenizer)
        case "content":
            return extra + content_tokens(source["content"], model)
        case "base64":
            return extra + pdf_pages(source["data"]) * _page_tokens(model)
        case _:
            return extra + URL_DOCUMENT_PAGES * _page_tokens(model)


def _page_tokens(model: Model) -> int:
    return PAGE_TEXT_TOKENS + pixel_tokens(PAGE_WIDTH, PAGE_HEIGHT, sharp=model.sharp_images)


def pdf_pages(data: str) -> int:
    """Pages of a base64 PDF: its page objects, or at least 1."""
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return 1
    return max(1, len(re.findall(rb"/Type\s*/Page(?![a-zA-Z])", raw)))


def image_size(data: str) -> tuple[int, int] | None:
    """Width and height from the header of a base64 PNG, JPEG, GIF or WebP; None when it is none of them."""
    try:
        head = base64.b64decode(data[:88])
        match head[:4]:
            case b"\x89PNG":
                return _pair(">II", head, 16)
            case b"GIF8":
                return _pair("<HH", head, 6)
            case b"RIFF":
                return _webp_size(head)
            case _ if head[:2] == b"\xff\xd8":
                return _jpeg_size(base64.b64decode(data))
            case _:
                return None
    except (binascii.Error, ValueError, struct.error):
        return None


def _pair(form: str, raw: bytes, offset: int) -> tuple[int, int]:
    width, height = struct.unpack_from(form, raw, offset)
    return int(width), int(height)


def _webp_size(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            width, height = _pair("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case _:
            return None


def _jpeg_size(raw: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header."""
    offset = 2
    while offset + 9 < len(raw) and raw[offset] == 0xFF:
        marker = raw[offset + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _pair(">HH", raw, offset + 5)
            return width, height
        if marker == 0xFF or 0xD0 <= marker <= 0xD8:
            offset += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", raw, offset + 2)
        offset += 2 + length
    return None
