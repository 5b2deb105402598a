"""A config alone describes the model that its folder holds: compared with real tiny folders."""

from __future__ import annotations

import json

import pytest
import torch

from qwen_desktop.chat.catalogue import Kind, Offer, Stored
from qwen_desktop.chat.checkpoint import Device, Fit, Precision
from qwen_desktop.chat.hub import Hub, RepositoryName
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.described import described, outlook
from qwen_desktop.engine.gpus import Gpu, Machine
from qwen_desktop.engine.placement import contexts, model_of, plan
from tests.engine.checkpoints import FAMILY_SIZES, make_checkpoint
from tests.engine.quantised import in_fp8

G = 2**30
FAMILIES = [family for family in FAMILY_SIZES if not family.startswith("qwen4")]


def offer_of(config: dict, stored: Stored = Stored.BF16) -> Offer:
    name = RepositoryName("Qwen", "Tiny")
    return Offer("Tiny", "Qwen", Kind.GENERAL, stored, 1, 0, 0, "", {Hub.MODELSCOPE: name}, config)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [False, True])
def test_it_is_what_the_folder_is(tmp_path, family, tied) -> None:
    folder = make_checkpoint(
        tmp_path / "tiny", family, dtype=torch.bfloat16, tie_word_embeddings=tied
    )
    real = model_of(inspect(folder))
    made, stored = described(offer_of(json.loads((folder / "config.json").read_text())))
    assert made.architecture == real.architecture
    assert made.weights.parameters == real.weights.parameters
    assert made.weights.active == real.weights.active
    assert made.weights.tables == real.weights.tables
    for precision in (Precision.FP32, Precision.BF16, Precision.INT8):
        assert made.weights.nbytes(precision) == real.weights.nbytes(precision)
    for mine, its in zip(made.weights.layers, real.weights.layers, strict=True):
        assert mine.nbytes(Precision.INT4) == its.nbytes(Precision.INT4)
    assert stored == inspect(folder).weight_bytes


def test_eight_bit_floats_are_stored_as_in_the_folder(tmp_path) -> None:
    floats = make_checkpoint(
        tmp_path / "floats", "qwen3", dtype=torch.bfloat16, hidden_size=128, intermediate_size=192
    )
    folder, _ = in_fp8(floats, tmp_path / "fp8")
    checkpoint = inspect(folder)
    config = json.loads((folder / "config.json").read_text())
    made, _ = described(offer_of(config, Stored.FP8))
    real = model_of(checkpoint)
    assert made.weights.nbytes(Precision.BF16) == real.weights.nbytes(Precision.BF16)
    assert made.stored == real.stored


CONFIG = {
    "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 12288, "vocab_size": 151936, "max_position_embeddings": 40960,
}  # fmt: skip


def machine(ram: float, *cards: float) -> Machine:
    gpus = tuple(
        Gpu(Device(f"cuda:{n}", "Card", int(free * G), int(free * G)), (8, 9))
        for n, free in enumerate(cards)
    )
    return Machine(Device("cpu", "CPU", int(ram * G), int(ram * G)), gpus)


def test_the_longest_context_that_fits_is_that_of_the_fit_table() -> None:
    offer = offer_of(CONFIG)
    model, _ = described(offer)
    for room in (10, 17, 18, 20, 24, 64):
        here = machine(room)
        fitting = [
            context
            for context in contexts(40960)
            if plan(model, here, "auto", Precision.AUTO, context).fit is not Fit.NO
        ]
        found = outlook(offer, here)
        assert found.context == max(fitting, default=0)
        assert (found.fit is Fit.NO) is (not fitting)
        assert found.longest == 40960


def test_where_it_would_go() -> None:
    offer = offer_of(CONFIG)
    assert outlook(offer, machine(64, 40)).devices == ("cuda:0",)
    assert outlook(offer, machine(64)).devices == ("cpu",)
    assert outlook(offer, machine(64, 10)).devices == ("cuda:0", "cpu")
    assert outlook(offer_of({}), machine(64)).fit is None
