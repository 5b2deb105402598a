"""How much room a cache takes for keys and values of so many tokens. Arithmetic only.

As a rule rooms grow by equal steps. Where a step of decoding is bound to the place and the size of
its rooms (a CUDA graph), they are few sizes instead, at most a quarter more than is needed, and
there is always room for some tokens more: the next size is taken before the last one is full.
"""

from __future__ import annotations

from dataclasses import dataclass

KV_STEP = 256  # tokens
_DOUBLED = 1024  # up to this size buckets double
_LEAST = 512  # tokens between two sizes beyond it
AHEAD = 16  # tokens that buckets have room for besides


@dataclass(frozen=True)
class Rooms:
    """The rule by which rooms are measured out. `longest`: tokens no cache will ever exceed."""

    buckets: bool = False
    longest: int = 0

    def size(self, tokens: int) -> int:
        """Tokens that there is room for where `tokens` are held; 0 for none."""
        if tokens <= 0:
            return 0
        if not self.buckets:
            return -(-tokens // KV_STEP) * KV_STEP
        wanted = tokens + AHEAD
        if self.longest:
            wanted = max(tokens, min(wanted, self.longest))
        return _bucket(wanted)

    def suffice(self, room: int, tokens: int) -> bool:
        """Whether a `room` will do for `tokens`."""
        if not self.buckets:
            return room >= tokens
        wanted = min(tokens + AHEAD, self.longest) if self.longest else tokens + AHEAD
        return room >= max(tokens, wanted)

    def filled(self, tokens: int) -> int:
        """How many tokens the room for `tokens` does for at most."""
        size = self.size(tokens)
        if not self.buckets:
            return size
        return size if self.longest and size >= self.longest else max(tokens, size - AHEAD)

    def before(self, tokens: int) -> int:
        """The room that was there before the one for `tokens`: it is left behind by growth."""
        size = self.size(tokens)
        if not self.buckets:
            return max(0, size - KV_STEP)
        if size <= _DOUBLED:
            return size // 2 if size > KV_STEP else 0
        return size - _step(size)


STEPS = Rooms()


def _bucket(tokens: int) -> int:
    """256, 512, 1,024, then on by a quarter of the power of two below, by 512 at least."""
    size = KV_STEP
    while size < min(tokens, _DOUBLED):
        size *= 2
    if tokens <= _DOUBLED:
        return size
    step = _step(tokens)
    return -(-tokens // step) * step


def _step(tokens: int) -> int:
    """What sizes differ by around `tokens`."""
    return max(_LEAST, (1 << (tokens - 1).bit_length()) // 8)
