"""The text of a user message: as typed, and only as much of it as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui.theme import px
from qwen_desktop.ui.timeline.buttons import RevealButton, button_height
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.shared import Shared

FIRST_LINES = 40  # shown at first of a long message
FIRST_CHARACTERS = 4_000
MORE = 40_000  # characters that one press of the button adds: laying them out takes a moment
_PIECE = 4_000  # characters of one text widget
_WIDTH = 760  # px, until it is known


class UserText(QWidget):
    """Plain text in pieces, with a button where there is more."""

    def __init__(self, shared: Shared, parent: QWidget, revealed: Callable[[int], None]) -> None:
        super().__init__(parent)
        self._shared = shared
        self._revealed = revealed
        self._text = ""
        self._shown = 0
        self._pieces: list[Leaf] = []
        self._dim = False
        self._more = RevealButton(shared, self)
        self._more.clicked.connect(self._on_more)
        self._height = (-1, 0, 0)  # width, pieces, height
        self._width = px(_WIDTH)

    def expect(self, width: int) -> None:
        """Build new pieces for `width` px."""
        self._width = width

    def show_text(self, text: str, shown: int) -> None:
        """Show the beginning of `text`, at least `shown` characters where there are so many."""
        if text != self._text:
            for piece in self._pieces:
                piece.hide()
                piece.deleteLater()
            self._pieces, self._shown, self._text = [], 0, text
            self._height = (-1, 0, 0)
        self._grow(max(shown, first_part(text)))

    def set_dim(self, dim: bool) -> None:
        """Show the text in the dimmer colour, or no longer."""
        self._dim = dim
        for piece in self._pieces:
            piece.set_dim(dim)

    def height_for(self, width: int) -> int:
        """The height of what is shown."""
        self._width = width
        if self._height[:2] != (width, len(self._pieces)):
            y = 0
            for piece in self._pieces:
                height = piece.height_for(width)
                piece.setGeometry(0, y, width, height)
                y += height
            if not self._more.isHidden():
                self._more.setGeometry(0, y + 8, self._more.sizeHint().width(), button_height())
                y += 8 + button_height()
            self._height = (width, len(self._pieces), y)
        return self._height[2]

    def leaves(self) -> Iterator[Leaf]:
        """The pieces."""
        return iter(self._pieces)

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        for piece in self._pieces:
            piece.apply_theme()

    def _grow(self, shown: int) -> None:
        while self._shown < min(shown, len(self._text)):
            end = _cut(self._text, self._shown, min(shown - self._shown, _PIECE))
            piece = Leaf(self._shared, self, self._dim)
            piece.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
            part = self._text[self._shown : end]
            piece.expect(self._width)
            piece.set_plain(part.removesuffix("\n"))
            piece.joint = "\n" if part.endswith("\n") else ""
            piece.show()
            self._pieces.append(piece)
            self._shown = end
        self._more.show_left(len(self._text) - self._shown, MORE)

    def _on_more(self) -> None:
        self._grow(self._shown + MORE)
        self._revealed(self._shown)
        self._shared.resized.emit()


def first_part(text: str) -> int:
    """How many characters of a message are shown at first."""
    at = -1
    for _ in range(FIRST_LINES):
        at = text.find("\n", at + 1, FIRST_CHARACTERS + 1)
        if at < 0:
            return min(len(text), FIRST_CHARACTERS)
    return at + 1


def _cut(text: str, begin: int, length: int) -> int:
    """Where a piece of at most `length` characters ends: after a line, else a word, else there."""
    end = begin + length
    if end >= len(text):
        return len(text)
    if text[end - 1] == "\n":
        return end
    line = text.rfind("\n", begin + length // 2, end)
    if line >= 0:
        return line + 1
    word = text.rfind(" ", begin + length // 2, end)
    return word + 1 if word >= 0 else end
