"""The Protocol of a workload: a source of requests in waves, and a place for each result.

A workload reads its input once, at plan time, and turns it into a ``Scope``: everything later waves and delivery need,
as bytes that are kept in the plan. From then on it is pure: a worker started later needs the store and the installed
workload, not the input folder (promise 5). It opens nothing but the input at plan time and never looks at a clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from lowtide.errors import Problem
from lowtide.request import Request, RequestKey
from lowtide.usage import Usage

_ASCII = bytes(range(128))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptThreshold:
    """From how many ``tokens`` on a prompt has a higher price, and how a text's tokens are guessed from its bytes.

    ``ascii_bytes`` and ``other_bytes`` are the UTF-8 bytes that a hundred tokens have in ASCII and outside it.
    """

    tokens: int
    ascii_bytes: int
    other_bytes: int

    def tokens_of(self, text: str) -> int:
        """Guess the tokens of a text."""
        content = text.encode("utf-8", "surrogatepass")
        other = 0 if text.isascii() else len(content.translate(None, _ASCII))
        return (len(content) - other) * 100 // self.ascii_bytes + other * 100 // self.other_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """What the user chose for reading the input; each workload says which it uses.

    ``templates`` is a folder or a file that replaces the shipped templates, ``documents`` a file that replaces the table
    node kind -> documents, ``key_column`` the column that holds a row's key, ``strict`` blocks a parent whose child
    failed, ``max_output_tokens`` bounds a row's answer. ``provider`` is asked for everything; empty: whoever sells the model.
    ``model_said`` is false where ``model`` is only the settings': what the input names then comes before it.
    ``threshold`` is the model's, ``None`` where it has none; ``split`` divides requests whose prompts could pass it.
    """

    model: str = ""
    model_said: bool = True
    language: str = "en"
    templates: Path | None = None
    documents: Path | None = None
    key_column: str = ""
    max_output_tokens: int | None = None
    strict: bool = False
    provider: str = ""
    threshold: PromptThreshold | None = None
    split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """Answers of one kind that requests of a later wave quote: how many (one that two quote is two), the sum of their limits."""

    kind: str
    answers: int
    tokens_ceiling: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterWave:
    """What is known at plan time of a wave whose bodies do not exist yet.

    ``requests`` is exact. ``input_bytes_likely`` and ``input_bytes_ceiling`` bound the sum of their body bytes, children's
    texts included at the likely and at the largest length their limits allow; ``output_tokens_ceiling`` sums their
    limits. All are totals over the wave, per kind. ``quoted_bytes_likely`` is the part of the likely bytes that is quoted
    from ``quotes``: where the lengths of such answers are known, those take its place. Both may be left empty.
    ``input_bytes_longest`` is the largest ceiling of one of them, 0 where that is not known. ``key`` names the request
    where this is one alone, because its prompt could come near the model's ``PromptThreshold``.
    """

    kind: str
    requests: int
    input_bytes_likely: int
    input_bytes_ceiling: int
    output_tokens_ceiling: int
    quoted_bytes_likely: int = 0
    quotes: tuple[Quotes, ...] = ()
    input_bytes_longest: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the plan keeps of a workload: its name, its own frozen description, how many waves it has.

    ``frozen`` holds every node, edge and template, in the workload's own encoding; ``later`` has one tuple a wave after
    the first.
    """

    workload: str
    frozen: bytes
    waves: int
    later: tuple[tuple[LaterWave, ...], ...] = ()
    title: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The finished text of one request, or why there is none (``text`` is ``None``, ``reason`` says why)."""

    text: str | None
    reason: str = ""


class Answers(Protocol):
    """Finished answers by key, looked up one by one so that they need not all be in memory."""

    def get(self, key: RequestKey) -> Answer | None:
        """Give the answer of ``key``, or ``None`` when that request is not finished."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One finished request, as delivery needs it. ``cost_dollars`` is an exact decimal string, or ``unknown``."""

    key: RequestKey
    kind: str
    model: str
    plan_id: str
    text: str
    stop_reason: str
    usage: Usage
    cost_dollars: str
    simulated: bool
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file to write: a path below OUT that only ``place`` may decide, and its whole text."""

    path: PurePosixPath
    text: str


class Workload(Protocol):
    """A source of requests and a place for results; installed by the entry point group ``lowtide.workloads``."""

    name: str
    goes_on: bool  # whether the rest is planned when a part of the input has problems (a folder with one broken file)
    divides: bool  # whether it can divide a request whose prompt is too long (``WorkloadOptions.split``)

    def accepts(self, source: Path) -> bool:
        """Say whether this path looks like an input of this workload (by its names, cheaply)."""
        ...

    def read(self, source: Path, options: WorkloadOptions) -> "Reading":
        """Open the input; the only method that touches the disk."""
        ...

    def next_wave(self, scope: Scope, wave: int, answers: Answers) -> Iterator[Request]:
        """Make the requests of a later wave (1, 2, ...), in a fixed order. Pure: the same answers give the same bytes."""
        ...

    def place(self, scope: Scope, key: RequestKey) -> PurePosixPath | None:
        """Say where the result of ``key`` goes below OUT, or ``None`` when this workload delivers one results file.

        Promise 10: whoever writes, reads or checks a document asks this function.
        """
        ...

    def document(self, scope: Scope, delivery: Delivery) -> Document:
        """Write one result as a file. Called only when ``place`` gives a path."""
        ...

    def indexes(self, scope: Scope, finished: Mapping[RequestKey, str]) -> Iterable[Document]:
        """Write the pages that list what there is: ``finished`` maps each known key to its outcome name."""
        ...


class Reading(Protocol):
    """An input being read: the first wave's requests as a stream, problems beside it, and the scope at the end."""

    def requests(self) -> Iterator[Request | Problem]:
        """Stream the first wave and every problem in file order. Nothing is kept in memory per request."""
        ...

    def scope(self) -> Scope:
        """Give what the plan keeps; valid after ``requests`` is exhausted."""
        ...

    def digest(self) -> str:
        """Give the SHA-256 (hex) of everything that was read, templates included; valid after ``requests``."""
        ...
