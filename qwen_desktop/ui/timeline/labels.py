"""Labels of the timeline. They never read a text as markup, as it may be a model's."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QLabel, QWidget

from qwen_desktop.ui.theme import body_font


def plain_label(parent: QWidget, weight: int = 400) -> QLabel:
    """A 12 px label that never reads its text as markup."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    font = body_font(12)
    font.setWeight(font.Weight(weight))
    label.setFont(font)
    return label


def colour_label(label: QLabel, colour: str) -> None:
    """Give a label its colour."""
    palette = QPalette(label.palette())
    # Which of the two is used depends on the background role that the label inherits.
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):
        palette.setColor(role, QColor(colour))
    label.setPalette(palette)
