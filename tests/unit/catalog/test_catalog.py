"""Looking up models, price sheets and limits."""

from datetime import date

import pytest

from lowtide.catalog import Catalog, Lane, LimitName, TokenKind
from lowtide.catalog.parse import parse
from lowtide.errors import PriceUnknown

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-3-5-sonnet-20240620", "claude-3-5-sonnet"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("claude-3-opus-latest", "claude-3-opus"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("claude-haiku-5-5-20261007", "claude-haiku-5-5"),
        ("claude-haiku-5-5-2026-10-07", "claude-haiku-5-5"),
        ("claude-haiku-5", None),
        ("claude-sonnet-4-5-2025092", None),
        ("claude-sonnet", None),
        ("", None),
    ],
)
def test_a_model_is_found_by_name_alias_and_dated_snapshot(catalog: Catalog, name: str, found: str | None) -> None:
    model = catalog.model("anthropic", name)
    assert (model.name if model else None) == found
    assert catalog.model("openai", name) is None


def test_an_unknown_model_has_no_price_and_the_hint_names_a_near_one(catalog: Catalog) -> None:
    with pytest.raises(PriceUnknown, match="the catalog has no such model") as caught:
        catalog.sheet("anthropic", "claude-sonet-5-5", Lane.BATCH, TODAY)
    assert caught.value.hint.startswith("did you mean claude-sonnet-5-5?")
    with pytest.raises(PriceUnknown) as caught:
        catalog.sheet("anthropic", "llama", Lane.BATCH, TODAY)
    assert caught.value.hint == "add the model and a dated price of your own to a price file"


def test_a_model_has_no_price_before_its_launch(catalog: Catalog) -> None:
    with pytest.raises(PriceUnknown, match="it was launched on 2026-10-07"):
        catalog.sheet("anthropic", "claude-haiku-5-5", Lane.BATCH, date(2026, 10, 6))
    assert not catalog.sold("anthropic", "claude-haiku-5-5", date(2026, 10, 6))
    assert catalog.sold("anthropic", "claude-haiku-5-5-20261007", date(2026, 10, 7))
    assert not catalog.sold("anthropic", "claude-haiku-9", TODAY)


def test_the_same_question_has_the_same_sheet(catalog: Catalog) -> None:
    assert catalog.sheet("anthropic", "claude-opus-5", Lane.BATCH, TODAY) is catalog.sheet(
        "anthropic", "claude-opus-5", Lane.BATCH, TODAY
    )


def test_a_snapshot_has_the_digest_of_its_model_and_a_lane_has_its_own(catalog: Catalog) -> None:
    def digest(model: str, lane: Lane, day: date = TODAY) -> str:
        return catalog.sheet("anthropic", model, lane, day).digest()

    assert digest("claude-haiku-4-5", Lane.BATCH) == digest("claude-haiku-4-5-20251001", Lane.BATCH)
    assert digest("claude-haiku-4-5", Lane.BATCH) != digest("claude-haiku-4-5", Lane.REALTIME)
    assert digest("claude-sonnet-5-5", Lane.BATCH) != digest("claude-sonnet-5-5", Lane.BATCH, date(2026, 10, 6))
    assert digest("claude-sonnet-5-5", Lane.BATCH) == digest("claude-sonnet-5-5", Lane.BATCH, date(2026, 10, 7))


def test_a_lane_without_prices_is_unknown_and_not_named(catalog: Catalog) -> None:
    assert list(Lane)[:2] == [Lane.REALTIME, Lane.BATCH]
    assert catalog.lanes("anthropic", "claude-opus-5", TODAY) == (Lane.REALTIME, Lane.BATCH)
    assert catalog.lanes("anthropic", "claude-3-opus", date(2024, 6, 1)) == (Lane.REALTIME,)
    assert catalog.lanes("anthropic", "claude-opus-5", date(2026, 1, 1)) == ()
    assert catalog.lanes("anthropic", "nothing", TODAY) == ()
    for lane in (Lane.WINDOW_2H, Lane.WINDOW_8H, Lane.FLEX, Lane.FAST):
        with pytest.raises(PriceUnknown, match=f"on the {lane} lane"):
            catalog.sheet("anthropic", "claude-opus-5", lane, TODAY)


def test_rows_show_all_days_or_one(catalog: Catalog) -> None:
    every = catalog.rows("anthropic", "claude-sonnet-5-5")
    now = catalog.rows("anthropic", "claude-sonnet-5-5", day=TODAY)
    assert len(every) == 2 * 7
    assert len(now) == 2 * 6
    assert [row.lane for row in now] == [Lane.REALTIME] * 6 + [Lane.BATCH] * 6
    lifetimes = (TokenKind.CACHE_WRITE_30M, TokenKind.CACHE_WRITE_12H)  # not sold by this provider
    assert [row.kind for row in now[:6]] == [kind for kind in TokenKind if kind not in lifetimes]
    assert catalog.rows("anthropic", "nothing") == ()
    sources = ("https://", "second-hand")
    assert all(row.source.startswith(sources) and row.checked_on and row.recorded_on for row in catalog.prices)


@pytest.mark.parametrize(
    ("name", "day", "tier", "models", "amount"),
    [
        (LimitName.BATCH_REQUESTS, date(2024, 12, 16), "", "", 10_000),
        (LimitName.BATCH_REQUESTS, date(2024, 12, 17), "", "", 100_000),
        (LimitName.BATCH_BYTES, TODAY, "", "", 256_000_000),
        (LimitName.BODY_BYTES, TODAY, "", "", 32_000_000),
        (LimitName.BATCH_REQUESTS_QUEUED, TODAY, "build", "", 300_000),
        (LimitName.BATCH_CALLS_PER_MINUTE, date(2025, 12, 22), "1", "", 50),
        (LimitName.OUTPUT_TOKENS_PER_MINUTE, date(2025, 12, 22), "1", "sonnet-4.x", 8_000),
        (LimitName.INPUT_TOKENS_PER_MINUTE, TODAY, "start", "fable-5", 500_000),
        (LimitName.INPUT_TOKENS_PER_MINUTE, TODAY, "start", "haiku-5.5", None),
        (LimitName.COUNT_CALLS_PER_MINUTE, TODAY, "scale", "", 8_000),
        (LimitName.BATCH_REQUESTS, date(2024, 10, 7), "", "", None),
    ],
)
def test_limits_by_day_and_tier(
    catalog: Catalog, name: LimitName, day: date, tier: str, models: str, amount: int | None
) -> None:
    assert catalog.limit("anthropic", name, day, tier=tier, models=models) == amount


@pytest.mark.parametrize(
    ("name", "tier", "models", "amount"),
    [
        (LimitName.BATCH_REQUESTS, "", "", 50_000),
        (LimitName.BATCH_BYTES, "", "", 200_000_000),
        (LimitName.BATCH_CREATES_PER_HOUR, "", "", 2_000),
        (LimitName.BATCH_EXPIRES_SECONDS, "", "", 86_400),
        (LimitName.FILE_BYTES, "", "", 512_000_000),
        (LimitName.BATCH_TOKENS_QUEUED, "5", "gpt-5.6-luna", 15_000_000_000),
        (LimitName.BATCH_TOKENS_QUEUED, "1", "gpt-6-luna", 2_000_000),
        (LimitName.BATCH_TOKENS_QUEUED, "2", "gpt-6-luna", None),
        (LimitName.TOKENS_PER_MINUTE, "build", "gpt-6.2-astra", 1_000_000),
        (LimitName.INPUT_TOKENS_PER_MINUTE, "1", "gpt-6-luna", None),
    ],
)
def test_limits_of_openai(catalog: Catalog, name: LimitName, tier: str, models: str, amount: int | None) -> None:
    assert catalog.limit("openai", name, TODAY, tier=tier, models=models) == amount


@pytest.mark.parametrize(
    ("provider", "model", "pool"),
    [
        ("anthropic", "claude-opus-4-8", "opus-4.x"),
        ("anthropic", "claude-sonnet-4-5-20250929", "sonnet-4.x"),
        ("anthropic", "claude-haiku-5-5-20261007", "claude-haiku-5-5"),
        ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
        ("openai", "gpt-5.6", "gpt-5.6-sol"),
        ("local", "llama", "llama"),
    ],
)
def test_a_model_shares_its_limits_with_its_pool_or_with_none(
    catalog: Catalog, provider: str, model: str, pool: str
) -> None:
    assert catalog.pool(provider, model) == pool


@pytest.mark.parametrize(
    ("provider", "name", "model", "tier", "amount"),
    [
        ("anthropic", LimitName.INPUT_TOKENS_PER_MINUTE, "claude-opus-4-8", "build", 5_000_000),
        ("anthropic", LimitName.INPUT_TOKENS_PER_MINUTE, "claude-opus-5-5", "build", None),
        ("anthropic", LimitName.INPUT_TOKENS_PER_MINUTE, "claude-opus-4-8", "", None),
        ("anthropic", LimitName.BATCH_REQUESTS_QUEUED, "claude-opus-4-8", "build", 300_000),  # of all models
        ("openai", LimitName.BATCH_TOKENS_QUEUED, "gpt-5.6-luna-2026-07-09", "3", 40_000_000),
        ("openai", LimitName.BATCH_REQUESTS, "gpt-5.6-luna", "", 50_000),
        ("local", LimitName.BATCH_REQUESTS, "llama", "", None),
    ],
)
def test_a_limit_of_a_model_is_that_of_its_pool_else_that_of_all(
    catalog: Catalog, provider: str, name: LimitName, model: str, tier: str, amount: int | None
) -> None:
    assert catalog.limit_of(provider, name, model, TODAY, tier=tier) == amount


def test_every_pool_that_has_limits_is_the_pool_of_a_model(catalog: Catalog) -> None:
    pools = {(model.provider, catalog.pool(model.provider, model.name)) for model in catalog.models}
    limited = {(row.provider, row.models) for row in catalog.limits if row.models}
    assert limited <= pools
    sonnet = catalog.pool("anthropic", "claude-sonnet-4-6")
    rates = (
        LimitName.REQUESTS_PER_MINUTE,
        LimitName.INPUT_TOKENS_PER_MINUTE,
        LimitName.OUTPUT_TOKENS_PER_MINUTE,
    )
    found = [catalog.limit("anthropic", name, TODAY, tier="build", models=sonnet) for name in rates]
    assert found == [5_000, 5_000_000, 1_000_000]


def test_facts_of_models(catalog: Catalog) -> None:
    haiku = catalog.model("anthropic", "claude-haiku-5-5")
    sonnet = catalog.model("anthropic", "claude-sonnet-4-5")
    assert haiku is not None
    assert sonnet is not None
    assert (haiku.context_tokens, haiku.output_tokens_max, haiku.sampling, haiku.batch) == (
        1_000_000,
        128_000,
        False,
        True,
    )
    assert (sonnet.context_tokens, sonnet.largest_context_tokens, sonnet.sampling) == (200_000, 1_000_000, True)
    assert sonnet.retires_on == date(2026, 11, 30)


def test_an_empty_catalog_knows_nothing() -> None:
    empty, problems = parse({})
    assert problems == ()
    assert empty == Catalog()
    with pytest.raises(PriceUnknown):
        empty.sheet("anthropic", "claude-opus-5", Lane.BATCH, TODAY)
