"""The Messages API, token counting and models, over HTTP.

Here: one function an endpoint. Not here: batches, and what comes before and after any endpoint (``door``). Law: a
generation is billed once, with what was generated of it.

Source: reference sheet of the provider's API, sections 2.1 to 2.8, checked 2026-11-21.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from lowtide_simulator import admin
from lowtide_simulator.bill import Line
from lowtide_simulator.clock import ClockMode, Instant
from lowtide_simulator.door import Call, checked, page, read_body
from lowtide_simulator.errors import ApiError
from lowtide_simulator.faults import ConnectionCut, FaultKind
from lowtide_simulator.messages import Work, error_event, events, is_billed, message, work_of
from lowtide_simulator.models import BY_NAME, MODELS, model_info
from lowtide_simulator.reply import Reply, json_reply
from lowtide_simulator.tokens import request_tokens
from lowtide_simulator.usage import Usage
from lowtide_simulator.validation import check_count


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


async def count_tokens(call: Call) -> Reply:
    """POST /v1/messages/count_tokens."""
    call.world.limits.admit_count(call.world.clock.now())
    params = await read_body(call)
    model = checked(lambda: check_count(params, call.context))
    return json_reply({"input_tokens": request_tokens(params, model)})


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
