"""Rows of 4-bit codes for CPUs that add up products of bytes in fours (x86: AVX-512, vpdpbusd).

An activation is a whole number of 16 bits, as in `kernels.py`, but in two bytes, each with a sign:
x = 256 · high + low. Codes meet both; four products at a time end in a lane of 32 bits, where
nothing is rounded. What has to be taken away since codes are centred at 8 is there at first.

    a row     | byte 0: codes 0 and 1, the first above | byte 1: codes 2 and 3 | …
    planes    | high of x0 x2 x4 … | high of x1 x3 … | low of x0 x2 … | low of x1 x3 … | centres
    lane l    codes 8l … 8l + 7; centres[l] = −8 · Σ their x, int32; steps[l] their scale, float32
    totals    Σ x · step of each group that shares a scale, float32

The bytes of `planes`: 4 · n/2 and n/8 integers, in one array of int16 [5/4 · n].
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from qwen_desktop.engine.cpu.vectors import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LANES,
    floats_of_bits,
    function,
    joined,
    load,
    multiply_add,
    picked,
    pointer,
    prefetch,
    splat,
    start_of,
    store,
    sums,
    total,
    vector,
    zeros,
)

GROUP = 64  # activations that share a step
_TOP = 32639  # the largest integer: 127 · 256 + 127
_WIDE = 16  # lanes of a vector
_CODES = 32  # that share a scale, at least
# Bytes from what is read to what is asked for: such short work waits for memory otherwise.
_AHEAD = 3072


def _fours(builder: Any, added: Any, codes: Any, values: Any) -> Any:
    """Lanes of 32 bits plus the products of their four bytes: codes have no sign, values have."""
    of = added.type
    call = function(builder, f"llvm.x86.avx512.vpdpbusd.{32 * of.count}", of, [of] * 3)
    return builder.call(call, [added, *(builder.bitcast(part, of) for part in (codes, values))])


def _same(of: Any, number: int) -> Any:
    return ir.Constant(of, [number] * of.count)


def _scales(builder: Any, address: Any, first: Any, lanes: int) -> Any:
    """Floats of bfloat16, one for each four lanes, from the number `first` on."""
    bits = load(builder, pointer(builder, address, first, 2), vector(I16, lanes // 4))
    order = [index for lane in range(lanes) for index in (lanes // 4, lane // 4)]
    return builder.bitcast(picked(builder, bits, zeros(bits.type), order), vector(F32, lanes))


def _scales_of_many(builder: Any, address: Any, first: Any, shift: Any, lanes: int) -> Any:
    """The same where 2^`shift` groups share each."""
    parts = []
    for number in range(lanes // 4):
        index = builder.lshr(builder.add(first, I64(number)), shift)
        bits = splat(builder, load(builder, pointer(builder, address, index, 2), I16), 8)
        upper = builder.and_(builder.bitcast(bits, vector(I32, 4)), _same(vector(I32, 4), -65536))
        parts.append(upper)
    return builder.bitcast(joined(builder, parts), vector(F32, lanes))


def _add(builder: Any, raw: Any, scale: Any, inputs: Any, offset: Any, place: Any) -> None:
    """Add a vector of bytes, two codes in each, times its inputs to the floats at `place`.

    `inputs` are the addresses of the four planes, the centres and the steps; `offset` counts bytes.
    """
    *planes, centres, steps = inputs
    bytes_, words, lanes = raw.type, vector(I16, raw.type.count // 2), raw.type.count // 4
    odd = builder.and_(raw, _same(bytes_, 15))
    moved = builder.lshr(builder.bitcast(raw, words), _same(words, 4))
    even = builder.and_(builder.bitcast(moved, bytes_), _same(bytes_, 15))
    high = zeros(vector(I32, lanes))
    low = load(builder, pointer(builder, centres, offset, 1), high.type)
    for codes, plane, other in zip((even, odd), planes[:2], planes[2:], strict=True):
        above, below = (
            load(builder, pointer(builder, at, offset, 1), bytes_) for at in (plane, other)
        )
        high, low = _fours(builder, high, codes, above), _fours(builder, low, codes, below)
    whole = builder.add(builder.shl(high, _same(high.type, 8)), low)
    value = builder.sitofp(whole, vector(F32, lanes))
    step = load(builder, pointer(builder, steps, offset, 1), value.type)
    factor = builder.fmul(scale, step)
    builder.store(multiply_add(builder, value, factor, builder.load(place)), place)


def _add_zeros(builder: Any, row: Any, totals: Any, groups: Any, place: Any) -> None:
    """Σ zero · total, sixteen at a time; what is behind `groups` is not read, or does not count."""
    of = vector(I16, _WIDE)
    read = function(
        builder, "llvm.masked.load.v16i16.p0", of,
        [of.as_pointer(), I32, vector(ir.IntType(1), _WIDE), of],
    )  # fmt: skip
    with cgutils.for_range(builder, builder.udiv(builder.add(groups, I64(15)), I64(16))) as loop:
        first = builder.mul(loop.index, I64(_WIDE))
        order = ir.Constant(vector(I64, _WIDE), list(range(_WIDE)))
        number = builder.add(splat(builder, first, _WIDE), order)
        there = builder.icmp_signed("<", number, splat(builder, groups, _WIDE))
        found = load(builder, pointer(builder, totals, first, 4), vector(F32, _WIDE))
        found = builder.select(there, found, zeros(found.type))
        at = builder.bitcast(pointer(builder, row, first, 2), of.as_pointer())
        bits = builder.call(read, [at, I32(1), there, zeros(of)])
        zero = floats_of_bits(builder, bits)
        builder.store(multiply_add(builder, zero, found, builder.load(place)), place)


@intrinsic  # type: ignore[untyped-decorator]
def row_of_planes(
    _typing: Any, row: Any, scales: Any, zero: Any, shift: Any, planes: Any, steps: Any,
    totals: Any, length: Any,
) -> Any:  # fmt: skip
    """Σ weight · x of the row at an address, where weight = (code − 8) · scale + zero.

    2^`shift` groups of 32 codes share bfloat16 scale and zero, at addresses of their own. `length`
    is a multiple of 64; the rest is what `to_planes` made.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code_at, scale_at, zero_at, by, given, given_steps, given_totals, n = arguments
        plane_at = start_of(context, builder, signature.args[4], given)
        step_at = start_of(context, builder, signature.args[5], given_steps)
        total_at = start_of(context, builder, signature.args[6], given_totals)
        half = builder.udiv(n, I64(2))
        inputs = [builder.add(plane_at, builder.mul(half, I64(i))) for i in range(5)] + [step_at]
        (place,), (rest,) = sums(builder, 1, vector(F32, _WIDE)), sums(builder, 1)

        def block(at: Any, lanes: int, into: Any, shared: bool) -> None:
            prefetch(builder, builder.add(code_at, builder.add(at, I64(_AHEAD))))
            raw = load(builder, pointer(builder, code_at, at, 1), vector(I8, 4 * lanes))
            first = builder.udiv(at, I64(_CODES // 2))
            if shared:
                scale = _scales_of_many(builder, scale_at, first, by, lanes)
            else:
                scale = _scales(builder, scale_at, first, lanes)
            _add(builder, raw, scale, inputs, at, into)

        whole = builder.udiv(half, I64(4 * _WIDE))
        done = builder.mul(whole, I64(4 * _WIDE))
        with builder.if_else(builder.icmp_signed("==", by, I64(0))) as branches:
            for branch, shared in zip(branches, (False, True), strict=True):
                with branch:
                    with cgutils.for_range(builder, whole) as loop:
                        block(builder.mul(loop.index, I64(4 * _WIDE)), _WIDE, place, shared)
                    with builder.if_then(builder.icmp_signed("!=", done, half)):
                        block(done, LANES, rest, shared)
        groups = builder.sub(builder.udiv(n, I64(_CODES)), I64(1))
        groups = builder.add(builder.lshr(groups, by), I64(1))
        _add_zeros(builder, zero_at, total_at, groups, place)
        last = joined(builder, [builder.load(rest), zeros()])
        return total(builder, builder.fadd(builder.load(place), last))

    integer = types.int64
    return types.float32(*[integer] * 4, planes, steps, totals, integer), generate


@intrinsic  # type: ignore[untyped-decorator]
def _fill(_typing: Any, x: Any, length: Any, planes: Any, steps: Any, totals: Any) -> Any:
    """`to_planes` with a total for each 32 activations."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n = arguments[1]
        x_at, plane_at, step_at, total_at = (
            start_of(context, builder, signature.args[i], arguments[i]) for i in (0, 2, 3, 4)
        )
        half = builder.udiv(n, I64(2))
        centre_at = builder.add(plane_at, builder.mul(n, I64(2)))
        of, whole_of, eighth = vector(F32, GROUP), vector(I32, GROUP), vector(I32)
        with cgutils.for_range(builder, builder.udiv(n, I64(GROUP))) as loop:
            first = builder.mul(loop.index, I64(GROUP))
            values = load(builder, pointer(builder, x_at, first, 4), of)
            sizes = builder.call(function(builder, f"llvm.fabs.v{GROUP}f32", of, [of]), [values])
            largest = function(builder, f"llvm.vector.reduce.fmax.v{GROUP}f32", F32, [of])
            top = builder.call(largest, [sizes])
            top = builder.select(builder.fcmp_unordered("<", top, F32(1e-20)), F32(1e-20), top)
            step = builder.fdiv(top, F32(float(_TOP)))
            per = splat(builder, builder.fdiv(F32(float(_TOP)), top), GROUP)
            rint = function(builder, f"llvm.rint.v{GROUP}f32", of, [of])
            nearest = builder.call(rint, [builder.fmul(values, per)])
            whole = builder.fptosi(nearest, whole_of)
            low = builder.trunc(whole, vector(I8, GROUP))
            above = builder.sub(whole, builder.sext(low, whole_of))
            high = builder.trunc(builder.ashr(above, _same(whole_of, 8)), low.type)
            at = builder.mul(loop.index, I64(GROUP // 2))
            lanes = zeros(eighth)
            for number, part in enumerate((high, low)):
                if number:
                    lanes = builder.shl(lanes, _same(eighth, 8))
                for odd in range(2):
                    plane = picked(builder, part, part, range(odd, GROUP, 2))
                    to = builder.add(builder.mul(half, I64(2 * number + odd)), at)
                    store(builder, plane, pointer(builder, plane_at, to, 1))
                    lanes = _fours(builder, lanes, _same(plane.type, 1), plane)
            lane = builder.mul(loop.index, I64(LANES))
            centre = builder.mul(lanes, _same(eighth, -8))
            store(builder, centre, pointer(builder, centre_at, lane, 4))
            store(builder, splat(builder, step), pointer(builder, step_at, lane, 4))
            for group in range(GROUP // _CODES):
                own = picked(builder, lanes, lanes, range(4 * group, 4 * group + 4))
                add = function(builder, "llvm.vector.reduce.add.v4i32", I32, [own.type])
                found = builder.fmul(builder.sitofp(builder.call(add, [own]), F32), step)
                to = builder.add(builder.mul(loop.index, I64(GROUP // _CODES)), I64(group))
                store(builder, found, pointer(builder, total_at, to, 4))
        return context.get_dummy_value()

    return types.void(x, types.int64, planes, steps, totals), generate


@njit(nogil=True)  # type: ignore[untyped-decorator]
def to_planes(x: Any, n: Any, shift: Any, planes: Any, steps: Any, totals: Any) -> None:
    """Fill in what rows meet, for `n` floats `x`, a multiple of 64. `totals` has 16 more."""
    _fill(x, n, planes, steps, totals)
    if shift:
        for i in range(n // _CODES):
            found = totals[i]
            group = i >> shift
            if group << shift == i:
                totals[group] = found
            else:
                totals[group] += found
