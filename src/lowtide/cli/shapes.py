"""What commands print for programs: our values as JSON with a schema version. The edge owns these shapes, not the types.

Money is a decimal string in dollars, beside ``currency``; instants are UTC in ISO 8601; counts are integers; ``null`` is
unknown. A field is added freely; one that changes its meaning changes ``schema``.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

import msgspec

from lowtide.caching import CachingLine
from lowtide.cli.failing import SCHEMA
from lowtide.cli.options import iso
from lowtide.engine import Event
from lowtide.errors import Problem
from lowtide.money import Nanos, decimal_dollars
from lowtide.plan import Plan, Rounds, Turnaround
from lowtide.reports import BatchReport, Check, DoubtReport, ModelPrices, PriceLine, RunReport, UnknownBatch

Json = dict[str, Any]
CURRENCY = "USD"


def print_json(body: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """Print one object on one line, on standard output unless another stream is named."""
    where = sys.stdout if stream is None else stream
    where.write(msgspec.json.encode({"schema": SCHEMA, **body}).decode() + "\n")
    where.flush()


def seconds(length: timedelta | None) -> int | None:
    """Write a span of time as whole seconds."""
    return None if length is None else round(length.total_seconds())


def dollars(amount: int | None) -> str | None:
    """Write an exact amount of dollars; ``None`` is not known."""
    return None if amount is None else decimal_dollars(amount)


def _turnaround(usual: Turnaround | None) -> Json | None:
    if usual is None:
        return None
    return {
        "batches": usual.batches,
        "half_seconds": seconds(usual.half),
        "nine_in_ten_seconds": seconds(usual.nine_in_ten),
    }


def problem_json(problem: Problem) -> Json:
    """Write one problem of an input."""
    return {"where": problem.where, "what": problem.what, "hint": problem.hint}


def _caching(line: CachingLine) -> dict[str, object]:
    """Write what the first wave shares of one model's input, and what is cached of it."""
    amounts = {name: decimal_dollars(getattr(line, name)) for name in ("none", "everywhere", "chosen", "best", "worst")}
    return {
        "provider": line.provider,
        "model": line.model,
        "route": line.lane,
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "shared_tokens": line.shared_tokens,
        "cacheable_tokens": line.cacheable_tokens,
        "lifetime": line.lifetime or None,
        "breakpoints": line.breakpoints,
        "batches_first": line.rounds,
        "requests_first": line.firsts,
        "hits": {"percent": line.hits_percent, "basis": line.hits_basis, "source": line.hits_source or None},
        "input_cost": amounts,
        "why": line.why,
        "reasons": list(line.reasons),
    }


def plan_json(plan: Plan, problems: Iterable[Problem] = (), release: Rounds | None = None) -> Json:
    """Write a plan."""
    return {
        "type": "plan",
        "plan": plan.plan_id,
        "digest": plan.digest,
        "title": plan.title,
        "workload": plan.workload,
        "source": plan.source,
        "source_digest": plan.source_digest,
        "provider": plan.provider,
        "created_at": iso(plan.created_at),
        "prices_on": plan.prices_on.isoformat(),
        "simulated": plan.simulated,
        "requests": plan.requests,
        "currency": CURRENCY,
        "cost": {
            "floor": decimal_dollars(plan.cost_floor),
            "low": decimal_dollars(plan.cost_low),
            "likely": decimal_dollars(plan.cost_likely),
            "high": decimal_dollars(plan.cost_high),
            "ceiling": decimal_dollars(plan.cost_ceiling),
            "moves_likely": decimal_dollars(plan.moves_likely),
            "caching_likely": decimal_dollars(plan.caching_likely),
            "realtime_likely": decimal_dollars(plan.realtime_likely),
            "saving": decimal_dollars(plan.saving),
        },
        "basis": {
            "input": plan.basis_input,
            "output": plan.basis_output,
            "answers_seen": plan.answers_seen,
            "kinds_unknown": list(plan.kinds_unknown),
        },
        "pilot": {"plan": plan.pilot, "reused": plan.reused} if plan.pilot else None,
        "route": plan.route,
        "route_reason": plan.route_reason or None,
        "deadline_at": iso(plan.deadline_at),
        "deadline_sure": plan.sure,
        "misses_deadline": plan.misses,
        "moves": plan.moves,
        "hasten_at": iso(plan.hasten_at),
        "hasten_to": plan.hasten_to if plan.hasten_at is not None else None,
        "ready": {
            "half_seconds": seconds(plan.ready_half),
            "nine_in_ten_seconds": seconds(plan.ready_nine_in_ten),
            "basis": plan.ready_basis or None,
        },
        "caching": [_caching(line) for line in plan.caching],
        "lines": [
            {
                "route": line.route,
                "provider": line.provider,
                "model": line.model,
                "requests": line.requests,
                "batches_at_least": line.parts,
                "input_tokens": line.input_tokens,
                "output_tokens": line.output_tokens,
                "likely": decimal_dollars(line.cost_likely),
                "ceiling": decimal_dollars(line.cost_ceiling),
                "realtime_likely": decimal_dollars(line.realtime_likely),
            }
            for line in plan.lines
        ],
        "waves": [
            {
                "wave": wave.wave + 1,
                "requests": wave.requests,
                "kinds": wave.kinds,
                "exact": wave.exact,
                "lanes": {
                    lane: {"likely": decimal_dollars(Nanos(likely)), "ceiling": decimal_dollars(Nanos(ceiling))}
                    for lane, (likely, ceiling) in wave.lanes.items()
                },
                "realtime_seconds": wave.realtime_seconds,
            }
            for wave in plan.waves
        ],
        "long_prompts": [
            {
                "key": prompt.key,
                "input_tokens": prompt.input_tokens,
                "threshold": prompt.threshold,
                "extra": decimal_dollars(prompt.extra),
            }
            for prompt in plan.long_prompts
        ],
        "long_prompts_count": plan.long_prompts_count,
        "near_threshold_count": plan.near_threshold_count,
        "prices": [
            {
                "provider": used.provider,
                "model": used.model,
                "lane": used.lane,
                "day": used.day.isoformat(),
                "sources": list(used.sources),
            }
            for used in plan.prices
        ],
        "turnaround": _turnaround(plan.turnaround),
        "warnings": list(plan.warnings),
        "problems": [problem_json(problem) for problem in problems],
        "blocked": plan.blocked or None,
        "rounds": None if release is None else {"rounds": release.rounds, "may_pause": release.may_pause},
    }


def batch_json(batch: BatchReport) -> Json:
    """Write one batch of a run."""
    return {
        "batch": batch.provider_batch_id,
        "provider": batch.provider,
        "shard": batch.shard_id,
        "role": batch.role,
        "state": batch.state,
        "requests": batch.requests,
        "landed": batch.landed,
        "created_at": iso(batch.created_at),
        "ended_at": iso(batch.ended_at),
        "age_seconds": seconds(batch.age),
        "error": batch.error or None,
    }


def stages_json(report: RunReport) -> Json:
    """Write how long each stage of a run lasted, in milliseconds; one that has not begun is left out."""
    return {f"{stage.value}_ms": length // timedelta(milliseconds=1) for stage, length in report.stages.items()}


def doubt_json(doubt: DoubtReport) -> Json:
    """Write a real-time call whose reply was lost."""
    return {
        "run": doubt.run_id,
        "key": doubt.key,
        "provider": doubt.provider,
        "model": doubt.model,
        "held": decimal_dollars(doubt.held),
        "at": iso(doubt.at),
        "request_state": doubt.request_state,
    }


def run_json(report: RunReport) -> Json:
    """Write a run, whole."""
    return {
        "type": "run",
        "run": report.run_id,
        "plan": report.plan_id,
        "title": report.title,
        "workload": report.workload,
        "source": report.source,
        "model": report.model,
        "providers": report.provider.split(),
        "route": report.route,
        "deadline_at": iso(report.deadline_at),
        "hasten_at": iso(report.hasten_at),
        "hastened": report.hastened,
        "simulated": report.simulated,
        "state": report.state,
        "pruned": report.pruned,
        "reason": report.reason or None,
        "worked_on": report.worked_on,
        "wave": report.wave + 1,
        "waves": report.waves,
        "requests": {
            "planned": report.planned,
            "answered": report.answered,
            "failed": report.failed,
            "canceled": report.canceled,
            "retrying": report.retrying,
            "out": report.out,
            "waiting": report.waiting,
            "unasked": report.unasked,
        },
        "stop_reasons": dict(report.stop_reasons),
        "cut": report.cut,
        "declined": report.declined,
        "can_succeed": report.can_succeed,
        "doubts": report.doubts,
        "stages": stages_json(report),
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "currency": CURRENCY,
        "spent": decimal_dollars(report.spent),
        "held": decimal_dollars(report.held),
        "cap": dollars(report.cap),
        "plan_likely": decimal_dollars(report.plan_likely) if report.has_plan else None,
        "plan_ceiling": decimal_dollars(report.plan_ceiling) if report.has_plan else None,
        "saved": dollars(report.saved),
        "nothing_bought": {name: decimal_dollars(amount) for name, amount in report.nothing_bought.items()},
        "holds": [
            {
                "reason": hold.reason,
                "shard": hold.shard_id or None,
                "amount": decimal_dollars(hold.amount),
                "holds": hold.holds,
            }
            for hold in report.holds
        ],
        "batches": [batch_json(batch) for batch in report.batches],
        "failures": [
            {
                "state": each.state,
                "code": each.code,
                "requests": each.requests,
                "example": each.example,
                "can_succeed": each.can_succeed,
            }
            for each in report.failures
        ],
        "turnaround": _turnaround(report.turnaround),
        "ready_from": iso(report.ready_from),
        "ready_to": iso(report.ready_to),
        "next_look_at": iso(report.next_look_at),
        "delivered_to": report.delivered_to or None,
        "created_at": iso(report.created_at),
        "ended_at": iso(report.ended_at),
        "now": iso(report.now),
    }


def results_json(report: RunReport, count: int, out: Path | None) -> Json:
    """Write what the results of a run come to: how many were written, and how long each stage of the run lasted."""
    return {
        "type": "results",
        "run": report.run_id,
        "state": report.state,
        "simulated": report.simulated,
        "currency": CURRENCY,
        "spent": decimal_dollars(report.spent),
        "held": decimal_dollars(report.held),
        "results": count,
        "out": None if out is None else str(out),
        "planned": report.planned,
        "answered": report.answered,
        "failed": report.failed,
        "canceled": report.canceled,
        "cut": report.cut,
        "declined": report.declined,
        "stages": stages_json(report),
    }


def event_json(run_id: str, event: Event) -> Json:
    """Write one line of a run's history."""
    return {"type": "event", "run": run_id, "at": iso(event.at), "level": event.level, "text": event.text}


def price_json(line: PriceLine) -> Json:
    """Write one price."""
    return {
        "provider": line.provider,
        "model": line.model,
        "lane": line.lane,
        "kind": line.kind,
        "prompt_tokens_over": line.prompt_tokens_over,
        "dollars_per_million": f"{line.dollars_per_million:f}",
        "effective_from": line.effective_from.isoformat(),
        "effective_to": None if line.effective_to is None else line.effective_to.isoformat(),
        "source": line.source,
        "checked_on": None if line.checked_on is None else line.checked_on.isoformat(),
    }


def model_json(line: ModelPrices) -> Json:
    """Write what a model costs in short; a lane that is not there has no price."""
    return {
        "provider": line.provider,
        "model": line.model,
        "lanes": {
            lane: {"input": f"{input_:f}", "output": f"{output:f}"} for lane, (input_, output) in line.lanes.items()
        },
        "dearer_over": line.dearer_over,
    }


def check_json(check: Check) -> Json:
    """Write one finding of the doctor."""
    return {"name": check.name, "state": check.state, "finding": check.finding, "hint": check.hint or None}


def unknown_json(batch: UnknownBatch) -> Json:
    """Write a batch that this store knows nothing of."""
    return {
        "batch": batch.provider_batch_id,
        "provider": batch.provider,
        "state": batch.state,
        "requests": batch.requests,
        "created_at": iso(batch.created_at),
        "ended_at": iso(batch.ended_at),
    }
