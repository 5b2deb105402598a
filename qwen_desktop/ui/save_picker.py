"""The dialog that asks where a text is to be saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from qwen_desktop.ui.checkpoints import QT_DIALOGS


def ask_where(
    parent: QWidget, title: str, name: str, chosen: Callable[[Path], object], folder: str = ""
) -> QFileDialog:
    """Show the dialog with the suggestion `name`; `chosen` is called with the file.

    `folder` "": where the user's documents are.
    """
    documents = QStandardPaths.StandardLocation.DocumentsLocation
    picker = QFileDialog(parent)
    picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    picker.setWindowTitle(title)
    picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    picker.setFileMode(QFileDialog.FileMode.AnyFile)
    if os.environ.get(QT_DIALOGS) == "1":
        picker.setOption(QFileDialog.Option.DontUseNativeDialog)
    picker.setDirectory(folder or QStandardPaths.writableLocation(documents))
    picker.selectFile(name)
    picker.accepted.connect(lambda: chosen(Path(picker.selectedFiles()[0])))
    picker.open()
    return picker
