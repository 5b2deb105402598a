"""The disk refuses: what the window says while it does, and when it is closed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager

import pytest

from qwen_desktop.bridge import store_client
from qwen_desktop.bridge.saving import SavingState
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Report
from qwen_desktop.storage import conversation_json
from qwen_desktop.ui.notices import saving_text
from qwen_desktop.ui.unsaved_dialog import UnsavedDialog


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What waits is tried again soon, and a lock is not waited for."""
    monkeypatch.setattr(store_client, "RETRY_MS", 20)
    monkeypatch.setattr(store_client, "WAITING_PATIENCE_SECONDS", 0.01)


@pytest.fixture
def locked(application, qtbot):
    """A context in which another program holds the database."""
    file = application.options.profile.database

    @contextmanager
    def hold():
        application.store.submit(lambda store: store.database.wait_for_lock(0.01))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            qtbot.waitUntil(lambda: begun(other))
            yield
            other.execute("ROLLBACK")

    def begun(other):
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True

    return hold


def type_text(window, text):
    window.composer.edit.setPlainText(text)
    window.leaving.flush()


def drafts_on_disk(application):
    with closing(sqlite3.connect(application.options.profile.database)) as connection:
        return dict(connection.execute("SELECT conversation_id, text FROM drafts"))


def dialog_of(window):
    return window.findChild(UnsavedDialog)


def test_a_notice_stays_while_changes_wait_and_goes_when_all_are_saved(
    application, window, locked, qtbot
):
    notice = window.notices.saving
    assert not window.notices.isVisible()
    with locked():
        type_text(window, "typed")
        qtbot.waitUntil(notice.isVisible)
        assert notice.text.startswith("1 change is not on disk yet: another program is using")
        assert str(application.options.profile.database) in notice.text
        assert notice.label.accessibleName() == notice.text
        assert not notice.close_button.isVisible()
        file = str(application.options.profile.database)
        window.show_problem(Report("{file} is in use.", "", {"file": file}, code="locked"))
    qtbot.waitUntil(lambda: not window.notices.isVisible())
    assert not window.banner.isVisible()  # a question refused meanwhile can be asked now

    assert drafts_on_disk(application) == {"": "typed"}


def test_the_window_closes_at_once_where_everything_is_on_disk(application, window, qtbot):
    type_text(window, "typed")
    qtbot.waitUntil(lambda: application.store.is_settled)

    assert window.close()
    assert drafts_on_disk(application) == {"": "typed"}


def test_a_window_closed_with_something_typed_waits_for_the_disk_and_then_closes(
    application, window, qtbot
):
    window.composer.edit.setPlainText("typed")

    window.close()
    qtbot.waitUntil(lambda: not window.isVisible())

    assert drafts_on_disk(application) == {"": "typed"}
    assert dialog_of(window) is None


def test_what_the_disk_refuses_at_the_end_is_asked_about_and_cancel_keeps_the_window(
    application, window, locked, qtbot
):
    with locked():
        window.composer.edit.setPlainText("typed")
        window.close()
        qtbot.waitUntil(lambda: dialog_of(window) is not None)
        assert window.isVisible()
        dialog = dialog_of(window)
        assert "not on disk yet" in dialog.words.text()
        assert dialog.again.hasFocus() or dialog.again.isDefault()

        dialog.again.click()
        qtbot.waitUntil(lambda: "still refuses" in dialog.note.text())
        dialog.cancel.click()
        qtbot.waitUntil(lambda: dialog_of(window) is None)
        assert window.isVisible()
        assert window.composer.text() == "typed"


def test_trying_again_ends_the_program_once_the_disk_works(application, window, locked, qtbot):
    with locked():
        window.composer.edit.setPlainText("typed")
        window.close()
        qtbot.waitUntil(lambda: dialog_of(window) is not None)
    dialog = dialog_of(window)
    qtbot.waitUntil(lambda: application.store.saving.all_saved)
    assert dialog.words.text() == "All changes are on disk now."
    assert dialog.leave.isHidden()

    dialog.again.click()
    qtbot.waitUntil(lambda: not window.isVisible())

    assert drafts_on_disk(application) == {"": "typed"}


def test_quit_anyway_quits(application, window, locked, qtbot):
    with locked():
        window.composer.edit.setPlainText("typed")
        window.close()
        qtbot.waitUntil(lambda: dialog_of(window) is not None)
        dialog_of(window).leave.click()
        qtbot.waitUntil(lambda: not window.isVisible())


def test_a_second_signal_to_end_does_not_wait_for_the_dialog(application, window, locked, qtbot):
    with locked():
        window.composer.edit.setPlainText("typed")
        window.close()
        qtbot.waitUntil(lambda: dialog_of(window) is not None)

        assert window.close()


def test_what_is_not_on_disk_can_be_written_elsewhere_and_read_again(
    application, window, locked, qtbot, tmp_path
):
    talk = Conversation(tree=Tree.of([user_message("Where am I?", None)]))
    application.store.submit(lambda store: store.create(talk))
    with qtbot.waitSignal(application.chats.opened):
        application.chats.open(talk.id)
    file = tmp_path / "elsewhere" / "kept.qwenchat.json"
    with locked():
        window.composer.edit.setPlainText("half a sente")
        window.close()
        qtbot.waitUntil(lambda: dialog_of(window) is not None)
        with qtbot.waitSignal(window.leaving.saved_elsewhere):
            window.leaving.save_to(file)
        assert str(file) in dialog_of(window).note.text()

    value = json.loads(file.read_text(encoding="utf-8"))
    (entry,) = conversation_json.entries(value)
    assert conversation_json.from_value(entry).conversation.tree == talk.tree
    assert value["drafts"] == [{"conversation": talk.id, "text": "half a sente"}]


def test_a_file_that_cannot_be_written_either_is_told(application, window, locked, qtbot, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    with locked():
        window.composer.edit.setPlainText("typed")
        window.close()
        qtbot.waitUntil(lambda: dialog_of(window) is not None)
        dialog = dialog_of(window)
        window.leaving.save_to(blocked / "kept.qwenchat.json")
        qtbot.waitUntil(lambda: "kept.qwenchat.json" in dialog.note.text())


def test_at_the_end_of_the_session_what_is_typed_is_on_disk_when_control_is_given_back(
    application, window, qapp
):
    window.composer.edit.setPlainText("typed")

    window.leaving._on_session_end()

    assert drafts_on_disk(application) == {"": "typed"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("disk-full", "the disk is full. Free some space; saving goes on by itself."),
        ("locked", "another program is using /c.db. Close that program"),
        ("io", "the disk failed. Check it and its connection"),
        ("read-only", "/c.db cannot be written. Allow it. Saving goes on by itself."),
    ],
)
def test_the_sentence_says_how_many_changes_wait_and_why(code, words):
    report = Report("{file} cannot be written.", "Allow it.", {"file": "/c.db"}, code=code)

    assert words in saving_text(SavingState(2, report))
    assert saving_text(SavingState(2, report)).startswith("2 changes are not on disk yet")
    assert saving_text(SavingState(1, report)).startswith("1 change is not on disk yet")
