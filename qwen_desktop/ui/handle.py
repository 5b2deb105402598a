"""The line between two columns, by which their widths are changed.

A slider to a screen reader: its value is a width. On the way to the first paint: light.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QAbstractSlider, QWidget

from qwen_desktop.ui import theme

THICKNESS = 9  # px that the mouse finds; the line in the middle of them is one
_STEP, _PAGE = 16, 64  # px of an arrow key and of Page Up


class Handle(QAbstractSlider):
    """Drag it, or move it by keys; a double click or Enter asks for the usual width.

    `side` is 1 where a move to the right makes the column wider, else -1. `moved(width)` carries
    px on the screen.
    """

    moved = Signal(int)
    reset_requested = Signal()

    def __init__(self, name: str, side: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._side = side
        self._held: tuple[float, int] | None = None  # where the press was, and the width then
        self._over = False
        self.setOrientation(Qt.Orientation.Horizontal)
        self.setInvertedControls(side < 0)
        self.setSingleStep(_STEP)
        self.setPageStep(_PAGE)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.valueChanged.connect(self.moved)

    def show_width(self, width: int, least: int, most: int) -> None:
        """The column is `width` px wide, and may be between `least` and `most`."""
        blocked = self.blockSignals(True)
        self.setRange(least, max(least, most))
        self.setValue(width)
        self.blockSignals(blocked)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of it."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = (event.globalPosition().x(), self.value())
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag."""
        if self._held is not None:
            at, width = self._held
            self.setValue(width + self._side * round(event.globalPosition().x() - at))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._held = None
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """The usual width."""
        self._held = None
        self.reset_requested.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter asks for the usual width; arrows, Page, Home and End move it."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.reset_requested.emit()
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the focus."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """No longer."""
        super().focusOutEvent(event)
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Hover."""
        self._over = True
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """No hover."""
        self._over = False
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The line; broader in the accent colour while it is held or has the focus."""
        t = theme.current()
        busy = self._over or self._held is not None or self.hasFocus()
        width = 3 if busy else 1
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(t.accent if busy else t.line))
        painter.drawRect(QRectF(THICKNESS // 2 - width // 2, 0, width, self.height()))
