"""Bytes become requests here: Anthropic's batch lines, and table rows with a template. Bytes in, ``Request | Problem`` out.

Nothing here opens a file or knows a folder: callers bring lines, the name they are known by, and the template's text.
Everything is a stream; what is kept is one line (or one row) and a few counters, so a million of them need no more
memory than one. The laws: a body reaches the provider byte for byte as it was given (promise 9), every problem is
reported and none stops the reading, and every limit has a name. Duplicate keys are the store's concern.
"""

import csv
import re
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lowtide.errors import Problem
from lowtide.request import KEY_LENGTH_MAX, Native, Neutral, Request, RequestKey

LINE_BYTES_MAX: Final = 256_000_000
"""Longest line that is read. A whole Anthropic batch may have 256 MB (checked 2026-11-21, batch API page)."""

OBJECT_BYTES_MAX: Final = 256_000_000
"""Largest file in the form ``{"requests": [...]}``; it is read at once. Longer inputs come as JSON lines."""

CELL_CHARS_MAX: Final = 16_000_000
"""Longest cell of a CSV table; a quote that is never closed stops here instead of swallowing the file."""

REPEATS_MAX: Final = 20
"""How often the same complaint of one template is written out before it is only counted."""

ROW_OUTPUT_TOKENS: Final = 1_024
"""Output limit of a row when neither the user nor the template's front part gives one."""

BatchForm = Literal["lines", "object"]

_BOM_UTF8 = b"\xef\xbb\xbf"
_BOMS_OTHER = (b"\xff\xfe", b"\xfe\xff")
_BATCH_LINE = re.compile(rb'^[ \t]*\{\s*"(?:custom_id|params)"\s*:', re.MULTILINE)
_BATCH_OBJECT = re.compile(rb'^\s*\{\s*"requests"\s*:\s*\[')
_MALFORMED_AT = re.compile(r"^(?P<what>.*?)\s*\(byte (?P<byte>\d+)\)$", re.DOTALL)
_LINE_FIELDS = frozenset({"custom_id", "params"})
_OPENAI_FIELDS = frozenset({"method", "url", "body"})
_LINE_HINT = 'a line is {"custom_id": "...", "params": {"model": ..., "max_tokens": ..., "messages": [...]}}'


# --- Anthropic's batch files ------------------------------------------------------------------------------------------


def batch_form(head: bytes) -> BatchForm | None:
    """Say which form of Anthropic's batch file begins with ``head``, or ``None`` when it does not look like one.

    ``lines`` is one ``{"custom_id", "params"}`` a line; ``object`` is the body of the create call. OpenAI's lines begin
    with a ``custom_id`` too and count as ``lines``: reading them says what is wrong.
    """
    plain = head.removeprefix(_BOM_UTF8)
    if _BATCH_OBJECT.match(plain):
        return "object"
    return "lines" if _BATCH_LINE.search(plain) else None


def batch_lines(lines: Iterable[bytes], *, file: str) -> Iterator[Request | Problem]:
    """Read JSON lines in Anthropic's batch format, one request or one or more problems a line, in order.

    Blank lines are skipped, a UTF-8 byte order mark and CRLF are allowed. ``params`` is kept byte for byte.
    ``source`` of each request is ``file:line``, counted from 1.
    """
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        if number == 1:
            if line.startswith(_BOMS_OTHER):
                yield Problem(where=where, what="the file is UTF-16, not UTF-8", hint="save it as UTF-8")
                return
            line = line.removeprefix(_BOM_UTF8)
        if line and not line.isspace():
            yield from _batch_item(line, where=where)


def batch_object(content: bytes, *, file: str) -> Iterator[Request | Problem]:
    """Read the body of Anthropic's create call, ``{"requests": [...]}``, at most ``OBJECT_BYTES_MAX`` bytes.

    ``source`` of each request is ``file: requests[n]``, counted from 0 as in the provider's own messages.
    """
    content = content.removeprefix(_BOM_UTF8)
    if len(content) > OBJECT_BYTES_MAX:
        what = f"the file has {len(content):,} bytes; one JSON object may have {OBJECT_BYTES_MAX:,}"
        yield Problem(where=file, what=what, hint="write it as JSON lines, one request a line")
        return
    malformed = _not_utf8(content, where=file)
    if malformed is not None:
        yield malformed
        return
    try:
        items = msgspec.json.decode(content, type=_CreateBody).requests
    except msgspec.DecodeError as error:
        yield _malformed(content, error, where=file)
        return
    if not items:
        yield Problem(where=file, what="`requests` is empty", hint=_LINE_HINT)
    for index, item in enumerate(items):
        yield from _batch_item(bytes(item), where=f"{file}: requests[{index}]")


class _CreateBody(msgspec.Struct):
    requests: list[msgspec.Raw]


class _Params(msgspec.Struct):
    """The fields of ``params`` that lowtide itself must understand; all others pass unseen."""

    model: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    max_tokens: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    stream: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_params = msgspec.json.Decoder(_Params).decode


def _batch_item(line: bytes, *, where: str) -> Iterator[Request | Problem]:
    if len(line) > LINE_BYTES_MAX:
        yield Problem(where=where, what=f"the line is longer than {LINE_BYTES_MAX:,} bytes; no provider takes it")
        return
    malformed = _not_utf8(line, where=where)
    if malformed is not None:
        yield malformed
        return
    try:
        fields = _decode_fields(line)
    except msgspec.ValidationError:
        yield Problem(where=where, what="the line is not a JSON object", hint=_LINE_HINT)
        return
    except msgspec.DecodeError as error:
        yield _malformed(line, error, where=where)
        return
    except RecursionError:
        yield Problem(where=where, what="the JSON is nested too deeply")
        return
    yield from _batch_fields(fields, where=where)


def _batch_fields(fields: Mapping[str, msgspec.Raw], *, where: str) -> Iterator[Request | Problem]:
    names = fields.keys()
    if "params" not in names and names >= {"custom_id", "body"} and names & _OPENAI_FIELDS:
        hint = "lowtide reads Anthropic's format here: " + _LINE_HINT
        yield Problem(where=where, what="this looks like an OpenAI batch line (method, url, body)", hint=hint)
        return
    problems: list[Problem] = []
    unknown = sorted(names - _LINE_FIELDS)
    if unknown:
        what = f"unknown field{'s' if len(unknown) > 1 else ''} beside custom_id and params: {', '.join(unknown)}"
        problems.append(Problem(where=where, what=what, hint="the provider would refuse it; remove it"))
    custom_id = _custom_id(fields.get("custom_id"), where=where, problems=problems)
    model = _native_model(fields.get("params"), where=where, problems=problems)
    if problems:
        yield from problems
        return
    assert custom_id is not None, "a line without problems has an id"
    assert model is not None, "a line without problems has a model"
    # Promise 9: the bytes of params as they stood in the line.
    body = Native(params=bytes(fields["params"]))
    yield Request(key=RequestKey(custom_id), model=model, body=body, kind="line", source=where)


def _custom_id(raw: msgspec.Raw | None, *, where: str, problems: list[Problem]) -> str | None:
    field = f"{where}: custom_id"
    if raw is None:
        problems.append(Problem(where=where, what="custom_id is missing", hint=_LINE_HINT))
        return None
    value = _scalar(raw)
    if not isinstance(value, str):
        problems.append(Problem(where=field, what=f"must be a string, not {_kind_of(raw)}"))
        return None
    if not value:
        problems.append(Problem(where=field, what="is empty"))
        return None
    if len(value) > KEY_LENGTH_MAX:
        what = f"has {len(value)} characters; {KEY_LENGTH_MAX} are the most"
        problems.append(Problem(where=field, what=what))
        return None
    return value


def _native_model(raw: msgspec.Raw | None, *, where: str, problems: list[Problem]) -> str | None:
    if raw is None:
        problems.append(Problem(where=where, what="params is missing", hint=_LINE_HINT))
        return None
    try:
        params = _decode_params(raw)
    except msgspec.ValidationError:
        problems.append(Problem(where=f"{where}: params", what=f"must be an object, not {_kind_of(raw)}"))
        return None
    field = f"{where}: params"
    model = None if params.model is msgspec.UNSET else _scalar(params.model)
    if params.model is msgspec.UNSET:
        problems.append(Problem(where=field, what="model is missing"))
    elif not isinstance(model, str):
        problems.append(Problem(where=f"{field}.model", what=f"must be a string, not {_kind_of(params.model)}"))
    elif not model.strip():
        problems.append(Problem(where=f"{field}.model", what="is empty"))
    _check_limit(params.max_tokens, field=field, problems=problems)
    if params.messages is msgspec.UNSET:
        problems.append(Problem(where=field, what="messages is missing"))
    elif not bytes(params.messages).startswith(b"["):
        what = f"must be a list, not {_kind_of(params.messages)}"
        problems.append(Problem(where=f"{field}.messages", what=what))
    # Not supported inside batch items (Anthropic batch page of 2026-08-14); a batch answers once, whole.
    if params.stream is not msgspec.UNSET and bytes(params.stream) == b"true":
        what = "stream: true cannot be batched"
        problems.append(Problem(where=f"{field}.stream", what=what, hint="remove it"))
    return model if isinstance(model, str) else None


def _check_limit(raw: msgspec.Raw | msgspec.UnsetType, *, field: str, problems: list[Problem]) -> None:
    if raw is msgspec.UNSET:
        problems.append(Problem(where=field, what="max_tokens is missing"))
        return
    value = _scalar(raw)
    if type(value) is not int or value <= 0:
        # 0 (cache warming) is refused inside batches, too (Anthropic batch page of 2026-08-14).
        shown = bytes(raw)[:40].decode(errors="replace")
        problems.append(Problem(where=f"{field}.max_tokens", what=f"must be a positive whole number, not {shown}"))


def _scalar(raw: msgspec.Raw) -> str | int | float | bool | None:
    """Decode a string, number, boolean or null; containers give ``None`` as well."""
    content = bytes(raw)
    if content[:1] in (b"{", b"["):
        return None
    try:
        value: str | int | float | bool | None = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    return value


def _kind_of(raw: msgspec.Raw) -> str:
    match bytes(raw)[:1]:
        case b"{":
            return "an object"
        case b"[":
            return "a list"
        case b'"':
            return "a string"
        case b"t" | b"f":
            return "true or false"
        case b"n":
            return "null"
        case _:
            return "a number"


def _not_utf8(content: bytes, *, where: str) -> Problem | None:
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


def _malformed(content: bytes, error: msgspec.DecodeError, *, where: str) -> Problem:
    """Say what is wrong with this JSON, with the line (in a file) and the column, in characters from 1."""
    if isinstance(error, msgspec.ValidationError):
        return Problem(where=where, what=f"not a batch file: {error}", hint='expected {"requests": [...]}')
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


# --- Tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTemplate:
    """A Jinja2 template for table rows, compiled, with what its front part says.

    ``model`` is empty and ``max_output_tokens`` ``None`` where the front part is silent.
    """

    body: jinja2.Template
    file: str
    lines_before: int
    system: str = ""
    model: str = ""
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """How rows become requests. ``key_column`` empty means: a column ``key`` or ``id`` if there is one, else a number."""

    model: str = ""
    key_column: str = ""
    max_output_tokens: int | None = None


def row_template(text: str, *, file: str) -> RowTemplate | list[Problem]:
    """Compile a row template, or list what is wrong with it.

    It may begin with a front part between two lines ``---``: TOML, or ``key: value`` a line, with ``system``,
    ``model`` and ``max_output_tokens``. The rest is Jinja2, sandboxed; columns are names, ``row["any column"]`` works
    for all; a name that no column has is a problem and never an empty text.
    """
    problems: list[Problem] = []
    front, body, lines_before = _split_front(text.removeprefix("\ufeff"), file=file, problems=problems)
    settings = _front_settings(front, file=file, problems=problems)
    if not body.strip():
        problems.append(Problem(where=file, what="the template is empty", hint="write the prompt, with {{ column }}"))
    try:
        compiled = _TEMPLATES.from_string(body)
    except jinja2.TemplateSyntaxError as error:
        line = error.lineno + lines_before
        problems.append(Problem(where=f"{file}:{line}", what=f"template: {error.message}"))
        return problems
    if problems:
        return problems
    limit = settings.get("max_output_tokens")
    return RowTemplate(
        body=compiled,
        file=file,
        lines_before=lines_before,
        system=str(settings.get("system", "")),
        model=str(settings.get("model", "")),
        max_output_tokens=int(limit) if limit is not None else None,
    )


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
            yield Problem(where=where, what=f"{len(cells)} cells, but the header names {len(columns)} columns")
        else:
            yield from rows.request(dict(zip(columns, cells, strict=True)), where=where)
    yield from rows.end()


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
        if number == 1:
            line = line.removeprefix(_BOM_UTF8)
        if not line or line.isspace():
            continue
        malformed = _not_utf8(line, where=where)
        if malformed is not None:
            yield malformed
            continue
        try:
            row = _decode_row(line)
        except msgspec.ValidationError:
            yield Problem(where=where, what="the line is not a JSON object", hint="a row is one object a line")
        except msgspec.DecodeError as error:
            yield _malformed(line, error, where=where)
        except RecursionError:
            yield Problem(where=where, what="the JSON is nested too deeply")
        else:
            yield from rows.request(row, where=where)
    yield from rows.end()


_decode_row = msgspec.json.Decoder(dict[str, object], float_hook=Decimal).decode
_TEMPLATES = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
)
_UNDEFINED_NAME = re.compile(r"^'(?P<name>[^']*)' is undefined$|has no attribute '(?P<attribute>[^']*)'$")


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
        self._model = options.model or template.model
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
            line = line.removeprefix(_BOM_UTF8)
        malformed = _not_utf8(line, where="")
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


def _split_front(text: str, *, file: str, problems: list[Problem]) -> tuple[str, str, int]:
    """Split off the front part: its text, the body, and how many lines come before the body."""
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return "", text, 0
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            return "".join(lines[1:number]), "".join(lines[number + 1 :]), number + 1
    problems.append(Problem(where=f"{file}:1", what="the front part that begins with --- has no second ---"))
    return "", text, 0


def _front_settings(front: str, *, file: str, problems: list[Problem]) -> Mapping[str, str | int]:
    try:
        read: dict[str, object] = dict(tomllib.loads(front))
    except tomllib.TOMLDecodeError as toml_error:
        found = _front_lines(front)
        if found is None:
            what = f"the front part is neither TOML ({toml_error}) nor lines of `key: value`"
            problems.append(Problem(where=f"{file}:1", what=what))
            return {}
        read = dict(found)
    settings: dict[str, str | int] = {}
    for name, value in read.items():
        where = f"{file}: {name}"
        if name == "max_output_tokens":
            number = int(value) if isinstance(value, str) and value.isdecimal() else value
            if type(number) is int and number > 0:
                settings[name] = number
            else:
                problems.append(Problem(where=where, what=f"must be a positive whole number, not {value!r}"))
        elif name not in ("system", "model"):
            hint = "the front part takes system, model and max_output_tokens"
            problems.append(Problem(where=where, what="unknown setting", hint=hint))
        elif not isinstance(value, str):
            problems.append(Problem(where=where, what=f"must be a text, not {value!r}"))
        else:
            settings[name] = value
    return settings


def _front_lines(front: str) -> dict[str, str] | None:
    found = {}
    for line in front.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon:
            return None
        found[name.strip()] = value.strip().strip("\"'")
    return found
