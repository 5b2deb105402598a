"""The modules of a model as a tree: kind, parameters, bytes, type and share of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QPainter, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QWidget,
)

from qwen_desktop.chat.card import ModelCard, ModuleNode
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar, plain_tip
from qwen_desktop.ui.texts import small_size_text

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007

NAME, KIND, PARAMETERS, BYTES, TYPE, SHARE = range(6)
ROW_HEIGHT = 28
SHARE_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NO_PARENT = QModelIndex()
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass
class _Row:
    """A node with its place; the model keeps them by number, as indexes carry only that."""

    node: ModuleNode
    parent: int  # -1 for none
    place: int  # among its siblings
    children: list[int] = field(default_factory=list)


class ModuleModel(QAbstractItemModel):
    """All modules below one root."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[_Row] = []
        self._name = ""

    def set_card(self, card: ModelCard) -> None:
        """Show the modules of `card`."""
        self.beginResetModel()
        self._rows = []
        self._name = card.info.name
        self._add(card.root, -1, 0)
        self.endResetModel()

    def _add(self, node: ModuleNode, parent: int, place: int) -> int:
        number = len(self._rows)
        row = _Row(node, parent, place)
        self._rows.append(row)
        row.children = [self._add(child, number, i) for i, child in enumerate(node.children)]
        return number

    def node(self, index: Index) -> ModuleNode:
        """The module of a row."""
        return self._rows[index.internalId()].node

    def index(self, row: int, column: int, parent: Index = _NO_PARENT) -> QModelIndex:
        """Qt's way down."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        number = self._rows[parent.internalId()].children[row] if parent.isValid() else 0
        return self.createIndex(row, column, number)

    def parent(self, index: Index = _NO_PARENT) -> QModelIndex:  # type: ignore[override]
        """Qt's way up."""
        number = self._rows[index.internalId()].parent if index.isValid() else -1
        return self.createIndex(self._rows[number].place, 0, number) if number >= 0 else _NO_PARENT

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Modules directly below."""
        if not parent.isValid():
            return min(len(self._rows), 1)
        return len(self._rows[parent.internalId()].children) if parent.column() == 0 else 0

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """The six columns."""
        return SHARE + 1

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns."""
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (PARAMETERS, BYTES):
            return _RIGHT
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return (
            self.tr("Module"),
            self.tr("Kind"),
            self.tr("Parameters"),
            self.tr("Bytes"),
            self.tr("Type"),
            self.tr("Share"),
        )[section]

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """Texts, the share as a number, and the module's own words as a tooltip."""
        node = self.node(index)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._text(node, index.column())
        if role == SHARE_ROLE:
            whole = self._rows[0].node.nbytes
            return node.nbytes / whole if whole else 0.0
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in (PARAMETERS, BYTES):
            return _RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._tip(node))
        return None

    def _text(self, node: ModuleNode, column: int) -> str:
        locale = QLocale()
        if column == NAME:
            name = node.name or self._name
            return f"{name} × {node.repeats}" if node.repeats > 1 else name
        if column == KIND:
            return f"{node.repeats} × {node.kind}" if node.repeats > 1 else node.kind
        if column == PARAMETERS:
            return locale.toString(node.parameters) if node.parameters else ""
        if column == BYTES:
            if node.shared_with and not node.nbytes:
                return self.tr("shared")
            return small_size_text(node.nbytes, locale) if node.nbytes else ""
        if column == TYPE:
            return node.dtype
        share = self._rows[0].node.nbytes and 100 * node.nbytes / self._rows[0].node.nbytes
        return f"{locale.toString(float(share), 'f', 1)} %" if node.nbytes else ""

    def _tip(self, node: ModuleNode) -> str:
        lines = [f"{node.kind}({node.detail})" if node.detail else node.kind]
        if node.repeats > 1:
            lines.append(
                self.tr("{count} equal ones; below is one of them").format(count=node.repeats)
            )
        if node.shared_with:
            lines.append(self.tr("The same weights as {module}").format(module=node.shared_with))
        return "\n".join(lines)


class _RowDelegate(QStyledItemDelegate):
    """Rows as high as those of the tables."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return super().sizeHint(option, index).expandedTo(QSize(0, theme.px(ROW_HEIGHT)))


class _ShareDelegate(_RowDelegate):
    """A bar with the share of all bytes, and its number."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, _without_text(option), index)
        share = float(index.data(SHARE_ROLE) or 0.0)
        if share <= 0:
            return
        t = theme.current()
        rect: QRect = option.rect.adjusted(6, 0, -8, 0)
        number = 52
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        bar = QRectF(rect.x(), rect.center().y() - 2, max(rect.width() - number, 8), 5)
        painter.setBrush(QColor(t.track))
        painter.drawRoundedRect(bar, 2.5, 2.5)
        painter.setBrush(QColor(t.weights))
        painter.drawRoundedRect(
            QRectF(bar.x(), bar.y(), max(bar.width() * share, 2.0), bar.height()), 2.5, 2.5
        )
        painter.setPen(QColor(t.text))
        painter.setFont(theme.body_font(12))
        painter.drawText(rect, _RIGHT, str(index.data()))
        painter.restore()

    def displayText(self, value: object, locale: object) -> str:
        """The number is painted beside the bar."""
        return ""


def _without_text(option: QStyleOptionViewItem) -> QStyleOptionViewItem:
    plain = QStyleOptionViewItem(option)
    plain.text = ""
    return plain


class ModuleTree(QTreeView):
    """The tree; opens its first levels by itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("moduleTree")
        self.setAccessibleName(self.tr("Modules"))
        self.modules = ModuleModel(self)
        self.setModel(self.modules)
        self.setItemDelegate(_RowDelegate(self))
        self.setItemDelegateForColumn(SHARE, _ShareDelegate(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self))
        self.setHorizontalScrollBar(ScrollBar(Qt.Orientation.Horizontal, self))
        self.setFont(theme.body_font(13))
        self.expanded.connect(self._fit_names)
        header = self.header()
        header.setStretchLastSection(True)
        header.setSectionsMovable(False)
        header.setMinimumSectionSize(48)
        flatten(header)
        soften(self)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "modules"):
            flatten(self.header())
            soften(self)

    def show_card(self, card: ModelCard) -> None:
        """Show the modules of `card`, the layers closed."""
        self.modules.set_card(card)
        self.expandToDepth(1)
        for column in range(SHARE):
            self.resizeColumnToContents(column)
            self.setColumnWidth(column, min(self.columnWidth(column) + 12, 260))
        self._fit_names()
        self.setCurrentIndex(self.modules.index(0, 0))

    def _fit_names(self) -> None:
        """Room for the names of what was just opened."""
        self.setColumnWidth(NAME, min(self.sizeHintForColumn(NAME) + 16, 360))


def soften(view: QAbstractItemView) -> None:
    """Show the selected row as the conversation list does: tinted, with its text as it was."""
    t = theme.current()
    own = view.palette()
    for role, colour in (
        (QPalette.ColorRole.Highlight, t.selected),
        (QPalette.ColorRole.HighlightedText, t.text),
    ):
        if own.color(role) != QColor(colour):  # setting it tells of a change again
            own.setColor(role, QColor(colour))
            view.setPalette(own)


def flatten(header: QHeaderView) -> None:
    """A header as dim text over a line, without Fusion's bevels."""
    t = theme.current()
    header.setHighlightSections(False)
    header.setStyleSheet(
        f"QHeaderView {{ background: {t.background}; border: none; }}"
        f"QHeaderView::section {{ background: {t.background}; color: {t.dim}; border: none;"
        f" border-bottom: 1px solid {t.line}; padding: 4px 6px; font-weight: normal; }}"
    )
