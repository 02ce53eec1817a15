"""Bodies of a batch are kept once and small."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from lowtide_simulator import spool
from lowtide_simulator.spool import Spool


def filled(items: list[bytes]) -> Spool:
    kept = Spool()
    for item in items:
        kept.append(item)
    return kept


@given(st.lists(st.binary(max_size=60_000), max_size=12))
def test_what_goes_in_comes_out_in_order_and_by_block(items: list[bytes]) -> None:
    kept = filled(items)
    assert list(kept) == items
    assert [pair for number in range(kept.blocks) for pair in kept.read_block(number)] == list(enumerate(items))


def test_reading_in_between_does_not_disturb_appending() -> None:
    kept = filled([b"a", b"b"])
    assert list(kept) == [b"a", b"b"]
    kept.append(b"c")
    assert list(kept) == [b"a", b"b", b"c"]
    assert kept.blocks == 2


def test_a_thousand_bytes_of_prose_take_a_tenth_of_that() -> None:
    items = [f"{number} The order is checked by a clerk and sent on. ".encode() * 20 for number in range(5_000)]
    total = sum(map(len, items))
    assert total > 30 * spool.BLOCK_BYTES
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = filled(items)
    assert kept.blocks > 30
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used < total / 10
