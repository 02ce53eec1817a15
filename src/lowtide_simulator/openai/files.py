"""Files that clients upload and that batches leave behind.

Here: a file's lines in a compressed spool, the object that describes it, a streaming reader of multipart forms. Not here:
HTTP (``file_calls``). Law: the bytes come back as they were sent; nothing uploaded is held twice.

Source: reference sheet of OpenAI's API, section 2.1, checked 2026-11-21.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.spool import Spool

DAY: Final = 86_400 * SECOND
PIECE_BYTES: Final = 1 << 20
HEAD_BYTES_MAX: Final = 64 * 1024
FIELD_BYTES_MAX: Final = 64 * 1024


class Content:
    """Bytes as lines, each with its line end: ``lines[n]`` of the file is item ``n`` of the spool."""

    def __init__(self) -> None:
        self.spool = Spool()
        self.bytes = 0
        self._open = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.bytes += len(chunk)
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = self._open + whole[0]
            for line in whole:
                self.spool.append(line + b"\n")
            self._open = rest
        else:
            self._open += rest

    def close(self) -> None:
        """The file has ended; what has no line end is the last line."""
        if self._open:
            self.spool.append(self._open)
            self._open = b""
        self.spool.close_block()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.spool)


@dataclass(slots=True, kw_only=True)
class File:
    """One file. ``written`` makes the lines of a batch's file when they are asked for; its size is counted once."""

    id: str
    filename: str
    purpose: str
    created_at: Instant
    expires_at: Instant | None
    content: Content | None = None
    written: Callable[[], Iterator[bytes]] | None = None
    size: int | None = None
    listed_at: Instant = field(default=Instant(0))

    def lines(self) -> Iterator[bytes]:
        """What is in it."""
        if self.content is not None:
            return iter(self.content)
        assert self.written is not None
        return self.written()

    def bytes(self) -> int:
        """How large it is."""
        if self.size is None:
            self.size = self.content.bytes if self.content is not None else sum(map(len, self.lines()))
        return self.size

    def to_json(self) -> dict[str, Any]:
        """The file object, fields in the order of recorded answers."""
        return {
            "object": "file",
            "id": self.id,
            "purpose": self.purpose,
            "filename": self.filename,
            "bytes": self.bytes(),
            "created_at": self.created_at // SECOND,
            "expires_at": None if self.expires_at is None else self.expires_at // SECOND,
            "status": "processed",
            "status_details": None,
        }


class FormReader:
    """Reads a multipart form as it arrives: small fields whole, the part named ``file`` into a content.

    Raises Refusal when the body is no such form, or when the file is larger than ``bytes_max``.
    """

    def __init__(self, content_type: str, bytes_max: int) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.content = Content()
        self._max = bytes_max
        boundary = _parameter(content_type, "boundary")
        if not content_type.lower().startswith("multipart/form-data") or not boundary:
            raise Refusal(400, "Invalid body: expected a multipart form.", code="invalid_multipart_form_data")
        self._mark = b"\r\n--" + boundary.encode("latin-1")
        # A form begins with its boundary; a line end before it makes the first like all others.
        self._buffer = b"\r\n"
        self._name: str | None = None
        self._value = b""
        self._skip = 0
        self._step: Callable[[], bool] = self._preamble
        self.ended = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._buffer += chunk
        while self._step():
            pass

    def close(self) -> None:
        """The body has ended."""
        if not self.ended:
            raise Refusal(400, "Invalid body: the form ended too early.", code="invalid_multipart_form_data")
        self.content.close()

    def _preamble(self) -> bool:
        at = self._buffer.find(self._mark)
        if at < 0:
            return False
        self._buffer = self._buffer[at + len(self._mark) :]
        self._step = self._after_mark
        return True

    def _after_mark(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer.startswith(b"--"):
            self.ended = True
            self._step = self._epilogue
            return True
        self._buffer = self._buffer[self._buffer.index(b"\n") + 1 :] if b"\n" in self._buffer[:64] else self._buffer[2:]
        self._step = self._head
        return True

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise Refusal(400, "Invalid body: a part's head is too long.", code="invalid_multipart_form_data")
            return False
        head = self._buffer[:end].decode("utf-8", "replace")
        self._buffer = self._buffer[end + 2 :]
        disposition = next((line for line in head.split("\r\n") if line.lower().startswith("content-disposition:")), "")
        self._name = _parameter(disposition, "name") or ""
        if self._name == "file":
            self.filename = _parameter(disposition, "filename") or "upload"
        self._value = b""
        self._skip = 2
        self._step = self._body
        return True

    def _body(self) -> bool:
        """Bytes up to the next mark; what may be the mark's beginning is kept back.

        The buffer begins with the line end that ends the head, which is also the mark's own when the body is empty.
        """
        at = self._buffer.find(self._mark)
        if at >= 0:
            self._take(self._buffer[self._skip : at] if at else b"")
            return self._ended(at)
        keep = len(self._mark) + 1
        if len(self._buffer) > keep:
            self._take(self._buffer[self._skip : -keep])
            self._skip = max(0, self._skip - (len(self._buffer) - keep))
            self._buffer = self._buffer[-keep:]
        return False

    def _ended(self, at: int) -> bool:
        if self._name is not None and self._name != "file":
            self.fields[self._name] = self._value.decode("utf-8", "replace")
        self._buffer = self._buffer[at + len(self._mark) :]
        self._step = self._after_mark
        return True

    def _take(self, piece: bytes) -> None:
        if self._name != "file":
            self._value += piece
            if len(self._value) > FIELD_BYTES_MAX:
                raise Refusal(400, "Invalid body: a field is too long.", code="invalid_multipart_form_data")
            return
        self.content.feed(piece)
        if self.content.bytes > self._max:
            raise Refusal(413, f"File is too large. Maximum size is {self._max // 1_000_000} MB.", param="file")

    def _epilogue(self) -> bool:
        self._buffer = b""
        return False


def _parameter(header: str, name: str) -> str | None:
    """A parameter of a header, quotes taken off."""
    for piece in header.split(";")[1:]:
        key, _, value = piece.strip().partition("=")
        if key.lower() == name:
            return value.strip().strip('"')
    return None
