"""Fields of a batch line, one at a time: what each must be, and what is said when it is not. For every provider's lines.

Only the few fields that lowtide itself must understand are looked at; whatever else is wrong is the provider's to say.
"""

import msgspec

from lowtide.errors import Problem
from lowtide.request import KEY_LENGTH_MAX

Field = msgspec.Raw | msgspec.UnsetType


def read_custom_id(raw: msgspec.Raw | None, *, where: str, hint: str, problems: list[Problem]) -> str | None:
    """Read a line's ``custom_id``, the key of its request; ``None`` after saying what is wrong with it."""
    field = f"{where}: custom_id"
    if raw is None:
        problems.append(Problem(where=where, what="custom_id is missing", hint=hint))
        return None
    value = scalar(raw)
    if not isinstance(value, str):
        problems.append(Problem(where=field, what=f"must be a string, not {kind_of(raw)}"))
        return None
    if not value:
        problems.append(Problem(where=field, what="is empty"))
        return None
    if len(value) > KEY_LENGTH_MAX:
        what = f"has {len(value)} characters; {KEY_LENGTH_MAX} are the most"
        problems.append(Problem(where=field, what=what))
        return None
    return value


def read_model(raw: Field, *, field: str, problems: list[Problem]) -> str | None:
    """Read the model of a body; ``None`` after saying what is wrong with it. ``field`` is where the body stands."""
    if raw is msgspec.UNSET:
        problems.append(Problem(where=field, what="model is missing"))
        return None
    model = scalar(raw)
    if not isinstance(model, str):
        problems.append(Problem(where=f"{field}.model", what=f"must be a string, not {kind_of(raw)}"))
        return None
    if not model.strip():
        problems.append(Problem(where=f"{field}.model", what="is empty"))
    return model


def check_list(raw: Field, name: str, *, field: str, problems: list[Problem]) -> None:
    """Say so when a list is missing or something else."""
    if raw is msgspec.UNSET:
        problems.append(Problem(where=field, what=f"{name} is missing"))
    elif not bytes(raw).startswith(b"["):
        problems.append(Problem(where=f"{field}.{name}", what=f"must be a list, not {kind_of(raw)}"))


def check_limit(raw: msgspec.Raw, name: str, *, field: str, problems: list[Problem]) -> None:
    """Say so when an output limit is no positive whole number."""
    value = scalar(raw)
    if type(value) is not int or value <= 0:
        # 0 (cache warming) is refused inside batches, too (Anthropic batch page of 2026-08-14).
        shown = bytes(raw)[:40].decode(errors="replace")
        problems.append(Problem(where=f"{field}.{name}", what=f"must be a positive whole number, not {shown}"))


def check_stream(raw: Field, *, field: str, problems: list[Problem]) -> None:
    """Say so when a body asks for a stream: a batch answers once, whole (Anthropic batch page of 2026-08-14)."""
    if raw is not msgspec.UNSET and bytes(raw) == b"true":
        problems.append(Problem(where=f"{field}.stream", what="stream: true cannot be batched", hint="remove it"))


def scalar(raw: msgspec.Raw) -> str | int | float | bool | None:
    """Decode a string, number, boolean or null; containers give ``None`` as well."""
    content = bytes(raw)
    if content[:1] in (b"{", b"["):
        return None
    try:
        value: str | int | float | bool | None = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    return value


def kind_of(raw: msgspec.Raw) -> str:
    """Name the kind of a JSON value."""
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
