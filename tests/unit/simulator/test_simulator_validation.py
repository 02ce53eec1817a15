"""Which bodies the provider takes, and its words for the others."""

from typing import Any

import pytest

from lowtide_simulator.clock import parse_instant
from lowtide_simulator.shapes import ShapeError
from lowtide_simulator.validation import (
    NEW_VERSION,
    OLD_VERSION,
    Context,
    UnknownModelError,
    check_count,
    check_messages,
)

NOW = parse_instant("2026-11-21T10:00:00Z")
USER = {"role": "user", "content": "Hello"}
BODY = {"model": "claude-sonnet-5", "max_tokens": 100, "messages": [USER]}
OLD = {**BODY, "model": "claude-haiku-4-5"}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}


def context(version: str = NEW_VERSION, *, batch: bool = False, betas: frozenset[str] = frozenset()) -> Context:
    return Context(version=version, batch=batch, betas=betas, now=NOW)


def refusal(body: dict[str, Any], judged: Context | None = None) -> str:
    with pytest.raises(ShapeError) as caught:
        check_messages(body, judged or context())
    return str(caught.value)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BODY.items() if key != name}


def turns(*contents: Any) -> dict[str, Any]:
    roles = ("user", "assistant") * len(contents)
    return {
        **OLD,
        "messages": [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)],
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (without("model"), "model: Field required"),
        (without("max_tokens"), "max_tokens: Field required"),
        (without("messages"), "messages: Field required"),
        ({**BODY, "colour": 1}, "colour: Extra inputs are not permitted"),
        ({**BODY, "betas": []}, "betas: Extra inputs are not permitted"),
        ({**BODY, "max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({**BODY, "max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({**BODY, "max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({**BODY, "messages": []}, "messages: at least one message is required"),
        ({**BODY, "messages": "Hello"}, "messages: Input should be a valid list"),
        ({**BODY, "messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be 'user', 'assistant' or 'system'"),
        ({**BODY, "messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({**BODY, "messages": [{**USER, "name": "Ann"}]}, "messages.0.name: Extra inputs are not permitted"),
        ({**BODY, "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text.text: Field required"),
        ({**BODY, "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "size": 1}]}]}, "messages.0.content.0.text.size: Extra inputs are not permitted"),
        ({**BODY, "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "messages.0.content: text content blocks must be non-empty"),
        ({**BODY, "messages": [{"role": "user", "content": [{**PNG, "source": {**PNG["source"], "media_type": "image/tiff"}}]}]},
         "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"),
        ({**BODY, "messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty content except for the optional final assistant message"),
        ({**BODY, "messages": [{"role": "assistant", "content": "x"}, USER]}, 'messages: first message must use the "user" role'),
        ({**BODY, "system": [{"type": "image"}]}, "system.0: Input tag 'image' found using 'type' does not match any of the expected tags: 'text'"),
        ({**BODY, "tools": [{"name": "a b", "input_schema": {}}]}, "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        ({**BODY, "tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({**BODY, "tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({**BODY, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "no"}}, "Tool 'no' not found in provided tools"),
        ({**BODY, "tool_choice": {"type": "any"}}, "tool_choice: tool_choice may only be specified while providing tools."),
        ({**BODY, "thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
        ({**BODY, "metadata": {"run": "7"}}, "metadata.run: Extra inputs are not permitted"),
        ({**BODY, "service_tier": "batch"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        ({**BODY, "stop_sequences": [""]}, "stop_sequences.0: String should have at least 1 character"),
        ({**BODY, "cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl: Input should be '5m' or '1h'"),
        ({**BODY, "max_tokens": 128_001}, "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens for claude-sonnet-5"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_named_by_its_path(body: dict[str, Any], message: str) -> None:
    assert refusal(body) == message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({**OLD, "thinking": {"type": "enabled", "budget_tokens": 1024}}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
        ({**OLD, "thinking": {"type": "adaptive"}}, "adaptive thinking is not supported"),
        ({**BODY, "max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 1024}}, "is not supported for this model"),
        ({**BODY, "messages": [USER, {"role": "assistant", "content": "Well"}]}, "does not support assistant message prefill"),
        ({**BODY, "model": "claude-sonnet-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice type 'any' is not supported"),
        ({**OLD, "output_config": {"effort": "low"}}, "does not support the effort parameter"),
        ({**BODY, "model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}}, "Supported levels: high, low, max, medium."),
        ({**BODY, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "'additionalProperties' must be explicitly set to false"),
        ({**BODY, "output_config": {"format": {"type": "json_schema", "schema": {"type": "string", "minLength": 3}}}}, "property 'minLength' is not supported"),
        ({**OLD, "inference_geo": "us"}, "inference_geo 'us' is not supported"),
        ({**BODY, "speed": "fast"}, "fast mode is not supported"),
        (turns("a", [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}], "no result"), "`tool_use` ids were found without `tool_result` blocks immediately after: t1"),
        (turns("a", "b", [{"type": "tool_result", "tool_use_id": "t9"}]), "unexpected `tool_use_id` found in `tool_result` blocks: t9"),
    ],
)  # fmt: skip
def test_rules_of_models(body: dict[str, Any], words: str) -> None:
    assert words in refusal(body)


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_sampling_by_version_and_model(name: str) -> None:
    value = 1 if name == "top_k" else 0.5
    assert refusal({**OLD, name: value}) == f"{name}: Extra inputs are not permitted"
    check_messages({**OLD, name: value}, context(OLD_VERSION))
    assert "only the default value" in refusal({**BODY, name: value}, context(OLD_VERSION))
    check_messages({**BODY, "temperature": 1}, context(OLD_VERSION))


def test_the_other_two_refusals_of_the_new_version() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    spoken = turns("a", [document], "b")
    cited = turns([{"type": "text", "text": "x", "citations": [{"type": "char_location"}]}])
    for body, words in ((spoken, "not permitted in assistant turns"), (cited, "citations are not permitted")):
        assert words in refusal(body)
        check_messages(body, context(OLD_VERSION))
    check_messages(turns([{"type": "text", "text": "x", "citations": []}]), context())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stream": True}, "stream"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"speed": "fast", "model": "claude-opus-5"}, "speed"),
    ],
)
def test_what_only_batches_refuse(change: dict[str, Any], words: str) -> None:
    body = {**BODY, **change}
    check_messages(body, context())
    assert refusal(body, context(batch=True)).startswith(words)
    check_messages({**BODY, "stream": False}, context(batch=True))


def test_long_outputs_need_their_beta_and_a_batch() -> None:
    beta = frozenset({"output-300k-2026-03-24"})
    body = {**BODY, "max_tokens": 250_000}
    check_messages(body, context(batch=True, betas=beta))
    refusal(body, context(betas=beta))
    refusal(body, context(batch=True))


@pytest.mark.parametrize("name", ["gpt-5", "claude-opus-4-1", "claude-3-5-haiku-latest"])
def test_a_model_that_is_not_sold_is_not_found(name: str) -> None:
    with pytest.raises(UnknownModelError, match=f"^model: {name}$"):
        check_messages({**BODY, "model": name}, context())


def test_counting_takes_no_max_tokens() -> None:
    check_count(without("max_tokens"), context())
    with pytest.raises(ShapeError, match="max_tokens: Extra inputs are not permitted"):
        check_count(BODY, context())


def test_a_full_conversation_passes() -> None:
    check_messages(
        {
            **OLD,
            "max_tokens": 4_000,
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "tools": [{**TOOL, "description": "d", "strict": True}, {"type": "web_search_20260209", "name": "web_search", "max_uses": 3}],
            "thinking": {"type": "enabled", "budget_tokens": 2_000},
            "metadata": {"user_id": "u"},
            "messages": [
                {"role": "user", "content": [PNG, {"type": "text", "text": "What?"}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
                ]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [PNG], "is_error": False}]},
            ],
        },
        context(),
    )  # fmt: skip
