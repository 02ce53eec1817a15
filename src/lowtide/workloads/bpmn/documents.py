"""The table node kind -> documents, as data: read from TOML, checked whole, asked with a node's kind and ways out.

The shipped table is ``documents.toml``; the user's file replaces it. Nothing here opens a file.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lowtide.errors import Problem
from lowtide.workloads.bpmn.model import NodeKind

QUOTED_BYTES_MAX: Final = 400_000
"""Bytes of children's texts that one prompt quotes at most, unless the table says otherwise."""

OUTPUT_TOKENS_MAX: Final = 300_000
"""Largest output limit that a table may name; no model answers more (checked 2026-11-21, batch beta header)."""

DOCUMENT_TYPES_MAX: Final = 50

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,39}")
_KINDS = frozenset(NodeKind)
_FIELDS = frozenset({"max_output_tokens", "nodes", "decisions", "quotes", "template"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType:
    """One row of the table; ``slug`` ends the key. ``quotes`` are slugs, ``None`` for all."""

    slug: str
    template: str
    max_output_tokens: int
    nodes: frozenset[NodeKind]
    decisions: frozenset[NodeKind] = frozenset()
    quotes: frozenset[str] | None = None

    def is_for(self, kind: NodeKind, *, ways_out: int) -> bool:
        """Say whether a node of ``kind`` with so many outgoing flows gets this document."""
        return kind in self.nodes or (ways_out > 1 and kind in self.decisions)

    def is_quoting(self, slug: str) -> bool:
        """Say whether its prompt quotes a child's document of type ``slug``."""
        return self.quotes is None or slug in self.quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTable:
    """All document types in the order of the file, and the limit on quoted text."""

    types: tuple[DocumentType, ...]
    quoted_bytes_max: int = QUOTED_BYTES_MAX


def read_table(content: bytes, *, file: str) -> DocumentTable | list[Problem]:
    """Read a table, or list everything that is wrong with it."""
    try:
        read = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return [Problem(where=file, what="not UTF-8", hint="save it as UTF-8")]
    except tomllib.TOMLDecodeError as error:
        return [Problem(where=file, what=f"not TOML: {error}")]
    problems = [
        Problem(where=f"{file}: {name}", what="unknown part", hint="the parts are [limits] and [documents.NAME]")
        for name in read
        if name not in ("limits", "documents")
    ]
    limit = _limit(read.get("limits", {}), file=file, problems=problems)
    rows = read.get("documents")
    if not isinstance(rows, dict) or not rows:
        problems.append(Problem(where=file, what="names no documents", hint="write at least one [documents.NAME]"))
        return problems
    if len(rows) > DOCUMENT_TYPES_MAX:
        problems.append(Problem(where=file, what=f"{len(rows)} documents; {DOCUMENT_TYPES_MAX} are the most"))
    types = tuple(_row(slug, row, slugs=rows, file=file, problems=problems) for slug, row in rows.items())
    return problems or DocumentTable(types=types, quoted_bytes_max=limit)


def _limit(limits: object, *, file: str, problems: list[Problem]) -> int:
    if not isinstance(limits, dict):
        problems.append(Problem(where=f"{file}: limits", what="must be a table"))
        return QUOTED_BYTES_MAX
    for name in limits.keys() - {"quoted_bytes_max"}:
        hint = "the only limit is quoted_bytes_max"
        problems.append(Problem(where=f"{file}: limits.{name}", what="unknown limit", hint=hint))
    value = limits.get("quoted_bytes_max", QUOTED_BYTES_MAX)
    if type(value) is not int or value < 0:
        what = f"must be a whole number of bytes, not {value!r}"
        problems.append(Problem(where=f"{file}: limits.quoted_bytes_max", what=what))
        return QUOTED_BYTES_MAX
    return value


def _row(slug: str, row: object, *, slugs: Mapping[str, object], file: str, problems: list[Problem]) -> DocumentType:
    where = f"{file}: documents.{slug}"
    if not _SLUG.fullmatch(slug):
        hint = "lower-case letters, digits and hyphens, at most 40, a letter first"
        problems.append(Problem(where=where, what="is no good name for a document", hint=hint))
    fields: Mapping[str, object] = row if isinstance(row, dict) else {}
    if not isinstance(row, dict):
        problems.append(Problem(where=where, what="must be a table"))
    for name in fields.keys() - _FIELDS:
        problems.append(Problem(where=f"{where}.{name}", what="unknown field", hint=", ".join(sorted(_FIELDS))))
    tokens = fields.get("max_output_tokens")
    if type(tokens) is not int or not 0 < tokens <= OUTPUT_TOKENS_MAX:
        what = f"must be a whole number from 1 to {OUTPUT_TOKENS_MAX:,}, not {tokens!r}"
        problems.append(Problem(where=f"{where}.max_output_tokens", what=what))
        tokens = 1
    assert isinstance(tokens, int), "checked just above"
    nodes = _kinds(fields.get("nodes", []), where=f"{where}.nodes", problems=problems)
    decisions = _kinds(fields.get("decisions", []), where=f"{where}.decisions", problems=problems)
    if isinstance(row, dict) and not fields.get("nodes") and not fields.get("decisions"):
        problems.append(Problem(where=where, what="is for no node", hint="name kinds in nodes or decisions"))
    template = fields.get("template", f"{slug}.md.j2")
    if not isinstance(template, str) or "/" in template or "\\" in template or not template:
        problems.append(Problem(where=f"{where}.template", what=f"must be a file name, not {template!r}"))
        template = ""
    quotes = _quotes(fields.get("quotes"), slugs=slugs, where=f"{where}.quotes", problems=problems)
    return DocumentType(
        slug=slug, template=template, max_output_tokens=tokens, nodes=nodes, decisions=decisions, quotes=quotes
    )


def _kinds(value: object, *, where: str, problems: list[Problem]) -> frozenset[NodeKind]:
    if not isinstance(value, list):
        problems.append(Problem(where=where, what="must be a list of node kinds"))
        return frozenset()
    for name in value:
        if name not in _KINDS:
            hint = f"the kinds are {', '.join(sorted(_KINDS))}"
            problems.append(Problem(where=where, what=f"{name!r} is no kind of node", hint=hint))
    return frozenset(NodeKind(name) for name in value if name in _KINDS)


def _quotes(
    value: object, *, slugs: Mapping[str, object], where: str, problems: list[Problem]
) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        problems.append(Problem(where=where, what="must be a list of document names"))
        return None
    for name in value:
        if not isinstance(name, str) or name not in slugs:
            what = f"{name!r} is no document of this table"
            problems.append(Problem(where=where, what=what, hint=f"there are {', '.join(slugs)}"))
    return frozenset(name for name in value if isinstance(name, str))
