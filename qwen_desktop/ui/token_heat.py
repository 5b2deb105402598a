"""How likely a token was, in five steps: numbers, heat, and the legend of it."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QLocale, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from qwen_desktop.chat.messages import TokenScore
from qwen_desktop.ui import theme
from qwen_desktop.ui.token_paint import heat_colour, paint_mark

# A token less likely than each of these is a step hotter.
LIMITS = (0.9, 0.5, 0.2, 0.05)
_LOGS = tuple(sorted(map(math.log, LIMITS)))
HEATS = tuple(step / len(LIMITS) for step in range(len(LIMITS) + 1))
_ROW = 20  # px
_GAP = 6  # px between swatches
_PAD = 8  # px beside the words in one


def percent(logprob: float) -> str:
    """A log probability for people: "97.2 %"."""
    share = 100 * math.exp(min(0.0, logprob))
    return f"{QLocale().toString(share, 'f', 1 if share >= 0.1 else 3)} %"


def step_of(logprob: float) -> int:
    """How hot a token is, from 0 to 4."""
    return len(_LOGS) - bisect_right(_LOGS, logprob)


def heats(scores: Sequence[TokenScore | None]) -> list[float | None]:
    """The heat of each token; None where it is not known how likely it was."""
    return [None if score is None else HEATS[step_of(score.logprob)] for score in scores]


def mean_logprob(scores: Sequence[TokenScore | None]) -> float | None:
    """The mean natural log probability of those that are known; None where none is."""
    known = [score.logprob for score in scores if score is not None]
    return sum(known) / len(known) if known else None


def perplexity(mean: float) -> float:
    """Of a mean log probability: among how many equally likely tokens the model chose."""
    return math.exp(min(-mean, 700.0))


def least_likely(scores: Sequence[TokenScore | None], most: int) -> list[int]:
    """The numbers of the tokens that surprised most, the worst first; certain ones are none."""
    known = [
        (score.logprob, index)
        for index, score in enumerate(scores)
        if score is not None and score.logprob < _LOGS[-1]
    ]
    return [index for _, index in heapq.nsmallest(most, known)]


class HeatLegend(QWidget):
    """The five steps, each with its colour, its line and its range; wraps where it is narrow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFont(theme.body_font(12))
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setAccessibleName(self.tr("Probability of a token"))
        self.setAccessibleDescription(", ".join(self.words()))

    def words(self) -> list[str]:
        """The ranges, the likeliest first."""
        locale = QLocale()
        shares = [locale.toString(round(100 * limit)) for limit in LIMITS]
        between = [f"{low}–{high} %" for high, low in pairwise(shares)]
        return [f"≥ {shares[0]} %", *between, f"< {shares[-1]} %"]

    def _boxes(self, width: int) -> tuple[list[QRectF], int]:
        metrics, row, gap, pad = self.fontMetrics(), theme.px(_ROW), theme.px(_GAP), theme.px(_PAD)
        boxes: list[QRectF] = []
        x = y = 0
        for words in self.words():
            wide = metrics.horizontalAdvance(words) + 2 * pad
            if x and x + wide > width:
                x, y = 0, y + row + 4
            boxes.append(QRectF(x, y, wide, row))
            x += wide + gap
        return boxes, y + row

    def hasHeightForWidth(self) -> bool:
        """It wraps."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Of as many lines as it takes."""
        return self._boxes(width)[1]

    def sizeHint(self) -> QSize:
        """One line, if there is room."""
        boxes, height = self._boxes(theme.UNLIMITED)
        return QSize(round(boxes[-1].right()), height)

    def follow_look(self) -> None:
        """Another font."""
        self.setFont(theme.body_font(12))
        self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The swatches."""
        painter = QPainter(self)
        painter.setFont(self.font())
        now = theme.current()
        boxes, _ = self._boxes(self.width())
        for box, words, heat in zip(boxes, self.words(), HEATS, strict=True):
            painter.fillRect(box, heat_colour(heat))
            painter.setPen(QColor(now.line))
            painter.drawRect(box.adjusted(0, 0, -1, -1))
            paint_mark(painter, box, heat)
            painter.setPen(QColor(now.text))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
