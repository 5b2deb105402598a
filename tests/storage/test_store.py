"""The store at its public face: order, titles, ends of a run, mistakes of a caller."""

from dataclasses import replace

import pytest

from qwen_desktop.chat.messages import (
    Message,
    Part,
    PartKind,
    Role,
    Status,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage.store import Store
from tests.listed import listed


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profile" / "conversations.db"


@pytest.fixture
def store(file):
    opened = Store.open(file)
    yield opened
    opened.close()


def asked(store, text="Why is the sky blue?", **more):
    """A stored conversation with one question."""
    conversation = Conversation(tree=Tree.of([user_message(text, None)]), **more)
    store.create(conversation)
    return conversation


def answering(store, conversation):
    """A streaming answer below the head of a stored conversation."""
    answer = pending_answer(conversation.tree.head, "Qwen3-4B")
    store.add_message(conversation.id, answer)
    return answer


def test_a_new_profile_is_empty_and_its_folder_is_made(store, file):
    assert listed(store) == ()
    assert store.drafts() == {}
    assert file.exists()


def test_a_whole_chat_survives_a_restart(store, file):
    conversation = asked(store)
    answer = answering(store, conversation)
    store.journal(answer.id, PartKind.REASONING, "Rayleigh…")
    store.journal(answer.id, PartKind.TEXT, "Scattering.")
    done = replace(
        answer,
        parts=(Part(PartKind.REASONING, "Rayleigh…"), Part(PartKind.TEXT, "Scattering.")),
        status=Status.COMPLETE,
    )
    store.finish(conversation.id, done)
    before = (store.load(conversation.id), listed(store))
    store.close()
    again = Store.open(file)
    assert (again.load(conversation.id), listed(again)) == before
    assert again.load(conversation.id).tree.path()[-1] == done
    (summary,) = listed(again)
    assert (summary.title, summary.preview) == ("Why is the sky blue?", "Scattering.")
    again.close()


def test_a_closed_store_leaves_one_file(store, file):
    asked(store)
    store.close()
    store.close()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_conversation_spoken_in_last_is_the_first_of_the_list(store):
    old = asked(store, "old", updated_at=1.0)
    new = asked(store, "new", updated_at=2.0)
    assert [s.id for s in listed(store)] == [new.id, old.id]
    store.rename(old.id, "still old")
    assert [s.id for s in listed(store)] == [new.id, old.id]
    store.add_message(old.id, user_message("again", old.tree.head))
    assert [s.id for s in listed(store)] == [old.id, new.id]


def test_of_conversations_of_one_moment_the_later_made_is_first(store):
    made = [asked(store, str(number), updated_at=1.0).id for number in range(4)]
    assert [s.id for s in listed(store)] == made[::-1]


def test_a_running_answer_can_be_read_with_what_was_journalled(store):
    conversation = asked(store)
    answer = answering(store, conversation)
    for piece in ("One", " two", " three"):
        store.journal(answer.id, PartKind.TEXT, piece)
    read = store.load(conversation.id).tree.path()[-1]
    assert (read.text, read.status) == ("One two three", Status.STREAMING)


def test_an_answer_cut_off_by_the_end_of_the_program_is_interrupted(store, file):
    conversation = asked(store)
    answer = answering(store, conversation)
    store.journal(answer.id, PartKind.REASONING, "Let me think.")
    store.journal(answer.id, PartKind.TEXT, "Half an ans")
    store.close()
    again = Store.open(file)
    read = again.load(conversation.id).tree.path()[-1]
    assert read.status is Status.INTERRUPTED
    assert read.parts == (
        Part(PartKind.REASONING, "Let me think."),
        Part(PartKind.TEXT, "Half an ans"),
    )
    assert read.stats == answer.stats
    assert listed(again)[0].preview == "Half an ans"
    again.close()


def test_an_interrupted_answer_is_shown_so_even_where_tidying_was_impossible(
    store, file, monkeypatch
):
    conversation = asked(store)
    answer = answering(store, conversation)
    store.journal(answer.id, PartKind.TEXT, "Half")
    monkeypatch.setattr("qwen_desktop.storage.database.BUSY_SECONDS", 0.05)
    store.database.connection.execute("BEGIN IMMEDIATE")  # nobody else can write now
    other = Store.open(file)
    read = other.load(conversation.id).tree.path()[-1]
    other.close()
    store.database.connection.execute("ROLLBACK")
    assert (read.text, read.status) == ("Half", Status.INTERRUPTED)


def test_an_answer_goes_on_though_a_second_program_took_it_for_interrupted(store, file):
    conversation = asked(store)
    answer = answering(store, conversation)
    store.journal(answer.id, PartKind.TEXT, "One ")
    Store.open(file).close()
    store.journal(answer.id, PartKind.TEXT, "two")
    assert store.load(conversation.id).tree.path()[-1].text == "One two"
    store.finish(
        conversation.id, replace(answer, status=Status.STOPPED).appended(PartKind.TEXT, "One two")
    )
    read = store.load(conversation.id).tree.path()[-1]
    assert (read.text, read.status) == ("One two", Status.STOPPED)


def test_an_untitled_conversation_is_called_by_its_first_question(store):
    system = Message(role=Role.SYSTEM, parts=(Part(PartKind.TEXT, "Be brief."),))
    conversation = Conversation(tree=Tree.of([system]))
    store.create(conversation)
    assert listed(store)[0].title == ""
    first = user_message("First   question?", system.id)
    store.add_message(conversation.id, first)
    store.add_message(conversation.id, user_message("Second?", first.id))
    assert listed(store)[0].title == "First question?"
    assert store.load(conversation.id).title == ""
    store.rename(conversation.id, "Mine")
    store.add_message(conversation.id, user_message("Other first?", system.id))
    assert listed(store)[0].title == "Mine"
    assert store.load(conversation.id).title == "Mine"
    store.rename(conversation.id, "")
    assert listed(store)[0].title == "Other first?"
    store.set_head(conversation.id, first.id)
    assert listed(store)[0].title == "First question?"


def test_deleting_can_be_undone(store, file):
    conversation = asked(store)
    answer = answering(store, conversation)
    store.listing.delete([conversation.id])
    assert listed(store) == ()
    # An answer that was running when its conversation went is still kept.
    store.journal(answer.id, PartKind.TEXT, "late")
    store.close()
    again = Store.open(file)
    assert again.load(conversation.id).tree.path()[-1].text == "late"  # in the bin too
    again.listing.restore([conversation.id])
    assert again.load(conversation.id).tree.path()[-1].text == "late"
    assert [s.id for s in listed(again)] == [conversation.id]
    again.close()


def test_drafts_are_kept_per_conversation_and_for_a_new_chat(store, file):
    conversation = asked(store)
    store.save_draft("", "a new question")
    store.save_draft(conversation.id, "first try")
    store.save_draft(conversation.id, " second try\n")
    store.close()
    again = Store.open(file)
    assert again.drafts() == {"": "a new question", conversation.id: " second try\n"}
    again.save_draft(conversation.id, "")
    assert again.drafts() == {"": "a new question"}
    again.close()


def test_a_megabyte_in_one_message_is_kept_whole(store):
    text = "你好 world\n" * 100_000
    conversation = asked(store, text)
    assert store.load(conversation.id).tree.path()[0].text == text


def test_half_characters_are_stored_as_well_as_utf8_can(store):
    conversation = asked(store, "lone \ud800, pair \ud83d\ude42")
    store.rename(conversation.id, "\udfff")
    store.save_draft("", "\ud800")
    answer = answering(store, conversation)
    store.journal(answer.id, PartKind.TEXT, "\udc00")
    assert store.load(conversation.id).tree.path()[0].text == "lone \ufffd, pair 🙂"
    assert store.load(conversation.id).title == "\ufffd"
    assert store.drafts() == {"": "\ufffd"}
    assert store.load(conversation.id).tree.path()[-1].text == "\ufffd"


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.load("nowhere"),
        lambda store: store.add_message("nowhere", user_message("a", None)),
        lambda store: store.finish("nowhere", user_message("a", None)),
        lambda store: store.rename("nowhere", "a"),
        lambda store: store.set_head("nowhere", "a"),
    ],
)
def test_a_conversation_that_is_not_there_is_told_in_a_sentence(store, use):
    kept = asked(store)
    with pytest.raises(Known, match="no longer there"):
        use(store)
    assert store.load(kept.id) == kept


def test_mistakes_of_a_caller_change_nothing(store):
    conversation, other = asked(store), asked(store, "other")
    foreign = other.tree.head
    with pytest.raises(ValueError):
        store.create(conversation)
    with pytest.raises(ValueError):
        store.add_message(conversation.id, conversation.tree.path()[0])
    with pytest.raises(ValueError):
        store.add_message(conversation.id, user_message("a", foreign))
    with pytest.raises(ValueError):
        store.add_message(conversation.id, user_message("a", "nobody"))
    with pytest.raises(ValueError):
        store.set_head(conversation.id, foreign)
    with pytest.raises(ValueError):
        store.journal("nobody", PartKind.TEXT, "a")
    assert store.load(conversation.id) == conversation
    assert store.load(other.id) == other
    with pytest.raises(ValueError):  # a tree that shares a message with one already stored
        store.create(Conversation(tree=Tree.of([user_message("new", None), *other.tree.path()])))
    assert len(listed(store)) == 2
