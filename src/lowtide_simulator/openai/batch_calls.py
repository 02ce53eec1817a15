"""The Batches API over HTTP.

Law: create answers 200 and ``validating`` for any body of the right shape, whatever the file holds. Source: reference sheet of
OpenAI's API, section 2.2, checked 2026-11-21.
"""

from typing import Any, Final

from lowtide_simulator.batch_calls import twist_of
from lowtide_simulator.door import Call, read_all
from lowtide_simulator.faults import ConnectionCut, FaultKind
from lowtide_simulator.openai.batches import OVER, Batch
from lowtide_simulator.openai.door import page, read_body
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.openai.file_calls import check_expiry
from lowtide_simulator.openai.profiles import Profile
from lowtide_simulator.openai.shapes import anything, bad, listing, maybe, one_of, record, text, whole
from lowtide_simulator.openai.validation import metadata
from lowtide_simulator.reply import Reply, json_reply

REQUIRED: Final = {"input_file_id": text(), "endpoint": text(), "completion_window": text()}
OPTIONAL: Final = {
    "metadata": maybe(metadata),
    "output_expires_after": record({"anchor": one_of("created_at"), "seconds": whole()}),
}
create_body: Final = record(REQUIRED, OPTIONAL)
create_together: Final = record(
    {"input_file_id": text(), "endpoint": text()},
    {**OPTIONAL, "completion_window": anything, "priority": anything, "model_id": anything},
)


async def create_batch(call: Call) -> Reply:
    """POST /v1/batches."""
    world = call.world
    provider = world.openai
    profile = provider.profile
    body = await read_body(call)
    window = _checked(body, profile)
    provider.limits.admit_create(world.now())
    delay, slow = call.rule(FaultKind.DELAY), call.rule(FaultKind.SLOW_LIST)
    late, other = call.rule(FaultKind.OUTPUT_FILE_LATE), call.rule(FaultKind.CANCELED_BY_OTHER)
    batch = provider.create_batch(
        input_file_id=body["input_file_id"],
        endpoint=body["endpoint"],
        window=window,
        metadata=body.get("metadata"),
        output_expires_seconds=(body.get("output_expires_after") or {}).get("seconds"),
        twist=twist_of(call),
        late_seconds=delay.seconds if delay else 0.0,
        list_seconds=slow.seconds if slow else 0.0,
        output_late_seconds=late.seconds if late else None,
        cancel_seconds=other.seconds if other else None,
    )
    if batch is None:
        raise ConnectionCut("the batch will be committed later")
    made = batch.to_json(world.clock.now())
    return json_reply({"job": made, "warning": None} if profile.upper_case else made)


def _checked(body: dict[str, Any], profile: Profile) -> str:
    """The completion window of a create body. Raises Refusal."""
    if profile.upper_case:
        create_together({name: body[name] for name in body if name in (*REQUIRED, *OPTIONAL)}, "")
    else:
        create_body(body if profile.strict else {n: body[n] for n in body if n in (*REQUIRED, *OPTIONAL)}, "")
    if body["endpoint"] not in profile.endpoints:
        message = f"Invalid value: '{body['endpoint']}'. Supported values are: {listing(profile.endpoints)}."
        raise bad("invalid_value", "endpoint", message)
    window = str(body.get("completion_window") or "24h")
    if window not in profile.windows:
        message = f"Invalid value: '{window}'. Supported values are: {listing(profile.windows)}."
        raise bad("invalid_value", "completion_window", message)
    expiry = body.get("output_expires_after")
    if expiry is not None:
        check_expiry(expiry["seconds"], profile.file_expiry_seconds, "output_expires_after.seconds")
    return window


def _find(call: Call) -> Batch:
    name = call.request.path_params["id"]
    batch = call.world.openai.batches.get(name)
    if batch is None:
        raise Refusal(404, f"No batch found with id '{name}'.")
    return batch


async def get_batch(call: Call) -> Reply:
    """GET /v1/batches/{id}."""
    return json_reply(_find(call).to_json(call.world.clock.now()))


async def list_batches(call: Call) -> Reply:
    """GET /v1/batches, newest first."""
    now = call.world.clock.now()
    batches = [batch.to_json(now) for batch in call.world.openai.listed()]
    if call.world.openai.profile.upper_case:
        return json_reply(batches)
    return page(call, batches, most=100, usual=20)


async def cancel_batch(call: Call) -> Reply:
    """POST /v1/batches/{id}/cancel. A batch that is over cannot be cancelled."""
    batch = _find(call)
    await read_all(call.request)
    if batch.status in OVER:
        raise Refusal(409, f"Cannot cancel a batch with status '{batch.status.value}'.", kind="invalid_request_error")
    now = call.world.now()
    call.world.openai.cancel(batch, now)
    return json_reply(batch.to_json(now))
