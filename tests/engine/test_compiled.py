"""The compiled decode step computes what the module of transformers does, on the same cache."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.cpu import start
from qwen_desktop.engine.cpu.runner import compiled_runner
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled
from tests.engine.helpers import NEVER

if start.why_not_here():
    pytest.skip(f"no compiled code here: {start.why_not_here()}", allow_module_level=True)

IDS = [7 + 13 * n % 250 for n in range(37)]


def pair(folder, code, precision=Precision.FP32, threads=2):
    """The compiled runner and the module's, of one model."""
    plan = loader.plan(inspect(folder), LoadRequest(folder, precision=precision, placement="cpu"))
    model = loader.load(plan, NEVER, lambda _: None)
    torch.set_num_threads(threads)  # which it keeps to
    compiled = compiled_runner(model, KvFormat.MODEL, code)
    assert compiled is not None
    assert compiled.wait()
    return compiled, TransformersRunner(model)


def filled(runner, ids=IDS):
    cache = runner.new_cache(runner.rope_scale(len(ids)))
    logits = runner.prefill(cache, ids, chunk=16, on_progress=lambda _: None, cancel=NEVER)
    return cache, logits


def greedy(runner, count=24):
    cache, logits = filled(runner)
    ids = []
    for _ in range(count):
        ids.append(int(logits.argmax()))
        logits = runner.decode(cache, ids[-1], cancel=NEVER)
    return ids


@pytest.fixture(scope="module", params=["qwen2", "qwen3"])
def both(request, made, code):
    return pair(made(request.param), code)


def test_logits_and_greedy_ids_are_the_modules(both):
    compiled, module = both
    assert greedy(compiled) == greedy(module)
    cache, _ = filled(compiled)
    other, _ = filled(module)
    for token in (3, 90, 200):
        ours = compiled.decode(cache, token, cancel=NEVER)
        wanted = module.decode(other, token, cancel=NEVER)
        torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)
    assert cache.length == other.length == len(IDS) + 3
    for ours, wanted in zip(cache.inner.layers, other.inner.layers, strict=True):
        torch.testing.assert_close(ours.keys, wanted.keys, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours.values, wanted.values, atol=1e-4, rtol=1e-4)


def test_a_cache_goes_from_one_to_the_other_and_back(both):
    compiled, module = both
    cache, _ = filled(compiled)
    compiled.decode(cache, 5, cancel=NEVER)
    module.decode(cache, 6, cancel=NEVER)
    cache.crop(len(IDS))
    ours = compiled.decode(cache, 9, cancel=NEVER).clone()
    torch.testing.assert_close(ours, filled(module, [*IDS, 9])[1], atol=1e-4, rtol=1e-4)


def test_rooms_grow_on_the_way(both):
    compiled, module = both
    ids = [11 + n % 200 for n in range(255)]
    cache, _ = filled(compiled, ids)
    for token in (20, 21, 22):
        ours = compiled.decode(cache, token, cancel=NEVER)
    wanted = filled(module, [*ids, 20, 21, 22])[1]
    torch.testing.assert_close(ours, wanted, atol=2e-4, rtol=2e-4)


def test_a_cancelled_step_leaves_the_cache_as_it_was(both):
    compiled, _ = both
    cache, _ = filled(compiled)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        compiled.decode(cache, 5, cancel=cancel)
    assert cache.length == len(IDS)


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16, Precision.INT8])
def test_other_kinds_of_weights(made, code, precision):
    """Against the same weights in float32, which 16-bit arithmetic of torch is further from."""
    sizes = {"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4}
    compiled, module = pair(made("qwen2", **sizes), code, precision)
    cache, _ = filled(compiled)
    ours = compiled.decode(cache, 40, cancel=NEVER).clone()
    cache.crop(len(IDS))
    theirs = module.decode(cache, 40, cancel=NEVER)
    cache.crop(len(IDS))
    exact = module.module.float()
    for layer in cache.inner.layers:
        layer.dtype = torch.float32
    with torch.inference_mode():
        whole = exact(torch.tensor([[*IDS, 40]])).logits[0, -1]
    assert (ours - whole).abs().max() <= 2 * (theirs - whole).abs().max() + 1e-3
    assert torch.nn.functional.cosine_similarity(ours, whole, dim=0) > 0.999


def test_what_it_cannot_run_is_left_to_the_module(made, code):
    for family, options in (("qwen3_moe", {}), ("qwen3_5_text", {})):
        folder = made(family, **options)
        plan = loader.plan(inspect(folder), LoadRequest(folder, placement="cpu"))
        model = loader.load(plan, NEVER, lambda _: None)
        assert compiled_runner(model, KvFormat.MODEL, code) is None
    folder = made("qwen2")
    plan = loader.plan(inspect(folder), LoadRequest(folder, placement="cpu"))
    model = loader.load(plan, NEVER, lambda _: None)
    assert compiled_runner(model, KvFormat.INT8, code) is None


def test_compiled_code_is_found_again(made, code):
    folder = made("qwen2")
    compiled, _ = pair(folder, code)
    assert start.is_compiled(code, compiled._variant)
    again, _ = pair(folder, code)
    assert again._compiling is None
    assert "compiled" in again.capabilities.name
    assert np.isfinite(greedy(again)).all()


_ASKED = """
import sys
from pathlib import Path
import torch
from tests.engine.test_compiled import greedy, pair
compiled, _ = pair(Path(sys.argv[1]), Path(sys.argv[2]), threads=1)
before = torch.get_num_threads(), compiled._step._threads
greedy(compiled, 3)
print(*before, torch.get_num_threads())
"""


def test_torch_keeps_to_the_threads_it_was_given(made, code):
    """Numba's threads begin once in a process."""
    folder = made("qwen2")
    pair(folder, code)
    asked = [sys.executable, "-c", _ASKED, str(folder), str(code)]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    environment.pop("OMP_NUM_THREADS", None)
    run = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["1", "1", "1"], run.stderr


def test_code_of_other_versions_is_removed_and_ours_stays(made, code):
    compiled, _ = pair(made("qwen2"), code)
    other = code / "0123456789abcdef"
    other.mkdir()
    (other / "step.nbi").write_bytes(b"old")
    start.forget_others(code)
    assert not other.exists()
    assert start.is_compiled(code, compiled._variant)
