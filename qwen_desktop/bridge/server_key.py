"""The key of the local server: in the system's keyring, or for this run where there is none.

It is in no setting, no log and no file of ours. Keyrings may wait for the user, so they are asked
on threads that nobody waits for. QtCore only.
"""

from __future__ import annotations

import threading

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.serve.keys import new_key

NAME = "local server"  # of the keyring's entry


class ServerKey(QObject):
    """`changed()`: there is a key now, or another."""

    changed = Signal()
    _found = Signal(int, str, bool)  # of a question: the key, and whether the keyring has it

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.key = ""  # "" until there is one
        self.kept = False  # whether the keyring has it
        self._question = 0
        self._emitting = threading.Lock()
        self._closed = False
        self._found.connect(self._on_found)

    def want(self) -> None:
        """Let there be a key: the one that is kept, else a new one. `changed` tells."""
        if not self.key:
            self._ask("")

    def renew(self) -> None:
        """Take a new key; the old one opens nothing from the next start of the server on."""
        self._ask(new_key())

    def close(self) -> None:
        """Say nothing from here on. A thread that a keyring holds is left."""
        with self._emitting:
            self._closed = True

    def _ask(self, key: str) -> None:
        self._question += 1
        number = self._question
        threading.Thread(
            target=lambda: self._work(number, key), name="server key", daemon=True
        ).start()

    def _work(self, number: int, key: str) -> None:
        from qwen_desktop.hub import vault

        known = "" if key else vault.kept(NAME)
        key = known or key or new_key()
        kept = bool(known) or vault.keep(NAME, key)
        with self._emitting:
            if not self._closed:
                self._found.emit(number, key, kept)

    @Slot(int, str, bool)
    def _on_found(self, number: int, key: str, kept: bool) -> None:
        if number == self._question:
            self.key, self.kept = key, kept
            self.changed.emit()
