"""Where an answer came from: what computed it and how, what it took, its tokens.

What the model wrote is plain text here, in views that know no other.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from PySide6.QtCore import QDateTime, QLocale, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from qwen_desktop.chat.messages import AnswerTrace, Message
from qwen_desktop.ui.answer_facts import origin_rows
from qwen_desktop.ui.answer_tokens import AnswerTokens
from qwen_desktop.ui.card_views import COPIED_MS, PairsView
from qwen_desktop.ui.controls import Button, ElidedLabel
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.score_table import ScoreTable
from qwen_desktop.ui.timeline import statistics

SIZE = (860, 640)


class AnswerDetails(Dialog):
    """Everything that is kept of one answer. `set_trace` brings what is read from disk.

    Signals: `fork_requested(message id, at, token)`: the answer anew from one of its tokens on,
    with the id of one that was picked or None; `logprobs_requested`; `turn_requested(message id)`:
    how this turn worked, step by step; `prompt_requested(message id)`: what the model was given.
    """

    fork_requested = Signal(str, int, object)
    logprobs_requested = Signal()
    turn_requested = Signal(str)
    prompt_requested = Signal(str)

    def __init__(self, message: Message, parent: QWidget | None = None) -> None:
        super().__init__("answerDetails", self.tr("Answer details"), parent)
        self._message = message
        self._trace: AnswerTrace | None = None
        self.resize(*SIZE)
        self.setMinimumSize(360, 320)
        stats = message.stats
        self.title = ElidedLabel((stats.model if stats else "") or "Qwen", 16, bold=True)
        moment = QDateTime.fromSecsSinceEpoch(int(message.created_at))
        when = QLocale().toString(moment, QLocale.FormatType.ShortFormat)
        self.when = ElidedLabel(when, 12, dim=True)
        self._build_tabs()
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 14)
        column.setSpacing(2)
        column.addWidget(self.title)
        column.addWidget(self.when)
        column.addSpacing(8)
        column.addWidget(self.tabs, 1)
        column.addSpacing(10)
        column.addLayout(self._bottom())
        self.tabs.setFocus()

    def set_trace(self, trace: AnswerTrace) -> None:
        """What is kept apart: the ids of the prompt, and log probabilities. To be called once."""
        self._trace = trace
        self.scores.set_scores(trace.scores)
        self.tokens.set_trace(trace)

    # -- building --------------------------------------------------------------------------

    def _build_tabs(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setObjectName("detailTabs")
        self.tabs.setAccessibleName(self.tr("Parts of the answer's details"))
        self.tabs.setDocumentMode(True)
        names = (self.tr("Name"), self.tr("Value"))
        self.origin = PairsView(self.tr("Origin"), names, self.tr("Search origin"))
        self.origin.set_pairs(self._origin())
        self.statistics = PairsView(self.tr("Statistics"), names, self.tr("Search statistics"))
        self.statistics.set_pairs(statistics.rows(self._message))
        self.tokens = AnswerTokens(self._message)
        self.tokens.fork_requested.connect(
            lambda at, token: self.fork_requested.emit(self._message.id, at, token)
        )
        self.tokens.logprobs_requested.connect(self.logprobs_requested)
        self.scores = ScoreTable()
        for page, words in (
            (self.origin, self.tr("Origin")),
            (self.statistics, self.tr("Statistics")),
            (self.tokens, self.tr("Tokens")),
            (self.scores, self.tr("Log probabilities")),
        ):
            self.tabs.addTab(page, words)

    def _bottom(self) -> QHBoxLayout:
        self.copy = Button(self.tr("Copy"), height=32)
        self.copy.setAccessibleName(self.tr("Copy details"))
        self.copy.clicked.connect(lambda: self._copy(self.copy, self.as_text()))
        self.copy_json = Button(self.tr("Copy as JSON"), height=32)
        self.copy_json.setAccessibleName(self.tr("Copy details as JSON"))
        self.copy_json.clicked.connect(lambda: self._copy(self.copy_json, self.as_json()))
        self.turn = Button(self.tr("How this turn worked"), height=32)
        self.turn.setAccessibleName(self.turn.text())
        self.turn.clicked.connect(lambda: self.turn_requested.emit(self._message.id))
        self.prompt = Button(self.tr("Inspect prompt"), height=32)
        self.prompt.setAccessibleName(self.prompt.text())
        self.prompt.clicked.connect(lambda: self.prompt_requested.emit(self._message.id))
        self._words = {self.copy: self.copy.text(), self.copy_json: self.copy_json.text()}
        self._back = QTimer(self)
        self._back.setSingleShot(True)
        self._back.setInterval(COPIED_MS)
        self._back.timeout.connect(self._reset)
        close: QDialogButtonBox = self.close_box()
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.copy)
        line.addWidget(self.copy_json)
        line.addWidget(self.turn)
        line.addWidget(self.prompt)
        line.addStretch(1)
        line.addWidget(close)
        return line

    # -- content ---------------------------------------------------------------------------

    def _origin(self) -> list[tuple[str, str]]:
        nothing = [(self.tr("Origin"), self.tr("Not kept"))]
        return origin_rows(self._message.provenance) or nothing

    def as_text(self) -> str:
        """The names and values, one to a line."""
        rows = [("", f"{self.title.text()}, {self.when.text()}")]
        rows += self._origin() + statistics.rows(self._message)
        return "\n".join(f"{name}: {value}" if name else value for name, value in rows) + "\n"

    def as_json(self) -> str:
        """Everything that is kept of the answer but its words, by the names of the program."""
        message, trace = self._message, self._trace
        origin = asdict(message.provenance) if message.provenance else None
        if origin is not None:
            origin["sampling"] = dict(origin["sampling"])
        found = {
            "id": message.id,
            "created_at": message.created_at,
            "status": message.status.value,
            "stats": asdict(message.stats) if message.stats else None,
            "provenance": origin,
            "token_ids": message.token_ids,
            "prompt_ids": trace.prompt_ids if trace else None,
            "scores": [asdict(score) for score in trace.scores] if trace else None,
        }
        return json.dumps(found, ensure_ascii=False, separators=(", ", ": ")) + "\n"

    def _copy(self, button: Button, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._reset()
        button.setText(self.tr("Copied"))
        self._back.start()

    def _reset(self) -> None:
        for button, words in self._words.items():
            button.setText(words)
