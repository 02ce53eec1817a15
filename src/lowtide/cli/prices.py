"""``lowtide prices``: what a model costs on a day, and where the figure is from."""

import asyncio
from datetime import date

import click

from lowtide.cli.desk import desk
from lowtide.cli.options import DAY, Choices, choices, with_json
from lowtide.reports import PriceLine

KINDS = {
    "input": "input",
    "cache_write_5m": "cache write 5 m",
    "cache_write_1h": "cache write 1 h",
    "cache_write_30m": "cache write 30 m",
    "cache_write_12h": "cache write 12 h",
    "cache_read": "cache read",
    "output": "output",
    "web_search": "web searches",
}
LANES = {
    "realtime": "real time",
    "batch": "batch",
    "2h": "2 h window",
    "8h": "8 h window",
    "flex": "flex (real time that may be refused)",
    "fast": "fast (real time at a higher price)",
}


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
    sheets: dict[tuple[str, str, str], list[PriceLine]] = {}
    for line in found:
        sheets.setdefault((line.provider, line.model, line.lane), []).append(line)
    for (provider, model, lane), lines in sheets.items():
        made = screen.table("PER MILLION", "PROMPT", "DOLLARS", "SINCE", "UNTIL", "SOURCE", right=(2,))
        for line in lines:
            checked = "" if line.checked_on is None else f", checked {line.checked_on}"
            number = sources.setdefault(f"{line.source}{checked}", len(sources) + 1)
            made.add_row(
                KINDS.get(line.kind, line.kind),
                _tier(line, lines),
                f"{line.dollars_per_million:f}",
                line.effective_from.isoformat(),
                "-" if line.effective_to is None else line.effective_to.isoformat(),
                f"[{number}]",
            )
        pictures.show(out, f"{provider} {model}, {LANES.get(lane, lane)}, on {screen.day(today)}", made, "")
    for source, number in sources.items():
        pictures.show(out, f"[{number}] {source}")


def _tier(line: PriceLine, lines: list[PriceLine]) -> str:
    """Say for which lengths of a prompt a price holds, in tokens."""
    if line.prompt_tokens_over:
        return f"over {line.prompt_tokens_over:,}"
    over = [other.prompt_tokens_over for other in lines if other.kind == line.kind and other.prompt_tokens_over]
    return f"up to {min(over):,}" if over else "any length"
