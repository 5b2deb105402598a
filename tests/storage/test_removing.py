"""Messages that are deleted, brought back, or copied into a conversation of their own."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.importing import Outcome
from qwen_desktop.chat.messages import AnswerTrace, Role, new_id
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import copying, merge, recovery, removing, salvage
from qwen_desktop.storage.store import Store
from tests.storage.strategies import TRACES, messages_below
from tests.storage.test_merge import add, go_on, said, talk


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "conversations.db")
    yield made
    made.close()


def count(store, table, where="1"):
    with store.database.reading() as connection:
        return connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def remove(store, conversation, message_id):
    """As the bridge does it: the tree says what is read then."""
    tree = conversation.tree.without(message_id)
    return tree, removing.remove(store, conversation.id, message_id, tree.head)


@st.composite
def trees(draw):
    tree = Tree()
    for _ in range(draw(st.integers(1, 7))):
        parent = draw(st.sampled_from([None, *tree.messages]))
        message = draw(messages_below(parent, tree.messages))
        tree = tree.added(message)
    return tree.with_head(draw(st.sampled_from(list(tree.messages))))


@settings(max_examples=15, deadline=None)
@given(tree=trees(), data=st.data(), trace=TRACES)
def test_what_is_deleted_is_gone_and_comes_back_as_it_was(tmp_path_factory, tree, data, trace):
    store = Store.open(tmp_path_factory.mktemp("removed") / "c.db")
    made = Conversation(tree=tree)
    store.create(made)
    last = list(tree.messages.values())[-1]
    store.finish(made.id, last, trace)
    before = store.load(made.id)
    kept = {key: store.trace(key) for key in tree.messages}
    target = data.draw(st.sampled_from(list(tree.messages)))
    after, removed = remove(store, before, target)
    assert store.load(made.id) == replace(before, tree=after)
    assert set(removed.ids) == tree.below(target) == tree.messages.keys() - after.messages.keys()
    assert after.head is None or after.head in after.messages
    removing.put_back(store, removed, removed.head)
    assert store.load(made.id) == before
    assert {key: store.trace(key) for key in tree.messages} == kept
    assert after.with_back(before.tree, tree.below(target)).messages == before.tree.messages
    store.close()


def test_a_version_beside_it_is_read_then_else_what_stood_before():
    first = said("q")
    older, newer = (said(text, first.id, Role.ASSISTANT) for text in ("older", "newer"))
    below = said("more", older.id)
    tree = Tree.of([first, older, newer, below]).with_head(newer.id)
    assert tree.without(newer.id).head == below.id  # the newest leaf of the one beside it
    assert tree.without(older.id).head == newer.id
    assert tree.without(newer.id).without(older.id).head == first.id
    empty = tree.without(first.id)
    assert (dict(empty.messages), empty.head, empty.path()) == ({}, None, ())


def test_without_its_only_message_a_conversation_is_empty_and_goes_on(store):
    made = talk("only")
    store.create(made)
    remove(store, made, made.tree.head)
    loaded = store.load(made.id)
    assert loaded.tree == Tree()
    (row,) = store.listing.rows((made.id,))
    assert (row.title, row.preview) == ("", "")
    store.add_message(made.id, said("again"))
    assert store.load(made.id).summary().title == "again"


def test_nothing_of_it_is_found_or_kept_in_the_file(store):
    made = talk("a zebra?", "An okapi.", "and a quagga?", "No.")
    store.create(made)
    ids = list(made.tree.messages)
    prompts = {ids[1]: (7,) * 600, ids[3]: (7,) * 600 + (8,) * 600}
    for key, prompt in prompts.items():
        store.finish(made.id, made.tree.messages[key], AnswerTrace(prompt_ids=prompt))
    store.save_draft(f"edit {ids[2]}", "and a quagga, please?")
    pieces = count(store, "prompt_pieces")
    _, removed = remove(store, made, ids[2])
    while store.index.add_some(100):
        pass
    assert count(store, "prompt_pieces") < pieces
    assert store.trace(ids[1]).prompt_ids == prompts[ids[1]]
    assert store.drafts() == {}
    store.close()
    assert b"quagga" not in store.database.file.read_bytes()
    store = Store.open(store.database.file)
    removing.put_back(store, removed, removed.head)
    assert store.trace(ids[3]).prompt_ids == prompts[ids[3]]
    assert store.drafts() == {f"edit {ids[2]}": "and a quagga, please?"}
    store.close()


def test_the_same_conversation_taken_in_again_does_not_bring_it_back(store):
    source = talk("q", "a", "r", "b")
    first = add(store, source, source="chatgpt:1")
    ids = list(source.tree.messages)
    here = store.load(first.conversation_id)
    _, removed = remove(store, here, ids[2])
    assert add(store, source, source="chatgpt:1").outcome is Outcome.SAME
    assert list(store.load(here.id).tree.messages) == ids[:2]
    longer = go_on(source, "c")  # hangs below what was deleted
    assert add(store, longer, source="chatgpt:1").outcome is Outcome.SAME
    other = go_on(source, "another", at=ids[1])
    assert add(store, other, source="chatgpt:1").outcome is Outcome.MERGED
    assert [m.text for m in store.load(here.id).tree.path()] == ["q", "a", "another"]
    removing.put_back(store, removed, None)
    assert add(store, longer, source="chatgpt:1").outcome is Outcome.MERGED
    assert len(store.load(here.id).tree.messages) == 6


def test_a_conversation_removed_for_good_comes_in_whole(store):
    source = talk("q", "a", "r")
    add(store, source)
    remove(store, source, list(source.tree.messages)[1])
    store.listing.delete((source.id,))
    store.listing.delete_for_good((source.id,))
    assert count(store, "removed_messages") == 0
    assert add(store, source).outcome is Outcome.ADDED
    assert len(store.load(source.id).tree.messages) == 3


def test_what_came_below_or_took_its_place_meanwhile_stays(store):
    made = talk("q", "a", "r", "b")
    store.create(made)
    ids = list(made.tree.messages)
    _, removed = remove(store, made, ids[2])
    other = talk("takes the numbers", "that are free", "now", "and more")
    store.create(other)
    added = said("instead", ids[1])
    store.add_message(made.id, added)
    removing.put_back(store, removed, None)
    loaded = store.load(made.id)
    assert set(loaded.tree.messages) == {*ids, added.id}
    assert loaded.tree.head == added.id
    assert len(store.load(other.id).tree.messages) == 4
    removing.put_back(store, removed, removed.head)  # a second time does nothing but read there
    assert store.load(made.id).tree.head == ids[3]


def test_a_backup_does_not_bring_it_back_after_damage(store, tmp_path):
    made = talk("q", "a", "r", "b")
    store.create(made)
    old = Store.open(tmp_path / "old" / "c.db")
    old.create(made)
    ids = list(made.tree.messages)
    remove(store, made, ids[2])
    file = store.database.file
    store.close()
    with old.database.writing() as connection:
        connection.execute("UPDATE conversations SET updated_at = 0")
    old.close()
    found = salvage.collect(file)
    with closing(sqlite3.connect(tmp_path / "old" / "c.db", isolation_level=None)) as connection:
        recovery.merge(connection, found)
    again = Store.open(tmp_path / "old" / "c.db")
    assert list(again.load(made.id).tree.messages) == ids[:2]
    assert again.load(made.id).tree.head == ids[1]
    assert merge.add(again, Record(made)).outcome is Outcome.SAME
    again.close()


def test_a_copy_has_folder_tags_and_traces(store):
    made = talk("q", "a", "r")
    store.create(made)
    folder = store.listing.make_folder("Work")
    store.listing.set_folder((made.id,), folder.id)
    store.listing.add_tag((made.id,), "sky")
    ids = list(made.tree.messages)
    store.finish(made.id, made.tree.messages[ids[1]], AnswerTrace(prompt_ids=tuple(range(700))))
    names = {message_id: new_id() for message_id in ids[:2]}
    tree = Tree.of(
        replace(made.tree.messages[key], id=names[key], parent_id=names.get(before))
        for key, before in zip(ids[:2], (None, ids[0]), strict=True)
    )
    branch = Conversation(title="q (branch)", tree=tree)
    copying.copy(store, branch, made.id, {new: old for old, new in names.items()})
    assert store.load(branch.id) == branch
    assert store.trace(names[ids[1]]).prompt_ids == tuple(range(700))
    (row,) = store.listing.rows((branch.id,))
    assert (row.folder, row.tags) == (folder.id, ("sky",))
    store.listing.delete((made.id,))
    store.listing.delete_for_good((made.id,))
    assert store.trace(names[ids[1]]).prompt_ids == tuple(range(700))


def test_foreign_messages_are_refused(store):
    made, other = talk("q", "a"), talk("x")
    store.create(made)
    store.create(other)
    with pytest.raises(ValueError, match="not of this"):
        removing.remove(store, made.id, other.tree.head, None)
    first = next(iter(made.tree.messages))
    with pytest.raises(ValueError, match="deleted as well"):
        removing.remove(store, made.id, first, first)
    assert len(store.load(made.id).tree.messages) == 2
