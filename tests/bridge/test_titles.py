"""The model names a conversation while nobody waits; the user's own title always wins."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.titles import Titles
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status, user_message
from qwen_desktop.chat.titles import MAX_LENGTH, title_request
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.engine.engine import Engine
from tests.bridge.conftest import Desk


@pytest.fixture
def named(desk):
    """A desk where the model may name conversations."""
    desk.titles = Titles(desk.chats, desk.engine, lambda: desk.settings)
    desk.said = []
    desk.engine.titled.connect(lambda *told: desk.said.append(told))
    desk.settings["title_by_model"] = True
    return desk


def complete(desk: Desk, text: str):
    """An answer that ends by itself, of one character."""
    desk.set(stop_strings="\n".join("xyzq"), max_new_tokens=400)
    answer = desk.ask_and_wait(text)
    assert answer.status is Status.COMPLETE
    return answer


def row(desk: Desk):
    return desk.chats.list.row(desk.chats.current.id)


def test_after_the_first_answer_the_conversation_gets_a_title(named, tmp_path):
    complete(named, "tell me of bread")
    talk = named.chats.current.id
    named.wait(lambda: named.said)
    named.wait(lambda: named.chats.current.title)

    title = named.chats.current.title
    assert 0 < len(title) <= MAX_LENGTH
    assert row(named).title == title
    store = named.on_disk(tmp_path / "copy")
    assert store.load(talk).title == title
    store.close()


def test_the_next_turn_finds_all_that_was_read(named, endless, qtbot, tmp_path):
    complete(named, "a question")
    named.wait(lambda: named.said)
    with_title = complete(named, "and then?").stats
    named.close()

    other = Desk(qtbot, tmp_path / "other" / "conversations.db")
    try:
        other.load(endless)
        complete(other, "a question")
        without = complete(other, "and then?").stats
    finally:
        other.close()
    assert with_title.prompt_tokens == without.prompt_tokens
    assert with_title.reused_tokens >= without.reused_tokens > 0
    assert len(named.said) == 1  # it has a title now


def test_off_means_that_nothing_is_computed(named):
    named.settings["title_by_model"] = False
    asked = []
    named.engine._title.connect(lambda *_: asked.append(1))
    complete(named, "a question")
    complete(named, "another")
    assert asked == []
    assert named.chats.current.title == ""


def test_a_title_of_the_users_own_stays(named):
    asked = []
    named.engine._title.connect(lambda *_: asked.append(1))
    named.chats.answered.disconnect(named.titles._on_answered)
    complete(named, "a question")
    talk = named.chats.current.id
    named.chats.list.rename(talk, "Mine")
    named.chats.answered.connect(named.titles._on_answered)
    complete(named, "another")
    assert asked == []

    # One that was asked for before it was renamed comes too late.
    named.titles._on_titled(talk, "the title of the model")
    done = []
    named.store.settle(done.append)
    named.wait(lambda: done)
    assert named.chats.current.title == "Mine"
    assert row(named).title == "Mine"


def test_what_is_asked_meanwhile_comes_first_and_it_is_tried_again(named, monkeypatch):
    steps, ends = [], []
    original = Engine.write_title

    def endless_title(_engine, _request, cancel):
        while not cancel.is_set():
            steps.append(1)
            yield
        ends.append(1)
        return "too late"

    monkeypatch.setattr(Engine, "write_title", endless_title)
    complete(named, "a question")
    named.wait(lambda: len(steps) > 2)
    monkeypatch.setattr(Engine, "write_title", original)
    complete(named, "another question")

    named.wait(lambda: named.said)
    assert len(named.said) == 1
    assert named.said[0][1] != "too late"
    named.wait(lambda: named.chats.current.title)


def test_an_answer_that_was_cut_short_is_no_reason_for_a_title(named):
    asked = []
    named.engine._title.connect(lambda *_: asked.append(1))
    named.set(stop_strings="", max_new_tokens=5)
    assert named.ask_and_wait("a question").status is Status.LENGTH
    assert asked == []


def test_the_model_is_asked_about_the_first_question_and_its_answer():
    first = user_message("怎么烤面包？", None)
    answer = Message(Role.ASSISTANT, (Part(PartKind.TEXT, "先和面。"),), parent_id=first.id)
    more = user_message("然后呢？", answer.id)
    request = title_request(Conversation(tree=Tree.of((first, answer, more))))
    (asked,) = request.messages
    assert "怎么烤面包？" in asked.text
    assert "先和面。" in asked.text
    assert "然后呢" not in asked.text
    assert not request.settings.thinking
    assert title_request(Conversation(tree=Tree.of((first,)))) is None
