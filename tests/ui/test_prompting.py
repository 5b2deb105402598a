"""Commands, their completion, the prompt library and earlier messages, as they are typed."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status
from qwen_desktop.chat.prompts import SavedPrompt
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui.commands_dialog import CommandsDialog
from qwen_desktop.ui.prompt_fields import PromptFieldsDialog
from qwen_desktop.ui.prompts_dialog import PromptsDialog
from tests.ui.test_asking import INFO

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
KEY = Qt.Key


@pytest.fixture
def composer(application, window):
    application.models._set(ModelState(Phase.READY, info=INFO))
    window.composer.focus_edit()
    return window.composer


def talk(application, *said: tuple[Role, str], status=Status.COMPLETE) -> Conversation:
    """Show a conversation of these messages."""
    tree = Tree()
    for role, text in said:
        message = Message(role, (Part(PartKind.TEXT, text),), parent_id=tree.head, status=status)
        tree = tree.added(message)
    made = Conversation(tree=tree)
    application.chats._show(made, is_new=False)
    return made


def type_(composer, text: str, *keys: Qt.Key) -> None:
    QTest.keyClicks(composer.edit, text)
    for key in keys:
        QTest.keyClick(composer.edit, key)


def run(composer, text: str) -> str:
    """Type a command with its argument and Enter; what is said then."""
    composer.set_text("")
    type_(composer, text, KEY.Key_Return)
    return composer.hint.text()


def library(qtbot, application, *prompts: SavedPrompt) -> None:
    application.prompts.load()
    qtbot.waitUntil(lambda: application.prompts.is_read)
    for prompt in prompts:
        application.prompts.save(prompt.name, prompt.text)


# Commands


def test_settings_of_the_chat_are_set_and_told(application, composer):
    assert run(composer, "/seed 7") == "Seed: 7. For this chat, from the next answer on."
    assert application.chats.values["seed"] == 7
    assert application.preferences.get("seed") is None
    assert composer.text() == ""
    assert run(composer, "/seed ") == "Seed is 7."
    assert run(composer, "/seed default").startswith("Seed: as recommended")
    assert "seed" not in application.chats.options.values
    assert run(composer, "/temperature 9") == "Temperature takes: 0 – 2."
    assert run(composer, "/thinking off").startswith("Thinking: off.")
    assert not composer.thinking.isChecked()
    run(composer, "/system Be brief.")
    assert application.chats.values["system_prompt"] == "Be brief."
    run(composer, "/system_prompt Be long.")
    assert application.chats.values["system_prompt"] == "Be long."
    run(composer, "/policy keep first")
    assert application.chats.options.policy is Policy.KEEP_FIRST
    assert not application.chats.current.tree.messages  # nothing was sent


def test_every_command_is_known_and_told(application, window, composer):
    asked = [command.name for command in window.prompts.commands.all]
    assert len(asked) == len(set(asked))
    assert {"system", "seed", "temperature", "clear", "export", "stop", "continue"} <= set(asked)
    for command in window.prompts.commands.all:
        assert command.words
    run(composer, "/help")
    dialog = window.findChild(CommandsDialog)
    assert dialog.table.topLevelItemCount() == len(asked)


def test_titles_new_chats_and_what_is_not_possible(application, window, composer):
    assert run(composer, "/title X") == "A chat gets its title with its first message."
    assert run(composer, "/retry") == "There is no answer yet."
    assert run(composer, "/continue") == "The last answer was not cut off."
    assert run(composer, "/stop") == "No answer is being written."
    assert run(composer, "/export") == "There is nothing to export yet."
    made = talk(application, (Role.USER, "Question"), (Role.ASSISTANT, "Answer"))
    assert "Rivers" in run(composer, "/title Rivers of  Asia")
    assert window.header.title.text() == "Rivers of Asia"
    assert "Formats are" in run(composer, "/export docx")
    run(composer, "/clear")
    assert application.chats.current.id != made.id
    assert not application.chats.current.tree.messages


def test_exports_begin_in_their_format(application, window, composer):
    talk(application, (Role.USER, "Question"), (Role.ASSISTANT, "Answer"))
    run(composer, "/export html")
    picker = window.findChild(QFileDialog)
    assert picker.selectedFiles()[0].endswith(".html")
    picker.close()


def test_answers_are_asked_for_again(application, composer):
    talk(application, (Role.USER, "Question"), (Role.ASSISTANT, "Ans"), status=Status.STOPPED)
    run(composer, "/continue")
    assert application.chats.run.running
    run(composer, "/stop")
    assert not application.chats.run.running  # it had not begun
    run(composer, "/retry")
    assert application.chats.run.running


@pytest.mark.parametrize("text", ["/usr/bin is full", "/usr/bin", "/r/python"])
def test_a_path_is_sent_without_fuss(application, composer, text):
    type_(composer, text, KEY.Key_Return)
    assert application.chats.current.tree.path()[0].text == text


def test_two_slashes_are_sent_as_one(application, composer):
    type_(composer, "//seed 7", KEY.Key_Return)
    assert application.chats.current.tree.path()[0].text == "/seed 7"


def test_an_unknown_command_is_sent_at_the_second_enter(application, composer):
    type_(composer, "/frobnicate now", KEY.Key_Return)
    assert composer.hint.text() == (
        "There is no command /frobnicate. Enter again sends it as text."
    )
    assert composer.text() == "/frobnicate now"
    type_(composer, "", KEY.Key_Return)
    assert application.chats.current.tree.path()[0].text == "/frobnicate now"


# Completion


def shown(window) -> list[str]:
    completion = window.prompts.completion
    if not completion.isVisible():
        return []
    return [choice.title.split()[0] for choice in completion.choices.all]


def test_what_is_typed_is_completed_by_keys(application, window, composer):
    type_(composer, "/te")
    assert shown(window) == ["/temperature"]
    type_(composer, "", KEY.Key_Tab)
    assert composer.text() == "/temperature "
    assert shown(window) == []
    type_(composer, "0.5", KEY.Key_Return)
    assert application.chats.values["temperature"] == 0.5
    type_(composer, "/")
    assert "/help" in shown(window)
    first = window.prompts.completion.view.currentIndex().row()
    type_(composer, "", KEY.Key_Down, KEY.Key_Down, KEY.Key_Up)
    assert window.prompts.completion.view.currentIndex().row() == first + 1
    type_(composer, "", KEY.Key_Escape)
    assert shown(window) == []
    type_(composer, "he")
    assert shown(window) == ["/help"]
    type_(composer, "", KEY.Key_Return)  # needs nothing more: it is done
    assert window.findChild(CommandsDialog) is not None
    assert composer.text() == ""


def test_it_is_completed_by_mouse_and_leaves_with_the_focus(window, composer):
    type_(composer, "/s")
    view = window.prompts.completion.view
    row = shown(window).index("/seed")
    at = view.visualRect(view.model().index(row)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert composer.text() == "/seed "
    composer.set_text("")
    type_(composer, "/s")
    assert shown(window)
    window.sidebar.search.setFocus()
    assert not shown(window)


@pytest.mark.parametrize("text", ["//", "/usr/", "a /", "/seed 7", "/\n"])
def test_nothing_is_offered_where_nothing_is_meant(window, composer, text):
    composer.edit.insert(text)
    assert shown(window) == []


# The library


def test_a_prompt_is_inserted_with_its_fields_filled(qtbot, application, window, composer):
    library(
        qtbot,
        application,
        SavedPrompt("Explain", "Explain {topic} to {who}."),
        SavedPrompt("Plain", "Be {{short}}."),
    )
    type_(composer, "/expl")
    assert shown(window) == ["Explain"]
    type_(composer, "", KEY.Key_Return)
    dialog = window.findChild(PromptFieldsDialog)
    QTest.keyClicks(dialog.fields["topic"], "tides")
    QTest.keyClick(dialog.fields["topic"], KEY.Key_Return, SHIFT)
    QTest.keyClicks(dialog.fields["topic"], "now")
    QTest.keyClick(dialog.fields["who"], KEY.Key_Return)
    assert composer.text() == "Explain tides\nnow to {who}."
    composer.set_text("")
    type_(composer, "/plain", KEY.Key_Return)
    assert composer.text() == "Be {short}."
    QTest.keyClick(composer.edit, KEY.Key_Z, CONTROL)
    assert composer.text() != "Be {short}."


def test_the_library_is_managed(qtbot, application, window, composer, tmp_path):
    QTest.mouseClick(composer.prompts, Qt.MouseButton.LeftButton)
    dialog = window.findChild(PromptsDialog)
    qtbot.waitUntil(lambda: application.prompts.is_read)
    QTest.keyClicks(dialog.name, "Second")
    QTest.keyClicks(dialog.text, "two {x}")
    assert "x" in dialog.fields.text()
    QTest.mouseClick(dialog.new_button, Qt.MouseButton.LeftButton)
    QTest.keyClicks(dialog.name, "First")
    QTest.keyClicks(dialog.text, "one")
    dialog.list.setCurrentRow(0)
    assert [p.name for p in application.prompts.entries] == ["First", "Second"]
    dialog.list.setCurrentRow(0)
    QTest.keyClicks(dialog.name, " of all")
    QTest.keyClick(dialog.name, KEY.Key_Tab)
    assert [p.name for p in application.prompts.entries] == ["First of all", "Second"]
    QTest.mouseClick(dialog.delete_button, Qt.MouseButton.LeftButton)
    assert [p.name for p in application.prompts.entries] == ["Second"]
    QTest.mouseClick(dialog.undo_button, Qt.MouseButton.LeftButton)
    assert [p.name for p in application.prompts.entries] == ["First of all", "Second"]
    application.prompts.export(tmp_path / "out.json")
    qtbot.waitUntil(lambda: "out.json" in dialog.note.text())
    assert [e["name"] for e in json.loads((tmp_path / "out.json").read_text())] == [
        "First of all",
        "Second",
    ]
    dialog.list.setCurrentRow(0)
    QTest.mouseClick(dialog.insert_button, Qt.MouseButton.LeftButton)
    assert composer.text() == "one"


def rows(dialog) -> list[str]:
    return [dialog.list.item(n).text() for n in range(dialog.list.count())]


def test_a_new_prompt_is_listed_as_soon_as_it_is_begun(qtbot, application, window, composer):
    library(qtbot, application, SavedPrompt("Old", "old"))
    window.prompts.show_library()
    dialog = window.findChild(PromptsDialog)
    assert rows(dialog) == ["Old"]
    assert dialog.name.text() == "Old"
    QTest.mouseClick(dialog.new_button, Qt.MouseButton.LeftButton)
    assert rows(dialog) == ["Old", "New prompt"]
    assert dialog.list.currentRow() == 1
    QTest.keyClicks(dialog.text, "some words")
    assert rows(dialog) == ["Old", "some words"]
    QTest.keyClicks(dialog.name, "A name")
    assert rows(dialog) == ["Old", "A name"]
    dialog.list.setCurrentRow(0)
    assert rows(dialog) == ["A name", "Old"]
    assert (dialog.list.currentRow(), dialog.name.text(), dialog.text.toPlainText()) == (
        1,
        "Old",
        "old",
    )
    QTest.mouseClick(dialog.new_button, Qt.MouseButton.LeftButton)
    dialog.list.setCurrentRow(0)  # nothing was typed for it
    assert rows(dialog) == ["A name", "Old"]
    assert dialog.text.toPlainText() == "some words"
    dialog.accept()


def test_what_cannot_be_kept_is_not_left(qtbot, application, window, composer):
    library(qtbot, application, SavedPrompt("Old", "old"))
    window.prompts.show_library()
    dialog = window.findChild(PromptsDialog)
    QTest.mouseClick(dialog.new_button, Qt.MouseButton.LeftButton)
    QTest.keyClicks(dialog.text, "mine")
    QTest.keyClicks(dialog.name, "Old")
    dialog.list.setCurrentRow(0)
    assert dialog.list.currentRow() == 1
    dialog.accept()
    assert dialog.isVisible()
    assert (dialog.text.toPlainText(), dialog.note.text()[:24]) == (
        "mine",
        "There is another prompt ",
    )
    QTest.keyClicks(dialog.name, " but mine")
    dialog.accept()
    assert [p.name for p in application.prompts.entries] == ["Old", "Old but mine"]


def test_close_stands_right_of_the_other_buttons(qtbot, application, window, composer):
    window.prompts.show_library()
    dialog = window.findChild(PromptsDialog)
    close = dialog.findChild(object, "closeDialog")
    assert dialog.import_button.x() < dialog.export_button.x() < close.x()
    dialog.accept()


# Earlier messages


def test_up_and_down_go_through_what_was_said(application, composer):
    talk(
        application,
        (Role.USER, "first"),
        (Role.ASSISTANT, "a"),
        (Role.USER, "two\nlines"),
        (Role.ASSISTANT, "b"),
        (Role.USER, "last"),
        (Role.ASSISTANT, "c"),
    )
    type_(composer, "", KEY.Key_Up)
    assert composer.text() == "last"
    type_(composer, "", KEY.Key_Up)
    assert composer.text() == "two\nlines"
    type_(composer, "", KEY.Key_Left, KEY.Key_Up)  # from its second line to its first
    assert composer.text() == "two\nlines"
    type_(composer, "", KEY.Key_Up, KEY.Key_Up)
    assert composer.text() == "first"
    type_(composer, "", KEY.Key_Down, KEY.Key_Down)
    assert composer.text() == "last"
    type_(composer, "", KEY.Key_Down)
    assert composer.text() == ""


def test_escape_leads_back_and_stops_no_answer(application, window, composer):
    talk(application, (Role.USER, "first"), (Role.ASSISTANT, "a"))
    type_(composer, "", KEY.Key_Up)
    stopped = []
    window.actions_by_name["stop"].setEnabled(True)
    window.actions_by_name["stop"].triggered.connect(lambda: stopped.append(1))
    type_(composer, "", KEY.Key_Escape)
    assert (composer.text(), stopped) == ("", [])
    type_(composer, "", KEY.Key_Escape)
    assert stopped == [1]


def test_what_is_typed_is_never_lost_to_what_was_said(application, composer):
    talk(application, (Role.USER, "first"), (Role.ASSISTANT, "a"))
    drafts = []
    composer.draft_changed.connect(drafts.append)
    type_(composer, "mine", KEY.Key_Up)
    assert composer.text() == "mine"
    composer.set_text("")
    type_(composer, "", KEY.Key_Up)
    composer.flush_draft()
    assert drafts[-1:] in ([], ["mine"])  # what is only looked at is no draft
    type_(composer, "!")
    composer.flush_draft()
    assert drafts[-1] == "first!"
    type_(composer, "", KEY.Key_Up, KEY.Key_Down, KEY.Key_Escape)
    assert composer.text() == "first!"
