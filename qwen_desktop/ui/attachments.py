"""The files of the draft, above the field: those that are attached, and those being read.

Knows nothing of the bridge. On the way to the first paint: what files need is imported with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from qwen_desktop.chat.messages import Part
    from qwen_desktop.ui.file_chips import FileChip, FileChips

MOST = 20  # files of one message


class Attachments(QObject):
    """The files of one draft at a time.

    Signals: `changed()` by the user or `add`, not by `set_files`; `reading_cancelled(job)`;
    `as_text(str)` where a file's text is wanted in the field.
    """

    changed = Signal()
    reading_changed = Signal()
    reading_cancelled = Signal(str)
    as_text = Signal(str)

    def __init__(self, parent: QWidget, place: Callable[[QWidget], object]) -> None:
        """`place` puts the area of the chips where it belongs, once there are some."""
        super().__init__(parent)
        self._window = parent
        self._place = place
        self._area: FileChips | None = None
        self._files: list[tuple[Part, FileChip]] = []
        self._reading: dict[str, FileChip] = {}  # by job

    @property
    def area(self) -> FileChips:
        """Where the chips are."""
        if self._area is None:
            from qwen_desktop.ui.file_chips import FileChips

            self._area = FileChips()
            self._area.setObjectName("attachments")
            self._area.setAccessibleName(self.tr("Attached files"))
            self._area.setCursor(Qt.CursorShape.ArrowCursor)
            self._place(self._area)
        return self._area

    # -- files -----------------------------------------------------------------------------

    @property
    def files(self) -> tuple[Part, ...]:
        """What is attached, in its order."""
        return tuple(file for file, _ in self._files)

    @property
    def room(self) -> int:
        """How many more there may be."""
        return max(0, MOST - len(self._files) - len(self._reading))

    def set_files(self, files: Iterable[Part]) -> None:
        """Show the files of another draft; nothing is told."""
        wanted = list(files)
        if wanted != [file for file, _ in self._files]:
            self._files = [(file, self._chip(file)) for file in wanted]
            self._show()

    def add(self, file: Part) -> bool:
        """Attach a file. False where it is attached already, or there are too many."""
        if file in self.files or self.room <= 0:
            return False
        self._files.append((file, self._chip(file)))
        self._show()
        self.changed.emit()
        return True

    def add_pasted(self, text: str) -> bool:
        """Attach a text that was pasted, under a name that no other file has."""
        from qwen_desktop.chat.attached import attached

        taken = {file.name for file in self.files}
        name, number = self.tr("Pasted text"), 1
        while name in taken:
            number += 1
            name = self.tr("Pasted text {number}").format(number=number)
        return self.add(attached(name, text))

    def remove(self, file: Part) -> None:
        """Take a file away; the focus goes to the next one, or to the field."""
        names = self.files
        if file not in names:
            return
        at = names.index(file)
        focused = self._files[at][1]
        had_focus = focused.hasFocus() or (focused.cross is not None and focused.cross.hasFocus())
        del self._files[at]
        self._show()
        if had_focus and self._files:
            self._files[min(at, len(self._files) - 1)][1].setFocus()
        elif had_focus:
            self._window.setFocus()
        self.changed.emit()

    def set_tokens(self, tokens: Sequence[int]) -> None:
        """What each file takes; told for the files as they were counted."""
        if len(tokens) != len(self._files):
            return
        for count, (_, chip) in zip(tokens, self._files, strict=True):
            chip.set_detail(self.tr("%Ln tokens", "", count))

    def _chip(self, file: Part) -> FileChip:
        from qwen_desktop.ui.file_chips import FileChip

        chip = FileChip(file.name, self.tr("%Ln characters", "", len(file.text)))
        chip.offers_text = True
        chip.clicked.connect(lambda: self._open(file, chip.detail))
        chip.removed.connect(lambda: self.remove(file))
        chip.as_text_requested.connect(lambda: self._put_back(file))
        return chip

    def _open(self, file: Part, detail: str) -> None:
        from qwen_desktop.ui.file_text import FileTextDialog

        dialog = FileTextDialog(file, detail, self._window.window(), offers_text=True)
        dialog.as_text_requested.connect(lambda: self._put_back(file))
        dialog.open()

    def _put_back(self, file: Part) -> None:
        self.remove(file)
        self.as_text.emit(file.text)

    # -- files being read ------------------------------------------------------------------

    @property
    def reading(self) -> str:
        """The name of a file that is being read; empty where none is."""
        return next((chip.name for chip in self._reading.values()), "")

    def begin_reading(self, job: str, name: str) -> None:
        """Show a file that is not here yet."""
        from qwen_desktop.ui.file_chips import FileChip

        chip = FileChip(name, self.tr("Reading…"))
        chip.removed.connect(lambda: self._cancel(job))
        self._reading[job] = chip
        self._show()
        self.reading_changed.emit()

    def end_reading(self, job: str) -> bool:
        """It is here, or will not come. False where nobody waits for it here."""
        if self._reading.pop(job, None) is None:
            return False
        self._show()
        self.reading_changed.emit()
        return True

    def take_reading(self) -> tuple[str, ...]:
        """The jobs of files being read, which are no longer shown: another draft is."""
        jobs = tuple(self._reading)
        self._reading.clear()
        if jobs:
            self._show()
            self.reading_changed.emit()
        return jobs

    def _cancel(self, job: str) -> None:
        if self.end_reading(job):
            self.reading_cancelled.emit(job)

    def _show(self) -> None:
        self.area.set_chips([*(chip for _, chip in self._files), *self._reading.values()])
