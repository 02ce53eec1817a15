"""Packing never passes a limit and never overtakes; members and names read back, and no two names are the same."""

import re

from hypothesis import given
from hypothesis import strategies as st

from lowtide.clock import ID_ALPHABET, Chance
from lowtide.money import Nanos
from lowtide.packing import (
    ORDINALS_MAX,
    Candidate,
    ShardId,
    ShardLimits,
    custom_id,
    ordinal_of,
    pack,
    pack_members,
    unpack_members,
)

CANDIDATES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.booleans()), max_size=40).map(
    lambda rows: [
        Candidate(seq=seq, body_bytes=size, ceiling=Nanos(ceiling), fresh=fresh)
        for seq, (size, ceiling, fresh) in enumerate(rows)
    ]
)
LIMITS = st.builds(
    ShardLimits,
    requests_max=st.integers(1, 30),
    bytes_max=st.integers(1, 3000),
    line_overhead_bytes=st.integers(0, 50),
    headroom=st.none() | st.integers(0, 3000).map(Nanos),
)
SHARDS = st.text(ID_ALPHABET, min_size=14, max_size=14).map(lambda text: ShardId(f"lt{text}"))
ORDINALS = st.integers(0, ORDINALS_MAX - 1)


@given(CANDIDATES, LIMITS)
def test_no_limit_is_ever_passed_and_a_prefix_is_taken(candidates: list[Candidate], limits: ShardLimits) -> None:
    packed = pack(candidates, limits)
    taken = candidates[: len(packed.members)]
    assert list(packed.members) == [candidate.seq for candidate in taken]
    assert set(packed.again) == {candidate.seq for candidate in taken if not candidate.fresh}
    assert packed.fresh_through == max((candidate.seq for candidate in taken if candidate.fresh), default=None)
    assert packed.bytes == sum(candidate.body_bytes + limits.line_overhead_bytes for candidate in taken)
    assert packed.ceiling == sum(candidate.ceiling for candidate in taken)
    assert len(taken) <= limits.requests_max
    assert packed.bytes <= limits.bytes_max or len(taken) == 1
    assert limits.headroom is None or packed.ceiling <= limits.headroom


@given(CANDIDATES, LIMITS)
def test_as_much_as_fits_is_taken(candidates: list[Candidate], limits: ShardLimits) -> None:
    packed = pack(candidates, limits)
    if len(packed.members) == len(candidates):
        assert packed.short_of is None
        return
    refused = candidates[len(packed.members)]
    size = packed.bytes + refused.body_bytes + limits.line_overhead_bytes
    full = len(packed.members) == limits.requests_max or (packed.members and size > limits.bytes_max)
    if packed.short_of is None:
        assert full
    else:
        assert not full
        assert packed.short_of == refused.ceiling
        assert limits.headroom is not None
        assert packed.ceiling + refused.ceiling > limits.headroom


@given(CANDIDATES, LIMITS)
def test_shard_after_shard_takes_everything_once(candidates: list[Candidate], limits: ShardLimits) -> None:
    taken: list[int] = []
    left = candidates
    while left:
        packed = pack(left, limits)
        if not packed.members:
            assert packed.short_of is not None
            break
        taken.extend(packed.members)
        left = left[len(packed.members) :]
    assert taken == [candidate.seq for candidate in candidates[: len(taken)]]


@given(st.sets(st.integers(0, 10**12), max_size=200) | st.sets(st.integers(0, 60), max_size=60))
def test_members_read_back(seqs: set[int]) -> None:
    ordered = sorted(seqs)
    packed = pack_members(ordered)
    assert list(unpack_members(packed)) == ordered
    assert re.fullmatch(rb"(\d+(-\d+)?(,\d+(-\d+)?)*)?", packed)


@given(st.integers(0, 10**9), st.integers(1, 10**5))
def test_a_hundred_thousand_in_a_row_take_a_few_bytes(start: int, count: int) -> None:
    assert len(pack_members(range(start, start + count))) <= 25


@given(SHARDS, ORDINALS)
def test_a_name_reads_back_and_every_provider_takes_it(shard_id: ShardId, ordinal: int) -> None:
    name = custom_id(shard_id, ordinal)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)
    assert ordinal_of(name, shard_id) == ordinal


@given(st.tuples(SHARDS, ORDINALS), st.tuples(SHARDS, ORDINALS))
def test_no_two_names_are_the_same(first: tuple[ShardId, int], second: tuple[ShardId, int]) -> None:
    assert (custom_id(*first) == custom_id(*second)) is (first == second)
    if first[0] != second[0]:
        assert ordinal_of(custom_id(*first), second[0]) is None


@given(st.text(max_size=40), SHARDS)
def test_any_other_name_is_nobody_s_or_reads_back(name: str, shard_id: ShardId) -> None:
    ordinal = ordinal_of(name, shard_id)
    assert ordinal is None or custom_id(shard_id, ordinal) == name


@given(st.integers(0, 2**32))
def test_ids_that_we_draw_make_good_names(seed: int) -> None:
    shard_id = ShardId(f"lt{Chance(seed).new_id(14)}")
    assert ordinal_of(custom_id(shard_id, 7), shard_id) == 7
