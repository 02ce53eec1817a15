"""A file as lines, and the SHA-256 of what was read on the way. The only disk access of the line-wise workloads.

It holds one line at a time and knows nothing of what the lines mean.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lowtide.inputs import LINE_BYTES_MAX

HEAD_BYTES: Final = 65_536
"""How much of a file is looked at to recognise it."""


class HashedLines:
    """Lines of ``path`` as bytes with their endings; feeds every byte to ``digest``.

    A line longer than ``LINE_BYTES_MAX`` comes cut just past that limit, so that the reader can refuse it by name; the
    rest of it is dropped, after being hashed.

    Raises: OSError when the file cannot be read.
    """

    __slots__ = ("_digest", "_path")

    def __init__(self, path: Path, digest: "hashlib._Hash") -> None:
        self._path = path
        self._digest = digest

    def __iter__(self) -> Iterator[bytes]:
        """Read the file from its beginning to its end."""
        with self._path.open("rb") as file:
            while line := file.readline(LINE_BYTES_MAX + 1):
                self._digest.update(line)
                if len(line) > LINE_BYTES_MAX:
                    rest = line
                    while not rest.endswith(b"\n") and (rest := file.readline(1_000_000)):
                        self._digest.update(rest)
                yield line


def head_of(path: Path) -> bytes:
    """Give the first ``HEAD_BYTES`` of a file; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def no_text(path: Path) -> tuple[str, str] | None:
    """Say why a file is no text in UTF-8, as its beginning shows, and what to do; ``None`` when it may be."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None  # whoever reads it says why it cannot be read
    if not head:
        return "the file is empty", "is it the file that was meant?"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is written in UTF-16", "save the file as UTF-8"
    if b"\0" in head:
        return "it holds zero bytes, which no text has", "save the file as UTF-8"
    return None


def unreadable(error: OSError) -> str:
    """Say why a file could not be read, in the system's words."""
    return f"cannot be read: {error.strerror or error}"
