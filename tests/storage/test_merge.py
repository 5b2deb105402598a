"""Taking conversations in: once or often, in any order, what is there is there once."""

import subprocess
import sys
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.importing import Outcome
from qwen_desktop.chat.messages import (
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
    new_id,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import conversation_json, merge
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store
from tests.storage.strategies import OPTIONS, TRACES, messages_below


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "conversations.db")
    yield made
    made.close()


def said(text, parent=None, role=Role.USER, **more):
    return Message(role, (Part(PartKind.TEXT, text),), parent_id=parent, **more)


def talk(*texts, **more) -> Conversation:
    """A conversation of these texts, one below the other."""
    tree = Tree()
    for at, text in enumerate(texts):
        tree = tree.added(said(text, tree.head, (Role.USER, Role.ASSISTANT)[at % 2]))
    return Conversation(tree=tree, **more)


def go_on(conversation: Conversation, *texts, at=None) -> Conversation:
    tree = conversation.tree.with_head(at or conversation.tree.head)
    for text in texts:
        tree = tree.added(said(text, tree.head, Role.ASSISTANT))
    return replace(conversation, tree=tree, updated_at=conversation.updated_at + 1)


def add(store, conversation, **more):
    return merge.add(store, Record(conversation, **more))


def texts_of(store, conversation_id):
    return sorted(m.text for m in store.load(conversation_id).tree.messages.values())


def count(store, table):
    with store.database.reading() as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def rows(store, place=Place.CHATS):
    return store.listing.page(ListFilter(place), 0, 100)


# -- in any order ----------------------------------------------------------------------------


@st.composite
def growing(draw):
    """A conversation, and parts of its tree in which no message lacks its parent."""
    tree, ids = Tree(), []
    for at in range(draw(st.integers(1, 7))):
        parent = draw(st.sampled_from([None, *ids])) if ids else None
        message = replace(draw(messages_below(parent, ids)), id=f"{at}")
        tree = tree.added(message)
        ids.append(message.id)
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        wanted = draw(st.sets(st.sampled_from(ids), min_size=1))
        kept = {m.id for leaf in wanted for m in tree.path(leaf)}
        parts.append([one for one in ids if one in kept])
    return Conversation(tree=tree, options=draw(OPTIONS)), parts


def settled(message: Message) -> Message:
    """As it is kept: nothing that comes from outside is at work."""
    if message.status is Status.STREAMING:
        return replace(message, status=Status.INTERRUPTED)
    return message


@given(growing(), st.data(), st.booleans())
@settings(max_examples=40)
def test_any_parts_of_a_conversation_in_any_order_give_the_union(
    tmp_path_factory, grown, data, is_foreign
):
    conversation, parts = grown
    source = "chatgpt:x" if is_foreign else ""
    store = Store.open(tmp_path_factory.mktemp("union") / "conversations.db")
    try:
        seen: set[str] = set()
        for ids in [*parts, *data.draw(st.permutations(parts))]:
            kept = [conversation.tree.messages[one] for one in ids]
            part = replace(conversation, tree=Tree.of(kept, data.draw(st.sampled_from(ids))))
            if is_foreign:  # whoever reads the file again may give it another id
                part = replace(part, id=new_id())
            added = add(store, part, source=source)
            fresh = not seen
            more = set(ids) > seen or not set(ids) <= seen
            expected = Outcome.ADDED if fresh else Outcome.MERGED if more else Outcome.SAME
            assert added.outcome is expected
            seen |= set(ids)
            loaded = store.load(added.conversation_id)
            assert loaded.tree.messages.keys() == seen
            for one, message in loaded.tree.messages.items():
                wanted = settled(conversation.tree.messages[one])
                if wanted.provenance is not None:
                    wanted = replace(wanted, provenance=message.provenance)
                assert message == wanted
            assert loaded.tree.head in seen
        assert count(store, "conversations") == 1
        assert count(store, "messages") == len(seen)
        assert count(store, "to_index") == len(seen)
    finally:
        store.close()


@given(growing(), TRACES)
@settings(max_examples=20)
def test_what_is_written_by_us_comes_back_equal_by_value(tmp_path_factory, grown, trace):
    conversation = grown[0]
    folder = tmp_path_factory.mktemp("round")
    one, other = Store.open(folder / "one.db"), Store.open(folder / "other.db")
    try:
        traces = dict.fromkeys(list(conversation.tree.messages)[:2], trace)
        add(one, conversation, traces=traces, tags=("a",), folder="F", pinned=True)
        loaded = one.load(conversation.id)
        kept = {message_id: one.trace(message_id) for message_id in loaded.tree.messages}
        record = Record(loaded, kept, folder="F", tags=("a",), pinned=True)
        value = conversation_json.parse(conversation_json.encoded(record))
        added = merge.add(other, conversation_json.from_value(value))
        assert added == merge.Added(Outcome.ADDED, conversation.id)
        assert other.load(conversation.id) == loaded
        assert {m: other.trace(m) for m in loaded.tree.messages} == kept
        assert merge.add(one, conversation_json.from_value(value)).outcome is Outcome.SAME
    finally:
        one.close()
        other.close()


# -- what stays ------------------------------------------------------------------------------


def test_a_new_one_is_listed_as_its_record_says(store):
    archived = talk("a", title="Bees", created_at=5.0, updated_at=10.0)
    add(store, archived, archived=True, folder=" Sea  side ", tags=("b", "A", "b "), source="jan:1")
    pinned = talk("b", updated_at=20.0)
    add(store, pinned, pinned=True, folder="sea side", tags=("a",))
    (bees,), (other,) = rows(store, Place.ARCHIVE), rows(store)
    assert (bees.title, bees.updated_at, bees.tags) == ("Bees", 10.0, ("A", "b"))
    assert (other.pinned, other.tags) == (True, ("A",))  # spelled as it is elsewhere
    assert bees.folder == other.folder != ""
    assert store.load(archived.id) == archived


def test_a_known_one_keeps_title_options_and_place(store):
    mine = talk("question", "answer", title="Mine")
    mine = replace(mine, options=ChatOptions(values=MappingProxyType({"temperature": 0.5})))
    add(store, mine, tags=("mine",))
    store.listing.set_archived((mine.id,), True)
    theirs = replace(go_on(mine, "more"), title="Theirs", options=ChatOptions())
    assert add(store, theirs, pinned=True, tags=("theirs",), folder="X").outcome is Outcome.MERGED
    (row,) = rows(store, Place.ARCHIVE)
    assert (row.title, row.tags, row.folder, row.pinned) == ("Mine", ("mine",), "", False)
    assert store.load(mine.id).options == mine.options


def test_a_known_one_gets_the_title_and_the_options_it_lacks(store):
    bare = talk("question")
    add(store, bare)
    options = ChatOptions(values=MappingProxyType({"system_prompt": "Be brief."}))
    add(store, replace(bare, title="A title", options=options))
    loaded = store.load(bare.id)
    assert (loaded.title, loaded.options) == ("A title", options)


def test_what_is_taken_further_is_what_is_read(store):
    first = talk("question", "answer")
    add(store, first)
    longer = go_on(first, "more")
    add(store, longer)
    loaded = store.load(first.id)
    assert (loaded.tree.head, loaded.updated_at) == (longer.tree.head, longer.updated_at)
    assert rows(store)[0].preview == "more"


def test_an_older_copy_does_not_change_what_is_read(store):
    first = talk("question", "answer", updated_at=100.0)
    branch = go_on(first, "another", at=first.tree.path()[0].id)
    add(store, go_on(replace(first, updated_at=500.0), "mine"))
    add(store, branch)
    loaded = store.load(first.id)
    assert loaded.tree.path()[-1].text == "mine"
    assert loaded.updated_at == 501.0
    assert texts_of(store, first.id) == ["another", "answer", "mine", "question"]


def test_nothing_is_changed_below_an_answer_that_is_being_written(store):
    mine = talk("question")
    add(store, mine)
    answer = said("", mine.tree.head, Role.ASSISTANT, status=Status.STREAMING)
    store.add_message(mine.id, answer)
    add(store, replace(go_on(mine, "theirs"), updated_at=4e9))
    store.journal(answer.id, PartKind.TEXT, "half")
    loaded = store.load(mine.id)
    assert loaded.tree.head == answer.id
    assert loaded.tree.messages[answer.id].status is Status.STREAMING
    assert texts_of(store, mine.id) == ["half", "question", "theirs"]


def test_one_in_the_bin_comes_back(store):
    one = talk("question")
    add(store, one, source="openwebui:7")
    store.listing.delete((one.id,))
    assert rows(store) == ()
    again = add(store, replace(one, id="another"), source="openwebui:7")
    assert again == merge.Added(Outcome.MERGED, one.id)
    assert [row.id for row in rows(store)] == [one.id]
    assert rows(store, Place.BIN) == ()


def test_a_foreign_one_is_known_by_its_source_and_by_its_id(store):
    one = talk("question")
    add(store, one, source="chatgpt:1")
    assert add(store, go_on(one, "a")).outcome is Outcome.MERGED  # written by us meanwhile
    assert add(store, replace(one, id="x"), source="chatgpt:1").outcome is Outcome.SAME
    assert count(store, "conversations") == 1


def test_a_copy_of_a_conversation_gets_messages_of_its_own(store):
    one = go_on(talk("question", "answer"), "more")
    answer = one.tree.path()[1]
    unseen = Provenance(unseen=(one.tree.path()[0].id,))
    one = replace(one, tree=one.tree.replaced(replace(answer, provenance=unseen)))
    trace = AnswerTrace(prompt_ids=(1, 2, 3))
    add(store, one)
    copy = replace(one, id="copy")
    for expected in (Outcome.ADDED, Outcome.SAME):
        assert add(store, copy, traces={answer.id: trace}).outcome is expected
    loaded, original = store.load("copy"), store.load(one.id)
    assert [m.text for m in loaded.tree.path()] == [m.text for m in original.tree.path()]
    assert not loaded.tree.messages.keys() & original.tree.messages.keys()
    copied = loaded.tree.path()[1]
    assert copied.provenance.unseen == (loaded.tree.path()[0].id,)
    assert store.trace(copied.id) == trace
    assert store.trace(answer.id) == AnswerTrace()
    assert add(store, go_on(copy, "only here")).outcome is Outcome.MERGED
    assert "only here" not in texts_of(store, one.id)


def test_halves_of_characters_and_zeros_come_in(store):
    one = talk("a\ud800b\x00c", title="t\udfff")
    added = add(store, one, source="x:\ud800", tags=("t\ud800",), folder="\ud800")
    assert add(store, one, source="x:\ud800").outcome is Outcome.SAME
    assert texts_of(store, added.conversation_id) == ["a\ufffdb\x00c"]


# -- a kill in the middle --------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from qwen_desktop.storage import merge
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store

store = Store.open(Path(sys.argv[1]))
print("open", flush=True)
for found in Reader([Path(sys.argv[2])]):
    merge.add(store, found.record)
    print(found.position, flush=True)
"""
EACH = 40  # messages of a conversation


def test_a_kill_leaves_whole_conversations_and_the_next_import_the_rest(tmp_path):
    lines = [
        '{"conversations": ['
        + ", ".join(f'{{"from": "human", "value": "{at} {n} {"x" * 300}"}}' for n in range(EACH))
        + "]}"
        for at in range(200)
    ]
    file, database = tmp_path / "many.jsonl", tmp_path / "conversations.db"
    file.write_text("\n".join(lines))
    for until in (1, 17, 60):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(database), str(file)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in child.stdout:
            if line.strip() != "open" and int(line) >= until:
                break
        child.kill()
        told = [int(line) for line in child.stdout if line.strip()]
        child.stdout.close()
        child.wait()
        store = Store.open(database)
        with store.database.reading() as connection:
            counts = connection.execute(
                "SELECT count(*) FROM messages GROUP BY conversation"
            ).fetchall()
        store.close()
        assert set(counts) == {(EACH,)}
        done = max([until, *told])
        assert len(counts) >= done
    store = Store.open(database)
    outcomes = [merge.add(store, found.record).outcome for found in Reader([file])]
    store.close()
    assert outcomes.count(Outcome.SAME) == len(counts)
    assert outcomes.count(Outcome.ADDED) == 200 - len(counts)
