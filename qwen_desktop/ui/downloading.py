"""What the window does about downloads: their page, a word of them in the header, their dialogs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QDialog, QHBoxLayout, QWidget

from qwen_desktop.ui.controls import Button

if TYPE_CHECKING:
    from qwen_desktop.bridge.downloads import Downloads
    from qwen_desktop.bridge.hub_access import HubAccess
    from qwen_desktop.chat.checkpoint import FolderReport
    from qwen_desktop.chat.downloads import DownloadEntry, Overview
    from qwen_desktop.chat.hub import DownloadPlan, Hub
    from qwen_desktop.errors import Report
    from qwen_desktop.ui.get_dialog import GetDialog
    from qwen_desktop.ui.main_window import MainWindow


class Downloading(QObject):
    """Belongs to the window. Its dialogs are imported when they are asked for."""

    def __init__(self, window: MainWindow, downloads: Downloads, access: HubAccess) -> None:
        super().__init__(window)
        self._window = window
        self._downloads = downloads
        self._access = access
        self._get: GetDialog | None = None
        self._question: QDialog | None = None  # whether to leave
        self._may_go = False
        self._failed = ""  # the entry that the banner is about
        self._trouble: Report | None = None
        self.button: Button | None = None
        window.shelf.add_maker("downloads", self._make_page)
        downloads.overview_changed.connect(self._on_overview)
        downloads.arrived.connect(self._on_arrived)
        downloads.failed.connect(self._on_failed)
        downloads.changed.connect(self._on_changed)
        downloads.problem.connect(self._on_problem)

    # -- its page and dialogs --------------------------------------------------------------

    def _make_page(self, parent: QWidget) -> QWidget:
        from qwen_desktop.ui.downloads_page import DownloadsPage

        page = DownloadsPage(self._downloads, parent)
        page.get_requested.connect(self.get)
        page.open_requested.connect(self.open_folder)
        page.access_requested.connect(self.show_access)
        return page

    @Slot()
    def show_page(self) -> None:
        """Bring the page to the front."""
        self._window.shelf.show("downloads")

    @Slot(object)
    def open_folder(self, folder: Path) -> None:
        """The open dialog, with what the doctor says of `folder`."""
        self._window.checkpoints.look_into(folder)

    def get(self, text: str = "", hub: Hub | None = None) -> GetDialog:
        """The dialog for another checkpoint, with `text` as its repository. Asks no hub."""
        if self._get is None:
            from qwen_desktop.ui.get_dialog import GetDialog

            dialog = GetDialog(self._downloads, self._window.shelf.dialog or self._window)
            dialog.started.connect(self._on_started)
            dialog.access_requested.connect(self.show_access)
            dialog.finished.connect(self._on_get_finished)
            self._get = dialog
        if text:
            self._get.show_repository(text, hub)
        self._get.open()
        return self._get

    def offer(self, plan: DownloadPlan) -> GetDialog:
        """The dialog with what is planned already, such as the files that a folder lacks."""
        dialog = self.get()
        dialog.show_plan(plan)
        return dialog

    @Slot()
    def show_access(self) -> None:
        """The tokens of the hubs."""
        from qwen_desktop.ui.access_dialog import AccessDialog

        AccessDialog(self._access, self._get or self._window.shelf.dialog or self._window).open()

    @Slot()
    def _on_get_finished(self) -> None:
        self._get = None

    @Slot(str)
    def _on_started(self, _: str) -> None:
        self.show_page()

    # -- a word in the header --------------------------------------------------------------

    @Slot(object)
    def _on_overview(self, overview: Overview) -> None:
        from qwen_desktop.ui.download_words import overview_text

        if self.button is None:
            if not overview.active:
                return
            self._make_button()
        assert self.button is not None
        self.button.setVisible(overview.active > 0)
        words = f"{self._window.locale().toString(overview.percent)} %"
        if self.button.text() != words:
            self.button.setText(words)
        told = self.tr("Downloads: {state}").format(state=overview_text(overview))
        self.button.setToolTip(told)
        self.button.setAccessibleName(self.tr("Downloads: {percent}").format(percent=words))

    def _make_button(self) -> None:
        header = self._window.header
        self.button = Button("", icon="download", kind="plain", tint="dim", height=32)
        self.button.setObjectName("downloadsButton")
        self.button.clicked.connect(self.show_page)
        row = header.layout()
        assert isinstance(row, QHBoxLayout)
        row.insertWidget(row.indexOf(header.model), self.button)
        QWidget.setTabOrder(header.sidebar, self.button)
        QWidget.setTabOrder(self.button, header.model)

    # -- what comes of one -----------------------------------------------------------------

    @Slot(object, object)
    def _on_arrived(self, entry: DownloadEntry, report: FolderReport | None) -> None:
        if report is not None and report.opens:
            words = self.tr("{name} is here.").format(name=entry.name)
        else:
            words = self.tr("{name} is here, but does not open.").format(name=entry.name)
        self._window.finish_building()
        does = self.tr("Open") if report is not None and report.opens else self.tr("Look at it")
        self._window.toast.show_text(words, action=(does, lambda: self.open_folder(entry.folder)))
        self._window.notifying.tell(words)

    @Slot(object)
    def _on_failed(self, entry: DownloadEntry) -> None:
        if entry.trouble is None:
            return
        note = self.tr("This is about {name}.").format(name=entry.name)
        action = (self.tr("Retry"), lambda: self._downloads.resume(entry.id))
        self._window.show_problem(entry.trouble, note, action)
        self._failed, self._trouble = entry.id, entry.trouble
        words = self.tr("The download of {name} has stopped.").format(name=entry.name)
        self._window.notifying.tell(words)

    @Slot()
    def _on_changed(self) -> None:
        """What is said of one that failed is old news once it is tried again, or gone."""
        entry = self._downloads.entry(self._failed)
        if self._failed and (entry is None or entry.trouble is None):
            self._failed = ""
            if self._window.banner.report is self._trouble:
                self._window.banner.dismiss()

    @Slot(object)
    def _on_problem(self, report: Report) -> None:
        self._window.show_problem(report)

    # -- leaving ---------------------------------------------------------------------------

    def may_go(self) -> bool:
        """Whether the window can close now; if not, it is asked, and closes by itself.

        Closed again while the question is open (by a signal of the system), it goes.
        """
        if self._may_go or self._question is not None or not self._downloads.busy:
            return True
        from qwen_desktop.ui.small_dialogs import ConfirmDialog

        if self._downloads.goes_on:
            what = self.tr("What came is kept. The downloads go on at the next start.")
        else:
            what = self.tr("What came is kept. After the next start, Resume goes on with it.")
        question = ConfirmDialog(
            self.tr("Quit while something downloads?"),
            what,
            self.tr("Pause and quit"),
            self._go,
            self._window,
        )
        question.finished.connect(self._on_question_finished)
        self._question = question
        question.open()
        return False

    @Slot()
    def stop_asking(self) -> None:
        """The system ends the program: nobody answers."""
        self._may_go = True

    def _go(self) -> None:
        self._may_go = True
        self._window.close()

    @Slot()
    def _on_question_finished(self) -> None:
        self._question = None
