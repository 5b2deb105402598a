"""What the user did to the list of conversations, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class ChangeKind(str, Enum):
    """What was done to one or several conversations."""

    DELETED = "deleted"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    MOVED = "moved"  # into the folder `name`, or out of its folder where that is ""
    FOLDER_DELETED = "folder deleted"  # the folder `name`; its conversations stay
    TAG_REMOVED = "tag removed"  # the tag `name`


@dataclass(frozen=True)
class Change:
    """Something that can be taken back as one, by calling `undo` on the main thread.

    `count` is how many conversations it was asked for; of a single one `title` is the title,
    where it is known.
    """

    kind: ChangeKind
    count: int
    title: str
    name: str
    undo: Callable[[], None]
