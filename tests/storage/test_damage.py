"""One damaged row, or a damaged page, never locks the rest of the conversations."""

import json
import logging
import random
import shutil
import sqlite3
import string
import zlib
from contextlib import closing
from dataclasses import asdict, replace

import pytest

from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
    TokenScore,
    user_message,
)
from qwen_desktop.chat.summary import ListFilter, Place, day_starts
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage.shapes import COLUMNS
from qwen_desktop.storage.store import Store
from tests.listed import listed

QUESTION = user_message("the question", None)
PROVENANCE = Provenance(fingerprint="f", seed=3, unseen=(QUESTION.id,))
TRACE = AnswerTrace(
    tuple(range(700)),
    (TokenScore(5, "the", -0.5, ((5, "the", -0.5), (6, "an", -1.5))), TokenScore(7, "x", -0.25)),
)
OPTIONS = ChatOptions(Policy.ASK, {"temperature": 0.5, "system_prompt": "secret"})
ANSWER = Message(
    role=Role.ASSISTANT,
    parts=(Part(PartKind.REASONING, "thinking"), Part(PartKind.TEXT, "the answer")),
    parent_id=QUESTION.id,
    status=Status.STOPPED,
    stats=AnswerStats("Qwen3-4B", 1, 2, 3, 4, 0.5, 0.25, 0.125),
    pinned=True,
    token_ids=(1, 2, 3),
    provenance=PROVENANCE,
)
LAST = user_message("thanks", ANSWER.id)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "conversations.db"
    store = Store.open(file)
    store.create(Conversation(id="c", tree=Tree.of([QUESTION, ANSWER, LAST]), options=OPTIONS))
    store.finish("c", ANSWER, TRACE)
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
        assert [summary.id for summary in listed(store)] == ["c"]
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
    assert (question.damaged, answer.damaged, last.damaged) == (False, True, False)
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
        ("stats", '{"first_token_seconds": NaN}', {"stats": None}),
        ("stats", '{"decode_seconds": -Infinity}', {"stats": None}),
        ("stats", '{"decode_seconds": 1e999}', {"stats": None}),
        ("stats", '{"prompt_tokens": 2147483648}', {"stats": None}),
        ("stats", '{"decode_seconds": 1' + "0" * 400 + "}", {"stats": None}),
        ("stats", '{"model": "a", "of_a_newer_version": 1}', {"stats": AnswerStats("a")}),
        ("created_at", "yesterday", {"created_at": 0.0}),
        ("created_at", 1e300, {"created_at": 0.0}),
        ("error", b"caf\xe9", {"error": "caf\ufffd"}),
        ("pinned", "maybe", {"pinned": False}),
        ("pinned", 7, {"pinned": False}),
        ("token_ids", b"\x01\x00\x00", {"token_ids": ()}),
        ("token_ids", "[1, 2, 3]", {"token_ids": ()}),
        ("token_ids", 3, {"token_ids": ()}),
        ("token_ids", b"", {"token_ids": ()}),
        ("provenance", '{"seed": 1', {"provenance": None}),
        ("provenance", "[]", {"provenance": None}),
        ("provenance", 3, {"provenance": None}),
        ("provenance", b"\xff", {"provenance": None}),
        ("provenance", "[" * 100_000, {"provenance": None}),
        ("provenance", '{"seed": "3"}', {"provenance": None}),
        ("provenance", '{"thinking": 1}', {"provenance": None}),
        ("provenance", '{"thinking_budget": true}', {"provenance": None}),
        ("provenance", '{"sampling": [["top_k"]]}', {"provenance": None}),
        ("provenance", '{"sampling": [["top_k", "20"]]}', {"provenance": None}),
        ("provenance", '{"sampling": [["top_k", NaN]]}', {"provenance": None}),
        ("provenance", '{"peak_bytes": 1' + "0" * 400 + "}", {"provenance": None}),
        ("provenance", '{"stop_strings": "a"}', {"provenance": None}),
        ("provenance", '{"unseen": ["a"]}', {"provenance": None}),
        ("provenance", '{"unseen": [["a", "b", "c"]]}', {"provenance": None}),
        ("provenance", '{"seed": 1, "of_a_newer_version": 1}', {"provenance": Provenance(seed=1)}),
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
    harmless = value == b"" or "of_a_newer_version" in str(value)
    assert answer == replace(ANSWER, damaged=not harmless, **expected)


LONG = "".join(f"{number} " for number in range(300)) + "end"
REASONING, TEXT = LONG[:400], LONG[400:]


def raw_parts(file):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT parts FROM messages ORDER BY number").fetchall()


@pytest.fixture
def packed_file(tmp_path):
    """A file with one answer that is long enough to be compressed."""
    file = tmp_path / "packed.db"
    answer = replace(ANSWER, parts=(Part(PartKind.REASONING, REASONING), Part(PartKind.TEXT, TEXT)))
    store = Store.open(file)
    store.create(Conversation(id="c", tree=Tree.of([QUESTION, answer])))
    store.close()
    return file


def test_long_text_is_kept_compressed_where_that_saves_something(packed_file):
    (short,), (long,) = raw_parts(packed_file)
    assert short == '[{"kind":"text","text":"the question"}]'
    assert isinstance(long, bytes)
    assert len(long) < len(LONG) * 0.9
    store = Store.open(packed_file)
    noise = "".join(random.Random(3).choices(string.printable[:94], k=180))
    store.add_message("c", user_message(noise, ANSWER.id))
    store.close()
    assert isinstance(raw_parts(packed_file)[2][0], str)
    answer = reopened(packed_file).tree.messages[ANSWER.id]
    assert (answer.reasoning, answer.text, answer.damaged) == (REASONING, TEXT, False)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_compressed_text_that_breaks_off_is_read_up_to_there(packed_file, cut):
    whole = raw_parts(packed_file)[1][0]
    damage(
        packed_file,
        "UPDATE messages SET parts = ? WHERE id = ?",
        whole[: int(len(whole) * cut)],
        ANSWER.id,
    )
    answer = reopened(packed_file).tree.messages[ANSWER.id]
    assert answer.damaged
    assert LONG.startswith(answer.reasoning + answer.text)
    assert len(answer.reasoning + answer.text) > len(LONG) * (cut - 0.25)
    assert (answer.text == "") or answer.reasoning == REASONING


def test_a_file_that_breaks_off_keeps_its_name_and_what_there_is(tmp_path):
    file = tmp_path / "packed.db"
    attached = Part(PartKind.FILE, f'a "quoted" line\n{LONG}', 'the "table".csv')
    question = replace(QUESTION, parts=(attached, Part(PartKind.TEXT, "sum")))
    store = Store.open(file)
    store.create(Conversation(id="c", tree=Tree.of([question])))
    store.close()
    ((whole,),) = raw_parts(file)
    damage(
        file, "UPDATE messages SET parts = ? WHERE id = ?", whole[: len(whole) // 2], question.id
    )
    read = reopened(file).tree.messages[question.id]
    assert read.damaged
    (found,) = read.files
    assert found.name == attached.name
    assert attached.text.startswith(found.text)
    assert len(found.text) > len(attached.text) / 4


def test_a_flipped_bit_of_a_compressed_text_is_told(packed_file):
    whole = raw_parts(packed_file)[1][0]
    for place in range(0, len(whole), 7):
        bad = bytearray(whole)
        bad[place] ^= 0x10
        damage(packed_file, "UPDATE messages SET parts = ? WHERE id = ?", bytes(bad), ANSWER.id)
        answer = reopened(packed_file).tree.messages[ANSWER.id]
        assert answer.damaged


def test_text_that_would_fill_the_memory_is_not_unpacked(packed_file, monkeypatch):
    monkeypatch.setattr("qwen_desktop.storage.packing.MAX_TEXT_BYTES", 500)
    answer = reopened(packed_file).tree.messages[ANSWER.id]
    assert answer.damaged
    assert LONG.startswith(answer.reasoning + answer.text)


@pytest.mark.parametrize("column", ["pinned", "token_ids", "provenance"])
def test_what_is_damaged_is_told_without_what_it_says(file, column, caplog):
    damage(file, f"UPDATE messages SET {column} = 'secret' WHERE id = ?", ANSWER.id)
    with caplog.at_level(logging.WARNING):
        reopened(file)
    (record,) = caplog.records
    assert ANSWER.id in record.getMessage()
    assert "secret" not in record.getMessage()


def of(store):
    """All that is read of the conversation by a store, and the trace of its answer."""
    conversation = store.load("c")
    assert list(conversation.tree.path()) == [QUESTION, ANSWER, LAST]
    return conversation.options, store.trace(ANSWER.id)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"policy":"ask"', ChatOptions()),
        ("[]", ChatOptions()),
        ("[" * 100_000, ChatOptions()),
        (b"\xff", ChatOptions()),
        (3, ChatOptions()),
        ('{"values": 3}', ChatOptions()),
        ('{"policy":"secret"}', ChatOptions()),
        ('{"policy":["ask"],"values":{"min_p":0.5}}', ChatOptions(None, {"min_p": 0.5})),
        (
            '{"policy":"ask","values":{"min_p":0.5,"top_p":"secret","top_k":-1,"nonsense":1}}',
            ChatOptions(Policy.ASK, {"min_p": 0.5}),
        ),
    ],
)
def test_damaged_options_cost_only_themselves(file, raw, expected, caplog):
    damage(file, "UPDATE conversations SET options = ?", raw)
    store = Store.open(file)
    with caplog.at_level(logging.WARNING):
        assert of(store) == (expected, TRACE)
    store.close()
    (record,) = caplog.records
    assert "'c'" in record.getMessage()
    assert "secret" not in record.getMessage()


def packed(rows):
    return zlib.compress(json.dumps(rows).encode())


@pytest.mark.parametrize(
    ("statement", "values", "expected"),
    [
        ("UPDATE answer_traces SET pieces = ?", [b"\x01"], replace(TRACE, prompt_ids=())),
        ("UPDATE answer_traces SET pieces = 'x'", [], replace(TRACE, prompt_ids=())),
        ("UPDATE answer_traces SET pieces = ?", [b"\x63\0\0\0"], replace(TRACE, prompt_ids=())),
        ("UPDATE answer_traces SET prompt_rest = 7", [], replace(TRACE, prompt_ids=())),
        ("DELETE FROM prompt_pieces", [], replace(TRACE, prompt_ids=())),
        ("UPDATE prompt_pieces SET ids = ?", [b"\0" * 8], replace(TRACE, prompt_ids=())),
        ("UPDATE answer_traces SET scores = 'x'", [], replace(TRACE, scores=())),
        ("UPDATE answer_traces SET scores = ?", [b"x"], replace(TRACE, scores=())),
        ("UPDATE answer_traces SET scores = ?", [packed([])[:-3]], replace(TRACE, scores=())),
        ("UPDATE answer_traces SET scores = ?", [packed({})], replace(TRACE, scores=())),
        ("UPDATE answer_traces SET scores = ?", [packed([3])], replace(TRACE, scores=())),
        (
            "UPDATE answer_traces SET scores = ?",
            [packed([[1, "a", 0.5]])],
            replace(TRACE, scores=()),
        ),
        (
            "UPDATE answer_traces SET scores = ?",
            [packed([[1, "a", "0", []]])],
            replace(TRACE, scores=()),
        ),
        (
            "UPDATE answer_traces SET scores = ?",
            [packed([[1, "a", 0.5, [[1, "a"]]]])],
            replace(TRACE, scores=()),
        ),
        (
            "UPDATE answer_traces SET scores = ?",
            [zlib.compress(b"[" * 100_000)],
            replace(TRACE, scores=()),
        ),
    ],
)
def test_a_damaged_trace_costs_only_itself(file, statement, values, expected, caplog):
    damage(file, statement, *values)
    store = Store.open(file)
    with caplog.at_level(logging.WARNING):
        assert of(store) == (OPTIONS, expected)
    (record,) = caplog.records
    assert ANSWER.id in record.getMessage()
    store.finish("c", ANSWER, TRACE)  # and writing it again heals it
    assert of(store) == (OPTIONS, TRACE)
    store.close()


def test_scores_that_would_fill_the_memory_are_not_unpacked(file, monkeypatch):
    monkeypatch.setattr("qwen_desktop.storage.packing.MAX_SCORES_BYTES", 1000)
    damage(file, "UPDATE answer_traces SET scores = ?", zlib.compress(b"[" + b" " * 5000 + b"]"))
    store = Store.open(file)
    assert store.trace(ANSWER.id) == replace(TRACE, scores=())
    store.close()


def test_lost_tokens_of_the_journal_lose_no_text(file):
    damage(file, "UPDATE messages SET status = 'streaming' WHERE id = ?", ANSWER.id)
    damage(file, "INSERT INTO answer_journal VALUES (?, 1, 'text', ' la', 'do')", ANSWER.id)
    damage(
        file, "INSERT INTO answer_journal VALUES (?, 2, 'text', ' li', ?)", ANSWER.id, b"\4\0\0\0"
    )
    answer = reopened(file).tree.path()[1]
    assert (answer.text, answer.token_ids) == ("the answer la li", (1, 2, 3, 4))


def test_unseen_messages_are_still_told_where_one_between_is_lost(tmp_path):
    file = tmp_path / "conversations.db"
    tree = Tree()
    for _ in range(6):
        tree = tree.added(user_message("a", tree.head))
    ids = [*tree.messages]
    unseen = replace(user_message("b", ids[-1]), provenance=Provenance(unseen=tuple(ids)))
    store = Store.open(file)
    store.create(Conversation(id="c", tree=tree.added(unseen)))
    store.close()
    damage(file, "DELETE FROM messages WHERE id = ?", ids[2])
    read = reopened(file).tree.messages[unseen.id].provenance.unseen
    assert read == (ids[0], *ids[2:])
    damage(file, "UPDATE messages SET parent_id = ? WHERE id = ?", ids[5], ids[3])
    assert asdict(reopened(file).tree.messages[unseen.id].provenance)["unseen"]


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
    assert listed(store)[0].preview == "the answer"
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
            message = user_message(f"{number} " * 150, tree.head)
            unseen = Provenance(fingerprint="f" * 64, unseen=tuple(tree.messages))
            tree = tree.added(replace(message, token_ids=(7,) * 150, provenance=unseen))
        store.create(Conversation(tree=tree, options=OPTIONS))
        store.finish(listed(store)[0].id, message, TRACE)
    summaries = listed(store)
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
                for message in store.load(summary.id).tree.path():
                    store.trace(message.id)
                rest += 1
            except Known:
                pass
        store.close()
    assert rest > 60 * len(summaries) * 0.8


STRANGE = {
    "null": None,
    "number": 7,
    "huge number": 2**62,
    "negative": -3,
    "fraction": 0.5,
    "infinity": float("inf"),
    "empty": "",
    "nul bytes": "a\x00b",
    "half a list": '[{"kind":"text"',
    "deep": "[" * 50_000,
    "no utf8": "no utf8",  # see below
    "no stream": b"\x78\x9c" + b"\xff" * 300,
    "half a stream": zlib.compress(b"[]" * 500)[:-5],
    "long": "x" * 3_000_000,
}
# What no statement finds a row by: damage there breaks an index, and the file is recovered.
COLUMNS_OF_VALUES = [
    (table, column)
    for table, columns in COLUMNS.items()
    for column in columns
    if column != "number" and (table, column) != ("conversations", "id")
]


@pytest.mark.parametrize(("table", "column"), COLUMNS_OF_VALUES)
def test_no_value_keeps_the_others_from_being_used(tmp_path, table, column):
    """Whatever stands in one column: the store opens, lists, indexes, and the rest is whole."""
    template = tmp_path / "template.db"
    store = Store.open(template)
    store.create(Conversation(id="c", tree=Tree.of([QUESTION, ANSWER]), options=OPTIONS))
    store.finish("c", ANSWER, TRACE)
    beside = Conversation(id="d", tree=Tree.of([user_message("beside it", None)]))
    store.create(beside)
    store.listing.add_tag(["c"], "tag")
    store.listing.set_folder(["c"], store.listing.make_folder("Work").id)
    store.save_draft("c", "unsent")
    streaming = Message(Role.ASSISTANT, (), parent_id=ANSWER.id, status=Status.STREAMING)
    store.add_message("c", streaming)
    store.journal(streaming.id, PartKind.TEXT, "half")
    store.close()
    for name, value in STRANGE.items():
        file = tmp_path / "conversations.db"
        file.unlink(missing_ok=True)
        shutil.copy(template, file)
        raw = "CAST(? AS TEXT)" if name == "no utf8" else "?"
        key = next(iter(COLUMNS[table]))
        first = f"(SELECT min({key}) FROM {table})"
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            try:
                connection.execute(
                    f"UPDATE {table} SET {column} = {raw} WHERE {key} = {first}",
                    (b"caf\xe9" if name == "no utf8" else value,),
                )
            except sqlite3.Error:
                continue  # SQLite keeps such a value out
        store = Store.open(file)
        assert store.opening.damaged is None
        listed = {one.id for place in Place for one in store.listing.page(ListFilter(place), 0, 10)}
        assert "d" in listed
        assert store.load("d").tree == beside.tree
        store.listing.shape(ListFilter(), day_starts(0))
        for one in listed:
            for message_id in store.load(one).tree.messages:
                store.trace(message_id)
        store.drafts()
        while store.index.add_some(10):
            pass
        store.add_message("d", user_message("more", beside.tree.head))
        store.listing.delete(listed)
        store.listing.delete_for_good(listed)
        store.close()
