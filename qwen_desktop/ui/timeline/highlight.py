"""Colours of code, by Pygments, in slices short enough that the window never waits.

Pygments takes 4 ms per 1,000 characters. It is imported at the first code block.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QColor, QFont, QTextBlock, QTextCharFormat, QTextDocument, QTextLayout

if TYPE_CHECKING:
    from pygments.lexer import Lexer

_SLICE = 0.004  # seconds
_TAIL_SLICE = 0.003  # while code grows; its text is laid out in the same moment
_BETWEEN = 25  # ms between two of these
_THROTTLE = 150  # ms between two looks at the end of growing code
_TAIL = 30  # lines that are looked at again
_LONGEST = 300_000  # characters; longer code stays in one colour
_LONGEST_LINE = 5_000  # a lexer may take seconds for what it cannot make out of one


class _Allowance:
    """How much may be coloured at once where many blocks appear together."""

    def __init__(self) -> None:
        self._begin = 0.0
        self._uses = 0

    def left(self) -> bool:
        """Whether a block may be begun without waiting for its turn."""
        if time.perf_counter() - self._begin > 0.1:
            self._begin, self._uses = time.perf_counter(), 0
        return self._uses < 2

    def spend(self) -> None:
        """A block was begun."""
        self._uses += 1


_allowance = _Allowance()


class Highlighter(QObject):
    """Colours one document, which it never changes otherwise."""

    def __init__(self, document: QTextDocument, style: str, parent: QObject) -> None:
        super().__init__(parent)
        self._document = document
        self._style = style
        self._language = ""
        self._work: Iterator[None] | None = None
        self._tail_only = False  # it is about the end of growing code, and may wait
        self._slices = QTimer(self)
        self._slices.setSingleShot(True)
        self._slices.timeout.connect(self._go_on)
        self._tail = QTimer(self)
        self._tail.setSingleShot(True)
        self._tail.setInterval(_THROTTLE)
        self._tail.timeout.connect(self._look_at_tail)

    @property
    def pending(self) -> bool:
        """Whether some of the code still waits for its colours."""
        return self._work is not None or self._tail.isActive()

    def set_language(self, language: str) -> None:
        """The name after the fence."""
        self._language = language

    def set_style(self, style: str) -> None:
        """Another Pygments style; colours everything again."""
        self._style = style
        self.everything()

    def everything(self) -> None:
        """Colour the whole document, mostly the first few milliseconds of it at once."""
        self._tail.stop()
        self._start(self._document.firstBlock())

    def clear(self) -> None:
        """Take all colours away."""
        self._tail.stop()
        self._slices.stop()
        self._work = None
        block = self._document.firstBlock()
        while block.isValid():
            block.layout().clearFormats()
            block.setUserState(-1)
            block = block.next()
        self._document.markContentsDirty(0, self._document.characterCount())

    def grown(self) -> None:
        """Text was added at the end: look at the last lines soon."""
        if not self._tail.isActive() and find_lexer(self._language) is not None:
            self._tail.start()

    def _look_at_tail(self) -> None:
        block = self._document.lastBlock()
        for _ in range(_TAIL):
            if block.previous().isValid():
                block = block.previous()
        # A line that starts at the margin is likely to start outside of strings and comments.
        while block.previous().isValid() and (not block.text() or block.text()[0].isspace()):
            block = block.previous()
        self._start(block, tail=True)

    def _start(self, block: QTextBlock, *, tail: bool = False) -> None:
        self._work, self._tail_only = None, tail
        lexer = find_lexer(self._language)
        if lexer is None or self._document.characterCount() > _LONGEST:
            return
        self._work = self._colour(lexer, block)
        if _allowance.left():
            self._go_on()
            _allowance.spend()
        else:
            self._slices.start(0)

    def _go_on(self) -> None:
        work = self._work
        if work is None:
            return
        end = time.perf_counter() + (_TAIL_SLICE if self._tail_only else _SLICE)
        for _ in work:
            if time.perf_counter() > end:
                self._slices.start(_BETWEEN if self._tail_only else 0)
                return
        self._work = None

    def _colour(self, lexer: Lexer, block: QTextBlock) -> Iterator[None]:
        """Set the formats of `block` and those after it; one step per line."""
        text = self._document.toPlainText() + "\n"
        text = text[_points(text, block.position()) :]
        if max(map(len, text.split("\n"))) > _LONGEST_LINE:
            return
        column = 0
        ranges: list[QTextLayout.FormatRange] = []
        looks: list[Hashable] = []  # the same in a form that can be compared
        for _, kind, value in lexer.get_tokens_unprocessed(text):
            look = _format(self._style, kind)
            for index, piece in enumerate(value.split("\n")):
                if index:
                    if not block.isValid():
                        return
                    self._set(block, ranges, looks)
                    block, ranges, looks, column = block.next(), [], [], 0
                    yield
                length = len(piece) if piece.isascii() else len(piece.encode("utf-16-le")) // 2
                if look is not None and length:
                    part = QTextLayout.FormatRange()
                    part.start, part.length, part.format = column, length, look
                    ranges.append(part)
                    looks.append((column, length, kind))
                column += length

    def _set(
        self, block: QTextBlock, ranges: list[QTextLayout.FormatRange], looks: list[Hashable]
    ) -> None:
        """Give a line its colours. Most that are looked at again have them: nothing is laid out."""
        state = hash((self._style, *looks)) & 0x7FFFFFFF
        if block.userState() == state:
            return
        block.setUserState(state)
        block.layout().setFormats(ranges)
        self._document.markContentsDirty(block.position(), block.length())


def _points(text: str, units: int) -> int:
    """Where `units` UTF-16 units, which Qt counts, end in a Python string."""
    if text.isascii():
        return units
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le"))


@lru_cache(maxsize=1)
def _aliases() -> frozenset[str]:
    """The names of Pygments' own lexers: asking for others would search all installed packages."""
    from pygments.lexers import get_all_lexers

    return frozenset(alias for lexer in get_all_lexers(plugins=False) for alias in lexer[1])


@lru_cache(maxsize=64)
def find_lexer(language: str) -> Lexer | None:
    """The lexer for a fence's language, None where there is none."""
    name = language.lower()
    if not name or name not in _aliases():
        return None
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(name)


@lru_cache(maxsize=512)
def _format(style: str, kind: Any) -> QTextCharFormat | None:
    from pygments.styles import get_style_by_name

    spec = get_style_by_name(style).style_for_token(kind)
    if not (spec["color"] or spec["bold"] or spec["italic"]):
        return None
    look = QTextCharFormat()
    if spec["color"]:
        look.setForeground(QColor(f"#{spec['color']}"))
    if spec["bold"]:
        look.setFontWeight(QFont.Weight.Bold)
    look.setFontItalic(bool(spec["italic"]))
    return look
