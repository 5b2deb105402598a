"""The store thread: order, results on the main thread, failures as values, nothing lost."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from qwen_desktop.bridge import store_client
from qwen_desktop.bridge.drafts import Drafts
from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store
from tests.listed import listed


@pytest.fixture
def file(tmp_path):
    return tmp_path / "conversations.db"


@pytest.fixture
def client(qtbot, file):
    made = StoreClient(file)
    made.start()
    yield made
    made.close()


def conversation(text):
    return Conversation(tree=Tree.of([user_message(text, None)]))


def test_jobs_run_in_order_on_one_other_thread_and_answer_on_this_one(client, qtbot):
    here = threading.get_ident()
    ran, answered = [], []

    for number in range(50):
        client.submit(
            lambda _, n=number: (n, threading.get_ident()),
            lambda result: (ran.append(result), answered.append(threading.get_ident())),
        )
    qtbot.waitUntil(lambda: len(ran) == 50)

    assert [n for n, _ in ran] == list(range(50))
    threads = {thread for _, thread in ran}
    assert len(threads) == 1
    assert here not in threads
    assert set(answered) == {here}


def test_a_failing_job_becomes_a_report_and_the_next_one_runs(client, qtbot):
    reports, results = [], []

    client.submit(lambda _: 1 / 0, on_failed=reports.append)
    client.submit(lambda store: store.load("nobody"), on_failed=reports.append)
    client.submit(listed, results.append)
    qtbot.waitUntil(lambda: len(results) == 1)

    bug, known = reports
    assert bug.is_bug
    assert "ZeroDivisionError" in bug.details
    assert not known.is_bug
    assert results == [()]


def test_a_failure_without_a_handler_is_a_problem(client, qtbot):
    with qtbot.waitSignal(client.problem) as caught:
        client.submit(lambda store: store.load("nobody"))

    assert not caught.args[0].is_bug


def test_a_file_that_is_no_database_is_set_aside_and_what_happened_is_told(qtbot, file):
    content = b"this is not a database" * 100
    file.write_bytes(content)
    client = StoreClient(file)
    openings, rows = [], []
    client.opened.connect(openings.append)
    client.start()

    client.submit(listed, rows.append)
    qtbot.waitUntil(lambda: bool(rows))
    client.close()

    (opening,) = openings
    assert (opening.damaged.set_aside / file.name).read_bytes() == content
    assert rows == [()]
    assert client.read_only is None


def test_a_database_of_another_program_is_told_for_every_job_and_stays_as_it_is(qtbot, file):
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    before = file.read_bytes()
    client = StoreClient(file)
    openings, reports = [], []
    client.opened.connect(openings.append)
    client.start()

    client.submit(listed, on_failed=reports.append)
    client.submit(listed, on_failed=reports.append)
    qtbot.waitUntil(lambda: len(reports) == 2)
    client.close()

    assert all(str(file) in report.text() and not report.is_bug for report in reports)
    assert openings == [None, None]
    assert file.read_bytes() == before


def test_what_can_only_be_read_is_told_and_changes_wait(qtbot, file):
    Store.open(file).close()
    with closing(sqlite3.connect(file)) as newer:
        newer.execute("CREATE TABLE of_a_newer_format (name TEXT)")
        newer.execute("PRAGMA user_version = 1000")
    client = StoreClient(file)
    openings, rows = [], []
    client.opened.connect(openings.append)
    client.start()

    client.submit(listed, rows.append)
    client.keep(lambda store: store.save_draft("", "typed"))
    qtbot.waitUntil(lambda: client.saving.waiting == 1)
    client.close()

    (opening,) = openings
    assert opening.read_only.code == "newer"
    assert client.read_only == opening.read_only
    assert client.saving.report.code == "newer"
    assert rows == [()]


def test_what_is_kept_waits_where_a_fault_of_ours_keeps_the_store_from_opening(
    qtbot, file, monkeypatch
):
    monkeypatch.setattr(store_client, "RETRY_MS", 20)
    opened, fails = Store.open, [True, True]

    def open_later(path):
        if fails:
            fails.pop()
            raise ZeroDivisionError
        return opened(path)

    monkeypatch.setattr(Store, "open", open_later)
    client = StoreClient(file)
    client.start()
    client.keep(lambda store: store.save_draft("", "typed"))
    qtbot.waitUntil(lambda: client.is_settled)
    client.close()
    store = opened(file)
    assert store.drafts() == {"": "typed"}
    store.close()


def test_opening_that_takes_long_is_told_with_whether_the_last_run_ended_well(
    qtbot, file, monkeypatch
):
    store = Store.open(file)
    store.save_draft("", "typed")
    copy = file.with_name("killed.db")
    for suffix in ("", "-wal"):
        shutil.copy(f"{file}{suffix}", f"{copy}{suffix}")
    store.close()
    monkeypatch.setattr(store_client, "SLOW_MS", 0)
    go, told = threading.Event(), []
    opened = Store.open
    monkeypatch.setattr(Store, "open", lambda path: (go.wait(60), opened(path))[1])
    for path in (file, copy):
        client = StoreClient(path)
        client.opening_is_slow.connect(told.append)
        client.start()
        client.submit(listed)
        qtbot.waitUntil(lambda: bool(told))
        go.set()
        client.close()
        go.clear()
        assert told.pop() is (path == copy)


def test_closing_finishes_every_job_submitted_before(qtbot, file):
    client = StoreClient(file)
    client.start()
    talks = [conversation(f"question {n}") for n in range(30)]

    for talk in talks:
        client.submit(lambda store, talk=talk: store.create(talk))
    client.close()

    store = Store.open(file)
    assert {row.id for row in listed(store)} == {talk.id for talk in talks}
    store.close()


def test_a_draft_is_on_disk_after_a_while_and_an_empty_one_is_gone(client, qtbot, file):
    drafts = Drafts(client)
    talk = conversation("hello")
    client.submit(lambda store: store.create(talk))
    drafts.set("", "for a new chat")
    drafts.set(talk.id, "half a sente")

    def on_disk():
        found = []
        client.submit(lambda store: dict(store.drafts()), found.append)
        qtbot.waitUntil(lambda: bool(found))
        return found[0]

    qtbot.waitUntil(lambda: on_disk() == {"": "for a new chat", talk.id: "half a sente"})
    drafts.set(talk.id, "")
    drafts.save_now()
    assert on_disk() == {"": "for a new chat"}


def test_text_typed_before_the_drafts_were_read_goes_below_them(client, qtbot):
    drafts = Drafts(client)
    drafts.set("", "typed just now")

    drafts.fill({"": "from yesterday", "other": "kept"})

    assert drafts.text("") == "from yesterday\ntyped just now"
    assert drafts.text("other") == "kept"


def test_only_the_newest_content_of_a_file_is_written_and_all_files_are(qtbot):
    files = FileJobs()
    gate, written = threading.Event(), []
    files.submit("slow", gate.wait)

    for number in range(20):
        files.submit("a", lambda n=number: written.append(("a", n)))
    files.submit("b", lambda: written.append(("b", 0)))
    gate.set()
    files.close()

    assert written[-2:] == [("a", 19), ("b", 0)]
    assert len(written) <= 3  # "slow" may not have begun when the first "a" came


def test_a_file_that_cannot_be_written_does_not_end_the_thread(qtbot, caplog):
    files = FileJobs()
    written = []

    files.submit("bad", lambda: (_ for _ in ()).throw(OSError("disk full")))
    files.submit("good", lambda: written.append(1))
    files.close()

    assert written == [1]
    assert "disk full" in caplog.text


def test_titles_survive(client, qtbot):
    talk = replace(conversation("hello"), title="Greetings")
    rows = []
    client.submit(lambda store: store.create(talk))
    client.submit(lambda store: store.rename(talk.id, "Hello again"))
    client.submit(listed, rows.append)
    qtbot.waitUntil(lambda: bool(rows))

    assert [row.title for row in rows[0]] == ["Hello again"]
