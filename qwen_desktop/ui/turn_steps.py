"""How a turn works: its stages one by one, filled with the values of a real one."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from qwen_desktop.chat.messages import AnswerTrace, Message
from qwen_desktop.chat.tree import one_line
from qwen_desktop.chat.turn_tokens import TurnTokens
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, ElidedLabel, Label, ScrollBar
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.turn_page import Page, PromptPage, Turn
from qwen_desktop.ui.turn_pages import (
    AssemblePage,
    DecodePage,
    PrefillPage,
    StopPage,
    TokenisePage,
)
from qwen_desktop.ui.turn_scheme import Scheme, Stage

SIZE = (880, 700)
TITLE = 60  # characters of the question
_STEPS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Up: -1,
    Qt.Key.Key_PageUp: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_Down: 1,
    Qt.Key.Key_PageDown: 1,
}


class TurnSteps(Dialog):
    """One turn, or none yet: then the explanations alone. `set_trace`, `set_tokens` bring more.

    Signals, with the id of the answer: `prompt_requested`, `tokens_requested`.
    """

    prompt_requested = Signal(str)
    tokens_requested = Signal(str)

    def __init__(
        self, answer: Message | None, before: tuple[Message, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__("turnSteps", self.tr("How a turn works"), parent)
        self._turn = Turn(answer, before) if answer is not None else None
        self._stage = Stage.ASSEMBLE
        self.resize(*SIZE)
        self.setMinimumSize(680, 440)
        self._build()
        self.show_stage(Stage.ASSEMBLE)
        self._fill()
        self.scheme.boxes[0].setFocus()

    # -- building --------------------------------------------------------------------------

    def _build(self) -> None:
        self.about = ElidedLabel(self._about(), 13, dim=True)
        self.scheme = Scheme(
            (
                self.tr("Assemble"),
                self.tr("Tokenise"),
                self.tr("Prefill"),
                self.tr("Decode"),
                self.tr("Stop"),
            ),
            self.tr("again for each token"),
            self.tr("the KV cache stays for the next turn"),
        )
        self.scheme.chosen.connect(self.show_stage)
        self.assemble, self.tokenise, self.prefill = AssemblePage(), TokenisePage(), PrefillPage()
        self.decode, self.stop = DecodePage(), StopPage()
        self.pages: tuple[Page, ...] = (
            self.assemble,
            self.tokenise,
            self.prefill,
            self.decode,
            self.stop,
        )
        self.stack = QStackedWidget()
        for page in self.pages:
            self.stack.addWidget(_scrolled(page))
            if isinstance(page, PromptPage):
                page.prompt_requested.connect(self._ask_prompt)
        self.decode.tokens_requested.connect(self._ask_tokens)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 14)
        column.setSpacing(8)
        column.addWidget(self.about)
        column.addWidget(self.scheme)
        column.addWidget(self.stack, 1)
        column.addLayout(self._bottom())
        for box in self.scheme.boxes:
            box.installEventFilter(self)

    def _bottom(self) -> QHBoxLayout:
        self.back = Button(self.tr("Back"), height=32)
        self.back.setAccessibleName(self.back.text())
        self.back.clicked.connect(lambda: self.step(-1))
        self.next = Button(self.tr("Next"), kind="primary", height=32)
        self.next.setAccessibleName(self.next.text())
        self.next.clicked.connect(lambda: self.step(1))
        self.place = Label("", 13, dim=True)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.back)
        line.addWidget(self.next)
        line.addWidget(self.place)
        line.addStretch(1)
        line.addWidget(self.close_box())
        return line

    def _about(self) -> str:
        turn = self._turn
        if turn is None:
            return self.tr("There is no answer yet: ask something, and its values stand here.")
        question = next((m.text for m in reversed(turn.before) if m.text), "")
        words = one_line(question, TITLE)
        model = turn.stats.model or "Qwen"
        return f"{model} · “{words}”" if words else model

    # -- content ---------------------------------------------------------------------------

    def set_trace(self, trace: AnswerTrace) -> None:
        """What is read from the disk."""
        if self._turn is not None:
            turn = self._turn
            self._turn = Turn(turn.answer, turn.before, trace, turn.tokens)
            self._fill()

    def set_tokens(self, tokens: TurnTokens | None) -> None:
        """The texts of the tokens, as far as the open checkpoint can tell them."""
        if self._turn is not None and tokens is not None:
            turn = self._turn
            self._turn = Turn(turn.answer, turn.before, turn.trace, tokens)
            self._fill()

    def _fill(self) -> None:
        turn = self._turn
        for page, box in zip(self.pages, self.scheme.boxes, strict=True):
            if turn is not None:
                page.fill(turn)
                box.set_value(page.value(turn))
            elif isinstance(page, PromptPage):
                page.view.hide()
                page.link.setEnabled(False)
        if turn is None:
            self.prefill.bar.hide()
            self.decode.link.setEnabled(False)

    # -- steps -----------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        """The one that is shown."""
        return self._stage

    @Slot(object)
    def show_stage(self, stage: Stage) -> None:
        """Show a stage."""
        self._stage = stage
        self.stack.setCurrentIndex(stage.value)
        self.scheme.set_current(stage)
        self.back.setEnabled(stage.value > 0)
        self.next.setEnabled(stage.value < len(Stage) - 1)
        words = self.tr("Step {number} of {count}")
        self.place.setText(words.format(number=stage.value + 1, count=len(Stage)))

    def step(self, by: int) -> None:
        """To the stage before or after; not around the ends."""
        at = self._stage.value + by
        if not 0 <= at < len(Stage):
            return
        focused = self.focusWidget()
        self.show_stage(Stage(at))
        # A button that has gone grey, or a part of the page before, has nothing to do any more.
        if focused in self.scheme.boxes or not (focused and focused.isEnabled()):
            self.scheme.boxes[at].setFocus(Qt.FocusReason.TabFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows step, where nothing inside has taken them."""
        if (by := _STEPS.get(Qt.Key(event.key()))) is not None:
            self.step(by)
            return
        super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A stage that the focus comes to is not shown by that: Space or Enter choose it."""
        if (
            event.type() == QEvent.Type.KeyPress
            and isinstance(event, QKeyEvent)
            and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        ):
            self.scheme.boxes[self.scheme.boxes.index(watched)].click()  # type: ignore[arg-type]
            return True
        return super().eventFilter(watched, event)

    @Slot()
    def _ask_prompt(self) -> None:
        if self._turn is not None:
            self.prompt_requested.emit(self._turn.answer.id)

    @Slot()
    def _ask_tokens(self) -> None:
        if self._turn is not None:
            self.tokens_requested.emit(self._turn.answer.id)


def _scrolled(page: Page) -> QWidget:
    """A page that is higher than its place scrolls; one with a long view of its own does that."""
    if isinstance(page, PromptPage):
        page.view.setMinimumHeight(theme.px(90))
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, area))
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(page)
    return area
