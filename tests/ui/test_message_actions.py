"""What is done with single messages, from their menus in the real window to the disk."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from qwen_desktop.bridge.run import RunKind
from tests.ui.test_conversation_pane import run_of, talk, texts  # noqa: F401
from tests.ui.timeline.conftest import Mouse, answer, button, click, point_of, settle, user

CONTROL = Qt.KeyboardModifier.ControlModifier
# popup() of the offscreen platform
pytestmark = pytest.mark.qt_log_ignore("does not support")


def choose(window, index: int, text: str) -> None:
    """Click an entry of the menu that the button of a message opens."""
    timeline = window.timeline
    click(button(timeline.view_at(index), "More actions"))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    (action,) = [action for action in menu.actions() if action.text() == text]
    assert action.isEnabled()
    action.trigger()
    menu.close()
    window.activateWindow()


def stored(qtbot, application, conversation_id):
    found = []
    application.store.submit(lambda store: store.load(conversation_id), found.append)
    qtbot.waitUntil(lambda: bool(found))
    return found[0]


def test_the_notice_of_a_branch_goes_when_another_chat_is_shown(
    qtbot,
    application,
    window,
    talk,  # noqa: F811
):
    window.pane._branch(talk.tree.path()[0].id)
    assert window.toast.isVisible()
    window.open_conversation(talk.id)
    qtbot.waitUntil(lambda: application.chats.current.id == talk.id)
    assert not window.toast.isVisible()


def test_a_branch_is_a_chat_of_its_own(qtbot, application, window, talk):  # noqa: F811
    choose(window, 1, "Branch into a new chat")
    assert texts(window) == ["bees?", "Newer."]
    branch = application.chats.current
    assert branch.title == "Bees (branch)"
    assert window.toast.label.text() == "Now in “Bees (branch)”"
    assert stored(qtbot, application, branch.id).tree == branch.tree
    assert window.toast.isVisible()
    click(window.toast.undo_button)
    qtbot.waitUntil(lambda: application.chats.current.id == talk.id)
    assert texts(window) == ["bees?", "Newer.", "ants?", "Half an"]


def test_deleted_messages_come_back_by_the_notice(qtbot, application, window, talk):  # noqa: F811
    choose(window, 2, "Delete message and all below it")
    assert texts(window) == ["bees?", "Newer."]
    assert window.toast.label.text() == "2 messages deleted"
    assert len(stored(qtbot, application, talk.id).tree.messages) == 3
    click(window.toast.undo_button)
    assert texts(window) == ["bees?", "Newer.", "ants?", "Half an"]
    assert stored(qtbot, application, talk.id).tree == talk.tree


def test_a_key_takes_the_deletion_back(qtbot, application, window, talk):  # noqa: F811
    choose(window, 3, "Delete message")
    assert texts(window)[-1] == "ants?"
    window.timeline.setFocus()
    QTest.keyClick(window.timeline, Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert texts(window)[-1] == "Half an"


def test_the_key_takes_it_back_from_the_message_field_unless_words_come_back_there(
    qtbot,
    application,
    window,
    talk,  # noqa: F811
):
    choose(window, 3, "Delete message")
    edit, keys = window.composer.edit, Qt.KeyboardModifier.ControlModifier
    edit.setFocus()
    QTest.keyClicks(edit, "word")
    QTest.keyClick(edit, Qt.Key.Key_Z, keys)
    assert window.composer.text() == ""
    QTest.keyClick(edit, Qt.Key.Key_Z, keys | Qt.KeyboardModifier.ShiftModifier)
    assert window.composer.text() == "word"
    assert texts(window)[-1] == "ants?"
    QTest.keyClick(edit, Qt.Key.Key_Z, keys | Qt.KeyboardModifier.ShiftModifier)
    assert window.composer.text() == "word"
    assert texts(window)[-1] == "Half an"


def test_several_deletions_come_back_in_order_after_their_notices_are_gone(
    qtbot,
    application,
    window,
    talk,  # noqa: F811
):
    key = window.actions_by_name["undo_delete"]
    assert not key.isEnabled()
    choose(window, 3, "Delete message")
    choose(window, 2, "Delete message")
    window.toast.dismiss()
    assert texts(window) == ["bees?", "Newer."]
    left = stored(qtbot, application, talk.id).tree.messages
    assert len(left) == 3
    timeline = window.timeline
    assert "Undo delete" in [one.text() for one in timeline.context_menu(QPoint(9, 9)).actions()]
    timeline.setFocus()
    QTest.keyClick(timeline, Qt.Key.Key_Z, CONTROL)
    assert texts(window) == ["bees?", "Newer.", "ants?"]
    assert key.isEnabled()
    key.trigger()
    assert texts(window) == ["bees?", "Newer.", "ants?", "Half an"]
    assert not key.isEnabled()
    assert "Undo delete" not in [
        one.text() for one in timeline.context_menu(QPoint(9, 9)).actions()
    ]
    QTest.keyClick(timeline, Qt.Key.Key_Z, CONTROL)
    assert stored(qtbot, application, talk.id).tree == talk.tree


def test_what_the_notice_took_back_is_not_taken_back_again(window, talk):  # noqa: F811
    choose(window, 3, "Delete message")
    choose(window, 2, "Delete message")
    click(window.toast.undo_button)
    assert texts(window)[-1] == "ants?"
    window.actions_by_name["undo_delete"].trigger()
    assert texts(window)[-1] == "Half an"
    assert not window.actions_by_name["undo_delete"].isEnabled()


def test_what_was_deleted_is_gone_for_good_once_another_chat_is_shown(
    qtbot,
    application,
    window,
    talk,  # noqa: F811
):
    choose(window, 3, "Delete message")
    window.toast.dismiss()
    application.chats.new()
    qtbot.waitUntil(lambda: application.chats.current.id != talk.id)
    assert not window.actions_by_name["undo_delete"].isEnabled()
    window.open_conversation(talk.id)
    qtbot.waitUntil(lambda: application.chats.current.id == talk.id)
    window.undoing.undo()
    assert texts(window)[-1] == "ants?"
    assert not window.undoing.possible
    window.close()
    application.close()
    files = [file for file in application.options.profile.root.rglob("*") if file.is_file()]
    kept = b"".join(file.read_bytes() for file in files)
    assert b"ants?" in kept
    assert b"Half an" not in kept


def test_the_first_message_takes_all_along(qtbot, application, window, talk):  # noqa: F811
    choose(window, 0, "Delete message and all below it")
    assert window.body.currentWidget() is window.empty
    assert application.chats.current.id == talk.id
    window.toast.undo()
    assert window.body.currentWidget() is window.timeline


def test_a_question_without_answer_is_answered(application, window, talk):  # noqa: F811
    choose(window, 3, "Delete message")
    choose(window, 2, "Answer this message")
    run = run_of(application)
    assert (run.kind, run.question.text) == (RunKind.RETRY, "ants?")


def test_by_its_key_too(application, window, talk):  # noqa: F811
    choose(window, 3, "Delete message")
    QTest.keyClick(window.composer.edit, Qt.Key.Key_R, CONTROL)
    assert run_of(application).question.text == "ants?"


def test_the_prompt_is_shown_at_once(qtbot, application, window, talk):  # noqa: F811
    last = talk.tree.path()[-1]
    choose(window, 3, "Show prompt")
    dialog = window.inspection.open[last.id]
    assert dialog.isVisible()
    choose(window, 3, "Show prompt")
    assert window.inspection.open == {last.id: dialog}
    dialog.reject()
    assert not window.inspection.open


def test_a_message_is_copied_as_it_reads_or_as_it_was_written(window, talk):  # noqa: F811
    text = "A **word**.\n\n- one\n- two"
    window.timeline.set_messages([user("q"), answer(text, reasoning="secret *thought*")])
    settle()
    click(button(window.timeline.view_at(1), "Thought"))
    for entry, copied in (
        ("Copy message", text),
        ("Copy message as plain text", "A word.\n\n- one\n- two"),
    ):
        choose(window, 1, entry)
        assert QGuiApplication.clipboard().text() == copied


def test_reasoning_is_copied_only_where_it_was_selected(window, talk):  # noqa: F811
    timeline = window.timeline
    timeline.set_messages([user("ask"), answer("Said.", reasoning="Thought *hard*."), user("x")])
    settle()
    click(button(timeline.view_at(1), "Thought"))
    settle()
    timeline.setFocus()
    QTest.keyClick(timeline, Qt.Key.Key_A, CONTROL)
    assert timeline.selected_text() == "ask\n\nSaid.\n\nx"
    mouse = Mouse(timeline)
    mouse.drag(point_of(timeline, 0, 0, 0), point_of(timeline, 1, 1, 4))
    assert timeline.selected_text() == "ask\n\nSaid"
    assert not next(iter(timeline.view_at(1).leaves())).extraSelections()
    mouse.drag(point_of(timeline, 1, 0, 8), point_of(timeline, 1, 1, 4))
    assert timeline.selected_text() == "hard.\n\nSaid"


def test_while_an_answer_is_written_nothing_is_deleted(application, window, talk):  # noqa: F811
    last = talk.tree.path()[-1]
    window.timeline.resume_requested.emit(last.id, False)
    click(button(window.timeline.view_at(0), "More actions"))
    menu = QApplication.activePopupWidget()
    enabled = {action.text(): action.isEnabled() for action in menu.actions()}
    menu.close()
    assert not enabled["Delete message and all below it"]
    assert enabled["Branch into a new chat"]


def test_one_reads_on_in_each_chat_also_after_a_restart(qtbot, application, window):
    from tests.ui.test_find_bar import talk as talk_of

    both = [talk_of(*(f"line {n}\n" * 30 for n in range(20))) for _ in range(2)]
    for one in both:
        application.store.submit(lambda store, one=one: store.create(one))

    def show(one):
        application.chats.open(one.id)
        qtbot.waitUntil(lambda: application.chats.current.id == one.id)

    show(both[0])
    bar = window.timeline.verticalScrollBar()
    bar.setValue(1500)
    place = window.timeline.place_read()
    show(both[1])
    assert bar.value() == bar.maximum()
    show(both[0])
    assert window.timeline.place_read() == place
    window.close()
    application.close()
    kept = application.remembered._state_file.load()
    (known,) = kept.places
    assert (known.conversation_id, known.message_id, known.above) == (both[0].id, *place)
