"""The timeline in the window: what is asked of it reaches the bridge, and what it should show."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.bridge.run import RunKind
from qwen_desktop.chat.messages import (
    AnswerTrace,
    Part,
    PartKind,
    Provenance,
    Status,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui.answer_details import AnswerDetails
from qwen_desktop.ui.overflow_dialog import OverflowDialog
from tests.ui.test_asking import COUNT, press
from tests.ui.test_memory_panel import INFO

CONTROL = Qt.KeyboardModifier.ControlModifier


def said(question_id: str, text: str, status: Status = Status.COMPLETE):
    answer = pending_answer(question_id, "Qwen3-4B")
    return replace(
        answer,
        parts=(Part(PartKind.TEXT, text),),
        status=status,
        provenance=Provenance(family="qwen3", seed=7),
    )


@pytest.fixture
def talk(qtbot, application, window):
    """A stored conversation of two turns is shown: the first answer has two versions, the last
    one was stopped; a model is open, as far as the window knows.
    """
    first = user_message("bees?", None)
    older, newer = said(first.id, "Older."), said(first.id, "Newer.")
    second = user_message("ants?", newer.id)
    made = Conversation(
        title="Bees",
        tree=Tree.of([first, older, newer, second, said(second.id, "Half an", Status.STOPPED)]),
    )
    application.store.submit(lambda store: store.create(made))
    application.chats.open(made.id)
    qtbot.waitUntil(lambda: application.chats.current.id == made.id)
    application.models._set(ModelState(Phase.READY, info=INFO))
    return made


def texts(window) -> list[str]:
    return [message.text for message in window.timeline.messages()]


def run_of(application):
    return application.chats._answering.run


def test_another_version_shows_what_followed_it(qtbot, application, window, talk):
    newer = talk.tree.path()[1]
    assert texts(window) == ["bees?", "Newer.", "ants?", "Half an"]
    window.timeline.version_requested.emit(newer.id, -1)
    assert texts(window) == ["bees?", "Older."]
    assert application.chats.current.tree.head == application.chats.current.tree.path()[-1].id
    older = application.chats.current.tree.path()[1]
    window.timeline.version_requested.emit(older.id, 1)
    assert texts(window) == ["bees?", "Newer.", "ants?", "Half an"]


def test_a_key_answers_again_as_a_new_version(application, window, talk):
    last = talk.tree.path()[-1]
    QTest.keyClick(window.composer.edit, Qt.Key.Key_R, CONTROL)
    run = run_of(application)
    assert run.kind is RunKind.RETRY
    assert run.answer.parent_id == last.parent_id
    assert texts(window) == ["bees?", "Newer.", "ants?", ""]
    assert not window.actions_by_name["regenerate"].isEnabled()
    assert not window.actions_by_name["edit"].isEnabled()


def test_a_key_edits_the_last_message_and_sends_it_as_a_branch(qtbot, application, window, talk):
    question = talk.tree.path()[2]
    QTest.keyClick(window.composer.edit, Qt.Key.Key_E, CONTROL)
    field = window.focusWidget()
    assert field.toPlainText() == "ants?"
    field.selectAll()
    QTest.keyClicks(field, "wasps?")
    QTest.keyClick(field, Qt.Key.Key_Return)
    run = run_of(application)
    assert run.kind is RunKind.EDIT
    assert texts(window) == ["bees?", "Newer.", "wasps?", ""]
    assert application.chats.current.tree.messages[question.id].text == "ants?"


@pytest.mark.parametrize(("with_penalty", "penalty"), [(False, None), (True, 1.5)])
def test_a_cut_answer_goes_on(application, window, talk, with_penalty, penalty):
    last = talk.tree.path()[-1]
    window.timeline.resume_requested.emit(last.id, with_penalty)
    run = run_of(application)
    assert run.kind is RunKind.RESUME
    assert run.answer.id == last.id
    assert run.request.settings.presence_penalty == penalty


def test_a_message_is_pinned(application, window, talk):
    first = talk.tree.path()[0]
    window.timeline.pin_requested.emit(first.id, True)
    assert application.chats.current.tree.messages[first.id].pinned
    assert window.timeline.messages()[0].pinned


def test_the_details_of_an_answer_bring_its_trace(qtbot, application, window, talk):
    last = talk.tree.path()[-1]
    window.timeline.provenance_requested.emit(last.id)
    dialog = window.findChild(AnswerDetails)
    assert dialog.isVisible()
    with qtbot.waitSignal(application.chats.trace_read):
        pass
    application.chats.trace_read.emit("another", AnswerTrace(prompt_ids=(1, 2, 3)))  # not its own
    application.chats.trace_read.emit(last.id, AnswerTrace(prompt_ids=(41, 42)))
    assert json.loads(dialog.as_json())["prompt_ids"] == [41, 42]
    dialog.reject()
    application.chats.trace_read.emit(last.id, AnswerTrace())  # nobody looks any more
    qtbot.waitUntil(lambda: window.findChild(AnswerDetails) is None)


def test_where_seeing_begins_again_is_told(application, window, talk):
    unseen = tuple(message.id for message in talk.tree.path()[:2])
    application.chats.unseen_changed.emit(unseen)
    labels = [label.text() for label in window.timeline.findChildren(QLabel) if label.isVisible()]
    assert "The model no longer sees the 2 messages above." in labels
    application.chats.unseen_changed.emit(())
    labels = [label.text() for label in window.timeline.findChildren(QLabel) if label.isVisible()]
    assert not any("no longer sees" in label for label in labels)


def test_without_a_model_nothing_can_be_asked(application, window, talk):
    assert window.actions_by_name["regenerate"].isEnabled()
    application.models._set(ModelState())
    assert not window.actions_by_name["regenerate"].isEnabled()
    assert not window.actions_by_name["edit"].isEnabled()


def test_a_full_context_at_an_edit_can_be_tried_again(application, window, talk):
    question = talk.tree.path()[2]
    window.timeline.edit_requested.emit(question.id, "a very long one")
    application.engine.overflowed.emit(run_of(application).id, COUNT)
    dialog = window.findChild(OverflowDialog)
    assert window.composer.text() == "a very long one"  # nothing is lost
    press(dialog, "keepFirst")
    run = run_of(application)
    assert run.kind is RunKind.EDIT
    assert run.request.messages[-1].text == "a very long one"
    assert window.composer.text() == ""


@pytest.mark.parametrize("choice", ["keepFirst", "overflowNew"])
def test_an_edited_message_that_is_sent_on_leaves_the_draft_below_it(
    qtbot, application, window, talk, choice
):
    window.composer.set_text("later")
    window.timeline.edit_requested.emit(talk.tree.path()[2].id, "a very long one")
    application.engine.overflowed.emit(run_of(application).id, COUNT)
    assert window.composer.text() == "a very long one\nlater"
    press(window.findChild(OverflowDialog), choice)
    if choice == "overflowNew":
        assert window.composer.text() == "a very long one"
        application.chats.open(talk.id)
    qtbot.waitUntil(lambda: window.composer.text() == "later")


def test_shift_tab_goes_from_the_message_field_to_what_stands_above_it(window, talk):
    window.composer.edit.setFocus()
    QTest.keyClick(window.composer.edit, Qt.Key.Key_Backtab)
    focused = QApplication.focusWidget()
    assert focused.accessibleName() == "More actions"
    assert window.timeline.view_at(3).isAncestorOf(focused)
    QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is window.composer.edit


def test_a_full_context_at_a_new_answer_can_be_tried_again(application, window, talk):
    window.pane.regenerate()
    application.engine.overflowed.emit(run_of(application).id, COUNT)
    press(window.findChild(OverflowDialog), "dropOldest")
    assert run_of(application).kind is RunKind.RETRY
