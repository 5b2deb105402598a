"""Searching, on a thread of its own that only reads. QtCore only."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMetaObject, QObject, Qt, QThread, Signal, Slot

from qwen_desktop.chat.search import Found
from qwen_desktop.errors import Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.storage.search import Searcher

_log = logging.getLogger(__name__)


class _Worker(QObject):
    """Lives on the search thread. `found` carries the number of a search, `failed` as well."""

    found = Signal(int, object)
    failed = Signal(int, object)
    damaged = Signal()

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._searcher: Searcher | None = None

    def _opened(self) -> Searcher:
        if self._searcher is None:
            # sqlite3 stays off the path to the first paint.
            from qwen_desktop.storage.search import Searcher

            self._searcher = Searcher(self._file)
        return self._searcher

    @Slot(int, str, object)
    def search(self, number: int, text: str, stop: threading.Event) -> None:
        """Search, unless something else is looked for by now."""
        if stop.is_set():
            return
        from qwen_desktop.storage.looking import Stopped

        searcher = self._opened()
        try:
            found = searcher.search(
                text, stop=stop, told=lambda some: self.found.emit(number, some)
            )
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - the border of this thread: all become Reports
            report = report_of(error)
            _log.error("searching failed: %s", report.for_log())
            self.failed.emit(number, report)
            return
        self.found.emit(number, found)
        self._tell_damage(searcher)

    def _tell_damage(self, searcher: Searcher) -> None:
        if searcher.is_damaged:
            searcher.is_damaged = False
            self.damaged.emit()

    @Slot()
    def warm_up(self) -> None:
        """Read what the first search needs."""
        try:
            self._opened().warm_up()
            self._tell_damage(self._opened())
        except Exception as error:  # noqa: BLE001 - as above; the first search will tell
            _log.warning("getting ready to search: %s", report_of(error).details)

    @Slot()
    def release(self) -> None:
        """Let go of the file."""
        if self._searcher is not None:
            self._searcher.close()


class Search(QObject):
    """Searches the database at `file`. Owned by the application.

    Signals: `found(Found)` for what was asked last, twice where it takes long: what there is
    first, then all. `problem(Report)` where the file cannot be read; `found` follows, with
    nothing. `index_damaged()`: it could be searched, but slowly.
    """

    found = Signal(object)
    problem = Signal(object)
    index_damaged = Signal()
    _requested = Signal(int, str, object)
    _warming = Signal()

    def __init__(self, file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._number = 0
        self._text = ""
        self._stop = threading.Event()  # of the search under way
        self._thread = QThread(self)
        self._thread.setObjectName("search")
        self._worker = _Worker(file)
        self._worker.moveToThread(self._thread)
        self._requested.connect(self._worker.search)
        self._warming.connect(self._worker.warm_up)
        self._worker.found.connect(self._on_found)
        self._worker.failed.connect(self._on_failed)
        self._worker.damaged.connect(self.index_damaged)

    def warm_up(self) -> None:
        """Make the first search as quick as others."""
        self._start()
        self._warming.emit()

    def search(self, text: str) -> None:
        """Look for `text` from now on; what was looked for before is left. "" for nothing."""
        self._stop.set()
        self._number += 1
        self._text = text
        if not text.strip():
            return
        self._stop = threading.Event()
        self._start()
        self._requested.emit(self._number, text, self._stop)

    def release(self) -> None:
        """Let go of the file, so that another may take its place. The next search opens it."""
        self._stop.set()
        if self._thread.isRunning():
            QMetaObject.invokeMethod(
                self._worker, "release", Qt.ConnectionType.BlockingQueuedConnection
            )

    def close(self) -> None:
        """End the thread."""
        self._number += 1
        self.release()
        self._thread.quit()
        self._thread.wait()

    def _start(self) -> None:
        if not self._thread.isRunning():
            self._thread.start()

    @Slot(int, object)
    def _on_found(self, number: int, found: Found) -> None:
        if number == self._number:
            self.found.emit(found)

    @Slot(int, object)
    def _on_failed(self, number: int, report: Report) -> None:
        if number == self._number:
            self.problem.emit(report)
            self.found.emit(Found(self._text))
