"""What the local server has answered, as a table: paths and numbers, never a text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QLocale, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHeaderView, QWidget

from qwen_desktop.bridge.serving import LOG_ROWS
from qwen_desktop.serve.served import Entry
from qwen_desktop.ui.plain_table import NumbersModel, NumbersTable

NUMBERS = 3  # columns from here on
PATH = 1  # the column that gets what room there is

Index = QModelIndex | QPersistentModelIndex


class ServingLog(NumbersModel):
    """The newest requests, the last one at the end."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[tuple[str, ...]] = []
        self._heads = (
            self.tr("Time"),
            self.tr("Path"),
            self.tr("Status"),
            self.tr("Read"),
            self.tr("Kept"),
            self.tr("Written"),
            self.tr("Tokens/s"),
        )

    def add(self, entries: Iterable[Entry]) -> None:
        """Requests have ended."""
        texts = [self._texts(entry) for entry in entries]
        if not texts:
            return
        if (surplus := len(self._rows) + len(texts) - LOG_ROWS) > 0 and self._rows:
            gone = min(surplus, len(self._rows))
            self.beginRemoveRows(QModelIndex(), 0, gone - 1)
            del self._rows[:gone]
            self.endRemoveRows()
        texts = texts[-LOG_ROWS:]
        first = len(self._rows)
        self.beginInsertRows(QModelIndex(), first, first + len(texts) - 1)
        self._rows += texts
        self.endInsertRows()

    def clear(self) -> None:
        """Forget them."""
        self.beginResetModel()
        self._rows.clear()
        self.endResetModel()

    def as_lines(self, rows: Sequence[int]) -> str:
        """Rows below the names of the columns, with tabs between."""
        lines = [self._heads, *(self._rows[row] for row in rows)]
        return "\n".join("\t".join(line) for line in lines) + "\n"

    def rowCount(self, parent: Index | None = None) -> int:
        """One for a request."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        """Time, path, status and numbers."""
        return 0 if parent is not None and parent.isValid() else len(self._heads)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """What stands in a cell."""
        text = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._heads[index.column()]}: {text}" if text else ""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _across(index.column())
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """The names of the columns."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return self._heads[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return _across(section)
        return None

    def _texts(self, entry: Entry) -> tuple[str, ...]:
        locale = QLocale()
        status = str(entry.status) if entry.status else "—"
        if entry.left:
            status += " · " + self.tr("left")
        read = bool(entry.prompt_tokens)
        return (
            time.strftime("%H:%M:%S", time.localtime(entry.time)),
            f"{entry.method} {entry.path}",
            status,
            locale.toString(entry.prompt_tokens) if read else "",
            locale.toString(entry.cached_tokens) if read else "",
            locale.toString(entry.new_tokens) if read else "",
            locale.toString(entry.speed, "f", 1) if entry.speed else "",
        )


def _across(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column >= NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class ServingTable(NumbersTable):
    """Follows its end while nobody has scrolled away from it; Ctrl+C copies."""

    def __init__(self, log: ServingLog, parent: QWidget | None = None) -> None:
        super().__init__(log, parent)
        across = self.horizontalHeader()
        across.setStretchLastSection(False)
        across.setSectionResizeMode(PATH, QHeaderView.ResizeMode.Stretch)
        self._at_end = True
        log.rowsAboutToBeInserted.connect(self._on_before)
        log.rowsInserted.connect(self._on_inserted)
        for column in range(log.columnCount()):
            self.resizeColumnToContents(column)

    def showEvent(self, event: QShowEvent) -> None:
        """What came before it had a size is followed, too."""
        super().showEvent(event)
        if self._at_end:
            self.scrollToBottom()

    def _on_before(self) -> None:
        bar = self.verticalScrollBar()
        self._at_end = bar.value() >= bar.maximum()

    def _on_inserted(self) -> None:
        self._fit()
        if self._at_end:
            self.scrollToBottom()

    def _fit(self) -> None:
        """Numbers are seen whole; the path gets the rest."""
        for column in range(self._numbers.columnCount()):
            if column != PATH and self.sizeHintForColumn(column) > self.columnWidth(column):
                self.resizeColumnToContents(column)
