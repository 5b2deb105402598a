"""Reports of crashes: plain text files in the profile, which a person can read and attach.

Standard library only, and little of it: it begins before the first paint. A report holds where the
program was, in every thread, and no value: no variable, and of an error's own words only those that
cannot quote what was written or what a file is called.

While the program runs, `running-….txt` stands open in the folder; what the system says of a
violent end goes there by `faulthandler`, and an orderly end removes it. So a start that finds one
with something in it knows that the last run ended in a crash.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from qwen_desktop.paths import is_frozen
from qwen_desktop.redaction import LEFT_OUT as LEFT_OUT
from qwen_desktop.redaction import described as described
from qwen_desktop.redaction import without_private

_log = logging.getLogger(__name__)

KEPT = 10  # reports
MAX_BYTES = 256 * 1024  # of one
_RUNNING, _DIED, _ERROR = "running-", "crash-", "error-"
_MOST_A_RUN = 5  # errors of one run; one that comes again and again is no news
_HEAD_ENDS = "\n\n"

Error = BaseException


class CrashWatch:
    """Writes the reports of one run. `start` begins, once nobody else has the profile."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self._version = version
        self._file: Path | None = None
        self._stream: TextIO | None = None
        self._errors = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """From now on a crash leaves a report. Does nothing where the folder takes no file."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            name = f"{_RUNNING}{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
            stream = (self.folder / name).open("w", encoding="utf-8")
        except OSError as error:
            _log.warning("no crash reports: %s", error.strerror)
            return
        stream.write(self._head())
        stream.flush()
        self._file, self._stream = self.folder / name, stream
        faulthandler.enable(stream, all_threads=True)
        threading.excepthook = _on_thread

    def stop(self) -> None:
        """An orderly end. May be called again."""
        file, stream = self._file, self._stream
        self._file = self._stream = None
        if file is None or stream is None:
            return
        threading.excepthook = threading.__excepthook__
        faulthandler.disable()
        if sys.__stderr__ is not None:
            with suppress(OSError, ValueError):  # a stream without a file
                faulthandler.enable(sys.__stderr__)  # for what is left of the process
        stream.close()
        with suppress(OSError):
            file.unlink()

    def note(self, text: str) -> None:
        """Write something that is about to end the program, before it does."""
        with self._lock, suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(without_private(text) + "\n")
                self._stream.flush()

    def write_error(self, error: Error, thread: str) -> Path | None:
        """A report of an error that nobody caught; None where none could be written."""
        with self._lock:
            self._errors += 1
            if self._file is None or self._errors > _MOST_A_RUN:
                return None
        stamp = time.strftime("%Y%m%d-%H%M%S")
        file = self.folder / f"{_ERROR}{stamp}-{os.getpid()}-{self._errors}.txt"
        text = f"{self._head()}In the thread {thread}:\n\n{described(error)}"
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as trouble:
            _log.warning("no report of the error: %s", trouble.strerror)
            return None
        return file

    def review(self) -> Path | None:
        """The report of the last run, where it ended in a crash. Keeps the newest reports only.

        To be called once, by a thread that may wait for the disk.
        """
        found: Path | None = None
        try:
            left = sorted(self.folder.glob(f"{_RUNNING}*.txt"))
            for file in left:
                if file != self._file:
                    found = self._taken(file) or found
            self._prune()
        except OSError as error:
            _log.warning("crash reports cannot be looked at: %s", error.strerror)
        return found

    def _taken(self, file: Path) -> Path | None:
        """What a run left that ended without a word: a report of its own, errors before, nothing.

        A run that was killed from outside is none of these.
        """
        text = _read(file)
        stamp = file.name.removeprefix(_RUNNING)
        report: Path | None = None
        if text.partition(_HEAD_ENDS)[2].strip():
            report = file.with_name(f"{_DIED}{stamp}")
            report.write_text(without_private(text) + "\n", encoding="utf-8")
        else:  # an error ended it
            run = stamp.removesuffix(".txt").rpartition("-")[2]
            since = stamp.removesuffix(f"-{run}.txt")
            errors = sorted(self.folder.glob(f"{_ERROR}*-{run}-*.txt"))
            of_run = [one for one in errors if one.name.removeprefix(_ERROR) >= since]
            report = of_run[-1] if of_run else None
        file.unlink()
        return report

    def _prune(self) -> None:
        for old in reports(self.folder)[KEPT:]:
            old.unlink()

    def _head(self) -> str:
        if sys.platform == "win32":
            windows = sys.getwindowsversion()
            on = f"Windows {windows.major}.{windows.minor}.{windows.build}"
        else:
            system = os.uname()
            on = f"{system.sysname} {system.release} {system.machine}"
        return (
            f"Qwen Desktop {self._version}\n"
            f"Python {sys.version.split()[0]}{' (installed)' if is_frozen() else ''}\n"
            f"{on}\n"
            f"{time.strftime('%Y-%m-%d %H:%M:%S')}{_HEAD_ENDS}"
        )


def reports(folder: Path) -> list[Path]:
    """The reports in a folder, the newest first. Raises OSError."""
    found = [*folder.glob(f"{_DIED}*.txt"), *folder.glob(f"{_ERROR}*.txt")]
    return sorted(found, key=lambda file: file.name.partition("-")[2], reverse=True)


def read(file: Path) -> str:
    """A report, shortened in its middle where it is long. Raises OSError."""
    return _read(file)


def _on_thread(found: threading.ExceptHookArgs) -> None:
    """An error that ended a thread: as one of the main thread."""
    if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
        trace: TracebackType | None = found.exc_traceback
        sys.excepthook(found.exc_type, found.exc_value, trace)


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        half = MAX_BYTES // 2
        raw = stream.read(half if size > MAX_BYTES else MAX_BYTES)
        if size > MAX_BYTES:
            stream.seek(-half, os.SEEK_END)
            raw += b"\n[...]\n" + stream.read(half)
    return raw.decode("utf-8", "replace")
