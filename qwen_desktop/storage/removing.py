"""Deletes messages of a conversation with all that hangs below them, and brings them back.

What is deleted is gone from the file, and from all that is made of it: search, export, the
traces of answers. Only its ids stay, so that the same conversation taken in again does not bring
it back. Whoever may want to undo it holds what `remove` gives.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qwen_desktop.storage import rows, traces
from qwen_desktop.storage.statements import number_of, refresh_summary, require_message

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store


@dataclass(frozen=True)
class Removed:
    """What was deleted, ready to be put back."""

    conversation_id: str
    ids: tuple[str, ...]  # in the order in which they were added
    head: str | None  # what was read before
    columns: tuple[str, ...]
    messages: tuple[tuple[Any, ...], ...]
    traces: tuple[traces.Packed | None, ...]
    drafts: tuple[tuple[str, str], ...]  # what deleted messages were being changed to


def remove(store: Store, conversation_id: str, message_id: str, head: str | None) -> Removed:
    """Delete a message and all below it; the conversation is then read up to `head`.

    Raises Known where the conversation is not there, ValueError for foreign messages.
    """
    with store.database.writing() as connection:
        conversation = number_of(connection, conversation_id)
        require_message(connection, conversation, message_id)
        (before,) = connection.execute(
            "SELECT head_id FROM conversations WHERE number = ?", (conversation,)
        ).fetchone()
        removed = _taken(connection, conversation_id, _below(connection, conversation, message_id))
        if head is not None:
            require_message(connection, conversation, head)
            if head in removed.ids:
                raise ValueError(f"message {head} is deleted as well")
        connection.executemany("DELETE FROM messages WHERE id = ?", _each(removed.ids))
        connection.executemany(
            "DELETE FROM drafts WHERE conversation_id = ?", _each(map(_draft_of, removed.ids))
        )
        traces.remove_unused(connection, conversation)
        mark(connection, conversation, removed.ids)
        _read_up_to(connection, conversation, head)
    return replace(removed, head=before)


def put_back(store: Store, removed: Removed, head: str | None) -> None:
    """Undo `remove`: all is as it was. Read up to `head` then, or as it is now where that is None.

    Raises Known where the conversation is not there any more.
    """
    with store.database.writing() as connection:
        conversation = number_of(connection, removed.conversation_id)
        for values, trace in zip(removed.messages, removed.traces, strict=True):
            row = dict(zip(removed.columns, values, strict=True))
            there = connection.execute("SELECT 1 FROM messages WHERE id = ?", (row["id"],))
            if there.fetchone() is not None:
                continue
            taken = connection.execute("SELECT 1 FROM messages WHERE number = ?", (row["number"],))
            if taken.fetchone() is not None:  # used again meanwhile
                del row["number"]
            row["conversation"] = conversation
            made = connection.execute(
                f"INSERT INTO messages ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
            if trace is not None and made.lastrowid is not None:
                traces.write_packed(connection, made.lastrowid, trace)
        connection.executemany(
            "DELETE FROM removed_messages WHERE conversation = ? AND id = ?",
            [(conversation, message_id) for message_id in removed.ids],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO drafts (conversation_id, text) VALUES (?, ?)", removed.drafts
        )
        if head is not None:
            require_message(connection, conversation, head)
            _read_up_to(connection, conversation, head)


def head_of(store: Store, conversation_id: str) -> str | None:
    """Up to which message a conversation is read, as it stands on disk. Raises Known without it."""
    with store.database.reading() as connection:
        (head,) = connection.execute(
            "SELECT head_id FROM conversations WHERE number = ?",
            (number_of(connection, conversation_id),),
        ).fetchone()
    return None if head is None else rows.text_from(head)


def mark(connection: sqlite3.Connection, conversation: int, ids: Iterable[str]) -> None:
    """Remember that messages of the conversation of row `conversation` were deleted."""
    now = time.time()
    connection.executemany(
        "INSERT OR IGNORE INTO removed_messages (conversation, id, removed_at) VALUES (?, ?, ?)",
        [(conversation, message_id, now) for message_id in ids],
    )


def removed_of(connection: sqlite3.Connection, conversation: int) -> set[str]:
    """The ids of the messages that were deleted of a conversation."""
    found = connection.execute(
        "SELECT id FROM removed_messages WHERE conversation = ?", (conversation,)
    )
    return {rows.text_from(message_id) for (message_id,) in found}


def _below(connection: sqlite3.Connection, conversation: int, message_id: str) -> list[int]:
    """The rows of a message and of all below it, in the order of adding."""
    children: dict[Any, list[tuple[str, int]]] = {}
    numbers: dict[str, int] = {}
    for number, its_id, parent in connection.execute(
        "SELECT number, id, parent_id FROM messages WHERE conversation = ?", (conversation,)
    ):
        numbers[its_id] = number
        children.setdefault(parent, []).append((its_id, number))
    found = {numbers[message_id]}
    waiting = [message_id]
    while waiting:
        for its_id, number in children.get(waiting.pop(), ()):
            if number not in found:  # damaged parents may form a ring
                found.add(number)
                waiting.append(its_id)
    return sorted(found)


def _taken(connection: sqlite3.Connection, conversation_id: str, numbers: list[int]) -> Removed:
    pieces: dict[int, bytes] = {}
    columns: tuple[str, ...] = ()
    messages, kept, drafts = [], [], []
    for number in numbers:
        cursor = connection.execute("SELECT * FROM messages WHERE number = ?", (number,))
        columns = tuple(name for name, *_ in cursor.description)
        row = cursor.fetchone()
        messages.append(tuple(row))
        kept.append(traces.packed(connection, number, pieces))
    ids = tuple(row[columns.index("id")] for row in messages)
    for key in map(_draft_of, ids):
        drafts += connection.execute(
            "SELECT conversation_id, text FROM drafts WHERE conversation_id = ?", (key,)
        ).fetchall()
    return Removed(conversation_id, ids, None, columns, tuple(messages), tuple(kept), tuple(drafts))


def _read_up_to(connection: sqlite3.Connection, conversation: int, head: str | None) -> None:
    connection.execute(
        "UPDATE conversations SET head_id = ? WHERE number = ?", (head, conversation)
    )
    refresh_summary(connection, conversation)


def _draft_of(message_id: str) -> str:
    return f"edit {message_id}"  # as `Store.save_draft` has it


def _each(values: Iterable[str]) -> list[tuple[str]]:
    return [(value,) for value in values]
