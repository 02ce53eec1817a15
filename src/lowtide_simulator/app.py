"""The simulated provider as one ASGI application.

Here: the routes and ``create_app``. Not here: what an endpoint does (``realtime``, ``batch_calls``, ``admin``). Law:
called in process it raises ``ConnectionCut`` where a server resets the socket; nothing else leaves it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lowtide_simulator import admin
from lowtide_simulator.batch_calls import (
    batch_call,
    batch_results,
    cancel_batch,
    create_batch,
    delete_batch,
    list_batches,
    retrieve_batch,
)
from lowtide_simulator.door import WORLD, Call, Endpoint, door
from lowtide_simulator.errors import ApiError
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.openai import batch_calls as openai_batches
from lowtide_simulator.openai import file_calls as openai_files
from lowtide_simulator.openai import realtime as openai
from lowtide_simulator.openai.door import OPENAI
from lowtide_simulator.realtime import count_tokens, create_message, get_model, list_models
from lowtide_simulator.reply import Reply
from lowtide_simulator.world import World

CUT: Final = "lowtide_simulator.cut"
BATCH_PATH: Final = "/v1/messages/batches"


async def not_found(_call: Call) -> Reply:
    """Any other path."""
    raise ApiError(404, "Not found")


def either(anthropic: Endpoint, other: Endpoint) -> Callable[[Request], Awaitable[ASGIApp]]:
    """A path that both providers have: the version header tells whose client it is."""
    doors = door(anthropic), door(other, OPENAI)

    async def enter(request: Request) -> ASGIApp:
        return await doors[0 if is_anthropic(request) else 1](request)

    return enter


def is_anthropic(request: Request) -> bool:
    """Whether a client speaks Anthropic's dialect."""
    return "anthropic-version" in request.headers or "x-api-key" in request.headers


def theirs(path: str, endpoint: Endpoint, method: str) -> Route:
    """A route of OpenAI's; Anthropic's clients find nothing there."""
    return Route(path, either(not_found, endpoint), methods=[method])


OPENAI_ROUTES: Final = [
    theirs("/v1/files", openai_files.upload, "POST"),
    theirs("/v1/files", openai_files.list_files, "GET"),
    theirs("/v1/files/{id}", openai_files.get_file, "GET"),
    theirs("/v1/files/{id}", openai_files.delete_file, "DELETE"),
    theirs("/v1/files/{id}/content", openai_files.file_content, "GET"),
    theirs("/v1/batches", openai_batches.create_batch, "POST"),
    theirs("/v1/batches", openai_batches.list_batches, "GET"),
    theirs("/v1/batches/{id}", openai_batches.get_batch, "GET"),
    theirs("/v1/batches/{id}/cancel", openai_batches.cancel_batch, "POST"),
    theirs("/v1/chat/completions", openai.create_chat, "POST"),
    theirs("/v1/responses", openai.create_response, "POST"),
    theirs("/v1/responses/input_tokens", openai.count_tokens, "POST"),
    theirs("/v1/responses/{id}", openai.get_response, "GET"),
    theirs("/v1/responses/{id}", openai.delete_response, "DELETE"),
    theirs("/v1/responses/{id}/cancel", openai.cancel_response, "POST"),
]
ROUTES: Final = [
    *admin.ROUTES,
    Route("/v1/messages", door(create_message), methods=["POST"]),
    Route("/v1/messages/count_tokens", door(count_tokens), methods=["POST"]),
    Route(BATCH_PATH, door(batch_call(create_batch)), methods=["POST"]),
    Route(BATCH_PATH, door(batch_call(list_batches)), methods=["GET"]),
    Route(BATCH_PATH + "/{id}", door(batch_call(retrieve_batch)), methods=["GET"]),
    Route(BATCH_PATH + "/{id}", door(batch_call(delete_batch)), methods=["DELETE"]),
    Route(BATCH_PATH + "/{id}/cancel", door(batch_call(cancel_batch)), methods=["POST"]),
    Route(BATCH_PATH + "/{id}/results", door(batch_call(batch_results)), methods=["GET"]),
    Route("/v1/models", either(list_models, openai.list_models), methods=["GET"]),
    Route("/v1/models/{id}", either(get_model, openai.get_model), methods=["GET"]),
    *OPENAI_ROUTES,
]


async def wrong_method(_call: Call) -> Reply:
    """A path of ours with a method that it does not have."""
    raise ApiError(405, "Method Not Allowed")


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Any path that is not ours."""
    reply = await either(not_found, not_found)(Request(scope, receive, send))
    await reply(scope, receive, send)


ROUTER: Final = Router(ROUTES, default=elsewhere)


def under_base(scope: Scope, world: World) -> Scope:
    """The scope with its path under ``/v1``; a profile with another base has nothing of OpenAI's there."""
    base = world.openai.profile.base_path
    path = scope["path"]
    if base == "/v1" or path.startswith(("/_simulator/", "/v1/messages")):
        return scope
    if path.startswith(base + "/"):
        path = "/v1" + path[len(base) :]
    elif not is_anthropic(Request(scope)):
        path = "/not-under-the-base-path"
    return {**scope, "path": path, "raw_path": path.encode()}


def create_app(world: World) -> ASGIApp:
    """The ASGI application of one world.

    Needs no server: called in process it raises ``ConnectionCut`` where a server would reset the socket.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope[WORLD] = world
        scope["app"] = app
        client = next((value for name, value in scope["headers"] if name == b"x-simulator-client"), None)
        if client is not None:
            world.sleepers.hear(client.decode("latin-1"))
        try:
            await ROUTER(under_base(scope, world), receive, send)
        except ConnectionCut:
            cut = (scope.get("extensions") or {}).get(CUT, {}).get("connection")
            if cut is None:
                raise
            await cut()
        except HTTPException:
            reply = await either(wrong_method, wrong_method)(Request(scope, receive, send))
            await reply(scope, receive, send)
        except ClientDisconnect:
            return
        finally:
            if world.webhooks.ready:
                await world.webhooks.pump()

    return app
