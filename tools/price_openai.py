"""OpenAI: prices on every lane from the pinned genai-prices package, corrected and dated; models and limits.

genai-prices knows today's standard, batch, flex and fast prices; it does not know since when a lane was sold, nor the
background windows, nor what a model can do. What no source of 2026 says is marked ``memory`` where it stands. Law: where
a price is open, ``at_most`` bounds it, so that a ceiling stays true.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices
from price_tables import CHECKED_ON, PACKAGE, Entry, LimitRow, Sheet

PRICING = "https://developers.openai.com/api/docs/pricing"
MODEL_PAGES = "https://developers.openai.com/api/docs/models"
LIFE_CYCLE = "https://developers.openai.com/api/docs/deprecations"
BACKGROUND = "https://developers.openai.com/api/docs/guides/background"
BATCHES = "https://developers.openai.com/api/docs/guides/batch"
FILES = "https://developers.openai.com/api/docs/api-reference/files"

# Days on which a thing was first sold. Memory: the package and the pages of 2026 do not say.
BATCH_SOLD = date(2024, 4, 15)
CACHE_SOLD = date(2024, 10, 1)
FLEX_SOLD = date(2025, 4, 17)
# Days that the reference sheet of 2026-11-21 gives.
FAST_CHECKED = date(2026, 10, 12)  # the day the package read the fast prices; what they were before is unknown
WRITES_12H_SOLD = date(2026, 11, 3)
WINDOWS_SOLD = date(2026, 11, 17)
PROMOTION_ENDS = date(2026, 11, 22)  # the first day without a promise that the price of gpt-5.6-sol stays
FIRST_DAY = date(2024, 1, 1)  # the catalog begins here

LONG = 272_000
LONG_FACTORS = {"output": Decimal("1.5")}  # all other kinds: twice
WINDOW_FACTORS = {"2h": Decimal("0.7"), "8h": Decimal("0.6")}
WRITE_12H_FACTOR = Decimal("2.5")
LIST_5_6_SOL = {"input": "5", "cache_read": "0.5", "cache_write_30m": "6.25", "cache_write_12h": "12.5", "output": "30"}

# What genai-prices 0.2.3 says otherwise, and why it is changed. A test holds the packaged rows against the package and
# allows exactly these differences.
CORRECTIONS = {
    "batch-dated": "Its batch prices begin on 2026-10-14. Batches cost half of the standard price of their day since they "
    "were first sold, 2024-04-15 (memory); so did gpt-4-turbo in May 2024.",
    "flex-dated": "Its flex prices begin on 2026-10-12. Flex costs what a batch costs since it was first sold, 2025-04-17 "
    "(memory). It is being wound down: gpt-6.2 does not have it.",
    "caching-dated": "Its cache prices have no first day. Caching was first sold on 2024-10-01 (memory).",
    "models-dated": "Its prices hold for ever. A price begins when its model is launched and ends when it is shut down.",
    "batch-no-cached-rate": "Models before GPT-5 have no cached price in a batch: cached tokens cost what others do. It "
    "keeps the dearer standard cached price of o1-mini and the like, or a cheaper one where that is lower.",
    "no-cached-rate": "The pro models have no cached price: cached tokens cost what others do.",
    "o3-launch-read": "o3 cached tokens cost $2.50 until 2025-06-10 (memory: a quarter of the input); it says $0.50.",
    "pro-long-halved": "The page prints no batch and flex price of gpt-5.5-pro for long prompts; half of the standard one.",
    "fast-long-open": "gpt-5.4 and gpt-5.5 have a printed fast price for short prompts only; above 272,000 tokens it is "
    "taken to rise as the standard price does.",
    "writes-12h": "It lacks the 12-hour cache, sold from 2026-11-03 at 2.5 times the input price on each lane (model pages "
    "of gpt-6.2-sol and gpt-6.1-terra; litellm 1.109.1 has it for every model from 5.6 on).",
    "windows": "It lacks the background windows of the Responses API, sold from 2026-11-17: 2 h at 0.7 and 8 h at 0.6 of "
    "every token price. Not confirmed: 12-hour writes, long prompts, and what a missed window costs; at_most is the "
    "standard price.",
    "windows-model-open": "The page of this model was not seen to name the windows; that it has them is taken from its "
    "generation.",
    "promotional": "The price of gpt-5.6-sol since 2026-08-21 was promised through 2026-11-21. No end is known; from "
    "2026-11-22 on at_most is the list price before it.",
    "gpt-6.2": "It lacks gpt-6.2-sol (model page) and gpt-6.2-astra (second-hand of 2026-11-18).",
    "astra-6.2-cache": "The cache prices of gpt-6.2-astra were not seen: reads at a tenth and writes at 1.25 times the "
    "input, as gpt-6-astra has them; at_most is the input for reads and the 12-hour price for writes.",
    "searches": "Web and file searches are left out: a body that asks for a provider's own tools is not bought.",
}

# Entries of the package that are no model here, and why.
LEFT_OUT = {
    "gone before 2026 or a name that moves": "ada babbage babbage-002 curie davinci davinci-002 text-davinci-002 "
    "text-davinci-003 gpt-3.5-0301 gpt-3.5-turbo-0613 gpt-3.5-turbo-16k gpt-3.5-turbo-instruct gpt-4-32k "
    "gpt-4-vision-preview gpt-4.5-preview gpt-4o:extended chatgpt-4o-latest gpt-chat-latest o1-mini o1-preview gpt-5.3 "
    "codex-mini gpt-5.1-codex-mini",
    "tools of the provider, billed by the call": "computer-use gpt-4o-search-preview gpt-5-search-api o3-deep-research "
    "o4-mini-deep-research",
    "sold by special access": "gpt-5.5-cyber gpt-5.6-cyber gpt-6-cyber gpt-6-rosalind gpt-rosalind-discovery "
    "gpt-rosalind-research",
    "fine-tuned models: describe your own": "ft:gpt-3.5-turbo- ft:gpt-4o ft:gpt-4o-mini gpt-4o-mini-2024-07-18.ft-",
    "open models: not sold by OpenAI": "gpt-oss-120b gpt-oss-20b gpt-oss-safeguard-20b",
    "no text from text": "chatgpt-image-latest gpt-4o-audio-preview gpt-4o-mini-audio-preview gpt-4o-mini-realtime-preview "
    "gpt-4o-mini-transcribe gpt-4o-mini-tts gpt-4o-realtime-preview gpt-4o-transcribe gpt-5-image gpt-5-image-mini "
    "gpt-5.4-image-2 gpt-audio gpt-audio-mini gpt-image-1 gpt-image-1-mini gpt-image-1.5 gpt-image-2 "
    "gpt-image-2.5-flare gpt-image-2.5-sunburst gpt-live-1 gpt-live-transcribe gpt-realtime gpt-realtime-2 "
    "gpt-realtime-mini gpt-realtime-translate gpt-realtime-whisper gpt-transcribe moderation text-embedding-3-large "
    "text-embedding-3-small text-embedding-ada-002 tts-1 tts-1-hd whisper-1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What genai-prices does not know of a model.

    ``launched`` says where the launch day is from: ``name`` is the day in its snapshot's name, ``page`` OpenAI's own pages
    of 2026, ``second-hand`` others' notes of the day, ``memory`` nothing of 2026. ``windows`` is ``page`` where its page
    names the background windows, ``open`` where they are taken from its generation, ``""`` where it has none.
    """

    name: str
    launched_on: date | None
    launched: str
    aliases: tuple[str, ...] = ()
    retires_on: date | None = None
    context_tokens: int
    output_tokens_max: int
    tokenizer: str = "o200k"
    caching: bool = True
    five: bool = True  # GPT-5 or later: cached tokens are cheaper in a batch too
    windows: str = ""


def _six(name: str, launched_on: date, launched: str, *, windows: str = "open", alias: str = "") -> Facts:
    """Describe a model from 5.6 on: paid cache writes, a million tokens of context (922,000 of input), model pages."""
    return Facts(
        name=name,
        launched_on=launched_on,
        launched=launched,
        aliases=(alias,) if alias else (),
        context_tokens=1_050_000,
        output_tokens_max=128_000,
        windows=windows,
    )


def _five(name: str, launched_on: date | None, *, context_tokens: int = 400_000, **facts: date | int | str) -> Facts:
    """Describe a model of GPT-5 to 5.5, launched on the day in its snapshot's name."""
    base = Facts(
        name=name,
        launched_on=launched_on,
        launched="name",
        aliases=(f"{name}-{launched_on}",) if launched_on else (),
        context_tokens=context_tokens,
        output_tokens_max=128_000,
    )
    return replace(base, **facts)  # type: ignore[arg-type]


def _four(name: str, launched_on: date, **facts: date | int | str | bool | tuple[str, ...]) -> Facts:
    """Describe a model before GPT-5, launched on the day in its snapshot's name."""
    base = Facts(
        name=name,
        launched_on=launched_on,
        launched="name",
        aliases=(f"{name}-{launched_on}",),
        context_tokens=128_000,
        output_tokens_max=16_384,
        five=False,
    )
    return replace(base, **facts)  # type: ignore[arg-type]


OCTOBER, DECEMBER = date(2026, 10, 23), date(2026, 12, 11)
JANUARY, APRIL = date(2027, 1, 14), date(2027, 4, 1)
BIG = {"context_tokens": 200_000, "output_tokens_max": 100_000}
LONG_4_1 = {"context_tokens": 1_047_576, "output_tokens_max": 32_768}

# Shutdown days: LIFE_CYCLE. Context and output limits: the model pages from 5.6 on, else second-hand (litellm 1.109.1);
# where it and the package differ, the larger, because it bounds. That gpt-6 counts with o200k is an assumption: no page
# says otherwise and no tokenizer was published.
MODELS = (
    Facts(
        name="gpt-3.5-turbo-1106",
        launched_on=FIRST_DAY,
        launched="memory",
        retires_on=date(2026, 9, 28),
        context_tokens=16_385,
        output_tokens_max=4_096,
        tokenizer="cl100k",
        caching=False,
        five=False,
    ),
    Facts(
        name="gpt-3.5-turbo",
        launched_on=date(2024, 1, 25),
        launched="memory",
        aliases=("gpt-3.5-turbo-0125",),
        retires_on=OCTOBER,
        context_tokens=16_385,
        output_tokens_max=4_096,
        tokenizer="cl100k",
        caching=False,
        five=False,
    ),
    Facts(
        name="gpt-4",
        launched_on=FIRST_DAY,
        launched="memory",
        aliases=("gpt-4-0613",),
        retires_on=OCTOBER,
        context_tokens=8_192,
        output_tokens_max=8_192,  # memory; the second-hand 4,096 is less
        tokenizer="cl100k",
        caching=False,
        five=False,
    ),
    Facts(
        name="gpt-4-turbo",
        launched_on=FIRST_DAY,  # its previews, which cost the same, were sold before the catalog begins
        launched="memory",
        aliases=("gpt-4-turbo-2024-04-09", "gpt-4-turbo-preview", "gpt-4-0125-preview", "gpt-4-1106-preview"),
        retires_on=OCTOBER,
        context_tokens=128_000,
        output_tokens_max=4_096,
        tokenizer="cl100k",
        caching=False,
        five=False,
    ),
    _four(
        "gpt-4o-2024-05-13", date(2024, 5, 13), aliases=(), retires_on=OCTOBER, output_tokens_max=4_096, caching=False
    ),
    # Before its second snapshot gpt-4o meant the first one, which has a price of its own.
    _four("gpt-4o", date(2024, 8, 6), aliases=("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"), retires_on=JANUARY),
    _four("gpt-4o-mini", date(2024, 7, 18), retires_on=JANUARY),
    _four("o1", date(2024, 12, 17), retires_on=OCTOBER, **BIG),
    _four("o1-pro", date(2025, 3, 19), retires_on=OCTOBER, **BIG),
    _four("o3-mini", date(2025, 1, 31), retires_on=OCTOBER, **BIG),
    _four("gpt-4.1", date(2025, 4, 14), retires_on=JANUARY, **LONG_4_1),
    _four("gpt-4.1-mini", date(2025, 4, 14), retires_on=JANUARY, **LONG_4_1),
    _four("gpt-4.1-nano", date(2025, 4, 14), retires_on=OCTOBER, **LONG_4_1),
    _four("o3", date(2025, 4, 16), retires_on=DECEMBER, **BIG),
    _four("o4-mini", date(2025, 4, 16), retires_on=OCTOBER, **BIG),
    _four("o3-pro", date(2025, 6, 10), retires_on=DECEMBER, **BIG),
    _five("gpt-5", date(2025, 8, 7), retires_on=DECEMBER),
    _five("gpt-5-mini", date(2025, 8, 7), retires_on=DECEMBER),
    _five("gpt-5-nano", date(2025, 8, 7), retires_on=DECEMBER),
    _five("gpt-5-pro", date(2025, 10, 6), retires_on=DECEMBER, output_tokens_max=272_000),
    _five("gpt-5.1", date(2025, 11, 13), retires_on=APRIL),
    _five("gpt-5.2", date(2025, 12, 11)),
    _five("gpt-5.2-pro", date(2025, 12, 11)),
    _five("gpt-5.3-codex", None, retires_on=APRIL),
    _five("gpt-5.4", date(2026, 3, 5), context_tokens=1_050_000),
    _five("gpt-5.4-pro", date(2026, 3, 5), context_tokens=1_050_000),
    _five("gpt-5.4-mini", date(2026, 3, 17)),
    _five("gpt-5.4-nano", date(2026, 3, 17), retires_on=APRIL),
    _five("gpt-5.5", date(2026, 4, 23), context_tokens=1_050_000),
    _five("gpt-5.5-pro", date(2026, 4, 23), context_tokens=1_050_000),
    _six("gpt-5.6-sol", date(2026, 7, 9), "second-hand", alias="gpt-5.6"),
    _six("gpt-5.6-terra", date(2026, 7, 9), "second-hand"),
    _six("gpt-5.6-luna", date(2026, 7, 9), "second-hand"),
    _six("gpt-6-astra", date(2026, 9, 3), "second-hand"),
    _six("gpt-6-sol", date(2026, 9, 22), "second-hand"),
    _six("gpt-6-luna", date(2026, 9, 22), "second-hand"),
    _six("gpt-6.1-sol", date(2026, 9, 29), "page"),
    _six("gpt-6.1-terra", date(2026, 10, 26), "second-hand", windows="page"),
    _six("gpt-6.2-sol", date(2026, 11, 17), "second-hand", windows="page"),
    _six("gpt-6.2-astra", date(2026, 11, 17), "second-hand"),
)

NAMES = [facts.name for facts in MODELS]
KINDS = {
    "input": "input_mtok",
    "cache_write_30m": "cache_write_mtok",
    "cache_write_12h": "",
    "cache_read": "cache_read_mtok",
    "output": "output_mtok",
}
LANES = ("realtime", "batch", "2h", "8h", "flex", "fast")
CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "fast": {"service_tier": "fast"},
}
# Models the package lacks: standard prices of short prompts, and what a price can be at most where it is open.
LACKING = {
    "gpt-6.2-sol": {"input": "2", "cache_write_30m": "2.5", "cache_read": "0.1", "output": "10"},
    "gpt-6.2-astra": {"input": "8", "cache_write_30m": "10", "cache_read": "0.8", "output": "40"},
}
OPEN_6_2_ASTRA = {"cache_write_30m": Decimal(20), "cache_write_12h": Decimal(20), "cache_read": Decimal(8)}
LACKING_LANES = {"gpt-6.2-sol": ("batch", "fast"), "gpt-6.2-astra": ("batch",)}
LACKING_FACTORS = {"batch": Decimal("0.5"), "fast": Decimal(2)}

_Prices = dict[tuple[str, int], Decimal]  # (kind, prompts over so many tokens) -> dollars per million

LIMITS: tuple[LimitRow, ...] = (
    ("batch_requests", 50_000, "", "", BATCH_SOLD, None, BATCHES),
    ("batch_bytes", 200_000_000, "", "", BATCH_SOLD, None, BATCHES),
    ("batch_expires_seconds", 86_400, "", "", BATCH_SOLD, None, BATCHES),
    ("batch_creates_per_hour", 2_000, "", "", BATCH_SOLD, None, BATCHES),
    ("results_kept_days", 30, "", "", BATCH_SOLD, None, BATCHES),
    ("file_bytes", 512_000_000, "", "", BATCH_SOLD, None, FILES),
    ("file_uploads_per_minute", 1_000, "", "", BATCH_SOLD, None, FILES),
    *(
        (name, amount, tier, model, first, None, source)
        for name, model, first, source, amounts in (
            (
                "batch_tokens_queued",
                "gpt-5.6-luna",
                date(2026, 8, 23),
                f"{MODEL_PAGES}/gpt-5.6-luna",
                (("1", 5_000_000), ("2", 20_000_000), ("3", 40_000_000), ("4", 1_000_000_000), ("5", 15_000_000_000)),
            ),
            (
                "batch_tokens_queued",
                "gpt-6-luna",
                date(2026, 9, 29),
                "seen on one account, 2026-09-29",
                (("1", 2_000_000),),
            ),
            (
                "batch_tokens_queued",
                "gpt-4o",
                date(2024, 11, 1),
                "second-hand: community.openai.com, 2024-11",
                (("1", 90_000), ("2", 1_350_000)),
            ),
            (
                "batch_tokens_queued",
                "gpt-4-turbo",
                date(2024, 11, 1),
                "second-hand: community.openai.com, 2024-11",
                (("1", 90_000),),
            ),
            (
                "batch_tokens_queued",
                "gpt-4",
                date(2024, 11, 1),
                "second-hand: community.openai.com, 2024-11",
                (("1", 100_000),),
            ),
            (
                "requests_per_minute",
                "gpt-6.2-astra",
                date(2026, 11, 18),
                "second-hand: a guide that names the model's page, 2026-11-18",
                (("build", 5_000),),
            ),
            (
                "tokens_per_minute",
                "gpt-6.2-astra",
                date(2026, 11, 18),
                "second-hand: a guide that names the model's page, 2026-11-18",
                (("build", 1_000_000),),
            ),
        )
        for tier, amount in amounts
    ),
)


def entries() -> list[Entry]:
    """List every price of every model on every lane, corrected, sorted."""
    found = [entry for facts in MODELS for entry in _sold(facts)]
    kinds = list(KINDS)
    return sorted(
        found,
        key=lambda e: (NAMES.index(e.model), LANES.index(e.lane), e.over, e.first, kinds.index(e.kind)),
    )


def _sold(facts: Facts) -> Iterator[Entry]:
    """One model on all its lanes: the standard price, and what each lane makes of it."""
    standard = [entry for entry in _standard(facts) if _holds(entry)]
    if facts.name == "gpt-5.6-sol":
        standard = [part for entry in standard for part in _promotional(entry)]
    lanes = [*standard]
    for lane in ("batch", "flex", "fast"):
        lanes += [entry for entry in _on_lane(facts, standard, lane) if _holds(entry)]
    lanes += [twelve for entry in lanes for twelve in _twelve_hours(entry) if _holds(twelve)]
    yield from lanes
    if facts.windows:
        realtime = [entry for entry in lanes if entry.lane == "realtime"]
        yield from (entry for entry in _windows(facts, realtime) if _holds(entry))


def _holds(entry: Entry) -> bool:
    return entry.end is None or entry.first < entry.end


# ---- the standard price


def _standard(facts: Facts) -> Iterator[Entry]:
    for first, end, prices, imported in _periods(facts):
        for (kind, over), amount in prices.items():
            if kind == "cache_read" and not facts.caching:
                continue
            entry = Entry(
                model=facts.name,
                lane="realtime",
                kind=kind,
                over=over,
                amount=amount,
                first=max(first, CACHE_SOLD) if kind == "cache_read" else first,
                end=end,
                source=PRICING if imported else f"{MODEL_PAGES}/{facts.name}",
                imported=imported,
            )
            yield _opened(entry)
        if facts.caching and ("cache_read", 0) not in prices:
            yield from _no_cached_rate(facts, prices, first, end)


def _opened(entry: Entry) -> Entry:
    """Correct what is known to be otherwise, and say how far a price is open."""
    if entry.model == "o3" and entry.kind == "cache_read" and entry.end == date(2025, 6, 10):
        return replace(entry, amount=Decimal("2.5"), why=["o3-launch-read"])
    if not entry.imported:
        why = ["gpt-6.2"]
        most = None
        if entry.model == "gpt-6.2-astra":
            entry = replace(entry, source="second-hand, 2026-11-18")
            if entry.kind in OPEN_6_2_ASTRA:
                why.append("astra-6.2-cache")
                most = OPEN_6_2_ASTRA[entry.kind] * (2 if entry.over else 1)
        return replace(entry, why=why, at_most=most)
    return entry


def _no_cached_rate(facts: Facts, prices: _Prices, first: date, end: date | None) -> Iterator[Entry]:
    for (kind, over), amount in prices.items():
        if kind == "input":
            yield Entry(
                model=facts.name,
                lane="realtime",
                kind="cache_read",
                over=over,
                amount=amount,
                first=max(first, CACHE_SOLD),
                end=end,
                source=PRICING,
                why=["no-cached-rate"],
            )


def _periods(facts: Facts) -> Iterator[tuple[date, date | None, _Prices, bool]]:
    """Give first day, end, prices, and whether they are the package's."""
    launch = facts.launched_on or FAST_CHECKED  # of unknown launch: the day its price was read
    if facts.name in LACKING:
        base = {kind: Decimal(text) for kind, text in LACKING[facts.name].items()}
        tiers = {(kind, 0): amount for kind, amount in base.items()}
        tiers |= {(kind, LONG): amount * LONG_FACTORS.get(kind, 2) for kind, amount in base.items()}
        yield launch, facts.retires_on, tiers, False
        return
    model = _package(facts.name)
    if isinstance(model.prices, ModelPrice):
        yield launch, facts.retires_on, _amounts(model.prices), True
        return
    starts = []
    for conditional in model.prices:
        constraint = conditional.constraint
        assert constraint is None or isinstance(constraint, StartDateConstraint), "prices differ by day only"
        starts.append(launch if constraint is None else constraint.start_date)
    ends = [*starts[1:], facts.retires_on]
    for start, end, conditional in zip(starts, ends, model.prices, strict=True):
        yield start, end, _amounts(conditional.prices), True


def _package(name: str) -> ModelInfo:
    package = next(provider for provider in providers if provider.id == "openai")
    return next(model for model in package.models if model.id == name)


def _amounts(prices: ModelPrice) -> _Prices:
    """Bring the package's prices into ours: one amount for each kind and tier."""
    found: _Prices = {}
    for kind, attribute in KINDS.items():
        price = getattr(prices, attribute) if attribute else None
        if isinstance(price, TieredPrices):
            found[kind, 0] = price.base
            found |= {(kind, tier.start): tier.price for tier in price.tiers}
        elif price is not None:
            found[kind, 0] = price
    return found


def _promotional(entry: Entry) -> Iterator[Entry]:
    """Cut the price of gpt-5.6-sol where its promise ends: after it the list price bounds it."""
    if entry.end is not None:
        yield entry
        return
    yield replace(entry, end=PROMOTION_ENDS)
    most = Decimal(LIST_5_6_SOL[entry.kind]) * (LONG_FACTORS.get(entry.kind, 2) if entry.over else 1)
    yield replace(entry, first=PROMOTION_ENDS, why=["promotional"], at_most=most)


# ---- the other lanes


def _on_lane(facts: Facts, standard: list[Entry], lane: str) -> Iterator[Entry]:
    """Give the standard entries as the lane sells them; nothing where the model is not sold on it."""
    if facts.name in LACKING:
        if lane in LACKING_LANES[facts.name]:
            for entry in standard:
                yield _scaled(entry, lane, LACKING_FACTORS[lane])
        return
    variant = next((v for v in _package(facts.name).price_variants or () if v.when == CONTEXTS[lane]), None)
    if variant is None:
        return
    *_, (_, _, current, _) = _periods(facts)
    printed = current | _amounts(variant.prices)
    dated = isinstance(variant.constraint, StartDateConstraint)
    for entry in standard:
        match lane:
            case "batch":
                yield _in_batch(facts, entry, standard, current, printed)
            case "flex":
                half = _half(entry, current, printed)
                why = [*half.why, "flex-dated"]
                yield replace(half, lane="flex", first=max(entry.first, FLEX_SOLD), why=why)
            case _:
                first = FAST_CHECKED if dated else entry.first
                yield from _fast(entry, current, printed, first)


def _half(entry: Entry, current: _Prices, printed: _Prices) -> Entry:
    """Take the printed price of a lane at half price, or half of what the standard price was on other days."""
    key = (entry.kind, entry.over)
    why = [*entry.why]
    amount = entry.amount / 2
    if entry.amount == current.get(key) and key in printed and printed[key] != current[key]:
        amount = printed[key]
    elif entry.kind == "input" and printed == current:
        amount = entry.amount  # gpt-3.5-turbo-1106 has no discount
    elif entry.over and key in printed and printed[key] == current.get(key):
        why.append("pro-long-halved")
    most = None if entry.at_most is None else entry.at_most / 2
    return replace(entry, amount=amount, at_most=most, why=why)


def _in_batch(facts: Facts, entry: Entry, standard: list[Entry], current: _Prices, printed: _Prices) -> Entry:
    half = _half(entry, current, printed)
    if printed == current:
        half = replace(half, amount=entry.amount)
    if entry.kind == "cache_read" and not facts.five and "no-cached-rate" not in entry.why:
        plain = next(
            other for other in standard if (other.kind, other.over, other.end) == ("input", entry.over, entry.end)
        )
        half = replace(half, amount=_half(plain, current, printed).amount, why=["batch-no-cached-rate"])
    first = max(entry.first, BATCH_SOLD)
    return replace(half, lane="batch", first=first, why=[*half.why, "batch-dated"])


def _fast(entry: Entry, current: _Prices, printed: _Prices, sold: date) -> Iterator[Entry]:
    key = (entry.kind, entry.over)
    if entry.end is not None and entry.end <= sold:
        return
    assert entry.amount == current[key], "a price that was over before the fast ones were read"
    first = max(entry.first, sold)
    most = None if entry.at_most is None else entry.at_most * printed[key] / current[key]
    if entry.over and printed[key] == current[key]:
        base = printed[entry.kind, 0]
        amount = base * LONG_FACTORS.get(entry.kind, 2)
        yield replace(entry, lane="fast", amount=amount, first=first, why=["fast-long-open"], at_most=amount)
    else:
        yield replace(entry, lane="fast", amount=printed[key], first=first, why=[*entry.why], at_most=most)


def _scaled(entry: Entry, lane: str, factor: Decimal) -> Entry:
    most = None if entry.at_most is None else entry.at_most * factor
    return replace(entry, lane=lane, amount=entry.amount * factor, at_most=most, why=[*entry.why])


def _twelve_hours(entry: Entry) -> Iterator[Entry]:
    """Give the 12-hour cache beside each price of the 30-minute one: twice as dear, on every lane and in every tier."""
    if entry.kind != "cache_write_30m":
        return
    if entry.at_most is None:
        most = None
    elif entry.model == "gpt-6.2-astra":
        most = entry.at_most
    else:
        most = entry.at_most * 2
    yield replace(
        entry,
        kind="cache_write_12h",
        amount=entry.amount * 2,
        first=max(entry.first, WRITES_12H_SOLD),
        why=[*entry.why, "writes-12h"],
        at_most=most,
        source=PRICING if entry.imported else entry.source,
    )


def _windows(facts: Facts, realtime: list[Entry]) -> Iterator[Entry]:
    for lane, factor in WINDOW_FACTORS.items():
        for entry in realtime:
            yield replace(
                entry,
                lane=lane,
                amount=entry.amount * factor,
                first=max(entry.first, WINDOWS_SOLD),
                source=BACKGROUND,
                imported=False,
                why=[*entry.why, "windows", *(["windows-model-open"] if facts.windows == "open" else [])],
                at_most=entry.amount if entry.at_most is None else entry.at_most,
            )


# ---- models


def _display_name(name: str) -> str:
    head, _, rest = name.partition("-")
    if head != "gpt":
        return name
    number, _, family = rest.partition("-")
    return f"GPT-{number} {family.replace('-', ' ').title()}".strip()


def _model_fields(facts: Facts) -> dict[str, object]:
    variants = [] if facts.name in LACKING else [v.when for v in _package(facts.name).price_variants or ()]
    own_page = facts.context_tokens == 1_050_000 and facts.name not in (
        "gpt-5.4",
        "gpt-5.4-pro",
        "gpt-5.5",
        "gpt-5.5-pro",
    )
    sizes = "model page" if own_page else "second-hand"
    launch = "" if facts.launched_on is None else f"; launch day: {facts.launched}"
    return {
        "name": facts.name,
        "display_name": _display_name(facts.name),
        "aliases": facts.aliases,
        "launched_on": facts.launched_on,
        "retires_on": facts.retires_on,
        "context_tokens": facts.context_tokens,
        "output_tokens_max": facts.output_tokens_max,
        "tokenizer": facts.tokenizer,
        "cache_minimum_tokens": 1_024 if facts.caching else None,
        "batch": facts.name in LACKING or CONTEXTS["batch"] in variants,
        "source": f"{LIFE_CYCLE}; sizes: {sizes}{launch}",
        "checked_on": CHECKED_ON,
    }


def sheet() -> Sheet:
    """Give everything the file says."""
    return Sheet(
        provider="openai",
        title="OpenAI",
        notes=(
            "Where a source leaves a price open, at_most says the most it can be: ceilings are made with that.",
            f"Imported from {PACKAGE}, with these corrections:",
        ),
        corrections=CORRECTIONS,
        models=tuple(_model_fields(facts) for facts in MODELS),
        entries=tuple(entries()),
        limits=LIMITS,
    )
