"""The order of a start: what waits for the first paint, and what for other threads."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable

from PySide6.QtCore import QEvent, QObject, QTimer, Signal, Slot

FOR_THE_FIRST_ANSWER = ("markdown_it", "pygments.lexers", "pygments.styles")

# "print": tell the moment of the first paint on standard error; "exit": and leave.
TRACE_FIRST_PAINT = "QWEN_DESKTOP_TRACE_FIRST_PAINT"


class FirstPaint(QObject):
    """Emits `painted` once, when the event loop is back from the first paint of a window."""

    painted = Signal()

    def __init__(self, window: QObject) -> None:
        super().__init__(window)
        self._window = window
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The first paint of the window begins."""
        if event.type() is QEvent.Type.Paint:
            self._window.removeEventFilter(self)
            QTimer.singleShot(0, self.painted.emit)
        return False


def trace_first_paint() -> None:
    """Tell the moment to who measures it."""
    trace = os.environ.get(TRACE_FIRST_PAINT)
    if trace:
        print(f"first-paint {time.time():.6f}", file=sys.stderr, flush=True)  # noqa: T201
        if trace == "exit":
            os._exit(0)


class Steps(QObject):
    """Things that are done one after the other, each in a turn of the event loop of its own."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._steps: list[Callable[[], object]] = []
        self._taking = False

    def plan(self, steps: Iterable[Callable[[], object]]) -> None:
        """What is to be done; `take` begins."""
        self._steps = list(steps)

    @Slot()
    def take(self) -> None:
        """Begin. Safe to call twice."""
        if not self._taking:
            self._taking = True
            self._take_later()

    def _take_later(self) -> None:
        QTimer.singleShot(1, self, self._take_one)  # behind what is to be painted

    def _take_one(self) -> None:
        step = self._steps.pop(0)
        step()
        if self._steps:
            self._take_later()


class EngineLast(QObject):
    """Starts the engine's thread when the others have imported what they need.

    The engine thread opens torch's libraries without the GIL, for a quarter of a second. A process
    opens one library at a time, and an import that waits for its turn keeps the GIL: so the other
    threads import theirs (SQLite's, psutil's) first.
    """

    _imported = Signal()

    def __init__(self, start: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._start = start
        self._others = {"memory", "store", "imports"}
        self._imported.connect(self._on_imported)

    def import_for_later(self) -> None:
        """On a thread of its own: what the first answer needs, so that showing it is quick."""
        threading.Thread(target=self._import, name="imports", daemon=True).start()

    def _import(self) -> None:
        for module in FOR_THE_FIRST_ANSWER:
            importlib.import_module(module)
        self._imported.emit()

    @Slot()
    def _on_imported(self) -> None:
        self.started("imports")

    def started(self, other: str) -> None:
        """Another thread has what it needs."""
        self._others.discard(other)
        if not self._others:
            self._start()
