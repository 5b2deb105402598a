"""The main thread's owner of conversations: the shown one, the list, and who is answering.

QtCore only. What can be done without a model is in `reading.py`. What happens to a request is told
in `answering.py`; how it is made in `asking.py`; what is shown and chosen in `shown.py`, what is
typed in `composing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import asking, forking
from qwen_desktop.bridge.alarms import Alarms
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.reading import Reading
from qwen_desktop.bridge.run import Run
from qwen_desktop.bridge.saving import Unsaved
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.chat.settings import Value
from qwen_desktop.errors import Report


class Chats(Reading):
    """Asks about the shown conversation and follows the answer. Made by the application.

    Signals, besides those of `Reading`: see each line.
    """

    message_added = Signal(object)  # Message at the end of the shown path
    overflowed = Signal(object)  # PromptCount: not sent; the user is to choose what is left out
    agreement_wanted = Signal(object)  # RemoteTarget: not sent; everything said would go there
    alarm = Signal(object)  # Alarm
    answer_saved = Signal(object)  # Message, as it stands on disk
    answered = Signal(object)  # Run, its answer complete; reading ahead has begun

    def __init__(
        self,
        store: StoreClient,
        engine: EngineClient,
        models: Models,
        general: Callable[[], Mapping[str, Value]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(store, engine, models, general, parent)
        self._reports: dict[str, Report] = {}  # of failed answers, by message
        self.alarms = Alarms(self)
        self._answering.refused.connect(self._on_refused)
        self._answering.overflowed.connect(self._on_overflowed)
        self._answering.stored.connect(self._on_stored)
        self._answering.grown.connect(self._on_grown)
        self._answering.ticked.connect(self._on_ticked)
        self._answering.ended.connect(self._on_ended)
        self._answering.saved.connect(self._on_saved)
        self._answering.alarm.connect(self.alarms.take)
        self._answering.problem.connect(self.problem)
        self.alarms.changed.connect(self.alarm)
        models.changed.connect(self.alarms.follow)

    def report_for(self, message_id: str) -> Report | None:
        """Why an answer failed, for those of this run of the program."""
        return self._reports.get(message_id)

    # -- asking ----------------------------------------------------------------------------

    def ask(self, text: str) -> bool:
        """Send `text`. False if it was refused: a problem was emitted, keep the text."""
        if not self._is_free(text):
            return False
        run = asking.ask(self.current, text, self._terms(), is_new=self._shown.is_new)
        self._shown.change(run.conversation)
        self.message_added.emit(run.question)
        self.message_added.emit(run.answer)
        self._begin(run)
        return True

    def edit(self, message_id: str, text: str) -> bool:
        """Say `text` in place of an earlier message, as a branch. False if it was refused."""
        old = self.current.tree.messages.get(message_id)
        if old is None or old.role is not Role.USER:
            return False
        if not self._is_free(None if old.files else text):  # files need no text
            return False
        self._begin_elsewhere(asking.edit(self.current, old, text, self._terms()))
        return True

    def retry(self, message_id: str) -> None:
        """Answer a user's message, again if it was: below it, as a new version of the answer.

        `message_id` is that of the message or of one of its answers.
        """
        old = self.current.tree.messages.get(message_id)
        if old is None or (old.role is Role.ASSISTANT and old.parent_id is None):
            return
        if self._is_free():
            self._begin_elsewhere(asking.retry(self.current, old, self._terms()))

    def resume(self, message_id: str, presence_penalty: float | None = None) -> None:
        """Go on with an answer that was cut, with a presence penalty of its own if there is one."""
        old = self.current.tree.messages.get(message_id)
        if old is None or old.role is not Role.ASSISTANT or not old.status.is_cut:
            return
        if not self._is_free():
            return
        if self.current.tree.head != message_id:
            self.problem.emit(asking.NOT_THE_LAST)
            return
        run = asking.resume(self.current, old, presence_penalty, self._terms())
        self._shown.change(run.conversation)
        self.message_changed.emit(run.answer)
        self._begin(run)

    def fork(self, message_id: str, at: int, token: int | None = None) -> bool:
        """Write an answer anew from its token number `at` on, as a version beside it.

        `token` comes there where one was picked. False if it was refused: a problem was emitted.
        """
        old = self.current.tree.messages.get(message_id)
        if old is None or not 0 <= at < len(old.token_ids):
            return False
        if (refusal := self.fork_refusal(message_id)) is not None:
            self.problem.emit(refusal)
            return False
        self._begin_elsewhere(asking.fork(self.current, Fork(old, at, token), self._terms()))
        return True

    def fork_refusal(self, message_id: str) -> Report | None:
        """Why an answer cannot be written anew from a token on now; None where it can."""
        state, message = self._models.state, self.current.tree.messages.get(message_id)
        refusal = forking.NOT_THERE if self.place.is_remote else None
        if refusal is None and message is not None:
            refusal = forking.refusal(message, state.info)
        refusal = refusal or asking.refusal(None, state, self._answering.run)
        return refusal or self._store.read_only

    def stop(self) -> None:
        """End the run; the text is kept."""
        self._answering.stop()

    def _is_free(self, text: str | None = None) -> bool:
        """Whether a request can be made, one with `text`; if not, a problem is emitted."""
        place = self.place
        refusal = asking.refusal(text, self._models.state, self._answering.run, place)
        refusal = refusal or self._store.read_only
        if refusal is not None:
            self.problem.emit(refusal)
        elif not place.is_agreed:
            self.agreement_wanted.emit(place.target)
        return refusal is None and place.is_agreed

    def _begin_elsewhere(self, run: Run) -> None:
        """Begin a run whose answer does not stand below what was shown."""
        self._shown.change(run.conversation)
        self._show_path()
        self._begin(run)

    def _begin(self, run: Run) -> None:
        if self.list.is_deleted(run.conversation.id):
            self.list.restore((run.conversation.id,))
        self._composing.begin()
        self._answering.begin(run)
        self._context.begin()
        self.run_changed.emit(self.run)

    # -- what becomes of it ----------------------------------------------------------------

    @Slot(object, object)
    def _on_refused(self, run: Run, report: Report | None) -> None:
        """Take back a request that is not on disk (None: by Stop); nothing of it is lost."""
        self._take_back(run)
        if report is not None:
            self.problem.emit(report)

    @Slot(object, object)
    def _on_overflowed(self, run: Run, count: PromptCount) -> None:
        self._take_back(run)
        self.overflowed.emit(count)

    def _take_back(self, run: Run) -> None:
        self.run_changed.emit(self.run)
        conversation = run.taken_back()
        if not run.is_new:
            self._shown.settle(run.before, conversation)
        is_for_composer = self._composing.take_back(run)
        if self._shown.is_of(run):
            self._shown.change(conversation)
            self._show_path()
        if is_for_composer:
            # What was typed meanwhile is still in the composer, which puts it below.
            self.draft_restored.emit(run.typed)

    @Slot(object)
    def _on_stored(self, run: Run) -> None:
        self._composing.is_stored(run)
        if self._shown.is_of(run):
            self._shown.is_new = False
        if run.written is not None:
            self._shown.settle(run.written, run.conversation)
        self.list.update(run.conversation, is_new=run.is_new)

    @Slot(object)
    def _on_grown(self, run: Run) -> None:
        if self._shown.is_of(run):
            self._shown.change(run.conversation)
            if self._shown.shows(run):
                self.message_changed.emit(run.answer)

    @Slot(object)
    def _on_ticked(self, run: Run) -> None:
        self.run_changed.emit(self.run)
        if self._shown.shows(run):
            self._context.follow()

    @Slot(object, object)
    def _on_ended(self, run: Run, report: Report | None) -> None:
        if not run.undone:
            self._reports.pop(run.answer.id, None)
            if report is not None:
                self._reports[run.answer.id] = report
        self._on_grown(run)
        self.run_changed.emit(self.run)
        self._context.end()
        self.list.update(run.conversation)
        if run.answer.status is Status.COMPLETE and not self.list.is_deleted(run.conversation.id):
            self._engine.prepare(run.next_request())
            self.answered.emit(run)
        if run.undone and report is not None:
            self.problem.emit(report)

    @Slot(object)
    def _on_saved(self, run: Run) -> None:
        self.answer_saved.emit(run.answer)

    # -- the list --------------------------------------------------------------------------

    def set_title_by_model(self, conversation_id: str, title: str) -> None:
        """Take a title that the model has made, unless the conversation was given one before."""
        self.list.suggest_title(conversation_id, title)

    # -- the end ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Give the store what is typed and what the run has said so far."""
        self._composing.save_now()
        self._answering.flush()

    def unsaved(self) -> Unsaved:
        """What is shown, being answered or typed: all that may not be on disk."""
        shown = (self.current,) if self.current.tree.messages else ()
        runs = [run.conversation for run in self._answering.unsaved]
        return Unsaved.of((*runs, *shown), self._composing.drafts)

    def close(self) -> None:
        """Keep everything: an answer being written stays with its text, as interrupted."""
        unstored = self._answering.close()
        if unstored is not None:
            self._composing.take_back(unstored)
        self._composing.save_now()
