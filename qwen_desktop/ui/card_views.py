"""Views of what strangers wrote, as plain text: pairs of names and values, and one long text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    QTimer,
)
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QPlainTextEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import (
    Button,
    ElidedLabel,
    ScrollBar,
    plain_tip,
)
from qwen_desktop.ui.module_tree import ROW_HEIGHT, flatten, soften
from qwen_desktop.ui.plain_search import SearchField

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007

COPIED_MS = 2000
_NO_PARENT = QModelIndex()


class PairsModel(QAbstractTableModel):
    """Two columns of text."""

    def __init__(self, names: tuple[str, str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._names = names
        self._pairs: tuple[tuple[str, str], ...] = ()

    def set_pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show these."""
        self.beginResetModel()
        self._pairs = tuple(pairs)
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of pairs."""
        return 0 if parent.isValid() else len(self._pairs)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Name and value."""
        return 2

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._names[section]
        return None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text; as a tooltip too, for a narrow column."""
        text = self._pairs[index.row()][index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return text
        if role == Qt.ItemDataRole.ToolTipRole and len(text) > 40:
            return plain_tip(text)
        return None


class PairsView(QWidget):
    """A table of names and values with a search above it."""

    def __init__(self, name: str, columns: tuple[str, str], search: str) -> None:
        super().__init__()
        self.pairs = PairsModel(columns, self)
        self.shown = QSortFilterProxyModel(self)
        self.shown.setSourceModel(self.pairs)
        self.shown.setFilterKeyColumn(-1)
        self.shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.search = SearchField(search)
        self.search.textChanged.connect(self.shown.setFilterFixedString)
        self.table = QTableView()
        self.table.setAccessibleName(name)
        self.table.setModel(self.shown)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.setCornerButtonEnabled(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.table))
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setFont(theme.body_font(13))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        across = self.table.horizontalHeader()
        across.setStretchLastSection(True)
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        flatten(across)
        soften(self.table)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 8)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.table, 1)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "table"):
            flatten(self.table.horizontalHeader())
            soften(self.table)

    def set_pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show these."""
        self.pairs.set_pairs(pairs)
        self.table.resizeColumnToContents(0)
        self.table.setColumnWidth(0, min(max(self.table.columnWidth(0) + 16, 120), 380))


class TextView(QWidget):
    """A long text in the font of code, with Copy."""

    def __init__(self, name: str, copy_name: str, nothing: str) -> None:
        super().__init__()
        self._nothing = nothing
        self.edit = QPlainTextEdit()
        self.edit.setReadOnly(True)
        self.edit.setAccessibleName(name)
        self.edit.setFont(_without_ligatures(theme.code_font(12)))
        self.edit.setTabChangesFocus(True)
        self.edit.setFrameShape(QFrame.Shape.NoFrame)
        self.edit.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.edit))
        self.copy = Button(self.tr("Copy"), height=30)
        self.copy.setAccessibleName(copy_name)
        self.copy.clicked.connect(self._copy)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(COPIED_MS)
        self._timer.timeout.connect(lambda: self.copy.setText(self.tr("Copy")))
        self.title = ElidedLabel("", 12, dim=True)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 8)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.edit, 1)

    def set_text(self, title: str, text: str | None) -> None:
        """Show a text; None says that there is none."""
        self.title.setText(title if text else self._nothing)
        self.edit.setPlainText(text or "")
        self.copy.setVisible(bool(text))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.edit.toPlainText())
        self.copy.setText(self.tr("Copied"))
        self._timer.start()


def _without_ligatures(font: QFont) -> QFont:
    """A template is looked at character by character: "<|" should not become a triangle."""
    for feature in ("liga", "calt"):
        font.setFeature(QFont.Tag(feature), 0)
    return font
