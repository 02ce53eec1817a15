"""``store/books``: the ledger's verdicts as rows, on SQLite and on PostgreSQL, also when eight reserve at once."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from world import NOW, PAYEE, PAYER, Home

from lowtide.ledger import Account, AccountId, Hold, HoldId, Reason, Verdict
from lowtide.money import ZERO, Nanos
from lowtide.store import Store, Transaction, books
from lowtide.store.books import Settlement
from lowtide.store.schema import ACCOUNTS, HOLDS, TRANSFERS


@pytest.fixture
def books_store(store: Store) -> Store:
    """Books with a limit of 1,000."""
    open_accounts(store, 1000)
    return store


def open_accounts(store: Store, limit: int | None) -> None:
    with store.write() as tx:
        books.open_account(tx, PAYER, None if limit is None else Nanos(limit))
        books.open_account(tx, PAYEE, None)


def reserve(tx: Transaction, amount: int, *, reason: Reason = Reason.BATCH, over_limit: bool = False) -> HoldId | None:
    return books.reserve(
        tx,
        payer=PAYER,
        payee=PAYEE,
        amount=Nanos(amount),
        reason=reason,
        shard_id="lt1",
        at=NOW,
        over_limit=over_limit,
    )


def settle(store: Store, hold_id: int, *amounts: int, start: int = 0) -> Verdict:
    settlements = [
        Settlement(ordinal=start + number, amount=Nanos(amount), reason=Reason.BATCH)
        for number, amount in enumerate(amounts)
    ]
    with store.write() as tx:
        return books.settle(store, tx, hold_id, settlements, shard_id="lt1", at=NOW)


def held(store: Store, amount: int = 600) -> HoldId:
    with store.write() as tx:
        hold_id = reserve(tx, amount)
    assert hold_id is not None
    return hold_id


def balances(store: Store, account_id: AccountId = PAYER) -> tuple[int, int]:
    """(held, spent), after checking every law."""
    with store.read() as tx:
        assert books.imbalances(tx) == []
        account = books.find_account(tx, account_id)
    assert account is not None
    return account.held, account.spent


def transfers(store: Store) -> list[tuple[str, int, str]]:
    with store.read() as tx:
        rows = tx.execute(select(TRANSFERS).order_by(TRANSFERS.c.transfer_id))
        return [(row.verb, row.amount_nanos, row.reason) for row in rows]


def test_what_is_reserved_is_held_on_both_sides(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    assert balances(books_store) == balances(books_store, PAYEE) == (600, 0)
    with books_store.read() as tx:
        found = books.find_hold(tx, hold_id)
        assert found is not None
        assert found.hold == Hold(hold_id=hold_id, account_id=PAYER, remaining=Nanos(600))
        assert (found.counter_account, found.reason, found.shard_id) == (PAYEE, Reason.BATCH, "lt1")
        assert books.holds_of(tx, PAYER) == [found]
        assert books.holds_of(tx, PAYEE) == []


def test_a_limit_is_exact(books_store: Store) -> None:
    held(books_store, 600)
    with books_store.write() as tx:
        assert reserve(tx, 401) is None
        assert reserve(tx, 400) is not None
        assert reserve(tx, 1) is None
        assert reserve(tx, 0) is not None
    assert balances(books_store) == (1000, 0)
    assert [transfer[0] for transfer in transfers(books_store)] == ["reserve"] * 3


def test_no_limit_is_no_limit(store: Store) -> None:
    open_accounts(store, None)
    held(store, 9 * 10**18)  # nine billion dollars
    assert balances(store) == (9 * 10**18, 0)


def test_what_was_bought_already_is_booked_over_the_limit(books_store: Store) -> None:
    with books_store.write() as tx:
        assert reserve(tx, 5000, reason=Reason.DUPLICATE, over_limit=True) is not None
    assert balances(books_store) == (5000, 0)


def test_settlements_come_out_of_the_hold_a_transfer_each(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    assert settle(books_store, hold_id, 100, 0, 50) is Verdict.ACCEPTED
    assert balances(books_store) == balances(books_store, PAYEE) == (450, 150)
    assert transfers(books_store)[1:] == [("settle", 100, "batch"), ("settle", 0, "batch"), ("settle", 50, "batch")]
    assert settle(books_store, hold_id, 450, start=3) is Verdict.ACCEPTED
    assert balances(books_store) == (0, 600)
    with books_store.read() as tx:
        assert books.find_hold(tx, hold_id) is not None, "it stays until its shard has landed"
        assert books.holds_of(tx, PAYER) == []
        assert books.spent_by_reason(tx, PAYER) == {Reason.BATCH: 600}


def test_nothing_to_settle_is_nothing(books_store: Store) -> None:
    assert settle(books_store, held(books_store)) is Verdict.ACCEPTED
    assert balances(books_store) == (600, 0)


def test_a_settlement_above_its_hold_is_booked_and_says_so(books_store: Store) -> None:
    hold_id = held(books_store, 100)
    assert settle(books_store, hold_id, 90, 30) is Verdict.OVER_HOLD
    assert balances(books_store) == (0, 120)


def split(store: Store, hold_id: int, amount: int) -> HoldId:
    with store.write() as tx:
        return books.split(
            tx, hold_id, Nanos(amount), payer=PAYER, payee=PAYEE, reason=Reason.DOUBT, shard_id="lt1", at=NOW
        )


def holds(store: Store) -> list[tuple[int, int, str]]:
    with store.read() as tx:
        found = books.holds_of(tx, PAYER)
    return [(hold.hold.hold_id, hold.hold.remaining, hold.reason) for hold in found]


def test_a_part_of_a_hold_gets_a_name_of_its_own(books_store: Store) -> None:
    """Promise 3: what a lost call may have cost is held by its name, and no more than before is held in all."""
    hold_id = held(books_store, 600)
    part = split(books_store, hold_id, 200)
    assert balances(books_store) == balances(books_store, PAYEE) == (600, 0)
    assert holds(books_store) == [(hold_id, 400, "batch"), (part, 200, "doubt")]
    assert transfers(books_store)[1:] == [("release", 200, "batch"), ("reserve", 200, "doubt")]
    assert settle(books_store, hold_id, 100) is Verdict.ACCEPTED, "the rest goes on as it was"
    with books_store.write() as tx:
        assert books.release(tx, hold_id, at=NOW) == 300
    assert balances(books_store) == (200, 100)
    assert holds(books_store) == [(part, 200, "doubt")]


def test_a_part_never_takes_more_than_there_is_from_its_hold_and_is_whole_all_the_same(books_store: Store) -> None:
    """It may be money: it is held whatever the limit says."""
    hold_id = held(books_store, 950)
    settle(books_store, hold_id, 900)
    part = split(books_store, hold_id, 200)
    assert holds(books_store) == [(part, 200, "doubt")]
    assert balances(books_store) == (200, 900)
    with books_store.read() as tx:
        assert books.find_hold(tx, hold_id) is not None, "settlements of its other calls are still to come"


def test_a_part_of_a_hold_that_is_gone_is_held_all_the_same(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    with books_store.write() as tx:
        books.release(tx, hold_id, at=NOW)
    part = split(books_store, hold_id, 200)
    assert holds(books_store) == [(part, 200, "doubt")]
    assert balances(books_store) == (200, 0)


def test_a_used_up_hold_may_stay_for_what_is_still_to_come(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    with books_store.write() as tx:
        assert books.release(tx, hold_id, at=NOW, keep_empty=True) == 600
        found = books.find_hold(tx, hold_id)
    assert found is not None
    assert found.hold.remaining == 0
    assert settle(books_store, hold_id, 5) is Verdict.OVER_HOLD
    assert balances(books_store) == (0, 5)


def test_one_request_is_never_settled_twice(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    settle(books_store, hold_id, 10, start=7)
    with pytest.raises(IntegrityError):
        settle(books_store, hold_id, 10, start=7)
    assert balances(books_store) == (590, 10)


def test_settling_a_hold_that_is_gone_is_ours(books_store: Store) -> None:
    with pytest.raises(AssertionError, match="hold 99 is gone"):
        settle(books_store, 99, 1)


def test_what_is_left_is_given_back(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    settle(books_store, hold_id, 250)
    with books_store.write() as tx:
        assert books.release(tx, hold_id, at=NOW) == 350
    assert balances(books_store) == (0, 250)
    assert transfers(books_store)[-1] == ("release", 350, "batch")
    with books_store.write() as tx:
        assert books.find_hold(tx, hold_id) is None
        assert books.release(tx, hold_id, at=NOW) == ZERO, "again is nothing"
        assert reserve(tx, 750) is not None, "and may be used again"
    assert len(transfers(books_store)) == 4


def test_a_part_may_be_kept_under_its_own_name(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    with books_store.write() as tx:
        assert books.release(tx, hold_id, at=NOW, keep=Nanos(150), keep_reason=Reason.ROW_MISSING) == 450
    assert balances(books_store) == (150, 0)
    with books_store.read() as tx:
        (kept,) = books.holds_of(tx, PAYER)
    assert (kept.reason, kept.hold.remaining) == (Reason.ROW_MISSING, 150)


def test_more_than_is_left_cannot_be_kept(books_store: Store) -> None:
    hold_id = held(books_store, 600)
    settle(books_store, hold_id, 550)
    with books_store.write() as tx:
        assert books.release(tx, hold_id, at=NOW, keep=Nanos(500), keep_reason=Reason.ROW_MISSING) == 0
    assert balances(books_store) == (50, 550)
    assert [verb for verb, _, _ in transfers(books_store)] == ["reserve", "settle"], "no transfer of nothing"


def test_a_hold_may_be_renamed(books_store: Store) -> None:
    hold_id = held(books_store)
    with books_store.write() as tx:
        books.rename_hold(tx, hold_id, Reason.DOUBT)
        found = books.find_hold(tx, hold_id)
    assert found is not None
    assert found.reason is Reason.DOUBT


def test_a_limit_is_written_and_an_account_opened_once(books_store: Store) -> None:
    held(books_store, 600)
    with books_store.write() as tx:
        account = books.find_account(tx, PAYER, lock=True)
        assert account is not None
        books.write_account(tx, Account(account_id=PAYER, limit=None, held=account.held, spent=account.spent))
        books.open_account(tx, PAYER, Nanos(5))
        assert books.find_account(tx, PAYER) == Account(account_id=PAYER, limit=None, held=Nanos(600))
        with pytest.raises(AssertionError):
            books.write_account(tx, Account(account_id=AccountId("run:none"), limit=None))
        with pytest.raises(AssertionError, match="no account run:none"):
            books.reserve(
                tx,
                payer=AccountId("run:none"),
                payee=PAYEE,
                amount=Nanos(1),
                reason=Reason.BATCH,
                shard_id="",
                at=NOW,
            )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (ACCOUNTS.update().where(ACCOUNTS.c.account_id == PAYER).values(held_nanos=599), "holds 599, its holds 600"),
        (ACCOUNTS.update().where(ACCOUNTS.c.account_id == PAYER).values(spent_nanos=1), "spent 1, settled 0"),
        (ACCOUNTS.update().where(ACCOUNTS.c.account_id == PAYEE).values(spent_nanos=1), "debits differ from credits"),
        (HOLDS.update().values(remaining_nanos=1), "holds 600, its holds 1"),
        (HOLDS.delete(), "holds 600, its holds 0"),
        (TRANSFERS.update().values(amount_nanos=5), "reserved less settled and released"),
        (TRANSFERS.delete(), "reserved less settled and released"),
    ],
)
def test_every_broken_law_is_seen(books_store: Store, change: object, says: str) -> None:
    held(books_store, 600)
    assert balances(books_store) == (600, 0)
    with books_store.write() as tx:
        tx.execute(change)  # type: ignore[call-overload]
        broken = " / ".join(law.what for law in books.imbalances(tx))
    assert says in broken


def test_a_reservation_that_is_rolled_back_was_never_made(books_store: Store) -> None:
    with pytest.raises(KeyError), books_store.write() as tx:  # noqa: PT012 the transaction is what is tested
        assert reserve(tx, 600) is not None
        raise KeyError
    assert balances(books_store) == (0, 0)
    assert transfers(books_store) == []


def test_eight_threads_never_pass_an_exact_limit(books_store: Store, reopened: Callable[[], Store]) -> None:
    """1,000 in sevens is 142 and no more, whoever asks."""
    accepted: list[int] = []
    problems: list[BaseException] = []
    gate = threading.Barrier(8)

    def spend(store: Store) -> None:
        gate.wait()
        try:
            for _ in range(30):
                with store.write() as tx:
                    hold_id = reserve(tx, 7)
                if hold_id is not None:
                    accepted.append(hold_id)
        except BaseException as error:  # noqa: BLE001 what a thread raised is looked at below
            problems.append(error)

    threads = [threading.Thread(target=spend, args=(reopened(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(accepted) == len(set(accepted)) == 1000 // 7
    assert balances(books_store) == (142 * 7, 0)


PROCESS = """
import sys
from pathlib import Path
from lowtide.ledger import AccountId, Reason
from lowtide.store import Store, books
from datetime import UTC, datetime
now = datetime(2026, 11, 22, tzinfo=UTC)
store = Store(Path(sys.argv[1]), url=sys.argv[2], durable=False).open()
words = {"payer": AccountId("run:r_1"), "payee": AccountId("provider:anthropic"), "reason": Reason.BATCH, "at": now}
print("ready", flush=True)
sys.stdin.readline()
count = 0
for _ in range(60):
    with store.write() as tx:
        hold_id = books.reserve(tx, amount=7, shard_id="lt1", **words)
    if hold_id is not None:
        count += 1
        with store.write() as tx:
            paid = books.Settlement(ordinal=0, amount=7, reason=Reason.BATCH)
            books.settle(store, tx, hold_id, [paid], shard_id="lt1", at=now)
print(count)
store.close()
"""


def test_processes_never_pass_an_exact_limit(books_store: Store, migrated: Home) -> None:
    arguments = [str(migrated.folder), migrated.url]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(counts) == 1000 // 7
    assert balances(books_store) == (0, 142 * 7)
