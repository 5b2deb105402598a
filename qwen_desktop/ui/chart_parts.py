"""The parts that a plot is drawn of: axes, lines, points, limits. QtGui only."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPolygonF

from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_plot import Plot, Series, View

LINE = 2.0  # px
MARK = 3.5  # px, from the middle of a point to its edge
SMALL_MARK = 2.2
MANY = 60  # points: from here on they are drawn all at once, which is quicker
TICK_ROOM = 90.0  # px between two ticks of x, at least
TICK_HEIGHT = 34.0
_CENTRED = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


def small_font() -> QFont:
    """Of ticks and legends."""
    return theme.body_font(12)


@dataclass(frozen=True)
class Area:
    """Where on the paper the plane lies, and which part of it is seen there."""

    box: QRectF
    view: View

    def x(self, value: float) -> float:
        """A value of x on the paper."""
        return self.box.left() + (value - self.view.left) / self.view.width * self.box.width()

    def y(self, value: float) -> float:
        """A value of y on the paper."""
        return self.box.bottom() - (
            (value - self.view.bottom) / self.view.height * self.box.height()
        )

    def value_x(self, at: float) -> float:
        """The value of x at a place on the paper."""
        return self.view.left + (at - self.box.left()) / self.box.width() * self.view.width

    def value_y(self, at: float) -> float:
        """The value of y at a place on the paper."""
        return self.view.bottom + (self.box.bottom() - at) / self.box.height() * self.view.height


def draw_axes(painter: QPainter, plot: Plot, area: Area, *, small: bool) -> None:
    """Ticks with their numbers, lines across, and what the axes are of."""
    t, box, view = theme.current(), area.box, area.view
    height = painter.fontMetrics().height()
    rows = max(2, int(box.height() / theme.px(TICK_HEIGHT)))
    columns = max(2, int(box.width() / theme.px(TICK_ROOM * (0.7 if small else 1))))
    for value, text in plot.y.marks(view.bottom, view.top, rows):
        y = round(area.y(value)) + 0.5
        painter.setPen(QPen(QColor(t.line), 1))
        painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        painter.setPen(QColor(t.dim))
        painter.drawText(QRectF(0, y - height / 2, box.left() - 8, height), RIGHT, text)
    for value, text in plot.x.marks(view.left, view.right, columns):
        x = area.x(value)
        painter.setPen(QPen(QColor(t.field_border), 1))
        painter.drawLine(QPointF(x, box.bottom()), QPointF(x, box.bottom() + 4))
        painter.setPen(QColor(t.dim))
        width = painter.fontMetrics().horizontalAdvance(text) + 2.0
        # The outermost stay on the paper.
        left = min(x - width / 2, box.right() + theme.px(10) - width)
        painter.drawText(QRectF(left, box.bottom() + 5, width, height), _CENTRED, text)
    painter.setPen(QPen(QColor(t.field_border), 1))
    bottom = round(box.bottom()) + 0.5
    painter.drawLine(QPointF(box.left(), bottom), QPointF(box.right(), bottom))
    painter.setPen(QColor(t.dim))
    high = QRectF(max(0.0, box.left() - 200), box.top() - height - 6, box.width() + 200, height)
    title = plot.y.unit(view.top)[1] if small else plot.y.title(view.top)
    high.setLeft(area.box.left() - 8 - _label_width(painter, plot, view, rows))
    painter.drawText(high, LEFT, title)
    if small:
        return
    low = QRectF(box.left(), box.bottom() + height + 6, box.width(), height)
    painter.drawText(low, Qt.AlignmentFlag.AlignRight, plot.x.title(view.right))


def _label_width(painter: QPainter, plot: Plot, view: View, rows: int) -> float:
    labels = plot.y.marks(view.bottom, view.top, rows)
    widths = [painter.fontMetrics().horizontalAdvance(text) for _, text in labels]
    return float(max(widths, default=0))


def pen_of(series: Series, colour: QColor) -> QPen:
    """What a line is drawn with."""
    pen = QPen(colour, LINE if not series.faint else 1.25)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if series.style == "dashed":
        pen.setDashPattern([4, 3])
    return pen


def shape_of(plot: Plot, series: Series) -> int:
    """Points are told apart by their shape too: not everybody sees the colours."""
    kinds = [one.name for one in plot.series if one.style == "points"]
    return kinds.index(series.name) % 4 if series.name in kinds else 0


def draw_series(painter: QPainter, series: Series, area: Area, shape: int, size: float) -> None:
    """A line, or points of one shape that are `size` px from their middle to their edge."""
    colour = QColor(getattr(theme.current(), series.colour))
    if series.style != "points":
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(pen_of(series, colour))
        painter.drawPolyline(
            QPolygonF([QPointF(area.x(x), area.y(y)) for x, y in _thinned(series, area)])
        )
        if len(series.points) > 1:
            return
    places = _places(series, area)
    if len(places) < MANY:
        for x, y in places:
            draw_mark(painter, QPointF(x, y), shape, colour, size, hollow=series.faint)
        return
    pen = QPen(colour, 2 * size)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap if shape == 0 else Qt.PenCapStyle.SquareCap)
    painter.setPen(pen)
    painter.drawPoints(QPolygonF([QPointF(x, y) for x, y in places]))


def _places(series: Series, area: Area) -> list[tuple[int, int]]:
    """Where the points in view lie on the paper, each place once."""
    box, view = area.box, area.view
    left, bottom = box.left(), box.bottom()
    across, up = box.width() / view.width, box.height() / view.height
    seen = dict.fromkeys(
        (round(left + (x - view.left) * across), round(bottom - (y - view.bottom) * up))
        for x, y in series.points
    )
    right, top = box.right() + MARK, box.top() - MARK
    return [(x, y) for x, y in seen if left - MARK <= x <= right and top <= y <= bottom + MARK]


def _thinned(series: Series, area: Area) -> list[tuple[float, float]]:
    """Points of a line, with no more of them than can be seen: first, highest, lowest, last."""
    points = [series.points[n] for n in series.ordered]
    if len(points) <= 4 * area.box.width():
        return points
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        columns.setdefault(round(area.x(point[0])), []).append(point)
    found: list[tuple[float, float]] = []
    for column in columns.values():
        ends = {column[0], column[-1], min(column, key=_y), max(column, key=_y)}
        found += sorted(ends)
    return found


def _y(point: tuple[float, float]) -> float:
    return point[1]


def draw_mark(
    painter: QPainter, at: QPointF, shape: int, colour: QColor, r: float, *, hollow: bool
) -> None:
    """A circle, a square, a diamond or a triangle, `r` px from its middle to its edge."""
    painter.setPen(QPen(colour, 1.25))
    painter.setBrush(Qt.BrushStyle.NoBrush if hollow else colour)
    if shape == 0:
        painter.drawEllipse(at, r, r)
    elif shape == 1:
        painter.drawRect(QRectF(at.x() - r + 0.5, at.y() - r + 0.5, 2 * r - 1, 2 * r - 1))
    else:
        s = r + 1
        ways = ((0.0, -s), (s, 0.0), (0.0, s), (-s, 0.0))
        if shape == 3:
            ways = ((0.0, -s), (s, r), (-s, r), (0.0, -s))
        painter.drawPolygon(QPolygonF([QPointF(at.x() + x, at.y() + y) for x, y in ways]))


def draw_limits(painter: QPainter, plot: Plot, area: Area, *, small: bool) -> None:
    """Lines with their names; a limit that lies beyond what is seen is told at that edge."""
    t, box = theme.current(), area.box
    height = painter.fontMetrics().height()
    beyond: list[str] = []
    for limit in plot.limits:
        colour = QColor(getattr(t, limit.colour))
        axis = plot.x if limit.upright else plot.y
        words = limit.name if small else f"{limit.name} {axis.text(limit.value)}"
        at = area.x(limit.value) if limit.upright else area.y(limit.value)
        low, high = (box.left(), box.right()) if limit.upright else (box.top(), box.bottom())
        if not low - 1 <= at <= high + 1:
            past = at > high if limit.upright else at < low
            if past:
                beyond.append(f"{words} {'→' if limit.upright else '↑'}")
            continue
        pen = QPen(colour, 1.5)
        pen.setDashPattern([1.5, 2.5])
        painter.setPen(pen)
        if limit.upright:
            painter.drawLine(QPointF(at, box.top()), QPointF(at, box.bottom()))
        else:
            painter.drawLine(QPointF(box.left(), at), QPointF(box.right(), at))
        painter.setPen(colour)
        width = painter.fontMetrics().horizontalAdvance(words) + 2.0
        if limit.upright:
            left = at + 5 if at + 5 + width <= box.right() else at - 5 - width
            place = QRectF(left, box.bottom() - height - 4, width, height)
        else:
            above = at - height - 1
            place = QRectF(
                box.right() - width - 4, above if above > box.top() - 2 else at + 1, width, height
            )
        painter.drawText(place, LEFT, words)
    if beyond:
        painter.setPen(QColor(t.dim))
        place = QRectF(box.left(), box.top() - height - 6, box.width(), height)
        painter.drawText(place, RIGHT, "   ".join(beyond))
