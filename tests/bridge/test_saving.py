"""The disk refuses and works again: what was to be kept waits in order, then all of it is there."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from qwen_desktop.bridge import store_client
from qwen_desktop.bridge.saving import SavingState
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import PartKind, Status, pending_answer, user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store
from tests.bridge.conftest import Desk
from tests.listed import listed

# More than the pages that are left take, and nothing that compresses.
LONG = random.Random(1).randbytes(30_000).hex()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What waits is tried again at once, and a lock is not waited for."""
    monkeypatch.setattr(store_client, "RETRY_MS", 20)
    monkeypatch.setattr(store_client, "WAITING_PATIENCE_SECONDS", 0.01)


def run(desk, job):
    """Do a job on the store thread and give its result."""
    found = []
    desk.store.submit(lambda store: (job(store),), found.append)
    desk.wait(lambda: found)
    return found[0][0]


@contextmanager
def full(desk):
    """No page more fits into the database, as on a full disk."""

    def fill(store):
        connection = store.database.connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    run(desk, fill)
    yield
    run(desk, lambda store: store.database.connection.execute("PRAGMA max_page_count = 1000000"))


@contextmanager
def locked(desk):
    """Another program writes into the database and does not come to an end."""
    run(desk, lambda store: store.database.wait_for_lock(0.01))
    with closing(sqlite3.connect(desk.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def read_only(desk):
    """The database takes no writing, as on a disk that was mounted anew for reading."""
    run(desk, lambda store: store.database.connection.execute("PRAGMA query_only = 1"))
    yield
    run(desk, lambda store: store.database.connection.execute("PRAGMA query_only = 0"))


REFUSALS = {"disk-full": full, "locked": locked, "read-only": read_only}


@pytest.fixture(params=list(REFUSALS))
def refusal(request, desk):
    return lambda: REFUSALS[request.param](desk)


# What fits into the pages there are is not refused by a full disk.
WHATEVER_ITS_SIZE = pytest.mark.parametrize("refusing", [locked, read_only])


def states(desk):
    told = []
    desk.store.saving_changed.connect(told.append)
    return told


def talk(text=LONG):
    question = user_message(text, None)
    return Conversation(tree=Tree.of([question, pending_answer(question.id, "Qwen")]))


def settled(desk):
    return desk.store.saving.all_saved and desk.store.is_settled


def test_every_kind_of_kept_change_waits_and_is_on_disk_once_and_in_order(desk, refusal):
    written = talk("short")
    question, answer = written.tree.path()
    run(desk, lambda store: store.create(written))
    begun = []
    changes = {
        "draft": lambda store: store.save_draft(written.id, LONG),
        "options": lambda store: store.set_options(
            written.id, ChatOptions(values={"system_prompt": LONG})
        ),
        "title": lambda store: store.rename(written.id, LONG),
        "pin": lambda store: store.set_pinned(written.id, question.id, True),
        "journal": lambda store: store.journal_pieces(
            answer.id, [(PartKind.TEXT, "One ", ()), (PartKind.TEXT, LONG, ())]
        ),
        "head": lambda store: store.set_head(written.id, question.id),
    }
    saved = []
    with refusal():
        for name, change in changes.items():
            desk.store.keep(
                lambda store, n=name, c=change: (begun.append(n), c(store)),
                lambda _, n=name: saved.append(n),
            )
        desk.wait(lambda: desk.store.saving.waiting == len(changes))
        desk.wait(lambda: len(begun) > 3)  # tried again, and no later one before it
        assert not saved
        assert set(begun) == {"draft"}
        assert not desk.store.is_settled
    desk.wait(lambda: settled(desk))

    assert saved == list(changes)
    read = run(desk, lambda store: store.load(written.id))
    assert run(desk, lambda store: store.drafts())[written.id] == LONG
    assert read.options.values["system_prompt"] == LONG
    assert read.title == LONG
    assert read.tree.messages[question.id].pinned
    assert read.tree.messages[answer.id].text == f"One {LONG}"
    assert read.tree.head == question.id
    assert not desk.problems


def test_it_is_told_once_that_changes_wait_why_and_that_all_are_saved(desk, refusal, request):
    told = states(desk)
    with refusal():
        desk.store.keep(lambda store: store.save_draft("", LONG))
        desk.wait(lambda: told)
        for _ in range(5):
            run(desk, listed)  # each of them is another try
        assert [state.waiting for state in told] == [1]
    desk.wait(lambda: settled(desk))

    assert told[0].report.code in request.node.name
    assert told[1:] == [SavingState()]


def test_of_the_drafts_of_one_conversation_only_the_newest_waits(desk, refusal):
    with refusal():
        for number in range(30):
            desk.chats.set_draft(f"{number} {LONG}")
            desk.chats.flush()
        desk.chats.new()
        desk.wait(lambda: not desk.store.saving.all_saved)
        run(desk, lambda store: None)
        assert desk.store.saving.waiting == 1
    desk.wait(lambda: settled(desk))

    assert run(desk, lambda store: store.drafts()) == {"": f"29 {LONG}"}


@WHATEVER_ITS_SIZE
def test_a_message_that_is_refused_comes_back_and_is_a_draft_when_the_disk_works(desk, refusing):
    with refusing(desk):
        assert desk.chats.ask("what?")
        desk.wait(lambda: desk.problems)
        assert desk.drafts[-1] == "what?"
        assert not desk.path()
    desk.chats.flush()
    desk.wait(lambda: settled(desk))
    assert run(desk, lambda store: store.drafts()) == {"": "what?"}

    answer = desk.ask_and_wait("what?")

    (row,) = run(desk, listed)
    read = run(desk, lambda store: store.load(row.id))
    assert [m.text for m in read.tree.messages.values()] == ["what?", answer.text]
    desk.chats.flush()
    assert run(desk, lambda store: store.drafts()) == {}


@WHATEVER_ITS_SIZE
def test_a_second_message_that_is_refused_leaves_nothing_behind(desk, refusing):
    desk.ask_and_wait("first")
    before = desk.chats.current
    with refusing(desk):
        assert desk.chats.ask("second")
        desk.wait(lambda: desk.problems)
    desk.wait(lambda: settled(desk))

    read = run(desk, lambda store: store.load(before.id))
    assert read.tree == before.tree


def test_a_write_does_not_overtake_a_change_that_waits_though_it_would_fit(desk):
    done, failed = [], []
    with full(desk):
        desk.store.keep(lambda store: store.save_draft("", LONG))
        desk.store.write(lambda store: store.save_draft("small", "x"), done.append, failed.append)
        desk.wait(lambda: failed)
        assert run(desk, lambda store: store.drafts()) == {}
    desk.wait(lambda: settled(desk))
    desk.store.write(lambda store: store.save_draft("small", "x"), done.append, failed.append)
    desk.wait(lambda: done)

    assert [report.code for report in failed] == ["disk-full"]
    assert run(desk, lambda store: store.drafts()) == {"": LONG, "small": "x"}


def test_a_change_for_which_the_disk_is_not_at_fault_fails_for_good_and_lets_the_next_pass(desk):
    failed, saved = [], []
    desk.store.keep(lambda store: store.rename("nobody", "x"), on_failed=failed.append)
    desk.store.keep(lambda store: 1 / 0)
    desk.store.keep(lambda store: store.save_draft("", "kept"), saved.append)
    desk.wait(lambda: saved)

    assert not failed[0].is_bug
    assert [report.is_bug for report in desk.problems] == [True]
    assert desk.store.saving.all_saved


@WHATEVER_ITS_SIZE
def test_an_answer_whose_journal_and_end_are_refused_is_whole_once_the_disk_works(desk, refusing):
    desk.set(max_new_tokens=400)
    grown = []
    desk.chats.message_changed.connect(grown.append)
    assert desk.chats.ask("go on")
    desk.wait(lambda: grown)
    told = states(desk)
    with refusing(desk):
        desk.wait(lambda: not desk.chats.run.running)
        desk.wait(lambda: not desk.store.saving.all_saved)
        assert not desk.saved
        shown = desk.path()[-1]
        assert shown.status is Status.LENGTH
        # The end takes the place of what of the journal waited.
        assert max(state.waiting for state in told) <= 3
    desk.wait(lambda: settled(desk) and desk.saved)

    read = run(desk, lambda store: store.load(desk.chats.current.id))
    assert read.tree.messages[shown.id] == replace(shown, pinned=False)
    assert not desk.problems


def test_what_waits_at_the_end_is_tried_once_more(qtbot, tmp_path):
    desk = Desk(qtbot, tmp_path / "data" / "conversations.db")
    with locked(desk):
        desk.store.keep(lambda store: store.save_draft("", "typed"))
        desk.wait(lambda: not desk.store.saving.all_saved)
    desk.close()

    with closing(sqlite3.connect(desk.file)) as found:
        assert found.execute("SELECT text FROM drafts").fetchall() == [("typed",)]


def test_settling_tells_what_still_waits(desk, refusal):
    answers = []
    with refusal():
        desk.store.keep(lambda store: store.save_draft("", LONG))
        desk.store.settle(answers.append)
        desk.wait(lambda: answers)
        assert answers[0].waiting == 1
    desk.store.settle(answers.append)
    desk.wait(lambda: len(answers) == 2)

    assert answers[1].all_saved


def test_reading_goes_on_quickly_while_changes_wait_for_a_lock(desk, monkeypatch):
    written = talk("short")
    run(desk, lambda store: store.create(written))
    with locked(desk):
        desk.store.keep(lambda store: store.save_draft("", "typed"))
        desk.wait(lambda: not desk.store.saving.all_saved)
        patience = run(
            desk,
            lambda store: store.database.connection.execute("PRAGMA busy_timeout").fetchone()[0],
        )
        assert patience == 10
        assert run(desk, lambda store: store.load(written.id)).id == written.id
    desk.wait(lambda: settled(desk))
    patience = run(
        desk, lambda store: store.database.connection.execute("PRAGMA busy_timeout").fetchone()[0]
    )
    assert patience == store_client.PATIENCE_SECONDS * 1000


def test_changes_wait_while_the_database_cannot_even_be_opened(qtbot, tmp_path):
    file = tmp_path / "data" / "conversations.db"
    file.parent.write_text("a file where the folder should be")
    client = store_client.StoreClient(file)
    client.start()
    try:
        saved = []
        client.keep(lambda store: store.save_draft("", "typed"), saved.append)
        qtbot.waitUntil(lambda: client.saving.waiting == 1)
        file.parent.unlink()
        qtbot.waitUntil(lambda: bool(saved))
    finally:
        client.close()
    with closing(sqlite3.connect(file)) as found:
        assert found.execute("SELECT text FROM drafts").fetchall() == [("typed",)]


def test_a_changed_message_is_a_draft_of_its_own_until_it_is_a_message(desk):
    desk.ask_and_wait("first")
    question = desk.path()[0]
    desk.chats.set_edit(question.id, "second")
    desk.chats.flush()
    assert dict(desk.chats.edits) == {question.id: "second"}
    key = f"edit {question.id}"
    assert run(desk, lambda store: store.drafts()) == {key: "second"}

    with locked(desk):
        assert desk.chats.edit(question.id, "second")
        desk.wait(lambda: desk.problems)
        # Refused, it is in the composer.
        assert desk.drafts[-1] == "second"
        assert not desk.chats.edits
    desk.chats.set_edit(question.id, "third")
    desk.chats.flush()
    saved = len(desk.saved)
    assert desk.chats.edit(question.id, "third")
    desk.wait(lambda: len(desk.saved) > saved)
    desk.chats.flush()

    assert run(desk, lambda store: store.drafts()) == {desk.chats.current.id: "second"}


def test_what_can_only_be_read_takes_no_message_and_what_is_typed_waits(qtbot, tmp_path, endless):
    file = tmp_path / "data" / "conversations.db"
    Store.open(file).close()
    with closing(sqlite3.connect(file)) as newer:
        newer.execute("CREATE TABLE of_a_newer_format (name TEXT)")
        newer.execute("PRAGMA user_version = 1000")
    desk = Desk(qtbot, file)
    try:
        desk.load(endless)
        desk.chats.set_draft("to be sent")
        desk.chats.flush()
        desk.wait(lambda: not desk.store.saving.all_saved)

        assert not desk.chats.ask("to be sent")

        assert [report.code for report in desk.problems] == ["newer"]
        assert desk.path() == ()
        assert dict(desk.chats.unsaved().drafts) == {"": "to be sent"}
    finally:
        desk.close()


@pytest.mark.skipif(sys.platform == "win32" or not os.geteuid(), reason="needs a user with limits")
def test_a_folder_that_takes_writing_again_is_written(qtbot, tmp_path):
    file = tmp_path / "data" / "conversations.db"
    Store.open(file).close()
    file.chmod(0o400)
    file.parent.chmod(0o500)
    openings, saved = [], []
    client = store_client.StoreClient(file)
    client.opened.connect(openings.append)
    client.start()
    try:
        client.keep(lambda store: store.save_draft("", "typed"), saved.append)
        qtbot.waitUntil(lambda: client.saving.waiting == 1)
        assert client.read_only.code == "read-only"
        file.parent.chmod(0o700)
        file.chmod(0o600)
        qtbot.waitUntil(lambda: bool(saved))
        qtbot.waitUntil(lambda: client.read_only is None)
    finally:
        file.parent.chmod(0o700)
        client.close()

    assert [opening.read_only is None for opening in openings] == [False, True]
