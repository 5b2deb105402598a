"""What the compiled step needs to know of a model of transformers: sizes, addresses, angles.

Nothing is copied but norms, biases and angles, which are small. The tables are right as long as the
model's weights stay where they are, which they do while it is open.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from qwen_desktop.engine.cpu.attention import TILE
from qwen_desktop.engine.cpu.facts import BIASED, LINEARS, kv_heads_of, shift_of
from qwen_desktop.engine.cpu.step import Array, Cached, Matrices, Shape
from qwen_desktop.engine.grow import GrowLayer
from qwen_desktop.engine.layers import TransformersCache, head_dim
from qwen_desktop.engine.quant.linear import Int4Linear, PackedLinear

_PIECE = 256  # positions whose angles are computed together


def shape_of(model: Any) -> Shape:
    """The sizes of a model that `why_not` has nothing against."""
    config = model.config.get_text_config(decoder=True)
    width = head_dim(config)
    layer = model.get_decoder().layers[0]
    return Shape(
        hidden=int(config.hidden_size),
        heads=int(config.num_attention_heads),
        kv_heads=kv_heads_of(config),
        width=width,
        inner=int(config.intermediate_size),
        shifts=tuple(shift_of(layer.get_submodule(name)) for name in LINEARS),
        epsilon=np.float32(config.rms_norm_eps),
        scaling=np.float32(width**-0.5),
    )


def matrices_of(model: Any) -> Matrices:
    """Addresses of all matrices; norms and biases as float32."""
    layers = list(model.get_decoder().layers)
    places = [[places_of(layer.get_submodule(name)) for name in LINEARS] for layer in layers]
    rows, scales, zeros = np.moveaxis(np.array(places, np.int64), 2, 0).copy()
    has_norms = hasattr(layers[0].self_attn, "q_norm")
    none = np.zeros((len(layers), 0), np.float32)
    return Matrices(
        rows=rows,
        scales=scales,
        zeros=zeros,
        biases=np.stack([_biases(layer) for layer in layers]),
        before=_norms(layers, "input_layernorm"),
        after=_norms(layers, "post_attention_layernorm"),
        query_norm=_norms(layers, "self_attn.q_norm") if has_norms else none,
        key_norm=_norms(layers, "self_attn.k_norm") if has_norms else none,
    )


def places_of(linear: Any) -> tuple[int, int, int]:
    """Where the rows of a linear lie, their scales and their zeros; 0 for none."""
    if not isinstance(linear, PackedLinear):
        return int(linear.weight.data_ptr()), 0, 0
    if isinstance(linear, Int4Linear):
        scales, zeros = linear.scales
        return linear.codes.data_ptr(), scales.data_ptr(), zeros.data_ptr()
    zeros = linear.offsets
    at = zeros.data_ptr() if zeros is not None else 0
    return linear.codes.data_ptr(), linear.scales.data_ptr(), at


def _biases(layer: Any) -> Array:
    found = []
    for name in BIASED:
        linear = layer.get_submodule(name)
        none = torch.zeros(linear.out_features)
        found.append(none if linear.bias is None else linear.bias.detach().float())
    return _array(torch.cat(found))


def _norms(layers: list[Any], name: str) -> Array:
    return np.stack([_array(layer.get_submodule(name).weight.detach().float()) for layer in layers])


def _array(tensor: torch.Tensor) -> Array:
    found: Array = tensor.numpy()
    return found


def final_norm(model: Any) -> Array:
    """The norm before the head, float32 [hidden]."""
    return _array(model.get_decoder().norm.weight.detach().float().clone())


class Angles:
    """Cosines and sines of positions as the model's own module computes them, kept by pieces."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: dict[tuple[float, int], tuple[Array, Array, Array]] = {}

    def at(self, position: int, rope_scale: float) -> tuple[Array, Array, np.float32]:
        """For one position, float32 [width / 2] twice, and the factor of its queries.

        The model has to be set to `rope_scale` where it has one.
        """
        number, index = divmod(position, _PIECE)
        key = (rope_scale, number)
        if key not in self._kept:
            self._kept[key] = self._piece(number)
        cos, sin, factors = self._kept[key]
        return cos[index], sin[index], factors[index]

    def _piece(self, number: int) -> tuple[Array, Array, Array]:
        first = number * _PIECE
        places = torch.arange(first, first + _PIECE)[None]
        like = torch.zeros(1, dtype=torch.float32)  # in whose precision they are wanted
        with torch.inference_mode():
            found = self._model.get_decoder().rotary_emb(like, places)
        cos, sin = (part[0, :, : part.shape[-1] // 2].float().clone() for part in found[:2])
        factor = found[2] if len(found) > 2 else None  # the first Qwen's
        ones = torch.ones(_PIECE) if factor is None else factor[0].float().clone()
        return _array(cos.contiguous()), _array(sin.contiguous()), _array(ones)


def cached_of(cache: TransformersCache, tokens: int) -> Cached | None:
    """Addresses of a cache with room for `tokens`; None where a layer is not of the usual kind.

    Rooms that are too small grow, as they would when a token is appended.
    """
    keys, values, capacities = [], [], set()
    for layer in cache.inner.layers:
        if type(layer) is not GrowLayer or layer.key_room is None or layer.value_room is None:
            return None
        layer.make_room(tokens)
        keys.append(layer.key_room.data_ptr())
        values.append(layer.value_room.data_ptr())
        capacities.add(int(layer.key_room.shape[-2]))
    if len(capacities) != 1 or max(capacities) % TILE:  # keys are read up to the end of a tile
        return None
    return Cached(np.array(keys, np.int64), np.array(values, np.int64), capacities.pop())


def layers_at_once(model: Any, most: int) -> int:
    """How many layers have `most` bytes of weights together; at least one."""
    layer = model.get_decoder().layers[0]
    size = sum(parameter.nbytes for parameter in layer.parameters())
    return int(max(1, most // max(1, size)))


def parts_for(kv_heads: int, threads: int) -> int:
    """Into how many parts the attention of each key/value head is split."""
    return max(1, math.ceil(threads / kv_heads))
