"""The lean forward with what only the first Qwen has: logn factors and another base.

Eagerly it is held to the goldens themselves (test_logits.py); here by steps of fixed shapes.
"""

from __future__ import annotations

import pytest
import torch

from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.helpers import NEVER, runner_of


@pytest.mark.parametrize("name", ["s-ntk-logn", "s-logn", "s-gptq1-int4"])
@pytest.mark.parametrize("length", [20, 100, 240])  # the length of training is 64
def test_steps_compute_what_the_module_does(first, started, name, length):
    module = runner_of(first(name), TransformersRunner)
    steps = LeanRunner(runner_of(first(name), TransformersRunner).module, graphs=True)
    ids = [17 + 31 * n % 400 for n in range(length)]
    caches = []
    for runner in (module, steps):
        caches.append(runner.new_cache(runner.rope_scale(length)))
        runner.prefill(caches[-1], ids, chunk=64, on_progress=lambda _: None, cancel=NEVER)
    other = steps.new_cache(1.0)  # of another scale, in turn
    steps.prefill(other, ids[:20], chunk=64, on_progress=lambda _: None, cancel=NEVER)
    for token in range(40, 64):
        row = steps.decode(caches[1], token, cancel=NEVER)
        wanted = module.decode(caches[0], token, cancel=NEVER)
        torch.testing.assert_close(row, wanted, atol=2e-4, rtol=2e-4)
        steps.decode(other, token, cancel=NEVER)
