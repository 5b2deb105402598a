"""What can be completed of a message that begins with a slash: commands and saved prompts.

Stands above the field while one types; the field keeps the focus.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QFont,
    QFontMetrics,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.message_edit import MessageEdit
from qwen_desktop.ui.rows import elided, make_plain, paint_row

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
_NO_PARENT = QModelIndex()
_ROW = 32  # px
_ROWS = 8  # shown at once
_MARGIN = 6
_GAP = 6  # between this and the box
_LONGEST = 60  # characters that are looked for
_BEGUN = re.compile(r"/[\w-]*")


@dataclass(frozen=True)
class Choice:
    """One line. `run` is called with whether it was chosen by Enter, not by Tab."""

    title: str
    words: str
    run: Callable[[bool], None]


class _Choices(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.all: Sequence[Choice] = ()

    def show(self, choices: Sequence[Choice]) -> None:
        self.beginResetModel()
        self.all = tuple(choices)
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        return 0 if parent.isValid() else len(self.all)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        choice = self.all[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return choice.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{choice.title}, {choice.words}"
        return None


class _Delegate(QStyledItemDelegate):
    def __init__(self, choices: _Choices, parent: QObject) -> None:
        super().__init__(parent)
        self._choices = choices

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(100, theme.px(_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        t, choice = theme.current(), self._choices.all[index.row()]
        rect: QRect = option.rect
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row(painter, rect.adjusted(0, 1, 0, -1), option.state, chosen)
        middle = Qt.AlignmentFlag.AlignVCenter
        font = theme.body_font(14, QFont.Weight.Medium)
        small = theme.body_font(13)
        room = rect.width() - 2 * theme.px(10)
        title = elided(font, choice.title, room * 3 // 5)
        wide = QFontMetrics(font).horizontalAdvance(title)
        text = QRect(rect.left() + theme.px(10), rect.top(), wide + 2, rect.height())
        painter.setFont(font)
        painter.setPen(QColor(t.text))
        painter.drawText(text, middle, title)
        painter.setFont(small)
        painter.setPen(QColor(t.dim))
        left = text.right() + theme.px(14)
        rest = QRect(left, rect.top(), rect.right() - theme.px(10) - left, rect.height())
        painter.drawText(rest, middle, elided(small, " ".join(choice.words.split()), rest.width()))
        painter.restore()


class Completion(QWidget):
    """`find(word)` gives what fits what is typed after the slash."""

    def __init__(
        self,
        ground: QWidget,
        above: QWidget,
        edit: MessageEdit,
        find: Callable[[str], Sequence[Choice]],
    ) -> None:
        """Lies on `ground`, above the box `above` in it."""
        super().__init__(ground)
        self.setObjectName("completion")
        self._ground, self._above, self._edit, self._find = ground, above, edit, find
        self._closed_at: str | None = None  # what stood in the field when it was closed
        self.choices = _Choices(self)
        self.view = QListView()
        self.view.setObjectName("completions")
        self.view.setAccessibleName(self.tr("Commands and prompts"))
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        make_plain(self.view)
        self.view.setItemDelegate(_Delegate(self.choices, self.view))
        self.view.setModel(self.choices)
        self.view.clicked.connect(lambda index: self._choose(index.row(), enter=True))
        column = QVBoxLayout(self)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        column.addWidget(self.view)
        edit.textChanged.connect(self.refresh)
        edit.focus_changed.connect(self._on_focus)
        for moved in (above, above.parentWidget()):
            if moved is not None:
                moved.installEventFilter(self)
        self.hide()

    # -- what is shown ---------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what fits what is typed now, if it is the beginning of a command."""
        word = self._word()
        if word is None or not self._edit.hasFocus():
            self._closed_at = None if word is None else self._closed_at
            self.hide()
            return
        if word == self._closed_at:
            return
        self._closed_at = None
        found = self._find(word)
        if not found:
            self.hide()
            return
        self.choices.show(found)
        rows = min(_ROWS, len(found))
        self.view.setFixedHeight(rows * theme.px(_ROW))
        self.place()
        self.show()
        self.raise_()
        self._go_to(0)

    def _word(self) -> str | None:
        """What is typed after a slash that begins the message; None where it is no command."""
        document = self._edit.document()
        if document.blockCount() != 1:
            return None
        text = document.firstBlock().text()
        return text[1:] if len(text) <= _LONGEST and _BEGUN.fullmatch(text) else None

    def _go_to(self, row: int) -> None:
        index = self.choices.index(row)
        self.view.setCurrentIndex(index)
        said = str(index.data(Qt.ItemDataRole.AccessibleTextRole))
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self._edit, said))

    def _close(self) -> None:
        self._closed_at = self._word()
        self.hide()

    def _on_focus(self, focused: bool) -> None:
        if not focused:
            self.hide()

    # -- choosing --------------------------------------------------------------------------

    def takes_key(self, event: QKeyEvent) -> bool:
        """Whether a key of the field was meant for this, and has been dealt with."""
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if self.isHidden() or not plain:
            return False
        count, row = self.choices.rowCount(), self.view.currentIndex().row()
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self._close()
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._go_to((row + (1 if key == Qt.Key.Key_Down else -1)) % count)
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            wanted = row + (_ROWS if key == Qt.Key.Key_PageDown else -_ROWS)
            self._go_to(min(max(wanted, 0), count - 1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab):
            self._choose(row, enter=key != Qt.Key.Key_Tab)
        else:
            return False
        return True

    def _choose(self, row: int, *, enter: bool) -> None:
        if 0 <= row < self.choices.rowCount():
            choice = self.choices.all[row]
            self.hide()
            choice.run(enter)

    # -- places ----------------------------------------------------------------------------

    def place(self) -> None:
        """Above the box, as wide as it."""
        height = self.view.height() + 2 * _MARGIN
        box = QRect(self._above.mapTo(self._ground, QPoint(0, 0)), self._above.size())
        self.setGeometry(box.left(), max(0, box.top() - height - _GAP), box.width(), height)

    def follow_look(self) -> None:
        """Other sizes."""
        if self.isVisible():
            self.refresh()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow what stands below when it moves or grows."""
        if self.isVisible() and event.type() in (QEvent.Type.Move, QEvent.Type.Resize):
            self.place()
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.field_border), 1))
        painter.setBrush(QColor(t.background))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)
