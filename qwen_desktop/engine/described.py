"""A checkpoint as its config.json alone describes it: which weights it would have, and how large.

No torch, no files. The names and shapes below are those that the published checkpoints have; from
there on everything is computed by what judges a real folder: sources, architecture, placement.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qwen_desktop.chat.catalogue import Offer, Outlook, Stored
from qwen_desktop.chat.checkpoint import Fit, LoadPlan, Precision
from qwen_desktop.engine import placement
from qwen_desktop.engine.architecture import Architecture, Part, Weights, architecture, weights
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.engine.placement import Model
from qwen_desktop.engine.quantisation import AWQ, FP8, GPTQ, Quantisation
from qwen_desktop.engine.shards import ITEM_SIZE, TensorEntry
from qwen_desktop.engine.sources import Source, sources_of

GROUP = 128  # inputs that share a scale in Qwen's own GPTQ and AWQ checkpoints
BLOCK = (128, 128)  # of its FP8 ones
_NOWHERE = Path("described")
_MATRIX = re.compile(r"\.(?:\w+_proj|in_proj_(?:qkvz?|z))\.weight$")
_EXPERT = "mlp.experts.0."

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Kind:
    """One kind of decoder layer: its weights, those of a single expert apart."""

    common: tuple[Source, ...]
    expert: tuple[Source, ...]
    experts: int

    @property
    def sources(self) -> Iterator[Source]:
        yield from self.common
        for _ in range(self.experts):  # all of one shape: one stands for each
            yield from self.expert

    @property
    def parameters(self) -> int:
        return _count(self.common) + self.experts * _count(self.expert)

    @property
    def stored_bytes(self) -> int:
        return _nbytes(self.common) + self.experts * _nbytes(self.expert)


def outlook(offer: Offer, machine: Machine) -> Outlook:
    """What `offer` would take on `machine`: the numbers of the fit table. Raises nothing."""
    if not offer.config:
        return Outlook()
    model, download = described(offer)
    contexts = placement.contexts(model.architecture.context_length)

    def plan(context: int) -> LoadPlan | None:
        return placement.plan(model, machine, "auto", Precision.AUTO, context)

    first = plan(contexts[0])
    if first is None:
        return Outlook(download, contexts[-1])
    chosen, low, high = first, 0, len(contexts) - 1
    while low < high and first.fit is not Fit.NO:  # what fits a context fits all below it
        middle = (low + high + 1) // 2
        tried = plan(contexts[middle])
        if tried is not None and tried.fit is not Fit.NO:
            chosen, low = tried, middle
        else:
            high = middle - 1
    return Outlook(
        download=download,
        longest=contexts[-1],
        fit=first.fit,
        context=chosen.context if first.fit is not Fit.NO else 0,
        need=sum(share.need for share in chosen.shares),
        devices=tuple(share.device.id for share in chosen.shares),
    )


def described(offer: Offer) -> tuple[Model, int]:
    """The model of `offer` for the planner, and the bytes of its files. Raises ValueError.

    What is in the files and not in the text model (eyes, a head for several tokens) is 16-bit.
    """
    made = architecture(offer.config)
    kinds = tuple(dict.fromkeys(made.layer_kinds))
    how = _quantisation(offer.stored)
    layers = {
        kind: _kind(number, layer_shapes(offer.config, made, kind, number), made, how, offer.floats)
        for number, kind in enumerate(kinds)
    }
    outside = tuple(_sources(outside_shapes(made), None, how))
    every = [source for kind in layers.values() for source in kind.sources]
    # Weights of one layer of each kind, sorted as those of a folder; then as many as there are.
    small = weights([*outside, *every], replace(made, layer_kinds=kinds))
    dtype = "F16" if how and how.packed else "BF16"
    model = Model(made, _all(small, made, layers, outside), dtype, how.bits if how else 0)
    stored = _nbytes(outside) + sum(layers[kind].stored_bytes for kind in made.layer_kinds)
    besides = max(offer.stored_parameters - model.weights.parameters, 0)
    return model, stored + (2 * besides if offer.stored_parameters else 0)


def outside_shapes(made: Architecture) -> Shapes:
    """The weights that are in no layer, by name."""
    table = (made.vocabulary, made.hidden_size)
    head = {} if made.tied else {"lm_head.weight": table}
    return {"model.embed_tokens.weight": table, "model.norm.weight": (made.hidden_size,), **head}


def layer_shapes(config: Mapping[str, Any], made: Architecture, kind: str, number: int) -> Shapes:
    """The weights of layer `number`, which is of `kind`, by name; of experts only the first."""
    hidden, prefix = made.hidden_size, f"model.layers.{number}."
    found: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    if kind == "linear_attention":
        found.update(_linear_attention(made, config))
    else:
        found.update(_attention(made))
    if not made.experts:
        found.update(_gated("mlp.", hidden, made.intermediate_size))
    else:
        found["mlp.gate.weight"] = (made.experts, hidden)
        found.update(_gated(_EXPERT, hidden, made.intermediate_size))
        shared = config.get("shared_expert_intermediate_size")
        if shared and made.family != "qwen3_moe":  # which has none, whatever config.json says
            found.update(_gated("mlp.shared_expert.", hidden, shared))
            found["mlp.shared_expert_gate.weight"] = (1, hidden)
    return {prefix + name: shape for name, shape in found.items()}


def _gated(prefix: str, hidden: int, width: int) -> Shapes:
    return {
        f"{prefix}gate_proj.weight": (width, hidden),
        f"{prefix}up_proj.weight": (width, hidden),
        f"{prefix}down_proj.weight": (hidden, width),
    }


def _attention(made: Architecture) -> Shapes:
    hidden, head = made.hidden_size, made.head_dim
    queries, keys = made.heads * head, made.kv_heads * head
    gated = made.family.startswith(("qwen3_next", "qwen3_5"))  # queries bring a gate of outputs
    widths = {"q_proj": 2 * queries if gated else queries, "k_proj": keys, "v_proj": keys}
    found: dict[str, tuple[int, ...]] = {"self_attn.o_proj.weight": (hidden, queries)}
    for name, width in widths.items():
        found[f"self_attn.{name}.weight"] = (width, hidden)
        if made.input_biases:
            found[f"self_attn.{name}.bias"] = (width,)
    if made.family.startswith("qwen3"):
        found["self_attn.q_norm.weight"] = found["self_attn.k_norm.weight"] = (head,)
    return found


def _linear_attention(made: Architecture, config: Mapping[str, Any]) -> Shapes:
    hidden, heads = made.hidden_size, made.linear_heads
    values = heads * made.linear_value_dim
    kernel = config["linear_conv_kernel_dim"]
    if made.family == "qwen3_next":
        inputs = {"in_proj_qkvz": made.conv_width + values, "in_proj_ba": 2 * heads}
    else:
        inputs = {
            "in_proj_qkv": made.conv_width,
            "in_proj_z": values,
            "in_proj_b": heads,
            "in_proj_a": heads,
        }
    found: dict[str, tuple[int, ...]] = {
        f"linear_attn.{name}.weight": (width, hidden) for name, width in inputs.items()
    }
    return {
        **found,
        "linear_attn.conv1d.weight": (made.conv_width, 1, kernel),
        "linear_attn.A_log": (heads,),
        "linear_attn.dt_bias": (heads,),
        "linear_attn.norm.weight": (made.linear_value_dim,),
        "linear_attn.out_proj.weight": (hidden, values),
    }


# -- as they are stored --------------------------------------------------------------------


def _quantisation(stored: Stored) -> Quantisation | None:
    if stored is Stored.BF16:
        return None
    if stored is Stored.FP8:
        return Quantisation(FP8, "", block=BLOCK)
    method = AWQ if stored is Stored.AWQ else GPTQ
    bits = 8 if stored is Stored.GPTQ_INT8 else 4
    return Quantisation(method, "", bits=bits, group=GROUP, plain_zeros=method == AWQ)


def _kind(
    number: int, shapes: Shapes, made: Architecture, how: Quantisation | None, floats: str
) -> _Kind:
    of_expert = f"model.layers.{number}.{_EXPERT}"
    one = {name: shape for name, shape in shapes.items() if name.startswith(of_expert)}
    rest = {name: shape for name, shape in shapes.items() if name not in one}
    return _Kind(
        tuple(_sources(rest, _quantised(how, floats), how)),
        tuple(_sources(one, _quantised(how, floats), how)),
        made.experts,
    )


def _quantised(how: Quantisation | None, floats: str) -> re.Pattern[str] | None:
    """What tells the weights that `how` was done to; None for none."""
    if how is None:
        return None
    ahead = f"(?!.*(?:{floats}))" if floats else ""
    return re.compile(f"^{ahead}.*{_MATRIX.pattern}")


def _sources(
    shapes: Shapes, wanted: re.Pattern[str] | None, how: Quantisation | None
) -> Iterator[Source]:
    entries: dict[str, TensorEntry] = {}
    some = False
    dtype = "F16" if how and how.packed else "BF16"
    for name, shape in shapes.items():
        if how is not None and wanted is not None and wanted.match(name) and len(shape) == 2:
            parts, some = _parts(name, (shape[0], shape[1]), how), True
        else:
            parts = {name: (dtype, shape)}
        for part, (kind, size) in parts.items():
            nbytes = math.prod(size) * ITEM_SIZE[kind]
            entries[part] = TensorEntry(part, kind, size, _NOWHERE, 0, nbytes)
    yield from sources_of(entries, how if some else None).values()


def _parts(
    name: str, shape: tuple[int, int], how: Quantisation
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors that a quantised matrix of `shape` is stored as: name, dtype and shape."""
    rows, columns = shape
    if how.method == FP8:
        scales = (-(-rows // BLOCK[0]), -(-columns // BLOCK[1]))
        return {name: ("F8_E4M3", shape), f"{name}_scale_inv": ("BF16", scales)}
    prefix, per_word, groups = name.removesuffix(".weight"), 32 // how.bits, -(-columns // GROUP)
    codes = (columns, rows // per_word) if how.method == AWQ else (columns // per_word, rows)
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        f"{prefix}.qweight": ("I32", codes),
        f"{prefix}.qzeros": ("I32", (groups, rows // per_word)),
        f"{prefix}.scales": ("F16", (groups, rows)),
    }
    if how.method == GPTQ:
        found[f"{prefix}.g_idx"] = ("I32", (columns,))
    return found


def _all(
    small: Weights, made: Architecture, layers: Mapping[str, _Kind], outside: tuple[Source, ...]
) -> Weights:
    """`small`, which has one layer of each kind, with as many as `made` has."""
    parts: dict[str, Part] = dict(zip(layers, small.layers, strict=True))
    parameters = _count(outside) + sum(layers[kind].parameters for kind in made.layer_kinds)
    experts = sum(layers[kind].experts * _count(layers[kind].expert) for kind in made.layer_kinds)
    used = min(made.experts_per_token, made.experts)
    idle = experts - experts * used // made.experts if made.experts else 0
    each = tuple(parts[kind] for kind in made.layer_kinds)
    return replace(small, parameters=parameters, active=parameters - idle, layers=each)


def _count(sources: tuple[Source, ...]) -> int:
    return sum(math.prod(source.shape) for source in sources)


def _nbytes(sources: tuple[Source, ...]) -> int:
    return sum(entry.nbytes for source in sources for entry in source.entries)
