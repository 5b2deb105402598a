"""SIGINT and SIGTERM as a Qt signal. QtCore only."""

from __future__ import annotations

import logging
import signal
import socket
from contextlib import suppress
from types import FrameType

from PySide6.QtCore import QObject, QSocketNotifier, Signal, Slot

_log = logging.getLogger(__name__)


class TerminationSignals(QObject):
    """Turns SIGINT and SIGTERM into an ordinary end of the program.

    Signal: `received()`. Python runs its handlers only between bytecodes of the main thread, which
    sleeps inside Qt: a socket wakes it.
    """

    received = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno())
        self._notifier = QSocketNotifier(
            self._read.fileno(), QSocketNotifier.Type.Read, parent=self
        )
        self._notifier.activated.connect(self._drain)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._quit)

    @Slot()
    def _drain(self) -> None:
        # Python runs the handler on its way in here: the end may have closed the socket by now.
        with suppress(OSError):
            self._read.recv(64)

    def _quit(self, number: int, _frame: FrameType | None) -> None:
        _log.info("ending on signal %d", number)
        self.received.emit()

    def close(self) -> None:
        """Give the signals back."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        self._notifier.setEnabled(False)
        self._read.close()
        self._write.close()
