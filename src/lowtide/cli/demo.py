"""``lowtide demo``: the shipped models, planned, run and delivered against a simulator of its own. No key, no cost.

The simulator is a process of its own and keeps its own bill from prices that were typed apart from ours; at the end the
two are compared to the last nano-dollar.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import msgspec

from lowtide.cli.desk import desk
from lowtide.cli.following import follow
from lowtide.cli.options import PATH, Choices, choices, with_json
from lowtide.cli.run import exit_code
from lowtide.engine import Engine, Planned
from lowtide.errors import LowtideError, counted
from lowtide.money import decimal_dollars, show_dollars
from lowtide.reports import RunReport
from lowtide.transport import HttpTransport
from lowtide.wire import HttpCall
from lowtide.workload import WorkloadOptions
from lowtide.workloads.bpmn.sources import demo_folder

MARK = ".lowtide-demo"  # a folder that holds this file is ours to wipe
SEED = "7"
TURNAROUND = "600-21600"  # a batch takes 10 minutes to 6 hours of simulated time
BILL_DIFFERS = 1


class _Ready(msgspec.Struct):
    address: str


class _Bill(msgspec.Struct):
    nanos: int
    lines: int


@with_json
@click.command(short_help="Run the shipped models against the simulator.")
@click.option(
    "--out", type=PATH, default=Path("demo-out"), metavar="FOLDER", help="Where documents go. Default: demo-out."
)
@click.option("--language", default="en", metavar="CODE", help="Language of the documents: en, sv.")
def demo(out: Path, language: str) -> int:
    """Plan, run and deliver a shipped set of real process models against the simulator. No key, no cost."""
    chosen = choices()
    if chosen.simulator is not None:
        raise click.UsageError("the demo starts a simulator of its own: leave out --simulator")
    store = Path(chosen.store or ".lowtide/demo")
    _wipe(store, "--store")
    _wipe(out, "--out")
    with _simulator() as address:
        here = replace(chosen, store=str(store.resolve()), simulator=address)
        return asyncio.run(_demo(here, demo_folder(), out, language))


def _wipe(folder: Path, option: str) -> None:
    """Begin with an empty folder; only one that a demo made is emptied."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise LowtideError(f"{folder} is not empty and not of a demo", hint=f"name another one: {option} FOLDER")
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARK).touch()


@contextmanager
def _simulator() -> Iterator[str]:
    """Start a simulator on a free port; gives its address, and stops it at the end."""
    words = [sys.executable, "-m", "lowtide_simulator", "--port", "0", "--clock", "virtual", "--seed", SEED]
    process = subprocess.Popen(
        [*words, "--results-delay", TURNAROUND],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise LowtideError("the simulator did not start", hint="try it alone: lowtide simulator")
        yield msgspec.json.decode(line, type=_Ready).address
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


async def _demo(chosen: Choices, models: Path, out: Path, language: str) -> int:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with desk(chosen, works=True) as engine:
        planned = await engine.plan(models, workload="bpmn", options=WorkloadOptions(language=language))
        _introduce(chosen, planned)
        run_id = await engine.start_run(planned.plan.plan_id, cap=planned.plan.cost_ceiling, out=out, fresh=True)
        farewell = "Leaving the demo; its simulator stops with it."
        if await follow(engine, chosen, [run_id], farewell=farewell):
            return 130
        report = await engine.run_report(run_id)
        bill = await _bill(engine)
    real = timedelta(seconds=loop.time() - begun)
    if chosen.json:
        from lowtide.cli.shapes import plan_json, print_json, run_json  # noqa: PLC0415 one of two ways

        print_json(plan_json(planned.plan, planned.problems))
        print_json(run_json(report))
        print_json({"type": "bill", "simulated": True, "dollars": decimal_dollars(bill.nanos), "lines": bill.lines})
    else:
        _tell(chosen, planned, report, bill, real, _documents(out))
    return BILL_DIFFERS if bill.nanos != report.spent else exit_code(report)


async def _bill(engine: Engine) -> _Bill:
    """Ask the simulator what it charged."""
    door = HttpTransport(engine.settings.simulator, loopback_only=True)
    try:
        reply = await door.send(HttpCall(method="GET", path="/_simulator/bill"))
    finally:
        await door.close()
    return msgspec.json.decode(reply.body, type=_Bill)


def _documents(out: Path) -> int:
    """Count the documents that are there, index pages left out."""
    return sum(1 for path in out.rglob("*.md") if path.name != "index.md")


def _introduce(chosen: Choices, planned: Planned) -> None:
    if chosen.json or chosen.quiet:
        return
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    out = screen.console(chosen)
    pictures.show(
        out,
        "A demonstration: real BPMN models, a SIMULATED provider, a SIMULATED clock and",
        "SIMULATED money. The answers are placeholders; all else is as it would be.",
        "",
        "$ lowtide plan",
        pictures.plan_picture(planned.plan, None, None, short=True),
    )
    if planned.problems:
        pictures.show(out, "", "Left out:", pictures.problem_lines(planned.problems, 5))
    pictures.show(out, "", "$ lowtide run --yes")
    sys.stdout.flush()


def _tell(chosen: Choices, planned: Planned, report: RunReport, bill: _Bill, real: timedelta, documents: int) -> None:
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    simulated = (report.ended_at or report.now) - report.created_at
    same = (
        "equal to the last nano-dollar"
        if bill.nanos == report.spent
        else "THEY DIFFER: this is a bug, please report it"
    )
    batches = counted(len(report.batches), "batch", "batches")
    did = f"{documents:,} documents written from {counted(planned.plan.requests, 'request')}"
    books = f"{show_dollars(report.spent)} in our books, {show_dollars(bill.nanos)} on the simulator's bill"
    pairs = [
        ("Did", f"{did}, in {counted(report.waves, 'wave')} and {batches}"),
        ("Took", f"{screen.span(simulated)} on the simulated clock, {screen.span(real)} on yours"),
        ("Books", f"{books} of {bill.lines:,} lines: {same}"),
        ("Look", f"{report.delivered_to}: each folder has an index.md"),
    ]
    out = screen.console(chosen)
    pictures.show(
        out,
        pictures.end_picture(report, out=pictures.answers_at(report)),
        "",
        screen.lines(pairs),
        "",
        "All of this was SIMULATED: nothing was sent to a provider, nothing was spent.",
        "Next, your own models, against a simulator that stays (two terminals):",
        "  lowtide simulator --port 8008",
        "  lowtide --simulator http://127.0.0.1:8008 plan FOLDER",
    )
