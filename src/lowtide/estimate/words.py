"""What an estimate is made of: what it rests on, the range of one request, the range of a sum. Values, no judgement."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Basis(StrEnum):
    """What a figure rests on, surest first."""

    COUNTED = "counted"  # the provider counted it
    LEARNED = "learned"  # earlier answers to the same kind of request
    LOCAL = "local"  # our own estimate from bytes
    LIMIT = "limit"  # nothing is known but a limit


SURE = {basis: place for place, basis in enumerate(Basis)}


def least_sure(bases: "tuple[Basis, ...]") -> Basis:
    """Give the least sure of some; nothing at all is as sure as a count."""
    return max(bases, key=SURE.__getitem__, default=Basis.COUNTED)


class TokenRange(NamedTuple):
    """Tokens of one request: hardly fewer than ``floor``, probably ``likely``, never more than ``ceiling``.

    A tuple: two are made a request.
    """

    floor: int
    likely: int
    ceiling: int
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class SumRange:
    """A sum over many requests, in any unit (tokens, nano-dollars): ``low`` to ``high`` holds 95 times in 100.

    ``floor`` and ``ceiling`` are the sums of the single bounds; ``basis`` is the least sure that went in. Where that is
    ``LIMIT`` a part of the sum has no history, and that part goes from its floor to its ceiling.
    """

    floor: int
    low: int
    likely: int
    high: int
    ceiling: int
    basis: Basis

    def plus(self, other: "SumRange") -> "SumRange":
        """Add a sum. Errors are taken to go together, so the range is never too narrow for it."""
        return SumRange(
            floor=self.floor + other.floor,
            low=self.low + other.low,
            likely=self.likely + other.likely,
            high=self.high + other.high,
            ceiling=self.ceiling + other.ceiling,
            basis=least_sure((self.basis, other.basis)),
        )
