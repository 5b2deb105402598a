"""What drafts cost and what they bring, learnt from the steps and tokens as they come.

A step of r rows takes c(r) steps of one row; drafts of which the i-th comes true with the chance
a(i), given that those before it did, bring 1 + a(1) + a(1) a(2) + … tokens. They pay where that is
more than c(r). Both are measured here: c from the clock, at every step; a from the tokens, at every
token, whether a draft was verified or not. So a text that does not repeat costs nothing: nothing is
tried before the chances call for it.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable

SIZES = (2, 3, 4, 5, 6, 8, 11, 16)  # rows of a step that verifies drafts
GAIN = 1.05  # tokens for the time of one that drafts have to bring

_STEPS = 9  # of one row, of which the median is what a step takes
_TRIES = 5  # of each size, of which the median counts
_LEAST = 3  # steps of one row before anything is compared with them
_HOPED = 0.1  # of a step that a row more takes, where nothing is known of it
_OLD = 256  # tokens after which a cost may have changed
_STALE = 64  # tokens after which a step of one row is measured again
_WEIGHT = 3.0  # tokens that an expectation counts for
_KEPT = 0.97  # of the weight of what came before, with each token
# Longest runs of each class, and what to expect of them before anything is known.
_CLASSES = ((2, 0.15), (3, 0.3), (5, 0.4), (9, 0.5), (17, 0.6), (10**9, 0.7))


class Costs:
    """What steps of some rows take over one of one row, for one model on this machine."""

    def __init__(self) -> None:
        self._one: deque[float] = deque(maxlen=_STEPS)
        self._ratios: dict[int, deque[float]] = {}
        self._tried: dict[int, int] = {}  # when, in tokens
        self._tokens = 0
        self._measured = 0  # when a step of one row was, in tokens

    @property
    def step(self) -> float:
        """Seconds of a step of one row; 0.0 where that is not known yet."""
        return statistics.median(self._one) if len(self._one) >= _LEAST else 0.0

    @property
    def is_stale(self) -> bool:
        """Whether a step of one row should be measured anew."""
        return self._tokens - self._measured > _STALE

    def passed(self) -> None:
        """A token was made, in whatever way."""
        self._tokens += 1

    def measured(self, rows: int, seconds: float) -> None:
        """A step of `rows` rows took so long."""
        if rows == 1:
            self._one.append(seconds)
            self._measured = self._tokens
        elif step := self.step:
            if self._is_old(rows):
                self._ratios.pop(rows, None)
            ratio = max(1.0, seconds / step)
            self._ratios.setdefault(rows, deque(maxlen=_TRIES)).append(ratio)
            self._tried[rows] = self._tokens

    def forget_steps(self) -> None:
        """Another conversation is read, whose steps may take another time."""
        self._one.clear()

    def of(self, rows: int) -> float:
        """Steps of one row that one of `rows` rows takes, as far as can be known."""
        if rows in self._ratios:
            return self._believed(rows)
        low, high = (1, 1.0), None
        for size in sorted(self._ratios):
            point = (size, self._believed(size))
            if size < rows:
                low = point
            else:
                high = point
                break
        slope = _HOPED  # beyond what is known: kernels of many rows are others than those of few
        if high is not None:
            slope = (high[1] - low[1]) / (high[0] - low[0])
        return max(1.0, low[1] + slope * (rows - low[0]))

    def _believed(self, rows: int) -> float:
        """What was measured; after one try, or a long time, it is half hope."""
        found, hope = statistics.median_low(self._ratios[rows]), 1.0 + _HOPED * (rows - 1)
        doubtful = len(self._ratios[rows]) < 2 or self._is_old(rows)
        return math.sqrt(found * hope) if doubtful and found > hope else found

    def _is_old(self, rows: int) -> bool:
        return self._tokens - self._tried.get(rows, self._tokens) > _OLD


class Chances:
    """How often the token that was expected came, by how many tokens had agreed before it."""

    def __init__(self) -> None:
        self._seen = [[_WEIGHT * expected, _WEIGHT] for _, expected in _CLASSES]

    def tell(self, match: int, came: bool) -> None:
        """After a run of `match` tokens the expected one `came`, or did not."""
        seen = self._seen[_class_of(match)]
        seen[0] = seen[0] * _KEPT + came
        seen[1] = seen[1] * _KEPT + 1.0

    def of(self, match: int) -> float:
        """The chance of the expected token after a run of `match` tokens."""
        hits, tries = self._seen[_class_of(match)]
        return hits / tries


def _class_of(match: int) -> int:
    return next(n for n, (longest, _) in enumerate(_CLASSES) if match <= longest)


def best_length(
    costs: Costs, chance: Callable[[int], float], most: int, each: float = 0.0
) -> tuple[int, float]:
    """The number of drafts that pays most, at most `most`, and what they bring.

    That is in tokens for the time of one; (0, 1.0) where none pay. `chance` gives that of the
    i-th draft, from 0, where those before it came true; `each` is what it takes to make one, in
    steps.
    """
    expected, running = 1.0, 1.0
    best, brings = 0, 1.0
    for number in range(most):
        running *= chance(number)
        expected += running
        rows = number + 2
        if rows not in SIZES:
            continue
        gain = expected / (costs.of(rows) + each * (rows - 1))
        if gain > max(GAIN, brings):
            best, brings = rows - 1, gain
    return best, brings
