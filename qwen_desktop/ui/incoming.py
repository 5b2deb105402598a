"""What the window does about files: importing and opening conversations, and telling what came in.

Its dialogs are imported when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Slot

from qwen_desktop.bridge.importing import Importing
from qwen_desktop.chat.importing import Outcome, Progress, Result
from qwen_desktop.ui.checkpoints import QT_DIALOGS

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.ui.import_dialog import ImportDialog
    from qwen_desktop.ui.main_window import MainWindow

SOON_MS = 600  # files that are opened within it open without a dialog


class Incoming(QObject):
    """Belongs to the window. Files that are opened come in without being asked about."""

    def __init__(self, window: MainWindow, chats: Chats, importing: Importing) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._importing = importing
        self._dialog: ImportDialog | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SOON_MS)
        self._later.timeout.connect(self._on_later)
        importing.started.connect(self._on_started)
        importing.progress.connect(self._on_progress)
        importing.finished.connect(self._on_finished)

    # -- choosing --------------------------------------------------------------------------

    @Slot()
    def choose_import(self) -> None:
        """The dialog that imports files and folders."""
        self._show_dialog()

    @Slot()
    def choose_conversation(self) -> None:
        """The picker for a conversation file, which is opened."""
        self._pick(self._window, self.open, self.tr("Open chat"))

    def _pick(
        self,
        parent: QWidget,
        then: Callable[[list[Path]], None],
        title: str,
        *,
        folder: bool = False,
    ) -> None:
        """The picker of the platform; `then` gets the paths."""
        from PySide6.QtWidgets import QFileDialog

        picker = QFileDialog(parent, title)
        picker.setObjectName("openConversationDialog")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if folder:
            picker.setFileMode(QFileDialog.FileMode.Directory)
            picker.setOption(QFileDialog.Option.ShowDirsOnly)
        else:
            picker.setFileMode(QFileDialog.FileMode.ExistingFiles)
            chats = self.tr("Chats")
            picker.setNameFilters(
                [
                    f"{chats} (*.json *.jsonl *.ndjson *.zip *.qwenprofile)",
                    self.tr("All files") + " (*)",
                ]
            )
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        picker.accepted.connect(lambda: then([Path(p) for p in picker.selectedFiles()]))
        picker.open()

    def _show_dialog(self) -> ImportDialog:
        if self._dialog is None:
            from qwen_desktop.ui.import_dialog import ImportDialog

            dialog = ImportDialog(self._window)
            start = self._importing.start
            dialog.files_requested.connect(
                lambda: self._pick(dialog, start, self.tr("Import chats"))
            )
            dialog.folder_requested.connect(
                lambda: self._pick(dialog, start, self.tr("Import a folder"), folder=True)
            )
            dialog.dropped.connect(self._importing.start)
            dialog.cancel_requested.connect(self._importing.cancel)
            dialog.undo_requested.connect(self._importing.undo)
            dialog.conversation_chosen.connect(self._show)
            dialog.finished.connect(self._on_dialog_finished)
            self._dialog = dialog
            if self._importing.busy:
                dialog.show_progress(Progress())
        self._dialog.open()
        return self._dialog

    @Slot()
    def _on_dialog_finished(self) -> None:
        self._dialog = None

    # -- opening ---------------------------------------------------------------------------

    @Slot(object)
    def open(self, paths: Iterable[Path]) -> None:
        """Take in what is in `paths` and show it if it is one conversation.

        A folder of a model is loaded.
        """
        self._importing.open(paths)

    @Slot(bool)
    def _on_started(self, opening: bool) -> None:
        if self._dialog is not None:
            self._dialog.show_progress(Progress())
        elif opening:
            self._later.start()

    @Slot()
    def _on_later(self) -> None:
        if self._importing.busy:
            self._show_dialog()

    @Slot(object)
    def _on_progress(self, progress: Progress) -> None:
        if self._dialog is not None:
            self._dialog.show_progress(progress)

    @Slot(object, bool)
    def _on_finished(self, result: Result, opening: bool) -> None:
        self._later.stop()
        if result.checkpoints:
            self._window.checkpoints.open_folder(result.checkpoints[0])
        if opening and self._told_simply(result):
            if self._dialog is not None:
                self._dialog.accept()
            return
        if opening or self._dialog is not None:
            self._show_dialog().show_result(result)
        else:  # it was closed: the import went on
            self._tell_in_toast(result)

    def _told_simply(self, result: Result) -> bool:
        """Show a single conversation, or why a single file is none. False for anything more."""
        taken, rejected = result.taken, result.of(Outcome.REJECTED)
        if result.trouble is not None or len(taken) + len(rejected) > 1:
            return False
        if taken:
            self._show(taken[0].conversation_id)
            if taken[0].outcome is not Outcome.SAME:
                self._tell_in_toast(result)
        elif rejected and rejected[0].report is not None:
            self._window.show_problem(rejected[0].report)
        return True

    @Slot(str)
    def _show(self, conversation_id: str) -> None:
        self._window.composer.flush_draft()
        self._chats.open(conversation_id)

    def _tell_in_toast(self, result: Result) -> None:
        from qwen_desktop.ui.import_table import reason_of, summary_of

        entries = result.entries
        notes = reason_of(entries[0]) if len(entries) == 1 else ""
        self._window.finish_building()
        self._window.toast.show_text(" · ".join(filter(None, (summary_of(result), notes))))
