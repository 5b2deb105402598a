"""The numbers foretold from headers and config.json are those of the model that is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.architecture import architecture, family_name
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.doctor import examine
from qwen_desktop.engine.placement import model_of
from qwen_desktop.engine.spread import bytes_by_device
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.checkpoints import FAMILY_SIZES, edit_json
from tests.engine.helpers import NEVER

CHOICES = [precision for precision in Precision if precision is not Precision.AUTO]


def planned(folder: Path, precision: Precision = Precision.FP32) -> loader.Plan:
    return loader.plan(inspect(folder), LoadRequest(folder, precision, "cpu"))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILY_SIZES)
def test_parameters_are_those_of_the_model(made, family, tied):
    folder = made(family, tie_word_embeddings=tied)
    facts = examine(folder).facts
    plan = planned(folder)
    assert facts.parameters == plan.parameters
    assert (facts.active_parameters < facts.parameters) == bool(facts.experts)
    config = plan.config.get_text_config(decoder=True)
    assert facts.layers == config.num_hidden_layers
    assert (facts.heads, facts.kv_heads) == (4, 2)
    assert facts.context_length == config.max_position_embeddings == 512
    assert facts.vocabulary == config.vocab_size


@pytest.mark.parametrize("precision", CHOICES)
@pytest.mark.parametrize("family", FAMILY_SIZES)
def test_weights_take_what_was_foretold(made, family, precision):
    folder = made(family)
    plan = planned(folder, precision)
    assert plan.placing.weights == plan.nbytes
    model = loader.load(plan, NEVER, lambda _: None)
    buffers = sum(b.numel() * b.element_size() for b in model.buffers())
    assert bytes_by_device(model)["cpu"] - buffers == plan.placing.weights


@pytest.mark.parametrize(
    ("family", "options"),
    [
        *((family, {}) for family in FAMILY_SIZES),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}),
    ],
)
def test_the_cache_grows_as_foretold(made, family, options):
    folder = made(family, dtype=torch.bfloat16, **options)
    made_of = architecture(inspect(folder).config)
    plan = planned(folder, Precision.BF16)
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None))
    assert runner.capabilities.kv_bytes_per_token == made_of.kv_bytes_per_token()
    cache = runner.new_cache()
    sizes = []
    for _ in range(2):
        runner.prefill(cache, [1] * 256, chunk=64, on_progress=lambda _: None, cancel=NEVER)
        sizes.append(cache.nbytes)
    assert sizes[1] - sizes[0] == 256 * made_of.kv_bytes_per_token()
    foretold = sum(made_of.layer_cache_bytes(layer, 512) for layer in range(made_of.layers))
    assert sizes[1] == pytest.approx(foretold, rel=0.03)  # small states of single layers


def as_vision(folder: Path) -> None:
    """The layout of a vision checkpoint: a nested text configuration, eyes and a spare head."""
    shard = folder / "model.safetensors"
    tensors = load_file(shard)
    moved = {n.replace("model.", "model.language_model.", 1): t for n, t in tensors.items()}
    moved["model.visual.patch_embed.proj.weight"] = torch.zeros(1000)
    moved["mtp.fc.weight"] = torch.zeros(1000)
    save_file(moved, shard, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    outer = {
        "model_type": "qwen3_5",
        "text_config": config,
        "vision_config": {"model_type": "qwen3_5"},
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(outer))


def test_eyes_do_not_count(copied, made):
    text = examine(made("qwen3_5_text")).facts
    folder = copied("qwen3_5_text")
    as_vision(folder)
    facts = examine(folder).facts
    assert facts.parameters == text.parameters == planned(folder).parameters
    assert facts.stored_bytes == text.stored_bytes + 8000
    assert (facts.layers, facts.family_name) == (text.layers, "Qwen3.5")


def test_what_config_leaves_out_is_as_in_transformers(copied):
    """qwen3's head_dim is 128 by default, however wide the model."""
    folder = copied("qwen3_5_text")
    edit_json(folder / "config.json", layer_types=None, full_attention_interval=2)
    kinds = architecture(inspect(folder).config).layer_kinds
    assert kinds == ("linear_attention", "full_attention") * 2
    config = {"model_type": "qwen3", "num_hidden_layers": 1, "hidden_size": 64}
    assert architecture(config).head_dim == 128
    assert architecture(config).kv_heads == 32
    assert architecture(config | {"num_key_value_heads": None}).kv_heads == 32
    assert architecture(config | {"model_type": "qwen2"}).head_dim == 2


@pytest.mark.parametrize(
    "nonsense",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": "wide"},
        {"vocab_size": -1},
        {"num_attention_heads": None},
        {"num_key_value_heads": 2.5},
    ],
)
def test_nonsense_is_a_value_error(nonsense):
    good = {"model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 64}
    assert architecture(good).layers == 2
    with pytest.raises(ValueError):
        architecture(good | nonsense)


def test_the_first_qwen_counts_in_another_way():
    config = {
        "model_type": "qwen",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "kv_channels": 128,
        "intermediate_size": 22016,
        "seq_length": 8192,
        "max_position_embeddings": 32768,
        "vocab_size": 151936,
    }
    found = architecture(config)
    assert (found.kv_heads, found.head_dim, found.intermediate_size) == (32, 128, 11008)
    assert found.kv_bytes_per_token() == 2 * 32 * 32 * 128 * 2
    assert found.context_length == 32767  # where the original's table of logn factors ends


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("qwen", "Qwen1"),
        ("qwen2", "Qwen2"),
        ("qwen2_moe", "Qwen2 MoE"),
        ("qwen3_next", "Qwen3-Next"),
        ("qwen3_5_moe_text", "Qwen3.5 MoE"),
        ("qwen9_turbo", "Qwen9 Turbo"),
    ],
)
def test_names_for_people(family, name):
    assert family_name(family) == name


def test_active_parameters_of_a_mixture(made):
    folder = made("qwen3_moe")
    weights = model_of(inspect(folder)).weights
    expert = 3 * 32 * 16  # three matrices
    assert weights.parameters - weights.active == 2 * 2 * expert  # 2 of 4 experts rest, 2 layers


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_yarn_as_the_instructions_say_reaches_further(copied, key):
    """They add an entry to config.json and leave max_position_embeddings as it is."""
    folder = copied("qwen3")
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    theta = json.loads((folder / "config.json").read_text())["rope_parameters"]
    changes = {"rope_parameters": None, key: theta | yarn | {"rope_type": "yarn"}}
    edit_json(folder / "config.json", **changes)
    report = examine(folder)
    assert report.facts.context_length == 2048
    (finding,) = report.findings
    assert "from 512 to 2048 tokens" in finding.report.text()
    runner = TransformersRunner(loader.load(planned(folder), NEVER, lambda _: None))
    assert runner.capabilities.context_length == 2048


@pytest.mark.parametrize(
    "wrong", [{"factor": 1e9}, {"factor": "4"}, {"factor": 0.1}, {"rope_type": "default"}]
)
def test_a_context_is_not_stretched_by_nonsense(wrong):
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    config = {"model_type": "qwen3", "max_position_embeddings": 40960}
    assert architecture(config | {"rope_scaling": yarn}).context_length == 131072
    assert architecture(config | {"rope_scaling": yarn | wrong}).context_length == 40960
