"""The library without a window: what is found, kept, verified, taken off and deleted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.library import Library
from qwen_desktop.bridge.recents import Recents
from qwen_desktop.chat.checkpoint import Device, Fit
from qwen_desktop.chat.library import Health, LibraryEntry, Place, Shelf
from qwen_desktop.chat.recent import Recent
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.errors import Report
from qwen_desktop.storage.library import LibraryFile
from tests.engine.checkpoints import make_checkpoint

G = 2**30


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "Tiny-Qwen", "qwen3", shards=True)


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))


class Desk:
    """A library with a file and a machine of its own."""

    def __init__(self, qtbot, file: Path, recents: tuple[Recent, ...] = ()) -> None:
        self.qtbot, self.jobs = qtbot, FileJobs()
        self.machine = Machine(Device("cpu", "CPU", 64 * G, 48 * G), ())
        self.recents = Recents(recents)
        self.file = file
        self.library = Library(
            LibraryFile(file),
            self.jobs,
            self.recents,
            lambda: self.machine,
            lambda: file.parent / "downloads",
        )
        self.failed: list[Report] = []
        self.library.failed.connect(lambda _, report: self.failed.append(report))
        self.library.problem.connect(self.failed.append)

    def look(self) -> None:
        self.library.look()
        self.settle()

    def settle(self) -> None:
        library = self.library
        self.qtbot.waitUntil(lambda: library.is_read and not library.state.running, timeout=30_000)

    def wait(self, condition) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=30_000)

    def names(self) -> set[str]:
        return {entry.name for entry in self.library.entries}

    def close(self) -> None:
        self.library.close()
        self.jobs.close()
        for made in (self.library, self.recents):
            made.deleteLater()


@pytest.fixture
def desk(qtbot, tmp_path):
    made = Desk(qtbot, tmp_path / "profile" / "library.json")
    yield made
    made.close()


def copied(tiny: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for path in tiny.iterdir():
        os.link(path, folder / path.name) if path.suffix == ".safetensors" else (
            folder / path.name
        ).write_bytes(path.read_bytes())
    return folder


def in_cache(cache: Path, tiny: Path, commit: str = "a" * 40) -> Path:
    place = cache / "models--Qwen--Tiny-Qwen"
    (place / "blobs").mkdir(parents=True)
    snapshot = place / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in tiny.iterdir():
        blob = place / "blobs" / path.name
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    return snapshot


def test_all_places_are_found_and_looked_into(desk, tiny, tmp_path) -> None:
    snapshot = in_cache(tmp_path / "hf", tiny)
    scope = copied(tiny, tmp_path / "ms" / "models" / "Qwen" / "Tiny-Qwen")
    fetched = copied(tiny, tmp_path / "profile" / "downloads" / "Qwen" / "Fetched")
    watched = copied(tiny, tmp_path / "models" / "deep" / "Watched")
    desk.library.take_in(tmp_path / "models")
    desk.wait(lambda: desk.library.watched == (tmp_path / "models",))
    desk.library.take_in(tiny)
    desk.wait(lambda: desk.library.entry(tiny))
    desk.look()
    places = {entry.folder: entry.place for entry in desk.library.entries}
    assert places == {
        snapshot: Place.HUGGING_FACE,
        scope: Place.MODELSCOPE,
        fetched: Place.DOWNLOADED,
        watched: Place.WATCHED,
        tiny: Place.ADDED,
    }
    weights = sum(path.stat().st_size for path in tiny.iterdir())
    for entry in desk.library.entries:
        assert entry.health is Health.GOOD, entry
        assert entry.family == "Qwen3"
        assert entry.fit is Fit.YES
        assert entry.context == 512
        assert entry.parameters > 0
        assert entry.size == weights
    assert desk.library.entry(snapshot).name == "Tiny-Qwen"
    assert desk.failed == []


def test_the_list_is_there_at_once_the_next_time(qtbot, tmp_path, tiny) -> None:
    first = Desk(qtbot, tmp_path / "library.json")
    first.look()
    first.library.add(tiny)
    first.settle()
    first.close()
    second = Desk(qtbot, tmp_path / "library.json")
    seen: list[tuple[LibraryEntry, ...]] = []
    second.library.changed.connect(lambda: seen.append(second.library.entries))
    second.look()
    entry = second.library.entry(tiny)
    assert seen[0] == (entry,)  # before anything was looked into
    assert entry.health is Health.GOOD
    second.close()


def test_only_what_has_changed_is_looked_into_again(desk, tiny, tmp_path, monkeypatch) -> None:
    one = copied(tiny, tmp_path / "models" / "One")
    two = copied(tiny, tmp_path / "models" / "Two")
    desk.library.watch(tmp_path / "models")
    desk.look()
    from qwen_desktop.engine import doctor

    looked: list[Path] = []
    real = doctor.examine

    def examine(folder, *args, **kwargs):
        looked.append(folder)
        return real(folder, *args, **kwargs)

    monkeypatch.setattr(doctor, "examine", examine)
    desk.look()
    assert looked == []
    next(one.glob("*.safetensors")).unlink()
    desk.look()
    assert looked == [one]
    assert desk.library.entry(one).health is Health.INCOMPLETE
    assert desk.library.entry(one).can_adopt
    # Less memory is free: other things fit.
    looked.clear()
    desk.machine = Machine(Device("cpu", "CPU", 64 * G, 1000), ())
    desk.look()
    assert set(looked) == {one, two}
    assert desk.library.entry(two).fit is Fit.NO


def test_verdicts(desk, tiny, tmp_path) -> None:
    pointer = copied(tiny, tmp_path / "models" / "Pointer")
    shard = next(pointer.glob("*.safetensors"))
    shard.unlink()
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    nonsense = copied(tiny, tmp_path / "models" / "Nonsense")
    (nonsense / "config.json").write_text(json.dumps({"model_type": "qwen3", "hidden_size": -1}))
    started = copied(tiny, tmp_path / "models" / "Started")
    (started / "model-9.safetensors.crdownload").write_bytes(b"x")
    desk.library.watch(tmp_path / "models")
    desk.look()
    found = {entry.name: entry for entry in desk.library.entries}
    assert found["Pointer"].health is Health.INCOMPLETE
    assert "lfs-pointer" in found["Pointer"].codes
    assert found["Pointer"].verdict.code == "lfs-pointer"
    assert not found["Nonsense"].opens
    assert found["Started"].health is Health.WARNED
    assert found["Started"].can_adopt


def test_a_folder_that_went_leaves_but_one_that_was_added_is_gone(desk, tiny, tmp_path) -> None:
    found = copied(tiny, tmp_path / "models" / "Found")
    added = copied(tiny, tmp_path / "elsewhere" / "Added")
    desk.library.watch(tmp_path / "models")
    desk.library.add(added)
    desk.look()
    for folder in (found, added):
        folder.rename(folder.with_name(".away"))
    desk.look()
    assert desk.names() == {"Added"}
    assert desk.library.entry(added).health is Health.GONE
    assert desk.library.entry(added).family == "Qwen3"
    # The disk of the watched folder is not plugged in: what was there is not forgotten.
    (tmp_path / "models" / ".away").rename(found)
    desk.look()
    (tmp_path / "models").rename(tmp_path / "unplugged")
    desk.look()
    assert desk.library.entry(found).health is Health.GONE


def test_what_is_taken_off_stays_off(desk, tiny, tmp_path) -> None:
    folder = copied(tiny, tmp_path / "models" / "Model")
    desk.library.watch(tmp_path / "models")
    desk.look()
    desk.library.forget(folder)
    desk.look()
    assert desk.names() == set()
    assert folder.is_dir()
    desk.library.add(folder)
    desk.look()
    assert desk.names() == {"Model"}
    desk.library.unwatch(tmp_path / "models")
    desk.look()
    assert desk.names() == {"Model"}  # added by hand


def test_when_it_was_used_comes_from_what_was_opened(qtbot, tmp_path, tiny) -> None:
    recent = Recent(str(tiny), "Tiny", used_at=1_700_000_000.0)
    made = Desk(qtbot, tmp_path / "library.json", (recent,))
    made.look()
    entry = made.library.entry(tiny)
    assert (entry.place, entry.used_at) == (Place.OPENED, 1_700_000_000.0)
    made.close()


def test_a_search_is_left(desk, tiny, tmp_path) -> None:
    for number in range(60):
        copied(tiny, tmp_path / "models" / f"{number:03}")
    desk.library.look()
    desk.settle()
    desk.library.watch(tmp_path / "models")
    desk.library.cancel()
    desk.settle()
    assert len(desk.library.entries) < 60
    desk.look()
    assert len(desk.library.entries) == 60


def test_files_are_verified_with_progress(desk, tiny, tmp_path) -> None:
    import hashlib

    folder = copied(tiny, tmp_path / "models" / "Model")
    files = [
        {"path": path.name, "size": path.stat().st_size, "git_oid": None, "compared": "",
         "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir())
    ]  # fmt: skip
    note = {
        "format": "qwen-desktop source", "version": 1, "hub": "huggingface", "complete": True,
        "endpoint": "https://huggingface.co", "repository": "Qwen/Tiny", "revision": "main",
        "commit": "c", "files": files,
    }  # fmt: skip
    (folder / ".qwen-desktop-source.json").write_text(json.dumps(note))
    told, moved = [], []
    desk.library.verified.connect(lambda _, found: told.append(found))
    desk.library.verify_moved.connect(lambda _, done, total: moved.append((done, total)))
    desk.library.verify(folder)
    desk.wait(lambda: told)
    assert told[0].damaged == ()
    assert told[0].compared == len(files)
    assert moved[-1][0] == moved[-1][1] > 0
    victim = folder / "tokenizer.json"
    victim.write_bytes(victim.read_bytes().replace(b"a", b"b", 1))
    desk.library.verify(folder)
    desk.wait(lambda: len(told) == 2)
    assert told[1].damaged == ("tokenizer.json",)
    assert not desk.library.is_verifying(folder)


def test_a_verification_is_stopped(desk, tiny, tmp_path) -> None:
    folder = in_cache(tmp_path / "hf", tiny)
    left, told = [], []
    desk.library.left.connect(left.append)
    desk.library.verified.connect(lambda folder, _: told.append(folder))
    desk.library.verify(folder)
    desk.library.stop_verifying(folder)
    desk.wait(lambda: left or told)  # it may have ended before
    assert not desk.library.is_verifying(folder)


def test_files_are_deleted_after_their_bytes_were_named(desk, tiny, tmp_path) -> None:
    folder = in_cache(tmp_path / "hf", tiny)
    desk.look()
    planned, removed = [], []
    desk.library.removal_planned.connect(lambda _, removal: planned.append(removal))
    desk.library.removed.connect(lambda folder, freed: removed.append((folder, freed)))
    desk.library.plan_removal(folder)
    desk.wait(lambda: planned)
    assert planned[0].freed == sum(path.stat().st_size for path in tiny.iterdir())
    assert folder.is_dir()
    desk.library.remove(planned[0])
    desk.wait(lambda: removed)
    assert removed == [(str(folder), planned[0].freed)]
    assert not folder.exists()
    desk.settle()
    assert desk.library.entry(folder) is None
    desk.library.plan_removal(tmp_path)
    desk.wait(lambda: desk.failed)
    assert desk.failed[0].code == "not-deleted"


def test_a_hub_is_guessed_from_the_files(desk, tiny, tmp_path) -> None:
    told = []
    desk.library.guessed.connect(lambda _, guesses: told.append(guesses))
    desk.library.guess(in_cache(tmp_path / "hf", tiny))
    desk.wait(lambda: told)
    assert str(told[0][0].address.repository) == "Qwen/Tiny-Qwen"


# -- the file ------------------------------------------------------------------------------

ENTRY = LibraryEntry(
    Path("/models/Qwen3-8B"), "Qwen3-8B", Place.WATCHED, "Qwen3", 8_190_735_360, "BF16",
    Health.WARNED, ("no-room",), Report("No room: {file}.", "Buy some.", {"file": "x"},
    code="no-room"), Fit.NO, 0, 16_381_516_776, 1_700_000_000.5, True, "stamp", "cpu:1:2",
)  # fmt: skip


def test_the_list_comes_back_as_it_was_written(tmp_path) -> None:
    file = LibraryFile(tmp_path / "library.json")
    shelf = Shelf((ENTRY, replace(ENTRY, folder=Path("/other"), verdict=None, fit=None)),
                  (Path("/models"),), frozenset({"/hidden"}))  # fmt: skip
    file.save(shelf)
    assert LibraryFile(tmp_path / "library.json").read() == shelf


@pytest.mark.parametrize(
    "damage",
    [
        {"folder": ""}, {"folder": "a\0b"}, {"folder": 3}, {"place": "moon"}, {"health": 7},
        {"fit": "maybe"},
    ],
)  # fmt: skip
def test_damaged_entries_are_left_out(tmp_path, damage) -> None:
    path = tmp_path / "library.json"
    LibraryFile(path).save(Shelf((ENTRY, replace(ENTRY, folder=Path("/good")))))
    value = json.loads(path.read_text())
    value["entries"][0].update(damage)
    path.write_text(json.dumps(value))
    assert [entry.folder for entry in LibraryFile(path).read().entries] == [Path("/good")]


def test_a_foreign_sentence_is_not_believed(tmp_path) -> None:
    path = tmp_path / "library.json"
    LibraryFile(path).save(Shelf((ENTRY,)))
    value = json.loads(path.read_text())
    value["entries"][0]["verdict"]["template"] = "{file.__class__} {unknown}"
    value["entries"][0] |= {"size": -1, "used_at": "x", "parameters": 1.5, "codes": 3}
    path.write_text(json.dumps(value))
    (entry,) = LibraryFile(path).read().entries
    assert entry.verdict is None
    assert (entry.size, entry.used_at, entry.parameters, entry.codes) == (0, 0.0, 0, ())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe"])
def test_a_damaged_file_is_set_aside(tmp_path, content) -> None:
    path = tmp_path / "library.json"
    path.write_bytes(content)
    assert LibraryFile(path).read() == Shelf()
    assert (tmp_path / "library.json.damaged").read_bytes() == content
