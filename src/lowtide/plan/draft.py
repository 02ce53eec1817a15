"""A plan in the making: ``Draft`` adds up what it is told, request by request, in constant memory, and closes into a ``Plan``.

Requests of the first wave are exact; later waves quote texts that do not exist yet, so their counts are exact and their
tokens are bounded. Nothing here reads a store, a clock or a file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from lowtide.catalog import Catalog, Lane, TokenizerFamily
from lowtide.errors import PriceUnknown
from lowtide.estimate import (
    Basis,
    Losses,
    OutputHistory,
    Part,
    Sight,
    SumRange,
    TokenRange,
    input_part,
    output_part,
    range_of_parts,
)
from lowtide.money import Nanos
from lowtide.plan.costs import Cost, Costs
from lowtide.plan.shown import Head, Line, LongPrompt, Plan, PriceUsed, WaveLine, digest
from lowtide.request import RequestKey

LONG_PROMPTS_LISTED = 50
NEAR_THRESHOLD = (9, 10)  # a prompt nears a threshold at nine tenths of it
PILOT = "pilot"  # the route of a line whose answers are there already

# Earlier answers by (kind, model).
Learned = Mapping[tuple[str, str], OutputHistory]
NOTHING_LEARNED: Learned = {}
# (provider, model, requests, input tokens, output tokens) -> seconds they take in real time inside the limits.
RealtimeSeconds = Callable[[str, str, int, int, int], int]


@dataclass(slots=True, kw_only=True)
class _Sum:
    """Requests that go one way: their tokens (``limit_tokens``: the sum of what they may write), and what each lane costs.

    A lane's list is [floor, likely, ceiling] of everything, then the same of the answers alone; ``largest`` is the ceiling
    of the largest of them. Only the lanes that this way may take are there: of any other, ``_lane_of`` names the next dearer.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    limit_tokens: int = 0
    wire_bytes: int = 0
    lanes: dict[Lane, list[int]] = field(default_factory=dict)
    largest: dict[Lane, int] = field(default_factory=dict)

    def add(self, lane: Lane, cost: Cost, count: int = 1, *, largest: int = 0) -> None:
        """Add a cost so many times; ``largest`` is the ceiling of the largest of them."""
        total = self.lanes.get(lane)
        if total is None:
            total = self.lanes[lane] = [0, 0, 0, 0, 0, 0]
            self.largest[lane] = 0
        floor, likely, ceiling, output_floor, output_likely, output_ceiling = cost
        total[0] += floor * count
        total[1] += likely * count
        total[2] += ceiling * count
        total[3] += output_floor * count
        total[4] += output_likely * count
        total[5] += output_ceiling * count
        self.largest[lane] = max(self.largest[lane], largest)

    def merge(self, other: "_Sum") -> None:
        """Add all of another sum."""
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.limit_tokens += other.limit_tokens
        self.wire_bytes += other.wire_bytes
        for lane, figures in other.lanes.items():
            self.add(lane, _cost(figures), largest=other.largest[lane])


class _Way(NamedTuple):
    """Who is asked for what, and how it may go out: first of its kind (alone, in real time), or any lane it may take.

    ``sight`` is how the prompts were seen, ``None`` where they hold something that cannot be.
    """

    wave: int
    kind: str
    provider: str
    model: str
    first: bool
    batch: bool
    windows: bool
    sight: Sight | None


class _Long(NamedTuple):
    """A prompt beyond a threshold, with what that adds on its cheapest lane, and on each that it may take."""

    way: _Way
    prompt: LongPrompt
    extras: Mapping[Lane, Nanos]


@dataclass(slots=True, kw_only=True)
class Draft:
    """A plan in the making. ``day`` is the day whose prices are quoted; ``batch_limits`` (requests, bytes) split batches.

    ``windows`` are the background windows that a provider of the plan has: their costs are summed only then.
    """

    catalog: Catalog
    day: date
    batch_limits: Mapping[str, tuple[int, int]]
    windows: tuple[Lane, ...] = ()
    sums: dict[_Way, _Sum] = field(default_factory=dict)
    waves: dict[int, dict[str, int]] = field(default_factory=dict)
    kinds: dict[tuple[str, str, str], None] = field(default_factory=dict)
    long_prompts: list[_Long] = field(default_factory=list)
    long_prompts_count: int = 0
    near_count: int = 0
    largest_first: int = 0
    reused: dict[tuple[str, str], int] = field(default_factory=dict)
    thresholds: dict[tuple[str, str, Lane], tuple[int, ...]] = field(
        default_factory=dict
    )  # a memo: asked once a request

    def add(
        self,
        *,
        key: RequestKey,
        kind: str,
        provider: str,
        model: str,
        tokens_in: TokenRange,
        tokens_out: TokenRange,
        costs: Costs,
        body_bytes: int,
        sight: Sight = Sight.LETTERS,
    ) -> None:
        """Add one request of the first wave. The first of a (kind, provider, model) is the one tried in real time.

        ``sight`` is how its text was weighed, where ``tokens_in`` is our own judgement.
        """
        wave = self.waves.setdefault(0, {})
        wave[kind] = wave.get(kind, 0) + 1
        first = (kind, provider, model) not in self.kinds
        if first:
            self.kinds[kind, provider, model] = None
            self.largest_first = max(self.largest_first, costs.realtime.ceiling)
        total = self._sum(0, kind, provider, model, costs, first=first, sight=_sight(tokens_in, sight))
        total.requests += 1
        total.input_tokens += tokens_in.likely
        total.output_tokens += tokens_out.likely
        total.limit_tokens += tokens_out.ceiling
        total.wire_bytes += body_bytes
        self._add_costs(total, costs, largest=costs)
        self._long_prompt(key, kind, provider, model, costs, tokens_in, tokens_out, wave=0, first=first)

    def add_bought(self, *, kind: str, provider: str, model: str) -> None:
        """Add a request of the first wave whose answer is there already: it costs nothing, and its kind is tried."""
        wave = self.waves.setdefault(0, {})
        wave[kind] = wave.get(kind, 0) + 1
        self.kinds[kind, provider, model] = None
        self.reused[provider, model] = self.reused.get((provider, model), 0) + 1

    def add_later(
        self,
        *,
        wave: int,
        kind: str,
        provider: str,
        model: str,
        requests: int,
        costs: Costs,
        tokens_in: TokenRange,
        tokens_out: TokenRange,
        sight: Sight = Sight.BYTES,
        largest: Costs | None = None,
        key: RequestKey | None = None,
    ) -> None:
        """Add the requests of a later wave, whose averages alone are known: tokens and costs are an average request's.

        ``largest`` is what the largest of them costs at most, where that is known; else the average stands for it. ``key``
        names the request where it is one alone.
        """
        if not requests:
            return
        most = largest or costs
        if key is not None:
            assert requests == 1, "a request with a name stands alone"
            first = (kind, provider, model) not in self.kinds
            self._long_prompt(key, kind, provider, model, costs, tokens_in, tokens_out, wave=wave, first=first)
        counts = self.waves.setdefault(wave, {})
        counts[kind] = counts.get(kind, 0) + requests
        shares = [(False, requests)]
        if (kind, provider, model) not in self.kinds:
            # One of them is tried in real time; which is not known yet: likely an average one, at most the largest.
            self.kinds[kind, provider, model] = None
            self.largest_first = max(self.largest_first, most.realtime.ceiling)
            shares = [(True, 1), (False, requests - 1)]
        for first, count in shares:
            if count:
                total = self._sum(wave, kind, provider, model, costs, first=first, sight=_sight(tokens_in, sight))
                total.requests += count
                total.input_tokens += tokens_in.likely * count
                total.output_tokens += tokens_out.likely * count
                total.limit_tokens += tokens_out.ceiling * count
                self._add_costs(total, _at_most(costs, most) if first else costs, count, largest=most)

    def total(self, lane: Lane) -> Cost:
        """Sum up what everything costs when it goes out on a lane, first requests in real time."""
        made = _Sum()
        for way, total in self.sums.items():
            made.add(lane, _cost(total.lanes[_taken(way, lane)]))
        return _cost(made.lanes.get(lane, [0] * 6))

    def kinds_unknown(self, learned: Learned) -> tuple[str, ...]:
        """List the kinds of which too few answers were seen, of any model that they are asked of."""
        return tuple(sorted({way.kind for way in self.sums if not _known(learned, way)}))

    def answers_seen(self, learned: Learned) -> int:
        """Count the earlier answers that the known kinds rest on."""
        ways = {(way.kind, way.model) for way in self.sums if _known(learned, way)}
        return sum(learned[way].answers for way in ways)

    @property
    def largest(self) -> dict[Lane, int]:
        """The ceiling of the largest request on each lane, or on the next dearer one that it may take."""
        lanes = self._lanes() if self.sums else ()
        return {lane: max(total.largest[_lane_of(way, lane)] for way, total in self.sums.items()) for lane in lanes}

    @property
    def basis_input(self) -> Basis:
        """What the prompts' figures rest on: our own judgement where that is any of them."""
        sights = {way.sight for way in self.sums}
        if sights <= {Sight.COUNTED}:
            return Basis.COUNTED
        return Basis.LIMIT if sights == {None} else Basis.LOCAL

    def range_on(self, lane: Lane, learned: Learned, losses: Losses | None = None) -> SumRange:
        """Give the 95 % range of what everything costs when it goes out on a lane, from earlier answers by (kind, model)."""
        return range_of_parts([*self._input_parts(lane), *self._output_parts(lane, learned)], losses)

    def _input_parts(self, lane: Lane) -> Iterator[Part]:
        for way, total in self.sums.items():
            figures = total.lanes[_taken(way, lane)]
            floor, likely, ceiling = (whole - answers for whole, answers in zip(figures[:3], figures[3:], strict=True))
            model = self.catalog.model(way.provider, way.model)
            part = input_part(
                requests=total.requests,
                floor=floor,
                likely=likely,
                ceiling=ceiling,
                tokenizer=TokenizerFamily.UNKNOWN if model is None else model.tokenizer,
                sight=way.sight or Sight.BYTES,
            )
            yield part if way.sight is not None else replace(part, basis=Basis.LIMIT)

    def _output_parts(self, lane: Lane, learned: Learned) -> Iterator[Part]:
        """Give a part for the answers of each kind and model: their lengths are unsure together."""
        merged: dict[tuple[str, str], list[int]] = {}
        for way, total in self.sums.items():
            figures = [total.requests, total.limit_tokens, *total.lanes[_taken(way, lane)][3:]]
            known = merged.get((way.kind, way.model), [0] * 5)
            merged[way.kind, way.model] = [one + other for one, other in zip(known, figures, strict=True)]
        for kind, (requests, limits, floor, likely, ceiling) in merged.items():
            yield output_part(
                requests=requests,
                floor=floor,
                likely=likely,
                ceiling=ceiling,
                history=learned.get(kind),
                max_output_tokens=-(-limits // requests),
            )

    @property
    def requests(self) -> int:
        """How many requests there are, later waves and what was bought before included."""
        return sum(total.requests for total in self.sums.values()) + sum(self.reused.values())

    def wave_lines(self, wave_exact: int, realtime_seconds: RealtimeSeconds) -> tuple[WaveLine, ...]:
        """Sum up each wave: what it costs on each lane that any of it may take, and how long it takes in real time."""
        sold = {Lane.REALTIME, *(_lane_of(way, lane) for way in self.sums for lane in (Lane.BATCH, *self.windows))}
        lines: list[WaveLine] = []
        for wave, kinds in sorted(self.waves.items()):
            sums = {way: total for way, total in self.sums.items() if way.wave == wave}
            lanes: dict[str, tuple[int, int]] = {}
            for lane in self._lanes():
                if lane in sold:
                    figures = [total.lanes[_lane_of(way, lane)] for way, total in sums.items()]
                    lanes[lane.value] = (sum(each[1] for each in figures), sum(each[2] for each in figures))
            asked: dict[tuple[str, str], _Sum] = {}
            for way, total in self.sums.items():
                if way.wave == wave:
                    asked.setdefault((way.provider, way.model), _Sum()).merge(total)
            seconds = [
                realtime_seconds(provider, model, total.requests, total.input_tokens, total.output_tokens)
                for (provider, model), total in asked.items()
            ]
            lines.append(
                WaveLine(
                    wave=wave,
                    requests=sum(kinds.values()),
                    kinds=kinds,
                    exact=wave < wave_exact,
                    lanes=lanes,
                    realtime_seconds=max(seconds, default=0),
                )
            )
        return tuple(lines)

    def plan(
        self,
        head: "Head",
        *,
        wave_exact: int,
        warnings: Sequence[str],
        realtime_seconds: RealtimeSeconds = lambda *_: 0,
        learned: Learned = NOTHING_LEARNED,
        losses: Losses | None = None,
    ) -> Plan:
        """Close the draft. Waves below ``wave_exact`` have exact bodies.

        The range rests on earlier answers by (kind, model), and on how many of earlier requests were lost. The likely cost
        is that of all answers: what may fail is in the range alone.
        """
        lane = Lane(head.route)
        lines = self._lines(lane)
        may = (lane, *(self._lanes() if head.moves else ()))
        totals = [self.total(each) for each in may]
        floor, ceiling = min(each.floor for each in totals), max(each.ceiling for each in totals)
        likely = min(max(totals[0].likely + head.moves_likely, floor), ceiling)
        moved = likely - totals[0].likely
        # What a cache may take off at best, is expected to, and may add at worst.
        best = sum(line.none - line.best for line in head.caching)
        saves = sum(line.saves for line in head.caching)
        worst = sum(line.worst - line.none for line in head.caching)
        prompts = (totals[0].likely - totals[0].output_likely, totals[0].floor - totals[0].output_floor)
        floor = max(0, floor - best * prompts[1] // max(1, prompts[0]))
        likely = min(max(likely - saves, floor), ceiling)
        said = [self.range_on(each, learned, losses) for each in may]
        unknown = self.kinds_unknown(learned)
        largest = self.largest
        made = Plan(
            **{name: getattr(head, name) for name in Head.__slots__ if name != "moves_likely"},
            provider=" ".join(sorted({way.provider for way in self.sums})),
            prices_on=self.day,
            requests=self.requests,
            lines=lines,
            waves=self.wave_lines(wave_exact, realtime_seconds),
            cost_floor=Nanos(floor),
            cost_low=Nanos(max(floor, min(likely, *(each.low - best for each in said)))),
            cost_likely=Nanos(likely),
            cost_high=Nanos(min(ceiling, max(likely, *(each.high + worst for each in said)))),
            cost_ceiling=Nanos(ceiling),
            realtime_likely=Nanos(sum(line.realtime_likely for line in lines)),
            largest_ceiling=Nanos(max(self.largest_first, *(largest.get(each, 0) for each in may))),
            basis_input=self.basis_input,
            basis_output=Basis.LIMIT if unknown else Basis.LEARNED,
            long_prompts=tuple(
                replace(long.prompt, extra=long.extras.get(_taken(long.way, lane), long.prompt.extra))
                for long in self.long_prompts
            ),
            long_prompts_count=self.long_prompts_count,
            near_threshold_count=self.near_count,
            prices=self._prices(may),
            warnings=tuple(warnings),
            moves_likely=Nanos(moved),
            kinds_unknown=unknown,
            answers_seen=self.answers_seen(learned),
            reused=sum(self.reused.values()),
        )
        return replace(made, digest=digest(made))

    def _sum(
        self, wave: int, kind: str, provider: str, model: str, costs: Costs, *, first: bool, sight: Sight | None
    ) -> _Sum:
        way = _Way(wave, kind, provider, model, first, costs.batch is not None, bool(costs.windows), sight)
        found = self.sums.get(way)
        if found is None:
            found = self.sums[way] = _Sum()
        return found

    def _add_costs(self, total: _Sum, costs: Costs, count: int = 1, *, largest: Costs) -> None:
        """Add a request's costs on every lane it may take, or those of ``count`` like it, of which the largest costs so much."""
        total.add(Lane.REALTIME, costs.realtime, count, largest=largest.realtime.ceiling)
        if costs.batch is not None:
            total.add(Lane.BATCH, costs.batch, count, largest=largest.cheapest.ceiling)
        for lane in self.windows if costs.windows else ():
            total.add(lane, costs.on(lane), count, largest=largest.on(lane).ceiling)

    def _lines(self, lane: Lane) -> tuple[Line, ...]:
        """Write the lines: ways that differ only in what they might have done are one."""
        merged: dict[tuple[str, str, str], dict[int, _Sum]] = {}
        for way, total in self.sums.items():
            waves = merged.setdefault((_taken(way, lane).value, way.provider, way.model), {})
            waves.setdefault(way.wave, _Sum()).merge(total)
        lines = [
            self._line(Lane(route), provider, model, waves)
            for (route, provider, model), waves in sorted(merged.items())
        ]
        return (*lines, *(_bought_line(*way, count) for way, count in sorted(self.reused.items())))

    def _line(self, route: Lane, provider: str, model: str, waves: Mapping[int, _Sum]) -> Line:
        total, parts = _Sum(), 0
        for wave in waves.values():
            total.merge(wave)
            if route is Lane.BATCH and wave.requests:
                requests_max, bytes_max = self.batch_limits[provider]
                parts += max(-(-wave.requests // requests_max), -(-wave.wire_bytes // bytes_max), 1)
        floor, likely, ceiling, *_ = total.lanes[route]
        return Line(
            route=route.value,
            provider=provider,
            model=model,
            requests=total.requests,
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            cost_floor=Nanos(floor),
            cost_likely=Nanos(likely),
            cost_ceiling=Nanos(ceiling),
            realtime_likely=Nanos(total.lanes[Lane.REALTIME][1]),
            parts=parts,
        )

    def _long_prompt(
        self,
        key: RequestKey,
        kind: str,
        provider: str,
        model: str,
        costs: Costs,
        tokens_in: TokenRange,
        tokens_out: TokenRange,
        *,
        wave: int,
        first: bool,
    ) -> None:
        """Note a prompt beyond a threshold with the dollars that this adds, on each lane that it may take."""
        lane = Lane.REALTIME if costs.batch is None else Lane.BATCH
        found = self.thresholds.get((provider, model, lane))
        if found is None:
            found = self.thresholds[provider, model, lane] = self.catalog.sheet(
                provider, model, lane, self.day
            ).thresholds
        for threshold in found:
            if tokens_in.likely > threshold:
                self.long_prompts_count += 1
                if len(self.long_prompts) < LONG_PROMPTS_LISTED:
                    way = _Way(wave, kind, provider, model, first, costs.batch is not None, bool(costs.windows), None)
                    extras = {
                        each: self._added(way, each, threshold, tokens_in.likely, tokens_out.likely)
                        for each in self.catalog.lanes(provider, model, self.day)
                        if each in (lane, Lane.REALTIME, *costs.windows)
                    }
                    prompt = LongPrompt(key=key, input_tokens=tokens_in.likely, threshold=threshold, extra=extras[lane])
                    self.long_prompts.append(_Long(way, prompt, extras))
            elif tokens_in.likely * NEAR_THRESHOLD[1] > threshold * NEAR_THRESHOLD[0]:
                self.near_count += 1

    def _added(self, way: _Way, lane: Lane, threshold: int, tokens_in: int, tokens_out: int) -> Nanos:
        """Give what a prompt beyond a threshold adds on a lane."""
        sheet = self.catalog.sheet(way.provider, way.model, lane, self.day)
        # The same tokens at the price below the threshold: a part of the prompt that stays under it.
        base = sheet.likely_nanos(threshold, 0) * tokens_in // threshold + sheet.likely_nanos(0, tokens_out)
        return Nanos(max(0, sheet.likely_nanos(tokens_in, tokens_out) - base))

    def _lanes(self) -> tuple[Lane, ...]:
        """List every lane that any request may take."""
        return (Lane.REALTIME, Lane.BATCH, *self.windows)

    def _prices(self, may: Sequence[Lane]) -> tuple[PriceUsed, ...]:
        """List the price sheets that the plan rests on: of every lane it may take, and of real time, for the first of a kind."""
        used: list[PriceUsed] = []
        for provider, model in sorted({(way.provider, way.model) for way in self.sums}):
            ways = [way for way in self.sums if (way.provider, way.model) == (provider, model)]
            lanes = {Lane.REALTIME, *(_lane_of(way, lane) for way in ways for lane in may)}
            for each in (each for each in Lane if each in lanes):
                try:
                    sheet = self.catalog.sheet(provider, model, each, self.day)
                except PriceUnknown:
                    continue  # a window that is not sold for this model: it goes by the next dearer lane
                sources = sorted({f"{row.source}, checked {row.checked_on}" for row in sheet.rows})
                used.append(
                    PriceUsed(
                        provider=provider,
                        model=model,
                        lane=each,
                        day=self.day,
                        digest=sheet.digest(),
                        sources=tuple(sources),
                    )
                )
        return tuple(used)


def _at_most(costs: Costs, most: Costs) -> Costs:
    """Give costs with the ceilings of others."""

    def topped(cost: Cost, other: Cost) -> Cost:
        return cost._replace(ceiling=other.ceiling, output_ceiling=other.output_ceiling)

    return Costs(
        realtime=topped(costs.realtime, most.realtime),
        batch=None if costs.batch is None or most.batch is None else topped(costs.batch, most.batch),
        windows={lane: topped(cost, most.windows[lane]) for lane, cost in costs.windows.items()},
    )


def _lane_of(way: _Way, wanted: Lane) -> Lane:
    """Give the lane that a way takes: the wanted one where it may, else the next dearer."""
    if wanted is not Lane.REALTIME and not way.windows:
        wanted = Lane.BATCH
    return Lane.REALTIME if wanted is Lane.BATCH and not way.batch else wanted


def _bought_line(provider: str, model: str, requests: int) -> Line:
    """Write the line of what a pilot bought."""
    free = Nanos(0)
    return Line(
        route=PILOT,
        provider=provider,
        model=model,
        requests=requests,
        input_tokens=0,
        output_tokens=0,
        cost_floor=free,
        cost_likely=free,
        cost_ceiling=free,
        realtime_likely=free,
        parts=0,
    )


def _taken(way: _Way, wanted: Lane) -> Lane:
    """Give the lane that a way takes in the end: the first of a kind is tried in real time."""
    return Lane.REALTIME if way.first else _lane_of(way, wanted)


def _cost(figures: Sequence[int]) -> Cost:
    """Read a lane's list."""
    floor, likely, ceiling, *answers = figures
    return Cost(
        floor=floor,
        likely=likely,
        ceiling=ceiling,
        output_floor=answers[0],
        output_likely=answers[1],
        output_ceiling=answers[2],
    )


def _sight(tokens: TokenRange, local: Sight) -> Sight | None:
    """Say how a prompt was seen."""
    if tokens.basis is Basis.COUNTED:
        return Sight.COUNTED
    return None if tokens.basis is Basis.LIMIT else local


def _known(learned: Learned, way: _Way) -> bool:
    found = learned.get((way.kind, way.model))
    return found is not None and found.known
