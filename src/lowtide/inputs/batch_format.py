"""Batch files: Anthropic's lines of ``{"custom_id", "params"}`` or its create call's body, and OpenAI's lines, even mixed.

Each line says by its own fields whose it is; OpenAI's are read in ``openai_lines``. A body passes byte for byte; only the
few fields that lowtide itself must understand are looked at.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec

from lowtide.errors import Problem
from lowtide.inputs.complaints import BOM_UTF8, malformed_json, not_utf8
from lowtide.inputs.fields import Field, check_limit, check_list, check_stream, kind_of, read_custom_id, read_model
from lowtide.inputs.openai_lines import OPENAI_FIELDS, openai_line
from lowtide.request import KEY_LENGTH_MAX, Native, Request, RequestKey

LINE_BYTES_MAX: Final = 256_000_000
"""Longest line that is read. A whole Anthropic batch may have 256 MB (checked 2026-11-21, batch API page)."""

OBJECT_BYTES_MAX: Final = 256_000_000
"""Largest file in the form ``{"requests": [...]}``; it is read at once. Longer inputs come as JSON lines."""

BatchForm = Literal["lines", "object"]

_BOMS_OTHER = (b"\xff\xfe", b"\xfe\xff")
_BATCH_LINE = re.compile(rb'^[ \t]*\{\s*"(?:custom_id|params|method|url|body)"\s*:', re.MULTILINE)
_BATCH_OBJECT = re.compile(rb'^\s*\{\s*"requests"\s*:\s*\[')
_LINE_FIELDS = frozenset({"custom_id", "params"})
_LINE_HINT = 'a line is {"custom_id": "...", "params": {"model": ..., "max_tokens": ..., "messages": [...]}}'


def batch_form(head: bytes) -> BatchForm | None:
    """Say which form of batch file begins with ``head``, or ``None`` when it does not look like one.

    ``lines`` is one request a line, Anthropic's or OpenAI's; ``object`` is the body of Anthropic's create call.
    """
    plain = head.removeprefix(BOM_UTF8)
    if _BATCH_OBJECT.match(plain):
        return "object"
    return "lines" if _BATCH_LINE.search(plain) else None


def batch_lines(lines: Iterable[bytes], *, file: str) -> Iterator[Request | Problem]:
    """Read JSON lines in either batch format, one request or one or more problems a line, in order.

    Blank lines are skipped, a UTF-8 byte order mark and CRLF are allowed. ``params`` (or ``body``) is kept byte for byte.
    ``source`` of each request is ``file:line``, counted from 1.
    """
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        if number == 1 and line.startswith(_BOMS_OTHER):
            yield Problem(where=where, what="the file is UTF-16, not UTF-8", hint="save it as UTF-8")
            return
        content = line.removeprefix(BOM_UTF8) if number == 1 else line
        if not content or content.isspace():
            continue
        request = _well_formed(content, where=where)
        if request is None:
            yield from _batch_item(content, where=where)
        else:
            yield request


def batch_object(content: bytes, *, file: str) -> Iterator[Request | Problem]:
    """Read the body of Anthropic's create call, ``{"requests": [...]}``, at most ``OBJECT_BYTES_MAX`` bytes.

    ``source`` of each request is ``file: requests[n]``, counted from 0 as in the provider's own messages.
    """
    content = content.removeprefix(BOM_UTF8)
    if len(content) > OBJECT_BYTES_MAX:
        what = f"the file has {len(content):,} bytes; one JSON object may have {OBJECT_BYTES_MAX:,}"
        yield Problem(where=file, what=what, hint="write it as JSON lines, one request a line")
        return
    malformed = not_utf8(content, where=file)
    if malformed is not None:
        yield malformed
        return
    try:
        items = msgspec.json.decode(content, type=_CreateBody).requests
    except msgspec.DecodeError as error:
        yield malformed_json(content, error, where=file)
        return
    if not items:
        yield Problem(where=file, what="`requests` is empty", hint=_LINE_HINT)
    for index, item in enumerate(items):
        yield from _batch_item(bytes(item), where=f"{file}: requests[{index}]")


class _CreateBody(msgspec.Struct):
    requests: list[msgspec.Raw]


class _Params(msgspec.Struct):
    """The fields of ``params`` that lowtide itself must understand; all others pass unseen."""

    model: Field = msgspec.UNSET
    max_tokens: Field = msgspec.UNSET
    stream: Field = msgspec.UNSET
    messages: Field = msgspec.UNSET


class _GoodLine(msgspec.Struct, forbid_unknown_fields=True):
    """A line of Anthropic's with nothing wrong outside its ``params``."""

    custom_id: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_LENGTH_MAX)]
    params: msgspec.Raw


class _GoodParams(msgspec.Struct):
    """What ``_Params`` may be."""

    model: str
    max_tokens: Annotated[int, msgspec.Meta(gt=0)]
    messages: list[msgspec.Raw]
    stream: Field = msgspec.UNSET


_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_params = msgspec.json.Decoder(_Params).decode
_decode_good_line = msgspec.json.Decoder(_GoodLine).decode
_decode_good_params = msgspec.json.Decoder(_GoodParams).decode


def _well_formed(line: bytes, *, where: str) -> Request | None:
    """Read a line of Anthropic's that has nothing wrong, in two quick looks; ``None`` for any other: it is read with care.

    What is taken here is what ``_batch_item`` takes, byte for byte; only there is said what is wrong.
    """
    if len(line) > LINE_BYTES_MAX or not_utf8(line, where=where) is not None:
        return None
    try:
        good = _decode_good_line(line)
        params = _decode_good_params(good.params)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not params.model.strip() or (params.stream is not msgspec.UNSET and bytes(params.stream) == b"true"):
        return None
    body = Native(params=bytes(good.params))  # promise 9: the bytes of params as they stood in the line
    return Request(key=RequestKey(good.custom_id), model=params.model, body=body, kind="line", source=where)


def _batch_item(line: bytes, *, where: str) -> Iterator[Request | Problem]:
    if len(line) > LINE_BYTES_MAX:
        yield Problem(where=where, what=f"the line is longer than {LINE_BYTES_MAX:,} bytes; no provider takes it")
        return
    malformed = not_utf8(line, where=where)
    if malformed is not None:
        yield malformed
        return
    try:
        fields = _decode_fields(line)
    except msgspec.ValidationError:
        yield Problem(where=where, what="the line is not a JSON object", hint=_LINE_HINT)
        return
    except msgspec.DecodeError as error:
        yield malformed_json(line, error, where=where)
        return
    except RecursionError:
        yield Problem(where=where, what="the JSON is nested too deeply")
        return
    yield from _batch_fields(fields, where=where)


def _batch_fields(fields: Mapping[str, msgspec.Raw], *, where: str) -> Iterator[Request | Problem]:
    names = fields.keys()
    if "params" not in names and names & OPENAI_FIELDS:
        yield from openai_line(fields, where=where)
        return
    problems: list[Problem] = []
    unknown = sorted(names - _LINE_FIELDS)
    if unknown:
        what = f"unknown field{'s' if len(unknown) > 1 else ''} beside custom_id and params: {', '.join(unknown)}"
        problems.append(Problem(where=where, what=what, hint="the provider would refuse it; remove it"))
    custom_id = read_custom_id(fields.get("custom_id"), where=where, hint=_LINE_HINT, problems=problems)
    model = _native_model(fields.get("params"), where=where, problems=problems)
    if problems:
        yield from problems
        return
    assert custom_id is not None, "a line without problems has an id"
    assert model is not None, "a line without problems has a model"
    # Promise 9: the bytes of params as they stood in the line.
    body = Native(params=bytes(fields["params"]))
    yield Request(key=RequestKey(custom_id), model=model, body=body, kind="line", source=where)


def _native_model(raw: msgspec.Raw | None, *, where: str, problems: list[Problem]) -> str | None:
    if raw is None:
        problems.append(Problem(where=where, what="params is missing", hint=_LINE_HINT))
        return None
    try:
        params = _decode_params(raw)
    except msgspec.ValidationError:
        problems.append(Problem(where=f"{where}: params", what=f"must be an object, not {kind_of(raw)}"))
        return None
    field = f"{where}: params"
    model = read_model(params.model, field=field, problems=problems)
    if params.max_tokens is msgspec.UNSET:
        problems.append(Problem(where=field, what="max_tokens is missing"))
    else:
        check_limit(params.max_tokens, "max_tokens", field=field, problems=problems)
    check_list(params.messages, "messages", field=field, problems=problems)
    check_stream(params.stream, field=field, problems=problems)
    return model
