"""Answers of servers, on a thread of their own: a slow server holds up no checkpoint. QtCore only.

Made and asked by `EngineClient`, whose signals it speaks with: whoever asks need not know where
a request goes. Nothing here reads ahead, and only `generate` and `title` speak to a server.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QThread, Signal, Slot

from qwen_desktop.chat.inspected import AnswerPrompt
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.errors import Cancelled, Report, report_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen_desktop.chat.connection import Connection
    from qwen_desktop.engine.remote import RemoteEngine

_log = logging.getLogger(__name__)

END_MS = 500  # a name that is looked up cannot be interrupted: then the thread is left


class _Worker(QObject):
    """Lives on the thread of servers. Every signal begins with the id of its request."""

    accepted = Signal(str, int)
    overflowed = Signal(str, object)
    counted = Signal(str, object)
    count_failed = Signal(str, object)
    generated = Signal(str, object)
    failed = Signal(str, object)
    titled = Signal(str, str)
    inspected = Signal(str, object)
    inspect_failed = Signal(str, object)

    def __init__(
        self,
        key_of: Callable[[Connection], str | None],
        proxy: Callable[[], str],
        closing: threading.Event,
    ) -> None:
        super().__init__()
        self._key_of = key_of
        self._proxy = proxy
        self._closing = closing
        self._made: RemoteEngine | None = None

    def _engine(self) -> RemoteEngine:
        if self._made is None:
            from qwen_desktop.engine.remote import RemoteEngine

            self._made = RemoteEngine(self._key_of, self._proxy)
        return self._made

    @Slot(str, object)
    def check(self, run_id: str, request: GenerationRequest) -> None:
        """Whether a prompt may fit, as far as that is known here. Asks nobody."""
        try:
            count = self._engine().count_prompt(request)
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            self.failed.emit(run_id, _reported(error))
        else:
            if count.overflows:
                self.overflowed.emit(run_id, count)
            else:
                self.accepted.emit(run_id, count.prompt)

    @Slot(str, object, object)
    def count(self, job_id: str, request: GenerationRequest, cancel: threading.Event) -> None:
        """Estimate a prompt that may be sent. Asks nobody."""
        if cancel.is_set() or self._closing.is_set():
            return
        try:
            count = self._engine().count_prompt(request)
        except BaseException as error:  # noqa: BLE001
            self.count_failed.emit(job_id, _reported(error, quiet=True))
        else:
            self.counted.emit(job_id, count)

    @Slot(str, object, object)
    def inspect(
        self, job_id: str, asked: GenerationRequest | AnswerPrompt, cancel: threading.Event
    ) -> None:
        """Take apart what is sent. Asks nobody."""
        if cancel.is_set() or self._closing.is_set():
            return
        try:
            sent = self._engine().inspect(asked)
        except BaseException as error:  # noqa: BLE001
            self.inspect_failed.emit(job_id, _reported(error, quiet=True))
        else:
            self.inspected.emit(job_id, sent)

    @Slot(str, object, object)
    def generate(self, run_id: str, request: GenerationRequest, stop: threading.Event) -> None:
        """Stream one answer."""
        if self._closing.is_set():
            return
        try:
            for event in self._engine().generate(request, stop):
                self.generated.emit(run_id, event)
        except BaseException as error:  # noqa: BLE001
            self.failed.emit(run_id, _reported(error))

    @Slot(object, object)
    def title(self, request: GenerationRequest, stop: threading.Event) -> None:
        """Ask for a title, where the user lets this server make them."""
        if stop.is_set() or self._closing.is_set():
            return
        try:
            said = self._engine().write_title(request, stop)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001 - nobody asked for it: it goes to the log
            _reported(error)
        else:
            if not stop.is_set():
                self.titled.emit(request.conversation_id, said)


def _reported(error: BaseException, *, quiet: bool = False) -> Report:
    report = report_of(error)
    if report.is_bug or not quiet:
        _log.error("server: %s", report.for_log())
    return report


class RemoteLane(QObject):
    """Main-thread side. The thread starts with the first request."""

    _check = Signal(str, object)
    _count = Signal(str, object, object)
    _generate = Signal(str, object, object)
    _title = Signal(object, object)
    _inspect = Signal(str, object, object)

    def __init__(
        self,
        key_of: Callable[[Connection], str | None],
        proxy: Callable[[], str],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._closing = threading.Event()
        self._titling = threading.Event()  # ends a title: whoever waits comes first
        self._thread = QThread(self)
        self._thread.setObjectName("servers")
        self.worker = _Worker(key_of, proxy, self._closing)
        self.worker.moveToThread(self._thread)
        self._check.connect(self.worker.check)
        self._count.connect(self.worker.count)
        self._generate.connect(self.worker.generate)
        self._title.connect(self.worker.title)
        self._inspect.connect(self.worker.inspect)

    def check(self, run_id: str, request: GenerationRequest) -> None:
        """As `EngineClient.check`."""
        self._titling.set()
        self._start()
        self._check.emit(run_id, request)

    def count(self, job_id: str, request: GenerationRequest, cancel: threading.Event) -> None:
        """As `EngineClient.count`."""
        self._start()
        self._count.emit(job_id, request, cancel)

    def generate(self, run_id: str, request: GenerationRequest, stop: threading.Event) -> None:
        """As `EngineClient.generate`."""
        self._start()
        self._generate.emit(run_id, request, stop)

    def inspect(
        self, job_id: str, asked: GenerationRequest | AnswerPrompt, cancel: threading.Event
    ) -> None:
        """As `EngineClient.inspect`; while an answer comes it waits for that."""
        self._start()
        self._inspect.emit(job_id, asked, cancel)

    def title(self, request: GenerationRequest) -> None:
        """As `EngineClient.title`."""
        self._titling.set()
        self._titling = threading.Event()
        self._start()
        self._title.emit(request, self._titling)

    def _start(self) -> None:
        if not self._thread.isRunning() and not self._closing.is_set():
            self._thread.start()

    def close(self) -> bool:
        """End the thread, the stops of its requests being set; False where a server holds it."""
        self._closing.set()
        self._titling.set()
        if not self._thread.isRunning():
            return True
        self._thread.quit()
        return self._thread.wait(END_MS)
