"""The plan: what a run will be, what it will cost, and what is not known. Made before anything is sent, kept with a digest.

``draft`` makes it, ``shown`` is what is shown and kept, ``promises`` compares it with what is true later, ``costs`` is what one
request costs on each lane.
"""

from lowtide.plan.costs import Cost, Costs
from lowtide.plan.draft import (
    LONG_PROMPTS_LISTED,
    NOTHING_LEARNED,
    PILOT,
    Draft,
    Learned,
)
from lowtide.plan.promises import (
    ROUNDS_MAX,
    Rounds,
    price_changes,
    price_sources,
    refuse_low_cap,
    rounds,
    route_lots,
)
from lowtide.plan.shown import (
    Head,
    Line,
    LongPrompt,
    Plan,
    PriceUsed,
    Turnaround,
    WaveLine,
    decode,
    digest,
    encode,
)

__all__ = [
    "LONG_PROMPTS_LISTED",
    "NOTHING_LEARNED",
    "PILOT",
    "ROUNDS_MAX",
    "Cost",
    "Costs",
    "Draft",
    "Head",
    "Learned",
    "Line",
    "LongPrompt",
    "Plan",
    "PriceUsed",
    "Rounds",
    "Turnaround",
    "WaveLine",
    "decode",
    "digest",
    "encode",
    "price_changes",
    "price_sources",
    "refuse_low_cap",
    "rounds",
    "route_lots",
]
