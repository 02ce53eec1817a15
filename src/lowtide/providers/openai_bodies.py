"""Bodies in OpenAI's dialect: a neutral one written for Responses or Chat, a native one read for what must be known.

Replies are read in ``openai_replies``. The laws: a native body is never altered (promise 9), and one whose cost has no
bound (tools that run at the provider, an answer without a limit) or no price here (audio, ultrafast) is refused;
whatever else may be wrong with it is the provider's to say.

Sources: openai SDK 3.54.0 and the guides of 2026-11, checked 2026-11-21.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lowtide.catalog import Lane
from lowtide.providers import BodyFacts
from lowtide.providers.openai_profiles import Profile
from lowtide.providers.walking import Walked, decode_fields, lengths, only
from lowtide.request import Endpoint, Neutral

# What the provider adds around our content, counted as content bytes. Generous, as it keeps the bound a bound; how far
# recorded calls bear it out stands in tests/contract/test_openai_recordings.py.
BODY_BYTES: Final = 48
MESSAGE_BYTES: Final = 16
TOOLS_BYTES: Final = 320
SCHEMA_BYTES: Final = 160

CHOICES_MAX: Final = 128  # of ``n`` (Chat Completions reference)

# Models that write into the cache for nothing, and those that know ``prompt_cache_options`` because their writes cost money.
# Of a name in neither (a deployment's, a model of tomorrow) both must be feared: its writes are reserved for, and an option
# that it may refuse is not written.
FREE_WRITES: Final = re.compile(r"(ft:)?(gpt-[34]|gpt-5(\.[0-5])?(?![\d.])|o\d|chatgpt-4|codex-|davinci|babbage)")
PAID_WRITES: Final = re.compile(r"(ft:)?gpt-(5\.([6-9]|\d\d)|[6-9]|\d\d)(?!\d)")
# Models that refuse ``max_tokens`` in Chat, whoever serves them (a proxy may name their maker first).
NEW_LIMIT: Final = re.compile(r"(.+/)?(gpt-([5-9]|\d\d)|o\d)")
# Models that search by themselves, at a fee for each search.
SEARCHING: Final = re.compile(r"-search-(preview|api)|deep-research")
# Tools that run where the client runs: their use ends the answer.
CLIENT_TOOLS: Final = frozenset({"function", "custom", "namespace", "local_shell", "apply_patch"})
# What the counter of input tokens takes of a body (openai SDK 3.54.0, input_token_count_params).
COUNTED_FIELDS: Final = (
    "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "truncation", "parallel_tool_calls",
    "previous_response_id", "conversation",
)  # fmt: skip
LANES: Final = {
    "default": Lane.REALTIME,
    "flex": Lane.FLEX,
    "fast": Lane.FAST,
    "priority": Lane.FAST,
}

_encode: Final = msgspec.json.Encoder().encode
OutputLimit = Callable[[str], int | None]


# ---------------------------------------------------------------- written


def encode_body(
    model: str, body: Neutral, *, endpoint: Endpoint, profile: Profile, cache: str, cache_at: tuple[int, ...] = ()
) -> bytes:
    """Write a neutral body: the system's text, then shared blocks, then what only this request says.

    With ``cache`` (``30m``, on Responses also ``12h``) the texts at these places end prefixes for that cache, see
    ``Codec.encode``; without it nothing is written into a cache (the default of these models is to write, and bill).
    """
    kind = "input_text" if endpoint is Endpoint.RESPONSES else "text"
    shared = [{"type": kind, "text": block} for block in body.shared if block]
    own = [{"type": kind, "text": body.text}] if body.text or not shared else []
    system = [{"type": kind, "text": body.system}] if body.system else []
    if cache:
        prefix: list[dict[str, Any]] = system + shared
        for text in [prefix[place] for place in cache_at] or prefix[-1:]:
            text["prompt_cache_breakpoint"] = {"mode": "explicit"}
    turns = [{"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": shared + own})
    params: dict[str, Any] = {"model": model}
    if endpoint is Endpoint.RESPONSES:
        params |= {"max_output_tokens": body.max_output_tokens, "input": turns}
    else:
        limit_field = "max_completion_tokens" if NEW_LIMIT.match(model) else profile.limit_field
        params |= {limit_field: body.max_output_tokens, "messages": _plain(turns, cache)}
    if profile.tiers:
        params["service_tier"] = "default"
    if profile.cache_writes and PAID_WRITES.match(model):
        params["prompt_cache_options"] = {"mode": "explicit"} | ({"ttl": cache} if cache else {})
    return _encode(params)


def _plain(turns: list[dict[str, Any]], cache: str) -> list[dict[str, Any]]:
    """Write a turn of one unmarked text as a string: some servers know nothing else."""
    return [
        turn | {"content": turn["content"][0]["text"]} if len(turn["content"]) == 1 and not cache else turn
        for turn in turns
    ]


def with_window(params: bytes, window: str) -> bytes:
    """Give the body with ``background`` and the window in its options; every other field keeps its bytes."""
    fields = decode_fields(params)
    options = decode_fields(fields["background_options"]) if "background_options" in fields else {}
    options["completion_window"] = msgspec.Raw(_encode(window))
    fields |= {"background": msgspec.Raw(b"true"), "background_options": msgspec.Raw(_encode(options))}
    return _encode(fields)


def countable(params: bytes) -> bytes:
    """Give what the counter of input tokens takes of a Responses body."""
    return only(params, COUNTED_FIELDS)


# ---------------------------------------------------------------- read


class _Params(msgspec.Struct):
    """The fields of a body that are looked at; all others pass. Whatever is wrong in kind is said, not raised."""

    model: Any = None
    messages: Any = None
    input: Any = None
    instructions: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    n: Any = None
    stream: Any = None
    background: Any = None
    background_options: Any = None
    service_tier: Any = None
    store: Any = None
    tools: Any = None
    functions: Any = None
    web_search_options: Any = None
    response_format: Any = None
    text: Any = None
    prediction: Any = None
    audio: Any = None
    modalities: Any = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    context_management: Any = None
    prompt_cache_options: Any = None


_decode_params: Final = msgspec.json.Decoder(_Params).decode


@dataclass(slots=True)
class _Found(Walked):
    """What walking through a body has found."""

    allowance_bytes: int = BODY_BYTES
    audio: bool = False
    long_writes: bool = False

    def add_mark(self, mark: object) -> None:
        if mark is not None:
            self.breakpoints += 1
            self.long_writes = self.long_writes or (isinstance(mark, dict) and mark.get("ttl") == "12h")


def read_body(
    params: bytes, *, endpoint: Endpoint, profile: Profile, output_limit: OutputLimit
) -> BodyFacts | tuple[str, ...]:
    """Read what must be known of ``params``, or say all that is wrong with it; see ``Codec.read_body``."""
    try:
        body = _decode_params(params)
        found = _walk_body(body, endpoint)
        problems = _problems(body, endpoint, profile)
        limit, complaint = _limit(body, endpoint, output_limit)
        problems += [complaint] if complaint else []
        problems += ["audio is refused: its tokens have prices of their own, which are not known here"] * found.audio
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return (f"not a JSON object: {error}",)
    except RecursionError:
        return ("nested too deeply to be read",)
    return tuple(problems) or _facts(body, found, endpoint=endpoint, profile=profile, limit=limit)


def _facts(body: _Params, found: _Found, *, endpoint: Endpoint, profile: Profile, limit: int) -> BodyFacts:
    """Put together what was found in a body that has no problem of ours."""
    text = "".join(found.texts)
    content_bytes, non_ascii_bytes = lengths(text)
    lane, dearest = _lanes(body.service_tier, profile)
    return BodyFacts(
        model=body.model,
        max_output_tokens=limit,
        content_bytes=content_bytes + found.allowance_bytes,
        non_ascii_bytes=non_ascii_bytes,
        images=found.images,
        text=text,
        input_unbounded=found.unbounded or _quotes_unseen(body),
        cache_breakpoints=found.breakpoints,
        dearest_write=_dearest_write(body, found, profile),
        lane=lane,
        dearest_lane=dearest,
        # A window wants Standard processing, and keeps the response until it is asked for.
        windows=bool(profile.windows)
        and endpoint is Endpoint.RESPONSES
        and body.service_tier == "default"
        and body.store is not False,
    )


def _lanes(tier: object, profile: Profile) -> tuple[Lane, Lane]:
    """Say which lane is asked for, and the dearest that may be served: without a tier the project's own decides."""
    if not profile.tiers:
        return Lane.REALTIME, Lane.REALTIME
    asked = LANES.get(tier) if isinstance(tier, str) else None
    return (Lane.REALTIME, Lane.FAST) if asked is None else (asked, asked)


def _dearest_write(body: _Params, found: _Found, profile: Profile) -> str:
    """Say what the body may write into a cache: by default these models do, for 30 minutes."""
    if not profile.cache_writes or FREE_WRITES.match(body.model):
        return ""
    options = body.prompt_cache_options if isinstance(body.prompt_cache_options, dict) else {}
    if options.get("mode") == "explicit" and not found.breakpoints:
        return "" if not _quotes_unseen(body) else "30m"
    return "12h" if options.get("ttl") == "12h" or found.long_writes else "30m"


def _quotes_unseen(body: _Params) -> bool:
    return body.previous_response_id is not None or body.conversation is not None


def _problems(body: _Params, endpoint: Endpoint, profile: Profile) -> list[str]:
    found = []
    if not (isinstance(body.model, str) and body.model):
        found.append("model is missing" if body.model is None else "model must be a string")
    elif SEARCHING.search(body.model):
        found.append(f"unbounded server tools are refused: {body.model} searches by itself")
    if endpoint is Endpoint.CHAT:
        if not (isinstance(body.messages, list) and body.messages):
            found.append(
                "messages is missing" if body.messages is None else "messages must be a list with a message in it"
            )
    elif body.input is None and not _quotes_unseen(body):
        found.append("input is missing")
    if body.stream not in (None, False):
        found.append("stream is refused: take stream out or set it to false")
    if body.background not in (None, False):
        found.append("background is refused: lowtide chooses the window itself; take background out")
    if body.prompt is not None:
        found.append("prompt is refused: what tools its template brings cannot be seen; write the text into the body")
    if body.context_management is not None:
        found.append("context_management is refused: what a compaction costs has no bound")
    if body.web_search_options is not None:
        found.append("unbounded server tools are refused: web_search_options")
    found += [f"unbounded server tools are refused: {kind}" for kind in _server_tools(body.tools)]
    if profile.tiers and body.service_tier == "ultrafast":
        found.append("service_tier ultrafast is refused: it has no price here")
    found += _cache_problems(body, endpoint)
    return found


def _cache_problems(body: _Params, endpoint: Endpoint) -> list[str]:
    options = body.prompt_cache_options
    if endpoint is Endpoint.CHAT and isinstance(options, dict) and options.get("ttl") == "12h":
        return [
            "prompt_cache_options.ttl 12h is for Responses; Chat Completions has 30m alone, and does not say which it billed"
        ]
    return []


def _server_tools(tools: object) -> list[str]:
    """List kinds of tools that run at the provider, or are unknown: their turns add input, or a fee, without a bound."""
    if not isinstance(tools, list):
        return []
    kinds = []
    for tool in tools:
        if isinstance(tool, dict):
            kind = str(tool.get("type"))
            kinds += _server_tools(tool.get("tools")) if kind == "namespace" else [kind]
    return [kind for kind in kinds if kind not in CLIENT_TOOLS]


def _limit(body: _Params, endpoint: Endpoint, output_limit: OutputLimit) -> tuple[int, str]:
    """Give the most output tokens that may be billed, or what is wrong with the limit."""
    names = ("max_output_tokens",) if endpoint is Endpoint.RESPONSES else ("max_completion_tokens", "max_tokens")
    said = [(name, getattr(body, name)) for name in names if getattr(body, name) is not None]
    if len(said) > 1:
        return 0, "max_tokens and max_completion_tokens are both there: take max_tokens out"
    if said:
        name, limit = said[0]
    else:
        name, limit = names[0], output_limit(body.model) if isinstance(body.model, str) else None
        if limit is None:
            return 0, f"{name} is missing, and the most that the model can write is not known here: say {name}"
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        return 0, f"{name} must be a whole number of at least 1"
    choices = 1 if body.n is None or endpoint is Endpoint.RESPONSES else body.n
    if not isinstance(choices, int) or isinstance(choices, bool) or not 1 <= choices <= CHOICES_MAX:
        return 0, f"n must be a whole number from 1 to {CHOICES_MAX}"
    # What a prediction gets wrong is billed as output.
    return choices * (limit + (len(_encode(body.prediction)) if body.prediction is not None else 0)), ""


def _walk_body(body: _Params, endpoint: Endpoint) -> _Found:
    found = _Found()
    if body.audio is not None or (isinstance(body.modalities, list) and "audio" in body.modalities):
        found.audio = True
    turns = body.messages if endpoint is Endpoint.CHAT else body.input
    _walk(found, body.instructions)
    for turn in turns if isinstance(turns, list) else [turns]:
        found.allowance_bytes += MESSAGE_BYTES
        _walk(found, turn)
    for tools in (body.tools, body.functions):
        if tools:
            found.allowance_bytes += TOOLS_BYTES
            found.add_json(tools)
    schemas = (body.response_format, body.text) if endpoint is Endpoint.RESPONSES else (body.response_format,)
    for schema in schemas:
        if schema is not None:
            found.allowance_bytes += SCHEMA_BYTES
            found.add_json(schema)
    return found


def _walk(found: _Found, content: object) -> None:
    """Look at a text, a turn, a part or a list of parts; kinds we do not know count with all their JSON."""
    if isinstance(content, str):
        found.texts.append(content)
    elif isinstance(content, list):
        for part in content:
            _walk(found, part)
    elif isinstance(content, dict):
        found.add_mark(content.get("prompt_cache_breakpoint"))
        READERS.get(str(content.get("type", "message")), _walk_unknown)(found, content)
    elif content is not None:
        found.add_json(content)


def _walk_turn(found: _Found, turn: dict[str, Any]) -> None:
    """Read a turn of either endpoint: its content, and whatever else it says (calls, names, refusals) as JSON."""
    _walk(found, turn.get("content"))
    rest = {name: value for name, value in turn.items() if name not in ("content", "role", "type")}
    if rest:
        found.allowance_bytes += MESSAGE_BYTES
        found.audio = found.audio or turn.get("audio") is not None
        found.add_json(rest)


def _walk_text(found: _Found, part: dict[str, Any]) -> None:
    _walk(found, part.get("text"))
    if part.get("annotations"):
        found.add_json(part["annotations"])


def _walk_image(found: _Found, _part: dict[str, Any]) -> None:
    found.images += 1


def _walk_file(found: _Found, _part: dict[str, Any]) -> None:
    found.unbounded = True  # What a file, or an item kept over there, holds cannot be seen from here.


def _walk_audio(found: _Found, _part: dict[str, Any]) -> None:
    found.audio = True


def _walk_output(found: _Found, item: dict[str, Any]) -> None:
    """Read the output of a client's tool: a text, or parts (a screenshot is one of them)."""
    _walk(found, item.get("call_id"))
    _walk(found, item.get("output"))
    found.allowance_bytes += MESSAGE_BYTES


def _walk_unknown(found: _Found, part: dict[str, Any]) -> None:
    """Count calls, reasoning and kinds yet to come: all their JSON, and no bound where they name a file."""
    found.add_json(part)
    found.allowance_bytes += MESSAGE_BYTES
    found.unbounded = found.unbounded or any(name.startswith("file_") or name.endswith("_url") for name in part)


READERS: Final[dict[str, Callable[[_Found, dict[str, Any]], None]]] = {
    "message": _walk_turn,
    "text": _walk_text,
    "input_text": _walk_text,
    "output_text": _walk_text,
    "image_url": _walk_image,
    "input_image": _walk_image,
    "computer_screenshot": _walk_image,
    "file": _walk_file,
    "input_file": _walk_file,
    "item_reference": _walk_file,
    "input_audio": _walk_audio,
    "function_call_output": _walk_output,
    "custom_tool_call_output": _walk_output,
    "computer_call_output": _walk_output,
}
