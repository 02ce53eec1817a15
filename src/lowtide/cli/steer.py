"""``raise``, ``retry``, ``cancel`` and ``adopt``: say to the engine what shall be, and to the person what comes next."""

import asyncio
import shlex
import sys
from typing import Any

import click

from lowtide.cli.completing import complete_run
from lowtide.cli.desk import desk
from lowtide.cli.options import CAP, Choices, choices, with_json
from lowtide.cli.screen import counted, span
from lowtide.money import decimal_dollars, show_dollars


def _next(chosen: Choices, *words: str) -> str:
    return f"Next:  {shlex.join(['lowtide', *chosen.again(), *words])}"


def _say(chosen: Choices, body: dict[str, Any], text: str, advice: str = "") -> None:
    """Tell what was done: one object, or one sentence and what comes next."""
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        print_json(body)
        return
    print(text)
    if advice and not chosen.quiet:
        print(advice, file=sys.stderr)


@with_json
@click.command(name="raise", short_help="Give a run another cap.")
@click.argument("run_id", metavar="RUN", shell_complete=complete_run)
@click.option("--cap", type=CAP, metavar="AMOUNT|none", required=True, help="The new cap in dollars, or none.")
def raise_cap(run_id: str, cap: Any) -> int:  # noqa: ANN401 an amount or the word none
    """Give a run another cap. Sends nothing by itself: a run that was at its cap goes on with its next worker."""
    return asyncio.run(_raise(choices(), run_id, None if cap == "none" else cap))


async def _raise(chosen: Choices, run_id: str, cap: Any) -> int:  # noqa: ANN401 nano-dollars or nothing
    async with desk(chosen) as engine:
        await engine.raise_cap(run_id, cap)
        report = await engine.run_report(run_id)
    amount = None if report.cap is None else decimal_dollars(report.cap)
    text = f"{run_id} has no cap now" if report.cap is None else f"{run_id} has a cap of {show_dollars(report.cap)} now"
    advice = "" if report.over or report.worked_on else _next(chosen, "run", run_id)
    _say(
        chosen, {"type": "raise", "run": run_id, "cap": amount, "currency": "USD", "state": report.state}, text, advice
    )
    return 0


@with_json
@click.command(short_help="Send again what failed and can succeed.")
@click.argument("run_id", metavar="RUN", shell_complete=complete_run)
def retry(run_id: str) -> int:
    """Let what failed, and can succeed, go out again. Sends nothing by itself; the run's cap still holds."""
    return asyncio.run(_retry(choices(), run_id))


async def _retry(chosen: Choices, run_id: str) -> int:
    async with desk(chosen) as engine:
        again, hopeless = await engine.retry(run_id)
        report = await engine.run_report(run_id)
    never = (
        f"; {counted(hopeless, 'one', 'others')} can never succeed (lowtide results {run_id} --failed)"
        if hopeless
        else ""
    )
    text = (
        f"{counted(again, 'request goes', 'requests go')} out again{never}"
        if again
        else f"nothing can go out again{never}"
    )
    advice = _next(chosen, "run", run_id) if again and not report.worked_on else ""
    _say(chosen, {"type": "retry", "run": run_id, "again": again, "never": hopeless}, text, advice)
    return 0


@with_json
@click.command(short_help="Stop a run for good.")
@click.argument("run_id", metavar="RUN", shell_complete=complete_run)
@click.option("--no-wait", is_flag=True, help="Only note it; a worker carries it out.")
def cancel(run_id: str, no_wait: bool) -> int:
    """Stop a run for good: cancel what is at the provider, keep and book what was bought."""
    return asyncio.run(_cancel(choices(), run_id, wait=not no_wait))


async def _cancel(chosen: Choices, run_id: str, *, wait: bool) -> int:
    from lowtide.cli.run import carry_out  # noqa: PLC0415 brings the worker

    async with desk(chosen, works=wait) as engine:
        state = await engine.cancel(run_id)
        report = await engine.run_report(run_id)
        if report.over:
            _say(chosen, {"type": "cancel", "run": run_id, "state": state}, f"{run_id} is over already: {state}")
            return 0
        if wait and not report.worked_on:
            return await carry_out(engine, chosen, run_id)
    advice = "Its worker cancels it." if report.worked_on else _next(chosen, "worker", "--run", run_id)
    _say(chosen, {"type": "cancel", "run": run_id, "state": state}, f"{run_id} is being canceled", advice)
    return 0


@with_json
@click.command(short_help="Take over batches of another program.")
@click.argument("batch", required=False)
def adopt(batch: str | None) -> int:
    """List batches that this store knows nothing of, or take one over: it is collected and booked like our own."""
    return asyncio.run(_list_unknown(choices()) if batch is None else _adopt(choices(), batch))


async def _adopt(chosen: Choices, batch: str) -> int:
    async with desk(chosen) as engine:
        run_id = await engine.adopt(batch)
    _say(
        chosen,
        {"type": "adopt", "batch": batch, "run": run_id},
        f"{batch} is run {run_id} now",
        _next(chosen, "run", run_id),
    )
    return 0


async def _list_unknown(chosen: Choices) -> int:
    async with desk(chosen) as engine:
        found = await engine.unknown_batches()
        now = await engine.clock.now()
    if chosen.json:
        from lowtide.cli.shapes import print_json, unknown_json  # noqa: PLC0415 one of two ways

        print_json({"type": "unknown_batches", "batches": [unknown_json(each) for each in found]})
        return 0
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    out = screen.console(chosen)
    if not found:
        pictures.show(out, "Every batch of this account is known here.")
        return 0
    made = screen.table("BATCH", "REQUESTS", "STATE", "AGE", right=(1,))
    for each in found:
        state = pictures.BATCH_STATES.get(each.state, each.state)
        made.add_row(each.provider_batch_id, f"{each.requests:,}", state, span(now - each.created_at))
    pictures.show(out, made)
    if not chosen.quiet:
        pictures.show(screen.console(chosen, sys.stderr), "", "Take one over:  lowtide adopt BATCH")
    return 0
