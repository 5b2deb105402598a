"""Attention over a cache, for pieces of a prompt and for one token, without repeating K and V.

Queries are [tokens, heads, width]; keys and values [kv_heads, positions, width], as caches hold
them; `heads` is a multiple of `kv_heads`. Sums and softmax are in float32 or better.
"""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

# Positions whose values are summed up together: many blocks of a card then work on one head.
SPLIT = 256


# -- pieces of a prompt, or a token, at the end of what a cache holds ------------------------------


class Piece:
    """What each of the newest `tokens` of `held` positions sees, for all layers of a forward.

    With `flash` by the kernel of CUDA cards from compute capability 8.0 on, for 16-bit numbers: it
    needs neither a mask nor repeated heads.
    """

    def __init__(
        self, tokens: int, held: int, device: torch.device, *, flash: bool = False
    ) -> None:
        self.tokens, self.held = tokens, held
        self._ends: tuple[torch.Tensor, ...] | None = None
        self._mask: torch.Tensor | None = None
        if flash:
            both = torch.tensor([0, tokens, 0, held], dtype=torch.int32, device=device)
            self._ends = (both[:2], both[2:])
        elif tokens not in (1, held):
            ones = torch.ones(tokens, held, dtype=torch.bool, device=device)
            self._mask = ones.tril_(held - tokens)

    def attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """[tokens, heads · width] for `query` and all that the cache holds."""
        if self._ends is not None:
            return self._by_flash(query, keys, values, scale)
        heads, kv_heads = query.shape[1], keys.shape[0]
        grouped, mask = kv_heads < heads, self._mask
        if grouped and mask is not None and query.device.type != "cpu":
            # The kernels of cards that take a mask want keys and values of each head.
            keys, values = (part.repeat_interleave(heads // kv_heads, 0) for part in (keys, values))
            grouped = False
        found: torch.Tensor = scaled_dot_product_attention(
            query.transpose(0, 1)[None],
            keys[None],
            values[None],
            attn_mask=mask,
            is_causal=mask is None and self.tokens > 1,
            scale=scale,
            enable_gqa=grouped,
        )
        return found[0].transpose(0, 1).reshape(self.tokens, -1)

    def _by_flash(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
    ) -> torch.Tensor:
        from torch.nn.attention.varlen import varlen_attn

        assert self._ends is not None
        found: torch.Tensor = varlen_attn(
            query,
            keys.transpose(0, 1),
            values.transpose(0, 1),
            *self._ends,
            self.tokens,
            self.held,
            scale=scale,
            window_size=(-1, 0),  # causal; the last query sees the last key
            enable_gqa=keys.shape[0] < query.shape[1],
        )
        return found.reshape(self.tokens, -1)


# -- one token over rooms of a fixed size, of which the first positions are in use -----------------


class Used:
    """How much of rooms is in use: what a step's attention is given besides. On one device.

    Its tensors stay where they are; `set` changes what is in them.
    """

    def __init__(self, position: torch.Tensor, capacity: int) -> None:
        """`position`, int64 [1]: of the newest token."""
        self._position = position
        self._all = torch.arange(capacity, device=position.device)
        self.seen = self._all <= position  # bool [capacity]
        self.count = (position + 1).to(torch.int32)  # [1]
        self.ends = torch.tensor([0, 1, 0, capacity], dtype=torch.int32, device=position.device)

    def refresh(self) -> None:
        """Follow what `position` says now."""
        torch.le(self._all, self._position, out=self.seen)
        self.count.copy_(self._position).add_(1)


def over_rooms_masked(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, used: Used
) -> torch.Tensor:
    """By torch's own attention with a mask; the heads of a group are rows of one query."""
    kv_heads, capacity, width = keys.shape
    found: torch.Tensor = scaled_dot_product_attention(
        query.view(1, kv_heads, -1, width),
        keys[None],
        values[None],
        attn_mask=used.seen.view(1, 1, 1, capacity),
        scale=scale,
    )
    return found.reshape(1, -1)


def over_rooms_in_parts(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, used: Used
) -> torch.Tensor:
    """By products of matrices, values in parts of `SPLIT` positions, whose sums are added up.

    With few heads of keys, each of which one block of a card would have to read alone.
    """
    kv_heads, capacity, width = keys.shape
    rows = query.view(kv_heads, -1, width)
    scores = _product(rows, keys.transpose(1, 2)).mul_(scale)
    scores.masked_fill_(~used.seen, float("-inf"))
    shares = torch.softmax(scores, dim=-1).to(values.dtype)
    parts = capacity // SPLIT if capacity % SPLIT == 0 else 1
    shares = shares.view(kv_heads, -1, parts, capacity // parts).transpose(1, 2)
    sums = _product(
        shares.reshape(kv_heads * parts, -1, capacity // parts),
        values.reshape(kv_heads * parts, capacity // parts, width),
    )
    found = sums.view(kv_heads, parts, -1, width).sum(1)
    return found.to(query.dtype).reshape(1, -1)


def over_rooms_flash(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, used: Used
) -> torch.Tensor:
    """By the flash kernel, which reads the positions in use alone."""
    from torch.nn.attention.varlen import varlen_attn

    capacity = keys.shape[1]
    found: torch.Tensor = varlen_attn(
        query,
        keys.transpose(0, 1),
        values.transpose(0, 1),
        used.ends[:2],
        used.ends[2:],
        1,
        capacity,
        scale=scale,
        enable_gqa=keys.shape[0] < query.shape[1],
        seqused_k=used.count,
    )
    return found.reshape(1, -1)


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a · b of matrices in batches, float32."""
    if a.dtype is torch.float32:
        return torch.bmm(a, b)
    if a.device.type == "cuda":  # summed up and given out in float32, whatever goes in
        return torch.bmm(a, b, out_dtype=torch.float32)
    return torch.bmm(a.float(), b.float())


OVER_ROOMS = {
    "parts": over_rooms_in_parts,
    "masked": over_rooms_masked,
    "flash": over_rooms_flash,
}
