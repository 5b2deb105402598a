"""The conversation list as values, apart: it is all of `chat` that the first paint needs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

TAG_LENGTH = 40  # characters
FOLDER_LENGTH = 80  # characters of its name
_DAYS_AGO = (0, 1, 7, 30)  # where TODAY, YESTERDAY, WEEK and MONTH begin


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
    remote: bool = False  # a server answers it, in place of the checkpoint here


class Section(str, Enum):
    """A heading of the list."""

    PINNED = "pinned"
    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "week"  # the seven days before today
    MONTH = "month"  # the thirty days before today
    OLDER = "older"


DAYS = (Section.TODAY, Section.YESTERDAY, Section.WEEK, Section.MONTH, Section.OLDER)


@dataclass(frozen=True)
class ListFilter:
    """Which conversations are listed."""

    place: Place = Place.CHATS
    folder: str = ""  # only of this folder; "" for all
    tag: str = ""  # only with this tag; "" for all

    def takes(self, row: Summary) -> bool:
        """Whether `row` is listed."""
        return (
            row.place is self.place
            and self.folder in ("", row.folder)
            and (not self.tag or self.tag in row.tags)
        )


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

    def with_rows(self, more: Mapping[Section, int]) -> ListShape:
        """With so many rows more, or fewer, under the headings."""
        counts = Counter(dict(self.sections))
        counts.update(more)
        return replace(self, sections=tuple((s, counts[s]) for s in Section if counts[s] > 0))

    def with_changes(self, changes: Iterable[tuple[Summary | None, Summary | None]]) -> ListShape:
        """With the counts of places, folders and tags after rows have changed; None: no row."""
        places: Counter[Place] = Counter()
        folders: Counter[str] = Counter()
        tags: Counter[str] = Counter(dict(self.tags))
        for old, new in changes:
            for row, by in ((old, -1), (new, 1)):
                if row is None:
                    continue
                places[row.place] += by
                if row.place is not Place.BIN:
                    for tag in row.tags:  # those of archived rows are listed with no count
                        tags[tag] += by * (row.place is Place.CHATS)
                if row.place is Place.CHATS:
                    folders[row.folder] += by
        return replace(
            self,
            folders=tuple(replace(f, count=max(0, f.count + folders[f.id])) for f in self.folders),
            tags=tuple((tag, max(0, tags[tag])) for tag in in_order(tags)),
            archived=max(0, self.archived + places[Place.ARCHIVE]),
            deleted=max(0, self.deleted + places[Place.BIN]),
        )

    def section_at(self, offset: int) -> Section | None:
        """The heading a row stands under; None where there is no such row."""
        for section, count in self.sections:
            if 0 <= offset < count:
                return section
            offset -= count
        return None


def section_of(row: Summary, starts: Sequence[float]) -> Section:
    """The heading of a row of CHATS or ARCHIVE. `starts` as from `day_starts`.

    Rows of BIN stand under the day they were deleted, which a row does not tell.
    """
    if row.pinned and row.place is Place.CHATS:
        return Section.PINNED
    days = zip(DAYS[:-1], starts, strict=True)
    return next((day for day, start in days if row.updated_at >= start), Section.OLDER)


def day_starts(now: float) -> tuple[float, ...]:
    """When today, yesterday, the week and the month before `now` began, in Unix seconds."""
    return tuple(_midnight(now, days) for days in _DAYS_AGO)


def next_midnight(now: float) -> float:
    """When the local day of `now` ends."""
    return _midnight(now, -1)


def by_name(folders: Iterable[Folder]) -> tuple[Folder, ...]:
    """Folders in alphabetical order."""
    return tuple(sorted(folders, key=lambda folder: (*_alphabetical(folder.name), folder.id)))


def in_order(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in alphabetical order."""
    return tuple(sorted(tags, key=_alphabetical))


def one_name(text: str, limit: int) -> str:
    """`text` as a name: on one line, trimmed, at most `limit` characters. It may be empty."""
    return " ".join(text.split())[:limit].rstrip()


def _alphabetical(name: str) -> tuple[str, str]:
    return name.casefold(), name


def _midnight(now: float, days_ago: int) -> float:
    """The beginning of a local day; mktime knows months and summer time."""
    year, month, day, *_ = time.localtime(now)
    return time.mktime((year, month, day - days_ago, 0, 0, 0, 0, 0, -1))
