"""Claude's packaged prices against the package they were imported from: equal, but for a list of named corrections."""

from datetime import UTC, date, datetime
from fractions import Fraction
from types import ModuleType

import genai_prices
import pytest
from genai_prices.data import providers

from lowtide.catalog import PACKAGED, Catalog, Lane, Price, TokenKind

TODAY = date(2026, 11, 22)
PACKAGE_NAMES = {
    TokenKind.INPUT: "input_tokens",
    TokenKind.OUTPUT: "output_tokens",
    TokenKind.CACHE_WRITE_5M: "cache_write_tokens",
    TokenKind.CACHE_WRITE_1H: "cache_write_1h_tokens",
    TokenKind.CACHE_READ: "cache_read_tokens",
    TokenKind.WEB_SEARCH: "web_searches",
}
MILLION = 1_000_000


@pytest.fixture(scope="module")
def claude(importer: ModuleType) -> ModuleType:
    """Give what the importer knows of Claude."""
    found: ModuleType = importer.price_anthropic
    return found


@pytest.fixture(scope="module")
def prices(catalog: Catalog) -> tuple[Price, ...]:
    return tuple(row for row in catalog.prices if row.provider == "anthropic")


def package_price(row: Price, day: date) -> Fraction | None:
    """Ask the package what a million of this kind cost on a day, in this tier; ``None`` for a model it lacks."""
    name = PACKAGE_NAMES[row.kind]
    prompt = row.prompt_tokens_over + MILLION if row.prompt_tokens_over else 1_000
    count = prompt if row.kind in (TokenKind.INPUT, TokenKind.CACHE_READ) else 1_000
    counts = {"input_tokens": prompt, name: count}
    if row.kind is TokenKind.CACHE_WRITE_1H:
        counts["cache_write_tokens"] = count
    rest = {"input_tokens": prompt - count} if row.kind.value.startswith("cache") else {"input_tokens": prompt}
    try:
        whole = _price(row, day, counts)
        other = Fraction(0) if row.kind is TokenKind.INPUT else _price(row, day, rest, tier_of=prompt)
    except LookupError:
        return None
    return (whole - other) / count * MILLION


def _price(row: Price, day: date, counts: dict[str, int], *, tier_of: int = 0) -> Fraction:
    if tier_of and counts["input_tokens"] != tier_of:
        # The plain part of a long prompt at the tier of the whole prompt: priced as a whole prompt, then scaled.
        return _price(row, day, {"input_tokens": tier_of}) * counts["input_tokens"] / tier_of
    found = genai_prices.calc_price(
        genai_prices.Usage(**counts),
        row.model,
        provider_id="anthropic",
        genai_request_timestamp=datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        price_context={"processing": "batch"} if row.lane is Lane.BATCH else None,
    )
    return Fraction(found.total_price)


def differences(rows: tuple[Price, ...], day_of: dict[str, date]) -> set[tuple[str, str, str, int]]:
    return {
        (row.model, row.lane.value, row.kind.value, row.prompt_tokens_over)
        for row in rows
        if package_price(row, day_of.get(row.model, row.effective_from)) != Fraction(row.dollars_per_million)
    }


def test_the_committed_files_are_what_the_importer_writes(importer: ModuleType) -> None:
    texts = importer.texts()
    assert {path.name for path in texts} == set(PACKAGED)
    for path, text in texts.items():
        assert path.read_text(encoding="utf-8") == text


def test_todays_prices_agree_with_the_package_on_both_lanes(catalog: Catalog) -> None:
    sold = [model.name for model in catalog.models if model.provider == "anthropic" and model.sold_on(TODAY)]
    rows = tuple(row for name in sold for row in catalog.rows("anthropic", name, day=TODAY))
    assert len(sold) == 18
    assert len(rows) == 18 * 12 + 2 * 5  # Haiku 5.5 has a second tier
    found = differences(rows, dict.fromkeys(sold, TODAY))
    # mythos-5: the package has no such models.
    missing = {row for row in found if row[0] in ("claude-mythos-5", "claude-mythos-5-1")}
    assert found == missing
    assert len(missing) == 2 * 12


def test_old_real_time_prices_agree_but_for_named_corrections(prices: tuple[Price, ...]) -> None:
    rows = tuple(row for row in prices if row.lane is Lane.REALTIME)
    found = {row for row in differences(rows, {}) if not row[0].startswith("claude-mythos-5")}
    tokens = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    sonnet_4_long = {("claude-sonnet-4", "realtime", kind, 200_000) for kind in tokens}
    haiku_launch = {
        ("claude-3-5-haiku", "realtime", kind, 0) for kind in ("input", "cache_write_5m", "cache_read", "output")
    }
    sonnet_read = {("claude-sonnet-5-5", "realtime", "cache_read", 0)}
    assert found == sonnet_4_long | haiku_launch | sonnet_read


def test_every_batch_price_is_half_of_the_real_time_price_of_its_days(
    catalog: Catalog, prices: tuple[Price, ...]
) -> None:
    halves = [row for row in prices if row.lane is Lane.BATCH and row.kind is not TokenKind.WEB_SEARCH]
    assert len(halves) > 150
    for row in halves:
        whole = catalog.sheet("anthropic", row.model, Lane.REALTIME, row.effective_from)
        prices = [
            other.dollars_per_million
            for other in whole.rows
            if (other.kind, other.prompt_tokens_over) == (row.kind, row.prompt_tokens_over)
        ]
        assert prices == [2 * row.dollars_per_million], row


def test_every_model_of_the_package_is_here_or_named_as_left_out(catalog: Catalog, claude: ModuleType) -> None:
    package = next(provider for provider in providers if provider.id == "anthropic")
    imported = {facts.like for facts in claude.MODELS}
    assert {model.id for model in package.models} - imported == {"claude-v1"}
    assert "claude-1" in claude.CORRECTIONS
    here = {model.name for model in catalog.models if model.provider == "anthropic"}
    assert here == {facts.name for facts in claude.MODELS}


def test_every_correction_that_is_used_has_its_reason_in_the_file(
    prices: tuple[Price, ...], claude: ModuleType
) -> None:
    used = {
        name
        for row in prices
        for name in row.source.rpartition("corrected: ")[2].removesuffix(")").split(", ")
        if "corrected: " in row.source
    }
    assert used <= set(claude.CORRECTIONS)
    assert used >= {"batch-dated", "haiku-3-5-launch", "sonnet-4-long", "sonnet-5-5-read", "mythos-5"}


def test_no_price_outlives_its_model(catalog: Catalog) -> None:
    for row in catalog.prices:
        model = catalog.model(row.provider, row.model)
        assert model is not None
        assert model.launched_on is None or row.effective_from >= model.launched_on
        if model.retires_on is not None:
            assert row.effective_to is not None
            assert row.effective_to <= model.retires_on
