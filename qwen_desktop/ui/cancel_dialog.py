"""The question what becomes of what a cancelled download has fetched."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QLocale
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialogButtonBox, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.chat.downloads import DownloadEntry
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.texts import small_size_text


class CancelDialog(Dialog):
    """Keep what is here, delete it, or go on after all, which is what Enter presses."""

    def __init__(
        self,
        entry: DownloadEntry,
        cancelled: Callable[[bool], object],
        parent: QWidget | None = None,
    ) -> None:
        """`cancelled` is given whether to delete."""
        super().__init__("cancelDownload", self.tr("Cancel the download?"), parent)
        self._cancelled = cancelled
        self.setMinimumWidth(440)
        words = self.tr("Of {name} {size} are here, in {folder}.").format(
            name=entry.name, size=small_size_text(entry.done, QLocale()), folder=entry.folder
        )
        hint = self.tr("What is kept need not be fetched again when you get this one later.")
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addWidget(Label(words, 14, wrap=True))
        column.addWidget(Label(hint, 13, dim=True, wrap=True))
        self.keep = self._button(self.tr("Cancel, keep files"), "keepFiles", False)
        self.delete = self._button(self.tr("Cancel, delete files"), "deleteFiles", True)
        self.stay = QPushButton(self.tr("Go on"))
        self.stay.setObjectName("cancel")
        self.stay.setAccessibleName(self.tr("Go on"))
        self.stay.setDefault(True)
        self.stay.clicked.connect(self.reject)
        buttons = QDialogButtonBox()
        buttons.addButton(self.delete, QDialogButtonBox.ButtonRole.DestructiveRole)
        buttons.addButton(self.keep, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.stay, QDialogButtonBox.ButtonRole.RejectRole)
        column.addWidget(buttons)
        self.stay.setFocus()

    def _button(self, words: str, name: str, delete: bool) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: self._finish(delete))
        return button

    def _finish(self, delete: bool) -> None:
        self.accept()
        self._cancelled(delete)

    def showEvent(self, event: QShowEvent) -> None:
        """All of the words are seen."""
        super().showEvent(event)
        self.fit_height()
