"""What the timeline knows of a message beside the message itself. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from qwen_desktop.chat.messages import Message


@dataclass(frozen=True)
class Gap:
    """Where seeing begins again: `count` messages above are not shown to the model.

    `together`: they are those right above, without one between that is shown.
    """

    count: int
    together: bool


@dataclass
class Item:
    """A message with what the reader chose for it; outlives its widget."""

    message: Message
    shown: int = 0  # characters of a long message
    reasoning_open: bool | None = None  # None: as the state of the answer has it
    progress: tuple[int, int] | None = None  # prompt tokens read, of how many; (0, 0): unknown
    pause: int = 0  # seconds that a busy server still wants to be left alone
    versions: tuple[int, int] | None = None  # which one, of how many; None: there is but one
    unseen: bool = False  # the model is no longer shown it
    gap: Gap | None = None
    draft: str | None = None  # what the editor holds while the message is being edited


def mark_unseen(items: Sequence[Item], unseen: Collection[str]) -> list[int]:
    """Mark the items that are not seen, and the one where seeing begins again.

    Returns the indexes of those that changed.
    """
    marks = [item.message.id in unseen for item in items]
    last = max((index for index, mark in enumerate(marks) if mark), default=-1)
    count = sum(marks)
    changed = []
    for index, (item, mark) in enumerate(zip(items, marks, strict=True)):
        gap = None
        if index == last + 1 and count:
            gap = Gap(count, all(marks[index - count : index]))
        if (item.unseen, item.gap) != (mark, gap):
            item.unseen, item.gap = mark, gap
            changed.append(index)
    return changed
