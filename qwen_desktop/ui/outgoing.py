"""What the window does about conversations that leave it: exporting, saving as a file, copying.

Its dialogs are imported when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QStandardPaths, Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QAction, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication

from qwen_desktop.chat.exporting import (
    ExportOptions,
    ExportProgress,
    ExportRequest,
    ExportResult,
    Format,
)
from qwen_desktop.ui.checkpoints import QT_DIALOGS

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.exporting import Exporting
    from qwen_desktop.chat.record import Record
    from qwen_desktop.errors import Report
    from qwen_desktop.export.words import Words
    from qwen_desktop.ui.export_dialog import ExportDialog, Scope
    from qwen_desktop.ui.main_window import MainWindow

SOON_MS = 600  # an export that ends within it shows no dialog of its own


def write_pdf(
    file: Path,
    records: Iterable[Record],
    options: ExportOptions,
    words: Words,
    step: Callable[[Record, float], None],
) -> None:
    """Draw conversations; see export.job.PdfWriter. For the thread of an export."""
    from qwen_desktop.ui import pdf

    pdf.write(file, records, options, words, step)


class Outgoing(QObject):
    """Belongs to the window. Signal: `remembered(folder, format)`, chosen last.

    `everything` is the action that exports all conversations, for the settings.
    """

    remembered = Signal(str, str)

    def __init__(self, window: MainWindow, chats: Chats, exporting: Exporting) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._exporting = exporting
        self._dialog: ExportDialog | None = None
        self._folder = ""
        self._format = Format.MARKDOWN
        self.everything = QAction(self.tr("Export everything…"), self)
        self.everything.setObjectName("export_everything")
        self.everything.triggered.connect(self.export_all)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SOON_MS)
        self._later.timeout.connect(self._on_later)
        exporting.progressed.connect(self._on_progress)
        exporting.finished.connect(self._on_finished)
        exporting.failed.connect(self._on_failed)
        exporting.cancelled.connect(self._on_cancelled)
        exporting.copied.connect(self._on_copied)

    def remember(self, folder: str, form: str) -> None:
        """What was chosen in an earlier start."""
        self._folder = folder
        if form in [one.value for one in Format]:
            self._format = Format(form)

    # -- what is asked for -----------------------------------------------------------------

    @Slot()
    def export_shown(self) -> None:
        """Export the shown conversation, or all."""
        self._show_dialog()

    @Slot(object)
    def export(self, ids: tuple[str, ...]) -> None:
        """Export these conversations, or all."""
        self._show_dialog(tuple(ids))

    @Slot()
    def export_all(self) -> None:
        """Export everything."""
        self._show_dialog(everything=True)

    @Slot()
    def save_as(self, form: Format = Format.JSON) -> None:
        """Write the shown conversation into a file; the usual form can be opened again."""
        if self._has_shown() and not self._exporting.busy:
            options = ExportOptions(form)
            self._pick(self._window, (self._chats.current.id,), 1, options)

    @Slot()
    def copy_shown(self) -> None:
        """Copy the shown conversation as Markdown."""
        if self._has_shown():
            self._exporting.copy(self._chats.current)

    @Slot(str)
    def copy(self, conversation_id: str) -> None:
        """Copy a conversation as Markdown."""
        if conversation_id == self._chats.current.id:
            self.copy_shown()
        else:
            self._exporting.copy(conversation_id)

    def _has_shown(self) -> bool:
        return bool(self._chats.current.tree.messages)

    # -- choosing --------------------------------------------------------------------------

    def _show_dialog(self, ids: tuple[str, ...] = (), *, everything: bool = False) -> None:
        if self._dialog is None:
            from qwen_desktop.ui.export_dialog import ExportDialog, Scope

            scopes = [Scope("all", None, 0)]
            shown = self._chats.current.id
            if self._has_shown():
                scopes.insert(len(scopes) if everything else 0, Scope("this", (shown,), 1))
            if ids and ids != (shown,):
                scopes.insert(0, Scope("selected", ids, len(ids)))
            dialog = ExportDialog(tuple(scopes), self._format, self._parent())
            dialog.chosen.connect(self._on_chosen)
            dialog.cancel_requested.connect(self._exporting.cancel)
            dialog.finished.connect(self._forget_dialog)
            self._dialog = dialog
            if self._exporting.busy:
                dialog.show_progress(None)
        self._dialog.open()

    def _parent(self) -> QWidget:
        """The dialog that is open, for another one on top of it; else the window."""
        return QApplication.activeModalWidget() or self._window

    @Slot()
    def _forget_dialog(self) -> None:
        self._dialog = None

    @Slot(object, object)
    def _on_chosen(self, scope: Scope, options: ExportOptions) -> None:
        if self._dialog is not None:
            self._pick(self._dialog, scope.ids, scope.count, options)

    def _pick(
        self, parent: QWidget, ids: tuple[str, ...] | None, count: int, options: ExportOptions
    ) -> None:
        """The picker of the platform: for a file, or a folder for several."""
        from PySide6.QtWidgets import QFileDialog

        one = count == 1 or options.one_file
        extension = options.format.extension
        picker = QFileDialog(parent)
        picker.setObjectName("exportTarget")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if one:
            picker.setWindowTitle(self.tr("Save as"))
            picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            picker.setNameFilter(f"*{extension}")
            picker.setDefaultSuffix(extension[1:])
        else:
            picker.setWindowTitle(self.tr("Choose a folder for the files"))
            picker.setFileMode(QFileDialog.FileMode.Directory)
            picker.setOption(QFileDialog.Option.ShowDirsOnly)
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        picker.setDirectory(self._folder or _documents())
        if one:
            picker.selectFile(self._suggested(ids) + extension)

        def accepted() -> None:
            target = Path(picker.selectedFiles()[0])
            request = ExportRequest(ids, target, options)
            self._begin(request, asked=one)

        picker.accepted.connect(accepted)
        picker.open()

    def _suggested(self, ids: tuple[str, ...] | None) -> str:
        """A name for one file."""
        from qwen_desktop.export.names import safe_name

        fallback = self.tr("Chats")
        if ids is None or len(ids) != 1:
            return safe_name(fallback, "chats")
        if ids[0] == self._chats.current.id:
            title = self._chats.current.summary().title
        else:
            row = self._chats.list.row(ids[0])
            title = row.title if row is not None else ""
        return safe_name(title, self.tr("New chat"))

    def _begin(self, request: ExportRequest, *, asked: bool) -> None:
        """Start. `asked`: the picker has asked before another file is replaced."""
        extension = request.options.format.extension
        if asked and not request.target.name.endswith(extension):
            target = request.target.with_name(request.target.name + extension)
            request = ExportRequest(request.ids, target, request.options)
            if target.exists():
                self._ask_to_replace(request)
                return
        folder = request.target.parent if request.is_one_file else request.target
        self._folder, self._format = str(folder), request.options.format
        self.remembered.emit(self._folder, self._format.value)
        if not self._exporting.export(request):
            return
        if self._dialog is not None:
            self._dialog.show_progress(None)
        else:
            self._later.start()

    def _ask_to_replace(self, request: ExportRequest) -> None:
        from qwen_desktop.ui.small_dialogs import ConfirmDialog

        ConfirmDialog(
            self.tr("Replace the file?"),
            self.tr("{name} is there already.").format(name=request.target.name),
            self.tr("Replace"),
            lambda: self._begin(request, asked=False),
            self._dialog or self._window,
        ).open()

    # -- how it goes -----------------------------------------------------------------------

    @Slot()
    def _on_later(self) -> None:
        if self._exporting.busy:
            self._show_dialog()

    @Slot(object)
    def _on_progress(self, progress: ExportProgress) -> None:
        if self._dialog is not None and self._exporting.busy:
            self._dialog.show_progress(progress)

    @Slot(object)
    def _on_finished(self, result: ExportResult) -> None:
        self._end()
        folder = result.files[0].parent
        self._window.finish_building()
        self._window.toast.show_text(
            self._result_text(result),
            action=(self.tr("Show in folder"), lambda: _show_folder(folder)),
        )
        if result.failed:
            self._window.show_problem(result.failed[0].report)

    def _result_text(self, result: ExportResult) -> str:
        if result.failed:
            words = self.tr("Exported {count}; {failed} could not be read")
        elif len(result.files) == 1:
            return self.tr("Saved “{name}”").format(name=result.files[0].name)
        else:
            words = self.tr("Exported {count} chats")
        locale = self._window.locale()
        return words.format(
            count=locale.toString(result.count), failed=locale.toString(len(result.failed))
        )

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        self._end()
        self._window.show_problem(report)

    @Slot()
    def _on_cancelled(self) -> None:
        self._end()

    def _end(self) -> None:
        self._later.stop()
        if self._dialog is not None:
            self._dialog.show_choices()
            self._dialog.accept()

    @Slot(str)
    def _on_copied(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._window.finish_building()
        self._window.toast.show_text(self.tr("Copied as Markdown"))


def _documents() -> str:
    return QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)


def _show_folder(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
