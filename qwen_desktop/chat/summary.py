"""The conversation list as values, apart: it is all of `chat` that the first paint needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Place(str, Enum):
    """Where a conversation is listed."""

    CHATS = "chats"
    ARCHIVE = "archive"
    BIN = "bin"  # deleted; gone for good after 30 days or when the bin is emptied


@dataclass(frozen=True)
class Summary:
    """One row of the conversation list."""

    id: str
    title: str
    preview: str
    updated_at: float  # Unix seconds
    pinned: bool = False
    place: Place = Place.CHATS
    folder: str = ""  # id of a folder; "" for none
    tags: tuple[str, ...] = ()  # in alphabetical order


class Section(str, Enum):
    """A heading of the list."""

    PINNED = "pinned"
    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "week"  # the seven days before today
    MONTH = "month"  # the thirty days before today
    OLDER = "older"


@dataclass(frozen=True)
class ListFilter:
    """Which conversations are listed."""

    place: Place = Place.CHATS
    folder: str = ""  # only of this folder; "" for all
    tag: str = ""  # only with this tag; "" for all


@dataclass(frozen=True)
class Folder:
    """A folder of conversations. `count` is how many are listed in it, without archive and bin."""

    id: str
    name: str
    count: int = 0


@dataclass(frozen=True)
class ListShape:
    """How many rows stand under which heading, and what the list can be narrowed to.

    The rows themselves are read a page at a time, in the order pinned ones first, then newest.
    """

    sections: tuple[tuple[Section, int], ...] = ()  # those with rows, in their order
    folders: tuple[Folder, ...] = ()  # by name
    tags: tuple[tuple[str, int], ...] = ()  # by name, with counts as of folders
    archived: int = 0
    deleted: int = 0

    @property
    def count(self) -> int:
        """All rows."""
        return sum(count for _, count in self.sections)
