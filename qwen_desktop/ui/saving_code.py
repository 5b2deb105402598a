"""What the window does when a block of code is to become a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from qwen_desktop.bridge.text_file import TextFile

if TYPE_CHECKING:
    from qwen_desktop.errors import Report
    from qwen_desktop.ui.main_window import MainWindow


class SavingCode(QObject):
    """Asks where to, and says how it went. Belongs to the window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._folder = ""  # of the last file
        self._file = TextFile(self)
        self._file.written.connect(self._on_written)
        self._file.failed.connect(self._on_failed)

    @Slot(str, str)
    def save(self, name: str, code: str) -> None:
        """Ask where to save `code`; `name` is what is suggested."""
        from qwen_desktop.ui.save_picker import ask_where

        def chosen(file: Path) -> None:
            self._folder = str(file.parent)
            self._file.write(file, code)

        picker = ask_where(self._window, self.tr("Save code as"), name, chosen, self._folder)
        picker.setObjectName("codeTarget")

    @Slot(object)
    def _on_written(self, file: Path) -> None:
        self._window.toast.show_text(
            self.tr("Saved “{name}”").format(name=file.name),
            action=(self.tr("Show in folder"), lambda: _show(file.parent)),
        )

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        self._window.show_problem(report)


def _show(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
