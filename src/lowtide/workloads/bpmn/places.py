"""Where a document lies below OUT: names from any writing system, made safe without two ever becoming one.

Safe means: one path component on Linux, macOS and Windows, at most ``COMPONENT_BYTES_MAX`` bytes, never hidden, never a
way out of OUT. A name that must be changed, and names that a file system without case would confuse, get a short hash
of what they were. Promise 10: ``Places`` is the one function that decides.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

COMPONENT_BYTES_MAX: Final = 120
"""Most bytes of one component; file systems take 255, and tools add endings of their own."""

INDEX_NAME: Final = "index.md"

_HASH_CHARS = 8
# Separators, what Windows refuses, controls, line ends, direction overrides, lone surrogates.
_UNSAFE = re.compile('[/\\\\<>:"|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)


def safe_component(name: str) -> str:
    """Make one safe path component of any text. What is safe already stays as it is; what changes gets a hash."""
    safe = _UNSAFE.sub("_", name)
    safe = safe.strip(" \t\u00a0\u3000").rstrip(". ")
    if safe.startswith("."):
        safe = "_" + safe[1:]
    if _RESERVED.fullmatch(safe):
        safe = "_" + safe
    if safe == name and len(safe.encode()) <= COMPONENT_BYTES_MAX and safe:
        return safe
    return _hashed(safe or "_", name, chars=_HASH_CHARS)


def folded(name: str) -> str:
    """Give the form in which file systems without case, or with one form of accents, compare names."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _hashed(safe: str, name: str, *, chars: int) -> str:
    """Put a hash of ``name`` behind ``safe``, before its ending, cut to the limit at a whole character."""
    mark = "~" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:chars]
    stem, dot, ending = safe.rpartition(".")
    if not dot or not stem or len(ending) > 16 or not ending.isalnum():
        stem, dot, ending = safe, "", ""
    room = COMPONENT_BYTES_MAX - len(mark) - len((dot + ending).encode())
    kept = stem.encode()[:room].decode(errors="ignore").rstrip(". ")
    return f"{kept or '_'}{mark}{dot}{ending}"


class Places:
    """Paths for a set of names, each a tuple of components (folders, then a file). Same set, same paths.

    No two different tuples share a path, none is a folder on the way to another, none is called ``index.md``.
    """

    __slots__ = ("_components",)

    def __init__(self, names: Iterable[tuple[str, ...]]) -> None:
        levels: dict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
        for name in names:
            for depth, component in enumerate(name):
                levels[name[:depth]][component] = None
        self._components: dict[tuple[str, ...], str] = {}
        for parent, components in levels.items():
            for component, safe in _distinct(sorted(components)):
                self._components[(*parent, component)] = safe

    def path(self, *name: str) -> PurePosixPath:
        """Give the path of a name, or of a folder that is part of one.

        Raises: KeyError for a name that was not in the set.
        """
        return PurePosixPath(*(self._components[name[: depth + 1]] for depth in range(len(name))))


def _distinct(components: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give each of these siblings a safe name of its own; all that would be confused get a hash, not only the second."""
    wanted = {component: safe_component(component) for component in components}
    alike: Mapping[str, list[str]] = _grouped(wanted)
    taken = {folded(INDEX_NAME)}
    # First those that nothing disturbs, so that they keep their plain names.
    for fold, group in alike.items():
        if len(group) == 1 and fold not in taken:
            taken.add(fold)
            yield group[0], wanted[group[0]]
            wanted.pop(group[0])
    for component, safe in wanted.items():
        chars = _HASH_CHARS
        unique = _hashed(_UNSAFE.sub("_", safe), component, chars=chars)
        while folded(unique) in taken:
            chars += 4
            assert chars <= 64, "two names share a whole SHA-256"
            unique = _hashed(safe, component, chars=chars)
        taken.add(folded(unique))
        yield component, unique


def _grouped(wanted: Mapping[str, str]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for component, safe in wanted.items():
        groups[folded(safe)].append(component)
    return groups
