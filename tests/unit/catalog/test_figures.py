"""The figures a user was promised, to the last digit, from the packaged prices."""

from collections import Counter
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from lowtide.catalog import Catalog, Lane, TokenKind
from lowtide.errors import PriceUnknown
from lowtide.money import cost_nanos, show_dollars
from lowtide.usage import Usage

PROVIDER = "anthropic"
DECEMBER_25 = date(2025, 12, 22)
TODAY = date(2026, 11, 22)


def dollars(text: str) -> Fraction:
    return Fraction(Decimal(text))


@pytest.mark.parametrize(
    ("nodes", "standard", "batch"), [(100, "19.50", "9.75"), (300, "58.50", "29.25"), (1_000, "195.00", "97.50")]
)
def test_nodes_of_50k_in_and_3k_out_on_sonnet_4_5(catalog: Catalog, nodes: int, standard: str, batch: str) -> None:
    node = Usage(input_tokens=50_000, output_tokens=3_000)
    for lane, expected in ((Lane.REALTIME, standard), (Lane.BATCH, batch)):
        sheet = catalog.sheet(PROVIDER, "claude-sonnet-4-5", lane, DECEMBER_25)
        assert nodes * sheet.cost(node) == dollars(expected)
        assert show_dollars(nodes * sheet.cost_nanos(node)) == f"${expected}"


def test_ten_runs_of_300_nodes_a_month_save_3510_dollars_a_year(catalog: Catalog) -> None:
    node = Usage(input_tokens=50_000, output_tokens=3_000)
    lanes = (Lane.REALTIME, Lane.BATCH)
    standard, batch = (catalog.sheet(PROVIDER, "claude-sonnet-4-5", lane, DECEMBER_25).cost(node) for lane in lanes)
    assert (standard - batch) * 300 * 10 * 12 == 3_510


def test_a_day_before_retirement_is_quoted_and_a_later_one_is_not_sold(catalog: Catalog) -> None:
    retired_on = date(2026, 11, 30)
    assert catalog.sold(PROVIDER, "claude-sonnet-4-5", date(2026, 11, 29))
    assert not catalog.sold(PROVIDER, "claude-sonnet-4-5", retired_on)
    catalog.sheet(PROVIDER, "claude-sonnet-4-5", Lane.BATCH, date(2026, 11, 29))
    with pytest.raises(PriceUnknown, match="it was retired on 2026-11-30"):
        catalog.sheet(PROVIDER, "claude-sonnet-4-5", Lane.BATCH, retired_on)


REQUESTS = 294
UNCACHED_TOKENS, WRITTEN_TOKENS, READ_TOKENS, OUTPUT_TOKENS = 365_624, 106_920, 416_988, 611_412


def share(total: int, number: int) -> int:
    """Give one request's part of a total, so that all parts add up to it."""
    return total * (number + 1) // REQUESTS - total * number // REQUESTS


def videos(*, cached: bool) -> list[Usage]:
    """List the run's requests. Never their sum: one request of so many tokens reaches a tier that none of them did."""
    usages = []
    for number in range(REQUESTS):
        uncached, written, read, output = (
            share(total, number) for total in (UNCACHED_TOKENS, WRITTEN_TOKENS, READ_TOKENS, OUTPUT_TOKENS)
        )
        usages.append(
            Usage(
                input_tokens=uncached + written + read,
                output_tokens=output,
                cache_write_1h_tokens=written if cached else 0,
                cache_read_tokens=read if cached else 0,
            )
        )
    return usages


def test_the_four_parts_of_the_video_run(catalog: Catalog) -> None:
    sheet = catalog.sheet(PROVIDER, "claude-sonnet-4-5-20250929", Lane.BATCH, DECEMBER_25)
    parts: Counter[TokenKind] = Counter()
    for usage in videos(cached=True):
        parts.update(sheet.parts(usage))
    assert parts == {
        TokenKind.INPUT: dollars("0.548436"),
        TokenKind.CACHE_WRITE_1H: dollars("0.32076"),
        TokenKind.CACHE_READ: dollars("0.0625482"),
        TokenKind.OUTPUT: dollars("4.58559"),
    }
    assert [f"{float(parts[kind]):.2f}" for kind in parts] == ["0.55", "0.32", "0.06", "4.59"]
    total = cost_nanos(Fraction(sum(parts.values())))
    assert show_dollars(total) == "$5.52"
    assert show_dollars(round(total / REQUESTS)) == "$0.0188"


@pytest.mark.parametrize(
    ("lane", "cached", "exact", "shown", "saved"),
    [
        (Lane.REALTIME, False, "11.839776", "$11.84", "0.0"),
        # Twice the rounded $5.52 would be $11.04; the tokens themselves come to a cent less.
        (Lane.REALTIME, True, "11.0346684", "$11.03", "6.8"),
        (Lane.BATCH, False, "5.919888", "$5.92", "50.0"),
        (Lane.BATCH, True, "5.5173342", "$5.52", "53.4"),
    ],
)
def test_the_four_totals_of_the_video_run(
    catalog: Catalog, lane: Lane, *, cached: bool, exact: str, shown: str, saved: str
) -> None:
    sheet = catalog.sheet(PROVIDER, "claude-sonnet-4-5", lane, DECEMBER_25)
    total = sum(sheet.cost(usage) for usage in videos(cached=cached))
    assert total == dollars(exact)
    assert show_dollars(cost_nanos(Fraction(total))) == shown
    assert f"{float(100 - 100 * total / dollars('11.839776')):.1f}" == saved


STEPS = {"PRD": (1_000, 4_000, "1.5"), "UX": (4_500, 5_000, "1.3"), "Deploy": (350, 1_500, "1.1")}


@pytest.mark.parametrize(
    ("model", "day", "steps", "plain", "revised"),
    [
        (
            "claude-3-5-sonnet-20240620",
            date(2024, 7, 1),
            {"PRD": "0.063", "UX": "0.0885", "Deploy": "0.02355"},
            "0.17505",
            "0.235455",
        ),
        (
            "claude-3-haiku-20240307",
            date(2024, 7, 1),
            {"PRD": "0.00525", "UX": "0.007375", "Deploy": "0.0019625"},
            "0.0145875",
            "0.01962125",
        ),
    ],
)
def test_a_product_flow_at_prices_of_2024(
    catalog: Catalog, model: str, day: date, steps: dict[str, str], plain: str, revised: str
) -> None:
    sheet = catalog.sheet(PROVIDER, model, Lane.REALTIME, day)
    costs = {
        step: sheet.cost(Usage(input_tokens=input_tokens, output_tokens=output_tokens))
        for step, (input_tokens, output_tokens, _) in STEPS.items()
    }
    assert costs == {step: dollars(text) for step, text in steps.items()}
    assert sum(costs.values()) == dollars(plain)
    assert sum(costs[step] * dollars(factor) for step, (_, _, factor) in STEPS.items()) == dollars(revised)


@pytest.mark.parametrize(
    ("lane", "prompt", "per_million_in", "per_million_out"),
    [
        (Lane.REALTIME, 200_000, "3", "15"),
        (Lane.REALTIME, 200_001, "6", "22.5"),
        (Lane.BATCH, 200_000, "1.5", "7.5"),
        (Lane.BATCH, 200_001, "3", "11.25"),
    ],
)
def test_sonnet_4_5_above_200k_is_a_premium_that_batch_halves(
    catalog: Catalog, lane: Lane, prompt: int, per_million_in: str, per_million_out: str
) -> None:
    sheet = catalog.sheet(PROVIDER, "claude-sonnet-4-5", lane, DECEMBER_25)
    assert sheet.thresholds == (200_000,)
    expected = (prompt * dollars(per_million_in) + 1_000 * dollars(per_million_out)) / 1_000_000
    assert sheet.cost(Usage(input_tokens=prompt, output_tokens=1_000)) == expected


def test_cached_tokens_count_towards_the_tier_and_pay_its_price(catalog: Catalog) -> None:
    sheet = catalog.sheet(PROVIDER, "claude-sonnet-4-5", Lane.BATCH, DECEMBER_25)
    usage = Usage(input_tokens=200_001, output_tokens=0, cache_read_tokens=150_000, cache_write_1h_tokens=50_000)
    exact = (1 * 3 + 150_000 * dollars("0.3") + 50_000 * 6) / 1_000_000
    assert sheet.cost(usage) == exact


@pytest.mark.parametrize(
    ("lane", "prompt", "per_million_in", "per_million_out"),
    [
        (Lane.REALTIME, 100_000, "0.10", "0.50"),
        (Lane.REALTIME, 100_001, "0.50", "2.50"),
        (Lane.BATCH, 100_000, "0.05", "0.25"),
        (Lane.BATCH, 100_001, "0.25", "1.25"),
    ],
)
def test_haiku_5_5_today_around_100k(
    catalog: Catalog, lane: Lane, prompt: int, per_million_in: str, per_million_out: str
) -> None:
    sheet = catalog.sheet(PROVIDER, "claude-haiku-5-5", lane, TODAY)
    expected = (prompt * dollars(per_million_in) + 4_000 * dollars(per_million_out)) / 1_000_000
    assert sheet.cost(Usage(input_tokens=prompt, output_tokens=4_000)) == expected


@pytest.mark.parametrize(
    ("model", "lane", "day", "kind", "over", "price"),
    [
        ("claude-sonnet-5-5", Lane.REALTIME, date(2026, 10, 6), TokenKind.CACHE_READ, 0, "0.20"),
        ("claude-sonnet-5-5", Lane.REALTIME, date(2026, 10, 7), TokenKind.CACHE_READ, 0, "0.10"),
        ("claude-sonnet-5-5", Lane.BATCH, date(2026, 10, 7), TokenKind.CACHE_READ, 0, "0.05"),
        ("claude-opus-4-6", Lane.REALTIME, date(2026, 3, 12), TokenKind.OUTPUT, 200_000, "37.5"),
        ("claude-opus-4-6", Lane.REALTIME, date(2026, 3, 13), TokenKind.OUTPUT, 200_000, None),
        ("claude-sonnet-4-6", Lane.BATCH, date(2026, 3, 12), TokenKind.INPUT, 200_000, "3"),
        ("claude-sonnet-4-6", Lane.BATCH, date(2026, 3, 13), TokenKind.INPUT, 200_000, None),
        ("claude-sonnet-4-5", Lane.REALTIME, date(2026, 4, 29), TokenKind.INPUT, 200_000, "6"),
        ("claude-sonnet-4-5", Lane.REALTIME, date(2026, 4, 30), TokenKind.INPUT, 200_000, None),
        ("claude-sonnet-4", Lane.REALTIME, date(2025, 8, 11), TokenKind.INPUT, 200_000, None),
        ("claude-sonnet-4", Lane.REALTIME, date(2025, 8, 12), TokenKind.OUTPUT, 200_000, "22.5"),
        ("claude-sonnet-4", Lane.BATCH, date(2026, 4, 30), TokenKind.OUTPUT, 200_000, None),
        ("claude-3-5-haiku", Lane.REALTIME, date(2024, 12, 2), TokenKind.INPUT, 0, "1"),
        ("claude-3-5-haiku", Lane.REALTIME, date(2024, 12, 3), TokenKind.INPUT, 0, "0.8"),
        ("claude-3-5-haiku", Lane.BATCH, date(2024, 12, 2), TokenKind.OUTPUT, 0, "2.5"),
        ("claude-3-5-sonnet", Lane.REALTIME, date(2024, 8, 13), TokenKind.CACHE_READ, 0, None),
        ("claude-3-5-sonnet", Lane.REALTIME, date(2024, 8, 14), TokenKind.CACHE_READ, 0, "0.3"),
        ("claude-3-5-sonnet", Lane.REALTIME, date(2025, 5, 21), TokenKind.CACHE_WRITE_1H, 0, None),
        ("claude-3-5-sonnet", Lane.REALTIME, date(2025, 5, 22), TokenKind.CACHE_WRITE_1H, 0, "6"),
        ("claude-fable-5-2", Lane.BATCH, TODAY, TokenKind.OUTPUT, 0, "20"),
        ("claude-mythos-5-1", Lane.REALTIME, TODAY, TokenKind.CACHE_READ, 0, "0.25"),
        ("claude-mythos-5", Lane.BATCH, TODAY, TokenKind.CACHE_READ, 0, "0.5"),
        ("claude-opus-4-8", Lane.BATCH, TODAY, TokenKind.WEB_SEARCH, 0, "10000"),
    ],
)
def test_a_price_begins_and_ends_on_its_day(
    catalog: Catalog, model: str, lane: Lane, day: date, kind: TokenKind, over: int, price: str | None
) -> None:
    sheet = catalog.sheet(PROVIDER, model, lane, day)
    found = [row.dollars_per_million for row in sheet.rows if (row.kind, row.prompt_tokens_over) == (kind, over)]
    assert found == ([Decimal(price)] if price is not None else [])


@pytest.mark.parametrize(
    ("model", "day"), [("claude-3-5-sonnet", date(2024, 10, 7)), ("claude-3-sonnet", date(2025, 1, 1))]
)
def test_there_is_no_batch_price_where_there_was_no_batch(catalog: Catalog, model: str, day: date) -> None:
    catalog.sheet(PROVIDER, model, Lane.REALTIME, day)
    with pytest.raises(PriceUnknown, match="on the batch lane"):
        catalog.sheet(PROVIDER, model, Lane.BATCH, day)


def test_a_us_only_request_costs_a_tenth_more_on_every_token_and_nothing_more_on_a_search(catalog: Catalog) -> None:
    sheet = catalog.sheet(PROVIDER, "claude-opus-4-6", Lane.BATCH, TODAY)
    world = Usage(input_tokens=900, output_tokens=70, cache_read_tokens=200, cache_write_5m_tokens=100, web_searches=3)
    us = Usage(
        input_tokens=900,
        output_tokens=70,
        cache_read_tokens=200,
        cache_write_5m_tokens=100,
        web_searches=3,
        inference_geo="us",
    )
    searches = dollars("0.03")
    assert sheet.cost(us) - searches == (sheet.cost(world) - searches) * dollars("1.1")
    older = catalog.sheet(PROVIDER, "claude-opus-4-5", Lane.BATCH, TODAY)
    assert older.cost(us) == older.cost(world)
