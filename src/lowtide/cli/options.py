"""Options that every command takes, before or after its name, as one value. No command's own options are here."""

import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=click.Command)
META = "lowtide.choices"
STEERING = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}"
)  # not tab, line feed


@dataclass(slots=True, kw_only=True)
class Choices:
    """What was said for every command. ``None``: not said, so the settings decide."""

    store: str | None = None
    simulator: str | None = None
    color: str = "auto"
    quiet: bool = False
    json: bool = False

    def flags(self) -> dict[str, str | int | None]:
        """Give the settings that were named on the command line."""
        return {"store": self.store, "simulator": self.simulator}

    def again(self) -> list[str]:
        """Give the same words for another command line of this tool."""
        words: list[str] = []
        for name in ("store", "simulator"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name}", str(value)]
        return words

    def command(self, *words: str) -> str:
        """Write another command line of this tool, for a person to type."""
        return shlex.join(["lowtide", *self.again(), *words])


def choices() -> Choices:
    """Give what was said so far on this command line."""
    found = click.get_current_context().meta.setdefault(META, Choices())
    assert isinstance(found, Choices)
    return found


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ANN401 click's own values
    known = ctx.meta.setdefault(META, Choices())
    if value is not None and value is not False:
        setattr(known, str(param.name), value)


def common(command: Decorated) -> Decorated:
    """Add the options that work before and after every command's name."""
    command.params.extend(
        [
            click.Option(
                ["--store"], metavar="FOLDER", expose_value=False, callback=_remember, help="Folder of the store."
            ),
            click.Option(
                ["--simulator"],
                metavar="URL",
                expose_value=False,
                callback=_remember,
                help="Work against a running simulator: its clock, simulated money.",
            ),
            click.Option(
                ["--color"],
                type=click.Choice(["auto", "always", "never"]),
                expose_value=False,
                callback=_remember,
                help="Colour; NO_COLOR and FORCE_COLOR count too.",
            ),
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Leave out progress and advice.",
            ),
        ]
    )
    return command


def with_json(command: Decorated) -> Decorated:
    """Add ``--json``, and the options that work everywhere."""
    command.params.append(
        click.Option(["--json"], is_flag=True, expose_value=False, callback=_remember, help="Print JSON for programs.")
    )
    return common(command)


class DollarsType(click.ParamType[Any]):
    """Dollars as a person writes them: ``10``, ``0.05``, ``$1,000``. Gives nano-dollars."""

    name = "dollars"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Read an amount."""
        from lowtide.money import nanos_from_dollars  # noqa: PLC0415 keeps --help light

        try:
            return nanos_from_dollars(str(value))
        except ValueError as error:
            self.fail(f"{error}; write it as 10, 0.05 or $1,000", param, ctx)


class CapType(DollarsType):
    """Dollars, or ``none`` for no cap. Gives nano-dollars or ``"none"``."""

    name = "dollars|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Read an amount or ``none``."""
        return "none" if value == "none" else super().convert(value, param, ctx)


class DayType(click.ParamType[date]):
    """A day: ``2025-12-22``."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:  # noqa: ANN401
        """Read a day."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a day; write it as 2025-12-22", param, ctx)


class SpanType(click.ParamType[timedelta]):
    """A span of time: ``12h``, ``30d``, ``8w``."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401
        """Read a span."""
        if isinstance(value, timedelta):
            return value
        units = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
        text = str(value)
        if len(text) < 2 or text[-1] not in units or not text[:-1].isdecimal() or len(text) > 6:
            self.fail(f"{value!r} is not a span of time; write it as 12h, 30d or 8w", param, ctx)
        return int(text[:-1]) * units[text[-1]]


DOLLARS = DollarsType()
CAP = CapType()
DAY = DayType()
SPAN = SpanType()
PATH = click.Path(path_type=Path)


def on_terminal() -> bool:
    """Say whether a person can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def harmless(text: str) -> str:
    """Take out of a text what steers a terminal: names and messages of others could redraw what stands there."""
    return text.translate(STEERING)


def iso(moment: datetime | None) -> str | None:
    """Write an instant for programs: UTC, ISO 8601."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
