"""Draws a plot: on a widget, into a picture, into a drawing. QtGui only.

All of them look alike as one function draws them. Sizes follow the look of the window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from PySide6.QtCore import QBuffer, QIODevice, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_parts import (
    LEFT,
    MARK,
    SMALL_MARK,
    TICK_HEIGHT,
    Area,
    draw_axes,
    draw_limits,
    draw_mark,
    draw_series,
    pen_of,
    shape_of,
    small_font,
)
from qwen_desktop.ui.chart_plot import Plot, Reading, Series, View

PICTURE = QSize(1000, 600)  # px of a picture, before it is doubled
PART = 340  # px, the height of each of several charts in one picture


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
    draw_axes(painter, plot, area, small=small)
    painter.save()
    painter.setClipRect(area.box.adjusted(-MARK, -MARK, MARK, MARK))
    for series in sorted(plot.shown, key=lambda one: not one.faint):
        draw_series(painter, series, area, shape_of(plot, series), SMALL_MARK if small else MARK)
    painter.restore()
    draw_limits(painter, plot, area, small=small)


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
        shape = shape_of(plot, series)
        draw_mark(painter, middle, shape, colour, MARK, hollow=off or series.faint)
        return
    painter.setPen(pen_of(series, colour))
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
    painter.drawText(QRectF(inner.left(), inner.top(), inner.width(), high), LEFT, plot.title)
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
            painter.drawText(words, LEFT, series.name)


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
        painter.drawText(QRectF(card.left() + shift, top, width + 8, height), LEFT, line)
