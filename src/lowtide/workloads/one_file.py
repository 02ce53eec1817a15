"""What workloads of one wave and one results file have in common: nothing follows the first wave, no document is written."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from lowtide.request import Request, RequestKey
from lowtide.workload import Answers, Delivery, Document, Scope


class OneFile:
    """The part of the Protocol ``Workload`` that has nothing to do here."""

    goes_on = False  # a line that cannot be sent is mended or left out by choice, never by the way
    divides = False  # a row is one request: nothing in it says where it could be cut

    def next_wave(self, scope: Scope, wave: int, answers: Answers) -> Iterator[Request]:
        """Make nothing: there is one wave."""
        return iter(())

    def place(self, scope: Scope, key: RequestKey) -> PurePosixPath | None:
        """Give no path: the results are one file."""
        return None

    def document(self, scope: Scope, delivery: Delivery) -> Document:
        """Never called, because ``place`` gives no path."""
        raise AssertionError("a workload of one results file has no documents")

    def indexes(self, scope: Scope, finished: Mapping[RequestKey, str]) -> Iterable[Document]:
        """Write no page."""
        return ()
