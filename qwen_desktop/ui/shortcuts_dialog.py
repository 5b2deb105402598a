"""The table of actions and shortcuts, for people."""

from __future__ import annotations

from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from qwen_desktop.ui.actions import SPECS, Scope, Spec, label
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog


class ShortcutsDialog(Dialog):
    """Grouped by where the shortcuts work."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("shortcutsDialog", self.tr("Keyboard shortcuts"), parent)
        titles = {
            Scope.WINDOW: self.tr("Everywhere"),
            Scope.MESSAGE: self.tr("In the message field"),
            Scope.LIST: self.tr("In the conversation list"),
        }
        grid = QGridLayout()
        grid.setHorizontalSpacing(40)
        grid.setVerticalSpacing(8)
        row = 0
        for scope, title in titles.items():
            head = Label(title, 13, bold=True)
            head.setContentsMargins(0, 8 if row else 0, 0, 0)
            grid.addWidget(head, row, 0, 1, 2)
            row += 1
            for spec in SPECS:
                if spec.scope is scope:
                    grid.addWidget(Label(label(spec), 13), row, 0)
                    grid.addWidget(Label(_keys(spec), 13, dim=True), row, 1)
                    row += 1
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(16)
        column.addLayout(grid)
        column.addWidget(self.close_box())


def _keys(spec: Spec) -> str:
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(native) for key in spec.keys)
