"""Table rows become requests: CSV or JSON lines, one request a row, rendered with the user's template.

Rows are a stream; a bad row is a problem and the next one is read. The same complaint of many rows is written a few times
and then counted.
"""

import csv
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import jinja2
import msgspec

from lowtide.errors import Problem, counted
from lowtide.inputs.complaints import BOM_UTF8, malformed_json, not_utf8
from lowtide.inputs.row_templates import RowTemplate
from lowtide.request import KEY_LENGTH_MAX, Neutral, Request, RequestKey

CELL_CHARS_MAX: Final = 16_000_000
"""Longest cell of a CSV table; a quote that is never closed stops here instead of swallowing the file."""

REPEATS_MAX: Final = 20
"""How often the same complaint of one template is written out before it is only counted."""

ROW_OUTPUT_TOKENS: Final = 1_024
"""Output limit of a row when neither the user nor the template's front part gives one."""

_UNDEFINED_NAME = re.compile(r"^'(?P<name>[^']*)' is undefined$|has no attribute '(?P<attribute>[^']*)'$")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """How rows become requests. ``key_column`` empty means: a column ``key`` or ``id`` if there is one, else a number.

    ``model`` comes before what the template names, ``model_default`` after it.
    """

    model: str = ""
    model_default: str = ""
    key_column: str = ""
    max_output_tokens: int | None = None


def csv_requests(
    lines: Iterable[bytes], *, file: str, template: RowTemplate, options: RowOptions
) -> Iterator[Request | Problem]:
    """Read a CSV table (comma, semicolon or tab, seen in its header line), one request a row.

    Quoted cells may hold line breaks. ``source`` is the file and the line where the row begins.
    """
    csv.field_size_limit(CELL_CHARS_MAX)
    text = _TextLines(lines)
    header_line = next(text, None)
    if header_line is None or not header_line.strip():
        yield Problem(where=f"{file}:1", what="there is no header line", hint="the first line names the columns")
        return
    reader = csv.reader(_put_back(header_line, text), delimiter=_delimiter(header_line), strict=True)
    try:
        columns = [name.strip() for name in next(reader)]
    except csv.Error as error:
        yield Problem(where=f"{file}:1", what=f"the header line is not CSV: {error}")
        return
    problems = [*text.problems(file, first=1, last=reader.line_num), *_header_problems(columns, file=file)]
    if problems:
        yield from problems
        return
    rows = _Rows(columns=columns, file=file, template=template, options=options)
    yield from rows.start()
    if rows.stopped:
        return
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield from text.problems(file, first=first, last=reader.line_num)
            yield Problem(where=f"{file}:{first}", what=_csv_complaint(error, first=first, last=reader.line_num))
            continue
        if cells is None:
            break
        if not cells:
            continue
        bad = text.problems(file, first=first, last=reader.line_num)
        where = f"{file}:{first}"
        if bad:
            yield from bad
        elif len(cells) != len(columns):
            yield Problem(where=where, what=_cells_complaint(len(cells), len(columns)))
        else:
            yield from rows.request(dict(zip(columns, cells, strict=True)), where=where)
    yield from rows.end()


def _cells_complaint(cells: int, columns: int) -> str:
    return f"{counted(cells, 'cell')}, but the header names {counted(columns, 'column')}"


def jsonl_requests(
    lines: Iterable[bytes], *, file: str, template: RowTemplate, options: RowOptions
) -> Iterator[Request | Problem]:
    """Read a table of JSON objects, one a line; numbers keep the digits they were written with."""
    rows = _Rows(columns=None, file=file, template=template, options=options)
    yield from rows.start()
    if rows.stopped:
        return
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        content = line.removeprefix(BOM_UTF8) if number == 1 else line
        if not content or content.isspace():
            continue
        malformed = not_utf8(content, where=where)
        if malformed is not None:
            yield malformed
            continue
        try:
            row = _decode_row(content)
        except msgspec.ValidationError:
            yield Problem(where=where, what="the line is not a JSON object", hint="a row is one object a line")
        except msgspec.DecodeError as error:
            yield malformed_json(content, error, where=where)
        except RecursionError:
            yield Problem(where=where, what="the JSON is nested too deeply")
        else:
            yield from rows.request(row, where=where)
    yield from rows.end()


_decode_row = msgspec.json.Decoder(dict[str, object], float_hook=Decimal).decode


class _Rows:
    """What all rows of one table share: columns, template, key rule, and complaints counted instead of repeated."""

    __slots__ = (
        "_columns",
        "_count",
        "_file",
        "_key",
        "_limit",
        "_model",
        "_repeats",
        "_template",
        "_wanted",
        "stopped",
    )

    def __init__(self, *, columns: Sequence[str] | None, file: str, template: RowTemplate, options: RowOptions) -> None:
        self._columns = columns
        self._file = file
        self._template = template
        self._wanted = options.key_column
        self._key = options.key_column or _default_key(columns)
        self._model = options.model or template.model or options.model_default
        self._limit = options.max_output_tokens or template.max_output_tokens or ROW_OUTPUT_TOKENS
        self._repeats: dict[str, int] = {}
        self._count = 0
        self.stopped = False

    def start(self) -> Iterator[Problem]:
        """Give what is wrong before the first row is read; ``stopped`` says that reading on would help nobody."""
        if not self._model:
            hint = "give one with --model or in the template's front part"
            self.stopped = True
            yield Problem(where=self._file, what="no model is named for the rows", hint=hint)
        if self._columns is not None and self._wanted and self._wanted not in self._columns:
            self.stopped = True
            what = f"no column is called {self._wanted!r}; the columns are {', '.join(self._columns)}"
            yield Problem(where=f"{self._file}:1", what=what)

    def request(self, row: Mapping[str, object], *, where: str) -> Iterator[Request | Problem]:
        self._count += 1
        key = self._key_of(row, where=where)
        text = self._text_of(row, where=where)
        if isinstance(key, Problem):
            yield key
        if isinstance(text, Problem):
            yield text
        if isinstance(key, str) and isinstance(text, str):
            body = Neutral(system=self._template.system, text=text, max_output_tokens=self._limit)
            yield Request(key=RequestKey(key), model=self._model, body=body, kind="row", source=where)

    def end(self) -> Iterator[Problem]:
        """Give the counts of complaints that were repeated too often to be written out each time."""
        for what, count in self._repeats.items():
            if count > REPEATS_MAX:
                yield Problem(where=self._file, what=f"{what} (the same in {count - REPEATS_MAX:,} more rows)")

    def _key_of(self, row: Mapping[str, object], *, where: str) -> str | Problem:
        column = self._key or _default_key(row)
        if not column:
            return f"row-{self._count:07d}"
        value = row.get(column)
        if value is None:
            if self._wanted:
                return Problem(where=where, what=f"this row has no {column!r}, the column of its key")
            return f"row-{self._count:07d}"
        if isinstance(value, (dict, list, bool)):
            return Problem(where=f"{where}: {column}", what="a key must be a text or a number")
        text = str(value).strip()
        if not text:
            return Problem(where=f"{where}: {column}", what="the key is empty")
        if len(text) > KEY_LENGTH_MAX:
            what = f"the key has {len(text)} characters; {KEY_LENGTH_MAX} are the most"
            return Problem(where=f"{where}: {column}", what=what)
        if not text.isprintable():
            return Problem(where=f"{where}: {column}", what="the key holds a line break or a control character")
        return text

    def _text_of(self, row: Mapping[str, object], *, where: str) -> str | Problem | None:
        try:
            text = self._template.body.render({**row, "row": row})
        except jinja2.UndefinedError as error:
            what, hint = self._undefined(str(error), row)
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            # A filter or an operation that does not fit this row's values is the template's fault, not ours.
            what, hint = f"the template {self._template.file} fails: {error}", ""
        else:
            if text.strip():
                return text
            what, hint = f"the template {self._template.file} gives an empty text", ""
        count = self._repeats[what] = self._repeats.get(what, 0) + 1
        return Problem(where=where, what=what, hint=hint) if count <= REPEATS_MAX else None

    def _undefined(self, message: str, row: Mapping[str, object]) -> tuple[str, str]:
        found = _UNDEFINED_NAME.search(message)
        columns = ", ".join(name for name in row if name)
        if found is None:
            return f"the template {self._template.file} fails: {message}", f"the columns are {columns}"
        name = found["name"] or found["attribute"]
        what = f"the template {self._template.file} names the column {name!r}, which is not there"
        return what, f"the columns are {columns}"


class _TextLines:
    """UTF-8 lines as text; lines that are not UTF-8 are remembered until the row that holds them is reported."""

    __slots__ = ("_bad", "_lines", "_number")

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self._bad: dict[int, Problem] = {}

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(BOM_UTF8)
        malformed = not_utf8(line, where="")
        if malformed is not None:
            self._bad[self._number] = malformed
            return line.decode(errors="replace")
        return line.decode()

    def problems(self, file: str, *, first: int, last: int) -> list[Problem]:
        """Give, once, the encoding problems of the lines ``first`` to ``last``."""
        found = []
        for number in [bad for bad in self._bad if first <= bad <= last]:
            bad = self._bad.pop(number)
            found.append(Problem(where=f"{file}:{number}", what=bad.what, hint=bad.hint))
        return found


def _put_back(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _delimiter(header: str) -> str:
    outside_quotes = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=outside_quotes.count)


def _header_problems(columns: Sequence[str], *, file: str) -> list[Problem]:
    named = [name for name in columns if name]
    if not named:
        return [Problem(where=f"{file}:1", what="the header line names no column")]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        return [Problem(where=f"{file}:1", what=f"two columns have the same name: {', '.join(twice)}")]
    return []


def _default_key(columns: Container[str] | None) -> str:
    if columns is None:
        return ""
    return next((name for name in ("key", "id") if name in columns), "")


def _csv_complaint(error: csv.Error, *, first: int, last: int) -> str:
    message = str(error)
    if "unexpected end of data" in message:
        return f"a quoted cell that begins on line {first} is never closed"
    if "field larger than field limit" in message:
        return f"a cell is longer than {CELL_CHARS_MAX:,} characters (lines {first} to {last}); is a quote left open?"
    return f"not CSV: {message}"
