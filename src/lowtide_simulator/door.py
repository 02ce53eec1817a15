"""Who is let in to the simulated provider, and what every reply has in common.

Here: one request as a ``Call``, keys and versions, faults that hit any request, refusals, headers, the log, reading a
body, a page of a list. Not here: what an endpoint does. Law: every reply of the provider carries ``request-id`` and a
``Date`` of the simulated clock; a cut connection is a cut, never a 500.

Source: reference sheet of the provider's API, sections 1.1, 2.4, 6, checked 2026-11-21.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from lowtide_simulator.clock import http_date
from lowtide_simulator.errors import EDGE_413, ApiError
from lowtide_simulator.faults import ConnectionCut, FaultKind, Rule
from lowtide_simulator.reply import Reply, json_reply, with_cut
from lowtide_simulator.shapes import ShapeError
from lowtide_simulator.validation import VERSIONS, Context, UnknownModelError
from lowtide_simulator.world import LogLine, World

WORLD: Final = "lowtide_simulator.world"
ORGANIZATION: Final = "51bd0a47-0000-4000-8000-0000510d1de5"
WORKSPACE: Final = "wrkspc_01SimulatedDefault00000000"
PAGE: Final = 20
PAGE_MAX: Final = 1_000


@dataclass(slots=True, kw_only=True)
class Call:
    """One request to the provider, let in and read as far as its headers."""

    world: World
    request: Request
    request_id: str
    context: Context
    rules: tuple[Rule, ...]

    def rule(self, kind: FaultKind) -> Rule | None:
        """The fault of that kind that fires for this request, if any."""
        return next((rule for rule in self.rules if rule.fault is kind), None)

    @property
    def host(self) -> str:
        """Where the client reached us, for ``results_url``."""
        return f"{self.request.url.scheme}://{self.request.headers.get('host', 'simulator')}"


T = TypeVar("T")
Endpoint = Callable[[Call], Awaitable[Reply]]


class Manners(Protocol):
    """How one provider receives a request and says no: what differs between the two halves of the simulator."""

    def request_id(self, world: World) -> str:
        """The next one."""
        ...

    def welcome(self, call: Call) -> Context:
        """Check key and version. Raises ApiError."""
        ...

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """The reply for a refusal."""
        ...

    def headers(self, call: Call) -> list[tuple[str, str]]:
        """What every reply carries."""
        ...

    def vanished(self, name: str) -> ApiError:
        """The 404 for results that are not there any more."""
        ...


class Anthropic:
    """Anthropic's manners."""

    def request_id(self, world: World) -> str:
        """``req_01...``."""
        return world.ids.next("req")

    def welcome(self, call: Call) -> Context:
        """Either way of sending the key, and a version that is known."""
        _authenticate(call)
        return _context(call)

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """Its error object, or the edge's page."""
        return refusal(error, request_id)

    def headers(self, call: Call) -> list[tuple[str, str]]:
        """The request's id, the simulated date, whose account it is."""
        return [
            ("request-id", call.request_id),
            ("date", http_date(call.world.clock.now())),
            ("anthropic-organization-id", ORGANIZATION),
            ("anthropic-workspace-id", WORKSPACE),
        ]

    def vanished(self, name: str) -> ApiError:
        """As for a batch whose results were never there."""
        return no_results(name, 404)


ANTHROPIC: Final = Anthropic()


def door(endpoint: Endpoint, manners: Manners = ANTHROPIC) -> Callable[[Request], Awaitable[ASGIApp]]:
    """Wrap an endpoint: ids, faults, keys, versions, refusals, headers, log."""

    async def enter(request: Request) -> ASGIApp:
        world: World = request.scope[WORLD]
        now = world.now()
        call = Call(
            world=world,
            request=request,
            request_id=manners.request_id(world),
            context=Context(version="", now=now),
            rules=world.script.firing(request.method, request.url.path),
        )
        world.requests[f"{request.method} {_pattern(request)}"] += 1
        try:
            reply = await _answer(call, endpoint, manners)
        except ConnectionCut:
            _log(call, status=0, size=0)
            raise
        status = reply.status
        reply.on_close = lambda size, cut: _log(call, status=0 if cut else status, size=size)
        return reply

    return enter


def _pattern(request: Request) -> str:
    """The path with ids replaced, for counting."""
    path = request.url.path
    for name, value in request.path_params.items():
        path = path.replace(str(value), f"{{{name}}}")
    return path


async def _answer(call: Call, endpoint: Endpoint, manners: Manners) -> Reply:
    try:
        await _faults_before(call, manners)
        call.context = manners.welcome(call)
        reply = await endpoint(call)
        if call.rule(FaultKind.LOST_REPLY_AFTER_COMMIT):
            if not isinstance(reply.body, bytes):
                await _drain(reply.body)
            raise ConnectionCut("the reply is lost after the commit")
        late = call.rule(FaultKind.LATE_REPLY)
        if late:
            await asyncio.sleep(late.seconds)
    except ApiError as error:
        reply = manners.refusal(error, call.request_id)
        if error.edge:
            return reply
    cut = call.rule(FaultKind.CUT_REPLY_AFTER_BYTES)
    if cut:
        reply = with_cut(reply, cut.bytes)
    reply.headers += manners.headers(call)
    return reply


async def _drain(body: AsyncGenerator[bytes, None]) -> None:
    async for _ in body:
        pass


def refusal(error: ApiError, request_id: str) -> Reply:
    """The reply for a refusal."""
    if error.edge:
        return Reply(
            status=error.status, headers=[("content-type", "text/html"), ("connection", "close")], body=EDGE_413
        )
    retried = any(name == "x-should-retry" for name, _ in error.headers)
    retry = () if retried else (("x-should-retry", "true" if error.status >= 500 else "false"),)
    return json_reply(error.body(request_id), error.status, (*retry, *error.headers))


def _log(call: Call, *, status: int, size: int) -> None:
    call.world.log.append(
        LogLine(
            method=call.request.method,
            path=call.request.url.path,
            status=status,
            bytes=size,
            faults=tuple(rule.fault.value for rule in call.rules),
            at=call.world.clock.now(),
            request_id=call.request_id,
        )
    )


async def _faults_before(call: Call, manners: Manners) -> None:
    """Faults that keep the request from having any effect. The body is read first, as a real server would have."""
    for rule in call.rules:
        match rule.fault:
            case FaultKind.CUT_BEFORE_COMMIT:
                await read_all(call.request)
                raise ConnectionCut("before the commit")
            case FaultKind.STATUS:
                await read_all(call.request)
                raise _scripted_status(rule)
            case FaultKind.SPEND_CAP_429:
                await read_all(call.request)
                raise ApiError(
                    429,
                    rule.message or "Your organization has reached its monthly spend limit.",
                    details={"error_code": rule.error_code},
                    headers=_retry_headers(rule),
                )
            case FaultKind.RESULTS_VANISH:
                raise manners.vanished(call.request.path_params.get("id", ""))
            case _:
                pass


def no_results(name: str, status: int) -> ApiError:
    """The 404 for results that are not there (recorded 2025-01-29)."""
    return ApiError(status, f"Message Batch {name} has no available results.")


def _scripted_status(rule: Rule) -> ApiError:
    edge = rule.status == 413 and not rule.json_body
    return ApiError(
        rule.status,
        rule.message,
        kind=rule.error_type,
        headers=_retry_headers(rule),
        edge=edge or rule.json_body is False,
    )


def _retry_headers(rule: Rule) -> tuple[tuple[str, str], ...]:
    found = []
    if rule.retry_after is not None:
        found.append(("retry-after", f"{rule.retry_after:g}"))
    if rule.should_retry is not None:
        found.append(("x-should-retry", "true" if rule.should_retry else "false"))
    return tuple(found)


async def read_all(request: Request) -> None:
    """Read the body and drop it."""
    async for _ in request.stream():
        pass


def bearer_of(call: Call) -> str | None:
    """The bearer token, None when there is none."""
    scheme, _, bearer = call.request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else None


def accepted(call: Call, key: str) -> bool:
    """Whether this world takes the key."""
    keys = call.world.options.api_keys
    return key in keys if keys is not None else not key.startswith("sk-bad")


def _authenticate(call: Call) -> None:
    """Either way of sending the key is good (section 0, point 2)."""
    bearer = bearer_of(call)
    key = call.request.headers.get("x-api-key")
    if not key and bearer is not None:
        key = bearer
        wrong = "Invalid bearer token"
    else:
        wrong = "invalid x-api-key"
    if not key:
        raise ApiError(401, "x-api-key header is required")
    if not accepted(call, key):
        raise ApiError(401, wrong)


def _context(call: Call) -> Context:
    version = call.request.headers.get("anthropic-version")
    if not version:
        raise ApiError(400, "anthropic-version: header is required")
    if version not in VERSIONS:
        message = f'anthropic-version: "{version}" is not a valid version. Valid versions: {", ".join(VERSIONS)}'
        raise ApiError(400, message)
    betas = frozenset(
        beta.strip()
        for header in call.request.headers.getlist("anthropic-beta")
        for beta in header.split(",")
        if beta.strip()
    )
    beta_path = call.request.query_params.get("beta") == "true"
    return Context(version=version, betas=betas, beta_path=beta_path, now=call.world.clock.now())


async def read_body(call: Call) -> dict[str, Any]:
    """A JSON object of at most the size of a message. Raises ApiError."""
    check_declared(call, call.world.options.message_bytes_max)
    raw = await call.request.body()
    if len(raw) > call.world.options.message_bytes_max:
        raise ApiError(413, edge=True)
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Input should be an object")
    return body


def check_declared(call: Call, bytes_max: int) -> None:
    """Refuse a body by its headers alone: too long, or not JSON."""
    headers = call.request.headers
    if int(headers.get("content-length") or 0) > bytes_max:
        raise ApiError(413, edge=True)
    declared = headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.world.options.strict and declared != "application/json":
        raise ApiError(400, "content-type: must be application/json")


def checked(check: Callable[[], T]) -> T:
    """Run a check and turn what it raises into the provider's refusal."""
    try:
        return check()
    except ShapeError as error:
        raise ApiError(400, str(error)) from error
    except UnknownModelError as error:
        raise ApiError(404, str(error)) from error


def page(call: Call, entries: list[dict[str, Any]]) -> Reply:
    """One page of a list whose first entry is the newest."""
    query = call.request.query_params
    after, before = query.get("after_id"), query.get("before_id")
    limit = page_limit(query.get("limit"))
    if after is not None and before is not None:
        raise ApiError(400, "Only one of before_id and after_id can be provided")
    places = {entry["id"]: index for index, entry in enumerate(entries)}
    for name, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in places:
            raise ApiError(400, f"{name}: Invalid cursor: {cursor}")
    if before is not None:
        end = places[before]
        chosen = entries[max(0, end - limit) : end]
        more = end - limit > 0
    else:
        start = 0 if after is None else places[after] + 1
        chosen = entries[start : start + limit]
        more = start + limit < len(entries)
    ends = {"first_id": chosen[0]["id"], "last_id": chosen[-1]["id"]} if chosen else {"first_id": None, "last_id": None}
    return json_reply({"data": chosen, "has_more": more, **ends})


def page_limit(given: str | None) -> int:
    """The ``limit`` of a list: 1 to 1,000, 20 when absent."""
    if given is None:
        return PAGE
    if not given.lstrip("-").isdigit():
        raise ApiError(400, "limit: Input should be a valid integer, unable to parse string as an integer")
    limit = int(given)
    if limit < 1:
        raise ApiError(400, "limit: Input should be greater than or equal to 1")
    if limit > PAGE_MAX:
        raise ApiError(400, f"limit: Input should be less than or equal to {PAGE_MAX}")
    return limit
