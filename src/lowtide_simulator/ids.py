"""Names that look like the provider's and come from the seed alone.

Law: the same seed and the same order of calls give the same ids.
"""

import base64
import hashlib
from collections import Counter
from uuid import UUID

_PLAIN = bytes.maketrans(b"-_", b"xy")


class Ids:
    """Makes ``req_01...``, ``msg_01...``, ``msgbatch_01...``: a prefix and 22 letters and digits."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(16, "big", signed=True)
        self._counts: Counter[str] = Counter()

    def next(self, prefix: str) -> str:
        """The next id of a kind."""
        self._counts[prefix] += 1
        return self.of(prefix, str(self._counts[prefix]))

    def of(self, prefix: str, name: str) -> str:
        """The id of a kind that belongs to ``name``, always the same."""
        digest = hashlib.blake2b(f"{prefix} {name}".encode(), digest_size=16, key=self._key).digest()
        return f"{prefix}_01" + base64.urlsafe_b64encode(digest)[:22].translate(_PLAIN).decode()

    def count(self, prefix: str) -> str:
        """The next number of a kind, to name what follows from it."""
        self._counts[prefix] += 1
        return str(self._counts[prefix])

    def hex(self, prefix: str, name: str, length: int = 32) -> str:
        """``prefix`` and so many hexadecimal digits, always the same for ``name``: ``batch_``, ``resp_``, ``req_``."""
        digest = hashlib.blake2b(f"{prefix} {name}".encode(), digest_size=32, key=self._key).hexdigest()
        return prefix + digest[:length]

    def letters(self, prefix: str, name: str, length: int = 22) -> str:
        """``prefix`` and so many letters and digits, always the same for ``name``: ``file-``, ``chatcmpl-``."""
        digest = hashlib.blake2b(f"{prefix} {name}".encode(), digest_size=32, key=self._key).digest()
        return prefix + base64.urlsafe_b64encode(digest)[:length].translate(_PLAIN).decode()

    def uuid(self, name: str) -> str:
        """A UUID, always the same for ``name``."""
        digest = hashlib.blake2b(f"uuid {name}".encode(), digest_size=16, key=self._key).digest()
        return str(UUID(bytes=digest, version=4))
