"""What stands under an answer: how it ended and what it cost, or what went wrong."""

from __future__ import annotations

from PySide6.QtCore import QLocale, QRect
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.messages import Message, Status
from qwen_desktop.ui.timeline.buttons import HEIGHT, CopyButton, ErrorButton, TextButton
from qwen_desktop.ui.timeline.labels import colour_label, plain_label
from qwen_desktop.ui.timeline.shared import CARD_RADIUS, Shared, rounded

_NARROWEST = 80  # px for the text, whatever the buttons take
_RETRY = (Status.STOPPED, Status.INTERRUPTED)


class Footer(QWidget):
    """One line: statistics on the left, Copy and Retry on the right."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self._message: Message | None = None
        self._status = plain_label(self)
        self._copy = CopyButton(shared, self, self.tr("Copy message"))
        self._copy.set_quiet(True)
        self._copy.clicked.connect(self._on_copy)
        self._retry = TextButton(shared, self, self.tr("Retry"), self.tr("Retry"))
        self._retry.clicked.connect(self._on_retry)
        self.apply_theme()

    @property
    def status(self) -> str:
        """The line as shown."""
        return self._status.text()

    def show_message(self, message: Message, last: bool) -> None:
        """Take the end of `message`."""
        self._message = message
        self._status.setText(self._line(message))
        self._copy.setVisible(bool(message.text))
        always = message.status in _RETRY
        # Only at the end: what was said below another answer would go out of sight.
        self._retry.setVisible(last and message.status is not Status.FAILED)
        self._retry.set_quiet(not always)
        self._retry.set_outlined(always)

    def reveal(self, revealed: bool) -> None:
        """Whether the pointer is on the message."""
        self._copy.reveal(revealed)
        self._retry.reveal(revealed)

    def height_for(self, width: int) -> int:
        """The height, with everything placed."""
        text = QFontMetrics(self._status.font()).horizontalAdvance(self._status.text())
        x = text + 8 if text else 0
        buttons = [button for button in (self._retry, self._copy) if not button.isHidden()]
        needed = sum(button.sizeHint().width() for button in buttons) + 4
        room = max(_NARROWEST, width - needed)
        self._status.setWordWrap(x > room)
        height = HEIGHT
        if x > room:  # more lines rather than less text; the buttons stay beside the first
            x = room
            above = (HEIGHT - QFontMetrics(self._status.font()).height()) // 2
            height = max(HEIGHT, self._status.heightForWidth(x - 8) + 2 * above)
        self._status.setGeometry(0, 0, max(0, x - 8), height)
        for button in buttons:
            button.setGeometry(QRect(x, 0, button.sizeHint().width(), HEIGHT))
            x += button.sizeHint().width() + 4
        return height

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        colour_label(self._status, self._shared.theme.dim)

    def _line(self, message: Message) -> str:
        parts = []
        if message.status is Status.STOPPED:
            parts.append(self.tr("Stopped"))
        elif message.status is Status.INTERRUPTED:
            parts.append(self.tr("Interrupted: the application closed"))
        elif message.status is Status.LENGTH:
            parts.append(self.tr("Cut off at the longest answer"))
        elif message.status is Status.CONTEXT_FULL:
            parts.append(self.tr("The context is full"))
        stats = message.stats
        if stats is not None and stats.new_tokens:
            locale = QLocale()
            parts.append(self.tr("%Ln tokens", "", stats.new_tokens))
            if stats.decode_speed:
                speed = locale.toString(stats.decode_speed, "f", 1)
                parts.append(self.tr("%1 tok/s").replace("%1", speed))
            if stats.first_token_seconds:
                seconds = locale.toString(stats.first_token_seconds, "f", 1)
                parts.append(self.tr("%1 s to first token").replace("%1", seconds))
        return " · ".join(parts)

    def _on_copy(self) -> None:
        if self._message is not None:
            self._copy.copy(self._message.text)

    def _on_retry(self) -> None:
        if self._message is not None:
            self._shared.retry_requested.emit(self._message.id)


class ErrorCard(QWidget):
    """Why an answer failed, with Retry and Details."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self._id = ""
        self._text = plain_label(self, 500)
        self._text.setWordWrap(True)
        self._retry = ErrorButton(shared, self, self.tr("Retry"), self.tr("Retry"))
        self._retry.clicked.connect(lambda: shared.retry_requested.emit(self._id))
        self._details = ErrorButton(shared, self, self.tr("Details"), self.tr("Error details"))
        self._details.clicked.connect(lambda: shared.details_requested.emit(self._id))
        self.apply_theme()

    def show_message(self, message: Message, last: bool) -> None:
        """Take the error of `message`."""
        self._id = message.id
        self._retry.setVisible(last)
        text = message.error or self.tr("The answer failed.")
        self._text.setText(text)
        self.setAccessibleName(text)

    def height_for(self, width: int) -> int:
        """The height, with everything placed."""
        details = self._details.sizeHint().width()
        retry = 0 if self._retry.isHidden() else self._retry.sizeHint().width() + 8
        room = max(40, width - 16 - retry - details - 12 - 12)
        height = max(HEIGHT, self._text.heightForWidth(room))
        self._text.setGeometry(16, 12, room, height)
        y = 12 + (height - HEIGHT) // 2
        x = width - 12 - details
        self._details.setGeometry(x, y, details, HEIGHT)
        self._retry.setGeometry(x - retry, y, max(0, retry - 8), HEIGHT)
        return height + 24

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        colour_label(self._text, self._shared.theme.error)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The red card."""
        theme = self._shared.theme
        rounded(QPainter(self), self, theme.error_background, theme.error, CARD_RADIUS)
