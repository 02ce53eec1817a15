"""Recorded traffic of OpenAI's service, read by our codec: every reply becomes what it was, every bound holds.

A few recordings lie in ``samples``; the larger corpus is read where it is present and left out at collection otherwise.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai._models import construct_type  # how the SDK itself reads a reply
from openai.types import Batch
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from lowtide.batch import BatchEvent, BatchView
from lowtide.pacing import Measure
from lowtide.providers import ApiError, BodyFacts, CallParts, Queued
from lowtide.providers.openai import OpenAICodec
from lowtide.request import Endpoint
from lowtide.result import Billed, Errored, Retry, Succeeded

SAMPLES = Path(__file__).parent / "samples"
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "data"
CODEC = OpenAICodec(output_limit=lambda _model: 128_000)
ENDPOINTS = {"/v1/chat/completions": Endpoint.CHAT, "/v1/responses": Endpoint.RESPONSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded call and its reply."""

    name: str
    method: str
    path: str
    asked: Any
    status: int
    headers: dict[str, str]
    body: bytes
    answered: Any


def exchanges() -> Iterator[Exchange]:
    sessions = [*sorted(SAMPLES.glob("openai-*.json")), *sorted((CORPUS / "api" / "sessions").glob("openai-*.json"))]
    for session in sessions:
        for number, recorded in enumerate(json.loads(session.read_text(encoding="utf-8"))["exchanges"]):
            asked, reply = recorded["request"], recorded["response"]
            body = reply["body"] or {}
            yield Exchange(
                name=f"{session.stem[:60]}-{number}",
                method=asked["method"],
                path=urlsplit(asked["url"]).path,
                asked=(asked["body"] or {}).get("json"),
                status=reply["status"],
                headers={key.lower(): value for key, value in reply["headers"].items()},
                body=json.dumps(body["json"]).encode() if "json" in body else body.get("text", "").encode(),
                answered=body.get("json"),
            )


EVERY = list(exchanges())
STREAMS = [one for one in EVERY if one.body.startswith((b"event:", b"data:"))]
FILES = [one for one in EVERY if one.path.startswith("/v1/files") and not one.path.endswith("/content")]
CONTENTS = [one for one in EVERY if one.path.endswith("/content")]
RESULTS = [one for one in CONTENTS if one.body.startswith(b'{"id": "batch_req_')]
OTHERS = [one for one in EVERY if one.path.startswith(("/v1/embeddings", "/v1/organization"))]
COUNTS = [one for one in EVERY if one.path.endswith("/input_tokens")]
REFUSED = [one for one in EVERY if one.status >= 400 and one not in OTHERS]
BATCHES = [one for one in EVERY if one.path.startswith("/v1/batches")]
ASKED_AGAIN = [one for one in EVERY if one.path.startswith("/v1/responses/resp_") and one not in STREAMS]
PLAIN = [one for one in EVERY if one.path in ENDPOINTS and one.status == 200 and one not in STREAMS]
UNDER_WAY = [one for one in PLAIN if one.answered.get("status") in ("queued", "in_progress")]
MESSAGES = [one for one in PLAIN if one not in UNDER_WAY]


def cases(chosen: list[Exchange]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recorded", chosen, ids=[one.name for one in chosen])


def test_every_recorded_exchange_is_of_a_known_sort() -> None:
    assert len(EVERY) >= 30
    sorts = (FILES, CONTENTS, OTHERS, COUNTS, REFUSED, BATCHES, ASKED_AGAIN, UNDER_WAY, MESSAGES)
    plain = [one.name for sort in sorts for one in sort if one not in STREAMS]
    assert sorted([*plain, *(one.name for one in STREAMS)]) == sorted(one.name for one in EVERY)


# ------------------------------------------------------------------ answers

REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use"}


@cases(MESSAGES)
def test_answers(recorded: Exchange) -> None:
    found = CODEC.decode_message(status=200, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, Succeeded), found
    assert found.message == recorded.body
    answer = recorded.answered
    assert (found.model, found.usage.service_tier) == (answer["model"], answer.get("service_tier"))
    told = answer["usage"]
    names = ("prompt", "completion") if "choices" in answer else ("input", "output")
    assert found.usage.input_tokens == told[f"{names[0]}_tokens"]
    assert found.usage.output_tokens == told[f"{names[1]}_tokens"]
    assert found.usage.input_tokens + found.usage.output_tokens == told["total_tokens"]
    details = told.get(f"{names[0]}_tokens_details") or {}
    assert found.usage.cache_read_tokens == details.get("cached_tokens", 0)
    assert found.usage.cache_write_30m_tokens == details.get("cache_write_tokens", 0)
    thought = told.get(f"{names[1]}_tokens_details") or {}
    assert found.usage.reasoning_tokens == thought.get("reasoning_tokens", 0)
    if "choices" in answer:
        choice = answer["choices"][0]
        assert found.text == (choice["message"].get("content") or "")
        assert found.stop_reason == REASONS.get(choice.get("finish_reason"), "")
        theirs = construct_type(type_=ChatCompletion, value=answer)
        assert isinstance(theirs, ChatCompletion)
        assert found.text == (theirs.choices[0].message.content or "")
    else:
        response = construct_type(type_=Response, value=answer)
        assert isinstance(response, Response)
        assert found.text == response.output_text
        assert (found.stop_reason == "max_tokens") == (answer["status"] == "incomplete")


def test_the_samples_hold_a_cache_write_of_each_endpoint() -> None:
    written = {one.path for one in MESSAGES if b'"cache_write_tokens": 1217' in one.body}
    assert written == set(ENDPOINTS)


@cases(ASKED_AGAIN + UNDER_WAY)
def test_responses_made_in_the_background(recorded: Exchange) -> None:
    found = CODEC.decode_response(status=200, headers=recorded.headers, body=recorded.body)
    if recorded.answered["status"] in ("queued", "in_progress"):
        assert found == Queued(response_id=recorded.answered["id"])
        assert isinstance(CODEC.decode_message(status=200, headers={}, body=recorded.body), Errored)
    else:
        assert isinstance(found, Succeeded)
    if recorded.method == "GET":
        assert CODEC.response_call(recorded.answered["id"]).path == recorded.path


@cases(COUNTS)
def test_counts(recorded: Exchange) -> None:
    assert CODEC.decode_count(status=200, headers={}, body=recorded.body) == recorded.answered["input_tokens"]
    call = CODEC.count_call(json.dumps(recorded.asked).encode(), Endpoint.RESPONSES)
    assert call is not None
    assert (call.method, call.path) == ("POST", recorded.path)
    assert call.body is not None
    assert json.loads(call.body) == recorded.asked


# ------------------------------------------------------------------ refusals and limits


@cases(REFUSED)
def test_refusals(recorded: Exchange) -> None:
    found = CODEC.decode_message(status=recorded.status, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, ApiError)
    if recorded.answered is None:  # an edge said 500 and nothing else
        assert (found.refusal.retry, found.refusal.billed) == (Retry.AFTER_RECONCILE, Billed.MAYBE)
        return
    said = recorded.answered["error"]
    assert (found.code, found.message) == (said["code"] or said["type"], said["message"])
    assert (found.refusal.retry, found.refusal.billed) == (Retry.NEVER, Billed.NO)
    assert found.about_us == (recorded.status == 401)
    assert not found.spend_limit


def limited() -> list[Exchange]:
    return [one for one in EVERY if "x-ratelimit-limit-requests" in one.headers]


@cases(limited())
def test_rate_limits(recorded: Exchange) -> None:
    seen = {one.measure: one for one in CODEC.rates(recorded.headers)}
    assert set(seen) == {Measure.REQUESTS, Measure.TOKENS}
    assert seen[Measure.TOKENS].limit == int(recorded.headers["x-ratelimit-limit-tokens"])
    assert seen[Measure.TOKENS].remaining == int(recorded.headers["x-ratelimit-remaining-tokens"])
    # One of 10,000 came back in 6 ms, or in 8.64 s, and one of 100 in 7 min: limits of a minute and of a day.
    minute = recorded.headers["x-ratelimit-reset-requests"].endswith("ms")
    limit = int(recorded.headers["x-ratelimit-limit-requests"])
    assert seen[Measure.REQUESTS].limit == (limit if minute else None)
    now = CODEC.provider_time(recorded.headers)
    assert now is not None
    for one in seen.values():
        assert one.reset_at is not None
        assert now <= one.reset_at <= now + timedelta(hours=1)


# ------------------------------------------------------------------ batches

EVENTS = {
    "validating": BatchEvent.FOUND_VALIDATING,
    "in_progress": BatchEvent.FOUND_RUNNING,
    "finalizing": BatchEvent.FOUND_FINALIZING,
    "completed": BatchEvent.FOUND_ENDED,
    "cancelling": BatchEvent.FOUND_CANCELING,
}


@cases(BATCHES)
def test_batches(recorded: Exchange) -> None:
    found = CODEC.decode_batch(status=200, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, BatchView), found
    answer = Batch.model_validate(recorded.answered)
    assert (found.provider_batch_id, found.event) == (answer.id, EVENTS[answer.status])
    assert found.created_at == datetime.fromtimestamp(answer.created_at, UTC)
    assert found.expires_at == found.created_at + timedelta(days=1)
    assert answer.request_counts is not None
    assert (found.counts.total, found.counts.succeeded) == (
        answer.request_counts.total,
        answer.request_counts.completed,
    )
    assert (found.ended_at is not None) == (found.event is BatchEvent.FOUND_ENDED)
    expected = (f"/v1/files/{answer.output_file_id}/content",) if answer.status == "completed" else ()
    assert found.results_paths == expected
    call = call_of(recorded, answer)
    assert (call.method, call.path) == (recorded.method, recorded.path)


def call_of(recorded: Exchange, answer: Batch) -> CallParts:
    """The call that we would have made there."""
    if recorded.path.endswith("/cancel"):
        return CODEC.cancel_call(answer.id)
    if recorded.method == "POST":
        endpoint = ENDPOINTS[answer.endpoint]
        call = CODEC.create_call(file_id=answer.input_file_id, endpoint=endpoint, token="t-1")
        assert call.body is not None
        written = json.loads(call.body)
        assert written["metadata"] == {"lowtide": "t-1"}
        assert {name: written[name] for name in recorded.asked if name != "metadata"} == {
            name: value for name, value in recorded.asked.items() if name != "metadata"
        }
        return call
    return CODEC.retrieve_call(answer.id)


def test_a_recorded_upload_is_read() -> None:
    uploads = [one for one in FILES if one.method == "POST"]
    assert uploads
    for recorded in uploads:
        assert CODEC.decode_file(status=200, headers={}, body=recorded.body) == recorded.answered["id"]
        call = CODEC.lines_call()
        assert (call.method, call.path) == (recorded.method, recorded.path)


@cases(RESULTS)
def test_results_of_a_batch(recorded: Exchange) -> None:
    lines = recorded.body.splitlines()
    assert len(lines) >= 2
    tokens = []
    for line in lines:
        original = json.loads(line)
        found = CODEC.decode_result_line(line)
        assert found.custom_id == original["custom_id"]
        assert isinstance(found.outcome, Succeeded)
        assert found.outcome.message in line
        assert found.outcome.usage.service_tier == "default"
        told = original["response"]["body"]["usage"]
        assert found.outcome.usage.input_tokens + found.outcome.usage.output_tokens == told["total_tokens"]
        tokens.append((found.outcome.usage.input_tokens, found.outcome.usage.output_tokens))
    whole = [one.answered["usage"] for one in BATCHES if (one.answered.get("usage") or {}).get("total_tokens")]
    if whole and recorded.answered is None and b"resp_" in recorded.body:
        assert {(sum(into for into, _ in tokens), sum(out for _, out in tokens))} == {
            (one["input_tokens"], one["output_tokens"]) for one in whole
        }
    assert CODEC.results_call(recorded.path).path == recorded.path


# ------------------------------------------------------------------ bodies

BODIES = [one for one in (*MESSAGES, *UNDER_WAY) if one.asked is not None]
UNBOUNDED = ("unbounded server tools are refused", "audio is refused", "prompt is refused", "background is refused")


@cases(BODIES)
def test_a_recorded_body_is_bounded_or_refused_for_what_has_no_bound(recorded: Exchange) -> None:
    asked = {name: value for name, value in recorded.asked.items() if name not in ("stream", "stream_options")}
    facts = CODEC.read_body(json.dumps(asked).encode(), ENDPOINTS[recorded.path])
    if isinstance(facts, tuple):
        assert "prompt" in asked or all(problem.startswith(UNBOUNDED) for problem in facts), facts
        return
    assert isinstance(facts, BodyFacts)
    assert facts.model == asked["model"]
    told = recorded.answered["usage"]
    if not (facts.images or facts.input_unbounded):
        assert told.get("prompt_tokens", told.get("input_tokens")) <= facts.content_bytes
    assert told.get("completion_tokens", told.get("output_tokens")) <= facts.max_output_tokens
