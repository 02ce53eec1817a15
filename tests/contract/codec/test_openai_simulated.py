"""OpenAI's codec against the simulated service, which reads its multipart, its lines and its bodies with code of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from lowtide.batch import BatchEvent, BatchView
from lowtide.providers import ApiError, BatchPage, BodyFacts, CallParts, Codec, Queued, ResultLine
from lowtide.providers.registry import PROTOCOLS, codec_for
from lowtide.request import Endpoint, Neutral
from lowtide.result import Errored, Succeeded
from lowtide.testing import LoopbackTransport
from lowtide.transport import Upload
from lowtide.wire import HttpCall, HttpReply
from lowtide_simulator.app import create_app
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.openai.profiles import PROFILES
from lowtide_simulator.openai.provider import OpenAIOptions
from lowtide_simulator.world import World, WorldOptions


@dataclass
class Service:
    """A world that speaks one profile, and the codec's calls into it."""

    profile: str = "openai"
    late_seconds: float = 0.0
    codec: Codec = field(init=False)
    world: World = field(init=False)

    def __post_init__(self) -> None:
        base_url, known = "http://127.0.0.1", lambda _model: 9
        self.codec = codec_for(
            self.profile, protocol="openai", profile=self.profile, base_url=base_url, output_limit=known
        )
        theirs = PROFILES["loose" if self.profile == "compatible" else self.profile]
        options = OpenAIOptions(profile=theirs, output_file_late_seconds=self.late_seconds)
        self.world = World(WorldOptions(openai=options))
        self.door = LoopbackTransport(create_app(self.world), cut=ConnectionCut)

    async def send(self, call: CallParts, upload: Upload | None = None) -> HttpReply:
        headers = {**self.codec.headers("sk-simulated"), **call.headers}
        return await self.door.send(
            HttpCall(method=call.method, path=call.path, headers=headers, body=call.body), upload
        )

    async def later(self, seconds: int) -> None:
        headers = {"content-type": "application/json"}
        body = json.dumps({"seconds": seconds}).encode()
        call = HttpCall(method="POST", path="/_simulator/clock/advance", headers=headers, body=body)
        assert (await self.door.send(call)).status == 200

    async def batch(self, bodies: list[bytes], endpoint: Endpoint) -> BatchView:
        """Upload, create, and wait until it is over."""
        codec = self.codec
        pieces = [codec.batch_open()]
        length = len(codec.batch_open()) + len(codec.batch_close())
        for number, params in enumerate(bodies):
            more: dict[str, Any] = {"endpoint": endpoint, "first": number == 0}
            pieces.append(codec.batch_line(custom_id=f"s-{number}", params=params, **more))
            length += codec.batch_line_length(custom_id_length=3, params_length=len(params), **more)
        pieces.append(codec.batch_close())

        async def chunks() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        reply = await self.send(codec.lines_call(), Upload(chunks=chunks(), length=length))
        file_id = codec.decode_file(status=reply.status, headers=reply.headers, body=reply.body)
        assert isinstance(file_id, str), file_id
        reply = await self.send(codec.create_call(file_id=file_id, endpoint=endpoint, token="token-1"))
        found = codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
        assert isinstance(found, BatchView), found
        assert (found.event, found.token) == (BatchEvent.FOUND_VALIDATING, "token-1")
        for _ in range(100):
            await self.later(900)
            reply = await self.send(codec.retrieve_call(found.provider_batch_id))
            found = codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
            assert isinstance(found, BatchView), found
            if found.ended_at is not None and (found.results_paths or found.problems):
                return found
        raise AssertionError(found)

    async def results(self, found: BatchView) -> dict[str, ResultLine]:
        lines: dict[str, ResultLine] = {}
        for path in found.results_paths:
            reply = await self.send(self.codec.results_call(path))
            read = [self.codec.decode_result_line(line) for line in reply.body.splitlines()]
            lines |= {line.custom_id: line for line in read}
        return lines


def run(life: Coroutine[Any, Any, None]) -> None:
    asyncio.run(life)


def chat(text: str, **more: object) -> bytes:
    """A chat body as a client might write it, over several lines."""
    body = {"model": "gpt-6-luna", "max_completion_tokens": 40, "messages": [{"role": "user", "content": text}]}
    return json.dumps(body | more, indent=1).encode()


def test_a_batch_of_neutral_bodies_is_uploaded_made_and_read() -> None:
    async def life() -> None:
        service = Service()
        bodies = [
            service.codec.encode(
                model="gpt-6-luna", body=Neutral(system="s", text=f"hej {number} å", max_output_tokens=30)
            )
            for number in range(6)
        ]
        found = await service.batch(bodies, Endpoint.RESPONSES)
        assert (found.event, found.counts.total, found.counts.succeeded) == (BatchEvent.FOUND_ENDED, 6, 6)
        lines = await service.results(found)
        assert set(lines) == {f"s-{number}" for number in range(6)}
        outcomes = [line.outcome for line in lines.values()]
        usages = [one.usage for one in outcomes if isinstance(one, Succeeded)]
        assert len(usages) == 6
        # No write into a cache was asked for, and the simulator billed none.
        assert {usage.cached_tokens for usage in usages} == {0}
        # Line by line what it billed, and to whom.
        billed = {line.custom_id: line for line in service.world.bill_lines(0, 100)}
        for name, line in lines.items():
            assert isinstance(line.outcome, Succeeded)
            assert sum(billed[name].usage.each) == line.outcome.usage.input_tokens + line.outcome.usage.output_tokens
            assert billed[name].metadata == {"lowtide": "token-1"}
        reply = await service.send(service.codec.list_call(after=None, limit=5))
        page = service.codec.decode_page(status=reply.status, headers=reply.headers, body=reply.body)
        assert isinstance(page, BatchPage)
        assert [batch.token for batch in page.batches] == ["token-1"]

    run(life())


@pytest.mark.parametrize("late_seconds", [0.0, 1_000.0])
@pytest.mark.parametrize("profile", ["openai", "azure", "groq"])
def test_a_line_that_fails_is_read_from_the_error_file(profile: str, late_seconds: float) -> None:
    """Also where the batch shows as completed before its files do, counts nothing, or leaves an empty error file."""

    async def life() -> None:
        service = Service(profile, late_seconds)
        long = chat("x", max_completion_tokens=10_000_000)
        found = await service.batch([chat("one"), long, chat("two")], Endpoint.CHAT)
        lines = await service.results(found)
        assert [type(lines[f"s-{number}"].outcome) for number in range(3)] == [Succeeded, Errored, Succeeded]
        assert (found.counts.succeeded, found.counts.errored, len(found.results_paths)) == (2, 1, 2)
        empty = await service.results(await service.batch([chat("one")], Endpoint.CHAT))
        assert [type(line.outcome) for line in empty.values()] == [Succeeded]

    run(life())


def test_a_batch_with_a_bad_line_fails_and_names_it() -> None:
    async def life() -> None:
        service = Service()
        found = await service.batch([chat("one"), b'{"model": "gpt-6-luna"}', chat("two")], Endpoint.CHAT)
        assert found.event is BatchEvent.FOUND_FAILED
        assert [problem.line for problem in found.problems] == [2]
        assert found.problems[0].code == "missing_required_parameter"

    run(life())


@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.RESPONSES])
def test_real_time_is_answered_counted_and_inside_its_bound(endpoint: Endpoint) -> None:
    async def life() -> None:
        service = Service()
        codec = service.codec
        neutral = Neutral(system="s", shared=("a", "b"), text="hej", max_output_tokens=30)
        params = chat("hej") if endpoint is Endpoint.CHAT else codec.encode(model="gpt-6-luna", body=neutral)
        facts = codec.read_body(params, endpoint)
        assert isinstance(facts, BodyFacts)
        reply = await service.send(codec.message_call(params, endpoint))
        found = codec.decode_message(status=reply.status, headers=reply.headers, body=reply.body)
        assert isinstance(found, Succeeded), found
        assert found.usage.input_tokens <= facts.content_bytes
        assert found.usage.output_tokens <= facts.max_output_tokens
        assert {one.measure for one in codec.rates(reply.headers)} == {"requests", "tokens"}
        count = codec.count_call(params, endpoint)
        assert (count is None) == (endpoint is Endpoint.CHAT)
        if count is not None:
            reply = await service.send(count)
            counted = codec.decode_count(status=reply.status, headers=reply.headers, body=reply.body)
            assert counted == found.usage.input_tokens

    run(life())


@pytest.mark.parametrize("profile", PROTOCOLS["openai"])
def test_every_profile_answers_in_real_time(profile: str) -> None:
    async def life() -> None:
        service = Service(profile)
        codec = service.codec
        neutral = codec.encode(model="gpt-6-luna", body=Neutral(system="s", text="hej", max_output_tokens=30))
        for params, endpoint in ((chat("hej"), Endpoint.CHAT), (neutral, codec.neutral_endpoint)):
            reply = await service.send(codec.message_call(params, endpoint))
            found = codec.decode_message(status=reply.status, headers=reply.headers, body=reply.body)
            assert isinstance(found, Succeeded), found
            assert found.usage.input_tokens > 0
            assert found.usage.output_tokens <= 40

    run(life())


def test_a_window_is_queued_and_then_answered() -> None:
    async def life() -> None:
        service = Service()
        codec = service.codec
        params = codec.encode(model="gpt-6-luna", body=Neutral(text="hej", max_output_tokens=30))
        for window in codec.windows:
            reply = await service.send(codec.window_call(params, window))
            queued = codec.decode_response(status=reply.status, headers=reply.headers, body=reply.body)
            assert isinstance(queued, Queued), queued
            await service.later(9 * 3600)
            reply = await service.send(codec.response_call(queued.response_id))
            found = codec.decode_response(status=reply.status, headers=reply.headers, body=reply.body)
            assert isinstance(found, Succeeded), found

    run(life())


def test_refusals_are_read() -> None:
    async def life() -> None:
        service = Service()
        reply = await service.send(service.codec.message_call(chat("x", model="gpt-none"), Endpoint.CHAT))
        found = service.codec.decode_message(status=reply.status, headers=reply.headers, body=reply.body)
        assert isinstance(found, ApiError)
        assert (found.code, found.refusal.retry) == ("model_not_found", "never")

    run(life())
