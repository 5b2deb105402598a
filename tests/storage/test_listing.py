"""The list on disk against a simple model of it, and what is left of removed conversations."""

import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qwen_desktop.chat.context import ChatOptions, RemoteChoice
from qwen_desktop.chat.messages import AnswerTrace, PartKind, pending_answer, user_message
from qwen_desktop.chat.summary import (
    Folder,
    ListFilter,
    ListShape,
    Place,
    Section,
    Summary,
    day_starts,
    section_of,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage import listing as listing_module
from qwen_desktop.storage.store import Store

STARTS = (40.0, 30.0, 20.0, 10.0)  # Unix seconds in which the model's conversations are of any day
TAGS = ("work", "später", "旅行", "x" * 40)
SPELLINGS = {"WORK": "work", " Später\n": "später", "旅行": "旅行", "x" * 50: "x" * 40}
WHOLE = ListFilter()


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "conversations.db")
    yield opened
    opened.close()


def talk(store, text, updated_at=1.0):
    """A stored conversation with one question; its id."""
    conversation = Conversation(tree=Tree.of([user_message(text, None)]), updated_at=updated_at)
    store.create(conversation)
    return conversation.id


@dataclass(frozen=True)
class Row:
    """A conversation of the model. `deleted` is 0, or the how manieth deletion put it there."""

    id: str
    number: int
    updated_at: float
    pinned: bool = False
    archived: bool = False
    deleted: int = 0
    folder: str = ""
    tags: frozenset = field(default_factory=frozenset)

    @property
    def place(self):
        if self.deleted:
            return Place.BIN
        return Place.ARCHIVE if self.archived else Place.CHATS

    @property
    def key(self):
        if self.deleted:
            return (self.deleted, self.number)
        return (self.pinned and not self.archived, self.updated_at, self.number)

    def summary(self):
        return Summary(
            self.id,
            "",
            "",
            self.updated_at,
            self.pinned,
            self.place,
            self.folder,
            tuple(sorted(self.tags)),
        )


class ListAgainstModel(RuleBasedStateMachine):
    """`rows` is the model, by id; `folders` the names of folders by id."""

    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.place.name) / "conversations.db")
        self.listing = self.store.listing
        self.rows = {}
        self.folders = {}
        self.clock = 0

    def teardown(self):
        self.store.close()
        self.place.cleanup()

    def some(self, data, count=3):
        return data.draw(st.lists(st.sampled_from([*self.rows]), max_size=count))

    def change(self, ids, **changes):
        for conversation_id in ids:
            self.rows[conversation_id] = replace(self.rows[conversation_id], **changes)

    @rule(times=st.lists(st.sampled_from([5.0, 10.0, 15.0, 25.0, 30.0, 35.0, 45.0]), max_size=4))
    def create(self, times):
        for updated_at in times:
            conversation = Conversation(updated_at=updated_at)
            self.store.create(conversation)
            number = self.clock = self.clock + 1
            self.rows[conversation.id] = Row(conversation.id, number, updated_at)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), on=st.booleans())
    def pin(self, data, on):
        ids = self.some(data)
        self.listing.set_pinned([*ids, "nobody"], on)
        self.change(ids, pinned=on)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), on=st.booleans())
    def archive(self, data, on):
        ids = self.some(data)
        self.listing.set_archived(ids, on)
        self.change([i for i in ids if not self.rows[i].deleted], archived=on)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def delete(self, data):
        ids = self.some(data)
        self.listing.delete(ids)
        self.clock += 1
        self.change([i for i in ids if not self.rows[i].deleted], deleted=self.clock)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def restore(self, data):
        ids = self.some(data, 6)
        self.listing.restore(ids)
        self.change(ids, deleted=0)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def delete_for_good(self, data):
        ids = set(self.some(data))
        gone = [i for i in ids if self.rows[i].deleted]
        assert self.listing.delete_for_good(ids) == len(gone)
        for conversation_id in gone:
            del self.rows[conversation_id]

    @rule()
    def empty_bin(self):
        gone = [row.id for row in self.rows.values() if row.deleted]
        assert self.listing.empty_bin() == len(gone)
        for conversation_id in gone:
            del self.rows[conversation_id]

    @rule(name=st.sampled_from(["Work", " wörk\n", "旅行", "y" * 100]))
    def make_folder(self, name):
        made = self.listing.make_folder(name)
        assert made.name == " ".join(name.split())[:80]
        self.folders.setdefault(made.id, made.name)
        assert len(set(self.folders.values())) == len(self.folders)

    @precondition(lambda self: self.folders)
    @rule(data=st.data())
    def rename_folder(self, data):
        folder = data.draw(st.sampled_from([*self.folders]))
        self.folders[folder] = f"Other {len(self.folders)} {self.clock}"
        self.clock += 1
        self.listing.rename_folder(folder, self.folders[folder])

    @precondition(lambda self: self.folders)
    @rule(data=st.data())
    def delete_folder(self, data):
        folder = data.draw(st.sampled_from([*self.folders]))
        inside = [row.id for row in self.rows.values() if row.folder == folder]
        assert sorted(self.listing.delete_folder(folder)) == sorted(inside)
        assert self.listing.delete_folder(folder) == ()
        del self.folders[folder]
        self.change(inside, folder="")

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def set_folder(self, data):
        ids, folder = self.some(data), data.draw(st.sampled_from(["", *self.folders]))
        self.listing.set_folder(ids, folder)
        self.change(ids, folder=folder)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), name=st.sampled_from([*TAGS, *SPELLINGS]))
    def add_tag(self, data, name):
        ids = self.some(data)
        used = {tag for row in self.rows.values() for tag in row.tags}
        tag = SPELLINGS.get(name, name)
        if tag not in used and ids:  # the first one says how it is spelled
            self.listing.add_tag(ids, tag)
        self.listing.add_tag(ids, name)
        for i in ids:
            self.change([i], tags=self.rows[i].tags | {tag})

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), name=st.sampled_from(TAGS))
    def remove_tag(self, data, name):
        ids = self.some(data)
        self.listing.remove_tag(ids, name)
        for i in ids:
            self.change([i], tags=self.rows[i].tags - {name})

    @invariant()
    def every_list_is_that_of_the_model(self):
        folder = next(iter(self.folders), "")
        tag = next((t for row in self.rows.values() for t in row.tags), "")
        for place in Place:
            for which in {
                ListFilter(place),
                ListFilter(place, folder),
                ListFilter(place, "", tag),
                ListFilter(place, folder, tag),
            }:
                self.compare(which)

    def compare(self, which):
        listed = [
            row
            for row in self.rows.values()
            if row.place is which.place
            and which.folder in ("", row.folder)
            and (not which.tag or which.tag in row.tags)
        ]
        listed.sort(key=lambda row: row.key, reverse=True)
        if which.place is Place.ARCHIVE:
            listed.sort(key=lambda row: (row.updated_at, row.number), reverse=True)
        shape = self.listing.shape(which, STARTS)
        found = []
        while page := self.listing.page(which, len(found), 3):
            found += page
        assert found == [row.summary() for row in listed]
        assert self.listing.ids(which) == tuple(row.id for row in listed)
        assert self.listing.page(which, 2, 2) == tuple(row.summary() for row in listed[2:4])
        for place, row in enumerate(listed):
            if which.place is not Place.BIN:  # whatever is in the bin was deleted today
                assert shape.section_at(place) is section_of(row.summary(), STARTS)
        if which.place is Place.BIN and listed:
            assert shape.sections == ((Section.TODAY, len(listed)),)
        assert shape.count == len(listed)
        self.compare_counts(shape)

    def compare_counts(self, shape):
        kept = [row for row in self.rows.values() if not row.deleted]
        shown = [row for row in kept if not row.archived]
        counts = {tag: sum(tag in row.tags for row in shown) for row in kept for tag in row.tags}
        assert dict(shape.tags) == counts
        assert shape.archived == len(kept) - len(shown)
        assert shape.deleted == len(self.rows) - len(kept)
        inside = {f: sum(row.folder == f for row in shown) for f in self.folders}
        assert set(shape.folders) == {
            Folder(f, name, inside[f]) for f, name in self.folders.items()
        }
        assert [f.name for f in shape.folders] == sorted(self.folders.values(), key=str.casefold)

    @invariant()
    def rows_are_found_wherever_they_are(self):
        ids = [*self.rows, "nobody", *self.rows]
        expected = tuple(row.summary() for row in self.rows.values())
        assert self.listing.rows(ids) == expected


ListAgainstModel.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None
)
TestListAgainstModel = ListAgainstModel.TestCase


def test_what_is_said_brings_a_conversation_to_the_top_of_its_section(store):
    first, second, third = (talk(store, "q", float(n)) for n in range(3))
    store.listing.set_pinned([first], True)
    store.add_message(second, user_message("more", store.load(second).tree.head))
    assert store.listing.ids(WHOLE) == (first, second, third)
    assert store.listing.shape(WHOLE, day_starts(time.time())) == ListShape(
        sections=((Section.PINNED, 1), (Section.TODAY, 1), (Section.OLDER, 1))
    )


def test_restoring_brings_a_conversation_back_to_where_it_was(store):
    id_ = talk(store, "q")
    folder = store.listing.make_folder("Work")
    store.listing.set_folder([id_], folder.id)
    store.listing.add_tag([id_], "blue")
    store.listing.set_archived([id_], True)
    store.listing.set_pinned([id_], True)
    (before,) = store.listing.rows([id_])
    store.listing.delete([id_])
    assert store.load(id_).tree.messages  # it can still be read
    assert store.listing.rows([id_]) == (replace(before, place=Place.BIN),)
    store.listing.restore([id_])
    assert store.listing.rows([id_]) == (before,)


@pytest.mark.parametrize("name", ["", " \n\t"])
def test_a_name_of_nothing_is_refused(store, name):
    id_ = talk(store, "q")
    folder = store.listing.make_folder("Work")
    for attempt in (
        lambda: store.listing.add_tag([id_], name),
        lambda: store.listing.make_folder(name),
        lambda: store.listing.rename_folder(folder.id, name),
    ):
        with pytest.raises(ValueError, match="name"):
            attempt()
    assert store.listing.shape(WHOLE, STARTS).folders == (replace(folder, count=0),)
    assert store.listing.rows([id_])[0].tags == ()


def test_a_folder_with_a_known_id_or_name_is_made_once(store):
    made = store.listing.make_folder("Work", "f")
    assert made == Folder("f", "Work")
    assert store.listing.make_folder("Other", "f") == made
    assert store.listing.make_folder(" wORK ") == made


def test_the_latest_deleted_stand_first_in_the_bin_whatever_their_age(store):
    ids = [talk(store, "q", float(n)) for n in range(4)]
    store.listing.delete([ids[2]])
    store.listing.delete([ids[0], ids[3]])
    store.listing.delete([ids[0], ids[1]])  # one of them again: it was deleted before
    assert store.listing.ids(ListFilter(Place.BIN)) == (ids[1], ids[3], ids[0], ids[2])


def test_thousands_are_changed_at_once(store):
    ids = [talk(store, "q", float(n)) for n in range(2500)]
    store.listing.set_archived(ids, True)
    assert store.listing.shape(WHOLE, STARTS).archived == 2500
    assert [row.id for row in store.listing.rows(ids)] == ids


def test_nothing_of_a_conversation_is_left_in_the_file(store, tmp_path):
    """Not its title, its messages, its draft, its trace, nor what waits for the index."""
    secrets = ["needleA", "needleB", "needleC", "needleD", "needleE", "needleF"]
    kept = talk(store, "what stays")
    gone = talk(store, secrets[0] + " x" * 20_000)
    answer = pending_answer(store.load(gone).tree.head, "m")
    store.add_message(gone, answer)
    store.journal(answer.id, PartKind.TEXT, secrets[1])
    store.finish(gone, answer.appended(PartKind.TEXT, secrets[2]), AnswerTrace((5,) * 600))
    store.rename(gone, secrets[3])
    store.save_draft(gone, secrets[4])
    store.listing.add_tag([gone], secrets[5])
    while store.index.add_some(100):
        pass
    store.listing.delete([gone])
    assert store.listing.delete_for_good([gone]) == 1
    while store.index.add_some(100):
        pass
    with store.database.reading() as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        for table in ("answer_traces", "prompt_pieces", "answer_journal", "drafts", "tags"):
            assert table in names
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert count == 0, table
    with pytest.raises(Known):
        store.load(gone)
    store.close()
    with closing((tmp_path / "conversations.db").open("rb")) as file:
        raw = file.read()
    for secret in secrets:
        assert secret.encode() not in raw, secret
    again = Store.open(tmp_path / "conversations.db")
    assert again.listing.ids(WHOLE) == (kept,)
    again.close()


def test_what_was_deleted_a_month_ago_goes_with_its_draft(store, monkeypatch):
    kept, gone, other = (talk(store, name) for name in ("kept", "gone", "other"))
    for id_ in (kept, gone):
        store.save_draft(id_, "unsent")
    long_ago = time.time() - listing_module.KEEP_DELETED_SECONDS
    for id_, when in ((kept, long_ago + 60), (gone, long_ago - 60), (other, long_ago - 30)):
        monkeypatch.setattr(listing_module.time, "time", lambda when=when: when)
        store.listing.delete([id_])
    monkeypatch.undo()
    assert store.listing.remove_old(1) == 1  # the oldest first
    assert store.listing.remove_old(10) == 1
    assert store.listing.remove_old(10) == 0
    assert store.drafts() == {kept: "unsent"}
    assert store.listing.ids(ListFilter(Place.BIN)) == (kept,)


def test_a_suggested_title_yields_to_one_that_was_given(store):
    id_ = talk(store, "First question?")
    assert not store.suggest_title(id_, "")
    assert store.suggest_title(id_, "By the model")
    assert not store.suggest_title(id_, "By the model again")
    assert store.load(id_).title == "By the model"
    store.rename(id_, "")
    assert store.listing.rows([id_])[0].title == "First question?"
    store.rename(id_, "Mine")
    assert not store.suggest_title(id_, "By the model")
    assert not store.suggest_title("nobody", "By the model")
    assert store.listing.rows([id_])[0].title == "Mine"


def test_a_row_tells_that_a_server_answers(store):
    here, there = talk(store, "here", 2.0), talk(store, "there", 1.0)
    quoting = {"system_prompt": 'keep "remote":{"connection":"x"} as it is'}
    store.set_options(here, ChatOptions(values=quoting))
    store.set_options(there, ChatOptions(values=quoting, remote=RemoteChoice("lab", "m")))
    assert [row.remote for row in store.listing.page(WHOLE, 0, 5)] == [False, True]
    assert store.load(there).summary().remote
    store.set_options(there, ChatOptions(values=quoting))
    assert not store.listing.rows([there])[0].remote


def test_the_list_is_counted_and_paged_without_looking_at_rows(store):
    """A list of 10,000 is as quick as its indexes; a plan that reads rows would not be."""
    connection = store.database.connection
    statements = []
    connection.set_trace_callback(statements.append)
    for place in Place:
        store.listing.shape(ListFilter(place), STARTS)
        store.listing.page(ListFilter(place, "folder"), 5, 5)
    connection.set_trace_callback(None)
    asked = [s for s in statements if "FROM conversations WHERE deleted_at" in s]
    assert len(asked) > 10
    for statement in asked:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            if "conversations" in step:
                assert "COVERING INDEX" in step, statement
            assert "B-TREE FOR ORDER BY" not in step, statement
