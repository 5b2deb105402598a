"""The backups there are, as a table: when, why, how much is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QDateTime,
    QEvent,
    QLocale,
    QModelIndex,
    QObject,
    Qt,
    Signal,
)
from PySide6.QtCore import QPersistentModelIndex as _Persistent
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QTableView, QWidget

from qwen_desktop.chat.backup import BackupInfo, BackupReason
from qwen_desktop.ui import theme
from qwen_desktop.ui.module_tree import flatten, soften
from qwen_desktop.ui.plain_table import make_table_plain
from qwen_desktop.ui.texts import small_size_text

Index = Union[QModelIndex, _Persistent]  # noqa: UP007

WHEN, WHY, CONVERSATIONS, MESSAGES, SIZE = range(5)
_NUMBERS = (CONVERSATIONS, MESSAGES, SIZE)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NO_PARENT = QModelIndex()


def moment_text(moment: float, locale: QLocale) -> str:
    """A date and a time of day; `moment` in Unix seconds."""
    then = QDateTime.fromSecsSinceEpoch(int(moment))
    return locale.toString(then, QLocale.FormatType.ShortFormat)


class BackupModel(QAbstractTableModel):
    """One row for each backup, in the order given."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._backups: tuple[BackupInfo, ...] = ()
        self._names = (
            self.tr("Date"),
            self.tr("Why"),
            self.tr("Chats"),
            self.tr("Messages"),
            self.tr("Size"),
        )
        self._reasons = {
            BackupReason.DAILY: self.tr("Daily"),
            BackupReason.ASKED: self.tr("Made by you"),
            BackupReason.MIGRATION: self.tr("Before an update"),
            BackupReason.RESTORE: self.tr("Before a restore"),
        }

    @property
    def backups(self) -> tuple[BackupInfo, ...]:
        """All rows."""
        return self._backups

    def set_backups(self, backups: Sequence[BackupInfo]) -> None:
        """Show these."""
        self.beginResetModel()
        self._backups = tuple(backups)
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of backups."""
        return 0 if parent.isValid() else len(self._backups)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Date, why, conversations, messages, size."""
        return 0 if parent.isValid() else len(self._names)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns, those of numbers above their ends."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section in _NUMBERS:
            return _RIGHT
        return self._names[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text; a backup that cannot be opened is dim and says so."""
        backup, column = self._backups[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._text(backup, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in _NUMBERS:
            return _RIGHT
        if role == Qt.ItemDataRole.ForegroundRole and backup.is_damaged:
            return QColor(theme.current().dim)
        return None

    def _text(self, backup: BackupInfo, column: int) -> str:
        locale = QLocale()
        if column == WHEN:
            return moment_text(backup.made_at, locale)
        if column == WHY:
            return self.tr("Damaged") if backup.is_damaged else self._reasons[backup.reason]
        if column == SIZE:
            return small_size_text(backup.size, locale)
        if backup.is_damaged:
            return "–"
        count = backup.conversations if column == CONVERSATIONS else backup.messages
        return locale.toString(count)


class BackupTable(QTableView):
    """The rows. `chosen_changed()`: another one is selected, or none."""

    chosen_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.backups = BackupModel(self)
        self.setObjectName("backups")
        self.setAccessibleName(self.tr("Backups"))
        self.setModel(self.backups)
        make_table_plain(self)
        across = self.horizontalHeader()
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        across.setSectionResizeMode(WHY, QHeaderView.ResizeMode.Stretch)
        for column, width in ((WHEN, 170), (CONVERSATIONS, 110), (MESSAGES, 96), (SIZE, 96)):
            self.setColumnWidth(column, width)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen_changed.emit())
        self.backups.modelReset.connect(self.chosen_changed)
        self._follow_theme()

    @property
    def chosen(self) -> BackupInfo | None:
        """The selected backup."""
        rows = self.selectionModel().selectedRows()
        return self.backups.backups[rows[0].row()] if rows else None

    def set_backups(self, backups: Sequence[BackupInfo]) -> None:
        """Show these; the selected one stays so, else the first is."""
        before = self.chosen
        self.backups.set_backups(backups)
        files = [backup.file for backup in backups]
        if files:
            kept = before is not None and before.file in files
            self.selectRow(files.index(before.file) if before is not None and kept else 0)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "backups"):
            self._follow_theme()

    def _follow_theme(self) -> None:
        flatten(self.horizontalHeader())
        soften(self)
