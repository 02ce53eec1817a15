"""What faces show: figures of plans and runs as values, one source for text, JSON and pages alike. Pure.

Every sum names its scope and comes from the books or from counted rows, never from rows on a screen. Unknown is ``None``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from lowtide.money import Nanos
from lowtide.plan import Turnaround
from lowtide.result import Retry, refusal

CUT = frozenset({"max_tokens", "model_context_window_exceeded"})  # stop reasons of an answer that ended at a limit
DECLINED = frozenset({"refusal"})  # and of one that the model would not give


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """One batch of a run. ``landed`` counts outcomes stored here; the provider's own progress is unknown until it ends.

    ``age`` counts from the provider's creation to its end, or to now; ``None`` is not known.
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
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """Why requests failed or go out again, commonest first. ``example`` quotes the provider."""

    state: str
    code: str
    requests: int
    example: str

    @property
    def can_succeed(self) -> bool:
        """Whether asking again can help; a request that was canceled can always be asked."""
        return refusal(self.code).retry is not Retry.NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReport:
    """Money set aside, and what for: a batch at the provider, a doubt, rows that were bought and never came.

    ``holds`` is how many were added up; of several the shard is not named.
    """

    reason: str
    shard_id: str
    amount: Nanos
    holds: int = 1


class Stage(StrEnum):
    """What a run spends its time on (V7)."""

    PACKAGING = "packaging"  # the plan: read, weigh, price, write
    SUBMITTING = "submitting"  # from reserving for a shard until its batch is known to exist
    WAITING = "waiting"  # for the provider: a batch until it is over, a block of calls until its last reply
    RETRIEVING = "retrieving"  # results of batches that are over
    DELIVERING = "delivering"  # documents written


Span = tuple[datetime, datetime]


def covered(spans: Iterable[Span]) -> timedelta:
    """Give how long at least one of some spans lasted: what overlaps counts once."""
    total, end = timedelta(0), None
    for begin, stop in sorted(spans):
        if end is None or begin > end:
            total += stop - begin
            end = stop
        elif stop > end:
            total += stop - end
            end = stop
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtReport:
    """A real-time call whose reply was lost: whose it was, what is held for it, and how its request stands now."""

    run_id: str
    shard_id: str
    ordinal: int
    key: str
    provider: str
    model: str
    held: Nanos
    at: datetime
    request_state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A run, whole. Money in nano-dollars.

    ``route`` is how it went out first; ``hasten_at`` when what is out moves to real time, ``hastened`` that it did.
    ``stages`` is how long each stage lasted, counted once where shards overlap; one that has not begun is left out.

    ``planned`` is how many requests the plan counts, and of a run that is over how many were made; ``unasked`` is what it is
    short of the plan then: later waves that a cancel or a failed child kept from being made. ``answered``, ``failed``, ``canceled`` are final, ``retrying`` go out
    again, ``out`` are in shards now, ``waiting`` are not sent yet (later waves included). ``spent`` is the sum of
    settlements, ``held`` the sum of holds. ``saved`` compares batch answers with the same in real time. ``ready_from`` and
    ``ready_to`` are ``None`` where there is no history. ``nothing_bought`` is money that bought nothing, by name.

    ``has_plan``: whether it was planned here; of an adopted batch nobody knows what it was expected to cost.
    ``pruned``: requests and answers were deleted. What was sent is counted by what its attempts say, which stay; what a
    cancel kept from being sent is counted no more, and ``saved`` is not known.
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
    saved: Nanos | None
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
    provider: str = ""
    route: str = "batch"
    deadline_at: datetime | None = None
    hasten_at: datetime | None = None
    hastened: bool = False
    doubts: int = 0
    stages: Mapping[Stage, timedelta] = field(default_factory=dict)
    unasked: int = 0
    pruned: bool = False
    has_plan: bool = True

    @property
    def over(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.state in ("done", "failed", "canceled")

    @property
    def cut(self) -> int:
        """How many answers ended at their limit: they were billed, and a larger limit would give more."""
        return sum(count for reason, count in self.stop_reasons.items() if reason in CUT)

    @property
    def declined(self) -> int:
        """How many answers the model refused to give: they were billed, and asking again gives the same."""
        return sum(count for reason, count in self.stop_reasons.items() if reason in DECLINED)

    @property
    def can_succeed(self) -> int:
        """How many of those that failed or were canceled can still succeed, also of those that were never sent."""
        told = sum(each.requests for each in self.failures if each.state == "canceled")
        return (self.canceled - told) + sum(
            each.requests for each in self.failures if each.state != "retry" and each.can_succeed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One request and what came of it. ``message`` are the provider's bytes, ``text`` its visible text.

    ``protocol`` is whose form its results have: ``anthropic`` or ``openai``. ``cost`` is ``None`` where it is not known: an
    answer without a known price, a reply that was lost. ``simulated``: no money of ours.
    """

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
    cost: Nanos | None
    route: str
    wave: int
    provider: str = ""
    protocol: str = "anthropic"
    simulated: bool = False


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
class ModelPrices:
    """What a model costs in short: dollars per million tokens of input and output by lane, for prompts of usual length.

    A lane that is not there has no price then: unknown, or not sold. ``dearer_over`` is the length of a prompt, in tokens,
    from which on a higher price holds; ``None`` where all lengths cost the same.
    """

    provider: str
    model: str
    lanes: Mapping[str, tuple[Decimal, Decimal]]
    dearer_over: int | None


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
    provider: str = ""


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
