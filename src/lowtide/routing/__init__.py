"""Which lane buys what is left of a run, and until when it may be waited for. One judgement, pure.

Costs, limits and earlier turnarounds are told; nothing here prices, packs, paces or looks at a clock. The law: what the
user forces stands; a deadline is missed only where even real time could not meet it, or where the budget does not cover
it, and then the choice says so. Rules in order: force, urgency, deadline, size (B10), budget, price.

Waiting in a cheap lane is nearly free: a row that was canceled is not billed, and one that finished is kept. So a
deadline does not ask "will the batch be back in time" but "until when can we still change our mind": that is the
moment of hastening. Where later waves wait for earlier ones, the time that can be spared is spread over the waves by
what each would save, and counted anew at each.
"""

from lowtide.routing.choice import choose
from lowtide.routing.moments import drained_at, hasten_at, misses
from lowtide.routing.terms import (
    Choice,
    Lot,
    Offer,
    Ready,
    Route,
    RouteRules,
    TurnaroundBasis,
    TurnaroundRange,
    TurnaroundSeen,
    Wish,
    batch_count,
    batch_size,
    closed_with,
    corrected,
    part_of,
)
from lowtide.routing.turnarounds import PRIOR, WINDOWS, turnaround, window_turnaround

__all__ = [
    "PRIOR",
    "WINDOWS",
    "Choice",
    "Lot",
    "Offer",
    "Ready",
    "Route",
    "RouteRules",
    "TurnaroundBasis",
    "TurnaroundRange",
    "TurnaroundSeen",
    "Wish",
    "batch_count",
    "batch_size",
    "choose",
    "closed_with",
    "corrected",
    "drained_at",
    "hasten_at",
    "misses",
    "part_of",
    "turnaround",
    "window_turnaround",
]
