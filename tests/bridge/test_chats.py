"""Asking, stopping, retrying, refusing and ending: on real threads with a real engine and store."""

from __future__ import annotations

import threading

import pytest
import torch

from qwen_desktop.bridge import answering
from qwen_desktop.bridge.list_change import ChangeKind
from qwen_desktop.chat.messages import PartKind, Role, Status
from qwen_desktop.chat.summary import Place
from qwen_desktop.errors import Known
from qwen_desktop.storage.store import Store
from tests.bridge.conftest import Desk
from tests.listed import listed


def test_an_answer_streams_and_is_on_disk(desk):
    seen = []
    desk.chats.message_changed.connect(lambda m: seen.append(m.text))

    answer = desk.ask_and_wait("hello there")

    assert answer.status is Status.LENGTH  # forty tokens of a model that never stops
    assert answer.stats.new_tokens == 40
    assert answer.stats.model == "Endless-Chat"
    assert all(later.startswith(earlier) for earlier, later in zip(seen, seen[1:]))
    desk.close()
    store = Store.open(desk.file)
    (row,) = listed(store)
    assert row.title == "hello there"
    assert store.load(row.id).tree.path() == desk.path()
    store.close()


def test_the_row_of_a_chat_shows_the_end_of_the_answer_at_once(desk):
    desk.ask_and_wait("hello there")
    desk.wait(lambda: desk.chats.list._reading is None)  # what is read has been taken
    row = desk.chats.list.row(desk.chats.current.id)
    assert row.preview == desk.chats.current.summary().preview
    assert row.preview != "hello there"


def test_the_question_is_on_disk_before_the_answer_begins(desk, tmp_path):
    desk.set(max_new_tokens=3000)
    copies = []

    def look(message):
        if not copies:
            copies.append(desk.on_disk(tmp_path / "copy"))

    desk.chats.message_changed.connect(look)
    desk.chats.ask("is it kept?")
    desk.wait(lambda: copies)

    (row,) = listed(copies[0])
    question, answer = copies[0].load(row.id).tree.path()
    assert question.text == "is it kept?"
    assert answer.status is Status.INTERRUPTED  # as a start after a crash would show it
    copies[0].close()


def test_the_answer_is_journalled_while_it_streams(desk, tmp_path):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("a long one")
    desk.wait(lambda: len(desk.path()) == 2 and len(desk.path()[1].text) > 400)
    shown = desk.path()[1].text

    def journalled() -> str:
        store = desk.on_disk(tmp_path / f"copy{len(list(tmp_path.iterdir()))}")
        text = store.load(listed(store)[0].id).tree.path()[1].text
        store.close()
        return text

    desk.wait(lambda: len(journalled()) >= len(shown))
    assert journalled().startswith(shown)
    desk.chats.stop()


def test_stop_keeps_the_text_and_the_next_question_works(desk):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("go on")
    desk.wait(lambda: len(desk.path()) == 2 and desk.path()[1].text)
    text = desk.path()[1].text

    desk.chats.stop()
    desk.wait(lambda: desk.saved)

    assert desk.saved[0].status is Status.STOPPED
    assert desk.saved[0].text.startswith(text)
    desk.set(max_new_tokens=5)
    assert desk.ask_and_wait("and now?").status is Status.LENGTH
    assert [m.role for m in desk.path()] == [Role.USER, Role.ASSISTANT] * 2


def test_a_second_turn_reuses_the_first(desk):
    first = desk.ask_and_wait("one")
    second = desk.ask_and_wait("two")

    assert second.stats.prompt_tokens > first.stats.prompt_tokens + first.stats.new_tokens
    assert second.stats.reused_tokens >= first.stats.prompt_tokens


def test_retry_is_a_new_branch_and_keeps_the_old_answer(desk):
    first = desk.ask_and_wait("question")
    desk.set(seed=2)

    desk.chats.retry(first.id)
    desk.wait(lambda: len(desk.saved) == 2)

    question, answer = desk.path()
    assert answer.id != first.id
    assert {m.id for m in desk.chats.current.tree.children(question.id)} == {first.id, answer.id}
    desk.close()
    store = Store.open(desk.file)
    tree = store.load(listed(store)[0].id).tree
    assert tree.messages[first.id].text == first.text
    assert tree.head == answer.id
    store.close()


def test_a_prompt_over_the_context_is_refused_and_the_text_comes_back(desk):
    desk.ask_and_wait("short")
    before = desk.chats.current
    text = "word " * 40_000

    desk.chats.set_draft(text)
    assert desk.chats.ask(text)
    desk.chats.set_draft("")  # the composer empties itself
    desk.wait(lambda: desk.problems)

    assert "131,072" in desk.problems[0].text()
    assert not desk.problems[0].is_bug
    assert desk.chats.current == before
    assert desk.opened[-1] == before
    assert desk.drafts[-1] == text
    assert not desk.chats.run.running
    assert desk.ask_and_wait("short again")


def test_stop_while_the_prompt_is_checked_gives_the_text_back(desk):
    text = "word " * 10_000
    assert desk.chats.ask(text)

    desk.chats.stop()

    assert not desk.chats.run.running
    assert desk.drafts[-1] == text
    assert not desk.path()
    assert desk.problems == []
    desk.ask_and_wait("the next one works")
    assert [row.title for row in desk.chats.list.top()] == ["the next one works"]


def test_a_conversation_that_cannot_be_read_leaves_the_one_that_is_shown(desk):
    desk.chats.open("nobody")
    desk.wait(lambda: desk.problems)

    assert desk.opened[-1] == desk.chats.current
    assert desk.ask_and_wait("still at work")


def test_what_cannot_be_sent_is_refused_at_once(desk):
    assert not desk.chats.ask("  \n ")
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("first")

    assert not desk.chats.ask("second, too early")

    assert len(desk.problems) == 2
    assert "first" in desk.problems[1].text()
    desk.wait(lambda: desk.path()[-1].text)
    desk.chats.stop()
    desk.wait(lambda: desk.saved)
    assert len(desk.path()) == 2


def test_without_a_store_nothing_is_generated_and_the_text_comes_back(desk, tmp_path):
    desk.close()
    blocked = tmp_path / "blocked"
    blocked.mkdir()  # a directory where the database should be
    from tests.bridge.conftest import Desk

    other = Desk(desk.qtbot, blocked)
    other.load(desk.models.state.info.folder)

    other.chats.ask("precious words")
    other.wait(lambda: other.drafts)

    assert other.drafts[-1] == "precious words"
    assert not other.chats.current.tree.messages
    assert str(blocked) in other.problems[-1].text()
    other.close()


def test_an_answer_goes_on_while_another_conversation_is_read(desk):
    desk.ask_and_wait("the first talk")
    first = desk.chats.current.id
    desk.chats.new()
    desk.set(max_new_tokens=300)
    desk.chats.ask("the second talk")
    second = desk.chats.current.id
    desk.wait(lambda: desk.path()[-1].text)

    desk.chats.open(first)
    desk.wait(lambda: desk.chats.current.id == first)
    desk.wait(lambda: len(desk.saved) == 2)

    assert len(desk.path()) == 2
    assert desk.path()[0].text == "the first talk"
    desk.chats.open(second)
    desk.wait(lambda: desk.chats.current.id == second)
    assert desk.path()[-1].stats.new_tokens == 300
    assert [row.id for row in desk.chats.list.top()] == [second, first]


def test_opening_the_conversation_that_streams_shows_it_live(desk):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("a live talk")
    live = desk.chats.current.id
    desk.wait(lambda: desk.path()[-1].text)
    desk.chats.new()
    assert desk.path() == ()

    desk.chats.open(live)

    shown = desk.path()[-1].text
    assert shown
    desk.wait(lambda: len(desk.path()[-1].text) > len(shown))
    desk.chats.stop()
    desk.wait(lambda: desk.saved)


def test_deleting_the_conversation_that_streams_stops_it_and_undo_brings_all_back(desk):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("to be deleted")
    talk = desk.chats.current.id
    desk.wait(lambda: desk.path()[-1].text)

    with desk.qtbot.waitSignal(desk.chats.list.undoable) as told:
        desk.chats.list.delete([talk])
    desk.wait(lambda: desk.saved)

    (change,) = told.args
    assert (change.kind, change.title) == (ChangeKind.DELETED, "to be deleted")
    assert desk.chats.list.top() == ()
    assert desk.path() == ()
    change.undo()
    desk.wait(lambda: desk.chats.current.id == talk)
    assert [row.id for row in desk.chats.list.top()] == [talk]
    assert desk.path()[-1].text == desk.saved[0].text


def test_deleting_several_leaves_the_shown_one_and_undo_shows_it_again(desk):
    talks = []
    for text in ("one", "two", "three"):
        desk.chats.new()
        desk.ask_and_wait(text)
        talks.append(desk.chats.current.id)
    changes = []
    desk.chats.list.undoable.connect(changes.append)

    desk.chats.list.delete(talks[1:])
    assert desk.path() == ()
    assert [row.id for row in desk.chats.list.top()] == talks[:1]
    changes[0].undo()
    desk.wait(lambda: desk.chats.current.id == talks[2])

    desk.chats.list.delete(talks)
    desk.chats.set_draft("something else")
    desk.ask_and_wait("four")
    changes[1].undo()  # what is shown by now stays
    desk.wait(lambda: len(desk.chats.list.top()) == 4)
    assert desk.path()[0].text == "four"


def test_a_message_sent_in_the_bin_brings_the_conversation_back(desk):
    desk.ask_and_wait("hello")
    talk = desk.chats.current.id
    desk.chats.list.delete([talk])
    assert desk.chats.current.id != talk
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    assert desk.path()[0].text == "hello"
    assert desk.chats.list.top() == ()

    desk.ask_and_wait("and again")
    assert [row.id for row in desk.chats.list.top()] == [talk]
    desk.close()
    store = Store.open(desk.file)
    (row,) = store.listing.rows([talk])
    assert row.place is Place.CHATS
    assert len(store.load(talk).tree.path()) == 4
    store.close()


def test_removing_the_shown_conversation_for_good_shows_a_new_one(desk):
    desk.ask_and_wait("hello")
    talk = desk.chats.current.id
    desk.chats.list.delete([talk])
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    desk.chats.list.empty_bin()
    assert desk.path() == ()
    desk.close()
    store = Store.open(desk.file)
    with pytest.raises(Known):
        store.load(talk)
    store.close()


def test_what_was_typed_in_a_conversation_goes_with_it_for_good(desk):
    desk.ask_and_wait("Hello")
    talk, question = desk.chats.current.id, desk.path()[0].id
    desk.chats.list.delete((talk,))
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    desk.chats.set_draft("never mind")
    desk.chats.set_edit(question, "Hello again")
    desk.chats.leaving.connect(lambda: desk.chats.set_draft("never mind, I said"))
    desk.chats.list.delete_for_good((talk,))
    desk.chats.leaving.disconnect()
    desk.close()
    store = Store.open(desk.file)
    assert dict(store.drafts()) == {}
    store.close()


def test_what_the_model_calls_it_is_its_title_unless_it_was_renamed(desk):
    desk.ask_and_wait("hello")
    talk = desk.chats.current.id
    desk.chats.set_title_by_model(talk, "Greetings")
    desk.wait(lambda: desk.chats.list.top()[0].title == "Greetings")
    assert desk.chats.current.title == "Greetings"
    desk.chats.list.rename(talk, "Mine")
    desk.chats.set_title_by_model(talk, "Greetings again")
    desk.ask_and_wait("more")
    assert desk.chats.list.top()[0].title == desk.chats.current.title == "Mine"


def test_renaming_holds_for_the_list_the_window_and_the_disk(desk):
    desk.ask_and_wait("hello")
    talk = desk.chats.current.id

    desk.chats.list.rename(talk, "  A  better\ntitle ")
    desk.chats.list.rename(talk, "   ")
    desk.ask_and_wait("more")

    assert desk.chats.list.top()[0].title == "A better title"
    desk.close()
    store = Store.open(desk.file)
    assert listed(store)[0].title == "A better title"
    store.close()


def test_closing_in_the_middle_keeps_the_text_as_interrupted(desk):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("unfinished")
    desk.wait(lambda: len(desk.path()) == 2 and desk.path()[1].text)
    text = desk.path()[1].text

    desk.close()

    store = Store.open(desk.file)
    _, answer = store.load(listed(store)[0].id).tree.path()
    assert answer.status is Status.INTERRUPTED
    assert answer.text.startswith(text)
    store.close()


def test_a_new_start_shows_the_list_the_last_talk_and_the_drafts(desk, endless):
    from tests.bridge.conftest import Desk

    desk.ask_and_wait("remember me")
    talk = desk.chats.current.id
    desk.chats.set_draft("half a thou")
    desk.chats.new()
    desk.chats.set_draft("for a new talk")
    desk.close()

    again = Desk(desk.qtbot, desk.file)
    again.chats.start(talk)
    again.wait(lambda: again.opened)

    assert [row.title for row in again.chats.list.top()] == ["remember me"]
    assert [m.role for m in again.path()] == [Role.USER, Role.ASSISTANT]
    assert again.drafts[-1] == "half a thou"
    again.chats.new()
    assert again.drafts[-1] == "for a new talk"
    again.close()


def test_text_typed_while_a_message_is_being_sent_is_not_lost(desk):
    desk.chats.ask("sent")
    desk.chats.set_draft("")
    desk.chats.set_draft("typed meanwhile")
    desk.wait(lambda: desk.saved)
    talk = desk.chats.current.id

    desk.chats.new()
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)

    assert desk.drafts[-1] == "typed meanwhile"


def test_a_refused_message_joins_what_is_typed_in_another_new_chat(desk):
    text = "word " * 40_000
    desk.chats.set_draft(text)
    desk.chats.ask(text)
    desk.chats.set_draft("")

    desk.chats.new()
    assert desk.drafts[-1] == ""  # it is on its way
    desk.chats.set_draft("typed there")
    desk.wait(lambda: desk.problems)

    assert desk.drafts[-1] == text  # for the composer, which puts what is typed below
    desk.chats.new()
    assert desk.drafts[-1] == f"{text}\ntyped there"


def test_a_message_on_disk_is_no_draft_there_any_more(desk, endless):
    desk.load(endless)
    desk.chats.set_draft("sent")
    desk.chats.flush()
    desk.chats.ask("sent")
    desk.chats.set_draft("")  # the composer empties itself
    desk.wait(lambda: desk.chats.list.row_at(0))
    found = []
    desk.store.submit(lambda store: store.drafts(), found.append)
    desk.wait(lambda: found)
    assert not found[0]
    desk.chats.stop()


def test_a_sent_message_leaves_the_draft_of_another_new_chat_alone(desk):
    desk.chats.set_draft("sent")
    desk.chats.ask("sent")
    desk.chats.set_draft("")
    desk.chats.new()
    desk.chats.set_draft("typed there")
    desk.wait(lambda: desk.saved)

    desk.chats.new()

    assert desk.drafts[-1] == "typed there"


def test_closing_keeps_a_message_on_its_way_and_what_was_typed_after_it(desk):
    from tests.bridge.conftest import Desk

    desk.chats.ask("on its way")
    desk.chats.set_draft("and after it")
    desk.close()

    again = Desk(desk.qtbot, desk.file)
    again.chats.start("")
    again.wait(lambda: again.drafts)
    assert again.drafts[-1] == "on its way\nand after it"
    again.close()


def test_a_draft_is_not_lost_to_what_is_typed_before_it_is_read(desk):
    from tests.bridge.conftest import Desk

    desk.chats.set_draft("kept")
    desk.close()

    again = Desk(desk.qtbot, desk.file)
    again.chats.set_draft("early")
    again.chats.start("")
    again.wait(lambda: again.drafts)
    assert again.drafts[-1] == "kept\nearly"
    again.close()


def test_a_panic_of_a_library_ends_the_answer_and_nothing_else(desk, monkeypatch):
    class Panic(BaseException):
        """As libraries written in Rust raise it."""

    def panic(*_: object, **__: object) -> None:
        raise Panic("overflow")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", panic)
        failed = desk.ask_and_wait("first")

    assert failed.status is Status.FAILED
    assert "overflow" in failed.error
    assert desk.ask_and_wait("second").status is Status.LENGTH


def test_what_could_not_be_journalled_comes_before_what_followed(
    qtbot, tmp_path, endless, monkeypatch
):
    begun, go, written = threading.Event(), threading.Event(), []
    journal = Store.journal_pieces

    def once_in_vain(store, message_id, pieces):
        if not begun.is_set():
            begun.set()
            assert go.wait(60)
            raise RuntimeError("a mistake of ours")
        journal(store, message_id, pieces)
        written.extend(text for _, text, _ in pieces)

    monkeypatch.setattr(Store, "journal_pieces", once_in_vain)
    monkeypatch.setattr(answering, "JOURNAL_MS", 1)
    desk = Desk(qtbot, tmp_path / "data" / "conversations.db")
    try:
        desk.load(endless)
        desk.set(max_new_tokens=100_000)
        desk.chats.ask("a question")
        desk.wait(begun.is_set)
        shown = len(desk.answer_in_work().text)
        desk.wait(lambda: len(desk.answer_in_work().text) > shown + 200)
        go.set()
        desk.wait(lambda: len("".join(written)) > shown + 200)
        assert desk.answer_in_work().text.startswith("".join(written))
    finally:
        desk.close()


def test_reasoning_and_text_are_journalled_as_parts_of_their_own():
    from qwen_desktop.bridge.run import Run, RunKind
    from qwen_desktop.chat.events import Delta
    from qwen_desktop.chat.messages import pending_answer, user_message
    from qwen_desktop.chat.model import GenerationRequest
    from qwen_desktop.chat.settings import GenerationSettings
    from qwen_desktop.chat.tree import Conversation, Tree

    question = user_message("q", None)
    answer = pending_answer(question.id, "m")
    talk = Conversation(tree=Tree.of([question, answer]))
    request = GenerationRequest(talk.id, (question,), GenerationSettings())
    run = Run(Conversation(id=talk.id), talk, answer, request, RunKind.ASK, "q", True)

    for token, (kind, text) in enumerate([("reasoning", "a"), ("reasoning", "b"), ("text", "c")]):
        run.take(Delta(PartKind(kind), text, (token,)))
    first = run.unsaved()
    run.take(Delta(PartKind.TEXT, "d", (3, 4)))
    run.put_back(first)

    assert first == [(PartKind.REASONING, "ab", (0, 1)), (PartKind.TEXT, "c", (2,))]
    assert run.unsaved() == [(PartKind.REASONING, "ab", (0, 1)), (PartKind.TEXT, "cd", (2, 3, 4))]
    assert run.unsaved() == []
    assert run.answer.reasoning == "ab"
    assert run.answer.text == "cd"
