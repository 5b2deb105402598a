"""Rows of a matrix times rows of bfloat16, on a CPU with units for it (AVX512-BF16): prompts.

The instruction takes two vectors of 32 bfloats and adds products of pairs to 16 floats. A tile is
four rows of weights and up to six of activations, whose 24 sums stay in registers:

             x0   x1   x2   x3   x4   x5      32 inputs at a time, a vector of each row
    row 4q   s00  s01  s02  s03  s04  s05
    …
    row 4q+3 s30  s31  s32  s33  s34  s35

Weights that are codes become four rows of bfloats first, in a room of the thread that stays in its
nearest cache, and then meet all activations there. Codes of 8 bits whose row has one scale are
bfloats as they are, and sums are multiplied by it. Weights of bfloat16 are read where they lie.
numpy and numba, no torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from qwen_desktop.engine.cpu.kernels import GROUP
from qwen_desktop.engine.cpu.tiles import sizes
from qwen_desktop.engine.cpu.vectors import (
    F32,
    I8,
    I16,
    I32,
    I64,
    SCALES,
    ZEROS,
    floats,
    function,
    joined,
    kind_of,
    load,
    multiply_add,
    pointer,
    prefetch,
    single,
    splat,
    store,
    sums,
    total,
    vector,
)

CODES = frozenset({"int4", "int8", "int8own"})
KINDS_HERE = CODES | {"bfloat16"}
ROWS = 4  # of weights in a tile; matrices with fewer are left to others
INPUTS = 32  # that a row has to be a multiple of
_WIDE = 16  # floats in a vector
_FLOATS = vector(F32, _WIDE)
_ONE, _TWO, _THREE, _FOUR, _FIVE, _SIX = ((0,) * count for count in range(1, 7))


class _BFloat(ir.Type):  # type: ignore[misc] # llvmlite has no types here
    """What LLVM calls bfloat; llvmlite has no name for it."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_BF16 = _BFloat()
_BFLOATS, _LANES = vector(_BF16, INPUTS), vector(I16, INPUTS)
_PRODUCT = "llvm.x86.avx512bf16.dpbf16ps.512"


@lru_cache(maxsize=1)
def has_units() -> bool:
    """Whether the CPU multiplies bfloats."""
    return bool(binding.get_host_cpu_features().get("avx512bf16"))


def room_bytes(inputs: int, threads: int) -> int:
    """Bytes that `products_of_codes` wants for a matrix with so many inputs."""
    return threads * ROWS * inputs * 2


@intrinsic  # type: ignore[untyped-decorator]
def rounded(
    _typing: Any, kind: Any, row: Any, scales: Any, zeros: Any, shift: Any, count: Any, out: Any
) -> Any:
    """Put the `count` weights of the row of codes at an address as bfloats to the address `out`.

    Each is computed as float32 and rounded once; of the kind "int8" it is the code itself, which is
    exact. `zeros` is 0 where there are none.
    """
    name = kind_of(kind)
    make, size = (_of_halves, INPUTS // 2) if name == "int4" else (_of_bytes, INPUTS)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, codes, scale_at, zero_at, by, length, to = arguments
        groups = builder.udiv(length, I64(INPUTS))
        far = builder.mul(groups, I64(ROWS * size))
        with cgutils.for_range(builder, groups) as loop:
            at = builder.add(codes, builder.mul(loop.index, I64(size)))
            prefetch(builder, builder.add(at, far))
            made = make(builder, name, at, scale_at, zero_at, by, loop.index)
            place = pointer(builder, to, builder.mul(loop.index, I64(INPUTS)), 2)
            store(builder, made, place)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 6), generate


def _of_halves(
    builder: Any, name: str, codes: Any, scales: Any, zeros: Any, shift: Any, index: Any
) -> Any:
    """32 weights of 4 bits, (code - 8) · scale + zero: all of them share a scale.

    So there are 16 at most. They are computed and rounded first, then codes pick among them. Of the
    index of a lane the lowest five bits count, of which the fifth picks among two that are equal.
    """
    own = builder.lshr(index, shift)
    scale = splat(builder, single(builder, scales, own, SCALES[name]), _WIDE)
    zero = splat(builder, single(builder, zeros, own, ZEROS[name]), _WIDE)
    centred = ir.Constant(_FLOATS, [float(code - 8) for code in range(16)])
    known = _rounded(builder, multiply_add(builder, centred, scale, zero))
    of = vector(I32, _WIDE)
    pairs = builder.zext(load(builder, pointer(builder, codes, I64(0), 1), vector(I8, _WIDE)), of)
    upper = builder.lshr(pairs, ir.Constant(of, [4] * _WIDE))  # the first of two codes in a byte
    lower = builder.shl(pairs, ir.Constant(of, [16] * _WIDE))
    lanes = builder.bitcast(builder.or_(upper, lower), _LANES)
    pick = function(builder, "llvm.x86.avx512.permvar.hi.512", _LANES, [_LANES, _LANES])
    return builder.call(pick, [joined(builder, [known, known]), lanes])


def _rounded(builder: Any, values: Any) -> Any:
    """16 floats as bits of bfloats."""
    return builder.bitcast(builder.fptrunc(values, vector(_BF16, _WIDE)), vector(I16, _WIDE))


def _of_bytes(
    builder: Any, name: str, codes: Any, scales: Any, zeros: Any, shift: Any, index: Any
) -> Any:
    """32 weights of 8 bits, (code - zero) · scale: all of them share a scale."""
    found = [floats(builder, codes, I64(first), "int8", _WIDE) for first in (0, _WIDE)]
    if name == "int8":
        return joined(builder, [_rounded(builder, part) for part in found])
    own = builder.lshr(builder.lshr(index, I64(1)), shift)  # groups are counted by 64 inputs
    scale = splat(builder, single(builder, scales, own, SCALES[name]), _WIDE)
    # What is read of zeros at address 0 has to be somewhere else.
    there = builder.icmp_signed("!=", zeros, I64(0))
    place = builder.select(there, builder.add(zeros, builder.mul(own, I64(2))), scales)
    read = load(builder, pointer(builder, place, I64(0), 1), I16)
    zero = splat(builder, builder.sitofp(builder.select(there, read, I16(0)), F32), _WIDE)
    found = [builder.fmul(builder.fsub(part, zero), scale) for part in found]
    return joined(builder, [_rounded(builder, part) for part in found])


@intrinsic  # type: ignore[untyped-decorator]
def tile(
    _typing: Any, kind: Any, size: Any, row: Any, scales: Any, count: Any, x: Any, out: Any,
    stride: Any,
) -> Any:  # fmt: skip
    """out[i · stride + j] = Σ row_j · x_i for four rows and those of x [rows, count], of bfloats.

    `size` is a tuple of as many elements as x has rows. Addresses of bfloats; the four rows lie one
    behind the other. Those of the kind "int8" are multiplied by their scales.
    """
    name, columns = kind_of(kind), size.count

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, _, first, scale_at, inputs, x_at, to, across = arguments
        call = function(builder, _PRODUCT, _FLOATS, [_FLOATS, _BFLOATS, _BFLOATS])
        places = [sums(builder, columns, _FLOATS) for _ in range(ROWS)]
        rows = [builder.add(first, builder.mul(inputs, I64(2 * j))) for j in range(ROWS)]
        far = builder.mul(inputs, I64(ROWS))  # where the next four rows are, as a rule
        with cgutils.for_range(builder, builder.udiv(inputs, I64(INPUTS))) as loop:
            at = builder.mul(loop.index, I64(INPUTS))
            if name == "bfloat16":
                for own in rows:
                    there = builder.mul(builder.add(at, far), I64(2))
                    prefetch(builder, builder.add(own, there))
            weights = [load(builder, pointer(builder, own, at, 2), _BFLOATS) for own in rows]
            for i in range(columns):
                offset = builder.add(at, builder.mul(inputs, I64(i)))
                value = load(builder, pointer(builder, x_at, offset, 2), _BFLOATS)
                for weight, own in zip(weights, places, strict=True):
                    builder.store(builder.call(call, [builder.load(own[i]), weight, value]), own[i])
        for j, own in enumerate(places):
            scale = single(builder, scale_at, I64(j), SCALES[name]) if name == "int8" else None
            for i, place in enumerate(own):
                at = builder.add(builder.mul(across, I64(i)), I64(j))
                value = total(builder, builder.load(place))
                value = value if scale is None else builder.fmul(value, scale)
                store(builder, builder.fptrunc(value, _BF16), pointer(builder, to, at, 2))
        return context.get_dummy_value()

    return types.void(kind, size, *[types.int64] * 6), generate


@njit(inline="always")  # type: ignore[untyped-decorator]
def tiles_of(
    kind: Any, row: Any, scales: Any, n: Any, x: Any, count: Any, y: Any, outputs: Any
) -> None:
    """Four rows times all of x, in tiles of about the same size."""
    many = (count + len(_SIX) - 1) // len(_SIX)
    first = 0
    for number in range(many):
        size = (count - first) // (many - number)
        from_, to = x + first * n * 2, y + first * outputs * 2
        if size == len(_SIX):
            tile(kind, _SIX, row, scales, n, from_, to, outputs)
        elif size == len(_FIVE):
            tile(kind, _FIVE, row, scales, n, from_, to, outputs)
        elif size == len(_FOUR):
            tile(kind, _FOUR, row, scales, n, from_, to, outputs)
        elif size == len(_THREE):
            tile(kind, _THREE, row, scales, n, from_, to, outputs)
        elif size == len(_TWO):
            tile(kind, _TWO, row, scales, n, from_, to, outputs)
        else:
            tile(kind, _ONE, row, scales, n, from_, to, outputs)
        first += size


@njit(parallel=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def products_of_codes(
    kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, outputs: Any, n: Any, x: Any,
    count: Any, y: Any, room: Any,
) -> None:  # fmt: skip
    """y [count, outputs] = x [count, n] times a matrix of codes, both bfloats at addresses.

    `n` is a multiple of 64, `outputs` at least 4. `room` is the address of `room_bytes`.
    """
    of_row, of_scales, of_zeros = sizes(kind, n, shift)
    for number in prange((outputs + ROWS - 1) // ROWS):
        first = min(ROWS * number, outputs - ROWS)  # the last ones may be computed twice
        at = room + numba.get_thread_id() * ROWS * n * 2
        for j in range(ROWS):
            row = first + j
            own = zeros + row * of_zeros if zeros else 0
            rounded(
                kind, rows + row * of_row, scales + row * of_scales, own, shift, n, at + j * n * 2
            )
        tiles_of(kind, at, scales + first * of_scales, n, x, count, y + first * 2, outputs)


@njit(parallel=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def products_of_bfloats(
    kind: Any, rows: Any, outputs: Any, n: Any, x: Any, count: Any, y: Any
) -> None:
    """y [count, outputs] = x [count, n] times a matrix of bfloats, all at addresses.

    `n` is a multiple of 32, `outputs` at least 4.
    """
    for number in prange((outputs + ROWS - 1) // ROWS):
        first = min(ROWS * number, outputs - ROWS)
        tiles_of(kind, rows + first * n * 2, 0, n, x, count, y + first * 2, outputs)


def run_once(kind: Any, name: str, at: int) -> None:
    """Compile what multiplies `kind`, or read its code; `at` is the address of many zeros."""
    made = np.zeros(2 * ROWS * GROUP, np.uint16)
    to = made.ctypes.data
    if name in CODES:
        room = np.zeros(room_bytes(GROUP, numba.get_num_threads()), np.uint8)
        products_of_codes(kind, at, at, at, 0, ROWS, GROUP, at, 1, to, room.ctypes.data)
    elif name in KINDS_HERE:
        products_of_bfloats(kind, at, ROWS, GROUP, at, 1, to)
