"""Servers that may answer chats: the list of them, their keys, their tests. QtCore only.

A key lies in the system's keyring, or in memory as long as the program runs; it never comes back
to the window. Keyrings and servers may keep one waiting: they are asked on threads of their own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.chat.connection import Connection, ConnectionTest, RemoteModel
from qwen_desktop.chat.downloads import Access, TokenPlace
from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Cancelled, report_of
from qwen_desktop.storage.connections import ConnectionEntry, ConnectionFile

if TYPE_CHECKING:
    from qwen_desktop.errors import Report

_log = logging.getLogger(__name__)


class Connections(QObject):
    """Main-thread owner of the connections. Owned by the application.

    Signals: `changed()`: another list; `key_told(id, Access)` answers `look_key`, `set_key` and
    `forget_key`; `tested(job, ConnectionTest)` or `untested(job, Report)` answers `test`.
    `proxy` is that of the settings, read by threads.
    """

    changed = Signal()
    key_told = Signal(str, object)
    tested = Signal(str, object)
    untested = Signal(str, object)

    def __init__(
        self, file: ConnectionFile, files: FileJobs, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._file = file
        self._files = files
        self._entries = {entry.connection.id: entry for entry in file.entries}
        self._names = {entry.connection.id: entry.connection.key_name for entry in file.entries}
        self._own: dict[str, str] = {}  # keys of this run by their names; read by threads
        self._tests: dict[str, threading.Event] = {}  # by job
        self._emitting = threading.Lock()
        self._closed = False
        self.proxy = ""
        self.tested.connect(self._on_tested)

    @property
    def entries(self) -> tuple[ConnectionEntry, ...]:
        """All of them, by name."""
        key = lambda entry: (entry.connection.name.casefold(), entry.connection.id)  # noqa: E731
        return tuple(sorted(self._entries.values(), key=key))

    def entry(self, connection_id: str) -> ConnectionEntry | None:
        """One of them; None where it is gone."""
        return self._entries.get(connection_id)

    def get(self, connection_id: str) -> Connection | None:
        """One of them, without what is known of it."""
        entry = self._entries.get(connection_id)
        return entry.connection if entry is not None else None

    def may_title(self, connection_id: str) -> bool:
        """Whether a connection may be asked for titles of chats."""
        entry = self._entries.get(connection_id)
        return entry is not None and entry.titles

    def model(self, connection_id: str, name: str) -> RemoteModel:
        """What is known of a model of a connection."""
        entry = self._entries.get(connection_id)
        models = entry.models if entry is not None else ()
        return next((one for one in models if one.name == name), RemoteModel(name))

    @Slot(str, object)
    def on_setting(self, name: str, value: object) -> None:
        """A setting has changed, or is told at the start."""
        if name == "proxy":
            self.proxy = str(value)

    # -- changing --------------------------------------------------------------------------

    def save(self, entry: ConnectionEntry) -> None:
        """Keep a connection, in place of the one with its id.

        The key of another server is not its key: it goes where the address leads elsewhere.
        """
        connection_id, name = entry.connection.id, entry.connection.key_name
        before = self._names.get(connection_id)
        if before not in (None, name):
            self._forget(str(before))
        # As it is kept: without user and password, which people copy along with an address.
        kept = replace(entry.connection, address=entry.connection.base)
        self._names = {**self._names, connection_id: name}
        self._set({**self._entries, connection_id: replace(entry, connection=kept)})

    def remove(self, connection_id: str) -> None:
        """Forget a connection and its key. Chats that it answered ask for another."""
        if connection_id in self._entries:
            self._forget(self._names[connection_id])
            self._names = {k: v for k, v in self._names.items() if k != connection_id}
            self._set({k: v for k, v in self._entries.items() if k != connection_id})

    def _set(self, entries: dict[str, ConnectionEntry]) -> None:
        if entries == self._entries:
            return
        self._entries = entries
        kept = self.entries
        self._files.submit("connections", lambda: self._file.save(kept))
        self.changed.emit()

    # -- keys ------------------------------------------------------------------------------

    def key_of(self, connection: Connection) -> str | None:
        """The key of a connection; None without one. From any thread but the main one.

        None as well where its address is another by now: what is under way to the old one does not
        get the new key.
        """
        from qwen_desktop.hub import vault

        name = self._names.get(connection.id)
        if name is None or name != connection.key_name:
            return None
        return self._own.get(name) or vault.kept(name) or None

    def look_key(self, connection_id: str) -> None:
        """Find out whether there is a key: `key_told`."""
        if (name := self._names.get(connection_id)) is not None:
            self._start("connection key", lambda: self._tell_key(connection_id, name))

    def set_key(self, connection_id: str, key: str) -> None:
        """Keep a key: in the keyring, or for this run where there is none or it refuses."""
        key, name = _one_line(key), self._names.get(connection_id)
        if not key or name is None:
            return
        self._own[name] = key  # until the keyring has it

        def run() -> None:
            from qwen_desktop.hub import vault

            if vault.keep(name, key) and self._own.get(name) == key:
                self._own.pop(name, None)
            self._tell_key(connection_id, name)

        self._start("connection key", run)

    def forget_key(self, connection_id: str) -> None:
        """Take the key away."""
        if (name := self._names.get(connection_id)) is not None:
            self._forget(name, lambda: self._tell_key(connection_id, name))

    def _forget(self, name: str, then: Callable[[], None] = lambda: None) -> None:
        self._own.pop(name, None)

        def run() -> None:
            from qwen_desktop.hub import vault

            vault.forget(name)
            then()

        self._start("connection key", run)

    def _tell_key(self, connection_id: str, name: str) -> None:
        from qwen_desktop.hub import vault

        place = TokenPlace.RUN if name in self._own else TokenPlace.NONE
        if place is TokenPlace.NONE and vault.kept(name):
            place = TokenPlace.KEYRING
        has_keyring = vault.keyring_here() is not None
        self._tell(self.key_told, connection_id, Access(place, has_keyring))

    # -- tests -----------------------------------------------------------------------------

    def test(self, connection: Connection, key: str = "") -> str:
        """Ask a server what it is and offers, with `key` or else the one that is kept.

        The id of the job, which `tested` or `untested` answers, unless it is cancelled.
        """
        job, stop, typed = new_id(), threading.Event(), _one_line(key)
        self._tests[job] = stop

        def key_of(one: Connection) -> str | None:
            return typed or self.key_of(one)

        def run() -> None:
            from qwen_desktop.engine.remote import RemoteEngine

            try:
                found = RemoteEngine(key_of, lambda: self.proxy).test(connection, stop)
            except Cancelled:
                return
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report: Report = report_of(error)
                _log.warning("connection test: %s", report.for_log())
                self._tell(self.untested, job, report)
            else:
                self._tell(self.tested, job, found)

        self._start("connection test", run)
        return job

    def cancel(self, job: str) -> None:
        """End a test; nothing answers."""
        if (stop := self._tests.pop(job, None)) is not None:
            stop.set()

    @Slot(str, object)
    def _on_tested(self, job: str, _found: ConnectionTest) -> None:
        self._tests.pop(job, None)

    def close(self) -> None:
        """Say nothing from here on. Threads that a keyring or a server holds are left."""
        for stop in self._tests.values():
            stop.set()
        with self._emitting:
            self._closed = True

    # -- threads ---------------------------------------------------------------------------

    def _start(self, name: str, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()

    def _tell(self, signal: object, *values: object) -> None:
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]


def _one_line(key: str) -> str:
    """A key as a header can carry it: what was pasted may have ends of lines."""
    return "".join(key.split()).encode("ascii", "ignore").decode()
