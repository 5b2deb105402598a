"""A chart of values against values: lines and points, read and zoomed by mouse and keys.

    chart = Chart("Memory against context")
    chart.set_plot(Plot(count_axis("Tokens"), bytes_axis("Memory"), (Series("Peak", points),)))

What is shown are frozen values (`chart_plot.py`); `chart_paint.py` draws them, here and in files.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qwen_desktop.ui.chart_canvas import Canvas
from qwen_desktop.ui.chart_legend import Legend
from qwen_desktop.ui.chart_plot import Limit, Plot, Series, View
from qwen_desktop.ui.chart_scale import Axis, bytes_axis, count_axis, seconds_axis, speed_axis

__all__ = [
    "Axis",
    "Chart",
    "Limit",
    "Plot",
    "Series",
    "bytes_axis",
    "count_axis",
    "seconds_axis",
    "speed_axis",
]


class Chart(QWidget):
    """A plane with its legend. `small`: no keys and no zoom, a click asks for more."""

    activated = Signal()

    def __init__(
        self,
        name: str,
        parent: QWidget | None = None,
        *,
        small: bool = False,
        ground: str = "background",
    ) -> None:
        super().__init__(parent)
        self.canvas = Canvas(name, small=small, ground=ground)
        self.legend = Legend(lambda: self.canvas.plot)
        self.legend.hide()
        self.legend.toggled.connect(self._toggle)
        self.canvas.activated.connect(self.activated)
        self._small = small
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.legend)

    @property
    def plot(self) -> Plot:
        """What is shown, with what the legend hides."""
        return self.canvas.plot

    def set_plot(self, plot: Plot) -> None:
        """Show it. What was hidden stays hidden; nothing is painted where nothing changed."""
        names = {series.name for series in plot.series}
        plot = replace(plot, hidden=plot.hidden | (self.plot.hidden & names))
        if plot == self.plot:
            return
        self.canvas.set_plot(plot)
        if not self._small:
            self.legend.set_series(plot.series, plot.hidden)

    def _toggle(self, name: str, on: bool) -> None:
        hidden = self.plot.hidden - {name} if on else self.plot.hidden | {name}
        self.canvas.set_plot(replace(self.plot, hidden=hidden))

    def reset_view(self) -> None:
        """Look at everything."""
        self.canvas.set_view(None)

    def page(self) -> tuple[Plot, View]:
        """What is looked at, to be drawn elsewhere."""
        return self.plot, self.canvas.view
