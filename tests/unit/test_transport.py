"""``transport``: over real sockets on this machine. What can have arrived is never called unsent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from lowtide.errors import TransportFailed
from lowtide.transport import HttpTransport, Upload, http, is_loopback
from lowtide.wire import HttpCall, HttpReply

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GET = HttpCall(method="GET", path="/v1/models")
POST = HttpCall(method="POST", path="/v1/messages", headers={"x-api-key": "k"}, body=b"hello")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRequest-Id: req_1\r\n\r\nok"


class Server:
    """A server that reads one request and answers by a script; it keeps what it read."""

    def __init__(self, answer: bytes, *, read_body: bool = True, more: Serve | None = None) -> None:
        self.answer = answer
        self.read_body = read_body
        self.more = more
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self.read_body:
                self.bodies.append(await _body(reader, head))
            writer.write(self.answer)
            await writer.drain()
            if self.more is not None:
                await self.more(reader, writer)
            if self.more is not None or not self.answer.endswith(b"ok"):
                return


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return await reader.readexactly(int(value))
    return b""


def talk(server: Server, ask: Callable[[HttpTransport], Awaitable[None]]) -> None:
    """Start the server on a free port of this machine, ask, and end both."""

    async def life() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        transport = HttpTransport(f"http://127.0.0.1:{port}/", loopback_only=True)
        try:
            await asyncio.wait_for(ask(transport), 20)
        finally:
            await transport.close()
            listening.close()
            for task in server.tasks:
                task.cancel()
            await asyncio.gather(*server.tasks, return_exceptions=True)
            await listening.wait_closed()

    asyncio.run(life())


def send(server: Server, call: HttpCall, upload: Upload | None = None) -> HttpReply:
    replies: list[HttpReply] = []

    async def ask(transport: HttpTransport) -> None:
        replies.append(await transport.send(call, upload))

    talk(server, ask)
    return replies[0]


def fails(server: Server, call: HttpCall, upload: Upload | None = None) -> TransportFailed:
    with pytest.raises(TransportFailed) as failed:
        send(server, call, upload)
    return failed.value


def test_a_call_goes_out_as_it_is_and_a_reply_comes_back_whole() -> None:
    server = Server(OK)
    reply = send(server, POST)
    assert (reply.status, reply.body, reply.headers["request-id"], reply.request_id) == (200, b"ok", "req_1", "req_1")
    assert server.heads[0].startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert b"x-api-key: k\r\n" in server.heads[0]
    assert server.bodies == [b"hello"]


def test_a_path_is_sent_byte_for_byte() -> None:
    server = Server(OK)
    send(server, HttpCall(method="GET", path="/v1/a%2Fb?after_id=x%20y&limit=1"))
    assert server.heads[0].startswith(b"GET /v1/a%2Fb?after_id=x%20y&limit=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 529])
def test_a_refusal_is_a_reply(status: int) -> None:
    server = Server(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nno" % status)
    reply = send(server, POST)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b"no", "7")


def test_a_post_without_a_body_has_length_nothing() -> None:
    server = Server(OK)
    send(server, HttpCall(method="POST", path="/v1/cancel"))
    assert b"content-length: 0" in server.heads[0].lower()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """A key goes to the host it is for."""
    answer = b"HTTP/1.1 %d Go\r\nLocation: http://127.0.0.1:1/else\r\nContent-Length: 2\r\n\r\nok" % status
    server = Server(answer)
    assert send(server, POST).status == status
    assert len(server.heads) == 1


def test_cookies_are_not_kept() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok")

    async def ask(transport: HttpTransport) -> None:
        await transport.send(GET)
        await transport.send(GET)

    talk(server, ask)
    assert len(server.heads) == 2
    assert b"cookie" not in server.heads[1].lower()


# no answer


def test_a_connection_that_was_refused_was_never_sent() -> None:
    async def ask() -> None:
        taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        taken.close()
        await taken.wait_closed()
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        try:
            await transport.send(POST)
        finally:
            await transport.close()

    with pytest.raises(TransportFailed, match="no answer to POST /v1/messages") as failed:
        asyncio.run(ask())
    assert not failed.value.sent
    assert "lowtide doctor" in failed.value.hint


@pytest.mark.parametrize(
    "server",
    [
        Server(b""),
        Server(b"", read_body=False),
        Server(b"HTTP/1.1 200 OK\r\nContent-"),
        Server(b"nonsense\r\n\r\n"),
        Server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"),
        Server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ],
    ids=["after the body", "before the body", "in the head", "no HTTP", "in the reply", "between chunks"],
)
def test_whatever_is_cut_after_connecting_may_have_arrived(server: Server) -> None:
    failed = fails(server, POST)
    assert failed.sent
    assert failed.hint == ""
    assert "k" not in failed.message.split(), "no header is ever quoted"


def test_a_call_is_never_repeated() -> None:
    """A create that is sent twice is paid twice."""
    server = Server(b"")
    fails(server, POST)
    assert len(server.heads) == 1


def test_a_kept_connection_that_went_stale_is_not_used_to_send_twice() -> None:
    server = Server(OK)

    async def ask(transport: HttpTransport) -> None:
        await transport.send(GET)
        server.answer = b""
        with pytest.raises(TransportFailed) as failed:
            await transport.send(POST)
        assert failed.value.sent

    talk(server, ask)
    assert len(server.heads) == 2


def test_a_reply_that_never_ends_is_cut_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the memory otherwise; what it was may have been bought."""
    monkeypatch.setattr(http, "REPLY_BYTES_MAX", 1 << 20)

    async def on_and_on(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    failed = fails(Server(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", more=on_and_on), POST)
    assert failed.sent
    assert "larger than 1 MB" in failed.message


@pytest.mark.parametrize("streams", [False, True])
def test_a_reply_that_trickles_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, streams: bool) -> None:
    """A byte now and then kept every limit between two pieces; a call is bounded as a whole."""
    monkeypatch.setattr(http, "READ_SECONDS", 0.2)

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0)

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    slow = HttpCall(method="POST", path="/v1/messages", body=None if streams else b"hello", timeout_seconds=0)
    upload = Upload(chunks=pieces(b"hello"), length=5) if streams else None
    assert fails(Server(head, more=trickle), slow, upload).sent


# streamed bodies


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_a_streamed_body_has_its_exact_length_and_is_not_chunked() -> None:
    server = Server(OK)
    chunks = [b"a" * 70_000, b"", b"b" * 5]
    body = b"".join(chunks)
    call = HttpCall(method="POST", path="/v1/messages/batches", headers={"content-type": "application/json"})
    assert send(server, call, Upload(chunks=pieces(*chunks), length=len(body))).status == 200
    assert server.bodies == [body]
    assert b"content-length: %d\r\n" % len(body) in server.heads[0].lower()
    assert b"transfer-encoding" not in server.heads[0].lower()


def test_a_streamed_body_that_breaks_off_may_have_arrived() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError("the disk is gone")

    assert fails(Server(OK), POST, Upload(chunks=breaking(), length=100)).sent


def test_a_reply_before_the_body_is_sent_is_still_a_reply() -> None:
    """An edge that refuses a large body does not read it."""

    async def many() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 65_536

    async def drain(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 20):
            pass

    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    server = Server(answer, read_body=False, more=drain)
    upload = Upload(chunks=many(), length=50 * 65_536)
    try:
        answered = send(server, POST, upload).status == 413
    except TransportFailed as failed:
        answered = failed.sent
    assert answered


# streamed replies


def read(server: Server) -> tuple[int, bytes, bool]:
    """(status, what came, whether it was cut)."""
    found: list[tuple[int, bytes, bool]] = []

    async def ask(transport: HttpTransport) -> None:
        got, cut, status = b"", False, 0
        try:
            async with transport.stream(GET) as stream:
                status = stream.status
                async for chunk in stream.chunks:
                    got += chunk
        except TransportFailed as failed:
            cut = failed.sent
        found.append((status, got, cut))

    talk(server, ask)
    return found[0]


def test_a_reply_is_read_piece_by_piece() -> None:
    body = b"line\n" * 40_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert read(Server(answer)) == (200, body, False)


def test_what_came_before_a_cut_is_given() -> None:
    body = b"line\n" * 10
    status, got, cut = read(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + body))
    assert (status, cut) == (200, True)
    assert body.startswith(got)


def test_a_stream_that_never_begins_is_a_failure() -> None:
    assert read(Server(b"")) == (0, b"", True)


def test_a_stream_may_be_left_early() -> None:
    body = b"line\n" * 400_000

    async def ask(transport: HttpTransport) -> None:
        async with transport.stream(GET) as stream:
            async for chunk in stream.chunks:
                assert chunk
                break

    talk(Server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body), ask)


# loopback


@pytest.mark.parametrize(
    "url", ["https://api.anthropic.com", "http://10.0.0.1", "http://[2001:db8::1]", "http://", "x"]
)
def test_a_test_suite_cannot_spend(url: str) -> None:
    with pytest.raises(TransportFailed, match="only loopback hosts") as refused:
        HttpTransport(url, loopback_only=True)
    assert not refused.value.sent


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("api.anthropic.com", False),
    ],
)
def test_what_means_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_closing_twice_and_unused_is_nothing() -> None:
    async def life() -> None:
        transport = HttpTransport("https://api.anthropic.com")
        await transport.close()
        await transport.close()

    asyncio.run(life())
