"""`qwen-desktop study DIR --out FILE`: the memory study in a terminal. Qt only for a picture.

Exit status: 0 where all was measured, 130 where Ctrl+C ended it; what was measured until then is
in the file, and the same command goes on from there.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from qwen_desktop.bridge import study_work
from qwen_desktop.chat.events import Progress
from qwen_desktop.chat.study import (
    Ending,
    SeriesEnd,
    Study,
    StudyPoint,
    StudyProgress,
    Way,
)
from qwen_desktop.errors import Cancelled
from qwen_desktop.storage.atomic import write_bytes
from qwen_desktop.study_options import StudyOrder
from qwen_desktop.terminal import INTERRUPTED, interrupted_by, say

MIB = 2**20

_WAYS = {
    Way.APP: "this program: what was read is kept, what is new is read in pieces",
    Way.REREAD: "all read anew each turn, in one piece",
    Way.EAGER: "eager attention, logits of every position, no cache",
}


def run(order: StudyOrder) -> int:
    """Carry it out; gives the exit status. Raises Known."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know few characters
    stop = threading.Event()
    study: Study | None = None
    with interrupted_by(stop, "Stopping …"):
        try:
            for study in _steps(order, stop):
                _tell(study)
        except Cancelled:
            pass
    if study is None:
        return INTERRUPTED
    for line in table(study):
        say(line)
    if order.plot is not None and study.points:
        _draw(study, order.plot)
        say(f"chart: {order.plot}", sys.stderr)
    if study.is_complete:
        return 0
    say(f"Stopped. The same command goes on from what is in {order.out}.", sys.stderr)
    return INTERRUPTED


def _steps(order: StudyOrder, stop: threading.Event) -> Iterator[Study]:
    from qwen_desktop.engine.start import create_engine

    say("Importing …", sys.stderr)
    engine = create_engine(lambda _: None)
    if stop.is_set():
        raise Cancelled
    told: set[str] = set()

    def loading(progress: Progress) -> None:
        if progress.stage.value not in told:
            told.add(progress.stage.value)
            say(f"{progress.stage.value.replace('_', ' ')} …", sys.stderr)

    engine.load(order.load, stop, loading)
    try:
        yield from study_work.steps(engine, order.setup, order.out, stop, _Line())
    finally:
        engine.unload()


class _Line:
    """Tells what is being measured, a line for each prompt."""

    def __init__(self) -> None:
        self._last: tuple[Way, int] | None = None

    def __call__(self, progress: StudyProgress) -> None:
        now = (progress.way, progress.tokens)
        if now != self._last:
            self._last = now
            place = f"{progress.done + 1}/{progress.points}"
            say(f"{place}  {progress.way.value}, {progress.tokens:,} tokens …", sys.stderr)


def _tell(study: Study) -> None:
    """What came last, where it says more than the table will."""
    if not study.points and not study.ends:
        head = study.head
        say(f"{head.name}, {head.precision} on {head.device}", sys.stderr)
        lengths = ", ".join(f"{length:,}" for length in head.setup.lengths)
        say(f"prompts of {lengths} tokens", sys.stderr)


def table(study: Study) -> Iterator[str]:
    """The study as lines for a terminal."""
    head, machine = study.head, study.head.machine
    cards = "".join(f", {name} ({size / 2**30:.1f} GiB)" for name, size in machine.cards)
    yield f"{head.name}, {head.precision}, KV cache {head.kv_format}, on {head.device}"
    yield (
        f"{machine.cpu}, {machine.cores} cores ({machine.threads} threads used), "
        f"{machine.ram / 2**30:.1f} GiB{cards}{', driver ' + machine.driver if cards else ''}"
    )
    yield (
        f"{machine.system}, Python {machine.python}, torch {machine.torch}, "
        f"transformers {machine.transformers}, Qwen Desktop {machine.app}"
    )
    for way in head.setup.ways:
        yield ""
        yield f"{way.value}: {_WAYS[way]}"
        points, end = study.series(way), study.end_of(way)
        if points:
            yield (
                f"{'tokens':>8}{'chars':>9}{'read':>8}{'peak':>12}{'planned':>12}{'off':>8}"
                f"{'after':>12}{'kept':>12}{'prefill':>10}{'first':>9}{'tok/s':>8}"
            )
        yield from map(_row, points)
        if end is not None:
            yield f"  {ending(end)}"
    if len(head.setup.ways) > 1 and study.points:
        yield ""
        yield (
            "All ways wrote the same answers."
            if study.agrees
            else "The ways did not write the same answers: rounding tipped a close choice."
        )


def _row(point: StudyPoint) -> str:
    return (
        f"{point.tokens:8,}{point.characters:9,}{point.read:8,}"
        f"{_mib(point.peak)}{_mib(point.predicted)}{100 * point.error:6.1f} %"
        f"{_mib(point.steady)}{_mib(point.kept)}"
        f"{point.prefill_s:8.2f} s{point.first_token_s:7.2f} s{point.decode_speed:8.2f}"
    )


def _mib(count: int) -> str:
    return f"{count / MIB:8,.0f} MiB"


def ending(end: SeriesEnd) -> str:
    """Why a way ended early."""
    tokens = f"{end.tokens:,} tokens"
    if end.why is Ending.LIMIT:
        need, free = (f"{size / 2**30:.1f} GiB" for size in (end.need, end.free))
        return f"{tokens} would not fit: {need} beside the weights, {free} are free"
    if end.why is Ending.CONTEXT:
        return f"{tokens} are more than the model's context"
    if end.why is Ending.MEMORY:
        return f"ran out of memory at {tokens}"
    return "this architecture cannot do it"


def _draw(study: Study, file: Path) -> None:
    """Write the charts. Starts Qt, which needs no display for it."""
    global _application
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtGui import QGuiApplication

    from qwen_desktop.ui import study_chart

    if QGuiApplication.instance() is None:
        _application = QGuiApplication(["qwen-desktop"])
    as_svg = file.suffix.lower() == ".svg"
    write_bytes(file, study_chart.svg(study) if as_svg else study_chart.png(study))


_application: object = None  # Qt's, kept as long as the process
