"""How long the GUI thread is busy: the turns of its event loop, each from waking to waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

# The dispatcher of GLib tells of its turns only when they are over.
os.environ["QT_NO_GLIB"] = "1"

from PySide6.QtCore import QAbstractEventDispatcher, QElapsedTimer, QEventLoop, QTimer

LOOK_MS = 5


@dataclass(frozen=True)
class Turn:
    """One turn: milliseconds it took, and those of them that this thread was at work."""

    wall_ms: float
    cpu_ms: float


class Turns:
    """Collects the turns of the thread that makes it."""

    def __init__(self) -> None:
        dispatcher = QAbstractEventDispatcher.instance()
        assert dispatcher is not None
        self._found: list[Turn] = []
        self._began: tuple[float, float] | None = None
        dispatcher.awake.connect(self._on_awake)
        dispatcher.aboutToBlock.connect(self._on_block)

    @property
    def count(self) -> int:
        """Turns that are over since `begin`: the place of the present one among all."""
        return len(self._found)

    def begin(self) -> None:
        """Forget what was, and count from now."""
        self._found.clear()
        self._on_awake()

    def taken(self) -> list[Turn]:
        """All turns since `begin`, the present one included."""
        self._on_block()
        return list(self._found)

    def _on_awake(self) -> None:
        self._began = (time.perf_counter(), time.thread_time())

    def _on_block(self) -> None:
        if self._began is not None:
            wall, cpu = self._began
            self._began = None
            self._found.append(
                Turn((time.perf_counter() - wall) * 1000, (time.thread_time() - cpu) * 1000)
            )


def rest(milliseconds: int) -> None:
    """Let the event loop run for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait(what: str, condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Let the event loop run until `condition` holds. Raises RuntimeError where it never does."""
    clock = QElapsedTimer()
    clock.start()
    while not condition():
        if clock.elapsed() > seconds * 1000:
            raise RuntimeError(f"waited for {what}")
        rest(LOOK_MS)
