"""What is done to the messages of the shown conversation: copied into a new one, or deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen_desktop.bridge.chat_list import ChatList
from qwen_desktop.bridge.list_change import Change, ChangeKind, once
from qwen_desktop.bridge.shown import Shown
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.messages import Message, Status, new_id
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report

if TYPE_CHECKING:
    from qwen_desktop.storage.removing import Removed
    from qwen_desktop.storage.store import Store

BEING_WRITTEN = Report(
    QT_TRANSLATE_NOOP("errors", "An answer is still being written here."),
    QT_TRANSLATE_NOOP("errors", "Wait for it or stop it."),
)


@dataclass
class _Held:
    """What was deleted. Written and read on the store thread alone."""

    removed: Removed | None = None


@dataclass(frozen=True)
class Deleted:
    """A deletion as it is held here, to be taken back."""

    before: Conversation
    gone: frozenset[str]
    after: Conversation
    held: _Held


def branch_of(conversation: Conversation, message_id: str, title: str) -> Branch:
    """The path up to a message as a conversation of its own, with messages of its own."""
    path = conversation.tree.path(message_id)
    names = {message.id: new_id() for message in path}
    made = Conversation(
        title=title,
        tree=Tree.of(_renamed(message, names) for message in path),
        options=conversation.options,
    )
    return Branch(made, conversation.id, {new: old for old, new in names.items()})


@dataclass(frozen=True)
class Branch:
    """A new conversation, the one it comes from, and the messages there by id of those here."""

    conversation: Conversation
    source_id: str
    originals: dict[str, str]


def _renamed(message: Message, names: dict[str, str]) -> Message:
    provenance = message.provenance
    if provenance is not None:
        unseen = tuple(names[one] for one in provenance.unseen if one in names)
        provenance = replace(provenance, unseen=unseen)
    parent = message.parent_id
    return replace(
        message,
        id=names[message.id],
        parent_id=None if parent is None else names[parent],
        provenance=provenance,
    )


class Branching:
    """Writes what becomes of the messages, and takes it back. Lives on the main thread.

    `show_path` is called where the shown conversation has another path.
    """

    def __init__(
        self, store: StoreClient, shown: Shown, rows: ChatList, show_path: Callable[[], None]
    ) -> None:
        self._store = store
        self._shown = shown
        self._list = rows
        self._show_path = show_path

    def is_written(self, ids: Iterable[str]) -> bool:
        """Whether one of these messages is an answer that is still being written."""
        messages, run = self._shown.conversation.tree.messages, self._shown.run
        return any(
            messages[one].status is Status.STREAMING or (run is not None and run.answer.id == one)
            for one in ids
        )

    def may_delete(self, ids: Iterable[str]) -> bool:
        """Whether these messages can be deleted now.

        Not while anything here is on its way to the disk: what would be read then is not there yet.
        """
        run = self._shown.run
        return (run is None or run.stored) and not self.is_written(ids)

    def branch(self, message_id: str, title: str, back: Callable[[str], None]) -> Conversation:
        """Make a conversation of the path up to a message; `back` opens another one."""
        made = branch_of(self._shown.conversation, message_id, title)

        def write(store: Store) -> None:
            from qwen_desktop.storage import copying

            copying.copy(store, made.conversation, made.source_id, made.originals)

        def undo() -> None:
            self._list.delete((made.conversation.id,))
            back(made.source_id)

        self._store.keep(write, lambda _: self._list.refresh())
        self._list.update(made.conversation, is_new=True)
        where = made.conversation.id
        self._list.undoable.emit(Change(ChangeKind.BRANCHED, 1, title, "", once(undo), where))
        return made.conversation

    def delete(self, message_id: str) -> None:
        """Delete a message and what hangs below it. Can be undone until something else is."""
        before = self._shown.conversation
        tree = before.tree
        after = replace(before, tree=tree.without(message_id))
        change = Deleted(before, tree.below(message_id), after, _Held())
        conversation_id, head = before.id, after.tree.head

        def write(store: Store) -> None:
            from qwen_desktop.storage import removing

            change.held.removed = removing.remove(store, conversation_id, message_id, head)

        self._store.keep(write, lambda _: self._list.refresh())
        self._show(after)
        self._list.undoable.emit(
            Change(
                ChangeKind.MESSAGES_DELETED,
                len(change.gone),
                before.summary().title,
                "",
                once(lambda: self._undo(change)),
            )
        )

    def _undo(self, change: Deleted) -> None:
        now = self._shown.conversation
        is_shown = now.id == change.before.id
        head = change.before.tree.head if not is_shown or self._is_unmoved(change) else None

        def write(store: Store) -> None:
            from qwen_desktop.storage import removing

            removed = change.held.removed
            if removed is not None:
                there = removing.head_of(store, removed.conversation_id)
                # Shown or not: who went on there since goes on there.
                moved = not is_shown and there != change.after.tree.head
                removing.put_back(store, removed, None if moved else head)

        def done(_: None) -> None:
            self._bring_back(change)  # it may have been read from disk meanwhile
            self._list.refresh()

        self._store.keep(write, done)
        self._bring_back(change)

    def _is_unmoved(self, change: Deleted) -> bool:
        """Whether the conversation, which is shown, is read where the deletion left it."""
        head = self._shown.conversation.tree.head
        return head == change.after.tree.head and self._shown.run is None

    def _bring_back(self, change: Deleted) -> None:
        now = self._shown.conversation
        if now.id != change.before.id or change.gone <= now.tree.messages.keys():
            return
        tree = now.tree.with_back(change.before.tree, change.gone)
        head = change.before.tree.head
        if head is not None and self._is_unmoved(change):
            tree = tree.with_head(head)
        self._show(replace(now, tree=tree))

    def _show(self, conversation: Conversation) -> None:
        self._shown.change(conversation)
        self._show_path()
        self._list.update(conversation)
