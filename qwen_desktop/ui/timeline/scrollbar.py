"""A narrow scroll bar: a rounded handle and nothing else."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QScrollBar, QWidget

THICKNESS = 12  # px


class SlimBar(QScrollBar):
    """Shows nothing where there is nothing to scroll; its place stays reserved."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget) -> None:
        super().__init__(orientation, parent)
        self._colour = QColor("gray")
        self._was_due = False
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        if orientation == Qt.Orientation.Vertical:
            self.setFixedWidth(THICKNESS)
        else:
            self.setFixedHeight(THICKNESS)

    def set_colour(self, colour: str) -> None:
        """The colour of the handle, which needs 3:1 on what lies under it."""
        self._colour = QColor(colour)
        self.update()

    def sizeHint(self) -> QSize:
        """Thin across, free along."""
        return QSize(THICKNESS, THICKNESS)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Sideways; who scrolls down the page is not held up by a bar of a block."""
        turned, shift = event.angleDelta(), event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        is_down = abs(turned.y()) > abs(turned.x()) and not shift
        if is_down and self.orientation() == Qt.Orientation.Horizontal:
            event.ignore()
        else:
            super().wheelEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Only the handle."""
        if self.maximum() <= self.minimum():
            return
        if not self._was_due:
            # PySide builds QStyle's large enums when it is first named: not in the first paint.
            self._was_due = True
            QTimer.singleShot(0, self, self.update)
            return
        from PySide6.QtWidgets import QStyle, QStyleOptionSlider

        option = QStyleOptionSlider()
        self.initStyleOption(option)
        handle = self.style().subControlRect(
            QStyle.ComplexControl.CC_ScrollBar, option, QStyle.SubControl.SC_ScrollBarSlider, self
        )
        inset = 3 if self.underMouse() or self.isSliderDown() else 4
        rect = QRectF(handle).adjusted(inset, inset, -inset, -inset)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colour)
        radius = min(rect.width(), rect.height()) / 2
        painter.drawRoundedRect(rect, radius, radius)
