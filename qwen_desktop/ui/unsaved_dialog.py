"""Asks what to do where the window is closed while changes are not on disk."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.bridge.saving import SavingState
from qwen_desktop.bridge.words import translated
from qwen_desktop.errors import Report
from qwen_desktop.ui.checkpoints import QT_DIALOGS
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.notices import saving_text


class UnsavedDialog(Dialog):
    """Four ways out; closing it is Cancel. Signals: one for each of the other three."""

    again_requested = Signal()
    file_requested = Signal()
    quit_requested = Signal()

    def __init__(self, state: SavingState, parent: QWidget | None = None) -> None:
        super().__init__("unsavedDialog", self.tr("Not everything is on disk"), parent)
        self.setMinimumWidth(520)
        self.words = Label("", 14, wrap=True)
        self.words.setObjectName("unsavedWords")
        self.note = Label("", 13, dim=True, wrap=True)
        self.note.setObjectName("unsavedNote")
        self.note.setText(self.tr("What is not on disk is lost when the application quits."))
        row = QHBoxLayout()
        row.setSpacing(8)
        self.again = self._button("unsavedAgain", self.tr("Try again"))
        self.file = self._button("unsavedFile", self.tr("Save to a file…"))
        self.leave = self._button("unsavedQuit", self.tr("Quit anyway"))
        self.cancel = self._button("unsavedCancel", self.tr("Cancel"))
        for button in (self.again, self.file):
            row.addWidget(button)
        row.addStretch(1)
        for button in (self.leave, self.cancel):
            row.addWidget(button)
        self.again.setDefault(True)
        self.again.clicked.connect(self.again_requested)
        self.file.clicked.connect(self.file_requested)
        self.leave.clicked.connect(self.quit_requested)
        self.cancel.clicked.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(10)
        column.addWidget(self.words)
        column.addWidget(self.note)
        column.addSpacing(8)
        column.addLayout(row)
        self.again.setFocus()
        self.set_state(state)

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setAutoDefault(False)
        return button

    @Slot(object)
    def set_state(self, state: SavingState) -> None:
        """What waits now; all of it may have been saved while the dialog was open."""
        saved = self.tr("All changes are on disk now.")
        self.words.setText(saved if state.all_saved else saving_text(state))
        self.words.setAccessibleName(self.words.text())
        if state.all_saved:
            self.note.setText("")
            self.again.setText(self.tr("Quit"))
            self.again.setAccessibleName(self.again.text())
        self.file.setVisible(not state.all_saved)
        self.leave.setVisible(not state.all_saved)
        self.fit_height()

    def showEvent(self, event: QShowEvent) -> None:
        """All of the text is seen."""
        super().showEvent(event)
        self.fit_height()

    def say_again(self, state: SavingState) -> None:
        """It was tried, in vain."""
        self.set_state(state)
        self._say(self.tr("Tried again: the disk still refuses."))

    def say_written(self, file: Path) -> None:
        """It is all in a file elsewhere."""
        self._say(
            self.tr(
                "Saved to {file}: the chats that are shown or being answered, and all "
                "that was typed. You can quit now."
            ).format(file=file)
        )

    def say_failed(self, report: Report) -> None:
        """It could not be written there either."""
        self._say(translated(report))

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setAccessibleName(text)
        self.fit_height()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))


def file_picker(parent: QWidget, suggested: Path) -> QFileDialog:
    """The dialog of the platform that asks where to save."""
    picker = QFileDialog(parent)
    picker.setObjectName("saveToFileDialog")
    picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    picker.setFileMode(QFileDialog.FileMode.AnyFile)
    if os.environ.get(QT_DIALOGS) == "1":
        picker.setOption(QFileDialog.Option.DontUseNativeDialog)
    picker.setDirectory(str(suggested.parent))
    picker.selectFile(suggested.name)
    return picker
