"""One price sheet: exact arithmetic, unknown kinds, ceilings."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from lowtide.catalog import Lane, Price, PriceSheet, TokenKind
from lowtide.errors import PriceUnknown
from lowtide.usage import Usage

DAY = date(2026, 11, 22)


def sheet(*, us_factor: str = "1", **prices: str) -> PriceSheet:
    """Make a sheet from ``kind=price`` and ``kind_over_1000=price``."""
    rows = []
    for name, price in prices.items():
        kind, _, over = name.partition("_over_")
        rows.append(
            Price(
                provider="p",
                model="m",
                lane=Lane.BATCH,
                kind=TokenKind(kind),
                prompt_tokens_over=int(over or 0),
                dollars_per_million=Decimal(price),
                effective_from=DAY,
                effective_to=None,
                recorded_on=None,
                source="here",
                checked_on=None,
                file="f",
            )
        )
    return PriceSheet(provider="p", model="m", lane=Lane.BATCH, day=DAY, rows=tuple(rows), us_factor=Decimal(us_factor))


def tokens(
    input_tokens: int,
    output_tokens: int = 0,
    *,
    cache_read_tokens: int = 0,
    cache_write_5m_tokens: int = 0,
    cache_write_1h_tokens: int = 0,
    cache_write_30m_tokens: int = 0,
    cache_write_12h_tokens: int = 0,
    web_searches: int = 0,
) -> Usage:
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_5m_tokens=cache_write_5m_tokens,
        cache_write_1h_tokens=cache_write_1h_tokens,
        cache_write_30m_tokens=cache_write_30m_tokens,
        cache_write_12h_tokens=cache_write_12h_tokens,
        web_searches=web_searches,
    )


# No provider sells all four lifetimes of a cache; these are Claude's and OpenAI's.
FULL = {"input": "3", "output": "15", "cache_write_5m": "3.75", "cache_write_1h": "6", "cache_read": "0.3"}
OTHER = {"input": "2", "output": "10", "cache_write_30m": "2.5", "cache_write_12h": "5", "cache_read": "0.1"}


def test_prices_finer_than_a_nano_dollar_add_up_exactly() -> None:
    fine = sheet(input="0.0005", output="0.0025")
    assert fine.cost(tokens(1)) == Fraction(5, 10**10)
    assert fine.cost_nanos(tokens(1)) == 0  # half a nano-dollar, to even
    assert fine.cost_nanos(tokens(3)) == 2  # one and a half, to even
    assert fine.cost_nanos(tokens(5)) == 2  # two and a half, to even
    assert fine.cost_nanos(tokens(4_000)) == 2_000
    assert fine.ceiling_nanos(1, 0) == 1


def test_nothing_used_costs_nothing() -> None:
    assert sheet(**FULL).cost(tokens(0)) == 0
    assert sheet(**FULL).ceiling_nanos(0, 0) == 0


def test_the_tier_is_for_the_whole_request_and_says_only_what_differs() -> None:
    tiered = sheet(input="1", output="5", input_over_1000="2")
    assert tiered.thresholds == (1_000,)
    assert tiered.cost(tokens(1_000, 10)) == Fraction(1_050, 10**6)
    assert tiered.cost(tokens(1_001, 10)) == Fraction(2 * 1_001 + 50, 10**6)


def test_three_tiers_take_the_highest_that_is_passed() -> None:
    tiered = sheet(input="1", output="0", input_over_10="2", input_over_20="3")
    assert [tiered.cost(tokens(n)) * 10**6 for n in (10, 11, 20, 21)] == [10, 22, 40, 63]


@pytest.mark.parametrize(
    ("usage", "what"),
    [
        (tokens(10, cache_read_tokens=1), "cache_read"),
        (tokens(10, cache_write_5m_tokens=1), "cache_write_5m"),
        (tokens(10, cache_write_1h_tokens=1), "cache_write_1h"),
        (tokens(10, cache_write_30m_tokens=1), "cache_write_30m"),
        (tokens(10, cache_write_12h_tokens=1), "cache_write_12h"),
        (tokens(10**18, 10**18, cache_write_12h_tokens=1), "cache_write_12h"),
        (tokens(10, web_searches=1), "web_search"),
        (Usage(input_tokens=1, output_tokens=1, speed="fast"), "speed fast"),
    ],
)
def test_a_kind_without_a_price_is_unknown_not_free(usage: Usage, what: str) -> None:
    bare = sheet(input="1", output="5")
    for price in (bare.cost, bare.cost_nanos, bare.parts):
        with pytest.raises(PriceUnknown, match=f"no price for {what} of m on the batch lane on 2026-11-22"):
            price(usage)


def test_a_kind_that_only_long_prompts_have_a_price_for_is_unknown_below() -> None:
    tiered = sheet(input="1", output="5", input_over_1000="2", cache_read_over_1000="1")
    assert tiered.cost(tokens(1_001, cache_read_tokens=1)) == Fraction(2_001, 10**6)
    with pytest.raises(PriceUnknown, match="no price for cache_read"):
        tiered.cost(tokens(1_000, cache_read_tokens=1))


def test_each_lifetime_of_a_cache_pays_its_own_price() -> None:
    usage = tokens(1_000, 1, cache_read_tokens=100, cache_write_30m_tokens=10, cache_write_12h_tokens=1)
    parts = {"input": "0.001778", "cache_write_30m": "0.000025", "cache_write_12h": "0.000005"}
    parts |= {"cache_read": "0.00001", "output": "0.00001"}
    assert sheet(**OTHER).parts(usage) == {TokenKind(kind): Fraction(Decimal(text)) for kind, text in parts.items()}
    assert sheet(**OTHER).cost(usage) == sum(Fraction(Decimal(text)) for text in parts.values())


def test_standard_speed_is_no_speed() -> None:
    usage = Usage(input_tokens=1, output_tokens=1, speed="standard")
    assert sheet(**FULL).cost(usage) == sheet(**FULL).cost(tokens(1, 1))


def test_searches_are_priced_per_million_of_them() -> None:
    searching = sheet(**FULL, web_search="10000")
    assert searching.cost(tokens(0, web_searches=3)) == Fraction(3, 100)
    assert searching.parts(tokens(0, web_searches=3)) == {TokenKind.WEB_SEARCH: Fraction(3, 100)}


@pytest.mark.parametrize(("write", "price"), [("", 3), ("5m", Fraction(375, 100)), ("1h", 6), (None, 6)])
def test_a_ceiling_takes_the_dearest_price_an_input_token_may_meet(write: str | None, price: Fraction) -> None:
    assert sheet(**FULL).ceiling_nanos(1_000, 0, dearest_write=write) == price * 1_000_000


@pytest.mark.parametrize(("write", "price"), [("", 2), ("30m", Fraction(5, 2)), ("12h", 5), (None, 5)])
def test_a_ceiling_knows_the_other_lifetimes_too(write: str | None, price: Fraction) -> None:
    assert sheet(**OTHER).ceiling_nanos(1_000, 0, dearest_write=write) == price * 1_000_000


@pytest.mark.parametrize(("prices", "writes"), [(FULL, ("30m", "12h")), (OTHER, ("5m", "1h"))])
def test_a_ceiling_for_a_lifetime_that_is_not_sold_is_unknown(prices: dict[str, str], writes: tuple[str, ...]) -> None:
    for write in writes:
        for _ in range(2):  # nothing is remembered of it
            with pytest.raises(PriceUnknown, match=rf"cache writes \({write}\)"):
                sheet(**prices).ceiling_nanos(10, 0, dearest_write=write)


def test_a_ceiling_takes_the_dearest_tier_it_can_reach() -> None:
    tiered = sheet(input="1", output="5", input_over_1000="2", output_over_1000="9")
    assert tiered.ceiling_nanos(1_000, 10) == 1_000 * 1_000 + 10 * 5_000
    assert tiered.ceiling_nanos(1_001, 10) == 1_001 * 2_000 + 10 * 9_000
    cheaper = sheet(input="2", output="9", input_over_1000="1", output_over_1000="5")
    assert cheaper.ceiling_nanos(1_001, 10) == 1_001 * 2_000 + 10 * 9_000


def test_a_ceiling_is_a_tenth_higher_where_the_body_may_be_served_in_the_us() -> None:
    american = sheet(**FULL, us_factor="1.1")
    assert american.ceiling_nanos(1_000, 0, dearest_write="", us_only=False) == 3_000_000
    assert american.ceiling_nanos(1_000, 0, dearest_write="", us_only=True) == 3_300_000
    assert american.ceiling_nanos(1_000, 0, dearest_write="") == 3_300_000


def test_a_ceiling_for_a_cache_write_without_a_price_is_unknown() -> None:
    bare = sheet(input="1", output="5")
    assert bare.ceiling_nanos(10, 0) == 10_000
    with pytest.raises(PriceUnknown, match=r"cache writes \(1h\)"):
        bare.ceiling_nanos(10, 0, dearest_write="1h")


def test_likely_is_the_cost_of_plain_tokens() -> None:
    assert sheet(**FULL).likely_nanos(1_000, 10) == sheet(**FULL).cost_nanos(tokens(1_000, 10)) == 3_150_000


def test_the_digest_is_of_prices_not_of_their_spelling_or_order() -> None:
    one, same = sheet(input="3", output="15"), sheet(output="15.00", input="3.0")
    assert one.digest() == same.digest()
    assert one.digest() != sheet(input="3", output="15.01").digest()
    assert one.digest() != sheet(input="3", output="15", us_factor="1.1").digest()
    assert one.digest() != sheet(input="3", output="15", output_over_1000="15").digest()


def test_the_digest_knows_what_a_price_can_be_at_most() -> None:
    plain = sheet(**FULL)
    rows = tuple(replace(row, at_most=Decimal(9)) if row.kind is TokenKind.INPUT else row for row in plain.rows)
    assert replace(plain, rows=rows).digest() != plain.digest()


def test_what_is_open_counts_at_its_most_in_ceilings_of_its_tier_and_those_above() -> None:
    tiered = sheet(input="1", output="5", input_over_1000="2")
    rows = tuple(replace(row, at_most=Decimal(3)) if row.prompt_tokens_over == 0 else row for row in tiered.rows)
    opened = replace(tiered, rows=rows)
    assert opened.ceiling_nanos(1_000, 10) == 1_000 * 3_000 + 10 * 5_000  # 5 is more than what it can be at most
    assert opened.ceiling_nanos(1_001, 10) == 1_001 * 3_000 + 10 * 5_000
    assert opened.cost_nanos(tokens(1_001, 10)) == tiered.cost_nanos(tokens(1_001, 10))


def test_the_digest_is_stable() -> None:
    """A plan keeps it: a new one would make every stored plan look changed."""
    assert sheet(**FULL).digest() == "275cf26866c1076d2ba597c978a154a559a4a31b5a6c755ea20fb3929aa8ae28"
