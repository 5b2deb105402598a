"""What of a damaged database and its backup is there afterwards: nothing lost, nothing revived."""

import random
import shutil
import sqlite3
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.messages import (
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    TokenScore,
    user_message,
)
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import migrations
from qwen_desktop.storage.carve import carve
from qwen_desktop.storage.pages import Log, Pages, log_of
from qwen_desktop.storage.shapes import COLUMNS
from qwen_desktop.storage.store import Store
from tests.storage.profiles import words
from tests.storage.test_migrations import made_by

QUESTION = replace(user_message("the question", None), id="q")
ANSWER = Message(
    role=Role.ASSISTANT,
    parts=(Part(PartKind.TEXT, "the answer"),),
    id="a",
    parent_id="q",
    token_ids=(1, 2),
)
TRACE = AnswerTrace(tuple(range(600)), (TokenScore(5, "x", -0.5, ((5, "x", -0.5),)),))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profile" / "conversations.db"


@pytest.fixture
def store(file):
    """A store with one conversation, and a backup of it."""
    store = Store.open(file)
    store.create(Conversation(id="c", title="own", tree=Tree.of([QUESTION, ANSWER])))
    store.finish("c", ANSWER, TRACE)
    store.backups.make(BackupReason.DAILY)
    yield store
    store.close()


def spoil_header(file):
    """Make the file one that SQLite does not open; all pages are as they were."""
    content = bytearray(file.read_bytes())
    content[:16] = b"spoiled header!\0"
    file.write_bytes(content)


def spoil_index(file):
    """Make entries of an index wrong: all tables are whole, yet the check fails."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master"
            " WHERE name = 'tags_by_name') WHERE name = 'messages_of_conversation'"
        )
    file.with_name("check-database").touch()


SPOILERS = {"header": spoil_header, "index": spoil_index}


@pytest.fixture(params=SPOILERS)
def recovered(request, store, file):
    """Closes the store, damages the file and opens it again."""
    opened = []

    def recover(spoil=SPOILERS[request.param]):
        store.close()
        spoil(file)
        opened.append(Store.open(file))
        assert opened[-1].opening.damaged is not None
        return opened[-1]

    yield recover
    for one in opened:
        one.close()


def test_what_is_newer_than_the_backup_is_there(store, recovered):
    more = user_message("more", "a")
    store.add_message("c", more)
    store.create(Conversation(id="new", tree=Tree.of([user_message("hello", None)])))
    store.rename("c", "renamed")
    folder = store.listing.make_folder("Work")
    store.listing.set_folder(["c"], folder.id)
    store.listing.set_pinned(["new"], True)
    store.listing.add_tag(["c"], "tag")
    store.set_pinned("c", "q", True)
    store.save_draft("c", "unsent")
    before, other, listed = store.load("c"), store.load("new"), store.listing.rows(["c", "new"])
    again = recovered()
    assert again.load("c") == before
    assert again.load("new") == other
    assert again.listing.rows(["c", "new"]) == listed
    assert again.drafts() == {"c": "unsent"}
    assert again.trace("a") == TRACE
    report = again.opening.damaged
    assert report.backup is not None
    assert (report.conversations, report.messages, report.damaged) == (2, 3, 0)
    assert again.index.add_some(1000) == 0
    (hits,) = again.database.connection.execute(
        "SELECT count(*) FROM words WHERE words MATCH 'hello'"
    ).fetchone()
    assert hits == 1


def test_without_a_backup_a_new_database_takes_all(store, recovered, file):
    shutil.rmtree(file.parent / "backups")
    before = store.load("c")
    again = recovered()
    assert again.opening.damaged.backup is None
    assert again.load("c") == before
    assert again.trace("a") == TRACE


def test_what_was_moved_to_the_bin_stays_there(store, recovered):
    store.listing.delete(["c"])
    again = recovered()
    assert again.listing.ids(ListFilter()) == ()
    assert again.listing.ids(ListFilter(Place.BIN)) == ("c",)


def test_what_was_removed_for_good_comes_back_only_to_the_bin(store, file):
    """Where the list could be read as a whole, what is missing in it was removed by the user."""
    store.create(Conversation(id="other"))
    store.listing.delete(["c"])
    store.listing.delete_for_good(["c"])
    store.close()
    spoil_index(file)
    again = Store.open(file)
    assert again.opening.damaged is not None
    assert again.listing.ids(ListFilter()) == ("other",)
    assert again.listing.ids(ListFilter(Place.BIN)) == ("c",)
    again.close()


def test_drafts_and_tags_that_were_taken_away_stay_away(store, file):
    store.save_draft("c", "unsent")
    store.listing.add_tag(["c"], "tag")
    store.backups.make(BackupReason.ASKED)
    store.save_draft("c", "")
    store.listing.remove_tag(["c"], "tag")
    store.close()
    spoil_index(file)
    again = Store.open(file)
    assert again.drafts() == {}
    assert again.listing.rows(["c"])[0].tags == ()
    again.close()


def test_an_answer_that_ended_after_the_backup_is_as_it_ended(store, recovered):
    streaming = Message(Role.ASSISTANT, (), id="s", parent_id="a", status=Status.STREAMING)
    store.add_message("c", streaming)
    store.journal("s", PartKind.TEXT, "half ")
    store.backups.make(BackupReason.ASKED)
    done = replace(streaming, parts=(Part(PartKind.TEXT, "half and all"),), status=Status.COMPLETE)
    store.finish("c", done)
    assert recovered().load("c").tree.messages["s"] == done


def test_an_answer_that_streams_keeps_its_journal(store, recovered):
    streaming = Message(Role.ASSISTANT, (), id="s", parent_id="a", status=Status.STREAMING)
    store.add_message("c", streaming)
    store.journal("s", PartKind.TEXT, "half ", (4,))
    store.backups.make(BackupReason.ASKED)
    store.journal("s", PartKind.TEXT, "and more", (5,))
    read = recovered().load("c").tree.messages["s"]
    assert (read.text, read.token_ids) == ("half and more", (4, 5))
    assert read.status is Status.INTERRUPTED


def changed(file, statement, *values):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(statement, values)


def test_a_message_that_is_damaged_does_not_replace_the_good_one_of_the_backup(store, file):
    store.set_pinned("c", "q", True)
    store.close()
    changed(file, "UPDATE messages SET parts = '[{' WHERE id = 'a'")
    spoil_header(file)
    again = Store.open(file)
    assert again.load("c").tree.messages["a"] == ANSWER
    assert again.load("c").tree.messages["q"].pinned
    again.close()


def test_a_conversation_whose_row_is_lost_is_found_by_its_messages(store, file):
    store.add_message("c", user_message("more", "a"))
    store.create(
        Conversation(
            id="lost",
            title="gone",
            tree=Tree.of([replace(QUESTION, id="q2"), replace(ANSWER, id="a2", parent_id="q2")]),
        )
    )
    store.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM conversations")  # without foreign keys: only these
    spoil_header(file)
    again = Store.open(file)
    # One is in the backup, the other has a title of its first question.
    assert [m.text for m in again.load("c").tree.path()] == ["the question", "the answer", "more"]
    (other,) = (one for one in again.listing.ids(ListFilter()) if one != "c")
    found = again.load(other)
    assert [message.id for message in found.tree.path()] == ["q2", "a2"]
    assert again.listing.rows([other])[0].title == "the question"
    again.close()


def test_a_text_with_a_lost_end_is_shown_up_to_there(store, file, draw):
    """One of its further pages is zeros, and the backup does not have it."""
    text = words(draw, 20_000)
    store.create(
        Conversation(
            id="long",
            tree=Tree.of(
                [
                    replace(QUESTION, id="l"),
                    replace(
                        ANSWER,
                        id="la",
                        parent_id="l",
                        parts=(Part(PartKind.TEXT, text),),
                        token_ids=(),
                    ),
                ]
            ),
        )
    )
    store.close()
    content = bytearray(file.read_bytes())
    packed = zlib.compress(f'[{{"kind":"text","text":"{text}"}}]'.encode())
    at = content.index(packed[30_000:30_100])
    content[at - at % 8192 : at - at % 8192 + 8192] = bytes(8192)
    file.write_bytes(content)
    file.with_name("check-database").touch()
    again = Store.open(file)
    assert again.opening.damaged.damaged == 1
    read = again.load("long").tree.messages["la"]
    assert read.damaged
    assert text.startswith(read.text)
    assert len(read.text) > 5000
    assert again.load("c").tree.messages["a"] == ANSWER
    again.close()


def test_rows_on_a_page_with_a_spoiled_head_are_found(store, file):
    """What lies behind the first bytes of a page is whole: no message is lost."""
    for number in range(60):
        asked = user_message(f"message {number} ", store.load("c").tree.head)
        store.add_message("c", asked)
    expected = store.load("c")
    store.close()
    shutil.rmtree(file.parent / "backups")
    content = bytearray(file.read_bytes())
    spoiled = 0
    for begin in range(8192, len(content), 8192):
        if content[begin] == 13 and b"message " in content[begin : begin + 8192]:
            content[begin : begin + 40] = b"\xff" * 40
            spoiled += 1
    assert spoiled > 1
    file.write_bytes(content)
    file.with_name("check-database").touch()
    again = Store.open(file)
    assert again.opening.damaged.messages == len(expected.tree.messages)
    assert again.load("c").tree == expected.tree
    again.close()


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_no_bytes_stop_the_reading_of_pages(damage):
    content = bytearray(GOOD)
    for _ in range(damage.choice((1, 10, 300))):
        content[damage.randrange(len(content))] = damage.randrange(256)
    del content[damage.randrange(len(content)) :]
    for row in carve(Pages(bytes(content), Log(bytes(content)), damage.choice((512, 4096)))):
        assert row.table in COLUMNS


def good_bytes():
    """A file of the latest format, with something in every table."""
    with TemporaryDirectory() as folder:
        return made_by(migrations.LATEST, Path(folder) / "conversations.db").read_bytes()


GOOD = good_bytes()


@pytest.fixture
def draw():
    return random.Random(2)


@pytest.mark.parametrize("version", range(1, migrations.LATEST + 1))
def test_a_damaged_file_of_any_format_is_recovered(version, tmp_path):
    file = made_by(version, tmp_path / "conversations.db")
    good = shutil.copy(file, tmp_path / "good.db")
    spoil_header(file)
    expected, again = Store.open(good), Store.open(file)
    for conversation_id in ("c1", "c2"):
        assert again.load(conversation_id) == expected.load(conversation_id)
        for message_id in again.load(conversation_id).tree.messages:
            assert again.trace(message_id) == expected.trace(message_id)
    assert again.listing.rows(["c1", "c2"]) == expected.listing.rows(["c1", "c2"])
    assert again.drafts() == expected.drafts()
    for store in (expected, again):
        store.close()


def test_every_table_of_the_latest_format_is_known_here(tmp_path):
    """Whoever changes the schema must say here how its rows are recovered."""
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        migrations.migrate(connection)
        tables = {
            name: tuple(
                column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")
            )
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words%'"
            ).fetchall()
        }
    made_anew = {"to_index", "to_forget"}  # by triggers
    assert {name: columns for name, columns in tables.items() if name not in made_anew} == COLUMNS


def test_carving_a_good_file_gives_the_rows_that_sqlite_gives(store, file, draw):
    for number in range(40):
        store.create(
            Conversation(
                id=f"n{number}", tree=Tree.of([user_message(words(draw, 50 * number), None)])
            )
        )
    store.listing.delete([f"n{number}" for number in range(0, 40, 2)])
    store.listing.delete_for_good([f"n{number}" for number in range(0, 40, 2)])
    store.save_draft("c", "unsent " * 400)
    store.close()
    pages = Pages.of(file)
    carved = {table: set() for table in COLUMNS}
    for row in carve(pages):
        assert not row.is_cut
        carved[row.table].add(tuple(row.values.get(column) for column in COLUMNS[row.table]))
    pages.close()
    with closing(sqlite3.connect(file)) as connection:
        for table, columns in COLUMNS.items():
            found = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
            assert carved[table] == set(found), table


def test_a_transaction_behind_damage_in_the_log_is_found(store, file, tmp_path):
    """SQLite stops at the first bad frame of the log, and says nothing of those behind it."""
    store.close()
    store = Store.open(file)
    sizes = []
    for number in range(4):
        store.create(Conversation(id=f"n{number}", tree=Tree.of([user_message("x", None)])))
        sizes.append(log_of(file).stat().st_size)
    left = tmp_path / "killed"
    left.mkdir()
    for one in (file, log_of(file)):
        shutil.copy(one, left / one.name)
    store.close()
    log = bytearray((left / "conversations.db-wal").read_bytes())
    assert not Log(bytes(log)).loses_something
    log[sizes[1] + 24 + 4000] ^= 1  # in the first frame of the third transaction
    assert Log(bytes(log)).loses_something
    (left / "conversations.db-wal").write_bytes(log)
    again = Store.open(left / "conversations.db")
    assert again.opening.damaged is not None
    assert {"c", "n0", "n1", "n3"} <= set(again.listing.ids(ListFilter()))
    again.close()


def test_a_log_that_ends_in_the_middle_is_that_of_a_kill(store, file, tmp_path):
    store.close()
    store = Store.open(file)
    for number in range(3):
        store.create(Conversation(id=f"n{number}", tree=Tree.of([user_message("x", None)])))
    log = log_of(file).read_bytes()
    for cut in (1, 24, 4000, 8192 + 24, 8192 + 25):
        left = tmp_path / f"killed {cut}"
        left.mkdir()
        shutil.copy(file, left / file.name)
        (left / log_of(file).name).write_bytes(log[:-cut])
        again = Store.open(left / file.name)
        assert again.opening.damaged is None
        assert set(again.listing.ids(ListFilter())) == {"c", "n0", "n1"}
        again.close()
    store.close()
