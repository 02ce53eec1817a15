"""Everything an official ``anthropic`` SDK can do against a simulator, in one script that any of its versions can run.

Run as ``python sdk_script.py ADDRESS`` under the interpreter of an environment that has the SDK; prints one JSON object:
its version and the steps that were done. Any surprise is an assertion. Imports nothing but the SDK and the standard library.
"""

import asyncio
import json
import sys
import urllib.request

import anthropic

ADDRESS = sys.argv[1]
VERSION = tuple(int(part) for part in anthropic.__version__.split(".")[:2])
MODEL = "claude-sonnet-5"
OLD_MODEL = "claude-haiku-4-5"
HELLO = [{"role": "user", "content": "Say hello to the harbour."}]
TOOL = {
    "name": "get_tide",
    "description": "Height of the tide",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["title", "count"],
    "additionalProperties": False,
}


def admin(method, path, body=None):
    """Ask an administrative endpoint."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{ADDRESS}/_simulator{path}", data=raw, method=method)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read())


def client(**options):
    """A client of this SDK."""
    return anthropic.Anthropic(**{"api_key": "sk-simulated", "base_url": ADDRESS, "max_retries": 0, **options})


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


def items(count, **params):
    """Requests of a batch."""
    return [
        {
            "custom_id": f"item-{index}",
            "params": {
                "model": OLD_MODEL,
                "max_tokens": 200,
                "messages": [{"role": "user", "content": f"Say {index}"}],
                **params,
            },
        }
        for index in range(count)
    ]


def step_message():
    answer = client().messages.create(model=MODEL, max_tokens=400, messages=HELLO, system="Be brief.")
    assert answer.content[0].text.startswith("[simulated]\nprompt-digest: ")
    assert answer.model == MODEL
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer._request_id
    assert answer.usage.service_tier == "standard"
    assert 0 < answer.usage.output_tokens <= 400
    again = client().messages.create(model=MODEL, max_tokens=400, messages=HELLO, system="Be brief.")
    assert again.content[0].text == answer.content[0].text
    assert again.id != answer.id
    dated = client().messages.create(model=OLD_MODEL, max_tokens=3, messages=HELLO)
    assert dated.model == "claude-haiku-4-5-20251001"
    assert dated.usage.output_tokens <= 3


def step_raw_response():
    raw = client().messages.with_raw_response.create(model=MODEL, max_tokens=10, messages=HELLO)
    assert raw.headers["request-id"].startswith("req_01")
    assert raw.headers["date"].endswith("GMT")
    assert int(raw.headers["anthropic-ratelimit-requests-limit"]) > 0
    assert raw.parse().type == "message"


def step_stream():
    plain = client().messages.create(model=MODEL, max_tokens=300, messages=HELLO)
    with client().messages.stream(model=MODEL, max_tokens=300, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == plain.content[0].text == final.content[0].text
    assert final.usage.output_tokens == plain.usage.output_tokens
    assert final.stop_reason == plain.stop_reason
    names = [event.type for event in client().messages.create(model=MODEL, max_tokens=300, messages=HELLO, stream=True)]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]


def step_stream_error():
    fault(on="POST /v1/messages", fault="sse_error_after_200", events=4)
    error = raises(
        anthropic.APIStatusError,
        lambda: list(client().messages.create(model=MODEL, max_tokens=300, messages=HELLO, stream=True)),
    )
    assert "Overloaded" in str(error)
    fault(on="POST /v1/messages", fault="cut_stream", events=4)
    raises(Exception, lambda: list(client().messages.create(model=MODEL, max_tokens=300, messages=HELLO, stream=True)))


def step_tools():
    answer = client().messages.create(
        model=OLD_MODEL, max_tokens=500, messages=HELLO, tools=[TOOL], tool_choice={"type": "any"}
    )
    assert answer.stop_reason == "tool_use"
    assert isinstance(answer.content[-1].input["place"], str)
    turn = [
        *HELLO,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": answer.content[-1].id, "content": "1.2 m"}],
        },
    ]
    final = client().messages.create(model=OLD_MODEL, max_tokens=500, messages=turn, tools=[TOOL])
    assert final.content[0].type == "text"
    with client().messages.stream(
        model=OLD_MODEL, max_tokens=500, messages=HELLO, tools=[TOOL], tool_choice={"type": "tool", "name": "get_tide"}
    ) as stream:
        streamed = stream.get_final_message()
    assert isinstance(streamed.content[-1].input["place"], str), streamed


def step_schema():
    answer = client().messages.create(
        model=MODEL,
        max_tokens=500,
        messages=HELLO,
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}},
    )
    value = json.loads(answer.content[0].text)
    assert set(value) == {"title", "count"}
    assert isinstance(value["count"], int)


def step_thinking():
    answer = client().messages.create(
        model=OLD_MODEL, max_tokens=4000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 1024}
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].signature
    with client().messages.stream(
        model=OLD_MODEL, max_tokens=4000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 1024}
    ) as stream:
        assert stream.get_final_message().content[0].thinking == answer.content[0].thinking


def step_cache():
    system = [{"type": "text", "text": "The harbour rules. " * 2000, "cache_control": {"type": "ephemeral"}}]
    first = client().messages.create(model=MODEL, max_tokens=10, messages=HELLO, system=system).usage
    second = client().messages.create(model=MODEL, max_tokens=10, messages=HELLO, system=system).usage
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens > 1024
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0


def step_count_tokens():
    counted = client().messages.count_tokens(model=MODEL, messages=HELLO, system="Be brief.", tools=[TOOL])
    used = client().messages.create(model=MODEL, max_tokens=10, messages=HELLO, system="Be brief.", tools=[TOOL]).usage
    assert counted.input_tokens == used.input_tokens > 0


def step_models():
    every = [model.id for model in client().models.list()]
    paged = [model.id for model in client().models.list(limit=2)]
    assert every == paged
    assert MODEL in every
    assert len(every) > 10
    assert client().models.retrieve("claude-haiku-4-5").id == "claude-haiku-4-5-20251001"
    raises(anthropic.NotFoundError, lambda: client().models.retrieve("no-such-model"), 404)


def step_batch():
    batches = client().messages.batches
    batch = batches.create(
        requests=[*items(5), {"custom_id": "bad", "params": {**items(1)[0]["params"], "colour": "red"}}]
    )
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 6
    assert batch.results_url is None
    raises(anthropic.AnthropicError, lambda: list(batches.results(batch.id)))
    raises(anthropic.BadRequestError, lambda: batches.delete(batch.id))
    admin("POST", "/clock/advance", {"seconds": 86400})
    ended = batches.retrieve(batch.id)
    assert ended.processing_status == "ended"
    assert ended.results_url.startswith(ADDRESS)
    assert (ended.request_counts.succeeded, ended.request_counts.errored, ended.request_counts.processing) == (5, 1, 0)
    rows = {row.custom_id: row.result for row in batches.results(batch.id)}
    assert set(rows) == {f"item-{index}" for index in range(5)} | {"bad"}
    assert rows["item-0"].message.usage.service_tier == "batch"
    assert rows["bad"].error.error.type == "invalid_request_error"
    assert "colour: Extra inputs" in rows["bad"].error.error.message
    assert batches.delete(batch.id).type == "message_batch_deleted"
    raises(anthropic.NotFoundError, lambda: batches.retrieve(batch.id), 404)


def step_batch_list():
    batches = client().messages.batches
    made = [batches.create(requests=items(1)).id for _ in range(5)]
    listed = [batch.id for batch in batches.list(limit=2)]
    assert listed[:5] == made[::-1]
    page = batches.list(limit=2, before_id=made[0])
    assert [batch.id for batch in page.data] == [made[2], made[1]]
    assert page.has_more


def step_batch_cancel():
    batches = client().messages.batches
    batch = batches.create(requests=items(40))
    canceling = batches.cancel(batch.id)
    assert canceling.processing_status == "canceling"
    assert canceling.request_counts.processing == 40
    admin("POST", "/clock/advance", {"seconds": 60})
    counts = batches.retrieve(batch.id).request_counts
    assert counts.canceled > 0
    assert counts.canceled + counts.succeeded == 40, counts
    kinds = {row.result.type for row in batches.results(batch.id)}
    assert kinds <= {"canceled", "succeeded"}
    assert "canceled" in kinds
    raises(anthropic.APIStatusError, lambda: batches.cancel(batch.id))


def step_batch_expires():
    fault(on="POST /v1/messages/batches", fault="stuck")
    batch = client().messages.batches.create(requests=items(3))
    admin("POST", "/clock/advance", {"seconds": 86399})
    assert client().messages.batches.retrieve(batch.id).processing_status == "in_progress"
    admin("POST", "/clock/advance", {"seconds": 2})
    assert {row.result.type for row in client().messages.batches.results(batch.id)} == {"expired"}


def step_batch_envelope_errors():
    batches = client().messages.batches
    long = raises(anthropic.BadRequestError, lambda: batches.create(requests=[{**items(1)[0], "custom_id": "x" * 65}]))
    assert "requests.0.custom_id: String should have at most 64 characters" in str(long)
    raises(anthropic.BadRequestError, lambda: batches.create(requests=[{**items(1)[0], "custom_id": "a.b"}]))
    raises(anthropic.BadRequestError, lambda: batches.create(requests=[items(1)[0], items(1)[0]]))
    raises(anthropic.BadRequestError, lambda: batches.create(requests=[{"custom_id": "a"}]))
    raises(anthropic.BadRequestError, lambda: batches.create(requests=[]))


def step_lost_reply():
    before = sum(admin("GET", "/state")["batches"].values())
    fault(on="POST /v1/messages/batches", fault="lost_reply_after_commit")
    raises(anthropic.APIConnectionError, lambda: client().messages.batches.create(requests=items(1)))
    assert sum(admin("GET", "/state")["batches"].values()) == before + 1
    fault(on="POST /v1/messages/batches", fault="lost_reply_after_commit")
    client(max_retries=1).messages.batches.create(requests=items(1))
    assert sum(admin("GET", "/state")["batches"].values()) == before + 3, "the SDK resends a create by itself"


def step_results_faults():
    batches = client().messages.batches
    batch = batches.create(requests=items(30))
    admin("POST", "/clock/advance", {"seconds": 86400})
    place = "GET /v1/messages/batches/{id}/results"
    fault(on=place, fault="cut_results_at_line", line=7)
    raises(Exception, lambda: list(batches.results(batch.id)))
    fault(on=place, fault="results_vanish")
    raises(anthropic.NotFoundError, lambda: list(batches.results(batch.id)))
    fault(on=place, fault="rows_missing", rows=5)
    assert len(list(batches.results(batch.id))) == 25
    fault(on=place, fault="rows_twice", rows=5)
    assert len(list(batches.results(batch.id))) == 35
    assert len(list(batches.results(batch.id))) == 30


def step_errors():
    def ask(**options):
        return lambda: client(**options).messages.create(model=MODEL, max_tokens=10, messages=HELLO)

    raises(anthropic.AuthenticationError, ask(api_key="sk-bad-key"), 401)
    raises(
        anthropic.NotFoundError,
        lambda: client().messages.create(model="no-such-model", max_tokens=1, messages=HELLO),
        404,
    )
    for kind, status in (
        (anthropic.PermissionDeniedError, 403),
        (anthropic.ConflictError, 409),
        (anthropic.RateLimitError, 429),
        (anthropic.InternalServerError, 500),
        (anthropic.APIStatusError, 504),
        (anthropic.APIStatusError, 529),
        (anthropic.APIStatusError, 402),
        (anthropic.APIStatusError, 413),
    ):
        fault(on="POST /v1/messages", fault="status", status=status)
        error = raises(kind, ask(), status)
        assert status == 413 or error.body["error"]["type"], error
    fault(on="POST /v1/messages", fault="spend_cap_429")
    capped = raises(anthropic.RateLimitError, ask(), 429)
    assert capped.body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"
    assert "retry-after" not in capped.response.headers
    fault(on="POST /v1/messages", fault="cut_before_commit")
    raises(anthropic.APIConnectionError, ask())
    fault(on="POST /v1/messages", fault="status", status=529)
    assert ask(max_retries=1)().type == "message", "the SDK tries again by itself"


def step_validation():
    def ask(**body):
        base = {"model": MODEL, "max_tokens": 10, "messages": HELLO}
        return raises(
            anthropic.BadRequestError, lambda: client().post("/v1/messages", body={**base, **body}, cast_to=object)
        ).message

    assert "colour: Extra inputs are not permitted" in ask(colour="red")
    assert "max_tokens: Input should be a valid integer" in ask(max_tokens="ten")
    assert "128000, which is the maximum allowed number of output tokens" in ask(max_tokens=10**6)
    assert "does not support assistant message prefill" in ask(
        messages=[*HELLO, {"role": "assistant", "content": "Well"}]
    )
    sampled = ask(temperature=0.5)
    wanted = "temperature: Extra inputs are not permitted" if VERSION >= (2, 0) else "not supported on this model"
    assert wanted in sampled, sampled


def step_both_keys():
    for options in ({"api_key": "sk-one"}, {"api_key": None, "auth_token": "token-two"}):
        assert client(**options).messages.create(model=MODEL, max_tokens=5, messages=HELLO).type == "message"


def step_beta():
    beta = client().beta
    answer = beta.messages.create(model=MODEL, max_tokens=20, messages=HELLO, betas=["output-300k-2026-03-24"])
    assert answer.type == "message"
    assert beta.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens > 0
    batch = beta.messages.batches.create(
        requests=items(1, model="claude-sonnet-5-5", max_tokens=250_000), betas=["output-300k-2026-03-24"]
    )
    admin("POST", "/clock/advance", {"seconds": 86400})
    assert [row.result.type for row in beta.messages.batches.results(batch.id)] == ["succeeded"]


def step_async():
    async def run():
        async with anthropic.AsyncAnthropic(api_key="sk-simulated", base_url=ADDRESS, max_retries=0) as async_client:
            answers = await asyncio.gather(
                *(async_client.messages.create(model=MODEL, max_tokens=20, messages=HELLO) for _ in range(20))
            )
            assert len({answer.id for answer in answers}) == 20
            async with async_client.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
                assert (await stream.get_final_text()).startswith("[simulated]")
            batch = await async_client.messages.batches.create(requests=items(2))
            admin("POST", "/clock/advance", {"seconds": 86400})
            rows = [row async for row in await async_client.messages.batches.results(batch.id)]
            assert len(rows) == 2

    asyncio.run(run())


def step_bill():
    before = admin("GET", "/bill")
    client().messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    after = admin("GET", "/bill")
    assert after["simulated"]
    assert after["lines"] == before["lines"] + 1
    assert after["nanos"] > before["nanos"]


def main():
    """Do every step."""
    steps = [name for name in globals() if name.startswith("step_")]
    for name in steps:
        globals()[name]()
        admin("DELETE", "/faults")
    print(json.dumps({"version": anthropic.__version__, "steps": steps}))


if __name__ == "__main__":
    main()
