"""Edits, versions, pins: what is shown, what the disk says, and an answer written meanwhile."""

from __future__ import annotations

from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.storage.store import Store
from tests.listed import listed


def texts(path):
    return [m.text for m in path if m.role is Role.USER]


def stored(desk):
    """The only conversation as the next start reads it."""
    desk.close()
    store = Store.open(desk.file)
    conversation = store.load(listed(store)[0].id)
    store.close()
    return conversation


def test_an_edited_message_is_a_branch_beside_the_old_one(desk):
    desk.ask_and_wait("first")
    old = desk.path()[0]
    desk.ask_and_wait("second")
    desk.chats.set_draft("half a thou")

    assert desk.chats.edit(old.id, "first, but better")
    desk.wait(lambda: len(desk.saved) == 3)

    question, answer = desk.path()
    assert question.text == "first, but better"
    assert answer.text
    tree = desk.chats.current.tree
    assert tree.versions(old.id) == (old.id, question.id)
    assert texts(tree.path(tree.newest_leaf(old.id))) == ["first", "second"]
    assert desk.opened[-1].tree.path()[0] == question  # shown as another path, nothing appended
    talk = desk.chats.current.id
    desk.chats.new()
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    assert desk.drafts[-1] == "half a thou"
    assert [row.title for row in desk.chats.list.top()] == ["first, but better"]
    assert stored(desk).tree == tree


def test_an_edit_in_the_middle_leaves_what_stands_before_it(desk):
    first = desk.ask_and_wait("first")
    desk.ask_and_wait("second")
    second = desk.path()[2]

    assert desk.chats.edit(second.id, "another second")
    desk.wait(lambda: len(desk.saved) == 3)

    assert texts(desk.path()) == ["first", "another second"]
    assert desk.path()[1].id == first.id


def test_an_edit_that_cannot_be_sent_is_refused_at_once(desk):
    desk.ask_and_wait("first")
    before = desk.chats.current
    question = before.tree.path()[0]

    assert not desk.chats.edit(question.id, " \n")
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("and on")
    assert not desk.chats.edit(question.id, "too early")

    assert len(desk.problems) == 2
    desk.chats.stop()
    desk.wait(lambda: not desk.chats.run.running)


def test_an_edit_that_does_not_fit_leaves_the_path_and_gives_its_text_back(desk):
    desk.ask_and_wait("short")
    before = desk.chats.current
    desk.chats.set_draft("typed")
    text = "word " * 40_000

    assert desk.chats.edit(before.tree.path()[0].id, text)
    desk.wait(lambda: desk.problems)

    assert "131,072" in desk.problems[0].text()
    assert desk.chats.current == before
    assert desk.opened[-1] == before
    assert desk.drafts[-1] == text
    desk.chats.new()
    desk.chats.open(before.id)
    desk.wait(lambda: desk.chats.current.id == before.id)
    assert desk.drafts[-1] == f"{text}\ntyped"


def test_any_answer_of_the_path_can_be_made_again(desk):
    first = desk.ask_and_wait("first")
    second = desk.ask_and_wait("second")
    desk.set(seed=2)

    desk.chats.retry(first.id)
    desk.wait(lambda: len(desk.saved) == 3)

    question, again = desk.path()
    assert question.text == "first"
    assert again.text != first.text
    tree = desk.chats.current.tree
    assert tree.versions(first.id) == (first.id, again.id)
    assert tree.newest_leaf(first.id) == second.id


def test_stepping_through_versions_is_kept_on_disk(desk):
    first = desk.ask_and_wait("first")
    second = desk.ask_and_wait("second")
    desk.chats.retry(first.id)
    desk.wait(lambda: len(desk.saved) == 3)
    again = desk.saved[-1]

    desk.chats.show_version(again.id, -1)

    assert desk.path()[-1].id == second.id  # its newest leaf
    assert desk.opened[-1] == desk.chats.current
    shown = desk.chats.current
    for beyond in (-1, 0, 2):
        desk.chats.show_version(first.id, beyond)  # there is none
    assert desk.chats.current is shown
    tree = stored(desk).tree
    assert tree == shown.tree
    assert tree.head == second.id


def test_versions_of_the_first_message_change_the_title_of_the_row(desk):
    desk.ask_and_wait("bees")
    desk.chats.edit(desk.path()[0].id, "ants")
    desk.wait(lambda: len(desk.saved) == 2)
    assert desk.chats.list.top()[0].title == "ants"

    desk.chats.show_version(desk.path()[0].id, -1)

    assert desk.chats.list.top()[0].title == "bees"
    assert stored(desk).summary().title == "bees"


def test_another_version_can_be_read_while_an_answer_is_written(desk):
    first = desk.ask_and_wait("first")
    desk.set(max_new_tokens=100_000, seed=2)
    desk.chats.retry(first.id)
    desk.wait(lambda: desk.path()[-1].text)
    live = desk.path()[-1].id
    changed = []
    desk.chats.message_changed.connect(changed.append)

    desk.chats.show_version(live, -1)

    shown = desk.chats.current
    assert desk.path()[-1] == first
    assert desk.chats.run.running
    assert desk.chats.run.answer_id == ""  # none of what is shown
    told = desk.answer_in_work().text
    desk.wait(lambda: len(desk.answer_in_work().text) > len(told) + 100)
    assert changed == []
    assert desk.chats.current.tree.head == shown.tree.head
    desk.chats.show_version(first.id, 1)  # and back
    assert len(desk.path()[-1].text) > len(told)
    assert desk.chats.run.answer_id == live
    desk.chats.show_version(live, -1)
    desk.chats.stop()
    desk.wait(lambda: len(desk.saved) == 2)
    assert desk.path()[-1] == first
    conversation = stored(desk)
    assert conversation.tree.head == first.id
    assert conversation.tree.messages[live] == desk.saved[-1]
    assert desk.saved[-1].status is Status.STOPPED


def test_a_version_chosen_before_a_retry_is_on_disk_is_read_at_the_next_start(desk):
    first = desk.ask_and_wait("first")
    desk.chats.retry(first.id)
    desk.chats.show_version(first.id, 0)
    desk.chats.show_version(desk.path()[-1].id, -1)  # the prompt is still being checked

    desk.wait(lambda: len(desk.saved) == 2)

    assert desk.path()[-1].id == first.id
    assert stored(desk).tree.head == first.id


def test_a_refused_retry_leaves_the_version_one_looks_at(desk):
    first = desk.ask_and_wait("first")
    desk.chats.retry(first.id)
    desk.wait(lambda: len(desk.saved) == 2)
    second = desk.path()[-1]
    desk.chats.retry(second.id)
    third = desk.path()[-1]
    desk.chats.show_version(third.id, -2)

    desk.chats.stop()  # while the prompt is checked

    assert desk.path()[-1].id == first.id
    tree = desk.chats.current.tree
    assert third.id not in tree.messages
    assert stored(desk).tree == tree


def test_pins_are_shown_and_kept_whatever_is_written_at_the_time(desk):
    desk.ask_and_wait("first")
    question, answer = desk.path()
    changed = []
    desk.chats.message_changed.connect(changed.append)

    desk.chats.set_pinned(question.id, True)
    assert changed[-1].pinned
    assert changed[-1].id == question.id
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("second")
    desk.chats.set_pinned(desk.path()[2].id, True)  # not on disk yet
    desk.chats.set_pinned(answer.id, True)
    desk.wait(lambda: desk.path()[-1].text)
    desk.chats.set_pinned(desk.path()[-1].id, True)  # being written
    desk.chats.set_pinned(answer.id, False)
    desk.chats.stop()
    desk.wait(lambda: len(desk.saved) == 2)

    assert [m.pinned for m in desk.path()] == [True, False, True, True]
    assert [m.pinned for m in stored(desk).tree.path()] == [True, False, True, True]


def test_opening_at_a_message_reads_the_branch_that_holds_it_and_goes_there(desk):
    desk.ask_and_wait("first")
    answer = desk.path()[-1]
    desk.ask_and_wait("second")
    old_branch = desk.path()
    desk.chats.edit(old_branch[0].id, "first, but better")
    desk.wait(lambda: len(desk.saved) == 3)
    talk, new_branch = desk.chats.current.id, desk.path()
    told = []
    desk.chats.jump_requested.connect(lambda id_: told.append((id_, desk.path())))

    desk.chats.open(talk, answer.id)  # it is shown: nothing is read from disk
    assert told.pop() == (answer.id, old_branch)
    assert desk.chats.list.top()[0].title == "first"
    desk.chats.open(talk, "no such message")
    desk.chats.new()
    desk.chats.open(talk, new_branch[0].id)
    desk.wait(lambda: told)
    assert told.pop() == (new_branch[0].id, new_branch)
    desk.chats.new()
    desk.chats.open(talk, new_branch[1].id)
    desk.chats.open(talk, old_branch[1].id)  # the latest counts
    desk.wait(lambda: told)
    assert told == [(old_branch[1].id, old_branch)]
    desk.close()
    store = Store.open(desk.file)
    assert store.load(talk).tree.head == old_branch[-1].id
    store.close()


def test_a_hit_in_the_conversation_that_streams_is_gone_to_without_the_disk(desk):
    desk.ask_and_wait("first")
    first = desk.path()
    desk.set(max_new_tokens=100_000)
    desk.chats.edit(first[0].id, "second")
    desk.wait(lambda: desk.path()[-1].text)
    talk = desk.chats.current.id
    desk.chats.new()
    told = []
    desk.chats.jump_requested.connect(told.append)
    desk.chats.open(talk, first[1].id)
    assert told == [first[1].id]
    assert desk.path() == first
    desk.chats.stop()
    desk.wait(lambda: len(desk.saved) == 2)
    assert desk.path() == first
