"""Linears of 16-bit weights on a CPU.

Without units for them, the product of many rows takes torch two to three times as long as in
float32: turning the weight into floats block by block, into a buffer that stays in the cache, costs
a quarter of that. With or without, compiled code is quicker for a few rows, where there is any. One
row is left to torch, which is quick at it, or to the compiled step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.quant.kernels import matmul_dtype

ROWS = 8  # of inputs, from which floats are quicker
_BLOCK = 2**21  # elements of the weight that are floats at a time


class HalfLinear(nn.Linear):  # type: ignore[misc] # torch has no types here
    """What torch.nn.Linear computes, by the quickest way for so many rows."""

    by_floats = True  # whether many rows are multiplied in float32
    # What multiplies 2 to `few` rows [n, in] in place of torch, without the bias: cpu/products.py.
    compiled: Callable[[torch.Tensor], torch.Tensor] | None = None
    few = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product for `x` [..., in], [..., out], in the dtype of `x`."""
        rows = x.reshape(-1, self.in_features)
        if self.compiled is not None and 1 < len(rows) <= self.few:
            y = self.compiled(rows).to(x.dtype)
            if self.bias is not None:
                y = y + self.bias
            return y.view(*x.shape[:-1], self.out_features)
        if not self.by_floats or len(rows) < ROWS:
            return nn.functional.linear(x, self.weight, self.bias)
        floats = rows.float()
        y = x.new_empty((len(rows), self.out_features))
        step = max(1, _BLOCK // self.in_features)
        buffer = torch.empty((min(step, self.out_features), self.in_features))
        for first in range(0, self.out_features, step):
            last = min(first + step, self.out_features)
            weight = buffer[: last - first]
            weight.copy_(self.weight[first:last])
            bias = self.bias[first:last].float() if self.bias is not None else None
            y[:, first:last] = nn.functional.linear(floats, weight, bias)
        return y.view(*x.shape[:-1], self.out_features)

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        """What moves or converts the weight: compiled code knows it by its address."""
        self.compiled = None
        return super()._apply(*arguments, **options)


def multiply_by_floats(model: Any) -> None:
    """Let the linears of `model` on a CPU multiply 16-bit weights as is quickest there."""
    if matmul_dtype() is torch.bfloat16 and model.dtype is not torch.float16:
        return
    for module in model.modules():
        if (
            type(module) is nn.Linear
            and module.weight.device.type == "cpu"
            and module.weight.dtype.itemsize == 2
        ):
            module.__class__ = HalfLinear
