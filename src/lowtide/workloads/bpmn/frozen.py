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

from lowtide.request import KEY_LENGTH_MAX, RequestKey
from lowtide.workloads.bpmn.documents import DocumentTable
from lowtide.workloads.bpmn.hierarchy import Forest, Planned, documented_below
from lowtide.workloads.bpmn.model import Model
from lowtide.workloads.bpmn.places import INDEX_NAME, Places
from lowtide.workloads.bpmn.prompts import Prompts, Quoted
from lowtide.workloads.bpmn.views import Views
from lowtide.workloads.bpmn.words import Words, read_words

FORMAT: Final = 1
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
    assert frozen.format == FORMAT, f"the plan's description has format {frozen.format}, this program reads {FORMAT}"
    return frozen


@lru_cache(maxsize=FRAMES_KEPT)
def frame_of(content: bytes) -> "Frame":
    """Give the frame of these bytes, built once."""
    return Frame(thaw(content))


def name_keys(models: Sequence[Model], planned: Sequence[Planned], table: DocumentTable) -> tuple[RequestKey, ...]:
    """Name each document ``{file}:{node}:{document type}``: unique, printable, at most ``KEY_LENGTH_MAX`` characters.

    What is too long is cut and ends in a hash of the whole; what is not unique gets one too.
    """
    places = [(model.file, node.id) for model in models for node in model.nodes]
    taken: set[str] = set()
    keys = []
    for document in planned:
        file, node = places[document.node]
        slug = table.types[document.row].slug
        whole = f"{file}:{node}:{slug}"
        key = _fitting(whole, slug=slug)
        turn = 1
        while key in taken:
            turn += 1
            key = _fitting(f"{whole}~{turn}", slug=slug, force_hash=True)
        taken.add(key)
        keys.append(RequestKey(key))
    return tuple(keys)


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
        for number, document in enumerate(frozen.planned):
            self._rows[document.node].append(document.row)
            self._numbers[document.node, document.row] = number
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
        """Give the documents that this one quotes, in the order of the model."""
        document = self.frozen.planned[number]
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
                        )
                    )
        return quoted

    def documents_of(self, node: int) -> Iterable[tuple[int, RequestKey]]:
        """Give (row, key) of a node's documents."""
        return ((row, self._key_of(node, row)) for row in self._rows[node])

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
        slug = self.frozen.table.types[document.row].slug
        return (*file.split("/"), self.forest.nodes[document.node].id, f"{slug}.md")
