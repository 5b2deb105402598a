"""What an import came to, as a table and in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QEvent,
    QModelIndex,
    QObject,
    Qt,
    Signal,
)
from PySide6.QtCore import QPersistentModelIndex as _Persistent
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QHeaderView, QTableView, QWidget

from qwen_desktop.bridge.words import joined, translated
from qwen_desktop.chat.importing import Entry, Outcome, Result
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import plain_tip
from qwen_desktop.ui.module_tree import flatten, soften
from qwen_desktop.ui.plain_table import make_table_plain

Index = Union[QModelIndex, _Persistent]  # noqa: UP007

OUTCOME, TITLE, PLACE, NOTE = range(4)
_NO_PARENT = QModelIndex()
_CONTEXT = "importing"
# Rejected ones first: the others need nobody's attention.
_ORDER = (Outcome.REJECTED, Outcome.ADDED, Outcome.MERGED, Outcome.SAME)
_WORDS = {
    Outcome.ADDED: QT_TRANSLATE_NOOP("importing", "Added"),
    Outcome.MERGED: QT_TRANSLATE_NOOP("importing", "Merged"),
    Outcome.SAME: QT_TRANSLATE_NOOP("importing", "Already here"),
    Outcome.REJECTED: QT_TRANSLATE_NOOP("importing", "Not imported"),
}
_COUNTED = {
    Outcome.ADDED: QT_TRANSLATE_NOOP("importing", "{count} added"),
    Outcome.MERGED: QT_TRANSLATE_NOOP("importing", "{count} merged"),
    Outcome.SAME: QT_TRANSLATE_NOOP("importing", "{count} already here"),
    Outcome.REJECTED: QT_TRANSLATE_NOOP("importing", "{count} not imported"),
}


def _tr(text: str) -> str:
    return QCoreApplication.translate(_CONTEXT, text)


def summary_of(result: Result) -> str:
    """How many came in and how many did not, in one line."""
    counts = {outcome: len(result.of(outcome)) for outcome in Outcome}
    told = [
        _tr(words).format(count=counts[outcome])
        for outcome, words in _COUNTED.items()
        if counts[outcome]
    ]
    return " · ".join(told) or _tr(QT_TRANSLATE_NOOP("importing", "Nothing was imported"))


def reason_of(entry: Entry) -> str:
    """Why an entry was rejected, or what of it is not kept as it was."""
    reports = (*((entry.report,) if entry.report is not None else ()), *entry.notes)
    return joined(*(translated(report) for report in reports))


class EntryModel(QAbstractTableModel):
    """One row for each entry, rejected ones first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[Entry, ...] = ()
        self._names = (
            self.tr("Result"),
            self.tr("Chat"),
            self.tr("From"),
            self.tr("Notes"),
        )

    def set_entries(self, entries: Sequence[Entry]) -> None:
        """Show these."""
        self.beginResetModel()
        self._entries = tuple(sorted(entries, key=lambda entry: _ORDER.index(entry.outcome)))
        self.endResetModel()

    def entry(self, row: int) -> Entry:
        """The entry of a row."""
        return self._entries[row]

    def as_text(self) -> str:
        """All rows, ready to be copied: values are parted by tabs."""
        return "\n".join("\t".join(self._cells(entry)) for entry in self._entries)

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of entries."""
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Result, title, place, notes."""
        return 0 if parent.isValid() else len(self._names)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns."""
        if orientation != Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        return self._names[section]

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text; as a tooltip the whole of it."""
        entry = self._entries[index.row()]
        text = self._cells(entry)[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return text
        if role == Qt.ItemDataRole.ToolTipRole and text:
            return plain_tip(text)
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == OUTCOME:
            t = theme.current()
            return QColor(t.error if entry.outcome is Outcome.REJECTED else t.dim)
        return None

    def _cells(self, entry: Entry) -> tuple[str, str, str, str]:
        nameless = self.tr("Untitled") if entry.outcome is not Outcome.REJECTED else ""
        return (
            _tr(_WORDS[entry.outcome]),
            entry.title or nameless,
            entry.place,
            reason_of(entry),
        )


class EntryTable(QTableView):
    """The entries of a result. Enter or a double click asks for a conversation: `chosen(id)`.

    `noted(str)`: what there is to say of the row that is current now.
    """

    chosen = Signal(str)
    noted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.entries = EntryModel(self)
        self.setObjectName("importEntries")
        self.setAccessibleName(self.tr("What was found"))
        self.setModel(self.entries)
        make_table_plain(self)
        across = self.horizontalHeader()
        across.setStretchLastSection(True)
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for column, width in ((OUTCOME, 104), (TITLE, 220), (PLACE, 190)):
            self.setColumnWidth(column, width)
        self.doubleClicked.connect(self._choose)
        self._follow_theme()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.currentIndex())
            return
        super().keyPressEvent(event)

    def currentChanged(self, current: Index, previous: Index) -> None:
        """Tell what there is to say of the row."""
        super().currentChanged(current, previous)
        entry = self.entries.entry(current.row()) if current.isValid() else None
        self.noted.emit("" if entry is None else reason_of(entry))

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._follow_theme()

    def _follow_theme(self) -> None:
        flatten(self.horizontalHeader())
        soften(self)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid() and (found := self.entries.entry(index.row()).conversation_id):
            self.chosen.emit(found)
