"""One message: name, text, footer. Its widgets are placed by hand, for one width at a time."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QEvent, QLocale, QPoint, QRect, Qt
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QPainter,
    QPaintEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QLabel, QWidget

from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.ui.theme import COLUMN_MARGIN, column_width, line_height, px, space
from qwen_desktop.ui.timeline.blocks import BlockStack
from qwen_desktop.ui.timeline.buttons import RevealButton, button_height
from qwen_desktop.ui.timeline.cards import DamageCard, EndCard, GapCard
from qwen_desktop.ui.timeline.caret import Caret, caret_width
from qwen_desktop.ui.timeline.footer import Footer
from qwen_desktop.ui.timeline.items import Gap, Item
from qwen_desktop.ui.timeline.labels import PinMark, advance, colour_label, plain_label
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import Block, MarkdownTail, normalized, steady
from qwen_desktop.ui.timeline.offers import needs_card
from qwen_desktop.ui.timeline.portions import Portions
from qwen_desktop.ui.timeline.reasoning import ReasoningView
from qwen_desktop.ui.timeline.shared import GAP, Shared
from qwen_desktop.ui.timeline.usercard import UserCard
from qwen_desktop.ui.timeline.versions import VersionSwitch

_NAME = 16  # px
_ABOVE = 12  # px above a message


class MessageView(QWidget):
    """The widget of one message, as wide as the pane."""

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

    # Content

    def refresh(self, last: bool, width: int) -> None:
        """Show the item as it is now; costs nothing where nothing changed.

        `last`: nothing follows. `width`: of the pane in px, for which new blocks are built.
        """
        item = self._item
        editing = item.draft is not None
        folds = self._shared.collapse_reasoning
        state = (last, item.progress, item.versions, item.unseen, item.gap, editing, folds)
        if self._shown is not None and item.message is self._shown[0] and state == self._shown[1]:
            return
        self._shown = (item.message, state)
        self._dirty = True
        self._show_gap(item.gap)
        self._show_damage(item.message.damaged)
        if self.message.role is Role.USER:
            self._show_user(_column_width(width))
        else:
            self._stack.expect(_column_width(width))
            self._show_answer(last, _column_width(width))

    def _show_user(self, column: int) -> None:
        if self._user is None:
            self.setAccessibleName(self.tr("Your message"))
            self._user = UserCard(self._shared, self, self._item, self._on_changed)
            self._user.expect(column)
            self._user.reveal(self.underMouse())
            self._user.show()
        self._user.show_item()

    def _show_answer(self, last: bool, column: int) -> None:
        message = self.message
        stats = message.stats
        self._show_name((stats.model if stats else "") or "Qwen")
        self._show_pinned(message.pinned)
        self._stack.set_dim(self._item.unseen)
        live = message.status is Status.STREAMING
        text, reasoning = message.text, message.reasoning
        self._show_reasoning(reasoning, live and not text, column)
        source = normalized(text)
        if live:
            self._tail = self._tail or MarkdownTail()
            first = self._tail.feed(steady(source))
            self._stack.sync(first, self._tail.blocks, True)
        else:
            if self._tail is not None:
                self._item.shown = len(source)  # what was seen growing is not folded now
            # A whole parse at the end: a late link definition can change earlier blocks.
            self._tail = None
            self._show_portion(source)
        self._show_waiting(live and not text and not reasoning)
        self._show_end(live, last)

    def _show_portion(self, source: str) -> None:
        self._portions = self._portions or Portions()
        shown = self._portions.show(source, self._item.shown)
        self._stack.sync(0, shown.blocks, False)
        self._shown_end = shown.end
        left = len(source) - shown.end
        if left and self._more is None:
            self._more = RevealButton(self._shared, self)
            self._more.clicked.connect(self._on_more)
        if self._more is not None:
            self._more.show_left(left)

    def show_more(self) -> None:
        """Show another portion of a long answer; to be measured again."""
        self._item.shown = self._shown_end
        self._show_portion(normalized(self.message.text))
        self._dirty = True

    def _on_more(self) -> None:
        self.show_more()
        self._on_changed()

    def show_more_reasoning(self) -> None:
        """Show another portion of long reasoning; to be measured again."""
        if self._reasoning is not None:
            self._reasoning.show_more()
            self._dirty = True

    @property
    def reasoning_end(self) -> int | None:
        """How much of open reasoning is shown, in characters; None for all of it."""
        return self._reasoning.shown_end if self._reasoning is not None else None

    @property
    def shown_end(self) -> int | None:
        """How much of a long answer is shown, in characters; None for all of it."""
        return self._shown_end if self._more is not None and not self._more.isHidden() else None

    def _show_gap(self, gap: Gap | None) -> None:
        if gap is not None:
            if self._gap is None:
                self._gap = GapCard(self._shared, self)
            self._gap.show_gap(gap)
            self._gap.show()
        elif self._gap is not None:
            self._gap.hide()
            self._gap.deleteLater()
            self._gap = None

    def _show_damage(self, damaged: bool) -> None:
        if damaged and self._damage is None:
            self._damage = DamageCard(self._shared, self)
        if self._damage is not None:
            self._damage.setVisible(damaged)

    def _show_name(self, name: str) -> None:
        if self._name is None:
            self._name = plain_label(self, 600)
            colour_label(self._name, self._shared.theme.dim)
        if name != self._name.text():
            self._name.setText(name)
            self._name.show()
            self.setAccessibleName(self.tr("Answer by %1").replace("%1", name))

    def _show_pinned(self, pinned: bool) -> None:
        if pinned and self._pinned is None:
            self._pinned = PinMark(self)
            self._pinned.apply_theme(self._shared.theme)
        if self._pinned is not None:
            self._pinned.setVisible(pinned)

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
        opened = live or not self._shared.collapse_reasoning if chosen is None else chosen
        self._reasoning.show_text(reasoning, self.message.stats, live, opened)

    def _show_waiting(self, waiting: bool) -> None:
        if not waiting:
            if self._waiting is not None:
                self._waiting.hide()
            return
        if self._waiting is None:
            self._waiting = plain_label(self)
            colour_label(self._waiting, self._shared.theme.dim)
        self._waiting.show()
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
                self._footer.show_item(self._item, last)
        carded = needs_card(message, last)
        if carded and self._end is None:
            self._end = EndCard(self._shared, self)
        if self._end is not None:
            self._end.setVisible(carded)
            if carded:
                self._end.show_message(message, last)

    def refresh_enabled(self) -> None:
        """The model became free, or is no longer."""
        for part in (self._user, self._footer, self._end):
            if part is not None:
                part.refresh_enabled()

    # Editing

    @property
    def card(self) -> UserCard | None:
        """The card of a user message."""
        return self._user

    @property
    def versions(self) -> VersionSwitch | None:
        """The way to other versions, where there are some."""
        part = self._user or self._footer
        return part.versions if part is not None else None

    def store(self) -> None:
        """Keep in the item what only the widgets know: they go."""
        if self._user is not None:
            self._user.store()

    def _on_changed(self) -> None:
        """The card wants another height."""
        self._dirty = True
        self._shared.resized.emit()

    # Geometry

    def lay_out(self, width: int) -> int:
        """Place everything for `width` px; returns the height in px."""
        if self._dirty or self._laid_out[0] != width:
            self._dirty = False
            column = _column_width(width)
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
            x = (self.width() - _column_width(self.width())) // 2 - 12
            painter.drawRect(x, _ABOVE, 2, max(0, self.height() - _ABOVE - 4))

    def _reveal(self, revealed: bool) -> None:
        for part in (self._user, self._footer):
            if part is not None:
                part.reveal(revealed)

    def _set_reasoning_open(self, opened: bool) -> None:
        self._item.reasoning_open = opened
        self._dirty = True


def _column_width(width: int) -> int:
    """The width of the text in a pane of `width` px."""
    return max(80, min(width - 2 * COLUMN_MARGIN, column_width()))
