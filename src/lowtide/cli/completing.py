"""What the shell may complete: ids of runs and plans from the local store. Never the network, never an error."""

import asyncio

import click
from click.shell_completion import CompletionItem

from lowtide.errors import LowtideError

COMPLETED = 50


def complete_run(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the id of a run."""
    return [run_id for run_id in _runs(ctx) if run_id.startswith(typed)]


def complete_run_or_path(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the id of a run, or leave a path to the shell."""
    if typed.startswith("r_"):
        return [CompletionItem(run_id) for run_id in complete_run(ctx, param, typed)]
    return [CompletionItem(typed, type="file")]


def _runs(ctx: click.Context) -> list[str]:
    from lowtide.cli.desk import desk, settings_of  # noqa: PLC0415 only completion pays for it
    from lowtide.cli.options import META, Choices  # noqa: PLC0415 as above

    async def ask(chosen: Choices) -> list[str]:
        async with desk(chosen) as engine:
            return [report.run_id for report in await engine.run_reports(COMPLETED)]

    chosen = ctx.meta.get(META, Choices())
    try:
        if not settings_of(chosen).store_folder.exists():
            return []
        return asyncio.run(ask(chosen))
    except (LowtideError, OSError):
        return []
