"""The plane of a chart: what is looked at, and what is read off it by pointer and keys."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from qwen_desktop.ui import chart_paint as paint
from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_parts import Area
from qwen_desktop.ui.chart_plot import Plot, Reading, Series, View, nearest_x, read
from qwen_desktop.ui.chart_scale import count_axis
from qwen_desktop.ui.controls import KEYBOARD, focus_ring

ZOOM = 1.25  # of a step of the wheel, or a key
FARTHEST = 1.5  # how much more than everything can be seen
NEAREST = 1e-4  # of everything
SHORTEST_DRAG = 6  # px: less was a click
NEAR = 8  # px: how far from a point it still is read


class Canvas(QWidget):
    """The plane, painted. Takes wheel, drag and keys, and tells what is read off it."""

    activated = Signal()  # clicked, where it is small
    zoomed = Signal(bool)  # whether another part than everything is looked at

    def __init__(self, name: str, *, small: bool, ground: str) -> None:
        super().__init__()
        self._plot = Plot(count_axis(""), count_axis(""))
        self._small, self._ground = small, ground
        self._zoomed: View | None = None
        self._hover: float | None = None  # x under the pointer, of a point
        self._mark: tuple[str, int] | None = None  # series, number of its point from the left
        self._pressed: QPointF | None = None
        self._at: QPointF | None = None
        self._moves = False
        self._ring = False
        self.setObjectName("chartCanvas")
        self.setAccessibleName(name)
        self.setMouseTracking(True)
        policy = Qt.FocusPolicy.NoFocus if small else Qt.FocusPolicy.StrongFocus
        self.setFocusPolicy(policy)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        size = (140, 120) if self._small else (280, 118)
        self.setMinimumSize(theme.px(size[0]), theme.px(size[1]))
        self.update()

    # -- what is shown ---------------------------------------------------------------------

    @property
    def plot(self) -> Plot:
        """What is shown, or hidden by the legend."""
        return self._plot

    @property
    def view(self) -> View:
        """The part that is looked at."""
        return self._zoomed or self._plot.whole

    @property
    def is_zoomed(self) -> bool:
        """Whether it is another part than everything."""
        return self._zoomed is not None

    def set_plot(self, plot: Plot) -> None:
        """Show it; what is looked at stays, but for another axis."""
        if plot == self._plot:
            return
        if plot.x.name != self._plot.x.name or plot.y.name != self._plot.y.name:
            self.set_view(None)
        self._plot = plot
        self._hover = None
        if self._mark is not None and self._marked() is None:
            self._mark = None
        self.setAccessibleDescription(self.summary())
        self.update()

    def set_view(self, view: View | None) -> None:
        """Look at a part, or at everything."""
        whole = self._plot.whole
        if view is not None:
            wide, high = view.width / whole.width, view.height / whole.height
            if not (NEAREST < wide < FARTHEST and NEAREST < high < FARTHEST):
                return
            left = min(max(view.left, whole.left - whole.width / 2), whole.right)
            bottom = min(max(view.bottom, whole.bottom - whole.height / 2), whole.top)
            view = View(left, left + view.width, bottom, bottom + view.height)
        self._zoomed = view
        self._hover = None
        self.zoomed.emit(view is not None)
        self.update()

    def zoom(self, by: float, at: QPointF | None = None) -> None:
        """`by` times as near, about a place on the widget or about what is read."""
        area = self._area()
        reading = self.reading
        if at is not None:
            x, y = area.value_x(at.x()), area.value_y(at.y())
        elif reading is not None and reading.values:
            x, y = reading.x, reading.values[0][1]
        else:
            x, y = (
                (area.view.left + area.view.right) / 2,
                (area.view.bottom + area.view.top) / 2,
            )
        self.set_view(area.view.zoomed(by, x, y, across=True, up=True))

    @property
    def reading(self) -> Reading | None:
        """What is read now: under the pointer, else where the keys have led."""
        marked = self._marked()
        if self._hover is None and marked is None:
            return None
        area = self._area()
        near = NEAR / area.box.width() * area.view.width
        if self._hover is not None:
            return read(self._plot, self._hover, near)
        assert marked is not None
        series, number = marked
        index = series.ordered[number]
        x, y = series.points[index]
        others = read(self._plot, x, near).values
        rest = tuple(one for one in others if one[0].name != series.name)
        return Reading(x, ((series, y, series.note(index)), *rest))

    def _marked(self) -> tuple[Series, int] | None:
        if self._mark is None:
            return None
        name, number = self._mark
        for series in self._plot.shown:
            if series.name == name and number < len(series.points):
                return series, number
        return None

    def summary(self) -> str:
        """Everything in a few words: each series from where to where, and the limits."""
        plot = self._plot
        if not plot.shown:
            return plot.empty
        parts = []
        for series in plot.shown:
            first, last = (series.points[series.ordered[n]] for n in (0, -1))
            at = self.tr("{name}: {count} points, {first} at {begin} to {last} at {end}")
            parts.append(
                at.format(
                    name=series.name,
                    count=len(series.points),
                    first=plot.y.text(first[1]),
                    begin=plot.x.text(first[0]),
                    last=plot.y.text(last[1]),
                    end=plot.x.text(last[0]),
                )
            )
        for limit in plot.limits:
            axis = plot.x if limit.upright else plot.y
            parts.append(f"{limit.name} {axis.text(limit.value)}")
        return f"{plot.y.name} / {plot.x.name}. " + "; ".join(parts) + "."

    # -- painting --------------------------------------------------------------------------

    def _area(self) -> Area:
        return paint.area_of(self._plot, self.view, QRectF(self.rect()), small=self._small)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ground, plot, what is read, the box that is dragged, ring."""
        painter = QPainter(self)
        t = theme.current()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(t, self._ground)))
        painter.drawRect(self.rect())
        area = self._area()
        paint.draw(painter, self._plot, area, ground=self._ground, small=self._small)
        reading = self.reading
        seen = reading is not None and area.view.left <= reading.x <= area.view.right
        if reading is not None and reading.values and seen:
            paint.draw_reading(painter, self._plot, area, reading, self._ground)
        if self._dragged is not None and not self._moves:
            painter.setPen(QPen(QColor(t.accent), 1))
            fill = QColor(t.accent)
            fill.setAlphaF(0.15)
            painter.setBrush(fill)
            painter.drawRect(self._dragged)
        if self.hasFocus() and self._ring:
            focus_ring(painter, QRectF(self.rect()), 6)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.update()

    # -- mouse -----------------------------------------------------------------------------

    @property
    def _dragged(self) -> QRectF | None:
        """The box between where the button went down and where the pointer is."""
        if self._pressed is None or self._at is None:
            return None
        box = QRectF(self._pressed, self._at).normalized()
        long_enough = max(box.width(), box.height()) >= SHORTEST_DRAG
        return box & self._area().box if long_enough else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A drag begins: a box to look at, or with Shift or the middle button the paper itself."""
        shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            super().mousePressEvent(event)
            return
        self._pressed = self._at = event.position()
        self._moves = shifted or event.button() == Qt.MouseButton.MiddleButton

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read what is under the pointer, or go on with the drag."""
        at = event.position()
        area = self._area()
        if self._pressed is None:
            x = nearest_x(self._plot.shown, area.value_x(at.x()))
            inside = area.box.adjusted(-NEAR, -NEAR, NEAR, NEAR).contains(at)
            seen = x is not None and area.view.left <= x <= area.view.right
            found = x if inside and seen else None
            if found != self._hover:
                self._hover = found
                self.update()
            return
        if self._small:
            return
        if self._moves and self._at is not None:
            x = area.value_x(self._at.x()) - area.value_x(at.x())
            y = area.value_y(self._at.y()) - area.value_y(at.y())
            self.set_view(area.view.moved(x, y))
        self._hover = None
        self._at = at
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Look at the box."""
        dragged, area, moved = self._dragged, self._area(), self._moves
        self._pressed = self._at = None
        self._moves = False
        if self._small:
            self.activated.emit()
            return
        if dragged is not None and not moved and dragged.width() > 1 and dragged.height() > 1:
            left, right = area.value_x(dragged.left()), area.value_x(dragged.right())
            bottom, top = area.value_y(dragged.bottom()), area.value_y(dragged.top())
            self.set_view(View(left, right, bottom, top))
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Everything again."""
        if not self._small:
            self.set_view(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Nearer or farther, about the pointer. A small one lets it scroll what it stands in."""
        turned = event.angleDelta().y() / 120
        if self._small or not turned or not self._plot.shown:
            event.ignore()
            return
        self.zoom(ZOOM**turned, event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is read by the pointer any more."""
        self._hover = None
        self.update()
        super().leaveEvent(event)

    # -- keys ------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from point to point and from series to series, + and - zoom, Home resets."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        change = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        key = Qt.Key(event.key())
        if not self._plot.shown:
            super().keyPressEvent(event)
        elif key in step:
            self._go(step[key])
        elif key in change:
            self._change_series(change[key])
        elif key == Qt.Key.Key_End:
            self._go(len(self._plot.shown[0].points))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(ZOOM)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / ZOOM)
        elif key == Qt.Key.Key_Home:
            self._mark = None
            self.set_view(None)
            self.setAccessibleDescription(self.summary())
        else:
            super().keyPressEvent(event)

    def _go(self, by: int) -> None:
        marked = self._marked()
        if marked is None:
            series = self._plot.shown[0]
            number = 0 if by == 1 else len(series.points) - 1
        else:
            series, number = marked
            number = min(max(number + by, 0), len(series.points) - 1)
        self._read_at(series, number)

    def _change_series(self, by: int) -> None:
        shown = self._plot.shown
        marked = self._marked()
        if marked is None:
            self._go(1)
            return
        before, number = marked
        names = [one.name for one in shown]
        series = shown[(names.index(before.name) + by) % len(shown)]
        x = before.xs[number]
        self._read_at(series, min(range(len(series.xs)), key=lambda n: abs(series.xs[n] - x)))

    def _read_at(self, series: Series, number: int) -> None:
        """Put the mark on a point, bring it into view, and say what is there."""
        self._hover = None
        self._mark = (series.name, number)
        x, y = series.points[series.ordered[number]]
        view = self.view
        across = min(x - view.left, 0.0) + max(x - view.right, 0.0)
        up = min(y - view.bottom, 0.0) + max(y - view.top, 0.0)
        if self._zoomed is not None and (across or up):
            self.set_view(view.moved(across, up))
        self.update()
        reading = self.reading
        if reading is None:
            return
        said = ", ".join(paint.reading_lines(self._plot, reading))
        self.setAccessibleDescription(said)
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, said))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the ring only to who came by keyboard."""
        self._ring = event.reason() in KEYBOARD
        super().focusInEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Other places for everything."""
        self._hover = None
        super().resizeEvent(event)
