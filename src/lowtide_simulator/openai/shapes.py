"""Small checkers from which the shape of an OpenAI request is put together, failing in OpenAI's words and codes.

Here: strings, numbers, lists, objects, unions. Not here: what the requests look like (``validation``). Law: the first
problem in document order is the one reported, with its path as ``param``: ``messages[0].content[1].text``.

Source: recorded refusals (``decimal_below_min_value``, ``model_not_found``); the others as widely quoted. Checked 2026-11-21.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from lowtide_simulator.openai.errors import Refusal

Checker = Callable[[object, str], None]
ARTICLES: Final = {
    bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array", dict: "an object",
    type(None): "null",
}  # fmt: skip


def bad(code: str, path: str, message: str) -> Refusal:
    """A 400 about one parameter."""
    return Refusal(400, message, param=path or None, code=code)


def join(path: str, name: str | int) -> str:
    """A path as OpenAI writes it."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def wrong_type(path: str, expected: str, value: object) -> Refusal:
    """The wrong kind of value."""
    got = ARTICLES.get(type(value), "something else")
    got = got if value is None else f"{got} instead"
    return bad("invalid_type", path, f"Invalid type for '{path}': expected {expected}, but got {got}.")


def anything(_value: object, _path: str) -> None:
    """No check."""


def text(*, longest: int | None = None, shortest: int = 0) -> Checker:
    """A string."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if longest is not None and len(value) > longest:
            message = (
                f"Invalid '{path}': string too long. Expected a string with maximum length {longest}, but got a string "
                f"with length {len(value)} instead."
            )
            raise bad("string_above_max_length", path, message)
        if len(value) < shortest:
            message = (
                f"Invalid '{path}': empty string. Expected a string with minimum length {shortest}, but got an empty "
                "string instead."
            )
            raise bad("empty_string", path, message)

    return check


def truth(value: object, path: str) -> None:
    """A boolean."""
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)


def whole(*, lowest: int | None = None, highest: int | None = None) -> Checker:
    """An integer."""

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(path, "an integer", value)
        _range(value, path, "integer", lowest, highest)

    return check


def number(*, lowest: float, highest: float) -> Checker:
    """A number."""

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(path, "a decimal", value)
        _range(value, path, "decimal", lowest, highest)

    return check


def _range(value: float, path: str, kind: str, lowest: float | None, highest: float | None) -> None:
    if lowest is not None and value < lowest:
        message = (
            f"Invalid '{path}': {kind} below minimum value. Expected a value >= {lowest}, but got {value} instead."
        )
        raise bad(f"{kind}_below_min_value", path, message)
    if highest is not None and value > highest:
        message = (
            f"Invalid '{path}': {kind} above maximum value. Expected a value <= {highest}, but got {value} instead."
        )
        raise bad(f"{kind}_above_max_value", path, message)


def listing(allowed: tuple[str, ...]) -> str:
    """``'a', 'b', and 'c'``."""
    quoted = [f"'{name}'" for name in allowed]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def one_of(*allowed: str) -> Checker:
    """One of these strings."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, f"one of {listing(allowed)}", value)
        if value not in allowed:
            message = f"Invalid value: '{value}'. Supported values are: {listing(allowed)}."
            raise bad("invalid_value", path, message)

    return check


def maybe(inner: Checker) -> Checker:
    """The inner shape, or null."""

    def check(value: object, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def many(inner: Checker, *, shortest: int = 0, longest: int | None = None, of: str = "objects") -> Checker:
    """An array."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(path, f"an array of {of}", value)
        if len(value) < shortest:
            message = (
                f"Invalid '{path}': empty array. Expected an array with minimum length {shortest}, but got an empty "
                "array instead."
            )
            raise bad("empty_array", path, message)
        if longest is not None and len(value) > longest:
            message = (
                f"Invalid '{path}': array too long. Expected an array with maximum length {longest}, but got an array "
                f"with length {len(value)} instead."
            )
            raise bad("array_above_max_length", path, message)
        for index, item in enumerate(value):
            inner(item, join(path, index))

    return check


def text_or(inner: Checker, *, expected: str) -> Checker:
    """A string, or the inner shape."""

    def check(value: object, path: str) -> None:
        if isinstance(value, str):
            return
        if not isinstance(value, list | dict):
            raise wrong_type(path, f"a string or {expected}", value)
        inner(value, path)

    return check


def any_object(value: object, path: str) -> None:
    """An object with any fields."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)


def missing(path: str) -> Refusal:
    """A parameter that must be there."""
    return bad("missing_required_parameter", path, f"Missing required parameter: '{path}'.")


def record(required: Mapping[str, Checker], optional: Mapping[str, Checker] = {}) -> Checker:
    """An object with these fields and no others."""
    fields: Final = {**required, **optional}

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        for name in required:
            if name not in value:
                raise missing(join(path, name))
        for name, inner in value.items():
            checker = fields.get(name)
            where = join(path, name)
            if checker is None:
                raise bad("unknown_parameter", where, f"Unknown parameter: '{where}'.")
            checker(inner, where)

    return check


def tagged(cases: Mapping[str, Checker], *, by: str = "type", otherwise: str | None = None) -> Checker:
    """An object whose shape is chosen by one of its fields; ``otherwise`` is the tag of one that has none."""
    names = tuple(cases)

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        tag: Any = value.get(by, otherwise)
        if tag is None:
            raise missing(join(path, by))
        case = cases.get(tag) if isinstance(tag, str) else None
        if case is None:
            message = f"Invalid value: '{tag}'. Supported values are: {listing(names)}."
            raise bad("invalid_value", join(path, by), message)
        case(value, path)

    return check
