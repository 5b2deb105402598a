"""Asks the engine's doctor about folders, on threads of its own. QtCore only.

A folder may lie on a network drive that is gone, where looking at it never returns. So every
question has a thread of its own that nobody waits for: not the window, not the next question, not
the end of the program.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import report_of

if TYPE_CHECKING:
    from qwen_desktop.engine.gpus import Machine

_log = logging.getLogger(__name__)

# Asked on the thread of the question; None while there is no engine yet.
MachineNow = Callable[[], "Machine | None"]


class Doctor(QObject):
    """Signals carry the id that the request gave; the newest request of a kind is answered.

    `examined(id, FolderReport)`; `failed(id, Report)`; `found(id, folders)`: checkpoints below a
    folder that is none itself; `missing(folder)`: a folder of `look_for` that is not there.
    """

    examined = Signal(str, object)
    failed = Signal(str, object)
    found = Signal(str, object)
    missing = Signal(str)

    def __init__(self, machine: MachineNow = lambda: None, parent: QObject | None = None) -> None:
        """`machine` tells the memories of this machine, the open model's counted as free."""
        super().__init__(parent)
        self._machine = machine
        self._emitting = threading.Lock()
        self._closed = False

    def examine(self, folder: Path) -> str:
        """Ask what `folder` holds; the id of the request."""
        request_id = new_id()
        self._start(lambda: self._examine(request_id, folder))
        return request_id

    def look_for(self, folders: Iterable[str]) -> None:
        """Ask which of `folders` are not there."""
        wanted = tuple(folders)
        self._start(lambda: self._look_for(wanted))

    def close(self) -> None:
        """Say nothing from here on. Threads that hang are left to the system."""
        with self._emitting:
            self._closed = True

    # -- on threads of their own -----------------------------------------------------------

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="doctor", daemon=True).start()

    def _examine(self, request_id: str, folder: Path) -> None:
        try:
            from qwen_desktop.engine.doctor import examine
            from qwen_desktop.engine.nested import checkpoints_in

            nested = checkpoints_in(folder)
            if nested:
                self._tell(self.found, request_id, nested)
                return
            self._tell(self.examined, request_id, examine(folder, self._machine()))
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            report = report_of(error)
            _log.error("doctor: %s", report.for_log())
            self._tell(self.failed, request_id, report)

    def _look_for(self, folders: tuple[str, ...]) -> None:
        for folder in folders:
            try:
                is_there = Path(folder).is_dir()
            except (OSError, ValueError):  # a name the system cannot take
                is_there = False
            if not is_there:
                self._tell(self.missing, folder)

    def _tell(self, signal: object, *values: object) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]
