"""What a kept plan promises, looked at later: whether its prices hold, what is left of it, and how a cap releases it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from lowtide.catalog import Catalog, Lane
from lowtide.errors import BudgetRefused, PriceUnknown
from lowtide.money import Nanos, show_apart, show_dollars
from lowtide.plan.shown import Plan, WaveLine
from lowtide.routing import Lot as RouteLot
from lowtide.routing import Offer, Route

ROUNDS_MAX = 1000


def price_changes(plan: Plan, catalog: Catalog, today: date) -> tuple[str, ...]:
    """Say which prices of the plan differ today; empty when all hold."""
    changed: list[str] = []
    for used in plan.prices:
        try:
            sheet = catalog.sheet(used.provider, used.model, Lane(used.lane), today)
        except PriceUnknown as error:
            changed.append(f"{used.model} ({used.lane}) has no price on {today}: {error.message}")
            continue
        if sheet.digest() != used.digest:
            changed.append(f"the {used.lane} price of {used.model} on {today} differs from that of {used.day}")
    return tuple(changed)


def route_lots(waves: Iterable[WaveLine]) -> list[RouteLot]:
    """Give what is left of a plan as routing needs it: one lot a wave."""
    return [
        RouteLot(
            requests=line.requests,
            offers={
                Route(lane): Offer(likely=Nanos(likely), ceiling=Nanos(ceiling))
                for lane, (likely, ceiling) in line.lanes.items()
            },
            realtime_seconds=line.realtime_seconds,
        )
        for line in waves
    ]


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


def refuse_low_cap(plan: Plan, cap: Nanos | None) -> None:
    """Refuse a cap below the likely cost. Raises: BudgetRefused."""
    if cap is not None and plan.cost_likely > cap:
        likely, most = show_apart(plan.cost_likely, cap)
        raise BudgetRefused(
            f"the likely cost {likely} is over the cap {most}; nothing was sent or spent",
            hint=f"raise the cap (at most {show_dollars(plan.cost_ceiling)} can be needed) or plan less",
        )
