"""Reads conversations with all that is kept of them, beside the store: on a thread of its own and
with a connection of its own, so that the store never waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from qwen_desktop.chat.messages import AnswerTrace
from qwen_desktop.chat.record import Record
from qwen_desktop.storage import rows
from qwen_desktop.storage.database import Database
from qwen_desktop.storage.statements import not_there
from qwen_desktop.storage.store import Store


class Records:
    """The conversations of a database that is open. Used from the thread that opened it.

    An answer that streams is INTERRUPTED here, with what is on disk of it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = Store(database)

    @classmethod
    def open(cls, file: Path) -> Records:
        """Begin to read the database at `file`. Raises Known."""
        return cls(Database.beside(file))

    def ids(self) -> tuple[str, ...]:
        """All conversations but those in the bin, oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT id FROM conversations WHERE deleted_at IS NULL ORDER BY number"
            ).fetchall()
        return tuple(rows.text_from(one) for (one,) in found)

    def read(self, conversation_id: str) -> Record:
        """One conversation; its traces are read when they are asked for.

        Raises Known where it is not there.
        """
        conversation = self._store.load(conversation_id)
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT c.number, c.pinned, c.archived, c.source, f.name FROM conversations c"
                " LEFT JOIN folders f ON f.number = c.folder WHERE c.id = ?",
                (conversation_id,),
            ).fetchone()
            if row is None:  # deleted between the two
                raise not_there()
            number, pinned, archived, source, folder = row
            tags = connection.execute(
                "SELECT name FROM tags WHERE conversation = ? ORDER BY name", (number,)
            ).fetchall()
            traced = connection.execute(
                "SELECT m.id FROM messages m JOIN answer_traces t ON t.message = m.number"
                " WHERE m.conversation = ? ORDER BY m.number",
                (number,),
            ).fetchall()
        ids = tuple(rows.text_from(one) for (one,) in traced)
        return Record(
            conversation,
            _Traces(self._store, ids),
            folder=rows.text_from(folder),
            tags=tuple(sorted(rows.text_from(tag) for (tag,) in tags)),
            pinned=pinned == 1,
            archived=archived == 1,
            source=rows.text_from(source),
        )

    def close(self) -> None:
        """End the connection."""
        self._database.connection.close()


class _Traces(Mapping[str, AnswerTrace]):
    """The traces of a conversation, one read at a time: together they may be very large."""

    def __init__(self, store: Store, ids: tuple[str, ...]) -> None:
        self._store = store
        self._ids = dict.fromkeys(ids)

    def __getitem__(self, message_id: str) -> AnswerTrace:
        if message_id not in self._ids:
            raise KeyError(message_id)
        return self._store.trace(message_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
