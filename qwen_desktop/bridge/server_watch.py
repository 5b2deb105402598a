"""How busy the server of the shown chat is, asked every few seconds. QtCore only.

Only of a server that was asked for an answer in this run, and whose program tells: nothing is asked
before the user has sent something there.
"""

from __future__ import annotations

import threading

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge.asking import ChatPlace
from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.connections import Connections
from qwen_desktop.bridge.placing import Placing
from qwen_desktop.bridge.run import RunState
from qwen_desktop.chat.connection import Connection, ServerKind, ServerState

EVERY_MS = 2500
_TELLS = (ServerKind.AUTO, ServerKind.VLLM, ServerKind.SGLANG)
_MOST_FAILURES = 3  # in a row: then it does not tell, until something is sent again


class ServerWatch(QObject):
    """Owned by the application. Signal: `told(ServerState)`, None where nothing is known."""

    told = Signal(object)
    _came = Signal(str, object)  # from its thread: the server, and what it told

    def __init__(
        self,
        chats: Chats,
        placing: Placing,
        connections: Connections,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._chats, self._placing, self._connections = chats, placing, connections
        self._asked: set[str] = set()  # servers that the user let be asked in this run
        self._failures = 0
        self._state: ServerState | None = None
        self._busy = self._running = False
        self._stop = threading.Event()
        self._emitting = threading.Lock()
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self._look)
        self._came.connect(self._on_came)
        chats.run_changed.connect(self._on_run)
        placing.changed.connect(self._on_place)

    def close(self) -> None:
        """Ask nothing from here on."""
        self._timer.stop()
        with self._emitting:
            self._stop.set()

    @property
    def _connection(self) -> Connection | None:
        """The server to ask, if there is one."""
        target = self._placing.place.target
        if target is None or target.connection.kind not in _TELLS:
            return None
        return target.connection if target.connection.origin in self._asked else None

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        """Something is sent: the server may be asked how it is from now on."""
        begins, self._running = run.running and not self._running, run.running
        target = self._placing.place.target
        if begins and target is not None and run.conversation_id == self._chats.current.id:
            self._asked.add(target.connection.origin)
            if not self._timer.isActive():
                self._begin()

    @Slot(object)
    def _on_place(self, _place: ChatPlace) -> None:
        self._tell(None)
        self._timer.stop()
        self._begin()

    def _begin(self) -> None:
        self._failures = 0
        if self._connection is not None:
            self._timer.start()
            self._look()

    @Slot()
    def _look(self) -> None:
        connection = self._connection
        if connection is None:
            self._timer.stop()
            return
        if self._busy:
            return
        self._busy = True
        threading.Thread(
            target=lambda: self._work(connection), name="server state", daemon=True
        ).start()

    def _work(self, connection: Connection) -> None:
        from qwen_desktop.engine.remote import RemoteEngine

        state: ServerState | None = None
        try:
            known = self._connections
            engine = RemoteEngine(known.key_of, lambda: known.proxy)
            state = engine.state(connection, self._stop)
        except Exception:  # noqa: BLE001 - a gauge does without
            state = None
        with self._emitting:
            if not self._stop.is_set():
                self._came.emit(connection.origin, state)

    @Slot(str, object)
    def _on_came(self, origin: str, state: ServerState | None) -> None:
        self._busy = False
        connection = self._connection
        if connection is None or connection.origin != origin:
            return
        self._failures = 0 if state is not None else self._failures + 1
        if self._failures >= _MOST_FAILURES:
            self._timer.stop()
        self._tell(state)

    def _tell(self, state: ServerState | None) -> None:
        if state != self._state:
            self._state = state
            self.told.emit(state)
