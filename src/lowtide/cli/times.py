"""When a person wants it: what is said of a deadline becomes an instant, and an instant is said back in full.

A person means the clock on their wall; we mean UTC. A time of day is the next one, a time that the clocks skip is
refused, and a zone that was said is believed. Nothing here asks what time it is: ``now`` is an argument.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click

CLOCK = re.compile(r"(?:(?P<day>today|tomorrow)[ T]+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})")
DATED = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})[ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?P<zone> ?Z|[+-]\d{2}:\d{2})?")
WITHIN = re.compile(r"(?:(?P<days>\d{1,3})d)?(?:(?P<hours>\d{1,4})h)?(?:(?P<minutes>\d{1,5})m)?")
DEADLINE_HELP = "06:00, 'tomorrow 06:00' or 2026-11-23T06:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A deadline as it was said: a time of day, or one on a day (a date, or days from today), in a zone or in ours."""

    said: str
    at: time
    day: date | int | None = None
    zone: str = ""

    def instant(self, now: datetime) -> datetime:
        """Give the instant that is meant, in UTC; ``now`` is any aware instant. Raises: click.BadParameter."""
        here = now.astimezone().date()
        match self.day:
            case date():
                found = _on(self.day, self)
            case int():
                found = _on(here + timedelta(days=self.day), self)
            case None:
                found = _on(here, self)
                found = found if found > now else _on(here + timedelta(days=1), self)
        if found <= now:
            raise click.BadParameter(
                f"{self.said!r} is past: {full(found)}, and it is {full(now)} now", param_hint="'--deadline'"
            )
        return found


def _on(day: date, deadline: Deadline) -> datetime:
    """Put day and time together; a local time that the clocks skip is refused, of two of one name the first is taken."""
    wall = datetime.combine(day, deadline.at)
    if deadline.zone:
        offset = "+00:00" if deadline.zone.strip() == "Z" else deadline.zone
        return datetime.fromisoformat(f"{wall.isoformat()}{offset}").astimezone(UTC)
    here = wall.astimezone()
    if here.astimezone(UTC).astimezone().replace(tzinfo=None) != wall:
        raise click.BadParameter(
            f"there is no {deadline.at:%H:%M} on {day}: the clocks skip it", param_hint="'--deadline'"
        )
    return here.astimezone(UTC)


def full(at: datetime) -> str:
    """Say an instant in full, by this machine's wall clock: ``Mon 23 Nov 2026 06:00 CET``."""
    here = at.astimezone()
    return f"{here:%a} {here.day} {here:%b %Y %H:%M %Z}"


class DeadlineType(click.ParamType[Deadline]):
    """A deadline as a person writes it: ``06:00``, ``tomorrow 06:00``, ``2026-11-23T06:00``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Deadline:  # noqa: ANN401
        """Read a deadline."""
        if isinstance(value, Deadline):
            return value
        text = str(value).strip()
        try:
            if found := CLOCK.fullmatch(text):
                day = {"today": 0, "tomorrow": 1}.get(found["day"] or "")
                return Deadline(said=text, at=_time(found), day=day)
            if found := DATED.fullmatch(text):
                dated = Deadline(
                    said=text, at=_time(found), day=date.fromisoformat(found["day"]), zone=found["zone"] or ""
                )
                if isinstance(dated.day, date):
                    _on(dated.day, dated)  # a zone that is none, a year before or after all clocks
                return dated
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time that there is; write it as {DEADLINE_HELP}", param, ctx)
        raise click.BadParameter(f"{text!r} is not a time; write it as {DEADLINE_HELP}", ctx=ctx, param=param)


def _time(found: re.Match[str]) -> time:
    return time(int(found["hour"]), int(found["minute"]))


class WithinType(click.ParamType[timedelta]):
    """A span from now: ``90m``, ``2h``, ``1h30m``, ``1d``."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401
        """Read a span."""
        if isinstance(value, timedelta):
            return value
        text = str(value).strip()
        found = WITHIN.fullmatch(text)
        parts = {name: int(number) for name, number in (found.groupdict() if found else {}).items() if number}
        length = timedelta(**parts)
        if not length:
            self.fail(f"{text!r} is not a span of time; write it as 90m, 2h, 1h30m or 1d", param, ctx)
        return length


DEADLINE = DeadlineType()
WITHIN_SPAN = WithinType()
