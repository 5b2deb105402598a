"""Rows of a matrix times several rows of activations: prompts. numpy and numba, no torch.

A tile is two rows of weights and six of activations: what is loaded or unpacked of one side meets
all of the other, and its twelve sums stay in registers. Up to four rows that are left over are a
smaller tile.

             x0   x1   x2   x3   x4   x5      64 inputs at a time, eight vectors of each row
    row 2r   s00  s01  s02  s03  s04  s05
    row 2r+1 s10  s11  s12  s13  s14  s15

Codes of 4 bits are unpacked without moving them between lanes. So they come in the order 0 8 … 56,
1 9 … 57, …, 7 15 … 63 of each 64 inputs, and activations have to lie in that order (`EIGHTHS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from qwen_desktop.engine.cpu.kernels import GROUP
from qwen_desktop.engine.cpu.step import INT4_GROUP, groups_of
from qwen_desktop.engine.cpu.vectors import (
    BYTES,
    F32,
    I16,
    I32,
    I64,
    LANES,
    SCALES,
    VECTOR,
    ZEROS,
    floats,
    kind_of,
    load,
    multiply_add,
    pointer,
    single,
    splat,
    store,
    sums,
    total,
    vector,
)

EIGHTHS = frozenset({"int4"})  # kinds whose activations lie in the order above
WIDE, NARROW = (0,) * 6, (0,) * 4  # rows of activations in a tile, as the lengths of tuples


def _block(
    builder: Any, name: str, row: Any, scales: Any, zeros: Any, shift: Any, index: Any
) -> Callable[[int], Any]:
    """The weights of 64 inputs of a row: gives the vector of floats of a number below eight.

    One by one, since there are not registers enough for all of them.
    """
    if name == "int4":
        return _block_of_halves(builder, row, scales, zeros, shift, index)
    first = builder.mul(index, I64(GROUP))

    def plain(number: int) -> Any:
        place = builder.add(first, I64(LANES * number))
        return floats(builder, row, place, "int8" if name in SCALES else name)

    if name not in SCALES:
        return plain
    own = builder.lshr(index, shift)
    scale = splat(builder, single(builder, scales, own, SCALES[name]))
    if name == "int8":
        return lambda number: builder.fmul(plain(number), scale)
    # No zeros are those at address 0: what is read then is of no use, but has to be somewhere.
    there = builder.icmp_signed("!=", zeros, I64(0))
    place = builder.select(there, builder.add(zeros, builder.mul(own, I64(2))), scales)
    read = load(builder, pointer(builder, place, I64(0), 1), I16)
    zero = splat(builder, builder.sitofp(builder.select(there, read, I16(0)), F32))
    return lambda number: builder.fmul(builder.fsub(plain(number), zero), scale)


def _block_of_halves(
    builder: Any, row: Any, scales: Any, zeros: Any, shift: Any, index: Any
) -> Callable[[int], Any]:
    def both(address: Any) -> Any:  # four lanes of the first group's number, four of the second's
        parts = []
        for half in range(2):
            number = builder.add(builder.mul(index, I64(2)), I64(half))
            at = pointer(builder, address, builder.lshr(number, shift), 2)
            bits = builder.bitcast(splat(builder, load(builder, at, I16), 8), vector(I32, 4))
            parts.append(builder.and_(bits, ir.Constant(vector(I32, 4), [-65536] * 4)))
        order = ir.Constant(vector(I32), list(range(LANES)))
        return builder.bitcast(builder.shuffle_vector(*parts, order), VECTOR)

    scale, zero = both(scales), both(zeros)
    offset = multiply_add(builder, scale, ir.Constant(VECTOR, [-8.0] * LANES), zero)
    of = vector(I32)
    lanes = load(builder, pointer(builder, row, builder.mul(index, I64(32)), 1), of)

    def made(number: int) -> Any:  # of two codes in a byte, the first is above
        bits = 4 * (number ^ 1)
        part = builder.lshr(lanes, ir.Constant(of, [bits] * LANES)) if bits else lanes
        if bits < 28:
            part = builder.and_(part, ir.Constant(of, [15] * LANES))
        return multiply_add(builder, builder.sitofp(part, VECTOR), scale, offset)

    return made


@intrinsic  # type: ignore[untyped-decorator]
def unpacked(
    _typing: Any, kind: Any, row: Any, scales: Any, zeros: Any, shift: Any, count: Any, out: Any
) -> Any:
    """Put the `count` weights of the row at an address as float32 to the address `out`."""
    name = kind_of(kind)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, codes, scale_at, zero_at, by, length, to = arguments
        with cgutils.for_range(builder, builder.udiv(length, I64(GROUP))) as loop:
            block = _block(builder, name, codes, scale_at, zero_at, by, loop.index)
            for number in range(GROUP // LANES):
                at = builder.add(builder.mul(loop.index, I64(GROUP)), I64(number * LANES))
                store(builder, block(number), pointer(builder, to, at, 4))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(kind, *[integer] * 6), generate


@intrinsic  # type: ignore[untyped-decorator]
def tile(
    _typing: Any, kind: Any, size: Any, rows: Any, scales: Any, zeros: Any, length: Any,
    of_scales: Any, of_zeros: Any, shift: Any, count: Any, x: Any, out: Any, stride: Any,
) -> Any:  # fmt: skip
    """out[i · stride + j] = Σ row_j · x_i for two rows and those of x [rows, count], at addresses.

    `size` is a tuple of as many elements as x has rows. The second row lies `length` bytes behind
    the first, its scales and zeros `of_scales` and `of_zeros`. `out` is the address of float32.
    """
    name, columns = kind_of(kind), size.count

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, _, row, scale_at, zero_at, next_row, next_scale, next_zero, *others = arguments
        by, inputs, x_at, to, step = others
        there = builder.icmp_signed("!=", zero_at, I64(0))
        second_zero = builder.select(there, builder.add(zero_at, next_zero), I64(0))
        sides = (
            (row, scale_at, zero_at),
            (builder.add(row, next_row), builder.add(scale_at, next_scale), second_zero),
        )
        places = [sums(builder, columns) for _ in sides]
        with cgutils.for_range(builder, builder.udiv(inputs, I64(GROUP))) as loop:
            blocks = [_block(builder, name, *side, by, loop.index) for side in sides]
            for number in range(GROUP // LANES):
                at = builder.add(builder.mul(loop.index, I64(GROUP)), I64(number * LANES))
                weights = [block(number) for block in blocks]
                for i in range(columns):
                    offset = builder.add(at, builder.mul(inputs, I64(i)))
                    value = floats(builder, x_at, offset, "float32")
                    for weight, own in zip(weights, places, strict=True):
                        added = multiply_add(builder, weight, value, builder.load(own[i]))
                        builder.store(added, own[i])
        for j, own in enumerate(places):
            for i, place in enumerate(own):
                at = builder.add(builder.mul(step, I64(i)), I64(j))
                store(builder, total(builder, builder.load(place)), pointer(builder, to, at, 4))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(kind, size, *[integer] * 11), generate


def sizes(kind: Any, n: Any, shift: Any) -> Any:
    """Bytes of a row of `n` weights, of its scales, of its zeros."""
    raise NotImplementedError  # only compiled code calls it


@overload(sizes, inline="always")  # type: ignore[untyped-decorator]
def _sizes_of(kind: Any, n: Any, shift: Any) -> Any:
    name = kind_of(kind)
    if name == "int4":

        def of_halves(kind: Any, n: Any, shift: Any) -> Any:
            size = 2 * groups_of(n, INT4_GROUP, shift)
            return n // 2, size, size

        return of_halves
    if name in SCALES:
        of_scale, of_zero = BYTES[SCALES[name]], BYTES[ZEROS.get(name, "int8")]

        def of_bytes(kind: Any, n: Any, shift: Any) -> Any:
            groups = groups_of(n, GROUP, shift)
            return n, of_scale * groups, of_zero * groups

        return of_bytes
    of_float = BYTES[name]

    def of_floats(kind: Any, n: Any, shift: Any) -> Any:
        return n * of_float, 0, 0

    return of_floats


@njit(parallel=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def floats_of(
    kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, first: Any, last: Any, n: Any,
    out: Any,
) -> None:  # fmt: skip
    """The rows `first` up to `last` of a matrix with `n` inputs, as float32 at the address `out`.

    `n` is a multiple of 64; see `EIGHTHS` for the order.
    """
    of_row, of_scales, of_zeros = sizes(kind, n, shift)
    for row in prange(first, last):
        own = zeros + row * of_zeros if zeros else 0
        to = out + (row - first) * n * 4
        unpacked(kind, rows + row * of_row, scales + row * of_scales, own, shift, n, to)


@njit(parallel=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def products(
    kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, outputs: Any, n: Any, x: Any,
    count: Any, y: Any,
) -> None:  # fmt: skip
    """y [count, outputs] = x [count, n] times a matrix, both float32 at addresses.

    `outputs` is even and `n` a multiple of 64; see `EIGHTHS` for the order. Both have room for
    three rows more, where something is read and written.
    """
    of_row, of_scales, of_zeros = sizes(kind, n, shift)
    for pair in prange(outputs // 2):
        row = 2 * pair
        at, of_row_scales = rows + row * of_row, scales + row * of_scales
        own = zeros + row * of_zeros if zeros else 0
        first = 0
        while count - first > len(NARROW):
            tile(
                kind, WIDE, at, of_row_scales, own, of_row, of_scales, of_zeros, shift, n,
                x + first * n * 4, y + (first * outputs + row) * 4, outputs,
            )  # fmt: skip
            first += len(WIDE)
        if first < count:
            tile(
                kind, NARROW, at, of_row_scales, own, of_row, of_scales, of_zeros, shift, n,
                x + first * n * 4, y + (first * outputs + row) * 4, outputs,
            )  # fmt: skip


def run_once(kind: Any, at: int) -> None:
    """Compile both for `kind`, or read their code; `at` is the address of a few thousand zeros."""
    room = np.zeros(2 * GROUP, np.float32)
    to = room.ctypes.data
    floats_of(kind, at, at, at, 0, 0, 2, GROUP, to)
    products(kind, at, at, at, 0, 2, GROUP, at, 1, to)
