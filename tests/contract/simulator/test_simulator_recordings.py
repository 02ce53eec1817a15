"""Recorded traffic of the real service, replayed as requests; the shape of our answers is compared with the recorded ones.

A shape is the set of keys and the kinds of values, compared recursively. What may differ stands in ``NOT_OURS`` (the
service's own features that the simulator does not imitate), ``MORE`` (fields that newer answers have) and ``LESS``.
"""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from lowtide_simulator.in_process import InProcess
from lowtide_simulator.models import BY_NAME
from lowtide_simulator.world import World, WorldOptions

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "api" / "sessions"
SESSIONS = sorted(RECORDINGS.glob("anthropic-*.json"))

NOT_OURS = {
    "/v1/files": "the Files API is not imitated",
}
MORE = {
    "cache_creation": "split by lifetime since 2025; older answers have only the sum",
    "output_tokens_details": "since 2026-05-27",
    "inference_geo": "since 2026-02",
    "service_tier": "since 2025-05",
    "stop_details": "since 2026; null in most answers",
    "cache_creation_input_tokens": "answers of 2024 have it only with the caching beta",
    "cache_read_input_tokens": "answers of 2024 have it only with the caching beta",
    "input_tokens": "message_delta repeats the prompt's counts since 2025",
    "caller": "who calls a tool is told since 2026",
    "request_id": "error bodies name the request since 2025-06",
}
LESS = {
    "container": "only with code execution, which is not imitated",
    "context_management": "only with the context-management beta, which is taken and not acted on",
    "iterations": "only with task budgets, which are taken and not acted on",
    "server_tool_use": "only with the provider's own tools, which are taken and never used",
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
        return blocks(theirs, ours, path) if path.endswith("content") else entries(theirs, ours, path)
    if not isinstance(theirs, dict) or path.endswith(".input"):
        return []
    found = [f"{path}.{name}: missing" for name in theirs.keys() - ours.keys() - LESS.keys()]
    found += [f"{path}.{name}: not recorded" for name in ours.keys() - theirs.keys() - MORE.keys()]
    for name in theirs.keys() & ours.keys():
        found += differences(theirs[name], ours[name], f"{path}.{name}")
    return found


def entries(theirs: list[Any], ours: list[Any], path: str) -> list[str]:
    """Lists of one kind of thing: the first of each."""
    return differences(theirs[0], ours[0], f"{path}[0]") if theirs and ours else []


def blocks(theirs: list[Any], ours: list[Any], path: str) -> list[str]:
    """Content: blocks of the same type have the same shape; which blocks come is up to the model."""
    recorded = {block["type"]: block for block in theirs}
    found = []
    for block in ours:
        if block["type"] in recorded:
            found += differences(recorded[block["type"]], block, f"{path}.{block['type']}")
    return found


def moment(exchange: dict[str, Any]) -> datetime:
    """When it was recorded: its Date header, or else a day on which the model was sold."""
    date = exchange["response"]["headers"].get("date")
    if date:
        return parsedate_to_datetime(date)
    name = ((exchange["request"]["body"] or {}).get("json") or {}).get("model", "")
    model = BY_NAME.get(name)
    launched = model.launched_on if model else datetime(2026, 8, 1, tzinfo=UTC).date()
    return datetime(launched.year, launched.month, launched.day, 12, tzinfo=UTC)


class Replay:
    """One session against one provider, with recorded batch ids mapped to ours."""

    def __init__(self, session: dict[str, Any]) -> None:
        self.exchanges = session["exchanges"]
        self.provider = InProcess(World(WorldOptions(start=min(map(moment, self.exchanges)))))
        self.batches: dict[str, str] = {}

    def ours(self, exchange: dict[str, Any]) -> Any:
        """Our answer to a recorded request."""
        request, response = exchange["request"], exchange["response"]
        path = request["url"].removeprefix("https://api.anthropic.com")
        path = re.sub("msgbatch_[A-Za-z0-9]+", lambda found: self.batch(found[0]), path)
        recorded = response["body"].get("json") if response["body"] else None
        if isinstance(recorded, dict) and recorded.get("processing_status") == "ended":
            self.provider.advance(86_400)
        headers = {"anthropic-version": request["headers"].get("anthropic-version", "2023-06-01")}
        headers["anthropic-beta"] = request["headers"].get("anthropic-beta")
        if response["status"] == 401:
            headers["x-api-key"] = "sk-bad-key"
        body = (request["body"] or {}).get("json")
        answer = self.provider.ask(request["method"], path, body, headers)
        assert answer.status == response["status"], answer.body[:600]
        assert answer.headers["content-type"].split(";")[0] == response["headers"]["content-type"].split(";")[0]
        if isinstance(recorded, dict) and recorded.get("type") == "message_batch" and request["method"] == "POST":
            self.batches.setdefault(recorded["id"], answer.json()["id"])
        return answer

    def batch(self, recorded: str) -> str:
        """Our batch for a recorded id; one that the session did not create is created first."""
        if recorded not in self.batches:
            params = {
                "model": "claude-3-5-haiku-20241022",
                "max_tokens": 9,
                "messages": [{"role": "user", "content": "x"}],
            }
            requests = {"requests": [{"custom_id": name, "params": params} for name in "ab"]}
            self.batches[recorded] = self.provider.ask("POST", "/v1/messages/batches", requests).json()["id"]
        return self.batches[recorded]


def bodies(body: dict[str, Any] | None, raw: bytes) -> tuple[list[Any], list[Any]]:
    """Recorded and our bodies as lists of objects: one, the events of a stream by type, or the lines of a file."""
    if not body:
        return [], []
    if "json" in body:
        return [body["json"]], [json.loads(raw)]
    recorded, ours = body["text"], raw.decode()
    if recorded.startswith("event:"):
        theirs, mine = (
            {
                event["type"] + str(event.get("delta", {}).get("type", "")): event
                for event in map(json.loads, re.findall("^data: (.*)$", text, re.MULTILINE))
            }
            for text in (recorded, ours)
        )
        shared = [name for name in theirs if name in mine]
        assert {"message_start", "message_delta", "message_stop"} <= set(shared)
        return [theirs[name] for name in shared], [mine[name] for name in shared]
    return sorted(map(json.loads, recorded.splitlines()), key=str), sorted(map(json.loads, ours.splitlines()), key=str)


def same_refusal(recorded: dict[str, Any], ours: dict[str, Any]) -> bool:
    """A refusal says the same in the same words, ids aside."""
    theirs, mine = (json.dumps(body["error"], sort_keys=True) for body in (recorded, ours))
    return re.sub("msgbatch_[A-Za-z0-9]+", "ID", theirs) == re.sub("msgbatch_[A-Za-z0-9]+", "ID", mine)


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem[:80])
def test_a_recorded_session_gets_answers_of_the_same_shape(path: Path) -> None:
    replay = Replay(json.loads(path.read_text()))
    compared = 0
    for exchange in replay.exchanges:
        if any(name in exchange["request"]["url"] for name in NOT_OURS):
            continue
        answer = replay.ours(exchange)
        theirs, ours = bodies(exchange["response"]["body"], answer.body)
        assert len(theirs) == len(ours)
        for recorded, mine in zip(theirs, ours, strict=True):
            assert differences(recorded, mine) == []
            if recorded.get("type") == "error":
                assert same_refusal(recorded, mine)
            compared += 1
    assert compared or path.stem.count("batch")


def test_the_comparison_notices_a_missing_field_and_a_wrong_kind() -> None:
    assert differences({"b": {"c": "x"}}, {"b": {}}) == [".b.c: missing"]
    assert differences({"a": 1}, {}) == [".a: missing"]
    assert differences({}, {"zzz": 1}) == [".zzz: not recorded"]
    assert differences({"a": 1}, {"a": "1"}) == [".a: number recorded, text from us"]
