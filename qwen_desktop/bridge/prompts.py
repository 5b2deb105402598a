"""Main-thread owner of the prompt library. QtCore only.

Its file is read on the files thread, when the library is asked for first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.chat.prompts import SavedPrompt, by_name, made_of, merged
from qwen_desktop.errors import report_of
from qwen_desktop.storage import prompts as files
from qwen_desktop.storage.prompts import PromptFile


class Prompts(QObject):
    """Prompts by name. Every change is on disk soon after."""

    changed = Signal()
    imported = Signal(int)  # how many are new
    exported = Signal(object)  # Path
    problem = Signal(object)  # Report

    _read = Signal(object)  # tuple of prompts, from the thread
    _read_foreign = Signal(object)

    def __init__(self, file: PromptFile, jobs: FileJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = file
        self._jobs = jobs
        self._prompts: tuple[SavedPrompt, ...] = ()
        self._state = "unread"
        self._read.connect(self._on_read)
        self._read_foreign.connect(self._on_foreign)

    @property
    def entries(self) -> tuple[SavedPrompt, ...]:
        """All of them, in the order of their names; none until they are read."""
        return self._prompts

    @property
    def is_read(self) -> bool:
        """Whether `entries` are what is on disk."""
        return self._state == "read"

    def load(self) -> None:
        """Read what there is, once; `changed` tells."""
        if self._state == "unread":
            self._state = "reading"
            self._jobs.submit("read prompts", lambda: self._read.emit(self._file.read()))

    def save(self, name: str, text: str, before: str = "") -> SavedPrompt:
        """Keep a prompt, in place of one of its name and of the one that was called `before`.

        Raises ValueError where nothing is left of name or text.
        """
        prompt = made_of(name, text)
        self._set((*self._without({prompt.name, before}), prompt))
        return prompt

    def delete(self, name: str) -> SavedPrompt | None:
        """Forget a prompt; what it was, for who wants it back."""
        gone = next((prompt for prompt in self._prompts if prompt.name == name), None)
        self._set(self._without({name}))
        return gone

    def export(self, target: Path) -> None:
        """Write all of them to a file."""
        prompts = self._prompts

        def write() -> None:
            try:
                files.write(target, prompts)
            except Exception as error:  # noqa: BLE001 - the border of that thread
                self.problem.emit(report_of(error))
            else:
                self.exported.emit(target)

        self._jobs.submit(f"export prompts {target}", write)

    def take_from(self, source: Path) -> None:
        """Take in the prompts of a file, beside those that are there."""

        def read() -> None:
            try:
                found = files.read_foreign(source)
            except Exception as error:  # noqa: BLE001 - the border of that thread
                self.problem.emit(report_of(error))
            else:
                self._read_foreign.emit(found)

        self._jobs.submit(f"import prompts {source}", read)

    def _without(self, names: set[str]) -> tuple[SavedPrompt, ...]:
        return tuple(prompt for prompt in self._prompts if prompt.name not in names)

    def _set(self, prompts: Iterable[SavedPrompt]) -> None:
        prompts = by_name(prompts)
        if prompts == self._prompts:
            return
        self._prompts = prompts
        if self.is_read:
            self._jobs.submit("prompts", lambda: self._write(prompts))
        self.changed.emit()

    def _write(self, prompts: tuple[SavedPrompt, ...]) -> None:
        try:
            self._file.save(prompts)
        except Exception as error:  # noqa: BLE001 - the border of that thread
            self.problem.emit(report_of(error))

    @Slot(object)
    def _on_read(self, found: tuple[SavedPrompt, ...]) -> None:
        early = self._prompts  # saved before the file was read
        self._state = "read"
        self._prompts = found
        if self._file.problem is not None:
            self.problem.emit(self._file.problem)
        self._set(merged(found, early)[0])
        self.changed.emit()

    @Slot(object)
    def _on_foreign(self, found: tuple[SavedPrompt, ...]) -> None:
        prompts, count = merged(self._prompts, found)
        self._set(prompts)
        self.imported.emit(count)
