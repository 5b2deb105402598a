"""Widgets of Markdown blocks, and the stack that keeps them in step with the parser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui.theme import body_font, line_height, look, px, space
from qwen_desktop.ui.timeline.code import CodeBlock
from qwen_desktop.ui.timeline.leaf import INDENT, Leaf
from qwen_desktop.ui.timeline.markdown import Block
from qwen_desktop.ui.timeline.notes import NoteButton
from qwen_desktop.ui.timeline.shared import GAP, Shared, tell_resized
from qwen_desktop.ui.timeline.textblocks import MathBlock, TableBlock, TextBlock

_QUOTE_INDENT = 16
_DIM = ("quote", "note")
_WIDTH = 760  # px, until it is known
_TICK = (QPointF(3, 6.5), QPointF(5.5, 9), QPointF(10, 4))
_BULLETS = ("•", "◦")
_COPIED = {"•": "-", "◦": "-", "todo": "- [ ]", "done": "- [x]"}


class BlockView(Protocol):
    """What the stack needs of a widget."""

    def accepts(self, block: Block) -> bool:
        """Whether `block` can be shown by this widget."""

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`; `live` while more of it is expected."""

    def expect(self, width: int) -> None:
        """Get ready for `width` px before there is content: texts are laid out only once."""

    def height_for(self, width: int) -> int:
        """The height in px that `width` px need."""

    def leaves(self) -> Iterator[Leaf]:
        """The texts in it, from the top."""

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""

    def set_dim(self, dim: bool) -> None:
        """Show the text in the dimmer colour, or no longer."""

    def setGeometry(self, rect: QRect, /) -> None:
        """As QWidget."""

    def show(self) -> None:
        """As QWidget."""

    def hide(self) -> None:
        """As QWidget."""

    def deleteLater(self) -> None:
        """As QWidget."""


class RuleBlock(QWidget):
    """A horizontal line."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared

    def accepts(self, block: Block) -> bool:
        """Whether `block` can be shown by this widget."""
        return block.kind == "rule"

    def update_block(self, block: Block, live: bool) -> None:
        """Nothing varies."""

    def expect(self, width: int) -> None:
        """Nothing varies."""

    def height_for(self, _width: int) -> int:
        """A line with a little room."""
        return 9

    def set_dim(self, dim: bool) -> None:
        """Nothing varies."""

    def leaves(self) -> Iterator[Leaf]:
        """No text."""
        return iter(())

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The line."""
        QPainter(self).fillRect(0, 4, self.width(), 1, QColor(self._shared.theme.line))


class NestedBlock(QWidget):
    """Blocks in a block: a quote with its bar, a list, an item or a footnote with its marker."""

    def __init__(self, shared: Shared, parent: QWidget, kind: str, dim: bool) -> None:
        super().__init__(parent)
        self._shared = shared
        self._kind = kind
        self._marker = ""
        self._dim = dim
        indents = {"quote": px(_QUOTE_INDENT), "item": px(INDENT), "note": px(INDENT)}
        self._indent = indents.get(kind, 0)
        gap = space(6 if kind == "list" else GAP)
        self._stack = BlockStack(shared, self, dim or kind in _DIM, gap)
        self._button = NoteButton(shared, self) if kind == "note" else None

    def accepts(self, block: Block) -> bool:
        """Whether `block` can be shown by this widget."""
        return block.kind == self._kind

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`; only children that differ are touched."""
        self._marker = block.marker
        self._stack.sync(0, block.children, live)
        if self._button is not None:
            self._button.set_label(block.marker)
        first = next(self._stack.leaves(), None)
        if first is not None and block.marker:
            note = f"[^{block.marker}]:" if block.kind == "note" else block.marker
            first.prefix = _COPIED.get(block.marker, note) + " "
            self._name(first)
        self.update()

    def _name(self, first: Leaf) -> None:
        """Let screen readers know what is painted beside the text."""
        names = {"todo": self.tr("To do"), "done": self.tr("Done")}
        if self._kind == "note":
            first.setAccessibleName(self.tr("Footnote %1").replace("%1", self._marker))
        elif self._marker in names:
            first.setAccessibleName(names[self._marker])

    def expect(self, width: int) -> None:
        """Pass it on to the children to come."""
        self._stack.expect(max(40, width - self._indent))

    def height_for(self, width: int) -> int:
        """The height of the children."""
        if self._button is not None:
            self._button.setGeometry(0, 0, self._indent - px(2), line_height())
        height = self._stack.layout(self._indent, 0, max(40, width - self._indent))
        return max(height, line_height())

    def part_resized(self, part: QWidget) -> None:
        """A child wants another height, and so does this."""
        self._stack.forget(part)
        tell_resized(self)

    def leaves(self) -> Iterator[Leaf]:
        """The texts of all children."""
        return self._stack.leaves()

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        self._stack.apply_theme()
        self.update()

    def set_dim(self, dim: bool) -> None:
        """Show the text in the dimmer colour, or no longer; quotes and notes always have it."""
        self._dim = dim
        self._stack.set_dim(dim or self._kind in _DIM)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The bar or the marker."""
        theme = self._shared.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._kind == "quote":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent))
            painter.drawRoundedRect(QRectF(0, 0, 3, self.height()), 1.5, 1.5)
        elif self._marker in ("todo", "done"):
            self._paint_box(painter)
        elif self._marker in _BULLETS:
            self._paint_bullet(painter)
        elif self._marker and self._button is None:
            painter.setFont(body_font())
            painter.setPen(QColor(theme.dim if self._dim else theme.text))
            place = QRect(-8, 2, self._indent + 2, line_height())  # text sits low in its line
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(place, right, self._marker)

    def _paint_bullet(self, painter: QPainter) -> None:
        """As large as Qt draws those of plain lists, in any font."""
        colour = QColor(self._shared.theme.dim if self._dim else self._shared.theme.text)
        painter.setPen(QPen(colour, 1.2))
        painter.setBrush(colour if self._marker == "•" else Qt.BrushStyle.NoBrush)
        middle = QPointF(self._indent - px(10), line_height() / 2 + px(2))
        painter.drawEllipse(middle, px(5) / 2, px(5) / 2)

    def _paint_box(self, painter: QPainter) -> None:
        theme = self._shared.theme
        unit = look().zoom
        box = QRectF(2.5 * unit, 4.5 * unit, 13 * unit, 13 * unit)
        done = self._marker == "done"
        painter.setPen(QPen(QColor(theme.accent if done else theme.field_border), 1.2))
        painter.setBrush(QColor(theme.accent) if done else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 3, 3)
        if done:
            painter.setPen(QPen(QColor(theme.on_accent), 1.8))
            painter.drawPolyline([box.topLeft() + point * unit for point in _TICK])


class BlockStack:
    """A column of block widgets on a parent that it does not own."""

    def __init__(
        self, shared: Shared, parent: QWidget, dim: bool = False, gap: int | None = None
    ) -> None:
        self._shared = shared
        self._parent = parent
        self._dim = dim
        self._gap = space(GAP) if gap is None else gap
        self._width = px(_WIDTH)
        self.blocks: list[Block] = []
        self.views: list[BlockView] = []
        self._heights: list[int | None] = []
        self._live = False

    def sync(self, first: int, blocks: Sequence[Block], live: bool) -> None:
        """Show `blocks`, of which those before `first` are known to be unchanged.

        `live` says that the last one is still growing. Unchanged blocks keep their widget as it
        is; a block of another kind gets a new widget.
        """
        was_live, self._live = self._live, live
        last = len(self.blocks) - 1
        for index in range(max(0, min(first, last if was_live else first)), len(blocks)):
            growing = live and index == len(blocks) - 1
            block = blocks[index]
            if index >= len(self.blocks):
                self.blocks.append(block)
                self.views.append(self._build(block, growing))
                self._heights.append(None)
                continue
            settles = was_live and index == last and not growing
            if self.blocks[index] == block and not settles:
                continue
            self.blocks[index] = block
            self._heights[index] = None
            if self.views[index].accepts(block):
                self.views[index].update_block(block, growing)
            else:
                _discard(self.views[index])
                self.views[index] = self._build(block, growing)
        while len(self.views) > len(blocks):
            self.blocks.pop()
            self._heights.pop()
            _discard(self.views.pop())

    def forget(self, part: object) -> None:
        """Measure that widget anew at the next layout."""
        for index, view in enumerate(self.views):
            if view is part:
                self._heights[index] = None

    def expect(self, width: int) -> None:
        """Build new widgets for `width` px."""
        if not self.views:
            self._width = width

    def layout(self, x: int, y: int, width: int) -> int:
        """Place the widgets from `y` on; returns where the last one ends."""
        if width != self._width:
            self._width = width
            self._heights = [None] * len(self.views)
        for index, view in enumerate(self.views):
            if index:
                y += self._gap
            height = self._heights[index]
            if height is None:
                height = self._heights[index] = view.height_for(width)
            view.setGeometry(QRect(x, y, width, height))
            y += height
        return y

    def leaves(self) -> Iterator[Leaf]:
        """All texts, from the top."""
        for view in self.views:
            yield from view.leaves()

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        for view in self.views:
            view.apply_theme()

    def set_dim(self, dim: bool) -> None:
        """Show all texts in the dimmer colour, or no longer."""
        if dim != self._dim:
            self._dim = dim
            for view in self.views:
                view.set_dim(dim)

    def _build(self, block: Block, live: bool) -> BlockView:
        view = self._widget(block.kind)
        view.expect(self._width)
        view.update_block(block, live)
        if self._parent.isVisible():
            view.show()  # else it is shown with its parent, which is faster for many
        return view

    def _widget(self, kind: str) -> BlockView:
        if kind == "code":
            return CodeBlock(self._shared, self._parent, self._dim)
        if kind == "table":
            return TableBlock(self._shared, self._parent, self._dim)
        if kind == "math":
            return MathBlock(self._shared, self._parent, self._dim)
        if kind == "rule":
            return RuleBlock(self._shared, self._parent)
        if kind in ("quote", "list", "item", "note"):
            return NestedBlock(self._shared, self._parent, kind, self._dim)
        return TextBlock(self._shared, self._parent, kind, self._dim)


def _discard(view: BlockView) -> None:
    view.hide()
    view.deleteLater()
