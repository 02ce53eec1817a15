"""Price files: TOML bytes become a ``Catalog`` and a list of everything that is wrong with them. Opens nothing.

A file holds ``[[model]]``, ``[[price]]`` and ``[[limit]]`` tables. A price table may carry several kinds of token and
becomes one row for each. Prices are dollars per million, dates are UTC days, ``effective_to`` is exclusive; ``at_most``
says for a kind what its price can be at the most. The law: a row with a problem is left out and named; nothing is guessed,
and no number passes through a float.

    [[price]]
    provider = "anthropic"
    model = "claude-sonnet-5"
    lane = "batch"
    effective_from = 2026-12-01
    input = 0.85
    output = 4.25
    source = "our contract of 2026-11-20"
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from lowtide.catalog import SNAPSHOT, Catalog
from lowtide.catalog.rows import Lane, Limit, LimitName, Model, Price, TokenizerFamily, TokenKind
from lowtide.catalog.sheet import WRITES
from lowtide.errors import Problem

SECTIONS = ("model", "price", "limit")
CACHE_WRITES = WRITES[None]
WINDOWS = (Lane.WINDOW_2H, Lane.WINDOW_8H)


class _ModelTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    provider: str
    name: str
    display_name: str = ""
    aliases: tuple[str, ...] = ()
    launched_on: date | None = None
    retires_on: date | None = None
    retires_not_before: date | None = None
    context_tokens: int
    context_beta_tokens: int | None = None
    output_tokens_max: int
    batch_output_tokens_max: int | None = None
    tokenizer: TokenizerFamily = TokenizerFamily.UNKNOWN
    image_tokens_max: int | None = None
    cache_minimum_tokens: int | None = None
    batch: bool = True
    sampling: bool = True
    us_factor: Decimal = Decimal(1)
    pool: str = ""
    source: str = ""
    checked_on: date | None = None


class _PriceTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    provider: str
    model: str
    lane: Lane
    effective_from: date
    effective_to: date | None = None
    prompt_tokens_over: int = 0
    currency: str = "USD"
    input: Decimal | None = None
    output: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_write_30m: Decimal | None = None
    cache_write_12h: Decimal | None = None
    cache_read: Decimal | None = None
    web_search: Decimal | None = None
    at_most: dict[TokenKind, Decimal] = {}
    source: str = ""
    recorded_on: date | None = None
    checked_on: date | None = None


class _LimitTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    provider: str
    name: LimitName
    amount: int
    tier: str = ""
    models: str = ""
    effective_from: date
    effective_to: date | None = None
    source: str = ""
    checked_on: date | None = None


Table = TypeVar("Table", _ModelTable, _PriceTable, _LimitTable)


@dataclass(slots=True)
class _Reading:
    """What has been read so far; problems beside it."""

    models: dict[tuple[str, str], Model] = field(default_factory=dict)
    names: dict[tuple[str, str], str] = field(default_factory=dict)  # every name and alias -> the model's own name
    prices: list[Price] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, where: str, what: str, hint: str = "") -> None:
        self.problems.append(Problem(where=where, what=what, hint=hint))

    def canonical(self, provider: str, name: str) -> str | None:
        snapshot = SNAPSHOT.match(name)
        found = self.names.get((provider, name))
        return found or (self.names.get((provider, snapshot["name"])) if snapshot else None)


def parse(files: Mapping[str, bytes]) -> tuple[Catalog, tuple[Problem, ...]]:
    """Read price files in order, the packaged ones first: where two speak of one thing on one day, the later file wins.

    Keys are names to show (a path). Gives what could be read, and every problem with its file and line. A model in a
    later file replaces the earlier one whole; prices and limits are weighed row by row.
    """
    reading = _Reading()
    documents = {file: _document(reading, file, content) for file, content in files.items()}
    for file, document in documents.items():
        _read_models(reading, file, document.get("model", ()))
    for file, document in documents.items():
        _read_prices(reading, file, document.get("price", ()))
        _read_limits(reading, file, document.get("limit", ()))
    models = _seen_from_prices(reading.models.values(), reading.prices)
    catalog = Catalog(models=models, prices=tuple(reading.prices), limits=tuple(reading.limits))
    return catalog, tuple(reading.problems)


def _seen_from_prices(models: Iterable[Model], prices: Sequence[Price]) -> tuple[Model, ...]:
    """Fill in what a model's prices say of it: written twice, it could differ."""
    inputs: dict[tuple[str, str], list[Price]] = defaultdict(list)
    writes: dict[tuple[str, str], list[Price]] = defaultdict(list)
    lanes: dict[tuple[str, str], set[Lane]] = defaultdict(set)
    for row in prices:
        key = (row.provider, row.model)
        lanes[key].add(row.lane)
        if row.kind is TokenKind.INPUT:
            inputs[key].append(row)
        elif row.kind in CACHE_WRITES:
            writes[key].append(row)
    seen: list[Model] = []
    for model in models:
        key = (model.provider, model.name)
        dearer = any(
            write.dearest > price.dollars_per_million
            for write in writes[key]
            for price in inputs[key]
            if _beside(write, price)
        )
        windows = not lanes[key].isdisjoint(WINDOWS)
        seen.append(replace(model, cache_write_priced=dearer, flex=Lane.FLEX in lanes[key], windows=windows))
    return tuple(seen)


def _beside(row: Price, other: Price) -> bool:
    same = (row.lane, row.prompt_tokens_over) == (other.lane, other.prompt_tokens_over)
    return same and _overlap(row, other)


_Located = tuple[str, Any]  # where a table stands, and the table


def _document(reading: _Reading, file: str, content: bytes) -> dict[str, list[_Located]]:
    try:
        text = content.decode("utf-8-sig")
        document = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        reading.problem(file, f"not UTF-8 text: byte {error.start} does not fit")
        return {}
    except (tomllib.TOMLDecodeError, ArithmeticError) as error:
        reading.problem(file, f"not TOML: {error}")
        return {}
    for name in document:
        if name not in SECTIONS:
            reading.problem(f"{file}: {name}", "no such section", f"there are {', '.join(SECTIONS)}")
    located: dict[str, list[_Located]] = {}
    for section in SECTIONS:
        tables = document.get(section, [])
        if not isinstance(tables, list):
            reading.problem(f"{file}: {section}", "one table where a list is due", f"write [[{section}]]")
            continue
        lines = _header_lines(text, section)
        places = [f"{file}:{line}" for line in lines] if len(lines) == len(tables) else [file] * len(tables)
        located[section] = [
            (f"{place}: {section} {number}", table)
            for number, (place, table) in enumerate(zip(places, tables, strict=True), start=1)
        ]
    return located


def _header_lines(text: str, section: str) -> list[int]:
    header = re.compile(rf"^\s*\[\[\s*{section}\s*\]\]", re.MULTILINE)
    lines: list[int] = []
    line, read = 1, 0
    for match in header.finditer(text):
        line += text.count("\n", read, match.end())
        read = match.end()
        lines.append(line)
    return lines


def _tables(reading: _Reading, located: Sequence[_Located], shape: type[Table]) -> list[tuple[str, Table]]:
    read: list[tuple[str, Table]] = []
    for where, table in located:
        try:
            read.append((where, msgspec.convert(table, shape)))
        except msgspec.ValidationError as error:
            reading.problem(where, str(error))
    return read


def _read_models(reading: _Reading, file: str, located: Sequence[_Located]) -> None:
    own: set[tuple[str, str]] = set()
    for where, table in _tables(reading, located, _ModelTable):
        names = [(table.provider, name) for name in (table.name, *table.aliases)]
        taken = [name for name in names if name in own]
        sizes = (table.context_tokens, table.output_tokens_max)
        if taken:
            reading.problem(where, f"{taken[0][1]} is already described in this file")
        elif min(sizes) <= 0:
            reading.problem(where, "context_tokens and output_tokens_max must be above 0")
        elif not (table.us_factor.is_finite() and table.us_factor > 0):
            reading.problem(where, f"us_factor is {table.us_factor}", "write a factor such as 1.1")
        elif table.launched_on and table.retires_on and table.retires_on <= table.launched_on:
            reading.problem(where, f"retired on {table.retires_on}, launched on {table.launched_on}")
        else:
            own.update(names)
            reading.models[names[0]] = Model(**msgspec.structs.asdict(table), file=file)
            reading.names |= dict.fromkeys(names, table.name)


def _read_prices(reading: _Reading, file: str, located: Sequence[_Located]) -> None:
    periods: dict[tuple[str, str, Lane, TokenKind, int], list[Price]] = defaultdict(list)
    for where, table in _tables(reading, located, _PriceTable):
        model = reading.canonical(table.provider, table.model)
        amounts = {kind: amount for kind in TokenKind if (amount := getattr(table, kind.value)) is not None}
        if found := _price_fault(table, model, amounts):
            reading.problem(where, *found)
            continue
        assert model is not None, "a row without a model has a fault"
        for kind, amount in amounts.items():
            row = Price(
                provider=table.provider,
                model=model,
                lane=table.lane,
                kind=kind,
                prompt_tokens_over=table.prompt_tokens_over,
                dollars_per_million=amount,
                effective_from=table.effective_from,
                effective_to=table.effective_to,
                recorded_on=table.recorded_on,
                source=table.source or file,
                checked_on=table.checked_on,
                file=file,
                at_most=table.at_most.get(kind),
            )
            beside = periods[row.provider, row.model, row.lane, row.kind, row.prompt_tokens_over]
            if clash := next((other for other in beside if _overlap(row, other)), None):
                reading.problem(
                    where,
                    f"two prices for {kind} of {model} ({row.lane}) on {max(row.effective_from, clash.effective_from)}",
                    "end the earlier row with effective_to",
                )
                continue
            beside.append(row)
            reading.prices.append(row)


def _price_fault(
    table: _PriceTable, model: str | None, amounts: Mapping[TokenKind, Decimal]
) -> tuple[str, str] | tuple[str] | None:
    """Say what is wrong with a price table and what to do, or ``None``."""
    if table.currency != "USD":
        return (f"currency is {table.currency}", "write prices in USD; other currencies are not read yet")
    if model is None:
        return (
            f"{table.model} is not described",
            'add a [[model]] with "name", "context_tokens" and "output_tokens_max"',
        )
    if not amounts:
        return ("no price in it", f"write one or more of {', '.join(TokenKind)}")
    for kind, amount in amounts.items():
        if not amount.is_finite() or amount < 0:
            return (f"{kind} is {amount}", "write dollars per million, such as 0.25")
    for kind, amount in table.at_most.items():
        if kind not in amounts or not amount.is_finite() or amount < amounts[kind]:
            return (f"at_most of {kind} is {amount}", "write the most that a price of this table can be")
    if table.prompt_tokens_over < 0:
        return (f"prompt_tokens_over is {table.prompt_tokens_over}", "write 0 for the base tier")
    return _period_fault(table.effective_from, table.effective_to)


def _period_fault(first: date, end: date | None) -> tuple[str, str] | None:
    if end is not None and end <= first:
        return (f"effective_to {end} is not after effective_from {first}", "effective_to is the first day without it")
    return None


def _overlap(row: Price, other: Price) -> bool:
    return (other.effective_to is None or row.effective_from < other.effective_to) and (
        row.effective_to is None or other.effective_from < row.effective_to
    )


def _read_limits(reading: _Reading, file: str, located: Sequence[_Located]) -> None:
    for where, table in _tables(reading, located, _LimitTable):
        if table.amount <= 0:
            reading.problem(where, f"amount is {table.amount}", "a limit is above 0")
        elif found := _period_fault(table.effective_from, table.effective_to):
            reading.problem(where, *found)
        else:
            reading.limits.append(Limit(**msgspec.structs.asdict(table), file=file))
