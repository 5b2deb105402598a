"""A picture of the lines of a growing text that no longer change: painting them takes a while."""

from __future__ import annotations

import math

from PySide6.QtCore import QRect, QRectF
from PySide6.QtGui import QAbstractTextDocumentLayout, QColor, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QTextEdit

_SPARE = 400  # px that the picture is higher than what it holds
_MOST_PIXELS = 6_000_000


class Still:
    """What stands above a certain height, painted once. Lengths in px of the window."""

    def __init__(self) -> None:
        self._pixmap = QPixmap()
        self._height = 0

    def forget(self) -> None:
        """Everything is to be painted anew."""
        self._pixmap, self._height = QPixmap(), 0

    def cut(self, y: float) -> None:
        """What stands below `y` is to be painted anew."""
        self._height = max(0, min(self._height, math.floor(y)))

    def paint(self, text: QTextEdit, box: QRect, end: float, background: str) -> int:
        """Paint the part of `box` of `text` above `end`; returns where that is, 0 if nowhere.

        The text has no selection, and stands on a plain `background`.
        """
        height, width, ratio = math.floor(end), text.viewport().width(), text.devicePixelRatioF()
        if height <= 0 or width * height * ratio * ratio > _MOST_PIXELS:
            self.forget()
            return 0
        self._fit(width, height, ratio, background)
        if self._height < height:
            self._add(text, QRect(0, self._height, width, height - self._height), background)
            self._height = height
        part = box.intersected(QRect(0, 0, width, height))
        if not part.isEmpty():
            painter = QPainter(text.viewport())
            source = QRectF(part.x() * ratio, part.y() * ratio, 0, 0)
            source.setSize(part.size().toSizeF() * ratio)
            painter.drawPixmap(QRectF(part), self._pixmap, source)
            painter.end()
        return height

    def _fit(self, width: int, height: int, ratio: float, background: str) -> None:
        """Have a picture that is high enough, with what it held."""
        before = self._pixmap
        columns = math.ceil(width * ratio)
        if before.width() != columns or before.devicePixelRatioF() != ratio:
            self.forget()
        elif before.height() >= height * ratio:
            return
        fresh = QPixmap(columns, math.ceil((height + _SPARE) * ratio))
        fresh.setDevicePixelRatio(ratio)
        fresh.fill(QColor(background))
        if self._height:
            painter = QPainter(fresh)
            painter.drawPixmap(0, 0, before)
            painter.end()
        self._pixmap = fresh

    def _add(self, text: QTextEdit, box: QRect, background: str) -> None:
        painter = QPainter(self._pixmap)
        painter.setClipRect(box)
        painter.fillRect(box, QColor(background))
        context = QAbstractTextDocumentLayout.PaintContext()
        context.clip = QRectF(box)
        context.palette = QPalette(text.palette())
        text.document().documentLayout().draw(painter, context)
        painter.end()
