"""One damaged row, or a damaged page, never locks the rest of the conversations."""

import logging
import random
import sqlite3
from contextlib import closing

import pytest

from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage.store import Store

QUESTION = user_message("the question", None)
ANSWER = Message(
    role=Role.ASSISTANT,
    parts=(Part(PartKind.REASONING, "thinking"), Part(PartKind.TEXT, "the answer")),
    parent_id=QUESTION.id,
    status=Status.STOPPED,
    stats=AnswerStats("Qwen3-4B", 1, 2, 3, 4, 0.5, 0.25, 0.125),
)
LAST = user_message("thanks", ANSWER.id)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "conversations.db"
    store = Store.open(file)
    store.create(Conversation(id="c", tree=Tree.of([QUESTION, ANSWER, LAST])))
    store.close()
    return file


def damage(file, statement, *values):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement, values)


def reopened(file):
    """The messages of the conversation, read by a new run."""
    store = Store.open(file)
    try:
        assert [summary.id for summary in store.summaries()] == ["c"]
        return store.load("c")
    finally:
        store.close()


@pytest.mark.parametrize(
    "raw",
    [
        '[{"kind":"text","text":"the ans',
        "",
        "null",
        "{}",
        '["the answer"]',
        '[{"kind":"text"}]',
        '[{"text":null}]',
        "[" * 100_000,
        "nul \x00 inside",
    ],
    ids=lambda raw: raw[:12].replace("\x00", "0"),
)
def test_a_message_with_unreadable_parts_shows_its_raw_text(file, raw, caplog):
    damage(file, "UPDATE messages SET parts = ? WHERE id = ?", raw, ANSWER.id)
    with caplog.at_level(logging.WARNING):
        question, answer, last = reopened(file).tree.path()
    assert (question, last) == (QUESTION, LAST)
    assert answer.parts == (Part(PartKind.TEXT, raw),)
    assert (answer.status, answer.stats) == (ANSWER.status, ANSWER.stats)
    (record,) = caplog.records
    assert ANSWER.id in record.getMessage()
    assert "answer" not in record.getMessage().replace(ANSWER.id, "")


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("role", "narrator", {"role": Role.ASSISTANT}),
        ("status", "dreaming", {"status": Status.COMPLETE}),
        ("status", b"\xff", {"status": Status.COMPLETE}),
        ("stats", "{", {"stats": None}),
        ("stats", "[]", {"stats": None}),
        ("stats", '{"model": 3}', {"stats": None}),
        ("stats", '{"prompt_tokens": "9"}', {"stats": None}),
        ("stats", '{"model": "a", "of_a_newer_version": 1}', {"stats": AnswerStats("a")}),
        ("created_at", "yesterday", {"created_at": 0.0}),
        ("error", b"caf\xe9", {"error": "caf\ufffd"}),
        (
            "parts",
            '[{"kind":"song","text":"la"},{"kind":"text","text":"x"}]',
            {"parts": (Part(PartKind.TEXT, "la"), Part(PartKind.TEXT, "x"))},
        ),
        (
            "parts",
            b'[{"kind":"text","text":"caf\xe9"}]',
            {"parts": (Part(PartKind.TEXT, "caf\ufffd"),)},
        ),
    ],
)
def test_one_bad_value_costs_only_itself(file, column, value, expected):
    damage(file, f"UPDATE messages SET {column} = ? WHERE id = ?", value, ANSWER.id)
    question, answer, last = reopened(file).tree.path()
    assert (question, last) == (QUESTION, LAST)
    for field in ("role", "status", "stats", "created_at", "error", "parts"):
        assert getattr(answer, field) == expected.get(field, getattr(ANSWER, field))


def test_text_that_is_not_utf8_is_read_as_well_as_possible(file):
    damage(
        file,
        "UPDATE messages SET parts = CAST(? AS TEXT) WHERE id = ?",
        b'[{"kind":"text","text":"caf\xe9"}]',
        ANSWER.id,
    )
    damage(file, "UPDATE conversations SET preview = CAST(? AS TEXT)", b"\xe9")
    assert reopened(file).tree.path()[1].text == "caf\ufffd"


def test_a_lost_message_takes_no_other_along(file):
    damage(file, "DELETE FROM messages WHERE id = ?", ANSWER.id)
    tree = reopened(file).tree
    assert [message.text for message in tree.path()] == ["the question", "thanks"]
    store = Store.open(file)
    added = user_message("more", LAST.id)
    store.add_message("c", added)
    assert [m.text for m in store.load("c").tree.path()] == ["the question", "thanks", "more"]
    store.close()


def test_a_lost_first_message_leaves_the_rest(file):
    damage(file, "DELETE FROM messages WHERE id = ?", QUESTION.id)
    assert [m.text for m in reopened(file).tree.path()] == ["the answer", "thanks"]


def test_parents_in_a_ring_end(file):
    damage(file, "UPDATE messages SET parent_id = ? WHERE id = ?", LAST.id, QUESTION.id)
    assert len(reopened(file).tree.path()) == 3
    store = Store.open(file)
    store.set_head("c", ANSWER.id)
    assert store.summaries()[0].preview == "the answer"
    store.close()


@pytest.mark.parametrize("head", ["nobody", None, 3, b"\xff"])
def test_a_lost_head_is_the_newest_message(file, head):
    damage(file, "UPDATE conversations SET head_id = ?", head)
    assert reopened(file).tree.head == LAST.id


def test_bad_values_of_a_conversation_cost_only_themselves(file):
    damage(
        file,
        "UPDATE conversations SET title = ?, title_is_own = 'maybe', preview = ?,"
        " created_at = 'a', updated_at = 'b'",
        b"caf\xe9",
        3.5,
    )
    conversation = reopened(file)
    assert (conversation.created_at, conversation.updated_at) == (0.0, 0.0)
    assert len(conversation.tree.path()) == 3


def test_a_damaged_unfinished_answer_does_not_stop_the_start(file):
    damage(file, "UPDATE messages SET status = 'streaming', parts = '[{' WHERE id = ?", ANSWER.id)
    damage(file, "INSERT INTO answer_journal VALUES (?, 1, 'song', 'la', 'do')", ANSWER.id)
    answer = reopened(file).tree.path()[1]
    assert (answer.text, answer.status) == ("[{la", Status.INTERRUPTED)


def test_overwritten_pages_give_a_sentence_or_the_rest_and_nothing_else(tmp_path):
    whole = tmp_path / "whole.db"
    store = Store.open(whole)
    for number in range(30):
        tree = Tree()
        for _ in range(6):
            tree = tree.added(user_message(f"{number} " * 150, tree.head))
        store.create(Conversation(tree=tree))
    summaries = store.summaries()
    store.close()
    content = whole.read_bytes()
    places = random.Random(5)
    rest = 0
    for seed in range(60):
        file = tmp_path / f"{seed}.db"
        at = places.randrange(len(content) - 512)
        file.write_bytes(content[:at] + places.randbytes(512) + content[at + 512 :])
        try:
            store = Store.open(file)
        except Known as known:
            assert str(file) in str(known)  # noqa: PT017 - both outcomes are right
            continue
        for summary in summaries:
            try:
                store.load(summary.id)
                rest += 1
            except Known:
                pass
        store.close()
    assert rest > 60 * len(summaries) * 0.8
