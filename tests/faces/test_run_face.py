"""``lowtide run``, ``worker`` and what steers them, as people and programs see them. Exit codes are looked at each time."""

import errno
import os
import pty
import select
import signal
import subprocess
import sys
import time
from decimal import Decimal
from importlib import resources

import pytest
from syrupy.assertion import SnapshotAssertion


@pytest.fixture(autouse=True)
def by_batch(desk) -> None:
    """Everything here goes by batch, however few requests there are."""
    desk.environment["LOWTIDE_ROUTE"] = "batch"


def test_an_input_is_planned_run_and_summed_up(desk, snapshot: SnapshotAssertion) -> None:
    said = desk("run", desk.requests(5), "--yes")
    assert said.code == 0
    assert str(said) == snapshot


def test_a_plan_is_run_and_asking_again_tells_the_end(desk) -> None:
    plan = str(desk("plan", desk.requests(3), "--json").objects[0]["plan"])
    first, again = desk("run", plan, "--yes", "-q"), desk("run", plan, "--yes", "-q")
    assert (first.code, first.err) == (0, "")
    assert again.out == first.out


def test_json_gives_the_plan_then_one_event_a_line_then_the_run(desk) -> None:
    said = desk("run", desk.requests(3), "--yes", "--json")
    assert said.err == ""
    kinds = [each["type"] for each in said.objects]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("plan", "run", {"event"})
    assert all(each["schema"] == "lowtide/1" for each in said.objects)
    run = said.objects[-1]
    assert (run["state"], run["requests"]["answered"], run["simulated"]) == ("done", 3, True)


def test_off_a_terminal_nobody_spends_without_being_told_to(desk, snapshot: SnapshotAssertion) -> None:
    said = desk("run", desk.requests(3), typed="y\n")
    assert said.code == 2
    assert str(said) == snapshot
    assert desk("status", "--json").objects[0]["runs"] == []


def test_a_cap_below_the_likely_cost_is_refused_before_there_is_a_run(desk) -> None:
    said = desk("run", desk.requests(3), "--cap", "0.0001", "-q")
    assert said.code == 3
    assert "nothing was sent or spent" in said.err
    assert desk("status", "--json").objects[0]["runs"] == []


def test_a_cap_that_is_named_again_is_quoted_as_it_was_said(done) -> None:
    said = done("run", done.run_id(), "--cap", "1234.5678")
    assert (said.code, said.told) == (
        1,
        "error: run r_RUNRUNR has no cap already\nhint: lowtide raise r_RUNRUNR --cap 1234.5678\n",
    )


def test_a_run_pauses_at_its_cap_and_goes_on_with_a_higher_one(desk, snapshot: SnapshotAssertion) -> None:
    paused = desk("run", desk.requests(6), "--cap", "0.0021", "-q")
    assert paused.code == 6
    assert str(paused) == snapshot(name="paused")
    run_id = desk.run_id()
    assert str(desk("status")) == snapshot(name="status")
    assert desk("run", run_id, "--cap", "1").code == 1, "a cap is raised by its own command"
    assert str(desk("raise", run_id, "--cap", "0.01")) == snapshot(name="raised")
    assert desk("run", run_id, "-q").code == 0
    refused = desk("raise", run_id, "--cap", "0.0001")
    assert (refused.code, refused.out) == (3, "")


@pytest.fixture
def failing_desk(folder, start_simulator, even_chance, desk):
    desk.environment["LOWTIDE_SIMULATOR"] = start_simulator("--results-delay", "600", "--errored-share", "1")
    return desk


def test_failures_are_told_with_the_providers_words(failing_desk, snapshot: SnapshotAssertion) -> None:
    said = failing_desk("run", failing_desk.requests(3), "--yes", "-q")
    assert said.code == 5
    assert str(said) == snapshot
    run_id = failing_desk.run_id()
    failed = failing_desk("results", run_id, "--failed")
    assert [each["result"]["type"] for each in failed.objects] == ["errored"] * len(failed.objects)
    assert len(failed.objects) == 2
    again = failing_desk("retry", run_id)
    assert again.code == 0
    assert "2 requests go out again" in again.out
    assert failing_desk("run", run_id, "-q").code == 5


def test_documents_are_written_where_the_run_says(desk) -> None:
    source = resources.files("lowtide.workloads.bpmn") / "demo" / "c7ex-Lieferprozess.bpmn"
    desk.write("delivery.bpmn", source.read_text(encoding="utf-8"))
    said = desk("run", "delivery.bpmn", "--yes", "-q")
    assert said.code == 0
    out = desk.folder / "lowtide-out" / desk.run_id()
    assert (out / "delivery.bpmn" / "index.md").exists()
    assert len(list(out.rglob("*.md"))) > 2
    plan_id = desk.run_id().replace("r_", "p_")
    assert desk("run", plan_id, "--yes", "-q", "--out", str(out)).code == 0
    elsewhere = desk("run", plan_id, "--yes", "-q", "--out", "elsewhere")
    assert (elsewhere.code, elsewhere.out) == (2, ""), "it was delivered, and nothing will be there"
    assert f"keeps the folder it was begun with, {out}" in elsewhere.err


def test_the_worker_goes_on_with_a_run_that_was_detached(desk, snapshot: SnapshotAssertion) -> None:
    name = desk.requests(4)
    process = desk.process("run", name, "--yes", "--detach", "-q")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    (desk.folder / name).rename(desk.folder / "elsewhere.jsonl")
    run_id = out.strip()
    for _ in range(300):
        if desk("status", run_id, "--json").objects[0]["state"] == "done":
            break
        select.select([], [], [], 0.1)
    else:
        pytest.fail((desk.folder / "store" / "logs" / f"{run_id}.log").read_text())
    assert str(desk("worker")) == snapshot


def test_the_worker_takes_what_is_open(desk) -> None:
    plan = str(desk("plan", desk.requests(2), "--json").objects[0]["plan"])
    desk.environment["LOWTIDE_POLL_SECONDS_MIN"] = "5"
    process = desk.process("run", plan, "--yes", "--detach", "--json")
    out, _ = process.communicate(timeout=60)
    assert '"type":"detached"' in out
    said = desk("worker", "--json")
    assert said.code == 0


def test_the_worker_tells_only_what_is_new(desk) -> None:
    name = desk.requests(60, max_tokens=60)
    (plan,) = desk("plan", name, "--json").objects
    cap = str(Decimal(plan["cost"]["likely"]) * 7 / 5)  # type: ignore[index]
    assert desk("run", str(plan["plan"]), "--cap", cap).code == 6, "answers of twice the likely length"
    said = desk("worker")
    assert said.code == 6
    assert "run begun" not in said.err
    assert "accepted" not in said.err


def test_canceling_keeps_what_was_bought(folder, start_simulator, even_chance, desk) -> None:
    desk.environment["LOWTIDE_SIMULATOR"] = start_simulator(
        "--clock", "scaled", "--speed", "600", "--results-delay", "50000"
    )
    process = desk.process("run", desk.requests(4), "--yes")
    _wait_for(process, "accepted")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    run_id = desk.run_id()
    said = desk("cancel", run_id, "-q")
    assert said.code == 0
    report = desk("status", run_id, "--json").objects[0]
    assert report["state"] == "canceled"
    assert report["held"] == "0"
    assert report["requests"]["answered"] + report["requests"]["canceled"] == 4
    assert "over already" in desk("cancel", run_id).out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_safely_and_says_how_to_come_back(
    start_simulator, desk, number, snapshot: SnapshotAssertion
) -> None:
    desk.environment["LOWTIDE_SIMULATOR"] = start_simulator("--clock", "system", "--results-delay", "50000")
    process = desk.process("run", desk.requests(4), "--yes")
    told = _wait_for(process, "accepted")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)  # it sleeps for a minute, and wakes
    assert process.returncode == 130
    assert "Traceback" not in told + err
    assert "Leaving. What was submitted goes on at the provider; come back with: lowtide run r_" in err
    assert out == ""
    report = desk("status", desk.run_id(), "--json").objects[0]
    assert (report["state"], report["worked_on"]) == ("active", False)


def test_who_only_looks_does_not_hold_the_clock(desk) -> None:
    assert desk("run", desk.requests(6), "--cap", "0.0021", "-q").code == 6
    watching = desk.process("status", desk.run_id(), "--watch")
    assert watching.stdout is not None
    watching.stdout.readline()
    running = desk.process("run", desk.requests(2, name="other.jsonl"), "--yes", "-q")
    assert running.wait(30) == 0
    assert watching.poll() is None
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=20)
    assert watching.returncode == 130


def _wait_for(process: "subprocess.Popen[str]", word: str) -> str:
    """Read standard error until a word comes."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if word in line:
            return told
    pytest.fail(f"ended without {word!r}: {told}")


def _on_terminal(desk, answers: list[tuple[str, bytes]], *words: str) -> tuple[int, str]:
    """Run a command on a terminal of 80 columns; each answer is typed when its word has been seen."""
    parent, child = pty.openpty()
    environment = {**os.environ, **desk.environment, "TERM": "xterm", "COLUMNS": "80", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lowtide.cli", *words],
        cwd=desk.folder, env=environment, stdin=child, stdout=child, stderr=child, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    seen, ends = b"", time.monotonic() + 60
    while time.monotonic() < ends:
        if not select.select([parent], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(parent, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that nobody is left
                raise
            break
        if not piece:
            break
        seen += piece
        if answers and answers[0][0].encode() in seen:
            os.write(parent, answers.pop(0)[1])
    os.close(parent)
    return process.wait(30), seen.decode()


def test_on_a_terminal_the_default_answer_is_no(desk) -> None:
    code, seen = _on_terminal(desk, [("[y/N]", b"\n")], "run", desk.requests(3))
    assert code == 1
    assert "Spend up to simulated $0.0021" in seen
    assert "Not run. Nothing has been sent or spent." in seen
    assert desk("status", "--json").objects[0]["runs"] == []


def test_on_a_terminal_a_yes_runs_it_live_and_the_named_sum_is_the_cap(desk) -> None:
    code, seen = _on_terminal(desk, [("[y/N]", b"y\n")], "run", desk.requests(3))
    assert code == 0
    assert "\x1b[?25l" in seen, "drawn live"
    assert "Ctrl-C leaves safely" in seen
    report = desk("status", desk.run_id(), "--json").objects[0]
    assert (report["state"], report["cap"]) == ("done", report["plan_ceiling"])


def test_a_place_where_no_document_can_be_written_is_refused_before_anything_is_bought(desk) -> None:
    desk.write("taken", "mine")
    source = resources.files("lowtide.workloads.bpmn") / "demo" / "c7ex-Lieferprozess.bpmn"
    desk.write("delivery.bpmn", source.read_text(encoding="utf-8"))
    for place in ("taken", "taken/docs"):
        said = desk("run", "delivery.bpmn", "--yes", "-q", "--out", place)
        assert said.code == 1
        assert f"no document can be written to {place}" in said.err
    assert desk("status", "--json").objects[0]["runs"] == []
    assert (desk.folder / "taken").read_text() == "mine"


def test_no_folder_is_named_where_no_document_will_be(desk) -> None:
    said = desk("run", desk.requests(2), "--yes", "-q", "--out", "there")
    assert said.code == 2
    assert "lowtide results RUN --out FILE" in said.err
    assert desk("status", "--json").objects[0]["runs"] == []
    assert desk("run", desk.requests(2), "--yes", "-q").code == 0
    assert desk("run", desk.run_id(), "--out", "there").code == 2
