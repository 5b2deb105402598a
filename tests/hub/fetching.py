"""Downloads in tests: the files of a repository, a whole download, and one that is watched."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

from qwen_desktop.chat.hub import (
    DownloadPlan,
    DownloadProgress,
    Endpoint,
    Hub,
    Listing,
    RepositoryName,
    Source,
)
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub.download import Download
from qwen_desktop.hub.listing import fetch_listing
from qwen_desktop.hub.planning import plan
from tests.hub.contents import Repo, noise
from tests.hub.fakehub import FakeHub

NAME = "Qwen/Tiny"
REPOSITORY = RepositoryName("Qwen", "Tiny")
WEIGHTS = "model.safetensors"
SIZE = 3_000_000  # bytes of the weights
PATIENCE_S = 120.0
HUBS = (Hub.HUGGING_FACE, Hub.MODELSCOPE)

NOT_NEEDED = {"modeling_tiny.py": b"print()", "pytorch_model.bin": noise(5_000), "a/b.png": b"P"}


def files(size: int = SIZE, seed: int = 1) -> dict[str, bytes | Path]:
    """A repository with one file of weights and what lies beside it."""
    return {
        "README.md": b"# Tiny",
        "config.json": b'{"model_type": "qwen2"}',
        "tokenizer.json": noise(40_000, seed + 100).hex().encode(),
        WEIGHTS: noise(size, seed),
        **NOT_NEEDED,
    }


def shards(sizes: tuple[int, ...], seed: int = 1) -> dict[str, bytes | Path]:
    """A repository with several files of weights, and their index."""
    total = len(sizes)
    names = [f"model-{number + 1:05}-of-{total:05}.safetensors" for number in range(total)]
    index = {"metadata": {}, "weight_map": {f"weight.{name}": name for name in names}}
    weights = {name: noise(size, seed + n) for n, (name, size) in enumerate(zip(names, sizes))}
    return {
        "config.json": b'{"model_type": "qwen2"}',
        "model.safetensors.index.json": json.dumps(index).encode(),
        **weights,
    }


def endpoint(hub: FakeHub, kind: Hub = Hub.HUGGING_FACE, token: str = "") -> Endpoint:
    """That of a hub on loopback."""
    return Endpoint(kind, hub.endpoint, token)


def listed(hub: FakeHub, kind: Hub = Hub.HUGGING_FACE, revision: str = "") -> Listing:
    """What it lists of the repository."""
    return fetch_listing(endpoint(hub, kind), REPOSITORY, revision)


def planned(hub: FakeHub, folder: Path, kind: Hub = Hub.HUGGING_FACE) -> DownloadPlan:
    """What a download would take."""
    return plan(folder, listed(hub, kind))


def fetch(
    hub: FakeHub, folder: Path, kind: Hub = Hub.HUGGING_FACE, connections: int = 4, token: str = ""
) -> Source:
    """List, plan and download; nobody looks."""
    there = endpoint(hub, kind, token)
    found = plan(folder, fetch_listing(there, REPOSITORY))
    return Download(found, there, connections=connections).run(lambda _: None, threading.Event())


def assert_whole(folder: Path, repo: Repo) -> None:
    """What a load needs is there, byte for byte, and nothing half made or foreign beside it."""
    wanted = {path: file for path, file in repo.files.items() if path not in NOT_NEEDED}
    for path, file in wanted.items():
        digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert digest == file.sha256, path
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in found if not path.startswith(".qwen-desktop")} == set(wanted)


class Watched:
    """A download on a thread of its own; ends with the `with` block at the latest."""

    def __init__(self, download: Download) -> None:
        self.download = download
        self.cancel = threading.Event()
        self.told: list[DownloadProgress] = []
        self.source: Source | None = None
        self.trouble: Known | None = None
        self.was_cancelled = False
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="watched")

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self.source = self.download.run(self._tell, self.cancel)
        except Known as known:
            self.trouble = known
        except Cancelled:
            self.was_cancelled = True
        finally:
            with self._moved:
                self._moved.notify_all()

    def _tell(self, progress: DownloadProgress) -> None:
        with self._moved:
            self.told.append(progress)
            self._moved.notify_all()

    def wait_for(self, is_so: Callable[[DownloadProgress], bool]) -> DownloadProgress:
        """The first progress of which it is so."""
        with self._moved:
            if not self._moved.wait_for(lambda: any(map(is_so, self.told)), PATIENCE_S):
                raise TimeoutError(f"last told: {self.told[-1:]}, {self.trouble}")
            return next(one for one in self.told if is_so(one))

    def end(self) -> None:
        """Wait for its own end."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
