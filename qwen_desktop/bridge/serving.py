"""The local server of the window: it shares the open model with the chats. QtCore only.

The server has a thread of its own. What it is asked comes here by queued signals and goes on to the
engine, whose thread answers one request after the other, ours and the window's; events go back by
`Job.put`, which any thread may call. Requests wait behind an answer in the window and the other
way round; `ServingState` says which is the case.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models, ModelState
from qwen_desktop.bridge.server_key import ServerKey
from qwen_desktop.chat.events import Finished, GenerationEvent
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report, report_of
from qwen_desktop.serve.served import Load
from qwen_desktop.serve.source import Job, Phase, Standing

_log = logging.getLogger(__name__)

END_S = 2.5
LOG_ROWS = 500  # of the log; older ones go

NO_MODEL = Report(
    QT_TRANSLATE_NOOP("errors", "No checkpoint is open."),
    QT_TRANSLATE_NOOP("errors", "Open a checkpoint folder first."),
    code="no-checkpoint",
)
STOPPED = Report(
    QT_TRANSLATE_NOOP("errors", "The local server has stopped."), code="server-stopped"
)


@dataclass(frozen=True)
class ServingState:
    """What the window shows of it.

    `starting`: its port is being taken. `requests` are there now. `waits`: one waits for an answer
    in the window; `holds`: a message of the window waits for one.
    """

    starting: bool = False
    running: bool = False
    stopping: bool = False
    address: str = ""
    keyed: bool = False
    requests: int = 0
    waits: bool = False
    holds: bool = False


class Serving(QObject):
    """Owned by the application; a `serve.source.Source`.

    Signals: `changed(ServingState)`, `served(Entry)`: a request has ended; `problem(Report)`.
    """

    changed = Signal(object)
    served = Signal(object)
    problem = Signal(object)
    # From the server's thread. The number is that of the start it belongs to.
    _began = Signal(int, str)
    _refused = Signal(int, object)
    _ended = Signal(int)
    _told = Signal(object)
    _moved = Signal(object)
    _asked = Signal(object)
    _forgotten = Signal(object)
    _ahead = Signal(object)

    def __init__(
        self, engine: EngineClient, models: Models, chats: Chats, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine, self._models, self._chats = engine, models, chats
        self.key = ServerKey(self)
        self._state = ServingState()
        self._standing = Standing(Phase.NONE)  # replaced as a whole; read by the server's thread
        self._number = 0
        self._thread: threading.Thread | None = None
        self._running: object = None  # Running, once it has its port
        self._closing = threading.Event()
        self._jobs: dict[str, Job] = {}
        self._begun: set[str] = set()  # jobs that the engine has come to
        self._began.connect(self._on_began)
        self._refused.connect(self._on_refused)
        self._ended.connect(self._on_ended)
        self._told.connect(self.served)
        self._moved.connect(self._on_moved)
        self._asked.connect(self._on_asked)
        self._forgotten.connect(self._on_forgotten)
        self._ahead.connect(self._on_ahead)
        engine.generated.connect(self._on_generated)
        engine.failed.connect(self._on_failed)
        models.changed.connect(self._on_model)
        chats.run_changed.connect(self._refresh)
        self._on_model(models.state)

    @property
    def state(self) -> ServingState:
        """The state now."""
        return self._state

    # -- what is asked for -----------------------------------------------------------------

    def start(self, port: int, key: str = "") -> None:
        """Begin to serve at `port` of this machine; 0 is any free one."""
        if self._state.starting or self._state.running:
            return
        self._number += 1
        self._closing = threading.Event()
        self._set(starting=True, stopping=False, keyed=bool(key))
        number, closing = self._number, self._closing
        # Importing the server takes a while, so it is done on its thread.
        self._thread = threading.Thread(
            target=lambda: self._serve(number, port, key, closing), name="local server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it soon: answers are stopped, and their clients told."""
        self._closing.set()
        if self._running is not None:
            self._running.close()  # type: ignore[attr-defined]
        self._drop_jobs()
        if self._state.starting or self._state.running:
            self._set(stopping=True)

    def close(self) -> None:
        """The program ends. Waits a moment for the server's thread."""
        self.key.close()
        self.stop()
        if self._thread is not None:
            self._thread.join(END_S)

    # -- on the server's thread ------------------------------------------------------------

    def _serve(self, number: int, port: int, key: str, closing: threading.Event) -> None:
        try:
            from qwen_desktop.serve.running import Running
            from qwen_desktop.serve.site import ServeOptions

            options = ServeOptions(port=port, key=key)
            running = Running(
                self,
                options,
                self._told.emit,
                self._moved.emit,
                lambda: self._ended.emit(number),
            )
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            self._refused.emit(number, report_of(error))
            return
        self._running = running
        if closing.is_set():  # asked meanwhile
            running.close()
        self._began.emit(number, running.address)
        running.run()

    def standing(self) -> Standing:
        """Whether requests can be answered now. From any thread."""
        return self._standing

    def begin(self, job: Job) -> None:
        """Answer `job` when its turn comes. From the server's thread."""
        if self._closing.is_set():  # `close` may wait for this very thread: nobody would hear
            job.put(STOPPED)
            return
        self._asked.emit(job)

    def prepare(self, request: GenerationRequest) -> None:
        """Read ahead for the next turn, while nobody asks. From the server's thread."""
        self._ahead.emit(request)

    def forget(self, conversation_ids: tuple[str, ...]) -> None:
        """Keep nothing of these. From the server's thread."""
        self._forgotten.emit(conversation_ids)

    # -- what becomes of it ----------------------------------------------------------------

    @Slot(int, str)
    def _on_began(self, number: int, address: str) -> None:
        if number == self._number:
            self._set(starting=False, running=True, address=address)
            _log.info("local server: begun")

    @Slot(int, object)
    def _on_refused(self, number: int, report: Report) -> None:
        if number == self._number:
            self._set(starting=False, stopping=False)
            self.problem.emit(report)

    @Slot(int)
    def _on_ended(self, number: int) -> None:
        if number == self._number:
            self._running, self._thread = None, None
            self._drop_jobs()
            self._set(starting=False, running=False, stopping=False, address="", requests=0)
            _log.info("local server: ended")

    @Slot(object)
    def _on_moved(self, load: Load) -> None:
        self._set(requests=load.requests)

    @Slot(object)
    def _on_asked(self, job: Job) -> None:
        if self._closing.is_set():
            job.put(STOPPED)
            return
        if self._standing.phase is not Phase.READY:
            job.put(NO_MODEL)
            return
        self._jobs[job.id] = job
        self._engine.generate(job.id, job.request, job.stop)
        self._refresh()

    @Slot(object)
    def _on_ahead(self, request: GenerationRequest) -> None:
        # Not in the way of the window, whose own chat was perhaps read ahead before.
        busy = self._jobs or self._chats.run.running or self._closing.is_set()
        if not busy and self._standing.phase is Phase.READY:
            self._engine.prepare(request)

    @Slot(object)
    def _on_forgotten(self, conversation_ids: tuple[str, ...]) -> None:
        self._engine.forget(conversation_ids)

    @Slot(str, object)
    def _on_generated(self, job_id: str, event: GenerationEvent) -> None:
        job = self._jobs.get(job_id)
        if job is None:
            return
        if job_id not in self._begun:
            self._begun.add(job_id)
            self._refresh()
        if isinstance(event, Finished):
            self._release(job_id)
        job.put(event)

    @Slot(str, object)
    def _on_failed(self, job_id: str, report: Report) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            self._release(job_id)
            job.put(report)

    def _release(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._begun.discard(job_id)
        self._engine.release(job_id)
        self._refresh()

    def _drop_jobs(self) -> None:
        """Stop all jobs and tell those who wait; the engine's own end of them is not waited for."""
        for job in tuple(self._jobs.values()):
            job.stop.set()
            self._release(job.id)
            job.put(STOPPED)

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        if state.busy:
            self._standing = Standing(Phase.LOADING)
        elif state.engaged:
            self._standing = Standing(Phase.ENGAGED)
        elif state.info is None:
            self._standing = Standing(Phase.NONE)
        else:
            self._standing = Standing(Phase.READY, state.info)
        if self._standing.phase is not Phase.READY:
            self._drop_jobs()  # whoever opened another model does not wait for strangers

    @Slot()
    def _refresh(self) -> None:
        running = self._chats.run.running
        self._set(
            waits=running and bool(self._jobs) and not self._begun,
            holds=running and bool(self._begun),
        )

    def _set(self, **changes: object) -> None:
        state = replace(self._state, **changes)  # type: ignore[arg-type]
        if state != self._state:
            self._state = state
            self.changed.emit(state)
