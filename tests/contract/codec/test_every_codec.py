"""The one suite that every codec passes: what is written is read, what is refused is classified, nothing raises on junk.

A case that one provider alone can have lives in ``tests/unit/providers``; what all of them owe lives here.
"""

import email
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from contract.codec.dialects import BATCHING, DIALECTS, Counts, Dialect, Refused, dumped
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types import Batch
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from lowtide.batch import BatchEvent, BatchView
from lowtide.catalog import Lane
from lowtide.providers import ApiError, BatchPage, BodyFacts, Queued, kept_answer
from lowtide.request import Endpoint, Neutral
from lowtide.result import Billed, Canceled, Errored, Expired, Retry, Succeeded, may_retry, refusal
from lowtide.usage import Usage

few = settings(max_examples=settings().max_examples // 4)  # for each codec; together they are many
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ids = st.text("abcXYZ019_-", min_size=1, max_size=64)
neutrals = st.builds(
    Neutral,
    system=texts,
    shared=st.lists(texts, max_size=4).map(tuple),
    text=texts.filter(bool),
    max_output_tokens=st.integers(1, 128_000),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
# Laws of any text are tried where code differs, not where only a row does.
APART = [
    dialect
    for dialect in DIALECTS
    if dialect.name in ("anthropic", "openai-responses", "openai-chat", "compatible-chat")
]
apart = pytest.mark.parametrize("dialect", APART, ids=[dialect.name for dialect in APART])
every = pytest.mark.parametrize("dialect", DIALECTS, ids=[dialect.name for dialect in DIALECTS])
batching = pytest.mark.parametrize("dialect", BATCHING, ids=[dialect.name for dialect in BATCHING])
PARAMS: dict[Endpoint, Any] = {
    Endpoint.MESSAGES: MessageCreateParamsNonStreaming,
    Endpoint.CHAT: CompletionCreateParamsNonStreaming,
    Endpoint.RESPONSES: ResponseCreateParamsNonStreaming,
}
ADAPTERS = {endpoint: TypeAdapter(params) for endpoint, params in PARAMS.items()}


def texts_of(written: dict[str, Any]) -> list[str]:
    """The texts of a body in order, wherever its endpoint puts them."""
    blocks = list(written.get("system", []))
    for turn in written.get("messages", written.get("input", [])):
        content = turn["content"]
        blocks += [{"text": content}] if isinstance(content, str) else content
    return [block["text"] for block in blocks]


# ------------------------------------------------------------------ bodies that we write


@apart
@few
@given(body=neutrals)
def test_a_written_body_is_read_with_its_bytes_and_its_limit(dialect: Dialect, body: Neutral) -> None:
    codec = dialect.codec
    params = codec.encode(model=dialect.model, body=body)
    assert params == codec.encode(model=dialect.model, body=body)
    facts = codec.read_body(params, codec.neutral_endpoint)
    assert isinstance(facts, BodyFacts)
    whole = (body.system + "".join(body.shared) + body.text).encode()
    assert (facts.model, facts.max_output_tokens) == (dialect.model, body.max_output_tokens)
    assert facts.non_ascii_bytes == sum(byte > 127 for byte in whole)
    assert len(whole) < facts.content_bytes <= len(whole) + 128
    assert (facts.images, facts.input_unbounded, facts.cache_breakpoints) == (0, False, 0)
    # Nothing is written into a cache unasked, and no tier but the standard one is asked for.
    assert (facts.dearest_write, facts.lane, facts.dearest_lane) == ("", Lane.REALTIME, Lane.REALTIME)
    assert texts_of(json.loads(params)) == [text for text in (body.system, *body.shared, body.text) if text]


@every
def test_a_cache_is_marked_where_the_shared_blocks_end(dialect: Dialect) -> None:
    codec = dialect.codec
    for cache in filter(None, (dialect.cheap, dialect.long if codec.neutral_endpoint is dialect.endpoint else "")):
        for body in (
            Neutral(system="sys", shared=("one", "two"), text="own", max_output_tokens=9),
            Neutral(system="sys", text="own", max_output_tokens=9),
        ):
            params = codec.encode(model=dialect.model, body=body, cache=cache)
            facts = codec.read_body(params, codec.neutral_endpoint)
            assert isinstance(facts, BodyFacts)
            assert facts.cache_breakpoints == 1
            priced = dialect.name.startswith(("anthropic", "openai", "azure"))
            assert facts.dearest_write == (cache if priced else "")
            marked = params.index(b"cache_control" if dialect.name == "anthropic" else b"prompt_cache_breakpoint")
            assert params.index(b"two" if body.shared else b"sys") < marked < params.index(b"own")


@every
def test_a_cache_is_marked_at_the_places_that_are_named(dialect: Dialect) -> None:
    codec, mark = dialect.codec, "cache_control" if dialect.name == "anthropic" else "prompt_cache_breakpoint"
    for body, texts in (
        (Neutral(system="sys", shared=("one", "", "two"), text="own", max_output_tokens=9), ["sys", "one", "two"]),
        (Neutral(shared=("", "one", "two"), text="own", max_output_tokens=9), ["one", "two"]),
    ):
        for places in ((0,), (1,), tuple(range(len(texts)))):
            params = codec.encode(model=dialect.model, body=body, cache=dialect.cheap, cache_at=places)
            facts = codec.read_body(params, codec.neutral_endpoint)
            assert isinstance(facts, BodyFacts)
            assert facts.cache_breakpoints == len(places)
            assert [found["text"] for found in marked_in(json.loads(params), mark)] == [
                texts[place] for place in places
            ]


def marked_in(found: Any, mark: str) -> Iterator[dict[str, Any]]:
    """Every block of a body that carries a mark, in order; the system's text comes first."""
    if isinstance(found, list):
        for each in found:
            yield from marked_in(each, mark)
    elif isinstance(found, dict):
        if mark in found:
            yield found
        for name in sorted(found, key=lambda name: name != "system"):
            yield from marked_in(found[name], mark)


@apart
@few
@given(body=neutrals)
def test_the_official_sdk_takes_what_we_write(dialect: Dialect, body: Neutral) -> None:
    endpoint = dialect.codec.neutral_endpoint
    for cache in ("", dialect.cheap):
        written = json.loads(dialect.codec.encode(model="gpt-6-luna", body=body, cache=cache))
        assert written.keys() <= PARAMS[endpoint].__annotations__.keys()
        read = ADAPTERS[endpoint].validate_python(written)
        list(read.get("messages", ()))  # iterables are checked as they are read


# ------------------------------------------------------------------ bodies that clients wrote


@apart
@few
@given(text=texts, limit=st.integers(1, 100_000))
def test_a_native_body_is_read_and_goes_as_it_was(dialect: Dialect, text: str, limit: int) -> None:
    codec = dialect.codec
    for params in (dumped(dialect.native(text, limit)), json.dumps(dialect.native(text, limit), indent=1).encode()):
        facts = codec.read_body(params, dialect.endpoint)
        assert isinstance(facts, BodyFacts), facts
        assert facts.max_output_tokens == limit
        assert facts.content_bytes >= len(text.encode())
        assert codec.message_call(params, dialect.endpoint).body == params


@every
def test_what_has_no_bound_or_no_price_is_refused_and_every_problem_named(dialect: Dialect) -> None:
    for change, words in dialect.problems:
        body = {name: value for name, value in (dialect.native("x") | change).items() if value is not None}
        found = dialect.codec.read_body(dumped(body), dialect.endpoint)
        assert isinstance(found, tuple), change
        assert len(found) == 1, found
        assert words in found[0], found
    several = dialect.codec.read_body(b'{"stream":true}', dialect.endpoint)
    assert isinstance(several, tuple)
    assert len(several) >= 3
    for junk in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 50_000):
        assert isinstance(dialect.codec.read_body(junk, dialect.endpoint), tuple)


@every
def test_an_endpoint_that_is_not_there_is_said_to_be_none(dialect: Dialect) -> None:
    wrong = Endpoint.CHAT if dialect.endpoint is Endpoint.MESSAGES else Endpoint.MESSAGES
    found = dialect.codec.read_body(dumped(dialect.native("x")), wrong)
    assert isinstance(found, tuple)
    assert f"no {wrong}" in found[0]


@apart
@few
@given(content=json_values, name=st.sampled_from(["messages", "input", "tools", "system", "instructions", "text", "n"]))
def test_any_body_is_read_or_refused_with_reasons(dialect: Dialect, content: object, name: str) -> None:
    body = dialect.native("x") | {name: content}
    found = dialect.codec.read_body(msgspec.json.encode(body), dialect.endpoint)
    assert isinstance(found, BodyFacts) or (found and all(found))


# ------------------------------------------------------------------ answers

some_counts = st.builds(
    lambda plain, read, short, long, output, thought: Counts(
        input_tokens=plain + read + short + long,
        output_tokens=output + thought,
        read=read,
        written=short,
        written_long=long,
        reasoning=thought,
    ),
    *[st.integers(0, 2_000_000)] * 6,
)


def inclusive(usage: Usage) -> Counts:
    short = usage.cache_write_5m_tokens + usage.cache_write_30m_tokens
    long = usage.cache_write_1h_tokens + usage.cache_write_12h_tokens
    return Counts(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        read=usage.cache_read_tokens,
        written=short,
        written_long=long,
        reasoning=usage.reasoning_tokens,
    )


@apart
@few
@given(text=texts, counts=some_counts, extra=json_values)
def test_an_answer_gives_its_text_and_every_token_in_inclusive_counts(
    dialect: Dialect, text: str, counts: Counts, extra: object
) -> None:
    if not dialect.long:
        counts = replace(counts, written=counts.written + counts.written_long, written_long=0)
    for stop, ours in dialect.stop_reasons.items():
        answer = dialect.answer(text, counts, stop)
        answer["of_tomorrow"] = extra
        message = dumped(answer)
        found = dialect.codec.decode_message(status=200, headers={}, body=message)
        assert isinstance(found, Succeeded), found
        assert (found.text, found.stop_reason) == (text, ours)
        assert found.message == message
        assert inclusive(found.usage) == counts
        assert kept_answer(dialect.codec, message) == found


@every
def test_the_official_sdk_reads_the_same(dialect: Dialect) -> None:
    counts = Counts(input_tokens=100, output_tokens=30, read=40, written=50, reasoning=5)
    for stop in dialect.stop_reasons:
        answer = dialect.answer("some text", counts, stop)
        found = dialect.codec.decode_message(status=200, headers={}, body=dumped(answer))
        assert isinstance(found, Succeeded)
        if dialect.endpoint is Endpoint.MESSAGES:
            message = Message.model_validate(answer)
            assert found.text == "".join(block.text for block in message.content if block.type == "text")
            assert found.usage.output_tokens == message.usage.output_tokens
        elif dialect.endpoint is Endpoint.CHAT:
            chat = construct_type(type_=ChatCompletion, value=answer)
            assert isinstance(chat, ChatCompletion)
            assert chat.usage is not None
            assert (found.text, found.usage.input_tokens) == (chat.choices[0].message.content, chat.usage.prompt_tokens)
        else:
            response = Response.model_validate(answer)
            assert response.usage is not None
            assert (found.text, found.usage.input_tokens) == (response.output_text, response.usage.input_tokens)


@every
def test_an_answer_without_usage_is_an_error_that_may_be_billed_and_never_free(dialect: Dialect) -> None:
    whole = dialect.answer("x", Counts(input_tokens=1, output_tokens=1), next(iter(dialect.stop_reasons)))
    broken = [
        {name: value for name, value in whole.items() if name != "usage"},
        whole | {"usage": {}},
        {},
        [],
        None,
        "x",
    ]
    for answer in broken:
        found = dialect.codec.decode_message(status=200, headers={}, body=dumped(answer))
        assert isinstance(found, Errored), found
        assert found.code == "row_unreadable"
        assert refusal(found.code).billed is Billed.MAYBE


@every
def test_an_answer_is_billed_as_it_was_served(dialect: Dialect) -> None:
    codec = dialect.codec
    silent = Usage(input_tokens=1, output_tokens=1)
    for lane in (Lane.REALTIME, Lane.BATCH, *codec.windows):
        assert codec.served(lane, silent) == (lane, "")


# ------------------------------------------------------------------ refusals

REFUSED = [(dialect, one) for dialect in DIALECTS for one in dialect.refusals]


@pytest.mark.parametrize(
    ("dialect", "refused"), REFUSED, ids=[f"{dialect.name}-{one.name}" for dialect, one in REFUSED]
)
def test_every_refusal_has_its_two_answers(dialect: Dialect, refused: Refused) -> None:
    headers = dict(refused.headers)
    codec = dialect.codec
    readers = [codec.decode_message, codec.decode_error]
    readers += [codec.decode_batch, codec.decode_page] if codec.batch_limits is not None else []
    readers += [codec.decode_file] if codec.uploads else []
    readers += [codec.decode_response] if codec.windows else []
    for read in readers:
        found = read(status=refused.status, headers=headers, body=refused.body)
        assert isinstance(found, ApiError)
        assert (found.refusal.retry, found.refusal.billed) == refused.means, found
        assert found.spend_limit is refused.spend_limit
        assert found.retry_after_seconds == refused.retry_after
        assert (found.status, bool(found.message)) == (refused.status, True)
        assert refused.code is None or found.code == refused.code


@apart
@few
@given(status=st.integers(201, 599), body=st.binary(max_size=100) | json_values.map(msgspec.json.encode))
def test_any_reply_that_is_no_200_is_a_refusal(dialect: Dialect, status: int, body: bytes) -> None:
    found = dialect.codec.decode_error(status=status, headers={"retry-after": "x"}, body=body)
    assert found.code
    assert found.message
    if status >= 500 and not body.lstrip().startswith(b"{"):
        assert found.refusal.billed is Billed.MAYBE or status in (500, 529)


@apart
@few
@given(body=st.binary(max_size=100) | json_values.map(msgspec.json.encode))
def test_any_200_is_something_and_nothing_is_free_by_accident(dialect: Dialect, body: bytes) -> None:
    codec = dialect.codec
    found = codec.decode_message(status=200, headers={}, body=body)
    assert isinstance(found, Errored)
    assert refusal(found.code).billed is Billed.MAYBE
    if codec.batch_limits is not None:
        for read in (codec.decode_batch, codec.decode_page):
            reply = read(status=200, headers={}, body=body)
            assert isinstance(reply, ApiError | BatchPage)
            if isinstance(reply, ApiError):
                assert (reply.code, reply.refusal.retry) == ("reply_unreadable", Retry.AFTER_RECONCILE)
    if codec.uploads:
        assert isinstance(codec.decode_file(status=200, headers={}, body=body), ApiError)
    if codec.windows:
        assert isinstance(codec.decode_response(status=200, headers={}, body=body), Errored)
    assert isinstance(codec.decode_count(status=200, headers={}, body=body), ApiError)
    with suppress(ValueError):
        codec.decode_result_line(body)


@apart
@few
@given(headers=st.dictionaries(st.sampled_from(["date", "retry-after", "x-ratelimit-limit-tokens"]), texts))
def test_any_header_is_read_or_passed_over(dialect: Dialect, headers: dict[str, str]) -> None:
    headers |= {"x-ratelimit-reset-tokens": headers.get("date", "")}
    headers |= {"anthropic-ratelimit-requests-limit": headers.get("retry-after", "")}
    dialect.codec.rates(headers)
    dialect.codec.provider_time(headers)
    dialect.codec.decode_error(status=429, headers=headers, body=b"{}")


# ------------------------------------------------------------------ batches


@batching
@few
@given(custom_ids=st.lists(ids, min_size=1, max_size=5), value=json_values)
def test_the_body_of_the_lines_call_has_the_length_that_was_said(
    dialect: Dialect, custom_ids: list[str], value: object
) -> None:
    codec = dialect.codec
    pieces, length = [codec.batch_open()], 0
    bodies = [{"v": value}, *([{"n": number} for number in range(len(custom_ids) - 1)])]
    for number, (custom_id, body) in enumerate(zip(custom_ids, bodies, strict=True)):
        params = json.dumps(body, indent=number % 2 or None).encode()
        more: dict[str, Any] = {"endpoint": dialect.endpoint, "first": number == 0}
        pieces.append(codec.batch_line(custom_id=custom_id, params=params, **more))
        said = codec.batch_line_length(custom_id_length=len(custom_id), params_length=len(params), **more)
        assert len(pieces[-1]) == said
        length += said
        if not codec.uploads:
            assert params in pieces[-1]  # promise 9
    pieces.append(codec.batch_close())
    whole = b"".join(pieces)
    assert len(whole) == length + len(codec.batch_open()) + len(codec.batch_close())
    items = lines_of(dialect, whole) if codec.uploads else json.loads(whole)["requests"]
    assert [item["custom_id"] for item in items] == custom_ids
    assert [item.get("params", item.get("body")) for item in items] == bodies


def lines_of(dialect: Dialect, whole: bytes) -> list[dict[str, Any]]:
    """Read an upload as the standard library reads multipart, and its file as JSON lines."""
    kind = dialect.codec.lines_call().headers["content-type"]
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + whole)
    parts = message.get_payload()
    assert isinstance(parts, list)
    fields = {}
    for part in parts:
        assert isinstance(part, email.message.Message)
        fields[part.get_param("name", header="content-disposition")] = part
    assert fields["purpose"].get_payload() == "batch"
    assert (fields["file"].get_filename() or "").endswith(".jsonl")
    content = fields["file"].get_payload(decode=True)
    assert isinstance(content, bytes)
    lines = content.splitlines()
    items = [json.loads(line) for line in lines]
    assert all(item["method"] == "POST" for item in items)
    create = dialect.codec.create_call(file_id="f", endpoint=dialect.endpoint, token="t").body
    assert create is not None
    assert {item["url"] for item in items} == {json.loads(create)["endpoint"]}
    return items


@batching
@few
@given(custom_id=ids, text=texts, counts=some_counts)
def test_a_line_of_results_is_the_same_answer(dialect: Dialect, custom_id: str, text: str, counts: Counts) -> None:
    if not dialect.long:
        counts = replace(counts, written=counts.written + counts.written_long, written_long=0)
    answer = dialect.answer(text, counts, next(iter(dialect.stop_reasons)))
    line = dialect.line(custom_id, answer)
    found = dialect.codec.decode_result_line(line)
    assert found.custom_id == custom_id
    assert isinstance(found.outcome, Succeeded)
    assert found.outcome.message in line
    assert (found.outcome.text, inclusive(found.outcome.usage)) == (text, counts)


@batching
def test_a_line_of_results_has_every_other_outcome(dialect: Dialect) -> None:
    read = dialect.codec.decode_result_line
    others = {name: read(line).outcome for name, line in dialect.other_lines("a").items()}
    assert others == {"expired": Expired(), "canceled": Canceled()}
    for code in dialect.free_refusals:
        failed = read(dialect.failed_line("a", code))
        assert failed.custom_id == "a"
        assert isinstance(failed.outcome, Errored)
        assert (failed.outcome.code, may_retry(failed.outcome)) == (code, False)
    unknown = read(dialect.failed_line("a", "of_tomorrow")).outcome
    assert isinstance(unknown, Errored)
    assert "of_tomorrow" in f"{unknown.code} {unknown.message}"


@batching
@few
@given(value=json_values, custom_id=ids)
def test_a_line_of_any_json_that_names_its_request_gives_an_outcome(
    dialect: Dialect, value: object, custom_id: str
) -> None:
    empty: dict[str, Any] = {"custom_id": custom_id}
    for line in (empty | {"result": value}, empty | {"response": value, "error": value}, empty | {"error": value}):
        found = dialect.codec.decode_result_line(msgspec.json.encode(line))
        assert found.custom_id == custom_id
        assert not isinstance(found.outcome, Succeeded)
    found = dialect.codec.decode_result_line(dialect.line(custom_id, value))
    assert isinstance(found.outcome, Errored)
    assert refusal(found.outcome.code).billed is Billed.MAYBE
    deep = dialect.line("a", "DEEP").replace(b'"DEEP"', b"[" * 100_000 + b"]" * 100_000)
    assert dialect.codec.decode_result_line(deep).custom_id == "a"


@batching
def test_a_batch_is_found_in_every_state(dialect: Dialect) -> None:
    codec = dialect.codec
    for batch, event, paths in dialect.batches():
        found = codec.decode_batch(status=200, headers={}, body=dumped(batch))
        assert isinstance(found, BatchView), batch
        assert (found.event, len(found.results_paths)) == (event, paths), batch
        assert found.created_at.tzinfo is not None
        assert bool(found.problems) == (event is BatchEvent.FOUND_FAILED)
        for path in found.results_paths:
            assert codec.results_call(path).path == path
            assert path.count("/") == codec.retrieve_call("x").path.count("/") + 1  # ids are quoted
        if event in (BatchEvent.FOUND_EXPIRED, BatchEvent.FOUND_CANCELED, BatchEvent.FOUND_ENDED):
            counts = found.counts
            assert counts.succeeded + counts.errored + counts.canceled + counts.expired in (counts.total, 0)
        if batch.get("metadata"):
            assert found.token == "token-1"
            assert construct_type(type_=Batch, value=batch).status == batch["status"]  # type: ignore[attr-defined]
    odd = dialect.batches()[0][0] | {"processing_status": "of_tomorrow", "status": "of_tomorrow"}
    assert isinstance(codec.decode_batch(status=200, headers={}, body=dumped(odd)), ApiError)


@batching
def test_pages_are_followed_from_the_oldest(dialect: Dialect) -> None:
    codec = dialect.codec
    batches = [batch for batch, _, _ in dialect.batches() if "id" in batch]
    for more in (True, False):
        found = codec.decode_page(status=200, headers={}, body=dumped(dialect.page(batches, more=more)))
        assert isinstance(found, BatchPage)
        assert len(found.batches) == len(batches)
        assert found.next_after == (batches[-1]["id"] if more else None)
    assert "a%2Fb" in codec.list_call(after="a/b", limit=5_000).path
    assert codec.list_call(after=None, limit=5_000).path.endswith(("limit=1000", "limit=100"))


@batching
def test_calls_quote_what_they_are_given(dialect: Dialect) -> None:
    codec = dialect.codec
    for call in (codec.retrieve_call("a/../b?c"), codec.cancel_call("a/../b?c")):
        assert "a%2F..%2Fb%3Fc" in call.path
    with pytest.raises(AssertionError):
        codec.results_call("https://elsewhere/results")
    with pytest.raises(AssertionError):
        codec.batch_line(custom_id="a b", params=b"{}", endpoint=dialect.endpoint, first=True)


# ------------------------------------------------------------------ what else every provider has


@every
def test_the_key_goes_into_headers_and_nowhere_else(dialect: Dialect) -> None:
    codec = dialect.codec
    headers = codec.headers("sk-secret")
    assert sum("sk-secret" in value for value in headers.values()) == 1
    assert headers["content-type"] == "application/json"
    calls = [codec.message_call(b"{}", dialect.endpoint), codec.models_call()]
    assert all(call.path.startswith("/") and "sk-secret" not in str(call) for call in calls)


@every
def test_the_providers_clock_is_its_date_header(dialect: Dialect) -> None:
    found = dialect.codec.provider_time({"date": "Sat, 21 Nov 2026 10:00:00 GMT"})
    assert found == datetime(2026, 11, 21, 10, tzinfo=UTC)
    for odd in ({}, {"date": "1 Jan 99999999999999999999 00:00:00 GMT"}, {"date": "Fri, 31 Dec 9999 23:59:59 GMT"}):
        assert dialect.codec.provider_time(odd) is None


@every
def test_windows_change_two_fields_and_no_other(dialect: Dialect) -> None:
    codec = dialect.codec
    for window in codec.windows:
        body = {"model": "m", "input": "x", "service_tier": "default", "n1": 1.50, "max_output_tokens": 9}
        params = b'{"model":"m","input":"x","service_tier":"default","n1":1.50,"max_output_tokens":9}'
        facts = codec.read_body(params, Endpoint.RESPONSES)
        assert isinstance(facts, BodyFacts)
        assert facts.windows
        call = codec.window_call(params, window)
        assert call.body is not None
        assert json.loads(call.body) == body | {
            "background": True,
            "background_options": {"completion_window": window.value},
        }
        assert b'"n1":1.50' in call.body
        queued = codec.decode_response(
            status=200, headers={}, body=b'{"id":"resp_1","object":"response","status":"queued"}'
        )
        assert queued == Queued(response_id="resp_1")
        assert codec.response_call("a/b").path.endswith("/responses/a%2Fb")
        assert codec.cancel_response_call("a/b").path.endswith("/responses/a%2Fb/cancel")
