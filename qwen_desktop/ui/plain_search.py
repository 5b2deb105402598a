"""The field that something is looked for in, wherever it stands."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QLineEdit, QWidget

from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import RADIUS, focus_ring, half


class SearchField(QLineEdit):
    """A line edit with a magnifier and a rounded line around it."""

    def __init__(self, placeholder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(placeholder)
        self.setFrame(False)
        self.follow_look()
        clear = self.palette()
        clear.setColor(QPalette.ColorRole.Base, QColor(Qt.GlobalColor.transparent))
        self.setPalette(clear)

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        self.setFont(theme.body_font())
        self.setFixedHeight(theme.px(34))
        self.setTextMargins(theme.px(16) + 16, 0, 8, 0)

    def event(self, event: QEvent) -> bool:
        """Take Escape from the window's shortcuts while there is something to empty."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and self.text()
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape empties the field."""
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The field, then the text on it."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.line), 1))
        painter.setBrush(QColor(t.background))
        painter.drawRoundedRect(half(self.rect()), RADIUS, RADIUS)
        side = float(theme.px(16))
        icons.draw(painter, "search", QRectF(9, (self.height() - side) / 2, side, side), t.dim)
        if self.hasFocus():
            focus_ring(painter, QRectF(self.rect()), RADIUS)
        painter.end()
        super().paintEvent(event)
