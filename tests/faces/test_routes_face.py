"""Routes and deadlines as people and programs see them: what may be said, what is said back, what is refused."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest
from syrupy.assertion import SnapshotAssertion

from lowtide.cli.times import DEADLINE, WITHIN_SPAN, full
from lowtide.dispatch import RunState
from lowtide.store import Store
from lowtide.store.schema import RUNS

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)  # 08:30 in Stockholm


@pytest.fixture
def stockholm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Stockholm")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("stockholm")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("06:00", "Mon 23 Nov 2026 06:00 CET"),
        ("8:31", "Sun 22 Nov 2026 08:31 CET"),
        ("08:30", "Mon 23 Nov 2026 08:30 CET"),  # now is no longer to come
        ("today 09:00", "Sun 22 Nov 2026 09:00 CET"),
        ("tomorrow 06:00", "Mon 23 Nov 2026 06:00 CET"),
        ("2026-11-23T06:00", "Mon 23 Nov 2026 06:00 CET"),
        ("2026-11-23 06:00", "Mon 23 Nov 2026 06:00 CET"),
        ("2026-11-23T06:00Z", "Mon 23 Nov 2026 07:00 CET"),
        ("2026-11-23T06:00+05:30", "Mon 23 Nov 2026 01:30 CET"),
        ("2027-06-01T06:00", "Tue 1 Jun 2027 06:00 CEST"),  # another offset than today's
    ],
)
def test_a_deadline_is_the_persons_own_time(said: str, meant: str) -> None:
    assert full(DEADLINE.convert(said, None, None).instant(NOW)) == meant


@pytest.mark.usefixtures("stockholm")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("today 06:00", "is past: Sun 22 Nov 2026 06:00 CET, and it is Sun 22 Nov 2026 08:30 CET now"),
        ("2026-11-20T06:00", "is past"),
        ("2027-03-28T02:30", "the clocks skip it"),
        ("25:00", "no time that there is"),
        ("2026-02-30T06:00", "no time that there is"),
        ("2026-11-23T06:00+25:00", "no time that there is"),
        ("9999-12-31T23:59-10:00", "no time that there is"),
        ("0001-01-01T00:00", "no time that there is"),
        ("soon", "is not a time; write it as 06:00"),
        ("2026-11-23", "is not a time"),
    ],
)
def test_what_is_no_deadline_is_told(said: str, told: str) -> None:
    with pytest.raises(click.BadParameter, match=re.escape(told)):
        DEADLINE.convert(said, None, None).instant(NOW)


@pytest.mark.parametrize(("said", "minutes"), [("90m", 90), ("2h", 120), ("1h30m", 90), ("1d", 1440), ("1d2h3m", 1563)])
def test_a_span_from_now(said: str, minutes: int) -> None:
    assert WITHIN_SPAN.convert(said, None, None) == timedelta(minutes=minutes)


@pytest.mark.parametrize("said", ["", "0h", "2", "2w", "-1h", "30m2h"])
def test_what_is_no_span(said: str) -> None:
    with pytest.raises(click.BadParameter, match="write it as 90m, 2h, 1h30m or 1d"):
        WITHIN_SPAN.convert(said, None, None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--deadline", "06:00", "--within", "2h"), "--deadline and --within both say when it must be done"),
        (("--urgent", "--route", "batch"), "--urgent asks for real time, --route batch for another lane"),
        (("--route", "slow"), "'slow' is not one of"),
        (("--deadline", "soon"), "'soon' is not a time"),
        (("--within", "soon"), "'soon' is not a span of time"),
    ],
)
def test_what_excludes_each_other_is_told_before_anything_is_read(
    empty_desk, words: tuple[str, ...], told: str
) -> None:
    said = empty_desk("plan", "nowhere.jsonl", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


def mixed(desk, each: int) -> str:
    """Write a batch file with lines of both providers."""
    words = [{"role": "user", "content": "Say it in words."}]
    lines: list[dict[str, object]] = []
    for number in range(each):
        params = {"model": "claude-haiku-4-5", "max_tokens": 200, "messages": words}
        body = {"model": "gpt-5.4-mini", "max_completion_tokens": 200, "messages": words}
        lines.append({"custom_id": f"a{number}", "params": params})
        lines.append({"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
    desk.write("mixed.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return "mixed.jsonl"


def fault(desk, **rule: object) -> None:
    """Script a fault of the simulator."""
    address = f"{desk.environment['LOWTIDE_SIMULATOR']}/_simulator/faults"
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(rule).encode())) as reply:
        assert reply.status == 200


def test_a_plan_for_two_providers_and_a_deadline(desk, snapshot: SnapshotAssertion) -> None:
    name = mixed(desk, 30)
    assert str(desk("plan", name, "--deadline", "14:00")) == snapshot
    (plan,) = desk("plan", name, "--within", "4h", "--json").objects
    assert plan["deadline_at"] == "2026-11-21T14:00:00Z"
    assert (plan["route"], plan["moves"], plan["hasten_to"], plan["misses_deadline"]) == (
        "batch",
        True,
        "realtime",
        False,
    )
    assert plan["hasten_at"] < plan["deadline_at"]
    assert {(line["provider"], line["route"]) for line in plan["lines"]} == {
        (provider, route) for provider in ("anthropic", "openai") for route in ("batch", "realtime")
    }
    assert float(plan["cost"]["ceiling"]) >= float(plan["waves"][0]["lanes"]["realtime"]["ceiling"])
    urgent, forced = (desk("plan", name, *words, "--json").objects[0] for words in (["--urgent"], ["--route", "batch"]))
    assert (urgent["route"], urgent["hasten_at"], forced["route"], forced["moves"]) == (
        "realtime",
        None,
        "batch",
        False,
    )


def test_what_is_stuck_moves_to_real_time_and_the_run_says_so(desk, snapshot: SnapshotAssertion) -> None:
    fault(desk, on="POST /v1/messages/batches", fault="stuck")
    plan = str(desk("plan", mixed(desk, 30), "--within", "3h", "--json").objects[0]["plan"])
    refused = desk("run", plan, "--within", "9h", "--yes")
    assert refused.code == 2
    assert "keeps what it was planned with: --within is for lowtide plan SOURCE" in refused.err
    said = desk("run", plan, "--yes", "-q")
    assert said.code == 0
    assert "Sat 21 Nov 2026 13:00 UTC: met" in said.out
    run_id = desk.run_id()
    (run,) = desk("status", run_id, "--json").objects
    assert (run["hastened"], run["deadline_at"], run["requests"]["answered"]) == (True, "2026-11-21T13:00:00Z", 60)
    assert run["ended_at"] < run["deadline_at"]
    assert str(desk("status", run_id, "--events", "0")) == snapshot


def test_what_was_canceled_in_time_has_met_no_deadline(desk) -> None:
    assert desk("run", desk.requests(3), "--within", "3h", "--yes", "-q").code == 0
    run_id = desk.run_id()
    assert re.search(r"Deadline .*: met, 2 h \d+ min before it\n", desk("status", run_id).out)
    store = Store(desk.folder / "store", durable=False).open()
    with store.write() as tx:
        tx.execute(RUNS.update().values(state=RunState.CANCELED))
    store.close()
    assert re.search(r"Deadline .*: canceled, 2 h \d+ min before it\n", desk("status", run_id).out)


def test_a_deadline_that_nothing_meets_needs_a_word(desk) -> None:
    desk.environment["LOWTIDE_IN_FLIGHT_MAX"] = "4"
    words = ("run", desk.requests(20), "--within", "1m", "--cap", "1", "-q")
    refused = desk(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "even real time cannot meet the deadline Sat 21 Nov 2026 10:01 UTC" in refused.err
    assert "--late" in refused.err
    assert desk("status", "--json").objects[0]["runs"] == []
    assert desk(*words, "--late").code == 0
