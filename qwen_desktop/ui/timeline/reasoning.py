"""The thinking before an answer: a section that folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QWidget

from qwen_desktop.chat.messages import AnswerStats
from qwen_desktop.ui.texts import duration_text
from qwen_desktop.ui.theme import body_font, px
from qwen_desktop.ui.timeline.blocks import BlockStack
from qwen_desktop.ui.timeline.buttons import RevealButton
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import MarkdownTail, normalized, steady
from qwen_desktop.ui.timeline.portions import Portions
from qwen_desktop.ui.timeline.shared import Shared, tell_resized

_HEADER = 24  # px
_INDENT = 16
_GAP = 8
_PORTION = 50.0  # of the weight of blocks: unfolding takes no longer than a blink
_AT_ONCE = 8_000  # characters of a text that is unfolded while it grows, and then grows on


class FoldButton(QAbstractButton):
    """A triangle and a text."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self.setCheckable(True)
        self.setFont(body_font(12))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def sizeHint(self) -> QSize:
        """The text and the triangle."""
        return QSize(QFontMetrics(self.font()).horizontalAdvance(self.text()) + px(28), px(_HEADER))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Dim, brighter under the pointer."""
        theme = self._shared.theme
        colour = QColor(theme.text if self.underMouse() else theme.dim)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, 1.5))
        x, y = 6.0, self.height() / 2
        arms = (-3, -1.5, 0, 1.5, 3, -1.5) if self.isChecked() else (-1.5, -3, 1.5, 0, -1.5, 3)
        points = [QPointF(x + arms[i], y + arms[i + 1]) for i in (0, 2, 4)]
        painter.drawPolyline(QPolygonF(points))
        painter.setPen(colour)
        painter.drawText(
            self.rect().adjusted(16, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text()
        )
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 6, 6)


class ReasoningView(QWidget):
    """Open while it streams, folded once the answer begins, unless the reader chose otherwise."""

    def __init__(self, shared: Shared, parent: QWidget, chosen: Callable[[bool], None]) -> None:
        super().__init__(parent)
        self._shared = shared
        self._chosen = chosen
        self._tail = MarkdownTail()
        self._text = ""
        self._live = False
        self._button = FoldButton(shared, self)
        self._button.clicked.connect(self._on_clicked)
        self._stack = BlockStack(shared, self, dim=True)
        self._portions: Portions | None = None
        self._asked = 0  # characters
        self._end: int | None = None  # of what is shown
        self._more = RevealButton(shared, self)
        self._more.clicked.connect(self._on_more)
        self._more.hide()

    @property
    def shown_end(self) -> int | None:
        """How much of it is shown where it is open, in characters; None for all."""
        return self._end if self.is_open else None

    @property
    def is_open(self) -> bool:
        """Whether the text is shown."""
        return self._button.isChecked()

    def expect(self, width: int) -> None:
        """Build new blocks for `width` px."""
        self._stack.expect(max(40, width - _INDENT))

    def show_text(self, text: str, stats: AnswerStats | None, live: bool, opened: bool) -> None:
        """Take the reasoning so far, and what it took as far as that is known."""
        title = self._title(stats or AnswerStats(), live)
        if title != self._button.text():
            self._button.setText(title)
            self._button.setAccessibleName(title)
        if (text, live, opened) == (self._text, self._live, self.is_open):
            return
        self._text, self._live = text, live
        self._button.setChecked(opened)
        self._fill()

    def _title(self, stats: AnswerStats, live: bool) -> str:
        tokens, seconds = stats.reasoning_tokens, round(stats.reasoning_seconds)
        if not tokens:
            return self.tr("Thinking…") if live else self.tr("Thought")
        counted = self.tr("%Ln tokens", "", tokens)
        if live:
            parts = [self.tr("Thinking…"), duration_text(seconds), counted]
        elif seconds:
            parts = [self.tr("Thought for %1").replace("%1", duration_text(seconds)), counted]
        else:
            parts = [self.tr("Thought for %Ln tokens", "", tokens)]
        return " · ".join(parts)

    def height_for(self, width: int) -> int:
        """The header and, where open, the text."""
        self._button.setGeometry(0, 0, min(width, self._button.sizeHint().width()), px(_HEADER))
        if not self.is_open:
            return px(_HEADER)
        end = self._stack.layout(_INDENT, px(_HEADER) + _GAP, max(40, width - _INDENT))
        if self._end is not None:
            size = self._more.sizeHint()
            self._more.setGeometry(_INDENT, end + _GAP, size.width(), size.height())
            end += _GAP + size.height()
        return end

    def part_resized(self, part: QWidget) -> None:
        """A block wants another height, and so does this."""
        self._stack.forget(part)
        tell_resized(self)

    def leaves(self) -> Iterator[Leaf]:
        """The texts, where open."""
        return self._stack.leaves() if self.is_open else iter(())

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        self._stack.apply_theme()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A line beside the text."""
        if not self.is_open:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._shared.theme.line))
        top = px(_HEADER) + _GAP
        painter.drawRoundedRect(QRectF(5, top, 2, max(0, self.height() - top)), 1, 1)

    def _fill(self) -> None:
        source = normalized(self._text) if self.is_open else ""
        self._end = None
        if not self.is_open:
            self._stack.sync(0, [], False)
            self._tail, self._portions, self._asked = MarkdownTail(), None, 0
        elif self._live and not self._portions and (self._tail.text or len(source) <= _AT_ONCE):
            first = self._tail.feed(steady(source))
            self._stack.sync(first, self._tail.blocks, True)
        else:
            self._show_portion(source)
        self._more.show_left(len(source) - self._end if self._end is not None else 0)

    def _show_portion(self, source: str) -> None:
        if self._portions is None:
            self._portions = Portions(self._tail, _PORTION)
            if self._tail.text:
                self._asked = len(source)  # what was seen growing is not folded now
        shown = self._portions.show(source, self._asked)
        self._stack.sync(0, shown.blocks, False)
        self._end = shown.end if shown.end < len(source) else None

    def show_more(self) -> None:
        """Show another portion; to be measured again."""
        self._asked = self._end or 0
        self._fill()

    def _on_more(self) -> None:
        self.show_more()
        tell_resized(self)
        self._shared.resized.emit()

    def _on_clicked(self) -> None:
        self._fill()
        self._chosen(self.is_open)
        self._shared.resized.emit()
