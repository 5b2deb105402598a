"""The conversation tree: order, paths and branches, and the row of a conversation."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.tree import (
    PREVIEW_LENGTH,
    TITLE_LENGTH,
    Conversation,
    Tree,
    one_line,
    title_from,
)


def said(role, text, parent=None, kind=PartKind.TEXT):
    return Message(
        role=role, parts=(Part(kind, text),), parent_id=None if parent is None else parent.id
    )


@st.composite
def grown_messages(draw):
    """Messages in the order of adding, each below an earlier one or a root."""
    messages = []
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from([None, *messages]))
        messages.append(said(draw(st.sampled_from(Role)), draw(st.text(max_size=5)), parent))
    return messages


def added_one_by_one(messages):
    tree = Tree()
    for message in messages:
        tree = tree.added(message)
    return tree


@given(grown_messages())
def test_adding_one_by_one_and_building_at_once_agree(messages):
    tree = added_one_by_one(messages)
    assert tree == Tree.of(messages)
    assert list(tree.messages.values()) == messages
    assert tree.head == (messages[-1].id if messages else None)


@given(grown_messages(), st.data())
def test_a_path_runs_from_a_root_to_its_leaf_through_parents(messages, data):
    tree = Tree.of(messages)
    leaf = data.draw(st.sampled_from([None, *messages]))
    path = tree.path(leaf.id if leaf else None)
    if not messages:
        assert path == ()
        return
    assert path[-1].id == (leaf.id if leaf else tree.head)
    assert path[0].parent_id is None
    assert all(b.parent_id == a.id for a, b in pairwise(path))
    assert tree.with_head(path[-1].id).path() == path


@given(grown_messages())
def test_children_part_the_messages_in_order(messages):
    tree = Tree.of(messages)
    branches = [tree.children(parent) for parent in [None, *tree.messages]]
    assert sorted(m.id for b in branches for m in b) == sorted(tree.messages)
    order = list(tree.messages)
    for branch in branches:
        places = [order.index(m.id) for m in branch]
        assert places == sorted(places)


@given(grown_messages(), st.data())
def test_positions_of_versions_are_those_among_the_branches(messages, data):
    tree = Tree.of(messages)
    leaf = data.draw(st.sampled_from([None, *messages]))
    path = tree.path(leaf.id if leaf else None)
    positions = tree.version_positions(path)
    for message in path:
        beside = tree.versions(message.id)
        if len(beside) == 1:
            assert message.id not in positions
        else:
            position, count = positions[message.id]
            assert (beside[position - 1], count) == (message.id, len(beside))
    assert set(positions) <= {message.id for message in path}


@given(grown_messages(), st.data())
def test_the_newest_leaf_lies_below_and_follows_the_last_branches(messages, data):
    if not messages:
        return
    tree = Tree.of(messages)
    start = data.draw(st.sampled_from(messages)).id
    leaf = tree.newest_leaf(start)
    assert tree.children(leaf) == ()
    path = [m.id for m in tree.path(leaf)]
    below = path[path.index(start) :]
    for parent, child in pairwise(below):
        assert tree.children(parent)[-1].id == child


@given(grown_messages(), st.data())
def test_changes_leave_the_old_tree_valid(messages, data):
    tree = Tree.of(messages)
    before = (dict(tree.messages), tree.head)
    parent = data.draw(st.sampled_from([None, *messages]))
    new = said(Role.USER, "new", parent)
    bigger = tree.added(new)
    changed = bigger.replaced(new.appended(PartKind.TEXT, "er"))
    assert changed.path()[-1].text == "newer"
    assert bigger.path()[-1].text == "new"
    assert list(changed.messages) == list(bigger.messages)
    assert (dict(tree.messages), tree.head) == before
    with pytest.raises(TypeError):
        tree.messages["x"] = new  # type: ignore[index]


def test_a_message_needs_its_parent_an_own_id_and_keeps_its_place():
    question = user_message("a", None)
    tree = Tree.of([question])
    answer = said(Role.ASSISTANT, "b", question)
    with pytest.raises(ValueError, match="parent"):
        Tree.of([answer, question])
    with pytest.raises(ValueError, match="parent"):
        Tree().added(answer)
    with pytest.raises(ValueError, match="already"):
        tree.added(question)
    moved = Message(role=Role.USER, parts=(), id=question.id, parent_id=answer.id)
    with pytest.raises(ValueError, match="move"):
        tree.replaced(moved)
    with pytest.raises(ValueError, match="head"):
        tree.with_head(answer.id)
    with pytest.raises(ValueError, match="head"):
        Tree.of([question], answer.id)


def test_a_tree_can_be_read_up_to_an_older_branch():
    question = user_message("a", None)
    first, second = (said(Role.ASSISTANT, text, question) for text in "bc")
    tree = Tree.of([question, first, second], first.id)
    assert [m.text for m in tree.path()] == ["a", "b"]
    assert [m.text for m in tree.with_head(second.id).path()] == ["a", "c"]


@given(st.text(), st.integers(1, 40))
def test_one_line_is_one_short_line_that_begins_the_text(text, limit):
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == " ".join(line.split())
    whole = " ".join(text.split())
    if line.endswith("…") and not whole.startswith(line):
        assert whole.startswith(line[:-1])
        assert len(whole) > len(line) - 1
    elif len(text) <= limit * 8:
        assert whole == line


def test_one_line_of_a_megabyte_is_its_beginning():
    assert one_line("word " * 200_000, 10) == "word word…"


def test_a_conversation_is_called_by_its_own_title_or_its_first_question():
    system = said(Role.SYSTEM, "Be brief.")
    question = said(Role.USER, "  Why is\nthe sky blue?  ", system)
    answer = said(Role.ASSISTANT, "Scattering.", question)
    conversation = Conversation(tree=Tree.of([system, question, answer]), updated_at=5.0)
    summary = conversation.summary()
    assert (summary.title, summary.preview) == ("Why is the sky blue?", "Scattering.")
    assert (summary.id, summary.updated_at) == (conversation.id, 5.0)
    own = Conversation(title="Physics", tree=conversation.tree)
    assert own.summary().title == "Physics"
    assert title_from([system]) == ""
    assert len(title_from([said(Role.USER, "x" * 500)])) == TITLE_LENGTH


def test_the_preview_is_the_last_message_that_says_something():
    question = user_message("y" * 500, None)
    thinking = said(Role.ASSISTANT, "hm", question, PartKind.REASONING)
    blank = said(Role.ASSISTANT, " \n", thinking)
    summary = Conversation(tree=Tree.of([question, thinking, blank])).summary()
    assert summary.preview.startswith("yyy")
    assert len(summary.preview) == PREVIEW_LENGTH
    assert Conversation().summary().preview == ""
