"""The words of routing: lanes, a wish, what is left to buy, the numbers of a judgement, a choice."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lowtide.money import Nanos

SPEED_PRIOR_SECONDS = 60
SPEED_TIMES_MAX = 4


class Route(StrEnum):
    """How requests are bought, dearest first; the windows are OpenAI's, for Responses. ``auto`` is only a wish."""

    REALTIME = "realtime"
    WINDOW_2H = "2h"
    WINDOW_8H = "8h"
    BATCH = "batch"
    AUTO = "auto"


class TurnaroundBasis(StrEnum):
    """What a range of turnarounds mostly rests on."""

    MEASURED = "measured"
    PRIOR = "prior"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnaroundSeen:
    """One earlier batch (V9). ``hour`` is the UTC hour of its creation, ``took`` from creation to end by its provider.

    ``ended`` is False for one that is still out: ``took`` is its age, and all that is known is that it takes longer.
    """

    provider: str
    model: str
    requests: int
    hour: int
    took: timedelta
    ended: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnaroundRange:
    """How long one batch will take: half of them, nine in ten, 99 in 100 take no longer.

    ``steps`` are evenly spaced quantiles, growing. ``batches`` is how many earlier ones went in; where they are few,
    ``basis`` is the stated prior.
    """

    half: timedelta
    nine_in_ten: timedelta
    worst: timedelta
    steps: tuple[timedelta, ...]
    batches: int
    basis: TurnaroundBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for: a lane or ``auto``, urgency, a deadline (UTC)."""

    route: Route = Route.AUTO
    urgent: bool = False
    deadline_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a lot costs in one lane, in nano-dollars."""

    likely: Nanos
    ceiling: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What is left to buy of one wave, or of ``waves`` alike ones in a row, all models together.

    ``offers`` has the lanes that are sold and allowed, and no other. ``requests``, offers and ``realtime_seconds`` (how
    long all of it takes in real time inside the provider's limits) are of all its waves together.
    """

    requests: int
    offers: Mapping[Route, Offer]
    realtime_seconds: int
    waves: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRules:
    """Numbers of the judgement; every one is a setting.

    ``realtime_below`` and ``one_batch_through`` are B10's: fewer requests go in real time, up to the second one batch
    is made, above it several, ``batches_max`` at most unless the provider's limits ask for more. The rest is time kept
    back: a provider drains a canceled batch for up to ten minutes (OpenAI's batch guide of Oct 2026, checked
    2026-11-21; Anthropic names no figure), answers are collected, a wave is rendered, real time may be slower than the
    limits say by ``margin_percent``: measured, 75 and five minutes cost half a percent of the real-time price more than
    25 and two, and missed none of 956 deadlines instead of 4, in worlds where real time is up to 2.5 times too slow
    (bench/deadlines.py). ``chance_min_percent`` is how likely a cheap lane must be in time for it to be tried.
    """

    realtime_below: int = 50
    one_batch_through: int = 1000
    batches_max: int = 10
    cancel_seconds: int = 600
    collect_seconds: int = 30
    collect_requests_per_second: int = 500
    wave_seconds: int = 30
    margin_seconds: int = 300
    margin_percent: int = 75
    chance_min_percent: int = 15
    poll_seconds_max: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """When a run is done: by ``half_at`` in half of all cases, by ``nine_in_ten_at`` in nine of ten."""

    half_at: datetime
    nine_in_ten_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The lane of the first lot's next wave, and what follows from it.

    ``hasten_at`` is when what is still out of this wave moves to ``hasten_to``; ``None`` when it never does. That is
    real time, or a window that still leaves time for it: then choose again, without the lanes that were tried.
    ``likely`` is the expected cost of all lots, moves included; ``ceiling`` the most. ``sure`` says that the deadline
    (if any) holds even if nothing comes back from a cheap lane; ``misses`` that even real time cannot meet it.
    ``blocked`` says why it cannot be bought this way at all, empty when it can; a lane that is not sold has no cost
    (``None``). ``batches`` is how many batches this wave makes.
    """

    route: Route
    reason: str
    expected_at: Ready
    hasten_at: datetime | None
    hasten_to: Route
    likely: Nanos | None
    ceiling: Nanos | None
    batches: int
    sure: bool
    misses: bool
    blocked: str = ""


def batch_count(requests: int, rules: RouteRules) -> int:
    """Say into how many batches a run is cut (B10). A provider's limits may ask for more; ``packing`` knows them."""
    return max(1, min(rules.batches_max, -(-requests // rules.one_batch_through)))


def batch_size(requests: int, rules: RouteRules) -> int:
    """Say how many requests of a run of so many one batch takes at most (B10): its batches are about equal."""
    return max(1, -(-requests // batch_count(requests, rules)))


def part_of(lot: Lot, requests: int) -> Lot:
    """Give what is left of a lot when so many of its requests are: costs and seconds by their share, rounded up."""
    whole = max(lot.requests, 1)

    def share(amount: int) -> int:
        return -(-amount * requests // whole)

    offers = {
        route: Offer(likely=Nanos(share(offer.likely)), ceiling=Nanos(share(offer.ceiling)))
        for route, offer in lot.offers.items()
    }
    return Lot(requests=requests, offers=offers, realtime_seconds=share(lot.realtime_seconds), waves=lot.waves)


def corrected(lot: Lot, *, told_seconds: int, took_seconds: int) -> Lot:
    """Correct a lot's real-time seconds by what was seen: what should have taken ``told_seconds`` took ``took_seconds``.

    The plan's word counts as ``SPEED_PRIOR_SECONDS`` more of both, and the correction is at most ``SPEED_TIMES_MAX``
    either way.
    """
    took, told = took_seconds + SPEED_PRIOR_SECONDS, told_seconds + SPEED_PRIOR_SECONDS
    took = min(max(took, -(-told // SPEED_TIMES_MAX)), told * SPEED_TIMES_MAX)
    return replace(lot, realtime_seconds=-(-lot.realtime_seconds * took // told))


def closed_with(route: Route) -> frozenset[Route]:
    """Give the lanes that are too slow when this one is: itself, and every cheaper one."""
    lanes: list[Route] = [each for each in Route if each is not Route.AUTO]
    return frozenset(lanes[lanes.index(route) :]) - {Route.REALTIME}
