"""What a request will take at its highest, against what is free now: pieces, context, room to make.

Weights are in memory already. What comes besides are the KV cache up to the end of the longest
answer, what a forward takes for a moment (activations.py), and a reserve for everything that is
not ours. Where that is too much, the caches of other conversations go first, then the pieces of
the prompt get smaller, then the context. Arithmetic only, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.activations import Forward, activations
from qwen_desktop.engine.architecture import Architecture
from qwen_desktop.engine.rooms import STEPS, Rooms

MIB = 2**20

# Left to the allocator's rounding, to libraries and to the rest of the machine.
CPU_RESERVE = 256 * MIB
CARD_RESERVE = 128 * MIB

MIN_CHUNK = 16  # tokens: shorter pieces save next to nothing more
_DIGITS = 4  # binary digits of a limit that memory sets
ANSWER_SHARE = 4  # a quarter of the context is kept for the answer, or less where it is limited


@dataclass(frozen=True)
class Costs:
    """What tokens take on one device of a model. `layers` are those whose caches lie there.

    `item` is the bytes of an element; `on_cpu`: all of the model computes on the CPU.
    """

    made: Architecture
    item: int
    kv: KvFormat
    layers: tuple[int, ...]
    on_cpu: bool
    reserve: int
    rooms: Rooms = STEPS  # of caches
    forward: Forward = Forward.MODULE  # what computes
    besides: int = 0  # bytes of a token in another model's cache, which grows with this one's

    def cache(self, tokens: int) -> int:
        """Bytes of the KV cache of `tokens` on this device, spare room included."""
        made = self.made
        return sum(
            made.layer_cache_bytes(n, tokens, self.item, self.kv, self.rooms) for n in self.layers
        )

    def working(self, chunk: int, context: int) -> int:
        """Bytes that a forward of `chunk` tokens up to `context` takes for a moment."""
        return activations(
            self.made,
            chunk,
            context,
            self.item,
            self.kv,
            on_cpu=self.on_cpu,
            rooms=self.rooms,
            forward=self.forward,
        )

    def need(self, prompt: int, end: int, chunk: int) -> int:
        """Bytes at the highest, with a prompt of `prompt` tokens and `end` tokens at the end."""
        end = max(prompt, end)
        reading = self.cache(prompt) + self.working(chunk, prompt)
        writing = self.cache(end) + self.working(1, end)
        return max(reading, writing) + self.besides * end + self.reserve


@dataclass(frozen=True)
class Room:
    """One device as it is now. Bytes: free, and held by caches of this conversation and others."""

    costs: Costs
    free: int
    held: int = 0
    others: int = 0

    @property
    def most(self) -> int:
        """What there would be without other conversations."""
        return self.free + self.held + self.others


@dataclass(frozen=True)
class RequestPlan:
    """How a request is carried out: tokens of a piece, bytes that others have to give up.

    `drop` counts their caches on all devices, as a conversation gives up all of its own. `need` and
    `free` are those of the device that has least to spare; `fits` where it is enough.
    """

    chunk: int
    drop: int
    need: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether there is enough, once others have given up `drop`."""
        return self.need <= self.free


def context_limit(rooms: Sequence[Room], context_length: int, chunk: int) -> int:
    """Tokens that the model (`context_length`) and the memory of all its devices allow.

    Where memory decides, it is a round number: the prompt's beginning should not change each time
    another program takes or gives back a little. 0 where nothing fits.
    """

    def fits(tokens: int) -> bool:
        smallest = min(chunk, MIN_CHUNK)
        return all(room.costs.need(tokens, tokens, smallest) <= room.most for room in rooms)

    if fits(context_length):
        return context_length
    low, high = 0, context_length  # fits, does not fit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    places = max(0, low.bit_length() - _DIGITS)
    return low >> places << places


def prompt_budget(limit: int, max_new_tokens: int, window: int | None = None) -> int:
    """Tokens a prompt may take of a context of `limit`: the rest is for the answer.

    Not more than a quarter is kept free: a short context is worth more to the conversation.
    `window` is the longest prompt that the tokenizer takes, where there is one.
    """
    room = limit - min(max_new_tokens, limit // ANSWER_SHARE)
    return room if window is None else min(room, window)


def plan_request(rooms: Sequence[Room], prompt: int, end: int, chunk: int) -> RequestPlan:
    """How to read a prompt of `prompt` tokens and go on to `end` tokens, in pieces of `chunk`.

    Pieces get smaller only where giving up all other conversations would not be enough.
    """
    while True:
        plans = [_on(room, prompt, end, chunk) for room in rooms]
        worst = max(plans, key=lambda plan: plan.need - plan.free)
        if worst.fits or chunk <= MIN_CHUNK:
            others = sum(room.others for room in rooms)
            drop = max(
                -(-plan.drop * others // max(1, room.others))
                for room, plan in zip(rooms, plans, strict=True)
            )
            return RequestPlan(chunk, drop, worst.need, worst.free)
        chunk = max(MIN_CHUNK, chunk // 2)


def _on(room: Room, prompt: int, end: int, chunk: int) -> RequestPlan:
    need = room.costs.need(prompt, end, chunk)
    lacking = need - room.free - room.held
    return RequestPlan(chunk, min(max(0, lacking), room.others), need, room.most)
