"""Ctrl+C, SIGTERM and a terminal that is closed: what goes on ends in order, nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ending:
    """Use it as a context. `number` is the signal that ended the program, 0 for none.

    Where nobody said what to do on such a signal the program ends at once, as by `sys.exit`.
    """

    def __init__(self) -> None:
        self.number = 0
        self._then: Callable[[], None] | None = None

    def __enter__(self) -> Ending:
        with suppress(ValueError):  # not the main thread
            for number in _ENDING:
                # Who is started with nohup is not to hear of a closed terminal.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """The signals end nothing any more: what is open is being closed."""

    @property
    def status(self) -> int:
        """The exit status of a program that such a signal ended, as shells have it."""
        return 128 + self.number

    @contextmanager
    def then(self, do: Callable[[], None]) -> Iterator[None]:
        """Within, such a signal does this instead."""
        before, self._then = self._then, do
        try:
            yield
        finally:
            self._then = before

    @contextmanager
    def stopping(self, stop: threading.Event) -> Iterator[None]:
        """Within, Ctrl+C sets `stop`, as does a signal that ends the program.

        Pressed again it has nothing else to do.
        """

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            stop.set()

        before = signal.signal(signal.SIGINT, on_signal)
        try:
            with self.then(stop.set):
                yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            return  # it is ending
        self.number = number
        if self._then is None:
            raise SystemExit(self.status)
        self._then()
