"""A small list whose rows are chosen: by a double click or Enter."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar
from qwen_desktop.ui.module_tree import soften

ROW = 26  # px


class Choices(QListWidget):
    """A list whose rows are activated by Enter, too, wherever it stands."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFont(theme.code_font(12))
        self.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setUniformItemSizes(True)
        soften(self)

    def add(self, text: str, spoken: str, value: object) -> None:
        """A row with `value`."""
        row = QListWidgetItem(text)
        row.setData(Qt.ItemDataRole.AccessibleTextRole, spoken)
        row.setData(Qt.ItemDataRole.UserRole, value)
        row.setSizeHint(QSize(0, theme.px(ROW)))
        self.addItem(row)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            soften(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """In a dialog, Enter would press the default button besides."""
        row = self.currentItem()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row is not None:
            self.itemActivated.emit(row)
            return
        super().keyPressEvent(event)
