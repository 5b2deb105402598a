"""‹ 2/3 ›: which version is shown, and the way to the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.chat.tree import Tree
from qwen_desktop.ui.timeline.versions import VersionSwitch
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, user

PREVIOUS, NEXT = "Previous version", "Next version"


def numbers(view) -> str:
    (switch,) = [s for s in view.findChildren(VersionSwitch) if s.isVisible()]
    return switch.text


class Talk:
    """A tree that is read as the window reads it: every step shows another path."""

    def __init__(self, timeline, tree: Tree) -> None:
        self.timeline, self.tree = timeline, tree
        timeline.version_requested.connect(self.step)
        self.show()

    def show(self) -> None:
        path = self.tree.path()
        self.timeline.set_messages(path, self.tree.version_positions(path))

    def step(self, message_id: str, step: int) -> None:
        beside = self.tree.versions(message_id)
        chosen = beside[beside.index(message_id) + step]
        self.tree = self.tree.with_head(self.tree.newest_leaf(chosen))
        self.show()


def under(parent: Message | None, message: Message) -> Message:
    return replace(message, parent_id=parent.id if parent else None)


@pytest.fixture
def talk(timeline):
    """A question with three answers, the last of which leads on to more than a screen."""
    question = user("q")
    answers = [under(question, answer(f"answer {i}")) for i in range(3)]
    more, parent = [], answers[2]
    for i in range(20):
        role = user(f"more {i}") if i % 2 == 0 else answer("Some words.\n\n" * 5)
        parent = under(parent, role)
        more.append(parent)
    return Talk(timeline, Tree.of([question, *answers, *more]))


def test_numbers_stand_where_there_are_versions(timeline):
    question, said = user("q"), answer("text")
    timeline.set_messages([question, said, user("r")], {question.id: (2, 3), said.id: (1, 2)})
    assert numbers(timeline.view_at(0)) == "2/3"
    assert numbers(timeline.view_at(1)) == "1/2"
    assert not has_button(timeline.view_at(2), NEXT)
    timeline.set_messages([question, said, user("r")])
    assert not has_button(timeline.view_at(0), NEXT)
    assert not has_button(timeline.view_at(1), NEXT)


def test_the_ends_are_known(timeline, qtbot):
    first, last = user("q"), answer("text")
    timeline.set_messages([first, last], {first.id: (1, 2), last.id: (2, 2)})
    assert not button(timeline.view_at(0), PREVIOUS).isEnabled()
    assert not button(timeline.view_at(1), NEXT).isEnabled()
    with qtbot.waitSignal(timeline.version_requested) as caught:
        click(button(timeline.view_at(0), NEXT))
    assert caught.args == [first.id, 1]
    with qtbot.waitSignal(timeline.version_requested) as caught:
        click(button(timeline.view_at(1), PREVIOUS))
    assert caught.args == [last.id, -1]
    assert button(timeline.view_at(1), PREVIOUS).accessibleDescription() == "Version 2 of 2"


def test_not_while_an_answer_is_written(timeline):
    question, said = user("q"), answer("", Status.STREAMING)
    timeline.set_messages([question, said], {question.id: (2, 3), said.id: (2, 2)})
    assert not button(timeline.view_at(0), PREVIOUS).isEnabled()
    assert not has_button(timeline.view_at(1), PREVIOUS)
    timeline.change(replace(said, status=Status.COMPLETE))
    assert button(timeline.view_at(0), PREVIOUS).isEnabled()
    assert numbers(timeline.view_at(1)) == "2/2"


def test_the_reader_stays_where_the_version_is(timeline, talk):
    timeline.verticalScrollBar().setValue(0)
    settle()
    y = timeline.view_at(1).y()
    for name, text in ((PREVIOUS, "answer 1"), (PREVIOUS, "answer 0"), (NEXT, "answer 1")):
        click(button(timeline.view_at(1), name))
        settle()
        assert timeline.messages()[1].text == text
        assert timeline.view_at(1).y() == y
    click(button(timeline.view_at(1), NEXT))
    settle()
    assert len(timeline.messages()) == 22
    assert timeline.view_at(1).y() == y
    assert timeline.verticalScrollBar().value() == 0


def test_the_reader_stays_at_the_end_too(timeline):
    above = [m for i in range(20) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    parent, messages = None, []
    for message in above:
        parent = under(parent, message)
        messages.append(parent)
    last = [under(parent, user("once")), under(parent, user("twice"))]
    talk = Talk(timeline, Tree.of([*messages, *last]))
    settle()
    y = timeline.view_at(40).y()
    click(button(timeline.view_at(40), PREVIOUS))
    settle()
    assert talk.tree.head == last[0].id
    assert timeline.messages()[40].text == "once"
    assert timeline.view_at(40).y() == y


def test_the_keyboard_steps_on(timeline, talk):
    timeline.verticalScrollBar().setValue(0)
    settle()
    timeline.activateWindow()
    button(timeline.view_at(1), PREVIOUS).setFocus(Qt.FocusReason.TabFocusReason)
    for text, focus in (("answer 1", PREVIOUS), ("answer 0", NEXT), ("answer 1", NEXT)):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
        settle()
        assert timeline.messages()[1].text == text
        assert QApplication.focusWidget() is button(timeline.view_at(1), focus)


def test_a_refused_step_leaves_everything(timeline):
    messages = [m for i in range(20) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    timeline.set_messages(messages, {messages[20].id: (1, 2)})
    timeline.verticalScrollBar().setValue(timeline._heights.top(20) - 50)
    settle()
    y = timeline.view_at(20).y()
    click(button(timeline.view_at(20), NEXT))
    assert timeline.view_at(20).y() == y
    timeline.set_messages([user("another"), answer("Some words.\n\n" * 99)])
    bar = timeline.verticalScrollBar()
    assert bar.value() == bar.maximum()


def test_the_same_messages_again_do_not_scroll(timeline):
    messages = [m for i in range(20) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    timeline.set_messages(messages)
    bar = timeline.verticalScrollBar()
    bar.setValue(300)
    settle()
    place = timeline.place_at(QPoint(100, 200))
    y = timeline.view_at(place.message).y()
    timeline.set_messages(messages, {messages[-1].id: (1, 2)})
    settle()
    assert timeline.view_at(place.message).y() == y


def test_many_versions_are_counted_as_the_language_does(timeline):
    said = answer("text")
    timeline.set_messages([user("q"), said], {said.id: (1234, 1234)})
    assert numbers(timeline.view_at(1)) == "1,234/1,234"
    assert timeline.messages()[1].role is Role.ASSISTANT
