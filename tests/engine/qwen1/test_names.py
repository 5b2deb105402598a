"""Names and configuration of the first Qwen in the words of Qwen2."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.qwen1.facts import translated
from qwen_desktop.engine.qwen1.model import QwenConfig
from qwen_desktop.engine.qwen1.names import renamed
from qwen_desktop.engine.shards import TensorEntry

SMALL = {
    "model_type": "qwen", "seq_length": 2048, "max_position_embeddings": 8192,
    "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2,
    "num_attention_heads": 4, "layer_norm_epsilon": 1e-5, "rotary_emb_base": 1000000,
    "use_dynamic_ntk": True, "use_logn_attn": True, "kv_channels": 16, "vocab_size": 300,
}  # fmt: skip


def entry(name: str, *shape: int, dtype: str = "F16", size: int = 2) -> TensorEntry:
    count = 1
    for width in shape:
        count *= width
    return TensorEntry(name, dtype, shape, Path("model.safetensors"), 1000, count * size)


def test_plain_weights():
    layer, attention = "transformer.h.11.", "model.layers.11.self_attn."
    tensors = [
        entry("transformer.wte.weight", 300, 64),
        entry(f"{layer}ln_1.weight", 64),
        entry(f"{layer}attn.c_attn.weight", 192, 64),
        entry(f"{layer}attn.c_attn.bias", 192),
        entry(f"{layer}attn.c_proj.weight", 64, 64),
        entry(f"{layer}ln_2.weight", 64),
        entry(f"{layer}mlp.w1.weight", 96, 64),
        entry(f"{layer}mlp.w2.weight", 96, 64),
        entry(f"{layer}mlp.c_proj.weight", 64, 96),
        entry("transformer.ln_f.weight", 64),
        entry("lm_head.weight", 300, 64),
        # Left over from training, and what only a model of images or sound has.
        entry(f"{layer}attn.masked_bias", 1),
        entry(f"{layer}attn.bias", 1, 1, 8, 8),
        entry(f"{layer}attn.rotary_emb.inv_freq", 8),
        entry("transformer.rotary_emb.inv_freq", 8),
        entry("transformer.visual.conv1.weight", 8, 8),
        entry("transformer.audio.conv1.weight", 8, 8, 3),
    ]
    found = renamed({tensor.name: tensor for tensor in tensors})
    assert {name: tensor.shape for name, tensor in found.items()} == {
        "model.embed_tokens.weight": (300, 64),
        "model.layers.11.input_layernorm.weight": (64,),
        **{f"{attention}{which}_proj.weight": (64, 64) for which in "qkv"},
        **{f"{attention}{which}_proj.bias": (64,) for which in "qkv"},
        f"{attention}o_proj.weight": (64, 64),
        "model.layers.11.post_attention_layernorm.weight": (64,),
        "model.layers.11.mlp.up_proj.weight": (96, 64),
        "model.layers.11.mlp.gate_proj.weight": (96, 64),
        "model.layers.11.mlp.down_proj.weight": (64, 96),
        "model.norm.weight": (64,),
        "lm_head.weight": (300, 64),
    }
    assert all(name == tensor.name for name, tensor in found.items())
    starts = [found[f"{attention}{which}_proj.bias"].start for which in "qkv"]
    assert starts == [1000, 1000 + 128, 1000 + 256]


def test_quantised_attention():
    """Outputs lie along the second dimension of packed tensors; g_idx belongs to the inputs."""
    name, attention = "transformer.h.0.attn.c_attn", "model.layers.0.self_attn."
    tensors = [
        entry(f"{name}.qweight", 16, 384, dtype="I32", size=4),
        entry(f"{name}.qzeros", 1, 48, dtype="I32", size=4),
        entry(f"{name}.scales", 1, 384),
        entry(f"{name}.g_idx", 128, dtype="I32", size=4),
        entry(f"{name}.bias", 384),
    ]
    found = renamed({tensor.name: tensor for tensor in tensors})
    for which in "qkv":
        shapes = {
            kind: found[f"{attention}{which}_proj.{kind}"].shape
            for kind in ("qweight", "qzeros", "scales", "g_idx", "bias")
        }
        assert shapes == {
            "qweight": (16, 128), "qzeros": (1, 16), "scales": (1, 128), "g_idx": (128,),
            "bias": (128,),
        }  # fmt: skip
    assert len(found) == 15


@pytest.mark.parametrize("shape", [(191, 64), (2, 64), (0, 64), ()])
def test_attention_that_cannot_be_split_keeps_its_name(shape):
    tensor = entry("transformer.h.0.attn.c_attn.weight", *shape)
    assert renamed({tensor.name: tensor}) == {tensor.name: tensor}


def test_an_original_configuration():
    config = QwenConfig.from_dict(SMALL)
    assert (config.intermediate_size, config.num_key_value_heads) == (96, 4)
    assert config.rope_parameters["rope_theta"] == 1000000.0
    assert config.rms_norm_eps == 1e-5
    assert (config.seq_length, config.max_position_embeddings) == (2048, 8192)
    assert not config.tie_word_embeddings
    again = QwenConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("changes", "length", "limit"),
    [
        ({}, 2048, 8192),
        ({"seq_length": 8192}, 8192, 32767),  # where the original's table of factors ended
        ({"seq_length": 8192, "use_logn_attn": False}, 8192, 32768),
        ({"seq_length": 1024}, 1024, 8192),
        ({"use_dynamic_ntk": False}, 2048, 8192),
        ({"seq_length": None}, 8192, 32767),
        ({"seq_length": 32768, "max_position_embeddings": 32768, "use_dynamic_ntk": False,
          "use_logn_attn": False}, 32768, 32768),
    ],
)  # fmt: skip
def test_how_far_the_context_reaches(changes, length, limit):
    config = {key: v for key, v in {**SMALL, **changes}.items() if v is not None}
    found = QwenConfig.from_dict(config)
    assert (found.seq_length, found.max_position_embeddings) == (length, limit)


@pytest.mark.parametrize(
    "changes",
    [{"kv_channels": 8}, {"rotary_pct": 0.25}, {"seq_length": 1}, {"seq_length": "long"},
     {"hidden_size": None}, {"num_attention_heads": 0}, {"rotary_emb_base": "x"},
     {"intermediate_size": "x"}, {"use_dynamic_ntk": "maybe"}],
)  # fmt: skip
def test_what_no_qwen_has_is_refused(changes):
    with pytest.raises(Exception):  # noqa: B017 - the loader makes one sentence of any
        QwenConfig.from_dict({**SMALL, **changes})
    assert translated({**SMALL, **changes})["model_type"] == "qwen"


def test_every_weight_has_its_place(first):
    """By inspection alone, no tensor of a file is left over."""
    made = loader.plan(inspect(first("s-plain")), LoadRequest(first("s-plain"), placement="cpu"))
    assert type(made.config) is QwenConfig
    names = {name for name, _ in made.model_class(made.config).named_parameters()}
    assert set(inspect(first("s-plain")).tensors) == names
