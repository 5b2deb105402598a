"""YaRN: where it is offered, what it makes of config.json, and that answers are transformers'."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.runner import CacheFileError
from qwen_desktop.engine.stretch import FACTORS, rope_factors, stretched_config, trained_length
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Known
from tests.engine.checkpoints import FAMILY_SIZES, edit_json
from tests.engine.helpers import NEVER, ask, load, request, text_of

QWEN3 = {"model_type": "qwen3", "max_position_embeddings": 40_960, "rope_theta": 1e6}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}


def stretched_runner(folder, factor: float) -> TransformersRunner:
    asked = LoadRequest(folder, Precision.FP32, "cpu", rope_factor=factor)
    plan = loader.plan(inspect(folder), asked)
    return TransformersRunner(loader.load(plan, NEVER, lambda _: None))


@pytest.mark.parametrize(
    ("change", "offered"),
    [
        ({}, True),
        ({"model_type": "qwen2"}, True),
        ({"rope_scaling": None}, True),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, True),
        ({"rope_scaling": YARN}, False),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, False),
        ({"rope_parameters": {"rope_type": "default", "factor": 2.0}}, False),
        ({"rope_parameters": "yarn"}, False),
        ({"use_sliding_window": True}, False),
        ({"text_config": {}}, False),
        ({"model_type": "qwen"}, False),
        ({"model_type": "qwen3_5_text"}, False),
        ({"max_position_embeddings": "many"}, False),
        ({"max_position_embeddings": 0}, False),
    ],
    ids=str,
)
def test_where_it_is_offered(change, offered):
    config = QWEN3 | change
    assert rope_factors(config) == ((1.0, *FACTORS) if offered else (1.0,))
    assert stretched_config(config, 1.0) == config
    for factor in (2.0, 3.0, 4.0, 0.5):
        if not offered or factor not in FACTORS:
            with pytest.raises(ValueError):
                stretched_config(config, factor)


def test_qwen3_was_trained_with_less_than_its_window():
    made = stretched_config(QWEN3, 4.0)
    assert made["rope_parameters"] == YARN
    assert made["max_position_embeddings"] == 40_960
    assert architecture(made).context_length == 131_072
    assert architecture(stretched_config(QWEN3, 2.0)).context_length == 65_536
    assert trained_length(QWEN3 | {"max_position_embeddings": 262_144}) == 262_144
    assert trained_length(QWEN3 | {"model_type": "qwen2"}) == 40_960


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
@pytest.mark.parametrize("factor", FACTORS)
def test_the_base_of_the_angles_stays(copied, family, old, factor):
    """Old folders have rope_theta beside, not in, what is replaced."""
    folder = copied(family, rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    if old:
        edit_json(folder / "config.json", rope_parameters=None, rope_theta=5e5)
    runner = stretched_runner(folder, factor)
    rotary = runner.module.get_decoder().rotary_emb
    assert runner.capabilities.context_length == 512 * factor
    assert rotary.config.rope_parameters["rope_theta"] == 5e5
    width = 2 * rotary.inv_freq.shape[0]
    plain = 5e5 ** -(torch.arange(0, width, 2) / width)
    # YaRN keeps the quickest angles and slows the slowest ones down by the whole factor.
    assert rotary.inv_freq[0] == pytest.approx(float(plain[0]))
    assert rotary.inv_freq[-1] * factor == pytest.approx(float(plain[-1]))
    assert rotary.attention_scaling == pytest.approx(0.1 * torch.tensor(factor).log().item() + 1)


@pytest.mark.parametrize("family", ["qwen2", "qwen2_moe", "qwen3", "qwen3_moe"])
def test_greedy_ids_are_those_of_generate(made, family):
    if family not in FAMILY_SIZES:
        pytest.skip(f"{family} is not in this transformers")
    folder = made(family, max_position_embeddings=64)
    ids = [40 + i * 7 % 60 for i in range(100)]  # beyond the length of training
    runner = stretched_runner(folder, 4.0)
    cache, mine = runner.new_cache(), []
    logits = runner.prefill(cache, ids, chunk=16, on_progress=lambda _: None, cancel=NEVER)
    for _ in range(20):
        mine.append(int(logits.argmax()))
        logits = runner.decode(cache, mine[-1], cancel=NEVER)

    config = AutoConfig.from_pretrained(folder)
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    config.rope_parameters = dict(config.rope_parameters) | rope
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    expected = model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False)
    assert mine == expected[0, len(ids) :].tolist()


def test_an_opened_checkpoint_tells_its_stretch(made, engine):
    folder = made("qwen3", max_position_embeddings=64)
    load(engine, folder)
    assert (engine.info.rope_factor, engine.info.context_length) == (1.0, 64)
    plain = engine.info.fingerprint
    load(engine, folder, rope_factor=2.0)
    assert (engine.info.rope_factor, engine.info.context_length) == (2.0, 128)
    assert engine.info.fingerprint == plain  # of the files, whatever is made of them
    assert ("rope_parameters.rope_type", "yarn") in engine.card().config
    assert text_of(ask(engine, request("hello " * 9, max_new_tokens=8)))


@pytest.mark.parametrize("factor", [3.0, 8.0, 0.5, -1.0, float("nan")])
def test_a_stretch_that_is_not_offered_is_refused(opened, made, factor):
    engine = opened("qwen2")
    wanted = LoadRequest(made("qwen3"), rope_factor=factor)
    with pytest.raises(Known, match=r"cannot be stretched"):
        engine.load(wanted, threading.Event(), lambda _: None)
    assert engine.info.family == "qwen2"


def test_a_folder_that_stretches_by_itself_is_not_stretched_again(copied, engine):
    folder = copied("qwen3")
    theta = json.loads((folder / "config.json").read_text())["rope_parameters"]
    own = theta | {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
    edit_json(folder / "config.json", rope_parameters=own)
    load(engine, folder)
    with pytest.raises(Known, match="cannot be stretched 2 times"):
        load(engine, folder, rope_factor=2.0)


def test_keys_of_another_stretch_are_of_no_use(made, tmp_path):
    plain, stretched = (stretched_runner(made("qwen3"), factor) for factor in (1.0, 2.0))
    cache = plain.new_cache()
    plain.prefill(cache, [50, 51, 52], chunk=8, on_progress=lambda _: None, cancel=NEVER)
    cache.save(tmp_path / "kv")
    with pytest.raises(CacheFileError):
        stretched.new_cache().load(tmp_path / "kv")
