"""The area that tokens are shown in: their lines, their colours, scrolling. See `TokenText`.

Painted, a line at a time, only what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetricsF, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar
from qwen_desktop.ui.token_layout import Mode, TokenLayout
from qwen_desktop.ui.token_paint import Look, Span, TokenPainter

MARGIN = 12  # px beside the text
AT_ONCE = 4_000  # cells that are placed before the view is shown; the others follow in portions
PORTION = 3_000


class TokenArea(QAbstractScrollArea):
    """Shows tokens, and which of them are selected, current or pointed at."""

    hovered = Signal(int)  # the token that is pointed at; -1 where none is any more

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tokens = Tokens()
        self._mode = Mode.TEXT
        self._look = Look()
        self._current = -1
        self._anchor = -1
        self._hovered = -1
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._more = QTimer(self)
        self._more.setInterval(0)
        self._more.timeout.connect(self._place_more)
        self._use_fonts()
        self._lay_out()

    # -- what is shown ----------------------------------------------------------------------

    @property
    def tokens(self) -> Tokens:
        """What is shown."""
        return self._tokens

    def set_spans(self, spans: Sequence[Span]) -> None:
        """Colours behind stretches of tokens, in their order; what is in none has no colour."""
        self._look.set_spans(spans)
        self.viewport().update()

    def set_heat(self, heat: Sequence[float | None]) -> None:
        """A colour behind each token and a line below it, from 0.0 (none) to 1.0 (strong).

        None is unknown. Spans show as bars beside their lines then.
        """
        self._look.heat = tuple(heat)
        self.viewport().update()

    def set_cached(self, count: int) -> None:
        """Draw a line below the first `count` tokens."""
        self._look.cached = count
        self.viewport().update()

    def set_lookalikes(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Tokens that only read like control tokens: they get a dashed line and a tip."""
        self._look.lookalikes = tuple(ranges)
        self.viewport().update()

    @property
    def mode(self) -> Mode:
        """Text, ids or both."""
        return self._mode

    # -- places -----------------------------------------------------------------------------

    @property
    def current(self) -> int:
        """The token that keys move; -1 where there is none yet."""
        return self._current

    @property
    def selection(self) -> tuple[int, int]:
        """First token and the one after the last that are selected; (0, 0) where none is."""
        if self._current < 0 or self._anchor == self._current:
            return (0, 0)
        low, high = sorted((self._anchor, self._current))
        return low, high + 1

    def scroll_to(self, index: int) -> None:
        """Show a token in the first line, as far as there is text below it."""
        if 0 <= index < len(self._tokens):
            line = self._layout.line_at(index)
            self._set_range()
            self.verticalScrollBar().setValue(line * self._line)

    def first_visible(self) -> int:
        """The token at the top left; -1 where there is none."""
        line = self.verticalScrollBar().value() // self._line
        return self._layout.token_at(line, 0.0) if line < self._layout.count else -1

    def place_of(self, index: int) -> QRect:
        """Where a token is in the viewport, maybe outside of what is seen."""
        line, x, width = self._layout.place(index)
        top = line * self._line - self.verticalScrollBar().value()
        return QRect(round(x) + theme.px(MARGIN), top, max(1, round(width)), self._line)

    def token_under(self, place: QPoint) -> int:
        """The token at a place of the viewport; -1 below the last line."""
        line = (place.y() + self.verticalScrollBar().value()) // self._line
        if not 0 <= line < self._layout.count:
            return -1
        return self._layout.token_at(line, place.x() - theme.px(MARGIN))

    # -- layout -----------------------------------------------------------------------------

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        top = self.first_visible()
        self._use_fonts()
        self._lay_out()
        self.scroll_to(top)

    def _use_fonts(self) -> None:
        self._painter = TokenPainter(self._mode)
        self._line = self._painter.line_height
        self.verticalScrollBar().setSingleStep(self._line)

    def _lay_out(self) -> None:
        self._cell_starts = [cell.start for cell in self._tokens.cells]
        metrics = QFontMetricsF(self._painter.font)
        small = QFontMetricsF(self._painter.small)
        width = self.viewport().width() - 2 * theme.px(MARGIN)
        self._layout = TokenLayout(
            self._tokens,
            self._mode,
            width,
            metrics.horizontalAdvance,
            small.horizontalAdvance,
            self._painter.chip,
            self._painter.gap,
        )
        self._layout.extend(AT_ONCE)
        if not self._layout.done:
            self._more.start()
        self._set_range()
        self.viewport().update()

    @Slot()
    def _place_more(self) -> None:
        self._layout.extend(PORTION)
        if self._layout.done:
            self._more.stop()
        self._set_range()

    def _set_range(self) -> None:
        """As long as the text will be; a guess until all of it has its place."""
        lines = self._layout.count
        if not self._layout.done:
            lines = round(lines / max(self._layout.fraction, 0.01))
        page = self.viewport().height()
        bar = self.verticalScrollBar()
        bar.setPageStep(page)
        bar.setRange(0, max(0, lines * self._line + theme.px(4) - page))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width breaks lines elsewhere; what is at the top stays there."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            top = self.first_visible()
            self._lay_out()
            self.scroll_to(top)
        else:
            self._set_range()

    def _show(self, index: int) -> None:
        """Scroll as little as it takes to see a token."""
        first, last = self._layout.line_at(index), self._layout.last_line_of(index)
        self._set_range()
        bar, page = self.verticalScrollBar(), self.viewport().height()
        if first * self._line < bar.value():
            bar.setValue(first * self._line)
        elif (last + 1) * self._line > bar.value() + page:
            bar.setValue((last + 1) * self._line - page)

    # -- painting ---------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """The lines that are seen."""
        value = self.verticalScrollBar().value()
        first = (value + event.rect().top()) // self._line
        last = (value + event.rect().bottom()) // self._line
        while not self._layout.done and self._layout.count <= last + 1:
            self._layout.extend(PORTION)
        look = self._look
        look.selection, look.hovered = self.selection, self._hovered
        look.current = self._current if self.hasFocus() else -1
        self._painter.paint(
            self.viewport(),
            self._layout,
            look,
            range(first, min(last + 1, self._layout.count)),
            QPointF(theme.px(MARGIN), -value),
        )

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.viewport().update()

    def _hover(self, index: int) -> None:
        if index != self._hovered:
            self._hovered = index
            self.viewport().update()
            self.hovered.emit(index)
