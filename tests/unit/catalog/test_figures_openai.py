"""What known requests cost, to the last digit: figures worked out by hand or seen on a bill, from the packaged prices."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from lowtide.catalog import Catalog, Lane
from lowtide.catalog.parse import parse
from lowtide.errors import PriceUnknown
from lowtide.usage import Usage

TODAY = date(2026, 11, 22)
DECEMBER_25 = date(2025, 12, 22)
MILLION = 1_000_000
PART_CACHED = Usage(input_tokens=200_000, output_tokens=10_000, cache_read_tokens=50_000)
ONE_EACH = Usage(input_tokens=MILLION, output_tokens=MILLION)


def dollars(text: str) -> Fraction:
    return Fraction(Decimal(text))


@pytest.mark.parametrize(
    ("model", "lane", "day", "usage", "expected"),
    [
        (
            "claude-sonnet-4-5",
            Lane.BATCH,
            DECEMBER_25,
            Usage(input_tokens=110_000, output_tokens=2_000, cache_write_1h_tokens=100_000),
            "0.330",
        ),
        (
            "claude-sonnet-4-5",
            Lane.REALTIME,
            DECEMBER_25,
            Usage(input_tokens=250_000, output_tokens=2_000),
            "1.545",
        ),
        ("claude-sonnet-4-5", Lane.BATCH, DECEMBER_25, Usage(input_tokens=250_000, output_tokens=2_000), "0.7725"),
        ("gpt-4-turbo", Lane.REALTIME, date(2024, 5, 20), ONE_EACH, "40"),
        ("gpt-4-turbo", Lane.BATCH, date(2024, 5, 20), ONE_EACH, "20"),
        ("gpt-4-turbo", Lane.BATCH, date(2026, 10, 20), ONE_EACH, "20"),
        ("gpt-5", Lane.REALTIME, TODAY, PART_CACHED, "0.29375"),
        ("gpt-5", Lane.FLEX, TODAY, PART_CACHED, "0.146875"),
        ("gpt-5", Lane.BATCH, TODAY, PART_CACHED, "0.146875"),
        ("gpt-5", Lane.BATCH, DECEMBER_25, PART_CACHED, "0.146875"),
        ("gpt-5", Lane.FAST, TODAY, PART_CACHED, "0.5875"),
        ("gpt-6-sol", Lane.REALTIME, TODAY, PART_CACHED, "0.41"),
        ("gpt-6-sol", Lane.FLEX, TODAY, PART_CACHED, "0.205"),
        ("gpt-6-sol", Lane.BATCH, TODAY, PART_CACHED, "0.205"),
        ("gpt-6-sol", Lane.FAST, TODAY, PART_CACHED, "0.82"),
        ("o3", Lane.BATCH, TODAY, PART_CACHED, "0.240"),
        ("gpt-6.2-sol", Lane.REALTIME, TODAY, Usage(input_tokens=200_000, output_tokens=200_000), "2.40"),
        # The cliff: one token more doubles the bill.
        ("gpt-6-sol", Lane.REALTIME, TODAY, Usage(input_tokens=272_000, output_tokens=0), "0.544"),
        ("gpt-6-sol", Lane.REALTIME, TODAY, Usage(input_tokens=272_001, output_tokens=0), "1.088004"),
        # A live bill: 0.05 and 0.25 for a million.
        ("gpt-6-luna", Lane.BATCH, TODAY, Usage(input_tokens=100_000, output_tokens=100_000), "0.03"),
        ("gpt-6-luna", Lane.WINDOW_2H, TODAY, Usage(input_tokens=100_000, output_tokens=100_000), "0.042"),
        ("gpt-6-luna", Lane.WINDOW_8H, TODAY, Usage(input_tokens=100_000, output_tokens=100_000), "0.036"),
        (
            "gpt-6.2-sol",
            Lane.BATCH,
            TODAY,
            Usage(input_tokens=3_000, output_tokens=0, cache_write_30m_tokens=1_000, cache_write_12h_tokens=1_000),
            "0.00475",
        ),
        ("gpt-5.6-luna", Lane.REALTIME, date(2026, 7, 29), Usage(input_tokens=1_000, output_tokens=1_000), "0.007"),
        ("gpt-5.6-luna", Lane.BATCH, date(2026, 7, 29), Usage(input_tokens=1_000, output_tokens=1_000), "0.0035"),
        ("gpt-5.6-luna", Lane.REALTIME, date(2026, 7, 30), Usage(input_tokens=1_000, output_tokens=1_000), "0.0014"),
        ("o3", Lane.REALTIME, date(2025, 6, 9), Usage(input_tokens=1_000, output_tokens=1_000), "0.05"),
        ("o3", Lane.REALTIME, date(2025, 6, 10), Usage(input_tokens=1_000, output_tokens=1_000), "0.01"),
    ],
)
def test_a_request_costs_what_it_should(
    catalog: Catalog, model: str, lane: Lane, day: date, usage: Usage, expected: str
) -> None:
    provider = "anthropic" if model.startswith("claude") else "openai"
    assert catalog.sheet(provider, model, lane, day).cost(usage) == dollars(expected)


@pytest.mark.parametrize(
    ("model", "lane", "day"),
    [
        ("gpt-4-turbo", Lane.BATCH, date(2024, 4, 14)),  # before there were batches
        ("gpt-5", Lane.FAST, date(2026, 10, 11)),  # before its price was read
        ("gpt-5", Lane.WINDOW_2H, TODAY),
        ("gpt-6-luna", Lane.WINDOW_2H, date(2026, 11, 16)),
        ("gpt-6.2-sol", Lane.FLEX, TODAY),
        ("gpt-5-nano", Lane.FAST, TODAY),
        ("gpt-4o", Lane.FLEX, TODAY),
        ("gpt-5", Lane.BATCH, date(2026, 12, 11)),  # shut down
        ("gpt-6.2-sol", Lane.BATCH, date(2026, 11, 16)),  # not launched
    ],
)
def test_what_is_not_sold_has_no_price_and_not_the_standard_one(
    catalog: Catalog, model: str, lane: Lane, day: date
) -> None:
    with pytest.raises(PriceUnknown):
        catalog.sheet("openai", model, lane, day)


OTHER_SHOPS = """
[[model]]
provider = "azure"
name = "gpt-5"
context_tokens = 400000
output_tokens_max = 128000

[[price]]
provider = "azure"
model = "gpt-5"
lane = "batch"
effective_from = 2026-01-01
input = 0.625
cache_read = 0.0625
output = 5

[[model]]
provider = "vertex"
name = "claude-sonnet-4-5"
context_tokens = 200000
output_tokens_max = 64000

[[price]]
provider = "vertex"
model = "claude-sonnet-4-5"
lane = "batch"
effective_from = 2026-01-01
input = 1.5
output = 7.5

[[model]]
provider = "mistral"
name = "mistral-large-4"
context_tokens = 256000
output_tokens_max = 64000

[[price]]
provider = "mistral"
model = "mistral-large-4"
lane = "realtime"
effective_from = 2026-01-01
input = 0.70
output = 2.10
"""


@pytest.mark.parametrize(
    ("provider", "model", "lane", "usage", "expected"),
    [
        ("azure", "gpt-5", Lane.BATCH, PART_CACHED, "0.146875"),
        ("vertex", "claude-sonnet-4-5", Lane.BATCH, Usage(input_tokens=110_000, output_tokens=2_000), "0.18"),
        ("mistral", "mistral-large-4", Lane.REALTIME, ONE_EACH, "2.80"),
    ],
)
def test_the_same_model_in_another_shop_is_unknown_until_a_file_says_its_price(
    catalog: Catalog, provider: str, model: str, lane: Lane, usage: Usage, expected: str
) -> None:
    with pytest.raises(PriceUnknown, match="the catalog has no such model"):
        catalog.sheet(provider, model, lane, TODAY)
    own, problems = parse({"own.toml": OTHER_SHOPS.encode()})
    assert problems == ()
    assert own.sheet(provider, model, lane, TODAY).cost(usage) == dollars(expected)


@pytest.mark.parametrize("window", [Lane.WINDOW_2H, Lane.WINDOW_8H])
@pytest.mark.parametrize("tokens", [1_000, 272_001])
def test_a_ceiling_on_a_window_is_that_of_real_time_until_its_terms_are_known(
    catalog: Catalog, window: Lane, tokens: int
) -> None:
    for model in ("gpt-6-luna", "gpt-6.2-astra", "gpt-5.6-sol"):
        realtime = catalog.sheet("openai", model, Lane.REALTIME, TODAY)
        windowed = catalog.sheet("openai", model, window, TODAY)
        for write in ("", "30m", "12h", None):
            ceiling = windowed.ceiling_nanos(tokens, 100, dearest_write=write)
            assert ceiling == realtime.ceiling_nanos(tokens, 100, dearest_write=write)
        assert windowed.likely_nanos(tokens, 100) < realtime.likely_nanos(tokens, 100)
