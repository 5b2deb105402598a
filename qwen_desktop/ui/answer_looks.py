"""What the window shows of one answer beside its text: details, tokens, the steps of its turn.

Dialogs are imported when they are asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.messages import Role, Status

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.models import Models
    from qwen_desktop.chat.messages import AnswerTrace, Message
    from qwen_desktop.chat.turn_tokens import TurnTokens
    from qwen_desktop.ui.answer_details import AnswerDetails
    from qwen_desktop.ui.asking import Asking
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.turn_steps import TurnSteps

LOGPROBS = "logprobs"
ALTERNATIVES = 5  # that are kept per token where somebody asks for them with one click


class AnswerLooks(QObject):
    """Belongs to the pane. One dialog of each kind at a time."""

    def __init__(self, window: MainWindow, chats: Chats, models: Models, asking: Asking) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._asking = asking
        self._details: AnswerDetails | None = None
        self._details_of = ""  # id of the answer
        self._steps: TurnSteps | None = None
        self._steps_of = ""
        chats.trace_read.connect(self._on_trace)
        chats.tokens_read.connect(self._on_tokens)
        chats.run_changed.connect(self._refresh)
        models.changed.connect(self._refresh)

    # -- details ---------------------------------------------------------------------------

    @Slot(str)
    def show(self, message_id: str) -> None:
        """Where an answer came from."""
        self._open(message_id)

    @Slot(str)
    def show_prompt(self, message_id: str) -> None:
        """What the model was given for it."""
        self._window.inspection.show_answer(message_id)

    @Slot(str)
    def show_tokens(self, message_id: str) -> None:
        """Its tokens."""
        if (dialog := self._open(message_id)) is not None:
            dialog.tabs.setCurrentWidget(dialog.tokens)
            dialog.tokens.view.setFocus()

    def _open(self, message_id: str) -> AnswerDetails | None:
        message = self._chats.current.tree.messages.get(message_id)
        if message is None:
            return None
        from qwen_desktop.ui.answer_details import AnswerDetails

        dialog = AnswerDetails(message, self._window)
        dialog.finished.connect(self._forget_details)
        dialog.fork_requested.connect(self._fork)
        dialog.logprobs_requested.connect(self._keep_logprobs)
        dialog.turn_requested.connect(self._turn_from_details)
        dialog.prompt_requested.connect(self._prompt_from_details)
        self._details, self._details_of = dialog, message_id
        self._refresh()
        dialog.open()
        self._chats.read_trace(message_id)
        return dialog

    @Slot()
    def _forget_details(self) -> None:
        self._details = None

    @Slot()
    def _refresh(self) -> None:
        """Whether a token can be gone back to now."""
        if self._details is not None:
            refusal = self._chats.fork_refusal(self._details_of)
            self._details.tokens.set_refusal(translated(refusal) if refusal is not None else "")

    @Slot(str, int, object)
    def _fork(self, message_id: str, at: int, token: int | None) -> None:
        """Make the answer anew from a token on; the dialog makes room for it."""
        if self._details is not None:
            self._details.accept()
        messages = self._chats.current.tree.messages
        answer = messages.get(message_id)
        question = messages.get(answer.parent_id or "") if answer is not None else None
        draft = Draft.of(question).written() if question is not None else ""
        self._asking.attempt(lambda: self._chats.fork(message_id, at, token), draft)

    @Slot()
    def _keep_logprobs(self) -> None:
        """From the next answer of this chat on."""
        options = self._chats.options
        values = {**options.values, LOGPROBS: ALTERNATIVES}
        self._chats.set_options(replace(options, values=values))
        if self._details is not None:
            self._details.tokens.show_switched_on()

    @Slot(str)
    def _turn_from_details(self, message_id: str) -> None:
        if self._details is not None:
            self._details.accept()
        self.show_turn(message_id)

    @Slot(str)
    def _prompt_from_details(self, message_id: str) -> None:
        if self._details is not None:
            self._details.accept()
        self.show_prompt(message_id)

    # -- the steps of a turn ---------------------------------------------------------------

    @Slot(str)
    def show_turn(self, message_id: str = "") -> None:
        """How an answer came about, the newest one unless another is named."""
        tree = self._chats.current.tree
        answer = tree.messages.get(message_id) if message_id else self._newest()
        before = tree.path(answer.parent_id) if answer is not None and answer.parent_id else ()
        from qwen_desktop.ui.turn_steps import TurnSteps

        dialog = TurnSteps(answer, before, self._window)
        dialog.finished.connect(self._forget_steps)
        dialog.prompt_requested.connect(self._prompt_from_steps)
        dialog.tokens_requested.connect(self._tokens_from_steps)
        self._steps, self._steps_of = dialog, answer.id if answer is not None else ""
        dialog.open()
        if answer is not None:
            self._chats.read_trace(answer.id)

    def _newest(self) -> Message | None:
        """The last finished answer of the shown path."""
        path = self._chats.current.tree.path()
        answers = (m for m in reversed(path) if m.role is Role.ASSISTANT)
        return next((m for m in answers if m.status is not Status.STREAMING and m.parts), None)

    @Slot()
    def _forget_steps(self) -> None:
        self._steps = None

    @Slot(str)
    def _prompt_from_steps(self, message_id: str) -> None:
        if self._steps is not None:
            self._steps.accept()
        self.show_prompt(message_id)

    @Slot(str)
    def _tokens_from_steps(self, message_id: str) -> None:
        if self._steps is not None:
            self._steps.accept()
        self.show_tokens(message_id)

    # -- what is read for them -------------------------------------------------------------

    @Slot(str, object)
    def _on_trace(self, message_id: str, trace: AnswerTrace) -> None:
        details = self._details is not None and message_id == self._details_of
        steps = self._steps is not None and message_id == self._steps_of
        if self._details is not None and details:
            self._details.set_trace(trace)
        if self._steps is not None and steps:
            self._steps.set_trace(trace)
        if details or steps:
            self._chats.read_tokens(message_id, trace.prompt_ids if steps else ())

    @Slot(str, object)
    def _on_tokens(self, message_id: str, found: TurnTokens | None) -> None:
        if self._details is not None and message_id == self._details_of:
            self._details.tokens.set_tokens(found)
        if self._steps is not None and message_id == self._steps_of:
            self._steps.set_tokens(found)
