"""Backups: whole or not there at all, kept by count and age, and the way back to one."""

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage import backups, database, trouble
from qwen_desktop.storage.backups import DAY, BackupFolder
from qwen_desktop.storage.store import Store
from tests.storage.test_migrations import made_by
from tests.storage.test_opening import files_in

QUESTION = user_message("Is it kept?", None)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profile" / "conversations.db"


@pytest.fixture
def store(file):
    store = Store.open(file)
    store.create(Conversation(id="c", title="first", tree=Tree.of([QUESTION])))
    yield store
    store.close()


def titles(store):
    return [store.load(one).title for one in store.listing.ids(ListFilter())]


def test_a_backup_holds_all_there_is_and_opens_by_itself(store, tmp_path):
    store.create(Conversation(id="binned", tree=Tree.of([user_message("gone", None)])))
    store.listing.delete(["binned"])
    made = store.backups.make(BackupReason.ASKED)
    assert store.backups.list() == (made,)
    assert (made.conversations, made.messages, made.is_damaged) == (1, 1, False)
    assert abs(made.made_at - time.time()) < 60
    assert files_in(made.file.parent) == [made.file.name]
    copy = tmp_path / "elsewhere" / "conversations.db"
    copy.parent.mkdir()
    shutil.copy(made.file, copy)
    other = Store.open(copy)
    assert other.load("c") == store.load("c")
    other.close()


def test_writing_goes_on_while_a_backup_is_made_on_another_thread(store, file, monkeypatch):
    """Nobody waits for it; it holds one state and none between two."""
    begun, go_on = threading.Event(), threading.Event()
    made = []
    real = database.connect_beside

    class Slow:
        def __init__(self, connection):
            self.connection = connection

        def backup(self, target):
            begun.set()
            go_on.wait(10)
            self.connection.backup(target)

        def close(self):
            self.connection.close()

    def connect(file):
        return Slow(real(file))

    monkeypatch.setattr(database, "connect_beside", connect)
    thread = threading.Thread(
        target=lambda: made.append(BackupFolder(file).make(BackupReason.DAILY))
    )
    thread.start()
    assert begun.wait(10)
    store.rename("c", "meanwhile")
    go_on.set()
    thread.join()
    assert made[0].messages == 1


def test_two_in_one_second_do_not_meet(store):
    first, second = store.backups.make(BackupReason.ASKED), store.backups.make(BackupReason.ASKED)
    assert first.file != second.file
    assert len(store.backups.list()) == 2


def test_one_is_due_after_a_day_in_which_something_was_written(store, file):
    assert store.backups.due()
    made = store.backups.make(BackupReason.DAILY)
    assert not store.backups.due()
    old = aged(made, DAY + 60)
    written = time.time() - 2 * DAY
    for one in (file, file.with_name(f"{file.name}-wal")):
        os.utime(one, (written, written))
    assert not store.backups.due()  # nothing was
    store.rename("c", "changed")
    assert store.backups.due()
    assert old.exists()


def aged(info, seconds):
    """The same backup as if it had been made so much earlier."""
    at = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - seconds))
    file = info.file.with_name(f"conversations-{at}Z-{info.reason.value}.db")
    return info.file.rename(file)


def ages(store):
    return [round((time.time() - info.made_at) / DAY, 1) for info in store.backups.list()]


def test_one_from_the_future_does_not_put_off_the_others(store):
    made = store.backups.make(BackupReason.DAILY)
    made.file.rename(made.file.with_name("conversations-20990101-120000Z-daily.db"))
    assert store.backups.due()
    store.backups.make(BackupReason.DAILY)
    assert not store.backups.due()


def test_they_are_kept_by_count_and_age(store):
    kept = store.backups.make(BackupReason.DAILY)
    for days in (0.1, 0.2, 0.3, 1.1, 1.2, 2.1, *range(3, 60)):
        shutil.copy(kept.file, aged_name(kept, days))
    kept.file.unlink()
    store.backups.prune()
    # The last three, one for each of seven days, one for each of four weeks before.
    assert ages(store) == [0.1, 0.2, 0.3, 1.1, 2.1, 3, 4, 5, 6, 7, 14, 21, 28]
    store.backups.prune()
    assert len(ages(store)) == 13


def aged_name(info, days, reason="daily"):
    at = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - days * DAY - 5))
    return info.file.with_name(f"conversations-{at}Z-{reason}.db")


def test_those_before_a_change_stay_as_long_and_those_asked_for_always(store):
    kept = store.backups.make(BackupReason.DAILY)
    for days in (0.1, 0.2, 0.3):
        shutil.copy(kept.file, aged_name(kept, days))
    for days in (6.1, 6.2, 20, 20.5, 34.5, 36, 400):
        for reason in ("before-new-format", "before-restore", "asked"):
            shutil.copy(kept.file, aged_name(kept, days, reason))
    store.backups.prune()
    found = {
        (age, info.reason.value)
        for age, info in zip(ages(store), store.backups.list(), strict=True)
    }
    for days in (6.1, 6.2, 20, 20.5, 34.5):
        assert {(days, "before-new-format"), (days, "before-restore"), (days, "asked")} <= found
    assert {one for one in found if one[0] > 35} == {(36, "asked"), (400, "asked")}


def test_they_never_take_more_than_half_of_what_is_free(store, monkeypatch):
    kept = store.backups.make(BackupReason.ASKED)
    for days in range(1, 6):
        shutil.copy(kept.file, aged_name(kept, days))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    store.backups.prune()
    assert ages(store) == [0, 1, 2]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=-2 * kept.size))
    store.backups.prune()
    assert ages(store) == [0]  # the newest one never goes


def test_a_file_with_another_name_counts_as_one_that_was_asked_for(store):
    made = store.backups.make(BackupReason.DAILY)
    made.file.rename(made.file.with_name("before the holidays.db"))
    (info,) = store.backups.list()
    assert info.reason is BackupReason.ASKED
    store.backups.restore(info)


def test_a_damaged_database_makes_no_backup_and_is_checked_at_the_next_start(store, file):
    store.create(Conversation(id="long", tree=Tree.of([user_message("x" * 10, None)])))
    store.close()
    content = bytearray(file.read_bytes())
    for begin in range(8192 * 3, len(content), 8192):
        content[begin : begin + 8] = b"\xff" * 8
    file.write_bytes(content)
    with pytest.raises(Known) as caught:
        BackupFolder(file).make(BackupReason.DAILY)
    assert caught.value.code == trouble.DAMAGED
    assert files_in(file.parent / "backups") == []
    again = Store.open(file)
    assert again.opening.damaged is not None
    again.close()


@pytest.mark.parametrize("refused", ["_copy", "is_sound", "sync", "rename"])
def test_a_backup_that_is_cut_off_is_not_there(store, monkeypatch, refused):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if refused == "rename":
            patch.setattr(type(store.database.file), "rename", refuse)
        else:
            patch.setattr(BackupFolder if refused == "_copy" else backups, refused, refuse)
        with pytest.raises(Known) as caught:
            store.backups.make(BackupReason.DAILY)
    assert caught.value.code == trouble.DISK_FULL
    assert files_in(store.backups.folder) == []
    store.backups.make(BackupReason.DAILY)
    assert len(store.backups.list()) == 1


def test_what_a_killed_run_left_is_removed(store):
    store.backups.folder.mkdir()
    for name in ("conversations-1.db.part", "conversations-1.db.part-journal"):
        (store.backups.folder / name).write_bytes(b"x")
    store.backups.make(BackupReason.DAILY)
    assert len(files_in(store.backups.folder)) == 1


def test_going_back_to_a_backup_and_forth_again(store, file):
    before = store.backups.make(BackupReason.ASKED)
    store.rename("c", "second")
    store.create(Conversation(id="later", title="later"))
    store.save_draft("", "unsent")
    store.backups.restore(before)
    assert titles(store) == ["first"]
    assert store.drafts() == {}
    (now,) = (one for one in store.backups.list() if one.reason is BackupReason.RESTORE)
    store.rename("c", "written after it")
    store.backups.restore(now)
    assert sorted(titles(store)) == ["later", "second"]
    assert store.drafts() == {"": "unsent"}
    store.close()
    again = Store.open(file)
    assert sorted(titles(again)) == ["later", "second"]
    again.close()


def test_others_who_read_meanwhile_see_one_or_the_other(store, file):
    made = store.backups.make(BackupReason.ASKED)
    store.rename("c", "second")
    with closing(database.connect_beside(file)) as reader:
        reader.execute("BEGIN")
        query = "SELECT title FROM conversations"
        assert reader.execute(query).fetchall() == [("second",)]
        store.backups.restore(made)
        assert reader.execute(query).fetchall() == [("second",)]
        reader.execute("COMMIT")
        assert reader.execute(query).fetchall() == [("first",)]


def test_a_backup_of_an_older_format_with_other_pages_is_restored_too(store, tmp_path):
    folder = store.backups.folder
    folder.mkdir()
    old = made_by(1, folder / "old.db")
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (4096,)
    content = old.read_bytes()
    (info,) = store.backups.list()
    assert (info.conversations, info.messages) == (1, 3)
    store.backups.restore(info)
    assert store.listing.ids(ListFilter()) == ("c1",)
    assert old.read_bytes() == content
    assert store.database.connection.execute("PRAGMA page_size").fetchone() == (8192,)
    store.listing.set_pinned(["c1"], True)  # a column that it did not have


def test_a_damaged_backup_is_refused_and_nothing_changes(store):
    made = store.backups.make(BackupReason.ASKED)
    content = bytearray(made.file.read_bytes())
    content[8192 * 2 : 8192 * 2 + 50] = b"\xff" * 50
    made.file.write_bytes(content)
    with pytest.raises(Known, match=r"backup .* is damaged"):
        store.backups.restore(made)
    assert titles(store) == ["first"]
    assert len(store.backups.list()) == 1
    made.file.unlink()
    with pytest.raises(Known):
        store.backups.restore(made)


@pytest.mark.parametrize("refused", ["make", "is_sound", "copyfile", "backup"])
def test_going_back_that_is_cut_off_changes_nothing(store, file, monkeypatch, refused):
    made = store.backups.make(BackupReason.ASKED)
    store.rename("c", "second")

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        if refused == "make":
            patch.setattr(BackupFolder, "make", kill)
        elif refused == "copyfile":
            patch.setattr(shutil, "copyfile", kill)
        elif refused == "is_sound":
            patch.setattr(backups, "is_sound", kill)
        else:  # in the middle of writing: no page more fits
            (pages,) = store.database.connection.execute("PRAGMA page_count").fetchone()
            store.database.connection.execute(f"PRAGMA max_page_count = {pages}")
            big = Store.open(made.file.with_name("big.db"))
            big.save_draft("", "x" * 400_000)
            big.close()
            (made,) = (one for one in store.backups.list() if one.file.name == "big.db")
        with pytest.raises((Killed, Known)):
            store.backups.restore(made)
    assert titles(store) == ["second"]
    store.database.connection.execute("PRAGMA max_page_count = 1000000")
    assert not [name for name in files_in(store.backups.folder) if ".part" in name]
    store.rename("c", "third")
    store.close()
    again = Store.open(file)
    assert titles(again) == ["third"]
    again.close()
