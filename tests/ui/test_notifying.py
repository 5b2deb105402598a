"""Long answers that end while the window is not in front are told of, and what is said then."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget

from qwen_desktop.bridge.run import RunState
from qwen_desktop.ui.notifying import LONG_S, Notifying


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def told(application, window, clock):
    made = Notifying(window, application.chats, application.preferences, clock)
    said = []
    made.told.connect(said.append)
    return said


@pytest.fixture
def behind(qtbot, window):
    """Another window is in front."""
    other = QWidget()
    qtbot.addWidget(other)
    other.show()
    other.activateWindow()
    qtbot.waitUntil(lambda: not window.isActiveWindow())
    return other


def answer(application, clock, seconds: float, title: str = "Bees") -> None:
    running = RunState(running=True, conversation_id="c", title=title)
    for _ in range(3):
        application.chats.run_changed.emit(running)
        clock.now += seconds / 3
    application.chats.run_changed.emit(RunState())


def test_a_long_answer_is_told_of_by_the_title_alone(application, clock, told, behind):
    answer(application, clock, LONG_S + 1)
    assert told == ["The answer in “Bees” is ready."]
    answer(application, clock, LONG_S + 1, title="")
    assert told[1] == "The answer in “New chat” is ready."


def test_a_short_one_is_not(application, clock, told, behind):
    answer(application, clock, LONG_S - 1)
    assert told == []


def test_nor_one_that_is_seen(application, window, clock, told):
    assert window.isActiveWindow()
    answer(application, clock, 60)
    assert told == []


def test_nor_where_it_is_not_wanted(application, clock, told, behind):
    application.preferences.set("notify", False)
    answer(application, clock, 60)
    assert told == []


def test_each_answer_counts_for_itself(application, clock, told, behind):
    for _ in range(3):
        answer(application, clock, LONG_S / 2)
    assert told == []


def test_nothing_ends_before_anything_began(application, clock, told, behind):
    clock.now = 100
    application.chats.run_changed.emit(RunState())
    assert told == []
