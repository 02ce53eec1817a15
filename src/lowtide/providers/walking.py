"""What bodies of every provider have alike when they are walked through: what was found, and how long its texts are."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

_ASCII: Final = bytes(range(128))
_encode: Final = msgspec.json.Encoder().encode
decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(slots=True)
class Walked:
    """What walking through a body has found. ``allowance_bytes`` is what the provider adds around our content."""

    texts: list[str] = field(default_factory=list)
    allowance_bytes: int = 0
    images: int = 0
    unbounded: bool = False
    breakpoints: int = 0

    def add_json(self, content: object) -> None:
        """Count all the JSON of something whose parts are not looked at."""
        self.texts.append(_encode(content).decode())


def only(params: bytes, names: Iterable[str]) -> bytes:
    """Give a body with some of its fields alone, each with its bytes."""
    fields = decode_fields(params)
    return _encode({name: fields[name] for name in names if name in fields})


def lengths(text: str) -> tuple[int, int]:
    """Count the UTF-8 bytes of a text and those outside ASCII."""
    if text.isascii():
        return len(text), 0
    encoded = text.encode()
    return len(encoded), len(encoded.translate(None, _ASCII))
