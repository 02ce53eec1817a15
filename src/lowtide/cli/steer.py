"""``raise``, ``retry``, ``cancel`` and ``adopt``: say to the engine what shall be, and to the person what comes next."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import click

from lowtide.cli.completing import complete_run
from lowtide.cli.desk import desk
from lowtide.cli.options import CAP, Choices, choices, harmless, with_json
from lowtide.cli.screen import span
from lowtide.errors import NotFound, counted
from lowtide.money import decimal_dollars, show_dollars
from lowtide.reports import FailureReport, RunReport


def _next(chosen: Choices, *words: str) -> str:
    return f"Next:  {chosen.command(*words)}"


def _say(chosen: Choices, body: dict[str, Any], text: str, advice: str = "") -> None:
    """Tell what was done: one object, or one sentence and what comes next."""
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        print_json(body)
        return
    print(harmless(text))
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
    text = f"{counted(again, 'request goes', 'requests go')} out again" if again else "nothing can go out again"
    never = [each for each in report.failures if each.state == "failed" and not each.can_succeed]
    if not chosen.json:
        text = "\n".join([text, *(f"not again: {each.requests:,} {told(each)}" for each in never), *_stays(report)])
    body = {
        "type": "retry",
        "run": run_id,
        "again": again,
        "never": hopeless,
        "reasons": [{"code": each.code, "requests": each.requests, "example": each.example} for each in never],
    }
    _say(chosen, body, text, _next(chosen, "run", run_id) if again and not report.worked_on else "")
    return 0


def told(failure: FailureReport) -> str:
    """Quote why requests failed."""
    return f'{failure.code}: "{failure.example}"' if failure.example else failure.code


def _stays(report: RunReport) -> Iterator[str]:
    """Say which answers stay as they are, although somebody may have hoped for others."""
    if report.cut:
        yield f"not again: {report.cut:,} cut at their limit: the same limit would cut them again"
    if report.declined:
        yield f"not again: {report.declined:,} refused by the model: asking again gives the same"


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
@click.option("--provider", metavar="NAME", default="", help="Who made it, or whose are listed. Default: by its looks.")
def adopt(batch: str | None, provider: str) -> int:
    """List batches that this store knows nothing of, or take one over: it is collected and booked like our own."""
    return asyncio.run(_list_unknown(choices(), provider) if batch is None else _adopt(choices(), batch, provider))


async def _adopt(chosen: Choices, batch: str, provider: str) -> int:
    async with desk(chosen) as engine:
        run_id = await engine.adopt(batch, provider)
        asked = (await engine.run_report(run_id)).provider
    _say(
        chosen,
        {"type": "adopt", "batch": batch, "provider": asked, "run": run_id},
        f"{batch} is run {run_id} now",
        _next(chosen, "run", run_id),
    )
    return 0


async def _list_unknown(chosen: Choices, provider: str) -> int:
    async with desk(chosen) as engine:
        if provider and provider not in engine.codecs:
            raise NotFound(f"no provider is called {provider!r}", hint=f"there are {', '.join(engine.codecs)}")
        found = await engine.unknown_batches(provider)
        unasked = [] if provider else engine.without_key()
        now = await engine.clock.now()
    if chosen.json:
        from lowtide.cli.shapes import print_json, unknown_json  # noqa: PLC0415 one of two ways

        batches = [unknown_json(each) for each in found]
        print_json({"type": "unknown_batches", "batches": batches, "not_asked": unasked})
        return 0
    if unasked:
        print(f"not asked, there is no key: {', '.join(unasked)}", file=sys.stderr)
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    out = screen.console(chosen)
    if not found:
        pictures.show(out, "Every batch of this account is known here.")
        return 0
    made = screen.table("BATCH", "PROVIDER", "REQUESTS", "STATE", "AGE", right=(2,), fold=(3,))
    made.padding = (0, 2, 0, 0)
    for each in found:
        state = pictures.BATCH_STATES.get(each.state, each.state).partition(",")[0]
        count = f"{each.requests:,}" if each.requests else "-"  # not counted yet
        age = " ".join(span(now - each.created_at).split()[:2])  # its largest unit: an id is never cut
        made.add_row(each.provider_batch_id, each.provider, count, state, age)
    pictures.show(out, made)
    if not chosen.quiet:
        pictures.show(screen.console(chosen, sys.stderr), "", "Take one over:  lowtide adopt BATCH --provider NAME")
    return 0
