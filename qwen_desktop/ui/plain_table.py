"""What the tables in dialogs have in common: how they look and how rows are chosen."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QEvent, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableView, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar
from qwen_desktop.ui.module_tree import ROW_HEIGHT, flatten, soften


def make_table_plain(view: QTableView) -> None:
    """Let `view` have stripes, our scroll bar, no frame, no editing, and one chosen row."""
    view.setFrameShape(QFrame.Shape.NoFrame)
    view.setShowGrid(False)
    view.setAlternatingRowColors(True)
    view.setTabKeyNavigation(False)
    view.setWordWrap(False)
    view.setCornerButtonEnabled(False)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, view))
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setFont(theme.body_font(13))
    view.verticalHeader().hide()
    view.verticalHeader().setDefaultSectionSize(theme.px(ROW_HEIGHT))


class NumbersModel(QAbstractTableModel):
    """Rows that can be copied."""

    def as_lines(self, rows: Sequence[int]) -> str:
        """Rows below the names of the columns, with tabs between: to be pasted into a table."""
        raise NotImplementedError


class NumbersTable(QTableView):
    """A table of what was measured; Ctrl+C copies the chosen rows."""

    def __init__(self, numbers: NumbersModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._numbers = numbers
        numbers.setParent(self)
        self.setModel(numbers)
        make_table_plain(self)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        across = self.horizontalHeader()
        across.setStretchLastSection(True)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self._soften()

    def _soften(self) -> None:
        flatten(self.horizontalHeader())
        soften(self)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_numbers"):
            self._soften()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Copy what is chosen."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            return
        super().keyPressEvent(event)

    def copy(self) -> None:
        """Put the chosen rows on the clipboard, all of them where none is."""
        chosen = sorted({index.row() for index in self.selectionModel().selectedIndexes()})
        rows = chosen or range(self._numbers.rowCount())
        QGuiApplication.clipboard().setText(self._numbers.as_lines(rows))
