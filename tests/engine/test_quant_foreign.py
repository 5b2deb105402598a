"""Folders of bitsandbytes and compressed-tensors: with their packages, and without."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Known
from tests.engine.checkpoints import edit_json, make_checkpoint
from tests.engine.helpers import NEVER, ask, load, request, text_of
from tests.engine.quantised import MATRIX, WIDE


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is not installed"
    )


def ready(folder: Path) -> torch.Tensor:
    """The logits of `folder` opened as the program does."""
    plan = loader.plan(inspect(folder), LoadRequest(folder, placement="cpu"))
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None))
    options = {"chunk": 64, "on_progress": lambda _: None, "cancel": NEVER}
    return runner.prefill(runner.new_cache(), list(range(3, 23)), **options)


@needs("bitsandbytes")
@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes(tmp_path, engine, bits):
    folder = make_checkpoint(tmp_path, "qwen3", dtype=torch.bfloat16, **WIDE)
    how = {4: {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, 8: {"load_in_8bit": True}}
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(**how[bits]), dtype=torch.bfloat16
    )
    with torch.inference_mode():
        expected = model(torch.arange(3, 23)[None]).logits[0, -1].float()
    model.save_pretrained(folder)
    found = ready(folder)
    assert torch.cosine_similarity(found, expected, dim=0) > 0.999
    load(engine, folder)
    assert engine.info.dtype == "bitsandbytes"
    assert text_of(ask(engine, request("hello")))


@needs("compressed_tensors")
@pytest.mark.parametrize("bits", [4, 8])
def test_compressed_tensors(tmp_path, engine, bits):
    folder = compressed(make_checkpoint(tmp_path, "qwen3", dtype=torch.bfloat16, **WIDE), bits)
    plan = loader.plan(inspect(folder), LoadRequest(folder, placement="cpu"))
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None))
    assert runner.capabilities.weight_bytes == plan.nbytes  # floats, as foretold
    tensors = runner.module.state_dict()
    for name, tensor in load_file(folder / "floats" / "model.safetensors").items():
        assert torch.equal(tensors[name], tensor), name
    load(engine, folder)
    assert engine.info.dtype == "compressed-tensors"
    assert text_of(ask(engine, request("hello")))


def compressed(folder: Path, bits: int) -> Path:
    """Quantise `folder` in the ways of compressed-tensors; what it means is in "floats"."""
    stored, meant = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        stored[name] = meant[name] = weight
        if not MATRIX.search(name):
            continue
        prefix = name.removesuffix(".weight")
        top = 2 ** (bits - 1) - 1
        grouped = weight.float().view(len(weight), -1, 32 if bits == 4 else weight.shape[1])
        scale = (grouped.abs().amax(dim=2) / top).bfloat16()
        codes = (grouped / scale.float()[..., None]).round().clamp(-top - 1, top)
        meant[name] = (codes * scale.float()[..., None]).view_as(weight).bfloat16()
        codes = codes.view_as(weight).long()
        stored[f"{prefix}.weight_scale"] = scale
        if bits == 8:
            stored[name] = codes.to(torch.int8)
            continue
        del stored[name]
        words = torch.zeros(len(codes), codes.shape[1] // 8, dtype=torch.long)
        for i in range(8):
            words |= (codes[:, i::8] + 8) << 4 * i
        words = torch.where(words >= 2**31, words - 2**32, words)
        stored[f"{prefix}.weight_packed"] = words.to(torch.int32)
        stored[f"{prefix}.weight_shape"] = torch.tensor(weight.shape)
    (folder / "floats").mkdir()
    for target, tensors in ((folder, stored), (folder / "floats", meant)):
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    weights = {"num_bits": bits, "type": "int", "symmetric": True, "dynamic": False}
    weights |= {"strategy": "group", "group_size": 32} if bits == 4 else {"strategy": "channel"}
    how = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized" if bits == 4 else "int-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    edit_json(folder / "config.json", quantization_config=how)
    return folder


@pytest.mark.parametrize("method", ["bitsandbytes", "compressed-tensors"])
def test_a_missing_package_is_named(copied, engine, method, monkeypatch):
    module = method.replace("-", "_")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == module else found(name, *a)
    )
    folder = copied("qwen3")
    edit_json(folder / "config.json", quantization_config={"quant_method": method})
    sentence = f'{method} need a package.*pip install "qwen-desktop[{method}]"'
    with pytest.raises(Known, match=re.sub(r"([\[\]])", r"\\\1", sentence)):
        load(engine, folder)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(Known, match=r"need a package.*get a GPTQ") as caught:
        load(engine, folder)
    assert "[" not in caught.value.report().text()  # nothing can be installed into a package


@pytest.mark.parametrize("method", ["bitsandbytes", "compressed-tensors"])
def test_the_package_decides_on_the_precision(copied, engine, method, monkeypatch):
    monkeypatch.setattr("qwen_desktop.engine.checkpoint.require_extra", lambda _: None)
    folder = copied("qwen3")
    edit_json(folder / "config.json", quantization_config={"quant_method": method})
    with pytest.raises(Known, match="run in no other way"):
        load(engine, folder, precision=Precision.INT4)


def test_the_extras_are_those_that_are_named():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for method in ("bitsandbytes", "compressed-tensors"):
        assert json.dumps(method).strip('"') + " = [" in text
