"""The charts of the shown conversation: a small one in the panel, large ones in a dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.chart import Chart
from qwen_desktop.ui.context_chart_plots import MEMORY, memory_plot, tr
from qwen_desktop.ui.controls import Button, Label, Line

if TYPE_CHECKING:
    from qwen_desktop.bridge.measuring import Measuring
    from qwen_desktop.ui.context_chart import ContextChart
    from qwen_desktop.ui.main_window import MainWindow

SMALL_HEIGHT = 150  # px at 100 %


class SmallChart(Chart):
    """The one in the panel, as high as it is to be."""

    def __init__(self, name: str) -> None:
        super().__init__(name, small=True, ground="panel")
        self.setObjectName("panelChart")
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(SMALL_HEIGHT))


class Charting(QObject):
    """Belongs to the window. `moved(str)`: where the dialog was when it was closed."""

    moved = Signal(str)

    def __init__(self, window: MainWindow, measuring: Measuring, place: str = "") -> None:
        """`place` is where the dialog was at the last start, as `moved` told."""
        super().__init__(window)
        self._window = window
        self._measuring = measuring
        self._place = place
        self._dialog: ContextChart | None = None
        self.small = SmallChart(tr(MEMORY))
        self.small.activated.connect(self.show)
        self.more = Button(self.tr("Open"), kind="plain", tint="accent", height=24)
        self.more.padding = 3
        self.more.setObjectName("openChart")
        self.more.setAccessibleName(self.tr("Memory and context"))
        self.more.setToolTip(self.tr("Memory and speed against context, in full"))
        self.more.clicked.connect(self.show)
        measuring.changed.connect(self._on_changed)

    def build(self, slot: QVBoxLayout) -> None:
        """Put the small chart into the panel. To be called once."""
        heading = QHBoxLayout()
        heading.addWidget(Label(tr(MEMORY), 14, bold=True), 1)
        heading.addWidget(self.more)
        slot.addSpacing(4)
        slot.addWidget(Line())
        slot.addSpacing(2)
        slot.addLayout(heading)
        slot.addWidget(self.small)
        panel = self._window.panel
        QWidget.setTabOrder(self._window.right_handle, self.more)
        QWidget.setTabOrder(self.more, panel.card)
        self._on_changed()

    def show(self) -> None:
        """Open the dialog, or bring it to the front."""
        if self._dialog is None:
            from qwen_desktop.ui.context_chart import ContextChart

            self._dialog = ContextChart(self._window)
            self._dialog.restore(self._place)
            self._dialog.finished.connect(self._on_finished)
            self._measuring.look_now()
            self._fill(self._dialog)
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()

    @property
    def dialog(self) -> ContextChart | None:
        """The dialog, while it is open."""
        return self._dialog

    @Slot()
    def _on_changed(self) -> None:
        measuring = self._measuring
        self.small.set_plot(memory_plot(measuring.points, measuring.predicted, small=True))
        if self._dialog is not None:
            self._fill(self._dialog)

    def _fill(self, dialog: ContextChart) -> None:
        measuring = self._measuring
        dialog.show_data(measuring.points, measuring.predicted, measuring.title)

    @Slot()
    def _on_finished(self) -> None:
        if self._dialog is not None:
            self._place = self._dialog.place()
            self.moved.emit(self._place)
        self._dialog = None
