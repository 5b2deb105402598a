"""A column of messages in which something is looked for: it is marked, counted and gone to.

All messages are counted, built or not, in slices while nothing else is to be done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.matching import Matcher, Needle
from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.ui.timeline.column import NO_VERSIONS
from qwen_desktop.ui.timeline.marked import MarkedColumn
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.wording import (
    counts_in_reasoning,
    counts_in_text,
    found_in,
)

_SLICE_S = 0.006
_GROWING_MS = 400  # between two counts of what is being written out of sight


@dataclass
class _Count:
    """How often it is in one message."""

    message: Message
    reasoning: int
    text: int

    @property
    def total(self) -> int:
        return self.reasoning + self.text


class SoughtColumn(MarkedColumn):
    """Looks for one text at a time. The marks of a search come back when that is over.

    `sought_changed(int, int, bool)`: which occurrence is gone to, from 1, or 0; how many there
    are; whether all messages are counted.
    """

    sought_changed = Signal(int, int, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._needle: Needle | None = None
        self._counts: dict[str, _Count] = {}  # by message id
        self._step = 0  # a step that waits for the counts
        self._start = 0  # the message from which on it is looked for
        self._told = (-1, -1, True)
        self._counted: Iterator[None] | None = None  # the message that is being counted
        self._counting = QTimer(self)
        self._counting.setSingleShot(True)
        self._counting.timeout.connect(self._count_some)

    @property
    def is_seeking(self) -> bool:
        """Whether something is looked for."""
        return self._needle is not None

    def seek(self, text: str) -> None:
        """Mark and count `text` wherever it is, and go to the first from here on; "" ends it."""
        needle = Needle.anywhere_of(text)
        if needle == self._needle:
            return
        at, self._needle = self._at, needle
        self._counts.clear()
        self._counted = None
        self._counting.stop()
        self._told, self._step = (-1, -1, True), 0
        self._use(Matcher((needle,)) if needle is not None else self._words)
        if needle is not None:
            self._step = 1
            self._start = self._index.get(at[0], 0) if at is not None else self._first_seen()
            self._count_some()

    def seek_step(self, step: int) -> None:
        """Go to the next occurrence, or with -1 to the one before, once they are counted."""
        if self._needle is not None:
            self._step = step
            self._start = self._first_seen()
            self._count_some()

    def set_marks(self, words: tuple[str, ...]) -> None:
        """As the column does; seen once nothing is looked for any more."""
        if self._needle is None:
            super().set_marks(words)
        else:
            self._words = Matcher.of_words(words)

    # -- what is in it changes -------------------------------------------------------------

    def set_messages(
        self,
        messages: Sequence[Message],
        versions: Mapping[str, tuple[int, int]] = NO_VERSIONS,
    ) -> None:
        """Count in these."""
        super().set_messages(messages, versions)
        if self._needle is not None:
            self._counted = None
            self._counts = {key: it for key, it in self._counts.items() if key in self._index}
            if self._at is not None and self._at[0] not in self._index:
                self._at = None
            self._counting.start(0)

    def add(self, message: Message) -> None:
        """Count in this one too."""
        super().add(message)
        self._count_soon(message)

    def change(self, message: Message) -> None:
        """Count in it again."""
        super().change(message)
        self._count_soon(message)

    def _count_soon(self, message: Message) -> None:
        if self._needle is not None and not self._counting.isActive():
            self._counting.start(_GROWING_MS if message.status is Status.STREAMING else 0)

    # -- counting --------------------------------------------------------------------------

    def _first_seen(self) -> int:
        return self._heights.at(self._bar.value()) if self._items else 0

    def _uncounted(self) -> Iterator[Message]:
        """The messages whose counts are not known, from where one is on."""
        start = min(self._start, len(self._items))
        for items in (self._items[start:], self._items[:start]):
            for item in items:
                known = self._counts.get(item.message.id)
                if known is None or known.message is not item.message:
                    yield item.message

    def _count_some(self) -> None:
        if self._needle is None:
            return
        is_all = self._count_until(time.perf_counter() + _SLICE_S)
        if self._step and (is_all or self._is_near()):
            step, self._step = self._step, 0
            self.next_mark(step)
        if not is_all:
            self._counting.start(0)
        self._tell(is_all)

    def _first_index(self) -> int:
        if self._needle is None:
            return super()._first_index()
        return min(self._start, len(self._items) - 1)

    def _is_near(self) -> bool:
        """Whether the first one is known already, as it lies before anything uncounted."""
        if self._step < 0 or self._at is not None:
            return False
        for item in self._items[self._start :]:
            known = self._counts.get(item.message.id)
            if known is None:
                return False
            if known.total:
                return True
        return False

    def _count_until(self, end: float) -> bool:
        """Count on until a time of the clock; whether that is all."""
        uncounted = self._uncounted()
        while True:
            if self._counted is None:
                message = next(uncounted, None)
                if message is None:
                    return True
                if time.perf_counter() > end:
                    return False
                self._counted = self._count(message)
            for _ in self._counted:
                if time.perf_counter() > end:
                    return False
            self._counted = None

    def _count(self, message: Message) -> Iterator[None]:
        """Count in one message, in steps."""
        known = self._counts.get(message.id)
        view = self._marked.get(message.id)
        is_exact = known is not None and view is not None and view.message is message
        if known is not None and is_exact and message.role is Role.ASSISTANT:
            known.message = message  # counted when it was painted
            return
        matcher, files = self._matcher, []
        for file in message.files:
            count = 0
            for spans in found_in(matcher, file.text):
                count += len(spans)
                yield
            files.append(count)
        fresh = _Count(message, 0, sum(files))
        for count in counts_in_reasoning(matcher, message):
            fresh.reasoning += count
            yield
        for count in counts_in_text(matcher, message):
            fresh.text += count
            yield
        self._counts[message.id] = fresh
        if files:
            self._in_files[message.id] = tuple(files)
        view = self._marked.get(message.id)
        if view is not None and files:
            self._paint(self._index[message.id], view)
        elif view is not None:
            self._count_view(message, view)

    def _file_counts(self, message: Message) -> tuple[int, ...]:
        """As far as they are counted."""
        if self._needle is None:
            return super()._file_counts(message)
        return self._in_files.get(message.id, ())

    def _count_view(self, message: Message, view: MessageView) -> None:
        """What is marked in a widget is what there is, whatever was counted without."""
        known = self._counts.get(message.id)
        if known is None or message.role is Role.USER:
            return
        marks = [len(leaf.marks) for leaf in view.leaves()]
        first = view.reasoning_leaves
        if view.reasoning_is_open and view.reasoning_end is None:
            known.reasoning = sum(marks[:first])
        if view.shown_end is None:
            known.text = sum(marks[first:])

    def _paint(self, index: int, view: MessageView) -> None:
        super()._paint(index, view)
        if self._needle is not None:
            self._count_view(self._items[index].message, view)
            self._tell(not self._counting.isActive())

    def _has_marks(self, message: Message) -> bool:
        if self._needle is None:
            return super()._has_marks(message)
        known = self._counts.get(message.id)
        return known is not None and known.total > 0

    def _is_in_reasoning(self, message: Message, view: MessageView) -> bool:
        """All of it is gone through, so it is unfolded where there is anything in it."""
        if self._needle is None:
            return super()._is_in_reasoning(message, view)
        known = self._counts.get(message.id)
        return bool(known and known.reasoning) and not view.reasoning_is_open

    def _tell(self, is_all: bool) -> None:
        """Say which one of how many it is."""
        if self._needle is None:
            return
        count = before = 0
        at = self._at
        for item in self._items:
            if at is not None and item.message.id == at[0]:
                before = count
            known = self._counts.get(item.message.id)
            count += known.total if known is not None else 0
        number = 0
        if at is not None and (view := self._views.get(at[0])) is not None:
            places = self._places(view)
            number = before + places.index(at[1:]) + 1 if at[1:] in places else self._told[0]
        elif at is not None:
            number = self._told[0]  # out of sight; where it was
        told = (max(0, number), count, is_all)
        if told != self._told:
            self._told = told
            self.sought_changed.emit(*told)
