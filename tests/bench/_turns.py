"""How long the GUI thread is at work in each turn of its event loop.

A turn goes from one waiting for events to the next. Its time is that of the thread's own work:
while it waits for events, for a lock or for its turn on a busy machine, nothing is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QAbstractEventDispatcher, QElapsedTimer, QEventLoop, QTimer

LOOK_MS = 5


class Turns:
    """Collects the turns of the thread that makes it, in milliseconds."""

    def __init__(self) -> None:
        dispatcher = QAbstractEventDispatcher.instance()
        assert dispatcher is not None
        self._found: list[float] = []
        self._last = time.thread_time()
        dispatcher.aboutToBlock.connect(self._on_block)

    @property
    def count(self) -> int:
        """Turns that are over since `begin`: the place of the present one among all."""
        return len(self._found)

    def begin(self) -> None:
        """Forget what was, and count from now."""
        self._found.clear()
        self._last = time.thread_time()

    def taken(self) -> list[float]:
        """All turns since `begin`, the present one included."""
        self._on_block()
        return list(self._found)

    def _on_block(self) -> None:
        now = time.thread_time()
        self._found.append((now - self._last) * 1000)
        self._last = now


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
