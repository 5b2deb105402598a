"""Blocks that are one text: paragraphs, headings and lists, formulas, tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from html import unescape

from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QFontMetrics,
    QPainter,
    QPaintEvent,
    QPyTextObject,
    QTextDocument,
    QTextFormat,
)
from PySide6.QtWidgets import QTextEdit, QWidget

from qwen_desktop.export.mathrules import Formula, formula
from qwen_desktop.ui.theme import Look, body_font, look, px
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import Block
from qwen_desktop.ui.timeline.maths import Picture, Wanted
from qwen_desktop.ui.timeline.scrollbar import THICKNESS, SlimBar
from qwen_desktop.ui.timeline.shared import Shared, rounded, style_sheet, tell_resized

_MATH = re.compile(r'<code class="math">(.*?)</code>', re.DOTALL)
_LETTERS = 16  # px, height of a formula's letters; 14 px of text look as large
_DEPTH = 5  # px below the baseline for which a line has room
_DESCRIBED = 2_000  # characters of a text that screen readers are given with its formulas
_CELL = 26  # px of padding and border
_WIDEST = 14  # px of a wide character
_NARROWEST_COLUMN = 120  # px; a table that would need less scrolls sideways


@lru_cache(maxsize=4)
def _half_x(_look: Look) -> float:
    """Half the height of an "x" in the text, in px."""
    return QFontMetrics(body_font()).xHeight() / 2


class _Pictures(QPyTextObject):
    """Draws the pictures of one document, each on the baseline of its line."""

    def __init__(self, parent: TextBlock) -> None:
        super().__init__(parent)
        self._ratio = 1.0
        self._pictures: list[Picture] = []

    def clear(self, ratio: float) -> None:
        """Before other pictures; `ratio`: pixels of the screen per px."""
        self._ratio = ratio
        self._pictures = []

    def add(self, picture: Picture) -> str:
        """The HTML for a picture within a line."""
        self._pictures.append(picture)
        number, width = len(self._pictures) - 1, math.ceil(picture.width)
        height, style = math.ceil(picture.ascent), ""
        if picture.depth > px(_DEPTH):
            # Qt gives such a line half of the height below the baseline, but for half an "x".
            half = _half_x(look())
            height = math.ceil(max(2 * picture.depth + half, 2 * picture.ascent - half))
            style = "vertical-align:middle"
        size = f'width="{width}" height="{max(1, height)}"'
        return f'<img src="math:{number}" {size} style="{style}">'

    def intrinsicSize(self, _document: QTextDocument, _at: int, form: QTextFormat) -> QSizeF:
        """The room in the line."""
        image = form.toImageFormat()
        return QSizeF(image.width(), image.height())

    def drawObject(
        self,
        painter: QPainter,
        rect: QRectF | QRect,
        document: QTextDocument,
        at: int,
        form: QTextFormat,
    ) -> None:
        """The picture, wherever Qt would put it within the line."""
        number = form.toImageFormat().name().removeprefix("math:")
        if not number.isdecimal() or int(number) >= len(self._pictures):
            return
        picture = self._pictures[int(number)]
        block = document.findBlock(at)
        line = block.layout().lineForTextPosition(at - block.position())
        top = document.documentLayout().blockBoundingRect(block).top()
        baseline = top + line.y() + line.ascent()
        size = QSizeF(picture.width, picture.ascent + picture.depth)
        place = QPointF(self._snapped(rect.x()), self._snapped(baseline) - picture.ascent)
        painter.drawImage(QRectF(place, size), picture.image)

    def _snapped(self, length: float) -> float:
        """At the edge of a pixel, or the picture would be blurred."""
        return round(length * self._ratio) / self._ratio


class TextBlock(Leaf):
    """Paragraph, heading, list of plain items; formulas stand in the lines as pictures."""

    def __init__(self, shared: Shared, parent: QWidget, kind: str, dim: bool) -> None:
        super().__init__(shared, parent, dim)
        self._kind = kind
        self._html = ""
        self._waiting: set[Wanted] = set()  # formulas that are being drawn
        self._listens = False
        self._formula_width = 0.0  # px of the widest formula
        self._pictures: _Pictures | None = None

    def accepts(self, block: Block) -> bool:
        """Whether `block` can be shown by this widget."""
        return block.kind == self._kind

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`."""
        self._html = block.html
        self._render()
        self.has_links = "<a href=" in self._html
        focus = Qt.FocusPolicy.TabFocus if self.has_links else Qt.FocusPolicy.NoFocus
        self.setFocusPolicy(focus)

    def expect(self, width: int) -> None:
        """Get ready for `width` px; a formula that is wider shows its source, which wraps."""
        before = self.lineWrapColumnOrWidth()
        super().expect(width)
        widest = getattr(self, "_formula_width", 0)  # called by the base class too
        if widest and (widest > before) != (widest > width):
            self._render()

    def leaves(self) -> Iterator[Leaf]:
        """Itself."""
        yield self

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        super().apply_theme()
        self.document().setDefaultStyleSheet(style_sheet(self._shared.theme))
        if getattr(self, "_html", ""):  # called by the base class too
            self._render()

    def set_dim(self, dim: bool) -> None:
        """Show the text in the dimmer colour, or no longer."""
        changed = dim != self._dim
        super().set_dim(dim)
        if changed and _MATH.search(self._html):
            self._render()

    def _render(self) -> None:
        html = self._html
        if '<code class="math">' in html:
            html = self._with_pictures(html)
        elif self.formulas:
            self.formulas = ()
            self.setAccessibleDescription("")
        self.setHtml(html)
        if self.formulas:
            self.setAccessibleDescription(self.text_between(0, self.length)[:_DESCRIBED])
        if self._selected[1] or self.marks:
            self.highlight(*self._selected)

    # Formulas

    def _with_pictures(self, html: str) -> str:
        """`html` with a picture for each formula that has one."""
        sources: list[str] = []
        self._waiting.clear()
        self._formula_width = 0.0
        room = self.lineWrapColumnOrWidth()
        pictures = self._fresh_pictures()

        def replaced(found: re.Match[str]) -> str:
            source = unescape(found[1])
            meant = formula(source)
            picture = self._picture(meant) if meant is not None else None
            if picture is None:
                return found[0]
            self._formula_width = max(self._formula_width, picture.width)
            if picture.width > room:
                return found[0]
            sources.append(source)
            return pictures.add(picture)

        html = _MATH.sub(replaced, html)
        self.formulas = sources
        return html

    def _fresh_pictures(self) -> _Pictures:
        if self._pictures is None:
            self._pictures = _Pictures(self)
            kind = QTextFormat.ObjectTypes.ImageObject.value
            self.document().documentLayout().registerHandler(kind, self._pictures)
        self._pictures.clear(self.devicePixelRatioF())
        return self._pictures

    def _picture(self, meant: Formula) -> Picture | None:
        """How a formula looks; None while it is being drawn, and where it cannot be."""
        theme = self._shared.theme
        wanted = Wanted(
            meant,
            px(_LETTERS),
            theme.dim if self._dim else theme.text,
            self.devicePixelRatioF(),
        )
        picture = self._shared.maths.picture(wanted)
        if picture is None and not self._shared.maths.is_known(wanted):
            self._waiting.add(wanted)
            if not self._listens:
                self._listens = True
                self._shared.maths.drawn.connect(self._on_drawn)
        return picture

    def _on_drawn(self) -> None:
        if any(self._shared.maths.is_known(wanted) for wanted in self._waiting):
            self._render()
            tell_resized(self)
        if not self._waiting and self._listens:
            self._listens = False
            self._shared.maths.drawn.disconnect(self._on_drawn)


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
        self.setAccessibleName(name[:_DESCRIBED])

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
            self.formulas = ()
            self.setHtml(self._html)
        else:
            self.formulas = (self._source,)
            height = self._drawn.ascent + self._drawn.depth
            alone = replace(self._drawn, ascent=height, depth=0.0)  # there is no other baseline
            picture = self._fresh_pictures().add(alone)
            self.setHtml(f'<p align="center">{picture}</p>')
        if self._selected[1] or self.marks:
            self.highlight(*self._selected)


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
