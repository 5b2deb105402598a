"""The segments of a prompt: a list with colours and counts, and a bar of their proportions."""

from __future__ import annotations

from typing import Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import (
    QHeaderView,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QToolTip,
    QWidget,
)

from qwen_desktop.chat.inspected import Inspected, LeftOut, Segment, SegmentKind
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import plain_tip
from qwen_desktop.ui.inspector_words import (
    COLOURS,
    around_text,
    in_order,
    kind_text,
    left_out_text,
    number,
    place_text,
    tokens_text,
)
from qwen_desktop.ui.module_tree import flatten, soften
from qwen_desktop.ui.plain_table import make_table_plain
from qwen_desktop.ui.token_layout import seen

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007

KIND, TEXT, TOKENS = range(3)
COLOUR_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_PREVIEW = 120  # characters
_SWATCH = 10  # px
_NO_PARENT = QModelIndex()
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class SegmentModel(QAbstractTableModel):
    """A row for each segment and for what is left out, in the order in which they stand."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._found: Inspected | None = None
        self._rows: list[Segment | LeftOut] = []
        self._row_of: dict[int, int] = {}  # by the first token of a segment
        self._names = (self.tr("Part"), self.tr("Text"), self.tr("Tokens"))

    def set_inspected(self, found: Inspected | None) -> None:
        """Show these; None for none."""
        self.beginResetModel()
        self._found = found
        self._rows = in_order(found) if found is not None else []
        self._row_of = {
            row.start: at for at, row in enumerate(self._rows) if isinstance(row, Segment)
        }
        self.endResetModel()

    def row_of(self, segment: Segment) -> int:
        """Where a segment stands."""
        return self._row_of.get(segment.start, -1)

    def start_of(self, row: int) -> int:
        """The first token of a row; of what is left out, that of the segment behind it."""
        for one in self._rows[row:] if row >= 0 else ():
            if isinstance(one, Segment):
                return one.start
        return -1

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Segments and what is left out."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """What it is, how it begins, how long it is."""
        return 0 if parent.isValid() else len(self._names)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section == TOKENS:
            return _RIGHT
        return self._names[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """Texts; the colour of the swatch; all of it for screen readers."""
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._text(row, KIND)}, {tokens_text(row.tokens)}, {self._text(row, TEXT)}"
        if role == Qt.ItemDataRole.TextAlignmentRole and column == TOKENS:
            return _RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._tip(row))
        if role == COLOUR_ROLE and column == KIND:
            return COLOURS.get(row.kind, "") if isinstance(row, Segment) else "left out"
        if role == Qt.ItemDataRole.ForegroundRole and not self._is_text(row):
            return QColor(theme.current().dim)
        return None

    @staticmethod
    def _is_text(row: Segment | LeftOut) -> bool:
        return isinstance(row, Segment) and row.kind is not SegmentKind.FRAME

    def _text(self, row: Segment | LeftOut, column: int) -> str:
        if column == TOKENS:
            return number(row.tokens)
        if isinstance(row, LeftOut):
            return left_out_text(row) if column == KIND else seen(row.preview)
        if column == KIND:
            return kind_text(row)
        if row.name:
            return seen(row.name)
        if self._found is None or not self._found.has_text:
            return ""
        end = min(row.end, row.start + _PREVIEW)
        return seen(self._found.tokens.text(row.start, end)[:_PREVIEW])

    def _tip(self, row: Segment | LeftOut) -> str:
        words = [self._text(row, KIND), tokens_text(row.tokens)]
        if isinstance(row, Segment):
            if row.kind is SegmentKind.FRAME and (around := around_text(row)):
                words[0] = f"{words[0]}, {around}"
            words.append(f"{number(row.start + 1)}–{number(row.end)}")
        return " · ".join(words)


class _Swatches(QStyledItemDelegate):
    """A little square in the colour of the segment before its name."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        """Leave room for the square."""
        super().initStyleOption(option, index)
        option.rect = option.rect.adjusted(theme.px(_SWATCH) + 10, 0, 0, 0)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """The square, then the text."""
        super().paint(painter, option, index)
        name = index.data(COLOUR_ROLE)
        rect, side = option.rect, theme.px(_SWATCH)
        box = QRectF(rect.left() + 6.5, rect.center().y() - side / 2 + 0.5, side, side)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        now = theme.current()
        colour = getattr(now, name) if name in vars(now) else now.field_border
        painter.setPen(QPen(QColor(colour), 1))
        filled = bool(name) and name != "left out"
        painter.setBrush(QColor(colour) if filled else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 2, 2)
        if name == "left out":
            painter.drawLine(box.bottomLeft(), box.topRight())
        painter.restore()


class SegmentTable(QTableView):
    """The list. `chosen(token)`: a segment was gone to, by its first token."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.segments = SegmentModel(self)
        self._quiet = False
        self.setModel(self.segments)
        make_table_plain(self)
        self.setAccessibleName(self.tr("Parts of the prompt"))
        self.setItemDelegateForColumn(KIND, _Swatches(self))
        across = self.horizontalHeader()
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        across.setSectionResizeMode(TEXT, QHeaderView.ResizeMode.Stretch)
        across.setMinimumSectionSize(40)
        self.selectionModel().currentRowChanged.connect(self._on_row)
        self.clicked.connect(self._go)
        self.follow_look()

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        self.setFont(theme.body_font(13))
        self.setColumnWidth(KIND, theme.px(150))
        self.setColumnWidth(TOKENS, theme.px(64))
        flatten(self.horizontalHeader())
        soften(self)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "segments"):
            flatten(self.horizontalHeader())
            soften(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """In a dialog, Enter would press the default button."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._go(self.currentIndex())
            return
        super().keyPressEvent(event)

    def set_inspected(self, found: Inspected | None) -> None:
        """Show these; the row stays, as far as it can."""
        row = self.currentIndex().row()
        self._quiet = True
        self.segments.set_inspected(found)
        if 0 <= row < self.segments.rowCount():
            self.selectRow(row)
        self._quiet = False

    def follow(self, segment: Segment) -> None:
        """Show which segment is gone to elsewhere."""
        row = self.segments.row_of(segment)
        if row >= 0 and row != self.currentIndex().row():
            self._quiet = True
            self.selectRow(row)
            self._quiet = False

    def _on_row(self, now: QModelIndex) -> None:
        if not self._quiet:
            self._go(now)

    def _go(self, index: QModelIndex) -> None:
        token = self.segments.start_of(index.row())
        if token >= 0:
            self.chosen.emit(token)


class SegmentBar(QWidget):
    """How the tokens are shared out. `chosen(token)`: a click into it."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: Inspected | None = None
        self.setAccessibleName(self.tr("Proportions of the prompt"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """A strip."""
        return QSize(theme.px(200), theme.px(18))

    def set_inspected(self, found: Inspected | None) -> None:
        """Show these; None for none."""
        self._found = found
        self.setAccessibleDescription(self._words())
        self.update()

    def _words(self) -> str:
        if self._found is None:
            return ""
        sums: dict[str, int] = {}
        for segment in self._found.segments:
            name = kind_text(segment)
            sums[name] = sums.get(name, 0) + segment.tokens
        return ", ".join(f"{name}: {tokens_text(count)}" for name, count in sums.items())

    def token_at(self, x: float) -> int:
        """The token at `x` px; -1 where there is none."""
        count = len(self._found.tokens) if self._found is not None else 0
        return min(count - 1, max(0, int(x / max(1, self.width()) * count))) if count else -1

    def paintEvent(self, event: QPaintEvent) -> None:
        """Stretches in their colours, and below them what comes from the cache."""
        now, painter = theme.current(), QPainter(self)
        height = self.height() - 4
        painter.fillRect(0, 0, self.width(), height, QColor(now.track))
        found = self._found
        if found is None or not found.tokens.ids:
            return
        scale = self.width() / len(found.tokens)
        end = 0.0
        for segment in found.segments:
            name = COLOURS.get(segment.kind)
            right = segment.end * scale
            if name is None or right - end < 0.5:  # less than what can be seen
                continue
            left = max(end, segment.start * scale)
            painter.fillRect(QRectF(left, 0, right - left, height), QColor(getattr(now, name)))
            end = right
        if found.reused:
            width = found.reused * scale
            painter.fillRect(QRectF(0, height + 2, width, 2), QColor(now.other))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        token = self.token_at(event.position().x())
        if token >= 0:
            self.chosen.emit(token)

    def event(self, event: QEvent) -> bool:
        """What is under the pointer."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            token = self.token_at(event.pos().x())
            if self._found is not None and token >= 0:
                QToolTip.showText(event.globalPos(), place_text(self._found, token), self)
            return True
        return super().event(event)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.setBackgroundRole(QPalette.ColorRole.Window)
            self.update()
