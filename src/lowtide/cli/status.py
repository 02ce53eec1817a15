"""``lowtide status``: the runs, or one run with its batches, failures, holds and history."""

import asyncio
import sys

import click

from lowtide.cli.completing import complete_run
from lowtide.cli.desk import desk
from lowtide.cli.options import Choices, choices, with_json
from lowtide.engine import Engine

WATCH_SECONDS = 2.0


@with_json
@click.command(short_help="Show the runs, or one run.")
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option("--watch", is_flag=True, help="Draw it again every two seconds, until Ctrl-C.")
@click.option(
    "--events", "events_max", type=click.IntRange(0), default=10, metavar="N", help="Lines of history. Default: 10."
)
@click.option(
    "--limit", type=click.IntRange(1), default=20, metavar="N", help="Runs and plans in the lists. Default: 20."
)
def status(run_id: str | None, watch: bool, events_max: int, limit: int) -> int:
    """Show the runs and the plans that were not run, or one run with its batches, failures, holds and history."""
    return asyncio.run(_status(choices(), run_id, events_max, limit, watch=watch))


async def _status(chosen: Choices, run_id: str | None, events_max: int, limit: int, *, watch: bool) -> int:
    async with desk(chosen) as engine:
        if not watch:
            await _once(engine, chosen, run_id, events_max, limit)
            return 0
        while True:
            if not chosen.json and sys.stdout.isatty():
                click.clear()
            over = await _once(engine, chosen, run_id, events_max, limit)
            if over:
                return 0
            await asyncio.sleep(WATCH_SECONDS)


async def _once(engine: Engine, chosen: Choices, run_id: str | None, events_max: int, limit: int) -> bool:
    """Show it once; True when nothing more will change by itself."""
    if run_id is not None:
        return await _one(engine, chosen, run_id, events_max)
    reports = await engine.run_reports(limit + 1)  # one more than is shown tells whether there are more
    plans = engine.plans_without_run(limit + 1)
    more_runs, more_plans = bool(reports[limit:]), bool(plans[limit:])
    reports, plans = reports[:limit], plans[:limit]
    listed = {report.run_id for report in reports}
    unlisted = [await engine.run_report(run_id) for run_id in engine.waiting_runs() if run_id not in listed]
    waiting = [*reports, *unlisted]
    if chosen.json:
        from lowtide.cli.shapes import plan_json, print_json, run_json  # noqa: PLC0415 one of two ways

        print_json(
            {
                "type": "status",
                "runs": [run_json(report) for report in reports],
                "plans": [plan_json(plan) for plan in plans],
                "more_runs": more_runs,
                "more_plans": more_plans,
            }
        )
    else:
        from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

        out = screen.console(chosen)
        if engine.settings.simulated:
            pictures.show(out, screen.SIMULATED)
        if reports:
            pictures.show(out, pictures.runs_table(reports))
        if more_runs:
            pictures.show(out, f"and earlier runs: --limit lists more than {limit}")
        told = [line for report in waiting for line in pictures.needs(report)]
        if told:
            pictures.show(out, "", *told)
        if plans:
            now = await engine.clock.now()
            pictures.show(out, *([""] if reports else []), pictures.plans_table(plans, now))
        if more_plans:
            pictures.show(out, f"and earlier plans: --limit lists more than {limit}")
        if not reports and not plans:
            where = engine.settings.store_folder.absolute()  # whoever named another than they meant sees it here
            pictures.show(
                out, f"No plans and no runs yet in {where}", "Begin with:  lowtide plan SOURCE, or lowtide demo"
            )
    return all(report.over for report in waiting)


async def _one(engine: Engine, chosen: Choices, run_id: str, events_max: int) -> bool:
    report = await engine.run_report(run_id)
    events = engine.events(run_id, newest=events_max)
    if chosen.json:
        from lowtide.cli.shapes import event_json, print_json, run_json  # noqa: PLC0415 one of two ways

        print_json({**run_json(report), "events": [event_json(run_id, event) for event in events]})
    else:
        from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

        pictures.show(screen.console(chosen), pictures.run_picture(report, events, whole=True))
    return report.over
