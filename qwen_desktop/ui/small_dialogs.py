"""A dialog that asks for a name, and one that asks before something is gone for good."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialogButtonBox, QLineEdit, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog


class _Question(Dialog):
    """Some content above a button that does it and Cancel."""

    def __init__(self, name: str, title: str, do: str, parent: QWidget | None) -> None:
        super().__init__(name, title, parent)
        self.setMinimumWidth(360)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(20, 20, 20, 16)
        self.column.setSpacing(12)
        self.buttons = QDialogButtonBox()
        role = QDialogButtonBox.ButtonRole
        self.do_button = self._button(do, "doIt", role.AcceptRole)
        self.cancel_button = self._button(self.tr("Cancel"), "cancel", role.RejectRole)
        self.do_button.clicked.connect(self.accept)
        self.cancel_button.clicked.connect(self.reject)

    def _button(self, text: str, name: str, role: QDialogButtonBox.ButtonRole) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setAutoDefault(False)
        self.buttons.addButton(button, role)
        return button


class NameDialog(_Question):
    """One line to type a name in; `named` gets it, trimmed and not blank."""

    def __init__(
        self,
        title: str,
        label: str,
        limit: int,
        named: Callable[[str], object],
        parent: QWidget | None = None,
        before: str = "",
    ) -> None:
        """`limit` is in characters, `before` what stands in the field at first."""
        super().__init__("nameDialog", title, self.tr("OK"), parent)
        self._named = named
        self.edit = QLineEdit(before)
        self.edit.setObjectName("name")
        self.edit.setAccessibleName(label)
        self.edit.setMaxLength(limit)
        self.edit.setFont(theme.body_font())
        self.edit.selectAll()
        self.edit.textChanged.connect(self._on_text)
        self.column.addWidget(Label(label, 13, dim=True))
        self.column.addWidget(self.edit)
        self.column.addWidget(self.buttons)
        self.do_button.setDefault(True)
        self._on_text()

    def _on_text(self) -> None:
        self.do_button.setEnabled(bool(self.edit.text().strip()))

    def accept(self) -> None:
        """Tell the name."""
        name = " ".join(self.edit.text().split())
        if name:
            super().accept()
            self._named(name)


class ConfirmDialog(_Question):
    """A sentence on what cannot be undone; Cancel is what Enter presses."""

    def __init__(
        self,
        title: str,
        words: str,
        do: str,
        confirmed: Callable[[], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("confirmDialog", title, do, parent)
        self._confirmed = confirmed
        self.words = Label(words, 14, wrap=True)
        self.column.addWidget(self.words)
        self.column.addWidget(self.buttons)
        self.cancel_button.setDefault(True)
        self.cancel_button.setFocus()

    def showEvent(self, event: QShowEvent) -> None:
        """All of the words are seen."""
        super().showEvent(event)
        self.fit_height()

    def accept(self) -> None:
        """Do it."""
        super().accept()
        self._confirmed()
