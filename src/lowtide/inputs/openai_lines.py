"""OpenAI's batch lines, ``{"custom_id", "method", "url", "body"}``: one request each, or all that is wrong with it.

The body passes byte for byte (promise 9). Its output limit may be missing: the model's own is then the bound, and the
codec says so where that is not known.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from lowtide.errors import Problem
from lowtide.inputs.fields import (
    Field,
    check_limit,
    check_list,
    check_stream,
    kind_of,
    read_custom_id,
    read_model,
    scalar,
)
from lowtide.request import Endpoint, Native, Request, RequestKey

OPENAI_FIELDS: Final = frozenset({"method", "url", "body"})
_LINE_FIELDS: Final = OPENAI_FIELDS | {"custom_id"}
_LINE_HINT: Final = (
    'a line is {"custom_id": "...", "method": "POST", "url": "/v1/chat/completions" or "/v1/responses", '
    '"body": {"model": ..., ...}}'
)
# Azure's lines have no version, and users of others paste whole paths.
_URL: Final = re.compile(r"(?:/openai)?(?:/v1)?/(chat/completions|responses)")
_ENDPOINTS: Final = {"chat/completions": Endpoint.CHAT, "responses": Endpoint.RESPONSES}
_LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class _Body(msgspec.Struct):
    """The fields of ``body`` that lowtide itself must understand; all others pass unseen."""

    model: Field = msgspec.UNSET
    max_tokens: Field = msgspec.UNSET
    max_completion_tokens: Field = msgspec.UNSET
    max_output_tokens: Field = msgspec.UNSET
    stream: Field = msgspec.UNSET
    messages: Field = msgspec.UNSET


_decode_body = msgspec.json.Decoder(_Body).decode


def openai_line(fields: Mapping[str, msgspec.Raw], *, where: str) -> Iterator[Request | Problem]:
    """Read the fields of one line. ``provider`` is ``openai``; ``kind`` tells the endpoints apart, whose bodies differ."""
    problems: list[Problem] = []
    unknown = sorted(fields.keys() - _LINE_FIELDS)
    if unknown:
        what = f"unknown field{'s' if len(unknown) > 1 else ''} beside custom_id, method, url and body: {', '.join(unknown)}"
        problems.append(Problem(where=where, what=what, hint="the provider would refuse it; remove it"))
    custom_id = read_custom_id(fields.get("custom_id"), where=where, hint=_LINE_HINT, problems=problems)
    _check_method(fields.get("method"), where=where, problems=problems)
    endpoint = _endpoint(fields.get("url"), where=where, problems=problems)
    model = _model(fields.get("body"), endpoint, where=where, problems=problems)
    if problems:
        yield from problems
        return
    assert custom_id is not None, "a line without problems has an id"
    assert endpoint is not None, "a line without problems has an endpoint"
    assert model is not None, "a line without problems has a model"
    # Promise 9: the bytes of the body as they stood in the line.
    body = Native(params=bytes(fields["body"]), endpoint=endpoint)
    yield Request(
        key=RequestKey(custom_id), model=model, body=body, kind=f"{endpoint}-line", source=where, provider="openai"
    )


def _check_method(raw: msgspec.Raw | None, *, where: str, problems: list[Problem]) -> None:
    if raw is None:
        problems.append(Problem(where=where, what="method is missing", hint=_LINE_HINT))
    elif scalar(raw) != "POST":
        shown = bytes(raw)[:40].decode(errors="replace")
        problems.append(Problem(where=f"{where}: method", what=f'must be "POST", not {shown}'))


def _endpoint(raw: msgspec.Raw | None, *, where: str, problems: list[Problem]) -> Endpoint | None:
    if raw is None:
        problems.append(Problem(where=where, what="url is missing", hint=_LINE_HINT))
        return None
    value = scalar(raw)
    if not isinstance(value, str):
        problems.append(Problem(where=f"{where}: url", what=f"must be a string, not {kind_of(raw)}"))
        return None
    found = _URL.fullmatch(value)
    if found is None:
        what, hint = f"{value[:80]!r} is no endpoint that lowtide buys from", "chat/completions and responses are"
        problems.append(Problem(where=f"{where}: url", what=what, hint=hint))
        return None
    return _ENDPOINTS[found[1]]


def _model(raw: msgspec.Raw | None, endpoint: Endpoint | None, *, where: str, problems: list[Problem]) -> str | None:
    if raw is None:
        problems.append(Problem(where=where, what="body is missing", hint=_LINE_HINT))
        return None
    try:
        body = _decode_body(raw)
    except msgspec.ValidationError:
        problems.append(Problem(where=f"{where}: body", what=f"must be an object, not {kind_of(raw)}"))
        return None
    field = f"{where}: body"
    model = read_model(body.model, field=field, problems=problems)
    for name in _LIMITS:
        limit = getattr(body, name)
        if limit is not msgspec.UNSET and bytes(limit) != b"null":
            check_limit(limit, name, field=field, problems=problems)
    if endpoint is Endpoint.CHAT:
        check_list(body.messages, "messages", field=field, problems=problems)
    check_stream(body.stream, field=field, problems=problems)
    return model
