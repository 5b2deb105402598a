"""Selecting by keyboard across blocks and messages, in any writing."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from tests.ui.timeline.conftest import answer, settle, user

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
FAMILY = "👨‍👩‍👧‍👦"
ACCENTED = "e\u0301\u0323"  # one letter with two marks
TEXT = f"First *words* here.\n\n- one\n- two\n\n```py\ncode()\n```\n\n> a {FAMILY} quote"


def press(timeline, key, modifiers=SHIFT, times=1):
    for _ in range(times):
        QTest.keyClick(timeline, key, modifiers)


def copied(timeline) -> str:
    QTest.keyClick(timeline, Qt.Key.Key_C, CONTROL)
    return QGuiApplication.clipboard().text()


def shown(timeline, *messages):
    timeline.set_messages(messages)
    settle()
    timeline.verticalScrollBar().setValue(0)
    timeline.setFocus()


def test_shift_and_arrows_select_across_blocks_and_messages(timeline):
    shown(timeline, user("ask"), answer(TEXT), user("thanks"))
    press(timeline, Qt.Key.Key_Right, times=2)
    assert timeline.selected_text() == "as"
    press(timeline, Qt.Key.Key_Right, times=2)  # over the edge
    assert timeline.selected_text() == "ask"
    press(timeline, Qt.Key.Key_Right, times=5)
    assert timeline.selected_text() == "ask\n\nFirst"
    press(timeline, Qt.Key.Key_Right, SHIFT | CONTROL, times=2)
    assert timeline.selected_text() == "ask\n\nFirst words "
    press(timeline, Qt.Key.Key_End)
    press(timeline, Qt.Key.Key_Down, times=3)
    assert copied(timeline).startswith("ask\n\nFirst words here.\n\n- one\n- two")
    press(timeline, Qt.Key.Key_End, SHIFT | CONTROL)
    assert copied(timeline) == (
        f"ask\n\nFirst words here.\n\n- one\n- two\n\ncode()\n\na {FAMILY} quote\n\nthanks"
    )


def test_it_shrinks_again_and_turns_at_its_beginning(timeline):
    shown(timeline, user("ask"), answer("one two"), user("thanks"))
    timeline.go_by_message(1)
    timeline.go_by_message(1)
    press(timeline, Qt.Key.Key_Right, times=3)
    assert timeline.selected_text() == "one"
    press(timeline, Qt.Key.Key_Left, times=2)
    assert timeline.selected_text() == "o"
    press(timeline, Qt.Key.Key_Left, times=3)
    assert timeline.selected_text() == "k"
    press(timeline, Qt.Key.Key_Home, SHIFT | CONTROL)
    assert timeline.selected_text() == "ask"


def test_whole_messages_are_selected_and_copied_as_markdown(timeline):
    shown(timeline, user("ask"), answer(TEXT), user("thanks"))
    press(timeline, Qt.Key.Key_Down, SHIFT | CONTROL)
    assert timeline.selected_text() == "ask"
    press(timeline, Qt.Key.Key_Down, SHIFT | CONTROL)
    menu = timeline.context_menu(timeline.rect().center())
    next(one for one in menu.actions() if one.text() == "Copy as Markdown").trigger()
    assert QGuiApplication.clipboard().text() == f"ask\n\n{TEXT}"
    press(timeline, Qt.Key.Key_Up, SHIFT | CONTROL)
    assert timeline.selected_text() == "ask"


@pytest.mark.parametrize("letter", [FAMILY, ACCENTED, "👍🏽", "🇩🇪", "क्षि", "𝔘"])
def test_a_letter_is_never_torn_apart(timeline, letter):
    shown(timeline, user(f"{letter}b"), answer(f"**{letter}** b"))
    press(timeline, Qt.Key.Key_Right)
    for _ in range(4):  # as many pieces as Qt steps over one by one
        taken = copied(timeline)
        if taken == letter:
            break
        assert letter.startswith(taken)
        assert taken.encode("utf-8")  # no half of a pair
        press(timeline, Qt.Key.Key_Right)
    assert copied(timeline) == letter
    press(timeline, Qt.Key.Key_End, SHIFT | CONTROL)
    assert copied(timeline) == f"{letter}b\n\n{letter} b"


def test_what_is_read_from_the_right_is_selected_from_there(timeline):
    shown(timeline, user("שלום עולם"), answer("مرحبا بالعالم\n\nEnglish"))
    press(timeline, Qt.Key.Key_Left, times=4)
    assert timeline.selected_text() == "שלום"
    press(timeline, Qt.Key.Key_Right)
    assert timeline.selected_text() == "שלו"
    press(timeline, Qt.Key.Key_End)
    press(timeline, Qt.Key.Key_Left, times=6)
    assert timeline.selected_text() == "שלום עולם\n\nمرحبا"
    press(timeline, Qt.Key.Key_End, SHIFT | CONTROL)
    assert timeline.selected_text() == "שלום עולם\n\nمرحبا بالعالم\n\nEnglish"


def test_the_end_that_moves_is_kept_in_view(timeline):
    shown(timeline, *(one for n in range(30) for one in (user(f"q {n}"), answer("line\n\n" * 9))))
    bar = timeline.verticalScrollBar()
    for _ in range(40):
        press(timeline, Qt.Key.Key_Down)
    assert bar.value() > 0
    press(timeline, Qt.Key.Key_End, SHIFT | CONTROL)
    assert bar.value() >= bar.maximum() - 60
    press(timeline, Qt.Key.Key_Home, SHIFT | CONTROL)
    assert bar.value() < 60
    assert timeline.selected_text() == ""


def test_of_a_long_pasted_text_all_is_copied_though_a_part_is_shown(timeline):
    pasted = "".join(f"line {n} of what was pasted\n" for n in range(40_000))
    assert len(pasted) > 1_000_000
    shown(timeline, user(pasted), answer("ok"))
    press(timeline, Qt.Key.Key_End, SHIFT | CONTROL)
    assert copied(timeline) == f"{pasted}\n\nok"


def test_without_messages_no_key_does_anything(timeline):
    shown(timeline)
    press(timeline, Qt.Key.Key_Right)
    press(timeline, Qt.Key.Key_Down, SHIFT | CONTROL)
    assert timeline.selected_text() == ""
