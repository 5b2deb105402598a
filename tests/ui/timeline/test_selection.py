"""Selecting with the mouse and the keys, and what then lies on the clipboard."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import PartKind, Status
from tests.ui.timeline.conftest import answer, button, click, point_of, settle, user

TEXT = """First *words* here.

```python
one = 1
two = 2
```

| a | b |
|---|--:|
| 1 | 2 |

1. item
2. other

- [x] done

Last words 🎉 here.
"""


@pytest.fixture
def shown(timeline):
    timeline.resize(828, 900)
    timeline.set_messages([user("A question\nof two lines"), answer(TEXT)])
    settle()
    return timeline


def clipboard() -> str:
    return QGuiApplication.clipboard().text()


def test_dragging_selects_across_blocks(shown, mouse):
    mouse.drag(point_of(shown, 1, 0, 6), point_of(shown, 1, 1, 3))
    assert shown.selected_text() == "words here.\n\none"
    QTest.keyClick(shown, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert clipboard() == "words here.\n\none"


def test_dragging_selects_across_messages_in_either_direction(shown, mouse):
    start, end = point_of(shown, 0, 0, 2), point_of(shown, 1, 0, 5)
    mouse.drag(start, end)
    forward = shown.selected_text()
    assert forward == "question\nof two lines\n\nFirst"
    mouse.drag(end, start)
    assert shown.selected_text() == forward


def test_what_is_selected_is_marked(shown, mouse):
    mouse.drag(point_of(shown, 1, 0, 6), point_of(shown, 1, 1, 3))
    marks = [leaf.extraSelections() for leaf in shown.view_at(1).leaves()]
    assert [len(mark) for mark in marks[:3]] == [1, 1, 0]
    assert marks[0][0].cursor.selectedText() == "words here."
    mouse.click(point_of(shown, 1, 4, 2))
    assert not any(leaf.extraSelections() for leaf in shown.view_at(1).leaves())
    assert shown.selected_text() == ""


def test_copied_text_keeps_markers_and_cells(shown):
    QTest.keyClick(shown, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert shown.selected_text() == (
        "A question\nof two lines\n\nFirst words here.\n\none = 1\ntwo = 2\n\n"
        "a\tb\n1\t2\n\n1. item\n2. other\n\n- [x] done\n\nLast words 🎉 here."
    )


def test_text_after_an_emoji_is_cut_in_the_right_place(shown, mouse):
    last = len(list(shown.view_at(1).leaves())) - 1
    mouse.drag(point_of(shown, 1, last, 11), point_of(shown, 1, last, 16))
    assert shown.selected_text() == "🎉 he"


def test_double_click_selects_a_word_and_a_third_click_the_paragraph(shown, mouse):
    point = point_of(shown, 1, 0, 8)
    mouse.double_click(point)
    assert shown.selected_text() == "words"
    mouse.press(point)
    mouse.release(point)
    assert shown.selected_text() == "First words here."


def test_shift_click_extends(shown, mouse):
    mouse.click(point_of(shown, 1, 0, 6))
    mouse.click(point_of(shown, 1, 1, 3), Qt.KeyboardModifier.ShiftModifier)
    assert shown.selected_text() == "words here.\n\none"
    mouse.click(point_of(shown, 0, 0, 2), Qt.KeyboardModifier.ShiftModifier)
    assert shown.selected_text() == "question\nof two lines\n\nFirst "


def test_dragging_below_the_pane_scrolls(timeline, mouse, qtbot):
    timeline.set_messages([user(f"question number {i}") for i in range(60)])
    bar = timeline.verticalScrollBar()
    bar.setValue(0)
    settle()
    mouse.press(point_of(timeline, 0, 0, 0))
    mouse.move(QPoint(300, 640))
    qtbot.waitUntil(lambda: bar.value() > 1500)
    mouse.release(QPoint(300, 640))
    text = timeline.selected_text()
    assert text.startswith("question number 0\n\nquestion number 1\n\n")
    assert "question number 20" in text


def test_messages_without_widgets_contribute_their_source(timeline):
    timeline.set_messages([m for i in range(100) for m in (user(f"Q{i}"), answer(f"*A{i}*"))])
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    text = timeline.selected_text()
    assert text.startswith("Q0\n\n*A0*\n\n")
    assert "\n\n*A50*\n\n" in text
    assert text.endswith("Q99\n\nA99")


def test_a_cut_question_is_copied_whole(timeline):
    text = "\n".join(f"line {i}" for i in range(100))
    timeline.set_messages([user(text), answer("ok")])
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert timeline.selected_text() == text + "\n\nok"


def test_a_selection_outlives_streaming_below_it(timeline, mouse):
    message = answer("One two three.\n\nMore", Status.STREAMING)
    timeline.set_messages([user("q"), message])
    settle()
    mouse.drag(point_of(timeline, 1, 0, 4), point_of(timeline, 1, 1, 4))
    assert timeline.selected_text() == "two three.\n\nMore"
    timeline.change(message.appended(PartKind.TEXT, " words."))
    assert timeline.selected_text() == "two three.\n\nMore"
    leaf = list(timeline.view_at(1).leaves())[1]
    assert leaf.extraSelections()[0].cursor.selectedText() == "More"


def test_another_conversation_has_no_selection(shown):
    QTest.keyClick(shown, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    shown.set_messages([user("other")])
    assert shown.selected_text() == ""


def menu_texts(menu):
    return {action.text(): action for action in menu.actions() if action.text()}


def test_the_menu_copies_text_and_markdown(shown, mouse):
    actions = menu_texts(shown.context_menu(QPoint(5, 5)))
    assert not actions["Copy"].isEnabled()
    actions["Select all"].trigger()
    actions = menu_texts(shown.context_menu(QPoint(5, 5)))
    actions["Copy as Markdown"].trigger()
    assert clipboard() == "A question\nof two lines\n\n" + TEXT.strip()
    actions["Copy"].trigger()
    assert clipboard() == shown.selected_text()


def test_markdown_of_a_partly_selected_block_is_what_was_selected(shown, mouse):
    mouse.drag(point_of(shown, 1, 0, 6), point_of(shown, 1, 3, 2))
    menu_texts(shown.context_menu(QPoint(5, 5)))["Copy as Markdown"].trigger()
    table = "| a | b |\n|---|--:|\n| 1 | 2 |"
    code = "```python\none = 1\ntwo = 2\n```"
    assert clipboard() == f"words here.\n\n{code}\n\n{table}\n\n1. it"


def test_copy_without_a_selection_leaves_the_clipboard_alone(shown):
    QGuiApplication.clipboard().setText("mine")
    QTest.keyClick(shown, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert clipboard() == "mine"


def test_copy_buttons_give_code_and_source(shown):
    copy = button(shown, "Copy code")
    click(copy)
    assert clipboard() == "one = 1\ntwo = 2"
    assert copy.text() == "Copied"
    click(button(shown.view_at(1), "Copy message"))
    assert clipboard() == TEXT
    click(button(shown.view_at(0), "Copy message"))
    assert clipboard() == "A question\nof two lines"


def test_copied_is_said_for_a_while_only(shown, qtbot):
    copy = button(shown, "Copy code")
    click(copy)
    qtbot.waitUntil(lambda: copy.text() == "Copy", timeout=10_000)
