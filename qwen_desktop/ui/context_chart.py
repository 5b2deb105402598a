"""Memory and speed of the shown conversation against its context: charts, and their numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QByteArray, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.measured import Measured, Predicted
from qwen_desktop.errors import Report
from qwen_desktop.ui import chart_paint, theme
from qwen_desktop.ui.chart import Chart
from qwen_desktop.ui.chart_paint import Pages
from qwen_desktop.ui.chart_saving import ChartSaving
from qwen_desktop.ui.context_chart_plots import MEMORY, SPEEDS, memory_plot, speed_plot, tr
from qwen_desktop.ui.context_chart_table import PointsTable, csv_text
from qwen_desktop.ui.controls import Button, ElidedLabel, Label, TintedLabel, plain_tip
from qwen_desktop.ui.dialog import Dialog

SIZE = (900, 640)


class ContextChart(Dialog):
    """Three pages: memory, speed, and the numbers as a table. Not modal: the chat goes on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("contextChart", self.tr("Memory and context"), parent)
        self.resize(theme.px(SIZE[0]), theme.px(SIZE[1]))
        self._points: tuple[Measured, ...] = ()
        self._predicted: Predicted | None = None
        self._stale = {0, 1, 2}  # pages that do not show the newest yet
        self.title = ElidedLabel("", 16, bold=True)
        self.saving = ChartSaving(self, self.pages, lambda: csv_text(self._points))
        self.saving.saved.connect(self._on_saved)
        self.saving.failed.connect(self._on_failed)
        self._build_choices()
        self._build_tabs()
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 14)
        column.setSpacing(8)
        top = QHBoxLayout()
        top.setSpacing(14)
        top.addWidget(self.title, 1)
        top.addWidget(self.up_to_limit)
        name = Label(self.tr("Across"), 13, dim=True)
        name.setBuddy(self.across)  # which names a list to choose from on Linux
        top.addWidget(name)
        top.addWidget(self.across)
        column.addLayout(top)
        column.addWidget(self.tabs, 1)
        column.addLayout(self._bottom())
        self._show_page(0)
        self.memory.canvas.setFocus()

    def show_data(
        self, points: tuple[Measured, ...], predicted: Predicted | None, title: str
    ) -> None:
        """Show a conversation as it is now."""
        self.title.setText(title or self.tr("New chat"))
        self._points, self._predicted = points, predicted
        self.across.setEnabled(bool(points))
        self.up_to_limit.setEnabled(predicted is not None)
        self._stale = {0, 1, 2}
        self._show_page(self.tabs.currentIndex())

    # -- building --------------------------------------------------------------------------

    def _build_choices(self) -> None:
        self.across = QComboBox()
        self.across.setObjectName("chartAcross")
        self.across.setAccessibleName(self.tr("Across"))
        self.across.addItems([self.tr("Tokens"), self.tr("Characters")])
        self.across.setToolTip(
            self.tr("Characters are counted as they were shown to the model: texts and files.")
        )
        self.across.currentIndexChanged.connect(self._on_choice)
        self.up_to_limit = QCheckBox(self.tr("Up to the limit"))
        self.up_to_limit.setObjectName("chartWhole")
        self.up_to_limit.setToolTip(
            self.tr("Show what is predicted as far as the model or the memory goes.")
        )
        self.up_to_limit.toggled.connect(self._on_choice)

    def _build_tabs(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setObjectName("chartTabs")
        self.tabs.setAccessibleName(self.tr("Memory, speed, table"))
        self.tabs.setDocumentMode(True)
        self.memory = Chart(tr(MEMORY))
        self.memory.setObjectName("memoryChart")
        self.speeds = [Chart(tr(speed.name)) for speed in SPEEDS]
        speed = QWidget()
        below = QVBoxLayout(speed)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(6)
        for one, chart in zip(SPEEDS, self.speeds, strict=True):
            below.addWidget(Label(tr(one.name), 13, bold=True))
            below.addWidget(chart, 1)
        self.table = PointsTable()
        for page, words in (
            (self.memory, self.tr("Memory")),
            (speed, self.tr("Speed")),
            (self.table, self.tr("Table")),
        ):
            holder = QWidget()
            inside = QVBoxLayout(holder)
            inside.setContentsMargins(0, 12, 0, 4)
            inside.addWidget(page)
            self.tabs.addTab(holder, words)
        self.tabs.currentChanged.connect(self._show_page)
        for chart in (self.memory, *self.speeds):
            chart.canvas.zoomed.connect(self._on_zoom)

    def _bottom(self) -> QHBoxLayout:
        self.copy = self._button(self.tr("Copy image"), "copyChart", self._copy)
        self.save = self._button(self.tr("Save…"), "saveChart", self._save)
        self.save.setToolTip(self.tr("As a picture, a drawing, or its numbers"))
        self.reset = self._button(self.tr("Whole view"), "resetChart", self.reset_view)
        self.reset.setToolTip(self.tr("Undo the zoom (Home)"))
        self.said = TintedLabel("", 12, tint="dim")
        line = QHBoxLayout()
        line.setSpacing(8)
        for button in (self.copy, self.save, self.reset):
            line.addWidget(button)
        line.addWidget(self.said, 1)
        line.addWidget(self.close_box())
        return line

    def _button(self, words: str, name: str, call: Callable[[], None]) -> Button:
        button = Button(words, height=32)
        button.setObjectName(name)
        button.clicked.connect(call)
        return button

    # -- content ---------------------------------------------------------------------------

    @property
    def _characters(self) -> bool:
        return self.across.currentIndex() == 1

    @Slot()
    def _on_choice(self) -> None:
        self._stale |= {0, 1}
        self._show_page(self.tabs.currentIndex())

    @Slot(int)
    def _show_page(self, index: int) -> None:
        is_table = index == 2
        self.copy.setText(self.tr("Copy table") if is_table else self.tr("Copy image"))
        self.reset.setVisible(not is_table)
        self._on_zoom()
        self.up_to_limit.setVisible(index == 0)
        self._fill(index)

    def _fill(self, index: int) -> None:
        """Only what is looked at is made: a long conversation has thousands of points."""
        if index not in self._stale:
            return
        self._stale.discard(index)
        if index == 0:
            plot = memory_plot(
                self._points,
                self._predicted,
                characters=self._characters,
                whole=self.up_to_limit.isChecked(),
                title=self._heading(tr(MEMORY)),
            )
            self.memory.set_plot(plot)
        elif index == 1:
            for speed, chart in zip(SPEEDS, self.speeds, strict=True):
                chart.set_plot(
                    speed_plot(self._points, self._predicted, speed, characters=self._characters)
                )
        else:
            self.table.points.set_points(self._points)

    def _heading(self, words: str) -> str:
        title = self.title.text()
        return f"{words} – {title}" if self._points else words

    @property
    def charts(self) -> list[Chart]:
        """Those that are looked at; those of memory beside the table."""
        return self.speeds if self.tabs.currentIndex() == 1 else [self.memory]

    def pages(self) -> Pages:
        """What is looked at, to be drawn elsewhere."""
        if self.charts == [self.memory]:
            self._fill(0)
        return [chart.page() for chart in self.charts]

    @Slot()
    def _on_zoom(self) -> None:
        self.reset.setEnabled(any(chart.canvas.is_zoomed for chart in self.charts))

    def reset_view(self) -> None:
        """Undo the zoom."""
        for chart in self.charts:
            chart.reset_view()

    # -- leaving ---------------------------------------------------------------------------

    def _copy(self) -> None:
        if self.tabs.currentIndex() == 2:
            self.table.copy()
            self._say(self.tr("The table is on the clipboard."))
            return
        QGuiApplication.clipboard().setImage(chart_paint.image(self.pages()))
        self._say(self.tr("The picture is on the clipboard."))

    def _save(self) -> None:
        kinds = (self.tr("memory"), self.tr("speed"), self.tr("measured"))
        index = self.tabs.currentIndex()
        self.saving.ask(kinds[index], ".csv" if index == 2 else ".png")

    @Slot(object)
    def _on_saved(self, file: Path) -> None:
        self._say(self.tr("Saved “{name}”").format(name=file.name))

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        self._say(translated(report), "error")

    def _say(self, text: str, tint: str = "dim") -> None:
        self.said.tint = tint
        self.said.setText(text)
        self.said.setToolTip(plain_tip(text))
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    # -- place -----------------------------------------------------------------------------

    def place(self) -> str:
        """Where it is and how large, for `restore`."""
        return bytes(self.saveGeometry().toHex().data()).decode("ascii")

    def restore(self, place: str) -> None:
        """Be where `place` says; nothing happens where it says nothing."""
        if place:
            self.restoreGeometry(QByteArray.fromHex(place.encode("ascii", "ignore")))
