"""A whole bridge without a window: real store, real engine, tiny real checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.messages import Status
from qwen_desktop.chat.settings import SETTINGS
from qwen_desktop.storage.store import Store
from tests.bridge.vaults import vault  # noqa: F401 - a fixture
from tests.engine.checkpoints import chatty_checkpoint


@pytest.fixture(scope="session")
def endless(tmp_path_factory) -> Path:
    """A checkpoint with random weights that hardly ever ends an answer by itself."""
    return chatty_checkpoint(tmp_path_factory.mktemp("endless") / "Endless-Chat")


class Desk:
    """Everything below the window, and what it said."""

    def __init__(self, qtbot, file: Path) -> None:
        self.qtbot = qtbot
        self.file = file
        self.settings = {setting.name: setting.default for setting in SETTINGS}
        self.settings |= {"max_new_tokens": 40, "seed": 1, "temperature": 1.0}
        self.store = StoreClient(file)
        self.engine = EngineClient()
        self.models = Models(self.engine)
        self.chats = Chats(self.store, self.engine, self.models, lambda: self.settings)
        self.problems, self.drafts, self.opened, self.saved = [], [], [], []
        self.chats.problem.connect(self.problems.append)
        self.models.problem.connect(self.problems.append)
        self.chats.draft_restored.connect(self.drafts.append)
        self.chats.opened.connect(self.opened.append)
        self.chats.rewound.connect(self.opened.append)
        self.chats.answer_saved.connect(self.saved.append)
        self.store.start()
        self.engine.start()
        self.closed = False

    def load(self, folder: Path) -> None:
        self.models.open(folder)
        self.qtbot.waitUntil(lambda: not self.models.state.busy, timeout=60_000)

    def wait(self, condition, timeout=60_000) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)

    def set(self, **changes) -> None:
        self.settings |= changes
        for name, value in changes.items():
            self.chats.on_setting(name, value)

    def ask_and_wait(self, text: str):
        """Ask, wait until the answer is on disk, and give it."""
        count = len(self.saved)
        assert self.chats.ask(text)
        self.wait(lambda: len(self.saved) == count + 1)
        return self.saved[-1]

    def path(self):
        return self.chats.current.tree.path()

    def answer_in_work(self):
        """The answer being written, wherever one looks."""
        tree = self.chats.current.tree
        return next(m for m in tree.messages.values() if m.status is Status.STREAMING)

    def on_disk(self, copy: Path) -> Store:
        """A copy of the database as a crash would leave it, opened by a store of its own."""
        copy.mkdir()
        for suffix in ("", "-wal"):
            source = self.file.with_name(self.file.name + suffix)
            if source.exists():
                shutil.copy(source, copy / source.name)
        return Store.open(copy / self.file.name)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.chats.close()
            assert self.engine.close()
            self.store.close()
            for made in (self.chats, self.models, self.engine, self.store):
                made.deleteLater()  # timers are on; see the hook in tests/conftest.py


@pytest.fixture
def desk(qtbot, tmp_path, endless):
    made = Desk(qtbot, tmp_path / "data" / "conversations.db")
    made.load(endless)
    yield made
    made.close()
