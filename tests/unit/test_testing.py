"""``testing``: the door without a socket does what a real one does, cuts included."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lowtide.errors import TransportFailed
from lowtide.testing import LoopbackTransport
from lowtide.transport import Upload
from lowtide.wire import HttpCall, HttpReply


class Cut(Exception):
    """A connection that was cut."""


class Application:
    """Echoes what it gets in two pieces, and cuts where it is told to."""

    def __init__(self, cut: str = "") -> None:
        self.cut = cut
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        assert (await receive())["type"] == "http.disconnect"
        if self.cut == "head":
            raise Cut
        await send({"type": "http.response.start", "status": 201, "headers": [(b"X-Mine", b"yes")]})
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        if self.cut == "body":
            raise Cut
        await send({"type": "http.response.body", "body": body[3:]})
        await send({"type": "http.response.body"})
        if self.cut == "other":
            raise KeyError


POST = HttpCall(method="POST", path="/v1/x%20y?a=b", headers={"X-Api-Key": "k"}, body=b"hello")


def send(application: Application, call: HttpCall = POST, upload: Upload | None = None) -> HttpReply:
    async def life() -> HttpReply:
        transport = LoopbackTransport(application, cut=Cut)
        reply = await transport.send(call, upload)
        await transport.close()
        return reply

    return asyncio.run(life())


def test_a_call_arrives_and_its_reply_comes_back() -> None:
    application = Application()
    assert send(application) == HttpReply(status=201, headers={"x-mine": "yes"}, body=b"hello")
    (scope,) = application.scopes
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/v1/x%20y", b"a=b")
    assert (b"x-api-key", b"k") in scope["headers"]
    assert (b"content-length", b"5") in scope["headers"]


def test_a_call_without_a_body() -> None:
    assert send(Application(), HttpCall(method="GET", path="/")).body == b""


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_a_streamed_body_arrives_whole() -> None:
    application = Application()
    send(application, upload=Upload(chunks=pieces(b"ab", b"cd"), length=4))
    assert application.bodies == [b"abcd"]


def test_a_wrong_length_is_ours() -> None:
    with pytest.raises(AssertionError, match="4 bytes were sent where 5 were announced"):
        send(Application(), upload=Upload(chunks=pieces(b"ab", b"cd"), length=5))


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_cut_is_a_lost_reply(where: str) -> None:
    with pytest.raises(TransportFailed, match="no answer to POST") as failed:
        send(Application(where))
    assert failed.value.sent


def test_a_fault_of_the_application_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        send(Application("other"))


@pytest.mark.parametrize(
    ("where", "expected"), [("", (201, b"hello", False)), ("body", (201, b"hel", True)), ("head", (0, b"", True))]
)
def test_a_streamed_reply_gives_what_came_before_a_cut(where: str, expected: tuple[int, bytes, bool]) -> None:
    async def life() -> tuple[int, bytes, bool]:
        status, got = 0, b""
        try:
            async with LoopbackTransport(Application(where), cut=Cut).stream(POST) as stream:
                status = stream.status
                async for chunk in stream.chunks:
                    got += chunk
        except TransportFailed as failed:
            return status, got, failed.sent
        return status, got, False

    assert asyncio.run(life()) == expected
