"""A message of the user is changed in its place."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QInputMethodEvent, QShortcut
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QWidget

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.messages import Status, user_message
from qwen_desktop.ui.theme import DARK
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, shown_text, user


@pytest.fixture
def edited(timeline):
    """A question whose editor is open."""
    question = user("What is this?\nAnd that?")
    timeline.set_messages([question, answer("Something.")])
    settle()
    timeline.activateWindow()
    click(button(timeline.view_at(0), "Edit message"))
    settle()
    return question


def field(timeline, index=0):
    return timeline.view_at(index).card.editor.field


def test_the_text_is_there_and_has_the_focus(timeline, edited):
    assert field(timeline).toPlainText() == edited.text
    assert QApplication.focusWidget() is field(timeline)
    assert not has_button(timeline, "Edit message")
    assert shown_text(timeline.view_at(0)) == ""
    assert timeline.view_at(1).y() == timeline.view_at(0).height()


def test_enter_sends_and_shift_enter_does_not(timeline, edited, qtbot):
    QTest.keyClick(field(timeline), Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(field(timeline), "More")
    with qtbot.waitSignal(timeline.edit_requested) as caught:
        QTest.keyClick(field(timeline), Qt.Key.Key_Return)
    assert caught.args == [edited.id, "What is this?\nAnd that?\nMore"]


@pytest.mark.parametrize("has_files", [True, False])
def test_only_a_message_with_files_may_lose_its_text(timeline, qtbot, has_files):
    files = (attached("a.txt", "one"),) if has_files else ()
    question = user_message("Sum it up.", None, files)
    timeline.set_messages([question, answer("Something.")])
    settle()
    click(button(timeline.view_at(0), "Edit message"))
    settle()
    field(timeline).clear()
    sent = []
    timeline.edit_requested.connect(lambda *told: sent.append(told))
    assert button(timeline, "Send edited message").isEnabled() is has_files
    QTest.keyClick(field(timeline), Qt.Key.Key_Return)
    assert sent == ([(question.id, "")] if has_files else [])


def test_a_refusal_keeps_the_text(timeline, edited):
    QTest.keyClicks(field(timeline), " Tell me.")
    click(button(timeline, "Send edited message"))
    settle()
    assert field(timeline).toPlainText() == "What is this?\nAnd that? Tell me."
    timeline.set_messages([user("What now?"), answer("", Status.STREAMING)])  # accepted
    settle()
    assert not has_button(timeline, "Send edited message")
    assert shown_text(timeline.view_at(0)) == "What now?"


def test_the_focus_stays_in_the_conversation_when_it_is_accepted(timeline, edited, qtbot):
    beside = QPushButton("New chat")
    qtbot.addWidget(beside)
    beside.setParent(timeline.window())
    beside.show()
    QWidget.setTabOrder(beside, timeline)
    timeline.edit_requested.connect(
        lambda *_: timeline.set_messages([user("What now?"), answer("", Status.STREAMING)])
    )
    QTest.keyClick(field(timeline), Qt.Key.Key_Return)
    settle()
    assert QApplication.focusWidget() is timeline


@pytest.mark.parametrize("how", ["escape", "button"])
def test_it_can_be_left(timeline, edited, how, qtbot):
    height = timeline.view_at(0).height()
    QTest.keyClicks(field(timeline), "x")
    stop = QShortcut(Qt.Key.Key_Escape, timeline)  # as the window has it
    with qtbot.assertNotEmitted(stop.activated), qtbot.assertNotEmitted(timeline.edit_requested):
        if how == "escape":
            QTest.keyClick(field(timeline), Qt.Key.Key_Escape)
        else:
            click(button(timeline, "Cancel editing"))
        settle()
    assert shown_text(timeline.view_at(0)) == edited.text
    assert timeline.view_at(0).height() < height
    assert QApplication.focusWidget() is button(timeline.view_at(0), "Edit message")
    click(button(timeline.view_at(0), "Edit message"))
    assert field(timeline).toPlainText() == edited.text


def test_nothing_is_not_sent(timeline, edited, qtbot):
    field(timeline).setPlainText(" \n")
    assert not button(timeline, "Send edited message").isEnabled()
    with qtbot.assertNotEmitted(timeline.edit_requested):
        QTest.keyClick(field(timeline), Qt.Key.Key_Return)


def test_the_enter_of_an_input_method_does_not_send(timeline, edited, qtbot):
    edit = field(timeline)
    QApplication.sendEvent(edit, QInputMethodEvent("ni", []))
    with qtbot.assertNotEmitted(timeline.edit_requested):
        QTest.keyClick(edit, Qt.Key.Key_Return)
        done = QInputMethodEvent("", [])
        done.setCommitString("你")
        QApplication.sendEvent(edit, done)
        QTest.keyPress(edit, Qt.Key.Key_Return)
        QTest.keyRelease(edit, Qt.Key.Key_Return)
    assert edit.toPlainText().endswith("你")


def test_it_grows_with_its_text(timeline, edited):
    before = timeline.view_at(0).height()
    for _ in range(3):
        QTest.keyClick(field(timeline), Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    settle()
    assert timeline.view_at(0).height() > before + 40
    assert timeline.view_at(1).y() == timeline.view_at(0).geometry().bottom() + 1


def test_its_buttons_stay_in_view(timeline):
    messages = [m for i in range(10) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    timeline.set_messages([*messages, user("last")])
    settle()
    timeline.activateWindow()
    click(button(timeline.view_at(20), "Edit message"))
    for _ in range(12):
        QTest.keyClick(field(timeline, 20), Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    settle()
    send = button(timeline, "Send edited message")
    bottom = send.mapTo(timeline.viewport(), QPoint(0, send.height())).y()
    assert 0 < bottom <= timeline.viewport().height()


def test_what_is_typed_outlives_the_widget(timeline):
    question = user("first")
    rest = [m for i in range(60) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    timeline.set_messages([question, *rest])
    bar = timeline.verticalScrollBar()
    bar.setValue(0)
    settle()
    timeline.activateWindow()
    click(button(timeline.view_at(0), "Edit message"))
    QTest.keyClicks(field(timeline), " and more")
    timeline.setFocus()
    for _ in range(2000):
        if timeline.built_view(0) is None:
            break
        bar.setValue(bar.value() + timeline.viewport().height() // 2)
        QApplication.processEvents()
    assert timeline.built_view(0) is None
    bar.setValue(0)
    settle()
    assert field(timeline).toPlainText() == "first and more"


def test_the_window_can_begin_it(timeline):
    question = user("first")
    rest = [m for i in range(30) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    timeline.set_messages([question, *rest])
    settle()
    timeline.activateWindow()
    timeline.begin_edit(rest[1].id)  # an answer
    timeline.begin_edit("unknown")
    assert not has_button(timeline, "Send edited message")
    timeline.begin_edit(question.id)
    settle()
    assert QApplication.focusWidget() is field(timeline)
    assert field(timeline).mapTo(timeline.viewport(), QPoint(0, 0)).y() >= 0


def test_not_while_an_answer_is_written(timeline):
    question = user("first")
    timeline.set_messages([question, answer("", Status.STREAMING)])
    timeline.begin_edit(question.id)
    assert timeline.view_at(0).card.editor is None


def test_a_click_beside_the_text_goes_into_it(timeline, edited):
    timeline.setFocus()
    editor = timeline.view_at(0).card.editor
    QTest.mouseClick(editor, Qt.MouseButton.LeftButton, pos=QPoint(4, 4))
    assert QApplication.focusWidget() is field(timeline)
    assert timeline.selected_text() == ""


def test_the_theme_reaches_it(timeline, edited):
    timeline.set_theme(DARK)
    settle()
    edit = field(timeline)
    assert edit.palette().text().color().name() == DARK.text
    assert (
        timeline.grab()
        .toImage()
        .pixelColor(edit.mapTo(timeline, QPoint(edit.width() - 5, 2)))
        .name()
        == DARK.background
    )


def test_all_is_copied_of_a_message_being_edited(timeline, edited):
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert timeline.selected_text() == "What is this?\nAnd that?\n\nSomething."
