"""A server that is not ours: llama.cpp's own, over loopback, spoken to by our codec through our transport.

It runs on a model of random weights whose tokens are single bytes, so what it counts can be counted here as well. Its
environment is built by ``make test`` and ``make compatible`` from a lock of its own.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lowtide.providers import ApiError, BodyFacts, CallParts, Codec
from lowtide.providers.registry import codec_for
from lowtide.request import Endpoint, Neutral
from lowtide.result import Billed, Outcome, Retry, Succeeded
from lowtide.transport import HttpTransport
from lowtide.wire import HttpCall, HttpReply

PYTHON = Path(__file__).resolve().parents[3] / ".venvs" / "llama" / "bin" / "python"
KEY = "a-key-of-this-test"
NEUTRAL = Neutral(system="Answer shortly.", shared=("One.", "Two."), text="Hej då?", max_output_tokens=12)


@dataclass(frozen=True, kw_only=True)
class Door:
    """The codec, and calls over real HTTP."""

    codec: Codec

    def ask(self, *calls: CallParts, key: str = KEY) -> list[HttpReply]:
        """Make calls, all at once."""

        async def all_of_them() -> list[HttpReply]:
            transport = HttpTransport(self.codec.base_url, loopback_only=True)
            headers = self.codec.headers(key)
            try:
                return await asyncio.gather(
                    *(
                        transport.send(HttpCall(method=call.method, path=call.path, headers=headers, body=call.body))
                        for call in calls
                    )
                )
            finally:
                await transport.close()

        return asyncio.run(all_of_them())

    def answer(self, params: bytes, *, key: str = KEY, endpoint: Endpoint = Endpoint.CHAT) -> Outcome | ApiError:
        (reply,) = self.ask(self.codec.message_call(params, endpoint), key=key)
        return self.codec.decode_message(status=reply.status, headers=reply.headers, body=reply.body)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PYTHON.exists(), "the server's environment is missing: make .venvs/llama"
    folder = tmp_path_factory.mktemp("llama")
    command = [PYTHON, Path(__file__).with_name("llama_server.py"), folder, KEY]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline().decode().strip()
        assert line.startswith("http://127.0.0.1:"), (folder / "log").read_text(errors="replace")[-2000:]
        yield line
        assert server.stdin is not None
        server.stdin.close()
        server.wait(timeout=20)


@pytest.fixture(scope="module", params=["", "/v1"])
def door(address: str, request: pytest.FixtureRequest) -> Door:
    return Door(codec=codec_for("here", protocol="openai", base_url=address + request.param))


def body(**changes: object) -> bytes:
    plain: dict[str, object] = {"model": "tiny", "max_tokens": 7, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(plain | changes).encode()


def test_a_neutral_body_is_answered_and_counted(door: Door) -> None:
    params = door.codec.encode(model="tiny", body=NEUTRAL)
    facts = door.codec.read_body(params, door.codec.neutral_endpoint)
    assert isinstance(facts, BodyFacts)
    found = door.answer(params)
    assert isinstance(found, Succeeded), found
    # A token a byte, and the template's own; the bound of the estimate holds.
    text = NEUTRAL.system + "".join(NEUTRAL.shared) + NEUTRAL.text
    assert len(text.encode()) < found.usage.input_tokens <= facts.content_bytes
    assert found.usage.output_tokens <= NEUTRAL.max_output_tokens
    assert found.stop_reason == ("max_tokens" if found.usage.output_tokens == 12 else "end_turn")
    assert found.text


def test_a_native_body_reaches_it_as_it_was(door: Door) -> None:
    """The same seed gives the same answer, and a field that only this server knows does what it does."""
    params = body(seed=3, temperature=1.5, cache_prompt=False)
    first, second = door.answer(params), door.answer(params)
    assert isinstance(first, Succeeded)
    assert isinstance(second, Succeeded)
    assert (first.text, first.usage) == (second.text, second.usage)
    assert first.usage.cache_read_tokens == 0
    other = door.answer(body(seed=4, temperature=1.5))
    assert isinstance(other, Succeeded)
    assert other.text != first.text


def test_what_it_read_from_its_cache_is_part_of_the_input(door: Door) -> None:
    for _ in range(2):
        found = door.answer(body(cache_prompt=True))
    assert isinstance(found, Succeeded)
    assert 0 < found.usage.cache_read_tokens < found.usage.input_tokens


def test_many_at_once_are_all_answered(door: Door) -> None:
    calls = [door.codec.message_call(body(max_tokens=1 + number), Endpoint.CHAT) for number in range(16)]
    replies = door.ask(*calls)
    found = [door.codec.decode_message(status=one.status, headers=one.headers, body=one.body) for one in replies]
    usages = [one.usage for one in found if isinstance(one, Succeeded)]
    assert len({usage.input_tokens for usage in usages}) == 1
    assert all(usage.output_tokens <= 1 + number for number, usage in enumerate(usages))
    assert len(usages) == 16


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"messages": "no list"}, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": "long " * 500}]}, "exceed_context_size_error"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "of tomorrow"}}}}, None),
    ],
)
def test_what_it_refuses_is_never_sent_again(door: Door, changes: dict[str, object], code: str | None) -> None:
    found = door.answer(body(**changes))
    assert isinstance(found, ApiError), found
    assert (found.refusal.retry, found.refusal.billed) == (Retry.NEVER, Billed.NO)
    assert code is None or found.code == code
    assert found.message
    assert not found.about_us


def test_a_wrong_key_is_about_us(door: Door) -> None:
    found = door.answer(body(), key="another")
    assert isinstance(found, ApiError)
    assert (found.status, found.code, found.about_us) == (401, "authentication_error", True)


def test_a_path_that_it_does_not_have_is_refused(door: Door) -> None:
    (reply,) = door.ask(door.codec.retrieve_call("batch_1"))
    found = door.codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
    assert isinstance(found, ApiError)
    assert (found.status, found.refusal.retry) == (404, Retry.NEVER)


def test_its_models_prove_the_key(door: Door) -> None:
    good, bad = door.ask(door.codec.models_call())[0], door.ask(door.codec.models_call(), key="another")[0]
    assert good.status == 200
    assert [one["id"] for one in json.loads(good.body)["data"]] == ["tiny"]
    assert bad.status in (200, 401)  # llama.cpp shows its models to anybody


def test_its_responses_are_read_too(door: Door) -> None:
    """The profile buys by Chat alone; a server that has Responses answers in a shape that is read all the same."""
    path = door.codec.message_call(b"{}", Endpoint.CHAT).path.replace("chat/completions", "responses")
    params = b'{"model":"tiny","input":"hi","max_output_tokens":5}'
    (reply,) = door.ask(CallParts(method="POST", path=path, body=params))
    found = door.codec.decode_message(status=reply.status, headers=reply.headers, body=reply.body)
    assert isinstance(found, Succeeded), found
    assert 0 < found.usage.output_tokens <= 5
