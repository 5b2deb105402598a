"""Which files would be fetched, which are here, and which are left out and why: a table."""

from __future__ import annotations

from typing import Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QTableView, QWidget

from qwen_desktop.chat.hub import DownloadPlan, PlannedFile, Standing
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import plain_tip
from qwen_desktop.ui.download_words import left_out_text
from qwen_desktop.ui.module_tree import flatten, soften
from qwen_desktop.ui.plain_table import make_table_plain
from qwen_desktop.ui.texts import small_size_text

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
_NO_PARENT = QModelIndex()


class _Files(QAbstractTableModel):
    """Rows of (path, size, what becomes of it, whether it is left out)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: list[tuple[str, str, str, bool]] = []

    def set_plan(self, plan: DownloadPlan | None) -> None:
        self.beginResetModel()
        self.rows = []
        if plan is not None:
            locale = QLocale()
            for one in plan.files:
                size = small_size_text(one.file.size, locale) + "\u2003"  # room to what follows
                self.rows.append((one.file.path, size, self._words(one), False))
            for path, reason in plan.left_out:
                words = self.tr("Left out: {reason}").format(reason=left_out_text(reason))
                self.rows.append((path, "", words, True))
        self.endResetModel()

    def _words(self, one: PlannedFile) -> str:
        words = {
            Standing.MISSING: self.tr("Is fetched"),
            Standing.PARTIAL: self.tr("Goes on where it stopped"),
            Standing.PRESENT: self.tr("Is here, is compared"),
            Standing.CHECKED: self.tr("Is here"),
            Standing.DIFFERENT: self.tr("Is replaced"),
        }
        return words[one.standing]

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        return 0 if parent.isValid() else 3

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        if orientation is not Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        return (self.tr("File"), self.tr("Size"), self.tr("What becomes of it"))[section]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return row[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(str(row[column]))
        if role == Qt.ItemDataRole.ForegroundRole and row[3]:
            return QColor(theme.current().dim)
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class PlanFiles(QTableView):
    """The table."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("planFiles")
        self.setAccessibleName(self.tr("Files"))
        self.files = _Files(self)
        self.setModel(self.files)
        make_table_plain(self)
        across = self.horizontalHeader()
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        across.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        across.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self._soften()

    def _soften(self) -> None:
        flatten(self.horizontalHeader())
        soften(self)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "files"):
            self._soften()

    def set_plan(self, plan: DownloadPlan | None) -> None:
        """Show what it says; nothing where there is none."""
        self.files.set_plan(plan)
        self.horizontalHeader().setVisible(plan is not None)
