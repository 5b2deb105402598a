"""Paints lines of tokens: colours, chips, and what is cached, found, selected or pointed at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontInfo, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.token_layout import Mode, TokenLayout, ids_of

_TINT = 0.17  # of a span's colour behind its text
_HEAT = 0.55  # of the strongest heat
_HEAT_HIGH = 0.4  # the same where contrast is high
_MARK = 4  # px, the line under the hottest token
_BAR = 3  # px, beside lines whose tokens have a heat and belong to a span
_PAD = 5  # px on each side of a control token's name


@dataclass(frozen=True)
class Span:
    """Tokens `start` to before `end` on `colour`, a colour name of the theme."""

    start: int
    end: int
    colour: str


def mixed(colour: str, share: float, ground: str) -> QColor:
    """`share` of `colour` on `ground`, both `#rrggbb`."""
    a, b = QColor(colour), QColor(ground)
    return QColor(
        round(a.red() * share + b.red() * (1 - share)),
        round(a.green() * share + b.green() * (1 - share)),
        round(a.blue() * share + b.blue() * (1 - share)),
    )


def tint(colour: str) -> QColor:
    """What stands behind text that belongs to `colour`, a colour name of the theme."""
    now = theme.current()
    return mixed(getattr(now, colour), _TINT, now.background)


def heat_colour(heat: float) -> QColor:
    """What stands behind a token of so much heat, 0.0 to 1.0."""
    now = theme.current()
    most = _HEAT_HIGH if now.name.startswith("high") else _HEAT
    return mixed(now.error, most * heat, now.background)


def paint_mark(painter: QPainter, box: QRectF, heat: float) -> None:
    """A line at the foot of `box`, the thicker the hotter: heat is not told by colour alone."""
    thick = round(theme.px(_MARK) * heat)
    if thick > 0:
        foot = QRectF(box.left() + 0.5, box.bottom() - thick, max(1.0, box.width() - 1), thick)
        painter.fillRect(foot, QColor(theme.current().error))


@dataclass
class Look:
    """How the tokens are shown besides their text."""

    spans: tuple[Span, ...] = ()
    heat: tuple[float | None, ...] = ()
    cached: int = 0
    lookalikes: tuple[tuple[int, int], ...] = ()
    found: list[tuple[int, int]] = field(default_factory=list)
    found_now: tuple[int, int] | None = None
    selection: tuple[int, int] = (0, 0)
    current: int = -1
    hovered: int = -1
    _starts: tuple[int, ...] = ()

    def set_spans(self, spans: Sequence[Span]) -> None:
        """Colours by stretches, in their order."""
        self.spans = tuple(spans)
        self._starts = tuple(span.start for span in spans)

    def span_at(self, token: int) -> Span | None:
        """The span of a token."""
        at = bisect_right(self._starts, token) - 1
        return self.spans[at] if at >= 0 and token < self.spans[at].end else None

    def is_lookalike(self, token: int) -> bool:
        """Whether its text only reads like a control token."""
        return _within(self.lookalikes, token)

    def is_found(self, token: int) -> bool:
        """Whether it is part of what was searched for."""
        return _within(self.found, token)


def _within(ranges: Sequence[tuple[int, int]], token: int) -> bool:
    at = bisect_right(ranges, (token, 1 << 60)) - 1
    return at >= 0 and token < ranges[at][1]


class TokenPainter:
    """Fonts and measures of one mode, and how a line is painted."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.font = theme.code_font(13)
        self.small = theme.code_font(10)
        self.chip = 2.0 * theme.px(_PAD)
        self.gap = 0.0 if mode is Mode.TEXT else float(theme.px(8))
        metrics = QFontMetricsF(self.font)
        self._ascent = metrics.ascent()
        self._row = theme.px(22)
        self.line_height = self._row
        self._even = QFontInfo(self.font).fixedPitch()
        if mode is Mode.BOTH:
            self._low = QFontMetricsF(self.small)
            self.line_height = self._row + round(self._low.height()) + theme.px(6)

    def paint(
        self,
        where: QWidget,
        layout: TokenLayout,
        look: Look,
        lines: range,
        origin: QPointF,
    ) -> None:
        """Paint `lines`; the first of all is at `origin`."""
        painter = QPainter(where)
        painter.setFont(self.font)
        for line in lines:
            top = origin.y() + line * self.line_height
            self._paint_grounds(painter, layout, look, line, origin.x(), top)
            self._paint_texts(painter, layout, look, line, origin.x(), top)
        if look.hovered >= 0:
            self._paint_bounds(painter, layout, look, lines, origin)
        if look.current >= 0:
            self._paint_current(painter, layout, look.current, lines, origin)

    # -- what lies behind -------------------------------------------------------------------

    def _paint_grounds(
        self, painter: QPainter, layout: TokenLayout, look: Look, line: int, left: float, top: float
    ) -> None:
        """Stretches of one colour as one box: there are no seams."""
        box = QRectF(left, top + 2, 0, self.line_height - 4)
        fill: QColor | None = None
        begin = end = 0.0
        cached_end = -1.0
        marks: list[tuple[float, float, float]] = []
        first = layout.lines[line]
        for index in layout.fragments(line):
            token = layout.cells[layout.cell_of[index]].start
            x, width = layout.xs[index], layout.widths[index]
            now = self._ground(look, token)
            if now != fill or x - end > 0.5:
                if fill is not None:
                    painter.fillRect(_between(box, left + begin, left + end), fill)
                fill, begin = now, x
            end = x + width
            if token < look.cached:
                cached_end = end
            if token < len(look.heat) and (heat := look.heat[token]):
                marks.append((left + x, width, heat))
        if fill is not None:
            painter.fillRect(_between(box, left + begin, left + end), fill)
        for x, width, heat in marks:
            paint_mark(painter, QRectF(x, top, width, self.line_height), heat)
        if look.heat and (span := look.span_at(layout.cells[layout.cell_of[first]].start)):
            bar = QRectF(left - theme.px(2 * _BAR), top, theme.px(_BAR), self.line_height)
            painter.fillRect(bar, QColor(getattr(theme.current(), span.colour)))
        if cached_end >= 0:
            colour = QColor(theme.current().other)
            painter.fillRect(QRectF(left, top + self.line_height - 3, cached_end, 2), colour)

    def _ground(self, look: Look, token: int) -> QColor | None:
        now = theme.current()
        start, end = look.selection
        if start <= token < end:
            return QColor(now.accent)
        if look.found_now is not None and look.found_now[0] <= token < look.found_now[1]:
            return QColor(now.found_now)
        if look.found and look.is_found(token):
            return QColor(now.found)
        if look.heat:
            heat = look.heat[token] if token < len(look.heat) else None
            return heat_colour(heat) if heat else None
        span = look.span_at(token)
        return tint(span.colour) if span is not None else None

    # -- text ------------------------------------------------------------------------------

    def _paint_texts(
        self, painter: QPainter, layout: TokenLayout, look: Look, line: int, left: float, top: float
    ) -> None:
        now = theme.current()
        base = top + (self._row - QFontMetricsF(self.font).height()) / 2 + self._ascent
        run, run_x, run_end, run_colour = "", 0.0, 0.0, ""
        start, end = look.selection
        for index in layout.fragments(line):
            cell = layout.cells[layout.cell_of[index]]
            text, x = layout.texts[index], layout.xs[index]
            chosen = start <= cell.start < end
            colour = now.on_accent if chosen else now.text
            control = layout.tokens.is_control(cell.start)
            if control or not (self._even and text.isascii()) or self.mode is not Mode.TEXT:
                if run:
                    painter.setPen(QColor(run_colour))
                    painter.drawText(QPointF(left + run_x, base), run)
                    run = ""
                self._paint_alone(painter, layout, index, QPointF(left + x, base), top, chosen)
            elif run and run_colour == colour and abs(run_end - x) < 0.5:
                run += text
                run_end = x + layout.widths[index]
            else:
                if run:
                    painter.setPen(QColor(run_colour))
                    painter.drawText(QPointF(left + run_x, base), run)
                run, run_x, run_colour = text, x, colour
                run_end = x + layout.widths[index]
            if look.lookalikes and look.is_lookalike(cell.start):
                painter.setPen(QPen(QColor(now.warning), 2, Qt.PenStyle.DashLine))
                low = top + self._row - 4
                painter.drawLine(
                    QPointF(left + x, low), QPointF(left + x + layout.widths[index], low)
                )
        if run:
            painter.setPen(QColor(run_colour))
            painter.drawText(QPointF(left + run_x, base), run)

    def _paint_alone(
        self,
        painter: QPainter,
        layout: TokenLayout,
        index: int,
        place: QPointF,
        top: float,
        chosen: bool,
    ) -> None:
        """A control token, or a text that must not be joined with its neighbours."""
        now = theme.current()
        cell, width = layout.cells[layout.cell_of[index]], layout.widths[index]
        text = layout.texts[index]
        colour = now.on_accent if chosen else now.text
        if layout.tokens.is_control(cell.start):
            colour = now.on_accent if chosen else now.warning
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(colour), 1))
            box = QRectF(place.x() + 1.5, top + 2.5, width - 3, self.line_height - 5)
            painter.drawRoundedRect(box, 5, 5)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            place = QPointF(place.x() + self.chip / 2, place.y())
        painter.setPen(QColor(colour))
        painter.drawText(place, text)
        # The ids stand below the first fragment of a cell, where they are the whole cell's.
        first = index == 0 or layout.cell_of[index - 1] != layout.cell_of[index]
        if self.mode is Mode.BOTH and first:
            painter.setFont(self.small)
            painter.setPen(QColor(now.on_accent if chosen else now.dim))
            low = QPointF(place.x(), top + self._row + self._low.ascent())
            painter.drawText(low, ids_of(layout.tokens, cell))
            painter.setFont(self.font)

    # -- the pointer and the keys -------------------------------------------------------------

    def _paint_bounds(
        self, painter: QPainter, layout: TokenLayout, look: Look, lines: range, origin: QPointF
    ) -> None:
        """Ticks between the tokens of the line that is pointed at, and a box around that one."""
        line = layout.line_at(look.hovered)
        if line not in lines:
            return
        now = theme.current()
        top = origin.y() + line * self.line_height
        painter.setPen(QPen(QColor(now.field_border), 1))
        for index in layout.fragments(line):
            x = round(origin.x() + layout.xs[index]) + 0.5
            painter.drawLine(QPointF(x, top + 3), QPointF(x, top + self.line_height - 3))
        self._box(painter, layout, look.hovered, QColor(now.field_border), origin)

    def _paint_current(
        self, painter: QPainter, layout: TokenLayout, token: int, lines: range, origin: QPointF
    ) -> None:
        if layout.line_at(token) in lines:
            self._box(painter, layout, token, QColor(theme.current().accent), origin, 2)

    def _box(
        self,
        painter: QPainter,
        layout: TokenLayout,
        token: int,
        colour: QColor,
        origin: QPointF,
        pen: int = 1,
    ) -> None:
        line, x, width = layout.place(token)
        top = origin.y() + line * self.line_height
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, pen))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        box = QRectF(origin.x() + x, top + 1, width, self.line_height - 2)
        painter.drawRoundedRect(box, 3, 3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def _between(box: QRectF, left: float, right: float) -> QRectF:
    return QRectF(left, box.top(), right - left, box.height())
