"""Backups in the window, and what it tells of how the conversations were opened."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store
from qwen_desktop.ui.backups_dialog import BackupsDialog
from qwen_desktop.ui.backups_table import CONVERSATIONS, MESSAGES, WHY
from qwen_desktop.ui.settings_dialog import SettingsDialog
from qwen_desktop.ui.small_dialogs import ConfirmDialog


def talk(text):
    return Conversation(tree=Tree.of([user_message(text, None)]))


@pytest.fixture
def started(qtbot, looks, tmp_path):
    """Starts the application on a profile in which a function has been."""
    running = []

    def start(prepare):
        from qwen_desktop import cli
        from qwen_desktop.app import App

        profile = tmp_path / "profile"
        profile.mkdir()
        prepare(profile / "conversations.db")
        built = App(cli.parse(["--profile", str(profile), "--theme", "light"]))
        running.append(built)
        built.build()
        built.window.show()
        built.window.finish_building()
        built.store.start()
        with qtbot.waitSignal(built.chats.started):
            built.chats.start("")
        return built

    yield start
    for built in running:
        built.window.leaving._may_go = True  # what cannot be saved is none of this test
        built.window.close()
        built.close()
        for made in (built.window, built):
            made.deleteLater()
            QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete.value)


def create(application, conversation):
    application.store.submit(lambda store: store.create(conversation))


def dialog_in(window, qtbot):
    window.actions_by_name["backups"].trigger()
    dialog = window.findChild(BackupsDialog)
    qtbot.waitUntil(lambda: dialog.note.text() != "Reading…")
    return dialog


def make(dialog, qtbot):
    rows = dialog.table.backups.rowCount()
    dialog.make.click()
    qtbot.waitUntil(lambda: dialog.table.backups.rowCount() > rows)


def cell(dialog, row, column):
    model = dialog.table.backups
    return model.data(model.index(row, column))


def test_the_dialog_lists_backups_and_makes_one_more(application, window, qtbot):
    create(application, talk("first"))
    dialog = dialog_in(window, qtbot)
    assert dialog.note.text() == "There is none yet."
    assert not dialog.restore.isEnabled()

    dialog.make.setFocus()
    make(dialog, qtbot)

    assert dialog.note.text() == "Backed up. Chats: 1, messages: 1."
    assert cell(dialog, 0, WHY) == "Made by you"
    assert (cell(dialog, 0, CONVERSATIONS), cell(dialog, 0, MESSAGES)) == ("1", "1")
    assert dialog.restore.isEnabled()
    assert dialog.table.hasFocus()
    assert dialog.table.chosen is not None


def test_restoring_asks_and_then_shows_what_there_was(application, window, qtbot):
    first, second = talk("first"), talk("second")
    create(application, first)
    dialog = dialog_in(window, qtbot)
    make(dialog, qtbot)
    create(application, second)
    with qtbot.waitSignal(application.chats.opened):
        application.chats.open(second.id)

    dialog.restore.click()
    question = dialog.findChild(ConfirmDialog)
    assert "chats: 1, messages: 1" in question.words.text()
    assert "becomes a backup first" in question.words.text()
    assert question.cancel_button.isDefault()
    question.reject()
    assert not application.backups.busy

    dialog.restore.click()
    with qtbot.waitSignal(application.backups.restored):
        dialog.findChildren(ConfirmDialog)[-1].do_button.click()
    qtbot.waitUntil(lambda: dialog.table.backups.rowCount() == 2)
    assert "is restored" in dialog.note.text()
    qtbot.waitUntil(lambda: application.chats.list.row_at(0) is not None)
    assert application.chats.list.row_at(0).id == first.id
    assert application.chats.current.id != second.id


def test_the_settings_lead_to_the_backups(application, window, qtbot):
    window.commanding.show_settings()
    settings = window.findChild(SettingsDialog)
    button = settings.findChild(object, "data_action_backups")

    QTest.keyClick(button, Qt.Key.Key_Space)

    qtbot.waitUntil(lambda: window.findChild(BackupsDialog) is not None)
    assert not settings.isVisible()


def test_a_damaged_backup_cannot_be_chosen(application, window, qtbot):
    folder = application.backups.folder
    folder.mkdir()
    (folder / "conversations-20260101-120000Z-daily.db").write_bytes(b"damaged" * 1000)

    dialog = dialog_in(window, qtbot)

    assert cell(dialog, 0, WHY) == "Damaged"
    assert cell(dialog, 0, CONVERSATIONS) == "–"
    assert not dialog.restore.isEnabled()


def test_a_database_that_was_damaged_is_told_with_its_folder_and_can_be_closed(started, qtbot):
    def damage(file: Path) -> None:
        store = Store.open(file)
        for number in range(3):
            store.create(talk(f"question {number}"))
        store.close()
        content = bytearray(file.read_bytes())
        content[:100] = bytes(100)
        file.write_bytes(bytes(content))

    window = started(damage).window
    notice = window.notices.opening
    qtbot.waitUntil(notice.isVisible)

    assert "The chat database was damaged." in notice.text
    assert "damaged" in notice.text.rpartition("is kept in ")[2]
    assert notice.action.text() == "Show folder"
    notice.close_button.click()
    assert not window.notices.isVisible()


def test_what_can_only_be_read_says_so_for_good_and_is_read(started, qtbot):
    first = talk("first")

    def make_newer(file: Path) -> None:
        store = Store.open(file)
        store.create(first)
        store.close()
        with closing(sqlite3.connect(file)) as newer:
            newer.execute("CREATE TABLE of_a_newer_format (name TEXT)")
            newer.execute("PRAGMA user_version = 1000")

    built = started(make_newer)
    window = built.window
    qtbot.waitUntil(window.notices.opening.isVisible)
    assert "can be read here, but not changed" in window.notices.opening.text
    assert not window.notices.opening.close_button.isVisible()
    with qtbot.waitSignal(built.chats.opened):
        built.chats.open(first.id)
    assert [message.text for message in built.chats.current.tree.path()] == ["first"]
    built.chats.list.rename(first.id, "second")
    qtbot.waitUntil(window.notices.saving.isVisible)
    assert window.notices.saving.text == "1 change is not on disk yet."  # why stands above it


def test_after_an_opening_that_took_long_the_notice_goes(application, window):
    window.safekeeping._on_slow(True)
    assert "after an unclean end" in window.notices.opening.text

    window.safekeeping._on_opened(None)

    assert not window.notices.isVisible()
