"""The memory study of the window: what it would take, how far it is, where it is kept.

Lives on the main thread; the engine thread does the work. QtCore only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.study_work import StudyJob
from qwen_desktop.chat.messages import new_id
from qwen_desktop.chat.study import Study, StudyOutlook, StudyProgress, StudySetup
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report, report_of

_log = logging.getLogger(__name__)

SUFFIX = ".csv"


@dataclass(frozen=True)
class StudyState:
    """What the window shows of it. `file` is where `study` is kept."""

    running: bool = False
    stopping: bool = False
    outlining: bool = False
    outlook: StudyOutlook | None = None
    study: Study | None = None
    progress: StudyProgress | None = None
    file: Path | None = None

    @property
    def can_resume(self) -> bool:
        """Whether there is something to go on with."""
        return not self.running and self.study is not None and not self.study.is_complete


class Studies(QObject):
    """One study at a time, kept in `folder`. Made by the application.

    Signals: `changed(StudyState)`; `refusal_changed()`: whether one can begin may be another;
    `problem(Report)`.
    """

    changed = Signal(object)
    refusal_changed = Signal()
    problem = Signal(object)
    _read = Signal(int, object, object)  # of an opening: Path, Study
    _unread = Signal(int, object)  # of an opening: Report

    def __init__(
        self,
        engine: EngineClient,
        models: Models,
        chats: Chats,
        folder: Path,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine, self._models, self._chats = engine, models, chats
        self.folder = folder
        self._state = StudyState()
        self._job_id = ""
        self._outline_id = ""
        self._opening = 0  # counts what is opened: what comes of an earlier one is dropped
        self._stop = threading.Event()
        self._outlining = threading.Event()
        self._read.connect(self._on_read)
        self._unread.connect(self._on_unread)
        engine.study_outlined.connect(self._on_outlined)
        engine.study_moved.connect(self._on_moved)
        engine.study_ended.connect(self._on_ended)
        models.changed.connect(self.refusal_changed)
        chats.run_changed.connect(self.refusal_changed)

    @property
    def state(self) -> StudyState:
        """The state now."""
        return self._state

    def refusal(self) -> Report | None:
        """Why no study can begin now; None where one can."""
        run, model = self._chats.run, self._models.state
        if run.running:
            return Report(
                QT_TRANSLATE_NOOP("errors", "An answer is still being written in “{title}”."),
                QT_TRANSLATE_NOOP("errors", "Wait for it or stop it."),
                {"title": run.title},
            )
        if model.busy:
            return Report(
                QT_TRANSLATE_NOOP("errors", "The checkpoint is still loading."),
                QT_TRANSLATE_NOOP("errors", "Begin when loading has ended."),
            )
        return asking.NO_MODEL if model.info is None else None

    # -- what is asked for -----------------------------------------------------------------

    def outline(self, setup: StudySetup) -> None:
        """Find out what a study of `setup` would take; the state has it a moment later."""
        self._outlining.set()
        if self.refusal() is not None or self._state.running:
            self._outline_id = ""
            self._set(outlining=False, outlook=None)
            return
        self._outlining = threading.Event()
        self._outline_id = new_id()
        self._set(outlining=True, outlook=None)
        self._engine.outline_study(self._outline_id, setup, self._outlining)

    def leave_outline(self) -> None:
        """Nobody waits for an outlook any more."""
        self._outlining.set()
        self._outline_id = ""
        self._set(outlining=False)

    def start(self, setup: StudySetup) -> bool:
        """Begin a new study, in a file of its own. False where it was refused."""
        info = self._models.state.info
        if info is None:
            self.problem.emit(asking.NO_MODEL)
            return False
        from qwen_desktop.export.names import safe_name

        name = safe_name(info.name, "study") + time.strftime(" %Y-%m-%d %H-%M-%S") + SUFFIX
        return self._begin(StudyJob(setup, self.folder / name), None)

    def resume(self) -> bool:
        """Go on with the study that is shown. False where it was refused."""
        study, file = self._state.study, self._state.file
        if study is None or file is None or not self._state.can_resume:
            return False
        return self._begin(StudyJob(study.head.setup, file), study)

    def _begin(self, job: StudyJob, study: Study | None) -> bool:
        refusal = self.refusal()
        if refusal is not None or self._state.running:
            if refusal is not None:
                self.problem.emit(refusal)
            return False
        self._outline_id = ""
        self._opening += 1
        self._stop = threading.Event()
        self._job_id = new_id()
        self._set(
            running=True,
            stopping=False,
            outlining=False,
            study=study,
            progress=None,
            file=job.file,
        )
        self._models.engage(True)
        self._engine.study(self._job_id, job, self._stop)
        return True

    def stop(self) -> None:
        """End it soon; what was measured is kept, and it can go on later."""
        if self._state.running and not self._state.stopping:
            self._stop.set()
            self._set(stopping=True)

    def open(self, file: Path) -> None:
        """Show an earlier study; the state has it a moment later."""
        if not self._state.running:
            self._opening += 1
            number = self._opening
            self._on_thread(lambda: self._read_file(number, file))

    def _on_thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="study file", daemon=True).start()

    def _read_file(self, number: int, file: Path) -> None:
        try:
            from qwen_desktop.storage import study_file

            study = study_file.read(file)
        except Exception as error:  # noqa: BLE001 - the border of this thread: all become Reports
            self._unread.emit(number, report_of(error))
        else:
            self._read.emit(number, file, study)

    # -- what becomes of it ----------------------------------------------------------------

    @Slot(int, object, object)
    def _on_read(self, number: int, file: Path, study: Study) -> None:
        if number == self._opening:
            self._set(study=study, file=file, progress=None)

    @Slot(int, object)
    def _on_unread(self, number: int, report: Report) -> None:
        if number == self._opening:
            self.problem.emit(report)

    @Slot(str, object)
    def _on_outlined(self, job_id: str, outlook: StudyOutlook) -> None:
        if job_id == self._outline_id:
            self._outline_id = ""
            self._set(outlining=False, outlook=outlook)

    @Slot(str, object)
    def _on_moved(self, job_id: str, what: Study | StudyProgress) -> None:
        if job_id != self._job_id:
            return
        if isinstance(what, Study):
            self._set(study=what)
        else:
            self._set(progress=what)

    @Slot(str, object, object)
    def _on_ended(self, job_id: str, complete: bool, report: Report | None) -> None:
        if job_id == self._outline_id:
            self._outline_id = ""
            self._set(outlining=False)
        elif job_id == self._job_id:
            self._job_id = ""
            self._set(running=False, stopping=False, progress=None)
            self._models.engage(False)
            _log.info("memory study: %s", "complete" if complete else "ended early")
        else:
            return
        if report is not None:
            self.problem.emit(report)

    def _set(self, **changes: object) -> None:
        state = replace(self._state, **changes)  # type: ignore[arg-type]
        if state != self._state:
            self._state = state
            self.changed.emit(state)

    def close(self) -> None:
        """The program ends."""
        self._stop.set()
        self._outlining.set()


def text_of(study: Study) -> str:
    """A study as the text of its file."""
    from qwen_desktop.storage import study_file

    return study_file.to_text(study)
