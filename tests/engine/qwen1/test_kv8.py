"""8-bit keys and values under the logn factors and the bases of the first Qwen."""

from __future__ import annotations

import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from tests.engine.helpers import NEVER
from tests.engine.qwen1.test_ntk import LENGTH, tokens
from tests.engine.test_kv8 import runner_with


def test_logits_are_close_to_those_of_the_model(first):
    folder = first("s-gptq1-int8")  # heads 32 wide, a small vocabulary
    plain, coded = (runner_with(folder, kv, Precision.FP32) for kv in KvFormat)
    for count in (20, LENGTH, 3 * LENGTH):
        logits, sizes = [], []
        for runner in (plain, coded):
            cache = runner.new_cache(runner.rope_scale(count))
            logits.append(
                runner.prefill(
                    cache, tokens(count), chunk=16, on_progress=lambda _: None, cancel=NEVER
                )
            )
            sizes.append(cache.nbytes)
        assert torch.cosine_similarity(*logits, dim=0) > 0.999
        assert (logits[0] - logits[1]).abs().max() < 0.2 * logits[0].std()
        assert sizes[1] == sizes[0] * 17 / 64
