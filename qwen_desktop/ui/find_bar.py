"""Find in conversation: a field above the messages, with a count and two steps."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, QObject, QPoint, QRect, QSize, Qt
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QKeyEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import IconButton, TintedLabel
from qwen_desktop.ui.plain_search import SearchField
from qwen_desktop.ui.theme import px
from qwen_desktop.ui.timeline.view import Timeline

_WIDEST = 520  # px
_COUNT = 96  # px for the numbers
_BUTTON = 30  # px


class FindField(SearchField):
    """Enter goes to the next occurrence, with Shift to the one before; Escape is the bar's."""

    def event(self, event: QEvent) -> bool:
        """Take Escape and F3 from the window's shortcuts."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_F3)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave the bar's keys to the bar."""
        if event.key() in _KEYS:
            event.ignore()
            return
        super().keyPressEvent(event)


_KEYS = (Qt.Key.Key_Escape, Qt.Key.Key_F3, Qt.Key.Key_Return, Qt.Key.Key_Enter)


class FindBar(QWidget):
    """Stands above the messages of a timeline, which it drives.

    It is a part of `parent`, around the timeline: assistive technology is told of nothing in a
    scrolled area but of what is scrolled.
    """

    def __init__(self, timeline: Timeline, parent: QWidget) -> None:
        super().__init__(parent)
        self._open = False
        self._timeline, self._parent = timeline, parent
        self.setObjectName("findBar")
        self.setAccessibleName(self.tr("Find in this chat"))
        self.field = FindField(self.tr("Find in this chat"))
        self.field.setObjectName("findField")
        self.count = TintedLabel("", 12, tint="dim")
        self.count.setObjectName("findCount")
        self.count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.previous = IconButton("up", self.tr("Previous occurrence"), height=_BUTTON)
        self.next = IconButton("down", self.tr("Next occurrence"), height=_BUTTON)
        self.close_button = IconButton("close", self.tr("Close find"), height=_BUTTON)
        row = self._row = QHBoxLayout(self)
        row.setSpacing(4)
        row.addWidget(self.field, 1)
        row.addWidget(self.count)
        row.addWidget(self.previous)
        row.addWidget(self.next)
        row.addWidget(self.close_button)
        self.follow_look()
        self.field.textChanged.connect(self._seek)
        self.previous.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))
        self.close_button.clicked.connect(self.leave)
        timeline.sought_changed.connect(self._show_count)
        timeline.seek_left.connect(self.leave)
        around: QWidget | None = timeline
        while around is not None and around is not parent:
            around.installEventFilter(self)
            around = around.parentWidget()
        self._show_count(0, 0, True)
        self.hide()

    @property
    def is_open(self) -> bool:
        """Whether it is shown, wherever the messages are."""
        return self._open

    def enter(self, text: str = "") -> None:
        """Show it with `text`, or with what was looked for last, ready to be typed over."""
        if text:
            self.field.setText(text)
        self._open = True
        self.show()
        self.raise_()
        self._place()
        self._timeline.seek(self.field.text())
        self.field.selectAll()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def leave(self) -> None:
        """Close it: the marks go; one stays where one is."""
        if not self.is_open:
            return
        focused = self.isAncestorOf(self.window().focusWidget() or self)
        self._open = False
        self.hide()
        self._timeline.make_room(0)
        self._timeline.seek("")
        self._show_count(0, 0, True)
        if focused:
            self._timeline.setFocus(Qt.FocusReason.OtherFocusReason)

    def step(self, by: int) -> None:
        """Go to the next occurrence, or with -1 to the one before; round at the ends."""
        self._timeline.seek(self.field.text())
        self._timeline.seek_step(by)

    def _seek(self, text: str) -> None:
        self._timeline.seek(text)
        if not self._timeline.is_seeking:
            self._show_count(0, 0, True)

    def follow_look(self) -> None:
        """Take the sizes of the look."""
        self.count.setFixedWidth(px(_COUNT))
        self._place()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and F3 step, Escape closes."""
        back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.key() == Qt.Key.Key_Escape:
            self.leave()
        elif event.key() in _KEYS:
            self.step(-1 if back else 1)
        else:
            super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay above the messages, and go and come with them."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move):
            self._place()
        elif watched is self._timeline and event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self.setVisible(self._open and event.type() == QEvent.Type.Show)
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        """Above the messages, the controls at the right of their column."""
        width = self._timeline.width()
        room = self._timeline.viewport().width() - 2 * theme.COLUMN_MARGIN
        column = min(room, theme.column_width())
        right = width - self._timeline.viewport().width() + (room - column) // 2
        right += theme.COLUMN_MARGIN
        left = max(8, width - right - px(_WIDEST))
        self._row.setContentsMargins(left, 6, right, 7)
        height = self.sizeHint().height()
        corner = self._timeline.mapTo(self._parent, QPoint())
        self.setGeometry(QRect(corner, QSize(width, height)))
        if self.is_open:
            self._timeline.make_room(height)

    def _show_count(self, number: int, count: int, is_all: bool) -> None:
        locale = QLocale()
        sought = bool(self.field.text().strip())
        if not sought:
            text = ""
        elif not count:
            text = self.tr("Not found") if is_all else self.tr("Looking…")
        else:
            text = self.tr("%1 of %2") if is_all else self.tr("%1 of %2 or more")
            text = text.replace("%1", locale.toString(number))
            text = text.replace("%2", locale.toString(count))
        if text != self.count.text():
            self.count.setText(text)
            self.count.setAccessibleName(text)
            if text and is_all and self.is_open:
                QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))
        self.count.tint = "error" if sought and is_all and not count else "dim"
        self.count.update()
        for button in (self.previous, self.next):
            button.setEnabled(count > 0)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A strip with a line below it."""
        colours, painter = theme.current(), QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        for colour, box in (
            (colours.panel, self.rect()),
            (colours.line, QRect(0, self.height() - 1, self.width(), 1)),
        ):
            painter.setBrush(QColor(colour))
            painter.drawRect(box)
