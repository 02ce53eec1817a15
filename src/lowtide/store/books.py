"""Accounts, holds and transfers as rows. The ledger decides; this file reads for it and writes what it said.

Every function is called inside a writing transaction that also writes what the money is for (promise 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, case, func, select

from lowtide import ledger
from lowtide.ledger import Account, AccountId, Hold, HoldId, Reason, Verdict
from lowtide.money import ZERO, Nanos
from lowtide.store import Store, Transaction, insert_missing
from lowtide.store.schema import ACCOUNTS, HOLDS, TRANSFERS, instant_text

BROKEN_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """A hold that still has something: what for, and whose."""

    hold: Hold
    counter_account: AccountId
    reason: Reason
    shard_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One amount settled, for one request of a shard."""

    ordinal: int
    amount: Nanos
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Imbalance:
    """A law of the books that the rows break."""

    what: str


def open_account(tx: Transaction, account_id: AccountId, limit: Nanos | None) -> None:
    """Begin an account, unless it is there."""
    insert_missing(tx, ACCOUNTS, {"account_id": account_id, "limit_nanos": limit, "held_nanos": 0, "spent_nanos": 0})


def find_account(tx: Transaction, account_id: AccountId, *, lock: bool = False) -> Account | None:
    """Read an account, locked for this transaction if asked."""
    query = select(ACCOUNTS).where(ACCOUNTS.c.account_id == account_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        return None
    limit = None if row.limit_nanos is None else Nanos(row.limit_nanos)
    return Account(account_id=account_id, limit=limit, held=Nanos(row.held_nanos), spent=Nanos(row.spent_nanos))


def write_account(tx: Transaction, account: Account) -> None:
    """Write an account's limit and balances."""
    changed = tx.execute(
        ACCOUNTS.update()
        .where(ACCOUNTS.c.account_id == account.account_id)
        .values(limit_nanos=account.limit, held_nanos=account.held, spent_nanos=account.spent)
    ).rowcount
    assert changed == 1, account.account_id


def reserve(
    tx: Transaction,
    *,
    payer: AccountId,
    payee: AccountId,
    amount: Nanos,
    reason: Reason,
    shard_id: str,
    at: datetime,
    over_limit: bool = False,
) -> HoldId | None:
    """Set an amount aside, ``None`` when the limit does not cover it. Promise 1: the row is there before the sending.

    ``over_limit`` books what was bought already, whatever the limit says.
    """
    account = _locked(tx, payer)
    if not over_limit and ledger.may_reserve(account, amount) is not Verdict.ACCEPTED:
        return None
    hold_id = HoldId(
        tx.execute(
            TRANSFERS.insert()
            .values(
                verb="reserve",
                debit_account=payer,
                credit_account=payee,
                amount_nanos=amount,
                hold_id=None,
                reason=reason,
                shard_id=shard_id,
                ordinal=None,
                at=at,
            )
            .returning(TRANSFERS.c.transfer_id)
        ).scalar_one()
    )
    _move(tx, account, payee, held=amount, spent=ZERO)
    tx.execute(
        HOLDS.insert().values(
            hold_id=hold_id,
            account_id=payer,
            counter_account=payee,
            remaining_nanos=amount,
            reason=reason,
            shard_id=shard_id,
        )
    )
    return hold_id


def settle(
    store: Store, tx: Transaction, hold_id: int, settlements: Sequence[Settlement], *, shard_id: str, at: datetime
) -> Verdict:
    """Spend amounts out of a hold, a transfer each. Above the hold they are booked all the same (``OVER_HOLD``)."""
    if not settlements:
        return Verdict.ACCEPTED
    found = find_hold(tx, hold_id)
    assert found is not None, f"hold {hold_id} is gone"
    account = _locked(tx, found.hold.account_id)
    booked = ledger.settle(account, found.hold, (settlement.amount for settlement in settlements))
    moment = instant_text(at)
    store.insert(
        tx,
        "transfers (verb, debit_account, credit_account, amount_nanos, hold_id, reason, shard_id, ordinal, at)",
        "('settle', ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                found.hold.account_id,
                found.counter_account,
                settlement.amount,
                hold_id,
                settlement.reason.value,  # a plain text: a driver looks long at any other
                shard_id,
                settlement.ordinal,
                moment,
            )
            for settlement in settlements
        ],
    )
    _move(
        tx,
        account,
        found.counter_account,
        held=Nanos(booked.account.held - account.held),
        spent=Nanos(booked.account.spent - account.spent),
    )
    _write_hold(tx, booked.hold)
    return booked.verdict


def book_bought(
    store: Store,
    tx: Transaction,
    settlements: Sequence[Settlement],
    *,
    payer: AccountId,
    payee: AccountId,
    reason: Reason,
    shard_id: str,
    at: datetime,
) -> None:
    """Book what was bought before we knew of it: reserved and settled at once, whatever the limit says."""
    total = Nanos(sum(settlement.amount for settlement in settlements))
    hold_id = reserve(
        tx, payer=payer, payee=payee, amount=total, reason=reason, shard_id=shard_id, at=at, over_limit=True
    )
    assert hold_id is not None, "no limit is asked"
    settle(store, tx, hold_id, settlements, shard_id=shard_id, at=at)
    release(tx, hold_id, at=at)


def release(
    tx: Transaction,
    hold_id: int,
    *,
    at: datetime,
    keep: Nanos = ZERO,
    keep_reason: Reason | None = None,
    keep_empty: bool = False,
) -> Nanos:
    """Give back what a hold still has but for ``keep``, which stays held under ``keep_reason``. Gives the amount.

    ``keep_empty``: a hold with nothing left stays, for settlements that are still to come.
    """
    found = find_hold(tx, hold_id)
    if found is None:
        return ZERO
    account = _locked(tx, found.hold.account_id)
    booked, amount = ledger.release(account, found.hold, keep=keep)
    if amount:
        tx.execute(
            TRANSFERS.insert().values(
                verb="release",
                debit_account=found.counter_account,
                credit_account=found.hold.account_id,
                amount_nanos=amount,
                hold_id=hold_id,
                reason=found.reason,
                shard_id=found.shard_id,
                ordinal=None,
                at=at,
            )
        )
        _move(tx, account, found.counter_account, held=Nanos(-amount), spent=ZERO)
    if keep_reason is not None:
        tx.execute(HOLDS.update().where(HOLDS.c.hold_id == hold_id).values(reason=keep_reason))
    if booked.hold.remaining or keep_empty:
        _write_hold(tx, booked.hold)
    else:
        tx.execute(HOLDS.delete().where(HOLDS.c.hold_id == hold_id))
    return amount


def split(
    tx: Transaction,
    hold_id: int,
    amount: Nanos,
    *,
    payer: AccountId,
    payee: AccountId,
    reason: Reason,
    shard_id: str,
    at: datetime,
) -> HoldId:
    """Give a part of a hold a hold of its own, under its own name: released and reserved again at once.

    Where the hold has less left (it should not), the part is reserved whole all the same: it may be money.
    """
    found = find_hold(tx, hold_id)
    if found is not None:
        release(tx, hold_id, at=at, keep=Nanos(max(0, found.hold.remaining - amount)), keep_empty=True)
    part = reserve(
        tx, payer=payer, payee=payee, amount=amount, reason=reason, shard_id=shard_id, at=at, over_limit=True
    )
    assert part is not None, "no limit is asked"
    return part


def find_hold(tx: Transaction, hold_id: int) -> OpenHold | None:
    """Read a hold, ``None`` when it was released. A hold that is used up stays until its shard has landed."""
    row = tx.execute(select(HOLDS).where(HOLDS.c.hold_id == hold_id)).one_or_none()
    if row is None:
        return None
    hold = Hold(hold_id=HoldId(row.hold_id), account_id=AccountId(row.account_id), remaining=Nanos(row.remaining_nanos))
    return OpenHold(
        hold=hold,
        counter_account=AccountId(row.counter_account),
        reason=Reason(row.reason),
        shard_id=row.shard_id,
    )


def rename_hold(tx: Transaction, hold_id: int, reason: Reason) -> None:
    """Say what a hold is for now."""
    tx.execute(HOLDS.update().where(HOLDS.c.hold_id == hold_id).values(reason=reason))


def holds_of(tx: Transaction, account_id: AccountId) -> list[OpenHold]:
    """List what an account holds, oldest first."""
    query = select(HOLDS.c.hold_id).where(HOLDS.c.account_id == account_id, HOLDS.c.remaining_nanos > 0)
    ids = tx.execute(query.order_by(HOLDS.c.hold_id)).scalars()
    return [found for hold_id in list(ids) if (found := find_hold(tx, hold_id)) is not None]


def spent_by_reason(tx: Transaction, account_id: AccountId) -> dict[Reason, Nanos]:
    """Sum what an account spent, by what for."""
    rows = tx.execute(
        select(TRANSFERS.c.reason, func.sum(TRANSFERS.c.amount_nanos))
        .where(TRANSFERS.c.debit_account == account_id, TRANSFERS.c.verb == "settle")
        .group_by(TRANSFERS.c.reason)
    )
    return {Reason(reason): Nanos(int(amount)) for reason, amount in rows}


def imbalances(tx: Transaction) -> list[Imbalance]:
    """Check every law of the books against the rows; an empty list is the only good answer."""
    broken: list[str] = []
    settled = _sums(
        tx,
        select(TRANSFERS.c.debit_account, func.sum(TRANSFERS.c.amount_nanos))
        .where(TRANSFERS.c.verb == "settle")
        .group_by(TRANSFERS.c.debit_account),
    )
    holding = _sums(tx, select(HOLDS.c.account_id, func.sum(HOLDS.c.remaining_nanos)).group_by(HOLDS.c.account_id))
    held = {"payers": 0, "payees": 0}
    spent = {"payers": 0, "payees": 0}
    for row in tx.execute(select(ACCOUNTS)):
        side = "payees" if row.account_id.startswith("provider:") else "payers"
        held[side] += row.held_nanos
        spent[side] += row.spent_nanos
        if side == "payees":
            continue
        if row.held_nanos != holding.get(row.account_id, 0):
            broken.append(f"{row.account_id} holds {row.held_nanos}, its holds {holding.get(row.account_id, 0)}")
        if row.spent_nanos != settled.get(row.account_id, 0):
            broken.append(f"{row.account_id} spent {row.spent_nanos}, settled {settled.get(row.account_id, 0)}")
    if held["payers"] != held["payees"] or spent["payers"] != spent["payees"]:
        broken.append(f"debits differ from credits: held {held}, spent {spent}")
    broken.extend(_broken_holds(tx))
    return [Imbalance(what=what) for what in broken]


def _sums(tx: Transaction, query: Select[str, int]) -> dict[str, int]:
    return {account_id: int(amount) for account_id, amount in tx.execute(query)}


def _broken_holds(tx: Transaction) -> list[str]:
    """Compare what each hold has left with what its transfers say: reserved, less settled and released, never below 0."""
    hold_id = func.coalesce(TRANSFERS.c.hold_id, TRANSFERS.c.transfer_id)
    signed = case((TRANSFERS.c.verb == "reserve", TRANSFERS.c.amount_nanos), else_=-TRANSFERS.c.amount_nanos)
    left = select(hold_id.label("hold_id"), func.sum(signed).label("amount")).group_by(hold_id).subquery()
    remaining = func.coalesce(HOLDS.c.remaining_nanos, 0)
    wrong = select(left.c.hold_id, left.c.amount, remaining.label("remaining")).select_from(
        left.outerjoin(HOLDS, HOLDS.c.hold_id == left.c.hold_id)
    )
    wrong = wrong.where(remaining != case((left.c.amount > 0, left.c.amount), else_=0)).order_by(left.c.hold_id)
    broken = [
        f"hold {row.hold_id} has {row.remaining} left, reserved less settled and released is {int(row.amount)}"
        for row in tx.execute(wrong.limit(BROKEN_LISTED))
    ]
    unknown = select(HOLDS.c.hold_id).where(HOLDS.c.hold_id.not_in(select(TRANSFERS.c.transfer_id)))
    broken.extend(
        f"hold {number} was never reserved: reserved less settled and released is nothing"
        for number in tx.execute(unknown.limit(BROKEN_LISTED)).scalars()
    )
    return broken


def _locked(tx: Transaction, account_id: AccountId) -> Account:
    account = find_account(tx, account_id, lock=True)
    assert account is not None, f"no account {account_id}"
    return account


def _move(tx: Transaction, payer: Account, payee: AccountId, *, held: Nanos, spent: Nanos) -> None:
    """Write both sides of a transfer."""
    after = Account(
        account_id=payer.account_id,
        limit=payer.limit,
        held=Nanos(payer.held + held),
        spent=Nanos(payer.spent + spent),
    )
    write_account(tx, after)
    changed = tx.execute(
        ACCOUNTS.update()
        .where(ACCOUNTS.c.account_id == payee)
        .values(held_nanos=ACCOUNTS.c.held_nanos + held, spent_nanos=ACCOUNTS.c.spent_nanos + spent)
    ).rowcount
    assert changed == 1, payee


def _write_hold(tx: Transaction, hold: Hold) -> None:
    tx.execute(HOLDS.update().where(HOLDS.c.hold_id == hold.hold_id).values(remaining_nanos=hold.remaining))
