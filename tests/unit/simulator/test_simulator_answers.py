"""What the simulated model says: deterministic, marked, and never longer than allowed."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_simulator.answers import Answer, Chances, Writer
from lowtide_simulator.messages import prompt_digest
from lowtide_simulator.models import BY_NAME
from lowtide_simulator.tokens import text_tokens

MODEL = BY_NAME["claude-haiku-4-5"]
CALM = Chances()
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "integer"}}}}


def write(text: str = "Hello", max_tokens: int = 500, seed: int = 7, chances: Chances = CALM, **more: Any) -> Answer:
    params = {"model": MODEL.id, "max_tokens": max_tokens, "messages": [{"role": "user", "content": text}], **more}
    return Writer(params, prompt_digest(params), MODEL, seed, chances).write()


def test_the_same_seed_and_body_give_the_same_answer_and_others_do_not() -> None:
    assert write() == write()
    assert write(seed=8) != write()
    assert write("Hello!") != write()


def test_an_answer_is_marked_and_tells_which_prompt_it_belongs_to() -> None:
    params = {"model": MODEL.id, "max_tokens": 500, "messages": [{"role": "user", "content": "Hello"}]}
    lines = write().blocks[0]["text"].splitlines()
    assert lines[:2] == ["[simulated]", f"prompt-digest: {prompt_digest(params).hex()[:12]}"]


def test_streaming_does_not_change_the_digest() -> None:
    params = {"b": 1, "a": "å"}
    assert prompt_digest({**params, "stream": True}) == prompt_digest(dict(reversed(params.items())))


@settings(deadline=None)
@given(
    st.integers(0, 3_000),
    st.integers(0, 99),
    st.sampled_from(["plain", "thinking", "tool", "schema", "refusal", "full"]),
)
def test_never_more_than_max_tokens(limit: int, seed: int, kind: str) -> None:
    more: dict[str, Any] = {
        "plain": {},
        "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "tool": {"tools": [TOOL], "tool_choice": {"type": "any"}},
        "schema": {"output_config": {"format": {"type": "json_schema", "schema": TOOL["input_schema"]}}},
        "refusal": {"chances": Chances(refusal=1)},
        "full": {"chances": Chances(max_tokens=1)},
    }[kind]
    answer = write("x", limit, seed, **more)
    assert answer.thinking_tokens <= answer.output_tokens <= limit
    spoken = sum(
        text_tokens(block.get("text") or block.get("thinking") or "", MODEL.tokenizer) for block in answer.blocks
    )
    assert spoken <= answer.output_tokens
    if kind == "full" and limit:
        assert (answer.stop_reason, answer.output_tokens) == ("max_tokens", limit)


def test_a_stop_sequence_ends_the_text_before_it() -> None:
    answer = write(stop_sequences=["e", "zzz"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "e")
    assert "e" not in "".join(block["text"] for block in answer.blocks)


def test_tools_are_called_as_chosen_and_not_again_after_their_result() -> None:
    assert write(tools=[TOOL]).stop_reason == "tool_use"
    assert write(tools=[TOOL], tool_choice={"type": "none"}).stop_reason != "tool_use"
    params = {"tools": [TOOL], "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]}
    assert write(**params).stop_reason != "tool_use"
    (block,) = write(tools=[TOOL, {**TOOL, "name": "b"}], tool_choice={"type": "tool", "name": "b"}).blocks
    assert (block["name"], type(block["input"]["at"])) == ("b", int)


SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"kind": {"enum": ["x", "y"]}, "fixed": {"const": 3}, "on": {"type": "boolean"}},
        "required": ["kind", "fixed", "on"],
    },
    {
        "$defs": {"leaf": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}},
        "type": "object",
        "properties": {"leaf": {"$ref": "#/$defs/leaf"}},
        "required": ["leaf"],
    },
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": ["null", "integer"]}}},
        ]
    },
    {"type": "array", "items": {"type": "string"}, "minItems": 2},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_is_honoured(schema: dict[str, Any]) -> None:
    for seed in range(20):
        answer = write(seed=seed, output_config={"format": {"type": "json_schema", "schema": schema}})
        jsonschema.Draft202012Validator(schema).validate(json.loads(answer.blocks[0]["text"]))
        assert answer.stop_reason == "end_turn"


def test_a_schema_without_room_is_cut_as_the_real_one_is() -> None:
    answer = write(max_tokens=3, output_config={"format": {"type": "json_schema", "schema": SCHEMAS[0]}})
    assert answer.stop_reason == "max_tokens"


def test_refusals_come_before_and_in_the_middle_of_output() -> None:
    answers = [write(seed=seed, chances=Chances(refusal=1)) for seed in range(40)]
    assert {answer.stop_reason for answer in answers} == {"refusal"}
    assert {bool(answer.blocks) for answer in answers} == {True, False}


def test_lengths_follow_the_median_that_was_asked_for() -> None:
    lengths = sorted(write(str(n), 10_000, chances=Chances(length_median=1_000)).output_tokens for n in range(300))
    assert 800 < lengths[150] < 1_250
    assert lengths[0] < 500
    shares = [write(str(n), 1_000, chances=Chances(length_share=0.5)).output_tokens for n in range(50)]
    assert all(380 <= length <= 620 for length in shares)
