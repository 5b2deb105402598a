"""What lives on the engine thread and is the only owner of the engine.

QtCore only; torch is never named here. Slots are called by queued signals and answer with signals.
What there is to do while nobody waits (`IdleWork`) goes on in small steps, one for each turn of the
thread's event loop: whatever was asked meanwhile is served between two of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot

from qwen_desktop.bridge.idle_work import IdleWork
from qwen_desktop.bridge.study_work import StudyJob, StudyWork
from qwen_desktop.chat.events import Progress
from qwen_desktop.chat.inspected import AnswerPrompt, ids_alone
from qwen_desktop.chat.messages import Message
from qwen_desktop.chat.model import EngineOptions, GenerationRequest, LoadRequest, ModelInfo
from qwen_desktop.chat.study import StudySetup
from qwen_desktop.errors import Cancelled, Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.chat.measured import Predicted
    from qwen_desktop.chat.turn_tokens import TurnTokens
    from qwen_desktop.engine.engine import Engine

_log = logging.getLogger(__name__)


class EngineWorker(QObject):
    """Every signal begins with the id of the request it answers. `closing`: nothing new begins."""

    progress = Signal(str, object)  # Progress of a load
    loaded = Signal(str, object)  # ModelInfo
    load_ended = Signal(str, object, object)  # Report or None if cancelled; ModelInfo still open
    accepted = Signal(str, int)  # tokens of the prompt
    overflowed = Signal(str, object)  # PromptCount: it does not fit and the user is to be asked
    counted = Signal(str, object)  # PromptCount
    count_failed = Signal(str, object)  # Report
    generated = Signal(str, object)  # GenerationEvent
    failed = Signal(str, object)  # Report, for a check or a generation
    titled = Signal(str, str)  # conversation id, what the model said; "" where it said nothing
    tokens_made = Signal(str, object)  # TurnTokens; None where they cannot be told
    inspected = Signal(str, object)  # Inspected
    inspect_failed = Signal(str, object)  # Report
    idled = Signal()  # there is nothing left to do while nobody waits
    predicted = Signal(str, object)  # Predicted; None where there is nothing to tell
    card_made = Signal(str, object)  # ModelCard; None where no checkpoint is open
    card_failed = Signal(str, object)  # Report
    study_outlined = Signal(str, object)  # StudyOutlook
    study_moved = Signal(str, object)  # Study as far as it is, or StudyProgress
    study_ended = Signal(str, object, object)  # whether all is measured, or a Report; see `study`
    _turn = Signal()  # to itself: the next step of the idle work
    _study_turn = Signal()  # to itself: the next prompt of a study

    def __init__(self, closing: threading.Event) -> None:
        super().__init__()
        self.engine: Engine | None = None
        self._closing = closing
        self._options = EngineOptions()
        self._deleted: list[str] = []  # conversations, before there was an engine
        self._idle = IdleWork()
        self._turning = False  # a turn is on its way
        self._turn.connect(self._take_turn, Qt.ConnectionType.QueuedConnection)
        self._studying = StudyWork(self.study_moved.emit)
        self._study_turn.connect(self._take_study_turn, Qt.ConnectionType.QueuedConnection)

    def _engine(self, job_id: str) -> Engine:
        if self.engine is None:
            from qwen_desktop.engine.start import create_engine

            self.engine = create_engine(lambda event: self.progress.emit(job_id, event))
            self.engine.configure(self._options)
            for conversation_id in self._deleted:
                self.engine.forget(conversation_id)
        return self.engine

    # -- a checkpoint ----------------------------------------------------------------------

    @Slot(str, object, object)
    def load(self, job_id: str, request: LoadRequest, cancel: threading.Event) -> None:
        """Load a checkpoint; brings torch in at the first call."""

        def report_progress(event: Progress) -> None:
            self.progress.emit(job_id, event)

        if self._closing.is_set():
            return
        self._end_study()
        try:
            self._idle.drop()
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

    @Slot(str)
    def card(self, job_id: str) -> None:
        """Describe the open checkpoint in full; waits its turn after an answer."""
        try:
            card = self.engine.card() if self.engine is not None else None
        except BaseException as error:  # noqa: BLE001
            self.card_failed.emit(job_id, self._reported(error))
        else:
            self.card_made.emit(job_id, card)

    @Slot(str, object, object)
    def tokens(self, job_id: str, answer: Message, prompt: tuple[int, ...]) -> None:
        """Spell the tokens of a turn; waits its turn after an answer."""
        found: TurnTokens | None = None
        try:
            if self.engine is not None and not self._closing.is_set():
                found = self.engine.turn_tokens(answer, prompt)
        except BaseException as error:  # noqa: BLE001 - ids and scores are shown without it
            self._reported(error)
        self.tokens_made.emit(job_id, found)

    @Slot(str, str, int)
    def predict(self, job_id: str, conversation_id: str, read: int) -> None:
        """Tell what a conversation will take as it grows; waits its turn after an answer."""
        found: Predicted | None = None
        try:
            if self.engine is not None and not self._closing.is_set():
                found = self.engine.predict(conversation_id, read)
        except BaseException as error:  # noqa: BLE001 - a chart does without a line
            self._reported(error)
        self.predicted.emit(job_id, found)

    @Slot(str, object, object)
    def inspect(
        self, job_id: str, asked: GenerationRequest | AnswerPrompt, cancel: threading.Event
    ) -> None:
        """Take a prompt apart. One that is cancelled is not answered."""
        if cancel.is_set() or self._closing.is_set():
            return
        try:
            if isinstance(asked, AnswerPrompt):
                engine = self.engine
                found = engine.inspect_answer(asked, cancel) if engine else ids_alone(asked)
            else:
                found = self._engine(job_id).inspect(asked, cancel)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001
            self.inspect_failed.emit(job_id, self._reported(error, quiet=True))
        else:
            self.inspected.emit(job_id, found)

    @Slot(object)
    def configure(self, options: EngineOptions) -> None:
        """What may be kept of conversations at rest; holds for every checkpoint opened later."""
        self._options = options
        if self.engine is not None:
            try:
                self._idle.drop("")
                self.engine.configure(options)
            except BaseException as error:  # noqa: BLE001 - see _reported
                self._reported(error)

    # -- answers ---------------------------------------------------------------------------

    @Slot(str, object)
    def check(self, run_id: str, request: GenerationRequest) -> None:
        """Build the prompt only: does it fit?"""
        try:
            count = self._engine(run_id).count_prompt(request)
        except BaseException as error:  # noqa: BLE001
            self.failed.emit(run_id, self._reported(error))
        else:
            if count.overflows:
                self.overflowed.emit(run_id, count)
            else:
                self.accepted.emit(run_id, count.prompt)

    @Slot(str, object, object)
    def count(self, job_id: str, request: GenerationRequest, cancel: threading.Event) -> None:
        """Count a prompt that may be sent. One that is cancelled is not answered."""
        if cancel.is_set() or self.engine is None:
            return
        try:
            count = self.engine.count_prompt(request, cancel)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001
            self.count_failed.emit(job_id, self._reported(error, quiet=True))
        else:
            self.counted.emit(job_id, count)

    @Slot(str, object, object)
    def generate(self, run_id: str, request: GenerationRequest, stop: threading.Event) -> None:
        """Stream one answer."""
        if self._closing.is_set():
            return
        try:
            self._idle.drop()
            for event in self._engine(run_id).generate(request, stop):
                self.generated.emit(run_id, event)
        except BaseException as error:  # noqa: BLE001
            self.failed.emit(run_id, self._reported(error))

    @Slot(object)
    def forget(self, conversation_ids: tuple[str, ...]) -> None:
        """Conversations were deleted: nothing of them is kept."""
        if self.engine is None:  # cache files of an earlier start may hold them
            self._deleted += conversation_ids
            return
        try:
            for conversation_id in conversation_ids:
                self._idle.drop(conversation_id)
                self.engine.forget(conversation_id)
        except BaseException as error:  # noqa: BLE001 - see _reported
            self._reported(error)

    # -- studies of memory -----------------------------------------------------------------

    @Slot(str, object, object)
    def outline_study(self, job_id: str, setup: StudySetup, stop: threading.Event) -> None:
        """Say what a study would take. One that is stopped is not answered."""
        if stop.is_set():
            return
        try:
            self._idle.drop()
            outlook = self._engine(job_id).study_outlook(setup, stop)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001
            self.study_ended.emit(job_id, False, self._reported(error))
        else:
            self.study_outlined.emit(job_id, outlook)

    @Slot(str, object, object)
    def study(self, job_id: str, job: StudyJob, stop: threading.Event) -> None:
        """Measure prompt after prompt, one in each turn of this thread's event loop.

        At the end `study_ended` tells whether all is measured (not where it was stopped), and the
        Report where there was trouble.
        """
        try:
            self._idle.drop()
            self._studying.begin(self._engine(job_id), job_id, job, stop)
        except BaseException as error:  # noqa: BLE001
            self.study_ended.emit(job_id, False, self._reported(error))
        else:
            self._study_turn.emit()

    def _end_study(self) -> None:
        """Give up the study under way: another checkpoint is opened, or the program ends."""
        job_id = self._studying.job_id
        if job_id:
            self._studying.close()
            self.study_ended.emit(job_id, False, None)

    @Slot()
    def _take_study_turn(self) -> None:
        job_id = self._studying.job_id
        if not job_id:
            return
        try:
            if self._studying.step():
                self._study_turn.emit()
            else:
                self.study_ended.emit(job_id, True, None)
        except Cancelled:
            self.study_ended.emit(job_id, False, None)
        except BaseException as error:  # noqa: BLE001
            self.study_ended.emit(job_id, False, self._reported(error))

    # -- while nobody waits ----------------------------------------------------------------

    @Slot(object, object)
    def prepare(self, request: GenerationRequest, stop: threading.Event) -> None:
        """Read on behalf of the next request, until `stop`."""
        if self.engine is None or stop.is_set():
            return
        try:
            work = self.engine.prepare(request, stop)
        except BaseException as error:  # noqa: BLE001 - nobody asked for it: it goes to the log
            self._reported(error)
        else:
            self._idle.add(work, stop, request.conversation_id)
            self._turn_soon()

    @Slot(object, object)
    def title(self, request: GenerationRequest, stop: threading.Event) -> None:
        """Let the model answer `request` for a title, after what is read ahead, until `stop`."""
        if self.engine is None or stop.is_set():
            return
        self._idle.add(self._titling(self.engine, request, stop), stop, request.conversation_id)
        self._turn_soon()

    def _titling(
        self, engine: Engine, request: GenerationRequest, stop: threading.Event
    ) -> Iterator[None]:
        said = yield from engine.write_title(request, stop)
        if not stop.is_set():
            self.titled.emit(request.conversation_id, said)

    @Slot(object)
    def rest(self, stop: threading.Event) -> None:
        """Write the caches that changed to their files, until `stop`."""
        if self.engine is None or stop.is_set():
            return
        try:
            work = self.engine.rest(stop)
        except BaseException as error:  # noqa: BLE001 - nobody asked for it: it goes to the log
            self._reported(error)
        else:
            self._idle.add(work, stop)
            self._turn_soon()

    def _turn_soon(self) -> None:
        if self._idle.waits and not self._turning:
            self._turning = True
            self._turn.emit()

    @Slot()
    def _take_turn(self) -> None:
        self._turning = False
        if self._closing.is_set():
            return
        try:
            self._idle.step()
        except BaseException as error:  # noqa: BLE001 - nobody asked for it: it goes to the log
            self._reported(error)
        if not self._idle.waits:
            self.idled.emit()
        self._turn_soon()

    # -- the end ---------------------------------------------------------------------------

    @Slot(object)
    def finish(self, stop: threading.Event) -> None:
        """Write caches until `stop`, then end this thread."""
        self._end_study()
        try:
            self._idle.drop()
            if self.engine is not None and not stop.is_set():
                for _ in self.engine.rest(stop):
                    pass
        except BaseException as error:  # noqa: BLE001 - the data is in the store; ending goes on
            self._reported(error)
        QThread.currentThread().quit()

    def _info(self) -> ModelInfo | None:
        return self.engine.info if self.engine is not None else None

    def _reported(self, error: BaseException, *, quiet: bool = False) -> Report:
        """The report at the border of this thread, where nothing may escape.

        A panic of a library written in Rust is no Exception, and whoever waits must hear of it.
        `quiet`: known trouble is no news for the log, as somebody types.
        """
        report = report_of(error)
        if report.is_bug or not quiet:
            _log.error("engine: %s", report.for_log())
        return report
