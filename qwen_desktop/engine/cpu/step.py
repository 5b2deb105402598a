"""One token through all layers of a dense model, as compiled functions. numpy and numba, no torch.

A layer is five parallel loops over the rows of its matrices, with what little is serial between:

    h ─ norm ─┬─ rows of q, k, v ─ bias, norm of heads, turn by position ─ keys and values written
              └─ attention, each key/value head apart (and the sequence in parts) ─ rows of o ─┐
    h ◄────────────────────────────────────────────────────────────────────────────────────────┘
    h ─ norm ─── rows of gate and up: silu(gate) · up ─── rows of down ─► h

Nothing is allocated and nothing of Python runs in between; the GIL is released. Weights, keys and
values stay where torch has them: tables hold addresses (`Matrices`, `Cached`). Activations are
float32 throughout, and where weights are codes, integers of 16 bits beside their scales.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numba.extending import overload

from qwen_desktop.engine.cpu.attention import BLOCK, attend, merge, part_of
from qwen_desktop.engine.cpu.kernels import (
    GROUP,
    dot,
    dot_int4,
    dot_int8,
    dot_offsets,
)
from qwen_desktop.engine.cpu.planes import row_of_planes, to_planes
from qwen_desktop.engine.cpu.small import FAST, exponential, norm, turn
from qwen_desktop.engine.cpu.vectors import kind_of, put

Array = np.ndarray[Any, Any]

# Columns of the tables of a layer.
QUERY, KEY, VALUE, OUTPUT, GATE, UP, DOWN = range(7)
ROLES = 7
WHOLE_ROW = 62  # a shift that leaves nothing of any number of groups

INT4_GROUP = 32  # codes of 4 bits that share scale and zero, at least
_LINE = 64  # bytes


class Shape(NamedTuple):
    """Sizes of a model, in elements.

    `shifts`, by role: 2^shift groups of codes (`GROUP`, or `INT4_GROUP`) share a scale, a whole row
    with `WHOLE_ROW`. Roles that read the same inputs have the same.
    """

    hidden: int
    heads: int
    kv_heads: int
    width: int  # of a head
    inner: int
    shifts: tuple[int, ...]
    epsilon: np.float32
    scaling: np.float32  # of scores


class Matrices(NamedTuple):
    """All layers. The first three are addresses [layers, ROLES], 0 for none."""

    rows: Array
    scales: Array
    zeros: Array
    biases: Array  # float32 [layers, rows of q, k and v]
    before: Array  # norm before attention, float32 [layers, hidden]
    after: Array  # norm after it
    query_norm: Array  # float32 [layers, width], or [layers, 0]
    key_norm: Array


class Cached(NamedTuple):
    """Keys and values of all layers: addresses [layers] of [kv_heads, capacity, width]."""

    keys: Array
    values: Array
    capacity: int  # tokens


class Room(NamedTuple):
    """Buffers, handed to `layers` one by one: in a tuple, numba takes what is written as of no use.

    `parts` units share the attention of one key/value head.
    """

    x: Array  # what the rows meet: float32, as long as the longest row
    codes: Array  # the same as integers, as kernels.py or planes.py want them
    steps: Array  # and their scales
    totals: Array  # sums of `x`, one for each group that shares a scale
    y: Array  # queries, keys, values of the token
    mixed: Array  # what attention found
    inner: Array
    shares: Array  # [units, heads of one, BLOCK], flat
    partial: Array  # [units, heads of one, width], flat
    tops: Array  # [units, heads of one]
    sums: Array
    parts: int


def room_for(shape: Shape, parts: int) -> Room:
    """Buffers for `shape`, attention in `parts` for each key/value head; zeros.

    They lie in one piece, each from a line of memory on: a vector across two lines takes twice as
    long, and arrays that lie anywhere may want the same places of the cache.
    """
    group = shape.heads // shape.kv_heads
    units = shape.kv_heads * parts
    longest = max(shape.hidden, shape.heads * shape.width, shape.inner)
    sizes: dict[str, tuple[int, ...]] = {
        "x": (longest,),
        "codes": (longest + longest // 4,),
        "steps": (-(-longest // 8),),
        "totals": (-(-longest // INT4_GROUP) + 16,),
        "y": ((shape.heads + 2 * shape.kv_heads) * shape.width,),
        "mixed": (shape.heads * shape.width,),
        "inner": (shape.inner,),
        "shares": (units * group * BLOCK,),
        "partial": (units * group * shape.width,),
        "tops": (units, group),
        "sums": (units, group),
    }
    kinds = {name: np.dtype(np.int16 if name == "codes" else np.float32) for name in sizes}
    lengths = {name: math.prod(size) * kinds[name].itemsize for name, size in sizes.items()}
    room = np.zeros(sum(lengths.values()) + _LINE * (len(sizes) + 1), np.uint8)
    place, found = -room.ctypes.data % _LINE, {}
    for name, length in lengths.items():
        found[name] = room[place : place + length].view(kinds[name]).reshape(sizes[name])
        place += -(-length // _LINE) * _LINE
    return Room(**found, parts=parts)


# -- a row of a matrix, of any kind ------------------------------------------------------------


def product(
    kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any, codes: Any,
    steps: Any, totals: Any, n: Any,
) -> Any:  # fmt: skip
    """Row `row` of a matrix with `n` inputs, times what `prepare` was given. See its overloads."""
    raise NotImplementedError  # only compiled code calls it


def prepare(kind: Any, shift: Any, x: Any, n: Any, codes: Any, steps: Any, totals: Any) -> Any:
    """Make `n` activations ready for rows of `kind`. See its overloads."""
    raise NotImplementedError  # only compiled code calls it


@njit(nogil=True, inline="always")  # type: ignore[untyped-decorator]
def groups_of(n: Any, unit: Any, shift: Any) -> Any:
    """How many groups of a row of `n` codes have a scale of their own."""
    return ((n // unit - 1) >> shift) + 1


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def offsets(kind: Any, scales: Any, zeros: Any, at: Any, totals: Any, groups: Any) -> Any:
    """What zeros, `at` bytes behind their address, add to a row; nothing where there are none.

    A function of its own: in one that is inlined, numba takes a branch for a second loop.
    """
    if zeros == 0:
        return np.float32(0)
    return dot_offsets(kind, scales, zeros + at, totals, groups)


@overload(product, inline="always")  # type: ignore[untyped-decorator]
def _product_of(
    kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any, codes: Any,
    steps: Any, totals: Any, n: Any,
) -> Any:  # fmt: skip
    name = kind_of(kind)
    if name == "int8":

        def of_bytes(
            kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any,
            codes: Any, steps: Any, totals: Any, n: Any,
        ) -> Any:  # fmt: skip
            own = scales + row * groups_of(n, GROUP, shift) * 2
            return dot_int8(kind, rows + row * n, own, shift, codes, steps, n)

        return of_bytes
    if name == "int8own":

        def of_own(
            kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any,
            codes: Any, steps: Any, totals: Any, n: Any,
        ) -> Any:  # fmt: skip
            groups = groups_of(n, GROUP, shift)
            own = scales + row * groups * 4
            found = dot_int8(kind, rows + row * n, own, shift, codes, steps, n)
            return found + offsets(kind, own, zeros, row * groups * 2, totals, groups)

        return of_own
    if name == "int4":

        def of_halves(
            kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any,
            codes: Any, steps: Any, totals: Any, n: Any,
        ) -> Any:  # fmt: skip
            groups = groups_of(n, INT4_GROUP, shift)
            own = row * groups * 2
            found = dot_int4(rows + row * (n // 2), scales + own, shift, codes, steps, n)
            return found + dot_offsets(kind, scales + own, zeros + own, totals, groups)

        return of_halves
    if name == "int4planes":

        def of_planes(
            kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any,
            codes: Any, steps: Any, totals: Any, n: Any,
        ) -> Any:  # fmt: skip
            own = row * groups_of(n, INT4_GROUP, shift) * 2
            at = rows + row * (n // 2)
            return row_of_planes(at, scales + own, zeros + own, shift, codes, steps, totals, n)

        return of_planes
    size = 4 if name == "float32" else 2

    def of_floats(
        kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, row: Any, x: Any, codes: Any,
        steps: Any, totals: Any, n: Any,
    ) -> Any:  # fmt: skip
        return dot(kind, rows + row * n * size, x, n)

    return of_floats


@overload(prepare, inline="always")  # type: ignore[untyped-decorator]
def _prepared(kind: Any, shift: Any, x: Any, n: Any, codes: Any, steps: Any, totals: Any) -> Any:
    name = kind_of(kind)
    if name == "int8":

        def rounded(
            kind: Any, shift: Any, x: Any, n: Any, codes: Any, steps: Any, totals: Any
        ) -> None:
            round_off(x, n, codes, steps, 1)

        return rounded
    if name == "int4planes":

        def in_planes(
            kind: Any, shift: Any, x: Any, n: Any, codes: Any, steps: Any, totals: Any
        ) -> None:
            to_planes(x, n, shift, codes, steps, totals)

        return in_planes
    if name in ("int8own", "int4"):
        unit, apart = (INT4_GROUP, 4) if name == "int4" else (GROUP, 1)

        def summed(
            kind: Any, shift: Any, x: Any, n: Any, codes: Any, steps: Any, totals: Any
        ) -> None:
            round_off(x, n, codes, steps, apart)
            add_up(x, n, unit, shift, totals)

        return summed

    def nothing(kind: Any, shift: Any, x: Any, n: Any, codes: Any, steps: Any, totals: Any) -> None:
        pass

    return nothing


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def round_off(x: Any, n: Any, codes: Any, steps: Any, apart: Any) -> None:
    """`n` floats as integers of 16 bits, `GROUP` of them with one step; `x` as these, code · step.

    Within a group of codes every `apart`-th one comes first, then those behind them, and so on.
    """
    length = GROUP // apart
    for group in range(n // GROUP):
        first = group * GROUP
        top = np.float32(1e-20)
        for i in range(first, first + GROUP):
            top = max(top, abs(x[i]))
        step = top / np.float32(32767)
        steps[group] = step
        per_step = np.float32(32767) / top
        for i in range(first, first + GROUP):
            x[i] = np.rint(x[i] * per_step)
        for part in range(apart):
            for i in range(length):
                codes[first + part * length + i] = np.int16(x[first + i * apart + part])
        for i in range(first, first + GROUP):
            x[i] *= step


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def add_up(x: Any, n: Any, unit: Any, shift: Any, totals: Any) -> None:
    """Sums of `x` over the groups of 2^shift · `unit` inputs that share a scale."""
    for group in range(groups_of(n, unit, shift)):
        totals[group] = np.float32(0)
    for part in range(n // unit):
        total = np.float32(0)
        for i in range(part * unit, (part + 1) * unit):
            total += x[i]
        totals[part >> shift] += total


# -- the whole ---------------------------------------------------------------------------------


@njit(parallel=True, fastmath=FAST, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def layers(
    kind: Any,
    kv: Any,
    group: Any,
    first: Any,
    last: Any,
    position: Any,
    cos: Any,
    sin: Any,
    factor: Any,
    shape: Any,
    matrices: Any,
    cached: Any,
    x: Any,
    codes: Any,
    steps: Any,
    totals: Any,
    y: Any,
    mixed: Any,
    middle: Any,
    shares: Any,
    partial: Any,
    tops: Any,
    sums: Any,
    parts: Any,
    h: Any,
) -> None:
    """Take `h` [hidden], the token at `position`, through the layers `first` up to `last`.

    `kind` and `kv` are arrays of `vectors.KINDS`: of weights, of keys and values. `group` is a
    tuple as long as the heads that share keys. `cos` and `sin` [width / 2] belong to the position,
    `factor` is what queries are multiplied by besides the scaling. Keys and values of the token are
    written at `position`, which lies within the capacity.
    """
    hidden, width, inner = shape.hidden, shape.width, shape.inner
    of_queries, of_keys = shape.heads * width, shape.kv_heads * width
    rows = of_queries + 2 * of_keys
    size = 4 if kv.itemsize == 4 else 2
    has_norms = matrices.query_norm.shape[1] > 0
    count = position + 1
    shifts = shape.shifts
    for layer in range(first, last):
        at, scales, zeros = matrices.rows[layer], matrices.scales[layer], matrices.zeros[layer]
        norm(h, 0, matrices.before[layer], x, 0, shape.epsilon)
        prepare(kind, shifts[QUERY], x, hidden, codes, steps, totals)
        for i in prange(rows):
            role, row = QUERY, i
            if i >= of_queries + of_keys:
                role, row = VALUE, i - of_queries - of_keys
            elif i >= of_queries:
                role, row = KEY, i - of_queries
            made = product(
                kind,
                at[role],
                scales[role],
                zeros[role],
                shifts[role],
                row,
                x,
                codes,
                steps,
                totals,
                hidden,
            )
            y[i] = made + matrices.biases[layer, i]
        for head in range(shape.heads):
            if has_norms:
                weight = matrices.query_norm[layer]
                norm(y, head * width, weight, y, head * width, shape.epsilon)
            turn(y, head * width, cos, sin, shape.scaling * factor)
        for head in range(shape.kv_heads):
            key, value = of_queries + head * width, of_queries + of_keys + head * width
            if has_norms:
                norm(y, key, matrices.key_norm[layer], y, key, shape.epsilon)
            turn(y, key, cos, sin, np.float32(1))
            to = (head * cached.capacity + position) * width
            for d in range(width):
                put(kv, cached.keys[layer], to + d, y[key + d])
                put(kv, cached.values[layer], to + d, y[value + d])
        for unit in prange(shape.kv_heads * parts):
            head, part = unit // parts, unit % parts
            begin, end = part_of(count, part, parts)
            offset = (head * cached.capacity + begin) * width * size
            attend(
                kv, group, cached.keys[layer] + offset, cached.values[layer] + offset,
                end - begin, head * len(group) * width, unit, width, size,
                y, shares, partial, tops, sums,
            )  # fmt: skip
        merge(group, shape.kv_heads, parts, width, partial, tops, sums, mixed)
        prepare(kind, shifts[OUTPUT], mixed, of_queries, codes, steps, totals)
        for i in prange(hidden):
            h[i] += product(
                kind, at[OUTPUT], scales[OUTPUT], zeros[OUTPUT], shifts[OUTPUT], i, mixed, codes,
                steps, totals, of_queries,
            )  # fmt: skip
        norm(h, 0, matrices.after[layer], x, 0, shape.epsilon)
        prepare(kind, shifts[GATE], x, hidden, codes, steps, totals)
        for i in prange(inner):
            gate = product(
                kind,
                at[GATE],
                scales[GATE],
                zeros[GATE],
                shifts[GATE],
                i,
                x,
                codes,
                steps,
                totals,
                hidden,
            )
            up = product(
                kind, at[UP], scales[UP], zeros[UP], shifts[UP], i, x, codes, steps, totals, hidden
            )
            middle[i] = gate / (np.float32(1) + exponential(-gate)) * up
        prepare(kind, shifts[DOWN], middle, inner, codes, steps, totals)
        for i in prange(hidden):
            h[i] += product(
                kind,
                at[DOWN],
                scales[DOWN],
                zeros[DOWN],
                shifts[DOWN],
                i,
                middle,
                codes,
                steps,
                totals,
                inner,
            )


@njit(parallel=True, fastmath=FAST, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def head(
    kind: Any, rows: Any, scales: Any, zeros: Any, shift: Any, weight: Any, epsilon: Any, x: Any,
    codes: Any, steps: Any, totals: Any, h: Any, logits: Any,
) -> None:  # fmt: skip
    """`logits` [vocabulary] of the token whose way through the layers ended with `h`."""
    n = h.shape[0]
    norm(h, 0, weight, x, 0, epsilon)
    prepare(kind, shift, x, n, codes, steps, totals)
    for i in prange(logits.shape[0]):
        logits[i] = product(kind, rows, scales, zeros, shift, i, x, codes, steps, totals, n)
