"""Bytes become an XML element, or one ``Problem`` that says where and why not.

expat decides what is well-formed; ``defusedxml`` refuses entity bombs and external entities. Encodings that expat does not
know are decoded here first.
"""

import codecs
import re
from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml import ElementTree

from lowtide.errors import Problem
from lowtide.workloads.bpmn.text import clean

FILE_BYTES_MAX: Final = 64_000_000
"""Largest BPMN file that is read; the largest of 668 real ones has 0.5 MB."""

_LARGER = {
    # Declared encoding, as Python calls it -> what to try. Windows' larger sets are what many programs mean by the name.
    "shift_jis": ("shift_jis", "cp932"),
    "euc_kr": ("euc_kr", "cp949"),
    "gb2312": ("gb2312", "gb18030"),
    "gbk": ("gbk", "gb18030"),
    "big5": ("big5", "cp950", "big5hkscs"),
}
_ALIASES = {
    # Names that files use and Python does not know (IANA and WHATWG call them so).
    "windows-31j": "cp932",
    "x-sjis": "shift_jis",
    "x-gbk": "gbk",
    "x-euc-jp": "euc_jp",
    "x-windows-949": "cp949",
    "windows-949": "cp949",
    "x-x-big5": "big5",
}
_EXPAT_READS = frozenset({"utf-8", "utf-16", "utf-16-be", "utf-16-le", "iso8859-1", "ascii"})
_NOT_FOR_FILES = frozenset({"unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "utf-7"})
_DECLARATION = re.compile(rb"""^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_POSITION = re.compile(r":? *line \d+, column \d+$")


def parse(content: bytes, *, file: str) -> Element | Problem:
    """Parse one file: UTF-8, UTF-16 and single-byte encodings as they are, declared multi-byte ones and UTF-32 transcoded."""
    if not content.strip(b" \t\r\n\xef\xbb\xbf"):
        return Problem(where=file, what="the file is empty")
    if len(content) > FILE_BYTES_MAX:
        return Problem(where=file, what=f"{len(content):,} bytes; {FILE_BYTES_MAX:,} are the most that is read")
    source = _transcoded(content, file=file)
    if isinstance(source, Problem):
        return source
    try:
        root: Element = ElementTree.fromstring(source)
    except ParseError as error:
        return _malformed(error, source if isinstance(source, bytes) else source.encode(), file=file)
    except defusedxml.EntitiesForbidden as error:
        hint = "write the text itself in place of the entity"
        return Problem(where=file, what=f"declares the entity {error.name!r}; entities are refused", hint=hint)
    except ValueError as error:
        # defusedxml's other refusals are of this kind, and expat's of a declared encoding that the bytes contradict.
        return Problem(where=file, what=f"cannot be read as XML: {error}")
    return root


def _transcoded(content: bytes, *, file: str) -> bytes | str | Problem:
    """Decode what expat does not know by itself: every declared encoding but UTF-8, UTF-16, Latin-1 and ASCII, and UTF-32."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return _decoded(content, encodings=("utf_32",), declared="UTF-32", file=file)
    found = _DECLARATION.match(content)
    if found is None:
        return content
    declared = found[1].decode()
    hint = "save it as UTF-8 and say so in its first line"
    try:
        codec = codecs.lookup(_ALIASES.get(declared.lower(), declared))
    except LookupError:
        return Problem(where=f"{file}:1", what=f"declares the encoding {declared!r}, which is not known", hint=hint)
    if codec.name in _EXPAT_READS:
        return content
    if codec.name in _NOT_FOR_FILES or not getattr(codec, "_is_text_encoding", True):
        return Problem(where=f"{file}:1", what=f"declares the encoding {declared!r}, which is not for files", hint=hint)
    return _decoded(content, encodings=_LARGER.get(codec.name, (codec.name,)), declared=declared, file=file)


def _decoded(content: bytes, *, encodings: Iterable[str], declared: str, file: str) -> str | Problem:
    worst: UnicodeDecodeError | None = None
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as error:
            worst = error if worst is None or error.start > worst.start else worst
    assert worst is not None, "there is at least one encoding to try"
    line = content.count(b"\n", 0, worst.start) + 1
    return Problem(where=f"{file}:{line}", what=f"bytes that are not valid in the declared encoding {declared}")


def _malformed(error: ParseError, content: bytes, *, file: str) -> Problem:
    line, column = error.position
    cause = _POSITION.sub("", str(error))
    if cause == "no element found":
        cause = "it ends before its first element is closed"
    elif "invalid token" in cause:
        cause = _wrong_bytes(content, line=line) or cause
    near = _excerpt(content, line=line, column=column)
    return Problem(where=f"{file}:{line}", what=f"not well-formed XML: {cause} (column {column + 1}{near})")


def _excerpt(content: bytes, *, line: int, column: int) -> str:
    lines = content.split(b"\n", line)
    if line > len(lines) or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ""
    found = clean(lines[line - 1].decode(errors="replace")[column : column + 40])
    return f", at `{found}`" if found else ""


def _wrong_bytes(content: bytes, *, line: int) -> str:
    """Say that the bytes of ``line`` do not fit the declared encoding, or nothing when they do."""
    found = _DECLARATION.match(content)
    declared = found[1].decode() if found else "UTF-8"
    try:
        b"".join(content.split(b"\n")[line - 1 : line]).decode(declared)
    except UnicodeDecodeError:
        return f"bytes that are not valid in its encoding {declared}"
    return ""
