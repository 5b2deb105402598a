"""How likely each token of an answer was, and what else it might have been."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Union

from PySide6.QtCore import QAbstractTableModel, QEvent, QLocale, QModelIndex, QObject, Qt
from PySide6.QtCore import QPersistentModelIndex as _Persistent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.messages import TokenScore
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, ScrollBar, plain_tip
from qwen_desktop.ui.module_tree import ROW_HEIGHT, flatten, soften

Index = Union[QModelIndex, _Persistent]  # noqa: UP007

TOKEN, PROBABILITY, LOGPROB, ALTERNATIVES = range(4)
_NUMBERS = (PROBABILITY, LOGPROB)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NO_PARENT = QModelIndex()
_SEEN = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


def visible(text: str) -> str:
    """A token so that line ends, and spaces at its ends, can be seen."""
    core = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - before - len(core)
    for character, mark in _SEEN.items():
        core = core.replace(character, mark)
    return "␣" * before + core + "␣" * after or "∅"


class ScoreModel(QAbstractTableModel):
    """One row for each token, in their order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scores: tuple[TokenScore, ...] = ()
        self._names = (
            self.tr("Token"),
            self.tr("Probability"),
            self.tr("Log"),
            "   " + self.tr("Alternatives"),
        )

    def set_scores(self, scores: Sequence[TokenScore]) -> None:
        """Show these."""
        self.beginResetModel()
        self._scores = tuple(scores)
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of tokens."""
        return 0 if parent.isValid() else len(self._scores)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Token, probability, its logarithm, others."""
        return 0 if parent.isValid() else len(self._names)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section in _NUMBERS:
            return _RIGHT
        return self._names[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text; the alternatives as a tooltip too."""
        score, column = self._scores[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._text(score, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in _NUMBERS:
            return _RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            if column == TOKEN:
                return self.tr("Token {id}").format(id=score.id)
            if column == ALTERNATIVES and score.top:
                return plain_tip("\n".join(_alternatives(score)))
        return None

    def _text(self, score: TokenScore, column: int) -> str:
        if column == TOKEN:
            return visible(score.text)
        if column == PROBABILITY:
            return _percent(score.logprob)
        if column == LOGPROB:
            return QLocale().toString(float(score.logprob), "f", 3)
        return "   ".join(["", *_alternatives(score)])  # off the numbers before it


def _alternatives(score: TokenScore) -> list[str]:
    others = [entry for entry in score.top if entry[0] != score.id]
    return [f"{visible(text)} {_percent(logprob)}" for _, text, logprob in others]


def _percent(logprob: float) -> str:
    share = 100 * math.exp(min(0.0, logprob))
    return f"{QLocale().toString(share, 'f', 1 if share >= 0.1 else 3)} %"


class ScoreTable(QWidget):
    """The table, or a sentence where there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scores = ScoreModel(self)
        self.note = Label(self.tr("Reading…"), 13, dim=True, wrap=True)
        self.note.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.table = QTableView()
        self.table.setAccessibleName(self.tr("Log probabilities"))
        self.table.setModel(self.scores)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.setCornerButtonEnabled(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.table))
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setFont(theme.body_font(13))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(theme.px(ROW_HEIGHT))
        across = self.table.horizontalHeader()
        across.setStretchLastSection(True)
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for column, width in ((TOKEN, 150), (PROBABILITY, 92), (LOGPROB, 72)):
            self.table.setColumnWidth(column, width)
        flatten(across)
        soften(self.table)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.note)
        self._pages.addWidget(self.table)
        column_of_all = QVBoxLayout(self)
        column_of_all.setContentsMargins(0, 12, 0, 8)
        column_of_all.addWidget(self._pages)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "table"):
            flatten(self.table.horizontalHeader())
            soften(self.table)

    def set_scores(self, scores: Sequence[TokenScore]) -> None:
        """Show these; none says how to get some."""
        self.scores.set_scores(scores)
        self._pages.setCurrentIndex(1 if scores else 0)
        if not scores:
            self.note.setText(
                self.tr(
                    "None were kept. Set “Alternatives per token” in the settings, "
                    "then answers keep how likely each token was."
                )
            )
