"""What a plan keeps of a folder of BPMN files, and what is built from it again: ``Frozen`` as bytes, ``Frame`` to work with.

``Frozen`` holds every node, flow and followed call, every template and the table, and every document with its wave and
key. A ``Frame`` is made from it alone; the same bytes give the same frame. Frames are kept by their bytes, because each
turn of a worker asks again.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

import msgspec
import zstandard

from lowtide.request import KEY_LENGTH_MAX, KIND_LENGTH_MAX, RequestKey
from lowtide.workloads.bpmn.documents import DocumentTable
from lowtide.workloads.bpmn.hierarchy import Forest, Planned, documented_below
from lowtide.workloads.bpmn.model import Model
from lowtide.workloads.bpmn.places import INDEX_NAME, Places
from lowtide.workloads.bpmn.prompts import Prompts, Quoted
from lowtide.workloads.bpmn.views import Views
from lowtide.workloads.bpmn.words import Words, read_words

FORMAT: Final = 1
FORMAT_DIVIDED: Final = 2  # with parts, which a program that knows the first alone would take for whole documents
PART: Final = ".part"  # ends the kind of a part's request; no document of a table has a dot in its name
WORDS_FILE: Final = "words.toml"
FRAMES_KEPT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Everything later waves and delivery need. ``planned`` and ``keys`` run in parallel, in file and node order.

    ``targets`` are (caller, called) and ``cycles`` the members of each circle of calls, as indices of nodes.
    """

    format: int = FORMAT
    model: str
    language: str
    strict: bool
    table: DocumentTable
    templates: Mapping[str, str]
    models: tuple[Model, ...]
    targets: tuple[tuple[int, int], ...]
    cycles: tuple[tuple[int, ...], ...]
    planned: tuple[Planned, ...]
    keys: tuple[RequestKey, ...]


def freeze(frozen: Frozen) -> bytes:
    """Encode, the same value always to the same bytes."""
    packed = msgspec.msgpack.encode(frozen, order="deterministic")
    return zstandard.ZstdCompressor(level=9).compress(packed)


def thaw(content: bytes) -> Frozen:
    """Decode what ``freeze`` made."""
    frozen = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(content), type=Frozen)
    assert frozen.format in (FORMAT, FORMAT_DIVIDED), (
        f"the plan's description has format {frozen.format}, this program reads {FORMAT} and {FORMAT_DIVIDED}"
    )
    return frozen


@lru_cache(maxsize=FRAMES_KEPT)
def frame_of(content: bytes) -> "Frame":
    """Give the frame of these bytes, built once."""
    return Frame(thaw(content))


def name_keys(models: Sequence[Model], planned: Sequence[Planned], table: DocumentTable) -> tuple[RequestKey, ...]:
    """Name each document ``{file}:{node}:{document type}``: unique, printable, at most ``KEY_LENGTH_MAX`` characters.

    A part of one is ``{file}:{node}:{document type}.part-1``. What is too long is cut and ends in a hash of the whole; what is not unique gets one too.
    """
    places = [(model.file, node.id) for model in models for node in model.nodes]
    taken: set[str] = set()
    keys = []
    for document in planned:
        file, node = places[document.node]
        slug = name_of(document, table)
        whole = f"{file}:{node}:{slug}"
        key = _fitting(whole, slug=slug)
        turn = 1
        while key in taken:
            turn += 1
            key = _fitting(f"{whole}~{turn}", slug=slug, force_hash=True)
        taken.add(key)
        keys.append(RequestKey(key))
    return tuple(keys)


def name_of(document: Planned, table: DocumentTable) -> str:
    """Name a document among those of its node: its type, and which part of it."""
    slug = table.types[document.row].slug
    return f"{slug}{PART}-{document.part}" if document.part else slug


def kind_of(document: Planned, table: DocumentTable) -> str:
    """Name what a document is asked for as: parts are learned about apart from whole documents.

    A long name is cut and ends in a hash of the whole: what two tables call alike is one kind, and no two of a table are.
    """
    slug = table.types[document.row].slug
    if not document.part:
        return slug
    if len(slug) + len(PART) > KIND_LENGTH_MAX:
        mark = f"~{hashlib.sha256(slug.encode()).hexdigest()[:8]}"
        slug = slug[: KIND_LENGTH_MAX - len(PART) - len(mark)] + mark
    return f"{slug}{PART}"


def _fitting(whole: str, *, slug: str, force_hash: bool = False) -> str:
    printable = "".join(character if character.isprintable() else "_" for character in whole)
    if printable == whole and len(whole) <= KEY_LENGTH_MAX and not force_hash:
        return whole
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    tail = f"~{mark}:{slug}"
    return printable[: KEY_LENGTH_MAX - len(tail)].removesuffix(f":{slug}") + tail


class Frame:
    """A frozen folder, ready to be asked: forest, prompts, places, and every document by wave and by key."""

    __slots__ = (
        "_below",
        "_by_wave",
        "_numbers",
        "_parts",
        "_places",
        "_rows",
        "forest",
        "frozen",
        "number_of",
        "prompts",
        "views",
        "words",
    )

    def __init__(self, frozen: Frozen) -> None:
        self.frozen = frozen
        self.forest = Forest(frozen.models, dict(frozen.targets))
        for cycle in frozen.cycles:
            self.forest.cycles.update(dict.fromkeys(cycle, cycle))
        words = read_words(frozen.templates[WORDS_FILE], file=WORDS_FILE)
        assert isinstance(words, Words), "words are checked before they are frozen"
        self.words = words
        self.views = Views(self.forest, words)
        self.prompts = Prompts(
            templates=frozen.templates, words=words, table=frozen.table, forest=self.forest, views=self.views
        )
        self.number_of: Mapping[RequestKey, int] = {key: number for number, key in enumerate(frozen.keys)}
        self._rows: list[list[int]] = [[] for _ in self.forest.nodes]
        self._numbers: dict[tuple[int, int], int] = {}
        self._by_wave: list[list[int]] = [[] for _ in range(self.waves)]
        self._parts: dict[tuple[int, int], list[int]] = {}
        for number, document in enumerate(frozen.planned):
            place = document.node, document.row
            if document.part:
                self._parts.setdefault(place, []).append(number)
            else:
                self._rows[document.node].append(document.row)
                self._numbers[place] = number
            self._by_wave[document.wave].append(number)
        self._below: tuple[int, list[int]] = (-1, [])
        self._places: Places | None = None

    @property
    def waves(self) -> int:
        """Count the waves."""
        return 1 + max((document.wave for document in self.frozen.planned), default=0)

    def numbers_of(self, wave: int) -> Sequence[int]:
        """Give the numbers of a wave's documents, in file and node order."""
        return self._by_wave[wave]

    def quoted(self, number: int) -> list[Quoted]:
        """Give the documents that this one quotes, in the order of the model: its parts, where it is divided."""
        document = self.frozen.planned[number]
        if document.parts and not document.part:
            return [self._quoted_part(part) for part in self._parts[document.node, document.row]]
        quoted = self._quoted_below(document)
        return quoted[document.first : document.last] if document.part else quoted

    def undivided(self, number: int) -> list[RequestKey]:
        """Give the documents that a divided one, or that of a part, would quote undivided; none for any other."""
        document = self.frozen.planned[number]
        return [quote.key for quote in self._quoted_below(document)] if document.parts else []

    def title_of(self, number: int) -> str:
        """Name a document in words, without its node."""
        document = self.frozen.planned[number]
        title = self.words.title_of(self.frozen.table.types[document.row].slug)
        return self.words.part_of_title(title, document.part, document.parts) if document.part else title

    def _quoted_part(self, number: int) -> Quoted:
        document = self.frozen.planned[number]
        return Quoted(
            key=self.frozen.keys[number],
            title=self.views.title(document.node),
            kind=self.views.kind(document.node),
            document=self.title_of(number),
            max_output_tokens=self.frozen.table.types[document.row].max_output_tokens,
            slug=kind_of(document, self.frozen.table),
            node=document.node,
        )

    def _quoted_below(self, document: Planned) -> list[Quoted]:
        kind = self.frozen.table.types[document.row]
        quoted = []
        for child in self._documented_below(document.node):
            for row in self._rows[child]:
                other = self.frozen.table.types[row]
                if kind.is_quoting(other.slug):
                    quoted.append(
                        Quoted(
                            key=self._key_of(child, row),
                            title=self.views.title(child),
                            kind=self.views.kind(child),
                            document=self.words.title_of(other.slug),
                            max_output_tokens=other.max_output_tokens,
                            slug=other.slug,
                            node=child,
                        )
                    )
        return quoted

    def documents_of(self, node: int) -> Iterable[int]:
        """Give the numbers of a node's documents, each with its parts behind it."""
        for row in self._rows[node]:
            yield self._numbers[node, row]
            yield from self._parts.get((node, row), ())

    def place_of(self, key: RequestKey) -> PurePosixPath:
        """Decide where a document goes, below OUT (promise 10).

        Raises: KeyError for a key that is not of this plan.
        """
        return self._all_places().path(*self._name_of(self.number_of[key]))

    def index_place(self, file: int) -> PurePosixPath:
        """Decide where the page of a file goes."""
        return self._all_places().path(*self.frozen.models[file].file.split("/")) / INDEX_NAME

    def _documented_below(self, node: int) -> list[int]:
        if self._below[0] != node:
            self._below = (node, documented_below(self.forest, self._rows, node))
        return self._below[1]

    def _key_of(self, node: int, row: int) -> RequestKey:
        return self.frozen.keys[self._numbers[node, row]]

    def _all_places(self) -> Places:
        if self._places is None:
            self._places = Places(self._name_of(number) for number in range(len(self.frozen.planned)))
        return self._places

    def _name_of(self, number: int) -> tuple[str, ...]:
        document = self.frozen.planned[number]
        file = self.frozen.models[self.forest.file_of[document.node]].file
        name = name_of(document, self.frozen.table)
        return (*file.split("/"), self.forest.nodes[document.node].id, f"{name}.md")
