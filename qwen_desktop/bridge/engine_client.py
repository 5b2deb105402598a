"""The engine on its own thread, asked from the main thread. QtCore only; torch is never named here.

The worker lives on the engine thread and is the only owner of the engine. Requests go in as
queued signals, answers come out as queued signals with the id of the request. Stop is a
`threading.Event` that travels with the request and is set directly: a queued stop would wait for
the very loop it should end.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QThread, Signal, Slot

from qwen_desktop.chat.events import Progress
from qwen_desktop.chat.model import GenerationRequest, LoadRequest, MemorySample, ModelInfo
from qwen_desktop.errors import Cancelled, Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.engine.engine import Engine
    from qwen_desktop.engine.gpus import Machine

_log = logging.getLogger(__name__)

SHUTDOWN_MS = 2000


class _Worker(QObject):
    """Lives on the engine thread. Every signal begins with the id of the request it answers."""

    progress = Signal(str, object)  # Progress of a load
    loaded = Signal(str, object)  # ModelInfo
    load_ended = Signal(str, object, object)  # Report or None if cancelled; ModelInfo still open
    accepted = Signal(str, int)  # tokens of the prompt
    generated = Signal(str, object)  # GenerationEvent
    failed = Signal(str, object)  # Report, for a check or a generation
    card_made = Signal(str, object)  # ModelCard; None where no checkpoint is open
    card_failed = Signal(str, object)  # Report

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine | None = None

    def _engine(self, job_id: str) -> Engine:
        if self.engine is None:
            from qwen_desktop.engine.start import create_engine

            self.engine = create_engine(lambda event: self.progress.emit(job_id, event))
        return self.engine

    @Slot(str, object, object)
    def load(self, job_id: str, request: LoadRequest, cancel: threading.Event) -> None:
        """Load a checkpoint; brings torch in at the first call."""

        def report_progress(event: Progress) -> None:
            self.progress.emit(job_id, event)

        try:
            engine = self._engine(job_id)
            if cancel.is_set():  # while the libraries were imported, or an answer written
                raise Cancelled
            info = engine.load(request, cancel, report_progress)
        except Cancelled:
            self.load_ended.emit(job_id, None, self._info())
        except BaseException as error:  # noqa: BLE001 - see _reported
            self.load_ended.emit(job_id, self._reported(error), self._info())
        else:
            self.loaded.emit(job_id, info)

    @Slot(str, object)
    def check(self, run_id: str, request: GenerationRequest) -> None:
        """Build the prompt only: does it fit?"""
        try:
            tokens = self._engine(run_id).count_prompt(request).prompt
        except BaseException as error:  # noqa: BLE001
            self.failed.emit(run_id, self._reported(error))
        else:
            self.accepted.emit(run_id, tokens)

    @Slot(str, object, object)
    def generate(self, run_id: str, request: GenerationRequest, stop: threading.Event) -> None:
        """Stream one answer."""
        try:
            for event in self._engine(run_id).generate(request, stop):
                self.generated.emit(run_id, event)
        except BaseException as error:  # noqa: BLE001
            self.failed.emit(run_id, self._reported(error))

    @Slot(str)
    def card(self, job_id: str) -> None:
        """Describe the open checkpoint in full; waits its turn after an answer."""
        try:
            card = self.engine.card() if self.engine is not None else None
        except BaseException as error:  # noqa: BLE001
            self.card_failed.emit(job_id, self._reported(error))
        else:
            self.card_made.emit(job_id, card)

    def _info(self) -> ModelInfo | None:
        return self.engine.info if self.engine is not None else None

    def _reported(self, error: BaseException) -> Report:
        """The report at the border of this thread, where nothing may escape.

        A panic of a library written in Rust is no Exception, and whoever waits must hear of it.
        """
        report = report_of(error)
        _log.error("engine: %s", report.details or report.template)
        return report


class EngineClient(QObject):
    """Main-thread side of the engine. Owned by the application; relays the worker's signals."""

    progress = Signal(str, object)
    loaded = Signal(str, object)
    load_ended = Signal(str, object, object)
    accepted = Signal(str, int)
    generated = Signal(str, object)
    failed = Signal(str, object)
    card_made = Signal(str, object)
    card_failed = Signal(str, object)

    _load = Signal(str, object, object)
    _check = Signal(str, object)
    _generate = Signal(str, object, object)
    _card = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stops: dict[str, threading.Event] = {}
        self._thread = QThread(self)
        self._thread.setObjectName("engine")
        # torch's parallel kernels need more than the 512 KiB some platforms give a thread.
        self._thread.setStackSize(16 * 2**20)
        self._worker = _Worker()
        self._worker.moveToThread(self._thread)
        self._load.connect(self._worker.load)
        self._check.connect(self._worker.check)
        self._generate.connect(self._worker.generate)
        self._card.connect(self._worker.card)
        self._worker.progress.connect(self.progress)
        self._worker.loaded.connect(self.loaded)
        self._worker.load_ended.connect(self.load_ended)
        self._worker.accepted.connect(self.accepted)
        self._worker.generated.connect(self.generated)
        self._worker.failed.connect(self.failed)
        self._worker.card_made.connect(self.card_made)
        self._worker.card_failed.connect(self.card_failed)

    def start(self) -> None:
        """Start the thread. Requests made before wait for it."""
        self._thread.start()

    def load(self, job_id: str, request: LoadRequest, cancel: threading.Event) -> None:
        """Ask for a load; `loaded` or `load_ended` answers."""
        self._stops[job_id] = cancel
        self._load.emit(job_id, request, cancel)

    def check(self, run_id: str, request: GenerationRequest) -> None:
        """Ask whether the prompt of `request` fits; `accepted` or `failed` answers."""
        self._check.emit(run_id, request)

    def generate(self, run_id: str, request: GenerationRequest, stop: threading.Event) -> None:
        """Ask for an answer; `generated` (at last with `Finished`) or `failed` answers."""
        self._stops[run_id] = stop
        self._generate.emit(run_id, request, stop)

    def card(self, job_id: str) -> None:
        """Ask for the card of the open checkpoint; `card_made` or `card_failed` answers."""
        self._card.emit(job_id)

    def forget(self, job_id: str) -> None:
        """Drop the stop event of a request that has ended."""
        self._stops.pop(job_id, None)

    def memory(self) -> MemorySample:
        """What the gauge shows. Called from the sampler's thread."""
        engine = self._worker.engine
        if engine is not None:
            return engine.memory()
        from qwen_desktop.engine.memory import ram_sample

        return ram_sample()

    def machine(self) -> Machine | None:
        """The memories of this machine as the engine sees them; None before it has started.

        From any thread but the main one: it may take a moment.
        """
        engine = self._worker.engine
        return engine.machine() if engine is not None else None

    def close(self) -> bool:
        """Stop everything and end the thread; False if it is stuck (as an import can be)."""
        for stop in self._stops.values():
            stop.set()
        if not self._thread.isRunning():
            return True
        self._thread.quit()
        return self._thread.wait(SHUTDOWN_MS)
