"""The models that the simulated provider sells, and what each accepts.

Here: names, aliases, life dates and traits as one table. Not here: prices (``prices``) and the checks that read the
traits (``validation``). Law: a model exists from its launch to its retirement on the simulated clock, never outside it.

Source: reference sheet of the provider's API, sections 2.1, 2.6, 2.10, 3.5, 3.7, checked 2026-11-21. Not in that sheet,
and therefore our choice: output limits of models after 4.6, deprecation days, launch days before 2026 (taken from the
models' own names), and the limit group of models newer than Opus 5 and Sonnet 5 (each a group of its own).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from lowtide_simulator.clock import Instant, to_datetime


class Tokenizer(StrEnum):
    """Models from Opus 4.7 on use a tokenizer that gives about 30% more tokens; OpenAI's have one of their own."""

    OLD = "old"
    NEW = "new"
    O200K = "o200k"


EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
EFFORTS_46: Final = ("low", "medium", "high", "max")
EFFORTS_45: Final = ("low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model. ``group`` shares rate limits; ``price`` names its rows in the price table."""

    id: str
    line: str
    name: str
    price: str
    group: str
    launched_on: date
    retires_on: date | None = None
    deprecated_on: date | None = None
    aliases: tuple[str, ...] = ()
    context_tokens: int = 1_000_000
    output_tokens_max: int = 128_000
    output_tokens_max_batch_beta: int | None = None
    cache_prefix_tokens_min: int = 512
    tokenizer: Tokenizer = Tokenizer.NEW
    efforts: tuple[str, ...] = EFFORTS
    thinking_enabled: bool = False
    thinking_adaptive: bool = True
    prefill: bool = False
    sampling: bool = False
    forced_tools: bool = True
    structured_outputs: bool = True
    sharp_images: bool = True
    geo: bool = True
    fast: bool = False

    def alive(self, day: date) -> bool:
        """Whether it can be called on that day."""
        return self.launched_on <= day and (self.retires_on is None or day < self.retires_on)

    def lifecycle(self, day: date) -> str:
        """``active``, ``deprecated`` or ``retired``, as the models endpoint says it."""
        if self.retires_on is not None and day >= self.retires_on:
            return "retired"
        if self.deprecated_on is not None and day >= self.deprecated_on:
            return "deprecated"
        return "active"


def _old(**traits: Any) -> Model:  # noqa: ANN401 - the fields of Model
    """A model of before 4.5: everything the newer ones added is off."""
    base: dict[str, Any] = {
        "context_tokens": 200_000,
        "output_tokens_max": 8_192,
        "cache_prefix_tokens_min": 1_024,
        "tokenizer": Tokenizer.OLD,
        "efforts": (),
        "thinking_adaptive": False,
        "prefill": True,
        "sampling": True,
        "structured_outputs": False,
        "sharp_images": False,
        "geo": False,
    }
    return Model(**(base | traits))


D = date
MODELS: Final[tuple[Model, ...]] = (
    Model(
        id="claude-fable-5-2", line="fable", name="Claude Fable 5.2", price="fable-5-2", group="fable-5-2",
        launched_on=D(2026, 11, 9), forced_tools=False, fast=True,
    ),
    Model(
        id="claude-mythos-5-2", line="mythos", name="Claude Mythos 5.2", price="fable-5-2", group="mythos-5-2",
        launched_on=D(2026, 11, 9), forced_tools=False,
    ),
    Model(
        id="claude-haiku-5-5", line="haiku", name="Claude Haiku 5.5", price="haiku-5-5", group="haiku-5-5",
        launched_on=D(2026, 10, 7), output_tokens_max_batch_beta=300_000,
    ),
    Model(
        id="claude-sonnet-5-5", line="sonnet", name="Claude Sonnet 5.5", price="sonnet-5-5", group="sonnet-5-5",
        launched_on=D(2026, 9, 28), forced_tools=False, output_tokens_max_batch_beta=300_000,
    ),
    Model(
        id="claude-opus-5-5", line="opus", name="Claude Opus 5.5", price="opus-5-5", group="opus-5-5",
        launched_on=D(2026, 9, 22), fast=True,
    ),
    Model(
        id="claude-fable-5-1", line="fable", name="Claude Fable 5.1", price="fable-5-1", group="fable-5-1",
        launched_on=D(2026, 9, 1), forced_tools=False,
    ),
    Model(
        id="claude-mythos-5-1", line="mythos", name="Claude Mythos 5.1", price="fable-5-1", group="mythos-5-1",
        launched_on=D(2026, 9, 1), forced_tools=False,
    ),
    Model(
        id="claude-opus-5", line="opus", name="Claude Opus 5", price="opus-5", group="opus-5",
        launched_on=D(2026, 7, 24), fast=True, output_tokens_max_batch_beta=300_000,
    ),
    Model(
        id="claude-sonnet-5", line="sonnet", name="Claude Sonnet 5", price="sonnet-5", group="sonnet-5",
        launched_on=D(2026, 6, 30), cache_prefix_tokens_min=1_024, output_tokens_max_batch_beta=300_000,
    ),
    Model(
        id="claude-fable-5", line="fable", name="Claude Fable 5", price="fable-5", group="fable-5",
        launched_on=D(2026, 6, 9),
    ),
    Model(
        id="claude-mythos-5", line="mythos", name="Claude Mythos 5", price="fable-5", group="mythos-5",
        launched_on=D(2026, 6, 9),
    ),
    Model(
        id="claude-opus-4-8", line="opus", name="Claude Opus 4.8", price="opus-4-8", group="opus-4",
        launched_on=D(2026, 5, 28), cache_prefix_tokens_min=1_024, fast=True, output_tokens_max_batch_beta=300_000,
    ),
    Model(
        id="claude-opus-4-7", line="opus", name="Claude Opus 4.7", price="opus-4-7", group="opus-4",
        launched_on=D(2026, 4, 16), cache_prefix_tokens_min=2_048, output_tokens_max_batch_beta=300_000,
    ),
    _old(
        id="claude-sonnet-4-6", line="sonnet", name="Claude Sonnet 4.6", price="sonnet-4-6", group="sonnet-4",
        launched_on=D(2026, 2, 17), context_tokens=1_000_000, output_tokens_max=128_000, efforts=EFFORTS_46,
        thinking_enabled=True, thinking_adaptive=True, prefill=False, structured_outputs=True, geo=True,
        output_tokens_max_batch_beta=300_000,
    ),
    _old(
        id="claude-opus-4-6", line="opus", name="Claude Opus 4.6", price="opus-4-6", group="opus-4",
        launched_on=D(2026, 2, 5), context_tokens=1_000_000, output_tokens_max=128_000, efforts=EFFORTS_46,
        thinking_enabled=True, thinking_adaptive=True, prefill=False, structured_outputs=True, geo=True,
        cache_prefix_tokens_min=4_096, output_tokens_max_batch_beta=300_000,
    ),
    _old(
        id="claude-opus-4-5-20251101", aliases=("claude-opus-4-5",), line="opus", name="Claude Opus 4.5",
        price="opus-4-5", group="opus-4", launched_on=D(2025, 11, 1), output_tokens_max=64_000, efforts=EFFORTS_45,
        thinking_enabled=True, structured_outputs=True, cache_prefix_tokens_min=4_096,
    ),
    _old(
        id="claude-haiku-4-5-20251001", aliases=("claude-haiku-4-5",), line="haiku", name="Claude Haiku 4.5",
        price="haiku-4-5", group="haiku-4-5", launched_on=D(2025, 10, 1), output_tokens_max=64_000,
        thinking_enabled=True, structured_outputs=True, cache_prefix_tokens_min=4_096,
    ),
    _old(
        id="claude-sonnet-4-5-20250929", aliases=("claude-sonnet-4-5",), line="sonnet", name="Claude Sonnet 4.5",
        price="sonnet-4-5", group="sonnet-4", launched_on=D(2025, 9, 29), deprecated_on=D(2026, 9, 28),
        retires_on=D(2026, 11, 30), output_tokens_max=64_000, thinking_enabled=True, structured_outputs=True,
    ),
    _old(
        id="claude-opus-4-1-20250805", aliases=("claude-opus-4-1",), line="opus", name="Claude Opus 4.1",
        price="opus-4-1", group="opus-4", launched_on=D(2025, 8, 5), retires_on=D(2026, 8, 5),
        output_tokens_max=32_000, thinking_enabled=True,
    ),
    _old(
        id="claude-opus-4-20250514", aliases=("claude-opus-4-0",), line="opus", name="Claude Opus 4",
        price="opus-4", group="opus-4", launched_on=D(2025, 5, 14), retires_on=D(2026, 6, 15),
        output_tokens_max=32_000, thinking_enabled=True,
    ),
    _old(
        id="claude-sonnet-4-20250514", aliases=("claude-sonnet-4-0",), line="sonnet", name="Claude Sonnet 4",
        price="sonnet-4", group="sonnet-4", launched_on=D(2025, 5, 14), retires_on=D(2026, 6, 15),
        output_tokens_max=64_000, thinking_enabled=True,
    ),
    _old(
        id="claude-3-7-sonnet-20250219", aliases=("claude-3-7-sonnet-latest",), line="sonnet",
        name="Claude Sonnet 3.7", price="sonnet-3", group="sonnet-3-7", launched_on=D(2025, 2, 19),
        retires_on=D(2026, 2, 19), output_tokens_max=64_000, thinking_enabled=True,
    ),
    _old(
        id="claude-3-5-haiku-20241022", aliases=("claude-3-5-haiku-latest",), line="haiku", name="Claude Haiku 3.5",
        price="haiku-3-5", group="haiku-3-5", launched_on=D(2024, 10, 22), retires_on=D(2026, 2, 19),
        cache_prefix_tokens_min=2_048,
    ),
    _old(
        id="claude-3-5-sonnet-20241022", aliases=("claude-3-5-sonnet-latest",), line="sonnet",
        name="Claude Sonnet 3.5 (New)", price="sonnet-3", group="sonnet-3-5", launched_on=D(2024, 10, 22),
        retires_on=D(2025, 10, 28),
    ),
    _old(
        id="claude-3-5-sonnet-20240620", line="sonnet", name="Claude Sonnet 3.5 (Old)", price="sonnet-3",
        group="sonnet-3-5", launched_on=D(2024, 6, 20), retires_on=D(2025, 10, 28),
    ),
    _old(
        id="claude-3-haiku-20240307", line="haiku", name="Claude Haiku 3", price="haiku-3", group="haiku-3",
        launched_on=D(2024, 3, 7), retires_on=D(2026, 4, 20), output_tokens_max=4_096,
        cache_prefix_tokens_min=2_048,
    ),
    _old(
        id="claude-3-opus-20240229", aliases=("claude-3-opus-latest",), line="opus", name="Claude Opus 3",
        price="opus-3", group="opus-3", launched_on=D(2024, 2, 29), retires_on=D(2026, 1, 5),
        output_tokens_max=4_096,
    ),
    _old(
        id="claude-3-sonnet-20240229", line="sonnet", name="Claude Sonnet 3", price="sonnet-3", group="sonnet-3",
        launched_on=D(2024, 2, 29), retires_on=D(2025, 7, 21), output_tokens_max=4_096,
    ),
)  # fmt: skip

BY_NAME: Final[dict[str, Model]] = {name: model for model in MODELS for name in (model.id, *model.aliases)}


def find_model(name: str, now: Instant) -> Model | None:
    """The model that ``name`` (an id or an alias) means at ``now``, or None when it is not sold then."""
    model = BY_NAME.get(name)
    return model if model is not None and model.alive(to_datetime(now).date()) else None


def _support(on: bool) -> dict[str, bool]:
    return {"supported": on}


def capabilities(model: Model) -> dict[str, Any]:
    """The ``capabilities`` object of the models endpoint."""
    effort: dict[str, Any] = {level: _support(level in model.efforts) for level in EFFORTS}
    thinks = model.thinking_enabled or model.thinking_adaptive
    return {
        "batch": _support(True),
        "citations": _support(True),
        "code_execution": _support(model.structured_outputs),
        "context_management": {
            "supported": model.structured_outputs,
            "clear_thinking_20251015": _support(model.thinking_enabled),
            "clear_tool_uses_20250919": _support(model.structured_outputs),
            "compact_20260112": _support(model.geo),
        },
        "effort": {"supported": bool(model.efforts), **effort},
        "image_input": _support(True),
        "pdf_input": _support(True),
        "server_tools": {
            "supported": model.structured_outputs,
            "web_search": _support(model.structured_outputs),
            "code_execution": _support(model.structured_outputs),
        },
        "structured_outputs": _support(model.structured_outputs),
        "thinking": {
            "supported": thinks,
            "types": {
                "adaptive": _support(model.thinking_adaptive),
                "between_tools": _support(model.thinking_adaptive and not model.thinking_enabled),
                "disabled": _support(True),
                "enabled": _support(model.thinking_enabled),
            },
        },
    }


def model_info(model: Model, now: Instant) -> dict[str, Any]:
    """One entry of ``GET /v1/models``."""
    day = to_datetime(now).date()
    stage = model.lifecycle(day)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": _midnight(model.launched_on),
        "lifecycle": stage,
        "deprecated_at": _midnight(model.deprecated_on) if stage != "active" and model.deprecated_on else None,
        "retires_at": _midnight(model.retires_on) if stage != "active" and model.retires_on else None,
        "line": model.line,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.output_tokens_max,
        "capabilities": capabilities(model),
    }


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day).isoformat() + "Z"  # noqa: DTZ001 - a day, written as the provider does
