"""Conversations on disk. Synchronous; one thread opens a store and uses it. No Qt, no torch.

What a method has written is on disk when it returns. Methods raise Known where the file or the
conversation is at fault, and ValueError where the caller is (an id used twice, a foreign head).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import AnswerTrace, Message, PartKind, Provenance, Status
from qwen_desktop.chat.opening import OpeningReport
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import Known
from qwen_desktop.storage import rows, salvage, traces
from qwen_desktop.storage.backups import Backups
from qwen_desktop.storage.database import Database, is_damage, mark_damage
from qwen_desktop.storage.listing import Listing
from qwen_desktop.storage.opening import open_database, recover_database
from qwen_desktop.storage.provenance import ProvenanceReader
from qwen_desktop.storage.statements import (
    fold_journal,
    ids_blob,
    insert_conversation,
    insert_message,
    not_there,
    number_of,
    refresh_summary,
    require_message,
    row_of,
    write_answer,
    write_options,
    write_provenance,
)
from qwen_desktop.storage.trouble import DAMAGED
from qwen_desktop.storage.word_index import WordIndex

_log = logging.getLogger(__name__)


class Store:
    """The conversations of one profile."""

    def __init__(self, database: Database, opening: OpeningReport | None = None) -> None:
        self.database = database
        self.opening = opening or OpeningReport()
        self.backups = Backups(database)
        self.listing = Listing(database)
        self.index = WordIndex(database)
        self._live: set[str] = set()  # answers that stream in this very run

    @classmethod
    def open(cls, file: Path) -> Store:
        """Open or make the database at `file`, then tidy up after the last run.

        Answers that were streaming become INTERRUPTED with all that was journalled. `opening` says
        what was met. Raises Known; see `opening.py`.
        """
        database, opening = open_database(file)
        store = cls(database, opening)
        try:
            if opening.read_only is None:
                store._tidy()
        except Known as known:
            if known.code == DAMAGED and opening.damaged is None:
                store.close()
                return cls(*recover_database(file))
            # A full or read-only disk: what is there can be read, and load() sees to the rest.
            _log.warning("tidying the database failed: %s", known)
        except BaseException:
            store.close()
            raise
        return store

    def load(self, conversation_id: str) -> Conversation:
        """Everything of one conversation, in the bin or not. Raises Known where it is not there.

        Damaged messages come with their raw text; see `rows`. On damaged pages there may be some
        that cannot be read at all: these are left out, and the next start recovers what it can.
        """
        with self.database.reading() as connection:
            row = connection.execute(
                "SELECT number, title, title_is_own, created_at, updated_at, head_id, options"
                " FROM conversations WHERE id = ?",
                (conversation_id,),
            ).fetchone()
            if row is None:
                raise not_there()
            number, title, is_own, created_at, updated_at, head, options = row
            try:
                reader = ProvenanceReader()
                messages = self._messages(connection, reader, "conversation = ?", number)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if not is_damage(error):
                    raise
                mark_damage(self.database.file)
                messages = self._readable(connection, number)
        return Conversation(
            id=conversation_id,
            title=rows.text_from(title) if is_own else "",
            created_at=rows.number_from(created_at),
            updated_at=rows.number_from(updated_at),
            tree=rows.tree_from((message for _, message in messages), head),
            options=rows.options_from(options, conversation_id),
        )

    def create(self, conversation: Conversation) -> None:
        """Write a conversation and all messages of its tree, or nothing."""
        messages = conversation.tree.messages.values()
        parents = {message.id: message.parent_id for message in messages}
        with self.database.writing() as connection:
            number = insert_conversation(connection, conversation)
            for message in messages:
                insert_message(connection, number, message, parents.get)
        self._note(messages)

    def add_message(self, conversation_id: str, message: Message) -> None:
        """Write a message below its parent; it becomes the head and the conversation the newest."""
        self.add_messages(conversation_id, (message,))

    def add_messages(self, conversation_id: str, messages: tuple[Message, ...]) -> None:
        """Write messages one after another as `add_message` does, or none of them."""
        with self.database.writing() as connection:
            number = number_of(connection, conversation_id)
            for message in messages:
                if message.parent_id is not None:
                    require_message(connection, number, message.parent_id)
                insert_message(connection, number, message)
            connection.execute(
                "UPDATE conversations SET head_id = ?, updated_at = ? WHERE number = ?",
                (messages[-1].id, time.time(), number),
            )
            refresh_summary(connection, number)
        self._note(messages)

    def save_start(
        self, message_id: str, provenance: Provenance, prompt_ids: tuple[int, ...]
    ) -> None:
        """Keep where a streaming answer comes from, so that a crash does not take it along."""
        with self.database.writing() as connection:
            row = row_of(connection, message_id)
            write_provenance(connection, message_id, provenance)
            traces.write_prompt(connection, row, prompt_ids)

    def journal(
        self, message_id: str, kind: PartKind, text: str, ids: tuple[int, ...] = ()
    ) -> None:
        """Append a piece to a streaming answer: one small insert, for several times a second.

        `ids` are the new tokens; either may be empty.
        """
        self.journal_pieces(message_id, ((kind, text, ids),))

    def journal_pieces(
        self, message_id: str, pieces: Sequence[tuple[PartKind, str, tuple[int, ...]]]
    ) -> None:
        """Append pieces (kind, text, ids) in their order as `journal` does, or none of them."""
        pieces = [piece for piece in pieces if piece[1] or piece[2]]
        if not pieces:
            return
        with self.database.writing() as connection:
            for kind, text, ids in pieces:
                connection.execute(
                    "INSERT INTO answer_journal (message_id, seq, kind, text, ids) SELECT ?,"
                    " (SELECT coalesce(max(seq), 0) + 1 FROM answer_journal WHERE message_id = ?),"
                    " ?, ?, ?",
                    (message_id, message_id, kind.value, whole(text), ids_blob(ids)),
                )

    def reopen(self, conversation_id: str, message: Message) -> None:
        """Let an answer go on: it streams again, with all of `message`; its trace stays.

        The journal then takes what is new, and `finish` ends it.
        """
        streaming = replace(message, status=Status.STREAMING)
        self.finish(conversation_id, streaming)

    def finish(
        self, conversation_id: str, message: Message, trace: AnswerTrace | None = None
    ) -> None:
        """Write an answer as it ended, all but its pin; its journal goes.

        `trace` replaces the one there is, which stays without.
        """
        with self.database.writing() as connection:
            number = number_of(connection, conversation_id)
            write_answer(connection, number, message)
            if trace is not None:
                row = row_of(connection, message.id)
                traces.write_prompt(connection, row, trace.prompt_ids)
                traces.write_scores(connection, row, trace.scores)
            refresh_summary(connection, number)
        self._note((message,))

    def trace(self, message_id: str) -> AnswerTrace:
        """What is kept of an answer only to be looked at; empty where there is nothing."""
        with self.database.reading() as connection:
            return traces.read(connection, message_id)

    def set_pinned(self, conversation_id: str, message_id: str, pinned: bool) -> None:
        """Keep a message in the prompt whatever happens, or no longer."""
        with self.database.writing() as connection:
            require_message(connection, number_of(connection, conversation_id), message_id)
            connection.execute("UPDATE messages SET pinned = ? WHERE id = ?", (pinned, message_id))

    def set_options(self, conversation_id: str, options: ChatOptions) -> None:
        """Write what a conversation wants; values that the settings table refuses are left out."""
        with self.database.writing() as connection:
            write_options(connection, number_of(connection, conversation_id), options)

    def rename(self, conversation_id: str, title: str) -> None:
        """Give an own title; an empty one brings back the title made of the first question."""
        with self.database.writing() as connection:
            number = number_of(connection, conversation_id)
            connection.execute(
                "UPDATE conversations SET title = ?, title_is_own = ? WHERE number = ?",
                (whole(title), bool(title), number),
            )
            refresh_summary(connection, number)

    def suggest_title(self, conversation_id: str, title: str) -> bool:
        """Give a title unless one was given before; whether this one is the title now."""
        if not title:
            return False
        with self.database.writing() as connection:
            cursor = connection.execute(
                "UPDATE conversations SET title = ?, title_is_own = 1"
                " WHERE id = ? AND title_is_own = 0",
                (whole(title), conversation_id),
            )
        return cursor.rowcount == 1

    def set_head(self, conversation_id: str, message_id: str) -> None:
        """Read the conversation up to `message_id` from now on."""
        with self.database.writing() as connection:
            number = number_of(connection, conversation_id)
            require_message(connection, number, message_id)
            connection.execute(
                "UPDATE conversations SET head_id = ? WHERE number = ?", (message_id, number)
            )
            refresh_summary(connection, number)

    def save_draft(self, conversation_id: str, text: str) -> None:
        """Keep what stands in the composer; "" forgets it. The id "" means a new chat.

        "edit " and the id of a message: what that is being changed to.
        """
        with self.database.writing() as connection:
            if text:
                connection.execute(
                    "INSERT OR REPLACE INTO drafts (conversation_id, text) VALUES (?, ?)",
                    (conversation_id, whole(text)),
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

    def _messages(
        self,
        connection: sqlite3.Connection,
        reader: ProvenanceReader | None,
        where: str,
        *values: object,
    ) -> list[tuple[int, Message]]:
        """Messages with the number of their conversation, in order and with their journals.

        One that streams in no run of ours is INTERRUPTED. No provenance without a reader.
        """
        found = connection.execute(
            f"SELECT conversation, {rows.MESSAGE_COLUMNS} FROM messages"
            f" WHERE {where} ORDER BY number",
            values,
        )
        return self._made(found, _journals(connection), reader)

    def _readable(self, connection: sqlite3.Connection, number: int) -> list[tuple[int, Message]]:
        """The messages of a conversation that can be read though pages of it are damaged."""
        journals: dict[str, list[tuple[object, object, object]]] = {}
        with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            journals = _journals(connection)
        query = f"SELECT conversation, {rows.MESSAGE_COLUMNS} FROM messages"
        found = salvage.by_number(connection, "messages", query, "conversation", number)
        return self._made(found, journals, ProvenanceReader())

    def _made(
        self,
        read: Iterable[tuple[Any, ...]],
        journals: Mapping[str, list[tuple[object, object, object]]],
        reader: ProvenanceReader | None,
    ) -> list[tuple[int, Message]]:
        found = []
        for number, *row in read:
            message = rows.message_from(tuple(row), reader)
            for piece in journals.get(message.id, ()):
                message = rows.with_piece(message, *piece)
            if message.status is Status.STREAMING and message.id not in self._live:
                message = replace(message, status=Status.INTERRUPTED)
            found.append((number, message))
        return found

    def _tidy(self) -> None:
        with self.database.writing() as connection:
            unfinished = self._messages(
                connection,
                None,
                "id IN (SELECT id FROM messages WHERE status = 'streaming'"
                " UNION SELECT message_id FROM answer_journal)",
            )
            for _, message in unfinished:
                fold_journal(connection, message)
            for number in {number for number, _ in unfinished}:
                refresh_summary(connection, number)


def _journals(
    connection: sqlite3.Connection,
) -> dict[str, list[tuple[object, object, object]]]:
    """All pieces of answers that stream, by message."""
    journals: dict[str, list[tuple[object, object, object]]] = {}
    for message_id, *piece in connection.execute(
        "SELECT message_id, kind, text, ids FROM answer_journal ORDER BY message_id, seq"
    ):
        journals.setdefault(message_id, []).append(tuple(piece))
    return journals
