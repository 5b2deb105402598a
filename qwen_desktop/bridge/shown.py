"""The conversation that is shown, and its agreement with the run in it and with the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen_desktop.bridge.answering import Answering
from qwen_desktop.bridge.run import Run
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import Message
from qwen_desktop.chat.tree import Conversation

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store


class Shown:
    """Main-thread owner of the shown conversation. A run in it holds the same value.

    What is chosen in it (which version is read, pins, options) is written at once where it has a
    row, else with its first message: `settle`.
    """

    def __init__(self, store: StoreClient, answering: Answering) -> None:
        self._store = store
        self._answering = answering
        self.conversation = Conversation()
        self.is_new = True  # it has no row yet

    @property
    def path(self) -> tuple[Message, ...]:
        """The messages that are read, from the first."""
        return self.conversation.tree.path()

    @property
    def run(self) -> Run | None:
        """The run under way in this conversation."""
        run = self._answering.run
        return run if run is not None and self.is_of(run) else None

    def is_of(self, run: Run) -> bool:
        """Whether `run` is in this conversation."""
        return run.conversation.id == self.conversation.id

    def shows(self, run: Run) -> bool:
        """Whether the answer of `run` is among the messages that are read."""
        return self.is_of(run) and any(m.id == run.answer.id for m in self.path)

    def show(self, conversation: Conversation, *, is_new: bool) -> None:
        """Show another conversation."""
        self.conversation = conversation
        self.is_new = is_new

    def change(self, conversation: Conversation) -> None:
        """The conversation has become another value; nothing is written."""
        if (run := self.run) is not None:
            run.conversation = conversation
        self.conversation = conversation

    def rename(self, conversation_id: str, title: str) -> None:
        """A conversation, shown or with a run, has another title; nothing is written."""
        run = self._answering.run
        if run is not None and run.conversation.id == conversation_id:
            run.conversation = replace(run.conversation, title=title)
        if self.conversation.id == conversation_id:
            self.conversation = replace(self.conversation, title=title)

    def read_up_to(self, message_id: str) -> None:
        """Read the branch that ends with `message_id`."""
        tree = self.conversation.tree.with_head(message_id)
        self._choose(replace(self.conversation, tree=tree))

    def pin(self, message_id: str, on: bool) -> Message:
        """Keep a message in the prompt whatever happens, or no longer."""
        tree = self.conversation.tree
        message = replace(tree.messages[message_id], pinned=on)
        self._choose(replace(self.conversation, tree=tree.replaced(message)))
        if (run := self.run) is not None:
            run.merge()
        return message

    def set_options(self, options: ChatOptions) -> None:
        """Choices that hold for this conversation."""
        self._choose(replace(self.conversation, options=options))

    def _choose(self, conversation: Conversation) -> None:
        before, run = self.conversation, self.run
        self.change(conversation)
        if not self.is_new and (run is None or run.stored):
            self._write(before, conversation)

    def settle(self, written: Conversation, now: Conversation) -> None:
        """Write what was chosen in `now` while the run that has `written` was on its way."""
        self._write(written, now)

    def _write(self, before: Conversation, now: Conversation) -> None:
        """Write what of the choices differs; messages are written elsewhere."""
        conversation_id, head, options = now.id, now.tree.head, now.options
        jobs: dict[str, Callable[[Store], None]] = {}
        if options != before.options:
            jobs[f"options {now.id}"] = lambda store: store.set_options(conversation_id, options)
        if head is not None and head != before.tree.head:
            jobs[f"head {now.id}"] = lambda store: store.set_head(conversation_id, head)
        if now.tree is not before.tree:
            for message in now.tree.messages.values():
                old = before.tree.messages.get(message.id)
                if old is not None and old.pinned != message.pinned:
                    jobs[f"pin {message.id}"] = _pinning(conversation_id, message)
        for key, job in jobs.items():
            self._store.keep(job, key=key)


def _pinning(conversation_id: str, message: Message) -> Callable[[Store], None]:
    return lambda store: store.set_pinned(conversation_id, message.id, message.pinned)
