"""Small checkers from which the shape of a request is put together, failing in the words of pydantic.

Here: strings, numbers, lists, objects and tagged unions. Not here: what the provider's requests look like
(``validation``). Law: the first problem in document order is the one reported, with its dotted path.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Checker = Callable[[object, str], None]


class ShapeError(ValueError):
    """The value at ``path`` is not what it should be. ``str()`` is the provider's wording: ``path: message``."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{path}: {message}" if path else message)


def join(path: str, name: str | int) -> str:
    """A dotted path."""
    return f"{path}.{name}" if path else str(name)


def anything(_value: object, _path: str) -> None:
    """No check."""


def text(*, shortest: int = 0, longest: int | None = None, pattern: str | None = None) -> Checker:
    """A string within lengths, or matching a pattern."""
    matcher = re.compile(pattern) if pattern else None

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise ShapeError(path, "Input should be a valid string")
        if len(value) < shortest:
            raise ShapeError(path, f"String should have at least {shortest} character{'s' if shortest > 1 else ''}")
        if longest is not None and len(value) > longest:
            raise ShapeError(path, f"String should have at most {longest} characters")
        if matcher is not None and not matcher.fullmatch(value):
            raise ShapeError(path, f"String should match pattern '{pattern}'")

    return check


def whole(*, lowest: int | None = None, highest: int | None = None) -> Checker:
    """An integer."""

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ShapeError(path, "Input should be a valid integer")
        if lowest is not None and value < lowest:
            raise ShapeError(path, f"Input should be greater than or equal to {lowest}")
        if highest is not None and value > highest:
            raise ShapeError(path, f"Input should be less than or equal to {highest}")

    return check


def number(*, lowest: float, highest: float) -> Checker:
    """A number within a range."""

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ShapeError(path, "Input should be a valid number")
        if not lowest <= value <= highest:
            raise ShapeError(path, f"range: {lowest:g}..{highest:g}")

    return check


def truth(value: object, path: str) -> None:
    """A boolean."""
    if not isinstance(value, bool):
        raise ShapeError(path, "Input should be a valid boolean")


def one_of(*allowed: str) -> Checker:
    """One of these strings."""
    quoted = [f"'{name}'" for name in allowed]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"

    def check(value: object, path: str) -> None:
        if value not in allowed:
            raise ShapeError(path, f"Input should be {listed}")

    return check


def maybe(inner: Checker) -> Checker:
    """The inner shape, or null."""

    def check(value: object, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def many(inner: Checker, *, shortest: int = 0, longest: int | None = None) -> Checker:
    """A list."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise ShapeError(path, "Input should be a valid list")
        if len(value) < shortest:
            message = f"List should have at least {shortest} item after validation, not {len(value)}"
            raise ShapeError(path, message)
        if longest is not None and len(value) > longest:
            message = f"List should have at most {longest} items after validation, not {len(value)}"
            raise ShapeError(path, message)
        for index, item in enumerate(value):
            inner(item, join(path, index))

    return check


def text_or(inner: Checker, *, shortest: int = 0) -> Checker:
    """A string, or the inner shape."""
    plain = text(shortest=shortest)

    def check(value: object, path: str) -> None:
        (plain if isinstance(value, str) else inner)(value, path)

    return check


def any_object(value: object, path: str) -> None:
    """An object with any fields."""
    if not isinstance(value, dict):
        raise ShapeError(path, "Input should be an object")


def record(required: Mapping[str, Checker], optional: Mapping[str, Checker] = {}) -> Checker:
    """An object with these fields and no others."""
    fields: Final = {**required, **optional}

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise ShapeError(path, "Input should be an object")
        for name in required:
            if name not in value:
                raise ShapeError(join(path, name), "Field required")
        for name, inner in value.items():
            checker = fields.get(name)
            if checker is None:
                raise ShapeError(join(path, name), "Extra inputs are not permitted")
            checker(inner, join(path, name))

    return check


def tagged(cases: Mapping[str, Checker], *, by: str = "type") -> Checker:
    """An object whose shape is chosen by one of its fields; the tag becomes a part of the path, as in pydantic."""
    expected = ", ".join(f"'{name}'" for name in cases)

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise ShapeError(path, "Input should be an object")
        tag: Any = value.get(by)
        if tag is None:
            raise ShapeError(join(path, by), "Field required")
        case = cases.get(tag) if isinstance(tag, str) else None
        if case is None:
            message = f"Input tag '{tag}' found using '{by}' does not match any of the expected tags: {expected}"
            raise ShapeError(path, message)
        case(value, join(path, str(tag)))

    return check
