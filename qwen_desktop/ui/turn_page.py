"""What the pages of the stages of a turn have in common, and the values that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from PySide6.QtCore import QLocale, QObject, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from qwen_desktop.chat.messages import AnswerStats, AnswerTrace, Message, Provenance, Role
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.chat.turn_tokens import TurnTokens
from qwen_desktop.ui.controls import Button, ElidedLabel, Label
from qwen_desktop.ui.texts import seconds_text
from qwen_desktop.ui.token_text import Mode, Span, TokenText

ROLE = 16  # tokens, longer than any name of a role with what comes before it
COLOURS = {Role.SYSTEM.value: "other", Role.USER.value: "accent", Role.ASSISTANT.value: "kv"}
_START = "<|im_start|>"


@dataclass(frozen=True)
class Turn:
    """What is known of one turn: the answer, what stood before it, and what was kept of both."""

    answer: Message
    before: tuple[Message, ...] = ()
    trace: AnswerTrace = field(default_factory=AnswerTrace)
    tokens: TurnTokens = field(default_factory=TurnTokens)

    @property
    def stats(self) -> AnswerStats:
        """What it took."""
        return self.answer.stats or AnswerStats()

    @property
    def origin(self) -> Provenance:
        """Where it came from."""
        return self.answer.provenance or Provenance()

    @property
    def is_served(self) -> bool:
        """Whether a server answered: much is known to that alone."""
        return bool(self.origin.address)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt; 0 where that was not kept."""
        return self.stats.prompt_tokens or len(self.trace.prompt_ids)

    @property
    def shown(self) -> tuple[Message, ...]:
        """The messages that the model was shown."""
        unseen = frozenset(self.origin.unseen)
        return tuple(one for one in self.before if one.id not in unseen)

    @property
    def end_name(self) -> str:
        """The name of the token that ended it; "" where none did or it is not known."""
        return dict(self.tokens.ends).get(self.origin.end_token, "")


class _Counts(QObject):
    """Words with a number: `tr` finds them in the class of the object alone, not in those above."""

    def tokens(self, number: int) -> str:
        """So many tokens."""
        return self.tr("%Ln tokens", "", number)


class Page(QWidget):
    """A heading, an explanation, values by name, and below them whatever shows it best."""

    def __init__(self, title: str, words: str) -> None:
        super().__init__()
        self.heading = Label(title, 16, bold=True)
        self.words = Label(words, 14, wrap=True)
        self._served = False
        self._pairs: list[tuple[Label, ElidedLabel]] = []
        self.facts = QGridLayout()
        self.facts.setHorizontalSpacing(16)
        self.facts.setVerticalSpacing(4)
        self.facts.setColumnStretch(1, 1)
        self.facts.setColumnStretch(3, 1)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(10)
        self.column.addWidget(self.heading)
        self.column.addWidget(self.words)
        self.column.addLayout(self.facts)

    def fill(self, turn: Turn) -> None:
        """Show `turn`; what is missing of it was not kept, or is known to its server alone."""
        self._served = turn.is_served
        self.show_turn(turn)

    def show_turn(self, turn: Turn) -> None:
        """Fill in the values of `turn`."""
        raise NotImplementedError

    def value(self, turn: Turn) -> str:
        """The value that says most, for the scheme."""
        raise NotImplementedError

    def fact_rows(self) -> list[tuple[str, str]]:
        """Names and values as shown."""
        return [(name.text(), value.text()) for name, value in self._pairs if not name.isHidden()]

    def set_facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show names and values in two columns, which are read downwards."""
        while len(self._pairs) < len(rows):
            value = ElidedLabel("", 13)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            self._pairs.append((Label("", 13, dim=True), value))
        half = (len(rows) + 1) // 2
        missing = self.tr("only the server knows") if self._served else self.tr("not kept")
        for at, (name, value) in enumerate(self._pairs):
            name.setVisible(at < len(rows))
            value.setVisible(at < len(rows))
            if at < len(rows):
                words, known = rows[at]
                name.setText(words)
                value.setText(known or missing)
                value.setAccessibleName(f"{words}: {known or missing}")
                self.facts.addWidget(name, at % half, 2 * (at // half))
                self.facts.addWidget(value, at % half, 2 * (at // half) + 1)

    def count(self, number: int) -> str:
        """A number of tokens; "" for none, which is what was not kept."""
        return _Counts().tokens(number) if number else ""

    def seconds(self, value: float) -> str:
        """A time; "" where it was not kept."""
        return self.tr("{seconds} s").format(seconds=seconds_text(value, 2)) if value else ""

    def speed(self, value: float) -> str:
        """Tokens in a second; "" where it was not kept."""
        number = QLocale().toString(value, "f", 1 if value < 1000 else 0)
        return self.tr("{speed} tok/s").format(speed=number) if value else ""


class PromptPage(Page):
    """A page with the prompt and a way to the inspector."""

    prompt_requested = Signal()

    def __init__(self, title: str, words: str, mode: Mode) -> None:
        super().__init__(title, words)
        self.view = TokenText(self.tr("The prompt"))
        self.view.set_mode(mode)
        self.nothing = Label("", 13, dim=True, wrap=True)
        self.link = Button(self.tr("Open the prompt inspector"), height=30)
        self.link.setAccessibleName(self.link.text())
        self.link.clicked.connect(self.prompt_requested)
        self.key = Label("", 12, dim=True)
        line = QHBoxLayout()
        line.addWidget(self.key, 1)
        line.addWidget(self.link)
        self.column.addLayout(line)
        self.column.addWidget(self.nothing)
        self.column.addWidget(self.view, 1)
        self.column.addStretch(0)  # takes the room where there is no view

    def show_prompt(self, turn: Turn) -> None:
        """Its tokens, coloured by roles; or why there are none."""
        tokens = turn.tokens.prompt
        self.view.setVisible(tokens is not None)
        self.nothing.setVisible(tokens is None)
        if tokens is not None:
            self.view.set_tokens(tokens)
            self.view.set_spans(turns_of(tokens))
        elif turn.is_served:
            self.nothing.setText(
                self.tr(
                    "A server made the prompt of the messages: only it knows the tokens. The "
                    "prompt inspector shows what was sent."
                )
            )
        elif turn.trace.prompt_ids:
            self.nothing.setText(
                self.tr("Its text is shown while the checkpoint that read it is open.")
            )
        else:
            self.nothing.setText(self.tr("The tokens of this prompt were not kept."))


def roles(turn: Turn) -> list[str]:
    """The roles of the messages in the prompt: the template may have added one of the system."""
    tokens = turn.tokens.prompt
    found = [role for _, _, role in _turns(tokens)] if tokens is not None else []
    if found:
        return found[:-1]  # the last one is the answer
    return [message.role.value for message in turn.shown]


def turns_of(tokens: Tokens) -> list[Span]:
    """Each turn of a prompt in the colour of its role, where the usual marks tell them."""
    return [
        Span(start, end, COLOURS[role]) for start, end, role in _turns(tokens) if role in COLOURS
    ]


def _turns(tokens: Tokens) -> list[tuple[int, int, str]]:
    """From where to before where each turn goes, and who speaks."""
    starts = [
        index
        for index, piece in enumerate(tokens.pieces)
        if tokens.ids[index] in tokens.control and piece == _START.encode()
    ]
    found: list[tuple[int, int, str]] = []
    for start, end in pairwise([*starts, len(tokens)]):
        head = tokens.text(start + 1, min(start + ROLE, end))
        found.append((start, end, head.split("\n")[0].strip()))
    return found
