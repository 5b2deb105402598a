"""What a chart shows, as frozen values, and what can be read off it. No painting, no widgets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from qwen_desktop.ui.chart_scale import Axis, span

# Beyond so many times the highest value a limit is told of at the edge: in view it would press
# everything else to the ground.
LIMIT_IN_VIEW = 1.5
MOST = 1e18  # of any value: more than all that is measured


@dataclass(frozen=True)
class Series:
    """Points of one kind, in the order they came to be; `colour` is a name of the theme.

    `style` is "line", "dashed" or "points"; `notes` says something of each point, or of none.
    `faint`: there to compare with, not what is looked at.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str = "accent"
    style: str = "line"
    notes: tuple[str, ...] = ()
    faint: bool = False

    def __post_init__(self) -> None:
        """A point that no axis reaches is left out: in the midst of painting it would be the end.

        Such values come of files that other hands have written.
        """
        kept = [n for n, (x, y) in enumerate(self.points) if abs(x) <= MOST and abs(y) <= MOST]
        if len(kept) < len(self.points):
            notes = tuple(self.note(n) for n in kept) if self.notes else ()
            object.__setattr__(self, "notes", notes)
            object.__setattr__(self, "points", tuple(self.points[n] for n in kept))

    @cached_property
    def ordered(self) -> tuple[int, ...]:
        """Indices of the points from left to right."""
        return tuple(sorted(range(len(self.points)), key=lambda n: self.points[n]))

    @cached_property
    def xs(self) -> list[float]:
        """Where the points are, from left to right."""
        return [self.points[n][0] for n in self.ordered]

    def at(self, x: float, near: float = 0.0) -> tuple[float, str] | None:
        """The value at `x` with its note: of a point within `near`, else on the line there."""
        if not self.points:
            return None
        place = bisect_left(self.xs, x)
        beside = [n for n in (place - 1, place) if 0 <= n < len(self.xs)]
        best = min(beside, key=lambda n: abs(self.xs[n] - x))
        index = self.ordered[best]
        if self.xs[best] == x or (self.style == "points" and abs(self.xs[best] - x) <= near):
            return self.points[index][1], self.note(index)
        if self.style == "points" or len(beside) < 2:
            return None
        left, right = (self.points[self.ordered[n]] for n in beside)
        share = (x - left[0]) / (right[0] - left[0])
        return left[1] + share * (right[1] - left[1]), ""

    def note(self, index: int) -> str:
        """What is said of a point."""
        return self.notes[index] if index < len(self.notes) else ""


@dataclass(frozen=True)
class Limit:
    """A line that must not be passed: at a value of y, or of x where it is `upright`."""

    name: str
    value: float
    upright: bool = False
    colour: str = "error"


@dataclass(frozen=True)
class View:
    """The part of the plane that is shown."""

    left: float
    right: float
    bottom: float
    top: float

    @property
    def width(self) -> float:
        """In values of x."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In values of y."""
        return self.top - self.bottom

    def zoomed(self, by: float, x: float, y: float, *, across: bool, up: bool) -> View:
        """`by` times as near about (x, y), in the directions asked for."""
        left, right, bottom, top = self.left, self.right, self.bottom, self.top
        if across:
            left, right = x - (x - left) / by, x + (right - x) / by
        if up:
            bottom, top = y - (y - bottom) / by, y + (top - y) / by
        return View(left, right, bottom, top)

    def moved(self, x: float, y: float) -> View:
        """Somewhere else, as large."""
        return View(self.left + x, self.right + x, self.bottom + y, self.top + y)


@dataclass(frozen=True)
class Plot:
    """A whole chart, but for what part of it is looked at. `hidden` are names of series.

    `empty` stands where there is nothing to show.
    """

    x: Axis
    y: Axis
    series: tuple[Series, ...] = ()
    limits: tuple[Limit, ...] = ()
    empty: str = ""
    title: str = ""
    hidden: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def shown(self) -> tuple[Series, ...]:
        """The series that are not hidden and have a point."""
        return tuple(s for s in self.series if s.points and s.name not in self.hidden)

    @cached_property
    def whole(self) -> View:
        """All of what is shown, and the limits that are near."""
        points = [point for series in self.shown for point in series.points]
        if not points:
            return View(0.0, 1.0, 0.0, 1.0)
        xs, ys = [x for x, _ in points], [y for _, y in points]
        low = (min(xs), min(ys))
        high = [max(xs), max(ys)]
        for limit in self.limits:
            way = 0 if limit.upright else 1
            if high[way] < limit.value <= LIMIT_IN_VIEW * high[way]:
                high[way] = limit.value
        left, right = span(low[0], high[0], from_zero=self.x.from_zero)
        bottom, top = span(low[1], high[1], from_zero=self.y.from_zero)
        return View(left, right, bottom, top)


@dataclass(frozen=True)
class Reading:
    """What stands at one x: (series, value, note) of those that have one there."""

    x: float
    values: tuple[tuple[Series, float, str], ...]


def read(plot: Plot, x: float, near: float = 0.0) -> Reading:
    """The values of all series that are shown at `x`; points within `near` count as there."""
    found = []
    for series in plot.shown:
        value = series.at(x, near)
        if value is not None:
            found.append((series, *value))
    return Reading(x, tuple(found))


def nearest_x(shown: Sequence[Series], x: float) -> float | None:
    """The x next to `x` at which any series has a point."""
    found: list[float] = []
    for series in shown:
        place = bisect_left(series.xs, x)
        found += series.xs[max(0, place - 1) : place + 1]
    return min(found, key=lambda one: abs(one - x), default=None)
