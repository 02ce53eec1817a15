"""``lowtide plan``: read the input, show what it would cost, keep the plan. And the options that ``run`` shares with it."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from lowtide.cli.desk import desk
from lowtide.cli.options import DAY, DOLLARS, PATH, Choices, choices, with_json
from lowtide.cli.times import DEADLINE, WITHIN_SPAN, Deadline
from lowtide.engine import Engine, Planned
from lowtide.errors import PlanBlocked
from lowtide.money import NANOS_PER_DOLLAR, Nanos, decimal_dollars, show_dollars
from lowtide.plan import Plan, refuse_low_cap, rounds
from lowtide.routing import Route
from lowtide.routing import Wish as RouteWish
from lowtide.workload import WorkloadOptions

PLAN_DIFFERS = 7
CENT = NANOS_PER_DOLLAR // 100
PROBLEMS_SHOWN = 5
PROBLEMS_ALL = 1_000_000
ROUTES = ("auto", "batch", "realtime", "2h", "8h")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
OURS = frozenset({"batch", "bpmn", "table"})  # of another workload nobody here knows what it reads
READERS = {
    "model": ("--model", ("bpmn", "table")),
    "language": ("--language", ("bpmn",)),
    "templates": ("--template", ("bpmn", "table")),
    "documents": ("--documents", ("bpmn",)),
    "key_column": ("--key-column", ("table",)),
    "max_output_tokens": ("--max-output-tokens", ("table",)),
    "strict": ("--strict", ("bpmn",)),
    "split": ("--split", ("bpmn",)),
}

_OPTIONS = (
    click.option(
        "--workload", metavar="NAME", default="", help="What the input is: bpmn, batch or table. Default: by its looks."
    ),
    click.option(
        "--model",
        metavar="MODEL",
        default="",
        help="Model of documents and rows, before a template's. Default: the settings'.",
    ),
    click.option("--provider", metavar="NAME", default="", help="Who is asked for all of it. Default: who sells it."),
    click.option("--language", metavar="CODE", default="", help="Language of the shipped prompts: en, sv."),
    click.option("--template", "--templates", type=PATH, help="Folder of prompts (bpmn) or a template file (table)."),
    click.option(
        "--documents", type=PATH, metavar="FILE", help="Your own table of node kinds and their documents (bpmn)."
    ),
    click.option("--key-column", metavar="NAME", default="", help="Column that names the rows (table)."),
    click.option("--max-output-tokens", type=click.IntRange(1), metavar="N", help="Limit of one answer (table)."),
    click.option("--strict", is_flag=True, help="Ask nothing of a parent whose child failed (bpmn)."),
    click.option(
        "--split", is_flag=True, help="Divide by node what one prompt could bring past a price threshold (bpmn)."
    ),
    click.option("--skip-problems", is_flag=True, help="Leave out what has problems and plan the rest."),
    click.option(
        "--route", type=click.Choice(ROUTES), help="How requests go out; nothing then moves. Default: the settings'."
    ),
    click.option("--urgent", is_flag=True, help="In real time, whatever it costs."),
    click.option(
        "--deadline",
        type=DEADLINE,
        metavar="TIME",
        help="When it must be done, by your clock: 06:00 (the next), 'tomorrow 06:00', 2026-11-23T06:00.",
    ),
    click.option("--within", type=WITHIN_SPAN, metavar="SPAN", help="How soon it must be done: 90m, 2h, 1d."),
    click.option("--cap", type=DOLLARS, metavar="AMOUNT", help="Most that may be spent, in dollars: 10, 0.05."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What was said of the route and of when it must be done."""

    route: str | None
    urgent: bool
    deadline: Deadline | None
    within: timedelta | None

    def wish(self, now: datetime) -> RouteWish | None:
        """Give the engine's wish; ``None`` when nothing was said. Raises: click.BadParameter for a time that is past."""
        if not (self.route or self.urgent or self.deadline or self.within):
            return None
        deadline_at = None if self.deadline is None else self.deadline.instant(now)
        if self.within is not None:
            deadline_at = now + self.within
        return RouteWish(route=Route(self.route or Route.AUTO), urgent=self.urgent, deadline_at=deadline_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be planned, as one value."""

    source: Path
    workload: str
    options: WorkloadOptions
    skip_problems: bool
    aim: Aim
    cap: Nanos | None = None
    prices_on: date | None = None
    count: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """How many requests are bought before the plan, what they may cost, and whether that was agreed to."""

    requests: int
    cap: Nanos | None
    yes: bool


def plan_options(function: Decorated) -> Decorated:
    """Add the options that say how an input is read."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def aim_of(said: dict[str, Any]) -> Aim:
    """Put what was said of route and time into one value. Raises: click.UsageError for what excludes each other."""
    aim = Aim(route=said["route"], urgent=said["urgent"], deadline=said["deadline"], within=said["within"])
    if aim.deadline is not None and aim.within is not None:
        raise click.UsageError("--deadline and --within both say when it must be done: leave one out")
    if aim.urgent and aim.route not in (None, "auto", "realtime"):
        raise click.UsageError(f"--urgent asks for real time, --route {aim.route} for another lane: leave one out")
    return aim


def wish_of(source: Path, said: dict[str, Any], cap: Nanos | None, *, prices_on: date | None = None) -> Wish:
    """Put what was said on the command line into one value. Raises: click.UsageError."""
    return Wish(
        source=source,
        aim=aim_of(said),
        cap=cap,
        workload=said["workload"],
        options=WorkloadOptions(
            model=said["model"],
            language=said["language"],
            templates=said["template"],
            documents=said["documents"],
            key_column=said["key_column"],
            max_output_tokens=said["max_output_tokens"],
            strict=said["strict"],
            split=said["split"],
            provider=said["provider"],
        ),
        skip_problems=said["skip_problems"],
        prices_on=prices_on,
    )


async def make_plan(engine: Engine, wish: Wish, *, pilot: str = "") -> Planned:
    """Ask the engine for the plan, after a pilot whose plan is ``pilot``. Raises: LowtideError."""
    options = replace(wish.options, language=wish.options.language or engine.settings.language)
    planned = await engine.plan(
        wish.source,
        workload=wish.workload,
        options=options,
        prices_on=wish.prices_on,
        skip_problems=wish.skip_problems,
        wish=wish.aim.wish(await engine.clock.now()),
        cap=wish.cap,
        pilot=pilot,
        count=wish.count,
    )
    unread = _unread(wish.options, planned.plan.workload)
    if unread:
        await engine.forget_plan(planned.plan.plan_id)
        raise click.UsageError(
            f"{', '.join(unread)} would change nothing: {planned.plan.title} is read as {planned.plan.workload}, which does"
            " not look at it"
        )
    return planned


def _unread(said: WorkloadOptions, workload: str) -> list[str]:
    """Name what was said and is not looked at: whoever limits answers, or names a model, means it."""
    return [
        option
        for field, (option, readers) in READERS.items()
        if getattr(said, field) and workload in OURS and workload not in readers
    ]


def refuse_planning_options(what: str) -> None:
    """Refuse options that say how to plan, where the plan is made already. Raises: click.UsageError."""
    context = click.get_current_context()
    planning = {parameter.name: parameter.opts[0] for parameter in _planning_parameters()}
    said = [
        option
        for name, option in planning.items()
        if name is not None and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if said:
        kept = "is planned already, and keeps what it was planned with"
        raise click.UsageError(f"{what} {kept}: {', '.join(said)} is for lowtide plan SOURCE", context)


def _planning_parameters() -> list[click.Parameter]:
    """List the options of planning; a cap is a run's own, too."""

    @plan_options
    @click.command()
    def nothing() -> None:
        pass

    return [parameter for parameter in nothing.params if parameter.name != "cap"]


@with_json
@click.command(short_help="Show what an input would cost.")
@click.argument("source", type=PATH)
@plan_options
@click.option("--prices-on", type=DAY, metavar="DAY", help="Quote the prices of another day: 2025-12-22.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Leave with 7 when it differs from the last plan of this input."
)
@click.option(
    "--pilot",
    type=click.IntRange(1),
    metavar="N",
    help="Buy N requests first, in real time, and plan with what they teach; the run takes their answers over.",
)
@click.option("--pilot-cap", type=DOLLARS, metavar="AMOUNT", help="Most that the pilot may cost. Default: it is asked.")
@click.option("-y", "--yes", is_flag=True, help="Agree to what the pilot costs without being asked.")
@click.option("--count", is_flag=True, help="Ask the provider's free counter where a count decides something.")
@click.option("--show", "detail", type=click.Choice(["problems", "prices", "long"]), help="List one part in full.")
def plan(
    source: Path,
    cap: Nanos | None,
    prices_on: date | None,
    detailed_exitcode: bool,
    detail: str | None,
    pilot: int | None,
    pilot_cap: Nanos | None,
    yes: bool,
    count: bool,
    **said: Any,  # noqa: ANN401 click's own
) -> int:
    """Show what an input would cost, and keep the plan. Sends nothing, spends nothing, but for a --pilot.

    SOURCE is a folder of BPMN files, a batch file (JSONL), or a table (CSV, JSONL) with --template.
    """
    if pilot is None and (pilot_cap is not None or yes):
        raise click.UsageError("--pilot-cap and --yes are for --pilot N: nothing else is bought here")
    wish = replace(wish_of(source, said, cap, prices_on=prices_on), count=count)
    first = None if pilot is None else Pilot(requests=pilot, cap=pilot_cap, yes=yes)
    return asyncio.run(_plan(choices(), wish, first, detail, detailed=detailed_exitcode))


async def _plan(chosen: Choices, wish: Wish, pilot: Pilot | None, detail: str | None, *, detailed: bool) -> int:
    cap = wish.cap
    async with desk(chosen, works=pilot is not None) as engine:
        before = engine.last_plan(_absolute(wish.source)) if detailed else None
        planned = await make_plan(engine, wish)
        if pilot is not None and not planned.plan.blocked:
            from lowtide.cli.piloting import after_pilot  # noqa: PLC0415 brings the worker and rich

            planned = await after_pilot(engine, chosen, wish, planned.plan, pilot)
    made = planned.plan
    release = None if cap is None else rounds(made, cap)
    changed = () if before is None else _differences(before, made)
    if chosen.json:
        from lowtide.cli.shapes import plan_json, print_json  # noqa: PLC0415 one of two ways

        body = plan_json(made, planned.problems, release)
        print_json(body if before is None else {**body, "differs_from": before.plan_id, "differences": list(changed)})
    else:
        _show(chosen, planned, cap, detail, changed, before)
    if made.blocked:
        raise PlanBlocked(made.blocked)  # shown and kept all the same
    refuse_low_cap(made, cap)
    return PLAN_DIFFERS if changed else 0


def _absolute(source: Path) -> str:
    return os.path.realpath(source)  # one that leads nowhere is told by whoever opens it


def _differences(before: Plan, now: Plan) -> tuple[str, ...]:
    """Say what a plan promises otherwise than the one before it."""
    told: list[str] = []
    if before.source_digest != now.source_digest:
        told.append("the input changed")
    if before.requests != now.requests:
        told.append(f"{before.requests:,} requests became {now.requests:,}")
    if [(used.model, used.lane, used.digest) for used in before.prices] != [
        (used.model, used.lane, used.digest) for used in now.prices
    ]:
        told.append("the prices changed")
    for word, old, new in (
        ("likely", before.cost_likely, now.cost_likely),
        ("at most", before.cost_ceiling, now.cost_ceiling),
    ):
        if old != new:
            told.append(f"{word} {show_dollars(old)} became {show_dollars(new)}")
    return tuple(told)


def _show(
    chosen: Choices,
    planned: Planned,
    cap: Nanos | None,
    detail: str | None,
    changed: tuple[str, ...],
    before: Plan | None,
) -> None:
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    made = planned.plan
    out = screen.console(chosen)
    if detail == "problems":
        told = [pictures.problem_lines(planned.problems, PROBLEMS_ALL), *map(screen.indented, made.warnings)]
        pictures.show(out, *(told if planned.problems or made.warnings else ["no problems"]))
        return
    if detail == "long":
        pictures.show(out, pictures.long_table(made))
        return
    if detail == "prices":
        pictures.show(out, pictures.used_prices(made))
        return
    release = None if cap is None else rounds(made, cap)
    pictures.show(out, pictures.plan_picture(made, cap, release))
    if planned.problems:
        pictures.show(out, "", "Left out:", pictures.problem_lines(planned.problems, PROBLEMS_SHOWN))
    if before is not None:
        words = "; ".join(changed) if changed else "nothing"
        pictures.show(out, "", f"Different from {before.plan_id}: {words}")
    rest = "But for its pilot nothing has been sent or spent." if made.reused else "Nothing has been sent or spent."
    pictures.show(out, "", f"Plan {made.plan_id} saved. {rest}")
    quoted = made.prices_on != made.created_at.date()  # another day's prices are no offer
    if not made.blocked and not quoted and not (cap is not None and made.cost_likely > cap):
        pictures.show(out, screen.command(f"Run it:  {next_command(chosen, made, cap)}"))


def whole_cents(amount: Nanos) -> Nanos:
    """Round up to a cent: what is named as the most must cover it."""
    return Nanos(-(-amount // CENT) * CENT)


def next_command(chosen: Choices, made: Plan, cap: Nanos | None) -> str:
    """Give the command that carries the plan out; without a cap it names the ceiling, which can never be passed."""
    amount = whole_cents(made.cost_ceiling) if cap is None else cap
    return chosen.command("run", made.plan_id, "--cap", decimal_dollars(amount))
