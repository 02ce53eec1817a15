"""The HTTP client behind ``HttpTransport``: aiohttp, one session a base URL, loaded with the first call."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

import aiohttp
from yarl import URL

from lowtide.errors import TransportFailed
from lowtide.transport import Upload
from lowtide.wire import HttpCall, HttpReply, HttpStream

CONNECT_SECONDS = 20
READ_SECONDS = 120  # at least, for a whole reply, or between two pieces of a streamed one
CHUNK_BYTES = 1 << 16
REPLY_BYTES_MAX = 64 << 20


class Client:
    """One session to one base URL."""

    def __init__(self, base_url: str, *, connections_max: int) -> None:
        self._base = base_url
        self._session: aiohttp.ClientSession | None = None
        self._connections_max = connections_max

    async def send(self, call: HttpCall, upload: Upload | None = None) -> HttpReply:
        """Make the call and read the whole reply. Raises: TransportFailed."""
        sent = _Sent()
        try:
            async with self._request(call, upload, sent, streams=upload is not None) as response:
                async with asyncio.timeout(_seconds(call)):  # the reply to a streamed body has an end, too
                    return HttpReply(status=response.status, headers=_lower(response), body=await _whole(response))
        except _FAILURES as error:
            raise _failed(call, self._base, error, sent) from error

    @asynccontextmanager
    async def stream(self, call: HttpCall) -> AsyncIterator[HttpStream]:
        """Make the call and read its reply piece by piece. Raises: TransportFailed, also while reading."""
        sent = _Sent()
        try:
            async with self._request(call, None, sent, streams=True) as response:
                yield HttpStream(
                    status=response.status, headers=_lower(response), chunks=self._chunks(call, response, sent)
                )
        except _FAILURES as error:
            raise _failed(call, self._base, error, sent) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _chunks(self, call: HttpCall, response: aiohttp.ClientResponse, sent: "_Sent") -> AsyncIterator[bytes]:
        try:
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                yield chunk
        except _FAILURES as error:
            raise _failed(call, self._base, error, sent) from error

    def _request(
        self, call: HttpCall, upload: Upload | None, sent: "_Sent", *, streams: bool
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections_max),
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        headers = call.headers
        payload: bytes | AsyncIterator[bytes] | None = call.body
        if upload is not None:
            headers = {**headers, "content-length": str(upload.length)}
            payload = _marking(upload.chunks, sent)
        elif call.method == "POST" and call.body is None:
            payload = b""
        return self._session.request(
            call.method,
            URL(self._base + call.path, encoded=True),
            data=payload,
            headers=headers,
            timeout=_timeout(_seconds(call), streams=streams),
            allow_redirects=False,
        )


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Read a whole body, up to ``REPLY_BYTES_MAX``. Raises: ClientPayloadError when it is longer."""
    pieces: list[bytes] = []
    length = 0
    while piece := await response.content.readany():
        length += len(piece)
        if length > REPLY_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"the reply is larger than {REPLY_BYTES_MAX >> 20} MB")
        pieces.append(piece)
    return b"".join(pieces)


def _seconds(call: HttpCall) -> int:
    return max(call.timeout_seconds, READ_SECONDS)


@cache
def _timeout(seconds: int, *, streams: bool) -> aiohttp.ClientTimeout:
    """Bound a whole exchange; where a body streams, in either direction, the time between two pieces of the reply."""
    if streams:
        return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=seconds)
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)


class _Sent:
    """Whether a first byte of a streamed body was taken from us."""

    def __init__(self) -> None:
        self.any = False


_FAILURES = (aiohttp.ClientError, asyncio.TimeoutError, ssl.SSLError, ConnectionError)


async def _marking(chunks: AsyncIterator[bytes], sent: _Sent) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        sent.any = True
        yield chunk


def _failed(call: HttpCall, base: str, error: BaseException, sent: _Sent) -> TransportFailed:
    """Say what happened. Only a connection that was never made proves that nothing arrived."""
    never_connected = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    cause = str(error) or type(error).__name__
    hint = f"is {base} reachable from here? lowtide doctor looks" if never_connected else ""
    return TransportFailed(
        f"no answer to {call.method} {call.path}: {cause}", sent=sent.any or not never_connected, hint=hint
    )


def _lower(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
