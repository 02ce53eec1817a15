"""How often the truth lies inside the 95 % range: seeded worlds with true lengths that the estimate does not see.

A world is a run of 20 to 100,000 requests of one to four kinds, each with a true distribution of answer lengths (one
value, uniform, lognormal, two humps, a heavy tail), cut at a limit that may be far above them or close. Between runs the
lengths drift and limits are raised, some kinds of text weigh more tokens than was judged, some requests fail and cost
nothing, and how much of a marked prefix a cache serves nobody knows. The estimate is
given a history of earlier runs, or a pilot of this one, and says a range; the world says what was paid.

    python bench/ranges.py [WORLDS] [FIRST SEED]
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from statistics import median

from lowtide.catalog import TokenizerFamily
from lowtide.estimate import (
    Basis,
    HitRate,
    Losses,
    OutputHistory,
    Part,
    Sight,
    SumRange,
    cached_part,
    estimate_output,
    history_of_runs,
    input_part,
    output_history,
    output_part,
    pilot_sizes,
    range_of_parts,
)

SHAPES = ("one value", "uniform", "lognormal", "two humps", "heavy tail")
HISTORIES = ("none", "5 answers", "20 answers", "200 answers", "pilot of 10", "pilot of 30")
TABLE = 1_000  # the truth of a kind is so many lengths, each as likely as the next
MANY = 1_000  # failures among more than so many are drawn from the normal distribution
# How far the true weight of a kind of text lies from the judged one, as measured (bench/tokens.py).
TRUE_ERROR = {Sight.COUNTED: 0.01, Sight.VOCABULARY: 0.03, Sight.LETTERS: 0.12, Sight.BYTES: 0.25}
READ, WRITE = 100, 1_250  # thousandths of the plain price
PRICE_IN, PRICE_OUT = 1_500, 7_500  # nano-dollars a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of request: how many, how long their answers truly are, and what is known beforehand."""

    name: str
    shape: str
    requests: int
    lengths: tuple[int, ...]
    limit: int
    tokens_in: int  # likely, each


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One world: its kinds, and how it deviates from what is planned."""

    seed: int
    kinds: tuple[Kind, ...]
    drift: float  # standard deviation of a run's factor
    fails: float  # the share that fails, as it is on average over runs
    raised: bool  # earlier runs had half the limit of this one
    prefix: float  # the share of the input that is marked for a cache, whose hits nobody knows
    sight: Sight
    family: TokenizerFamily


def world(seed: int) -> World:
    """Make a world."""
    rng = Random(f"world {seed}")
    requests = round(20 * 5_000 ** rng.random())
    shares = [rng.random() + 0.1 for _ in range(rng.choice((1, 1, 2, 3, 4)))]
    kinds = tuple(
        _kind(rng, f"kind {number}", max(5, round(requests * share / sum(shares))))
        for number, share in enumerate(shares)
    )
    return World(
        seed=seed,
        kinds=kinds,
        drift=rng.choice((0, 0.05, 0.1, 0.15, 0.2, 0.25)),
        fails=rng.choice((0, 0, 0, 0.005, 0.01, 0.03)),
        raised=rng.random() < 0.15,
        prefix=rng.choice((0, 0, 0.3, 0.8)),
        sight=rng.choice((Sight.COUNTED, Sight.VOCABULARY, Sight.LETTERS, Sight.LETTERS)),
        family=rng.choice((TokenizerFamily.O200K, TokenizerFamily.CLAUDE_3, TokenizerFamily.CLAUDE_4_7)),
    )


def _kind(rng: Random, name: str, requests: int) -> Kind:
    shape = rng.choice(SHAPES)
    middle = 40 * 50 ** rng.random()
    drawn = _lengths(rng, shape, middle)
    mean = sum(drawn) / len(drawn)
    limit = round(mean * rng.choice((1.1, 1.5, 2, 3, 4, 8, 16, 64)))
    return Kind(
        name=name,
        shape=shape,
        requests=requests,
        lengths=tuple(max(1, min(limit, round(one))) for one in drawn),
        limit=limit,
        tokens_in=round(100 * 200 ** rng.random()),
    )


def _lengths(rng: Random, shape: str, middle: float) -> list[float]:
    if shape == "one value":
        return [middle * rng.uniform(0.97, 1.03) for _ in range(TABLE)]
    if shape == "uniform":
        spread = rng.random()
        return [middle * rng.uniform(1 - spread, 1 + spread) for _ in range(TABLE)]
    if shape == "lognormal":
        sigma = rng.uniform(0.1, 1.1)
        return [middle * rng.lognormvariate(0, sigma) for _ in range(TABLE)]
    if shape == "two humps":
        share, times = rng.uniform(0.03, 0.5), rng.uniform(2, 8)
        return [middle * rng.lognormvariate(0, 0.25) * (times if rng.random() < share else 1) for _ in range(TABLE)]
    power = rng.uniform(2, 4)
    return [middle * rng.paretovariate(power) for _ in range(TABLE)]


def _answers(rng: Random, kind: Kind, count: int, factor: float, limit: int) -> list[int]:
    """Draw answers of a run whose lengths are so many times the usual, cut at a limit."""
    return [max(1, min(limit, round(one * factor))) for one in rng.choices(kind.lengths, k=count)]


def _factor(rng: Random, place: World) -> float:
    return rng.lognormvariate(0, place.drift) if place.drift else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was said and what came true."""

    said: SumRange
    paid: int

    @property
    def inside(self) -> bool:
        """Whether the truth lies in the range."""
        return self.said.low <= self.paid <= self.said.high

    @property
    def width(self) -> float:
        """The width of the range over the likely figure."""
        return (self.said.high - self.said.low) / max(1, self.said.likely)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beforehand: a history by kind, and what was lost."""

    histories: dict[str, OutputHistory]
    losses: Losses


def judge(place: World, history: str) -> Judged:
    """Let a world be estimated with such a history, and then happen."""
    rng = Random(f"life {place.seed} {history}")
    now = _factors(rng, place)
    known = _known(rng, place, history, now)
    said = range_of_parts(list(_parts(place, known)), known.losses)
    return Judged(said=said, paid=_paid(rng, place, now))


def _factors(rng: Random, place: World) -> dict[str, float]:
    """Draw how many times its usual length the answers of each kind have in one run."""
    together = _factor(rng, place)
    alike = rng.random() < 0.5  # half of the runs drift as a whole: another model, another day
    return {kind.name: together if alike else _factor(rng, place) for kind in place.kinds}


def _known(rng: Random, place: World, history: str, now: dict[str, float]) -> Known:
    """Draw answers of earlier runs, or of a pilot of this one."""
    number = int("".join(letter for letter in history if letter.isdigit()) or "0")
    if not number:
        return Known(histories={}, losses=Losses())
    if history.startswith("pilot"):
        sizes = pilot_sizes({kind.name: kind.requests for kind in place.kinds}, number)
        return Known(
            histories={
                kind.name: output_history(
                    _answers(rng, kind, sizes[kind.name], now[kind.name], kind.limit), same_run=True
                )
                for kind in place.kinds
            },
            losses=_losses(rng, place, sum(sizes.values()), same_run=True),
        )
    runs = rng.choice((1, 1, 2, 3, 5))
    sizes_of_runs = [number // runs + (one < number % runs) for one in range(runs)]
    found: dict[str, list[list[int]]] = {kind.name: [] for kind in place.kinds}
    earlier = {kind.name: max(1, kind.limit // 2) if place.raised else kind.limit for kind in place.kinds}
    for size in sizes_of_runs:
        then = _factors(rng, place)
        for kind in place.kinds:
            found[kind.name].append(_answers(rng, kind, size, then[kind.name], earlier[kind.name]))
    return Known(
        histories={
            name: history_of_runs(answers, cut_answers=sum(one >= earlier[name] for run in answers for one in run))
            for name, answers in found.items()
        },
        losses=_losses(rng, place, number * len(place.kinds), same_run=False),
    )


def _losses(rng: Random, place: World, asked: int, *, same_run: bool) -> Losses:
    return Losses(asked=asked, lost=_failed(rng, place, asked), same_run=same_run)


def _failed(rng: Random, place: World, asked: int) -> int:
    """Draw how many of some requests fail: the share differs from run to run."""
    share = min(1.0, place.fails * rng.lognormvariate(0, 0.4))
    if asked > MANY:
        return max(0, round(rng.gauss(asked * share, sqrt(asked * share))))
    return sum(rng.random() < share for _ in range(asked))


def _parts(place: World, known: Known) -> Iterator[Part]:
    for kind in place.kinds:
        learned = known.histories.get(kind.name)
        single = estimate_output(kind.limit, learned)
        yield output_part(
            requests=kind.requests,
            floor=single.floor * kind.requests * PRICE_OUT,
            likely=single.likely * kind.requests * PRICE_OUT,
            ceiling=single.ceiling * kind.requests * PRICE_OUT,
            history=learned,
            max_output_tokens=kind.limit,
        )
        whole = kind.tokens_in * kind.requests * PRICE_IN
        prefix = round(whole * place.prefix)
        if prefix:
            yield cached_part(
                requests=kind.requests, plain=prefix, hits=HitRate(), read_permille=READ, write_permille=WRITE
            )
        tokens = whole - prefix
        yield input_part(
            requests=kind.requests,
            floor=tokens * 60 // 100,
            likely=tokens,
            ceiling=tokens * 4,
            tokenizer=place.family,
            sight=place.sight,
        )


def _paid(rng: Random, place: World, now: dict[str, float]) -> int:
    """Carry the run out: what fails costs nothing, everything else its true tokens."""
    truth = TRUE_ERROR[place.sight]
    family = rng.lognormvariate(0, truth)
    hits = rng.random()
    cached = 1 - place.prefix + place.prefix * (hits * READ + (1 - hits) * WRITE) / 1_000
    paid = 0
    for kind in place.kinds:
        answered = kind.requests - min(kind.requests, _failed(rng, place, kind.requests))
        paid += sum(_answers(rng, kind, answered, now[kind.name], kind.limit)) * PRICE_OUT
        own = rng.gauss(1, 0.2 / sqrt(max(1, answered)))
        paid += round(kind.tokens_in * answered * PRICE_IN * family * own * cached)
    return paid


def report(seeds: Sequence[int]) -> Iterator[str]:
    """Judge the worlds with each history; a line for each, then one for each shape."""
    by_history: dict[str, list[Judged]] = defaultdict(list)
    by_shape: dict[str, list[Judged]] = defaultdict(list)
    for seed in seeds:
        place = world(seed)
        for history in HISTORIES:
            judged = judge(place, history)
            by_history[history].append(judged)
            if judged.said.basis is not Basis.LIMIT and len(place.kinds) == 1:
                by_shape[f"{place.kinds[0].shape}, {history}"].append(judged)
    yield f"| history | worlds | inside | below | above | width, half | width, nine in ten |\n| {' | '.join(['---'] * 7)} |"
    for name, all_judged in (*by_history.items(), *sorted(by_shape.items())):
        inside = sum(judged.inside for judged in all_judged)
        below = sum(judged.paid < judged.said.low for judged in all_judged)
        widths = sorted(judged.width for judged in all_judged)
        wide = widths[len(widths) * 9 // 10]
        share = 100 * inside / len(all_judged)
        yield (
            f"| {name} | {len(all_judged)} | {share:.1f} % | {below} | {len(all_judged) - inside - below} |"
            f" {100 * median(widths):.0f} % | {100 * wide:.0f} % |"
        )


if __name__ == "__main__":
    worlds, first = ([int(word) for word in sys.argv[1:]] + [300, 0][len(sys.argv) - 1 :])[:2]
    for line in report(range(first, first + worlds)):
        print(line)
