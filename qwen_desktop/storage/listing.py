"""The conversation list on disk: counted, read a page at a time, and put in order by the user.

Counting and paging go by the indexes `conversations_listed` and `conversations_deleted` alone;
the rows themselves are read for one page. Synchronous, for the thread of the store. What a method
has written is on disk when it returns; it raises Known where the file is at fault.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qwen_desktop.chat.messages import new_id
from qwen_desktop.chat.summary import (
    DAYS,
    FOLDER_LENGTH,
    TAG_LENGTH,
    Folder,
    ListFilter,
    ListShape,
    Place,
    Section,
    Summary,
    by_name,
    in_order,
    one_name,
)
from qwen_desktop.chat.text import whole
from qwen_desktop.storage import rows
from qwen_desktop.storage.database import Database

KEEP_DELETED_SECONDS = 30 * 24 * 3600.0
_MANY = 500  # values in one statement; SQLite takes at least 999

_WHERE = {
    Place.CHATS: "deleted_at IS NULL AND archived = 0",
    Place.ARCHIVE: "deleted_at IS NULL AND archived = 1",
    Place.BIN: "deleted_at IS NOT NULL",
}
# What the rows of a place are ordered by, all descending.
_ORDER = {
    Place.CHATS: ("pinned", "updated_at", "number"),
    Place.ARCHIVE: ("updated_at", "number"),
    Place.BIN: ("deleted_at", "number"),
}
# Rows under the headings of days that are not older than a time.
_SINCE = {
    Place.CHATS: " AND pinned = 0 AND updated_at >= ?",
    Place.ARCHIVE: " AND pinned IN (0, 1) AND updated_at >= ?",
    Place.BIN: " AND deleted_at >= ?",
}


class Listing:
    """The list of one open database. Made by `Store`.

    Ids that are not there are passed over: what was asked for them has become pointless.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- reading ---------------------------------------------------------------------------

    def shape(self, which: ListFilter, starts: Sequence[float]) -> ListShape:
        """How many rows there are under which heading. `starts` as from `day_starts`.

        Conversations in the bin are counted by the time they were deleted.
        """
        with self._database.reading() as connection:
            return ListShape(
                sections=_sections(connection, which, starts),
                folders=_folders(connection),
                tags=_tags(connection),
                archived=_count(connection, Place.ARCHIVE),
                deleted=_count(connection, Place.BIN),
            )

    def page(self, which: ListFilter, offset: int, limit: int) -> tuple[Summary, ...]:
        """The rows from `offset` on, at most `limit`, in their order."""
        with self._database.reading() as connection:
            numbers = _numbers(connection, which, offset, limit)
            found = dict(_summaries(connection, numbers))
        return tuple(found[number] for number in numbers if number in found)

    def ids(self, which: ListFilter) -> tuple[str, ...]:
        """The ids of all rows in their order."""
        with self._database.reading() as connection:
            numbers = _numbers(connection, which, 0, -1)
            found = dict(connection.execute("SELECT number, id FROM conversations"))
        return tuple(rows.text_from(found[number]) for number in numbers)

    def rows(self, ids: Iterable[str]) -> tuple[Summary, ...]:
        """The rows of these conversations wherever they are listed, in the order of `ids`."""
        with self._database.reading() as connection:
            numbers = _numbers_of(connection, ids)
            found = dict(_summaries(connection, numbers))
        return tuple(found[number] for number in numbers if number in found)

    # -- ordering --------------------------------------------------------------------------

    def set_pinned(self, ids: Iterable[str], on: bool) -> None:
        """Let conversations stand first in the list, or no longer."""
        self._set("pinned", ids, bool(on))

    def set_archived(self, ids: Iterable[str], on: bool) -> None:
        """Put conversations into the archive, or back into the list; not those in the bin."""
        self._set("archived", ids, bool(on), " AND deleted_at IS NULL")

    def set_folder(self, ids: Iterable[str], folder_id: str) -> None:
        """Put conversations into a folder; "", or a folder that is gone, takes them out."""
        with self._database.writing() as connection:
            _update(connection, "folder", ids, _folder_number(connection, folder_id))

    def add_tag(self, ids: Iterable[str], name: str) -> None:
        """Give conversations a tag, spelled as it is elsewhere. Raises ValueError for none."""
        name = whole(one_name(name, TAG_LENGTH))
        if not name:
            raise ValueError("a tag needs a name")
        with self._database.writing() as connection:
            known = [rows.text_from(tag) for (tag,) in connection.execute(_ALL_TAGS)]
            if name not in known:
                folded = name.casefold()
                name = next((tag for tag in known if tag.casefold() == folded), name)
            connection.executemany(
                "INSERT OR IGNORE INTO tags (conversation, name) VALUES (?, ?)",
                [(number, name) for number in _numbers_of(connection, ids)],
            )

    def remove_tag(self, ids: Iterable[str], name: str) -> None:
        """Take a tag off conversations."""
        with self._database.writing() as connection:
            connection.executemany(
                "DELETE FROM tags WHERE conversation = ? AND name = ?",
                [(number, name) for number in _numbers_of(connection, ids)],
            )

    # -- folders ---------------------------------------------------------------------------

    def make_folder(self, name: str, folder_id: str = "") -> Folder:
        """A new folder, or the one there is with this id or name. Raises ValueError for no name."""
        name = whole(one_name(name, FOLDER_LENGTH))
        if not name:
            raise ValueError("a folder needs a name")
        with self._database.writing() as connection:
            for folder in _folders(connection):
                if folder.id == folder_id or folder.name.casefold() == name.casefold():
                    return folder
            made = Folder(folder_id or new_id(), name)
            connection.execute(
                "INSERT INTO folders (id, name, created_at) VALUES (?, ?, ?)",
                (made.id, made.name, time.time()),
            )
        return made

    def rename_folder(self, folder_id: str, name: str) -> None:
        """Give a folder another name. Raises ValueError for none."""
        name = whole(one_name(name, FOLDER_LENGTH))
        if not name:
            raise ValueError("a folder needs a name")
        with self._database.writing() as connection:
            connection.execute("UPDATE folders SET name = ? WHERE id = ?", (name, folder_id))

    def delete_folder(self, folder_id: str) -> tuple[str, ...]:
        """Remove a folder. What was in it stays, without folder: the ids of it, for an undo."""
        with self._database.writing() as connection:
            number = _folder_number(connection, folder_id)
            if number is None:
                return ()
            inside = connection.execute(
                "SELECT id FROM conversations WHERE folder = ?", (number,)
            ).fetchall()
            connection.execute("DELETE FROM folders WHERE number = ?", (number,))
        return tuple(rows.text_from(conversation_id) for (conversation_id,) in inside)

    # -- the bin ---------------------------------------------------------------------------

    def delete(self, ids: Iterable[str]) -> None:
        """Put conversations into the bin; `restore` brings them back for 30 days."""
        with self._database.writing() as connection:
            now = time.time()
            connection.executemany(
                "UPDATE conversations SET deleted_at = ? WHERE number = ? AND deleted_at IS NULL",
                [(now, number) for number in _numbers_of(connection, ids)],
            )

    def restore(self, ids: Iterable[str]) -> None:
        """Undo `delete`: each is again where it was, with its folder and tags."""
        self._set("deleted_at", ids, None)

    def delete_for_good(self, ids: Iterable[str]) -> int:
        """Remove conversations that are in the bin, with all that was said; how many.

        Nothing of them stays readable in the file: what is freed in it is overwritten. The index
        of words follows at rest.
        """
        with self._database.writing() as connection:
            numbers = _numbers_of(connection, ids)
            return sum(_remove(connection, number, time.time()) for number in numbers)

    def empty_bin(self, limit: int = -1) -> int:
        """Remove everything that is in the bin for good, or some of it; how many conversations."""
        return self._remove_before(time.time(), limit)

    def remove_old(self, limit: int = -1) -> int:
        """Remove what has been in the bin for 30 days, or some of it; how many conversations."""
        return self._remove_before(time.time() - KEEP_DELETED_SECONDS, limit)

    def _remove_before(self, before: float, limit: int) -> int:
        with self._database.writing() as connection:
            numbers = connection.execute(
                "SELECT number FROM conversations WHERE deleted_at IS NOT NULL"
                " AND deleted_at <= ? ORDER BY deleted_at LIMIT ?",
                (before, limit),
            ).fetchall()
            return sum(_remove(connection, number, before) for (number,) in numbers)

    def _set(self, column: str, ids: Iterable[str], value: object, where: str = "") -> None:
        with self._database.writing() as connection:
            _update(connection, column, ids, value, where)


_ALL_TAGS = "SELECT DISTINCT name FROM tags"


def _update(
    connection: sqlite3.Connection,
    column: str,
    ids: Iterable[str],
    value: object,
    where: str = "",
) -> None:
    connection.executemany(
        f"UPDATE conversations SET {column} = ? WHERE number = ?{where}",
        [(value, number) for number in _numbers_of(connection, ids)],
    )


def _remove(connection: sqlite3.Connection, number: int, before: float) -> int:
    """Remove one conversation if it was deleted by `before`; 1 or 0."""
    found = connection.execute(
        "SELECT id FROM conversations WHERE number = ? AND deleted_at <= ?", (number, before)
    ).fetchone()
    if found is None:
        return 0
    connection.execute(
        "DELETE FROM drafts WHERE conversation_id = ?"
        " OR conversation_id IN (SELECT 'edit ' || id FROM messages WHERE conversation = ?)",
        (*found, number),
    )
    connection.execute("DELETE FROM conversations WHERE number = ?", (number,))
    return 1


def _where(which: ListFilter) -> tuple[str, tuple[object, ...]]:
    """The condition of a filter on `conversations`, and its values."""
    where, values = [_WHERE[which.place]], []
    if which.folder:
        where.append("folder = (SELECT number FROM folders WHERE id = ?)")
        values.append(which.folder)
    if which.tag:
        where.append("number IN (SELECT conversation FROM tags WHERE name = ?)")
        values.append(which.tag)
    return " AND ".join(where), tuple(values)


def _numbers(
    connection: sqlite3.Connection, which: ListFilter, offset: int, limit: int
) -> list[int]:
    where, values = _where(which)
    order = ", ".join(f"{column} DESC" for column in _ORDER[which.place])
    columns = ", ".join(_ORDER[which.place])
    select = f"SELECT {columns} FROM conversations WHERE {where}"
    if which.place is Place.ARCHIVE:
        # Two stretches of the index, which SQLite merges; one without pins would be sorted.
        select = f"{select} AND pinned = 1 UNION ALL {select} AND pinned = 0"
        values *= 2
    found = connection.execute(
        f"{select} ORDER BY {order} LIMIT ? OFFSET ?", (*values, limit, offset)
    ).fetchall()
    return [number for *_, number in found]


def _sections(
    connection: sqlite3.Connection, which: ListFilter, starts: Sequence[float]
) -> tuple[tuple[Section, int], ...]:
    where, values = _where(which)

    def count(condition: str, *more: object) -> int:
        (found,) = connection.execute(
            f"SELECT count(*) FROM conversations WHERE {where}{condition}", (*values, *more)
        ).fetchone()
        return int(found)

    # Stretches of the index, each from its beginning; one pass by CASE takes ten times as long.
    since = [count(_SINCE[which.place], start) for start in starts]
    pinned = count(" AND pinned = 1") if which.place is Place.CHATS else 0
    days = zip(DAYS, [*since, count("") - pinned], [0, *since], strict=True)
    counts = {Section.PINNED: pinned} | {day: upto - before for day, upto, before in days}
    return tuple((section, counts[section]) for section in Section if counts[section] > 0)


def _folders(connection: sqlite3.Connection) -> tuple[Folder, ...]:
    counts = dict(
        connection.execute(
            f"SELECT folder, count(*) FROM conversations WHERE {_WHERE[Place.CHATS]}"
            " AND folder IS NOT NULL GROUP BY folder"
        )
    )
    return by_name(
        Folder(rows.text_from(folder_id), rows.text_from(name), counts.get(number, 0))
        for number, folder_id, name in connection.execute("SELECT number, id, name FROM folders")
    )


def _tags(connection: sqlite3.Connection) -> tuple[tuple[str, int], ...]:
    """All tags outside the bin; one that only archived conversations have counts none."""
    found = connection.execute(
        "SELECT name, sum(archived = 0) FROM tags"
        " JOIN conversations ON number = conversation WHERE deleted_at IS NULL GROUP BY name"
    ).fetchall()
    counts = {rows.text_from(name): int(count) for name, count in found}
    return tuple((name, counts[name]) for name in in_order(counts))


def _count(connection: sqlite3.Connection, place: Place) -> int:
    (count,) = connection.execute(
        f"SELECT count(*) FROM conversations WHERE {_WHERE[place]}"
    ).fetchone()
    return int(count)


def _folder_number(connection: sqlite3.Connection, folder_id: str) -> int | None:
    found = connection.execute("SELECT number FROM folders WHERE id = ?", (folder_id,)).fetchone()
    return None if found is None else int(found[0])


def _numbers_of(connection: sqlite3.Connection, ids: Iterable[str]) -> list[int]:
    """The rows of conversations, deleted or not, in the order of `ids`."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, int] = {}
    for some in _pieces(wanted):
        found.update(
            connection.execute(
                f"SELECT id, number FROM conversations WHERE id IN ({_marks(some)})", some
            )
        )
    return [found[conversation_id] for conversation_id in wanted if conversation_id in found]


def _summaries(
    connection: sqlite3.Connection, numbers: Sequence[int]
) -> Iterator[tuple[int, Summary]]:
    for some in _pieces(numbers):
        tags: dict[int, list[str]] = {}
        for number, name in connection.execute(
            f"SELECT conversation, name FROM tags WHERE conversation IN ({_marks(some)})", some
        ):
            tags.setdefault(number, []).append(rows.text_from(name))
        for number, deleted_at, archived, folder, remote, *row in connection.execute(
            f"SELECT c.number, c.deleted_at, c.archived, f.id, {_REMOTE}, c.pinned, c.id, c.title,"
            " c.preview, c.updated_at FROM conversations c"
            " LEFT JOIN folders f ON f.number = c.folder"
            f" WHERE c.number IN ({_marks(some)})",
            some,
        ):
            place = Place.ARCHIVE if archived == 1 else Place.CHATS
            pinned, conversation_id, title, preview, updated_at = row
            yield (
                number,
                Summary(
                    id=rows.text_from(conversation_id),
                    title=rows.text_from(title),
                    preview=rows.text_from(preview),
                    updated_at=rows.number_from(updated_at),
                    pinned=pinned == 1,
                    place=place if deleted_at is None else Place.BIN,
                    folder=rows.text_from(folder),
                    tags=in_order(tags.get(number, ())),
                    remote=remote == 1,
                ),
            )


# The options as `rows.options_json` writes them. Within a text of theirs a quote has a backslash.
_REMOTE = """instr(ifnull(c.options, ''), '"remote":{') > 0"""


def _pieces(values: Sequence[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(values), _MANY):
        yield list(values[begin : begin + _MANY])


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
