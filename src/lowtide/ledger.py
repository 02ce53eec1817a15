"""The books: two nouns, account and transfer; three verbs, reserve, settle, release. Pure; the store writes what it says.

Laws. Held plus spent never passes an exact limit. A transfer is never changed: a correction is a new one. What is held
on an account is the sum of its holds, what is spent is the sum of its settlements, and what run accounts paid is what
provider accounts received (debits equal credits). A settlement above its hold is booked all the same, and says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NewType, assert_never

from lowtide.money import ZERO, Nanos

AccountId = NewType("AccountId", str)  # "run:r_7f3k2" pays, "provider:anthropic" receives
HoldId = NewType("HoldId", int)  # the transfer that reserved


class Verb(StrEnum):
    """What a transfer does."""

    RESERVE = "reserve"
    SETTLE = "settle"
    RELEASE = "release"


class Reason(StrEnum):
    """What money was reserved or spent for; what bought nothing is booked by its name."""

    BATCH = "batch"
    REALTIME = "realtime"  # and by OpenAI's background windows
    FIRST_REQUEST = "first_request"  # tried in real time before the first batch of its kind
    DOUBT = "doubt"  # a real-time reply was lost: counts as spent until somebody settles it
    POSSIBLE_DUPLICATE = "possible_duplicate"  # sent again while a doubt about it stands
    DUPLICATE = "duplicate"  # bought a second time by a batch that had arrived after all
    CANCELED_BUT_FINISHED = "canceled_but_finished"  # finished although its run was canceled
    PRICE_UNKNOWN = "price_unknown"  # bought, and our prices lack a kind of token in it: held at its ceiling
    ROW_MISSING = "row_missing"  # counted as finished by the provider, its row never came
    ADOPTED = "adopted"  # submitted by another program


class Verdict(StrEnum):
    """The world's answer to a transfer, named by the rule it kept or broke."""

    ACCEPTED = "accepted"
    BUDGET_EXCEEDED = "budget_exceeded"
    OVER_HOLD = "over_hold"  # booked, and an alarm: the ceiling was no ceiling


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One side of the books. ``limit`` is ``None`` for no limit; amounts in nano-dollars."""

    account_id: AccountId
    limit: Nanos | None
    held: Nanos = ZERO
    spent: Nanos = ZERO

    def __post_init__(self) -> None:
        assert self.held >= 0, f"{self.account_id} holds {self.held}"
        assert self.spent >= 0, f"{self.account_id} spent {self.spent}"

    @property
    def committed(self) -> Nanos:
        """Spent and held together: what a limit is compared with."""
        return Nanos(self.held + self.spent)

    @property
    def headroom(self) -> Nanos | None:
        """What may still be reserved; ``None`` for no limit."""
        return None if self.limit is None else Nanos(max(0, self.limit - self.committed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What one reservation still holds of its amount."""

    hold_id: HoldId
    account_id: AccountId
    remaining: Nanos

    def __post_init__(self) -> None:
        assert self.remaining >= 0, f"hold {self.hold_id} has {self.remaining} left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """The account and the hold after a transfer, and the verdict. A refused transfer leaves both as they were."""

    account: Account
    hold: Hold
    verdict: Verdict


def may_reserve(account: Account, amount: Nanos) -> Verdict:
    """Say whether the amount fits the limit. Promise 1: asked and written in one transaction, before anything is sent."""
    assert amount >= 0
    headroom = account.headroom
    return Verdict.ACCEPTED if headroom is None or amount <= headroom else Verdict.BUDGET_EXCEEDED


def reserve(account: Account, hold_id: HoldId, amount: Nanos) -> Booked:
    """Set an amount aside. The caller asked ``may_reserve`` in the same transaction."""
    assert may_reserve(account, amount) is Verdict.ACCEPTED
    hold = Hold(hold_id=hold_id, account_id=account.account_id, remaining=amount)
    return Booked(account=replace(account, held=Nanos(account.held + amount)), hold=hold, verdict=Verdict.ACCEPTED)


def settle(account: Account, hold: Hold, amounts: Iterable[Nanos]) -> Booked:
    """Spend amounts out of a hold. What exceeds the hold is spent too (promise 6) and gives ``OVER_HOLD``."""
    assert hold.account_id == account.account_id
    total = 0
    for amount in amounts:
        assert amount >= 0
        total += amount
    taken = min(total, hold.remaining)
    return Booked(
        account=replace(account, held=Nanos(account.held - taken), spent=Nanos(account.spent + total)),
        hold=replace(hold, remaining=Nanos(hold.remaining - taken)),
        verdict=Verdict.ACCEPTED if taken == total else Verdict.OVER_HOLD,
    )


def release(account: Account, hold: Hold, *, keep: Nanos = ZERO) -> tuple[Booked, Nanos]:
    """Give back what a hold still has, but for ``keep``. Gives the amount released beside what is left."""
    assert hold.account_id == account.account_id
    amount = Nanos(max(0, hold.remaining - keep))
    booked = Booked(
        account=replace(account, held=Nanos(account.held - amount)),
        hold=replace(hold, remaining=Nanos(hold.remaining - amount)),
        verdict=Verdict.ACCEPTED,
    )
    return booked, amount


def raise_limit(account: Account, limit: Nanos | None) -> Account | None:
    """Give the account with a new limit, or ``None`` when less than what is committed already."""
    if limit is not None and limit < account.committed:
        return None
    return replace(account, limit=limit)


def alarm(verdict: Verdict) -> bool:
    """Say whether a verdict must stop the model it was met with."""
    match verdict:
        case Verdict.ACCEPTED | Verdict.BUDGET_EXCEEDED:
            return False
        case Verdict.OVER_HOLD:
            return True
    assert_never(verdict)
