"""Which checkpoint is open, and opening another. Lives on the main thread. QtCore only."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.load_marks import LoadMarks
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.messages import new_id
from qwen_desktop.chat.model import LoadRequest, ModelInfo
from qwen_desktop.errors import Report


class Phase(str, Enum):
    """How far a checkpoint has come."""

    NONE = "none"
    STARTING = "starting"  # torch is being imported
    LOADING = "loading"
    READY = "ready"


@dataclass(frozen=True)
class ModelState:
    """`folder` is being loaded; `info` is the model that is open now (the old one meanwhile).

    `engaged`: a memory study has it to itself.
    """

    phase: Phase = Phase.NONE
    folder: Path | None = None
    info: ModelInfo | None = None
    progress: Progress | None = None
    cancelling: bool = False
    engaged: bool = False

    @property
    def busy(self) -> bool:
        """Whether a load is under way."""
        return self.phase in (Phase.STARTING, Phase.LOADING)


class Models(QObject):
    """Main-thread owner of the model state.

    Signals: `changed(ModelState)`; `opened(ModelInfo, LoadRequest)` after a load; and where one
    fails or is cancelled, after the state says what is open now, `problem(Report)` or
    `cancelled(LoadRequest)`.
    """

    changed = Signal(object)
    opened = Signal(object, object)
    problem = Signal(object)
    cancelled = Signal(object)

    def __init__(
        self, engine: EngineClient, marks: LoadMarks | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._marks = marks
        self._state = ModelState()
        self._job_id = ""
        self._request: LoadRequest | None = None  # of the load under way, or of the last one
        self._cancel = threading.Event()
        engine.progress.connect(self._on_progress)
        engine.loaded.connect(self._on_loaded)
        engine.load_ended.connect(self._on_load_ended)
        if marks is not None:
            marks.written.connect(self._begin)

    @property
    def state(self) -> ModelState:
        """The state now."""
        return self._state

    @property
    def request(self) -> LoadRequest | None:
        """What was asked for last."""
        return self._request

    def open(self, what: LoadRequest | Path) -> None:
        """Load a checkpoint, a folder with the default choices; a load under way is cancelled.

        With `marks`, the load begins when its mark stands on the disk.
        """
        request = what if isinstance(what, LoadRequest) else LoadRequest(what)
        self._cancel.set()
        self._cancel = threading.Event()
        self._job_id = new_id()
        self._request = request
        self._set(
            replace(
                self._state,
                phase=Phase.LOADING,
                folder=request.folder,
                progress=None,
                cancelling=False,
            )
        )
        if self._marks is None:
            self._begin(self._job_id)
        else:
            self._marks.set(self._job_id, str(request.folder))

    @Slot(str)
    def _begin(self, job_id: str) -> None:
        if job_id == self._job_id and self._request is not None:
            self._engine.load(job_id, self._request, self._cancel)

    def cancel(self) -> None:
        """Cancel the load under way; the model that was open stays open."""
        if not self._state.busy or self._state.cancelling:
            return
        self._cancel.set()
        progress = self._state.progress
        if progress is not None and progress.stage is not Stage.IMPORTING:
            self._set(replace(self._state, cancelling=True))
            return
        # The engine still imports its libraries, which cannot be interrupted, or has not come to
        # this load: nobody has to wait for that.
        self._job_id = ""
        self._ended(self._state.info)
        self.cancelled.emit(self._request)

    @Slot(str, object)
    def _on_progress(self, job_id: str, progress: Progress) -> None:
        if progress.stage is Stage.FREEING:  # by a superseded load too: the model is gone
            self._state = replace(self._state, info=None)
        if job_id != self._job_id:
            return
        phase = Phase.STARTING if progress.stage is Stage.IMPORTING else Phase.LOADING
        self._set(replace(self._state, phase=phase, progress=progress))

    @Slot(str, object)
    def _on_loaded(self, job_id: str, info: ModelInfo) -> None:
        self._engine.release(job_id)
        if job_id != self._job_id:
            # Superseded, yet it had finished: it is what the engine holds until the next one.
            phase = self._state.phase if self._state.busy else Phase.READY
            self._set(replace(self._state, phase=phase, info=info))
            return
        self._ended(info)
        self.opened.emit(info, self._request)

    @Slot(str, object, object)
    def _on_load_ended(self, job_id: str, report: Report | None, info: ModelInfo | None) -> None:
        self._engine.release(job_id)
        if job_id != self._job_id:
            return
        self._ended(info)
        if report is not None:
            self.problem.emit(report)
        else:
            self.cancelled.emit(self._request)

    def _ended(self, info: ModelInfo | None) -> None:
        if self._marks is not None:
            self._marks.clear()
        phase = Phase.READY if info else Phase.NONE
        self._set(ModelState(phase=phase, info=info, engaged=self._state.engaged))

    def engage(self, on: bool) -> None:
        """Whether a memory study has the model to itself."""
        if on != self._state.engaged:
            self._set(replace(self._state, engaged=on))

    def _set(self, state: ModelState) -> None:
        self._state = state
        self.changed.emit(state)

    def close(self) -> None:
        """The program ends: a load that is under way has not crashed."""
        if self._marks is not None and self._state.busy:
            self._job_id = ""
            self._marks.clear()
