"""What one request, or the sum of some, costs on each lane it may be bought on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lowtide.catalog import Lane


class Cost(NamedTuple):
    """What one request, or the sum of some, costs on one lane, in nano-dollars. A tuple: two to four are made a request.

    ``output_floor``, ``output_likely`` and ``output_ceiling`` are the answers' share of it; the rest is the prompts'.
    """

    floor: int
    likely: int
    ceiling: int
    output_floor: int = 0
    output_likely: int = 0
    output_ceiling: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one request, or the sum of some, costs on each lane it may be bought on; ``batch`` is ``None`` for none."""

    realtime: Cost
    batch: Cost | None
    windows: Mapping[Lane, Cost] = field(default_factory=dict)

    def on(self, lane: Lane) -> Cost:
        """Give the cost on a lane, or on the next dearer one that there is: a window, a batch, real time."""
        if lane in self.windows:
            return self.windows[lane]
        return self.realtime if lane is Lane.REALTIME or self.batch is None else self.batch

    @property
    def cheapest(self) -> Cost:
        """The cost in a batch, where there is one."""
        return self.realtime if self.batch is None else self.batch

    @property
    def dearest_ceiling(self) -> int:
        """The most it can cost on any lane but the batch."""
        if not self.windows:  # nearly always: a look over none would cost as much as all else that is asked here
            return self.realtime.ceiling
        return max(self.realtime.ceiling, *(cost.ceiling for cost in self.windows.values()))
