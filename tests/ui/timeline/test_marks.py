"""Words that were searched for: marked where they are seen, gone to, and the marks taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.theme import DARK, LIGHT
from tests.ui.timeline.conftest import answer, button, click, point_of, settle, user

TEXT = """The *Sky* is blue, says skyline.

```python
sky = "🎉 sky"
```

| sky | sea |
|-----|-----|
| ＳＫＹ | x |

- one sky
- 天空是蓝色的，天空
"""


def marked(timeline, index: int) -> list[str]:
    """What is marked in a message, from the top."""
    found = []
    for leaf in timeline.view_at(index).leaves():
        for look in leaf.extraSelections():
            found.append(look.cursor.selectedText())
    return found


def colours(timeline, index: int) -> set[str]:
    return {
        look.format.background().color().name()
        for leaf in timeline.view_at(index).leaves()
        for look in leaf.extraSelections()
    }


def many(count: int = 200):
    """A long conversation in which one message has a word of its own."""
    messages = []
    for number in range(count):
        messages.append(user(f"question {number}"))
        messages.append(answer(f"answer {number}\n\n" + "words and words\n\n" * 12))
    return messages


def is_in_view(timeline, index: int) -> bool:
    view = timeline.built_view(index)
    return (
        view is not None
        and view.isVisible()
        and view.y() < timeline.viewport().height()
        and view.y() + view.height() > 0
    )


def test_every_occurrence_is_marked_whatever_it_is_in(timeline):
    timeline.set_messages([user("sky? SKY!"), answer(TEXT)])
    timeline.set_marks(("sky",))
    settle()
    assert marked(timeline, 0) == ["sky", "SKY"]
    assert marked(timeline, 1) == ["Sky", "sky", "sky", "sky", "ＳＫＹ", "sky"]
    timeline.set_marks(("天空",))
    settle()
    assert marked(timeline, 1) == ["天空", "天空"]
    timeline.set_marks(("sky*", "blue"))
    settle()
    assert marked(timeline, 1)[:3] == ["Sky", "blue", "sky"]


def test_nothing_is_laid_out_anew_by_marks(timeline):
    timeline.set_messages([user("sky"), answer(TEXT)])
    settle()
    heights = [timeline.view_at(index).height() for index in (0, 1)]
    text = timeline.view_at(1)
    timeline.set_marks(("sky",))
    settle()
    assert [timeline.view_at(index).height() for index in (0, 1)] == heights
    assert timeline.view_at(1) is text


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_marks_have_the_colour_of_the_theme_and_take_another(timeline, theme):
    timeline.set_messages([user("sky"), answer(TEXT)])
    timeline.set_marks(("sky",))
    settle()
    timeline.set_theme(theme)
    settle()
    assert colours(timeline, 0) == colours(timeline, 1) == {theme.found}


def test_no_words_take_all_marks_away(timeline):
    timeline.set_messages([user("sky"), answer(TEXT)])
    timeline.set_marks(("sky",))
    settle()
    timeline.set_marks(())
    assert marked(timeline, 0) == marked(timeline, 1) == []


def test_escape_takes_marks_away_unless_it_has_to_stop_an_answer(timeline):
    streaming = answer("a sky", status=Status.STREAMING)
    timeline.set_messages([user("sky"), streaming])
    timeline.set_marks(("sky",))
    settle()
    QTest.keyClick(timeline, Qt.Key.Key_Escape)
    timeline.change(replace(streaming, status=Status.COMPLETE))
    settle()
    QTest.keyClick(timeline, Qt.Key.Key_Escape)
    assert timeline.marks == ()
    assert marked(timeline, 0) == []


def test_a_selection_lies_over_marks_and_leaves_them(timeline, mouse):
    timeline.set_messages([user("the sky is blue")])
    timeline.set_marks(("sky",))
    settle()
    mouse.drag(point_of(timeline, 0, 0, 0), point_of(timeline, 0, 0, 12))
    assert marked(timeline, 0) == ["sky", "the sky is b"]
    mouse.click(point_of(timeline, 0, 0, 14))
    assert marked(timeline, 0) == ["sky"]


def test_what_grows_and_what_is_shown_later_is_marked_too(timeline):
    streaming = answer("no", status=Status.STREAMING)
    timeline.set_marks(("sky",))
    timeline.set_messages([user("x"), streaming])
    timeline.change(streaming.appended(PartKind.TEXT, " a sky"))
    settle()
    assert marked(timeline, 1) == ["sky"]
    timeline.set_messages([user("sky again")])
    settle()
    assert marked(timeline, 0) == ["sky"]


def test_only_what_is_in_view_is_marked(timeline):
    messages = many()
    timeline.set_messages(messages)
    timeline.set_marks(("words",))
    settle()
    built = [index for index in range(len(messages)) if timeline.built_view(index)]
    marked_ones = [index for index in built if marked_now(timeline, index)]
    assert marked_ones
    assert all(is_in_view(timeline, index) for index in marked_ones)


def marked_now(timeline, index) -> bool:
    return any(leaf.extraSelections() for leaf in timeline.built_view(index).leaves())


@pytest.mark.parametrize("at", [0, 1, 201, 398, 399])
def test_a_message_is_brought_into_view_wherever_it_is(timeline, at):
    messages = many()
    timeline.set_messages(messages)
    settle()
    timeline.show_message(messages[at].id)
    settle()
    assert is_in_view(timeline, at)
    top = timeline.view_at(at).y()
    end = at >= 398  # there is nothing below that could be scrolled up
    assert end or 0 <= top <= 40


def test_the_marked_word_in_a_long_message_is_in_view(timeline):
    long = answer("\n\n".join(f"line {n}" for n in range(400)) + "\n\nneedle here\n\nend")
    timeline.set_messages([*many(20), long, *many(20)])
    settle()
    timeline.set_marks(("needle",))
    timeline.show_message(long.id)
    settle()
    view = timeline.view_at(40)
    leaf = next(leaf for leaf in view.leaves() if leaf.marks)
    spot = leaf.viewport().mapTo(timeline.viewport(), QPoint(0, 0)).y()
    assert 0 <= spot < timeline.viewport().height()
    assert colours(timeline, 40) == {LIGHT.found_now}


def test_a_word_that_is_only_in_the_reasoning_unfolds_it(timeline):
    plain, thought = answer("needle", reasoning="needle"), answer("no", reasoning="a needle")
    timeline.set_messages([plain, thought])
    timeline.set_marks(("needle",))
    timeline.show_message(thought.id)
    settle()
    assert marked(timeline, 1) == ["needle"]
    timeline.show_message(plain.id)
    settle()
    assert marked(timeline, 0) == ["needle"]  # of the answer; its reasoning stays folded


def test_a_word_far_down_in_a_folded_question_unfolds_it(timeline):
    question = user("padding of a long question\n" * 2000 + "needle\nend")
    timeline.set_messages([question, answer("x")])
    timeline.set_marks(("needle",))
    timeline.show_message(question.id)
    settle()
    assert marked(timeline, 0) == ["needle"]
    leaf = next(leaf for leaf in timeline.view_at(0).leaves() if leaf.marks)
    cursor = QTextCursor(leaf.document())
    cursor.setPosition(leaf.marks[0][0])
    point = leaf.viewport().mapTo(timeline.viewport(), leaf.cursorRect(cursor).center())
    assert timeline.viewport().rect().contains(point)


def test_an_unknown_message_is_ignored(timeline):
    timeline.set_messages([user("x")])
    timeline.show_message("nobody")


def test_the_next_mark_goes_through_all_of_them_and_round(timeline):
    messages = many(60)
    for at in (10, 11, 90):
        messages[at] = replace(messages[at], parts=user("needle and needle").parts)
    timeline.set_messages(messages)
    settle()
    timeline.set_marks(("needle",))
    timeline.show_message(messages[10].id)
    seen = []
    for _ in range(6):
        assert timeline.next_mark(1)
        settle()
        (now,) = (
            index
            for index in (10, 11, 90)
            if timeline.built_view(index) and LIGHT.found_now in colours(timeline, index)
        )
        assert is_in_view(timeline, now)
        seen.append(now)
    assert seen == [10, 11, 11, 90, 90, 10]
    assert timeline.next_mark(-1)
    assert LIGHT.found_now in colours(timeline, 90)


def test_without_a_mark_there_is_no_next_one(timeline):
    timeline.set_messages([user("x"), answer("y")])
    assert not timeline.next_mark(1)
    timeline.set_marks(("needle",))
    assert not timeline.next_mark(1)
    assert not timeline.next_mark(-1)


def test_a_damaged_message_says_so_and_shows_what_there_is(timeline):
    broken = replace(answer('[{"kind": "te'), damaged=True)
    asked = replace(user("half"), damaged=True)
    timeline.set_messages([asked, broken, answer("whole")])
    settle()

    def notice(index):
        view = timeline.view_at(index)
        return [
            child
            for child in view.children()
            if child.isWidgetType() and "damaged on disk" in child.accessibleName()
        ]

    assert [len(notice(index)) for index in range(3)] == [1, 1, 0]
    assert notice(0)[0].isVisible()
    assert notice(1)[0].geometry().bottom() < timeline.view_at(1).block_views[0].y()
    assert "te" in next(iter(timeline.view_at(1).leaves())).toPlainText()
    timeline.change(replace(broken, damaged=False))
    settle()
    assert not notice(1)[0].isVisible()


def test_a_folded_reasoning_is_marked_when_it_is_opened(timeline):
    timeline.set_messages([answer("x", reasoning="a needle")])
    timeline.set_marks(("needle",))
    settle()
    assert marked(timeline, 0) == []
    click(button(timeline, "Thought"))
    settle()
    assert marked(timeline, 0) == ["needle"]
