"""What the lists of the window have in common: how they behave and how a row lies on them.

On the way to the first paint: light.
"""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyle

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import RADIUS, ScrollBar, focus_ring


def make_plain(view: QListView, bar: ScrollBar | None = None) -> None:
    """Let `view` have hover, our scroll bar, no frame, no background and no editing."""
    view.setFrameShape(QFrame.Shape.NoFrame)
    view.setMouseTracking(True)  # hover
    view.setVerticalScrollBar(bar or ScrollBar(Qt.Orientation.Vertical, view))
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    clear = view.palette()
    clear.setColor(QPalette.ColorRole.Base, QColor(Qt.GlobalColor.transparent))
    view.setPalette(clear)  # viewport() would make PySide load every widget class: 40 ms


def paint_row(painter: QPainter, rect: QRect, state: QStyle.StateFlag, chosen: bool) -> None:
    """The background of a row and, for the keyboard, the ring of the focus."""
    t = theme.current()
    if chosen or state & QStyle.StateFlag.State_MouseOver:
        fill = QColor(t.selected if chosen else t.line)
        if not chosen:
            fill.setAlphaF(0.6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawRoundedRect(QRectF(rect), RADIUS, RADIUS)
    focused = state & QStyle.StateFlag.State_HasFocus
    if focused and state & QStyle.StateFlag.State_KeyboardFocusChange:
        focus_ring(painter, QRectF(rect), RADIUS)


def elided(
    font: QFont, text: str, width: int, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight
) -> str:
    """`text` cut with an ellipsis to `width` pixels."""
    return QFontMetrics(font).elidedText(text, mode, width)
