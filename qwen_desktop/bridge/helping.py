"""What the program knows of itself, found out on threads of its own. QtCore only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from qwen_desktop import __version__
from qwen_desktop.crash_report import CrashWatch, read, reports
from qwen_desktop.errors import Cancelled, report_of
from qwen_desktop.paths import Profile

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.diagnose import Row
    from qwen_desktop.hub.releases import Asking

_log = logging.getLogger(__name__)

ADDRESS = "release_address"  # the setting
_PATIENCE_S = 1.0


class Helping(QObject):
    """Signals tell what was asked for: `diagnosed(tuple[Section])`,
    `licences_read(tuple[Component])`, `release_found(Release)` or `no_release(Report)`,
    `crashed(Path)` once where the last run ended so, `report_read(Path, str)`; `failed(Report)`
    for the others.
    """

    diagnosed = Signal(object)
    licences_read = Signal(object)
    release_found = Signal(object)
    no_release = Signal(object)
    crashed = Signal(object)
    report_read = Signal(object, str)
    failed = Signal(object)

    def __init__(
        self,
        profile: Profile,
        preferences: PreferencesModel,
        watch: CrashWatch | None,
        parent: QObject | None = None,
    ) -> None:
        """`watch` writes the crash reports of this run; None where nobody does."""
        super().__init__(parent)
        self._profile = profile
        self._preferences = preferences
        self._watch = watch
        self._asking: Asking | None = None
        self._threads: set[threading.Thread] = set()
        self._emitting = threading.Lock()
        self._closed = False

    @property
    def crash_folder(self) -> Path:
        """Where the reports of crashes lie."""
        return self._profile.crashes

    def diagnose(self, platform: str, rows: tuple[Row, ...]) -> None:
        """Find out all there is. `platform` is Qt's, `rows` what only a window knows of it."""

        def work() -> None:
            from qwen_desktop.bridge.qt_facts import qt_section
            from qwen_desktop.diagnose.collecting import everything

            sections = everything(self._profile, True, lambda: qt_section(platform, rows))
            self._tell(self.diagnosed, sections)

        self._start(work)

    def read_licences(self) -> None:
        """Read the licences of everything the program is made of."""

        def work() -> None:
            from qwen_desktop import licences

            self._tell(self.licences_read, licences.read())

        self._start(work)

    def ask_for_release(self) -> None:
        """Ask the address of releases once for the newest one."""
        from qwen_desktop.hub.releases import Asking

        self.leave_release()
        asking = self._asking = Asking()
        address = str(self._preferences.get(ADDRESS))
        proxy = str(self._preferences.get("proxy"))

        def work() -> None:
            self._tell(self.release_found, asking.newest(address, __version__, proxy))

        self._start(work, self.no_release)

    def leave_release(self) -> None:
        """Nobody waits for that answer any more."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def review_crashes(self) -> None:
        """See whether the last run ended in a crash."""
        watch = self._watch
        if watch is None:
            return

        def work() -> None:
            file = watch.review()
            if file is not None:
                self._tell(self.crashed, file)

        self._start(work)

    def read_report(self, file: Path | None = None) -> None:
        """Read the report of a crash, the newest one unless another is named."""

        def work() -> None:
            at = file
            if at is None:
                at = next(iter(reports(self._profile.crashes)), None)
            self._tell(self.report_read, at, read(at) if at is not None else "")

        self._start(work)

    def close(self) -> None:
        """Say nothing from here on."""
        with self._emitting:
            self._closed = True
        self.leave_release()
        until = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    # -- on threads of their own -----------------------------------------------------------

    def _start(self, work: Callable[[], None], failed: object = None) -> None:
        def run() -> None:
            try:
                work()
            except Cancelled:
                return
            except Exception as error:  # noqa: BLE001 - the border of this thread
                report = report_of(error)
                _log.warning("help: %s", report.for_log())
                self._tell(failed or self.failed, report)

        thread = threading.Thread(target=run, name="help", daemon=True)
        self._threads = {one for one in self._threads if one.is_alive()} | {thread}
        thread.start()

    def _tell(self, signal: object, *values: object) -> None:
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]
