"""``packing``: each limit alone, names on the wire, members as ranges. Its laws are in ``properties/test_packing_laws.py``."""

from dataclasses import replace

import pytest

from lowtide.money import Nanos
from lowtide.packing import (
    CUSTOM_ID_LENGTH,
    ORDINALS_MAX,
    SHARD_ID_LENGTH,
    Candidate,
    Packed,
    ShardId,
    ShardLimits,
    custom_id,
    ordinal_of,
    pack,
    pack_members,
    unpack_members,
)

SHARD = ShardId("lt00000000000001")


def limits(*, count: int = 10, size: int = 1000, headroom: int | None = None) -> ShardLimits:
    return ShardLimits(
        requests_max=count,
        bytes_max=size,
        line_overhead_bytes=10,
        headroom=None if headroom is None else Nanos(headroom),
    )


def waiting(count: int, *, size: int = 90, ceiling: int = 5, fresh: bool = True, start: int = 0) -> list[Candidate]:
    return [
        Candidate(seq=seq, body_bytes=size, ceiling=Nanos(ceiling), fresh=fresh) for seq in range(start, start + count)
    ]


def members(packed: Packed) -> list[int]:
    return list(packed.members)


def test_all_are_taken_when_nothing_is_in_the_way() -> None:
    assert pack(waiting(3), limits()) == Packed(
        members=(0, 1, 2), again=(), fresh_through=2, bytes=300, ceiling=Nanos(15), short_of=None
    )


def test_nothing_waits() -> None:
    assert pack([], limits()) == Packed(
        members=(), again=(), fresh_through=None, bytes=0, ceiling=Nanos(0), short_of=None
    )


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        (limits(count=2), 2),
        (limits(size=300), 3),  # overhead included, to the byte
        (limits(size=299), 2),
        (limits(headroom=15), 3),
        (limits(headroom=14), 2),
        (limits(headroom=4), 0),
        (limits(headroom=0), 0),
    ],
)
def test_each_limit_closes_a_shard(limit: ShardLimits, taken: int) -> None:
    assert members(pack(waiting(5), limit)) == list(range(taken))


def test_only_the_budget_says_what_it_was_short_of() -> None:
    assert pack(waiting(5), limits(headroom=14)).short_of == 5
    assert pack(waiting(5), limits(count=2, headroom=14)).short_of is None
    assert pack(waiting(5), limits(size=200, headroom=14)).short_of is None


def test_a_body_that_alone_is_too_long_still_goes() -> None:
    """The provider's own limit on one body was kept when it was planned."""
    assert members(pack(waiting(2, size=5000), limits())) == [0]


def test_it_stops_reading_at_the_first_that_does_not_fit() -> None:
    source = iter(waiting(100))
    pack(source, limits(count=3))
    assert next(source).seq == 4


def test_a_cheaper_one_behind_does_not_overtake() -> None:
    candidates = [*waiting(1, ceiling=9), *waiting(1, ceiling=9, start=1), *waiting(1, ceiling=1, start=2)]
    assert members(pack(candidates, limits(headroom=10))) == [0]


def test_those_that_go_out_again_are_named_and_sorted_among_the_fresh() -> None:
    candidates = [*waiting(1, fresh=False, start=7), *waiting(1, fresh=False, start=3), *waiting(2, start=4)]
    packed = pack(candidates, limits())
    assert (packed.members, packed.again, packed.fresh_through) == ((3, 4, 5, 7), (7, 3), 5)
    assert pack(waiting(2, fresh=False), limits()).fresh_through is None


def doubted(count: int, start: int) -> list[Candidate]:
    return [replace(each, doubted=True) for each in waiting(count, fresh=False, start=start)]


def test_what_may_have_been_bought_already_is_never_packed_with_others() -> None:
    """Its hold has a name of its own, so that the books tell what was perhaps bought twice."""
    first = pack([*doubted(2, 0), *waiting(2, start=2)], limits())
    assert (members(first), first.doubted) == ([0, 1], True)
    second = pack([*waiting(2, start=2), *doubted(2, 7)], limits())
    assert (members(second), second.doubted) == ([2, 3], False)
    assert (members(pack([], limits())), pack([], limits()).doubted) == ([], False)


# names on the wire


def test_a_name_is_read_back() -> None:
    assert custom_id(SHARD, 42) == "lt00000000000001-000042"
    assert len(custom_id(SHARD, 0)) == len(custom_id(SHARD, ORDINALS_MAX - 1)) == CUSTOM_ID_LENGTH
    assert len(SHARD) == SHARD_ID_LENGTH
    assert ordinal_of("lt00000000000001-000042", SHARD) == 42


@pytest.mark.parametrize(
    "name",
    [
        "",
        "lt00000000000001",
        "lt00000000000001-",
        "lt00000000000001-42",
        "lt00000000000001-0000042",
        "lt00000000000001-00004x",
        "lt00000000000001-+00042",
        "lt00000000000001-00 042",
        "lt00000000000001-00004²",
        "lt00000000000001-٠٠٠٠٤٢",
        "lt00000000000002-000042",
        "my-own-id-000042",
        "x-lt00000000000001-000042",
    ],
)
def test_a_name_of_somebody_else_is_not_ours(name: str) -> None:
    assert ordinal_of(name, SHARD) is None


# members


@pytest.mark.parametrize(
    ("seqs", "packed"),
    [
        ([], b""),
        ([0], b"0"),
        ([5], b"5"),
        ([0, 1], b"0-1"),
        ([0, 2], b"0,2"),
        ([0, 1, 2, 7, 9, 10], b"0-2,7,9-10"),
        (range(100_000), b"0-99999"),
    ],
)
def test_members_are_ranges(seqs: list[int], packed: bytes) -> None:
    assert pack_members(seqs) == packed
    assert list(unpack_members(packed)) == list(seqs)


@pytest.mark.parametrize("seqs", [[1, 1], [2, 1], [-5]])
def test_members_that_do_not_grow_are_ours(seqs: list[int]) -> None:
    with pytest.raises(AssertionError, match="members grow"):
        pack_members(seqs)
