"""What the composer is made of: its round button, its switch and the box around the field."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import ICON, Button, Column, focus_ring

_SIZE = 32  # px of the round button


class RoundButton(Button):
    """Send (an accent circle) or Stop (the same place, inverted, a square in it)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(icon="send", kind="primary", parent=parent)
        self.stops = False
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedSize(theme.px(_SIZE), theme.px(_SIZE))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Circle, icon, ring."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill, ink = (t.text, t.background) if self.stops else (t.accent, t.on_accent)
        if not self.isEnabled():
            fill, ink = t.track, t.dim
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(fill))
        painter.setOpacity(0.85 if self.isDown() or self.underMouse() else 1.0)
        painter.drawEllipse(self.rect())
        painter.setOpacity(1.0)
        icons.draw(painter, "stop" if self.stops else "send", self._middle(ICON), ink)
        if self.hasFocus() and self._ring:
            painter.setPen(QPen(QColor(t.background), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QRectF(self.rect()).adjusted(3, 3, -3, -3))
            focus_ring(painter, QRectF(self.rect()), self.width() / 2)


class Toggle(Button):
    """A button that stays down; a screen reader hears whether it is checked."""

    padding = 11

    def __init__(self, text: str, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(text, icon=icon, height=28, parent=parent)
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def _colours(self) -> tuple[str | None, str | None, str]:
        t = theme.current()
        if self.isChecked():
            return t.selected, t.accent, t.text
        return None, t.field_border if self.underMouse() else t.line, t.dim


class Box(Column):
    """The rounded box; its line is the accent while the field has the focus."""

    pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.focused = False

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the text is meant for the field too."""
        self.pressed.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Fill and line."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.accent if self.focused else t.field_border), 1))
        painter.setBrush(QColor(t.panel))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
