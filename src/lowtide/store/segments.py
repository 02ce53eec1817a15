r"""Payloads: append-only files of compressed record blocks. A record's place is one integer that a row keeps.

A segment belongs to one writer, which never reopens it; a block is synced before the row that points at it is committed,
so a place in a committed row always reads. A segment that no row points at is swept. SQL is not known here.

File: ``LTSEG1\\n``, then blocks: 4 bytes length of the compressed block, 4 bytes CRC-32 of it, the block (zstd). A block
holds up to 64 records, each 4 bytes length and its bytes; integers are big-endian.
"""

import errno
import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NewType

import zstandard

from lowtide.errors import StoreUnusable

Place = NewType("Place", int)  # segment number << 40 | offset of the block << 8 | index of the record in it

MAGIC = b"LTSEG1\n"
RECORDS_PER_BLOCK = 64
BLOCK_BYTES_MAX = 1 << 20  # a block is closed early once its records reach this size
SEGMENT_BYTES_MAX = 1 << 30
LEVEL = 3
BLOCKS_CACHED = 8
_HEAD = struct.Struct(">II")
_LENGTH = struct.Struct(">I")


def place(*, segment: int, offset: int, index: int) -> Place:
    """Pack a place. Offsets stay below 4 GiB, indexes below 256."""
    assert 0 < segment < 1 << 23, segment
    assert 0 <= offset < 1 << 32, offset
    assert 0 <= index < 1 << 8, index
    return Place(segment << 40 | offset << 8 | index)


def segment_of(where: Place) -> int:
    """Give the segment number of a place."""
    return where >> 40


class SegmentWriter:
    """Appends records to one new segment file.

    ``append`` gives the record's place at once; ``sync`` makes everything appended so far durable. ``written`` may be
    replaced by a test to make the disk fill up.
    """

    def __init__(self, path: Path, number: int, *, durable: bool = True) -> None:
        self.number = number
        self.path = path
        self._durable = durable
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._records: list[bytes] = []
        self._records_bytes = 0
        self._count = 0
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._offset = os.write(self._file, MAGIC)
            if durable:
                sync_folder(path.parent)
        except OSError as error:
            raise disk_failed(error, path) from error

    def append(self, record: bytes) -> Place:
        """Add a record (any bytes below 2 GiB) and give its place. Raises: StoreUnusable when the disk refuses."""
        if self._count == RECORDS_PER_BLOCK or self._records_bytes >= BLOCK_BYTES_MAX:
            self._flush()
        where = place(segment=self.number, offset=self._offset, index=self._count)
        self._records.append(_LENGTH.pack(len(record)))
        self._records.append(record)
        self._records_bytes += len(record)
        self._count += 1
        return where

    @property
    def full(self) -> bool:
        """Say whether a new segment should be begun for the next record."""
        return self._offset >= SEGMENT_BYTES_MAX

    def sync(self) -> None:
        """Make every record so far durable. Raises: StoreUnusable when the disk refuses."""
        self._flush()
        if self._durable:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise disk_failed(error, self.path) from error

    def close(self) -> None:
        """Close the file; what was not synced is lost."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _flush(self) -> None:
        if not self._records:
            return
        block = self._compressor.compress(b"".join(self._records))
        self._write(_HEAD.pack(len(block), zlib.crc32(block)) + block)
        self._records.clear()
        self._records_bytes = 0
        self._count = 0

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        try:
            while view:
                count = os.write(self._file, view)
                self._offset += count
                view = view[count:]
        except OSError as error:
            raise disk_failed(error, self.path) from error


class SegmentReader:
    """Reads records by place, with the last few blocks kept decompressed. Open files are few and closed with it."""

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        self._path_of = path_of
        self._files: dict[int, int] = {}
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()
        self._decompressor = zstandard.ZstdDecompressor()

    def read(self, where: Place) -> bytes:
        """Give the record at a place. Raises: StoreUnusable when the file is gone or damaged."""
        block = where >> 8
        records = self._blocks.get(block)
        if records is None:
            records = self._load(where >> 40, (where >> 8) & 0xFFFFFFFF)
            self._blocks[block] = records
            if len(self._blocks) > BLOCKS_CACHED:
                self._blocks.popitem(last=False)
        return records[where & 0xFF]

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        self._blocks.clear()

    def _load(self, number: int, offset: int) -> list[bytes]:
        path = self._path_of(number)
        try:
            file = self._files.get(number)
            if file is None:
                if len(self._files) >= BLOCKS_CACHED:
                    self.close()
                file = self._files[number] = os.open(path, os.O_RDONLY)
            length, crc = _HEAD.unpack(os.pread(file, _HEAD.size, offset))
            block = os.pread(file, length, offset + _HEAD.size)
        except (OSError, struct.error) as error:
            raise StoreUnusable(
                f"cannot read {path} at {offset}: {error}", hint="restore the store's backup"
            ) from error
        if len(block) != length or zlib.crc32(block) != crc:
            raise StoreUnusable(f"{path} is damaged at {offset}", hint="restore the store's backup")
        return list(_records(self._decompressor.decompress(block)))


def _records(block: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(block):
        (length,) = _LENGTH.unpack_from(block, position)
        position += _LENGTH.size
        yield block[position : position + length]
        position += length


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def disk_failed(error: OSError, path: Path) -> StoreUnusable:
    """Say that the disk refused, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreUnusable(
            f"the disk is full: cannot write {path}",
            hint="free some space and run the same command again; everything that was committed is kept",
        )
    return StoreUnusable(f"cannot write {path}: {error.strerror}", hint="look at the folder's permissions")
