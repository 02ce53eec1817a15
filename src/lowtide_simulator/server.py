"""The simulator as a process of its own: a socket, uvicorn, and the reset that a cut connection needs.

Here: serving a world over TCP. Not here: what is served. Law: standard output gets one line, when we listen.
"""

import asyncio
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lowtide_simulator.app import CUT, create_app
from lowtide_simulator.clock import ClockMode
from lowtide_simulator.world import World

if sys.platform == "linux":
    import fcntl
    import termios

RESET: Final = struct.pack("ii", 1, 0)
FLUSH_SECONDS: Final = 5.0


class CuttableProtocol(HttpToolsProtocol):
    """HTTP whose connections the application can break."""

    def on_message_begin(self) -> None:
        """Offer the cut to the application."""
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"connection": self.cut}}

    async def cut(self) -> None:
        """Let what was written leave, then reset the connection."""
        raw: Any = self.transport.get_extra_info("socket")
        deadline = asyncio.get_running_loop().time() + FLUSH_SECONDS
        await asyncio.sleep(0)
        while not self.transport.is_closing() and asyncio.get_running_loop().time() < deadline:
            if not self.transport.get_write_buffer_size() and not _unsent(raw.fileno()):
                break
            await asyncio.sleep(0.001)
        if not self.transport.is_closing():
            duplicate = socket.socket(fileno=os.dup(raw.fileno()))
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            duplicate.close()
            self.transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)  # Uvicorn must see the loss, or it would answer 500.


def _unsent(number: int) -> int:
    """Bytes that the kernel has not delivered yet; a reset would drop them. 0 where the system cannot say."""
    if sys.platform != "linux":
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)))
    return int(count)


class Server(uvicorn.Server):
    """A server that says when it listens and leaves quietly."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], world: World) -> None:
        super().__init__(config)
        self._announce = announce
        self._world = world

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: on a clock that runs by itself, post the webhooks that have become due."""
        if self._world.webhooks.on and self._world.clock.mode is not ClockMode.VIRTUAL:
            self._world.now()
            await self._world.webhooks.pump()
        return bool(await super().on_tick(counter))

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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def make_server(world: World, announce: Callable[[], None]) -> Server:
    """A uvicorn server for a world; ``announce`` is called once it listens."""
    config = uvicorn.Config(
        create_app(world),
        http=CuttableProtocol,
        loop="uvloop" if _has_uvloop() else "asyncio",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        backlog=2_048,
    )
    return Server(config, announce, world)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401, PLC0415 - absent on Windows
    except ImportError:
        return False
    return True
