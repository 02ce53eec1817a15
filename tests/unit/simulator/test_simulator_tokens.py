"""Token counts: fixed, bounded by bytes, and right for images."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide_simulator.models import BY_NAME, Tokenizer
from lowtide_simulator.tokens import (
    TOOLS_TOKENS,
    image_size,
    image_tokens,
    pdf_pages,
    pixel_tokens,
    request_tokens,
    text_tokens,
)

OLD = BY_NAME["claude-haiku-4-5"]
NEW = BY_NAME["claude-sonnet-5"]


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_three_recorded_counts() -> None:
    """Recorded 2026-08 on Haiku 4.5: 14; 43 with thinking; and 8 for ``hi`` on Sonnet 4.6, which comes out as 6."""
    question = "What is the capital of France?"
    assert request_tokens(body(question), OLD) == 14
    assert request_tokens(body(question, thinking={"type": "enabled", "budget_tokens": 2048}), OLD) == 43
    assert request_tokens(body("hi"), BY_NAME["claude-sonnet-4-6"]) == 6


def test_the_new_tokenizer_gives_about_thirty_percent_more() -> None:
    text = "The order is checked by a clerk. " * 100
    assert text_tokens(text, Tokenizer.NEW) / text_tokens(text, Tokenizer.OLD) == pytest.approx(1.3, abs=0.01)


def test_thinking_of_earlier_turns_is_not_counted() -> None:
    block = {"type": "thinking", "thinking": "x" * 1_000, "signature": "s"}
    assert request_tokens({"messages": [{"role": "assistant", "content": [block]}]}, OLD) == request_tokens(
        body(""), OLD
    )


@given(st.text(max_size=300), st.text(max_size=300), st.lists(st.text(max_size=40), max_size=4), st.booleans())
def test_never_more_tokens_than_bytes_of_the_body_and_a_constant(
    system: str, text: str, names: list[str], thinks: bool
) -> None:
    params = body(text, system=system, model=NEW.id, max_tokens=1)
    if names:
        params["tools"] = [{"name": name, "input_schema": {}} for name in names]
    if thinks:
        params["thinking"] = {"type": "adaptive"}
    size = len(json.dumps(params, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    assert request_tokens(params, NEW) <= size + 64 + (TOOLS_TOKENS if names else 0)


@pytest.mark.parametrize(
    ("width", "height", "standard", "sharp"),
    [
        (28, 28, 1, 1),
        (29, 28, 2, 2),
        (200, 200, 64, 64),
        (1000, 1000, 1296, 1296),
        (1092, 1092, 1521, 1521),
        (8000, 8000, 1568, 4784),
        (1, 8000, 56, 92),
    ],
)
def test_images_count_in_patches_of_28_pixels(width: int, height: int, standard: int, sharp: int) -> None:
    assert pixel_tokens(width, height, sharp=False) == standard
    assert pixel_tokens(width, height, sharp=True) == sharp


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + b"\x08\x06\x00\x00\x00"
JPEG = (
    b"\xff\xd8\xff\xe0"
    + struct.pack(">H", 16)
    + b"JFIF"
    + bytes(10)
    + b"\xff\xc0"
    + struct.pack(">HBHH", 17, 8, 480, 640)
    + bytes(12)
)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480) + bytes(8)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


@pytest.mark.parametrize("raw", [PNG, JPEG, GIF, WEBP])
def test_sizes_are_read_from_headers(raw: bytes) -> None:
    data = base64.b64encode(raw).decode()
    assert image_size(data) == (640, 480)
    assert image_tokens({"type": "base64", "data": data}, OLD) == 23 * 18


@pytest.mark.parametrize(
    "data",
    ["", "AAAA", "not base64 at all!", base64.b64encode(b"\xff\xd8\xff").decode(), base64.b64encode(PNG[:10]).decode()],
)
def test_an_image_that_cannot_be_read_counts_as_the_largest(data: str) -> None:
    assert image_tokens({"type": "base64", "data": data}, OLD) == 1568


def test_a_pdf_counts_by_its_pages() -> None:
    pdf = b"%PDF-1.4 /Type /Pages /Kids [] /Type /Page /Type/Page "
    assert pdf_pages(base64.b64encode(pdf).decode()) == 2
    assert pdf_pages("!!") == 1
