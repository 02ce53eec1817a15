"""What of replies is read alike for every provider: decoding that gives up, whose line it is, replies without news."""

import re
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec

from lowtide.providers import ApiError
from lowtide.result import Billed, Refusal, Retry

# What decoding raises for bytes of another shape; the last for JSON nested thousands of levels deep.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MESSAGE_LENGTH_MAX: Final = 300
# Of a kind that one answer can say: what costs more than the books can hold is no answer.
TOKENS_MAX: Final = 1_000_000_000
Count = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)]
FINAL: Final = Refusal(retry=Retry.NEVER, billed=Billed.NO)
DOUBT: Final = Refusal(retry=Retry.AFTER_RECONCILE, billed=Billed.MAYBE)

Read = TypeVar("Read")


class _NamedLine(msgspec.Struct):
    custom_id: str


_decode_name: Final = msgspec.json.Decoder(_NamedLine).decode


def attempt(decode: Callable[[bytes], Read], body: bytes) -> Read | None:
    """Decode, or give ``None`` for bytes that are not of that shape."""
    try:
        return decode(body)
    except UNREADABLE:
        return None


def name_of(line: bytes, error: Exception, head: re.Pattern[bytes]) -> str | None:
    """Read only whose line it is. A line too deep for the decoder is whole all the same: its head is enough."""
    if isinstance(error, RecursionError):
        found = head.match(line)
        return found[1].decode(errors="replace") if found else None
    named = attempt(_decode_name, line)
    return named.custom_id if named is not None else None


def shown(body: bytes) -> str:
    """Give the beginning of a body that is not read, for a message."""
    return body.decode(errors="replace").strip()[:MESSAGE_LENGTH_MAX]


def unreadable(body: bytes, request_id: str) -> ApiError:
    """Name a 200 that is not what it should be: something happened there, and only asking again tells what."""
    return ApiError(status=200, code="reply_unreadable", message=shown(body), refusal=DOUBT, request_id=request_id)
