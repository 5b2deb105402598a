"""Blocks that are one text: paragraphs, headings and lists, formulas, tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QTextEdit, QWidget

from qwen_desktop.export.mathrules import formula
from qwen_desktop.ui.theme import px
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import Block
from qwen_desktop.ui.timeline.maths import Picture
from qwen_desktop.ui.timeline.pictured import DESCRIBED, PicturedText
from qwen_desktop.ui.timeline.scrollbar import THICKNESS, SlimBar
from qwen_desktop.ui.timeline.shared import Shared, rounded, style_sheet

_CELL = 26  # px of padding and border
_WIDEST = 14  # px of a wide character
_NARROWEST_COLUMN = 120  # px; a table that would need less scrolls sideways


class TextBlock(PicturedText):
    """Paragraph, heading, list of plain items; formulas stand in the lines as pictures."""

    def __init__(self, shared: Shared, parent: QWidget, kind: str, dim: bool) -> None:
        super().__init__(shared, parent, dim)
        self._kind = kind

    def accepts(self, block: Block) -> bool:
        """Whether `block` can be shown by this widget."""
        return block.kind == self._kind

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`."""
        self.set_html(block.html, live)
        self.has_links = "<a href=" in block.html
        focus = Qt.FocusPolicy.TabFocus if self.has_links else Qt.FocusPolicy.NoFocus
        self.setFocusPolicy(focus)

    def leaves(self) -> Iterator[Leaf]:
        """Itself."""
        yield self

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        super().apply_theme()
        self.document().setDefaultStyleSheet(style_sheet(self._shared.theme))
        if self._html:
            self._render()


class MathBlock(TextBlock):
    """A formula on lines of its own; a wide one scrolls sideways. Its source where it has none."""

    def __init__(self, shared: Shared, parent: QWidget, dim: bool) -> None:
        self._source = ""
        self._drawn: Picture | None = None
        super().__init__(shared, parent, "math", dim)
        self.scroll_sideways()
        self.apply_theme()

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`."""
        self._source = block.code
        super().update_block(block, live)
        said = formula(block.code)
        name = self.tr("Formula: %1").replace("%1", said.tex if said is not None else block.code)
        self.setAccessibleName(name[:DESCRIBED])

    def height_for(self, width: int) -> int:
        """The height of the picture or of the source."""
        drawn = self._drawn
        margin = 2 * math.ceil(self.document().documentMargin())
        room = width if drawn is None else max(width, math.ceil(drawn.width) + margin)
        self.expect(room)
        size = self.document().size()
        wide = room > width or math.ceil(size.width()) > width
        return math.ceil(size.height()) + (THICKNESS if wide else 0)

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        super().apply_theme()
        _colour_bar(self)

    def set_dim(self, dim: bool) -> None:
        """Show the formula in the dimmer colour, or no longer."""
        Leaf.set_dim(self, dim)
        self._render()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The box under a source."""
        if self._drawn is None:
            painter = QPainter(self.viewport())
            rounded(painter, self.viewport(), self._shared.theme.code, None)
            painter.end()
        super().paintEvent(event)

    def _render(self) -> None:
        self._waiting.clear()
        meant = formula(self._source)
        self._drawn = self._picture(meant) if meant is not None else None
        self.document().setDocumentMargin(4 if self._drawn is not None else 10)
        if self._drawn is None:
            self.formulas = []
            self.setHtml(self._html)
        else:
            height = self._drawn.ascent + self._drawn.depth
            alone = replace(self._drawn, ascent=height, depth=0.0)  # there is no other baseline
            pictures = self.drawn_pictures(0)
            self.formulas = [self._source]
            self.setHtml(f'<p align="center">{pictures.add(alone)}</p>')
            pictures.place(self.document(), 0, 0)
        self.paint_again()


class TableBlock(TextBlock):
    """A table; a wide one scrolls sideways."""

    def __init__(self, shared: Shared, parent: QWidget, dim: bool) -> None:
        super().__init__(shared, parent, "table", dim)
        self._widest = 0  # px that the table cannot exceed
        self.setAccessibleName(self.tr("Table"))
        self.scroll_sideways()
        self.apply_theme()

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`."""
        super().update_block(block, live)
        widths: dict[int, int] = {}
        for row in block.source.split("\n"):
            for column, cell in enumerate(row.split("|")):
                widths[column] = max(widths.get(column, 0), _CELL + px(_WIDEST) * len(cell))
        self._widest = sum(widths.values())

    def height_for(self, width: int) -> int:
        """The height at the natural width, or at the given one with wrapped cells."""
        if self._widest <= width:
            return super().height_for(width)
        columns = self._html.partition("</tr>")[0].count("<th")
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        natural = math.ceil(self.document().idealWidth())
        room = (
            width if natural <= width else max(width, min(natural, px(_NARROWEST_COLUMN) * columns))
        )
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        height = super().height_for(room)
        wide = math.ceil(self.document().size().width()) > width
        return height + (THICKNESS if wide else 0)

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        super().apply_theme()
        _colour_bar(self)


def _colour_bar(leaf: Leaf) -> None:
    bar = leaf.horizontalScrollBar()
    if isinstance(bar, SlimBar):
        bar.set_colour(leaf._shared.theme.field_border)
