"""Matrices of codes times the rows of a prompt, by compiled code, for linears that are packed.

Up to a few dozen rows codes are unpacked into registers (`tiles.products`). For more it pays to
have floats in a buffer that stays in the cache, and torch multiply them.
"""

from __future__ import annotations

from typing import Any

import numba
import torch
from torch import nn

from qwen_desktop.engine.cpu import tiles
from qwen_desktop.engine.cpu.facts import LINEARS, kind_of_linear, shift_of
from qwen_desktop.engine.cpu.tables import places_of
from qwen_desktop.engine.cpu.vectors import KINDS
from qwen_desktop.engine.quant.linear import PackedLinear

FEW = 72  # rows, up to which registers are enough
_BLOCK = 2**20  # weights that are floats at a time
_SPARE = 3  # rows that `tiles.products` may touch behind the last


class Product:
    """y = x · weight.T for one matrix, which has to stay where it is."""

    def __init__(self, linear: PackedLinear, threads: int) -> None:
        name = kind_of_linear(linear)
        self._kind, self._eighths = KINDS[name], name in tiles.EIGHTHS
        self._where = (*places_of(linear), shift_of(linear))
        self._size = linear.out_features, linear.in_features
        self._threads = threads

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product for `x` [rows, in] of any floats: float32 [rows, out]."""
        numba.set_num_threads(self._threads)  # belongs to the thread, not to the process
        outputs, inputs = self._size
        count = len(x)
        floats = torch.empty((count + _SPARE, inputs))
        if self._eighths:
            part = x.view(count, -1, 8, 8).transpose(2, 3)
            floats[:count].view(count, -1, 8, 8).copy_(part)
        else:
            floats[:count] = x
        y = torch.empty((count + _SPARE, outputs))
        if count <= FEW and outputs % 2 == 0:
            floats[count:] = 0
            at, to = floats.data_ptr(), y.data_ptr()
            tiles.products(self._kind, *self._where, outputs, inputs, at, count, to)
            return y[:count]
        step = max(1, _BLOCK // inputs)
        buffer = torch.empty((min(step, outputs), inputs))
        for first in range(0, outputs, step):
            last = min(first + step, outputs)
            tiles.floats_of(self._kind, *self._where, first, last, inputs, buffer.data_ptr())
            made = nn.functional.linear(floats[:count], buffer[: last - first])
            y[:count, first:last] = made
        return y[:count]


def multiply_compiled(model: Any, threads: int) -> None:
    """Let the packed linears of the layers of `model` multiply by compiled code."""
    for layer in model.get_decoder().layers:
        for linear in map(layer.get_submodule, LINEARS):
            if isinstance(linear, PackedLinear):
                linear.compiled = Product(linear, threads)
