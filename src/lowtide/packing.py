"""Which requests become one shard: under every limit of the provider, and under what the budget still covers. Pure.

A shard's requests are written as ranges of sequence numbers in ordinal order, so that a hundred thousand take a few
bytes. The ordinal is a request's place in its shard, and its name on the wire begins with the shard's id (design 3).
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NewType

from lowtide.money import Nanos

ShardId = NewType("ShardId", str)

ORDINAL_DIGITS = 6
SHARD_ID_LENGTH = 16
CUSTOM_ID_LENGTH = SHARD_ID_LENGTH + 1 + ORDINAL_DIGITS
ORDINALS_MAX = 10**ORDINAL_DIGITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A request that waits: its place in the plan, the bytes of its body, the most it can cost in a batch.

    ``fresh`` is False for one that goes out again, ``doubted`` True where an earlier call for it may have been bought.
    """

    seq: int
    body_bytes: int
    ceiling: Nanos
    fresh: bool = True
    doubted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLimits:
    """What one shard must stay under. ``headroom`` is what the budget still covers, ``None`` for no limit."""

    requests_max: int
    bytes_max: int
    line_overhead_bytes: int
    headroom: Nanos | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The next shard: its members in order, the bytes they take on the wire, the sum of their ceilings.

    ``again`` are those members that go out again; ``fresh_through`` is the last fresh one, ``None`` for none.
    ``short_of`` is the ceiling of the first request that the budget did not cover, ``None`` when another limit or the end
    of the requests closed the shard. ``members`` may be empty. Doubted requests are never packed with others.
    """

    members: tuple[int, ...]
    again: tuple[int, ...]
    fresh_through: int | None
    bytes: int
    ceiling: Nanos
    short_of: Nanos | None
    doubted: bool = False


def pack(candidates: Iterable[Candidate], limits: ShardLimits) -> Packed:
    """Take candidates in order until a limit is met. Stops reading at the first that does not fit."""
    fresh: list[int] = []
    again: list[int] = []
    taken_bytes = ceiling = 0
    short_of: Nanos | None = None
    doubted: bool | None = None
    for candidate in candidates:
        line_bytes = candidate.body_bytes + limits.line_overhead_bytes
        count = len(fresh) + len(again)
        if doubted is not None and candidate.doubted is not doubted:
            break
        if count == limits.requests_max or (count and taken_bytes + line_bytes > limits.bytes_max):
            break
        if limits.headroom is not None and ceiling + candidate.ceiling > limits.headroom:
            short_of = candidate.ceiling
            break
        (fresh if candidate.fresh else again).append(candidate.seq)
        doubted = candidate.doubted
        taken_bytes += line_bytes
        ceiling += candidate.ceiling
    return Packed(
        members=tuple(sorted(fresh + again)),
        again=tuple(again),
        fresh_through=max(fresh) if fresh else None,
        bytes=taken_bytes,
        ceiling=Nanos(ceiling),
        short_of=short_of,
        doubted=bool(doubted),
    )


def custom_id(shard_id: ShardId, ordinal: int) -> str:
    """Give a request's name on the wire: 23 characters of ``[a-z0-9-]``, accepted by every provider (B4)."""
    return f"{shard_id}-{ordinal:0{ORDINAL_DIGITS}d}"


def ordinal_of(name: str, shard_id: ShardId) -> int | None:
    """Read the ordinal back from a name on the wire, ``None`` when the name is not of this shard."""
    shard, _, digits = name.rpartition("-")
    if shard != shard_id or len(digits) != ORDINAL_DIGITS or not digits.isascii() or not digits.isdigit():
        return None
    return int(digits)


def pack_members(seqs: Sequence[int]) -> bytes:
    """Write strictly growing sequence numbers as ranges: ``0-99,101,205-400``."""
    pieces: list[str] = []
    start = last = -2
    for seq in seqs:
        assert seq > last, "members grow"
        if seq == last + 1:
            last = seq
            continue
        if start >= 0:
            pieces.append(_piece(start, last))
        start = last = seq
    if start >= 0:
        pieces.append(_piece(start, last))
    return ",".join(pieces).encode()


def unpack_members(packed: bytes) -> "array[int]":
    """Read them back: an array of 64-bit integers whose index is the ordinal."""
    seqs = array("q")
    for piece in packed.decode().split(","):
        if piece:
            first, _, last = piece.partition("-")
            seqs.extend(range(int(first), int(last or first) + 1))
    return seqs


def _piece(start: int, last: int) -> str:
    return f"{start}" if start == last else f"{start}-{last}"
