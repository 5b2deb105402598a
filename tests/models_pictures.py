"""Pictures of getting and keeping checkpoints: library, catalogue, downloads, and their dialogs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.downloads import DownloadEntry, Stage
from tests.engine.checkpoints import THINKING, make_checkpoint
from tests.hub.contents import noise
from tests.hub.fakehub import FakeHub
from tests.layouts import SIZE_7B, qwen2_layout
from tests.window_pictures import settle, top

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from qwen_desktop.ui.get_dialog import GetDialog
    from tests.e2e.driver import Driver

Save = Callable[["QWidget", str], None]

_NAMES = ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B")
_FOLDERS = 4
_RATE = 2_000_000  # bytes a second of each connection


def take_models(driver: Driver, save: Save, checkpoint: Path, work: Path) -> None:
    """A hub on loopback has the files of `checkpoint`, and weights that come slowly.

    Folders of checkpoints are made in `work`.
    """
    window, app = driver.window, driver.app
    files: dict[str, Path | bytes] = {f.name: f for f in checkpoint.iterdir() if f.is_file()}
    files["model.safetensors"] = noise(40_000_000)
    with FakeHub() as hub:
        for name in _NAMES:
            hub.add(name, {**files, "pytorch_model.bin": noise(100_000)})
        for name in ("huggingface_address", "modelscope_address"):
            app.preferences.set(name, hub.endpoint)
        app.downloads.start_reading()

        def entries() -> tuple[DownloadEntry, ...]:
            return app.downloads.entries

        _fill(work / "models")
        app.library.watch(work / "models")
        _page(driver, "library", save, lambda: len(app.library.entries) == _FOLDERS)
        _page(driver, "catalogue", save, _judged(driver))

        hub.misbehave("slow", file="*.safetensors", rate=_RATE, times=100)
        save(_looked_up(driver, _NAMES[0]), "get")
        for name in _NAMES:
            _looked_up(driver, name).download.click()
        driver.wait("a speed", lambda: any(e.progress and e.progress.speed for e in entries()))
        app.downloads.pause(entries()[-1].id)
        driver.wait("a pause", lambda: entries()[-1].stage is Stage.PAUSED)
        _page(driver, "downloads", save, lambda: True)

        window.downloading.show_access()
        save(top(driver, "accessDialog"), "hub-access")
        hub.heal()
        for entry in entries():
            app.downloads.cancel(entry.id, delete=True)
        driver.wait("the end of the downloads", lambda: not entries())


def _judged(driver: Driver) -> Callable[[], object]:
    told: list[object] = []
    driver.app.offers.judged.connect(lambda *_: told.append(True))
    return lambda: told


def _fill(folder: Path) -> None:
    """Checkpoints of several kinds; one lacks a file."""
    qwen2_layout(folder / "Qwen2.5-7B-Instruct", shards=4, **SIZE_7B)
    qwen2_layout(folder / "Qwen2.5-72B-Instruct")
    make_checkpoint(folder / "Qwen3-0.6B", "qwen3", template=THINKING)
    broken = make_checkpoint(folder / "Qwen3-4B", "qwen3", shards=True)
    min(broken.glob("*.safetensors")).unlink()


def _looked_up(driver: Driver, name: str) -> GetDialog:
    dialog = driver.window.downloading.get(name)
    dialog.look.click()
    driver.wait("the files", dialog.download.isEnabled)
    settle(driver)
    return dialog


def _page(driver: Driver, name: str, save: Save, filled: Callable[[], object]) -> None:
    driver.window.shelf.show(name)
    models = driver.window.shelf.dialog
    assert models is not None
    driver.wait(name, filled)
    settle(driver)
    save(models, name)
