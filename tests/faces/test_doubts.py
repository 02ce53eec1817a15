"""Lost replies as people and programs see them: listed, counted as spent, settled by what the provider's bill says."""

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from desks import Desk, simulators
from sqlalchemy import select
from syrupy.assertion import SnapshotAssertion

from lowtide.dispatch import RunState
from lowtide.ledger import AccountId
from lowtide.store import Store, books
from lowtide.store.schema import CALLS, PLANS, RUNS


@pytest.fixture(scope="module")
def lost() -> Iterator[Desk]:
    """A desk with a run that lost two replies of one request, made once; ``doubting`` gives copies of it."""
    path = Path(tempfile.mkdtemp(prefix="lt-", dir="/tmp"))
    rule = {"on": "POST /v1/messages", "fault": "lost_reply_after_commit", "nth": 1, "times": 2}
    with simulators() as start, pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowtide.clock.Chance.chance", lambda self: 0.5)
        made = Desk(path, {"LOWTIDE_SIMULATOR": start(), "LOWTIDE_STORE": "store"})
        address = f"{made.environment['LOWTIDE_SIMULATOR']}/_simulator/faults"
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(rule).encode())) as reply:
            assert reply.status == 200
        assert made("run", made.requests(3), "--yes", "-q").code == 0
        yield made
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def doubting(lost: Desk, folder: Path, even_chance: None) -> Desk:
    """A desk whose run lost replies. Its simulator is shared: look, settle, and send nothing."""
    shutil.copytree(lost.folder, folder, dirs_exist_ok=True)
    return Desk(folder, dict(lost.environment))


def _run(desk) -> dict[str, object]:
    return dict(desk("status", desk.run_id(), "--json").objects[0])


def _doubts(desk) -> list[dict[str, object]]:
    (told,) = desk("doubt", "--json").objects
    assert (told["schema"], told["type"]) == ("lowtide/1", "doubts")
    found = told["doubts"]
    assert isinstance(found, list)
    return found


def test_lost_replies_are_listed_and_count_as_spent(doubting, snapshot: SnapshotAssertion) -> None:
    listed = doubting("doubt", doubting.run_id())
    assert listed.code == 0
    assert str(listed) == snapshot
    run, found = _run(doubting), _doubts(doubting)
    assert run["doubts"] == len(found) == 2
    held = sum(Decimal(str(each["held"])) for each in found)
    assert {name: Decimal(amount) for name, amount in run["nothing_bought"].items()} == {"doubt": held}  # type: ignore[attr-defined]
    (hold,) = [each for each in run["holds"] if each["reason"] == "doubt"]  # type: ignore[attr-defined]
    assert (hold["holds"], Decimal(hold["amount"])) == (2, held), "added up, not listed"
    hint = f"count as spent until settled: lowtide doubt {doubting.run_id()}"
    assert hint in " ".join(doubting("status").out.split())
    assert hint in " ".join(doubting("status", doubting.run_id()).out.split())


def test_many_lost_replies_are_listed_as_many(doubting) -> None:
    store = Store(doubting.folder / "store", durable=False).open()
    with store.write() as tx:
        lost = tx.execute(select(CALLS)).mappings().first()
        tx.execute(CALLS.insert(), [{**lost, "ordinal": number} for number in range(1_000, 2_000)])
    store.close()
    assert len(_doubts(doubting)) == _run(doubting)["doubts"] == 1_002
    assert "for 1,002 lost replies count as spent" in doubting("doubt", "-q").out


def test_what_waits_for_a_person_is_told_of_runs_that_are_not_listed(doubting) -> None:
    doubtful = doubting.run_id()
    store = Store(doubting.folder / "store", durable=False).open()
    with store.write() as tx:
        plan, run = (tx.execute(select(table)).mappings().first() for table in (PLANS, RUNS))
        for number, state in enumerate((RunState.DONE, RunState.PAUSED)):
            name, later = f"other00{number}", plan["created_at"] + timedelta(days=1 - 2 * number)
            tx.execute(PLANS.insert().values({**plan, "plan_id": f"p_{name}"}))
            tx.execute(
                RUNS.insert().values(
                    {**run, "plan_id": f"p_{name}", "run_id": f"r_{name}", "state": state, "created_at": later}
                )
            )
            books.open_account(tx, AccountId(f"run:r_{name}"), None)
    store.close()
    (told,) = doubting("status", "--limit", "1", "--json").objects
    assert [run["run"] for run in told["runs"]] == ["r_other000"]  # type: ignore[attr-defined, index]
    shown = doubting("status", "--limit", "1").out
    assert "r_other001 is paused" in shown
    assert f"lowtide doubt {doubtful}" in " ".join(shown.split())


def test_not_billed_gives_the_money_back(doubting) -> None:
    before = _run(doubting)
    said = doubting("doubt", doubting.run_id(), "--all", "--not-billed", "--yes")
    assert said.code == 0
    assert "2 doubts are settled: not billed, their money is back" in said.out
    after = _run(doubting)
    assert (after["doubts"], after["held"], after["spent"]) == (0, "0", before["spent"])
    assert doubting("doubt").out == "No reply was lost: there is no doubt.\n"
    assert "nothing to settle" in doubting("doubt", doubting.run_id(), "--all", "--not-billed", "--yes").out
    assert "books" not in [line.split()[0] for line in doubting("doctor").out.splitlines() if " bad " in line]


@pytest.mark.parametrize("said", ["0.0004", "ceiling"])
def test_what_was_billed_is_booked_for_each(doubting, said: str) -> None:
    before, found = _run(doubting), _doubts(doubting)
    keys = {str(each["key"]) for each in found}
    words = [word for key in keys for word in ("--key", key)]
    (told,) = doubting("doubt", doubting.run_id(), *words, "--billed", said, "-y", "--json").objects
    assert (told["type"], told["settled"]) == ("doubts_settled", 2)
    booked = sum(Decimal(str(each["held"])) if said == "ceiling" else Decimal(said) for each in found)
    after = _run(doubting)
    assert Decimal(str(after["spent"])) - Decimal(str(before["spent"])) == booked
    assert (after["doubts"], after["held"]) == (0, "0")
    named = {name: Decimal(amount) for name, amount in after["nothing_bought"].items()}  # type: ignore[attr-defined]
    assert named == {"doubt_billed": booked}, "what bought nothing stays named when it is settled"
    assert "billed for replies that were lost" in doubting("status", doubting.run_id()).out
    rows = doubting("results", doubting.run_id(), "--json").objects
    assert sum(Decimal(str(row["cost"])) for row in rows) + booked == Decimal(str(after["spent"]))


def test_more_than_was_held_is_booked_and_said(doubting) -> None:
    said = doubting("doubt", doubting.run_id(), "--all", "--billed", "1", "-y")
    assert said.code == 0
    assert "2 were billed more than was held" in said.err
    assert Decimal(str(_run(doubting)["spent"])) > 2


def test_nobody_settles_without_being_told_to(doubting, snapshot: SnapshotAssertion) -> None:
    refused = doubting("doubt", doubting.run_id(), "--all", "--not-billed", typed="y\n")
    assert refused.code == 2
    assert str(refused) == snapshot
    unknown = doubting("doubt", doubting.run_id(), "--key", "nobody", "--not-billed", "-y")
    assert (unknown.code, unknown.out) == (1, "")
    assert "has no doubt about nobody" in unknown.err
    assert _run(doubting)["doubts"] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("r_1", "--not-billed", "--billed", "1", "--all"), "say two things"),
        (("r_1", "--all"), "say what they were"),
        (("r_1", "--key", "a"), "say what they were"),
        (("--all", "--not-billed"), "name the RUN"),
        (("r_1", "--not-billed"), "say which ones"),
        (("r_1", "--key", "a", "--all", "--not-billed"), "say which ones"),
        (("r_1", "--billed", "much"), "write it as 10, 0.05"),
    ],
)
def test_what_is_said_of_doubts_must_be_whole(empty_desk, words: tuple[str, ...], told: str) -> None:
    said = empty_desk("doubt", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
