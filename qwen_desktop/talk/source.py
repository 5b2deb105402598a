"""What answers, as the terminal sees it: the open checkpoint and the servers, behind one face."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from qwen_desktop.chat.connection import Connection, RemoteModel, RemoteTarget, ServerState
from qwen_desktop.chat.events import GenerationEvent, Progress, PromptCount
from qwen_desktop.chat.inspected import Inspected
from qwen_desktop.chat.ledger import MemorySample
from qwen_desktop.chat.model import EngineOptions, GenerationRequest, LoadRequest, ModelInfo
from qwen_desktop.chat.sent import SentRequest
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

if TYPE_CHECKING:
    from qwen_desktop.engine.engine import Engine
    from qwen_desktop.engine.remote import RemoteEngine

Tell = Callable[[Progress], None]


class Source(Protocol):
    """Answers requests, one at a time. Methods raise Known, Cancelled."""

    @property
    def info(self) -> ModelInfo | None:
        """The open checkpoint; None where there is none."""

    def load(self, request: LoadRequest, cancel: threading.Event, progress: Tell) -> ModelInfo:
        """Open a checkpoint in place of the present one."""

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer the last message of `request`."""

    def count_prompt(self, request: GenerationRequest) -> PromptCount:
        """The tokens that `generate` would feed; of a server's they are estimated."""

    def inspect(self, request: GenerationRequest) -> Inspected | SentRequest:
        """The prompt that `generate` would feed, taken apart; of a server what it would be sent."""

    def memory(self) -> MemorySample:
        """Where the memory has gone."""

    def server_state(self, target: RemoteTarget) -> ServerState | None:
        """How a server stands; None where it does not tell."""

    def models(self, connection: Connection, stop: threading.Event) -> tuple[RemoteModel, ...]:
        """The models that a server offers."""

    def write_title(self, request: GenerationRequest, cancel: threading.Event) -> str:
        """What the model says to a request for a title. May be called on another thread."""


class Engines:
    """The engine of this machine, made for the first checkpoint, and that of servers.

    A request says itself who is asked. `key_of` gives the key of a connection, `proxy` is that of
    the settings. Nothing is sent to a server before it is asked to answer.
    """

    def __init__(
        self, options: EngineOptions, key_of: Callable[[Connection], str | None], proxy: str = ""
    ) -> None:
        self._options = options
        self._key_of = key_of
        self._proxy = proxy
        self._local: Engine | None = None
        self._remote: RemoteEngine | None = None

    @property
    def info(self) -> ModelInfo | None:
        """The open checkpoint; None where there is none."""
        return self._local.info if self._local is not None else None

    def load(self, request: LoadRequest, cancel: threading.Event, progress: Tell) -> ModelInfo:
        """Open a checkpoint in place of the present one. Raises Known, Cancelled."""
        if self._local is None:
            from qwen_desktop.engine.start import create_engine

            made = create_engine(progress)
            if cancel.is_set():
                raise Cancelled
            made.configure(self._options)
            self._local = made
        return self._local.load(request, cancel, progress)

    def close(self) -> None:
        """Give the memory back."""
        if self._local is not None:
            self._local.unload()

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer the last message of `request`. Raises Known, Cancelled."""
        if request.remote is not None:
            return self.servers.generate(request, cancel)
        return self._checkpoint.generate(request, cancel)

    def count_prompt(self, request: GenerationRequest) -> PromptCount:
        """The tokens that `generate` would feed. Asks no server."""
        if request.remote is not None:
            return self.servers.count_prompt(request)
        return self._checkpoint.count_prompt(request)

    def inspect(self, request: GenerationRequest) -> Inspected | SentRequest:
        """The prompt that `generate` would feed, or what a server would be sent. Raises Known."""
        if request.remote is not None:
            return self.servers.inspect(request)
        return self._checkpoint.inspect(request)

    def memory(self) -> MemorySample:
        """Where the memory has gone. Raises Known."""
        return self._checkpoint.memory()

    def server_state(self, target: RemoteTarget) -> ServerState | None:
        """How a server stands; None where it does not tell."""
        return self.servers.state(target.connection)

    def models(self, connection: Connection, stop: threading.Event) -> tuple[RemoteModel, ...]:
        """The models that a server offers. Raises Known, Cancelled."""
        return self.servers.models(connection, stop)

    def write_title(self, request: GenerationRequest, cancel: threading.Event) -> str:
        """What the model says to a request for a title; "" where `cancel` was set before."""
        if request.remote is not None:
            return self.servers.write_title(request, cancel)
        steps = self._checkpoint.write_title(request, cancel)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                said: str = end.value
                return said

    @property
    def servers(self) -> RemoteEngine:
        """What asks servers."""
        if self._remote is None:
            from qwen_desktop.engine.remote import RemoteEngine

            self._remote = RemoteEngine(self._key_of, lambda: self._proxy)
        return self._remote

    @property
    def _checkpoint(self) -> Engine:
        if self._local is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "No checkpoint is open."),
                QT_TRANSLATE_NOOP("errors", "Say :open DIR, or :server NAME for a server."),
            )
        return self._local
