"""Cache files: what is damaged or foreign is not used and goes; limits hold; all is private."""

from __future__ import annotations

import json
import shutil
import stat
import sys
import threading
import zlib
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from qwen_desktop.engine import spill
from qwen_desktop.engine.runner import Cache
from qwen_desktop.engine.spill import CacheKey, Spill
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, runner_of
from tests.engine.test_runner import SLIDING

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


def parts_of(folder: Path) -> tuple[Path, Path]:
    """The about file and the safetensors file of the only conversation."""
    (about,), (data,) = folder.glob("*.json"), folder.glob("*.safetensors")
    return about, data


def say(about: Path, **changes: object) -> None:
    about.write_text(json.dumps(json.loads(about.read_text()) | changes))


def vouch(about: Path, data: Path) -> None:
    """Let the about file say that `data` is what belongs there."""
    content = data.read_bytes()
    say(about, nbytes=len(content), checksum=zlib.crc32(content))


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


# Damage


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.99])
@pytest.mark.parametrize("which", [0, 1], ids=["about", "data"])
def test_truncated_files_go(runner, tmp_path, which, keep):
    files = written(tmp_path, runner)
    cut(parts_of(tmp_path)[which], keep)
    assert loaded(files, runner) is None
    assert names(tmp_path) == []
    assert files.write("c", filled(runner, IDS), IDS, 1.0)  # and there is room for a good one
    assert loaded(files, runner) is not None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_believed(runner, tmp_path_factory, place, bit):
    folder = tmp_path_factory.mktemp("kv")
    files = written(folder, runner)
    data = parts_of(folder)[1]
    content = bytearray(data.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    data.write_bytes(content)
    assert loaded(files, runner) is None
    assert names(folder) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 99},
        {"format": True},
        {"owner": "0" * 24 + "-" + "0" * 16},
        {"ids": []},
        {"ids": [50, 10**9]},
        {"ids": [50, -1]},
        {"ids": [50, 1.0]},
        {"ids": "abc"},
        {"ids": [1] * 10_000},
        {"ids": None},
        {"data": "../../somewhere.safetensors"},
        {"data": 3},
        {"nbytes": "many"},
        {"rope_scale": "1"},
        {"more": 1},
    ],
    ids=str,
)
def test_nonsense_in_the_about_file_is_not_believed(runner, tmp_path, changes):
    files = written(tmp_path, runner)
    say(parts_of(tmp_path)[0], **changes)
    assert files.find("c") is None
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, "{", '{"ids": 1e999}', "\0"])
def test_other_json_in_its_place_goes(runner, tmp_path, text):
    files = written(tmp_path, runner)
    parts_of(tmp_path)[0].write_text(text)
    assert files.find("c") is None
    assert names(tmp_path) == []


def test_a_file_put_under_another_name_goes(runner, tmp_path):
    """Of another conversation, as if it were this one's."""
    files = written(tmp_path, runner, "a")
    (mine,) = tmp_path.glob("*.json")
    written(tmp_path, runner, "b")
    (other,) = set(tmp_path.glob("*.json")) - {mine}
    shutil.copyfile(mine, other)
    assert files.find("b") is None
    assert not other.exists()
    assert loaded(files, runner, "a") is not None


SHAPES = {
    "heads": lambda t: t.repeat(1, 2, 1, 1),
    "width": lambda t: t[..., :4].contiguous(),
    "tokens": lambda t: t[:, :, 1:].contiguous(),
    "none": lambda t: t[:, :, :0].contiguous(),
    "rank": lambda t: t[0].contiguous(),
    "dtype": lambda t: t.half(),
}


@pytest.mark.parametrize("name", ["0.keys", "1.values"])
@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes_are_not_used_whatever_the_checksum_says(runner, tmp_path, shape, name):
    files = written(tmp_path, runner)
    about, data = parts_of(tmp_path)
    with_metadata(data, {name: SHAPES[shape](load_file(data)[name])})
    vouch(about, data)
    assert loaded(files, runner) is None
    assert names(tmp_path) == []


def with_metadata(data: Path, tensors: dict[str, torch.Tensor | None]) -> None:
    """Replace tensors of a file, or take them out; what else it says stays."""
    from safetensors import safe_open

    with safe_open(data, framework="pt") as file:
        metadata = file.metadata()
    found = {k: v.clone() for k, v in (load_file(data) | tensors).items() if v is not None}
    save_file(found, data, metadata)


@pytest.mark.parametrize("name", ["0.conv.0", "0.recurrent.0", "2.conv.0", "3.keys"])
@pytest.mark.parametrize("damage", ["wider", "gone", "dtype"])
def test_states_of_other_shapes_are_not_used(made, tmp_path, name, damage):
    runner = runner_of(made("qwen3_5_text"))
    files = written(tmp_path, runner)
    about, data = parts_of(tmp_path)
    there = load_file(data)[name]
    new = {"wider": torch.cat((there, there), -1), "gone": None, "dtype": there.half()}[damage]
    with_metadata(data, {name: new})
    vouch(about, data)
    assert loaded(files, runner) is None
    assert names(tmp_path) == []


@pytest.mark.parametrize("header", [b"\xff" * 8, b"\0" * 8, (2**40).to_bytes(8, "little"), b"12"])
def test_headers_of_impossible_lengths(runner, tmp_path, header):
    files = written(tmp_path, runner)
    about, data = parts_of(tmp_path)
    data.write_bytes(header + data.read_bytes()[8:] if len(header) == 8 else header)
    vouch(about, data)
    assert loaded(files, runner) is None
    assert names(tmp_path) == []


@pytest.mark.parametrize("which", [0, 1], ids=["about", "data"])
@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "gone"])
def test_what_is_no_file_is_not_read(runner, tmp_path, which, kind):
    folder, aside = tmp_path / "kv", tmp_path / "aside"
    files = written(folder, runner)
    path = parts_of(folder)[which]
    path.rename(aside)
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        if sys.platform == "win32":
            pytest.skip("links need a right on Windows")
        path.symlink_to(aside)
    elif kind == "pipe":
        if sys.platform == "win32":
            pytest.skip("no pipes in folders on Windows")
        import os

        os.mkfifo(path)
    assert loaded(files, runner) is None
    if (which, kind) != (0, "gone"):
        assert names(folder) == []
    assert aside.exists()  # what a link leads to is not ours
    assert files.write("c", filled(runner, IDS), IDS, 1.0)
    assert loaded(files, runner) is not None
    assert len(names(folder)) == 2


def test_a_folder_with_something_in_it_stays_and_costs_the_file(runner, tmp_path):
    files = written(tmp_path, runner)
    about = parts_of(tmp_path)[0]
    about.unlink()
    about.mkdir()
    (about / "mine").write_text("x")
    assert loaded(files, runner) is None
    assert not files.write("c", filled(runner, IDS), IDS, 1.0)
    assert (about / "mine").read_text() == "x"
    assert list(tmp_path.glob("*.tmp")) == []


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


def test_stop_ends_the_look_at_the_layout(runner, tmp_path):
    from qwen_desktop.errors import Cancelled

    files = written(tmp_path, runner)
    about = files.find("c")
    assert about is not None
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Cancelled):
        files.load(about, runner.new_cache(), stopped)
    assert loaded(files, runner) is not None
    assert len(names(tmp_path)) == 2
