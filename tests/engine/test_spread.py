"""A model over several devices. Where there is one device only, "cpu:0" and "meta" stand in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import Device, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.spread import bytes_by_device, layer_devices
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, runner_of

PROMPT = [5, 6, 7, 8, 9, 10, 11]


def over(folder: Path, *devices: str) -> loader.Plan:
    """A plan that gives each of `devices` its part of the layers, in order."""
    made = loader.plan(inspect(folder), LoadRequest(folder, Precision.FP32, "cpu"))
    (whole,) = made.placing.shares
    layers, shares = whole.last + 1, []
    for number, name in enumerate(devices):
        first, last = (layers * n // len(devices) for n in (number, number + 1))
        device = Device(name, name, 0, 0)
        shares.append(replace(whole, device=device, first=first, last=last - 1))
    return replace(made, placing=replace(made.placing, shares=tuple(shares)))


def greedy(runner: TransformersRunner, count: int = 12) -> list[int]:
    cache = runner.new_cache()
    logits = runner.prefill(cache, PROMPT, chunk=4, on_progress=lambda _: None, cancel=NEVER)
    found = []
    for _ in range(count):
        found.append(int(logits.argmax()))
        logits = runner.decode(cache, found[-1], cancel=NEVER)
    return found


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILY_SIZES)
def test_several_places_answer_as_one(made, family, tied):
    folder = made(family, tie_word_embeddings=tied)
    plan = over(folder, "cpu", "cpu:0")
    assert plan.places["model.layers.0"] == "cpu"
    assert plan.places["model.norm"] == "cpu:0"
    model = loader.load(plan, NEVER, lambda _: None)
    assert not any(hasattr(module, "_hf_hook") for module in model.modules())
    assert greedy(TransformersRunner(model)) == greedy(runner_of(folder))


# torch cannot work out a mixture of experts without data.
@pytest.mark.parametrize(
    "family", [name for name, sizes in FAMILY_SIZES.items() if "num_experts" not in sizes]
)
def test_states_go_to_the_layers_and_caches_stay_with_them(made, family):
    folder = made(family)
    model = loader.load(over(folder, "cpu", "meta"), NEVER, lambda _: None)
    devices = [device.type for device in layer_devices(model)]
    assert devices == sorted(devices)
    assert set(devices) == {"cpu", "meta"}
    assert model.lm_head.weight.device.type == "meta"
    runner = TransformersRunner(model)
    assert runner.capabilities.device.type == "cpu"
    cache = runner.new_cache()
    with torch.inference_mode():
        output = model(
            input_ids=torch.tensor([PROMPT]), past_key_values=cache.inner, use_cache=True
        )
    assert output.logits.device.type == "meta"
    for layer, device in zip(cache.inner.layers, devices, strict=True):
        held = getattr(layer, "key_room", None)
        if held is None:
            held = layer.recurrent_states[0]
        assert held.device.type == device
    sizes = bytes_by_device(model)
    assert sum(sizes.values()) == bytes_by_device(runner_of(folder).module)["cpu"]
    assert min(sizes.values()) > 0


def test_a_saved_cache_is_spread_again(made, tmp_path):
    folder = made("qwen3")
    runner = TransformersRunner(loader.load(over(folder, "cpu", "cpu:0"), NEVER, lambda _: None))
    cache = runner.new_cache()
    runner.prefill(cache, PROMPT, chunk=4, on_progress=lambda _: None, cancel=NEVER)
    cache.save(tmp_path / "kv")
    loaded = runner.new_cache()
    loaded.load(tmp_path / "kv")
    first, second = (runner.decode(c, 3, cancel=NEVER) for c in (cache, loaded))
    assert torch.equal(first, second)
