"""A text that helps others to help: it can be read, copied and saved."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, ScrollBar
from qwen_desktop.ui.dialog import Dialog


class ReportDialog(Dialog):
    """A sentence, the text, and what can be done with it. Signal: `save_requested(str)`."""

    save_requested = Signal(str)

    def __init__(self, name: str, title: str, words: str, parent: QWidget | None = None) -> None:
        """Without a text at first: see `show_text`."""
        super().__init__(name, title, parent)
        self.resize(QSize(theme.px(720), theme.px(560)))
        self.words = Label(words, 13, dim=True, wrap=True)
        self.words.setObjectName("reportWords")
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setObjectName("reportText")
        self.text.setAccessibleName(title)
        self.text.setFont(theme.code_font(12))
        self.text.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.text))
        self.text.setTabChangesFocus(True)
        self._buttons = self.close_box()
        self.copy_button = self.add_button("copyReport", self.tr("Copy"))
        self.save_button = self.add_button("saveReport", self.tr("Save…"))
        self.copy_button.clicked.connect(self._copy)
        self.save_button.clicked.connect(lambda: self.save_requested.emit(self.text.toPlainText()))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addWidget(self.words)
        column.addWidget(self.text, 1)
        column.addWidget(self._buttons)
        self._wait(True)

    def add_button(self, name: str, text: str) -> QPushButton:
        """One more button beside Copy."""
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setAutoDefault(False)
        self._buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        return button

    def show_text(self, text: str) -> None:
        """It is there."""
        self.text.setPlainText(text)
        self._wait(False)

    def show_nothing(self, sentence: str) -> None:
        """There is none, and why."""
        self.text.setPlaceholderText(sentence)
        self.text.setAccessibleDescription(sentence)

    def _wait(self, waiting: bool) -> None:
        self.text.setPlaceholderText(self.tr("One moment…") if waiting else "")
        for button in (self.copy_button, self.save_button):
            button.setEnabled(not waiting)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self.copy_button.setText(self.tr("Copied"))
        self.copy_button.setAccessibleName(self.tr("Copied"))
