"""``lowtide run`` and ``lowtide worker``: carry out what was planned. Spending is asked for, and never the default answer."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lowtide.cli.completing import complete_run, complete_run_or_path
from lowtide.cli.desk import desk
from lowtide.cli.options import PATH, Choices, choices, harmless, on_terminal, with_json
from lowtide.cli.plan import (
    Wish,
    make_plan,
    plan_options,
    refuse_planning_options,
    whole_cents,
    wish_of,
)
from lowtide.cli.times import full
from lowtide.engine import Engine
from lowtide.errors import DeadlineMissed, LowtideError, NotFound
from lowtide.money import Nanos, decimal_dollars, show_apart, show_dollars
from lowtide.plan import Plan, refuse_low_cap, rounds
from lowtide.reports import RunReport

ONE_FILE = frozenset({"batch", "table"})  # workloads whose answers are one file and no documents
DONE, FAILED, NO_KEY, WITH_FAILURES, AT_CAP, LEFT = 0, 1, 4, 5, 6, 130
LEAVING = "Leaving. What was submitted goes on at the provider; come back with: "


class ConsentMissing(LowtideError):
    """Nobody agreed to spend. Remedy: give ``--cap`` or ``--yes``."""

    code = "consent_missing"
    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Agrees:
    """What was agreed to beforehand: to spend, to be asked, to be late."""

    yes: bool
    ask: bool
    late: bool


@with_json
@click.command(short_help="Carry out a plan.")
@click.argument("what", metavar="PLAN|RUN|SOURCE", shell_complete=complete_run_or_path)
@plan_options
@click.option("--out", type=PATH, metavar="FOLDER", help="Where documents go. Default for bpmn: lowtide-out/RUN.")
@click.option("--detach", is_flag=True, help="Go on in the background and return at once.")
@click.option("--late", is_flag=True, help="Run although even real time cannot meet the deadline.")
@click.option("-y", "--yes", is_flag=True, help="Agree to spend without being asked.")
@click.option("--no-input", is_flag=True, help="Never ask; without --cap or --yes that is a no.")
def run(
    what: str,
    cap: Nanos | None,
    out: Path | None,
    detach: bool,
    late: bool,
    yes: bool,
    no_input: bool,
    **said: Any,  # noqa: ANN401 click's own
) -> int:
    """Carry out a plan (p_...), go on with a run (r_...), or plan an input, ask, and run it.

    Off a terminal nothing is spent without --cap or --yes. A run stops before its cap would be passed.
    """
    agrees = Agrees(yes=yes, ask=not no_input, late=late)
    return asyncio.run(_run(choices(), what, cap, out, said, agrees, detach=detach))


async def _run(
    chosen: Choices,
    what: str,
    cap: Nanos | None,
    out: Path | None,
    said: dict[str, Any],
    agrees: Agrees,
    *,
    detach: bool,
) -> int:
    if _is_id(what, "r_") or _is_id(what, "p_"):
        refuse_planning_options(what)
    async with desk(chosen, works=True) as engine:
        if _is_id(what, "r_"):
            if out is not None:
                raise click.UsageError(f"{what} keeps the folder it was begun with: leave out --out")
            run_id = await _go_on(engine, what, cap)
        else:
            found = await _planned(engine, chosen, what, cap, said)
            _refuse_late(found.plan, agrees)
            if out is not None and found.plan.workload in ONE_FILE:
                raise click.UsageError(
                    f"--out is where documents go, and {found.plan.title} makes none: its answers are written by"
                    " lowtide results RUN --out FILE"
                )
            where = out or _out_of(found.plan)
            _refuse_out(where)
            cap = agreed(chosen, found.plan, cap, agrees, shown=found.fresh)
            for provider in found.plan.provider.split():
                engine.hands(provider)  # a missing key is told before there is a run
            run_id = await engine.start_run(found.plan.plan_id, cap=cap, out=where, fresh=found.fresh, late=agrees.late)
            kept = (await engine.run_report(run_id)).delivered_to
            if out is not None and kept != str(out.resolve()):  # noqa: ASYNC240 one look at a path
                raise click.UsageError(f"{run_id} keeps the folder it was begun with, {kept}: leave out --out")
            await _go_on(engine, run_id, cap)
        if (await engine.run_report(run_id)).over:
            return await _end(engine, chosen, run_id)
        if detach:
            return await _detach(engine, chosen, run_id)
        return await carry_out(engine, chosen, run_id)


def _refuse_late(plan: Plan, agrees: Agrees) -> None:
    """Refuse, before anybody is asked for money, what cannot be done in time. Raises: DeadlineMissed."""
    if plan.misses and not agrees.late and plan.deadline_at is not None:
        raise DeadlineMissed(
            f"even real time cannot meet the deadline {full(plan.deadline_at)}; nothing was sent or spent",
            hint="give it more time, plan less, or run it all the same: --late",
        )


def _refuse_out(where: Path | None) -> None:
    """Refuse, before anything is bought, a place where no document can be written. Raises: LowtideError."""
    if where is None:
        return
    there = next(each for each in (where.absolute(), *where.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "may not be written in" if there.is_dir() else "is a file"
        raise LowtideError(
            f"no document can be written to {where}: {there} {what}; nothing was sent or spent",
            hint="name another folder: --out FOLDER",
        )


class _Found:
    """A plan, and whether this very command made it."""

    __slots__ = ("fresh", "plan")

    def __init__(self, plan: Plan, *, fresh: bool) -> None:
        self.plan = plan
        self.fresh = fresh


def _is_path(what: str) -> bool:
    return Path(what).exists()


def _is_id(what: str, prefix: str) -> bool:
    """Tell an id from a path of such a name."""
    return what.startswith(prefix) and not _is_path(what)


async def _planned(engine: Engine, chosen: Choices, what: str, cap: Nanos | None, said: dict[str, Any]) -> _Found:
    """Find the plan of that id, or plan the input."""
    if _is_id(what, "p_"):
        return _Found(engine.find_plan(what), fresh=False)
    if not _is_path(what):
        raise NotFound(
            f"there is no plan, run or input called {what}",
            hint="lowtide status lists plans (p_...) and runs (r_...); anything else is a path",
        )
    wish: Wish = wish_of(Path(what), said, cap)
    made = await make_plan(engine, wish)
    if chosen.json:
        from lowtide.cli.shapes import plan_json, print_json  # noqa: PLC0415 one of two ways

        print_json(plan_json(made.plan, made.problems))
    elif not chosen.quiet:
        from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

        err = screen.console(chosen, sys.stderr)
        release = None if cap is None else rounds(made.plan, cap)
        pictures.show(err, pictures.plan_picture(made.plan, cap, release, short=True), "")
        if made.problems:
            pictures.show(err, "Left out:", pictures.problem_lines(made.problems, 5), "")
    return _Found(made.plan, fresh=True)


def agreed(chosen: Choices, plan: Plan, cap: Nanos | None, agrees: Agrees, *, shown: bool) -> Nanos | None:
    """Ask whether the money may be spent; gives the cap that was agreed upon. Raises: ConsentMissing, BudgetRefused."""
    if plan.blocked:
        return cap  # the engine says why, in its own words
    refuse_low_cap(plan, cap)
    asks = agrees.ask and on_terminal()
    if agrees.yes or (cap is not None and not asks):
        return cap
    most = plan.cost_ceiling if cap is None else cap
    money = "simulated " if plan.simulated else ""
    if not asks:
        raise ConsentMissing(
            f"nobody agreed to spend up to {money}{show_dollars(most)}; nothing was sent or spent",
            hint=f"agree with --yes, or name the most it may cost: --cap {decimal_dollars(whole_cents(most) if cap is None else cap)}",
        )
    if not shown and not chosen.quiet:
        print(
            f"{harmless(plan.title)}: {plan.requests:,} requests, {money}{show_dollars(plan.cost_likely)} likely",
            file=sys.stderr,
        )
    if not click.confirm(f"Spend up to {money}{show_dollars(most)}?", default=False, err=True):
        print("Not run. Nothing has been sent or spent.", file=sys.stderr)
        raise click.exceptions.Exit(FAILED)
    return most


def _out_of(plan: Plan) -> Path | None:
    """Say where documents go when nobody said: only a workload with documents has such a place."""
    if plan.workload != "bpmn":
        return None
    return Path("lowtide-out") / plan.plan_id.replace("p_", "r_", 1)


async def _go_on(engine: Engine, run_id: str, cap: Nanos | None) -> str:
    """Let a run that is there already go on; a cap is changed by its own command only."""
    report = await engine.run_report(run_id)
    if cap is not None and report.cap != cap:
        known = "no cap" if report.cap is None else f"a cap of {show_apart(report.cap, cap)[0]}"
        raise LowtideError(
            f"run {run_id} has {known} already", hint=f"lowtide raise {run_id} --cap {decimal_dollars(cap)}"
        )
    if report.state == "paused":
        await engine.resume(run_id)
    return run_id


async def carry_out(engine: Engine, chosen: Choices, run_id: str) -> int:
    """Work on a run until it is over, paused or left; gives the exit code."""
    from lowtide.cli.following import follow  # noqa: PLC0415 brings the worker and rich

    farewell = f"{LEAVING}{chosen.command('run', run_id)}"
    left = await follow(engine, chosen, [run_id], farewell=farewell)
    report = await engine.run_report(run_id)
    if left and not report.over:
        return LEFT
    return await _end(engine, chosen, run_id)


async def _end(engine: Engine, chosen: Choices, run_id: str) -> int:
    """Show what a run came to; gives the exit code."""
    report = await engine.run_report(run_id)
    if chosen.json:
        from lowtide.cli.shapes import print_json, run_json  # noqa: PLC0415 one of two ways

        print_json(run_json(report))
    else:
        from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

        out = screen.console(chosen)
        pictures.show(out, pictures.end_picture(report, out=pictures.answers_at(report)))
        if not report.over:
            err = screen.console(chosen, sys.stderr)
            pictures.show(err, f"{pictures.STATES[report.state]}: {report.reason}")
            pictures.show(err, f"hint: {pictures.way_on(report)}")
    return exit_code(report)


def exit_code(report: RunReport) -> int:
    """Say what a program should make of a run's end."""
    from lowtide.cli.pictures import AT_ITS_CAP, KEY_REFUSED  # noqa: PLC0415 brings rich

    match report.state:
        case "paused" if report.reason == AT_ITS_CAP:
            return AT_CAP
        case "paused" if KEY_REFUSED in report.reason:
            return NO_KEY
        case "done":
            return WITH_FAILURES if report.failed or report.unasked else DONE
        case "active" | "canceled":
            return DONE
        case _:
            return FAILED


async def _detach(engine: Engine, chosen: Choices, run_id: str) -> int:
    """Start a worker of its own for the run and return at once."""
    folder = engine.settings.store_folder / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / f"{run_id}.log"
    words = [sys.executable, "-m", "lowtide.cli", *chosen.again(), "worker", "--run", run_id]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, close_fds=True
        )
    look = chosen.command("status", run_id)
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        print_json({"type": "detached", "run": run_id, "pid": process.pid, "log": str(log)})
    else:
        print(run_id)
        if not chosen.quiet:
            print(f"goes on in the background (process {process.pid}), log: {log}\nlook: {look}", file=sys.stderr)
    return DONE


@with_json
@click.command(short_help="Go on with every run that is open.")
@click.option(
    "--run",
    "run_ids",
    multiple=True,
    metavar="RUN",
    shell_complete=complete_run,
    help="Only this run; may be said several times.",
)
@click.option("--once", is_flag=True, help="Do what is due now, then stop.")
def worker(run_ids: tuple[str, ...], once: bool) -> int:
    """Go on with every run that is open, until all are over or wait for a person."""
    return asyncio.run(_worker(choices(), run_ids, once=once))


async def _worker(chosen: Choices, run_ids: tuple[str, ...], *, once: bool) -> int:
    from lowtide.cli.following import follow  # noqa: PLC0415 brings the worker and rich

    async with desk(chosen, works=True) as engine:
        for run_id in run_ids:
            await engine.run_report(run_id)  # a name that is not there is told at once
        wanted = [run_id for run_id in engine.open_runs() if not run_ids or run_id in run_ids]
        if not wanted:
            print("no run is open", file=sys.stderr)
            return DONE
        farewell = f"{LEAVING}{chosen.command('worker')}"
        left = await follow(engine, chosen, list(run_ids) or None, farewell=farewell, once=once, known=wanted)
        if left:
            return LEFT
        return _worst([exit_code(await engine.run_report(run_id)) for run_id in wanted])


def _worst(codes: Iterable[int]) -> int:
    """Choose the code that needs a person most."""
    found = set(codes)
    return next((code for code in (FAILED, NO_KEY, AT_CAP, WITH_FAILURES) if code in found), DONE)
