"""Writes a text or a picture that the user wants as a file, on a thread of its own. QtCore only."""

from __future__ import annotations

import threading
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from qwen_desktop.errors import report_of


class TextFile(QObject):
    """Signals: `written(Path)` or `failed(Report)`."""

    written = Signal(object)
    failed = Signal(object)

    def write(self, file: Path, content: str | bytes) -> None:
        """Write `content` to `file`, in place of what is there; one of the signals tells the end.

        A text becomes UTF-8.
        """
        threading.Thread(
            target=self._write, args=(file, content), name="text file", daemon=True
        ).start()

    def _write(self, file: Path, content: str | bytes) -> None:
        try:
            from qwen_desktop.storage.atomic import write_bytes

            if isinstance(content, str):
                # Half of a surrogate pair has no place in UTF-8.
                content = content.encode("utf-8", "replace")
            write_bytes(file, content)
        except Exception as error:  # noqa: BLE001 - the border of this thread: all become Reports
            self.failed.emit(report_of(error))
        else:
            self.written.emit(file)
