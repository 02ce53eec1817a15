"""When the provider's free token counter is worth a call: few requests, or a count that decides something.

A count makes the input sure and leaves the output as it is. The law: nothing is asked here, a reason is given.
"""

from collections.abc import Sequence
from enum import StrEnum

from lowtide.estimate.words import Basis, SumRange, TokenRange

FEW = 50  # requests that are counted without further reason: a minute of a counter that takes 100 a minute
MANY = 2_000  # more are not counted for a cap: that takes longer than it is worth
NEAR_PERCENT = 25  # how far a judged count may be off, generously: the measured error of one body, nine times in ten


class Reason(StrEnum):
    """Why a count is worth a call."""

    FEW = "few"  # there are so few requests that it costs nothing to know
    THRESHOLD = "threshold"  # a context-price threshold, or the window, lies within the error
    UNSEEN = "unseen"  # a document whose length cannot be seen here
    CAP = "cap"  # the cap lies inside the range of the cost


def worth_counting(
    tokens: TokenRange,
    *,
    requests: int,
    thresholds: Sequence[int] = (),
    window: int | None = None,
    cap: int | None = None,
    total: SumRange | None = None,
) -> Reason | None:
    """Say why one of ``requests`` requests should be counted by the provider, ``None`` when it should not.

    ``thresholds`` are prompt lengths at which the price changes, ``window`` the longest prompt that fits; ``cap`` and
    ``total`` are of one unit, the run's limit and the range of its cost. What was counted already is never counted again.
    """
    if tokens.basis is Basis.COUNTED:
        return None
    if tokens.basis is Basis.LIMIT:
        return Reason.UNSEEN
    margin = tokens.likely * NEAR_PERCENT // 100
    edges = [*thresholds, *([] if window is None else [window])]
    if any(tokens.likely - margin <= edge <= min(tokens.likely + margin, tokens.ceiling) for edge in edges):
        return Reason.THRESHOLD
    if requests <= FEW:
        return Reason.FEW
    if cap is not None and total is not None and requests <= MANY and total.low <= cap <= total.high:
        return Reason.CAP
    return None
