"""The Message Batches API over HTTP.

Here: one function an endpoint, and what faults change in a batch or its results. Not here: the life of a batch
(``batches``). Law: the envelope is refused at once, an item only in the results.

Source: reference sheet of the provider's API, sections 1.1 to 1.6, checked 2026-11-21.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from typing import Final

from lowtide_simulator.batches import Batch, Pick, Status, Twist, first_duplicate
from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.door import Call, Endpoint, check_declared, no_results, page, read_all
from lowtide_simulator.envelope import EnvelopeReader, NotJsonError
from lowtide_simulator.errors import ApiError
from lowtide_simulator.faults import ConnectionCut, FaultKind, Rule
from lowtide_simulator.items import ItemIntake, Outcome, Problem
from lowtide_simulator.reply import CHUNK_BYTES, Reply, json_reply
from lowtide_simulator.shapes import ShapeError


def batch_call(endpoint: Endpoint) -> Endpoint:
    """An endpoint of the batch pool: every call counts against the pool's own limit."""

    async def admitted(call: Call) -> Reply:
        call.world.limits.admit_batch_call(call.world.clock.now())
        return await endpoint(call)

    return admitted


async def create_batch(call: Call) -> Reply:
    """POST /v1/messages/batches: the envelope is checked at once, each item's params only in the results."""
    world, options = call.world, call.world.options
    check_declared(call, options.batch_bytes_max)
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
        twist_of(call),
        late_seconds=delay.seconds if delay else 0.0,
        list_seconds=slow.seconds if slow else 0.0,
    )
    if batch is None:
        raise ConnectionCut("the batch will be committed later")
    other = call.rule(FaultKind.CANCELED_BY_OTHER)
    if other:
        world.later(Instant(batch.created_at + int(other.seconds * SECOND)), lambda at: world.cancel_batch(batch, at))
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


def twist_of(call: Call) -> Twist:
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
        problem=Problem(rule.error_type or "api_error", rule.message or "Internal server error", rule.status),
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
    await read_all(call.request)
    if batch.status is Status.ENDED:
        message = f"Message Batch {batch.id} cannot be canceled because it has already ended."
        raise ApiError(call.world.options.unknowns.cancel_ended_status, message)
    call.world.cancel_batch(batch, call.world.now())
    return json_reply(batch.to_json(call.host))


async def delete_batch(call: Call) -> Reply:
    """DELETE /v1/messages/batches/{id}, only after it ended. It stays on the bill."""
    batch = _find(call)
    if batch.status is not Status.ENDED:
        message = f"Message Batch {batch.id} cannot be deleted while it is processing. Cancel it first."
        raise ApiError(call.world.options.unknowns.delete_running_status, message)
    del call.world.batches[batch.id]
    return json_reply({"id": batch.id, "type": "message_batch_deleted"})


async def batch_results(call: Call) -> Reply:
    """GET /v1/messages/batches/{id}/results: JSONL, LF, no blank line, shuffled."""
    batch = _find(call)
    if batch.status is not Status.ENDED or batch.archived_at is not None:
        raise no_results(batch.id, call.world.options.unknowns.results_early_status)
    missing, twice = call.rule(FaultKind.ROWS_MISSING), call.rule(FaultKind.ROWS_TWICE)
    lines = batch.lines(call.world.ids, missing=missing.rows if missing else 0, twice=twice.rows if twice else 0)
    name = f"attachment; filename*=utf-8''{batch.id}_results.jsonl"
    headers = [("content-type", "application/x-jsonl"), ("content-disposition", name)]
    at_line = call.rule(FaultKind.CUT_RESULTS_AT_LINE)
    reply = Reply(headers=headers, body=chunks(lines, cut_at=at_line.line if at_line else None))
    after_bytes = call.rule(FaultKind.CUT_RESULTS_AFTER_BYTES)
    if after_bytes:
        reply.cut_after = after_bytes.bytes
    broken = call.rule(FaultKind.TRUNCATED_UTF8)
    if broken:
        reply.body = torn(batch.lines(call.world.ids), broken.line)
    return reply


async def chunks(lines: Iterator[bytes], *, cut_at: int | None) -> AsyncGenerator[bytes, None]:
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


async def torn(lines: Iterator[bytes], at_line: int) -> AsyncGenerator[bytes, None]:
    """The lines up to the first from ``at_line`` on that has a character of several bytes; the body ends inside it."""
    for number, line in enumerate(lines):
        wide = next((place for place, byte in enumerate(line) if byte >= 0xC0), None)
        if number >= at_line and wide is not None:
            yield line[: wide + 1]
            return
        yield line
