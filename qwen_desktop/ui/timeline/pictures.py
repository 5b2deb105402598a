"""The pictures in the text of one document, each on the baseline of its line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache

from PySide6.QtCore import QObject, QPointF, QRect, QRectF, QSizeF
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QPainter,
    QPyTextObject,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextImageFormat,
)

from qwen_desktop.ui.theme import Look, body_font, look, px
from qwen_desktop.ui.timeline.leaf import PICTURE, TINT
from qwen_desktop.ui.timeline.maths import Picture

_DEPTH = 5  # px below the baseline for which a line has room
_NUMBER = QTextFormat.Property.UserProperty.value
_WIDTH = QTextFormat.Property.ImageWidth.value
_HEIGHT = QTextFormat.Property.ImageHeight.value
_SIGNS = re.compile(PICTURE)


@lru_cache(maxsize=4)
def _half_x(_look: Look) -> float:
    """Half the height of an "x" in the text, in px."""
    return QFontMetrics(body_font()).xHeight() / 2


class Pictures(QPyTextObject):
    """Draws the pictures of one document. They stand there as `PICTURE`, numbered from the top."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._ratio = 1.0
        self._pictures: list[Picture] = []
        self.places: list[int] = []  # their positions in the document
        self._deep: list[bool] = []  # which reach far below the baseline

    def keep(self, count: int, ratio: float) -> None:
        """Forget all but the first ones; `ratio`: pixels of the screen per px."""
        self._ratio = ratio
        del self._pictures[count:], self._deep[count:], self.places[count:]

    def add(self, picture: Picture) -> str:
        """What stands for a picture within a line; `place` is to be called afterwards."""
        self._pictures.append(picture)
        self._deep.append(picture.depth > px(_DEPTH))
        return PICTURE

    def place(self, document: QTextDocument, begin: int, first: int) -> list[int]:
        """Let the signs from position `begin` on be pictures, beginning with number `first`.

        Returns their positions. Not by `<img>`, for which Qt makes frames that it looks
        through again for each of them.
        """
        places: list[int] = []
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        places_of = _positions(document.toRawText(), begin)
        for number, at in zip(range(first, len(self._pictures)), places_of, strict=False):
            cursor.setPosition(at)
            cursor.setPosition(at + 1, QTextCursor.MoveMode.KeepAnchor)
            cursor.setCharFormat(self._form(number))
            places.append(at)
        cursor.endEditBlock()
        self.places += places
        return places

    def _form(self, number: int) -> QTextImageFormat:
        picture = self._pictures[number]
        form = QTextImageFormat()
        form.setName(f"math:{number}")
        form.setProperty(_NUMBER, number)
        height = math.ceil(picture.ascent)
        if self._deep[number]:
            # Qt gives such a line half of the height below the baseline, but for half an "x".
            half = _half_x(look())
            height = math.ceil(max(2 * picture.depth + half, 2 * picture.ascent - half))
            form.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignMiddle)
        form.setWidth(math.ceil(picture.width))
        form.setHeight(max(1, height))
        return form

    def intrinsicSize(self, _document: QTextDocument, _at: int, form: QTextFormat) -> QSizeF:
        """The room in the line."""
        return QSizeF(form.doubleProperty(_WIDTH), form.doubleProperty(_HEIGHT))

    def drawObject(
        self,
        painter: QPainter,
        rect: QRectF | QRect,
        document: QTextDocument,
        at: int,
        form: QTextFormat,
    ) -> None:
        """The picture, wherever Qt would put it within the line."""
        number = form.intProperty(_NUMBER)
        if number >= len(self._pictures):
            return
        picture = self._pictures[number]
        size = QSizeF(picture.width, picture.ascent + picture.depth)
        top = self._snapped(_baseline(document, at)) - picture.ascent
        place = QRectF(QPointF(self._snapped(rect.x()), top), size)
        if form.hasProperty(TINT):
            painter.fillRect(place, QColor(form.property(TINT)))
        painter.drawImage(place, picture.image)

    def _snapped(self, length: float) -> float:
        """At the edge of a pixel, or the picture would be blurred.

        Qt counts in 64ths, so that a half is not always one.
        """
        return math.floor(length * self._ratio + 0.52) / self._ratio


def _baseline(document: QTextDocument, at: int) -> float:
    """Where the baseline of the line with that position is, from the top of the document."""
    block = document.findBlock(at)
    line = block.layout().lineForTextPosition(at - block.position())
    top = document.documentLayout().blockBoundingRect(block).top()
    return top + line.y() + line.ascent()


def _positions(text: str, begin: int) -> Iterator[int]:
    """Where the signs stand from position `begin` on, in the UTF-16 units that Qt counts."""
    wide = not text.isascii() and max(text) > "\uffff"
    at = units = 0
    for sign in _SIGNS.finditer(text, 0 if wide else begin):
        start = sign.start()
        units += len(text[at:start].encode("utf-16-le", "surrogatepass")) // 2 if wide else 0
        at = start
        place = units if wide else start
        if place >= begin:
            yield place
