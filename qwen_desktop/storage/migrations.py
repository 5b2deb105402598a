"""The schema, as an append-only list of named steps. Knows sqlite3 and nothing of this project.

To change the schema write one function and add it at the end of `STEPS`; never touch an earlier
one, for files made by it exist. Each step runs in one transaction together with its new version
number, with foreign keys off so that it may rebuild tables. Then write a dump of the new version
for tests/storage/versions/, and name new columns in `shapes.py`. Each step must change the schema:
a number of a version that does not fit it is taken as damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache

APPLICATION_ID = 0x51574454  # "QWDT" in the file header

Step = Callable[[sqlite3.Connection], None]


def conversations_and_messages(connection: sqlite3.Connection) -> None:
    """Version 1: conversations with their tree of messages, the answer journal and drafts.

    `title` and `preview` are kept ready for the list. Times are Unix seconds. `parent_id` is no
    foreign key on purpose: a lost row must not take the ones below it along.
    """
    connection.execute(
        """
        CREATE TABLE conversations (
            number INTEGER PRIMARY KEY,     -- order of making; short where others refer to it
            id TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,            -- made of the first question unless title_is_own
            title_is_own INTEGER NOT NULL,
            preview TEXT NOT NULL,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            head_id TEXT,
            deleted_at REAL                 -- NULL while it is in the list
        )
        """
    )
    connection.execute(
        """
        CREATE TABLE messages (
            number INTEGER PRIMARY KEY,     -- order of adding
            id TEXT NOT NULL UNIQUE,
            conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
            parent_id TEXT,
            role TEXT NOT NULL,
            status TEXT NOT NULL,
            created_at REAL NOT NULL,
            stats TEXT,                     -- JSON object
            error TEXT NOT NULL,
            parts TEXT NOT NULL             -- JSON [{"kind": ..., "text": ...}]; last: it is long
        )
        """
    )
    connection.execute("CREATE INDEX messages_of_conversation ON messages (conversation)")
    # Found at every start without reading all messages; empty nearly always.
    connection.execute(
        "CREATE INDEX messages_streaming ON messages (id) WHERE status = 'streaming'"
    )
    connection.execute(
        """
        CREATE TABLE answer_journal (
            message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (message_id, seq)
        ) WITHOUT ROWID
        """
    )
    connection.execute(
        """
        CREATE TABLE drafts (
            conversation_id TEXT NOT NULL PRIMARY KEY,  -- "" for a chat not yet begun
            text TEXT NOT NULL
        ) WITHOUT ROWID
        """
    )


def options_and_provenance(connection: sqlite3.Connection) -> None:
    """Version 2: what a conversation wants, and where an answer came from.

    `options`, `provenance` are JSON objects, NULL where there is nothing to say. `token_ids` and
    `ids` are unsigned 32-bit numbers, low byte first. The ids of a prompt are mostly those of the
    prompt before it, so they lie in pieces that all prompts of a conversation share.
    """
    for column in (
        "conversations ADD COLUMN options TEXT",
        "messages ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",
        "messages ADD COLUMN provenance TEXT",
        "messages ADD COLUMN token_ids BLOB",
        "answer_journal ADD COLUMN ids BLOB",
    ):
        connection.execute(f"ALTER TABLE {column}")
    connection.execute(
        """
        CREATE TABLE answer_traces (
            message INTEGER PRIMARY KEY REFERENCES messages (number) ON DELETE CASCADE,
            pieces BLOB,                    -- numbers of prompt_pieces, unsigned 32-bit
            prompt_rest BLOB,               -- ids of the prompt after its pieces
            scores BLOB                     -- compressed JSON
        )
        """
    )
    connection.execute(
        """
        CREATE TABLE prompt_pieces (
            number INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
            digest BLOB NOT NULL,           -- of ids, to find an equal piece
            ids BLOB NOT NULL,
            UNIQUE (conversation, digest)
        )
        """
    )


def finding_and_ordering(connection: sqlite3.Connection) -> None:
    """Version 3: pins, archive, folders and tags of conversations, where imported ones came from,
    which messages were deleted, and the index of words.

    `words` holds what `storage/terms.py` makes of each message, by the number of its row; it is
    made of ASCII separators and our own terms, so the tokenizer has nothing to decide. A message
    in `to_index` is not in it as it is now, one in `to_forget` is in it and no longer there; see
    `storage/word_index.py`. From this version on `parts` may be compressed (a BLOB).
    """
    connection.execute(
        """
        CREATE TABLE folders (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            created_at REAL NOT NULL
        )
        """
    )
    for column in (
        "pinned INTEGER NOT NULL DEFAULT 0",
        "archived INTEGER NOT NULL DEFAULT 0",
        "folder INTEGER REFERENCES folders (number) ON DELETE SET NULL",
        "source TEXT",  # of an imported one: what names it there, "chatgpt:…"
    ):
        connection.execute(f"ALTER TABLE conversations ADD COLUMN {column}")
    connection.execute(
        "CREATE UNIQUE INDEX conversations_source ON conversations (source)"
        " WHERE source IS NOT NULL"
    )
    # The list is counted and paged by these alone, whatever folder it is narrowed to. Without
    # deleted_at in it SQLite would look at every row to see what the WHERE says already.
    connection.execute(
        "CREATE INDEX conversations_listed ON conversations"
        " (archived, pinned DESC, updated_at DESC, number DESC, folder, deleted_at)"
        " WHERE deleted_at IS NULL"
    )
    connection.execute(
        "CREATE INDEX conversations_deleted ON conversations"
        " (deleted_at DESC, number DESC, folder) WHERE deleted_at IS NOT NULL"
    )
    connection.execute(
        """
        CREATE TABLE tags (
            conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
            name TEXT NOT NULL,
            PRIMARY KEY (conversation, name)
        ) WITHOUT ROWID
        """
    )
    connection.execute("CREATE INDEX tags_by_name ON tags (name)")
    # Messages that the user deleted: whoever takes the conversation in again leaves them out.
    connection.execute(
        """
        CREATE TABLE removed_messages (
            conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
            id TEXT NOT NULL,
            removed_at REAL NOT NULL,
            PRIMARY KEY (conversation, id)
        ) WITHOUT ROWID
        """
    )
    connection.execute(
        "CREATE VIRTUAL TABLE words USING fts5"
        " (terms, content='', detail='none', columnsize=0, tokenize='ascii')"
    )
    for option, value in (("automerge", 0), ("crisismerge", 1000)):  # merged in steps, at rest
        connection.execute("INSERT INTO words (words, rank) VALUES (?, ?)", (option, value))
    _mark_what_is_to_be_indexed(connection)


def _mark_what_is_to_be_indexed(connection: sqlite3.Connection) -> None:
    """Part of version 3. Triggers do it: so no way of writing messages can leave one unfound.

    Only these small tables change with a message. The index itself, which a damaged page could
    make refuse, never stands between a message and the disk. `again`: an earlier state of the
    message is in the index.
    """
    connection.execute(
        "CREATE TABLE to_index (message INTEGER PRIMARY KEY"
        " REFERENCES messages (number) ON DELETE CASCADE, again INTEGER NOT NULL)"
    )
    connection.execute(
        "CREATE TABLE to_forget"
        " (message INTEGER PRIMARY KEY, role TEXT NOT NULL, stats TEXT, parts TEXT NOT NULL)"
    )
    connection.execute(
        """
        CREATE TRIGGER message_added AFTER INSERT ON messages WHEN new.status <> 'streaming'
        BEGIN
            INSERT INTO to_index (message, again) VALUES (new.number, 0);
        END
        """
    )
    # An answer that goes on streams again, and was indexed when it ended the first time.
    connection.execute(
        """
        CREATE TRIGGER message_changed AFTER UPDATE OF parts, status ON messages
        WHEN new.parts IS NOT old.parts OR new.status IS NOT old.status
        BEGIN
            INSERT INTO to_index (message, again) SELECT new.number, old.status <> 'streaming'
            WHERE NOT EXISTS (SELECT 1 FROM to_index WHERE message = new.number);
        END
        """
    )
    connection.execute(
        """
        CREATE TRIGGER message_deleted BEFORE DELETE ON messages
        WHEN coalesce(
            (SELECT again FROM to_index WHERE message = old.number), old.status <> 'streaming'
        )
        BEGIN
            INSERT INTO to_forget (message, role, stats, parts)
            SELECT old.number, old.role, old.stats, old.parts
            WHERE NOT EXISTS (SELECT 1 FROM to_forget WHERE message = old.number);
        END
        """
    )
    connection.execute("INSERT INTO to_index SELECT number, 0 FROM messages")


STEPS: tuple[Step, ...] = (
    conversations_and_messages,
    options_and_provenance,
    finding_and_ordering,
)
LATEST = len(STEPS)


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps this file has been through."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the file was made by this application, or is still empty."""
    marked = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if marked == APPLICATION_ID:
        return True
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return marked == 0 and version_of(connection) == 0 and tables == 0


def schema_of(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """What was made in a file: names, and the statements that made them."""
    found = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    return frozenset(
        (str(name), " ".join(str(sql or "").split()))
        for name, sql in found
        if not str(name).startswith("sqlite_")  # SQLite's own come and go
    )


@lru_cache
def schema(version: int) -> frozenset[tuple[str, str]]:
    """What a good file of a version has."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, STEPS[:version])
        return schema_of(connection)


def has_data(connection: sqlite3.Connection) -> bool:
    """Whether there is anything in a file, of any version, that was written by the user."""
    return any(
        connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]
        for table in ("conversations", "drafts")
    )


def migrate(connection: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Run the steps this file lacks. `connection` is in autocommit, with foreign keys off.

    A step that fails leaves the file at the version before it and the error goes on.
    """
    while version_of(connection) < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again: another process may have been quicker to the lock.
            version = version_of(connection)
            if version < len(steps):
                steps[version](connection)
                connection.execute(f"PRAGMA user_version = {version + 1}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
