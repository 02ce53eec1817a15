"""``lowtide doubt``: real-time replies that were lost, listed, and settled by what the provider's own bill says.

A doubt counts as spent until it is settled, because nobody here can know. Settling is a booking: it is asked for, and
it neither sends a request again nor takes an answer away.
"""

import asyncio
import sys
from typing import Any

import click

from lowtide.cli.completing import complete_run
from lowtide.cli.desk import desk
from lowtide.cli.options import Choices, DollarsType, choices, harmless, on_terminal, with_json
from lowtide.cli.run import ConsentMissing
from lowtide.cli.screen import moment
from lowtide.errors import counted
from lowtide.money import Nanos, show_dollars
from lowtide.reports import DoubtReport

CEILING = "ceiling"
NOT_DONE = 1
STANDS = {
    "pending": "not sent again yet",
    "trying": "is sent again",
    "retry": "goes out again",
    "succeeded": "answered since",
    "failed": "failed since",
    "canceled": "canceled",
}


class BilledType(DollarsType):
    """Dollars, or ``ceiling`` for all that is held. Gives nano-dollars or ``"ceiling"``."""

    name = "dollars|ceiling"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Read an amount or ``ceiling``."""
        return CEILING if value == CEILING else super().convert(value, param, ctx)


@with_json
@click.command(short_help="List lost replies, or settle them.")
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option("--not-billed", is_flag=True, help="The provider did not bill them: give the money back.")
@click.option(
    "--billed",
    type=BilledType(),
    metavar="AMOUNT|ceiling",
    help="What each was billed, in dollars, or all that is held.",
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Settle this request; may be said several times.")
@click.option("--all", "every", is_flag=True, help="Settle every doubt of the run.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def doubt(run_id: str | None, not_billed: bool, billed: Any, keys: tuple[str, ...], every: bool, yes: bool) -> int:  # noqa: ANN401
    """List real-time calls whose replies were lost: of RUN, or of every run. Each counts as spent until settled.

    Settle them by the provider's own bill: --not-billed gives the money back, --billed AMOUNT books what it was,
    --billed ceiling all that is held. The requests themselves stay as they are.
    """
    settles = not_billed or billed is not None
    if not_billed and billed is not None:
        raise click.UsageError("--not-billed and --billed say two things: leave one out")
    if (keys or every) and not settles:
        raise click.UsageError("say what they were: --not-billed, --billed AMOUNT or --billed ceiling")
    if not settles:
        return asyncio.run(_list(choices(), run_id))
    if run_id is None:
        raise click.UsageError("doubts are settled run by run: name the RUN")
    if bool(keys) == every:
        raise click.UsageError("say which ones: --key KEY (again for more), or --all")
    amount = Nanos(0) if not_billed else None if billed == CEILING else billed
    return asyncio.run(_settle(choices(), run_id, keys, amount, yes=yes))


async def _list(chosen: Choices, run_id: str | None) -> int:
    async with desk(chosen) as engine:
        found = engine.doubts(run_id or "")
        now = await engine.clock.now()
    if chosen.json:
        from lowtide.cli.shapes import doubt_json, print_json  # noqa: PLC0415 one of two ways

        print_json({"type": "doubts", "currency": "USD", "doubts": [doubt_json(each) for each in found]})
        return 0
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    out = screen.console(chosen)
    if not found:
        pictures.show(out, "No reply was lost: there is no doubt.")
        return 0
    made = screen.table("KEY", "ASKED", "HELD", "WHEN", "ITS REQUEST", right=(2,), fold=(0, 1))
    several = len({each.run_id for each in found}) > 1
    for each in found:
        key = f"{each.run_id} {each.key}" if several else each.key
        stands = STANDS.get(each.request_state, each.request_state)
        made.add_row(key, f"{each.provider} {each.model}", show_dollars(each.held), moment(each.at, now), stands)
    pictures.show(out, made, "", f"{_sum(found)} until settled.")
    if not chosen.quiet:
        run = run_id or found[0].run_id
        pictures.show(
            screen.console(chosen, sys.stderr),
            "Look at the provider's bill, then:",
            f"  lowtide doubt {run} --all --not-billed",
            f"  lowtide doubt {run} --key KEY --billed AMOUNT|ceiling",
        )
    return 0


def _sum(found: list[DoubtReport]) -> str:
    """Say how much counts as spent."""
    held = show_dollars(Nanos(sum(each.held for each in found)))
    return f"{held} for {counted(len(found), 'lost reply counts', 'lost replies count')} as spent"


async def _settle(chosen: Choices, run_id: str, keys: tuple[str, ...], amount: Nanos | None, *, yes: bool) -> int:
    async with desk(chosen) as engine:
        found = [each for each in engine.doubts(run_id) if not keys or each.key in keys]
        if not found and not keys:
            return _told(chosen, run_id, 0, "nothing to settle: no reply was lost")
        if found and not yes and not _agreed(found, amount):
            return NOT_DONE
        settled = await engine.settle_doubts(run_id, keys, billed=amount)
        over = _over(found, amount)
        spent = show_dollars((await engine.run_report(run_id)).spent)
    return _told(
        chosen,
        run_id,
        settled,
        f"{counted(settled, 'doubt is', 'doubts are')} settled: {_word(amount)}. Run {run_id} has spent {spent}.",
        note=f"{counted(over, 'was', 'were')} billed more than was held; the run says so" if over else "",
    )


def _agreed(found: list[DoubtReport], amount: Nanos | None) -> bool:
    """Ask whether this shall be booked. Raises: ConsentMissing."""
    if not on_terminal():
        raise ConsentMissing("nobody agreed to settle", hint="agree with --yes")
    if click.confirm(f"{_sum(found)}. Book as {_word(amount)}?", default=False, err=True):
        return True
    print("Nothing was settled.", file=sys.stderr)
    return False


def _word(amount: Nanos | None) -> str:
    if amount is None:
        return "billed at all that was held"
    return f"billed {show_dollars(amount)} each" if amount else "not billed, their money is back"


def _over(found: list[DoubtReport], amount: Nanos | None) -> int:
    return 0 if amount is None else sum(amount > each.held for each in found)


def _told(chosen: Choices, run_id: str, settled: int, text: str, *, note: str = "") -> int:
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        print_json({"type": "doubts_settled", "run": run_id, "settled": settled})
        return 0
    print(harmless(text))
    if note:
        print(note, file=sys.stderr)
    return 0
