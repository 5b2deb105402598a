"""The rows of the conversation list: a model grouped by day, and how a row is drawn."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Union

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from qwen_desktop.chat.summary import Summary
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import dot
from qwen_desktop.ui.rows import elided, paint_row

ROW_HEIGHT = 52
HEADER_HEIGHT = 30
TITLE_LIMIT = 200  # characters a user may give a title

ID_ROLE = int(Qt.ItemDataRole.UserRole)  # conversation id; empty for a day header
PREVIEW_ROLE = ID_ROLE + 1
OPEN_ROLE = ID_ROLE + 2  # whether it is the shown conversation
BUSY_ROLE = ID_ROLE + 3  # whether an answer is streaming into it

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
_NO_PARENT = QModelIndex()


class DayHeader(NamedTuple):
    """The line above the conversations of some days."""

    title: str


Row = Union[DayHeader, Summary]  # noqa: UP007


# Marks of Markdown as they stand in a preview, where lines have become one line.
_LINK = re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*\)")
_STRONG = re.compile(r"(?<![A-Za-z0-9])(\*\*|~~)(?=\S)(.+?)(?<=\S)\1")  # not x**2 + y**2
_MARKS = re.compile(
    r"```+\w*|`"  # code
    r"|(?<!\w)(?:\*\*|~~)(?=\w)"  # its other end is cut off
    r"|(?<!\S)(?:#{1,6}|-{3,}|\|?(?::?-+:?\|)+(?::?-+:?)?|\|)(?!\S)"  # heading, rule, table
    r"|^[-*+>](?!\S)"  # list, quote
)


@lru_cache(maxsize=1024)
def without_marks(preview: str) -> str:
    """`preview` without the marks of Markdown, for reading. Only for display."""
    plain = _STRONG.sub(r"\2", _LINK.sub(r"\1", preview))
    return " ".join(_MARKS.sub("", plain).split())


class ConversationList(QAbstractListModel):
    """Summaries, newest first, under day headers. `now` gives the time in Unix seconds."""

    rename_requested = Signal(str, str)  # id, title

    def __init__(self, parent: QObject | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(parent)
        self._now = now
        self._summaries: tuple[Summary, ...] = ()
        self._filter = ""
        self._rows: list[Row] = []
        self._open_id = ""
        self._busy_id = ""

    # -- what is shown ---------------------------------------------------------------------

    def set_summaries(self, summaries: Sequence[Summary]) -> None:
        """Show these; keeps the view's place where only words changed."""
        self._summaries = tuple(summaries)
        self._rebuild()

    def set_filter(self, text: str) -> None:
        """Show only rows whose title or preview holds every word of `text`."""
        self._filter = text
        self._rebuild()

    def set_open(self, conversation_id: str) -> None:
        """Mark the shown conversation."""
        self._mark("_open_id", conversation_id)

    def set_busy(self, conversation_id: str) -> None:
        """Mark the conversation an answer streams into; empty for none."""
        self._mark("_busy_id", conversation_id)

    def index_of(self, conversation_id: str) -> QModelIndex:
        """The row of a conversation; invalid where it is not listed."""
        for i, row in enumerate(self._rows):
            if isinstance(row, Summary) and row.id == conversation_id:
                return self.index(i)
        return QModelIndex()

    @property
    def open_id(self) -> str:
        """The shown conversation."""
        return self._open_id

    def _mark(self, attribute: str, conversation_id: str) -> None:
        before = getattr(self, attribute)
        if before == conversation_id:
            return
        setattr(self, attribute, conversation_id)
        for one in (before, conversation_id):
            if (index := self.index_of(one)).isValid():
                self.dataChanged.emit(index, index)

    def _rebuild(self) -> None:
        rows = list(self._grouped(self._matching()))
        if [_key(row) for row in rows] == [_key(row) for row in self._rows]:
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _matching(self) -> Iterator[Summary]:
        words = self._filter.casefold().split()
        for row in self._summaries:
            # As it is shown, and as it was written.
            shown = without_marks(row.preview)
            text = f"{row.title}\n{shown}\n{row.preview}".casefold()
            if all(word in text for word in words):
                yield row

    def _grouped(self, summaries: Iterator[Summary]) -> Iterator[Row]:
        now = self._now()
        groups = (
            (_midnight(now, 0), self.tr("Today")),
            (_midnight(now, 1), self.tr("Yesterday")),
            (_midnight(now, 7), self.tr("Previous 7 days")),
            (_midnight(now, 30), self.tr("Previous 30 days")),
            (float("-inf"), self.tr("Older")),
        )
        last = ""
        for summary in summaries:
            title = next(name for begin, name in groups if summary.updated_at >= begin)
            if title != last:
                last = title
                yield DayHeader(title)
            yield summary

    # -- Qt's side -------------------------------------------------------------------------

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Headers and conversations."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """Text, roles of this module and what a screen reader says."""
        row = self._rows[index.row()]
        if isinstance(row, DayHeader):
            texts = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole)
            return row.title if role in texts else "" if role == ID_ROLE else None
        title = row.title or self.tr("New chat")
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            words = [title, without_marks(row.preview)]
            if row.id == self._busy_id:
                words.append(self.tr("answering"))
            return ", ".join(word for word in words if word)
        values: dict[int, object] = {
            ID_ROLE: row.id,
            PREVIEW_ROLE: without_marks(row.preview),
            OPEN_ROLE: row.id == self._open_id,
            BUSY_ROLE: row.id == self._busy_id,
        }
        return values.get(role)

    def setData(
        self, index: Index, value: object, role: int = int(Qt.ItemDataRole.EditRole)
    ) -> bool:
        """A title typed in the list: ask for the rename; the row changes when it happened."""
        row = self._rows[index.row()]
        title = " ".join(str(value).split())
        if role != Qt.ItemDataRole.EditRole or isinstance(row, DayHeader) or not title:
            return False
        if title != row.title:
            self.rename_requested.emit(row.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Headers can be neither reached nor edited."""
        if not index.isValid() or isinstance(self._rows[index.row()], DayHeader):
            return Qt.ItemFlag.NoItemFlags
        return (
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsEditable
            | Qt.ItemFlag.ItemNeverHasChildren
        )


def _key(row: Row) -> str:
    return row.id if isinstance(row, Summary) else f"# {row.title}"


def _midnight(now: float, days_ago: int) -> float:
    """The beginning of a local day; mktime knows months and summer time."""
    year, month, day, *_ = time.localtime(now)
    return time.mktime((year, month, day - days_ago, 0, 0, 0, 0, 0, -1))


class RowDelegate(QStyledItemDelegate):
    """Draws a header or a conversation, and edits a title in place."""

    editing_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._title = theme.body_font(14)
        self._small = theme.body_font(12)
        self._header = theme.body_font(12, QFont.Weight.DemiBold)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """The fixed height of the row's kind."""
        return QSize(100, ROW_HEIGHT if index.data(ID_ROLE) else HEADER_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Background, title, preview, dot and focus ring."""
        t = theme.current()
        rect: QRect = option.rect.adjusted(8, 2, -8, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not index.data(ID_ROLE):
            painter.setFont(self._header)
            painter.setPen(QColor(t.dim))
            painter.drawText(rect.adjusted(8, 4, 0, 0), Qt.AlignmentFlag.AlignVCenter, index.data())
            painter.restore()
            return
        state: QStyle.StateFlag = option.state
        is_open = bool(index.data(OPEN_ROLE))
        paint_row(painter, rect, state, is_open)
        text = rect.adjusted(8, 5, -8, -5)
        busy = bool(index.data(BUSY_ROLE))
        room = text.width() - (14 if busy else 0)
        painter.setFont(self._title)
        painter.setPen(QColor(t.text))
        painter.drawText(text, Qt.AlignmentFlag.AlignTop, elided(self._title, index.data(), room))
        if busy:
            dot(painter, QPointF(text.right() - 3, text.top() + 9), 4, t.accent)
        painter.setFont(self._small)
        painter.setPen(QColor(t.dim))
        preview = elided(self._small, index.data(PREVIEW_ROLE) or "", text.width())
        painter.drawText(text, Qt.AlignmentFlag.AlignBottom, preview)
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A line edit over the title."""
        editor = QLineEdit(parent)
        editor.setFont(self._title)
        editor.setMaxLength(TITLE_LIMIT)
        editor.setObjectName("titleEditor")
        editor.setAccessibleName(self.tr("Conversation title"))
        editor.setPalette(theme.palette(theme.current()))  # the list's own has a clear Base
        self.editing_changed.emit(True)
        return editor

    def destroyEditor(self, editor: QWidget, index: Index) -> None:
        """The edit has ended."""
        super().destroyEditor(editor, index)
        self.editing_changed.emit(False)

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """Fill the row inside its margins."""
        rect: QRect = option.rect
        editor.setGeometry(rect.adjusted(9, 4, -9, -4))  # covers the title and the preview

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Hand the typed title to the model."""
        assert isinstance(editor, QLineEdit)
        model.setData(index, editor.text())
