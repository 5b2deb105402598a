"""A cache layer that grows in place.

transformers' own layer concatenates, that is, copies the whole cache for every token. `GrowLayer`
writes into spare room instead and hands out views.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from qwen_desktop.engine.rooms import STEPS, Rooms


def room_for(
    room: torch.Tensor | None, new: torch.Tensor, held: int, length: int, rooms: Rooms = STEPS
) -> torch.Tensor:
    """A buffer […, tokens, width] like `new` for `length` tokens: `room`, or a larger copy.

    The first `held` tokens of `room` are kept. A copy has spare room as `rooms` says; that of
    buckets is of zeros, since all of them is read, however little of it counts.
    """
    if room is not None and rooms.suffice(room.shape[-2], length):
        return room
    make = new.new_zeros if rooms.buckets else new.new_empty
    larger = make((*new.shape[:-2], rooms.size(length), new.shape[-1]))
    if room is not None:
        larger[..., :held, :] = room[..., :held, :]
    return larger


class GrowLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [1, kv_heads, tokens, head_dim] as views of buffers with spare room."""

    def __init__(self, rooms: Rooms = STEPS) -> None:
        self.length = 0
        self.measure = rooms
        self.key_room: torch.Tensor | None = None
        self.value_room: torch.Tensor | None = None
        super().__init__()

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        """Note where and what the states are; buffers come with the first update."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Append [1, kv_heads, new, head_dim]; views of everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.length + key_states.shape[-2]
        self.key_room = room_for(self.key_room, key_states, self.length, length, self.measure)
        self.value_room = room_for(self.value_room, value_states, self.length, length, self.measure)
        self.key_room[:, :, self.length : length] = key_states
        self.value_room[:, :, self.length : length] = value_states
        self.length = length
        return self.keys, self.values

    @property
    def keys(self) -> torch.Tensor | None:
        """A view of what is held; None before the first update. Made when it is asked for."""
        return None if self.key_room is None else self.key_room[:, :, : self.length]

    @keys.setter
    def keys(self, _: Any) -> None:
        """The base class begins with None."""

    @property
    def values(self) -> torch.Tensor | None:
        """The same of values."""
        return None if self.value_room is None else self.value_room[:, :, : self.length]

    @values.setter
    def values(self, _: Any) -> None:
        """The base class begins with None."""

    def make_room(self, length: int) -> None:
        """Have room for `length` tokens, without holding more than before."""
        if self.key_room is not None and self.value_room is not None:
            held, size = self.length, self.key_room.shape[-2]
            if size == self.value_room.shape[-2] and self.measure.suffice(size, length):
                return  # as for nearly every token
            self.key_room = room_for(self.key_room, self.key_room, held, length, self.measure)
            self.value_room = room_for(self.value_room, self.value_room, held, length, self.measure)

    def written(self, length: int) -> None:
        """Hold `length` tokens: those that are new have been written into the rooms."""
        self.length = length

    def rooms(self) -> Iterator[torch.Tensor]:
        """The buffers, spare room included."""
        yield from (room for room in (self.key_room, self.value_room) if room is not None)

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.length

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; the number is negative, as transformers wants it."""
        self.length -= abs(tokens_to_remove)

    def reset(self) -> None:
        """Forget everything and free the buffers."""
        self.__init__(self.measure)  # type: ignore[misc]
