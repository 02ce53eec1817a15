"""OpenAI's prompt caches: free blocks before GPT-5.6, breakpoints that cost money from then on.

Here: where a prompt may be cut, and stores of prefixes. Not here: prices. Law: a prefix below 1,024 tokens is never
cached; explicit mode without a breakpoint neither reads nor writes.

Two ways, by model:

- *Free* (before 5.6): blocks of 128 tokens from 1,024 on, matched byte by byte; a read is a multiple of 128.
- *Paid* (5.6 and later): breakpoints. Implicit mode has one at the end of the prompt and writes up to three explicit
  ones; explicit mode writes up to four. What was read is not rounded; every new breakpoint is written and billed. Ends
  of messages and breakpoints of the request are looked up, whichever mode wrote them.

About 15 requests a minute share one prefix and ``prompt_cache_key``; more overflow to another machine, which has its own
entries.

Source: openai-python 3.54.0's docstrings; reference sheet of OpenAI's API, section 2.6; recorded usage of 2026-07 (1,217
written of 1,220). Checked 2026-11-21. Not known and chosen here: free entries live 10 minutes (24 hours with
``prompt_cache_retention: 24h``), a read refreshes its entry, and batches have a store of their own in which their
items see each other's entries in the order in which they ran.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from lowtide_simulator.caching import Cut
from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.openai.models import CacheWrites, Model
from lowtide_simulator.openai.tokens import BYTES_PER_TOKEN, Part

PREFIX_TOKENS_MIN: Final = 1_024
BLOCK_TOKENS: Final = 128
WRITES_MAX: Final = 4
LOOKED_AT_MAX: Final = 80
REQUESTS_PER_MINUTE: Final = 15
MINUTE: Final = 60 * SECOND
SWEEP_AT: Final = 20_000
LIFETIMES: Final = {"free": 600 * SECOND, "24h": 86_400 * SECOND, "30m": 1_800 * SECOND, "12h": 43_200 * SECOND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the cache did for one request, in tokens."""

    cached: int = 0
    write_30m: int = 0
    write_12h: int = 0


NOTHING: Final = Served()


def cuts_of(body: dict[str, Any], parts: list[Part], prompt_tokens: int, model: Model) -> tuple[Cut, ...]:
    """The cuts of a prompt, shortest first; empty when it is not cached."""
    if prompt_tokens < PREFIX_TOKENS_MIN or model.cache is CacheWrites.NONE:
        return ()
    start = hashlib.sha256(f"{model.id} {body.get('prompt_cache_key')}".encode())
    if model.cache is CacheWrites.FREE:
        ttl = "24h" if body.get("prompt_cache_retention") == "24h" else "free"
        return _blocks(start, b"\n".join(part.raw for part in parts), prompt_tokens, ttl)
    return _breakpoints(start, parts, body.get("prompt_cache_options") or {})


def _blocks(hasher: Any, raw: bytes, prompt_tokens: int, ttl: str) -> tuple[Cut, ...]:  # noqa: ANN401 - hashlib's own
    """Every whole block from the shortest prefix that is cached."""
    size = BLOCK_TOKENS * BYTES_PER_TOKEN
    found = []
    for number in range(1, min(len(raw) // size, prompt_tokens // BLOCK_TOKENS) + 1):
        hasher.update(raw[(number - 1) * size : number * size])
        if number * BLOCK_TOKENS >= PREFIX_TOKENS_MIN:
            found.append(Cut(hasher.digest(), number * BLOCK_TOKENS, ttl))
    return tuple(found)


def _breakpoints(hasher: Any, parts: list[Part], options: dict[str, Any]) -> tuple[Cut, ...]:  # noqa: ANN401 - hashlib's
    explicit = options.get("mode") == "explicit"
    default = options.get("ttl") or "30m"
    marked = [index for index, part in enumerate(parts) if part.ttl is not None]
    if explicit and not marked:
        return ()
    written = set(marked[-(WRITES_MAX if explicit else WRITES_MAX - 1) :])
    found = []
    reached = 0
    for index, part in enumerate(parts):
        hasher.update(len(part.raw).to_bytes(8, "big") + part.raw)
        reached += part.tokens
        implicit = not explicit and index == len(parts) - 1
        if reached < PREFIX_TOKENS_MIN or not (part.ends_turn or part.ttl is not None):
            continue
        ttl = (part.ttl or default) if index in written else default if implicit else None
        found.append(Cut(hasher.digest(), reached, ttl))
    return tuple(found[-LOOKED_AT_MAX:])


@dataclass(slots=True)
class Entry:
    """A cached prefix on one machine, readable from ``since`` until ``until``."""

    since: Instant
    until: Instant
    lifetime: int


class CacheStore:
    """One store of prefixes."""

    def __init__(self) -> None:
        self.entries: dict[tuple[bytes, int], Entry] = {}
        self._traffic: dict[bytes, tuple[int, int]] = {}
        self._sweep_at = SWEEP_AT

    def serve(self, cuts: tuple[Cut, ...], model: Model, now: Instant) -> Served:
        """What is read and written at ``now``; both happen at once."""
        if not cuts:
            return NOTHING
        if len(self.entries) >= self._sweep_at:
            self.sweep(now)
            self._sweep_at = max(SWEEP_AT, 2 * len(self.entries))
        machine = self._machine(cuts[0].prefix, now)
        read = 0
        for cut in reversed(cuts):
            entry = self.entries.get((cut.prefix, machine))
            if entry is not None and entry.since <= now < entry.until:
                entry.until = Instant(max(entry.until, now + entry.lifetime))
                read = cut.tokens
                break
        written = {"30m": 0, "12h": 0}
        done = read
        for cut in cuts:
            if cut.ttl is None or cut.tokens <= done:
                continue
            lifetime = LIFETIMES[cut.ttl]
            self.entries[cut.prefix, machine] = Entry(now, Instant(now + lifetime), lifetime)
            if model.cache is CacheWrites.PAID:
                written[cut.ttl] += cut.tokens - done
                done = cut.tokens
        return Served(cached=read, write_30m=written["30m"], write_12h=written["12h"])

    def _machine(self, prefix: bytes, now: Instant) -> int:
        """Which machine serves a request: the next one after every 15 of a minute."""
        minute = now // MINUTE
        then, count = self._traffic.get(prefix, (minute, 0))
        count = count + 1 if then == minute else 1
        self._traffic[prefix] = (minute, count)
        return (count - 1) // REQUESTS_PER_MINUTE

    def sweep(self, now: Instant) -> None:
        """Drop what has expired."""
        for key in [key for key, entry in self.entries.items() if entry.until <= now]:
            del self.entries[key]
        minute = now // MINUTE
        self._traffic = {prefix: seen for prefix, seen in self._traffic.items() if seen[0] >= minute - 1}
