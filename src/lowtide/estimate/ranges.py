"""How far a sum may lie from its likely figure: the 95 % range of what a run costs, in closed form, nothing is drawn.

A sum of many requests is unsure for reasons that behave differently: what is each request's own shrinks with their number,
what all of a kind share does not, and what a whole run shares goes through everything. The laws: where nothing is known
the range is all there is, floor to ceiling; nothing passes a ceiling; few answers make a wide range, never a sure one.

Statistics are floats here and end as whole millionths (ppm); sums, which may be money, are multiplied by those in whole
numbers. bench/ranges.py measures how often the truth lies inside, over seeded worlds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from lowtide.estimate.lengths import OutputHistory
from lowtide.estimate.words import Basis, SumRange, least_sure

ONE = 1_000_000  # ppm

# What is taken for granted before an answer was seen, and how many answers it weighs as much as.
LENGTH_VARIATION = 0.4  # variance of one length over the squared mean
LENGTH_WEIGHT = 2.0
DRIFT = 0.14  # how far the mean of a run lies from that of all runs: other inputs, another day, a model behind an alias
DRIFT_WEIGHT = 6.0
RARE_SHARE = 0.15  # of one answer in so many as were seen: long ones that were not among them
RARE_TIMES = 6  # how many times the mean those may be
LOST_SHARE = 0.01  # requests that end without an answer, and so cost nothing
LOST_WEIGHT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """How far a likely figure may be off, in millionths of it (standard deviations).

    ``own_ppm`` is one request's own, ``shared_ppm`` what all requests of the part have in common; ``common_ppm`` what they
    have in common with every part of the same cause. ``freedom`` is how many observations the first two rest on,
    ``common_freedom`` how many the last; ``rare_ppm`` is what may come on top because it is too rare to have been seen.
    """

    own_ppm: int = 0
    shared_ppm: int = 0
    common_ppm: int = 0
    freedom: float = 1_000.0
    common_freedom: float = 1_000.0
    rare_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One sum over ``requests`` requests that goes into a larger one: its bounds, its likely figure and its error.

    Parts whose ``cause`` is the same (the density of one tokenizer, the drift of one run) err in the same direction.
    """

    requests: int
    floor: int
    likely: int
    ceiling: int
    basis: Basis
    error: Error
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Requests of earlier runs that were asked, and those of them that ended without an answer and cost nothing."""

    asked: int = 0
    lost: int = 0
    same_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRate:
    """The share of a cached prefix's tokens that is read from a cache, in thousandths: probably, at least, at most.

    Unknown, it is anything: batches were seen with 30 % to 98 % (batch processing page, checked 2026-11-21).
    """

    low_permille: int = 0
    likely_permille: int = 500
    high_permille: int = 1_000


def output_error(history: OutputHistory, max_output_tokens: int) -> Error:
    """Say how far the likely sum of answers of this kind may be off. ``max_output_tokens`` is their (mean) limit."""
    mean = max(1, history.mean_within(max_output_tokens))
    within = (min(history.deviation_tokens, max_output_tokens) / mean) ** 2
    seen = max(0, history.answers - history.runs)
    variation = (LENGTH_WEIGHT * LENGTH_VARIATION + seen * within) / (LENGTH_WEIGHT + seen)
    learned = variation / max(1, history.answers)
    drift = 0.0
    if not history.same_run:
        between = (DRIFT_WEIGHT * DRIFT**2 + (history.runs - 1) * (history.drift_permille / 1_000) ** 2) / (
            DRIFT_WEIGHT + history.runs - 1
        )
        # The new run drifts, and so did each of the earlier ones.
        drift = between * (1 + 1 / history.runs)
    top = min(max_output_tokens, RARE_TIMES * max(mean, history.high_tokens))
    rare = RARE_SHARE / (history.answers + 1) * (top / mean - 1)
    cut = 0.0
    if history.cut_answers and history.answers:
        cut = max(0, max_output_tokens - mean) / mean * history.cut_answers / history.answers
    return Error(
        own_ppm=_ppm(sqrt(variation)),
        shared_ppm=_ppm(sqrt(learned)),
        common_ppm=_ppm(sqrt(drift)),
        freedom=LENGTH_WEIGHT + seen,
        common_freedom=DRIFT_WEIGHT + history.runs,
        rare_ppm=_ppm(max(0.0, rare) + min(cut, RARE_TIMES)),
    )


def output_part(
    *, requests: int, floor: int, likely: int, ceiling: int, history: OutputHistory | None, max_output_tokens: int
) -> Part:
    """Give what answers of one kind add up to, in tokens or in money: ``max_output_tokens`` is the mean of their limits."""
    known = history is not None and history.known
    return Part(
        requests=requests,
        floor=floor,
        likely=likely,
        ceiling=ceiling,
        basis=Basis.LEARNED if known else Basis.LIMIT,
        error=output_error(history, max_output_tokens) if history is not None and known else Error(),
        cause="drift",
    )


def cached_part(*, requests: int, plain: int, hits: HitRate, read_permille: int, write_permille: int) -> Part:
    """Give what a cached prefix adds up to, whose hits nobody knows beforehand. ``plain`` is its sum without a cache.

    A hit costs ``read_permille`` thousandths of the plain price, everything else ``write_permille``: the price of a write
    where the prefix is marked, 1,000 where the provider caches by itself.
    """
    best, likely, worst = (
        plain * (share * read_permille + (1_000 - share) * write_permille) // ONE
        for share in (hits.high_permille, hits.likely_permille, hits.low_permille)
    )
    return Part(
        requests=requests,
        floor=plain * min(read_permille, write_permille) // 1_000,
        likely=likely,
        ceiling=plain * max(read_permille, write_permille) // 1_000,
        basis=Basis.LEARNED,
        # Between low and high every rate is as likely as the next: their distance is root twelve standard deviations.
        error=Error(common_ppm=abs(worst - best) * 2 * ONE // (7 * max(1, likely))),
        cause="cache",
    )


def range_of_parts(parts: Sequence[Part], losses: Losses | None = None) -> SumRange:
    """Give the 95 % range of the sum of some parts.

    Parts that rest on a limit alone go from floor to ceiling. The rest is one range: what requests and parts have of their
    own is added by squares, what parts of one cause have in common is added plainly. It reaches further up than down,
    as lengths do. ``losses`` takes off what costs nothing because it fails.
    """
    parts = [part for part in parts if part.requests and part.ceiling]
    known = [part for part in parts if part.basis is not Basis.LIMIT and part.likely]
    unknown = [part for part in parts if part not in known]
    likely = sum(part.likely for part in known)
    up_ppm, down_ppm = _factors(known, likely)
    rare = sum(part.likely * part.error.rare_ppm // ONE for part in known)
    kept = _kept(losses or Losses(), sum(part.requests for part in parts))
    low = likely * down_ppm // ONE + sum(part.floor for part in unknown)
    high = likely * up_ppm // ONE + rare + sum(part.ceiling for part in unknown)
    ceiling = sum(part.ceiling for part in parts)
    middle = likely + sum(part.likely for part in unknown)
    low, high = low * kept.least_ppm // ONE, min(high * kept.most_ppm // ONE, ceiling)
    likely = max(low, min(middle * kept.likely_ppm // ONE, ceiling))
    return SumRange(
        floor=min(low, sum(part.floor for part in parts)),
        low=low,
        likely=likely,
        high=max(likely, high),
        ceiling=ceiling,
        basis=least_sure(tuple(part.basis for part in parts)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The share of requests that is answered and paid: at least, probably, at most."""

    least_ppm: int
    likely_ppm: int
    most_ppm: int


def _kept(losses: Losses, requests: int) -> _Kept:
    weight = LOST_WEIGHT + losses.asked
    lost = (LOST_WEIGHT * LOST_SHARE + losses.lost) / weight
    seen = losses.lost / losses.asked if losses.asked else 0.0
    # Failures come in clusters, so they vary more than coins do: another run may well have twice as many.
    variance = lost * (1 - lost) * (1 / weight + 1 / max(1, requests)) + (0.0 if losses.same_run else lost**2)
    return _Kept(
        least_ppm=ONE - _ppm(min(1.0, lost + 2 * sqrt(variance))),
        likely_ppm=ONE - _ppm(seen),
        most_ppm=ONE - _ppm(max(0.0, seen - 2 * sqrt(variance))),
    )


def _factors(parts: Sequence[Part], likely: int) -> tuple[int, int]:
    """Give how many times the likely sum its upper and its lower end are, in ppm."""
    if not likely:
        return ONE, ONE
    common: dict[str, tuple[float, float]] = {}
    terms: list[tuple[float, float]] = []  # variance over the squared sum, and what it rests on
    for part in parts:
        share = part.likely / likely
        own = (part.error.own_ppm / ONE) ** 2 / part.requests
        terms.append((share**2 * (own + (part.error.shared_ppm / ONE) ** 2), part.error.freedom))
        amount, freedom = common.get(part.cause, (0.0, part.error.common_freedom))
        common[part.cause] = amount + share * part.error.common_ppm / ONE, min(freedom, part.error.common_freedom)
    terms.extend((amount**2, freedom) for amount, freedom in common.values())
    variance = sum(term for term, _ in terms)
    if not variance:
        return ONE, ONE
    freedom = variance**2 / sum(term**2 / free for term, free in terms)
    reach = student(freedom) * sqrt(log(1 + variance))
    return _ppm(exp(reach)), _ppm(exp(-reach))


def student(freedom: float) -> float:
    """Give the two-sided 95 % point of Student's distribution: 1.96 for much knowledge, more for little.

    Fisher's expansion about the normal one; off by less than one in a hundred from 3 on, and never asked below.
    """
    one, free = 1.959964, max(freedom, 3.0)
    first = (one**3 + one) / 4
    second = (5 * one**5 + 16 * one**3 + 3 * one) / 96
    third = (3 * one**7 + 19 * one**5 + 17 * one**3 - 15 * one) / 384
    return one + first / free + second / free**2 + third / free**3


def _ppm(share: float) -> int:
    return round(share * ONE)
