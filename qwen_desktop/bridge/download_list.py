"""The list of downloads on the main thread, kept over restarts. QtCore only; see `downloads.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.download_work import here
from qwen_desktop.chat.downloads import MOST, DownloadEntry, Overview, Stage, overview
from qwen_desktop.errors import Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.bridge.file_jobs import FileJobs
    from qwen_desktop.storage.downloads import DownloadsFile


class DownloadList(QObject):
    """`entries` are in the order in which they run.

    Signals: `changed()`: entries came, went, moved, or are at another stage;
    `overview_changed(Overview)`; `problem(Report)`: trouble with the list or with deleting;
    `read()`: the list of the last run is there.
    """

    changed = Signal()
    overview_changed = Signal(object)
    problem = Signal(object)
    read = Signal()
    _read = Signal(object, object)  # entries of the file, Report or None

    def __init__(self, file: DownloadsFile, files: FileJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file, self._files = file, files
        self._entries: tuple[DownloadEntry, ...] = ()
        self._overview = Overview()
        self._threads: set[threading.Thread] = set()
        self._emitting = threading.Lock()
        self._closed = False
        self._is_read = False
        self._read.connect(self._on_read)

    @property
    def entries(self) -> tuple[DownloadEntry, ...]:
        """The list now."""
        return self._entries

    @property
    def overview(self) -> Overview:
        """All of it in one line."""
        return self._overview

    @property
    def busy(self) -> bool:
        """Whether something runs or waits for its turn."""
        return self._overview.active > 0

    @property
    def goes_on(self) -> bool:
        """Whether what is under way goes on by itself at the next start."""
        return False

    def entry(self, entry_id: str) -> DownloadEntry | None:
        """One of them."""
        return next((entry for entry in self._entries if entry.id == entry_id), None)

    def start_reading(self) -> None:
        """Read the list of the last run; it is there a moment later. To be called once."""
        self._on_thread("downloads file", self._read_file)

    def move_waiting(self, entry_id: str, by: int) -> None:
        """Let one that waits have its turn before the one that waits before it (`by` -1), or
        after the next (1).
        """
        places = [n for n, entry in enumerate(self._entries) if entry.stage is Stage.QUEUED]
        here = next((n for n, at in enumerate(places) if self._entries[at].id == entry_id), None)
        if here is None or not 0 <= here + by < len(places):
            return
        entries, one, other = list(self._entries), places[here], places[here + by]
        entries[one], entries[other] = entries[other], entries[one]
        self._set(tuple(entries))

    def _read_file(self) -> None:
        try:
            entries, report = tuple(map(_as_killed, self._file.read())), self._file.problem
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            entries, report = (), report_of(error)
        self._tell(self._read, entries, report)

    @Slot(object, object)
    def _on_read(self, entries: tuple[DownloadEntry, ...], report: Report | None) -> None:
        self._is_read = True
        mine = {entry.folder for entry in self._entries}  # asked for before the list was there
        earlier = tuple(_after_restart(e, self.goes_on) for e in entries if e.folder not in mine)
        if earlier or self._entries:
            self._set((*earlier, *self._entries))
        if report is not None:
            self.problem.emit(report)
        self.read.emit()

    def _replace(self, entry: DownloadEntry) -> None:
        self._set(tuple(entry if one.id == entry.id else one for one in self._entries))

    def _put(self, entry: DownloadEntry) -> None:
        """Change a row without telling of it or saving it."""
        self._entries = tuple(entry if one.id == entry.id else one for one in self._entries)

    def _set(self, entries: tuple[DownloadEntry, ...]) -> None:
        self._entries = _shortened(entries)
        if self._is_read:
            kept = self._entries
            self._files.submit("downloads", lambda: self._file.save(kept))
        self.changed.emit()
        self._tell_overview()

    def _tell_overview(self) -> None:
        now = overview(self._entries)
        if now != self._overview:
            self._overview = now
            self.overview_changed.emit(now)

    # -- threads -----------------------------------------------------------------------------

    def _on_thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        self._threads = {thread for thread in self._threads if thread.is_alive()}
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()
        return thread

    def _tell(self, signal: object, *values: object) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]

    def silence(self) -> None:
        """Emit nothing from other threads any more."""
        with self._emitting:
            self._closed = True

    def wait_for_threads(self, until: float) -> None:
        """Wait for them until this moment of a monotonic clock, at most."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


def _after_restart(entry: DownloadEntry, goes_on: bool) -> DownloadEntry:
    """What was under way when the program ended waits for the user, unless he wants it to go on."""
    if entry.stage.is_active:
        waits = Stage.PAUSED if entry.stage is Stage.PAUSING or not goes_on else Stage.QUEUED
        return replace(entry, stage=waits)
    return entry


def _shortened(entries: tuple[DownloadEntry, ...]) -> tuple[DownloadEntry, ...]:
    """Without the oldest that are done, where there are too many."""
    spare = len(entries) - MOST
    if spare <= 0:
        return entries
    old = [entry.id for entry in entries if entry.stage is Stage.DONE][:spare]
    return tuple(entry for entry in entries if entry.id not in old)


def _as_killed(entry: DownloadEntry) -> DownloadEntry:
    """One that ran when the program was killed: how much of it came, only its folder knows."""
    if entry.stage is not Stage.RUNNING:
        return entry
    return replace(entry, done=max(entry.done, here(entry)))
