"""The engine on its own thread, asked from the main thread. QtCore only; torch is never named here.

Requests go in as queued signals, answers come out as queued signals with the id of the request.
Stop is a `threading.Event` that travels with the request and is set directly: a queued stop
would wait for the very loop it should end. The same holds for what is done while nobody waits:
a request for an answer or a load sets its event before it is queued. The writing of cache files
is of use to no request, so anything that is asked ends it; it is begun again later.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from qwen_desktop.bridge.engine_worker import EngineWorker
from qwen_desktop.bridge.remote_lane import RemoteLane
from qwen_desktop.bridge.study_work import StudyJob
from qwen_desktop.chat.events import Finished, GenerationEvent
from qwen_desktop.chat.inspected import AnswerPrompt
from qwen_desktop.chat.ledger import MemorySample
from qwen_desktop.chat.messages import Message
from qwen_desktop.chat.model import EngineOptions, GenerationRequest, LoadRequest
from qwen_desktop.chat.study import StudySetup
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen_desktop.chat.connection import Connection
    from qwen_desktop.engine.gpus import Machine

SHUTDOWN_MS = 2000
REST_AT_END_MS = 1200  # of the above, for cache files
# A cache file may be hundreds of megabytes: not after every turn of a lively talk.
REST_AFTER_MS = 20_000


class EngineClient(QObject):
    """Main-thread side of the engine. Owned by the application; relays the worker's signals.

    They are told in `EngineWorker`. A request with `remote` goes to its server instead, on another
    thread; `key_of` gives the key of a connection, `proxy` the proxy that the user chose, on that
    thread.
    """

    progress = Signal(str, object)
    loaded = Signal(str, object)
    load_ended = Signal(str, object, object)
    accepted = Signal(str, int)
    overflowed = Signal(str, object)
    counted = Signal(str, object)
    count_failed = Signal(str, object)
    generated = Signal(str, object)
    failed = Signal(str, object)
    titled = Signal(str, str)
    tokens_made = Signal(str, object)
    inspected = Signal(str, object)
    inspect_failed = Signal(str, object)
    idled = Signal()
    predicted = Signal(str, object)
    card_made = Signal(str, object)
    card_failed = Signal(str, object)
    study_outlined = Signal(str, object)
    study_moved = Signal(str, object)
    study_ended = Signal(str, object, object)

    _load = Signal(str, object, object)
    _check = Signal(str, object)
    _count = Signal(str, object, object)
    _generate = Signal(str, object, object)
    _prepare = Signal(object, object)
    _title = Signal(object, object)
    _rest = Signal(object)
    _forget = Signal(object)
    _configure = Signal(object)
    _tokens = Signal(str, object, object)
    _inspect = Signal(str, object, object)
    _predict = Signal(str, str, int)
    _card = Signal(str)
    _outline = Signal(str, object, object)
    _study = Signal(str, object, object)
    _finish = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stops: dict[str, threading.Event] = {}
        self._counting = threading.Event()  # ends the newest count
        self._idling = threading.Event()  # ends the reading that is done while nobody waits
        self._resting = threading.Event()  # ends the writing of cache files
        self._idle_for = ""  # the conversation it is done for
        self._studying = threading.Event()  # ends a study of memory, or the outlook on one
        self._closing = threading.Event()
        self._rest_timer = QTimer(self)
        self._rest_timer.setSingleShot(True)
        self._rest_timer.setInterval(REST_AFTER_MS)
        self._rest_timer.timeout.connect(self._rest_now)
        self._thread = QThread(self)
        self._thread.setObjectName("engine")
        # torch's parallel kernels need more than the 512 KiB some platforms give a thread.
        self._thread.setStackSize(16 * 2**20)
        self._worker = EngineWorker(self._closing)
        self._worker.moveToThread(self._thread)
        self._load.connect(self._worker.load)
        self._check.connect(self._worker.check)
        self._count.connect(self._worker.count)
        self._generate.connect(self._worker.generate)
        self._prepare.connect(self._worker.prepare)
        self._title.connect(self._worker.title)
        self._rest.connect(self._worker.rest)
        self._forget.connect(self._worker.forget)
        self._configure.connect(self._worker.configure)
        self._tokens.connect(self._worker.tokens)
        self._inspect.connect(self._worker.inspect)
        self._predict.connect(self._worker.predict)
        self._card.connect(self._worker.card)
        self._outline.connect(self._worker.outline_study)
        self._study.connect(self._worker.study)
        self._finish.connect(self._worker.finish)
        self._worker.progress.connect(self.progress)
        self._worker.loaded.connect(self.loaded)
        self._worker.load_ended.connect(self.load_ended)
        self._worker.accepted.connect(self.accepted)
        self._worker.overflowed.connect(self.overflowed)
        self._worker.counted.connect(self.counted)
        self._worker.count_failed.connect(self.count_failed)
        self._worker.generated.connect(self._on_generated)
        self._worker.failed.connect(self._on_failed)
        self._worker.titled.connect(self.titled)
        self._worker.tokens_made.connect(self.tokens_made)
        self._worker.inspected.connect(self.inspected)
        self._worker.inspect_failed.connect(self.inspect_failed)
        self._worker.idled.connect(self.idled)
        self._worker.predicted.connect(self.predicted)
        self._worker.card_made.connect(self.card_made)
        self._worker.card_failed.connect(self.card_failed)
        self._worker.study_outlined.connect(self.study_outlined)
        self._worker.study_moved.connect(self.study_moved)
        self._worker.study_ended.connect(self.study_ended)
        self.key_of: Callable[[Connection], str | None] = lambda _: None
        self.proxy: Callable[[], str] = lambda: ""
        self._remote = RemoteLane(lambda one: self.key_of(one), lambda: self.proxy(), self)
        self._remote.worker.accepted.connect(self.accepted)
        self._remote.worker.overflowed.connect(self.overflowed)
        self._remote.worker.counted.connect(self.counted)
        self._remote.worker.count_failed.connect(self.count_failed)
        self._remote.worker.generated.connect(self.generated)
        self._remote.worker.failed.connect(self.failed)
        self._remote.worker.titled.connect(self.titled)
        self._remote.worker.inspected.connect(self.inspected)
        self._remote.worker.inspect_failed.connect(self.inspect_failed)

    def start(self) -> None:
        """Start the thread. Requests made before wait for it."""
        self._thread.start()

    # -- a checkpoint ----------------------------------------------------------------------

    def load(self, job_id: str, request: LoadRequest, cancel: threading.Event) -> None:
        """Ask for a load; `loaded` or `load_ended` answers. A study under way ends."""
        self._interrupt()
        self._studying.set()
        self._stops[job_id] = cancel
        self._load.emit(job_id, request, cancel)

    def card(self, job_id: str) -> None:
        """Ask for the card of the open checkpoint; `card_made` or `card_failed` answers."""
        self._card.emit(job_id)

    def tokens(self, job_id: str, answer: Message, prompt: tuple[int, ...]) -> None:
        """Ask for the tokens of an answer and of its prompt with texts; `tokens_made` answers."""
        self._tokens.emit(job_id, answer, prompt)

    def predict(self, job_id: str, conversation_id: str, read: int) -> None:
        """Ask what a conversation will take as it grows, `read` tokens being new in each turn.

        `predicted` answers, after what the engine is doing now.
        """
        self._predict.emit(job_id, conversation_id, read)

    def inspect(
        self, job_id: str, asked: GenerationRequest | AnswerPrompt, cancel: threading.Event
    ) -> None:
        """Ask for a prompt taken apart; `inspected` or `inspect_failed` answers.

        Nothing answers where `cancel` is set. While an answer is written it comes after that. What
        goes to a server is told as a `SentRequest`.
        """
        if (asked if isinstance(asked, GenerationRequest) else asked.request).remote is not None:
            self._remote.inspect(job_id, asked, cancel)
            return
        self._rest_later()
        self._inspect.emit(job_id, asked, cancel)

    def configure(self, options: EngineOptions) -> None:
        """Say what may be kept of conversations at rest, now and for later checkpoints."""
        self._rest_later()
        self._configure.emit(options)

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

    # -- answers ---------------------------------------------------------------------------

    def check(self, run_id: str, request: GenerationRequest) -> None:
        """Ask whether the prompt of `request` fits; `accepted`, `overflowed` or `failed` answers.

        Reading that is under way goes on meanwhile: it may be just what the request needs.
        """
        self._counting.set()
        if request.remote is not None:
            self._remote.check(run_id, request)
            return
        self._rest_later()
        self._check.emit(run_id, request)

    def count(self, job_id: str, request: GenerationRequest, cancel: threading.Event) -> None:
        """Count the prompt of `request`; `counted` or `count_failed` answers.

        Nothing answers where `cancel` is set, as it is by the next count or a request.
        """
        self._counting.set()
        self._counting = cancel
        if request.remote is not None:
            self._remote.count(job_id, request, cancel)
            return
        self._rest_later()
        self._count.emit(job_id, request, cancel)

    def generate(self, run_id: str, request: GenerationRequest, stop: threading.Event) -> None:
        """Ask for an answer; `generated` (at last with `Finished`) or `failed` answers."""
        if request.remote is not None:
            self._stops[run_id] = stop
            self._remote.generate(run_id, request, stop)
            return
        self._interrupt()
        self._stops[run_id] = stop
        self._generate.emit(run_id, request, stop)

    def release(self, job_id: str) -> None:
        """Drop the stop event of a request that has ended."""
        self._stops.pop(job_id, None)

    def forget(self, conversation_ids: tuple[str, ...]) -> None:
        """Keep nothing of what was read of conversations that were deleted."""
        if self._idle_for in conversation_ids:
            self._stop_idling()
        self._rest_later()
        self._forget.emit(conversation_ids)

    @Slot(str, object)
    def _on_generated(self, run_id: str, event: GenerationEvent) -> None:
        if isinstance(event, Finished):
            self._rest_timer.start()
        self.generated.emit(run_id, event)

    @Slot(str, object)
    def _on_failed(self, run_id: str, report: Report) -> None:
        self._rest_timer.start()
        self.failed.emit(run_id, report)

    # -- studies of memory -----------------------------------------------------------------

    def outline_study(self, job_id: str, setup: StudySetup, stop: threading.Event) -> None:
        """Ask what a study would take; `study_outlined` or `study_ended` answers."""
        self._begin_study(stop)
        self._outline.emit(job_id, setup, stop)

    def study(self, job_id: str, job: StudyJob, stop: threading.Event) -> None:
        """Ask for a study; `study_moved` tells how far it is, at last `study_ended`.

        Set `stop` to end it soon; what was measured stays in its file.
        """
        self._begin_study(stop)
        self._study.emit(job_id, job, stop)

    def _begin_study(self, stop: threading.Event) -> None:
        self._interrupt()
        self._studying.set()
        self._studying = stop

    # -- while nobody waits ----------------------------------------------------------------

    def prepare(self, request: GenerationRequest) -> None:
        """Let the engine read what the next request will begin with, until there is one.

        `request.messages` ends with an answer that is complete. A server reads nothing ahead.
        """
        if request.remote is not None:
            return
        self._interrupt()
        self._idle_for = request.conversation_id
        self._prepare.emit(request, self._idling)
        self._rest_timer.start()

    def title(self, request: GenerationRequest) -> None:
        """Let the engine answer `request` for a title of its conversation, after what it reads.

        `titled` answers, unless anything is asked before: then it is left unanswered.
        """
        if request.remote is not None:
            self._remote.title(request)
        else:
            self._title.emit(request, self._idling)

    @Slot()
    def _rest_now(self) -> None:
        self._rest.emit(self._resting)

    def _rest_later(self) -> None:
        """End the writing of cache files; it begins anew when nothing was asked for a while."""
        self._resting.set()
        self._resting = threading.Event()
        self._rest_timer.start()

    def _interrupt(self) -> None:
        self._rest_later()
        self._rest_timer.stop()
        self._counting.set()
        self._stop_idling()

    def _stop_idling(self) -> None:
        self._idling.set()
        self._idling = threading.Event()
        self._idle_for = ""

    # -- the end ---------------------------------------------------------------------------

    def close(self, *, rest: bool = True) -> bool:
        """Stop everything and end the thread; False if it is stuck (as an import can be).

        With `rest`, caches are written to their files as far as there is time.
        """
        self._closing.set()
        self._interrupt()
        self._studying.set()
        for stop in self._stops.values():
            stop.set()
        told = self._remote.close()
        if not self._thread.isRunning():
            return told
        stop = threading.Event()
        if not rest:
            stop.set()
        self._finish.emit(stop)
        if self._thread.wait(REST_AT_END_MS):
            return told
        stop.set()
        return self._thread.wait(SHUTDOWN_MS - REST_AT_END_MS) and told
