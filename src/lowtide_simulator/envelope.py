"""Reads the body of a batch as it arrives, one request at a time.

Here: the envelope ``{"requests": [{"custom_id", "params"}]}`` as an incremental parser, and its own 400s. Not here:
whether ``params`` make sense, which the provider finds out later. Law: never more than one incomplete request and one
network chunk in memory.

Source: reference sheet of the provider's API, sections 1.4 to 1.6, checked 2026-11-21.
"""

import codecs
import json
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from lowtide_simulator.shapes import ShapeError, any_object, record, text

CUSTOM_ID_PATTERN: Final = r"^[a-zA-Z0-9_-]{1,64}$"
WHITE: Final = re.compile(r"[ \t\n\r]*")

entry: Final = record({"custom_id": text(shortest=1, longest=64, pattern=CUSTOM_ID_PATTERN), "params": any_object})

Sink = Callable[[str, dict[str, Any]], None]


class NotJsonError(ValueError):
    """The body is not JSON; ``str()`` is the provider's message."""


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant)


class EnvelopeReader:
    """Feed it chunks, then ``close``. Each complete request goes to ``sink`` at once.

    Raises NotJsonError, or ShapeError for the first problem of the envelope.
    """

    def __init__(self, sink: Sink, requests_max: int) -> None:
        self.count = 0
        self._sink = sink
        self._max = requests_max
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._text = ""
        self._at = 0
        self._retry_at = 0
        self._final = False
        self._step: Callable[[], bool] = self._open
        self._seen_requests = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        try:
            more = self._utf8.decode(chunk, final=self._final)
        except UnicodeDecodeError as error:
            raise NotJsonError(_not_json(error)) from error
        self._text = self._text[self._at :] + more
        self._at = 0
        if len(self._text) >= self._retry_at or self._final:
            self._retry_at = 0
            while self._step():
                pass

    def close(self) -> None:
        """The body has ended: whatever is open now is a mistake."""
        self._final = True
        self.feed(b"")
        if self._step != self._end:
            raise NotJsonError(_not_json("unexpected end of data"))
        if not self._seen_requests:
            raise ShapeError("requests", "Field required")

    def _peek(self) -> str | None:
        """The next character that is not white space, or None when there is none yet."""
        match = WHITE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at] if self._at < len(self._text) else None

    def _take(self, expected: str, then: Callable[[], bool]) -> bool:
        found = self._peek()
        if found is None:
            return False
        if found != expected:
            raise NotJsonError(_not_json(f"expected '{expected}', found '{found}'"))
        self._at += 1
        self._step = then
        return True

    def _value(self) -> tuple[bool, Any]:
        """Decode the next value: (False, None) when more bytes are needed."""
        if self._peek() is None:
            return False, None
        try:
            value, end = _decoder.raw_decode(self._text, self._at)
        except (ValueError, RecursionError) as error:
            if self._final:
                raise NotJsonError(_not_json(error)) from error
            # More bytes may complete it. Twice as many before the next try keeps the work linear.
            self._retry_at = 2 * (len(self._text) - self._at)
            return False, None
        if end == len(self._text) and not self._final and not isinstance(value, dict | list | str):
            return False, None
        self._at = end
        return True, value

    def _open(self) -> bool:
        found = self._peek()
        if found is not None and found != "{":
            ready, _ = self._value()
            if ready:
                raise ShapeError("", "Input should be an object")
            return False
        return self._take("{", self._first_key)

    def _first_key(self) -> bool:
        if self._peek() == "}":
            return self._take("}", self._end)
        return self._key()

    def _key(self) -> bool:
        ready, name = self._value()
        if not ready:
            return False
        if not isinstance(name, str):
            raise NotJsonError(_not_json("a key must be a string"))
        if name == "requests":
            self._seen_requests = True
            self._step = lambda: self._take(":", self._requests)
        else:
            raise ShapeError(name, "Extra inputs are not permitted")
        return True

    def _requests(self) -> bool:
        found = self._peek()
        if found is None:
            return False
        if found != "[":
            ready, _ = self._value()
            if ready:
                raise ShapeError("requests", "Input should be a valid list")
            return False
        return self._take("[", self._first_entry)

    def _first_entry(self) -> bool:
        if self._peek() == "]":
            return self._take("]", self._after_value)
        return self._entry()

    def _entry(self) -> bool:
        ready, value = self._value()
        if not ready:
            return False
        entry(value, f"requests.{self.count}")
        self.count += 1
        if self.count > self._max:
            message = f"List should have at most {self._max} items after validation, not {self.count}"
            raise ShapeError("requests", message)
        self._sink(value["custom_id"], value["params"])
        self._step = self._after_entry
        return True

    def _after_entry(self) -> bool:
        if self._peek() == "]":
            return self._take("]", self._after_value)
        return self._take(",", self._entry)

    def _after_value(self) -> bool:
        if self._peek() == "}":
            return self._take("}", self._end)
        return self._take(",", self._key)

    def _end(self) -> bool:
        if self._peek() is not None:
            raise NotJsonError(_not_json("trailing characters"))
        return False


def _not_json(cause: object) -> str:
    return f"The request body is not valid JSON: {cause}"
