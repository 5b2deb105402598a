"""Samples memory on a thread of its own. QtCore only."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PySide6.QtCore import QMetaObject, QObject, Qt, QThread, QTimer, Signal, Slot

from qwen_desktop.chat.ledger import MemorySample
from qwen_desktop.errors import report_of

_log = logging.getLogger(__name__)

IDLE_MS = 1000
BUSY_MS = 200


class _Sampler(QObject):
    """Lives on the sampler thread."""

    sampled = Signal(object)

    def __init__(self, read: Callable[[], MemorySample]) -> None:
        super().__init__()
        self._read = read
        self._timer: QTimer | None = None
        self._last: MemorySample | None = None

    @Slot()
    def begin(self) -> None:
        self._timer = QTimer(self)
        self._timer.setInterval(IDLE_MS)
        self._timer.timeout.connect(self.sample)
        self._timer.start()
        self.sample()

    @Slot()
    def end(self) -> None:
        if self._timer is not None:
            self._timer.stop()  # a timer has to be stopped on its own thread

    @Slot(int)
    def set_interval(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.setInterval(milliseconds)

    @Slot()
    def sample(self) -> None:
        try:
            sample = self._read()
        except Exception as error:  # noqa: BLE001 - a gauge must never end the program
            _log.error("memory sample: %s", report_of(error).details)
            return
        if sample != self._last:
            self._last = sample
            self.sampled.emit(sample)


class MemoryMonitor(QObject):
    """Emits `sampled(MemorySample)` when it changed: looks once a second, five times while busy."""

    sampled = Signal(object)
    _interval = Signal(int)

    def __init__(self, read: Callable[[], MemorySample], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = QThread(self)
        self._thread.setObjectName("memory")
        self._sampler = _Sampler(read)
        self._sampler.moveToThread(self._thread)
        self._thread.started.connect(self._sampler.begin)
        self._interval.connect(self._sampler.set_interval)
        self._sampler.sampled.connect(self.sampled)
        self._busy = False

    def start(self) -> None:
        """Start sampling."""
        self._thread.start()

    def set_busy(self, busy: bool) -> None:
        """Sample more often while loading or generating."""
        if busy != self._busy:
            self._busy = busy
            self._interval.emit(BUSY_MS if busy else IDLE_MS)

    def close(self) -> None:
        """End the thread."""
        if self._thread.isRunning():
            QMetaObject.invokeMethod(
                self._sampler, "end", Qt.ConnectionType.BlockingQueuedConnection
            )
            self._thread.quit()
            self._thread.wait()
