"""The kernels of the decode step: products of a row with a vector.

Each is one loop over memory, eight numbers at a time. Weights are read where torch has them, in
their own kind, and become floats in a register. `kind` arguments are arrays of
`vectors.KINDS`; addresses are 64-bit integers, offsets count elements.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qwen_desktop.engine.cpu.vectors import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LANES,
    SCALES,
    VECTOR,
    ZEROS,
    floats,
    function,
    kind_of,
    load,
    multiply_add,
    pointer,
    single,
    splat,
    start_of,
    sums,
    total,
    vector,
)

# Activations are rounded to 16-bit integers in groups of so many that share a scale: with codes of
# 8 bits, 64 products of a group sum up in 32 bits with room to spare.
GROUP = 64
_AT_ONCE = 4  # vectors of a row in flight: a product has to wait four cycles for its sum


@intrinsic  # type: ignore[untyped-decorator]
def dot(_typing: Any, kind: Any, row: Any, x: Any, count: Any) -> Any:
    """Σ row[i] · x[i] for `count` numbers; `x` is an array of float32.

    row   | w0 … w7 | w8 … w15 | …    of `kind`, at an address
    x     | x0 … x7 | x8 … x15 | …
    sums  |    s0   |    s1    | s2 | s3, then s0 again
    """
    name = kind_of(kind)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, weights, given, length = arguments
        values = start_of(context, builder, signature.args[2], given)
        partial = sums(builder, _AT_ONCE)

        def add(offset: Any, place: Any) -> None:
            row_part = floats(builder, weights, offset, name)
            x_part = floats(builder, values, offset, "float32")
            builder.store(multiply_add(builder, row_part, x_part, builder.load(place)), place)

        step = LANES * _AT_ONCE
        whole = builder.udiv(length, I64(step))
        with cgutils.for_range(builder, whole) as loop:
            first = builder.mul(loop.index, I64(step))
            for number, place in enumerate(partial):
                add(builder.add(first, I64(number * LANES)), place)
        done = builder.mul(whole, I64(step))
        rest = builder.udiv(builder.sub(length, done), I64(LANES))
        with cgutils.for_range(builder, rest) as loop:
            add(builder.add(done, builder.mul(loop.index, I64(LANES))), partial[0])
        done = builder.add(done, builder.mul(rest, I64(LANES)))
        last = cgutils.alloca_once_value(builder, F32(0.0))
        with cgutils.for_range(builder, builder.sub(length, done)) as loop:  # fewer than eight
            offset = builder.add(done, loop.index)
            one = builder.fmul(
                single(builder, weights, offset, name), single(builder, values, offset, "float32")
            )
            builder.store(builder.fadd(builder.load(last), one), last)
        return builder.fadd(total(builder, _added(builder, partial)), builder.load(last))

    return types.float32(kind, types.int64, x, types.int64), generate


def _added(builder: Any, places: list[Any]) -> Any:
    found = [builder.load(place) for place in places]
    while len(found) > 1:
        found = [builder.fadd(a, b) for a, b in zip(found[::2], found[1::2], strict=True)]
    return found[0]


@intrinsic  # type: ignore[untyped-decorator]
def dot_int8(
    _typing: Any, kind: Any, row: Any, scales: Any, shift: Any, x: Any, steps: Any, count: Any
) -> Any:
    """Σ row[i] · x[i] for codes of 8 bits and activations of 16, `count` a multiple of `GROUP`.

        row     | 64 codes | 64 codes | …            int8, at an address
        scales  | one for each 2^shift groups of 64  of `SCALES[kind]`, at an address
        x       | 64 values | 64 values | …          int16
        steps   | one float32 for each group of x

    16 products at a time become 8 sums of pairs (x86: vpmaddwd), which are whole numbers until the
    end of a group: 64 · 128 · 32767 fits into 32 bits.
    """
    scale_kind = SCALES[kind_of(kind)]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, codes, scale_at, groups_of_scale, given, given_steps, length = arguments
        values = start_of(context, builder, signature.args[4], given)
        step_at = start_of(context, builder, signature.args[5], given_steps)
        (sum_at,) = sums(builder, 1)
        with cgutils.for_range(builder, builder.udiv(length, I64(GROUP))) as loop:
            first = builder.mul(loop.index, I64(GROUP))
            pairs: list[Any] = [ir.Constant(vector(I32), [0] * LANES) for _ in range(2)]
            for number in range(GROUP // 16):
                offset = builder.add(first, I64(16 * number))
                w = load(builder, pointer(builder, codes, offset, 1), vector(I8, 16))
                a = load(builder, pointer(builder, values, offset, 2), vector(I16, 16))
                product = _pairs(builder, builder.sext(w, vector(I16, 16)), a)
                pairs[number % 2] = builder.add(pairs[number % 2], product)
            index = builder.lshr(loop.index, groups_of_scale)
            scale = single(builder, scale_at, index, scale_kind)
            step = load(builder, pointer(builder, step_at, loop.index, 4), F32)
            both = splat(builder, builder.fmul(scale, step))
            whole = builder.sitofp(builder.add(*pairs), VECTOR)
            builder.store(multiply_add(builder, whole, both, builder.load(sum_at)), sum_at)
        return total(builder, builder.load(sum_at))

    integer = types.int64
    return types.float32(kind, integer, integer, integer, x, steps, integer), generate


@intrinsic  # type: ignore[untyped-decorator]
def dot_int4(
    _typing: Any, row: Any, scales: Any, shift: Any, x: Any, steps: Any, count: Any
) -> Any:
    """Σ row[i] · x[i] for codes of 4 bits and activations of 16, `count` a multiple of `GROUP`.

        row     | 32 bytes | …   byte j of one: code 2j above, code 2j + 1 below; 0 … 15
        scales  | one bfloat16 for each 2^shift groups of 32 codes
        x       | 64 values | …  int16, every fourth one: 0 4 … 60, 1 5 … 61, 2 6 … 62, 3 7 … 63
        steps   | one float32 for each group of 64 of x

    Two bytes are one lane of 16 bits. Shifted by 0, 4, 8 and 12 bits its lowest four are a code,
    and 16 lanes every fourth code of a group: nothing changes its lane, which would cost most.
    Codes count as they are; what is added to them is `dot_offsets`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        codes, scale_at, groups_of_scale, given, given_steps, length = arguments
        values = start_of(context, builder, signature.args[3], given)
        step_at = start_of(context, builder, signature.args[4], given_steps)
        (sum_at,) = sums(builder, 1)
        wide = vector(I16, 16)

        def scale_of(index: Any) -> Any:  # four lanes of a float
            at = builder.lshr(index, groups_of_scale)
            bits = splat(builder, load(builder, pointer(builder, scale_at, at, 2), I16), 8)
            upper = ir.Constant(vector(I32, 4), [-65536] * 4)  # a bfloat16 is half a float
            return builder.and_(builder.bitcast(bits, vector(I32, 4)), upper)

        with cgutils.for_range(builder, builder.udiv(length, I64(GROUP))) as loop:
            first = builder.mul(loop.index, I64(GROUP))
            at = builder.mul(loop.index, I64(32))
            lanes = load(builder, pointer(builder, codes, at, 1), wide)
            products = []
            for number, bits in enumerate((4, 0, 12, 8)):
                part = builder.lshr(lanes, ir.Constant(wide, [bits] * 16)) if bits else lanes
                if bits < 12:
                    part = builder.and_(part, ir.Constant(wide, [15] * 16))
                offset = builder.add(first, I64(16 * number))
                a = load(builder, pointer(builder, values, offset, 2), wide)
                products.append(_pairs(builder, part, a))
            whole = builder.add(builder.add(*products[:2]), builder.add(*products[2:]))
            index = builder.mul(loop.index, I64(2))
            pair = [scale_of(index), scale_of(builder.add(index, I64(1)))]
            order = ir.Constant(vector(I32), list(range(LANES)))
            scale = builder.bitcast(builder.shuffle_vector(*pair, order), VECTOR)
            step = splat(builder, load(builder, pointer(builder, step_at, loop.index, 4), F32))
            factor = builder.fmul(scale, step)
            found = multiply_add(
                builder, builder.sitofp(whole, VECTOR), factor, builder.load(sum_at)
            )
            builder.store(found, sum_at)
        return total(builder, builder.load(sum_at))

    integer = types.int64
    return types.float32(integer, integer, integer, x, steps, integer), generate


@intrinsic  # type: ignore[untyped-decorator]
def dot_offsets(_typing: Any, kind: Any, scales: Any, zeros: Any, totals: Any, count: Any) -> Any:
    """What is added to codes, times the sums of activations (`totals`, float32) of `count` groups.

    int4: Σ (zero − 8 · scale) · total, for weight = (code − 8) · scale + zero.
    int8own: Σ −zero · scale · total, for weight = (code − zero) · scale.
    Scales and zeros are at addresses, of `SCALES[kind]` and `ZEROS[kind]`.
    """
    name = kind_of(kind)
    scale_kind, zero_kind = SCALES[name], ZEROS[name]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, scale_at, zero_at, given, groups = arguments
        value_at = start_of(context, builder, signature.args[3], given)
        done: Any = I64(0)
        found: Any = F32(0.0)
        for width in (LANES, LANES // 2, 1):  # what is left of eights goes by fours, then by ones
            of = vector(F32, width)
            (sum_at,) = sums(builder, 1, of)
            whole = builder.udiv(builder.sub(groups, done), I64(width))
            with cgutils.for_range(builder, whole) as loop:
                at = builder.add(done, builder.mul(loop.index, I64(width)))
                scale = floats(builder, scale_at, at, scale_kind, width)
                zero = floats(builder, zero_at, at, zero_kind, width)
                if name == "int4":
                    added = multiply_add(builder, scale, ir.Constant(of, [-8.0] * width), zero)
                else:
                    added = builder.fneg(builder.fmul(scale, zero))
                value = floats(builder, value_at, at, "float32", width)
                builder.store(multiply_add(builder, added, value, builder.load(sum_at)), sum_at)
            done = builder.add(done, builder.mul(whole, I64(width)))
            found = builder.fadd(found, total(builder, builder.load(sum_at)))
        return found

    integer = types.int64
    return types.float32(kind, integer, integer, totals, integer), generate


def _pairs(builder: Any, a: Any, b: Any) -> Any:
    """Eight sums of two products each, of 16 integers of 16 bits. x86, with AVX2."""
    call = function(builder, "llvm.x86.avx2.pmadd.wd", vector(I32), [vector(I16, 16)] * 2)
    return builder.call(call, [a, b])
