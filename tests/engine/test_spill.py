"""The folder of cache files: what is written comes back, limits hold, all is private."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from qwen_desktop.engine import spill
from qwen_desktop.engine.runner import Cache
from qwen_desktop.engine.spill import CacheKey, Spill
from qwen_desktop.engine.tensor_file import write_tensors
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, runner_of
from tests.engine.test_runner import SLIDING, CancelAfter

KEY = CacheKey("print", "FP32", "float32", "model", 1.0)
IDS = list(range(50, 80))
LARGE = 2**30

KINDS = [("qwen3", {}), ("qwen2", SLIDING), ("qwen3_5_text", {}), ("qwen4_exp_text", {})]
KINDS = [kind for kind in KINDS if kind[0] in FAMILY_SIZES]


@pytest.fixture(scope="module")
def runner(made):
    return runner_of(made("qwen3"))


def filled(runner, ids: list[int]) -> Cache:
    cache = runner.new_cache()
    runner.prefill(cache, ids, chunk=64, on_progress=lambda _: None, cancel=NEVER)
    return cache


def written(folder: Path, runner, *names: str, key: CacheKey = KEY, limit: int = LARGE) -> Spill:
    """A folder with the files of conversations `names`, used one after the other."""
    files = Spill(folder, limit, key, runner)
    for used, name in enumerate(names or ("c",), start=1):
        assert files.write(name, filled(runner, IDS), IDS, float(used))
    return files


def loaded(files: Spill, runner, name: str = "c") -> Cache | None:
    about = files.find(name)
    if about is None:
        return None
    assert list(about.ids) == IDS
    cache = runner.new_cache(about.rope_scale)
    return cache if files.load(about, cache, NEVER) else None


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_was_written_goes_on_where_it_was(made, tmp_path, kind):
    family, options = kind
    runner = runner_of(made(family, **options))
    files = written(tmp_path / "kv", runner)
    cache = loaded(Spill(tmp_path / "kv", LARGE, KEY, runner), runner)
    assert cache is not None
    assert cache.length == len(IDS)
    fresh = filled(runner, IDS)
    assert torch.equal(runner.decode(cache, 5, cancel=NEVER), runner.decode(fresh, 5, cancel=NEVER))
    assert files.find("another") is None
    assert len(names(tmp_path / "kv")) == 2


def test_a_conversation_has_one_file(runner, tmp_path):
    files = written(tmp_path, runner, "c", "c", "c")
    assert len(names(tmp_path)) == 2
    assert loaded(files, runner) is not None


def test_only_this_user_may_read(runner, tmp_path):
    folder = tmp_path / "deep" / "kv"
    folder.mkdir(parents=True, mode=0o755)
    written(folder, runner)
    if sys.platform != "win32":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_names_tell_nothing_of_the_conversation(runner, tmp_path):
    written(tmp_path, runner, "a secret")
    assert not any("secret" in name for name in names(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "other"},
        {"precision": "INT8"},
        {"dtype": "bfloat16"},
        {"kv_format": "int8"},
        {"rope_factor": 4.0},
    ],
    ids=str,
)
def test_files_of_others_are_not_looked_at(runner, tmp_path, change):
    written(tmp_path, runner)
    other = Spill(tmp_path, LARGE, replace(KEY, **change), runner)
    assert other.find("c") is None
    assert loaded(written(tmp_path, runner, key=KEY), runner) is not None


# Limits


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def conversations(files: Spill, *candidates: str) -> str:
    return "".join(name for name in candidates if files.find(name) is not None)


LONG = [50 + i % 40 for i in range(250)]  # nearly a full step: the file takes what memory does


def test_the_oldest_use_goes_first(runner, tmp_path):
    cache = filled(runner, LONG)
    limit = int(2.2 * cache.nbytes)
    files = Spill(tmp_path, limit, KEY, runner)
    for used, name in enumerate("abcd", start=1):
        assert files.write(name, cache, LONG, float(used))
        assert size_of(tmp_path) <= limit
    assert conversations(files, *"abcd") == "cd"
    about = files.find("c")
    assert about is not None
    assert files.load(about, runner.new_cache(), NEVER)  # which is a use
    assert files.write("e", cache, LONG, 9e9)
    assert conversations(files, *"abcde") == "ce"


def test_what_was_used_earlier_makes_nothing_newer_go(runner, tmp_path):
    cache = filled(runner, LONG)
    files = Spill(tmp_path, int(1.9 * cache.nbytes), KEY, runner)
    assert files.write("new", cache, LONG, 2.0)
    assert not files.write("old", cache, LONG, 1.0)
    assert conversations(files, "new", "old") == "new"


def test_what_is_larger_than_the_limit_is_not_written(runner, tmp_path):
    small = Spill(tmp_path, filled(runner, IDS).nbytes // 2, KEY, runner)
    assert not small.write("c", filled(runner, IDS), IDS, 1.0)
    assert names(tmp_path) == []


def test_a_full_disk_is_left_alone(runner, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    full = usage(10**12, 10**12 - spill.MIN_DISK_FREE, spill.MIN_DISK_FREE)
    files = Spill(tmp_path, LARGE, KEY, runner)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert not files.write("c", filled(runner, IDS), IDS, 1.0)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_used_is_only_logged(runner, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    files = Spill(tmp_path / "file" / "kv", LARGE, KEY, runner)
    assert not files.write("c", filled(runner, IDS), IDS, 1.0)
    assert files.find("c") is None
    spill.shrink(tmp_path / "file" / "kv", 0)
    spill.forget(tmp_path / "file" / "kv", "c")
    assert "cache file" in caplog.text
    assert "in the way" not in caplog.text


def test_shrinking_keeps_the_newest_and_removes_what_was_left_half_done(runner, tmp_path):
    files = written(tmp_path, runner, *"abc")
    about = min(tmp_path.glob("*.json"))
    data = tmp_path / json.loads(about.read_text())["data"]
    lost = data.with_name(f"{'0' * 24}-{'0' * 16}.{'0' * 8}.safetensors")
    shutil.copyfile(data, lost)
    drafts = [data.with_name(data.name + ".tmp"), about.with_name(about.name + ".tmp")]
    for draft in drafts:
        draft.write_text("half")
    (tmp_path / "notes.json").write_text("{}")
    spill.shrink(tmp_path, LARGE)
    assert conversations(files, *"abc") == "abc"
    assert not lost.exists()
    assert not any(draft.exists() for draft in drafts)
    spill.shrink(tmp_path, size_of(tmp_path) * 2 // 3)
    assert conversations(files, *"abc") == "bc"
    spill.shrink(tmp_path, 0)
    assert names(tmp_path) == ["notes.json"]


def test_forgetting_takes_the_files_of_all_checkpoints(runner, tmp_path):
    written(tmp_path, runner, "a", "b")
    written(tmp_path, runner, "a", key=replace(KEY, fingerprint="other"))
    assert len(names(tmp_path)) == 6
    spill.forget(tmp_path, "a")
    assert len(names(tmp_path)) == 2
    assert conversations(Spill(tmp_path, LARGE, KEY, runner), "a", "b") == "b"
    spill.forget(tmp_path / "missing", "a")


def test_a_write_that_fails_leaves_what_was_there(runner, tmp_path, monkeypatch):
    """Wherever the disk gives up: while the tensors are written, or at the last step."""
    import os

    files = written(tmp_path, runner)
    before = names(tmp_path)
    for count in range(2):
        calls = []

        def refuse(descriptor: int, fail_at: int = count, seen: list[int] = calls) -> None:
            seen.append(descriptor)
            if len(seen) > fail_at:
                raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            assert not files.write("c", filled(runner, IDS), IDS, 5.0)
        assert names(tmp_path) == before
        assert loaded(files, runner) is not None


def test_stop_ends_the_reading_of_a_file(made, tmp_path):
    """While its layout is tried out, while it is read, and while the cache is filled."""
    runner = runner_of(made("qwen3"))
    files = written(tmp_path, runner)
    about = files.find("c")
    assert about is not None
    never = CancelAfter(10**6)
    assert Spill(tmp_path, LARGE, KEY, runner).load(about, runner.new_cache(), never)
    for looks in range(10**6 - never.left):
        cache = runner.new_cache()
        with pytest.raises(Cancelled):
            Spill(tmp_path, LARGE, KEY, runner).load(about, cache, CancelAfter(looks))
        assert cache.length == 0
        assert len(names(tmp_path)) == 2
    assert loaded(files, runner) is not None


def test_stop_ends_the_writing_of_a_file(runner, tmp_path):
    """Between any two tensors, and while it is read for its checksum."""
    files = written(tmp_path, runner)
    before = names(tmp_path)
    for looks in range(2 * runner.module.config.num_hidden_layers + 1):
        with pytest.raises(Cancelled):
            files.write("c", filled(runner, IDS), IDS, 5.0, CancelAfter(looks))
        assert names(tmp_path) == before
    assert loaded(files, runner) is not None


def test_tensors_are_written_as_their_own_library_reads_them(tmp_path):
    tensors = {
        "odd": torch.arange(5, dtype=torch.int8),
        "floats": torch.randn(3, 4, 5),
        "half": torch.randn(2, 3).bfloat16().t(),
        "view": torch.randn(2, 8, 3)[:, :5],
        "spread": torch.arange(3).reshape(3, 1).expand(3, 4),
        "empty": torch.empty(0, 4, dtype=torch.float16),
        "one": torch.tensor(2**40),
    }
    write_tensors(tmp_path / "t", tensors, {"a": "b\u4e2d"})
    found = load_file(tmp_path / "t")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype is tensor.dtype
        assert torch.equal(found[name], tensor)
    with safe_open(tmp_path / "t", framework="pt") as file:
        assert file.metadata() == {"a": "b\u4e2d"}
