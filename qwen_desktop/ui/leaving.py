"""The end of the window: nothing that is not on disk goes without a question.

Imported when the window is built; the dialog when it is needed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QStandardPaths, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication

from qwen_desktop.bridge.rescue import Rescue
from qwen_desktop.bridge.saving import PASSING

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.saving import SavingState
    from qwen_desktop.bridge.store_client import StoreClient
    from qwen_desktop.errors import Report
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.unsaved_dialog import UnsavedDialog

SESSION_END_SECONDS = 3.0  # the session waits for us as long, then ends us


class Leaving(QObject):
    """Belongs to the window. Signal: `saved_elsewhere(Path)`."""

    saved_elsewhere = Signal(object)

    def __init__(self, window: MainWindow, chats: Chats, store: StoreClient) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._store = store
        self._may_go = False
        self._asked = False  # the store is trying once more
        self._trouble: Report | None = None  # why something waited last
        self._dialog: UnsavedDialog | None = None
        self._rescue = Rescue(self)
        self._rescue.written.connect(self._on_written)
        self._rescue.failed.connect(self._on_failed)
        self._store.saving_changed.connect(self._on_saving)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            # Direct: when the slot has returned, the session may end the process.
            direct = Qt.ConnectionType.DirectConnection
            application.commitDataRequest.connect(self._on_session_end, direct)
            application.saveStateRequest.connect(self._on_session_end, direct)

    # -- going -----------------------------------------------------------------------------

    def may_go(self) -> bool:
        """Whether the window can close now.

        If not, all that waits is tried once more; the window then closes by itself, or a dialog
        asks. Closed again while that is open (by a signal of the system), it goes.
        """
        self.flush()
        if self._may_go or self._store.is_settled or self._dialog is not None:
            return True
        self._try()
        return False

    def flush(self) -> None:
        """Give the store all that is typed and said."""
        self._window.composer.flush_draft()
        self._window.pane.flush()
        self._chats.flush()

    @Slot()
    def _try(self) -> None:
        if not self._asked:
            self._asked = True
            self._store.settle(self._on_settled)

    def _on_settled(self, state: SavingState) -> None:
        self._asked = False
        if state.all_saved:
            self._go()
        elif self._dialog is None:
            from qwen_desktop.ui.unsaved_dialog import UnsavedDialog

            self._dialog = UnsavedDialog(state, self._window)
            self._dialog.again_requested.connect(self._try)
            self._dialog.file_requested.connect(self.choose_file)
            self._dialog.quit_requested.connect(self._go)
            self._dialog.finished.connect(self._on_finished)
            self._store.saving_changed.connect(self._dialog.set_state)
            self._dialog.open()
        else:
            self._dialog.say_again(state)

    @Slot()
    def _go(self) -> None:
        self._may_go = True
        if self._dialog is not None:
            self._dialog.done(0)
        self._window.close()

    @Slot()
    def _on_finished(self) -> None:
        self._dialog = None

    @Slot(object)
    def _on_saving(self, state: SavingState) -> None:
        self._window.finish_building()
        self._window.notices.show_saving(state, self.choose_file)
        if state.report is not None:
            self._trouble = state.report
        shown = self._window.banner.report
        if state.all_saved and shown is not None and _is_same(shown, self._trouble):
            self._window.banner.dismiss()  # what was refused for that reason can go now

    # -- the end of the session ------------------------------------------------------------

    @Slot()
    def _on_session_end(self) -> None:
        """The user logs out: what is typed and said is on disk when this returns, or refused."""
        self.flush()
        self._store.wait(SESSION_END_SECONDS)

    # -- to a file -------------------------------------------------------------------------

    @Slot()
    def choose_file(self) -> None:
        """Ask where to write what is not on disk."""
        from qwen_desktop.ui.unsaved_dialog import file_picker

        parent: QWidget = self._dialog if self._dialog is not None else self._window
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        name = time.strftime("Qwen Desktop %Y-%m-%d %H-%M.qwenchat.json")
        picker = file_picker(parent, Path(folder or ".") / name)
        picker.accepted.connect(lambda: self.save_to(Path(picker.selectedFiles()[0])))
        picker.open()

    def save_to(self, file: Path) -> None:
        """Write what is not on disk to `file`."""
        self.flush()
        self._rescue.write(file, self._chats.unsaved())

    @Slot(object)
    def _on_written(self, file: Path) -> None:
        if self._dialog is not None:
            self._dialog.say_written(file)
        else:
            self._window.toast.show_text(self.tr("Saved to {file}").format(file=file))
        self.saved_elsewhere.emit(file)

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        if self._dialog is not None:
            self._dialog.say_failed(report)
        else:
            self._window.show_problem(report)


def _is_same(one: Report, other: Report | None) -> bool:
    """Whether two reports are of the same trouble with the same file."""
    if other is None or one.code != other.code or one.code not in PASSING:
        return False
    return dict(one.values).get("file") == dict(other.values).get("file")
