"""What is built, where it stands, and what stays put while the rest changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status
from qwen_desktop.ui.timeline.arranged import MOST_VIEWS
from qwen_desktop.ui.timeline.heights import Heights
from qwen_desktop.ui.timeline.message import MessageView
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, user

LONG = "A paragraph of some words that goes on for a while.\n\n" * 6


def conversation(count: int) -> list[Message]:
    return [
        m for i in range(count // 2) for m in (user(f"Question {i}"), answer(LONG * (i % 4 + 1)))
    ]


def views(timeline) -> list[MessageView]:
    return timeline.findChildren(MessageView)


def top_of(timeline, index: int) -> int:
    """Where a message starts, in the viewport."""
    return timeline.view_at(index).y()


# --- Heights ---


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 50)), max_size=20),
    st.integers(-10, 1100),
)
def test_heights_are_sums(values, changes, y):
    heights = Heights(values[:1])
    for value in values[1:]:
        heights.append(value)
    for index, value in changes:
        if index < len(values):
            heights.set(index, value)
            values[index] = value
        assert heights.top(min(index, len(values))) == sum(values[: min(index, len(values))])
    assert heights.total == sum(values)
    at = heights.at(y)
    assert sum(values[:at]) <= max(0, y) or at == 0
    assert y < sum(values[: at + 1]) or at == len(values) - 1


# --- Building ---


def test_a_long_conversation_builds_only_what_is_near(timeline):
    timeline.set_messages(conversation(300))
    assert len(views(timeline)) <= 3
    settle()
    assert len(views(timeline)) <= 12
    assert timeline.verticalScrollBar().value() == timeline.verticalScrollBar().maximum() > 0


def test_scrolling_through_keeps_few_widgets(timeline):
    timeline.set_messages(conversation(100))
    bar = timeline.verticalScrollBar()
    for _ in range(200):
        bar.setValue(bar.value() - 500)
        QApplication.processEvents()
    settle()
    assert len(views(timeline)) <= MOST_VIEWS
    assert top_of(timeline, 0) == 0


def test_messages_neither_overlap_nor_leave_gaps(timeline):
    timeline.set_messages(conversation(20))
    timeline.verticalScrollBar().setValue(700)
    settle()
    first = timeline.place_at(QPoint(100, 0)).message
    last = timeline.place_at(QPoint(100, 599)).message
    assert last > first
    for index in range(first, last):
        view = timeline.view_at(index)
        assert view.y() + view.height() == timeline.view_at(index + 1).y()


def test_blocks_fit_their_text(timeline):
    timeline.set_messages([user("q"), answer(LONG + "```\nx\n```\n\n- a\n- b\n\n# head")])
    view = timeline.view_at(1)
    bottoms = [block.y() + block.height() for block in view.block_views]
    tops = [block.y() for block in view.block_views]
    assert all(bottom <= top for bottom, top in zip(bottoms, tops[1:], strict=False))
    assert bottoms[-1] <= view.height()
    for leaf in view.leaves():
        assert leaf.verticalScrollBar().maximum() == 0


def test_a_text_is_measured_before_it_is_ever_shown(qtbot, looks):
    from qwen_desktop.ui.timeline.view import Timeline

    hidden, shown = Timeline(), Timeline()
    messages = [user("q"), answer("Some words. " * 100)]
    for built in (hidden, shown):
        qtbot.addWidget(built)
        built.resize(828, 600)
    shown.show()
    for built in (hidden, shown):
        built.set_messages(messages)
    hidden.show()
    settle()
    assert hidden.view_at(1).geometry() == shown.view_at(1).geometry()
    leaves = [next(built.view_at(1).leaves()).geometry() for built in (hidden, shown)]
    assert leaves[0] == leaves[1]


def test_the_column_is_centred_and_at_most_760_wide(timeline):
    timeline.set_messages([user("q"), answer("text")])
    timeline.resize(1212, 600)
    settle()
    (block,) = timeline.view_at(1).block_views
    assert (block.x(), block.width()) == (220, 760)
    timeline.resize(612, 600)
    settle()
    (block,) = timeline.view_at(1).block_views
    assert (block.x(), block.width()) == (24, 552)


def test_a_wide_table_scrolls_within_itself(timeline):
    row = "|" + "|".join(f"column {i} with words" for i in range(12)) + "|\n"
    timeline.set_messages([user("q"), answer(row + "|-" * 12 + "|\n" + row)])
    settle()
    (table,) = timeline.view_at(1).block_views
    assert table.width() <= 760
    assert table.horizontalScrollBar().maximum() > 0
    assert table.verticalScrollBar().maximum() == 0


# --- Following the end ---


def grow(timeline, message, times=30):
    for _ in range(times):
        message = message.appended(PartKind.TEXT, "More words.\n\n")
        timeline.change(message)
    settle()
    return message


def test_the_end_is_followed_until_the_user_scrolls_up(timeline):
    message = answer(status=Status.STREAMING)
    timeline.set_messages([*conversation(4), user("q"), message])
    bar = timeline.verticalScrollBar()
    message = grow(timeline, message)
    assert bar.value() == bar.maximum()
    assert not has_button(timeline, "Jump to latest")

    QTest.keyClick(timeline, Qt.Key.Key_PageUp)
    settle()
    held = bar.value()
    message = grow(timeline, message)
    assert bar.value() == held < bar.maximum()

    click(button(timeline, "Jump to latest"))
    assert bar.value() == bar.maximum()
    assert not has_button(timeline, "Jump to latest")
    grow(timeline, message)
    assert bar.value() == bar.maximum()


def test_scrolling_back_to_the_end_follows_again(timeline):
    message = answer(status=Status.STREAMING)
    timeline.set_messages([*conversation(4), user("q"), message])
    bar = timeline.verticalScrollBar()
    QTest.keyClick(timeline, Qt.Key.Key_Home)
    settle()
    assert bar.value() == 0
    QTest.keyClick(timeline, Qt.Key.Key_End)
    settle()
    grow(timeline, message)
    assert bar.value() == bar.maximum()


def test_a_new_question_is_scrolled_to(timeline):
    timeline.set_messages(conversation(10))
    bar = timeline.verticalScrollBar()
    bar.setValue(0)
    timeline.add(user("new"))
    assert bar.value() == bar.maximum()


@pytest.mark.parametrize("key", [Qt.Key.Key_Up, Qt.Key.Key_PageUp, Qt.Key.Key_Home])
def test_keys_scroll(timeline, key):
    timeline.set_messages(conversation(10))
    bar = timeline.verticalScrollBar()
    QTest.keyClick(timeline, key)
    assert bar.value() < bar.maximum()


def test_the_wheel_scrolls_over_text_and_code(timeline):
    timeline.set_messages([*conversation(10), answer("text\n\n```\ncode\n```")])
    settle()
    bar = timeline.verticalScrollBar()
    for leaf in timeline.view_at(10).leaves():
        bar.setValue(bar.maximum())
        point = leaf.mapTo(timeline, QPoint(20, 8))
        assert leaf.isAncestorOf(timeline.childAt(point))
        QTest.wheelEvent(timeline.windowHandle(), QPointF(point), QPoint(0, 120))
        assert bar.value() < bar.maximum()


def test_the_wheel_moves_wide_code_sideways(timeline):
    timeline.set_messages([*conversation(10), answer("```\n" + "wide " * 200 + "\n```")])
    settle()
    (leaf,) = timeline.view_at(10).leaves()
    point = leaf.mapTo(timeline, QPoint(20, 8))
    QTest.wheelEvent(timeline.windowHandle(), QPointF(point), QPoint(-120, 0))
    assert leaf.horizontalScrollBar().value() > 0
    bar = timeline.verticalScrollBar()
    assert bar.value() == bar.maximum()


def test_the_wheel_goes_past_the_bar_of_wide_code(timeline):
    timeline.set_messages([*conversation(10), answer("```\n" + "wide " * 200 + "\n```")])
    settle()
    (leaf,) = timeline.view_at(10).leaves()
    sideways, bar = leaf.horizontalScrollBar(), timeline.verticalScrollBar()
    point = sideways.mapTo(timeline, sideways.rect().center())
    assert timeline.childAt(point) is sideways
    QTest.wheelEvent(timeline.windowHandle(), QPointF(point), QPoint(-120, 0))
    assert sideways.value() > 0
    across = sideways.value()
    QTest.wheelEvent(timeline.windowHandle(), QPointF(point), QPoint(0, 120))
    assert sideways.value() == across
    assert bar.value() < bar.maximum()


# --- Staying put ---


def test_what_is_read_stays_while_heights_above_become_exact(timeline):
    timeline.set_messages(conversation(60))
    bar = timeline.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    place = timeline.place_at(QPoint(100, 200))
    top = top_of(timeline, place.message)
    settle()  # the neighbours are built
    assert top_of(timeline, place.message) == top
    assert timeline.place_at(QPoint(100, 200)) == place


def test_scrolling_up_into_unseen_messages_is_even(timeline):
    timeline.set_messages(conversation(60))
    bar = timeline.verticalScrollBar()
    for _ in range(60):
        place = timeline.place_at(QPoint(100, 300))
        before = timeline.view_at(place.message).y()
        bar.setValue(bar.value() - 60)
        assert timeline.view_at(place.message).y() == before + 60


def test_resizing_keeps_the_message_at_the_top(timeline):
    timeline.set_messages(conversation(60))
    bar = timeline.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settle()
    first = timeline.place_at(QPoint(100, 0)).message
    for width in (600, 500, 900):
        timeline.resize(width, 600)
        settle()
        assert timeline.place_at(QPoint(100, 0)).message == first


def test_resizing_keeps_the_end(timeline):
    timeline.set_messages(conversation(60))
    for size in ((500, 400), (900, 700)):
        timeline.resize(*size)
        settle()
        bar = timeline.verticalScrollBar()
        assert bar.value() == bar.maximum()


def test_an_ending_answer_does_not_move(timeline):
    from dataclasses import replace

    message = answer("word " * 50, Status.STREAMING)
    timeline.set_messages([*conversation(6), message])
    view = timeline.view_at(6)
    before = view.geometry()
    timeline.change(replace(message, status=Status.COMPLETE))
    assert view.geometry() == before


def test_unfolding_keeps_the_button_in_its_place(timeline):
    timeline.set_messages([*conversation(6), answer("Yes.", reasoning=LONG * 3)])
    settle()
    fold = button(timeline, "Thought")
    before = fold.mapTo(timeline, QPoint(0, 0))
    click(fold)
    settle()
    assert fold.mapTo(timeline, QPoint(0, 0)) == before


def test_a_million_characters_are_shown_in_part(timeline):
    text = "A line of a long message.\n" * 40_000
    timeline.set_messages([user(text), user("x" * 1_000_000), answer("ok")])
    settle()
    for index in (0, 1):
        shown = sum(len(leaf.toPlainText()) for leaf in timeline.view_at(index).leaves())
        assert 0 < shown <= 4_000
    click(button(timeline.view_at(0), "Show more (1,038,960 characters left)"))
    shown = sum(len(leaf.toPlainText()) for leaf in timeline.view_at(0).leaves())
    assert 30_000 < shown < 50_000


@pytest.mark.parametrize("lines", [41, 200])
def test_a_long_question_is_cut_until_asked_for(timeline, lines):
    text = "\n".join(f"line {i}" for i in range(lines))
    timeline.set_messages([user(text), answer("ok")])
    timeline.verticalScrollBar().setValue(0)
    settle()
    view = timeline.view_at(0)
    assert next(view.leaves()).toPlainText().endswith("line 39")
    click(button(view, "Show all"))
    assert "\n".join(leaf.toPlainText() for leaf in view.leaves()) == text
    assert not has_button(view, "Show all")


def test_forty_lines_are_shown_whole(timeline):
    timeline.set_messages([user("\n".join("x" for _ in range(40)))])
    assert not has_button(timeline, "Show all")


def test_what_was_unfolded_is_so_after_the_widget_was_gone(timeline):
    long = user("\n".join(f"line {i}" for i in range(60)))
    timeline.set_messages([long, *conversation(100)])
    bar = timeline.verticalScrollBar()
    bar.setValue(0)
    settle()
    bar.setValue(0)
    click(button(timeline.view_at(0), "Show all"))
    for _ in range(2000):  # as far as it takes: heights differ with the fonts
        if timeline.built_view(0) is None:
            break
        bar.setValue(bar.value() + timeline.viewport().height() // 2)
        QApplication.processEvents()
    assert timeline.built_view(0) is None
    bar.setValue(0)
    assert not has_button(timeline.view_at(0), "Show all")


def test_system_messages_are_not_shown(timeline):
    system = Message(Role.SYSTEM, (Part(PartKind.TEXT, "Be kind."),))
    question = user("q")
    timeline.set_messages([system, question])
    timeline.add(system)
    assert timeline.messages() == [question]


def test_clear_leaves_nothing(timeline):
    timeline.set_messages(conversation(10))
    timeline.clear()
    settle()
    assert views(timeline) == []
    assert timeline.verticalScrollBar().maximum() == 0
    assert timeline.place_at(QPoint(10, 10)) is None


def test_widgets_of_messages_that_stay_are_kept(timeline):
    messages = conversation(4)
    timeline.set_messages(messages)
    view = timeline.view_at(3)
    timeline.set_messages([*messages[:4], user("next")])
    assert timeline.view_at(3) is view
