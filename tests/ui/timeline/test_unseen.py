"""What the model no longer sees is dimmed, and a line says where seeing begins again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint

from qwen_desktop.ui.theme import DARK, LIGHT
from qwen_desktop.ui.timeline.cards import GapCard
from qwen_desktop.ui.timeline.items import Item, mark_unseen
from qwen_desktop.ui.timeline.message import MessageView
from tests.ui.timeline.conftest import answer, button, click, settle, user

MIX = "Text\n\n```py\nx = 1\n```\n\n|a|\n|-|\n|b|\n\n> q\n\n- [x] t\n- u\n\n$$\nx\n$$"


def talk(count: int = 8):
    return [m for i in range(count // 2) for m in (user(f"question {i}"), answer(f"answer {i}"))]


def lines(timeline) -> dict[int, str]:
    """The sentence of each line, by the number of the message that it stands above."""
    found = {}
    for index in range(len(timeline.messages())):
        for card in timeline.view_at(index).findChildren(GapCard):
            if not card.isHidden():
                found[index] = card.text
    return found


def ink(timeline, index: int) -> set[str]:
    return {leaf.palette().text().color().name() for leaf in timeline.view_at(index).leaves()}


@given(st.lists(st.booleans(), max_size=12), st.lists(st.booleans(), max_size=12))
def test_marks_are_a_function_of_what_is_unseen(before, marks):
    items = [Item(user(str(i))) for i in range(len(marks))]

    def unseen(pattern):
        pairs = zip(items, pattern, strict=False)
        return {item.message.id for item, mark in pairs if mark}

    mark_unseen(items, unseen(before))
    old = [(item.unseen, item.gap) for item in items]
    changed = mark_unseen(items, unseen(marks))
    now = [(item.unseen, item.gap) for item in items]
    assert [item.unseen for item in items] == marks
    assert changed == [i for i in range(len(items)) if old[i] != now[i]]
    gaps = [i for i, item in enumerate(items) if item.gap is not None]
    if not any(marks) or marks[-1]:
        assert gaps == []
        return
    (at,) = gaps
    gap = items[at].gap
    assert marks[at - 1]
    assert not any(marks[at:])
    assert gap.count == sum(marks)
    assert gap.together == all(marks[at - gap.count : at])


def test_the_oldest_are_dimmed_above_the_line(timeline):
    messages = talk()
    timeline.set_messages(messages)
    timeline.set_unseen([m.id for m in messages[:4]])
    assert lines(timeline) == {4: "The model no longer sees the 4 messages above."}
    assert [ink(timeline, i) == {LIGHT.dim} for i in range(8)] == [True] * 4 + [False] * 4
    timeline.set_unseen([m.id for m in messages[:6]])
    assert lines(timeline) == {6: "The model no longer sees the 6 messages above."}
    timeline.set_unseen([])
    assert lines(timeline) == {}
    assert all(ink(timeline, i) == {LIGHT.text} for i in range(8))


def test_the_line_has_its_own_room(timeline):
    messages = talk()
    timeline.set_messages(messages)
    settle()
    before = timeline.view_at(4).height()
    timeline.set_unseen([m.id for m in messages[:4]])
    view = timeline.view_at(4)
    (line,) = view.findChildren(GapCard)
    assert view.height() >= before + line.height()
    assert line.geometry().bottom() < view.card.y()
    assert timeline.view_at(5).y() == view.geometry().bottom() + 1
    timeline.set_unseen([])
    assert timeline.view_at(4).height() == before


def test_the_line_stands_after_a_gap_in_the_middle(timeline):
    messages = talk()
    timeline.set_messages(messages)
    timeline.set_unseen([m.id for m in messages[2:4]])
    assert lines(timeline) == {4: "The model no longer sees the 2 messages above."}


def test_a_pinned_message_within_is_seen(timeline):
    messages = talk()
    messages[1] = replace(messages[1], pinned=True)
    timeline.set_messages(messages)
    timeline.set_unseen([messages[0].id, messages[2].id, messages[3].id])
    assert lines(timeline) == {4: "The model no longer sees 3 of the messages above."}
    assert ink(timeline, 1) == {LIGHT.text}


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_all_kinds_of_blocks_are_dimmed_and_come_back(timeline, theme):
    timeline.set_theme(theme)
    timeline.resize(828, 900)
    first = answer(MIX)
    timeline.set_messages([user("q"), first, user("r"), answer("t")])
    settle()
    bright = timeline.grab().toImage()
    timeline.set_unseen([first.id])
    settle()
    assert ink(timeline, 1) == {theme.dim}
    code = timeline.view_at(1).block_views[1]
    assert not code.body.document().firstBlock().layout().formats()
    timeline.set_unseen([])
    settle()
    assert timeline.grab().toImage() == bright


def test_the_line_asks_why(timeline, qtbot):
    messages = talk()
    timeline.set_messages(messages)
    timeline.set_unseen([messages[0].id])
    settle()
    with qtbot.waitSignal(timeline.policy_requested):
        click(button(timeline, "Why messages are left out"))
    for card in timeline.findChildren(GapCard):
        assert card.accessibleName() == card.text


def test_marking_builds_nothing(timeline):
    messages = talk(600)
    timeline.set_messages(messages)
    settle()
    before = set(timeline.findChildren(MessageView))
    timeline.set_unseen([m.id for m in messages[:500]])
    assert set(timeline.findChildren(MessageView)) == before
    bar = timeline.verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(0)
    settle()
    assert ink(timeline, 0) == {LIGHT.dim}


def test_what_is_read_stays_when_the_line_comes(timeline):
    messages = [m for i in range(20) for m in (user(f"{i}"), answer("Some words.\n\n" * 5))]
    timeline.set_messages(messages)
    bar = timeline.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settle()
    place = timeline.place_at(timeline.viewport().rect().center())
    y = timeline.view_at(place.message).y()
    timeline.set_unseen([m.id for m in messages[: place.message - 8]])
    settle()
    assert timeline.view_at(place.message).y() == y


def test_a_new_path_is_marked_too(timeline):
    messages = talk()
    timeline.set_messages(messages)
    timeline.set_unseen([m.id for m in messages[:2]])
    timeline.set_messages([*messages[:4], user("another")])
    assert lines(timeline) == {2: "The model no longer sees the 2 messages above."}
    timeline.set_messages(messages[:2])
    assert lines(timeline) == {}
    timeline.add(user("the next one"))
    assert lines(timeline) == {2: "The model no longer sees the 2 messages above."}


def test_an_unseen_message_can_be_selected_and_used(timeline, mouse):
    messages = talk()
    timeline.set_messages(messages)
    timeline.set_unseen([messages[0].id, messages[1].id])
    settle()
    timeline.verticalScrollBar().setValue(0)
    leaf = next(timeline.view_at(1).leaves())
    mouse.double_click(leaf.mapTo(timeline.viewport(), QPoint(10, 8)))
    assert timeline.selected_text() == "answer"
    assert button(timeline.view_at(1), "Retry").isEnabled()
