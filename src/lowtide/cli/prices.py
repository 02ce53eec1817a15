"""``lowtide prices``: what a model costs on a day, and where the figure is from."""

import asyncio
from datetime import date

import click

from lowtide.cli.desk import desk
from lowtide.cli.options import DAY, Choices, choices, with_json
from lowtide.reports import PriceLine

LANES = {"realtime": "real time", "batch": "batch"}


@with_json
@click.command(short_help="Show what a model costs on a day.")
@click.argument("model", required=False, default="")
@click.option("--on", "day", type=DAY, metavar="DAY", help="Default: today.")
def prices(model: str, day: date | None) -> int:
    """Show what MODEL, or every model, costs on a day: dollars per million tokens, since when, and the source."""
    return asyncio.run(_prices(choices(), model, day))


async def _prices(chosen: Choices, model: str, day: date | None) -> int:
    async with desk(chosen) as engine:
        today = day or (await engine.clock.now()).date()
        found = engine.prices(model, today)
    if chosen.json:
        from lowtide.cli.shapes import price_json, print_json  # noqa: PLC0415 one of two ways

        lines = [price_json(line) for line in found]
        print_json({"type": "prices", "on": today.isoformat(), "currency": "USD", "prices": lines})
    else:
        _show(chosen, found, today)
    return 0


def _show(chosen: Choices, found: list[PriceLine], today: date) -> None:
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    out = screen.console(chosen)
    sources: dict[str, int] = {}
    by_model: dict[str, list[PriceLine]] = {}
    for line in found:
        by_model.setdefault(line.model, []).append(line)
    for model, lines in by_model.items():
        made = screen.table("LANE", "KIND", "PROMPT", "$ / MILLION", "IN FORCE", "FROM", right=(3,))
        for line in lines:
            checked = "" if line.checked_on is None else f", checked {line.checked_on}"
            number = sources.setdefault(f"{line.source}{checked}", len(sources) + 1)
            until = f" to {line.effective_to}" if line.effective_to else ""
            made.add_row(
                LANES.get(line.lane, line.lane),
                line.kind,
                f"over {line.prompt_tokens_over:,}"
                if line.prompt_tokens_over
                else "any"
                if not _tiers(lines)
                else "up to it",
                f"{line.dollars_per_million:f}",
                f"{line.effective_from}{until}",
                f"[{number}]",
            )
        pictures.show(out, f"{model} on {screen.day(today)}, dollars per million tokens", made, "")
    for source, number in sources.items():
        pictures.show(out, f"[{number}] {source}")


def _tiers(lines: list[PriceLine]) -> bool:
    return any(line.prompt_tokens_over for line in lines)
