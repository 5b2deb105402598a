"""Exporting, saving as a file and copying from the real window."""

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QFileDialog, QRadioButton
from pytestqt.qtbot import QtBot

from qwen_desktop.chat.exporting import ExportProgress, Format
from qwen_desktop.ui.checkpoints import QT_DIALOGS
from qwen_desktop.ui.export_dialog import ExportDialog, Scope
from qwen_desktop.ui.restore_dialog import RestoreDialog
from tests.export.conversations import branched, said


@pytest.fixture
def app(application, qtbot: QtBot, tmp_path, monkeypatch):
    """The application with three conversations, "Rain" shown."""
    monkeypatch.setenv(QT_DIALOGS, "1")
    for record in (branched(), said("One", key="x"), said("Two", key="y")):
        application.store.submit(lambda store, c=record.conversation: store.create(c))
    application.chats.open("c")
    qtbot.waitUntil(lambda: application.chats.current.id == "c", timeout=20_000)
    out = tmp_path / "out"
    out.mkdir()
    application.window.outgoing.remember(str(out), "")
    application.out = out
    return application


def opened(app, qtbot, kind, name):
    def found():
        return [
            one
            for one in app.window.findChildren(kind)
            if one.objectName() == name and one.isVisible()
        ]

    qtbot.waitUntil(lambda: bool(found()), timeout=10_000)
    return found()[-1]


def pick(app, qtbot, name=""):
    """Accept the picker; with a `name` in place of the suggested one."""
    picker = opened(app, qtbot, QFileDialog, "exportTarget")
    if name:
        picker.selectFile(name)
    suggested = Path(picker.selectedFiles()[0]).name
    picker.accept()
    return suggested


def wait_for_files(app, qtbot, count):
    def done():
        files = [file for file in app.out.iterdir() if not file.name.startswith(".")]
        return len(files) == count and not app.exporting.busy

    qtbot.waitUntil(done, timeout=20_000)
    return sorted(file.name for file in app.out.iterdir())


def test_save_as_writes_the_shown_conversation_and_tells_where(app, qtbot):
    app.window.actions_by_name["save_as"].trigger()
    assert pick(app, qtbot) == "Rain.qwenchat.json"
    assert wait_for_files(app, qtbot, 1) == ["Rain.qwenchat.json"]
    value = json.loads((app.out / "Rain.qwenchat.json").read_text())
    assert (value["id"], len(value["messages"])) == ("c", 4)
    toast = app.window.toast
    qtbot.waitUntil(toast.isVisible)
    assert toast.label.accessibleName() == "Saved “Rain.qwenchat.json”"
    assert toast.action_button.text() == "Show in folder"
    assert not toast.can_undo


def test_the_dialog_exports_what_was_selected_as_the_chosen_format(app, qtbot):
    app.window.sidebar.export_requested.emit(("x", "y"))
    dialog = opened(app, qtbot, QDialog, "exportDialog")
    assert [button.text() for button in dialog.findChildren(QRadioButton)] == [
        "2 selected chats",
        "This chat",
        "All chats, archived ones included",
    ]
    dialog.formats.setCurrentIndex(dialog.formats.findData(Format.HTML.value))
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    pick(app, qtbot)
    assert wait_for_files(app, qtbot, 2) == ["One.html", "Two.html"]
    qtbot.waitUntil(lambda: not dialog_is_there(app), timeout=10_000)
    # The place and the format are there the next time, and after the next start.
    state = app.remembered.state
    assert (state.export_folder, state.export_format) == (str(app.out), "html")


def dialog_is_there(app):
    return any(one.isVisible() for one in app.window.findChildren(ExportDialog))


def test_the_shortcut_offers_the_shown_conversation_first(app, qtbot):
    app.window.actions_by_name["export"].trigger()
    dialog = opened(app, qtbot, QDialog, "exportDialog")
    assert dialog.scope.ids == ("c",)
    dialog.go.click()
    assert pick(app, qtbot, "other name") == "other name.md"
    assert wait_for_files(app, qtbot, 1) == ["other name.md"]


def test_an_ending_that_is_left_out_is_added_but_replaces_nothing_unasked(app, qtbot):
    (app.out / "mine.v2.md").write_text("old")
    app.window.actions_by_name["export"].trigger()
    opened(app, qtbot, QDialog, "exportDialog").go.click()
    pick(app, qtbot, "mine.v2")
    question = opened(app, qtbot, QDialog, "confirmDialog")
    assert (app.out / "mine.v2.md").read_text() == "old"
    question.do_button.click()
    qtbot.waitUntil(lambda: (app.out / "mine.v2.md").read_text().startswith("# Rain"))
    assert wait_for_files(app, qtbot, 1)


def test_trouble_is_told_above_the_conversation(app, qtbot):
    app.window.sidebar.export_requested.emit(("gone",))
    dialog = opened(app, qtbot, QDialog, "exportDialog")
    dialog.go.click()
    pick(app, qtbot)
    qtbot.waitUntil(lambda: not app.window.banner.isHidden(), timeout=20_000)
    assert list(app.out.iterdir()) == []


def test_conversations_are_copied_as_markdown(app, qtbot):
    markdown = "## You\n\nA haiku\n\n## Assistant (Qwen3-8B)\n\nWind\n"
    app.window.timeline.copy_all_requested.emit()
    qtbot.waitUntil(lambda: QGuiApplication.clipboard().text() == markdown, timeout=10_000)
    assert app.window.toast.label.text() == "Copied as Markdown"
    app.window.sidebar.copy_requested.emit("x")
    qtbot.waitUntil(lambda: QGuiApplication.clipboard().text() == "## You\n\nOne\n")


def test_nothing_is_saved_or_copied_of_an_empty_conversation(app, qtbot):
    app.chats.new()
    QGuiApplication.clipboard().setText("kept")
    app.window.outgoing.save_as()
    app.window.outgoing.copy_shown()
    assert not app.window.findChildren(QFileDialog, "exportTarget")
    assert QGuiApplication.clipboard().text() == "kept"


def test_the_dialog_shows_what_the_choices_leave_open(qtbot, looks):
    dialog = ExportDialog((Scope("all", None, 0), Scope("this", ("c",), 1)), Format.JSON)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.formats.currentData() == "json"
    assert not dialog.reasoning.isVisible()
    assert dialog.note.isVisible()
    assert dialog.one_file.isVisible()
    dialog.one_file.setChecked(True)
    dialog.findChild(QRadioButton, "scope_this").setChecked(True)
    assert not dialog.one_file.isVisible()
    assert not dialog.options.one_file
    dialog.formats.setCurrentIndex(0)
    assert dialog.reasoning.isVisible()
    assert not dialog.options.reasoning  # unless it is asked for
    dialog.reasoning.setChecked(True)
    assert dialog.options.reasoning
    for control in (dialog.formats, dialog.reasoning, dialog.go, dialog.cancel, dialog.bar):
        assert control.accessibleName()


def test_cancel_waits_for_the_end_of_what_runs(qtbot, looks):
    dialog = ExportDialog((Scope("all", None, 0),), Format.PDF)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.show_progress(ExportProgress(1, 4, "A title", 0.5))
    assert dialog.words.text() == "Exporting 2 of 4…"
    assert dialog.bar.value() == 375
    with qtbot.waitSignal(dialog.cancel_requested):
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert not dialog.cancel.isEnabled()
    dialog.show_choices()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_a_profile_is_saved_and_offered_to_be_merged_or_put_in_place(app, qtbot):
    window = app.window
    window.whole_profile.save()
    picker = opened(app, qtbot, QFileDialog, "profileFile")
    picker.setDirectory(str(app.out))
    picker.selectFile("all.qwenprofile")
    picker.accept()
    qtbot.waitUntil(lambda: (app.out / "all.qwenprofile").exists(), timeout=20_000)
    qtbot.waitUntil(lambda: window.toast.label.text() == "Saved “all.qwenprofile”")
    window.whole_profile.restore()
    picker = opened(app, qtbot, QFileDialog, "profileFile")
    picker.setDirectory(str(app.out))
    picker.selectFile("all.qwenprofile")
    picker.accept()
    dialog = opened(app, qtbot, RestoreDialog, "restoreDialog")
    assert "Chats: 3" in dialog.words.text()
    mark = app.options.profile.restore_mark
    assert not mark.exists()
    dialog.replace.click()
    qtbot.waitUntil(mark.exists, timeout=20_000)
    qtbot.waitUntil(lambda: window.toast.action_button.text() == "Quit now", timeout=20_000)
