"""One message: name, text, footer. Its widgets are placed by hand, for one width at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QLocale, QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QEnterEvent, QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.ui.theme import COLUMN_MARGIN, COLUMN_WIDTH, LINE_HEIGHT
from qwen_desktop.ui.timeline.blocks import BlockStack
from qwen_desktop.ui.timeline.buttons import HEIGHT, CopyButton
from qwen_desktop.ui.timeline.footer import ErrorCard, Footer
from qwen_desktop.ui.timeline.labels import colour_label, plain_label
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import Block, MarkdownTail, normalized, parse, steady
from qwen_desktop.ui.timeline.reasoning import ReasoningView
from qwen_desktop.ui.timeline.shared import CARD_RADIUS, GAP, Shared
from qwen_desktop.ui.timeline.usertext import UserText

_NAME = 16  # px
_ABOVE = 12  # px above a message
_SIDE = 14  # padding of a card
_CARET_WIDTH = 8


@dataclass
class Item:
    """A message with what the reader chose for it; outlives its widget."""

    message: Message
    shown: int = 0  # characters of a long user message
    reasoning_open: bool | None = None  # None: as the state of the answer has it
    progress: tuple[int, int] | None = None  # prompt tokens read, of how many


class Caret(QWidget):
    """A block after the last character that was written."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A filled block; it does not blink."""
        QPainter(self).fillRect(self.rect(), QColor(self._shared.theme.text))


class MessageView(QWidget):
    """The widget of one message, as wide as the pane."""

    def __init__(self, shared: Shared, parent: QWidget, item: Item) -> None:
        super().__init__(parent)
        self._shared = shared
        self._item = item
        self._shown: tuple[Message, bool, tuple[int, int] | None] | None = None
        self._dirty = True
        self._laid_out = (-1, 0)  # width, height
        self._column = QRect()
        self._name = plain_label(self, 600)
        self._stack = BlockStack(shared, self)
        self._tail: MarkdownTail | None = None
        self._reasoning: ReasoningView | None = None
        self._user: UserText | None = None
        self._copy: CopyButton | None = None
        self._footer: Footer | None = None
        self._error: ErrorCard | None = None
        self._waiting = plain_label(self)
        self._waiting.hide()
        self._caret = Caret(shared, self)
        self._caret.hide()
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.apply_theme()

    @property
    def message(self) -> Message:
        """What is shown."""
        return self._item.message

    @property
    def blocks(self) -> list[Block]:
        """The Markdown blocks of an answer."""
        return self._stack.blocks

    @property
    def block_views(self) -> list[QWidget]:
        """Their widgets."""
        return [view for view in self._stack.views if isinstance(view, QWidget)]

    # Content

    def refresh(self, last: bool, width: int) -> None:
        """Show the item as it is now; costs nothing where nothing changed.

        `last`: nothing follows. `width`: of the pane in px, for which new blocks are built.
        """
        state = (self._item.message, last, self._item.progress)
        if self._shown is not None and state[0] is self._shown[0] and state[1:] == self._shown[1:]:
            return
        self._shown = state
        self._dirty = True
        if self.message.role is Role.USER:
            self._show_user(_column_width(width))
        else:
            self._stack.expect(_column_width(width))
            self._show_answer(last, _column_width(width))

    def _show_user(self, column: int) -> None:
        if self._user is None:
            self._name.setText(self.tr("You"))
            self.setAccessibleName(self.tr("Your message"))
            self._user = UserText(self._shared, self, self._set_shown)
            self._user.expect(column - 2 * _SIDE)
            self._user.show()
            self._copy = CopyButton(self._shared, self, self.tr("Copy message"))
            self._copy.set_quiet(True)
            self._copy.reveal(self.underMouse())
            self._copy.clicked.connect(self._on_copy)
            self._copy.show()
        self._user.show_text(normalized(self.message.text), self._item.shown)

    def _show_answer(self, last: bool, column: int) -> None:
        message = self.message
        stats = message.stats
        name = (stats.model if stats else "") or "Qwen"
        if name != self._name.text():
            self._name.setText(name)
            self.setAccessibleName(self.tr("Answer by %1").replace("%1", name))
        live = message.status is Status.STREAMING
        text, reasoning = message.text, message.reasoning
        self._show_reasoning(reasoning, live and not text, column)
        source = normalized(text)
        if live:
            self._tail = self._tail or MarkdownTail()
            first = self._tail.feed(steady(source))
            self._stack.sync(first, self._tail.blocks, True)
        else:
            # A whole parse at the end: a late link definition can change earlier blocks.
            self._tail = None
            self._stack.sync(0, parse(source) if source else [], False)
        self._show_waiting(live and not text and not reasoning)
        self._show_end(live, last)

    def _show_reasoning(self, reasoning: str, live: bool, column: int) -> None:
        if not reasoning:
            if self._reasoning is not None:
                self._reasoning.hide()
                self._reasoning.deleteLater()
                self._reasoning = None
            return
        if self._reasoning is None:
            self._reasoning = ReasoningView(self._shared, self, self._set_reasoning_open)
            self._reasoning.expect(column)
            self._reasoning.show()
        chosen = self._item.reasoning_open
        stats = self.message.stats
        tokens = stats.reasoning_tokens if stats else 0
        opened = live if chosen is None else chosen
        self._reasoning.show_text(reasoning, tokens, live, opened)

    def _show_waiting(self, waiting: bool) -> None:
        self._waiting.setVisible(waiting)
        if not waiting:
            return
        progress = self._item.progress
        if progress is None:
            self._waiting.setText("")
            return
        locale = QLocale()
        text = self.tr("Reading the prompt, %1 of %2 tokens")
        text = text.replace("%1", locale.toString(progress[0]))
        self._waiting.setText(text.replace("%2", locale.toString(progress[1])))

    def _show_end(self, live: bool, last: bool) -> None:
        message = self.message
        if not live and self._footer is None:
            self._footer = Footer(self._shared, self)
            self._footer.reveal(self.underMouse())
        if self._footer is not None:
            self._footer.setVisible(not live)
            if not live:
                self._footer.show_message(message, last)
        failed = message.status is Status.FAILED
        if failed and self._error is None:
            self._error = ErrorCard(self._shared, self)
        if self._error is not None:
            self._error.setVisible(failed)
            if failed:
                self._error.show_message(message, last)

    # Geometry

    def lay_out(self, width: int) -> int:
        """Place everything for `width` px; returns the height in px."""
        if self._dirty or self._laid_out[0] != width:
            self._dirty = False
            column = _column_width(width)
            x = (width - column) // 2
            user = self._user
            height = (
                self._lay_out_user(user, x, column) if user else self._lay_out_answer(x, column)
            )
            self._laid_out = (width, height)
        return self._laid_out[1]

    @property
    def dirty(self) -> bool:
        """Whether a part changed its height since the last layout."""
        return self._dirty

    def _lay_out_user(self, user: UserText, x: int, column: int) -> int:
        y = _ABOVE + 12
        inner = column - 2 * _SIDE
        self._name.setGeometry(x + _SIDE, y, inner, _NAME)
        if self._copy is not None:
            button = self._copy.sizeHint().width()
            self._copy.setGeometry(x + column - button - 6, y - 6, button, HEIGHT)
        y += _NAME + 4
        height = user.height_for(inner)
        user.setGeometry(x + _SIDE, y, inner, height)
        y += height + 12
        self._column = QRect(x, _ABOVE, column, y - _ABOVE)
        self.update()
        return y

    def _lay_out_answer(self, x: int, column: int) -> int:
        y = _ABOVE
        self._name.setGeometry(x, y, column, _NAME)
        y += _NAME + 6
        if self._reasoning is not None:
            height = self._reasoning.height_for(column)
            self._reasoning.setGeometry(x, y, column, height)
            y += height + (GAP if self._stack.views else 0)
        if not self._waiting.isHidden():
            inset = _CARET_WIDTH + 8
            self._waiting.setGeometry(x + inset, y, column - inset, LINE_HEIGHT)
            self._place_caret(QRect(x, y, 0, LINE_HEIGHT))
            y += LINE_HEIGHT
        y = self._stack.layout(x, y, column)
        if self.message.status is Status.STREAMING:
            if self._waiting.isHidden():
                self._caret_after_text()
            y += 6 + HEIGHT  # the footer's place, so that nothing moves at the end
        else:
            self._caret.hide()
            y = self._lay_out_end(x, y, column)
        self._column = QRect(x, _ABOVE, column, y - _ABOVE)
        return y + 4

    def _lay_out_end(self, x: int, y: int, column: int) -> int:
        if self._error is not None and not self._error.isHidden():
            y += GAP if self._stack.views or self._reasoning else 0
            height = self._error.height_for(column)
            self._error.setGeometry(x, y, column, height)
            y += height
        if self._footer is not None:
            height = self._footer.height_for(column)
            self._footer.setGeometry(x, y + 6, column, height)
            y += 6 + height
        return y

    def _caret_after_text(self) -> None:
        """Put the caret behind the last character."""
        leaves = list(self.leaves())
        if not leaves:
            self._caret.hide()
            return
        leaf = leaves[-1]
        cursor = QTextCursor(leaf.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        place = leaf.cursorRect(cursor)
        place.moveTopLeft(leaf.viewport().mapTo(self, place.topLeft()))
        edge = leaf.mapTo(self, QPoint(leaf.width(), 0)).x()
        place.moveLeft(min(place.left() + 2, edge - _CARET_WIDTH))
        self._place_caret(place)

    def _place_caret(self, place: QRect) -> None:
        height = 16
        y = place.top() + (place.height() - height) // 2
        self._caret.setGeometry(place.left(), y, _CARET_WIDTH, height)
        self._caret.show()
        self._caret.raise_()

    # Text

    def leaves(self) -> Iterator[Leaf]:
        """All texts, from the top."""
        if self._user is not None:
            yield from self._user.leaves()
        if self._reasoning is not None:
            yield from self._reasoning.leaves()
        yield from self._stack.leaves()

    def block_ranges(self) -> list[tuple[int, int, Block]]:
        """The first leaf, the end leaf and the block of each Markdown block."""
        start = sum(1 for _ in self._reasoning.leaves()) if self._reasoning else 0
        ranges = []
        for block, view in zip(self._stack.blocks, self._stack.views, strict=True):
            end = start + sum(1 for _ in view.leaves())
            ranges.append((start, end, block))
            start = end
        return ranges

    # Looks

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        theme = self._shared.theme
        colour_label(self._name, theme.dim)
        colour_label(self._waiting, theme.dim)
        self._stack.apply_theme()
        for part in (self._user, self._reasoning, self._footer, self._error):
            if part is not None:
                part.apply_theme()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The card of a user message."""
        if self._user is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._shared.theme.user))
        painter.drawRoundedRect(QRectF(self._column), CARD_RADIUS, CARD_RADIUS)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the quiet buttons."""
        self._reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide them again."""
        self._reveal(False)
        super().leaveEvent(event)

    def _reveal(self, revealed: bool) -> None:
        for part in (self._copy, self._footer):
            if part is not None:
                part.reveal(revealed)

    def _on_copy(self) -> None:
        if self._copy is not None:
            self._copy.copy(self.message.text)

    def _set_shown(self, characters: int) -> None:
        self._item.shown = characters
        self._dirty = True

    def _set_reasoning_open(self, opened: bool) -> None:
        self._item.reasoning_open = opened
        self._dirty = True


def _column_width(width: int) -> int:
    """The width of the text in a pane of `width` px."""
    return max(80, min(width - 2 * COLUMN_MARGIN, COLUMN_WIDTH))
