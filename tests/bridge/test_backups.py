"""Backups beside a running application: made when due, restored while an answer is written."""

from __future__ import annotations

import os
import threading

import pytest

from qwen_desktop.bridge.backups import Backups
from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.messages import Status
from qwen_desktop.storage.backups import BackupFolder
from tests.listed import listed


@pytest.fixture
def backups(desk):
    made = Backups(desk.file, desk.store, desk.chats)
    made.told, made.restorings, made.failures = [], [], []
    made.listed.connect(made.told.append)
    made.restored.connect(made.restorings.append)
    made.failed.connect(made.failures.append)
    yield made
    made.close()
    made.deleteLater()


def there(desk):
    return BackupFolder(desk.file).list()


def in_list(desk):
    found = []
    desk.store.submit(listed, lambda rows: found.append([row.id for row in rows]))
    desk.wait(lambda: found)
    return found[0]


def restored(desk, backups, info):
    backups.restore(info)
    desk.wait(lambda: backups.restorings or backups.failures)


def test_one_that_is_asked_for_is_made_listed_and_told(desk, backups):
    desk.ask_and_wait("first")
    with desk.qtbot.waitSignal(backups.made) as caught:
        backups.make()
        assert backups.busy
    desk.wait(lambda: backups.told)

    (info,) = caught.args
    assert info.reason is BackupReason.ASKED
    assert (info.conversations, info.messages) == (1, 2)
    assert backups.told == [(info,)]
    assert info.file.parent == backups.folder
    assert not backups.busy


def test_a_daily_one_is_made_once_and_not_while_an_answer_is_written(desk, backups):
    desk.set(max_new_tokens=100_000)
    grown = []
    desk.chats.message_changed.connect(grown.append)
    assert desk.chats.ask("first")
    desk.wait(lambda: grown)
    backups.make_daily()
    assert not backups.busy
    desk.chats.stop()
    desk.wait(lambda: desk.saved)

    for _ in range(3):
        backups.make_daily()
        desk.wait(lambda: not backups.busy)

    assert [info.reason for info in there(desk)] == [BackupReason.DAILY]


def test_the_next_one_is_made_when_that_is_a_day_old(desk, backups):
    desk.ask_and_wait("first")
    backups.make_daily()
    desk.wait(lambda: not backups.busy)
    (first,) = there(desk)
    # Its name says when it was made.
    earlier = first.file.with_name("conversations-20200101-120000Z-daily.db")
    first.file.rename(earlier)

    backups.make_daily()
    desk.wait(lambda: not backups.busy)

    assert len(there(desk)) == 2
    assert there(desk)[0].file != earlier


def test_restoring_stops_the_answer_and_shows_what_there_was(desk, backups):
    first = desk.ask_and_wait("first")
    shown = desk.chats.current.id
    with desk.qtbot.waitSignal(backups.made) as caught:
        backups.make()
    (info,) = caught.args
    desk.set(max_new_tokens=100_000)
    grown = []
    desk.chats.message_changed.connect(grown.append)
    assert desk.chats.ask("second")
    desk.wait(lambda: len(grown) > 2)

    restored(desk, backups, info)
    desk.wait(lambda: desk.chats.current.id == shown)

    assert not backups.failures
    assert [message.text for message in desk.path()] == ["first", first.text]
    assert in_list(desk) == [shown]
    before = next(b for b in there(desk) if b.reason is BackupReason.RESTORE)
    assert before.messages == 4

    # And back: what was written until it was stopped is in the backup that was made before.
    backups.restorings.clear()
    restored(desk, backups, before)
    desk.wait(lambda: len(desk.path()) == 4)
    assert desk.path()[-1].status is Status.STOPPED
    assert desk.path()[-1].text


def test_nothing_comes_between_a_restore_and_the_end_of_the_answer_it_stops(desk, backups):
    desk.ask_and_wait("first")
    with desk.qtbot.waitSignal(backups.made) as caught:
        backups.make()
    (info,) = caught.args
    desk.set(max_new_tokens=100_000)
    grown = []
    desk.chats.message_changed.connect(grown.append)
    assert desk.chats.ask("second")
    desk.wait(lambda: grown)

    desk.chats.run_changed.connect(lambda _: backups.make_daily())
    backups.restore(info)
    assert backups.busy
    backups.make()
    desk.wait(lambda: backups.restorings or backups.failures)

    assert not backups.failures
    assert len(there(desk)) == 2
    assert not backups.busy


def test_a_conversation_that_was_not_there_is_no_longer_shown(desk, backups):
    desk.ask_and_wait("first")
    with desk.qtbot.waitSignal(backups.made) as caught:
        backups.make()
    (info,) = caught.args
    desk.chats.new()
    desk.ask_and_wait("second")
    later = desk.chats.current.id

    restored(desk, backups, info)

    assert desk.chats.current.id != later
    assert desk.path() == ()
    desk.ask_and_wait("third")
    assert later not in in_list(desk)
    assert len(in_list(desk)) == 2


def test_what_is_typed_is_there_after_a_restore(desk, backups):
    desk.ask_and_wait("first")
    shown = desk.chats.current.id
    desk.chats.set_draft("old")
    desk.chats.flush()
    desk.wait(lambda: desk.store.is_settled)
    with desk.qtbot.waitSignal(backups.made) as caught:
        backups.make()
    desk.chats.set_draft("new")

    restored(desk, backups, caught.args[0])
    desk.wait(lambda: desk.chats.current.id == shown)

    assert desk.drafts[-1] == "old\nnew"


def test_a_damaged_backup_is_refused_and_nothing_is_changed(desk, backups):
    desk.ask_and_wait("first")
    with desk.qtbot.waitSignal(backups.made) as caught:
        backups.make()
    (info,) = caught.args
    content = bytearray(info.file.read_bytes())
    content[4096:40_000] = os.urandom(40_000 - 4096)
    info.file.write_bytes(bytes(content))
    before = in_list(desk)

    restored(desk, backups, info)

    assert "damaged" in backups.failures[0].text()
    assert in_list(desk) == before
    assert not backups.busy


def test_a_journal_does_not_wait_for_a_backup(desk, backups, monkeypatch):
    begun, go = threading.Event(), threading.Event()
    copy = BackupFolder._copy

    def slow(folder, part):
        begun.set()
        assert go.wait(60)
        copy(folder, part)

    monkeypatch.setattr(BackupFolder, "_copy", slow)
    desk.ask_and_wait("first")
    backups.make()
    desk.wait(begun.is_set)

    desk.ask_and_wait("second")  # its journal and its end are on disk

    assert backups.busy
    go.set()
    desk.wait(lambda: there(desk) and not backups.busy)


def test_the_end_does_not_wait_for_a_backup(desk, backups, monkeypatch):
    begun, go = threading.Event(), threading.Event()

    def endless(folder, part):
        begun.set()
        assert go.wait(60)

    monkeypatch.setattr(BackupFolder, "_copy", endless)
    desk.ask_and_wait("first")
    backups.make()
    desk.wait(begun.is_set)

    backups.close()
    desk.close()

    go.set()
    assert not backups.failures
