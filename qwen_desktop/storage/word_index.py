"""The index of words on disk: filled at rest, a few messages at a time. For the store's thread.

Triggers of the database mark what is to be indexed or forgotten (see `migrations.py`); here it is
done. Until then `search.py` looks at marked messages themselves. A word that the index has too
many does no harm, as all that is found is looked up in the text.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from qwen_desktop.errors import Known
from qwen_desktop.storage import damage, terms
from qwen_desktop.storage.database import Database
from qwen_desktop.storage.said import Said

_log = logging.getLogger(__name__)

_STREAMING = "SELECT number FROM messages WHERE status = 'streaming'"
_WAITING = (
    f"SELECT message FROM to_index WHERE message NOT IN ({_STREAMING})"
    # Another message may have got the number of one that is gone.
    " AND message NOT IN (SELECT message FROM to_forget) ORDER BY message DESC LIMIT ?"
)
_MESSAGE = "SELECT role, stats, parts FROM messages WHERE number = ?"
_GONE = "SELECT message, role, stats, parts FROM to_forget ORDER BY message DESC LIMIT ?"
# Stands in to_forget, where it comes last, while words taken out can still be read in the file.
_TAKEN_OUT = 0  # no message has this number
# Those that stream are marked while they go on, and wait for their end.
_LEFT = (
    "SELECT (SELECT count(*) FROM to_index) + (SELECT count(*) FROM to_forget)"
    f" - (SELECT count(*) FROM to_index WHERE message IN ({_STREAMING}))"
)


class WordIndex:
    """The index of one open database. Made by `Store`. Methods raise Known where the disk is at
    fault, and leave everything as it was then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rebuilt = False

    def is_behind(self) -> bool:
        """Whether there is something to take in or out."""
        with self._database.reading() as connection:
            return bool(connection.execute(_LEFT).fetchone()[0])

    def add_some(self, limit: int) -> int:
        """Take in up to `limit` messages, the newest first, and out as many that are gone.

        Returns how many are left. An index that turns out damaged is begun anew.
        """
        if not self.is_behind():
            return 0
        try:
            with self._at_ease(), self._database.writing() as connection:
                _forget(connection, limit)
                waiting = [number for (number,) in connection.execute(_WAITING, (limit,))]
                # In their order: FTS5 begins another piece of the index where numbers go down.
                for number in reversed(waiting):
                    _put_in(connection, number)
                _drop(connection, "to_index", waiting)
                (left,) = connection.execute(_LEFT).fetchone()
        except (Known, ValueError, sqlite3.DatabaseError) as error:
            if self._rebuilt or not is_damage(error):
                raise
            _log.warning("the index of words is damaged and made anew: %s", error)
            self._rebuilt = True  # were it anything else, this would go on for ever
            return self.rebuild()
        return int(left)

    def merge(self, pages: int) -> bool:
        """Bring pieces of the index together, about `pages` of 4 KB; False where all is well.

        Without it every search would have as many places to look at as there were changes.
        """
        with self._at_ease(), self._database.writing() as connection:
            before = connection.total_changes
            connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))
            # One change is the command itself.
            return connection.total_changes - before > 1

    @contextmanager
    def _at_ease(self) -> Iterator[None]:
        """Let the disk take its time: what is lost of an index with the power is made again.

        What was written before stays on disk, and what is written after it waits for both.
        """
        connection = self._database.connection
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            connection.execute("PRAGMA synchronous = FULL")

    def rebuild(self) -> int:
        """Forget all of the index, and mark every message; how many are left to index."""
        with self._database.writing() as connection:
            connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
            connection.execute("DELETE FROM to_forget")
            connection.execute("DELETE FROM to_index")
            connection.execute(
                "INSERT INTO to_index (message, again)"
                " SELECT number, 0 FROM messages WHERE status <> 'streaming'"
            )
            (left,) = connection.execute(_LEFT).fetchone()
        return int(left)


def is_damage(error: BaseException) -> bool:
    """Whether an error in using the index comes of damage, by the cause of a Known as well."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    # All that passes is operational, but for the general one.
    return isinstance(cause, sqlite3.DatabaseError) and (
        not isinstance(cause, sqlite3.OperationalError) or "logic error" in str(cause)
    )


def _forget(connection: sqlite3.Connection, limit: int) -> None:
    """Take up to `limit` messages out, then let the index be made anew without their words.

    What is taken out is only crossed out until all pieces of the index are brought together. That
    is begun here and done by `merge`, whenever the program was ended in between.
    """
    gone = connection.execute(_GONE, (limit,)).fetchall()
    _drop(connection, "to_forget", (number for number, *_ in gone))
    if [number for number, *_ in gone] == [_TAKEN_OUT]:
        connection.execute("INSERT INTO words (words, rank) VALUES ('merge', -1)")
        return
    for number, *row in gone:
        if number != _TAKEN_OUT:
            _take_out(connection, number, Said.of(*row).terms())
    if gone:
        # FTS5 brings together only what was committed.
        connection.execute(
            "INSERT OR IGNORE INTO to_forget (message, role, parts) VALUES (?, '', '')",
            (_TAKEN_OUT,),
        )


def _put_in(connection: sqlite3.Connection, number: int) -> None:
    try:
        row = connection.execute(_MESSAGE, (number,)).fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:  # what cannot be read cannot be found either
        damage.note(str(number), f"page ({error})")
        return
    connection.execute(
        "INSERT INTO words (rowid, terms) VALUES (?, ?)",
        (number, terms.joined(Said.of(*row).terms())),
    )


def _take_out(connection: sqlite3.Connection, number: int, gone: set[str]) -> None:
    connection.execute(
        "INSERT INTO words (words, rowid, terms) VALUES ('delete', ?, ?)",
        (number, terms.joined(gone)),
    )


def _drop(connection: sqlite3.Connection, table: str, numbers: Iterable[int]) -> None:
    connection.executemany(
        f"DELETE FROM {table} WHERE message = ?", ((number,) for number in numbers)
    )
