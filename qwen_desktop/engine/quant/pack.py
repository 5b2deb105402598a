"""Matrices to the codes that are kept in memory, as parts of the linears of linear.py.

Float weights are rounded here, to 8 bits with a scale per output or to 4 bits with scale and zero
per group; codes that a folder brings are only laid out anew. Every rounded weight is within half a
step of the original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.unpack import BLOCK, Codes

Parts = Mapping[str, torch.Tensor]


def part_shapes(
    form: Form, shape: tuple[int, ...], dtype: torch.dtype
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and dtype of every part of a matrix of `shape` [out, in] computed in `dtype`.

    With int4 codes are in pairs along the inputs, the first in the upper half of the byte, and
    scales pairs of s and z: weight = (code - 8) * s + z. With int8 codes are signed and per group
    of inputs: weight = (code - zero) * scale.
    """
    outputs, inputs = shape
    groups = inputs // form.group
    found: dict[str, tuple[tuple[int, ...], torch.dtype]]
    if form.bits == 4:
        found = {
            "codes": ((outputs, inputs // 2), torch.uint8),
            "scales": ((groups, outputs, 2), dtype),
        }
    else:
        found = {
            "codes": ((groups, outputs, form.group), torch.int8),
            "scales": ((groups, outputs), torch.float32 if form.own else dtype),
        }
        if form.own:
            found["zeros"] = ((groups, outputs), torch.int16)
    if form.ordered:
        found["order"] = ((inputs,), torch.int32)
    return found


def round_off(
    weight: torch.Tensor, form: Form, dtype: torch.dtype, check: Callable[[], None]
) -> Parts:
    """The parts of the float matrix `weight` [out, in] rounded to `form`.

    `check` is called often and may raise.
    """
    shapes = part_shapes(form, tuple(weight.shape), dtype)
    parts = {name: torch.empty(*shape, dtype=of) for name, (shape, of) in shapes.items()}
    step = max(1, BLOCK // weight.shape[1])
    for first in range(0, len(weight), step):
        check()
        some = weight[first : first + step].float()
        if form.bits == 4:
            _round4(some, form.group, parts, first)
        else:
            _round8(some, parts, first)
    return parts


def _upward(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Positive float32 `values` as `dtype`, never less than they were."""
    found = values.to(dtype)
    less = found.float() < values
    up = torch.nextafter(found, torch.full((), torch.inf, dtype=dtype))
    return torch.where(less, up, found)


def _round8(some: torch.Tensor, parts: Parts, first: int) -> None:
    dtype = parts["scales"].dtype
    scale = _upward(some.abs().amax(dim=1) / 127, dtype)
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)  # a row of zeros
    last = first + len(some)
    parts["scales"][0, first:last] = scale
    parts["codes"][0, first:last] = (some / scale.float()[:, None]).round_().to(torch.int8)


def _round4(some: torch.Tensor, group: int, parts: Parts, first: int) -> None:
    dtype = parts["scales"].dtype
    rows, inputs = some.shape
    grouped = some.view(rows, inputs // group, group)
    low, high = grouped.amin(dim=2), grouped.amax(dim=2)
    # The zero is rounded too: the steps have to span what that moves it by.
    room = torch.finfo(dtype).eps * torch.maximum(low.abs(), high.abs())
    scale = _upward((high - low + 2 * room) / 15, dtype)
    zero = ((low + high) / 2 + scale.float() / 2).to(dtype)  # of code 8, in the middle of 0..15
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)  # a group of zeros
    steps = (grouped - zero.float()[:, :, None]) / scale.float()[:, :, None]
    codes = steps.round_().add_(8).clamp_(0, 15).to(torch.uint8).view(rows, inputs)
    last = first + rows
    parts["codes"][first:last] = in_pairs(codes)
    parts["scales"][:, first:last] = torch.stack((scale, zero), dim=-1).transpose(0, 1)


def in_pairs(codes: torch.Tensor) -> torch.Tensor:
    """uint8 [out, in] of 4 bits each as uint8 [out, in / 2], the first of a pair above."""
    return codes[:, ::2] << 4 | codes[:, 1::2]


def laid_out(codes: Codes, form: Form, dtype: torch.dtype) -> Parts | None:
    """The parts of a folder's own `codes`; None where groups are not of one size."""
    outputs, inputs = codes.codes.shape
    values = codes.codes
    parts: dict[str, torch.Tensor] = {}
    if form.ordered:
        order = torch.arange(inputs)
        if codes.groups is not None:
            order = torch.argsort(codes.groups, stable=True)
            even = torch.arange(inputs) // codes.group
            if not torch.equal(codes.groups[order], even):
                return None
            values = values[:, order]
        parts["order"] = order.to(torch.int32)
    if form.bits == 4:
        repeats = codes.group // form.group
        scale = codes.scales.repeat_interleave(repeats, dim=0)
        zero = (8 - codes.zeros.repeat_interleave(repeats, dim=0)) * scale
        parts["codes"] = in_pairs(values)
        parts["scales"] = torch.stack((scale, zero), dim=-1).to(dtype)
        return parts
    groups = inputs // form.group
    signed = (values ^ 128).view(torch.int8)  # less 128
    parts["codes"] = signed.view(outputs, groups, form.group).transpose(0, 1).contiguous()
    parts["scales"] = codes.scales
    parts["zeros"] = codes.zeros - 128
    return parts
