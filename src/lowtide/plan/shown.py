"""The plan as it is shown and kept: its nouns, its digest, and its form as bytes.

A plan is a promise (promise 5): whatever it showed as known is in the digest. ``draft`` makes plans, ``promises`` compares them
with what is true later.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import msgspec

from lowtide.caching import CachingLine
from lowtide.money import ZERO, Nanos
from lowtide.request import RequestKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the plan: requests of one route, provider and model.

    Tokens are likely counts, inclusive; money in nano-dollars. ``realtime_likely`` is what the same requests cost in real
    time. ``parts`` is how many batches the provider's limits make of it at least, each wave by itself.
    """

    route: str
    provider: str
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_floor: Nanos
    cost_likely: Nanos
    cost_ceiling: Nanos
    realtime_likely: Nanos
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveLine:
    """One wave: its requests by kind. ``exact`` is False where bodies quote answers that do not exist yet.

    ``lanes`` has likely cost and ceiling by lane, ``realtime_seconds`` how long it takes inside the limits of real time.
    """

    wave: int
    requests: int
    kinds: dict[str, int]
    exact: bool
    lanes: dict[str, tuple[int, int]] = field(default_factory=dict)
    realtime_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LongPrompt:
    """A request whose prompt passes a context-price threshold, with the dollars that this adds (B13)."""

    key: RequestKey
    input_tokens: int
    threshold: int
    extra: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUsed:
    """A price sheet that the plan rests on: its digest, and its sources for people."""

    provider: str
    model: str
    lane: str
    day: date
    digest: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnaround:
    """How long earlier batches took, from our own record: half of them, nine in ten. ``batches`` is how many."""

    batches: int
    half: timedelta
    nine_in_ten: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan as it is shown and kept. ``turnaround`` is ``None`` when there is no history yet.

    ``cost_low`` and ``cost_high`` are the 95% range of the cost, ``cost_ceiling`` the most it can be. ``blocked`` says why
    it cannot be run, empty when it can. ``provider`` names every one that is asked, space between. ``route`` is how
    requests go out (but for the first of each kind), ``route_reason`` why, in a sentence. ``ready_half`` and
    ``ready_nine_in_ten`` are how long after its start it is done.

    ``deadline_at`` is the deadline that the plan was made for. ``moves`` says that for its sake the lane of each wave is
    chosen anew, and what is out may move to a quicker one: the first wave at ``hasten_at`` (``None``: never) to
    ``hasten_to``. The ceiling then is of the dearest lane, and ``cost_likely`` has ``moves_likely`` beside the lines: what
    moving is expected to add (or later waves to save). ``sure`` says that the deadline holds even if nothing comes back
    from a cheap lane, ``misses`` that even real time cannot meet it.

    ``caching`` has what the first wave shares and what is cached of it, by model: ``cost_likely`` is less by what that is
    expected to save, beside the lines; floor and range count all that is marked as read, the range's end as never read.

    ``kinds_unknown`` have too few earlier answers: what theirs will cost goes from its floor to its ceiling in the range.
    ``answers_seen`` is how many earlier answers the others rest on. ``pilot`` is the plan of a pilot that was made for this
    one, empty for none: ``reused`` answers of it are taken over, and cost nothing here. A pilot's own plan names the plan
    that it is a sample of, ``sample_of``.
    """

    plan_id: str
    title: str
    workload: str
    source: str
    source_digest: str
    provider: str
    created_at: datetime
    prices_on: date
    simulated: bool
    requests: int
    lines: tuple[Line, ...]
    waves: tuple[WaveLine, ...]
    cost_floor: Nanos
    cost_low: Nanos
    cost_likely: Nanos
    cost_high: Nanos
    cost_ceiling: Nanos
    realtime_likely: Nanos
    largest_ceiling: Nanos
    basis_input: str
    basis_output: str
    long_prompts: tuple[LongPrompt, ...]
    long_prompts_count: int
    near_threshold_count: int
    prices: tuple[PriceUsed, ...]
    turnaround: Turnaround | None
    warnings: tuple[str, ...]
    route: str = "batch"
    route_reason: str = ""
    deadline_at: datetime | None = None
    hasten_at: datetime | None = None
    hasten_to: str = "realtime"
    moves: bool = False
    moves_likely: Nanos = ZERO
    sure: bool = True
    ready_half: timedelta | None = None
    ready_nine_in_ten: timedelta | None = None
    ready_basis: str = ""
    misses: bool = False
    caching: tuple[CachingLine, ...] = ()
    blocked: str = ""
    kinds_unknown: tuple[str, ...] = ()
    answers_seen: int = 0
    pilot: str = ""
    reused: int = 0
    sample_of: str = ""
    digest: str = ""

    @property
    def saving(self) -> Nanos:
        """What the batch price saves against real time."""
        return Nanos(self.realtime_likely - self.cost_likely)

    @property
    def caching_likely(self) -> Nanos:
        """What caching is expected to change: negative when it saves. Lines, moves and this make ``cost_likely``."""
        return Nanos(self.cost_likely - self.moves_likely - sum(line.cost_likely for line in self.lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a plan says of itself beside its figures."""

    plan_id: str
    title: str
    workload: str
    source: str
    source_digest: str
    created_at: datetime
    simulated: bool
    turnaround: Turnaround | None
    route: str = "batch"
    route_reason: str = ""
    deadline_at: datetime | None = None
    hasten_at: datetime | None = None
    hasten_to: str = "realtime"
    moves: bool = False
    moves_likely: Nanos = ZERO
    sure: bool = True
    ready_half: timedelta | None = None
    ready_nine_in_ten: timedelta | None = None
    ready_basis: str = ""
    misses: bool = False
    caching: tuple[CachingLine, ...] = ()
    blocked: str = ""
    pilot: str = ""
    sample_of: str = ""


def digest(plan: Plan) -> str:
    """Give the SHA-256 (hex) of everything a plan promises; the id and the moment of making are left out."""
    promise = replace(plan, plan_id="", digest="", created_at=datetime.fromisoformat("2000-01-01T00:00:00+00:00"))
    return hashlib.sha256(msgspec.json.encode(promise)).hexdigest()


def encode(plan: Plan) -> bytes:
    """Write a plan as JSON, to be kept."""
    return msgspec.json.encode(plan)


def decode(figures: bytes) -> Plan:
    """Read a kept plan."""
    return msgspec.json.decode(figures, type=Plan)
