"""The template of table rows: Jinja2 in a sandbox, and a front part that says system, model and output limit."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lowtide.errors import Problem

_TEMPLATES: Final = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
)


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
