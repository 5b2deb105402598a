"""Which ranges of an unfinished file are on the disk, so that any end loses next to nothing.

Beside `F.part` lies `F.part.ranges`, lines of text. The first names the file by its hash and size,
then each range that was written is a line with a checksum; "s N" says that the first N ranges are
on the disk itself, not only with the system. When a process ends, however it ends, the system still
has what it wrote: every range counts. When the machine went down since, those after the last "s"
do not. What tells the two is the boot that the first line names.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from qwen_desktop.chat.hub import RemoteFile
from qwen_desktop.hub.small_files import write_whole

FORMAT = "qwen-desktop part"
VERSION = 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_BYTES = 64 * 2**20  # of a journal that is believed


class Ranges:
    """A set of bytes as ranges [start, stop), in order and apart."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: list[tuple[int, int]] = []
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ranges({self._ranges})"

    @property
    def total(self) -> int:
        """How many bytes."""
        return sum(stop - start for start, stop in self._ranges)

    @property
    def prefix(self) -> int:
        """Bytes from the very beginning without a gap."""
        first = self._ranges[0] if self._ranges else (1, 0)
        return first[1] if first[0] == 0 else 0

    def add(self, start: int, stop: int) -> None:
        """Put [start, stop) in; nothing where it is empty."""
        if start >= stop:
            return
        before = [r for r in self._ranges if r[1] < start]
        after = [r for r in self._ranges if r[0] > stop]
        touching = self._ranges[len(before) : len(self._ranges) - len(after)]
        if touching:
            start, stop = min(start, touching[0][0]), max(stop, touching[-1][1])
        self._ranges = [*before, (start, stop), *after]

    def remove(self, start: int, stop: int) -> None:
        """Take [start, stop) out; nothing where it is empty."""
        if start >= stop:
            return
        kept = []
        for first, last in self._ranges:
            kept += [(first, min(last, start)), (max(first, stop), last)]
        self._ranges = [r for r in kept if r[0] < r[1]]

    def gaps(self, size: int) -> list[tuple[int, int]]:
        """What of [0, size) is not in it."""
        found, at = [], 0
        for start, stop in self._ranges:
            if start > at:
                found.append((at, min(start, size)))
            at = max(at, stop)
        if at < size:
            found.append((at, size))
        return [gap for gap in found if gap[0] < gap[1]]


def boot() -> str:
    """What tells this run of the machine from others; "" where nothing does."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # not on Linux
        pass
    import psutil

    # Counted back from now, so the clock's corrections move it a little: see `_same_boot`.
    return f"{psutil.boot_time():.0f}"


def _same_boot(noted: object) -> bool:
    now = boot()
    if not isinstance(noted, str) or not noted or not now:
        return False
    if noted.isdigit() and now.isdigit():
        return abs(int(noted) - int(now)) <= 5
    return noted == now


def name_of(part: Path) -> Path:
    """The journal of the file `part`."""
    return part.with_name(f"{part.name}.ranges")


def read(part: Path, file: RemoteFile, origin: str) -> tuple[Ranges, str]:
    """The ranges of `part` that are known to hold bytes of `file`; none where nothing fits.

    It may have been begun at another mirror or hub: what counts is hash and size. Without a hash
    it has to be of the same `origin` (server, repository, commit); the second value is then the
    ETag that the server gave. Raises OSError only where what is there cannot be read.
    """
    if part.is_symlink():  # of no download: nothing is written through it
        return Ranges(), ""
    try:
        length = part.stat().st_size
        with name_of(part).open("rb") as journal:
            content = journal.read(MAX_BYTES)
    except FileNotFoundError:
        return Ranges(), ""
    head, *lines = content.split(b"\n")
    noted = _head(head)
    if noted is None or not _fits(noted, file, origin):
        return Ranges(), ""
    ranges: list[tuple[int, int]] = []
    synced = 0
    for line in lines[:-1]:  # what stands after the last end of line was not finished
        entry = _entry(line)
        if entry is None:
            break
        kind, first, second = entry
        if kind == "s":
            synced = min(first, len(ranges))
        elif 0 <= first < second <= file.size:
            ranges.append((first, second))
    if not _same_boot(noted.get("boot")):
        ranges = ranges[:synced]
    found = Ranges(ranges)
    found.remove(length, file.size + 1)
    return found, str(noted.get("etag") or "")


def _head(line: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        return None
    return value if value.get("version") == VERSION else None


def _fits(noted: dict[str, object], file: RemoteFile, origin: str) -> bool:
    if noted.get("size") != file.size:
        return False
    for name, mine in (("sha256", file.sha256), ("git_oid", file.git_oid)):
        theirs = noted.get(name)
        if mine is not None and theirs is not None:
            return mine == theirs
    return noted.get("origin") == origin


def _entry(line: bytes) -> tuple[str, int, int] | None:
    body, _, check = line.rpartition(b" ")
    if b"%08x" % zlib.crc32(body) != check:
        return None
    try:
        kind, first, second = body.decode("ascii").split(" ")
        return kind, int(first), int(second)
    except ValueError:
        return None


def _line(kind: str, first: int, second: int) -> bytes:
    body = f"{kind} {first} {second}".encode("ascii")
    return b"%s %08x\n" % (body, zlib.crc32(body))


class Journal:
    """The journal of one unfinished file, open to be added to. Not safe for several threads."""

    def __init__(
        self, part: Path, file: RemoteFile, ranges: Ranges, origin: str, etag: str
    ) -> None:
        """A new one that holds `ranges`, all of which are on the disk itself. Raises OSError."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "size": file.size,
            "sha256": file.sha256,
            "git_oid": file.git_oid,
            "origin": origin,
            "etag": etag,
            "boot": boot(),
        }
        held = list(ranges)
        lines = [_line("w", start, stop) for start, stop in held]
        content = [json.dumps(head).encode() + b"\n", *lines, _line("s", len(held), 0)]
        path = name_of(part)
        write_whole(path, b"".join(content))
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._count = len(held)

    @property
    def count(self) -> int:
        """How many ranges were written so far, to be given to `synced`."""
        return self._count

    def wrote(self, start: int, stop: int) -> None:
        """[start, stop) was written to the part file. Raises OSError."""
        self._file.write(_line("w", start, stop))
        self._count += 1

    def synced(self, count: int) -> None:
        """The first `count` ranges are on the disk itself. Raises OSError."""
        self._file.write(_line("s", count, 0))

    def close(self) -> None:
        """No more is added."""
        self._file.close()


def sync(handle: int) -> None:
    """What was written to the file is on the disk when it returns. Raises OSError."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(handle)
    else:
        os.fsync(handle)
