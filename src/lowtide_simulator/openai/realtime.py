"""Chat completions, responses (background ones too), token counts and models, over HTTP.

Law: a generation is billed once, on the lane that was served, with what was generated of it.

Source: reference sheet of OpenAI's API, sections 1, 2.4 and 2.7, checked 2026-11-21. Not known and chosen here: a broken
stream is billed for what had been generated when it broke; background work goes on without its client and is billed whole.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from lowtide_simulator.bill import Line
from lowtide_simulator.clock import SECOND, ClockMode, Instant, to_datetime
from lowtide_simulator.door import Call, read_all
from lowtide_simulator.faults import ConnectionCut, FaultKind
from lowtide_simulator.messages import encode
from lowtide_simulator.openai import chat, responses
from lowtide_simulator.openai.background import LANES, RUNNING, Background
from lowtide_simulator.openai.batches import trimmed
from lowtide_simulator.openai.door import context_of, read_body
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.openai.models import BY_NAME, listed, model_json
from lowtide_simulator.openai.prices import find_rates, has_fast
from lowtide_simulator.openai.tokens import response_parts, total
from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.validation import CHAT, RESPONSES, check_count
from lowtide_simulator.openai.work import Work, work_of
from lowtide_simulator.reply import Reply, json_reply

SERVED_LANES: Final = {"default": "standard", "flex": "flex", "priority": "fast"}
SERVER_ERROR: Final = "The server had an error while processing your request. Sorry about that!"


async def create_chat(call: Call) -> Reply:
    """POST /v1/chat/completions."""
    body = await read_body(call)
    sale = await _sold(call, CHAT, body)
    world = call.world
    name = world.ids.letters("chatcmpl-", world.ids.count("chatcmpl"), 29)
    whole = chat.completion(name, sale.at // SECOND, sale.work, sale.usage, tier=sale.tier)
    whole = trimmed(whole, world.openai.profile)
    if body.get("stream"):
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        padded = world.openai.profile.details and _padded(body)
        whole = {"service_tier": sale.tier, "system_fingerprint": None, **whole}
        return sale.stream(chat.events(whole, include_usage=asked, obfuscated=padded))
    sale.close(sale.work.output_tokens)
    return json_reply(whole, headers=sale.headers)


async def create_response(call: Call) -> Reply:
    """POST /v1/responses."""
    body = await read_body(call)
    world = call.world
    before = _before(call, body)
    if body.get("background"):
        return await _create_background(call, body, before)
    sale = await _sold(call, RESPONSES, body, before)
    name = world.ids.hex("resp_", world.ids.count("resp"), 50)
    base = responses.skeleton(name, sale.at // SECOND, body, sale.work, status="in_progress")
    whole = responses.response(base, sale.work, sale.usage, world.ids, tier=sale.tier, completed=sale.at // SECOND)
    if body.get("store") is not False:
        world.openai.store(name, encode(whole), sale.usage.prompt + sale.usage.output)
    if body.get("stream"):
        return sale.stream(responses.events(base, whole, obfuscated=_padded(body)))
    sale.close(sale.work.output_tokens)
    return json_reply(whole, headers=sale.headers)


def _padded(body: dict[str, Any]) -> bool:
    """Whether deltas carry padding against eavesdroppers: they do unless told not to."""
    return (body.get("stream_options") or {}).get("include_obfuscation") is not False


def _before(call: Call, body: dict[str, Any]) -> int:
    """Tokens of the response that this one follows. Raises Refusal when there is none."""
    name = body.get("previous_response_id")
    if not isinstance(name, str):
        return 0
    stored = call.world.openai.stored.get(name)
    if stored is None:
        message = f"Previous response with id '{name}' not found."
        raise Refusal(400, message, param="previous_response_id", code="previous_response_not_found")
    return stored.tokens


async def _sold(call: Call, endpoint: str, body: dict[str, Any], before: int = 0) -> "Sale":
    """Check, limit, serve from the caches and wait: one generation, ready to be delivered."""
    world = call.world
    provider = world.openai
    options = world.options
    work = work_of(endpoint, body, context_of(call), options.seed, options.chances, before=before)
    now = world.now()
    tier = _tier(call, body, work)
    asked = work.limit if work.limit < work.model.output_tokens_max else 0
    provider.limits.admit(work.model.group, max(asked, work.prompt_tokens), now)
    latency = options.latency_seconds
    if latency and world.clock.mode is not ClockMode.VIRTUAL:
        await asyncio.sleep(latency / (options.speed if world.clock.mode is ClockMode.SCALED else 1))
        now = world.now()
    usage = work.usage(provider.realtime_cache.serve(work.cuts, work.model, now))
    headers = provider.limits.headers(work.model.group, now) if provider.profile.rate_headers else ()
    return Sale(call, work, usage, now, tier, SERVED_LANES[tier], body.get("metadata"), headers)


def _tier(call: Call, body: dict[str, Any], work: Work) -> str:
    """The tier that is served: what the answer will say. Raises Refusal."""
    asked = body.get("service_tier") or "auto"
    if asked == "auto":
        asked = call.world.openai.options.default_tier
    match asked:
        case "flex":
            return _flex(call, work)
        case "fast" | "priority":
            downgraded = call.rule(FaultKind.TIER_DOWNGRADED)
            return "priority" if has_fast(work.model.price, work.prompt_tokens) and not downgraded else "default"
        case _:
            return "default"


def _flex(call: Call, work: Work) -> str:
    if not work.model.flex:
        message = f"Invalid service_tier argument: flex is not available for model '{work.name}'."
        raise Refusal(400, message, param="service_tier", code="invalid_value")
    if call.rule(FaultKind.FLEX_UNAVAILABLE):
        status = call.world.openai.profile.flex_status
        if status == 429:
            raise Refusal(429, "Resource Unavailable", kind="rate_limit_error", code="resource_unavailable")
        raise Refusal(status, "Flex tier capacity exceeded. Please try again later.")
    return "flex"


@dataclass(slots=True)
class Sale:
    """One real-time generation being delivered and billed."""

    call: Call
    work: Work
    usage: Usage
    at: Instant
    tier: str
    lane: str
    metadata: dict[str, str] | None
    headers: tuple[tuple[str, str], ...] = ()
    goes_on: bool = False
    """Whether the work is finished also when the client leaves."""

    def close(self, output_tokens: int) -> None:
        """Bill it, with as much output as was generated."""
        usage = replace(self.usage, output=output_tokens, reasoning=min(self.usage.reasoning, output_tokens))
        bill(self.call, self.work, usage, self.at, self.lane, self.call.request_id, self.metadata)

    def stream(self, found: Iterator[chat.Event]) -> Reply:
        """The events as a reply."""
        kinds = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"), *self.headers]
        return Reply(headers=kinds, body=self._events(found))

    async def _events(self, found: Iterator[chat.Event]) -> AsyncGenerator[bytes, None]:
        """The events; a stream that ends early is billed for what was generated."""
        broken = self.call.rule(FaultKind.SSE_ERROR_AFTER_200)
        cut = self.call.rule(FaultKind.CUT_STREAM)
        share = 0.0
        try:
            for number, event in enumerate(found):
                if broken and number >= broken.events:
                    yield self._error(number, broken.error_type or "server_error", broken.message or SERVER_ERROR)
                    return
                if cut and number >= cut.events:
                    message = f"after {number} events"
                    raise ConnectionCut(message)
                share = event.share
                yield event.raw
        finally:
            self.close(round(self.work.output_tokens * (1.0 if self.goes_on else share)))

    def _error(self, number: int, kind: str, message: str) -> bytes:
        if self.work.endpoint == CHAT:
            return b"data: " + encode(Refusal(500, message, kind=kind).to_json()) + b"\n\n"
        return responses.error_event(number, kind, message)


def bill(
    call: Call, work: Work, usage: Usage, at: Instant, lane: str, request_id: str, metadata: dict[str, str] | None
) -> None:
    """Put one generation on the bill."""
    rates = find_rates(work.model.price, to_datetime(at).date(), usage.prompt, lane=lane)
    call.world.bill.add(
        Line(
            at=at,
            model=work.model.id,
            price=work.model.price,
            lane=lane,
            usage=usage,
            digest=work.digest.hex(),
            request_id=request_id,
            provider="openai",
            rates=rates,
            metadata=metadata,
        )
    )


# ------------------------------------------------------------------ background


async def _create_background(call: Call, body: dict[str, Any], before: int) -> Reply:
    """A response that is finished later, on the virtual clock."""
    world = call.world
    provider = world.openai
    sale = await _sold(call, RESPONSES, body, before)
    window = (body.get("background_options") or {}).get("completion_window", "soonest")
    name = world.ids.hex("resp_", world.ids.count("resp"), 50)
    base = responses.skeleton(name, sale.at // SECOND, body, sale.work, status="queued")
    found = Background(
        id=name,
        work=sale.work,
        usage=sale.usage,
        whole=base,
        lane=sale.lane if window == "soonest" else LANES[window],
        request_id=call.request_id,
        metadata=body.get("metadata"),
        lost=call.rule(FaultKind.BACKGROUND_LOST) is not None,
        fails=call.rule(FaultKind.BACKGROUND_FAILS) is not None,
    )
    provider.background[name] = found
    if body.get("stream"):
        whole = responses.response(base, sale.work, sale.usage, world.ids, tier=sale.tier, completed=sale.at // SECOND)
        found.whole = whole
        provider.store(name, encode(whole), sale.usage.prompt + sale.usage.output)
        sale.goes_on = True
        return sale.stream(responses.events(base, whole, obfuscated=_padded(body)))
    if not call.rule(FaultKind.BACKGROUND_STUCK):
        seconds = provider.chance.uniform(*provider.options.background_seconds[window])
        ends = Instant(sale.at + int(seconds * SECOND))
        begins = Instant(sale.at + int(seconds * SECOND / 2))
        world.later(begins, lambda _at: _begin(found))
        world.later(ends, lambda at: _finish(call, found, sale.tier, at))
    return json_reply(found.whole, headers=sale.headers)


def _begin(found: Background) -> None:
    if not found.over:
        found.whole = {**found.whole, "status": RUNNING}


def _finish(call: Call, found: Background, tier: str, at: Instant) -> None:
    if found.over:
        return
    world = call.world
    provider = world.openai
    if found.fails:
        found.whole = responses.failed(found.whole, "server_error", SERVER_ERROR)
        provider.tell("response.failed", found.id, at)
        return
    found.whole = responses.response(found.whole, found.work, found.usage, world.ids, tier=tier, completed=at // SECOND)
    bill(call, found.work, found.usage, at, found.lane, found.request_id, found.metadata)
    provider.store(found.id, b"", found.usage.prompt + found.usage.output)
    provider.tell(f"response.{found.status}", found.id, at)


def _background(call: Call) -> Background | None:
    found = call.world.openai.background.get(call.request.path_params["id"])
    return None if found is None or found.lost else found


def _no_response(name: str) -> Refusal:
    return Refusal(404, f"Response with id '{name}' not found.", param=None)


async def get_response(call: Call) -> Reply:
    """GET /v1/responses/{id}."""
    name = call.request.path_params["id"]
    if call.request.query_params.get("stream") == "true":
        message = "Streaming a stored response again is not imitated by this simulator."
        raise Refusal(400, message, param="stream", code="unsupported_value")
    found = _background(call)
    if found is not None:
        return json_reply(found.whole)
    stored = call.world.openai.stored.get(name)
    if stored is None or not stored.raw:
        raise _no_response(name)
    return Reply(headers=[("content-type", "application/json")], body=stored.raw)


async def cancel_response(call: Call) -> Reply:
    """POST /v1/responses/{id}/cancel: only a background one; a second call changes nothing."""
    await read_all(call.request)
    name = call.request.path_params["id"]
    found = _background(call)
    if found is None:
        if name in call.world.openai.stored:
            raise Refusal(400, "Cannot cancel a synchronous response.", param=None)
        raise _no_response(name)
    if not found.over:
        found.whole = {**found.whole, "status": "cancelled"}
        call.world.openai.tell("response.cancelled", name, call.world.clock.now())
    return json_reply(found.whole)


async def delete_response(call: Call) -> Reply:
    """DELETE /v1/responses/{id}."""
    name = call.request.path_params["id"]
    provider = call.world.openai
    if _background(call) is None and name not in provider.stored:
        raise _no_response(name)
    provider.background.pop(name, None)
    provider.stored.pop(name, None)
    return json_reply({"id": name, "object": "response", "deleted": True})


# ------------------------------------------------------------------ counts and models


async def count_tokens(call: Call) -> Reply:
    """POST /v1/responses/input_tokens."""
    body = await read_body(call)
    check_count(body, context_of(call))
    return json_reply({"object": "response.input_tokens", "input_tokens": total(response_parts(body))})


async def list_models(call: Call) -> Reply:
    """GET /v1/models."""
    return json_reply({"object": "list", "data": listed(to_datetime(call.world.clock.now()).date())})


async def get_model(call: Call) -> Reply:
    """GET /v1/models/{id}."""
    name = call.request.path_params["id"]
    model = BY_NAME.get(name)
    if model is None or not model.alive(to_datetime(call.world.clock.now()).date()):
        raise Refusal(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
    return json_reply(model_json(name, model))
