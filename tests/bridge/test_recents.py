"""The checkpoints opened before, and the mark that stands while one is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.load_marks import LoadMarks
from qwen_desktop.bridge.models import Models, Phase
from qwen_desktop.bridge.recents import LIMIT, Recents
from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.model import DemoInfo, LoadRequest
from qwen_desktop.chat.recent import Recent
from qwen_desktop.storage.state import LoadMark
from tests.ui.test_memory_panel import INFO

REQUEST = LoadRequest(Path("/models/a"), Precision.INT4, "cuda:1", 8192)


def test_the_newest_is_first_and_each_folder_stands_once(qtbot):
    recents = Recents()
    for name in ("a", "b", "a"):
        with qtbot.waitSignal(recents.changed):
            recents.remember(replace(INFO, name=name), LoadRequest(Path(f"/models/{name}")))
    assert [entry.name for entry in recents.entries] == ["a", "b"]
    for n in range(LIMIT + 3):
        recents.remember(INFO, LoadRequest(Path(f"/models/{n}")))
    assert len(recents.entries) == LIMIT
    recents.forget(recents.entries[0].folder)
    assert len(recents.entries) == LIMIT - 1


def test_choices_are_remembered_per_folder(qtbot):
    recents = Recents()
    recents.remember(INFO, REQUEST)
    assert recents.request_for(REQUEST.folder) == REQUEST
    assert recents.request_for(Path("/models/b")) == LoadRequest(Path("/models/b"))
    newer = Recents([Recent("/models/a", "a", precision="int2", placement="")])
    assert newer.request_for(REQUEST.folder) == LoadRequest(REQUEST.folder)


def test_the_demo_is_no_recent_checkpoint(qtbot):
    recents = Recents()
    recents.remember(replace(INFO, demo=DemoInfo()), REQUEST)
    assert recents.entries == ()


@pytest.fixture
def marked(desk, tmp_path):
    """A model owner that marks its loads, on the engine of the desk."""
    files = FileJobs()
    mark = LoadMark(tmp_path / "mark" / "loading.json")
    models = Models(desk.engine, LoadMarks(mark, files))
    models.mark = mark
    models.files = files
    yield models
    models.close()
    files.close()


def test_the_mark_stands_before_the_load_begins_and_goes_with_its_end(desk, marked, endless):
    seen = []
    desk.engine._load.connect(lambda *_: seen.append(marked.mark.folder()))
    marked.open(endless)
    desk.wait(lambda: not marked.state.busy)
    assert seen == [str(endless)]
    assert marked.state.phase is Phase.READY
    desk.wait(lambda: marked.mark.folder() == "")


@pytest.mark.parametrize("how", ["fails", "cancelled", "closed"])
def test_every_orderly_end_takes_the_mark_away(desk, marked, endless, tmp_path, how):
    seen = []
    desk.engine._load.connect(lambda *_: seen.append(marked.mark.folder()))
    marked.open(tmp_path if how == "fails" else endless)
    if how == "cancelled":
        marked.cancel()
    if how == "closed":
        marked.close()
        marked.files.close()
        assert marked.mark.folder() == ""
        return
    desk.wait(lambda: not marked.state.busy)
    desk.wait(lambda: marked.mark.folder() == "")


def test_a_disk_that_takes_no_mark_does_not_keep_the_load_away(desk, tmp_path, endless):
    (tmp_path / "file").touch()
    files = FileJobs()
    models = Models(desk.engine, LoadMarks(LoadMark(tmp_path / "file" / "mark"), files))
    models.open(endless)
    desk.wait(lambda: not models.state.busy)
    assert models.state.info.folder == endless
    files.close()


def test_a_load_that_waits_for_its_turn_is_cancelled_at_once(desk, endless):
    """As while the libraries are imported: the engine cannot listen, the window does not wait."""
    told = []
    desk.models.cancelled.connect(told.append)
    before = desk.models.state.info
    desk.models.open(endless)
    desk.models.cancel()
    assert not desk.models.state.busy
    assert desk.models.state.info == before
    assert told == [LoadRequest(endless)]
    assert desk.ask_and_wait("still here?")
