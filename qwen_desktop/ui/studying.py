"""The memory study of the window: its dialog, made when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot

from qwen_desktop.chat.study import StudySetup
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.bridge.study import Studies, StudyState
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.study_dialog import StudyDialog


class Studying(QObject):
    """Belongs to the window."""

    def __init__(self, window: MainWindow, studies: Studies) -> None:
        super().__init__(window)
        self._window = window
        self._studies = studies
        self._dialog: StudyDialog | None = None
        studies.changed.connect(self._on_changed)
        studies.refusal_changed.connect(self._on_refusal)
        studies.problem.connect(self._on_problem)

    @property
    def dialog(self) -> StudyDialog | None:
        """The dialog, while it is open."""
        return self._dialog

    def show(self) -> None:
        """Open the dialog, or bring it to the front."""
        if self._dialog is None:
            from qwen_desktop.ui.study_dialog import StudyDialog

            dialog = StudyDialog(self._window)
            dialog.outline_wanted.connect(self._studies.outline)
            dialog.start_requested.connect(self._on_start)
            dialog.stop_requested.connect(self._studies.stop)
            dialog.resume_requested.connect(self._studies.resume)
            dialog.open_requested.connect(self._choose)
            dialog.left.connect(self._on_left)
            dialog.finished.connect(self._on_finished)
            self._dialog = dialog
            dialog.set_refusal(self._studies.refusal())
            dialog.set_state(self._studies.state)
            dialog.ask_for_outlook()
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()

    @Slot(object)
    def _on_changed(self, state: StudyState) -> None:
        if self._dialog is not None:
            self._dialog.set_state(state)

    @Slot()
    def _on_refusal(self) -> None:
        if self._dialog is None:
            return
        before = self._dialog.refusal
        self._dialog.set_refusal(self._studies.refusal())
        if before is not None and self._dialog.refusal is None:
            self._dialog.ask_for_outlook()

    @Slot(object)
    def _on_start(self, setup: StudySetup) -> None:
        self._studies.start(setup)

    @Slot(object)
    def _on_problem(self, report: Report) -> None:
        if self._dialog is not None:
            self._dialog.say_trouble(report)
        else:
            self._window.show_problem(report)

    @Slot()
    def _on_left(self) -> None:
        self._studies.leave_outline()
        self._studies.stop()

    @Slot()
    def _on_finished(self) -> None:
        self._dialog = None

    @Slot()
    def _choose(self) -> None:
        """Let the user choose the file of an earlier study."""
        from PySide6.QtWidgets import QFileDialog

        from qwen_desktop.ui.checkpoints import QT_DIALOGS

        picker = QFileDialog(self._dialog)
        picker.setObjectName("studyFile")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.setWindowTitle(self.tr("Open a memory study"))
        picker.setFileMode(QFileDialog.FileMode.ExistingFile)
        picker.setNameFilter(self.tr("Memory studies (*.csv)"))
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        picker.setDirectory(str(self._studies.folder))
        picker.fileSelected.connect(lambda name: self._studies.open(Path(name)))
        picker.open()
