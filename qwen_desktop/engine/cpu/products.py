"""Matrices times the rows of a prompt, by compiled code, for the linears of a model.

On a CPU with units for bfloat16, inputs of that kind meet weights in tiles (`bfloats.py`), however
many rows there are. On others, up to a few dozen rows, weights become floats in registers
(`tiles.products`); for more it pays to have floats in a buffer that stays in the cache, and torch
multiply them.
"""

from __future__ import annotations

from typing import Any

import numba
import torch
from torch import nn

from qwen_desktop.engine.cpu import bfloats, tiles
from qwen_desktop.engine.cpu.facts import LINEARS, kind_of_linear, shift_of
from qwen_desktop.engine.cpu.kernels import GROUP
from qwen_desktop.engine.cpu.tables import places_of
from qwen_desktop.engine.cpu.vectors import KINDS
from qwen_desktop.engine.halves import HalfLinear
from qwen_desktop.engine.quant.linear import PackedLinear

FEW = 72  # rows, up to which registers are enough
# Rows of bfloats times weights of bfloat16, up to which tiles are quicker than torch's kernel.
FEW_BFLOATS = 64
_BLOCK = 2**20  # weights that are floats at a time
_SPARE = 3  # rows that `tiles.products` may touch behind the last


class Product:
    """y = x · weight.T for one matrix, which has to stay where it is."""

    def __init__(self, linear: Any, threads: int) -> None:
        """`linear` is of a kind that `kind_of_linear` knows; its inputs are whole groups of 64."""
        self._name = kind_of_linear(linear)
        self._kind, self._eighths = KINDS[self._name], self._name in tiles.EIGHTHS
        self._where = (*places_of(linear), shift_of(linear))
        self._size = linear.out_features, linear.in_features
        self._threads = threads
        self._by_units = (
            bfloats.has_units()
            and self._name in bfloats.KINDS_HERE
            and linear.out_features >= bfloats.ROWS
        )

    @property
    def few(self) -> int:
        """Rows of a matrix of floats up to which this is quicker than torch."""
        return FEW_BFLOATS if self._by_units else FEW

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product for `x` [rows, in] of any floats: [rows, out], bfloat16 or float32."""
        numba.set_num_threads(self._threads)  # belongs to the thread, not to the process
        if self._by_units and x.dtype is torch.bfloat16:
            return self._of_bfloats(x.contiguous())
        return self._of_floats(x)

    def _of_bfloats(self, x: torch.Tensor) -> torch.Tensor:
        outputs, inputs = self._size
        y = x.new_empty((len(x), outputs))
        given = outputs, inputs, x.data_ptr(), len(x), y.data_ptr()
        if self._name not in bfloats.CODES:
            bfloats.products_of_bfloats(self._kind, self._where[0], *given)
            return y
        size = bfloats.room_bytes(inputs, self._threads)
        room = torch.empty(size, dtype=torch.uint8)
        bfloats.products_of_codes(self._kind, *self._where, *given, room.data_ptr())
        return y

    def _of_floats(self, x: torch.Tensor) -> torch.Tensor:
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
    """Let the linears of `model` multiply by compiled code, its head included.

    Those of 16 bits do so for a few rows; for one and for many torch is as quick.
    """
    linears = [
        layer.get_submodule(name) for layer in model.get_decoder().layers for name in LINEARS
    ]
    for linear in (*linears, model.get_output_embeddings()):
        if isinstance(linear, PackedLinear):
            linear.compiled = Product(linear, threads)
        elif linear.weight.dtype.itemsize == 2 and linear.in_features % GROUP == 0:
            if type(linear) is nn.Linear:
                linear.__class__, linear.by_floats = HalfLinear, False
            product = Product(linear, threads)
            linear.compiled, linear.few = product, product.few
