"""The simulated provider as one ASGI application.

Here: the routes and ``create_app``. Not here: what an endpoint does (``realtime``, ``batch_calls``, ``admin``). Law:
called in process it raises ``ConnectionCut`` where a server resets the socket; nothing else leaves it.
"""

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
from lowtide_simulator.door import WORLD, Call, door
from lowtide_simulator.errors import ApiError
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.realtime import count_tokens, create_message, get_model, list_models
from lowtide_simulator.reply import Reply
from lowtide_simulator.world import World

CUT: Final = "lowtide_simulator.cut"
BATCH_PATH: Final = "/v1/messages/batches"


async def not_found(_call: Call) -> Reply:
    """Any other path."""
    raise ApiError(404, "Not found")


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
    Route("/v1/models", door(list_models), methods=["GET"]),
    Route("/v1/models/{id}", door(get_model), methods=["GET"]),
]


async def wrong_method(_call: Call) -> Reply:
    """A path of ours with a method that it does not have."""
    raise ApiError(405, "Method Not Allowed")


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Any path that is not ours."""
    reply = await door(not_found)(Request(scope, receive, send))
    await reply(scope, receive, send)


ROUTER: Final = Router(ROUTES, default=elsewhere)


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
            await ROUTER(scope, receive, send)
        except ConnectionCut:
            cut = (scope.get("extensions") or {}).get(CUT, {}).get("connection")
            if cut is None:
                raise
            await cut()
        except HTTPException:
            reply = await door(wrong_method)(Request(scope, receive, send))
            await reply(scope, receive, send)
        except ClientDisconnect:
            return

    return app
