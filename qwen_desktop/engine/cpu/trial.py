"""One step of a tiny model made of zeros: what compiles a variant, or reads its code from disk.

numba compiles a function for the types it is called with, so the arguments here are of exactly the
types that the runner hands over.
"""

from __future__ import annotations

import numba
import numpy as np

from qwen_desktop.engine.cpu import bfloats, step, tiles
from qwen_desktop.engine.cpu.attention import BLOCK
from qwen_desktop.engine.cpu.start import LAYER, Variant
from qwen_desktop.engine.cpu.vectors import KINDS, kind_for

_WIDTH = 64


def run_once(variant: Variant) -> None:
    """Raises ValueError where numba's threads are not those of `LAYER`."""
    group = variant.group
    shape = step.Shape(
        hidden=_WIDTH,
        heads=group,
        kv_heads=1,
        width=_WIDTH,
        inner=_WIDTH,
        shifts=(0,) * step.ROLES,
        epsilon=np.float32(1e-6),
        scaling=np.float32(1),
    )
    room = step.room_for(shape, 1)
    weights = np.zeros(_WIDTH * _WIDTH * group, np.float64)  # enough bytes for any kind
    table = np.full((1, step.ROLES), weights.ctypes.data, np.int64)
    ones = np.ones((1, _WIDTH), np.float32)
    matrices = step.Matrices(
        rows=table,
        scales=table,
        zeros=table,
        biases=np.zeros((1, (group + 2) * _WIDTH), np.float32),
        before=ones,
        after=ones,
        query_norm=ones,
        key_norm=ones,
    )
    cache = np.zeros((2, BLOCK * _WIDTH), np.float32)
    places = [np.array([part.ctypes.data], np.int64) for part in cache]
    cached = step.Cached(places[0], places[1], BLOCK)
    h, angles = np.zeros(_WIDTH, np.float32), np.zeros(_WIDTH // 2, np.float32)
    kinds = [kind_for(name) for name in (variant.weights, variant.kv, variant.head)]
    step.layers(
        kinds[0],
        kinds[1],
        (0,) * group,
        0,
        1,
        0,
        angles,
        angles,
        np.float32(1),
        shape,
        matrices,
        cached,
        *room,
        h,
    )
    at = weights.ctypes.data
    logits = np.zeros(_WIDTH, np.float32)
    step.head(kinds[2], at, at, at, 0, ones[0], shape.epsilon, *room[:4], h, logits)
    for name in {variant.weights, variant.head}:
        tiles.run_once(KINDS[name], at)
        if bfloats.has_units():
            bfloats.run_once(KINDS[name], name, at)
    if numba.threading_layer() != LAYER:
        raise ValueError(f"threads of {numba.threading_layer()}")
