"""The disk at plan time: which files belong to an input, their bytes, and templates, words and table in one language.

The only file of this workload that opens anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import jinja2

from lowtide.errors import Problem
from lowtide.workload import WorkloadOptions
from lowtide.workloads.bpmn.documents import DocumentTable, read_table
from lowtide.workloads.bpmn.frozen import WORDS_FILE
from lowtide.workloads.bpmn.prompts import DIVIDING_TEMPLATES, SHARED_TEMPLATES, environment
from lowtide.workloads.bpmn.words import read_words
from lowtide.workloads.lines import unreadable

ENDINGS: Final = (".bpmn", ".bpmn20.xml", ".bpmn2")
_PACKAGE = "lowtide.workloads.bpmn"
_TEMPLATES = "templates"


def is_bpmn(path: Path) -> bool:
    """Say whether a file's name is that of a BPMN file."""
    return path.name.lower().endswith(ENDINGS)


def bpmn_files(source: Path) -> Iterator[tuple[str, Path]]:
    """Give the name (path below the folder, forward slashes) and the place of each BPMN file, sorted by name.

    Hidden files and folders are left out. A file given by itself goes by its own name.
    """
    if source.is_file():
        yield _label(source.name), source
        return
    found = []
    for path in source.rglob("*"):
        below = path.relative_to(source)
        if is_bpmn(path) and not any(part.startswith(".") for part in below.parts) and path.is_file():
            found.append((_label(below.as_posix()), path))
    seen: dict[str, int] = {}
    for label, path in sorted(found):
        seen[label] = seen.get(label, 0) + 1
        yield (label if seen[label] == 1 else f"{label}~{seen[label]}"), path


def _label(name: str) -> str:
    """Make a name printable in UTF-8 even where the file system holds other bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def demo_folder() -> Path:
    """Give the folder of real models that comes with lowtide; its SOURCES.md says where each is from."""
    return Path(__file__).parent / "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Table and templates of one plan: everything that is not the models."""

    table: DocumentTable
    templates: Mapping[str, str]
    content: bytes
    """All bytes that were read for it, in a fixed order, for the digest."""


def read_setting(options: WorkloadOptions) -> Setting | list[Problem]:
    """Read the table, the templates and the words that the options name, or list everything that is wrong."""
    problems: list[Problem] = []
    table_bytes = _table_bytes(options.documents, problems)
    table = (
        read_table(table_bytes, file=str(options.documents or "documents.toml")) if table_bytes is not None else None
    )
    if isinstance(table, list):
        problems.extend(table)
    templates = _templates(options, problems)
    if templates is not None:
        known = table if isinstance(table, DocumentTable) else None
        problems.extend(_template_problems(templates, known, dividing=options.split))
    if problems:
        return problems
    assert isinstance(table, DocumentTable), "a table without problems was read"
    assert templates is not None, "templates without problems were read"
    assert table_bytes is not None, "a table without problems was read"
    parts = [table_bytes, *(f"{name}\0{text}\0".encode() for name, text in sorted(templates.items()))]
    return Setting(table=table, templates=templates, content=b"\0".join(parts))


def languages() -> list[str]:
    """Give the languages that come with lowtide."""
    folder = resources.files(_PACKAGE) / _TEMPLATES
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("_"))


def _table_bytes(path: Path | None, problems: list[Problem]) -> bytes | None:
    if path is None:
        return (resources.files(_PACKAGE) / "documents.toml").read_bytes()
    try:
        return path.read_bytes()
    except OSError as error:
        problems.append(Problem(where=str(path), what=unreadable(error)))
        return None


def _templates(options: WorkloadOptions, problems: list[Problem]) -> dict[str, str] | None:
    """Give the shipped templates of the language, each replaced by the user's file of the same name."""
    language = options.language
    shipped = languages()
    found: dict[str, str] = {}
    if language in shipped:
        folder = resources.files(_PACKAGE) / _TEMPLATES / language
        found.update({entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.is_file()})
    own = _own_templates(options, problems)
    if own is None:
        return None
    found.update(own)
    if not found:
        known = ", ".join(sorted({*shipped, *_own_languages(options.templates)}))
        hint = f"there are {known}; give your own with --templates FOLDER"
        problems.append(Problem(where=f"--language {language}", what="no templates in this language", hint=hint))
        return None
    return found


def _own_templates(options: WorkloadOptions, problems: list[Problem]) -> dict[str, str] | None:
    folder = options.templates
    if folder is None:
        return {}
    if not folder.is_dir():
        problems.append(Problem(where=str(folder), what="is no folder of templates"))
        return None
    by_language = folder / options.language
    is_name = "/" not in options.language and "\\" not in options.language and options.language not in ("", ".", "..")
    chosen = by_language if is_name and by_language.is_dir() else folder
    found = {}
    for path in sorted(chosen.iterdir()):
        if path.is_file() and (path.suffix == ".j2" or path.name == WORDS_FILE):
            try:
                found[path.name] = path.read_text(encoding="utf-8-sig")
            except OSError as error:
                problems.append(Problem(where=str(path), what=unreadable(error)))
            except UnicodeDecodeError:
                problems.append(Problem(where=str(path), what="not UTF-8", hint="save it as UTF-8"))
    return found


def _own_languages(folder: Path | None) -> list[str]:
    if folder is None or not folder.is_dir():
        return []
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and (entry / WORDS_FILE).is_file()]


def _template_problems(
    templates: Mapping[str, str], table: DocumentTable | None, *, dividing: bool
) -> Iterator[Problem]:
    shared = (*SHARED_TEMPLATES, *DIVIDING_TEMPLATES) if dividing else SHARED_TEMPLATES
    wanted = [WORDS_FILE, *shared, *(row.template for row in (table.types if table else ()))]
    for name in dict.fromkeys(wanted):
        if name and name not in templates:
            hint = "put the file into the templates folder"
            yield Problem(where=name, what="this template is missing", hint=hint)
    sandbox = environment(templates)
    for name, text in sorted(templates.items()):
        if name == WORDS_FILE:
            words = read_words(text, file=name)
            if isinstance(words, list):
                yield from words
            continue
        try:
            sandbox.parse(text)
        except jinja2.TemplateSyntaxError as error:
            yield Problem(where=f"{name}:{error.lineno}", what=f"template: {error.message}")
