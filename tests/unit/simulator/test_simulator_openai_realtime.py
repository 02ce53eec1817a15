"""Chat, responses, background windows and refusals of OpenAI's half, in process."""

import json
from typing import Any

import pytest

from lowtide_simulator.answers import Chances
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.in_process import HEADERS, OPENAI_HEADERS, Answered, InProcess
from lowtide_simulator.openai.provider import OpenAIOptions
from lowtide_simulator.world import World, WorldOptions

CHAT, ASK = "/v1/chat/completions", "/v1/responses"
BODY = {"model": "gpt-6-luna", "max_completion_tokens": 60, "messages": [{"role": "user", "content": "Hello"}]}
QUESTION = {"model": "gpt-6-luna", "max_output_tokens": 60, "input": "Hello"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def provider(**options: Any) -> InProcess:
    return InProcess(World(WorldOptions(**options)), OPENAI_HEADERS)


def fault(it: InProcess, on: str, kind: str, **fields: Any) -> None:
    assert it.ask("POST", "/_simulator/faults", {"on": on, "fault": kind, "times": 1, **fields}).status == 200


def error(answer: Answered) -> tuple[int, str | None, str | None]:
    body = answer.json()["error"]
    assert set(body) == {"message", "type", "param", "code"}
    return answer.status, body["code"], body["param"]


def bill(it: InProcess) -> list[dict[str, Any]]:
    return it.ask("GET", "/_simulator/bill/lines").lines()


def events(answer: Answered) -> list[dict[str, Any]]:
    found = [line.removeprefix("data: ") for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in found if line != "[DONE]"]


# ------------------------------------------------------------------ the door


def test_the_two_halves_share_an_address_and_a_bill_and_are_told_apart_by_the_version_header() -> None:
    it = provider()
    message = {"model": "claude-sonnet-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}
    assert it.ask("POST", "/v1/messages", message, HEADERS).json()["type"] == "message"
    assert it.ask("POST", CHAT, BODY).json()["object"] == "chat.completion"
    assert {line["provider"] for line in bill(it)} == {"anthropic", "openai"}
    assert it.ask("GET", "/v1/models").json()["object"] == "list"
    assert "first_id" in it.ask("GET", "/v1/models", headers=HEADERS).json()
    assert it.ask("GET", "/v1/models/gpt-5-mini").json()["shutdown_date"] == "2026-12-11"
    assert it.ask("GET", "/v1/models/claude-sonnet-5", headers=HEADERS).json()["type"] == "model"
    assert it.ask("GET", "/v1/nothing").json() == {
        "error": {"message": "Not found", "type": "invalid_request_error", "param": None, "code": None}
    }
    assert it.ask("GET", "/v1/nothing", headers={**HEADERS, "authorization": None}).json()["type"] == "error"
    assert error(it.ask("PUT", CHAT)) == (405, None, None)
    theirs = it.ask("GET", "/v1/files", headers={**HEADERS, "authorization": None})
    assert (theirs.status, theirs.json()["type"]) == (404, "error"), "Anthropic's Files API is not imitated"


def test_keys() -> None:
    it = provider(api_keys=frozenset({"sk-good"}))
    assert it.ask("POST", CHAT, BODY, {"authorization": "Bearer sk-good"}).status == 200
    assert it.ask("POST", CHAT, BODY, {"authorization": None, "api-key": "sk-good"}).status == 200
    assert error(it.ask("POST", CHAT, BODY, {"authorization": "Bearer sk-other"}))[:2] == (401, "invalid_api_key")
    assert error(it.ask("POST", CHAT, BODY, {"authorization": None})) == (401, None, None)


def test_every_reply_has_an_id_and_the_simulated_date() -> None:
    it = provider()
    it.advance(3_600)
    answers = [it.ask("POST", CHAT, BODY), it.ask("GET", "/v1/batches"), it.ask("POST", CHAT, b"{nope")]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert {answer.headers["date"] for answer in answers} == {"Sat, 21 Nov 2026 11:00:00 GMT"}
    assert it.ask("POST", CHAT, BODY, {"content-type": "text/plain"}).status == 400
    assert it.ask("POST", CHAT, b"[]").status == 400


def test_the_same_seed_and_calls_give_the_same_world() -> None:
    def life(seed: int) -> list[bytes]:
        it = InProcess(World(WorldOptions(seed=seed)), OPENAI_HEADERS)
        made = it.ask("POST", ASK, {**QUESTION, "background": True})
        it.advance(86_400)
        name = made.json()["id"]
        return [made.body, it.ask("GET", f"{ASK}/{name}").body, it.ask("GET", "/_simulator/bill").body]

    assert life(3) == life(3)
    assert life(3) != life(4)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"colour": "red"}, "unknown_parameter", "colour"),
        ({"messages": "Hello"}, "invalid_type", "messages"),
        ({"messages": [{"content": "x"}]}, "missing_required_parameter", "messages[0].role"),
        ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value", "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "invalid_value",
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "empty_array", "messages[0].content"),
        ({"model": 7}, "invalid_type", "model"),
        ({"model": ""}, "empty_string", "model"),
        ({"temperature": 2.5}, "decimal_above_max_value", "temperature"),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"max_completion_tokens": 128_001}, "invalid_value", "max_completion_tokens"),
        ({"max_tokens": 5}, "unsupported_parameter", "max_tokens"),
        ({"reasoning_effort": "enormous"}, "invalid_value", "reasoning_effort"),
        ({"service_tier": "slow"}, "invalid_value", "service_tier"),
        ({"tool_choice": "auto"}, "invalid_value", "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "invalid_value",
            "tool_choice",
        ),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
        ({"stop": ["a"] * 5}, "array_above_max_length", "stop"),
        ({"response_format": {"type": "json_schema"}}, "missing_required_parameter", "response_format.json_schema"),
        ({"safety_identifier": "x" * 129}, "string_above_max_length", "safety_identifier"),
    ],
)
def test_chat_refuses_in_openais_words_and_codes(change: dict[str, Any], code: str, param: str) -> None:
    it = provider()
    assert error(it.ask("POST", CHAT, {**BODY, **change})) == (400, code, param)
    assert bill(it) == []


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"colour": "red"}, "unknown_parameter", "colour"),
        ({"input": 7}, "invalid_type", "input"),
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": [{"content": "x"}]}, "missing_required_parameter", "input[0].type"),
        ({"max_output_tokens": 15}, "integer_below_min_value", "max_output_tokens"),
        ({"max_output_tokens": 128_001}, "integer_above_max_value", "max_output_tokens"),
        ({"model": "gpt-4o", "reasoning": {"effort": "low"}}, "unsupported_parameter", "reasoning.effort"),
        ({"model": "gpt-5", "reasoning": {"effort": "none"}}, "unsupported_value", "reasoning.effort"),
        ({"previous_response_id": "resp_x"}, "previous_response_not_found", "previous_response_id"),
        ({"background_options": {"completion_window": "8h"}}, "invalid_value", "background_options"),
        ({"background": True, "background_options": {"completion_window": "1h"}}, "invalid_value", "background_options.completion_window"),
        ({"input": "x" * 5_000_000}, "context_length_exceeded", "input"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, None, "input"),
    ],
)  # fmt: skip
def test_responses_refuse_in_openais_words_and_codes(change: dict[str, Any], code: str, param: str) -> None:
    it = provider()
    assert error(it.ask("POST", ASK, {**QUESTION, **change})) == (400, code, param)


@pytest.mark.parametrize("window", ["2h", "8h"])
@pytest.mark.parametrize("change", [{"stream": True}, {"service_tier": "flex"}, {"service_tier": "priority"}])
def test_windows_need_standard_processing_and_no_stream(window: str, change: dict[str, Any]) -> None:
    body = {**QUESTION, "background": True, "background_options": {"completion_window": window}}
    it = provider()
    assert error(it.ask("POST", ASK, {**body, **change})) == (
        400,
        "invalid_value",
        "background_options.completion_window",
    )
    assert it.ask("POST", ASK, {**body, "service_tier": "default"}).status == 200


def test_tool_calls_must_be_answered() -> None:
    it = provider()
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turns = [*BODY["messages"], {"role": "assistant", "tool_calls": [call]}]  # type: ignore[misc]
    tools = {"tools": [TOOL]}
    open_calls = it.ask("POST", CHAT, {**BODY, **tools, "messages": turns})
    assert "did not have response messages: c1" in open_calls.json()["error"]["message"]
    stray = it.ask("POST", CHAT, {**BODY, "messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]})
    assert stray.json()["error"]["param"] == "messages.[0].role"
    closed = {**BODY, **tools, "messages": [*turns, {"role": "tool", "tool_call_id": "c1", "content": "x"}]}
    assert it.ask("POST", CHAT, closed).json()["choices"][0]["message"]["content"]


def test_models_live_from_launch_to_shutdown() -> None:
    it = provider()
    for name, status in (("gpt-5-mini", 200), ("gpt-4-turbo", 404), ("gpt-7", 404)):
        assert it.ask("POST", CHAT, {**BODY, "model": name}).status == status
    assert error(it.ask("POST", ASK, {**QUESTION, "model": "gpt-7"})) == (400, "model_not_found", "model")
    it.advance(20 * 86_400)
    gone = it.ask("POST", CHAT, {**BODY, "model": "gpt-5-mini"})
    assert "has been deprecated" in gone.json()["error"]["message"]


# ------------------------------------------------------------------ answers


def test_a_reasoning_model_thinks_inside_its_output() -> None:
    it = provider()
    usage = it.ask("POST", CHAT, {**BODY, "model": "gpt-5", "max_completion_tokens": 400}).json()["usage"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"] <= 400
    calm = {**BODY, "model": "gpt-5.2", "max_completion_tokens": 400}
    assert it.ask("POST", CHAT, calm).json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    hard = {**calm, "reasoning_effort": "high"}
    assert it.ask("POST", CHAT, hard).json()["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_refusals_are_answers_that_cost_money() -> None:
    it = provider(chances=Chances(refusal=1.0))
    kinds = set()
    for number in range(20):
        body = {**BODY, "messages": [{"role": "user", "content": f"Hello {number}"}]}
        choice = it.ask("POST", CHAT, body).json()["choices"][0]
        kinds.add((choice["finish_reason"], choice["message"]["refusal"] is not None))
    assert kinds == {("stop", True), ("content_filter", False)}
    assert len(bill(it)) == 20
    whole = [it.ask("POST", ASK, {**QUESTION, "input": f"Hello {number}"}).json() for number in range(20)]
    assert {response["status"] for response in whole} == {"completed", "incomplete"}
    assert {(r["incomplete_details"] or {}).get("reason") for r in whole} == {None, "content_filter"}


def test_streams_say_what_the_whole_says() -> None:
    it = provider()
    for change in ({}, {"tools": [TOOL], "tool_choice": "required"}, {"n": 3}):
        whole = it.ask("POST", CHAT, {**BODY, **change}).json()
        chunks = events(it.ask("POST", CHAT, {**BODY, **change, "stream": True}))
        for choice in whole["choices"]:
            deltas = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
            assert "".join(d["delta"].get("content") or "" for d in deltas) == (choice["message"]["content"] or "")
            assert deltas[-1]["finish_reason"] == choice["finish_reason"]
        assert not any("usage" in chunk for chunk in chunks)
    whole = it.ask("POST", ASK, QUESTION).json()
    last = events(it.ask("POST", ASK, {**QUESTION, "stream": True}))[-1]
    assert last["type"] == f"response.{whole['status']}"
    assert last["response"]["usage"] == whole["usage"]
    assert last["response"]["output"][0]["content"] == whole["output"][0]["content"]


def test_a_stream_that_breaks_before_its_usage_is_billed_for_what_was_generated() -> None:
    it = provider()
    long = {**BODY, "max_completion_tokens": 2_000}
    whole = it.ask("POST", CHAT, long).json()["usage"]["completion_tokens"]
    fault(it, f"POST {CHAT}", "cut_stream", events=4)
    with pytest.raises(ConnectionCut):
        it.ask("POST", CHAT, {**long, "stream": True, "stream_options": {"include_usage": True}})
    assert b'"usage":{' not in it.received
    first, second = bill(it)
    assert 0 < second["usage"]["output_tokens"] < whole == first["usage"]["output_tokens"]
    assert first["prompt_digest"] == second["prompt_digest"], "a stream is the same work"


def test_a_prompt_has_never_more_tokens_than_its_body_has_bytes() -> None:
    it = provider()
    for content in ("x", "дом", "漢字" * 50, "a b c " * 99):
        for path, body in (
            (CHAT, {**BODY, "messages": [{"role": "user", "content": content}]}),
            (ASK, {**QUESTION, "input": content}),
        ):
            usage = it.ask("POST", path, body).json()["usage"]
            counted = usage.get("prompt_tokens") or usage["input_tokens"]
            assert 0 < counted <= len(json.dumps(body, ensure_ascii=False).encode())


# ------------------------------------------------------------------ tiers


def test_what_was_served_is_what_is_said_and_billed() -> None:
    it = provider()

    def ask(tier: str | None, **change: Any) -> str:
        body = {**BODY, **change} | ({} if tier is None else {"service_tier": tier})
        return str(it.ask("POST", CHAT, body).json()["service_tier"])

    assert [ask(tier) for tier in (None, "auto", "default", "flex", "fast", "priority")] == [
        "default", "default", "default", "flex", "priority", "priority"
    ]  # fmt: skip
    fault(it, f"POST {CHAT}", "tier_downgraded")
    assert ask("fast") == "default"
    assert ask("fast", model="gpt-5-nano", max_completion_tokens=20) == "default", "no fast price, so it is not sold"
    lanes = [line["lane"] for line in bill(it)]
    assert lanes == ["standard"] * 3 + ["flex", "fast", "fast", "standard", "standard"]
    nanos = [line["nanos"] for line in bill(it)]
    assert nanos[0] == 2 * nanos[3] == nanos[4] // 2 == nanos[6]


def test_flex_may_be_unavailable_or_not_sold_and_then_costs_nothing() -> None:
    it = provider()
    fault(it, f"POST {CHAT}", "flex_unavailable")
    answer = it.ask("POST", CHAT, {**BODY, "service_tier": "flex"})
    assert (answer.status, answer.json()["error"]["message"]) == (429, "Resource Unavailable")
    assert error(it.ask("POST", CHAT, {**BODY, "model": "gpt-6.2-sol", "service_tier": "flex"}))[0] == 400
    assert bill(it) == []


def test_a_project_may_have_a_tier_of_its_own() -> None:
    it = provider(openai=OpenAIOptions(default_tier="fast"))
    assert it.ask("POST", CHAT, BODY).json()["service_tier"] == "priority"


# ------------------------------------------------------------------ responses that can be asked for again


def test_a_stored_response_can_be_read_again_and_followed() -> None:
    it = provider()
    whole = it.ask("POST", ASK, QUESTION).json()
    assert it.ask("GET", f"{ASK}/{whole['id']}").json() == whole
    follow = it.ask("POST", ASK, {**QUESTION, "previous_response_id": whole["id"]}).json()
    assert follow["usage"]["input_tokens"] == whole["usage"]["input_tokens"] + whole["usage"]["total_tokens"]
    assert error(it.ask("POST", f"{ASK}/{whole['id']}/cancel"))[0] == 400
    assert it.ask("DELETE", f"{ASK}/{whole['id']}").json()["deleted"] is True
    assert it.ask("GET", f"{ASK}/{whole['id']}").status == 404
    private = it.ask("POST", ASK, {**QUESTION, "store": False}).json()
    assert it.ask("GET", f"{ASK}/{private['id']}").status == 404
    assert it.ask("GET", f"{ASK}/resp_nowhere").status == 404


def background(it: InProcess, window: str | None = None, **change: Any) -> str:
    options = {"background_options": {"completion_window": window}} if window else {}
    answer = it.ask("POST", ASK, {**QUESTION, "background": True, **options, **change})
    assert answer.status == 200, answer.body
    assert (answer.json()["status"], answer.json()["usage"]) == ("queued", None)
    return str(answer.json()["id"])


def test_background_responses_are_queued_then_worked_on_then_over_within_their_window() -> None:
    it = provider()
    seen: dict[str | None, list[str]] = {}
    names = {window: background(it, window) for window in (None, "soonest", "2h", "8h")}
    for _ in range(8 * 60):
        for window, name in names.items():
            status = it.ask("GET", f"{ASK}/{name}").json()["status"]
            if not seen.setdefault(window, []) or seen[window][-1] != status:
                seen[window].append(status)
        it.advance(60)
        if {found[-1] for found in seen.values()} <= {"incomplete", "completed"}:
            break
    assert all(found[-1] in ("incomplete", "completed") for found in seen.values())
    assert all(found[:1] == ["queued"] for found in seen.values())
    assert "in_progress" in seen["8h"]
    nanos = {line["lane"]: line["nanos"] for line in bill(it)}
    assert set(nanos) == {"standard", "2h", "8h"}
    assert (nanos["2h"] / nanos["standard"], nanos["8h"] / nanos["standard"]) == (0.7, 0.6)


def test_background_that_fails_is_lost_is_stuck_or_is_cancelled_costs_nothing() -> None:
    it = provider()
    fault(it, f"POST {ASK}", "background_fails")
    failing = background(it, "2h")
    fault(it, f"POST {ASK}", "background_stuck")
    stuck = background(it, "2h")
    cancelled = background(it, "2h")
    assert it.ask("POST", f"{ASK}/{cancelled}/cancel").json()["status"] == "cancelled"
    it.advance(7 * 86_400)
    assert [it.ask("GET", f"{ASK}/{name}").json()["status"] for name in (failing, stuck, cancelled)] == [
        "failed", "queued", "cancelled"
    ]  # fmt: skip
    assert it.ask("GET", f"{ASK}/{failing}").json()["error"]["code"] == "server_error"
    assert it.ask("POST", f"{ASK}/{failing}/cancel").json()["status"] == "failed", "what is over stays so"
    assert bill(it) == []
    fault(it, f"POST {ASK}", "background_lost")
    lost = background(it, "2h", metadata={"token": "t"})
    it.advance(7 * 86_400)
    assert it.ask("GET", f"{ASK}/{lost}").status == 404
    (line,) = bill(it)
    assert (line["lane"], line["metadata"]) == ("2h", {"token": "t"}), "the work was done all the same"


def test_a_lost_reply_leaves_a_background_response_that_is_billed() -> None:
    it = provider()
    fault(it, f"POST {ASK}", "lost_reply_after_commit")
    with pytest.raises(ConnectionCut):
        background(it, "8h")
    it.advance(86_400)
    assert [line["lane"] for line in bill(it)] == ["8h"]


def test_a_background_stream_is_made_at_once_and_billed_once() -> None:
    it = provider()
    found = events(it.ask("POST", ASK, {**QUESTION, "background": True, "stream": True}))
    assert [event["type"] for event in found[:3]] == ["response.created", "response.queued", "response.in_progress"]
    name = found[0]["response"]["id"]
    assert it.ask("GET", f"{ASK}/{name}").json()["usage"] == found[-1]["response"]["usage"]
    it.advance(86_400)
    assert len(bill(it)) == 1


def test_a_background_stream_that_breaks_is_finished_and_billed_whole() -> None:
    it = provider()
    fault(it, f"POST {ASK}", "cut_stream", events=5)
    with pytest.raises(ConnectionCut):
        it.ask("POST", ASK, {**QUESTION, "background": True, "stream": True})
    name = json.loads(it.received.split(b"data: ")[1].split(b"\n")[0])["response"]["id"]
    (line,) = bill(it)
    assert line["usage"]["output_tokens"] == it.ask("GET", f"{ASK}/{name}").json()["usage"]["output_tokens"]


def test_counting_is_free_and_says_what_a_response_would_use() -> None:
    it = provider()
    body = {
        **QUESTION,
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
    }
    counted = it.ask("POST", f"{ASK}/input_tokens", {k: body[k] for k in ("model", "instructions", "input")}).json()
    assert bill(it) == []
    assert counted == {
        "object": "response.input_tokens",
        "input_tokens": it.ask("POST", ASK, body).json()["usage"]["input_tokens"],
    }


def test_a_spent_quota_never_lifts_and_a_storm_does() -> None:
    it = provider()
    rule = {"on": f"POST {CHAT}", "fault": "spend_cap_429"}
    it.ask("POST", "/_simulator/faults", rule)
    for _ in range(3):
        assert error(it.ask("POST", CHAT, BODY))[:2] == (429, "insufficient_quota")
        it.advance(86_400)
    it.ask("DELETE", "/_simulator/faults")
    it.ask(
        "POST",
        "/_simulator/faults",
        {"on": "* " + CHAT, "fault": "status", "status": 429, "times": 5, "retry_after": 2},
    )
    answers = [it.ask("POST", CHAT, BODY) for _ in range(6)]
    assert [answer.status for answer in answers] == [429] * 5 + [200]
    assert (answers[0].headers["retry-after"], error(answers[0])[1]) == ("2", "rate_limit_exceeded")
    assert len(bill(it)) == 1


def test_tokens_are_counted_by_one_rule() -> None:
    it = provider()

    def counted(content: Any) -> int:
        body = {**BODY, "messages": [{"role": "user", "content": content}]}
        return int(it.ask("POST", CHAT, body).json()["usage"]["prompt_tokens"])

    assert counted("12345678") == 3 + 3 + 2, "3 a request, 3 a message, a token for 4 bytes"
    assert counted("123456789") == 3 + 3 + 3
    assert counted([{"type": "text", "text": "12345678"}] * 2) == 3 + 3 + 2 + 2
    assert counted("ж" * 4) == 3 + 3 + 2
    low = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}}
    assert counted([low]) == 3 + 3 + 85
    assert counted([{"type": "image_url", "image_url": "https://example.org/a.png"}]) == 3 + 3 + 1_536
