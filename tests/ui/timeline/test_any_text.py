"""Long, old, wide and strange texts: shown, selected and copied as they are, with real widgets."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.timeline.arranged import MOST_VIEWS
from qwen_desktop.ui.timeline.buttons import TextButton
from tests.ui.timeline.conftest import answer, button, click, point_of, settle, shown_text, user
from tests.ui.timeline.test_geometry import conversation

CONTROL = Qt.KeyboardModifier.ControlModifier

STRANGE = {
    "combining": "Zo\u0308e\u0301 a\u0323\u0302\u0301 n\u0303, q\u0307\u0323",
    "emoji": "🎉🦜 and 👍🏽 and 🇩🇪🇯🇵",
    "zwj": "👩‍👩‍👧‍👦 with 👨🏿‍🚀 and ❤️‍🔥",
    "hebrew": "שלום עולם, זה 42 ו־Qwen",
    "arabic": "مرحبا بالعالم ١٢٣ abc",
    "persian": "می‌خواهم",  # with a zero-width non-joiner
    "devanagari": "क्षत्रिय नमस्ते",
    "thai": "สวัสดีชาวโลก",
    "chinese": "天空是蓝色的。𠮷野家",
    "isolates": "a \u2067שלום\u2069 b",
    "spaces": "a\u00a0b\u200bc",
}


def copied(timeline) -> str:
    QTest.keyClick(timeline, Qt.Key.Key_A, CONTROL)
    QTest.keyClick(timeline, Qt.Key.Key_C, CONTROL)
    return QGuiApplication.clipboard().text()


@pytest.mark.parametrize("name", STRANGE)
def test_strange_text_is_copied_as_it_is(timeline, name):
    text = STRANGE[name]
    timeline.set_messages([user(text), answer(f"{text}\n\n> {text}\n\n```\n{text}\n```")])
    settle()
    expected = "\n\n".join([text] * 4).replace("\u00a0", " ")
    assert copied(timeline).replace("\u00a0", " ") == expected


@pytest.mark.parametrize("name", ["emoji", "zwj", "combining", "devanagari"])
def test_a_selection_ends_between_whole_signs(timeline, mouse, name):
    text = STRANGE[name]
    timeline.set_messages([user("q"), answer(text)])
    settle()
    (leaf,) = timeline.view_at(1).leaves()
    units = leaf.length
    whole = set()
    cursor = QTextCursor(leaf.document())
    while True:
        whole.add(cursor.position())
        if not cursor.movePosition(QTextCursor.MoveOperation.NextCharacter):
            break
    for char in range(1, units + 1):
        point = point_of(timeline, 1, 0, char)
        place = timeline.place_at(point)
        assert place.char in whole, (char, place)
    start = leaf.viewport().mapTo(timeline.viewport(), QPoint(0, 11))
    for char in sorted(whole)[1:]:
        mouse.drag(start, point_of(timeline, 1, 0, char))
        part = timeline.selected_text()
        assert text.startswith(part)
        part.encode("utf-8")  # no half of a pair


def alignment(leaf, block) -> str:
    """On which side the first line of a paragraph stands."""
    line = block.layout().lineAt(0)
    left = line.naturalTextRect().left()
    return "right" if left > leaf.width() / 3 else "left"


def test_each_paragraph_has_its_own_direction(timeline):
    texts = ["English words.", "שלום עולם", "مرحبا", "Again English.", "1. שלום"]
    timeline.set_messages([user("\n".join(texts[:4])), answer("\n\n".join(texts[:4]))])
    settle()
    (leaf,) = timeline.view_at(0).leaves()
    block, sides = leaf.document().begin(), []
    while block.isValid():
        sides.append(alignment(leaf, block))
        block = block.next()
    assert sides == ["left", "right", "right", "left"]
    sides = [alignment(leaf, leaf.document().begin()) for leaf in timeline.view_at(1).leaves()]
    assert sides == ["left", "right", "right", "left"]


def test_a_selection_across_directions_is_copied_in_reading_order(timeline, mouse):
    timeline.set_messages([user("q"), answer("abc\n\nשלום עולם\n\nxyz")])
    settle()
    mouse.drag(point_of(timeline, 1, 0, 1), point_of(timeline, 1, 2, 2))
    assert timeline.selected_text() == "bc\n\nשלום עולם\n\nxy"
    mouse.drag(point_of(timeline, 1, 1, 0), point_of(timeline, 1, 1, 4))
    assert timeline.selected_text() == "שלום"


def test_a_long_answer_is_copied_whole(timeline):
    paragraphs = [f"Paragraph {n} with *some* words and `code`. " * 4 for n in range(120)]
    text = "\n\n".join(paragraph.strip() for paragraph in paragraphs)
    assert len(text) > 20_000
    timeline.set_messages([user("q"), answer(text)])
    settle()
    shown = copied(timeline).removeprefix("q\n\n")
    assert shown == text.replace("*", "").replace("`", "")


def test_a_long_answer_grows_without_touching_its_beginning(timeline):
    text = "\n\n".join(f"Paragraph {n}. " * 10 for n in range(150))
    message = answer(text, Status.STREAMING)
    timeline.set_messages([user("q"), message])
    view = timeline.view_at(1)
    before = view.block_views[:-1]
    for _ in range(20):
        message = message.appended(PartKind.TEXT, "more ")
        timeline.change(message)
    assert view.block_views[: len(before)] == before
    assert shown_text(view).endswith("more")
    bar = timeline.verticalScrollBar()
    assert bar.value() == bar.maximum()


def test_a_megabyte_that_was_pasted_is_shown_in_parts_and_copied_whole(timeline):
    line = "A line of log with 12345 numbers and ünïcödé 天空 in it, as it was pasted.\n"
    text = (line * (1_000_000 // len(line) + 1)).rstrip("\n")
    timeline.set_messages([user(text), answer("ok")])
    settle()
    view = timeline.view_at(0)
    assert sum(leaf.length for leaf in view.leaves()) < 5_000
    assert copied(timeline) == f"{text}\n\nok"
    timeline.verticalScrollBar().setValue(0)
    settle()
    click(next(b for b in view.findChildren(TextButton) if b.text().startswith("Show more")))
    settle()
    assert 40_000 < sum(leaf.length for leaf in view.leaves()) < 60_000
    click(button(view, "Copy message"))
    assert QGuiApplication.clipboard().text() == text


def test_a_megabyte_in_one_line_is_shown(timeline):
    text = "x" * 1_000_000
    timeline.set_messages([user(text), answer("ok")])
    settle()
    assert timeline.view_at(0).height() < 3_000
    assert copied(timeline) == f"{text}\n\nok"


def test_five_thousand_messages_have_few_widgets_wherever_one_is(timeline):
    messages = conversation(5_000)
    timeline.set_messages(messages)
    bar = timeline.verticalScrollBar()
    settle()
    for share in (0.9, 0.5, 0.1, 0.0, 1.0):
        bar.setValue(int(bar.maximum() * share))
        settle()
        assert len(timeline._views) <= MOST_VIEWS
    timeline.show_message(messages[2_500].id)
    assert timeline.built_view(2_500).isVisible()
    text = copied(timeline)
    assert text.count("Question ") == 2_500
    grown = answer("new", Status.STREAMING)
    timeline.add(user("next"))
    timeline.add(grown)
    assert bar.value() == bar.maximum()
