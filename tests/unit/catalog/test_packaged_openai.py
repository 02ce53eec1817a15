"""OpenAI's packaged prices against the package they were imported from: equal, but for a list of named corrections."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import ModuleType

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, TieredPrices

from lowtide.catalog import Catalog, Lane, Model, Price, TokenKind

TODAY = date(2026, 11, 22)
LONG = 272_000
CONTEXTS = {
    Lane.REALTIME: None,
    Lane.BATCH: {"processing": "batch"},
    Lane.FLEX: {"service_tier": "flex"},
    Lane.FAST: {"service_tier": "fast"},
}
ATTRIBUTES = {
    TokenKind.INPUT: "input_mtok",
    TokenKind.OUTPUT: "output_mtok",
    TokenKind.CACHE_READ: "cache_read_mtok",
    TokenKind.CACHE_WRITE_30M: "cache_write_mtok",
}
PACKAGE = {model.id: model for provider in providers if provider.id == "openai" for model in provider.models}
PRO = ("gpt-5-pro", "gpt-5.2-pro", "gpt-5.4-pro", "gpt-5.5-pro", "o1-pro", "o3-pro")


@pytest.fixture(scope="module")
def openai(importer: ModuleType) -> ModuleType:
    """Give what the importer knows of OpenAI."""
    found: ModuleType = importer.price_openai
    return found


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> tuple[Model, ...]:
    return tuple(model for model in catalog.models if model.provider == "openai")


@pytest.fixture(scope="module")
def prices(catalog: Catalog) -> tuple[Price, ...]:
    return tuple(row for row in catalog.prices if row.provider == "openai")


def last_day(model: Model) -> date:
    """Give today, or the last day on which a model that is gone was sold."""
    return TODAY if model.retires_on is None else min(TODAY, model.retires_on - timedelta(days=1))


def package_price(row: Price, day: date) -> Decimal | None:
    """Ask the package what a million of this kind cost on a day, in this tier; ``None`` where it does not say."""
    model: ModelInfo | None = PACKAGE.get(row.model)
    if model is None or row.lane not in CONTEXTS or row.kind not in ATTRIBUTES:
        return None
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    found = getattr(model.get_prices(at, CONTEXTS[row.lane]), ATTRIBUTES[row.kind])
    if not isinstance(found, TieredPrices):
        return found if row.prompt_tokens_over == 0 else None
    tiers = {0: found.base} | {tier.start: tier.price for tier in found.tiers}
    return tiers.get(row.prompt_tokens_over)


def test_todays_prices_agree_with_the_package_but_for_named_corrections(
    catalog: Catalog, models: tuple[Model, ...]
) -> None:
    rows = [row for model in models for row in catalog.rows("openai", model.name, day=last_day(model))]
    found = {
        (row.model, row.lane, row.kind, row.prompt_tokens_over)
        for row in rows
        if row.lane in CONTEXTS
        and row.kind in ATTRIBUTES
        and row.model in PACKAGE
        and package_price(row, TODAY) != row.dollars_per_million
    }
    in_a_batch = ("o1", "o3-mini", "o4-mini", "o3", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano")
    no_cached_rate = {
        (row.model, row.lane, row.kind, row.prompt_tokens_over)
        for row in rows
        if row.model in PRO and row.kind is TokenKind.CACHE_READ
    }
    assert len(no_cached_rate) == 6 * 2 + 2 + 2 * 3  # 5.4 and 5.5 have flex and a second tier on each lane
    assert found == {
        # batch-no-cached-rate; where the standard cached price is half of the input the two agree: gpt-4o, o1, o3-mini
        *((name, Lane.BATCH, TokenKind.CACHE_READ, 0) for name in in_a_batch if name not in ("o1", "o3-mini")),
        *no_cached_rate,
        # pro-long-halved
        *(
            ("gpt-5.5-pro", lane, kind, LONG)
            for lane in (Lane.BATCH, Lane.FLEX)
            for kind in (TokenKind.INPUT, TokenKind.OUTPUT)
        ),
        # fast-long-open
        *(
            (name, Lane.FAST, kind, LONG)
            for name in ("gpt-5.4", "gpt-5.5")
            for kind in (TokenKind.INPUT, TokenKind.CACHE_READ, TokenKind.OUTPUT)
        ),
    }


def test_what_the_package_lacks_is_twelve_hours_windows_and_the_newest_models(prices: tuple[Price, ...]) -> None:
    lacking = [row for row in prices if package_price(row, TODAY) is None and row.model not in PRO]
    assert lacking
    for row in lacking:
        told = row.source.rpartition("corrected: ")[2]
        names = ("writes-12h", "windows", "gpt-6.2", "fast-long-open")
        assert any(name in told for name in names), row


def test_old_standard_prices_agree_with_the_package_on_their_days(prices: tuple[Price, ...]) -> None:
    old = [
        row for row in prices if row.lane is Lane.REALTIME and row.effective_to is not None and row.kind in ATTRIBUTES
    ]
    wrong = {
        (row.model, row.kind)
        for row in old
        if row.model not in PRO and package_price(row, row.effective_from) != row.dollars_per_million
    }
    assert wrong == {("o3", TokenKind.CACHE_READ)}  # o3-launch-read
    assert {("gpt-5.6-luna", Decimal(1)), ("gpt-5.6-terra", Decimal("2.5")), ("o3", Decimal(10))} <= {
        (row.model, row.dollars_per_million) for row in old if row.kind is TokenKind.INPUT
    }


@pytest.mark.parametrize("lane", [Lane.BATCH, Lane.FLEX])
def test_batch_and_flex_cost_half_of_the_standard_price_of_their_days(
    catalog: Catalog, prices: tuple[Price, ...], lane: Lane
) -> None:
    halves = [row for row in prices if row.lane is lane]
    assert len(halves) > 150
    odd: set[tuple[str, str]] = set()
    for row in halves:
        whole = catalog.sheet("openai", row.model, Lane.REALTIME, row.effective_from)
        standard = next(
            other
            for other in whole.rows
            if (other.kind, other.prompt_tokens_over) == (row.kind, row.prompt_tokens_over)
        )
        if standard.dollars_per_million != 2 * row.dollars_per_million:
            odd.add((row.model, row.kind))
        assert row.dearest >= standard.dearest / 2
    rounded = {("gpt-5.4", "cache_read")}
    no_rate = {("gpt-4.1", "cache_read"), ("gpt-4.1-mini", "cache_read"), ("gpt-4.1-nano", "cache_read")}
    no_rate |= {(name, "cache_read") for name in ("gpt-4o", "gpt-4o-mini", "o1", "o3", "o3-mini", "o4-mini")}
    no_discount = {("gpt-3.5-turbo-1106", "input"), ("gpt-3.5-turbo-1106", "output")}
    assert odd == (rounded | no_rate | no_discount if lane is Lane.BATCH else rounded | {("o4-mini", "cache_read")})


@pytest.mark.parametrize(("lane", "factor"), [(Lane.WINDOW_2H, "0.7"), (Lane.WINDOW_8H, "0.6")])
def test_a_window_costs_its_share_of_every_standard_price_and_at_most_all_of_it(
    catalog: Catalog, prices: tuple[Price, ...], lane: Lane, factor: str
) -> None:
    rows = [row for row in prices if row.lane is lane]
    assert {row.model for row in rows} == {model.name for model in catalog.models if model.windows}
    for row in rows:
        assert row.effective_from >= date(2026, 11, 17)
        whole = catalog.sheet("openai", row.model, Lane.REALTIME, row.effective_from)
        standard = next(
            other
            for other in whole.rows
            if (other.kind, other.prompt_tokens_over) == (row.kind, row.prompt_tokens_over)
        )
        assert row.dollars_per_million == standard.dollars_per_million * Decimal(factor)
        assert row.at_most == standard.dearest
        assert "windows" in row.source
    confirmed = {row.model for row in rows if "windows-model-open" not in row.source}
    assert confirmed == {"gpt-6.1-terra", "gpt-6.2-sol"}


def test_long_prompts_cost_twice_and_answers_to_them_half_as_much_again(prices: tuple[Price, ...]) -> None:
    rows = [row for row in prices if row.prompt_tokens_over]
    assert {row.prompt_tokens_over for row in rows} == {LONG}
    base = {(row.model, row.lane, row.kind, row.effective_from): row for row in prices if not row.prompt_tokens_over}
    for row in rows:
        factor = Decimal("1.5") if row.kind is TokenKind.OUTPUT else 2
        short = base[row.model, row.lane, row.kind, row.effective_from]
        exact = short.dollars_per_million * factor
        rounded = (row.model, row.kind) == ("gpt-5.4", TokenKind.CACHE_READ)  # 0.13 and 0.25 as printed
        assert row.dollars_per_million == exact or (rounded and exact == Decimal("0.26"))
        assert (row.at_most is None) == (short.at_most is None) or row.lane is Lane.FAST


def test_twelve_hours_cost_twice_what_thirty_minutes_do(prices: tuple[Price, ...]) -> None:
    rows = {(r.model, r.lane, r.prompt_tokens_over, r.kind, r.effective_to): r for r in prices}
    twelve = [row for row in prices if row.kind is TokenKind.CACHE_WRITE_12H]
    assert len({row.model for row in twelve}) == 10
    for row in twelve:
        half = rows[row.model, row.lane, row.prompt_tokens_over, TokenKind.CACHE_WRITE_30M, row.effective_to]
        plain = rows[row.model, row.lane, row.prompt_tokens_over, TokenKind.INPUT, row.effective_to]
        assert row.dollars_per_million == 2 * half.dollars_per_million == plain.dollars_per_million * Decimal("2.5")
        assert row.effective_from >= date(2026, 11, 3)


def test_writes_cost_nothing_extra_before_5_6(models: tuple[Model, ...], prices: tuple[Price, ...]) -> None:
    paid = {model.name for model in models if model.cache_write_priced}
    assert paid == {model.name for model in models if model.name.startswith(("gpt-5.6", "gpt-6"))}
    assert paid == {row.model for row in prices if row.kind.value.startswith("cache_write")}


def test_the_promotional_price_holds_and_its_end_is_bounded(catalog: Catalog) -> None:
    promised = catalog.sheet("openai", "gpt-5.6-sol", Lane.BATCH, date(2026, 11, 21))
    after = catalog.sheet("openai", "gpt-5.6-sol", Lane.BATCH, date(2026, 11, 22))
    assert promised.likely_nanos(1_000, 1_000) == after.likely_nanos(1_000, 1_000) == 12_000_000
    assert promised.ceiling_nanos(1_000, 1_000, dearest_write="") == 12_000_000
    assert after.ceiling_nanos(1_000, 1_000, dearest_write="") == 17_500_000  # half of 5 and 30
    assert promised.digest() != after.digest()
    before = catalog.sheet("openai", "gpt-5.6-sol", Lane.BATCH, date(2026, 8, 20))
    assert before.likely_nanos(1_000, 1_000) == 17_500_000


def test_every_model_of_the_package_is_here_or_named_as_left_out(models: tuple[Model, ...], openai: ModuleType) -> None:
    left_out = " ".join(openai.LEFT_OUT.values()).split()
    here = {model.name for model in models}
    assert len(left_out) == len(set(left_out))
    assert not here & set(left_out)
    assert set(PACKAGE) == (here & set(PACKAGE)) | set(left_out)
    assert here - set(PACKAGE) == {"gpt-6.2-sol", "gpt-6.2-astra"}


def test_every_correction_that_is_used_has_its_reason_in_the_file(
    prices: tuple[Price, ...], openai: ModuleType
) -> None:
    used = {
        name
        for row in prices
        for name in row.source.rpartition("corrected: ")[2].removesuffix(")").split(", ")
        if "corrected: " in row.source
    }
    general = {"models-dated", "caching-dated", "searches"}  # of every row
    assert used | general == set(openai.CORRECTIONS)


@pytest.mark.parametrize(
    ("name", "found", "retires_on"),
    [
        ("gpt-4o-2024-11-20", "gpt-4o", date(2027, 1, 14)),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13", date(2026, 10, 23)),
        ("gpt-4-0613", "gpt-4", date(2026, 10, 23)),
        ("o3-2025-04-16", "o3", date(2026, 12, 11)),
        ("gpt-5-nano-2025-08-07", "gpt-5-nano", date(2026, 12, 11)),
        ("gpt-5.1", "gpt-5.1", date(2027, 4, 1)),
        ("gpt-5.6", "gpt-5.6-sol", None),
        ("gpt-6-luna-2026-09-22", "gpt-6-luna", None),
        ("gpt-7", None, None),
        ("text-embedding-3-small", None, None),
    ],
)
def test_names_and_shutdown_days(catalog: Catalog, name: str, found: str | None, retires_on: date | None) -> None:
    model = catalog.model("openai", name)
    assert (model.name if model else None) == found
    assert (model.retires_on if model else None) == retires_on


def test_what_models_can_do(catalog: Catalog, models: tuple[Model, ...]) -> None:
    assert {model.tokenizer.value for model in models} == {"o200k", "cl100k"}
    assert {model.cache_minimum_tokens for model in models} == {None, 1_024}
    for model in models:
        lanes = catalog.lanes("openai", model.name, last_day(model))
        assert lanes[0] is Lane.REALTIME
        assert model.batch == (Lane.BATCH in lanes)
        assert model.flex == (Lane.FLEX in lanes)
        assert model.windows == (Lane.WINDOW_2H in lanes) == (Lane.WINDOW_8H in lanes)
    assert [model.name for model in models if not model.batch] == ["gpt-5.3-codex"]
    astra = catalog.model("openai", "gpt-6.2-astra")
    assert astra is not None
    assert not astra.flex
    assert Lane.FAST not in catalog.lanes("openai", astra.name, TODAY)  # no fast price of it was seen
