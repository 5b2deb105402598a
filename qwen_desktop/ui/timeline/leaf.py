"""The text widget under every block: reads nothing, scrolls nothing, leaves the mouse alone.

Mouse, wheel and most keys belong to the timeline, which selects across blocks and messages.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPalette,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
    QTextListFormat,
    QTextTable,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QTextEdit, QWidget

from qwen_desktop.ui.theme import line_height, px
from qwen_desktop.ui.timeline.markdown import NOTE, web_address
from qwen_desktop.ui.timeline.scrollbar import SlimBar
from qwen_desktop.ui.timeline.shared import Shared

INDENT = 24  # px of a list level
PICTURE = "\ufffc"  # stands for a picture in the text of a document
SOFT = 1  # state of a block of Qt's that ends where a line does: the text goes on in the next
TINT = QTextFormat.Property.UserProperty.value + 1  # of a picture: the colour behind it
_TAB = 32  # px


def _nothing() -> QImage:
    """An invisible picture: with None, Qt asks again at each layout."""
    image = QImage(1, 1, QImage.Format.Format_ARGB32)
    image.fill(0)
    return image


class Leaf(QTextBrowser):
    """A run of read-only text with a given width and the height that follows from it."""

    def __init__(self, shared: Shared, parent: QWidget, dim: bool = False) -> None:
        super().__init__(parent)
        self._shared = shared
        self._dim = dim
        self._selected = (0, 0)
        self.marks: Sequence[tuple[int, int]] = ()  # what was searched for, as [begin, end)
        self._mark = -1  # which of them is gone to
        self.has_links = False
        self.prefix = ""  # painted elsewhere but copied with the text: the marker of a list item
        self.formulas: Sequence[str] = ()  # sources of the pictures in it, from the top
        self.joint = "\n"  # between this and the next text of the same block, when copied
        document = self.document()  # its own: another one costs a third of the building
        document.setDocumentMargin(0)
        document.setUndoRedoEnabled(False)
        document.setIndentWidth(px(INDENT))
        self.setTabStopDistance(px(_TAB))
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # A fixed width, as a hidden text widget would lay out for its unset viewport.
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        self.viewport().setAutoFillBackground(False)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByKeyboard)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.viewport().setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.setAcceptDrops(False)
        self.viewport().setMouseTracking(True)
        self.apply_theme()

    # Content

    def set_plain(self, text: str) -> None:
        """Show `text` as it is, with its line breaks."""
        self.clear()
        spacing = QTextBlockFormat()
        spacing.setLineHeight(line_height(), QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor = QTextCursor(self.document())
        cursor.setBlockFormat(spacing)
        cursor.insertText(text)

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        theme = self._shared.theme
        palette = QPalette(self.palette())
        palette.setColor(QPalette.ColorRole.Text, QColor(theme.dim if self._dim else theme.text))
        palette.setColor(QPalette.ColorRole.Highlight, QColor(theme.accent))
        palette.setColor(QPalette.ColorRole.HighlightedText, QColor(theme.on_accent))
        self.setPalette(palette)
        self.paint_again()

    def set_dim(self, dim: bool) -> None:
        """Show the text in the dimmer colour, or no longer."""
        if dim != self._dim:
            self._dim = dim
            Leaf.apply_theme(self)  # the palette alone: nothing is laid out again

    def expect(self, width: int) -> None:
        """Get ready for `width` px, so that the text is laid out for it at once."""
        if self.lineWrapColumnOrWidth() != width:
            self.setLineWrapColumnOrWidth(width)

    def height_for(self, width: int) -> int:
        """The height of the text in `width` px."""
        self.expect(width)
        return math.ceil(self.document().size().height())

    def loadResource(self, _kind: int, _name: QUrl | str) -> object:
        """Nothing, whatever the document asks for: no file and no address is ever opened."""
        return _nothing()

    # Selection

    @property
    def length(self) -> int:
        """The number of positions, less one: the largest position."""
        return self.document().characterCount() - 1

    def highlight(self, begin: int, end: int) -> None:
        """Show [begin, end) as selected."""
        end = min(end, self.length)
        before, self._selected = self._selected, (begin, end) if begin < end else (0, 0)
        if before != self._selected:
            self._paint_over()

    def paint_again(self) -> None:
        """Show marks and selection in another text, or in other colours."""
        if self._selected[1] or self.marks:
            self.highlight(*self._selected)  # there may be less than before
            self._paint_over()

    def mark(self, marks: Sequence[tuple[int, int]], now: int) -> None:
        """Mark what was searched for; `now`: the number of the one that is gone to, or -1."""
        if marks or self.marks:
            self.marks, self._mark = marks, now
            self._paint_over()

    def _paint_over(self) -> None:
        """Draw marks and selection behind the letters; nothing is laid out again."""
        theme = self._shared.theme
        looks: list[QTextEdit.ExtraSelection] = []
        for number, span in enumerate(self.marks):
            if number != self._mark:
                looks += self._mark_looks(span, theme.found)
        if 0 <= self._mark < len(self.marks):
            # Over the others, which in a formula are at the same place.
            looks += self._mark_looks(self.marks[self._mark], theme.found_now)
        if self._selected[1]:
            looks.append(self._look(self._selected, theme.accent, theme.on_accent))
        self.setExtraSelections(looks)

    def picture_places(self) -> Sequence[int]:
        """The positions of the pictures, from the top."""
        return ()

    def _mark_looks(self, span: tuple[int, int], colour: str) -> list[QTextEdit.ExtraSelection]:
        """How a mark looks: pictures have the colour behind them, over which Qt would lay it."""
        begin, end = span
        if end > self.length:
            return []
        places, looks = self.picture_places(), []
        for number in range(bisect_left(places, begin), bisect_left(places, end)):
            at = places[number]
            if begin < at:
                looks.append(self._look((begin, at), colour, self._shared.theme.text))
            picture = self._look((at, at + 1), colour, self._shared.theme.text)
            letters = QTextCharFormat()
            letters.setProperty(TINT, QColor(colour))
            picture.format = letters
            looks.append(picture)
            begin = at + 1
        if begin < end:
            looks.append(self._look((begin, end), colour, self._shared.theme.text))
        return looks

    def _look(
        self, span: tuple[int, int], background: str, foreground: str
    ) -> QTextEdit.ExtraSelection:
        look = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.document())
        cursor.setPosition(span[0])
        cursor.setPosition(span[1], QTextCursor.MoveMode.KeepAnchor)
        letters = QTextCharFormat()
        letters.setBackground(QColor(background))
        letters.setForeground(QColor(foreground))
        look.cursor = cursor
        look.format = letters
        return look

    def text_between(self, begin: int, end: int) -> str:
        """The text of [begin, end) with list markers, table cells parted by tabs."""
        end = min(end, self.length)
        if begin >= end:
            return ""
        cursor = QTextCursor(self.document())
        cursor.setPosition(min(begin + 1, self.length))
        table = cursor.currentTable()
        text = _table_text(table, begin, end) if table else _lines_text(self, begin, end)
        if self.formulas:
            text = self._with_sources(text, begin)
        return (self.prefix if begin == 0 else "") + text

    def _with_sources(self, text: str, begin: int) -> str:
        """`text`, which begins at that position, with the sources of its formulas."""
        raw = self.raw_text()
        number = raw[: _index(raw, begin)].count(PICTURE)
        first, *others = text.split(PICTURE)
        sources = self.formulas[number:]
        return first + "".join(
            source + piece for source, piece in zip(sources, others, strict=False)
        )

    def range_at(self, position: int, kind: QTextCursor.SelectionType) -> tuple[int, int]:
        """The word or paragraph around `position`."""
        cursor = QTextCursor(self.document())
        cursor.setPosition(min(position, self.length))
        cursor.select(kind)
        begin, end = cursor.selectionStart(), cursor.selectionEnd()
        if kind is QTextCursor.SelectionType.BlockUnderCursor:
            begin, end = self._whole_paragraph(begin, end)
        return begin, end

    def _whole_paragraph(self, begin: int, end: int) -> tuple[int, int]:
        """The paragraph of which a block of Qt's was found."""
        block = self.document().findBlock(end)
        while block.isValid() and block.userState() == SOFT:
            block = block.next()
            end = block.position() + block.length() - 1
        block = self.document().findBlock(begin + 1).previous()
        while block.isValid() and block.userState() == SOFT:
            begin = max(0, block.position() - 1)
            block = block.previous()
        return begin, end

    def raw_text(self) -> str:
        """The text as it is in the document, position by position, in UTF-16 units.

        Paragraphs and cells end with a sign that is no letter; pictures are `PICTURE`.
        """
        text = self.document().toRawText()
        block = self.document().begin()
        if block.userState() != SOFT:
            return text
        parts = []
        while block.isValid():
            parts.append(block.text() + (" " if block.userState() == SOFT else ""))
            block = block.next()
        return "".join(parts)

    # What belongs to the timeline

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The timeline's."""
        event.ignore()

    mouseReleaseEvent = mousePressEvent
    mouseDoubleClickEvent = mousePressEvent

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The timeline's, but for the shape of the pointer."""
        if event.buttons() == Qt.MouseButton.NoButton:
            link = bool(self.anchorAt(event.position().toPoint()))
            shape = Qt.CursorShape.PointingHandCursor if link else Qt.CursorShape.IBeamCursor
            if self.viewport().cursor().shape() != shape:
                self.viewport().setCursor(shape)
        event.ignore()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The timeline's, but sideways where there is something to see."""
        bar = self.horizontalScrollBar()
        delta = event.pixelDelta().x() or event.angleDelta().x() // 2
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier and not delta:
            delta = event.angleDelta().y() // 2
        if delta and bar.maximum() > 0:
            bar.setValue(bar.value() - delta)
            event.accept()
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter follows a focused link, left and right scroll; the rest is the timeline's."""
        bar = self.horizontalScrollBar()
        step = {Qt.Key.Key_Left: -40, Qt.Key.Key_Right: 40}.get(Qt.Key(event.key()))
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._follow()
        elif step and bar.maximum() > 0:
            bar.setValue(bar.value() + step)
        else:
            event.ignore()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """With Tab, go to the first link at once, with Shift+Tab to the last."""
        super().focusInEvent(event)
        forward = event.reason() == Qt.FocusReason.TabFocusReason
        if self.has_links and (forward or event.reason() == Qt.FocusReason.BacktabFocusReason):
            cursor = QTextCursor(self.document())
            if not forward:
                cursor.movePosition(QTextCursor.MoveOperation.End)
            self.setTextCursor(cursor)
            super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Leave no link marked behind."""
        super().focusOutEvent(event)
        cursor = self.textCursor()
        if cursor.hasSelection():
            cursor.clearSelection()
            self.setTextCursor(cursor)

    def minimumSizeHint(self) -> QSize:
        """As small as its text."""
        return QSize(0, 0)

    def scroll_sideways(self) -> None:
        """Show a bar, and take the focus, where lines are wider than the widget."""
        bar = SlimBar(Qt.Orientation.Horizontal, self)
        self.setHorizontalScrollBar(bar)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        bar.rangeChanged.connect(self._wide)

    def _wide(self, _minimum: int, maximum: int) -> None:
        wide = maximum > 0
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus if wide else Qt.FocusPolicy.NoFocus)

    def _follow(self) -> None:
        """Follow the link that has the keyboard's focus."""
        self.follow(self.textCursor().charFormat().anchorHref())

    def follow(self, link: str) -> None:
        """Follow a link of this text: to the web, if the reader agrees, or to a footnote."""
        if link.startswith(NOTE):
            self._shared.note_requested.emit(self, link.removeprefix(NOTE))
        elif web_address(link):
            self._shared.link_activated.emit(QUrl(link))


def _lines_text(leaf: Leaf, begin: int, end: int) -> str:
    text = joint = ""
    block = leaf.document().findBlock(begin)
    while block.isValid() and block.position() <= end:
        start = max(0, begin - block.position())
        line = block.text()
        line = line[_index(line, start) : _index(line, end - block.position())]
        items = block.textList()
        if items is not None and start == 0:
            symbol = items.itemText(block) if _numbered(items.format()) else "-"
            line = f"{'  ' * (items.format().indent() - 1)}{symbol} {line}"
        text += joint + line.replace("\u2028", "\n").replace("\u00a0", " ")
        joint = " " if block.userState() == SOFT else "\n"
        block = block.next()
    return text


def _numbered(form: QTextListFormat) -> bool:
    return form.style() in (
        QTextListFormat.Style.ListDecimal,
        QTextListFormat.Style.ListLowerAlpha,
        QTextListFormat.Style.ListUpperAlpha,
        QTextListFormat.Style.ListLowerRoman,
        QTextListFormat.Style.ListUpperRoman,
    )


def _index(text: str, units: int) -> int:
    """Where `units` UTF-16 units, which Qt counts, end in a Python string."""
    if units <= 0 or text.isascii():
        return max(0, units)
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "ignore"))


def _table_text(table: QTextTable, begin: int, end: int) -> str:
    rows = []
    for row in range(table.rows()):
        cells = []
        for column in range(table.columns()):
            cell = table.cellAt(row, column)
            low, high = cell.firstPosition(), cell.lastPosition()
            if high < begin or low >= end:
                continue
            cursor = cell.firstCursorPosition()
            cursor.setPosition(max(low, begin))
            cursor.setPosition(min(high, end), QTextCursor.MoveMode.KeepAnchor)
            cells.append(cursor.selection().toPlainText().replace("\n", " "))
        if cells:
            rows.append("\t".join(cells))
    return "\n".join(rows)
