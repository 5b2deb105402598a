"""A cache layer that grows in place.

transformers' own layer concatenates, that is, copies the whole cache for every token. `GrowLayer`
writes into spare room instead and hands out views.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from qwen_desktop.engine.architecture import KV_STEP


def room_for(room: torch.Tensor | None, new: torch.Tensor, held: int, length: int) -> torch.Tensor:
    """A buffer […, tokens, width] like `new` for `length` tokens: `room`, or a larger copy.

    The first `held` tokens of `room` are kept. A copy has spare room up to whole steps.
    """
    if room is not None and room.shape[-2] >= length:
        return room
    capacity = -(-length // KV_STEP) * KV_STEP
    larger = new.new_empty(*new.shape[:-2], capacity, new.shape[-1])
    if room is not None:
        larger[..., :held, :] = room[..., :held, :]
    return larger


class GrowLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [1, kv_heads, tokens, head_dim] as views of buffers with spare room."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.key_room: torch.Tensor | None = None
        self.value_room: torch.Tensor | None = None

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        """Note where and what the states are; buffers come with the first update."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Append [1, kv_heads, new, head_dim]; views of everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.length + key_states.shape[-2]
        self.key_room = room_for(self.key_room, key_states, self.length, length)
        self.value_room = room_for(self.value_room, value_states, self.length, length)
        self.key_room[:, :, self.length : length] = key_states
        self.value_room[:, :, self.length : length] = value_states
        self._show(length)
        return self.keys, self.values

    def make_room(self, length: int) -> None:
        """Have room for `length` tokens, without holding more than before."""
        if self.key_room is not None and self.value_room is not None:
            if length <= self.key_room.shape[-2] == self.value_room.shape[-2]:
                return  # as for nearly every token: views take longer than looking
            self.key_room = room_for(self.key_room, self.key_room, self.length, length)
            self.value_room = room_for(self.value_room, self.value_room, self.length, length)
            self._show(self.length)

    def written(self, length: int) -> None:
        """Hold `length` tokens: those that are new have been written into the rooms."""
        self._show(length)

    def rooms(self) -> Iterator[torch.Tensor]:
        """The buffers, spare room included."""
        yield from (room for room in (self.key_room, self.value_room) if room is not None)

    def _show(self, length: int) -> None:
        self.length = length
        if self.key_room is not None and self.value_room is not None:
            self.keys = self.key_room[:, :, :length]
            self.values = self.value_room[:, :, :length]

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.length

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; the number is negative, as transformers wants it."""
        self._show(self.length - abs(tokens_to_remove))

    def reset(self) -> None:
        """Forget everything and free the buffers."""
        self.__init__()  # type: ignore[misc]
