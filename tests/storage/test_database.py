"""What the database file and the disk refuse: a sentence that names the file, nothing harmed."""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.messages import PartKind, Status, pending_answer, user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage import database
from qwen_desktop.storage.store import Store
from tests.listed import listed


@pytest.fixture
def file(tmp_path):
    """A closed database with one conversation in it."""
    file = tmp_path / "profile" / "conversations.db"
    store = Store.open(file)
    store.create(Conversation(tree=Tree.of([user_message("kept", None)])))
    store.close()
    return file


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)


def state_of(folder):
    """Names, bytes and times of all files in a folder."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if not path.name.endswith("-shm")  # SQLite's shared memory holds nothing of its own
    }


def refused(file):
    with pytest.raises(Known) as caught:
        Store.open(file)
    assert str(file) in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def test_every_commit_is_on_disk_and_keys_are_checked(file):
    store = Store.open(file)
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        assert store.database.connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
    store.close()


def test_a_database_of_another_program_is_left_alone(tmp_path):
    file = tmp_path / "conversations.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs (name)")
    before = state_of(tmp_path)
    assert "another program" in refused(file)
    assert state_of(tmp_path) == before


def test_an_empty_file_becomes_a_database(tmp_path):
    file = tmp_path / "conversations.db"
    file.touch()
    store = Store.open(file)
    assert listed(store) == ()
    store.close()


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "profile").write_text("in the way")
    refused(tmp_path / "profile" / "conversations.db")
    refused(tmp_path / "profile" / "deeper" / "conversations.db")


def test_a_folder_where_the_file_should_be(tmp_path):
    file = tmp_path / "conversations.db"
    file.mkdir()
    refused(file)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="permissions do not hold back root, and mean something else on Windows",
)
def test_a_folder_that_cannot_be_written(tmp_path):
    folder = tmp_path / "profile"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        refused(folder / "conversations.db")
        refused(folder / "deeper" / "conversations.db")
    finally:
        folder.chmod(0o700)


def test_names_that_mean_something_in_a_uri(tmp_path):
    file = tmp_path / "50% off? #1 你好" / "conversations.db"
    for _ in range(2):
        Store.open(file).close()
    assert file.exists()


def test_a_database_that_may_only_be_read_still_shows_its_conversations(file):
    store = Store.open(file)
    (summary,) = listed(store)
    store.database.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Known, match="cannot be written"):
        store.rename(summary.id, "new")
    assert store.load(summary.id).summary() == summary
    store.close()


def test_a_lock_of_another_program_is_told_and_saving_goes_on_after_it(file):
    store = Store.open(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Known, match="Another program"):
            store.save_draft("", "unsent")
        assert listed(store)[0].title == "kept"
        other.execute("ROLLBACK")
        store.save_draft("", "unsent")
    assert store.drafts() == {"": "unsent"}
    store.close()


def test_a_file_locked_whole_by_another_program_is_not_opened(file):
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        assert "Another program" in refused(file)
    Store.open(file).close()


# What no compression makes small.
LONG = "".join(chr(number) for number in random.Random(1).choices(range(0x4E00, 0x9FFF), k=60_000))

WRITES = {
    "create": lambda store, c, _: store.create(
        Conversation(tree=Tree.of([user_message(LONG, None)]))
    ),
    "add_message": lambda store, c, _: store.add_message(c.id, user_message(LONG, None)),
    "journal": lambda store, _, answer: store.journal(answer.id, PartKind.TEXT, LONG),
    "finish": lambda store, c, answer: store.finish(c.id, answer.appended(PartKind.TEXT, LONG)),
    "rename": lambda store, c, _: store.rename(c.id, LONG),
    "save_draft": lambda store, c, _: store.save_draft(c.id, LONG),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_full_disk_undoes_the_write_and_saving_goes_on_when_there_is_room(file, write):
    store = Store.open(file)
    conversation = store.load(listed(store)[0].id)
    answer = pending_answer(conversation.tree.head, "Qwen3-4B")
    store.add_message(conversation.id, answer)
    store.journal(answer.id, PartKind.TEXT, "so far")
    conversation = store.load(conversation.id)
    before = (listed(store), store.drafts())
    # The same error that a disk without room gives.
    connection = store.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Known, match="disk is full"):
        write(store, conversation, answer)
    assert store.load(conversation.id) == conversation
    assert (listed(store), store.drafts()) == before
    connection.execute("PRAGMA max_page_count = 1000000")
    write(store, conversation, answer)
    store.close()
    again = Store.open(file)
    text = "".join(
        message.text
        for summary in listed(again)
        for message in again.load(summary.id).tree.messages.values()
    )
    assert LONG in text + "".join(again.drafts().values()) + listed(again)[0].title
    again.close()


def test_a_connection_does_not_outlive_a_refusal(tmp_path):
    file = tmp_path / "conversations.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs (name)")
    refused(file)
    file.unlink()  # Windows does not allow this while anything has it open
    assert not file.exists()


def test_the_answer_of_a_run_that_ended_on_a_full_disk_is_found_later(file):
    store = Store.open(file)
    conversation = store.load(listed(store)[0].id)
    answer = pending_answer(conversation.tree.head, "Qwen3-4B")
    store.add_message(conversation.id, answer)
    store.journal(answer.id, PartKind.TEXT, "so far")
    store.database.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Known):
        store.finish(conversation.id, answer)
    store.close()
    again = Store.open(file)
    read = again.load(conversation.id).tree.path()[-1]
    assert (read.text, read.status) == ("so far", Status.INTERRUPTED)
    again.close()


class Share(type(Path())):  # type: ignore[misc]
    """A path as `\\\\server\\share` is on Windows: its URI has a host, which SQLite refuses."""

    def absolute(self):
        return self

    def as_uri(self) -> str:
        return f"file://server{Path(self)}"


def test_a_file_on_a_network_share_is_opened(file):
    for spoil in (bytes, lambda _: b"junk"):
        store = Store.open(Share(file))
        assert len(listed(store)) == 1
        backup = store.backups.make(BackupReason.ASKED)
        assert not backup.is_damaged
        store.backups.restore(backup)
        store.close()
        database.mark_damage(file)
        store = Store.open(Share(file))
        assert store.opening.checked
        assert store.opening.damaged is None
        store.close()
        file.write_bytes(spoil(file.read_bytes()))
    store = Store.open(Share(file))
    assert store.opening.damaged is not None
    assert len(listed(store)) == 1
    store.close()
