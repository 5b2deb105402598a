"""Backups of the conversations: one a day while nobody waits, more when asked for, and the way
back to one. QtCore only.

They are made on a thread of their own, by a connection of their own: neither the window nor the
journal of an answer waits for one. Only going back to one needs the store's thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.backup import BackupInfo, BackupReason
from qwen_desktop.errors import Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.storage.backups import BackupFolder

_log = logging.getLogger(__name__)

LOOK_MS = 30_000  # after the start, and from then on, it is looked whether one is due
CLOSING_PATIENCE_SECONDS = 0.1  # the end of the program waits no longer for one under way


class Backups(QObject):
    """Does one thing at a time. Lives on the main thread.

    Signals: `listed(tuple[BackupInfo, ...])`, newest first; `made(BackupInfo)` for one that was
    asked for; `restored(BackupInfo)`: the conversations are those of it now; `failed(Report)`;
    `busy_changed(bool)`.
    """

    listed = Signal(object)
    made = Signal(object)
    restored = Signal(object)
    failed = Signal(object)
    busy_changed = Signal(bool)
    _done = Signal(object, object)  # what to do with it, the result or Report

    def __init__(
        self, file: Path, store: StoreClient, chats: Chats, parent: QObject | None = None
    ) -> None:
        """`file` is the database."""
        super().__init__(parent)
        self._file = file
        self._store = store
        self._chats = chats
        self._busy = False
        self._closed = False
        self._emitting = threading.Lock()  # no thread tells anything after the end
        self._told_failure = False
        self._to_restore: BackupInfo | None = None  # once the answer has ended
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.make_daily)
        self._done.connect(self._on_done)
        chats.run_changed.connect(self._on_run)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._file.parent / "backups"

    @property
    def busy(self) -> bool:
        """Whether a backup is made or restored, or is to be when an answer has ended."""
        return self._busy or self._to_restore is not None

    def start(self) -> None:
        """Begin to make daily backups."""
        self._timer.start()

    def read(self) -> None:
        """Tell which backups there are: `listed`."""
        self._beside(lambda folder: folder.list(), self.listed.emit, self.failed.emit)

    @Slot()
    def make_daily(self) -> None:
        """Make one where the newest is a day old, if nothing else is to do."""
        if self.busy or self._chats.run.running or not self._store.saving.all_saved:
            return  # where changes do not fit, no copy does

        def make(folder: BackupFolder) -> None:
            if folder.due():
                folder.make(BackupReason.DAILY)

        def done(_: None) -> None:
            self._told_failure = False

        def failed(report: Report) -> None:
            if not self._told_failure:  # once: it is tried again
                self._told_failure = True
                self.failed.emit(report)

        def begin(*then: Callable[[Any], None]) -> None:
            self._beside(make, *then)

        self._alone(begin, done, failed)

    def make(self) -> None:
        """Make one now: `made`, then `listed`."""
        if self.busy:
            return

        def done(info: BackupInfo) -> None:
            self.made.emit(info)
            self.read()

        def begin(*then: Callable[[Any], None]) -> None:
            self._beside(lambda folder: folder.make(BackupReason.ASKED), *then)

        self._alone(begin, done, self.failed.emit)

    def restore(self, info: BackupInfo) -> None:
        """Go back to a backup: `restored`. An answer being written is stopped first.

        The conversations as they are now become a backup before.
        """
        if self.busy:
            return
        self._to_restore = info
        self.busy_changed.emit(True)
        if self._chats.run.running:
            self._chats.stop()
        self._on_run()

    @Slot()
    def _on_run(self) -> None:
        if self._to_restore is not None and not self._chats.run.running:
            # A turn of the event loop later the store has been given the end of the answer.
            QTimer.singleShot(0, self, self._restore_now)

    @Slot()
    def _restore_now(self) -> None:
        info = self._to_restore
        if info is None or self._chats.run.running or self._busy:
            return
        self._to_restore = None
        self._chats.flush()

        def done(_: None) -> None:
            self._chats.reload()
            self.restored.emit(info)
            self.read()

        def begin(*then: Callable[[Any], None]) -> None:
            # Behind the end of the answer and all else that was changed.
            self._store.write(lambda store: store.backups.restore(info), *then)

        self._alone(begin, done, self.failed.emit)

    # -- threads ---------------------------------------------------------------------------

    def _alone(
        self,
        begin: Callable[..., None],
        done: Callable[[Any], None],
        failed: Callable[[Report], None],
    ) -> None:
        """Begin something of which there is one at a time."""

        def ended(then: Callable[[Any], None]) -> Callable[[Any], None]:
            def tell(result: Any) -> None:
                self._set_busy(False)
                then(result)

            return tell

        self._set_busy(True)
        begin(ended(done), ended(failed))

    def _set_busy(self, busy: bool) -> None:
        self._busy = busy
        self.busy_changed.emit(busy)

    def _beside(
        self,
        job: Callable[[BackupFolder], Any],
        done: Callable[[Any], None],
        failed: Callable[[Report], None],
    ) -> None:
        """Run `job` on a thread of its own, then one of the handlers on this one."""

        def work() -> None:
            then: Callable[[Any], None]
            result: Any
            try:
                from qwen_desktop.storage.backups import BackupFolder

                then, result = done, job(BackupFolder(self._file))
            except Exception as error:  # noqa: BLE001 - the border of this thread
                then, result = failed, report_of(error)
                _log.error("backups: %s", result.for_log())
            with self._emitting:
                if not self._closed:
                    self._done.emit(then, result)

        threading.Thread(target=work, name="backups", daemon=True).start()

    @Slot(object, object)
    def _on_done(self, then: Callable[[Any], None], result: object) -> None:
        then(result)

    def close(self) -> None:
        """Make no more of them, before the store is closed.

        One under way is left, and the store does not wait for it: the next one removes what there
        is of it.
        """
        self._timer.stop()
        if self._busy:
            self._store.submit(lambda store: store.database.wait_for_lock(CLOSING_PATIENCE_SECONDS))
        with self._emitting:
            self._closed = True
