"""Files of every earlier format open with all that was in them, and a failed step harms nothing."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
    TokenScore,
)
from qwen_desktop.chat.summary import Folder, ListFilter, Place, day_starts
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import migrations
from qwen_desktop.storage.store import Store

VERSIONS = Path(__file__).with_name("versions")
EARLIER = range(1, migrations.LATEST + 1)


def made_by(version, file):
    """A database as that version of the format wrote it."""
    dump = (VERSIONS / f"version_{version}.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(dump)
    return file


def schema_of(file):
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        return {(*row[:3], " ".join((row[3] or "").split())) for row in rows}


def user(message_id, text, at):
    parts = (Part(PartKind.TEXT, text),)
    return Message(role=Role.USER, parts=parts, id=message_id, created_at=at)


BLUE = Conversation(
    id="c1",
    created_at=100.0,
    updated_at=104.5,
    tree=Tree.of(
        [
            user("m1", "Why is the sky blue?", 101.0),
            Message(
                role=Role.ASSISTANT,
                parts=(),
                id="m2",
                parent_id="m1",
                created_at=102.0,
                status=Status.FAILED,
                stats=AnswerStats(model="Qwen3-4B"),
                error="Out of memory.",
            ),
            Message(
                role=Role.ASSISTANT,
                parts=(
                    Part(PartKind.REASONING, "Rayleigh…"),
                    Part(PartKind.TEXT, "Because of scattering."),
                ),
                id="m3",
                parent_id="m1",
                created_at=103.0,
                stats=AnswerStats("Qwen3-4B", 9, 4, 3, 5, 0.25, 0.125, 1.5),
            ),
        ]
    ),
)
AGAIN = Conversation(
    id="c2",
    title="蓝天",
    created_at=200.0,
    updated_at=201.0,
    tree=Tree.of(
        [
            user("m4", "again", 200.5),
            Message(
                role=Role.ASSISTANT,
                parts=(Part(PartKind.REASONING, "想"), Part(PartKind.TEXT, "half")),
                id="m5",
                parent_id="m4",
                created_at=200.75,
                status=Status.INTERRUPTED,
                stats=AnswerStats(model="Qwen3-4B"),
            ),
        ]
    ),
)


# What format 2 can say besides.
OPTIONS = ChatOptions(
    Policy.KEEP_FIRST, {"temperature": 0.5, "thinking": False, "system_prompt": "简短"}
)
PROVENANCE = Provenance(
    fingerprint="f1",
    template="t1",
    family="qwen3",
    precision="BF16",
    device="CPU",
    engine="torch 2.13.0, transformers 5.23.0",
    thinking=True,
    sampling=(("temperature", 0.5), ("top_k", 20)),
    seed=7,
    thinking_budget=64,
    stop_strings=("END",),
    context_limit=4096,
    unseen=("m1", "m3", "m2"),
    stop_reason="stop",
    peak_bytes=9_000_000_000,
)
TRACES = {
    "m3": AnswerTrace(
        (0,) * 1024 + (17, 151645),
        (
            TokenScore(7, "Be", -0.25, ((7, "Be", -0.25), (9, "散", -1.5))),
            TokenScore(8, "cause", -0.125),
        ),
    ),
    "m5": AnswerTrace((0,) * 512),
}


def with_more(conversation, changes, **more):
    """A conversation whose messages have further values, by id."""
    messages = [
        replace(message, **changes.get(message.id, {}))
        for message in conversation.tree.messages.values()
    ]
    return replace(conversation, tree=Tree.of(messages, conversation.tree.head), **more)


EXPECTED = {
    1: (BLUE, AGAIN, {}),
    2: (
        with_more(
            BLUE,
            {
                "m1": {"pinned": True},
                "m3": {"provenance": PROVENANCE, "token_ids": (5, 151668, 7, 8)},
            },
            options=OPTIONS,
        ),
        with_more(AGAIN, {"m5": {"provenance": Provenance(seed=11), "token_ids": (3, 4, 151643)}}),
        TRACES,
    ),
}
EXPECTED[3] = EXPECTED[2]  # what it can say besides stands in the list

# The rows of the list, and its folders: nothing of them before format 3.
ORDERED = {
    3: (
        {"pinned": True, "folder": "f1", "tags": ("sky", "蓝")},
        {"place": Place.ARCHIVE, "tags": ("sky",)},
        (Folder("f2", "Empty"), Folder("f1", "物理 Physics", 1)),
    )
}


@pytest.mark.parametrize("version", EARLIER)
def test_a_file_of_an_earlier_format_opens_with_everything_in_it(version, tmp_path):
    file = made_by(version, tmp_path / "conversations.db")
    blue, again, traces = EXPECTED[version]
    store = Store.open(file)
    assert store.listing.ids(ListFilter()) == ("c1",)
    assert store.load("c1") == blue
    store.listing.restore(["c2"])
    assert store.load("c2") == again
    more_of_blue, more_of_again, folders = ORDERED.get(version, ({}, {}, ()))
    assert store.listing.rows(["c1", "c2"]) == (
        replace(blue.summary(), **more_of_blue),
        replace(again.summary(), **more_of_again),
    )
    assert store.listing.shape(ListFilter(), day_starts(0)).folders == folders
    for message_id in ("m1", "m2", "m3", "m4", "m5"):
        assert store.trace(message_id) == traces.get(message_id, AnswerTrace())
    assert store.drafts() == {"": "a new chat", "c1": "还有呢？"}
    store.close()
    with closing(sqlite3.connect(file)) as connection:
        assert migrations.version_of(connection) == migrations.LATEST
        assert migrations.is_ours(connection)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_where_an_imported_conversation_came_from_is_kept(tmp_path):
    file = made_by(3, tmp_path / "conversations.db")
    Store.open(file).close()
    with closing(sqlite3.connect(file)) as connection:
        sources = connection.execute("SELECT source FROM conversations ORDER BY id").fetchall()
    assert sources == [(None,), ("chatgpt:77",)]


OLDER = range(1, migrations.LATEST)


@pytest.mark.parametrize("version", OLDER)
def test_before_a_new_format_comes_a_backup_in_the_old_one(version, tmp_path):
    file = made_by(version, tmp_path / "conversations.db")
    store = Store.open(file)
    (backup,) = store.backups.list()
    assert (backup.reason, backup.messages) == (BackupReason.MIGRATION, 3)  # the rest in the bin
    store.close()
    with closing(sqlite3.connect(backup.file)) as connection:
        assert migrations.version_of(connection) == version
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    restored = Store.open(Path(shutil.copy(backup.file, elsewhere / "conversations.db")))
    assert restored.load("c1") == EXPECTED[version][0]
    restored.close()
    Store.open(file).close()
    assert len(list(backup.file.parent.iterdir())) == 1  # once


def test_a_file_with_nothing_in_it_needs_no_backup(tmp_path):
    file = made_by(1, tmp_path / "conversations.db")
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("DELETE FROM conversations; DELETE FROM drafts;")
    Store.open(file).close()
    assert [one.name for one in tmp_path.iterdir()] == ["conversations.db"]


class Killed(BaseException):
    """The end of the program, in the middle of a step."""


@pytest.mark.parametrize("version", OLDER)
@pytest.mark.parametrize("step", range(1, migrations.LATEST))
def test_a_new_format_that_is_cut_off_leaves_a_whole_old_one(version, step, tmp_path, monkeypatch):
    file = made_by(version, tmp_path / "conversations.db")

    def cut_off(connection):
        migrations.STEPS[step](connection)
        connection.execute("DELETE FROM messages")
        raise Killed

    if step >= version:
        steps = [*migrations.STEPS]
        steps[step] = cut_off
        with monkeypatch.context() as patch:
            patch.setattr(migrations.migrate, "__defaults__", (tuple(steps),))
            with pytest.raises(Killed):
                Store.open(file)
        with closing(sqlite3.connect(file)) as connection:
            assert migrations.version_of(connection) == step
            assert connection.execute("SELECT count(*) FROM messages").fetchone() == (5,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store = Store.open(file)
    assert store.load("c1") == EXPECTED[version][0]
    assert store.opening.damaged is None
    store.close()


@pytest.mark.parametrize("version", EARLIER)
def test_every_earlier_format_becomes_the_same_schema_as_a_new_file(version, tmp_path):
    new = tmp_path / "new.db"
    Store.open(new).close()
    old = made_by(version, tmp_path / "old.db")
    Store.open(old).close()
    assert schema_of(old) == schema_of(new)


@pytest.mark.parametrize("version", EARLIER)
def test_a_released_step_still_makes_the_format_it_was_released_with(version, tmp_path):
    file = tmp_path / "conversations.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        migrations.migrate(connection, migrations.STEPS[:version])
        assert migrations.version_of(connection) == version
    assert schema_of(file) == schema_of(made_by(version, tmp_path / "dump.db"))


def connected(file):
    return closing(sqlite3.connect(file, isolation_level=None))


def add_stars(connection):
    connection.execute("ALTER TABLE conversations ADD COLUMN stars INTEGER NOT NULL DEFAULT 3")


def test_a_further_step_runs_once_and_keeps_what_is_there(tmp_path):
    file = made_by(migrations.LATEST, tmp_path / "conversations.db")
    steps = (*migrations.STEPS, add_stars)
    with connected(file) as connection:
        for _ in range(2):
            migrations.migrate(connection, steps)
            assert migrations.version_of(connection) == len(steps)
        rows = connection.execute("SELECT id, stars FROM conversations ORDER BY id").fetchall()
        assert rows == [("c1", 3), ("c2", 3)]


def test_a_step_that_fails_half_way_is_undone_and_the_steps_before_it_stay(tmp_path):
    file = made_by(migrations.LATEST, tmp_path / "conversations.db")

    def breaks(connection):
        connection.execute("DELETE FROM messages")
        connection.execute("ALTER TABLE drafts RENAME TO thoughts")
        raise RuntimeError("power is gone")

    with connected(file) as connection:
        with pytest.raises(RuntimeError):
            migrations.migrate(connection, (*migrations.STEPS, add_stars, breaks))
        assert migrations.version_of(connection) == migrations.LATEST + 1
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM drafts").fetchone() == (2,)
        assert not connection.in_transaction


def test_a_step_does_not_run_twice_when_two_programs_start_together(tmp_path):
    """The second one sees the old version, then waits for the lock, then must look again."""
    file = made_by(migrations.LATEST, tmp_path / "conversations.db")
    steps = (*migrations.STEPS, add_stars)
    with connected(file) as first:
        asked = []

        class Second(sqlite3.Connection):
            def execute(self, statement, *values):
                if statement == "BEGIN IMMEDIATE" and not asked:
                    asked.append(statement)
                    migrations.migrate(first, steps)
                return super().execute(statement, *values)

        with closing(sqlite3.connect(file, isolation_level=None, factory=Second)) as second:
            migrations.migrate(second, steps)
            assert migrations.version_of(second) == len(steps)
    assert asked
