"""A short notice above the composer, with Undo where something can be undone, or with one thing
to do about it.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QEnterEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, IconButton, TintedLabel

SHOWN_MS = 8000
_WIDEST = 520


class Toast(QWidget):
    """Closes itself after 8 seconds unless the mouse or the focus is on it."""

    hidden = Signal()

    def __init__(self, parent: QWidget, below: QWidget) -> None:
        """Stands over the lower edge of `parent`, above its child `below`."""
        super().__init__(parent)
        self._ground = parent
        self._below = below
        below.installEventFilter(self)
        self.setObjectName("toast")
        self._undo: Callable[[], None] | None = None
        self._act: Callable[[], None] | None = None
        self._where = ""  # the conversation it is about; "" for any
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SHOWN_MS)
        self._timer.timeout.connect(self._time_is_up)
        self.label = TintedLabel("", 13, tint="background")
        self.undo_button = Button(self.tr("Undo"), kind="tinted", tint="background", height=30)
        self.undo_button.setObjectName("undo")
        self.undo_button.setAccessibleName(self.tr("Undo"))
        self.action_button = Button("", kind="tinted", tint="background", height=30)
        self.action_button.setObjectName("noticeAction")
        self.action_button.setAccessibleName(self.tr("What to do"))
        self.close_button = IconButton("close", self.tr("Close notice"), height=30)
        self.close_button.tint = "background"
        self.close_button.kind = "bare"
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 8, 8)
        row.setSpacing(12)
        row.addWidget(self.label, 1)
        row.addWidget(self.undo_button)
        row.addWidget(self.action_button)
        row.addWidget(self.close_button)
        self.undo_button.clicked.connect(self.undo)
        self.action_button.clicked.connect(self._do)
        self.close_button.clicked.connect(self.dismiss)
        self.hide()

    @property
    def can_undo(self) -> bool:
        """Whether it is shown with Undo."""
        return self._undo is not None

    def follow_look(self) -> None:
        """Other sizes, which its parts have taken by now."""
        self.adjustSize()
        self.place()

    def show_text(
        self,
        text: str,
        undo: Callable[[], None] | None = None,
        action: tuple[str, Callable[[], None]] | None = None,
        where: str = "",
    ) -> None:
        """Show `text`; `undo` is called when the user wants it back.

        `action` is the words of a button and what it does; `where` is the only conversation that
        it is about.
        """
        self._undo = undo
        self._where = where
        self.undo_button.setVisible(undo is not None)
        words, self._act = action or ("", None)
        self.action_button.setText(words)
        self.action_button.setAccessibleName(words)
        self.action_button.setVisible(action is not None)
        room = theme.px(_WIDEST) - 160
        self.label.setText(
            self.label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, room)
        )
        self.label.setAccessibleName(text)
        self.adjustSize()
        self.place()
        self.show()
        self.raise_()
        self._timer.start()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def place(self) -> None:
        """Centre it above what stands below."""
        x = (self._ground.width() - self.width()) // 2
        self.move(max(x, 0), max(self._below.y() - self.height() - 4, 0))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the widget below when it moves or grows."""
        if event.type() in (QEvent.Type.Move, QEvent.Type.Resize):
            self.place()
        return super().eventFilter(watched, event)

    def undo(self) -> None:
        """Take it back, once."""
        undo, self._undo = self._undo, None
        self.dismiss()
        if undo is not None:
            undo()

    def _do(self) -> None:
        act, self._act = self._act, None
        self.dismiss()
        if act is not None:
            act()

    def dismiss(self) -> None:
        """Close."""
        self._timer.stop()
        self._undo = self._act = None
        self._where = ""
        self.hide()
        self.hidden.emit()

    def leave_for(self, conversation_id: str) -> None:
        """Another conversation is shown: what is about one alone goes with it."""
        if self._where not in ("", conversation_id):
            self.dismiss()

    def _time_is_up(self) -> None:
        buttons = (self.undo_button, self.action_button, self.close_button)
        focused = any(button.hasFocus() for button in buttons)
        if self.underMouse() or focused:
            self._timer.start()
        else:
            self.dismiss()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape closes it."""
        if event.key() == Qt.Key.Key_Escape:
            self.dismiss()
            return
        super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Reading it takes as long as it takes."""
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Count again."""
        if self.isVisible():
            self._timer.start()
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card in the inverse colours."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.current().text))
        painter.drawRoundedRect(QRectF(self.rect()), 10, 10)
