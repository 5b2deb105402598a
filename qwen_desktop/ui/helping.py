"""What the window tells of the program itself: About, diagnostics, the report of a crash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication

from qwen_desktop.bridge.text_file import TextFile
from qwen_desktop.bridge.words import translated
from qwen_desktop.ui.notices import Notice

if TYPE_CHECKING:
    from qwen_desktop.bridge.helping import Helping
    from qwen_desktop.diagnose import Row, Section
    from qwen_desktop.errors import Report
    from qwen_desktop.hub.releases import Release
    from qwen_desktop.licences import Component
    from qwen_desktop.ui.about_dialog import AboutDialog
    from qwen_desktop.ui.licences_dialog import LicencesDialog
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.report_dialog import ReportDialog

# Names and addresses.
QT, PYTORCH, TRANSFORMERS = (
    ("Qt", "https://www.qt.io"),
    ("PyTorch", "https://pytorch.org"),
    ("Transformers", "https://github.com/huggingface/transformers"),
)


class HelpView(QObject):
    """Belongs to the window. Dialogs are imported when they are asked for."""

    def __init__(self, window: MainWindow, helping: Helping) -> None:
        super().__init__(window)
        self._window = window
        self._helping = helping
        self._about: AboutDialog | None = None
        self._licences: LicencesDialog | None = None
        self._diagnosis: ReportDialog | None = None
        self._crash: ReportDialog | None = None
        self._notice: Notice | None = None
        self._file = TextFile(self)
        self._file.written.connect(self._on_written)
        self._file.failed.connect(window.show_problem)
        helping.diagnosed.connect(self._on_diagnosed)
        helping.licences_read.connect(self._on_licences)
        helping.release_found.connect(self._on_release)
        helping.no_release.connect(self._on_no_release)
        helping.crashed.connect(self._on_crashed)
        helping.report_read.connect(self._on_report)
        helping.failed.connect(self._on_failed)

    # -- About -----------------------------------------------------------------------------

    def show_about(self) -> None:
        """The version, licences, and the button that asks for updates."""
        from qwen_desktop.ui.about_dialog import AboutDialog

        dialog = self._about = AboutDialog((QT, PYTORCH, TRANSFORMERS), self._window)
        dialog.licences_requested.connect(self.show_licences)
        dialog.update_requested.connect(self._helping.ask_for_release)
        dialog.page_requested.connect(lambda page: QDesktopServices.openUrl(QUrl(page)))
        dialog.finished.connect(self._leave_about)
        dialog.open()

    def _leave_about(self) -> None:
        self._helping.leave_release()
        self._about = None

    @Slot(object)
    def _on_release(self, release: Release) -> None:
        if self._about is not None:
            self._about.show_release(release.version, release.page, release.is_newer)

    @Slot(object)
    def _on_no_release(self, report: Report) -> None:
        if self._about is not None:
            self._about.show_trouble(translated(report))

    def show_licences(self) -> None:
        """The licences of all parts."""
        from qwen_desktop.ui.licences_dialog import LicencesDialog

        dialog = self._licences = LicencesDialog(self._about or self._window)
        dialog.finished.connect(self._leave_licences)
        dialog.open()
        self._helping.read_licences()

    def _leave_licences(self) -> None:
        self._licences = None

    @Slot(object)
    def _on_licences(self, components: tuple[Component, ...]) -> None:
        if self._licences is not None:
            self._licences.show_components(components)

    # -- diagnostics -----------------------------------------------------------------------

    def show_diagnostics(self) -> None:
        """Everything that helps to find a fault."""
        from qwen_desktop.ui.report_dialog import ReportDialog

        dialog = self._diagnosis = ReportDialog(
            "diagnosticsDialog",
            self.tr("Diagnostics"),
            self.tr(
                "What helps to find a fault, to be sent along with a report. It holds nothing of "
                "your chats and no names of your files."
            ),
            self._window,
        )
        crash = dialog.add_button("lastCrash", self.tr("Last crash report"))
        crash.clicked.connect(lambda: self.show_crash())
        dialog.save_requested.connect(lambda text: self._save("qwen-desktop-diagnosis.txt", text))
        dialog.finished.connect(self._leave_diagnosis)
        dialog.open()
        self._helping.diagnose(QGuiApplication.platformName(), self._screens())

    def _leave_diagnosis(self) -> None:
        self._diagnosis = None

    def _screens(self) -> tuple[Row, ...]:
        from qwen_desktop.diagnose import Row

        window = self._window.windowHandle()
        here = window.screen() if window is not None else None
        rows = []
        for number, screen in enumerate(QGuiApplication.screens(), 1):
            size, ratio = screen.size(), screen.devicePixelRatio()
            text = f"{size.width()} × {size.height()} at {ratio:g}, {screen.refreshRate():.0f} Hz"
            if screen is here:
                text += ", with the window"
            rows.append(Row(f"screen_{number}", text))
        scheme = QGuiApplication.styleHints().colorScheme().name
        rows.append(Row("colour_scheme", scheme.lower()))
        return tuple(rows)

    @Slot(object)
    def _on_diagnosed(self, sections: tuple[Section, ...]) -> None:
        from qwen_desktop.diagnose import as_text

        if self._diagnosis is not None:
            self._diagnosis.show_text(as_text(sections))

    # -- crashes ---------------------------------------------------------------------------

    @Slot(object)
    def _on_crashed(self, file: Path) -> None:
        self._window.finish_building()
        notices = self._window.notices
        if self._notice is None:
            notice = self._notice = Notice("crash", self.tr("Close message"))
            notice.close_button.clicked.connect(self._hide_notice)
            notices.add(notice)
        self._notice.show_text(
            self.tr("The last run ended in a crash. What was on disk is kept."),
            (self.tr("Show report"), lambda: self.show_crash(file)),
            closable=True,
        )
        notices.fit()

    def _hide_notice(self) -> None:
        if self._notice is not None:
            self._notice.hide()
            self._window.notices.fit()

    def show_crash(self, file: Path | None = None) -> None:
        """The report of a crash, the newest one unless another is named."""
        from qwen_desktop.ui.report_dialog import ReportDialog

        dialog = self._crash = ReportDialog(
            "crashDialog",
            self.tr("Crash report"),
            self.tr(
                "Where the program was when it crashed, to be sent along with a report. It holds "
                "no values: nothing of your chats and no names of your files."
            ),
            self._diagnosis or self._window,
        )
        show = dialog.add_button("showReports", self.tr("Show folder"))
        folder = self._helping.crash_folder
        show.clicked.connect(lambda: _show(folder))
        dialog.save_requested.connect(lambda text: self._save("qwen-desktop-crash.txt", text))
        dialog.finished.connect(self._leave_crash)
        dialog.open()
        self._helping.read_report(file)

    def _leave_crash(self) -> None:
        self._crash = None

    @Slot(object, str)
    def _on_report(self, file: Path | None, text: str) -> None:
        if self._crash is None:
            return
        if file is None:
            self._crash.show_nothing(self.tr("There is no report of a crash."))
            return
        self._hide_notice()
        self._crash.show_text(text)

    # -- all of them -----------------------------------------------------------------------

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        sentence = translated(report)
        if self._licences is not None:
            self._licences.show_trouble(sentence)
        elif self._crash is not None:
            self._crash.show_nothing(sentence)
        elif self._diagnosis is not None:
            self._diagnosis.show_nothing(sentence)

    def _save(self, name: str, text: str) -> None:
        from qwen_desktop.ui.save_picker import ask_where

        parent = self._crash or self._diagnosis or self._window
        picker = ask_where(
            parent, self.tr("Save report as"), name, lambda f: self._file.write(f, text + "\n")
        )
        picker.setObjectName("reportTarget")

    @Slot(object)
    def _on_written(self, file: Path) -> None:
        self._window.toast.show_text(
            self.tr("Saved “{name}”").format(name=file.name),
            action=(self.tr("Show in folder"), lambda: _show(file.parent)),
        )


def _show(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
