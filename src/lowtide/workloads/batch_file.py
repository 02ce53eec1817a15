"""The batch file: Anthropic's or OpenAI's own batch lines in, one results file out. Bodies pass untouched (promise 9).

The file is read once, line by line; the form ``{"requests": [...]}`` is read whole, up to ``OBJECT_BYTES_MAX``. There
is one wave, no document, and nothing to remember but the name.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lowtide.errors import Problem
from lowtide.inputs import OBJECT_BYTES_MAX, batch_form, batch_lines, batch_object
from lowtide.request import Request
from lowtide.workload import Scope, WorkloadOptions
from lowtide.workloads.lines import HashedLines, head_of, unreadable
from lowtide.workloads.one_file import OneFile

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})


class BatchFile(OneFile):
    """Workload ``batch``. Uses no options: model and limits stand in the lines."""

    name = "batch"

    def accepts(self, source: Path) -> bool:
        """Accept a JSON-lines file with a ``custom_id`` line in its beginning, or Anthropic's create call's body."""
        return source.suffix.lower() in SUFFIXES and source.is_file() and batch_form(head_of(source)) is not None

    def read(self, source: Path, options: WorkloadOptions) -> "BatchReading":
        """Open the file; nothing is read before the stream is asked for."""
        return BatchReading(source)


class BatchReading:
    """One reading of a batch file; ``scope`` and ``digest`` are valid when ``requests`` is exhausted."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self._requests = 0
        self._finished = False

    def requests(self) -> Iterator[Request | Problem]:
        """Stream requests and problems in file order."""
        try:
            for item in self._items():
                self._requests += isinstance(item, Request)
                yield item
        except OSError as error:
            yield Problem(where=str(self._source), what=unreadable(error))
        self._finished = True

    def scope(self) -> Scope:
        """Give the plan's part: one wave, nothing frozen."""
        assert self._finished, "scope() is asked for after requests() is exhausted"
        facts = {"file": self._source.name, "requests": str(self._requests)}
        return Scope(workload=BatchFile.name, frozen=b"", waves=1, title=self._source.name, facts=facts)

    def digest(self) -> str:
        """Give the SHA-256 of the file."""
        assert self._finished, "digest() is asked for after requests() is exhausted"
        return self._digest.hexdigest()

    def _items(self) -> Iterator[Request | Problem]:
        file = self._source.name
        if batch_form(head_of(self._source)) == "object":
            with self._source.open("rb") as handle:
                content = handle.read(OBJECT_BYTES_MAX + 1)
            self._digest.update(content)
            yield from batch_object(content, file=file)
            return
        found = False
        for item in batch_lines(HashedLines(self._source, self._digest), file=file):
            found = True
            yield item
        if not found:
            yield Problem(where=file, what="the file holds no request")


WORKLOAD = BatchFile()
