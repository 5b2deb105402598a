"""One token as a computation of fixed shapes and places, so that it can be captured as a graph.

It reads all of the rooms that a cache has for keys and values, and leaves out by a mask, or by the
kernel, what is not in use. Which token at which position is in tensors that stay where they are.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch

from qwen_desktop.engine import kv8
from qwen_desktop.engine.grow import GrowLayer
from qwen_desktop.engine.kv8 import CodedLayer
from qwen_desktop.engine.layers import TransformersCache
from qwen_desktop.engine.lean.angles import Table
from qwen_desktop.engine.lean.attention import OVER_ROOMS, Used
from qwen_desktop.engine.lean.forward import Lean


@dataclass(frozen=True)
class Fed:
    """What a step is given, on the model's device."""

    token: torch.Tensor  # int64 [1]
    position: torch.Tensor  # int64 [1]: how many tokens the cache holds before it
    logits: torch.Tensor  # float32 [vocabulary]: what comes out

    @staticmethod
    def on(device: torch.device, vocabulary: int) -> Fed:
        """New ones."""
        token, position = (torch.zeros(1, dtype=torch.long, device=device) for _ in range(2))
        return Fed(token, position, torch.zeros(vocabulary, device=device))


def rooms_of(cache: TransformersCache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The two rooms of each layer: keys and values, or codes and scales. Empty without rooms."""
    found = []
    for layer in cache.inner.layers:
        pair = _pair(layer)
        if pair is None:
            return []
        found.append(pair)
    return found


def _pair(layer: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    if not isinstance(layer, (GrowLayer, CodedLayer)):
        return None
    pair = tuple(layer.rooms())
    return (pair[0], pair[1]) if len(pair) == 2 else None


def capacity_of(cache: TransformersCache) -> int:
    """Tokens that every layer has room for; 0 without rooms. Layers grow one after another."""
    last = _pair(cache.inner.layers[-1])
    return 0 if last is None else int(last[0].shape[-2])


class Place:
    """The rooms of a cache as they were: whether they still are. Holds none of them."""

    def __init__(self, cache: TransformersCache) -> None:
        self._inner = weakref.ref(cache.inner)
        self._rooms = [weakref.ref(room) for room in _outer(cache)]
        self.capacity = capacity_of(cache)

    def is_that_of(self, cache: TransformersCache) -> bool:
        """Whether `cache` still has these rooms; those of all layers are exchanged together."""
        rooms = _outer(cache)
        return (
            self._inner() is cache.inner
            and len(rooms) == len(self._rooms) > 0
            and all(ref() is room for ref, room in zip(self._rooms, rooms, strict=True))
        )


def _outer(cache: TransformersCache) -> list[torch.Tensor]:
    """The rooms of the first and of the last layer."""
    layers = cache.inner.layers
    return [room for layer in (layers[0], layers[-1]) for room in _pair(layer) or ()]


def kept_in(
    first: torch.Tensor, second: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values [kv_heads, capacity, width] that the rooms of a layer hold."""
    if first.dtype != torch.int8:
        return first[0], second[0]
    keys, values = kv8.decode(first, second, dtype)
    return keys, values


class Step:
    """`run` computes the logits after `fed.token`, and keeps its keys and values in the rooms."""

    def __init__(
        self, lean: Lean, cache: TransformersCache, fed: Fed, table: Table, attention: str
    ) -> None:
        """`cache` has rooms; `table` has as many positions. `attention` is one of `OVER_ROOMS`."""
        self._lean, self._fed, self._table = lean, fed, table
        self._rooms = rooms_of(cache)
        self._attend = OVER_ROOMS[attention]
        self._used = Used(fed.position, int(self._rooms[0][0].shape[-2]))

    @property
    def lasting(self) -> tuple[object, ...]:
        """What has to stay as long as what was captured of the step: all but the rooms."""
        return self._lean, self._fed, self._table, self._used

    def run(self) -> None:
        """Allocates nothing that lasts, and waits for nothing."""
        lean, fed = self._lean, self._fed
        self._used.refresh()
        h = lean.hidden(fed.token, self._table.at(fed.position), self._one, _unchecked)
        fed.logits.copy_(lean.logits(h)[0])

    def _one(
        self, number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        keys, values = self._kept(number, key.transpose(0, 1), value.transpose(0, 1))
        return self._attend(query, keys, values, self._lean.scale, self._used)

    def _kept(self, number: int, key: Any, value: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep [kv_heads, 1, width] of a layer; all of its room [kv_heads, capacity, width]."""
        at = self._fed.position
        first, second = self._rooms[number]
        if first.dtype != torch.int8:
            first[0].index_copy_(1, at, key)
            second[0].index_copy_(1, at, value)
        else:
            codes, scales = kv8.encode(torch.stack((key, value)))
            first.index_copy_(2, at, codes)
            second.index_copy_(2, at, scales)
        return kept_in(first, second, self._lean.dtype)


def _unchecked() -> None:
    """A step is too short to be interrupted."""
