"""Recorded traffic of the real service, read by our codec: every reply becomes what it was, every bound holds.

A few recordings lie in ``samples``; the larger corpus is read where it is present and left out at collection otherwise.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest

from lowtide.batch import BatchEvent, BatchView
from lowtide.catalog import PACKAGED, Lane, TokenizerFamily
from lowtide.catalog.parse import parse
from lowtide.estimate import estimate_input
from lowtide.providers import ApiError, BatchPage, BodyFacts, CallParts
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.result import Retry, Succeeded
from lowtide.usage import Usage

SAMPLES = Path(__file__).parent / "samples"
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "data"
CODEC = AnthropicCodec()
CATALOG, _ = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})


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
    sessions = [
        *sorted(SAMPLES.glob("anthropic-*.json")),
        *sorted((CORPUS / "api" / "sessions").glob("anthropic-*.json")),
    ]
    for session in sessions:
        for number, recorded in enumerate(json.loads(session.read_text(encoding="utf-8"))["exchanges"]):
            asked, reply = recorded["request"], recorded["response"]
            address, body = urlsplit(asked["url"]), reply["body"] or {}
            yield Exchange(
                name=f"{session.stem[:60]}-{number}",
                method=asked["method"],
                path=address.path + (f"?{address.query}" if address.query and "beta=" not in address.query else ""),
                asked=(asked["body"] or {}).get("json"),
                status=reply["status"],
                headers={key.lower(): value for key, value in reply["headers"].items()},
                body=json.dumps(body["json"]).encode() if "json" in body else body.get("text", "").encode(),
                answered=body.get("json"),
            )


EVERY = list(exchanges())
STREAMS = [one for one in EVERY if one.body.startswith(b"event:")]
FILES = [one for one in EVERY if one.path.startswith("/v1/files")]
COUNTS = [one for one in EVERY if one.path.endswith("/count_tokens")]
REFUSED = [one for one in EVERY if one.status >= 400]
BATCHES = [one for one in EVERY if one.path.startswith("/v1/messages/batches") and one.status == 200]
MESSAGES = [one for one in EVERY if one.path == "/v1/messages" and one.status == 200 and one not in STREAMS]


def cases(chosen: list[Exchange]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recorded", chosen, ids=[one.name for one in chosen])


def test_every_recorded_exchange_is_of_a_known_sort() -> None:
    assert len(EVERY) >= 10
    known = [*STREAMS, *FILES, *COUNTS, *REFUSED, *BATCHES, *MESSAGES]
    assert sorted(one.name for one in known) == sorted(one.name for one in EVERY)


def disjoint(usage: Usage) -> dict[str, int]:
    """Our counts in the service's own terms."""
    return {
        "input_tokens": usage.uncached_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }


@cases(MESSAGES)
def test_messages(recorded: Exchange) -> None:
    found = CODEC.decode_message(status=200, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, Succeeded), found
    answer = recorded.answered
    assert found.message == recorded.body
    assert found.text == "".join(block["text"] for block in answer["content"] if block["type"] == "text")
    assert (found.model, found.stop_reason) == (answer["model"], answer["stop_reason"])
    counts = disjoint(found.usage)
    assert counts == {name: answer["usage"].get(name) or 0 for name in counts}
    assert found.usage.service_tier == answer["usage"].get("service_tier")
    model = CATALOG.model("anthropic", found.model)
    assert model is not None, found.model


@cases(REFUSED)
def test_refusals(recorded: Exchange) -> None:
    found = CODEC.decode_message(status=recorded.status, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, ApiError)
    assert found.code == recorded.answered["error"]["type"]
    assert found.message == recorded.answered["error"]["message"]
    assert found.refusal.retry is Retry.NEVER
    assert found.request_id


@cases([one for one in BATCHES if one.answered is not None and "data" not in one.answered])
def test_batches(recorded: Exchange) -> None:
    found = CODEC.decode_batch(status=200, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, BatchView), found
    answer = recorded.answered
    assert found.provider_batch_id == answer["id"]
    events = {"in_progress": BatchEvent.FOUND_RUNNING, "canceling": BatchEvent.FOUND_CANCELING}
    assert found.event is events.get(answer["processing_status"], BatchEvent.FOUND_ENDED)
    assert found.counts.total == sum(answer["request_counts"].values())
    assert (found.results_paths == ()) == (answer["results_url"] is None)
    assert found.expires_at is not None
    assert found.expires_at - found.created_at == timedelta(days=1)
    assert call_of(recorded, answer["id"]) == (recorded.method, recorded.path)


def call_of(recorded: Exchange, provider_batch_id: str) -> tuple[str, str]:
    """The call that we would have made there."""
    if recorded.path.endswith("/cancel"):
        call: CallParts = CODEC.cancel_call(provider_batch_id)
    elif recorded.method == "POST":
        call = CODEC.lines_call()
    else:
        call = CODEC.retrieve_call(provider_batch_id)
    return call.method, call.path


@cases([one for one in BATCHES if one.answered is not None and "data" in one.answered])
def test_pages_of_batches(recorded: Exchange) -> None:
    found = CODEC.decode_page(status=200, headers=recorded.headers, body=recorded.body)
    assert isinstance(found, BatchPage), found
    assert [batch.provider_batch_id for batch in found.batches] == [one["id"] for one in recorded.answered["data"]]
    assert found.next_after == (recorded.answered["last_id"] if recorded.answered["has_more"] else None)


@cases([one for one in BATCHES if one.answered is None])
def test_results_of_a_batch(recorded: Exchange) -> None:
    lines = recorded.body.splitlines()
    assert len(lines) == 2
    for line in lines:
        original = json.loads(line)
        found = CODEC.decode_result_line(line)
        assert found.custom_id == original["custom_id"]
        assert isinstance(found.outcome, Succeeded)
        assert found.outcome.message in line
        assert found.outcome.usage.service_tier == "batch"
        assert (
            CATALOG.sheet("anthropic", found.outcome.model, Lane.BATCH, date(2026, 8, 19)).cost(found.outcome.usage) > 0
        )
    assert CODEC.results_call(recorded.path).path == recorded.path


# ------------------------------------------------------------------ bodies and estimates


def counted_tokens(answered: dict[str, Any]) -> int:
    usage = answered.get("usage", answered)
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(usage.get(name) or 0 for name in names)


COUNTED = [one for one in (*MESSAGES, *COUNTS) if one.asked is not None]


def facts_of(recorded: Exchange) -> BodyFacts | tuple[str, ...]:
    asked = {name: value for name, value in recorded.asked.items() if name not in ("stream", "betas")}
    return CODEC.read_body(json.dumps({"max_tokens": 1} | asked).encode())


@cases(COUNTED)
def test_a_recorded_body_is_bounded_or_refused_for_its_server_tools(recorded: Exchange) -> None:
    facts = facts_of(recorded)
    if isinstance(facts, tuple):
        assert all(problem.startswith("unbounded server tools are refused") for problem in facts), facts
        return
    model = CATALOG.model("anthropic", facts.model)
    assert model is not None
    estimate = estimate_input(facts, model)
    assert counted_tokens(recorded.answered) <= estimate.ceiling
    if not (facts.images or facts.input_unbounded):
        assert estimate.likely <= 3 * counted_tokens(recorded.answered)


def test_the_local_estimate_errs_as_its_docstring_says() -> None:
    errors: dict[TokenizerFamily, list[float]] = {family: [] for family in TokenizerFamily}
    for recorded in COUNTED:
        facts = facts_of(recorded)
        if isinstance(facts, tuple) or facts.images or facts.input_unbounded:
            continue
        model = CATALOG.model("anthropic", facts.model)
        assert model is not None
        tokens = counted_tokens(recorded.answered)
        errors[model.tokenizer].append(abs(estimate_input(facts, model).likely - tokens) / tokens)
    assert median(errors[TokenizerFamily.CLAUDE_3]) < 1
    if (CORPUS / "api" / "sessions").exists():
        assert median(errors[TokenizerFamily.CLAUDE_3]) < 0.26
        assert median(errors[TokenizerFamily.CLAUDE_4_7]) < 0.22


# ------------------------------------------------------------------ usage and prices


def usage_bodies() -> list[dict[str, Any]]:
    corpus = CORPUS / "costs" / "usage-bodies.jsonl"
    lines = corpus.read_text(encoding="utf-8").splitlines() if corpus.exists() else []
    found = [one for one in map(json.loads, lines) if one["provider"] == "anthropic"]
    # One was recorded through a server of another dialect.
    return [one for one in found if "input_tokens" in one["body"]["usage"]]


USAGES = usage_bodies()

if USAGES:

    @pytest.mark.parametrize("body", USAGES, ids=[f"{one['model']}-{number}" for number, one in enumerate(USAGES)])
    def test_real_usage_costs_what_another_calculator_says(body: dict[str, Any]) -> None:
        message = {"content": [], "stop_reason": "end_turn"} | body["body"]
        found = CODEC.decode_message(status=200, headers={}, body=json.dumps(message).encode())
        assert isinstance(found, Succeeded), found
        model = CATALOG.model("anthropic", found.model)
        assert model is not None
        day = min(date(2026, 8, 21), (model.retires_on or date.max) - timedelta(days=1))
        theirs = body["genai_prices"][0]
        cost = CATALOG.sheet("anthropic", found.model, Lane.REALTIME, day).cost(found.usage)
        searches = Fraction(found.usage.web_searches, 100)  # the other calculator leaves them out
        expected = Fraction(Decimal(theirs["input_price_usd"])) + Fraction(Decimal(theirs["output_price_usd"]))
        assert cost - searches == expected
        assert found.usage.input_tokens == theirs["usage"].get("input_tokens", 0)
        assert found.usage.web_searches == theirs["usage"].get("web_searches", 0)
