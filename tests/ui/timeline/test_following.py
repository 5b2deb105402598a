"""Following the end, leaving it, coming back; going through messages by keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QCursor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from qwen_desktop.chat.messages import PartKind, Status
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, user
from tests.ui.timeline.test_geometry import LONG, conversation

CONTROL = Qt.KeyboardModifier.ControlModifier
NO = Qt.KeyboardModifier.NoModifier
# popup() of the offscreen platform
pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def written(timeline):
    """A long conversation whose last answer is being written, followed."""
    message = answer("Some words.\n\n" * 20, Status.STREAMING)
    timeline.set_messages([*conversation(10), user("q"), message])
    settle()
    return message


def wheel(timeline, pixels: int) -> None:
    """The wheel was turned by about so many px; up is more than 0."""
    event = QWheelEvent(
        QPointF(100, 100),
        QPointF(timeline.mapToGlobal(QPoint(100, 100))),
        QPoint(),
        QPoint(0, -(-pixels * 120 // 72)),  # 120 are three lines of 24 px
        Qt.MouseButton.NoButton,
        NO,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(timeline.viewport(), event)


def grow(timeline, message, text="More words.\n\n"):
    message = message.appended(PartKind.TEXT, text)
    timeline.change(message)
    return message


def test_the_first_pixel_up_ends_the_following(timeline, written):
    bar = timeline.verticalScrollBar()
    wheel(timeline, 1)
    place = bar.value()
    assert bar.maximum() - 4 < place < bar.maximum()
    for _ in range(10):
        written = grow(timeline, written)
    assert bar.value() == place
    assert bar.maximum() > place + 100
    QTest.keyClick(timeline, Qt.Key.Key_End)
    grow(timeline, written)
    assert bar.value() == bar.maximum()


def test_the_button_says_what_came_meanwhile(timeline, written):
    wheel(timeline, 200)
    jump = button(timeline, "Jump to latest")
    assert jump.text() == "Jump to latest"
    written = grow(timeline, written)
    assert jump.text() == "Jump to latest · new text"
    assert jump.accessibleDescription() == "new text"
    timeline.change(replace(written, status=Status.COMPLETE))
    assert "1 new message" in jump.text()
    timeline.add(answer("another"))
    assert "2 new messages" in jump.text()
    assert jump.width() >= jump.sizeHint().width()
    click(jump)
    assert not has_button(timeline, "Jump to latest")
    wheel(timeline, 300)
    assert button(timeline, "Jump to latest").text() == "Jump to latest"


def test_what_is_asked_is_followed_again(timeline, written):
    timeline.change(replace(written, status=Status.COMPLETE))
    wheel(timeline, 500)
    timeline.add(user("next"))
    assert timeline.verticalScrollBar().value() == timeline.verticalScrollBar().maximum()


def test_one_reads_on_where_one_was(timeline):
    first, other = conversation(60), conversation(8)
    timeline.set_messages(first)
    settle()
    assert timeline.place_read() is None  # at the end
    timeline.verticalScrollBar().setValue(2345)
    settle()
    place = timeline.place_read()
    y = timeline.view_at(timeline._index[place[0]]).y()
    timeline.set_messages(other)
    assert timeline.place_read() is None
    timeline.set_messages(first)
    assert timeline.go_to_place(*place)
    assert timeline.place_read() == place
    assert timeline.view_at(timeline._index[place[0]]).y() == y
    settle()
    assert timeline.place_read() == place
    assert not timeline.go_to_place("nobody", 3)


def test_keys_go_through_pages_and_to_the_ends(timeline):
    timeline.set_messages(conversation(60))
    settle()
    bar = timeline.verticalScrollBar()
    for key, modifiers in ((Qt.Key.Key_Home, NO), (Qt.Key.Key_Home, CONTROL)):
        bar.setValue(bar.maximum())
        QTest.keyClick(timeline, key, modifiers)
        assert bar.value() == 0
    QTest.keyClick(timeline, Qt.Key.Key_PageDown)
    page = bar.value()
    assert 400 < page < 600
    QTest.keyClick(timeline, Qt.Key.Key_Down)
    assert page < bar.value() < page + 100
    QTest.keyClick(timeline, Qt.Key.Key_Up)
    QTest.keyClick(timeline, Qt.Key.Key_PageUp)
    assert bar.value() == 0
    QTest.keyClick(timeline, Qt.Key.Key_End, CONTROL)
    assert bar.value() == bar.maximum()


def chosen(timeline) -> int:
    return timeline._index[timeline._chosen]


def test_arrows_go_from_message_to_message(timeline):
    timeline.set_messages([user("a"), answer(LONG * 8), user("b"), answer("c"), user("d")])
    timeline.verticalScrollBar().setValue(0)
    settle()
    seen = []
    for _ in range(6):
        QTest.keyClick(timeline, Qt.Key.Key_Down, CONTROL)
        seen.append(chosen(timeline))
        view = timeline.view_at(chosen(timeline))
        assert 0 <= view.y() < 600
        assert view.isVisible()
    assert seen == [0, 1, 2, 3, 4, 4]
    QTest.keyClick(timeline, Qt.Key.Key_Up, CONTROL)
    assert chosen(timeline) == 3
    QTest.keyClick(timeline, Qt.Key.Key_Home)  # what is chosen is out of sight
    timeline.verticalScrollBar().setValue(500)
    QTest.keyClick(timeline, Qt.Key.Key_Up, CONTROL)
    assert chosen(timeline) == 1  # its beginning, first
    QTest.keyClick(timeline, Qt.Key.Key_Up, CONTROL)
    assert chosen(timeline) == 0


def test_the_menu_key_opens_the_menu_of_that_message(timeline, qtbot):
    timeline.set_messages([user("a"), answer("b"), user("c")])
    settle()
    for _ in range(2):
        QTest.keyClick(timeline, Qt.Key.Key_Down, CONTROL)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5), QPoint(5, 5))
    QApplication.sendEvent(timeline, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert {"Retry", "Copy message as plain text"} <= {a.text() for a in menu.actions()}
    menu.close()


def test_a_chosen_message_shows_its_buttons(timeline):
    QCursor.setPos(timeline.mapToGlobal(QPoint(0, 2000)))  # the pointer is elsewhere
    timeline.set_messages([user("a"), answer("b")])
    settle()
    QTest.keyClick(timeline, Qt.Key.Key_Down, CONTROL)
    assert timeline.view_at(0).card._edit._revealed
    QTest.keyClick(timeline, Qt.Key.Key_Down, CONTROL)
    assert not timeline.view_at(0).card._edit._revealed


# --- Reasoning ---


def thinking(**stats):
    return answer(status=Status.STREAMING, reasoning="I *think*.", **stats)


def titles(timeline, index: int) -> str:
    return timeline.view_at(index)._reasoning._button.text()


def test_thinking_tells_its_time_and_tokens(timeline):
    message = thinking(reasoning_tokens=40, reasoning_seconds=3.2)
    timeline.set_messages([user("q"), message])
    assert titles(timeline, 1) == "Thinking… · 3 s · 40 tokens"
    stats = replace(message.stats, reasoning_tokens=900, reasoning_seconds=75.0)
    timeline.change(replace(message, stats=stats))
    assert titles(timeline, 1) == "Thinking… · 1 min 15 s · 900 tokens"
    assert timeline.view_at(1).reasoning_is_open
    said = replace(message.appended(PartKind.TEXT, "Yes."), stats=stats)
    timeline.change(said)
    assert titles(timeline, 1) == "Thought for 1 min 15 s · 900 tokens"
    assert not timeline.view_at(1).reasoning_is_open


def test_by_the_setting_it_stays_open(timeline):
    timeline.set_collapse_reasoning(False)
    message = thinking()
    timeline.set_messages([user("q"), message])
    timeline.change(message.appended(PartKind.TEXT, "Yes."))
    assert timeline.view_at(1).reasoning_is_open
    timeline.set_collapse_reasoning(True)
    assert not timeline.view_at(1).reasoning_is_open


def test_what_was_unfolded_is_so_when_one_comes_back(timeline):
    here = [user("q"), answer("a", reasoning="thought"), user("r"), answer("b", reasoning="t")]
    timeline.set_messages(here)
    settle()
    click(button(timeline.view_at(1), "Thought"))
    timeline.set_messages(conversation(4))
    timeline.set_messages(here)
    settle()
    assert timeline.view_at(1).reasoning_is_open
    assert not timeline.view_at(3).reasoning_is_open
