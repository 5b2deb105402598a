"""Heights of a column of items and where each starts. No Qt."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class Heights:
    """Item heights in px with their running sums, summed again only from the first change."""

    def __init__(self, heights: Iterable[int] = ()) -> None:
        self._heights = list(heights)
        self._tops = [0]  # _tops[i] is valid for i < len(_tops)

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, index: int) -> int:
        return self._heights[index]

    def append(self, height: int) -> None:
        """Add an item at the end."""
        self._heights.append(height)

    def set(self, index: int, height: int) -> None:
        """Change one height."""
        if self._heights[index] != height:
            self._heights[index] = height
            del self._tops[index + 1 :]

    def top(self, index: int) -> int:
        """Where item `index` starts; `top(len)` is where the last one ends."""
        while len(self._tops) <= index:
            self._tops.append(self._tops[-1] + self._heights[len(self._tops) - 1])
        return self._tops[index]

    @property
    def total(self) -> int:
        """The height of all items."""
        return self.top(len(self._heights))

    def at(self, y: int) -> int:
        """The item that covers `y`; the first or last one outside. There must be an item."""
        last = len(self._heights) - 1
        self.top(last)
        return min(max(0, bisect_right(self._tops, y, 0, last + 1) - 1), last)
