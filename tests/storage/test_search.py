"""Searching real databases: nothing that is there stays unfound, nothing else is found."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat import folding
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.query import parse
from qwen_desktop.chat.summary import Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import looking, search
from qwen_desktop.storage.looking import Stopped
from qwen_desktop.storage.search import Searcher
from qwen_desktop.storage.store import Store


@pytest.fixture
def file(tmp_path):
    return tmp_path / "conversations.db"


@pytest.fixture
def store(file):
    opened = Store.open(file)
    yield opened
    opened.close()


@pytest.fixture
def searcher(file):
    made = Searcher(file)
    yield made
    made.close()


def said(text, role=Role.ASSISTANT, reasoning="", model="Qwen3-4B", parent=None, at=None):
    parts = [Part(PartKind.REASONING, reasoning)] if reasoning else []
    stats = AnswerStats(model=model) if role is Role.ASSISTANT else None
    return Message(
        role,
        (*parts, Part(PartKind.TEXT, text)),
        parent_id=parent,
        stats=stats,
        created_at=time.time() if at is None else at,
    )


def add(store, *messages, title="Talk", at=None):
    """A conversation of these messages, one below the other."""
    kept = []
    for message in messages:
        if isinstance(message, str):
            message = said(message)
        parent = kept[-1].id if kept else None
        kept.append(replace(message, parent_id=parent))
    at = time.time() if at is None else at
    made = Conversation(title=title, tree=Tree.of(kept), created_at=at, updated_at=at)
    store.create(made)
    return made


def index(store):
    while store.index.add_some(50):
        pass
    while store.index.merge(50):
        pass


def texts(found):
    """What was found in messages, snippet for snippet."""
    return [hit.snippet.text for hit in found.hits if hit.message_id]


def titles(found):
    return [hit.title.text for hit in found.hits if not hit.message_id]


@pytest.fixture(params=["indexed", "marked", "both"])
def settled(request, store):
    """Brings the index up to date, or leaves everything, or the half of it, to be looked at."""

    def settle():
        if request.param == "indexed":
            index(store)
        elif request.param == "both":
            store.index.add_some(2)

    return settle


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("sky ", ["the Sky is blue"]),
        ("SKY blu", ["the Sky is blue"]),
        ("skyl", ["a skyline"]),
        ("sk", ["a skyline", "the Sky is blue"]),
        ("学习", ["机器学习很难"]),
        ("学", ["机器学习很难", "学"]),
        ("器学习", ["机器学习很难"]),
        ("习学", []),
        ("机 很", ["机器学习很难"]),
        ('"is blue"', ["the Sky is blue"]),
        ('"sky blue"', []),
        ("blue -sky", ["blue sea"]),
        ("blue -nothing", ["blue sea", "the Sky is blue"]),
        ("getconv", ["def getConversationList"]),
        ("getconversation ", []),
        ("conversation list", ["def getConversationList"]),
        ("++", ["c++ it is"]),
        ("c++", ["c++ it is"]),
        ("absent", []),
    ],
)
def test_words_are_found(store, searcher, settled, query, hits):
    for text in ("the Sky is blue", "a skyline", "blue sea", "机器学习很难", "学"):
        add(store, text)
    add(store, "def getConversationList")
    add(store, "c++ it is")
    settled()
    assert sorted(texts(searcher.search(query))) == sorted(hits)


def test_marks_stand_on_the_words(store, searcher, settled):
    add(store, "Über den Wolken. " * 30 + "Die **Straße** ist… lang und breit. " + "Ende. " * 50)
    settled()
    (hit,) = searcher.search("strasse lang").hits
    assert len(hit.snippet.text) < 130
    assert "**" not in hit.snippet.text
    assert [hit.snippet.text[a:b] for a, b in hit.snippet.marks] == ["Straße", "lang"]
    assert hit.snippet.text.startswith("…")
    assert hit.snippet.text.endswith("…")
    assert searcher.search("strasse lang ").words == ("strasse", "lang")


def test_titles_are_found_by_any_part_and_stand_with_their_messages(store, searcher, settled):
    one = add(store, "nothing", title="Gardening", at=100.0)
    two = add(store, "a garden", "gardens", title="My garden", at=200.0)
    settled()
    found = searcher.search("garden")
    assert [(hit.conversation_id, bool(hit.message_id)) for hit in found.hits] == [
        (two.id, False),
        (two.id, True),
        (two.id, True),
        (one.id, False),
    ]
    assert {hit.title.marks for hit in found.hits[:3]} == {((3, 9),)}
    assert found.hits[-1].title.marks == ((0, 6),)
    assert titles(searcher.search("arden")) == ["My garden", "Gardening"]


def test_the_newest_talk_comes_first_however_it_was_added(store, searcher, settled):
    add(store, "a needle", title="new", at=300.0)
    add(store, "the needle", title="imported and old", at=100.0)
    add(store, "one needle", title="middle", at=200.0)
    settled()
    found = searcher.search("needle")
    assert [hit.title.text for hit in found.hits] == ["new", "middle", "imported and old"]


def test_filters(store, searcher, settled):
    day = 24 * 3600.0
    now = time.time()
    old = add(store, said("needle old", at=now - 90 * day), at=now - 90 * day)
    asked = add(store, said("needle asked", Role.USER), said("needle told", reasoning="hm"))
    other = add(store, said("needle other", model="Llama-3"))
    binned, archived = add(store, "needle binned"), add(store, "needle archived")
    store.listing.delete([binned.id])
    store.listing.set_archived([archived.id], True)
    store.listing.add_tag([asked.id], "学习")
    folder = store.listing.make_folder("Work")
    store.listing.set_folder([other.id], folder.id)
    store.listing.set_pinned([old.id], True)
    settled()

    def hits(query):
        return sorted(text.removeprefix("needle ") for text in texts(searcher.search(query)))

    assert hits("needle role:user") == ["asked"]
    assert hits("needle role:assistant model:qwen") == ["archived", "old", "told"]
    assert hits("needle model:llama") == ["other"]
    assert hits("needle model:gpt") == []
    assert hits("needle has:reasoning") == ["told"]
    assert hits("needle before:30d") == ["old"]
    assert hits("needle after:30d") == ["archived", "asked", "other", "told"]
    assert hits("needle tag:学习") == ["asked", "told"]
    assert hits("needle tag:none") == []
    assert hits("needle folder:work") == ["other"]
    assert hits("needle in:bin") == ["binned"]
    assert hits("needle in:archive") == ["archived"]
    assert hits("needle is:pinned") == ["old"]
    assert hits("role:user") == ["asked"]
    assert {hit.place for hit in searcher.search("needle in:bin").hits} == {Place.BIN}


def test_filters_alone_list_what_fits(store, searcher, settled):
    tagged = add(store, "x", title="tagged")
    add(store, "y", title="not tagged")
    store.listing.add_tag([tagged.id], "a")
    settled()
    assert titles(searcher.search("tag:a")) == ["tagged"]
    assert titles(searcher.search("after:1d")) == ["not tagged", "tagged"]
    assert sorted(texts(searcher.search("role:assistant"))) == ["x", "y"]
    assert searcher.search("before:soon").unknown == ("before:soon",)
    assert searcher.search("before:soon").hits == ()


def test_reasoning_is_found_and_told(store, searcher, settled):
    add(store, said("the answer", reasoning="a hidden thought"))
    settled()
    (thought,) = searcher.search("hidden").hits
    (spoken,) = searcher.search("answer").hits
    assert (thought.in_reasoning, spoken.in_reasoning) == (True, False)
    (both,) = searcher.search("hidden answer").hits
    assert not both.in_reasoning


def test_files_are_found_by_name_and_text(store, searcher, settled):
    file = Part(PartKind.FILE, "quokka,4\ntea,5\n", "zoology.csv")
    add(store, user_message("sum these", None, [file]), "Nine.")
    settled()
    for query in ("quokka", "zoology", "tea sum", "zoology.csv"):
        (hit,) = searcher.search(query).hits
        assert (hit.role, hit.in_reasoning) == (Role.USER, False)
    assert "quokka" in searcher.search("quokka").hits[0].snippet.text


def test_few_hits_of_one_talk_are_told(store, searcher, settled):
    add(store, *(f"needle {number}" for number in range(20)))
    settled()
    assert len(texts(searcher.search("needle"))) == looking.IN_ONE


def test_there_are_more_where_not_all_are_told(store, searcher, settled):
    for number in range(12):
        add(store, f"needle {number}")
    settled()
    found = searcher.search("needle", limit=10)
    assert (len(found.hits), found.more) == (10, True)
    found = searcher.search("needle", limit=13)
    assert (len(found.hits), found.more) == (12, False)


def test_what_is_written_is_found_at_once_and_what_is_gone_no_longer(store, searcher):
    conversation = add(store, user_message("question", None))
    index(store)
    answer = pending_answer(conversation.tree.head, "Qwen3")
    store.add_message(conversation.id, answer)
    assert texts(searcher.search("scattering")) == []
    done = replace(answer, parts=(Part(PartKind.TEXT, "scattering"),), status=Status.STOPPED)
    store.finish(conversation.id, done)
    assert texts(searcher.search("scattering")) == ["scattering"]
    index(store)
    assert texts(searcher.search("scattering")) == ["scattering"]
    store.reopen(conversation.id, done)
    index(store)
    assert texts(searcher.search("scattering")) == ["scattering"]  # while it goes on
    longer = done.appended(PartKind.TEXT, " of light")
    store.finish(conversation.id, replace(longer, status=Status.COMPLETE))
    assert texts(searcher.search("light")) == ["scattering of light"]
    index(store)
    assert texts(searcher.search("light scattering")) == ["scattering of light"]
    store.listing.delete([conversation.id])
    assert texts(searcher.search("light")) == []
    store.listing.delete_for_good([conversation.id])
    again = add(store, "other words")  # may get the numbers of the one that is gone
    assert texts(searcher.search("light in:bin")) == []
    assert texts(searcher.search("light")) == []
    assert texts(searcher.search("words")) == ["other words"]
    index(store)
    assert texts(searcher.search("light")) == []
    (hit,) = searcher.search("words").hits
    assert hit.conversation_id == again.id


# What is enough at first: as it is, so little that the rest has to be asked for, by one or by all.
NARROW = {
    "LOOKED_AT": (looking.LOOKED_AT, 1, 1),
    "LOOKED_AT_OF_MANY": (looking.LOOKED_AT_OF_MANY, 1, 1),
    "FIRST_CANDIDATES": (looking.FIRST_CANDIDATES, 2, 2),
    "FEW_TALKS": (looking.FEW_TALKS, looking.FEW_TALKS, 0),
}
WORDS = ("sky", "Skyline", "blue", "学习", "机器", "的", "ConversationList", "é", "foo_bar", "3.14")
SPOKEN = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)
TALKS = st.lists(
    st.lists(st.tuples(SPOKEN, st.sampled_from(["", " "]), st.booleans()), max_size=4), max_size=6
)
QUERIES = st.lists(
    st.sampled_from(
        ["sky", "skyl", "s", "blue", "学", "学习", "的", "器学", "conversation", '"sky blue"',
         "-的", "-sky", "foo", "role:user", "e", "3", '"学习机器"', "list", "b", "none"]
    ),
    min_size=1,
    max_size=3,
).map(" ".join)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    TALKS,
    st.lists(QUERIES, min_size=1, max_size=8),
    st.sampled_from([0, 3, 100]),
    st.integers(0, 2),
)
def test_exactly_what_reading_everything_finds_is_found(tmp_path, talks, queries, indexed, narrow):
    folder = tmp_path / str(time.perf_counter_ns())
    store, searcher = Store.open(folder / "c.db"), Searcher(folder / "c.db")
    everything = []
    for talk in talks:
        messages = [
            said(between.join(words), Role.USER if by_user else Role.ASSISTANT)
            for words, between, by_user in talk
        ]
        if messages:
            made = add(store, *messages, title="")
            everything += made.tree.messages.values()
    store.index.add_some(indexed)
    usual = {name: getattr(looking, name) for name in NARROW}
    for name, values in NARROW.items():  # every way through the messages is gone
        setattr(looking, name, values[narrow])
    try:
        for typed in queries:
            query = parse(typed, time.time())
            wanted = {m.id for m in everything if naive(m, query)}
            found = searcher.search(typed, limit=500)
            heard = {hit.message_id for hit in found.hits if hit.message_id}
            in_one = looking.IN_ONE
            assert heard <= wanted
            for talk in talks_of(store, everything):
                expected = len(wanted & talk)
                assert len(heard & talk) == min(expected, in_one), typed
    finally:
        for name, value in usual.items():
            setattr(looking, name, value)
        searcher.close()
        store.close()


def naive(message, query):
    if query.role is not None and message.role is not query.role:
        return False
    forms = folding.plain(message.text), folding.folded(message.text)
    return all(needle.is_in(*forms) for needle in query.include) and not any(
        needle.is_in(*forms) for needle in query.exclude
    )


def talks_of(store, everything):
    with store.database.reading() as connection:
        rows = connection.execute("SELECT conversation, id FROM messages").fetchall()
    groups = {}
    for conversation, message_id in rows:
        groups.setdefault(conversation, set()).add(message_id)
    return groups.values()


@pytest.mark.parametrize("few", [0, 100])
def test_a_word_that_is_everywhere_is_found_where_filters_leave_little(
    store, searcher, monkeypatch, few
):
    monkeypatch.setattr(looking, "FIRST_CANDIDATES", 3)
    monkeypatch.setattr(looking, "LOOKED_AT_OF_MANY", 0)
    monkeypatch.setattr(looking, "FEW_TALKS", few)
    archived = [add(store, f"needle {number}", title="").id for number in range(3)]
    for number in range(20):
        add(store, f"needle other {number}", title="")
    store.listing.set_archived(archived, True)
    index(store)
    assert len(searcher.search("needle").hits) == 23
    found = searcher.search("needle in:archive")
    assert sorted(texts(found)) == ["needle 0", "needle 1", "needle 2"]


def test_messages_that_get_the_numbers_of_others_are_found(store, searcher, settled):
    add(store, "first")
    gone = add(store, "a", "b")
    assert texts(searcher.search("first")) == ["first"]
    store.listing.delete([gone.id])
    store.listing.delete_for_good([gone.id])
    add(store, "second")
    add(store, "third")
    settled()
    assert texts(searcher.search("third")) == ["third"]
    assert texts(searcher.search("second")) == ["second"]


def test_nothing_is_found_where_nothing_was_written_and_later_it_is(file, searcher):
    assert searcher.search("sky").hits == ()
    store = Store.open(file)
    add(store, "the sky")
    assert texts(searcher.search("sky")) == ["the sky"]
    store.close()


def test_another_file_in_its_place_is_read(file, tmp_path, searcher):
    first = Store.open(file)
    add(first, "the sky")
    first.close()
    assert texts(searcher.search("sky")) == ["the sky"]
    other = Store.open(tmp_path / "other.db")
    add(other, "the sea")
    other.close()
    (tmp_path / "other.db").replace(file)
    assert texts(searcher.search("sky")) == []
    assert texts(searcher.search("sea")) == ["the sea"]


def test_searching_changes_nothing(store, file, searcher):
    add(store, "the sky")
    index(store)
    before = store.database.connection.execute("PRAGMA data_version").fetchone()
    searcher.search("sky model:qwen")
    assert store.database.connection.execute("PRAGMA data_version").fetchone() == before


def test_a_search_that_nobody_waits_for_ends(store, searcher):
    for number in range(50):
        add(store, f"needle {number}")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        searcher.search("needle", stop=stop)
    assert len(searcher.search("needle").hits) == 50


def test_what_there_is_is_told_when_it_takes_long(store, searcher, monkeypatch):
    for number in range(30):
        add(store, f"needle {number}", title=f"{number}")
    index(store)
    monkeypatch.setattr(looking, "SOON", 0.0)
    heard = []
    found = searcher.search("needle", told=heard.append)
    assert len(heard) == 1
    assert 0 < len(heard[0].hits) < len(found.hits)
    assert (heard[0].more, found.more) == (True, False)


def test_a_search_gives_up_in_the_end_and_says_that_there_may_be_more(store, searcher, monkeypatch):
    for number in range(30):
        add(store, f"needle {number}", title="")
    monkeypatch.setattr(looking, "PATIENCE", 0.0)
    found = searcher.search("needle")
    assert found.more
    assert len(found.hits) < 30


def test_a_damaged_index_is_done_without_and_made_anew(store, file, searcher):
    for number in range(20):
        add(store, f"needle {number} 学习", title="")
    index(store)
    with store.database.writing() as connection:
        connection.execute("UPDATE words_data SET block = zeroblob(2) WHERE id > 10")
    store.close()
    assert len(searcher.search("学习").hits) == 20
    assert searcher.is_damaged
    again = Store.open(file)
    assert again.index.rebuild() == 20
    index(again)
    searcher.is_damaged = False
    assert len(searcher.search("学习").hits) == 20
    assert not searcher.is_damaged
    again.close()


def test_damaged_rows_hide_nothing_else(store, searcher, settled):
    add(store, "needle one", title="")
    broken = add(store, "needle two", title="")
    settled()
    with store.database.writing() as connection:
        connection.execute(
            "UPDATE messages SET parts = 'needle raw', role = 'x', stats = '{', created_at = 'y'"
            " WHERE conversation = (SELECT number FROM conversations WHERE id = ?)",
            (broken.id,),
        )
        connection.execute(
            "UPDATE conversations SET title = x'ff', created_at = 'x' WHERE id = ?", (broken.id,)
        )
    assert sorted(texts(searcher.search("needle"))) == ["needle one", "needle raw"]


def test_messages_that_wait_for_the_index_are_counted(store, searcher, monkeypatch):
    monkeypatch.setattr(search, "QUEUED", 3)
    for number in range(5):
        add(store, f"needle {number}", title="")
    found = searcher.search("needle")
    assert (len(found.hits), found.unindexed) == (3, 2)
    index(store)
    found = searcher.search("needle")
    assert (len(found.hits), found.unindexed) == (5, 0)


def test_a_file_of_an_earlier_format_can_be_searched(tmp_path, file):
    from tests.storage.test_migrations import made_by

    made_by(2, file)
    searcher = Searcher(file)
    assert texts(searcher.search("scattering")) == ["Because of scattering."]
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    searcher.close()
