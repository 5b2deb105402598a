"""Everything there is to do, found by typing a few letters: actions, settings, conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Union

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QFont,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.settings import SETTINGS, Setting
from qwen_desktop.ui import fuzzy, theme
from qwen_desktop.ui.actions import BY_NAME, group_title
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.i18n import setting_text
from qwen_desktop.ui.plain_search import SearchField
from qwen_desktop.ui.rows import elided, make_plain, paint_row

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.ui.window_actions import WindowActions

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
_NO_PARENT = QModelIndex()
_ENTRY_ROLE = int(Qt.ItemDataRole.UserRole)
_ROW = 34  # px
_ROWS = 10  # shown at once
_WIDEST = 560
_FROM_TOP = 64


@dataclass(frozen=True)
class Entry:
    """One line: what it does, a word about what it is, the keys that do the same.

    `name` is its English name, looked at where no title fits: "zoom in" for "Larger".
    """

    title: str
    kind: str
    keys: str
    run: Callable[[], object]
    name: str = ""


def of_actions(actions: WindowActions) -> Iterator[Entry]:
    """What can be done now."""
    for name, action in actions.by_name.items():
        if action.isEnabled() and name not in ("palette", "menu"):
            kind = group_title(BY_NAME[name].group)
            keys, words = actions.shortcut_text(name), name.replace("_", " ")
            yield Entry(action.text(), kind, keys, action.trigger, words)


def of_settings(preferences: PreferencesModel, kind: str, on: str, off: str) -> Iterator[Entry]:
    """Every other value of settings that are switched or chosen from a few."""

    def entry(setting: Setting, value: str | bool, words: str) -> Entry:
        title = f"{setting_text(setting.label)}: {words}"
        name = setting.name.replace("_", " ")
        return Entry(title, kind, "", lambda: preferences.set(setting.name, value), name)

    for setting in SETTINGS:
        now = preferences.get(setting.name)
        if setting.kind is bool:
            yield entry(setting, not now, off if now else on)
        for value, words in setting.choices:
            if value != now:
                yield entry(setting, value, setting_text(words))


def of_conversations(chats: Chats, run: Callable[[str], object], kind: str) -> Iterator[Entry]:
    """Those at the top of the list; `run` opens one by its id."""
    for summary in chats.list.top():
        if summary.title and summary.id != chats.current.id:
            yield Entry(summary.title, kind, "", partial(run, summary.id))


class EntryList(QAbstractListModel):
    """The entries that fit what is typed, the best first."""

    def __init__(self, entries: Iterable[Entry], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all = tuple(entries)
        self._shown: list[tuple[Entry, tuple[int, ...]]] = []
        self.look_for("")

    def look_for(self, query: str) -> None:
        """Show what fits."""
        self.beginResetModel()
        found = fuzzy.ranked(query, [entry.title for entry in self._all])
        if not found:
            named = fuzzy.ranked(query, [entry.name for entry in self._all])
            found = [(number, ()) for number, _ in named]
        self._shown = [(self._all[number], places) for number, places in found]
        self.endResetModel()

    def entry(self, row: int) -> tuple[Entry, tuple[int, ...]]:
        """What stands in a row, and the places of the letters that were looked for."""
        return self._shown[row]

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """All that fit."""
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The title; with its kind and its keys for a screen reader."""
        entry, _ = self._shown[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, (entry.title, entry.kind, entry.keys)))
        return None


class _Delegate(QStyledItemDelegate):
    def __init__(self, entries: EntryList, parent: QObject) -> None:
        super().__init__(parent)
        self._entries = entries
        self._font = theme.body_font()
        self._bold = theme.body_font(14, QFont.Weight.DemiBold)
        self._small = theme.body_font(12)

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(100, theme.px(_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        t = theme.current()
        entry, places = self._entries.entry(index.row())
        rect: QRect = option.rect
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row(painter, rect.adjusted(6, 1, -6, -1), option.state, chosen)
        text = rect.adjusted(16, 0, -16, 0)
        painter.setFont(self._small)
        painter.setPen(QColor(t.dim))
        middle = Qt.AlignmentFlag.AlignVCenter
        said = f"{entry.kind}   {entry.keys}" if entry.keys else entry.kind
        painter.drawText(text, middle | Qt.AlignmentFlag.AlignRight, said)
        text.setRight(text.right() - QFontMetrics(self._small).horizontalAdvance(said) - 16)
        painter.setPen(QColor(t.text))
        shown = elided(self._font, entry.title, text.width())
        x = text.left()
        for piece, sought in _pieces(shown, places):
            font = self._bold if sought else self._font
            painter.setFont(font)
            painter.setPen(QColor(t.accent if sought else t.text))
            wide = QFontMetrics(font).horizontalAdvance(piece)
            painter.drawText(QRect(x, text.top(), wide + 2, text.height()), middle, piece)
            x += wide
        painter.restore()


def _pieces(text: str, places: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """`text` cut where letters that were looked for begin and end."""
    sought, start = set(places), 0
    for at in range(1, len(text) + 1):
        if at == len(text) or (at in sought) != (start in sought):
            yield text[start:at], start in sought
            start = at


class CommandPalette(QWidget):
    """Lies over the window until something is chosen, Escape, or the focus goes elsewhere."""

    closed = Signal()

    def __init__(self, entries: Iterable[Entry], window: QWidget) -> None:
        super().__init__(window)
        self.setObjectName("commandPalette")
        self.setAccessibleName(self.tr("Command palette"))
        self._window = window
        self._over = False  # something was chosen, or the focus went elsewhere
        self._before: QWidget | None = window.focusWidget()
        self.list = EntryList(entries, self)
        self.field = SearchField(self.tr("What would you like to do?"))
        self.field.setObjectName("commandField")
        self.field.setAccessibleDescription(self.tr("Arrow keys choose, Enter does it."))
        self.view = QListView()
        self.view.setObjectName("commands")
        self.view.setAccessibleName(self.tr("Commands"))
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the field keeps it: typing goes on
        make_plain(self.view)
        self.view.setItemDelegate(_Delegate(self.list, self.view))
        self.view.setModel(self.list)
        self.none: QLabel = Label(self.tr("Nothing found."), 13, dim=True)
        self.none.setContentsMargins(16, 6, 16, 6)
        self.none.hide()
        self._card = _Card(self)
        column = QVBoxLayout(self._card)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addWidget(self.field)
        column.addWidget(self.none)
        column.addWidget(self.view)
        self.field.textChanged.connect(self._on_text)
        self.field.installEventFilter(self)
        self.view.clicked.connect(self._choose)
        window.installEventFilter(self)
        QApplication.instance().focusObjectChanged.connect(self._on_focus)  # type: ignore[union-attr]
        self._place()
        self._on_text("")
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def leave(self) -> None:
        """Close, and give the focus back."""
        if self._over:
            return
        self._over = True
        before = self._before
        if self.field.hasFocus() and before is not None and before.isVisible():
            before.setFocus(Qt.FocusReason.OtherFocusReason)
        self._end()

    @Slot()
    def _end(self) -> None:
        QApplication.instance().focusObjectChanged.disconnect(self._on_focus)  # type: ignore[union-attr]
        self._window.removeEventFilter(self)
        self.hide()
        self.closed.emit()
        self.deleteLater()

    def _on_focus(self, focused: QObject | None) -> None:
        if focused is not None and focused is not self.field and not self._over:
            self._over = True
            QTimer.singleShot(0, self, self._end)  # the focus is on its way: nothing hides now

    # -- what is typed ---------------------------------------------------------------------

    def _on_text(self, text: str) -> None:
        self.list.look_for(text)
        count = self.list.rowCount()
        self.none.setVisible(not count)
        self.view.setVisible(count > 0)
        self.view.setFixedHeight(theme.px(_ROW) * max(1, min(_ROWS, count)) + 2)
        self._card.adjustSize()
        self._go_to(0)

    def _go_to(self, row: int) -> None:
        index = self.list.index(row)
        if index.isValid():
            self.view.setCurrentIndex(index)
            said = str(index.data(Qt.ItemDataRole.AccessibleTextRole))
        else:
            said = self.none.text()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self.field, said))

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid():
            entry, _ = self.list.entry(index.row())
            self.leave()
            entry.run()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the field that move in the list; the window's size."""
        if watched is self._window and event.type() == QEvent.Type.Resize:
            self._place()
        if watched is not self.field or not isinstance(event, QKeyEvent):
            return super().eventFilter(watched, event)
        if event.type() == QEvent.Type.ShortcutOverride and event.key() == Qt.Key.Key_Escape:
            event.accept()  # before the window stops an answer by it
            return True
        return event.type() == QEvent.Type.KeyPress and self._on_key(event)

    def _on_key(self, event: QKeyEvent) -> bool:
        count, row = self.list.rowCount(), self.view.currentIndex().row()
        steps = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_PageDown: _ROWS,
            Qt.Key.Key_PageUp: -_ROWS,
        }
        key = Qt.Key(event.key())
        if key is Qt.Key.Key_Escape:
            self.leave()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.view.currentIndex())
        elif key in steps and count:
            step = steps[key]
            around = abs(step) == 1  # single steps go round, pages stop at the ends
            wanted = row + step
            self._go_to(wanted % count if around else min(max(wanted, 0), count - 1))
        elif key not in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            return False
        return True

    # -- places ----------------------------------------------------------------------------

    def follow_look(self) -> None:
        """Other sizes."""
        self._place()

    def _place(self) -> None:
        self.setGeometry(self._window.rect())
        width = min(theme.px(_WIDEST), self.width() - 48)
        self._card.setFixedWidth(width)
        self._card.move((self.width() - width) // 2, min(theme.px(_FROM_TOP), self.height() // 8))
        self._card.adjustSize()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As the window."""
        super().resizeEvent(event)
        self._place()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside it closes it."""
        if not self._card.geometry().contains(event.position().toPoint()):
            self.leave()


class _Card(QWidget):
    def paintEvent(self, event: QPaintEvent) -> None:
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.field_border), 1))
        painter.setBrush(QColor(t.background))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
