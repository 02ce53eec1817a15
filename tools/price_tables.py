"""The shape of a packaged price file: entries, limits and models of one provider become its text. No figure lives here.

Law: the same sheet gives the same bytes; a price names its source, and where it was changed, the name of the correction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

PACKAGE = "genai-prices 0.2.3"
RECORDED_ON = date(2026, 11, 22)
CHECKED_ON = date(2026, 11, 21)

# name, amount, tier, models, from, to, source
LimitRow = tuple[str, int, str, str, date, date | None, str]


@dataclass(slots=True, kw_only=True)
class Entry:
    """One price of one kind over some days. ``at_most`` is the most it can be where its source leaves that open.

    ``imported`` is False where the package has no part in it.
    """

    model: str
    lane: str
    kind: str
    over: int
    amount: Decimal
    first: date
    end: date | None
    source: str
    why: list[str] = field(default_factory=list)
    at_most: Decimal | None = None
    imported: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that one file says: models in the order they are shown in, each a mapping of its fields."""

    provider: str
    title: str
    notes: tuple[str, ...]
    corrections: dict[str, str]
    models: tuple[dict[str, object], ...]
    entries: tuple[Entry, ...]
    limits: tuple[LimitRow, ...]


def render(sheet: Sheet) -> str:
    """Write the whole file."""
    head = [
        f"# {sheet.title} models, prices and limits, by day. Written by tools/import_prices.py: do not edit.",
        "# Prices are dollars per million tokens (web_search: per million searches). Days are UTC; effective_to is the",
        "# first day without the price. A tier (prompt_tokens_over) applies to a whole request and says what differs.",
        "#",
    ]
    head += [f"# {note}" for note in sheet.notes]
    head += [f"#   {name}: {reason}" for name, reason in sheet.corrections.items()]
    tables = [
        *(_model_table(sheet.provider, model) for model in sheet.models),
        *_price_tables(sheet.provider, sheet.entries),
        *_limit_tables(sheet.provider, sheet.limits),
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(tables) + "\n"


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _toml(content: object) -> str:
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, Decimal):
        return _plain(content)
    if isinstance(content, tuple):
        return f"[{', '.join(_toml(each) for each in content)}]"
    return f'"{content}"' if isinstance(content, str) else str(content)


def _model_table(provider: str, model: dict[str, object]) -> str:
    known = {name: content for name, content in model.items() if content not in (None, "", ())}
    lines = ["[[model]]", f'provider = "{provider}"', *(f"{name} = {_toml(known[name])}" for name in known)]
    return "\n".join(lines)


def _price_tables(provider: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Prices of the same days, lane, tier and source in one table."""
    groups: dict[tuple[str, str, int, date, date | None, str], list[Entry]] = {}
    for entry in entries:
        key = (entry.model, entry.lane, entry.over, entry.first, entry.end, entry.source)
        groups.setdefault(key, []).append(entry)
    for (model, lane, over, first, end, source), group in groups.items():
        lines = ["[[price]]", f'provider = "{provider}"', f'model = "{model}"', f'lane = "{lane}"']
        lines += [f"prompt_tokens_over = {over}"] if over else []
        lines.append(f"effective_from = {first}")
        lines += [f"effective_to = {end}"] if end else []
        lines += [f"{entry.kind} = {_plain(entry.amount)}" for entry in group]
        bounds = [f"{entry.kind} = {_plain(entry.at_most)}" for entry in group if entry.at_most is not None]
        lines += [f"at_most = {{ {', '.join(bounds)} }}"] if bounds else []
        why = sorted({name for entry in group for name in entry.why})
        corrected = f"corrected: {', '.join(why)}" if why else ""
        package = PACKAGE if any(entry.imported for entry in group) else ""
        beside = "; ".join(part for part in (package, corrected) if part)
        lines += [f'source = "{source} ({beside})"' if beside else f'source = "{source}"']
        lines += [f"recorded_on = {RECORDED_ON}", f"checked_on = {CHECKED_ON}"]
        yield "\n".join(lines)


def _limit_tables(provider: str, limits: Sequence[LimitRow]) -> Iterator[str]:
    for name, amount, tier, models, first, end, source in limits:
        lines = ["[[limit]]", f'provider = "{provider}"', f'name = "{name}"', f"amount = {amount}"]
        lines += [f'tier = "{tier}"'] if tier else []
        lines += [f'models = "{models}"'] if models else []
        lines += [f"effective_from = {first}"]
        lines += [f"effective_to = {end}"] if end else []
        lines += [f'source = "{source}"', f"checked_on = {CHECKED_ON}"]
        yield "\n".join(lines)
