"""Times of many short things on a machine that is shared: those count that nobody disturbed.

Standard library only: the interpreter with llama.cpp imports it too.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

STAT = Path("/proc/stat")
GROUP = 0.4  # seconds
QUIET = 0.15  # cores that others may use


def busy() -> float:
    """Seconds of CPU that all programs have used; 0 where the system does not say."""
    if not STAT.exists():
        return 0.0
    with STAT.open() as file:
        parts = [int(part) for part in file.readline().split()[1:9]]
    return (sum(parts) - parts[3] - parts[4]) / 100  # less idle and waiting, in ticks


class Groups:
    """Seconds of each, in groups; `others` are the cores that other programs used meanwhile."""

    def __init__(self, wanted: int = 4, limit: float = 12.0) -> None:
        """Enough is: so many quiet groups, or so many seconds."""
        self._wanted, self._limit = wanted, limit
        self._groups: list[tuple[float, list[float]]] = []
        self._began = time.perf_counter()
        self._begin()

    def _begin(self) -> None:
        self._now: list[float] = []
        self._at = time.perf_counter(), busy(), time.process_time()

    def add(self, seconds: float) -> None:
        """One more."""
        self._now.append(seconds)
        wall, all_, own = self._at
        passed = time.perf_counter() - wall
        if passed >= GROUP:
            others = (busy() - all_ - (time.process_time() - own)) / passed
            self._groups.append((others, self._now))
            self._begin()

    @property
    def enough(self) -> bool:
        """Whether to stop."""
        return self.quiet >= self._wanted or time.perf_counter() - self._began > self._limit

    @property
    def quiet(self) -> int:
        """How many groups were quiet."""
        return sum(1 for others, _ in self._groups if others < QUIET)

    @property
    def median(self) -> float:
        """Of those in quiet groups; where there are fewer than two, of those in the quietest."""
        ordered = sorted(self._groups, key=lambda group: group[0])
        taken = ordered[: max(2, self.quiet)]
        found = [one for _, seconds in taken for one in seconds] or self._now
        return statistics.median(found)
