"""What faces show: figures of plans and runs as values, one source for text, JSON and pages alike. Pure.

Every sum names its scope and comes from the books or from counted rows, never from rows on a screen. Unknown is ``None``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from lowtide.money import Nanos
from lowtide.plan import Turnaround


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """One batch of a run. ``landed`` counts outcomes stored here; the provider's own progress is unknown until it ends.

    ``age`` counts from the provider's creation to its end, or to now.
    """

    shard_id: str
    provider_batch_id: str | None
    role: str
    state: str
    requests: int
    landed: int
    created_at: datetime | None
    ended_at: datetime | None
    age: timedelta | None
    next_look_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """Why requests failed or go out again, commonest first. ``example`` quotes the provider."""

    state: str
    code: str
    requests: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReport:
    """Money set aside, and what for: a batch at the provider, a doubt, rows that were bought and never came."""

    reason: str
    shard_id: str
    amount: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A run, whole. Money in nano-dollars.

    ``planned`` is how many requests the plan counts; ``answered``, ``failed``, ``canceled`` are final, ``retrying`` go out
    again, ``out`` are in shards now, ``waiting`` are not sent yet (later waves included). ``spent`` is the sum of
    settlements, ``held`` the sum of holds. ``saved`` compares batch answers with the same in real time. ``ready_from`` and
    ``ready_to`` are ``None`` where there is no history. ``nothing_bought`` is money that bought nothing, by name.
    """

    run_id: str
    plan_id: str
    title: str
    workload: str
    source: str
    model: str
    simulated: bool
    state: str
    reason: str
    wave: int
    waves: int
    planned: int
    answered: int
    failed: int
    canceled: int
    retrying: int
    out: int
    waiting: int
    stop_reasons: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    spent: Nanos
    held: Nanos
    cap: Nanos | None
    plan_likely: Nanos
    plan_ceiling: Nanos
    saved: Nanos
    nothing_bought: Mapping[str, Nanos]
    holds: tuple[HoldReport, ...]
    batches: tuple[BatchReport, ...]
    failures: tuple[FailureReport, ...]
    turnaround: Turnaround | None
    ready_from: datetime | None
    ready_to: datetime | None
    next_look_at: datetime | None
    delivered_to: str
    created_at: datetime
    ended_at: datetime | None
    now: datetime
    worked_on: bool

    @property
    def over(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.state in ("done", "failed", "canceled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One request and what came of it. ``message`` are the provider's bytes, ``text`` its visible text."""

    key: str
    state: str
    outcome: str
    code: str
    error: str
    model: str
    text: str | None
    message: bytes | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: Nanos
    route: str
    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLine:
    """What a model costs on a day: one line a lane, token kind and prompt-length tier, with its source."""

    provider: str
    model: str
    lane: str
    kind: str
    prompt_tokens_over: int
    dollars_per_million: Decimal
    effective_from: date
    effective_to: date | None
    source: str
    checked_on: date | None
    recorded_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing the doctor looked at. ``state`` is ``ok``, ``warning`` or ``bad``."""

    name: str
    state: str
    finding: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownBatch:
    """A batch at the provider that this store knows nothing of."""

    provider_batch_id: str
    state: str
    requests: int
    created_at: datetime
    ended_at: datetime | None


def turnaround(durations: list[timedelta]) -> Turnaround | None:
    """Sum up how long batches took; ``None`` without history."""
    if not durations:
        return None
    ordered = sorted(durations)
    last = len(ordered) - 1
    return Turnaround(batches=len(ordered), half=ordered[last // 2], nine_in_ten=ordered[min(last, -(-last * 9 // 10))])


def ready(
    usual: Turnaround | None, *, oldest_open: datetime | None, waves_left: int, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Say when a run is likely to be ready, from and to; unknown without history. A wave takes one turnaround."""
    if usual is None:
        return None, None
    begun = oldest_open or now
    first = max(now, begun + usual.half) + usual.half * waves_left
    last = max(now, begun + usual.nine_in_ten) + usual.nine_in_ten * waves_left
    return first, last
