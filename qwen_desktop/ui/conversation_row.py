"""How a row of the conversation list is drawn, and how a title is edited in place."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, QObject, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from qwen_desktop.chat.summary import Summary
from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import dot
from qwen_desktop.ui.conversation_list import (
    BUSY_ROLE,
    CHOSEN_ROLE,
    FOLDER_ROLE,
    OPEN_ROLE,
    SUMMARY_ROLE,
    TITLE_LIMIT,
    Index,
    header_height,
    row_height,
)
from qwen_desktop.ui.previews import without_marks
from qwen_desktop.ui.rows import elided, paint_row

_MARK = 13  # px, of the small icons
_CHIP = 16  # px, height
_CHIP_WIDEST = 84


def more_rect(row: QRect) -> QRect:
    """Where the button for the menu of a row lies, which is shown on hover and focus."""
    inner = inner_rect(row)
    return QRect(inner.right() - theme.px(28) - 2, inner.top() + 2, theme.px(28), theme.px(22))


def inner_rect(row: QRect) -> QRect:
    """The row without the air around it."""
    return row.adjusted(8, 2, -8, -2)


def _text_rect(row: QRect) -> QRect:
    edge = theme.space(5)
    return inner_rect(row).adjusted(8, edge, -8, -edge)


class RowDelegate(QStyledItemDelegate):
    """Draws a heading or a conversation, and edits a title in place."""

    editing_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.on_more = -1  # the row whose button is under the mouse
        self.follow_look()

    def follow_look(self) -> None:
        """Other fonts."""
        self._title = theme.body_font(14)
        self._small = theme.body_font(12)
        self._tiny = theme.body_font(11)
        self._header = theme.body_font(12, QFont.Weight.DemiBold)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """The fixed height of the row's kind."""
        return QSize(100, row_height() if index.flags() else header_height())

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """A heading, a row, or the place of one that is being read."""
        rect = inner_rect(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not index.flags() & Qt.ItemFlag.ItemIsEnabled:
            painter.setFont(self._header)
            painter.setPen(QColor(theme.current().dim))
            painter.drawText(rect.adjusted(8, 4, 0, 0), Qt.AlignmentFlag.AlignVCenter, index.data())
        else:
            chosen = bool(index.data(CHOSEN_ROLE))
            paint_row(painter, rect, option.state, chosen or bool(index.data(OPEN_ROLE)))
            summary = index.data(SUMMARY_ROLE)
            if isinstance(summary, Summary):
                self._paint_row(painter, option, index, summary, chosen)
            else:
                _paint_placeholder(painter, _text_rect(option.rect))
        painter.restore()

    def _paint_row(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: Index,
        summary: Summary,
        chosen: bool,
    ) -> None:
        t = theme.current()
        text = _text_rect(option.rect)
        right = self._paint_marks(painter, option, index, summary, chosen)
        painter.setFont(self._title)
        painter.setPen(QColor(t.text))
        title = elided(self._title, str(index.data()), right - text.left())
        painter.drawText(text, Qt.AlignmentFlag.AlignTop, title)
        right = self._paint_chips(painter, text, summary, str(index.data(FOLDER_ROLE) or ""))
        painter.setFont(self._small)
        painter.setPen(QColor(t.dim))
        preview = elided(self._small, without_marks(summary.preview), right - text.left())
        painter.drawText(text, Qt.AlignmentFlag.AlignBottom, preview)

    def _paint_marks(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: Index,
        summary: Summary,
        chosen: bool,
    ) -> int:
        """What stands to the right of the title, from right to left; where the title ends."""
        t = theme.current()
        text = _text_rect(option.rect)
        states = QStyle.StateFlag
        state = option.state
        right = text.right()
        keyboard = state & states.State_HasFocus and state & states.State_KeyboardFocusChange
        if chosen:
            side = theme.px(16)
            box = QRectF(right - side + 1, text.top() + 1, side, side)
            icons.draw(painter, "check", box, t.accent)
            right -= side + 4
        elif state & states.State_MouseOver or keyboard:
            box = QRectF(more_rect(option.rect))
            over = self.on_more == index.row()
            if over:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(t.background))
                painter.drawRoundedRect(box, 6, 6)
            half = theme.px(8)
            icon = QRectF(box.center().x() - half, box.center().y() - half, 2 * half, 2 * half)
            icons.draw(painter, "more", icon, t.text if over else t.dim)
            right = int(box.left()) - 2
        if index.data(BUSY_ROLE):
            dot(painter, QPointF(right - 4, text.top() + theme.px(9)), 4, t.accent)
            right -= 14
        for shown, mark in ((summary.pinned, "pin"), (summary.remote, "server")):
            if shown:
                side = theme.px(_MARK)
                box = QRectF(right - side, text.top() + 3, side, side)
                icons.draw(painter, mark, box, t.dim)
                right -= side + 5
        return right

    def _paint_chips(self, painter: QPainter, text: QRect, summary: Summary, folder: str) -> int:
        """Folder and tags to the right of the preview, at most half of it; where that ends."""
        t = theme.current()
        metrics = QFontMetrics(self._tiny)
        names = [(folder, True)] if folder else []
        names.extend((tag, False) for tag in summary.tags)
        room, right = text.width() // 2, text.right() + 1
        chips: list[tuple[str, bool, int]] = []
        for place, (name, is_folder) in enumerate(names):
            icon = theme.px(12) + 2 if is_folder else 0
            wide = min(metrics.horizontalAdvance(name) + 12 + icon, theme.px(_CHIP_WIDEST))
            rest = len(names) - place
            if wide + (24 if rest > 1 else 0) > room:
                chips.append((f"+{rest}", False, metrics.horizontalAdvance(f"+{rest}") + 12))
                break
            chips.append((name, is_folder, wide))
            room -= wide + 4
        painter.setFont(self._tiny)
        for name, is_folder, wide in reversed(chips):
            chip = theme.px(_CHIP)
            box = QRectF(right - wide, text.bottom() - chip + 1, wide, chip)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.line))
            painter.drawRoundedRect(box, 4, 4)
            inside = box.adjusted(6, 0, -6, 0)
            if is_folder:
                side = theme.px(12)
                mark = QRectF(inside.left() - 1, box.center().y() - side / 2, side, side)
                icons.draw(painter, "folder", mark, t.dim)
                inside.setLeft(inside.left() + side + 2)
            painter.setPen(QColor(t.text))
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(inside.width()) + 1)
            flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
            painter.drawText(inside, flags, shown)
            right -= wide + 4
        return right - 4 if chips else text.right()

    # -- renaming --------------------------------------------------------------------------

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A line edit over the title."""
        editor = QLineEdit(parent)
        editor.setFont(self._title)
        editor.setMaxLength(TITLE_LIMIT)
        editor.setObjectName("titleEditor")
        editor.setAccessibleName(self.tr("Chat title"))
        editor.setPalette(theme.palette(theme.current()))  # the list's own has a clear Base
        editor.setText(str(index.data(Qt.ItemDataRole.EditRole)))
        editor.selectAll()
        self.editing_changed.emit(True)
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Nothing: what comes while one types does not replace it."""

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


def _paint_placeholder(painter: QPainter, text: QRect) -> None:
    """Two quiet bars where the words will be."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.current().line))
    painter.drawRoundedRect(QRect(text.left(), text.top() + 4, text.width() * 3 // 5, 10), 4, 4)
    painter.drawRoundedRect(QRect(text.left(), text.bottom() - 12, text.width() * 4 // 5, 8), 4, 4)
