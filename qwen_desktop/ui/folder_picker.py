"""The folder picker of the platform, for whoever needs a folder."""

from __future__ import annotations

import os
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from qwen_desktop.ui.checkpoints import QT_DIALOGS


def pick_folder(
    parent: QWidget, title: str, start: str, picked: Callable[[str], object]
) -> QFileDialog:
    """Let the user choose a folder, beginning at `start`; `picked` is given its path."""
    picker = QFileDialog(parent, title)
    picker.setObjectName("folderPicker")
    picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    picker.setFileMode(QFileDialog.FileMode.Directory)
    picker.setOption(QFileDialog.Option.ShowDirsOnly)
    if os.environ.get(QT_DIALOGS) == "1":
        picker.setOption(QFileDialog.Option.DontUseNativeDialog)
    if start:
        picker.setDirectory(start)
    picker.accepted.connect(lambda: picked(picker.selectedFiles()[0]))
    picker.open()
    return picker
