"""Asks for the fields of a saved prompt before it goes into the message."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialogButtonBox, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.chat.prompts import SavedPrompt
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog

_LINES = 3


class PromptFieldsDialog(Dialog):
    """One field for each name; `filled` gets the text. An empty one leaves its name in braces."""

    def __init__(
        self, prompt: SavedPrompt, filled: Callable[[str], object], parent: QWidget | None = None
    ) -> None:
        super().__init__("promptFields", prompt.name, parent)
        self._prompt = prompt
        self._filled = filled
        self.setMinimumWidth(theme.px(460))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(8)
        self.fields: dict[str, QPlainTextEdit] = {}
        for name in prompt.fields:
            label = Label(name, 13, dim=True)
            field = QPlainTextEdit()
            field.setObjectName(f"field {name}")
            field.setAccessibleName(name)
            field.setTabChangesFocus(True)
            field.setFont(theme.body_font())
            line = field.fontMetrics().lineSpacing()
            field.setFixedHeight(line * _LINES + 14)
            field.installEventFilter(self)
            label.setBuddy(field)
            column.addWidget(label)
            column.addWidget(field)
            self.fields[name] = field
        buttons = QDialogButtonBox()
        role = QDialogButtonBox.ButtonRole
        self.insert = QPushButton(self.tr("Insert"))
        self.insert.setObjectName("insertFilled")
        self.insert.setAccessibleName(self.insert.text())
        self.insert.setDefault(True)
        self.insert.clicked.connect(self.accept)
        cancel = QPushButton(self.tr("Cancel"))
        cancel.setAccessibleName(cancel.text())
        cancel.clicked.connect(self.reject)
        buttons.addButton(self.insert, role.AcceptRole)
        buttons.addButton(cancel, role.RejectRole)
        column.addSpacing(4)
        column.addWidget(buttons)
        next(iter(self.fields.values())).setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter inserts, Shift+Enter starts a new line."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            enters = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            if enters and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self.accept()
                return True
        return super().eventFilter(watched, event)

    def accept(self) -> None:
        """Hand over the text."""
        super().accept()
        values = {name: field.toPlainText() for name, field in self.fields.items()}
        self._filled(self._prompt.filled(values))
