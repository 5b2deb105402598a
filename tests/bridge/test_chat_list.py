"""The list on the main thread, with the real store: what is shown at once is what is then read."""

import random
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QEventLoop, QTimer

from qwen_desktop.bridge.chat_list import ChatList
from qwen_desktop.bridge.list_change import ChangeKind
from qwen_desktop.bridge.list_rows import PAGE
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.summary import ListFilter, ListShape, Place, Section
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.statements import insert_conversation
from qwen_desktop.storage.store import Store

DAY = 86_400.0
ARCHIVE, BIN = ListFilter(Place.ARCHIVE), ListFilter(Place.BIN)


class Listed:
    """A list over a real store on its own thread, and what it said."""

    def __init__(self, qtbot, file, count, now=time.time):
        store = Store.open(file)
        with store.database.writing() as connection:
            for n in range(count):  # the first is the newest, 16 of them begin today
                at = time.time() - n * 600 if n < 16 else time.time() - DAY - n * 3600
                conversation = Conversation(
                    id=f"c{n}", title=f"Talk {n}", created_at=at, updated_at=at
                )
                insert_conversation(connection, conversation)
        store.close()
        self.qtbot, self.file = qtbot, file
        self.client = StoreClient(file)
        self.list = ChatList(self.client, now=now)
        self.shapes, self.stretches, self.tops, self.changes, self.problems = [], [], [], [], []
        self.list.shape_changed.connect(self.shapes.append)
        self.list.rows_changed.connect(lambda *stretch: self.stretches.append(stretch))
        self.list.top_changed.connect(self.tops.append)
        self.list.undoable.connect(self.changes.append)
        self.client.problem.connect(self.problems.append)
        self.client.start()
        self.list.refresh()
        self.settle()

    def ask(self, job):
        """What a job on the store gives, once everything before it is done."""
        found, loop, patience = [], QEventLoop(), QTimer(singleShot=True, interval=20_000)
        patience.timeout.connect(loop.quit)
        patience.start()

        def done(result):
            found.append(result)
            loop.quit()

        self.client.submit(job, done)
        loop.exec()
        patience.stop()
        return found[0]

    def settle(self):
        """Wait for writes, for what is read after them, and for pages asked for then."""
        for _ in range(3):
            self.ask(lambda store: True)

    def shown(self):
        """The rows that are loaded, by offset."""
        offsets = range(self.list.shape.count)
        rows = {offset: self.list.row_at(offset) for offset in offsets}
        return {offset: row for offset, row in rows.items() if row is not None}

    def titles(self):
        return [row.title for row in self.list.top()]

    def on_disk(self, *ids):
        return self.ask(lambda store: store.listing.rows(ids))

    def close(self):
        self.client.close()
        self.list.deleteLater()  # its timer is on; see the hook in tests/conftest.py
        self.client.deleteLater()


@pytest.fixture
def listed(qtbot, tmp_path):
    made = Listed(qtbot, tmp_path / "conversations.db", 40)
    yield made
    made.close()


@pytest.fixture
def long(qtbot, tmp_path):
    made = Listed(qtbot, tmp_path / "conversations.db", 10_000)
    yield made
    made.close()


# -- reading ---------------------------------------------------------------------------------


def test_ten_thousand_rows_are_read_a_page_at_a_time_and_once(long):
    assert long.list.shape.count == 10_000
    assert long.titles()[:2] == ["Talk 0", "Talk 1"]
    long.stretches.clear()
    for _ in range(100):
        assert long.list.row_at(5042) is None
    long.settle()
    assert long.stretches == [(5000, 5099)]
    assert long.list.row_at(5042).title == "Talk 5042"
    assert long.list.row_at(5100) is None
    assert long.list.row_at(10_000) is None
    assert long.list.row_at(-1) is None


def test_only_a_few_pages_are_held_however_far_one_scrolls(long):
    for offset in range(0, 10_000, PAGE):
        long.list.row_at(offset)
    long.settle()
    loaded = [offset for offset in range(0, 10_000, PAGE) if long.list.row_at(offset)]
    assert loaded[-1] == 9900
    assert len(loaded) <= 8


def test_a_change_at_the_top_moves_what_is_shown_far_below(long):
    long.list.row_at(5000)
    long.settle()
    long.list.delete(["c3"])
    assert long.list.row_at(5000).id == "c5001"
    assert long.list.row_at(3).id == "c4"
    long.settle()
    assert long.list.row_at(5000).id == "c5001"
    assert long.list.row_at(5099).id == "c5100"


def test_a_page_that_is_on_its_way_while_the_list_changes_is_the_one_after_it(long):
    seen = []
    long.list.rows_changed.connect(lambda *_: seen.append(long.list.row_at(5000)))
    long.list.row_at(5000)
    long.list.delete(["c3"])
    assert long.list.row_at(5000) is None
    long.settle()
    assert {row.id for row in seen} == {"c5001"}


def test_the_ids_of_all_rows_are_found_as_they_are_after_a_change(listed):
    found = []
    listed.list.ids(found.append)
    listed.list.set_pinned(["c39"], True)  # while the question is on its way
    listed.settle()
    listed.settle()
    assert found == [("c39", *(f"c{n}" for n in range(39)))]


def test_another_filter_shows_when_it_is_read_and_late_answers_are_dropped(listed):
    listed.list.set_archived(["c1", "c2"], True)
    listed.settle()
    listed.shapes.clear()
    listed.list.set_filter(ARCHIVE)
    assert listed.list.filter == ListFilter()
    assert len(listed.list.top()) == 38
    listed.list.set_filter(ListFilter())
    listed.list.set_filter(ARCHIVE)
    listed.settle()
    assert listed.list.filter == ARCHIVE
    assert listed.titles() == ["Talk 1", "Talk 2"]
    assert listed.list.shape.count == 2
    assert len(listed.shapes) == 1
    listed.list.set_filter(BIN)
    listed.settle()
    assert listed.list.shape.count == 0
    assert listed.list.row_at(0) is None


def test_many_changes_at_once_are_read_once(listed):
    statements = []
    listed.ask(lambda store: store.database.connection.set_trace_callback(statements.append) or 1)
    for n in range(20):
        listed.list.set_pinned([f"c{n}"], True)
        listed.list.rename(f"c{n}", f"New {n}")
    listed.settle()
    reads = [s for s in statements if s.startswith("SELECT number, id, name FROM folders")]
    assert len(reads) == 1
    assert [row.title for row in listed.list.top()[:20]] == [f"New {n}" for n in range(20)]


def test_the_first_rows_of_the_whole_list_are_told_as_they_stand_on_disk(listed):
    assert [row.id for row in listed.tops[-1]] == [f"c{n}" for n in range(40)]
    listed.list.set_filter(BIN)
    listed.settle()
    listed.list.set_pinned(["c5"], True)
    listed.settle()
    assert listed.tops[-1][0] == listed.on_disk("c5")[0]
    assert len(listed.tops) == 2


def test_what_other_hands_change_is_shown_after_a_refresh(listed):
    listed.ask(lambda store: store.listing.delete(["c0"]) or True)
    listed.list.refresh()
    listed.settle()
    assert listed.titles()[0] == "Talk 1"


def test_a_pin_is_taken_back_where_it_was_none_before(listed):
    listed.list.set_pinned(["c4"], True)
    listed.list.set_pinned(["c4", "c5"], True)
    assert [change.kind for change in listed.changes] == [ChangeKind.PINNED] * 2
    assert listed.changes[-1].count == 2
    listed.changes[-1].undo()
    listed.settle()
    assert [row.pinned for row in listed.on_disk("c4", "c5")] == [True, False]
    assert listed.list.row("c4").pinned
    listed.list.set_pinned(["c4"], False)
    listed.changes[-1].undo()
    listed.settle()
    assert listed.on_disk("c4")[0].pinned


# -- changes show at once --------------------------------------------------------------------


def test_something_new_stands_at_the_top_of_its_section_at_once(listed):
    listed.list.set_pinned(["c4"], True)
    listed.settle()
    today = dict(listed.list.shape.sections)[Section.TODAY]  # fewer soon after midnight
    new = Conversation(id="new", tree=Tree.of([user_message("What is new?", None)]))
    listed.ask(lambda store: store.create(new) or True)
    listed.list.update(new, is_new=True)
    assert listed.titles()[:3] == ["Talk 4", "What is new?", "Talk 0"]
    assert listed.list.shape.sections[:2] == ((Section.PINNED, 1), (Section.TODAY, today + 1))
    old = listed.ask(lambda store: store.load("c30"))
    said = old.tree.added(user_message("Again?", None))
    listed.list.update(replace(old, tree=said, updated_at=time.time()))
    assert listed.list.row_at(1).preview == "Again?"
    assert listed.list.row_at(2).title == "What is new?"
    pinned = listed.ask(lambda store: store.load("c4"))
    listed.list.update(replace(pinned, updated_at=time.time()))
    assert listed.list.row_at(0).id == "c4"  # its pin and all else stay


def test_what_is_said_in_the_bin_or_the_archive_does_not_come_into_the_list(listed):
    listed.list.set_archived(["c2"], True)
    listed.list.delete(["c3"])
    for conversation_id in ("c2", "c3"):
        row = listed.on_disk(conversation_id)[0]
        listed.list.know(row)
        listed.list.update(Conversation(id=conversation_id, updated_at=time.time()))
        assert listed.list.offset_of(conversation_id) is None


def test_a_change_that_cannot_be_made_is_taken_back_and_told(listed):
    listed.list._keep(lambda store: store.rename("nobody", "x"))  # as a lost conversation
    listed.settle()
    assert len(listed.problems) == 1
    assert len(listed.list.top()) == 40


def test_tags_are_one_however_they_are_spelled(listed):
    listed.list.add_tag(["c1"], " Reise\nPlan ")
    listed.list.add_tag(["c2"], "REISE PLAN")
    assert listed.list.shape.tags == (("Reise Plan", 2),)
    listed.list.add_tag(["c2"], "  ")
    listed.settle()
    assert listed.list.shape.tags == (("Reise Plan", 2),)
    assert listed.list.row_at(2).tags == ("Reise Plan",)
    listed.list.set_filter(ListFilter(tag="Reise Plan"))
    listed.settle()
    assert listed.titles() == ["Talk 1", "Talk 2"]


def test_folders_are_made_renamed_and_counted_at_once(listed):
    made = []
    listed.list.make_folder(" Work ", made.append)
    listed.list.make_folder("WORK", made.append)
    listed.list.make_folder("Trips", made.append)
    listed.list.make_folder(" ", made.append)
    work, again, trips = made
    assert work == again
    listed.list.set_folder(["c1", "c2"], work.id)
    assert not listed.list.rename_folder(trips.id, "work")
    assert not listed.list.rename_folder(trips.id, "")
    assert listed.list.rename_folder(trips.id, "trips")
    expected = (replace(trips, name="trips"), replace(work, count=2))
    assert listed.list.shape.folders == expected
    listed.settle()
    assert listed.list.shape.folders == expected
    assert listed.on_disk("c2")[0].folder == work.id


def test_a_title_is_suggested_where_none_was_given(listed):
    new = Conversation(id="new", tree=Tree.of([user_message("What is new?", None)]))
    listed.ask(lambda store: store.create(new) or True)
    listed.list.update(new, is_new=True)
    taken, renamed = [], []
    listed.list.renamed.connect(lambda *what: renamed.append(what))
    listed.list.suggest_title("new", " Something\nnew ", taken.append)
    listed.list.suggest_title("c1", "Other", taken.append)
    listed.list.suggest_title("new", "Newer", taken.append)
    listed.list.suggest_title("new", " ", taken.append)
    listed.settle()
    assert taken == [True, False, False]
    assert renamed == [("new", "Something new")]
    assert listed.titles()[:3] == ["Something new", "Talk 0", "Talk 1"]


# -- the way back ----------------------------------------------------------------------------


@pytest.mark.parametrize("settles", [True, False], ids=["later", "at once"])
def test_every_change_of_several_is_undone_as_one(listed, settles):
    some = ["c1", "c2", "c3", "c4", "c35"]
    made = []
    for name in ("One", "Two"):
        listed.list.make_folder(name, made.append)
    one, two = made
    listed.list.set_folder(["c1", "c2"], one.id)
    listed.list.set_folder(["c3"], two.id)
    listed.list.set_archived(["c2"], True)
    listed.list.add_tag(["c1", "c3"], "tag")
    listed.list.set_pinned(["c4"], True)
    listed.settle()
    before, shape = listed.on_disk(*some), listed.list.shape
    listed.changes.clear()
    for change in (
        lambda: listed.list.delete(some),
        lambda: listed.list.set_archived(some, True),
        lambda: listed.list.set_archived(some, False),
        lambda: listed.list.set_folder(some, two.id),
        lambda: listed.list.set_folder(some, ""),
        lambda: listed.list.delete_folder(one.id),
        lambda: listed.list.remove_tag(some, "tag"),
    ):
        change()
        if settles:
            listed.settle()
            assert listed.on_disk(*some) != before
        listed.changes[-1].undo()
        listed.settle()
        assert listed.on_disk(*some) == before
        assert listed.list.shape == shape
    assert [(c.kind, c.count, c.name) for c in listed.changes] == [
        (ChangeKind.DELETED, 5, ""),
        (ChangeKind.ARCHIVED, 5, ""),
        (ChangeKind.UNARCHIVED, 5, ""),
        (ChangeKind.MOVED, 5, "Two"),
        (ChangeKind.MOVED, 5, ""),
        (ChangeKind.FOLDER_DELETED, 1, "One"),
        (ChangeKind.TAG_REMOVED, 5, "tag"),
    ]


def test_what_was_in_the_bin_before_stays_there_when_another_deletion_is_undone(listed):
    listed.list.delete(["c1"])
    listed.list.delete(["c1", "c2"])
    listed.changes[-1].undo()
    assert listed.titles()[:3] == ["Talk 0", "Talk 2", "Talk 3"]
    listed.settle()
    assert listed.titles()[:3] == ["Talk 0", "Talk 2", "Talk 3"]


def test_only_what_a_change_did_is_undone(listed):
    listed.list.add_tag(["c1"], "old")
    listed.list.delete(["c1", "c2"])
    listed.list.set_filter(BIN)
    listed.settle()
    undo = listed.changes[-1].undo
    listed.list.restore(["c1"])
    listed.list.set_archived(["c1"], True)
    listed.list.rename("c2", "Other")
    listed.settle()
    undo()
    assert listed.list.shape.deleted == 0
    listed.settle()
    first, second = listed.on_disk("c1", "c2")
    assert (first.place, first.tags) == (Place.ARCHIVE, ("old",))
    assert (second.place, second.title) == (Place.CHATS, "Other")
    listed.list.delete(["c2"])
    undo()  # once
    listed.settle()
    assert listed.list.shape.deleted == 1


def test_a_single_one_is_told_with_its_title(listed):
    told = []
    listed.list.deleted.connect(lambda *what: told.append(what))
    listed.list.delete(["c1"])
    listed.list.delete(["c2", "c3"])
    listed.list.delete([])
    assert told == [(("c1",), "Talk 1"), (("c2", "c3"), "")]
    assert [change.title for change in listed.changes] == ["Talk 1", ""]


def test_the_folder_that_is_shown_gives_way_to_the_whole_list_when_it_is_deleted(listed):
    made = []
    listed.list.make_folder("Work", made.append)
    listed.list.set_folder(["c1"], made[0].id)
    listed.list.set_filter(ListFilter(folder=made[0].id))
    listed.settle()
    assert listed.titles() == ["Talk 1"]
    listed.list.delete_folder(made[0].id)
    listed.settle()
    assert listed.list.filter == ListFilter()
    assert listed.list.shape.count == 40


def test_the_bin_is_emptied_in_steps_and_only_it(listed):
    gone = [f"c{n}" for n in range(30)]
    removed = []
    listed.list.removed.connect(removed.append)
    listed.list.delete(gone)
    listed.list.set_filter(BIN)
    listed.settle()
    assert listed.list.shape.count == 30
    listed.list.delete_for_good(["c0", "c35"])
    assert listed.list.shape.deleted == 29
    listed.list.restore(["c1"])
    assert listed.list.offset_of("c1") is None
    listed.settle()
    assert listed.list.shape.count == listed.list.shape.deleted == 28
    listed.list.empty_bin()
    assert listed.list.shape.count == listed.list.shape.deleted == 0
    for _ in range(3):
        listed.settle()
    assert set(removed[0]) == {"c0"}
    assert {id_ for ids in removed for id_ in ids} == set(gone) - {"c1"}
    assert listed.list.shape.count == 0
    assert [row.id for row in listed.on_disk(*gone, "c35")] == ["c1", "c35"]


def test_what_was_deleted_a_month_ago_is_removed_in_steps(listed):
    old = time.time() - 31 * DAY
    listed.ask(
        lambda store: (
            store.database.connection.execute(
                "UPDATE conversations SET deleted_at = ? WHERE number <= 30", (old,)
            )
            and True
        )
    )
    listed.list.delete(["c35"])
    listed.list.remove_old()
    for _ in range(3):
        listed.settle()
    assert len(listed.list.top()) == 9
    assert listed.list.shape.deleted == 1


# -- days ------------------------------------------------------------------------------------


def test_at_midnight_what_was_today_is_yesterday(qtbot, tmp_path):
    year, month, day, *_ = time.localtime()
    midnight = time.mktime((year, month, day + 1, 0, 0, 0, 0, 0, -1))
    clock = [midnight - 0.05]
    made = Listed(qtbot, tmp_path / "conversations.db", 3, now=lambda: clock[0])
    new = Conversation(id="new", updated_at=midnight - 1)
    made.ask(lambda store: store.create(new) or True)
    made.list.update(new, is_new=True)
    assert made.list.shape.section_at(0) is Section.TODAY
    clock[0] = midnight + 1
    qtbot.waitUntil(lambda: made.list.shape.section_at(0) is Section.YESTERDAY)
    made.list.update(replace(new, updated_at=midnight + 1))
    assert made.list.shape.section_at(0) is Section.TODAY
    made.close()


# -- whatever is done ------------------------------------------------------------------------


def change_at_random(listed, rng, folders):
    """One of all changes, of some rows that are shown."""
    rows = [*listed.shown().values()]
    ids = [row.id for row in rng.sample(rows, min(len(rows), rng.randrange(1, 5)))]
    on = rng.random() < 0.5
    gone = lambda: listed.list.delete_for_good(ids)  # noqa: E731
    todo = [
        lambda: listed.list.set_pinned(ids, on),
        lambda: listed.list.set_archived(ids, on),
        lambda: listed.list.set_folder(ids, rng.choice(["", *folders])),
        lambda: listed.list.add_tag(ids, rng.choice("ab")),
        lambda: listed.list.remove_tag(ids, rng.choice("ab")),
        lambda: listed.list.rename(rng.choice(ids or ["c1"]), "Other"),
        lambda: listed.list.delete(ids),
        gone,
        lambda: listed.changes[-1].undo() if listed.changes else None,
    ]
    if listed.list.filter.place is Place.BIN:  # else it comes back to where nobody knows
        todo.append(lambda: listed.list.restore(ids))
    done = rng.choice(todo)
    done()
    if done is gone:
        listed.changes.clear()


def without_zeros(shape):
    """Tags that nobody has any more go with the next read."""
    return replace(shape, tags=tuple(tag for tag in shape.tags if tag[1]))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_what_shows_at_once_is_what_is_then_read(qtbot, tmp_path_factory, seed):
    """Rows at their offsets and all counts, in every place, folder and tag."""
    rng = random.Random(seed)
    listed = Listed(qtbot, tmp_path_factory.mktemp("walk") / "conversations.db", 250)
    folders, place = [], Place.CHATS
    for name in ("One", "Two"):
        listed.list.make_folder(name, lambda folder: folders.append(folder.id))
    for _ in range(12):
        which = ListFilter(rng.choice([*Place, Place.CHATS]), rng.choice(["", "", *folders]))
        if rng.random() < 0.3:
            which = ListFilter(tag=rng.choice("ab"))
        if rng.random() < 0.5:
            listed.list.set_filter(which)
            if which.place is not place:
                # Rows that are not loaded are put back as they were when they were loaded.
                listed.changes.clear()
            place = which.place
        listed.settle()
        listed.shown()
        listed.settle()
        change_at_random(listed, rng, folders)
        shown, shape = listed.shown(), without_zeros(listed.list.shape)
        listed.settle()
        for offset, row in listed.shown().items():
            assert shown.get(offset, row) == row
        assert without_zeros(listed.list.shape) == shape
    assert listed.problems == []
    listed.close()


def test_an_empty_profile_has_an_empty_list(qtbot, tmp_path):
    made = Listed(qtbot, tmp_path / "conversations.db", 0)
    assert made.list.shape == ListShape()
    assert made.list.top() == ()
    made.list.empty_bin()
    made.settle()
    assert made.problems == []
    made.close()
