"""The tokens of an answer: how likely each was, what might have come instead, a new version."""

from __future__ import annotations

from PySide6.QtCore import QLocale, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.forking import aligned
from qwen_desktop.chat.messages import AnswerTrace, Message, PartKind, TokenScore
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.chat.turn_tokens import TurnTokens, by_scores, stretches
from qwen_desktop.ui import theme
from qwen_desktop.ui.choices import ROW, Choices
from qwen_desktop.ui.controls import Button, Label
from qwen_desktop.ui.score_table import visible
from qwen_desktop.ui.token_heat import (
    HeatLegend,
    heats,
    least_likely,
    mean_logprob,
    percent,
    perplexity,
)
from qwen_desktop.ui.token_text import Mode, Span, TokenText

SIDE = 252  # px, what stands beside the text
NARROW = 600  # px, from which on it stands below
SURPRISES = 20
REASONING_COLOUR, ANSWER_COLOUR = "kv", "activations"


class AnswerTokens(QWidget):
    """One answer. `set_trace` brings what is on disk, `set_tokens` the texts, both once.

    Signals: `fork_requested(at, token)`: the answer anew from a token on, `token` an id that was
    picked or None; `logprobs_requested`: later answers of this chat are to keep probabilities.
    """

    fork_requested = Signal(int, object)
    logprobs_requested = Signal()

    def __init__(self, message: Message, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._message = message
        self._scores: tuple[TokenScore | None, ...] = (None,) * len(message.token_ids)
        self._kinds: tuple[PartKind, ...] = ()
        self._spelled: Tokens | None = None
        self._stale = False  # more is known than is shown
        self._refusal = ""
        self._read = False
        self._narrow = False
        self._has_texts = False
        self._told = -1  # the token that stands beside the text
        self.view = TokenText(self.tr("Tokens of the answer"))
        self.view.describe = self._describe
        self.view.current_changed.connect(self._on_current)
        self.view.hovered.connect(self._on_hover)
        self.view.token_activated.connect(self._go_to_choices)
        self._build()
        self.note.setText(self.tr("Reading…"))
        for part in (self.legend, self.parts, self.switch_on, self.side, *self.modes.values()):
            part.hide()

    # -- building --------------------------------------------------------------------------

    def _build(self) -> None:
        self.summary = Label("", 13, wrap=True)
        self.modes: dict[Mode, Button] = {}
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self.summary, 1)
        for mode, words in (
            (Mode.TEXT, self.tr("Text")),
            (Mode.IDS, self.tr("Ids")),
            (Mode.BOTH, self.tr("Both")),
        ):
            button = self.modes[mode] = Button(words, height=28)
            button.setCheckable(True)
            button.setAutoExclusive(True)
            button.tint = "accent"
            button.setAccessibleName(self.tr("Show: {what}").format(what=words))
            button.toggled.connect(lambda on, mode=mode: self._set_mode(mode, on))
            button.setChecked(mode is Mode.TEXT)
            top.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        self.legend = HeatLegend()
        self.parts = Label("", 12, dim=True)
        self.note = Label("", 13, dim=True, wrap=True)
        self.switch_on = Button(self.tr("Keep probabilities in this chat"), height=30)
        self.switch_on.setAccessibleName(self.switch_on.text())
        self.switch_on.clicked.connect(self.logprobs_requested)
        self._split = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._split.setSpacing(12)
        self.view.setMinimumHeight(theme.px(4 * ROW))
        self._split.addWidget(self.view, 1)
        self._split.addWidget(self._build_side())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 4)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.legend)
        column.addWidget(self.parts)
        column.addWidget(self.note)
        column.addWidget(self.switch_on, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(self._split, 1)

    def _set_mode(self, mode: Mode, on: bool) -> None:
        self.modes[mode].kind = "tinted" if on else "outline"
        self.modes[mode].update()
        if on:
            self.view.set_mode(mode)

    def _build_side(self) -> QWidget:
        self.side = QWidget()
        self.about = Label("", 12, wrap=True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.choices_title = Label(self.tr("Instead of it"), 12, dim=True, bold=True)
        self.choices = Choices(self.tr("Alternatives of the token"))
        self.choices.itemActivated.connect(self._pick)
        self.choices_title.setBuddy(self.choices)
        self.fork = Button(self.tr("Regenerate from here"), height=30)
        self.fork.setAccessibleName(self.fork.text())
        self.fork.clicked.connect(self._fork)
        self.refusal = Label("", 12, dim=True, wrap=True)
        self.surprises_title = Label(self.tr("Least likely"), 12, dim=True, bold=True)
        self.surprises = Choices(self.tr("Least likely tokens"))
        self.surprises.itemActivated.connect(self._jump)
        self.surprises.itemClicked.connect(self._jump)
        self.surprises_title.setBuddy(self.surprises)
        column = QVBoxLayout(self.side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.about)
        column.addWidget(self.choices_title)
        column.addWidget(self.choices, 3)
        column.addWidget(self.fork)
        column.addWidget(self.refusal)
        column.addWidget(self.surprises_title)
        column.addWidget(self.surprises, 2)
        column.addStretch(1)
        return self.side

    def resizeEvent(self, event: QResizeEvent) -> None:
        """What stands beside the text comes below it where there is no room."""
        super().resizeEvent(event)
        narrow = self.width() < theme.px(NARROW)
        below = QBoxLayout.Direction.TopToBottom
        self._split.setDirection(below if narrow else QBoxLayout.Direction.LeftToRight)
        self.side.setFixedWidth(self.width() if narrow else theme.px(SIDE))
        self.choices.setMaximumHeight(theme.px(3 * ROW) if narrow else theme.UNLIMITED)
        self._show_surprises(narrow)
        if narrow != self._narrow:
            self._narrow = narrow
            self._on_current(self.view.current)

    def _show_surprises(self, narrow: bool) -> None:
        shown = self.surprises.count() > 0 and not narrow
        self.surprises.setVisible(shown)
        self.surprises_title.setVisible(shown)

    # -- content ---------------------------------------------------------------------------

    def set_trace(self, trace: AnswerTrace) -> None:
        """What is kept of how likely its tokens were."""
        self._read = True
        self._scores = aligned(self._message.token_ids, trace.scores)
        self._show()

    def set_tokens(self, found: TurnTokens | None) -> None:
        """The texts of its tokens, as far as the open checkpoint can tell them."""
        if found is not None and found.answer is not None:
            self._kinds, self._spelled = found.kinds, found.answer
            self._show()

    def showEvent(self, event: QShowEvent) -> None:
        """The tokens of a long answer are laid out when they are looked at."""
        super().showEvent(event)
        if self._stale:
            self._show()

    def _show(self) -> None:
        self._stale = not self.isVisible()
        if not self._stale:
            tokens = self._spelled
            if tokens is None:
                tokens = by_scores(self._message.token_ids, self._scores)
            if self.view.tokens is not tokens:
                self._show_tokens(tokens)
            self._refresh()

    def show_switched_on(self) -> None:
        """Say that later answers of this chat keep how likely their tokens are."""
        self.switch_on.hide()
        self.note.setText(self.tr("From the next answer on, this chat keeps probabilities."))
        self.note.show()
        self.view.setFocus()

    def set_refusal(self, reason: str) -> None:
        """Why it cannot be made anew from a token on now; "" where it can."""
        self._refusal = reason
        self._show_offer()

    def _show_tokens(self, tokens: Tokens) -> None:
        at = self.view.current
        self._has_texts = any(tokens.pieces)
        for mode, button in self.modes.items():
            button.setEnabled(self._has_texts or mode is Mode.IDS)
        self.modes[Mode.TEXT if self._has_texts else Mode.IDS].setChecked(True)
        self.view.set_tokens(tokens)
        if at >= 0:
            self.view.set_current(at)

    def _refresh(self) -> None:
        for part in (self.side, *self.modes.values()):
            part.show()
        known = any(score is not None for score in self._scores)
        self.view.set_spans(self._spans())
        self.view.set_heat(heats(self._scores) if known else ())
        self.legend.setVisible(known)
        self.summary.setText(self._summary())
        reasons = stretches(self._kinds, PartKind.REASONING)
        self.parts.setText(self._parts_line(known) if reasons else "")
        self.parts.setVisible(bool(reasons))
        note = self._note(known)
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.switch_on.setVisible(bool(self._message.token_ids) and self._read and not known)
        self.surprises.clear()
        for index in least_likely(self._scores, SURPRISES):
            score = self._scores[index]
            assert score is not None
            text = f"{visible(score.text)}  {percent(score.logprob)}"
            number = QLocale().toString(index + 1)
            spoken = self.tr("Token {number}: {text}").format(number=number, text=text)
            self.surprises.add(text, spoken, index)
        self._show_surprises(self.width() < theme.px(NARROW))
        self._on_current(self.view.current)

    def _spans(self) -> list[Span]:
        thought = [
            Span(*one, REASONING_COLOUR) for one in stretches(self._kinds, PartKind.REASONING)
        ]
        if not thought:  # one kind alone needs no colour
            return []
        said = [Span(*one, ANSWER_COLOUR) for one in stretches(self._kinds, PartKind.TEXT)]
        return sorted([*thought, *said], key=lambda span: span.start)

    def _parts_line(self, known: bool) -> str:
        thought = sum(kind is PartKind.REASONING for kind in self._kinds)
        locale = QLocale()
        words = (
            self.tr("Bars on the left: reasoning {thought}, answer {said} tokens.")
            if known
            else self.tr("Behind the text: reasoning {thought}, answer {said} tokens.")
        )
        return words.format(
            thought=locale.toString(thought), said=locale.toString(len(self._kinds) - thought)
        )

    def _summary(self) -> str:
        locale = QLocale()
        words = self.tr("%Ln tokens", "", len(self._scores))
        mean = mean_logprob(self._scores)
        if mean is None:
            return words
        known = sum(score is not None for score in self._scores)
        if known < len(self._scores):
            words += " · " + self.tr("%Ln with probabilities", "", known)
        numbers = self.tr("mean log probability {mean} · perplexity {perplexity}")
        return f"{words} · " + numbers.format(
            mean=locale.toString(mean, "f", 3),
            perplexity=locale.toString(perplexity(mean), "g", 4),
        )

    def _note(self, known: bool) -> str:
        if not self._message.token_ids:
            return self.tr("The tokens of this answer were not kept.")
        lines = []
        if self._read and not known:
            lines.append(
                self.tr(
                    "How likely each token was is not kept: “Alternatives per token” was 0 "
                    "in the chat settings when this was written."
                )
            )
        if self._read and not self._kinds:
            lines.append(
                self.tr(
                    "Texts come from the checkpoint that wrote it; another one is open, or none."
                )
            )
        return "\n".join(lines)

    # -- the current token -----------------------------------------------------------------

    def _kind_words(self, index: int) -> str:
        if index >= len(self._kinds):
            return ""
        is_thought = self._kinds[index] is PartKind.REASONING
        return self.tr("Reasoning") if is_thought else self.tr("Answer")

    def _facts(self, index: int) -> str:
        """Its part and its probability, in lines."""
        score = self._scores[index] if index < len(self._scores) else None
        likely = ""
        if score is not None:
            likely = self.tr("Probability {share}").format(share=percent(score.logprob))
        return "\n".join(line for line in (self._kind_words(index), likely) if line)

    def _describe(self, index: int) -> str:
        """For the tip and for screen readers: the alternatives besides."""
        score = self._scores[index] if index < len(self._scores) else None
        others = ", ".join(
            f"{visible(text)} {percent(logprob)}" for _, text, logprob in _alternatives(score)
        )
        more = self.tr("Instead: {others}").format(others=others) if others else ""
        return "\n".join(line for line in (self._facts(index), more) if line)

    @Slot(int)
    def _on_hover(self, index: int) -> None:
        """What is pointed at is told meanwhile, unless something is being chosen by keys."""
        if not (self.choices.hasFocus() or self.fork.hasFocus()):
            self._on_current(index if index >= 0 else self.view.current)

    @Slot(int)
    def _on_current(self, index: int) -> None:
        self._told = index
        score = self._scores[index] if 0 <= index < len(self._scores) else None
        if index < 0:
            self.about.setText(self.tr("Choose a token: click it, or press the arrow keys."))
        else:  # the alternatives stand in the list below
            own = self.view.words_of(index).removesuffix(self._describe(index)).strip().split("\n")
            lines = [*(own if self._has_texts else own[1:2]), *self._facts(index).split("\n")]
            between = " · " if self._narrow else "\n"
            self.about.setText(between.join(line for line in lines if line))
        self.choices.clear()
        for number, text, logprob in _alternatives(score):
            row = f"{visible(text)}  {percent(logprob)}"
            self.choices.add(row, self.tr("Go on with {text}").format(text=row), number)
        shown = self.choices.count() > 0
        self.choices.setVisible(shown)
        self.choices_title.setVisible(shown)
        self._show_offer()

    def _show_offer(self) -> None:
        self.fork.setEnabled(self._told >= 0 and not self._refusal)
        self.choices.setToolTip("" if self._refusal else self.tr("Enter goes on with it"))
        self.refusal.setText(self._refusal)
        self.refusal.setVisible(bool(self._refusal))

    # -- what the user does ----------------------------------------------------------------

    @Slot(int)
    def _go_to_choices(self, index: int) -> None:
        self._on_current(index)
        reason = Qt.FocusReason.TabFocusReason
        if self.choices.count():
            self.choices.setCurrentRow(max(0, self.choices.currentRow()))
            self.choices.setFocus(reason)
        elif self.fork.isEnabled():
            self.fork.setFocus(reason)

    @Slot()
    def _fork(self) -> None:
        if self._told >= 0 and not self._refusal:
            self.fork_requested.emit(self._told, None)

    @Slot(QListWidgetItem)
    def _pick(self, row: QListWidgetItem) -> None:
        if not self._refusal:
            self.fork_requested.emit(self._told, row.data(Qt.ItemDataRole.UserRole))

    @Slot(QListWidgetItem)
    def _jump(self, row: QListWidgetItem) -> None:
        self.view.set_current(row.data(Qt.ItemDataRole.UserRole))


def _alternatives(score: TokenScore | None) -> list[tuple[int, str, float]]:
    """What else might have come: id, text, log probability; the likeliest first."""
    return [entry for entry in score.top if entry[0] != score.id] if score is not None else []
