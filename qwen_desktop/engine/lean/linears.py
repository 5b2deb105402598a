"""Matrix products of a layer: those of the same input joined, and a kernel for 8 bits on cards.

Weights stay those of the model's modules. Where several are joined, they become one tensor and the
modules' parameters views of its rows, so that nothing is held twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.halves import HalfLinear
from qwen_desktop.engine.lean.trial import quickest
from qwen_desktop.engine.quant.linear import Int8Linear


class Joined:
    """y = the outputs of several linears side by side, for inputs [rows, in]."""

    def __init__(self, linears: Sequence[Any]) -> None:
        """Joined by `join` alone; until then the linears multiply one after another."""
        self.sizes = tuple(int(linear.out_features) for linear in linears)
        self._linears = tuple(linears)
        self._whole: Any = None

    @property
    def is_joined(self) -> bool:
        """Whether one product gives all outputs."""
        return self._whole is not None

    @property
    def products(self) -> tuple[Any, ...]:
        """The modules whose `forward` multiplies: one where they are joined."""
        return self._linears if self._whole is None else (self._whole,)

    def join(self) -> bool:
        """Make one matrix of them, if they are alike and floats: whether they are one now.

        Takes the memory of one more of them for a moment. Raises what an allocator raises; then
        nothing was changed.
        """
        if self._whole is None and len(self._linears) > 1 and _alike(self._linears):
            self._whole = _one(self._linears)
        return self.is_joined

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, the sum of `sizes`] for `x` [rows, in]."""
        if self._whole is not None:
            found: torch.Tensor = self._whole.forward(x)
            return found
        parts = [linear.forward(x) for linear in self._linears]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def apart(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs of each, [rows, size], as views where they are joined."""
        if self._whole is not None:
            return tuple(self._whole.forward(x).split(self.sizes, dim=-1))
        return tuple(linear.forward(x) for linear in self._linears)


def _alike(linears: Sequence[Any]) -> bool:
    kinds = {
        (type(one), one.weight.dtype, one.weight.device, one.in_features, one.bias is None)
        for one in linears
        if type(one) in (nn.Linear, HalfLinear)
    }
    return len(kinds) == 1 and all(type(one) in (nn.Linear, HalfLinear) for one in linears)


def _one(linears: Sequence[Any]) -> Any:
    """A linear of all rows, of the kind of its parts, which then are views of it."""
    with torch.no_grad():
        weight = torch.cat([linear.weight for linear in linears])
        bias = None
        if linears[0].bias is not None:
            bias = torch.cat([linear.bias for linear in linears])
    whole = nn.Linear(weight.shape[1], len(weight), bias=False, device="meta", dtype=weight.dtype)
    whole.__class__ = type(linears[0])
    whole.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        whole.bias = nn.Parameter(bias, requires_grad=False)
    first = 0
    for linear in linears:
        rows = slice(first, first + linear.out_features)
        linear.weight.data = weight[rows]
        if bias is not None:
            linear.bias.data = bias[rows]
        first = rows.stop
    return whole


class Int8Product:
    """y = x · weight.T for few rows on a card, by its units for products of 8-bit integers.

    An input becomes the integer q = round(x / s) of 22 bits with s = max |x| / (127 · 2¹⁴), taken
    apart into three numbers of 8 bits: q = 2¹⁴ · a + 2⁷ · b + c. All are rows of one product of
    integers, so that the weight is read once, as the codes that it is:

        y = s · scale · (2¹⁴ · (a · codes) + 2⁷ · (b · codes) + c · codes)

    What is lost is half of s for each input: less than bfloat16 loses, also beside an input that is
    a thousand times as large.
    """

    ROWS = 8  # up to which it is used
    _LARGEST = 127 * 2**14
    _PADDED = 32  # rows of the product; its kernel wants more than 16

    def __init__(self, linear: Int8Linear) -> None:
        self._linear = linear

    @staticmethod
    def fits(linear: Any) -> bool:
        """Whether `linear` is of a kind and size that the kernel takes."""
        return (
            isinstance(linear, Int8Linear)
            and linear.form.group == linear.in_features
            and not linear.form.own
            and linear.in_features % 8 == 0
            and linear.out_features % 8 == 0
        )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, out] for `x` [rows, in]; float32 where there are few rows."""
        if len(x) > self.ROWS:
            return self._linear._product(x)
        return self.product(x)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """The product of integers for up to `ROWS` rows."""
        linear, count = self._linear, len(x)
        exact = x.float()
        step = exact.abs().amax(dim=1, keepdim=True).clamp_min_(1e-30) / self._LARGEST
        rest = (exact / step).round_()
        rows = x.new_zeros((self._PADDED, linear.in_features), dtype=torch.int8)
        for part, unit in enumerate((2**14, 2**7)):
            digits = (rest / unit).round_()
            rows[part * count : (part + 1) * count] = digits
            rest = rest.sub_(digits, alpha=unit)
        rows[2 * count : 3 * count] = rest
        codes = linear.codes.view(linear.out_features, linear.in_features)
        made = torch._int_mm(rows, codes.t())[: 3 * count].float().view(3, count, -1)
        y = made[0].mul_(2**7).add_(made[1]).mul_(2**7).add_(made[2])
        return y.mul_(step).mul_(linear.scales.view(1, -1))


def use_int8_product(linears: Sequence[Any], device: torch.device, dtype: torch.dtype) -> int:
    """Let the 8-bit linears among `linears`, on a card, multiply as is quickest: how many do so.

    One of each size is tried with one row.
    """
    best: dict[tuple[int, int], bool] = {}
    count = 0
    for linear in linears:
        if not Int8Product.fits(linear):
            continue
        product, size = Int8Product(linear), (linear.out_features, linear.in_features)
        if size not in best:
            x = torch.randn(1, size[1], device=device).to(dtype)
            ways = {
                "floats": lambda one=linear, x=x: one._product(x),
                "integers": lambda one=product, x=x: one.product(x),
            }
            best[size] = quickest(ways, device) == "integers"
        if best[size]:
            linear.compiled = product
            count += 1
    return count
