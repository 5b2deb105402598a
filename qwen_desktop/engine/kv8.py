"""Keys and values as 8-bit codes: a cache layer of about half the size, read back layer by layer.

Each `KV_BLOCK` values of a head share a scale: some channels of Qwen2's keys are a hundred times
larger than the others, so that one scale per token would leave nothing for the rest. What a forward
gets are all tokens read back through the codes, the newest too: an answer then depends neither on
the size of the pieces nor on what was reused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from qwen_desktop.engine.activations import KV_PIECE
from qwen_desktop.engine.architecture import KV_BLOCK
from qwen_desktop.engine.grow import room_for
from qwen_desktop.engine.rooms import STEPS, Rooms

# Half the bytes of float32 with all of its range: values of some heads are tiny.
SCALE = torch.bfloat16

# Codes lie within -127 … 127. A scale is rounded to 8 bits, by up to 1/256, so that the largest
# value of a block is aimed below 127 and never cut off.
_LARGEST = 126.5
_TINY = torch.finfo(SCALE).tiny  # the scale of zeros


def encode(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes (int8, the shape of `states` […, width]) and scales (bfloat16 […, width / KV_BLOCK]).

    `width` is a multiple of KV_BLOCK. A value is code × scale, within half a scale.
    """
    blocks = states.unflatten(-1, (-1, KV_BLOCK)).float()
    peaks = torch.linalg.vector_norm(blocks, float("inf"), dim=-1)
    scales = peaks.div_(_LARGEST).to(SCALE).clamp_min_(_TINY)
    codes = (blocks / scales.unsqueeze(-1)).round_().to(torch.int8)
    return codes.flatten(-2), scales


def decode(codes: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What `encode` was given, as near as the codes are, in `dtype`: […, tokens, width]."""
    if dtype is torch.float32 or codes.device.type != "cpu":
        return _scaled(codes, scales, dtype)
    # A CPU multiplies float32 several times as quickly as what it has to convert on the way.
    states = torch.empty(codes.shape, dtype=dtype)
    for start in range(0, codes.shape[-2], KV_PIECE):
        piece = (..., slice(start, start + KV_PIECE), slice(None))
        states[piece] = _scaled(codes[piece], scales[piece], torch.float32)
    return states


def _scaled(codes: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    states = codes.to(dtype)
    factors = scales.to(torch.promote_types(dtype, SCALE))  # a product of one type is quicker
    states.unflatten(-1, (-1, KV_BLOCK)).mul_(factors.unsqueeze(-1))
    return states


class CodedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one sequence as codes [2, kv_heads, tokens, head_dim] with spare room.

    They lie together, keys first: a token is then coded in one go.
    """

    def __init__(self, rooms: Rooms = STEPS) -> None:
        super().__init__()
        self.length = 0
        self.measure = rooms
        self.code_room: torch.Tensor | None = None
        self.scale_room: torch.Tensor | None = None

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        """Note where and what the states are; buffers come with the first update."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Append [1, kv_heads, new, head_dim]; everything so far, read back from the codes."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.append(*encode(torch.cat((key_states, value_states))))
        codes, scales = self.parts()
        states = decode(codes, scales, self.dtype)
        return states[:1], states[1:]

    def append(self, codes: torch.Tensor, scales: torch.Tensor) -> None:
        """Append codes [2, kv_heads, new, head_dim] and their scales."""
        length = self.length + codes.shape[-2]
        self.code_room = room_for(self.code_room, codes, self.length, length, self.measure)
        self.scale_room = room_for(self.scale_room, scales, self.length, length, self.measure)
        self.code_room[:, :, self.length : length] = codes
        self.scale_room[:, :, self.length : length] = scales
        self.length = length

    def make_room(self, length: int) -> None:
        """Have room for `length` tokens, without holding more than before."""
        if self.code_room is not None and self.scale_room is not None:
            held = self.length
            self.code_room = room_for(self.code_room, self.code_room, held, length, self.measure)
            self.scale_room = room_for(self.scale_room, self.scale_room, held, length, self.measure)

    def written(self, length: int) -> None:
        """Hold `length` tokens: those that are new have been written into the rooms."""
        self.length = length

    def parts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and scales of all tokens, as views. Raises ValueError where there are none."""
        if self.code_room is None or self.scale_room is None:
            raise ValueError("nothing was appended yet")
        return self.code_room[:, :, : self.length], self.scale_room[:, :, : self.length]

    def rooms(self) -> Iterator[torch.Tensor]:
        """The buffers, spare room included."""
        yield from (room for room in (self.code_room, self.scale_room) if room is not None)

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.length

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; the number is negative, as transformers wants it."""
        self.length -= abs(tokens_to_remove)

    def reset(self) -> None:
        """Forget everything and free the buffers."""
        self.__init__(self.measure)  # type: ignore[misc]
