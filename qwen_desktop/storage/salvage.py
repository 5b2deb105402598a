"""Collects all rows that can be read of a damaged database: through SQLite as far as that gets,
and from the bare pages where it does not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from qwen_desktop.storage import rows
from qwen_desktop.storage.carve import Carved, carve
from qwen_desktop.storage.database import connect_to_look
from qwen_desktop.storage.pages import Pages
from qwen_desktop.storage.shapes import COLUMNS, WITHOUT_NUMBERS

Row: TypeAlias = "dict[str, Any]"
Key: TypeAlias = "tuple[Any, ...]"

_KEYS = {
    "conversations": ("id",),
    "messages": ("id",),
    "folders": ("id",),
    "answer_traces": ("message",),
    "prompt_pieces": ("number",),
    "answer_journal": ("message_id", "seq"),
    "tags": ("conversation", "name"),
    "removed_messages": ("conversation", "id"),
    "drafts": ("conversation_id",),
}
_TEXT_KEYS = ("id", "message_id", "name", "conversation_id")
_AT_ONCE = 256  # rows asked for together; around damage each is asked for by itself
_FAILURES = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter: an error told in bad UTF-8


@dataclass
class Salvage:
    """What was read: rows by table and key, in which columns may be missing.

    Of tables in `whole` nothing is missing: what is not there was removed by the user.
    """

    tables: dict[str, dict[Key, Row]] = field(default_factory=lambda: {t: {} for t in COLUMNS})
    whole: set[str] = field(default_factory=set)
    cut: set[Key] = field(default_factory=set)  # ids of messages that are not whole
    old: set[Key] = field(default_factory=set)  # ids of messages from an earlier state of a page

    def rows(self, table: str) -> list[Row]:
        """The rows of a table in the order of their numbers."""
        number = COLUMNS[table][0]
        found = list(self.tables[table].values())
        if table in WITHOUT_NUMBERS:
            return found
        return sorted(found, key=lambda row: (row.get(number) is None, row.get(number)))


def collect(file: Path) -> Salvage:
    """All that can be read of `file` and its log. Changes nothing; raises OSError."""
    pages = Pages.of(file)
    try:
        carved = list(carve(pages))
        log_is_damaged = pages.log.loses_something
    finally:
        pages.close()
    salvage = Salvage()
    # Where SQLite stops early in the log, the pages know more than it.
    if log_is_damaged:
        _add_carved(salvage, carved)
        _add_queried(salvage, file)
        salvage.whole.clear()
    else:
        _add_queried(salvage, file)
        _add_carved(salvage, carved)
    return salvage


def _add_queried(salvage: Salvage, file: Path) -> None:
    try:
        with closing(_reading(file)) as connection:
            for table in COLUMNS:
                for row in _queried(connection, table):
                    salvage.tables[table].setdefault(_key(table, row), row)
                if _is_whole(connection, table):
                    salvage.whole.add(table)
    except _FAILURES:
        return  # not even the table of tables


def _add_carved(salvage: Salvage, carved: list[Carved]) -> None:
    for one in sorted(carved, key=lambda one: (one.is_old, one.is_cut, not _is_finished(one))):
        if one.table in salvage.whole:
            continue
        key = _key(one.table, one.values)
        if key in salvage.tables[one.table]:
            continue
        salvage.tables[one.table][key] = one.values
        if one.table == "messages" and one.is_cut:
            salvage.cut.add(key)
        if one.table == "messages" and one.is_old:
            salvage.old.add(key)


def _is_finished(one: Carved) -> bool:
    return one.values.get("status") != "streaming"


def _key(table: str, row: Row) -> Key:
    return tuple(row.get(column) for column in _KEYS[table])


def _reading(file: Path) -> sqlite3.Connection:
    connection = connect_to_look(file)
    connection.text_factory = _text
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw  # kept byte by byte


def _queried(connection: sqlite3.Connection, table: str) -> Iterator[Row]:
    """All rows of a table that SQLite gives."""
    if table in WITHOUT_NUMBERS:
        found = _by_key(connection, table)
    else:
        found = by_number(connection, table, f"SELECT * FROM {table}")
    for row in found:
        # By place, as names may be damaged as well.
        believed = _believed(dict(zip(COLUMNS[table], row, strict=False)))
        if believed is not None:
            yield believed


def _believed(row: Row) -> Row | None:
    """A row of SQLite's with keys of the right kind; None where there is nothing to go by.

    Everything else may be damaged: reading forgives it, see `rows.py`.
    """
    row = {**row, **{key: rows.text_from(row[key]) for key in _TEXT_KEYS if key in row}}
    if any(not row[key] for key in ("id", "message_id", "name") if key in row):
        return None
    numbers = [row[key] for key in ("conversation", "message", "seq") if key in row]
    return row if all(isinstance(number, int) for number in numbers) else None


def _by_key(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """From both ends up to the damage; what comes twice is told by its key."""
    keys = _KEYS[table]
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{key} {direction}" for key in keys)
        try:
            yield from connection.execute(f"SELECT * FROM {table} ORDER BY {order}")
        except _FAILURES:
            continue
        return


def by_number(
    connection: sqlite3.Connection, table: str, query: str, column: str = "", value: Any = None
) -> Iterator[tuple[Any, ...]]:
    """What `query` gives of a table, in the order of numbers; without rows on damaged pages.

    With `column`, only rows that have `value` in it. No index is used: it may be damaged too.
    """
    try:
        (last,) = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    except _FAILURES:
        return  # the page that leads to all of them
    query += " NOT INDEXED WHERE rowid BETWEEN ? AND ?"
    more: tuple[Any, ...] = (value,) if column else ()
    query += f" AND {column} = ?" if column else ""
    for first in range(1, min(last or 0, 2**31) + 1, _AT_ONCE):
        try:
            yield from connection.execute(query, (first, first + _AT_ONCE - 1, *more)).fetchall()
        except _FAILURES:
            for number in range(first, first + _AT_ONCE):
                try:
                    yield from connection.execute(query, (number, number, *more)).fetchall()
                except _FAILURES:
                    continue


def _is_whole(connection: sqlite3.Connection, table: str) -> bool:
    try:
        found = connection.execute(f"PRAGMA integrity_check ('{table}')").fetchall()
    except _FAILURES:
        return False
    return [rows.text_from(line) for (line,) in found] == ["ok"]
