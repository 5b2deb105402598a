"""The details of trouble, ready to copy."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.bridge.words import translated
from qwen_desktop.errors import Report
from qwen_desktop.redaction import without_private
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.machine_text import machine_text


class ProblemDialog(Dialog):
    """The sentence, and everything a report of it should hold, ready to copy."""

    def __init__(self, report: Report, parent: QWidget | None = None) -> None:
        super().__init__("problemDialog", self.tr("Details"), parent)
        self.resize(640, 420)
        sentence = translated(report)
        found = without_private(report.details.strip())
        shown = "\n\n".join(part for part in (found, machine_text()) if part)
        self._text = f"{without_private(sentence)}\n\n{shown}"
        label = Label(sentence, 14, wrap=True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        details = QPlainTextEdit(shown)
        details.setReadOnly(True)
        details.setObjectName("detailsText")
        details.setAccessibleName(self.tr("Details"))
        details.setFont(theme.code_font(12))
        details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        details.setTabChangesFocus(True)
        self.copy_button = QPushButton(self.tr("Copy"))
        self.copy_button.setObjectName("copyDetails")
        self.copy_button.setAccessibleName(self.tr("Copy details"))
        self.copy_button.setAutoDefault(False)
        self.copy_button.clicked.connect(self._copy)
        buttons = self.close_box()
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addWidget(label)
        column.addWidget(details, 1)
        column.addWidget(buttons)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text)
        self.copy_button.setText(self.tr("Copied"))
