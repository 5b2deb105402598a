"""What is shown over the window while something is dragged over it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui import icons, theme

_ICON = 40


class DropOverlay(QWidget):
    """Covers the window; lets every event through to it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self.setObjectName("dropOverlay")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._accepts = True
        self.hide()

    @property
    def text(self) -> str:
        """What it says."""
        if self._accepts:
            return self.tr("Drop to open this checkpoint")
        return self.tr("Only one checkpoint folder can be dropped here")

    def show_for(self, folder: Path | None) -> None:
        """Show it for a drag of `folder`, or of something that cannot be opened."""
        self._accepts = folder is not None
        self.setGeometry(self._window.rect())
        self.setAccessibleName(self.text)
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A veil, a line and the words."""
        t = theme.current()
        colour = t.accent if self._accepts else t.error
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(t.background)
        veil.setAlphaF(0.9)
        painter.fillRect(self.rect(), veil)
        painter.setPen(QPen(QColor(colour), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(16, 16, -16, -16), 16, 16)
        middle = QRectF(self.rect()).center()
        box = QRectF(middle.x() - _ICON / 2, middle.y() - _ICON - 4, _ICON, _ICON)
        icons.draw(painter, "folder" if self._accepts else "close", box, colour)
        painter.setPen(QColor(t.text))
        painter.setFont(theme.body_font(18, QFont.Weight.DemiBold))
        painter.drawText(
            QRectF(0, middle.y() + 8, self.width(), 32), Qt.AlignmentFlag.AlignHCenter, self.text
        )
