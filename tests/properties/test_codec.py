"""Laws of a codec, for any text: what is written is read, sizes are known before, usage survives, nothing crashes."""

import json
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lowtide.providers import BodyFacts
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.request import Neutral
from lowtide.result import Errored, Succeeded

CODEC = AnthropicCodec()
ids = st.text("abcXYZ019_-", min_size=1, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
counts = st.integers(0, 2_000_000)
neutrals = st.builds(
    Neutral,
    system=texts,
    shared=st.lists(texts, max_size=4).map(tuple),
    text=texts.filter(bool),
    max_output_tokens=st.integers(1, 128_000),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(body=neutrals)
def test_a_written_body_is_read_with_its_bytes_and_its_limit(body: Neutral) -> None:
    params = CODEC.encode(model="claude-haiku-5-5", body=body)
    assert params == CODEC.encode(model="claude-haiku-5-5", body=body)
    facts = CODEC.read_body(params)
    assert isinstance(facts, BodyFacts)
    whole = (body.system + "".join(body.shared) + body.text).encode()
    assert facts.max_output_tokens == body.max_output_tokens
    assert facts.non_ascii_bytes == sum(byte > 127 for byte in whole)
    assert len(whole) < facts.content_bytes <= len(whole) + 64
    assert (facts.images, facts.input_unbounded, facts.cache_breakpoints) == (0, False, 0)
    written = json.loads(params)
    blocks = written.get("system", []) + written["messages"][0]["content"]
    assert [block["text"] for block in blocks] == [text for text in (body.system, *body.shared, body.text) if text]


@given(lines=st.lists(st.tuples(ids, json_values), min_size=1, max_size=6))
def test_a_create_body_is_json_of_the_length_that_was_said(lines: list[tuple[str, Any]]) -> None:
    pieces, length = [CODEC.batch_open()], 0
    for number, (custom_id, value) in enumerate(lines):
        params = json.dumps(value).encode()
        pieces.append(CODEC.batch_line(custom_id=custom_id, params=params, first=number == 0))
        length += CODEC.batch_line_length(custom_id_length=len(custom_id), params_length=len(params), first=number == 0)
        assert params in pieces[-1]
    pieces.append(CODEC.batch_close())
    whole = b"".join(pieces)
    assert len(whole) == length + len(CODEC.batch_open()) + len(CODEC.batch_close())
    assert json.loads(whole) == {"requests": [{"custom_id": name, "params": value} for name, value in lines]}


@given(custom_id=ids, text=texts, disjoint=st.tuples(counts, counts, counts, counts, counts), extra=json_values)
def test_a_result_line_gives_its_text_and_every_token(
    custom_id: str, text: str, disjoint: tuple[int, int, int, int, int], extra: object
) -> None:
    plain, short, long, read, output = disjoint
    message = {
        "model": "m",
        "content": [{"type": "unheard_of", "x": extra}, {"type": "text", "text": text, "x": extra}],
        "x": extra,
        "usage": {
            "input_tokens": plain,
            "output_tokens": output,
            "cache_creation_input_tokens": short + long,
            "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            "cache_read_input_tokens": read,
            "x": extra,
        },
    }
    line = {"x": extra, "custom_id": custom_id, "result": {"type": "succeeded", "message": message, "x": extra}}
    for encoded in (msgspec.json.encode(line), json.dumps(line, indent=1).encode()):
        found = CODEC.decode_result_line(encoded)
        assert found.custom_id == custom_id
        assert isinstance(found.outcome, Succeeded)
        assert found.outcome.text == text
        assert json.loads(found.outcome.message) == message
        usage = found.outcome.usage
        assert usage.uncached_tokens == plain
        assert usage.input_tokens == plain + short + long + read
        assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (short, long)
        assert (usage.cache_read_tokens, usage.output_tokens) == (read, output)


@given(value=json_values, custom_id=ids)
def test_a_line_of_any_json_that_names_its_request_gives_an_outcome(value: object, custom_id: str) -> None:
    for result in (value, {"type": "succeeded", "message": value}, {"type": "errored", "error": value}):
        found = CODEC.decode_result_line(msgspec.json.encode({"custom_id": custom_id, "result": result}))
        assert found.custom_id == custom_id
        assert isinstance(found.outcome, Errored)


@given(line=st.binary(max_size=200))
def test_any_bytes_are_a_line_or_are_said_to_be_none(line: bytes) -> None:
    with suppress(ValueError):
        CODEC.decode_result_line(line)


@given(status=st.integers(201, 599), body=st.binary(max_size=100) | json_values.map(msgspec.json.encode))
def test_any_reply_that_is_no_200_is_a_refusal(status: int, body: bytes) -> None:
    found = CODEC.decode_error(status=status, headers={}, body=body)
    assert found.code
    assert found.message


@given(content=json_values, others=st.dictionaries(st.sampled_from(["system", "tools", "output_config"]), json_values))
def test_any_body_is_read_or_refused_with_reasons(content: object, others: dict[str, Any]) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}], **others}
    found = CODEC.read_body(msgspec.json.encode(body))
    assert isinstance(found, BodyFacts) or (found and all(found))
