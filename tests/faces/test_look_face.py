"""What there is to look at: status, results, prices, settings, checks; and the care of the store."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from syrupy.assertion import SnapshotAssertion

from lowtide.cli.results import _csv, _jsonl
from lowtide.reports import ResultRow
from lowtide.store import Store, runs


def test_nothing_yet(desk, snapshot: SnapshotAssertion) -> None:
    assert str(desk("status")) == snapshot


def test_the_list(done, snapshot: SnapshotAssertion) -> None:
    done("plan", done.requests(2))
    assert str(done("status")) == snapshot


def test_a_list_that_is_not_whole_says_so(done) -> None:
    for _ in range(2):
        done("plan", done.requests(2))
    assert "earlier" not in done("status", "--limit", "2").out
    short = done("status", "--limit", "1")
    assert "and earlier plans: --limit lists more than 1" in short.out
    assert "earlier runs" not in short.out
    (told,) = done("status", "--limit", "1", "--json").objects
    assert (told["more_runs"], told["more_plans"], len(told["runs"]), len(told["plans"])) == (False, True, 1, 1)


def test_a_narrow_screen_cuts_no_figure_and_no_id(done) -> None:
    """What stands on a wide screen stands on a narrow one, although lines go beyond its edge."""
    assert done("plan", done.requests(2)).code == 0
    figures = re.compile(r"\$[\d.]+|\b[rp]_\w{7}\b|\bmsgbatch_\w+|\d+ / \d+|\b(?:back|done)\b")
    for words in (("status",), ("status", done.run_id(), "--events", "0"), ("prices",), ("prices", "claude-haiku-4-5")):
        done.environment["COLUMNS"] = "400"
        wide = done(*words).out
        done.environment["COLUMNS"] = "40"
        narrow = done(*words).out
        assert sorted(figures.findall(narrow)) == sorted(figures.findall(wide)), words
    assert re.search(r"^Run it:  lowtide run p_\w{7} --cap [\d.]+$", done("plan", done.requests(2)).out, re.MULTILINE)


def test_a_long_name_is_cut_before_an_id_or_a_figure_is(desk) -> None:
    name = desk.requests(3, name="requests of the whole long year.jsonl")
    assert desk("run", name, "--cap", "1", "-q").code == 0
    assert desk("plan", name).code == 0
    listed = desk("status").out
    assert "…" in listed
    (run_id,) = (each["run"] for each in desk("status", "--json").objects[0]["runs"])
    assert sum(line.startswith(f"{run_id}   requests") and "3 / 3" in line for line in listed.splitlines()) == 1
    assert max(map(len, listed.splitlines())) <= 80


def test_one_run(done, snapshot: SnapshotAssertion) -> None:
    assert str(done("status", done.run_id())) == snapshot


def test_the_last_lines_of_a_long_history_are_its_last(done) -> None:
    run_id = done.run_id()
    store = Store(done.folder / "store", durable=False).open()
    with store.write() as tx:
        for number in range(1_200):
            runs.note(tx, run_id, datetime(2026, 11, 22, tzinfo=UTC), f"line {number}")
    store.close()
    (told,) = done("status", run_id, "--events", "2", "--json").objects
    assert [event["text"] for event in told["events"]] == ["line 1198", "line 1199"]  # type: ignore[attr-defined, index]
    (told,) = done("status", run_id, "--events", "1100", "--json").objects
    assert len(told["events"]) == 1_100  # type: ignore[arg-type]
    assert "line " not in done("status", run_id, "--events", "0").out


def test_watching_a_run_that_is_over_ends(done) -> None:
    said = done("status", done.run_id(), "--watch", "--events", "0")
    assert said.code == 0
    assert "WHEN" not in said.out


def test_json_of_the_list(done) -> None:
    (told,) = done("status", "--json").objects
    assert (told["schema"], told["type"]) == ("lowtide/1", "status")
    (run,) = told["runs"]
    assert run["spent"].replace(".", "", 1).isdecimal()
    assert run["created_at"].endswith("Z")


def _bodies(desk) -> dict[str, bytes]:
    """Every message as the simulator sent it, by its id."""
    address = desk.environment["LOWTIDE_SIMULATOR"]
    headers = {"x-api-key": "sk-x", "anthropic-version": "2023-06-01"}
    found: dict[str, bytes] = {}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/messages/batches", headers=headers)) as page:
        batches = json.load(page)["data"]
    for batch in batches:
        request = urllib.request.Request(f"{address}/v1/messages/batches/{batch['id']}/results", headers=headers)
        with urllib.request.urlopen(request) as lines:
            for line in lines:
                message = line[line.index(b'"message":') + len(b'"message":') :].rstrip()[:-2]
                found[json.loads(message)["id"]] = message
    return found


def test_results_of_a_batch_file_are_the_providers_form_with_untouched_messages(done) -> None:
    said = done("results", done.run_id())
    assert [each["custom_id"] for each in said.objects] == [f"row {number}/ö" for number in range(4)]
    sent = _bodies(done)
    spliced = 0
    for line in said.out.encode().splitlines():
        each = json.loads(line)
        assert list(each) == ["custom_id", "result"]
        assert each["result"]["type"] == "succeeded"
        message = sent.get(each["result"]["message"]["id"])
        if message is not None:
            assert message in line, "the bytes of the message are untouched"
            spliced += 1
    assert spliced == 3, "one of the four was answered in real time"


def test_results_as_csv_and_into_a_file(done) -> None:
    run_id = done.run_id()
    rows = list(csv.DictReader(io.StringIO(done("results", run_id, "--format", "csv").out)))
    assert [row["key"] for row in rows] == [f"row {number}/ö" for number in range(4)]
    assert {row["route"] for row in rows} == {"realtime", "batch"}
    assert all(row["text"].startswith("[simulated]") for row in rows)
    said = done("results", run_id, "--out", "there/answers.jsonl")
    assert said.out == ""
    assert said.err.startswith("4 results in there/answers.jsonl\ntook: packaging ")
    assert (done.folder / "there" / "answers.jsonl").read_text(encoding="utf-8") == done("results", run_id).out
    assert [path.name for path in (done.folder / "there").iterdir()] == ["answers.jsonl"]
    for form in ("jsonl", "csv"):
        assert done("results", run_id, "--format", form, "--out", "four").err.startswith("4 results in four\n")


def test_every_result_says_what_it_cost_and_all_sum_to_what_the_run_spent(done) -> None:
    run_id = done.run_id()
    (status,) = done("status", run_id, "--json").objects
    said = done("results", run_id, "--json")
    assert [(row["currency"], row["simulated"]) for row in said.objects] == [("USD", True)] * 4
    costs = [Decimal(str(row["cost"])) for row in said.objects]
    assert all(cost > 0 for cost in costs)
    summed = json.loads(said.err)
    assert sum(costs) == Decimal(str(status["spent"])) == Decimal(summed["spent"])
    assert (summed["simulated"], summed["currency"], summed["held"]) == (True, "USD", "0")
    rows = list(csv.DictReader(io.StringIO(done("results", run_id, "--format", "csv").out)))
    assert [(Decimal(row["cost_usd"]), row["simulated"]) for row in rows] == [(cost, "true") for cost in costs]
    into = done("results", run_id, "--json", "--out", "priced.jsonl")
    assert into.objects[0]["spent"] == status["spent"]
    assert (done.folder / "priced.jsonl").read_text(encoding="utf-8") == said.out


def test_a_cost_that_is_not_known_is_null_and_in_csv_empty() -> None:
    row = ResultRow(
        key="a", state="failed", outcome="errored", code="reply_lost", error="gone", model="m", text=None, message=None,
        input_tokens=0, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0, cost=None, route="realtime", wave=0,
    )  # fmt: skip
    for protocol in ("anthropic", "openai"):
        for native in (True, False):
            (line,) = _jsonl([replace(row, protocol=protocol)], native=native, named="batch", priced=True)
            assert json.loads(line)["cost"] is None
    header, line = _csv([row])
    (found,) = csv.DictReader(io.StringIO((header + line).decode()))
    assert (found["cost_usd"], found["simulated"]) == ("", "false")


def test_a_reader_that_goes_away_is_no_error(done) -> None:
    words = f"{sys.executable} -m lowtide.cli results {done.run_id()} | head -c 10"
    environment = {**os.environ, **done.environment}
    ended = subprocess.run(
        ["bash", "-c", words], cwd=done.folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.stderr == ""


def test_prices(desk, snapshot: SnapshotAssertion) -> None:
    assert str(desk("prices", "claude-sonnet-4-5", "--on", "2025-12-22")) == snapshot


def test_prices_for_programs(desk) -> None:
    (told,) = desk("prices", "claude-sonnet-4-5", "--on", "2025-12-22", "--json").objects
    found = {
        (line["lane"], line["kind"], line["prompt_tokens_over"]): line["dollars_per_million"] for line in told["prices"]
    }
    assert found["batch", "input", 0] == "1.5"
    assert found["batch", "output", 200_000] == "11.25"
    assert all(line["source"].startswith("http") for line in told["prices"])


def test_prices_of_all_models_fit_a_screen_and_are_those_of_each(desk, snapshot: SnapshotAssertion) -> None:
    said = desk("prices", "--on", "2025-12-22")
    assert str(said) == snapshot
    (short,) = desk("prices", "--on", "2025-12-22", "--json").objects
    (full,) = desk("prices", "--all", "--on", "2025-12-22", "--json").objects
    found = {
        (line["provider"], line["model"], line["lane"], line["kind"]): line["dollars_per_million"]
        for line in full["prices"]
        if not line["prompt_tokens_over"]
    }
    assert {(line["provider"], line["model"]) for line in short["models"]} == {key[:2] for key in found}
    for line in short["models"]:
        assert line["model"] in said.out
        for lane, prices in line["lanes"].items():
            for kind in ("input", "output"):
                assert found[line["provider"], line["model"], lane, kind] == prices[kind]
        of_it = [
            each for each in full["prices"] if (each["provider"], each["model"]) == (line["provider"], line["model"])
        ]
        assert line["dearer_over"] == min(
            (each["prompt_tokens_over"] for each in of_it if each["prompt_tokens_over"]), default=None
        )
    today = desk("prices")
    assert len(today.out.splitlines()) < 80
    assert max(map(len, today.out.splitlines())) <= 80
    assert desk("prices", "claude-haiku-4-5", "--all").code == 2


def test_an_unknown_price_is_an_error(desk, snapshot: SnapshotAssertion) -> None:
    assert str(desk("prices", "nobody-9")) == snapshot


def test_the_doctor(desk, snapshot: SnapshotAssertion) -> None:
    assert str(desk("doctor")) == snapshot


def test_settings_say_where_they_are_from_and_no_secret(empty_desk, snapshot: SnapshotAssertion) -> None:
    empty_desk.write(
        "lowtide.toml", 'model = "claude-haiku-4-5"\ndatabase = "postgresql://me:hush@db.example/lowtide"\n'
    )
    empty_desk.environment["ANTHROPIC_API_KEY"] = "sk-very-secret"
    said = empty_desk("config", "show", "--origin")
    assert "hush" not in said.out
    assert "sk-very-secret" not in said.out + empty_desk("config", "show", "--json").out
    assert str(said) == snapshot


def test_batches_of_other_programs_are_listed_and_adopted(desk, snapshot: SnapshotAssertion) -> None:
    done = desk
    address = done.environment["LOWTIDE_SIMULATOR"]
    body = {"requests": [{"custom_id": "theirs", "params": {"model": "claude-haiku-4-5", "max_tokens": 50,
            "messages": [{"role": "user", "content": "Hello"}]}}]}  # fmt: skip
    headers = {"x-api-key": "sk-x", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/messages/batches", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as reply:
        batch = json.load(reply)["id"]
    listed = done("adopt")
    assert batch in listed.out
    assert str(listed) == snapshot
    adopted = done("adopt", batch)
    assert adopted.code == 0
    run_id = done.run_id()
    ended = done("run", run_id, "-q")
    assert ended.code == 0
    assert "; no plan; no cap" in ended.out
    (told,) = done("status", run_id, "--json").objects
    assert (told["plan_likely"], told["plan_ceiling"]) == (None, None), "nobody planned it, and that is not $0"
    assert " / -" in done("status").out
    assert set(told["stages"]) >= {"submitting_ms", "waiting_ms"}
    assert told["stages"]["submitting_ms"] == 0
    assert [each["custom_id"] for each in done("results", run_id).objects] == ["theirs"]


def test_who_cannot_be_asked_for_batches_is_named(empty_desk, start_simulator) -> None:
    address = start_simulator("--clock", "system")
    empty_desk.environment |= {"LOWTIDE_BASE_URL": address, "LOWTIDE_OPENAI_BASE_URL": address}
    empty_desk.environment |= {"ANTHROPIC_API_KEY": "", "OPENAI_API_KEY": "a key"}
    said = empty_desk("adopt")
    assert (said.code, said.err) == (0, "not asked, there is no key: anthropic\n")
    assert empty_desk("adopt", "--json").objects[0]["not_asked"] == ["anthropic"]
    named = empty_desk("adopt", "--provider", "anthropic")
    assert (named.code, named.out) == (4, "")
    assert "no key for Anthropic" in named.err
    assert empty_desk("adopt", "--provider", "openai").err == ""


def test_every_batch_is_known(done) -> None:
    assert done("adopt").out == "Every batch of this account is known here.\n"


def test_a_backup_is_a_store(done) -> None:
    said = done("backup", "copy")
    assert said.code == 0
    assert done("--store", "copy", "status").out == done("status").out
    assert done("backup", "copy").code == 1, "nothing is overwritten"


def test_prune_asks_and_keeps_the_books(done, snapshot: SnapshotAssertion) -> None:
    assert done("prune", "--older-than", "30d").code == 2
    run_id = done.run_id()
    (before,) = done("status", run_id, "--json").objects
    said = done("prune", "--older-than", "30d", "--yes")
    assert str(said) == snapshot
    assert done("status", run_id, "--json").objects[0]["spent"] == before["spent"]


def test_a_pruned_run_keeps_its_figures_and_says_that_its_answers_are_gone(desk) -> None:
    assert desk("run", desk.requests(4), "--route", "batch", "--yes", "-q").code == 0
    run_id = desk.run_id()
    (before,) = desk("status", run_id, "--json").objects
    assert desk("run", desk.requests(2), "--route", "batch", "--yes", "-q").code == 0, "time passes"
    assert desk("prune", "--older-than", "0h", "--yes").out.startswith("1 run emptied")
    (after,) = desk("status", run_id, "--json").objects
    same = ("spent", "requests", "stop_reasons", "cut", "input_tokens", "output_tokens", "cap", "plan_likely")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (before["pruned"], after["pruned"], after["saved"]) == (False, True, None)
    told = desk("status", run_id).out
    assert "Answered  4 of 4\n" in told
    assert "its requests and answers are deleted; the books stay" in told
    assert "4 / 4" in desk("status").out
    said = desk("results", run_id)
    assert (said.code, said.out) == (1, "")
    assert f"run {run_id} was pruned" in said.err


def test_results_into_a_folder_are_refused_by_its_name(done) -> None:
    said = done("results", done.run_id(), "--out", ".")
    assert (said.code, said.err) == (1, "error: . is a folder\nhint: name a file: --out answers.jsonl\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(empty_desk, shell: str) -> None:
    assert "_LOWTIDE_COMPLETE" in empty_desk("completion", shell).out


def test_run_ids_complete_from_the_store(done) -> None:
    environment = {**os.environ, **done.environment, "_LOWTIDE_COMPLETE": "bash_complete"}
    environment |= {"COMP_WORDS": "lowtide status r_", "COMP_CWORD": "2"}
    words = [sys.executable, "-c", "import sys; sys.argv=['lowtide']; from lowtide.cli import main; main()"]
    ended = subprocess.run(words, cwd=done.folder, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.stdout == f"plain,{done.run_id()}\n"
