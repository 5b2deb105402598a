"""Importing beside everything else: in batches, to be cancelled, undone, and told truly."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.importing import Importing, write_some
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.importing import Outcome
from qwen_desktop.chat.settings import SETTINGS
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.paths import Profile
from qwen_desktop.storage import profile_archive
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store
from tests.export.conversations import said

FIXTURES = Path(__file__).parent.parent / "storage" / "imports" / "fixtures"


class Harbour:
    """Chats over a real store, with importing beside them; no engine is started."""

    def __init__(self, qtbot, file: Path) -> None:
        self.qtbot = qtbot
        self.store = StoreClient(file)
        self.engine = engine = EngineClient()
        settings = {setting.name: setting.default for setting in SETTINGS}
        self.chats = Chats(self.store, engine, Models(engine), lambda: settings)
        self.importing = Importing(self.chats, self.store)
        self.finished, self.started, self.opened, self.told = [], [], [], []
        self.importing.finished.connect(lambda *values: self.finished.append(values))
        self.importing.started.connect(self.started.append)
        self.importing.progress.connect(self.told.append)
        self.chats.opened.connect(self.opened.append)
        self.store.start()
        self.chats.start("")
        self.wait(lambda: self.chats.list.top() is not None)

    def wait(self, condition) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=20_000)

    def result(self, count=1):
        self.wait(lambda: len(self.finished) == count)
        return self.finished[-1][0]

    def listed(self):
        return {row.title for row in self.chats.list.top() or ()}

    def close(self) -> None:
        self.importing.close()
        self.chats.close()
        self.store.close()
        for made in (self.importing, self.chats, self.engine, self.store):
            made.deleteLater()  # timers are on; see the hook in tests/conftest.py


@pytest.fixture
def harbour(qtbot, tmp_path):
    made = Harbour(qtbot, tmp_path / "data" / "conversations.db")
    yield made
    made.close()


def rows_of(store):
    return store.listing.page(ListFilter(), 0, 10_000)


def lines_of(count, start=0):
    return "\n".join(
        json.dumps(
            {
                "conversations": [
                    {"from": "human", "value": f"Question {at}"},
                    {"from": "gpt", "value": "Answer"},
                ]
            }
        )
        for at in range(start, start + count)
    )


def test_what_was_found_is_in_the_list(harbour):
    harbour.importing.start([FIXTURES / "chatgpt.json", FIXTURES / "sharegpt.jsonl"])
    result = harbour.result()
    assert [entry.outcome for entry in result.entries] == [
        Outcome.ADDED,
        Outcome.ADDED,
        Outcome.ADDED,
        Outcome.REJECTED,
        Outcome.ADDED,
    ]
    rejected = result.of(Outcome.REJECTED)[0]
    assert rejected.place == "sharegpt.jsonl #2"
    assert "This is not JSON" in rejected.report.text()
    harbour.wait(lambda: harbour.listed() == {"Cut off", "One?", "Two?"})  # one is archived
    assert not result.cancelled
    assert harbour.started == [False]
    assert not harbour.importing.busy


def test_importing_twice_adds_nothing(harbour):
    for count in (1, 2):
        harbour.importing.start([FIXTURES / "openwebui.json"])
        result = harbour.result(count)
    assert [entry.outcome for entry in result.entries] == [Outcome.SAME, Outcome.SAME]


def test_undo_moves_what_was_added_to_the_bin(harbour):
    harbour.importing.start([FIXTURES / "openwebui.json"])
    harbour.result()
    harbour.importing.start([FIXTURES])
    result = harbour.result(2)
    harbour.importing.undo(result)
    harbour.wait(lambda: harbour.listed() == {"🐦 Birds of the marsh"})
    left = []
    harbour.store.submit(
        lambda store: store.listing.page(ListFilter(Place.BIN), 0, 100), left.append
    )
    harbour.wait(lambda: left)
    assert len(left[0]) == len(result.of(Outcome.ADDED))


def test_requests_wait_for_each_other(harbour, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines_of(60))
    (tmp_path / "b.jsonl").write_text(lines_of(60, 30))
    harbour.importing.start([tmp_path / "a.jsonl"])
    harbour.importing.start([tmp_path / "b.jsonl"])
    harbour.result(2)
    counts = [len(result.of(Outcome.ADDED)) for result, _ in harbour.finished]
    assert counts == [60, 30]
    assert harbour.told[-1].conversations == 60


def test_what_is_cancelled_ends_and_what_was_written_stays(harbour, tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(5000))
    harbour.importing.start([tmp_path / "many.jsonl"])
    harbour.wait(lambda: any(progress.conversations for progress in harbour.told))
    harbour.importing.cancel()
    result = harbour.result()
    assert result.cancelled
    assert 0 < len(result.taken) < 5000
    found = []
    harbour.store.submit(rows_of, found.append)
    harbour.wait(lambda: found)
    assert {row.id for row in found[0]} == {entry.conversation_id for entry in result.taken}


def test_other_jobs_of_the_store_get_their_turn(harbour, tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(400))
    between = []

    def look(progress):
        # One job after each batch: it must not come behind all the others.
        count = progress.conversations
        harbour.store.submit(
            lambda store: len(rows_of(store)), lambda there: between.append((count, there))
        )

    harbour.importing.progress.connect(look)
    harbour.importing.start([tmp_path / "many.jsonl"])
    harbour.result()
    harbour.wait(lambda: len(between) == len(harbour.told))
    assert any(0 < there < 400 for _, there in between)


def test_the_shown_conversation_is_read_again_where_it_got_messages(harbour, tmp_path):
    entry = json.loads((FIXTURES / "openwebui.json").read_text(encoding="utf-8"))[0]
    last = entry["chat"]["history"]["messages"].pop("m5")
    entry["chat"]["history"]["currentId"] = "m4"
    (tmp_path / "short.json").write_text(json.dumps([entry]))
    harbour.importing.start([tmp_path / "short.json"])
    shown = harbour.result().entries[0].conversation_id
    harbour.chats.open(shown)
    harbour.wait(lambda: harbour.chats.current.id == shown)
    assert last["content"] not in [m.text for m in harbour.chats.current.tree.path()]
    harbour.importing.start([FIXTURES / "openwebui.json"])
    harbour.result(2)
    harbour.wait(lambda: harbour.chats.current.tree.path()[-1].text == last["content"])


def test_folders_of_models_are_told_and_not_read(harbour, tmp_path):
    model, models, chats = tmp_path / "Qwen3", tmp_path / "models", tmp_path / "chats"
    for folder in (model, models / "Qwen2", chats):
        folder.mkdir(parents=True)
    (model / "tokenizer.json").write_text("{}")  # damaged: it lacks the rest
    (models / "Qwen2" / "config.json").write_text("{}")
    shutil.copy(FIXTURES / "openai.json", chats)
    harbour.importing.open([model, models, chats])
    result = harbour.result()
    assert result.checkpoints == (model, models)
    assert [entry.outcome for entry in result.entries] == [Outcome.ADDED]
    assert harbour.finished[0][1]


def test_a_disk_that_refuses_ends_it_with_the_reason(harbour, tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(10))
    harbour.store.submit(lambda store: store.database.connection.execute("PRAGMA query_only = 1"))
    harbour.importing.start([tmp_path / "many.jsonl"])
    result = harbour.result()
    assert result.trouble is not None
    assert "cannot be written" in result.trouble.text()
    assert result.entries == ()
    assert not result.cancelled


def test_only_a_little_is_written_at_once(tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(10))
    store = Store.open(tmp_path / "conversations.db")
    batch = tuple(Reader([tmp_path / "many.jsonl"]))
    ticks = iter(range(100))
    entries, rest, trouble = write_some(store, batch, lambda: float(next(ticks)))
    assert (len(entries), rest, trouble) == (1, batch[1:], None)
    entries, rest, trouble = write_some(store, rest, lambda: 0.0)
    assert (len(entries), rest, trouble) == (9, (), None)
    store.close()


def test_closing_leaves_no_thread_and_no_half_conversation(qtbot, tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(5000))
    harbour = Harbour(qtbot, tmp_path / "conversations.db")
    harbour.importing.start([tmp_path / "many.jsonl"])
    harbour.wait(lambda: any(progress.conversations for progress in harbour.told))
    harbour.close()
    store = Store.open(tmp_path / "conversations.db")
    for row in rows_of(store):
        assert len(store.load(row.id).tree.messages) == 2
    store.close()


def test_nothing_of_a_saved_profile_lies_about_after_the_end(harbour, tmp_path, monkeypatch):
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    made = Profile(tmp_path / "other")
    store = Store.open(made.database)
    for number in range(300):
        store.create(said("Hello", "World", key=f"k{number}").conversation)
    store.close()
    profile_archive.save(made, tmp_path / "all.qwenprofile")
    harbour.importing.start([tmp_path / "all.qwenprofile"])
    harbour.wait(lambda: any(elsewhere.iterdir()))
    harbour.importing.close()
    assert not any(elsewhere.iterdir())
