"""The model of the conversation list: headings and rows, in agreement with what the bridge holds.

Every row has a key, which stays while rows above it come and go; what is drawn is asked for only
when a row is looked at. Where the list changes, views are told of the few rows that came, went or
moved, so that scrolling, focus and an edit under way stay with their conversations.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Union

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)

from qwen_desktop.chat.summary import ListFilter, Section, Summary
from qwen_desktop.ui import theme
from qwen_desktop.ui.list_source import KeptRows, Source
from qwen_desktop.ui.previews import without_marks
from qwen_desktop.ui.row_steps import Insert, Key, Remove, Step, apply, is_heading, steps

ROW_HEIGHT = 52  # px at 100 %
HEADER_HEIGHT = 30
_COMPACT = (44, 26)
TITLE_LIMIT = 200  # characters a user may give a title

ID_ROLE = int(Qt.ItemDataRole.UserRole)  # conversation id; "" for a heading
SUMMARY_ROLE = ID_ROLE + 1  # Summary; None for a heading and for a row that is not loaded
OPEN_ROLE = ID_ROLE + 2  # whether it is the shown conversation
BUSY_ROLE = ID_ROLE + 3  # whether an answer is streaming into it
CHOSEN_ROLE = ID_ROLE + 4  # whether it is one of several that are selected
FOLDER_ROLE = ID_ROLE + 5  # name of its folder, where the list is not of one folder

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
_NO_PARENT = QModelIndex()


def row_height() -> int:
    """Of a conversation, in px."""
    return theme.px(_COMPACT[0] if theme.look().compact else ROW_HEIGHT)


def header_height() -> int:
    """Of a heading, in px."""
    return theme.px(_COMPACT[1] if theme.look().compact else HEADER_HEIGHT)


class ConversationList(QAbstractListModel):
    """Rows of a `Source` under its headings.

    `changing` and `changed` stand around every change of rows, `changed(True)` where the model
    started over. `rename_requested(id, title)`: a title was typed in the list.
    """

    changing = Signal()
    changed = Signal(bool)
    rename_requested = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._source: Source = KeptRows()
        self._filter = ListFilter()
        self._keys: list[Key] = []
        self._headings: list[int] = []  # rows
        self._order: Sequence[str] = ()  # ids of all rows of the source, where known
        self._open_id = ""
        self._busy_id = ""
        self._folders: dict[str, str] = {}
        self._late = QTimer(self)  # rows are drawn that are not those of the keys
        self._late.setSingleShot(True)
        self._late.setInterval(0)
        self._late.timeout.connect(self._catch_up)
        self._moving = False  # rows and offsets do not agree for a moment
        self.chosen: set[str] = set()  # ids of what is selected
        self.seen: Callable[[], range] = lambda: range(0)  # the rows that are looked at now

    # -- following the source --------------------------------------------------------------

    def set_source(self, source: Source) -> None:
        """Show the rows of another source."""
        self._source = source
        self.reshape()

    def reshape(self) -> None:
        """Rows came, went or moved, or another list is shown."""
        shape = self._source.shape
        self._folders = {folder.id: folder.name for folder in shape.folders}
        self._order = ()
        if self._filter != self._source.filter:
            self._filter = self._source.filter
            self._start_over(self._wanted({}))
            return
        self._become(self._wanted(self._looked_at()))

    def set_order(self, ids: Sequence[str]) -> None:
        """Take the ids of all rows, in their order. Ignored where the list is another by now."""
        if len(ids) == self._source.shape.count:
            self._order = ids
            self._become(self._wanted(self._looked_at()))

    def refresh(self, first: int, last: int) -> None:
        """The rows of these offsets have other values, or are loaded now."""
        rows = [self.row_of_offset(offset) for offset in (first, last)]
        seen = self._looked_at()
        if any(self._keys[self.row_of_offset(o)] not in (None, key) for o, key in seen.items()):
            self._become(self._wanted(seen))
            return
        for offset, key in seen.items():
            self._keys[self.row_of_offset(offset)] = key
        top, bottom = max(rows[0], 0), min(rows[1], len(self._keys) - 1)
        if top <= bottom:
            self.dataChanged.emit(self.index(top), self.index(bottom))

    def _catch_up(self) -> None:
        self._become(self._wanted(self._looked_at()))

    def _looked_at(self) -> dict[int, str]:
        """The ids of the rows that are seen, as far as they are loaded, by their offsets."""
        offsets = (self.offset_of_row(row) for row in self.seen())
        count = self._source.shape.count
        rows = {o: self._source.row_at(o) for o in offsets if o is not None and o < count}
        return {offset: row.id for offset, row in rows.items() if row is not None}

    def _wanted(self, known: dict[int, str]) -> list[Key]:
        """The keys as the source has them, as far as they are known."""
        shape, keys, at = self._source.shape, list[Key](), 0
        ids: list[Key] = list(self._order) or [None] * shape.count
        if self._order and any(ids[o] != key for o, key in known.items() if o < len(ids)):
            loaded = set(known.values())  # what is loaded may be ahead of the disk
            ids = [None if key in loaded else key for key in ids]
        for offset, key in known.items():
            if offset < len(ids):
                ids[offset] = key
        for section, count in shape.sections:
            keys.append(section)
            keys.extend(ids[at : at + count])
            at += count
        return keys

    def _become(self, wanted: list[Key]) -> None:
        todo = steps(self._keys, wanted)
        if todo is None:
            self._start_over(wanted)
            return
        if todo:
            self.changing.emit()
            self._moving = True
            for step in todo:
                self._take(step)
            self._moving = False
        kept = zip(self._keys, wanted, strict=True)
        self._keys = [have if want is None else want for have, want in kept]
        if todo:
            self.changed.emit(False)
        if self._keys:
            self.dataChanged.emit(self.index(0), self.index(len(self._keys) - 1))

    def _take(self, step: Step) -> None:
        none = QModelIndex()
        if isinstance(step, Insert):
            self.beginInsertRows(none, step.at, step.at + len(step.keys) - 1)
            end = self.endInsertRows
        elif isinstance(step, Remove):
            self.beginRemoveRows(none, step.at, step.at + step.size - 1)
            end = self.endRemoveRows
        else:
            down = step.to > step.source
            self.beginMoveRows(none, step.source, step.source, none, step.to + down)
            end = self.endMoveRows
        apply(step, self._keys)
        self._find_headings()
        end()

    def _start_over(self, wanted: list[Key]) -> None:
        self.changing.emit()
        self.beginResetModel()
        self._keys = wanted
        self._find_headings()
        self.endResetModel()
        self.changed.emit(True)

    def _find_headings(self) -> None:
        self._headings = [row for row, key in enumerate(self._keys) if type(key) is Section]

    # -- rows and offsets ------------------------------------------------------------------

    @property
    def source(self) -> Source:
        """Where the rows come from."""
        return self._source

    @property
    def open_id(self) -> str:
        """The shown conversation."""
        return self._open_id

    def id_at(self, row: int) -> str:
        """The conversation of a row; "" for a heading and where it is not known yet."""
        key = self._keys[row] if 0 <= row < len(self._keys) else None
        return "" if key is None or is_heading(key) else key

    def ids_in(self, first: int, last: int) -> list[str]:
        """The known conversations from one row to another."""
        keys = self._keys[first : last + 1]
        return [key for key in keys if type(key) is str]

    def rows_of(self, ids: set[str]) -> list[int]:
        """Where conversations are listed."""
        return [row for row, key in enumerate(self._keys) if key in ids] if ids else []

    def in_order(self, ids: set[str]) -> tuple[str, ...]:
        """Those conversations that are listed, in the order of the list."""
        return tuple(key for key in self._keys if key in ids and type(key) is str)

    def offset_of_row(self, row: int) -> int | None:
        """The number of conversations before a row; None for a heading."""
        before = bisect_left(self._headings, row)
        if before < len(self._headings) and self._headings[before] == row:
            return None
        return row - before

    def row_of_offset(self, offset: int) -> int:
        """The row of the conversation with so many before it."""
        starts = [row - i for i, row in enumerate(self._headings)]
        return offset + bisect_right(starts, offset)

    def index_of(self, conversation_id: str) -> QModelIndex:
        """The row of a conversation; invalid where it is not listed, or not known to be."""
        if not conversation_id:
            return QModelIndex()
        try:
            return self.index(self._keys.index(conversation_id))
        except ValueError:
            return QModelIndex()

    def summary_at(self, row: int) -> Summary | None:
        """What is to be drawn in a row; its page is asked for where it is not loaded."""
        offset = self.offset_of_row(row)
        if offset is None or self._moving:
            return None
        summary = self._source.row_at(offset)
        if summary is not None and self._keys[row] != summary.id and not self._late.isActive():
            self._late.start()
        return summary

    # -- marks -----------------------------------------------------------------------------

    def set_open(self, conversation_id: str) -> None:
        """Mark the shown conversation."""
        self._mark("_open_id", conversation_id)

    def set_busy(self, conversation_id: str) -> None:
        """Mark the conversation an answer streams into; empty for none."""
        self._mark("_busy_id", conversation_id)

    def _mark(self, attribute: str, conversation_id: str) -> None:
        before = getattr(self, attribute)
        if before == conversation_id:
            return
        setattr(self, attribute, conversation_id)
        for one in (before, conversation_id):
            if (index := self.index_of(one)).isValid():
                self.dataChanged.emit(index, index)

    # -- Qt's side -------------------------------------------------------------------------

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Headings and conversations."""
        return 0 if parent.isValid() else len(self._keys)

    def heights(self) -> Sequence[int]:
        """The height of every row, in px."""
        heights = [row_height()] * len(self._keys)
        for row in self._headings:
            heights[row] = header_height()
        return heights

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """Text, roles of this module and what a screen reader says."""
        row = index.row()
        key = self._keys[row]
        if is_heading(key):
            texts = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole)
            return self._heading(key) if role in texts else "" if role == ID_ROLE else None
        if role == ID_ROLE:
            return key or ""
        if role == OPEN_ROLE:
            return key is not None and key == self._open_id
        if role == BUSY_ROLE:
            return key is not None and key == self._busy_id
        if role == CHOSEN_ROLE:
            return len(self.chosen) > 1 and key in self.chosen
        summary = self.summary_at(row)
        if role == SUMMARY_ROLE:
            return summary
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._title(summary)
        if role == FOLDER_ROLE:
            return self._folder(summary)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(summary)
        if role == Qt.ItemDataRole.ToolTipRole and summary is not None and summary.remote:
            return self.tr("A server answers this chat")
        return None

    def _title(self, summary: Summary | None) -> str:
        return "" if summary is None else summary.title or self.tr("New chat")

    def _folder(self, summary: Summary | None) -> str:
        if summary is None or self._filter.folder:
            return ""
        return self._folders.get(summary.folder, "")

    def _spoken(self, summary: Summary | None) -> str:
        if summary is None:
            return self.tr("Loading…")
        words = [self._title(summary), without_marks(summary.preview)]
        if summary.id == self._busy_id:
            words.append(self.tr("answering"))
        if summary.remote:
            words.append(self.tr("answered by a server"))
        if summary.pinned:
            words.append(self.tr("pinned"))
        if folder := self._folder(summary):
            words.append(self.tr("in folder {name}").format(name=folder))
        words.extend(self.tr("tag {name}").format(name=tag) for tag in summary.tags)
        return ", ".join(word for word in words if word)

    def _heading(self, section: Key) -> str:
        return {
            Section.PINNED: self.tr("Pinned"),
            Section.TODAY: self.tr("Today"),
            Section.YESTERDAY: self.tr("Yesterday"),
            Section.WEEK: self.tr("Previous 7 days"),
            Section.MONTH: self.tr("Previous 30 days"),
            Section.OLDER: self.tr("Older"),
        }[section]  # type: ignore[index]

    def setData(
        self, index: Index, value: object, role: int = int(Qt.ItemDataRole.EditRole)
    ) -> bool:
        """A title typed in the list: ask for the rename; the row changes when it happened."""
        summary = self.summary_at(index.row())
        title = " ".join(str(value).split())
        if role != Qt.ItemDataRole.EditRole or summary is None or not title:
            return False
        if title != summary.title:
            self.rename_requested.emit(summary.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Headings can be neither reached nor edited."""
        if not index.isValid() or is_heading(self._keys[index.row()]):
            return Qt.ItemFlag.NoItemFlags
        return (
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsEditable
            | Qt.ItemFlag.ItemNeverHasChildren
        )
