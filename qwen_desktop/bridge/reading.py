"""The conversation that is shown: opening it, its branches, pins, drafts and settings.

Lives on the main thread. QtCore only. `Chats` is this with asking and answering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.answering import Answering
from qwen_desktop.bridge.asking import ChatPlace, Terms
from qwen_desktop.bridge.branching import BEING_WRITTEN, Branching
from qwen_desktop.bridge.chat_list import ChatList
from qwen_desktop.bridge.composing import Composing
from qwen_desktop.bridge.context_use import ContextUse
from qwen_desktop.bridge.drafts import Drafts
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.keepsakes import Keepsakes
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.run import RunState
from qwen_desktop.bridge.shown import Shown
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.connection import RemoteTarget
from qwen_desktop.chat.context import ChatOptions, RemoteChoice
from qwen_desktop.chat.messages import Message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.chat.summary import Place, Summary
from qwen_desktop.chat.tree import Conversation, reading_branch
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.bridge.list_pages import ListRead
    from qwen_desktop.storage.store import Store


class Reading(Keepsakes):
    """Owns the shown conversation and the list of all.

    Signals, besides those of `Keepsakes`: see each line. Messages, conversations and reports are
    frozen values. `general` gives the general settings by name; `on_setting` is to be told when one
    changes.
    """

    started = Signal()  # the store has been opened, or cannot be
    leaving = Signal()  # another conversation is about to be shown: tell what is typed
    opened = Signal(object)  # Conversation: show this one
    jump_requested = Signal(str)  # message of the shown path: bring it into view
    message_changed = Signal(object)  # Message of the shown path
    rewound = Signal(object)  # Conversation: the shown path changed otherwise
    run_changed = Signal(object)  # RunState
    usage = Signal(object)  # Usage in the shown conversation, or None
    counted = Signal(object)  # PromptCount of the draft and all before it; Report: why not; None
    forecast = Signal(object)  # Forecast of the shown conversation: when it is full; None
    unseen_changed = Signal(object)  # tuple[str, ...]: messages the model does not see
    asked = Signal(object)  # GenerationRequest: what would be sent now has changed; None: not now
    options_changed = Signal(object)  # ChatOptions, or the general settings below them: `values`
    draft_restored = Signal(str)  # text for the composer

    def __init__(
        self,
        store: StoreClient,
        engine: EngineClient,
        models: Models,
        general: Callable[[], Mapping[str, Value]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(store, engine, parent)
        # Who a choice means; None where its connection is gone.
        self.target_of: Callable[[RemoteChoice], RemoteTarget | None] = lambda _: None
        self._models = models
        self._general = general
        self._wanted = ("", "")  # the conversation being read from disk, the message to go to
        self._left = ""  # the conversation that was shown when it was deleted
        self._answering = Answering(store, engine, self)
        self._shown = Shown(store, self._answering)
        self._composing = Composing(Drafts(store, self), self._shown, self._answering)
        self.list = ChatList(store, self)
        self._branching = Branching(store, self._shown, self.list, self._show_path)
        self._context = ContextUse(engine, models, self._shown, self._answering, self._terms, self)
        self._context.usage.connect(self.usage)
        self._context.counted.connect(self.counted)
        self._context.asked.connect(self.asked)
        self._context.forecast.connect(self.forecast)
        self._context.unseen_changed.connect(self.unseen_changed)
        self.list.renamed.connect(self._shown.rename)
        self.list.deleted.connect(self._on_deleted)
        self.list.restored.connect(self._on_restored)
        self.list.removed.connect(self._on_removed)
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
    def place(self) -> ChatPlace:
        """Where the shown conversation is answered."""
        choice = self.options.remote
        return ChatPlace(choice, self.target_of(choice) if choice is not None else None)

    @property
    def values(self) -> Mapping[str, Value]:
        """The settings in effect for the shown conversation: general ones and its own."""
        return asking.values_in_effect(self._general(), self.options)

    @property
    def recommended(self) -> Mapping[str, float]:
        """What the open model's sampling values are where none is set, in the mode chosen now."""
        info = self._models.state.info
        if info is None or self.place.is_remote:
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

    def reload(self) -> None:
        """The store holds other conversations now: read again what there is and what is shown."""
        shown = self.current.id
        self._composing.keep_all()
        self.new()
        self.start(shown)

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

    @property
    def draft_place(self) -> str:
        """Names the place of the draft that is typed now, for `add_to_draft`."""
        return self._composing.place

    def add_to_draft(self, place: str, text: str) -> None:
        """Put more below the draft of a conversation that is not shown any more."""
        self._composing.add(place, text)

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

    def branch(self, message_id: str, title: str) -> None:
        """Show the path up to a message as a new conversation called `title`. Can be undone."""
        tree = self.current.tree
        path = (
            [message.id for message in tree.path(message_id)] if message_id in tree.messages else []
        )
        if path and self._may_take(settled=not self._branching.is_written(path)):
            made = self._branching.branch(message_id, title, self.open)
            self._show(made, is_new=False)

    def delete_message(self, message_id: str) -> None:
        """Delete a message with all that hangs below it. Can be undone; it is gone from the disk.

        A version beside it is read then, else what stood before it.
        """
        tree = self.current.tree
        if message_id not in tree.messages:
            return
        if self._may_take(settled=self._branching.may_delete(tree.below(message_id))):
            self._branching.delete(message_id)

    def _may_take(self, *, settled: bool) -> bool:
        """Whether messages are `settled` and the store is written; if not, a problem is emitted."""
        refusal = self._store.read_only
        if refusal is None and not settled:
            refusal = BEING_WRITTEN
        if refusal is not None:
            self.problem.emit(refusal)
        return refusal is None

    # -- settings and counting -------------------------------------------------------------

    def set_options(self, options: ChatOptions) -> None:
        """What the shown conversation wants from its next request on."""
        is_elsewhere = options.remote != self.options.remote
        self._shown.set_options(options)
        if is_elsewhere:
            self.list.mark_remote(self.current.id, options.remote is not None)
        self.options_changed.emit(options)
        if is_elsewhere:
            self._context.show_path()
        else:
            self._context.count_again()

    @Slot(str, object)
    def on_setting(self, name: str, _value: Value) -> None:
        """A general setting has changed."""
        if BY_NAME[name].group in ("generation", "context"):
            self.options_changed.emit(self.options)
            self._context.count_again()

    def count_anew(self) -> None:
        """Something else is asked now: count again."""
        self._context.show_path()

    def count(self, text: str) -> None:
        """Count the prompt with `text` as its last message: `counted` tells, a little later."""
        self._context.count(text)

    def request(self) -> GenerationRequest | None:
        """What would be sent now, with the draft; None where nothing can be."""
        return self._context.request()

    def request_of(self, answer: Message) -> GenerationRequest:
        """What would ask for an answer of the shown conversation now."""
        messages = asking.said(self.current.tree, answer.parent_id)
        return self._terms().request(self.current, messages)

    def _terms(self) -> Terms:
        info = self._models.state.info
        return Terms.of(self._general(), self.options, info.name if info else "", self.place)

    # -- conversations that go and come back -----------------------------------------------

    @Slot(object, str)
    def _on_deleted(self, ids: tuple[str, ...], _title: str) -> None:
        """They are in the bin, or on the way there: nothing goes on in them."""
        run = self._answering.run
        if run is not None and run.conversation.id in ids:
            self._answering.stop()
        self._leave(ids)
        self._engine.forget(ids)

    @Slot(object)
    def _on_restored(self, ids: tuple[str, ...]) -> None:
        """Show again what was shown when it was deleted, unless something else is by now."""
        if self._left in ids and not self.current.tree.messages:
            self.open(self._left)

    @Slot(object)
    def _on_removed(self, ids: tuple[str, ...]) -> None:
        messages = self.current.tree.messages if self.current.id in ids else ()
        self._leave(ids)
        self._composing.forget(ids, messages)  # also what was typed in them up to now

    def _leave(self, ids: tuple[str, ...]) -> None:
        if self.current.id in ids:
            self._left = self.current.id
            self.new()
