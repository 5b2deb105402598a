"""A message of the user being changed, in the place where it stands."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui.message_edit import MessageEdit
from qwen_desktop.ui.timeline.buttons import AccentButton, TextButton, button_height, row_width
from qwen_desktop.ui.timeline.labels import advance, colour_label, plain_label
from qwen_desktop.ui.timeline.shared import RADIUS, Shared

_SIDE = 12  # px around the text
_GAP = 8  # px between the text, the box and the buttons
TYPED_MS = 300  # after a key, what was typed is told


class _Field(MessageEdit):
    """The composer's field, left with Escape."""

    left = Signal()

    def event(self, event: QEvent) -> bool:
        """Take Escape from the window's shortcuts, where it stops an answer."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape leaves; an input method takes its own Escape before."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
            return
        super().keyPressEvent(event)


class Editor(QWidget):
    """A field with Send and Cancel. The text stays until whoever built this takes it away."""

    sent = Signal(str)
    typed = Signal(str)  # all of the text, soon after a key
    cancelled = Signal()
    height_changed = Signal()

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self._placing = False
        self._told = ""
        self.may_be_blank = False  # a message with files needs no text
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(TYPED_MS)
        self._timer.timeout.connect(self.flush)
        self.field = _Field(self)
        self.field.setAccessibleName(self.tr("Edit message"))
        self.field.submitted.connect(self._on_send)
        self.field.left.connect(self.cancelled)
        self.field.textChanged.connect(self._on_changed)
        self.field.height_changed.connect(self._on_height)
        self.field.focus_changed.connect(lambda _: self.update())
        self._hint = plain_label(self)
        self._hint.setText(self.tr("Enter to send · Shift+Enter for a new line · Esc to cancel"))
        self._cancel = TextButton(shared, self, self.tr("Cancel"), self.tr("Cancel editing"))
        self._cancel.set_outlined(True)
        self._cancel.clicked.connect(self.cancelled)
        self._send = AccentButton(shared, self, self.tr("Send"), self.tr("Send edited message"))
        self._send.clicked.connect(self._on_send)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # beside the text, the text is meant
        self.setFocusProxy(self.field)
        self.apply_theme()

    @property
    def text(self) -> str:
        """What the field holds."""
        return self.field.toPlainText()

    def set_text(self, text: str) -> None:
        """Begin with `text`; it is not told back."""
        self.field.setPlainText(text)
        self._timer.stop()
        self._told = self.text

    def flush(self) -> None:
        """Tell what was typed now, if it has not been told."""
        self._timer.stop()
        if (text := self.text) != self._told:
            self._told = text
            self.typed.emit(text)

    def height_for(self, width: int) -> int:
        """The height in px, with everything placed."""
        self._placing = True
        inner = width - 2 * _SIDE
        self.field.setGeometry(_SIDE, _SIDE, inner, self.field.height())
        y = 2 * _SIDE + self.field.height() + _GAP
        buttons = (self._cancel, self._send)
        x = width - row_width(buttons)
        self._hint.setGeometry(2, y, max(0, x - 10), button_height())
        needed = advance(self._hint.text())
        self._hint.setVisible(needed <= x - 10)
        for button in buttons:
            size = button.sizeHint()
            button.setGeometry(x, y, size.width(), button_height())
            x += size.width() + 4
        self._placing = False
        return y + button_height()

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        theme = self._shared.theme
        colour_label(self._hint, theme.dim)
        colours = self.field.palette()
        colours.setColor(QPalette.ColorRole.Text, QColor(theme.text))
        self.field.setPalette(colours)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begins no selection of the conversation."""
        event.accept()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The box around the field, with the accent while it has the focus."""
        theme = self._shared.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.field.hasFocus()
        painter.setPen(QPen(QColor(theme.accent if focused else theme.field_border), 1))
        painter.setBrush(QColor(theme.background))
        box = QRectF(0, 0, self.width(), self.field.height() + 2 * _SIDE)
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)

    def _on_changed(self) -> None:
        self._send.setEnabled(self.may_be_blank or not self.field.is_blank())
        if not self._timer.isActive():  # else typing without a pause would never be told
            self._timer.start()

    def _on_send(self) -> None:
        if self.may_be_blank or not self.field.is_blank():
            self.flush()
            self.sent.emit(self.text)

    def _on_height(self) -> None:
        if not self._placing:  # else the one who asks gets the new height anyway
            self.height_changed.emit()
