"""A bar of coloured parts, and the square that says what a colour stands for."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QProgressBar, QWidget

from qwen_desktop.ui import theme

_GAP = 1.5  # px between the parts


class Gauge(QProgressBar):
    """A bar of coloured parts. A screen reader meets a progress bar with all the numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: tuple[tuple[int, str], ...] = ()
        self._total = 0
        self.setRange(0, 100)
        self.setTextVisible(False)
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(14))

    def set_parts(self, parts: tuple[tuple[int, str], ...], total: int) -> None:
        """Show (bytes, colour name) side by side, of `total` bytes."""
        self._parts, self._total = parts, total
        used = sum(size for size, _ in parts)
        self.setValue(min(round(100 * used / total), 100) if total > 0 else 0)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Track, then the parts with a gap between them."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        radius = self.height() / 2
        outline.addRoundedRect(QRectF(self.rect()), radius, radius)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), QColor(t.track))
        if self._total <= 0:
            return
        x = 0.0
        for size, colour in self._parts:
            width = self.width() * size / self._total
            if size > 0:
                # A part of a few megabytes is still seen, as a line of 2 px.
                shown = max(width - _GAP, 2.0)
                painter.fillRect(QRectF(x, 0, shown, self.height()), QColor(getattr(t, colour)))
                x += max(width, shown + _GAP)


class Swatch(QWidget):
    """The coloured square of the legend."""

    def __init__(self, colour: str) -> None:
        super().__init__()
        self._colour = colour
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedSize(theme.px(10), theme.px(10))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The square."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(theme.current(), self._colour)))
        painter.drawRoundedRect(self.rect(), 3, 3)
