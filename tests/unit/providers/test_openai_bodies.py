"""Bodies in OpenAI's dialect: what is counted, what bounds them, which lane and which cache they may cost."""

import json
from importlib.resources import files
from typing import Any

import pytest

from lowtide.catalog import PACKAGED, Lane, TokenKind
from lowtide.catalog.parse import parse
from lowtide.providers import BodyFacts
from lowtide.providers.openai import OpenAICodec
from lowtide.providers.openai_profiles import COMPATIBLE
from lowtide.request import Endpoint, Neutral

CODEC = OpenAICodec()


def chat(**more: object) -> BodyFacts:
    body = {"model": "gpt-6-luna", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]} | more
    return facts(body, Endpoint.CHAT)


def response(**more: object) -> BodyFacts:
    return facts({"model": "gpt-6-luna", "max_output_tokens": 10, "input": "hi"} | more, Endpoint.RESPONSES)


def facts(body: dict[str, Any], endpoint: Endpoint, codec: OpenAICodec = CODEC) -> BodyFacts:
    kept = {name: value for name, value in body.items() if value is not ...}
    found = codec.read_body(json.dumps(kept, ensure_ascii=False).encode(), endpoint)
    assert isinstance(found, BodyFacts), found
    return found


# ------------------------------------------------------------------ the bound of the output


def test_several_choices_multiply_the_limit_and_a_prediction_adds_to_it() -> None:
    assert chat(n=3).max_output_tokens == 30
    assert chat(n=None).max_output_tokens == 10
    prediction = {"type": "content", "content": "x" * 50}
    assert chat(n=2, prediction=prediction).max_output_tokens == 2 * (
        10 + len(json.dumps(prediction, separators=(",", ":")))
    )


def test_without_a_limit_the_models_own_is_the_bound() -> None:
    """A batch file of another program often names none; it is read where the model is known, else refused."""
    known = OpenAICodec(output_limit={"gpt-6-luna": 128_000}.get)
    body = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "hi"}], "n": 2}
    assert facts(body, Endpoint.CHAT, known).max_output_tokens == 256_000
    for codec in (CODEC, known):
        found = codec.read_body(
            json.dumps(body | {"model": "gpt-6-luna" if codec is CODEC else "?"}).encode(), Endpoint.CHAT
        )
        assert found == (
            "max_completion_tokens is missing, and the most that the model can write is not known here: say max_completion_tokens",
        )


# ------------------------------------------------------------------ the bound of the input


def test_texts_tools_and_schemas_are_counted() -> None:
    base = chat().content_bytes
    long = "å" * 1_000
    assert chat(messages=[{"role": "user", "content": long}]).content_bytes == base + 2_000 - 2
    tool = {"type": "function", "function": {"name": "f", "parameters": {"description": long}}}
    assert chat(tools=[tool]).content_bytes >= base + 2_000
    assert chat(functions=[{"name": "f", "description": long}]).content_bytes >= base + 2_000
    assert chat(response_format={"type": "json_schema", "json_schema": {"title": long}}).content_bytes >= base + 2_000
    assert response(text={"format": {"type": "json_schema", "title": long}}).content_bytes >= base + 2_000
    assert response(instructions=long).content_bytes >= base + 2_000
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"arguments": long}}]}
    assert chat(messages=[call]).content_bytes >= base + 2_000
    output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": long}]}
    assert response(input=[output]).content_bytes >= base + 2_000
    assert response(input=[{"type": "of_tomorrow", "x": long}]).content_bytes >= base + 2_000


def test_images_are_counted_and_files_have_no_bound() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "what"}, image, image]}])
    assert (seen.images, seen.input_unbounded) == (2, False)
    shot = {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "file_id": "f"}}
    assert response(input=[{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, shot]).images == 2
    assert chat(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]).input_unbounded
    assert response(input=[{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]).input_unbounded
    assert response(input=[{"type": "item_reference", "id": "x"}]).input_unbounded
    assert response(input=[{"type": "of_tomorrow", "file_id": "x"}]).input_unbounded
    assert not response().input_unbounded


def test_what_went_before_and_cannot_be_seen_has_no_bound() -> None:
    assert response(previous_response_id="resp_0").input_unbounded
    assert response(conversation="conv_1", input=...).input_unbounded


# ------------------------------------------------------------------ lanes


@pytest.mark.parametrize(
    ("tier", "lane", "dearest"),
    [
        ("default", Lane.REALTIME, Lane.REALTIME),
        ("auto", Lane.REALTIME, Lane.FAST),
        (..., Lane.REALTIME, Lane.FAST),
        (None, Lane.REALTIME, Lane.FAST),
        (7, Lane.REALTIME, Lane.FAST),
        ("fast", Lane.FAST, Lane.FAST),
        ("priority", Lane.FAST, Lane.FAST),
        ("flex", Lane.FLEX, Lane.FLEX),
    ],
)
def test_a_body_without_a_tier_may_be_served_on_its_projects_dearest(tier: object, lane: Lane, dearest: Lane) -> None:
    found = chat(service_tier=tier)
    assert (found.lane, found.dearest_lane) == (lane, dearest)
    here = facts(
        {"model": "m", "max_tokens": 1, "messages": ["x"], "service_tier": tier},
        Endpoint.CHAT,
        OpenAICodec(profile=COMPATIBLE),
    )
    assert (here.lane, here.dearest_lane) == (Lane.REALTIME, Lane.REALTIME)


def test_a_window_wants_responses_on_the_standard_tier_that_are_kept() -> None:
    assert response(service_tier="default").windows
    assert response(service_tier="default", store=True).windows
    assert not response(service_tier="default", store=False).windows
    assert not response().windows
    assert not response(service_tier="flex").windows
    assert not chat(service_tier="default").windows
    call = CODEC.window_call(b'{"model":"m","background_options":{"continuation_id":"c"}}', Lane.WINDOW_8H)
    assert call.body is not None
    assert json.loads(call.body)["background_options"] == {"continuation_id": "c", "completion_window": "8h"}


# ------------------------------------------------------------------ caches

EXPLICIT = {"mode": "explicit"}


@pytest.mark.parametrize(
    ("more", "write"),
    [
        ({}, "30m"),
        ({"prompt_cache_options": {"ttl": "12h"}}, "12h"),
        ({"prompt_cache_options": EXPLICIT}, ""),
        ({"prompt_cache_options": EXPLICIT, "previous_response_id": "r"}, "30m"),
        ({"prompt_cache_options": EXPLICIT, "model": "gpt-5.5"}, ""),
        ({"model": "gpt-5.5"}, ""),
        ({"model": "gpt-5"}, ""),
        ({"model": "gpt-5-mini-2025-08-07"}, ""),
        ({"model": "gpt-4o"}, ""),
        ({"model": "ft:gpt-4.1:org::id"}, ""),
        ({"model": "o3"}, ""),
        ({"model": "gpt-5.6-sol"}, "30m"),
        ({"model": "gpt-5.10"}, "30m"),
        ({"model": "gpt-6.2-sol"}, "30m"),
        ({"model": "of-tomorrow"}, "30m"),
    ],
)
def test_models_since_5_6_write_into_the_cache_unless_told_not_to(more: dict[str, object], write: str) -> None:
    assert response(**more).dearest_write == write


def test_the_catalog_prices_the_writes_of_those_models_and_of_no_others() -> None:
    catalog, _ = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
    models = [model for model in catalog.models if model.provider == "openai"]
    assert models
    for model in models:
        priced = {row.kind for row in catalog.rows("openai", model.name)} & {TokenKind.CACHE_WRITE_30M}
        for name in (model.name, *model.aliases):
            assert bool(response(model=name).dearest_write) == bool(priced), name
            written = json.loads(CODEC.encode(model=name, body=Neutral(text="x", max_output_tokens=1)))
            assert ("prompt_cache_options" in written) == bool(priced), name


def test_marks_are_counted_and_the_longest_lifetime_is_the_dearest() -> None:
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    plain = part | {"prompt_cache_breakpoint": {"mode": "explicit"}}
    found = response(input=[{"role": "user", "content": [plain, part]}], prompt_cache_options=EXPLICIT)
    assert (found.cache_breakpoints, found.dearest_write) == (2, "12h")
    found = response(input=[{"role": "user", "content": [plain]}], prompt_cache_options=EXPLICIT)
    assert (found.cache_breakpoints, found.dearest_write) == (1, "30m")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-6-luna", EXPLICIT),
        ("gpt-5.6-sol", EXPLICIT),
        ("gpt-5.10", EXPLICIT),
        ("gpt-10", EXPLICIT),
        ("gpt-5.5", None),
        ("gpt-5", None),
        ("gpt-4o", None),
        ("a-deployment", None),
    ],
)
def test_a_neutral_body_writes_into_no_cache_unasked(model: str, options: object) -> None:
    written = json.loads(CODEC.encode(model=model, body=Neutral(text="x", max_output_tokens=1)))
    assert written.get("prompt_cache_options") == options
    assert written["service_tier"] == "default"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("tiny", "max_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("openai/gpt-4o", "max_tokens"),
        ("gpt-6-luna", "max_completion_tokens"),
        ("openai/gpt-5.4-mini", "max_completion_tokens"),
        ("o3", "max_completion_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_model_takes(model: str, name: str) -> None:
    written = json.loads(
        OpenAICodec(profile=COMPATIBLE).encode(model=model, body=Neutral(text="x", max_output_tokens=7))
    )
    assert {key: value for key, value in written.items() if key.startswith("max_")} == {name: 7}


def test_a_lifetime_that_is_not_there_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        CODEC.encode(model="m", body=Neutral(text="x", max_output_tokens=1), cache="5m")
    with pytest.raises(AssertionError):
        OpenAICodec(profile=COMPATIBLE).encode(model="m", body=Neutral(text="x", max_output_tokens=1), cache="12h")
