"""A memory study as charts: memory, time to the first token, and speed against context.

QtGui only, no widgets: the command line draws the same on a machine without a display.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.chat.study import Ending, SeriesEnd, Study, StudyPoint, Way
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui import chart_paint
from qwen_desktop.ui.chart_plot import Limit, Plot, Series, View
from qwen_desktop.ui.chart_scale import Axis, bytes_axis, count_axis, seconds_axis, speed_axis
from qwen_desktop.ui.texts import size_text

CONTEXT = "study"
COLOURS = {Way.APP: "accent", Way.REREAD: "activations", Way.EAGER: "error"}
WAYS = {
    Way.APP: QT_TRANSLATE_NOOP("study", "Qwen Desktop"),
    Way.REREAD: QT_TRANSLATE_NOOP("study", "All read anew each turn"),
    Way.EAGER: QT_TRANSLATE_NOOP("study", "Eager attention, all logits"),
}
HINTS = {
    Way.APP: QT_TRANSLATE_NOOP(
        "study", "The chat grows; what was read is kept, what is new is read in pieces."
    ),
    Way.REREAD: QT_TRANSLATE_NOOP(
        "study", "Every turn reads the whole prompt in one piece, as the original script did."
    ),
    Way.EAGER: QT_TRANSLATE_NOOP(
        "study", "As transformers of old: no cache, a table of all tokens by all tokens."
    ),
}
_ENDINGS = {
    Ending.LIMIT: QT_TRANSLATE_NOOP(
        "study", "{way}: {tokens} tokens would not fit ({need} needed, {free} free)"
    ),
    Ending.CONTEXT: QT_TRANSLATE_NOOP(
        "study", "{way}: {tokens} tokens are more than the model's context"
    ),
    Ending.MEMORY: QT_TRANSLATE_NOOP("study", "{way}: ran out of memory at {tokens} tokens"),
    Ending.UNSUPPORTED: QT_TRANSLATE_NOOP("study", "{way}: this architecture cannot do it"),
}


translate = QCoreApplication.translate


def tr(text: str) -> str:
    """A text of the tables above in the language of the interface."""
    return translate(CONTEXT, text)


def way_text(way: Way) -> str:
    """What a way is called."""
    return tr(WAYS[way])


def ending_text(end: SeriesEnd) -> str:
    """Why a way ended early."""
    locale = QLocale()
    return tr(_ENDINGS[end.why]).format(
        way=way_text(end.way),
        tokens=locale.toString(end.tokens),
        need=size_text(end.need, locale),
        free=size_text(end.free, locale),
    )


def heading(study: Study) -> str:
    """What was measured: the checkpoint, its precision, the device."""
    head = study.head
    return f"{head.name}, {head.precision}, {head.device}"


def machine_text(study: Study) -> str:
    """Where it was measured, a line for each part."""
    machine, locale = study.head.machine, QLocale()
    cards = [f"{name}, {size_text(size, locale)}" for name, size in machine.cards]
    if machine.driver:
        cards.append(translate("study", "Driver {version}").format(version=machine.driver))
    lines = [
        translate("study", "{cpu}, {cores} cores, {ram}").format(
            cpu=machine.cpu,
            cores=locale.toString(machine.cores),
            ram=size_text(machine.ram, locale),
        ),
        *cards,
        f"{machine.system}, Python {machine.python}",
        f"torch {machine.torch}, transformers {machine.transformers}, Qwen Desktop {machine.app}",
    ]
    return "\n".join(lines)


def memory_plot(study: Study | None, *, characters: bool = False) -> Plot:
    """Peak, plan and what stays after the turn, way by way; the limit is the whole memory."""
    series: list[Series] = []
    for way, points, x in _ways(study, characters):
        colour, name = COLOURS[way], way_text(way)
        peaks = tuple((x(p), float(p.peak)) for p in points)
        series.append(Series(translate("study", "{way}, peak").format(way=name), peaks, colour))
        steady = tuple((x(p), float(p.steady)) for p in points)
        title = translate("study", "{way}, after the turn").format(way=name)
        series.append(Series(title, steady, colour, "dashed"))
        planned = tuple((x(p), float(p.predicted)) for p in points)
        title = translate("study", "{way}, planned").format(way=name)
        series.append(Series(title, planned, colour, "points", faint=True))
    limits = (
        () if study is None else (Limit(translate("study", "All memory"), float(study.head.room)),)
    )
    title = translate("study", "Memory against context")
    return _plot(study, title, bytes_axis(translate("study", "Memory")), series, limits, characters)


def waiting_plot(study: Study | None, *, characters: bool = False) -> Plot:
    """Time to the first token, way by way."""
    return _plain(
        study,
        translate("study", "Time to the first token"),
        seconds_axis(translate("study", "Time to the first token")),
        lambda point: point.first_token_s,
        characters,
    )


def speed_plot(study: Study | None, *, characters: bool = False) -> Plot:
    """Tokens per second of the answer, way by way."""
    return _plain(
        study,
        translate("study", "Speed of the answer"),
        speed_axis(translate("study", "Speed of the answer")),
        lambda point: point.decode_speed,
        characters,
    )


def picture(study: Study) -> list[tuple[Plot, View]]:
    """All charts as the pages of one picture, titled with what was measured."""
    about = heading(study)
    plots = [memory_plot(study), waiting_plot(study), speed_plot(study)]
    plots[0] = replace(plots[0], title=f"{plots[0].title}: {about}")
    return [(plot, plot.whole) for plot in plots if plot.shown]


def png(study: Study) -> bytes:
    """The charts as a PNG file."""
    return chart_paint.png(picture(study))


def svg(study: Study) -> bytes:
    """The charts as an SVG file."""
    return chart_paint.svg(picture(study))


def _ways(
    study: Study | None, characters: bool
) -> list[tuple[Way, Sequence[StudyPoint], Callable[[StudyPoint], float]]]:
    if study is None:
        return []

    def x(point: StudyPoint) -> float:
        return float(point.characters if characters else point.tokens)

    return [(way, study.series(way), x) for way in study.head.setup.ways]


def _plain(
    study: Study | None,
    title: str,
    axis: Axis,
    value: Callable[[StudyPoint], float],
    characters: bool,
) -> Plot:
    series = [
        Series(way_text(way), tuple((x(p), value(p)) for p in points if value(p)), COLOURS[way])
        for way, points, x in _ways(study, characters)
    ]
    return _plot(study, title, axis, series, (), characters)


def _plot(
    study: Study | None,
    title: str,
    axis: Axis,
    series: Sequence[Series],
    limits: tuple[Limit, ...],
    characters: bool,
) -> Plot:
    across = count_axis(
        translate("study", "Characters")
        if characters
        else translate("study", "Tokens of the prompt")
    )
    return Plot(
        across,
        axis,
        tuple(series),
        limits,
        translate("study", "Nothing has been measured yet."),
        title,
    )
