"""The parts of one message and where they stand: placed by hand, for one width at a time."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QEvent, QPoint, QRect, Qt
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QPainter,
    QPaintEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QLabel, QWidget

from qwen_desktop.chat.messages import Message, Status
from qwen_desktop.ui.theme import COLUMN_MARGIN, column_width, line_height, px, space
from qwen_desktop.ui.timeline.blocks import BlockStack
from qwen_desktop.ui.timeline.buttons import RevealButton, button_height
from qwen_desktop.ui.timeline.cards import DamageCard, EndCard, GapCard
from qwen_desktop.ui.timeline.caret import Caret, caret_width
from qwen_desktop.ui.timeline.footer import Footer
from qwen_desktop.ui.timeline.items import Item
from qwen_desktop.ui.timeline.labels import PinMark, advance, colour_label
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import Block, MarkdownTail
from qwen_desktop.ui.timeline.portions import Portions
from qwen_desktop.ui.timeline.reasoning import ReasoningView
from qwen_desktop.ui.timeline.shared import GAP, Shared
from qwen_desktop.ui.timeline.usercard import UserCard
from qwen_desktop.ui.timeline.versions import VersionSwitch

_NAME = 16  # px
_ABOVE = 12  # px above a message


class MessageParts(QWidget):
    """As wide as the pane. What the parts show is the business of the class that builds on it."""

    def __init__(self, shared: Shared, parent: QWidget, item: Item) -> None:
        super().__init__(parent)
        self._shared = shared
        self._item = item
        self._shown: tuple[Message, tuple[object, ...]] | None = None
        self._dirty = True
        self._chosen = False
        self._laid_out = (-1, 0)  # width, height
        self._name: QLabel | None = None
        self._pinned: PinMark | None = None
        self._stack = BlockStack(shared, self)
        self._tail: MarkdownTail | None = None
        self._portions: Portions | None = None
        self._shown_end = 0  # characters of the answer that are shown
        self._more: RevealButton | None = None
        self._reasoning: ReasoningView | None = None
        self._user: UserCard | None = None
        self._footer: Footer | None = None
        self._end: EndCard | None = None
        self._gap: GapCard | None = None
        self._damage: DamageCard | None = None
        self._waiting: QLabel | None = None
        self._caret: Caret | None = None
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

    @property
    def card(self) -> UserCard | None:
        """The card of a user message."""
        return self._user

    @property
    def versions(self) -> VersionSwitch | None:
        """The way to other versions, where there are some."""
        part = self._user or self._footer
        return part.versions if part is not None else None

    # Geometry

    def lay_out(self, width: int) -> int:
        """Place everything for `width` px; returns the height in px."""
        if self._dirty or self._laid_out[0] != width:
            self._dirty = False
            column = inner_width(width)
            x = (width - column) // 2
            y = space(_ABOVE)
            for card in (self._gap, self._damage):
                if card is not None and not card.isHidden():
                    height = card.height_for(column)
                    card.setGeometry(x, y, column, height)
                    y += height + space(_ABOVE)
            if self._user is not None:
                height = self._user.height_for(column)
                self._user.setGeometry(x, y, column, height)
                height += y
            else:
                height = self._lay_out_answer(x, y, column)
            self._laid_out = (width, height)
        return self._laid_out[1]

    def part_resized(self, part: QWidget) -> None:
        """A part wants another height."""
        if part is not self._reasoning:
            self._stack.forget(part)
        self._dirty = True

    @property
    def dirty(self) -> bool:
        """Whether a part changed its height since the last layout."""
        return self._dirty

    def _lay_out_answer(self, x: int, y: int, column: int) -> int:
        self._lay_out_name(x, y, column)
        y += px(_NAME) + space(6)
        if self._reasoning is not None:
            height = self._reasoning.height_for(column)
            self._reasoning.setGeometry(x, y, column, height)
            y += height + (space(GAP) if self._stack.views else 0)
        waiting = self._waiting is not None and not self._waiting.isHidden()
        if self._waiting is not None and waiting:
            inset = caret_width() + 8
            self._waiting.setGeometry(x + inset, y, column - inset, line_height())
            self._place_caret(QRect(x, y, 0, line_height()))
            y += line_height()
        y = self._stack.layout(x, y, column)
        if self._more is not None and not self._more.isHidden():
            size = self._more.sizeHint()
            self._more.setGeometry(x, y + space(GAP), size.width(), size.height())
            y += space(GAP) + size.height()
        if self.message.status is Status.STREAMING:
            if not waiting:
                self._caret_after_text()
            y += 6 + button_height()  # the footer's place, so that nothing moves at the end
        else:
            if self._caret is not None:
                self._caret.hide()
            y = self._lay_out_end(x, y, column)
        return y + 4

    def _lay_out_name(self, x: int, y: int, column: int) -> None:
        if self._name is None:
            return
        width = column
        if self._pinned is not None and not self._pinned.isHidden():
            mark = self._pinned.sizeHint().width()
            width = min(advance(self._name.text(), 600), column - mark - 10)
            self._pinned.setGeometry(x + width + 10, y, mark, px(_NAME))
        self._name.setGeometry(x, y, width, px(_NAME))

    def _lay_out_end(self, x: int, y: int, column: int) -> int:
        if self._end is not None and not self._end.isHidden():
            y += space(GAP) if self._stack.views or self._reasoning else 0
            height = self._end.height_for(column)
            self._end.setGeometry(x, y, column, height)
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
            if self._caret is not None:
                self._caret.hide()
            return
        leaf = leaves[-1]
        cursor = QTextCursor(leaf.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        place = leaf.cursorRect(cursor)
        place.moveTopLeft(leaf.viewport().mapTo(self, place.topLeft()))
        edge = leaf.mapTo(self, QPoint(leaf.width(), 0)).x()
        place.moveLeft(min(place.left() + 2, edge - caret_width()))
        self._place_caret(place)

    def _place_caret(self, place: QRect) -> None:
        if self._caret is None:
            self._caret = Caret(self._shared, self)
        height = px(16)
        y = place.top() + (place.height() - height) // 2
        self._caret.setGeometry(place.left(), y, caret_width(), height)
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

    @property
    def reasoning_is_open(self) -> bool:
        """Whether there is reasoning and its text is shown."""
        return self._reasoning is not None and self._reasoning.is_open

    @property
    def reasoning_end(self) -> int | None:
        """How much of open reasoning is shown, in characters; None for all of it."""
        return self._reasoning.shown_end if self._reasoning is not None else None

    @property
    def shown_end(self) -> int | None:
        """How much of a long answer is shown, in characters; None for all of it."""
        return self._shown_end if self._more is not None and not self._more.isHidden() else None

    @property
    def reasoning_leaves(self) -> int:
        """How many of the first leaves are of the reasoning."""
        return sum(1 for _ in self._reasoning.leaves()) if self._reasoning is not None else 0

    def block_ranges(self) -> list[tuple[int, int, Block]]:
        """The first leaf, the end leaf and the block of each Markdown block."""
        start = self.reasoning_leaves
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
        for label in (self._name, self._waiting):
            if label is not None:
                colour_label(label, theme.dim)
        self._stack.apply_theme()
        for part in (self._user, self._reasoning, self._footer, self._end, self._gap, self._damage):
            if part is not None:
                part.apply_theme()
        if self._pinned is not None:
            self._pinned.apply_theme(theme)
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the quiet buttons."""
        self._reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide them again."""
        self._reveal(self._chosen)
        super().leaveEvent(event)

    def set_chosen(self, chosen: bool) -> None:
        """Whether the keyboard is at this message: a line beside it, and its quiet buttons."""
        if chosen != self._chosen:
            self._chosen = chosen
            self._reveal(chosen or self.underMouse())
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The line beside a chosen message."""
        if self._chosen:
            painter = QPainter(self)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._shared.theme.accent))
            x = (self.width() - inner_width(self.width())) // 2 - 12
            painter.drawRect(x, _ABOVE, 2, max(0, self.height() - _ABOVE - 4))

    def _reveal(self, revealed: bool) -> None:
        for part in (self._user, self._footer):
            if part is not None:
                part.reveal(revealed)


def inner_width(width: int) -> int:
    """The width of the text in a pane of `width` px."""
    return max(80, min(width - 2 * COLUMN_MARGIN, column_width()))
