"""What a forward takes for a moment is what is planned: compared with torch's own bookkeeping."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.activations import activations
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.helpers import NEVER

MIB = 2**20

COMMON = {"vocab_size": 2000, "max_position_embeddings": 8192, "tie_word_embeddings": True}
# Shapes of real models with a quarter or a half of their widths and few layers.
SHAPES = {
    "qwen2": {
        "hidden_size": 448,
        "intermediate_size": 2432,
        "num_hidden_layers": 2,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "qwen2 all heads": {
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
    },
    "qwen3": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
    },
    "qwen3_moe": {
        "hidden_size": 256,
        "moe_intermediate_size": 96,
        "num_experts": 32,
        "num_experts_per_tok": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 64,
    },
    "qwen3_5_text": {
        "hidden_size": 256,
        "intermediate_size": 896,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "linear_num_value_heads": 8,
        "linear_num_key_heads": 8,
        "linear_key_head_dim": 64,
        "linear_value_head_dim": 64,
    },
}
PIECES = [(64, 256), (256, 256), (1024, 256), (1500, 64)]  # tokens of the prompt, of a piece

# Not planned: buffers of the attention kernel, up to a quarter of a MiB for each thread.
KERNEL = MIB // 2


def runner_of(shape: str, dtype: torch.dtype, kv: KvFormat) -> TransformersRunner:
    config = CONFIG_MAPPING[shape.split()[0]](**COMMON, **SHAPES[shape])
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return TransformersRunner(model.eval(), kv)


def peak_of_prefill(runner: TransformersRunner, tokens: int, chunk: int) -> tuple[int, int]:
    """Bytes of all tensors at the highest, as torch's allocator counted; bytes of the cache."""
    cache, ids = runner.new_cache(), [7] * tokens
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        runner.prefill(cache, ids, chunk=chunk, on_progress=lambda _: None, cancel=NEVER)
    events = profiled.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = highest = 0
    for _, change in sorted(changes):
        held += change
        highest = max(highest, held)
    return highest, cache.nbytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kv", list(KvFormat))
@pytest.mark.parametrize("shape", SHAPES)
def test_the_peak_of_a_prefill_is_the_planned_one(shape: str, kv: KvFormat, dtype: torch.dtype):
    runner = runner_of(shape, dtype, kv)
    made = architecture(runner.module.config.to_dict())
    for tokens, chunk in PIECES:
        planned = activations(made, chunk, tokens, dtype.itemsize, kv, on_cpu=True)
        needed = 0
        for _ in range(3):  # on a busy machine the profiler's moments may come out of order
            peak, cache = peak_of_prefill(runner, tokens, chunk)
            assert cache == made.cache_bytes(tokens, dtype.itemsize, kv)
            needed = max(needed, peak - cache)
            if planned <= needed * 1.25 + KERNEL:
                break
        assert needed <= planned * 1.01 + KERNEL, f"{tokens} tokens in pieces of {chunk}"
        assert planned <= needed * 1.25 + KERNEL, f"{tokens} tokens in pieces of {chunk}"


@pytest.mark.parametrize("shape", SHAPES)
def test_cards_repeat_keys_and_values_where_heads_share_them(shape: str):
    config = CONFIG_MAPPING[shape.split()[0]](**COMMON, **SHAPES[shape])
    made = architecture(config.to_dict())
    extra = activations(made, 256, 4096, 2) - activations(made, 256, 4096, 2, on_cpu=True)
    grouped = made.kv_heads < made.heads
    assert (extra > 0) is grouped
    assert extra <= 4096 * 2 * made.heads * made.head_dim * 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kv", list(KvFormat))
def test_longer_pieces_and_contexts_never_take_less(shape: str, kv: KvFormat):
    config = CONFIG_MAPPING[shape.split()[0]](**COMMON, **SHAPES[shape])
    made = architecture(config.to_dict())
    sizes = [1, 16, 17, 64, 256, 1024]
    lengths = [2, 16, 255, 256, 257, 1000, 4096, 32768]
    for length in lengths:  # a piece that is all of the context needs no mask
        peaks = [activations(made, size, length, 2, kv) for size in sizes if size < length]
        assert peaks == sorted(peaks)
    for size in sizes:
        peaks = [activations(made, size, length, 2, kv) for length in lengths if size < length]
        assert peaks == sorted(peaks)
