"""The checkpoints opened before, as a list: model, painting and view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

from PySide6.QtCore import (
    QAbstractListModel,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from qwen_desktop.chat.recent import Recent
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import plain_tip
from qwen_desktop.ui.rows import elided, make_plain, paint_row
from qwen_desktop.ui.texts import count_text, size_text, when_text

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007

FOLDER_ROLE = int(Qt.ItemDataRole.UserRole) + 1
FACTS_ROLE = FOLDER_ROLE + 1
WHEN_ROLE = FOLDER_ROLE + 2
MISSING_ROLE = FOLDER_ROLE + 3
ROW_HEIGHT = 72
_NO_PARENT = QModelIndex()


class RecentList(QAbstractListModel):
    """The rows. A folder that is not there any more is marked by `set_missing`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Recent, ...] = ()
        self._missing: set[str] = set()

    def set_entries(self, entries: Sequence[Recent]) -> None:
        """Show these, newest first."""
        self.beginResetModel()
        self._rows = tuple(entries)
        self.endResetModel()

    def set_missing(self, folder: str) -> None:
        """Grey the row of `folder`."""
        self._missing.add(folder)
        index = self.index_of(folder)
        if index.isValid():
            self.dataChanged.emit(index, index)

    def index_of(self, folder: str) -> QModelIndex:
        """The row of a folder; invalid where it is not listed."""
        for i, row in enumerate(self._rows):
            if row.folder == folder:
                return self.index(i)
        return QModelIndex()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of folders."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """Name, roles of this module and what a screen reader says."""
        row = self._rows[index.row()]
        missing = row.folder in self._missing
        facts = self.tr("Folder not found") if missing else self._facts(row)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            words = [row.name, facts, when_text(row.used_at, QLocale()), row.folder]
            return ", ".join(word for word in words if word)
        values: dict[int, object] = {
            int(Qt.ItemDataRole.DisplayRole): row.name,
            int(Qt.ItemDataRole.ToolTipRole): plain_tip(row.folder),
            FOLDER_ROLE: row.folder,
            FACTS_ROLE: facts,
            WHEN_ROLE: when_text(row.used_at, QLocale()),
            MISSING_ROLE: missing,
        }
        return values.get(role)

    def _facts(self, row: Recent) -> str:
        parts = [row.family]
        if row.parameters:
            parts.append(count_text(row.parameters, QLocale()))
        if row.weight_bytes:
            parts.append(size_text(row.weight_bytes, QLocale()))
        return " · ".join(part for part in parts if part)


class RecentDelegate(QStyledItemDelegate):
    """Draws name and moment, family and size, and the place."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._title = theme.body_font(14)
        self._small = theme.body_font(12)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """A fixed height."""
        return QSize(100, theme.px(ROW_HEIGHT))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Background, three lines and the focus ring."""
        t = theme.current()
        state: QStyle.StateFlag = option.state
        rect: QRect = option.rect.adjusted(0, 1, 0, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row(painter, rect, state, bool(state & QStyle.StateFlag.State_Selected))
        text = rect.adjusted(10, 7, -10, -7)
        missing = bool(index.data(MISSING_ROLE))
        painter.setFont(self._small)
        painter.setPen(QColor(t.dim))
        when = str(index.data(WHEN_ROLE))
        painter.drawText(text.adjusted(0, 2, 0, 0), Qt.AlignmentFlag.AlignRight, when)
        taken = QFontMetrics(self._small).horizontalAdvance(when) + 10
        middle = text.adjusted(0, 21, 0, 0)
        painter.drawText(middle, 0, elided(self._small, str(index.data(FACTS_ROLE)), text.width()))
        place = str(Path(str(index.data(FOLDER_ROLE))).parent)
        painter.drawText(
            text,
            Qt.AlignmentFlag.AlignBottom,
            elided(self._small, place, text.width(), Qt.TextElideMode.ElideMiddle),
        )
        painter.setFont(self._title)
        painter.setPen(QColor(t.dim if missing else t.text))
        name = str(index.data())
        painter.drawText(
            text, Qt.AlignmentFlag.AlignTop, elided(self._title, name, text.width() - taken)
        )
        painter.restore()


class RecentView(QListView):
    """The list. `accepted` on Enter and on a double click; `delete_requested(folder)`."""

    accepted = Signal()
    picked = Signal(str)  # the current row is another one
    delete_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        make_plain(self)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setItemDelegate(RecentDelegate(self))
        self.doubleClicked.connect(self.accepted)

    def currentChanged(self, current: Index, previous: Index) -> None:
        """Another row is looked at."""
        super().currentChanged(current, previous)
        if folder := current.data(FOLDER_ROLE):
            self.picked.emit(folder)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens, Delete takes the row off the list."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.accepted.emit()
            return
        folder = self.currentIndex().data(FOLDER_ROLE)
        if event.key() == Qt.Key.Key_Delete and folder:
            self.delete_requested.emit(folder)
            return
        super().keyPressEvent(event)
