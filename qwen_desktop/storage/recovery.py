"""Puts what could be read of a damaged database into another one, by the ids of things.

The other one is a backup of it, or new. Nothing that is there is lost: what it lacks is added,
and of what both have the newer state is taken where it can be read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from qwen_desktop.chat.messages import Message, Status, new_id
from qwen_desktop.storage import packing, removing, rows, traces
from qwen_desktop.storage.salvage import Row, Salvage
from qwen_desktop.storage.statements import refresh_summary

_STREAMING = Status.STREAMING.value


@dataclass
class Merged:
    """What came out of it: numbers of rows that are new, or newer than they were."""

    conversations: int = 0
    messages: int = 0
    damaged: int = 0  # of these messages, those that are not whole


def merge(connection: sqlite3.Connection, found: Salvage) -> Merged:
    """Put all of `found` into an open database of the latest format. In one transaction.

    `connection` is in autocommit, with foreign keys off.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        work = _Merge(connection, found)
        work.run()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return work.merged


@dataclass
class _Merge:
    """One merge. Numbers on the left are of the damaged file, on the right of this one."""

    connection: sqlite3.Connection
    found: Salvage
    merged: Merged = field(default_factory=Merged)
    folders: dict[Any, int] = field(default_factory=dict)
    conversations: dict[Any, int] = field(default_factory=dict)
    messages: dict[Any, int] = field(default_factory=dict)
    taken: set[Any] = field(default_factory=set)  # ids of messages that are as in the damaged file
    changed: set[int] = field(default_factory=set)  # conversations whose messages changed
    headless: set[int] = field(default_factory=set)  # those that lost where they were read up to

    def run(self) -> None:
        for row in self.found.rows("folders"):
            self._folder(row)
        for row in self.found.rows("conversations"):
            self._conversation(row)
        if "conversations" in self.found.whole:
            self._bin_removed()
        self._find_lost_conversations()
        for row in self.found.rows("messages"):
            self._message(row)
        self._journal()
        self._traces()
        self._tags()
        self._removed()
        self._drafts()
        for number in self.changed:
            self._settle(number)

    # -- folders and conversations ---------------------------------------------------------

    def _folder(self, row: Row) -> None:
        name, created_at = rows.text_from(row.get("name")), rows.number_from(row.get("created_at"))
        there = self._number("folders", row["id"])
        if there is None:
            there = self._insert(
                "folders", row.get("number"), {"id": row["id"], "name": name}, created_at=created_at
            )
        else:
            self.connection.execute("UPDATE folders SET name = ? WHERE number = ?", (name, there))
        self.folders[row.get("number")] = there

    def _conversation(self, row: Row) -> None:
        values = _conversation_values(row)
        if "folder" in values:
            values["folder"] = self.folders.get(values["folder"])
        if values.get("source") is not None and self._has_source(values["source"], row["id"]):
            del values["source"]
        there = self._number("conversations", row["id"])
        if there is None:
            defaults = {"title": "", "title_is_own": 0, "preview": "", "created_at": 0.0}
            values = {"updated_at": values.get("created_at", 0.0), **defaults, **values}
            there = self._insert("conversations", row.get("number"), {"id": row["id"], **values})
            self.merged.conversations += 1
        elif self._is_newer("conversations", there, values):
            self._update("conversations", there, values)
            self.merged.conversations += 1
        self.conversations[row.get("number")] = there

    def _bin_removed(self) -> None:
        """Move to the bin what the user had removed for good since the backup."""
        kept = set(self.conversations.values())
        for (number,) in self.connection.execute(
            "SELECT number FROM conversations WHERE deleted_at IS NULL"
        ).fetchall():
            if number not in kept:
                self._update("conversations", number, {"deleted_at": time.time()})

    def _find_lost_conversations(self) -> None:
        """Give messages whose conversation could not be read a place.

        That is the one which has one of them, or a parent of one, in the backup; else a new one.
        """
        lost: dict[Any, list[Row]] = {}
        for row in self.found.rows("messages"):
            if row["conversation"] not in self.conversations:
                lost.setdefault(row["conversation"], []).append(row)
        for number, messages in lost.items():
            ids = [one for row in messages for one in (row["id"], row.get("parent_id"))]
            there = self._conversation_of(ids)
            if there is None:
                times = [rows.number_from(row.get("created_at")) for row in messages]
                values = {"title": "", "title_is_own": 0, "preview": ""}
                there = self._insert(
                    "conversations",
                    number,
                    {"id": new_id(), **values},
                    created_at=min(times),
                    updated_at=max(times),
                )
                self.merged.conversations += 1
                self.changed.add(there)
            self.conversations[number] = there
            self.headless.add(there)

    def _conversation_of(self, ids: Iterable[Any]) -> int | None:
        for one in ids:
            row = self.connection.execute(
                "SELECT conversation FROM messages WHERE id = ?", (one,)
            ).fetchone()
            if row is not None:
                return int(row[0])
        return None

    def _has_source(self, source: Any, its_id: Any) -> bool:
        found = self.connection.execute(
            "SELECT 1 FROM conversations WHERE source = ? AND id <> ?", (source, its_id)
        )
        return found.fetchone() is not None

    # -- messages --------------------------------------------------------------------------

    def _message(self, row: Row) -> None:
        values = _message_values(row)
        its_id = row["id"]
        old = self._old_message(its_id, tuple(values))
        if old is not None:
            there, conversation, kept = old
            self.messages[row.get("number")] = there
            if kept == values or not self._replaces(its_id, kept, values):
                return
            self._update("messages", there, values)
            self.connection.execute("DELETE FROM answer_journal WHERE message_id = ?", (its_id,))
        else:
            conversation = self.conversations[row["conversation"]]
            new = {"id": its_id, "conversation": conversation, **values}
            self.messages[row.get("number")] = self._insert("messages", row.get("number"), new)
        self.taken.add(its_id)
        self.changed.add(conversation)
        self.merged.messages += 1
        self.merged.damaged += self._is_cut(its_id, values)

    def _old_message(self, its_id: Any, columns: tuple[str, ...]) -> tuple[int, int, Row] | None:
        """A message that is there: its number, that of its conversation, and its columns."""
        row = self.connection.execute(
            f"SELECT number, conversation, {', '.join(columns)} FROM messages WHERE id = ?",
            (its_id,),
        ).fetchone()
        if row is None:
            return None
        number, conversation, *kept = row
        return number, conversation, dict(zip(columns, kept, strict=True))

    def _is_cut(self, its_id: Any, values: Row) -> bool:
        return (its_id,) in self.found.cut or _is_damaged(its_id, values)

    def _replaces(self, its_id: Any, old: Row, values: Row) -> bool:
        """Whether what was found of a message is better than what is there."""
        if (its_id,) in self.found.old:
            return False
        is_cut, old_is_cut = self._is_cut(its_id, values), _is_damaged(its_id, old)
        if is_cut != old_is_cut:
            return old_is_cut
        if values["status"] == _STREAMING and old["status"] != _STREAMING:
            # An answer that goes on has all it had when it first ended; a state before that not.
            return len(_said(values)) >= len(_said(old))
        return True

    def _journal(self) -> None:
        for row in self.found.rows("answer_journal"):
            streams = self.connection.execute(
                "SELECT 1 FROM messages WHERE id = ? AND status = ?",
                (row["message_id"], _STREAMING),
            ).fetchone()
            if streams is not None:
                self.connection.execute(
                    "INSERT OR IGNORE INTO answer_journal (message_id, seq, kind, text, ids)"
                    " VALUES (?, ?, ?, ?, ?)",
                    tuple(
                        row.get(column) for column in ("message_id", "seq", "kind", "text", "ids")
                    ),
                )

    def _traces(self) -> None:
        pieces = {row["number"]: row["ids"] for row in self.found.rows("prompt_pieces")}
        ids = {row.get("number"): row["id"] for row in self.found.rows("messages")}
        for row in self.found.rows("answer_traces"):
            there = self.messages.get(row["message"])
            has_one = self.connection.execute(
                "SELECT 1 FROM answer_traces WHERE message = ?", (there,)
            ).fetchone()
            if there is None or (has_one and ids.get(row["message"]) not in self.taken):
                continue
            # The ids of a prompt are worth nothing in part.
            with suppress(KeyError, ValueError):
                numbers = packing.unpack_ids(row.get("pieces"))
                prompt = [one for number in numbers for one in packing.unpack_ids(pieces[number])]
                prompt += packing.unpack_ids(row.get("prompt_rest"))
                traces.write_prompt(self.connection, there, prompt)
            with suppress(ValueError):
                if scores := packing.unpack_scores(row.get("scores")):
                    traces.write_scores(self.connection, there, scores)

    # -- what hangs on conversations -------------------------------------------------------

    def _tags(self) -> None:
        if "tags" in self.found.whole:
            # Those that were taken away do not come back.
            for number in self.conversations.values():
                self.connection.execute("DELETE FROM tags WHERE conversation = ?", (number,))
        for row in self.found.rows("tags"):
            if row["conversation"] in self.conversations:
                self.connection.execute(
                    "INSERT OR IGNORE INTO tags (conversation, name) VALUES (?, ?)",
                    (self.conversations[row["conversation"]], row["name"]),
                )

    def _removed(self) -> None:
        """Messages that the user deleted since the backup go, unless they were found here."""
        found = {row["id"] for row in self.found.rows("messages")}
        for row in self.found.rows("removed_messages"):
            there = self.conversations.get(row["conversation"])
            if there is None or row["id"] in found:
                continue
            removing.mark(self.connection, there, (row["id"],))
            gone = self.connection.execute(
                "DELETE FROM messages WHERE id = ? AND conversation = ?", (row["id"], there)
            )
            if gone.rowcount:
                self.changed.add(there)

    def _drafts(self) -> None:
        if "drafts" in self.found.whole:
            self.connection.execute("DELETE FROM drafts")
        for row in self.found.rows("drafts"):
            self.connection.execute(
                "INSERT OR REPLACE INTO drafts (conversation_id, text) VALUES (?, ?)",
                (row["conversation_id"], rows.text_from(row.get("text"))),
            )

    def _settle(self, number: int) -> None:
        """Let a conversation whose messages changed be read up to a message that it has."""
        self.connection.execute(
            "UPDATE conversations SET head_id ="
            " (SELECT id FROM messages WHERE conversation = ?1 ORDER BY number DESC LIMIT 1)"
            " WHERE number = ?1 AND (?2 OR NOT EXISTS"
            " (SELECT 1 FROM messages WHERE conversation = ?1 AND id = head_id))",
            (number, number in self.headless),
        )
        refresh_summary(self.connection, number)

    # -- rows ------------------------------------------------------------------------------

    def _number(self, table: str, its_id: Any) -> int | None:
        row = self.connection.execute(
            f"SELECT number FROM {table} WHERE id = ?", (its_id,)
        ).fetchone()
        return None if row is None else int(row[0])

    def _insert(self, table: str, number: Any, values: Row, **more: Any) -> int:
        """Write a new row, under its number if that is free: the order of rows is that of time."""
        values = {**values, **more}
        taken = self.connection.execute(f"SELECT 1 FROM {table} WHERE number = ?", (number,))
        if isinstance(number, int) and number > 0 and taken.fetchone() is None:
            values["number"] = number
        cursor = self.connection.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            tuple(values.values()),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _update(self, table: str, number: int, values: Row) -> None:
        if values:
            self.connection.execute(
                f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in values)}"
                " WHERE number = ?",
                (*values.values(), number),
            )

    def _is_newer(self, table: str, number: int, values: Row) -> bool:
        """Whether a conversation differs from what is there, and is not older."""
        row = self.connection.execute(
            f"SELECT updated_at, {', '.join(values)} FROM {table} WHERE number = ?", (number,)
        ).fetchone()
        updated_at, *old = row
        is_older = values.get("updated_at", updated_at) < rows.number_from(updated_at)
        return not is_older and old != list(values.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float))


def _is_switch(value: object) -> bool:
    return value in (0, 1)


_IS_GOOD: dict[str, Callable[[object], bool]] = {
    "title": _is_text,
    "title_is_own": _is_switch,
    "preview": _is_text,
    "created_at": _is_time,
    "updated_at": _is_time,
    "head_id": lambda value: value is None or _is_text(value),
    "deleted_at": lambda value: value is None or _is_time(value),
    "options": lambda value: value is None or isinstance(value, (str, bytes)),
    "pinned": _is_switch,
    "archived": _is_switch,
    "folder": lambda value: value is None or isinstance(value, int),
    "source": lambda value: value is None or _is_text(value),
}


def _conversation_values(row: Row) -> Row:
    """The columns that can be believed."""
    return {
        column: row[column]
        for column, good in _IS_GOOD.items()
        if column in row and good(row[column])
    }


def _message_values(row: Row) -> Row:
    """All columns but id, number and conversation; those that are lost as they read best."""
    created_at = row.get("created_at")
    pinned = row.get("pinned", 0)
    return {
        "parent_id": row.get("parent_id"),
        "role": row["role"],
        "status": row["status"],
        "created_at": created_at if isinstance(created_at, (int, float)) else 0.0,
        "stats": row.get("stats"),
        "error": row.get("error") or "",
        "parts": "" if row.get("parts") is None else row["parts"],  # shown as damaged
        "pinned": pinned if pinned in (0, 1) else 0,
        "provenance": row.get("provenance"),
        "token_ids": row.get("token_ids"),
    }


def _is_damaged(its_id: Any, values: Row) -> bool:
    return _read(its_id, values).damaged


def _said(values: Row) -> str:
    message = _read("", values)
    return message.reasoning + message.text


def _read(its_id: Any, values: Row) -> Message:
    columns = ("parent_id", "role", "parts", "status", "stats", "error", "created_at", "pinned")
    row = (its_id, *(values[column] for column in columns), values["token_ids"], None)
    return rows.message_from(row, None)
