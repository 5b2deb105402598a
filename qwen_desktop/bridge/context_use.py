"""What the shown conversation takes of the context, and what the model does not see of it.

Lives on the main thread. QtCore only.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.answering import Answering
from qwen_desktop.bridge.asking import Terms
from qwen_desktop.bridge.counting import PromptCounter
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models, ModelState
from qwen_desktop.bridge.run import last_usage
from qwen_desktop.bridge.shown import Shown
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.ledger import Forecast
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.errors import Report


class ContextUse(QObject):
    """Follows the run where its answer is shown, else counts what would be sent next."""

    usage = Signal(object)  # Usage, or None
    counted = Signal(object)  # PromptCount of the draft and all before it, why not, or None
    forecast = Signal(object)  # Forecast of the shown conversation; None where none is known
    unseen_changed = Signal(object)  # tuple[str, ...]: ids of messages
    asked = Signal(object)  # GenerationRequest that is counted, with the draft; None: not now

    def __init__(
        self,
        engine: EngineClient,
        models: Models,
        shown: Shown,
        answering: Answering,
        terms: Callable[[], Terms],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._models = models
        self._shown = shown
        self._answering = answering
        self._terms = terms
        self._unseen: tuple[str, ...] = ()  # as told
        self._forecast: Forecast | None = None  # as told; it holds while an answer is written
        self._counter = PromptCounter(engine, self._request, self)
        self._counter.counted.connect(self._on_counted)
        self._counter.asked.connect(self.asked)
        models.changed.connect(self._on_model)

    def request(self) -> GenerationRequest | None:
        """What would be sent now, with the draft; None where nothing can be."""
        return self._counter.request()

    def count(self, text: str) -> None:
        """The draft has changed: count with it."""
        self._counter.set_text(text)

    def count_again(self) -> None:
        """Settings have changed, or messages."""
        self._counter.refresh()

    def show(self, draft: str) -> None:
        """Another conversation is shown; its composer holds `draft`."""
        self._foresee(None)
        self._emit_usage()
        self._counter.start_over(draft)
        self._emit_unseen(again=True)

    def show_path(self) -> None:
        """Another path of the same conversation is shown."""
        self._emit_usage()
        self._counter.refresh()
        self._emit_unseen(again=True)

    def begin(self) -> None:
        """A run begins: it tells from now on."""
        self._counter.start_over()

    def follow(self) -> None:
        """A run whose answer is shown has something to tell."""
        self._emit_usage()
        self._emit_unseen()

    def end(self) -> None:
        """The run has ended."""
        self.follow()
        self._counter.refresh()

    def _request(self, text: str) -> GenerationRequest | None:
        state, terms = self._models.state, self._terms()
        is_ready = state.info is not None and not state.busy
        if terms.place.is_remote:
            is_ready = terms.place.target is not None
        if self._answering.run is not None or not is_ready:
            return None
        conversation = self._shown.conversation
        draft = Draft.read(text)
        message = user_message(draft.text, conversation.tree.head, draft.files)
        messages = (*asking.said(conversation.tree, conversation.tree.head), message)
        return terms.request(conversation, messages)

    @Slot(object)
    def _on_counted(self, count: PromptCount | Report | None) -> None:
        self.counted.emit(count)
        if isinstance(count, PromptCount):
            self._foresee(count.forecast)
        self._emit_unseen()

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        if not state.busy:
            self._emit_usage()
        if state.info is None or state.busy:
            self._foresee(None)
        if not self._terms().place.is_remote:  # a server's is none of its business
            self._counter.start_over()

    def _foresee(self, forecast: Forecast | None) -> None:
        if forecast != self._forecast:
            self._forecast = forecast
            self.forecast.emit(forecast)

    def _emit_usage(self) -> None:
        run = self._answering.run
        if run is not None and run.usage is not None and self._shown.shows(run):
            self.usage.emit(run.usage)
            return
        info, terms = self._models.state.info, self._terms()
        length = info.context_length if info is not None and not terms.place.is_remote else 0
        path = self._shown.path
        self.usage.emit(last_usage(path, terms.model, length) if terms.model else None)

    def _emit_unseen(self, *, again: bool = False) -> None:
        """Tell what the model does not see, if that changed or `again`."""
        unseen = self._unseen_now()
        if again or unseen != self._unseen:
            self._unseen = unseen
            self.unseen_changed.emit(unseen)

    def _unseen_now(self) -> tuple[str, ...]:
        """By the run, by what was counted, or as the last answer remembers it."""
        run, count = self._answering.run, self._counter.count
        if run is not None and run.unseen is not None and self._shown.shows(run):
            return run.unseen
        if count is not None:
            return count.unseen
        answers = (m.provenance for m in reversed(self._shown.path) if m.provenance is not None)
        last = next(answers, None)
        return last.unseen if last is not None else ()
