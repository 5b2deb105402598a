"""Which checkpoint is open, and opening another. Lives on the main thread. QtCore only."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.engine_client import EngineClient
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
    """`folder` is being loaded; `info` is the model that is open now (the old one meanwhile)."""

    phase: Phase = Phase.NONE
    folder: Path | None = None
    info: ModelInfo | None = None
    progress: Progress | None = None

    @property
    def busy(self) -> bool:
        """Whether a load is under way."""
        return self.phase in (Phase.STARTING, Phase.LOADING)


class Models(QObject):
    """Main-thread owner of the model state. Signals: `changed(ModelState)`, `problem(Report)`."""

    changed = Signal(object)
    problem = Signal(object)

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._state = ModelState()
        self._job_id = ""
        self._cancel: threading.Event | None = None
        engine.progress.connect(self._on_progress)
        engine.loaded.connect(self._on_loaded)
        engine.load_ended.connect(self._on_load_ended)

    @property
    def state(self) -> ModelState:
        """The state now."""
        return self._state

    def open(self, folder: Path) -> None:
        """Load the checkpoint in `folder`; a load under way is cancelled."""
        if self._cancel is not None:
            self._cancel.set()
        self._job_id = new_id()
        self._cancel = self._engine.load(self._job_id, LoadRequest(folder))
        self._set(replace(self._state, phase=Phase.LOADING, folder=folder, progress=None))

    def cancel(self) -> None:
        """Cancel the load under way; the model that was open stays open."""
        if self._cancel is not None:
            self._cancel.set()

    @Slot(str, object)
    def _on_progress(self, job_id: str, progress: Progress) -> None:
        if job_id != self._job_id:
            return
        phase = Phase.STARTING if progress.stage is Stage.IMPORTING else Phase.LOADING
        self._set(replace(self._state, phase=phase, progress=progress))

    @Slot(str, object)
    def _on_loaded(self, job_id: str, info: ModelInfo) -> None:
        self._engine.forget(job_id)
        if job_id == self._job_id:
            self._ended(info)
        else:  # superseded, yet it had finished: it is what the engine holds until the next one
            self._set(replace(self._state, info=info))

    @Slot(str, object, object)
    def _on_load_ended(self, job_id: str, report: Report | None, info: ModelInfo | None) -> None:
        self._engine.forget(job_id)
        if job_id != self._job_id:
            return
        self._ended(info)
        if report is not None:
            self.problem.emit(report)

    def _ended(self, info: ModelInfo | None) -> None:
        self._cancel = None
        self._set(ModelState(phase=Phase.READY if info else Phase.NONE, info=info))

    def _set(self, state: ModelState) -> None:
        self._state = state
        self.changed.emit(state)
