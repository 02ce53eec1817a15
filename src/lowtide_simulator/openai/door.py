"""OpenAI's manners at the door: keys, refusals, headers, and reading a body.

Law: every refusal is ``{"error": {...}}``, every reply carries ``x-request-id``.

Source: reference sheet of OpenAI's API, section 2.4; recorded replies. Checked 2026-11-21.
"""

from typing import Any, Final

import msgspec

from lowtide_simulator import validation as anthropic
from lowtide_simulator.clock import http_date
from lowtide_simulator.door import Call, accepted, bearer_of
from lowtide_simulator.errors import MESSAGES, ApiError, error_type
from lowtide_simulator.openai.errors import Refusal, insufficient_quota
from lowtide_simulator.openai.limits import ORGANIZATION
from lowtide_simulator.openai.validation import Context
from lowtide_simulator.reply import Reply, json_reply
from lowtide_simulator.world import World

BODY_BYTES_MAX: Final = 64_000_000
KEYS: Final = "You can find your API key at https://platform.openai.com/account/api-keys."


class OpenAI:
    """OpenAI's manners."""

    def request_id(self, world: World) -> str:
        """``req_`` and 32 hexadecimal digits."""
        return world.ids.hex("req_", world.ids.count("openai"))

    def welcome(self, call: Call) -> anthropic.Context:
        """A bearer token, or Azure's ``api-key`` header."""
        key = bearer_of(call) or call.request.headers.get("api-key")
        if not key:
            message = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
                f"auth (i.e. Authorization: Bearer YOUR_KEY). {KEYS}"
            )
            raise Refusal(401, message, code=None)
        if not accepted(call, key):
            shown = f"{key[:8]}{'*' * 10}{key[-4:]}" if len(key) > 12 else "*" * len(key)
            raise Refusal(401, f"Incorrect API key provided: {shown}. {KEYS}")
        if not call.world.openai.profile.responses and call.request.url.path.startswith("/v1/responses"):
            raise Refusal(404, "Not found")
        return call.context

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """Any refusal in OpenAI's shape; a scripted one takes its words from the script."""
        if isinstance(error, Refusal):
            return json_reply(error.to_json(), error.status, error.headers)
        if error.details is not None:
            quota = insufficient_quota()
            return json_reply(quota.to_json(), error.status, error.headers)
        said = None if error.message == MESSAGES.get(error.status, "Error") else error.message
        kind = None if error.kind == error_type(error.status) else error.kind
        error = Refusal(error.status, said, kind=kind, headers=error.headers)
        return json_reply(error.to_json(), error.status, error.headers)

    def headers(self, call: Call) -> list[tuple[str, str]]:
        """The request's id, the simulated date, the API's version."""
        return [
            ("x-request-id", call.request_id),
            ("date", http_date(call.world.clock.now())),
            ("openai-organization", ORGANIZATION),
            ("openai-processing-ms", "12"),
            ("openai-version", "2020-10-01"),
        ]

    def vanished(self, name: str) -> ApiError:
        """A file that is gone."""
        return no_file(name)


OPENAI: Final = OpenAI()


def no_file(name: str) -> Refusal:
    """The 404 for a file."""
    return Refusal(404, f"No such File object: {name}", param="id")


async def read_body(call: Call) -> dict[str, Any]:
    """A JSON object. Raises Refusal."""
    raw = await call.request.body()
    if len(raw) > BODY_BYTES_MAX:
        raise Refusal(413, "The request body is too large.")
    declared = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.world.openai.profile.strict and declared != "application/json":
        message = (
            f"Unsupported content type: '{declared}'. This API method only accepts 'application/json' requests, but you "
            "specified the header 'Content-Type: " + declared + "'. Please try again with a supported content type."
        )
        raise Refusal(400, message, code="unsupported_content_type")
    try:
        body = msgspec.json.decode(raw) if raw else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = (
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
            f"correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON: {error}.)"
        )
        raise Refusal(400, message) from error
    if not isinstance(body, dict):
        raise Refusal(400, "Invalid body: expected an object.", code="invalid_type")
    return body


def context_of(call: Call, *, batch: bool = False) -> Context:
    """What a body is judged under, now."""
    profile = call.world.openai.profile
    return Context(now=call.world.clock.now(), batch=batch, strict=profile.strict, any_model=profile.any_model)


def page(call: Call, entries: list[dict[str, Any]], *, most: int, usual: int) -> Reply:
    """One page of a list: ``after`` and ``limit``. An unknown ``after`` is a 404."""
    query = call.request.query_params
    limit = page_limit(query.get("limit"), most, usual)
    after = query.get("after")
    start = 0
    if after is not None:
        places = [index for index, entry in enumerate(entries) if entry["id"] == after]
        if not places:
            raise Refusal(404, f"No such object: {after}", param="after")
        start = places[0] + 1
    chosen = entries[start : start + limit]
    first, last = (chosen[0]["id"], chosen[-1]["id"]) if chosen else (None, None)
    more = start + limit < len(entries)
    return json_reply({"object": "list", "data": chosen, "first_id": first, "last_id": last, "has_more": more})


def page_limit(given: str | None, most: int, usual: int) -> int:
    """The ``limit`` of a list."""
    if given is None:
        return usual
    if not given.lstrip("-").isdigit():
        raise Refusal(
            400,
            f"Invalid type for 'limit': expected an integer, but got '{given}'.",
            param="limit",
            code="invalid_type",
        )
    limit = int(given)
    if limit < 1:
        message = f"Invalid 'limit': integer below minimum value. Expected a value >= 1, but got {limit} instead."
        raise Refusal(400, message, param="limit", code="integer_below_min_value")
    if limit > most:
        message = f"Invalid 'limit': integer above maximum value. Expected a value <= {most}, but got {limit} instead."
        raise Refusal(400, message, param="limit", code="integer_above_max_value")
    return limit
