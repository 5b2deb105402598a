"""What eager attention takes is what the study plans for it, by torch's own bookkeeping."""

from __future__ import annotations

import gc

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.study_plan import eager
from tests.engine.test_activations import KERNEL, SHAPES, runner_of

MIB = 2**20


def peak_of_eager(model, tokens: int) -> int:
    """Bytes of all tensors at the highest of one forward, as torch's allocator counted."""
    model.set_attn_implementation("eager")
    gc.collect()
    ids = torch.full((1, tokens), 7)
    with (
        torch.inference_mode(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled,
    ):
        model(input_ids=ids, use_cache=False)
    events = profiled.profiler.kineto_results.events()
    held = highest = 0
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    for _, change in sorted(changes):
        held += change
        highest = max(highest, held)
    return highest


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_peak_of_eager_attention_is_the_planned_one(shape: str, dtype: torch.dtype):
    model = runner_of(shape, dtype, KvFormat.MODEL).module
    made = architecture(model.config.to_dict())
    for tokens in (64, 512, 1024):
        peak = peak_of_eager(model, tokens)
        planned = eager(made, tokens, dtype.itemsize, on_cpu=True)
        assert peak <= planned * 1.05 + KERNEL, f"{tokens} tokens"
        assert planned <= peak * 1.25 + KERNEL, f"{tokens} tokens"
