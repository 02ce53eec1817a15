"""HTTP as values: a call to make and the reply that came. No socket is known here."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """One call to make.

    ``path`` begins with ``/`` and is joined to the provider's base URL. ``body`` is the whole body, or ``None`` when
    there is none or it is streamed (``transport.send`` then takes the stream and its ``content_length`` in bytes).
    ``timeout_seconds`` bounds the whole exchange; where a body is streamed, each wait for more of the reply.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_seconds: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """A whole reply: status, headers with lower-case names, body bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """The provider's name for this exchange, empty when it gave none."""
        return self.headers.get("request-id", "") or self.headers.get("x-request-id", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStream:
    """A reply whose body is read piece by piece; ``chunks`` raises ``TransportFailed`` when it is cut."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
