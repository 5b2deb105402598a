"""Attention of one token: scores, softmax on the way, weighted sums of values.

A unit is one key/value head and a part of the sequence. It goes through its tokens by blocks, and
the query heads that share the keys go together, so that keys and values are read and become floats
once for all of them:

    keys    [tokens, width] ── scores ──► shares [heads, BLOCK] ── softmax ──┐
    values  [tokens, width] ────────────────────────────────── add_values ◄──┘──► partial

What was summed up is scaled down whenever a block has a higher score; `merge` adds the parts up.
While scores are computed, the values of the same tokens are asked for, and the next keys while
values are added: each would have to be waited for otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from qwen_desktop.engine.cpu.small import FAST, exponential
from qwen_desktop.engine.cpu.vectors import (
    BYTES,
    F16,
    F32,
    I16,
    I32,
    I64,
    LANES,
    WIDEST,
    floats,
    joined,
    kind_of,
    load,
    multiply_add,
    picked,
    pointer,
    prefetch,
    splat,
    start_of,
    store,
    sums,
    vector,
    zeros,
)

BLOCK = 128  # tokens at a time
TILE = WIDEST  # tokens whose scores are a vector; parts of the sequence begin where a tile does
_CHUNK = 16  # bytes of a key at a time
_LINE = 64  # bytes that memory gives at once


def _across(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Four vectors of 32-bit lanes, each four by four of these turned over."""
    count = rows[0].type.count

    def mixed(a: Any, b: Any, lanes: Sequence[tuple[int, int]]) -> Any:  # (which, lane of four)
        order = [w * count + first + la for first in range(0, count, 4) for w, la in lanes]
        return picked(builder, a, b, order)

    low, high = ((0, 0), (1, 0), (0, 1), (1, 1)), ((0, 2), (1, 2), (0, 3), (1, 3))
    first, second = ((0, 0), (0, 1), (1, 0), (1, 1)), ((0, 2), (0, 3), (1, 2), (1, 3))
    a, b, c, d = rows
    ends = [(mixed(a, b, part), mixed(c, d, part)) for part in (low, high)]
    return [mixed(*pair, part) for pair in ends for part in (first, second)]


def _apart(builder: Any, lanes: Any, name: str) -> list[Any]:
    """The numbers of `name` in 32-bit lanes, the lower ones first, as vectors of floats."""
    count = lanes.type.count
    wanted = vector(F32, count)
    if name == "float32":
        return [builder.bitcast(lanes, wanted)]
    by = ir.Constant(lanes.type, [16] * count)
    if name == "bfloat16":  # the upper half of a float
        upper = builder.and_(lanes, ir.Constant(lanes.type, [-65536] * count))
        return [builder.bitcast(part, wanted) for part in (builder.shl(lanes, by), upper)]
    halves = [builder.trunc(part, vector(I16, count)) for part in (lanes, builder.lshr(lanes, by))]
    return [builder.fpext(builder.bitcast(half, vector(F16, count)), wanted) for half in halves]


@intrinsic  # type: ignore[untyped-decorator]
def scores(
    _typing: Any, lanes: Any, kind: Any, heads: Any, keys: Any, ahead: Any, queries: Any,
    first_query: Any, out: Any, first_out: Any, stride: Any, width: Any, count: Any,
) -> Any:  # fmt: skip
    """out[h · stride + t] = Σ queries[h · width + d] · keys[t · width + d] for `count` tokens t.

        keys        token 0  | d0 d1 | d2 d3 | d4 d5 | d6 d7 | …     16 bytes of each of a tile
                    token 1  | d0 d1 | d2 d3 | d4 d5 | d6 d7 | …     (here in 16-bit numbers)
                      …
        turned over          | d0 of all tokens |, | d1 of all |, …  one vector for each number

    `lanes` is a tuple as long as a tile has tokens, `heads` as the heads that share these keys.
    `keys` is the address of the first one, `ahead` that of what is wanted next, as large. Queries
    and out are arrays of float32. Whole tiles are read; what is behind `count` becomes −∞.
    """
    name, group, tile = kind_of(kind), heads.count, lanes.count
    of, each = vector(F32, tile), 4 // BYTES[name]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, _, key_at, next_at, given, query_at, found, out_at, row, size, tokens = arguments
        q = builder.add(
            start_of(context, builder, signature.args[5], given), builder.mul(query_at, I64(4))
        )
        o = builder.add(
            start_of(context, builder, signature.args[7], found), builder.mul(out_at, I64(4))
        )
        places = sums(builder, group, of)
        length = builder.mul(size, I64(BYTES[name]))
        times = builder.udiv(builder.add(tokens, I64(tile - 1)), I64(tile))
        with cgutils.for_range(builder, times) as number:
            first = builder.mul(number.index, I64(tile))
            start = builder.mul(first, length)
            for place in places:
                builder.store(zeros(of), place)
            with cgutils.for_range(builder, builder.udiv(length, I64(_CHUNK))) as chunk:
                wanted = builder.add(start, builder.mul(chunk.index, I64(_CHUNK * tile)))
                for line in range(0, _CHUNK * tile, _LINE):
                    prefetch(builder, builder.add(builder.add(next_at, wanted), I64(line)))
                at = builder.add(builder.add(key_at, start), builder.mul(chunk.index, I64(_CHUNK)))
                parts = [
                    load(builder, pointer(builder, at, builder.mul(length, I64(t)), 1),
                         vector(I32, 4))
                    for t in range(tile)
                ]  # fmt: skip
                columns = _across(builder, [joined(builder, parts[i::4]) for i in range(4)])
                numbers = [part for column in columns for part in _apart(builder, column, name)]
                dimension = builder.mul(chunk.index, I64(4 * each))
                for d, part in enumerate(numbers):
                    for head, place in enumerate(places):
                        index = builder.add(dimension, I64(d))
                        index = builder.add(builder.mul(size, I64(head)), index)
                        one = load(builder, pointer(builder, q, index, 4), F32)
                        added = splat(builder, one, tile), builder.load(place)
                        builder.store(multiply_add(builder, part, *added), place)
            order = ir.Constant(vector(I64, tile), list(range(tile)))
            token = builder.add(splat(builder, first, tile), order)
            there = builder.icmp_signed("<", token, splat(builder, tokens, tile))
            nothing = ir.Constant(of, [float("-inf")] * tile)
            for head, place in enumerate(places):
                at = builder.add(builder.mul(row, I64(head)), first)
                score = builder.select(there, builder.load(place), nothing)
                store(builder, score, pointer(builder, o, at, 4))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        lanes, kind, heads, integer, integer, queries, integer, out, *[integer] * 4
    ), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_values(
    _typing: Any, lanes: Any, kind: Any, heads: Any, values: Any, ahead: Any, shares: Any,
    first_share: Any, stride: Any, out: Any, first_out: Any, width: Any, count: Any,
) -> Any:  # fmt: skip
    """out[h · width + d] += Σ shares[h · stride + t] · values[t · width + d] for `count` tokens t.

    As in `scores`: each value is read once for all heads. `lanes` is as long as a vector; as many
    as registers hold the sums of go at a time. `width` is a multiple of 8.
    """
    name, group, widest = kind_of(kind), heads.count, lanes.count
    most = 28 if widest > LANES else 12  # of 32 registers, or 16
    at_once = max(vectors for vectors in (1, 2, 4) if vectors == 1 or vectors * group <= most)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, _, value_at, next_at, given, share_at, row, found, out_at, size, tokens = arguments
        p = builder.add(
            start_of(context, builder, signature.args[5], given), builder.mul(share_at, I64(4))
        )
        o = builder.add(
            start_of(context, builder, signature.args[8], found), builder.mul(out_at, I64(4))
        )

        def some(done: Any, vectors: int, count: int) -> Any:
            """So many vectors of `count` at a time, from `done` on: where it ended."""
            step, of = vectors * count, vector(F32, count)
            places = [sums(builder, vectors, of) for _ in range(group)]
            whole = builder.udiv(builder.sub(size, done), I64(step))

            def out_of(head: int, number: int, offset: Any) -> Any:
                at = builder.add(offset, I64(number * count))
                return pointer(builder, o, builder.add(builder.mul(size, I64(head)), at), 4)

            with cgutils.for_range(builder, whole) as part:
                offset = builder.add(done, builder.mul(part.index, I64(step)))
                for head, own in enumerate(places):
                    for number, place in enumerate(own):
                        builder.store(load(builder, out_of(head, number, offset), of), place)
                with cgutils.for_range(builder, tokens) as token:
                    at = builder.add(builder.mul(token.index, size), offset)
                    for line in range(0, step * BYTES[name], _LINE):
                        skipped = builder.add(builder.mul(at, I64(BYTES[name])), I64(line))
                        prefetch(builder, builder.add(next_at, skipped))
                    read = [
                        floats(builder, value_at, builder.add(at, I64(n * count)), name, count)
                        for n in range(vectors)
                    ]
                    for head, own in enumerate(places):
                        index = builder.add(builder.mul(row, I64(head)), token.index)
                        one = load(builder, pointer(builder, p, index, 4), F32)
                        share = splat(builder, one, count)
                        for v, place in zip(read, own, strict=True):
                            added = multiply_add(builder, v, share, builder.load(place))
                            builder.store(added, place)
                for head, own in enumerate(places):
                    for number, place in enumerate(own):
                        store(builder, builder.load(place), out_of(head, number, offset))
            return builder.add(done, builder.mul(whole, I64(step)))

        done = some(I64(0), at_once, widest)
        for vectors, count in sorted({(1, widest), (1, LANES)} - {(at_once, widest)}, reverse=True):
            done = some(done, vectors, count)  # what is left
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        lanes, kind, heads, integer, integer, shares, integer, integer, out, *[integer] * 3
    ), generate


@njit(fastmath=FAST | {"nnan"}, nogil=True)  # type: ignore[untyped-decorator]
def _largest(values: Any) -> Any:
    """The largest. Where one is no number it may be any: the sums are no numbers then, either."""
    top = np.float32(-np.inf)
    for i in range(values.shape[0]):
        if values[i] > top:
            top = values[i]
    return top


_TILE = (0,) * TILE


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def attend(
    kv: Any, group: Any, keys: Any, values: Any, count: Any, query: Any, unit: Any, width: Any,
    size: Any, y: Any, shares: Any, partial: Any, tops: Any, sums: Any,
) -> None:  # fmt: skip
    """One unit: `count` tokens from the addresses `keys` and `values` on, of `size` bytes a number.

    The queries begin at y[query]. What was found stands in `partial`, its scale in `tops` and
    `sums`. There are keys to read up to the end of the last tile.
    """
    heads = len(group)
    own, out = unit * heads * BLOCK, unit * heads * width
    for head in range(heads):
        tops[unit, head] = np.float32(-np.inf)
        sums[unit, head] = np.float32(0)
    for i in range(out, out + heads * width):
        partial[i] = np.float32(0)
    for begin in range(0, count, BLOCK):
        tokens = min(BLOCK, count - begin)
        whole = (tokens + TILE - 1) // TILE * TILE
        key, value = keys + begin * width * size, values + begin * width * size
        scores(_TILE, kv, group, key, value, y, query, shares, own, BLOCK, width, tokens)
        for head in range(heads):
            share = shares[own + head * BLOCK : own + head * BLOCK + whole]
            top = max(_largest(share), tops[unit, head])
            if top > tops[unit, head]:
                less = exponential(tops[unit, head] - top)
                sums[unit, head] *= less
                for i in range(out + head * width, out + (head + 1) * width):
                    partial[i] *= less
                tops[unit, head] = top
            total = np.float32(0)
            for t in range(whole):
                share[t] = exponential(share[t] - top)
                total += share[t]
            sums[unit, head] += total
        ahead = key + BLOCK * width * size
        add_values(_TILE, kv, group, value, ahead, shares, own, BLOCK, partial, out, width, tokens)


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def part_of(count: Any, part: Any, parts: Any) -> Any:
    """Where a part of `count` tokens begins and ends: at tiles, but for the last end."""
    tiles = (count + TILE - 1) // TILE
    return tiles * part // parts * TILE, min(tiles * (part + 1) // parts * TILE, count)


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def merge(
    group: Any, kv_heads: Any, parts: Any, width: Any, partial: Any, tops: Any, sums: Any, out: Any
) -> None:
    """What the parts of each head found, weighed by their sums, into `out`."""
    heads = len(group)
    for one in range(kv_heads):
        for head in range(heads):
            first = one * parts
            top = tops[first, head]
            for part in range(1, parts):
                top = max(top, tops[first + part, head])
            to = (one * heads + head) * width
            for d in range(width):
                out[to + d] = np.float32(0)
            total = np.float32(0)
            for part in range(parts):
                unit = first + part
                weight = exponential(tops[unit, head] - top)
                total += weight * sums[unit, head]
                at = (unit * heads + head) * width
                for d in range(width):
                    out[to + d] += weight * partial[at + d]
            for d in range(width):
                out[to + d] /= total
