"""The store on its own thread, asked from the main thread. QtCore only.

One thread owns the SQLite connection and does every write, so that the window never waits for a
disk. Jobs run in the order they were submitted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMetaObject, QObject, Qt, QThread, Signal, Slot

from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

_log = logging.getLogger(__name__)

Job = Callable[["Store"], Any]


def _nothing(_: Any) -> None:
    """Do nothing with a result."""


class _Worker(QObject):
    """Lives on the store thread. `done` and `failed` carry the job's id and result or Report."""

    done = Signal(str, object)
    failed = Signal(str, object)

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._store: Store | None = None

    @Slot(str, object)
    def execute(self, job_id: str, job: Job) -> None:
        """Run `job` with the open store (opened by the first job)."""
        try:
            if self._store is None:
                # sqlite3 stays off the path to the first paint.
                from qwen_desktop.storage.store import Store

                self._store = Store.open(self._file)
            result = job(self._store)
        except Exception as error:  # noqa: BLE001 - the border of this thread: all become Reports
            report = report_of(error)
            _log.error("storage job failed: %s", report.details or report.template)
            self.failed.emit(job_id, report)
        else:
            self.done.emit(job_id, result)

    @Slot()
    def shutdown(self) -> None:
        """Close the store, after every job submitted before."""
        if self._store is not None:
            try:
                self._store.close()
            except Exception as error:  # noqa: BLE001 - closing must go on; the data is committed
                _log.error("closing the store: %s", report_of(error).details)
            self._store = None


@dataclass(frozen=True)
class _Waiting:
    on_done: Callable[[Any], None]
    on_failed: Callable[[Report], None]


class StoreClient(QObject):
    """Main-thread side of the store. Owned by the application.

    Signals: `problem(Report)` for failed jobs whose submitter gave no handler.
    """

    problem = Signal(object)
    _requested = Signal(str, object)

    def __init__(self, file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[str, _Waiting] = {}
        self._thread = QThread(self)
        self._thread.setObjectName("store")
        self._worker = _Worker(file)
        self._worker.moveToThread(self._thread)
        self._requested.connect(self._worker.execute)
        self._worker.done.connect(self._on_done)
        self._worker.failed.connect(self._on_failed)

    def start(self) -> None:
        """Start the thread. Jobs submitted before wait for it."""
        self._thread.start()

    def submit(
        self,
        job: Job,
        on_done: Callable[[Any], None] = _nothing,
        on_failed: Callable[[Report], None] | None = None,
    ) -> None:
        """Run `job(store)` on the store thread, then one of the handlers on this one."""
        job_id = new_id()
        self._waiting[job_id] = _Waiting(on_done, on_failed or self.problem.emit)
        self._requested.emit(job_id, job)

    @Slot(str, object)
    def _on_done(self, job_id: str, result: object) -> None:
        self._waiting.pop(job_id).on_done(result)

    @Slot(str, object)
    def _on_failed(self, job_id: str, report: Report) -> None:
        self._waiting.pop(job_id).on_failed(report)

    def close(self) -> None:
        """Finish every submitted job, close the store and end the thread."""
        if not self._thread.isRunning():
            return
        QMetaObject.invokeMethod(
            self._worker, "shutdown", Qt.ConnectionType.BlockingQueuedConnection
        )
        self._thread.quit()
        self._thread.wait()
