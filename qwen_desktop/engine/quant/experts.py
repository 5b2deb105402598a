"""Experts of a mixture with packed matrices, in place of transformers' module of the kind.

That keeps all experts of a layer in two tensors; here each has three linears of its own, by the
names that checkpoints use, so that whatever is packed or stored per expert fills them as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.linear import packed_linear

MATRICES = ("gate_proj", "up_proj", "down_proj")


def expert_shapes(module: nn.Module) -> dict[str, tuple[int, int]]:
    """The shapes of one expert's matrices by name; empty where `module` holds no experts.

    Only for the layout that all Qwens have: gate above up, no biases, inputs last.
    """
    joined, down = (getattr(module, name, None) for name in ("gate_up_proj", "down_proj"))
    if not isinstance(joined, nn.Parameter) or not isinstance(down, nn.Parameter):
        return {}
    plain = getattr(module, "is_concatenated", True) and getattr(module, "has_gate", True)
    other = getattr(module, "is_transposed", False) or getattr(module, "has_bias", False)
    if not plain or other or joined.dim() != 3 or not hasattr(module, "act_fn"):
        return {}
    count, inner, outer = joined.shape[0], joined.shape[1] // 2, joined.shape[2]
    if tuple(down.shape) != (count, outer, inner):
        return {}
    return {"gate_proj": (inner, outer), "up_proj": (inner, outer), "down_proj": (outer, inner)}


class PackedExperts(nn.Module):  # type: ignore[misc] # torch has no types here
    """The experts of one layer. A matrix without a form keeps its floats."""

    def __init__(
        self, experts: nn.Module, forms: Mapping[tuple[int, str], Form], dtype: torch.dtype
    ) -> None:
        super().__init__()
        shapes = expert_shapes(experts)
        device: Any = experts.down_proj.device
        self.act_fn = experts.act_fn
        self.num_experts = len(experts.down_proj)
        for number in range(self.num_experts):
            expert = nn.Module()
            for name in MATRICES:
                outputs, inputs = shapes[name]
                form = forms.get((number, name))
                expert.add_module(
                    name,
                    packed_linear((outputs, inputs), None, form, dtype, device)
                    if form
                    else nn.Linear(inputs, outputs, bias=False, device=device, dtype=dtype),
                )
            self.add_module(str(number), expert)

    def forward(
        self, hidden: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor
    ) -> torch.Tensor:
        """The sum of what the chosen experts make of `hidden` [tokens, width], by their shares.

        `chosen` and `shares` are [tokens, experts per token].
        """
        # In float32, where the order in which experts are added makes no difference to speak of.
        total = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
        for number in torch.unique(chosen).tolist():
            if number >= self.num_experts:
                continue  # transformers' mark of an expert that is not asked
            expert: Any = self.get_submodule(str(number))
            tokens, places = torch.where(chosen == number)
            x = hidden[tokens]
            y = expert.down_proj(self.act_fn(expert.gate_proj(x)) * expert.up_proj(x))
            total.index_add_(0, tokens, y.float() * shares[tokens, places, None].float())
        return total.to(hidden.dtype)
