"""The list of conversations. Lives on the main thread. QtCore only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.summary import Summary
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store


class ChatList(QObject):
    """The rows, newest first, in agreement with the disk: `changed(tuple[Summary, ...])`."""

    changed = Signal(object)

    def __init__(self, store: StoreClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._rows: tuple[Summary, ...] = ()

    @property
    def rows(self) -> tuple[Summary, ...]:
        """The list now."""
        return self._rows

    def has(self, conversation_id: str) -> bool:
        """Whether there is a row for a conversation."""
        return self.row(conversation_id) is not None

    def row(self, conversation_id: str) -> Summary | None:
        """The row of a conversation."""
        return next((row for row in self._rows if row.id == conversation_id), None)

    def read(
        self,
        then: Callable[[Mapping[str, str], tuple[Summary, ...]], None],
        failed: Callable[[Report], None],
    ) -> None:
        """Read all drafts and all rows; what is done `then` fills them in."""
        self._store.submit(
            lambda store: (store.drafts(), store.summaries()), lambda found: then(*found), failed
        )

    def fill(self, rows: Iterable[Summary]) -> None:
        """Take what the store has."""
        self._rows = tuple(sorted(rows, key=lambda row: -row.updated_at))
        self.changed.emit(self._rows)

    def update(self, conversation: Conversation, *, is_new: bool = False) -> None:
        """The row of `conversation` as it is now; a deleted one gets none."""
        row = conversation.summary()
        others = [r for r in self._rows if r.id != row.id]
        if is_new or len(others) < len(self._rows):
            self.fill((row, *others))

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a row a title, here and on disk."""
        self.fill(
            replace(row, title=title) if row.id == conversation_id else row for row in self._rows
        )
        self._store.submit(lambda store: store.rename(conversation_id, title))

    def remove(self, conversation_id: str) -> None:
        """Take a row off the list, here and on disk."""
        self.fill(row for row in self._rows if row.id != conversation_id)
        self._store.submit(lambda store: store.delete(conversation_id))

    def restore(self, conversation_id: str, then: Callable[[], None]) -> None:
        """Bring a removed row back, and do something `then`."""

        def read(store: Store) -> tuple[Summary, ...]:
            store.restore(conversation_id)
            return store.summaries()

        def show(rows: tuple[Summary, ...]) -> None:
            self.fill(rows)
            then()

        self._store.submit(read, show)
