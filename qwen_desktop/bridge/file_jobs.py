"""Writes small files on a thread of its own. Standard library only: it is there at first paint."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from qwen_desktop.errors import report_of

_log = logging.getLogger(__name__)


class FileJobs:
    """Small files (settings, window state, list cache) written off the main thread, in order.

    A plain thread with the newest content per file: a slow disk only delays the last write.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Callable[[], None]] = {}
        self._wake = threading.Condition()
        self._ending = False
        self._thread: threading.Thread | None = None

    def submit(self, key: str, job: Callable[[], None]) -> None:
        """Run `job` soon; a job of the same `key` that has not begun is replaced by it."""
        with self._wake:
            self._pending.pop(key, None)
            self._pending[key] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._pending and not self._ending:
                    self._wake.wait()
                if not self._pending:
                    return
                key = next(iter(self._pending))
                job = self._pending.pop(key)
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the border of this thread
                _log.error("writing %s: %s", key, report_of(error).details or error)

    def close(self) -> None:
        """Write what is pending and end."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
