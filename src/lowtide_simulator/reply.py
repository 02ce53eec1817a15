"""Replies on their way out, whole or cut.

Here: a reply that is bytes or a stream, and how much of it may be sent before the connection breaks. Not here: what is
replied. Law: a cut is never an error page; bytes before the cut have been handed to the connection.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.types import Receive, Scope, Send

from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.messages import encode

CHUNK_BYTES = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Reply:
    """One HTTP reply. ``cut_after`` breaks the connection after so many body bytes."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncGenerator[bytes, None] = b""
    cut_after: int | None = None
    sent: int = 0
    on_close: Callable[[int, bool], None] | None = None
    """Told the body bytes sent and whether the connection was cut, once the reply is over."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it. Raises ConnectionCut where the script cuts it."""
        headers = self.headers
        if isinstance(self.body, bytes):
            headers = [*headers, ("content-length", str(len(self.body)))]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        cut = True
        try:
            await self._send_body(send)
            cut = False
        finally:
            if self.on_close is not None:
                self.on_close(self.sent, cut)

    async def _send_body(self, send: Send) -> None:
        if isinstance(self.body, bytes):
            await self._send_chunk(send, self.body, more=False)
            return
        async with aclosing(self.body) as chunks:
            async for chunk in chunks:
                await self._send_chunk(send, chunk, more=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_chunk(self, send: Send, chunk: bytes, *, more: bool) -> None:
        """Send a chunk, up to the cut if there is one in it."""
        if self.cut_after is not None and self.sent + len(chunk) > self.cut_after:
            chunk = chunk[: self.cut_after - self.sent]
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self.sent += len(chunk)
            message = f"after {self.sent} bytes of the reply"
            raise ConnectionCut(message)
        self.sent += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


def json_reply(body: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:  # noqa: ANN401
    """A JSON reply."""
    return Reply(status=status, headers=[("content-type", "application/json"), *headers], body=encode(body))


def with_cut(reply: Reply, size: int) -> Reply:
    """The same reply, cut after ``size`` bytes of its body."""
    return replace(reply, cut_after=size)
