"""Draws a plot: on a widget, into a picture, into a drawing. QtGui only.

All of them look alike as one function draws them. Sizes follow the look of the window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QBuffer, QIODevice, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF

from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_plot import Plot, Reading, Series, View

PICTURE = QSize(1000, 600)  # px of a picture, before it is doubled
PART = 340  # px, the height of each of several charts in one picture
LINE = 2.0  # px
MARK = 3.5  # px, from the middle of a point to its edge
SMALL_MARK = 2.2
MANY = 60  # points: from here on they are drawn all at once, which is quicker
TICK_ROOM = 90.0  # px between two ticks of x, at least
TICK_HEIGHT = 34.0
_CENTRED = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


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


def area_of(plot: Plot, view: View, paper: QRectF, *, small: bool = False) -> Area:
    """The place that ticks and titles leave."""
    metrics = QFontMetricsF(small_font())
    height = metrics.height()
    rows = max(2, int(paper.height() / theme.px(TICK_HEIGHT)))
    labels = plot.y.marks(view.bottom, view.top, rows)
    left = max((metrics.horizontalAdvance(text) for _, text in labels), default=0.0) + 8
    top = height + 6  # the title of y stands above
    bottom = height + 6 + (0 if small else height + 2)
    box = paper.adjusted(left, top, -theme.px(10), -bottom)
    return Area(
        QRectF(box.topLeft(), QPointF(max(box.right(), box.left() + 1), box.bottom())), view
    )


def draw(
    painter: QPainter,
    plot: Plot,
    area: Area,
    *,
    ground: str = "background",
    small: bool = False,
) -> None:
    """Axes, limits and series. The ground is there already; a plot without points says why."""
    t = theme.current()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(small_font())
    if not plot.shown:
        painter.setPen(QColor(t.dim))
        wrap = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
        painter.drawText(area.box, wrap, plot.empty)
        return
    _axes(painter, plot, area, small=small)
    painter.save()
    painter.setClipRect(area.box.adjusted(-MARK, -MARK, MARK, MARK))
    for series in sorted(plot.shown, key=lambda one: not one.faint):
        _series(painter, series, area, _shape(plot, series), SMALL_MARK if small else MARK)
    painter.restore()
    _limits(painter, plot, area, small=small)


def draw_reading(
    painter: QPainter, plot: Plot, area: Area, reading: Reading, ground: str = "background"
) -> None:
    """The upright line at what is read, a ring around each value, and a card that tells them."""
    t = theme.current()
    x = area.x(reading.x)
    painter.setPen(QPen(QColor(t.dim), 1))
    painter.drawLine(QPointF(x, area.box.top()), QPointF(x, area.box.bottom()))
    for series, value, _ in reading.values:
        y = area.y(value)
        if area.box.top() - 1 <= y <= area.box.bottom() + 1:
            painter.setPen(QPen(QColor(getattr(t, series.colour)), 2))
            painter.setBrush(QColor(getattr(t, ground)))
            painter.drawEllipse(QPointF(x, y), MARK + 1, MARK + 1)
    _card(painter, plot, area, reading)


def reading_lines(plot: Plot, reading: Reading) -> list[str]:
    """What a reading says, for the card and for the ear."""
    note = next((note for _, _, note in reading.values if note), "")
    first = f"{plot.x.name} {plot.x.text(reading.x)}"
    lines = [f"{note}: {first}" if note else first]
    return lines + [f"{series.name} {plot.y.text(y)}" for series, y, _ in reading.values]


def key(painter: QPainter, plot: Plot, series: Series, box: QRectF, *, off: bool = False) -> None:
    """What a series looks like, for a legend."""
    colour = QColor(theme.current().dim if off else getattr(theme.current(), series.colour))
    middle = box.center()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if series.style == "points":
        shape = _shape(plot, series)
        _mark(painter, middle, shape, colour, MARK, hollow=off or series.faint)
        return
    painter.setPen(_pen(series, colour))
    painter.drawLine(QPointF(box.left(), middle.y()), QPointF(box.right(), middle.y()))


# -- pictures --------------------------------------------------------------------------------------

# Charts that leave together, one below the other: what each shows, and which part of it.
Pages = Sequence[tuple[Plot, View]]


def image(pages: Pages, ratio: float = 2.0) -> QImage:
    """A picture with titles and legends, `ratio` times as fine as its size in px."""
    size = _size(pages)
    made = QImage(size * ratio, QImage.Format.Format_RGB32)
    made.setDevicePixelRatio(ratio)
    painter = QPainter(made)
    _paper(painter, pages, size)
    painter.end()
    return made


def png(pages: Pages) -> bytes:
    """The picture as a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image(pages).save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


def svg(pages: Pages) -> bytes:
    """The same as an SVG file."""
    from PySide6.QtSvg import QSvgGenerator

    size = _size(pages)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    made = QSvgGenerator()
    made.setOutputDevice(buffer)
    made.setSize(size)
    made.setViewBox(QRectF(0, 0, size.width(), size.height()))
    made.setTitle(pages[0][0].title)
    painter = QPainter(made)
    _paper(painter, pages, size)
    painter.end()
    # Sizes in millimetres, by the screen's resolution, would open it at odd sizes elsewhere.
    text = bytes(buffer.data().data()).decode("utf-8")
    wanted = f'width="{size.width()}" height="{size.height()}"'
    return re.sub(r'width="[\d.]+mm" height="[\d.]+mm"', wanted, text, count=1).encode()


def _size(pages: Pages) -> QSize:
    """Of a picture, in px."""
    height = PICTURE.height() if len(pages) == 1 else PART * len(pages)
    return QSize(theme.px(PICTURE.width()), theme.px(height))


def _paper(painter: QPainter, pages: Pages, size: QSize) -> None:
    """The ground, and the charts on it."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.current().background))
    painter.drawRect(0, 0, size.width(), size.height())
    height = size.height() / len(pages)
    for number, (plot, view) in enumerate(pages):
        _page(painter, plot, view, QRectF(0, number * height, size.width(), height))


def _page(painter: QPainter, plot: Plot, view: View, paper: QRectF) -> None:
    """Title, plane, legend."""
    t = theme.current()
    inner = paper.adjusted(20, 14, -14, -14)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(theme.body_font(16, QFont.Weight.DemiBold))
    painter.setPen(QColor(t.text))
    high = painter.fontMetrics().height()
    painter.drawText(QRectF(inner.left(), inner.top(), inner.width(), high), _LEFT, plot.title)
    painter.setFont(small_font())
    line = painter.fontMetrics().height() + 6.0
    rows = list(legend_rows(plot.shown, inner.width())) if len(plot.series) > 1 else []
    plane = inner.adjusted(0, high + 12 if plot.title else 0, 0, -(line * len(rows) + 6))
    draw(painter, plot, area_of(plot, view, plane))
    for number, row in enumerate(rows):
        top = inner.bottom() - line * (len(rows) - number)
        for series, x, width in row:
            at = QRectF(inner.left() + x, top, theme.px(18), line)
            key(painter, plot, series, at)
            painter.setPen(QColor(t.text))
            words = QRectF(at.right() + 8, top, width, line)
            painter.drawText(words, _LEFT, series.name)


def legend_rows(
    series: Sequence[Series], room: float
) -> Iterator[list[tuple[Series, float, float]]]:
    """Lines of a legend that is `room` px wide: (series, x, width of its name)."""
    metrics = QFontMetricsF(small_font())
    row: list[tuple[Series, float, float]] = []
    x = 0.0
    for one in series:
        width = metrics.horizontalAdvance(one.name)
        whole = theme.px(18) + 8 + width + theme.px(20)
        if row and x + whole > room:
            yield row
            row, x = [], 0.0
        row.append((one, x, width))
        x += whole
    if row:
        yield row


# -- parts -----------------------------------------------------------------------------------------


def _axes(painter: QPainter, plot: Plot, area: Area, *, small: bool) -> None:
    t, box, view = theme.current(), area.box, area.view
    height = painter.fontMetrics().height()
    rows = max(2, int(box.height() / theme.px(TICK_HEIGHT)))
    columns = max(2, int(box.width() / theme.px(TICK_ROOM * (0.7 if small else 1))))
    for value, text in plot.y.marks(view.bottom, view.top, rows):
        y = round(area.y(value)) + 0.5
        painter.setPen(QPen(QColor(t.line), 1))
        painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        painter.setPen(QColor(t.dim))
        painter.drawText(QRectF(0, y - height / 2, box.left() - 8, height), _RIGHT, text)
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
    painter.drawText(high, _LEFT, title)
    if small:
        return
    low = QRectF(box.left(), box.bottom() + height + 6, box.width(), height)
    painter.drawText(low, Qt.AlignmentFlag.AlignRight, plot.x.title(view.right))


def _label_width(painter: QPainter, plot: Plot, view: View, rows: int) -> float:
    labels = plot.y.marks(view.bottom, view.top, rows)
    widths = [painter.fontMetrics().horizontalAdvance(text) for _, text in labels]
    return float(max(widths, default=0))


def _pen(series: Series, colour: QColor) -> QPen:
    pen = QPen(colour, LINE if not series.faint else 1.25)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if series.style == "dashed":
        pen.setDashPattern([4, 3])
    return pen


def _shape(plot: Plot, series: Series) -> int:
    """Points are told apart by their shape too: not everybody sees the colours."""
    kinds = [one.name for one in plot.series if one.style == "points"]
    return kinds.index(series.name) % 4 if series.name in kinds else 0


def _series(painter: QPainter, series: Series, area: Area, shape: int, size: float) -> None:
    colour = QColor(getattr(theme.current(), series.colour))
    if series.style != "points":
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(_pen(series, colour))
        painter.drawPolyline(
            QPolygonF([QPointF(area.x(x), area.y(y)) for x, y in _thinned(series, area)])
        )
        if len(series.points) > 1:
            return
    places = _places(series, area)
    if len(places) < MANY:
        for x, y in places:
            _mark(painter, QPointF(x, y), shape, colour, size, hollow=series.faint)
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


def _mark(
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


def _limits(painter: QPainter, plot: Plot, area: Area, *, small: bool) -> None:
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
        painter.drawText(place, _LEFT, words)
    if beyond:
        painter.setPen(QColor(t.dim))
        place = QRectF(box.left(), box.top() - height - 6, box.width(), height)
        painter.drawText(place, _RIGHT, "   ".join(beyond))


def _card(painter: QPainter, plot: Plot, area: Area, reading: Reading) -> None:
    t, box = theme.current(), area.box
    painter.setFont(small_font())
    metrics = painter.fontMetrics()
    lines = reading_lines(plot, reading)
    height = metrics.height() + 2
    width = max(metrics.horizontalAdvance(line) for line in lines)
    key_width = theme.px(14) + 6.0
    card = QRectF(0, 0, width + key_width + 16, height * len(lines) + 12)
    x = area.x(reading.x)
    left = x + 12 if x + 12 + card.width() <= box.right() else x - 12 - card.width()
    card.moveTopLeft(QPointF(max(0.0, left), box.top() + 6))
    painter.setPen(QPen(QColor(t.field_border), 1))
    painter.setBrush(QColor(t.panel))
    painter.drawRoundedRect(card.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
    for number, line in enumerate(lines):
        top = card.top() + 6 + number * height
        if number:
            box_of_key = QRectF(card.left() + 8, top, theme.px(14), height)
            key(painter, plot, reading.values[number - 1][0], box_of_key)
        painter.setPen(QColor(t.text if number else t.dim))
        shift = 8 + (key_width if number else 0)
        painter.drawText(QRectF(card.left() + shift, top, width + 8, height), _LEFT, line)
