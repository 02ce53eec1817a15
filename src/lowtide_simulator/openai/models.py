"""The OpenAI models that the simulated provider sells, and what each accepts.

Here: names, snapshots, shutdown dates and traits as one table. Not here: prices (``prices``). Law: a model answers from
its launch to its shutdown on the simulated clock, never outside it.

Source: reference sheet of OpenAI's API, sections 1, 2.6, 2.9; snapshots from recorded answers. Checked 2026-11-21. Not
in that sheet, and therefore our choice: launch days (from the models' own names where they have one), context windows
and output limits (400,000 and 128,000 for GPT-5, 1,050,000 from 5.4 on).
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from lowtide_simulator.clock import Instant, to_datetime
from lowtide_simulator.models import Tokenizer


class CacheWrites(StrEnum):
    """How a generation of models caches: not at all, free 128-token blocks, or breakpoints that cost money."""

    NONE = "none"
    FREE = "free"
    PAID = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model. ``price`` names its rows in the price table; ``snapshot`` is what answers call it."""

    id: str
    snapshot: str
    price: str
    launched_on: date
    shutdown_on: date | None = None
    aliases: tuple[str, ...] = ()
    context_tokens: int = 1_050_000
    output_tokens_max: int = 128_000
    reasoning: bool = True
    efforts: tuple[str, ...] = ("none", "minimal", "low", "medium", "high", "xhigh")
    cache: CacheWrites = CacheWrites.PAID
    batch_cached_rate: bool = True
    """Whether cached tokens of a batch cost less than others: from GPT-5 on."""
    flex: bool = True
    structured_outputs: bool = True
    images: bool = True
    tokenizer: Tokenizer = Tokenizer.O200K

    @property
    def group(self) -> str:
        """What shares rate limits: the model itself."""
        return self.id

    def alive(self, day: date) -> bool:
        """Whether it can be called on that day."""
        return self.launched_on <= day and (self.shutdown_on is None or day < self.shutdown_on)


def _five(**traits: Any) -> Model:  # noqa: ANN401 - the fields of Model
    """GPT-5 to 5.3: free cache blocks, 400,000 tokens of context."""
    base: dict[str, Any] = {"context_tokens": 400_000, "cache": CacheWrites.FREE}
    return Model(**(base | traits))


def _four(**traits: Any) -> Model:  # noqa: ANN401 - the fields of Model
    """Before GPT-5: no cached rate in a batch, no flex; most do not reason."""
    base: dict[str, Any] = {
        "context_tokens": 128_000, "output_tokens_max": 16_384, "reasoning": False, "efforts": (),
        "cache": CacheWrites.FREE, "batch_cached_rate": False, "flex": False,
    }  # fmt: skip
    return Model(**(base | traits))


def _newest(name: str, launched_on: date, **traits: Any) -> Model:  # noqa: ANN401 - the fields of Model
    """From 5.6 on a model has no dated snapshots."""
    return Model(id=name, snapshot=name, price=name, launched_on=launched_on, **traits)


D = date
OCTOBER, DECEMBER, JANUARY = D(2026, 10, 23), D(2026, 12, 11), D(2027, 1, 14)
REASONING_OLD: Final[dict[str, Any]] = {"reasoning": True, "efforts": ("low", "medium", "high"), "context_tokens": 200_000, "output_tokens_max": 100_000}  # fmt: skip
GPT_5: Final = ("minimal", "low", "medium", "high")
GPT_5_1: Final = ("none", "low", "medium", "high")

MODELS: Final[tuple[Model, ...]] = (
    _newest("gpt-6.2-astra", D(2026, 11, 17), flex=False),
    _newest("gpt-6.2-sol", D(2026, 11, 10), flex=False),
    _newest("gpt-6.1-sol", D(2026, 10, 20)),
    _newest("gpt-6.1-terra", D(2026, 10, 20)),
    _newest("gpt-6-astra", D(2026, 9, 15)),
    _newest("gpt-6-sol", D(2026, 9, 15)),
    _newest("gpt-6-luna", D(2026, 9, 15)),
    _newest("gpt-5.6-sol", D(2026, 7, 1), aliases=("gpt-5.6",)),
    _newest("gpt-5.6-terra", D(2026, 7, 1)),
    _newest("gpt-5.6-luna", D(2026, 7, 1)),
    Model(id="gpt-5.5", snapshot="gpt-5.5-2026-04-23", price="gpt-5.5", launched_on=D(2026, 4, 23), cache=CacheWrites.FREE),
    Model(id="gpt-5.4", snapshot="gpt-5.4-2026-03-05", price="gpt-5.4", launched_on=D(2026, 3, 5), cache=CacheWrites.FREE),
    _five(id="gpt-5.4-mini", snapshot="gpt-5.4-mini-2026-03-17", price="gpt-5.4-mini", launched_on=D(2026, 3, 17)),
    _five(id="gpt-5.4-nano", snapshot="gpt-5.4-nano-2026-03-17", price="gpt-5.4-nano", launched_on=D(2026, 3, 17)),
    _five(id="gpt-5.2", snapshot="gpt-5.2-2025-12-11", price="gpt-5.2", launched_on=D(2025, 12, 11)),
    _five(id="gpt-5.1", snapshot="gpt-5.1-2025-11-13", price="gpt-5.1", launched_on=D(2025, 11, 13), shutdown_on=D(2027, 4, 1), efforts=GPT_5_1),
    _five(id="gpt-5", snapshot="gpt-5-2025-08-07", price="gpt-5", launched_on=D(2025, 8, 7), shutdown_on=DECEMBER, efforts=GPT_5),
    _five(id="gpt-5-mini", snapshot="gpt-5-mini-2025-08-07", price="gpt-5-mini", launched_on=D(2025, 8, 7), shutdown_on=DECEMBER, efforts=GPT_5),
    _five(id="gpt-5-nano", snapshot="gpt-5-nano-2025-08-07", price="gpt-5-nano", launched_on=D(2025, 8, 7), shutdown_on=DECEMBER, efforts=GPT_5),
    _four(id="gpt-4.1", snapshot="gpt-4.1-2025-04-14", price="gpt-4.1", launched_on=D(2025, 4, 14), shutdown_on=JANUARY, context_tokens=1_047_576, output_tokens_max=32_768),
    _four(id="gpt-4.1-mini", snapshot="gpt-4.1-mini-2025-04-14", price="gpt-4.1-mini", launched_on=D(2025, 4, 14), shutdown_on=JANUARY, context_tokens=1_047_576, output_tokens_max=32_768),
    _four(id="gpt-4.1-nano", snapshot="gpt-4.1-nano-2025-04-14", price="gpt-4.1-nano", launched_on=D(2025, 4, 14), shutdown_on=OCTOBER, context_tokens=1_047_576, output_tokens_max=32_768),
    _four(id="gpt-4o", snapshot="gpt-4o-2024-08-06", price="gpt-4o", launched_on=D(2024, 5, 13), shutdown_on=JANUARY),
    _four(id="gpt-4o-mini", snapshot="gpt-4o-mini-2024-07-18", price="gpt-4o-mini", launched_on=D(2024, 7, 18), shutdown_on=JANUARY),
    _four(id="o3", snapshot="o3-2025-04-16", price="o3", launched_on=D(2025, 4, 16), shutdown_on=DECEMBER, flex=True, **REASONING_OLD),
    _four(id="o4-mini", snapshot="o4-mini-2025-04-16", price="o4-mini", launched_on=D(2025, 4, 16), shutdown_on=OCTOBER, flex=True, **REASONING_OLD),
    _four(id="o3-mini", snapshot="o3-mini-2025-01-31", price="o3-mini", launched_on=D(2025, 1, 31), shutdown_on=OCTOBER, **REASONING_OLD),
    _four(id="gpt-4-turbo", snapshot="gpt-4-turbo-2024-04-09", price="gpt-4-turbo", launched_on=D(2024, 4, 9), shutdown_on=OCTOBER, output_tokens_max=4_096, cache=CacheWrites.NONE, structured_outputs=False),
    _four(id="gpt-4", snapshot="gpt-4-0613", price="gpt-4", launched_on=D(2023, 6, 13), shutdown_on=OCTOBER, context_tokens=8_192, output_tokens_max=8_192, cache=CacheWrites.NONE, structured_outputs=False, images=False),
    _four(id="gpt-3.5-turbo", snapshot="gpt-3.5-turbo-0125", price="gpt-3.5-turbo", launched_on=D(2024, 1, 25), shutdown_on=OCTOBER, context_tokens=16_385, output_tokens_max=4_096, cache=CacheWrites.NONE, structured_outputs=False, images=False),
)  # fmt: skip

BY_NAME: Final[dict[str, Model]] = {name: m for m in MODELS for name in (m.id, m.snapshot, *m.aliases)}


@lru_cache(maxsize=256)
def stand_in(name: str) -> Model:
    """What a compatible server calls ``name``: a plain model without reasoning, sold on any day, priced as gpt-4o-mini."""
    return replace(BY_NAME["gpt-4o-mini"], id=name, snapshot=name, aliases=(), flex=True, cache=CacheWrites.NONE)


def find_model(name: str, now: Instant) -> Model | None:
    """The model that ``name`` (an id, a snapshot or an alias) means at ``now``, or None when it is not sold then."""
    model = BY_NAME.get(name)
    return model if model is not None and model.alive(to_datetime(now).date()) else None


def model_json(name: str, model: Model) -> dict[str, Any]:
    """One entry of ``GET /v1/models``; ``shutdown_date`` is a day or null."""
    day = model.launched_on
    return {
        "id": name,
        "object": "model",
        "created": int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()),
        "owned_by": "system",
        "shutdown_date": None if model.shutdown_on is None else model.shutdown_on.isoformat(),
    }


def listed(day: date) -> list[dict[str, Any]]:
    """Every name that answers on that day, newest model first."""
    return [
        model_json(name, model)
        for model in MODELS
        if model.alive(day)
        for name in dict.fromkeys((model.id, model.snapshot, *model.aliases))
    ]
