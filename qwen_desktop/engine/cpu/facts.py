"""Which models the compiled step can run, and as what it has to be compiled for them. No numba."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.cpu.start import Variant
from qwen_desktop.engine.halves import HalfLinear
from qwen_desktop.engine.layers import head_dim
from qwen_desktop.engine.quant.linear import PackedLinear

FLOATS = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
FAMILIES = frozenset({"qwen", "qwen2", "qwen3"})  # dense, and every layer alike
LINEARS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)  # in the order of the roles of step.py
BIASED = LINEARS[:3]
LANES = 8
# As in kernels.py and step.py, which need numba: inputs that are rounded to integers together, the
# fewest codes of 4 bits that share a scale, and a shift that leaves one group.
GROUP, INT4_GROUP, WHOLE_ROW = 64, 32, 62


def why_not(model: Any) -> str:
    """Why the compiled step cannot run `model`, a causal language model; "" where it can."""
    config = model.config.get_text_config(decoder=True)
    if config.model_type not in FAMILIES:
        return f"layers of {config.model_type}"
    if model.dtype not in FLOATS:
        return f"weights of {model.dtype}"
    if any(parameter.device.type not in ("cpu", "meta") for parameter in model.parameters()):
        return "weights on another device"
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if kinds or getattr(config, "use_sliding_window", False):
        return "attention of other kinds"
    if config.hidden_act != "silu":
        return f"activation {config.hidden_act}"
    width, heads, kv_heads = head_dim(config), config.num_attention_heads, kv_heads_of(config)
    if heads % kv_heads or width % LANES:
        return f"heads of {width}, {heads} for {kv_heads}"
    return _why_not_its_matrices(model)


def _why_not_its_matrices(model: Any) -> str:
    head = model.get_output_embeddings()
    if not kind_of_linear(head) or head.bias is not None:
        return "another kind of head"
    found, shifts = set(), set()
    for layer in model.get_decoder().layers:
        for name in LINEARS:
            linear = layer.get_submodule(name)
            kind = kind_of_linear(linear)
            if not kind:
                return f"{name} is a {type(linear).__name__}"
            if linear.bias is not None and name not in BIASED:
                return f"{name} adds a bias"
            found.add(kind)
        shifts.add(tuple(shift_of(layer.get_submodule(name)) for name in LINEARS))
    if len(found) != 1:
        return f"matrices of several kinds: {', '.join(sorted(found))}"
    (same,) = shifts if len(shifts) == 1 else (None,)
    if same is None or len(set(same[:3])) > 1 or same[4] != same[5]:
        return "groups of several sizes"
    return ""


def kind_of_linear(linear: Any) -> str:
    """The kind of a linear's rows, as they lie or will once they are placed; "" where no kernel
    reads them."""
    if type(linear) in (nn.Linear, HalfLinear):
        weight = linear.weight
        return FLOATS.get(weight.dtype, "") if weight.is_contiguous() else ""
    if not isinstance(linear, PackedLinear) or linear.in_features % GROUP:
        return ""
    form = linear.form
    if form.bits == 4:
        fits = linear.scales.dtype == torch.bfloat16 and _shift(form.group, INT4_GROUP) is not None
        return "int4" if fits and linear.may_be_in_rows else ""
    one_scale = form.group == linear.in_features
    if form.own:
        fits = one_scale or _shift(form.group, GROUP) is not None
        return "int8own" if fits and linear.may_be_in_rows else ""
    return "int8" if one_scale and linear.scales.dtype == torch.bfloat16 else ""


def shift_of(linear: Any) -> int:
    """How many groups of a linear of codes share a scale, see `step.Shape`; 0 for floats."""
    if not isinstance(linear, PackedLinear):
        return 0
    if linear.form.group == linear.in_features:
        return WHOLE_ROW
    return _shift(linear.form.group, INT4_GROUP if linear.form.bits == 4 else GROUP) or 0


def _shift(group: int, unit: int) -> int | None:
    """What `group` is times `unit` as a power of two; None where it is none."""
    times = group // unit
    return times.bit_length() - 1 if group == unit * times and times.bit_count() == 1 else None


def kv_heads_of(config: Any) -> int:
    """Heads of keys and values."""
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


def variant_of(model: Any) -> Variant:
    """What the step is compiled for to run `model`, which `why_not` has nothing against."""
    config = model.config.get_text_config(decoder=True)
    first = model.get_decoder().layers[0].get_submodule(LINEARS[0])
    return Variant(
        weights=kind_of_linear(first),
        kv=FLOATS[model.dtype],
        head=kind_of_linear(model.get_output_embeddings()),
        group=config.num_attention_heads // kv_heads_of(config),
    )
