"""Webhooks: events of OpenAI's half, signed as Standard Webhooks, delivered to one receiver.

Here: what is signed and sent when, and again when the receiver failed. Not here: which events there are (``openai``). Law: an
event says what and which, never how it went, so a receiver has to ask; nothing is made unless a receiver is configured.

Every instant is the simulated one, the signed timestamp too. Deliveries that are due are posted after the request that moved
the clock has been answered. A receiver that does not answer 2xx is asked again, after 5 seconds, twice that, and so on.

Source: reference sheet of OpenAI's API, section 2.5; the Standard Webhooks specification. Checked 2026-11-21.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lowtide_simulator.clock import SECOND, Instant, rfc3339
from lowtide_simulator.faults import FaultKind
from lowtide_simulator.messages import encode

if TYPE_CHECKING:
    from lowtide_simulator.world import World

Sink = Callable[[dict[str, str], bytes], int]
"""Takes headers and body, returns the receiver's status."""

BACKOFF_SECONDS: Final = 5
GIVE_UP_SECONDS: Final = 72 * 3600
ANSWER_SECONDS: Final = 5.0
LOG_LINES: Final = 1_000
SECRET: Final = "whsec_" + base64.b64encode(b"a simulated secret, 32 bytes ...").decode()


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One event on its way."""

    id: str
    event: str
    body: bytes
    created_at: Instant
    attempt: int = 0
    forged: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt; ``status`` is 0 when nobody answered."""

    id: str
    event: str
    at: Instant
    attempt: int
    status: int

    def to_json(self) -> dict[str, Any]:
        """For ``GET /_simulator/webhooks``."""
        return {
            "id": self.id,
            "type": self.event,
            "at": rfc3339(self.at),
            "attempt": self.attempt,
            "status": self.status,
        }


class Webhooks:
    """The receiver, and what is on its way to it."""

    def __init__(self, world: "World", url: str | None = None, secret: str | None = None) -> None:
        self.url: str | None = None
        self.secret = SECRET
        self.sink: Sink | None = None
        self.ready: deque[Delivery] = deque()
        self.log: deque[Sent] = deque(maxlen=LOG_LINES)
        self._world = world
        self._held: list[Delivery] = []
        if url is not None:
            self.configure(url, secret)

    def configure(self, url: str | None, secret: str | None = None) -> None:
        """Send to this address from now on, or to nobody. Raises ValueError for a secret that is not base64."""
        if url is not None and urlsplit(url).scheme != "http":
            message = "only http addresses can be posted to"
            raise ValueError(message)
        if secret is not None:
            _key(secret)
            self.secret = secret
        self.url = url

    @property
    def on(self) -> bool:
        """Whether anybody listens."""
        return self.url is not None or self.sink is not None

    def tell(self, event: str, name: str, at: Instant) -> None:
        """Something happened: ``event`` is its type, ``name`` the object's id."""
        if not self.on:
            return
        world = self._world
        faults = {rule.fault: rule for rule in world.script.firing("WEBHOOK", event)}
        number = world.ids.count("evt")
        body = {"id": world.ids.hex("evt_", number), "object": "event", "created_at": at // SECOND, "type": event}
        made = Delivery(
            id=world.ids.hex("wh_", number),
            event=event,
            body=encode({**body, "data": {"id": name}}),
            created_at=at,
            forged=FaultKind.WEBHOOK_FORGED in faults,
        )
        waiting, self._held = self._held, []
        if FaultKind.WEBHOOK_LOST not in faults:
            delayed = faults.get(FaultKind.WEBHOOK_DELAYED)
            if FaultKind.WEBHOOK_REORDERED in faults:
                self._held = [made]
            else:
                self._due(made, at, delayed.seconds if delayed else 0.0)
            if FaultKind.WEBHOOK_TWICE in faults:
                self._due(made, at, 1.0)
        for earlier in waiting:
            self._due(earlier, at, 0.0)

    def _due(self, delivery: Delivery, at: Instant, seconds: float) -> None:
        if seconds:
            self._world.later(Instant(at + int(seconds * SECOND)), lambda _at: self.ready.append(delivery))
        else:
            self.ready.append(delivery)

    async def pump(self) -> None:
        """Post everything that is ready."""
        while self.ready:
            delivery = self.ready.popleft()
            delivery.attempt += 1
            now = self._world.clock.now()
            headers = sign(delivery, self.secret, now)
            status = self.sink(headers, delivery.body) if self.sink is not None else await self._post(headers, delivery)
            self.log.append(Sent(delivery.id, delivery.event, now, delivery.attempt, status))
            if not 200 <= status < 300 and now - delivery.created_at < GIVE_UP_SECONDS * SECOND:
                self._due(delivery, now, BACKOFF_SECONDS * 2.0 ** (delivery.attempt - 1))

    async def _post(self, headers: dict[str, str], delivery: Delivery) -> int:
        """One POST over a connection of its own; 0 when it fails. Redirects are failures."""
        assert self.url is not None
        try:
            return await asyncio.wait_for(_post(self.url, headers, delivery.body), ANSWER_SECONDS)
        except (OSError, TimeoutError, ValueError, IndexError):
            return 0

    def to_json(self) -> dict[str, Any]:
        """The body of ``GET /_simulator/webhooks``."""
        return {"url": self.url, "waiting": len(self.ready), "deliveries": [sent.to_json() for sent in self.log]}


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        message = "a secret is whsec_ and base64"
        raise ValueError(message) from error


def sign(delivery: Delivery, secret: str, at: Instant) -> dict[str, str]:
    """The headers of a delivery: HMAC-SHA256 over ``id.timestamp.body``."""
    stamp = str(at // SECOND)
    key = b"forged" if delivery.forged else _key(secret)
    signed = hmac.new(key, b".".join((delivery.id.encode(), stamp.encode(), delivery.body)), hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "user-agent": "OpenAI/1.0 (+simulated)",
        "webhook-id": delivery.id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


async def _post(url: str, headers: dict[str, str], body: bytes) -> int:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
