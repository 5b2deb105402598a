"""The table of actions and shortcuts, for people."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

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
        # Beside each other: below each other they are higher than a small screen.
        everywhere, elsewhere = _grid(), _grid()
        for scope, title in titles.items():
            grid = everywhere if scope is Scope.WINDOW else elsewhere
            _add(grid, title, [spec for spec in SPECS if spec.scope is scope])
        columns = QHBoxLayout()
        columns.setSpacing(56)
        for grid in (everywhere, elsewhere):
            columns.addLayout(grid)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(16)
        column.addLayout(columns)
        column.addWidget(self.close_box())


def _grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setAlignment(Qt.AlignmentFlag.AlignTop)
    grid.setHorizontalSpacing(40)
    grid.setVerticalSpacing(8)
    return grid


def _add(grid: QGridLayout, title: str, specs: list[Spec]) -> None:
    """Add a heading and the actions below it."""
    row = grid.rowCount() if grid.count() else 0
    head = Label(title, 13, bold=True)
    head.setContentsMargins(0, 8 if row else 0, 0, 0)
    grid.addWidget(head, row, 0, 1, 2)
    for at, spec in enumerate(specs, row + 1):
        grid.addWidget(Label(label(spec), 13), at, 0)
        grid.addWidget(Label(_keys(spec), 13, dim=True), at, 1)


def _keys(spec: Spec) -> str:
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(native) for key in spec.keys)
