"""Free pages of the file go back to the system, all but a few."""

from contextlib import closing

from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.database import SPARE_PAGES, SPARE_SHARE
from qwen_desktop.storage.store import Store
from tests.storage.test_migrations import made_by


def filled(file, count):
    store = Store.open(file)
    for number in range(count):
        text = f"{number} " + " ".join(str(n * number) for n in range(4000))
        store.create(Conversation(tree=Tree.of([user_message(text, None)])))
    return store


def test_the_file_gets_smaller_after_much_was_removed(tmp_path):
    file = tmp_path / "conversations.db"
    with closing(filled(file, 120)) as store:
        kept = store.listing.ids(ListFilter())[:10]
        store.listing.delete(store.listing.ids(ListFilter())[10:])
        store.listing.empty_bin()
        (before,) = store.database.connection.execute("PRAGMA page_count").fetchone()
        rounds = 0
        while store.database.give_back(16):
            rounds += 1
        (after,) = store.database.connection.execute("PRAGMA page_count").fetchone()
        (free,) = store.database.connection.execute("PRAGMA freelist_count").fetchone()
        assert rounds > 3
        assert after < before - 16 * rounds
        assert 0 < free <= SPARE_PAGES + after // SPARE_SHARE
        assert store.listing.ids(ListFilter()) == kept
        assert all(store.load(talk).tree.messages for talk in kept)
        whole = store.database.connection.execute("PRAGMA integrity_check").fetchall()
        assert whole == [("ok",)]
    assert file.stat().st_size <= after * 8192


def test_a_file_of_an_earlier_format_is_left_as_it_is(tmp_path):
    file = made_by(1, tmp_path / "conversations.db")
    with closing(filled(file, 60)) as store:
        store.listing.delete(store.listing.ids(ListFilter()))
        store.listing.empty_bin()
        assert not store.database.give_back(16)
