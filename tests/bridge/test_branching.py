"""A part of a conversation becomes another one, and messages go and come back."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.branching import BEING_WRITTEN
from qwen_desktop.bridge.list_change import ChangeKind
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.tree import Conversation, Tree
from tests.storage.test_merge import said


@pytest.fixture
def talk(desk):
    """A stored conversation of two turns, with options of its own; what can be undone."""
    first = said("bees?")
    older, newer = (said(text, first.id, Role.ASSISTANT) for text in ("older", "newer"))
    second = said("ants?", newer.id)
    last = said("six legs", second.id, Role.ASSISTANT)
    made = Conversation(
        title="Insects",
        tree=Tree.of([first, older, newer, second, last]),
        options=ChatOptions(values={"temperature": 0.5}),
    )
    desk.store.submit(lambda store: store.create(made))
    desk.chats.start("")
    desk.chats.open(made.id)
    desk.wait(lambda: desk.chats.current.id == made.id)
    desk.changes = []
    desk.chats.list.undoable.connect(desk.changes.append)
    return made


def texts(desk) -> list[str]:
    return [message.text for message in desk.path()]


def stored(desk, conversation_id):
    found = []
    desk.store.submit(lambda store: store.load(conversation_id), found.append)
    desk.wait(lambda: found)
    return found[0]


def test_a_branch_is_shown_and_goes_its_own_way(desk, talk):
    newer = talk.tree.path()[1]
    desk.chats.branch(newer.id, "Insects (branch)")
    branch = desk.chats.current
    assert branch.id != talk.id
    assert texts(desk) == ["bees?", "newer"]
    assert (branch.title, branch.options) == ("Insects (branch)", talk.options)
    assert not branch.tree.messages.keys() & talk.tree.messages.keys()
    assert stored(desk, branch.id) == branch
    answer = desk.ask_and_wait("and wasps?")
    assert [m.text for m in stored(desk, branch.id).tree.path()][2:] == ["and wasps?", answer.text]
    assert stored(desk, talk.id).tree == talk.tree


def test_a_branch_that_is_undone_is_in_the_bin_and_the_other_is_shown(desk, talk):
    desk.chats.branch(talk.tree.head, "Insects (branch)")
    branch = desk.chats.current
    assert desk.changes[0].kind is ChangeKind.BRANCHED
    desk.changes[0].undo()
    desk.wait(lambda: desk.chats.current.id == talk.id)
    assert desk.chats.list.is_deleted(branch.id)
    assert stored(desk, branch.id).tree == branch.tree  # what was said there since is not lost


def test_a_deleted_message_takes_along_what_hangs_below(desk, talk):
    newer = talk.tree.path()[1]
    desk.chats.delete_message(newer.id)
    assert texts(desk) == ["bees?", "older"]
    (change,) = desk.changes
    assert (change.kind, change.count) == (ChangeKind.MESSAGES_DELETED, 3)
    assert [m.text for m in stored(desk, talk.id).tree.messages.values()] == ["bees?", "older"]
    change.undo()
    assert texts(desk) == ["bees?", "newer", "ants?", "six legs"]
    assert stored(desk, talk.id).tree == talk.tree
    change.undo()  # once
    assert texts(desk) == ["bees?", "newer", "ants?", "six legs"]


def test_without_messages_it_is_empty_and_can_be_asked(desk, talk):
    desk.chats.delete_message(next(iter(talk.tree.messages)))
    assert desk.path() == ()
    assert desk.chats.current.id == talk.id
    desk.ask_and_wait("again")
    assert [m.role for m in stored(desk, talk.id).tree.path()] == [Role.USER, Role.ASSISTANT]
    desk.changes[0].undo()
    tree = desk.chats.current.tree
    assert len(tree.messages) == 7
    assert texts(desk)[0] == "again"  # one has gone on elsewhere
    assert stored(desk, talk.id).tree.messages == tree.messages


def test_it_comes_back_though_another_conversation_is_shown(desk, talk):
    desk.chats.delete_message(talk.tree.head)
    desk.chats.new()
    desk.changes[0].undo()
    assert desk.path() == ()
    assert stored(desk, talk.id).tree == talk.tree


def test_a_question_left_without_answer_is_answered(desk, talk):
    desk.chats.delete_message(talk.tree.head)
    assert texts(desk)[-1] == "ants?"
    desk.chats.retry(desk.path()[-1].id)
    desk.wait(lambda: desk.saved)
    assert [m.role for m in desk.path()][-2:] == [Role.USER, Role.ASSISTANT]


def test_what_is_being_written_is_neither_deleted_nor_copied(desk, talk):
    desk.set(max_new_tokens=4000)
    assert desk.chats.ask("more?")
    question, answer = desk.path()[-2:]
    desk.chats.delete_message(question.id)
    desk.chats.branch(answer.id, "x")
    assert len(desk.problems) == 2
    assert desk.path()[-1].id == answer.id
    desk.chats.branch(question.id, "up to the question")
    assert texts(desk)[-1] == "more?"
    desk.chats.open(talk.id)
    desk.chats.stop()
    desk.wait(lambda: not desk.chats.run.running)


def test_nothing_is_deleted_while_a_message_is_on_its_way_to_the_disk(desk, talk):
    old = talk.tree.head
    desk.chats.retry(old)  # what is read then is not on disk yet
    desk.chats.delete_message(old)
    assert desk.problems == [BEING_WRITTEN]
    assert old in desk.chats.current.tree.messages
    desk.wait(lambda: desk.saved)
    desk.chats.delete_message(old)
    assert stored(desk, talk.id).tree.messages.keys() == desk.chats.current.tree.messages.keys()
    assert len(desk.problems) == 1


def test_what_was_asked_since_is_still_read_when_a_deletion_is_undone_from_elsewhere(desk, talk):
    desk.chats.delete_message(talk.tree.head)
    desk.chats.retry(desk.path()[-1].id)
    desk.wait(lambda: desk.saved)
    now = desk.chats.current.tree.head
    desk.chats.new()
    desk.changes[0].undo()
    tree = stored(desk, talk.id).tree
    assert tree.messages.keys() >= talk.tree.messages.keys()
    assert tree.head == now


def test_what_came_back_meanwhile_stays_where_a_message_is_refused(desk, talk):
    desk.chats.delete_message(talk.tree.head)
    assert desk.chats.ask("far too long " * 50_000)
    desk.changes[0].undo()
    desk.wait(lambda: not desk.chats.run.running)
    assert desk.drafts
    assert desk.chats.current.tree.messages.keys() == talk.tree.messages.keys()
