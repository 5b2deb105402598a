"""Parts of stored tensors: what is read equals the slice of the whole."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from qwen_desktop.engine.shards import read_header
from qwen_desktop.engine.sources import FloatSource
from qwen_desktop.engine.weights import LazyWeights

WHOLE = torch.arange(12 * 20, dtype=torch.int32).reshape(12, 20)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parts") / "model.safetensors"
    save_file({"before": torch.zeros(3), "whole": WHOLE, "x": torch.ones(2)}, path)
    return path


@given(data=st.data())
def test_a_part_reads_as_the_slice(shard: Path, data: st.DataObject) -> None:
    entry, expected = read_header(shard)["whole"], WHOLE
    for dim in data.draw(st.sampled_from([(0,), (1,), (0, 1), (1, 0), (0, 0)])):
        size = entry.shape[dim]
        first = data.draw(st.integers(0, size - 1))
        last = data.draw(st.integers(first + 1, size))
        entry = entry.part("p", dim, first, last)
        expected = expected.narrow(dim, first, last - first)
    told: list[int] = []
    weights = LazyWeights(
        {"p": FloatSource("p", entry.shape, entry)},
        {},
        torch.float32,
        threading.Event(),
        lambda done, _: told.append(done),
    )
    assert torch.equal(weights.tensors["p"][...], expected)
    assert told[-1] == entry.nbytes == expected.numel() * 4


def test_nonsense_is_no_part(shard: Path) -> None:
    entry = read_header(shard)["whole"]
    for dim, first, last in [(2, 0, 1), (0, 3, 3), (0, 0, 13), (1, 5, 4)]:
        with pytest.raises(ValueError):
            entry.part("p", dim, first, last)
