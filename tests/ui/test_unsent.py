"""What is typed and not sent: on disk by itself, and there again after the program has died."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.tree import Conversation, Tree


@pytest.fixture
def started(qtbot, looks):
    """Starts the application on a profile; ends what was started."""
    running = []

    def start(profile: Path):
        from qwen_desktop import cli
        from qwen_desktop.app import App

        built = App(cli.parse(["--profile", str(profile), "--theme", "light"]))
        built.build()
        built.store.start()
        built.window.show()
        qtbot.waitExposed(built.window)
        built.window.finish_building()
        with qtbot.waitSignal(built.chats.started):
            built.chats.start(built.remembered.state.conversation_id)
        running.append(built)
        return built

    yield start
    for built in running:
        built.window.close()
        built.close()
        for made in (built.window, built):
            made.deleteLater()
            QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def profile(tmp_path):
    """A profile with two conversations in it."""
    return tmp_path / "profile"


def talk(text):
    return Conversation(tree=Tree.of([user_message(text, None)]))


def show(built, qtbot, conversation):
    with qtbot.waitSignal(built.chats.opened):
        built.window.composer.flush_draft()
        built.chats.open(conversation.id)


def drafts(profile):
    with closing(sqlite3.connect(profile / "conversations.db")) as connection:
        return dict(connection.execute("SELECT conversation_id, text FROM drafts"))


def as_killed(profile: Path, copy: Path) -> Path:
    """A copy of the profile as a process killed now would leave it."""
    shutil.copytree(profile, copy, ignore=shutil.ignore_patterns("lock", "*.socket"))
    return copy


def editor(window, index=0):
    return window.timeline.view_at(index).card.editor


def test_drafts_are_on_disk_by_themselves_and_there_again_after_a_kill(
    started, profile, qtbot, tmp_path
):
    built = started(profile)
    first, second = talk("first"), talk("second")
    for conversation in (first, second):
        built.store.submit(lambda store, c=conversation: store.create(c))
    field = built.window.composer.edit
    QTest.keyClicks(field, "new one")
    qtbot.waitUntil(lambda: drafts(profile) == {"": "new one"})
    show(built, qtbot, first)
    assert field.toPlainText() == ""
    QTest.keyClicks(field, "to the first")
    show(built, qtbot, second)
    QTest.keyClicks(field, "to the second")
    wanted = {"": "new one", first.id: "to the first", second.id: "to the second"}
    qtbot.waitUntil(lambda: drafts(profile) == wanted)

    again = started(as_killed(profile, tmp_path / "copy"))

    for conversation in (first, second):
        show(again, qtbot, conversation)
        assert again.window.composer.text() == wanted[conversation.id]
    again.chats.new()
    assert again.window.composer.text() == "new one"


def test_what_is_typed_into_a_message_being_changed_is_there_again_after_a_kill(
    started, profile, qtbot, tmp_path
):
    built = started(profile)
    first, second = talk("first"), talk("second")
    for conversation in (first, second):
        built.store.submit(lambda store, c=conversation: store.create(c))
    show(built, qtbot, first)
    timeline = built.window.timeline
    timeline.set_can_answer(True)
    timeline.begin_edit(first.tree.head)
    QTest.keyClicks(editor(built.window).field, " and more")
    key = f"edit {first.tree.head}"
    qtbot.waitUntil(lambda: drafts(profile) == {key: "first and more"})

    # Another conversation and back.
    show(built, qtbot, second)
    assert editor(built.window) is None
    show(built, qtbot, first)
    assert editor(built.window).text == "first and more"

    again = started(as_killed(profile, tmp_path / "copy"))
    show(again, qtbot, first)
    assert editor(again.window).text == "first and more"

    # Left, it is forgotten.
    editor(again.window).cancelled.emit()
    again.window.leaving.flush()
    qtbot.waitUntil(lambda: drafts(tmp_path / "copy") == {})
    assert editor(again.window) is None


def test_an_editor_in_which_nothing_was_changed_leaves_no_draft(started, profile, qtbot):
    built = started(profile)
    first = talk("first")
    built.store.submit(lambda store: store.create(first))
    show(built, qtbot, first)
    built.window.timeline.set_can_answer(True)
    built.window.timeline.begin_edit(first.tree.head)
    QTest.keyClicks(editor(built.window).field, "!")
    built.window.leaving.flush()
    qtbot.waitUntil(lambda: len(drafts(profile)) == 1)

    editor(built.window).field.undo()
    built.window.leaving.flush()

    qtbot.waitUntil(lambda: drafts(profile) == {})
