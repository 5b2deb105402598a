"""Formulas as pictures: drawn on a thread of their own, told when they are there, and kept.

A picture is asked for whenever a text is rendered. Until it has been drawn, and for ever where it
cannot be, the text shows the formula's source.
"""

from __future__ import annotations

import ctypes
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QRectF, QTimer, Signal
from PySide6.QtGui import QImage, QPainter

from qwen_desktop.export.mathrules import Formula

if TYPE_CHECKING:
    from qwen_desktop.export.formulas import Drawing

_log = logging.getLogger(__name__)

_SECONDS = 5.0  # for one formula; what takes longer is left, and shown as its source
_WATCH = 250  # ms between two looks at what is being drawn
# ms in which pictures are gathered before texts are told of them; longer than between two
# flushes of a text that grows, which shows them by itself.
_TOGETHER = 50
_MOST_PIXELS = 16_000_000  # of one picture
_KEPT = 48_000_000  # bytes of pictures that are kept


@dataclass(frozen=True)
class Wanted:
    """A formula as it is to look."""

    formula: Formula
    pixels: int  # height of its letters
    colour: str
    ratio: float = 1.0  # pixels of the screen per px


@dataclass(frozen=True)
class Picture:
    """A formula as it looks, `width` px wide; its ink goes so far above and below the baseline."""

    image: QImage
    width: float
    ascent: float
    depth: float


class _Left(BaseException):
    """Raised within the thread whose work nobody waits for any more."""


class _Worker:
    """A thread that draws what is asked for, the latest first, and ends when that is done."""

    def __init__(
        self, wanted: list[Wanted], done: Callable[[Wanted, Picture | None], None]
    ) -> None:
        """`wanted` is emptied by the thread; one thing at least must be in it."""
        self._wanted = wanted
        self._done = done
        self._lock = threading.Lock()
        self._now: tuple[Wanted, float] | None = None  # what is being drawn, since when
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="formulas", daemon=True)
        self._thread.start()

    def add(self, wanted: Wanted) -> bool:
        """Draw this next. False: the thread has ended, or is about to."""
        with self._lock:
            if not self._ended:
                self._wanted.append(wanted)
            return not self._ended

    def leave(self, seconds: float) -> tuple[Wanted, list[Wanted]] | None:
        """Leave what has taken longer than that: what it is, and what is still to be drawn."""
        with self._lock:
            if self._now is None or time.monotonic() - self._now[1] < seconds:
                return None
            self._ended = True
            # It meets this at its next step of Python, and takes nothing else up.
            number = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(_Left))
            late, left, self._wanted = self._now[0], self._wanted, []
            return late, left

    def stop(self) -> None:
        """Nobody wants anything any more."""
        with self._lock:
            self._wanted.clear()

    def _run(self) -> None:
        try:
            while (wanted := self._next()) is not None:
                picture = _drawn(wanted)
                with self._lock:
                    self._now = None
                    if self._ended:  # left, but it met no exception: it was lost in a callback
                        return
                self._done(wanted, picture)
        except _Left:
            pass
        except RuntimeError:  # the window has gone meanwhile
            _log.debug("a formula came too late")

    def _next(self) -> Wanted | None:
        with self._lock:
            if not self._wanted:
                self._ended = True
                return None
            wanted = self._wanted.pop()
            self._now = (wanted, time.monotonic())
            return wanted


class Maths(QObject):
    """Draws formulas and keeps them. On the main thread; made once for each timeline.

    Signals: `drawn` when something that was asked for can be had, or never will be; `settled`
    after everybody who waited has taken it.
    """

    drawn = Signal()
    settled = Signal()
    _finished = Signal(object, object)  # Wanted, Picture or None, from the other thread

    def __init__(self, parent: QObject | None = None, seconds: float = _SECONDS) -> None:
        super().__init__(parent)
        self._seconds = seconds
        self._known: OrderedDict[Wanted, Picture | None] = OrderedDict()  # the latest last
        self._bytes = 0
        self._asked: set[Wanted] = set()
        self._worker: _Worker | None = None
        self._tell = QTimer(self)
        self._tell.setSingleShot(True)
        self._tell.setInterval(_TOGETHER)
        self._tell.timeout.connect(self._on_gathered)
        self._watch = QTimer(self)
        self._watch.setInterval(_WATCH)
        self._watch.timeout.connect(self._look)
        self._finished.connect(self._on_finished)

    def picture(self, wanted: Wanted) -> Picture | None:
        """The picture, where it has been drawn; else it is asked for. None for what has none."""
        if wanted in self._known:
            self._known.move_to_end(wanted)
            return self._known[wanted]
        if wanted not in self._asked:
            self._asked.add(wanted)
            if self._worker is None or not self._worker.add(wanted):
                self._start([wanted])
            if not self._watch.isActive():
                self._watch.start()
        return None

    def is_known(self, wanted: Wanted) -> bool:
        """Whether it has been drawn, or cannot be."""
        return wanted in self._known

    @property
    def busy(self) -> bool:
        """Whether something is still to be drawn or told."""
        return bool(self._asked) or self._tell.isActive()

    def _start(self, wanted: list[Wanted]) -> None:
        self._worker = worker = _Worker(wanted, self._finished.emit)
        self.destroyed.connect(worker.stop)

    def _on_finished(self, wanted: Wanted, picture: Picture | None) -> None:
        self._asked.discard(wanted)
        if not self._asked:
            self._watch.stop()
        self._known[wanted] = picture
        self._bytes += picture.image.sizeInBytes() if picture is not None else 0
        while self._bytes > _KEPT and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= oldest.image.sizeInBytes() if oldest is not None else 0
        if not self._tell.isActive():
            self._tell.start()

    def _on_gathered(self) -> None:
        self.drawn.emit()
        self.settled.emit()

    def _look(self) -> None:
        """Leave a formula that takes too long; another thread goes on with the others."""
        left = self._worker.leave(self._seconds) if self._worker is not None else None
        if left is not None:
            late, others = left
            _log.info("a formula of %d characters was left", len(late.formula.tex))
            if others:
                self._start(others)
            self._on_finished(late, None)


def _drawn(wanted: Wanted) -> Picture | None:
    """Draw one, on the other thread. None for what cannot be drawn."""
    try:
        from qwen_desktop.export import formulas

        try:
            return _picture(wanted, formulas.draw(wanted.formula, wanted.pixels, wanted.colour))
        except formulas.Unfit:
            return None
    except Exception:  # noqa: BLE001 - the border of this thread
        _log.exception("a formula of %d characters", len(wanted.formula.tex))
        return None


def _picture(wanted: Wanted, drawing: Drawing) -> Picture | None:
    from PySide6.QtSvg import QSvgRenderer

    ratio = wanted.ratio
    columns = math.ceil(drawing.width * ratio)
    above, below = math.ceil(drawing.ascent * ratio), max(0, math.ceil(drawing.depth * ratio))
    rows = max(1, above + below)
    if columns * rows > _MOST_PIXELS:
        return None
    renderer = QSvgRenderer(drawing.svg)
    if not renderer.isValid():
        return None
    image = QImage(columns, rows, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(0)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    height = drawing.ascent + drawing.depth
    top = above - drawing.ascent * ratio  # so that the baseline lies between two rows
    renderer.render(painter, QRectF(0, top, drawing.width * ratio, height * ratio))
    painter.end()
    return Picture(image, columns / ratio, above / ratio, below / ratio)
