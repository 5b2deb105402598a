"""The loop guard: finds an answer that says the same again and again, token by token.

Only exact repetition counts, so a numbered list or a table with one changing figure never does.
How often is too often depends on what is repeated. A sentence is not wanted twenty times, but
rows of zeros, rulers and drawings are: what has no letter in it may go on four times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

MAX_PERIOD = 256  # tokens
MIN_TOKENS = 128  # repeated in all, the first time included
MIN_REPEATS = 6
MAX_CLOSINGS = 3  # markers that close reasoning
UNLETTERED = 4  # times as many repeats for what has no letters


def repeats_of(period: int) -> int:
    """How often a cycle of `period` tokens with letters has to come, the first time included.

    128 tokens at least: 16 times a sentence of 16, eight times one of 64, six times a paragraph.
    """
    enough = max(MIN_REPEATS, round(64 / math.sqrt(period)))
    return max(enough, -(-MIN_TOKENS // period))


class LoopGuard:
    """Looks at each token once, in a few microseconds. `piece` gives the bytes of a token."""

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self._piece = piece
        self._closings = 0
        # The newest MAX_PERIOD tokens before `_end`, moved to the front when it reaches the end.
        self._tokens = np.full(16 * MAX_PERIOD, -1, dtype=np.int64)
        self._end = MAX_PERIOD
        # By period, longest first: how many of the newest tokens equal the one a period before.
        self._runs = np.zeros(MAX_PERIOD, dtype=np.int64)
        periods = np.arange(MAX_PERIOD, 0, -1)
        repeats = np.array([repeats_of(int(period)) for period in periods])
        self._enough = (repeats - 1) * periods
        self._too_many = (UNLETTERED * repeats - 1) * periods

    def feed(self, token: int, *, closes: bool = False) -> bool:
        """Whether `token` makes it a loop; looking then begins anew.

        `closes`: it is, or completes, a marker that closes reasoning.
        """
        self._closings += closes
        window = self._tokens[self._end - MAX_PERIOD : self._end]
        self._runs += 1
        self._runs *= window == token
        self._append(token)
        if self._closings >= MAX_CLOSINGS or self._is_loop():
            self._begin()
            return True
        return False

    def _is_loop(self) -> bool:
        """Whether a run has just become too long."""
        if (self._runs == self._too_many).any():
            return True
        candidates = np.flatnonzero(self._runs == self._enough)
        return any(self._has_letters(MAX_PERIOD - int(index)) for index in candidates)

    def _has_letters(self, period: int) -> bool:
        """Whether the newest `period` tokens have any; twice, as characters may lie across."""
        tokens = self._tokens[self._end - period : self._end].tolist()
        text = b"".join(map(self._piece, tokens + tokens)).decode("utf-8", "ignore")
        return any(char.isalpha() for char in text)

    def _append(self, token: int) -> None:
        if self._end == len(self._tokens):
            self._tokens[:MAX_PERIOD] = self._tokens[-MAX_PERIOD:]
            self._end = MAX_PERIOD
        self._tokens[self._end] = token
        self._end += 1

    def _begin(self) -> None:
        self._runs[:] = 0
        self._tokens[self._end - MAX_PERIOD : self._end] = -1
        self._closings = 0
