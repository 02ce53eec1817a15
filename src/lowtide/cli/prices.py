"""``lowtide prices``: what models cost on a day in short, or one in full, and where each figure is from."""

import asyncio
from datetime import date

import click

from lowtide.cli.desk import desk
from lowtide.cli.options import DAY, Choices, choices, with_json
from lowtide.reports import ModelPrices, PriceLine

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
@click.option("--all", "everything", is_flag=True, help="Every price of every model, with since when and the source.")
def prices(model: str, day: date | None, everything: bool) -> int:
    """Show what models cost on a day, in dollars per million tokens: every model in short, or MODEL in full.

    In full is each lane and kind of token, since when, until when, and the source.
    """
    if model and everything:
        raise click.UsageError("--all is every price of every model: leave it out, or the model")
    if model or everything:
        return asyncio.run(_in_full(choices(), model, day))
    return asyncio.run(_in_short(choices(), day))


async def _in_short(chosen: Choices, day: date | None) -> int:
    async with desk(chosen) as engine:
        today = day or (await engine.clock.now()).date()
        found = engine.models(today)
    if chosen.json:
        from lowtide.cli.shapes import model_json, print_json  # noqa: PLC0415 one of two ways

        lines = [model_json(line) for line in found]
        print_json({"type": "models", "on": today.isoformat(), "currency": "USD", "models": lines})
    else:
        _show_in_short(chosen, found, today)
    return 0


def _show_in_short(chosen: Choices, found: list[ModelPrices], today: date) -> None:
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    out = screen.console(chosen)
    pictures.show(out, f"Dollars per million tokens in and out, in real time and in batch, on {screen.day(today)}", "")
    for provider in dict.fromkeys(line.provider for line in found):
        made = screen.table(provider.upper(), "IN", "OUT", "BATCH IN", "OUT", right=(1, 2, 3, 4), fold=(0,))
        made.padding = (0, 2, 0, 0)
        for line in (each for each in found if each.provider == provider):
            made.add_row(
                line.model + (" *" if line.dearer_over else ""), *_pair(line, "realtime"), *_pair(line, "batch")
            )
        pictures.show(out, made, "")
    if not found:
        pictures.show(out, "No model is sold on that day, as far as the catalog knows.")
    if any(line.dearer_over for line in found):
        pictures.show(out, "* dearer from some length of the prompt on")
    if any("batch" not in line.lanes for line in found):
        pictures.show(out, "- no such price is known")
    pictures.show(out, "With every lane, kind of token and source:  lowtide prices MODEL, or --all")


def _pair(line: ModelPrices, lane: str) -> tuple[str, str]:
    """Write the prices of input and output on a lane."""
    input_, output = line.lanes.get(lane, (None, None))
    return ("-" if input_ is None else f"{input_:f}", "-" if output is None else f"{output:f}")


async def _in_full(chosen: Choices, model: str, day: date | None) -> int:
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
