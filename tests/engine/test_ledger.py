"""Ledgers: parts that add up whatever systems say; and the published memory of an 8B model."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.engine import gpus, memory
from qwen_desktop.engine.architecture import architecture, weights
from qwen_desktop.engine.gpus import OwnMemory
from qwen_desktop.engine.memory import (
    CardCounters,
    Counted,
    Process,
    card_ledger,
    ram_ledger,
    this_process,
)
from qwen_desktop.engine.rooms import KV_STEP
from qwen_desktop.engine.shards import TensorEntry
from qwen_desktop.engine.sources import FloatSource

MIB = 2**20
sizes = st.integers(0, 2**40)
counts = st.builds(Counted, sizes, sizes, sizes, sizes, sizes, sizes, sizes)
PARTS = ("weights", "kv", "kv_others", "activations", "slack", "runtime", "other", "free")


@given(counts, sizes, sizes, st.builds(Process, sizes, sizes, sizes))
def test_main_memory_adds_up(counted, total, free, process):
    free = min(free, total)
    ledger = ram_ledger(counted, total, free, process)
    parts = [getattr(ledger, name) for name in PARTS]
    assert sum(parts) == ledger.total
    assert min(parts) >= 0
    assert ledger.free == free
    assert ledger.weights <= counted.weights
    assert ledger.other == total - free - min(process.own, total - free)


@given(counts, sizes, sizes, sizes, sizes, st.none() | sizes)
def test_a_card_adds_up(counted, total, free, reserved, allocated, own):
    counters = CardCounters(total, min(free, total), reserved, allocated, own)
    ledger = card_ledger(counted, "cuda:0", "A card", counters)
    parts = [getattr(ledger, name) for name in PARTS]
    assert sum(parts) == ledger.total
    assert min(parts) >= 0
    assert ledger.runtime_estimated is (own is None)
    assert ledger.lacking == max(0, counted.kv_to_come + counted.working - ledger.room)


def test_what_was_swapped_out_is_not_in_memory():
    process = Process(own=3 * MIB, mapped=MIB, swapped=5 * MIB)
    ledger = ram_ledger(Counted(weights=6 * MIB, kv=MIB), 16 * MIB, 8 * MIB, process, (7, 9))
    assert (ledger.weights, ledger.kv, ledger.runtime) == (3 * MIB, 0, 0)
    assert (ledger.other, ledger.mapped, ledger.swap_own) == (5 * MIB, MIB, 5 * MIB)
    assert (ledger.swap_used, ledger.swap_total) == (7, 9)


def test_this_process_is_read_from_the_system(monkeypatch, tmp_path):
    status = tmp_path / "status"
    status.write_text(
        "Name:\tx\nRssAnon:\t 100 kB\nRssFile:\t 30 kB\nRssShmem:\t 5 kB\nVmSwap: 7 kB"
    )
    monkeypatch.setattr(memory, "_STATUS", status)
    assert this_process() == Process(105 * 1024, 30 * 1024, 7 * 1024)


@pytest.mark.parametrize(
    ("rss", "private", "expected"),
    [(100, 70, Process(70, 30, 0)), (60, 90, Process(60, 0, 30)), (50, None, Process(50, 0, 0))],
)
def test_this_process_where_there_is_no_such_file(monkeypatch, rss, private, expected):
    info = (
        SimpleNamespace(rss=rss) if private is None else SimpleNamespace(rss=rss, private=private)
    )
    monkeypatch.setattr(memory, "_STATUS", Path("/nowhere/status"))
    monkeypatch.setattr(
        memory.psutil, "Process", lambda _: SimpleNamespace(memory_info=lambda: info)
    )
    assert this_process() == expected


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetHandleByUUID"])
def test_a_driver_that_fails_is_not_asked_again_at_once(monkeypatch, failing):
    asked = []

    def fail(*_: object) -> None:
        asked.append(failing)
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, failing, fail)
    now = [100.0]
    monkeypatch.setattr(gpus.time, "monotonic", lambda: now[0])
    own = OwnMemory("some-card")
    for _ in range(10):
        assert own.nbytes() is None
        now[0] += 1
    assert len(asked) == 1
    now[0] += gpus.ASK_AGAIN_SECONDS
    own.nbytes()
    assert len(asked) == 2
    own.close()


# Qwen's own figures of Qwen3-8B in BF16 with transformers: tokens of the prompt and MiB. 2,048
# tokens were written after each.
PUBLISHED = {1: 15_947, 6_144: 16_811, 14_336: 17_963, 30_720: 20_267}
WRITTEN = 2_048
CONSTANT = 36.4  # MiB that the published figures have beside weights and cache
QWEN3_8B = {
    "model_type": "qwen3",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
}


def tensors_of_8b() -> list[FloatSource]:
    """Every weight of Qwen3-8B, by its shape."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (151936, 4096),
        "lm_head.weight": (151936, 4096),
        "model.norm.weight": (4096,),
    }
    layer = {
        "input_layernorm": (4096,),
        "post_attention_layernorm": (4096,),
        "self_attn.q_proj": (4096, 4096),
        "self_attn.k_proj": (1024, 4096),
        "self_attn.v_proj": (1024, 4096),
        "self_attn.o_proj": (4096, 4096),
        "self_attn.q_norm": (128,),
        "self_attn.k_norm": (128,),
        "mlp.gate_proj": (12288, 4096),
        "mlp.up_proj": (12288, 4096),
        "mlp.down_proj": (4096, 12288),
    }
    for number in range(36):
        shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    return [
        FloatSource(
            name, shape, TensorEntry(name, "BF16", shape, Path("x"), 0, 2 * math.prod(shape))
        )
        for name, shape in shapes.items()
    ]


@pytest.mark.parametrize("prompt", PUBLISHED)
def test_the_formula_gives_the_published_memory_of_8b(prompt):
    made = architecture(QWEN3_8B)
    of_weights = weights(tensors_of_8b(), made).nbytes(Precision.BF16)
    tokens = prompt + WRITTEN
    kv = tokens * made.kv_bytes_per_token()
    assert PUBLISHED[prompt] - (of_weights + kv) / MIB == pytest.approx(CONSTANT, abs=1)
    # The cache of this program has spare room besides, less than one step of its growth.
    assert 0 <= made.cache_bytes(tokens) - kv < KV_STEP * made.kv_bytes_per_token()
