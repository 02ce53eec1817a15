"""Recorded traffic of OpenAI's service, replayed as requests; the shape of our answers is compared with the recorded ones.

A shape is the set of keys and the kinds of values, compared recursively. What may differ stands in ``NOT_OURS`` (what the
simulator does not imitate), ``MORE`` (fields that newer answers have) and ``LESS``.
"""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from lowtide_simulator.in_process import OPENAI_HEADERS, InProcess
from lowtide_simulator.openai.models import BY_NAME
from lowtide_simulator.world import Turnaround, World, WorldOptions

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "api" / "sessions"

NOT_OURS = {
    "test_chat_completions_with_audio_input": "audio models",
    "chat_audio_models_openai_gpt-audio-mini": "audio models",
    "url-audio-openai_chat": "audio inside a tool's answer is refused there",
    "embeddings": "the Embeddings API",
    "test_openai_web_search_tool.json": "search models",
    "usage-rubyopenai": "the organization's usage API",
    "curator-basic_completion": "the recorded request has no model",
    "curator-basic_multimodal": "the recorded request has no model",
    "response_with_mixed_prompt_url_preserved": "stored prompts",
    "previous_response_id": "the earlier responses are not in the recording",
    "file_delete": "the file is not in the recording",
    "file_download": "the file is not in the recording",
    "files_content": "the file is not in the recording",
    "files_delete_retrieve": "the file is not in the recording",
    "gpt-3_5-turbo_streamed_chat_with_error_response": "the recording is a made-up 500",
    "handles_context_length_exceeded": "the recorded request has had its text taken out",
    "starting_after": "streaming a stored response again",
    "background_mode_streaming_continuation": "streaming a stored response again",
    "chat_completion_image_input": "gpt-4-vision-preview, shut down in 2024",
    "openai_chat_completions_post": "functions and function_call, the forerunner of tools",
    "mcp_server_tool": "the provider's own tools",
}
MORE = {
    "audio_tokens": "details of usage are newer than the oldest recordings",
    "prompt_tokens_details": "details of usage are newer than the oldest recordings",
    "completion_tokens_details": "details of usage are newer than the oldest recordings",
    "cache_write_tokens": "since GPT-5.6",
    "refusal": "since 2024-08",
    "annotations": "since 2025-03",
    "logprobs": "absent in answers of reasoning models",
    "service_tier": "absent in older answers",
    "name": "function_call_arguments.done names the function since 2025-11",
    "obfuscation": "since 2025-07",
    "expires_at": "files expire since 2025",
    "model": "batches name their model since 2025-09",
    "usage": "batches and chunks have it since 2025-09",
    "background": "since 2025-05",
    "billing": "since 2025-10",
    "completed_at": "since 2026-01",
    "content": "reasoning items have it since 2025-08",
    "context": "since 2026",
    "frequency_penalty": "since 2025-12",
    "max_tool_calls": "since 2025-06",
    "mode": "since 2026",
    "moderation": "since 2026",
    "output_schema": "since 2026-07",
    "phase": "since 2026-05",
    "presence_penalty": "since 2025-12",
    "prompt_cache_key": "since 2025-06",
    "prompt_cache_options": "since GPT-5.6's release",
    "prompt_cache_retention": "since 2025-11",
    "safety_identifier": "since 2025-06",
    "tool_usage": "since 2026-07",
    "summary": "since 2025-04",
    "tool_calls": "whether a tool is called is up to the model",
    "top_logprobs": "since 2025-06",
    "verbosity": "since 2025-08",
    "input_tokens_details": "batches and responses have it since 2025",
}
LESS = {
    "encrypted_content": "reasoning is not encrypted here because there is none",
    "namespace": "only with the provider's own tool search",
    "system_fingerprint": "null, or absent",
    "tools": "the provider's own tools are echoed as they came",
    "x_groq": "another server's",
}


def kind(value: Any) -> str:
    """The kind of a JSON value; null fits anything."""
    return {bool: "truth", int: "number", float: "number", str: "text", list: "list", dict: "object"}.get(
        type(value), "null"
    )


def differences(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Where the shapes differ, exceptions left out."""
    if theirs is None or ours is None:
        return []
    if kind(theirs) != kind(ours):
        return [f"{path}: {kind(theirs)} recorded, {kind(ours)} from us"]
    if isinstance(theirs, list):
        return members(theirs, ours, path)
    if not isinstance(theirs, dict) or path.endswith((".schema", ".parameters", ".metadata", ".tools")):
        return []
    found = [
        f"{path}.{name}: missing" for name in theirs.keys() - ours.keys() - LESS.keys() if theirs[name] is not None
    ]
    found += [f"{path}.{name}: not recorded" for name in ours.keys() - theirs.keys() - MORE.keys()]
    for name in theirs.keys() & ours.keys():
        found += differences(theirs[name], ours[name], f"{path}.{name}")
    return found


def members(theirs: list[Any], ours: list[Any], path: str) -> list[str]:
    """Lists: things of the same type have the same shape; which of them come is up to the model."""
    if path.endswith(".tools"):
        return []
    recorded = {thing.get("type") if isinstance(thing, dict) else None: thing for thing in theirs}
    found = []
    for thing in ours:
        name = thing.get("type") if isinstance(thing, dict) else None
        if name in recorded:
            found += differences(recorded[name], thing, f"{path}[{name or ''}]")
    return found


def moment(exchange: dict[str, Any]) -> datetime:
    """When it was recorded: its Date header, or else a day on which the model was sold."""
    date = exchange["response"]["headers"].get("date")
    if date:
        return parsedate_to_datetime(date)
    name = ((exchange["request"]["body"] or {}).get("json") or {}).get("model", "")
    model = BY_NAME.get(name)
    day = model.launched_on if model else datetime(2026, 1, 1, tzinfo=UTC).date()
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def path_of(exchange: dict[str, Any]) -> str:
    """The path of a recorded request."""
    return str(re.sub("^https://[^/]+", "", exchange["request"]["url"]))


class Replay:
    """One session against one provider, with recorded ids mapped to ours."""

    def __init__(self, session: dict[str, Any]) -> None:
        self.exchanges = session["exchanges"]
        options = WorldOptions(start=min(map(moment, self.exchanges)), turnaround=Turnaround.parse("60"))
        self.provider = InProcess(World(options), OPENAI_HEADERS)
        self.ids: dict[str, str] = {}

    def ours(self, exchange: dict[str, Any]) -> Any:
        """Our answer to a recorded request."""
        request, response = exchange["request"], exchange["response"]
        recorded = (response["body"] or {}).get("json") or {}
        path = re.sub("(batch|file|resp)[-_][A-Za-z0-9]+", lambda found: self.mine(found[0]), path_of(exchange))
        headers: dict[str, str | None] = {"authorization": "Bearer sk-bad-key"} if response["status"] == 401 else {}
        body: Any = (request["body"] or {}).get("json")
        if isinstance(body, dict) and "input_file_id" in body:
            body = {**body, "input_file_id": self.mine(body["input_file_id"])}
        if "text" in (request["body"] or {}):
            # A name without .jsonl was still taken in January 2025.
            body = request["body"]["text"].replace('filename="upload"', 'filename="upload.jsonl"').encode()
            headers["content-type"] = next(v for k, v in request["headers"].items() if k.lower() == "content-type")
        self.wait(recorded)
        answer = self.provider.ask(request["method"], path, body, headers)
        assert answer.status == response["status"], answer.body[:600]
        kinds = [found.get("content-type", "").split(";")[0] for found in (answer.headers, response["headers"])]
        assert kinds[1] in ("", kinds[0])
        if recorded and "id" in recorded:
            self.learn(recorded, answer.json())
        return answer

    def wait(self, recorded: dict[str, Any]) -> None:
        """Let time pass until what was recorded may have happened."""
        if recorded.get("status") in ("completed", "cancelled") and recorded.get("object") in ("batch", "response"):
            self.provider.advance(600)

    def learn(self, recorded: dict[str, Any], ours: dict[str, Any]) -> None:
        """Which of our ids stands for a recorded one."""
        for name in ("id", "output_file_id", "error_file_id"):
            if isinstance(recorded.get(name), str) and isinstance(ours.get(name), str):
                self.ids.setdefault(recorded[name], ours[name])

    def mine(self, recorded: str) -> str:
        """Our id for a recorded one; a batch that the session did not create is created first."""
        if recorded not in self.ids and recorded.startswith("batch_"):
            body = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            self.ids[recorded] = self.provider.ask("POST", "/v1/batches", body).json()["id"]
        return self.ids.get(recorded, recorded)


def bodies(body: dict[str, Any] | None, raw: bytes) -> list[tuple[Any, Any]]:
    """Recorded and our bodies in pairs: one, the events of a stream by type, or the lines of a file."""
    if not body:
        return []
    if "json" in body:
        return [(body["json"], json.loads(raw))]
    recorded, ours = body["text"], raw.decode()
    if "data: " not in recorded:
        return list(zip(map(json.loads, recorded.splitlines()), map(json.loads, ours.splitlines()), strict=False))
    theirs, mine = (by_type(text) for text in (recorded, ours))
    shared = [name for name in theirs if name in mine]
    assert shared
    return [(theirs[name], mine[name]) for name in shared]


def by_type(text: str) -> dict[str, Any]:
    """The events of a stream: by type, or chunks by what their delta brings."""
    found: dict[str, Any] = {}
    for event in map(json.loads, re.findall("^data: ({.*)$", text, re.MULTILINE)):
        choice = (event.get("choices") or [{}])[0]
        name = event.get("type") or str(sorted(n for n, v in choice.get("delta", {}).items() if v is not None))
        found.setdefault(name, event)
    return found


SESSIONS = [
    path for path in sorted(RECORDINGS.glob("openai-*.json")) if not any(name in path.name for name in NOT_OURS)
]


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem[:80])
def test_a_recorded_session_gets_answers_of_the_same_shape(path: Path) -> None:
    replay = Replay(json.loads(path.read_text()))
    for exchange in replay.exchanges:
        answer = replay.ours(exchange)
        for recorded, mine in bodies(exchange["response"]["body"], answer.body):
            assert differences(recorded, mine) == []
            if "error" in recorded and answer.status >= 400 and answer.status != 401:
                assert recorded["error"] == mine["error"]


def test_the_comparison_notices_a_missing_field_and_a_wrong_kind() -> None:
    assert differences({"b": {"c": "x"}}, {"b": {}}) == [".b.c: missing"]
    assert differences({"a": 1}, {}) == [".a: missing"]
    assert differences({}, {"zzz": 1}) == [".zzz: not recorded"]
    assert differences({"a": 1}, {"a": "1"}) == [".a: number recorded, text from us"]
    assert len(SESSIONS) >= 40
