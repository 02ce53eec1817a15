"""Every kind of answer of OpenAI's half against OpenAI's published OpenAPI document (of 2026-08-21).

Where newer facts or recorded answers disagree with that document, the exception stands in ``EXCEPTIONS`` by name.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lowtide_simulator.answers import Chances
from lowtide_simulator.in_process import OPENAI_HEADERS, Answered, InProcess
from lowtide_simulator.world import World, WorldOptions

OPENAPI = Path(__file__).resolve().parents[4] / "shared" / "data" / "openapi" / "openai-openapi.yaml"

EXCEPTIONS = {
    "null": "an optional field may be null: recorded batches, responses and files have such nulls throughout",
    "nullable": "the document is of version 3.1 and still marks some fields with 3.0's nullable",
}


def loosened(schema: Any) -> Any:
    """The schema with the exceptions applied."""
    if isinstance(schema, list):
        return [loosened(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: loosened(inner) for name, inner in schema.items() if name not in ("example", "examples")}
    properties = found.get("properties")
    if isinstance(properties, dict):
        required = found.get("required", []) if isinstance(found.get("required"), list) else []
        for name, inner in properties.items():
            if isinstance(inner, dict) and (name not in required or inner.get("nullable")):
                properties[name] = {"anyOf": [inner, {"type": "null"}]}
    return found


@cache
def document() -> dict[str, Any]:
    """The components of the document, loosened only where an exception says so."""
    parsed = yaml.load(OPENAPI.read_bytes(), Loader=yaml.CSafeLoader)
    return {"schemas": loosened(parsed["components"]["schemas"])}


def check(value: Any, name: str) -> None:
    """Validate a value against a named schema."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_document_would_notice_a_wrong_answer() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({"id": "x", "object": "batch"}, "Batch")
    with pytest.raises(jsonschema.ValidationError):
        check({"object": "list", "data": [{"id": 3}]}, "ListModelsResponse")
    with pytest.raises(jsonschema.ValidationError):
        check({"type": "response.completed", "sequence_number": 1, "response": {"id": "resp_1"}}, "ResponseStreamEvent")


MODEL = "gpt-6-luna"
PARAMETERS = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
    "additionalProperties": False,
}
CHAT = {"model": MODEL, "max_completion_tokens": 300, "messages": [{"role": "user", "content": "Hello"}]}
ASK = {"model": "gpt-5-mini", "max_output_tokens": 300, "input": "Hello"}
CHATS = [
    CHAT,
    {**CHAT, "max_completion_tokens": 1},
    {**CHAT, "n": 2, "stop": ["e"]},
    {**CHAT, "service_tier": "priority"},
    {**CHAT, "model": "gpt-5", "reasoning_effort": "high"},
    {
        **CHAT,
        "tools": [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}],
        "tool_choice": "required",
    },
    {
        **CHAT,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": PARAMETERS, "strict": True}},
    },
    {**CHAT, "messages": [{"role": "system", "content": "long " * 2000}, *CHAT["messages"]]},  # type: ignore[misc]
]
ASKS = [
    ASK,
    {**ASK, "max_output_tokens": 16},
    {**ASK, "max_output_tokens": 9_000, "instructions": "long " * 2000, "metadata": {"a": "b"}},
    {
        **ASK,
        "tools": [{"type": "function", "name": "look", "parameters": PARAMETERS, "strict": True}],
        "tool_choice": {"type": "function", "name": "look"},
    },
    {**ASK, "text": {"format": {"type": "json_schema", "name": "a", "schema": PARAMETERS, "strict": True}}},
]


@pytest.fixture(params=[0.0, 1.0], ids=["calm", "refusing"])
def provider(request: pytest.FixtureRequest) -> InProcess:
    """A provider in process, with or without refusals."""
    return InProcess(World(WorldOptions(chances=Chances(refusal=request.param))), OPENAI_HEADERS)


def frames(answer: Answered) -> Iterator[dict[str, Any]]:
    """The data of each server-sent event; a name must be its type."""
    for frame in answer.body.decode().split("\n\n")[:-1]:
        lines = frame.split("\n")
        data = lines[-1].removeprefix("data: ")
        if data != "[DONE]":
            event = json.loads(data)
            assert len(lines) == 1 or lines[0] == f"event: {event['type']}"
            yield event


@pytest.mark.parametrize("body", CHATS)
def test_chat(provider: InProcess, body: dict[str, Any]) -> None:
    answer = provider.ask("POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.body
    check(answer.json(), "CreateChatCompletionResponse")
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    events = list(frames(provider.ask("POST", "/v1/chat/completions", streamed)))
    assert events[-1]["usage"]
    for event in {json.dumps(event["choices"])[:60]: event for event in events}.values():
        check(event, "CreateChatCompletionStreamResponse")


@pytest.mark.parametrize("body", ASKS)
def test_responses(provider: InProcess, body: dict[str, Any]) -> None:
    answer = provider.ask("POST", "/v1/responses", body)
    assert answer.status == 200, answer.body
    check(answer.json(), "Response")
    events = {event["type"]: event for event in frames(provider.ask("POST", "/v1/responses", {**body, "stream": True}))}
    assert "response.created" in events
    for event in events.values():
        check(event, "ResponseStreamEvent")


def test_background_and_counting() -> None:
    provider = InProcess(headers=OPENAI_HEADERS)
    made = provider.ask("POST", "/v1/responses", {**ASK, "background": True}).json()
    check(made, "Response")
    stopped = provider.ask("POST", "/v1/responses", {**ASK, "background": True}).json()
    check(provider.ask("POST", f"/v1/responses/{stopped['id']}/cancel").json(), "Response")
    rule = {"on": "POST /v1/responses", "fault": "background_fails"}
    provider.ask("POST", "/_simulator/faults", rule)
    failing = provider.ask("POST", "/v1/responses", {**ASK, "background": True}).json()
    provider.advance(86_400)
    for name, status in ((made["id"], "incomplete"), (stopped["id"], "cancelled"), (failing["id"], "failed")):
        whole = provider.ask("GET", f"/v1/responses/{name}").json()
        assert whole["status"] in (status, "completed")
        check(whole, "Response")
    counted = {name: ASK[name] for name in ("model", "input")}
    check(provider.ask("POST", "/v1/responses/input_tokens", counted).json(), "TokenCountsResource")


def test_models() -> None:
    provider = InProcess(headers=OPENAI_HEADERS)
    models = provider.ask("GET", "/v1/models").json()
    check(models, "ListModelsResponse")
    for model in models["data"]:
        check(provider.ask("GET", f"/v1/models/{model['id']}").json(), "Model")


def submit(provider: InProcess, bodies: list[dict[str, Any]], **more: Any) -> str:
    rows = [
        {"custom_id": f"i{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for n, body in enumerate(bodies)
    ]
    uploaded = provider.upload("\n".join(map(json.dumps, rows)).encode()).json()
    check(uploaded, "OpenAIFile")
    made = provider.ask(
        "POST",
        "/v1/batches",
        {
            "input_file_id": uploaded["id"],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            **more,
        },
    ).json()
    check(made, "Batch")
    return str(made["id"])


def test_files_and_batches(provider: InProcess) -> None:
    bodies = [body for body in CHATS if body["model"] == MODEL]
    completed = submit(provider, [*bodies, {**CHAT, "colour": "red"}], metadata={"token": "x"})
    failed = submit(provider, [CHAT, {"model": MODEL}])
    provider.ask("POST", "/_simulator/faults", {"on": "POST /v1/batches", "fault": "stuck"})
    expired, cancelled = submit(provider, bodies), submit(provider, bodies)
    provider.ask("DELETE", "/_simulator/faults")
    provider.advance(60)
    check(provider.ask("POST", f"/v1/batches/{cancelled}/cancel").json(), "Batch")
    provider.advance(86_400)
    seen = {}
    for name in (completed, failed, expired, cancelled):
        batch = provider.ask("GET", f"/v1/batches/{name}").json()
        check(batch, "Batch")
        seen[batch["status"]] = batch
    assert set(seen) == {"completed", "failed", "expired", "cancelled"}
    check(provider.ask("GET", "/v1/batches").json(), "ListBatchesResponse")
    output = provider.ask("GET", f"/v1/files/{seen['completed']['output_file_id']}/content").lines()
    for line in output:
        check(line["response"]["body"], "CreateChatCompletionResponse")
    (bad,) = provider.ask("GET", f"/v1/files/{seen['completed']['error_file_id']}/content").lines()
    check(bad["response"]["body"], "ErrorResponse")
    for file in provider.ask("GET", "/v1/files").json()["data"]:
        check(file, "OpenAIFile")
    check(provider.ask("GET", "/v1/files").json(), "ListFilesResponse")
    gone = seen["completed"]["output_file_id"]
    check(provider.ask("DELETE", f"/v1/files/{gone}").json(), "DeleteFileResponse")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_errors(status: int) -> None:
    provider = InProcess(headers=OPENAI_HEADERS)
    rule = {"on": "POST /v1/chat/completions", "fault": "status", "status": status}
    provider.ask("POST", "/_simulator/faults", rule)
    answer = provider.ask("POST", "/v1/chat/completions", CHAT)
    assert answer.status == status
    check(answer.json(), "ErrorResponse")
