"""A table of values that is sorted by a click on a heading and filtered as one types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QComboBox, QHeaderView, QTableView, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, plain_tip
from qwen_desktop.ui.module_tree import ROW_HEIGHT, flatten, soften
from qwen_desktop.ui.plain_table import make_table_plain

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
T = TypeVar("T")

_GAP = "\u2002"
_NO_PARENT = QModelIndex()
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column: its heading, what stands in a row, and what rows are sorted by.

    `tint` gives the name of a colour of the theme, `tip` a tooltip, both "" for none. `width` is
    in px at 100 %, 0 for what is left over.
    """

    title: str
    text: Callable[[T], str]
    key: Callable[[T], object]
    width: int = 0
    right: bool = False
    tint: Callable[[T], str] = lambda _: ""
    tip: Callable[[T], str] = lambda _: ""


class SortedModel(QAbstractTableModel, Generic[T]):
    """Rows that pass the filter, in the order asked for. `name` tells rows apart."""

    def __init__(
        self,
        columns: Sequence[Column[T]],
        name: Callable[[T], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self.name = name
        self._all: tuple[T, ...] = ()
        self._passes: Callable[[T], bool] = lambda _: True
        self._column, self._order = 0, Qt.SortOrder.AscendingOrder
        self.rows: tuple[T, ...] = ()

    def set_rows(self, rows: Iterable[T]) -> None:
        """Other rows."""
        self._all = tuple(rows)
        self._arrange()

    def set_filter(self, passes: Callable[[T], bool]) -> None:
        """Show only rows for which `passes` is true."""
        self._passes = passes
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        if column >= 0:
            self._column, self._order = column, order
            self._arrange()

    def _arrange(self) -> None:
        key = self.columns[self._column].key
        shown = sorted(filter(self._passes, self._all), key=key)  # type: ignore[arg-type]
        if self._order == Qt.SortOrder.DescendingOrder:
            shown.reverse()
        if tuple(shown) == self.rows:
            return
        self.beginResetModel()
        self.rows = tuple(shown)
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """How many pass the filter."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Headings, those of numbers above their ends."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if self.columns[section].right else _LEFT
        return self.columns[section].title if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text, its colour and its tooltip."""
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            # The space keeps a number apart from what begins in the next column.
            return f"{column.text(row)}{_GAP}" if column.right else column.text(row)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{column.title}: {column.text(row)}"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column.right else _LEFT
        if role == Qt.ItemDataRole.ForegroundRole and (tint := column.tint(row)):
            return QColor(getattr(theme.current(), tint))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(column.tip(row)) or None
        return None


class SortedTable(QTableView, Generic[T]):
    """`chosen_changed()`: another row is selected, or none; `accepted()`: Enter or a double click;
    `menu_requested(QPoint)`: the context menu, by mouse or key, at a place of the screen.
    """

    chosen_changed = Signal()
    accepted = Signal()
    menu_requested = Signal(object)

    def __init__(
        self,
        columns: Sequence[Column[T]],
        name: Callable[[T], str],
        parent: QWidget | None = None,
        order: Qt.SortOrder = Qt.SortOrder.AscendingOrder,
    ) -> None:
        """`order` is that of the first column, by which rows are sorted at first."""
        super().__init__(parent)
        self.sorted: SortedModel[T] = SortedModel(columns, name, self)
        self._kept = ""  # the name of what was chosen, over a reset
        self.setModel(self.sorted)
        make_table_plain(self)
        across = self.horizontalHeader()
        across.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for number, column in enumerate(columns):
            if not column.width:
                across.setSectionResizeMode(number, QHeaderView.ResizeMode.Stretch)
        across.setSortIndicator(0, order)
        across.setMinimumSectionSize(theme.px(48))
        self.setSortingEnabled(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self.doubleClicked.connect(lambda _: self.accepted.emit())
        self.sorted.modelAboutToBeReset.connect(self._keep)
        self.sorted.modelReset.connect(self._restore)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen_changed.emit())
        self.follow_look()

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        self.setFont(theme.body_font(13))
        self.horizontalHeader().setFont(theme.body_font(12))
        self.verticalHeader().setDefaultSectionSize(theme.px(ROW_HEIGHT))
        for number, column in enumerate(self.sorted.columns):
            if column.width:
                self.setColumnWidth(number, theme.px(column.width))
        self._soften()

    @property
    def chosen(self) -> T | None:
        """The selected row."""
        rows = self.selectionModel().selectedRows()
        return self.sorted.rows[rows[0].row()] if rows else None

    def choose(self, name: str) -> None:
        """Select the row of that name, where it is shown."""
        names = [self.sorted.name(row) for row in self.sorted.rows]
        if name in names:
            self.selectRow(names.index(name))

    def _keep(self) -> None:
        chosen = self.chosen
        if chosen is not None:
            self._kept = self.sorted.name(chosen)

    def _restore(self) -> None:
        names = [self.sorted.name(row) for row in self.sorted.rows]
        blocked = self.selectionModel().blockSignals(True)
        if names:
            self.selectRow(names.index(self._kept) if self._kept in names else 0)
        self.selectionModel().blockSignals(blocked)
        self.chosen_changed.emit()

    def _on_menu(self, at: QPoint) -> None:
        index = self.indexAt(at)
        if index.isValid():
            self.selectRow(index.row())
            self.menu_requested.emit(self.viewport().mapToGlobal(at))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter takes the row, the Menu key and Shift+F10 show its menu."""
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.chosen is not None:
            self.accepted.emit()
            return
        shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if (key == Qt.Key.Key_Menu or (key == Qt.Key.Key_F10 and shifted)) and self.chosen:
            box = self.visualRect(self.currentIndex())
            self.menu_requested.emit(self.viewport().mapToGlobal(box.bottomLeft()))
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "sorted"):
            self._soften()

    def _soften(self) -> None:
        flatten(self.horizontalHeader())
        soften(self)


def labelled_box(
    title: str, name: str, choices: Sequence[tuple[str, object]]
) -> tuple[Label, QComboBox]:
    """A choice with its label; `choices` are the words and the data of each entry."""
    box = QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(title)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    for words, data in choices:
        box.addItem(words, data)
    label = Label(title, 13, dim=True)
    label.setBuddy(box)
    return label, box
