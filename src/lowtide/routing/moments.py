"""The last safe moment, and the time that is kept after it: draining, collecting, real time, a margin."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from lowtide.routing.terms import Lot, RouteRules


def hasten_at(
    *,
    deadline_at: datetime,
    remaining_requests: int,
    remaining_waves: int,
    realtime_seconds: int,
    cancel_seconds: int,
    rules: RouteRules,
) -> datetime:
    """Give the last safe moment to cancel what is out and buy the rest in real time.

    ``remaining_waves`` includes the one that is out, ``realtime_seconds`` is for everything that is left. Before it
    come: the provider's drain, collecting what was paid for, the rest in real time, a margin. The more has landed, the
    later it is.
    """
    kept = cancel_seconds + collect_seconds(remaining_requests, rules)
    kept += reserve(realtime_seconds, remaining_waves, rules) + rules.margin_seconds
    return deadline_at - timedelta(seconds=kept)


def drained_at(now: datetime, requests: int, rules: RouteRules) -> datetime:
    """Give when what is called back now is here at the latest: drained by its provider, and collected."""
    return now + timedelta(seconds=rules.cancel_seconds + collect_seconds(requests, rules))


def misses(lots: Sequence[Lot], *, deadline_at: datetime, now: datetime) -> bool:
    """Say whether even real time cannot meet the deadline: the plan says so first. No margin is kept."""
    return now + timedelta(seconds=sum(lot.realtime_seconds for lot in lots)) > deadline_at


def reserve(realtime_seconds: int, waves: int, rules: RouteRules) -> int:
    """Give the seconds kept for real time: what the limits say, a margin, and the rendering of each wave."""
    return realtime_seconds + -(-realtime_seconds * rules.margin_percent // 100) + waves * rules.wave_seconds


def collect_seconds(requests: int, rules: RouteRules) -> int:
    """Seconds until what was paid for is here."""
    return rules.collect_seconds + -(-requests // rules.collect_requests_per_second)
