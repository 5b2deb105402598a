"""The button that goes back to the end, and says what came there meanwhile."""

from __future__ import annotations

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.messages import Message, Status
from qwen_desktop.ui.timeline.buttons import PillButton
from qwen_desktop.ui.timeline.shared import Shared

_EDGE = 12  # px from the lower edge


class JumpButton(PillButton):
    """Stands over the lower edge of the messages while the end is out of sight."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "", "")
        self._new: set[str] = set()  # ids of messages that came to an end
        self._has_grown = False
        self._room = (0, 0)
        self.rename()
        self.hide()

    def note(self, before: Message | None, now: Message) -> None:
        """A message came, or has another state, while the end is not followed."""
        if now.status is Status.STREAMING:
            self._has_grown = self._has_grown or before is None or now.parts != before.parts
        elif before is None or before.status is Status.STREAMING:
            self._new.add(now.id)
            self._has_grown = False
        self._show_text()

    def forget(self) -> None:
        """All of it is seen."""
        if self._new or self._has_grown:
            self._new.clear()
            self._has_grown = False
            self._show_text()

    def rename(self) -> None:
        """Take the words of the language."""
        self.setAccessibleName(self.tr("Jump to latest"))
        self._show_text()

    def place(self, width: int, height: int) -> None:
        """Stand in the middle of the lower edge of `width` times `height` px."""
        self._room = (width, height)
        size = self.sizeHint()
        corner = ((width - size.width()) // 2, height - size.height() - _EDGE)
        wanted = QRect(*corner, size.width(), size.height())
        if self.geometry() != wanted:
            self.setGeometry(wanted)
        self.raise_()

    def _show_text(self) -> None:
        text = self.tr("Jump to latest")
        news = ""
        if self._new:
            news = self.tr("%Ln new messages", "", len(self._new))
        elif self._has_grown:
            news = self.tr("new text")
        if news:
            text = f"{text} · {news}"
        if text != self.text():
            self.setText(text)
            self.setAccessibleDescription(news)
            self.place(*self._room)
