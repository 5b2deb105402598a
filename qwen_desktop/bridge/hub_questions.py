"""Questions to a hub, each on a thread of its own, with answers for those who still wait. QtCore.

Nothing is asked of a network but by `look_up`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import download_work as work
from qwen_desktop.bridge.download_work import LookUp, Token
from qwen_desktop.chat.hub import DownloadPlan
from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Cancelled, Report, report_of

_log = logging.getLogger(__name__)


class HubQuestions(QObject):
    """Signals with the id of the question: `planned(id, DownloadPlan)`, `unplanned(id, Report)`."""

    planned = Signal(str, object)
    unplanned = Signal(str, object)
    _answered = Signal(str, object, object)  # DownloadPlan or None, Report or None

    def __init__(self, token: Token, parent: QObject | None = None) -> None:
        """`token` is asked on the threads of the questions."""
        super().__init__(parent)
        self._token = token
        self._waiting: dict[str, threading.Event] = {}
        self._threads: set[threading.Thread] = set()
        self._emitting = threading.Lock()
        self._closed = False
        self._answered.connect(self._on_answered)

    def look_up(self, asked: LookUp) -> str:
        """Ask a hub; the id of the question."""
        return self.ask(lambda stop: work.look_up(asked, self._token, stop))

    def ask(self, question: Callable[[threading.Event], DownloadPlan]) -> str:
        """Carry out `question` on a thread of its own; the event is set when nobody waits."""
        question_id, stop = new_id(), threading.Event()
        self._waiting[question_id] = stop

        def run() -> None:
            try:
                self._tell(question_id, question(stop), None)
            except Cancelled:
                return
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report = report_of(error)
                _log.warning("look-up: %s", report.for_log())
                self._tell(question_id, None, report)

        thread = threading.Thread(target=run, name="hub question", daemon=True)
        self._threads = {one for one in self._threads if one.is_alive()} | {thread}
        thread.start()
        return question_id

    def leave(self, question_id: str) -> None:
        """Nobody waits for this answer any more."""
        if (stop := self._waiting.pop(question_id, None)) is not None:
            stop.set()

    def _tell(self, question_id: str, plan: DownloadPlan | None, report: Report | None) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                self._answered.emit(question_id, plan, report)

    @Slot(str, object, object)
    def _on_answered(
        self, question_id: str, plan: DownloadPlan | None, report: Report | None
    ) -> None:
        if self._waiting.pop(question_id, None) is None:
            return
        if plan is not None:
            self.planned.emit(question_id, plan)
        else:
            self.unplanned.emit(question_id, report)

    def close(self, until: float) -> None:
        """Say nothing from here on; wait for the threads until this moment of a monotonic clock."""
        with self._emitting:
            self._closed = True
        for stop in self._waiting.values():
            stop.set()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
