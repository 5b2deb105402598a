"""Fingerprints: the same for the same numbers, another for any others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.fingerprint import BLOCK, BLOCKS, fingerprint, sampled
from qwen_desktop.errors import Known
from tests.bench.inspect_ import make_folder
from tests.engine.checkpoints import edit_json

INDEX = "model.safetensors.index.json"


def of(folder: Path) -> str:
    return fingerprint(inspect(folder))


@pytest.mark.parametrize("shards", [False, True])
def test_it_stays_where_nothing_counts(copied, made, shards, tmp_path):
    folder = copied("qwen3", shards=shards)
    found = of(folder)
    assert len(found) == 64
    assert int(found, 16) > 0
    assert found == of(made("qwen3", shards=shards))
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    edit_json(folder / "generation_config.json", temperature=0.5)
    edit_json(folder / "tokenizer_config.json", padding_side="left")
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    (folder / "README.md").write_text("hello")
    assert of(Path(shutil.move(folder, tmp_path / "moved"))) == found


def changed(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_any_weight_of_a_small_shard_counts(copied):
    folder = copied("qwen3", shards=True)
    before = of(folder)
    for shard in sorted(folder.glob("model-*.safetensors")):
        assert shard.stat().st_size < BLOCKS * BLOCK
        header = 8 + int.from_bytes(shard.read_bytes()[:8], "little")
        for at in (header, (header + shard.stat().st_size) // 2, -1):
            changed(shard, at)
            assert of(folder) != before
            changed(shard, at)
    assert of(folder) == before


def test_configuration_and_index_count(copied):
    folder = copied("qwen3", shards=True)
    found = {of(folder)}
    edit_json(folder / "config.json", rms_norm_eps=1e-5)
    found.add(of(folder))
    edit_json(folder / INDEX, metadata={})
    found.add(of(folder))
    assert len(found) == 3


def test_other_weights_of_one_layout(made):
    assert of(made("qwen3")) != of(made("qwen3", seed=1))
    assert of(made("qwen3")) != of(made("qwen3", shards=True))


def test_a_large_shard_is_sampled(tmp_path):
    make_folder(tmp_path)  # 145 GB, all holes
    before = of(tmp_path)
    shard = min(tmp_path.glob("*.safetensors"))
    with shard.open("r+b") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        starts = sampled(begin, shard.stat().st_size)
        assert len(starts) == BLOCKS
        for start in starts[:1] + starts[7:8] + starts[-1:]:
            file.seek(start + BLOCK - 1)
            file.write(b"\1")
            file.flush()
            after = of(tmp_path)
            assert after != before
            before = after


@given(st.integers(8, 10**6), st.integers(0, 10**12))
def test_blocks_are_spread_over_all_of_it(begin, size):
    end = begin + size
    starts = sampled(begin, end)
    assert len(starts) <= BLOCKS
    assert starts == sorted(set(starts))
    if size <= BLOCKS * BLOCK:  # all of it, once or twice
        read = {n // BLOCK for start in starts for n in (start - begin, start - begin + BLOCK - 1)}
        assert set(range(size // BLOCK)) <= read
        assert not size or starts[-1] + BLOCK >= end
    else:
        assert (starts[0], starts[-1]) == (begin, end - BLOCK)
        gaps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
        assert max(gaps) - min(gaps) <= 1


def test_a_shard_that_goes_away(copied):
    folder = copied("qwen3")
    checkpoint = inspect(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(Known, match="cannot be read"):
        fingerprint(checkpoint)
