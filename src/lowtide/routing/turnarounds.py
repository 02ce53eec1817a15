"""How long a batch will take: from earlier ones, nearest first, and a prior where there are few. Size never decides."""

from collections.abc import Sequence
from datetime import timedelta
from math import log10

from lowtide.routing.terms import Route, RouteRules, TurnaroundBasis, TurnaroundRange, TurnaroundSeen, batch_count

STEPS = 20  # quantiles that describe a turnaround, at 2.5 %, 7.5 % ... 97.5 %


def _minutes(*figures: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=figure) for figure in figures)


PRIOR_WEIGHT = 4  # the prior counts as so many batches
PRIOR = _minutes(2, 3, 4, 5, 7, 8, 10, 13, 16, 20, 24, 29, 35, 42, 52, 65, 90, 180, 480, 1440)
"""How long a batch takes when nothing was measured: half within 24 minutes, nine in ten within 3 hours.

Providers promise 24 hours; "most end in under an hour" (Anthropic's guide, 2026-08); a reseller reports a median of 7
minutes and a ninetieth percentile of one hour over 230,000 batches (OpenRouter, 2026); multi-day stalls are reported
for one provider. The tail is longer than those say, because a deadline rests on it.
"""
WINDOWS = {Route.WINDOW_2H: timedelta(hours=2), Route.WINDOW_8H: timedelta(hours=8)}
"""OpenAI's background windows (its background guide, checked 2026-11-21). What follows a missed one is not known."""


def turnaround(
    seen: Sequence[TurnaroundSeen], *, provider: str, model: str, requests: int, hour: int
) -> TurnaroundRange:
    """Say how long the next batch will take, from earlier ones of the same provider (newest first) and the prior.

    The nearer in model, hour, age and size, the more one weighs; none weighs nothing, and size weighs least: the
    documents saw 294 requests finish before 10 (V9).
    """
    known = [each for each in seen if each.provider == provider]
    pool = [(took, PRIOR_WEIGHT / len(PRIOR), True) for took in PRIOR]
    measured = 0.0
    for rank, each in enumerate(known):
        weight = _nearness(each, model=model, requests=requests, hour=hour) * 0.5 ** (rank / 20)
        pool.append((each.took, weight, each.ended))
        measured += weight
    basis = TurnaroundBasis.MEASURED if measured >= PRIOR_WEIGHT / 2 else TurnaroundBasis.PRIOR
    return _range(pool, batches=len(known), basis=basis)


def window_turnaround(route: Route) -> TurnaroundRange:
    """Say how long a background window takes: spread evenly over it, one in ten up to twice as long.

    Nothing is measured or documented beyond the window's name; a missed window is planned for.
    """
    window = WINDOWS[route]
    pool = [(window * part / 18, 1.0, True) for part in range(1, 19)]
    pool += [(window * 3 / 2, 1.0, True), (window * 2, 1.0, True)]
    return _range(pool, batches=0, basis=TurnaroundBasis.PRIOR)


def independent(route: Route, requests: int, rules: RouteRules) -> int:
    """As how many independent ones the batches of a wave count: 2, 4, 8 sent together count as 2, 3, 4."""
    return batch_count(requests, rules).bit_length() if route is Route.BATCH else 1


def slowest(usual: TurnaroundRange, share: float, power: int) -> timedelta:
    """How long the slowest of so many independent ones takes, in that share of all cases."""
    if power == 1 and share in (0.5, 0.9):
        return usual.half if share == 0.5 else usual.nine_in_ten
    return usual.steps[min(STEPS - 1, int(share ** (1 / power) * STEPS))]


def _nearness(each: TurnaroundSeen, *, model: str, requests: int, hour: int) -> float:
    """How much one earlier batch tells about the next: 1 for its like, never nothing."""
    of_model = 1.0 if each.model == model else 0.5
    apart = abs(each.hour - hour) % 24
    of_hour = 1 / (1 + min(apart, 24 - apart) / 8)
    of_size = 1 / (1 + abs(log10(max(each.requests, 1) / max(requests, 1))) / 4)
    return of_model * of_hour * of_size


def _range(pool: Sequence[tuple[timedelta, float, bool]], *, batches: int, basis: TurnaroundBasis) -> TurnaroundRange:
    """Weighted quantiles of (time, weight, ended). What has not ended gives its weight to all that took longer."""
    ordered = sorted(pool, key=lambda each: (each[0], not each[2]))
    longest = max((took for took, _, ended in ordered if ended), default=timedelta(0))
    total = left = sum(weight for _, weight, _ in ordered)
    factor = 1.0
    points: list[tuple[timedelta, float]] = []
    for took, weight, ended in ordered:
        left -= weight
        if ended:
            points.append((took, weight * factor))
        elif took < longest:
            factor *= (left + weight) / left
        else:
            points.append((took * 2, weight * factor))  # nothing known took longer: it may take its age again
    return TurnaroundRange(
        half=_quantile(points, total * 0.5),
        nine_in_ten=_quantile(points, total * 0.9),
        worst=_quantile(points, total * 0.99),
        steps=tuple(_quantile(points, total * (step + 0.5) / STEPS) for step in range(STEPS)),
        batches=batches,
        basis=basis,
    )


def _quantile(points: Sequence[tuple[timedelta, float]], mass: float) -> timedelta:
    passed = 0.0
    for took, weight in points:
        passed += weight
        if passed >= mass:
            return took
    return points[-1][0]
