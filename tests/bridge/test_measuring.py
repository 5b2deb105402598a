"""The shown conversation's memory and speed, followed turn by turn."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.measuring import Measuring


@pytest.fixture
def measuring(desk):
    made = Measuring(desk.chats, desk.models, desk.engine)
    made.told = 0

    def count() -> None:
        made.told += 1

    made.changed.connect(count)
    yield made
    made.deleteLater()


def test_each_turn_adds_a_point_and_asks_what_comes(desk, measuring):
    desk.ask_and_wait("one")
    desk.wait(lambda: len(measuring.points) == 1 and measuring.predicted is not None)
    first = measuring.points[0]
    assert first.peak > first.steady > 0
    assert first.origin == measuring.predicted.origin
    desk.ask_and_wait("two")
    desk.wait(lambda: len(measuring.points) == 2)
    assert measuring.points[0] == first
    assert measuring.points[1].tokens > first.tokens
    assert measuring.points[1].characters > first.characters


def test_nothing_is_told_while_nothing_changes(desk, measuring):
    desk.ask_and_wait("one")
    desk.wait(lambda: measuring.points and measuring.predicted is not None)
    told = measuring.told
    points = measuring.points
    desk.chats.rewound.emit(desk.chats.current)
    measuring.look_now()
    assert measuring.points == points
    assert measuring.told == told


def test_the_whole_history_is_there_when_it_is_opened_again(desk, measuring):
    desk.ask_and_wait("one")
    desk.ask_and_wait("two")
    desk.wait(lambda: len(measuring.points) == 2)
    before, conversation_id = measuring.points, desk.chats.current.id
    desk.chats.new()
    desk.wait(lambda: not measuring.points)
    desk.chats.open(conversation_id)
    desk.wait(lambda: len(measuring.points) == 2)
    assert measuring.points == before


def test_another_version_has_a_point_of_its_own(desk, measuring):
    desk.ask_and_wait("one")
    desk.wait(lambda: len(measuring.points) == 1)
    first = measuring.points[0].message_id
    count = len(desk.saved)
    desk.chats.retry(first)
    desk.wait(lambda: len(desk.saved) > count)
    desk.wait(lambda: measuring.points and measuring.points[0].message_id != first)
    assert len(measuring.points) == 1
