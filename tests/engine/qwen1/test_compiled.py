"""The compiled decode step with what only the first Qwen has: logn factors and another base."""

from __future__ import annotations

import pytest
import torch

from tests.engine.helpers import NEVER
from tests.engine.test_compiled import greedy, pair


@pytest.mark.parametrize("tokens", [40, 300])  # below and above what the tiny model was trained to
def test_it_computes_what_the_module_does(first, code, tokens):
    compiled, module = pair(first("s-ntk-logn"), code)
    ids = [11 + 7 * n % 5000 for n in range(tokens)]
    scale = compiled.rope_scale(tokens)
    assert (scale > 1) == (tokens == 300)
    logits = []
    for runner in (compiled, module):
        cache = runner.new_cache(scale)
        runner.prefill(cache, ids, chunk=64, on_progress=lambda _: None, cancel=NEVER)
        for token in (90, 91, 92):
            found = runner.decode(cache, token, cancel=NEVER)
        logits.append(found.clone())
    torch.testing.assert_close(*logits, atol=1e-3, rtol=1e-3)
    assert greedy(compiled) == greedy(module)
