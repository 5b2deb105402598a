"""Damaged, foreign and forged cache files are not used, and go."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.engine.helpers import runner_of
from tests.engine.test_spill import IDS, filled, loaded, names, written


@pytest.fixture(scope="module")
def runner(made):
    return runner_of(made("qwen3"))


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
        {"nbytes": 10**15},
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
