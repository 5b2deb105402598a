"""The mark on disk that stands while a checkpoint is being loaded. QtCore only.

A start that finds it knows that the start before ended in the middle of that load.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.storage.state import LoadMark


class LoadMarks(QObject):
    """Sets and clears the mark on the files thread. `written(job_id)` says that it stands."""

    written = Signal(str)

    def __init__(self, mark: LoadMark, files: FileJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._mark = mark
        self._files = files

    def set(self, job_id: str, folder: str) -> None:
        """Put the mark there for `folder`; `written` follows, also where the disk refuses it."""

        def write() -> None:
            try:
                self._mark.set(folder)
            finally:
                self.written.emit(job_id)

        self._files.submit("load mark", write)

    def clear(self) -> None:
        """Take it away: the load has ended."""
        self._files.submit("load mark", self._mark.clear)
