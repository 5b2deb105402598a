"""What a database file is, seen before anything of it is used or changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import Enum, auto
from pathlib import Path

from qwen_desktop.storage import database, migrations
from qwen_desktop.storage.pages import HEADER_BYTES, MAGIC, SIZES

_TABLES = frozenset({"conversations", "messages"})


class State(Enum):
    """What was found where the database should be."""

    NEW = auto()  # nothing, or an empty file
    OURS = auto()
    NEWER = auto()  # ours, of a format that this version does not know
    FOREIGN = auto()  # of another program
    DAMAGED = auto()


def look(file: Path) -> State:
    """What `file` is. Changes nothing. Raises Known where it cannot be opened at all."""
    with database.translated(file):
        if not file.exists() or file.stat().st_size == 0:
            return State.NEW
        with file.open("rb") as source:
            header = source.read(HEADER_BYTES)
    try:
        marked, version, schema = _read(file)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if database.is_damage(error):
            return State.DAMAGED
        # In use, or a path that no URI can name (a network share of Windows): the real connection
        # meets the same trouble or does better.
        return State.OURS
    names = {name for name, _ in schema}
    if marked != migrations.APPLICATION_ID:
        if not marked and not version and not names:
            return State.NEW
        return State.DAMAGED if names >= _TABLES else State.FOREIGN
    if not _is_header(header):
        return State.DAMAGED
    if version > migrations.LATEST:
        # Every format changes the schema: this number is damaged.
        same = schema == migrations.schema(migrations.LATEST)
        return State.DAMAGED if same else State.NEWER
    expected = {name for name, _ in migrations.schema(version)}
    later = [
        {name for name, _ in migrations.schema(at)}
        for at in range(version + 1, migrations.LATEST + 1)
    ]
    # A file that has what its version lacks tells a wrong version.
    if not expected <= names or any(more <= names for more in later):
        return State.DAMAGED
    return State.OURS


def _read(file: Path) -> tuple[int, int, frozenset[tuple[str, str]]]:
    with closing(database.connect_to_look(file)) as connection:
        (marked,) = connection.execute("PRAGMA application_id").fetchone()
        schema = migrations.schema_of(connection)
        return int(marked), migrations.version_of(connection), schema


def _is_header(header: bytes) -> bool:
    """Whether the header is one that we could have written."""
    if len(header) < HEADER_BYTES or header[:16] != MAGIC:
        return False
    size = int.from_bytes(header[16:18], "big")
    formats, reserved, fractions = header[18:20], header[20], header[21:24]
    schema_format, encoding = header[47], header[59]
    is_vacuumed, is_incremental = any(header[52:56]), header[64:68]
    return (
        (65536 if size == 1 else size) in SIZES
        and all(number in (1, 2) for number in formats)
        and not reserved
        and fractions == bytes((64, 32, 32))
        and not any(header[44:47])
        and schema_format <= 4
        and not any(header[56:59])
        and encoding <= 1  # UTF-8
        and is_incremental in (bytes(4), bytes((0, 0, 0, 1)))
        and is_vacuumed >= any(is_incremental)
        and not any(header[72:92])
    )
