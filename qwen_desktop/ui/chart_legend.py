"""The legend of a chart: a button for each series, which hides it or shows it again."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from qwen_desktop.ui import chart_paint as paint
from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_parts import small_font
from qwen_desktop.ui.chart_plot import Plot, Series
from qwen_desktop.ui.controls import KEYBOARD, focus_ring


class Entry(QAbstractButton):
    """A series in the legend; pressing it hides the series, or shows it again."""

    def __init__(self, plot: Callable[[], Plot], series: Series, parent: QWidget) -> None:
        super().__init__(parent)
        self._plot, self.series = plot, series
        self._ring = False
        self.setText(series.name)
        self.setAccessibleName(series.name)
        self.setCheckable(True)
        self.setChecked(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def sizeHint(self) -> QSize:
        """The sample and the name."""
        metrics = self.fontMetrics()
        width = theme.px(18) + 16 + metrics.horizontalAdvance(self.text())
        return QSize(width, metrics.height() + 8)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the ring only to who came by keyboard."""
        self._ring = event.reason() in KEYBOARD
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses it too."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """A sample of the series, its name; struck out where it is hidden."""
        painter = QPainter(self)
        off = not self.isChecked()
        sample = QRectF(4, 0, theme.px(18), self.height())
        paint.key(painter, self._plot(), self.series, sample, off=off)
        t = theme.current()
        painter.setPen(QColor(t.dim if off else t.text))
        font = self.font()
        font.setStrikeOut(off)
        painter.setFont(font)
        words = QRectF(self.rect()).adjusted(sample.right() + 8, 0, 0, 0)
        painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter), self.text())
        if self.hasFocus() and self._ring:
            focus_ring(painter, QRectF(self.rect()), 6)


class Legend(QWidget):
    """The names of the series, in as many lines as they need."""

    toggled = Signal(str, bool)  # name of a series, whether it is to be seen

    def __init__(self, plot: Callable[[], Plot]) -> None:
        super().__init__()
        self._plot = plot
        self.entries: list[Entry] = []
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_series(self, series: tuple[Series, ...], hidden: frozenset[str]) -> None:
        """Name these; entries that stay the same stay, with their focus."""
        if [entry.series.name for entry in self.entries] != [one.name for one in series]:
            for entry in self.entries:
                entry.hide()
                entry.deleteLater()
            self.entries = []
            for one in series:
                entry = Entry(self._plot, one, self)
                entry.setFont(small_font())
                entry.toggled.connect(lambda on, name=one.name: self.toggled.emit(name, on))
                entry.show()
                self.entries.append(entry)
        for entry, one in zip(self.entries, series, strict=True):
            entry.series = one
            entry.setChecked(one.name not in hidden)
            entry.update()
        self.setVisible(len(self.entries) > 1)
        self._place()
        self.updateGeometry()

    def follow_look(self) -> None:
        """Other fonts."""
        for entry in self.entries:
            entry.setFont(small_font())
        self._place()
        self.updateGeometry()

    def heightForWidth(self, width: int) -> int:
        """Of all lines."""
        return max((box.bottom() + 1 for box in self._boxes(width)), default=0)

    def sizeHint(self) -> QSize:
        """As many lines as there are now."""
        return QSize(100, self.heightForWidth(max(self.width(), 100)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break the lines anew."""
        super().resizeEvent(event)
        self._place()

    def _boxes(self, width: int) -> list[QRect]:
        boxes: list[QRect] = []
        x = y = 0
        for entry in self.entries:
            size = entry.sizeHint()
            if x and x + size.width() > width:
                x, y = 0, y + size.height()
            boxes.append(QRect(x, y, min(size.width(), width), size.height()))
            x += size.width() + theme.px(8)
        return boxes

    def _place(self) -> None:
        for entry, box in zip(self.entries, self._boxes(self.width()), strict=True):
            entry.setGeometry(box)
