"""Who answers the shown chat: the open checkpoint, or a model of a server that the user chose.

Lives on the main thread. QtCore only. Nothing here speaks to a server.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.asking import ChatPlace
from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.connections import Connections
from qwen_desktop.chat.connection import RemoteTarget
from qwen_desktop.chat.context import RemoteChoice


class Placing(QObject):
    """Owned by the application. Signal: `changed(ChatPlace)` of the shown chat."""

    changed = Signal(object)

    def __init__(
        self, chats: Chats, connections: Connections, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._chats = chats
        self._connections = connections
        self._told = ChatPlace()
        chats.target_of = self._target
        chats.options_changed.connect(self._look)
        connections.changed.connect(self._on_connections)

    @property
    def place(self) -> ChatPlace:
        """Where the shown chat is answered."""
        return self._chats.place

    @property
    def said(self) -> int:
        """How many messages would go to a server with the next one."""
        return len(self._chats.current.tree.path())

    def use_server(self, connection_id: str, model: str) -> None:
        """Let a model of a connection answer the shown chat from now on.

        Where something was said already the user is asked before it is sent there.
        """
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        before = self._chats.options.remote
        agreed = before.agreed if before is not None else ""
        if not self._chats.current.tree.messages:
            agreed = connection.origin
        self._choose(RemoteChoice(connection_id, model, agreed))

    def use_checkpoint(self) -> None:
        """Let the open checkpoint answer the shown chat from now on."""
        self._choose(None)

    def agree(self) -> None:
        """All that was said in the shown chat may go to its server."""
        choice, target = self.place.choice, self.place.target
        if choice is not None and target is not None:
            self._choose(replace(choice, agreed=target.connection.origin))

    def _choose(self, choice: RemoteChoice | None) -> None:
        if choice != self._chats.options.remote:
            self._chats.set_options(replace(self._chats.options, remote=choice))

    def _target(self, choice: RemoteChoice) -> RemoteTarget | None:
        connection = self._connections.get(choice.connection)
        if connection is None:
            return None
        known = self._connections.model(choice.connection, choice.model)
        return RemoteTarget(connection, choice.model, known.context_length)

    @Slot()
    def _look(self) -> None:
        if (place := self.place) != self._told:
            self._told = place
            self.changed.emit(place)

    @Slot()
    def _on_connections(self) -> None:
        """An address may be another one, a connection may be gone: what would be sent is, too."""
        if self.place != self._told:
            self._chats.options_changed.emit(self._chats.options)
            self._chats.count_anew()
