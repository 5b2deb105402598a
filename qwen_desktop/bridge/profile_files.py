"""The whole profile as one file: saved while it is used, and made ready to take its place. QtCore
only. On a thread of its own, by a connection of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge import profile_lock
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.exporting import ProfileContents
from qwen_desktop.errors import Cancelled, Report, report_of
from qwen_desktop.paths import Profile

_log = logging.getLogger(__name__)

_TOLD_EVERY = 0.05  # seconds
_PATIENCE = 5.0  # seconds that the end of the program waits for a job to tidy up

Step = Callable[[float], None]


def finish_restore(profile: Profile) -> None:
    """Let what `prepare` made ready take the place of `profile`. For the start, before any of it
    is read. Raises Known where another instance has the profile, or the disk refuses.
    """
    from qwen_desktop.storage import profile_restore

    lock = profile_lock.taken(profile)
    try:
        aside = profile_restore.finish(profile)
        _log.info("a saved profile has taken the place of this one, which is in %s", aside)
    finally:
        lock.unlock()


class ProfileFiles(QObject):
    """One job at a time. Made by the application.

    Signals: `progressed(float)`, 0 to 1, then one of `saved(ProfileContents)`,
    `looked(ProfileContents)`: what a file says it holds, `prepared(ProfileContents)`: it takes the
    place of this profile at the next start, `failed(Report)` and `cancelled()`.
    """

    progressed = Signal(float)
    saved = Signal(object)
    looked = Signal(object)
    prepared = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, profile: Profile, store: StoreClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._profile = profile
        self._store = store
        self._stop = threading.Event()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._emitting = threading.Lock()
        self._closed = False
        self._told_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._busy

    def save(self, target: Path) -> bool:
        """Write everything into `target`. False while something else is under way."""

        def work(step: Step) -> ProfileContents:
            from qwen_desktop.storage import profile_archive

            return profile_archive.save(self._profile, target, step)

        return self._begin(self.saved, work, after_the_store=True)

    def look(self, file: Path) -> bool:
        """Ask what `file` says it holds."""

        def work(_: Step) -> ProfileContents:
            from qwen_desktop.storage import profile_archive

            return profile_archive.contents_of(file)

        return self._begin(self.looked, work)

    def prepare(self, file: Path) -> bool:
        """Verify `file`, and let it take the place of this profile at the next start."""

        def work(step: Step) -> ProfileContents:
            from qwen_desktop.storage import profile_restore

            return profile_restore.prepare(file, self._profile, step)

        return self._begin(self.prepared, work)

    def cancel(self) -> None:
        """End the job soon; nothing of it stays."""
        self._stop.set()

    def close(self) -> None:
        """Cancel, and wait a moment for what has to be tidied up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        with self._emitting:
            self._closed = True

    def _begin(
        self,
        signal: object,
        work: Callable[[Step], ProfileContents],
        *,
        after_the_store: bool = False,
    ) -> bool:
        if self._busy:
            return False
        self._busy = True
        self._stop.clear()

        def start(_: object = None) -> None:
            self._thread = threading.Thread(
                target=self._run, args=(signal, work), name="profile file", daemon=True
            )
            self._thread.start()

        if after_the_store:  # what was written before is to be in it
            self._store.submit(lambda store: None, start, self._refused)
        else:
            start()
        return True

    def _refused(self, report: Report) -> None:
        self._busy = False
        self.failed.emit(report)

    # -- on the thread of the job ----------------------------------------------------------

    def _run(self, signal: object, work: Callable[[Step], ProfileContents]) -> None:
        try:
            contents = work(self._step)
        except Cancelled:
            self._end(self.cancelled)
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            report = report_of(error)
            _log.error("profile file: %s", report.for_log())
            self._end(self.failed, report)
        else:
            self._end(signal, contents)

    def _step(self, part: float) -> None:
        if self._stop.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY:
            self._told_at = now
            self._tell(self.progressed, part)

    def _end(self, signal: object, *values: object) -> None:
        self._busy = False  # before anybody hears of it
        self._tell(signal, *values)

    def _tell(self, signal: object, *values: object) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]
