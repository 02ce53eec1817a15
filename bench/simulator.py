"""How fast and how small the simulator is, against a bare ASGI echo on the same server in the same run.

``python bench/simulator.py [BATCH_REQUESTS] [REALTIME_REQUESTS]``. Prints one line a figure; CPU is the server's own.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

HEADERS = {"x-api-key": "sk-simulated", "anthropic-version": "2026-10-21", "content-type": "application/json"}
PROSE = "The order is checked by a clerk, and when the amount is above the limit a second person confirms it. " * 9
ECHO = """
import asyncio, json, sys, uvicorn
from lowtide_simulator.server import listen
async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = message.get("body", b"") or body, message.get("more_body", False)
    raw = json.dumps({"echo": len(body)}).encode() * 40
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(raw)).encode())]})
    await send({"type": "http.response.body", "body": raw})
sock = listen("127.0.0.1", 0)
print(json.dumps({"address": "http://127.0.0.1:%d" % sock.getsockname()[1]}), flush=True)
config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_config=None)
uvicorn.Server(config).run(sockets=[sock])
"""


class Served:
    """A server process and what it has cost so far."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())["address"]

    def cpu(self) -> float:
        """Seconds of CPU."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """Peak resident memory in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


def params(number: int) -> dict[str, object]:
    """A body of about 1 KB."""
    return {
        "model": "claude-sonnet-5",
        "max_tokens": 600,
        "messages": [{"role": "user", "content": f"{number} {PROSE}"}],
    }


async def envelope(count: int) -> AsyncIterator[bytes]:
    """The body of a batch in pieces, so that this process stays small too."""
    yield b'{"requests":['
    for start in range(0, count, 100):
        entries = (
            json.dumps({"custom_id": f"r{n}", "params": params(n)}) for n in range(start, min(count, start + 100))
        )
        yield (b"," if start else b"") + ",".join(entries).encode()
    yield b"]}"


def say(name: str, value: float, unit: str, note: str = "") -> None:
    print(f"{name:<44} {value:>12,.2f} {unit:<12} {note}")


async def step(name: str, server: Served, count: int, work: object) -> None:
    """Time one step of a batch's life."""
    cpu, wall = server.cpu(), time.perf_counter()
    await work  # type: ignore[misc]
    spent = time.perf_counter() - wall
    say(f"{name}: wall", spent, "s")
    say(f"{name}: server CPU a request", (server.cpu() - cpu) / count * 1e6, "us")


async def batch_life(http: aiohttp.ClientSession, server: Served, count: int) -> None:
    """Create, end, download."""
    place = f"{server.address}/v1/messages/batches"
    made: dict[str, str] = {}
    size = 0

    async def create() -> None:
        async with http.post(place, data=envelope(count), headers=HEADERS) as reply:
            made.update(await reply.json())

    async def end() -> None:
        async with http.post(f"{server.address}/_simulator/clock/advance", json={"seconds": 86_400}) as reply:
            await reply.read()

    async def download() -> None:
        nonlocal size
        async with http.get(f"{place}/{made['id']}/results", headers=HEADERS) as reply:
            async for chunk in reply.content.iter_any():
                size += len(chunk)

    small = server.peak_mb()
    await step(f"batch of {count:,}, create", server, count, create())
    await step(f"batch of {count:,}, end and bill", server, count, end())
    await step(f"batch of {count:,}, results", server, count, download())
    say(f"batch of {count:,}, results", size / 1e6, "MB")
    say(f"batch of {count:,}, peak memory", server.peak_mb(), "MB", f"(before it: {small:.0f})")


async def flood(http: aiohttp.ClientSession, server: Served, count: int, path: str) -> float:
    """Server CPU seconds for ``count`` calls, 64 in flight."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            async with http.post(server.address + path, data=json.dumps(params(number)), headers=HEADERS) as reply:
                await reply.read()
                assert reply.status == 200

    cpu, wall = server.cpu(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(64)))
    spent = time.perf_counter() - wall
    say(f"{path}: answers a second (client included)", count / spent, "/s")
    return server.cpu() - cpu


async def main(batch_count: int, realtime_count: int) -> None:
    """All figures."""
    simulator, echo = Served("-m", "lowtide_simulator"), Served("-c", ECHO)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as http:
            ours = await flood(http, simulator, realtime_count, "/v1/messages")
            bare = await flood(http, echo, realtime_count, "/echo")
            say(
                "/v1/messages: server CPU an answer",
                ours / realtime_count * 1e6,
                "us",
                f"{ours / bare:.1f} x a bare echo",
            )
            say("/v1/messages: answers a second of one core", realtime_count / ours, "/s")
            await batch_life(http, simulator, batch_count)
    finally:
        simulator.stop()
        echo.stop()


if __name__ == "__main__":
    counts = [int(text) for text in sys.argv[1:]] or [100_000, 5_000]
    asyncio.run(main(counts[0], counts[1] if len(counts) > 1 else 5_000))
