"""``store/segments``: what is appended reads back, what is torn or damaged is said to be, and a full disk loses nothing."""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import StoreUnusable
from lowtide.store import segments
from lowtide.store.segments import (
    BLOCKS_CACHED,
    MAGIC,
    RECORDS_PER_BLOCK,
    Place,
    SegmentReader,
    SegmentWriter,
    place,
    segment_of,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "1.seg"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SegmentReader]:
    reader = SegmentReader(lambda number: tmp_path / f"{number}.seg")
    yield reader
    reader.close()


def write(path: Path, records: list[bytes], number: int = 1) -> list[Place]:
    writer = SegmentWriter(path, number, durable=False)
    places = [writer.append(record) for record in records]
    writer.sync()
    writer.close()
    return places


@given(segment=st.integers(1, (1 << 23) - 1), offset=st.integers(0, (1 << 32) - 1), index=st.integers(0, (1 << 8) - 1))
def test_a_place_fits_a_column_and_unpacks(segment: int, offset: int, index: int) -> None:
    where = place(segment=segment, offset=offset, index=index)
    assert 0 < where < 1 << 63
    assert (segment_of(where), where >> 8 & 0xFFFFFFFF, where & 0xFF) == (segment, offset, index)


@pytest.mark.parametrize(
    ("segment", "offset", "index"), [(0, 0, 0), (1 << 23, 0, 0), (1, 1 << 32, 0), (1, -1, 0), (1, 0, 256), (1, 0, -1)]
)
def test_a_place_that_does_not_fit_is_ours(segment: int, offset: int, index: int) -> None:
    with pytest.raises(AssertionError):
        place(segment=segment, offset=offset, index=index)


@pytest.mark.parametrize(
    "records",
    [
        [b""],
        [b"one", b"", b"three"],
        [b"%d" % number for number in range(RECORDS_PER_BLOCK)],
        [b"%d" % number * 7 for number in range(RECORDS_PER_BLOCK * 3 + 1)],
        [os.urandom(1 << 20), b"after a large one", os.urandom(3 << 20)],
    ],
)
def test_what_is_appended_reads_back(path: Path, reader: SegmentReader, records: list[bytes]) -> None:
    places = write(path, records)
    assert len(set(places)) == len(records)
    assert places == sorted(places)
    assert [reader.read(where) for where in places] == records
    assert [reader.read(where) for where in reversed(places)] == records[::-1]


def test_many_syncs_make_many_blocks_that_all_read(path: Path, reader: SegmentReader) -> None:
    writer = SegmentWriter(path, 1, durable=True)
    places = []
    for number in range(10):
        places.append(writer.append(b"record %d" % number))
        writer.sync()
        assert reader.read(places[-1]) == b"record %d" % number  # readable before the segment is closed
    writer.sync()  # nothing new
    writer.close()
    writer.close()  # twice is once
    assert [reader.read(where) for where in places] == [b"record %d" % number for number in range(10)]


def test_a_file_is_never_opened_twice_for_writing(path: Path) -> None:
    write(path, [b"one"])
    with pytest.raises(StoreUnusable, match="cannot write"):
        SegmentWriter(path, 1)
    assert path.read_bytes().startswith(MAGIC)


def test_a_segment_is_full_when_it_has_its_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", 1000)
    writer = SegmentWriter(path, 1, durable=False)
    assert not writer.full
    writer.append(os.urandom(1000))
    writer.sync()
    assert writer.full
    writer.close()


# torn and damaged


def test_what_was_not_synced_is_lost_and_said_to_be(path: Path, reader: SegmentReader) -> None:
    writer = SegmentWriter(path, 1, durable=False)
    kept = writer.append(b"kept")
    writer.sync()
    lost = writer.append(b"lost")
    writer.close()
    assert reader.read(kept) == b"kept"
    with pytest.raises(StoreUnusable, match="cannot read") as refused:
        reader.read(lost)
    assert "backup" in refused.value.hint


def test_a_write_torn_at_any_byte_never_gives_a_wrong_record(tmp_path: Path) -> None:
    records = [b"first of its block", b"second of its block"]
    writer = SegmentWriter(tmp_path / "1.seg", 1, durable=False)
    kept = writer.append(b"an earlier block")
    writer.sync()
    whole = (tmp_path / "1.seg").stat().st_size
    places = [writer.append(record) for record in records]
    writer.sync()
    writer.close()
    content = (tmp_path / "1.seg").read_bytes()
    for cut in range(whole, len(content)):
        (tmp_path / "1.seg").write_bytes(content[:cut])
        reader = SegmentReader(lambda number: tmp_path / f"{number}.seg")
        assert reader.read(kept) == b"an earlier block"
        for where in places:
            with pytest.raises(StoreUnusable):
                reader.read(where)
        reader.close()


def test_a_flipped_bit_anywhere_in_a_block_is_found(tmp_path: Path) -> None:
    (where,) = write(tmp_path / "1.seg", [b"a paid answer, which is not to be changed"])
    content = (tmp_path / "1.seg").read_bytes()
    for position in range(len(MAGIC), len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        (tmp_path / "1.seg").write_bytes(damaged)
        reader = SegmentReader(lambda number: tmp_path / f"{number}.seg")
        with pytest.raises(StoreUnusable, match="damaged"):
            reader.read(where)
        reader.close()


def test_a_missing_file_is_said_to_be_missing(reader: SegmentReader) -> None:
    with pytest.raises(StoreUnusable, match="cannot read"):
        reader.read(place(segment=9, offset=7, index=0))


# a full disk


Write = Callable[[int, memoryview], int]


class Disk:
    """An ``os.write`` over a disk with so many free bytes."""

    def __init__(self, free: int, error: int = errno.ENOSPC) -> None:
        self.free = free
        self.error = error
        self._write = os.write

    def write(self, file: int, piece: bytes | memoryview) -> int:
        if self.free <= 0:
            raise OSError(self.error, os.strerror(self.error))
        count = self._write(file, piece[: self.free])  # the last write before a disk is full is a short one
        self.free -= count
        return count


@pytest.mark.parametrize("free", [0, 1, 8, 20, 37, 60])
def test_a_disk_that_fills_is_said_to_be_full_and_keeps_what_was_synced(
    path: Path, reader: SegmentReader, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    writer = SegmentWriter(path, 1, durable=False)
    kept = writer.append(b"kept")
    writer.sync()
    monkeypatch.setattr(os, "write", Disk(free).write)
    writer.append(os.urandom(100))
    with pytest.raises(StoreUnusable, match="the disk is full") as refused:
        writer.sync()
    writer.close()
    assert "everything that was committed is kept" in refused.value.hint
    assert reader.read(kept) == b"kept"


def test_a_full_disk_at_the_first_byte(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", Disk(0).write)
    with pytest.raises(StoreUnusable, match="the disk is full"):
        SegmentWriter(path, 1)


def test_short_writes_are_continued(path: Path, reader: SegmentReader, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    writer = SegmentWriter(path, 1, durable=False)
    monkeypatch.setattr(os, "write", lambda file, piece: real(file, piece[:3]))
    where = writer.append(os.urandom(50) + b"!")
    writer.sync()
    second = writer.append(b"in the next block")
    writer.sync()
    writer.close()
    assert reader.read(where).endswith(b"!")
    assert reader.read(second) == b"in the next block"


def test_a_sync_that_fails_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    writer = SegmentWriter(path, 1)
    writer.append(b"x")
    with pytest.raises(StoreUnusable, match="Input/output error"):
        writer.sync()
    writer.close()


def test_durable_segments_are_synced_and_others_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 2 rests on it: the bytes before the row."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _file: synced.append("folder"))
    monkeypatch.setattr(os, "fdatasync", lambda _file: synced.append("file"))
    for number, durable in ((1, True), (2, False)):
        writer = SegmentWriter(tmp_path / f"{number}.seg", number, durable=durable)
        writer.append(b"x")
        writer.sync()
        writer.close()
    assert synced == ["folder", "file"]


# reading


def test_blocks_are_kept_and_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = BLOCKS_CACHED + 2
    places = [write(tmp_path / f"{number}.seg", [b"%d" % number], number)[0] for number in range(1, count + 1)]
    reads = 0
    real = os.pread

    def pread(*arguments: int) -> bytes:
        nonlocal reads
        reads += 1
        return real(*arguments)

    monkeypatch.setattr(os, "pread", pread)
    reader = SegmentReader(lambda number: tmp_path / f"{number}.seg")
    for where in places:
        assert reader.read(where) == b"%d" % segment_of(where)
    before = reads
    reader.read(places[-1])
    assert reads == before
    reader.read(places[0])  # long forgotten
    assert reads > before
    assert len(list(Path("/proc/self/fd").iterdir())) < 200
    reader.close()


def test_a_closed_reader_opens_again(path: Path, reader: SegmentReader) -> None:
    (where,) = write(path, [b"one"])
    assert reader.read(where) == b"one"
    reader.close()
    assert reader.read(where) == b"one"


def test_the_format_is_what_the_thesis_says(path: Path) -> None:
    write(path, [b"x"])
    content = path.read_bytes()
    assert content[:7] == b"LTSEG1\n"
    (length,) = struct.unpack_from(">I", content, 7)
    assert len(content) == 7 + 8 + length


@pytest.mark.parametrize(
    ("number", "match"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EFBIG, "disk is full"),
        (errno.EACCES, "Perm"),
    ],
)
def test_the_disk_s_refusals_in_our_words(path: Path, number: int, match: str) -> None:
    error = segments.disk_failed(OSError(number, os.strerror(number)), path)
    assert match in error.message
    assert error.hint
