"""Cosines and sines of positions, computed once by the model's own module and kept in tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from qwen_desktop.engine.layers import head_dim

FEWEST = 1024  # positions of a table, a power of two


@dataclass(frozen=True)
class Table:
    """Rows of positions from 0 on. Turning `x`: x · cos + (x with its halves swapped) · sin.

    In float32 where the model turns in it whatever its dtype is, else in the model's dtype.
    """

    cos: torch.Tensor  # [positions, head_dim]
    sin: torch.Tensor  # the same; that of the first half is negative
    factors: torch.Tensor | None  # [positions], of queries; None where the model knows none

    def part(self, first: int, last: int) -> Table:
        """Views of the positions from `first` up to `last`."""
        factors = None if self.factors is None else self.factors[first:last]
        return Table(self.cos[first:last], self.sin[first:last], factors)

    def at(self, position: torch.Tensor) -> Table:
        """The row of `position`, int64 [1] on the device of the table."""
        factors = None if self.factors is None else self.factors.index_select(0, position)
        cos, sin = self.cos.index_select(0, position), self.sin.index_select(0, position)
        return Table(cos, sin, factors)


class Angles:
    """Tables of one model, by the scale of positions that a prompt called for."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tables: dict[float, Table] = {}

    def bytes_for(self, length: int) -> int:
        """Memory of a table of `length` positions."""
        model = self._model
        dtype = torch.float32 if hasattr(model, "set_rope_scale") else model.dtype
        width = head_dim(model.config.get_text_config(decoder=True))
        return 2 * _positions(length) * width * int(dtype.itemsize)

    def upto(self, length: int, scale: float) -> Table:
        """A table of at least `length` positions for the rope scale `scale`.

        One that was given out before stays right when a longer one has been made.
        """
        found = self._tables.get(scale)
        if found is None or len(found.cos) < length:
            self._tables[scale] = found = self._made(_positions(length), scale)
        return found

    def _made(self, positions: int, scale: float) -> Table:
        model = self._model
        places = torch.arange(positions, device=model.device)[None]
        like = torch.zeros(1, dtype=model.dtype, device=model.device)
        with torch.inference_mode():
            if hasattr(model, "set_rope_scale"):
                model.set_rope_scale(scale)
            found = model.get_decoder().rotary_emb(like, places)
            cos, sin = found[0][0], found[1][0].clone()
            sin[:, : sin.shape[-1] // 2].neg_()
        factors = found[2] if len(found) > 2 else None  # the first Qwen's
        return Table(cos.contiguous(), sin, None if factors is None else factors[0].contiguous())


def _positions(length: int) -> int:
    """How many positions the table for `length` has."""
    return max(FEWEST, 1 << (length - 1).bit_length())


def turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """`x` [tokens, heads, head_dim] turned by rows of a table, [tokens, head_dim], in its dtype."""
    exact = x.to(cos.dtype)
    swapped = exact.roll(x.shape[-1] // 2, -1)
    if x.device.type == "cpu":  # rounded as often as the module does it
        return (exact * cos[:, None]).add_(swapped.mul_(sin[:, None])).to(x.dtype)
    return torch.addcmul(exact * cos[:, None], swapped, sin[:, None]).to(x.dtype)
