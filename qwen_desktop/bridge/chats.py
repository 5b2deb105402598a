"""The main thread's owner of conversations: the shown one, the list, and who is answering.

QtCore only. What happens to a request is told in `answering.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.answering import Answering
from qwen_desktop.bridge.drafts import Drafts
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models, ModelState
from qwen_desktop.bridge.run import Run, RunState, last_usage
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.messages import Message, Role, pending_answer, user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.chat.summary import Summary
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

NOTHING_TYPED = Report(
    QT_TRANSLATE_NOOP("errors", "There is nothing to send."),
    QT_TRANSLATE_NOOP("errors", "Type a message first."),
)
NO_MODEL = Report(
    QT_TRANSLATE_NOOP("errors", "No checkpoint is open."),
    QT_TRANSLATE_NOOP("errors", "Open a checkpoint folder first (Ctrl+O)."),
)
LOADING = Report(
    QT_TRANSLATE_NOOP("errors", "The checkpoint is still loading."),
    QT_TRANSLATE_NOOP("errors", "Your text stays here; send it when loading has ended."),
)


class Chats(QObject):
    """Owns the shown conversation and the list of all. Made by the application.

    Signals: see each line. Messages, conversations and reports are frozen values.
    """

    started = Signal()  # the store has been opened, or cannot be
    leaving = Signal()  # another conversation is about to be shown: tell what is typed
    summaries_changed = Signal(object)  # tuple[Summary, ...], newest first
    opened = Signal(object)  # Conversation: show this one
    message_added = Signal(object)  # Message at the end of the shown path
    message_changed = Signal(object)  # Message of the shown conversation
    rewound = Signal(object)  # Conversation: the shown path changed otherwise
    run_changed = Signal(object)  # RunState
    usage = Signal(object)  # Usage in the shown conversation, or None
    draft_restored = Signal(str)  # text for the composer
    deleted = Signal(str, str)  # conversation id, title
    problem = Signal(object)  # Report
    answer_saved = Signal(object)  # Message, as it stands on disk

    def __init__(
        self,
        store: StoreClient,
        engine: EngineClient,
        models: Models,
        settings: Callable[[], GenerationSettings],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._models = models
        self._settings = settings
        self._current = Conversation()
        self._is_new = True  # the current conversation has no row yet
        self._wanted = ""  # the conversation being read from disk
        self._summaries: tuple[Summary, ...] = ()
        self._reports: dict[str, Report] = {}  # of failed answers, by message
        self._drafts = Drafts(store, self)
        self._held_draft = ""  # typed while the message before it is not on disk yet
        self._answering = Answering(store, engine, self)
        self._answering.refused.connect(self._on_refused)
        self._answering.stored.connect(self._on_stored)
        self._answering.grown.connect(self._on_grown)
        self._answering.ticked.connect(self._on_ticked)
        self._answering.ended.connect(self._on_ended)
        self._answering.saved.connect(self._on_saved)
        self._answering.problem.connect(self.problem)
        models.changed.connect(self._on_model)
        store.problem.connect(self.problem)

    # -- what is shown ---------------------------------------------------------------------

    @property
    def current(self) -> Conversation:
        """The shown conversation."""
        return self._current

    @property
    def run(self) -> RunState:
        """The run under way, or an idle state."""
        run = self._answering.run
        return run.state() if run else RunState()

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """The rows of the list, newest first."""
        return self._summaries

    def report_for(self, message_id: str) -> Report | None:
        """Why an answer failed, for those of this run of the program."""
        return self._reports.get(message_id)

    def start(self, conversation_id: str) -> None:
        """Read the list and the drafts, and open the conversation that was open last."""

        def read(store: Store) -> tuple[tuple[Summary, ...], dict[str, str]]:
            return store.summaries(), dict(store.drafts())

        def show(result: tuple[tuple[Summary, ...], dict[str, str]]) -> None:
            summaries, drafts = result
            self.leaving.emit()
            self._drafts.fill(drafts)
            self._set_summaries(summaries)
            if any(row.id == conversation_id for row in summaries):
                self.open(conversation_id)
            else:
                self._restore_draft()
            self.started.emit()

        def failed(report: Report) -> None:
            self.problem.emit(report)
            self._restore_draft()
            self.started.emit()

        self._store.submit(read, show, failed)

    def new(self) -> None:
        """Show an empty conversation; it gets a row with its first message."""
        self._show(Conversation(), is_new=True)

    def open(self, conversation_id: str) -> None:
        """Show a conversation; late answers to earlier calls are dropped."""
        run = self._answering.run
        if run is not None and conversation_id == run.conversation.id:
            self._show(run.conversation, is_new=run.is_new and not run.stored)
            return
        self._wanted = conversation_id

        def show(conversation: Conversation) -> None:
            if self._wanted == conversation.id:
                self._show(conversation, is_new=False)

        def failed(report: Report) -> None:
            if self._wanted == conversation_id:
                self._show(self._current, is_new=self._is_new)  # at the start nothing is shown yet
            self.problem.emit(report)

        self._store.submit(lambda store: store.load(conversation_id), show, failed)

    def _show(self, conversation: Conversation, *, is_new: bool) -> None:
        self._wanted = ""
        self.leaving.emit()
        self._current = conversation
        self._is_new = is_new
        self.opened.emit(conversation)
        self._emit_usage()
        self._restore_draft()

    def _restore_draft(self) -> None:
        text, run = self._drafts.text(self._draft_key()), self._answering.run
        if run is not None and not run.stored and self._is_new and text == run.typed:
            text = ""  # the draft on disk is a message on its way, in another new chat
        self.draft_restored.emit(text)

    def _draft_key(self) -> str:
        return "" if self._is_new else self._current.id

    def set_draft(self, text: str) -> None:
        """Keep what is typed; on disk within a second."""
        run = self._answering.run
        if run is not None and not run.stored and self._is_shown(run):
            self._held_draft = text  # the draft on disk is still the message being sent
        else:
            self._drafts.set(self._draft_key(), text)

    def _is_shown(self, run: Run) -> bool:
        return run.conversation.id == self._current.id

    # -- asking ----------------------------------------------------------------------------

    def ask(self, text: str) -> bool:
        """Send `text`. False if it was refused: a problem was emitted, keep the text."""
        refusal = NOTHING_TYPED if not text.strip() else self._refusal()
        if refusal is not None:
            self.problem.emit(refusal)
            return False
        tree = self._current.tree
        message = user_message(text, tree.head)
        answer = pending_answer(message.id, self._model_name())
        run = self._run_for(tree.added(message).added(answer), answer, typed=text)
        self.message_added.emit(message)
        self.message_added.emit(answer)
        self._begin(run)
        return True

    def retry(self, message_id: str) -> None:
        """Answer again below the same user message, as a new branch."""
        tree = self._current.tree
        old = tree.messages.get(message_id)
        if old is None or old.role is not Role.ASSISTANT or old.parent_id is None:
            return
        if (refusal := self._refusal()) is not None:
            self.problem.emit(refusal)
            return
        answer = pending_answer(old.parent_id, self._model_name())
        run = self._run_for(tree.added(answer), answer, typed="")
        self.rewound.emit(self._current)
        self._begin(run)

    def stop(self) -> None:
        """End the run; the text is kept."""
        self._answering.stop()

    def _refusal(self) -> Report | None:
        if (run := self._answering.run) is not None:
            return Report(
                QT_TRANSLATE_NOOP("errors", "An answer is still being written in “{title}”."),
                QT_TRANSLATE_NOOP("errors", "Wait for it or stop it."),
                {"title": run.state().title},
            )
        if self._models.state.busy:
            return LOADING
        return None if self._models.state.info else NO_MODEL

    def _model_name(self) -> str:
        info = self._models.state.info
        return info.name if info else ""

    def _run_for(self, tree: Tree, answer: Message, typed: str) -> Run:
        before = self._current
        self._current = replace(before, tree=tree, updated_at=time.time())
        request = GenerationRequest(
            conversation_id=before.id,
            # An answer that ended before its first word would only be an empty turn.
            messages=tuple(
                m for m in tree.path(answer.parent_id) if m.role is not Role.ASSISTANT or m.text
            ),
            settings=self._settings(),
        )
        return Run(before, self._current, answer, request, typed, self._is_new)

    def _begin(self, run: Run) -> None:
        self._held_draft = ""
        self._answering.begin(run)
        self.run_changed.emit(self.run)

    @Slot(object, object)
    def _on_refused(self, run: Run, report: Report | None) -> None:
        """Take back a request that is not on disk (None: by Stop); nothing of it is lost."""
        self.run_changed.emit(self.run)
        self._keep_typed(run)
        if self._is_shown(run):
            self._current = run.before
            self.rewound.emit(run.before)
        if run.typed and self._draft_key() == _draft_key_of(run):
            # What was typed meanwhile is still in the composer, which puts it below.
            self.draft_restored.emit(run.typed)
        if report is not None:
            self.problem.emit(report)

    def _keep_typed(self, run: Run) -> None:
        """Make a draft of a message that does not get on disk, and of what was typed after it."""
        if run.typed:
            key = _draft_key_of(run)
            texts = [run.typed, self._held_draft]
            if (kept := self._drafts.text(key)) not in texts:
                texts.append(kept)  # typed in another new chat
            self._drafts.set(key, "\n".join(text for text in texts if text))

    @Slot(object)
    def _on_stored(self, run: Run) -> None:
        if run.is_new and (self._is_shown(run) or self._drafts.text("") == run.typed):
            self._drafts.set("", "")  # unless it is of another new chat by now
        if run.typed:
            self._drafts.set(run.conversation.id, self._held_draft)
        if self._is_shown(run):
            self._is_new = False
        self._update_summary(run.conversation, is_new=run.is_new)

    @Slot(object)
    def _on_grown(self, run: Run) -> None:
        if self._is_shown(run):
            self._current = run.conversation
            self.message_changed.emit(run.answer)

    @Slot(object)
    def _on_ticked(self, run: Run) -> None:
        self.run_changed.emit(run.state())
        if self._is_shown(run):
            self._emit_usage()

    @Slot(object, object)
    def _on_ended(self, run: Run, report: Report | None) -> None:
        if report is not None:
            self._reports[run.answer.id] = report
        self._on_grown(run)
        self.run_changed.emit(self.run)
        self._emit_usage()
        self._update_summary(run.conversation)

    @Slot(object)
    def _on_saved(self, run: Run) -> None:
        self.answer_saved.emit(run.answer)

    def _emit_usage(self) -> None:
        run = self._answering.run
        if run is not None and run.usage is not None and self._is_shown(run):
            self.usage.emit(run.usage)
            return
        info = self._models.state.info
        path = self._current.tree.path()
        self.usage.emit(last_usage(path, info) if info else None)

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        if not state.busy:
            self._emit_usage()

    # -- the list --------------------------------------------------------------------------

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation a title of the user's own."""
        title = " ".join(title.split())
        if not title:
            return
        if (run := self._answering.run) is not None and run.conversation.id == conversation_id:
            run.conversation = replace(run.conversation, title=title)
        if self._current.id == conversation_id:
            self._current = replace(self._current, title=title)
        self._set_summaries(
            replace(row, title=title) if row.id == conversation_id else row
            for row in self._summaries
        )
        self._store.submit(lambda store: store.rename(conversation_id, title))

    def delete(self, conversation_id: str) -> None:
        """Take a conversation off the list; `undo_delete` brings it back."""
        row = next((row for row in self._summaries if row.id == conversation_id), None)
        if row is None:
            return
        if (run := self._answering.run) is not None and run.conversation.id == conversation_id:
            self.stop()
        self._set_summaries(r for r in self._summaries if r.id != conversation_id)
        if self._current.id == conversation_id:
            self.new()
        self._store.submit(lambda store: store.delete(conversation_id))
        self.deleted.emit(conversation_id, row.title)

    def undo_delete(self, conversation_id: str) -> None:
        """Bring a deleted conversation back and show it."""

        def restore(store: Store) -> tuple[Summary, ...]:
            store.restore(conversation_id)
            return store.summaries()

        def show(summaries: tuple[Summary, ...]) -> None:
            self._set_summaries(summaries)
            self.open(conversation_id)

        self._store.submit(restore, show)

    def _update_summary(self, conversation: Conversation, *, is_new: bool = False) -> None:
        row = conversation.summary()
        others = [r for r in self._summaries if r.id != row.id]
        if is_new or len(others) < len(self._summaries):  # else it has been deleted meanwhile
            self._set_summaries((row, *others))

    def _set_summaries(self, summaries: Iterable[Summary]) -> None:
        self._summaries = tuple(sorted(summaries, key=lambda row: -row.updated_at))
        self.summaries_changed.emit(self._summaries)

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """Keep everything: an answer being written stays with its text, as interrupted."""
        unstored = self._answering.close()
        if unstored is not None:
            self._keep_typed(unstored)
        self._drafts.save_now()


def _draft_key_of(run: Run) -> str:
    """Under which key the draft of the conversation was before `run`."""
    return "" if run.is_new else run.before.id
