"""HttpCall in, HttpReply out: the only room that imports an HTTP client. It never retries and follows no redirect.

Whether a call may be repeated is decided by whoever knows what it costs, never here. A reply that does not come is a
``TransportFailed`` that says whether the call can have arrived. The client itself is loaded with the first call
(``http.py``), so that commands which only look start fast.
"""

import importlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from lowtide.errors import TransportFailed
from lowtide.wire import HttpCall, HttpReply, HttpStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A body that is streamed: its pieces and its exact length in bytes."""

    chunks: AsyncIterator[bytes]
    length: int


class Transport(Protocol):
    """A door to one server."""

    async def send(self, call: HttpCall, upload: Upload | None = None) -> HttpReply:
        """Make the call and read the whole reply. Raises: TransportFailed."""
        ...

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[HttpStream]:
        """Make the call and read its reply piece by piece. Raises: TransportFailed, also while reading."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class HttpTransport:
    """The door to one base URL. ``loopback_only`` refuses every other host: a test suite cannot spend."""

    def __init__(self, base_url: str, *, loopback_only: bool = False, connections_max: int = 64) -> None:
        self._base = base_url.rstrip("/")
        self._connections_max = connections_max
        self._client: Transport | None = None
        host = urlsplit(self._base).hostname or ""
        if loopback_only and not is_loopback(host):
            raise TransportFailed(f"only loopback hosts may be called here, not {host}", sent=False)

    async def send(self, call: HttpCall, upload: Upload | None = None) -> HttpReply:
        """Make the call and read the whole reply. Raises: TransportFailed."""
        return await self._loaded().send(call, upload)

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[HttpStream]:
        """Make the call and read its reply piece by piece. Raises: TransportFailed, also while reading."""
        return self._loaded().stream(call)

    async def close(self) -> None:
        """Close the connections, if there were any."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _loaded(self) -> Transport:
        if self._client is None:
            client: Transport = importlib.import_module("lowtide.transport.http").Client(
                self._base, connections_max=self._connections_max
            )
            self._client = client
        return self._client


def is_loopback(host: str) -> bool:
    """Say whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
