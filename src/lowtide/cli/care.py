"""``doctor``, ``backup`` and ``prune``: the store and the account, looked after."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import click

from lowtide.cli.desk import desk
from lowtide.cli.options import PATH, SPAN, Choices, choices, on_terminal, with_json
from lowtide.cli.run import ConsentMissing
from lowtide.cli.screen import span
from lowtide.errors import counted

MARKS = {"ok": "green", "warning": "yellow", "bad": "bold red"}


@with_json
@click.command(short_help="Check key, limits, clock, disk, prices, books.")
def doctor() -> int:
    """Check key, limits, clock, disk, prices and books. Spends nothing. Leaves with 1 when something is bad."""
    return asyncio.run(_doctor(choices()))


async def _doctor(chosen: Choices) -> int:
    async with desk(chosen) as engine:
        checks = await engine.doctor()
        simulated = engine.settings.simulated
    bad = any(check.state == "bad" for check in checks)
    if chosen.json:
        from lowtide.cli.shapes import check_json, print_json  # noqa: PLC0415 one of two ways

        print_json(
            {"type": "doctor", "simulated": simulated, "ok": not bad, "checks": [check_json(each) for each in checks]}
        )
    else:
        from rich.text import Text  # noqa: PLC0415 one of two ways

        from lowtide.cli import pictures, screen  # noqa: PLC0415 as above

        made = screen.table("CHECK", "STATE", "FINDING", fold=(2,))
        for check in checks:
            finding = f"{check.finding}\nhint: {check.hint}" if check.hint else check.finding
            made.add_row(check.name, Text(check.state, style=MARKS.get(check.state, "")), finding)
        out = screen.console(chosen)
        pictures.show(out, *([screen.SIMULATED] if simulated else []), made)
    return 1 if bad else 0


@with_json
@click.command(short_help="Copy the store while work goes on.")
@click.argument("folder", type=PATH)
def backup(folder: Path) -> int:
    """Copy the store to a new FOLDER, consistent although work goes on."""
    return asyncio.run(_backup(choices(), folder))


async def _backup(chosen: Choices, folder: Path) -> int:
    async with desk(chosen) as engine:
        engine.backup(folder)
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        print_json({"type": "backup", "folder": str(folder)})
    else:
        print(f"The store is copied to {folder}. Look at the copy:  lowtide --store {folder} status")
    return 0


@with_json
@click.command(short_help="Forget what is long over; the books stay.")
@click.option("--older-than", type=SPAN, required=True, metavar="SPAN", help="Runs that ended before: 12h, 30d, 8w.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune(older_than: timedelta, yes: bool) -> int:
    """Delete bodies and answers of runs that ended long ago, and old plans that never ran. The books stay whole."""
    if not yes:
        question = f"Delete requests and answers of every run that ended more than {span(older_than)} ago?"
        if not on_terminal():
            raise ConsentMissing("nobody agreed to delete", hint="agree with --yes")
        if not click.confirm(question, default=False, err=True):
            print("Nothing was deleted.", file=sys.stderr)
            return 1
    return asyncio.run(_prune(choices(), older_than))


async def _prune(chosen: Choices, older_than: timedelta) -> int:
    async with desk(chosen) as engine:
        pruned = await engine.prune(older_than)
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        counts = {"runs": pruned.runs, "plans": pruned.plans, "segments": pruned.segments, "bytes": pruned.bytes}
        print_json({"type": "prune", **counts})
    else:
        what = f"{counted(pruned.runs, 'run')} emptied, {counted(pruned.plans, 'plan')} deleted"
        print(f"{what}, {pruned.bytes:,} bytes of disk freed. The books stay.")
    return 0
