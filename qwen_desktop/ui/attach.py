"""What the window does about files for the draft: choosing, dropping and pasting them, and telling
what could not be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.messages import Part
from qwen_desktop.errors import Report
from qwen_desktop.ui.attachments import MOST
from qwen_desktop.ui.checkpoints import QT_DIALOGS

if TYPE_CHECKING:
    from qwen_desktop.bridge.attaching import Attaching
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.ui.main_window import MainWindow

PASTE_SETTING = "paste_as_file"


@dataclass
class _Batch:
    """Files that were chosen together."""

    jobs: set[str] = field(default_factory=set)  # not read yet
    conversations: list[Path] = field(default_factory=list)


class Attach(QObject):
    """Belongs to the window."""

    def __init__(
        self,
        window: MainWindow,
        chats: Chats,
        attaching: Attaching,
        preferences: PreferencesModel,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._attaching = attaching
        self._preferences = preferences
        self._batches: dict[str, _Batch] = {}  # by job
        self._elsewhere: dict[str, str] = {}  # by job: the draft it belongs to, not shown now
        self._composer = window.composer
        self._files = window.composer.attachments
        self._composer.attach_requested.connect(self.choose)
        self._composer.edit.files_pasted.connect(self.add)
        self._files.reading_cancelled.connect(self._on_cancelled)
        attaching.read.connect(self._on_read)
        attaching.failed.connect(self._on_failed)
        attaching.is_conversation.connect(self._on_conversation)
        chats.leaving.connect(self._on_leaving)
        preferences.changed.connect(self._on_preference)
        self._on_preference()

    @Slot()
    def _on_preference(self) -> None:
        limit = self._preferences.get(PASTE_SETTING)
        self._composer.edit.paste_limit = limit if isinstance(limit, int) else 0

    # -- which files -----------------------------------------------------------------------

    @Slot()
    def choose(self) -> None:
        """The picker for files, which are attached."""
        from PySide6.QtCore import Qt
        from PySide6.QtWidgets import QFileDialog

        picker = QFileDialog(self._window, self.tr("Attach files"))
        picker.setObjectName("attachDialog")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.setFileMode(QFileDialog.FileMode.ExistingFiles)
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        picker.accepted.connect(lambda: self.add(Path(p) for p in picker.selectedFiles()))
        picker.open()

    @Slot(object)
    def add(self, paths: Iterable[Path]) -> None:
        """Attach files to the draft, whatever they hold."""
        self._start(paths, may_be_conversation=False)

    @Slot(object)
    def add_or_open(self, paths: Iterable[Path]) -> None:
        """Attach dropped files, but open those that hold conversations.

        More files than a message may have can only be meant to be imported.
        """
        chosen = list(paths)
        if len(chosen) > MOST:
            self._window.incoming.open(chosen)
        else:
            self._start(chosen, may_be_conversation=True)

    def _start(self, paths: Iterable[Path], *, may_be_conversation: bool) -> None:
        chosen = list(paths)
        taken = chosen[: self._files.room]
        batch = _Batch()
        for path in taken:
            job = self._attaching.start(path, may_be_conversation=may_be_conversation)
            batch.jobs.add(job)
            self._batches[job] = batch
            self._files.begin_reading(job, path.name)
        if len(taken) < len(chosen):
            self._say_full()
        self._composer.focus_edit()

    def _say_full(self) -> None:
        self._composer.say(self.tr("A message has at most %Ln files.", "", MOST))

    # -- what becomes of them --------------------------------------------------------------

    @Slot()
    def _on_leaving(self) -> None:
        """Files on their way belong to the draft that is left."""
        for job in self._files.take_reading():
            self._elsewhere[job] = self._chats.draft_place

    @Slot(str, object, object)
    def _on_read(self, job: str, file: Part, note: Report | None) -> None:
        place = self._elsewhere.pop(job, None)
        is_here = self._files.end_reading(job) or place == self._chats.draft_place
        if place is not None and not is_here:
            self._chats.add_to_draft(place, Draft("", (file,)).written())
        elif is_here and file in self._files.files:
            self._composer.say(self.tr("{name} is attached already.").format(name=file.name))
        elif is_here and not self._files.add(file):
            self._say_full()
        self._end(job)
        if note is not None:
            self._window.finish_building()
            self._window.toast.show_text(translated(note))

    @Slot(str, object)
    def _on_failed(self, job: str, report: Report) -> None:
        self._elsewhere.pop(job, None)
        self._files.end_reading(job)
        self._end(job)
        self._window.show_problem(report)

    @Slot(str, object)
    def _on_conversation(self, job: str, path: Path) -> None:
        self._elsewhere.pop(job, None)
        self._files.end_reading(job)
        if job in self._batches:
            self._batches[job].conversations.append(path)
        self._end(job)

    @Slot(str)
    def _on_cancelled(self, job: str) -> None:
        self._attaching.cancel(job)
        self._end(job)

    def _end(self, job: str) -> None:
        """After the last file that came with it, what holds conversations is opened together."""
        batch = self._batches.pop(job, None)
        if batch is not None:
            batch.jobs.discard(job)
            if not batch.jobs and batch.conversations:
                self._window.incoming.open(batch.conversations)
