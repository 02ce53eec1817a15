"""Long prompts as people see them: named with what they add, and divided by node with ``--split``."""

import json
from decimal import Decimal

HAIKU = "claude-haiku-5-5"  # its price doubles beyond 100,000 tokens
STEPS = 60


def model(desk) -> str:
    """A process of so many steps that its documents quote more than a hundred thousand tokens."""
    folder = desk.folder / "models"
    folder.mkdir()
    steps = "".join(f'<userTask id="t{number}" name="Step {number}"/>' for number in range(STEPS))
    folder.joinpath("wide.bpmn").write_text(
        '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL">'
        f'<process id="wide" name="Wide">{steps}</process></definitions>'
    )
    return "models"


def test_long_prompts_of_a_later_wave_are_named_and_split_is_offered(desk) -> None:
    said = desk("plan", model(desk), "--model", HAIKU)
    assert "2 prompts over 100,000 tokens" in said.out
    assert "wide.bpmn:wide:feature-goal: 1" in said.out
    assert "--split divides by node" in said.out
    (plan,) = desk("plan", "models", "--model", HAIKU, "--json").objects
    assert [prompt["key"] for prompt in plan["long_prompts"]] == [
        "wide.bpmn:wide:feature-goal",
        "wide.bpmn:wide:test-script",
    ]
    assert all(Decimal(prompt["extra"]) > 0 for prompt in plan["long_prompts"])


def test_a_plan_that_is_split_has_no_long_prompt_and_costs_less(desk) -> None:
    (whole,) = desk("plan", model(desk), "--model", HAIKU, "--json").objects
    (split,) = desk("plan", "models", "--model", HAIKU, "--split", "--json").objects
    assert split["long_prompts"] == []
    assert split["requests"] > whole["requests"]
    assert Decimal(split["cost"]["likely"]) < Decimal(whole["cost"]["likely"])
    assert "2 documents are divided by node" in split["warnings"][0]


def test_a_run_that_is_split_delivers_wholes_and_parts_and_no_prompt_passes(desk) -> None:
    said = desk("run", model(desk), "--model", HAIKU, "--split", "--out", "out", "--cap", "9", "--yes")
    assert said.code == 0
    places = sorted(path.name for path in desk.folder.glob("out/wide.bpmn/wide/*"))
    assert "feature-goal.md" in places
    assert [name for name in places if name.startswith("feature-goal.part-")] != []
    prompts = [
        int(line.partition(": ")[2])
        for path in desk.folder.glob("out/wide.bpmn/wide/*.md")
        for line in path.read_text().splitlines()[:8]
        if line.startswith("input_tokens: ")
    ]
    assert len(prompts) == len(places)
    assert max(prompts) <= 100_000


def test_a_plan_that_is_split_reads_its_input_the_same_way_when_it_runs(desk) -> None:
    (split,) = desk("plan", model(desk), "--model", HAIKU, "--split", "--json").objects
    assert desk("run", split["plan"], "--out", "out", "--yes").code == 0
    (again,) = desk("plan", "models", "--model", HAIKU, "--split", "--json").objects
    file = desk.folder / "models" / "wide.bpmn"
    file.write_text(file.read_text() + "\n")
    refused = desk("run", again["plan"], "--yes")
    assert refused.code != 0
    assert "changed since the plan was made" in refused.err


def test_split_says_where_it_does_nothing(desk) -> None:
    rows = desk("plan", desk.requests(3), "--split")
    assert rows.code == 2
    assert "--split" in rows.err
    plain = desk("plan", model(desk), "--split", "--model", "claude-sonnet-5-5")
    assert "no prompt length is known at which this model's price changes" in " ".join(plain.out.split())
    assert json.loads(desk("plan", "models", "--model", "claude-sonnet-5-5", "--json").out)["long_prompts"] == []
