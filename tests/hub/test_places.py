"""Where checkpoints are found, what they take on the disk, and what deleting them takes away."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from qwen_desktop.errors import Known
from qwen_desktop.hub import places
from qwen_desktop.hub.download import locked
from qwen_desktop.hub.removing import carry_out, plan_removal

GO = threading.Event()
OLD, NEW = "a" * 40, "b" * 40


def checkpoint(folder: Path, size: int = 1000, family: str = "qwen3") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    (folder / "model.safetensors").write_bytes(b"w" * size)
    return folder


def config_size(folder: Path) -> int:
    return (folder / "config.json").stat().st_size


def cached(cache: Path, name: str, commits: dict[str, dict[str, bytes]]) -> Path:
    """A repository in Hugging Face's cache; equal contents share a blob."""
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "blobs").mkdir(parents=True)
    (place / "refs").mkdir()
    for commit, files in commits.items():
        snapshot = place / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for path, content in files.items():
            blob = place / "blobs" / f"{abs(hash(content)):x}"
            blob.write_bytes(content)
            (snapshot / path).symlink_to(Path("../../blobs") / blob.name)
        (place / "refs" / "main").write_text(commit)
    return place


CONFIG = b'{"model_type": "qwen2"}'
TWO = {
    OLD: {"config.json": CONFIG, "model.safetensors": b"1" * 5000},
    NEW: {"config.json": CONFIG, "model.safetensors": b"2" * 7000},
}


# -- finding -------------------------------------------------------------------------------


def test_caches_are_where_their_programs_look() -> None:
    home = Path.home()
    find = places.hugging_face_cache
    assert find({}) == home / ".cache" / "huggingface" / "hub"
    assert find({"HF_HOME": "/data/hf"}) == Path("/data/hf/hub")
    assert find({"HF_HOME": "/data/hf", "HF_HUB_CACHE": "/other"}) == Path("/other")
    assert find({"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/huggingface/hub")
    assert find({"HF_HUB_CACHE": "~/cache"}) == home / "cache"
    assert places.modelscope_cache({}) == home / ".cache" / "modelscope" / "hub"
    assert places.modelscope_cache({"MODELSCOPE_CACHE": "/ms"}) == Path("/ms")


def test_checkpoints_of_both_caches_are_found(tmp_path) -> None:
    cached(tmp_path, "Qwen/Qwen2-7B", TWO)
    cached(tmp_path, "meta/Llama", {OLD: {"config.json": b'{"model_type": "llama"}'}})
    found = list(places.in_hugging_face_cache(tmp_path, GO))
    assert [path.name for path in found] == [OLD, NEW]
    scope = tmp_path / "scope"
    real = checkpoint(scope / "models" / "Qwen" / "Qwen2___5-7B")
    (real.parent / "Qwen2.5-7B").symlink_to(real)
    old = checkpoint(scope / "qwen" / "Qwen-7B-Chat", family="qwen")
    assert list(places.in_modelscope_cache(scope, GO)) == [real, old]
    assert list(places.in_modelscope_cache(tmp_path / "gone", GO)) == []


def test_folders_below_one_are_found_and_links_are_not_followed(tmp_path) -> None:
    near = checkpoint(tmp_path / "models" / "near")
    checkpoint(near / "inside")  # part of it, not another one
    far = checkpoint(tmp_path / "models" / "a" / "b" / "c" / "d")
    checkpoint(tmp_path / "models" / "1" / "2" / "3" / "4" / "5" / "6")
    checkpoint(tmp_path / "models" / ".hidden" / "one")
    checkpoint(tmp_path / "models" / "other", family="llama")
    elsewhere = checkpoint(tmp_path / "elsewhere")
    (tmp_path / "models" / "link").symlink_to(elsewhere.parent)
    (tmp_path / "models" / "loop").symlink_to(tmp_path / "models")
    assert set(places.below(tmp_path / "models", GO)) == {near, far}
    assert list(places.below(near, GO)) == [near]


def test_a_search_is_left_and_is_bounded(tmp_path, monkeypatch) -> None:
    for number in range(50):
        checkpoint(tmp_path / f"{number:03}" / "model")
    stop = threading.Event()
    search = places.below(tmp_path, stop)
    next(search)
    stop.set()
    assert len(list(search)) < 2
    monkeypatch.setattr(places, "MAX_SEEN", 60)
    assert 0 < len(list(places.below(tmp_path, GO))) < 50


def test_a_damaged_config_is_no_checkpoint(tmp_path) -> None:
    for number, content in enumerate((b"", b"{", b"[" * 90_000, b'{"model_type": 3}', b"\xff")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_bytes(content)
        assert not places.is_qwen(folder)
    if hasattr(os, "mkfifo"):  # to read one would never end
        os.mkfifo(tmp_path / "config.json")
        assert not places.is_qwen(tmp_path)


def test_what_is_there_by_links_counts_once(tmp_path) -> None:
    place = cached(tmp_path / "hub", "Qwen/Q", TWO)
    assert places.disk_use(place / "snapshots" / NEW) == len(CONFIG) + 7000
    assert places.disk_use(place) == len(CONFIG) + 12_000 + len(NEW)  # and the ref
    folder = checkpoint(tmp_path / "plain")
    os.link(folder / "model.safetensors", folder / "again.safetensors")
    (folder / "more").symlink_to(place)
    (folder / "nowhere").symlink_to(tmp_path / "nothing")
    assert places.disk_use(folder) == 1000 + config_size(folder)


def test_a_stamp_tells_of_changes(tmp_path) -> None:
    folder = checkpoint(tmp_path / "model")
    before = places.stamp(folder)
    assert places.stamp(folder) == before
    (folder / "model.safetensors").write_bytes(b"w" * 1001)
    assert places.stamp(folder) != before
    assert places.stamp(tmp_path / "gone") == ""


# -- deleting ------------------------------------------------------------------------------


def test_a_folder_of_a_checkpoint_goes_as_a_whole(tmp_path) -> None:
    folder = checkpoint(tmp_path / "a" / "model")
    (folder / ".git" / "lfs").mkdir(parents=True)
    (folder / ".git" / "lfs" / "object").write_bytes(b"o" * 300)
    (folder / "LICENSE").write_bytes(b"l" * 20)
    removal = plan_removal(folder)
    assert removal.freed == 1000 + 300 + 20 + config_size(folder)
    assert folder.is_dir()  # nothing is gone yet
    assert carry_out(removal) == removal.freed
    assert not folder.exists()
    assert folder.parent.is_dir()
    assert carry_out(removal) == 0


def test_links_go_and_what_they_lead_to_stays(tmp_path) -> None:
    folder = checkpoint(tmp_path / "a" / "model")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.safetensors").write_bytes(b"x" * 99)
    (folder / "model-00001-of-00002.safetensors").symlink_to(outside / "model.safetensors")
    (folder / "assets").symlink_to(outside)
    removal = plan_removal(folder)
    assert removal.freed == 1000 + config_size(folder)
    carry_out(removal)
    assert not folder.exists()
    assert (outside / "model.safetensors").read_bytes() == b"x" * 99


def test_a_folder_that_became_a_link_meanwhile_is_left(tmp_path) -> None:
    folder = checkpoint(tmp_path / "a" / "model")
    (folder / "assets").mkdir()
    (folder / "assets" / "one.png").write_bytes(b"p")
    removal = plan_removal(folder)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "one.png").write_bytes(b"mine")
    (folder / "assets" / "one.png").unlink()
    (folder / "assets").rmdir()
    (folder / "assets").symlink_to(victim)
    carry_out(removal)
    assert (victim / "one.png").read_bytes() == b"mine"


def test_among_other_things_only_the_checkpoint_goes(tmp_path) -> None:
    folder = checkpoint(tmp_path / "a" / "Downloads")
    mine = {"thesis.docx": b"t", "notes.txt": b"n", "data.json": b"{}"}
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    (folder / "Pictures").mkdir()
    removal = plan_removal(folder)
    assert removal.kept == 4
    carry_out(removal)
    assert {path.name for path in folder.iterdir()} == {*mine, "Pictures"}


def test_of_a_cache_only_blobs_of_this_snapshot_go(tmp_path) -> None:
    place = cached(tmp_path / "hub", "Qwen/Q", TWO)
    removal = plan_removal(place / "snapshots" / OLD)
    assert removal.freed == 5000
    assert carry_out(removal) == 5000
    assert [path.name for path in (place / "snapshots").iterdir()] == [NEW]
    assert (place / "snapshots" / NEW / "config.json").read_bytes() == CONFIG
    assert (place / "refs" / "main").read_text() == NEW
    # The last one takes the repository with it.
    removal = plan_removal(place / "snapshots" / NEW)
    assert carry_out(removal) == 7000 + len(CONFIG) + 40
    assert not place.exists()
    assert (tmp_path / "hub").is_dir()


def test_bytes_that_another_name_keeps_are_not_promised(tmp_path) -> None:
    folder = checkpoint(tmp_path / "a" / "model")
    os.link(folder / "model.safetensors", tmp_path / "kept")
    removal = plan_removal(folder)
    assert removal.freed == config_size(folder)
    assert carry_out(removal) == removal.freed
    assert (tmp_path / "kept").stat().st_size == 1000


@pytest.mark.parametrize("which", ["home", "root", "link", "none", "gone"])
def test_what_is_no_checkpoint_is_not_deleted(tmp_path, monkeypatch, which) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    home = checkpoint(tmp_path / "home")
    target = checkpoint(tmp_path / "a" / "model")
    (tmp_path / "a" / "link").symlink_to(target)
    (tmp_path / "a" / "none").mkdir()
    (tmp_path / "a" / "none" / "letter.txt").write_text("dear")
    folder = {
        "home": home,
        "root": Path(tmp_path.anchor),
        "link": tmp_path / "a" / "link",
        "none": tmp_path / "a" / "none",
        "gone": tmp_path / "a" / "gone",
    }[which]
    with pytest.raises(Known) as found:
        plan_removal(folder)
    assert found.value.code == "not-deleted"
    assert target.is_dir()


def test_a_folder_that_a_download_is_at_work_in_is_not_deleted(tmp_path) -> None:
    folder = checkpoint(tmp_path / "one")
    removal = plan_removal(folder)
    with locked(folder), pytest.raises(Known) as caught:
        carry_out(removal)
    assert caught.value.code == "download-locked"
    assert (folder / "model.safetensors").exists()
    carry_out(plan_removal(folder))
    assert not folder.exists()
