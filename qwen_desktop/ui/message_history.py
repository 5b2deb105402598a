"""Going back through what was said before, in the field: Up and Down, Escape back to the draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QKeyEvent, QTextCursor

from qwen_desktop.ui.message_edit import MessageEdit


def nothing() -> Sequence[str]:
    """No conversation, no history."""
    return ()


class MessageHistory(QObject):
    """Up in an empty field shows the newest of `earlier()`, Up again the one before it.

    What stood in the field comes back with Down or Escape. A text that is changed is no longer
    one of history: it is the draft.
    """

    def __init__(self, edit: MessageEdit) -> None:
        super().__init__(edit)
        self.earlier: Callable[[], Sequence[str]] = nothing  # newest first
        self._edit = edit
        self._texts: Sequence[str] = ()
        self._at = -1  # in `_texts`; -1 is the draft
        self._draft = ""
        self._showing = False
        edit.textChanged.connect(self._on_changed)

    @property
    def is_browsing(self) -> bool:
        """Whether the field shows an earlier message as it was."""
        return self._at >= 0

    @property
    def draft(self) -> str:
        """What the field held before, while an earlier message is shown."""
        return self._draft

    def leave(self) -> None:
        """What the field holds is the draft from now on."""
        self._at, self._texts, self._draft = -1, (), ""

    def takes_key(self, event: QKeyEvent) -> bool:
        """Whether a key was meant for the history, and has been dealt with."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return False
        key = event.key()
        if key == Qt.Key.Key_Escape and self.is_browsing:
            self._show(-1)
            return True
        if key == Qt.Key.Key_Up and self._may_go(back=True):
            return self._go_back()
        if key == Qt.Key.Key_Down and self.is_browsing and self._may_go(back=False):
            self._show(self._at - 1)
            return True
        return False

    def _may_go(self, *, back: bool) -> bool:
        """In a message of several lines the cursor first goes through them."""
        if not self.is_browsing:
            return self._edit.document().isEmpty()
        cursor = QTextCursor(self._edit.textCursor())
        if cursor.atEnd() or cursor.atStart():
            return True
        move = QTextCursor.MoveOperation.Up if back else QTextCursor.MoveOperation.Down
        return not cursor.movePosition(move)

    def _go_back(self) -> bool:
        if not self.is_browsing:
            self._texts = _without_repeats(self.earlier())
            self._draft = self._edit.toPlainText()
        if self._at + 1 < len(self._texts):
            self._show(self._at + 1)
            return True
        return self.is_browsing

    def _show(self, at: int) -> None:
        text = self._texts[at] if at >= 0 else self._draft
        self._at = at
        self._showing = True
        try:
            self._edit.setPlainText(text)
        finally:
            self._showing = False
        if at < 0:
            self.leave()

    def _on_changed(self) -> None:
        if not self._showing and self.is_browsing:
            self.leave()


def _without_repeats(texts: Sequence[str]) -> Sequence[str]:
    """`texts` without blank ones and those said twice in a row."""
    kept: list[str] = []
    for text in texts:
        if text.strip() and (not kept or kept[-1] != text):
            kept.append(text)
    return kept
