"""The main thread's owner of conversations: the shown one, the list, and who is answering.

QtCore only. What happens to a request is told in `answering.py`; how it is made in `asking.py`;
what is shown and chosen in `shown.py`, what is typed in `composing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.alarms import Alarms
from qwen_desktop.bridge.answering import Answering
from qwen_desktop.bridge.asking import Terms
from qwen_desktop.bridge.chat_list import ChatList
from qwen_desktop.bridge.composing import Composing
from qwen_desktop.bridge.context_use import ContextUse
from qwen_desktop.bridge.drafts import Drafts
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.run import Run, RunState
from qwen_desktop.bridge.saving import Unsaved
from qwen_desktop.bridge.shown import Shown
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.chat.summary import Place, Summary
from qwen_desktop.chat.tree import Conversation, reading_branch
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.bridge.list_pages import ListRead
    from qwen_desktop.storage.store import Store


class Chats(QObject):
    """Owns the shown conversation and the list of all. Made by the application.

    Signals: see each line. Messages, conversations and reports are frozen values. `general` gives
    the general settings by name; `on_setting` is to be told when one changes.
    """

    started = Signal()  # the store has been opened, or cannot be
    leaving = Signal()  # another conversation is about to be shown: tell what is typed
    opened = Signal(object)  # Conversation: show this one
    jump_requested = Signal(str)  # message of the shown path: bring it into view
    message_added = Signal(object)  # Message at the end of the shown path
    message_changed = Signal(object)  # Message of the shown path
    rewound = Signal(object)  # Conversation: the shown path changed otherwise
    run_changed = Signal(object)  # RunState
    usage = Signal(object)  # Usage in the shown conversation, or None
    counted = Signal(object)  # PromptCount of the draft and all before it; Report: why not; None
    unseen_changed = Signal(object)  # tuple[str, ...]: messages the model does not see
    options_changed = Signal(object)  # ChatOptions, or the general settings below them: `values`
    overflowed = Signal(object)  # PromptCount: not sent; the user is to choose what is left out
    alarm = Signal(object)  # Alarm
    trace_read = Signal(str, object)  # message id, AnswerTrace
    draft_restored = Signal(str)  # text for the composer
    problem = Signal(object)  # Report
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
        super().__init__(parent)
        self._store = store
        self._engine = engine
        self._models = models
        self._general = general
        self._wanted = ("", "")  # the conversation being read from disk, the message to go to
        self._left = ""  # the conversation that was shown when it was deleted
        self._reports: dict[str, Report] = {}  # of failed answers, by message
        self._answering = Answering(store, engine, self)
        self._shown = Shown(store, self._answering)
        self._composing = Composing(Drafts(store, self), self._shown, self._answering)
        self.list = ChatList(store, self)
        self._context = ContextUse(engine, models, self._shown, self._answering, self._terms, self)
        self._alarms = Alarms(self)
        self._answering.refused.connect(self._on_refused)
        self._answering.overflowed.connect(self._on_overflowed)
        self._answering.stored.connect(self._on_stored)
        self._answering.grown.connect(self._on_grown)
        self._answering.ticked.connect(self._on_ticked)
        self._answering.ended.connect(self._on_ended)
        self._answering.saved.connect(self._on_saved)
        self._answering.alarm.connect(self._alarms.take)
        self._answering.problem.connect(self.problem)
        self._alarms.changed.connect(self.alarm)
        self._context.usage.connect(self.usage)
        self._context.counted.connect(self.counted)
        self._context.unseen_changed.connect(self.unseen_changed)
        self.list.renamed.connect(self._shown.rename)
        self.list.deleted.connect(self._on_deleted)
        self.list.restored.connect(self._on_restored)
        self.list.removed.connect(self._on_removed)
        models.changed.connect(self._alarms.follow)
        store.problem.connect(self.problem)

    # -- what is shown ---------------------------------------------------------------------

    @property
    def current(self) -> Conversation:
        """The shown conversation."""
        return self._shown.conversation

    @property
    def options(self) -> ChatOptions:
        """What the shown conversation wants."""
        return self.current.options

    @property
    def values(self) -> Mapping[str, Value]:
        """The settings in effect for the shown conversation: general ones and its own."""
        return asking.values_in_effect(self._general(), self.options)

    @property
    def recommended(self) -> Mapping[str, float]:
        """What the open model's sampling values are where none is set, in the mode chosen now."""
        info = self._models.state.info
        if info is None:
            return {}
        return dict(info.thinking_sampling if self.values["thinking"] else info.sampling)

    @property
    def run(self) -> RunState:
        """The run under way, or an idle state."""
        run = self._answering.run
        if run is None:
            return RunState()
        hidden = self._shown.is_of(run) and not self._shown.shows(run)
        return replace(run.state(), answer_id="") if hidden else run.state()

    def report_for(self, message_id: str) -> Report | None:
        """Why an answer failed, for those of this run of the program."""
        return self._reports.get(message_id)

    def start(self, conversation_id: str) -> None:
        """Read the list and the drafts, and open the conversation that was open last."""
        read_list = self.list.reading()

        def read(store: Store) -> tuple[Mapping[str, str], ListRead, tuple[Summary, ...]]:
            return store.drafts(), read_list(store), store.listing.rows((conversation_id,))

        def show(found: tuple[Mapping[str, str], ListRead, tuple[Summary, ...]]) -> None:
            drafts, rows, last = found
            self.leaving.emit()
            self._composing.fill(drafts)
            self.list.take(rows)
            if last and last[0].place is not Place.BIN:
                self.open(conversation_id)
            else:
                self.draft_restored.emit(self._composing.text)
            self.started.emit()
            self.list.remove_old()

        def failed(report: Report) -> None:
            self.problem.emit(report)
            self.draft_restored.emit(self._composing.text)
            self.started.emit()

        self._store.submit(read, show, failed)

    def new(self) -> None:
        """Show an empty conversation; it gets a row with its first message."""
        self._show(Conversation(), is_new=True)

    def open(self, conversation_id: str, message_id: str = "") -> None:
        """Show a conversation, in the bin or not; late answers to earlier calls are dropped.

        With a message of it the branch that holds it is read, and `jump_requested` follows.
        """
        run = self._answering.run
        if message_id and conversation_id == self.current.id:
            self._wanted = ("", "")
            self._go_to(message_id)
            return
        if run is not None and conversation_id == run.conversation.id:
            self._show(run.conversation, is_new=run.is_new and not run.stored)
            self._go_to(message_id)
            return
        self._wanted = wanted = (conversation_id, message_id)

        def show(found: tuple[Conversation, tuple[Summary, ...]]) -> None:
            if self._wanted == wanted:
                conversation, rows = found
                for row in rows:
                    self.list.know(row)
                self._show(reading_branch(conversation, message_id), is_new=False)
                self._shown.settle(conversation, self.current)
                self._go_to(message_id)

        def failed(report: Report) -> None:
            if self._wanted == wanted:  # at the start nothing is shown yet
                self._show(self.current, is_new=self._shown.is_new)
            self.problem.emit(report)

        self._store.submit(
            lambda store: (store.load(conversation_id), store.listing.rows((conversation_id,))),
            show,
            failed,
        )

    def _show(self, conversation: Conversation, *, is_new: bool) -> None:
        self._wanted = ("", "")
        self.leaving.emit()
        self._shown.show(conversation, is_new=is_new)
        self.opened.emit(conversation)
        self.options_changed.emit(self.options)
        self._context.show(self._composing.text)
        self.draft_restored.emit(self._composing.text)

    def _show_path(self) -> None:
        """The path is another one now, of the same conversation."""
        self.rewound.emit(self.current)
        self._context.show_path()

    def set_draft(self, text: str) -> None:
        """Keep what is typed; on disk within a second."""
        self._composing.set(text)

    @Slot(str, str)
    def set_edit(self, message_id: str, text: str) -> None:
        """Keep what a message is being changed to; on disk within a second. "": nothing."""
        self._composing.set_edit(message_id, text)

    @property
    def edits(self) -> Mapping[str, str]:
        """What messages of the shown path were being changed to, by message id."""
        return self._composing.edits

    def show_version(self, message_id: str, step: int) -> None:
        """Read the version `step` beside a message, up to its newest leaf; none if there is none.

        An answer that is being written goes on meanwhile, wherever one looks.
        """
        tree = self.current.tree
        if message_id not in tree.messages:
            return
        versions = tree.versions(message_id)
        index = versions.index(message_id) + step
        if step == 0 or not 0 <= index < len(versions):
            return
        self._read_up_to(tree.newest_leaf(versions[index]))

    def _read_up_to(self, message_id: str) -> None:
        self._shown.read_up_to(message_id)
        self._show_path()
        self.run_changed.emit(self.run)
        self.list.update(self.current)

    def _go_to(self, message_id: str) -> None:
        """Bring a message of the shown conversation into view, on whatever branch it is."""
        branch = reading_branch(self.current, message_id)
        if branch is not self.current and branch.tree.head is not None:
            self._read_up_to(branch.tree.head)
        if message_id in self.current.tree.messages:
            self.jump_requested.emit(message_id)

    def set_pinned(self, message_id: str, on: bool) -> None:
        """Let a message stay in every prompt, or no longer."""
        if message_id in self.current.tree.messages:
            self.message_changed.emit(self._shown.pin(message_id, on))
            self._context.count_again()

    def read_trace(self, message_id: str) -> None:
        """Read what is kept of an answer only to be looked at: `trace_read` tells it."""
        self._store.submit(
            lambda store: store.trace(message_id),
            lambda trace: self.trace_read.emit(message_id, trace),
        )

    # -- settings and counting -------------------------------------------------------------

    def set_options(self, options: ChatOptions) -> None:
        """What the shown conversation wants from its next request on."""
        self._shown.set_options(options)
        self.options_changed.emit(options)
        self._context.count_again()

    @Slot(str, object)
    def on_setting(self, name: str, _value: Value) -> None:
        """A general setting has changed."""
        if BY_NAME[name].group in ("generation", "context"):
            self.options_changed.emit(self.options)
            self._context.count_again()

    def count(self, text: str) -> None:
        """Count the prompt with `text` as its last message: `counted` tells, a little later."""
        self._context.count(text)

    def _terms(self) -> Terms:
        info = self._models.state.info
        return Terms.of(self._general(), self.options, info.name if info else "")

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
        if old is None or old.role is not Role.USER or not self._is_free(text):
            return False
        self._begin_elsewhere(asking.edit(self.current, old, text, self._terms()))
        return True

    def retry(self, message_id: str) -> None:
        """Answer again below the same user message, as a new version."""
        old = self.current.tree.messages.get(message_id)
        if old is None or old.role is not Role.ASSISTANT or old.parent_id is None:
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

    def stop(self) -> None:
        """End the run; the text is kept."""
        self._answering.stop()

    def _is_free(self, text: str | None = None) -> bool:
        """Whether a request can be made, one with `text`; if not, a problem is emitted."""
        refusal = asking.refusal(text, self._models.state, self._answering.run)
        if refusal is not None:
            self.problem.emit(refusal)
        return refusal is None

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

    @Slot(object, str)
    def _on_deleted(self, ids: tuple[str, ...], _title: str) -> None:
        """They are in the bin, or on the way there: nothing goes on in them."""
        run = self._answering.run
        if run is not None and run.conversation.id in ids:
            self.stop()
        self._leave(ids)
        self._engine.forget(ids)

    @Slot(object)
    def _on_restored(self, ids: tuple[str, ...]) -> None:
        """Show again what was shown when it was deleted, unless something else is by now."""
        if self._left in ids and not self.current.tree.messages:
            self.open(self._left)

    @Slot(object)
    def _on_removed(self, ids: tuple[str, ...]) -> None:
        self._leave(ids)

    def _leave(self, ids: tuple[str, ...]) -> None:
        if self.current.id in ids:
            self._left = self.current.id
            self.new()

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
