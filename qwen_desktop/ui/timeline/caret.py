"""The block that stands after the last character while an answer is written."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui.theme import px
from qwen_desktop.ui.timeline.shared import Shared


def caret_width() -> int:
    """In px."""
    return px(8)


class Caret(QWidget):
    """A block after the last character that was written."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A filled block; it does not blink."""
        QPainter(self).fillRect(self.rect(), QColor(self._shared.theme.text))
