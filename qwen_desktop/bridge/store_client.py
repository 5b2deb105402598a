"""The store on its own thread, asked from the main thread. QtCore only.

One thread owns the SQLite connection and does every write, so that the window never waits for a
disk. Jobs run in the order they were submitted. What must not be lost is kept: while the disk
refuses it, it waits here in order and is tried again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMetaObject, QObject, Qt, QThread, QTimer, Signal, Slot

from qwen_desktop.bridge.saving import SavingState, is_refusal
from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.chat.opening import OpeningReport
    from qwen_desktop.storage.store import Store

_log = logging.getLogger(__name__)

RETRY_MS = 2000
SLOW_MS = 500  # opening that takes longer is told
# How long another program may hold the file before we say so; and while changes wait for it, as
# what is read in between must not come late.
PATIENCE_SECONDS, WAITING_PATIENCE_SECONDS = 3.0, 0.1

Job = Callable[["Store"], Any]


def _nothing(_: Any) -> None:
    """Do nothing with a result."""


@dataclass(frozen=True)
class _Kept:
    id: str
    job: Job
    key: str


class _Worker(QObject):
    """Lives on the store thread. `done` and `failed` carry the job's id and result or Report."""

    done = Signal(str, object)
    failed = Signal(str, object)
    replaced = Signal(str)  # the id of a kept job that never runs
    saving = Signal(object)  # SavingState
    opening = Signal(bool)  # the store is about to be opened; whether it was not closed
    opened = Signal(object)  # OpeningReport, or None: it cannot be opened

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._store: Store | None = None
        self._is_read_only = False
        self._kept: deque[_Kept] = deque()
        self._told = SavingState()
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.setInterval(RETRY_MS)
        self._retry.timeout.connect(self._run_kept)

    def _opened(self) -> Store:
        """The open store (opened by the first job)."""
        if self._store is None:
            # sqlite3 stays off the path to the first paint.
            from qwen_desktop.storage.pages import has_log
            from qwen_desktop.storage.store import Store

            self.opening.emit(has_log(self._file))
            try:
                self._store = Store.open(self._file)
            except BaseException:
                self.opened.emit(None)
                raise
            self._is_read_only = self._store.opening.read_only is not None
            self.opened.emit(self._store.opening)
        return self._store

    @Slot(str, object, bool)
    def execute(self, job_id: str, job: Job, in_order: bool) -> None:
        """Run `job`; one that is `in_order` fails as long as a kept one waits."""
        self._run_kept()
        if in_order and self._kept:
            self.failed.emit(job_id, self._told.report)
            return
        try:
            result = job(self._opened())
        except Exception as error:  # noqa: BLE001 - the border of this thread: all become Reports
            self.failed.emit(job_id, _logged(error))
        else:
            self.done.emit(job_id, result)

    @Slot(str, object, str)
    def keep(self, job_id: str, job: Job, key: str) -> None:
        """Run `job` after all that wait, now or when the disk takes it."""
        for other in [kept for kept in self._kept if key and kept.key == key]:
            self._kept.remove(other)
            self.replaced.emit(other.id)
        self._kept.append(_Kept(job_id, job, key))
        self._run_kept()

    @Slot(str)
    def settle(self, job_id: str) -> None:
        """Try all that waits once more; the result is the SavingState after it."""
        self._run_kept()
        self.done.emit(job_id, self._told)

    @Slot(object)
    def let_pass(self, reached: threading.Event) -> None:
        """Try all that waits once more and say that this place in the queue was reached."""
        self._run_kept()
        reached.set()

    @Slot()
    def _run_kept(self) -> None:
        """Run what is kept, up to the first that the disk refuses."""
        why: Report | None = None
        while self._kept and why is None:
            kept = self._kept[0]
            is_open = False
            try:
                store = self._opened()
                is_open = True
                result = kept.job(store)
            except Exception as error:  # noqa: BLE001 - the border of this thread, as above
                report = report_of(error)
                # Where the store cannot be opened, nothing of it is the job's fault.
                if is_refusal(report) or not is_open:
                    why = report
                else:
                    self._kept.popleft()
                    self.failed.emit(kept.id, _logged(error))
            else:
                self._kept.popleft()
                self.done.emit(kept.id, result)
        if why is not None:
            self._retry.start()
        else:
            self._retry.stop()
        if self._is_read_only and self._store is not None:
            self._look_again(self._store)
        self._tell(SavingState(len(self._kept), why))

    def _look_again(self, store: Store) -> None:
        """Tell where a store that could only be read has become one that is written."""
        if store.database.read_only is None:
            self._is_read_only = False
            self.opened.emit(replace(store.opening, read_only=None))

    def _tell(self, state: SavingState) -> None:
        if state == self._told:
            return
        if state.all_saved != self._told.all_saved and self._store is not None:
            self._store.database.wait_for_lock(
                PATIENCE_SECONDS if state.all_saved else WAITING_PATIENCE_SECONDS
            )
        if state.report is not None and state.report != self._told.report:
            why = state.report.details or state.report.text()
            _log.warning("%d changes wait for the disk: %s", state.waiting, why)
        self._told = state
        self.saving.emit(state)

    @Slot()
    def shutdown(self) -> None:
        """Try what waits once more and close the store, after every job submitted before."""
        self._run_kept()
        self._retry.stop()
        if self._store is not None:
            try:
                self._store.close()
            except Exception as error:  # noqa: BLE001 - closing must go on; the data is committed
                _log.error("closing the store: %s", report_of(error).details)
            self._store = None


def _logged(error: Exception) -> Report:
    report = report_of(error)
    _log.error("storage job failed: %s", report.for_log())
    return report


@dataclass(frozen=True)
class _Waiting:
    on_done: Callable[[Any], None]
    on_failed: Callable[[Report], None]


class StoreClient(QObject):
    """Main-thread side of the store. Owned by the application.

    Three kinds of jobs. `submit`: may fail, and is told so. `write`: the same, but never before a
    change that waits. `keep`: must not be lost.

    Signals: `problem(Report)` for failed jobs whose submitter gave no handler,
    `saving_changed(SavingState)` when changes begin to wait for the disk, when their number or
    the reason changes, and when all are saved. `opening_is_slow(bool)` where opening takes half a
    second, with whether the last run had not closed the file; then `opened(OpeningReport)`, again
    where a store that could only be read is written, or `opened(None)` where it cannot be opened.
    """

    problem = Signal(object)
    saving_changed = Signal(object)
    opening_is_slow = Signal(bool)
    opened = Signal(object)
    _requested = Signal(str, object, bool)
    _kept = Signal(str, object, str)
    _settling = Signal(str)
    _passing = Signal(object)

    def __init__(self, file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[str, _Waiting] = {}
        self._unsettled: set[str] = set()
        self._saving = SavingState()
        self._opening: OpeningReport | None = None
        self._unclean = False
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(SLOW_MS)
        self._slow.timeout.connect(lambda: self.opening_is_slow.emit(self._unclean))
        self._thread = QThread(self)
        self._thread.setObjectName("store")
        self._worker = _Worker(file)
        self._worker.moveToThread(self._thread)
        self._requested.connect(self._worker.execute)
        self._kept.connect(self._worker.keep)
        self._settling.connect(self._worker.settle)
        self._passing.connect(self._worker.let_pass)
        self._worker.done.connect(self._on_done)
        self._worker.failed.connect(self._on_failed)
        self._worker.replaced.connect(self._on_replaced)
        self._worker.saving.connect(self._on_saving)
        self._worker.opening.connect(self._on_opening)
        self._worker.opened.connect(self._on_opened)

    def start(self) -> None:
        """Start the thread. Jobs submitted before wait for it."""
        self._thread.start()

    @property
    def saving(self) -> SavingState:
        """What waits for the disk, as it was told last."""
        return self._saving

    @property
    def read_only(self) -> Report | None:
        """Why nothing can be written, where the store could only be opened to read."""
        return self._opening.read_only if self._opening is not None else None

    @property
    def is_settled(self) -> bool:
        """Whether everything that was given to `keep` and `write` is known to be on disk."""
        return not self._unsettled

    def submit(
        self,
        job: Job,
        on_done: Callable[[Any], None] = _nothing,
        on_failed: Callable[[Report], None] | None = None,
    ) -> None:
        """Run `job(store)` on the store thread, then one of the handlers on this one."""
        self._requested.emit(self._entered(on_done, on_failed), job, False)

    def write(
        self,
        job: Job,
        on_done: Callable[[Any], None] = _nothing,
        on_failed: Callable[[Report], None] | None = None,
    ) -> None:
        """As `submit`, for a change whose place is behind all kept ones.

        While those are refused it fails with their Report.
        """
        job_id = self._entered(on_done, on_failed)
        self._unsettled.add(job_id)
        self._requested.emit(job_id, job, True)

    def keep(
        self,
        job: Job,
        on_done: Callable[[Any], None] = _nothing,
        *,
        key: str = "",
        on_failed: Callable[[Report], None] | None = None,
    ) -> None:
        """Run `job(store)` as `submit` does, but do not lose it where the disk refuses.

        It then waits, every later kept job behind it, and is tried again every two seconds and
        whenever the store is asked for something. As it may begin more than once, it has to be
        one transaction, or of a kind that can be done twice. A job that waits is replaced by a
        later one of the same `key`; its handlers are not called. Other failures are final:
        `on_failed`, else `problem`.
        """
        job_id = self._entered(on_done, on_failed)
        self._unsettled.add(job_id)
        self._kept.emit(job_id, job, key)

    def settle(self, then: Callable[[SavingState], None]) -> None:
        """Try all that waits once more; `then` is given what still does."""
        self._settling.emit(self._entered(then, None))

    def wait(self, seconds: float) -> bool:
        """Block until every job so far has run; False if that takes longer than `seconds`.

        Only for where the process may be ended as soon as control is given back.
        """
        if not self._thread.isRunning():
            return False
        reached = threading.Event()
        self._passing.emit(reached)
        return reached.wait(seconds)

    def _entered(
        self, on_done: Callable[[Any], None], on_failed: Callable[[Report], None] | None
    ) -> str:
        job_id = new_id()
        self._waiting[job_id] = _Waiting(on_done, on_failed or self.problem.emit)
        return job_id

    @Slot(str, object)
    def _on_done(self, job_id: str, result: object) -> None:
        self._left(job_id).on_done(result)

    @Slot(str, object)
    def _on_failed(self, job_id: str, report: Report) -> None:
        self._left(job_id).on_failed(report)

    @Slot(str)
    def _on_replaced(self, job_id: str) -> None:
        self._left(job_id)

    def _left(self, job_id: str) -> _Waiting:
        self._unsettled.discard(job_id)
        return self._waiting.pop(job_id)

    @Slot(object)
    def _on_saving(self, state: SavingState) -> None:
        self._saving = state
        self.saving_changed.emit(state)

    @Slot(bool)
    def _on_opening(self, unclean: bool) -> None:
        self._unclean = unclean
        self._slow.start()

    @Slot(object)
    def _on_opened(self, opening: OpeningReport | None) -> None:
        self._slow.stop()
        self._opening = opening
        self.opened.emit(opening)

    def close(self) -> None:
        """Finish every submitted job, close the store and end the thread.

        What the disk still refuses then is given up.
        """
        if not self._thread.isRunning():
            return
        QMetaObject.invokeMethod(
            self._worker, "shutdown", Qt.ConnectionType.BlockingQueuedConnection
        )
        self._thread.quit()
        self._thread.wait()
