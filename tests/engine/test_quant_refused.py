"""Quantised folders that cannot be right: one sentence each, before anything is closed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from qwen_desktop.errors import Known
from tests.engine.checkpoints import edit_json, make_checkpoint
from tests.engine.helpers import ask, load, request, text_of
from tests.engine.quantised import WIDE, Scheme, in_fp8, quantised

Q = "model.layers.1.self_attn.q_proj"
UP = "model.layers.0.mlp.up_proj"


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[Path], Path]]:
    floats = make_checkpoint(tmp_path_factory.mktemp("floats"), "qwen3", **WIDE)

    def of(scheme: Scheme) -> Callable[[Path], Path]:
        return lambda folder: quantised(floats, folder, scheme)[0]

    return {
        "gptq": of(Scheme(extra_bias=True)),
        "act": of(Scheme(desc_act=True)),
        "awq": of(Scheme(method="awq", sym=False)),
        "fp8": lambda folder: in_fp8(floats, folder, (48, 32))[0],
    }


def tensors(**changes: Callable[[torch.Tensor], torch.Tensor] | None):
    """Change or remove (None) tensors by the last words of their names, "q_proj_g_idx"."""

    def change(folder: Path) -> None:
        shard = folder / "model.safetensors"
        found = load_file(shard)
        for name, edit in changes.items():
            module, _, part = name.partition("__")
            key = f"{Q if module == 'q' else UP}.{part}"
            tensor = found.pop(key)
            if edit is not None:
                found[key] = edit(tensor).contiguous()
        save_file(found, shard, metadata={"format": "pt"})

    return change


def config(**changes: object):
    def change(folder: Path) -> None:
        path = folder / "config.json"
        how = json.loads(path.read_text())["quantization_config"] | changes
        edit_json(path, quantization_config={k: v for k, v in how.items() if v is not None})

    return change


def plain(folder: Path) -> None:
    edit_json(folder / "config.json", quantization_config=None)


def one_set(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[-1] = value
        return tensor

    return change


CASES = {
    "no zeros": ("gptq", tensors(q__qzeros=None), "incomplete: no qzeros"),
    "no scales": ("awq", tensors(q__scales=None), "incomplete: no scales"),
    "no codes": ("gptq", tensors(q__qweight=None), f"{Q} is incomplete: no qweight"),
    "codes cut": ("gptq", tensors(q__qweight=lambda t: t[:-1]), "not quantised as said (gptq)"),
    "codes of another model": (
        "gptq",
        tensors(
            q__qweight=lambda t: t[:4],
            q__qzeros=lambda t: t[:1],
            q__scales=lambda t: t[:1],
            q__g_idx=lambda t: t[:32],
        ),
        f"weight {Q}.weight does not have the shape",
    ),
    "codes of another type": ("gptq", tensors(q__qweight=lambda t: t.long()), "as said (gptq)"),
    "one more group": ("gptq", tensors(q__scales=lambda t: torch.cat((t, t))), "as said (gptq)"),
    "other bits": ("gptq", config(bits=8), "is not quantised as said (gptq)"),
    "other groups": ("gptq", config(group_size=64), "is not quantised as said (gptq)"),
    "bits that nobody packs so": ("gptq", config(bits=3), "cannot be read: gptq, 3 bit"),
    "bits as a word": ("gptq", config(bits="4"), "does not say how"),
    "no bits": ("gptq", config(bits=None), "does not say how"),
    "no group": ("gptq", config(group_size=0), "does not say how"),
    "another layout": ("gptq", config(checkpoint_format="marlin"), "cannot be read: gptq, marlin"),
    "AWQ's other layout": ("awq", config(version="gemv"), "cannot be read: awq, gemv"),
    "GPTQ, it says": ("awq", config(quant_method="gptq"), "is not quantised as said (gptq)"),
    "AWQ, it says": ("gptq", config(quant_method="awq"), "is not quantised as said (awq)"),
    "FP8, it says": ("gptq", config(quant_method="fp8"), "is not quantised as said (fp8)"),
    "an unknown method": ("gptq", config(quant_method="exl2"), "this way cannot be read: exl2"),
    "a list for a method": ("gptq", config(quant_method=[]), "this way cannot be read: []"),
    "not a word of it": ("gptq", plain, "config.json does not say how"),
    "not a word of FP8": ("fp8", plain, "config.json does not say how"),
    "GPTQ, FP8 says": ("fp8", config(quant_method="gptq", bits=4), "as said (gptq)"),
    "a group that is not there": ("act", tensors(q__g_idx=one_set(7)), "impossible values"),
    "a group below zero": ("act", tensors(q__g_idx=one_set(-1)), "impossible values"),
    "groups of different sizes": (
        "act",
        tensors(q__g_idx=lambda t: torch.zeros_like(t)),
        "impossible values",
    ),
    "a scale that is no number": ("gptq", tensors(up__scales=one_set(torch.nan)), "impossible"),
    "an endless scale": ("awq", tensors(up__scales=one_set(torch.inf)), "impossible values"),
    "a bias that would be lost": (
        "gptq",
        tensors(q__bias=one_set(0.5)),
        f"{Q}.bias has impossible values",
    ),
    "FP8 without scales": ("fp8", tensors(up__weight_scale_inv=None), "no weight_scale_inv"),
    "FP8 scales cut": (
        "fp8",
        tensors(up__weight_scale_inv=lambda t: t[:, :-1]),
        "not quantised as said (fp8)",
    ),
    "FP8 scales that are no numbers": (
        "fp8",
        tensors(up__weight_scale_inv=one_set(torch.nan)),
        "impossible values",
    ),
    "FP8 in other blocks": ("fp8", config(weight_block_size=[16, 16]), "as said (fp8)"),
    "FP8 in blocks of nothing": ("fp8", config(weight_block_size=[0, 16]), "does not say how"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence(makers, opened, tmp_path, name):
    kind, damage, sentence = CASES[name]
    engine = opened("qwen2")
    before = text_of(ask(engine, request("hello")))
    folder = makers[kind](tmp_path)
    damage(folder)
    with pytest.raises(Known) as refused:
        load(engine, folder)
    report = refused.value.report()
    assert sentence in report.text()
    assert report.remedy
    assert text_of(ask(engine, request("hello", conversation="again"))) == before


def test_without_damage_they_open(makers, engine, tmp_path):
    for kind, make in makers.items():
        load(engine, make(tmp_path / kind))
        assert text_of(ask(engine, request("hello")))
