"""What a memory study plans with: how much each way takes for a prompt, and for how long.

What this program's own forwards take is told by budget.py, the second way being one piece as long
as the prompt. Only what eager attention takes, which nothing else here uses, is counted here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qwen_desktop.chat.study import EAGER_ANSWER, StudySetup, Way
from qwen_desktop.engine.activations import activations
from qwen_desktop.engine.architecture import Architecture
from qwen_desktop.engine.budget import MIB, MIN_CHUNK, Costs, Room

HEAP = 64 * MIB  # of freed memory that glibc may keep; half of it is expected
_LINEAR = "linear_attention"


@dataclass(frozen=True)
class Need:
    """What a prompt takes beside the weights. `fits`: on every device. Sums over all of them."""

    need: int  # reserves included
    free: int
    fits: bool
    expected: int  # without reserves: what is to be measured


def need(rooms: Sequence[Room], way: Way, prompt: int, end: int, chunk: int) -> Need:
    """What a turn takes: a prompt of `prompt` tokens, read in pieces of `chunk`, then up to `end`.

    `chunk` is that of the first way; it gets smaller where memory is short, as in an answer.
    """
    while True:
        own = [_costs(room.costs, way, prompt, end, chunk) for room in rooms]
        wanted = [
            one + room.costs.reserve + _heap(room.costs, one)
            for one, room in zip(own, rooms, strict=True)
        ]
        fits = all(one <= room.most for one, room in zip(wanted, rooms, strict=True))
        if fits or way is not Way.APP or chunk <= MIN_CHUNK:
            heap = sum(_heap(room.costs, one) for one, room in zip(own, rooms, strict=True))
            free = sum(room.most for room in rooms)
            return Need(sum(wanted), free, fits, sum(own) + heap)
        chunk = max(MIN_CHUNK, chunk // 2)


def _costs(costs: Costs, way: Way, prompt: int, end: int, chunk: int) -> int:
    """Bytes on one device."""
    if way is Way.EAGER:
        return eager(costs.made, end, costs.item, on_cpu=costs.on_cpu)
    piece = prompt if way is Way.REREAD else min(chunk, prompt)
    return replace(costs, reserve=0).need(prompt, end, piece)


def _heap(costs: Costs, own: int) -> int:
    """What the C library is expected to keep of what was freed meanwhile."""
    return min(HEAP, own) // 2 if costs.on_cpu and sys.platform == "linux" else 0


def eager(made: Architecture, tokens: int, item: int, *, on_cpu: bool) -> int:
    """Bytes of tensors at the peak of one forward over `tokens`: eager attention, all logits.

    Counted off transformers' `eager_attention_forward`: keys and values are repeated for every
    head, and the weights of attention are there as numbers of the model and as floats at a time.
    """
    hidden, rows = made.hidden_size, made.heads * made.head_dim
    kv_rows = made.kv_heads * made.head_dim
    square, mask = made.heads * tokens * tokens, tokens * tokens * item
    always = tokens * item * (3 * hidden + 2 * made.head_dim) + mask
    moments = [tokens * item * (made.vocabulary + hidden)]
    after = activations(made, tokens, tokens, item, on_cpu=on_cpu)
    if any(kind != _LINEAR for kind in made.layer_kinds):
        repeated = 2 * rows if made.kv_heads < made.heads else 0
        # Scores, their softmax in float32; a CPU makes floats of the scores first.
        scores = 8 if item == 4 or not on_cpu else item + 8
        attention = tokens * item * (rows + 2 * kv_rows + repeated)
        moments.append(always + attention + square * scores)
        after += mask + square * item  # a layer holds on to the scores until its end
    return max(*moments, after)


@dataclass(frozen=True)
class Pace:
    """How quick the model is, measured on a few tokens. Seconds."""

    token: float  # of a prompt
    step: float  # of an answer
    growth: float  # by how much a token of context makes reading one slower, as a share

    def seconds(self, setup: StudySetup, way: Way, tokens: int) -> float:
        """What a turn of `tokens` takes, roughly."""
        if way is Way.EAGER:
            one = tokens * self.token * (1 + 3 * tokens * self.growth)
            return min(setup.answer, EAGER_ANSWER) * one
        read = tokens
        if way is Way.APP:
            read -= max((n for n in setup.lengths if n < tokens), default=0)
        return read * self.token * (1 + tokens * self.growth) + setup.answer * self.step
