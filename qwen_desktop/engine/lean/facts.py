"""Which models the lean forward can run."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.halves import HalfLinear
from qwen_desktop.engine.layers import head_dim
from qwen_desktop.engine.quant.linear import Int8Embedding, PackedLinear

FAMILIES = frozenset({"qwen", "qwen2", "qwen3"})  # dense, and every layer alike
FLOATS = (torch.float32, torch.bfloat16, torch.float16)
# Kinds of positions whose frequencies do not change as a text grows.
_STEADY = frozenset({"default", "linear", "yarn", "llama3"})
_NORMS = frozenset({"Qwen2RMSNorm", "Qwen3RMSNorm"})

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
GATED = ("mlp.gate_proj", "mlp.up_proj")
OUTPUTS = ("self_attn.o_proj", "mlp.down_proj")


def why_not(model: Any) -> str:
    """Why the lean forward cannot run `model`, a causal language model; "" where it can."""
    config = model.config.get_text_config(decoder=True)
    if config.model_type not in FAMILIES:
        return f"layers of {config.model_type}"
    if model.dtype not in FLOATS:
        return f"weights of {model.dtype}"
    devices = {parameter.device for parameter in model.parameters()}
    if len(devices) != 1:
        return "weights on several devices"
    if model.device.type not in ("cpu", "cuda"):  # nobody has looked at it there
        return f"a device of the kind {model.device.type}"
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if kinds or getattr(config, "use_sliding_window", False):
        return "attention of other kinds"
    if config.hidden_act != "silu":
        return f"activation {config.hidden_act}"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope not in _STEADY:
        return f"positions of the kind {rope}"
    if config.num_attention_heads % config.num_key_value_heads or head_dim(config) % 2:
        return "an odd number of heads"
    return _why_not_its_parts(model)


def _why_not_its_parts(model: Any) -> str:
    if type(model.get_input_embeddings()) not in (nn.Embedding, Int8Embedding):
        return "another kind of embeddings"
    if not _multiplies(model.get_output_embeddings()):
        return "another kind of head"
    decoder = model.get_decoder()
    norms = [decoder.norm]
    for layer in decoder.layers:
        norms += [layer.input_layernorm, layer.post_attention_layernorm]
        norms += [getattr(layer.self_attn, name, decoder.norm) for name in ("q_norm", "k_norm")]
        for name in (*ATTENTION, *GATED, *OUTPUTS):
            if not _multiplies(layer.get_submodule(name)):
                return f"{name} is a {type(layer.get_submodule(name)).__name__}"
    other = {type(norm).__name__ for norm in norms} - _NORMS
    return f"norms of the kind {', '.join(sorted(other))}" if other else ""


def _multiplies(linear: Any) -> bool:
    return type(linear) in (nn.Linear, HalfLinear) or isinstance(linear, PackedLinear)
