"""The small operations between the products of the decode step: norms, turns, e to the power."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from qwen_desktop.engine.cpu.vectors import float_of

# Sums may be taken in any order; values that are no numbers stay what they are.
FAST = {"reassoc", "contract", "arcp", "nsz"}


@njit(fastmath=FAST, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def exponential(x: Any) -> Any:
    """e to the power of x, within 2e-7 of itself; x is taken as within ±87. Can be vectorised."""
    x = min(max(x, np.float32(-87.0)), np.float32(87.0))
    twos = x * np.float32(1.44269504)
    whole = np.floor(twos + np.float32(0.5))
    f = (twos - whole) * np.float32(0.69314718)
    series = np.float32(1 / 120) + f * np.float32(1 / 720)
    series = np.float32(1 / 6) + f * (np.float32(1 / 24) + f * series)
    series = np.float32(1) + f * (np.float32(1) + f * (np.float32(0.5) + f * series))
    return series * float_of(np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)))


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def norm(x: Any, first: Any, weight: Any, out: Any, to: Any, epsilon: Any) -> None:
    """Root mean square norm of as many values from `first` on as `weight` has."""
    n = weight.shape[0]
    squares = np.float32(0)
    for i in range(n):
        squares += x[first + i] * x[first + i]
    factor = np.float32(1) / np.sqrt(squares / np.float32(n) + epsilon)
    for i in range(n):
        out[to + i] = x[first + i] * factor * weight[i]


@njit(fastmath=FAST, nogil=True)  # type: ignore[untyped-decorator]
def turn(y: Any, first: Any, cos: Any, sin: Any, factor: Any) -> None:
    """Turn one head by its position, halves paired as Qwen does; times `factor`."""
    half = cos.shape[0]
    for d in range(half):
        a, b = y[first + d], y[first + half + d]
        y[first + d] = (a * cos[d] - b * sin[d]) * factor
        y[first + half + d] = (b * cos[d] + a * sin[d]) * factor
