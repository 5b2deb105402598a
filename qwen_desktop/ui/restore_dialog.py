"""Asks what to do with a saved profile: add what is missing, or put it in place of this one."""

from __future__ import annotations

from PySide6.QtCore import QDateTime, QLocale, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialogButtonBox, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.chat.exporting import ProfileContents
from qwen_desktop.ui.controls import Bar, Button, Label
from qwen_desktop.ui.dialog import Dialog


class RestoreDialog(Dialog):
    """Signals: `merge_chosen()`, `replace_chosen()`, `cancel_requested()` while that runs."""

    merge_chosen = Signal()
    replace_chosen = Signal()
    cancel_requested = Signal()

    def __init__(self, contents: ProfileContents, parent: QWidget | None = None) -> None:
        super().__init__("restoreDialog", self.tr("Restore a profile"), parent)
        self.setMinimumWidth(480)
        self._running = False
        locale = QLocale()
        when = QDateTime.fromSecsSinceEpoch(int(min(max(contents.made_at, 0), 2**33)))
        self.words = Label(
            self.tr("“{name}”, saved on {when}. Chats: {conversations}.").format(
                name=contents.file.name,
                when=locale.toString(when, QLocale.FormatType.ShortFormat),
                conversations=locale.toString(min(contents.conversations, 2**31)),
            ),
            14,
            wrap=True,
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(10)
        column.addWidget(self.words)
        self.merge = self._choice("restoreMerge", self.tr("Add the chats that are missing"))
        self.replace = self._choice(
            "restoreReplace", self.tr("Replace everything at the next start")
        )
        self.note = Label(
            self.tr(
                "Replacing takes over settings and presets as well. What is here now is not "
                "deleted: it is moved into a folder “before restore …” of the profile."
            ),
            12,
            dim=True,
            wrap=True,
        )
        self.bar = Bar()
        self.bar.setObjectName("restoreProgress")
        self.bar.setAccessibleName(self.tr("Progress"))
        self.bar.hide()
        for widget in (self.merge, self.replace, self.note, self.bar):
            column.addWidget(widget)
        self.merge.clicked.connect(self._merge)
        self.replace.clicked.connect(self.replace_chosen)
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.setObjectName("restoreCancel")
        self.cancel.setAccessibleName(self.tr("Cancel"))
        self.cancel.setDefault(True)
        self.cancel.clicked.connect(self.reject)
        buttons = QDialogButtonBox()
        buttons.addButton(self.cancel, QDialogButtonBox.ButtonRole.RejectRole)
        column.addSpacing(4)
        column.addWidget(buttons)
        self.cancel.setFocus()  # Enter does what is seen to be chosen

    def _choice(self, name: str, text: str) -> Button:
        button = Button(text, height=36, align_left=True)
        button.setObjectName(name)
        button.setAccessibleName(text)
        return button

    def _merge(self) -> None:
        self.accept()
        self.merge_chosen.emit()

    def show_progress(self, part: float) -> None:
        """It is being verified."""
        self._running = True
        self.merge.setEnabled(False)
        self.replace.setEnabled(False)
        self.bar.show()
        self.bar.setValue(round(part * Bar.STEPS))

    def show_end(self) -> None:
        """Nothing is under way any more."""
        self._running = False

    def reject(self) -> None:
        """Cancel what runs; else close."""
        if self._running:
            self.cancel.setEnabled(False)
            self.cancel_requested.emit()
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        """The same as Cancel."""
        if self._running:
            event.ignore()
            self.reject()
        else:
            super().closeEvent(event)
