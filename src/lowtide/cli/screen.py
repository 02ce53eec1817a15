"""How figures are written for people, and where: rich consoles, words for times and counts. The only importer of rich.

Results go to standard output, all else to standard error. Colour is never the only carrier of a meaning.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from lowtide.cli.options import Choices, harmless

FOLDED_LEAST = 8  # columns that a wrapped cell keeps on a narrow screen
LABEL = 10  # columns of the words at the left of a picture
ADVICE = "yellow"
GOOD = "green"
BAD = "red"
SIMULATED = Text("SIMULATED", style="bold magenta")


class HarmlessConsole(Console):
    """A console on which only we draw: control characters in what is shown are shown as such."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and take out what steers a terminal but is not ours."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def console(choices: Choices, stream: TextIO | None = None) -> Console:
    """Make the console of a stream; without a terminal it is plain and 80 columns wide."""
    file = sys.stdout if stream is None else stream
    plain = choices.color == "never" or (choices.color == "auto" and bool(os.environ.get("NO_COLOR")))
    forced = choices.color == "always" or (
        choices.color == "auto" and bool(os.environ.get("FORCE_COLOR")) and not plain
    )
    dumb = os.environ.get("TERM") == "dumb"
    return HarmlessConsole(
        file=file,
        no_color=plain or (dumb and not forced),
        force_terminal=True if forced else (None if file.isatty() else False),
        color_system="standard" if forced else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def is_lively(choices: Choices) -> bool:
    """Say whether standard error is a terminal on which lines may be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not choices.quiet and not choices.json


class WholeTable(Table):
    """A table that cuts no figure and no id: on a narrow screen it goes beyond the edge instead."""

    def add_row(self, *cells: RenderableType | None, **rest: Any) -> None:  # noqa: ANN401 rich's own
        """Add a row; a column that may not be wrapped becomes as wide as its cell, another does not vanish."""
        super().add_row(*cells, **rest)
        for column, cell in zip(self.columns, cells, strict=False):
            widest = max((cell_len(line) for line in str(cell or "").splitlines()), default=0)
            least = widest if column.no_wrap else min(widest, FOLDED_LEAST)
            column.min_width = max(column.min_width or 0, least)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it, as wide as its columns must be."""
        _, right, _, left = self.padding
        least = sum((column.min_width or 0) + right + left for column in self.columns)
        yield from super().__rich_console__(console, options.update(max_width=max(options.max_width, least)))


def table(*columns: str, right: Iterable[int] = (), fold: Iterable[int] = ()) -> Table:
    """Begin a table without lines. ``right`` names the columns of numbers; only those in ``fold`` may be wrapped."""
    made = WholeTable(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    numbers, folding = set(right), set(fold)
    for place, column in enumerate(columns):
        made.add_column(
            column,
            justify="right" if place in numbers else "left",
            no_wrap=place not in folding,
            overflow="fold" if place in folding else "ellipsis",
            min_width=0 if place in folding else cell_len(column),
        )
    return made


def command(text: str) -> Group:
    """Write a command to be copied: a line that no screen breaks. In a group, since texts alone are joined and broken."""
    return Group(Text(text, no_wrap=True, overflow="ignore"))


def lines(pairs: Sequence[tuple[str, str | Text]]) -> Table:
    """Lay out labelled sentences; the second line of a long one stands under its first."""
    made = Table.grid(padding=(0, 1, 0, 0))
    made.add_column(no_wrap=True, min_width=LABEL - 1)
    made.add_column(overflow="fold")
    for label, sentence in pairs:
        made.add_row(Text(label, style="bold"), sentence)
    return made


def indented(text: str | Text) -> Padding:
    """Move something two columns to the right."""
    return Padding(text, (0, 0, 0, 2))


def tokens(number: int) -> str:
    """Write a number of tokens briefly: ``950``, ``57.2 k``, ``6.18 M``."""
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number // 1000}.{number % 1000 // 100} k"
    return f"{number // 1_000_000:,}.{number % 1_000_000 // 10_000:02d} M"


def span(length: timedelta) -> str:
    """Write a span of time in its two largest units: ``45 s``, ``1 min 50 s``, ``1 h 12 min``, ``2 d 3 h``."""
    seconds = max(0, round(length.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 60:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min {seconds % 60} s" if minutes < 10 and seconds % 60 else f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def moment(at: datetime | None, now: datetime) -> str:
    """Write an instant by this machine's wall clock; the day only when it is not today's."""
    if at is None:
        return "-"
    here, today = at.astimezone(), now.astimezone().date()
    return here.strftime("%H:%M" if here.date() == today else "%d %b %H:%M")


def day(when: date) -> str:
    """Write a day for people: ``18 Nov 2026``."""
    return f"{when.day} {when.strftime('%b %Y')}"


def stamp(at: datetime) -> str:
    """Write an instant at the beginning of a log line, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def against(actual: int, planned: int) -> str:
    """Write how far something is from what was planned, in percent with one digit: ``+2.1 %``, ``-4.7 %``."""
    if planned == 0:
        return "-"
    tenths = abs(actual - planned) * 1000 // planned
    sign = "" if tenths == 0 else "-" if actual < planned else "+"
    return f"{sign}{tenths // 10}.{tenths % 10} %"


def stacked(*things: RenderableType) -> Group:
    """Put things below each other."""
    return Group(*things)
