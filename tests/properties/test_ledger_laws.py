"""The laws of the books hold for any sequence of transfers that a worker could write, and some that it would not."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lowtide.ledger import (
    Account,
    AccountId,
    Hold,
    HoldId,
    Verdict,
    may_reserve,
    raise_limit,
    release,
    reserve,
    settle,
)
from lowtide.money import ZERO, Nanos

AMOUNTS = st.integers(0, 1000).map(Nanos)


class Books(RuleBasedStateMachine):
    """One account and its holds, beside a model that knows only sums."""

    holds: Bundle[HoldId] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(account_id=AccountId("run:r"), limit=Nanos(2000))
        self.open: dict[HoldId, Hold] = {}
        self.reserved = self.settled = self.released = self.above = 0

    @rule(target=holds, amount=AMOUNTS)
    def reserve(self, amount: Nanos) -> HoldId:
        hold_id = HoldId(len(self.open) + 1)
        headroom = self.account.headroom
        fits = headroom is None or amount <= headroom  # nothing at all always fits
        assert (may_reserve(self.account, amount) is Verdict.ACCEPTED) is fits
        if not fits:
            self.open[hold_id] = Hold(hold_id=hold_id, account_id=self.account.account_id, remaining=ZERO)
            return hold_id
        booked = reserve(self.account, hold_id, amount)
        assert booked.hold.remaining == amount
        self.account, self.open[hold_id] = booked.account, booked.hold
        self.reserved += amount
        return hold_id

    @rule(hold_id=holds, amounts=st.lists(AMOUNTS, max_size=4))
    def settle(self, hold_id: HoldId, amounts: list[Nanos]) -> None:
        before = self.open[hold_id].remaining
        booked = settle(self.account, self.open[hold_id], amounts)
        above = max(0, sum(amounts) - before)
        assert (booked.verdict is Verdict.OVER_HOLD) is (above > 0)
        self.account, self.open[hold_id] = booked.account, booked.hold
        self.settled += sum(amounts)
        self.above += above

    @rule(hold_id=consumes(holds), keep=AMOUNTS)
    def release(self, hold_id: HoldId, keep: Nanos) -> None:
        before = self.open[hold_id].remaining
        booked, amount = release(self.account, self.open[hold_id], keep=keep)
        assert amount == max(0, before - keep)
        assert booked.hold.remaining == min(before, keep)
        self.account, self.open[hold_id] = booked.account, booked.hold
        self.released += amount

    @rule(limit=st.none() | st.integers(0, 5000).map(Nanos))
    def raise_limit(self, limit: Nanos | None) -> None:
        after = raise_limit(self.account, limit)
        refused = limit is not None and limit < self.account.committed
        assert (after is None) is refused
        if after is not None:
            assert replace(after, limit=self.account.limit) == self.account
            self.account = after

    @invariant()
    def the_sum_of_holds_is_what_is_held(self) -> None:
        assert sum(hold.remaining for hold in self.open.values()) == self.account.held

    @invariant()
    def debits_equal_credits(self) -> None:
        assert self.account.spent == self.settled
        assert self.account.held == self.reserved - self.released - (self.settled - self.above)

    @invariant()
    def an_exact_limit_is_passed_only_by_what_came_above_a_hold(self) -> None:
        """Promise 1."""
        if self.account.limit is not None:
            assert self.account.committed <= self.account.limit + self.above


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(AMOUNTS), AMOUNTS)
def test_settling_at_once_or_one_by_one_is_the_same(amounts: list[Nanos], held: Nanos) -> None:
    account = Account(account_id=AccountId("run:r"), limit=None)
    booked = reserve(account, HoldId(1), held)
    at_once = settle(booked.account, booked.hold, amounts)
    one_by_one = booked
    for amount in amounts:
        one_by_one = settle(one_by_one.account, one_by_one.hold, [amount])
    assert (at_once.account, at_once.hold) == (one_by_one.account, one_by_one.hold)
