"""Experts of a mixture with packed matrices, in place of transformers' module of the kind.

That keeps all experts of a layer in two tensors; here there are three, and each expert gets
linears of its own once they are filled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.linear import packed_linear
from qwen_desktop.engine.quant.pack import part_shapes
from qwen_desktop.engine.sources import EXPERT_MATRICES


def expert_shapes(module: nn.Module) -> dict[str, tuple[int, int, int]]:
    """[experts, out, in] of each kind of matrix by name; empty where `module` holds no experts.

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
    gates = (count, inner, outer)
    return {"gate_proj": gates, "up_proj": gates, "down_proj": (count, outer, inner)}


class ExpertLinears(nn.Module):  # type: ignore[misc] # torch has no types here
    """One kind of matrix for all experts: packed in `form`, or floats where that is None.

    What is filled from a checkpoint is one parameter per part, [experts, ...]: thousands of small
    ones take transformers a minute. `place` makes a packed linear of each expert's share.
    """

    def __init__(
        self,
        count: int,
        size: tuple[int, int],
        form: Form | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.count, self.size, self.form, self.dtype = count, size, form, dtype
        self._parts = part_shapes(form, size, dtype) if form else {"weight": (size, dtype)}
        for name, (shape, of) in self._parts.items():
            empty = torch.empty((count, *shape), dtype=of, device=device)
            self.register_parameter(name, nn.Parameter(empty, requires_grad=False))

    def place(self, check: Callable[[], object] = bool) -> None:
        """Lay the codes out for the device they are on. `check` is called often and may raise."""
        if self.form is None:
            return
        whole = {name: getattr(self, name).data for name in self._parts}
        for name in self._parts:
            delattr(self, name)
        for number in range(self.count):
            check()
            expert = packed_linear(self.size, None, self.form, self.dtype, torch.device("meta"))
            for name, tensor in whole.items():
                setattr(expert, name, nn.Parameter(tensor[number], requires_grad=False))
            expert.place(check)
            if expert.codes.data_ptr() != whole["codes"][number].data_ptr():
                # The same bytes in another order: back to where they were, so that no second copy
                # of all experts comes to be.
                room = whole["codes"][number].view(-1).view(expert.codes.dtype)
                room = room.view(expert.codes.shape).copy_(expert.codes)
                expert.codes = nn.Parameter(room, requires_grad=False)
            self.add_module(str(number), expert)

    def forward(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """The product of `x` [rows, in] with the matrix of expert `number`."""
        if self.form is None:
            return nn.functional.linear(x, self.weight[number])
        made: torch.Tensor = self.get_submodule(str(number))(x)
        return made


class PackedExperts(nn.Module):  # type: ignore[misc] # torch has no types here
    """The experts of one layer, at least one kind of their matrices packed."""

    def __init__(self, experts: nn.Module, forms: Mapping[str, Form], dtype: torch.dtype) -> None:
        super().__init__()
        self.act_fn = experts.act_fn
        self.num_experts = len(experts.down_proj)
        device = experts.down_proj.device
        for kind, (count, *size) in expert_shapes(experts).items():
            of_kind = ExpertLinears(count, (size[0], size[1]), forms.get(kind), dtype, device)
            self.add_module(kind, of_kind)

    def place(self, check: Callable[[], object] = bool) -> None:
        """See `ExpertLinears.place`."""
        for kind in EXPERT_MATRICES:
            self.get_submodule(kind).place(check)

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
            tokens, places = torch.where(chosen == number)
            x = hidden[tokens]
            y = self.act_fn(self.gate_proj(number, x)) * self.up_proj(number, x)
            y = self.down_proj(number, y)
            total.index_add_(0, tokens, y.float() * shares[tokens, places, None].float())
        return total.to(hidden.dtype)
