"""Prompt lookup: what came after the newest tokens when they came before.

An answer that changes a text repeats most of it; a conversation repeats names, code and phrases.
The longest run of tokens that the text so far ends with, and that stands somewhere before, says
what may come next. What is found is followed for as long as the text goes on alike, so that a
search is made only where it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MOST = 32  # tokens that are compared; longer runs are as good

_SPARE = 4096  # tokens that there is room for besides


class Lookup:
    """Follows the tokens of one prompt and its answer.

    `match`: so many of the newest agree with those before the place that is followed; 0 for none,
    as one alone would say next to nothing.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self._tokens: np.ndarray[Any, Any] = np.empty(len(ids) + _SPARE, np.int32)
        self._tokens[: len(ids)] = ids
        self._end = len(ids)
        self.match = 0
        self._place = 0  # of the token that is expected; where nothing is, of none
        self._search()

    @property
    def next(self) -> int:
        """The token that is expected; -1 where none is."""
        return int(self._tokens[self._place]) if self.match else -1

    def tell(self, token: int) -> None:
        """`token` is the next one of the text."""
        if self._end == len(self._tokens):
            self._tokens = np.concatenate((self._tokens, np.empty_like(self._tokens)))
        follows = self.next == token
        self._tokens[self._end] = token
        self._end += 1
        if follows:
            self._place += 1
            self.match = min(self.match + 1, MOST)
        else:
            self._search()

    def draft(self, count: int) -> list[int]:
        """The next `count` tokens, should the text go on as it did; none where nothing agrees."""
        if not self.match:
            return []
        # Where what is followed is the newest text itself, it comes again and again.
        period = self._end - self._place
        places = self._place + np.arange(count) % period
        found: list[int] = self._tokens[places].tolist()
        return found

    def _search(self) -> None:
        """Find the longest run that the text ends with; of several the newest."""
        tokens, end = self._tokens[: self._end], self._end
        self.match = 0
        # Places of tokens that come after one like the newest.
        places = np.flatnonzero(tokens[: end - 1] == tokens[end - 1]) + 1 if end else tokens[:0]
        for back in range(2, min(MOST, end) + 1):
            places = places[places >= back]
            places = places[tokens[places - back] == tokens[end - back]]
            if not len(places):
                break
            self.match, self._place = back, int(places[-1])
