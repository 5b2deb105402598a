"""The pages of an SQLite file as bytes, without SQLite: for files that it cannot read any more.

Follows the published file format (sqlite.org/fileformat2.html). A page has a number from 1. Its
newest state may be a frame of the write-ahead log beside the file. Nothing here writes.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from os import SEEK_END
from pathlib import Path

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
SIZES: tuple[int, ...] = tuple(2**power for power in range(9, 17))

LEAF_TABLE, INNER_TABLE, LEAF_INDEX, INNER_INDEX = 13, 5, 10, 2
_KINDS = (LEAF_TABLE, INNER_TABLE, LEAF_INDEX, INNER_INDEX)

_LOG_HEADER, _FRAME_HEADER = 32, 24
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_WORD = 0xFFFFFFFF

_SAMPLE_BYTES = 2**25


def log_of(file: Path) -> Path:
    """The write-ahead log beside a database."""
    return file.with_name(f"{file.name}-wal")


def has_log(file: Path) -> bool:
    """Whether a log with something in it lies beside `file`: its last user did not close it."""
    try:
        return log_of(file).stat().st_size > 0
    except OSError:
        return False


def log_is_read(file: Path) -> bool:
    """Whether SQLite, which has `file` open now, reads its log up to the last transaction in it.

    Looks at the heads of frames alone, so it takes no time. Where it says no, `Log` says why:
    mostly a transaction that was cut off by a kill. Raises OSError.
    """
    with log_of(file).open("rb") as source:
        header = source.read(_LOG_HEADER)
        if not _is_log_header(header):
            return False
        step = _FRAME_HEADER + int.from_bytes(header[8:12], "big")
        count = (source.seek(0, SEEK_END) - _LOG_HEADER) // step
        last = 0
        for number in range(count, 0, -1):
            source.seek(_LOG_HEADER + (number - 1) * step)
            _, size, *salts = struct.unpack(">4I", source.read(16))
            if size and salts == list(struct.unpack(">2I", header[16:24])):
                last = number
                break
    with file.with_name(f"{file.name}-shm").open("rb") as source:
        index = source.read(20)
    return len(index) == 20 and struct.unpack("=I", index[16:])[0] >= last


def _is_log_header(header: bytes) -> bool:
    if len(header) < _LOG_HEADER:
        return False
    magic, _, size, *_, first, second = struct.unpack(">8I", header)
    found = _checksum(header[:24], ">" if magic & 1 else "<", (0, 0))
    return magic in _LOG_MAGIC and size in SIZES and found == (first, second)


@dataclass(frozen=True)
class Frame:
    """One page in the log. `is_good`: its check sum fits the frame before it."""

    page: int
    commits: bool  # the last one of a transaction
    at: int  # where its page begins in the log
    is_good: bool


class Log:
    """The write-ahead log, read as it lies.

    `frames` are those of its last generation, in order. SQLite takes the first `committed` of
    them; it stops at the first bad one and at what was never committed.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.page_bytes = 0
        self.frames: list[Frame] = []
        self.committed = 0
        if len(content) < _LOG_HEADER:
            return
        magic, _, size, _, *salts, first, second = struct.unpack(">8I", content[:_LOG_HEADER])
        order = ">" if magic & 1 else "<"
        is_good = _is_log_header(content[:_LOG_HEADER])
        self.page_bytes = size if size in SIZES else 0
        if self.page_bytes:
            self._read(tuple(salts) if is_good else None, order, (first, second), is_good)

    @property
    def loses_something(self) -> bool:
        """Whether a good transaction lies behind what SQLite reads: damage, no crash, hides it."""
        return any(frame.is_good and frame.commits for frame in self.frames[self.committed :])

    def page(self, frame: Frame) -> bytes:
        """The page in a frame."""
        return self.content[frame.at : frame.at + self.page_bytes]

    def _read(
        self, salts: tuple[int, ...] | None, order: str, before: tuple[int, int], whole: bool
    ) -> None:
        step = _FRAME_HEADER + self.page_bytes
        starts = range(_LOG_HEADER, len(self.content) - step + 1, step)
        headers = [struct.unpack(">6I", self.content[at : at + _FRAME_HEADER]) for at in starts]
        if salts is None:  # the header is damaged: most frames tell
            counted = Counter(header[2:4] for header in headers)
            salts = counted.most_common(1)[0][0] if counted else ()
        for at, (page, size, *its_salts, first, second) in zip(starts, headers, strict=True):
            if tuple(its_salts) != salts:
                # What an earlier generation left, or a damaged header.
                whole = False
                before = (first, second)
                continue
            head = self.content[at : at + 8]
            body = self.content[at + _FRAME_HEADER : at + step]
            found = _checksum(body, order, _checksum(head, order, before))
            is_good = found == (first, second)
            whole = whole and is_good
            before = (first, second)
            self.frames.append(Frame(page, size > 0, at + _FRAME_HEADER, is_good))
            if whole and size > 0:
                self.committed = len(self.frames)


def _checksum(data: bytes, order: str, seed: tuple[int, int]) -> tuple[int, int]:
    first, second = seed
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second


class Pages:
    """All pages of a database file with its log. `close` lets go of the file."""

    def __init__(self, content: bytes | mmap, log: Log, page_bytes: int) -> None:
        self.content = content
        self.log = log
        self.page_bytes = page_bytes
        self.count = max(
            [-(-len(content) // page_bytes), *(frame.page for frame in log.frames if frame.is_good)]
        )
        self._frames: dict[int, list[Frame]] = {}
        for frame in log.frames:
            self._frames.setdefault(frame.page, []).append(frame)

    @classmethod
    def of(cls, file: Path) -> Pages:
        """The pages of `file`. Raises OSError."""
        frames = Log(log_of(file).read_bytes() if log_of(file).exists() else b"")
        content: bytes | mmap = b""
        if file.exists() and file.stat().st_size:
            with file.open("rb") as source:
                content = mmap(source.fileno(), 0, access=ACCESS_READ)
        return cls(content, frames, frames.page_bytes or _page_bytes(content))

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self.content, mmap):
            self.content.close()

    def page(self, number: int) -> bytes:
        """The newest state of a page; b"" where there is none."""
        frames = self._frames.get(number, ())
        for frame in reversed(frames):
            if frame.is_good:
                return self.log.page(frame)
        return self._in_file(number)

    def older(self, number: int) -> Iterator[bytes]:
        """The other states of a page there are, the newest first."""
        frames = self._frames.get(number, ())
        newest = next((frame for frame in reversed(frames) if frame.is_good), None)
        for frame in reversed(frames):
            if frame is not newest:
                yield self.log.page(frame)
        if newest is not None:
            yield self._in_file(number)

    def _in_file(self, number: int) -> bytes:
        begin = (number - 1) * self.page_bytes
        return self.content[begin : begin + self.page_bytes] if number > 0 else b""


def _page_bytes(content: bytes | mmap) -> int:
    """The size of pages: as the header says, unless the pages say something else."""
    said = int.from_bytes(content[16:18], "big")
    size = 65536 if said == 1 else said
    # Of pages twice as large only every second one looks right, of smaller ones hardly any.
    counts = {each: _sound_pages(content, each) for each in SIZES}
    best = max(SIZES, key=lambda each: counts[each])
    return size if size in SIZES and counts[size] >= counts[best] * 0.8 else best


def _sound_pages(content: bytes | mmap, size: int) -> int:
    """How many pages at the beginning are of trees, if pages are of this size."""
    starts = range(0, min(len(content), _SAMPLE_BYTES), size)
    return len([at for at in starts if is_sound(content[at : at + size], 100 * (at == 0))])


def is_sound(page: bytes, at: int) -> bool:
    """Whether a page has the header of a tree at `at`, with all pointers inside of it."""
    if len(page) < 512 or page[at] not in _KINDS:
        return False
    _, cells, content = struct.unpack(">HHH", page[at + 1 : at + 7])
    content = content or 65536
    array = at + (8 if page[at] in (LEAF_TABLE, LEAF_INDEX) else 12)
    if array + 2 * cells > content or content > len(page):
        return False
    pointers = struct.unpack(f">{cells}H", page[array : array + 2 * cells])
    return all(content <= pointer < len(page) for pointer in pointers)
