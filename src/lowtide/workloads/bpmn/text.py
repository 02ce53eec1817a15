"""Names and texts of a model, cleaned: one line for a name, bounded blocks for the rest, no control characters."""

import re
from typing import Final
from xml.etree.ElementTree import Element

NAME_CHARS_MAX: Final = 500
TEXT_CHARS_MAX: Final = 20_000
"""Longest name and longest documentation, annotation, condition or script that is kept; a cut ends in an ellipsis."""

# XML forbids most of these; U+FDD0 and U+FDD1 are kept free for marking places in prompts.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SPACE = re.compile(r"\s+")


def split(tag: str) -> tuple[str, str]:
    """Take a tag or attribute name apart: its namespace, empty for none, and its local name."""
    if tag.startswith("{"):
        namespace, _, name = tag[1:].partition("}")
        return namespace, name
    return "", tag


def clean(text: str | None) -> str:
    """Make one line of a name, without control characters, at most ``NAME_CHARS_MAX`` long."""
    if not text:
        return ""
    line = _SPACE.sub(" ", _UNWANTED.sub("", text)).strip()
    return line if len(line) <= NAME_CHARS_MAX else line[: NAME_CHARS_MAX - 1] + "…"


def block(text: str) -> str:
    """Keep a longer text with its lines, without control characters, at most ``TEXT_CHARS_MAX`` long."""
    lines = (line.rstrip() for line in _UNWANTED.sub("", text).replace("\r\n", "\n").strip().split("\n"))
    whole = "\n".join(lines)
    return whole if len(whole) <= TEXT_CHARS_MAX else whole[: TEXT_CHARS_MAX - 1] + "…"


def text_of(element: Element) -> str:
    """Give all text inside an element, as a block."""
    return block("".join(element.itertext()))
