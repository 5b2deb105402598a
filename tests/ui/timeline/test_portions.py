"""Very long answers: how much of them is shown, and that all of them can be had."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.timeline.code import CodeBlock
from qwen_desktop.ui.timeline.markdown import parse, weight
from qwen_desktop.ui.timeline.portions import PORTION, Portions
from tests.ui.timeline.conftest import answer, click, settle, shown_text, user

LONG = "\n\n".join(f"Paragraph number {i}." for i in range(1000))
KINDS = {
    "paragraphs": "a\n\n",
    "rules": "---\n\n",
    "headings": "# a\n",
    "quotes": "> a\n\n",
    "fences": "```\na\n```\n",
    "notes": "[^1]: a\n\n",
    "html": "<div>\n\n",
    "definitions": "[a]: b\n",
    "breaks": "a  \n",
    "list": "- a\n",
    "loose list": "- a\n\n",
    "tasks": "- [ ] a\n",
    "tall table": "|a|b|\n|-|-|\n" + "|c|d|\n" * 2000,
    "wide table": "|a" * 2000 + "|\n" + "|-" * 2000 + "|\n" + "|b" * 2000 + "|\n\n",
    "code": "```\n" + "x = 1\n" * 300,
}


def more(timeline) -> QAbstractButton:
    (found,) = (
        one
        for one in timeline.view_at(1).findChildren(QAbstractButton)
        if one.accessibleName().startswith("Show more") and not one.isHidden()
    )
    return found


def is_whole(timeline) -> bool:
    return timeline.view_at(1).shown_end is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_portion_is_bounded_whatever_is_in_it(kind):
    source = KINDS[kind] * (120_000 // len(KINDS[kind]))
    portions, asked, ends = Portions(), 0, []
    for _ in range(3):
        shown = portions.show(source, asked)
        fresh = [block for block in shown.blocks if _offset(source, block.line) >= asked]
        assert sum(map(weight, fresh)) <= PORTION + max(map(weight, fresh), default=0)
        assert all(weight(block) <= 2 * PORTION for block in shown.blocks)
        assert shown.end > asked
        asked = shown.end
        ends.append(asked)
    assert ends[0] <= 60_000


def _offset(source: str, line: int) -> int:
    at = 0
    for _ in range(line):
        at = source.find("\n", at) + 1
    return at


def test_portion_by_portion_all_is_shown():
    portions, asked, rounds = Portions(), 0, 0
    while asked < len(LONG):
        shown = portions.show(LONG, asked)
        asked, rounds = shown.end, rounds + 1
    assert shown.blocks == parse(LONG)
    assert 2 < rounds < 10


def test_an_answer_of_usual_length_is_shown_whole(timeline):
    timeline.set_messages([user("q"), answer("A paragraph of some words and more.\n\n" * 250)])
    assert is_whole(timeline)
    assert len(timeline.view_at(1).blocks) == 250


def test_a_long_answer_is_shown_as_it_is_asked_for(timeline):
    timeline.set_messages([user("q"), answer(LONG)])
    settle()
    first = len(timeline.view_at(1).blocks)
    assert first < 400
    assert "characters left" in more(timeline).text()
    rounds = 0
    while not is_whole(timeline):
        last = timeline.view_at(1).block_views[-1].geometry().bottom()
        assert more(timeline).y() > last
        click(more(timeline))
        settle()
        rounds += 1
    assert rounds >= 2
    assert shown_text(timeline.view_at(1)).endswith("Paragraph number 999.")


def test_all_of_it_is_copied(timeline):
    timeline.set_messages([user("q"), answer(LONG)])
    settle()
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert timeline.selected_text().endswith("Paragraph number 999.")


def test_a_word_far_down_is_found(timeline):
    timeline.set_messages([user("q"), answer(LONG + "\n\nA needle.")])
    settle()
    timeline.set_marks(("needle",))
    assert timeline.next_mark(1)
    settle()
    assert "A needle." in shown_text(timeline.view_at(1))


def test_what_grew_here_stays_whole_at_its_end(timeline):
    message = answer("Start.\n\n", Status.STREAMING)
    timeline.set_messages([user("q"), message])
    for at in range(0, len(LONG), 2500):
        message = message.appended(PartKind.TEXT, LONG[at : at + 2500])
        timeline.change(message)
    before = len(timeline.view_at(1).blocks)
    timeline.change(replace(message, status=Status.COMPLETE))
    assert len(timeline.view_at(1).blocks) == before == 1001
    assert is_whole(timeline)


@pytest.mark.parametrize("kind", ["list", "loose list", "tasks", "wide table", "tall table"])
def test_what_is_too_large_to_be_laid_out_is_shown_as_its_source(timeline, kind):
    source = (KINDS[kind] * (20_000 // len(KINDS[kind]) + 1)).rstrip("\n")
    timeline.set_messages([user("q"), answer(source)])
    settle()
    code = timeline.view_at(1).block_views[0]
    assert isinstance(code, CodeBlock)
    assert source.startswith(code.code)


# -- reasoning ---------------------------------------------------------------------------------


def fold_button(timeline) -> QAbstractButton:
    (found,) = (
        one
        for one in timeline.view_at(1).findChildren(QAbstractButton)
        if one.accessibleName().startswith("Th") and not one.isHidden()
    )
    return found


def test_long_reasoning_is_unfolded_in_portions(timeline):
    timeline.set_messages([user("q"), answer("the answer", reasoning=LONG)])
    click(fold_button(timeline))
    view = timeline.view_at(1)
    assert "Paragraph number 0." in shown_text(view)
    assert len(list(view.leaves())) < 200
    assert view.reasoning_end is not None
    before, presses = view.height(), 0
    while view.reasoning_end is not None:
        more(timeline).setFocus()
        QTest.keyClick(more(timeline), Qt.Key.Key_Space)
        presses += 1
        assert view.height() > before
        before = view.height()
        assert presses < 100
    assert presses > 3
    assert shown_text(view) == "\n".join([*LONG.split("\n\n"), "the answer"])
    click(fold_button(timeline))
    assert shown_text(view) == "the answer"
    click(fold_button(timeline))
    assert view.reasoning_end is not None


def test_reasoning_that_was_seen_growing_stays_whole(timeline):
    message = answer(status=Status.STREAMING)
    timeline.set_messages([user("q"), message])
    for at in range(0, len(LONG), 2_000):
        message = message.appended(PartKind.REASONING, LONG[at : at + 2_000])
        timeline.change(message)
    timeline.set_collapse_reasoning(False)
    timeline.change(message.appended(PartKind.TEXT, "so"))
    view = timeline.view_at(1)
    assert view.reasoning_end is None
    assert shown_text(view) == "\n".join([*LONG.split("\n\n"), "so"])


def test_reasoning_that_is_unfolded_late_grows_behind_its_button(timeline):
    message = answer(status=Status.STREAMING, reasoning=LONG)
    timeline.set_messages([user("q"), message])
    view = timeline.view_at(1)
    count = len(list(view.leaves()))
    assert count < 200
    message = message.appended(PartKind.REASONING, "\n\nthe end")
    timeline.change(message)
    assert len(list(view.leaves())) == count
    assert "left)" in more(timeline).accessibleName()


def test_what_is_sought_far_down_in_reasoning_is_shown(timeline, qtbot):
    timeline.set_messages([user("q"), answer("the answer", reasoning=LONG)])
    timeline.seek("number 987.")
    view = timeline.view_at(1)
    qtbot.waitUntil(lambda: any(leaf.marks for leaf in timeline.view_at(1).leaves()))
    view = timeline.view_at(1)
    settle()
    (leaf,) = (leaf for leaf in view.leaves() if leaf.marks)
    assert leaf.toPlainText() == "Paragraph number 987."
    place = leaf.mapTo(timeline.viewport(), leaf.rect().topLeft()).y()
    assert 0 <= place < timeline.viewport().height()
