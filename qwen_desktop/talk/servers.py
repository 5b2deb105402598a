"""The connections of a profile, as the terminal uses them: found by name, and their keys. No Qt."""

from __future__ import annotations

from collections.abc import Iterable

from qwen_desktop.bridge.asking import LOCAL, ChatPlace
from qwen_desktop.chat.connection import Connection, RemoteModel, RemoteTarget
from qwen_desktop.chat.context import RemoteChoice
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.connections import ConnectionEntry


class Servers:
    """Those that the user entered in the window. Nothing here speaks to one of them."""

    def __init__(self, entries: Iterable[ConnectionEntry] = ()) -> None:
        self._by_id = {entry.connection.id: entry for entry in entries}

    @property
    def entries(self) -> tuple[ConnectionEntry, ...]:
        """All of them, by name."""
        return tuple(sorted(self._by_id.values(), key=lambda e: e.connection.name.casefold()))

    def named(self, name: str) -> ConnectionEntry:
        """The one called `name`, in whatever case. Raises Known where there is none, or two."""
        found = [
            entry
            for entry in self._by_id.values()
            if entry.connection.name.casefold() == name.strip().casefold()
        ]
        exact = [entry for entry in found if entry.connection.name == name.strip()]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "Several connections are called “{name}”."),
                QT_TRANSLATE_NOOP(
                    "errors", "Give them different names: Connections, in the window."
                ),
                code="no-connection",
                name=name,
            )
        known = ", ".join(entry.connection.name for entry in self.entries)
        raise Known(
            QT_TRANSLATE_NOOP("errors", "There is no connection “{name}”; there are: {known}.")
            if known
            else QT_TRANSLATE_NOOP("errors", "There is no connection “{name}”."),
            QT_TRANSLATE_NOOP("errors", "They are made in the window: Connections to servers."),
            code="no-connection",
            name=name,
            known=known,
        )

    def place(self, choice: RemoteChoice | None) -> ChatPlace:
        """Where a chat with this choice is answered; without a target where that one is gone."""
        if choice is None:
            return LOCAL
        entry = self._by_id.get(choice.connection)
        if entry is None:
            return ChatPlace(choice)
        known = next((m for m in entry.models if m.name == choice.model), RemoteModel(choice.model))
        return ChatPlace(choice, RemoteTarget(entry.connection, choice.model, known.context_length))

    def may_title(self, connection_id: str) -> bool:
        """Whether a connection may be asked for titles of chats."""
        entry = self._by_id.get(connection_id)
        return entry is not None and entry.titles

    def key_of(self, connection: Connection) -> str | None:
        """The key of a connection, from the system's keyring; None without one."""
        from qwen_desktop.hub import vault

        return vault.kept(connection.key_name) or None
