"""Labels of the timeline. They never read a text as markup, as it may be a model's."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QLabel, QWidget

from qwen_desktop.ui.theme import Look, Theme, body_font, look, px


def small_font(weight: int = 400) -> QFont:
    """The 12 px font; one object for all, not to be changed."""
    return _small_font(weight, look())


@lru_cache(maxsize=4)
def _small_font(weight: int, _look: Look) -> QFont:
    return body_font(12, QFont.Weight(weight))


def advance(text: str, weight: int = 400) -> int:
    """How wide `text` is in `small_font`, in px. Most texts are seen again and again."""
    return _advance(text, weight, look())


@lru_cache(maxsize=4096)
def _advance(text: str, weight: int, _look: Look) -> int:
    return QFontMetrics(small_font(weight)).horizontalAdvance(text)


def plain_label(parent: QWidget, weight: int = 400) -> QLabel:
    """A 12 px label that never reads its text as markup."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setFont(small_font(weight))
    return label


def colour_label(label: QLabel, colour: str) -> None:
    """Give a label its colour."""
    palette = QPalette(label.palette())
    # Which of the two is used depends on the background role that the label inherits.
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):
        palette.setColor(role, QColor(colour))
    label.setPalette(palette)


class PinMark(QLabel):
    """A pin and a word beside the name of who speaks."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setFont(small_font())
        self.setText(self.tr("Pinned"))
        self._pin = QColor()
        self.setContentsMargins(14, 0, 0, 0)

    def sizeHint(self) -> QSize:
        """The word and the pin before it."""
        return QSize(advance(self.text()) + 16, px(16))

    def apply_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        colour_label(self, theme.dim)
        self._pin = QColor(theme.accent)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The pin, then the word."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._pin, 1.4))
        middle = self.height() / 2
        painter.drawLine(QPointF(5, middle), QPointF(5, middle + 5.5))
        painter.setBrush(self._pin)
        painter.drawEllipse(QPointF(5, middle - 1.5), 2.8, 2.8)
        painter.end()
        super().paintEvent(event)
