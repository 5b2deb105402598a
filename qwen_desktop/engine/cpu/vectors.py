"""Vectors of eight floats as LLVM has them, and memory by its address: what kernels are made of.

numba compiles Python to LLVM, but leaves the vectors to LLVM's luck. The kernels write them down
instead, through the builder that numba hands to an `@intrinsic`. Everything here is generic LLVM,
for any CPU, but for what `kernels.py` names with "x86".

Kinds of numbers in memory are told by the type of an empty array (`KINDS`), so that a function is
compiled for each kind it is called with, and its compiled code is found again by that type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
# Numbers of 32 bits in the largest vectors of this CPU.
_features = binding.get_host_cpu_features()
WIDEST = 16 if _features.get("avx512f") else LANES
# Whether this CPU can do what `planes.py` is made of.
FOURS = all(_features.get(f"avx512{name}") for name in ("f", "bw", "vl", "vnni"))

F32, F16 = ir.FloatType(), ir.HalfType()
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))

# Empty arrays that stand for what lies in memory. numba knows no bfloat16, and float16 only in
# part: both go by the integers of their bits.
KINDS: dict[str, np.ndarray[Any, Any]] = {
    "float32": np.empty(0, np.float32),
    "float16": np.empty(0, np.int16),
    "bfloat16": np.empty(0, np.uint16),
    "int8": np.empty(0, np.int8),
    "int8own": np.empty(0, np.int32),
    "int4": np.empty(0, np.uint8),
    "int4planes": np.empty(0, np.uint32),
}
_NAMES = {types.float32: "float32", types.int16: "float16", types.uint16: "bfloat16",
          types.int8: "int8", types.int32: "int8own", types.uint8: "int4",
          types.uint32: "int4planes"}  # fmt: skip
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "int8": 1}

# What lies beside codes. "int8own" are the codes of a folder that was quantised to 8 bits.
SCALES = {"int4": "bfloat16", "int8": "bfloat16", "int8own": "float32"}
ZEROS = {"int4": "bfloat16", "int8own": "int16"}


def kind_for(name: str) -> np.ndarray[Any, Any]:
    """The array for rows of the kind `name`, to be read in the way that is best on this CPU.

    "int4planes" are the codes of "int4" where these meet inputs in planes of bytes (`planes.py`).
    """
    return KINDS["int4planes" if FOURS and name == "int4" else name]


def kind_of(array: Any) -> str:
    """The kind of numbers that the type of an array of `KINDS` stands for."""
    return _NAMES[array.dtype]


def vector(element: Any, count: int = LANES) -> Any:
    """The type of `count` elements."""
    return ir.VectorType(element, count)


VECTOR = vector(F32)


def zeros(of: Any = VECTOR) -> Any:
    """Zeros of the vector type `of`."""
    return ir.Constant(of, [0] * of.count)


def function(builder: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """An intrinsic function of LLVM."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def pointer(builder: Any, address: Any, offset: Any, size: int) -> Any:
    """A pointer `offset` elements of `size` bytes behind `address`, both 64-bit integers."""
    return builder.inttoptr(builder.add(address, builder.mul(offset, I64(size))), I8.as_pointer())


def start_of(context: Any, builder: Any, signature: Any, value: Any) -> Any:
    """The address of the first element of an array, as a 64-bit integer."""
    array = context.make_array(signature)(context, builder, value)
    return builder.ptrtoint(array.data, I64)


def load(builder: Any, place: Any, of: Any) -> Any:
    """A value of type `of` from a pointer, wherever it lies."""
    return builder.load(builder.bitcast(place, of.as_pointer()), align=1)


def store(builder: Any, value: Any, place: Any) -> None:
    """Put a value at a pointer, wherever it lies."""
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=1)


def splat(builder: Any, scalar: Any, count: int = LANES) -> Any:
    """A vector of the same number `count` times."""
    of = vector(scalar.type, count)
    one = builder.insert_element(ir.Constant(of, ir.Undefined), scalar, I32(0))
    nowhere = ir.Constant(of, ir.Undefined)
    return builder.shuffle_vector(one, nowhere, ir.Constant(vector(I32, count), [0] * count))


def picked(builder: Any, a: Any, b: Any, order: Sequence[int]) -> Any:
    """A vector of lanes of two, those of `b` counted on behind those of `a`."""
    return builder.shuffle_vector(a, b, ir.Constant(vector(I32, len(order)), list(order)))


def joined(builder: Any, parts: Sequence[Any]) -> Any:
    """One vector of all lanes of several, whose number is a power of two."""
    while len(parts) > 1:
        order = range(2 * parts[0].type.count)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [picked(builder, a, b, order) for a, b in pairs]
    return parts[0]


def prefetch(builder: Any, address: Any) -> None:
    """Ask for the line of memory at an address, which need not be one."""
    place = I8.as_pointer()
    call = function(builder, "llvm.prefetch.p0", ir.VoidType(), [place, I32, I32, I32])
    builder.call(call, [builder.inttoptr(address, place), I32(0), I32(3), I32(1)])  # to read, near


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once."""
    name = f"llvm.fma.v{a.type.count}f32"
    return builder.call(function(builder, name, a.type, [a.type] * 3), [a, b, c])


def total(builder: Any, values: Any) -> Any:
    """The sum of all floats of a vector, in any order."""
    name = f"llvm.vector.reduce.fadd.v{values.type.count}f32"
    call = function(builder, name, F32, [F32, values.type])
    return builder.call(call, [F32(0.0), values], fastmath=("reassoc",))


def sums(builder: Any, count: int, of: Any = VECTOR) -> list[Any]:
    """`count` variables of vectors, zero at first."""
    places = [cgutils.alloca_once(builder, of) for _ in range(count)]
    for place in places:
        builder.store(zeros(of), place)
    return places


def floats(builder: Any, address: Any, offset: Any, kind: str, count: int = LANES) -> Any:
    """`count` numbers of `kind` (not int4), `offset` elements behind `address`, as floats."""
    place, wanted = pointer(builder, address, offset, BYTES[kind]), vector(F32, count)
    if kind == "float32":
        return load(builder, place, wanted)
    if kind == "float16":
        return builder.fpext(load(builder, place, vector(F16, count)), wanted)
    if kind == "bfloat16":
        return floats_of_bits(builder, load(builder, place, vector(I16, count)))
    of = I16 if kind == "int16" else I8
    wide = builder.sext(load(builder, place, vector(of, count)), vector(I32, count))
    return builder.sitofp(wide, wanted)


def floats_of_bits(builder: Any, bits: Any) -> Any:
    """The floats of bfloat16, given as integers of 16 bits: these are their upper halves."""
    of = vector(I32, bits.type.count)
    upper = builder.shl(builder.zext(bits, of), ir.Constant(of, [16] * of.count))
    return builder.bitcast(upper, vector(F32, of.count))


def single(builder: Any, address: Any, offset: Any, kind: str) -> Any:
    """One number of `kind`, a float or bfloat, as a float."""
    place = pointer(builder, address, offset, BYTES[kind])
    if kind == "float32":
        return load(builder, place, F32)
    if kind == "float16":
        return builder.fpext(load(builder, place, F16), F32)
    return builder.bitcast(builder.shl(builder.zext(load(builder, place, I16), I32), I32(16)), F32)


@intrinsic  # type: ignore[untyped-decorator]
def put(_typing: Any, kind: Any, address: Any, offset: Any, value: Any) -> Any:
    """Round the float `value` to `kind` and put it `offset` elements behind `address`."""
    name = kind_of(kind)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, at, element, given = arguments
        place = pointer(builder, at, element, BYTES[name])
        if name == "float32":
            store(builder, given, place)
        elif name == "float16":
            store(builder, builder.fptrunc(given, F16), place)
        else:  # to the nearest, to the even one of two as near
            bits = builder.bitcast(given, I32)
            odd = builder.and_(builder.lshr(bits, I32(16)), I32(1))
            bits = builder.add(bits, builder.add(odd, I32(0x7FFF)))
            store(builder, builder.trunc(builder.lshr(bits, I32(16)), I16), place)
        return context.get_dummy_value()

    return types.void(kind, types.int64, types.int64, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_of(_typing: Any, bits: Any) -> Any:
    """The float with these 32 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], F32)

    return types.float32(types.int32), generate
