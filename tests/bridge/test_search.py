"""Searching and indexing on their real threads: the latest wins, the store is not kept waiting."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.indexing import Indexing
from qwen_desktop.bridge.search import Search
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store


def fill(file, count, text="needle {}"):
    store = Store.open(file)
    for number in range(count):
        tree = Tree.of([user_message(text.replace("{}", str(number)), None)])
        store.create(Conversation(title=f"talk {number}", tree=tree))
    store.close()


def fill_one(file, count, text):
    """As `fill`, but messages of one conversation, which is quicker."""
    tree = Tree()
    for _ in range(count):
        tree = tree.added(user_message(text, tree.head))
    store = Store.open(file)
    store.create(Conversation(tree=tree))
    store.close()


class Heard:
    """A search and what it said."""

    def __init__(self, qtbot, file):
        self.qtbot = qtbot
        self.search = Search(file)
        self.found, self.problems, self.damaged = [], [], []
        self.search.found.connect(self.found.append)
        self.search.problem.connect(self.problems.append)
        self.search.index_damaged.connect(lambda: self.damaged.append(True))

    def ask(self, text):
        self.search.search(text)
        self.qtbot.waitUntil(
            lambda: any(found.query == text and not found.more for found in self.found)
        )
        return self.found[-1]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data" / "conversations.db"


@pytest.fixture
def heard(qtbot, file):
    made = Heard(qtbot, file)
    yield made
    made.search.close()


def test_what_is_found_comes_back(heard, file):
    fill(file, 3)
    found = heard.ask("needle 2")
    assert [hit.snippet.text for hit in found.hits] == ["needle 2"]
    assert found.words == ("needle", "2*")


def test_only_the_latest_of_what_was_typed_is_answered(heard, file, qtbot):
    fill(file, 40)
    text = "needle talk that is nowhere"
    for end in range(1, len(text)):
        heard.search.search(text[:end])
    heard.ask(text)
    assert {found.query for found in heard.found} == {text}


def test_a_long_search_is_left_at_once_for_another(heard, file, qtbot):
    fill_one(file, 3000, "no words !? " * 50)
    heard.search.warm_up()
    heard.search.search("#@")  # nothing that an index knows: all texts are looked at
    heard.ask("words no")
    assert {found.query for found in heard.found} == {"words no"}


def test_nothing_typed_asks_nothing_and_drops_what_was_asked(heard, file, qtbot):
    fill(file, 2)
    heard.search.search("needle")
    heard.search.search(" ")
    heard.search.release()  # comes back when the thread has done all that was asked before
    qtbot.wait(0)
    assert heard.found == []


def test_a_profile_without_conversations_has_nothing_to_find(heard):
    assert heard.ask("needle").hits == ()
    assert heard.problems == []


def test_what_cannot_be_read_is_told(heard, file):
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 100)
    assert heard.ask("needle").hits == ()
    (report,) = heard.problems
    assert "conversations.db" in report.text()


def test_a_file_that_was_let_go_of_is_opened_again(heard, file):
    fill(file, 1)
    assert len(heard.ask("needle").hits) == 1
    heard.search.release()
    fill(file, 1)
    assert len(heard.ask("needle ").hits) == 2


def test_a_damaged_index_is_told_once_and_searched_without(heard, file, qtbot):
    fill(file, 5)
    store = Store.open(file)
    store.index.add_some(10)
    with store.database.writing() as connection:
        connection.execute("UPDATE words_data SET block = zeroblob(2) WHERE id > 10")
    store.close()
    assert len(heard.ask("needle").hits) == 5
    qtbot.waitUntil(lambda: heard.damaged == [True])


def test_an_index_that_lacks_words_is_told_before_anybody_searches(heard, file, qtbot):
    fill(file, 5)
    store = Store.open(file)
    store.index.add_some(10)
    heard.search.warm_up()
    heard.search.release()
    with store.database.writing() as connection:
        connection.execute("UPDATE words_data SET block = zeroblob(2)")
    store.close()
    assert heard.ask("needle").hits == ()  # SQLite finds nothing wrong with it
    assert heard.damaged == []
    heard.search.warm_up()
    qtbot.waitUntil(lambda: heard.damaged == [True])


def test_a_search_that_was_never_asked_closes(file):
    search = Search(file)
    search.close()
    search.close()


def test_closing_leaves_a_long_search(file):
    fill_one(file, 3000, "no words !? " * 50)
    search = Search(file)
    search.search("#@")
    search.close()


@pytest.fixture
def store(file):
    client = StoreClient(file)
    client.start()
    yield client
    client.close()


def left(store, qtbot):
    """How many messages are not indexed yet."""
    counts = []
    store.submit(
        lambda s: s.database.connection.execute("SELECT count(*) FROM to_index").fetchone()[0],
        counts.append,
    )
    qtbot.waitUntil(lambda: bool(counts))
    return counts[0]


def test_everything_is_indexed_while_nothing_else_is_to_be_done(file, qtbot):
    fill_one(file, 300, "some words")
    client = StoreClient(file)
    client.start()
    indexing = Indexing(client, lambda: False)
    indexing.start()
    qtbot.waitUntil(lambda: left(client, qtbot) == 0, timeout=20_000)
    indexing.close()
    client.close()


def test_what_is_asked_of_the_store_comes_between_two_batches(file, qtbot):
    fill_one(file, 300, "some words")
    client = StoreClient(file)
    client.start()
    indexing = Indexing(client, lambda: False)
    indexing.start()
    seen = []
    qtbot.waitUntil(lambda: seen.append(left(client, qtbot)) or seen[-1] < 300)
    assert seen[-1] > 0
    indexing.close()
    client.close()


def test_a_damaged_index_is_made_anew(store, qtbot):
    done = []
    store.submit(lambda s: s.create(Conversation(tree=Tree.of([user_message("x", None)]))))
    store.submit(lambda s: s.index.add_some(5), done.append)
    qtbot.waitUntil(lambda: done == [0])
    indexing = Indexing(store, lambda: False)
    indexing.rebuild()
    assert left(store, qtbot) == 1
    indexing.start()
    qtbot.waitUntil(lambda: left(store, qtbot) == 0)
    indexing.close()


def test_a_disk_that_takes_nothing_is_tried_less_and_less(file, qtbot):
    client = StoreClient(file.parent)  # a folder is no database
    file.parent.mkdir(parents=True)
    client.start()
    problems = []
    client.problem.connect(problems.append)
    indexing = Indexing(client, lambda: False)
    indexing.start()
    qtbot.waitUntil(lambda: indexing._wait > 5000)
    assert problems == []  # whoever saves something tells it
    indexing.close()
    client.close()
