"""What the window does about the whole profile as one file: saving it, bringing one back.

Its dialogs are imported when they are asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QAction, QDesktopServices
from PySide6.QtWidgets import QApplication

from qwen_desktop.bridge.profile_files import ProfileFiles
from qwen_desktop.chat.exporting import ProfileContents
from qwen_desktop.ui.checkpoints import QT_DIALOGS

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from qwen_desktop.errors import Report
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.restore_dialog import RestoreDialog

EXTENSION = ".qwenprofile"


class WholeProfile(QObject):
    """Belongs to the window. `take_in` imports the conversations of files.

    `actions` are for the settings.
    """

    def __init__(
        self,
        window: MainWindow,
        files: ProfileFiles,
        take_in: Callable[[Iterable[Path]], object],
    ) -> None:
        super().__init__(window)
        self._window = window
        self._files = files
        self._take_in = take_in
        self._dialog: RestoreDialog | None = None
        self.actions = (
            self._action("save_profile", self.tr("Save the whole profile…"), self.save),
            self._action("restore_profile", self.tr("Restore a profile…"), self.restore),
        )
        files.progressed.connect(self._on_progress)
        files.saved.connect(self._on_saved)
        files.looked.connect(self._on_looked)
        files.prepared.connect(self._on_prepared)
        files.failed.connect(self._on_failed)
        files.cancelled.connect(self._on_cancelled)

    def _action(self, name: str, words: str, slot: Callable[[], None]) -> QAction:
        action = QAction(words, self)
        action.setObjectName(name)
        action.triggered.connect(slot)
        return action

    @Slot()
    def save(self) -> None:
        """Ask where to, and write everything into one file."""
        name = self.tr("Qwen Desktop profile") + time.strftime(" %Y-%m-%d") + EXTENSION
        self._pick(self.tr("Save the whole profile"), self._save, name)

    @Slot()
    def restore(self) -> None:
        """Ask for a saved profile, and what to do with it."""
        self._pick(self.tr("Restore a profile"), lambda file: self._files.look(file))

    def _pick(self, title: str, then: Callable[[Path], object], name: str = "") -> None:
        """The picker of the platform; with a `name` for a file to be written."""
        from PySide6.QtWidgets import QFileDialog

        parent: QWidget = QApplication.activeModalWidget() or self._window
        picker = QFileDialog(parent, title)
        picker.setObjectName("profileFile")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.setNameFilter(f"*{EXTENSION}")
        if name:
            picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            picker.setDefaultSuffix(EXTENSION[1:])
        else:
            picker.setFileMode(QFileDialog.FileMode.ExistingFile)
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        if name:
            picker.selectFile(name)
        picker.accepted.connect(lambda: then(Path(picker.selectedFiles()[0])))
        picker.open()

    def _save(self, target: Path) -> None:
        if target.suffix != EXTENSION and not target.exists():
            named = target.with_name(target.name + EXTENSION)
            target = target if named.exists() else named  # nobody was asked about that one
        if self._files.save(target):
            self._tell(self.tr("Saving the profile…"))

    def _tell(self, text: str, action: tuple[str, Callable[[], None]] | None = None) -> None:
        self._window.finish_building()
        self._window.toast.show_text(text, action=action)

    @Slot(object)
    def _on_saved(self, contents: ProfileContents) -> None:
        folder = QUrl.fromLocalFile(str(contents.file.parent))
        self._tell(
            self.tr("Saved “{name}”").format(name=contents.file.name),
            (self.tr("Show in folder"), lambda: _open(folder)),
        )

    @Slot(object)
    def _on_looked(self, contents: ProfileContents) -> None:
        from qwen_desktop.ui.restore_dialog import RestoreDialog

        dialog = RestoreDialog(contents, QApplication.activeModalWidget() or self._window)
        dialog.merge_chosen.connect(lambda: self._take_in((contents.file,)))
        dialog.replace_chosen.connect(lambda: self._prepare(contents.file))
        dialog.cancel_requested.connect(self._files.cancel)
        dialog.finished.connect(self._forget_dialog)
        self._dialog = dialog
        dialog.open()

    def _prepare(self, file: Path) -> None:
        if self._files.prepare(file) and self._dialog is not None:
            self._dialog.show_progress(0.0)

    @Slot()
    def _forget_dialog(self) -> None:
        self._dialog = None

    @Slot(float)
    def _on_progress(self, part: float) -> None:
        if self._dialog is not None and self._files.busy:
            self._dialog.show_progress(part)

    @Slot(object)
    def _on_prepared(self, _: ProfileContents) -> None:
        self._close_dialog()
        self._tell(
            self.tr("The profile is replaced at the next start"),
            (self.tr("Quit now"), lambda: _quit(self._window)),
        )

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        self._close_dialog()
        self._window.show_problem(report)

    @Slot()
    def _on_cancelled(self) -> None:
        self._close_dialog()

    def _close_dialog(self) -> None:
        if self._dialog is not None:
            self._dialog.show_end()
            self._dialog.accept()


def _open(folder: QUrl) -> None:
    QDesktopServices.openUrl(folder)


def _quit(window: MainWindow) -> None:
    window.close()
