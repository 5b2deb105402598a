"""What a search keeps in memory of all conversations: 10,000 titles and whose each message is.

Read through the search's own connection and brought up to date before each search.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from qwen_desktop.chat import folding
from qwen_desktop.chat.query import Query
from qwen_desktop.chat.summary import Place
from qwen_desktop.storage import rows


class Talk(NamedTuple):
    """The row of a conversation, as far as it is searched."""

    number: int
    id: str
    title: str
    created_at: float
    updated_at: float
    archived: int
    pinned: int
    folder: int | None
    deleted_at: float | None

    @property
    def place(self) -> Place:
        """Where it is listed."""
        if self.deleted_at is not None:
            return Place.BIN
        return Place.ARCHIVE if self.archived else Place.CHATS


_TALKS = (
    "SELECT number, id, title, created_at, updated_at, archived, pinned, folder, deleted_at"
    " FROM conversations"
)
# Without the columns of version 3, for a file that could not be brought up to date.
_OLD_TALKS = (
    "SELECT number, id, title, created_at, updated_at, 0, 0, NULL, deleted_at FROM conversations"
)


class Talks:
    """All conversations of one connection."""

    def __init__(self) -> None:
        self.by_recency: Sequence[Talk] = ()
        self._rows: list[tuple[object, ...]] = []
        self._by_number: Mapping[int, Talk] = {}
        self._folded: dict[str, str] = {}
        self._version = -1  # PRAGMA data_version: another connection has written since
        self._owners: list[int] = [0]  # number of the conversation, by the number of a message

    def refresh(self, connection: sqlite3.Connection, *, is_old: bool = False) -> None:
        """Read what has changed."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        found = connection.execute(_OLD_TALKS if is_old else _TALKS).fetchall()
        if found != self._rows:
            self._take(found)
        self._read_owners(connection)
        self._version = version

    def _take(self, found: list[tuple[object, ...]]) -> None:
        talks = [_talk(row) for row in found]
        by_number = {talk.number: talk for talk in talks}
        for number, before in self._by_number.items():
            now = by_number.get(number)
            if now is None or now.id != before.id:
                self._owners = [0]  # one is gone: others may get the numbers of its messages
                break
        titles = {talk.title for talk in talks}
        self._folded = {title: self._folded.get(title) or folding.folded(title) for title in titles}
        self.by_recency = sorted(talks, key=lambda talk: talk.updated_at, reverse=True)
        self._by_number = by_number
        self._rows = found

    def _read_owners(self, connection: sqlite3.Connection) -> None:
        owners = self._owners
        known = len(owners) - 1
        (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM messages").fetchone()
        owners.extend([0] * (last - known))
        # The index of it is quicker to read than the table, where all of it is wanted.
        by = "" if known else "INDEXED BY messages_of_conversation"
        for number, owner in connection.execute(
            f"SELECT number, conversation FROM messages {by} WHERE number > ?", (known,)
        ):
            owners[number] = owner

    @property
    def folded_titles(self) -> Mapping[str, str]:
        """All titles, and how each is compared."""
        return self._folded

    def allowed(self, connection: sqlite3.Connection, query: Query) -> Sequence[Talk]:
        """Those in which a query may find something by its filters, newest first."""
        found = self.by_recency
        if query.place is None:
            found = [talk for talk in found if talk.deleted_at is None]
        else:
            found = [talk for talk in found if talk.place is query.place]
        if query.pinned:
            found = [talk for talk in found if talk.pinned]
        if query.after is not None:
            found = [talk for talk in found if talk.updated_at >= query.after]
        if query.before is not None:
            found = [talk for talk in found if talk.created_at < query.before]
        for tag in query.tags:
            tagged = _tagged(connection, tag)
            found = [talk for talk in found if talk.number in tagged]
        for folder in query.folders:
            folders = _named(connection.execute("SELECT number, name FROM folders"), folder)
            found = [talk for talk in found if talk.folder in folders]
        return found

    def grouped(
        self, numbers: Iterable[int], allowed: Iterable[Talk]
    ) -> list[tuple[Talk, list[int]]]:
        """Messages by their conversations, in the order of `allowed`; others are left out."""
        owners = self._owners
        groups: dict[int, list[int]] = {}
        for number in numbers:
            owner = owners[number] if number < len(owners) else 0
            groups.setdefault(owner, []).append(number)
        return [(talk, groups[talk.number]) for talk in allowed if talk.number in groups]


def _talk(row: tuple[object, ...]) -> Talk:
    """A row whatever it holds: damage in one must not spoil the search."""
    number, talk_id, title, created, updated, archived, pinned, folder, deleted = row
    return Talk(
        number if isinstance(number, int) else 0,
        rows.text_from(talk_id),
        rows.text_from(title),
        rows.number_from(created),
        rows.number_from(updated),
        1 if archived == 1 else 0,
        1 if pinned == 1 else 0,
        folder if isinstance(folder, int) else None,
        None if deleted is None else rows.number_from(deleted),
    )


def _named(found: Iterable[tuple[object, object]], name: str) -> set[object]:
    return {key for key, value in found if folding.folded(rows.text_from(value)) == name}


def _tagged(connection: sqlite3.Connection, tag: str) -> set[int]:
    names = _named(connection.execute("SELECT DISTINCT name, name FROM tags"), tag)
    numbers: set[int] = set()
    for name in names:
        found = connection.execute("SELECT conversation FROM tags WHERE name = ?", (name,))
        numbers.update(number for (number,) in found)
    return numbers
