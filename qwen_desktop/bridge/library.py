"""The library: which checkpoints lie on this machine, and what is done with their files. QtCore.

Lives on the main thread. Searching, verifying and deleting each have a thread of their own, for a
folder may lie on a disk that takes its time. No network but by `adopt`, which a user asks for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.library_scan import Search, key_of, scan
from qwen_desktop.chat.checkpoint import model_name
from qwen_desktop.chat.library import MOST, LibraryEntry, Place, Removal, Shelf
from qwen_desktop.errors import Cancelled, Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.bridge.file_jobs import FileJobs
    from qwen_desktop.bridge.recents import Recents
    from qwen_desktop.engine.gpus import Machine
    from qwen_desktop.storage.library import LibraryFile

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanState:
    """Whether folders are being looked through, and how many are still to be looked into."""

    running: bool = False
    waiting: int = 0


class Library(QObject):
    """Signals carry the folder as text. `changed()`: entries; `scan_changed(ScanState)`;

    `verify_moved(folder, bytes read, bytes in all)`, `verified(folder, Verification)`;
    `removal_planned(folder, Removal)`, `removed(folder, bytes freed)`;
    `guessed(folder, guesses)`: repositories that a folder may be of;
    `left(folder)`: a verification was cancelled; `failed(folder, Report)`: what was asked for did
    not come about; `problem(Report)`: trouble with the list.
    """

    changed = Signal()
    scan_changed = Signal(object)
    verify_moved = Signal(str, object, object)
    verified = Signal(str, object)
    left = Signal(str)
    removal_planned = Signal(str, object)
    removed = Signal(str, object)
    guessed = Signal(str, object)
    failed = Signal(str, object)
    problem = Signal(object)
    _read = Signal(object)
    _found = Signal(object, int)
    _scanned = Signal(object)
    _gone = Signal(str, object)
    _taken = Signal(object, bool)

    def __init__(
        self,
        file: LibraryFile,
        jobs: FileJobs,
        recents: Recents,
        machine: Callable[[], Machine | None],
        downloads: Callable[[], Path],
        parent: QObject | None = None,
    ) -> None:
        """`machine` is asked on a thread; `downloads` is the folder that downloads go into."""
        super().__init__(parent)
        self._file, self._jobs = file, jobs
        self._recents = recents
        self._machine, self._downloads = machine, downloads
        self._shelf = Shelf()
        self._state = ScanState()
        self._asked_to_read = self._is_read = False
        self._again = False  # whether to search once more when the search has ended
        self._stop = threading.Event()  # of the search
        self._verifying: dict[str, threading.Event] = {}
        self._threads: set[threading.Thread] = set()
        self._emitting = threading.Lock()
        self._closed = False
        self._read.connect(self._on_read)
        self._found.connect(self._on_found)
        self._scanned.connect(self._on_scanned)
        self._gone.connect(self._on_gone)
        self._taken.connect(self._on_taken)
        recents.changed.connect(self._on_recents)

    # -- what there is -----------------------------------------------------------------------

    @property
    def entries(self) -> tuple[LibraryEntry, ...]:
        """The list now."""
        return self._shelf.entries

    @property
    def watched(self) -> tuple[Path, ...]:
        """Folders below which checkpoints are looked for."""
        return self._shelf.watched

    @property
    def state(self) -> ScanState:
        """What the search does."""
        return self._state

    @property
    def is_read(self) -> bool:
        """Whether `entries` are those of the file at least."""
        return self._is_read

    def entry(self, folder: Path | str) -> LibraryEntry | None:
        """The entry of a folder."""
        key = key_of(folder)
        return next((one for one in self.entries if key_of(one.folder) == key), None)

    def is_verifying(self, folder: Path | str) -> bool:
        """Whether its files are being compared."""
        return str(folder) in self._verifying

    # -- looking -----------------------------------------------------------------------------

    def look(self) -> None:
        """Read the list of the last run, once, and search anew; `changed` follows."""
        if not self._asked_to_read:
            self._asked_to_read = True
            self._jobs.submit("read library", lambda: self._tell(self._read, self._file.read()))
        elif self._is_read:
            self._search()

    def cancel(self) -> None:
        """Leave the search; what it has found by now stays."""
        self._again = False
        self._stop.set()

    @Slot(object)
    def _on_read(self, shelf: Shelf) -> None:
        early = self._shelf  # added before the file was read
        entries = {key_of(one.folder): one for one in (*early.entries, *shelf.entries)}
        watched = dict.fromkeys((*shelf.watched, *early.watched))
        self._is_read = True
        self._shelf = Shelf(tuple(entries.values()), tuple(watched), shelf.hidden - set(entries))
        self._take_used()
        self.changed.emit()
        self._search()

    def _search(self) -> None:
        if self._closed:
            return
        if self._state.running:
            self._again = True
            return
        self._again = False
        self._stop = stop = threading.Event()
        self._set_state(ScanState(True, len(self.entries)))
        shelf, used, downloads = self._shelf, self._used(), self._downloads()
        opened = tuple(Path(recent.folder) for recent in self._recents.entries)

        def run() -> None:
            from qwen_desktop.engine.gpus import this_machine
            from qwen_desktop.hub import places

            try:
                search = Search(
                    shelf,
                    opened,
                    used,
                    downloads,
                    self._machine() or this_machine(),
                    places.hugging_face_cache(),
                    places.modelscope_cache(),
                )
                found = scan(search, lambda one, rest: self._tell(self._found, one, rest), stop)
                self._tell(self._scanned, found)
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report = report_of(error)
                _log.error("library: %s", report.for_log())
                self._tell(self._scanned, None)
                self._tell(self.problem, report)

        self._on_thread("library", run)

    def _used(self) -> dict[str, float]:
        return {key_of(recent.folder): recent.used_at for recent in self._recents.entries}

    @Slot(object, int)
    def _on_found(self, entries: tuple[LibraryEntry, ...], waiting: int) -> None:
        """Some are looked into: they take the place of what was known of them."""
        fresh = {key_of(entry.folder): entry for entry in entries}
        known = {key_of(entry.folder): entry for entry in self.entries}
        self._put({**known, **self._without_hidden(fresh)}.values())
        self._set_state(ScanState(True, waiting))

    @Slot(object)
    def _on_scanned(self, entries: tuple[LibraryEntry, ...] | None) -> None:
        if entries is not None:
            fresh = self._without_hidden({key_of(entry.folder): entry for entry in entries})
            # What was added while the search ran is looked into by the next one.
            added = [one for one in self.entries if not one.stamp and one.place is Place.ADDED]
            self._put({**{key_of(one.folder): one for one in added}, **fresh}.values())
            self._save()
        self._set_state(ScanState())
        if self._again:
            self._search()

    def _without_hidden(self, entries: dict[str, LibraryEntry]) -> dict[str, LibraryEntry]:
        return {key: entry for key, entry in entries.items() if key not in self._shelf.hidden}

    def _put(self, entries: Iterable[LibraryEntry]) -> None:
        kept = tuple(entries)[:MOST]
        if kept != self.entries:
            self._shelf = replace(self._shelf, entries=kept)
            self._take_used()
            self.changed.emit()

    def _set_state(self, state: ScanState) -> None:
        if state != self._state:
            self._state = state
            self.scan_changed.emit(state)

    @Slot()
    def _on_recents(self) -> None:
        if self._is_read and self._take_used():
            self._save()
            self.changed.emit()

    def _take_used(self) -> bool:
        """Note when folders were opened last; whether that is news."""
        used = self._used()
        entries = tuple(
            replace(one, used_at=used.get(key_of(one.folder), one.used_at)) for one in self.entries
        )
        is_news = entries != self.entries
        self._shelf = replace(self._shelf, entries=entries)
        return is_news

    def _save(self) -> None:
        shelf = self._shelf
        if self._is_read:
            self._jobs.submit("library", lambda: self._write(shelf))

    def _write(self, shelf: Shelf) -> None:
        try:
            self._file.save(shelf)
        except Exception as error:  # noqa: BLE001 - the border of that thread
            self._tell(self.problem, report_of(error))

    # -- the list ----------------------------------------------------------------------------

    def take_in(self, folder: Path) -> None:
        """Add a checkpoint; a folder that is none itself is watched, with all that is below it."""

        def run() -> None:
            try:
                names = {path.name for path in folder.iterdir()}
                is_one = "config.json" in names or any(n.endswith(".safetensors") for n in names)
            except OSError as error:
                from qwen_desktop.hub import trouble

                self._tell(self.problem, trouble.of_disk(error, folder).report())
            else:
                self._tell(self._taken, folder, is_one)

        self._on_thread("library folder", run)

    @Slot(object, bool)
    def _on_taken(self, folder: Path, is_one: bool) -> None:
        if is_one:
            self.add(folder)
        else:
            self.watch(folder)

    def add(self, folder: Path) -> None:
        """Put a folder on the list."""
        key = key_of(folder)
        known = self.entry(folder)
        entry = known or LibraryEntry(folder, model_name(folder) or str(folder), Place.ADDED)
        others = tuple(one for one in self.entries if key_of(one.folder) != key)
        self._change((replace(entry, place=Place.ADDED), *others), hidden=-1, key=key)

    def forget(self, folder: Path) -> None:
        """Take a folder off the list; its files stay."""
        key = key_of(folder)
        others = tuple(one for one in self.entries if key_of(one.folder) != key)
        self._change(others, hidden=1, key=key, search=False)

    def watch(self, parent: Path) -> None:
        """Look for checkpoints below `parent` from now on."""
        if parent not in self.watched:
            # Whoever takes a folder in again wants to see all that is in it.
            hidden = {key for key in self._shelf.hidden if parent not in Path(key).parents}
            self._shelf = replace(
                self._shelf, watched=(*self.watched, parent), hidden=frozenset(hidden)
            )
            self._after_change()

    def unwatch(self, parent: Path) -> None:
        """Leave it; what was found there goes off the list."""
        watched = tuple(one for one in self.watched if one != parent)
        entries = tuple(
            one
            for one in self.entries
            if one.place is not Place.WATCHED or parent not in (one.folder, *one.folder.parents)
        )
        self._shelf = replace(self._shelf, watched=watched, entries=entries)
        self._after_change()

    def _change(
        self,
        entries: tuple[LibraryEntry, ...],
        *,
        hidden: int,
        key: str,
        search: bool = True,
    ) -> None:
        kept = self._shelf.hidden | {key} if hidden > 0 else self._shelf.hidden - {key}
        self._shelf = replace(self._shelf, entries=entries, hidden=kept)
        self._after_change(search=search)

    def _after_change(self, *, search: bool = True) -> None:
        self._save()
        self.changed.emit()
        if search and self._is_read:
            self._search()

    # -- files -------------------------------------------------------------------------------

    def verify(self, folder: Path) -> None:
        """Compare its files with the hashes that a hub gave for them."""
        name = str(folder)
        if name in self._verifying:
            return
        stop = self._verifying[name] = threading.Event()

        def run() -> None:
            from qwen_desktop.hub.verifying import verify

            try:
                found = verify(folder, lambda *at: self._tell(self.verify_moved, name, *at), stop)
            except Cancelled:
                self._end_verifying(name)
                self._tell(self.left, name)
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                self._end_verifying(name)
                self._tell(self.failed, name, _logged(error))
            else:
                self._end_verifying(name)
                self._tell(self.verified, name, found)

        self._on_thread("verify", run)

    def _end_verifying(self, name: str) -> None:
        self._verifying.pop(name, None)  # one step: safe from this thread

    def stop_verifying(self, folder: Path) -> None:
        """Leave it."""
        if (stop := self._verifying.get(str(folder))) is not None:
            stop.set()

    def plan_removal(self, folder: Path) -> None:
        """Find out what deleting its files would take away."""
        from_thread = self.removal_planned

        def run() -> None:
            from qwen_desktop.hub.removing import plan_removal

            try:
                self._tell(from_thread, str(folder), plan_removal(folder))
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                self._tell(self.failed, str(folder), _logged(error))

        self._on_thread("removal", run)

    def remove(self, removal: Removal) -> None:
        """Delete what `removal` says."""
        name = str(removal.folder)

        def run() -> None:
            from qwen_desktop.hub.removing import carry_out

            try:
                freed = carry_out(removal)
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                self._tell(self.failed, name, _logged(error))
            else:
                self._tell(self._gone, name, freed)

        self._on_thread("removal", run)

    @Slot(str, object)
    def _on_gone(self, folder: str, freed: int) -> None:
        key = key_of(folder)
        self._shelf = replace(
            self._shelf, entries=tuple(e for e in self.entries if key_of(e.folder) != key)
        )
        self._recents.forget(folder)
        self._after_change()
        self.removed.emit(folder, freed)

    def guess(self, folder: Path) -> None:
        """Find out which repository a folder may be of, from its files alone."""

        def run() -> None:
            from qwen_desktop.hub.adopt import guesses
            from qwen_desktop.hub.catalogue import bundled

            try:
                self._tell(self.guessed, str(folder), guesses(folder, bundled()))
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                self._tell(self.failed, str(folder), _logged(error))

        self._on_thread("guess", run)

    # -- threads -----------------------------------------------------------------------------

    def _on_thread(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _tell(self, signal: object, *values: object) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]

    def close(self) -> None:
        """End what runs. Threads that hang on a disk are left to the system."""
        self._stop.set()
        for stop in list(self._verifying.values()):
            stop.set()
        with self._emitting:
            self._closed = True
        for thread in list(self._threads):
            thread.join(1.0)


def _logged(error: BaseException) -> Report:
    report = report_of(error)
    _log.warning("library: %s", report.for_log())
    return report
