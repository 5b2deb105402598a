"""Steps captured as CUDA graphs: one launch for a token instead of hundreds.

A graph is bound to the rooms of one cache. It is captured when the cache is first decoded with, and
again when its rooms have been exchanged for larger ones (rooms.py says when); the least recently
used are given up. All share one pool of memory: only one runs at a time, and what it gives out lies
outside of the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch

from qwen_desktop.engine.layers import TransformersCache
from qwen_desktop.engine.lean.attention import OVER_ROOMS, Used
from qwen_desktop.engine.lean.capture import captured
from qwen_desktop.engine.lean.forward import Lean
from qwen_desktop.engine.lean.step import Fed, Place, Step, kept_in, rooms_of
from qwen_desktop.engine.lean.trial import quickest

KEPT = 4  # graphs: of the conversations asked last, and of a title
NODE_BYTES = 8 * 2**10  # that the driver keeps of a kernel in a graph, roughly
NODES = 32  # kernels of a layer, at most
WORKSPACE = 40 * 2**20  # that matrix products want on a stream of their own


def graph_bytes(layers: int) -> int:
    """What the graphs of a model keep of a card besides what a step takes, roughly."""
    return KEPT * layers * NODES * NODE_BYTES + WORKSPACE


@dataclass
class _Captured:
    place: Place
    replay: Callable[[], object]
    lasting: tuple[object, ...]  # what lies at addresses that it knows
    used: int = 0  # the number of its last use


class Graphs:
    """The captured steps of one model. On other devices than CUDA cards steps are computed anew."""

    def __init__(self, lean: Lean, fed: Fed) -> None:
        self._lean, self._fed = lean, fed
        self._kept: WeakKeyDictionary[TransformersCache, _Captured] = WeakKeyDictionary()
        self._quickest: dict[int, str] = {}  # kinds of attention by capacity
        self._uses = 0
        if lean.device.type == "cuda":
            self._pool: Any = torch.cuda.graph_pool_handle()
            # Without a graph that uses it, the pool would be given back, and not be had again.
            self._anchor = captured(fed.position.zero_, lean.device, self._pool)

    def ready(self, cache: TransformersCache) -> bool:
        """Whether there is a graph for `cache` as it is."""
        found = self._kept.get(cache)
        return found is not None and found.place.is_that_of(cache)

    def replay(self, cache: TransformersCache) -> None:
        """Compute a step of `cache`, for which there is a graph, as `fed` says."""
        found = self._kept[cache]
        self._uses = found.used = self._uses + 1
        found.replay()

    def prepare(self, cache: TransformersCache) -> None:
        """Capture a graph for `cache`, the last place of whose rooms is not in use.

        The step is computed once there; it is written anew when it is its turn. Raises
        RuntimeError where a step cannot be captured, and what an allocator raises.
        """
        self._kept.pop(cache, None)
        while len(self._kept) >= KEPT:
            del self._kept[min(self._kept, key=lambda one: self._kept[one].used)]
        place = Place(cache)
        table = self._lean.angles.upto(place.capacity, cache.rope_scale)
        attention = self._attention(cache, place.capacity)
        step = Step(self._lean, cache, self._fed, table, attention)
        self._fed.position.fill_(place.capacity - 1)
        if self._lean.device.type == "cuda":
            replay = captured(step.run, self._lean.device, self._pool).replay
        else:
            replay = step.run
        self._kept[cache] = _Captured(place, replay, step.lasting, self._uses)

    def forget(self) -> None:
        """Give all graphs up."""
        self._kept.clear()

    def _attention(self, cache: TransformersCache, capacity: int) -> str:
        """The quickest attention over rooms of `capacity`, tried on those of `cache`."""
        lean = self._lean
        if lean.device.type != "cuda":
            return "masked"
        if capacity not in self._quickest:
            keys, values = kept_in(*rooms_of(cache)[0], lean.dtype)
            query = torch.randn(1, lean.heads, lean.width, device=lean.device).to(lean.dtype)
            length = max(1, min(cache.length, capacity - 1))
            used = Used(torch.full((1,), length, device=lean.device), capacity)
            ways = {
                name: partial(way, query, keys, values, lean.scale, used)
                for name, way in OVER_ROOMS.items()
            }
            self._quickest[capacity] = quickest(ways, lean.device)
        return self._quickest[capacity]
