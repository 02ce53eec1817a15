"""The administrative endpoints: the clock, the bill, the faults, the log. For tests and demonstrations on loopback.

Law: nothing here is part of the provider's API; no key is asked for, and nothing is billed or limited.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from lowtide_simulator.bill import line_json
from lowtide_simulator.clock import SECOND, ClockMode, Instant, parse_instant, rfc3339, to_datetime, zulu
from lowtide_simulator.faults import parse_rules
from lowtide_simulator.messages import encode
from lowtide_simulator.reply import Reply, json_reply
from lowtide_simulator.world import World

LEASE_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 30.0
LINES_LIMIT: Final = 1_000

Act = Callable[[World, Request], Awaitable[Reply]]


def tool(act: Act) -> Callable[[Request], Awaitable[Reply]]:
    """Wrap an endpoint: the world in, mistakes out as 400."""

    async def enter(request: Request) -> Reply:
        world: World = request.scope["lowtide_simulator.world"]
        try:
            return await act(world, request)
        except (ValueError, TypeError, KeyError, msgspec.DecodeError) as error:
            return json_reply({"error": f"{type(error).__name__}: {error}"}, 400)

    return enter


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    decoded = msgspec.json.decode(raw) if raw else {}
    if not isinstance(decoded, dict):
        message = "the body must be an object"
        raise TypeError(message)
    return decoded


def _clock(world: World, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    return {"now": zulu(world.now()), "mode": world.clock.mode.value, "speed": world.clock.speed, **more}


async def get_clock(world: World, request: Request) -> Reply:
    """GET /_simulator/clock[?client=ID&lease_seconds=5]."""
    client = request.query_params.get("client")
    if client:
        lease = float(request.query_params.get("lease_seconds", LEASE_SECONDS))
        world.sleepers.hear(client).lease_seconds = lease
    return json_reply(_clock(world))


async def advance(world: World, request: Request) -> Reply:
    """POST /_simulator/clock/advance: ``{"seconds": N}`` or ``{"to": "2026-11-22T10:00:00Z"}``. Forwards only."""
    body = await _body(request)
    now = world.now()
    target = parse_instant(body["to"]) if "to" in body else Instant(now + int(float(body["seconds"]) * SECOND))
    if target < now:
        message = "the clock goes forwards only"
        raise ValueError(message)
    world.advance_to(target)
    return json_reply(_clock(world))


async def sleep(world: World, request: Request) -> Reply:
    """POST /_simulator/clock/sleep: a long poll; ``reached`` is false when ``wait_seconds`` (real) ran out."""
    body = await _body(request)
    client = str(body["client"])
    until = parse_instant(body["until"])
    lease = float(body.get("lease_seconds", LEASE_SECONDS))
    wait = float(body.get("wait_seconds", WAIT_SECONDS))
    sleeping = asyncio.ensure_future(world.sleep(client, until, lease, wait))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((sleeping, leaving), return_when=asyncio.FIRST_COMPLETED)
        reached = sleeping.done() and sleeping.result()
    finally:
        # A client that was killed in its sleep must not hold the clock for the others.
        sleeping.cancel()
        leaving.cancel()
    return json_reply(_clock(world, reached=reached))


async def _gone(request: Request) -> None:
    """Return when the client's connection has closed."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def forget_client(world: World, request: Request) -> Reply:
    """DELETE /_simulator/clock/clients/{id}: a client that leaves on purpose need not be waited for."""
    world.sleepers.clients.pop(request.path_params["id"], None)
    if world.clock.mode is ClockMode.VIRTUAL:
        world.jump_if_all_asleep()
    return json_reply(_clock(world))


async def get_bill(world: World, _request: Request) -> Reply:
    """GET /_simulator/bill."""
    world.now()
    return json_reply(world.bill.to_json())


async def get_bill_lines(world: World, request: Request) -> Reply:
    """GET /_simulator/bill/lines?after=N&limit=N: JSON Lines; ``after`` is a number of lines to leave out."""
    after = int(request.query_params.get("after", 0))
    limit = int(request.query_params.get("limit", LINES_LIMIT))
    found = world.bill_lines(after, limit)
    body = b"".join(encode(line_json(line)) + b"\n" for line in found)
    return Reply(headers=[("content-type", "application/x-jsonl")], body=body)


async def get_faults(world: World, _request: Request) -> Reply:
    """GET /_simulator/faults."""
    return json_reply({"faults": world.script.to_json()})


async def post_faults(world: World, request: Request) -> Reply:
    """POST /_simulator/faults: a rule, a list of rules, or ``{"faults": [...]}``; returns their ids."""
    return json_reply({"ids": world.script.add(parse_rules(await request.body()))})


async def delete_faults(world: World, request: Request) -> Reply:
    """DELETE /_simulator/faults[?id=N]."""
    number = request.query_params.get("id")
    world.script.remove(int(number) if number else None)
    return json_reply({"faults": world.script.to_json()})


async def get_log(world: World, _request: Request) -> Reply:
    """GET /_simulator/log: the last requests, oldest first."""
    lines = [{**asdict(line), "at": rfc3339(line.at)} for line in world.log]
    return json_reply({"requests": lines})


async def get_state(world: World, _request: Request) -> Reply:
    """GET /_simulator/state."""
    return json_reply({**_clock(world), **world.state()})


async def get_webhooks(world: World, _request: Request) -> Reply:
    """GET /_simulator/webhooks: the receiver, and what was sent to it."""
    return json_reply(world.webhooks.to_json())


async def post_webhooks(world: World, request: Request) -> Reply:
    """POST /_simulator/webhooks: ``{"url": "http://...", "secret": "whsec_..."}``; a null url ends it."""
    body = await _body(request)
    world.webhooks.configure(body["url"], body.get("secret"))
    return json_reply({**world.webhooks.to_json(), "secret": world.webhooks.secret})


ROUTES: Final = [
    Route("/_simulator/clock", tool(get_clock), methods=["GET"]),
    Route("/_simulator/clock/advance", tool(advance), methods=["POST"]),
    Route("/_simulator/clock/sleep", tool(sleep), methods=["POST"]),
    Route("/_simulator/clock/clients/{id}", tool(forget_client), methods=["DELETE"]),
    Route("/_simulator/bill", tool(get_bill), methods=["GET"]),
    Route("/_simulator/bill/lines", tool(get_bill_lines), methods=["GET"]),
    Route("/_simulator/faults", tool(get_faults), methods=["GET"]),
    Route("/_simulator/faults", tool(post_faults), methods=["POST"]),
    Route("/_simulator/faults", tool(delete_faults), methods=["DELETE"]),
    Route("/_simulator/log", tool(get_log), methods=["GET"]),
    Route("/_simulator/webhooks", tool(get_webhooks), methods=["GET"]),
    Route("/_simulator/webhooks", tool(post_webhooks), methods=["POST"]),
    Route("/_simulator/state", tool(get_state), methods=["GET"]),
]

__all__ = ["ROUTES", "to_datetime"]
