"""The words around a model: names of kinds, documents and outcomes in one language, read from ``words.toml``.

Templates and pages take them from here, so that no language stands in the code.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from lowtide.errors import Problem

_TEXTS = ("language", "unnamed", "and_more", "levels_between", "made_without", "documents", "back", "not_yet", "part")
PART = "{document}, {part} / {parts}"
_TABLES = ("titles", "outcomes", "kinds", "traits", "triggers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language. A word that a table lacks is shown as its slug."""

    language: str
    unnamed: str
    and_more: str
    levels_between: str
    made_without: str
    documents: str
    back: str
    not_yet: str
    part: str = PART
    titles: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)
    triggers: Mapping[str, str] = field(default_factory=dict)

    def title_of(self, slug: str) -> str:
        """Name a document type."""
        return self.titles.get(slug, slug)

    def part_of_title(self, title: str, part: int, parts: int) -> str:
        """Name a part of a divided document."""
        return self.part.replace("{document}", title).replace("{part}", str(part)).replace("{parts}", str(parts))

    def kind_of(self, kind: str) -> str:
        """Name a kind of node."""
        return self.kinds.get(kind, kind)

    def outcome_of(self, outcome: str) -> str:
        """Name why a document is missing."""
        return self.outcomes.get(outcome, outcome)


def read_words(text: str, *, file: str) -> Words | list[Problem]:
    """Read one language's words, or list what is wrong."""
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [Problem(where=file, what=f"not TOML: {error}")]
    wanted = {name: dict[str, str] if name in _TABLES else str for name in (*_TEXTS, *_TABLES)}
    defaults: dict[str, object] = {"part": PART, **{name: {} for name in _TABLES}}
    problems = []
    for name, shape in wanted.items():
        try:
            msgspec.convert(read.get(name, defaults.get(name)), shape)
        except msgspec.ValidationError:
            what = "must be a table of texts" if name in _TABLES else "must be a text"
            problems.append(Problem(where=f"{file}: {name}", what=what))
    return problems or msgspec.convert(read, Words)
