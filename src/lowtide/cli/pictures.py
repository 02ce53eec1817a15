"""The pictures of a plan and of a run, for people. Every figure is the report's own; here they only get words and places.

What is guessed says what the guess rests on; what is not known says so; simulated money says so on every picture.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lowtide.cli import screen
from lowtide.cli.screen import moment, span, tokens
from lowtide.cli.times import full
from lowtide.engine import Event
from lowtide.errors import Problem, counted
from lowtide.money import ZERO, Nanos, show_dollars, show_sum
from lowtide.plan import Line, Plan, Rounds, price_sources
from lowtide.reports import CUT, DECLINED, BatchReport, FailureReport, RunReport

AT_ITS_CAP = "at its cap"  # a run's reason when its money is used up
KEY_REFUSED = "(401 "  # in a run's reason when the provider does not accept the key
ROUTES = {
    "realtime": "real time",
    "batch": "batch",
    "2h": "2 h window",
    "8h": "8 h window",
    "flex": "flex",
    "fast": "fast",
}
INPUT_BASIS = {
    "counted": "counted by the provider",
    "learned": "learned from earlier requests",
    "local": "estimated from their bytes",
    "limit": "not known; their limit stands in",
}
OUTPUT_BASIS = {
    "counted": "counted",
    "learned": "learned from earlier answers",
    "local": "estimated",
    "limit": "guessed at half of each answer's limit, 4,000 at most: no history yet",
}
# What money that bought nothing is called in the books, and what that means.
NOTHING_BOUGHT = {
    "duplicate": "bought twice, by a batch that had arrived after all",
    "doubt": "held: the reply was lost, the call may have been billed",
    "doubt_billed": "billed for replies that were lost",
    "row_missing": "held: counted as finished by the provider, never delivered",
}
HOLDS = {
    "batch": "batches at the provider, or about to be sent",
    "realtime": "calls in real time, or about to be made",
    "first_request": "first request of a kind, in real time",
    "doubt": "doubt: a reply was lost, counts as spent until it is settled",
    "possible_duplicate": "sent again beside a doubt",
    "duplicate": "a batch that may be a second copy",
    "canceled_but_finished": "finished although canceled",
    "row_missing": "bought, never delivered",
    "price_unknown": "answered, but a kind of token in it has no price here",
    "adopted": "adopted batches",
}
STATES = {
    "active": "at work",
    "paused": "paused",
    "canceling": "canceling",
    "done": "done",
    "failed": "failed",
    "canceled": "canceled",
}
BATCH_STATES = {
    "planned": "to be sent",
    "submitting": "being sent",
    "doubtful": "sent, asking for it",
    "validating": "being checked",
    "queued": "queued there",
    "running": "at provider",
    "finalizing": "finalising",
    "canceling": "canceling there",
    "ended": "ended, to be read",
    "landed": "back",
    "failed": "refused",
    "expired": "expired",
    "canceled": "canceled",
    "lost": "gone",
}
DOUBT = "doubt"
A_SECOND = timedelta(seconds=1)
USUAL_ENDS = {"end_turn", "stop_sequence", "tool_use", *CUT, *DECLINED}
REMARK = re.compile(r" \([^)]*\)")  # how a price came into our table; ``--show prices`` has it in full
LONG_PROMPTS_SHOWN = 5
NOTES_SHOWN = 5
BATCHES_SHOWN = 12


# plan


def plan_picture(plan: Plan, cap: Nanos | None, release: Rounds | None, *, short: bool = False) -> RenderableType:
    """Draw a plan: routes, waves, why this route, time, deadline, cost, saving, cap, warnings."""
    parts: list[RenderableType] = [_plan_head(plan), "", _routes(plan), ""]
    if len(plan.waves) > 1 or len(plan.waves[0].kinds) > 1:
        parts += [_waves(plan), ""]
    parts.append(screen.lines(list(_plan_lines(plan, cap, release, short=short))))
    return Group(*parts)


def _plan_head(plan: Plan) -> Text:
    models = sorted({line.model for line in plan.lines})
    asked = models[0] if len(models) == 1 else plan.provider.replace(" ", ", ")
    head = Text(plan.title, style="bold")
    head.append(
        f"   {counted(plan.requests, 'request')}   {asked}   prices of {screen.day(plan.prices_on)}", style="none"
    )
    if plan.simulated:
        head.append("   ").append(screen.SIMULATED)
    return head


def _routes(plan: Plan) -> Table:
    several = len({line.model for line in plan.lines}) > 1
    columns = ("REQUESTS", "TOKENS IN", "TOKENS OUT", "LIKELY", "AT MOST")
    made = screen.table("ROUTE", *columns, right=(1, 2, 3, 4, 5), fold=(0,) if several else ())
    if several or plan.moves_likely or plan.caching_likely:
        made.padding = (0, 2, 0, 0)
    for line in sorted(plan.lines, key=lambda each: (each.provider, each.model, each.route)):
        route = ROUTES.get(line.route, line.route)
        name = f"batches, {line.parts:,} or more" if line.parts > 1 else route
        made.add_row(
            f"{name}, {_seller(plan, line)}" if several else name,
            f"{line.requests:,}",
            f"~{tokens(line.input_tokens)}",
            f"~{tokens(line.output_tokens)}",
            show_dollars(line.cost_likely),
            show_dollars(line.cost_ceiling),
        )
    if plan.moves_likely:
        made.add_row("expected to move", "", "", "", _signed(plan.moves_likely), "")
    if plan.caching_likely:
        made.add_row("expected of caching", "", "", "", _signed(plan.caching_likely), "")
    if len(plan.lines) > 1 or plan.moves_likely or plan.caching_likely:
        made.add_row(
            "",
            f"{plan.requests:,}",
            "",
            "",
            show_dollars(plan.cost_likely),
            show_dollars(plan.cost_ceiling),
            style="bold",
        )
    return made


def _signed(amount: Nanos) -> str:
    return show_dollars(amount) if amount >= 0 else f"-{show_dollars(Nanos(-amount))}"


def _seller(plan: Plan, line: Line) -> str:
    """Name a line's model, with who is asked where that is not the same for all of its name."""
    sellers = {each.provider for each in plan.lines if each.model == line.model}
    return f"{line.provider} {line.model}" if len(sellers) > 1 else line.model


def _waves(plan: Plan) -> Table:
    made = screen.table("WAVE", "REQUESTS", "OF WHICH", right=(1,), fold=(2,))
    for wave in plan.waves:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(wave.kinds.items()))
        made.add_row(f"{wave.wave + 1}" + ("" if wave.exact else " ~"), f"{wave.requests:,}", kinds)
    return made


def _plan_lines(
    plan: Plan, cap: Nanos | None, release: Rounds | None, *, short: bool
) -> Iterator[tuple[str, str | Text]]:
    if plan.route_reason:
        yield "Route", plan.route_reason
    yield "Time", _plan_time(plan)
    if plan.deadline_at is not None:
        yield from _plan_deadline(plan)
    yield from _plan_cost(plan)
    if plan.saving:
        cheap = sorted({line.route for line in plan.lines if line.route not in ("realtime", "pilot")})
        price = f"{' and '.join(ROUTES.get(route, route) for route in cheap)} price"
        yield (
            "Saves",
            f"{show_dollars(plan.saving)} against {show_dollars(plan.realtime_likely)} in real time ({price})",
        )
    yield from _caching(plan)
    if cap is not None and release is not None:
        yield "Cap", _cap(plan, cap, release)
    if plan.long_prompts_count:
        yield "Long", Text(_long(plan), style=screen.ADVICE)
        for prompt in plan.long_prompts[: 1 if short else LONG_PROMPTS_SHOWN]:
            yield "", f"{prompt.key}: {prompt.input_tokens:,} tokens, {show_dollars(prompt.extra)} more"
    if plan.near_threshold_count:
        count = counted(plan.near_threshold_count, "prompt is", "prompts are")
        yield "Near", f"{count} within a tenth of the length where a higher price begins"
    if not short:
        for place, source in enumerate(sorted({REMARK.sub("", source) for source in price_sources(plan)})):
            yield "" if place else "Prices", source
    for warning in plan.warnings[:NOTES_SHOWN]:
        yield "Note", Text(warning, style=screen.ADVICE)
    if len(plan.warnings) > NOTES_SHOWN:
        yield "", f"and {len(plan.warnings) - NOTES_SHOWN:,} more: --show problems"
    if plan.blocked:
        yield "Blocked", Text(plan.blocked, style=screen.BAD)


def _plan_cost(plan: Plan) -> Iterator[tuple[str, str]]:
    """Say what it costs, and what the figures rest on."""
    if not plan.kinds_unknown:
        low, high = show_dollars(plan.cost_low), show_dollars(plan.cost_high)
        yield "Cost", f"{show_dollars(plan.cost_likely)} likely; 95 of 100 such plans end between {low} and {high}"
    elif plan.answers_seen:
        most = f"95 of 100 such plans end below {show_dollars(plan.cost_high)}"
        yield "Cost", f"{show_dollars(plan.cost_likely)} likely; {most}"
    else:
        yield "Cost", f"{show_dollars(plan.cost_likely)} likely; how likely is not known, there is no history yet"
    moved = " and all of it moved" if plan.moves and plan.hasten_at is not None else ""
    yield "", f"{show_dollars(plan.cost_ceiling)} at most, if every answer used its full limit{moved}"
    yield "", f"~ prompts are {INPUT_BASIS.get(plan.basis_input, plan.basis_input)}"
    yield "", f"~ answers are {_answers_basis(plan)}"
    if any(not wave.exact for wave in plan.waves):
        yield "", "~ later waves quote answers that do not exist yet: their number is exact, their tokens are not"


def _answers_basis(plan: Plan) -> str:
    """Say what the lengths of answers rest on, and which kinds nothing is known of."""
    guessed = OUTPUT_BASIS["limit"]
    if not plan.answers_seen:
        return OUTPUT_BASIS["learned"] if plan.basis_output == "learned" else guessed
    learned = f"learned from {counted(plan.answers_seen, 'earlier answer')}"
    return f"{learned}; those of {', '.join(plan.kinds_unknown)} {guessed}" if plan.kinds_unknown else learned


def _caching(plan: Plan) -> Iterator[tuple[str, str]]:
    """Say how much of the first wave's input is shared, and what caching is expected to pay, or why nothing is cached."""
    several = len(plan.caching) > 1
    for line in plan.caching:
        if not line.shared_tokens:
            continue
        whole = max(1, line.input_tokens)
        shared, long = (f"{part * 100 // whole} %" for part in (line.shared_tokens, line.cacheable_tokens))
        first = "the first wave's input" if len(plan.waves) > 1 else "the input"
        of = f" for {line.model}" if several else ""
        yield "Shared", f"{shared} of {first}{of} begins alike; {long} is long enough for a cache"
        yield "", line.why
        if line.rounds:
            firsts = counted(line.firsts, "request goes", "requests go")
            first_batch = counted(line.rounds, "batch", "batches")
            most = show_dollars(Nanos(line.worst - line.none))
            yield (
                "",
                f"{firsts} first, in {first_batch} that the rest waits for; if nothing is read it costs {most} more",
            )


def _plan_time(plan: Plan) -> str:
    """Say when it will be done, and what that rests on."""
    count = len(plan.waves)
    waves = "" if count == 1 else f"{count} waves, one after the other; "
    if plan.ready_half is None or plan.ready_nine_in_ten is None:
        return f"{waves}not known"
    if plan.route == "realtime":
        return f"{waves}about {span(plan.ready_half)}, inside the provider's limits"
    text = f"{waves}half of such runs are done in {span(plan.ready_half)}, 9 in 10 in {span(plan.ready_nine_in_ten)}"
    if plan.turnaround is not None and plan.ready_basis == "measured":
        return f"{text}, by the last {counted(plan.turnaround.batches, 'batch', 'batches')} and what is usual elsewhere"
    supposed = f"{text}, we suppose: no history yet"
    if plan.route != "batch":
        return supposed  # a window is what was bought
    return f"{supposed}; the provider may take a day{'' if count == 1 else ' for each'}"


def _plan_deadline(plan: Plan) -> Iterator[tuple[str, str | Text]]:
    """Say until when it must be done, and from when on, and up to which cost, it moves to real time for that."""
    assert plan.deadline_at is not None
    left = span(plan.deadline_at - plan.created_at)
    yield "Deadline", Text(f"{full(plan.deadline_at)}, in {left}", style=screen.BAD if plan.misses else "none")
    if plan.misses:
        yield "", Text("even real time misses it", style=screen.BAD)
    elif plan.hasten_at is not None:
        lane = "real time" if plan.hasten_to == "realtime" else f"the {ROUTES.get(plan.hasten_to, plan.hasten_to)}"
        most = f"{show_dollars(plan.cost_ceiling)} at most in all"
        yield "", f"what is not back by {moment(plan.hasten_at, plan.created_at)} moves to {lane}: {most}"


def _cap(plan: Plan, cap: Nanos, release: Rounds) -> str:
    amount = show_dollars(cap)
    if cap >= plan.cost_ceiling:
        return f"{amount} covers the most it can cost: one round"
    if cap < plan.cost_likely:
        return f"{amount} is below the likely cost: refused"
    text = f"{amount} covers the likely cost, not the most it can: released in {counted(release.rounds, 'round')}, each"
    text += " after the one before is back"
    return text + ("; it may pause at the cap before its end" if release.may_pause else "")


def _long(plan: Plan) -> str:
    threshold = f"{plan.long_prompts[0].threshold:,}" if plan.long_prompts else "a threshold of"
    text = f"{counted(plan.long_prompts_count, 'prompt')} over {threshold} tokens, where a higher price begins"
    return text if len(plan.long_prompts) <= LONG_PROMPTS_SHOWN else f"{text} (all: --show long)"


def problem_lines(problems: Sequence[Problem], shown: int) -> RenderableType:
    """List problems of an input, and how many more there are."""
    texts: list[RenderableType] = [screen.indented(str(problem)) for problem in problems[:shown]]
    if len(problems) > shown:
        texts.append(screen.indented(f"and {len(problems) - shown:,} more: --show problems"))
    return Group(*texts)


def long_table(plan: Plan) -> RenderableType:
    """List the prompts over a threshold, with what that adds."""
    if not plan.long_prompts_count:
        return "no prompt reaches a length where a higher price begins"
    made = screen.table("PROMPT", "TOKENS", "OVER", "ADDS", right=(1, 2, 3), fold=(0,))
    for prompt in plan.long_prompts:
        made.add_row(prompt.key, f"{prompt.input_tokens:,}", f"{prompt.threshold:,}", show_dollars(prompt.extra))
    left_out = plan.long_prompts_count - len(plan.long_prompts)
    if left_out:
        made.add_row(f"and {left_out:,} more", "", "", "")
    return made


def used_prices(plan: Plan) -> Table:
    """List the price sheets that a plan rests on, with their sources."""
    made = screen.table("MODEL", "ROUTE", "DAY", "SOURCES", fold=(3,))
    for used in plan.prices:
        made.add_row(used.model, ROUTES.get(used.lane, used.lane), used.day.isoformat(), "\n".join(used.sources))
    return made


# run


def run_picture(report: RunReport, events: Sequence[Event] = (), *, whole: bool = False) -> RenderableType:
    """Draw a run as it stands: batches, counts, money, time. ``whole`` adds failures, holds and history."""
    parts: list[RenderableType] = [_run_head(report)]
    if report.batches:
        parts += ["", _batches(report, BATCHES_SHOWN if not whole else len(report.batches))]
    parts += ["", screen.lines(list(_run_lines(report)))]
    if whole:
        if report.failures:
            parts += ["", _failures(report)]
        if report.holds:
            parts += ["", _holds(report)]
    if events:
        parts += ["", _history(events)]
    return Group(*parts)


def _run_head(report: RunReport) -> Text:
    until = report.ended_at or report.now
    head = Text(report.run_id, style="bold")
    head.append(f"   {report.title}   {STATES.get(report.state, report.state)}   ", style="none")
    head.append(span(until - report.created_at), style="none")
    if report.simulated:
        head.append("   ").append(screen.SIMULATED)
    return head


def _batches(report: RunReport, shown: int) -> Table:
    made = screen.table("BATCH", "REQUESTS", "STATE", "AGE", right=(1,), fold=(2,))
    for batch in report.batches[-shown:]:
        made.add_row(
            batch.provider_batch_id or f"({batch.shard_id})",
            f"{batch.requests:,}",
            _batch_state(report, batch),
            "-" if batch.age is None else span(batch.age),
        )
    left_out = len(report.batches) - shown
    if left_out > 0:
        made.add_row(f"and {left_out:,} earlier ones", "", "", "", style="dim")
    return made


def _batch_state(report: RunReport, batch: BatchReport) -> str:
    state = BATCH_STATES.get(batch.state, batch.state)
    if 0 < batch.landed < batch.requests:
        state = f"{state}: {batch.landed:,} landed"
    if batch.role not in ("ours", ""):
        state = f"{state} ({batch.role})"
    usual = report.turnaround
    if usual is not None and batch.ended_at is None and batch.age is not None and batch.age > usual.nine_in_ten:
        state = f"{state}, unusually long"
    return f"{state}, {batch.error}" if batch.error else state


def _run_lines(report: RunReport) -> Iterator[tuple[str, str | Text]]:
    yield "Route", _run_route(report)
    if report.deadline_at is not None:
        yield "Deadline", _run_deadline(report)
    wave = "" if report.waves == 1 else f", wave {report.wave + 1} of {report.waves}"
    yield "Answered", f"{report.answered:,} of {report.planned:,}{wave}"
    yield from _answer_lines(report)
    rest = [
        f"{count:,} {word}"
        for count, word in (
            (report.out, "on their way"),
            (report.waiting, "waiting"),
            (report.retrying, "go out again"),
            (report.failed, "failed"),
            (report.canceled, "canceled"),
        )
        if count
    ]
    if rest:
        yield "", ", ".join(rest)
    yield "Spent", _money(report)
    if report.saved:
        yield "Saved", f"{show_dollars(report.saved)} against real time{'' if report.over else ', so far'}"
    yield from _lost_lines(report)
    if report.can_succeed and report.over:
        yield "Retry", Text(_retry(report), style=screen.ADVICE)
    if report.stages:
        yield "Stages", stages(report)
    if not report.over:
        if report.turnaround is not None:
            half, nine_in_ten = span(report.turnaround.half), span(report.turnaround.nine_in_ten)
            yield (
                "Usual",
                f"half of the last {counted(report.turnaround.batches, 'batch', 'batches')} came back in {half}, 9 in 10 in {nine_in_ten}",
            )
        yield "Ready", _ready(report)
    if report.reason:
        yield "Reason", Text(report.reason, style=screen.BAD)
    if not report.over and not report.worked_on:
        yield "Worker", Text(_nobody(report), style=screen.ADVICE)
    if report.pruned:
        yield "Pruned", "its requests and answers are deleted; the books stay"
    if report.delivered_to:
        yield "Out", report.delivered_to


def _run_route(report: RunReport) -> str:
    """Say by which lane it goes, and at whom."""
    lane = ROUTES.get(report.route, report.route)
    asked = report.provider.replace(" ", " and ")
    moved = ": what was still out has moved there" if report.hastened else ""
    return f"{lane}, {asked}{moved}" if asked else f"{lane}{moved}"


def _run_deadline(report: RunReport) -> str:
    """Say until when it must be done, how far that is, and when it moves to real time."""
    assert report.deadline_at is not None
    at, until = report.deadline_at, report.ended_at or report.now
    if report.over:
        word = "met" if report.state == "done" else STATES[report.state]  # what was stopped has met nothing
        how = f"{word}, {span(at - until)} before it" if until <= at else f"missed by {span(until - at)}"
        return f"{full(at)}: {how}"
    how = f"in {span(at - until)}" if until <= at else f"missed, {span(until - at)} ago"
    moves = report.hasten_at is not None and not report.hastened and report.hasten_at > report.now
    later = f"; what is out moves to real time at {moment(report.hasten_at, report.now)}" if moves else ""
    return f"{full(at)}, {how}{later}"


def _answer_lines(report: RunReport) -> Iterator[tuple[str, str | Text]]:
    """Say how many answers are cut short or refused (outcomes of their own, and no failures), and what was never asked for."""
    if report.unasked:
        count = f"{counted(report.unasked, 'request')} of the plan"
        yield "", f"{count} never asked for: later waves, kept back by a cancel or by what failed before them"
    kinds = [f"{report.cut:,} cut at their limit"] if report.cut else []
    kinds += [f"{report.declined:,} refused by the model"] if report.declined else []
    if kinds:
        yield "", f"of which {', '.join(kinds)}: billed as answers, not asked again"
    if report.cut:
        yield "", Text(_larger_limit(report), style=screen.ADVICE)


def _larger_limit(report: RunReport) -> str:
    """Say how an answer that was cut would get more room."""
    match report.workload:
        case "table":
            return "to have them whole, plan again with a larger --max-output-tokens"
        case "bpmn":
            return "to have them whole, plan again with a larger max_output_tokens in the table of documents"
        case _:
            return "to have them whole, plan again with a larger max_tokens in their lines"


def _lost_lines(report: RunReport) -> Iterator[tuple[str, str | Text]]:
    """Say what money bought nothing, or may have bought nothing."""
    for name, amount in report.nothing_bought.items():
        if name != DOUBT or not report.doubts:
            yield "Lost", Text(f"{show_dollars(amount)} {NOTHING_BOUGHT.get(name, name)}", style=screen.ADVICE)
    if report.doubts:
        yield "Doubts", Text(doubts_hint(report), style=screen.ADVICE)


def doubts_hint(report: RunReport) -> str:
    """Say how much lost replies hold, and where they are listed."""
    held = show_dollars(report.nothing_bought.get(DOUBT, ZERO))
    lost = counted(report.doubts, "lost reply counts", "lost replies count")
    return f"{held} for {lost} as spent until settled: lowtide doubt {report.run_id}"


def _retry(report: RunReport) -> str:
    over = report.failed + report.canceled
    return f"{report.can_succeed:,} of {over:,} can still succeed: lowtide retry {report.run_id}"


def stages(report: RunReport) -> str:
    """Write how long each stage lasted, in order."""
    spans = {stage: span(length) if length >= A_SECOND else "under 1 s" for stage, length in report.stages.items()}
    return ", ".join(f"{stage.value} {length}" for stage, length in spans.items())


def _money(report: RunReport) -> str:
    spent, held = show_sum([report.spent, report.held])
    text = f"{spent} billed"
    if report.held:
        text += f" + {held} committed"
    text += f"   {_planned(report)}"
    return text + ("   no cap" if report.cap is None else f"   cap {show_dollars(report.cap)}")


def _planned(report: RunReport) -> str:
    """Say what a run was expected to cost, where somebody planned it."""
    return f"plan {show_dollars(report.plan_likely)}" if report.has_plan else "no plan"


def _ready(report: RunReport) -> str:
    look = "" if report.next_look_at is None else f"   next look in {span(report.next_look_at - report.now)}"
    if report.state == "paused":
        return "not before it goes on"
    if report.ready_from is None or report.ready_to is None:
        return f"no history yet; the provider may take a day{look}"
    return f"about {moment(report.ready_from, report.now)} - {moment(report.ready_to, report.now)}{look}"


def _nobody(report: RunReport) -> str:
    if report.state == "paused":
        return f"it waits for you: {way_on(report)}"
    return f"nobody works on it: lowtide worker, or lowtide run {report.run_id}"


def way_on(report: RunReport) -> str:
    """Name the command that lets a paused run go on."""
    if report.reason == AT_ITS_CAP:
        return f"lowtide raise {report.run_id} --cap AMOUNT, then lowtide run {report.run_id}"
    if KEY_REFUSED in report.reason:
        return f"set a key that is accepted, then lowtide run {report.run_id}"
    return f"lowtide run {report.run_id}"


def _failures(report: RunReport) -> Table:
    made = screen.table("REQUESTS", "", "WHY", right=(0,), fold=(2,))
    for failure in report.failures:
        made.add_row(f"{failure.requests:,}", _fate(failure), _why(failure.code, failure.example))
    return made


def _fate(failure: FailureReport) -> str:
    """Say what becomes of a failure."""
    if failure.state == "retry":
        return "goes again"
    return failure.state if failure.can_succeed else f"{failure.state} for good"


def _why(code: str, example: str) -> str:
    return f'{code}: "{example}"' if example else code


def _holds(report: RunReport) -> Table:
    made = screen.table("HELD", "FOR", right=(0,), fold=(1,))
    for hold in report.holds:
        where = f" ({hold.shard_id})" if hold.shard_id else f" ({hold.holds:,} of them)" if hold.holds > 1 else ""
        made.add_row(show_dollars(hold.amount), f"{HOLDS.get(hold.reason, hold.reason)}{where}")
    return made


def _history(events: Sequence[Event]) -> Table:
    made = screen.table("WHEN", "WHAT", fold=(1,))
    for event in events:
        made.add_row(screen.stamp(event.at), Text(event.text, style="none" if event.level == "info" else screen.ADVICE))
    return made


def end_picture(report: RunReport, *, out: str) -> RenderableType:
    """Draw what a run came to, in one block. ``out`` says where its answers are."""
    return Group(_run_head(report), "", screen.lines(list(_end_lines(report, out))))


def _end_lines(report: RunReport, out: str) -> Iterator[tuple[str, str | Text]]:
    yield "Answered", f"{report.answered:,} of {report.planned:,}"
    rest = {name: count for name, count in report.stop_reasons.items() if name not in USUAL_ENDS}
    if rest:
        yield "", "of which " + ", ".join(f"{count:,} stopped by {name}" for name, count in sorted(rest.items()))
    yield from _answer_lines(report)
    for failure in report.failures:
        if failure.state != "canceled":
            word = "Failed" if failure.state == "failed" else "Again"
            yield word, Text(f"{failure.requests:,} {_why(failure.code, failure.example)}", style=screen.BAD)
    if report.failed and not report.failures:  # of a pruned run nobody knows any more why
        yield "Failed", Text(f"{report.failed:,}", style=screen.BAD)
    if report.canceled:
        yield "Canceled", f"{report.canceled:,}"
    if report.can_succeed and report.over:
        yield "Retry", Text(_retry(report), style=screen.ADVICE)
    if report.deadline_at is not None:
        yield "Deadline", _run_deadline(report)
    if report.waiting or report.out:
        yield "Open", f"{report.out:,} on their way, {report.waiting:,} waiting"
    cost = f"{show_dollars(report.spent)} billed"
    if not (report.over and report.state == "done"):
        cost += f" + {show_dollars(report.held)} committed; {_planned(report)}"
    elif report.has_plan:
        cost += f"; {_planned(report)} ({screen.against(report.spent, report.plan_likely)})"
    else:
        cost += f"; {_planned(report)}"
    yield "Cost", cost + ("; no cap" if report.cap is None else f"; cap {show_dollars(report.cap)}")
    if report.saved:
        yield "Saved", f"{show_dollars(report.saved)} against real time"
    yield from _lost_lines(report)
    yield "Time", span((report.ended_at or report.now) - report.created_at)
    if report.stages:
        yield "", stages(report)
    yield "Answers", out


def answers_at(report: RunReport) -> str:
    """Say where the answers of a run are."""
    if report.pruned and not report.delivered_to:
        return "pruned"
    return report.delivered_to or f"lowtide results {report.run_id}"


# status


def runs_table(reports: Sequence[RunReport]) -> Table:
    """List runs, newest first."""
    made = screen.table("RUN", "NAME", "STATE", "ANSWERED", "SPENT / PLAN", "READY", right=(3, 4), fold=(1,))
    made.columns[1].max_width = 22
    for report in reports:
        made.add_row(
            report.run_id,
            _name(report.title),
            STATES.get(report.state, report.state),
            f"{report.answered:,} / {report.planned:,}",
            f"{show_dollars(report.spent)} / {show_dollars(report.plan_likely) if report.has_plan else '-'}",
            "-" if report.state == "paused" else moment(report.ended_at or report.ready_from, report.now),
        )
    return made


def _name(title: str) -> Text:
    """A name on one line: it is cut before an id or a figure is."""
    return Text(title, no_wrap=True, overflow="ellipsis")


def needs(report: RunReport) -> Iterator[Text]:
    """Say what a run waits for, when it is a person."""
    if report.state == "paused":
        yield Text(f"{report.run_id} is paused: {report.reason}", style=screen.ADVICE)
        yield Text(f"  {way_on(report)}")
    elif not report.over and not report.worked_on:
        yield Text(f"{report.run_id}: {_nobody(report)}", style=screen.ADVICE)
    if report.doubts:
        yield Text(f"{report.run_id}: {doubts_hint(report)}", style=screen.ADVICE)


def plans_table(plans: Sequence[Plan], now: datetime) -> Table:
    """List plans that were not run."""
    made = screen.table("PLAN, NOT RUN", "NAME", "MADE", "REQUESTS", "LIKELY", "AT MOST", right=(3, 4, 5), fold=(1,))
    made.columns[1].max_width = 22
    for plan in plans:
        made.add_row(
            plan.plan_id,
            _name(plan.title),
            moment(plan.created_at, now),
            f"{plan.requests:,}",
            show_dollars(plan.cost_likely),
            show_dollars(plan.cost_ceiling),
        )
    return made


def show(where: Console, *things: RenderableType) -> None:
    """Print things, one below the other; off a terminal no line ends in spaces."""
    if where.is_terminal:
        for thing in things:
            where.print(thing, crop=False)
        return
    with where.capture() as captured:
        for thing in things:
            where.print(thing, crop=False)
    where.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    where.file.flush()
