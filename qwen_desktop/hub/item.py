"""One file on its way: its part file, the ranges that came, and who fetches which."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from qwen_desktop.chat.hub import FileProgress, FileState, Listing, PlannedFile, Standing
from qwen_desktop.hub import journal, safe_paths, small_files
from qwen_desktop.hub.digest import Digest
from qwen_desktop.hub.journal import Journal, Ranges
from qwen_desktop.hub.planning import origin_of, part_of

BLOCK = 1 << 22  # bytes; the smallest range that is worth a request of its own


class Item:
    """A file of a running download.

    Everything but `sync` wants the download's lock to be held. `generation` goes up when what came
    turns out worthless: who began before must not add to it any more.
    """

    def __init__(self, folder: Path, listing: Listing, planned: PlannedFile) -> None:
        self.file = planned.file
        self.target = safe_paths.inside(folder, planned.file.path)
        self.part = part_of(self.target)
        self.origin = origin_of(listing)
        self.compare_present = planned.standing is Standing.PRESENT
        self.is_done = planned.standing is Standing.CHECKED
        self.is_good = False  # all bytes came and are the hub's; they need a name yet
        self.ranges = Ranges()
        self.claims = Ranges()
        self.flight = 0  # bytes that were written and are not in `ranges` yet
        self.generation = 0
        self.draining = False
        self.ranged = True  # until its server sends all where a part was asked for
        self.address = ""  # where the hub sent on to
        self.etag = ""
        self.doubts = 0  # times that what came was wrong
        self.slips = 0  # times that the server said something else of it than the list
        self.refusals = 0  # of servers that the hub sent on to, in a row
        self.digest = Digest(self.file)
        self._journal: Journal | None = None
        self._handle = -1
        self._synced = 0
        if planned.standing is Standing.PARTIAL:
            self._take_over()

    def _take_over(self) -> None:
        """Go on with what an earlier run left, or another program."""
        self.ranges, self.etag = journal.read(self.part, self.file, self.origin)
        if not self.ranges.total:  # the beginning of the file, under its own name
            size = self.target.stat().st_size
            small_files.replace(self.target, self.part)
            self.ranges.add(0, size)
        if self.ranges.total:
            self._open()

    # --- What there is to fetch ------------------------------------------------------------------

    @property
    def here(self) -> int:
        """Bytes that need not be fetched any more."""
        if self.is_done or self.compare_present:
            return self.file.size
        return min(self.file.size, self.ranges.total + self.flight)

    @property
    def all_came(self) -> bool:
        """Whether every byte is in the part file."""
        return not self.compare_present and self.ranges.total == self.file.size and not self.is_done

    @property
    def unhashed(self) -> int:
        """Bytes that the hash could go through now."""
        if self.is_done or self.is_good or not self.digest.known:
            return 0
        return self.ranges.prefix - self.digest.at

    @property
    def unclaimed(self) -> int:
        """Bytes that nobody fetches yet."""
        if self.is_done or self.compare_present:
            return 0
        return sum(stop - start for start, stop in self._open_gaps())

    def _open_gaps(self) -> list[tuple[int, int]]:
        return Ranges([*self.ranges, *self.claims]).gaps(self.file.size)

    def claim(self, most: int) -> tuple[int, int] | None:
        """The next range to fetch, of about `most` bytes; None where there is nothing to be had."""
        if self.is_done or self.compare_present or self.draining:
            return None
        busy = self.claims.total > 0
        if not self.ranged:
            if busy or self.all_came:
                return None
            self.restart()
            self.claims.add(0, self.file.size)
            return 0, self.file.size
        gaps = self._open_gaps()
        if not gaps:
            return None
        start, stop = gaps[0]
        if stop - start > most + BLOCK:
            stop = start + most
        self.claims.add(start, stop)
        return start, stop

    def release(self, start: int, stop: int) -> None:
        """Nobody fetches [start, stop) any more."""
        self.claims.remove(start, stop)
        if not self.claims.total:
            self.draining = False

    # --- What came -------------------------------------------------------------------------------

    def begin(self, etag: str) -> None:
        """Bytes are about to come: make the part file. Raises OSError."""
        if not self.etag:
            self.etag = etag
        if self._journal is None:
            self._open()

    def _open(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if not self.ranges.total:
            journal.name_of(self.part).unlink(missing_ok=True)
        if self.part.is_symlink():
            self.part.unlink()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._handle = os.open(self.part, flags, 0o644)
        os.ftruncate(self._handle, self.file.size)
        if self.ranges.total:
            # They may be with the system only; the new journal says that they are on the disk.
            journal.sync(self._handle)
        self._journal = Journal(self.part, self.file, self.ranges, self.origin, self.etag)
        self._synced = self._journal.count

    def wrote(self, start: int, stop: int) -> None:
        """[start, stop) is in the part file. Raises OSError."""
        if start >= stop:
            return
        self.flight = max(0, self.flight - (stop - start))
        self.ranges.add(start, stop)
        if self._journal is not None:
            self._journal.wrote(start, stop)

    def restart(self) -> None:
        """Forget what came. Raises OSError."""
        self.generation += 1
        self.draining = self.claims.total > 0
        self.ranges, self.flight = Ranges(), 0
        self.digest = Digest(self.file)
        self.etag = ""
        self.close()
        with suppress(FileNotFoundError):
            journal.name_of(self.part).unlink()

    # --- The disk --------------------------------------------------------------------------------

    def to_sync(self) -> tuple[int, int, int] | None:
        """Handle, generation and ranges for `sync`; None where all is on the disk."""
        if self._journal is None or self._journal.count == self._synced:
            return None
        return os.dup(self._handle), self.generation, self._journal.count

    def synced(self, generation: int, count: int) -> None:
        """The first `count` ranges are on the disk. Raises OSError."""
        if generation == self.generation and self._journal is not None:
            self._journal.synced(count)
            self._synced = count

    def make_empty(self) -> None:
        """A file of no bytes needs no fetching. Raises OSError."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.unlink(missing_ok=True)  # it may be a link
        self.target.write_bytes(b"")
        self.is_done = True

    def finish(self) -> None:
        """The part file, all of which is on the disk, becomes the file. Raises OSError."""
        self.close()
        small_files.replace(self.part, self.target)
        with suppress(OSError):  # it does no harm
            journal.name_of(self.part).unlink()
        self.is_done = True

    def close(self) -> None:
        """Leave the part file as it is."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def progress(self) -> FileProgress:
        """For the window."""
        if self.is_done:
            state = FileState.DONE
        elif self.compare_present or self.all_came:
            state = FileState.CHECKING
        elif self.claims.total:
            state = FileState.FETCHING
        else:
            state = FileState.WAITING
        return FileProgress(self.file.path, self.file.size, self.here, state)
