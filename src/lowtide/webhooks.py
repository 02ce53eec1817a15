"""The receiver of OpenAI's webhooks: a small web server that turns a signed event into one wish, look now.

Here: what is listened to, which signatures hold, every limit, and the answer to each event. Not here: what is kept of one
(``store/webhooks.py``), and what a person is told (``cli/webhooks.py``). Law: an event says where to look and nothing else;
whoever forges one gains nothing, and what no event told is found by polling.

Source: reference sheet of OpenAI's API, section 2.5; the Standard Webhooks specification. Checked 2026-11-22. The package
``standardwebhooks`` judges this file in tests and is not used here: it asks the machine for the time.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, NewType

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lowtide.clock import Clock
from lowtide.errors import CredentialMissing, LowtideError, SettingsInvalid
from lowtide.store import Store, Transaction
from lowtide.store.webhooks import Event, Heard, forget, hear
from lowtide.transport import is_loopback

TOLERANCE = timedelta(seconds=300)  # between the signed time and ours, either way
KEEP = timedelta(days=7)  # a failed delivery is repeated for 72 hours
FORGET_EVERY = timedelta(days=1)
BODY_BYTES_MAX = 65_536  # an event has about 200
READ_SECONDS = 5.0  # for a whole body to arrive
STORE_SECONDS = 3.0  # for the store to take an event; who delivers waits a few seconds
SIGNATURES_MAX = 16  # in one header
SECRET_BYTES_MIN = 16  # the specification asks for 24 to 64
CONNECTIONS_MAX = 64
WEBHOOK_ID = re.compile(r"[\x21-\x7e]{1,200}")
TIMESTAMP = re.compile(r"[0-9]{1,11}")
LENGTH = re.compile(r"[0-9]{1,9}")

Secret = NewType("Secret", bytes)


class Refused(StrEnum):
    """Why an event was not taken. Nothing of it is kept."""

    HEADERS = "headers"  # one of the three headers is missing or has no such form
    TIMESTAMP = "timestamp"  # it was signed too long ago, or in the future
    SIGNATURE = "signature"  # none of our secrets made this signature
    TOO_LARGE = "too_large"  # its body is larger than any event
    TOO_SLOW = "too_slow"  # its body did not arrive in time
    UNREADABLE = "unreadable"  # it was signed for us, and says nothing that we can read
    STORE_BUSY = "store_busy"  # the store did not take it in time: it has to come again


# What is answered. Whatever is not 2xx is delivered again, for up to 72 hours.
STATUS: Mapping[Heard | Refused, int] = {
    **dict.fromkeys(Heard, 204),
    Refused.HEADERS: 400,
    Refused.TIMESTAMP: 400,
    Refused.SIGNATURE: 400,
    Refused.TOO_LARGE: 413,
    Refused.TOO_SLOW: 408,
    Refused.UNREADABLE: 204,  # it would not be easier to read the next time
    Refused.STORE_BUSY: 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What arrived and what became of it. ``event`` is ``None`` where no signed event could be read, ``at`` where none knows."""

    verdict: Heard | Refused
    at: datetime | None = None
    event: Event | None = None


class _Object(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,200}\Z")]


class _Body(msgspec.Struct):
    """The part of an event that is read; there is no more in it than this, an id and a time."""

    type: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,100}\Z")]
    data: _Object


_READ = msgspec.json.Decoder(_Body)


def secret_from(text: str) -> Secret:
    """Read a secret as the provider shows it: ``whsec_`` and base64. Raises: CredentialMissing; the text is not in it."""
    hint = "copy it from the endpoint's page at the provider: whsec_ and about 44 letters"
    if not text.startswith("whsec_"):
        raise CredentialMissing("the webhook secret does not begin with whsec_", hint=hint)
    coded = text.removeprefix("whsec_")
    try:
        secret = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CredentialMissing("the webhook secret is not base64 behind whsec_", hint=hint) from error
    if len(secret) < SECRET_BYTES_MIN:
        raise CredentialMissing(f"the webhook secret has {len(secret)} bytes: that can be guessed", hint=hint)
    return Secret(secret)


def refusal(secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now: datetime) -> Refused | None:
    """Say why a delivery cannot be believed; ``None``: one of the secrets signed it, at most five minutes from ``now``.

    ``headers`` by small names. A secret that is being replaced stands beside its successor, on either side.
    """
    webhook_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split(" ")[:SIGNATURES_MAX]
    if not (WEBHOOK_ID.fullmatch(webhook_id) and TIMESTAMP.fullmatch(stamp) and any(given)):
        return Refused.HEADERS
    if abs(datetime.fromtimestamp(int(stamp), UTC) - now) > TOLERANCE:
        return Refused.TIMESTAMP
    signed = b".".join((webhook_id.encode(), stamp.encode(), body))
    wanted = [b"v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in secrets]
    found = [hmac.compare_digest(one, other.encode()) for one in wanted for other in given]
    return None if any(found) else Refused.SIGNATURE


class Receiver:
    """Takes deliveries and keeps what they say. ``on_arrival`` hears of each; ``counts`` has how often what happened."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        secrets: Sequence[Secret],
        on_arrival: Callable[[Arrival], None] = lambda _arrival: None,
    ) -> None:
        assert secrets, "without a secret nothing can be believed"
        self.counts: Counter[Heard | Refused] = Counter()
        self._store = store
        self._clock = clock
        self._secrets = tuple(secrets)
        self._on_arrival = on_arrival
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhooks")
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[Heard] | None = None
        self._forget_at: datetime | None = None

    def application(self) -> Starlette:
        """Give the web application: ``POST /`` and nothing else."""
        return Starlette(routes=[Route("/", self._answer, methods=["POST"])])

    def close(self) -> None:
        """Wait for what is being written."""
        self._threads.shutdown(cancel_futures=True)

    async def forget_old(self) -> int:
        """Delete events that nobody delivers any more; gives their number. Raises: StoreUnusable."""
        now = await self._clock.now()
        with self._store.write() as tx:
            return self._forget(tx, now)

    async def _answer(self, request: Request) -> Response:
        try:
            arrival = await self._arrive(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        self.counts[arrival.verdict] += 1
        self._on_arrival(arrival)
        status = STATUS[arrival.verdict]
        return Response(status_code=204) if status == 204 else PlainTextResponse(f"{arrival.verdict}\n", status)

    async def _arrive(self, request: Request) -> Arrival:
        """Read, believe or not, and keep."""
        try:
            body = await asyncio.wait_for(_body(request), READ_SECONDS)
        except TimeoutError:
            return Arrival(verdict=Refused.TOO_SLOW)
        if body is None:
            return Arrival(verdict=Refused.TOO_LARGE)
        try:
            now = await asyncio.wait_for(self._clock.now(), STORE_SECONDS)
        except (LowtideError, TimeoutError):
            return Arrival(verdict=Refused.STORE_BUSY)
        refused = refusal(self._secrets, request.headers, body, now)
        if refused is not None:
            return Arrival(verdict=refused, at=now)
        try:
            said = _READ.decode(body)
        except msgspec.DecodeError:
            return Arrival(verdict=Refused.UNREADABLE, at=now)
        event = Event(webhook_id=request.headers["webhook-id"], type=said.type, object_id=said.data.id)
        try:
            verdict: Heard | Refused = await asyncio.wait_for(self._keep(event, now), STORE_SECONDS)
        except (LowtideError, TimeoutError):
            verdict = Refused.STORE_BUSY
        return Arrival(verdict=verdict, at=now, event=event)

    async def _keep(self, event: Event, now: datetime) -> Heard:
        """Write an event, one after another and beside the event loop.

        Whoever has waited too long is told so, and what is being written goes on: when it is delivered again it is known. Until
        then the next one waits here, so that a store that hangs holds one thread and no queue.
        """
        async with self._turn:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            self._writing = asyncio.get_running_loop().run_in_executor(self._threads, self._write, event, now)
            return await asyncio.shield(self._writing)

    def _write(self, event: Event, now: datetime) -> Heard:
        with self._store.write() as tx:
            if self._forget_at is None or self._forget_at <= now:
                self._forget(tx, now)
            return hear(tx, event, now)

    def _forget(self, tx: Transaction, now: datetime) -> int:
        self._forget_at = now + FORGET_EVERY
        return forget(tx, now - KEEP)


async def _body(request: Request) -> bytes | None:
    """Read a body; ``None`` when it is larger than any event."""
    length = request.headers.get("content-length", "0")
    if not LENGTH.fullmatch(length) or int(length) > BODY_BYTES_MAX:
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return body


class Server(uvicorn.Server):
    """A server that says when it listens, and leaves quietly."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on the usual signals without raising them again afterwards, so that the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        caught = (signal.SIGINT, signal.SIGTERM)
        before = {name: signal.signal(name, self.handle_exit) for name in caught}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def listen(host: str, port: int, *, public: bool) -> socket.socket:
    """Open a listening socket; port 0 takes a free one. ``public``: somebody said that other machines may reach it.

    Raises: SettingsInvalid when it may not or cannot listen there.
    """
    if not public and not is_loopback(host):
        raise SettingsInvalid(
            f"{host} can be reached from other machines",
            hint="listen at 127.0.0.1 behind a proxy that speaks TLS, or say --public",
        )
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(CONNECTIONS_MAX)
    except OSError as error:
        made.close()
        raise SettingsInvalid(f"cannot listen at {host}, port {port}: {error.strerror}", hint="say --port") from error
    return made


def make_server(receiver: Receiver, announce: Callable[[], None]) -> Server:
    """Make a server for a receiver; ``announce`` is called once it listens."""
    config = uvicorn.Config(
        receiver.application(),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,  # more are answered 503, and come again
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    return Server(config, announce)
