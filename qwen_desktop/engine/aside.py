"""Work on foreign programs and files that may never end, done aside so that it can be left.

A chat template is a program, and a tokenizer file has regular expressions and tables of any size.
Such work runs in a thread of its own; the caller waits for it, for Stop and for the limits,
whichever comes first. Imports neither torch nor transformers.

What is left behind ends soon: an exception is set for that thread, which meets it at its next
step of Python. A single foreign call cannot be ended; it is let run out, nobody waits for it, and
what comes next waits until it is over, because tokenizers bear only one user at a time.
"""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import psutil

from qwen_desktop.errors import Cancelled

T = TypeVar("T")

MAX_GROWTH = 2**30  # bytes this process may grow by meanwhile
_LOOK_SECONDS = 0.02


class Overrun(Exception):  # noqa: N818 - reads as what happened
    """The work took too long, or too much `memory`, and was left."""

    def __init__(self, *, memory: bool) -> None:
        super().__init__(memory)
        self.memory = memory


class _Left(BaseException):
    """Raised within the thread whose work nobody waits for any more."""


class _Work(Generic[T]):
    """One call in a thread of its own."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._running = True  # only changed under the lock: no exception for a thread that ended
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="aside", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            try:
                self.result = self._function()
            except BaseException as error:  # noqa: BLE001 - told to the one who waits
                self.error = error
            with self._lock:
                self._running = False
        except _Left:  # it came late, between two of these lines
            pass
        finally:
            self.done.set()

    def leave(self) -> None:
        """Make the thread end at its next step of Python."""
        with self._lock:
            if self._running and self.thread.ident is not None:
                number = ctypes.c_ulong(self.thread.ident)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(_Left))


class Aside:
    """Runs one function at a time aside. For one caller."""

    def __init__(self) -> None:
        self._left: threading.Event | None = None  # set when what was left is over

    def run(
        self,
        function: Callable[[], T],
        cancel: threading.Event,
        seconds: float = math.inf,
        *,
        interrupt: bool = True,
    ) -> T:
        """What `function` gives or raises. Raises Cancelled.

        Raises Overrun after `seconds`, or as soon as memory grows too much; both only where
        `seconds` are given.

        Without `interrupt` it is let run out when it is left, as is best for what imports modules.
        """
        end = time.monotonic() + seconds
        before = psutil.Process().memory_info().rss if seconds < math.inf else 0
        if self._left is not None:
            _wait(self._left, cancel, end, before)
            self._left = None
        work = _Work(function)
        try:
            _wait(work.done, cancel, end, before)
        except BaseException:
            if interrupt:
                work.leave()
            if not work.done.is_set():
                self._left = work.done
            raise
        if work.error is not None:
            error, work.error = work.error, None
            raise error
        return work.result  # type: ignore[return-value]


def _wait(done: threading.Event, cancel: threading.Event, end: float, before: int) -> None:
    """Wait for `done`. Raises Cancelled, Overrun."""
    while not done.wait(_LOOK_SECONDS):
        if cancel.is_set():
            raise Cancelled
        if time.monotonic() > end:
            raise Overrun(memory=False)
        if before and psutil.Process().memory_info().rss - before > MAX_GROWTH:
            raise Overrun(memory=True)
