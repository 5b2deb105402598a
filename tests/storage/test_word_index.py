"""The index of words after all that can happen to messages: it holds their terms, no others."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.messages import (
    Message,
    Part,
    PartKind,
    Status,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.said import Said
from qwen_desktop.storage.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "conversations.db")
    yield opened
    opened.close()


def asked(store, text):
    made = Conversation(tree=Tree.of([user_message(text, None)]))
    store.create(made)
    return made


def index(store):
    while store.index.add_some(2):
        pass
    while store.index.merge(4):
        pass


def held(store):
    """Every term of the index with the number of messages that have it."""
    connection = store.database.connection
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.v USING fts5vocab ('main', 'words', 'row')"
    )
    return Counter(dict(connection.execute("SELECT term, doc FROM temp.v")))


def wanted(store):
    rows = store.database.connection.execute(
        "SELECT role, stats, parts FROM messages WHERE status <> 'streaming'"
    )
    return Counter(term for row in rows for term in Said.of(*row).terms())


def test_messages_are_counted_down(store):
    for number in range(5):
        asked(store, f"question {number}")
    assert store.index.add_some(2) == 3
    assert store.index.add_some(2) == 1
    assert store.index.add_some(2) == 0
    assert store.index.add_some(2) == 0
    assert held(store)["question"] == 5


def test_the_newest_are_taken_in_first(store):
    for word in ("old", "middle", "new"):
        asked(store, word)
    store.index.add_some(2)
    assert {"new", "middle"} <= set(held(store))
    assert "old" not in held(store)


def test_an_answer_is_not_indexed_while_it_streams(store):
    conversation = asked(store, "question")
    answer = pending_answer(conversation.tree.head, "Qwen3")
    store.add_message(conversation.id, answer)
    store.journal(answer.id, PartKind.TEXT, "growing")
    assert store.index.add_some(10) == 0
    assert "growing" not in held(store)
    store.finish(conversation.id, replace(answer, status=Status.COMPLETE).appended(
        PartKind.TEXT, "grown"
    ))  # fmt: skip
    assert store.index.add_some(10) == 0
    assert held(store)["grown"] == 1


def test_an_answer_that_goes_on_is_taken_out_and_put_in_again(store):
    conversation = asked(store, "question")
    answer = pending_answer(conversation.tree.head, "Qwen3")
    store.add_message(conversation.id, answer)
    half = replace(answer, status=Status.STOPPED).appended(PartKind.TEXT, "half an answer")
    store.finish(conversation.id, half)
    index(store)
    store.reopen(conversation.id, half)
    assert store.index.add_some(10) == 0
    store.finish(
        conversation.id, replace(half, status=Status.COMPLETE).appended(PartKind.TEXT, " and more")
    )
    index(store)
    assert held(store) == wanted(store)


def test_what_a_crash_left_is_indexed_at_the_next_start(store, tmp_path):
    conversation = asked(store, "question")
    answer = pending_answer(conversation.tree.head, "Qwen3")
    store.add_message(conversation.id, answer)
    store.journal(answer.id, PartKind.TEXT, "interrupted")
    store.database.connection.close()
    again = Store.open(tmp_path / "conversations.db")
    index(again)
    assert held(again)["interrupted"] == 1
    again.close()


def test_nothing_stays_of_what_is_gone_for_good(store):
    keep, gone = asked(store, "kept words"), asked(store, "secret words")
    index(store)
    store.listing.delete([gone.id])
    store.listing.delete_for_good([gone.id])
    index(store)
    assert held(store) == wanted(store)
    assert "secret" not in held(store)
    tables = ("to_forget", "to_index")
    left = [store.database.connection.execute(f"SELECT * FROM {t}").fetchall() for t in tables]
    assert left == [[], []]
    assert store.load(keep.id)


def test_nothing_stays_of_an_answer_that_went_on_and_is_gone_for_good(store):
    conversation = asked(store, "question")
    answer = pending_answer(conversation.tree.head, "Qwen3")
    store.add_message(conversation.id, answer)
    half = replace(answer, status=Status.STOPPED).appended(PartKind.TEXT, "secret")
    store.finish(conversation.id, half)
    index(store)
    store.reopen(conversation.id, half)
    store.listing.delete([conversation.id])
    store.listing.delete_for_good([conversation.id])
    index(store)
    assert held(store) == Counter()


def test_saving_goes_on_where_the_index_is_damaged(store):
    asked(store, "before")
    index(store)
    with store.database.writing() as connection:
        connection.execute("UPDATE words_data SET block = zeroblob(2)")
    conversation = asked(store, "after")
    store.listing.delete([conversation.id])
    store.listing.delete_for_good([conversation.id])
    asked(store, "at last")
    assert store.index.add_some(10) == 2  # begun anew: nothing is in it yet
    index(store)
    assert held(store) == wanted(store)


def test_made_anew_it_is_the_same(store):
    for number in range(5):
        asked(store, f"question {number} 学习")
    index(store)
    before = held(store)
    assert store.index.rebuild() == 5
    assert held(store) == Counter()
    index(store)
    assert held(store) == before


def test_what_is_written_past_the_store_is_indexed_as_well(store):
    conversation = asked(store, "question")
    index(store)
    with store.database.writing() as connection:
        connection.execute(
            "INSERT INTO messages (id, conversation, role, status, created_at, error, parts)"
            " SELECT 'x', number, 'user', 'complete', 1.0, '', ? FROM conversations WHERE id = ?",
            ('[{"kind":"text","text":"recovered"}]', conversation.id),
        )
    index(store)
    assert held(store)["recovered"] == 1


def test_an_index_does_not_make_a_transaction_wait_for_the_disk_for_ever_after(store):
    asked(store, "x")
    index(store)
    assert store.database.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


TEXTS = st.sampled_from(["sky", "blue sky", "学习", "机器学习", "a b c", "", "Qwen3 list"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answer", "go on", "delete", "index", "merge", "rebuild"]),
        st.integers(0, 5),
        TEXTS,
    ),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_it_holds_the_terms_of_all_messages_and_no_others(tmp_path, steps):
    store = Store.open(tmp_path / f"{time.perf_counter_ns()}.db")
    talks: list[tuple[Conversation, list[Message]]] = []
    for what, which, text in steps:
        if what == "ask":
            talks.append((asked(store, text), []))
        elif what == "index":
            store.index.add_some(which + 1)
        elif what == "merge":
            store.index.merge(4)
        elif what == "rebuild":
            store.index.rebuild()
        elif talks:
            talk, answers = talks[which % len(talks)]
            if what == "delete":
                store.listing.delete([talk.id])
                store.listing.delete_for_good([talk.id])
                talks.remove((talk, answers))
            elif what == "answer":
                made = replace(
                    pending_answer(talk.tree.head, "Qwen"),
                    parts=(Part(PartKind.REASONING, "hm"),),
                )
                store.add_message(talk.id, made)
                done = replace(made, status=Status.STOPPED).appended(PartKind.TEXT, text)
                store.finish(talk.id, done)
                answers.append(done)
            elif answers:
                store.reopen(talk.id, answers[-1])
                if which % 2:
                    store.index.add_some(3)
                longer = answers[-1].appended(PartKind.TEXT, f" {text}")
                store.finish(talk.id, longer)
                answers[-1] = longer
    index(store)
    # A text goes on after a space, so that its old words stay words. What was the last character
    # of a run of Chinese stays it as well.
    assert held(store) == wanted(store)
    store.close()


def test_words_of_what_is_gone_for_good_are_not_left_in_the_file(store, tmp_path):
    """Crossing them out in the index is not enough: they could be read there."""
    asked(store, "something else")
    index(store)
    gone = asked(store, "the code is zebrasecretword")
    index(store)
    store.listing.delete([gone.id])
    store.listing.delete_for_good([gone.id])
    asked(store, "and so on")
    assert store.index.is_behind()
    store.index.add_some(10)
    store.close()  # in the middle of it
    again = Store.open(tmp_path / "conversations.db")
    index(again)
    assert held(again) == wanted(again)
    again.close()
    content = (tmp_path / "conversations.db").read_bytes()
    assert b"secretword" not in content
    assert b"something" in content


def test_a_number_that_is_used_again_is_forgotten_before_it_is_taken_in(store):
    first = [asked(store, f"shared {number}") for number in range(6)]
    index(store)
    gone = [first[0], first[1], first[5]]
    store.listing.delete([one.id for one in gone])
    store.listing.delete_for_good([one.id for one in gone])
    asked(store, "shared anew")  # with the number of the last one
    index(store)
    assert held(store) == wanted(store)
