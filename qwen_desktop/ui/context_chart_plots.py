"""Charts of what a conversation took as it grew, made of measured points. QtCore only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QCoreApplication

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.measured import Measured, Predicted
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.chart_plot import Limit, Plot, Series
from qwen_desktop.ui.chart_scale import Axis, bytes_axis, count_axis, seconds_axis, speed_axis

CONTEXT = "context_chart"
BEYOND = 1.5  # how far predictions go on past the longest context that was measured
SMALL_POINTS = 100  # of a small chart
SHORTEST = 512  # tokens of them, at least
OTHERS = ("other", "warning", "accent")  # colours of what other checkpoints took

MEMORY = QT_TRANSLATE_NOOP("context_chart", "Memory against context")
_TOKENS = QT_TRANSLATE_NOOP("context_chart", "Tokens in the context")
_CHARACTERS = QT_TRANSLATE_NOOP("context_chart", "Characters in the context")
_MEMORY = QT_TRANSLATE_NOOP("context_chart", "Memory")
_PEAK = QT_TRANSLATE_NOOP("context_chart", "Peak")
_STEADY = QT_TRANSLATE_NOOP("context_chart", "After the turn")
_PEAK_PREDICTED = QT_TRANSLATE_NOOP("context_chart", "Peak, predicted")
_STEADY_PREDICTED = QT_TRANSLATE_NOOP("context_chart", "After the turn, predicted")
_PEAK_OF = QT_TRANSLATE_NOOP("context_chart", "Peak, {model}")
_LIMIT = QT_TRANSLATE_NOOP("context_chart", "Memory limit")
_WINDOW = QT_TRANSLATE_NOOP("context_chart", "Context limit")
_TURN = QT_TRANSLATE_NOOP("context_chart", "Turn {number}")
_NOTHING = QT_TRANSLATE_NOOP(
    "context_chart", "Nothing has been measured in this chat yet. Each answer adds a point."
)
_SERVED = QT_TRANSLATE_NOOP(
    "context_chart", "Servers answered: what that took of their memory is not known here."
)
_SMALL_NOTHING = QT_TRANSLATE_NOOP("context_chart", "Each answer adds a point.")
_KV8 = QT_TRANSLATE_NOOP("context_chart", "8-bit KV")
_UNKNOWN = QT_TRANSLATE_NOOP("context_chart", "another model")


def tr(text: str) -> str:
    """A text of these charts in the language of the interface."""
    return QCoreApplication.translate(CONTEXT, text)


@dataclass(frozen=True)
class Speed:
    """One thing of how fast answers came: its name, its axis, and where it stands."""

    name: str
    value: Callable[[Measured], float]
    axis: Callable[[str], Axis]
    colour: str


SPEEDS = (
    Speed(
        QT_TRANSLATE_NOOP("context_chart", "Time to the first token"),
        lambda one: one.first_token_seconds,
        seconds_axis,
        "accent",
    ),
    Speed(
        QT_TRANSLATE_NOOP("context_chart", "Reading the prompt"),
        lambda one: one.prefill_speed,
        speed_axis,
        "activations",
    ),
    Speed(
        QT_TRANSLATE_NOOP("context_chart", "Writing the answer"),
        lambda one: one.decode_speed,
        speed_axis,
        "kv",
    ),
)


@dataclass(frozen=True)
class Across:
    """What stands on x: tokens, or `characters`, of which a token has `per_token`."""

    characters: bool = False
    per_token: float = 1.0

    @classmethod
    def of(cls, points: Sequence[Measured], *, characters: bool) -> Across:
        """As the conversation itself has it: of its longest context."""
        longest = max(points, key=lambda one: one.tokens, default=None)
        if not characters or longest is None or not longest.tokens:
            return cls()
        return cls(True, longest.characters / longest.tokens)

    @property
    def axis(self) -> Axis:
        """Of x."""
        return count_axis(tr(_CHARACTERS if self.characters else _TOKENS))

    def of_point(self, point: Measured) -> float:
        """Where an answer stands."""
        return float(point.characters if self.characters else point.tokens)

    def of_tokens(self, tokens: float) -> float:
        """Where so many tokens stand."""
        return tokens * self.per_token


def present(
    points: Sequence[Measured], predicted: Predicted | None
) -> tuple[str, str, str, str] | None:
    """What the charts are about: what is open where it has answered here, else the last one."""
    origins = {one.origin for one in points}
    if predicted is not None and (predicted.origin in origins or not origins):
        return predicted.origin
    return points[-1].origin if points else None


def memory_plot(
    points: Sequence[Measured],
    predicted: Predicted | None,
    *,
    characters: bool = False,
    whole: bool = False,
    small: bool = False,
    title: str = "",
) -> Plot:
    """Measured memory over the predicted lines.

    `whole`: up to the limit, not just a little further than the conversation has come. `small`: no
    more of them than can be told apart there.
    """
    if small:
        points = _thinned(points)
    across = Across.of(points, characters=characters)
    origin = present(points, predicted)
    if predicted is not None and not points:
        whole = True
    devices = several_devices(points)
    served = bool(points) and all(one.served for one in points)
    series: list[Series] = []
    limits: list[Limit] = []
    if predicted is not None and predicted.points and (points or not small):
        series += _lines(points, predicted, across, whole=whole)
        limits.append(Limit(tr(_LIMIT), float(predicted.limit_bytes)))
        window = across.of_tokens(predicted.limit_tokens)
        limits.append(Limit(tr(_WINDOW), window, True, "warning"))
    for name, colour, value in (
        (_STEADY, "activations", _steady),
        (_PEAK, "kv", _peak),
    ):
        own = [one for one in points if one.origin == origin and value(one)]
        if own:
            series.append(_points(tr(name), own, across, value, colour))
    for number, other in enumerate(_others(points, origin)):
        known = [one for one in other if one.peak]
        if known:
            name = tr(_PEAK_OF).format(model=model_text(other[0], device=devices))
            colour = OTHERS[min(number, len(OTHERS) - 1)]
            series.append(_points(name, known, across, _peak, colour, faint=True))
    return Plot(
        across.axis,
        bytes_axis(tr(_MEMORY)),
        _distinct(series),
        tuple(limits),
        tr(_SERVED if served else _SMALL_NOTHING if small else _NOTHING),
        title,
    )


def speed_plot(
    points: Sequence[Measured],
    predicted: Predicted | None,
    speed: Speed,
    *,
    characters: bool = False,
) -> Plot:
    """One of `SPEEDS` against the context."""
    across = Across.of(points, characters=characters)
    origin = present(points, predicted)
    devices = several_devices(points)
    series = []
    for number, group in enumerate(
        [[one for one in points if one.origin == origin], *_others(points, origin)]
    ):
        known = [one for one in group if speed.value(one) > 0]
        if known:
            colour = OTHERS[min(number - 1, len(OTHERS) - 1)] if number else speed.colour
            name = model_text(known[0], device=devices)
            series.append(_points(name, known, across, speed.value, colour, faint=number > 0))
    name = tr(speed.name)
    return Plot(across.axis, speed.axis(""), _distinct(series), (), tr(_NOTHING), name)


def model_text(point: Measured, *, device: bool = False) -> str:
    """What computed a point, as far as it tells it apart from others; `device`: that too."""
    parts = [point.model or tr(_UNKNOWN), point.precision]
    if point.kv_format == KvFormat.INT8.value:
        parts.append(tr(_KV8))
    if device:
        parts.append(point.device)
    return " · ".join(part for part in parts if part)


def several_devices(points: Sequence[Measured]) -> bool:
    """Whether devices have to be told apart."""
    return len({one.device for one in points}) > 1


def turn_text(point: Measured) -> str:
    """Which answer it is."""
    return tr(_TURN).format(number=point.turn)


def _thinned(points: Sequence[Measured]) -> Sequence[Measured]:
    """Every so many of a long conversation's points, and the last one."""
    every = -(-len(points) // SMALL_POINTS)
    return points if every < 2 else (*points[:-1:every], points[-1])


def _lines(
    points: Sequence[Measured], predicted: Predicted, across: Across, *, whole: bool
) -> list[Series]:
    """What was predicted, as far as it is looked at."""
    longest = max((one.tokens for one in points), default=0)
    end = max(longest * BEYOND, SHORTEST)
    last = predicted.points[-1][0]
    end = last if whole else min(end, last)
    shown = [point for point in predicted.points if point[0] < end]
    ends = (end, *predicted.at(end))
    lines = []
    for name, colour, which in (
        (_STEADY_PREDICTED, "activations", 1),
        (_PEAK_PREDICTED, "kv", 2),
    ):
        line = tuple((across.of_tokens(one[0]), float(one[which])) for one in (*shown, ends))
        lines.append(Series(tr(name), line, colour, "dashed", faint=True))
    return lines


def _points(
    name: str,
    points: Sequence[Measured],
    across: Across,
    value: Callable[[Measured], float],
    colour: str,
    *,
    faint: bool = False,
) -> Series:
    return Series(
        name,
        tuple((across.of_point(one), float(value(one))) for one in points),
        colour,
        "points",
        tuple(turn_text(one) for one in points),
        faint,
    )


def _others(
    points: Sequence[Measured], origin: tuple[str, str, str, str] | None
) -> list[list[Measured]]:
    """Points of other checkpoints, precisions or devices, each apart."""
    found: dict[tuple[str, str, str, str], list[Measured]] = {}
    for one in points:
        if one.origin != origin:
            found.setdefault(one.origin, []).append(one)
    return list(found.values())


def _distinct(series: list[Series]) -> tuple[Series, ...]:
    """Series by name: two files of one name and precision are told apart by a number."""
    seen: dict[str, int] = {}
    found = []
    for one in series:
        seen[one.name] = seen.get(one.name, 0) + 1
        again = seen[one.name]
        found.append(replace(one, name=f"{one.name} ({again})") if again > 1 else one)
    return tuple(found)


def _peak(point: Measured) -> float:
    return float(point.peak)


def _steady(point: Measured) -> float:
    return float(point.steady)
