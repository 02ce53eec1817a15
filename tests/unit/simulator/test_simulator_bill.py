"""The bill, against figures typed by hand from the provider's price page (dollars per million tokens)."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from lowtide_simulator.bill import Bill, Line, decimal_text, half_even, line_json, rates_of
from lowtide_simulator.clock import Instant, to_instant
from lowtide_simulator.models import MODELS
from lowtide_simulator.prices import UnknownPriceError, find_price, find_rates
from lowtide_simulator.usage import Usage

NOW = to_instant(datetime(2026, 11, 21, tzinfo=UTC))
MILLION = 1_000_000


def line(price: str, lane: str, usage: Usage, at: Instant = NOW) -> Line:
    return Line(at=at, model=price, price=price, lane=lane, usage=usage, digest="", request_id="")


def dollars(price: str, lane: str, usage: Usage, day: date = date(2026, 11, 21)) -> str:
    """What a usage costs, through the whole bill."""
    bill = Bill()
    bill.add(line(price, lane, usage, to_instant(datetime(day.year, day.month, day.day, tzinfo=UTC))))
    return decimal_text(bill.total())


# model, day, input, output, 5m write, 1h write, read: the page's own figures
PAGE = [
    ("fable-5-2", "2026-11-21", "8.0", "40.0", "10.0", "16.0", "0.2"),
    ("fable-5-1", "2026-11-21", "10.0", "50.0", "12.5", "20.0", "0.25"),
    ("fable-5", "2026-11-21", "10.0", "50.0", "12.5", "20.0", "1.0"),
    ("opus-5-5", "2026-11-21", "4.0", "20.0", "5.0", "8.0", "0.2"),
    ("opus-5", "2026-11-21", "5.0", "25.0", "6.25", "10.0", "0.5"),
    ("opus-4-8", "2026-11-21", "5.0", "25.0", "6.25", "10.0", "0.5"),
    ("opus-4-7", "2026-11-21", "5.0", "25.0", "6.25", "10.0", "0.5"),
    ("opus-4-6", "2026-11-21", "5.0", "25.0", "6.25", "10.0", "0.5"),
    ("opus-4-5", "2026-11-21", "5.0", "25.0", "6.25", "10.0", "0.5"),
    ("sonnet-5-5", "2026-11-21", "2.0", "10.0", "2.5", "4.0", "0.1"),
    ("sonnet-5-5", "2026-10-06", "2.0", "10.0", "2.5", "4.0", "0.2"),
    ("sonnet-5", "2026-11-21", "2.0", "10.0", "2.5", "4.0", "0.2"),
    ("sonnet-4-6", "2026-11-21", "3.0", "15.0", "3.75", "6.0", "0.3"),
    ("sonnet-4-5", "2026-11-21", "3.0", "15.0", "3.75", "6.0", "0.3"),
    ("sonnet-4", "2026-01-21", "3.0", "15.0", "3.75", "6.0", "0.3"),
    ("haiku-5-5", "2026-11-21", "0.1", "0.5", "0.125", "0.2", "0.01"),
    ("haiku-4-5", "2026-11-21", "1.0", "5.0", "1.25", "2.0", "0.1"),
    ("opus-4-1", "2026-01-21", "15.0", "75.0", "18.75", "30.0", "1.5"),
    ("opus-4", "2026-01-21", "15.0", "75.0", "18.75", "30.0", "1.5"),
    ("haiku-3-5", "2025-11-21", "0.8", "4.0", "1.0", "1.6", "0.08"),
]


@pytest.mark.parametrize(("model", "day", "input_", "output", "write_5m", "write_1h", "read"), PAGE)
def test_a_token_kind_costs_what_the_page_says(
    model: str, day: str, input_: str, output: str, write_5m: str, write_1h: str, read: str
) -> None:
    on = date.fromisoformat(day)
    # A thousandth of a million tokens, so that no length tier is passed.
    kinds = {"input": input_, "output": output, "write_5m": write_5m, "write_1h": write_1h, "read": read}
    for kind, price in kinds.items():
        assert Fraction(dollars(model, "standard", Usage(**{kind: 1000}), on)) * 1000 == Fraction(price), kind
        assert Fraction(dollars(model, "batch", Usage(**{kind: 1000}), on)) * 2000 == Fraction(price), kind


# model, day, and the whole request's prices when its prompt is past the threshold
PREMIUM = [
    ("haiku-5-5", "2026-11-21", "0.5", "2.5", "0.625", "1.0", "0.05"),
    ("sonnet-4-5", "2025-12-22", "6", "22.5", "7.5", "12", "0.6"),
    ("sonnet-4", "2025-12-22", "6", "22.5", "7.5", "12", "0.6"),
    ("sonnet-4-6", "2026-03-12", "6", "22.5", "7.5", "12", "0.6"),
    ("opus-4-6", "2026-03-12", "10", "37.5", "12.5", "20", "1"),
]


@pytest.mark.parametrize(("model", "day", "input_", "output", "write_5m", "write_1h", "read"), PREMIUM)
def test_every_kind_has_its_premium(
    model: str, day: str, input_: str, output: str, write_5m: str, write_1h: str, read: str
) -> None:
    usage = Usage(input=200_000, write_5m=3_000, write_1h=500, read=70, output=9)
    prices = zip((input_, write_5m, write_1h, read, output), (200_000, 3_000, 500, 70, 9), strict=True)
    expected = sum(Fraction(price) * amount for price, amount in prices) / MILLION
    assert Fraction(dollars(model, "standard", usage, date.fromisoformat(day))) == expected


def test_a_fraction_without_a_finite_decimal_is_refused() -> None:
    assert decimal_text(Fraction(-3, 8)) == "-0.375"
    with pytest.raises(ValueError, match="no finite decimal"):
        decimal_text(Fraction(1, 3))


@pytest.mark.parametrize(
    ("model", "day", "prompt", "input_", "output"),
    [
        ("haiku-5-5", "2026-11-21", 100_000, "0.10", "0.50"),
        ("haiku-5-5", "2026-11-21", 100_001, "0.50", "2.50"),
        ("sonnet-4-5", "2025-12-22", 200_000, "3", "15"),
        ("sonnet-4-5", "2025-12-22", 200_001, "6", "22.5"),
        ("opus-4-6", "2026-02-20", 200_001, "10", "37.5"),
        ("opus-4-6", "2026-03-13", 200_001, "5", "25"),
        ("sonnet-4-6", "2026-03-12", 200_001, "6", "22.5"),
        ("sonnet-4-6", "2026-03-13", 200_001, "3", "15"),
    ],
)
def test_a_long_prompt_changes_the_price_of_the_whole_request(
    model: str, day: str, prompt: int, input_: str, output: str
) -> None:
    on = date.fromisoformat(day)
    expected = Fraction(input_) * prompt + Fraction(output) * 1000
    usage = (
        Usage(input=prompt - 10_000, output=1000, read=0, write_5m=0)
        if prompt < 10_000
        else Usage(input=prompt, output=1000)
    )
    assert Fraction(dollars(model, "standard", usage, on)) * MILLION == expected
    assert Fraction(dollars(model, "batch", usage, on)) * MILLION == expected / 2, "batch halves the premium too"


def test_cache_tokens_count_towards_the_prompts_length() -> None:
    assert dollars("haiku-5-5", "standard", Usage(input=1, read=100_000)) == decimal_text(
        (Fraction("0.50") + Fraction("0.05") * 100_000) / MILLION
    )


def test_geography_and_speed_multiply() -> None:
    assert dollars("sonnet-5", "batch", Usage(input=MILLION, geo="us")) == "1.1"
    assert dollars("opus-5-5", "standard", Usage(output=MILLION, fast=True)) == "40.0"


def test_the_seed_documents_media_run_costs_what_its_tokens_cost() -> None:
    """294 requests on Sonnet 4.5 in batch: $0.55 + $0.32 + $0.06 + $4.59 = $5.52."""
    parts = [Usage(input=365_624), Usage(write_1h=106_920), Usage(read=416_988), Usage(output=611_412)]
    # Priced as many small requests: a single prompt of this length would have passed the tier.
    costs = [Fraction(dollars("sonnet-4-5", "batch", part, date(2026, 5, 1))) for part in parts]
    assert [f"{float(cost):.2f}" for cost in costs] == ["0.55", "0.32", "0.06", "4.59"]
    assert f"{float(sum(costs)):.2f}" == "5.52"


def test_sums_are_exact_and_the_other_sum_is_rounded_line_by_line() -> None:
    bill = Bill()
    for _ in range(3):
        bill.add(line("haiku-5-5", "batch", Usage(input=1, geo="us")))
    # 0.10 * 0.5 * 1.1 = 0.055 dollars a million = 55 nano-dollars a token.
    assert bill.total() == Fraction(55 * 3, 10**9)
    assert bill.nanos == 165
    half = Bill()
    half.add(line("haiku-5-5", "batch", Usage(read=1, geo="us")))
    # 5.5 nano-dollars: half to even gives 6.
    assert (half.total(), half.nanos) == (Fraction(55, 10**10), 6)


@pytest.mark.parametrize(
    ("numerator", "denominator", "whole"), [(1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 4, 2), (5, 4, 1), (6, 3, 2)]
)
def test_half_goes_to_even(numerator: int, denominator: int, whole: int) -> None:
    assert half_even(numerator, denominator) == whole


def test_every_model_has_a_price_from_its_first_day_to_its_last() -> None:
    for model in MODELS:
        find_price(model.price, model.launched_on, 1_000)
        find_price(model.price, date(2026, 11, 21), 1_000_000)


def test_an_unknown_model_has_no_price() -> None:
    with pytest.raises(UnknownPriceError):
        find_rates("gpt-5", date(2026, 11, 21), 1, batch=False)


def test_a_line_tells_everything_needed_to_check_it() -> None:
    told = line_json(line("sonnet-5", "batch", Usage(input=3, output=5)))
    assert Fraction(told["numerator"], told["denominator"]) == Fraction(3 * 2 + 5 * 10, 2 * MILLION)
    assert told["nanos"] == 28_000
    assert told["usage"]["service_tier"] == "batch"


def test_the_report_adds_up() -> None:
    bill = Bill()
    bill.add(line("sonnet-5", "batch", Usage(input=3, output=5)))
    bill.add(line("sonnet-5", "standard", Usage(input=30, read=7)))
    report = bill.to_json()
    rows = sum(Fraction(row["numerator"], row["denominator"]) for row in report["by"])
    assert (
        rows
        == Fraction(report["total"]["numerator"], report["total"]["denominator"])
        == Fraction(report["total"]["dollars"])
    )
    assert {(row["lane"], row["kind"]) for row in report["by"]} == {
        ("batch", "input"), ("batch", "output"), ("standard", "input"), ("standard", "cache_read"),
    }  # fmt: skip
    assert rates_of("sonnet-5", Usage(), date(2026, 11, 21), batch=True).denominator == 1
