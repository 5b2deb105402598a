"""A column of messages: which ones, and what is known of them.

Input is the business of the class that builds on this one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.ui.timeline.arranged import ArrangedColumn
from qwen_desktop.ui.timeline.heights import Heights
from qwen_desktop.ui.timeline.items import Item, mark_unseen

_MOST_FOLDS = 1000  # remembered
NO_VERSIONS: Mapping[str, tuple[int, int]] = MappingProxyType({})


class MessageColumn(ArrangedColumn):
    """Messages that are exchanged, added and changed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._unseen: frozenset[str] = frozenset()
        self._streaming: set[str] = set()  # ids of answers that are being written
        self._folds: dict[str, bool] = {}  # by message id: reasoning the reader opened or closed

    def set_messages(
        self,
        messages: Sequence[Message],
        versions: Mapping[str, tuple[int, int]] = NO_VERSIONS,
    ) -> None:
        """Show a whole path, its end first. System messages are not shown.

        `versions`: which one a message is, from 1, and of how many; for those with several. The
        same messages again stay where they are.
        """
        self.replaced()
        old, before = self._items, self._index
        items = []
        for message in messages:
            if message.role is not Role.SYSTEM:
                at = before.get(message.id)
                item = Item(message) if at is None else old[at]
                if at is None:
                    item.reasoning_open = self._folds.get(message.id)
                item.message, item.versions = message, versions.get(message.id)
                items.append(item)
        self._keep_folds()
        now = {item.message.id: index for index, item in enumerate(items)}
        # Before the index changes: where one has the focus, Qt looks for the next among them.
        for key in [key for key in self._views if key not in now]:
            self._discard(key)
        self._items, self._index = items, now
        if self._unseen:
            mark_unseen(items, self._unseen)
        self._exact.clear()
        if list(before) != list(now):
            self._heights = Heights(self._estimate(item.message) for item in items)
            self._follow = True
        if self._stay is not None:
            index, y = self._stay
            if index < len(items) and list(before)[:index] == list(now)[:index]:
                self._follow, self._anchor = False, (index, -y)
        self._streaming = {m.id for m in messages if m.status is Status.STREAMING}
        self._show_streaming()
        self._arrange()

    def _keep_folds(self) -> None:
        """Remember what the reader unfolded, as these messages may come back."""
        for item in self._items:
            if item.reasoning_open is not None:
                self._folds.pop(item.message.id, None)
                self._folds[item.message.id] = item.reasoning_open
        for key in list(self._folds)[:-_MOST_FOLDS]:
            del self._folds[key]

    def set_collapse_reasoning(self, on: bool) -> None:
        """Whether reasoning is folded once the answer begins; what the reader chose stays."""
        if on != self._shared.collapse_reasoning:
            self._shared.collapse_reasoning = on
            self._exact.clear()
            self._arrange()

    def place_read(self) -> tuple[str, int] | None:
        """Where one reads: a message, and how many px of it are above; None at the end."""
        if self._follow or not self._items or self._bar.value() >= self._bar.maximum():
            return None
        index = self._heights.at(self._bar.value())
        return self._items[index].message.id, self._bar.value() - self._heights.top(index)

    def go_to_place(self, message_id: str, above: int) -> bool:
        """Read on where `place_read` said; False where there is no such message."""
        index = self._index.get(message_id)
        if index is None:
            return False
        self._measure(index)
        self._follow = False
        self._anchor = (index, max(0, min(above, self._heights[index] - 1)))
        self._arrange()
        self.follow_if_at_end()
        return True

    def set_unseen(self, ids: Collection[str]) -> None:
        """Dim the messages that the model no longer sees; a line says where seeing begins."""
        unseen = frozenset(ids)
        if unseen == self._unseen:
            return
        self._unseen = unseen
        width = self.viewport().width()
        for index in mark_unseen(self._items, unseen):
            key = self._items[index].message.id
            view = self._views.get(key)
            if view is not None:
                self._exact.discard(key)
                view.refresh(index == len(self._items) - 1, width)
        self._arrange()

    def set_can_answer(self, can_answer: bool) -> None:
        """Whether there is a model that is free: else Retry, Continue and Edit are disabled."""
        if can_answer != self._shared.can_answer:
            self._shared.can_answer = can_answer
            self._refresh_enabled()

    def add(self, message: Message) -> None:
        """Add a message at the end. What the user just sent is scrolled to."""
        if message.role is Role.SYSTEM:
            return
        if message.id in self._index:
            self.change(message)
            return
        if self._items:
            self._exact.discard(self._items[-1].message.id)  # no longer the last one
        if not self._follow:
            self._jump.note(None, message)
        self._index[message.id] = len(self._items)
        self._items.append(Item(message, reasoning_open=self._folds.get(message.id)))
        self._heights.append(self._estimate(message))
        if self._unseen:
            mark_unseen(self._items, self._unseen)
        self._follow_status(message)
        if message.role is Role.USER:
            self._follow = True
        self._arrange()

    def change(self, message: Message) -> None:
        """Show the new state of a message: grown text, another status. Unknown ids are ignored."""
        index = self._index.get(message.id)
        if index is None:
            return
        before, self._items[index].message = self._items[index].message, message
        if not self._follow:
            self._jump.note(before, message)
        self._follow_status(message)
        self._refreshed(index)

    def set_prefill(self, message_id: str, done: int, total: int, pause: int = 0) -> None:
        """How many of the prompt's tokens are read, shown until the answer begins.

        A server tells none (0, 0); a busy one wants a `pause` of so many seconds.
        """
        index = self._index.get(message_id)
        if index is not None:
            self._items[index].progress = (done, total)
            self._items[index].pause = pause
            self._refreshed(index)

    def clear(self) -> None:
        """Show nothing."""
        self.set_messages(())

    def _follow_status(self, message: Message) -> None:
        """Know which answers are being written."""
        if message.status is Status.STREAMING:
            self._streaming.add(message.id)
        else:
            self._streaming.discard(message.id)
        self._show_streaming()

    def _show_streaming(self) -> None:
        streaming = bool(self._streaming)
        if streaming != self._shared.streaming:
            self._shared.streaming = streaming
            self._refresh_enabled()

    def _refresh_enabled(self) -> None:
        for view in self._views.values():
            view.refresh_enabled()
