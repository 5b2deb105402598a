"""Tokens of the prompt while one types. Lives on the main thread; the engine counts. QtCore."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.messages import new_id
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.errors import Report

COUNT_MS = 250


class PromptCounter(QObject):
    """Counts what would be sent if `text` were, when nothing changed for a quarter of a second.

    `request(text)` makes it, None where nothing is to be counted now. Signal:
    `counted(PromptCount)`, the Report of why what is typed cannot be sent, None where nothing is
    known (any more). `asked(GenerationRequest)` before that: what is counted, None for nothing.
    """

    counted = Signal(object)
    asked = Signal(object)

    def __init__(
        self,
        engine: EngineClient,
        request: Callable[[str], GenerationRequest | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._request = request
        self._text = ""
        self._count: PromptCount | Report | None = None
        self._job_id = ""
        self._cancel = threading.Event()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(COUNT_MS)
        self._timer.timeout.connect(self._ask)
        engine.counted.connect(self._on_counted)
        engine.count_failed.connect(self._on_failed)

    @property
    def count(self) -> PromptCount | None:
        """What was counted last; None where that no longer holds."""
        count = self._count
        return count if isinstance(count, PromptCount) and count.refusal is None else None

    def request(self) -> GenerationRequest | None:
        """What would be counted now."""
        return self._request(self._text)

    def set_text(self, text: str) -> None:
        """The draft has changed."""
        if text != self._text:
            self._text = text
            self.refresh()

    def refresh(self) -> None:
        """Something else that is counted has changed; what was counted stands until then."""
        self._drop()
        self._timer.start()

    def start_over(self, text: str | None = None) -> None:
        """What was counted says nothing any more: another conversation, another model, a run."""
        if text is not None:
            self._text = text
        self._set(None)
        self.refresh()

    def _drop(self) -> None:
        self._timer.stop()
        self._cancel.set()
        self._job_id = ""

    @Slot()
    def _ask(self) -> None:
        request = self._request(self._text)
        self.asked.emit(request)
        if request is None:
            self._set(None)
            return
        self._job_id = new_id()
        self._cancel = threading.Event()
        self._engine.count(self._job_id, request, self._cancel)

    @Slot(str, object)
    def _on_counted(self, job_id: str, count: PromptCount) -> None:
        if job_id == self._job_id:
            self._job_id = ""
            self._set(count)

    @Slot(str, object)
    def _on_failed(self, job_id: str, report: Report) -> None:
        if job_id == self._job_id:
            self._job_id = ""
            self._set(report if self._text.strip() and not report.is_bug else None)

    def _set(self, count: PromptCount | Report | None) -> None:
        if count != self._count:
            self._count = count
            self.counted.emit(count)
