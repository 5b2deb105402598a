"""Takes a conversation from outside into the store: a known one gets the messages it lacks.

Known by its source ("chatgpt:…") or by its id. Nothing that is there is changed or lost: whoever
takes the same conversation in twice, in any order, has it once. What the user deleted of it here
does not come back.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from qwen_desktop.chat.importing import Outcome
from qwen_desktop.chat.messages import Message, Status, new_id
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.summary import FOLDER_LENGTH, TAG_LENGTH, one_name
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import removing, rows, traces
from qwen_desktop.storage.statements import (
    insert_conversation,
    insert_message,
    refresh_summary,
    row_of,
    write_options,
)
from qwen_desktop.storage.store import Store

_MANY = 500  # values in one statement; SQLite takes at least 999


@dataclass(frozen=True)
class Added:
    """What became of a conversation, and its id in this profile."""

    outcome: Outcome
    conversation_id: str


def add(store: Store, record: Record) -> Added:
    """Take a conversation in, whole or not at all; on disk when this returns.

    One in the bin comes back from it. A new one is listed as its record says; of a known one title,
    options and place in the list stay, but for what it lacks. Raises Known where the disk refuses.
    """
    with store.database.writing() as connection:
        known = _find(connection, record)
        if known is None:
            return Added(Outcome.ADDED, _insert(connection, record))
        return Added(_merge(connection, record, known), known.id)


@dataclass(frozen=True)
class _Known:
    number: int
    id: str
    has_title: bool
    updated_at: float
    head: str | None
    has_options: bool
    deleted: bool


def _find(connection: sqlite3.Connection, record: Record) -> _Known | None:
    columns = (
        "SELECT number, id, title_is_own, updated_at, head_id, options IS NOT NULL,"
        " deleted_at IS NOT NULL FROM conversations WHERE "
    )
    row = None
    if record.source:
        found = connection.execute(columns + "source = ?", (whole(record.source),))
        row = found.fetchone()
    if row is None:
        row = connection.execute(columns + "id = ?", (record.conversation.id,)).fetchone()
    if row is None:
        return None
    number, its_id, has_title, updated_at, head, has_options, deleted = row
    return _Known(
        number,
        rows.text_from(its_id),
        bool(has_title),
        rows.number_from(updated_at),
        head if isinstance(head, str) else None,
        bool(has_options),
        bool(deleted),
    )


def _insert(connection: sqlite3.Connection, record: Record) -> str:
    conversation = _renamed(connection, record.conversation, record.conversation.id, None)
    number = insert_conversation(connection, conversation)
    connection.execute(
        "UPDATE conversations SET source = ?, pinned = ?, archived = ?, folder = ?"
        " WHERE number = ?",
        (
            whole(record.source) or None,
            record.pinned,
            record.archived,
            _folder(connection, record.folder),
            number,
        ),
    )
    _tag(connection, number, record.tags)
    _write(connection, number, record, conversation, set())
    return conversation.id


def _merge(connection: sqlite3.Connection, record: Record, known: _Known) -> Outcome:
    conversation = _renamed(connection, record.conversation, known.id, known.number)
    there = {
        rows.text_from(message_id)
        for (message_id,) in connection.execute(
            "SELECT id FROM messages WHERE conversation = ?", (known.number,)
        )
    }
    there |= _unwanted(connection, conversation, known, there)
    _write(connection, known.number, record, conversation, there)
    is_more = not conversation.tree.messages.keys() <= there
    if is_more:
        _follow(connection, conversation, known, there)
    if conversation.title and not known.has_title:
        connection.execute(
            "UPDATE conversations SET title = ?, title_is_own = 1 WHERE number = ?",
            (whole(conversation.title), known.number),
        )
    if not known.has_options:
        write_options(connection, known.number, conversation.options)
    if known.deleted:
        connection.execute(
            "UPDATE conversations SET deleted_at = NULL WHERE number = ?", (known.number,)
        )
    return Outcome.MERGED if is_more or known.deleted else Outcome.SAME


def _unwanted(
    connection: sqlite3.Connection, conversation: Conversation, known: _Known, there: set[str]
) -> set[str]:
    """The messages that the user deleted here, and what hangs below them."""
    unwanted = removing.removed_of(connection, known.number) - there
    for message in conversation.tree.messages.values():  # parents come first
        if message.parent_id in unwanted and message.id not in there:
            unwanted.add(message.id)
    return unwanted


def _follow(
    connection: sqlite3.Connection, conversation: Conversation, known: _Known, there: set[str]
) -> None:
    """Read a known conversation up to where it was taken further, unless it is at work."""
    head = conversation.tree.head
    (at_work,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE conversation = ? AND status = ?)",
        (known.number, Status.STREAMING.value),
    ).fetchone()
    is_newer = known.head is None or conversation.updated_at >= known.updated_at
    if head is not None and head not in there and is_newer and not at_work:
        connection.execute(
            "UPDATE conversations SET head_id = ? WHERE number = ?", (head, known.number)
        )
    connection.execute(
        "UPDATE conversations SET updated_at = max(updated_at, ?) WHERE number = ?",
        (conversation.updated_at, known.number),
    )
    refresh_summary(connection, known.number)


def _write(
    connection: sqlite3.Connection,
    number: int,
    record: Record,
    conversation: Conversation,
    there: set[str],
) -> None:
    """Write the messages that are not there, with their traces."""
    messages = conversation.tree.messages
    parents = {message.id: message.parent_id for message in messages.values()}
    # The ids of the record itself are those of its traces.
    originals = record.conversation.tree.messages
    for original, message in zip(originals, messages.values(), strict=True):
        if message.id in there:
            continue
        insert_message(connection, number, message, parents.get)
        if original in record.traces:
            trace = record.traces[original]
            row = row_of(connection, message.id)
            traces.write_prompt(connection, row, trace.prompt_ids)
            traces.write_scores(connection, row, trace.scores)


def _renamed(
    connection: sqlite3.Connection, conversation: Conversation, its_id: str, number: int | None
) -> Conversation:
    """The conversation with messages that no other conversation has, and with nothing at work.

    Ids are unique in a profile: one that another conversation has (this is a copy of it) becomes
    one that is made of both.
    """
    tree = conversation.tree
    foreign = _elsewhere(connection, tree.messages, number)
    names = {
        message_id: sha256(f"{its_id} {message_id}".encode("utf-8", "replace")).hexdigest()[:32]
        for message_id in foreign
    }
    messages = [_with_names(message, names) for message in tree.messages.values()]
    head = names.get(tree.head, tree.head) if tree.head is not None else None
    return replace(conversation, tree=Tree.of(messages, head))


def _with_names(message: Message, names: dict[str, str]) -> Message:
    if message.status is Status.STREAMING:  # its writer is elsewhere, or gone
        message = replace(message, status=Status.INTERRUPTED)
    if not names:
        return message
    provenance = message.provenance
    if provenance is not None:
        unseen = tuple(names.get(one, one) for one in provenance.unseen)
        source = names.get(provenance.forked_from, provenance.forked_from)
        provenance = replace(provenance, unseen=unseen, forked_from=source)
    parent = message.parent_id
    return replace(
        message,
        id=names.get(message.id, message.id),
        parent_id=parent if parent is None else names.get(parent, parent),
        provenance=provenance,
    )


def _elsewhere(connection: sqlite3.Connection, ids: Iterable[str], number: int | None) -> set[str]:
    """Those of `ids` that are messages of another conversation than the one of row `number`."""
    wanted = list(ids)
    found: set[str] = set()
    for at in range(0, len(wanted), _MANY):
        some = wanted[at : at + _MANY]
        found.update(
            rows.text_from(message_id)
            for (message_id,) in connection.execute(
                f"SELECT id FROM messages WHERE id IN ({', '.join('?' * len(some))})"
                " AND conversation IS NOT ?",
                (*some, number),
            )
        )
    return found


def _folder(connection: sqlite3.Connection, name: str) -> int | None:
    """The row of the folder with this name, made where there is none."""
    name = whole(one_name(name, FOLDER_LENGTH))
    if not name:
        return None
    for number, there in connection.execute("SELECT number, name FROM folders"):
        if rows.text_from(there).casefold() == name.casefold():
            return int(number)
    made = connection.execute(
        "INSERT INTO folders (id, name, created_at) VALUES (?, ?, ?)",
        (new_id(), name, time.time()),
    )
    return made.lastrowid


def _tag(connection: sqlite3.Connection, number: int, tags: Iterable[str]) -> None:
    """Give a conversation tags, spelled as they are elsewhere."""
    wanted = [name for tag in tags if (name := whole(one_name(tag, TAG_LENGTH)))]
    if not wanted:
        return
    known = {
        rows.text_from(name).casefold(): rows.text_from(name)
        for (name,) in connection.execute("SELECT DISTINCT name FROM tags")
    }
    connection.executemany(
        "INSERT OR IGNORE INTO tags (conversation, name) VALUES (?, ?)",
        [(number, known.get(name.casefold(), name)) for name in wanted],
    )
