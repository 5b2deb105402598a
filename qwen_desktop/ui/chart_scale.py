"""Axes of charts: round ticks, units, how a value is written. Pure numbers; QtCore only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QLocale

from qwen_desktop.ui.texts import GIB, KIB, MIB, size_text

_ROUND = (1.0, 2.0, 5.0, 10.0)
ROOM = 0.04  # of the span, left beyond the outermost values
_MORE = 5


def step(span: float, most: int) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that cuts `span` into at most `most` parts."""
    if not span > 0 or not math.isfinite(span):
        return 1.0
    rough = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    found = next((one * power for one in _ROUND if one * power >= rough * (1 - 1e-9)), 0.0)
    return found or 10 * power


def ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Round values within `low` … `high`, with at most `most` parts between them."""
    by = step(high - low, most)
    first, last = math.ceil(low / by - 1e-9), math.floor(high / by + 1e-9)
    return tuple(number * by for number in range(first, last + 1))


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    `text` writes a value in full, as hovering tells it. `units` are (size, name), smallest first:
    ticks are round in the largest that fits the values. `from_zero`: zero is always in view.
    """

    name: str
    text: Callable[[float], str]
    units: tuple[tuple[float, str], ...] = ((1.0, ""),)
    from_zero: bool = True

    def unit(self, high: float) -> tuple[float, str]:
        """The unit for values up to `high`."""
        return next((one for one in reversed(self.units) if one[0] <= high), self.units[0])

    def title(self, high: float) -> str:
        """The name, with the unit where it has one."""
        unit = self.unit(high)[1]
        return ", ".join(part for part in (self.name, unit) if part)

    def marks(self, low: float, high: float, most: int) -> tuple[tuple[float, str], ...]:
        """Ticks of the range in view, with what is written at them.

        A few more than `most` parts where it would be a single tick, which tells no scale.
        """
        size = self.unit(high)[0]
        found: tuple[float, ...] = ()
        for parts in range(most, most + _MORE):
            by = step((high - low) / size, parts)
            found = ticks(low / size, high / size, parts)
            if len(found) > 1:
                break
        digits = max(0, -math.floor(math.log10(by) + 1e-9))
        locale = QLocale()
        return tuple((one * size, locale.toString(one + 0.0, "f", digits)) for one in found)


def bytes_axis(name: str, *, from_zero: bool = False) -> Axis:
    """Memory: values are bytes."""
    units = ((1.0, "B"), (float(KIB), "KiB"), (float(MIB), "MiB"), (float(GIB), "GiB"))
    return Axis(name, memory_text, units, from_zero)


def count_axis(name: str) -> Axis:
    """Things that are counted: tokens, characters."""
    return Axis(name, count_text)


def seconds_axis(name: str) -> Axis:
    """Times: values are seconds."""
    return Axis(name, time_text, ((0.001, "ms"), (1.0, "s")))


def speed_axis(name: str) -> Axis:
    """Tokens per second."""
    return Axis(name, speed_text, ((1.0, "tok/s"),))


def memory_text(value: float) -> str:
    """Bytes, finer than a gauge needs: growth is what charts are looked at for."""
    size = round(value)
    if size >= GIB:
        return f"{QLocale().toString(size / GIB, 'f', 3)} GiB"
    if size >= MIB:
        return f"{QLocale().toString(size / MIB, 'f', 1)} MiB"
    return size_text(size, QLocale())


def count_text(value: float) -> str:
    """A whole number."""
    return QLocale().toString(round(value))


def time_text(value: float) -> str:
    """Seconds, or milliseconds below one."""
    if value < 1:
        return f"{QLocale().toString(value * 1000, 'f', 0 if value >= 0.1 else 1)} ms"
    return f"{QLocale().toString(value, 'f', 2 if value < 10 else 1)} s"


def speed_text(value: float) -> str:
    """Tokens per second."""
    return f"{QLocale().toString(value, 'f', 0 if value >= 1000 else 1)} tok/s"


def span(low: float, high: float, *, from_zero: bool) -> tuple[float, float]:
    """What to show of an axis with values from `low` to `high`; never empty."""
    if from_zero or low == high == 0:
        low, high = min(low, 0.0), max(high, 0.0)
    if high <= low:
        around = abs(low) * 0.05 or 1.0
        return (max(low - around, 0.0) if low >= 0 else low - around), high + around
    room = (high - low) * ROOM
    below = low if low == 0 else low - room
    return (max(below, 0.0) if low >= 0 else below), high + room
