"""Templates and a forest become prompts: the part all share, the part a file shares, and the node's own.

Templates are Jinja2 in a sandbox, given as texts; nothing here opens a file. A child's document is not there when a plan
is made, so a prompt is rendered with a mark in its place and filled later: what stands around the marks is exact at once,
and each mark has a ceiling that the filling keeps. So the plan's bounds hold whatever the templates do.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lowtide.errors import Problem
from lowtide.request import RequestKey
from lowtide.workload import Answer
from lowtide.workloads.bpmn.documents import DocumentTable
from lowtide.workloads.bpmn.hierarchy import Forest, Planned
from lowtide.workloads.bpmn.model import NOWHERE
from lowtide.workloads.bpmn.views import VIEW_FIELDS, Listing, QuoteView, Views
from lowtide.workloads.bpmn.words import Words

OVERVIEW_BYTES_MAX: Final = 60_000
"""Most bytes of a file's overview (about 15,000 tokens); deeper elements are left out first."""

OVERVIEWS_KEPT: Final = 16
"""How many files' overviews are kept at once; requests come file by file."""

CEILING_BYTES_PER_TOKEN: Final = 12
LIKELY_BYTES_PER_TOKEN: Final = 4
LIKELY_SHARE_PERCENT: Final = 60
"""What a child's text is taken to need before it exists: at most 12 bytes for each token of its limit (longer ones are
shortened), likely 60% of its limit at 4 bytes a token."""

GAP_BYTES_MAX: Final = 1_000
"""Room that even the smallest child's text is given, so that a gap can be named in it."""

REASON_CHARS_MAX: Final = 300
QUOTED_DOCUMENTS_MAX: Final = 1_000

SHARED_TEMPLATES: Final = ("system.md.j2", "overview.md.j2", "gap.md.j2", "shortened.md.j2")
DIVIDING_TEMPLATES: Final = ("part.md.j2", "whole.md.j2")
"""What is said behind the prompt of a part, and of a document that quotes its parts; only dividing needs them."""

_MARK = re.compile("\ufdd0([0-9]+)\ufdd1")


class TemplateFailed(Exception):
    """A template cannot be rendered. Carried to the reading, which makes a ``Problem`` of it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """A document that a prompt quotes: its key, the node and document it is of, and its limits in bytes."""

    key: RequestKey
    title: str
    kind: str
    document: str
    max_output_tokens: int
    slug: str = ""
    node: int = NOWHERE

    @property
    def bytes_ceiling(self) -> int:
        """Most bytes that are quoted of it."""
        return max(GAP_BYTES_MAX, self.max_output_tokens * CEILING_BYTES_PER_TOKEN)

    @property
    def bytes_likely(self) -> int:
        """Bytes that it will likely have."""
        return self.max_output_tokens * LIKELY_BYTES_PER_TOKEN * LIKELY_SHARE_PERCENT // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A rendered prompt: text around marks, and for each mark the number of the quoted document it stands for."""

    parts: tuple[str, ...]
    marks: tuple[int, ...]
    quoted: tuple[Quoted, ...]
    quoted_bytes_max: int

    @property
    def bytes_fixed(self) -> int:
        """Bytes of what stands around the marks."""
        return sum(len(part.encode()) for part in self.parts)

    @property
    def bytes_ceiling(self) -> int:
        """Most bytes the filled prompt can have."""
        quoted = sum(self.quoted[number].bytes_ceiling for number in self.marks)
        return self.bytes_fixed + min(quoted, self.quoted_bytes_max)

    @property
    def quoted_bytes_likely(self) -> int:
        """Bytes that are likely quoted."""
        return min(sum(self.quoted[number].bytes_likely for number in self.marks), self.quoted_bytes_max)

    @property
    def bytes_likely(self) -> int:
        """Bytes that the filled prompt will likely have."""
        return self.bytes_fixed + self.quoted_bytes_likely


class Prompts:
    """Renders with one set of templates and one language.

    Raises: TemplateFailed from every rendering, when a template is wrong.
    """

    __slots__ = ("_environment", "_forest", "_overviews", "_shortened", "_system", "_table", "_views", "_words")

    def __init__(
        self, *, templates: Mapping[str, str], words: Words, table: DocumentTable, forest: Forest, views: Views
    ) -> None:
        self._environment = environment(templates)
        self._words = words
        self._table = table
        self._forest = forest
        self._views = views
        self._overviews: dict[int, str] = {}
        self._shortened: set[int] = set()
        self._system = ""

    def check(self) -> None:
        """Render what no draft renders, so that a template that fails is known when the plan is made."""
        self.system()
        self._render("gap.md.j2", title="", kind="", document="", reason="")
        self._render("shortened.md.j2", kept=0, whole=0)

    def check_dividing(self) -> None:
        """Render what a divided document alone needs."""
        for template in DIVIDING_TEMPLATES:
            self._render(template, document="", part=1, parts=2)

    def system(self) -> str:
        """Render the instruction that all requests share."""
        if not self._system:
            self._system = self._render("system.md.j2", language=self._words.language).strip()
        return self._system

    def overview(self, file: int) -> str:
        """Render the overview of one file: the same bytes for every request of that file."""
        if file not in self._overviews:
            if len(self._overviews) >= OVERVIEWS_KEPT:
                self._overviews.pop(next(iter(self._overviews)))
            self._overviews[file] = self._bounded_overview(file)
        return self._overviews[file]

    def draft(self, planned: Planned, quoted: Sequence[Quoted]) -> Draft:
        """Render the prompt of one document, with marks where the documents of its parts will stand."""
        file = self._forest.file_of[planned.node]
        self.overview(file)
        kind = self._table.types[planned.row]
        shown = quoted[:QUOTED_DOCUMENTS_MAX]
        quotes = [
            QuoteView(title=quote.title, kind=quote.kind, document=quote.document, text=f"\ufdd0{number}\ufdd1")
            for number, quote in enumerate(shown)
        ]
        view = self._views.node(
            planned.node, quotes=Listing(quotes, len(quoted) - len(shown)), with_contents=file in self._shortened
        )
        text = self._render(
            kind.template,
            node=view,
            document=self._words.title_of(kind.slug),
            tokens=kind.max_output_tokens,
            language=self._words.language,
        )
        if planned.parts:
            text += "\n\n" + self._render(
                DIVIDING_TEMPLATES[not planned.part],
                document=self._words.title_of(kind.slug),
                part=planned.part,
                parts=planned.parts,
            )
        pieces = _MARK.split(text)
        marks = tuple(int(number) for number in pieces[1::2])
        if not text.strip() or any(number >= len(shown) for number in marks):
            raise TemplateFailed(Problem(where=kind.template, what="the template gives an empty text"))
        return Draft(
            parts=tuple(pieces[0::2]),
            marks=marks,
            quoted=tuple(shown),
            quoted_bytes_max=self._table.quoted_bytes_max,
        )

    def fill(self, draft: Draft, answer_of: Callable[[RequestKey], Answer]) -> str:
        """Put the finished documents in their places, each within its ceiling, all within the table's limit.

        What is too long is shortened, the longest first, and says so; a document that could not be made is named.
        """
        texts: dict[int, str] = {}
        for number in dict.fromkeys(draft.marks):
            quote = draft.quoted[number]
            answer = answer_of(quote.key)
            texts[number] = self._gap(quote, answer.reason) if answer.text is None else _clean(answer.text)
        sizes = [min(len(texts[number].encode()), draft.quoted[number].bytes_ceiling) for number in draft.marks]
        level = fair_level(sizes, draft.quoted_bytes_max)
        filled = [draft.parts[0]]
        for number, size, part in zip(draft.marks, sizes, draft.parts[1:], strict=True):
            filled.append(self._shorten(texts[number], min(size, level)))
            filled.append(part)
        whole = "".join(filled)
        assert len(whole.encode()) <= draft.bytes_ceiling, "a filled prompt keeps its ceiling (promise 5)"
        return whole

    def _gap(self, quote: Quoted, reason: str) -> str:
        reason = " ".join(reason.split())[:REASON_CHARS_MAX]
        text = self._render("gap.md.j2", title=quote.title, kind=quote.kind, document=quote.document, reason=reason)
        return text.strip()

    def _shorten(self, text: str, bytes_max: int) -> str:
        whole = text.encode()
        if len(whole) <= bytes_max:
            return text
        kept = bytes_max
        for _ in range(3):
            # The note's own length depends on the figures in it; it settles at once, or at a change of digits.
            note = "\n" + self._render("shortened.md.j2", kept=kept, whole=len(whole)).strip()
            kept = max(0, bytes_max - len(note.encode()))
        cut = whole[:kept].decode(errors="ignore")
        return _cut(cut + note, bytes_max)

    def _bounded_overview(self, file: int) -> str:
        start = self._forest.start_of(file)
        entries = [self._views.entry(start + local) for local in range(len(self._forest.models[file].nodes))]
        whole = self._overview_of(file, entries, omitted=0)
        if len(whole.encode()) <= OVERVIEW_BYTES_MAX:
            return whole
        self._shortened.add(file)
        shallow = sorted(range(len(entries)), key=lambda local: (entries[local].level, local))
        low, high = 0, len(entries)
        best = ""
        while low < high:
            middle = (low + high + 1) // 2
            chosen = [entries[local] for local in sorted(shallow[:middle])]
            text = self._overview_of(file, chosen, omitted=len(entries) - middle)
            if len(text.encode()) <= OVERVIEW_BYTES_MAX:
                low, best = middle, text
            else:
                high = middle - 1
        return best or _cut(self._overview_of(file, [], omitted=len(entries)), OVERVIEW_BYTES_MAX)

    def _overview_of(self, file: int, entries: Sequence[object], *, omitted: int) -> str:
        return self._render(
            "overview.md.j2",
            file=self._forest.models[file].file,
            pools=self._views.pools(file),
            entries=entries,
            omitted=omitted,
            messages=self._views.messages(file),
            language=self._words.language,
        )

    def _render(self, template: str, **context: object) -> str:
        try:
            return self._environment.get_template(template).render(context)
        except jinja2.TemplateSyntaxError as error:
            where = f"{error.name or template}:{error.lineno}"
            raise TemplateFailed(Problem(where=where, what=f"template: {error.message}")) from error
        except jinja2.TemplateNotFound as error:
            hint = "put the file into the templates folder"
            problem = Problem(where=template, what=f"the template {error.message} is missing", hint=hint)
            raise TemplateFailed(problem) from error
        except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A filter or an operation that does not fit is the template's fault, not ours.
            raise TemplateFailed(Problem(where=template, what=f"the template fails: {error}")) from error


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, without its long look at the plain values that we hand in ourselves (a third of the time)."""

    def getattr(self, obj: object, attribute: str) -> object:
        if attribute in VIEW_FIELDS.get(type(obj), ()):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)


def environment(templates: Mapping[str, str]) -> jinja2.Environment:
    """Make the sandbox in which prompts are rendered; an unknown name is an error, never an empty text."""
    return _Sandbox(
        loader=jinja2.DictLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        cache_size=100,
    )


def fair_level(sizes: Sequence[int], total_max: int) -> int:
    """Find the largest level L for which the sum of ``min(size, L)`` fits; the whole list fits at its own maximum."""
    left = total_max
    ordered = sorted(sizes)
    for position, size in enumerate(ordered):
        share = left // (len(ordered) - position)
        if size > share:
            return share
        left -= size
    return ordered[-1] if ordered else 0


def _clean(text: str) -> str:
    """Keep a quoted text as it is; only what no UTF-8 can carry is replaced."""
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, bytes_max: int) -> str:
    return text.encode()[:bytes_max].decode(errors="ignore")
