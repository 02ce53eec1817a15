"""The simulated provider over HTTP: routes, who is let in, and what faults do to a reply.

Here: ``create_app`` and one function an endpoint. Not here: what the provider knows (``world``), what it accepts
(``validation``), the administrative endpoints (``admin``). Law: every reply of the provider carries ``request-id`` and a
``Date`` of the simulated clock; a cut connection is a cut, never a 500.

Source: reference sheet of the provider's API, sections 1.1, 1.6, 2.3, 2.4, 6, checked 2026-11-21.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lowtide_simulator import admin
from lowtide_simulator.batches import Batch, ItemIntake, Outcome, Pick, Problem, Status, Twist, first_duplicate
from lowtide_simulator.bill import Line
from lowtide_simulator.clock import ClockMode, Instant, http_date
from lowtide_simulator.envelope import EnvelopeReader, NotJsonError
from lowtide_simulator.errors import EDGE_413, ApiError
from lowtide_simulator.faults import ConnectionCut, FaultKind, Rule
from lowtide_simulator.messages import Work, encode, error_event, events, is_billed, message, work_of
from lowtide_simulator.models import BY_NAME, MODELS, model_info
from lowtide_simulator.reply import CHUNK_BYTES, Reply, json_reply, with_cut
from lowtide_simulator.shapes import ShapeError
from lowtide_simulator.tokens import request_tokens
from lowtide_simulator.usage import Usage
from lowtide_simulator.validation import VERSIONS, Context, UnknownModelError, check_count
from lowtide_simulator.world import LogLine, World

WORLD: Final = "lowtide_simulator.world"
CUT: Final = "lowtide_simulator.cut"
ORGANIZATION: Final = "51bd0a47-0000-4000-8000-0000510d1de5"
WORKSPACE: Final = "wrkspc_01SimulatedDefault00000000"
PAGE: Final = 20
PAGE_MAX: Final = 1_000
BATCH_PATH: Final = "/v1/messages/batches"


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

# ------------------------------------------------------------------ the door


def door(endpoint: Endpoint) -> Callable[[Request], Awaitable[ASGIApp]]:
    """Wrap an endpoint: ids, faults, keys, versions, refusals, headers, log."""

    async def enter(request: Request) -> ASGIApp:
        world: World = request.scope[WORLD]
        now = world.now()
        call = Call(
            world=world,
            request=request,
            request_id=world.ids.next("req"),
            context=Context(version="", now=now),
            rules=world.script.firing(request.method, request.url.path),
        )
        world.requests[f"{request.method} {_pattern(request)}"] += 1
        try:
            reply = await _answer(call, endpoint)
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


async def _answer(call: Call, endpoint: Endpoint) -> Reply:
    try:
        await _faults_before(call)
        _authenticate(call)
        call.context = _context(call)
        reply = await endpoint(call)
        if call.rule(FaultKind.LOST_REPLY_AFTER_COMMIT):
            if not isinstance(reply.body, bytes):
                await _drain(reply.body)
            raise ConnectionCut("the reply is lost after the commit")
    except ApiError as error:
        reply = _refusal(error, call.request_id)
        if error.edge:
            return reply
    cut = call.rule(FaultKind.CUT_REPLY_AFTER_BYTES)
    if cut:
        reply = with_cut(reply, cut.bytes)
    reply.headers += [
        ("request-id", call.request_id),
        ("date", http_date(call.world.clock.now())),
        ("anthropic-organization-id", ORGANIZATION),
        ("anthropic-workspace-id", WORKSPACE),
    ]
    return reply


async def _drain(body: AsyncGenerator[bytes, None]) -> None:
    async for _ in body:
        pass


def _refusal(error: ApiError, request_id: str) -> Reply:
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


async def _faults_before(call: Call) -> None:
    """Faults that keep the request from having any effect. The body is read first, as a real server would have."""
    for rule in call.rules:
        match rule.fault:
            case FaultKind.CUT_BEFORE_COMMIT:
                await _read_all(call.request)
                raise ConnectionCut("before the commit")
            case FaultKind.STATUS:
                await _read_all(call.request)
                raise _scripted_status(rule)
            case FaultKind.SPEND_CAP_429:
                await _read_all(call.request)
                raise ApiError(
                    429,
                    rule.message or "Your organization has reached its monthly spend limit.",
                    details={"error_code": rule.error_code},
                    headers=_retry_headers(rule),
                )
            case FaultKind.RESULTS_VANISH:
                raise _no_results(call.request.path_params.get("id", ""), 404)
            case _:
                pass


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


async def _read_all(request: Request) -> None:
    async for _ in request.stream():
        pass


def _authenticate(call: Call) -> None:
    """Either way of sending the key is good (section 0, point 2)."""
    headers = call.request.headers
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    key = headers.get("x-api-key")
    if not key and scheme.lower() == "bearer":
        key = bearer.strip()
        wrong = "Invalid bearer token"
    else:
        wrong = "invalid x-api-key"
    if not key:
        raise ApiError(401, "x-api-key header is required")
    accepted = call.world.options.api_keys
    if (accepted is not None and key not in accepted) or (accepted is None and key.startswith("sk-bad")):
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


# ------------------------------------------------------------------ messages


async def read_body(call: Call) -> dict[str, Any]:
    """A JSON object of at most the size of a message. Raises ApiError."""
    _check_declared(call, call.world.options.message_bytes_max)
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


def _check_declared(call: Call, bytes_max: int) -> None:
    headers = call.request.headers
    if int(headers.get("content-length") or 0) > bytes_max:
        raise ApiError(413, edge=True)
    declared = headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.world.options.strict and declared != "application/json":
        raise ApiError(400, "content-type: must be application/json")


async def create_message(call: Call) -> Reply:
    """POST /v1/messages."""
    params = await read_body(call)
    world = call.world
    work = checked(lambda: work_of(params, call.context, world.options.seed, world.options.chances))
    now = world.now()
    served = world.realtime_cache.look_up(work.cuts, work.model, now)
    usage = work.usage(served)
    group = work.model.group
    world.limits.admit(group, usage.prompt - usage.read, now)
    latency = world.options.latency_seconds
    if latency and world.clock.mode is not ClockMode.VIRTUAL:
        await asyncio.sleep(latency / (world.options.speed if world.clock.mode is ClockMode.SCALED else 1))
        now = world.now()
    # Readable only once the first response has begun, so parallel cold requests all write.
    world.realtime_cache.write(work.cuts, work.model, now)
    whole = message(world.ids.next("msg"), work.model, work.answer, usage, tier="standard")
    headers = world.limits.headers(group, now)
    sale = Sale(call, work, usage, now)
    if params.get("stream"):
        body = sale.stream(whole)
        kinds = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"), *headers]
        return Reply(headers=kinds, body=body)
    sale.close(work.answer.output_tokens)
    return json_reply(whole, headers=headers)


@dataclass(slots=True)
class Sale:
    """One real-time generation being delivered and billed."""

    call: Call
    work: Work
    usage: Usage
    at: Instant

    def close(self, output_tokens: int) -> None:
        """Bill it, with as much output as was generated."""
        world, work = self.call.world, self.work
        world.limits.charge_output(work.model.group, output_tokens)
        if not is_billed(work.answer, self.at):
            return
        world.bill.add(
            Line(
                at=self.at,
                model=work.model.id,
                price=work.model.price,
                lane="standard",
                usage=replace(self.usage, output=output_tokens),
                digest=work.digest.hex(),
                request_id=self.call.request_id,
            )
        )

    async def stream(self, whole: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """The events; a stream that ends early is billed for what was generated."""
        broken = self.call.rule(FaultKind.SSE_ERROR_AFTER_200)
        cut = self.call.rule(FaultKind.CUT_STREAM)
        share = 0.0
        try:
            for number, event in enumerate(events(whole)):
                if broken and number >= broken.events:
                    yield error_event(broken.error_type or "overloaded_error", broken.message or "Overloaded")
                    return
                if cut and number >= cut.events:
                    message = f"after {number} events"
                    raise ConnectionCut(message)
                share = event.share
                yield event.raw
        finally:
            self.close(round(self.work.answer.output_tokens * share))


def checked(check: Callable[[], T]) -> T:
    """Run a check and turn what it raises into the provider's refusal."""
    try:
        return check()
    except ShapeError as error:
        raise ApiError(400, str(error)) from error
    except UnknownModelError as error:
        raise ApiError(404, str(error)) from error


async def count_tokens(call: Call) -> Reply:
    """POST /v1/messages/count_tokens."""
    call.world.limits.admit_count(call.world.clock.now())
    params = await read_body(call)
    model = checked(lambda: check_count(params, call.context))
    return json_reply({"input_tokens": request_tokens(params, model)})


# ------------------------------------------------------------------ models


async def list_models(call: Call) -> Reply:
    """GET /v1/models."""
    now = call.world.clock.now()
    lifecycles = call.request.query_params.getlist("lifecycle") or call.request.query_params.getlist("lifecycle[]")
    wanted = lifecycles or ["active", "deprecated"]
    found = [model_info(model, now) for model in MODELS if model.launched_on <= call_day(call)]
    return page(call, [entry for entry in found if entry["lifecycle"] in wanted])


def call_day(call: Call) -> Any:  # noqa: ANN401 - a date
    """The simulated day."""
    return admin.to_datetime(call.world.clock.now()).date()


async def get_model(call: Call) -> Reply:
    """GET /v1/models/{id}."""
    name = call.request.path_params["id"]
    model = BY_NAME.get(name)
    if model is None or model.launched_on > call_day(call):
        raise ApiError(404, f"model: {name}")
    return json_reply(model_info(model, call.world.clock.now()))


def page(call: Call, entries: list[dict[str, Any]]) -> Reply:
    """One page of a list whose first entry is the newest."""
    query = call.request.query_params
    after, before = query.get("after_id"), query.get("before_id")
    limit = _limit(query.get("limit"))
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


def _limit(given: str | None) -> int:
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


# ------------------------------------------------------------------ batches


def batch_call(endpoint: Endpoint) -> Endpoint:
    """An endpoint of the batch pool: every call counts against the pool's own limit."""

    async def admitted(call: Call) -> Reply:
        call.world.limits.admit_batch_call(call.world.clock.now())
        return await endpoint(call)

    return admitted


async def create_batch(call: Call) -> Reply:
    """POST /v1/messages/batches: the envelope is checked at once, each item's params only in the results."""
    world, options = call.world, call.world.options
    _check_declared(call, options.batch_bytes_max)
    intake = ItemIntake(
        replace(call.context, batch=True),
        world.terms,
        refuse_unsupported=options.unknowns.unsupported_in_batch_at_create,
    )
    await _read_envelope(call, intake)
    columns = intake.columns
    if not len(columns):
        message = "requests: List should have at least 1 item after validation, not 0"
        raise ApiError(options.unknowns.empty_requests_status, message)
    twin = first_duplicate(columns.custom_ids)
    if twin is not None:
        raise ApiError(options.unknowns.duplicate_custom_id_status, f"requests: Duplicate custom_id: {twin}")
    world.limits.admit_queue(world.queued, len(columns))
    delay, slow = call.rule(FaultKind.DELAY), call.rule(FaultKind.SLOW_LIST)
    batch = world.create_batch(
        columns,
        intake.context,
        _twist(call),
        late_seconds=delay.seconds if delay else 0.0,
        list_seconds=slow.seconds if slow else 0.0,
    )
    if batch is None:
        raise ConnectionCut("the batch will be committed later")
    return json_reply(batch.to_json(call.host))


async def _read_envelope(call: Call, intake: ItemIntake) -> None:
    """Read the body as it arrives. After the first problem the rest is read and dropped, then refused."""
    options = call.world.options
    reader = EnvelopeReader(intake.take, options.batch_requests_max)
    problem: ApiError | None = None
    size = 0
    async for chunk in call.request.stream():
        size += len(chunk)
        if size > options.batch_bytes_max:
            problem = problem or ApiError(413, edge=True)
        if problem is None:
            problem = _fed(lambda chunk=chunk: reader.feed(chunk))  # type: ignore[misc]
    problem = problem or _fed(reader.close)
    if problem is not None:
        raise problem


def _fed(step: Callable[[], None]) -> ApiError | None:
    try:
        step()
    except (ShapeError, NotJsonError) as error:
        return ApiError(400, str(error))
    except (UnicodeEncodeError, OverflowError) as error:
        return ApiError(400, f"The request body is not valid JSON: {error}")
    return None


PICKS: Final = {
    FaultKind.ITEMS_ERRORED: Outcome.ERRORED,
    FaultKind.ITEMS_EXPIRED: Outcome.EXPIRED,
    FaultKind.ITEMS_CANCELED: Outcome.CANCELED,
}


def _twist(call: Call) -> Twist:
    """What the firing faults change in the life of a new batch."""
    missing, twice = call.rule(FaultKind.ROWS_MISSING), call.rule(FaultKind.ROWS_TWICE)
    return Twist(
        stuck=call.rule(FaultKind.STUCK) is not None,
        picks=tuple(_pick(rule) for rule in call.rules if rule.fault in PICKS),
        rows_missing=missing.rows if missing else 0,
        rows_twice=twice.rows if twice else 0,
    )


def _pick(rule: Rule) -> Pick:
    return Pick(
        outcome=PICKS[rule.fault],
        share=rule.share,
        custom_ids=frozenset(rule.custom_ids or ()),
        indexes=frozenset(rule.indexes or ()),
        rows=rule.rows,
        problem=Problem(rule.error_type or "api_error", rule.message or "Internal server error"),
    )


def _find(call: Call) -> Batch:
    name = call.request.path_params["id"]
    batch = call.world.batches.get(name)
    if batch is None:
        raise ApiError(404, f"Message Batch {name} not found.")
    batch.archive_if_due(call.world.clock.now())
    return batch


def _host(call: Call) -> str:
    wrong = call.rule(FaultKind.WRONG_HOST)
    return wrong.host if wrong else call.host


async def retrieve_batch(call: Call) -> Reply:
    """GET /v1/messages/batches/{id}. A batch in progress suggests when to ask again (recorded: ``retry-after: 10``)."""
    batch = _find(call)
    headers = (("retry-after", "10"),) if batch.status is not Status.ENDED else ()
    return json_reply(batch.to_json(_host(call)), headers=headers)


async def list_batches(call: Call) -> Reply:
    """GET /v1/messages/batches, newest first."""
    batches = call.world.listed()
    for batch in batches:
        batch.archive_if_due(call.world.clock.now())
    host = _host(call)
    return page(call, [batch.to_json(host) for batch in batches])


async def cancel_batch(call: Call) -> Reply:
    """POST /v1/messages/batches/{id}/cancel."""
    batch = _find(call)
    await _read_all(call.request)
    if batch.status is Status.ENDED:
        message = f"Message Batch {batch.id} cannot be canceled because it has already ended."
        raise ApiError(call.world.options.unknowns.cancel_ended_status, message)
    call.world.cancel_batch(batch)
    return json_reply(batch.to_json(call.host))


async def delete_batch(call: Call) -> Reply:
    """DELETE /v1/messages/batches/{id}, only after it ended. It stays on the bill."""
    batch = _find(call)
    if batch.status is not Status.ENDED:
        message = f"Message Batch {batch.id} cannot be deleted while it is processing. Cancel it first."
        raise ApiError(call.world.options.unknowns.delete_running_status, message)
    del call.world.batches[batch.id]
    return json_reply({"id": batch.id, "type": "message_batch_deleted"})


def _no_results(name: str, status: int) -> ApiError:
    return ApiError(status, f"Message Batch {name} has no available results.")


async def batch_results(call: Call) -> Reply:
    """GET /v1/messages/batches/{id}/results: JSONL, LF, no blank line, shuffled."""
    batch = _find(call)
    if batch.status is not Status.ENDED or batch.archived_at is not None:
        raise _no_results(batch.id, call.world.options.unknowns.results_early_status)
    missing, twice = call.rule(FaultKind.ROWS_MISSING), call.rule(FaultKind.ROWS_TWICE)
    lines = batch.lines(call.world.ids, missing=missing.rows if missing else 0, twice=twice.rows if twice else 0)
    name = f"attachment; filename*=utf-8''{batch.id}_results.jsonl"
    headers = [("content-type", "application/x-jsonl"), ("content-disposition", name)]
    at_line = call.rule(FaultKind.CUT_RESULTS_AT_LINE)
    reply = Reply(headers=headers, body=_chunks(lines, cut_at=at_line.line if at_line else None))
    after_bytes = call.rule(FaultKind.CUT_RESULTS_AFTER_BYTES)
    if after_bytes:
        reply.cut_after = after_bytes.bytes
    torn = call.rule(FaultKind.TRUNCATED_UTF8)
    if torn:
        reply.body = _torn(batch.lines(call.world.ids), torn.line)
    return reply


async def _chunks(lines: Iterator[bytes], *, cut_at: int | None) -> AsyncGenerator[bytes, None]:
    """Lines gathered into chunks, letting others run in between."""
    held: list[bytes] = []
    size = 0
    for number, line in enumerate(lines):
        if cut_at is not None and number >= cut_at:
            if held:
                yield b"".join(held)
            message = f"at line {number} of the results"
            raise ConnectionCut(message)
        held.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
            await asyncio.sleep(0)
    if held:
        yield b"".join(held)


async def _torn(lines: Iterator[bytes], at_line: int) -> AsyncGenerator[bytes, None]:
    """The lines up to the first from ``at_line`` on that has a character of several bytes; the body ends inside it."""
    for number, line in enumerate(lines):
        wide = next((place for place, byte in enumerate(line) if byte >= 0xC0), None)
        if number >= at_line and wide is not None:
            yield line[: wide + 1]
            return
        yield line


# ------------------------------------------------------------------ the application


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


__all__ = ["CUT", "create_app", "encode"]
