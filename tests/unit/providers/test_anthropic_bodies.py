"""Bodies: neutral ones written, native ones read for what must be known of them."""

from typing import Any

import msgspec
import pytest

from lowtide.providers import BodyFacts
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.providers.anthropic_bodies import (
    BODY_BYTES,
    CLIENT_TOOL_BYTES,
    MESSAGE_BYTES,
    SCHEMA_BYTES,
    SETTING_BYTES,
    THINKING_BYTES,
    TOOLS_BYTES,
)
from lowtide.request import Neutral

CODEC = AnthropicCodec()
FRAME = BODY_BYTES + MESSAGE_BYTES
BODY: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hej"}],
}


def read(**changes: object) -> BodyFacts:
    found = CODEC.read_body(msgspec.json.encode(BODY | changes))
    assert isinstance(found, BodyFacts), found
    return found


def content(*blocks: object) -> BodyFacts:
    return read(messages=[{"role": "user", "content": list(blocks)}])


def problems(**changes: object) -> tuple[str, ...]:
    found = CODEC.read_body(msgspec.json.encode(BODY | changes))
    assert isinstance(found, tuple), found
    return found


# ------------------------------------------------------------------ writing


def test_a_neutral_body_becomes_params() -> None:
    body = Neutral(system="Be brief.", shared=("Long.", "", "Longer."), text="Now.", max_output_tokens=9)
    assert CODEC.encode(model="m", body=body) == (
        b'{"model":"m","max_tokens":9,"system":[{"type":"text","text":"Be brief."}],'
        b'"messages":[{"role":"user","content":[{"type":"text","text":"Long."},'
        b'{"type":"text","text":"Longer."},{"type":"text","text":"Now."}]}]}'
    )


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (Neutral(text="Hej", max_output_tokens=1), ["Hej"]),
        (Neutral(shared=("Hej",), text="", max_output_tokens=1), ["Hej"]),
        (Neutral(text="", max_output_tokens=1), [""]),
    ],
)
def test_empty_blocks_are_not_written_unless_there_is_nothing_else(body: Neutral, texts: list[str]) -> None:
    params = msgspec.json.decode(CODEC.encode(model="m", body=body))
    assert "system" not in params
    assert [block["text"] for block in params["messages"][0]["content"]] == texts


def test_a_prefix_is_marked_only_when_asked() -> None:
    body = Neutral(system="S", shared=("A", "B"), text="C", max_output_tokens=1)
    assert b"cache_control" not in CODEC.encode(model="m", body=body)
    marked = msgspec.json.decode(CODEC.encode(model="m", body=body, cache="1h"))
    marks = [block.get("cache_control") for block in marked["system"] + marked["messages"][0]["content"]]
    assert marks == [None, None, {"type": "ephemeral", "ttl": "1h"}, None]
    lone = Neutral(system="S", text="C", max_output_tokens=1)
    facts = CODEC.read_body(CODEC.encode(model="m", body=lone, cache="1h"))
    assert isinstance(facts, BodyFacts)
    assert (facts.cache_breakpoints, facts.dearest_write) == (1, "1h")
    assert b"cache_control" not in CODEC.encode(model="m", body=Neutral(text="C", max_output_tokens=1), cache="1h")


# ------------------------------------------------------------------ reading


def test_the_least_body() -> None:
    assert read() == BodyFacts(
        model="claude-haiku-5-5", max_output_tokens=100, content_bytes=FRAME + 3, non_ascii_bytes=0, us_only=True
    )


def test_every_text_is_counted_in_bytes() -> None:
    facts = read(
        system=[{"type": "text", "text": "åäö"}, {"type": "text", "text": "abc"}],
        messages=[
            {"role": "user", "content": "1234"},
            {"role": "assistant", "content": [{"type": "text", "text": "漢字"}]},
            {"role": "user", "content": [{"type": "text", "text": "😀"}]},
        ],
    )
    assert facts.non_ascii_bytes == 6 + 6 + 4
    assert facts.content_bytes == BODY_BYTES + 3 * MESSAGE_BYTES + 6 + 3 + 4 + 6 + 4


def test_escapes_are_counted_as_what_they_stand_for() -> None:
    facts = CODEC.read_body(
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\u00e5\\n\\ud83d\\ude00"}]}'
    )
    assert isinstance(facts, BodyFacts)
    assert (facts.content_bytes, facts.non_ascii_bytes) == (FRAME + 7, 6)


def test_tools_schemas_and_settings_are_counted() -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    plain = read().content_bytes
    size = len(msgspec.json.encode(tool))
    assert read(tools=[tool]).content_bytes == plain + TOOLS_BYTES + MESSAGE_BYTES + size
    bash = {"type": "bash_20250124", "name": "bash"}
    assert read(tools=[bash]).content_bytes == plain + TOOLS_BYTES + CLIENT_TOOL_BYTES + len(msgspec.json.encode(bash))
    assert read(tools=[]).content_bytes == plain
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    with_schema = plain + SCHEMA_BYTES + len(msgspec.json.encode(schema))
    assert read(output_config={"format": schema}).content_bytes == with_schema
    assert read(output_format=schema).content_bytes == with_schema
    assert read(output_config={"effort": "low"}).content_bytes == plain
    assert read(output_config={"task_budget": 5}).content_bytes == plain + SETTING_BYTES + 1
    assert read(thinking={"type": "enabled", "budget_tokens": 1024}).content_bytes == plain + THINKING_BYTES
    assert read(thinking={"type": "adaptive"}).content_bytes == plain


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4_000}}


def test_pictures_are_counted_by_number_not_by_bytes() -> None:
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    facts = content(PICTURE, linked, {"type": "tool_result", "tool_use_id": "t", "content": [PICTURE]})
    assert facts.images == 3
    assert not facts.input_unbounded
    assert facts.content_bytes < 200


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document"},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "tool_result", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]},
        {"type": "reel", "source": {"type": "url", "url": "https://example.org/a.mp4"}},
    ],
)
def test_what_cannot_be_seen_has_no_bound(block: object) -> None:
    assert content(block).input_unbounded


def test_documents_of_text_are_counted() -> None:
    text = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "12345"}}
    blocks = {
        "type": "document",
        "context": "CC",
        "source": {"type": "content", "content": [{"type": "text", "text": "abc"}, PICTURE]},
    }
    assert content(text) == read(messages=[{"role": "user", "content": "x" * (6 + MESSAGE_BYTES)}])
    facts = content(blocks)
    assert (facts.content_bytes, facts.images, facts.input_unbounded) == (FRAME + MESSAGE_BYTES + 5, 1, False)


def test_unknown_blocks_count_with_all_their_json() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Malmö"}}
    facts = content(call)
    assert facts.content_bytes == FRAME + len(msgspec.json.encode(call))
    assert facts.non_ascii_bytes == 2
    assert content(5).content_bytes == FRAME + 1
    assert content({"type": "text", "text": "a", "citations": [1]}).content_bytes == FRAME + 1 + 3


HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("changes", "marks", "dearest"),
    [
        ({}, 0, ""),
        ({"cache_control": {"type": "ephemeral"}}, 1, "5m"),
        ({"cache_control": HOUR}, 1, "1h"),
        ({"cache_control": None}, 0, ""),
        ({"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "5m"}}]}, 1, "5m"),
        (
            {"system": [{"type": "text", "text": "a", "cache_control": HOUR}], "cache_control": {"type": "ephemeral"}},
            2,
            "1h",
        ),
        ({"tools": [{"name": "f", "input_schema": {}, "cache_control": HOUR}]}, 1, "1h"),
        (
            {
                "system": [
                    {"type": "text", "text": "a", "cache_control": HOUR},
                    {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
                ]
            },
            2,
            "1h",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "content": [{"type": "text", "text": "a", "cache_control": HOUR}],
                                "cache_control": {"type": "ephemeral"},
                            }
                        ],
                    }
                ]
            },
            2,
            "1h",
        ),
    ],
)
def test_cache_marks_are_found_wherever_they_stand(changes: dict[str, object], marks: int, dearest: str) -> None:
    facts = read(**changes)
    assert (facts.cache_breakpoints, facts.dearest_write) == (marks, dearest)


def test_where_it_may_be_served() -> None:
    assert read(inference_geo="us").us_only
    assert not read(inference_geo="global").us_only
    assert read().us_only, "the workspace decides, and may have decided for the US"


def test_fields_that_are_nothing_to_us_pass() -> None:
    facts = read(temperature=0.3, metadata={"user_id": "u"}, stop_sequences=["x"], stream=False, hologram=True)
    assert facts == read()


# ------------------------------------------------------------------ refusing


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model": None}, "model is missing"),
        ({"model": ""}, "model must be a string"),
        ({"model": 5}, "model must be a string"),
        ({"max_tokens": None}, "max_tokens is missing"),
        ({"max_tokens": 0}, "max_tokens must be a whole number of at least 1"),
        ({"max_tokens": True}, "max_tokens must be a whole number of at least 1"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number of at least 1"),
        ({"max_tokens": "9"}, "max_tokens must be a whole number of at least 1"),
        ({"messages": None}, "messages is missing"),
        ({"messages": []}, "messages must be a list with a message in it"),
        ({"messages": "Hej"}, "messages must be a list with a message in it"),
        ({"stream": True}, "stream is refused in a batch: take stream out or set it to false"),
        ({"speed": "fast"}, "fast mode is refused in a batch: take speed out"),
        ({"fallbacks": []}, "fallbacks are refused in a batch: take them out"),
        (
            {"betas": ["x"]},
            "betas inside a body are refused: they go in the anthropic-beta header, for the whole batch",
        ),
        ({"mcp_servers": [{}]}, "unbounded server tools are refused: mcp_servers"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "unbounded server tools are refused: web_search_20250305",
        ),
        (
            {"tools": [{"type": "custom", "name": "f"}, {"type": "code_execution_20260521"}]},
            "unbounded server tools are refused: code_execution_20260521",
        ),
        ({"tools": [{"type": "oracle_20270101"}]}, "unbounded server tools are refused: oracle_20270101"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], problem: str) -> None:
    assert problems(**changes) == (problem,)


def test_everything_wrong_is_said_at_once() -> None:
    found = problems(model=None, max_tokens=None, messages=None, stream=True, speed="fast", store=True)
    assert len(found) == 6


@pytest.mark.parametrize("params", [b"", b"null", b"[]", b"{", b'"x"', b'{"model":"\xff"}'])
def test_what_is_no_object_is_said_to_be_none(params: bytes) -> None:
    found = CODEC.read_body(params)
    assert isinstance(found, tuple)
    assert found[0].startswith("not a JSON object: ")


@pytest.mark.parametrize("depth", [600, 900, 5_000, 100_000])
def test_a_bottomless_body_is_no_crash(depth: int) -> None:
    block = b'{"type":"tool_result","content":[' * depth + b"]}" * depth
    found = CODEC.read_body(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[' + block + b"]}]}")
    assert found == ("nested too deeply to be read",)
