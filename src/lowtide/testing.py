"""For tests, ours and users': a door to any ASGI application without a socket, and a clock that it answers.

The application runs in this process, so hundreds of lives fit in a minute. An exception of the type ``cut`` out of the
application is a connection that was cut: before the reply's head it is a lost reply, after it a broken body.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from lowtide.errors import TransportFailed
from lowtide.transport import Upload
from lowtide.wire import HttpCall, HttpReply, HttpStream

Message = MutableMapping[str, Any]
Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class LoopbackTransport:
    """A ``Transport`` into an ASGI application in this process."""

    def __init__(self, application: Application, *, cut: type[BaseException]) -> None:
        self._application = application
        self._cut = cut

    async def send(self, call: HttpCall, upload: Upload | None = None) -> HttpReply:
        """Make the call and read the whole reply. Raises: TransportFailed when it is cut."""
        reply = _Reply()
        try:
            await self._run(call, upload, reply)
        except self._cut as error:
            raise TransportFailed(f"no answer to {call.method} {call.path}: cut", sent=True) from error
        return HttpReply(status=reply.status, headers=reply.headers, body=b"".join(reply.pieces))

    @asynccontextmanager
    async def stream(self, call: HttpCall) -> AsyncIterator[HttpStream]:
        """Make the call and read its reply piece by piece. What came before a cut is given, then TransportFailed."""
        reply = _Reply()
        broken: BaseException | None = None
        try:
            await self._run(call, None, reply)
        except self._cut as error:
            broken = error
            if not reply.status:
                raise TransportFailed(f"no answer to {call.method} {call.path}: cut", sent=True) from error
        yield HttpStream(status=reply.status, headers=reply.headers, chunks=_chunks(call, reply.pieces, broken))

    async def close(self) -> None:
        """Nothing is open."""

    async def _run(self, call: HttpCall, upload: Upload | None, reply: "_Reply") -> None:
        path, _, query = call.path.partition("?")
        headers = {name.lower(): value for name, value in call.headers.items()}
        length = upload.length if upload is not None else len(call.body or b"")
        headers["content-length"] = str(length)
        headers.setdefault("host", "loopback")
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": call.method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._application(scope, _receiver(call, upload), reply.take)


class _Reply:
    """What the application sends back."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self.pieces.append(bytes(message.get("body", b"")))


def _receiver(call: HttpCall, upload: Upload | None) -> Callable[[], Awaitable[Message]]:
    chunks = upload.chunks if upload is not None else None
    sent = 0
    over = False

    async def receive() -> Message:
        nonlocal sent, over
        if over:
            return {"type": "http.disconnect"}
        if chunks is None:
            over = True
            return {"type": "http.request", "body": call.body or b"", "more_body": False}
        async for chunk in chunks:
            sent += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": True}
        over = True
        assert upload is not None
        assert sent == upload.length, f"{sent} bytes were sent where {upload.length} were announced"
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


async def _chunks(call: HttpCall, pieces: list[bytes], broken: BaseException | None) -> AsyncIterator[bytes]:
    for piece in pieces:
        if piece:
            yield piece
    if broken is not None:
        raise TransportFailed(f"the reply to {call.method} {call.path} was cut", sent=True) from broken
