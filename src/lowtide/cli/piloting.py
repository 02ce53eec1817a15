"""``lowtide plan --pilot``: buy a few requests of a plan first, as a run of their own, and plan again with what they teach."""

import sys

import click

from lowtide.cli import pictures, screen
from lowtide.cli.following import follow
from lowtide.cli.options import Choices
from lowtide.cli.plan import Pilot, Wish, make_plan
from lowtide.cli.run import Agrees, ConsentMissing, agreed
from lowtide.engine import Engine, Planned
from lowtide.errors import LowtideError
from lowtide.money import show_dollars
from lowtide.plan import Plan


async def after_pilot(engine: Engine, chosen: Choices, wish: Wish, plan: Plan, pilot: Pilot) -> Planned:
    """Carry the pilot of a plan out, and give the plan that takes its place. Raises: LowtideError.

    What the pilot can cost at most is shown and agreed to before anything is sent. A pilot that does not come to its end
    stays a run like any other, and the first plan stays, too.
    """
    sample = await engine.pilot(plan.plan_id, requests=pilot.requests)
    try:
        if not chosen.quiet:
            most = show_dollars(sample.cost_ceiling)
            told = f"Pilot: {sample.requests:,} requests in real time, {show_dollars(sample.cost_likely)} likely, {most} at most"
            print(told, file=sys.stderr)
        cap = agreed(chosen, sample, pilot.cap, Agrees(yes=pilot.yes, ask=True, late=False), shown=True)
        for provider in sample.provider.split():
            engine.hands(provider)  # a missing key is told before there is a run
    except (LowtideError, click.exceptions.Exit) as error:
        for plan_id in (sample.plan_id, plan.plan_id):  # neither is what was asked for
            await engine.forget_plan(plan_id)
        if isinstance(error, ConsentMissing):
            raise ConsentMissing(error.message, hint=error.hint.replace("--cap", "--pilot-cap")) from None
        raise
    most_nanos = sample.cost_ceiling if cap is None else cap
    run_id = await engine.start_run(sample.plan_id, cap=most_nanos, out=None, fresh=True)
    farewell = f"Leaving. The pilot goes on with: {chosen.command('run', run_id)}"
    await follow(engine, chosen, [run_id], farewell=farewell)
    report = await engine.run_report(run_id)
    if not report.over:
        raise LowtideError(
            f"the pilot {run_id} is not over ({report.reason or report.state}); plan {plan.plan_id} was made without it",
            hint=f"lowtide run {run_id}, then plan again: earlier answers teach every plan",
        )
    if not chosen.quiet:
        err = screen.console(chosen, sys.stderr)
        pictures.show(err, f"The pilot cost {show_dollars(report.spent)}; its answers are kept in {run_id}.", "")
    made = await make_plan(engine, wish, pilot=sample.plan_id)
    await engine.forget_plan(plan.plan_id)
    return made
