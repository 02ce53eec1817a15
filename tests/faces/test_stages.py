"""How long each stage took, what was cut or refused, what can still succeed: in status, results, at the end, and as JSON."""

import json
import urllib.request
from importlib import resources

import pytest
from syrupy.assertion import SnapshotAssertion

from lowtide.reports import Stage

ALL = ["packaging", "submitting", "waiting", "retrieving"]


def _status(desk) -> dict[str, object]:
    return dict(desk("status", desk.run_id(), "--json").objects[0])


def test_a_batch_has_its_stages_everywhere(desk) -> None:
    said = desk("run", desk.requests(4), "--route", "batch", "--yes", "-q")
    assert said.code == 0
    words = "packaging under 1 s, submitting under 1 s, waiting 10 min, retrieving under 1 s"
    assert words in " ".join(said.out.split())
    run_id = desk.run_id()
    assert f"Stages {words}" in " ".join(desk("status", run_id, "--events", "0").out.split())
    stages = _status(desk)["stages"]
    assert list(stages) == [f"{stage}_ms" for stage in ALL]  # type: ignore[call-overload]
    assert 600_000 <= stages["waiting_ms"] < 700_000  # type: ignore[index]
    filed = desk("results", run_id, "--out", "answers.jsonl", "--json")
    (told,) = filed.objects
    assert (told["type"], told["results"], told["out"], told["stages"]) == ("results", 4, "answers.jsonl", stages)
    streamed = desk("results", run_id, "--json")
    assert len(streamed.objects) == 4, "lines keep the provider's form"
    assert json.loads(streamed.err)["stages"] == stages


def test_every_stage_has_a_word() -> None:
    assert [stage.value for stage in Stage] == [*ALL, "delivering"]


@pytest.fixture
def shares(start_simulator, desk):
    """Give a desk at a simulator where such shares of the answers end badly."""

    def start(**flags: str):
        words = [word for name, share in flags.items() for word in (f"--{name.replace('_', '-')}", share)]
        desk.environment["LOWTIDE_SIMULATOR"] = start_simulator("--results-delay", "600", *words)
        return desk

    return start


def test_answers_that_were_cut_are_outcomes_of_their_own(shares, snapshot: SnapshotAssertion) -> None:
    desk = shares(max_tokens_share="1")
    assert desk("run", desk.requests(3), "--yes", "-q").code == 0, "a cut answer is no failure"
    run_id = desk.run_id()
    assert (_status(desk)["cut"], _status(desk)["declined"], _status(desk)["can_succeed"]) == (3, 0, 0)
    assert str(desk("status", run_id, "--events", "0")) == snapshot(name="status")
    assert str(desk("retry", run_id)) == snapshot(name="retry")


def test_answers_that_the_model_refused_are_outcomes_of_their_own(shares) -> None:
    desk = shares(refusal_share="1")
    assert desk("run", desk.requests(3), "--yes", "-q").code == 0
    assert (_status(desk)["cut"], _status(desk)["declined"]) == (0, 3)
    assert "of which 3 refused by the model" in desk("status", desk.run_id()).out
    assert "not again: 3 refused by the model" in desk("retry", desk.run_id()).out


def _strict_without_its_first(desk, error_type: str):  # type: ignore[no-untyped-def]
    """Run an invoice's documents; the first request of the first batch errs. Gives the plan and the end."""
    source = resources.files("lowtide.workloads.bpmn") / "demo" / "miwg-ref-C.1.1.bpmn"
    desk.write("invoice.bpmn", source.read_text(encoding="utf-8"))
    rule = {"on": "POST /v1/messages/batches", "fault": "items_errored", "indexes": [0], "times": 1}
    address = f"{desk.environment['LOWTIDE_SIMULATOR']}/_simulator/faults"
    with urllib.request.urlopen(
        urllib.request.Request(address, json.dumps({**rule, "error_type": error_type}).encode())
    ) as reply:
        assert reply.status == 200
    (plan,) = desk("plan", "invoice.bpmn", "--strict", "--route", "batch", "--json").objects
    return plan, desk("run", str(plan["plan"]), "--yes", "-q")


def test_documents_of_the_plan_that_were_never_asked_for_are_told(desk) -> None:
    plan, ended = _strict_without_its_first(desk, "invalid_request_error")
    assert ended.code == 5
    requests = dict(_status(desk)["requests"])  # type: ignore[call-overload]
    assert requests["answered"] + requests["failed"] == requests["planned"]
    assert requests["planned"] + requests["unasked"] == plan["requests"] > requests["planned"]
    told = f"{requests['unasked']} requests of the plan never asked for"
    for shown in (ended, desk("status", desk.run_id())):
        assert told in " ".join(shown.out.split())


def test_a_run_that_lacks_documents_of_its_plan_does_not_leave_as_if_it_were_whole(desk) -> None:
    """What failed succeeds at last; what was to be made of it never was."""
    desk.environment["LOWTIDE_TRIES_MAX"] = "1"
    _, ended = _strict_without_its_first(desk, "api_error")
    assert ended.code == 5
    assert desk("retry", desk.run_id()).code == 0
    assert desk("run", desk.run_id(), "--yes", "-q").code == 5
    requests = dict(_status(desk)["requests"])  # type: ignore[call-overload]
    assert requests["failed"] == 0 < requests["unasked"]


def test_a_table_is_offered_a_larger_limit(shares) -> None:
    desk = shares(max_tokens_share="1")
    desk.write("people.csv", "id,name\n1,Anna\n")
    desk.write("letter.j2", "---\nmax_output_tokens: 100\n---\nWrite to {{ name }}.\n")
    words = ("people.csv", "--template", "letter.j2", "--key-column", "id", "--model", "claude-haiku-4-5")
    said = desk("run", *words, "--yes", "-q")
    assert "plan again with a larger --max-output-tokens" in said.out


def test_failures_say_how_many_can_still_succeed_and_which_cannot(desk, snapshot: SnapshotAssertion) -> None:
    create = "POST /v1/messages/batches"
    bad = {"error_type": "invalid_request_error", "message": "no such field"}
    rules = [
        {"on": create, "fault": "items_errored", "indexes": [0], **bad},
        {"on": create, "fault": "items_errored", "indexes": [1, 2], "error_type": "overloaded_error"},
    ]
    address = f"{desk.environment['LOWTIDE_SIMULATOR']}/_simulator/faults"
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(rules).encode())) as reply:
        assert reply.status == 200
    desk.environment["LOWTIDE_TRIES_MAX"] = "1"
    assert desk("run", desk.requests(5), "--route", "batch", "--yes", "-q").code == 5
    run = _status(desk)
    assert [(each["code"], each["requests"], each["can_succeed"]) for each in run["failures"]] == [  # type: ignore[attr-defined]
        ("overloaded_error", 2, True),
        ("invalid_request_error", 1, False),
    ]
    assert run["can_succeed"] == 2
    assert str(desk("status", desk.run_id(), "--events", "0")) == snapshot(name="status")
    (told,) = desk("retry", desk.run_id(), "--json").objects
    assert (told["again"], told["never"], told["reasons"][0]["code"]) == (2, 1, "invalid_request_error")
    assert str(desk("retry", desk.run_id())) == snapshot(name="retry")
