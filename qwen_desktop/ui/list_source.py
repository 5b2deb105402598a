"""Where the rows of the conversation list come from. On the way to the first paint: light."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from qwen_desktop.chat.summary import (
    ListFilter,
    ListShape,
    Section,
    Summary,
    day_starts,
    section_of,
)


class Source(Protocol):
    """Where rows come from: the list of the bridge, or what was kept of it for the start."""

    @property
    def filter(self) -> ListFilter:
        """What is listed."""

    @property
    def shape(self) -> ListShape:
        """How many rows stand under which heading."""

    def row_at(self, offset: int) -> Summary | None:
        """A row by the number of rows before it; None where it is yet to be loaded."""


class KeptRows:
    """The rows kept for the start, under their headings. `now` is in Unix seconds."""

    def __init__(self, rows: Iterable[Summary] = (), now: float | None = None) -> None:
        starts = day_starts(time.time() if now is None else now)
        rank = list(Section)
        placed = [(rank.index(section_of(row, starts)), row) for row in rows]
        placed.sort(key=lambda pair: pair[0])  # stable: in their order under each heading
        self._rows = tuple(row for _, row in placed)
        counts = [sum(1 for at, _ in placed if at == place) for place in range(len(rank))]
        sections = tuple(pair for pair in zip(rank, counts, strict=True) if pair[1])
        self.shape = ListShape(sections=sections)
        self.filter = ListFilter()

    def row_at(self, offset: int) -> Summary | None:
        """All are here."""
        return self._rows[offset]
