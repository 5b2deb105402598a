"""Prompts taken apart: what would be sent now, or what an answer was given.

Lives on the main thread. QtCore only. The engine does the work, after what it is doing.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from enum import Enum

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.models import Models
from qwen_desktop.bridge.run import RunState
from qwen_desktop.chat.connection import Connection, RemoteTarget
from qwen_desktop.chat.inspected import AnswerPrompt, Inspected
from qwen_desktop.chat.messages import AnswerTrace, Message, new_id
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.sent import SentRequest
from qwen_desktop.errors import Report

AGAIN_MS = 50  # several changes in one turn of the event loop are one


class Wait(str, Enum):
    """Why there is nothing to show yet."""

    READING = "reading"
    ANSWERING = "answering"  # the engine comes to it after the answer under way
    LOADING = "loading"
    NO_MODEL = "no_model"
    NO_CONNECTION = "no_connection"  # the server that the chat wants is not in the list any more
    NOT_KEPT = "not_kept"  # the prompt of this answer is not on disk


class Look(QObject):
    """One prompt that somebody looks at, until `close`. `shows`: the last one that was told.

    Signals: `inspected(Inspected)`; `sent(SentRequest)` where a server makes the prompt, of which
    nobody here knows the tokens; `waits(Wait)`: nothing is known now; `failed(Report)`.
    """

    inspected = Signal(object)
    sent = Signal(object)
    waits = Signal(object)
    failed = Signal(object)

    def __init__(
        self, engine: EngineClient, chats: Chats, models: Models, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.shows: Inspected | SentRequest | None = None
        self._engine, self._chats, self._models = engine, chats, models
        self._job = ""
        self._cancel = threading.Event()
        self._closed = False
        engine.inspected.connect(self._on_inspected)
        engine.inspect_failed.connect(self._on_failed)

    def start(self) -> None:
        """Ask for the prompt. To be called once, when the signals are connected."""
        raise NotImplementedError

    def close(self) -> None:
        """Nobody looks any more."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        self._cancel.set()
        self._job = ""

    def _ask(self, asked: GenerationRequest | AnswerPrompt) -> None:
        self._drop()
        self._job, self._cancel = new_id(), threading.Event()
        self._engine.inspect(self._job, asked, self._cancel)

    def _wait(self, why: Wait) -> None:
        self.shows = None
        self.waits.emit(why)

    @Slot(str, object)
    def _on_inspected(self, job_id: str, found: Inspected | SentRequest) -> None:
        if job_id == self._job:
            self._job = ""
            if found != self.shows:
                self.shows = found
                (self.sent if isinstance(found, SentRequest) else self.inspected).emit(found)

    @Slot(str, object)
    def _on_failed(self, job_id: str, report: Report) -> None:
        if job_id == self._job:
            self._job = ""
            self.shows = None
            self.failed.emit(report)


class LookNow(Look):
    """What would be sent now. Follows the draft, the conversation, the settings, the model."""

    def start(self) -> None:
        """Ask for it, and again whenever something has changed."""
        self._ahead = True  # something may be read ahead still
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self._look)
        self._chats.asked.connect(self._on_asked)
        self._engine.idled.connect(self._on_idled)
        self._models.changed.connect(self._again.start)
        self._chats.run_changed.connect(self._on_run)
        self._look()

    @Slot()
    def _look(self) -> None:
        if not self._closed:
            self._on_asked(self._chats.request())

    @Slot(object)
    def _on_asked(self, request: GenerationRequest | None) -> None:
        if self._closed:
            return
        self._again.stop()
        if request is not None:
            self._ask(request)
            return
        self._drop()
        self._wait(self._why())

    def _why(self) -> Wait:
        if self._chats.run.running:
            return Wait.ANSWERING
        if self._chats.place.is_remote:
            return Wait.NO_CONNECTION
        return Wait.LOADING if self._models.state.busy else Wait.NO_MODEL

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        # While it goes on nothing would be sent; what follows its end is told by `asked`.
        self._ahead = True
        if run.running and not self._closed and (self.shows is not None or self._job):
            self._drop()
            self._wait(self._why())

    @Slot()
    def _on_idled(self) -> None:
        """The engine has read ahead: more of the prompt comes from the cache."""
        if self._ahead and not self._chats.run.running:
            self._ahead = False
            self._again.start()


class LookBack(Look):
    """The prompt that an answer of the shown conversation was given."""

    def __init__(
        self,
        answer: Message,
        engine: EngineClient,
        chats: Chats,
        models: Models,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(engine, chats, models, parent)
        self.answer = answer
        self._asked: AnswerPrompt | None = None
        self._request = replace(chats.request_of(answer), remote=_server_of(answer))

    def start(self) -> None:
        """Read its ids from the disk, then ask the engine; again when another model is open."""
        self._wait(Wait.READING)
        if self._request.remote is not None:
            self._asked = AnswerPrompt(self._request, self.answer, ())
            self._look()
            return
        self._chats.trace_read.connect(self._on_trace)
        self._chats.trace_failed.connect(self._on_no_trace)
        self._models.changed.connect(self._on_model)
        self._chats.read_trace(self.answer.id)

    @Slot(str, object)
    def _on_trace(self, message_id: str, trace: AnswerTrace) -> None:
        if self._closed or message_id != self.answer.id or self._asked is not None:
            return
        if not trace.prompt_ids:
            self._wait(Wait.NOT_KEPT)
            return
        self._asked = AnswerPrompt(self._request, self.answer, trace.prompt_ids)
        self._look()

    @Slot(str, object)
    def _on_no_trace(self, message_id: str, report: Report) -> None:
        if not self._closed and message_id == self.answer.id and self._asked is None:
            self.failed.emit(report)

    def _look(self) -> None:
        if self._asked is not None and not self._closed:
            if self._chats.run.running:
                self._wait(Wait.ANSWERING)
            self._ask(self._asked)

    @Slot(object)
    def _on_model(self, _state: object) -> None:
        if not self._models.state.busy:
            self._look()


def _server_of(answer: Message) -> RemoteTarget | None:
    """The server that an answer came from, by what the answer remembers; None: it was made here."""
    origin, stats = answer.provenance, answer.stats
    if origin is None or not origin.address:
        return None
    model = stats.model if stats is not None else origin.remote_model
    return RemoteTarget(Connection(origin.connection, origin.address, ""), model)


class Inspecting(QObject):
    """Makes looks. Made by the application."""

    def __init__(
        self, engine: EngineClient, chats: Chats, models: Models, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine, self._chats, self._models = engine, chats, models

    def now(self, parent: QObject) -> Look:
        """What would be sent now."""
        return LookNow(self._engine, self._chats, self._models, parent)

    def back(self, message_id: str, parent: QObject) -> Look | None:
        """What an answer of the shown conversation was given; None where it is not in it."""
        answer = self._chats.current.tree.messages.get(message_id)
        if answer is None:
            return None
        return LookBack(answer, self._engine, self._chats, self._models, parent)
