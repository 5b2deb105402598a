"""The line of tokens below the message field, and the buttons of the chat in it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from qwen_desktop.chat.events import PromptCount
from qwen_desktop.ui.composer import Composer
from qwen_desktop.ui.prompt_line import PromptLine


@pytest.fixture
def line(qtbot, looks):
    made = PromptLine()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def composer(qtbot, looks):
    made = Composer()
    qtbot.addWidget(made)
    made.resize(700, 200)
    made.show()
    return made


def test_it_tells_the_draft_and_the_whole_prompt(line):
    line.set_count(PromptCount(3412, 120, 28672, 32768))
    assert line.text() == "Draft 120 · Prompt 3,412 of 28,672 tokens"
    assert line.accessibleName() == line.text()
    assert line.tint == "dim"
    line.set_count(PromptCount(3292, 0, 28672, 32768))
    assert line.text() == "Prompt 3,292 of 28,672 tokens"
    line.set_count(None)
    assert line.text() == ""


@pytest.mark.parametrize(("prompt", "tint"), [(850, "dim"), (851, "warning"), (1000, "warning")])
def test_it_is_amber_when_nearly_full(line, prompt, tint):
    line.set_count(PromptCount(prompt, 1, 1000, 1200))
    assert line.tint == tint


def test_what_will_be_left_out_is_said_in_red(line):
    line.set_count(PromptCount(700, 5, 1000, 1200, unseen=("a", "b", "c")))
    assert line.text().endswith("3 messages will be left out")
    assert line.tint == "error"


def test_what_is_left_out_already_is_no_news(line):
    count = PromptCount(700, 5, 1000, 1200, unseen=("a", "b", "c"))
    line.set_count(count, gone=("a", "b", "c"))
    assert "left out" not in line.text()
    assert line.tint == "dim"
    line.set_count(count, gone=("a",))
    assert line.text().endswith("2 messages will be left out")


def test_a_prompt_that_does_not_fit_says_both_numbers(line):
    line.set_count(PromptCount(1500, 5, 1000, 1200, overflows=True))
    assert line.text() == "Too long: 1,500 of 1,000 tokens"
    assert line.tint == "error"


def test_a_long_message_that_takes_of_the_answers_room_says_what_is_left(line):
    line.set_count(PromptCount(1150, 1100, 1000, 1200))
    words = "Draft 1,100 · Prompt 1,150 of 1,200 tokens, 50 left for the answer"
    assert line.text() == words
    assert line.tint == "warning"


def test_thinking_is_offered_only_where_the_model_can(composer):
    assert not composer.thinking.isVisible()
    composer.set_thinking(False)
    assert composer.thinking.isVisible()
    assert not composer.thinking.isChecked()
    composer.set_thinking(None)
    assert not composer.thinking.isVisible()


def test_the_switch_tells_what_the_user_wants(qtbot, composer):
    composer.set_thinking(True)
    told = []
    composer.thinking_toggled.connect(told.append)
    QTest.mouseClick(composer.thinking, Qt.MouseButton.LeftButton)
    QTest.keyClick(composer.thinking, Qt.Key.Key_Space)
    composer.set_thinking(False)  # by the program: not told back
    assert told == [False, True]


def test_typing_is_told_soon_and_only_once_for_several_keys(qtbot, composer):
    told = []
    composer.typed.connect(lambda: told.append(composer.text()))
    QTest.keyClicks(composer.edit, "hello")
    qtbot.waitUntil(lambda: told == ["hello"])


def test_the_chat_settings_open_from_the_composer(qtbot, composer):
    with qtbot.waitSignal(composer.options_requested):
        QTest.mouseClick(composer.options, Qt.MouseButton.LeftButton)
