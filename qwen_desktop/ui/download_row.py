"""One download as a row: name, progress, what it does, what can be done about it, its files."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QLocale, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from qwen_desktop.chat.downloads import DownloadEntry, Stage
from qwen_desktop.chat.hub import FileProgress, FileState
from qwen_desktop.ui.controls import Bar, Button, ElidedLabel, IconButton, Label, TintedLabel
from qwen_desktop.ui.download_words import amount_text, file_text, state_text

_SHOWN_FILES = 300  # more than any checkpoint has; a hostile list is not built whole


class DownloadRow(QWidget):
    """Signals carry the id of the entry; `move_by` whether it goes up (-1) or down (1), too."""

    pause = Signal(str)
    resume = Signal(str)
    cancel = Signal(str)
    open_folder = Signal(str)
    forget = Signal(str)
    move_by = Signal(str, int)

    def __init__(self, entry: DownloadEntry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("download")
        self.entry = entry
        self._files: FileList | None = None
        self.name = ElidedLabel("", 14, bold=True)
        self.amount = Label("", 13, dim=True)
        self.place = ElidedLabel("", 12, dim=True)
        self.bar = Bar()
        self.state = TintedLabel("", 13, tint="dim", wrap=True)
        self.state.setObjectName("downloadState")
        self._make_buttons()
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(self.name, 1)
        top.addWidget(self.amount)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.go, self.opener, self.reveal, self.remove, self.details):
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.earlier, self.later):
            buttons.addWidget(button)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 14, 0, 14)
        self._column.setSpacing(6)
        self._column.addLayout(top)
        self._column.addWidget(self.place)
        self._column.addWidget(self.bar)
        self._column.addWidget(self.state)
        self._column.addLayout(buttons)
        self.set_entry(entry)

    def _make_buttons(self) -> None:
        self.go = self._button("downloadGo", self._on_go)
        self.opener = self._button("downloadOpen", lambda: self.open_folder.emit(self.entry.id))
        self.opener.kind = "primary"
        self.reveal = self._button("downloadReveal", self._on_reveal)
        self.remove = self._button("downloadRemove", self._on_remove)
        self.details = self._button("downloadDetails", self._on_details)
        self.details.setCheckable(True)
        self.earlier = IconButton("up", self.tr("Earlier"), height=28)
        self.later = IconButton("down", self.tr("Later"), height=28)
        self.earlier.clicked.connect(lambda: self.move_by.emit(self.entry.id, -1))
        self.later.clicked.connect(lambda: self.move_by.emit(self.entry.id, 1))
        self._name(self.opener, self.tr("Open"))
        self._name(self.reveal, self.tr("Show folder"))

    def _button(self, name: str, call: Callable[[], object]) -> Button:
        button = Button("", height=28)
        button.setObjectName(name)
        button.clicked.connect(call)
        return button

    def _name(self, button: Button, words: str) -> None:
        """The words on it, and for a screen reader which download it is about."""
        button.setText(words)
        button.setAccessibleName(f"{words}: {self.entry.name}")

    # -- what it shows ---------------------------------------------------------------------

    def set_entry(self, entry: DownloadEntry) -> None:
        """How far it is."""
        self.entry = entry
        self.name.setText(entry.name)
        self.amount.setText(amount_text(entry.done, entry.total))
        self.place.setText(f"{entry.listing.hub.label} · {entry.folder}")
        self.bar.setVisible(entry.stage is not Stage.DONE)
        self.bar.colour = "error" if entry.stage is Stage.FAILED else "accent"
        self.bar.set_share(entry.done, entry.total)
        self.bar.setAccessibleName(self.tr("Progress of {name}").format(name=entry.name))
        is_trouble = entry.stage is Stage.FAILED or entry.opens is False
        self.state.tint = "error" if is_trouble else "dim"
        self.state.setText(state_text(entry))
        self.setAccessibleName(f"{entry.name}, {self.amount.text()}, {self.state.text()}")
        self._show_buttons()
        if self._files is not None:
            self._files.set_files(_files_of(entry))

    def _show_buttons(self) -> None:
        stage = self.entry.stage
        words = {
            Stage.QUEUED: self.tr("Pause"),
            Stage.RUNNING: self.tr("Pause"),
            Stage.PAUSED: self.tr("Resume"),
            Stage.PAUSING: self.tr("Resume"),
            Stage.FAILED: self.tr("Retry"),
        }
        self.go.setVisible(stage is not Stage.DONE)
        self._name(self.go, words.get(stage, self.tr("Pause")))
        self.opener.setVisible(stage is Stage.DONE)
        self.reveal.setEnabled(self.entry.done > 0)  # else there may be no folder yet
        gone = stage is Stage.DONE
        self._name(self.remove, self.tr("Remove from list") if gone else self.tr("Cancel…"))
        for button, words_of in ((self.earlier, "Earlier"), (self.later, "Later")):
            button.setVisible(stage is Stage.QUEUED)
            said = self.tr("Earlier") if words_of == "Earlier" else self.tr("Later")
            button.setAccessibleName(f"{said}: {self.entry.name}")
        self._show_details()

    def _show_details(self) -> None:
        words = self.tr("Hide files")
        if self._files is None:
            count = QLocale().toString(len(self.entry.files))
            words = self.tr("Files ({count})").format(count=count)
        self._name(self.details, words)

    # -- what the user does ----------------------------------------------------------------

    def _on_go(self) -> None:
        stage = self.entry.stage
        signal = self.pause if stage in (Stage.QUEUED, Stage.RUNNING) else self.resume
        signal.emit(self.entry.id)

    def _on_remove(self) -> None:
        signal = self.forget if self.entry.stage is Stage.DONE else self.cancel
        signal.emit(self.entry.id)

    def _on_reveal(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.entry.folder)))

    def _on_details(self) -> None:
        if self._files is not None:
            self._files.hide()
            self._files.deleteLater()
            self._files = None
        else:
            self._files = FileList()
            self._files.set_files(_files_of(self.entry))
            self._column.addWidget(self._files)
        self.details.setChecked(self._files is not None)
        self._show_details()

    @property
    def files(self) -> FileList | None:
        """The files, where they are shown."""
        return self._files


class FileList(QWidget):
    """Name, size and state of each file; what did not change is not touched."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("downloadFiles")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 4, 0, 4)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        self._shown: list[FileProgress] = []
        self._labels: list[tuple[ElidedLabel, Label, Label]] = []

    def set_files(self, files: tuple[FileProgress, ...]) -> None:
        """Show these."""
        for row, file in enumerate(files[:_SHOWN_FILES]):
            if row == len(self._labels):
                self._add(row)
            if row < len(self._shown) and self._shown[row] == file:
                continue
            name, amount, state = self._labels[row]
            name.setText(file.path)
            amount.setText(amount_text(file.done, file.size))
            state.setText(file_text(file.state))
        self._shown = list(files[:_SHOWN_FILES])

    def _add(self, row: int) -> None:
        labels = (ElidedLabel("", 12), Label("", 12, dim=True), Label("", 12, dim=True))
        labels[0].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        for column, label in enumerate(labels):
            self._grid.addWidget(label, row, column)
        self._labels.append(labels)


def _files_of(entry: DownloadEntry) -> tuple[FileProgress, ...]:
    """As far as is known: of one that has not run since the start only what it will be."""
    if entry.progress is not None:
        return entry.progress.files
    is_done = entry.stage is Stage.DONE
    state = FileState.DONE if is_done else FileState.WAITING
    return tuple(
        FileProgress(file.path, file.size, file.size if is_done else 0, state)
        for file in entry.files
    )
