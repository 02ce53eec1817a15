"""``usage``: inclusive counts, and what they may never be."""

import pytest

from lowtide.usage import Usage


def test_cached_tokens_are_part_of_the_input() -> None:
    usage = Usage(
        input_tokens=100,
        output_tokens=9,
        cache_read_tokens=50,
        cache_write_5m_tokens=20,
        cache_write_1h_tokens=10,
        reasoning_tokens=9,
    )
    assert usage.cached_tokens == 80
    assert usage.cache_write_tokens == 30
    assert usage.uncached_tokens == 20


def test_writes_of_every_lifetime_are_part_of_the_input() -> None:
    usage = Usage(
        input_tokens=100,
        output_tokens=0,
        cache_read_tokens=1,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=4,
        cache_write_30m_tokens=8,
        cache_write_12h_tokens=16,
    )
    assert (usage.cache_write_tokens, usage.cached_tokens, usage.uncached_tokens) == (30, 31, 69)


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": -1},
        {"output_tokens": -1},
        {"cache_read_tokens": -1},
        {"cache_write_5m_tokens": -1},
        {"cache_write_1h_tokens": -1},
        {"cache_write_30m_tokens": -1},
        {"cache_write_12h_tokens": -1},
        {"reasoning_tokens": -1},
        {"web_searches": -1},
        {"cache_read_tokens": 11},
        {"cache_read_tokens": 6, "cache_write_1h_tokens": 5},
        {"cache_read_tokens": 6, "cache_write_30m_tokens": 5},
        {"cache_write_30m_tokens": 6, "cache_write_12h_tokens": 5},
        {"reasoning_tokens": 6},
    ],
)
def test_counts_that_cannot_be_are_ours(counts: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        Usage(**({"input_tokens": 10, "output_tokens": 5} | counts))
