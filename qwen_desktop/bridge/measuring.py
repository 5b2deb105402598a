"""What the shown conversation took as it grew, beside what it is expected to take.

Lives on the main thread. QtCore only.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.run import RunState
from qwen_desktop.chat.measured import Measured, Measurer, Predicted
from qwen_desktop.chat.messages import new_id

WAIT_MS = 50  # behind what is to be painted first, and for what else changes with it


class Measuring(QObject):
    """Follows the shown conversation turn by turn. `changed`: its points, or the prediction."""

    changed = Signal()

    def __init__(
        self, chats: Chats, models: Models, engine: EngineClient, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._chats = chats
        self._models = models
        self._engine = engine
        self._measurer = Measurer()
        self._points: tuple[Measured, ...] = ()
        self._predicted: Predicted | None = None
        self._conversation_id = chats.current.id
        self._asked = ""  # id of the newest request
        self._running = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self._look)
        chats.opened.connect(self._look_soon)
        chats.rewound.connect(self._look_soon)
        chats.run_changed.connect(self._on_run)
        models.changed.connect(self._look_soon)
        chats.options_changed.connect(self._look_soon)
        engine.predicted.connect(self._on_predicted)

    @property
    def points(self) -> tuple[Measured, ...]:
        """The answers that are read, in their order."""
        return self._points

    @property
    def predicted(self) -> Predicted | None:
        """What the open checkpoint is expected to take; None until it has told."""
        return self._predicted

    @property
    def title(self) -> str:
        """Of the conversation; empty for one without."""
        return self._chats.current.summary().title

    def look_now(self) -> None:
        """Be up to date at once: somebody wants to look at it."""
        if self._timer.isActive():
            self._timer.stop()
            self._look()

    @Slot()
    def _look_soon(self) -> None:
        self._timer.start()

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        if self._running and not run.running:  # an answer has ended
            self._timer.start()
        self._running = run.running

    @Slot()
    def _look(self) -> None:
        conversation = self._chats.current
        points = self._measurer.points_of(conversation.tree.path())
        state = self._models.state
        served = self._chats.place.is_remote  # then the open checkpoint takes nothing for this chat
        if state.info is None or state.busy or served:
            self._asked = ""
        if state.info is None or served:
            known = None
        else:
            known = self._predicted
            if not state.busy:
                self._ask(conversation.id, points)
        moved = conversation.id != self._conversation_id
        self._conversation_id = conversation.id
        if moved or points != self._points or known is not self._predicted:
            self._points, self._predicted = points, known
            self.changed.emit()

    def _ask(self, conversation_id: str, points: tuple[Measured, ...]) -> None:
        """Ask for a prediction of turns that read as much as the heaviest of the same checkpoint.

        A light turn then changes nothing: its peak lies below the line.
        """
        info = self._models.state.info
        mark = info.fingerprint if info is not None else ""
        heaviest = max((p.new_tokens for p in points if p.fingerprint == mark), default=0)
        self._asked = new_id()
        self._engine.predict(self._asked, conversation_id, heaviest)

    @Slot(str, object)
    def _on_predicted(self, request_id: str, predicted: Predicted | None) -> None:
        if request_id == self._asked and predicted != self._predicted:
            self._predicted = predicted
            self.changed.emit()
