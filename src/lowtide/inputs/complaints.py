"""What is wrong with bytes that should be UTF-8 and JSON, said with the line and the column where it is."""

import re
from typing import Final

import msgspec

from lowtide.errors import Problem

BOM_UTF8: Final = b"\xef\xbb\xbf"

_HALF_CHARACTER = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_MALFORMED_AT = re.compile(r"^(?P<what>.*?)\s*\(byte (?P<byte>\d+)\)$", re.DOTALL)


def not_utf8(content: bytes, *, where: str) -> Problem | None:
    """Say where the bytes stop being UTF-8, or nothing when they are."""
    if content.isascii():
        return None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        lines = before.count(b"\n")
        place = f"line {lines + 1}" if lines else f"byte {error.start + 1}"
        what = f"not UTF-8 (0x{content[error.start]:02x} at {place})"
        return Problem(where=where, what=what, hint="save the file as UTF-8")
    return None


def malformed_json(content: bytes, error: msgspec.DecodeError, *, where: str) -> Problem:
    """Say what is wrong with this JSON, with the line (in a file) and the column, in characters from 1."""
    if isinstance(error, msgspec.ValidationError):
        return Problem(where=where, what=f"not a batch file: {error}", hint='expected {"requests": [...]}')
    half = _HALF_CHARACTER.search(content)
    if half is not None and content.rstrip().endswith(b"}"):
        # The decoder takes half of a surrogate pair for an early end.
        return Problem(where=where, what=f"not JSON: {half[0].decode()} is half of a character")
    found = _MALFORMED_AT.match(str(error))
    if found is None:
        return Problem(where=where, what=f"not JSON: {_plain(str(error))}")
    at = min(int(found["byte"]), len(content))
    before = content[:at]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode(errors="replace")) + 1
    lines = before.count(b"\n")
    place = f"line {lines + 1}, column {column}" if lines else f"column {column}"
    return Problem(where=where, what=f"not JSON: {_plain(found['what'])} at {place}")


def _plain(message: str) -> str:
    message = message.removeprefix("JSON is malformed: ")
    return "it ends too early" if message == "Input data was truncated" else message
