"""Drawn values of a turn: what was read of the prompt, what the first tokens might have been."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QLocale, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from qwen_desktop.chat.messages import TokenScore
from qwen_desktop.ui import theme
from qwen_desktop.ui.score_table import visible
from qwen_desktop.ui.token_heat import percent

BAR = 26  # px
ROW = 24  # px
MOST_PIECES = 64  # that are drawn apart
MOST_OTHERS = 4  # candidates in a row


class PromptBar(QWidget):
    """The prompt as one bar: what came from the cache, hatched, and the pieces that were read."""

    def __init__(self) -> None:
        super().__init__()
        self._reused = self._read = self._piece = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("What was read of the prompt"))

    def set_counts(self, reused: int, read: int, piece: int) -> None:
        """Tokens from the cache, tokens that were read, and of these so many at a time or 0."""
        self._reused, self._read, self._piece = reused, read, piece
        locale = QLocale()
        self.setAccessibleDescription(
            self.tr("{reused} tokens from the cache, {read} read").format(
                reused=locale.toString(reused), read=locale.toString(read)
            )
        )
        self.update()

    @property
    def pieces(self) -> int:
        """In how many pieces it was read; 0 where that was not kept."""
        return math.ceil(self._read / self._piece) if self._piece and self._read else 0

    def sizeHint(self) -> QSize:
        """The bar and its words."""
        return QSize(theme.px(300), theme.px(BAR + 22))

    def follow_look(self) -> None:
        """Other sizes."""
        self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Both parts with their words below."""
        total = self._reused + self._read
        if not total:
            return
        now, painter = theme.current(), QPainter(self)
        wide, high = float(self.width()), float(theme.px(BAR))
        border = wide * self._reused / total
        painter.fillRect(QRectF(0, 0, wide, high), QColor(now.track))
        painter.fillRect(QRectF(border, 0, wide - border, high), QColor(now.accent))
        painter.fillRect(
            QRectF(0, 0, border, high), QBrush(QColor(now.kv), Qt.BrushStyle.BDiagPattern)
        )
        count = self.pieces
        if 1 < count <= MOST_PIECES:
            for number in range(1, count):
                x = border + (wide - border) * number * self._piece / self._read
                painter.fillRect(QRectF(x - 1, 0, 2, high), QColor(now.background))
        painter.setFont(theme.body_font(12))
        painter.setPen(QColor(now.text))
        locale = QLocale()
        left = self.tr("▨ from the cache {count}").format(count=locale.toString(self._reused))
        right = self.tr("■ read {count}").format(count=locale.toString(self._read))
        low = QRectF(0, high + 2, wide, theme.px(20))
        painter.drawText(low, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, left)
        painter.drawText(low, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, right)


class ContextBar(QWidget):
    """The context as one bar: prompt, hatched, answer, and what is free."""

    def __init__(self) -> None:
        super().__init__()
        self._prompt = self._answer = self._limit = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("What the context holds now"))

    def set_counts(self, prompt: int, answer: int, limit: int) -> None:
        """All in tokens."""
        self._prompt, self._answer, self._limit = prompt, answer, limit
        self.setAccessibleDescription(", ".join(self.words()))
        self.update()

    def words(self) -> list[str]:
        """What stands below the bar."""
        free = max(0, self._limit - self._prompt - self._answer)
        prompt, answer, rest = (
            QLocale().toString(count) for count in (self._prompt, self._answer, free)
        )
        return [
            self.tr("▨ prompt {count}").format(count=prompt),
            self.tr("■ answer {count}").format(count=answer),
            self.tr("□ free {count}").format(count=rest),
        ]

    def sizeHint(self) -> QSize:
        """The bar and its words."""
        return QSize(theme.px(300), theme.px(BAR + 22))

    def follow_look(self) -> None:
        """Other sizes."""
        self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The parts with their words below."""
        whole = max(self._limit, self._prompt + self._answer)
        if not whole:
            return
        now, painter = theme.current(), QPainter(self)
        wide, high = float(self.width()), float(theme.px(BAR))
        prompt, answer = (wide * count / whole for count in (self._prompt, self._answer))
        painter.fillRect(QRectF(0, 0, wide, high), QColor(now.track))
        hatched = QBrush(QColor(now.kv), Qt.BrushStyle.BDiagPattern)
        painter.fillRect(QRectF(0, 0, prompt, high), hatched)
        painter.fillRect(QRectF(prompt, 0, max(1.0, answer), high), QColor(now.accent))
        painter.setFont(theme.body_font(12))
        painter.setPen(QColor(now.text))
        low = QRectF(0, high + 2, wide, theme.px(20))
        painter.drawText(low, Qt.AlignmentFlag.AlignVCenter, "     ".join(self.words()))


class CandidateRows(QWidget):
    """For each of the first tokens: the candidates with bars of their probability."""

    def __init__(self) -> None:
        super().__init__()
        self._scores: tuple[TokenScore, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Candidates of the first tokens"))

    def set_scores(self, scores: Sequence[TokenScore]) -> None:
        """One row for each of these."""
        self._scores = tuple(scores)
        self.setAccessibleDescription("; ".join(self.words()))
        self.updateGeometry()
        self.update()

    def words(self) -> list[str]:
        """The rows as text: the chosen token first."""
        return [
            ", ".join(f"{visible(text)} {percent(logprob)}" for _, text, logprob in candidates(one))
            for one in self._scores
        ]

    def sizeHint(self) -> QSize:
        """All rows."""
        return QSize(theme.px(300), theme.px(ROW) * len(self._scores))

    def follow_look(self) -> None:
        """Other sizes."""
        self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A number, then the candidates side by side."""
        now, painter = theme.current(), QPainter(self)
        painter.setFont(theme.code_font(12))
        row, number_wide = theme.px(ROW), theme.px(26)
        cell = (self.width() - number_wide) / (MOST_OTHERS + 1)
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        metrics = painter.fontMetrics()
        for at, score in enumerate(self._scores):
            top = float(at * row)
            painter.setPen(QColor(now.dim))
            painter.drawText(QRectF(0, top, number_wide, row), middle, str(at + 1))
            for place, (number, text, logprob) in enumerate(candidates(score)):
                left = number_wide + place * cell
                box = QRectF(left, top + 2, cell - theme.px(6), row - 4)
                share = math.exp(min(0.0, logprob))
                chosen = number == score.id
                painter.fillRect(box, QColor(now.panel))
                fill = QRectF(
                    box.left(), box.bottom() - theme.px(4), box.width() * share, theme.px(4)
                )
                painter.fillRect(fill, QColor(now.accent if chosen else now.other))
                if chosen:
                    painter.setPen(QColor(now.accent))
                    painter.drawRect(box.adjusted(0, 0, -1, -1))
                painter.setPen(QColor(now.text))
                inner = box.adjusted(theme.px(5), 0, -theme.px(5), -theme.px(3))
                likely = percent(logprob)
                room = round(inner.width()) - metrics.horizontalAdvance(likely) - theme.px(4)
                shown = metrics.elidedText(visible(text), Qt.TextElideMode.ElideRight, max(room, 0))
                painter.drawText(inner, middle, shown)
                right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
                painter.setPen(QColor(now.dim))
                painter.drawText(inner, right, likely)


def candidates(score: TokenScore) -> list[tuple[int, str, float]]:
    """The token that came, then the likeliest others: id, text, log probability."""
    others = [entry for entry in score.top if entry[0] != score.id]
    return [(score.id, score.text, score.logprob), *others[:MOST_OTHERS]]
