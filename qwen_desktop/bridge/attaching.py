"""Reads files that are to be attached, on a thread of its own. Lives on the main thread. QtCore."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Cancelled, report_of


@dataclass
class _Job:
    path: Path
    may_be_conversation: bool
    id: str = field(default_factory=new_id)
    cancel: threading.Event = field(default_factory=threading.Event)


class Attaching(QObject):
    """One file after the other.

    Every job ends with one of the signals, unless it is cancelled.
    """

    read = Signal(str, object, object)  # job, Part, Report of what is worth knowing or None
    failed = Signal(str, object)  # job, Report
    is_conversation = Signal(str, object)  # job, Path: to be imported

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: dict[str, _Job] = {}
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, path: Path, *, may_be_conversation: bool = False) -> str:
        """Read a file; the id of the job.

        With `may_be_conversation` one that can be imported is told instead of read.
        """
        job = _Job(path, may_be_conversation)
        self._jobs[job.id] = job
        self._waiting.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="attachments", daemon=True)
            self._thread.start()
        return job.id

    def cancel(self, job_id: str) -> None:
        """Nobody waits for a job any more."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            job.cancel.set()

    def close(self) -> None:
        """End; nobody waits for what is being read."""
        self._closed = True
        for job_id in list(self._jobs):
            self.cancel(job_id)
        self._waiting.put(None)

    # -- on the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                if not job.cancel.is_set():
                    self._read(job)
            except Cancelled:
                pass
            except Exception as error:  # noqa: BLE001 - the border of this thread
                self._tell(job, self.failed, report_of(error))

    def _read(self, job: _Job) -> None:
        from qwen_desktop.storage import attaching

        if job.may_be_conversation and _holds_conversation(job):
            self._tell(job, self.is_conversation, job.path)
            return

        def check() -> None:
            if job.cancel.is_set():
                raise Cancelled

        found = attaching.read(job.path, check)
        self._tell(job, self.read, found.file, found.note)

    def _tell(self, job: _Job, signal: object, *values: object) -> None:
        if not job.cancel.is_set() and not self._closed:
            signal.emit(job.id, *values)  # type: ignore[attr-defined]
            self._jobs.pop(job.id, None)


def _holds_conversation(job: _Job) -> bool:
    """Whether the first thing in a file can be imported."""
    from qwen_desktop.chat.importing import Found
    from qwen_desktop.storage.imports.files import ENDINGS, Reader

    if job.path.suffix.lower() not in ENDINGS:
        return False
    reader = Reader((job.path,), job.cancel.is_set)
    return isinstance(next(iter(reader), None), Found)
