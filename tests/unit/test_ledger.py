"""``ledger``: each verb and each verdict alone. Its laws for any sequence are in ``properties/test_ledger_laws.py``."""

import pytest

from lowtide.ledger import (
    Account,
    AccountId,
    Hold,
    HoldId,
    Reason,
    Verb,
    Verdict,
    alarm,
    may_reserve,
    raise_limit,
    release,
    reserve,
    settle,
)
from lowtide.money import Nanos

ID = AccountId("run:r_1")
OTHER = AccountId("run:r_2")


def account(*, limit: int | None = 100, held: int = 0, spent: int = 0) -> Account:
    return Account(account_id=ID, limit=None if limit is None else Nanos(limit), held=Nanos(held), spent=Nanos(spent))


def hold(remaining: int, account_id: AccountId = ID) -> Hold:
    return Hold(hold_id=HoldId(1), account_id=account_id, remaining=Nanos(remaining))


@pytest.mark.parametrize(
    ("before", "headroom"),
    [
        (account(), 100),
        (account(held=30, spent=20), 50),
        (account(held=60, spent=60), 0),
        (account(limit=0), 0),
        (account(limit=None, held=10**18), None),
    ],
)
def test_headroom_is_limit_less_committed_and_never_below_nothing(before: Account, headroom: int | None) -> None:
    assert before.headroom == headroom
    assert before.committed == before.held + before.spent


@pytest.mark.parametrize(
    ("before", "amount", "verdict"),
    [
        (account(), 100, Verdict.ACCEPTED),
        (account(), 101, Verdict.BUDGET_EXCEEDED),
        (account(held=99), 1, Verdict.ACCEPTED),
        (account(spent=100), 0, Verdict.ACCEPTED),
        (account(spent=100), 1, Verdict.BUDGET_EXCEEDED),
        (account(held=60, spent=60), 0, Verdict.ACCEPTED),
        (account(limit=None), 10**18, Verdict.ACCEPTED),
    ],
)
def test_a_limit_is_exact(before: Account, amount: int, verdict: Verdict) -> None:
    assert may_reserve(before, Nanos(amount)) is verdict


def test_a_negative_amount_is_ours() -> None:
    with pytest.raises(AssertionError):
        may_reserve(account(), Nanos(-1))
    with pytest.raises(AssertionError):
        settle(account(held=5), hold(5), [Nanos(-1)])


def test_reserving_holds() -> None:
    booked = reserve(account(spent=5), HoldId(1), Nanos(95))
    assert booked.account == account(held=95, spent=5)
    assert booked.hold == hold(95)
    assert booked.verdict is Verdict.ACCEPTED


def test_reserving_what_was_not_asked_about_is_ours() -> None:
    with pytest.raises(AssertionError):
        reserve(account(), HoldId(1), Nanos(101))


@pytest.mark.parametrize(
    ("remaining", "amounts", "left", "held", "spent", "verdict"),
    [
        (50, [], 50, 50, 0, Verdict.ACCEPTED),
        (50, [20, 0, 10], 20, 20, 30, Verdict.ACCEPTED),
        (50, [50], 0, 0, 50, Verdict.ACCEPTED),
        (50, [40, 11], 0, 0, 51, Verdict.OVER_HOLD),
        (0, [1], 0, 0, 1, Verdict.OVER_HOLD),
        (0, [0], 0, 0, 0, Verdict.ACCEPTED),
    ],
)
def test_settling_spends_out_of_the_hold(
    remaining: int, amounts: list[int], left: int, held: int, spent: int, verdict: Verdict
) -> None:
    booked = settle(account(held=remaining), hold(remaining), map(Nanos, amounts))
    assert booked.hold == hold(left)
    assert booked.account == account(held=held, spent=spent)
    assert booked.verdict is verdict


@pytest.mark.parametrize(
    ("remaining", "keep", "released"), [(50, 0, 50), (50, 20, 30), (50, 50, 0), (50, 60, 0), (0, 0, 0)]
)
def test_releasing_gives_back_all_but_what_is_kept(remaining: int, keep: int, released: int) -> None:
    booked, amount = release(account(held=remaining, spent=7), hold(remaining), keep=Nanos(keep))
    assert amount == released
    assert booked.hold == hold(remaining - released)
    assert booked.account == account(held=remaining - released, spent=7)


def test_a_hold_of_another_account_is_ours() -> None:
    with pytest.raises(AssertionError):
        settle(account(held=5), hold(5, OTHER), [Nanos(1)])
    with pytest.raises(AssertionError):
        release(account(held=5), hold(5, OTHER))


@pytest.mark.parametrize(("held", "spent"), [(-1, 0), (0, -1)])
def test_balances_are_never_below_nothing(held: int, spent: int) -> None:
    with pytest.raises(AssertionError):
        account(held=held, spent=spent)
    with pytest.raises(AssertionError):
        hold(-1)


@pytest.mark.parametrize(("limit", "after"), [(200, 200), (60, 60), (59, "refused"), (0, "refused"), (None, None)])
def test_a_limit_is_raised_but_never_below_what_is_committed(limit: int | None, after: object) -> None:
    found = raise_limit(account(held=40, spent=20), None if limit is None else Nanos(limit))
    if after == "refused":
        assert found is None
    else:
        assert found == account(limit=limit, held=40, spent=20)


def test_one_verdict_is_an_alarm() -> None:
    assert {verdict for verdict in Verdict if alarm(verdict)} == {Verdict.OVER_HOLD}


def test_names_fit_their_columns() -> None:
    assert max(map(len, Verb)) <= 8
    assert max(map(len, Reason)) <= 24
