"""The lean forward: embeddings, decoder layers and head as plain functions over the weights.

A layer, for inputs h [tokens, hidden]:

    q, k, v = Wqkv · norm(h)          (one product where the weights are joined)
    q, k    = turned(norm(q), norm(k))  (norms of heads in Qwen3 alone)
    h       = h + Wo · attention(q, K, V)
    gate, up = Wgu · norm(h)
    h       = h + Wd · (silu(gate) · up)

Where keys and values are kept, and what attention reads, its caller says (`Attend`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import rms_norm, silu

from qwen_desktop.engine.layers import head_dim
from qwen_desktop.engine.lean.angles import Angles, Table, turned
from qwen_desktop.engine.lean.facts import ATTENTION, GATED, OUTPUTS
from qwen_desktop.engine.lean.linears import Joined

# Keeps keys and values of a layer, by its number, and attends: queries [tokens, heads, width], keys
# and values [tokens, kv_heads, width] to [tokens, heads · width].
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class Lean:
    """The forward of one model that `why_not` has nothing against."""

    def __init__(self, model: Any) -> None:
        config = model.config.get_text_config(decoder=True)
        decoder = model.get_decoder()
        self.heads = int(config.num_attention_heads)
        self.kv_heads = int(config.num_key_value_heads)
        self.width = head_dim(config)
        self.scale = self.width**-0.5
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.angles = Angles(model)
        self._epsilon = float(config.rms_norm_eps)
        self._embeddings = model.get_input_embeddings()
        self._head = model.get_output_embeddings()
        self._norm: torch.Tensor = decoder.norm.weight
        self.layers = [Layer(layer, self) for layer in decoder.layers]

    @property
    def products(self) -> list[Any]:
        """The modules of all matrix products: those of the layers, and the head."""
        return [*(one for layer in self.layers for one in layer.products), self._head]

    def hidden(
        self, ids: torch.Tensor, angles: Table, attend: Attend, check: Callable[[], object]
    ) -> torch.Tensor:
        """What all layers make of int64 `ids` [tokens], for as many rows of angles.

        [tokens, hidden]. `check` is called several times a layer and may raise.
        """
        h: torch.Tensor = self._embeddings.forward(ids)
        for number, layer in enumerate(self.layers):
            h = layer.forward(number, h, angles, attend, check)
        return h

    def logits(self, h: torch.Tensor) -> torch.Tensor:
        """Float32 [rows, vocabulary] for rows of what `hidden` gave."""
        normed = _normed(h, self._norm, self._epsilon)
        found: torch.Tensor = self._head.forward(normed)
        return found.float()


class Layer:
    """One decoder layer."""

    def __init__(self, layer: Any, lean: Lean) -> None:
        self.attention = Joined([layer.get_submodule(name) for name in ATTENTION])
        self.gated = Joined([layer.get_submodule(name) for name in GATED])
        self._out, self._down = (layer.get_submodule(name) for name in OUTPUTS)
        self._before: torch.Tensor = layer.input_layernorm.weight
        self._after: torch.Tensor = layer.post_attention_layernorm.weight
        self._heads, self._kv_heads, self._width = lean.heads, lean.kv_heads, lean.width
        self._epsilon = float(layer.input_layernorm.variance_epsilon)
        self._norms: torch.Tensor | None = None  # of queries and keys, [heads + kv_heads, width]
        if hasattr(layer.self_attn, "q_norm"):
            query, key = layer.self_attn.q_norm.weight, layer.self_attn.k_norm.weight
            rows = query.expand(self._heads, -1), key.expand(self._kv_heads, -1)
            self._norms = torch.cat(rows).detach()

    @property
    def products(self) -> list[Any]:
        """The modules of its matrix products, in their order."""
        return [*self.attention.products, self._out, *self.gated.products, self._down]

    def forward(
        self,
        number: int,
        h: torch.Tensor,
        angles: Table,
        attend: Attend,
        check: Callable[[], object],
    ) -> torch.Tensor:
        """See `Lean.hidden`."""
        h = h + self._out.forward(self._attended(number, h, angles, attend, check))
        check()
        gate, up = self._gated(h)
        inner = silu(gate).mul_(up)
        del gate, up
        check()
        return h + self._down.forward(inner)

    def _attended(
        self,
        number: int,
        h: torch.Tensor,
        angles: Table,
        attend: Attend,
        check: Callable[[], object],
    ) -> torch.Tensor:
        check()
        heads, kv_heads = self._heads, self._kv_heads
        rows = self.attention(_normed(h, self._before, self._epsilon)).view(len(h), -1, self._width)
        both, value = rows[:, : heads + kv_heads], rows[:, heads + kv_heads :]
        if self._norms is not None:
            both = _normed_heads(both, self._norms, self._epsilon)
        both = turned(both, angles.cos, angles.sin)
        query, key = both[:, :heads], both[:, heads:]
        if angles.factors is not None:
            query = query * angles.factors.to(query.dtype).view(-1, 1, 1)
        attended = attend(number, query, key, value)
        check()
        return attended

    def _gated(self, h: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.gated.apart(_normed(h, self._after, self._epsilon))


def _normed(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The RMS norm of rows; on a CPU by the module's own steps, and rounded as often."""
    if x.device.type != "cpu":
        return rms_norm(x, x.shape[-1:], weight, epsilon)
    exact = x.float()
    scale = exact.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
    return (exact * scale).to(x.dtype).mul_(weight)


def _normed_heads(x: torch.Tensor, weights: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The same of heads [tokens, heads, width], which differ in their `weights` [heads, width]."""
    if x.device.type == "cpu":
        return _normed(x, weights, epsilon)
    return rms_norm(x, x.shape[-1:], None, epsilon).mul_(weights)
