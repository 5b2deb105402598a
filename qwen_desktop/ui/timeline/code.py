"""A code block: language, Wrap, Save as, Copy; lines that wrap only when that is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from PySide6.QtCore import QEvent
from PySide6.QtGui import (
    QEnterEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlockFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QTextEdit, QWidget

from qwen_desktop.ui.theme import code_font, code_line_height, px
from qwen_desktop.ui.timeline.buttons import CopyButton, TextButton, ToggleButton, button_height
from qwen_desktop.ui.timeline.filenames import suggested_name
from qwen_desktop.ui.timeline.highlight import Highlighter
from qwen_desktop.ui.timeline.labels import colour_label, plain_label
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import Block
from qwen_desktop.ui.timeline.scrollbar import THICKNESS, SlimBar
from qwen_desktop.ui.timeline.shared import Shared, rounded, tell_resized

_HEADER = 32  # px
_SIDE = 14
_TOP = 8


class CodeBlock(QWidget):
    """Grows at its end while it is streamed, and is coloured as it grows."""

    def __init__(self, shared: Shared, parent: QWidget, dim: bool = False) -> None:
        super().__init__(parent)
        self._shared = shared
        self._code = ""
        self._language = ""
        self._live = False
        self._dim = dim
        self._label = plain_label(self)
        self._copy = CopyButton(shared, self, self.tr("Copy code"))
        self._copy.clicked.connect(self._on_copy)
        self._save = TextButton(shared, self, self.tr("Save as…"), self.tr("Save code as…"))
        self._save.clicked.connect(self._on_save)
        self._wrap = ToggleButton(shared, self, self.tr("Wrap"), self.tr("Wrap lines"))
        self._wrap.toggled.connect(self._on_wrap)
        self._wrap.hide()  # until a line is too long
        self._quiet = (self._wrap, self._save)
        for button in self._quiet:
            button.set_quiet(True)
            button.reveal(False)
        self.body = Leaf(shared, self, dim)
        self.body.setFont(code_font())
        self.body.document().setDefaultFont(code_font())
        self.body.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.body.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.body.scroll_sideways()
        self.body.horizontalScrollBar().rangeChanged.connect(self._offer_wrap)
        self.body.setAccessibleName(self.tr("Code"))
        self._spacing = QTextBlockFormat()
        self._spacing.setLineHeight(
            code_line_height(), QTextBlockFormat.LineHeightTypes.FixedHeight.value
        )
        self._highlighter = Highlighter(self.body.document(), shared.theme.syntax, self)
        self._reset("")
        self.apply_theme()

    @property
    def code(self) -> str:
        """What is shown, without the last line end."""
        return self._code

    @property
    def colouring(self) -> bool:
        """Whether colours are still being worked out."""
        return self._highlighter.pending

    def accepts(self, block: Block) -> bool:
        """Whether `block` can be shown by this widget."""
        return block.kind == "code"

    def update_block(self, block: Block, live: bool) -> None:
        """Show `block`; `live` while more of it is expected."""
        code = block.code.removesuffix("\n")
        settled = self._live and not live
        self._live = live
        self._label.setText(block.language or self.tr("text"))
        self._language = block.language
        self._highlighter.set_language("" if self._dim else block.language)
        grown = code.startswith(self._code) and bool(self._code)
        if grown and len(code) > len(self._code):
            cursor = QTextCursor(self.body.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(code[len(self._code) :])
            self._code = code
        elif not grown:
            self._reset(code)
        if live:
            self._highlighter.grown()
        elif settled or not grown:
            self._highlighter.everything()

    def expect(self, width: int) -> None:
        """Lines that do not wrap are the same at any width."""
        if self._wrap.isChecked():
            self.body.expect(max(40, width - 2 * _SIDE))

    def height_for(self, width: int) -> int:
        """Header, lines, and room for the bar."""
        self.resize(width, self.height())
        if self._wrap.isChecked():
            self.expect(width)
            height = math.ceil(self.body.document().size().height())
        else:
            height = self.body.document().blockCount() * code_line_height()
        return px(_HEADER) + _TOP + height + THICKNESS

    def leaves(self) -> Iterator[Leaf]:
        """The code."""
        yield self.body

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        theme = self._shared.theme
        colour_label(self._label, theme.dim)
        self.body.apply_theme()
        bar = self.body.horizontalScrollBar()
        if isinstance(bar, SlimBar):
            bar.set_colour(theme.field_border)
        self._highlighter.set_style(theme.syntax)
        self.update()

    def set_dim(self, dim: bool) -> None:
        """One dimmer colour instead of many, or no longer."""
        self._dim = dim
        self.body.set_dim(dim)
        self._highlighter.set_language("" if dim else self._language)
        if dim:
            self._highlighter.clear()
        else:
            self._highlighter.everything()

    def resizeEvent(self, _event: QResizeEvent) -> None:
        """Header above, code below."""
        width, header, height = self.width(), px(_HEADER), button_height()
        right = width - 6
        for button in (self._copy, self._wrap, self._save):
            size = button.sizeHint().width()
            right -= size
            button.setGeometry(right, (header - height) // 2, size, height)
        self._label.setGeometry(_SIDE, 0, max(0, right - _SIDE), header)
        top = header + _TOP
        self.body.setGeometry(_SIDE, top, max(0, width - 2 * _SIDE), max(0, self.height() - top))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The box and the line under its header."""
        painter = QPainter(self)
        rounded(painter, self, self._shared.theme.code, self._shared.theme.line)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.drawLine(1, px(_HEADER), self.width() - 2, px(_HEADER))

    def _reset(self, code: str) -> None:
        self._code = code
        self.body.clear()
        cursor = QTextCursor(self.body.document())
        cursor.setBlockFormat(self._spacing)
        cursor.insertText(code)
        # The widget's own cursor went along with the text, and the view with it.
        self.body.setTextCursor(QTextCursor(self.body.document()))
        self.body.horizontalScrollBar().setValue(0)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the quiet buttons."""
        for button in self._quiet:
            button.reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide them again."""
        for button in self._quiet:
            button.reveal(False)
        super().leaveEvent(event)

    def _offer_wrap(self, _minimum: int, maximum: int) -> None:
        self._wrap.setVisible(maximum > 0 or self._wrap.isChecked())

    def _on_wrap(self, wraps: bool) -> None:
        modes = QTextEdit.LineWrapMode
        self._wrap.set_quiet(not wraps)
        self.body.setLineWrapMode(modes.FixedPixelWidth if wraps else modes.NoWrap)
        tell_resized(self)
        self._shared.resized.emit()

    def _on_save(self) -> None:
        self._shared.save_requested.emit(suggested_name(self._language), self._code + "\n")

    def _on_copy(self) -> None:
        self._copy.copy(self._code)
