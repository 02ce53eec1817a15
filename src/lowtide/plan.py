"""The plan: what a run will be, what it will cost, and what is not known. Made before anything is sent, kept with a digest.

A plan is a promise (promise 5). Requests of the first wave are exact; later waves quote texts that do not exist yet, so
their counts are exact and their tokens are bounded. ``Draft`` adds up what it is told, request by request, in constant
memory; ``changes`` compares a plan with what is true now. Nothing here reads a store, a clock or a file.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import msgspec

from lowtide.catalog import Catalog, Lane
from lowtide.errors import PriceUnknown
from lowtide.estimate import Basis, TokenRange
from lowtide.money import Nanos
from lowtide.request import RequestKey

LONG_PROMPTS_LISTED = 50
NEAR_THRESHOLD = (9, 10)  # a prompt nears a threshold at nine tenths of it
ROUNDS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the plan: requests of one route and one model.

    Tokens are likely counts, inclusive; money in nano-dollars. ``realtime_likely`` is what the same requests cost in real
    time. ``parts`` is how many batches the provider's limits make of it.
    """

    route: str
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
    """One wave: its requests by kind. ``exact`` is False where bodies quote answers that do not exist yet."""

    wave: int
    requests: int
    kinds: dict[str, int]
    exact: bool


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
    it cannot be run, empty when it can.
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
    blocked: str = ""
    digest: str = ""

    @property
    def saving(self) -> Nanos:
        """What the batch price saves against real time."""
        return Nanos(self.realtime_likely - self.cost_likely)


@dataclass(slots=True, kw_only=True)
class _Sum:
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    floor: int = 0
    likely: int = 0
    ceiling: int = 0
    realtime: int = 0
    wire_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class Draft:
    """A plan in the making. ``day`` is the day whose prices are quoted; ``batch_requests_max`` and ``_bytes_max`` split."""

    catalog: Catalog
    provider: str
    day: date
    batch_requests_max: int
    batch_bytes_max: int
    sums: dict[tuple[str, str], _Sum] = field(default_factory=dict)
    waves: dict[int, dict[str, int]] = field(default_factory=dict)
    kinds: dict[tuple[str, str], None] = field(default_factory=dict)
    long_prompts: list[LongPrompt] = field(default_factory=list)
    long_prompts_count: int = 0
    near_count: int = 0
    largest_ceiling: int = 0
    unpriced: set[str] = field(default_factory=set)

    def add(
        self,
        *,
        key: RequestKey,
        kind: str,
        model: str,
        tokens_in: TokenRange,
        tokens_out: TokenRange,
        costs: "Costs",
        body_bytes: int,
    ) -> None:
        """Add one request of the first wave. The first of a (kind, model) is the one tried in real time."""
        wave = self.waves.setdefault(0, {})
        wave[kind] = wave.get(kind, 0) + 1
        first = (kind, model) not in self.kinds
        if first:
            self.kinds[kind, model] = None
        route = Lane.REALTIME if first else Lane.BATCH
        total = self._sum(route, model)
        total.requests += 1
        total.input_tokens += tokens_in.likely
        total.output_tokens += tokens_out.likely
        total.wire_bytes += body_bytes
        total.realtime += costs.realtime_likely
        if first:
            total.floor += costs.realtime_floor
            total.likely += costs.realtime_likely
            total.ceiling += costs.realtime_ceiling
            self.largest_ceiling = max(self.largest_ceiling, costs.realtime_ceiling)
        else:
            total.floor += costs.floor
            total.likely += costs.likely
            total.ceiling += costs.ceiling
            self.largest_ceiling = max(self.largest_ceiling, costs.ceiling)
        self._long_prompt(key, model, route, tokens_in, tokens_out)

    def add_later(
        self, *, wave: int, kind: str, model: str, requests: int, costs: "Costs", tokens: tuple[int, int]
    ) -> None:
        """Add the requests of a later wave, whose totals alone are known. ``tokens``: likely input and output sums.

        The ceiling of a single one is not known: the largest is taken to be no smaller than their average.
        """
        if not requests:
            return
        counts = self.waves.setdefault(wave, {})
        counts[kind] = counts.get(kind, 0) + requests
        first = (kind, model) not in self.kinds
        self.kinds[kind, model] = None
        total = self._sum(Lane.BATCH, model)
        total.requests += requests
        total.input_tokens += tokens[0]
        total.output_tokens += tokens[1]
        total.realtime += costs.realtime_likely
        total.floor += costs.floor
        total.likely += costs.likely
        total.ceiling += costs.ceiling
        each_ceiling = -(-costs.ceiling // requests)
        if first:
            # One of them is tried in real time; which is not known yet, so its share is an average.
            share = self._sum(Lane.REALTIME, model)
            extra_likely = (costs.realtime_likely - costs.likely) // requests
            extra_ceiling = -(-(costs.realtime_ceiling - costs.ceiling) // requests)
            total.requests -= 1
            share.requests += 1
            share.likely += extra_likely
            share.ceiling += extra_ceiling
            each_ceiling += extra_ceiling
        self.largest_ceiling = max(self.largest_ceiling, each_ceiling)

    def plan(self, head: "Head", *, wave_exact: int, warnings: Sequence[str]) -> Plan:
        """Close the draft. Waves below ``wave_exact`` have exact bodies."""
        lines = tuple(self._line(route, model, total) for (route, model), total in sorted(self.sums.items()))
        likely = sum(line.cost_likely for line in lines)
        ceiling = sum(line.cost_ceiling for line in lines)
        floor = sum(line.cost_floor for line in lines)
        made = Plan(
            plan_id=head.plan_id,
            title=head.title,
            workload=head.workload,
            source=head.source,
            source_digest=head.source_digest,
            provider=self.provider,
            created_at=head.created_at,
            prices_on=self.day,
            simulated=head.simulated,
            requests=sum(line.requests for line in lines),
            lines=lines,
            waves=tuple(
                WaveLine(wave=wave, requests=sum(kinds.values()), kinds=kinds, exact=wave < wave_exact)
                for wave, kinds in sorted(self.waves.items())
            ),
            cost_floor=Nanos(floor),
            cost_low=head.low_of(Nanos(floor), Nanos(likely)),
            cost_likely=Nanos(likely),
            cost_high=head.high_of(Nanos(likely), Nanos(ceiling)),
            cost_ceiling=Nanos(ceiling),
            realtime_likely=Nanos(sum(line.realtime_likely for line in lines)),
            largest_ceiling=Nanos(self.largest_ceiling),
            basis_input=head.basis_input,
            basis_output=head.basis_output,
            long_prompts=tuple(self.long_prompts),
            long_prompts_count=self.long_prompts_count,
            near_threshold_count=self.near_count,
            prices=self._prices(),
            turnaround=head.turnaround,
            warnings=tuple(warnings),
            blocked=head.blocked,
        )
        return replace(made, digest=digest(made))

    def _sum(self, route: str, model: str) -> _Sum:
        found = self.sums.get((route, model))
        if found is None:
            found = self.sums[route, model] = _Sum()
        return found

    def _line(self, route: str, model: str, total: _Sum) -> Line:
        parts = 0
        if route == Lane.BATCH and total.requests:
            parts = max(-(-total.requests // self.batch_requests_max), -(-total.wire_bytes // self.batch_bytes_max), 1)
        return Line(
            route=str(route),
            model=model,
            requests=total.requests,
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            cost_floor=Nanos(total.floor),
            cost_likely=Nanos(total.likely),
            cost_ceiling=Nanos(total.ceiling),
            realtime_likely=Nanos(total.realtime),
            parts=parts,
        )

    def _long_prompt(
        self, key: RequestKey, model: str, lane: Lane, tokens_in: TokenRange, tokens_out: TokenRange
    ) -> None:
        sheet = self.catalog.sheet(self.provider, model, lane, self.day)
        for threshold in sheet.thresholds:
            if tokens_in.likely > threshold:
                self.long_prompts_count += 1
                if len(self.long_prompts) < LONG_PROMPTS_LISTED:
                    with_tier = sheet.likely_nanos(tokens_in.likely, tokens_out.likely)
                    # The same tokens at the price below the threshold: a part of the prompt that stays under it.
                    base = sheet.likely_nanos(threshold, 0) * tokens_in.likely // threshold
                    base += sheet.likely_nanos(0, tokens_out.likely)
                    self.long_prompts.append(
                        LongPrompt(
                            key=key,
                            input_tokens=tokens_in.likely,
                            threshold=threshold,
                            extra=Nanos(max(0, with_tier - base)),
                        )
                    )
            elif tokens_in.likely * NEAR_THRESHOLD[1] > threshold * NEAR_THRESHOLD[0]:
                self.near_count += 1

    def _prices(self) -> tuple[PriceUsed, ...]:
        used: list[PriceUsed] = []
        for model in sorted({model for _, model in self.sums}):
            for lane in Lane:
                sheet = self.catalog.sheet(self.provider, model, lane, self.day)
                sources = sorted({f"{row.source}, checked {row.checked_on}" for row in sheet.rows})
                used.append(
                    PriceUsed(model=model, lane=lane, day=self.day, digest=sheet.digest(), sources=tuple(sources))
                )
        return tuple(used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one request, or the sum of some, costs on both lanes, in nano-dollars."""

    floor: int
    likely: int
    ceiling: int
    realtime_floor: int
    realtime_likely: int
    realtime_ceiling: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a plan says of itself beside its figures. ``spread`` widens the likely cost to its 95% range, in percent.

    Without history the spread is unknown and the range runs from the floor to the ceiling.
    """

    plan_id: str
    title: str
    workload: str
    source: str
    source_digest: str
    created_at: datetime
    simulated: bool
    turnaround: Turnaround | None
    basis_input: Basis
    basis_output: Basis
    blocked: str = ""
    spread: int | None = None

    def low_of(self, floor: Nanos, likely: Nanos) -> Nanos:
        """Give the low end of the range."""
        return floor if self.spread is None else Nanos(max(floor, likely - likely * self.spread // 100))

    def high_of(self, likely: Nanos, ceiling: Nanos) -> Nanos:
        """Give the high end of the range."""
        return ceiling if self.spread is None else Nanos(min(ceiling, likely + likely * self.spread // 100))


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


def price_changes(plan: Plan, catalog: Catalog, today: date) -> tuple[str, ...]:
    """Say which prices of the plan differ today; empty when all hold."""
    changed: list[str] = []
    for used in plan.prices:
        try:
            sheet = catalog.sheet(plan.provider, used.model, Lane(used.lane), today)
        except PriceUnknown as error:
            changed.append(f"{used.model} ({used.lane}) has no price on {today}: {error.message}")
            continue
        if sheet.digest() != used.digest:
            changed.append(f"the {used.lane} price of {used.model} on {today} differs from that of {used.day}")
    return tuple(changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a cap releases a run: in how many rounds, at the likely cost; ``may_pause`` when the end may not be reached."""

    rounds: int
    may_pause: bool


def rounds(plan: Plan, cap: Nanos) -> Rounds:
    """Say in how many rounds a cap releases the plan: each holds the ceilings of what is out, as far as the cap covers.

    A cap at or above the ceiling is one round. The count assumes that answers cost what is likely.
    """
    left, spent, count = int(plan.cost_ceiling), 0, 0
    likely, ceiling = int(plan.cost_likely), max(int(plan.cost_ceiling), 1)
    while left > 0 and count < ROUNDS_MAX:
        released = min(left, int(cap) - spent)
        if released < min(left, int(plan.largest_ceiling)):
            return Rounds(rounds=max(count, 1), may_pause=True)
        spent += released * likely // ceiling
        left -= released
        count += 1
    return Rounds(rounds=max(count, 1), may_pause=left > 0)


def price_sources(plan: Plan) -> Iterable[str]:
    """List the sources of the prices, each once."""
    return sorted({source for used in plan.prices for source in used.sources})
