"""Tokens as text that wraps: each with its colour, its bounds, its id; thousands of them at once.

Painted, a line at a time, only what is seen. Used for prompts and for answers alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QFocusEvent,
    QGuiApplication,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.ui.controls import plain_tip
from qwen_desktop.ui.token_area import PORTION, TokenArea
from qwen_desktop.ui.token_layout import Mode, seen
from qwen_desktop.ui.token_paint import Look, Span
from qwen_desktop.ui.token_search import places

__all__ = ["Mode", "Span", "TokenText"]

MOST_SAID = 60  # characters of a token in a tip


def _nothing(_index: int) -> str:
    return ""


class TokenText(TokenArea):
    """A read-only view of `Tokens`.

    A click or an arrow makes a token the current one, Shift extends the selection, Enter and a
    double click activate it. `describe(index)` gives further lines for its tip and for screen
    readers. Colours: `set_spans`, or `set_heat` for a colour of each token.
    """

    token_activated = Signal(int)
    current_changed = Signal(int)
    found_changed = Signal(int, int)  # which match is gone to, from 1, and how many there are

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.describe: Callable[[int], str] = _nothing
        self._query = ""
        self._found: list[tuple[int, int]] = []
        self._found_at = -1
        self._column = 0.0  # px, that Up and Down keep to
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self.viewport().setCursor(Qt.CursorShape.IBeamCursor)

    # -- what is shown ---------------------------------------------------------------------

    def set_tokens(self, tokens: Tokens) -> None:
        """Show these, without colours, from the beginning; nothing is selected."""
        self._tokens = tokens
        self._look = Look()
        self._current = self._anchor = self._hovered = -1
        self._found, self._found_at = [], -1
        self._lay_out()
        self.verticalScrollBar().setValue(0)
        self._describe_current()
        if self._query:
            self.search(self._query)

    def set_mode(self, mode: Mode) -> None:
        """Show text, ids or both; what is at the top stays there."""
        if mode is self._mode:
            return
        top = self.first_visible()
        self._mode = mode
        self._use_fonts()
        self._lay_out()
        if top >= 0:
            self.scroll_to(top)
        if self._query:
            now = self._look.found_now
            self.search(self._query)
            if now in self._found:
                self._found_at, self._look.found_now = self._found.index(now), now
                self.found_changed.emit(self._found_at + 1, len(self._found))

    # -- tokens ----------------------------------------------------------------------------

    def set_current(self, index: int, *, extend: bool = False, keep_column: bool = False) -> None:
        """Go to a token and show it; with `extend`, what is between is selected."""
        if not self._tokens.ids:
            return
        index = max(0, min(index, len(self._tokens) - 1))
        if not extend or self._anchor < 0:
            self._anchor = index if not extend or self._current < 0 else self._current
        if not extend:
            self._anchor = index
        changed, self._current = index != self._current, index
        if not keep_column:
            self._column = self._layout.place(index)[1]
        self._show(index)
        self.viewport().update()
        if changed:
            self._describe_current()
            self.current_changed.emit(index)

    def select(self, start: int, end: int) -> None:
        """Select tokens `start` to before `end`, and show the first."""
        if end > start:
            self.set_current(end - 1)
            self.set_current(start, extend=True)

    def words_of(self, index: int) -> str:
        """What there is to say of a token, in lines: its text, number, id, bytes."""
        if not 0 <= index < len(self._tokens):
            return ""
        tokens = self._tokens
        cell = tokens.cells[self._cell_of(index)]
        text, piece = seen(cell.text), tokens.pieces[index]
        if len(text) > MOST_SAID:
            text = f"{text[:MOST_SAID]}…"
        if tokens.is_control(index):
            first = self.tr("Control token {text}").format(text=text)
        elif cell.end - cell.start > 1:
            first = self.tr("Part {part} of {parts} of “{text}”").format(
                part=index - cell.start + 1, parts=cell.end - cell.start, text=text
            )
        else:
            first = f"“{text}”"
        lines = [first]
        if self._look.is_lookalike(index):
            lines.append(self.tr("Plain text that reads like a control token"))
        number = self.locale().toString(index + 1)
        lines.append(self.tr("Token {number}, id {id}").format(number=number, id=tokens.ids[index]))
        if piece and not tokens.is_control(index):
            shown = piece[:24].hex(" ") + (" …" if len(piece) > 24 else "")
            lines.append(self.tr("Bytes {bytes}").format(bytes=shown))
        if more := self.describe(index):
            lines.append(more)
        return "\n".join(lines)

    def _cell_of(self, index: int) -> int:
        return bisect_right(self._cell_starts, index) - 1

    # -- searching -------------------------------------------------------------------------

    def search(self, query: str) -> int:
        """Mark where `query` stands, in the text or the ids as shown; how often it does."""
        self._query = query
        self._found = places(self._tokens, query, self._mode)
        self._found_at = -1
        self._look.found = self._found
        self._look.found_now = None
        self.viewport().update()
        self.found_changed.emit(0, len(self._found))
        return len(self._found)

    def step(self, forward: bool = True) -> None:
        """Go to the next match, or the one before; around the ends."""
        if not self._found:
            return
        if self._found_at < 0:
            at = max(self._current, self.first_visible())
            after = [n for n, (start, _) in enumerate(self._found) if start >= at]
            self._found_at = (after[0] if after else 0) - (0 if forward else 1)
        else:
            self._found_at += 1 if forward else -1
        self._found_at %= len(self._found)
        start, end = self._found[self._found_at]
        self._look.found_now = (start, end)
        self.set_current(start)
        self.found_changed.emit(self._found_at + 1, len(self._found))

    # -- mouse -----------------------------------------------------------------------------

    def viewportEvent(self, event: QEvent) -> bool:
        """The tip of the token under the pointer."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.token_under(event.pos())
            if index < 0:
                QToolTip.hideText()
            else:
                text, place = plain_tip(self.words_of(index)), self.place_of(index)
                text = text.replace("\n", "<br>") if text.startswith("<p>") else text
                QToolTip.showText(event.globalPos(), text, self.viewport(), place)
            return True
        if event.type() == QEvent.Type.Leave:
            self._hover(-1)
        return super().viewportEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Bounds of what is under the pointer; selection while a button is held."""
        place = event.position().toPoint()
        index = self.token_under(place)
        self._hover(index)
        if event.buttons() & Qt.MouseButton.LeftButton and self._current >= 0:
            if index < 0:
                index = 0 if place.y() < 0 else len(self._tokens) - 1
            self.set_current(index, extend=True)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Make it the current token."""
        index = self.token_under(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and index >= 0:
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.set_current(index, extend=bool(shift))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The end of a selection; nobody else's."""
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Activate it."""
        index = self.token_under(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and index >= 0:
            self.token_activated.emit(index)

    # -- keys ------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Moving, selecting, copying."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self.select(0, len(self._tokens))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current >= 0:
            self.token_activated.emit(self._current)
        elif (target := self._target(event)) is not None:
            index, keep_column = target
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.set_current(index, extend=bool(shift), keep_column=keep_column)
        else:
            super().keyPressEvent(event)

    def _target(self, event: QKeyEvent) -> tuple[int, bool] | None:
        """Where a key goes to, and whether the column is kept; None for other keys."""
        if not self._tokens.ids:
            return None
        key, at = event.key(), max(self._current, 0)
        ctrl = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        page = max(1, self.viewport().height() // self._line - 1)
        lines: dict[int, int] = {
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_PageUp: -page,
            Qt.Key.Key_PageDown: page,
        }
        if key in lines:
            last = self._layout.last_line_of(at) if lines[key] > 0 else self._layout.line_at(at)
            line = max(0, last + lines[key])
            while not self._layout.done and self._layout.count <= line:
                self._layout.extend(PORTION)
            line = min(line, self._layout.count - 1)
            return self._layout.token_at(line, self._column + 1), True
        if key == Qt.Key.Key_Left:
            return at - 1, False
        if key == Qt.Key.Key_Right:
            return (at + 1 if self._current >= 0 else 0), False
        if key == Qt.Key.Key_Home:
            return (0 if ctrl else self._layout.token_at(self._layout.line_at(at), 0.0)), False
        if key == Qt.Key.Key_End:
            line_end = self._layout.token_at(self._layout.line_at(at), 1e9)
            return (len(self._tokens) - 1 if ctrl else line_end), False
        return None

    def copy(self) -> None:
        """What is selected, else the current token, to the clipboard: as text or as ids."""
        start, end = self.selection
        if start == end and self._current >= 0:
            start, end = self._current, self._current + 1
        if start < end:
            QGuiApplication.clipboard().setText(self.text_of(start, end))

    def text_of(self, start: int, end: int) -> str:
        """A stretch as it is copied: its ids where only ids are shown, else its text."""
        if self._mode is Mode.IDS:
            return ", ".join(map(str, self._tokens.ids[start:end]))
        return self._tokens.text(start, end)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """There is a current token from now on."""
        super().focusInEvent(event)
        if self._current < 0 and self._tokens.ids:
            self.set_current(max(self.first_visible(), 0))
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """No ring."""
        super().focusOutEvent(event)
        self.viewport().update()

    def _describe_current(self) -> None:
        """Tell screen readers the current token."""
        words = self.words_of(self._current)
        self.setAccessibleDescription(words)
        if words and self.hasFocus() and QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))
