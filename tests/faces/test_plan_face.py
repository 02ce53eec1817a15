"""``lowtide plan`` as people and programs see it."""

import json
from decimal import Decimal
from importlib import resources

import pytest
from syrupy.assertion import SnapshotAssertion

DEMO = str(resources.files("lowtide.workloads.bpmn") / "demo")


def test_a_batch_file(desk, snapshot: SnapshotAssertion) -> None:
    assert str(desk("plan", desk.requests(3))) == snapshot


def test_a_folder_of_models(desk, snapshot: SnapshotAssertion) -> None:
    desk.folder.joinpath("models").symlink_to(DEMO)
    assert str(desk("plan", "models", "--cap", "5")) == snapshot
    (made,) = desk("plan", "models", "--json").objects
    cost = made["cost"]
    parts = [*(line["likely"] for line in made["lines"]), cost["moves_likely"], cost["caching_likely"]]
    assert sum(map(Decimal, parts)) == Decimal(cost["likely"])
    assert Decimal(cost["caching_likely"]) < 0


def test_a_table(desk, snapshot: SnapshotAssertion) -> None:
    desk.write("people.csv", "id,name\n1,Anna\n2,Bo\n")
    desk.write("letter.j2", "---\nmax_output_tokens: 100\n---\nWrite to {{ name }}.\n")
    words = ("plan", "people.csv", "--template", "letter.j2", "--key-column", "id", "--model", "claude-haiku-4-5")
    assert str(desk(*words)) == snapshot


def test_a_template_names_its_model_before_the_settings_do_and_after_the_command_line(desk) -> None:
    desk.write("people.csv", "id,name\n1,Anna\n2,Bo\n")
    named, open_ = '---\nmodel = "gpt-6-luna"\n---\nWrite to {{ name }}.\n', "Write to {{ name }}.\n"
    for template, words, model in (
        (named, (), "gpt-6-luna"),
        (named, ("--model", "claude-haiku-4-5"), "claude-haiku-4-5"),
        (open_, (), "claude-sonnet-5-5"),
    ):
        desk.write("letter.j2", template)
        (made,) = desk("plan", "people.csv", "--template", "letter.j2", *words, "--json").objects
        assert {line["model"] for line in made["lines"]} == {model}


def test_a_cap_below_the_likely_cost_is_refused(desk, snapshot: SnapshotAssertion) -> None:
    said = desk("plan", desk.requests(3), "--cap", "0.0001")
    assert said.code == 3
    assert said.err == snapshot


def test_problems_are_all_told(desk, snapshot: SnapshotAssertion) -> None:
    desk.write("bad.jsonl", '{"custom_id": "a"}\nnot json\n{"custom_id": "a", "params": {"model": "x"}}\n')
    assert str(desk("plan", "bad.jsonl")) == snapshot


def test_only_a_hundred_problems_are_listed_but_json_has_all(desk) -> None:
    desk.write("bad.jsonl", '{"custom_id": "a"}\n' + "nothing\n" * 150)
    said = desk("plan", "bad.jsonl")
    assert said.code == 1
    assert said.err.count("bad.jsonl:") == 100
    assert "and 51 more: --json lists them all" in said.err
    (told,) = desk("plan", "bad.jsonl", "--json").objects
    assert len(told["error"]["problems"]) == 151


def test_a_model_that_is_wrong_is_told_in_a_few_lines_and_counted_whole(desk) -> None:
    desk.folder.joinpath("models").symlink_to(DEMO)
    said = desk("plan", "models", "--model", "gpt-99")
    assert said.code == 1
    assert said.err.count("no model 'gpt-99'") == 3
    (told,) = desk("plan", "models", "--model", "gpt-99", "--json").objects
    count = told["error"]["problems_count"]
    assert said.err.startswith(f"error: {count} problems in the input\n")
    shown = [line for line in said.err.splitlines() if line.startswith("  ") and not line.startswith("    hint")][:-1]
    assert f"and {count - len(shown)} more: --json lists them all" in said.err


def test_more_problems_than_are_kept_are_counted_all_the_same(desk) -> None:
    desk.write("bad.jsonl", '{"custom_id": "a"}\n' + "nothing\n" * 1200)
    said = desk("plan", "bad.jsonl")
    assert said.err.startswith("error: 1,201 problems in the input\n")
    assert "and 1,101 more: --json lists the first 1,000" in said.err
    (told,) = desk("plan", "bad.jsonl", "--json").objects
    assert (told["error"]["problems_count"], len(told["error"]["problems"])) == (1201, 1000)


def test_a_quotation_for_another_day_cannot_be_run(desk, snapshot: SnapshotAssertion) -> None:
    """B14: a hundred nodes of 50,000 tokens in and 3,000 out, quoted on a day when the model was sold."""
    body = {
        "model": "claude-3-5-sonnet-20241022",
        "max_tokens": 3000,
        "messages": [{"role": "user", "content": "x" * 4000}],
    }
    lines = [{"custom_id": f"n{number}", "params": body} for number in range(100)]
    desk.write("nodes.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    said = desk("plan", "nodes.jsonl", "--prices-on", "2025-06-01")
    assert str(said) == snapshot
    assert said.code == 3, "a script that goes on to run it must stop here"
    told = desk("plan", "nodes.jsonl", "--prices-on", "2025-06-01", "--json")
    plan, error = told.objects
    assert told.code == 3
    assert "is not sold on" in str(plan["blocked"])
    assert error["error"]["code"] == "plan_blocked"
    assert plan["plan"] in desk("status").out, "it is kept all the same"
    refused = desk("run", str(plan["plan"]), "--yes")
    assert (refused.code, refused.out) == (3, "")
    assert "is not sold on" in refused.err


def test_a_quotation_of_another_day_names_no_command_that_would_be_refused(desk) -> None:
    said = desk("plan", desk.requests(2), "--prices-on", "2026-10-30")
    assert (said.code, "Run it" in said.out) == (0, False)
    assert "Run it" in desk("plan", desk.requests(2)).out


def test_a_lane_that_does_not_sell_all_of_it_blocks_the_plan_before_its_cap_is_looked_at(desk) -> None:
    said = desk("plan", desk.requests(3), "--route", "2h", "--cap", "0.0001")
    assert said.code == 3
    assert "Blocked" in said.out
    assert "is not sold for every request of this run" in said.err
    assert "over the cap" not in said.err
    assert desk("run", desk.requests(3), "--route", "2h", "--yes").code == 3
    assert desk("plan", desk.requests(3), "--route", "2h", "--detailed-exitcode").code == 3
    pilot = desk("plan", desk.requests(60), "--route", "2h", "--pilot", "5", "--yes")
    assert (pilot.code, "Blocked" in pilot.out) == (3, True), "nothing is bought to learn of what cannot be bought"
    assert desk("status", "--json").objects[0]["runs"] == []


def test_json_has_a_schema_and_money_in_decimal_strings(desk) -> None:
    (plan,) = desk("plan", desk.requests(3), "--cap", "0.0015", "--json").objects
    assert plan["schema"] == "lowtide/1"
    assert plan["simulated"] is True
    assert plan["currency"] == "USD"
    assert plan["requests"] == 3
    assert plan["created_at"].endswith("Z")
    assert all(isinstance(amount, str) and "e" not in amount for amount in plan["cost"].values())
    assert plan["rounds"]["rounds"] >= 1


@pytest.mark.parametrize("part", ["problems", "prices", "long"])
def test_one_part_in_full(desk, part: str, snapshot: SnapshotAssertion) -> None:
    assert str(desk("plan", desk.requests(3), "--show", part)) == snapshot


def test_the_exit_code_says_whether_it_differs_from_the_last_plan(desk) -> None:
    name = desk.requests(3)
    assert desk("plan", name, "--detailed-exitcode").code == 0, "there was none to differ from"
    same = desk("plan", name, "--detailed-exitcode")
    assert same.code == 0
    assert "nothing" in same.out
    desk.requests(4)
    other = desk("plan", name, "--detailed-exitcode")
    assert other.code == 7
    assert "3 requests became 4" in " ".join(other.out.split())


def test_a_price_threshold_is_told_with_its_dollars(desk, snapshot: SnapshotAssertion) -> None:
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "word " * 200_000}],
    }
    desk.write("long.jsonl", json.dumps({"custom_id": "long one", "params": body}) + "\n")
    assert str(desk("plan", "long.jsonl", "--prices-on", "2025-12-22")) == snapshot


def test_limits_that_nobody_published_are_said_to_be_learned(empty_desk) -> None:
    """Real time of a model whose limits the catalog does not know, and of one whose it does."""
    for model, unknown in (("claude-sonnet-5-5", True), ("claude-haiku-4-5", False)):
        body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
        empty_desk.write("one.jsonl", json.dumps({"custom_id": "a", "params": body}) + "\n")
        (plan,) = empty_desk("plan", "one.jsonl", "--json").objects
        told = f"what anthropic lets through in a minute is not known for {model}: it is learned from the first replies"
        assert any(told in warning for warning in plan["warnings"]) is unknown
        (batch,) = empty_desk("plan", "one.jsonl", "--route", "batch", "--json").objects
        assert batch["warnings"] == [], "a batch has no pace"
        empty_desk.write("lowtide.toml", "[providers.anthropic]\nrequests_per_minute = 50\n")
        (plan,) = empty_desk("plan", "one.jsonl", "--json").objects
        assert plan["warnings"] == []
        (empty_desk.folder / "lowtide.toml").unlink()


def test_the_doctor_says_which_limits_will_be_learned(empty_desk) -> None:
    (told,) = empty_desk("doctor", "--json").objects
    (pace,) = [check for check in told["checks"] if check["name"] == "anthropic pace"]
    assert pace["state"] == "ok"
    assert pace["finding"].startswith("limits of real time at tier start are known for ")
    assert "learned from the first replies, also those of claude-sonnet-5-5, the settings' model" in pace["finding"]
    empty_desk.write("lowtide.toml", "[providers.anthropic]\nrequests_per_minute = 50\n")
    (told,) = empty_desk("doctor", "--json").objects
    (pace,) = [check for check in told["checks"] if check["name"] == "anthropic pace"]
    assert "not known" not in pace["finding"]


def test_what_would_change_nothing_is_refused(desk) -> None:
    """Whoever says --max-output-tokens or --model believes that the price rests on it."""
    name = desk.requests(2)
    desk.folder.joinpath("models").symlink_to(DEMO)
    for words, option in (
        ((name, "--model", "claude-opus-5"), "--model"),
        ((name, "--max-output-tokens", "5"), "--max-output-tokens"),
        (("models", "--max-output-tokens", "5"), "--max-output-tokens"),
        (("models", "--key-column", "id"), "--key-column"),
    ):
        for command in ("plan", "run"):
            said = desk(command, *words)
            assert said.code == 2
            assert f"{option} would change nothing" in said.err
    assert desk("status", "--json").objects[0]["plans"] == [], "nothing of it is kept"
