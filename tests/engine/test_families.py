"""Every Qwen text model of the installed transformers opens and answers as transformers does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.decode import Token
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.families import text_families
from qwen_desktop.engine.prompt import Prompt, build_prompt
from qwen_desktop.engine.sampling import Sampler, Sampling
from qwen_desktop.errors import Known
from tests.engine.checkpoints import FAMILY_SIZES, VISION_FAMILIES, edit_json
from tests.engine.helpers import (
    ask,
    chat,
    load,
    request,
    runner_of,
    steps_of,
    text_of,
    tokenizer_of,
    usage_of,
)

NEW = 64
HALF = {"dtype": torch.float16}
BRAIN = {"dtype": torch.bfloat16}
SHARDS = {"shards": True}
TIED = {"tie_word_embeddings": True}
BASE = {"template": None}

# Each family once, and every way of storing several times.
STORED = [
    ("qwen2", BRAIN | TIED),
    ("qwen2", HALF | SHARDS | BASE),
    ("qwen2_moe", BRAIN | SHARDS),
    ("qwen3", HALF | TIED | SHARDS),
    ("qwen3", BRAIN | BASE),
    ("qwen3_moe", HALF),
    ("qwen3_next", BRAIN | SHARDS),
    ("qwen3_5_text", HALF | TIED),
    ("qwen3_5_moe_text", SHARDS),
    ("qwen4_exp_text", BRAIN),
    ("qwen3_5", BRAIN | SHARDS | TIED),
    ("qwen3_5_moe", HALF),
    ("qwen4_exp", SHARDS),
]
STORED = [kind for kind in STORED if kind[0] in text_families()]


def own_ids(folder: Path, prompt: Prompt) -> list[int]:
    """What the decode loop gives after `prompt`, whatever ends answers."""
    runner = runner_of(folder)
    capabilities = runner.capabilities
    greedy = Sampler(Sampling(0.0), (), capabilities.device)
    steps = steps_of(runner, prompt, greedy, max_new_tokens=NEW)
    return [step.id for step in steps if isinstance(step, Token)]


def expected_ids(folder: Path, ids: tuple[int, ...]) -> list[int]:
    """What transformers' own generate() gives, with the class the checkpoint was made for."""
    sees = inspect(folder).family in VISION_FAMILIES
    made_for = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model = made_for.from_pretrained(folder, dtype=torch.float32).eval()
    output = model.generate(
        torch.tensor([ids]), max_new_tokens=NEW, do_sample=False, eos_token_id=[], pad_token_id=0
    )
    return output[0, len(ids) :].tolist()


def build_prompt_of(folder: Path) -> Prompt:
    tokenizer = tokenizer_of(folder)
    return build_prompt(tokenizer, chat("What is in the window?"), "", thinking=False)


def check(folder: Path) -> None:
    prompt = build_prompt_of(folder)
    expected = expected_ids(folder, prompt.ids)
    assert own_ids(folder, prompt) == expected
    assert len(set(expected)) > 3  # else equality says little


def test_all_families_are_tried():
    assert {family for family, _ in STORED} == text_families()
    assert set(FAMILY_SIZES) | set(VISION_FAMILIES) == text_families()


@pytest.mark.parametrize(("family", "options"), STORED, ids=str)
def test_greedy_ids_equal_generate(made, family, options):
    check(made(family, **options))


YARN = {"factor": 4.0, "original_max_position_embeddings": 16}
OLD_ROPES = {
    "theta alone": {"rope_theta": 5000.0},
    "yarn": {"rope_theta": 5000.0, "rope_scaling": {"rope_type": "yarn"} | YARN},
    "yarn by its first name": {"rope_theta": 5000.0, "rope_scaling": {"type": "yarn"} | YARN},
    "linear": {"rope_theta": 9e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "dynamic": {"rope_theta": 9e5, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
}
NEW_ROPES = {
    "theta alone": {"rope_type": "default", "rope_theta": 5000.0},
    "yarn": {"rope_type": "yarn", "rope_theta": 5000.0} | YARN,
    "linear": {"rope_type": "linear", "rope_theta": 9e5, "factor": 2.0},
}


@pytest.mark.parametrize("name", OLD_ROPES)
def test_the_old_way_to_write_positions(copied, name):
    folder = copied("qwen2" if "yarn" in name else "qwen3")
    edit_json(folder / "config.json", rope_parameters=None, **OLD_ROPES[name])
    check(folder)


@pytest.mark.parametrize("name", NEW_ROPES)
def test_the_new_way_to_write_positions(copied, name):
    folder = copied("qwen3")
    edit_json(folder / "config.json", rope_parameters=NEW_ROPES[name])
    check(folder)


def test_the_two_ways_mean_the_same(copied):
    folder = copied("qwen2")
    prompt = build_prompt_of(folder)
    edit_json(folder / "config.json", rope_parameters=NEW_ROPES["yarn"])
    new = own_ids(folder, prompt)
    edit_json(folder / "config.json", rope_parameters=None, **OLD_ROPES["yarn"])
    assert own_ids(folder, prompt) == new
    edit_json(folder / "config.json", rope_parameters=None, rope_scaling=None)
    assert own_ids(folder, prompt) != new


@pytest.mark.parametrize("family", VISION_FAMILIES)
def test_of_a_model_that_sees_the_text_side_is_read(made, family):
    folder = made(family, shards=True)
    found = inspect(folder)
    assert any("visual" in name for name in found.tensors)
    assert any(name.startswith("mtp.") for name in found.tensors)
    engine = Engine()
    told = load(engine, folder)
    assert told[-1].stage != "reading"
    text = sum(
        entry.nbytes
        for name, entry in found.tensors.items()
        if "visual" not in name and not name.startswith("mtp.")
    )
    assert max(event.total for event in told if event.stage == "reading") == text
    assert text_of(ask(engine, request("hello")))


@pytest.mark.parametrize("family", ["qwen2", "qwen3_5_text"])
def test_a_base_model_completes(made, family):
    engine = Engine()
    load(engine, made(family, template=None))
    assert not engine.info.has_chat_template
    assert not engine.info.can_think
    events = ask(engine, request("Once upon a time", max_new_tokens=5))
    assert text_of(events)
    assert usage_of(events).stats.prompt_tokens == len(
        tokenizer_of(made(family, template=None)).encode("Once upon a time")
    )


@pytest.mark.parametrize(
    ("family", "sentence"),
    [
        ("qwen2_vl", "for images or sound"),
        ("qwen2_5_vl", "for images or sound"),
        ("qwen3_vl_moe", "for images or sound"),
        ("qwen3_vl_text", "for images or sound"),
        ("qwen2_audio", "for images or sound"),
        ("qwen2_5_omni", "for images or sound"),
        ("qwen3_omni_moe", "for images or sound"),
        ("qwen7_omni", "for images or sound"),
        ("qwen7", "cannot be run by this version"),
        ("gemma3", "no Qwen"),
    ],
)
def test_what_has_no_text_model_of_its_own_is_refused(copied, family, sentence):
    folder = copied("qwen2")
    config = json.loads((folder / "config.json").read_text()) | {"model_type": family}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(Known, match=sentence):
        inspect(folder)
