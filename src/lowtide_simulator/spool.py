"""Request bodies of a batch, kept once and small.

Here: an append-only list of byte strings in compressed blocks. Law: nothing that was appended is held twice; reading in
block order decompresses each block once.
"""

from array import array
from collections.abc import Iterator

from zstandard import ZstdCompressor, ZstdDecompressor

BLOCK_BYTES = 128 * 1024


class Spool:
    """Byte strings by index."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._compressor = ZstdCompressor(level=1)
        self.firsts = array("Q")
        self._ends = array("Q")
        self.count = 0

    def append(self, item: bytes) -> None:
        """Add one."""
        if not self._open:
            self.firsts.append(self.count)
        self._open.append(item)
        self._open_bytes += len(item)
        self._ends.append(self._open_bytes)
        self.count += 1
        if self._open_bytes >= BLOCK_BYTES:
            self.close_block()

    def close_block(self) -> None:
        """Compress what is open."""
        if self._open:
            # The compressor's bytes keep the room of the uncompressed ones; a copy does not.
            self._blocks.append(bytes(memoryview(self._compressor.compress(b"".join(self._open)))))
            self._open = []
            self._open_bytes = 0

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        self.close_block()
        return len(self._blocks)

    def read_block(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of each item of a block."""
        self.close_block()
        raw = ZstdDecompressor().decompress(self._blocks[number])
        first = self.firsts[number]
        end = self.firsts[number + 1] if number + 1 < len(self.firsts) else self.count
        start = 0
        for index in range(first, end):
            stop = self._ends[index]
            yield index, raw[start:stop]
            start = stop

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.blocks):
            for _, item in self.read_block(number):
                yield item
