"""The catalog: which models there are, what they cost on which day, what a provider allows. Dated rows, looked up.

Rows come from price files (``parse``); this package is given their bytes and opens nothing. Its own files lie beside it
(``PACKAGED``) and are read by the settings. The law: an answer names the row it rests on, and no row means unknown.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches

from lowtide.catalog.rows import Lane, Limit, LimitName, Model, Price, TokenizerFamily, TokenKind
from lowtide.catalog.sheet import PriceSheet
from lowtide.errors import PriceUnknown

__all__ = [
    "PACKAGED",
    "Catalog",
    "Lane",
    "Limit",
    "LimitName",
    "Model",
    "Price",
    "PriceSheet",
    "TokenKind",
    "TokenizerFamily",
]

# The files that lie beside this one, in the order in which `parse` wants them; the user's come after.
PACKAGED = ("anthropic.toml", "openai.toml")

# A dated snapshot of a model: claude-haiku-4-5-20251001, claude-sonnet-4@20250514, gpt-4o-2024-08-06.
SNAPSHOT = re.compile(r"^(?P<name>.+?)(?:[-@]\d{8}|-\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Everything the price files say, in their order: where two rows speak of one day, the later file wins."""

    models: tuple[Model, ...] = ()
    prices: tuple[Price, ...] = ()
    limits: tuple[Limit, ...] = ()
    _by_name: dict[tuple[str, str], Model] = field(init=False, repr=False, compare=False)
    _by_lane: dict[tuple[str, str, Lane], list[Price]] = field(init=False, repr=False, compare=False)
    _sheets: dict[tuple[str, str, Lane, date], PriceSheet] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[tuple[str, str], Model] = {}
        for model in self.models:
            by_name |= {(model.provider, name): model for name in (model.name, *model.aliases)}
        by_lane: dict[tuple[str, str, Lane], list[Price]] = defaultdict(list)
        for price in self.prices:
            by_lane[price.provider, price.model, price.lane].append(price)
        object.__setattr__(self, "_by_name", by_name)
        object.__setattr__(self, "_by_lane", dict(by_lane))
        object.__setattr__(self, "_sheets", {})  # a memo: the same question has the same answer

    def model(self, provider: str, name: str) -> Model | None:
        """Find a model by its name, an alias or a dated snapshot of either; ``None`` when the catalog has none."""
        found = self._by_name.get((provider, name))
        if found is None and (snapshot := SNAPSHOT.match(name)):
            found = self._by_name.get((provider, snapshot["name"]))
        return found

    def sold(self, provider: str, name: str, day: date) -> bool:
        """Say whether the provider sells the model on a day. A plan quoted for another day runs only if so today."""
        model = self.model(provider, name)
        return model is not None and model.sold_on(day)

    def sheet(self, provider: str, model: str, lane: Lane, day: date) -> PriceSheet:
        """Give every price of a model (any of its names) on one lane, as in force on a day (UTC).

        Raises: PriceUnknown when the model is unknown, not sold on that day, or has no price on that lane then.
        """
        key = (provider, model, lane, day)
        sheet = self._sheets.get(key)
        if sheet is None:
            sheet = self._sheets[key] = self._make_sheet(provider, model, lane, day)
        return sheet

    def lanes(self, provider: str, model: str, day: date) -> tuple[Lane, ...]:
        """Name the lanes on which a model (any of its names) has a price on a day, in the order of ``Lane``.

        A lane that is not named is unknown, never free. Empty where the model is unknown or not sold then.
        """
        found: list[Lane] = []
        for lane in Lane:
            try:
                self.sheet(provider, model, lane, day)
            except PriceUnknown:
                continue
            found.append(lane)
        return tuple(found)

    def rows(self, provider: str, model: str, *, day: date | None = None) -> tuple[Price, ...]:
        """Give the price rows of a model, of all days or of one, base tier first within each lane."""
        known = self.model(provider, model)
        if known is None:
            return ()
        rows = [row for lane in Lane for row in self._by_lane.get((provider, known.name, lane), ())]
        chosen = [row for lane in Lane for row in _in_force((r for r in rows if r.lane is lane), day)] if day else rows
        kinds, lanes = list(TokenKind), list(Lane)
        order = sorted(
            chosen,
            key=lambda r: (lanes.index(r.lane), r.prompt_tokens_over, kinds.index(r.kind), r.effective_from),
        )
        return tuple(order)

    def limit(self, provider: str, name: LimitName, day: date, *, tier: str = "", models: str = "") -> int | None:
        """Give a limit in force on a day, or ``None`` when it is unknown. The later file wins.

        ``tier`` and ``models`` are matched as they stand: ``""`` asks for what holds for every tier, for all models. The
        pool of a model is ``pool(provider, model)``.
        """
        for row in reversed(self.limits):
            if (row.provider, row.name, row.tier, row.models) == (provider, name, tier, models) and row.holds_on(day):
                return row.amount
        return None

    def pool(self, provider: str, model: str) -> str:
        """Name the pool that a model (any of its names) shares its rate limits with: ask ``limit(..., models=pool)``.

        A model of which no pool is known is a pool of its own, by its own name.
        """
        known = self.model(provider, model)
        return model if known is None else known.pool or known.name

    def limit_of(self, provider: str, name: LimitName, model: str, day: date, *, tier: str = "") -> int | None:
        """Give a limit as it holds for a model: of its pool, else of all models; ``None`` when neither is known."""
        of_its_pool = self.limit(provider, name, day, tier=tier, models=self.pool(provider, model))
        return self.limit(provider, name, day, tier=tier) if of_its_pool is None else of_its_pool

    def _make_sheet(self, provider: str, model: str, lane: Lane, day: date) -> PriceSheet:
        known = self.model(provider, model)
        if known is None:
            raise PriceUnknown(f"no price for {model}: the catalog has no such model", hint=self._hint(provider, model))
        if not known.sold_on(day):
            raise PriceUnknown(
                f"no price for {model} on {day}: {_unsold(known, day)}", hint="name a day it was sold on"
            )
        rows = _in_force(self._by_lane.get((provider, known.name, lane), ()), day)
        base = {row.kind for row in rows if row.prompt_tokens_over == 0}
        if not {TokenKind.INPUT, TokenKind.OUTPUT} <= base:
            raise PriceUnknown(
                f"no price for {model} on the {lane} lane on {day}",
                hint="add a dated price of your own to a price file",
            )
        return PriceSheet(provider=provider, model=known.name, lane=lane, day=day, rows=rows, us_factor=known.us_factor)

    def _hint(self, provider: str, model: str) -> str:
        names = [name for known_provider, name in self._by_name if known_provider == provider]
        close = get_close_matches(model, names, n=1, cutoff=0.75)
        own = "add the model and a dated price of your own to a price file"
        return f"did you mean {close[0]}? Or {own}" if close else own


def _unsold(model: Model, day: date) -> str:
    if model.launched_on is not None and day < model.launched_on:
        return f"it was launched on {model.launched_on}"
    return f"it was retired on {model.retires_on}"


def _in_force(rows: Iterable[Price], day: date) -> tuple[Price, ...]:
    """Choose the rows of one lane that hold on a day, one for each kind and tier: the later file wins."""
    chosen = {(row.kind, row.prompt_tokens_over): row for row in rows if row.holds_on(day)}
    return tuple(chosen.values())
