"""Conversations on disk. Synchronous; one thread opens a store and uses it. No Qt, no torch.

What a method has written is on disk when it returns. Methods raise Known where the file or the
conversation is at fault, and ValueError where the caller is (an id used twice, a foreign head).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from qwen_desktop.chat.messages import Message, PartKind, Role, Status
from qwen_desktop.chat.tree import PREVIEW_LENGTH, Conversation, Summary, one_line, title_from
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage import rows
from qwen_desktop.storage.database import Database

_log = logging.getLogger(__name__)

KEEP_DELETED_SECONDS = 30 * 24 * 3600.0


class Store:
    """The conversations of one profile."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._live: set[str] = set()  # answers that stream in this very run

    @classmethod
    def open(cls, file: Path) -> Store:
        """Open or make the database at `file`, then tidy up after the last run.

        Answers that were streaming become INTERRUPTED with all that was journalled, and
        conversations deleted more than 30 days ago go for good. Raises Known; see Database.open.
        """
        store = cls(Database.open(file))
        try:
            store._tidy()
        except Known as known:
            # A full or read-only disk: what is there can be read, and load() sees to the rest.
            _log.warning("tidying the database failed: %s", known)
        except BaseException:
            store.close()
            raise
        return store

    def summaries(self) -> tuple[Summary, ...]:
        """All rows of the list, newest first, without the deleted ones."""
        with self.database.reading() as connection:
            found = connection.execute(
                "SELECT id, title, preview, updated_at FROM conversations"
                " WHERE deleted_at IS NULL ORDER BY updated_at DESC, rowid DESC"
            ).fetchall()
        return tuple(
            Summary(
                rows.text_from(row[0]),
                rows.text_from(row[1]),
                rows.text_from(row[2]),
                rows.number_from(row[3]),
            )
            for row in found
        )

    def load(self, conversation_id: str) -> Conversation:
        """Everything of one conversation. Raises Known where it is not there or deleted.

        Damaged messages come with their raw text; see `rows`.
        """
        with self.database.reading() as connection:
            row = connection.execute(
                "SELECT title, title_is_own, created_at, updated_at, head_id FROM conversations"
                " WHERE id = ? AND deleted_at IS NULL",
                (conversation_id,),
            ).fetchone()
            if row is None:
                raise _not_there()
            messages = self._messages(connection, conversation_id)
        title, is_own, created_at, updated_at, head = row
        return Conversation(
            id=conversation_id,
            title=rows.text_from(title) if is_own else "",
            created_at=rows.number_from(created_at),
            updated_at=rows.number_from(updated_at),
            tree=rows.tree_from(messages, head),
        )

    def create(self, conversation: Conversation) -> None:
        """Write a conversation and all messages of its tree, or nothing."""
        summary = conversation.summary()
        messages = conversation.tree.messages.values()
        with self.database.writing() as connection:
            connection.execute(
                "INSERT INTO conversations (id, title, title_is_own, preview, created_at,"
                " updated_at, head_id, deleted_at) VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    conversation.id,
                    rows.storable(summary.title),
                    bool(conversation.title),
                    rows.storable(summary.preview),
                    conversation.created_at,
                    conversation.updated_at,
                    conversation.tree.head,
                ),
            )
            for position, message in enumerate(messages):
                _insert(connection, conversation.id, position, message)
        self._note(messages)

    def add_message(self, conversation_id: str, message: Message) -> None:
        """Write a message below its parent; it becomes the head and the conversation the newest."""
        with self.database.writing() as connection:
            (position,) = connection.execute(
                "SELECT coalesce(max(position), -1) + 1 FROM messages WHERE conversation_id = ?",
                (conversation_id,),
            ).fetchone()
            _change(
                connection,
                "UPDATE conversations SET head_id = ?, updated_at = ? WHERE id = ?",
                (message.id, time.time(), conversation_id),
            )
            if message.parent_id is not None:
                _require(connection, conversation_id, message.parent_id)
            _insert(connection, conversation_id, position, message)
            _refresh(connection, conversation_id)
        self._note((message,))

    def journal(self, message_id: str, kind: PartKind, text: str) -> None:
        """Append a piece to a streaming answer: one small insert, for several times a second."""
        if not text:
            return
        with self.database.writing() as connection:
            connection.execute(
                "INSERT INTO answer_journal (message_id, seq, kind, text) SELECT ?,"
                " (SELECT coalesce(max(seq), 0) + 1 FROM answer_journal WHERE message_id = ?),"
                " ?, ?",
                (message_id, message_id, kind.value, rows.storable(text)),
            )

    def finish(self, conversation_id: str, message: Message) -> None:
        """Write the final parts, status, stats and error of an answer; its journal goes."""
        with self.database.writing() as connection:
            _write_answer(connection, conversation_id, message)
            _refresh(connection, conversation_id)
        self._note((message,))

    def rename(self, conversation_id: str, title: str) -> None:
        """Give an own title; an empty one brings back the title made of the first question."""
        with self.database.writing() as connection:
            _change(
                connection,
                "UPDATE conversations SET title = ?, title_is_own = ? WHERE id = ?",
                (rows.storable(title), bool(title), conversation_id),
            )
            _refresh(connection, conversation_id)

    def delete(self, conversation_id: str) -> None:
        """Take a conversation out of the list. `restore` brings it back for 30 days."""
        with self.database.writing() as connection:
            _change(
                connection,
                "UPDATE conversations SET deleted_at = ? WHERE id = ?",
                (time.time(), conversation_id),
            )

    def restore(self, conversation_id: str) -> None:
        """Undo `delete`."""
        with self.database.writing() as connection:
            _change(
                connection,
                "UPDATE conversations SET deleted_at = NULL WHERE id = ?",
                (conversation_id,),
            )

    def set_head(self, conversation_id: str, message_id: str) -> None:
        """Read the conversation up to `message_id` from now on."""
        with self.database.writing() as connection:
            _change(
                connection,
                "UPDATE conversations SET head_id = ? WHERE id = ?",
                (message_id, conversation_id),
            )
            _require(connection, conversation_id, message_id)
            _refresh(connection, conversation_id)

    def save_draft(self, conversation_id: str, text: str) -> None:
        """Keep what stands in the composer; "" forgets it. The id "" means a new chat."""
        with self.database.writing() as connection:
            if text:
                connection.execute(
                    "INSERT OR REPLACE INTO drafts (conversation_id, text) VALUES (?, ?)",
                    (conversation_id, rows.storable(text)),
                )
            else:
                connection.execute(
                    "DELETE FROM drafts WHERE conversation_id = ?", (conversation_id,)
                )

    def drafts(self) -> Mapping[str, str]:
        """All drafts by conversation id."""
        with self.database.reading() as connection:
            found = connection.execute("SELECT conversation_id, text FROM drafts").fetchall()
        return {rows.text_from(key): rows.text_from(text) for key, text in found}

    def close(self) -> None:
        """Leave one tidy file behind. May be called again; nothing else may be after it."""
        self.database.close()

    def _note(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.status is Status.STREAMING:
                self._live.add(message.id)
            else:
                self._live.discard(message.id)

    def _messages(self, connection: sqlite3.Connection, conversation_id: str) -> list[Message]:
        """The messages in order, with what their journals hold."""
        found = connection.execute(
            f"SELECT {rows.MESSAGE_COLUMNS} FROM messages"
            " WHERE conversation_id = ? ORDER BY position",
            (conversation_id,),
        )
        return [self._complete(connection, rows.message_from(row)) for row in found]

    def _complete(self, connection: sqlite3.Connection, message: Message) -> Message:
        """The message with its journal; INTERRUPTED where it streams in no run of ours."""
        journal = connection.execute(
            "SELECT kind, text FROM answer_journal WHERE message_id = ? ORDER BY seq",
            (message.id,),
        )
        for kind, text in journal:
            message = message.appended(rows.kind_from(kind, message.id), rows.text_from(text))
        if message.status is Status.STREAMING and message.id not in self._live:
            message = replace(message, status=Status.INTERRUPTED)
        return message

    def _tidy(self) -> None:
        with self.database.writing() as connection:
            unfinished = connection.execute(
                f"SELECT conversation_id, {rows.MESSAGE_COLUMNS} FROM messages"
                " WHERE status = 'streaming'"
                f" UNION SELECT conversation_id, {rows.MESSAGE_COLUMNS} FROM messages"
                " WHERE id IN (SELECT message_id FROM answer_journal)"
            ).fetchall()
            for conversation_id, *row in unfinished:
                message = self._complete(connection, rows.message_from(tuple(row)))
                _write_answer(connection, conversation_id, message)
            for conversation_id in {row[0] for row in unfinished}:
                _refresh(connection, conversation_id)
        with self.database.writing() as connection:
            long_ago = (time.time() - KEEP_DELETED_SECONDS,)
            connection.execute(
                "DELETE FROM drafts WHERE conversation_id IN"
                " (SELECT id FROM conversations WHERE deleted_at < ?)",
                long_ago,
            )
            connection.execute("DELETE FROM conversations WHERE deleted_at < ?", long_ago)


def _not_there() -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "This conversation is no longer there."),
        QT_TRANSLATE_NOOP("errors", "It may have been deleted in another window."),
    )


def _change(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    """Run an update of one conversation. Raises Known where that is not there."""
    if connection.execute(statement, values).rowcount != 1:
        raise _not_there()


def _require(connection: sqlite3.Connection, conversation_id: str, message_id: str) -> None:
    found = connection.execute(
        "SELECT 1 FROM messages WHERE id = ? AND conversation_id = ?",
        (message_id, conversation_id),
    )
    if found.fetchone() is None:
        raise ValueError(f"message {message_id} is not of conversation {conversation_id}")


def _insert(
    connection: sqlite3.Connection, conversation_id: str, position: int, message: Message
) -> None:
    connection.execute(
        f"INSERT INTO messages (conversation_id, position, {rows.MESSAGE_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation_id,
            position,
            message.id,
            message.parent_id,
            message.role.value,
            rows.parts_json(message.parts),
            message.status.value,
            rows.stats_json(message.stats),
            rows.storable(message.error),
            message.created_at,
        ),
    )


def _write_answer(connection: sqlite3.Connection, conversation_id: str, message: Message) -> None:
    _change(
        connection,
        "UPDATE messages SET parts = ?, status = ?, stats = ?, error = ?"
        " WHERE id = ? AND conversation_id = ?",
        (
            rows.parts_json(message.parts),
            message.status.value,
            rows.stats_json(message.stats),
            rows.storable(message.error),
            message.id,
            conversation_id,
        ),
    )
    connection.execute("DELETE FROM answer_journal WHERE message_id = ?", (message.id,))


def _refresh(connection: sqlite3.Connection, conversation_id: str) -> None:
    """Bring title and preview in line with the path that is read.

    By the rules of Conversation.summary(), without decoding more than the messages it looks at.
    """
    # UNION without ALL ends even where damaged parents form a ring.
    parents = {
        message_id: (parent_id, role)
        for message_id, parent_id, role in connection.execute(
            "WITH RECURSIVE path (id, parent_id, role) AS ("
            " SELECT m.id, m.parent_id, m.role FROM messages m"
            " JOIN conversations c ON c.id = ? AND m.id = c.head_id"
            " UNION SELECT m.id, m.parent_id, m.role FROM messages m"
            " JOIN path ON m.id = path.parent_id)"
            " SELECT id, parent_id, role FROM path",
            (conversation_id,),
        )
    }
    (step,) = connection.execute(
        "SELECT head_id FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    last: Message | None = None
    first_question: str | None = None
    while step in parents:
        parent, role = parents.pop(step)
        if role == Role.USER.value:
            first_question = step
        if last is None:
            message = _message(connection, step)
            last = message if message.text.strip() else None
        step = parent
    question = None if first_question is None else _message(connection, first_question)
    connection.execute(
        "UPDATE conversations SET title = CASE WHEN title_is_own THEN title ELSE ? END,"
        " preview = ? WHERE id = ?",
        (
            rows.storable(title_from([question])) if question else "",
            rows.storable(one_line(last.text, PREVIEW_LENGTH)) if last else "",
            conversation_id,
        ),
    )


def _message(connection: sqlite3.Connection, message_id: str) -> Message:
    row = connection.execute(
        f"SELECT {rows.MESSAGE_COLUMNS} FROM messages WHERE id = ?", (message_id,)
    ).fetchone()
    return rows.message_from(row)
