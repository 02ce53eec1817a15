"""Asks a world without a socket: for tests that want many lives a second.

Here: one request in, one whole answer out, through the same ASGI application that the server runs. Not here:
streaming to a caller piece by piece (drive the application yourself for that). Law: a cut connection is
``ConnectionCut``, with what was received before it in ``received``.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Message, Scope

from lowtide_simulator.app import create_app
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.validation import NEW_VERSION
from lowtide_simulator.world import World

OPENAI_HEADERS: Final = {"authorization": "Bearer sk-simulated", "content-type": "application/json"}
BOUNDARY: Final = "simulated-boundary"
HEADERS: Final = {"x-api-key": "sk-simulated", "anthropic-version": NEW_VERSION, "content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever was answered
        """The body as JSON."""
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        """The body as JSON Lines."""
        return [json.loads(line) for line in self.body.decode().splitlines()]


class InProcess:
    """A client of one world. ``ask`` is for synchronous tests, ``send`` for asynchronous ones."""

    def __init__(self, world: World | None = None, headers: Mapping[str, str] = HEADERS) -> None:
        self.world = world or World()
        self.headers = dict(headers)
        self.received = b""
        self._app = create_app(self.world)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - anything JSON
        headers: Mapping[str, str | None] | None = None,
    ) -> Answered:
        """Send one request in an event loop of its own. Raises ConnectionCut."""
        return asyncio.run(self.send(method, path, body, headers))

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - anything JSON
        headers: Mapping[str, str | None] | None = None,
    ) -> Answered:
        """Send one request; ``body`` is bytes or anything JSON; a header of None leaves that header out."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {**self.headers, **(headers or {})}
        path, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"simulator"), (b"content-length", str(len(raw)).encode())]
            + [(name.lower().encode(), value.encode()) for name, value in given.items() if value is not None],
        }
        asked = False
        status, found, pieces = 0, {}, []

        async def receive() -> Message:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, found
            if message["type"] == "http.response.start":
                status = message["status"]
                found = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                pieces.append(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        except ConnectionCut:
            self.received = b"".join(pieces)
            raise
        return Answered(status, found, b"".join(pieces))

    def upload(self, raw: bytes, filename: str = "input.jsonl", purpose: str = "batch", **fields: str) -> Answered:
        """Upload a file to OpenAI's half as a form; ``fields`` with a bracket are written as ``expires_after__seconds``."""
        given = {
            "purpose": purpose,
            **{name.replace("__", "[") + "]" * ("__" in name): v for name, v in fields.items()},
        }
        form = b"".join(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in given.items()
        )
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        form += (
            head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + raw + f"\r\n--{BOUNDARY}--\r\n".encode()
        )
        path = self.world.openai.profile.base_path + "/files"
        return self.ask("POST", path, form, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})

    def advance(self, seconds: float) -> None:
        """Move the virtual clock."""
        self.ask("POST", "/_simulator/clock/advance", {"seconds": seconds})
