"""Claude: prices from the pinned genai-prices package, corrected and dated; what its models can do; what is limited.

genai-prices knows today's prices well; it does not know when caching, batches, tiers and models came and went
(``CORRECTIONS``), nor what a model can do (``MODELS``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ModelPrice, StartDateConstraint, TieredPrices
from price_tables import CHECKED_ON, PACKAGE, Entry, LimitRow, Sheet

PRICING = "https://platform.claude.com/docs/en/about-claude/pricing"
LIFE_CYCLE = "https://platform.claude.com/docs/en/about-claude/model-deprecations"
BATCHES = "https://platform.claude.com/docs/en/build-with-claude/batch-processing"
RATE_LIMITS = "https://platform.claude.com/docs/en/api/rate-limits"

# Days on which a thing was first sold. Sources: the provider's release notes.
CACHE_SOLD = date(2024, 8, 14)  # prompt caching, 5 minutes
CACHE_1H_SOLD = date(2025, 5, 22)  # the 1-hour lifetime, as a beta
BATCH_SOLD = date(2024, 10, 8)  # message batches, as a beta; general on 2024-12-17
SEARCH_SOLD = date(2025, 5, 7)  # the web search tool
FIRST_DAY = date(2024, 1, 1)  # the catalog begins here

# What genai-prices 0.2.3 says otherwise, and why it is changed. A test holds the packaged rows against the package and
# allows exactly these differences.
CORRECTIONS = {
    "batch-dated": "Its batch prices begin on 2026-10-14 or are absent. Batches cost half of every token price since "
    "they were first sold, 2024-10-08, cache writes, reads and long-prompt tiers too (pricing page of 2025-12-23).",
    "caching-dated": "Its cache prices have no first day. Caching was first sold on 2024-08-14, the 1-hour lifetime on "
    "2025-05-22, web search on 2025-05-07.",
    "models-dated": "Its prices hold for ever. A price begins when its model is launched and ends when it is retired.",
    "sonnet-3-no-cache-no-batch": "It prices caching for Claude 3 Sonnet, which offered neither caching nor batches.",
    "haiku-3-5-launch": "Claude 3.5 Haiku cost $1 / $5 from its launch on 2024-11-04 until 2024-12-03.",
    "sonnet-4-long": "Claude Sonnet 4 lacks the tier above 200,000 prompt tokens, sold from 2025-08-12 to 2026-04-30.",
    "sonnet-4-5-long-ends": "Its tier of Sonnet 4.5 above 200,000 prompt tokens has no end; it ended on 2026-04-30.",
    "sonnet-5-5-read": "Sonnet 5.5 cache reads cost $0.20 before 2026-10-07.",
    "mythos-5": "Mythos 5 and 5.1 are absent; they cost what Fable 5 and 5.1 cost.",
    "fast-mode": "Fast mode is left out: lowtide does not buy it.",
    "claude-1": "claude-v1 is left out: not sold in 2024 or later.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What genai-prices does not know of a model. ``like`` names the entry of the package whose prices it has."""

    name: str
    like: str
    display_name: str
    launched_on: date
    aliases: tuple[str, ...] = ()
    retires_on: date | None = None
    retires_not_before: date | None = None
    context_tokens: int = 1_000_000
    context_beta_tokens: int | None = None
    output_tokens_max: int = 128_000
    batch_output_tokens_max: int | None = None
    tokenizer: str = "claude-4.7"
    image_tokens_max: int | None = 4_784
    cache_minimum_tokens: int | None = None
    batch: bool = True
    sampling: bool = False
    us_factor: Decimal = Decimal("1.1")
    caching: bool = True
    pool: str = ""  # whose rate limits it shares, where they are known
    long_ends: date | None = None  # first day without a tier for long prompts, where the package gives none


def _old(**facts: Any) -> Facts:  # noqa: ANN401 - the fields of Facts, which checks them
    """Describe a model of the older generations: up to 4.5, 200,000 tokens, sampling allowed, no US price."""
    common: dict[str, Any] = {
        "context_tokens": 200_000,
        "output_tokens_max": 64_000,
        "tokenizer": "claude-3",
        "image_tokens_max": 1_600,  # w*h/750 tops near 1,600; the 28-pixel patches of today at 1,568
        "sampling": True,
        "us_factor": Decimal(1),
    }
    return Facts(**(common | facts))


# Launch and retirement: LIFE_CYCLE and release notes; limits: the models' own pages; cache minimum: the prompt caching
# page (2026-08-22) up to generation 5, and nothing where only second-hand figures exist.
MODELS = (
    _old(
        name="claude-2.0",
        like="claude-2",
        display_name="Claude 2.0",
        launched_on=FIRST_DAY,
        retires_on=date(2025, 7, 21),
        context_tokens=100_000,
        output_tokens_max=4_096,
        image_tokens_max=None,
        batch=False,
        caching=False,
    ),
    _old(
        name="claude-2.1",
        like="claude-2",
        display_name="Claude 2.1",
        launched_on=FIRST_DAY,
        retires_on=date(2025, 7, 21),
        output_tokens_max=4_096,
        image_tokens_max=None,
        batch=False,
        caching=False,
    ),
    _old(
        name="claude-3-opus",
        like="claude-3-opus-latest",
        display_name="Claude 3 Opus",
        aliases=("claude-3-opus-20240229", "claude-3-opus-latest"),
        launched_on=date(2024, 3, 4),
        retires_on=date(2026, 1, 5),
        output_tokens_max=4_096,
        cache_minimum_tokens=1_024,
    ),
    _old(
        name="claude-3-sonnet",
        like="claude-3-sonnet",
        display_name="Claude 3 Sonnet",
        aliases=("claude-3-sonnet-20240229",),
        launched_on=date(2024, 3, 4),
        retires_on=date(2025, 7, 21),
        output_tokens_max=4_096,
        batch=False,
        caching=False,
    ),
    _old(
        name="claude-3-haiku",
        like="claude-3-haiku",
        display_name="Claude 3 Haiku",
        aliases=("claude-3-haiku-20240307",),
        launched_on=date(2024, 3, 13),
        retires_on=date(2026, 4, 20),
        output_tokens_max=4_096,
        cache_minimum_tokens=2_048,
    ),
    _old(
        name="claude-3-5-sonnet",
        like="claude-3-5-sonnet",
        display_name="Claude 3.5 Sonnet",
        aliases=("claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest"),
        launched_on=date(2024, 6, 20),
        retires_on=date(2025, 10, 28),
        output_tokens_max=8_192,
        cache_minimum_tokens=1_024,
    ),
    _old(
        name="claude-3-5-haiku",
        like="claude-3-5-haiku-latest",
        display_name="Claude 3.5 Haiku",
        aliases=("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"),
        launched_on=date(2024, 11, 4),
        retires_on=date(2026, 2, 19),
        output_tokens_max=8_192,
        cache_minimum_tokens=2_048,
    ),
    _old(
        name="claude-3-7-sonnet",
        like="claude-3-7-sonnet-latest",
        display_name="Claude 3.7 Sonnet",
        aliases=("claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest"),
        launched_on=date(2025, 2, 24),
        retires_on=date(2026, 2, 19),
        cache_minimum_tokens=1_024,
    ),
    _old(
        name="claude-opus-4",
        pool="opus-4.x",
        like="claude-opus-4-0",
        display_name="Claude Opus 4",
        aliases=("claude-opus-4-0", "claude-opus-4-20250514"),
        launched_on=date(2025, 5, 22),
        retires_on=date(2026, 6, 15),
        output_tokens_max=32_000,
        cache_minimum_tokens=1_024,
    ),
    _old(
        name="claude-sonnet-4",
        pool="sonnet-4.x",
        like="claude-sonnet-4-0",
        display_name="Claude Sonnet 4",
        aliases=("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        launched_on=date(2025, 5, 22),
        retires_on=date(2026, 6, 15),
        context_beta_tokens=1_000_000,
        cache_minimum_tokens=1_024,
    ),
    _old(
        name="claude-opus-4-1",
        pool="opus-4.x",
        like="claude-opus-4-1",
        display_name="Claude Opus 4.1",
        aliases=("claude-opus-4-1-20250805",),
        launched_on=date(2025, 8, 5),
        retires_on=date(2026, 8, 5),
        output_tokens_max=32_000,
        cache_minimum_tokens=1_024,
    ),
    _old(
        name="claude-sonnet-4-5",
        pool="sonnet-4.x",
        like="claude-sonnet-4-5",
        display_name="Claude Sonnet 4.5",
        aliases=("claude-sonnet-4-5-20250929",),
        launched_on=date(2025, 9, 29),
        retires_on=date(2026, 11, 30),
        context_beta_tokens=1_000_000,
        cache_minimum_tokens=1_024,
        long_ends=date(2026, 4, 30),
    ),
    _old(
        name="claude-haiku-4-5",
        pool="haiku-4.5",
        like="claude-haiku-4-5",
        display_name="Claude Haiku 4.5",
        aliases=("claude-haiku-4-5-20251001",),
        launched_on=date(2025, 10, 15),
        retires_not_before=date(2026, 10, 15),
        cache_minimum_tokens=4_096,
    ),
    _old(
        name="claude-opus-4-5",
        pool="opus-4.x",
        like="claude-opus-4-5",
        display_name="Claude Opus 4.5",
        aliases=("claude-opus-4-5-20251101",),
        launched_on=date(2025, 11, 24),
        retires_not_before=date(2026, 11, 24),
        cache_minimum_tokens=4_096,
    ),
    Facts(
        name="claude-opus-4-6",
        pool="opus-4.x",
        like="claude-opus-4-6",
        display_name="Claude Opus 4.6",
        launched_on=date(2026, 2, 5),
        batch_output_tokens_max=300_000,
        tokenizer="claude-3",
        image_tokens_max=1_600,
        cache_minimum_tokens=4_096,
        sampling=True,
    ),
    Facts(
        name="claude-sonnet-4-6",
        pool="sonnet-4.x",
        like="claude-sonnet-4-6",
        display_name="Claude Sonnet 4.6",
        launched_on=date(2026, 2, 17),
        batch_output_tokens_max=300_000,
        tokenizer="claude-3",
        image_tokens_max=1_600,
        cache_minimum_tokens=1_024,
        sampling=True,
    ),
    Facts(
        name="claude-opus-4-7",
        pool="opus-4.x",
        like="claude-opus-4-7",
        display_name="Claude Opus 4.7",
        launched_on=date(2026, 4, 16),
        batch_output_tokens_max=300_000,
        cache_minimum_tokens=2_048,
    ),
    Facts(
        name="claude-opus-4-8",
        pool="opus-4.x",
        like="claude-opus-4-8",
        display_name="Claude Opus 4.8",
        launched_on=date(2026, 5, 28),
        batch_output_tokens_max=300_000,
        cache_minimum_tokens=1_024,
    ),
    Facts(
        name="claude-fable-5",
        pool="fable-5",
        like="claude-fable-5",
        display_name="Claude Fable 5",
        launched_on=date(2026, 6, 9),
        cache_minimum_tokens=512,
    ),
    Facts(
        name="claude-mythos-5",
        like="claude-fable-5",
        display_name="Claude Mythos 5",
        launched_on=date(2026, 6, 9),
        cache_minimum_tokens=512,
    ),
    Facts(
        name="claude-sonnet-5",
        pool="sonnet-5",
        like="claude-sonnet-5",
        display_name="Claude Sonnet 5",
        launched_on=date(2026, 6, 30),
        batch_output_tokens_max=300_000,
        cache_minimum_tokens=1_024,
    ),
    Facts(
        name="claude-opus-5",
        pool="opus-5",
        like="claude-opus-5",
        display_name="Claude Opus 5",
        launched_on=date(2026, 7, 24),
        retires_not_before=date(2027, 7, 24),
        batch_output_tokens_max=300_000,
        cache_minimum_tokens=512,
    ),
    Facts(
        name="claude-fable-5-1",
        like="claude-fable-5-1",
        display_name="Claude Fable 5.1",
        launched_on=date(2026, 9, 1),
    ),
    Facts(
        name="claude-mythos-5-1",
        like="claude-fable-5-1",
        display_name="Claude Mythos 5.1",
        launched_on=date(2026, 9, 1),
    ),
    Facts(
        name="claude-opus-5-5",
        like="claude-opus-5-5",
        display_name="Claude Opus 5.5",
        launched_on=date(2026, 9, 22),
    ),
    Facts(
        name="claude-sonnet-5-5",
        like="claude-sonnet-5-5",
        display_name="Claude Sonnet 5.5",
        launched_on=date(2026, 9, 28),
        batch_output_tokens_max=300_000,
    ),
    Facts(
        name="claude-haiku-5-5",
        like="claude-haiku-5-5",
        display_name="Claude Haiku 5.5",
        launched_on=date(2026, 10, 7),
        batch_output_tokens_max=300_000,
    ),
    Facts(
        name="claude-fable-5-2",
        like="claude-fable-5-2",
        display_name="Claude Fable 5.2",
        launched_on=date(2026, 11, 9),
    ),
    Facts(
        name="claude-mythos-5-2",
        like="claude-mythos-5-2",
        display_name="Claude Mythos 5.2",
        launched_on=date(2026, 11, 9),
    ),
)

# name, amount, tier, models, from, to, source
LIMITS: tuple[LimitRow, ...] = (
    ("batch_requests", 10_000, "", "", date(2024, 10, 8), date(2024, 12, 17), BATCHES),
    ("batch_bytes", 32_000_000, "", "", date(2024, 10, 8), date(2024, 12, 17), BATCHES),
    ("batch_requests", 100_000, "", "", date(2024, 12, 17), None, BATCHES),
    ("batch_bytes", 256_000_000, "", "", date(2024, 12, 17), None, BATCHES),
    ("batch_expires_seconds", 86_400, "", "", date(2024, 10, 8), None, BATCHES),
    ("results_kept_days", 29, "", "", date(2024, 10, 8), None, BATCHES),
    ("body_bytes", 32_000_000, "", "", date(2024, 12, 17), None, "https://platform.claude.com/docs/en/api/overview"),
    ("count_calls_per_minute", 2_000, "start", "", date(2026, 6, 26), None, RATE_LIMITS),
    ("count_calls_per_minute", 4_000, "build", "", date(2026, 6, 26), None, RATE_LIMITS),
    ("count_calls_per_minute", 8_000, "scale", "", date(2026, 6, 26), None, RATE_LIMITS),
    *(
        (name, amount, tier, "", first, end, RATE_LIMITS)
        for name, first, end, amounts in (
            (
                "batch_calls_per_minute",
                date(2025, 12, 1),
                date(2026, 6, 26),
                (("1", 50), ("2", 1_000), ("3", 2_000), ("4", 4_000)),
            ),
            (
                "batch_requests_queued",
                date(2025, 12, 1),
                date(2026, 6, 26),
                (("1", 100_000), ("2", 200_000), ("3", 300_000), ("4", 500_000)),
            ),
            ("batch_calls_per_minute", date(2026, 6, 26), None, (("start", 1_000), ("build", 2_000), ("scale", 4_000))),
            (
                "batch_requests_queued",
                date(2026, 6, 26),
                None,
                (("start", 200_000), ("build", 300_000), ("scale", 500_000)),
            ),
        )
        for tier, amount in amounts
    ),
    *(
        (name, amount, tier, models, first, end, RATE_LIMITS)
        for models, first, end, tiers in (
            (
                "sonnet-4.x",
                date(2025, 12, 1),
                date(2026, 6, 26),
                (
                    ("1", 50, 30_000, 8_000),
                    ("2", 1_000, 450_000, 90_000),
                    ("3", 2_000, 800_000, 160_000),
                    ("4", 4_000, 2_000_000, 400_000),
                ),
            ),
            (
                "opus-4.x",
                date(2025, 12, 1),
                date(2026, 6, 26),
                (
                    ("1", 50, 30_000, 8_000),
                    ("2", 1_000, 450_000, 90_000),
                    ("3", 2_000, 800_000, 160_000),
                    ("4", 4_000, 2_000_000, 400_000),
                ),
            ),
            (
                "haiku-4.5",
                date(2025, 12, 1),
                date(2026, 6, 26),
                (
                    ("1", 50, 50_000, 10_000),
                    ("2", 1_000, 450_000, 90_000),
                    ("3", 2_000, 1_000_000, 200_000),
                    ("4", 4_000, 4_000_000, 800_000),
                ),
            ),
            (
                "fable-5",
                date(2026, 6, 26),
                None,
                (
                    ("start", 1_000, 500_000, 100_000),
                    ("build", 2_000, 1_500_000, 300_000),
                    ("scale", 4_000, 4_000_000, 800_000),
                ),
            ),
            *(
                (
                    pool,
                    date(2026, 6, 26),
                    None,
                    (
                        ("start", 1_000, 2_000_000, 400_000),
                        ("build", 5_000, 5_000_000, 1_000_000),
                        ("scale", 10_000, 10_000_000, 2_000_000),
                    ),
                )
                for pool in ("opus-5", "opus-4.x", "sonnet-5", "sonnet-4.x", "haiku-4.5")
            ),
        )
        for tier, requests, inputs, outputs in tiers
        for name, amount in (
            ("requests_per_minute", requests),
            ("input_tokens_per_minute", inputs),
            ("output_tokens_per_minute", outputs),
        )
    ),
)

# Our kinds and the package's names for them, and the first day each could be bought.
KINDS = {
    "input": ("input_mtok", FIRST_DAY),
    "output": ("output_mtok", FIRST_DAY),
    "cache_write_5m": ("cache_write_mtok", CACHE_SOLD),
    "cache_write_1h": ("cache_write_1h_mtok", CACHE_1H_SOLD),
    "cache_read": ("cache_read_mtok", CACHE_SOLD),
    "web_search": ("web_searches_kcount", SEARCH_SOLD),
}
CACHE_KINDS = ("cache_write_5m", "cache_write_1h", "cache_read")


def entries() -> list[Entry]:
    """List every price of every model, corrected, sorted."""
    realtime = [entry for facts in MODELS for entry in _corrected(facts, list(_imported(facts)))]
    batch = [half for entry in realtime for half in _halved(entry)]
    kinds = list(KINDS)
    names = [facts.name for facts in MODELS]
    return sorted(
        realtime + batch,
        key=lambda e: (names.index(e.model), e.lane != "realtime", e.over, e.first, kinds.index(e.kind)),
    )


def _imported(facts: Facts) -> Iterator[Entry]:
    """Real-time prices as the package gives them, with first and last days."""
    for first, end, prices in _periods(facts):
        for kind, (attribute, sold) in KINDS.items():
            price = getattr(prices, attribute)
            if price is None or (kind in CACHE_KINDS and not facts.caching):
                continue
            start = max(first, sold)
            if end is not None and start >= end:
                continue
            tiers = [(0, price)]
            if isinstance(price, TieredPrices):
                tiers = [(0, price.base), *((tier.start, tier.price) for tier in price.tiers)]
            for over, amount in tiers:
                unit = amount * 1_000 if kind == "web_search" else amount
                last = facts.long_ends if over and facts.long_ends else end
                yield Entry(
                    model=facts.name,
                    lane="realtime",
                    kind=kind,
                    over=over,
                    amount=unit,
                    first=start,
                    end=last,
                    source=PRICING,
                )


def _periods(facts: Facts) -> Iterator[tuple[date, date | None, ModelPrice]]:
    package = next(provider for provider in providers if provider.id == "anthropic")
    model = next(model for model in package.models if model.id == facts.like)
    if isinstance(model.prices, ModelPrice):
        yield facts.launched_on, facts.retires_on, model.prices
        return
    starts = []
    for conditional in model.prices:
        constraint = conditional.constraint
        assert constraint is None or isinstance(constraint, StartDateConstraint), "prices differ by day only"
        starts.append(facts.launched_on if constraint is None else constraint.start_date)
    ends = [*starts[1:], facts.retires_on]
    for start, end, conditional in zip(starts, ends, model.prices, strict=True):
        yield start, end, conditional.prices


def _corrected(facts: Facts, imported: list[Entry]) -> list[Entry]:
    """Add what the package does not say and the provider did. Each change names its correction."""
    if facts.name == "claude-3-5-haiku":
        return _haiku_launch(imported)
    if facts.name == "claude-sonnet-4":
        return imported + _sonnet_long(imported)
    if facts.name == "claude-sonnet-4-5":
        for entry in imported:
            entry.why += ["sonnet-4-5-long-ends"] if entry.over else []
    if facts.name == "claude-sonnet-5-5":
        return _sonnet_read(imported)
    if facts.name in ("claude-mythos-5", "claude-mythos-5-1"):
        for entry in imported:
            entry.why.append("mythos-5")
    if facts.name == "claude-3-sonnet":
        for entry in imported:
            entry.why.append("sonnet-3-no-cache-no-batch")
    return imported


def _haiku_launch(imported: list[Entry]) -> list[Entry]:
    cut = date(2024, 12, 3)
    launch = {"input": "1", "output": "5", "cache_write_5m": "1.25", "cache_read": "0.10"}
    before = [
        Entry(
            model=entry.model,
            lane="realtime",
            kind=entry.kind,
            over=0,
            amount=Decimal(launch[entry.kind]),
            first=entry.first,
            end=cut,
            source=PRICING,
            why=["haiku-3-5-launch"],
        )
        for entry in imported
        if entry.kind in launch
    ]
    for entry in imported:
        entry.first = max(entry.first, cut)
    return before + imported


def _sonnet_long(imported: list[Entry]) -> list[Entry]:
    return [
        Entry(
            model=entry.model,
            lane="realtime",
            kind=entry.kind,
            over=200_000,
            amount=entry.amount * (Decimal("1.5") if entry.kind == "output" else 2),
            first=date(2025, 8, 12),
            end=date(2026, 4, 30),
            source=PRICING,
            why=["sonnet-4-long"],
        )
        for entry in imported
        if entry.kind != "web_search"
    ]


def _sonnet_read(imported: list[Entry]) -> list[Entry]:
    cut = date(2026, 10, 7)
    read = next(entry for entry in imported if entry.kind == "cache_read")
    before = Entry(
        model=read.model,
        lane="realtime",
        kind="cache_read",
        over=0,
        amount=Decimal("0.20"),
        first=read.first,
        end=cut,
        source=PRICING,
        why=["sonnet-5-5-read"],
    )
    read.first = cut
    return [*imported, before]


def _halved(entry: Entry) -> Iterator[Entry]:
    """Give the same price on the batch lane: half, searches as they are, from the day batches were first sold."""
    facts = next(facts for facts in MODELS if facts.name == entry.model)
    first = max(entry.first, BATCH_SOLD)
    if not facts.batch or (entry.end is not None and first >= entry.end):
        return
    searches = entry.kind == "web_search"
    yield Entry(
        model=entry.model,
        lane="batch",
        kind=entry.kind,
        over=entry.over,
        amount=entry.amount if searches else entry.amount / 2,
        first=first,
        end=entry.end,
        source=PRICING,
        why=[*entry.why, "batch-dated"],
    )


def _model_fields(facts: Facts) -> dict[str, object]:
    return {
        "name": facts.name,
        "display_name": facts.display_name,
        "aliases": facts.aliases,
        "launched_on": facts.launched_on,
        "retires_on": facts.retires_on,
        "retires_not_before": facts.retires_not_before,
        "context_tokens": facts.context_tokens,
        "context_beta_tokens": facts.context_beta_tokens,
        "output_tokens_max": facts.output_tokens_max,
        "batch_output_tokens_max": facts.batch_output_tokens_max,
        "tokenizer": facts.tokenizer,
        "image_tokens_max": facts.image_tokens_max,
        "cache_minimum_tokens": facts.cache_minimum_tokens,
        "batch": facts.batch,
        "sampling": facts.sampling,
        "us_factor": facts.us_factor,
        "pool": facts.pool,
        "source": LIFE_CYCLE,
        "checked_on": CHECKED_ON,
    }


def sheet() -> Sheet:
    """Give everything the file says."""
    return Sheet(
        provider="anthropic",
        title="Claude",
        notes=(f"Imported from {PACKAGE}, with these corrections:",),
        corrections=CORRECTIONS,
        models=tuple(_model_fields(facts) for facts in MODELS),
        entries=tuple(entries()),
        limits=LIMITS,
    )
