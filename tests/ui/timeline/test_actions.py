"""What can be done with a message: by button, menu and key, and when it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QWidget,
)

from qwen_desktop.chat.messages import Provenance, Status
from qwen_desktop.ui.timeline.cards import Card
from qwen_desktop.ui.timeline.footer import Footer
from qwen_desktop.ui.timeline.view import Timeline
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, user

CUT = [Status.STOPPED, Status.INTERRUPTED, Status.LENGTH, Status.FAILED, Status.LOOPING]


def cards(view) -> list[str]:
    return [card.text for card in view.findChildren(Card) if card.isVisible()]


def entries(timeline, index: int) -> dict[str, bool]:
    """The entries of the menu over a message, and whether each can be chosen."""
    point = timeline.view_at(index).geometry().center()
    actions = timeline.context_menu(point).actions()
    return {action.text(): action.isEnabled() for action in actions if action.text()}


def choose(timeline, index: int, text: str) -> None:
    point = timeline.view_at(index).geometry().center()
    actions = timeline.context_menu(point).actions()
    next(action for action in actions if action.text() == text).trigger()


@pytest.mark.parametrize("status", CUT)
def test_a_cut_answer_at_the_end_goes_on(timeline, qtbot, status):
    message = answer("part", status, error="No.")
    timeline.set_messages([user("q"), message])
    with qtbot.waitSignal(timeline.resume_requested) as caught:
        click(button(timeline.view_at(1), "Continue"))
    assert caught.args == [message.id, False]
    timeline.add(user("more"))
    settle()
    assert not has_button(timeline.view_at(1), "Continue")
    assert has_button(timeline.view_at(1), "Retry")


@pytest.mark.parametrize(
    "message",
    [
        answer("text"),
        answer("text", Status.CONTEXT_FULL),
        answer("", Status.FAILED, error="No."),
        answer("", Status.STOPPED),
    ],
)
def test_others_do_not(timeline, message):
    timeline.set_messages([user("q"), message])
    assert not has_button(timeline.view_at(1), "Continue")
    assert "Continue" not in entries(timeline, 1)
    assert has_button(timeline.view_at(1), "Retry")


def test_thoughts_alone_go_on_too(timeline):
    timeline.set_messages([user("q"), answer("", Status.STOPPED, reasoning="Well")])
    assert has_button(timeline.view_at(1), "Continue")


def test_a_loop_is_explained_and_can_go_on_otherwise(timeline, qtbot):
    message = answer("again again", Status.LOOPING)
    timeline.set_messages([user("q"), message])
    view = timeline.view_at(1)
    assert cards(view) == ["The answer began to repeat itself word for word, so it was stopped."]
    with qtbot.waitSignal(timeline.resume_requested) as caught:
        click(button(view, "Continue with presence penalty"))
    assert caught.args == [message.id, True]


def test_a_full_context_says_what_can_be_done(timeline, qtbot):
    timeline.set_messages([user("q"), answer("text", Status.CONTEXT_FULL, answer_tokens=5)])
    view = timeline.view_at(1)
    (sentence,) = cards(view)
    assert sentence.startswith("The context is full")
    assert next(iter(view.findChildren(Footer))).status == "5 tokens"  # not said twice
    with qtbot.waitSignal(timeline.policy_requested):
        click(button(view, "Context of this chat"))
    timeline.add(user("more"))
    settle()
    assert cards(view) == []


def test_a_message_is_pinned_and_shows_it(timeline, qtbot):
    question, said = user("q"), answer("text")
    timeline.set_messages([question, said])
    for index, message in enumerate((question, said)):
        view = timeline.view_at(index)
        with qtbot.waitSignal(timeline.pin_requested) as caught:
            click(button(view, "Pin message"))
        assert caught.args == [message.id, True]
        timeline.change(replace(message, pinned=True))
        settle()
        marks = [label for label in view.findChildren(QLabel) if label.text() == "Pinned"]
        assert [mark.isVisible() for mark in marks] == [True]
        with qtbot.waitSignal(timeline.pin_requested) as caught:
            click(button(view, "Unpin message"))
        assert caught.args == [message.id, False]
        timeline.change(message)
        settle()
        assert not marks[0].isVisible()


def test_details_are_offered_where_something_is_known(timeline, qtbot):
    known = replace(answer("text"), provenance=Provenance(seed=3))
    timeline.set_messages([user("q"), answer("old"), user("r"), known])
    assert not has_button(timeline.view_at(1), "Answer details")
    with qtbot.waitSignal(timeline.provenance_requested) as caught:
        click(button(timeline.view_at(3), "Answer details"))
    assert caught.args == [known.id]


def test_while_an_answer_is_written_nothing_is_asked_for(timeline):
    written = answer("tex", Status.STREAMING)
    timeline.set_messages([user("q"), answer("one"), user("r"), written])
    retry = button(timeline.view_at(1), "Retry")
    edit = button(timeline.view_at(0), "Edit message")
    copy = button(timeline.view_at(1), "Copy message")
    assert (retry.isEnabled(), edit.isEnabled(), copy.isEnabled()) == (False, False, True)
    assert not entries(timeline, 1)["Retry"]
    timeline.change(replace(written, status=Status.COMPLETE))
    assert retry.isEnabled()
    assert edit.isEnabled()
    timeline.add(answer("", Status.STREAMING))
    assert not retry.isEnabled()
    timeline.set_messages([user("another")])
    assert button(timeline.view_at(0), "Edit message").isEnabled()


def test_without_a_free_model_nothing_is_asked_for(timeline):
    timeline.set_messages([user("q"), answer("text", Status.FAILED, error="No.")])
    timeline.set_can_answer(False)
    view = timeline.view_at(1)
    assert not button(view, "Retry").isEnabled()
    assert not button(view, "Continue").isEnabled()
    assert button(view, "Error details").isEnabled()
    timeline.add(answer("another"))
    assert not button(timeline.view_at(2), "Retry").isEnabled()
    timeline.set_can_answer(True)
    assert button(view, "Retry").isEnabled()


def test_the_menu_offers_the_same(timeline, qtbot):
    question, message = user("q"), answer("text", Status.LOOPING, answer_tokens=3)
    timeline.set_messages([question, message], {question.id: (1, 2)})
    settle()
    asked = entries(timeline, 0)
    assert {"Edit message", "Pin message", "Copy message"} <= set(asked)
    assert (asked["Previous version"], asked["Next version"]) == (False, True)
    said = entries(timeline, 1)
    assert set(said) >= {
        "Continue",
        "Continue with presence penalty",
        "Retry",
        "Copy message",
        "Pin message",
        "Answer details",
    }
    assert "Next version" not in said
    for text, signal, args in (
        ("Retry", timeline.retry_requested, [message.id]),
        ("Continue with presence penalty", timeline.resume_requested, [message.id, True]),
        ("Pin message", timeline.pin_requested, [message.id, True]),
        ("Answer details", timeline.provenance_requested, [message.id]),
    ):
        with qtbot.waitSignal(signal) as caught:
            choose(timeline, 1, text)
        assert caught.args == args
    with qtbot.waitSignal(timeline.version_requested) as caught:
        choose(timeline, 0, "Next version")
    assert caught.args == [question.id, 1]
    choose(timeline, 1, "Copy message")
    assert QGuiApplication.clipboard().text() == "text"


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Space])
def test_the_keyboard_presses_and_the_focus_is_not_lost(timeline, qtbot, key):
    """A retry takes the answer away whose button was pressed."""
    question, message = user("q"), answer("text")
    timeline.set_messages([question, message])
    settle()
    timeline.activateWindow()
    retry = button(timeline.view_at(1), "Retry")
    retry.setFocus(Qt.FocusReason.TabFocusReason)
    timeline.retry_requested.connect(
        lambda _: timeline.set_messages([question, answer("", Status.STREAMING)])
    )
    QTest.keyClick(retry, key)
    settle()
    assert QApplication.focusWidget() is timeline
    assert len(timeline.messages()) == 2


def test_an_answer_goes_on_while_its_button_has_the_focus(timeline):
    message = answer("part", Status.STOPPED)
    timeline.set_messages([user("q"), answer("one"), user("r"), message])
    settle()
    timeline.activateWindow()
    timeline.resume_requested.connect(
        lambda *_: timeline.change(replace(message, status=Status.STREAMING))
    )
    resume = button(timeline.view_at(3), "Continue")
    resume.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(resume, Qt.Key.Key_Return)
    settle()
    assert QApplication.focusWidget() is timeline


def test_a_button_that_is_switched_off_leaves_the_focus_to_the_pane(timeline):
    timeline.set_messages([user("q"), answer("one")])
    settle()
    timeline.activateWindow()
    timeline.retry_requested.connect(lambda _: timeline.set_can_answer(False))
    retry = button(timeline.view_at(1), "Retry")
    retry.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(retry, Qt.Key.Key_Return)
    assert QApplication.focusWidget() is timeline


def test_messages_go_while_one_has_the_focus(qtbot, looks):
    """The focus stays with the pane rather than to go on to what happens to be next."""
    window = QWidget()
    row = QHBoxLayout(window)
    timeline, beside = Timeline(), QLineEdit()
    row.addWidget(timeline)
    row.addWidget(beside)
    qtbot.addWidget(window)
    window.resize(828, 600)
    window.show()
    messages = [user("q"), answer("text"), user("r"), answer("more"), user("s")]
    timeline.set_messages(messages)
    settle()
    window.activateWindow()
    button(timeline.view_at(1), "Pin message").setFocus(Qt.FocusReason.TabFocusReason)
    timeline.set_messages([messages[0], messages[2], messages[4]])
    settle()
    assert QApplication.focusWidget() is timeline


def test_hover_and_focus_move_nothing(timeline):
    timeline.set_messages([user("q"), answer("text", answer_tokens=3), user("r"), answer("t")])
    settle()
    before = [timeline.view_at(i).geometry() for i in range(4)]
    places = [b.geometry() for b in timeline.findChildren(QAbstractButton)]
    for index in range(4):
        QTest.mouseMove(timeline.view_at(index), QPoint(60, 30))
        settle()
    button(timeline.view_at(1), "Retry").setFocus(Qt.FocusReason.TabFocusReason)
    settle()
    assert [timeline.view_at(i).geometry() for i in range(4)] == before
    assert [b.geometry() for b in timeline.findChildren(QAbstractButton)] == places


@pytest.mark.parametrize("width", [240, 360, 480, 828])
@pytest.mark.parametrize("status", [Status.STOPPED, Status.LOOPING, Status.FAILED])
def test_everything_fits_in_a_narrow_pane(timeline, width, status):
    message = answer("text", status, error="many words " * 12, answer_tokens=3)
    timeline.resize(width, 900)
    timeline.set_messages([user("q"), message], {message.id: (2, 3)})
    settle()
    view = timeline.view_at(1)
    controls = [b for b in view.findChildren(QAbstractButton) if b.isVisible()]
    rects = [b.rect().translated(b.mapTo(view, QPoint(0, 0))) for b in controls]
    for number, rect in enumerate(rects):
        assert view.rect().contains(rect), controls[number].accessibleName()
        assert not any(rect.intersects(other) for other in rects[:number])


def test_numbers_in_full_are_in_the_tooltip(timeline):
    message = replace(
        answer(
            "text",
            prompt_tokens=1000,
            reused_tokens=900,
            reasoning_tokens=20,
            answer_tokens=31,
            first_token_seconds=0.25,
            prefill_seconds=0.5,
            decode_seconds=2.0,
        ),
        provenance=Provenance(peak_bytes=3 * 2**30),
    )
    timeline.set_messages([user("q"), message])
    (label,) = [
        child for child in timeline.view_at(1).findChildren(QLabel) if "tok/s" in child.text()
    ]
    assert label.toolTip().split("\n") == [
        "Prompt: 1,000 tokens",
        "Reused from the cache: 900 tokens",
        "Read anew: 100 tokens",
        "Thinking: 20 tokens",
        "Answer: 31 tokens",
        "Time to first token: 0.25 s",
        "Reading speed: 200.0 tok/s",
        "Writing speed: 25.0 tok/s",
        "Peak memory: 3.0 GiB",
    ]
