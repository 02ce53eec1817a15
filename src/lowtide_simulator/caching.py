"""The provider's prompt caches as they were measured.

Here: where a request may be cut (its breakpoints), and two stores of prefixes, one for real-time calls and one for
batches. Not here: prices. Law: the two stores never see each other; what a batch writes can be read only by batches
that run after it has ended; a prefix below the model's minimum is silently not cached.

A *cut* is a block boundary: the hash of everything before it and its token count. A breakpoint sees its own cut and up
to 20 cuts before it. Order of the prefix: tools, system, messages.

Source: reference sheet of the provider's API, sections 1.7 and 3.5, checked 2026-11-21. Not known and chosen here: an
entry of a batch is readable from the moment the batch ended and its lifetime starts then.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lowtide_simulator import tokens
from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.models import Model

LIFETIMES: Final = {"5m": 300 * SECOND, "1h": 3_600 * SECOND}
LOOK_BACK: Final = 20
BREAKPOINTS_MAX: Final = 4

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a prefix may end: its hash, its tokens, and the lifetime it is written with (None: only read)."""

    prefix: bytes
    tokens: int
    ttl: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the cache did for one request, in tokens."""

    read: int = 0
    write_5m: int = 0
    write_1h: int = 0


NOTHING: Final = Served()


def cuts_of(params: dict[str, Any], model: Model) -> tuple[Cut, ...]:
    """The cuts that this request's breakpoints can see; empty when it has no breakpoint."""
    automatic = params.get("cache_control")
    if automatic is None and not _any_mark(params):
        return ()
    marked = list(_blocks(params, model))
    if automatic is not None and marked:
        place, block, count, _ = marked[-1]
        marked[-1] = (place, block, count, automatic.get("ttl") or "5m")
    hasher = hashlib.sha256(model.id.encode())
    seen: list[Cut] = []
    total = tokens.REQUEST_TOKENS + (tokens.TOOLS_TOKENS if params.get("tools") else 0)
    total += tokens.schema_tokens(params, model.tokenizer)
    output_config = params.get("output_config") or {}
    hasher.update(_encode(output_config.get("format")))
    settings = [params.get("thinking"), output_config.get("effort"), params.get("tool_choice")]
    for place, block, count, ttl in marked:
        if place == "messages" and settings:
            # These change what comes after them: the messages, not the tools and the system prompt.
            hasher.update(_encode(settings))
            total += tokens.thinking_tokens(params)
            settings = []
        hasher.update(block)
        total += count
        seen.append(Cut(hasher.digest(), total, ttl))
    wanted: set[int] = set()
    for index, cut in enumerate(seen):
        if cut.ttl:
            wanted.update(range(max(0, index - LOOK_BACK), index + 1))
    return tuple(seen[index] for index in sorted(wanted))


def _any_mark(params: dict[str, Any]) -> bool:
    """Whether any block has a mark: most bodies have none, and are not hashed."""
    contents = [params.get("tools"), params.get("system"), *(message["content"] for message in params["messages"])]
    return any("cache_control" in block for content in contents if isinstance(content, list) for block in content)


def _blocks(params: dict[str, Any], model: Model) -> Iterator[tuple[str, bytes, int, str | None]]:
    """Every block in prefix order: its place, its canonical bytes, its tokens, its mark."""
    for tool in params.get("tools") or ():
        yield "tools", _bare(tool, "tool"), tokens.tool_tokens(tool, model.tokenizer), _ttl(tool)
    for block in _listed(params.get("system")):
        yield "system", _bare(block, "system"), tokens.block_tokens(block, model), _ttl(block)
    for message in params["messages"]:
        blocks = _listed(message["content"])
        for position, block in enumerate(blocks):
            count = tokens.block_tokens(block, model) + (tokens.MESSAGE_TOKENS if position == 0 else 0)
            yield "messages", _bare(block, message["role"]), count, _ttl(block)


def _listed(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    if not content:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _bare(block: dict[str, Any], place: str) -> bytes:
    """Canonical bytes of a block without its mark, so that moving a breakpoint changes no prefix."""
    return place.encode() + _encode({k: v for k, v in block.items() if k != "cache_control"})


def _ttl(block: dict[str, Any]) -> str | None:
    mark = block.get("cache_control")
    return (mark.get("ttl") or "5m") if mark else None


@dataclass(slots=True)
class Entry:
    """A cached prefix. Readable from ``since`` until ``until``."""

    since: Instant
    until: Instant
    lifetime: int


class CacheStore:
    """One store of prefixes."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}

    def look_up(self, cuts: tuple[Cut, ...], model: Model, now: Instant) -> Served:
        """What is served and what would be written at ``now``; a hit refreshes its entry. Nothing is written yet."""
        if not cuts:
            return NOTHING
        read = 0
        for cut in reversed(cuts):
            entry = self.entries.get(cut.prefix)
            if entry is not None and entry.since <= now < entry.until:
                entry.until = Instant(max(entry.until, now + entry.lifetime))
                read = cut.tokens
                break
        written = {"5m": 0, "1h": 0}
        done = read
        for cut in cuts:
            if cut.ttl and cut.tokens > done and cut.tokens >= model.cache_prefix_tokens_min:
                written[cut.ttl] += cut.tokens - done
                done = cut.tokens
        return Served(read=read, write_5m=written["5m"], write_1h=written["1h"])

    def write(self, cuts: tuple[Cut, ...], model: Model, readable_at: Instant) -> None:
        """Write the breakpoints' prefixes; an entry that is alive keeps its start and gets the later end."""
        for cut in cuts:
            if cut.ttl is None or cut.tokens < model.cache_prefix_tokens_min:
                continue
            lifetime = LIFETIMES[cut.ttl]
            entry = self.entries.get(cut.prefix)
            if entry is not None and entry.until > readable_at:
                entry.until = Instant(max(entry.until, readable_at + lifetime))
                entry.lifetime = max(entry.lifetime, lifetime)
            else:
                self.entries[cut.prefix] = Entry(readable_at, Instant(readable_at + lifetime), lifetime)

    def sweep(self, now: Instant) -> None:
        """Drop what has expired."""
        for prefix in [prefix for prefix, entry in self.entries.items() if entry.until <= now]:
            del self.entries[prefix]
