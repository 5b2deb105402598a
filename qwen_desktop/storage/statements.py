"""What the store does inside a transaction of its own: SQL on conversations and messages.

Every function takes the connection of an open transaction. `conversation` is the number of a row,
which `number_of` finds; ids are for the outside.
"""

from __future__ import annotations

import sqlite3

from qwen_desktop.chat.attached import title_of
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import Message, Provenance, Role
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tree import PREVIEW_LENGTH, Conversation, one_line, title_from
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage import packing, rows
from qwen_desktop.storage.provenance import Parents, provenance_json


def not_there() -> Known:
    """The sentence about a conversation that nobody can find."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "This chat is no longer there."),
        QT_TRANSLATE_NOOP("errors", "It may have been deleted in another window."),
        code="conversation-missing",
    )


def number_of(connection: sqlite3.Connection, conversation_id: str) -> int:
    """The row of a conversation, deleted or not. Raises Known where there is none."""
    row = connection.execute(
        "SELECT number FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if row is None:
        raise not_there()
    return int(row[0])


def insert_conversation(connection: sqlite3.Connection, conversation: Conversation) -> int:
    """Write the row of a conversation without its messages; its number."""
    summary = conversation.summary()
    cursor = connection.execute(
        "INSERT INTO conversations"
        " (id, title, title_is_own, preview, created_at, updated_at, head_id, options)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation.id,
            whole(summary.title),
            bool(conversation.title),
            whole(summary.preview),
            conversation.created_at,
            conversation.updated_at,
            conversation.tree.head,
            rows.options_json(conversation.options),
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def insert_message(
    connection: sqlite3.Connection,
    conversation: int,
    message: Message,
    parent_of: Parents | None = None,
) -> None:
    """Write a message behind all others of its conversation.

    `parent_of` knows all parents; without it they are looked up.
    """
    connection.execute(
        f"INSERT INTO messages (conversation, {rows.MESSAGE_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation,
            message.id,
            message.parent_id,
            message.role.value,
            rows.parts_column(message.parts),
            message.status.value,
            rows.stats_json(message.stats),
            whole(message.error),
            message.created_at,
            message.pinned,
            ids_blob(message.token_ids),
            provenance_json(message.provenance, parent_of or _parents(connection)),
        ),
    )


def write_answer(connection: sqlite3.Connection, conversation: int, message: Message) -> None:
    """Write what was said in a message there is, all it cost and came from; its journal goes."""
    require_message(connection, conversation, message.id)
    connection.execute(
        "UPDATE messages SET stats = ?, error = ?, provenance = ? WHERE id = ?",
        (
            rows.stats_json(message.stats),
            whole(message.error),
            provenance_json(message.provenance, _parents(connection)),
            message.id,
        ),
    )
    fold_journal(connection, message)


def fold_journal(connection: sqlite3.Connection, message: Message) -> None:
    """Write only what was said in a message and how it stands; its journal goes."""
    connection.execute(
        "UPDATE messages SET parts = ?, token_ids = ?, status = ? WHERE id = ?",
        (
            rows.parts_column(message.parts),
            ids_blob(message.token_ids),
            message.status.value,
            message.id,
        ),
    )
    connection.execute("DELETE FROM answer_journal WHERE message_id = ?", (message.id,))


def write_provenance(
    connection: sqlite3.Connection, message_id: str, provenance: Provenance
) -> None:
    """Write where an answer comes from."""
    connection.execute(
        "UPDATE messages SET provenance = ? WHERE id = ?",
        (provenance_json(provenance, _parents(connection)), message_id),
    )


def write_options(connection: sqlite3.Connection, conversation: int, options: ChatOptions) -> None:
    """Write what a conversation wants, in place of what it wanted before."""
    connection.execute(
        "UPDATE conversations SET options = ? WHERE number = ?",
        (rows.options_json(options), conversation),
    )


def ids_blob(ids: tuple[int, ...]) -> bytes | None:
    """Token ids as kept in a column, NULL for none. Raises ValueError for bad ones."""
    return packing.pack_ids(ids) if ids else None


def _parents(connection: sqlite3.Connection) -> Parents:
    def parent_of(message_id: str) -> str | None:
        row = connection.execute(
            "SELECT parent_id FROM messages WHERE id = ?", (message_id,)
        ).fetchone()
        return None if row is None else row[0]

    return parent_of


def require_message(connection: sqlite3.Connection, conversation: int, message_id: str) -> None:
    """Raise ValueError unless the message is of this conversation."""
    found = connection.execute(
        "SELECT 1 FROM messages WHERE id = ? AND conversation = ?", (message_id, conversation)
    )
    if found.fetchone() is None:
        raise ValueError(f"message {message_id} is not of this conversation")


def row_of(connection: sqlite3.Connection, message_id: str) -> int:
    """The number of the row of a message. Raises ValueError where there is none."""
    row = connection.execute("SELECT number FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise ValueError(f"there is no message {message_id}")
    return int(row[0])


def refresh_summary(connection: sqlite3.Connection, conversation: int) -> None:
    """Bring title and preview in line with the path that is read.

    By the rules of Conversation.summary(), without decoding more than the messages it looks at.
    """
    row = connection.execute(
        "SELECT head_id FROM conversations WHERE number = ?", (conversation,)
    ).fetchone()
    if row is None:  # lost: its messages must not keep the store from opening
        return
    (step,) = row
    # UNION without ALL ends even where damaged parents form a ring.
    path = {
        message_id: (parent_id, role)
        for message_id, parent_id, role in connection.execute(
            "WITH RECURSIVE path (id, parent_id, role) AS ("
            " SELECT id, parent_id, role FROM messages WHERE id = ?"
            " UNION SELECT m.id, m.parent_id, m.role FROM path"
            " JOIN messages m ON m.id = path.parent_id)"
            " SELECT id, parent_id, role FROM path",
            (step,),
        )
    }
    last: Message | None = None
    first_question: str | None = None
    while step in path:
        parent, role = path.pop(step)
        if role == Role.USER.value:
            first_question = step
        if last is None:
            message = _said(connection, step)
            last = message if title_of(message).strip() else None
        step = parent
    title = "" if first_question is None else title_from([_said(connection, first_question)])
    preview = "" if last is None else one_line(title_of(last), PREVIEW_LENGTH)
    connection.execute(
        "UPDATE conversations SET title = CASE WHEN title_is_own THEN title ELSE ? END,"
        " preview = ? WHERE number = ?",
        (whole(title), whole(preview), conversation),
    )


def _said(connection: sqlite3.Connection, message_id: str) -> Message:
    """A message with what was said in it, and nothing else of its row."""
    role, parts = connection.execute(
        "SELECT role, parts FROM messages WHERE id = ?", (message_id,)
    ).fetchone()
    role = Role.USER if role == Role.USER.value else Role.ASSISTANT
    return Message(role=role, parts=rows.parts_from(parts, message_id), id=message_id)
