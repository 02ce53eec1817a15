"""Every kind of answer against the provider's published OpenAPI document (of 2026-05).

Where newer facts or recorded answers disagree with that document, the exception stands in ``EXCEPTIONS`` by name.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lowtide_simulator.answers import Chances
from lowtide_simulator.in_process import Answered, InProcess
from lowtide_simulator.world import World, WorldOptions

OPENAPI = Path(__file__).resolve().parents[4] / "shared" / "data" / "openapi" / "anthropic-openapi.json"

EXCEPTIONS = {
    "a required field with a default may be absent": (
        "the document marks fields such as container, citations, server_tool_use as required with the default null; "
        "recorded answers of 2026-03 to 2026-08 leave them out, and so do we"
    ),
    "refusal categories": "frontier_llm, reasoning_extraction and general_harms are newer than the document",
    "request_too_large, conflict_error": "error types that the service sends and the document does not list",
}
NEWER_CATEGORIES = ["frontier_llm", "reasoning_extraction", "general_harms"]
NEWER_ERRORS = ["request_too_large", "conflict_error"]


@cache
def document() -> dict[str, Any]:
    """The document with the exceptions applied."""
    parsed = json.loads(OPENAPI.read_text())
    schemas = parsed["components"]["schemas"]
    for schema in schemas.values():
        if isinstance(schema, dict) and "required" in schema:
            properties = schema.get("properties", {})
            schema["required"] = [
                n for n in schema["required"] if "default" not in properties.get(n, {}) or n == "type"
            ]
    schemas["RefusalStopDetails"]["properties"]["category"]["anyOf"][0]["enum"] += NEWER_CATEGORIES
    newer = {
        "properties": {"type": {"enum": NEWER_ERRORS}, "message": {"type": "string"}},
        "required": ["type", "message"],
        "type": "object",
    }
    schemas["ErrorResponse"]["properties"]["error"]["oneOf"].append(newer)
    return parsed


def check(value: Any, name: str) -> None:
    """Validate a value against a named schema."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_document_would_notice_a_wrong_answer() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({"id": "x", "type": "message_batch"}, "MessageBatch")


MESSAGE = {"model": "claude-sonnet-5", "max_tokens": 300, "messages": [{"role": "user", "content": "Hello"}]}
OLD = {**MESSAGE, "model": "claude-haiku-4-5", "max_tokens": 3000}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
BODIES = [
    MESSAGE,
    {**MESSAGE, "max_tokens": 1},
    {**MESSAGE, "stop_sequences": ["e"]},
    {**MESSAGE, "inference_geo": "us"},
    {**OLD, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    {**OLD, "tools": [TOOL], "tool_choice": {"type": "any"}},
    {**MESSAGE, "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {
        **MESSAGE,
        "system": [{"type": "text", "text": "long " * 2000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    },
]


@pytest.fixture(params=[0.0, 1.0], ids=["calm", "refusing"])
def provider(request: pytest.FixtureRequest) -> InProcess:
    """A provider in process, with or without refusals."""
    return InProcess(World(WorldOptions(chances=Chances(refusal=request.param))))


@pytest.mark.parametrize("body", BODIES)
def test_messages(provider: InProcess, body: dict[str, Any]) -> None:
    answer = provider.ask("POST", "/v1/messages", body)
    assert answer.status == 200, answer.body
    check(answer.json(), "Message")


@pytest.mark.parametrize("body", BODIES)
def test_streams(provider: InProcess, body: dict[str, Any]) -> None:
    answer = provider.ask("POST", "/v1/messages", {**body, "stream": True})
    events = list(frames(answer))
    assert events[-1]["type"] == "message_stop"
    for event in events:
        check(event, "MessageStreamEvent")


def frames(answer: Answered) -> Iterator[dict[str, Any]]:
    """The data of each server-sent event; its name must be its type."""
    for frame in answer.body.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        yield event


def test_counting_and_models(provider: InProcess) -> None:
    body = {name: MESSAGE[name] for name in ("model", "messages")}
    check(provider.ask("POST", "/v1/messages/count_tokens", body).json(), "CountMessageTokensResponse")
    models = provider.ask("GET", "/v1/models?limit=1000").json()
    check(models, "ListResponse_ModelInfo_")
    for model in models["data"]:
        check(provider.ask("GET", f"/v1/models/{model['id']}").json(), "ModelInfo")


def test_batches(provider: InProcess) -> None:
    requests = [
        {"custom_id": f"i{n}", "params": body} for n, body in enumerate([*BODIES, {**MESSAGE, "colour": "red"}])
    ]
    made = provider.ask("POST", "/v1/messages/batches", {"requests": requests}).json()
    check(made, "MessageBatch")
    place = f"/v1/messages/batches/{made['id']}"
    provider.ask("POST", "/_simulator/faults", {"on": "POST /v1/messages/batches", "fault": "stuck", "nth": 2})
    provider.ask("POST", "/v1/messages/batches", {"requests": requests})
    late = provider.ask("POST", "/v1/messages/batches", {"requests": requests}).json()
    stuck = provider.ask("GET", "/v1/messages/batches?limit=1").json()["data"][0]
    check(provider.ask("POST", f"/v1/messages/batches/{stuck['id']}/cancel").json(), "MessageBatch")
    provider.advance(86_400)
    kinds = set()
    for name in (made["id"], stuck["id"], late["id"]):
        check(provider.ask("GET", f"/v1/messages/batches/{name}").json(), "MessageBatch")
        for line in provider.ask("GET", f"/v1/messages/batches/{name}/results").lines():
            check(line, "MessageBatchIndividualResponse")
            kinds.add(line["result"]["type"])
    assert {"succeeded", "errored", "canceled"} <= kinds
    check(provider.ask("GET", "/v1/messages/batches").json(), "ListResponse_MessageBatch_")
    check(provider.ask("DELETE", place).json(), "DeleteMessageBatchResponse")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529])
def test_errors(provider: InProcess, status: int) -> None:
    rule = {"on": "POST /v1/messages", "fault": "status", "status": status, "json_body": True, "message": "scripted"}
    provider.ask("POST", "/_simulator/faults", rule)
    answer = provider.ask("POST", "/v1/messages", MESSAGE)
    assert answer.status == status
    check(answer.json(), "ErrorResponse")
