"""OpenAI's prices: the figures that were computed from the printed table by hand (reference sheet, section 6)."""

from datetime import date
from fractions import Fraction

import pytest

from lowtide_simulator.bill import cost
from lowtide_simulator.openai.models import BY_NAME, MODELS
from lowtide_simulator.openai.prices import FAST, PRICES, UnknownPriceError, find_rates
from lowtide_simulator.openai.usage import Usage

DAY = date(2026, 11, 21)


def dollars(model: str, lane: str, *, day: date = DAY, **tokens: int) -> Fraction:
    usage = Usage(**tokens)
    cached = lane != "batch" or BY_NAME[model].batch_cached_rate
    rates = find_rates(model, day, usage.prompt, lane=lane, cached_rate=cached)
    return Fraction(cost(usage, rates), rates.denominator) / 10**9


@pytest.mark.parametrize(
    ("model", "lane", "expected"),
    [
        ("gpt-5", "standard", "0.29375"),
        ("gpt-5", "flex", "0.146875"),
        ("gpt-5", "batch", "0.146875"),
        ("gpt-5", "fast", "0.5875"),
        ("gpt-6-sol", "standard", "0.41"),
        ("gpt-6-sol", "flex", "0.205"),
        ("gpt-6-sol", "batch", "0.205"),
        ("gpt-6-sol", "fast", "0.82"),
        ("gpt-6-sol", "2h", "0.287"),
        ("gpt-6-sol", "8h", "0.246"),
        ("o3", "batch", "0.24"),
        ("gpt-5.4", "batch", "0.269"),
    ],
)
def test_200_000_in_of_which_50_000_cached_and_10_000_out(model: str, lane: str, expected: str) -> None:
    assert dollars(model, lane, prompt=200_000, cached=50_000, output=10_000) == Fraction(expected)


def test_long_context_is_a_cliff_for_the_whole_request() -> None:
    assert dollars("gpt-6-sol", "standard", prompt=272_000) == Fraction("0.544")
    assert dollars("gpt-6-sol", "standard", prompt=272_001) == Fraction(272_001 * 4, 10**6)
    assert dollars("gpt-6-sol", "batch", prompt=300_000, output=1_000) == Fraction("0.6075")
    assert dollars("gpt-5-mini", "standard", prompt=300_000) == Fraction("0.075"), "not before 5.4"


def test_cache_writes_by_lifetime_and_in_a_batch() -> None:
    assert dollars("gpt-6.2-sol", "standard", prompt=10**6 // 4, write_30m=10**6 // 4) == Fraction("0.625")
    assert dollars("gpt-6.2-sol", "standard", prompt=10**6 // 4, write_12h=10**6 // 4) == Fraction("1.25")
    assert dollars("gpt-6.2-sol", "batch", prompt=10**6 // 4, write_30m=10**6 // 4) == Fraction("0.3125")


def test_prices_have_days() -> None:
    million = {"prompt": 100_000, "output": 100_000}
    assert dollars("gpt-5.6-sol", "standard", day=date(2026, 8, 20), **million) == Fraction("3.5")
    assert dollars("gpt-5.6-sol", "standard", day=date(2026, 8, 21), **million) == Fraction("2.4")
    assert dollars("o3", "standard", day=date(2025, 6, 9), **million) == 5 * dollars("o3", "standard", **million)
    with pytest.raises(UnknownPriceError):
        find_rates("gpt-7", DAY, 1, lane="standard")


def test_every_model_has_a_price_on_every_day_of_its_life_and_every_price_a_model() -> None:
    for model in MODELS:
        for day in (model.launched_on, DAY):
            find_rates(model.price, day, 1, lane="batch")
    assert {row.model for row in PRICES} == {model.price for model in MODELS}
    assert set(FAST) < {row.model for row in PRICES}


def test_the_kinds_of_a_usage_leave_nothing_out() -> None:
    usage = Usage(prompt=100, cached=20, write_30m=30, write_12h=10, output=7, reasoning=5)
    assert dict(zip(usage.kinds, usage.each, strict=True)) == {
        "input": 40,
        "cached": 20,
        "cache_write_30m": 30,
        "cache_write_12h": 10,
        "output": 7,
    }
