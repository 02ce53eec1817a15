"""Everything an official ``openai`` SDK can do against a simulator, in one script that any of its versions can run.

Run as ``python openai_sdk_script.py ADDRESS`` under the interpreter of an environment that has the SDK; prints one JSON object:
its version and the steps that were done. Any surprise is an assertion. Imports nothing but the SDK and the standard library.
"""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import sys
import threading
import time
import urllib.request
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai

ADDRESS = sys.argv[1]
VERSION = tuple(int(part) for part in openai.__version__.split(".")[:2])
MODEL = "gpt-6-luna"
OLD_MODEL = "gpt-4o-mini"
HELLO = [{"role": "user", "content": "Say hello to the harbour."}]
PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["title", "count"],
    "additionalProperties": False,
}
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def admin(method, path, body=None):
    """Ask an administrative endpoint."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{ADDRESS}/_simulator{path}", data=raw, method=method)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read())


def bill_lines():
    """Every line of the bill."""
    with urllib.request.urlopen(f"{ADDRESS}/_simulator/bill/lines?limit=100000", timeout=20) as reply:
        return [json.loads(line) for line in reply.read().splitlines()]


@cache
def client(**options):
    """A client of this SDK."""
    return openai.OpenAI(**{"api_key": "sk-simulated", "base_url": f"{ADDRESS}/v1", "max_retries": 0, **options})


def raises(kind, act, status=None):
    """The error that ``act`` raises."""
    caught = None
    try:
        act()
    except kind as error:
        caught = error
    assert caught is not None, f"{kind.__name__} was not raised"
    assert status is None or caught.status_code == status, caught
    return caught


def fault(**rule):
    """Script one fault for the next matching request."""
    admin("POST", "/faults", {"times": 1, **rule})


def advance(seconds):
    """Move the clock."""
    admin("POST", "/clock/advance", {"seconds": seconds})


def lines(count, url="/v1/chat/completions", **more):
    """The lines of a batch file."""
    rows = []
    for index in range(count):
        body = {"model": MODEL, "max_completion_tokens": 60, "messages": [{"role": "user", "content": f"Say {index}"}]}
        if url == "/v1/responses":
            body = {"model": MODEL, "max_output_tokens": 60, "input": f"Say {index}"}
        rows.append({"custom_id": f"item-{index}", "method": "POST", "url": url, "body": {**body, **more}})
    return rows


def upload(rows, name="input.jsonl", **more):
    """A batch file."""
    raw = "\n".join(json.dumps(row) for row in rows).encode()
    return client().files.create(file=(name, io.BytesIO(raw)), purpose="batch", **more)


def submit(rows, endpoint="/v1/chat/completions", **more):
    """A batch of these lines."""
    return client().batches.create(input_file_id=upload(rows).id, endpoint=endpoint, completion_window="24h", **more)


def rows_of(file_id):
    """The lines of a result file by custom_id."""
    text = client().files.content(file_id).text
    return {row["custom_id"]: row for row in map(json.loads, text.splitlines())}


def step_chat():
    answer = client().chat.completions.create(model=MODEL, max_completion_tokens=200, messages=HELLO)
    assert answer.choices[0].message.content.startswith("[simulated]\nprompt-digest: ")
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer._request_id.startswith("req_")
    assert answer.service_tier == "default"
    assert 0 < answer.usage.completion_tokens <= 200
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    again = client().chat.completions.create(model=MODEL, max_completion_tokens=200, messages=HELLO)
    assert again.choices[0].message.content == answer.choices[0].message.content
    assert again.id != answer.id
    dated = client().chat.completions.create(model=OLD_MODEL, max_tokens=3, messages=HELLO)
    assert dated.model == "gpt-4o-mini-2024-07-18"
    assert dated.usage.completion_tokens <= 3
    assert dated.choices[0].finish_reason == "length"
    several = client().chat.completions.create(model=MODEL, max_completion_tokens=50, messages=HELLO, n=3)
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in several.choices}) == 3


def step_raw_response():
    raw = client().chat.completions.with_raw_response.create(model=MODEL, max_completion_tokens=10, messages=HELLO)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["date"].endswith("GMT")
    assert int(raw.headers["x-ratelimit-limit-requests"]) > 0
    assert raw.headers["x-ratelimit-reset-tokens"].endswith("s")


def step_chat_stream():
    plain = client().chat.completions.create(model=MODEL, max_completion_tokens=150, messages=HELLO)
    found = list(
        client().chat.completions.create(
            model=MODEL, max_completion_tokens=150, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)
    assert text == plain.choices[0].message.content
    assert found[-1].choices == []
    assert found[-1].usage == plain.usage
    assert all(chunk.usage is None for chunk in found[:-1])
    bare = list(client().chat.completions.create(model=MODEL, max_completion_tokens=50, messages=HELLO, stream=True))
    assert all(chunk.usage is None for chunk in bare)
    assert bare[-1].choices[0].finish_reason


def step_chat_stream_breaks():
    before = len(bill_lines())
    fault(on="POST /v1/chat/completions", fault="cut_stream", events=4)
    seen = []
    broken = raises(
        Exception,
        lambda: seen.extend(
            client().chat.completions.create(
                model=MODEL,
                max_completion_tokens=300,
                messages=HELLO,
                stream=True,
                stream_options={"include_usage": True},
            )
        ),
    )
    assert broken
    assert all(chunk.usage is None for chunk in seen), "the stream broke before its usage"
    assert len(bill_lines()) == before + 1, "what was generated is billed all the same"
    fault(on="POST /v1/chat/completions", fault="sse_error_after_200", events=3)
    error = raises(
        openai.APIError,
        lambda: list(
            client().chat.completions.create(model=MODEL, max_completion_tokens=300, messages=HELLO, stream=True)
        ),
    )
    assert "server had an error" in str(error)


def step_tools():
    tool = {"type": "function", "function": {"name": "get_tide", "parameters": PARAMETERS, "strict": True}}
    answer = client().chat.completions.create(
        model=MODEL, max_completion_tokens=300, messages=HELLO, tools=[tool], tool_choice="required"
    )
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert isinstance(json.loads(call.function.arguments)["place"], str)
    turn = [
        *HELLO,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "1.2 m"},
    ]
    final = client().chat.completions.create(model=MODEL, max_completion_tokens=300, messages=turn, tools=[tool])
    assert final.choices[0].message.content
    streamed = client().chat.completions.create(
        model=MODEL,
        max_completion_tokens=300,
        messages=HELLO,
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "get_tide"}},
        stream=True,
    )
    pieces = [d.function.arguments for c in streamed if c.choices for d in c.choices[0].delta.tool_calls or ()]
    assert isinstance(json.loads("".join(pieces))["place"], str)
    named = {"type": "function", "name": "get_tide", "parameters": PARAMETERS, "strict": True}
    response = client().responses.create(
        model=MODEL, max_output_tokens=300, input="Tide?", tools=[named], tool_choice="required"
    )
    item = response.output[-1]
    assert item.type == "function_call"
    follow = client().responses.create(
        model=MODEL,
        max_output_tokens=300,
        previous_response_id=response.id,
        input=[{"type": "function_call_output", "call_id": item.call_id, "output": "1.2 m"}],
        tools=[named],
    )
    assert follow.output_text.startswith("[simulated]")


def step_schema():
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA, "strict": True}}
    answer = client().chat.completions.create(
        model=MODEL, max_completion_tokens=300, messages=HELLO, response_format=form
    )
    assert set(json.loads(answer.choices[0].message.content)) == {"title", "count"}
    response = client().responses.create(
        model=MODEL,
        max_output_tokens=300,
        input="A thing",
        text={"format": {"type": "json_schema", "name": "thing", "schema": SCHEMA, "strict": True}},
    )
    assert isinstance(json.loads(response.output_text)["count"], int)
    free = client().chat.completions.create(
        model=OLD_MODEL, max_tokens=300, messages=HELLO, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(free.choices[0].message.content), dict)
    open_schema = {
        "type": "json_schema",
        "json_schema": {"name": "thing", "schema": {"type": "object"}, "strict": True},
    }
    error = raises(
        openai.BadRequestError,
        lambda: client().chat.completions.create(model=MODEL, messages=HELLO, response_format=open_schema),
    )
    assert "additionalProperties" in str(error)


def step_images():
    pixel = base64.b64encode(
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (640).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    ).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}}
    words = {"type": "text", "text": "What is it?"}
    plain = client().chat.completions.create(
        model=MODEL, max_completion_tokens=20, messages=[{"role": "user", "content": [words]}]
    )
    shown = client().chat.completions.create(
        model=MODEL, max_completion_tokens=20, messages=[{"role": "user", "content": [words, part]}]
    )
    assert shown.usage.prompt_tokens - plain.usage.prompt_tokens == 400, "20 by 20 patches of 32 pixels"


def step_responses():
    answer = client().responses.create(
        model="gpt-5-nano", max_output_tokens=400, input="Hello", instructions="Be brief."
    )
    assert answer.status in ("completed", "incomplete")
    assert answer.output_text.startswith("[simulated]\nprompt-digest: ")
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    assert answer.model == "gpt-5-nano-2025-08-07"
    assert client().responses.retrieve(answer.id).usage == answer.usage
    counted = client().responses.input_tokens.count(model="gpt-5-nano", input="Hello", instructions="Be brief.")
    assert counted.input_tokens == answer.usage.input_tokens
    short = client().responses.create(model=MODEL, max_output_tokens=16, input="Hello")
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    raises(openai.BadRequestError, lambda: client().responses.create(model=MODEL, max_output_tokens=15, input="Hello"))
    private = client().responses.create(model=MODEL, max_output_tokens=16, input="Hello", store=False)
    raises(openai.NotFoundError, lambda: client().responses.retrieve(private.id), 404)
    client().responses.delete(answer.id)
    raises(openai.NotFoundError, lambda: client().responses.retrieve(answer.id), 404)


def step_responses_stream():
    events = list(client().responses.create(model="gpt-5-nano", max_output_tokens=400, input="Hello", stream=True))
    names = [event.type for event in events]
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names[-1] in ("response.completed", "response.incomplete")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    assert events[-1].response.usage.total_tokens > 0
    fault(on="POST /v1/responses", fault="cut_stream", events=6)
    seen = []
    raises(
        Exception,
        lambda: seen.extend(client().responses.create(model=MODEL, max_output_tokens=400, input="Again", stream=True)),
    )
    assert client().responses.retrieve(seen[0].response.id).usage, "the usage can be read again"
    with client().responses.stream(model=MODEL, max_output_tokens=9000, input="Helper") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text.startswith("[simulated]")


def step_background():
    def begin(window):
        return client().responses.create(
            model=MODEL,
            max_output_tokens=100,
            input=f"Wait for {window}",
            background=True,
            extra_body={"background_options": {"completion_window": window}},
        )

    made = {window: begin(window) for window in ("soonest", "2h", "8h")}
    assert {response.status for response in made.values()} == {"queued"}
    assert {response.usage for response in made.values()} == {None}
    before = len(bill_lines())
    seen = set()
    for _ in range(20):
        advance(1500)
        seen |= {client().responses.retrieve(response.id).status for response in made.values()}
    assert "in_progress" in seen, seen
    for response in made.values():
        assert client().responses.retrieve(response.id).output_text.startswith("[simulated]")
    lanes = {line["lane"] for line in bill_lines()[before:]}
    assert lanes == {"standard", "2h", "8h"}
    one = begin("8h")
    assert client().responses.cancel(one.id).status == "cancelled"
    advance(86400)
    assert client().responses.retrieve(one.id).status == "cancelled"
    fault(on="POST /v1/responses", fault="background_fails")
    failing = begin("2h")
    advance(86400)
    failed = client().responses.retrieve(failing.id)
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    fault(on="POST /v1/responses", fault="background_lost")
    lost = begin("2h")
    raises(openai.NotFoundError, lambda: client().responses.retrieve(lost.id), 404)
    window = {"background_options": {"completion_window": "2h"}}
    for more in ({"stream": True}, {"service_tier": "flex"}, {"service_tier": "fast"}):
        body = {"model": MODEL, "input": "No", "background": True, "extra_body": window, **more}
        raises(openai.BadRequestError, lambda body=body: client().responses.create(**body))
    raises(openai.BadRequestError, lambda: client().responses.create(model=MODEL, input="No", extra_body=window))


def step_tiers():
    def ask(tier):
        return (
            client()
            .chat.completions.create(model=MODEL, max_completion_tokens=20, messages=HELLO, service_tier=tier)
            .service_tier
        )

    assert (ask("default"), ask("auto"), ask("flex"), ask("priority")) == ("default", "default", "flex", "priority")
    fault(on="POST /v1/chat/completions", fault="tier_downgraded")
    assert ask("priority") == "default"
    assert [line["lane"] for line in bill_lines()[-3:]] == ["flex", "fast", "standard"]
    before = len(bill_lines())
    fault(on="POST /v1/chat/completions", fault="flex_unavailable")
    error = raises(openai.RateLimitError, lambda: ask("flex"))
    assert "Resource Unavailable" in str(error)
    assert len(bill_lines()) == before


def step_cache():
    system = {"role": "system", "content": "The harbour rules. " * 400}

    def ask(options, text):
        message = {"role": "user", "content": text}
        answer = client().chat.completions.create(
            model=MODEL, max_completion_tokens=20, messages=[system, message], extra_body=options
        )
        return answer.usage.prompt_tokens_details

    def field(details, name):
        return getattr(details, name, None) or (details.model_extra or {}).get(name) or 0

    first = ask({}, "One question")
    assert field(first, "cache_write_tokens") > 1024, "implicit mode writes"
    same = ask({}, "One question")
    assert same.cached_tokens == field(first, "cache_write_tokens")
    none = ask({"prompt_cache_options": {"mode": "explicit"}}, "Another question")
    assert (none.cached_tokens, field(none, "cache_write_tokens")) == (0, 0)


def step_models():
    every = {model.id: model for model in client().models.list()}
    assert MODEL in every
    assert "gpt-4-turbo" not in every, "shut down on 2026-10-23"
    retiring = client().models.retrieve("gpt-5-mini")
    assert (retiring.model_extra or {}).get("shutdown_date", getattr(retiring, "shutdown_date", None)) == "2026-12-11"
    raises(openai.NotFoundError, lambda: client().models.retrieve("no-such-model"), 404)


def step_files():
    made = upload(lines(3), expires_after={"anchor": "created_at", "seconds": 3600})
    assert (made.purpose, made.filename, made.status) == ("batch", "input.jsonl", "processed")
    assert made.expires_at - made.created_at == 3600
    assert client().files.retrieve(made.id).bytes == made.bytes
    assert len(client().files.content(made.id).read()) == made.bytes
    usual = upload(lines(3))
    assert usual.expires_at - usual.created_at == 2_592_000
    listed = [file.id for file in client().files.list(purpose="batch", limit=1)]
    assert listed[:2] == [usual.id, made.id], "one page after another, newest first"
    assert client().files.delete(usual.id).deleted
    raises(openai.NotFoundError, lambda: client().files.retrieve(usual.id), 404)
    advance(3601)
    raises(openai.NotFoundError, lambda: client().files.retrieve(made.id), 404)
    error = raises(openai.BadRequestError, lambda: upload(lines(1), name="input.txt"))
    assert "Must be .jsonl" in str(error)
    assert upload([{"nonsense": True}]).id, "lines are not looked at"


def step_batch():
    rows = lines(5)
    rows.append({**rows[0], "custom_id": "warm", "body": {**rows[0]["body"], "temperature": 9}})
    batch = submit(rows, metadata={"token": "shard-1"})
    assert (batch.status, batch.request_counts.total, batch.output_file_id) == ("validating", 0, None)
    assert batch.expires_at - batch.created_at == 86_400
    assert batch.metadata == {"token": "shard-1"}
    states, counts = set(), []
    for _ in range(100):
        advance(40)
        now = client().batches.retrieve(batch.id)
        states.add(now.status)
        counts.append(now.request_counts.completed)
        if now.status == "completed":
            break
    assert states >= {"in_progress", "completed"}, states
    assert counts == sorted(counts), "it only grows"
    assert (now.request_counts.total, now.request_counts.completed, now.request_counts.failed) == (6, 5, 1)
    done, bad = rows_of(now.output_file_id), rows_of(now.error_file_id)
    assert set(done) == {f"item-{index}" for index in range(5)}
    body = done["item-0"]["response"]["body"]
    assert (done["item-0"]["response"]["status_code"], body["service_tier"]) == (200, "default")
    assert now.usage.total_tokens == sum(row["response"]["body"]["usage"]["total_tokens"] for row in done.values())
    assert bad["warm"]["error"] is None
    assert bad["warm"]["response"]["status_code"] == 400
    assert bad["warm"]["response"]["body"]["error"]["param"] == "temperature"
    billed = [line for line in bill_lines() if line["batch_id"] == batch.id]
    assert {line["metadata"]["token"] for line in billed} == {"shard-1"}
    assert {line["custom_id"] for line in billed} == set(done)
    assert raises(openai.APIStatusError, lambda: client().batches.cancel(batch.id)).status_code == 409


def step_batch_of_responses():
    batch = submit(lines(4, "/v1/responses"), "/v1/responses")
    advance(86_399)
    done = rows_of(client().batches.retrieve(batch.id).output_file_id)
    assert {row["response"]["body"]["object"] for row in done.values()} == {"response"}


def step_batch_fails():
    def failed(rows, **more):
        batch = submit(rows, **more)
        advance(60)
        found = client().batches.retrieve(batch.id)
        assert (found.status, found.request_counts.total) == ("failed", 0)
        return [(error.code, error.line, error.param) for error in found.errors.data]

    good = lines(3)
    missing = {**good[1], "body": {"model": MODEL}}
    assert failed([good[0], missing, good[2]]) == [("missing_required_parameter", 2, "body.messages")]
    assert failed([good[0], good[0]]) == [("duplicate_custom_id", 2, "custom_id")]
    other = {**good[1], "body": {**good[1]["body"], "model": "gpt-6-sol"}}
    assert failed([good[0], other]) == [("mismatched_model", 2, "body.model")]
    assert failed(lines(2, "/v1/responses"))[0] == ("url_mismatch", 1, "url")
    assert failed([{**good[0], "method": "GET"}])[0] == ("invalid_method", 1, "method")
    assert len(failed([missing | {"custom_id": str(index)} for index in range(50)])) == 20, "the first ones"
    nowhere = client().batches.create(
        input_file_id="file-nowhere", endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert nowhere.status == "validating"
    advance(60)
    assert client().batches.retrieve(nowhere.id).status == "validating"
    advance(900)
    assert client().batches.retrieve(nowhere.id).errors.data[0].code == "invalid_request"
    raises(
        openai.BadRequestError,
        lambda: client().batches.create(
            input_file_id="file-nowhere", endpoint="/v1/chat/completions", completion_window="1h"
        ),
    )


def step_batch_list():
    made = [submit(lines(1)).id for _ in range(5)]
    assert [batch.id for batch in client().batches.list(limit=2)][:5] == made[::-1]
    page = client().batches.list(limit=2, after=made[3])
    assert [batch.id for batch in page.data] == [made[2], made[1]]
    assert page.has_more
    raises(openai.BadRequestError, lambda: client().batches.list(limit=101))
    fault(on="POST /v1/batches", fault="slow_list", seconds=30)
    slow = submit(lines(1)).id
    assert client().batches.list(limit=1).data[0].id == made[-1]
    assert client().batches.retrieve(slow).id == slow
    advance(31)
    assert client().batches.list(limit=1).data[0].id == slow


def step_batch_cancel():
    batch = submit(lines(40))
    advance(45)
    canceling = client().batches.cancel(batch.id)
    assert canceling.status == "cancelling"
    advance(600)
    over = client().batches.retrieve(batch.id)
    assert over.status == "cancelled"
    bad = rows_of(over.error_file_id)
    done = rows_of(over.output_file_id) if over.output_file_id else {}
    assert len(bad) + len(done) == 40
    assert {row["error"]["code"] for row in bad.values()} == {"batch_cancelled"}
    assert len([line for line in bill_lines() if line["batch_id"] == batch.id]) == len(done)
    fault(on="POST /v1/batches", fault="canceled_by_other", seconds=40)
    other = submit(lines(40))
    advance(700)
    seen = client().batches.retrieve(other.id)
    assert seen.status == "cancelled", seen


def step_batch_expires():
    fault(on="POST /v1/batches", fault="stuck")
    batch = submit(lines(3))
    advance(86_399)
    assert client().batches.retrieve(batch.id).status == "in_progress"
    advance(2)
    over = client().batches.retrieve(batch.id)
    assert (over.status, over.output_file_id) == ("expired", None)
    assert {row["error"]["code"] for row in rows_of(over.error_file_id).values()} == {"batch_expired"}
    fault(on="POST /v1/batches", fault="items_expired", indexes=[0, 2])
    half = submit(lines(4))
    advance(86_401)
    over = client().batches.retrieve(half.id)
    assert (over.status, len(rows_of(over.output_file_id))) == ("expired", 2)


def step_batch_of_failures_only():
    fault(on="POST /v1/batches", fault="items_errored", share=1.0, status=429)
    batch = submit(lines(3))
    advance(86_000)
    over = client().batches.retrieve(batch.id)
    assert (over.status, over.output_file_id, over.request_counts.failed) == ("completed", None, 3)
    rows = rows_of(over.error_file_id)
    assert {row["response"]["status_code"] for row in rows.values()} == {429}
    assert {row["response"]["body"]["error"]["code"] for row in rows.values()} == {"rate_limit_exceeded"}
    fault(on="POST /v1/batches", fault="output_file_late", seconds=90_000)
    batch = submit(lines(2))
    advance(86_000)
    late = client().batches.retrieve(batch.id)
    assert (late.status, late.output_file_id) == ("completed", None), "completed and nothing to read yet"
    advance(90_000)
    assert client().batches.retrieve(batch.id).output_file_id


def step_lost_reply():
    def count():
        return sum(admin("GET", "/state")["openai"]["batches"].values())

    before = count()
    fault(on="POST /v1/batches", fault="lost_reply_after_commit")
    raises(openai.APIConnectionError, lambda: submit(lines(1)))
    assert count() == before + 1
    file_id = upload(lines(1)).id
    fault(on="POST /v1/batches", fault="lost_reply_after_commit")
    client(max_retries=1).batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert count() == before + 3, "the SDK resends a create by itself"
    fault(on="POST /v1/batches", fault="delay", seconds=60)
    raises(openai.APIConnectionError, lambda: submit(lines(1)))
    assert count() == before + 3
    advance(61)
    assert count() == before + 4, "a late twin"


def step_results_faults():
    batch = submit(lines(30))
    advance(86_000)
    file_id = client().batches.retrieve(batch.id).output_file_id
    place = "GET /v1/files/{id}/content"
    fault(on=place, fault="cut_results_at_line", line=7)
    raises(Exception, lambda: client().files.content(file_id).text)
    fault(on=place, fault="results_vanish")
    raises(openai.NotFoundError, lambda: client().files.content(file_id), 404)
    fault(on=place, fault="rows_missing", rows=5)
    assert len(client().files.content(file_id).text.splitlines()) == 25
    fault(on=place, fault="rows_twice", rows=5)
    assert len(client().files.content(file_id).text.splitlines()) == 35
    whole = client().files.content(file_id).text
    assert len(whole.splitlines()) == 30
    order = [json.loads(line)["custom_id"] for line in whole.splitlines()]
    assert order != [f"item-{index}" for index in range(30)], "not in the input's order"
    assert client().files.retrieve(file_id).bytes == len(whole.encode())


def step_errors():
    def ask(**options):
        return lambda: client(**options).chat.completions.create(model=MODEL, max_completion_tokens=10, messages=HELLO)

    expected = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
    }
    for status, kind in expected.items():
        fault(on="POST /v1/chat/completions", fault="status", status=status, message="scripted")
        error = raises(kind, ask(), status)
        assert "scripted" in str(error)
        assert error.body["message"] == "scripted"
    assert raises(openai.AuthenticationError, ask(api_key="sk-bad-key")).code == "invalid_api_key"
    fault(on="POST /v1/chat/completions", fault="spend_cap_429")
    spent = raises(openai.RateLimitError, ask())
    assert (spent.code, spent.type) == ("insufficient_quota", "insufficient_quota")
    fault(on="POST /v1/chat/completions", fault="status", status=500, retry_after=0.05)
    assert client(max_retries=1).chat.completions.create(model=MODEL, max_completion_tokens=10, messages=HELLO).id
    fault(on="POST /v1/chat/completions", fault="status", status=429, retry_after=0.3)
    began = time.monotonic()
    assert client(max_retries=1).chat.completions.create(model=MODEL, max_completion_tokens=10, messages=HELLO).id
    assert time.monotonic() - began > 0.28, "the SDK obeys retry-after"


def step_refusals():
    def ask(**body):
        body = {"model": MODEL, "messages": HELLO, **body}
        error = raises(openai.APIStatusError, lambda: client().post("/chat/completions", body=body, cast_to=object))
        return error.status_code, error.code, error.param

    assert ask(colour="red") == (400, "unknown_parameter", "colour")
    assert ask(messages=[]) == (400, "empty_array", "messages")
    assert ask(max_tokens=10) == (400, "unsupported_parameter", "max_tokens")
    assert ask(temperature=-1) == (400, "decimal_below_min_value", "temperature")
    assert ask(model="non-existent-model") == (404, "model_not_found", None)
    assert ask(model="gpt-4-turbo") == (404, "model_not_found", None)
    assert ask(messages=[{"role": "user", "content": 7}]) == (400, "invalid_type", "messages[0].content")
    assert ask(messages=[{"role": "user", "content": "x" * 5_000_000}]) == (400, "context_length_exceeded", "messages")
    assert ask(model="gpt-4o", max_tokens=10**6) == (400, "invalid_value", "max_tokens")
    assert ask(model="gpt-5-mini", temperature=0.5) == (400, "unsupported_value", "temperature")


def step_webhooks():
    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((dict(self.headers.items()), body))
            self.send_response(200 if len(received) != 1 else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    admin("POST", "/webhooks", {"url": f"http://127.0.0.1:{server.server_port}/hook", "secret": SECRET})
    batch = submit(lines(1))
    for _ in range(20):
        advance(4400)
    deadline = time.monotonic() + 10
    while len(received) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    admin("POST", "/webhooks", {"url": None})
    server.shutdown()
    server.server_close()
    assert len(received) == 2, "the first answer was a 500, so it was sent again"
    assert received[0][0]["webhook-id"] == received[1][0]["webhook-id"]
    for headers, body in received:
        sdk = client(webhook_secret=SECRET)
        sdk.webhooks.verify_signature(body.decode(), headers, tolerance=10**10)
        event = json.loads(body)
        assert (event["object"], event["type"], event["data"]) == ("event", "batch.completed", {"id": batch.id})
        raises(
            openai.InvalidWebhookSignatureError,
            lambda headers=headers, body=body, sdk=sdk: sdk.webhooks.verify_signature(
                body.decode() + " ", headers, tolerance=10**10
            ),
        )
    # The SDK unwraps only what was signed within five minutes of the machine's clock, so this one is stamped anew.
    headers, body = received[0]
    stamp = str(int(time.time()))
    signed = f"{headers['webhook-id']}.{stamp}.{body.decode()}".encode()
    digest = hmac.new(base64.b64decode(SECRET[6:]), signed, hashlib.sha256).digest()
    anew = {**headers, "webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
    unwrapped = client(webhook_secret=SECRET).webhooks.unwrap(body.decode(), anew)
    assert unwrapped.data.id == batch.id
    assert unwrapped.type == "batch.completed"


def step_async():
    async def run():
        async with openai.AsyncOpenAI(api_key="sk-simulated", base_url=f"{ADDRESS}/v1", max_retries=0) as async_client:
            answers = await asyncio.gather(
                *(
                    async_client.chat.completions.create(model=MODEL, max_completion_tokens=20, messages=HELLO)
                    for _ in range(20)
                )
            )
            assert len({answer.id for answer in answers}) == 20
            raw = "\n".join(map(json.dumps, lines(2))).encode()
            file = await async_client.files.create(file=("input.jsonl", raw), purpose="batch")
            batch = await async_client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            advance(86_000)
            over = await async_client.batches.retrieve(batch.id)
            content = await async_client.files.content(over.output_file_id)
            assert len(content.text.splitlines()) == 2

    asyncio.run(run())


def main():
    """Do every step."""
    steps = [name for name in globals() if name.startswith("step_")]
    for name in steps:
        globals()[name]()
        admin("DELETE", "/faults")
    print(json.dumps({"version": openai.__version__, "steps": steps}))


if __name__ == "__main__":
    main()
