"""The drawn scheme of a turn: its stages in a row, and what goes round between them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QSizePolicy, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import KEYBOARD, focus_ring

BOX = 84  # px, height of a stage
ABOVE, BELOW = 26, 30  # px, for the arrows over and under them
GAP = 26  # px between two
RADIUS = 10
HEAD = 5  # px, of an arrow


class Stage(Enum):
    """What happens one after the other."""

    ASSEMBLE = 0
    TOKENISE = 1
    PREFILL = 2
    DECODE = 3
    STOP = 4


class StageBox(QAbstractButton):
    """One stage: its number, its name and the one value that says most of it."""

    def __init__(self, number: int, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.number = number
        self.value = ""
        self._ring = False
        self.setText(name)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.set_value("")

    def set_value(self, value: str) -> None:
        """What stands below the name."""
        self.value = value
        words = self.tr("Step {number}: {name}").format(number=self.number, name=self.text())
        self.setAccessibleName(f"{words}, {value}" if value else words)
        self.update()

    def sizeHint(self) -> QSize:
        """As small as it may get."""
        return QSize(theme.px(96), theme.px(BOX))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the ring only to who came by keyboard."""
        self._ring = event.reason() in KEYBOARD
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrows step: the dialog takes them."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down):
            event.ignore()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The box, filled where it is the current one."""
        now, painter = theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = self.isChecked()
        box = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        line = now.accent if chosen else now.field_border if self.underMouse() else now.line
        painter.setPen(QPen(QColor(line), 2 if chosen else 1))
        painter.setBrush(QColor(now.selected if chosen else now.panel))
        painter.drawRoundedRect(box, RADIUS, RADIUS)
        pad = theme.px(8)
        inner = self.rect().adjusted(pad, pad, -pad, -pad)
        circle = QRectF(inner.left(), inner.top(), theme.px(20), theme.px(20))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(now.accent if chosen else now.track))
        painter.drawEllipse(circle)
        painter.setPen(QColor(now.on_accent if chosen else now.text))
        painter.setFont(theme.body_font(12, painter.font().Weight.DemiBold))
        painter.drawText(circle, Qt.AlignmentFlag.AlignCenter, str(self.number))
        self._write(painter, inner, self.text(), 28, 20, 13, now.text, bold=chosen)
        self._write(painter, inner, self.value, 0, 62, 12, now.text if chosen else now.dim)
        if self.hasFocus() and self._ring:
            focus_ring(painter, QRectF(self.rect()), RADIUS)

    def _write(
        self,
        painter: QPainter,
        inner: QRect,
        text: str,
        left: int,
        bottom: int,
        pixels: int,
        colour: str,
        *,
        bold: bool = False,
    ) -> None:
        weight = painter.font().Weight.DemiBold if bold else painter.font().Weight.Normal
        painter.setFont(theme.body_font(pixels, weight))
        painter.setPen(QColor(colour))
        place = inner.adjusted(theme.px(left) if left else 0, 0, 0, 0)
        place.setHeight(theme.px(bottom))
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, place.width())
        low = Qt.AlignmentFlag.AlignVCenter if left else Qt.AlignmentFlag.AlignBottom
        painter.drawText(place, low | Qt.AlignmentFlag.AlignLeft, shown)


class Scheme(QWidget):
    """All stages; one is the current one. `chosen(Stage)` tells of a click on another."""

    chosen = Signal(object)

    def __init__(self, names: Sequence[str], loop: str, back: str) -> None:
        """`loop` and `back` are the words at the arrows round the decoding and to the next turn."""
        super().__init__()
        self._loop, self._back = loop, back
        self.boxes = [StageBox(at + 1, name, self) for at, name in enumerate(names)]
        group = QButtonGroup(self)
        for stage, box in zip(Stage, self.boxes, strict=True):
            group.addButton(box)
            box.clicked.connect(lambda _=False, stage=stage: self.chosen.emit(stage))
        self.boxes[0].setChecked(True)
        self.setAccessibleName(self.tr("Steps of a turn"))
        self.setAccessibleDescription(f"{loop}. {back}.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_current(self, stage: Stage) -> None:
        """Highlight a stage."""
        self.boxes[stage.value].setChecked(True)
        self.update()

    def sizeHint(self) -> QSize:
        """Boxes and arrows."""
        return QSize(theme.px(640), theme.px(ABOVE + BOX + BELOW))

    def minimumSizeHint(self) -> QSize:
        """Boxes may get narrow."""
        return QSize(theme.px(300), theme.px(ABOVE + BOX + BELOW))

    def follow_look(self) -> None:
        """Other sizes."""
        self.updateGeometry()
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Side by side."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        count, gap = len(self.boxes), min(theme.px(GAP), self.width() // 24)
        wide = (self.width() - gap * (count - 1)) // count
        for at, box in enumerate(self.boxes):
            box.setGeometry(at * (wide + gap), theme.px(ABOVE), wide, theme.px(BOX))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The arrows."""
        now, painter = theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.body_font(11))
        for one, following in pairwise(self.boxes):
            left, right = one.geometry(), following.geometry()
            y = float(left.center().y())
            self._arrow(painter, [QPointF(left.right() + 3, y), QPointF(right.left() - 3, y)])
        decode = self.boxes[Stage.DECODE.value].geometry()
        top, over = float(decode.top()), float(theme.px(10))
        inset = decode.width() / 4
        self._arrow(
            painter,
            [
                QPointF(decode.right() - inset, top - 1),
                QPointF(decode.right() - inset, over),
                QPointF(decode.left() + inset, over),
                QPointF(decode.left() + inset, top - 2),
            ],
        )
        prefill, stop = (self.boxes[one.value].geometry() for one in (Stage.PREFILL, Stage.STOP))
        under = float(stop.bottom() + theme.px(14))
        self._arrow(
            painter,
            [
                QPointF(stop.center().x(), stop.bottom() + 2),
                QPointF(stop.center().x(), under),
                QPointF(prefill.center().x(), under),
                QPointF(prefill.center().x(), prefill.bottom() + 3),
            ],
            dashed=True,
        )
        painter.setPen(QColor(now.dim))
        metrics = painter.fontMetrics()
        room = round(decode.left() + inset - theme.px(8))
        loop = metrics.elidedText(self._loop, Qt.TextElideMode.ElideRight, room)
        painter.drawText(
            QRectF(0, 0, room, 2 * over),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            loop,
        )
        room = prefill.center().x() - theme.px(8)
        back = metrics.elidedText(self._back, Qt.TextElideMode.ElideRight, room)
        painter.drawText(
            QRectF(0, under - theme.px(10), room, theme.px(20)),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            back,
        )

    def _arrow(self, painter: QPainter, points: list[QPointF], *, dashed: bool = False) -> None:
        now = theme.current()
        pen = QPen(QColor(now.field_border), 1.5)
        if dashed:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        path = QPainterPath(points[0])
        for point in points[1:]:
            path.lineTo(point)
        painter.drawPath(path)
        end, before = points[-1], points[-2]
        head = float(theme.px(HEAD))
        if abs(end.x() - before.x()) > abs(end.y() - before.y()):
            step = head if end.x() > before.x() else -head
            corners = [
                QPointF(end.x() - step, end.y() - head),
                QPointF(end.x() - step, end.y() + head),
            ]
        else:
            step = head if end.y() > before.y() else -head
            corners = [
                QPointF(end.x() - head, end.y() - step),
                QPointF(end.x() + head, end.y() - step),
            ]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(now.field_border))
        painter.drawPolygon([end, *corners])
