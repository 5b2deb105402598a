"""Asks where charts or their numbers are to be kept: a picture, a drawing or CSV, by the name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from qwen_desktop.bridge.text_file import TextFile
from qwen_desktop.ui import chart_paint
from qwen_desktop.ui.chart_paint import Pages
from qwen_desktop.ui.checkpoints import QT_DIALOGS

SUFFIXES = (".png", ".svg", ".csv")


class ChartSaving(QObject):
    """`saved(Path)` or `failed(Report)` tells how it went. Belongs to the dialog with the charts.

    `pages` gives the charts, `numbers` their CSV, both at the time of saving.
    """

    saved = Signal(object)
    failed = Signal(object)

    def __init__(
        self, dialog: QWidget, pages: Callable[[], Pages], numbers: Callable[[], str]
    ) -> None:
        super().__init__(dialog)
        self._dialog = dialog
        self._pages, self._numbers = pages, numbers
        self._folder = ""  # of the last file
        self._file = TextFile(self)
        self._file.written.connect(self.saved)
        self._file.failed.connect(self.failed)

    def ask(self, name: str, suffix: str = ".png") -> None:
        """Ask where to; `name` is suggested, without a suffix."""
        filters = {
            ".png": self.tr("Picture (*.png)"),
            ".svg": self.tr("Drawing (*.svg)"),
            ".csv": self.tr("Numbers (*.csv)"),
        }
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        picker = QFileDialog(self._dialog)
        picker.setObjectName("chartTarget")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.setWindowTitle(self.tr("Save chart as"))
        picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        picker.setFileMode(QFileDialog.FileMode.AnyFile)
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        picker.setNameFilters(list(filters.values()))
        picker.selectNameFilter(filters[suffix])
        picker.setDefaultSuffix(suffix)
        by_filter = {words: one for one, words in filters.items()}
        picker.filterSelected.connect(lambda words: picker.setDefaultSuffix(by_filter[words]))
        picker.setDirectory(self._folder or QStandardPaths.writableLocation(documents))
        picker.selectFile(name + suffix)

        def accepted() -> None:
            kind = by_filter.get(picker.selectedNameFilter(), suffix)
            self.save(Path(picker.selectedFiles()[0]), kind)

        picker.accepted.connect(accepted)
        picker.open()

    def save(self, file: Path, kind: str = ".png") -> None:
        """Write `file` as its suffix says; as `kind` where it has none that is known here."""
        if file.suffix.lower() in SUFFIXES:
            kind = file.suffix.lower()
        else:
            file = file.with_name(file.name + kind)
        self._folder = str(file.parent)
        if kind == ".csv":
            self._file.write(file, self._numbers())
        elif kind == ".svg":
            self._file.write(file, chart_paint.svg(self._pages()))
        else:
            self._file.write(file, chart_paint.png(self._pages()))
